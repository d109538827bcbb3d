/* Scans random codes so many times: `scan_program ROWS CODE_BYTES KEEP SCANS`. What one scan more costs in instructions
 * is what a scan costs. Prints a sum over what was found, to compare processors by. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "scan.h"

static uint64_t state = 1;

static uint8_t draw(void) { /* the upper bits of a 64-bit linear congruential generator */
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (uint8_t)(state >> 56);
}

int main(int count, char **words) {
    if (count != 5)
        return 2;
    uint32_t rows = (uint32_t)atoi(words[1]), code_bytes = (uint32_t)atoi(words[2]), keep = (uint32_t)atoi(words[3]);
    size_t bytes = (size_t)(rows + 255) / 256 * 256 * code_bytes;
    uint8_t *codes = aligned_alloc(4096, (bytes + 4095) / 4096 * 4096), tables[4096];
    void *scratch = aligned_alloc(64, (exl__scan_scratch_bytes(rows, 2 * code_bytes, keep) + 63) / 64 * 64);
    uint32_t *best = malloc(keep * sizeof *best), found = 0;
    uint16_t *scores = malloc(keep * sizeof *scores);
    uint64_t sum = 0;
    exl__scan_codes scanned = {exl__isa_best(), rows, 2 * code_bytes, codes, NULL};
    exl__scan_query query = {tables, scratch, best, scores, 0};
    for (size_t i = 0; i < bytes; i++)
        codes[i] = draw();
    for (uint32_t i = 0; i < 32 * code_bytes; i++)
        tables[i] = draw() >> 2;
    for (int scan = atoi(words[4]); scan > 0; scan--)
        found = exl__scan(&scanned, NULL, 0, keep, &query);
    for (uint32_t i = 0; i < found; i++)
        sum = sum * 31 + best[i] + scores[i];
    printf("%s %" PRIu64 "\n", exl__isa_name(exl__isa_best()), sum);
    free(codes);
    free(scratch);
    free(best);
    free(scores);
    return 0;
}
