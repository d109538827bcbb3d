/* json.h: just enough to write JSON, shared by the tools. Numbers are finite by the library's contract. */
#ifndef EXL_TOOLS_JSON_H
#define EXL_TOOLS_JSON_H

#include <stddef.h>
#include <stdio.h>

#include "../src/utf8.h"

/* Whether a terminal takes the character for a command, or a reader of lines for the end of one: controls, the
 * separators of lines and paragraphs, and what turns the direction of the text around. None is above U+FFFF. */
static int is_command(uint32_t c) {
    return c < 0x20 || (c >= 0x7F && c < 0xA0) || (c >= 0x2028 && c <= 0x202E) || (c >= 0x2066 && c <= 0x2069);
}

/* A JSON string, quotes included. Bytes that are not UTF-8 become U+FFFD each, so that the line stays JSON. */
static void json_string(FILE *to, const char *text, size_t text_bytes) {
    const unsigned char *at = (const unsigned char *)text;

    fputc('"', to);
    for (size_t i = 0; i < text_bytes;) {
        uint32_t c;
        size_t bytes = exl__measure_utf8(at + i, at + text_bytes, &c);

        if (bytes == 0)
            fputs("\xEF\xBF\xBD", to);
        else if (c == '"' || c == '\\')
            fprintf(to, "\\%c", at[i]);
        else if (is_command(c))
            fprintf(to, "\\u%04x", (unsigned)c);
        else
            fwrite(at + i, 1, bytes, to);
        i += bytes > 0 ? bytes : 1;
    }
    fputc('"', to);
}

#endif
