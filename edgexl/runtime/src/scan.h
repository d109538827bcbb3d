/* scan.h: the coarse scan over all rows of a label index (docs/format.md, "Coarse codes section").
 *
 * A row is M nibbles; each selects one of 16 entries of its subspace's table, and the row's score is the sum of the
 * M entries. Everything after the tables is integer arithmetic, so every kernel gives the same candidates. */
#ifndef EXL_SCAN_H
#define EXL_SCAN_H

#include <stddef.h>
#include <stdint.h>

/* Instruction sets that have kernels. A kernel may only be asked for where exl__isa_available says so. */
typedef enum exl__isa {
    EXL__SCALAR,
    EXL__SSSE3,
    EXL__AVX2,
    EXL__AVX512,
    EXL__VBMI,
    EXL__NEON,
    EXL__WASM,
    EXL__ISAS /* how many */
} exl__isa;

exl__isa exl__isa_best(void);
int exl__isa_available(exl__isa isa);
const char *exl__isa_name(exl__isa isa);

/* Rows of a block of the coarse codes. */
#define EXL__SCAN_BLOCK 256u

/* q: [subspaces * subspace_dims]; codebook: [subspaces][16][subspace_dims]; tables: [subspaces][16], of which any
 * entries of the four subspaces 4g to 4g + 3 add up to at most 255, so that a kernel may add them as bytes.
 * Numbers that are not finite give entries of 0, never undefined behaviour. */
void exl__scan_tables(const float *q, const float *codebook, uint32_t subspaces, uint32_t subspace_dims,
                      uint8_t *tables);

/* Bytes of scratch that a query needs; the scratch must be aligned to 64. */
size_t exl__scan_scratch_bytes(uint32_t rows, uint32_t subspaces, uint32_t keep);

/* The coarse codes of rows, and the kernels that scan them. */
typedef struct exl__scan_codes {
    exl__isa isa;
    uint32_t rows, subspaces; /* subspaces: even, 2 to 256 */
    const uint8_t *bytes;     /* [ceil(rows / 256)][subspaces / 2][256] */
    const uint64_t *dead;     /* [ceil(rows / 256)][4] words: rows whose bit is 1 are none; null: all are */
} exl__scan_codes;

typedef struct exl__scan_query {
    const uint8_t *tables; /* [subspaces][16] as above */
    void *scratch;
    uint32_t *out_rows; /* [min(keep, rows)], as out_scores */
    uint16_t *out_scores;
    uint32_t count; /* set: how many were found */
} exl__scan_query;

/* Rows from the first of a block up to `to`: the end of a block, or of all rows. */
typedef struct exl__scan_range {
    uint32_t from, to;
} exl__scan_range;

/* The `keep` rows of highest score (all rows when there are fewer), by score descending, ties by row ascending: of the
 * ranges alone, which ascend and do not overlap, or of all rows (null). Returns their number. */
uint32_t exl__scan(const exl__scan_codes *codes, const exl__scan_range *ranges, uint32_t range_count, uint32_t keep,
                   exl__scan_query *query);
/* exl__scan of all rows for each of the queries, with the same results: the codes come from memory once for all of
 * them. */
void exl__scan_batch(const exl__scan_codes *codes, uint32_t keep, exl__scan_query *queries, uint32_t query_count);

/* The most parts that a scan may be divided into. */
#define EXL__SCAN_PARTS 64u

/* exl__scan for the rows that parts of the codes hold: each part has been scanned on its own (on a thread of its own),
 * part i from row part_starts[i] on (ascending, multiples of 256), with rows counted from there. Merges what they found
 * into out_rows and out_scores [min(keep, rows of all parts)] as if one scan had been over all. Returns their number.
 * part_count: 1 to EXL__SCAN_PARTS. */
uint32_t exl__scan_merge(const exl__scan_query *parts, const uint32_t *part_starts, uint32_t part_count, uint32_t keep,
                         uint32_t *out_rows, uint16_t *out_scores);

/* A kernel scores the 256 rows of one block and marks those with score >= minimum: bit r % 64 of above[r / 64].
 * scores[r] is written for every marked row r; the others may be left as they were. */
typedef void exl__scan_kernel(const uint8_t *block, uint32_t code_bytes, const uint8_t *tables, uint16_t minimum,
                              uint16_t scores[EXL__SCAN_BLOCK], uint64_t above[EXL__SCAN_BLOCK / 64]);

exl__scan_kernel exl__scan_block_scalar;
#if defined(__x86_64__)
exl__scan_kernel exl__scan_block_ssse3;
exl__scan_kernel exl__scan_block_avx2;
exl__scan_kernel exl__scan_block_avx512;
exl__scan_kernel exl__scan_block_vbmi;
#elif defined(__aarch64__)
exl__scan_kernel exl__scan_block_neon;
#elif defined(__wasm_simd128__)
exl__scan_kernel exl__scan_block_wasm;
#endif

#endif
