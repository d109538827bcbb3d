/* bytes.h: little-endian numbers in a file's bytes, which need no alignment. */
#ifndef EXL_BYTES_H
#define EXL_BYTES_H

#include <stdint.h>
#include <string.h>

static inline uint16_t exl__get16(const uint8_t *at) { return (uint16_t)(at[0] | at[1] << 8); }
static inline uint32_t exl__get32(const uint8_t *at) { return exl__get16(at) | (uint32_t)exl__get16(at + 2) << 16; }
static inline uint64_t exl__get64(const uint8_t *at) { return exl__get32(at) | (uint64_t)exl__get32(at + 4) << 32; }

static inline void exl__put32(uint8_t *at, uint32_t value) {
    for (int i = 0; i < 4; i++)
        at[i] = (uint8_t)(value >> 8 * i);
}

static inline void exl__put64(uint8_t *at, uint64_t value) {
    exl__put32(at, (uint32_t)value);
    exl__put32(at + 4, (uint32_t)(value >> 32));
}

/* A step of FNV-1a in 32 bits, over bytes or code points. */
static inline uint32_t exl__hash_step(uint32_t hash, uint32_t value) { return (hash ^ value) * 0x01000193u; }

/* Whether all bytes are 0, as reserved ones must be. */
static inline int exl__all_zero(const uint8_t *bytes, uint64_t length) {
    return length == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, (size_t)(length - 1)) == 0);
}

#endif
