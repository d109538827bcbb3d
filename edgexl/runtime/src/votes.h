/* votes.h: what all candidate rows of a label say together: T log sum exp(score / T). */
#ifndef EXL_VOTES_H
#define EXL_VOTES_H

#include <stdint.h>

/* A row's vote, exp((score - best) / temperature) in 2^-32 and at most 2^32: whole numbers add up to the same sum in
 * any order. */
uint64_t exl__vote(float score, float best, float temperature);
/* best + temperature * log(sum of votes); sum: at least 2^32, the best row's own vote. */
float exl__votes(float best, uint64_t sum, float temperature);

#endif
