/* bundle.c: exl_bundle_open and what a bundle tells without a session. */
#include "compiler.h"

#include "bundle.h"

#include <stddef.h>
#include <string.h>

#include "goldens.h"
#include "memory.h"
#include "options.h"
#include "overlay.h"

/* ---- options ------------------------------------------------------------------------------------------------- */

exl_status exl__take_struct(void *ours, size_t our_bytes, const void *theirs, exl_error *error) {
    const uint8_t *bytes = theirs;
    size_t their_bytes;

    if (!theirs)
        return EXL_OK;
    memcpy(&their_bytes, theirs, sizeof their_bytes);
    if (their_bytes < sizeof their_bytes || their_bytes > 4096)
        return exl__fail(error, EXL_BAD_ARGUMENT, "struct_size must be set with sizeof");
    for (size_t i = our_bytes; i < their_bytes; i++)
        if (bytes[i] != 0)
            return exl__fail(error, EXL_BAD_ARGUMENT, "a struct uses a field that this library, %s, does not know",
                             EXL_VERSION_STRING);
    memcpy(ours, theirs, their_bytes < our_bytes ? their_bytes : our_bytes);
    return EXL_OK;
}

int exl__can_give(const void *theirs) {
    size_t their_bytes = 0;

    if (theirs)
        memcpy(&their_bytes, theirs, sizeof their_bytes);
    return their_bytes >= sizeof their_bytes;
}

void exl__give_struct(void *theirs, const void *ours, size_t our_bytes) {
    size_t shared, head = sizeof shared; /* struct_size itself stays the caller's */

    memcpy(&shared, theirs, head);
    shared = shared < our_bytes ? shared : our_bytes;
    memcpy((uint8_t *)theirs + head, (const uint8_t *)ours + head, shared - head);
}

/* ---- opening ------------------------------------------------------------------------------------------------- */

static const char *const BUNDLE_INPUT_NAMES[EXL__VOCABULARY_OF_INPUTS] = {
    "input_ids",     "attention_mask",   "token_states", "query_vector",
    "label_vectors", "screening_scores", "label_tokens", "evidence"};

/* Elements of a graph input, as plans write sizes. */
static uint32_t bundle_input_elements(const exl__parameters *p, int input) {
    switch (input) {
    case EXL__TOKEN_STATES: return EXL__PER_TOKEN | p->state_dims;
    case EXL__QUERY_VECTOR: return p->dims;
    case EXL__LABEL_VECTORS: return EXL__PER_LABEL | p->dims;
    case EXL__SCREENING_SCORES: return EXL__PER_LABEL | 2;
    case EXL__EVIDENCE: return EXL__PER_LABEL | EXL__EVIDENCE_COLUMNS;
    case EXL__LABEL_TOKENS: return EXL__PER_LABEL | p->label_tokens;
    default: return EXL__PER_TOKEN | 1;
    }
}

exl__port exl__input_port(const exl__parameters *p, int input) {
    exl__port port = {BUNDLE_INPUT_NAMES[input], EXL__F32, 3, (uint32_t)input, bundle_input_elements(p, input)};

    if (input == EXL__INPUT_IDS || input == EXL__ATTENTION_MASK || input == EXL__LABEL_TOKENS)
        port.type = EXL__I64;
    if (input == EXL__INPUT_IDS || input == EXL__ATTENTION_MASK || input == EXL__QUERY_VECTOR)
        port.rank = 2;
    return port;
}

static exl_status bundle_open_graph(exl_bundle *bundle, exl__graph_source *source, int graph_kind, int weights_kind,
                                    uint32_t inputs, exl__graph **graph, exl_error *error) {
    exl__tensor *weights = NULL;
    exl_status status;

    source->bytes = bundle->sections[graph_kind].bytes;
    source->length = (size_t)bundle->sections[graph_kind].length;
    for (int input = 0; input < EXL__VOCABULARY_OF_INPUTS; input++)
        if (inputs >> input & 1)
            source->inputs[source->input_count++] = exl__input_port(&bundle->parameters, input);
    status = exl__weights_read(&bundle->allocator, &bundle->sections[weights_kind], source->role, &weights,
                               &source->weight_count, error);
    source->weights = weights;
    if (status == EXL_OK && bundle->engine == &exl__engine_ort &&
        !exl__graph_is_closed(&bundle->sections[graph_kind], source->weight_count))
        status = exl__fail(error, EXL_BUNDLE_MALFORMED, "the %s graph refers to tensors that the bundle does not hold",
                           source->role);
    if (status == EXL_OK)
        status = bundle->engine->open_graph(bundle->engine_state, source, graph, error);
    exl__release(&bundle->allocator, weights, source->weight_count, sizeof *weights);
    return status;
}

static void bundle_forget(const exl_bundle *bundle, int kind) {
    exl__file_forget(&bundle->file, (uint64_t)(bundle->sections[kind].bytes - bundle->file.bytes),
                     bundle->sections[kind].length);
}

static exl_status bundle_open_engine(exl_bundle *bundle, const exl_open_options *options, exl_error *error) {
    const exl__parameters *p = &bundle->parameters;
    exl__graph_source screener = {.role = "screener",
                                  .outputs = {{"query_vector", EXL__F32, 2, 0, p->dims},
                                              {"token_states", EXL__F32, 3, 0, EXL__PER_TOKEN | p->state_dims}},
                                  .max_tokens = p->max_tokens,
                                  .max_labels = p->shortlist};
    exl__graph_source reasoner = {.role = "reasoner",
                                  .outputs = {{"logits", EXL__F32, 2, 0, EXL__PER_LABEL | 1}},
                                  .output_count = 1,
                                  .max_tokens = p->max_tokens,
                                  .max_labels = p->shortlist};
    exl_status status;

    screener.output_count = p->screener_outputs & EXL__GIVES_TOKEN_STATES ? 2 : 1;
    bundle->engine = p->engine == EXL__NATIVE ? &exl__engine_native : &exl__engine_ort;
    status = bundle->engine->open(&bundle->allocator, options->engine_library, options->threads ? options->threads : 1,
                                  (options->flags & EXL_OPEN_SCALAR) != 0, &bundle->engine_state, error);
    if (status == EXL_OK)
        status = bundle_open_graph(bundle, &screener, EXL__SCREENER_GRAPH, EXL__SCREENER_WEIGHTS, p->screener_inputs,
                                   &bundle->screener, error);
    if (status == EXL_OK && p->reasoner_inputs)
        status = bundle_open_graph(bundle, &reasoner, EXL__REASONER_GRAPH, EXL__REASONER_WEIGHTS, p->reasoner_inputs,
                                   &bundle->reasoner, error);
    if (status == EXL_OK && p->engine == EXL__ORT) { /* it has read all of them once, and most only to repack them */
        bundle_forget(bundle, EXL__SCREENER_WEIGHTS);
        if (p->reasoner_inputs)
            bundle_forget(bundle, EXL__REASONER_WEIGHTS);
    }
    return status;
}

static exl_status bundle_check_options(const exl_open_options *options, exl_allocator *allocator, exl_error *error) {
    if (options->flags & ~(uint32_t)(EXL_OPEN_VERIFY | EXL_OPEN_NO_ENGINE | EXL_OPEN_SCALAR | EXL_OPEN_COMPILED |
                                     EXL_OPEN_COPY | EXL_OPEN_LAZY | EXL_OPEN_ANYONE))
        return exl__fail(error, EXL_BAD_ARGUMENT, "the options set a flag that this library, %s, does not know",
                         EXL_VERSION_STRING);
    if (options->threads > 1024)
        return exl__fail(error, EXL_BAD_ARGUMENT, "threads is %u, at most 1024 are allowed", options->threads);
    if (exl__check_trust(options, error) != EXL_OK)
        return EXL_BAD_ARGUMENT;
    if (options->overlay_count > EXL__MOST_OVERLAYS || !options->overlays != !options->overlay_count)
        return exl__fail(error, EXL_BAD_ARGUMENT, "overlays and their count need each other; %d are the most",
                         EXL__MOST_OVERLAYS);
    if (options->flags & EXL_OPEN_LAZY && !(options->flags & EXL_OPEN_VERIFY) && !options->trusted_keys)
        return exl__fail(error, EXL_BAD_ARGUMENT, "EXL_OPEN_LAZY needs EXL_OPEN_VERIFY or trusted_keys");
    if (exl__take_struct(allocator, sizeof *allocator, options->allocator, error) != EXL_OK)
        return EXL_BAD_ARGUMENT;
    if (!allocator->allocate || !allocator->release)
        return exl__fail(error, EXL_BAD_ARGUMENT, "the allocator lacks a function");
    return EXL_OK;
}

/* Where a bundle's bytes are: a file's path, an open file, or memory. */
typedef struct bundle_source {
    const char *path;
    const void *memory;
    int descriptor; /* where both are null */
    uint64_t offset, length;
} bundle_source;

static exl_status bundle_open_file(const bundle_source *from, const exl_allocator *copy, exl__file *file,
                                   exl_error *error) {
    if (from->path)
        return exl__file_open(from->path, copy, file, error);
    if (from->memory)
        return exl__file_open_memory(from->memory, (size_t)from->length, copy, file, error);
    return exl__file_open_part(from->descriptor, from->offset, from->length, copy, file, error);
}

static exl_status bundle_open(const bundle_source *from, const exl_open_options *options,
                              const exl_allocator *allocator, exl_bundle **out, exl_error *error) {
    int has_labels = !(options->flags & EXL_OPEN_COMPILED) && (from->path || options->labels_path);
    exl_bundle *bundle = exl__allocate(allocator, 1, sizeof *bundle);
    exl_status status;

    if (!bundle)
        return exl__fail(error, EXL_OUT_OF_MEMORY, "no memory for the bundle");
    bundle->allocator = *allocator;
    bundle->isa = options->flags & EXL_OPEN_SCALAR ? EXL__SCALAR : exl__isa_best();
    status = bundle_open_file(from, options->flags & EXL_OPEN_COPY ? &bundle->allocator : NULL, &bundle->file, error);
    if (status == EXL_OK)
        status = exl__bundle_read(bundle, options, from->path, error);
    if (status == EXL_OK && options->overlay_count > 0)
        status = exl__overlays_open(bundle, options, error);
    if (status == EXL_OK && (has_labels || bundle->overlays))
        status =
            exl__live_open(bundle, has_labels ? from->path : NULL, has_labels ? options->labels_path : NULL, error);
    if (status == EXL_OK && !(options->flags & EXL_OPEN_NO_ENGINE))
        status = bundle_open_engine(bundle, options, error);
    if (status == EXL_OK)
        *out = bundle;
    else
        exl_bundle_close(bundle);
    return status;
}

static exl_status bundle_open_from(const bundle_source *from, int is_given, const exl_open_options *options,
                                   exl_bundle **bundle, exl_error *error) {
    exl_open_options known = {0};
    exl_allocator allocator = exl__default_allocator;
    exl_status status;

    if (bundle)
        *bundle = NULL;
    if (!exl__begin(error, is_given && bundle))
        return EXL_BAD_ARGUMENT;
    status = exl__take_struct(&known, sizeof known, options, error);
    exl__trust_as_built(&known);
    if (status == EXL_OK)
        status = bundle_check_options(&known, &allocator, error);
    return status == EXL_OK ? bundle_open(from, &known, &allocator, bundle, error) : status;
}

exl_status exl_bundle_open(const char *path, const exl_open_options *options, exl_bundle **bundle, exl_error *error) {
    return bundle_open_from(&(bundle_source){.path = path}, path != NULL, options, bundle, error);
}

exl_status exl_bundle_open_memory(const void *bytes, size_t length, const exl_open_options *options,
                                  exl_bundle **bundle, exl_error *error) {
    return bundle_open_from(&(bundle_source){.memory = bytes, .length = length}, bytes != NULL, options, bundle, error);
}

exl_status exl_bundle_open_descriptor(int descriptor, uint64_t offset, uint64_t length, const exl_open_options *options,
                                      exl_bundle **bundle, exl_error *error) {
    const bundle_source from = {.descriptor = descriptor, .offset = offset, .length = length};

    return bundle_open_from(&from, descriptor >= 0, options, bundle, error);
}

void exl_bundle_close(exl_bundle *bundle) {
    exl_allocator allocator;

    if (!bundle)
        return;
    allocator = bundle->allocator;
    if (bundle->engine && bundle->engine_state) {
        if (bundle->reasoner)
            bundle->engine->close_graph(bundle->engine_state, bundle->reasoner);
        bundle->engine->close_graph(bundle->engine_state, bundle->screener);
        bundle->engine->close(bundle->engine_state);
    }
    exl__live_close(bundle);
    exl__overlays_close(bundle);
    exl__forget_deferred(bundle);
    exl__file_close(&bundle->file);
    exl__release(&allocator, bundle, 1, sizeof *bundle);
}

/* ---- questions ----------------------------------------------------------------------------------------------- */

exl_status exl_bundle_get_info(const exl_bundle *bundle, exl_bundle_info *info, exl_error *error) {
    exl_bundle_info known = {0};
    exl__goldens goldens = {0};

    if (!exl__begin(error, bundle && exl__can_give(info)))
        return EXL_BAD_ARGUMENT;
    known.labels = bundle->parameters.labels;
    known.rows = bundle->parameters.rows;
    known.dims = bundle->parameters.dims;
    known.shortlist = bundle->parameters.shortlist;
    known.max_tokens = bundle->parameters.max_tokens;
    known.format_major = bundle->format_major;
    known.format_minor = bundle->format_minor;
    known.file_bytes = bundle->file.length;
    known.threshold = exl__calibration_in_force(bundle)->threshold;
    known.presence = exl__calibration_in_force(bundle)->presence;
    known.engine = bundle->parameters.engine == EXL__NATIVE ? exl__engine_native.name : exl__engine_ort.name;
    known.kernel = exl__isa_name(bundle->isa);
    known.copied = bundle->file.copied != NULL;
    known.manifest = (const char *)bundle->sections[EXL__MANIFEST].bytes;
    known.manifest_bytes = (size_t)bundle->sections[EXL__MANIFEST].length;
    known.windows = exl__most_windows(bundle);
    known.signed_by = bundle->signed_by;
    known.signed_version = bundle->signed_version;
    known.overlays = bundle->overlays ? bundle->overlays->count : 0;
    known.calibrated_by = bundle->overlays ? bundle->overlays->calibrated_by : 0;
    if (exl__goldens_begin(bundle, &goldens, NULL) == EXL_OK) /* a bundle without goldens has 0 of them */
        known.goldens = goldens.count;
    exl__give_struct(info, &known, sizeof known);
    return EXL_OK;
}

exl_status exl_tokenize(const exl_bundle *bundle, const char *text, size_t text_bytes, int32_t *ids, size_t capacity,
                        size_t *count, exl_error *error) {
    size_t most;

    if (!exl__begin(error, bundle && count && (text || text_bytes == 0) && (ids || capacity == 0)))
        return EXL_BAD_ARGUMENT;
    *count = 0;
    if (!exl__utf8_valid(text, text_bytes))
        return exl__fail(error, EXL_INVALID_UTF8, "the text is not valid UTF-8");
    most = bundle->parameters.max_tokens;
    if (capacity < most) { /* a text of unknown length: only room for max_tokens is surely enough */
        *count = most;
        return exl__fail(error, EXL_BUFFER_TOO_SMALL, "there must be room for %zu tokens", most);
    }
    *count = exl__tokenize(&bundle->tokenizer, text, text_bytes, EXL__AS_QUERY, ids, most);
    return EXL_OK;
}
