#include "compiler.h"

#include "votes.h"

#include "exp_log.h"

static const double VOTES_ONE = 4294967296.0; /* a vote of the best row */

uint64_t exl__vote(float score, float best, float temperature) {
    double behind = ((double)score - (double)best) / (double)temperature;
    return (uint64_t)(exl__exp(behind) * VOTES_ONE + 0.5);
}

float exl__votes(float best, uint64_t sum, float temperature) {
    return (float)((double)best + (double)temperature * exl__log((double)sum / VOTES_ONE));
}
