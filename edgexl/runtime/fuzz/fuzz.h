/* fuzz.h: what the fuzz targets share. Each is one function over one input (libFuzzer's interface); whatever the bytes,
 * the answer is a status, and the sanitizers watch the rest. Hashes of files are not looked at in these builds
 * (exl__is_hash), so that every change reaches the code behind them.
 *
 *     fuzz_NAME CORPUS        `python -m tests.fuzz` builds the targets, makes their seeds and runs them
 *
 * A target that needs a sound bundle finds it beside itself: base.exl and lexical.exl. */
#ifndef EXL_FUZZ_H
#define EXL_FUZZ_H

#include "../src/compiler.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../tests/damage.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *count, char ***arguments);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t most);

/* A fault: what the library must never do. */
#define MUST(condition)                                                                                                \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "%s:%d: %s is not so\n", __FILE__, __LINE__, #condition);                                  \
            abort();                                                                                                   \
        }                                                                                                              \
    } while (0)

/* ---- the input, taken from its beginning; 0 and nothing behind its end ---- */

typedef struct input {
    const uint8_t *at;
    size_t left;
} input;

static inline uint32_t take(input *from, size_t bytes) {
    uint32_t value = 0;

    bytes = bytes < from->left ? bytes : from->left;
    memcpy(&value, from->at, bytes);
    from->at += bytes, from->left -= bytes;
    return value;
}

/* Memory of exactly so many bytes, at a multiple of 64, which begins with what the input has of them. */
static inline uint8_t *take_exactly(input *from, size_t bytes) {
    size_t there = bytes < from->left ? bytes : from->left;
    void *memory = NULL;

    MUST(posix_memalign(&memory, 64, bytes ? bytes : 1) == 0);
    memset(memory, 0, bytes);
    memcpy(memory, from->at, there);
    from->at += there, from->left -= there;
    return memory;
}

/* ---- memory ---- */

/* More than a small bundle has a use for is refused: a target is to be quick, and no input needs gigabytes. */
enum { MOST_ALLOCATED_BYTES = 1 << 25 };

static inline void *allocate(void *context, size_t bytes) {
    void *memory = NULL;

    (void)context;
    MUST(bytes > 0);
    return bytes <= MOST_ALLOCATED_BYTES && posix_memalign(&memory, 64, bytes) == 0 ? memory : NULL;
}

static inline void release(void *context, void *memory, size_t bytes) {
    (void)context, (void)bytes;
    free(memory);
}

static const exl_allocator limited = {sizeof(exl_allocator), NULL, allocate, release};

/* ---- a sound bundle ---- */

static const char *fuzz_directory = "."; /* where the target lies */

static inline void find_directory(char **arguments) {
    static char directory[4096];
    char *slash;

    snprintf(directory, sizeof directory, "%s", arguments[0]);
    slash = strrchr(directory, '/');
    if (slash)
        *slash = '\0', fuzz_directory = directory;
}

/* A file beside the target, at a multiple of 64 bytes. */
static inline file_bytes read_beside(const char *name) {
    char path[8192];
    file_bytes found;
    input whole;

    snprintf(path, sizeof path, "%s/%s", fuzz_directory, name);
    found = read_file(path);
    whole = (input){found.bytes, found.length};
    found.bytes = take_exactly(&whole, found.length);
    free((void *)(uintptr_t)(whole.at - found.length));
    return found;
}

/* All that there is to ask an open bundle. */
static inline void ask_everything(exl_bundle *bundle, const char *text, size_t text_bytes) {
    exl_bundle_info info = {.struct_size = sizeof info};
    exl_explanation way = {.struct_size = sizeof way};
    exl_self_test_report report = {.struct_size = sizeof report};
    exl_labels_info counted = {.struct_size = sizeof counted};
    exl_predict_options by_coverage = {.struct_size = sizeof by_coverage, .coverage = 0.9f};
    exl_session *session = NULL;
    const exl_result *result = NULL;
    const char *golden;
    char buffer[300];
    int32_t ids[8192];
    uint32_t found[8], count, number;
    size_t bytes;

    MUST(exl_bundle_get_info(bundle, &info, &said) == EXL_OK);
    MUST(exl_labels_get_info(bundle, &counted, &said) == EXL_OK);
    for (uint32_t i = 0; i < 12; i++) {
        if (read_field(bundle, i * 31, FIELD_ID, buffer, sizeof buffer, &bytes) == EXL_OK)
            (void)exl_label_find(bundle, buffer, bytes, &number, &said);
        (void)read_field(bundle, i * 31, FIELD_TEXT, buffer, sizeof buffer, &bytes);
    }
    (void)exl_labels_complete(bundle, text, text_bytes < 3 ? text_bytes : 3, 0, found, 8, &count, &said);
    (void)exl_tokenize(bundle, text, text_bytes, ids, sizeof ids / sizeof *ids, &bytes, &said);
    (void)exl_golden_read(bundle, 0, &golden, &bytes, &said);
    if (exl_session_open(bundle, NULL, &session, &said) == EXL_OK) {
        if (exl_predict(session, text, text_bytes, NULL, &result, &said) == EXL_OK)
            for (size_t i = 0; i < result->count; i++)
                MUST(result->predictions[i]->probability >= 0 && result->predictions[i]->probability <= 1);
        (void)exl_predict(session, text, text_bytes, &by_coverage, &result, &said);
        (void)exl_explain(session, text, text_bytes, 5, &way, &said);
        (void)exl_self_test_run(session, &report, &said);
    }
    exl_session_close(session);
}

#endif
