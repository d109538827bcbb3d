/* lines.h: texts out of a file, one a line. */
#ifndef EXL_TOOLS_LINES_H
#define EXL_TOOLS_LINES_H

#include "command.h"

/* A text a line, without its end; grows to the longest line. */
typedef struct line_reader {
    FILE *from;
    char *text;
    size_t bytes, capacity;
} line_reader;

/* 1 = a line, 0 = the end, negative = none, with errno. */
static int read_line(line_reader *reader) {
    int c;

    reader->bytes = 0;
    while ((c = fgetc(reader->from)) != EOF && c != '\n') {
        if (reader->bytes == reader->capacity) {
            size_t larger = reader->capacity ? reader->capacity * 2 : 4096;
            char *moved = realloc(reader->text, larger);
            if (!moved) {
                errno = ENOMEM;
                return -1;
            }
            reader->text = moved;
            reader->capacity = larger;
        }
        reader->text[reader->bytes++] = (char)c;
    }
    if (c == EOF && ferror(reader->from))
        return -1;
    if (c == EOF && reader->bytes == 0)
        return 0;
    if (reader->bytes > 0 && reader->text[reader->bytes - 1] == '\r')
        reader->bytes--;
    return 1;
}

/* Says why there is no further line, and gives the exit code. */
static int no_line(const char *name) {
    int code = errno == ENOMEM ? EXIT_DEVICE : EXIT_BAD_INPUT;

    say("%s cannot be read: %s", name, strerror(errno));
    return code;
}

#endif
