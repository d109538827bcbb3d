/* codes.h: from a vector to the codes of a row (docs/format.md, "Coarse codes section" and "Fine codes section"), the
 * same bytes as the compiler writes (edgexl/index/coarse.py, edgexl/index/fine.py): every sum has one order. */
#ifndef EXL_CODES_H
#define EXL_CODES_H

#include <stdint.h>

/* codes: [subspaces / 2], one row's bytes in order. vector: [subspaces * subspace_dims], finite; codebook:
 * [subspaces][16][subspace_dims]. */
void exl__encode_coarse(const float *vector, const float *codebook, uint32_t subspaces, uint32_t subspace_dims,
                        uint8_t *codes);

/* row: exl__fine_stride bytes. vector: [fine_dims], finite; fine_dims even (2 bits: a multiple of 4). The codes of the
 * first leading_dims dimensions stand for gain times as much as those behind. scratch: [5 * fine_dims]. */
void exl__encode_fine(const float *vector, uint32_t fine_dims, uint32_t fine_bits, uint32_t leading_dims, float gain,
                      float *scratch, uint8_t *row);

/* To the nearest half, ties to the even one; infinite beyond 65504 and a half step. NaN stays NaN. */
uint16_t exl__f32_to_f16(float value);

#endif
