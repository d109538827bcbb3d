/* sha256.c: SHA-256 (FIPS 180-4): portable, with the processor's own instructions for it where it has them. */
#include "compiler.h"

#include "sha256.h"

#include <string.h>

#include "cpu.h"
#include "win32.h"

#if defined(SHA256_PORTABLE) /* for its test */
#elif defined(__x86_64__) && defined(__GNUC__)
#define SHA256_X86 1
#include <immintrin.h>
#elif defined(__aarch64__) && (defined(__linux__) || defined(__APPLE__) || defined(_WIN32))
#define SHA256_ARM 1
#include "neon.h"
#if defined(__linux__)
#include <sys/auxv.h>
#endif
#if defined(__clang__)
#define SHA256_ARM_TARGET __attribute__((target("sha2")))
#else
#define SHA256_ARM_TARGET __attribute__((target("+crypto")))
#endif
#endif

static const uint32_t SHA256_K[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static uint32_t sha256_rotate(uint32_t x, int n) { return (x >> n) | (x << (32 - n)); }

static void sha256_compress_portable(uint32_t state[8], const uint8_t *blocks, size_t count) {
    for (; count > 0; count--, blocks += 64) {
        uint32_t w[64], a = state[0], b = state[1], c = state[2], d = state[3];
        uint32_t e = state[4], f = state[5], g = state[6], h = state[7];

        for (int i = 0; i < 16; i++)
            w[i] = (uint32_t)blocks[4 * i] << 24 | (uint32_t)blocks[4 * i + 1] << 16 |
                   (uint32_t)blocks[4 * i + 2] << 8 | blocks[4 * i + 3];
        for (int i = 16; i < 64; i++) {
            uint32_t s0 = sha256_rotate(w[i - 15], 7) ^ sha256_rotate(w[i - 15], 18) ^ (w[i - 15] >> 3);
            uint32_t s1 = sha256_rotate(w[i - 2], 17) ^ sha256_rotate(w[i - 2], 19) ^ (w[i - 2] >> 10);
            w[i] = w[i - 16] + s0 + w[i - 7] + s1;
        }
        for (int i = 0; i < 64; i++) {
            uint32_t s1 = sha256_rotate(e, 6) ^ sha256_rotate(e, 11) ^ sha256_rotate(e, 25);
            uint32_t t1 = h + s1 + ((e & f) ^ (~e & g)) + SHA256_K[i] + w[i];
            uint32_t s0 = sha256_rotate(a, 2) ^ sha256_rotate(a, 13) ^ sha256_rotate(a, 22);
            uint32_t t2 = s0 + ((a & b) ^ (a & c) ^ (b & c));
            h = g, g = f, f = e, e = d + t1, d = c, c = b, b = a, a = t1 + t2;
        }
        state[0] += a, state[1] += b, state[2] += c, state[3] += d;
        state[4] += e, state[5] += f, state[6] += g, state[7] += h;
    }
}

#if defined(SHA256_X86)
/* Four rounds an iteration. The instructions keep the state as (A B E F) and (C D G H). */
__attribute__((target("sha,sse4.1,ssse3"))) static void sha256_compress_x86(uint32_t state[8], const uint8_t *blocks,
                                                                            size_t count) {
    const __m128i big_endian = _mm_set_epi64x(0x0c0d0e0f08090a0bLL, 0x0405060700010203LL);
    __m128i low = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)state), 0xB1);        /* C D A B */
    __m128i high = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)(state + 4)), 0x1B); /* E F G H */
    __m128i abef = _mm_alignr_epi8(low, high, 8), cdgh = _mm_blend_epi16(high, low, 0xF0);

    for (; count > 0; count--, blocks += 64) {
        __m128i abef_before = abef, cdgh_before = cdgh, w[4];

        for (int i = 0; i < 16; i++) {
            __m128i *now = &w[i & 3], words;
            if (i < 4) {
                *now = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(blocks + 16 * i)), big_endian);
            } else {
                __m128i late = w[(i + 3) & 3], sum;
                sum =
                    _mm_add_epi32(_mm_sha256msg1_epu32(*now, w[(i + 1) & 3]), _mm_alignr_epi8(late, w[(i + 2) & 3], 4));
                *now = _mm_sha256msg2_epu32(sum, late);
            }
            words = _mm_add_epi32(*now, _mm_loadu_si128((const __m128i *)(SHA256_K + 4 * i)));
            cdgh = _mm_sha256rnds2_epu32(cdgh, abef, words);
            abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(words, 0x0E));
        }
        abef = _mm_add_epi32(abef, abef_before);
        cdgh = _mm_add_epi32(cdgh, cdgh_before);
    }
    low = _mm_shuffle_epi32(abef, 0x1B);  /* A B E F, turned: F E B A */
    high = _mm_shuffle_epi32(cdgh, 0xB1); /* D C H G */
    _mm_storeu_si128((__m128i *)state, _mm_blend_epi16(low, high, 0xF0));
    _mm_storeu_si128((__m128i *)(state + 4), _mm_alignr_epi8(high, low, 8));
}
#endif

#if defined(SHA256_ARM)
SHA256_ARM_TARGET static void sha256_compress_arm(uint32_t state[8], const uint8_t *blocks, size_t count) {
    uint32x4_t abcd = vld1q_u32(state), efgh = vld1q_u32(state + 4);

    for (; count > 0; count--, blocks += 64) {
        uint32x4_t abcd_before = abcd, efgh_before = efgh, w[4];

        for (int i = 0; i < 16; i++) {
            uint32x4_t *now = &w[i & 3], words, abcd_was = abcd;
            if (i < 4)
                *now = vreinterpretq_u32_u8(vrev32q_u8(vld1q_u8(blocks + 16 * i)));
            else
                *now = vsha256su1q_u32(vsha256su0q_u32(*now, w[(i + 1) & 3]), w[(i + 2) & 3], w[(i + 3) & 3]);
            words = vaddq_u32(*now, vld1q_u32(SHA256_K + 4 * i));
            abcd = vsha256hq_u32(abcd, efgh, words);
            efgh = vsha256h2q_u32(efgh, abcd_was, words);
        }
        abcd = vaddq_u32(abcd, abcd_before);
        efgh = vaddq_u32(efgh, efgh_before);
    }
    vst1q_u32(state, abcd);
    vst1q_u32(state + 4, efgh);
}

static int sha256_has_sha(void) {
#if defined(__linux__)
    return getauxval(AT_HWCAP) >> 6 & 1; /* HWCAP_SHA2; the Raspberry Pi 4 is without */
#elif defined(_WIN32)
    return exl__win32_cpu_has(30); /* PF_ARM_V8_CRYPTO_INSTRUCTIONS_AVAILABLE */
#else
    return 1; /* every Apple processor */
#endif
}
#endif

/* Which one: asked once a hash, because a virtual machine answers slowly what its processor has. */
static exl__sha256_compress sha256_best(void) {
#if defined(SHA256_X86)
    if (exl__x86_has(EXL__X86_SHA))
        return sha256_compress_x86;
#elif defined(SHA256_ARM)
    if (sha256_has_sha())
        return sha256_compress_arm;
#endif
    return sha256_compress_portable;
}

void exl__sha256_init(exl__sha256 *hash) {
    static const uint32_t start[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                      0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    memset(hash, 0, sizeof *hash);
    memcpy(hash->state, start, sizeof start);
    hash->compress = sha256_best();
}

void exl__sha256_update(exl__sha256 *hash, const void *bytes, size_t length) {
    const uint8_t *from = bytes;
    size_t held = (size_t)(hash->bytes & 63);

    hash->bytes += length;
    if (held > 0) {
        size_t take = 64 - held < length ? 64 - held : length;
        memcpy(hash->block + held, from, take);
        from += take, length -= take;
        if (held + take < 64)
            return;
        hash->compress(hash->state, hash->block, 1);
    }
    hash->compress(hash->state, from, length / 64);
    if (length % 64 > 0)
        memcpy(hash->block, from + length / 64 * 64, length % 64);
}

void exl__sha256_final(exl__sha256 *hash, uint8_t digest[32]) {
    uint64_t bits = hash->bytes * 8;
    uint8_t tail[72] = {0x80};
    size_t zeros = (size_t)((119 - hash->bytes % 64) % 64); /* so that the length ends a block */

    for (int i = 0; i < 8; i++)
        tail[1 + zeros + (size_t)i] = (uint8_t)(bits >> (56 - 8 * i));
    exl__sha256_update(hash, tail, zeros + 9);
    for (int i = 0; i < 32; i++)
        digest[i] = (uint8_t)(hash->state[i / 4] >> (24 - 8 * (i % 4)));
}
