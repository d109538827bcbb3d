/* lexical.c: scoring. A word's features count how many of them each term of the vocabulary has; the most alike terms
 * give the rows that they stand in points, a row those of its best term for each word. */
#include "compiler.h"

#include "lexical.h"

#include <math.h>
#include <string.h>

#include "bytes.h"
#include "checked.h"

enum {
    LEXICAL_VERSION = 1,
    LEXICAL_HEADER_BYTES = 64,
    LEXICAL_NORMS = 256,
    LEXICAL_NARROW_ROWS = 1 << 24,
    LEXICAL_SHORT = 6,      /* of a word up to so long, pairs are features, too */
    LEXICAL_SAME = 4096,    /* the similarity of a term that has the same features */
    LEXICAL_ALIKE = 1229,   /* .3 */
    LEXICAL_NEAR = 1638,    /* .4: an unknown word so near to a term is most likely that one, misspelt */
    LEXICAL_POINTS = 65535, /* that a query can give */
    LEXICAL_TEN = 10,       /* best rows, whose mean is a feature */
    LEXICAL_LEAST_IDF = 13,
    LEXICAL_LN2 = 45426,              /* in 2^-16 */
    LEXICAL_LINE = 64,                /* counts that are looked at together */
    LEXICAL_LANES = 8,                /* bytes of a number that does arithmetic of them all */
    LEXICAL_FAR = LEXICAL_LANES * 127 /* that the bytes of a list lead on at most */
};

static const uint64_t LEXICAL_EVERY = 0x0101010101010101u, LEXICAL_HIGH = 0x8080808080808080u;

/* A cell of a row. */
enum {
    LEXICAL_MIXED_BITS = 9,
    LEXICAL_BROUGHT = 1 << LEXICAL_MIXED_BITS, /* by a dense term, without points */
    LEXICAL_WORD_SHIFT = LEXICAL_MIXED_BITS + 1,
    LEXICAL_WORD_BITS = 6,
    LEXICAL_POINTS_SHIFT = LEXICAL_WORD_SHIFT + LEXICAL_WORD_BITS
};

static const uint32_t LEXICAL_WORD_MASK = ((1u << LEXICAL_WORD_BITS) - 1) << LEXICAL_WORD_SHIFT;

/* ---- the section --------------------------------------------------------------------------------------------- */

static int lexical_check_starts(const uint32_t *starts, uint32_t count, uint32_t bytes, const uint8_t *lists) {
    uint32_t descends = 0;

    for (uint32_t i = 0; i < count; i++)
        descends |= starts[i] > starts[i + 1];
    return starts[0] == 0 && starts[count] == bytes && !descends && (bytes == 0 || lists[bytes - 1] < 128);
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
    if (x->rows < 1 || x->rows > rows || rows > INT32_MAX || (uint64_t)x->dense + x->listed > x->terms ||
        x->features < 1)
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
    x->sizes = x->singles + (size_t)x->row_bytes * singles;
    x->norms = x->sizes + x->terms;
    x->term_lists = x->norms + x->rows;
    x->feature_lists = x->term_lists + x->term_bytes;
    for (uint32_t i = 0; i < LEXICAL_NORMS; i++)
        if (!(x->inverse_norms[i] > 0 && x->inverse_norms[i] <= 1e6f)) /* NaN, too */
            return 0;
    return lexical_check_starts(x->term_starts, x->dense + x->listed, x->term_bytes, x->term_lists) &&
           lexical_check_starts(x->feature_starts, x->features, x->feature_bytes, x->feature_lists);
}

void exl__lexical_scratch_carve(const exl__lexical *x, uint32_t most, exl__carver *from,
                                exl__lexical_scratch *scratch) {
    uint64_t counts = (uint64_t)x->terms + LEXICAL_LINE;

    scratch->most = most;
    scratch->touched_most = x->rows < EXL__LEXICAL_TOUCHED ? x->rows : EXL__LEXICAL_TOUCHED;
    scratch->touched_count = scratch->word_count = scratch->dense_count = 0;
    scratch->factor = scratch->best = scratch->average = 0;
    scratch->counts = exl__carve(from, counts, 1);
    scratch->cells = exl__carve(from, x->rows, sizeof *scratch->cells);
    scratch->touched = exl__carve(from, scratch->touched_most, sizeof *scratch->touched);
    scratch->ranked = exl__carve(from, 2 * ((uint64_t)most + LEXICAL_TEN), sizeof *scratch->ranked);
    scratch->words = exl__carve(from, EXL__LEXICAL_WORDS, sizeof *scratch->words);
    scratch->dense = exl__carve(from, EXL__LEXICAL_WORDS * EXL__LEXICAL_MATCHES, sizeof *scratch->dense);
    if (from->base) {
        memset(scratch->counts, 0, (size_t)counts);
        memset(scratch->cells, 0, x->rows * sizeof *scratch->cells);
    }
}

/* The next number of a list. The last byte of all lists ends a number, so that none leaves them. */
EXL__INLINE uint32_t lexical_number(const uint8_t **at) {
    uint32_t byte = *(*at)++, number = byte & 127;

    for (int shift = 7; byte >= 128; shift += 7) {
        byte = *(*at)++;
        if (shift < 32)
            number |= (byte & 127) << shift;
    }
    return number;
}

static uint32_t lexical_term_count(const exl__lexical *x, uint32_t term) {
    const uint8_t *at;

    if (term >= x->dense + x->listed || x->term_starts[term] == x->term_starts[term + 1])
        return 1;
    at = x->term_lists + x->term_starts[term];
    return lexical_number(&at);
}

/* log2(x) in 2^-16, a bit of the fraction a squaring. x > 0 */
static uint32_t lexical_log2(uint64_t x) {
    uint32_t whole = 63 - (uint32_t)__builtin_clzll(x);
    uint64_t mantissa = x << (63 - whole) >> 32;

    for (int bit = 0; bit < 16; bit++) {
        mantissa = mantissa * mantissa >> 31;
        whole = 2 * whole + (uint32_t)(mantissa >> 32);
        mantissa >>= mantissa >> 32;
    }
    return whole;
}

/* log((rows + 1) / (count + .5)) in 1/256, at least .05 */
static uint32_t lexical_idf(uint32_t rows, uint32_t count) {
    uint32_t all = lexical_log2(2ull * rows + 2), some = lexical_log2(2ull * count + 1);
    uint32_t idf = all > some ? (uint32_t)((uint64_t)(all - some) * LEXICAL_LN2 >> 24) : 0;

    return idf > LEXICAL_LEAST_IDF ? idf : LEXICAL_LEAST_IDF;
}

/* ---- words and terms ----------------------------------------------------------------------------------------- */

static uint32_t lexical_hash(uint32_t hash, const uint32_t *points, uint32_t count) {
    for (uint32_t i = 0; i < count; i++)
        hash = (hash ^ points[i]) * 0x01000193u;
    hash ^= hash >> 15;
    hash *= 0x2C1B3C6Du;
    return hash ^ hash >> 13;
}

static void lexical_add_feature(const exl__lexical *x, uint32_t hash, uint32_t *features, uint32_t *count) {
    uint32_t feature = (uint32_t)((uint64_t)hash * x->features >> 32);

    for (uint32_t i = 0; i < *count; i++)
        if (features[i] == feature)
            return;
    features[(*count)++] = feature;
}

/* A word's features, each once. */
static uint32_t lexical_features_of(const exl__lexical *x, const exl__word *word, uint32_t features[EXL__WORD_POINTS]) {
    uint32_t edged[EXL__WORD_POINTS + 2] = {0}, count = 0; /* 0 stands on both sides */

    if (word->exact) {
        lexical_add_feature(x, lexical_hash(0x9E3779B9u, word->points, word->count), features, &count);
        return count;
    }
    memcpy(edged + 1, word->points, word->count * sizeof *edged);
    for (uint32_t i = 0; i < word->count; i++)
        lexical_add_feature(x, lexical_hash(0x811C9DC5u, edged + i, 3), features, &count);
    for (uint32_t i = 0; i <= word->count && word->count <= LEXICAL_SHORT; i++)
        lexical_add_feature(x, lexical_hash(0x811C9DC5u, edged + i, 2), features, &count);
    return count;
}

/* Counts a feature for each of its terms; 0 where its list is left out. */
static int lexical_count(const exl__lexical *x, uint32_t feature, uint8_t *counts) {
    const uint8_t *at = x->feature_lists + x->feature_starts[feature];
    const uint8_t *end = x->feature_lists + x->feature_starts[feature + 1];
    uint32_t term = UINT32_MAX;

    if (end - at == 1 && *at == 0)
        return 0;
    while (at < end) {
        uint64_t lanes;

        if (end - at >= LEXICAL_LANES &&
            (uint64_t)(term + 1) + LEXICAL_FAR <= x->terms) { /* most numbers are of one byte */
            memcpy(&lanes, at, sizeof lanes);
            if (!(lanes & LEXICAL_HIGH)) {
                for (int i = 0; i < LEXICAL_LANES; i++)
                    counts[term += at[i]]++;
                at += LEXICAL_LANES;
                continue;
            }
        }
        term += lexical_number(&at);
        if (term >= x->terms)
            break;
        counts[term]++;
    }
    return 1;
}

static void lexical_keep(exl__lexical_word *word, uint32_t term, uint32_t similarity) {
    uint32_t at = word->match_count;

    if (at < EXL__LEXICAL_MATCHES)
        word->match_count++;
    else
        at--;
    for (; at > 0 && word->matches[at - 1].similarity < similarity; at--)
        word->matches[at] = word->matches[at - 1];
    word->matches[at] = (exl__lexical_match){.term = term, .similarity = similarity};
}

/* The similarity that a later term needs in order to be kept. */
static uint32_t lexical_needed(const exl__lexical_word *word) {
    if (word->match_count < EXL__LEXICAL_MATCHES)
        return LEXICAL_ALIKE;
    return word->matches[EXL__LEXICAL_MATCHES - 1].similarity + 1;
}

/* The fewest features in common that make two words of so many features as similar as `least`. */
static uint32_t lexical_fewest(uint32_t features, uint32_t least) {
    uint32_t fewest = (least * features + 2 * LEXICAL_SAME - 1) / (2 * LEXICAL_SAME);

    return fewest < 1 ? 1 : fewest > 127 ? 127 : fewest;
}

/* The highest bit of each of 8 counts that is at least `fewest`, 1 to 127. What is wrong of counts from 128 on, of a
 * damaged section, makes a look in vain, or one too few. */
EXL__INLINE uint64_t lexical_reached(const uint8_t *counts, uint32_t fewest) {
    uint64_t lanes;

    memcpy(&lanes, counts, sizeof lanes);
    return ((lanes + (0x80 - fewest) * LEXICAL_EVERY) | lanes) & LEXICAL_HIGH;
}

/* Keeps those terms of a class, first to end, that are more like the word than the others. They ascend in size, which
 * says for many of them together how many features are too few. */
static void lexical_choose_of(const exl__lexical *x, uint32_t first, uint32_t end, uint32_t size, const uint8_t *counts,
                              exl__lexical_word *word) {
    for (uint32_t line = first; line < end; line += LEXICAL_LINE) {
        uint32_t fewest = lexical_fewest(size + x->sizes[line], lexical_needed(word));
        uint64_t any = 0;

        for (uint32_t at = line; at < line + LEXICAL_LINE; at += LEXICAL_LANES)
            any |= lexical_reached(counts + at, fewest);
        for (uint32_t at = line; any && at < line + LEXICAL_LINE; at += LEXICAL_LANES)
            for (uint64_t left = lexical_reached(counts + at, fewest); left; left &= left - 1) {
                uint32_t term = at + (uint32_t)__builtin_ctzll(left) / 8, similarity;

                if (term >= end)
                    return;
                similarity = 2 * LEXICAL_SAME * (uint32_t)counts[term] / (size + x->sizes[term]);
                if (similarity >= lexical_needed(word))
                    lexical_keep(word, term, similarity < LEXICAL_SAME ? similarity : LEXICAL_SAME);
            }
    }
}

/* The terms that are most like the word; leaves the counts 0. */
static void lexical_choose(const exl__lexical *x, uint32_t size, uint8_t *counts, exl__lexical_word *word) {
    uint32_t single = x->dense + x->listed;

    word->match_count = 0;
    lexical_choose_of(x, 0, x->dense, size, counts, word);
    lexical_choose_of(x, x->dense, single, size, counts, word);
    lexical_choose_of(x, single, x->terms, size, counts, word);
    memset(counts, 0, x->terms);
}

/* What the word, its terms found, is worth. */
static void lexical_weigh_word(const exl__lexical *x, exl__lexical_word *word) {
    uint32_t most = lexical_idf(x->rows, 1);
    uint64_t weights = 0, similarities = 0;

    for (uint32_t i = 0; i < word->match_count; i++) {
        exl__lexical_match *match = &word->matches[i];
        match->idf = lexical_idf(x->rows, lexical_term_count(x, match->term));
        weights += (uint64_t)match->similarity * match->idf;
        similarities += match->similarity;
    }
    word->best = word->match_count ? word->matches[0].similarity : 0;
    word->known = word->best == LEXICAL_SAME;
    word->norm_idf = word->known ? word->matches[0].idf : most;
    word->idf = word->known                                     ? word->norm_idf
                : similarities && weights / similarities < most ? (uint32_t)(weights / similarities)
                                                                : most;
}

static int lexical_is_new(const exl__lexical_scratch *scratch, const exl__word *word) {
    for (uint32_t i = 0; i < scratch->word_count; i++) {
        const exl__word *other = &scratch->words[i].word;
        if (other->count == word->count && other->exact == word->exact &&
            memcmp(other->points, word->points, word->count * sizeof *word->points) == 0)
            return 0;
    }
    return 1;
}

static void lexical_read(const exl__lexical *x, const char *text, size_t bytes, exl__lexical_scratch *scratch) {
    exl__words words;

    scratch->word_count = 0;
    exl__words_start(&words, text, bytes);
    while (scratch->word_count < EXL__LEXICAL_WORDS) {
        exl__lexical_word *word = &scratch->words[scratch->word_count];
        uint32_t features[EXL__WORD_POINTS], count, size = 0;

        if (!exl__words_next(&words, &word->word))
            break;
        if (!lexical_is_new(scratch, &word->word))
            continue;
        count = lexical_features_of(x, &word->word, features);
        for (uint32_t i = 0; i < count; i++)
            size += (uint32_t)lexical_count(x, features[i], scratch->counts);
        lexical_choose(x, size, scratch->counts, word);
        lexical_weigh_word(x, word);
        scratch->word_count++;
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

/* ---- rows ---------------------------------------------------------------------------------------------------- */

static int lexical_has(const exl__lexical *x, uint32_t dense_term, uint32_t row) {
    return (int)(x->bitmaps[(size_t)dense_term * x->bitmap_words + row / 32] >> row % 32 & 1);
}

/* Points of the word's best dense term that the row has. */
static uint32_t lexical_dense_points(const exl__lexical *x, const exl__lexical_word *word, uint32_t row) {
    for (uint32_t i = 0; i < word->match_count; i++)
        if (word->matches[i].term < x->dense && lexical_has(x, word->matches[i].term, row))
            return word->matches[i].points;
    return 0;
}

typedef struct lexical_giver {
    const exl__lexical *lexical;
    exl__lexical_scratch *scratch;
    const exl__lexical_word *word;
    uint32_t mark; /* the word's number and flag, in a cell */
    uint32_t points;
    int asks; /* nonzero: a dense term of the word may give more */
} lexical_giver;

EXL__INLINE void lexical_give(const lexical_giver *giver, uint32_t row) {
    exl__lexical_scratch *scratch = giver->scratch;
    uint32_t cell = scratch->cells[row], points = giver->points;

    if ((cell & LEXICAL_WORD_MASK) == (giver->mark & LEXICAL_WORD_MASK))
        return; /* a better term of the word was here */
    if (!cell) {
        if (scratch->touched_count == scratch->touched_most)
            return;
        scratch->touched[scratch->touched_count++] = row;
    }
    if (giver->asks) {
        uint32_t dense = lexical_dense_points(giver->lexical, giver->word, row);
        points = dense > points ? dense : points;
    }
    scratch->cells[row] = ((cell & ~LEXICAL_WORD_MASK) | giver->mark) + (points << LEXICAL_POINTS_SHIFT);
}

static void lexical_give_listed(const exl__lexical *x, uint32_t term, const lexical_giver *giver) {
    const uint8_t *at = x->term_lists + x->term_starts[term], *end = x->term_lists + x->term_starts[term + 1];
    uint32_t row = UINT32_MAX;

    if (at < end)
        lexical_number(&at); /* how many there are */
    while (at < end) {
        row += lexical_number(&at);
        if (row >= x->rows)
            break;
        lexical_give(giver, row);
    }
}

static void lexical_give_single(const exl__lexical *x, uint32_t single, const lexical_giver *giver) {
    const uint8_t *at = x->singles + (size_t)single * x->row_bytes;
    uint32_t row = exl__get16(at) | (uint32_t)at[2] << 16 | (x->row_bytes > 3 ? (uint32_t)at[3] << 24 : 0);

    if (row < x->rows)
        lexical_give(giver, row);
}

static void lexical_give_word(const exl__lexical *x, exl__lexical_scratch *scratch, uint32_t w, uint32_t number) {
    const exl__lexical_word *word = &scratch->words[w];
    lexical_giver giver = {x, scratch, word, number << LEXICAL_WORD_SHIFT | word->mixed, 0, 0};

    for (uint32_t i = 0; i < word->match_count; i++) {
        uint32_t term = word->matches[i].term;
        giver.points = word->matches[i].points;
        if (term < x->dense)
            giver.asks = word->mixed != 0;
        else if (term - x->dense < x->listed)
            lexical_give_listed(x, term, &giver);
        else
            lexical_give_single(x, term - x->dense - x->listed, &giver);
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
        if (flags < LEXICAL_MIXED_BITS) {
            word->mixed = 1u << flags++;
            continue;
        }
        for (uint32_t i = 0; i < word->match_count; i++)
            if (word->matches[i].term >= x->dense)
                word->matches[kept++] = word->matches[i];
        word->match_count = kept;
    }
}

/* A dense term brings those of its rows that have little else, so that a text of such words finds some. */
static void lexical_bring(const exl__lexical *x, uint32_t dense_term, exl__lexical_scratch *scratch) {
    const uint8_t *at = x->term_lists + x->term_starts[dense_term];
    const uint8_t *end = x->term_lists + x->term_starts[dense_term + 1];
    uint32_t row = UINT32_MAX;

    if (at < end)
        lexical_number(&at); /* how many rows it has */
    while (at < end && scratch->touched_count < scratch->touched_most) {
        row += lexical_number(&at);
        if (row >= x->rows)
            break;
        if (scratch->cells[row])
            continue;
        scratch->cells[row] = LEXICAL_BROUGHT;
        scratch->touched[scratch->touched_count++] = row;
    }
}

/* The rows of all words, those of most worth first. */
static void lexical_give_all(const exl__lexical *x, exl__lexical_scratch *scratch) {
    uint8_t order[EXL__LEXICAL_WORDS];

    for (uint32_t i = 0; i < scratch->touched_count; i++)
        scratch->cells[scratch->touched[i]] = 0;
    scratch->touched_count = 0;
    for (uint32_t w = 0; w < scratch->word_count; w++) {
        uint32_t at = w;
        for (; at > 0 && scratch->words[order[at - 1]].idf < scratch->words[w].idf; at--)
            order[at] = order[at - 1];
        order[at] = (uint8_t)w;
    }
    for (uint32_t i = 0; i < scratch->word_count; i++)
        lexical_give_word(x, scratch, order[i], i + 1);
    for (uint32_t i = 0; i < scratch->dense_count; i++)
        lexical_bring(x, scratch->dense[i].term, scratch);
}

/* Dense terms of the words in the order of these, a word's by descending points. */
static void lexical_list_dense(const exl__lexical *x, exl__lexical_scratch *scratch) {
    scratch->dense_count = scratch->dense_most = 0;
    for (uint32_t w = 0; w < scratch->word_count; w++) {
        const exl__lexical_word *word = &scratch->words[w];
        uint32_t before = scratch->dense_count;
        for (uint32_t i = 0; i < word->match_count; i++)
            if (word->matches[i].term < x->dense)
                scratch->dense[scratch->dense_count++] =
                    (exl__lexical_dense){word->matches[i].term, word->matches[i].points, word->mixed, w};
        scratch->dense_most += scratch->dense_count > before ? scratch->dense[before].points : 0;
    }
}

float exl__lexical_score(const exl__lexical *x, const exl__lexical_scratch *scratch, uint32_t row) {
    uint32_t cell, points, given = UINT32_MAX; /* the last word with a dense term that the row has */

    if (row >= x->rows)
        return 0;
    cell = scratch->cells[row];
    points = cell >> LEXICAL_POINTS_SHIFT;
    for (uint32_t i = 0; i < scratch->dense_count; i++) {
        const exl__lexical_dense *dense = &scratch->dense[i];
        if (dense->word != given && !(cell & dense->mixed) && lexical_has(x, dense->term, row)) {
            points += dense->points;
            given = dense->word;
        }
    }
    return (float)points * scratch->factor * x->inverse_norms[x->norms[row]];
}

static uint32_t lexical_rank(const exl__lexical *x, exl__lexical_scratch *scratch) {
    uint32_t most = scratch->most > LEXICAL_TEN ? scratch->most : LEXICAL_TEN, count = 0;
    float least = 0; /* of a row that may be among the best */

    for (uint32_t i = 0; i < scratch->touched_count; i++) {
        uint32_t row = scratch->touched[i],
                 largest = (scratch->cells[row] >> LEXICAL_POINTS_SHIFT) + scratch->dense_most;
        float score = (float)largest * scratch->factor * x->inverse_norms[x->norms[row]];
        if (score < least)
            continue;
        if (scratch->dense_count > 0)
            score = exl__lexical_score(x, scratch, row);
        if (score < least)
            continue;
        scratch->ranked[count++] = (exl__ranked){exl__rank_key(score, row), row};
        if (count == 2 * most) {
            count = exl__rank(scratch->ranked, count, most);
            least = exl__lexical_score(x, scratch, scratch->ranked[count - 1].index);
        }
    }
    return exl__rank(scratch->ranked, count, most);
}

uint32_t exl__lexical_query(const exl__lexical *x, const char *text, size_t bytes, exl__lexical_scratch *scratch,
                            uint32_t *rows, float *scores) {
    uint32_t count;
    float sum = 0;

    lexical_read(x, text, bytes, scratch);
    lexical_share_points(scratch);
    lexical_mark_mixed(x, scratch);
    lexical_list_dense(x, scratch);
    lexical_give_all(x, scratch);
    count = lexical_rank(x, scratch);
    scratch->best = 0;
    for (uint32_t i = 0; i < count && i < LEXICAL_TEN; i++) {
        float score = exl__lexical_score(x, scratch, scratch->ranked[i].index);
        scratch->best = i == 0 ? score : scratch->best;
        sum += score;
    }
    scratch->average = sum / LEXICAL_TEN;
    count = count < scratch->most ? count : scratch->most;
    for (uint32_t i = 0; i < count; i++) {
        rows[i] = scratch->ranked[i].index;
        scores[i] = exl__lexical_score(x, scratch, rows[i]);
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
    out[7] = (float)(words < LEXICAL_TEN ? words : LEXICAL_TEN) / LEXICAL_TEN;
}
