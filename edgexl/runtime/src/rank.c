#include "compiler.h"

#include "rank.h"

#include <string.h>

uint64_t exl__rank_key(float score, uint32_t tie) {
    uint32_t bits;

    score += 0.0f; /* -0 becomes 0 */
    memcpy(&bits, &score, sizeof bits);
    bits = bits >> 31 ? ~bits : bits | 0x80000000u; /* ascends with the score */
    return (uint64_t)~bits << 32 | tie;
}

float exl__rank_score(uint64_t key) {
    uint32_t bits = ~(uint32_t)(key >> 32);
    float score;

    bits = bits >> 31 ? bits & 0x7fffffffu : ~bits;
    memcpy(&score, &bits, sizeof score);
    return score;
}

/* A heap with the largest key at the root. */
static void rank_sift_down(exl__ranked *items, uint32_t count, uint32_t at) {
    exl__ranked item = items[at];

    for (uint32_t child; (child = 2 * at + 1) < count; at = child) {
        if (child + 1 < count && items[child + 1].key > items[child].key)
            child++;
        if (items[child].key <= item.key)
            break;
        items[at] = items[child];
    }
    items[at] = item;
}

uint32_t exl__rank(exl__ranked *items, uint32_t count, uint32_t keep) {
    if (keep > count)
        keep = count;
    for (uint32_t i = keep / 2; i > 0; i--)
        rank_sift_down(items, keep, i - 1);
    for (uint32_t i = keep; i < count && keep > 0; i++)
        if (items[i].key < items[0].key) {
            items[0] = items[i];
            rank_sift_down(items, keep, 0);
        }
    for (uint32_t left = keep; left > 1; left--) { /* the largest goes to the end of what is left */
        exl__ranked largest = items[0];
        items[0] = items[left - 1];
        items[left - 1] = largest;
        rank_sift_down(items, left - 1, 0);
    }
    return keep;
}
