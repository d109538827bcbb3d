/* test_checked.c: sums and products of sizes that would wrap. */
#include "../src/checked.h"
#include "../src/memory.h"
#include "testing.h"

int main(void) {
    exl__carver from = {NULL, 0};

    CHECK(exl__times(1ull << 32, 1ull << 32) == EXL__TOO_MUCH && exl__times(0, EXL__TOO_MUCH) == 0);
    CHECK(exl__times(3, UINT64_MAX / 3) == UINT64_MAX / 3 * 3 && exl__plus(UINT64_MAX, 1) == EXL__TOO_MUCH);
    CHECK(exl__round_up(UINT64_MAX - 3, 64) == EXL__TOO_MUCH && exl__round_up(65, 64) == 128);
    CHECK(!exl__lies_within(8, UINT64_MAX, 16) && !exl__lies_within(17, 0, 16) && exl__lies_within(16, 0, 16));
    CHECK(exl__carve(&from, 1ull << 62, 8) == NULL && from.used == EXL__TOO_MUCH);
    CHECK(exl__carve(&from, 1, 8) == NULL && from.used == EXL__TOO_MUCH);
    CHECK(exl__allocate(&exl__default_allocator, from.used, 1) == NULL);
    CHECK(exl__allocate(&exl__default_allocator, 1ull << 33, 1ull << 33) == NULL);
    puts("test_checked: done");
    return 0;
}
