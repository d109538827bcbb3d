/* rank.h: the one ordering used everywhere: by score descending, ties by a number ascending. */
#ifndef EXL_RANK_H
#define EXL_RANK_H

#include <stdint.h>

/* Something to be ordered by score descending, ties by tie ascending: ascending in `key`. */
typedef struct exl__ranked {
    uint64_t key;
    uint32_t index; /* of what it stands for */
} exl__ranked;

/* score must not be NaN; -0 and 0 are the same. */
uint64_t exl__rank_key(float score, uint32_t tie);
/* The score of a key. */
float exl__rank_score(uint64_t key);
/* Puts the `keep` smallest keys in front, in order; returns how many those are. */
uint32_t exl__rank(exl__ranked *items, uint32_t count, uint32_t keep);

#endif
