/* receipt.c: a record of an answer, as docs/format.md, "Receipts", has it: written in one pass from what the session
 * holds behind a prediction, and signed by the app. */
#include "compiler.h"

#include <string.h>

#include "bytes.h"
#include "hmac.h"
#include "options.h"
#include "overlay.h"
#include "predict.h"
#include "sha256.h"

enum {
    RECEIPT_MAJOR = 1,
    RECEIPT_MINOR = 0,
    RECEIPT_HEADER_BYTES = 208,
    RECEIPT_ENTRY_BYTES = 24,
    RECEIPT_VERSION_BYTES = 16,
    RECEIPT_SHORT_HASH_BYTES = 8
};

/* Bits of the flags. */
enum { RECEIPT_NONE_FITS = 1, RECEIPT_TRUNCATED = 2, RECEIPT_COVERAGE_HOLDS = 4, RECEIPT_VERIFIED = 8 };

static const uint8_t RECEIPT_MAGIC[8] = {0x89, 'E', 'X', 'R', '\r', '\n', 0x1a, '\n'};

_Static_assert(sizeof EXL_VERSION_STRING <= RECEIPT_VERSION_BYTES, "a version is longer than receipts have room for");
_Static_assert(EXL_RECEIPT_BYTES(0, 0, 0) == RECEIPT_HEADER_BYTES + 4, "edgexl.h says another size");
_Static_assert(EXL_RECEIPT_BYTES(1, 0, 0) - EXL_RECEIPT_BYTES(0, 0, 0) == RECEIPT_ENTRY_BYTES + 4, "as above");

static void receipt_put_float(uint8_t *at, float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    exl__put32(at, bits);
}

/* begun: a hash of nothing, which is copied, because to begin one takes long (sha256.c says why). */
static void receipt_put_short_hash(uint8_t *at, const exl__sha256 *begun, const void *bytes, size_t length) {
    exl__sha256 hash = *begun;
    uint8_t digest[32];

    exl__sha256_update(&hash, bytes, length);
    exl__sha256_final(&hash, digest);
    memcpy(at, digest, RECEIPT_SHORT_HASH_BYTES);
}

/* The label set that the prediction saw: as compiled, all that was done to it since, and the overlays. */
static void receipt_put_label_set(uint8_t at[32], const exl_session *s) {
    exl__sha256 hash, operations;

    if (exl__live_has_file(s->live))
        operations = s->live->operations;
    else
        exl__sha256_init(&operations);
    exl__sha256_init(&hash);
    exl__sha256_update(&hash, s->bundle->parameters.label_set_sha256, 32);
    exl__sha256_final(&operations, at);
    exl__sha256_update(&hash, at, 32);
    for (uint32_t i = 0; s->bundle->overlays && i < s->bundle->overlays->count; i++)
        exl__sha256_update(&hash, s->bundle->overlays->each[i].file.bytes + EXL__OVERLAY_CHECK_AT, 32);
    exl__sha256_final(&hash, at);
}

/* Which bundle, labels, text and options: what a replay must be given again. */
static void receipt_put_question(uint8_t *at, const exl_session *s, const exl__choice *chosen,
                                 const exl_receipt_options *options) {
    uint8_t mac[32];

    memcpy(at + 32, EXL_VERSION_STRING, sizeof EXL_VERSION_STRING);
    exl__put32(at + 48, s->bundle->parameters.engine);
    exl__put32(at + 52, chosen->k);
    receipt_put_float(at + 56, chosen->threshold);
    receipt_put_float(at + 60, chosen->coverage);
    exl__put32(at + 64, s->most_windows);
    exl__hmac_sha256(options->key, options->key_bytes, "", 0, mac); /* no text is empty */
    memcpy(at + 88, mac, RECEIPT_SHORT_HASH_BYTES);
    exl__hmac_sha256(options->key, options->key_bytes, s->text, s->text_bytes, at + 96);
    memcpy(at + 128, s->bundle->identity, 32);
    receipt_put_label_set(at + 160, s);
}

static exl_status receipt_put_entry(uint8_t *at, exl_session *s, uint32_t i, const exl__sha256 *begun,
                                    exl_error *error) {
    uint32_t n = s->order[i].index;
    const char *id = NULL;
    exl_status status = exl__session_id(s, i, s->labels[n], &id, error); /* where the answer has it, too */

    if (status != EXL_OK)
        return status;
    exl__put32(at, s->labels[n]);
    receipt_put_float(at + 4, s->best_scores[n]);
    receipt_put_float(at + 8, s->logits[n]);
    receipt_put_float(at + 12, exl__probability(s, s->logits[n]));
    receipt_put_short_hash(at + 16, begun, id, strlen(id));
    return EXL_OK;
}

/* What came of it, stage by stage; *end is behind it. */
static exl_status receipt_put_answer(uint8_t *at, exl_session *s, uint8_t **end, exl_error *error) {
    const exl_result *result = &s->result;
    uint8_t *entries = at + RECEIPT_HEADER_BYTES;
    exl_status status = EXL_OK;
    exl__sha256 begun;

    exl__put32(at + 28, (result->none_fits ? RECEIPT_NONE_FITS : 0u) | (result->truncated ? RECEIPT_TRUNCATED : 0u) |
                            (result->coverage_holds ? RECEIPT_COVERAGE_HOLDS : 0u) |
                            (s->bundle->verified ? RECEIPT_VERIFIED : 0u));
    exl__put32(at + 68, result->windows);
    exl__put32(at + 72, result->tokens);
    exl__put32(at + 76, s->shortlist);
    exl__put32(at + 80, (uint32_t)result->count);
    exl__sha256_init(&begun);
    receipt_put_short_hash(at + 192, &begun, s->tokens, s->text_tokens * sizeof *s->tokens);
    receipt_put_short_hash(at + 200, &begun, s->query_vector, s->bundle->parameters.dims * sizeof *s->query_vector);
    for (uint32_t i = 0; i < s->shortlist && status == EXL_OK; i++)
        status = receipt_put_entry(entries + (size_t)s->order[i].index * RECEIPT_ENTRY_BYTES, s, i, &begun, error);
    *end = entries + (size_t)s->shortlist * RECEIPT_ENTRY_BYTES;
    for (size_t i = 0; i < result->count; i++, *end += 4)
        exl__put32(*end, s->order[i].index);
    return status;
}

/* The record is whole; the signature goes behind it. */
static exl_status receipt_sign(const exl_receipt_options *options, const uint8_t *record, uint8_t *end,
                               size_t *signature_bytes, exl_error *error) {
    *signature_bytes = options->signature_bytes;
    if (!options->sign)
        *signature_bytes = 0;
    else if (options->sign(options->context, record, (size_t)(end - record), end + 4, signature_bytes) != 0)
        return exl__fail(error, EXL_SIGNING_FAILED, "the app's function did not sign the receipt");
    else if (*signature_bytes == 0 || *signature_bytes > options->signature_bytes)
        return exl__fail(error, EXL_SIGNING_FAILED, "the app's function says that a signature has %zu bytes of %zu",
                         *signature_bytes, options->signature_bytes);
    exl__put32(end, (uint32_t)*signature_bytes);
    return EXL_OK;
}

static exl_status receipt_write(exl_session *s, const exl__choice *chosen, const exl_receipt_options *options,
                                uint8_t *record, size_t *bytes, exl_error *error) {
    uint8_t *end;
    size_t signature_bytes;
    exl_status status;

    memset(record, 0, RECEIPT_HEADER_BYTES);
    memcpy(record, RECEIPT_MAGIC, sizeof RECEIPT_MAGIC);
    record[8] = RECEIPT_MAJOR;
    record[10] = RECEIPT_MINOR;
    exl__put64(record + 16, options->time);
    exl__put32(record + 24, (uint32_t)options->note_bytes);
    receipt_put_question(record, s, chosen, options);
    status = receipt_put_answer(record, s, &end, error);
    if (status != EXL_OK)
        return status;
    if (options->note_bytes > 0)
        memcpy(end, options->note, options->note_bytes);
    end += options->note_bytes;
    exl__put32(record + 12, (uint32_t)(end - record));
    status = receipt_sign(options, record, end, &signature_bytes, error);
    if (status == EXL_OK)
        *bytes = (size_t)(end - record) + 4 + signature_bytes;
    return status;
}

static exl_status receipt_check(const exl_session *s, const exl_receipt_options *options, size_t capacity,
                                size_t *bytes, exl_error *error) {
    size_t most;

    if (s->bundle->parameters.engine != EXL__NATIVE)
        return exl__fail(error, EXL_NOT_SUPPORTED,
                         "the engine %s gives no receipts, because its answers differ between processors: compile for "
                         "the engine native",
                         s->bundle->engine->name);
    if (!options->key || options->key_bytes < EXL_RECEIPT_LEAST_KEY)
        return exl__fail(error, EXL_BAD_ARGUMENT, "the key has %zu bytes, receipts need one of %d at least",
                         options->key ? options->key_bytes : 0, EXL_RECEIPT_LEAST_KEY);
    if (options->note_bytes > EXL_RECEIPT_MOST_NOTE || (!options->note && options->note_bytes > 0))
        return exl__fail(error, EXL_BAD_ARGUMENT, "the note has %zu bytes, a receipt takes %d at most, and not null",
                         options->note_bytes, EXL_RECEIPT_MOST_NOTE);
    if (options->signature_bytes > EXL_RECEIPT_MOST_SIGNATURE || !options->sign != !options->signature_bytes)
        return exl__fail(error, EXL_BAD_ARGUMENT,
                         "signature_bytes is %zu: with sign it is to be from 1 to %d, and else 0",
                         options->signature_bytes, EXL_RECEIPT_MOST_SIGNATURE);
    most = EXL_RECEIPT_BYTES(s->bundle->parameters.shortlist, options->note_bytes, options->signature_bytes);
    if (capacity >= most)
        return EXL_OK;
    *bytes = most;
    return exl__fail(error, EXL_BUFFER_TOO_SMALL, "there must be room for %zu bytes, there is for %zu", most, capacity);
}

exl_status exl_receipt(exl_session *session, const char *text, size_t text_bytes, const exl_receipt_options *options,
                       void *receipt, size_t capacity, size_t *receipt_bytes, const exl_result **result,
                       exl_error *error) {
    exl_receipt_options known = {0};
    exl__choice chosen = {0};
    exl_status status;

    if (result)
        *result = NULL;
    if (receipt_bytes)
        *receipt_bytes = 0;
    if (!exl__begin(error, session && options && receipt_bytes && (receipt || capacity == 0)))
        return EXL_BAD_ARGUMENT;
    status = exl__take_struct(&known, sizeof known, options, error);
    if (status == EXL_OK)
        status = receipt_check(session, &known, capacity, receipt_bytes, error);
    if (status == EXL_OK)
        status = exl__predict(session, text, text_bytes, known.predict, &chosen, error);
    if (status == EXL_OK)
        status = receipt_write(session, &chosen, &known, receipt, receipt_bytes, error);
    if (status == EXL_OK && result)
        *result = &session->result;
    return status;
}
