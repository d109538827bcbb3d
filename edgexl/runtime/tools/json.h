/* json.h: just enough to write JSON, shared by the tools. Numbers are finite by the library's contract. */
#ifndef EXL_TOOLS_JSON_H
#define EXL_TOOLS_JSON_H

#include <stddef.h>
#include <stdio.h>

/* How many bytes of a UTF-8 character stand at `at`, and which one it is; 0 when they are none. */
static size_t utf8_bytes(const unsigned char *at, size_t left, unsigned long *character) {
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
    *character = c;
    return bytes;
}

/* Whether a terminal takes the character for a command, or a reader of lines for the end of one: controls, the
 * separators of lines and paragraphs, and what turns the direction of the text around. None is above U+FFFF. */
static int is_command(unsigned long c) {
    return c < 0x20 || (c >= 0x7F && c < 0xA0) || (c >= 0x2028 && c <= 0x202E) || (c >= 0x2066 && c <= 0x2069);
}

/* A JSON string, quotes included. Bytes that are not UTF-8 become U+FFFD each, so that the line stays JSON. */
static void json_string(FILE *to, const char *text, size_t text_bytes) {
    const unsigned char *at = (const unsigned char *)text;

    fputc('"', to);
    for (size_t i = 0; i < text_bytes;) {
        unsigned long c = 0;
        size_t bytes = utf8_bytes(at + i, text_bytes - i, &c);

        if (bytes == 0)
            fputs("\xEF\xBF\xBD", to);
        else if (c == '"' || c == '\\')
            fprintf(to, "\\%c", at[i]);
        else if (is_command(c))
            fprintf(to, "\\u%04lx", c);
        else
            fwrite(at + i, 1, bytes, to);
        i += bytes > 0 ? bytes : 1;
    }
    fputc('"', to);
}

#endif
