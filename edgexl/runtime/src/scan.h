/* scan.h: the coarse scan over all rows of a label index (FORMAT.md, "Coarse codes section").
 *
 * A row is M nibbles; each selects one of 16 entries of its subspace's table, and the row's score is the sum of the
 * M entries. Everything after the tables is integer arithmetic, so every kernel gives the same candidates. */
#ifndef EXL_SCAN_H
#define EXL_SCAN_H

#include <stddef.h>
#include <stdint.h>

/* Instruction sets that have kernels. A kernel may only be asked for where exl__isa_available says so. */
typedef enum exl__isa { EXL__SCALAR, EXL__AVX2, EXL__AVX512, EXL__NEON } exl__isa;

exl__isa exl__isa_best(void);
int exl__isa_available(exl__isa isa);
const char *exl__isa_name(exl__isa isa);

/* Rows of a block of the coarse codes. */
#define EXL__SCAN_BLOCK 256u

/* q: [subspaces * subspace_dims]; codebook: [subspaces][16][subspace_dims]; tables: [subspaces][16], entries 0 to 127.
 * Numbers that are not finite give entries of 0, never undefined behaviour. */
void exl__scan_tables(const float *q, const float *codebook, uint32_t subspaces, uint32_t subspace_dims,
                      uint8_t *tables);

/* Bytes of scratch that exl__scan needs; the scratch must be aligned to 64. */
size_t exl__scan_scratch_bytes(uint32_t rows, uint32_t subspaces, uint32_t keep);

/* The `keep` rows of highest score (all rows when there are fewer), by score descending, ties by row ascending.
 * codes: [ceil(rows / 256)][subspaces / 2][256]; tables: [subspaces][16], entries 0 to 127; subspaces even, 2 to 256.
 * out_rows, out_scores: [min(keep, rows)]. Returns their number. */
uint32_t exl__scan(exl__isa isa, const uint8_t *codes, uint32_t rows, uint32_t subspaces, const uint8_t *tables,
                   uint32_t keep, void *scratch, uint32_t *out_rows, uint16_t *out_scores);

/* A kernel scores the 256 rows of one block and marks those with score >= minimum: bit r % 64 of above[r / 64].
 * scores[r] is written for every marked row r; the others may be left as they were. */
typedef void exl__scan_kernel(const uint8_t *block, uint32_t code_bytes, const uint8_t *tables, uint16_t minimum,
                              uint16_t scores[EXL__SCAN_BLOCK], uint64_t above[EXL__SCAN_BLOCK / 64]);

exl__scan_kernel exl__scan_block_scalar;
#if defined(__x86_64__)
exl__scan_kernel exl__scan_block_avx2;
exl__scan_kernel exl__scan_block_avx512;
#elif defined(__aarch64__)
exl__scan_kernel exl__scan_block_neon;
#endif

#endif
