/* checked.h: arithmetic for every size that a file can influence. What does not fit 64 bits is EXL__TOO_MUCH and stays
 * so in whatever is computed from it (except by a factor of 0): a chain of these needs one comparison, at its end. No
 * allocation succeeds with it (memory.c), and no limit admits it. */
#ifndef EXL_CHECKED_H
#define EXL_CHECKED_H

#include <stdint.h>

#define EXL__TOO_MUCH UINT64_MAX

static inline uint64_t exl__times(uint64_t a, uint64_t b) {
    if (a == 0 || b == 0)
        return 0;
    return a > EXL__TOO_MUCH / b ? EXL__TOO_MUCH : a * b;
}

static inline uint64_t exl__plus(uint64_t a, uint64_t b) { return a > EXL__TOO_MUCH - b ? EXL__TOO_MUCH : a + b; }

/* The first multiple of `unit` from `value` on. */
static inline uint64_t exl__round_up(uint64_t value, uint64_t unit) {
    uint64_t up = exl__plus(value, unit - 1);
    return up == EXL__TOO_MUCH ? up : up - up % unit;
}

/* Whether `bytes` from `offset` on lie within `length`. */
static inline int exl__lies_within(uint64_t offset, uint64_t bytes, uint64_t length) {
    return offset <= length && bytes <= length - offset;
}

#endif
