#include "compiler.h"

#include "utf8.h"

int exl__utf8_valid(const char *text, size_t text_bytes) {
    const uint8_t *at = (const uint8_t *)text, *end = text ? at + text_bytes : at;
    size_t length = 1;
    uint32_t c;

    for (; at < end && length > 0; at += length)
        length = exl__measure_utf8(at, end, &c);
    return length > 0;
}
