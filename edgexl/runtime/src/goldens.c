#include "compiler.h"

#include "goldens.h"

#include <string.h>

#include "bytes.h"
#include "checked.h"

exl_status exl__goldens_begin(const exl_bundle *bundle, exl__goldens *g, exl_error *error) {
    const exl__section *section = &bundle->sections[EXL__GOLDENS];

    if (!section->bytes)
        return exl__fail(error, EXL_SELF_TEST_FAILED, "the bundle holds no goldens to test with");
    if (section->length < 16)
        return exl__fail(error, EXL_BUNDLE_MALFORMED, "the goldens section is too short");
    g->count = exl__get32(section->bytes);
    g->k = exl__get32(section->bytes + 4);
    memcpy(&g->tolerance, section->bytes + 8, 4);
    g->at = section->bytes + 16;
    g->end = section->bytes + section->length;
    if (g->count == 0 || g->k == 0 || g->k > bundle->parameters.shortlist ||
        !(g->tolerance >= 0 && g->tolerance <= 1) || exl__get32(section->bytes + 12) != 0)
        return exl__fail(error, EXL_BUNDLE_MALFORMED, "the goldens section holds a value that the format forbids");
    return EXL_OK;
}

/* The sizes first, then their sum against what is left. */
exl_status exl__goldens_next(const exl_bundle *bundle, exl__goldens *g, exl__golden *golden, exl_error *error) {
    uint64_t left = (uint64_t)(g->end - g->at), used;

    if (left >= 8) {
        golden->text_bytes = exl__get32(g->at);
        golden->token_count = exl__get32(g->at + 4);
        used = exl__plus(exl__times(1ull + g->k, 8), exl__times(golden->token_count, 4));
        used = exl__round_up(exl__plus(used, golden->text_bytes), 4);
        if (used <= left && golden->token_count <= bundle->parameters.max_tokens) {
            golden->answers = g->at + 8;
            golden->tokens = golden->answers + (size_t)g->k * 8;
            golden->text = (const char *)golden->tokens + (size_t)golden->token_count * 4;
            g->at += used;
            return EXL_OK;
        }
    }
    return exl__fail(error, EXL_BUNDLE_MALFORMED, "the goldens section ends inside a golden");
}

exl_status exl_golden_read(const exl_bundle *bundle, uint32_t index, const char **text, size_t *text_bytes,
                           exl_error *error) {
    exl__goldens all = {0};
    exl__golden golden = {0};
    exl_status status;

    if (!exl__begin(error, bundle && text && text_bytes))
        return EXL_BAD_ARGUMENT;
    status = exl__check_deferred(bundle, error);
    if (status == EXL_OK)
        status = exl__goldens_begin(bundle, &all, error);
    if (status == EXL_OK && index >= all.count)
        status = exl__fail(error, EXL_BAD_ARGUMENT, "there is no golden %u, the bundle has %u", index, all.count);
    for (uint32_t i = 0; status == EXL_OK && i <= index; i++)
        status = exl__goldens_next(bundle, &all, &golden, error);
    *text = golden.text;
    *text_bytes = golden.text_bytes;
    return status;
}
