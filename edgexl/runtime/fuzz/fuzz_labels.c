/* fuzz_labels.c: a label file is opened with the bundle that it says it was made for, asked, changed, compacted and
 * opened again.
 *
 * Input: what stands behind the file's first 128 bytes, which are the bundle's. */
#include "fuzz.h"

#include <fcntl.h>

#include "../src/bundle.h"
#include "../src/live.h"

static file_bytes base;
static char path[4096];
static uint8_t header[EXL__COMMIT_AT];

static exl_bundle *open_with(const char *labels, exl_status *status) {
    exl_open_options options = {.struct_size = sizeof options, .allocator = &limited, .labels_path = labels};
    exl_bundle *bundle = NULL;

    *status = exl_bundle_open_memory(base.bytes, base.length, &options, &bundle, &said);
    return bundle;
}

int LLVMFuzzerInitialize(int *count, char ***arguments) {
    const char *directory = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    exl_status status;
    exl_bundle *bundle;

    (void)count;
    find_directory(*arguments);
    base = read_beside("base.exl");
    snprintf(path, sizeof path, "%s/fuzz_labels.%d", directory, (int)getpid());
    bundle = open_with(NULL, &status);
    MUST(status == EXL_OK);
    exl__live_header(bundle, header);
    exl_bundle_close(bundle);
    return 0;
}

static void change(exl_bundle *bundle) {
    static const char *const retired[] = {"L0007", "N"};
    static const size_t retired_bytes[] = {5, 1};
    exl_new_label added = {.struct_size = sizeof added, .id = "N", .id_bytes = 1, .text = "salt", .text_bytes = 4};
    exl_session *session = NULL;
    uint32_t number;

    (void)exl_labels_retire(bundle, retired, retired_bytes, 2, &said);
    if (exl_session_open(bundle, NULL, &session, &said) == EXL_OK)
        (void)exl_labels_add(session, &added, 1, NULL, &number, &said);
    exl_session_close(session);
    (void)exl_labels_compact(bundle, &said);
    (void)exl_labels_refresh(bundle, &said);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    int file = open(path, O_CREAT | O_TRUNC | O_WRONLY, 0600);
    exl_labels_info before = {.struct_size = sizeof before}, after = {.struct_size = sizeof after};
    exl_status status;
    exl_bundle *bundle;

    MUST(file >= 0 && write(file, header, sizeof header) == sizeof header);
    MUST(write(file, data, size) == (ssize_t)size);
    close(file);
    bundle = open_with(path, &status);
    if (bundle) {
        ask_everything(bundle, "red river", 9);
        change(bundle);
        MUST(exl_labels_get_info(bundle, &before, &said) == EXL_OK);
        exl_bundle_close(bundle);
        bundle = open_with(path, &status); /* what the library has written, it reads */
        MUST(bundle && exl_labels_get_info(bundle, &after, &said) == EXL_OK);
        MUST(after.labels == before.labels);
        exl_bundle_close(bundle);
    }
    unlink(path);
    return 0;
}
