/* damage.h: a bundle's bytes, changed here and there and sealed again, so that damage gets past the hashes to the code
 * that reads the section. */
#ifndef EXL_DAMAGE_H
#define EXL_DAMAGE_H

#include "../src/sha256.h"
#include "testing.h"

enum { ENTRY_BYTES = 64, HEADER_BYTES = 64, ALIGNMENT_BYTES = 16384 };

static inline uint64_t get64(const uint8_t *at) {
    uint64_t value;
    memcpy(&value, at, sizeof value);
    return value;
}

static inline uint32_t get32(const uint8_t *at) {
    uint32_t value;
    memcpy(&value, at, sizeof value);
    return value;
}

static inline void put(uint8_t *at, uint64_t value, size_t bytes) { memcpy(at, &value, bytes); }

static inline void hash(const uint8_t *bytes, size_t length, uint8_t digest[32]) {
    exl__sha256 state_of;

    exl__sha256_init(&state_of);
    exl__sha256_update(&state_of, bytes, length);
    exl__sha256_final(&state_of, digest);
}

static inline uint8_t *entry_of(uint8_t *file, uint32_t kind) {
    for (uint32_t i = 0; i < get32(file + 12); i++)
        if (get32(file + HEADER_BYTES + i * ENTRY_BYTES) == kind)
            return file + HEADER_BYTES + i * ENTRY_BYTES;
    return NULL;
}

static inline void seal_table(uint8_t *file) { hash(file + HEADER_BYTES, get32(file + 12) * ENTRY_BYTES, file + 32); }

static inline void seal(uint8_t *file, uint32_t kind) {
    uint8_t *entry = entry_of(file, kind);

    hash(file + get64(entry + 8), (size_t)get64(entry + 16), entry + 24);
    seal_table(file);
}

#endif
