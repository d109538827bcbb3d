/* receipts.h: receipts of the answers that a tool gives: appended to a file, or base64 to go into a line of JSON. */
#ifndef EXL_TOOLS_RECEIPTS_H
#define EXL_TOOLS_RECEIPTS_H

#include <time.h>

#include "command.h"

enum { RECEIPTS_MOST_KEY = 4096 };

typedef struct receipts {
    const char *key_path; /* null: there are none to be made */
    const char *path;     /* of the file; null: they go into the lines */
    char key[RECEIPTS_MOST_KEY + 1];
    size_t key_bytes;
    unsigned char *record; /* [capacity] */
    size_t capacity, bytes;
    FILE *to;
} receipts;

static exl_receipt_options receipt_options(const receipts *r) {
    exl_receipt_options options = {.struct_size = sizeof options, .key = r->key, .key_bytes = r->key_bytes};

    options.time = (uint64_t)time(NULL);
    return options;
}

/* Reads the key and opens the file; gives an exit code, and says what is wrong. */
static int begin_receipts(receipts *r, exl_session *session) {
    exl_error error = {.struct_size = sizeof error};
    exl_receipt_options options;
    FILE *key = fopen(r->key_path, "rb");
    exl_status status;

    if (key) {
        r->key_bytes = fread(r->key, 1, sizeof r->key, key);
        fclose(key);
    }
    if (!key || r->key_bytes < EXL_RECEIPT_LEAST_KEY || r->key_bytes > RECEIPTS_MOST_KEY) {
        say("%s is no key of receipts: give a file of %d to %d bytes", r->key_path, EXL_RECEIPT_LEAST_KEY,
            RECEIPTS_MOST_KEY);
        return EXIT_BAD_INPUT;
    }
    options = receipt_options(r);
    status = exl_receipt(session, "", 0, &options, NULL, 0, &r->capacity, NULL, &error);
    if (status != EXL_BUFFER_TOO_SMALL) {
        say("%s", error.sentence);
        return exit_code_of(status);
    }
    r->record = malloc(r->capacity);
    if (!r->record) {
        say("no memory for a receipt");
        return EXIT_DEVICE;
    }
    if (r->path && !(r->to = fopen(r->path, "ab"))) {
        say("%s cannot be written: %s", r->path, strerror(errno));
        return EXIT_BAD_INPUT;
    }
    return EXIT_DONE;
}

/* A prediction with its receipt. */
static exl_status make_receipt(receipts *r, exl_session *session, const char *text, size_t text_bytes,
                               const exl_predict_options *predict, const exl_result **result, exl_error *error) {
    exl_receipt_options options = receipt_options(r);

    options.predict = predict;
    return exl_receipt(session, text, text_bytes, &options, r->record, r->capacity, &r->bytes, result, error);
}

static void print_base64(FILE *to, const unsigned char *bytes, size_t length) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    for (size_t i = 0; i < length; i += 3) {
        size_t left = length - i;
        uint32_t three = (uint32_t)bytes[i] << 16 | (left > 1 ? (uint32_t)bytes[i + 1] << 8 : 0u) |
                         (left > 2 ? (uint32_t)bytes[i + 2] : 0u);
        for (size_t digit = 0; digit < 4; digit++)
            fputc(digit <= left ? digits[three >> (18 - 6 * digit) & 63] : '=', to);
    }
}

/* Into the file, or as a key of the object that is being printed. */
static void put_receipt(const receipts *r) {
    if (r->to) {
        fwrite(r->record, 1, r->bytes, r->to);
        fflush(r->to); /* whatever ends the process, those that were made are there */
        return;
    }
    fputs(", \"receipt\": \"", stdout);
    print_base64(stdout, r->record, r->bytes);
    fputc('"', stdout);
}

/* The exit code in the end. */
static int end_receipts(receipts *r, int code) {
    int failed = r->to && ferror(r->to);

    if (r->to)
        failed |= fclose(r->to) != 0;
    free(r->record);
    if (failed) {
        say("%s cannot be written: %s", r->path, strerror(errno));
        return EXIT_DEVICE;
    }
    return code;
}

#endif
