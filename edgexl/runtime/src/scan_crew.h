/* scan_crew.h: the coarse scan by several threads, each over a range of the rows of its own, with the result of one. */
#ifndef EXL_SCAN_CREW_H
#define EXL_SCAN_CREW_H

#include "memory.h"
#include "scan.h"

/* WebAssembly has threads only where its host gives some: there the caller scans alone. */
#if defined(__wasm__) || defined(EXL_BARE)
enum { EXL__HAS_THREADS = 0 };
#else
enum { EXL__HAS_THREADS = 1 };
#endif

typedef struct exl__scan_crew exl__scan_crew;

/* Starts all threads but the caller's, which does its part. threads: at least 1; no more are started than there are
 * blocks of rows, nor than EXL__SCAN_PARTS. Null where memory or threads cannot be had. */
exl__scan_crew *exl__scan_crew_open(const exl_allocator *allocator, uint32_t threads, uint32_t rows, uint32_t subspaces,
                                    uint32_t keep);
/* Ends the threads. Null is allowed. In a child made by fork there are none, and the memory is given back. */
void exl__scan_crew_close(exl__scan_crew *crew);

/* exl__scan of all rows that the crew was opened for, with the same result; the query needs no scratch. One call at a
 * time. In a child made by fork the caller scans all parts. */
uint32_t exl__scan_crew_run(exl__scan_crew *crew, const exl__scan_codes *codes, exl__scan_query *query);

#endif
