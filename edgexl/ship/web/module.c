/* module.c: what JavaScript calls of the library, compiled with EXL_BARE into one WebAssembly module. A module has one
 * bundle and one session; JavaScript makes a module for each. Structs stay on this side: answers are read field by
 * field. Every function that can fail gives an exl_status, and web_sentence says why. */
#include <stdlib.h>
#include <string.h>

#include "../../runtime/include/edgexl.h"
#include "../../runtime/src/bare.h"

#define EXPORT(name) __attribute__((export_name(#name))) name

static exl_bundle *bundle;
static exl_session *session;
static const exl_result *result;
static exl_error error = {.struct_size = sizeof error};
static exl_explanation explanation = {.struct_size = sizeof explanation};
static exl_self_test_report report = {.struct_size = sizeof report};
static const char LABELS[] = "labels";

/* ---- memory ---------------------------------------------------------------------------------------------------- */

void *EXPORT(web_allocate)(size_t bytes) { return aligned_alloc(64, (bytes / 64 + 1) * 64); }
void EXPORT(web_free)(void *memory) { free(memory); }
const char *EXPORT(web_sentence)(void) { return error.sentence; }
const char *EXPORT(web_version)(void) { return exl_get_version(); }

/* ---- open and close -------------------------------------------------------------------------------------------- */

enum { MOST_KEYS = 64 };
static const char *trusted[MOST_KEYS];
static size_t trusted_count;

/* key: of web_allocate, with a closing NUL, the module's from here on. */
int EXPORT(web_trust)(const char *key) {
    if (trusted_count == MOST_KEYS)
        return EXL_BAD_ARGUMENT;
    trusted[trusted_count++] = key;
    return EXL_OK;
}

/* bytes: of web_allocate, the module's from here on. signature: null for the bundle's own. */
int EXPORT(web_open)(const uint8_t *bytes, size_t length, int verify, double least_version, const char *signature,
                     size_t signature_bytes) {
    exl_open_options options = {.struct_size = sizeof options, .flags = verify ? EXL_OPEN_VERIFY : 0};
    exl_status status;

    options.labels_path = LABELS;
    options.trusted_keys = trusted_count > 0 ? trusted : NULL;
    options.trusted_key_count = trusted_count;
    options.least_version = least_version > 0 ? (uint64_t)least_version : 0;
    options.signature = signature;
    options.signature_bytes = signature_bytes;
    status = exl_bundle_open_memory(bytes, length, &options, &bundle, &error);
    if (status == EXL_OK)
        status = exl_session_open(bundle, NULL, &session, &error);
    return status;
}

/* ---- update ---------------------------------------------------------------------------------------------------- */

/* Whether one of the keys of web_trust has signed a patch; signature: null where there is none. */
int EXPORT(web_patch_verify)(const void *patch, size_t bytes, const char *signature, size_t signature_bytes) {
    const exl_open_options trust = {.struct_size = sizeof trust,
                                    .trusted_keys = trusted_count > 0 ? trusted : NULL,
                                    .trusted_key_count = trusted_count,
                                    .signature = signature,
                                    .signature_bytes = signature_bytes};

    return exl_patch_verify(patch, bytes, &trust, &error);
}

/* The bytes of the bundle that a patch makes; negative: a status. */
double EXPORT(web_patched_bytes)(const void *patch, size_t bytes) {
    exl_patch_info info = {.struct_size = sizeof info};
    exl_status status = exl_patch_get_info(patch, bytes, &info, &error);

    return status == EXL_OK ? (double)info.new_bytes : -(double)status;
}

int EXPORT(web_patch)(const void *old, size_t old_bytes, const void *patch, size_t patch_bytes, void *made,
                      size_t made_bytes) {
    return exl_patch_memory(old, old_bytes, patch, patch_bytes, made, made_bytes, NULL, &error);
}

/* ---- look ------------------------------------------------------------------------------------------------------ */

/* 0 labels, 1 rows, 2 dims, 3 shortlist, 4 max_tokens, 5 goldens, 6 threshold, 7 windows, 8 labels in the set now, 9
 * the end of their numbers, 10 format_major, 11 format_minor. */
double EXPORT(web_info)(int which) {
    exl_bundle_info info = {.struct_size = sizeof info};
    exl_labels_info labels = {.struct_size = sizeof labels};

    exl_bundle_get_info(bundle, &info, NULL);
    exl_labels_get_info(bundle, &labels, NULL);
    const double values[] = {info.labels,     info.rows,    info.dims,         info.shortlist,
                             info.max_tokens, info.goldens, info.threshold,    info.windows,
                             labels.labels,   labels.end,   info.format_major, info.format_minor};
    return which >= 0 && (size_t)which < sizeof values / sizeof *values ? values[which] : 0;
}

const char *EXPORT(web_kernel)(void) {
    exl_bundle_info info = {.struct_size = sizeof info};
    exl_bundle_get_info(bundle, &info, NULL);
    return info.kernel;
}

/* ---- predict --------------------------------------------------------------------------------------------------- */

/* k 0: the library's own; threshold below -1: none, negative: the bundle's; coverage 0: none. */
int EXPORT(web_predict)(const char *text, size_t bytes, uint32_t k, float threshold, float coverage, uint32_t windows) {
    exl_predict_options options = {.struct_size = sizeof options, .k = k, .coverage = coverage, .windows = windows};

    options.use_threshold = threshold >= -1;
    options.threshold = threshold;
    return exl_predict(session, text, bytes, &options, &result, &error);
}

uint32_t EXPORT(web_count)(void) { return result ? (uint32_t)result->count : 0; }
uint32_t EXPORT(web_label)(uint32_t i) { return result->predictions[i]->label; }
float EXPORT(web_probability)(uint32_t i) { return result->predictions[i]->probability; }
float EXPORT(web_logit)(uint32_t i) { return result->predictions[i]->logit; }
const char *EXPORT(web_id)(uint32_t i) { return result->predictions[i]->id; }
const char *EXPORT(web_text)(uint32_t i) { return result->predictions[i]->text; }

/* 0 none_fits, 1 tokens, 2 truncated, 3 windows, 4 coverage_holds, 5 total_ms. */
double EXPORT(web_result)(int which) {
    const double values[] = {result->none_fits, result->tokens,         result->truncated,
                             result->windows,   result->coverage_holds, result->total_ms};
    return which >= 0 && (size_t)which < sizeof values / sizeof *values ? values[which] : 0;
}

/* ---- receipts -------------------------------------------------------------------------------------------------- */

static uint8_t *receipt;
static size_t receipt_bytes;

/* As web_predict, and a receipt of it, which web_receipt_at and web_receipt_bytes tell. JavaScript signs it itself. */
int EXPORT(web_receipt)(const char *text, size_t bytes, uint32_t k, float threshold, float coverage, uint32_t windows,
                        const void *key, size_t key_bytes, const void *note, size_t note_bytes, double time) {
    exl_predict_options predict = {.struct_size = sizeof predict, .k = k, .coverage = coverage, .windows = windows};
    exl_receipt_options options = {.struct_size = sizeof options, .predict = &predict, .key = key, .note = note};
    exl_status status;

    predict.use_threshold = threshold >= -1;
    predict.threshold = threshold;
    options.key_bytes = key_bytes;
    options.note_bytes = note_bytes;
    options.time = time > 0 ? (uint64_t)time : 0;
    result = NULL;
    free(receipt);
    receipt = NULL;
    status = exl_receipt(session, text, bytes, &options, NULL, 0, &receipt_bytes, NULL, &error);
    if (status == EXL_BUFFER_TOO_SMALL && (receipt = malloc(receipt_bytes)) != NULL)
        status = exl_receipt(session, text, bytes, &options, receipt, receipt_bytes, &receipt_bytes, &result, &error);
    return status;
}

const uint8_t *EXPORT(web_receipt_at)(void) { return receipt; }
size_t EXPORT(web_receipt_bytes)(void) { return receipt_bytes; }

/* ---- explain and test ------------------------------------------------------------------------------------------ */

int EXPORT(web_explain)(const char *text, size_t bytes, uint32_t label) {
    return exl_explain(session, text, bytes, label, &explanation, &error);
}

/* 0 screening_rank, 1 screening_score, 2 shortlisted, 3 reasoner_rank, 4 logit, 5 probability, 6 found_by, 7
 * text_score, 8 alias_score, 9 description_score, 10 votes_score, 11 words_score. */
double EXPORT(web_explanation)(int which) {
    const exl_explanation *e = &explanation;
    const double values[] = {e->screening_rank, e->screening_score,   e->shortlisted, e->reasoner_rank,
                             e->logit,          e->probability,       e->found_by,    e->text_score,
                             e->alias_score,    e->description_score, e->votes_score, e->words_score};
    return which >= 0 && (size_t)which < sizeof values / sizeof *values ? values[which] : 0;
}

int EXPORT(web_self_test)(void) {
    result = NULL;
    return exl_self_test_run(session, &report, &error);
}

/* 0 goldens, 1 failed, 2 largest_probability_difference. */
double EXPORT(web_report)(int which) {
    return which == 0 ? report.goldens : which == 1 ? report.failed : (double)report.largest_probability_difference;
}

/* ---- labels ---------------------------------------------------------------------------------------------------- */

static char label_id[65537], label_text[65537];
static exl_label label = {.struct_size = sizeof label,
                          .id = label_id,
                          .id_capacity = sizeof label_id,
                          .text = label_text,
                          .text_capacity = sizeof label_text};

int EXPORT(web_label_read)(uint32_t number) { return exl_label_read(bundle, number, &label, &error); }
const char *EXPORT(web_label_id)(void) { return label_id; }
const char *EXPORT(web_label_text)(void) { return label_text; }
int EXPORT(web_label_state)(void) { return label.state; }

/* *number: found. */
int EXPORT(web_label_find)(const char *id, size_t bytes, uint32_t *number) {
    return exl_label_find(bundle, id, bytes, number, &error);
}

int EXPORT(web_complete)(const char *prefix, size_t bytes, uint32_t from, uint32_t *numbers, uint32_t capacity,
                         uint32_t *count) {
    return exl_labels_complete(bundle, prefix, bytes, from, numbers, capacity, count, &error);
}

int EXPORT(web_label_add)(const char *id, size_t id_bytes, const char *text, size_t text_bytes, int replace,
                          uint32_t *number) {
    const exl_new_label one = {
        .struct_size = sizeof one, .id = id, .id_bytes = id_bytes, .text = text, .text_bytes = text_bytes};
    const exl_add_options options = {.struct_size = sizeof options, .replace = replace != 0};

    result = NULL;
    return exl_labels_add(session, &one, 1, &options, number, &error);
}

int EXPORT(web_label_retire)(const char *id, size_t bytes) {
    result = NULL;
    return exl_labels_retire(bundle, &id, &bytes, 1, &error);
}

/* What keeps the changes of labels, to be stored and given back: *length of it, null where nothing was changed. With
 * `bytes`, before web_open, it is what an earlier life stored. */
const void *EXPORT(web_changes)(const void *bytes, size_t *length) { return exl_bare_file(LABELS, bytes, length); }
