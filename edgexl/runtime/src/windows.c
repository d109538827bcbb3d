#include "compiler.h"

#include "windows.h"

#include <string.h>

#include "shortlist.h"

/* ---- words ---------------------------------------------------------------------------------------------------- */

static int windows_is_space(char byte) { return byte == ' ' || (byte >= '\t' && byte <= '\r'); }

/* Where the word ends that begins at or behind a place; there is none where that is the place itself. */
static size_t windows_word_end(const char *text, size_t bytes, size_t *at) {
    size_t end;

    while (*at < bytes && windows_is_space(text[*at]))
        ++*at;
    for (end = *at; end < bytes && !windows_is_space(text[end]); end++)
        if (end - *at >= EXL__WORD_BYTES && ((unsigned char)text[end] & 0xC0) != 0x80)
            break;
    return end;
}

/* Where so many words from a place on end; *count is how many there are, so many at most. */
static size_t windows_pass_words(const char *text, size_t bytes, size_t at, uint32_t most, uint32_t *count) {
    size_t last = at;

    for (*count = 0; *count < most; ++*count) {
        size_t end = windows_word_end(text, bytes, &at);
        if (end == at)
            break;
        at = last = end;
    }
    return last;
}

void exl__find_windows(exl__windows *windows, const char *text, size_t text_bytes, uint32_t most) {
    uint32_t few = most > 1 ? EXL__WINDOW_WORDS + (most - 2) * EXL__WINDOW_STEP : 0, beyond;
    size_t end = windows_pass_words(text, text_bytes, 0, few, &windows->words);

    windows->text = text;
    windows->bytes = text_bytes;
    windows_pass_words(text, text_bytes, end, 1, &beyond);
    windows->cut = beyond > 0;
    windows->count = 1;
    if (windows->words > EXL__WINDOW_WORDS)
        windows->count += (windows->words - EXL__WINDOW_WORDS + EXL__WINDOW_STEP - 1) / EXL__WINDOW_STEP;
    if (windows->words > 0)
        windows->count++;
}

void exl__window_bytes(const exl__windows *windows, uint32_t window, size_t *begin, size_t *end) {
    uint32_t first = (window - 1) * EXL__WINDOW_STEP, passed;
    uint32_t last = windows->words > EXL__WINDOW_WORDS ? windows->words - EXL__WINDOW_WORDS : 0;

    *begin = windows_pass_words(windows->text, windows->bytes, 0, first < last ? first : last, &passed);
    *end = windows_pass_words(windows->text, windows->bytes, *begin, EXL__WINDOW_WORDS, &passed);
}

/* ---- shortlists ------------------------------------------------------------------------------------------------ */

void exl__merged_carve(exl__merged *merged, uint32_t keep, exl__carver *from) {
    for (merged->slot_count = 4; merged->slot_count < 4 * keep;) /* 4096 at most */
        merged->slot_count *= 2;
    merged->keep = keep;
    merged->labels = exl__carve(from, keep, sizeof *merged->labels);
    merged->scores = exl__carve(from, keep, sizeof *merged->scores);
    merged->evidence = exl__carve(from, (uint64_t)keep * EXL__EVIDENCE_COLUMNS, sizeof *merged->evidence);
    merged->spare = exl__carve(from, (uint64_t)keep * EXL__EVIDENCE_COLUMNS, sizeof *merged->spare);
    merged->slots = exl__carve(from, merged->slot_count, sizeof *merged->slots);
    merged->ranked = exl__carve(from, 2ull * keep, sizeof *merged->ranked);
}

/* A label's tie in a key is its number, so a key tells both. */
static void windows_see(exl__merged *merged, uint32_t *count, uint32_t label, float score, uint32_t source) {
    uint32_t mask = merged->slot_count - 1, slot = exl__spread(label) & mask;
    exl__ranked seen = {exl__rank_key(score, label), source};

    while (merged->slots[slot] != 0 && (uint32_t)merged->ranked[merged->slots[slot] - 1].key != label)
        slot = (slot + 1) & mask;
    if (merged->slots[slot] == 0) {
        merged->ranked[*count] = seen;
        merged->slots[slot] = ++*count;
    } else if (score > exl__rank_score(merged->ranked[merged->slots[slot] - 1].key))
        merged->ranked[merged->slots[slot] - 1] = seen;
}

void exl__merge(exl__merged *merged, const uint32_t *labels, const float *scores, const float *evidence,
                uint32_t count) {
    uint32_t before = merged->count, all = 0;
    float *spare = merged->spare;

    memset(merged->slots, 0, merged->slot_count * sizeof *merged->slots);
    for (uint32_t i = 0; i < before; i++)
        windows_see(merged, &all, merged->labels[i], merged->scores[i], i);
    for (uint32_t i = 0; i < count; i++)
        windows_see(merged, &all, labels[i], scores[i], merged->keep + i);
    merged->count = exl__rank(merged->ranked, all, merged->keep);
    for (uint32_t i = 0; i < merged->count; i++) {
        uint32_t source = merged->ranked[i].index;
        const float *of = source < merged->keep ? merged->evidence + (size_t)source * EXL__EVIDENCE_COLUMNS
                                                : evidence + (size_t)(source - merged->keep) * EXL__EVIDENCE_COLUMNS;
        merged->labels[i] = (uint32_t)merged->ranked[i].key;
        merged->scores[i] = exl__rank_score(merged->ranked[i].key);
        memcpy(spare + (size_t)i * EXL__EVIDENCE_COLUMNS, of, EXL__EVIDENCE_COLUMNS * sizeof *spare);
    }
    merged->spare = merged->evidence;
    merged->evidence = spare;
}
