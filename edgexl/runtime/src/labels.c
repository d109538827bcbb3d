/* labels.c: changes to the label set of an open bundle. The label file is live.c's to read. Overlays stay as they are:
 * a label of one is retired by its id, in the label file.
 *
 * A change is a list of operations. It is made ready outside of the lock (encoding takes long), then, with the file
 * locked: read what is there, check, append, commit. The append goes behind what is committed and the commit into the
 * older of two places, each on the disk before the next thing is written; so at any moment one commit is whole. */
#include "compiler.h"

#include <string.h>

#include "bytes.h"
#include "codes.h"
#include "lookup.h"
#include "memory.h"
#include "options.h"
#include "overlay.h"
#include "rescore.h"
#include "session.h"
#include "storage.h"

enum { LABELS_RETIRE_BYTES = EXL__OPERATION_BYTES };

/* ---- writing ------------------------------------------------------------------------------------------------- */

/* The label file after a change, in memory: what `before` (null: there is no file) has committed, the operations, and a
 * commit. It is read as any file is, so that once a change is on the disk nothing can fail any more. */
static exl_status labels_image_of(const exl_bundle *bundle, const exl__live *before, uint64_t generation,
                                  const uint8_t *operations, uint64_t bytes, exl__live **after, exl_error *error) {
    uint64_t from = before ? before->committed_bytes : EXL__LIVE_HEADER_BYTES;
    uint32_t commit = before ? 1 - before->commit : 0;
    uint8_t *file = exl__allocate(&bundle->allocator, from + bytes, 1);
    exl__sha256 hash;

    *after = NULL;
    if (!file)
        return exl__fail(error, EXL_OUT_OF_MEMORY, "no memory for the label file");
    exl__sha256_init(&hash);
    if (before) {
        memcpy(file, before->file, (size_t)from);
        hash = before->operations;
    } else
        exl__live_header(bundle, file);
    if (bytes > 0)
        memcpy(file + from, operations, (size_t)bytes);
    exl__sha256_update(&hash, file + from, (size_t)bytes);
    exl__live_commit(file, generation, from + bytes, hash, file + EXL__COMMIT_AT + (size_t)commit * EXL__COMMIT_BYTES);
    return exl__live_parse(bundle, file, from + bytes, after, error);
}

/* What the image has and the file before it had not: operations behind what is committed, then the other commit. */
static exl_status labels_append(const exl__live *before, const exl__live *image, int descriptor, exl_error *error) {
    uint64_t from = before->committed_bytes, commit = EXL__COMMIT_AT + (uint64_t)image->commit * EXL__COMMIT_BYTES;
    exl_status status =
        exl__descriptor_write(descriptor, from, image->file + from, (size_t)(image->file_bytes - from), error);

    if (status == EXL_OK)
        status = exl__descriptor_commit(descriptor, commit, image->file + commit, EXL__COMMIT_BYTES, error);
    return status;
}

/* Begins a call that changes the set; 0 where it cannot be changed so. */
static int labels_begin_change(const exl_bundle *bundle, int are_given, size_t count, exl_error *error) {
    if (!exl__begin(error, bundle && are_given))
        return 0;
    if (!bundle->live || !bundle->live->path) /* EXL_OPEN_COMPILED */
        exl__fail(error, EXL_BAD_ARGUMENT, "the bundle was opened without its label file");
    else if (count > INT32_MAX)
        exl__fail(error, EXL_BAD_ARGUMENT, "there would be too many labels");
    return bundle->live && bundle->live->path && count <= INT32_MAX;
}

/* The operations of a change, as far as they can be told before it is known what the file holds. */
typedef struct labels_change {
    uint8_t *operations;
    uint64_t bytes, capacity;
    const exl__text *ids; /* [count]: of the labels that it is about */
    uint32_t *found;      /* [count]: their labels */
    uint32_t count;
    int exact_ids;  /* nonzero: equivalent ids are others */
    uint32_t anew;  /* nonzero: these operations alone make up the file */
    uint32_t first; /* set when it is carried out: the number of the first label that is added */
    exl_status (*complete)(struct labels_change *change, const exl_bundle *bundle, const exl__live *live,
                           exl_error *error);
} labels_change;

/* Whether the change is in force, for everybody who reads the file. */
static int labels_change_is_in_force(exl_status status) { return status == EXL_OK || status == EXL_NOT_DURABLE; }

/* Puts the set after the change on the disk. */
static exl_status labels_put(const exl_bundle *bundle, const labels_change *change, const exl__live *before,
                             exl__live **after, exl_error *error) {
    const exl__live_store *store = bundle->live;
    const exl__live *there = exl__live_has_file(before) ? before : NULL;
    uint64_t generation = there ? there->newest_generation + 1 : 1;
    exl_status status = labels_image_of(bundle, change->anew ? NULL : there, generation, change->operations,
                                        change->bytes, after, error);

    if (status == EXL_OK && there && !change->anew)
        status = labels_append(before, *after, store->locked, error);
    else if (status == EXL_OK)
        status = exl__file_replace(store->path, store->locked, (*after)->file, (size_t)(*after)->file_bytes, error);
    if (!labels_change_is_in_force(status)) {
        exl__live_release(bundle, *after);
        *after = NULL;
    }
    return status;
}

/* A label file in whose place no other can be put: it is a mount point, or its directory may not be written. While it
 * is empty it can begin with a set of no changes, in one write, and grow as any other. */
static exl_status labels_begin_in_place(const exl_bundle *bundle, exl__live **empty, exl_error *error) {
    exl_status status = labels_image_of(bundle, NULL, 1, NULL, 0, empty, error);

    if (status == EXL_OK)
        status = exl__descriptor_write(bundle->live->locked, 0, (*empty)->file, (size_t)(*empty)->file_bytes, error);
    return status;
}

/* Carries a change out, with the file locked. The bundle's current set is then the changed one, where it is in force.
 */
static exl_status labels_carry_out(const exl_bundle *bundle, labels_change *change, exl_error *error) {
    exl__live_store *store = bundle->live;
    exl__live *before = NULL, *after = NULL, *empty = NULL;
    exl_status status;

    exl__mutex_lock(&store->changing);
    status = exl__descriptor_lock("the label file", store->path, &store->locked, error);
    if (status == EXL_OK)
        status = exl__live_read(bundle, store->locked, &before, error);
    if (status == EXL_OK && change->count > 0)
        status = exl__labels_find(bundle, before, change->ids, change->count, change->exact_ids, change->found, error);
    if (status == EXL_OK)
        status = change->complete(change, bundle, before, error);
    if (status == EXL_OK)
        status = labels_put(bundle, change, before, &after, error);
    if (status == EXL_FILE_UNWRITABLE && store->locked >= 0 && !exl__live_has_file(before) &&
        labels_begin_in_place(bundle, &empty, error) == EXL_OK) {
        (void)exl__begin(error, 1); /* what could not be put in its place is forgotten */
        status = labels_put(bundle, change, empty, &after, error);
    }
    if (labels_change_is_in_force(status))
        exl__live_publish(bundle, after);
    exl__live_release(bundle, empty);
    exl__live_release(bundle, before);
    exl__descriptor_unlock(store->locked);
    store->locked = -1;
    exl__mutex_unlock(&store->changing);
    return status;
}

static void labels_put_head(uint8_t *at, uint32_t kind, uint32_t bytes, uint32_t label, uint32_t string_bytes) {
    memset(at, 0, EXL__OPERATION_BYTES);
    exl__put32(at, kind);
    exl__put32(at + 4, bytes);
    exl__put32(at + 8, label);
    exl__put32(at + 16, string_bytes);
}

/* How the label file numbers a label of the bundle or of its own. */
static uint32_t labels_number_in_file(const exl_bundle *bundle, uint32_t label) {
    return label < bundle->parameters.labels ? label : label - exl__overlaid(bundle);
}

/* The operation that retires the label with an id from overlays; its bytes. at: null, to know these. */
static uint64_t labels_put_retire_overlaid(const char *id, uint32_t id_bytes, uint8_t *at) {
    uint64_t bytes = (EXL__OPERATION_BYTES + id_bytes + 1ull + 7) / 8 * 8;

    if (at) {
        labels_put_head(at, EXL__RETIRE_OVERLAID, (uint32_t)bytes, 0, id_bytes + 1);
        memset(at + EXL__OPERATION_BYTES, 0, (size_t)bytes - EXL__OPERATION_BYTES);
        memcpy(at + EXL__OPERATION_BYTES, id, id_bytes);
    }
    return bytes;
}

/* The operations that retire a label of the set; their bytes. One of the file may have the id of one of an overlay,
 * which would come back. */
static uint64_t labels_put_retire(const exl_bundle *bundle, const exl__live *live, uint32_t label, uint8_t *at) {
    uint32_t compiled = bundle->parameters.labels;
    const exl__live_label *one = label < compiled ? NULL : &live->labels[label - compiled];
    uint64_t bytes = 0;

    if (!one || label - compiled >= live->overlaid) {
        if (at)
            labels_put_head(at, EXL__RETIRE_LABEL, LABELS_RETIRE_BYTES, labels_number_in_file(bundle, label), 0);
        bytes = LABELS_RETIRE_BYTES;
    }
    if (one && exl__overlays_find(bundle->overlays, one->id, one->id_bytes) != EXL__NO_OVERLAID)
        bytes += labels_put_retire_overlaid(one->id, one->id_bytes, at ? at + bytes : NULL);
    return bytes;
}

/* ---- adding -------------------------------------------------------------------------------------------------- */

static exl_status labels_check_text(const char *what, const char *text, size_t bytes, size_t place, exl_error *error) {
    if (!text || bytes == 0 || bytes > EXL__LONGEST_STRING || memchr(text, 0, bytes))
        return exl__fail(error, EXL_BAD_ARGUMENT,
                         "the %s of new label %zu must have 1 to 65535 bytes, and none of them NUL", what, place);
    if (!exl__utf8_valid(text, bytes))
        return exl__fail(error, EXL_INVALID_UTF8, "the %s of new label %zu is not valid UTF-8", what, place);
    return EXL_OK;
}

static exl_status labels_check(const exl_new_label *label, size_t place, exl_error *error) {
    exl_status status = labels_check_text("id", label->id, label->id_bytes, place, error);

    if (status == EXL_OK)
        status = labels_check_text("text", label->text, label->text_bytes, place, error);
    if (status == EXL_OK && label->alias_count > 0 && (!label->aliases || !label->alias_bytes))
        return exl__fail(error, EXL_BAD_ARGUMENT, "the aliases of new label %zu are null", place);
    if (status == EXL_OK && label->alias_count > 0xffff)
        return exl__fail(error, EXL_BAD_ARGUMENT, "new label %zu has more than 65535 aliases", place);
    for (size_t i = 0; i < label->alias_count && status == EXL_OK; i++)
        status = labels_check_text("alias", label->aliases[i], label->alias_bytes[i], place, error);
    return status;
}

static uint64_t labels_string_bytes(const exl_new_label *label) {
    uint64_t bytes = label->id_bytes + label->text_bytes + 2ull;
    for (size_t i = 0; i < label->alias_count; i++)
        bytes += label->alias_bytes[i] + 1ull;
    return bytes; /* below 2^33 */
}

static uint64_t labels_add_bytes(const exl_bundle *bundle, const exl_new_label *label) {
    uint64_t rows = label->alias_count + 1ull;
    return (EXL__OPERATION_BYTES + rows * exl__live_row_bytes(bundle) + labels_string_bytes(label) + 7) / 8 * 8;
}

static uint8_t *labels_put_string(uint8_t *at, const char *text, size_t bytes) {
    memcpy(at, text, bytes);
    at[bytes] = 0;
    return at + bytes + 1;
}

/* The codes of one text, as the compiler makes them of its vector. fine_scratch: [5 * fine_dims]. */
static exl_status labels_encode_row(exl_session *s, const char *text, size_t bytes, float *fine_scratch,
                                    uint8_t *coarse, uint8_t *fine, exl_error *error) {
    const exl__parameters *p = &s->bundle->parameters;
    const float *codebook = (const float *)(const void *)s->bundle->sections[EXL__CODEBOOK].bytes;
    exl_status status = exl__encode_text(s, text, bytes, error);

    if (status != EXL_OK)
        return status;
    exl__encode_coarse(s->query_vector, codebook, p->subspaces, p->subspace_dims, coarse);
    exl__encode_fine(s->query_vector, p->fine_dims, p->fine_bits, p->subspaces * p->subspace_dims, p->fine_gain,
                     fine_scratch, fine);
    return EXL_OK;
}

/* Writes the operation that adds the label, but for its number. */
static exl_status labels_put_add(exl_session *s, const exl_new_label *label, float *fine_scratch, uint8_t *at,
                                 exl_error *error) {
    const exl__parameters *p = &s->bundle->parameters;
    uint32_t rows = (uint32_t)label->alias_count + 1, code_bytes = p->subspaces / 2;
    size_t stride = exl__fine_stride(p->fine_dims, p->fine_bits);
    uint8_t *coarse = at + EXL__OPERATION_BYTES, *fine = coarse + (size_t)rows * code_bytes;
    uint8_t *strings = fine + rows * stride;
    exl_status status = EXL_OK;

    exl__put32(at, EXL__ADD_LABEL);
    exl__put32(at + 4, (uint32_t)labels_add_bytes(s->bundle, label));
    exl__put32(at + 12, rows);
    exl__put32(at + 16, (uint32_t)labels_string_bytes(label));
    for (uint32_t row = 0; row < rows && status == EXL_OK; row++)
        status = labels_encode_row(s, row ? label->aliases[row - 1] : label->text,
                                   row ? label->alias_bytes[row - 1] : label->text_bytes, fine_scratch,
                                   coarse + (size_t)row * code_bytes, fine + row * stride, error);
    if (status == EXL_EMPTY_TEXT)
        exl__fail(error, status, "a text of the label %.*s holds no token", exl__quoted(label->id_bytes), label->id);
    strings = labels_put_string(strings, label->id, label->id_bytes);
    strings = labels_put_string(strings, label->text, label->text_bytes);
    for (size_t i = 0; i < label->alias_count; i++)
        strings = labels_put_string(strings, label->aliases[i], label->alias_bytes[i]);
    return status;
}

static exl_status labels_missing(const exl__text *id, exl_error *error) {
    return exl__fail(error, EXL_NO_SUCH_LABEL, "the label set has no label with the id %.*s", exl__quoted(id->bytes),
                     id->text);
}

/* Numbers the labels. No id may be in the set. */
static exl_status labels_complete_add(labels_change *change, const exl_bundle *bundle, const exl__live *live,
                                      exl_error *error) {
    uint32_t next = change->first = exl__live_end(bundle, live);
    uint8_t *at = change->operations;

    if ((uint64_t)next + change->count > INT32_MAX)
        return exl__fail(error, EXL_BAD_ARGUMENT, "there would be too many labels");
    for (uint32_t i = 0; i < change->count; i++) {
        if (change->found[i] != EXL__NO_LABEL)
            return exl__fail(error, EXL_LABEL_EXISTS, "the label set has a label with the id %.*s; replace it",
                             exl__quoted(change->ids[i].bytes), change->ids[i].text);
        exl__put32(at + 8, labels_number_in_file(bundle, next++));
        at += exl__get32(at + 4);
    }
    return EXL_OK;
}

/* The same of labels that replace others: each id must be in the set, and its label is retired right before. */
static exl_status labels_complete_replace(labels_change *change, const exl_bundle *bundle, const exl__live *live,
                                          exl_error *error) {
    uint64_t bytes = change->bytes;
    uint8_t *operations, *at;
    const uint8_t *from = change->operations;
    uint32_t next = change->first = exl__live_end(bundle, live);

    if ((uint64_t)next + change->count > INT32_MAX)
        return exl__fail(error, EXL_BAD_ARGUMENT, "there would be too many labels");
    for (uint32_t i = 0; i < change->count; i++) {
        if (change->found[i] == EXL__NO_LABEL)
            return labels_missing(&change->ids[i], error);
        bytes += labels_put_retire(bundle, live, change->found[i], NULL);
    }
    at = operations = exl__allocate(&bundle->allocator, bytes, 1);
    if (!operations)
        return exl__fail(error, EXL_OUT_OF_MEMORY, "no memory for the new labels");
    for (uint32_t i = 0; i < change->count; i++) {
        uint32_t add_bytes = exl__get32(from + 4);
        at += labels_put_retire(bundle, live, change->found[i], at);
        memcpy(at, from, add_bytes);
        exl__put32(at + 8, labels_number_in_file(bundle, next++));
        at += add_bytes;
        from += add_bytes;
    }
    exl__release(&bundle->allocator, change->operations, change->capacity, 1);
    change->operations = operations;
    change->bytes = change->capacity = bytes;
    return EXL_OK;
}

/* The caller's labels, whatever version of the header it has, as ours. */
static exl_status labels_take(const exl_new_label *labels, size_t place, exl_new_label *known, exl_error *error) {
    *known = (exl_new_label){0};
    if (exl__take_struct(known, sizeof *known, (const uint8_t *)labels + place * labels->struct_size, error) != EXL_OK)
        return EXL_BAD_ARGUMENT;
    return labels_check(known, place, error);
}

/* Everything that can be known before the file is locked: checks, and all operations. */
static exl_status labels_prepare_add(exl_session *s, const exl_new_label *labels, const exl_add_options *options,
                                     labels_change *change, exl__text *ids, exl_error *error) {
    const exl_allocator *allocator = &s->bundle->allocator;
    uint64_t scratch_count = 5ull * s->bundle->parameters.fine_dims;
    float *fine_scratch = NULL;
    exl_new_label label;
    exl_status status = EXL_OK;

    for (uint32_t i = 0; i < change->count && status == EXL_OK; i++) {
        status = labels_take(labels, i, &label, error);
        ids[i] = (exl__text){label.id, label.id_bytes};
        if (status == EXL_OK && labels_add_bytes(s->bundle, &label) > INT32_MAX)
            status = exl__fail(error, EXL_BAD_ARGUMENT, "the aliases of new label %u are too many", i);
        if (status == EXL_OK)
            change->capacity += labels_add_bytes(s->bundle, &label);
    }
    if (status != EXL_OK)
        return status;
    change->operations = exl__allocate(allocator, change->capacity, 1);
    fine_scratch = exl__allocate(allocator, scratch_count, sizeof *fine_scratch);
    if (!change->operations || !fine_scratch)
        status = exl__fail(error, EXL_OUT_OF_MEMORY, "no memory for the new labels");
    for (uint32_t i = 0; i < change->count && status == EXL_OK; i++) {
        (void)labels_take(labels, i, &label, error);
        status = labels_put_add(s, &label, fine_scratch, change->operations + change->bytes, error);
        change->bytes += labels_add_bytes(s->bundle, &label);
        if (options->progress && status == EXL_OK)
            options->progress(options->context, i + 1u, change->count);
    }
    exl__release(allocator, fine_scratch, scratch_count, sizeof *fine_scratch);
    return status;
}

exl_status exl_labels_add(exl_session *session, const exl_new_label *labels, size_t count,
                          const exl_add_options *options, uint32_t *first, exl_error *error) {
    exl_add_options known = {0};
    labels_change change = {.complete = labels_complete_add};
    const exl_allocator *allocator;
    exl__text *ids;
    exl_status status;

    if (!labels_begin_change(session ? session->bundle : NULL, labels || count == 0, count, error))
        return EXL_BAD_ARGUMENT;
    status = exl__take_struct(&known, sizeof known, options, error);
    if (status != EXL_OK || count == 0)
        return status;
    change.exact_ids = !known.replace;
    if (known.replace)
        change.complete = labels_complete_replace;
    allocator = &session->bundle->allocator;
    change.count = (uint32_t)count;
    change.ids = ids = exl__allocate(allocator, count, sizeof *ids);
    change.found = exl__allocate(allocator, count, sizeof *change.found);
    if (!ids || !change.found)
        status = exl__fail(error, EXL_OUT_OF_MEMORY, "no memory for the new labels");
    if (status == EXL_OK)
        status = labels_prepare_add(session, labels, &known, &change, ids, error);
    if (status == EXL_OK)
        status = labels_carry_out(session->bundle, &change, error);
    if (labels_change_is_in_force(status) && first)
        *first = change.first;
    exl__release(allocator, change.operations, change.capacity, 1);
    exl__release(allocator, change.found, count, sizeof *change.found);
    exl__release(allocator, ids, count, sizeof *ids);
    return status;
}

/* ---- retiring, compacting, refreshing ------------------------------------------------------------------------ */

static exl_status labels_complete_retire(labels_change *change, const exl_bundle *bundle, const exl__live *live,
                                         exl_error *error) {
    uint8_t *at;

    for (uint32_t i = 0; i < change->count; i++) {
        if (change->found[i] == EXL__NO_LABEL)
            return labels_missing(&change->ids[i], error);
        change->bytes += labels_put_retire(bundle, live, change->found[i], NULL);
    }
    change->capacity = change->bytes;
    at = change->operations = exl__allocate(&bundle->allocator, change->capacity, 1);
    if (!at)
        return exl__fail(error, EXL_OUT_OF_MEMORY, "no memory for the labels");
    for (uint32_t i = 0; i < change->count; i++)
        at += labels_put_retire(bundle, live, change->found[i], at);
    return EXL_OK;
}

static exl_status labels_retire(const exl_bundle *bundle, const char *const *ids, const size_t *id_bytes,
                                uint32_t count, exl_error *error) {
    const exl_allocator *allocator = &bundle->allocator;
    labels_change change = {.complete = labels_complete_retire, .count = count};
    exl__text *texts = exl__allocate(allocator, count, sizeof *texts);
    exl_status status = EXL_OK;

    change.ids = texts;
    change.found = exl__allocate(allocator, count, sizeof *change.found);
    if (!texts || !change.found)
        status = exl__fail(error, EXL_OUT_OF_MEMORY, "no memory for the labels");
    for (uint32_t i = 0; i < count && status == EXL_OK; i++) {
        if (!ids[i])
            status = exl__fail(error, EXL_BAD_ARGUMENT, "id %u is null", i);
        texts[i] = (exl__text){ids[i], id_bytes[i]};
    }
    if (status == EXL_OK)
        status = labels_carry_out(bundle, &change, error);
    exl__release(allocator, change.operations, change.capacity, 1);
    exl__release(allocator, change.found, count, sizeof *change.found);
    exl__release(allocator, texts, count, sizeof *texts);
    return status;
}

exl_status exl_labels_retire(exl_bundle *bundle, const char *const *ids, const size_t *id_bytes, size_t count,
                             exl_error *error) {
    if (!labels_begin_change(bundle, (ids && id_bytes) || count == 0, count, error))
        return EXL_BAD_ARGUMENT;
    return count > 0 ? labels_retire(bundle, ids, id_bytes, (uint32_t)count, error) : EXL_OK;
}

/* Whether the label of an overlay was retired in the file, and not merely is another's with its id. */
static int labels_is_retired_overlaid(const exl_bundle *bundle, const exl__live *live, uint32_t place) {
    const exl__live_label *one = &live->labels[place];

    if (one->row_count > 0 || bundle->overlays->all[place].row_count == 0)
        return 0;
    for (uint32_t i = live->overlaid; i < live->added; i++)
        if (live->labels[i].row_count > 0 && live->labels[i].id_bytes == one->id_bytes &&
            memcmp(live->labels[i].id, one->id, one->id_bytes) == 0)
            return 0;
    return 1;
}

/* The ids of change.ids, whatever overlays there are. */
static exl_status labels_complete_retire_overlaid(labels_change *change, const exl_bundle *bundle,
                                                  const exl__live *live, exl_error *error) {
    (void)live;
    for (uint32_t i = 0; i < change->count; i++)
        change->capacity += labels_put_retire_overlaid(change->ids[i].text, (uint32_t)change->ids[i].bytes, NULL);
    change->operations = exl__allocate(&bundle->allocator, change->capacity, 1);
    if (!change->operations)
        return exl__fail(error, EXL_OUT_OF_MEMORY, "no memory for the labels");
    for (uint32_t i = 0; i < change->count; i++)
        change->bytes += labels_put_retire_overlaid(change->ids[i].text, (uint32_t)change->ids[i].bytes,
                                                    change->operations + change->bytes);
    return EXL_OK;
}

exl_status exl__labels_retire_overlaid(const exl_bundle *bundle, const exl__text *ids, uint32_t count,
                                       exl_error *error) {
    labels_change change = {.complete = labels_complete_retire_overlaid, .count = count, .ids = ids};
    exl_status status;

    change.found = exl__allocate(&bundle->allocator, count, sizeof *change.found);
    status = change.found ? labels_carry_out(bundle, &change, error)
                          : exl__fail(error, EXL_OUT_OF_MEMORY, "no memory for the labels");
    exl__release(&bundle->allocator, change.operations, change.capacity, 1);
    exl__release(&bundle->allocator, change.found, count, sizeof *change.found);
    return status;
}

/* What remains of a set, as one change of an empty one: first who of the bundle and of overlays is retired, then who is
 * added. */
static uint64_t labels_remaining(const exl_bundle *bundle, const exl__live *live, uint8_t *to) {
    uint32_t compiled = bundle->parameters.labels, number = compiled;
    uint64_t bytes = 0;

    for (uint32_t label = 0; live->file_dead && label < compiled; label++)
        if (live->file_dead[label / 64] >> label % 64 & 1)
            bytes += labels_put_retire(bundle, live, label, to ? to + bytes : NULL);
    for (uint32_t i = 0; i < live->overlaid; i++)
        if (labels_is_retired_overlaid(bundle, live, i))
            bytes += labels_put_retire_overlaid(live->labels[i].id, live->labels[i].id_bytes, to ? to + bytes : NULL);
    for (uint32_t i = live->overlaid; i < live->added; i++) {
        const uint8_t *operation = live->labels[i].operation;
        uint32_t operation_bytes = exl__get32(operation + 4);
        if (live->labels[i].row_count == 0)
            continue;
        if (to) {
            memcpy(to + bytes, operation, operation_bytes);
            exl__put32(to + bytes + 8, number++);
        }
        bytes += operation_bytes;
    }
    return bytes;
}

static exl_status labels_complete_compact(labels_change *change, const exl_bundle *bundle, const exl__live *live,
                                          exl_error *error) {
    if (!live)
        return EXL_OK;
    change->bytes = change->capacity = labels_remaining(bundle, live, NULL);
    if (change->bytes == 0)
        return EXL_OK;
    change->operations = exl__allocate(&bundle->allocator, change->capacity, 1);
    if (!change->operations)
        return exl__fail(error, EXL_OUT_OF_MEMORY, "no memory for the label file");
    (void)labels_remaining(bundle, live, change->operations);
    return EXL_OK;
}

exl_status exl_labels_compact(exl_bundle *bundle, exl_error *error) {
    labels_change change = {.complete = labels_complete_compact, .anew = 1};
    exl_status status;

    if (!labels_begin_change(bundle, 1, 0, error))
        return EXL_BAD_ARGUMENT;
    status = labels_carry_out(bundle, &change, error);
    exl__release(&bundle->allocator, change.operations, change.capacity, 1);
    return status;
}

/* Whether the file begins as it did when the current set was read: every change writes one of its commits. */
static int labels_is_current(const exl__live *live, const uint8_t head[EXL__LIVE_HEADER_BYTES], size_t bytes) {
    if (!exl__live_has_file(live))
        return bytes == 0;
    return bytes == EXL__LIVE_HEADER_BYTES && memcmp(live->file, head, bytes) == 0;
}

exl_status exl_labels_refresh(exl_bundle *bundle, exl_error *error) {
    uint8_t head[EXL__LIVE_HEADER_BYTES];
    exl__live *live = NULL;
    size_t bytes = 0;
    exl_status status;

    if (!labels_begin_change(bundle, 1, 0, error))
        return EXL_BAD_ARGUMENT;
    exl__mutex_lock(&bundle->live->changing); /* so that nothing newer is published between reading and publishing */
    status = exl__file_peek(bundle->live->path, head, sizeof head, &bytes, error);
    if (status == EXL_OK && !labels_is_current(bundle->live->current, head, bytes)) {
        status = exl__live_load(bundle, &live, error);
        if (status == EXL_OK)
            exl__live_publish(bundle, live);
    }
    exl__mutex_unlock(&bundle->live->changing);
    return status;
}
