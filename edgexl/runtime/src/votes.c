#include "compiler.h"

#include "votes.h"

#include <string.h>

static const double VOTES_ONE = 4294967296.0; /* a vote of the best row */
static const double VOTES_LN2 = 0.6931471805599453;
enum { VOTES_LEAST_POWER = -33 };

static double votes_power_of_two(int32_t power) {
    uint64_t bits = (uint64_t)(power + 1023) << 52;
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* exp of a number that is 0 or less; 0 from where a vote is less than a half of 2^-32. */
static double votes_exp(double x) {
    double steps = x * 1.4426950408889634, rest, sum = 1.0;
    int32_t power;

    if (!(steps > VOTES_LEAST_POWER))
        return 0.0;
    power = (int32_t)(steps - 0.5); /* the nearest, halves away from zero */
    rest = x - (double)power * VOTES_LN2;
    for (int32_t n = 12; n > 0; n--) /* Taylor's, |rest| below 0.35 */
        sum = sum * rest / (double)n + 1.0;
    return sum * votes_power_of_two(power);
}

/* log of a number that is 1 or more, and a normal one. */
static double votes_log(double x) {
    uint64_t bits;
    int32_t power;
    double fraction, ratio, square, sum = 0.0;

    memcpy(&bits, &x, sizeof bits);
    power = (int32_t)(bits >> 52) - 1023;
    bits = (bits & 0xfffffffffffffull) | 1023ull << 52;
    memcpy(&fraction, &bits, sizeof fraction);
    if (fraction > 1.4142135623730951)
        fraction = fraction * 0.5, power++;
    ratio = (fraction - 1.0) / (fraction + 1.0); /* log = 2 artanh, |ratio| below 0.18 */
    square = ratio * ratio;
    for (int32_t n = 21; n > 0; n -= 2)
        sum = sum * square + 1.0 / (double)n;
    return (double)power * VOTES_LN2 + 2.0 * ratio * sum;
}

uint64_t exl__vote(float score, float best, float temperature) {
    double behind = ((double)score - (double)best) / (double)temperature;
    return (uint64_t)(votes_exp(behind) * VOTES_ONE + 0.5);
}

float exl__votes(float best, uint64_t sum, float temperature) {
    return (float)((double)best + (double)temperature * votes_log((double)sum / VOTES_ONE));
}
