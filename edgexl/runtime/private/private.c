/* private.c: what libedgexl_private exports besides the interface: the library's own functions one by one, as the
 * compiler measures with them, and as tests and benchmarks call them (edgexl/runtime/kernels.py, benchmarks/). No
 * header and no promise: both sides change together. A function of plain arguments is shown as it is, by a pointer
 * `shown_` and its name; one that takes the library's structs has a face here that makes them. */
#include "../src/compiler.h"

#include <string.h>

#include "../src/bundle.h"
#include "../src/cells.h"
#include "../src/codes.h"
#include "../src/ed25519.h"
#include "../src/fold.h"
#include "../src/lexical.h"
#include "../src/memory.h"
#include "../src/native.h"
#include "../src/rescore.h"
#include "../src/scan.h"
#include "../src/strings.h"
#include "../src/utf8.h"
#include "../src/words.h"
#include "patch_writer.h"

#define SHOW(function)                                                                                                 \
    EXL_API extern __typeof__(function) *const shown_##function;                                                       \
    __typeof__(function) *const shown_##function = function

SHOW(exl__isa_available);
SHOW(exl__isa_best);
SHOW(exl__isa_name);
SHOW(exl__scan_tables);
SHOW(exl__scan_scratch_bytes);
SHOW(exl__quantize_query);
SHOW(exl__rescore_rows);
SHOW(exl__decompress_row);
SHOW(exl__encode_coarse);
SHOW(exl__encode_fine);
SHOW(exl__strings_get);
SHOW(exl__strings_prefix);
SHOW(exl__strings_with_bytes);
SHOW(exl__kernels_named);
SHOW(exl__ed25519_check);

/* ---- the index ---- */

/* exl__scan; ranges: [range_count][2], or null for all rows. */
EXL_API uint32_t private_scan(exl__isa isa, const uint8_t *codes, uint32_t rows, uint32_t subspaces,
                              const uint8_t *tables, const uint32_t *ranges, uint32_t range_count, uint32_t keep,
                              void *scratch, uint32_t *out_rows, uint16_t *out_scores) {
    exl__scan_codes scanned = {isa, rows, subspaces, codes, NULL};
    exl__scan_query query = {tables, scratch, out_rows, out_scores, 0};

    return exl__scan(&scanned, (const exl__scan_range *)(const void *)ranges, range_count, keep, &query);
}

/* exl__scan_batch: tables [queries][subspaces][16]; scratch: [queries], scratch_stride bytes apart; out_rows,
 * out_scores: [queries][min(keep, rows)]. */
EXL_API void private_scan_batch(exl__isa isa, const uint8_t *codes, uint32_t rows, uint32_t subspaces, uint32_t keep,
                                uint32_t queries, const uint8_t *tables, uint8_t *scratch, size_t scratch_stride,
                                uint32_t *out_rows, uint16_t *out_scores) {
    exl__scan_codes scanned = {isa, rows, subspaces, codes, NULL};
    size_t wide = keep < rows ? keep : rows;

    for (uint32_t done = 0; done < queries; done += EXL__SCAN_PARTS) {
        uint32_t count = queries - done < EXL__SCAN_PARTS ? queries - done : EXL__SCAN_PARTS;
        exl__scan_query batch[EXL__SCAN_PARTS];

        for (uint32_t i = 0; i < count; i++) {
            size_t q = (size_t)done + i;
            batch[i] = (exl__scan_query){.tables = tables + q * subspaces * 16,
                                         .scratch = scratch + q * scratch_stride,
                                         .out_rows = out_rows + q * wide,
                                         .out_scores = out_scores + q * wide};
        }
        exl__scan_batch(&scanned, keep, batch, count);
    }
}

/* exl__scan_merge of what parts have found: counts[part] rows and scores each, in rows and scores [parts][keep]. */
EXL_API uint32_t private_scan_merge(uint32_t parts, const uint32_t *starts, const uint32_t *counts, uint32_t *rows,
                                    uint16_t *scores, uint32_t keep, uint32_t *out_rows, uint16_t *out_scores) {
    exl__scan_query found[EXL__SCAN_PARTS];

    for (uint32_t part = 0; part < parts; part++)
        found[part] = (exl__scan_query){
            .out_rows = rows + (size_t)part * keep, .out_scores = scores + (size_t)part * keep, .count = counts[part]};
    return exl__scan_merge(found, starts, parts, keep, out_rows, out_scores);
}

/* exl__cells_probe: the ranges [probes][2] of places that a query scans; 0 where there is no memory. */
EXL_API uint32_t private_probe(exl__isa isa, uint32_t count, uint32_t probes, float margin, uint32_t dims,
                               const uint32_t *starts, const uint32_t *rows, const uint8_t *centroids,
                               uint32_t row_count, const float *query, uint32_t *ranges) {
    exl__cells cells = {count, probes, margin, dims, starts, rows, centroids};
    uint64_t bytes = count * (sizeof(exl__ranked) + sizeof(float)) + probes * sizeof(uint32_t) + dims * sizeof(int16_t);
    exl__ranked *memory = exl__allocate_scratch(&exl__default_allocator, bytes, 1);
    exl__cells_scratch scratch = {.ranked = memory, .ranges = (exl__scan_range *)(void *)ranges};

    if (!memory)
        return 0;
    scratch.scores = (float *)(void *)(scratch.ranked + count);
    scratch.probed = (uint32_t *)(void *)(scratch.scores + count);
    scratch.query = (int16_t *)(void *)(scratch.probed + probes);
    count = exl__cells_probe(isa, &cells, row_count, query, &scratch);
    exl__release(&exl__default_allocator, memory, bytes, 1);
    return count;
}

/* ---- strings ---- */

/* exl__strings_init; null where the section is malformed or there is no memory. bytes must outlive it. */
EXL_API exl__strings *private_strings_open(const uint8_t *bytes, size_t length, uint32_t count,
                                           uint32_t *longest_bytes) {
    exl__strings *strings = exl__allocate(&exl__default_allocator, 1, sizeof *strings);

    if (strings && exl__strings_init(strings, bytes, length, count) != EXL__STRINGS_OK) {
        exl__release(&exl__default_allocator, strings, 1, sizeof *strings);
        return NULL;
    }
    if (strings)
        *longest_bytes = strings->longest_bytes;
    return strings;
}

EXL_API void private_strings_close(exl__strings *strings) {
    exl__release(&exl__default_allocator, strings, 1, sizeof *strings);
}

/* The text's code points as exl__fold_next gives them; how many, of which `capacity` at most are written. */
EXL_API size_t private_fold(const char *text, size_t bytes, int folds, uint32_t *points, size_t capacity) {
    exl__folder folder;
    size_t count = 0;

    exl__fold_start(&folder, text, bytes, folds);
    for (uint32_t point; (point = exl__fold_next(&folder)) != EXL__NO_POINT; count++)
        if (count < capacity)
            points[count] = point;
    return count;
}

/* The words of texts that stand one after the other, text i up to ends[i]: UTF-8, an exact word behind a "#", a blank
 * behind each word and a line's end behind each text. How many bytes, of which `capacity` at most are written. */
EXL_API size_t private_words(const char *texts, const uint64_t *ends, size_t count, uint8_t *out, size_t capacity) {
    size_t used = 0;
    uint64_t begin = 0;

    for (size_t i = 0; i < count; begin = ends[i++]) {
        uint8_t bytes[2 + 4 * EXL__WORD_POINTS];
        exl__words words;
        exl__word word;
        int more;

        exl__words_start(&words, texts + begin, (size_t)(ends[i] - begin));
        do {
            size_t length = 0;
            more = exl__words_next(&words, &word);
            if (more && word.exact)
                bytes[length++] = '#';
            for (uint32_t at = 0; more && at < word.count; at++)
                length += exl__encode_utf8(word.points[at], bytes + length);
            bytes[length++] = more ? ' ' : '\n';
            if (used + length <= capacity)
                memcpy(out + used, bytes, length);
            used += length;
        } while (more);
    }
    return used;
}

/* ---- the lexical index ---- */

typedef struct private_lexical {
    exl__lexical lexical;
    exl__added_words added;
    exl__lexical_scratch scratch;
    uint64_t scratch_bytes;
    void *memory;
} private_lexical;

EXL_API void private_lexical_close(private_lexical *opened) {
    exl__added_release(&exl__default_allocator, &opened->added);
    exl__release(&exl__default_allocator, opened->memory, opened->scratch_bytes, 1);
    exl__release(&exl__default_allocator, opened, 1, sizeof *opened);
}

/* exl__lexical_init, for queries of `most` rows; null where the section is malformed or there is no memory. bytes must
 * outlive it. */
EXL_API private_lexical *private_lexical_open(const uint8_t *bytes, size_t length, uint32_t rows, uint32_t most) {
    private_lexical *opened = exl__allocate(&exl__default_allocator, 1, sizeof *opened);
    exl__carver room = {NULL, 0};

    if (opened && exl__lexical_init(&opened->lexical, bytes, length, rows)) {
        exl__lexical_scratch_carve(&opened->lexical, most, &room, &opened->scratch);
        opened->scratch_bytes = room.used;
        opened->memory = room.base = exl__allocate_scratch(&exl__default_allocator, room.used, 1);
        room.used = 0;
        if (room.base) {
            exl__lexical_scratch_carve(&opened->lexical, most, &room, &opened->scratch);
            return opened;
        }
    }
    if (opened)
        private_lexical_close(opened);
    return NULL;
}

/* Puts added rows, text i up to ends[i], in the place of those there were; 0 where there is no memory. */
EXL_API int private_lexical_add(private_lexical *opened, const char *texts, const uint64_t *ends, uint32_t rows,
                                uint32_t first_row) {
    exl__added_text *split = exl__allocate(&exl__default_allocator, rows + 1ull, sizeof *split);
    int done = 0;

    exl__added_release(&exl__default_allocator, &opened->added);
    for (uint32_t i = 0; split && i < rows; i++) {
        uint64_t from = i ? ends[i - 1] : 0;
        split[i] = (exl__added_text){texts + from, (size_t)(ends[i] - from)};
    }
    if (split)
        done = exl__added_read(&exl__default_allocator, &opened->lexical, split, rows, first_row, &opened->added);
    exl__release(&exl__default_allocator, split, rows + 1ull, sizeof *split);
    return done;
}

/* dead: a bit for each row that is to be passed over, or null. */
EXL_API uint32_t private_lexical_query(private_lexical *opened, const char *text, size_t bytes, const uint64_t *dead,
                                       uint32_t *rows, float *scores) {
    exl__lexical_changes changes = {opened->added.rows > 0 ? &opened->added : NULL, dead};
    return exl__lexical_query(&opened->lexical, changes, text, bytes, &opened->scratch, rows, scores);
}

/* The last query's score of each of some rows. */
EXL_API void private_lexical_scores(const private_lexical *opened, const uint32_t *rows, size_t count, float *scores) {
    for (size_t i = 0; i < count; i++)
        scores[i] = exl__lexical_score(&opened->lexical, &opened->scratch, rows[i]);
}

EXL_API void private_lexical_features(const private_lexical *opened, float dense, float *out) {
    exl__lexical_features(&opened->scratch, dense, out);
}

/* ---- the native engine ---- */

typedef struct private_graph {
    exl__engine_state *state;
    exl__graph *graph;
    exl__tensor *weights;
    exl__tensor inputs[EXL__MAX_INPUTS], outputs[EXL__MAX_OUTPUTS];
    exl__graph_source source;
    void *scratch;
    uint64_t scratch_bytes;
    exl_error error; /* of the last call that failed */
} private_graph;

/* The plan's own inputs and outputs as those that a bundle would declare. 0: it is cut off, or names too many. */
static int declare_ports(exl__graph_source *source) {
    enum { HEAD_BYTES = 64, COUNTS = 6 };
    uint32_t head[COUNTS];

    if (source->length < HEAD_BYTES)
        return 0;
    memcpy(head, source->bytes, sizeof head); /* version, buffers, operations, weights, tokens, labels */
    if ((source->length - HEAD_BYTES) / sizeof(exl__plan_buffer) < head[1])
        return 0;
    source->max_tokens = head[4];
    source->max_labels = head[5];
    for (uint32_t i = 0; i < head[1]; i++) {
        exl__plan_buffer buffer;

        memcpy(&buffer, source->bytes + HEAD_BYTES + i * sizeof buffer, sizeof buffer);
        if (buffer.place == EXL__FROM_INPUT && source->input_count < EXL__MAX_INPUTS)
            source->inputs[source->input_count++] =
                (exl__port){.type = buffer.type, .number = buffer.index, .elements = buffer.elements};
        else if (buffer.place == EXL__TO_OUTPUT && buffer.index < EXL__MAX_OUTPUTS) {
            source->outputs[buffer.index] = (exl__port){.type = buffer.type, .elements = buffer.elements};
            if (source->output_count <= buffer.index)
                source->output_count = buffer.index + 1u;
        } else if (buffer.place == EXL__FROM_INPUT || buffer.place == EXL__TO_OUTPUT)
            return 0;
    }
    return 1;
}

EXL_API void private_graph_close(private_graph *opened) {
    exl__engine_native.close_graph(opened->state, opened->graph);
    exl__engine_native.close(opened->state);
    exl__release(&exl__default_allocator, opened->weights, opened->source.weight_count, sizeof *opened->weights);
    exl__release(&exl__default_allocator, opened->scratch, opened->scratch_bytes, 1);
    exl__release(&exl__default_allocator, opened, 1, sizeof *opened);
}

/* A plan section with its weights section, for the kernels of that name (null: the best). Both must outlive it, the
 * weights aligned to 64. Null where it is refused; error: [512], the sentence. */
EXL_API private_graph *private_graph_open(const uint8_t *plan, size_t plan_bytes, const uint8_t *weights,
                                          size_t weights_bytes, const char *kernels, char *error) {
    exl__section section = {weights, weights_bytes};
    private_graph *opened = exl__allocate(&exl__default_allocator, 1, sizeof *opened);
    exl_status status;

    if (!opened)
        return NULL;
    opened->error.struct_size = sizeof opened->error;
    opened->source = (exl__graph_source){.role = "plan", .bytes = plan, .length = plan_bytes};
    status = exl__weights_read(&exl__default_allocator, &section, "plan", &opened->weights,
                               &opened->source.weight_count, &opened->error);
    opened->source.weights = opened->weights;
    if (status == EXL_OK && !declare_ports(&opened->source))
        status = exl__fail(&opened->error, EXL_BUNDLE_MALFORMED, "the plan is cut off or has too many inputs");
    if (status == EXL_OK)
        status = exl__engine_native.open(&exl__default_allocator, NULL, 1, 0, &opened->state, &opened->error);
    if (status == EXL_OK && kernels && !exl__native_choose(opened->state, kernels))
        status = exl__fail(&opened->error, EXL_BAD_ARGUMENT, "this CPU has no %s", kernels);
    if (status == EXL_OK)
        status = exl__engine_native.open_graph(opened->state, &opened->source, &opened->graph, &opened->error);
    if (status == EXL_OK) {
        opened->scratch_bytes = exl__engine_native.scratch_bytes(opened->graph);
        opened->scratch = exl__allocate_scratch(&exl__default_allocator, opened->scratch_bytes, 1);
        if (!opened->scratch)
            status = exl__fail(&opened->error, EXL_OUT_OF_MEMORY, "no memory for a run");
    }
    memcpy(error, opened->error.sentence, sizeof opened->error.sentence);
    if (status == EXL_OK)
        return opened;
    private_graph_close(opened);
    return NULL;
}

EXL_API const char *private_graph_kernels(const private_graph *opened) { return exl__native_kernels(opened->state); }

EXL_API uint64_t private_graph_cleared_bytes(const private_graph *opened) {
    return exl__native_cleared_bytes(opened->graph);
}

/* One run. inputs in the order in which the plan names them, outputs in their own; sizes in bytes. Null, or why it
 * failed. */
EXL_API const char *private_graph_run(private_graph *opened, const void *const *inputs, const uint64_t *input_bytes,
                                      void *const *outputs, const uint64_t *output_bytes) {
    const exl__graph_source *source = &opened->source;

    for (size_t i = 0; i < source->input_count; i++)
        opened->inputs[i] = (exl__tensor){.data = inputs[i],
                                          .data_bytes = input_bytes[i],
                                          .number = source->inputs[i].number,
                                          .type = source->inputs[i].type};
    for (size_t i = 0; i < source->output_count; i++)
        opened->outputs[i] =
            (exl__tensor){.data = outputs[i], .data_bytes = output_bytes[i], .type = source->outputs[i].type};
    if (exl__engine_native.run(opened->graph, opened->inputs, source->input_count, opened->outputs,
                               source->output_count, opened->scratch, NULL, &opened->error) == EXL_OK)
        return NULL;
    return opened->error.sentence;
}
