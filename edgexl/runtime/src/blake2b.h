/* blake2b.h: BLAKE2b (RFC 7693), which minisign signs instead of the file itself. */
#ifndef EXL_BLAKE2B_H
#define EXL_BLAKE2B_H

#include <stddef.h>
#include <stdint.h>

/* Of 64 bytes, without a key. */
void exl__blake2b_of(const void *bytes, size_t length, uint8_t digest[64]);

#endif
