/* failing_engine.c: ONNX Runtime, every call of which can be told to fail: a library between engine_ort.c and the real
 * one, which it finds in $EDGEXL_ORT_LIBRARY. It also counts what is made and not released. For test_engine.c.
 *
 * Functions are wrapped by their number of arguments alone, which are all integers or pointers.
 */
#include <dlfcn.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define VISIBLE __attribute__((visibility("default")))

typedef uintptr_t word;
typedef void *entry(word, word, word, word, word, word, word, word);
typedef struct api_base {
    entry *const *(*get_api)(uint32_t version);
    const char *(*get_version)(void);
} api_base;

enum { SLOTS = 211, CREATE_STATUS = 0, RELEASE_STATUS = 93 };

VISIBLE long failing_engine_fails_at = -1; /* the call with this number, from 0; negative: none */
VISIBLE long failing_engine_calls, failing_engine_outstanding;
VISIBLE const char *failing_engine_version; /* null: the real one's */
VISIBLE int failing_engine_names;           /* nonzero: inputs and outputs get other names */
VISIBLE int failing_engine_rank;            /* is added to the rank of every one */

static entry *real[SLOTS], *ours[SLOTS];

static void *fail_or_call(int slot, int makes, word a, word b, word c, word d, word e, word f, word g, word h) {
    void *failed;

    if (failing_engine_calls++ == failing_engine_fails_at) {
        failing_engine_outstanding++;
        return real[CREATE_STATUS](1, (word) "told to\nfail", 0, 0, 0, 0, 0, 0);
    }
    failed = real[slot](a, b, c, d, e, f, g, h);
    failing_engine_outstanding += failed ? 1 : makes;
    return failed;
}

// clang-format off: it never agrees with itself here
/* X(position, what it makes): those that can fail. AllocatorFree says that it can, and never does. */
#define CALLS(X)                                                                                                       \
    X(3, 1) X(8, 1) X(9, 0) X(10, 1) X(17, 0) X(23, 0) X(24, 0) X(30, 0) X(31, 0) X(33, 1) X(34, 1) X(49, 1)           \
    X(55, 0) X(60, 0) X(69, 1) X(78, 0) X(119, 1) X(120, 0) X(121, 1) X(130, 0) X(147, 0) X(149, 0) X(150, 0)          \
    X(210, 0)
#define RELEASES(X) X(76) X(92) X(93) X(94) X(95) X(96) X(98) X(100) X(122)
// clang-format on

#define DEFINE_CALL(slot, makes)                                                                                       \
    static void *call_##slot(word a, word b, word c, word d, word e, word f, word g, word h) {                         \
        return fail_or_call(slot, makes, a, b, c, d, e, f, g, h);                                                      \
    }
#define DEFINE_RELEASE(slot)                                                                                           \
    static void *release_##slot(word a, word b, word c, word d, word e, word f, word g, word h) {                      \
        failing_engine_outstanding--;                                                                                  \
        return real[slot](a, b, c, d, e, f, g, h);                                                                     \
    }
CALLS(DEFINE_CALL)
RELEASES(DEFINE_RELEASE)

/* SessionGetInputName, SessionGetOutputName: the name is the fourth argument's. */
static void *name_of(int slot, word a, word b, word c, word d) {
    void *failed = fail_or_call(slot, 1, a, b, c, d, 0, 0, 0, 0);

    if (!failed && failing_engine_names)
        **(char **)d = '!';
    return failed;
}

static void *call_36(word a, word b, word c, word d, word e, word f, word g, word h) {
    (void)e, (void)f, (void)g, (void)h;
    return name_of(36, a, b, c, d);
}

static void *call_37(word a, word b, word c, word d, word e, word f, word g, word h) {
    (void)e, (void)f, (void)g, (void)h;
    return name_of(37, a, b, c, d);
}

static void *call_61(word a, word b, word c, word d, word e, word f, word g, word h) { /* GetDimensionsCount */
    void *failed = fail_or_call(61, 0, a, b, c, d, e, f, g, h);

    if (!failed)
        *(size_t *)b += (size_t)failing_engine_rank;
    return failed;
}

static entry *const *get_api(uint32_t version) {
    (void)version;
    return ours;
}

static const char *real_version;
static const char *get_version(void) { return failing_engine_version ? failing_engine_version : real_version; }

VISIBLE const api_base *OrtGetApiBase(void) {
    static const api_base base = {get_api, get_version};
    const char *path = getenv("EDGEXL_ORT_LIBRARY");
    void *library = dlopen(path ? path : "libonnxruntime.so.1", RTLD_NOW | RTLD_LOCAL);
    const api_base *(*get_base)(void);
    void *symbol = library ? dlsym(library, "OrtGetApiBase") : NULL;

    if (!symbol)
        return NULL;
    memcpy(&get_base, &symbol, sizeof symbol);
    real_version = get_base()->get_version();
    memcpy(real, get_base()->get_api(12), sizeof real);
    memcpy(ours, real, sizeof ours);
#define PUT_CALL(slot, makes) ours[slot] = call_##slot;
#define PUT_RELEASE(slot) ours[slot] = release_##slot;
    CALLS(PUT_CALL)
    RELEASES(PUT_RELEASE)
    ours[36] = call_36, ours[37] = call_37, ours[61] = call_61;
    return &base;
}
