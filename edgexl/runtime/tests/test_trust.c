/* test_trust.c: a signed bundle is opened as it was signed or not at all, whatever was changed and whatever fails.
 *
 *     test_trust BUNDLE SCRATCH        signed.exl of tests/runtime/c_tests.py; SCRATCH is a file that may be
 * overwritten
 */
#include "damage.h"

static const char *const KEYS[] = {"RWQAAAAAAAAAAOpKbGPinFIKvvVQexMuxfmVR3auvr57kkIe6mkURtIs", /* of another id */
                                   "RWRlZGdleGwgMepKbGPinFIKvvVQexMuxfmVR3auvr57kkIe6mkURtIs"};
enum { SIGNATURE = 1000 };

static const char *scratch;
static file_bytes sound;
static uint8_t *damaged;

static uint32_t state = 1;

static uint32_t draw(uint32_t below) {
    state = state * 1664525u + 1013904223u;
    return (uint32_t)(((uint64_t)(state >> 8) * below) >> 24);
}

static exl_open_options trusting(size_t keys) {
    return (exl_open_options){.struct_size = sizeof(exl_open_options),
                              .flags = EXL_OPEN_NO_ENGINE | EXL_OPEN_COPY,
                              .trusted_keys = KEYS,
                              .trusted_key_count = keys};
}

static exl_status open_damaged(const exl_open_options *options) {
    exl_bundle *bundle = NULL;
    exl_status status = exl_bundle_open_memory(damaged, sound.length, options, &bundle, &said);

    CHECK((status == EXL_OK) == (bundle != NULL));
    exl_bundle_close(bundle);
    return status;
}

/* ---- what was changed ------------------------------------------------------------------------------------------ */

static void test_flips(void) {
    exl_open_options options = trusting(2);
    size_t table = HEADER_BYTES + (size_t)get32(sound.bytes + 12) * ENTRY_BYTES;
    const uint8_t *entry = entry_of(damaged, SIGNATURE);
    uint64_t begin = get64(entry + 8), end = begin + get64(entry + 16);

    CHECK_STATUS(open_damaged(&options), EXL_OK);
    for (uint64_t at = 0; at < end; at += at < table || at >= begin ? 1 : 1 + draw(4000)) {
        damaged[at] ^= (uint8_t)(1u << draw(8));
        CHECK(open_damaged(&options) / 100 == 3);
        damaged[at] = sound.bytes[at];
    }
    CHECK_STATUS(open_damaged(&options), EXL_OK);
}

/* By one who mends all hashes: nothing but the signature tells. */
static void test_sealed_changes(void) {
    exl_open_options options = trusting(2);
    uint32_t count = get32(sound.bytes + 12);

    for (uint32_t s = 0; s < count; s++) {
        const uint8_t *entry = sound.bytes + HEADER_BYTES + s * ENTRY_BYTES;
        uint32_t kind = get32(entry);

        for (int round = 0; round < (kind == SIGNATURE ? 400 : 4); round++) {
            damaged[get64(entry + 8) + draw((uint32_t)get64(entry + 16))] ^= (uint8_t)(1u << draw(8));
            seal(damaged, kind);
            CHECK(open_damaged(&options) ==
                  (kind == SIGNATURE && said.status == EXL_UNKNOWN_KEY ? EXL_UNKNOWN_KEY : EXL_BAD_SIGNATURE));
            memcpy(damaged, sound.bytes, sound.length);
        }
    }
}

/* ---- whom to trust --------------------------------------------------------------------------------------------- */

static void test_options(void) {
    exl_open_options options = trusting(2), old = {.struct_size = offsetof(exl_open_options, trusted_keys)};
    exl_bundle_info info = {.struct_size = sizeof info};
    exl_bundle *bundle = NULL;
    static const char *const none[] = {"RWRlZGdleGwg"};
    static const char *const null_key[] = {NULL};

    CHECK_STATUS(exl_bundle_open_memory(damaged, sound.length, &options, &bundle, &said), EXL_OK);
    CHECK_STATUS(exl_bundle_get_info(bundle, &info, &said), EXL_OK);
    CHECK(info.signed_by == 2 && info.signed_version == 3 && info.format_minor == 1);
    exl_bundle_close(bundle);
    options.least_version = 3;
    CHECK_STATUS(open_damaged(&options), EXL_OK);
    options.least_version = 4;
    CHECK_STATUS(open_damaged(&options), EXL_VERSION_TOO_OLD);
    options = trusting(1);
    CHECK_STATUS(open_damaged(&options), EXL_UNKNOWN_KEY);
    options.signature = "untrusted comment: ";
    CHECK_STATUS(open_damaged(&options), EXL_BAD_ARGUMENT); /* without its length */
    options.signature_bytes = strlen(options.signature);
    CHECK_STATUS(open_damaged(&options), EXL_BAD_SIGNATURE);
    options.trusted_keys = NULL;
    CHECK_STATUS(open_damaged(&options), EXL_BAD_ARGUMENT);
    options.trusted_key_count = 0;
    CHECK_STATUS(open_damaged(&options), EXL_BAD_ARGUMENT); /* a signature for nobody */
    options = trusting(1);
    options.trusted_keys = none;
    CHECK_STATUS(open_damaged(&options), EXL_BAD_ARGUMENT);
    options.trusted_keys = null_key;
    CHECK_STATUS(open_damaged(&options), EXL_BAD_ARGUMENT);
    old.flags = EXL_OPEN_COPY | EXL_OPEN_LAZY;
    CHECK_STATUS(open_damaged(&old), EXL_BAD_ARGUMENT);
    old.flags |= EXL_OPEN_VERIFY; /* of a program that knows no keys */
    CHECK_STATUS(open_damaged(&old), EXL_OK);
}

/* ---- what waits, and what fails -------------------------------------------------------------------------------- */

static void test_hashes_wait(void) {
    exl_open_options options = trusting(2);
    exl_bundle *bundle = NULL;
    exl_session *session = NULL;
    const exl_result *result = NULL;
    uint64_t at = get64(entry_of(damaged, 10) + 8);

    options.flags = EXL_OPEN_COPY;
    damaged[at] ^= 1; /* fine codes */
    CHECK_STATUS(open_damaged(&options), EXL_BUNDLE_CORRUPT);
    options.flags |= EXL_OPEN_LAZY;
    CHECK_STATUS(exl_bundle_open_memory(damaged, sound.length, &options, &bundle, &said), EXL_OK);
    CHECK_STATUS(exl_session_open(bundle, NULL, &session, &said), EXL_OK);
    for (int again = 0; again < 2; again++) {
        CHECK_STATUS(exl_predict(session, "old king", 8, NULL, &result, &said), EXL_BUNDLE_CORRUPT);
        CHECK(!result && strstr(said.sentence, "fine_codes"));
    }
    exl_session_close(session);
    exl_bundle_close(bundle);
    damaged[at] ^= 1;
}

static long allocations, fails_at;

static void *allocate(void *context, size_t bytes) {
    (void)context;
    return allocations++ == fails_at ? NULL : aligned_alloc(64, (bytes + 63) / 64 * 64);
}

static void release(void *context, void *memory, size_t bytes) {
    (void)context, (void)bytes;
    free(memory);
}

/* The signature beside the bundle, and each allocation of opening it fails once. */
static void test_allocations_fail(void) {
    const exl_allocator allocator = {.struct_size = sizeof allocator, .allocate = allocate, .release = release};
    exl_open_options options = trusting(2);
    const uint8_t *entry = entry_of(damaged, SIGNATURE);
    size_t length, stem = strlen(scratch);
    exl_status status = EXL_OUT_OF_MEMORY;
    char *beside = malloc(stem + sizeof ".minisig");
    exl_bundle *bundle = NULL;

    CHECK(beside);
    memcpy(beside, scratch, stem);
    memcpy(beside + stem, ".minisig", sizeof ".minisig");
    write_file(beside, damaged + get64(entry + 8), (size_t)get64(entry + 16));
    entry -= ENTRY_BYTES; /* without the signature: as it was compiled */
    length = (size_t)(get64(entry + 8) + get64(entry + 16));
    damaged[10] = 0;
    put(damaged + 12, get32(damaged + 12) - 1, 4);
    put(damaged + 16, length, 8);
    memset(damaged + HEADER_BYTES + get32(damaged + 12) * ENTRY_BYTES, 0, ENTRY_BYTES);
    seal_table(damaged);
    write_file(scratch, damaged, length);
    memcpy(damaged, sound.bytes, sound.length);
    options.flags = EXL_OPEN_LAZY;
    options.allocator = &allocator;
    for (fails_at = 0; status != EXL_OK; fails_at++) {
        allocations = 0;
        status = exl_bundle_open(scratch, &options, &bundle, &said);
        CHECK(status == EXL_OK || status == EXL_OUT_OF_MEMORY);
        exl_bundle_close(bundle);
    }
    CHECK(fails_at > 4);
    fails_at = -1;
    remove(beside);
    CHECK_STATUS(exl_bundle_open(scratch, &options, &bundle, &said), EXL_NOT_SIGNED);
    free(beside);
}

int main(int count, char **arguments) {
    if (count < 3)
        return fprintf(stderr, "usage: %s BUNDLE SCRATCH\n", arguments[0]), 1;
    scratch = arguments[2];
    sound = read_file(arguments[1]);
    damaged = malloc(sound.length);
    CHECK(damaged);
    memcpy(damaged, sound.bytes, sound.length);
    test_flips();
    test_sealed_changes();
    test_options();
    test_hashes_wait();
    test_allocations_fail();
    free(damaged);
    free(sound.bytes);
    puts("trust: all passed");
    return 0;
}
