/* fold.h: text as people compare it: an accented letter is the letter and its accent (canonical equivalence), and case
 * may not count.
 *
 * Code points come as Unicode's normalization form D has them, each by its simple case folding where case does not
 * count; version and origin: unicode_tables.h. A byte that is no UTF-8 is a code point of its own, beyond all others.
 * Nothing is allocated, and marks in any number are put in order. */
#ifndef EXL_FOLD_H
#define EXL_FOLD_H

#include <stddef.h>
#include <stdint.h>

#define EXL__NO_POINT UINT32_MAX

/* Code points in their order in the text, decomposed. */
typedef struct exl__points {
    const uint8_t *at, *end;
    uint32_t left[4]; /* of the decomposition that is under way, the last one first */
    uint32_t left_count;
} exl__points;

typedef struct exl__folder {
    exl__points next; /* behind the marks below */
    exl__points first, marks;
    uint32_t run, seen; /* how many marks there are, and how many of them this round has looked at */
    uint32_t left;      /* that are still to come */
    uint32_t class,
        following;           /* of this round's marks, and of the next one's; 256: the marks are in order as they are */
    int folds;               /* nonzero: case does not count */
    const uint8_t *farthest; /* behind the last byte that was looked at */
} exl__folder;

void exl__fold_start(exl__folder *folder, const char *text, size_t bytes, int folds);
/* The next code point; EXL__NO_POINT at the end. */
uint32_t exl__fold_next(exl__folder *folder);

/* What a character is to a word, by its general category: L, N, M. A byte that is no UTF-8 is none of them. */
typedef enum exl__kind { EXL__OTHER, EXL__LETTER, EXL__NUMBER, EXL__IDEOGRAPH, EXL__MARK } exl__kind;

exl__kind exl__kind_of(uint32_t c);

/* Whether the text begins with the prefix, whatever the case. *decided, which may be null, is how many of the text's
 * bytes, at most one more than it has, the answer depends on: another text that begins with these has the same. */
int exl__begins_folded(const char *text, size_t bytes, const char *prefix, size_t prefix_bytes, size_t *decided);
/* Whether both are canonically equivalent. */
int exl__equivalent(const char *a, size_t a_bytes, const char *b, size_t b_bytes);
/* FNV-1a over code points: equal for equivalent texts. */
uint32_t exl__equivalent_hash(const char *text, size_t bytes);

#endif
