/* update.c: a bundle file and a patch become the new bundle, in the old one's place, with the labels that were added
 * and retired on the device.
 *
 * Steps, each of which leaves the old bundle as it is until the last but one: write the new bundle beside it; open that
 * and let it reproduce its goldens; write a label file for it beside the old one's; rename the bundle; rename the label
 * file. Who dies between the last two leaves a label file whose name ends in .next, which live.c looks for. */
#include "compiler.h"

#include <string.h>

#include "bundle.h"
#include "lookup.h"
#include "memory.h"
#include "options.h"
#include "patch.h"
#include "storage.h"

static exl_status update_check_options(const exl_patch_options *given, exl_patch_options *known, exl_open_options *open,
                                       exl_error *error) {
    exl_status status = exl__take_struct(known, sizeof *known, given, error);

    if (status == EXL_OK)
        status = exl__take_struct(open, sizeof *open, known->open, error);
    if (status != EXL_OK)
        return status;
    exl__trust_as_built(open);
    if (!known->signature != !known->signature_bytes)
        return exl__fail(error, EXL_BAD_ARGUMENT, "the patch's signature needs its length, and this needs it");
    if (known->signed_patch > 1 || known->reserved)
        return exl__fail(error, EXL_BAD_ARGUMENT, "signed_patch is 0 or 1, and reserved 0");
    if (!open->trusted_keys && (known->signature || known->signed_patch))
        return exl__fail(error, EXL_BAD_ARGUMENT, "a patch's signature means nothing without trusted_keys in open");
    return EXL_OK;
}

/* ---- memory ---------------------------------------------------------------------------------------------------- */

typedef struct update_memory {
    const uint8_t *old, *patch;
    uint8_t *made;
} update_memory;

static exl_status update_take_old(void *context, uint64_t offset, void *bytes, size_t length, exl_error *error) {
    (void)error;
    memcpy(bytes, ((const update_memory *)context)->old + offset, length);
    return EXL_OK;
}

static exl_status update_take_patch(void *context, uint64_t offset, void *bytes, size_t length, exl_error *error) {
    (void)error;
    memcpy(bytes, ((const update_memory *)context)->patch + offset, length);
    return EXL_OK;
}

static exl_status update_give_new(void *context, uint64_t offset, const void *bytes, size_t length, exl_error *error) {
    (void)error;
    memcpy(((update_memory *)context)->made + offset, bytes, length);
    return EXL_OK;
}

exl_status exl_patch_get_info(const void *patch, size_t patch_bytes, exl_patch_info *info, exl_error *error) {
    exl__patch_header header;
    exl_patch_info known = {0};
    exl_status status;

    if (!exl__begin(error, patch && exl__can_give(info)))
        return EXL_BAD_ARGUMENT;
    if (patch_bytes < EXL__PATCH_HEADER_BYTES)
        return exl__fail(error, EXL_PATCH_MALFORMED, "the patch ends inside its header");
    status = exl__patch_read_header(patch, &header, error);
    if (status != EXL_OK)
        return status;
    known.patch_bytes = header.patch_bytes;
    known.old_bytes = header.old_bytes;
    known.new_bytes = header.new_bytes;
    exl__give_struct(info, &known, sizeof known);
    return EXL_OK;
}

exl_status exl_patch_verify(const void *patch, size_t patch_bytes, const exl_open_options *trust, exl_error *error) {
    exl__patch_header header;
    exl_open_options known = {0};
    exl_status status;

    if (!exl__begin(error, patch && trust))
        return EXL_BAD_ARGUMENT;
    status = exl__take_struct(&known, sizeof known, trust, error);
    exl__trust_as_built(&known);
    if (status == EXL_OK)
        status = exl__check_trust(&known, error);
    if (status == EXL_OK && !known.trusted_keys)
        status = exl__fail(error, EXL_BAD_ARGUMENT, "there are no trusted_keys to verify the patch by");
    if (status == EXL_OK && patch_bytes < EXL__PATCH_HEADER_BYTES)
        status = exl__fail(error, EXL_PATCH_MALFORMED, "the patch ends inside its header");
    if (status == EXL_OK)
        status = exl__patch_read_header(patch, &header, error);
    if (status == EXL_OK && !known.signature)
        status = exl__fail(error, EXL_NOT_SIGNED, "there is no signature of the patch");
    return status == EXL_OK ? exl__check_signer("patch", &known, known.signature, known.signature_bytes, patch,
                                                EXL__PATCH_HEADER_BYTES, error)
                            : status;
}

exl_status exl_patch_memory(const void *old, size_t old_bytes, const void *patch, size_t patch_bytes, void *made,
                            size_t made_bytes, const exl_allocator *allocator, exl_error *error) {
    update_memory memory = {old, patch, made};
    const exl__patch_io io = {&memory, old_bytes, patch_bytes, update_take_old, update_take_patch, update_give_new};
    exl__patch_header header;
    exl_status status;

    if (!exl__begin(error, old && patch && made))
        return EXL_BAD_ARGUMENT;
    if (patch_bytes < EXL__PATCH_HEADER_BYTES)
        return exl__fail(error, EXL_PATCH_MALFORMED, "the patch ends inside its header");
    status = exl__patch_read_header(patch, &header, error);
    if (status == EXL_OK && made_bytes < header.new_bytes)
        status = exl__fail(error, EXL_BUFFER_TOO_SMALL, "the new bundle takes %llu bytes",
                           (unsigned long long)header.new_bytes);
    return status == EXL_OK ? exl__patch_apply(&header, &io, allocator ? allocator : &exl__default_allocator, error)
                            : status;
}

#if defined(EXL_BARE)

exl_status exl_patch(const char *old_path, const char *patch_path, const char *new_path,
                     const exl_patch_options *options, exl_patch_report *report, exl_error *error) {
    exl_patch_options known = {0};
    exl_open_options open = {0};

    (void)new_path, (void)report;
    if (!exl__begin(error, old_path && patch_path) || update_check_options(options, &known, &open, error) != EXL_OK)
        return EXL_BAD_ARGUMENT;
    return exl__fail(error, EXL_FILE_UNREADABLE, "there are no files here: use exl_patch_memory");
}

#else

/* ---- files ----------------------------------------------------------------------------------------------------- */

typedef struct update_state {
    exl_patch_options options;
    exl_open_options open; /* of the new bundle */
    const exl_allocator *allocator;
    exl__file old, patch;
    exl__patch_header header;
    exl__partial partial; /* the new bundle */
    char labels[EXL__PATH_BYTES], next[EXL__PATH_BYTES];
    int locked; /* the label file; negative: it is not to be carried over */
    exl_patch_report report;
} update_state;

static exl_status update_read_old(void *context, uint64_t offset, void *bytes, size_t length, exl_error *error) {
    return exl__file_read(&((const update_state *)context)->old, offset, bytes, length, error);
}

static exl_status update_read_patch(void *context, uint64_t offset, void *bytes, size_t length, exl_error *error) {
    return exl__file_read(&((const update_state *)context)->patch, offset, bytes, length, error);
}

static exl_status update_write_new(void *context, uint64_t offset, const void *bytes, size_t length, exl_error *error) {
    const update_state *u = context;
    exl_status status = exl__partial_write(&u->partial, offset, bytes, length, error);

    if (status == EXL_OK && u->options.progress)
        u->options.progress(u->options.context, offset + length, u->header.new_bytes);
    return status;
}

static exl_status update_open_input(const char *what, const char *path, exl__file *file, exl_error *error) {
    const char *why;

    file->descriptor = exl__regular_open(path, 0, &file->length, &why);
    if (file->descriptor < 0)
        return exl__fail(error, EXL_FILE_UNREADABLE, "%s %s cannot be read: %s", what, path, why);
    return EXL_OK;
}

/* Whether the patch was signed by one of the trusted keys: where it says so, or must. */
static exl_status update_check_patch(update_state *u, const uint8_t header[EXL__PATCH_HEADER_BYTES],
                                     const char *patch_path, exl_error *error) {
    char beside[EXL__MOST_SIGNATURE_BYTES];
    const char *signature = u->options.signature;
    size_t bytes = u->options.signature_bytes;

    if (!u->open.trusted_keys)
        return EXL_OK;
    if (!signature) {
        exl_status status = exl__read_signature_beside("patch", patch_path, u->allocator, beside, &bytes, error);
        if (status == EXL_NOT_SIGNED && !u->options.signed_patch)
            return exl__begin(error, 1), EXL_OK;
        if (status != EXL_OK)
            return status;
        signature = beside;
    }
    return exl__check_signer("patch", &u->open, signature, bytes, header, EXL__PATCH_HEADER_BYTES, error);
}

/* The new bundle beside the old one, whole and on the disk. */
static exl_status update_make(update_state *u, const char *old_path, const char *patch_path, exl_error *error) {
    uint8_t header[EXL__PATCH_HEADER_BYTES];
    exl__patch_io io = {u, 0, 0, update_read_old, update_read_patch, update_write_new};
    exl_status status = update_open_input("the patch", patch_path, &u->patch, error);

    if (status == EXL_OK)
        status = update_open_input("the bundle", old_path, &u->old, error);
    if (status == EXL_OK && u->patch.length < sizeof header)
        status = exl__fail(error, EXL_PATCH_MALFORMED, "the patch ends inside its header");
    if (status == EXL_OK)
        status = exl__file_read(&u->patch, 0, header, sizeof header, error);
    if (status == EXL_OK)
        status = exl__patch_read_header(header, &u->header, error);
    if (status == EXL_OK)
        status = update_check_patch(u, header, patch_path, error);
    if (status != EXL_OK)
        return status;
    io.old_bytes = u->old.length;
    io.patch_bytes = u->patch.length;
    status = exl__patch_apply(&u->header, &io, u->allocator, error);
    return status == EXL_OK ? exl__partial_finish(&u->partial, u->old.descriptor, error) : status;
}

/* ---- labels ---------------------------------------------------------------------------------------------------- */

/* What there is to carry over. */
typedef struct update_labels {
    exl_new_label *added, *replacing; /* [added_count], [replacing_count]: of one array, the latter at its end */
    const char **retired;             /* [retired_count] */
    size_t *retired_bytes;
    char *ids; /* what retired points to */
    const char **aliases;
    size_t *alias_bytes;
    size_t added_count, replacing_count, retired_count;
    void *memory;
    uint64_t memory_bytes;
} update_labels;

static void update_carve(update_labels *of, const exl__live *live, uint64_t id_bytes, exl__carver *from) {
    of->added = exl__carve(from, live->added, sizeof *of->added);
    of->retired = exl__carve(from, live->retired_compiled, sizeof *of->retired);
    of->retired_bytes = exl__carve(from, live->retired_compiled, sizeof *of->retired_bytes);
    of->aliases = exl__carve(from, live->rows, sizeof *of->aliases);
    of->alias_bytes = exl__carve(from, live->rows, sizeof *of->alias_bytes);
    of->ids = exl__carve(from, id_bytes, 1);
}

/* A label's id with its NUL, at *ids where that is not null; moves on. */
static exl_status update_read_id(const exl_bundle *bundle, uint32_t number, char *ids, uint64_t *bytes,
                                 exl_error *error) {
    char id[65536];
    exl_label label = {.struct_size = sizeof label, .id = id, .id_capacity = sizeof id};
    exl_status status = exl_label_read(bundle, number, &label, error);

    if (status == EXL_OK && ids)
        memcpy(ids + *bytes, id, label.id_bytes + 1);
    *bytes += label.id_bytes + 1;
    return status;
}

/* Whether a compiled label has this text. */
static int update_has_text(const exl_bundle *bundle, uint32_t number, const exl__live_label *label) {
    char text[65536];
    exl_label found = {.struct_size = sizeof found, .text = text, .text_capacity = sizeof text};

    return exl_label_read(bundle, number, &found, NULL) == EXL_OK && found.text_bytes == label->text_bytes &&
           memcmp(text, label->text, found.text_bytes) == 0;
}

/* The compiled labels that were retired and have come back by no label that was added. */
static exl_status update_collect_retired(update_state *u, const exl_bundle *old, const exl_bundle *made,
                                         update_labels *of, exl_error *error) {
    uint64_t bytes = 0;

    for (uint32_t number = 0; number < old->parameters.labels; number++) {
        uint64_t at = bytes;
        uint32_t found;
        exl_label label = {.struct_size = sizeof label};
        exl_status status = exl_label_read(old, number, &label, error);
        if (status != EXL_OK)
            return status;
        if (label.state != EXL_LABEL_RETIRED)
            continue;
        status = update_read_id(old, number, of->ids, &bytes, error);
        if (status != EXL_OK)
            return status;
        if (exl_label_find(old, of->ids + at, (size_t)(bytes - at) - 1, &found, NULL) == EXL_OK)
            continue;
        if (exl_label_find(made, of->ids + at, (size_t)(bytes - at) - 1, &found, NULL) != EXL_OK) {
            u->report.dropped++;
            continue;
        }
        of->retired[of->retired_count] = of->ids + at;
        of->retired_bytes[of->retired_count++] = (size_t)(bytes - at) - 1;
    }
    u->report.retired = (uint32_t)of->retired_count;
    return EXL_OK;
}

/* The labels that were added: those that the new bundle has with the same text are dropped, others of the same id take
 * its label's place, for they are what the device's owner wants. */
static void update_collect_added(update_state *u, const exl__live *live, const exl_bundle *made, update_labels *of) {
    exl_new_label *end = of->added + live->added;
    size_t aliases = 0;

    of->replacing = end;
    for (uint32_t i = 0; i < live->added; i++) {
        const exl__live_label *label = &live->labels[i];
        const char *alias = label->text + label->text_bytes + 1;
        exl_new_label *to;
        uint32_t found;
        int is_there;
        if (label->row_count == 0)
            continue;
        is_there = exl_label_find(made, label->id, label->id_bytes, &found, NULL) == EXL_OK;
        if (is_there && update_has_text(made, found, label)) {
            u->report.dropped++;
            continue;
        }
        to = is_there ? --of->replacing : &of->added[of->added_count++];
        of->replacing_count += (size_t)is_there;
        u->report.added++;
        *to = (exl_new_label){.struct_size = sizeof *to,
                              .id = label->id,
                              .id_bytes = label->id_bytes,
                              .text = label->text,
                              .text_bytes = label->text_bytes,
                              .aliases = of->aliases + aliases,
                              .alias_bytes = of->alias_bytes + aliases,
                              .alias_count = label->row_count - 1};
        for (uint32_t row = 1; row < label->row_count; row++, aliases++) {
            of->aliases[aliases] = alias;
            of->alias_bytes[aliases] = strlen(alias);
            alias += of->alias_bytes[aliases] + 1;
        }
    }
}

/* What the old label file retires from overlays, of which none is open here. */
static exl_status update_carry_overlaid(const update_state *u, const exl_bundle *old, const exl__live *live,
                                        const exl_bundle *made, exl_error *error) {
    uint32_t count = 0, bytes;
    const char *id;
    exl__text *ids;
    exl_status status;

    for (uint64_t at = 0; exl__live_next_retired(old, live, &at, &bytes);)
        count++;
    if (count == 0)
        return EXL_OK;
    ids = exl__allocate(u->allocator, count, sizeof *ids);
    if (!ids)
        return exl__fail(error, EXL_OUT_OF_MEMORY, "no memory for the labels of the label file");
    count = 0;
    for (uint64_t at = 0; (id = exl__live_next_retired(old, live, &at, &bytes));)
        ids[count++] = (exl__text){id, bytes};
    status = exl__labels_retire_overlaid(made, ids, count, error);
    exl__release(u->allocator, ids, count, sizeof *ids);
    return status;
}

/* Makes the changes again, in the new bundle's own label file. */
static exl_status update_change_labels(exl_bundle *made, exl_session *session, const update_labels *of,
                                       exl_error *error) {
    exl_add_options replace = {.struct_size = sizeof replace, .replace = 1};
    exl_status status = EXL_OK;

    if (of->retired_count > 0)
        status = exl_labels_retire(made, of->retired, of->retired_bytes, of->retired_count, error);
    if (status == EXL_OK && of->added_count > 0)
        status = exl_labels_add(session, of->added, of->added_count, NULL, NULL, error);
    if (status == EXL_OK && of->replacing_count > 0)
        status = exl_labels_add(session, of->replacing, of->replacing_count, &replace, NULL, error);
    return status;
}

static exl_status update_carry_from(update_state *u, const exl_bundle *old, exl_bundle *made, exl_session *session,
                                    exl_error *error) {
    const exl__live *live = exl__live_take(old);
    exl__carver from = {NULL, 0};
    update_labels of = {0};
    uint64_t id_bytes = 0;
    exl_status status = EXL_OK;

    for (uint32_t number = 0; live && live->retired_compiled > 0 && number < old->parameters.labels; number++)
        if (status == EXL_OK && exl__live_is_retired(old, live, number))
            status = update_read_id(old, number, NULL, &id_bytes, error);
    if (live && status == EXL_OK) {
        update_carve(&of, live, id_bytes, &from);
        of.memory_bytes = from.used;
        of.memory = from.used > 0 ? exl__allocate(u->allocator, from.used, 1) : NULL;
        if (from.used > 0 && !of.memory)
            status = exl__fail(error, EXL_OUT_OF_MEMORY, "no memory for the labels of the label file");
    }
    if (of.memory && status == EXL_OK) {
        from = (exl__carver){of.memory, 0};
        update_carve(&of, live, id_bytes, &from);
        if (live->retired_compiled > 0)
            status = update_collect_retired(u, old, made, &of, error);
        if (status == EXL_OK) {
            update_collect_added(u, live, made, &of);
            status = update_change_labels(made, session, &of, error);
        }
    }
    exl__release(u->allocator, of.memory, of.memory_bytes, 1);
    if (live && status == EXL_OK)
        status = update_carry_overlaid(u, old, live, made, error);
    exl__live_give(old, live);
    return status;
}

/* Writes the label file that the new bundle is to have, where the old one has one. It stays locked until the end. */
static exl_status update_carry_labels(update_state *u, const char *old_path, exl_bundle *made, exl_session *session,
                                      exl_error *error) {
    exl_open_options looking = {.struct_size = sizeof looking,
                                .flags = EXL_OPEN_NO_ENGINE | EXL_OPEN_ANYONE,
                                .allocator = u->open.allocator,
                                .labels_path = u->labels};
    exl_bundle *old = NULL;
    exl_status status;

    if (!session)
        return exl__fail(error, EXL_NO_ENGINE_LOADED,
                         "labels were added or retired, and only one that runs takes them over: update with the engine "
                         "and the self-test");
    status = exl__descriptor_lock("the label file", u->labels, &u->locked, error);
    if (status == EXL_OK)
        status = exl_bundle_open(old_path, &looking, &old, error);
    if (status == EXL_OK)
        status = update_carry_from(u, old, made, session, error);
    exl_bundle_close(old);
    return status;
}

/* Whether there is a label file with anything in it. */
static int update_is_there(const char *path) {
    uint8_t first;
    size_t bytes = 0;

    return exl__file_peek(path, &first, 1, &bytes, NULL) != EXL_OK || bytes > 0;
}

/* Whether the new bundle takes the overlays that the caller has. */
static exl_status update_try_overlays(const update_state *u, exl_error *error) {
    exl_open_options open = u->open;
    exl_bundle *made = NULL;
    exl_status status;

    if (open.overlay_count == 0)
        return EXL_OK;
    open.flags |= EXL_OPEN_NO_ENGINE | EXL_OPEN_COMPILED;
    status = exl_bundle_open(u->partial.path, &open, &made, error);
    exl_bundle_close(made);
    return status;
}

/* Opens the new bundle, has it reproduce its goldens, and carries the labels over to it. */
static exl_status update_try(update_state *u, const char *old_path, int in_place, exl_error *error) {
    exl_self_test_report report = {.struct_size = sizeof report};
    exl_session *session = NULL;
    exl_bundle *made = NULL;
    int has = in_place && !(u->open.flags & EXL_OPEN_COMPILED) && update_is_there(u->labels);
    exl_status status = update_try_overlays(u, error);

    if (status != EXL_OK)
        return status;
    u->open.overlays = NULL;
    u->open.overlay_count = 0;
    (void)exl__file_remove(u->next);
    u->open.labels_path = u->next;
    if (!has)
        u->open.flags |= EXL_OPEN_COMPILED;
    status = exl_bundle_open(u->partial.path, &u->open, &made, error);
    if (status == EXL_OK && !(u->open.flags & EXL_OPEN_NO_ENGINE)) {
        status = exl_session_open(made, NULL, &session, error);
        if (status == EXL_OK)
            status = exl_self_test_run(session, &report, error);
    }
    if (status == EXL_OK && has)
        status = update_carry_labels(u, old_path, made, session, error);
    exl_session_close(session);
    exl_bundle_close(made);
    return status;
}

/* The bundle first: whoever opens it finds the label file of either name. */
static exl_status update_place(update_state *u, exl_error *error) {
    int has_next = u->locked >= 0 && update_is_there(u->next);
    exl_status status;

    if (u->locked >= 0 && !has_next)
        (void)exl__file_remove(u->labels); /* no change in it is one to the new bundle */
    status = exl__partial_place(&u->partial, error);
    if (has_next && (status == EXL_OK || status == EXL_NOT_DURABLE) && !exl__file_move(u->next, u->labels) &&
        update_is_there(u->next)) /* else somebody who opened the new bundle was faster */
        status = exl__fail(error, EXL_NOT_DURABLE,
                           "the new bundle is in its place, but its label file is still called %s: rename it to %s",
                           u->next, u->labels);
    return status;
}

static exl_status update_name_labels(update_state *u, const char *path, exl_error *error) {
    static const char LABELS[] = ".labels", NEXT[] = EXL__NEXT_LABELS;
    const char *given = u->open.labels_path;
    size_t bytes = strlen(given ? given : path);

    if (bytes + sizeof LABELS + sizeof NEXT > EXL__PATH_BYTES)
        return exl__fail(error, EXL_FILE_UNREADABLE, "the label file cannot be read: its path is too long");
    memcpy(u->labels, given ? given : path, bytes + 1);
    if (!given)
        memcpy(u->labels + bytes, LABELS, sizeof LABELS);
    bytes = strlen(u->labels);
    memcpy(u->next, u->labels, bytes);
    memcpy(u->next + bytes, NEXT, sizeof NEXT);
    return EXL_OK;
}

static exl_status update_run(update_state *u, const char *old_path, const char *patch_path, const char *new_path,
                             exl_error *error) {
    exl_status status = update_name_labels(u, old_path, error);

    if (status == EXL_OK)
        status = exl__partial_begin(new_path ? new_path : old_path, &u->partial, error);
    if (status == EXL_OK)
        status = update_make(u, old_path, patch_path, error);
    if (status == EXL_OK)
        status = update_try(u, old_path, new_path == NULL, error);
    if (status == EXL_OK)
        status = update_place(u, error);
    else
        (void)exl__file_remove(u->next);
    exl__partial_end(&u->partial);
    exl__descriptor_unlock(u->locked);
    exl__descriptor_close(u->old.descriptor);
    exl__descriptor_close(u->patch.descriptor);
    return status;
}

exl_status exl_patch(const char *old_path, const char *patch_path, const char *new_path,
                     const exl_patch_options *options, exl_patch_report *report, exl_error *error) {
    exl_patch_options known = {0};
    exl_open_options open = {0};
    exl_status status;
    update_state *u;

    if (!exl__begin(error, old_path && patch_path && (!report || exl__can_give(report))))
        return EXL_BAD_ARGUMENT;
    status = update_check_options(options, &known, &open, error);
    if (status != EXL_OK)
        return status;
    open.struct_size = sizeof open;
    u = exl__allocate(open.allocator ? open.allocator : &exl__default_allocator, 1, sizeof *u);
    if (!u)
        return exl__fail(error, EXL_OUT_OF_MEMORY, "no memory to update in");
    u->options = known;
    u->open = open;
    u->allocator = open.allocator ? open.allocator : &exl__default_allocator;
    u->old.descriptor = u->patch.descriptor = u->partial.descriptor = u->locked = -1;
    status = update_run(u, old_path, patch_path, new_path, error);
    u->report.new_bytes = u->header.new_bytes;
    if (report)
        exl__give_struct(report, &u->report, sizeof u->report);
    exl__release(u->allocator, u, 1, sizeof *u);
    return status;
}

#endif
