/* cells.c: probing. The centroids are scored as rows are rescored, by the same kernels, so that every processor probes
 * the same cells. What is scanned are whole blocks: a cell's neighbours in its first and last block come for nothing,
 * and cells need no padding. */
#include "compiler.h"

#include "cells.h"

#include "checked.h"
#include "rescore.h"

enum { CELLS_CENTROID_BITS = 8 };

uint64_t exl__cells_bytes(uint32_t count, uint32_t rows, uint32_t dims) {
    uint64_t numbers = exl__times(4, 1ull + count + rows);
    return exl__plus(numbers, exl__times(count, exl__fine_stride(dims, CELLS_CENTROID_BITS)));
}

static void cells_score(exl__isa isa, const exl__cells *cells, const float *query, exl__cells_scratch *scratch) {
    float unit = exl__quantize_query(query, cells->dims, 0, 1.0f, scratch->query);

    exl__rescore_rows(isa, cells->centroids, NULL, cells->count, cells->dims, CELLS_CENTROID_BITS, scratch->query, unit,
                      scratch->scores);
}

static void cells_sort_ascending(uint32_t *numbers, uint32_t count) {
    for (uint32_t gap = count / 2; gap > 0; gap /= 2) /* Shell's: a few hundred numbers at most, and no memory */
        for (uint32_t i = gap; i < count; i++) {
            uint32_t number = numbers[i], at = i;
            for (; at >= gap && numbers[at - gap] > number; at -= gap)
                numbers[at] = numbers[at - gap];
            numbers[at] = number;
        }
}

/* The cells to scan, ascending: the best, but for those that fall behind the very best by more than the margin. */
static uint32_t cells_choose(exl__isa isa, const exl__cells *cells, const float *query, exl__cells_scratch *scratch) {
    uint32_t most, count = 0;
    float least;

    cells_score(isa, cells, query, scratch);
    for (uint32_t i = 0; i < cells->count; i++)
        scratch->ranked[i] = (exl__ranked){exl__rank_key(scratch->scores[i], i), i};
    most = exl__rank(scratch->ranked, cells->count, cells->probes);
    least = scratch->scores[scratch->ranked[0].index] - cells->margin;
    while (count < most && scratch->scores[scratch->ranked[count].index] >= least) {
        scratch->probed[count] = scratch->ranked[count].index;
        count++;
    }
    cells_sort_ascending(scratch->probed, count);
    return count;
}

uint32_t exl__cells_probe(exl__isa isa, const exl__cells *cells, uint32_t rows, const float *query,
                          exl__cells_scratch *scratch) {
    uint32_t probed = cells_choose(isa, cells, query, scratch), ranges = 0;

    for (uint32_t i = 0; i < probed; i++) {
        uint32_t from = cells->starts[scratch->probed[i]] / EXL__SCAN_BLOCK * EXL__SCAN_BLOCK;
        uint32_t last = (cells->starts[scratch->probed[i] + 1] - 1) / EXL__SCAN_BLOCK * EXL__SCAN_BLOCK;
        uint32_t to = rows - last < EXL__SCAN_BLOCK ? rows : last + EXL__SCAN_BLOCK;

        if (ranges > 0 && from <= scratch->ranges[ranges - 1].to)
            scratch->ranges[ranges - 1].to = to;
        else
            scratch->ranges[ranges++] = (exl__scan_range){from, to};
    }
    return ranges;
}

int exl__cells_rows(const exl__cells *cells, uint32_t rows, uint32_t *places, uint32_t count) {
    uint32_t beyond = 0;

    for (uint32_t i = 0; i < count; i++) {
        places[i] = cells->rows[places[i]];
        beyond |= places[i] >= rows;
    }
    return !beyond;
}
