/* trust.c: which bundles an app opens: those that were signed by a key that it trusts, and are not older than it says.
 */
#include "compiler.h"

#include <string.h>

#include "bundle.h"
#include "memory.h"
#include "signature.h"

/* ---- keys ---------------------------------------------------------------------------------------------------- */

#if defined(EXL_TRUSTED_KEYS)
static const char *const TRUST_BUILT[] = {EXL_TRUSTED_KEYS};
#if defined(EXL_LEAST_VERSION)
static const uint64_t TRUST_BUILT_VERSION = EXL_LEAST_VERSION;
#else
static const uint64_t TRUST_BUILT_VERSION = 0;
#endif

void exl__trust_as_built(exl_open_options *options) {
    if (options->trusted_keys || options->flags & EXL_OPEN_ANYONE)
        return;
    options->trusted_keys = TRUST_BUILT;
    options->trusted_key_count = sizeof TRUST_BUILT / sizeof *TRUST_BUILT;
    if (options->least_version == 0)
        options->least_version = TRUST_BUILT_VERSION;
}
#else
void exl__trust_as_built(exl_open_options *options) { (void)options; }
#endif

exl_status exl__check_trust(const exl_open_options *options, exl_error *error) {
    if (!options->trusted_keys != !options->trusted_key_count || !options->signature != !options->signature_bytes)
        return exl__fail(error, EXL_BAD_ARGUMENT, "trusted_keys and signature need their counts, and these need them");
    if (!options->trusted_keys && (options->least_version > 0 || options->signature))
        return exl__fail(error, EXL_BAD_ARGUMENT, "least_version and signature mean nothing without trusted_keys");
    if (options->trusted_keys && options->flags & EXL_OPEN_ANYONE)
        return exl__fail(error, EXL_BAD_ARGUMENT, "EXL_OPEN_ANYONE and trusted_keys contradict each other");
    return EXL_OK;
}

/* ---- signatures ---------------------------------------------------------------------------------------------- */

/* Mapped and read, so that nobody who cuts it, or makes it large, does more than fail. */
exl_status exl__read_signature_beside(const char *what, const char *path, const exl_allocator *allocator,
                                      char text[EXL__MOST_SIGNATURE_BYTES], size_t *text_bytes, exl_error *error) {
    static const char SUFFIX[] = ".minisig";
    size_t stem = strlen(path), bytes = stem + sizeof SUFFIX;
    char *beside = exl__allocate(allocator, bytes, 1);
    exl__file file = {.descriptor = -1};
    exl_status status;

    if (!beside)
        return exl__fail(error, EXL_OUT_OF_MEMORY, "no memory for a path");
    memcpy(beside, path, stem);
    memcpy(beside + stem, SUFFIX, sizeof SUFFIX);
    status = exl__file_open(beside, NULL, &file, error);
    if (status == EXL_OK && file.length > EXL__MOST_SIGNATURE_BYTES)
        status = exl__fail(error, EXL_BAD_SIGNATURE, "%s is no signature of minisign's: it is too long", beside);
    if (status == EXL_OK) {
        *text_bytes = (size_t)file.length;
        status = exl__file_read(&file, 0, text, *text_bytes, error);
    } else if (status != EXL_BAD_SIGNATURE && status != EXL_OUT_OF_MEMORY) {
        status = exl__fail(error, EXL_NOT_SIGNED, "the %s holds no signature, nor is there one in %s", what, beside);
    }
    exl__file_close(&file);
    exl__release(allocator, beside, bytes, 1);
    return status;
}

static exl_status trust_read_keys(const char *what, const exl_open_options *options, const exl__signature *signature,
                                  const void *message, size_t bytes, uint32_t *signed_by, exl_error *error) {
    size_t alike = 0;
    char id[17];

    *signed_by = 0;
    for (size_t i = 0; i < options->trusted_key_count; i++) {
        const char *text = options->trusted_keys[i], *why;
        exl__public_key key;

        why = text ? exl__public_key_read(text, strlen(text), &key) : "it is null";
        if (why)
            return exl__fail(error, EXL_BAD_ARGUMENT, "trusted key %zu cannot be used: %s", i, why);
        if (*signed_by || memcmp(key.id, signature->key_id, sizeof key.id) != 0)
            continue;
        alike++;
        if (exl__signature_holds(signature, &key, message, bytes))
            *signed_by = (uint32_t)i + 1;
    }
    if (*signed_by)
        return EXL_OK;
    exl__key_id_write(signature->key_id, id);
    if (alike == 0)
        return exl__fail(error, EXL_UNKNOWN_KEY, "the %s is signed by key %s, which is not one of the trusted", what,
                         id);
    return exl__fail(error, EXL_BAD_SIGNATURE,
                     "the signature by key %s does not hold: it, or the %s, was changed: fetch both again", id, what);
}

exl_status exl__check_signer(const char *what, const exl_open_options *options, const char *text, size_t text_bytes,
                             const void *message, size_t message_bytes, exl_error *error) {
    exl__signature signature;
    const char *why = exl__signature_read(text, text_bytes, &signature);
    uint32_t signed_by;

    if (why)
        return exl__fail(error, EXL_BAD_SIGNATURE, "the %s's signature is none of minisign's: %s", what, why);
    return trust_read_keys(what, options, &signature, message, message_bytes, &signed_by, error);
}

static exl_status trust_check(const exl_open_options *options, exl__signed *of, const char *text, size_t text_bytes,
                              int is_stored, exl_error *error) {
    exl__signature signature;
    const char *why = exl__signature_read(text, text_bytes, &signature);
    exl_status status;

    if (!why && is_stored && !signature.canonical)
        why = "it is not written as stored ones are";
    if (why)
        return exl__fail(error, EXL_BAD_SIGNATURE, "the %s's signature is none of minisign's: %s", of->what, why);
    status = trust_read_keys(of->what, options, &signature, of->message, of->message_bytes, &of->signed_by, error);
    if (status != EXL_OK)
        return status;
    if (signature.version < options->least_version)
        return exl__fail(error, EXL_VERSION_TOO_OLD, "the %s is signed as version %llu; %llu is the least accepted",
                         of->what, (unsigned long long)signature.version, (unsigned long long)options->least_version);
    of->version = signature.version;
    return EXL_OK;
}

exl_status exl__check_signed(const exl_allocator *allocator, const exl_open_options *options, exl__signed *of,
                             exl_error *error) {
    char beside[EXL__MOST_SIGNATURE_BYTES];
    size_t beside_bytes = 0;
    exl_status status;

    if (options->trusted_key_count == 0)
        return EXL_OK;
    if (options->trusted_key_count > UINT32_MAX - 1)
        return exl__fail(error, EXL_BAD_ARGUMENT, "there are too many trusted keys");
    if (options->signature)
        return trust_check(options, of, options->signature, options->signature_bytes, 0, error);
    if (of->stored.bytes)
        return trust_check(options, of, (const char *)of->stored.bytes, (size_t)of->stored.length, 1, error);
    if (!of->path)
        return exl__fail(error, EXL_NOT_SIGNED, "the %s holds no signature, and none is given", of->what);
    status = exl__read_signature_beside(of->what, of->path, allocator, beside, &beside_bytes, error);
    return status == EXL_OK ? trust_check(options, of, beside, beside_bytes, 0, error) : status;
}

exl_status exl__check_signature(exl_bundle *bundle, const exl_open_options *options, const char *path,
                                exl_error *error) {
    uint8_t message[EXL__MOST_SIGNED_BYTES];
    exl__signed of = {.what = "bundle", .message = message, .stored = bundle->signature, .path = path};
    exl_status status;

    of.message_bytes = exl__signed_bytes(bundle, message);
    status = exl__check_signed(&bundle->allocator, options, &of, error);
    bundle->signed_by = of.signed_by;
    bundle->signed_version = of.version;
    return status;
}

/* ---- hashes that wait ---------------------------------------------------------------------------------------- */

exl_status exl__defer_hashes(exl_bundle *bundle, exl_error *error) {
    exl__deferred *deferred = exl__allocate(&bundle->allocator, 1, sizeof *deferred);

    if (deferred && !exl__mutex_init(&deferred->mutex)) {
        exl__release(&bundle->allocator, deferred, 1, sizeof *deferred);
        deferred = NULL;
    }
    if (!deferred)
        return exl__fail(error, EXL_OUT_OF_MEMORY, "no memory for the bundle");
    bundle->deferred = deferred;
    return EXL_OK;
}

exl_status exl__check_deferred(const exl_bundle *bundle, exl_error *error) {
    exl__deferred *deferred = bundle->deferred;
    exl_status status = EXL_OK;

    if (!deferred)
        return EXL_OK;
    exl__mutex_lock(&deferred->mutex);
    if (!deferred->checked)
        status = exl__check_hashes(bundle, 1, error);
    deferred->checked = status == EXL_OK;
    exl__mutex_unlock(&deferred->mutex);
    return status;
}

void exl__forget_deferred(exl_bundle *bundle) {
    if (!bundle->deferred)
        return;
    exl__mutex_destroy(&bundle->deferred->mutex);
    exl__release(&bundle->allocator, bundle->deferred, 1, sizeof *bundle->deferred);
    bundle->deferred = NULL;
}
