/* test_session.c: the interface with a sound bundle: wrong arguments, hard texts, memory that runs out, threads.
 *
 *     test_session BUNDLE        with $EDGEXL_ORT_LIBRARY set; a bundle of tests/runtime/tiny_bundle.py
 */
#define _POSIX_C_SOURCE 200809L

#include <math.h>
#include <pthread.h>

#include "counting.h"
#include "testing.h"

static const char *path;
static int is_native; /* plans in the place of graphs: no library is loaded */

static int pass_answer(void *context, size_t place, const exl_result *result, const exl_error *error) {
    (void)context, (void)place;
    CHECK(result != NULL && error->status == EXL_OK);
    return 0;
}

/* All of a short life; the first status that is not EXL_OK. */
static exl_status live(counting *c) {
    exl_allocator allocator = {sizeof allocator, c, count_allocate, count_release};
    exl_open_options options = {.struct_size = sizeof options, .allocator = &allocator};
    exl_explanation way = {.struct_size = sizeof way};
    exl_self_test_report report = {.struct_size = sizeof report};
    const exl_result *result = NULL;
    exl_session_options threaded = {.struct_size = sizeof threaded, .scan_threads = 2, .batch = 3};
    const char *const texts[5] = {"red", "river", "old", "king", "bridge"};
    const size_t bytes[5] = {3, 5, 3, 4, 6};
    exl_batch batch = {.struct_size = sizeof batch, .texts = texts, .text_bytes = bytes, .count = 5};
    exl_bundle *bundle = NULL;
    exl_session *session = NULL;
    exl_status status = exl_bundle_open(path, &options, &bundle, &said);
    long before;

    if (status == EXL_OK)
        status = exl_session_open(bundle, &threaded, &session, &said);
    before = c->calls;
    for (int i = 0; i < 20 && status == EXL_OK; i++)
        status = exl_predict(session, "The red river, the old king", 27 - (size_t)i % 5, NULL, &result, &said);
    batch.answer = pass_answer;
    if (status == EXL_OK)
        status = exl_predict_batch(session, &batch, &said);
    if (status == EXL_OK)
        status = exl_explain(session, "red river", 9, 3, &way, &said);
    if (status == EXL_OK)
        status = exl_self_test_run(session, &report, &said);
    CHECK(c->calls == before); /* nothing is allocated once the session is open */
    exl_session_close(session);
    exl_bundle_close(bundle);
    return status;
}

static void test_memory_runs_out(void) {
    counting c = {.fails_at = -1};
    long needed;

    CHECK_STATUS(live(&c), EXL_OK);
    CHECK(c.outstanding == 0 && c.outstanding_bytes == 0);
    needed = c.calls;
    CHECK(needed >= 4);
    for (long at = 0; at < needed; at++) {
        c = (counting){.fails_at = at};
        CHECK_STATUS(live(&c), EXL_OUT_OF_MEMORY);
        CHECK(c.outstanding == 0 && c.outstanding_bytes == 0);
    }
}

/* ---- arguments ------------------------------------------------------------------------------------------------ */

static void test_opening(void) {
    exl_open_options options = {.struct_size = sizeof options};
    exl_bundle *bundle = NULL;
    exl_session *session = NULL;
    exl_allocator half = {0};

    CHECK_STATUS(exl_bundle_open(NULL, &options, &bundle, &said), EXL_BAD_ARGUMENT);
    CHECK_STATUS(exl_bundle_open(path, &options, NULL, &said), EXL_BAD_ARGUMENT);
    options.flags = 1u << 31;
    CHECK_STATUS(exl_bundle_open(path, &options, &bundle, &said), EXL_BAD_ARGUMENT);
    CHECK(strstr(said.sentence, "flag"));
    options.flags = 0;
    options.threads = 5000;
    CHECK_STATUS(exl_bundle_open(path, &options, &bundle, &said), EXL_BAD_ARGUMENT);
    options.threads = 1;
    options.allocator = &half;
    CHECK_STATUS(exl_bundle_open(path, &options, &bundle, &said), EXL_BAD_ARGUMENT);
    options.allocator = NULL;
    options.struct_size = 0;
    CHECK_STATUS(exl_bundle_open(path, &options, &bundle, &said), EXL_BAD_ARGUMENT);
    options.struct_size = sizeof options;
    CHECK_STATUS(exl_bundle_open("no/such/file.exl", &options, &bundle, &said), EXL_FILE_UNREADABLE);
    CHECK(strstr(said.sentence, "cannot be read") && !bundle); /* the caller knows the path */
    CHECK_STATUS(exl_bundle_open("/", &options, &bundle, &said), EXL_FILE_UNREADABLE);
    CHECK_STATUS(exl_bundle_open("/dev/null", &options, &bundle, &said), EXL_FILE_UNREADABLE);

    options.engine_library = "no/such/libonnxruntime.so";
    if (is_native) {
        CHECK_STATUS(exl_bundle_open(path, &options, &bundle, &said), EXL_OK);
        exl_bundle_close(bundle);
    } else {
        CHECK_STATUS(exl_bundle_open(path, &options, &bundle, &said), EXL_ENGINE_MISSING);
        CHECK(strstr(said.sentence, "no/such/libonnxruntime.so") && strstr(said.sentence, "pip install onnxruntime"));
        options.engine_library = "libc.so.6"; /* a library, but not that one */
        CHECK_STATUS(exl_bundle_open(path, &options, &bundle, &said), EXL_ENGINE_MISSING);
        CHECK(strstr(said.sentence, "pip install onnxruntime"));
    }

    options.engine_library = NULL;
    options.flags = EXL_OPEN_NO_ENGINE | EXL_OPEN_VERIFY;
    CHECK_STATUS(exl_bundle_open(path, &options, &bundle, &said), EXL_OK);
    CHECK_STATUS(exl_session_open(bundle, NULL, &session, &said), EXL_NO_ENGINE_LOADED);
    CHECK(!session && strstr(said.sentence, "without its engine"));
    exl_bundle_close(bundle);
}

/* Looks once what kind of bundle it is. */
static void test_info(void) {
    exl_open_options options = {.struct_size = sizeof options, .flags = EXL_OPEN_NO_ENGINE};
    exl_bundle_info info = {.struct_size = sizeof info};
    exl_bundle *bundle = NULL;

    CHECK_STATUS(exl_bundle_open(path, &options, &bundle, &said), EXL_OK);
    CHECK_STATUS(exl_bundle_get_info(bundle, &info, &said), EXL_OK);
    is_native = strcmp(info.engine, "native") == 0;
    CHECK(is_native || strcmp(info.engine, "ort") == 0);
    exl_bundle_close(bundle);
}

static void test_statuses(void) {
    static const exl_status all[] = {EXL_OK,
                                     EXL_BAD_ARGUMENT,
                                     EXL_EMPTY_TEXT,
                                     EXL_INVALID_UTF8,
                                     EXL_BAD_K,
                                     EXL_NO_SUCH_LABEL,
                                     EXL_BUFFER_TOO_SMALL,
                                     EXL_NO_ENGINE_LOADED,
                                     EXL_LABEL_EXISTS,
                                     EXL_NOT_SUPPORTED,
                                     EXL_OUT_OF_MEMORY,
                                     EXL_FILE_UNREADABLE,
                                     EXL_FILE_UNWRITABLE,
                                     EXL_NOT_DURABLE,
                                     EXL_NOT_A_BUNDLE,
                                     EXL_VERSION_TOO_NEW,
                                     EXL_BUNDLE_TRUNCATED,
                                     EXL_BUNDLE_MALFORMED,
                                     EXL_BUNDLE_CORRUPT,
                                     EXL_LABELS_MALFORMED,
                                     EXL_LABELS_OF_ANOTHER_BUNDLE,
                                     EXL_ENGINE_MISSING,
                                     EXL_ENGINE_TOO_OLD,
                                     EXL_ENGINE_REFUSED,
                                     EXL_ENGINE_FAILED,
                                     EXL_SELF_TEST_FAILED};

    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        CHECK(strlen(exl_describe_status(all[i])) >= 4 && strcmp(exl_describe_status(all[i]), "unknown status") != 0);
        for (size_t j = 0; j < i; j++)
            CHECK(strcmp(exl_describe_status(all[i]), exl_describe_status(all[j])) != 0);
    }
    CHECK(strcmp(exl_describe_status((exl_status)12345), "unknown status") == 0);
    CHECK(strcmp(exl_describe_status(EXL_LABEL_EXISTS), "the label set has a label with that id") == 0);
    CHECK(strcmp(exl_get_version(), EXL_VERSION_STRING) == 0);
}

/* What is null, or a struct without its size, is refused, and nothing is written. */
static void test_null_arguments(exl_bundle *bundle, exl_session *session) {
    exl_bundle_info info = {.struct_size = sizeof info};
    exl_labels_info labels = {.struct_size = sizeof labels};
    exl_self_test_report report = {.struct_size = sizeof report};
    exl_explanation way = {.struct_size = sizeof way};
    char buffer[8] = "kept";
    exl_label read = {.struct_size = sizeof read, .id = buffer, .id_capacity = sizeof buffer};
    exl_session *none = NULL;
    const char *golden;
    int32_t ids[16];
    uint32_t label = 77, count = 77;
    size_t bytes = 77;

    CHECK_STATUS(exl_bundle_get_info(NULL, &info, &said), EXL_BAD_ARGUMENT);
    CHECK_STATUS(exl_bundle_get_info(bundle, NULL, &said), EXL_BAD_ARGUMENT);
    CHECK_STATUS(exl_label_read(NULL, 0, &read, &said), EXL_BAD_ARGUMENT);
    CHECK_STATUS(exl_label_read(bundle, 0, NULL, &said), EXL_BAD_ARGUMENT);
    CHECK(said.status == EXL_BAD_ARGUMENT && strstr(said.sentence, "an argument is null"));
    CHECK_STATUS(exl_label_find(NULL, "L0001", 5, &label, &said), EXL_BAD_ARGUMENT);
    CHECK_STATUS(exl_label_find(bundle, "L0001", 5, NULL, &said), EXL_BAD_ARGUMENT);
    CHECK_STATUS(exl_labels_complete(NULL, "r", 1, 0, &label, 1, &count, &said), EXL_BAD_ARGUMENT);
    CHECK_STATUS(exl_labels_complete(bundle, NULL, 1, 0, &label, 1, &count, &said), EXL_BAD_ARGUMENT);
    CHECK_STATUS(exl_labels_complete(bundle, "r", 1, 0, NULL, 1, &count, &said), EXL_BAD_ARGUMENT);
    CHECK_STATUS(exl_labels_complete(bundle, "r", 1, 0, &label, 1, NULL, &said), EXL_BAD_ARGUMENT);
    CHECK_STATUS(exl_labels_get_info(NULL, &labels, &said), EXL_BAD_ARGUMENT);
    CHECK_STATUS(exl_labels_get_info(bundle, NULL, &said), EXL_BAD_ARGUMENT);
    CHECK_STATUS(exl_tokenize(NULL, "red", 3, ids, 16, &bytes, &said), EXL_BAD_ARGUMENT);
    CHECK_STATUS(exl_tokenize(bundle, NULL, 3, ids, 16, &bytes, &said), EXL_BAD_ARGUMENT);
    CHECK_STATUS(exl_tokenize(bundle, "red", 3, NULL, 16, &bytes, &said), EXL_BAD_ARGUMENT);
    CHECK_STATUS(exl_tokenize(bundle, "red", 3, ids, 16, NULL, &said), EXL_BAD_ARGUMENT);
    CHECK_STATUS(exl_golden_read(NULL, 0, &golden, &bytes, &said), EXL_BAD_ARGUMENT);
    CHECK_STATUS(exl_golden_read(bundle, 0, NULL, &bytes, &said), EXL_BAD_ARGUMENT);
    CHECK_STATUS(exl_golden_read(bundle, 0, &golden, NULL, &said), EXL_BAD_ARGUMENT);
    CHECK_STATUS(exl_session_open(NULL, NULL, &none, &said), EXL_BAD_ARGUMENT);
    CHECK_STATUS(exl_session_open(bundle, NULL, NULL, &said), EXL_BAD_ARGUMENT);
    CHECK_STATUS(exl_self_test_run(NULL, &report, &said), EXL_BAD_ARGUMENT);
    CHECK_STATUS(exl_self_test_run(session, NULL, &said), EXL_BAD_ARGUMENT);
    CHECK_STATUS(exl_explain(NULL, "red", 3, 0, &way, &said), EXL_BAD_ARGUMENT);
    info.struct_size = labels.struct_size = report.struct_size = way.struct_size = sizeof(size_t) - 1;
    CHECK_STATUS(exl_bundle_get_info(bundle, &info, &said), EXL_BAD_ARGUMENT);
    CHECK_STATUS(exl_labels_get_info(bundle, &labels, &said), EXL_BAD_ARGUMENT);
    CHECK_STATUS(exl_self_test_run(session, &report, &said), EXL_BAD_ARGUMENT);
    CHECK_STATUS(exl_explain(session, "red", 3, 0, &way, &said), EXL_BAD_ARGUMENT);
    CHECK(!none && label == 77 && count == 77 && bytes == 77);
    CHECK(strcmp(buffer, "kept") == 0 && info.labels == 0 && labels.labels == 0 && report.goldens == 0);
    info.struct_size = labels.struct_size = sizeof(size_t); /* room for nothing else */
    CHECK_STATUS(exl_bundle_get_info(bundle, &info, &said), EXL_OK);
    CHECK_STATUS(exl_labels_get_info(bundle, &labels, &said), EXL_OK);
    CHECK(info.labels == 0 && labels.labels == 0);
    CHECK(strcmp(said.sentence, "") == 0);
}

/* The sentence goes where there is room for it, cut to the room; null is allowed, an error without its size is not. */
static void test_error_rooms(void) {
    exl_error error = {.struct_size = offsetof(exl_error, sentence) + 5, .sentence = "before"};
    exl_open_options options = {.struct_size = sizeof options};
    exl_bundle *bundle = NULL;
    exl_allocator halves[2] = {{sizeof *halves, NULL, count_allocate, NULL},
                               {sizeof *halves, NULL, NULL, count_release}};

    CHECK_STATUS(exl_bundle_open("no/such/file.exl", &options, &bundle, &error), EXL_FILE_UNREADABLE);
    CHECK(error.status == EXL_FILE_UNREADABLE && strcmp(error.sentence, "the ") == 0 && error.sentence[5] == 'e');
    error.struct_size = offsetof(exl_error, sentence);
    CHECK_STATUS(exl_bundle_open("no/such/file.exl", &options, &bundle, &error), EXL_BAD_ARGUMENT);
    CHECK(error.status == EXL_FILE_UNREADABLE && strcmp(error.sentence, "the ") == 0);
    CHECK_STATUS(exl_bundle_open("no/such/file.exl", &options, &bundle, NULL), EXL_FILE_UNREADABLE);
    for (int i = 0; i < 2; i++) {
        options.allocator = &halves[i];
        CHECK_STATUS(exl_bundle_open(path, &options, &bundle, &said), EXL_BAD_ARGUMENT);
        CHECK(strstr(said.sentence, "allocator"));
    }
    options.allocator = NULL, options.struct_size = 4097;
    CHECK_STATUS(exl_bundle_open(path, &options, &bundle, &said), EXL_BAD_ARGUMENT);
    CHECK_STATUS(exl_bundle_open("no/such/file.exl", NULL, &bundle, &said), EXL_FILE_UNREADABLE);
    options.struct_size = sizeof options, options.threads = 2;
    if (is_native) {
        CHECK_STATUS(exl_bundle_open(path, &options, &bundle, &said), EXL_BAD_ARGUMENT);
        CHECK(bundle == NULL);
    }
}

/* A caller compiled with a larger or a smaller struct than this library has. */
static void test_struct_sizes(void) {
    struct {
        exl_open_options known;
        uint64_t more;
    } larger = {{.struct_size = sizeof larger, .flags = EXL_OPEN_NO_ENGINE}, 0};
    union {
        exl_bundle_info info;
        uint8_t bytes[sizeof(exl_bundle_info)];
    } smaller;
    exl_bundle *bundle = NULL;

    larger.more = 1; /* asks for something that is not known here */
    CHECK_STATUS(exl_bundle_open(path, &larger.known, &bundle, &said), EXL_BAD_ARGUMENT);
    larger.more = 0;
    CHECK_STATUS(exl_bundle_open(path, &larger.known, &bundle, &said), EXL_OK);
    memset(&smaller, 0x55, sizeof smaller);
    smaller.info.struct_size = offsetof(exl_bundle_info, rows);
    CHECK_STATUS(exl_bundle_get_info(bundle, &smaller.info, &said), EXL_OK);
    CHECK(smaller.info.labels == 300 && smaller.info.struct_size == offsetof(exl_bundle_info, rows));
    for (size_t i = offsetof(exl_bundle_info, rows); i < sizeof smaller; i++)
        CHECK(smaller.bytes[i] == 0x55);
    exl_bundle_close(bundle);
}

static void test_labels(const exl_bundle *bundle) {
    char buffer[64], small[3];
    size_t bytes = 0, golden_bytes;
    uint32_t label = 0;
    int32_t ids[64];
    const char *golden;

    for (uint32_t i = 0; i < 300; i++) {
        CHECK_STATUS(read_field(bundle, i, FIELD_ID, buffer, sizeof buffer, &bytes), EXL_OK);
        CHECK(bytes == 5 && strlen(buffer) == 5);
        CHECK_STATUS(exl_label_find(bundle, buffer, bytes, &label, &said), EXL_OK);
        CHECK(label == i);
    }
    CHECK_STATUS(read_field(bundle, 7, FIELD_ID, small, sizeof small, &bytes), EXL_BUFFER_TOO_SMALL);
    CHECK(bytes == 5 && strcmp(small, "L0") == 0);
    CHECK_STATUS(read_field(bundle, 7, FIELD_ID, small, 0, &bytes), EXL_BUFFER_TOO_SMALL);
    CHECK(bytes == 5 && strstr(said.sentence, "a string of label 7 takes 5 bytes"));
    CHECK_STATUS(read_field(bundle, 7, FIELD_ID, NULL, 9, &bytes), EXL_OK);
    CHECK(bytes == 0);
    CHECK_STATUS(read_field(bundle, 300, FIELD_TEXT, buffer, sizeof buffer, &bytes), EXL_NO_SUCH_LABEL);
    CHECK_STATUS(exl_label_find(bundle, "L9999", 5, &label, &said), EXL_NO_SUCH_LABEL);
    CHECK_STATUS(exl_label_find(bundle, "", 0, &label, &said), EXL_NO_SUCH_LABEL);
    CHECK_STATUS(exl_label_find(bundle, NULL, 5, &label, &said), EXL_BAD_ARGUMENT);
    CHECK_STATUS(exl_tokenize(bundle, "red river", 9, ids, 64, &bytes, &said), EXL_OK);
    CHECK(bytes == 4 && ids[0] == 2 && ids[3] == 3);
    CHECK_STATUS(exl_tokenize(bundle, "red", 3, ids, 2, &bytes, &said), EXL_BUFFER_TOO_SMALL);
    CHECK_STATUS(exl_tokenize(bundle, "\xff", 1, ids, 64, &bytes, &said), EXL_INVALID_UTF8);
    CHECK_STATUS(exl_golden_read(bundle, 0, &golden, &golden_bytes, &said), EXL_OK);
    CHECK(golden_bytes == 9 && memcmp(golden, "red river", 9) == 0);
    CHECK_STATUS(exl_golden_read(bundle, 1000, &golden, &golden_bytes, &said), EXL_BAD_ARGUMENT);
}

/* ---- texts ---------------------------------------------------------------------------------------------------- */

static void test_texts(exl_session *session) {
    static const char *const not_utf8[] = {
        "\x80",     "a\xc3",    "\xc0\xaf",     "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xf8\x88\x80\x80\x80",
        "\xc3\xc0", "\xc3\x7f", "\xe1\x80\xc0", "\xe1\xc0\x80", "\xf1\x80\x80\xc0", "\xf1\xc0\x80\x80"};
    static char large[1 << 20];
    exl_predict_options options = {.struct_size = sizeof options};
    const exl_result *result = NULL;
    size_t wide;

    CHECK_STATUS(exl_predict(session, "", 0, NULL, &result, &said), EXL_EMPTY_TEXT);
    CHECK(!result && strcmp(said.sentence, "the text holds no token") == 0);
    CHECK_STATUS(exl_predict(session, NULL, 0, NULL, &result, &said), EXL_EMPTY_TEXT);
    CHECK_STATUS(exl_predict(session, NULL, 3, NULL, &result, &said), EXL_BAD_ARGUMENT);
    CHECK_STATUS(exl_predict(session, " \t\n\0 ", 5, NULL, &result, &said), EXL_EMPTY_TEXT);
    CHECK_STATUS(exl_predict(NULL, "red", 3, NULL, &result, &said), EXL_BAD_ARGUMENT);
    CHECK_STATUS(exl_predict(session, "red", 3, NULL, NULL, &said), EXL_BAD_ARGUMENT);
    for (size_t i = 0; i < sizeof not_utf8 / sizeof *not_utf8; i++)
        CHECK_STATUS(exl_predict(session, not_utf8[i], strlen(not_utf8[i]), NULL, &result, &said), EXL_INVALID_UTF8);

    CHECK_STATUS(exl_predict(session, "red\0river", 9, NULL, &result, &said),
                 EXL_OK); /* NUL is dropped, as when training */
    CHECK(EXL_HAS(exl_result, result, total_ms) && EXL_HAS(exl_prediction, result->predictions[4], text));
    CHECK(result->count == 5 && result->shortlist == 20 && said.sentence[0] == '\0');
    for (size_t i = 1; i < result->count; i++)
        CHECK(result->predictions[i]->probability <= result->predictions[i - 1]->probability);
    for (size_t i = 0; i < sizeof large; i++)
        large[i] = "red river "[i % 10];
    CHECK_STATUS(exl_predict(session, large, sizeof large, NULL, &result, &said), EXL_OK);
    CHECK(result->truncated && result->windows == (is_native ? 5 : 1));
    CHECK(result->tokens == 12);
    options.windows = result->windows + 1;
    CHECK_STATUS(exl_predict(session, large, sizeof large, &options, &result, &said), EXL_BAD_ARGUMENT);
    CHECK(strstr(said.sentence, "windows"));
    options.windows = 1;
    CHECK_STATUS(exl_predict(session, large, sizeof large, &options, &result, &said), EXL_OK);
    CHECK(result->truncated && result->windows == 1 && result->tokens == 12);
    options.windows = 0;
    memset(large, 'x', sizeof large); /* one word, too long to be one */
    CHECK_STATUS(exl_predict(session, large, sizeof large, NULL, &result, &said), EXL_OK);
    CHECK(!result->truncated && result->tokens == 3);

    options.k = 21;
    CHECK_STATUS(exl_predict(session, "red", 3, &options, &result, &said), EXL_BAD_K);
    CHECK(strstr(said.sentence, "20"));
    options.k = 20;
    CHECK_STATUS(exl_predict(session, "red", 3, &options, &result, &said), EXL_OK);
    CHECK(result->count == 20);
    options.use_threshold = 1;
    options.threshold = NAN;
    CHECK_STATUS(exl_predict(session, "red", 3, &options, &result, &said), EXL_BAD_ARGUMENT);
    options.threshold = 2;
    CHECK_STATUS(exl_predict(session, "red", 3, &options, &result, &said), EXL_OK);
    CHECK(result->count == 0);
    options.k = 0;
    options.threshold = 0;
    CHECK_STATUS(exl_predict(session, "red", 3, &options, &result, &said), EXL_OK);
    CHECK(result->count == 20); /* with a threshold, 0 stands for all */
    options.threshold = -1;
    CHECK_STATUS(exl_predict(session, "red", 3, &options, &result, &said), EXL_OK);
    for (size_t i = 0; i < result->count; i++)
        CHECK(result->predictions[i]->probability >= 0.25f);
    options.coverage = 0.5f;
    CHECK_STATUS(exl_predict(session, "red", 3, &options, &result, &said), EXL_BAD_ARGUMENT);
    CHECK(strstr(said.sentence, "not both"));
    options.use_threshold = 0;
    options.coverage = 0.71f; /* 7 of 9 queries have a score */
    CHECK_STATUS(exl_predict(session, "red", 3, &options, &result, &said), EXL_NOT_SUPPORTED);
    CHECK(strstr(said.sentence, "0.7000") && strstr(said.sentence, "20 labels"));
    options.coverage = 0.7f;
    CHECK_STATUS(exl_predict(session, "red", 3, &options, &result, &said), EXL_OK);
    CHECK(result->coverage_holds);
    wide = result->count;
    options.coverage = 0.01f;
    CHECK_STATUS(exl_predict(session, "red", 3, &options, &result, &said), EXL_OK);
    CHECK(result->count < wide);
    options.k = 1;
    options.coverage = 0.7f;
    CHECK_STATUS(exl_predict(session, "red", 3, &options, &result, &said), EXL_OK);
    CHECK(result->count == 1);
    options.coverage = 0;
    CHECK_STATUS(exl_predict(session, "red", 3, &options, &result, &said), EXL_OK);
    CHECK(!result->coverage_holds);
    options.coverage = 1.5f;
    CHECK_STATUS(exl_predict(session, "red", 3, &options, &result, &said), EXL_BAD_ARGUMENT);
    options.coverage = NAN;
    CHECK_STATUS(exl_predict(session, "red", 3, &options, &result, &said), EXL_BAD_ARGUMENT);
    options.struct_size = 0;
    CHECK_STATUS(exl_predict(session, "red", 3, &options, &result, &said), EXL_BAD_ARGUMENT);
}

/* The rank that exl_explain counts is the place that exl_predict gives. */
static void test_explain(exl_session *session) {
    exl_explanation way = {.struct_size = sizeof way};
    uint32_t labels[20], lost = 0;
    float scores[20];
    const exl_result *result = NULL;

    CHECK_STATUS(exl_predict(session, "red river stone", 15, NULL, &result, &said), EXL_OK);
    CHECK(result->shortlist == 20);
    memcpy(labels, result->shortlist_labels, sizeof labels);
    memcpy(scores, result->shortlist_scores, sizeof scores);
    for (uint32_t label = 0; label < 300; label++) {
        uint32_t place = 0;

        CHECK_STATUS(exl_explain(session, "red river stone", 15, label, &way, &said), EXL_OK);
        while (place < 20 && labels[place] != label)
            place++;
        CHECK(way.screening_rank >= 1 && way.screening_rank <= 300);
        CHECK((place < 20) == (way.shortlisted != 0));
        if (place < 20)
            CHECK(way.screening_score == scores[place] && way.reasoner_rank >= 1 && way.reasoner_rank <= 20);
        else
            CHECK(way.reasoner_rank == 0 && way.probability == 0);
        lost += way.shortlisted == 0;
    }
    CHECK(lost == 280);
    CHECK_STATUS(exl_explain(session, "red", 3, 300, &way, &said), EXL_NO_SUCH_LABEL);
    way.struct_size = 0;
    CHECK_STATUS(exl_explain(session, "red", 3, 0, &way, &said), EXL_BAD_ARGUMENT);
    CHECK_STATUS(exl_explain(session, "red", 3, 0, NULL, &said), EXL_BAD_ARGUMENT);
}

/* ---- threads -------------------------------------------------------------------------------------------------- */

typedef struct worker {
    exl_bundle *bundle;
    float logits[3][20];
} worker;

static void *work(void *argument) {
    static const char *const texts[3] = {"red river", "storm and snow on the old bridge", "honey"};
    worker *w = argument;
    exl_session *session = NULL;
    const exl_result *result = NULL;

    CHECK_STATUS(exl_session_open(w->bundle, NULL, &session, NULL), EXL_OK);
    for (int round = 0; round < 50; round++) {
        int t = round % 3;
        CHECK_STATUS(exl_predict(session, texts[t], strlen(texts[t]), NULL, &result, NULL), EXL_OK);
        memcpy(w->logits[t], result->shortlist_logits, sizeof w->logits[t]);
    }
    exl_session_close(session);
    return NULL;
}

static void test_threads(exl_bundle *bundle) {
    worker workers[4];
    pthread_t threads[4];

    for (int i = 0; i < 4; i++) {
        memset(&workers[i], 0, sizeof workers[i]);
        workers[i].bundle = bundle;
        CHECK(pthread_create(&threads[i], NULL, work, &workers[i]) == 0);
    }
    for (int i = 0; i < 4; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    for (int i = 1; i < 4; i++)
        CHECK(memcmp(workers[i].logits, workers[0].logits, sizeof workers[0].logits) == 0);
}

/* ---- batches -------------------------------------------------------------------------------------------------- */

typedef struct answers {
    size_t count, stop_at;
    uint32_t first[4]; /* the best label of each text */
    exl_status status[4];
} answers;

static int note_answer(void *context, size_t place, const exl_result *result, const exl_error *error) {
    answers *all = context;

    CHECK(place == all->count && (result != NULL) == (error->status == EXL_OK));
    CHECK((error->sentence[0] == '\0') == (error->status == EXL_OK));
    all->first[place] = result ? result->predictions[0]->label : UINT32_MAX;
    all->status[place] = error->status;
    CHECK(!result || result->count == 3);
    return ++all->count == all->stop_at;
}

/* As many single texts; one that cannot be answered stops none of the others. */
static void test_batch(exl_session *session) {
    static const char *const texts[4] = {"red river", "", "the old king", "\xff"};
    static const size_t bytes[4] = {9, 0, 12, 1};
    exl_predict_options options = {.struct_size = sizeof options, .k = 3};
    exl_batch batch = {.struct_size = sizeof batch, .texts = texts, .text_bytes = bytes, .count = 4};
    const exl_result *result = NULL;
    answers all = {0};

    batch.options = &options, batch.context = &all;
    CHECK_STATUS(exl_predict_batch(session, &batch, &said), EXL_BAD_ARGUMENT); /* nobody to answer */
    batch.answer = note_answer;
    CHECK_STATUS(exl_predict_batch(session, &batch, &said), EXL_OK);
    CHECK(all.count == 4 && all.status[1] == EXL_EMPTY_TEXT && all.status[3] == EXL_INVALID_UTF8);
    for (size_t i = 0; i < 4; i += 2) {
        CHECK_STATUS(exl_predict(session, texts[i], bytes[i], &options, &result, &said), EXL_OK);
        CHECK(all.status[i] == EXL_OK && all.first[i] == result->predictions[0]->label);
    }
    all = (answers){.stop_at = 2};
    CHECK_STATUS(exl_predict_batch(session, &batch, &said), EXL_OK);
    CHECK(all.count == 2);
    all = (answers){0};
    options.k = 21;
    CHECK_STATUS(exl_predict_batch(session, &batch, &said), EXL_BAD_K);
    options.k = 3, batch.texts = NULL;
    CHECK_STATUS(exl_predict_batch(session, &batch, &said), EXL_BAD_ARGUMENT);
    CHECK_STATUS(exl_predict_batch(session, NULL, &said), EXL_BAD_ARGUMENT);
    CHECK_STATUS(exl_predict_batch(NULL, &batch, &said), EXL_BAD_ARGUMENT);
    batch.count = 0;
    CHECK_STATUS(exl_predict_batch(session, &batch, &said), EXL_OK);
    CHECK(all.count == 0);
}

/* As test_batch, by a session that answers some texts together; it says what it does not take. */
static void test_batch_together(exl_bundle *bundle) {
    exl_session_options options = {.struct_size = sizeof options};
    exl_session *session = NULL;

    for (uint32_t batch = 0; batch <= 4; batch++) {
        options.batch = batch;
        options.scan_threads = batch == 3 ? 2 : 0;
        CHECK_STATUS(exl_session_open(bundle, &options, &session, &said), EXL_OK);
        test_batch(session);
        exl_session_close(session);
    }
    options.batch = 33;
    CHECK_STATUS(exl_session_open(bundle, &options, &session, &said), EXL_BAD_ARGUMENT);
    options.batch = 0, options.reserved = 1;
    CHECK_STATUS(exl_session_open(bundle, &options, &session, &said), EXL_BAD_ARGUMENT);
}

/* Threads that share the scan change no bit of an answer. */
static void test_session_options(exl_bundle *bundle, exl_session *alone) {
    exl_session_options options = {.struct_size = sizeof options, .scan_threads = 64};
    exl_session *shared = NULL;
    const exl_result *expected = NULL, *result = NULL;

    CHECK_STATUS(exl_session_open(bundle, &options, &shared, &said), EXL_OK);
    for (int i = 0; i < 20; i++) {
        CHECK_STATUS(exl_predict(alone, "The red river, the old king", 27 - (size_t)i, NULL, &expected, &said), EXL_OK);
        CHECK_STATUS(exl_predict(shared, "The red river, the old king", 27 - (size_t)i, NULL, &result, &said), EXL_OK);
        CHECK(result->shortlist == expected->shortlist && result->count == expected->count);
        CHECK(memcmp(result->shortlist_labels, expected->shortlist_labels, 4 * expected->shortlist) == 0);
        CHECK(memcmp(result->shortlist_scores, expected->shortlist_scores, 4 * expected->shortlist) == 0);
    }
    exl_session_close(shared);
    options.scan_threads = 65;
    CHECK_STATUS(exl_session_open(bundle, &options, &shared, &said), EXL_BAD_ARGUMENT);
    CHECK(shared == NULL);
    options.struct_size = 4;
    CHECK_STATUS(exl_session_open(bundle, &options, &shared, &said), EXL_BAD_ARGUMENT);
}

/* A session that is told to takes its operations' times, and answers as any other; ONNX Runtime tells of none. */
static void test_operations(exl_bundle *bundle, exl_session *plain) {
    exl_session_options options = {.struct_size = sizeof options, .operation_times = 1};
    exl_session *timed = NULL;
    const exl_result *expected = NULL, *result = NULL;
    exl_operation one = {.struct_size = sizeof one};
    double ms = 0;
    uint64_t macs = 0;
    uint32_t of_reasoner = 0;

    CHECK(exl_operations_count(plain) == 0 && exl_operations_count(NULL) == 0);
    CHECK_STATUS(exl_operation_read(plain, 0, &one, &said), EXL_BAD_ARGUMENT);
    if (!is_native) {
        CHECK_STATUS(exl_session_open(bundle, &options, &timed, &said), EXL_NOT_SUPPORTED);
        CHECK(timed == NULL && strstr(said.sentence, "engine ort"));
        return;
    }
    CHECK_STATUS(exl_session_open(bundle, &options, &timed, &said), EXL_OK);
    for (int again = 0; again < 2; again++) { /* each prediction's own, not the sum of all */
        CHECK_STATUS(exl_predict(plain, "The red river", 13, NULL, &expected, &said), EXL_OK);
        CHECK_STATUS(exl_predict(timed, "The red river", 13, NULL, &result, &said), EXL_OK);
        CHECK(memcmp(result->shortlist_logits, expected->shortlist_logits, 4 * expected->shortlist) == 0);
        CHECK(exl_operations_count(timed) > 4);
        for (uint32_t i = 0; i < exl_operations_count(timed); i++) {
            CHECK_STATUS(exl_operation_read(timed, i, &one, &said), EXL_OK);
            CHECK(one.runs <= 1 && one.ms >= 0 && *one.kind && one.function);
            CHECK(one.runs == 0 || (one.bytes > 0 && one.sizes[0] > 0));
            of_reasoner += strcmp(one.graph, "reasoner") == 0;
            if (strncmp(one.kind, "linear", 6) == 0 && one.runs) {
                CHECK(one.macs == one.sizes[0] * one.sizes[1] * one.sizes[2]);
                CHECK(one.bytes > 4 * one.sizes[0] * (one.sizes[1] + one.sizes[2]));
            } else if (strcmp(one.kind, "attention") == 0)
                CHECK(one.macs == 2 * one.sizes[0] * one.sizes[1] * one.sizes[2] * one.sizes[3]);
            else if (strcmp(one.kind, "map") == 0)
                CHECK(one.macs == 0);
            ms += again ? one.ms : 0;
            macs += one.macs;
        }
    }
    CHECK(ms > 0 && ms <= result->stage_ms[EXL_STAGE_ENCODE] + result->stage_ms[EXL_STAGE_REASON]);
    CHECK(macs > 0 && of_reasoner > 0);
    one.struct_size = 0;
    CHECK_STATUS(exl_operation_read(timed, 0, &one, &said), EXL_BAD_ARGUMENT);
    one.struct_size = sizeof one;
    CHECK_STATUS(exl_operation_read(timed, exl_operations_count(timed), &one, &said), EXL_BAD_ARGUMENT);
    exl_session_close(timed);
    options.operation_times = 2;
    CHECK_STATUS(exl_session_open(bundle, &options, &timed, &said), EXL_BAD_ARGUMENT);
}

int main(int count, char **arguments) {
    exl_open_options options = {.struct_size = sizeof options, .flags = EXL_OPEN_VERIFY};
    exl_bundle *bundle = NULL;
    exl_session *session = NULL;

    CHECK(count >= 2);
    path = arguments[1];
    test_info();
    test_opening();
    test_statuses();
    test_error_rooms();
    test_struct_sizes();
    test_memory_runs_out();
    for (int way = 0; way < 3 - is_native; way++) { /* plain, scalar kernels, two threads in ONNX Runtime */
        options.flags = EXL_OPEN_VERIFY | (way == 1 ? EXL_OPEN_SCALAR : 0);
        options.threads = way == 2 ? 2 : 1;
        CHECK_STATUS(exl_bundle_open(path, &options, &bundle, &said), EXL_OK);
        CHECK_STATUS(exl_session_open(bundle, NULL, &session, &said), EXL_OK);
        test_labels(bundle);
        test_null_arguments(bundle, session);
        test_texts(session);
        test_explain(session);
        test_batch(session);
        test_batch_together(bundle);
        test_threads(bundle);
        test_session_options(bundle, session);
        test_operations(bundle, session);
        exl_session_close(session);
        exl_bundle_close(bundle);
    }
    exl_session_close(NULL);
    exl_bundle_close(NULL);
    puts("test_session: done");
    return 0;
}
