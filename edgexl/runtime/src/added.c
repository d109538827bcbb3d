/* added.c: the words of labels that were added (docs/format.md, "The words of added labels"): read when a label file
 * is, and what a query gives their rows. Nothing is kept of one query but in its scratch, however many rows there are.
 */
#include "compiler.h"

#include "lexical.h"

#include <math.h>
#include <string.h>

#include "checked.h"

/* ---- reading --------------------------------------------------------------------------------------------------- */

/* A term while the rows are read, by the order in which it came up. */
typedef struct added_term {
    uint64_t signature; /* of its features */
    uint32_t rows, last_row;
    uint32_t place;
    uint32_t size; /* features */
} added_term;

typedef struct added_reader {
    const exl__lexical *lexical;
    const exl__added_text *texts;
    uint32_t rows, count, slot_count;
    uint64_t words; /* of all rows, with repetitions */
    uint64_t pairs; /* of rows and terms */
    uint64_t own_features;
    added_term *terms;  /* [words] */
    uint32_t *slots;    /* [slot_count], a power of two: term + 1, or 0 */
    uint32_t *of_rows;  /* [words]: the terms of each row, each once */
    uint32_t *ends;     /* [rows], in of_rows */
    uint64_t *compiled; /* [terms of the section]: their signatures */
    uint32_t *known;    /* [words]: those of the section that rows have */
    void *memory;
    uint64_t memory_bytes;
} added_reader;

/* One of a feature; features add up, in any order. A step of splitmix64 (Steele, Lea and Flood, 2014). */
static uint64_t added_mix(uint32_t feature) {
    uint64_t z = (feature + 1ull) * 0x9E3779B97F4A7C15u;

    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

/* The term with a signature, or the empty slot where it would be. */
static uint32_t *added_slot(const added_reader *r, uint64_t signature) {
    uint32_t mask = r->slot_count - 1, slot = (uint32_t)signature & mask;

    while (r->slots[slot] != 0 && r->terms[r->slots[slot] - 1].signature != signature)
        slot = (slot + 1) & mask;
    return &r->slots[slot];
}

static uint64_t added_count_words(const added_reader *r) {
    uint64_t count = 0;
    exl__words words;
    exl__word word;

    for (uint32_t row = 0; row < r->rows; row++) {
        exl__words_start(&words, r->texts[row].text, r->texts[row].bytes);
        while (exl__words_next(&words, &word))
            count++;
    }
    return count;
}

static void added_carve_reader(added_reader *r, exl__carver *from) {
    r->terms = exl__carve(from, r->words, sizeof *r->terms);
    r->slots = exl__carve(from, r->slot_count, sizeof *r->slots);
    r->of_rows = exl__carve(from, r->words, sizeof *r->of_rows);
    r->ends = exl__carve(from, r->rows, sizeof *r->ends);
    r->compiled = exl__carve(from, r->lexical->terms, sizeof *r->compiled);
    r->known = exl__carve(from, r->words, sizeof *r->known);
}

/* A word's features; its signature. */
static uint32_t added_features(const added_reader *r, const exl__word *word, uint32_t features[EXL__WORD_POINTS],
                               uint64_t *signature) {
    uint32_t size = exl__terms_features(r->lexical, word, features);

    *signature = 0;
    for (uint32_t i = 0; i < size; i++)
        *signature += added_mix(features[i]);
    return size;
}

/* The terms of all rows, numbered as they come up. A word all of whose features are left out is passed over. */
static void added_read_rows(added_reader *r) {
    uint32_t features[EXL__WORD_POINTS];
    exl__words words;
    exl__word word;

    for (uint32_t row = 0; row < r->rows; row++) {
        exl__words_start(&words, r->texts[row].text, r->texts[row].bytes);
        while (exl__words_next(&words, &word)) {
            uint64_t signature;
            uint32_t size = added_features(r, &word, features, &signature), *slot;
            added_term *term;

            if (size == 0)
                continue;
            slot = added_slot(r, signature);
            if (*slot == 0) {
                *slot = ++r->count;
                r->terms[*slot - 1] =
                    (added_term){.signature = signature, .size = size, .last_row = UINT32_MAX, .place = EXL__NO_PLACE};
            }
            term = &r->terms[*slot - 1];
            if (term->last_row == row)
                continue;
            term->last_row = row;
            term->rows++;
            r->of_rows[r->pairs++] = *slot - 1;
        }
        r->ends[row] = (uint32_t)r->pairs;
    }
}

/* The signature of each term of the section. */
static void added_sign_compiled(const added_reader *r) {
    const exl__lexical *x = r->lexical;

    memset(r->compiled, 0, x->terms * sizeof *r->compiled);
    for (uint32_t feature = 0; feature < x->features; feature++) {
        exl__feature_list list = exl__feature_begin(x, feature);
        uint64_t mixed = added_mix(feature);

        while (exl__feature_next(&list))
            r->compiled[list.term] += mixed;
    }
}

/* Places: of the terms that the section has, in the order of its lowest with the same features; then of the others, by
 * size, in the order in which they came up. */
static void added_place_terms(added_reader *r, exl__added_words *added) {
    uint32_t of_size[EXL__WORD_POINTS + 2] = {0};

    added->known = 0;
    for (uint32_t term = 0; term < r->lexical->terms; term++) {
        uint32_t slot = *added_slot(r, r->compiled[term]);
        if (slot == 0 || r->terms[slot - 1].place != EXL__NO_PLACE)
            continue;
        r->known[added->known] = term;
        r->terms[slot - 1].place = added->known++;
    }
    added->own = r->count - added->known;
    for (uint32_t i = 0; i < r->count; i++)
        if (r->terms[i].place == EXL__NO_PLACE)
            of_size[r->terms[i].size + 1]++;
    for (uint32_t size = 1; size < EXL__WORD_POINTS + 2; size++)
        of_size[size] += of_size[size - 1];
    for (uint32_t i = 0; i < r->count; i++)
        if (r->terms[i].place == EXL__NO_PLACE) {
            r->terms[i].place = added->known + of_size[r->terms[i].size]++;
            r->own_features += r->terms[i].size;
        }
}

static void added_carve(const added_reader *r, exl__added_words *added, exl__carver *from) {
    added->known_terms = exl__carve(from, added->known, sizeof *added->known_terms);
    added->term_starts = exl__carve(from, r->count + 1ull, sizeof *added->term_starts);
    added->term_rows = exl__carve(from, r->pairs, sizeof *added->term_rows);
    added->row_starts = exl__carve(from, r->rows + 1ull, sizeof *added->row_starts);
    added->row_places = exl__carve(from, r->pairs, sizeof *added->row_places);
    added->inverse_norms = exl__carve(from, r->rows, sizeof *added->inverse_norms);
    added->sizes = exl__carve(from, added->own, sizeof *added->sizes);
    added->features = exl__carve(from, r->own_features, sizeof *added->features);
}

static void added_fill_rows(const added_reader *r, exl__added_words *added) {
    const exl__lexical *x = r->lexical;
    uint64_t rows = (uint64_t)x->rows + r->rows;

    for (uint32_t i = 0; i < r->count; i++) {
        const added_term *term = &r->terms[i];
        added->term_starts[term->place + 1] = term->rows;
        if (term->place >= added->known)
            added->sizes[term->place - added->known] = (uint8_t)term->size;
    }
    for (uint32_t place = 0; place < r->count; place++)
        added->term_starts[place + 1] += added->term_starts[place];
    for (uint32_t row = 0, at = 0; row < r->rows; row++) {
        uint64_t square = 0;

        added->row_starts[row] = at;
        for (; at < r->ends[row]; at++) {
            added_term *term = &r->terms[r->of_rows[at]];
            uint64_t count = term->place < added->known ? exl__terms_rows(x, added->known_terms[term->place]) : 0;
            uint64_t idf = exl__terms_idf(rows, count + exl__added_count(added, term->place));

            square += idf * idf;
            added->row_places[at] = term->place;
            added->term_rows[added->term_starts[term->place + 1] - term->rows--] = row;
        }
        added->inverse_norms[row] = square ? 256.0f / sqrtf((float)square) : 0;
    }
    added->row_starts[r->rows] = (uint32_t)r->pairs;
}

/* The features of the own terms: each from the first row that has it. */
static void added_fill_features(const added_reader *r, exl__added_words *added, exl__ranked *sorted) {
    uint32_t features[EXL__WORD_POINTS], count = 0;
    exl__words words;
    exl__word word;

    for (uint32_t row = 0; row < r->rows; row++) {
        exl__words_start(&words, r->texts[row].text, r->texts[row].bytes);
        while (exl__words_next(&words, &word)) {
            uint64_t signature;
            uint32_t size = added_features(r, &word, features, &signature);
            added_term *term = size ? &r->terms[*added_slot(r, signature) - 1] : NULL;

            if (!term || term->place < added->known || term->size != size)
                continue;
            for (uint32_t i = 0; i < size; i++)
                sorted[count++].key = (uint64_t)features[i] << 32 | (term->place - added->known);
            term->size = 0; /* done */
        }
    }
    exl__rank(sorted, count, count);
    for (uint32_t i = 0; i < count; i++)
        added->features[i] = sorted[i].key;
    added->feature_count = count;
}

static int added_fill(const exl_allocator *allocator, const added_reader *r, exl__added_words *added) {
    exl__carver from = {NULL, 0};
    exl__ranked *sorted = exl__allocate_scratch(allocator, r->own_features + 1, sizeof *sorted);

    added_carve(r, added, &from);
    added->memory_bytes = from.used;
    added->memory = exl__allocate(allocator, added->memory_bytes, 1);
    from = (exl__carver){added->memory, 0};
    if (sorted && added->memory) {
        added_carve(r, added, &from);
        memcpy(added->known_terms, r->known, added->known * sizeof *r->known);
        added_fill_rows(r, added);
        added_fill_features(r, added, sorted);
    }
    exl__release(allocator, sorted, r->own_features + 1, sizeof *sorted);
    return sorted && added->memory;
}

int exl__added_read(const exl_allocator *allocator, const exl__lexical *x, const exl__added_text *texts, uint32_t rows,
                    uint32_t first_row, exl__added_words *added) {
    added_reader r = {.lexical = x, .texts = texts, .rows = rows, .slot_count = 2};
    exl__carver from = {NULL, 0};
    int done = 0;

    *added = (exl__added_words){.rows = rows, .first_row = first_row};
    r.words = added_count_words(&r);
    if (r.words > INT32_MAX / 2 || (uint64_t)x->terms + r.words > INT32_MAX)
        return 0;
    while (r.slot_count < 2 * r.words)
        r.slot_count *= 2;
    added_carve_reader(&r, &from);
    r.memory_bytes = from.used;
    r.memory = exl__allocate(allocator, r.memory_bytes, 1);
    if (r.memory) {
        from = (exl__carver){r.memory, 0};
        added_carve_reader(&r, &from);
        added_read_rows(&r);
        added_sign_compiled(&r);
        added_place_terms(&r, added);
        done = added_fill(allocator, &r, added);
    }
    exl__release(allocator, r.memory, r.memory_bytes, 1);
    return done;
}

void exl__added_release(const exl_allocator *allocator, exl__added_words *added) {
    exl__release(allocator, added->memory, added->memory_bytes, 1);
    added->memory = NULL;
}

/* ---- a query --------------------------------------------------------------------------------------------------- */

uint32_t exl__added_place(const exl__added_words *added, const exl__lexical *x, uint32_t term) {
    uint32_t low = 0, high = added->known;

    if (term >= x->terms)
        return added->known + (term - x->terms);
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (added->known_terms[middle] < term)
            low = middle + 1;
        else
            high = middle;
    }
    return low < added->known && added->known_terms[low] == term ? low : EXL__NO_PLACE;
}

uint32_t exl__added_count(const exl__added_words *added, uint32_t place) {
    return added->term_starts[place + 1] - added->term_starts[place];
}

void exl__added_give(exl__lexical_scratch *scratch) {
    scratch->given_count = 0;
    for (uint32_t w = 0; w < scratch->word_count; w++)
        for (uint32_t i = 0; i < scratch->words[w].match_count; i++) {
            const exl__lexical_match *match = &scratch->words[w].matches[i];
            if (match->place != EXL__NO_PLACE)
                scratch->given[scratch->given_count++].key =
                    (uint64_t)match->place << 32 | w << 16 | (UINT16_MAX - match->points);
        }
    exl__rank(scratch->given, scratch->given_count, scratch->given_count);
}

static uint32_t added_place_of(const exl__ranked *given) { return (uint32_t)(given->key >> 32); }

/* The first match of a place, or where it would be. */
static uint32_t added_first_given(const exl__lexical_scratch *scratch, uint32_t place) {
    uint32_t low = 0, high = scratch->given_count;

    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (added_place_of(&scratch->given[middle]) < place)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* A row's points: of each word the most that one of its terms gives. */
static uint32_t added_points(const exl__lexical_scratch *scratch, uint32_t row) {
    const exl__added_words *added = scratch->added;
    uint32_t best[EXL__LEXICAL_WORDS], total = 0;
    uint64_t seen = 0; /* words, a bit each */

    for (uint32_t i = added->row_starts[row]; i < added->row_starts[row + 1]; i++) {
        uint32_t place = added->row_places[i], at = added_first_given(scratch, place);
        for (; at < scratch->given_count && added_place_of(&scratch->given[at]) == place; at++) {
            uint32_t word = scratch->given[at].key >> 16 & UINT16_MAX;
            uint32_t points = UINT16_MAX - (scratch->given[at].key & UINT16_MAX);
            if (!(seen >> word & 1))
                best[word] = 0, seen |= (uint64_t)1 << word;
            if (points > best[word])
                total += points - best[word], best[word] = points;
        }
    }
    return total;
}

static float added_score_of(const exl__lexical_scratch *scratch, uint32_t row, uint32_t points) {
    return (float)points * scratch->factor * scratch->added->inverse_norms[row];
}

float exl__added_score(const exl__lexical_scratch *scratch, uint32_t row) {
    const exl__added_words *added = scratch->added;

    if (row < added->first_row || row - added->first_row >= added->rows)
        return 0;
    row -= added->first_row;
    return added_score_of(scratch, row, added_points(scratch, row));
}

/* Gives its points to those of a match's rows that are among `count` from `from` on, where no better match of the word
 * has been. A cell: points, and the last word + 1. */
static void added_give_rows(const exl__added_words *added, exl__lexical_match *match, uint32_t mark, uint32_t from,
                            uint32_t count, uint32_t *cells) {
    uint32_t end = added->term_starts[match->place + 1];

    for (; match->next < end && added->term_rows[match->next] - from < count; match->next++) {
        uint32_t *cell = &cells[added->term_rows[match->next] - from];
        if ((*cell & UINT16_MAX) != mark)
            *cell = ((*cell >> 16) + match->points) << 16 | mark;
    }
}

void exl__added_rank(const exl__lexical *x, exl__lexical_scratch *scratch) {
    const exl__added_words *added = scratch->added;
    uint32_t *cells = (uint32_t *)(void *)scratch->counts; /* which are 0, and are left so */
    uint32_t most = exl__lexical_counted(x) / sizeof *cells;

    for (uint32_t w = 0; w < scratch->word_count; w++)
        for (uint32_t i = 0; i < scratch->words[w].match_count; i++)
            if (scratch->words[w].matches[i].place != EXL__NO_PLACE)
                scratch->words[w].matches[i].next = added->term_starts[scratch->words[w].matches[i].place];
    for (uint32_t from = 0, count; from < added->rows; from += count) {
        count = added->rows - from < most ? added->rows - from : most;
        for (uint32_t w = 0; w < scratch->word_count; w++)
            for (uint32_t i = 0; i < scratch->words[w].match_count; i++)
                if (scratch->words[w].matches[i].place != EXL__NO_PLACE)
                    added_give_rows(added, &scratch->words[w].matches[i], w + 1, from, count, cells);
        for (uint32_t i = 0; i < count; i++)
            if (cells[i])
                exl__lexical_offer(scratch, added_score_of(scratch, from + i, cells[i] >> 16),
                                   added->first_row + from + i);
        memset(cells, 0, count * sizeof *cells);
    }
}
