/* testing.h: checks that say where they failed, and files to damage. */
#ifndef EXL_TESTING_H
#define EXL_TESTING_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "edgexl.h"

/* Ends the test: what comes after would only be noise. */
#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "%s:%d: %s is not so\n", __FILE__, __LINE__, #condition);                                  \
            exit(1);                                                                                                   \
        }                                                                                                              \
    } while (0)

#define CHECK_STATUS(call, expected)                                                                                   \
    do {                                                                                                               \
        exl_status got_ = (call);                                                                                      \
        if (got_ != (expected)) {                                                                                      \
            fprintf(stderr, "%s:%d: %s gives %d (%s), not %s\n", __FILE__, __LINE__, #call, (int)got_,                 \
                    exl_status_text(got_), #expected);                                                                 \
            exit(1);                                                                                                   \
        }                                                                                                              \
    } while (0)

typedef struct file_bytes {
    uint8_t *bytes;
    size_t length;
} file_bytes;

static inline file_bytes read_file(const char *path) {
    file_bytes file = {NULL, 0};
    FILE *from = fopen(path, "rb");

    CHECK(from != NULL);
    CHECK(fseek(from, 0, SEEK_END) == 0);
    file.length = (size_t)ftell(from);
    rewind(from);
    file.bytes = malloc(file.length);
    CHECK(file.bytes && fread(file.bytes, 1, file.length, from) == file.length);
    fclose(from);
    return file;
}

static inline void write_file(const char *path, const void *bytes, size_t length) {
    FILE *to = fopen(path, "wb");

    CHECK(to != NULL);
    CHECK(fwrite(bytes, 1, length, to) == length);
    CHECK(fclose(to) == 0);
}

#endif
