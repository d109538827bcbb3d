/* testing.h: checks that say where they failed, and files to damage. */
#ifndef EXL_TESTING_H
#define EXL_TESTING_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "edgexl.h"

/* What the last call that was given it said. */
#if defined(__GNUC__)
__attribute__((unused))
#endif
static exl_error said = {.struct_size = sizeof said};

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
                    exl_describe_status(got_), #expected);                                                             \
            exit(1);                                                                                                   \
        }                                                                                                              \
    } while (0)

typedef enum label_field { FIELD_ID, FIELD_TEXT } label_field;

/* One string of a label, of *bytes bytes. */
static inline exl_status read_field(const exl_bundle *bundle, uint32_t number, label_field field, char *buffer,
                                    size_t capacity, size_t *bytes) {
    exl_label label = {.struct_size = sizeof label};
    exl_status status;

    if (field == FIELD_ID)
        label.id = buffer, label.id_capacity = capacity;
    else
        label.text = buffer, label.text_capacity = capacity;
    status = exl_label_read(bundle, number, &label, &said);
    *bytes = field == FIELD_ID ? label.id_bytes : label.text_bytes;
    return status;
}

static inline exl_status read_state(const exl_bundle *bundle, uint32_t number, exl_label_state *state) {
    exl_label label = {.struct_size = sizeof label};
    exl_status status = exl_label_read(bundle, number, &label, &said);

    *state = (exl_label_state)label.state;
    return status;
}

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
