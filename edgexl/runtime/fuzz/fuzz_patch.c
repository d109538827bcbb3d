/* fuzz_patch.c: a patch is applied to the bundle that it says it was made for.
 *
 * Input: the patch. */
#include "fuzz.h"

enum { MOST_NEW_BYTES = 1 << 20 };

static file_bytes base;

int LLVMFuzzerInitialize(int *count, char ***arguments) {
    (void)count;
    find_directory(*arguments);
    base = read_beside("base.exl");
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    exl_patch_info info = {.struct_size = sizeof info};
    input from = {data, size};
    uint8_t *patch = take_exactly(&from, size), *made;

    if (exl_patch_get_info(patch, size, &info, &said) == EXL_OK && info.new_bytes <= MOST_NEW_BYTES) {
        made = malloc((size_t)info.new_bytes);
        (void)exl_patch_memory(base.bytes, base.length, patch, size, made, (size_t)info.new_bytes, &limited, &said);
        free(made);
    }
    free(patch);
    return 0;
}
