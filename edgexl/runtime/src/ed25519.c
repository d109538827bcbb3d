/* ed25519.c: checks Ed25519 signatures (RFC 8032), for signature.c.
 *
 * Cut out of Monocypher 4.0.3 (https://monocypher.org; monocypher.c, and the choice of SHA-512 as in its
 * monocypher-ed25519.c): what checks a signature, and nothing that signs. Changed: names begin with this file's, memory
 * that holds no secret is not wiped, comparisons need not take constant time, and the message comes in two parts. Its
 * comments and its licence follow.
 */
// This file is dual-licensed.  Choose whichever licence you want from
// the two licences listed below.
//
// The first licence is a regular 2-clause BSD licence.  The second licence
// is the CC-0 from Creative Commons. It is intended to release Monocypher
// to the public domain.  The BSD licence serves as a fallback option.
//
// SPDX-License-Identifier: BSD-2-Clause OR CC0-1.0
//
// ------------------------------------------------------------------------
//
// Copyright (c) 2017-2020, Loup Vaillant
// All rights reserved.
//
//
// Redistribution and use in source and binary forms, with or without
// modification, are permitted provided that the following conditions are
// met:
//
// 1. Redistributions of source code must retain the above copyright
//    notice, this list of conditions and the following disclaimer.
//
// 2. Redistributions in binary form must reproduce the above copyright
//    notice, this list of conditions and the following disclaimer in the
//    documentation and/or other materials provided with the
//    distribution.
//
// THIS SOFTWARE IS PROVIDED BY THE COPYRIGHT HOLDERS AND CONTRIBUTORS
// "AS IS" AND ANY EXPRESS OR IMPLIED WARRANTIES, INCLUDING, BUT NOT
// LIMITED TO, THE IMPLIED WARRANTIES OF MERCHANTABILITY AND FITNESS FOR
// A PARTICULAR PURPOSE ARE DISCLAIMED. IN NO EVENT SHALL THE COPYRIGHT
// HOLDER OR CONTRIBUTORS BE LIABLE FOR ANY DIRECT, INDIRECT, INCIDENTAL,
// SPECIAL, EXEMPLARY, OR CONSEQUENTIAL DAMAGES (INCLUDING, BUT NOT
// LIMITED TO, PROCUREMENT OF SUBSTITUTE GOODS OR SERVICES; LOSS OF USE,
// DATA, OR PROFITS; OR BUSINESS INTERRUPTION) HOWEVER CAUSED AND ON ANY
// THEORY OF LIABILITY, WHETHER IN CONTRACT, STRICT LIABILITY, OR TORT
// (INCLUDING NEGLIGENCE OR OTHERWISE) ARISING IN ANY WAY OUT OF THE USE
// OF THIS SOFTWARE, EVEN IF ADVISED OF THE POSSIBILITY OF SUCH DAMAGE.
//
// ------------------------------------------------------------------------
//
// Written in 2017-2020 by Loup Vaillant
//
// To the extent possible under law, the author(s) have dedicated all copyright
// and related neighboring rights to this software to the public domain
// worldwide.  This software is distributed without any warranty.
//
// You should have received a copy of the CC0 Public Domain Dedication along
// with this software.  If not, see
// <https://creativecommons.org/publicdomain/zero/1.0/>
#include "compiler.h"

#include "ed25519.h"

#include <string.h>

#include "sha512.h"

#define ED25519_FOR_T(type, i, start, end) for (type i = (start); i < (end); i++)
#define ED25519_FOR(i, start, end) ED25519_FOR_T(size_t, i, start, end)
#define ED25519_COPY(dst, src, size) ED25519_FOR(_i_, 0, size)(dst)[_i_] = (src)[_i_]
#define ED25519_ZERO(buf, size) ED25519_FOR(_i_, 0, size)(buf)[_i_] = 0
#define ED25519_MIN(a, b) ((a) <= (b) ? (a) : (b))
#define ED25519_MAX(a, b) ((a) >= (b) ? (a) : (b))

static uint32_t ed25519_load24_le(const uint8_t s[3]) {
    return ((uint32_t)s[0] << 0) | ((uint32_t)s[1] << 8) | ((uint32_t)s[2] << 16);
}

static uint32_t ed25519_load32_le(const uint8_t s[4]) {
    return ((uint32_t)s[0] << 0) | ((uint32_t)s[1] << 8) | ((uint32_t)s[2] << 16) | ((uint32_t)s[3] << 24);
}

static void ed25519_store32_le(uint8_t out[4], uint32_t in) {
    out[0] = (uint8_t)(in);
    out[1] = (uint8_t)(in >> 8);
    out[2] = (uint8_t)(in >> 16);
    out[3] = (uint8_t)(in >> 24);
}

static void ed25519_load32_le_buf(uint32_t *dst, const uint8_t *src, size_t size) {
    ED25519_FOR(i, 0, size) { dst[i] = ed25519_load32_le(src + i * 4); }
}
static void ed25519_store32_le_buf(uint8_t *dst, const uint32_t *src, size_t size) {
    ED25519_FOR(i, 0, size) { ed25519_store32_le(dst + i * 4, src[i]); }
}

////////////////////////////////////
/// Arithmetic modulo 2^255 - 19 ///
////////////////////////////////////
//  Originally taken from SUPERCOP's ref10 implementation.
//  A bit bigger than TweetNaCl, over 4 times faster.

// field element
typedef int32_t ed25519_fe[10];

// field constants
//
// sqrtm1: sqrt(-1)
// d     :     -121665 / 121666
// D2    : 2 * -121665 / 121666
static const ed25519_fe ED25519_SQRT_M1 = {
    -32595792, -7943725, 9377950, 3500415, 12389472, -272473, -25146209, -2005654, 326686, 11406482,
};
static const ed25519_fe ED25519_D = {
    -10913610, 13857413, -15372611, 6949391, 114729, -8787816, -6275908, -3247719, -18696448, -12055116,
};
static const ed25519_fe ED25519_D2 = {
    -21827239, -5839606, -30745221, 13898782, 229458, 15978800, -12551817, -6495438, 29715968, 9444199,
};

static void ed25519_fe_0(ed25519_fe h) { ED25519_ZERO(h, 10); }
static void ed25519_fe_1(ed25519_fe h) {
    h[0] = 1;
    ED25519_ZERO(h + 1, 9);
}

static void ed25519_fe_copy(ed25519_fe h, const ed25519_fe f) { ED25519_FOR(i, 0, 10) h[i] = f[i]; }
static void ed25519_fe_neg(ed25519_fe h, const ed25519_fe f) { ED25519_FOR(i, 0, 10) h[i] = -f[i]; }
static void ed25519_fe_add(ed25519_fe h, const ed25519_fe f, const ed25519_fe g) {
    ED25519_FOR(i, 0, 10) h[i] = f[i] + g[i];
}
static void ed25519_fe_sub(ed25519_fe h, const ed25519_fe f, const ed25519_fe g) {
    ED25519_FOR(i, 0, 10) h[i] = f[i] - g[i];
}

// Signed carry propagation
// ------------------------
//
// Let t be a number.  It can be uniquely decomposed thus:
//
//    t = h*2^26 + l
//    such that -2^25 <= l < 2^25
//
// Let c = (t + 2^25) / 2^26            (rounded down)
//     c = (h*2^26 + l + 2^25) / 2^26   (rounded down)
//     c =  h   +   (l + 2^25) / 2^26   (rounded down)
//     c =  h                           (exactly)
// Because 0 <= l + 2^25 < 2^26
//
// Let u = t          - c*2^26
//     u = h*2^26 + l - h*2^26
//     u = l
// Therefore, -2^25 <= u < 2^25
//
// Additionally, if |t| < x, then |h| < x/2^26 (rounded down)
//
// Notations:
// - In C, 1<<25 means 2^25.
// - In C, x>>25 means floor(x / (2^25)).
// - All of the above applies with 25 & 24 as well as 26 & 25.
//
//
// Note on negative right shifts
// -----------------------------
//
// In C, x >> n, where x is a negative integer, is implementation
// defined.  In practice, all platforms do arithmetic shift, which is
// equivalent to division by 2^26, rounded down.  Some compilers, like
// GCC, even guarantee it.
//
// If we ever stumble upon a platform that does not propagate the sign
// bit (we won't), visible failures will show at the slightest test, and
// the signed shifts can be replaced by the following:
//
//     typedef struct { int64_t x:39; } s25;
//     typedef struct { int64_t x:38; } s26;
//     int64_t shift25(int64_t x) { s25 s; s.x = ((uint64_t)x)>>25; return s.x; }
//     int64_t shift26(int64_t x) { s26 s; s.x = ((uint64_t)x)>>26; return s.x; }
//
// Current compilers cannot optimise this, causing a 30% drop in
// performance.  Fairly expensive for something that never happens.
//
//
// Precondition
// ------------
//
// |t0|       < 2^63
// |t1|..|t9| < 2^62
//
// Algorithm
// ---------
// c   = t0 + 2^25 / 2^26   -- |c|  <= 2^36
// t0 -= c * 2^26           -- |t0| <= 2^25
// t1 += c                  -- |t1| <= 2^63
//
// c   = t4 + 2^25 / 2^26   -- |c|  <= 2^36
// t4 -= c * 2^26           -- |t4| <= 2^25
// t5 += c                  -- |t5| <= 2^63
//
// c   = t1 + 2^24 / 2^25   -- |c|  <= 2^38
// t1 -= c * 2^25           -- |t1| <= 2^24
// t2 += c                  -- |t2| <= 2^63
//
// c   = t5 + 2^24 / 2^25   -- |c|  <= 2^38
// t5 -= c * 2^25           -- |t5| <= 2^24
// t6 += c                  -- |t6| <= 2^63
//
// c   = t2 + 2^25 / 2^26   -- |c|  <= 2^37
// t2 -= c * 2^26           -- |t2| <= 2^25        < 1.1 * 2^25  (final t2)
// t3 += c                  -- |t3| <= 2^63
//
// c   = t6 + 2^25 / 2^26   -- |c|  <= 2^37
// t6 -= c * 2^26           -- |t6| <= 2^25        < 1.1 * 2^25  (final t6)
// t7 += c                  -- |t7| <= 2^63
//
// c   = t3 + 2^24 / 2^25   -- |c|  <= 2^38
// t3 -= c * 2^25           -- |t3| <= 2^24        < 1.1 * 2^24  (final t3)
// t4 += c                  -- |t4| <= 2^25 + 2^38 < 2^39
//
// c   = t7 + 2^24 / 2^25   -- |c|  <= 2^38
// t7 -= c * 2^25           -- |t7| <= 2^24        < 1.1 * 2^24  (final t7)
// t8 += c                  -- |t8| <= 2^63
//
// c   = t4 + 2^25 / 2^26   -- |c|  <= 2^13
// t4 -= c * 2^26           -- |t4| <= 2^25        < 1.1 * 2^25  (final t4)
// t5 += c                  -- |t5| <= 2^24 + 2^13 < 1.1 * 2^24  (final t5)
//
// c   = t8 + 2^25 / 2^26   -- |c|  <= 2^37
// t8 -= c * 2^26           -- |t8| <= 2^25        < 1.1 * 2^25  (final t8)
// t9 += c                  -- |t9| <= 2^63
//
// c   = t9 + 2^24 / 2^25   -- |c|  <= 2^38
// t9 -= c * 2^25           -- |t9| <= 2^24        < 1.1 * 2^24  (final t9)
// t0 += c * 19             -- |t0| <= 2^25 + 2^38*19 < 2^44
//
// c   = t0 + 2^25 / 2^26   -- |c|  <= 2^18
// t0 -= c * 2^26           -- |t0| <= 2^25        < 1.1 * 2^25  (final t0)
// t1 += c                  -- |t1| <= 2^24 + 2^18 < 1.1 * 2^24  (final t1)
//
// Postcondition
// -------------
//   |t0|, |t2|, |t4|, |t6|, |t8|  <  1.1 * 2^25
//   |t1|, |t3|, |t5|, |t7|, |t9|  <  1.1 * 2^24
#define ED25519_FE_CARRY                                                                                               \
    int64_t c;                                                                                                         \
    c = (t0 + ((int64_t)1 << 25)) >> 26;                                                                               \
    t0 -= c * ((int64_t)1 << 26);                                                                                      \
    t1 += c;                                                                                                           \
    c = (t4 + ((int64_t)1 << 25)) >> 26;                                                                               \
    t4 -= c * ((int64_t)1 << 26);                                                                                      \
    t5 += c;                                                                                                           \
    c = (t1 + ((int64_t)1 << 24)) >> 25;                                                                               \
    t1 -= c * ((int64_t)1 << 25);                                                                                      \
    t2 += c;                                                                                                           \
    c = (t5 + ((int64_t)1 << 24)) >> 25;                                                                               \
    t5 -= c * ((int64_t)1 << 25);                                                                                      \
    t6 += c;                                                                                                           \
    c = (t2 + ((int64_t)1 << 25)) >> 26;                                                                               \
    t2 -= c * ((int64_t)1 << 26);                                                                                      \
    t3 += c;                                                                                                           \
    c = (t6 + ((int64_t)1 << 25)) >> 26;                                                                               \
    t6 -= c * ((int64_t)1 << 26);                                                                                      \
    t7 += c;                                                                                                           \
    c = (t3 + ((int64_t)1 << 24)) >> 25;                                                                               \
    t3 -= c * ((int64_t)1 << 25);                                                                                      \
    t4 += c;                                                                                                           \
    c = (t7 + ((int64_t)1 << 24)) >> 25;                                                                               \
    t7 -= c * ((int64_t)1 << 25);                                                                                      \
    t8 += c;                                                                                                           \
    c = (t4 + ((int64_t)1 << 25)) >> 26;                                                                               \
    t4 -= c * ((int64_t)1 << 26);                                                                                      \
    t5 += c;                                                                                                           \
    c = (t8 + ((int64_t)1 << 25)) >> 26;                                                                               \
    t8 -= c * ((int64_t)1 << 26);                                                                                      \
    t9 += c;                                                                                                           \
    c = (t9 + ((int64_t)1 << 24)) >> 25;                                                                               \
    t9 -= c * ((int64_t)1 << 25);                                                                                      \
    t0 += c * 19;                                                                                                      \
    c = (t0 + ((int64_t)1 << 25)) >> 26;                                                                               \
    t0 -= c * ((int64_t)1 << 26);                                                                                      \
    t1 += c;                                                                                                           \
    h[0] = (int32_t)t0;                                                                                                \
    h[1] = (int32_t)t1;                                                                                                \
    h[2] = (int32_t)t2;                                                                                                \
    h[3] = (int32_t)t3;                                                                                                \
    h[4] = (int32_t)t4;                                                                                                \
    h[5] = (int32_t)t5;                                                                                                \
    h[6] = (int32_t)t6;                                                                                                \
    h[7] = (int32_t)t7;                                                                                                \
    h[8] = (int32_t)t8;                                                                                                \
    h[9] = (int32_t)t9

// Decodes a field element from a byte buffer.
// mask specifies how many bits we ignore.
// Traditionally we ignore 1. It's useful for EdDSA,
// which uses that bit to denote the sign of x.
// Elligator however uses positive representatives,
// which means ignoring 2 bits instead.
static void ed25519_fe_frombytes_mask(ed25519_fe h, const uint8_t s[32], unsigned nb_mask) {
    uint32_t mask = 0xffffff >> nb_mask;
    int64_t t0 = ed25519_load32_le(s);                    // t0 < 2^32
    int64_t t1 = ed25519_load24_le(s + 4) << 6;           // t1 < 2^30
    int64_t t2 = ed25519_load24_le(s + 7) << 5;           // t2 < 2^29
    int64_t t3 = ed25519_load24_le(s + 10) << 3;          // t3 < 2^27
    int64_t t4 = ed25519_load24_le(s + 13) << 2;          // t4 < 2^26
    int64_t t5 = ed25519_load32_le(s + 16);               // t5 < 2^32
    int64_t t6 = ed25519_load24_le(s + 20) << 7;          // t6 < 2^31
    int64_t t7 = ed25519_load24_le(s + 23) << 5;          // t7 < 2^29
    int64_t t8 = ed25519_load24_le(s + 26) << 4;          // t8 < 2^28
    int64_t t9 = (ed25519_load24_le(s + 29) & mask) << 2; // t9 < 2^25
    ED25519_FE_CARRY;                                     // Carry precondition OK
}

static void ed25519_fe_frombytes(ed25519_fe h, const uint8_t s[32]) { ed25519_fe_frombytes_mask(h, s, 1); }

// Precondition
//   |h[0]|, |h[2]|, |h[4]|, |h[6]|, |h[8]|  <  1.1 * 2^25
//   |h[1]|, |h[3]|, |h[5]|, |h[7]|, |h[9]|  <  1.1 * 2^24
//
// Therefore, |h| < 2^255-19
// There are two possibilities:
//
// - If h is positive, all we need to do is reduce its individual
//   limbs down to their tight positive range.
// - If h is negative, we also need to add 2^255-19 to it.
//   Or just remove 19 and chop off any excess bit.
static void ed25519_fe_tobytes(uint8_t s[32], const ed25519_fe h) {
    int32_t t[10];
    ED25519_COPY(t, h, 10);
    int32_t q = (19 * t[9] + (((int32_t)1) << 24)) >> 25;
    //                 |t9|                    < 1.1 * 2^24
    //  -1.1 * 2^24  <  t9                     < 1.1 * 2^24
    //  -21  * 2^24  <  19 * t9                < 21  * 2^24
    //  -2^29        <  19 * t9 + 2^24         < 2^29
    //  -2^29 / 2^25 < (19 * t9 + 2^24) / 2^25 < 2^29 / 2^25
    //  -16          < (19 * t9 + 2^24) / 2^25 < 16
    ED25519_FOR(i, 0, 5) {
        q += t[2 * i];
        q >>= 26; // q = 0 or -1
        q += t[2 * i + 1];
        q >>= 25; // q = 0 or -1
    }
    // q =  0 iff h >= 0
    // q = -1 iff h <  0
    // Adding q * 19 to h reduces h to its proper range.
    q *= 19; // Shift carry back to the beginning
    ED25519_FOR(i, 0, 5) {
        t[i * 2] += q;
        q = t[i * 2] >> 26;
        t[i * 2] -= q * ((int32_t)1 << 26);
        t[i * 2 + 1] += q;
        q = t[i * 2 + 1] >> 25;
        t[i * 2 + 1] -= q * ((int32_t)1 << 25);
    }
    // h is now fully reduced, and q represents the excess bit.

    ed25519_store32_le(s + 0, ((uint32_t)t[0] >> 0) | ((uint32_t)t[1] << 26));
    ed25519_store32_le(s + 4, ((uint32_t)t[1] >> 6) | ((uint32_t)t[2] << 19));
    ed25519_store32_le(s + 8, ((uint32_t)t[2] >> 13) | ((uint32_t)t[3] << 13));
    ed25519_store32_le(s + 12, ((uint32_t)t[3] >> 19) | ((uint32_t)t[4] << 6));
    ed25519_store32_le(s + 16, ((uint32_t)t[5] >> 0) | ((uint32_t)t[6] << 25));
    ed25519_store32_le(s + 20, ((uint32_t)t[6] >> 7) | ((uint32_t)t[7] << 19));
    ed25519_store32_le(s + 24, ((uint32_t)t[7] >> 13) | ((uint32_t)t[8] << 12));
    ed25519_store32_le(s + 28, ((uint32_t)t[8] >> 20) | ((uint32_t)t[9] << 6));
}

// Precondition
// -------------
//   |f0|, |f2|, |f4|, |f6|, |f8|  <  1.65 * 2^26
//   |f1|, |f3|, |f5|, |f7|, |f9|  <  1.65 * 2^25
//
//   |g0|, |g2|, |g4|, |g6|, |g8|  <  1.65 * 2^26
//   |g1|, |g3|, |g5|, |g7|, |g9|  <  1.65 * 2^25
static void ed25519_fe_mul_small(ed25519_fe h, const ed25519_fe f, int32_t g) {
    int64_t t0 = f[0] * (int64_t)g;
    int64_t t1 = f[1] * (int64_t)g;
    int64_t t2 = f[2] * (int64_t)g;
    int64_t t3 = f[3] * (int64_t)g;
    int64_t t4 = f[4] * (int64_t)g;
    int64_t t5 = f[5] * (int64_t)g;
    int64_t t6 = f[6] * (int64_t)g;
    int64_t t7 = f[7] * (int64_t)g;
    int64_t t8 = f[8] * (int64_t)g;
    int64_t t9 = f[9] * (int64_t)g;
    // |t0|, |t2|, |t4|, |t6|, |t8|  <  1.65 * 2^26 * 2^31  < 2^58
    // |t1|, |t3|, |t5|, |t7|, |t9|  <  1.65 * 2^25 * 2^31  < 2^57

    ED25519_FE_CARRY; // Carry precondition OK
}

// Precondition
// -------------
//   |f0|, |f2|, |f4|, |f6|, |f8|  <  1.65 * 2^26
//   |f1|, |f3|, |f5|, |f7|, |f9|  <  1.65 * 2^25
//
//   |g0|, |g2|, |g4|, |g6|, |g8|  <  1.65 * 2^26
//   |g1|, |g3|, |g5|, |g7|, |g9|  <  1.65 * 2^25
static void ed25519_fe_mul(ed25519_fe h, const ed25519_fe f, const ed25519_fe g) {
    // Everything is unrolled and put in temporary variables.
    // We could roll the loop, but that would make curve25519 twice as slow.
    int32_t f0 = f[0];
    int32_t f1 = f[1];
    int32_t f2 = f[2];
    int32_t f3 = f[3];
    int32_t f4 = f[4];
    int32_t f5 = f[5];
    int32_t f6 = f[6];
    int32_t f7 = f[7];
    int32_t f8 = f[8];
    int32_t f9 = f[9];
    int32_t g0 = g[0];
    int32_t g1 = g[1];
    int32_t g2 = g[2];
    int32_t g3 = g[3];
    int32_t g4 = g[4];
    int32_t g5 = g[5];
    int32_t g6 = g[6];
    int32_t g7 = g[7];
    int32_t g8 = g[8];
    int32_t g9 = g[9];
    int32_t F1 = f1 * 2;
    int32_t F3 = f3 * 2;
    int32_t F5 = f5 * 2;
    int32_t F7 = f7 * 2;
    int32_t F9 = f9 * 2;
    int32_t G1 = g1 * 19;
    int32_t G2 = g2 * 19;
    int32_t G3 = g3 * 19;
    int32_t G4 = g4 * 19;
    int32_t G5 = g5 * 19;
    int32_t G6 = g6 * 19;
    int32_t G7 = g7 * 19;
    int32_t G8 = g8 * 19;
    int32_t G9 = g9 * 19;
    // |F1|, |F3|, |F5|, |F7|, |F9|  <  1.65 * 2^26
    // |G0|, |G2|, |G4|, |G6|, |G8|  <  2^31
    // |G1|, |G3|, |G5|, |G7|, |G9|  <  2^30

    int64_t t0 = f0 * (int64_t)g0 + F1 * (int64_t)G9 + f2 * (int64_t)G8 + F3 * (int64_t)G7 + f4 * (int64_t)G6 +
                 F5 * (int64_t)G5 + f6 * (int64_t)G4 + F7 * (int64_t)G3 + f8 * (int64_t)G2 + F9 * (int64_t)G1;
    int64_t t1 = f0 * (int64_t)g1 + f1 * (int64_t)g0 + f2 * (int64_t)G9 + f3 * (int64_t)G8 + f4 * (int64_t)G7 +
                 f5 * (int64_t)G6 + f6 * (int64_t)G5 + f7 * (int64_t)G4 + f8 * (int64_t)G3 + f9 * (int64_t)G2;
    int64_t t2 = f0 * (int64_t)g2 + F1 * (int64_t)g1 + f2 * (int64_t)g0 + F3 * (int64_t)G9 + f4 * (int64_t)G8 +
                 F5 * (int64_t)G7 + f6 * (int64_t)G6 + F7 * (int64_t)G5 + f8 * (int64_t)G4 + F9 * (int64_t)G3;
    int64_t t3 = f0 * (int64_t)g3 + f1 * (int64_t)g2 + f2 * (int64_t)g1 + f3 * (int64_t)g0 + f4 * (int64_t)G9 +
                 f5 * (int64_t)G8 + f6 * (int64_t)G7 + f7 * (int64_t)G6 + f8 * (int64_t)G5 + f9 * (int64_t)G4;
    int64_t t4 = f0 * (int64_t)g4 + F1 * (int64_t)g3 + f2 * (int64_t)g2 + F3 * (int64_t)g1 + f4 * (int64_t)g0 +
                 F5 * (int64_t)G9 + f6 * (int64_t)G8 + F7 * (int64_t)G7 + f8 * (int64_t)G6 + F9 * (int64_t)G5;
    int64_t t5 = f0 * (int64_t)g5 + f1 * (int64_t)g4 + f2 * (int64_t)g3 + f3 * (int64_t)g2 + f4 * (int64_t)g1 +
                 f5 * (int64_t)g0 + f6 * (int64_t)G9 + f7 * (int64_t)G8 + f8 * (int64_t)G7 + f9 * (int64_t)G6;
    int64_t t6 = f0 * (int64_t)g6 + F1 * (int64_t)g5 + f2 * (int64_t)g4 + F3 * (int64_t)g3 + f4 * (int64_t)g2 +
                 F5 * (int64_t)g1 + f6 * (int64_t)g0 + F7 * (int64_t)G9 + f8 * (int64_t)G8 + F9 * (int64_t)G7;
    int64_t t7 = f0 * (int64_t)g7 + f1 * (int64_t)g6 + f2 * (int64_t)g5 + f3 * (int64_t)g4 + f4 * (int64_t)g3 +
                 f5 * (int64_t)g2 + f6 * (int64_t)g1 + f7 * (int64_t)g0 + f8 * (int64_t)G9 + f9 * (int64_t)G8;
    int64_t t8 = f0 * (int64_t)g8 + F1 * (int64_t)g7 + f2 * (int64_t)g6 + F3 * (int64_t)g5 + f4 * (int64_t)g4 +
                 F5 * (int64_t)g3 + f6 * (int64_t)g2 + F7 * (int64_t)g1 + f8 * (int64_t)g0 + F9 * (int64_t)G9;
    int64_t t9 = f0 * (int64_t)g9 + f1 * (int64_t)g8 + f2 * (int64_t)g7 + f3 * (int64_t)g6 + f4 * (int64_t)g5 +
                 f5 * (int64_t)g4 + f6 * (int64_t)g3 + f7 * (int64_t)g2 + f8 * (int64_t)g1 + f9 * (int64_t)g0;
    // t0 < 0.67 * 2^61
    // t1 < 0.41 * 2^61
    // t2 < 0.52 * 2^61
    // t3 < 0.32 * 2^61
    // t4 < 0.38 * 2^61
    // t5 < 0.22 * 2^61
    // t6 < 0.23 * 2^61
    // t7 < 0.13 * 2^61
    // t8 < 0.09 * 2^61
    // t9 < 0.03 * 2^61

    ED25519_FE_CARRY; // Everything below 2^62, Carry precondition OK
}

// Precondition
// -------------
//   |f0|, |f2|, |f4|, |f6|, |f8|  <  1.65 * 2^26
//   |f1|, |f3|, |f5|, |f7|, |f9|  <  1.65 * 2^25
//
// Note: we could use ed25519_fe_mul() for this, but this is significantly faster
static void ed25519_fe_sq(ed25519_fe h, const ed25519_fe f) {
    int32_t f0 = f[0];
    int32_t f1 = f[1];
    int32_t f2 = f[2];
    int32_t f3 = f[3];
    int32_t f4 = f[4];
    int32_t f5 = f[5];
    int32_t f6 = f[6];
    int32_t f7 = f[7];
    int32_t f8 = f[8];
    int32_t f9 = f[9];
    int32_t f0_2 = f0 * 2;
    int32_t f1_2 = f1 * 2;
    int32_t f2_2 = f2 * 2;
    int32_t f3_2 = f3 * 2;
    int32_t f4_2 = f4 * 2;
    int32_t f5_2 = f5 * 2;
    int32_t f6_2 = f6 * 2;
    int32_t f7_2 = f7 * 2;
    int32_t f5_38 = f5 * 38;
    int32_t f6_19 = f6 * 19;
    int32_t f7_38 = f7 * 38;
    int32_t f8_19 = f8 * 19;
    int32_t f9_38 = f9 * 38;
    // |f0_2| , |f2_2| , |f4_2| , |f6_2| , |f8_2|  <  1.65 * 2^27
    // |f1_2| , |f3_2| , |f5_2| , |f7_2| , |f9_2|  <  1.65 * 2^26
    // |f5_38|, |f6_19|, |f7_38|, |f8_19|, |f9_38| <  2^31

    int64_t t0 = f0 * (int64_t)f0 + f1_2 * (int64_t)f9_38 + f2_2 * (int64_t)f8_19 + f3_2 * (int64_t)f7_38 +
                 f4_2 * (int64_t)f6_19 + f5 * (int64_t)f5_38;
    int64_t t1 =
        f0_2 * (int64_t)f1 + f2 * (int64_t)f9_38 + f3_2 * (int64_t)f8_19 + f4 * (int64_t)f7_38 + f5_2 * (int64_t)f6_19;
    int64_t t2 = f0_2 * (int64_t)f2 + f1_2 * (int64_t)f1 + f3_2 * (int64_t)f9_38 + f4_2 * (int64_t)f8_19 +
                 f5_2 * (int64_t)f7_38 + f6 * (int64_t)f6_19;
    int64_t t3 =
        f0_2 * (int64_t)f3 + f1_2 * (int64_t)f2 + f4 * (int64_t)f9_38 + f5_2 * (int64_t)f8_19 + f6 * (int64_t)f7_38;
    int64_t t4 = f0_2 * (int64_t)f4 + f1_2 * (int64_t)f3_2 + f2 * (int64_t)f2 + f5_2 * (int64_t)f9_38 +
                 f6_2 * (int64_t)f8_19 + f7 * (int64_t)f7_38;
    int64_t t5 =
        f0_2 * (int64_t)f5 + f1_2 * (int64_t)f4 + f2_2 * (int64_t)f3 + f6 * (int64_t)f9_38 + f7_2 * (int64_t)f8_19;
    int64_t t6 = f0_2 * (int64_t)f6 + f1_2 * (int64_t)f5_2 + f2_2 * (int64_t)f4 + f3_2 * (int64_t)f3 +
                 f7_2 * (int64_t)f9_38 + f8 * (int64_t)f8_19;
    int64_t t7 =
        f0_2 * (int64_t)f7 + f1_2 * (int64_t)f6 + f2_2 * (int64_t)f5 + f3_2 * (int64_t)f4 + f8 * (int64_t)f9_38;
    int64_t t8 = f0_2 * (int64_t)f8 + f1_2 * (int64_t)f7_2 + f2_2 * (int64_t)f6 + f3_2 * (int64_t)f5_2 +
                 f4 * (int64_t)f4 + f9 * (int64_t)f9_38;
    int64_t t9 = f0_2 * (int64_t)f9 + f1_2 * (int64_t)f8 + f2_2 * (int64_t)f7 + f3_2 * (int64_t)f6 + f4 * (int64_t)f5_2;
    // t0 < 0.67 * 2^61
    // t1 < 0.41 * 2^61
    // t2 < 0.52 * 2^61
    // t3 < 0.32 * 2^61
    // t4 < 0.38 * 2^61
    // t5 < 0.22 * 2^61
    // t6 < 0.23 * 2^61
    // t7 < 0.13 * 2^61
    // t8 < 0.09 * 2^61
    // t9 < 0.03 * 2^61

    ED25519_FE_CARRY;
}

//  Parity check.  Returns 0 if even, 1 if odd
static int ed25519_fe_isodd(const ed25519_fe f) {
    uint8_t s[32];
    ed25519_fe_tobytes(s, f);
    uint8_t isodd = s[0] & 1;
    return isodd;
}

// Returns 1 if equal, 0 if not equal
static int ed25519_fe_isequal(const ed25519_fe f, const ed25519_fe g) {
    uint8_t fs[32];
    uint8_t gs[32];
    ed25519_fe_tobytes(fs, f);
    ed25519_fe_tobytes(gs, g);
    return memcmp(fs, gs, sizeof fs) == 0;
}

// Inverse square root.
// Returns true if x is a square, false otherwise.
// After the call:
//   isr = sqrt(1/x)        if x is a non-zero square.
//   isr = sqrt(sqrt(-1)/x) if x is not a square.
//   isr = 0                if x is zero.
// We do not guarantee the sign of the square root.
//
// Notes:
// Let quartic = x^((p-1)/4)
//
// x^((p-1)/2) = chi(x)
// quartic^2   = chi(x)
// quartic     = sqrt(chi(x))
// quartic     = 1 or -1 or sqrt(-1) or -sqrt(-1)
//
// Note that x is a square if quartic is 1 or -1
// There are 4 cases to consider:
//
// if   quartic         = 1  (x is a square)
// then x^((p-1)/4)     = 1
//      x^((p-5)/4) * x = 1
//      x^((p-5)/4)     = 1/x
//      x^((p-5)/8)     = sqrt(1/x) or -sqrt(1/x)
//
// if   quartic                = -1  (x is a square)
// then x^((p-1)/4)            = -1
//      x^((p-5)/4) * x        = -1
//      x^((p-5)/4)            = -1/x
//      x^((p-5)/8)            = sqrt(-1)   / sqrt(x)
//      x^((p-5)/8) * sqrt(-1) = sqrt(-1)^2 / sqrt(x)
//      x^((p-5)/8) * sqrt(-1) = -1/sqrt(x)
//      x^((p-5)/8) * sqrt(-1) = -sqrt(1/x) or sqrt(1/x)
//
// if   quartic         = sqrt(-1)  (x is not a square)
// then x^((p-1)/4)     = sqrt(-1)
//      x^((p-5)/4) * x = sqrt(-1)
//      x^((p-5)/4)     = sqrt(-1)/x
//      x^((p-5)/8)     = sqrt(sqrt(-1)/x) or -sqrt(sqrt(-1)/x)
//
// Note that the product of two non-squares is always a square:
//   For any non-squares a and b, chi(a) = -1 and chi(b) = -1.
//   Since chi(x) = x^((p-1)/2), chi(a)*chi(b) = chi(a*b) = 1.
//   Therefore a*b is a square.
//
//   Since sqrt(-1) and x are both non-squares, their product is a
//   square, and we can compute their square root.
//
// if   quartic                = -sqrt(-1)  (x is not a square)
// then x^((p-1)/4)            = -sqrt(-1)
//      x^((p-5)/4) * x        = -sqrt(-1)
//      x^((p-5)/4)            = -sqrt(-1)/x
//      x^((p-5)/8)            = sqrt(-sqrt(-1)/x)
//      x^((p-5)/8)            = sqrt( sqrt(-1)/x) * sqrt(-1)
//      x^((p-5)/8) * sqrt(-1) = sqrt( sqrt(-1)/x) * sqrt(-1)^2
//      x^((p-5)/8) * sqrt(-1) = sqrt( sqrt(-1)/x) * -1
//      x^((p-5)/8) * sqrt(-1) = -sqrt(sqrt(-1)/x) or sqrt(sqrt(-1)/x)
static int ed25519_invsqrt(ed25519_fe isr, const ed25519_fe x) {
    ed25519_fe t0, t1, t2;

    // t0 = x^((p-5)/8)
    // Can be achieved with a simple double & add ladder,
    // but it would be slower.
    ed25519_fe_sq(t0, x);
    ed25519_fe_sq(t1, t0);
    ed25519_fe_sq(t1, t1);
    ed25519_fe_mul(t1, x, t1);
    ed25519_fe_mul(t0, t0, t1);
    ed25519_fe_sq(t0, t0);
    ed25519_fe_mul(t0, t1, t0);
    ed25519_fe_sq(t1, t0);
    ED25519_FOR(i, 1, 5) { ed25519_fe_sq(t1, t1); }
    ed25519_fe_mul(t0, t1, t0);
    ed25519_fe_sq(t1, t0);
    ED25519_FOR(i, 1, 10) { ed25519_fe_sq(t1, t1); }
    ed25519_fe_mul(t1, t1, t0);
    ed25519_fe_sq(t2, t1);
    ED25519_FOR(i, 1, 20) { ed25519_fe_sq(t2, t2); }
    ed25519_fe_mul(t1, t2, t1);
    ed25519_fe_sq(t1, t1);
    ED25519_FOR(i, 1, 10) { ed25519_fe_sq(t1, t1); }
    ed25519_fe_mul(t0, t1, t0);
    ed25519_fe_sq(t1, t0);
    ED25519_FOR(i, 1, 50) { ed25519_fe_sq(t1, t1); }
    ed25519_fe_mul(t1, t1, t0);
    ed25519_fe_sq(t2, t1);
    ED25519_FOR(i, 1, 100) { ed25519_fe_sq(t2, t2); }
    ed25519_fe_mul(t1, t2, t1);
    ed25519_fe_sq(t1, t1);
    ED25519_FOR(i, 1, 50) { ed25519_fe_sq(t1, t1); }
    ed25519_fe_mul(t0, t1, t0);
    ed25519_fe_sq(t0, t0);
    ED25519_FOR(i, 1, 2) { ed25519_fe_sq(t0, t0); }
    ed25519_fe_mul(t0, t0, x);

    // quartic = x^((p-1)/4)
    int32_t *quartic = t1;
    ed25519_fe_sq(quartic, t0);
    ed25519_fe_mul(quartic, quartic, x);

    int32_t *check = t2;
    ed25519_fe_0(check);
    int z0 = ed25519_fe_isequal(x, check);
    ed25519_fe_1(check);
    int p1 = ed25519_fe_isequal(quartic, check);
    ed25519_fe_neg(check, check);
    int m1 = ed25519_fe_isequal(quartic, check);
    ed25519_fe_neg(check, ED25519_SQRT_M1);
    int ms = ed25519_fe_isequal(quartic, check);

    // if quartic == -1 or sqrt(-1)
    // then  isr = x^((p-1)/4) * sqrt(-1)
    // else  isr = x^((p-1)/4)
    ed25519_fe_mul(isr, t0, ED25519_SQRT_M1);
    if (!(m1 | ms)) {
        ed25519_fe_copy(isr, t0);
    }
    return p1 | m1 | z0;
}

// Inverse in terms of inverse square root.
// Requires two additional squarings to get rid of the sign.
//
//   1/x = x * (+ed25519_invsqrt(x^2))^2
//       = x * (-ed25519_invsqrt(x^2))^2
//
// A fully optimised exponentiation by p-1 would save 6 field
// multiplications, but it would require more code.
static void ed25519_fe_invert(ed25519_fe out, const ed25519_fe x) {
    ed25519_fe tmp;
    ed25519_fe_sq(tmp, x);
    ed25519_invsqrt(tmp, tmp);
    ed25519_fe_sq(tmp, tmp);
    ed25519_fe_mul(out, tmp, x);
}

// get bit from scalar at position i
static int ed25519_scalar_bit(const uint8_t s[32], int i) {
    if (i < 0) {
        return 0;
    } // handle -1 for sliding windows
    return (s[i >> 3] >> (i & 7)) & 1;
}

///////////////////////////
/// Arithmetic modulo L ///
///////////////////////////
static const uint32_t ED25519_L[8] = {
    0x5cf5d3ed, 0x5812631a, 0xa2f79cd6, 0x14def9de, 0x00000000, 0x00000000, 0x00000000, 0x10000000,
};

static int ed25519_is_above_l(const uint32_t x[8]) {
    // We work with L directly, in a 2's complement encoding
    // (-L == ~L + 1)
    uint64_t carry = 1;
    ED25519_FOR(i, 0, 8) {
        carry += (uint64_t)x[i] + (~ED25519_L[i] & 0xffffffff);
        carry >>= 32;
    }
    return (int)carry; // carry is either 0 or 1
}

// Final reduction modulo L, by conditionally removing L.
// if x < l     , then r = x
// if l <= x 2*l, then r = x-l
// otherwise the result will be wrong
static void ed25519_remove_l(uint32_t r[8], const uint32_t x[8]) {
    uint64_t carry = (uint64_t)ed25519_is_above_l(x);
    uint32_t mask = ~(uint32_t)carry + 1; // carry == 0 or 1
    ED25519_FOR(i, 0, 8) {
        carry += (uint64_t)x[i] + (~ED25519_L[i] & mask);
        r[i] = (uint32_t)carry;
        carry >>= 32;
    }
}

// Full reduction modulo L (Barrett reduction)
static void ed25519_mod_l(uint8_t reduced[32], const uint32_t x[16]) {
    static const uint32_t r[9] = {
        0x0a2c131b, 0xed9ce5a3, 0x086329a7, 0x2106215d, 0xffffffeb, 0xffffffff, 0xffffffff, 0xffffffff, 0xf,
    };
    // xr = x * r
    uint32_t xr[25] = {0};
    ED25519_FOR(i, 0, 9) {
        uint64_t carry = 0;
        ED25519_FOR(j, 0, 16) {
            carry += xr[i + j] + (uint64_t)r[i] * x[j];
            xr[i + j] = (uint32_t)carry;
            carry >>= 32;
        }
        xr[i + 16] = (uint32_t)carry;
    }
    // xr = floor(xr / 2^512) * L
    // Since the result is guaranteed to be below 2*L,
    // it is enough to only compute the first 256 bits.
    // The division is performed by saying xr[i+16]. (16 * 32 = 512)
    ED25519_ZERO(xr, 8);
    ED25519_FOR(i, 0, 8) {
        uint64_t carry = 0;
        ED25519_FOR(j, 0, 8 - i) {
            carry += xr[i + j] + (uint64_t)xr[i + 16] * ED25519_L[j];
            xr[i + j] = (uint32_t)carry;
            carry >>= 32;
        }
    }
    // xr = x - xr
    uint64_t carry = 1;
    ED25519_FOR(i, 0, 8) {
        carry += (uint64_t)x[i] + (~xr[i] & 0xffffffff);
        xr[i] = (uint32_t)carry;
        carry >>= 32;
    }
    // Final reduction modulo L (conditional subtraction)
    ed25519_remove_l(xr, xr);
    ed25519_store32_le_buf(reduced, xr, 8);
}

static void ed25519_reduce(uint8_t reduced[32], const uint8_t expanded[64]) {
    uint32_t x[16];
    ed25519_load32_le_buf(x, expanded, 16);
    ed25519_mod_l(reduced, x);
}

///////////////
/// Ed25519 ///
///////////////

// Point (group element, ed25519_ge) in a twisted Edwards curve,
// in extended projective coordinates.
// ed25519_ge        : x  = X/Z, y  = Y/Z, T  = XY/Z
// ed25519_ge_cached : Yp = X+Y, Ym = X-Y, T2 = T*ED25519_D2
// ed25519_ge_precomp: Z  = 1
typedef struct {
    ed25519_fe X;
    ed25519_fe Y;
    ed25519_fe Z;
    ed25519_fe T;
} ed25519_ge;
typedef struct {
    ed25519_fe Yp;
    ed25519_fe Ym;
    ed25519_fe Z;
    ed25519_fe T2;
} ed25519_ge_cached;
typedef struct {
    ed25519_fe Yp;
    ed25519_fe Ym;
    ed25519_fe T2;
} ed25519_ge_precomp;

static void ed25519_ge_zero(ed25519_ge *p) {
    ed25519_fe_0(p->X);
    ed25519_fe_1(p->Y);
    ed25519_fe_1(p->Z);
    ed25519_fe_0(p->T);
}

static void ed25519_ge_tobytes(uint8_t s[32], const ed25519_ge *h) {
    ed25519_fe recip, x, y;
    ed25519_fe_invert(recip, h->Z);
    ed25519_fe_mul(x, h->X, recip);
    ed25519_fe_mul(y, h->Y, recip);
    ed25519_fe_tobytes(s, y);
    s[31] = (uint8_t)(s[31] ^ (ed25519_fe_isodd(x) << 7));
}

// h = -s, where s is a point encoded in 32 bytes
//
// Variable time!  Inputs must not be secret!
// => Use only to *check* signatures.
//
// From the specifications:
//   The encoding of s contains y and the sign of x
//   x = sqrt((y^2 - 1) / (d*y^2 + 1))
// In extended coordinates:
//   X = x, Y = y, Z = 1, T = x*y
//
//    Note that num * den is a square iff num / den is a square
//    If num * den is not a square, the point was not on the curve.
// From the above:
//   Let num =   y^2 - 1
//   Let den = d*y^2 + 1
//   x = sqrt((y^2 - 1) / (d*y^2 + 1))
//   x = sqrt(num / den)
//   x = sqrt(num^2 / (num * den))
//   x = num * sqrt(1 / (num * den))
//
// Therefore, we can just compute:
//   num =   y^2 - 1
//   den = d*y^2 + 1
//   isr = ed25519_invsqrt(num * den)  // abort if not square
//   x   = num * isr
// Finally, negate x if its sign is not as specified.
static int ed25519_ge_frombytes_neg_vartime(ed25519_ge *h, const uint8_t s[32]) {
    ed25519_fe_frombytes(h->Y, s);
    ed25519_fe_1(h->Z);
    ed25519_fe_sq(h->T, h->Y);             // t =   y^2
    ed25519_fe_mul(h->X, h->T, ED25519_D); // x = d*y^2
    ed25519_fe_sub(h->T, h->T, h->Z);      // t =   y^2 - 1
    ed25519_fe_add(h->X, h->X, h->Z);      // x = d*y^2 + 1
    ed25519_fe_mul(h->X, h->T, h->X);      // x = (y^2 - 1) * (d*y^2 + 1)
    int is_square = ed25519_invsqrt(h->X, h->X);
    if (!is_square) {
        return -1; // Not on the curve, abort
    }
    ed25519_fe_mul(h->X, h->T, h->X); // x = sqrt((y^2 - 1) / (d*y^2 + 1))
    if (ed25519_fe_isodd(h->X) == (s[31] >> 7)) {
        ed25519_fe_neg(h->X, h->X);
    }
    ed25519_fe_mul(h->T, h->X, h->Y);
    return 0;
}

static void ed25519_ge_cache(ed25519_ge_cached *c, const ed25519_ge *p) {
    ed25519_fe_add(c->Yp, p->Y, p->X);
    ed25519_fe_sub(c->Ym, p->Y, p->X);
    ed25519_fe_copy(c->Z, p->Z);
    ed25519_fe_mul(c->T2, p->T, ED25519_D2);
}

// Internal buffers are not wiped! Inputs must not be secret!
// => Use only to *check* signatures.
static void ed25519_ge_add(ed25519_ge *s, const ed25519_ge *p, const ed25519_ge_cached *q) {
    ed25519_fe a, b;
    ed25519_fe_add(a, p->Y, p->X);
    ed25519_fe_sub(b, p->Y, p->X);
    ed25519_fe_mul(a, a, q->Yp);
    ed25519_fe_mul(b, b, q->Ym);
    ed25519_fe_add(s->Y, a, b);
    ed25519_fe_sub(s->X, a, b);

    ed25519_fe_add(s->Z, p->Z, p->Z);
    ed25519_fe_mul(s->Z, s->Z, q->Z);
    ed25519_fe_mul(s->T, p->T, q->T2);
    ed25519_fe_add(a, s->Z, s->T);
    ed25519_fe_sub(b, s->Z, s->T);

    ed25519_fe_mul(s->T, s->X, s->Y);
    ed25519_fe_mul(s->X, s->X, b);
    ed25519_fe_mul(s->Y, s->Y, a);
    ed25519_fe_mul(s->Z, a, b);
}

// Internal buffers are not wiped! Inputs must not be secret!
// => Use only to *check* signatures.
static void ed25519_ge_sub(ed25519_ge *s, const ed25519_ge *p, const ed25519_ge_cached *q) {
    ed25519_ge_cached neg;
    ed25519_fe_copy(neg.Ym, q->Yp);
    ed25519_fe_copy(neg.Yp, q->Ym);
    ed25519_fe_copy(neg.Z, q->Z);
    ed25519_fe_neg(neg.T2, q->T2);
    ed25519_ge_add(s, p, &neg);
}

static void ed25519_ge_madd(ed25519_ge *s, const ed25519_ge *p, const ed25519_ge_precomp *q, ed25519_fe a,
                            ed25519_fe b) {
    ed25519_fe_add(a, p->Y, p->X);
    ed25519_fe_sub(b, p->Y, p->X);
    ed25519_fe_mul(a, a, q->Yp);
    ed25519_fe_mul(b, b, q->Ym);
    ed25519_fe_add(s->Y, a, b);
    ed25519_fe_sub(s->X, a, b);

    ed25519_fe_add(s->Z, p->Z, p->Z);
    ed25519_fe_mul(s->T, p->T, q->T2);
    ed25519_fe_add(a, s->Z, s->T);
    ed25519_fe_sub(b, s->Z, s->T);

    ed25519_fe_mul(s->T, s->X, s->Y);
    ed25519_fe_mul(s->X, s->X, b);
    ed25519_fe_mul(s->Y, s->Y, a);
    ed25519_fe_mul(s->Z, a, b);
}

// Internal buffers are not wiped! Inputs must not be secret!
// => Use only to *check* signatures.
static void ed25519_ge_msub(ed25519_ge *s, const ed25519_ge *p, const ed25519_ge_precomp *q, ed25519_fe a,
                            ed25519_fe b) {
    ed25519_ge_precomp neg;
    ed25519_fe_copy(neg.Ym, q->Yp);
    ed25519_fe_copy(neg.Yp, q->Ym);
    ed25519_fe_neg(neg.T2, q->T2);
    ed25519_ge_madd(s, p, &neg, a, b);
}

static void ed25519_ge_double(ed25519_ge *s, const ed25519_ge *p, ed25519_ge *q) {
    ed25519_fe_sq(q->X, p->X);
    ed25519_fe_sq(q->Y, p->Y);
    ed25519_fe_sq(q->Z, p->Z);           // qZ = pZ^2
    ed25519_fe_mul_small(q->Z, q->Z, 2); // qZ = pZ^2 * 2
    ed25519_fe_add(q->T, p->X, p->Y);
    ed25519_fe_sq(s->T, q->T);
    ed25519_fe_add(q->T, q->Y, q->X);
    ed25519_fe_sub(q->Y, q->Y, q->X);
    ed25519_fe_sub(q->X, s->T, q->T);
    ed25519_fe_sub(q->Z, q->Z, q->Y);

    ed25519_fe_mul(s->X, q->X, q->Z);
    ed25519_fe_mul(s->Y, q->T, q->Y);
    ed25519_fe_mul(s->Z, q->Y, q->Z);
    ed25519_fe_mul(s->T, q->X, q->T);
}

// 5-bit signed window in cached format (Niels coordinates, Z=1)
static const ed25519_ge_precomp ED25519_WINDOW[8] = {
    {
        {
            25967493,
            -14356035,
            29566456,
            3660896,
            -12694345,
            4014787,
            27544626,
            -11754271,
            -6079156,
            2047605,
        },
        {
            -12545711,
            934262,
            -2722910,
            3049990,
            -727428,
            9406986,
            12720692,
            5043384,
            19500929,
            -15469378,
        },
        {
            -8738181,
            4489570,
            9688441,
            -14785194,
            10184609,
            -12363380,
            29287919,
            11864899,
            -24514362,
            -4438546,
        },
    },
    {
        {
            15636291,
            -9688557,
            24204773,
            -7912398,
            616977,
            -16685262,
            27787600,
            -14772189,
            28944400,
            -1550024,
        },
        {
            16568933,
            4717097,
            -11556148,
            -1102322,
            15682896,
            -11807043,
            16354577,
            -11775962,
            7689662,
            11199574,
        },
        {
            30464156,
            -5976125,
            -11779434,
            -15670865,
            23220365,
            15915852,
            7512774,
            10017326,
            -17749093,
            -9920357,
        },
    },
    {
        {
            10861363,
            11473154,
            27284546,
            1981175,
            -30064349,
            12577861,
            32867885,
            14515107,
            -15438304,
            10819380,
        },
        {
            4708026,
            6336745,
            20377586,
            9066809,
            -11272109,
            6594696,
            -25653668,
            12483688,
            -12668491,
            5581306,
        },
        {
            19563160,
            16186464,
            -29386857,
            4097519,
            10237984,
            -4348115,
            28542350,
            13850243,
            -23678021,
            -15815942,
        },
    },
    {
        {
            5153746,
            9909285,
            1723747,
            -2777874,
            30523605,
            5516873,
            19480852,
            5230134,
            -23952439,
            -15175766,
        },
        {
            -30269007,
            -3463509,
            7665486,
            10083793,
            28475525,
            1649722,
            20654025,
            16520125,
            30598449,
            7715701,
        },
        {
            28881845,
            14381568,
            9657904,
            3680757,
            -20181635,
            7843316,
            -31400660,
            1370708,
            29794553,
            -1409300,
        },
    },
    {
        {
            -22518993,
            -6692182,
            14201702,
            -8745502,
            -23510406,
            8844726,
            18474211,
            -1361450,
            -13062696,
            13821877,
        },
        {
            -6455177,
            -7839871,
            3374702,
            -4740862,
            -27098617,
            -10571707,
            31655028,
            -7212327,
            18853322,
            -14220951,
        },
        {
            4566830,
            -12963868,
            -28974889,
            -12240689,
            -7602672,
            -2830569,
            -8514358,
            -10431137,
            2207753,
            -3209784,
        },
    },
    {
        {
            -25154831,
            -4185821,
            29681144,
            7868801,
            -6854661,
            -9423865,
            -12437364,
            -663000,
            -31111463,
            -16132436,
        },
        {
            25576264,
            -2703214,
            7349804,
            -11814844,
            16472782,
            9300885,
            3844789,
            15725684,
            171356,
            6466918,
        },
        {
            23103977,
            13316479,
            9739013,
            -16149481,
            817875,
            -15038942,
            8965339,
            -14088058,
            -30714912,
            16193877,
        },
    },
    {
        {
            -33521811,
            3180713,
            -2394130,
            14003687,
            -16903474,
            -16270840,
            17238398,
            4729455,
            -18074513,
            9256800,
        },
        {
            -25182317,
            -4174131,
            32336398,
            5036987,
            -21236817,
            11360617,
            22616405,
            9761698,
            -19827198,
            630305,
        },
        {
            -13720693,
            2639453,
            -24237460,
            -7406481,
            9494427,
            -5774029,
            -6554551,
            -15960994,
            -2449256,
            -14291300,
        },
    },
    {
        {
            -3151181,
            -5046075,
            9282714,
            6866145,
            -31907062,
            -863023,
            -18940575,
            15033784,
            25105118,
            -7894876,
        },
        {
            -24326370,
            15950226,
            -31801215,
            -14592823,
            -11662737,
            -5090925,
            1573892,
            -2625887,
            2198790,
            -15804619,
        },
        {
            -3099351,
            10324967,
            -2241613,
            7453183,
            -5446979,
            -2735503,
            -13812022,
            -16236442,
            -32461234,
            -12290683,
        },
    },
};

// Incremental sliding windows (left to right)
// Based on Roberto Maria Avanzi[2005]
typedef struct {
    int16_t next_index; // position of the next signed digit
    int8_t next_digit;  // next signed digit (odd number below 2^window_width)
    uint8_t next_check; // point at which we must check for a new window
} ed25519_slide_ctx;

static void ed25519_slide_init(ed25519_slide_ctx *ctx, const uint8_t scalar[32]) {
    // scalar is guaranteed to be below L, either because we checked (s),
    // or because we reduced it modulo L (h_ram). L is under 2^253, so
    // so bits 253 to 255 are guaranteed to be zero. No need to test them.
    //
    // Note however that L is very close to 2^252, so bit 252 is almost
    // always zero.  If we were to start at bit 251, the tests wouldn't
    // catch the off-by-one error (constructing one that does would be
    // prohibitively expensive).
    //
    // We should still check bit 252, though.
    int i = 252;
    while (i > 0 && ed25519_scalar_bit(scalar, i) == 0) {
        i--;
    }
    ctx->next_check = (uint8_t)(i + 1);
    ctx->next_index = -1;
    ctx->next_digit = -1;
}

static int ed25519_slide_step(ed25519_slide_ctx *ctx, int width, int i, const uint8_t scalar[32]) {
    if (i == ctx->next_check) {
        if (ed25519_scalar_bit(scalar, i) == ed25519_scalar_bit(scalar, i - 1)) {
            ctx->next_check--;
        } else {
            // compute digit of next window
            int w = ED25519_MIN(width, i + 1);
            int v = -(ed25519_scalar_bit(scalar, i) << (w - 1));
            ED25519_FOR_T(int, j, 0, w - 1) { v += ed25519_scalar_bit(scalar, i - (w - 1) + j) << j; }
            v += ed25519_scalar_bit(scalar, i - w);
            int lsb = v & (~v + 1); // smallest bit of v
            int s =                 // log2(lsb)
                (((lsb & 0xAA) != 0) << 0) | (((lsb & 0xCC) != 0) << 1) | (((lsb & 0xF0) != 0) << 2);
            ctx->next_index = (int16_t)(i - (w - 1) + s);
            ctx->next_digit = (int8_t)(v >> s);
            ctx->next_check -= (uint8_t)w;
        }
    }
    return i == ctx->next_index ? ctx->next_digit : 0;
}

#define ED25519_P_W_WIDTH 3 // Affects the size of the stack
#define ED25519_B_W_WIDTH 5 // Affects the size of the binary
#define ED25519_P_W_SIZE (1 << (ED25519_P_W_WIDTH - 2))

static int ed25519_check_equation(const uint8_t signature[64], const uint8_t public_key[32], const uint8_t h[32]) {
    ed25519_ge minus_A; // -public_key
    ed25519_ge minus_R; // -first_half_of_signature
    const uint8_t *s = signature + 32;

    // Check that A and R are on the curve
    // Check that 0 <= S < L (prevents malleability)
    // *Allow* non-cannonical encoding for A and R
    {
        uint32_t s32[8];
        ed25519_load32_le_buf(s32, s, 8);
        if (ed25519_ge_frombytes_neg_vartime(&minus_A, public_key) ||
            ed25519_ge_frombytes_neg_vartime(&minus_R, signature) || ed25519_is_above_l(s32)) {
            return -1;
        }
    }

    // look-up table for minus_A
    ed25519_ge_cached lutA[ED25519_P_W_SIZE];
    {
        ed25519_ge minus_A2, tmp;
        ed25519_ge_double(&minus_A2, &minus_A, &tmp);
        ed25519_ge_cache(&lutA[0], &minus_A);
        ED25519_FOR(i, 1, ED25519_P_W_SIZE) {
            ed25519_ge_add(&tmp, &minus_A2, &lutA[i - 1]);
            ed25519_ge_cache(&lutA[i], &tmp);
        }
    }

    // sum = [s]B - [h]A
    // Merged double and add ladder, fused with sliding
    ed25519_slide_ctx h_slide;
    ed25519_slide_init(&h_slide, h);
    ed25519_slide_ctx s_slide;
    ed25519_slide_init(&s_slide, s);
    int i = ED25519_MAX(h_slide.next_check, s_slide.next_check);
    ed25519_ge *sum = &minus_A; // reuse minus_A for the sum
    ed25519_ge_zero(sum);
    while (i >= 0) {
        ed25519_ge tmp;
        ed25519_ge_double(sum, sum, &tmp);
        int h_digit = ed25519_slide_step(&h_slide, ED25519_P_W_WIDTH, i, h);
        int s_digit = ed25519_slide_step(&s_slide, ED25519_B_W_WIDTH, i, s);
        if (h_digit > 0) {
            ed25519_ge_add(sum, sum, &lutA[h_digit / 2]);
        }
        if (h_digit < 0) {
            ed25519_ge_sub(sum, sum, &lutA[-h_digit / 2]);
        }
        ed25519_fe t1, t2;
        if (s_digit > 0) {
            ed25519_ge_madd(sum, sum, ED25519_WINDOW + s_digit / 2, t1, t2);
        }
        if (s_digit < 0) {
            ed25519_ge_msub(sum, sum, ED25519_WINDOW + -s_digit / 2, t1, t2);
        }
        i--;
    }

    // Compare [8](sum-R) and the zero point
    // The multiplication by 8 eliminates any low-order component
    // and ensures consistency with batched verification.
    ed25519_ge_cached cached;
    uint8_t check[32];
    static const uint8_t zero_point[32] = {1}; // Point of order 1
    ed25519_ge_cache(&cached, &minus_R);
    ed25519_ge_add(sum, sum, &cached);
    ed25519_ge_double(sum, sum, &minus_R); // reuse minus_R as temporary
    ed25519_ge_double(sum, sum, &minus_R); // reuse minus_R as temporary
    ed25519_ge_double(sum, sum, &minus_R); // reuse minus_R as temporary
    ed25519_ge_tobytes(check, sum);
    return memcmp(check, zero_point, sizeof check) == 0 ? 0 : -1;
}

static void ed25519_hash_reduce(uint8_t h[32], const uint8_t *a, size_t a_size, const uint8_t *b, size_t b_size,
                                const uint8_t *c, size_t c_size, const uint8_t *d, size_t d_size) {
    uint8_t hash[64];
    exl__sha512 ctx;
    exl__sha512_init(&ctx);
    exl__sha512_update(&ctx, a, a_size);
    exl__sha512_update(&ctx, b, b_size);
    exl__sha512_update(&ctx, c, c_size);
    exl__sha512_update(&ctx, d, d_size);
    exl__sha512_final(&ctx, hash);
    ed25519_reduce(h, hash);
}

// To check the signature R, S of the message M with the public key A,
// there are 3 steps:
//
//   compute h = HASH(R || A || message) % L
//   check that A is on the curve.
//   check that R == [s]B - [h]A
//
// The last two steps are done in ed25519_check_equation()
int exl__ed25519_check(const uint8_t signature[64], const uint8_t public_key[32], const void *first, size_t first_bytes,
                       const void *rest, size_t rest_bytes) {
    uint8_t h[32];
    ed25519_hash_reduce(h, signature, 32, public_key, 32, first, first_bytes, rest, rest_bytes);
    return ed25519_check_equation(signature, public_key, h) == 0;
}
