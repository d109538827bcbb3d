/* test_scan.c: every kernel that this processor has against a plain sort of plainly added scores.
 *
 * Built and run by ctest here and under an emulator for other processors; with the address sanitizer it also shows that
 * nothing is read outside the codes, tables and scratch, which are allocated to the byte. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../src/scan.h"

static uint32_t state = 1;

static uint32_t draw(uint32_t below) {
    state = state * 1664525u + 1013904223u;
    return (uint32_t)(((uint64_t)(state >> 8) * below) >> 24);
}

typedef struct scored {
    uint32_t row, score;
} scored;

static int better(const void *a, const void *b) {
    const scored *x = a, *y = b;
    if (x->score != y->score)
        return x->score > y->score ? -1 : 1;
    return x->row < y->row ? -1 : 1;
}

static void naive(const uint8_t *codes, uint32_t rows, uint32_t subspaces, const uint8_t *tables, scored *all) {
    uint32_t bytes = subspaces / 2;
    for (uint32_t r = 0; r < rows; r++) {
        all[r] = (scored){r, 0};
        for (uint32_t b = 0; b < bytes; b++) {
            uint8_t code = codes[((size_t)(r / 256) * bytes + b) * 256 + r % 256];
            all[r].score += tables[b * 32 + (code & 15)];
            all[r].score += tables[b * 32 + 16 + (code >> 4)];
        }
    }
    qsort(all, rows, sizeof *all, better);
}

/* Where the good rows lie: anywhere; ever better towards the end, so that the candidates are cut again and again; in
 * the blocks that the scan takes as its sample, so that it has to begin again. */
enum { ANYWHERE, RISING, IN_THE_SAMPLE, ORDERS };

/* largest: of the table entries; 0 makes every row tie, four of 63 fit a byte. */
static int check(uint32_t rows, uint32_t subspaces, uint32_t keep, uint32_t largest, int order) {
    size_t code_bytes = (size_t)((rows + 255) / 256) * subspaces / 2 * 256;
    uint32_t expected = keep < rows ? keep : rows;
    uint8_t *codes = malloc(code_bytes), *tables = malloc(subspaces * 16);
    scored *all = malloc(rows * sizeof *all);
    uint32_t *out_rows = malloc(expected * sizeof *out_rows);
    uint16_t *out_scores = malloc(expected * sizeof *out_scores);
    size_t scratch_bytes = exl__scan_scratch_bytes(rows, subspaces, keep);
    void *scratch = aligned_alloc(64, scratch_bytes);
    int failures = 0;
    for (size_t i = 0; i < code_bytes; i++)
        codes[i] = (uint8_t)draw(256);
    for (uint32_t i = 0; i < subspaces * 16; i++)
        tables[i] = (uint8_t)(order == ANYWHERE ? draw(largest + 1) : largest * (i % 16) / 15);
    for (uint32_t r = 0; r < rows && order != ANYWHERE; r++)
        for (uint32_t b = 0; b < subspaces / 2; b++) {
            uint8_t *code = &codes[((size_t)(r / 256) * (subspaces / 2) + b) * 256 + r % 256];
            if (order == RISING)
                *code = (uint8_t)((uint64_t)r * 255 / rows);
            else if (r / 256 % 16 == 0)
                *code |= 0xf8;
            else
                *code &= 0x7f;
        }
    naive(codes, rows, subspaces, tables, all);
    for (exl__isa isa = EXL__SCALAR; isa < EXL__ISAS; isa++) {
        if (!exl__isa_available(isa))
            continue;
        memset(scratch, 0xa5, scratch_bytes);
        exl__scan_codes scanned = {isa, rows, subspaces, codes, NULL};
        exl__scan_query query = {tables, scratch, out_rows, out_scores, 0};
        uint32_t count = exl__scan(&scanned, NULL, 0, keep, &query);
        int same = count == expected;
        for (uint32_t i = 0; same && i < count; i++)
            same = out_rows[i] == all[i].row && out_scores[i] == all[i].score;
        if (!same) {
            printf("scan, %s: rows %u, subspaces %u, keep %u, largest %u, order %d: not the sorted rows\n",
                   exl__isa_name(isa), rows, subspaces, keep, largest, order);
            failures++;
        }
    }
    free(codes);
    free(tables);
    free(all);
    free(out_rows);
    free(out_scores);
    free(scratch);
    return failures;
}

int main(void) {
    static const uint32_t rows[] = {1, 31, 32, 33, 63, 64, 65, 255, 256, 257, 511, 1000, 20000};
    static const uint32_t subspaces[] = {2, 6, 64}; /* an odd number of code bytes, too */
    static const uint32_t keeps[] = {1, 2, 31, 256, 700, 7000};
    static const uint32_t largest[] = {0, 1, 63};
    int failures = 0, checks = 0;
    for (size_t r = 0; r < sizeof rows / sizeof *rows; r++)
        for (size_t m = 0; m < sizeof subspaces / sizeof *subspaces; m++)
            for (size_t k = 0; k < sizeof keeps / sizeof *keeps; k++)
                for (size_t l = 0; l < sizeof largest / sizeof *largest; l++)
                    for (int order = 0; order < ORDERS; order++, checks++)
                        failures += check(rows[r], subspaces[m], keeps[k], largest[l], order);
    failures += check(1000, 256, 31, 63, ANYWHERE) + check(1000, 256, 31, 63, RISING); /* the largest sums */
    printf("scan: %d shapes, kernels:", checks);
    for (exl__isa isa = EXL__SCALAR; isa < EXL__ISAS; isa++)
        if (exl__isa_available(isa))
            printf(" %s", exl__isa_name(isa));
    printf("; %d failures\n", failures);
    return failures != 0;
}
