/* fuzz_signature.c: keys and signatures, as texts that minisign writes, over a bundle.
 *
 * Input: a key's length (1 byte), the key, then the signature. */
#include "fuzz.h"

static file_bytes base;

int LLVMFuzzerInitialize(int *count, char ***arguments) {
    (void)count;
    find_directory(*arguments);
    base = read_beside("base.exl");
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    input from = {data, size};
    size_t key_bytes = take(&from, 1), length;
    char *key;
    uint8_t *signature;
    exl_bundle *bundle = NULL;

    key_bytes = key_bytes < from.left ? key_bytes : from.left;
    key = malloc(key_bytes + 1);
    memcpy(key, from.at, key_bytes);
    key[key_bytes] = '\0';
    from.at += key_bytes, from.left -= key_bytes;
    length = from.left;
    signature = take_exactly(&from, length);
    {
        const char *const keys[] = {key};
        exl_open_options options = {.struct_size = sizeof options,
                                    .flags = EXL_OPEN_NO_ENGINE | EXL_OPEN_LAZY,
                                    .allocator = &limited,
                                    .trusted_keys = keys,
                                    .trusted_key_count = 1,
                                    .signature = signature,
                                    .signature_bytes = length};
        (void)exl_bundle_open_memory(base.bytes, base.length, &options, &bundle, &said);
    }
    exl_bundle_close(bundle);
    free(signature);
    free(key);
    return 0;
}
