/* live.c: reads label files, as docs/format.md, "Label file", has them, over the labels of overlays.
 *
 * A label file is read as hostile input: whole, into memory of our own, so that nothing changes behind a check; every
 * size is held against what remains, in 64 bits. Codes may be any bytes. */
#include "compiler.h"

#include "live.h"

#include <string.h>

#include "bundle.h"
#include "bytes.h"
#include "checked.h"
#include "memory.h"
#include "overlay.h"
#include "rescore.h"
#include "storage.h"

enum { LIVE_MAJOR = 1, LIVE_MINOR = 0, LIVE_CHECK_BYTES = 16, LIVE_COMMIT_CHECK_AT = 48 };

static const uint8_t LIVE_MAGIC[8] = {0x89, 'E', 'L', 'B', '\r', '\n', 0x1a, '\n'};

uint64_t exl__live_row_bytes(const exl_bundle *bundle) {
    const exl__parameters *p = &bundle->parameters;
    return p->subspaces / 2 + (uint64_t)exl__fine_stride(p->fine_dims, p->fine_bits);
}

uint32_t exl__live_end(const exl_bundle *bundle, const exl__live *live) {
    return bundle->parameters.labels + (live ? live->added : 0);
}

static int live_has_bit(const uint64_t *bits, uint32_t place) { return bits && bits[place / 64] >> place % 64 & 1; }

static int live_is_dead(const exl__live *live, uint32_t row) { return live_has_bit(live->dead, row); }

int exl__live_has_file(const exl__live *live) { return live && live->file; }

int exl__live_is_retired(const exl_bundle *bundle, const exl__live *live, uint32_t label) {
    uint32_t labels = bundle->parameters.labels;
    if (!live)
        return 0;
    return label < labels ? live_is_dead(live, label) : live->labels[label - labels].row_count == 0;
}

/* ---- header and commits -------------------------------------------------------------------------------------- */

static const uint8_t *live_identity(const exl_bundle *bundle) {
    return bundle->identity; /* a signature that is added, changed or taken away leaves the labels as they are */
}

void exl__live_header(const exl_bundle *bundle, uint8_t header[EXL__COMMIT_AT]) {
    const exl__parameters *p = &bundle->parameters;
    memset(header, 0, EXL__COMMIT_AT);
    memcpy(header, LIVE_MAGIC, sizeof LIVE_MAGIC);
    header[8] = LIVE_MAJOR;
    header[10] = LIVE_MINOR;
    exl__put32(header + 12, p->labels);
    exl__put32(header + 16, p->subspaces / 2);
    exl__put32(header + 20, (uint32_t)exl__fine_stride(p->fine_dims, p->fine_bits));
    memcpy(header + 32, live_identity(bundle), 32);
    memcpy(header + 64, p->label_set_sha256, 32);
    exl__sha256_of(header, 96, header + 96);
}

static void live_commit_check(const uint8_t *header, const uint8_t *commit, uint8_t digest[32]) {
    exl__sha256 hash;
    exl__sha256_init(&hash);
    exl__sha256_update(&hash, header, EXL__COMMIT_AT);
    exl__sha256_update(&hash, commit, LIVE_COMMIT_CHECK_AT);
    exl__sha256_final(&hash, digest);
}

void exl__live_commit(const uint8_t header[EXL__COMMIT_AT], uint64_t generation, uint64_t committed_bytes,
                      exl__sha256 operations, uint8_t commit[EXL__COMMIT_BYTES]) {
    uint8_t digest[32];
    exl__put64(commit, generation);
    exl__put64(commit + 8, committed_bytes);
    exl__sha256_final(&operations, commit + 16);
    live_commit_check(header, commit, digest);
    memcpy(commit + LIVE_COMMIT_CHECK_AT, digest, LIVE_CHECK_BYTES);
}

static exl_status live_check_header(const exl_bundle *bundle, const exl__live *live, exl_error *error) {
    uint8_t expected[EXL__COMMIT_AT], digest[32];

    if (live->file_bytes < sizeof LIVE_MAGIC || memcmp(live->file, LIVE_MAGIC, sizeof LIVE_MAGIC) != 0)
        return exl__fail(error, EXL_LABELS_MALFORMED, "the label file does not begin as one does");
    if (live->file_bytes < EXL__LIVE_HEADER_BYTES)
        return exl__fail(error, EXL_LABELS_MALFORMED, "the label file ends inside its header: copy it again");
    if (exl__get16(live->file + 8) > LIVE_MAJOR)
        return exl__fail(error, EXL_VERSION_TOO_NEW,
                         "the label file has format %u, this library reads up to %d: update it",
                         exl__get16(live->file + 8), LIVE_MAJOR);
    exl__sha256_of(live->file, 96, digest);
    if (!exl__is_hash(digest, live->file + 96, sizeof digest))
        return exl__fail(error, EXL_LABELS_MALFORMED, "the label file's header is damaged: copy it again");
    exl__live_header(bundle, expected);
    expected[10] = live->file[10]; /* a larger minor version keeps all meanings */
    expected[11] = live->file[11];
    if (memcmp(expected, live->file, 96) != 0)
        return exl__fail(
            error, EXL_LABELS_OF_ANOTHER_BUNDLE,
            "the label file was made for another bundle, or an earlier compile of this one: list its labels with that, "
            "remove the file, and add and retire them again");
    return EXL_OK;
}

/* Whether a commit is one that was written to its end. */
static int live_is_whole(const uint8_t *header, uint32_t which) {
    const uint8_t *commit = header + EXL__COMMIT_AT + which * EXL__COMMIT_BYTES;
    uint8_t digest[32];

    live_commit_check(header, commit, digest);
    return exl__is_hash(digest, commit + LIVE_COMMIT_CHECK_AT, LIVE_CHECK_BYTES);
}

/* Whether a commit is whole, and all that it promises there; then `live` has its numbers. */
static int live_take_commit(exl__live *live, uint32_t which) {
    const uint8_t *commit = live->file + EXL__COMMIT_AT + which * EXL__COMMIT_BYTES;
    uint64_t generation = exl__get64(commit), end = exl__get64(commit + 8);
    uint8_t digest[32];
    exl__sha256 hash, finished;

    if (!live_is_whole(live->file, which))
        return 0;
    if (generation > live->newest_generation)
        live->newest_generation = generation;
    if (generation <= live->generation || end < EXL__LIVE_HEADER_BYTES || end > live->file_bytes || end % 8 != 0)
        return 0;
    exl__sha256_init(&hash);
    exl__sha256_update(&hash, live->file + EXL__LIVE_HEADER_BYTES, (size_t)(end - EXL__LIVE_HEADER_BYTES));
    finished = hash;
    exl__sha256_final(&finished, digest);
    if (!exl__is_hash(digest, commit + 16, sizeof digest))
        return 0;
    live->commit = which;
    live->generation = generation;
    live->committed_bytes = end;
    live->operations = hash;
    return 1;
}

/* The newest commit that holds. An append that was cut off left the one before it. */
static exl_status live_choose_commit(exl__live *live, exl_error *error) {
    int first = live_take_commit(live, 0), second = live_take_commit(live, 1);
    if (first || second)
        return EXL_OK;
    return exl__fail(error, EXL_LABELS_MALFORMED,
                     "the label file is damaged: it does not hold what it has committed. Copy it again");
}

/* ---- operations ---------------------------------------------------------------------------------------------- */

/* One string of the list at *at, with its NUL. Null where it is empty, too long, or not ended before `end`. */
static const char *live_take_string(const char **at, const char *end, uint32_t *bytes) {
    const char *string = *at, *nul = string < end ? memchr(string, 0, (size_t)(end - string)) : NULL;
    if (!nul || nul == string || nul - string > EXL__LONGEST_STRING)
        return NULL;
    *bytes = (uint32_t)(nul - string);
    *at = nul + 1;
    return string;
}

static int live_take_strings(exl__live_operation *op, const char *at, uint32_t string_bytes) {
    const char *end = at + string_bytes;
    uint32_t ignored;
    if (!exl__utf8_valid(at, string_bytes))
        return 0;
    op->id = live_take_string(&at, end, &op->id_bytes);
    if (op->kind == EXL__RETIRE_OVERLAID)
        return op->id && at == end;
    op->text = op->id ? live_take_string(&at, end, &op->text_bytes) : NULL;
    if (!op->text)
        return 0;
    for (uint32_t alias = 1; alias < op->rows; alias++)
        if (!live_take_string(&at, end, &ignored))
            return 0;
    return at == end;
}

int exl__live_take_operation(const exl_bundle *bundle, const uint8_t *file, uint64_t end, uint64_t *at,
                             exl__live_operation *op) {
    uint64_t left = end - *at, used, bytes;
    uint32_t string_bytes;
    int is_sound;

    if (left < EXL__OPERATION_BYTES)
        return 0;
    op->bytes = file + *at;
    op->kind = exl__get32(op->bytes);
    bytes = exl__get32(op->bytes + 4);
    op->label = exl__get32(op->bytes + 8);
    op->rows = exl__get32(op->bytes + 12);
    string_bytes = exl__get32(op->bytes + 16);
    used = exl__plus(EXL__OPERATION_BYTES + (uint64_t)string_bytes, exl__times(op->rows, exl__live_row_bytes(bundle)));
    if (exl__get32(op->bytes + 20) != 0 || bytes > left || bytes != exl__round_up(used, 8) ||
        !exl__all_zero(op->bytes + used, bytes - used))
        return 0;
    if (op->kind == EXL__RETIRE_LABEL)
        is_sound = op->rows == 0 && string_bytes == 0;
    else if (op->kind == EXL__ADD_LABEL || op->kind == EXL__RETIRE_OVERLAID)
        is_sound = (op->kind == EXL__ADD_LABEL ? op->rows > 0 : op->rows == 0 && op->label == 0) &&
                   live_take_strings(op, (const char *)op->bytes + (used - string_bytes), string_bytes);
    else
        is_sound = 0;
    *at += is_sound ? bytes : 0;
    return is_sound;
}

exl__live_label exl__live_label_of(const exl__live_operation *op) {
    return (exl__live_label){.operation = op->bytes,
                             .id = op->id,
                             .text = op->text,
                             .id_bytes = op->id_bytes,
                             .text_bytes = op->text_bytes,
                             .row_count = op->rows};
}

/* The operation of the set's file at *at, from 0 on; 0 behind the last, or where it is malformed. */
static int live_next_operation(const exl_bundle *bundle, const exl__live *live, uint64_t *at, exl__live_operation *op) {
    if (*at == 0)
        *at = EXL__LIVE_HEADER_BYTES;
    return *at < live->committed_bytes && exl__live_take_operation(bundle, live->file, live->committed_bytes, at, op);
}

const char *exl__live_next_retired(const exl_bundle *bundle, const exl__live *live, uint64_t *at, uint32_t *bytes) {
    exl__live_operation op;

    while (live_next_operation(bundle, live, at, &op))
        if (op.kind == EXL__RETIRE_OVERLAID)
            return *bytes = op.id_bytes, op.id;
    return NULL;
}

static exl_status live_malformed(uint64_t at, exl_error *error) {
    return exl__fail(error, EXL_LABELS_MALFORMED, "the label file breaks the format's rules at byte %llu",
                     (unsigned long long)at);
}

/* Counts what the arrays must hold; rows of labels that are retired later are counted too. */
static exl_status live_count_operations(const exl_bundle *bundle, exl__live *live, exl_error *error) {
    uint64_t rows = bundle->overlays ? bundle->overlays->rows : 0, at = 0;
    exl__live_operation op;

    live->added = live->overlaid = exl__overlaid(bundle);
    while (live_next_operation(bundle, live, &at, &op)) {
        live->added += op.kind == EXL__ADD_LABEL;
        live->retired_compiled += op.kind == EXL__RETIRE_LABEL && op.label < bundle->parameters.labels;
        rows += op.rows;
        if (bundle->parameters.rows + rows > INT32_MAX)
            return live_malformed(at, error);
    }
    if (at != live->committed_bytes)
        return live_malformed(at, error);
    live->rows = (uint32_t)rows;
    return EXL_OK;
}

/* ---- arrays -------------------------------------------------------------------------------------------------- */

static uint64_t live_blocks_of(uint64_t rows) { return exl__round_up(rows, EXL__SCAN_BLOCK) / EXL__SCAN_BLOCK; }

/* In words of 64 bits, a bit a row, in whole blocks. */
static uint64_t live_words_of(const exl_bundle *bundle) {
    return live_blocks_of(bundle->parameters.rows) * (EXL__SCAN_BLOCK / 64);
}

static uint64_t *live_carve_rows(const exl_bundle *bundle, int are_wanted, exl__carver *from) {
    return are_wanted ? exl__carve(from, live_words_of(bundle), sizeof(uint64_t)) : NULL;
}

/* Whether overlays take the place of labels of the bundle. */
static int live_hides(const exl_bundle *bundle) { return bundle->overlays && bundle->overlays->hidden_count > 0; }

static void live_carve_arrays(const exl_bundle *bundle, exl__live *live, exl__carver *from) {
    const exl__parameters *p = &bundle->parameters;
    live->labels = exl__carve(from, live->added, sizeof *live->labels);
    live->row_labels = exl__carve(from, live->rows, sizeof *live->row_labels);
    live->coarse = exl__carve(from, live_blocks_of(live->rows) * EXL__SCAN_BLOCK, p->subspaces / 2);
    live->fine = exl__carve(from, live->rows, exl__fine_stride(p->fine_dims, p->fine_bits));
    live->dead = live_carve_rows(bundle, live->retired_compiled > 0 || live_hides(bundle), from);
    live->dead_places = live->dead;
    if (bundle->cells.count > 0)
        live->dead_places = live_carve_rows(bundle, live->retired_compiled > 0 || live_hides(bundle), from);
    live->file_dead = live->retired_compiled > 0 ? live->dead : NULL;
    if (live_hides(bundle))
        live->file_dead = live_carve_rows(bundle, live->retired_compiled > 0, from);
}

/* One label of the file more. Its number is told apart from those of overlays. */
static int live_add(const exl_bundle *bundle, exl__live *live, const exl__live_operation *op, uint32_t *added) {
    if (op->label != bundle->parameters.labels + *added)
        return 0;
    live->labels[live->overlaid + (*added)++] = exl__live_label_of(op);
    return 1;
}

/* The label of the bundle or of the file with this number, which must not be retired yet. */
static int live_retire(const exl_bundle *bundle, exl__live *live, uint32_t label, uint32_t added) {
    uint32_t compiled = bundle->parameters.labels;

    if (label < compiled) {
        if (live_has_bit(live->file_dead, label))
            return 0;
        live->file_dead[label / 64] |= (uint64_t)1 << label % 64;
        return 1;
    }
    if (label >= compiled + added || live->labels[live->overlaid + label - compiled].row_count == 0)
        return 0;
    live->labels[live->overlaid + label - compiled].row_count = 0;
    live->retired_added++;
    return 1;
}

static void live_retire_overlaid(const exl_bundle *bundle, exl__live *live, const char *id, uint32_t bytes) {
    uint32_t place = exl__overlays_find(bundle->overlays, id, bytes);

    if (place != EXL__NO_OVERLAID)
        live->labels[place].row_count = 0;
}

/* What overlays and file are to each other: the file's labels count before those of overlays with the same ids, and
 * these before the bundle's. */
static void live_settle(const exl_bundle *bundle, exl__live *live) {
    const exl__overlays *overlays = bundle->overlays;

    if (!overlays)
        return;
    for (uint32_t i = live->overlaid; i < live->added; i++)
        if (live->labels[i].row_count > 0)
            live_retire_overlaid(bundle, live, live->labels[i].id, live->labels[i].id_bytes);
    for (uint32_t i = 0; i < live->overlaid; i++)
        live->retired_overlaid += live->labels[i].row_count == 0;
    if (live->file_dead && overlays->hidden_count > 0)
        memcpy(live->dead, live->file_dead, live_words_of(bundle) * sizeof *live->dead);
    for (uint32_t i = 0; i < overlays->hidden_count; i++) {
        uint32_t label = overlays->hidden[i];
        live->retired_compiled += !live_is_dead(live, label);
        live->dead[label / 64] |= (uint64_t)1 << label % 64;
    }
}

/* Who is added and who retired, in order. A label has its rows' number until it is retired. */
static exl_status live_apply_operations(const exl_bundle *bundle, exl__live *live, exl_error *error) {
    uint32_t added = 0;
    uint64_t at = 0, from = EXL__LIVE_HEADER_BYTES;
    exl__live_operation op;

    if (live->overlaid > 0)
        memcpy(live->labels, bundle->overlays->all, live->overlaid * sizeof *live->labels);
    for (; live_next_operation(bundle, live, &at, &op);
         from = at) { /* all of which were counted: they are well formed */
        int is_sound = 1;
        if (op.kind == EXL__ADD_LABEL)
            is_sound = live_add(bundle, live, &op, &added);
        else if (op.kind == EXL__RETIRE_LABEL)
            is_sound = live_retire(bundle, live, op.label, added);
        else
            live_retire_overlaid(bundle, live, op.id, op.id_bytes);
        if (!is_sound)
            return live_malformed(from, error);
    }
    live_settle(bundle, live);
    return EXL_OK;
}

/* The rows of the labels that are left, one behind the other, coarse codes interleaved as in a bundle. */
static void live_place_rows(const exl_bundle *bundle, exl__live *live) {
    uint32_t code_bytes = bundle->parameters.subspaces / 2, row = 0;
    size_t stride = exl__fine_stride(bundle->parameters.fine_dims, bundle->parameters.fine_bits);

    for (uint32_t label = 0; label < live->added; label++) {
        exl__live_label *one = &live->labels[label];
        const uint8_t *coarse = one->operation + EXL__OPERATION_BYTES;
        const uint8_t *fine = coarse + (size_t)one->row_count * code_bytes;

        one->first_row = row;
        live->has_aliases |= one->row_count > 1;
        for (uint32_t i = 0; i < one->row_count; i++, row++) {
            uint8_t *block = live->coarse + (size_t)(row / EXL__SCAN_BLOCK) * EXL__SCAN_BLOCK * code_bytes;
            for (uint32_t b = 0; b < code_bytes; b++)
                block[(size_t)b * EXL__SCAN_BLOCK + row % EXL__SCAN_BLOCK] = coarse[(size_t)i * code_bytes + b];
            memcpy(live->fine + row * stride, fine + i * stride, stride);
            live->row_labels[row] = label;
        }
    }
    live->rows = row;
}

/* An alias row is dead when all of its labels are. */
static void live_bury_aliases(const exl_bundle *bundle, exl__live *live) {
    const exl__parameters *p = &bundle->parameters;

    for (uint32_t row = p->labels; live->dead && row < p->rows; row++) {
        uint32_t count;
        const uint32_t *labels = exl__row_labels(bundle, &row, &count);
        uint64_t dead = 1;
        for (uint32_t i = 0; i < count; i++)
            dead &= (uint64_t)live_is_dead(live, labels[i]);
        live->dead[row / 64] |= dead << row % 64;
    }
}

/* The coarse codes lie in the order of the cells. A row that is not there is met, and told, by a query. */
static void live_bury_places(const exl_bundle *bundle, exl__live *live) {
    const exl__cells *cells = &bundle->cells;
    uint32_t rows = bundle->parameters.rows;

    for (uint32_t place = 0; live->dead_places != live->dead && place < rows; place++)
        if (cells->rows[place] < rows && live_is_dead(live, cells->rows[place]))
            live->dead_places[place / 64] |= (uint64_t)1 << place % 64;
}

/* The words of the rows, where the bundle has a lexical side. */
static exl_status live_read_words(const exl_bundle *bundle, exl__live *live, exl_error *error) {
    const exl_allocator *allocator = &bundle->allocator;
    uint32_t rows = live->rows, row = 0;
    exl__added_text *texts;
    int done;

    if (bundle->parameters.lexical_candidates == 0 || rows == 0)
        return EXL_OK;
    texts = exl__allocate(allocator, rows, sizeof *texts);
    for (uint32_t label = 0; texts && label < live->added; label++) {
        const char *at = live->labels[label].text; /* the aliases stand behind it */
        for (uint32_t i = 0; i < live->labels[label].row_count; i++, row++) {
            texts[row] = (exl__added_text){at, strlen(at)};
            at += texts[row].bytes + 1;
        }
    }
    done = texts && exl__added_read(allocator, &bundle->lexical, texts, rows, bundle->parameters.rows, &live->words);
    exl__release(allocator, texts, rows, sizeof *texts);
    return done ? EXL_OK : exl__fail(error, EXL_OUT_OF_MEMORY, "no memory for the words of the label file");
}

static exl_status live_read_set(const exl_bundle *bundle, exl__live *live, exl_error *error) {
    exl__carver from = {NULL, 0};
    exl_status status = live->file ? live_check_header(bundle, live, error) : EXL_OK;

    live->committed_bytes = EXL__LIVE_HEADER_BYTES;
    if (status == EXL_OK && live->file)
        status = live_choose_commit(live, error);
    if (status == EXL_OK)
        status = live_count_operations(bundle, live, error);
    if (status != EXL_OK)
        return status;
    live_carve_arrays(bundle, live, &from);
    live->memory_bytes = from.used;
    if (from.used > 0 && !(live->memory = exl__allocate(&bundle->allocator, from.used, 1)))
        return exl__fail(error, EXL_OUT_OF_MEMORY, "no memory for the labels of the label file");
    from = (exl__carver){live->memory, 0};
    if (live->memory)
        live_carve_arrays(bundle, live, &from);
    status = live_apply_operations(bundle, live, error);
    if (status != EXL_OK)
        return status;
    live_place_rows(bundle, live);
    live_bury_aliases(bundle, live);
    live_bury_places(bundle, live);
    return live_read_words(bundle, live, error);
}

exl_status exl__live_parse(const exl_bundle *bundle, uint8_t *file, uint64_t file_bytes, exl__live **out,
                           exl_error *error) {
    exl__live *live = exl__allocate(&bundle->allocator, 1, sizeof *live);
    exl_status status;

    *out = NULL;
    if (!live) {
        exl__release(&bundle->allocator, file, file_bytes, 1);
        return exl__fail(error, EXL_OUT_OF_MEMORY, "no memory for the label file");
    }
    live->file = file;
    live->file_bytes = file_bytes;
    status = live_read_set(bundle, live, error);
    if (status == EXL_OK)
        *out = live;
    else
        exl__live_release(bundle, live);
    return status;
}

/* How much of a file is needed: to the end of what its commits promise, or the head alone where it is no label file. */
static uint64_t live_wanted(const uint8_t *head, size_t bytes) {
    uint64_t most = bytes;

    if (bytes < EXL__LIVE_HEADER_BYTES || memcmp(head, LIVE_MAGIC, sizeof LIVE_MAGIC) != 0)
        return most;
    for (uint32_t which = 0; which < 2; which++) {
        uint64_t end = exl__get64(head + EXL__COMMIT_AT + which * EXL__COMMIT_BYTES + 8);
        if (live_is_whole(head, which) && end > most)
            most = end;
    }
    return most;
}

exl_status exl__live_read(const exl_bundle *bundle, int descriptor, exl__live **live, exl_error *error) {
    uint8_t *file = NULL;
    uint64_t file_bytes = 0;
    exl_status status = exl__descriptor_read(&bundle->allocator, descriptor, EXL__LIVE_HEADER_BYTES, live_wanted, &file,
                                             &file_bytes, error);

    *live = NULL;
    if (status != EXL_OK)
        exl__release(&bundle->allocator, file, file_bytes, 1);
    else if (file_bytes > 0 || bundle->overlays)
        status = exl__live_parse(bundle, file, file_bytes, live, error);
    return status;
}

static exl_status live_load_from(const exl_bundle *bundle, const char *path, exl__live **live, exl_error *error) {
    int descriptor = -1;
    exl_status status = path ? exl__descriptor_open(path, &descriptor, error) : EXL_OK;

    *live = NULL;
    if (status == EXL_OK && descriptor >= 0)
        status = exl__live_read(bundle, descriptor, live, error);
    else if (status == EXL_OK && bundle->overlays)
        status = exl__live_parse(bundle, NULL, 0, live, error);
    exl__descriptor_close(descriptor);
    return status;
}

exl_status exl__live_load(const exl_bundle *bundle, exl__live **live, exl_error *error) {
    const exl__live_store *store = bundle->live;
    exl_status status = live_load_from(bundle, store->path, live, error);
    char next[EXL__PATH_BYTES];

    if (status != EXL_LABELS_OF_ANOTHER_BUNDLE || store->path_bytes + sizeof EXL__NEXT_LABELS > sizeof next)
        return status;
    /* an update that was killed between both renames has left it under its first name */
    memcpy(next, store->path, (size_t)store->path_bytes - 1);
    memcpy(next + store->path_bytes - 1, EXL__NEXT_LABELS, sizeof EXL__NEXT_LABELS);
    if (live_load_from(bundle, next, live, NULL) != EXL_OK || !exl__live_has_file(*live)) {
        exl__live_release(bundle, *live);
        *live = NULL;
        return status;
    }
    (void)exl__begin(error, 1);
    (void)exl__file_move(next, store->path);
    return EXL_OK;
}

void exl__live_release(const exl_bundle *bundle, exl__live *live) {
    if (!live)
        return;
    exl__added_release(&bundle->allocator, &live->words);
    exl__release(&bundle->allocator, live->memory, live->memory_bytes, 1);
    exl__release(&bundle->allocator, live->file, live->file_bytes, 1);
    exl__release(&bundle->allocator, live, 1, sizeof *live);
}
