/* postings.c: from terms to the section's rows, in which they stand: a row has the points of its best term for each
 * word. */
#include "compiler.h"

#include "lexical.h"

#include "bytes.h"

/* A cell of a row. */
enum {
    POSTINGS_BROUGHT = 1 << EXL__LEXICAL_MIXED, /* by a dense term, without points */
    POSTINGS_WORD_SHIFT = EXL__LEXICAL_MIXED + 1,
    POSTINGS_WORD_BITS = 6,
    POSTINGS_POINTS_SHIFT = POSTINGS_WORD_SHIFT + POSTINGS_WORD_BITS
};

static const uint32_t POSTINGS_WORD_MASK = ((1u << POSTINGS_WORD_BITS) - 1) << POSTINGS_WORD_SHIFT;

/* ---- rows ---------------------------------------------------------------------------------------------------- */

static int postings_has(const exl__lexical *x, uint32_t dense_term, uint32_t row) {
    return (int)(x->bitmaps[(size_t)dense_term * x->bitmap_words + row / 32] >> row % 32 & 1);
}

/* Points of the word's best dense term that the row has. */
static uint32_t postings_dense_points(const exl__lexical *x, const exl__lexical_word *word, uint32_t row) {
    for (uint32_t i = 0; i < word->match_count; i++)
        if (word->matches[i].term < x->dense && postings_has(x, word->matches[i].term, row))
            return word->matches[i].points;
    return 0;
}

typedef struct postings_giver {
    const exl__lexical *lexical;
    exl__lexical_scratch *scratch;
    const exl__lexical_word *word;
    uint32_t mark; /* the word's number and flag, in a cell */
    uint32_t points;
    int asks; /* nonzero: a dense term of the word may give more */
} postings_giver;

EXL__INLINE void postings_give(const postings_giver *giver, uint32_t row) {
    exl__lexical_scratch *scratch = giver->scratch;
    uint32_t cell = scratch->cells[row], points = giver->points;

    if ((cell & POSTINGS_WORD_MASK) == (giver->mark & POSTINGS_WORD_MASK))
        return; /* a better term of the word was here */
    if (!cell) {
        if (scratch->touched_count == scratch->touched_most)
            return;
        scratch->touched[scratch->touched_count++] = row;
    }
    if (giver->asks) {
        uint32_t dense = postings_dense_points(giver->lexical, giver->word, row);
        points = dense > points ? dense : points;
    }
    scratch->cells[row] = ((cell & ~POSTINGS_WORD_MASK) | giver->mark) + (points << POSTINGS_POINTS_SHIFT);
}

static void postings_give_listed(const exl__lexical *x, uint32_t term, const postings_giver *giver) {
    const uint8_t *at = x->term_lists + x->term_starts[term], *end = x->term_lists + x->term_starts[term + 1];
    uint64_t next = 0; /* one more than the last row */

    if (at < end)
        exl__lexical_number(&at); /* how many there are */
    while (at < end) {
        uint32_t step = exl__lexical_number(&at);
        next += step;
        if (step == 0 || next > x->rows)
            break;
        postings_give(giver, (uint32_t)next - 1);
    }
}

static void postings_give_single(const exl__lexical *x, uint32_t single, const postings_giver *giver) {
    const uint8_t *at = x->singles + (size_t)single * x->row_bytes;
    uint32_t row = exl__get16(at) | (uint32_t)at[2] << 16 | (x->row_bytes > 3 ? (uint32_t)at[3] << 24 : 0);

    if (row < x->rows)
        postings_give(giver, row);
}

static void postings_give_word(const exl__lexical *x, exl__lexical_scratch *scratch, uint32_t w, uint32_t number) {
    const exl__lexical_word *word = &scratch->words[w];
    postings_giver giver = {x, scratch, word, number << POSTINGS_WORD_SHIFT | word->mixed, 0, 0};

    for (uint32_t i = 0; i < word->match_count; i++) {
        uint32_t term = word->matches[i].term;
        giver.points = word->matches[i].points;
        if (term >= x->terms) /* of added rows alone */
            continue;
        if (term < x->dense)
            giver.asks = word->mixed != 0;
        else if (term - x->dense < x->listed)
            postings_give_listed(x, term, &giver);
        else
            postings_give_single(x, term - x->dense - x->listed, &giver);
    }
}

/* A dense term brings those of its rows that have little else, so that a text of such words finds some. */
static void postings_bring(const exl__lexical *x, uint32_t dense_term, exl__lexical_scratch *scratch) {
    const uint8_t *at = x->term_lists + x->term_starts[dense_term];
    const uint8_t *end = x->term_lists + x->term_starts[dense_term + 1];
    uint64_t next = 0; /* one more than the last row */

    if (at < end)
        exl__lexical_number(&at); /* how many rows it has */
    while (at < end && scratch->touched_count < scratch->touched_most) {
        uint32_t step = exl__lexical_number(&at), row;
        next += step;
        if (step == 0 || next > x->rows)
            break;
        row = (uint32_t)next - 1;
        if (scratch->cells[row])
            continue;
        scratch->cells[row] = POSTINGS_BROUGHT;
        scratch->touched[scratch->touched_count++] = row;
    }
}

/* The rows of all words, those of most worth first. */
static void postings_give_all(const exl__lexical *x, exl__lexical_scratch *scratch) {
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
        postings_give_word(x, scratch, order[i], i + 1);
    for (uint32_t i = 0; i < scratch->dense_count; i++)
        postings_bring(x, scratch->dense[i].term, scratch);
}

/* Dense terms of the words in the order of these, a word's by descending points. */
static void postings_list_dense(const exl__lexical *x, exl__lexical_scratch *scratch) {
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

uint32_t exl__postings_points(const exl__lexical *x, const exl__lexical_scratch *scratch, uint32_t row) {
    uint32_t cell = scratch->cells[row], points = cell >> POSTINGS_POINTS_SHIFT;
    uint32_t given = UINT32_MAX; /* the last word with a dense term that the row has */

    for (uint32_t i = 0; i < scratch->dense_count; i++) {
        const exl__lexical_dense *dense = &scratch->dense[i];
        if (dense->word != given && !(cell & dense->mixed) && postings_has(x, dense->term, row)) {
            points += dense->points;
            given = dense->word;
        }
    }
    return points;
}

void exl__postings_give(const exl__lexical *x, exl__lexical_scratch *scratch) {
    postings_list_dense(x, scratch);
    postings_give_all(x, scratch);
}

void exl__postings_rank(const exl__lexical *x, exl__lexical_scratch *scratch) {
    for (uint32_t i = 0; i < scratch->touched_count; i++) {
        uint32_t row = scratch->touched[i], points = scratch->cells[row] >> POSTINGS_POINTS_SHIFT;
        float inverse_norm = x->inverse_norms[x->norms[row]];

        if ((float)(points + scratch->dense_most) * scratch->factor * inverse_norm < scratch->least)
            continue;
        if (scratch->dead && scratch->dead[row / 64] >> row % 64 & 1)
            continue;
        if (scratch->dense_count > 0)
            points = exl__postings_points(x, scratch, row);
        exl__lexical_offer(scratch, (float)points * scratch->factor * inverse_norm, row);
    }
}
