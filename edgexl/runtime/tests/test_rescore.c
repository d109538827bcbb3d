/* test_rescore.c: f16 for every value, and every kernel that this processor has against plain sums. Rows are allocated
 * to the byte, so that the address sanitizer sees a read beyond one. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../src/rescore.h"

static uint32_t state = 1;

static uint32_t draw(uint32_t below) {
    state = state * 1664525u + 1013904223u;
    return (uint32_t)(((uint64_t)(state >> 8) * below) >> 24);
}

static int check_f16(void) {
    for (uint32_t half = 0; half < 65536; half++) {
        int exponent = (int)(half >> 10 & 31), fraction = (int)(half & 1023);
        double sign = half & 0x8000 ? -1.0 : 1.0, expected;
        if (exponent == 31)
            expected = fraction ? (double)NAN : sign * (double)INFINITY;
        else
            expected = sign * ldexp(exponent ? 1024 + fraction : fraction, (exponent ? exponent : 1) - 25);
        float value = exl__f16_to_f32((uint16_t)half);
        int same = isnan(expected) ? isnan(value) : (double)value == expected && !signbit(value) == !signbit(expected);
        if (!same) {
            printf("rescore: half %04x is %g, not %g\n", half, (double)value, expected);
            return 1;
        }
    }
    return 0;
}

static int32_t naive_value(const uint8_t *codes, uint32_t fine_bits, uint32_t i) {
    if (fine_bits == 2)
        return 2 * (codes[i / 4] >> (2 * (i % 4)) & 3) - 3;
    if (fine_bits == 4)
        return 2 * (codes[i / 2] >> (4 * (i % 2)) & 15) - 15;
    return codes[i] == 128 ? -127 : (int8_t)codes[i];
}

/* extreme: codes and query at their limits, all of one sign, where an overflow would show. */
static int check_dot(uint32_t fine_dims, uint32_t fine_bits, int extreme) {
    enum { ROWS = 20 };
    size_t stride = exl__fine_stride(fine_dims, fine_bits);
    uint8_t *codes = malloc(stride * ROWS);
    int16_t *Q = malloc(fine_dims * sizeof *Q);
    float *out = malloc((fine_dims + 4) * sizeof *out), scores[ROWS], unit = 0.37f / 2047;
    uint32_t rows[ROWS];
    int failures = 0;
    for (size_t i = 0; i < stride * ROWS; i++)
        codes[i] = (uint8_t)(extreme ? (fine_bits < 8 ? 0 : 128) : draw(256));
    for (uint32_t i = 0; i < fine_dims; i++)
        Q[i] = (int16_t)(extreme ? 2047 : (int)draw(4095) - 2047);
    for (uint32_t i = 0; i < ROWS; i++) {
        rows[i] = (i * 7) % ROWS;
        codes[i * stride] = (uint8_t)draw(256);
        codes[i * stride + 1] = (uint8_t)(i == 3 ? 0x7c : draw(0x7c)); /* row 3: not finite, read as 0 */
    }
    for (exl__isa isa = EXL__SCALAR; isa < EXL__ISAS; isa++) {
        if (!exl__isa_available(isa))
            continue;
        exl__rescore_rows(isa, codes, rows, ROWS, fine_dims, fine_bits, Q, unit, scores);
        for (uint32_t i = 0; i < ROWS; i++) {
            const uint8_t *row = codes + rows[i] * stride;
            float scale = rows[i] == 3 ? 0.0f : exl__f16_to_f32((uint16_t)(row[0] | row[1] << 8));
            int64_t dot = 0;
            uint32_t gain_dims = i % 3 == 0   ? 0
                                 : i % 3 == 1 ? fine_dims / 2
                                              : fine_dims + 3; /* also more than there are */
            exl__decompress_row(row, fine_dims, fine_bits, gain_dims, 1.3f, fine_dims + 4, out);
            for (uint32_t d = 0; d < fine_dims; d++) {
                dot += (int64_t)Q[d] * naive_value(row + 2, fine_bits, d);
                float value = scale * (float)naive_value(row + 2, fine_bits, d);
                failures += out[d] != (d < gain_dims ? value * 1.3f : value);
            }
            for (uint32_t d = fine_dims; d < fine_dims + 4; d++)
                failures += out[d] != 0.0f;
            float expected = (float)dot * scale * unit;
            if (memcmp(&scores[i], &expected, sizeof expected) != 0 ||
                exl__rescore_row(isa, row, fine_dims, fine_bits, Q, unit) != expected) {
                printf("rescore, %s: %u dims of %u bits: %g, not %g\n", exl__isa_name(isa), fine_dims, fine_bits,
                       (double)scores[i], (double)expected);
                failures++;
            }
        }
    }
    free(codes);
    free(Q);
    free(out);
    return failures;
}

static int check_query(void) {
    /* unit is 1: halves go away from zero, and the largest is 2047 */
    static const float q[8] = {2047.0f, -2047.0f, 0.5f, -0.5f, 1.5f, 0.49999997f, -3.2f, 0.0f};
    static const int16_t expected[8] = {2047, -2047, 1, -1, 2, 0, -3, 0};
    static const float odd[4] = {NAN, INFINITY, -INFINITY, 1.0f}, tiny[2] = {3e-42f, -1e-42f};
    int16_t Q[8];
    int failures = exl__quantize_query(q, 8, 0, 3.0f, Q) != 1.0f || memcmp(Q, expected, sizeof expected) != 0;
    exl__quantize_query(odd, 4, 4, 1024.0f, Q);
    failures += Q[0] != 0 || Q[1] != 2047 || Q[2] != -2047 || Q[3] != 2047;
    exl__quantize_query(tiny, 2, 1, 0.5f,
                        Q); /* a subnormal unit is rounded so coarsely that quotients leave the range */
    failures += Q[0] < 0 || Q[0] > 2047 || Q[1] > 0 || Q[1] < -2047;
    memset(Q, 1, sizeof Q);
    failures += exl__quantize_query((const float[2]){0.0f, -0.0f}, 2, 2, 7.0f, Q) != 0.0f || Q[0] != 0 || Q[1] != 0;
    /* the gain is the codes' and goes on the query: 2047 is now the first number's, and the third's steps are as wide
     */
    failures += exl__quantize_query((const float[3]){1023.5f, 0.25f, 700.6f}, 3, 2, 2.0f, Q) != 1.0f;
    failures += Q[0] != 2047 || Q[1] != 1 || Q[2] != 701;
    if (failures)
        printf("rescore: a quantized query is wrong\n");
    return failures;
}

int main(void) {
    static const uint32_t dims[] = {2, 6, 30, 32, 34, 62, 64, 96, 190, 192, 256, 384, 4096};
    int failures = check_f16() + check_query();
    for (size_t d = 0; d < sizeof dims / sizeof *dims; d++)
        for (uint32_t bits = dims[d] % 4 ? 4 : 2; bits <= 8; bits *= 2)
            for (int extreme = 0; extreme < 2; extreme++)
                failures += check_dot(dims[d], bits, extreme);
    printf("rescore: %d failures\n", failures);
    return failures != 0;
}
