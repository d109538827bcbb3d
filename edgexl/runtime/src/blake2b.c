/* blake2b.c: BLAKE2b (RFC 7693), portable: what is hashed with it is short. */
#include "compiler.h"

#include "blake2b.h"

#include <string.h>

#include "bytes.h"

static const uint64_t BLAKE2B_START[8] = {
    0x6a09e667f3bcc908, 0xbb67ae8584caa73b, 0x3c6ef372fe94f82b, 0xa54ff53a5f1d36f1,
    0x510e527fade682d1, 0x9b05688c2b3e6c1f, 0x1f83d9abfb41bd6b, 0x5be0cd19137e2179,
};
static const uint8_t BLAKE2B_SIGMA[10][16] = {
    {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}, {14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3},
    {11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4}, {7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8},
    {9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13}, {2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9},
    {12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11}, {13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10},
    {6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5}, {10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0},
};

static uint64_t blake2b_rotate(uint64_t x, int n) { return (x >> n) | (x << (64 - n)); }

static void blake2b_mix(uint64_t v[16], int a, int b, int c, int d, uint64_t x, uint64_t y) {
    v[a] += v[b] + x, v[d] = blake2b_rotate(v[d] ^ v[a], 32);
    v[c] += v[d], v[b] = blake2b_rotate(v[b] ^ v[c], 24);
    v[a] += v[b] + y, v[d] = blake2b_rotate(v[d] ^ v[a], 16);
    v[c] += v[d], v[b] = blake2b_rotate(v[b] ^ v[c], 63);
}

/* taken: bytes up to this block's end, less the zeros that fill the last one up. */
static void blake2b_compress(uint64_t state[8], const uint8_t block[128], uint64_t taken, int is_last) {
    uint64_t m[16], v[16];

    for (int i = 0; i < 16; i++)
        m[i] = exl__get64(block + 8 * i);
    memcpy(v, state, 64);
    memcpy(v + 8, BLAKE2B_START, 64);
    v[12] ^= taken;
    if (is_last)
        v[14] = ~v[14];
    for (int round = 0; round < 12; round++) {
        const uint8_t *s = BLAKE2B_SIGMA[round % 10];
        for (int i = 0; i < 4; i++)
            blake2b_mix(v, i, 4 + i, 8 + i, 12 + i, m[s[2 * i]], m[s[2 * i + 1]]);
        for (int i = 0; i < 4; i++)
            blake2b_mix(v, i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4, m[s[8 + 2 * i]], m[s[9 + 2 * i]]);
    }
    for (int i = 0; i < 8; i++)
        state[i] ^= v[i] ^ v[8 + i];
}

void exl__blake2b_of(const void *bytes, size_t length, uint8_t digest[64]) {
    const uint8_t *from = bytes;
    uint8_t last[128] = {0};
    uint64_t state[8];
    size_t left = length;

    memcpy(state, BLAKE2B_START, sizeof state);
    state[0] ^= 0x01010000 ^ 64; /* no key, 64 bytes */
    for (; left > 128; left -= 128, from += 128)
        blake2b_compress(state, from, length - left + 128, 0);
    if (left > 0)
        memcpy(last, from, left);
    blake2b_compress(state, last, length, 1);
    for (int i = 0; i < 8; i++)
        exl__put64(digest + 8 * i, state[i]);
}
