/* bytes.h: little-endian numbers in a file's bytes, which need no alignment. */
#ifndef EXL_BYTES_H
#define EXL_BYTES_H

#include <stdint.h>

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

/* Whether all bytes are 0, as reserved ones must be. */
static inline int exl__all_zero(const uint8_t *bytes, uint64_t length) {
    uint8_t any = 0;
    for (uint64_t i = 0; i < length; i++)
        any |= bytes[i];
    return any == 0;
}

#endif
