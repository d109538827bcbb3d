/* test_scan_crew.c: any number of threads finds what one finds, scan after scan, and all of them end; in a child made
 * by fork, where they are not, the same is found. Also run under the thread sanitizer. */
#define _POSIX_C_SOURCE 200809L

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../src/scan_crew.h"

static uint32_t state = 1;

static uint8_t draw(void) {
    state = state * 1664525u + 1013904223u;
    return (uint8_t)(state >> 24);
}

static int check(uint32_t rows, uint32_t threads, uint32_t keep) {
    enum { SUBSPACES = 6, SCANS = 5 };
    size_t code_bytes = (size_t)((rows + 255) / 256) * SUBSPACES / 2 * 256;
    uint8_t *codes = malloc(code_bytes), tables[SUBSPACES * 16];
    size_t dead_bytes = (size_t)((rows + 255) / 256) * 32;
    uint64_t *some_dead = malloc(dead_bytes);
    uint32_t most = keep < rows ? keep : rows, *wanted = malloc(most * 4), *found = malloc(most * 4);
    uint16_t *wanted_scores = malloc(most * 2), *scores = malloc(most * 2);
    size_t scratch_bytes = exl__scan_scratch_bytes(rows, SUBSPACES, keep);
    void *scratch = aligned_alloc(64, (scratch_bytes + 63) / 64 * 64);
    exl__scan_crew *crew = exl__scan_crew_open(&exl__default_allocator, threads, rows, SUBSPACES, keep);
    int failures = crew == NULL;
    for (size_t i = 0; i < code_bytes; i++)
        codes[i] = draw();
    for (size_t i = 0; i < dead_bytes; i++)
        ((uint8_t *)some_dead)[i] = draw();
    for (int scan = 0; scan < SCANS && crew; scan++) {
        for (uint32_t i = 0; i < sizeof tables; i++)
            tables[i] = (uint8_t)(draw() % (scan % 4 + 1)); /* few levels: ties that only the row's number breaks */
        const uint64_t *dead = scan % 2 ? some_dead : NULL;
        exl__scan_codes scanned = {EXL__SCALAR, rows, SUBSPACES, codes, dead};
        exl__scan_query alone = {tables, scratch, wanted, wanted_scores, 0}, shared = {tables, NULL, found, scores, 0};
        uint32_t count = exl__scan(&scanned, NULL, 0, keep, &alone);
        for (uint32_t i = 0; i < count && dead; i++)
            failures += (int)(dead[wanted[i] / 64] >> wanted[i] % 64 & 1);
        memset(found, 0xa5, most * 4);
        scanned.isa = exl__isa_best();
        failures += exl__scan_crew_run(crew, &scanned, &shared) != count || memcmp(found, wanted, count * 4) != 0 ||
                    memcmp(scores, wanted_scores, count * 2) != 0;
    }
    exl__scan_crew_close(crew);
    free(codes);
    free(some_dead);
    free(wanted);
    free(found);
    free(wanted_scores);
    free(scores);
    free(scratch);
    if (failures)
        printf("scan crew: %u rows, %u threads, keep %u: %d scans differ\n", rows, threads, keep, failures);
    return failures;
}

/* A child scans with the crew of its parent and closes it; so does its child. */
static int scan_in_a_child(exl__scan_crew *crew, const exl__scan_codes *codes, const uint8_t *tables, uint32_t count,
                           const uint32_t *wanted, int generation) {
    enum { KEEP = 40 };
    uint32_t found[KEEP];
    uint16_t scores[KEEP];
    exl__scan_query query = {tables, NULL, found, scores, 0};
    int state = 0;
    pid_t child = fork();

    if (child == 0) {
        int failures;
        alarm(20); /* a child that waits for threads that it has not would do so for ever */
        failures =
            exl__scan_crew_run(crew, codes, &query) != count || memcmp(found, wanted, count * sizeof *found) != 0;
        if (generation > 0)
            failures += scan_in_a_child(crew, codes, tables, count, wanted, generation - 1);
        exl__scan_crew_close(crew);
        _exit(failures);
    }
    return child < 0 || waitpid(child, &state, 0) != child || !WIFEXITED(state) || WEXITSTATUS(state) != 0;
}

static int check_forks(void) {
    enum { ROWS = 1000, KEEP = 40, SUBSPACES = 6 };
    static uint8_t codes[4 * SUBSPACES / 2 * 256], tables[SUBSPACES * 16];
    uint32_t wanted[KEEP], count;
    uint16_t scores[KEEP];
    exl__scan_codes scanned = {EXL__SCALAR, ROWS, SUBSPACES, codes, NULL};
    exl__scan_query query = {tables, NULL, wanted, scores, 0};
    exl__scan_crew *crew = exl__scan_crew_open(&exl__default_allocator, 4, ROWS, SUBSPACES, KEEP);
    int failures = crew == NULL;

    for (size_t i = 0; i < sizeof codes; i++)
        codes[i] = draw();
    for (size_t i = 0; i < sizeof tables; i++)
        tables[i] = draw() % 16;
    failures += scan_in_a_child(crew, &scanned, tables, 0, wanted, -1) == 0; /* a wrong answer is seen */
    count = exl__scan_crew_run(crew, &scanned, &query);
    failures += count != KEEP;
    failures += scan_in_a_child(crew, &scanned, tables, count, wanted, 1);
    failures += exl__scan_crew_run(crew, &scanned, &query) != count;
    exl__scan_crew_close(crew);
    if (failures)
        printf("scan crew: forks go wrong\n");
    return failures;
}

static void *no_memory(void *context, size_t bytes) {
    (void)context;
    (void)bytes;
    return NULL;
}

static void no_release(void *context, void *memory, size_t bytes) {
    (void)context;
    (void)memory;
    (void)bytes;
}

int main(void) {
    static const uint32_t rows[] = {1, 256, 257, 1000, 20000}, threads[] = {1, 2, 3, 64, 1000}, keeps[] = {1, 40, 3000};
    const exl_allocator empty = {sizeof empty, NULL, no_memory, no_release};
    int failures = exl__scan_crew_open(&empty, 4, 1000, 6, 40) != NULL;
    for (size_t r = 0; r < sizeof rows / sizeof *rows; r++)
        for (size_t t = 0; t < sizeof threads / sizeof *threads; t++)
            for (size_t k = 0; k < sizeof keeps / sizeof *keeps; k++)
                failures += check(rows[r], threads[t], keeps[k]);
    failures += check_forks();
    exl__scan_crew_close(NULL);
    printf("scan crew: %d failures\n", failures);
    return failures != 0;
}
