/* fuzz_overlay.c: an overlay is opened over the bundle that it says it was made for, and asked.
 *
 * Input: the overlay. */
#include "fuzz.h"

#include "../src/bundle.h"

static file_bytes base;
static uint8_t code_space[32];

static exl_bundle *open_with(const exl_overlay *overlay) {
    exl_open_options options = {
        .struct_size = sizeof options, .allocator = &limited, .overlays = overlay, .overlay_count = overlay ? 1 : 0};
    exl_bundle *bundle = NULL;

    (void)exl_bundle_open_memory(base.bytes, base.length, &options, &bundle, &said);
    return bundle;
}

int LLVMFuzzerInitialize(int *count, char ***arguments) {
    exl_bundle *bundle;

    (void)count;
    find_directory(*arguments);
    base = read_beside("lexical.exl");
    bundle = open_with(NULL);
    MUST(bundle);
    memcpy(code_space, bundle->code_space, sizeof code_space);
    exl_bundle_close(bundle);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    input from = {data, size};
    uint8_t *bytes = take_exactly(&from, size);
    exl_overlay overlay = {.struct_size = sizeof overlay, .bytes = bytes, .length = size};
    exl_bundle *bundle;

    if (size >= 96) /* where the format has it */
        memcpy(bytes + 64, code_space, sizeof code_space);
    bundle = open_with(&overlay);
    free(bytes); /* not needed when opening has returned */
    if (bundle) {
        exl_overlay_info info = {.struct_size = sizeof info};
        MUST(exl_overlay_get_info(bundle, 1, &info, &said) == EXL_OK);
        ask_everything(bundle, "red river", 9);
    }
    exl_bundle_close(bundle);
    return 0;
}
