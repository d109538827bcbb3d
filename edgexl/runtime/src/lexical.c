/* lexical.c: the lexical section, and a query's way through it: its words' terms (terms.c), the rows that they give
 * points (postings.c, added.c), and the best of these. */
#include "compiler.h"

#include "lexical.h"

#include <math.h>
#include <string.h>

#include "bytes.h"
#include "checked.h"

enum {
    LEXICAL_VERSION = 2,
    LEXICAL_HEADER_BYTES = 64,
    LEXICAL_NORMS = 256,
    LEXICAL_NARROW_ROWS = 1 << 24,
    LEXICAL_NEAR = 1638,   /* .4: an unknown word so near to a term is most likely that one, misspelt */
    LEXICAL_POINTS = 65535 /* that a query can give */
};

/* ---- the section --------------------------------------------------------------------------------------------- */

static int lexical_check_starts(const uint32_t *starts, uint32_t count, uint32_t bytes) {
    uint32_t descends = 0;

    for (uint32_t i = 0; i < count; i++)
        descends |= starts[i] > starts[i + 1];
    return starts[0] == 0 && starts[count] == bytes && !descends;
}

int exl__lexical_init(exl__lexical *x, const uint8_t *bytes, uint64_t length, uint32_t rows) {
    const uint32_t *numbers = (const uint32_t *)(const void *)(bytes + LEXICAL_HEADER_BYTES);
    uint64_t count, wide, small;
    uint32_t singles;

    if (length < LEXICAL_HEADER_BYTES || exl__get32(bytes) != LEXICAL_VERSION ||
        !exl__all_zero(bytes + 32, LEXICAL_HEADER_BYTES - 32))
        return 0;
    *x = (exl__lexical){.rows = exl__get32(bytes + 4),
                        .terms = exl__get32(bytes + 8),
                        .dense = exl__get32(bytes + 12),
                        .listed = exl__get32(bytes + 16),
                        .features = exl__get32(bytes + 20),
                        .term_bytes = exl__get32(bytes + 24),
                        .feature_bytes = exl__get32(bytes + 28)};
    if (x->rows < 1 || x->rows > rows || rows > INT32_MAX || x->terms > INT32_MAX ||
        (uint64_t)x->dense + x->listed > x->terms || x->features < 1)
        return 0;
    singles = x->terms - x->dense - x->listed;
    x->row_bytes = x->rows <= LEXICAL_NARROW_ROWS ? 3 : 4;
    x->bitmap_words = (x->rows + 31) / 32;
    wide = exl__times(x->dense, x->bitmap_words);
    count = exl__plus(wide, (uint64_t)LEXICAL_NORMS + x->dense + x->listed + 1 + x->features + 1);
    small = (uint64_t)x->row_bytes * singles + x->terms + x->rows + x->term_bytes + x->feature_bytes;
    if (exl__plus(exl__plus(exl__times(count, 4), small), LEXICAL_HEADER_BYTES) != length)
        return 0;
    x->inverse_norms = (const float *)(const void *)numbers;
    x->term_starts = numbers + LEXICAL_NORMS;
    x->feature_starts = x->term_starts + x->dense + x->listed + 1;
    x->bitmaps = x->feature_starts + x->features + 1;
    x->singles = (const uint8_t *)(x->bitmaps + wide);
    x->term_lists = x->singles + (size_t)x->row_bytes * singles;
    x->feature_lists = x->term_lists + x->term_bytes;
    x->sizes = x->feature_lists + x->feature_bytes;
    x->norms = x->sizes + x->terms; /* of one row at least: a byte behind the lists may be read */
    for (uint32_t i = 0; i < LEXICAL_NORMS; i++)
        if (!(x->inverse_norms[i] > 0 && x->inverse_norms[i] <= 1e6f)) /* NaN, too */
            return 0;
    return lexical_check_starts(x->term_starts, x->dense + x->listed, x->term_bytes) &&
           lexical_check_starts(x->feature_starts, x->features, x->feature_bytes) &&
           (x->term_bytes == 0 || x->term_lists[x->term_bytes - 1] < 128);
}

void exl__lexical_scratch_carve(const exl__lexical *x, uint32_t most, exl__carver *from,
                                exl__lexical_scratch *scratch) {
    uint64_t counts = (uint64_t)exl__lexical_counted(x) + EXL__LEXICAL_LINE;
    uint64_t matches = EXL__LEXICAL_WORDS * EXL__LEXICAL_MATCHES;

    scratch->most = most;
    scratch->touched_most = x->rows < EXL__LEXICAL_TOUCHED ? x->rows : EXL__LEXICAL_TOUCHED;
    scratch->touched_count = scratch->word_count = scratch->dense_count = scratch->given_count = 0;
    scratch->added = NULL;
    scratch->dead = NULL;
    scratch->factor = scratch->best = scratch->average = 0;
    scratch->counts = exl__carve(from, counts, 1);
    scratch->cells = exl__carve(from, x->rows, sizeof *scratch->cells);
    scratch->touched = exl__carve(from, scratch->touched_most, sizeof *scratch->touched);
    scratch->ranked = exl__carve(from, 2 * ((uint64_t)most + EXL__LEXICAL_TEN), sizeof *scratch->ranked);
    scratch->words = exl__carve(from, EXL__LEXICAL_WORDS, sizeof *scratch->words);
    scratch->dense = exl__carve(from, matches, sizeof *scratch->dense);
    scratch->given = exl__carve(from, matches, sizeof *scratch->given);
    if (from->base) {
        memset(scratch->counts, 0, (size_t)counts);
        memset(scratch->cells, 0, x->rows * sizeof *scratch->cells);
    }
}

/* Points of all matches, so that no row has more than LEXICAL_POINTS, and what a point is worth. */
static void lexical_share_points(exl__lexical_scratch *scratch) {
    uint64_t total = 0, square = 0;

    for (uint32_t w = 0; w < scratch->word_count; w++) {
        exl__lexical_word *word = &scratch->words[w];
        uint64_t best = 0;
        square += (uint64_t)word->norm_idf * word->norm_idf;
        for (uint32_t i = 0; i < word->match_count; i++) {
            uint64_t worth = (uint64_t)word->matches[i].similarity * word->matches[i].idf * word->idf;
            best = worth > best ? worth : best;
        }
        total += best;
    }
    scratch->factor = total ? (float)total / (65535.0f * 4096.0f * 256.0f) / sqrtf((float)square) : 0;
    for (uint32_t w = 0; w < scratch->word_count; w++) {
        exl__lexical_word *word = &scratch->words[w];
        for (uint32_t i = 0; i < word->match_count; i++) {
            exl__lexical_match match = word->matches[i];
            uint32_t at = i;
            match.points = (uint32_t)((uint64_t)match.similarity * match.idf * word->idf * LEXICAL_POINTS / total);
            for (; at > 0 && word->matches[at - 1].points < match.points; at--)
                word->matches[at] = word->matches[at - 1];
            word->matches[at] = match;
        }
    }
}

/* Gives a flag to words that both a dense and another term match; those for which there is none lose their dense terms.
 */
static void lexical_mark_mixed(const exl__lexical *x, exl__lexical_scratch *scratch) {
    uint32_t flags = 0;

    for (uint32_t w = 0; w < scratch->word_count; w++) {
        exl__lexical_word *word = &scratch->words[w];
        uint32_t dense = 0, kept = 0;

        for (uint32_t i = 0; i < word->match_count; i++)
            dense += word->matches[i].term < x->dense;
        word->mixed = 0;
        if (dense == 0 || dense == word->match_count)
            continue;
        if (flags < EXL__LEXICAL_MIXED) {
            word->mixed = 1u << flags++;
            continue;
        }
        for (uint32_t i = 0; i < word->match_count; i++)
            if (word->matches[i].term >= x->dense)
                word->matches[kept++] = word->matches[i];
        word->match_count = kept;
    }
}

float exl__lexical_score(const exl__lexical *x, const exl__lexical_scratch *scratch, uint32_t row) {
    if (row < x->rows)
        return (float)exl__postings_points(x, scratch, row) * scratch->factor * x->inverse_norms[x->norms[row]];
    return scratch->added ? exl__added_score(scratch, row) : 0;
}

uint32_t exl__lexical_query(const exl__lexical *x, exl__lexical_changes changes, const char *text, size_t bytes,
                            exl__lexical_scratch *scratch, uint32_t *rows, float *scores) {
    uint32_t most = scratch->most > EXL__LEXICAL_TEN ? scratch->most : EXL__LEXICAL_TEN, count;
    float sum = 0;

    scratch->added = changes.added;
    scratch->dead = changes.dead;
    exl__terms_match(x, text, bytes, scratch);
    lexical_share_points(scratch);
    lexical_mark_mixed(x, scratch);
    exl__postings_give(x, scratch);
    scratch->ranked_count = 0;
    scratch->least = 0;
    exl__postings_rank(x, scratch);
    scratch->given_count = 0;
    if (scratch->added) {
        exl__added_give(scratch);
        exl__added_rank(x, scratch);
    }
    count = exl__rank(scratch->ranked, scratch->ranked_count, most);
    scratch->best = count > 0 ? exl__rank_score(scratch->ranked[0].key) : 0;
    for (uint32_t i = 0; i < count && i < EXL__LEXICAL_TEN; i++)
        sum += exl__rank_score(scratch->ranked[i].key);
    scratch->average = sum / EXL__LEXICAL_TEN;
    count = count < scratch->most ? count : scratch->most;
    for (uint32_t i = 0; i < count; i++) {
        rows[i] = scratch->ranked[i].index;
        scores[i] = exl__rank_score(scratch->ranked[i].key);
    }
    return count;
}

void exl__lexical_features(const exl__lexical_scratch *scratch, float dense, float *out) {
    uint32_t words = scratch->word_count, unknown = 0, near = 0;
    uint64_t alike = 0, idf = 0;

    for (uint32_t w = 0; w < words; w++) {
        const exl__lexical_word *word = &scratch->words[w];
        unknown += !word->known;
        near += !word->known && word->best >= LEXICAL_NEAR;
        alike += (uint64_t)word->norm_idf * word->best;
        idf += word->norm_idf;
    }
    out[0] = 1;
    out[1] = words ? (float)unknown / (float)words : 0;
    out[2] = words ? (float)alike / ((float)idf * 4096.0f) : 0;
    out[3] = words ? (float)near / (float)words : 0;
    out[4] = dense;
    out[5] = scratch->best;
    out[6] = scratch->best - scratch->average;
    out[7] = (float)(words < EXL__LEXICAL_TEN ? words : EXL__LEXICAL_TEN) / EXL__LEXICAL_TEN;
}
