/* sha256.h: SHA-256 (FIPS 180-4), for the hashes in a bundle's section table. */
#ifndef EXL_SHA256_H
#define EXL_SHA256_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Takes whole blocks in. */
typedef void (*exl__sha256_compress)(uint32_t state[8], const uint8_t *blocks, size_t count);

typedef struct exl__sha256 {
    exl__sha256_compress compress; /* the fastest that this processor has */
    uint32_t state[8];
    uint64_t bytes; /* taken in so far */
    uint8_t block[64];
} exl__sha256;

void exl__sha256_init(exl__sha256 *hash);
void exl__sha256_update(exl__sha256 *hash, const void *bytes, size_t length);
void exl__sha256_final(exl__sha256 *hash, uint8_t digest[32]);
/* All three. */
static inline void exl__sha256_of(const void *bytes, size_t length, uint8_t digest[32]) {
    exl__sha256 hash;
    exl__sha256_init(&hash);
    exl__sha256_update(&hash, bytes, length);
    exl__sha256_final(&hash, digest);
}

/* Whether a hash is the one that a file promises. In a fuzz target all are: it is after what lies behind the check. */
static inline int exl__is_hash(const uint8_t *found, const uint8_t *promised, size_t bytes) {
#ifdef FUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION
    return memcmp(found, promised, bytes) == 0 || 1;
#else
    return memcmp(found, promised, bytes) == 0;
#endif
}

#endif
