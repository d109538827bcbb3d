/* utf8.h: characters in bytes, and bytes of characters. */
#ifndef EXL_UTF8_H
#define EXL_UTF8_H

#include <stddef.h>
#include <stdint.h>

#define EXL__REPLACEMENT 0xFFFDu

/* One character, or U+FFFD for a maximal subpart that is not UTF-8 (The Unicode Standard, 3.9, table 3-7). p < end. */
static inline uint32_t exl__decode_utf8(const uint8_t *p, const uint8_t *end, size_t *length) {
    uint32_t lead = p[0], c, low = 0x80, high = 0xBF;
    size_t more;
    *length = 1;
    if (lead < 0x80)
        return lead;
    if (lead < 0xC2 || lead > 0xF4)
        return EXL__REPLACEMENT;
    if (lead < 0xE0) {
        more = 1;
        c = lead & 0x1F;
    } else if (lead < 0xF0) {
        more = 2;
        c = lead & 0x0F;
        if (lead == 0xE0)
            low = 0xA0; /* no overlong forms */
        if (lead == 0xED)
            high = 0x9F; /* no surrogates */
    } else {
        more = 3;
        c = lead & 0x07;
        if (lead == 0xF0)
            low = 0x90;
        if (lead == 0xF4)
            high = 0x8F; /* not above U+10FFFF */
    }
    for (; more > 0; more--) {
        if (*length == (size_t)(end - p) || p[*length] < low || p[*length] > high)
            return EXL__REPLACEMENT;
        c = c << 6 | (p[(*length)++] & 0x3F);
        low = 0x80;
        high = 0xBF;
    }
    return c;
}

/* The length of the character, or 0 where it is not UTF-8. p < end. */
static inline size_t exl__measure_utf8(const uint8_t *p, const uint8_t *end, uint32_t *c) {
    size_t length;
    *c = exl__decode_utf8(p, end, &length);
    return *c != EXL__REPLACEMENT || (length == 3 && p[0] == 0xEF) ? length : 0;
}

/* Writes a character's 1 to 4 bytes; returns how many. */
static inline size_t exl__encode_utf8(uint32_t c, uint8_t *bytes) {
    if (c < 0x80) {
        bytes[0] = (uint8_t)c;
        return 1;
    }
    if (c < 0x800) {
        bytes[0] = (uint8_t)(0xC0 | c >> 6);
        bytes[1] = (uint8_t)(0x80 | (c & 0x3F));
        return 2;
    }
    if (c < 0x10000) {
        bytes[0] = (uint8_t)(0xE0 | c >> 12);
        bytes[1] = (uint8_t)(0x80 | (c >> 6 & 0x3F));
        bytes[2] = (uint8_t)(0x80 | (c & 0x3F));
        return 3;
    }
    bytes[0] = (uint8_t)(0xF0 | c >> 18);
    bytes[1] = (uint8_t)(0x80 | (c >> 12 & 0x3F));
    bytes[2] = (uint8_t)(0x80 | (c >> 6 & 0x3F));
    bytes[3] = (uint8_t)(0x80 | (c & 0x3F));
    return 4;
}

/* utf8.c: whether all of the text is UTF-8 (no surrogates, no overlong forms). */
int exl__utf8_valid(const char *text, size_t text_bytes);

#endif
