/* cells.h: which rows of a large index a query scans (docs/format.md, "Cells section"). */
#ifndef EXL_CELLS_H
#define EXL_CELLS_H

#include <stddef.h>
#include <stdint.h>

#include "rank.h"
#include "scan.h"

/* The section, once it is checked. The coarse codes lie in the order of the cells: *places*, not rows. */
typedef struct exl__cells {
    uint32_t count; /* 0: there are none, and places are rows */
    uint32_t probes;
    float margin;
    uint32_t dims;            /* of a centroid: fine_dims */
    const uint32_t *starts;   /* [count + 1], strictly ascending from 0 to the rows: the places of each cell */
    const uint32_t *rows;     /* [rows]: the row at each place, not checked */
    const uint8_t *centroids; /* [count][2 + dims]: fine codes of 8 bits */
} exl__cells;

/* What a query works in. */
typedef struct exl__cells_scratch {
    int16_t *query;          /* [dims] */
    float *scores;           /* [count] */
    exl__ranked *ranked;     /* [count] */
    uint32_t *probed;        /* [probes] */
    exl__scan_range *ranges; /* [probes] */
} exl__cells_scratch;

/* Bytes of a cells section with such sizes. */
uint64_t exl__cells_bytes(uint32_t count, uint32_t rows, uint32_t dims);

/* The ranges of places to scan for a query [dims or more], in scratch->ranges; at least one. Returns their number. */
uint32_t exl__cells_probe(exl__isa isa, const exl__cells *cells, uint32_t rows, const float *query,
                          exl__cells_scratch *scratch);

/* Places become rows. 0 where the section names a row that is not there, else 1. */
int exl__cells_rows(const exl__cells *cells, uint32_t rows, uint32_t *places, uint32_t count);

#endif
