/* terms.c: from words to terms. A word's features count how many of them each term has; the most alike ones are its
 * matches, those of the section and those that only added labels have. */
#include "compiler.h"

#include "lexical.h"

#include <string.h>

enum {
    TERMS_SHORT = 6,    /* of a word up to so long, pairs are features, too */
    TERMS_ALIKE = 1229, /* .3 */
    TERMS_LEAST_IDF = 13,
    TERMS_LN2 = 45426,      /* in 2^-16 */
    TERMS_GROUP_BYTES = 17, /* at most, without far steps */
    TERMS_LANES = 8         /* bytes of a number that does arithmetic of them all */
};

static const uint64_t TERMS_EVERY = 0x0101010101010101u, TERMS_HIGH = 0x8080808080808080u;

/* ---- what a term weighs ---------------------------------------------------------------------------------------- */

uint32_t exl__terms_rows(const exl__lexical *x, uint32_t term) {
    const uint8_t *at;

    if (term >= x->dense + x->listed || x->term_starts[term] == x->term_starts[term + 1])
        return 1;
    at = x->term_lists + x->term_starts[term];
    return exl__lexical_number(&at);
}

/* log2(x) in 2^-16, a bit of the fraction a squaring. x > 0 */
static uint32_t terms_log2(uint64_t x) {
    uint32_t whole = 63 - (uint32_t)__builtin_clzll(x);
    uint64_t mantissa = x << (63 - whole) >> 32;

    for (int bit = 0; bit < 16; bit++) {
        mantissa = mantissa * mantissa >> 31;
        whole = 2 * whole + (uint32_t)(mantissa >> 32);
        mantissa >>= mantissa >> 32;
    }
    return whole;
}

uint32_t exl__terms_idf(uint64_t rows, uint64_t count) {
    uint32_t all = terms_log2(2 * rows + 2), some = terms_log2(2 * count + 1);
    uint32_t idf = all > some ? (uint32_t)((uint64_t)(all - some) * TERMS_LN2 >> 24) : 0;

    return idf > TERMS_LEAST_IDF ? idf : TERMS_LEAST_IDF;
}

/* ---- a word's features ----------------------------------------------------------------------------------------- */

static uint32_t terms_hash(uint32_t hash, const uint32_t *points, uint32_t count) {
    for (uint32_t i = 0; i < count; i++)
        hash = exl__hash_step(hash, points[i]);
    hash ^= hash >> 15;
    hash *= 0x2C1B3C6Du;
    return hash ^ hash >> 13;
}

static int terms_is_left_out(const exl__lexical *x, uint32_t feature) {
    uint32_t at = x->feature_starts[feature];
    return x->feature_starts[feature + 1] - at == 1 && x->feature_lists[at] == 0;
}

static void terms_add_feature(const exl__lexical *x, uint32_t hash, uint32_t *features, uint32_t *count) {
    uint32_t feature = (uint32_t)((uint64_t)hash * x->features >> 32);

    for (uint32_t i = 0; i < *count; i++)
        if (features[i] == feature)
            return;
    if (!terms_is_left_out(x, feature))
        features[(*count)++] = feature;
}

uint32_t exl__terms_features(const exl__lexical *x, const exl__word *word, uint32_t features[EXL__WORD_POINTS]) {
    uint32_t edged[EXL__WORD_POINTS + 2] = {0}, count = 0; /* 0 stands on both sides */

    if (word->exact) {
        terms_add_feature(x, terms_hash(0x9E3779B9u, word->points, word->count), features, &count);
        return count;
    }
    memcpy(edged + 1, word->points, word->count * sizeof *edged);
    for (uint32_t i = 0; i < word->count; i++)
        terms_add_feature(x, terms_hash(0x811C9DC5u, edged + i, 3), features, &count);
    for (uint32_t i = 0; i <= word->count && word->count <= TERMS_SHORT; i++)
        terms_add_feature(x, terms_hash(0x811C9DC5u, edged + i, 2), features, &count);
    return count;
}

/* ---- the terms that are like a word ---------------------------------------------------------------------------- */

/* A step of a group; 0 where it is a far one, or leads beyond the terms. */
EXL__INLINE int terms_step(exl__feature_list *list, uint32_t wide, uint8_t *counts) {
    uint32_t step = exl__get16(list->at) & (0xffu | wide * 0xff00u), term = list->term + step + 1;

    if (step == EXL__LEXICAL_FAR || term >= list->terms)
        return 0;
    list->at += 1 + wide;
    list->term = term;
    counts[term]++;
    return 1;
}

/* Counts a feature for each of its terms: whole groups of steps at once, and what is left as it comes. */
static void terms_count(const exl__lexical *x, uint32_t feature, uint8_t *counts) {
    exl__feature_list list = exl__feature_begin(x, feature);

    while (list.end - list.at > TERMS_GROUP_BYTES && list.kinds == 1) {
        list.kinds = *list.at++ | 0x100u;
        for (int i = 0; i < 8 && terms_step(&list, list.kinds & 1, counts); i++)
            list.kinds >>= 1;
        while (list.kinds != 1 && exl__feature_next(&list))
            counts[list.term]++;
    }
    while (exl__feature_next(&list))
        counts[list.term]++;
}

static void terms_keep(exl__lexical_word *word, uint32_t term, uint32_t similarity) {
    uint32_t at = word->match_count;

    if (at < EXL__LEXICAL_MATCHES)
        word->match_count++;
    else
        at--;
    for (; at > 0 && word->matches[at - 1].similarity < similarity; at--)
        word->matches[at] = word->matches[at - 1];
    word->matches[at] = (exl__lexical_match){.term = term, .similarity = similarity, .place = EXL__NO_PLACE};
}

/* The similarity that a later term needs in order to be kept. */
static uint32_t terms_needed(const exl__lexical_word *word) {
    if (word->match_count < EXL__LEXICAL_MATCHES)
        return TERMS_ALIKE;
    return word->matches[EXL__LEXICAL_MATCHES - 1].similarity + 1;
}

/* The fewest features in common that make two words of so many features as similar as `least`. */
static uint32_t terms_fewest(uint32_t features, uint32_t least) {
    uint32_t fewest = (least * features + 2 * EXL__LEXICAL_SAME - 1) / (2 * EXL__LEXICAL_SAME);

    return fewest < 1 ? 1 : fewest > 127 ? 127 : fewest;
}

/* The highest bit of each of 8 counts that is at least `fewest`, 1 to 127. What is wrong of counts from 128 on, of a
 * damaged section, makes a look in vain, or one too few. */
EXL__INLINE uint64_t terms_reached(const uint8_t *counts, uint32_t fewest) {
    uint64_t lanes;

    memcpy(&lanes, counts, sizeof lanes);
    return ((lanes + (0x80 - fewest) * TERMS_EVERY) | lanes) & TERMS_HIGH;
}

/* Whether one of a line's counts may be as many, as above: a loop that compilers make one of wide vectors. */
EXL__INLINE int terms_any_reached(const uint8_t *counts, uint32_t fewest) {
    uint8_t any = 0, more = (uint8_t)(0x80 - fewest);

    for (int i = 0; i < EXL__LEXICAL_LINE; i++)
        any |= (uint8_t)((uint8_t)(counts[i] + more) | counts[i]);
    return any >> 7;
}

/* Terms that are counted together, ascending in size: it says for many of them together how many features are too few.
 */
typedef struct terms_class {
    uint32_t first, count; /* the first one's number */
    const uint8_t *sizes;
    const uint8_t *counts; /* with readable bytes up to a line behind */
} terms_class;

/* Keeps those terms of a class that are more like the word than the others. */
static void terms_choose_of(const terms_class *c, uint32_t size, exl__lexical_word *word) {
    for (uint32_t line = 0; line < c->count; line += EXL__LEXICAL_LINE) {
        uint32_t fewest = terms_fewest(size + c->sizes[line], terms_needed(word));

        if (!terms_any_reached(c->counts + line, fewest))
            continue;
        for (uint32_t at = line; at < line + EXL__LEXICAL_LINE; at += TERMS_LANES)
            for (uint64_t left = terms_reached(c->counts + at, fewest); left; left &= left - 1) {
                uint32_t i = at + (uint32_t)__builtin_ctzll(left) / 8, similarity;

                if (i >= c->count)
                    return;
                similarity = 2 * EXL__LEXICAL_SAME * (uint32_t)c->counts[i] / (size + c->sizes[i]);
                if (similarity >= terms_needed(word))
                    terms_keep(word, c->first + i, similarity < EXL__LEXICAL_SAME ? similarity : EXL__LEXICAL_SAME);
            }
    }
}

/* Of the section's terms; leaves the counts 0. */
static void terms_choose(const exl__lexical *x, const uint32_t *features, uint32_t size, uint8_t *counts,
                         exl__lexical_word *word) {
    uint32_t ends[3] = {x->dense, x->dense + x->listed, x->terms};

    for (uint32_t i = 0; i < size; i++)
        terms_count(x, features[i], counts);
    for (uint32_t kind = 0, first = 0; kind < 3; first = ends[kind++])
        terms_choose_of(&(terms_class){first, ends[kind] - first, x->sizes + first, counts + first}, size, word);
    memset(counts, 0, x->terms);
}

/* The place of a feature's first own term. */
static uint32_t terms_first_added(const exl__added_words *added, uint32_t feature) {
    uint32_t low = 0, high = added->feature_count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (added->features[middle] >> 32 < feature)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Of the terms that only added rows have, as many at a time as there are counts; leaves these 0. */
static void terms_choose_added(const exl__lexical *x, const exl__added_words *added, const uint32_t *features,
                               uint32_t size, uint8_t *counts, exl__lexical_word *word) {
    uint32_t most = exl__lexical_counted(x), next[EXL__WORD_POINTS];

    for (uint32_t i = 0; i < size; i++)
        next[i] = terms_first_added(added, features[i]);
    for (uint32_t from = 0, count, any; from < added->own; from += count) {
        count = added->own - from < most ? added->own - from : most;
        any = 0;
        for (uint32_t i = 0; i < size; i++)
            for (; next[i] < added->feature_count && added->features[next[i]] >> 32 == features[i] &&
                   (uint32_t)added->features[next[i]] - from < count;
                 next[i]++, any++)
                counts[(uint32_t)added->features[next[i]] - from]++;
        if (any == 0)
            continue;
        terms_choose_of(&(terms_class){x->terms + from, count, added->sizes + from, counts}, size, word);
        memset(counts, 0, count);
    }
}

/* What the word, its terms found, is worth. */
static void terms_weigh_word(const exl__lexical *x, const exl__added_words *added, exl__lexical_word *word) {
    uint64_t rows = (uint64_t)x->rows + (added ? added->rows : 0);
    uint32_t most = exl__terms_idf(rows, 1);
    uint64_t weights = 0, similarities = 0;

    for (uint32_t i = 0; i < word->match_count; i++) {
        exl__lexical_match *match = &word->matches[i];
        uint64_t count = match->term < x->terms ? exl__terms_rows(x, match->term) : 0;
        match->place = added ? exl__added_place(added, x, match->term) : EXL__NO_PLACE;
        if (match->place != EXL__NO_PLACE)
            count += exl__added_count(added, match->place);
        match->idf = exl__terms_idf(rows, count);
        weights += (uint64_t)match->similarity * match->idf;
        similarities += match->similarity;
    }
    word->best = word->match_count ? word->matches[0].similarity : 0;
    word->known = word->best == EXL__LEXICAL_SAME;
    word->norm_idf = word->known ? word->matches[0].idf : most;
    word->idf = word->known                                     ? word->norm_idf
                : similarities && weights / similarities < most ? (uint32_t)(weights / similarities)
                                                                : most;
}

static int terms_is_new(const exl__lexical_scratch *scratch, const exl__word *word) {
    for (uint32_t i = 0; i < scratch->word_count; i++) {
        const exl__word *other = &scratch->words[i].word;
        if (other->count == word->count && other->exact == word->exact &&
            memcmp(other->points, word->points, word->count * sizeof *word->points) == 0)
            return 0;
    }
    return 1;
}

void exl__terms_match(const exl__lexical *x, const char *text, size_t bytes, exl__lexical_scratch *scratch) {
    exl__words words;

    scratch->word_count = 0;
    exl__words_start(&words, text, bytes);
    while (scratch->word_count < EXL__LEXICAL_WORDS) {
        exl__lexical_word *word = &scratch->words[scratch->word_count];
        uint32_t features[EXL__WORD_POINTS], size;

        if (!exl__words_next(&words, &word->word))
            break;
        if (!terms_is_new(scratch, &word->word))
            continue;
        size = exl__terms_features(x, &word->word, features);
        word->match_count = 0;
        terms_choose(x, features, size, scratch->counts, word);
        if (scratch->added)
            terms_choose_added(x, scratch->added, features, size, scratch->counts, word);
        terms_weigh_word(x, scratch->added, word);
        scratch->word_count++;
    }
}
