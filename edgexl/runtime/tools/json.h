/* json.h: just enough to write JSON, shared by the tools. Numbers are finite by the library's contract. */
#ifndef EXL_TOOLS_JSON_H
#define EXL_TOOLS_JSON_H

#include <stddef.h>
#include <stdio.h>

/* How many bytes of a UTF-8 character stand at `at`, 0 when they are not one. */
static size_t json_utf8_bytes(const unsigned char *at, size_t left) {
    size_t bytes = at[0] < 0x80 ? 1 : at[0] >= 0xF0 ? 4 : at[0] >= 0xE0 ? 3 : 2;
    unsigned long c = bytes == 1 ? at[0] : at[0] & (0x7Fu >> bytes);

    if (at[0] >= 0x80 && (at[0] < 0xC2 || at[0] > 0xF4))
        return 0;
    if (bytes > left)
        return 0;
    for (size_t i = 1; i < bytes; i++) {
        if ((at[i] & 0xC0) != 0x80)
            return 0;
        c = c << 6 | (at[i] & 0x3Fu);
    }
    if ((bytes == 3 && (c < 0x800 || (c >= 0xD800 && c < 0xE000))) || (bytes == 4 && (c < 0x10000 || c > 0x10FFFF)))
        return 0;
    return bytes;
}

/* A JSON string, quotes included. Bytes that are not UTF-8 become U+FFFD each, so that the line stays JSON. */
static void json_string(FILE *to, const char *text, size_t text_bytes) {
    const unsigned char *at = (const unsigned char *)text;

    fputc('"', to);
    for (size_t i = 0; i < text_bytes;) {
        size_t bytes = json_utf8_bytes(at + i, text_bytes - i);

        if (bytes == 0)
            fputs("\xEF\xBF\xBD", to);
        else if (at[i] == '"' || at[i] == '\\')
            fprintf(to, "\\%c", at[i]);
        else if (at[i] < 0x20 || at[i] == 0x7F)
            fprintf(to, "\\u%04x", at[i]);
        else
            fwrite(at + i, 1, bytes, to);
        i += bytes > 0 ? bytes : 1;
    }
    fputc('"', to);
}

#endif
