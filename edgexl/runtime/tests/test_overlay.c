/* test_overlay.c: an overlay is opened as it was made or not at all, whatever was changed and whatever fails; and what
 * becomes of the label file with it and without.
 *
 *     test_overlay BUNDLE SCRATCH        a bundle of tests/runtime/c_tests.py, with BUNDLE and "o" beside it: an
 * overlay of O0 to O3, and L0007, signed and calibrated. Files are made at SCRATCH
 */
#define _POSIX_C_SOURCE 200809L

#include "../src/bytes.h"
#include "../src/live.h"
#include "counting.h"
#include "damage.h"

static const char *const KEYS[] = {"RWQAAAAAAAAAAOpKbGPinFIKvvVQexMuxfmVR3auvr57kkIe6mkURtIs", /* of another id */
                                   "RWRlZGdleGwgMepKbGPinFIKvvVQexMuxfmVR3auvr57kkIe6mkURtIs"};
enum { LABELS = 5, ROWS = 6, LABELS_AT = 256, SIGNED_BYTES_AT = 16, LABELS_BYTES_AT = 24, COMPILED = 300 };

static const char *bundle_path, *labels_path;
static char overlay_path[4096];
static file_bytes bundle_bytes, sound;
static uint8_t *damaged;

static uint32_t state = 1;

static uint32_t draw(uint32_t below) {
    state = state * 1664525u + 1013904223u;
    return (uint32_t)(((uint64_t)(state >> 8) * below) >> 24);
}

static exl_overlay overlay_of(size_t length, size_t keys) {
    return (exl_overlay){.struct_size = sizeof(exl_overlay),
                         .bytes = damaged,
                         .length = length,
                         .trusted_keys = keys ? KEYS : NULL,
                         .trusted_key_count = keys};
}

/* Opens the bundle with these; where that works, asks it everything. */
static exl_status open_with(const exl_overlay *overlays, size_t count, int with_engine) {
    exl_open_options options = {.struct_size = sizeof options,
                                .flags = EXL_OPEN_COPY | (with_engine ? 0 : EXL_OPEN_NO_ENGINE),
                                .overlays = overlays,
                                .overlay_count = count};
    exl_bundle *bundle = NULL;
    exl_session *session = NULL;
    const exl_result *result = NULL;
    exl_labels_info info = {.struct_size = sizeof info};
    char text[256];
    size_t bytes;
    exl_status status = exl_bundle_open_memory(bundle_bytes.bytes, bundle_bytes.length, &options, &bundle, &said);

    CHECK((status == EXL_OK) == (bundle != NULL) && (status == EXL_OK) == (said.sentence[0] == '\0'));
    if (status != EXL_OK)
        return status;
    CHECK_STATUS(exl_labels_get_info(bundle, &info, &said), EXL_OK);
    for (uint32_t label = COMPILED; label < info.end; label++)
        CHECK(read_field(bundle, label, FIELD_TEXT, text, sizeof text, &bytes) / 100 != 3);
    if (with_engine) {
        CHECK_STATUS(exl_session_open(bundle, NULL, &session, &said), EXL_OK);
        CHECK_STATUS(exl_predict(session, "old king", 8, NULL, &result, &said), EXL_OK);
    }
    exl_session_close(session);
    exl_bundle_close(bundle);
    return EXL_OK;
}

static void mend(void) { memcpy(damaged, sound.bytes, sound.length); }

/* Makes all hashes of the overlay right. */
static void seal_overlay(void) {
    size_t labels = (size_t)get64(sound.bytes + LABELS_BYTES_AT), end = (size_t)get64(sound.bytes + SIGNED_BYTES_AT);

    hash(damaged + LABELS_AT, labels, damaged + 128);
    memcpy(damaged + LABELS_AT + labels, damaged + 128, 32); /* of which labels the calibration is */
    hash(damaged + LABELS_AT + labels, end - LABELS_AT - labels, damaged + 160);
    hash(damaged, 224, damaged + 224);
}

/* ---- what was changed ------------------------------------------------------------------------------------------ */

static void test_flips(void) {
    exl_overlay overlay = overlay_of(sound.length, 2);
    uint64_t end = get64(sound.bytes + SIGNED_BYTES_AT);

    CHECK_STATUS(open_with(&overlay, 1, 1), EXL_OK);
    for (size_t at = 0; at < sound.length; at++) {
        exl_status status;
        damaged[at] ^= (uint8_t)(1u << draw(8));
        status = open_with(&overlay, 1, 0);
        CHECK(status / 100 == 3 && (at < end || status == EXL_BAD_SIGNATURE || status == EXL_UNKNOWN_KEY));
        damaged[at] = sound.bytes[at];
    }
    for (size_t length = 1; length < sound.length; length++) {
        overlay = overlay_of(length, length % 2 ? 2 : 0);
        CHECK(length == end && overlay.trusted_key_count == 0 ? open_with(&overlay, 1, 0) == EXL_OK
                                                              : open_with(&overlay, 1, 0) / 100 == 3);
    }
}

/* By one who mends all hashes, and where nobody asks for a signature. */
static void test_sealed_changes(void) {
    exl_overlay overlay = overlay_of(sound.length, 0);
    uint32_t end = (uint32_t)get64(sound.bytes + SIGNED_BYTES_AT), refused = 0, opened = 0;

    for (int round = 0; round < 1000; round++) {
        for (uint32_t changes = 1 + draw(3); changes > 0; changes--) {
            static const uint8_t VALUES[] = {0, 1, 2, 3, 24, 127, 128, 255};
            damaged[draw(4) ? LABELS_AT + draw(end - LABELS_AT) : 16 + draw(112)] =
                draw(2) ? VALUES[draw(sizeof VALUES)] : (uint8_t)draw(256);
        }
        seal_overlay();
        switch (open_with(&overlay, 1, 1)) {
        case EXL_OK: opened++; break;
        case EXL_OVERLAY_MALFORMED:
        case EXL_OVERLAY_OF_ANOTHER_BUNDLE:
        case EXL_VERSION_TOO_NEW: refused++; break;
        default: CHECK(!"another status");
        }
        if (round % 8 == 0 && memcmp(damaged, sound.bytes, sound.length) != 0) {
            const exl_overlay trusting = overlay_of(sound.length, 2);
            CHECK(open_with(&trusting, 1, 0) / 100 == 3);
        }
        mend();
    }
    CHECK(opened > 50 && refused > 50);
}

/* ---- whom to trust, and how to ask ----------------------------------------------------------------------------- */

static void test_options(void) {
    exl_overlay overlay = overlay_of(sound.length, 2), two[2];
    exl_open_options options = {.struct_size = sizeof options, .flags = EXL_OPEN_COPY | EXL_OPEN_NO_ENGINE};
    exl_overlay_info info = {.struct_size = sizeof info};
    exl_bundle_info about = {.struct_size = sizeof about};
    exl_bundle *bundle = NULL;

    overlay.least_version = 3;
    CHECK_STATUS(open_with(&overlay, 1, 0), EXL_OK);
    overlay.least_version = 4;
    CHECK_STATUS(open_with(&overlay, 1, 0), EXL_VERSION_TOO_OLD);
    CHECK(strstr(said.sentence, "overlay 1: the overlay is signed as version 3") != NULL);
    overlay = overlay_of(sound.length, 1);
    CHECK_STATUS(open_with(&overlay, 1, 0), EXL_UNKNOWN_KEY);
    overlay = overlay_of((size_t)get64(sound.bytes + SIGNED_BYTES_AT), 2);
    CHECK_STATUS(open_with(&overlay, 1, 0), EXL_NOT_SIGNED);
    overlay.signature = sound.bytes + overlay.length;
    overlay.signature_bytes = sound.length - overlay.length;
    CHECK_STATUS(open_with(&overlay, 1, 0), EXL_OK);
    overlay = overlay_of(sound.length, 0);
    overlay.least_version = 1;
    CHECK_STATUS(open_with(&overlay, 1, 0), EXL_BAD_ARGUMENT);
    overlay = overlay_of(sound.length, 0);
    overlay.path = overlay_path; /* and bytes */
    CHECK_STATUS(open_with(&overlay, 1, 0), EXL_BAD_ARGUMENT);
    overlay.bytes = NULL, overlay.length = 0;
    CHECK_STATUS(open_with(&overlay, 1, 0), EXL_OK);
    overlay.struct_size = 3;
    CHECK_STATUS(open_with(&overlay, 1, 0), EXL_BAD_ARGUMENT);
    CHECK_STATUS(open_with(NULL, 1, 0), EXL_BAD_ARGUMENT);
    overlay = overlay_of(sound.length, 2);
    CHECK_STATUS(open_with(&overlay, 0, 0), EXL_BAD_ARGUMENT);
    CHECK_STATUS(open_with(&overlay, 65, 0), EXL_BAD_ARGUMENT);
    two[0] = two[1] = overlay;
    two[1].trusted_key_count = 1;
    CHECK_STATUS(open_with(two, 2, 0), EXL_UNKNOWN_KEY);
    CHECK(strncmp(said.sentence, "overlay 2: ", 11) == 0);

    options.overlays = &overlay, options.overlay_count = 1;
    CHECK_STATUS(exl_bundle_open_memory(bundle_bytes.bytes, bundle_bytes.length, &options, &bundle, &said), EXL_OK);
    CHECK_STATUS(exl_overlay_get_info(bundle, 1, &info, &said), EXL_OK);
    CHECK(info.labels == LABELS && info.rows == ROWS && info.calibrates && info.signed_by == 2 &&
          info.signed_version == 3 && info.file_bytes == sound.length && info.queries == 9);
    CHECK_STATUS(exl_overlay_get_info(bundle, 0, &info, &said), EXL_BAD_ARGUMENT);
    CHECK_STATUS(exl_overlay_get_info(bundle, 2, &info, &said), EXL_BAD_ARGUMENT);
    CHECK_STATUS(exl_bundle_get_info(bundle, &about, &said), EXL_OK);
    CHECK(about.overlays == 1 && about.calibrated_by == 1 && about.signed_by == 0);
    exl_bundle_close(bundle);
    options.struct_size = offsetof(exl_open_options, overlays); /* of a program that knows none */
    CHECK_STATUS(exl_bundle_open_memory(bundle_bytes.bytes, bundle_bytes.length, &options, &bundle, &said), EXL_OK);
    CHECK_STATUS(exl_bundle_get_info(bundle, &about, &said), EXL_OK);
    CHECK(about.overlays == 0 && about.calibrated_by == 0);
    CHECK_STATUS(exl_overlay_get_info(bundle, 1, &info, &said), EXL_BAD_ARGUMENT);
    exl_bundle_close(bundle);
}

/* ---- the label file with it and without ------------------------------------------------------------------------ */

static exl_bundle *open_files(int with_overlay, const exl_allocator *allocator, exl_status expected) {
    const exl_overlay overlay = {.struct_size = sizeof overlay, .path = overlay_path};
    exl_open_options options = {.struct_size = sizeof options,
                                .allocator = allocator,
                                .labels_path = labels_path,
                                .overlays = with_overlay ? &overlay : NULL,
                                .overlay_count = with_overlay ? 1 : 0};
    exl_bundle *bundle = NULL;

    CHECK_STATUS(exl_bundle_open(bundle_path, &options, &bundle, &said), expected);
    return bundle;
}

static exl_status add(exl_bundle *bundle, const char *id, const char *text, int replace) {
    exl_new_label label = {
        .struct_size = sizeof label, .id = id, .id_bytes = strlen(id), .text = text, .text_bytes = strlen(text)};
    exl_add_options options = {.struct_size = sizeof options, .replace = (uint32_t)replace};
    exl_session *session = NULL;
    exl_status status = exl_session_open(bundle, NULL, &session, &said);

    if (status == EXL_OK)
        status = exl_labels_add(session, &label, 1, &options, NULL, &said);
    exl_session_close(session);
    return status;
}

static exl_status retire(exl_bundle *bundle, const char *id) {
    size_t bytes = strlen(id);
    return exl_labels_retire(bundle, &id, &bytes, 1, &said);
}

static uint32_t labels_of(const exl_bundle *bundle) {
    exl_labels_info info = {.struct_size = sizeof info};
    CHECK_STATUS(exl_labels_get_info(bundle, &info, &said), EXL_OK);
    CHECK(info.labels == info.end - info.retired_compiled - info.retired_added - info.retired_overlaid);
    return info.labels;
}

static uint32_t find(const exl_bundle *bundle, const char *id) {
    uint32_t label;
    return exl_label_find(bundle, id, strlen(id), &label, &said) == EXL_OK ? label : UINT32_MAX;
}

static void test_label_file(void) {
    exl_label label = {.struct_size = sizeof label};
    exl_bundle *bundle;

    remove(labels_path);
    bundle = open_files(1, NULL, EXL_OK);
    CHECK(labels_of(bundle) == COMPILED + LABELS - 1 && find(bundle, "O3") == 303 && find(bundle, "L0007") == 304);
    CHECK_STATUS(exl_label_read(bundle, 7, &label, &said), EXL_OK);
    CHECK(label.state == EXL_LABEL_RETIRED && label.overlay == 0);
    CHECK_STATUS(exl_label_read(bundle, 304, &label, &said), EXL_OK);
    CHECK(label.state == EXL_LABEL_OVERLAID && label.overlay == 1);
    CHECK_STATUS(add(bundle, "O1", "snow", 0), EXL_LABEL_EXISTS);
    CHECK_STATUS(add(bundle, "N1", "snow", 0), EXL_OK);
    CHECK_STATUS(add(bundle, "O1", "river", 1), EXL_OK);
    CHECK_STATUS(add(bundle, "L0007", "honey", 1), EXL_OK);
    CHECK_STATUS(retire(bundle, "O2"), EXL_OK);
    CHECK_STATUS(retire(bundle, "L0008"), EXL_OK);
    CHECK(find(bundle, "N1") == 305 && find(bundle, "O1") == 306 && find(bundle, "L0007") == 307);
    CHECK(find(bundle, "O2") == UINT32_MAX && labels_of(bundle) == COMPILED + LABELS - 1 + 1 - 2);
    CHECK_STATUS(exl_labels_compact(bundle, &said), EXL_OK);
    CHECK(find(bundle, "O2") == UINT32_MAX && find(bundle, "O1") == 306 && labels_of(bundle) == COMPILED + 3);
    exl_bundle_close(bundle);

    bundle = open_files(0, NULL, EXL_OK); /* the label file's L0007 beside the bundle's: both have the id */
    CHECK(find(bundle, "N1") == 300 && find(bundle, "O1") == 301 && find(bundle, "O0") == UINT32_MAX);
    CHECK(labels_of(bundle) == COMPILED - 1 + 3);
    CHECK_STATUS(retire(bundle, "O1"), EXL_OK);
    exl_bundle_close(bundle);

    bundle = open_files(1, NULL, EXL_OK); /* which it was not from the overlay */
    CHECK(find(bundle, "O1") == 301 && find(bundle, "O2") == UINT32_MAX);
    CHECK_STATUS(exl_label_read(bundle, 306, &label, &said), EXL_OK);
    CHECK(label.state == EXL_LABEL_RETIRED && label.overlay == 0);
    exl_bundle_close(bundle);
    remove(labels_path);
}

/* ---- what fails ------------------------------------------------------------------------------------------------ */

static void test_allocations_fail(void) {
    counting count = {.fails_at = -1};
    const exl_allocator allocator = {sizeof allocator, &count, count_allocate, count_release};
    exl_bundle *bundle;
    long opening;

    remove(labels_path);
    bundle = open_files(1, NULL, EXL_OK);
    CHECK_STATUS(add(bundle, "N1", "snow", 0), EXL_OK);
    exl_bundle_close(bundle);
    exl_bundle_close(open_files(1, &allocator, EXL_OK));
    opening = count.calls;
    CHECK(count.outstanding == 0);
    for (long call = 0; call < opening; call++) {
        count = (counting){.fails_at = call};
        open_files(1, &allocator, EXL_OUT_OF_MEMORY);
        CHECK(count.outstanding == 0 && count.outstanding_bytes == 0);
    }
    for (int which = 0; which < 4; which++)
        for (long call = 0, failed = 1; failed; call++) {
            exl_status status;
            count = (counting){.fails_at = -1};
            bundle = open_files(1, &allocator, EXL_OK);
            count.fails_at = count.calls + call;
            status = which == 0   ? retire(bundle, "O1")
                     : which == 1 ? add(bundle, "O2", "river", 1)
                     : which == 2 ? exl_labels_compact(bundle, &said)
                                  : exl_labels_refresh(bundle, &said);
            CHECK(status == EXL_OK || status == EXL_OUT_OF_MEMORY);
            failed = status != EXL_OK;
            exl_bundle_close(bundle);
            CHECK(count.outstanding == 0 && count.outstanding_bytes == 0);
        }
    bundle = open_files(1, NULL, EXL_OK);
    CHECK(find(bundle, "O1") == UINT32_MAX && find(bundle, "O2") == 306);
    exl_bundle_close(bundle);
    remove(labels_path);
}

int main(int count, char **arguments) {
    if (count < 3)
        return fprintf(stderr, "usage: %s BUNDLE SCRATCH\n", arguments[0]), 1;
    bundle_path = arguments[1];
    labels_path = arguments[2];
    snprintf(overlay_path, sizeof overlay_path, "%so", bundle_path);
    bundle_bytes = read_file(bundle_path);
    sound = read_file(overlay_path);
    damaged = malloc(sound.length);
    CHECK(damaged);
    mend();
    test_flips();
    test_sealed_changes();
    test_options();
    test_label_file();
    test_allocations_fail();
    free(damaged);
    free(sound.bytes);
    free(bundle_bytes.bytes);
    puts("overlays: all passed");
    return 0;
}
