/* compile_probe.c: what a bundle answers, to the bit: a line of hexadecimal numbers a golden text, by the fastest
 * kernels and by the scalar ones. The program of the compile matrix. */
#include "edgexl.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

/* A field that is added behind must not fall into what an older program has for padding, which may hold anything. */
#define ENDS_WITH(type, last)                                                                                          \
    _Static_assert(sizeof(type) == offsetof(type, last) + sizeof(((type *)0)->last), "padding behind the last field")
ENDS_WITH(exl_error, sentence);
ENDS_WITH(exl_allocator, release);
ENDS_WITH(exl_overlay, signature_bytes);
ENDS_WITH(exl_open_options, overlay_count);
ENDS_WITH(exl_bundle_info, calibrated_by);
ENDS_WITH(exl_overlay_info, file_bytes);
ENDS_WITH(exl_label, reserved);
ENDS_WITH(exl_session_options, reserved);
ENDS_WITH(exl_predict_options, reserved);
ENDS_WITH(exl_prediction, overlay);
ENDS_WITH(exl_result, windows);
ENDS_WITH(exl_operation, sizes);
ENDS_WITH(exl_batch, context);
ENDS_WITH(exl_explanation, words_score);
ENDS_WITH(exl_self_test_report, tolerance);
ENDS_WITH(exl_new_label, alias_count);
ENDS_WITH(exl_add_options, context);
ENDS_WITH(exl_labels_info, retired_overlaid);
ENDS_WITH(exl_receipt_options, time);
ENDS_WITH(exl_patch_options, reserved);
ENDS_WITH(exl_patch_report, reserved);
ENDS_WITH(exl_patch_info, new_bytes);

static uint32_t bits(float x) {
    uint32_t same;
    memcpy(&same, &x, sizeof same);
    return same;
}

static int fail(const char *said) {
    printf("failed: %s\n", said);
    return 1;
}

static int answer(const char *path, uint32_t flags) {
    exl_error error = {.struct_size = sizeof error};
    exl_open_options options = {.struct_size = sizeof options, .flags = flags | EXL_OPEN_VERIFY};
    exl_bundle_info info = {.struct_size = sizeof info};
    exl_self_test_report report = {.struct_size = sizeof report};
    exl_bundle *bundle = NULL;
    exl_session *session = NULL;

    if (exl_bundle_open(path, &options, &bundle, &error) != EXL_OK ||
        exl_bundle_get_info(bundle, &info, &error) != EXL_OK ||
        exl_session_open(bundle, NULL, &session, &error) != EXL_OK ||
        exl_self_test_run(session, &report, &error) != EXL_OK)
        return fail(error.sentence);
    for (uint32_t golden = 0; golden < info.goldens; golden++) {
        const exl_result *result = NULL;
        const char *text = NULL;
        size_t bytes = 0;

        if (exl_golden_read(bundle, golden, &text, &bytes, &error) != EXL_OK ||
            exl_predict(session, text, bytes, NULL, &result, &error) != EXL_OK)
            return fail(error.sentence);
        for (size_t n = 0; n < result->shortlist; n++)
            printf("%" PRIu32 " %08" PRIx32 " %08" PRIx32 " ", result->shortlist_labels[n],
                   bits(result->shortlist_scores[n]), bits(result->shortlist_logits[n]));
        for (size_t n = 0; n < result->count; n++)
            printf("%s %08" PRIx32 " ", result->predictions[n]->id, bits(result->predictions[n]->probability));
        printf("\n");
    }
    exl_session_close(session);
    exl_bundle_close(bundle);
    return 0;
}

int main(int count, char **arguments) {
    if (count != 2)
        return fail("one bundle, please");
    if (answer(arguments[1], 0) != 0)
        return 1;
    printf("scalar\n");
    return answer(arguments[1], EXL_OPEN_SCALAR);
}
