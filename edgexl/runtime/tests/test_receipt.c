/* test_receipt.c: receipts: what stands in them, what refuses to make one, and that nothing is written beyond the room
 * that there is.
 *
 *     test_receipt BUNDLE SCRATCH        with $EDGEXL_ORT_LIBRARY set; SCRATCH is a file that may be overwritten
 */
#include "../src/hmac.h"
#include "damage.h"

enum { HEAD = 208, ENTRY = 24, ROOM = 65536, GUARD = 0x5a };

static const char TEXT[] = "old king";
static const char KEY[] = "sixteen bytes or so";
static exl_bundle *bundle;
static exl_session *session;
static exl_bundle_info info = {.struct_size = sizeof info};
static uint8_t record[ROOM], other[ROOM];

static exl_receipt_options plain(void) {
    return (exl_receipt_options){.struct_size = sizeof(exl_receipt_options), .key = KEY, .key_bytes = strlen(KEY)};
}

static exl_status make(const exl_receipt_options *options, uint8_t *into, size_t capacity, size_t *bytes,
                       const exl_result **result) {
    return exl_receipt(session, TEXT, strlen(TEXT), options, into, capacity, bytes, result, &said);
}

/* A label's id, by its number. */
static size_t id_of(uint32_t label, char id[256]) {
    size_t bytes;

    CHECK_STATUS(read_field(bundle, label, FIELD_ID, id, 256, &bytes), EXL_OK);
    return bytes;
}

/* ---- what stands in it ----------------------------------------------------------------------------------------- */

static void check_entries(const exl_result *result, size_t bytes) {
    const uint8_t *answers = record + HEAD + result->shortlist * ENTRY;

    CHECK(get32(record + 76) == result->shortlist && get32(record + 80) == result->count);
    CHECK(bytes == HEAD + result->shortlist * ENTRY + result->count * 4 + 4 && get32(record + 12) == bytes - 4);
    for (size_t n = 0; n < result->shortlist; n++) {
        const uint8_t *entry = record + HEAD + n * ENTRY;
        uint8_t digest[32];
        char id[256];

        CHECK(get32(entry) == result->shortlist_labels[n]);
        CHECK(memcmp(entry + 4, &result->shortlist_scores[n], 4) == 0);
        CHECK(memcmp(entry + 8, &result->shortlist_logits[n], 4) == 0);
        hash((const uint8_t *)id, id_of(get32(entry), id), digest);
        CHECK(memcmp(entry + 16, digest, 8) == 0);
    }
    for (size_t i = 0; i < result->count; i++) {
        const uint8_t *entry = record + HEAD + (size_t)get32(answers + 4 * i) * ENTRY;

        CHECK(get32(entry) == result->predictions[i]->label);
        CHECK(memcmp(entry + 12, &result->predictions[i]->probability, 4) == 0);
    }
}

static void test_contents(file_bytes file) {
    exl_receipt_options options = plain();
    exl_predict_options above = {.struct_size = sizeof above, .use_threshold = 1, .threshold = -1};
    const exl_result *result = NULL;
    uint8_t mac[32], table[32];
    float number;
    size_t bytes;

    CHECK_STATUS(make(&options, record, ROOM, &bytes, &result), EXL_OK);
    check_entries(result, bytes);
    CHECK(memcmp(record,
                 "\x89"
                 "EXR\r\n\x1a\n\1\0\0\0",
                 12) == 0);
    CHECK(get64(record + 16) == 0 && get32(record + 24) == 0 && strcmp((char *)record + 32, EXL_VERSION_STRING) == 0);
    CHECK(get32(record + 28) == (result->none_fits | 8u) && get32(record + 48) == 2); /* verified; native */
    CHECK(get32(record + 52) == 5 && get32(record + 64) == info.windows && get32(record + 68) == 1);
    CHECK(get32(record + 72) == result->tokens && get32(record + 84) == 0 && get32(record + bytes - 4) == 0);
    memcpy(&number, record + 56, 4);
    CHECK(number == -1);
    exl__hmac_sha256(KEY, strlen(KEY), TEXT, strlen(TEXT), mac);
    CHECK(memcmp(record + 96, mac, 32) == 0);
    exl__hmac_sha256(KEY, strlen(KEY), "", 0, mac);
    CHECK(memcmp(record + 88, mac, 8) == 0);
    hash(file.bytes + HEADER_BYTES, get32(file.bytes + 12) * ENTRY_BYTES, table);
    CHECK(memcmp(record + 128, table, 32) == 0);

    options.predict = &above;
    CHECK_STATUS(make(&options, record, ROOM, &bytes, &result), EXL_OK);
    check_entries(result, bytes);
    memcpy(&number, record + 56, 4);
    CHECK(number == info.threshold && get32(record + 52) == info.shortlist);
}

/* The same question gives the same record; another text or key another hash of the text, and nothing else. */
static void test_differences(void) {
    exl_receipt_options options = plain();
    size_t bytes, again;

    CHECK_STATUS(make(&options, record, ROOM, &bytes, NULL), EXL_OK);
    CHECK_STATUS(make(&options, other, ROOM, &again, NULL), EXL_OK);
    CHECK(again == bytes && memcmp(record, other, bytes) == 0);
    options.key = "another key of 16 bytes";
    CHECK_STATUS(make(&options, other, ROOM, &again, NULL), EXL_OK);
    CHECK(again == bytes && memcmp(record + 88, other + 88, 8) != 0 && memcmp(record + 96, other + 96, 32) != 0);
    memcpy(other + 88, record + 88, 40);
    CHECK(memcmp(record, other, bytes) == 0);
    options = plain();
    CHECK_STATUS(exl_receipt(session, "old kings", 9, &options, other, ROOM, &again, NULL, &said), EXL_OK);
    CHECK(memcmp(record + 88, other + 88, 8) == 0 && memcmp(record + 96, other + 96, 32) != 0);
}

/* ---- labels that change ---------------------------------------------------------------------------------------- */

static int is_shortlisted(const uint8_t digest[32]) {
    int found = 0;

    for (uint32_t n = 0; n < get32(record + 76); n++)
        found |= memcmp(record + HEAD + (size_t)n * ENTRY + 16, digest, 8) == 0;
    return found;
}

static void test_label_sets(void) {
    const exl_new_label label = {
        .struct_size = sizeof label, .id = "new", .id_bytes = 3, .text = TEXT, .text_bytes = 8};
    exl_receipt_options options = plain();
    uint8_t set[3][32], digest[32];
    const char *id = "new";
    size_t id_bytes = 3, bytes;

    CHECK_STATUS(make(&options, record, ROOM, &bytes, NULL), EXL_OK);
    memcpy(set[0], record + 160, 32);
    CHECK_STATUS(exl_labels_add(session, &label, 1, NULL, NULL, &said), EXL_OK);
    CHECK_STATUS(make(&options, record, ROOM, &bytes, NULL), EXL_OK);
    memcpy(set[1], record + 160, 32);
    hash((const uint8_t *)"new", 3, digest);
    CHECK(is_shortlisted(digest));
    CHECK_STATUS(exl_labels_retire(bundle, &id, &id_bytes, 1, &said), EXL_OK);
    CHECK_STATUS(make(&options, record, ROOM, &bytes, NULL), EXL_OK);
    memcpy(set[2], record + 160, 32);
    CHECK(!is_shortlisted(digest));
    CHECK(memcmp(set[0], set[1], 32) != 0 && memcmp(set[1], set[2], 32) != 0 && memcmp(set[0], set[2], 32) != 0);
    CHECK_STATUS(exl_labels_compact(bundle, &said), EXL_OK); /* which leaves no operation */
    CHECK_STATUS(make(&options, record, ROOM, &bytes, NULL), EXL_OK);
    CHECK(memcmp(record + 160, set[0], 32) == 0);
}

/* ---- signing --------------------------------------------------------------------------------------------------- */

typedef struct signer {
    int fails;
    size_t says;
    const void *record;
    size_t bytes, room;
} signer;

static int sign(void *context, const void *bytes, size_t length, void *signature, size_t *signature_bytes) {
    signer *s = context;

    s->record = bytes;
    s->bytes = length;
    s->room = *signature_bytes;
    memset(signature, 0xee, *signature_bytes);
    *signature_bytes = s->says;
    return s->fails;
}

static void test_signatures(void) {
    signer s = {.says = 7};
    exl_receipt_options options = plain();
    const exl_result *result = NULL;
    size_t bytes;

    options.note = "note";
    options.note_bytes = 4;
    options.time = 0x123456789abcull;
    options.sign = sign;
    options.context = &s;
    options.signature_bytes = 64;
    CHECK_STATUS(make(&options, record, ROOM, &bytes, &result), EXL_OK);
    CHECK(s.record == record && s.bytes == get32(record + 12) && s.room == 64 && bytes == s.bytes + 4 + 7);
    CHECK(memcmp(record + s.bytes - 4, "note\7\0\0\0\xee\xee\xee\xee\xee\xee\xee", 15) == 0);
    CHECK(get64(record + 16) == 0x123456789abcull && get32(record + 24) == 4);
    s.says = 65;
    CHECK_STATUS(make(&options, record, ROOM, &bytes, &result), EXL_SIGNING_FAILED);
    CHECK(!result && bytes == 0 && strstr(said.sentence, "65 bytes of 64"));
    s.says = 0;
    CHECK_STATUS(make(&options, record, ROOM, &bytes, &result), EXL_SIGNING_FAILED);
    s.says = 64;
    s.fails = 1;
    CHECK_STATUS(make(&options, record, ROOM, &bytes, &result), EXL_SIGNING_FAILED);
    CHECK(!result && bytes == 0);
}

/* ---- room, and what is refused --------------------------------------------------------------------------------- */

static void test_room(void) {
    exl_receipt_options options = plain();
    exl_predict_options all = {.struct_size = sizeof all, .k = info.shortlist};
    const exl_result *result = NULL;
    size_t bytes, most;

    options.predict = &all;
    options.note = TEXT;
    options.note_bytes = 5;
    most = EXL_RECEIPT_BYTES(info.shortlist, 5, 0);
    for (size_t capacity = 0; capacity < most; capacity += capacity < most - 9 ? 7 : 1) {
        memset(record, GUARD, sizeof record);
        CHECK_STATUS(make(&options, capacity ? record : NULL, capacity, &bytes, &result), EXL_BUFFER_TOO_SMALL);
        CHECK(bytes == most && !result && record[0] == GUARD);
    }
    CHECK_STATUS(make(&options, record, most, &bytes, &result), EXL_OK);
    CHECK(bytes == most && result->shortlist == info.shortlist && record[most] == GUARD);
}

static void test_refusals(void) {
    exl_receipt_options options = plain();
    exl_predict_options far = {.struct_size = sizeof far, .k = info.shortlist + 1};
    static char note[EXL_RECEIPT_MOST_NOTE + 1];
    const exl_result *result = NULL;
    size_t bytes;

    CHECK_STATUS(make(NULL, record, ROOM, &bytes, &result), EXL_BAD_ARGUMENT);
    CHECK_STATUS(make(&options, NULL, ROOM, &bytes, &result), EXL_BAD_ARGUMENT);
    CHECK_STATUS(make(&options, record, ROOM, NULL, &result), EXL_BAD_ARGUMENT);
    CHECK_STATUS(exl_receipt(NULL, TEXT, 8, &options, record, ROOM, &bytes, &result, &said), EXL_BAD_ARGUMENT);
    CHECK_STATUS(exl_receipt(session, "", 0, &options, record, ROOM, &bytes, &result, &said), EXL_EMPTY_TEXT);
    CHECK(bytes == 0 && !result);
    options.predict = &far;
    CHECK_STATUS(make(&options, record, ROOM, &bytes, &result), EXL_BAD_K);
    options = plain();
    options.key_bytes = EXL_RECEIPT_LEAST_KEY - 1;
    CHECK_STATUS(make(&options, record, ROOM, &bytes, &result), EXL_BAD_ARGUMENT);
    CHECK(strstr(said.sentence, "15 bytes"));
    options.key = NULL;
    CHECK_STATUS(make(&options, record, ROOM, &bytes, &result), EXL_BAD_ARGUMENT);
    options = plain();
    options.note_bytes = 1;
    CHECK_STATUS(make(&options, record, ROOM, &bytes, &result), EXL_BAD_ARGUMENT);
    options.note = note;
    options.note_bytes = sizeof note;
    CHECK_STATUS(make(&options, record, ROOM, &bytes, &result), EXL_BAD_ARGUMENT);
    options = plain();
    options.signature_bytes = 64;
    CHECK_STATUS(make(&options, record, ROOM, &bytes, &result), EXL_BAD_ARGUMENT);
    options.sign = sign;
    options.signature_bytes = 0;
    CHECK_STATUS(make(&options, record, ROOM, &bytes, &result), EXL_BAD_ARGUMENT);
    options.signature_bytes = EXL_RECEIPT_MOST_SIGNATURE + 1;
    CHECK_STATUS(make(&options, record, ROOM, &bytes, &result), EXL_BAD_ARGUMENT);
}

/* A bundle whose large sections nobody hashed says so in its receipts. */
static void test_unverified(const char *path) {
    const exl_open_options without = {.struct_size = sizeof without, .flags = EXL_OPEN_COMPILED};
    exl_receipt_options options = plain();
    exl_bundle *opened = NULL;
    exl_session *one = NULL;
    size_t bytes;

    CHECK_STATUS(exl_bundle_open(path, &without, &opened, &said), EXL_OK);
    CHECK_STATUS(exl_session_open(opened, NULL, &one, &said), EXL_OK);
    CHECK_STATUS(exl_receipt(one, TEXT, strlen(TEXT), &options, record, ROOM, &bytes, NULL, &said), EXL_OK);
    CHECK((get32(record + 28) & 8) == 0);
    exl_session_close(one);
    exl_bundle_close(opened);
}

int main(int count, char **arguments) {
    exl_open_options options = {.struct_size = sizeof options, .flags = EXL_OPEN_VERIFY};
    exl_receipt_options receipt = plain();
    file_bytes file;
    size_t bytes;
    char labels[4096];

    if (count < 3)
        return fprintf(stderr, "usage: %s BUNDLE SCRATCH\n", arguments[0]), 1;
    snprintf(labels, sizeof labels, "%s.labels", arguments[2]);
    remove(labels);
    options.labels_path = labels;
    file = read_file(arguments[1]);
    CHECK_STATUS(exl_bundle_open(arguments[1], &options, &bundle, &said), EXL_OK);
    CHECK_STATUS(exl_bundle_get_info(bundle, &info, &said), EXL_OK);
    CHECK_STATUS(exl_session_open(bundle, NULL, &session, &said), EXL_OK);
    CHECK(EXL_RECEIPT_BYTES(info.shortlist, 0, 0) < ROOM);
    if (strcmp(info.engine, "native") != 0) {
        CHECK_STATUS(make(&receipt, record, ROOM, &bytes, NULL), EXL_NOT_SUPPORTED);
        CHECK(strstr(said.sentence, "native"));
    } else {
        test_contents(file);
        test_differences();
        test_signatures();
        test_room();
        test_refusals();
        test_label_sets();
        test_unverified(arguments[1]);
    }
    exl_session_close(session);
    exl_bundle_close(bundle);
    remove(labels);
    free(file.bytes);
    puts("receipt: all passed");
    return 0;
}
