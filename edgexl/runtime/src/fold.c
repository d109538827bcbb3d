/* fold.c: canonical decomposition, canonical order and simple case folding, a code point at a time (The Unicode
 * Standard, 3.11 to 3.13). */
#include "compiler.h"

#include "fold.h"

#include "bytes.h"
#include "unicode_tables.h"
#include "utf8.h"

#define FOLD_COUNT_OF(table) (sizeof(table) / sizeof *(table))

enum {
    FOLD_FIRST_MARK = 0x300, /* no code point below has a combining class */
    FOLD_FIRST_SYLLABLE = 0xAC00,
    FOLD_VOWELS = 21,
    FOLD_TRAILS = 28,
    FOLD_SYLLABLES = 19 * FOLD_VOWELS * FOLD_TRAILS,
    FOLD_IN_ORDER = 256,
    FOLD_BEYOND_BMP = 0x80
};

/* ---- tables -------------------------------------------------------------------------------------------------- */

/* Whether a table has anything for a code point near this one. */
static int fold_is_listed(uint32_t c) {
    return c < FOLD_COUNT_OF(exl__pages) << 13 ? (int)(exl__pages[c >> 13] >> (c >> 8 & 31) & 1) : c >> 12 == 0x2F;
}

/* The place of the last entry whose bits from `shift` on are at most c, after those of `ignored`; count if none is. */
static size_t fold_last_up_to(const uint32_t *from, size_t count, uint32_t c, int shift, uint32_t ignored) {
    size_t low = 0, high = count;

    while (low < high) {
        size_t middle = (low + high) / 2;
        if ((from[middle] & ~ignored) >> shift <= c)
            low = middle + 1;
        else
            high = middle;
    }
    return low > 0 ? low - 1 : count;
}

/* 0 to 2 parts of a code point's decomposition, a step. */
static int fold_decompose(uint32_t c, uint32_t parts[2]) {
    size_t count = FOLD_COUNT_OF(exl__decomposed_from), run = fold_last_up_to(exl__decomposed_from, count, c, 0, 0), at;
    uint32_t second;

    if (run == count)
        return 0;
    at = exl__decomposed_at[run] + (size_t)(c - exl__decomposed_from[run]);
    if (at >= exl__decomposed_at[run + 1])
        return 0;
    second = exl__decomposed_second[at] & (FOLD_BEYOND_BMP - 1);
    parts[0] = exl__decomposed_first[at];
    if (exl__decomposed_second[at] & FOLD_BEYOND_BMP)
        parts[0] += second ? 0x10000 : 0x20000;
    parts[1] = second ? exl__seconds[second - 1] : 0;
    return second ? 2 : 1;
}

static uint32_t fold_class_of(uint32_t c) {
    size_t count = FOLD_COUNT_OF(exl__class_runs), run;

    if (c < FOLD_FIRST_MARK || !fold_is_listed(c))
        return 0;
    run = fold_last_up_to(exl__class_runs, count, c, 8, 0);
    return run < count && c - (exl__class_runs[run] >> 8) < exl__class_counts[run] ? exl__class_runs[run] & 255 : 0;
}

exl__kind exl__kind_of(uint32_t c) {
    if (c < 0x80)
        return (c | 0x20) >= 'a' && (c | 0x20) <= 'z' ? EXL__LETTER : c >= '0' && c <= '9' ? EXL__NUMBER : EXL__OTHER;
    if (c > 0x10FFFF)
        return EXL__OTHER;
    return (exl__kind)(exl__kind_runs[fold_last_up_to(exl__kind_runs, FOLD_COUNT_OF(exl__kind_runs), c, 8, 0)] & 255);
}

static uint32_t fold_case(uint32_t c) {
    const uint32_t every_other = 1u << 31;
    size_t count = FOLD_COUNT_OF(exl__fold_runs), run;
    uint32_t behind, step;

    if (c < 0x80)
        return c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c;
    if (!fold_is_listed(c))
        return c;
    run = fold_last_up_to(exl__fold_runs, count, c, 0, every_other);
    if (run == count)
        return c;
    behind = c - (exl__fold_runs[run] & ~every_other);
    step = 1 + (exl__fold_runs[run] >> 31);
    return behind % step == 0 && behind / step < exl__fold_counts[run] ? c + (uint32_t)exl__fold_to[run] : c;
}

/* ---- code points --------------------------------------------------------------------------------------------- */

/* A byte that is no UTF-8 alone: a character of its own. */
static uint32_t fold_read_point(exl__points *points) {
    size_t length;
    uint32_t c = exl__decode_utf8(points->at, points->end, &length);

    if (c == EXL__REPLACEMENT && (points->at[0] != 0xEF || length < 3)) {
        length = 1;
        c = 0x110000 + points->at[0];
    }
    points->at += length;
    return c;
}

static uint32_t fold_next_point(exl__points *points) {
    uint32_t c, parts[2];
    int count;

    if (points->left_count > 0)
        return points->left[--points->left_count];
    if (points->at == points->end)
        return EXL__NO_POINT;
    c = fold_read_point(points);
    if (c >= FOLD_FIRST_SYLLABLE && c < FOLD_FIRST_SYLLABLE + FOLD_SYLLABLES) {
        uint32_t syllable = c - FOLD_FIRST_SYLLABLE;
        if (syllable % FOLD_TRAILS != 0)
            points->left[points->left_count++] = 0x11A7 + syllable % FOLD_TRAILS;
        points->left[points->left_count++] = 0x1161 + syllable / FOLD_TRAILS % FOLD_VOWELS;
        return 0x1100 + syllable / FOLD_TRAILS / FOLD_VOWELS;
    }
    /* the first part may have a decomposition of its own, of up to 4 in all; the second never does */
    while (c >= 0x80 && fold_is_listed(c) && (count = fold_decompose(c, parts)) > 0) {
        if (count == 2)
            points->left[points->left_count++] = parts[1];
        c = parts[0];
    }
    return c;
}

void exl__fold_start(exl__folder *folder, const char *text, size_t bytes, int folds) {
    static const uint8_t NOTHING[1] = {0};
    const uint8_t *at = bytes > 0 ? (const uint8_t *)text : NOTHING;

    folder->next = (exl__points){.at = at, .end = at + bytes};
    folder->left = 0;
    folder->folds = folds;
    folder->farthest = at;
}

/* The marks that begin with a class other than 0, which was read from `first`, up to the next of class 0. */
static void fold_begin_marks(exl__folder *f, exl__points first, uint32_t class) {
    exl__points before = first;

    f->first = f->marks = first;
    f->run = f->seen = 0;
    f->class = FOLD_IN_ORDER;
    f->following = FOLD_IN_ORDER;
    for (uint32_t last = 0; class != 0; last = class, class = fold_class_of(fold_next_point(&f->next))) {
        if (class < last)
            f->class = 0;
        f->run++;
        before = f->next;
    }
    if (f->next.at > f->farthest)
        f->farthest = f->next.at;
    f->next = before;
    f->left = f->run;
}

/* The next mark: as they are, or of each class in turn those that are there. A pass over them a class needs no memory.
 */
static uint32_t fold_next_mark(exl__folder *f) {
    f->left--;
    if (f->class == FOLD_IN_ORDER)
        return fold_next_point(&f->marks);
    for (;;) {
        for (; f->seen < f->run;) {
            uint32_t c = fold_next_point(&f->marks), class = fold_class_of(c);
            f->seen++;
            if (class == f->class)
                return c;
            if (class > f->class && class < f->following)
                f->following = class;
        }
        f->class = f->following;
        f->following = FOLD_IN_ORDER;
        f->marks = f->first;
        f->seen = 0;
    }
}

uint32_t exl__fold_next(exl__folder *f) {
    exl__points before = f->next;
    uint32_t c, class;

    if (f->left > 0)
        c = fold_next_mark(f);
    else if (f->next.left_count == 0 && f->next.at < f->next.end && *f->next.at < 0x80)
        c = *f->next.at++; /* most text is no more than this */
    else {
        c = fold_next_point(&f->next);
        if (c == EXL__NO_POINT)
            return c;
        class = fold_class_of(c);
        if (class != 0) {
            fold_begin_marks(f, before, class);
            c = fold_next_mark(f);
        }
    }
    return f->folds ? fold_case(c) : c;
}

/* ---- comparing ----------------------------------------------------------------------------------------------- */

/* Of the text's bytes, those that have been looked at, and whether it ends with them. */
static size_t fold_looked_at(const exl__folder *f, const char *text) {
    const uint8_t *behind = f->next.at > f->farthest ? f->next.at : f->farthest;
    return (size_t)(behind - (const uint8_t *)text) + (behind == f->next.end);
}

int exl__begins_folded(const char *text, size_t bytes, const char *prefix, size_t prefix_bytes, size_t *decided) {
    exl__folder mine, theirs;
    uint32_t wanted = 0, found = 0;

    exl__fold_start(&mine, text, bytes, 1);
    exl__fold_start(&theirs, prefix, prefix_bytes, 1);
    while (wanted == found && (wanted = exl__fold_next(&theirs)) != EXL__NO_POINT)
        found = exl__fold_next(&mine);
    if (decided)
        *decided = bytes > 0 ? fold_looked_at(&mine, text) : 1;
    return wanted == EXL__NO_POINT;
}

int exl__equivalent(const char *a, size_t a_bytes, const char *b, size_t b_bytes) {
    exl__folder one, other;
    uint32_t c;

    exl__fold_start(&one, a, a_bytes, 0);
    exl__fold_start(&other, b, b_bytes, 0);
    do {
        c = exl__fold_next(&one);
        if (c != exl__fold_next(&other))
            return 0;
    } while (c != EXL__NO_POINT);
    return 1;
}

uint32_t exl__equivalent_hash(const char *text, size_t bytes) {
    exl__folder folder;
    uint32_t hash = 0x811C9DC5u; /* FNV-1a */

    exl__fold_start(&folder, text, bytes, 0);
    for (uint32_t c; (c = exl__fold_next(&folder)) != EXL__NO_POINT;)
        hash = exl__hash_step(hash, c);
    return hash;
}
