/* tokenizer.c: see tokenizer.h. Text is read once, left to right, character by character:
 *
 *   text --added tokens, literally--> pieces of text --character table--> words --heads and tails--> token ids
 *
 * The character table holds, for each code point, what Hugging Face's normalizer and pre-tokenizer together make of it,
 * so that cleaning, CJK isolation, canonical decomposition, accent stripping, lower-casing and splitting are one
 * look-up. Two things depend on neighbours and are done here: the canonical order of marks that survive stripping
 * (tokenizer_append_mark), and the arithmetic of Hangul. */
#include "compiler.h"

#include "tokenizer.h"

#include <string.h>

#include "bytes.h"
#include "utf8.h"

enum {
    TOKENIZER_HEADER_BYTES = 64,
    TOKENIZER_CODE_POINTS = 0x110000,
    TOKENIZER_PAGE_BITS = 7,
    TOKENIZER_PAGE_SIZE = 1 << TOKENIZER_PAGE_BITS,
    TOKENIZER_PAGE_COUNT = TOKENIZER_CODE_POINTS / TOKENIZER_PAGE_SIZE
};

/* Entries of the character table: action in the upper 3 bits, argument in the lower 13. */
enum {
    TOKENIZER_KEEP = 0,    /* part of a word, as it is */
    TOKENIZER_DROP = 1,    /* gone as if it had never been there */
    TOKENIZER_BARRIER = 2, /* gone, but marks do not move across it */
    TOKENIZER_SPACE = 3,   /* ends a word */
    TOKENIZER_ISOLATE = 4, /* a word of its own */
    TOKENIZER_EXPAND = 5,  /* argument: which expansion */
    TOKENIZER_MARK = 6,    /* part of a word; argument: its rank in canonical order, 1 to 255 */
    TOKENIZER_HANGUL = 7   /* a syllable: decomposed by arithmetic */
};
#define TOKENIZER_ACTION(entry) ((entry) >> 13)
#define TOKENIZER_ARGUMENT(entry) ((entry) & 0x1FFFU)

/* Items of expansions: code point in the lower 21 bits, one of these in the next 3, a mark's rank in the upper 8. */
enum { TOKENIZER_ITEM_KEEP = 0, TOKENIZER_ITEM_ISOLATE = 1, TOKENIZER_ITEM_SPACE = 2, TOKENIZER_ITEM_MARK = 3 };

/* tokenizer.step: a value of 1 to 127 is the byte that the word goes on with; the others are these. */
enum {
    TOKENIZER_STEP_TABLE = 0,
    TOKENIZER_STEP_DROP = 0x80,
    TOKENIZER_STEP_SPACE = 0x81,
    TOKENIZER_STEP_ISOLATE = 0x82
};

static uint32_t tokenizer_load_u24(const uint8_t *p) { return exl__get16(p) | (uint32_t)p[2] << 16; }

static uint32_t tokenizer_character(const exl__tokenizer *t, uint32_t c) {
    uint32_t page = exl__get16(t->page_of + 2 * (size_t)(c >> TOKENIZER_PAGE_BITS));
    return exl__get16(t->pages + 2 * ((size_t)page * TOKENIZER_PAGE_SIZE + (c & (TOKENIZER_PAGE_SIZE - 1))));
}

/* ---- The section's checks -------------------------------------------------------------------------------------- */

typedef struct tokenizer_counts {
    uint32_t pages, expansions, items, record_bytes, added, added_bytes;
} tokenizer_counts;

/* Each check gives null, or the name of the first field of docs/format.md that breaks a rule. */

/* Takes the next array of `bytes` bytes and the zeros after it up to a multiple of 4; null if that is not there. */
static const uint8_t *tokenizer_take(const uint8_t **at, const uint8_t *end, uint64_t bytes) {
    const uint8_t *start = *at;
    uint64_t padded = (bytes + 3) & ~(uint64_t)3;
    if (padded > (uint64_t)(end - start))
        return NULL;
    for (uint64_t i = bytes; i < padded; i++)
        if (start[i] != 0)
            return NULL;
    *at = start + padded;
    return start;
}

static const char *tokenizer_check_characters(const exl__tokenizer *t, const tokenizer_counts *n) {
    for (size_t i = 0; i < TOKENIZER_PAGE_COUNT; i++)
        if (exl__get16(t->page_of + 2 * i) >= n->pages)
            return "page_of";
    for (size_t i = 0; i < (size_t)n->pages * TOKENIZER_PAGE_SIZE; i++) {
        uint32_t entry = exl__get16(t->pages + 2 * i), argument = TOKENIZER_ARGUMENT(entry);
        switch (TOKENIZER_ACTION(entry)) {
        case TOKENIZER_EXPAND:
            if (argument >= n->expansions)
                return "pages";
            break;
        case TOKENIZER_MARK:
            if (argument < 1 || argument > 255)
                return "pages";
            break;
        default:
            if (argument != 0)
                return "pages";
        }
    }
    return NULL;
}

static const char *tokenizer_check_expansions(const exl__tokenizer *t, const tokenizer_counts *n) {
    if (exl__get16(t->expansions) != 0 || exl__get16(t->expansions + 2 * (size_t)n->expansions) != n->items)
        return "expansion_starts";
    for (size_t i = 0; i < n->expansions; i++)
        if (exl__get16(t->expansions + 2 * i) >= exl__get16(t->expansions + 2 * i + 2))
            return "expansion_starts";
    for (size_t i = 0; i < n->items; i++) {
        uint32_t item = exl__get32(t->items + 4 * i), c = item & 0x1FFFFF, kind = item >> 21 & 7, rank = item >> 24;
        if (c >= TOKENIZER_CODE_POINTS || (c >= 0xD800 && c < 0xE000) || kind > TOKENIZER_ITEM_MARK)
            return "items";
        if ((rank != 0) != (kind == TOKENIZER_ITEM_MARK))
            return "items";
    }
    return NULL;
}

/* A record: u24 id, u8 length, the bytes. slots: the table's name. */
static const char *tokenizer_check_pieces(const exl__tokenizer *t, const exl__pieces *pieces, uint32_t record_bytes,
                                          const char *slots) {
    int has_free_slot = 0; /* without one a search would not end */
    for (size_t i = 0; i < pieces->slot_count; i++) {
        uint32_t offset = tokenizer_load_u24(pieces->slots + 4 * i), length;
        if (offset == 0) {
            if (pieces->slots[4 * i + 3] != 0)
                return slots;
            has_free_slot = 1;
            continue;
        }
        offset -= 1;
        if (offset > record_bytes || record_bytes - offset < 4)
            return "records";
        length = t->records[offset + 3];
        if (length == 0 || length > pieces->longest_bytes || length > record_bytes - offset - 4)
            return "records";
        if (tokenizer_load_u24(t->records + offset) >= t->vocabulary)
            return "records";
    }
    return has_free_slot ? NULL : slots;
}

/* A record: u32 id, the bytes. Ordered by first byte, and the longer ones first where that is the same. */
static const char *tokenizer_check_added(exl__tokenizer *t, const tokenizer_counts *n) {
    uint32_t previous = 0, previous_length = 0;
    memset(t->added_from, 0, sizeof t->added_from);
    if (exl__get32(t->added) != 0 || exl__get32(t->added + 4 * (size_t)n->added) != n->added_bytes)
        return "added_starts";
    for (size_t i = 0; i < n->added; i++) {
        uint32_t from = exl__get32(t->added + 4 * i), to = exl__get32(t->added + 4 * i + 4), first, length;
        if (from > to || to > n->added_bytes || to - from < 5)
            return "added_starts";
        if (exl__get32(t->added_records + from) >= t->vocabulary)
            return "added";
        first = t->added_records[from + 4];
        length = to - from - 4;
        if (i > 0 && (first < previous || (first == previous && length > previous_length)))
            return "added";
        previous = first;
        previous_length = length;
        t->added_from[first + 1]++;
    }
    for (size_t b = 0; b < 256; b++)
        t->added_from[b + 1] = (uint16_t)(t->added_from[b + 1] + t->added_from[b]);
    return NULL;
}

static void tokenizer_derive_steps(exl__tokenizer *t) {
    memset(t->step, TOKENIZER_STEP_TABLE, sizeof t->step);
    for (uint32_t b = 0; b < 128; b++) {
        uint32_t entry = tokenizer_character(t, b), argument = TOKENIZER_ARGUMENT(entry), item;
        if (t->added_from[b] != t->added_from[b + 1])
            continue;
        switch (TOKENIZER_ACTION(entry)) {
        case TOKENIZER_KEEP:
            t->step[b] = (uint8_t)b;
            break; /* NUL stays with TOKENIZER_STEP_TABLE, which is right as well */
        case TOKENIZER_DROP: t->step[b] = TOKENIZER_STEP_DROP; break;
        case TOKENIZER_SPACE: t->step[b] = TOKENIZER_STEP_SPACE; break;
        case TOKENIZER_ISOLATE: t->step[b] = TOKENIZER_STEP_ISOLATE; break;
        case TOKENIZER_EXPAND: /* lower-casing */
            if (exl__get16(t->expansions + 2 * (size_t)argument) + 1 !=
                exl__get16(t->expansions + 2 * (size_t)argument + 2))
                break;
            item = exl__get32(t->items + 4 * (size_t)exl__get16(t->expansions + 2 * (size_t)argument));
            if (item < 128)
                t->step[b] = (uint8_t)item;
            break;
        default: break;
        }
    }
}

// clang-format off: a line a field
static const char *tokenizer_read_header(exl__tokenizer *t, tokenizer_counts *n, const uint8_t *bytes, size_t length) {
    if (length < TOKENIZER_HEADER_BYTES) return "length";
    if (exl__get32(bytes) != 1) return "version";
    t->vocabulary = exl__get32(bytes + 4);
    t->prefix[0] = exl__get32(bytes + 8), t->prefix_count = 1;
    t->suffix[0] = exl__get32(bytes + 12), t->suffix_count = 1;
    t->unknown_id = exl__get32(bytes + 16);
    t->max_word_chars = exl__get32(bytes + 20);
    t->heads = (exl__pieces){.slot_count = exl__get32(bytes + 24), .longest_bytes = exl__get32(bytes + 28), .basis = 0x811C9DC5U};
    t->tails = (exl__pieces){.slot_count = exl__get32(bytes + 32), .longest_bytes = exl__get32(bytes + 36), .basis = 0x9E3779B9U};
    n->pages = exl__get32(bytes + 40);
    n->expansions = exl__get16(bytes + 44);
    n->items = exl__get16(bytes + 46);
    n->record_bytes = exl__get32(bytes + 48);
    n->added = exl__get32(bytes + 52);
    n->added_bytes = exl__get32(bytes + 56);
    if (t->vocabulary < 1 || t->vocabulary > 1U << 24) return "vocabulary";
    if (t->prefix[0] >= t->vocabulary) return "prefix_id";
    if (t->suffix[0] >= t->vocabulary) return "suffix_id";
    if (t->unknown_id >= t->vocabulary) return "unknown_id";
    if (t->max_word_chars < 1 || t->max_word_chars > EXL__MAX_WORD_CHARS) return "max_word_chars";
    if (t->heads.slot_count < 1) return "head_slots";
    if (t->heads.longest_bytes > EXL__MAX_PIECE_BYTES) return "longest_head_bytes";
    if (t->tails.slot_count < 1) return "tail_slots";
    if (t->tails.longest_bytes > EXL__MAX_PIECE_BYTES) return "longest_tail_bytes";
    if (n->pages < 1) return "pages";
    if (n->record_bytes > 0xFFFFFE) return "record_bytes";
    if (n->added > UINT16_MAX) return "added_tokens";
    return exl__get32(bytes + 60) != 0 ? "reserved" : NULL;
}

static const char *tokenizer_init_wordpiece(exl__tokenizer *t, const uint8_t *bytes, size_t length) {
    const char *wrong;
    const uint8_t *at, *end;
    tokenizer_counts n;

    if ((wrong = tokenizer_read_header(t, &n, bytes, length))) return wrong;
    at = bytes + TOKENIZER_HEADER_BYTES, end = bytes + length;
    if (!(t->page_of = tokenizer_take(&at, end, 2 * (uint64_t)TOKENIZER_PAGE_COUNT))) return "page_of";
    if (!(t->pages = tokenizer_take(&at, end, 2 * (uint64_t)n.pages * TOKENIZER_PAGE_SIZE))) return "pages";
    if (!(t->expansions = tokenizer_take(&at, end, 2 * ((uint64_t)n.expansions + 1)))) return "expansion_starts";
    if (!(t->items = tokenizer_take(&at, end, 4 * (uint64_t)n.items))) return "items";
    if (!(t->heads.slots = tokenizer_take(&at, end, 4 * (uint64_t)t->heads.slot_count))) return "heads";
    if (!(t->tails.slots = tokenizer_take(&at, end, 4 * (uint64_t)t->tails.slot_count))) return "tails";
    if (!(t->records = tokenizer_take(&at, end, n.record_bytes))) return "records";
    if (!(t->added = tokenizer_take(&at, end, 4 * ((uint64_t)n.added + 1)))) return "added_starts";
    if (!(t->added_records = tokenizer_take(&at, end, n.added_bytes))) return "added";
    if (at != end) return "length";
    if ((wrong = tokenizer_check_characters(t, &n))) return wrong;
    if ((wrong = tokenizer_check_expansions(t, &n)) || (wrong = tokenizer_check_added(t, &n))) return wrong;
    if ((wrong = tokenizer_check_pieces(t, &t->heads, n.record_bytes, "heads"))) return wrong;
    if ((wrong = tokenizer_check_pieces(t, &t->tails, n.record_bytes, "tails"))) return wrong;
    tokenizer_derive_steps(t);
    return NULL;
}

enum { TOKENIZER_SECOND_HEADER_BYTES = 64 };

static const char *tokenizer_read_around(uint32_t *ids, uint32_t count, const uint8_t *at, uint32_t vocabulary) {
    if (count > EXL__MOST_AROUND) return "around";
    for (uint32_t i = 0; i < EXL__MOST_AROUND; i++) {
        ids[i] = exl__get32(at + 4 * i);
        if (i < count ? ids[i] >= vocabulary : ids[i] != 0) return "around";
    }
    return NULL;
}

const char *exl__tokenizer_init(exl__tokenizer *t, const uint8_t *bytes, size_t length) {
    exl__tokenizer about = {0};
    const uint8_t *at = bytes + TOKENIZER_SECOND_HEADER_BYTES, *end = bytes + length;
    const char *wrong;

    memset(t, 0, sizeof *t);
    t->kind = 1;
    if (length < 4 || exl__get32(bytes) != 2) return tokenizer_init_wordpiece(t, bytes, length);
    if (length < TOKENIZER_SECOND_HEADER_BYTES) return "length";
    about.kind = exl__get32(bytes + 4);
    about.vocabulary = exl__get32(bytes + 8);
    about.prefix_count = exl__get16(bytes + 12), about.suffix_count = exl__get16(bytes + 14);
    about.prompt_bytes[EXL__AS_QUERY] = exl__get32(bytes + 48), about.prompt_bytes[EXL__AS_LABEL] = exl__get32(bytes + 52);
    if (about.kind < 1 || about.kind > EXL__WORDPIECE) return "kind";
    if (about.vocabulary < 1 || about.vocabulary > 0xFFFFF0) return "vocabulary";
    if ((wrong = tokenizer_read_around(about.prefix, about.prefix_count, bytes + 16, about.vocabulary))) return wrong;
    if ((wrong = tokenizer_read_around(about.suffix, about.suffix_count, bytes + 32, about.vocabulary))) return wrong;
    if (!exl__all_zero(bytes + 56, 8)) return "reserved";
    for (int role = EXL__AS_QUERY; role <= EXL__AS_LABEL; role++) {
        about.prompts[role] = tokenizer_take(&at, end, about.prompt_bytes[role]);
        if (!about.prompts[role] || !exl__utf8_valid((const char *)about.prompts[role], about.prompt_bytes[role])) return "prompts";
    }
    if (about.kind != 1) {
        *t = about;
        return exl__subwords_init(&t->subwords, t->kind, at, end, t->vocabulary);
    }
    if ((wrong = tokenizer_init_wordpiece(t, at, (size_t)(end - at)))) return wrong;
    if (t->vocabulary != about.vocabulary) return "vocabulary";
    t->prefix_count = about.prefix_count, t->suffix_count = about.suffix_count;
    memcpy(t->prefix, about.prefix, sizeof t->prefix);
    memcpy(t->suffix, about.suffix, sizeof t->suffix);
    memcpy(t->prompts, about.prompts, sizeof t->prompts);
    memcpy(t->prompt_bytes, about.prompt_bytes, sizeof t->prompt_bytes);
    return NULL;
}
// clang-format on

/* ---- Words to token ids ---------------------------------------------------------------------------------------- */

typedef struct tokenizer_output {
    int32_t *ids;
    size_t count;
    size_t capacity;
} tokenizer_output;

static void tokenizer_put(tokenizer_output *out, uint32_t id) {
    if (out->count < out->capacity)
        out->ids[out->count++] = (int32_t)id;
}

#define TOKENIZER_NO_PIECE UINT32_MAX

/* hash: FNV-1a of the bytes, begun with the table's basis. Its upper bits are weak on short strings, so it is mixed. */
static uint32_t tokenizer_find_piece(const exl__tokenizer *t, const exl__pieces *pieces, uint32_t hash,
                                     const uint8_t *bytes, size_t length) {
    size_t slot;
    uint32_t tag;
    hash ^= hash >> 15;
    hash *= 0x2C1B3C6DU;
    hash ^= hash >> 13;
    tag = hash & 0xFF;
    slot = (size_t)((uint64_t)hash * pieces->slot_count >> 32);
    for (;;) {
        uint32_t entry = exl__get32(pieces->slots + 4 * slot);
        if (entry == 0)
            return TOKENIZER_NO_PIECE;
        if (entry >> 24 == tag) {
            const uint8_t *record = t->records + ((entry & 0xFFFFFF) - 1);
            if (record[3] == length && memcmp(record + 4, bytes, length) == 0)
                return tokenizer_load_u24(record);
        }
        if (++slot == pieces->slot_count)
            slot = 0;
    }
}

/* Greedy longest match first; a word that cannot be covered is one [UNK]. The word's last piece decides that, so a word
 * is always finished, also when its first pieces have filled the capacity. */
static void tokenizer_put_word(const exl__tokenizer *t, tokenizer_output *out, const uint8_t *word, size_t length) {
    const exl__pieces *pieces = &t->heads;
    size_t before = out->count, start = 0;
    while (start < length) {
        uint32_t hashes[EXL__MAX_PIECE_BYTES + 1], hash = pieces->basis, id = TOKENIZER_NO_PIECE;
        size_t rest = length - start, reach = rest < pieces->longest_bytes ? rest : pieces->longest_bytes;
        for (size_t i = 0; i < reach; i++) {
            hash = exl__hash_step(hash, word[start + i]);
            hashes[i + 1] = hash;
        }
        for (; reach > 0; reach--) {
            if (reach < rest && (word[start + reach] & 0xC0) == 0x80)
                continue; /* no piece ends inside a character */
            id = tokenizer_find_piece(t, pieces, hashes[reach], word + start, reach);
            if (id != TOKENIZER_NO_PIECE)
                break;
        }
        if (id == TOKENIZER_NO_PIECE) {
            out->count = before;
            tokenizer_put(out, t->unknown_id);
            return;
        }
        tokenizer_put(out, id);
        start += reach;
        pieces = &t->tails;
    }
}

/* ---- Characters to words --------------------------------------------------------------------------------------- */

/* The word being read. `chars` stops at max_word_chars + 1: then its [UNK] is out and the rest of it is skipped. */
typedef struct tokenizer_word {
    uint8_t bytes[4 * EXL__MAX_WORD_CHARS];
    size_t length;
    size_t chars;
    size_t marks_from; /* where the marks behind the last character that is none begin */
} tokenizer_word;

static void tokenizer_end_word(const exl__tokenizer *t, tokenizer_word *w, tokenizer_output *out) {
    if (w->chars != 0 && w->chars <= t->max_word_chars)
        tokenizer_put_word(t, out, w->bytes, w->length);
    w->length = w->chars = w->marks_from = 0;
}

/* Whether the word has room for one more character. At the first one too many the word becomes [UNK]. */
static int tokenizer_has_room(const exl__tokenizer *t, tokenizer_word *w, tokenizer_output *out) {
    if (w->chars < t->max_word_chars)
        return 1;
    if (w->chars == t->max_word_chars) {
        tokenizer_put(out, t->unknown_id);
        w->chars++;
    }
    return 0;
}

static void tokenizer_append(const exl__tokenizer *t, tokenizer_word *w, tokenizer_output *out, uint32_t c) {
    if (!tokenizer_has_room(t, w, out))
        return;
    w->length += exl__encode_utf8(c, w->bytes + w->length);
    w->marks_from = w->length;
    w->chars++;
}

/* Appends a combining mark in canonical order: before the marks of higher rank that stand at the end of the word. */
static void tokenizer_append_mark(const exl__tokenizer *t, tokenizer_word *w, tokenizer_output *out, uint32_t c,
                                  uint32_t rank) {
    uint8_t encoded[4];
    size_t length = exl__encode_utf8(c, encoded), at = w->marks_from, step;
    if (!tokenizer_has_room(t, w, out))
        return;
    while (at < w->length) {
        uint32_t entry = tokenizer_character(t, exl__decode_utf8(w->bytes + at, w->bytes + w->length, &step));
        if (TOKENIZER_ACTION(entry) == TOKENIZER_MARK && TOKENIZER_ARGUMENT(entry) > rank)
            break;
        at += step;
    }
    memmove(w->bytes + at + length, w->bytes + at, w->length - at);
    memcpy(w->bytes + at, encoded, length);
    w->length += length;
    w->chars++;
}

static void tokenizer_put_isolated(const exl__tokenizer *t, tokenizer_word *w, tokenizer_output *out, uint32_t c) {
    uint8_t encoded[4];
    tokenizer_end_word(t, w, out);
    tokenizer_put_word(t, out, encoded, exl__encode_utf8(c, encoded));
}

static void tokenizer_expand(const exl__tokenizer *t, tokenizer_word *w, tokenizer_output *out, uint32_t expansion) {
    size_t from = exl__get16(t->expansions + 2 * (size_t)expansion),
           to = exl__get16(t->expansions + 2 * (size_t)expansion + 2);
    for (size_t i = from; i < to; i++) {
        uint32_t item = exl__get32(t->items + 4 * i), c = item & 0x1FFFFF;
        switch (item >> 21 & 7) {
        case TOKENIZER_ITEM_KEEP: tokenizer_append(t, w, out, c); break;
        case TOKENIZER_ITEM_ISOLATE: tokenizer_put_isolated(t, w, out, c); break;
        case TOKENIZER_ITEM_SPACE: tokenizer_end_word(t, w, out); break;
        default: tokenizer_append_mark(t, w, out, c, item >> 24); break;
        }
    }
}

static void tokenizer_read_character(const exl__tokenizer *t, tokenizer_word *w, tokenizer_output *out, uint32_t c) {
    uint32_t entry = tokenizer_character(t, c), syllable;
    switch (TOKENIZER_ACTION(entry)) {
    case TOKENIZER_KEEP: tokenizer_append(t, w, out, c); break;
    case TOKENIZER_DROP: break;
    case TOKENIZER_BARRIER: w->marks_from = w->length; break;
    case TOKENIZER_SPACE: tokenizer_end_word(t, w, out); break;
    case TOKENIZER_ISOLATE: tokenizer_put_isolated(t, w, out, c); break;
    case TOKENIZER_EXPAND: tokenizer_expand(t, w, out, TOKENIZER_ARGUMENT(entry)); break;
    case TOKENIZER_MARK: tokenizer_append_mark(t, w, out, c, TOKENIZER_ARGUMENT(entry)); break;
    default: /* Hangul: 19 leading x 21 vowel x 28 trailing consonants (0 = none); The Unicode Standard, 3.12 */
        syllable = (c - 0xAC00) % (19 * 21 * 28); /* the remainder only so that no table can make it leave the jamo */
        tokenizer_append(t, w, out, 0x1100 + syllable / (21 * 28));
        tokenizer_append(t, w, out, 0x1161 + syllable / 28 % 21);
        if (syllable % 28 != 0)
            tokenizer_append(t, w, out, 0x11A7 + syllable % 28);
    }
}

/* ---- Bytes to characters --------------------------------------------------------------------------------------- */

/* The longest added token that the text goes on with: its length, or 0. */
static size_t tokenizer_match_added(const exl__tokenizer *t, const uint8_t *p, const uint8_t *end, uint32_t *id) {
    for (size_t i = t->added_from[*p]; i < t->added_from[*p + 1]; i++) {
        uint32_t from = exl__get32(t->added + 4 * i), to = exl__get32(t->added + 4 * i + 4);
        size_t length = to - from - 4;
        if (length <= (size_t)(end - p) && memcmp(t->added_records + from + 4, p, length) == 0) {
            *id = exl__get32(t->added_records + from);
            return length;
        }
    }
    return 0;
}

static void tokenizer_read_bytes(const exl__tokenizer *t, const uint8_t *p, const uint8_t *end, tokenizer_word *w,
                                 tokenizer_output *out) {
    while (p < end && out->count < out->capacity) {
        uint32_t step = t->step[*p], id;
        size_t length;
        if (step >= 1 && step <= 127) { /* the common case: a letter or digit of ASCII */
            if (tokenizer_has_room(t, w, out)) {
                w->bytes[w->length++] = (uint8_t)step;
                w->marks_from = w->length;
                w->chars++;
            }
            p++;
        } else if (step == TOKENIZER_STEP_SPACE) {
            tokenizer_end_word(t, w, out);
            p++;
        } else if (step == TOKENIZER_STEP_ISOLATE) {
            tokenizer_put_isolated(t, w, out, *p);
            p++;
        } else if (step == TOKENIZER_STEP_DROP) {
            p++;
        } else if ((length = tokenizer_match_added(t, p, end, &id)) != 0) {
            tokenizer_end_word(t, w, out);
            tokenizer_put(out, id);
            p += length;
        } else {
            uint32_t c = exl__decode_utf8(p, end, &length);
            tokenizer_read_character(t, w, out, c);
            p += length;
        }
    }
}

static size_t tokenizer_read(const exl__tokenizer *t, const uint8_t *text, size_t text_bytes, exl__text_role role,
                             int32_t *ids, size_t capacity) {
    const uint8_t *prompt = t->prompts[role];
    size_t prompt_bytes = t->prompt_bytes[role];
    tokenizer_output out = {ids, 0, capacity};
    tokenizer_word w;

    if (t->kind != 1)
        return exl__subwords_read(&t->subwords, prompt, prompt_bytes, text, text_bytes, ids, capacity);
    w.length = w.chars = w.marks_from = 0;
    if (prompt_bytes != 0)
        tokenizer_read_bytes(t, prompt, prompt + prompt_bytes, &w, &out);
    if (text_bytes != 0)
        tokenizer_read_bytes(t, text, text + text_bytes, &w, &out);
    tokenizer_end_word(t, &w, &out);
    return out.count;
}

size_t exl__tokenize(const exl__tokenizer *t, const char *text, size_t text_bytes, exl__text_role role, int32_t *ids,
                     size_t capacity) {
    size_t before = role == EXL__AS_PIECES ? 0 : t->prefix_count, behind = role == EXL__AS_PIECES ? 0 : t->suffix_count;
    size_t count;

    if (capacity < before + behind)
        return 0;
    for (size_t i = 0; i < before; i++)
        ids[i] = (int32_t)t->prefix[i];
    count = before + tokenizer_read(t, (const uint8_t *)text, text_bytes, role, ids ? ids + before : ids,
                                    capacity - before - behind);
    for (size_t i = 0; i < behind; i++)
        ids[count++] = (int32_t)t->suffix[i];
    return count;
}

void exl__cut_tokens(const exl__tokenizer *t, int32_t *ids, size_t most) {
    for (size_t i = 0; i < t->suffix_count && i < most; i++)
        ids[most - 1 - i] = (int32_t)t->suffix[t->suffix_count - 1 - i];
}
