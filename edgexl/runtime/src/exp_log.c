#include "compiler.h"

#include "exp_log.h"

#include <stdint.h>
#include <string.h>

static const double EXP_LOG_LN2 = 0.6931471805599453;

static double exp_log_power_of_two(int32_t power) {
    uint64_t bits = (uint64_t)(power + 1023) << 52;
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

double exl__exp(double x) {
    double steps, rest, sum = 1.0;
    int32_t power;

    if (!(x >= -700.0))
        return 0.0;
    if (x > 700.0)
        x = 700.0;
    steps = x * 1.4426950408889634;
    power = (int32_t)(steps < 0 ? steps - 0.5 : steps + 0.5); /* the nearest, halves away from zero */
    rest = x - (double)power * EXP_LOG_LN2;
    for (int32_t n = 12; n > 0; n--) /* Taylor's, |rest| below 0.35 */
        sum = sum * rest / (double)n + 1.0;
    return sum * exp_log_power_of_two(power);
}

double exl__log(double x) {
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
    return (double)power * EXP_LOG_LN2 + 2.0 * ratio * sum;
}
