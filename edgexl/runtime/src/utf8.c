#include "compiler.h"

#include "bundle.h"

int exl__utf8_valid(const char *text, size_t text_bytes) {
    const uint8_t *at = (const uint8_t *)text, *end = text ? at + text_bytes : at;

    while (at < end) {
        uint8_t lead = *at++, low = 0x80, high = 0xBF; /* limits of the byte after the lead */
        int more;

        if (lead < 0x80)
            continue;
        if (lead >= 0xC2 && lead <= 0xDF)
            more = 1;
        else if (lead >= 0xE0 && lead <= 0xEF)
            more = 2, low = lead == 0xE0 ? 0xA0 : 0x80, high = lead == 0xED ? 0x9F : 0xBF;
        else if (lead >= 0xF0 && lead <= 0xF4)
            more = 3, low = lead == 0xF0 ? 0x90 : 0x80, high = lead == 0xF4 ? 0x8F : 0xBF;
        else
            return 0;
        for (; more > 0; more--, low = 0x80, high = 0xBF)
            if (at == end || *at < low || *at++ > high)
                return 0;
    }
    return 1;
}
