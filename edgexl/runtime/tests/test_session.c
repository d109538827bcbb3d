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

/* All of a short life; the first status that is not EXL_OK. */
static exl_status live(counting *c) {
    exl_allocator allocator = {c, count_allocate, count_release};
    exl_open_options options = {.struct_size = sizeof options, .allocator = &allocator};
    exl_explanation way = {.struct_size = sizeof way};
    exl_self_test_report report = {.struct_size = sizeof report};
    const exl_result *result = NULL;
    exl_session_options threaded = {.struct_size = sizeof threaded, .scan_threads = 2};
    exl_bundle *bundle = NULL;
    exl_session *session = NULL;
    exl_status status = exl_bundle_open(path, &options, &bundle);
    long before;

    if (status == EXL_OK)
        status = exl_session_open_with(bundle, &threaded, &session);
    before = c->calls;
    for (int i = 0; i < 20 && status == EXL_OK; i++)
        status = exl_predict(session, "The red river, the old king", 27 - (size_t)i % 5, NULL, &result);
    if (status == EXL_OK)
        status = exl_explain(session, "red river", 9, 3, &way);
    if (status == EXL_OK)
        status = exl_self_test(session, &report);
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
    char error[512] = "";
    exl_open_options options = {.struct_size = sizeof options, .error = error, .error_bytes = sizeof error};
    exl_bundle *bundle = NULL;
    exl_session *session = NULL;
    exl_allocator half = {0};

    CHECK_STATUS(exl_bundle_open(NULL, &options, &bundle), EXL_BAD_ARGUMENT);
    CHECK_STATUS(exl_bundle_open(path, &options, NULL), EXL_BAD_ARGUMENT);
    options.flags = 64;
    CHECK_STATUS(exl_bundle_open(path, &options, &bundle), EXL_BAD_ARGUMENT);
    CHECK(strstr(error, "flag"));
    options.flags = 0;
    options.threads = 5000;
    CHECK_STATUS(exl_bundle_open(path, &options, &bundle), EXL_BAD_ARGUMENT);
    options.threads = 1;
    options.allocator = &half;
    CHECK_STATUS(exl_bundle_open(path, &options, &bundle), EXL_BAD_ARGUMENT);
    options.allocator = NULL;
    options.struct_size = 0;
    CHECK_STATUS(exl_bundle_open(path, &options, &bundle), EXL_BAD_ARGUMENT);
    options.struct_size = sizeof options;
    CHECK_STATUS(exl_bundle_open("no/such/file.exl", &options, &bundle), EXL_FILE_UNREADABLE);
    CHECK(strstr(error, "cannot be read") && !bundle); /* the caller knows the path */
    CHECK_STATUS(exl_bundle_open("/", &options, &bundle), EXL_FILE_UNREADABLE);
    CHECK_STATUS(exl_bundle_open("/dev/null", &options, &bundle), EXL_FILE_UNREADABLE);

    options.engine_library = "no/such/libonnxruntime.so";
    if (is_native) {
        CHECK_STATUS(exl_bundle_open(path, &options, &bundle), EXL_OK);
        exl_bundle_close(bundle);
    } else {
        CHECK_STATUS(exl_bundle_open(path, &options, &bundle), EXL_ENGINE_MISSING);
        CHECK(strstr(error, "no/such/libonnxruntime.so") && strstr(error, "pip install onnxruntime"));
        options.engine_library = "libc.so.6"; /* a library, but not that one */
        CHECK_STATUS(exl_bundle_open(path, &options, &bundle), EXL_ENGINE_MISSING);
        CHECK(strstr(error, "pip install onnxruntime"));
    }

    options.engine_library = NULL;
    options.flags = EXL_OPEN_NO_ENGINE | EXL_OPEN_VERIFY;
    CHECK_STATUS(exl_bundle_open(path, &options, &bundle), EXL_OK);
    CHECK_STATUS(exl_session_open(bundle, &session), EXL_NO_ENGINE_LOADED);
    CHECK(!session && error[0] == '\0');
    exl_bundle_close(bundle);
}

/* Looks once what kind of bundle it is. */
static void test_info(void) {
    exl_open_options options = {.struct_size = sizeof options, .flags = EXL_OPEN_NO_ENGINE};
    exl_bundle_info info = {.struct_size = sizeof info};
    exl_bundle *bundle = NULL;

    CHECK_STATUS(exl_bundle_open(path, &options, &bundle), EXL_OK);
    CHECK_STATUS(exl_bundle_get_info(bundle, &info), EXL_OK);
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
                                     EXL_OUT_OF_MEMORY,
                                     EXL_FILE_UNREADABLE,
                                     EXL_FILE_UNWRITABLE,
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
        CHECK(strlen(exl_status_text(all[i])) >= 4 && strcmp(exl_status_text(all[i]), "unknown status") != 0);
        for (size_t j = 0; j < i; j++)
            CHECK(strcmp(exl_status_text(all[i]), exl_status_text(all[j])) != 0);
    }
    CHECK(strcmp(exl_status_text((exl_status)12345), "unknown status") == 0);
    CHECK(strcmp(exl_status_text(EXL_LABEL_EXISTS), "the label set has a label with that id") == 0);
    CHECK(strcmp(exl_version(), EXL_VERSION_STRING) == 0);
}

/* What is null, or a struct without its size, is refused, and nothing is written. */
static void test_null_arguments(exl_bundle *bundle, exl_session *session) {
    exl_bundle_info info = {.struct_size = sizeof info};
    exl_labels_info labels = {.struct_size = sizeof labels};
    exl_self_test_report report = {.struct_size = sizeof report};
    exl_explanation way = {.struct_size = sizeof way};
    exl_label_state state = EXL_LABEL_RETIRED;
    exl_session *none = NULL;
    const char *golden;
    char buffer[8] = "kept";
    int32_t ids[16];
    uint32_t label = 77, count = 77;
    size_t bytes = 77;

    CHECK_STATUS(exl_bundle_get_info(NULL, &info), EXL_BAD_ARGUMENT);
    CHECK_STATUS(exl_bundle_get_info(bundle, NULL), EXL_BAD_ARGUMENT);
    CHECK_STATUS(exl_label(NULL, 0, EXL_LABEL_ID, buffer, sizeof buffer, &bytes), EXL_BAD_ARGUMENT);
    CHECK_STATUS(exl_label(bundle, 0, EXL_LABEL_ID, buffer, sizeof buffer, NULL), EXL_BAD_ARGUMENT);
    CHECK_STATUS(exl_label_find(NULL, "L0001", 5, &label), EXL_BAD_ARGUMENT);
    CHECK_STATUS(exl_label_find(bundle, "L0001", 5, NULL), EXL_BAD_ARGUMENT);
    CHECK_STATUS(exl_label_prefix(NULL, "r", 1, 0, &label, 1, &count), EXL_BAD_ARGUMENT);
    CHECK_STATUS(exl_label_prefix(bundle, NULL, 1, 0, &label, 1, &count), EXL_BAD_ARGUMENT);
    CHECK_STATUS(exl_label_prefix(bundle, "r", 1, 0, NULL, 1, &count), EXL_BAD_ARGUMENT);
    CHECK_STATUS(exl_label_prefix(bundle, "r", 1, 0, &label, 1, NULL), EXL_BAD_ARGUMENT);
    CHECK_STATUS(exl_label_get_state(NULL, 0, &state), EXL_BAD_ARGUMENT);
    CHECK_STATUS(exl_label_get_state(bundle, 0, NULL), EXL_BAD_ARGUMENT);
    CHECK_STATUS(exl_labels_get_info(NULL, &labels), EXL_BAD_ARGUMENT);
    CHECK_STATUS(exl_labels_get_info(bundle, NULL), EXL_BAD_ARGUMENT);
    CHECK_STATUS(exl_tokenize(NULL, "red", 3, ids, 16, &bytes), EXL_BAD_ARGUMENT);
    CHECK_STATUS(exl_tokenize(bundle, NULL, 3, ids, 16, &bytes), EXL_BAD_ARGUMENT);
    CHECK_STATUS(exl_tokenize(bundle, "red", 3, NULL, 16, &bytes), EXL_BAD_ARGUMENT);
    CHECK_STATUS(exl_tokenize(bundle, "red", 3, ids, 16, NULL), EXL_BAD_ARGUMENT);
    CHECK_STATUS(exl_golden(NULL, 0, &golden, &bytes), EXL_BAD_ARGUMENT);
    CHECK_STATUS(exl_golden(bundle, 0, NULL, &bytes), EXL_BAD_ARGUMENT);
    CHECK_STATUS(exl_golden(bundle, 0, &golden, NULL), EXL_BAD_ARGUMENT);
    CHECK_STATUS(exl_session_open(NULL, &none), EXL_BAD_ARGUMENT);
    CHECK_STATUS(exl_session_open(bundle, NULL), EXL_BAD_ARGUMENT);
    CHECK_STATUS(exl_self_test(NULL, &report), EXL_BAD_ARGUMENT);
    CHECK_STATUS(exl_self_test(session, NULL), EXL_BAD_ARGUMENT);
    CHECK_STATUS(exl_explain(NULL, "red", 3, 0, &way), EXL_BAD_ARGUMENT);
    info.struct_size = labels.struct_size = report.struct_size = way.struct_size = sizeof(size_t) - 1;
    CHECK_STATUS(exl_bundle_get_info(bundle, &info), EXL_BAD_ARGUMENT);
    CHECK_STATUS(exl_labels_get_info(bundle, &labels), EXL_BAD_ARGUMENT);
    CHECK_STATUS(exl_self_test(session, &report), EXL_BAD_ARGUMENT);
    CHECK_STATUS(exl_explain(session, "red", 3, 0, &way), EXL_BAD_ARGUMENT);
    CHECK(!none && label == 77 && count == 77 && bytes == 77 && state == EXL_LABEL_RETIRED);
    CHECK(strcmp(buffer, "kept") == 0 && info.labels == 0 && labels.labels == 0 && report.goldens == 0);
    info.struct_size = labels.struct_size = sizeof(size_t); /* room for nothing else */
    CHECK_STATUS(exl_bundle_get_info(bundle, &info), EXL_OK);
    CHECK_STATUS(exl_labels_get_info(bundle, &labels), EXL_OK);
    CHECK(info.labels == 0 && labels.labels == 0);
    CHECK(strcmp(exl_session_error(NULL), "") == 0);
}

/* The sentence goes where there is room for it, cut to the room. */
static void test_error_rooms(void) {
    char error[16] = "before";
    exl_open_options options = {.struct_size = sizeof options, .error = error, .error_bytes = 0};
    exl_bundle *bundle = NULL;
    exl_allocator halves[2] = {{NULL, count_allocate, NULL}, {NULL, NULL, count_release}};

    CHECK_STATUS(exl_bundle_open("no/such/file.exl", &options, &bundle), EXL_FILE_UNREADABLE);
    CHECK(strcmp(error, "before") == 0);
    options.error_bytes = 5;
    CHECK_STATUS(exl_bundle_open("no/such/file.exl", &options, &bundle), EXL_FILE_UNREADABLE);
    CHECK(strcmp(error, "the ") == 0);
    options.error = NULL, options.error_bytes = 16;
    CHECK_STATUS(exl_bundle_open("no/such/file.exl", &options, &bundle), EXL_FILE_UNREADABLE);
    for (int i = 0; i < 2; i++) {
        options.allocator = &halves[i];
        CHECK_STATUS(exl_bundle_open(path, &options, &bundle), EXL_BAD_ARGUMENT);
    }
    options.allocator = NULL, options.struct_size = 4097;
    CHECK_STATUS(exl_bundle_open(path, &options, &bundle), EXL_BAD_ARGUMENT);
    CHECK_STATUS(exl_bundle_open("no/such/file.exl", NULL, &bundle), EXL_FILE_UNREADABLE);
    options.struct_size = sizeof options, options.threads = 2;
    if (is_native) {
        CHECK_STATUS(exl_bundle_open(path, &options, &bundle), EXL_BAD_ARGUMENT);
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
    CHECK_STATUS(exl_bundle_open(path, &larger.known, &bundle), EXL_BAD_ARGUMENT);
    larger.more = 0;
    CHECK_STATUS(exl_bundle_open(path, &larger.known, &bundle), EXL_OK);
    memset(&smaller, 0x55, sizeof smaller);
    smaller.info.struct_size = offsetof(exl_bundle_info, rows);
    CHECK_STATUS(exl_bundle_get_info(bundle, &smaller.info), EXL_OK);
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
        CHECK_STATUS(exl_label(bundle, i, EXL_LABEL_ID, buffer, sizeof buffer, &bytes), EXL_OK);
        CHECK(bytes == 5 && strlen(buffer) == 5);
        CHECK_STATUS(exl_label_find(bundle, buffer, bytes, &label), EXL_OK);
        CHECK(label == i);
    }
    CHECK_STATUS(exl_label(bundle, 7, EXL_LABEL_ID, small, sizeof small, &bytes), EXL_BUFFER_TOO_SMALL);
    CHECK(bytes == 5 && strcmp(small, "L0") == 0);
    CHECK_STATUS(exl_label(bundle, 7, EXL_LABEL_ID, NULL, 0, &bytes), EXL_BUFFER_TOO_SMALL);
    CHECK_STATUS(exl_label(bundle, 300, EXL_LABEL_TEXT, buffer, sizeof buffer, &bytes), EXL_NO_SUCH_LABEL);
    CHECK_STATUS(exl_label(bundle, 0, (exl_label_field)2, buffer, sizeof buffer, &bytes), EXL_BAD_ARGUMENT);
    CHECK_STATUS(exl_label(bundle, 0, EXL_LABEL_TEXT, NULL, 9, &bytes), EXL_BAD_ARGUMENT);
    CHECK_STATUS(exl_label_find(bundle, "L9999", 5, &label), EXL_NO_SUCH_LABEL);
    CHECK_STATUS(exl_label_find(bundle, "", 0, &label), EXL_NO_SUCH_LABEL);
    CHECK_STATUS(exl_label_find(bundle, NULL, 5, &label), EXL_BAD_ARGUMENT);
    CHECK_STATUS(exl_tokenize(bundle, "red river", 9, ids, 64, &bytes), EXL_OK);
    CHECK(bytes == 4 && ids[0] == 2 && ids[3] == 3);
    CHECK_STATUS(exl_tokenize(bundle, "red", 3, ids, 2, &bytes), EXL_BUFFER_TOO_SMALL);
    CHECK_STATUS(exl_tokenize(bundle, "\xff", 1, ids, 64, &bytes), EXL_INVALID_UTF8);
    CHECK_STATUS(exl_golden(bundle, 0, &golden, &golden_bytes), EXL_OK);
    CHECK(golden_bytes == 9 && memcmp(golden, "red river", 9) == 0);
    CHECK_STATUS(exl_golden(bundle, 1000, &golden, &golden_bytes), EXL_BAD_ARGUMENT);
}

/* ---- texts ---------------------------------------------------------------------------------------------------- */

static void test_texts(exl_session *session) {
    static const char *const not_utf8[] = {
        "\x80",     "a\xc3",    "\xc0\xaf",     "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xf8\x88\x80\x80\x80",
        "\xc3\xc0", "\xc3\x7f", "\xe1\x80\xc0", "\xe1\xc0\x80", "\xf1\x80\x80\xc0", "\xf1\xc0\x80\x80"};
    static char large[1 << 20];
    exl_predict_options options = {.struct_size = sizeof options};
    const exl_result *result = NULL;

    CHECK_STATUS(exl_predict(session, "", 0, NULL, &result), EXL_EMPTY_TEXT);
    CHECK(!result && strcmp(exl_session_error(session), "the text holds no token") == 0);
    CHECK_STATUS(exl_predict(session, NULL, 0, NULL, &result), EXL_EMPTY_TEXT);
    CHECK_STATUS(exl_predict(session, NULL, 3, NULL, &result), EXL_BAD_ARGUMENT);
    CHECK_STATUS(exl_predict(session, " \t\n\0 ", 5, NULL, &result), EXL_EMPTY_TEXT);
    CHECK_STATUS(exl_predict(NULL, "red", 3, NULL, &result), EXL_BAD_ARGUMENT);
    CHECK_STATUS(exl_predict(session, "red", 3, NULL, NULL), EXL_BAD_ARGUMENT);
    for (size_t i = 0; i < sizeof not_utf8 / sizeof *not_utf8; i++)
        CHECK_STATUS(exl_predict(session, not_utf8[i], strlen(not_utf8[i]), NULL, &result), EXL_INVALID_UTF8);

    CHECK_STATUS(exl_predict(session, "red\0river", 9, NULL, &result), EXL_OK); /* NUL is dropped, as when training */
    CHECK(result->count == 5 && result->shortlist == 20 && exl_session_error(session)[0] == '\0');
    for (size_t i = 1; i < result->count; i++)
        CHECK(result->predictions[i].probability <= result->predictions[i - 1].probability);
    for (size_t i = 0; i < sizeof large; i++)
        large[i] = "red river "[i % 10];
    CHECK_STATUS(exl_predict(session, large, sizeof large, NULL, &result), EXL_OK);
    CHECK(result->truncated && result->tokens == 12);
    memset(large, 'x', sizeof large); /* one word, too long to be one */
    CHECK_STATUS(exl_predict(session, large, sizeof large, NULL, &result), EXL_OK);
    CHECK(!result->truncated && result->tokens == 3);

    options.k = 21;
    CHECK_STATUS(exl_predict(session, "red", 3, &options, &result), EXL_BAD_K);
    CHECK(strstr(exl_session_error(session), "20"));
    options.k = 20;
    CHECK_STATUS(exl_predict(session, "red", 3, &options, &result), EXL_OK);
    CHECK(result->count == 20);
    options.use_threshold = 1;
    options.threshold = NAN;
    CHECK_STATUS(exl_predict(session, "red", 3, &options, &result), EXL_BAD_ARGUMENT);
    options.threshold = 2;
    CHECK_STATUS(exl_predict(session, "red", 3, &options, &result), EXL_OK);
    CHECK(result->count == 0);
    options.k = 0;
    options.threshold = 0;
    CHECK_STATUS(exl_predict(session, "red", 3, &options, &result), EXL_OK);
    CHECK(result->count == 20); /* with a threshold, 0 stands for all */
    options.threshold = -1;
    CHECK_STATUS(exl_predict(session, "red", 3, &options, &result), EXL_OK);
    for (size_t i = 0; i < result->count; i++)
        CHECK(result->predictions[i].probability >= 0.25f);
    options.struct_size = 0;
    CHECK_STATUS(exl_predict(session, "red", 3, &options, &result), EXL_BAD_ARGUMENT);
}

/* The rank that exl_explain counts is the place that exl_predict gives. */
static void test_explain(exl_session *session) {
    exl_explanation way = {.struct_size = sizeof way};
    uint32_t labels[20], lost = 0;
    float scores[20];
    const exl_result *result = NULL;

    CHECK_STATUS(exl_predict(session, "red river stone", 15, NULL, &result), EXL_OK);
    CHECK(result->shortlist == 20);
    memcpy(labels, result->shortlist_labels, sizeof labels);
    memcpy(scores, result->shortlist_scores, sizeof scores);
    for (uint32_t label = 0; label < 300; label++) {
        uint32_t place = 0;

        CHECK_STATUS(exl_explain(session, "red river stone", 15, label, &way), EXL_OK);
        while (place < 20 && labels[place] != label)
            place++;
        CHECK(way.label == label && way.screening_rank >= 1 && way.screening_rank <= 300);
        CHECK((place < 20) == (way.shortlisted != 0));
        if (place < 20)
            CHECK(way.screening_score == scores[place] && way.reasoner_rank >= 1 && way.reasoner_rank <= 20);
        else
            CHECK(way.reasoner_rank == 0 && way.probability == 0);
        lost += way.shortlisted == 0;
    }
    CHECK(lost == 280);
    CHECK_STATUS(exl_explain(session, "red", 3, 300, &way), EXL_NO_SUCH_LABEL);
    way.struct_size = 0;
    CHECK_STATUS(exl_explain(session, "red", 3, 0, &way), EXL_BAD_ARGUMENT);
    CHECK_STATUS(exl_explain(session, "red", 3, 0, NULL), EXL_BAD_ARGUMENT);
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

    CHECK_STATUS(exl_session_open(w->bundle, &session), EXL_OK);
    for (int round = 0; round < 50; round++) {
        int t = round % 3;
        CHECK_STATUS(exl_predict(session, texts[t], strlen(texts[t]), NULL, &result), EXL_OK);
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

/* Threads that share the scan change no bit of an answer. */
static void test_session_options(exl_bundle *bundle, exl_session *alone) {
    exl_session_options options = {.struct_size = sizeof options, .scan_threads = 64};
    exl_session *shared = NULL;
    const exl_result *expected = NULL, *result = NULL;

    CHECK_STATUS(exl_session_open_with(bundle, &options, &shared), EXL_OK);
    for (int i = 0; i < 20; i++) {
        CHECK_STATUS(exl_predict(alone, "The red river, the old king", 27 - (size_t)i, NULL, &expected), EXL_OK);
        CHECK_STATUS(exl_predict(shared, "The red river, the old king", 27 - (size_t)i, NULL, &result), EXL_OK);
        CHECK(result->shortlist == expected->shortlist && result->count == expected->count);
        CHECK(memcmp(result->shortlist_labels, expected->shortlist_labels, 4 * expected->shortlist) == 0);
        CHECK(memcmp(result->shortlist_scores, expected->shortlist_scores, 4 * expected->shortlist) == 0);
    }
    exl_session_close(shared);
    options.scan_threads = 65;
    CHECK_STATUS(exl_session_open_with(bundle, &options, &shared), EXL_BAD_ARGUMENT);
    CHECK(shared == NULL);
    options.struct_size = 4;
    CHECK_STATUS(exl_session_open_with(bundle, &options, &shared), EXL_BAD_ARGUMENT);
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
        CHECK_STATUS(exl_bundle_open(path, &options, &bundle), EXL_OK);
        CHECK_STATUS(exl_session_open(bundle, &session), EXL_OK);
        test_labels(bundle);
        test_null_arguments(bundle, session);
        test_texts(session);
        test_explain(session);
        test_threads(bundle);
        test_session_options(bundle, session);
        exl_session_close(session);
        exl_bundle_close(bundle);
    }
    exl_session_close(NULL);
    exl_bundle_close(NULL);
    puts("test_session: done");
    return 0;
}
