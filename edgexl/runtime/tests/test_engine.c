/* test_engine.c: ONNX Runtime fails at each of its calls in turn, is too old, or finds other graphs than the bundle
 * declares (failing_engine.c): a status, a sentence on one line, nothing left behind.
 *
 *     test_engine BUNDLE SCRATCH ENGINE        with $EDGEXL_ORT_LIBRARY set; ENGINE is failing_engine.c, built
 */
#include <dlfcn.h>

#include "testing.h"

static const char *bundle_path, *engine_path;
static long *fails_at, *calls, *outstanding;
static const char **version;
static int *names, *rank;

static void *symbol(void *library, const char *name) {
    void *found = dlsym(library, name);

    CHECK(found != NULL);
    return found;
}

/* All of a life. The first status that is not EXL_OK, its words in `said`. */
static exl_status live(uint32_t threads, float logits[20]) {
    exl_open_options options = {.struct_size = sizeof options, .threads = threads, .engine_library = engine_path};
    const exl_result *result = NULL;
    exl_bundle *bundle = NULL;
    exl_session *session = NULL;
    exl_status status;

    *calls = *outstanding = 0;
    status = exl_bundle_open(bundle_path, &options, &bundle, &said);
    if (status == EXL_OK)
        status = exl_session_open(bundle, NULL, &session, &said);
    if (status == EXL_OK)
        status = exl_predict(session, "red river", 9, NULL, &result, &said);
    if (status == EXL_OK)
        memcpy(logits, result->shortlist_logits, 20 * sizeof *logits);
    exl_session_close(session);
    exl_bundle_close(bundle);
    CHECK(*outstanding == 0);
    CHECK((status == EXL_OK) == (said.sentence[0] == '\0') && !strchr(said.sentence, '\n'));
    return status;
}

/* With more than one thread a graph that a shared pool cannot serve gets one of its own: then nothing fails. */
static void test_every_call_fails(uint32_t threads) {
    float sound[20], logits[20];
    long needed;
    int failed = 0, ran = 0;

    *fails_at = -1;
    CHECK_STATUS(live(threads, sound), EXL_OK);
    needed = *calls;
    CHECK(needed > 40);
    for (long at = 0; at < needed; at++) {
        exl_status status;

        *fails_at = at;
        status = live(threads, logits);
        if (status == EXL_OK) { /* a pool of its own was made */
            CHECK(threads > 1);
            CHECK(memcmp(logits, sound, sizeof logits) == 0);
            continue;
        }
        CHECK(strstr(said.sentence, "told to fail"));
        CHECK(status == EXL_ENGINE_REFUSED || status == EXL_ENGINE_FAILED);
        if (strstr(said.sentence, "ONNX Runtime does not start"))
            CHECK(status == EXL_ENGINE_FAILED);
        else if (strstr(said.sentence, "ONNX Runtime fails on the "))
            CHECK(status == EXL_ENGINE_FAILED && ++ran);
        else
            CHECK(status == EXL_ENGINE_REFUSED &&
                  (strstr(said.sentence, "screener") || strstr(said.sentence, "reasoner")));
        failed++;
    }
    CHECK(failed > 30 && ran >= 4);
    *fails_at = -1;
}

static void test_versions(void) {
    static const char *const old[] = {"1.11.4", "", "one", "1"}, *const new[] = {"1.12.0", "2.0.0", "1.100.0"};
    float logits[20];

    for (size_t i = 0; i < sizeof old / sizeof *old; i++) {
        *version = old[i];
        CHECK_STATUS(live(1, logits), EXL_ENGINE_TOO_OLD);
        CHECK(strstr(said.sentence, "is too old, 1.12 or newer is needed") &&
              strstr(said.sentence, "pip install onnxruntime"));
        CHECK(*calls == 0);
    }
    for (size_t i = 0; i < sizeof new / sizeof *new; i++) {
        *version = new[i];
        CHECK_STATUS(live(1, logits), EXL_OK);
    }
    *version = NULL;
}

static void test_other_graphs(void) {
    float logits[20];

    *names = 1;
    CHECK_STATUS(live(1, logits), EXL_ENGINE_REFUSED);
    CHECK(strstr(said.sentence, "the screener graph has the input `!nput_ids`, which the bundle does not declare"));
    *names = 0, *rank = 1;
    CHECK_STATUS(live(1, logits), EXL_ENGINE_REFUSED);
    CHECK(strstr(said.sentence, "the screener graph's input `input_ids` has element type 7 and rank 3, not 7 and 2"));
    *rank = 0;
    CHECK_STATUS(live(1, logits), EXL_OK);
}

int main(int count, char **arguments) {
    void *library;
    float logits[20];

    CHECK(count == 4);
    bundle_path = arguments[1], engine_path = arguments[3];
    library = dlopen(engine_path, RTLD_NOW | RTLD_LOCAL);
    CHECK(library != NULL);
    fails_at = symbol(library, "failing_engine_fails_at");
    calls = symbol(library, "failing_engine_calls");
    outstanding = symbol(library, "failing_engine_outstanding");
    version = symbol(library, "failing_engine_version");
    names = symbol(library, "failing_engine_names");
    rank = symbol(library, "failing_engine_rank");
    CHECK_STATUS(live(1, logits), EXL_OK);
    if (*calls > 0) { /* a native bundle calls nothing */
        test_every_call_fails(1);
        test_every_call_fails(2);
        test_versions();
        test_other_graphs();
    }
    puts("test_engine: done");
    return 0;
}
