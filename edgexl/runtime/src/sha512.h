/* sha512.h: SHA-512 (FIPS 180-4), for Ed25519. */
#ifndef EXL_SHA512_H
#define EXL_SHA512_H

#include <stddef.h>
#include <stdint.h>

typedef struct exl__sha512 {
    uint64_t state[8];
    uint64_t bytes; /* taken in so far */
    uint8_t block[128];
} exl__sha512;

void exl__sha512_init(exl__sha512 *hash);
void exl__sha512_update(exl__sha512 *hash, const void *bytes, size_t length);
void exl__sha512_final(exl__sha512 *hash, uint8_t digest[64]);

#endif
