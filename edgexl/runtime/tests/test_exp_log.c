/* test_exp_log.c: the library's own exp and log beside those of this machine's C library. */
#include <math.h>

#include "../src/exp_log.h"
#include "testing.h"

int main(void) {
    for (double x = -40; x <= 40; x += 0.0078125 / 3) {
        double true_exp = exp(x), true_log = x > -35 ? log(true_exp) : 0;

        CHECK(fabs(exl__exp(x) - true_exp) <= (4 + fabs(x)) * 2e-16 * true_exp);
        CHECK(x <= -35 || fabs(exl__log(true_exp) - true_log) <= 1e-15 * fabs(true_log));
    }
    CHECK(exl__exp(0) == 1 && exl__log(1) == 0);
    CHECK(exl__exp(-701) == 0 && exl__exp((double)-INFINITY) == 0 && exl__exp((double)NAN) == 0);
    CHECK(exl__exp(1e300) == exl__exp(700) && isfinite(exl__exp(700)));
    puts("exp_log: all passed");
    return 0;
}
