/* overlay.c: reads overlays, as docs/format.md, "Overlay", has them, and settles which of their labels count.
 *
 * An overlay is read as hostile input, as a label file is: whole, into memory of our own; its header, which has the
 * hashes of the rest, then its signature, then the hashes, and only then what is in it. */
#include "compiler.h"

#include "overlay.h"

#include <string.h>

#include "bytes.h"
#include "checked.h"
#include "fold.h"
#include "lookup.h"
#include "memory.h"
#include "options.h"
#include "rescore.h"
#include "signature.h"

enum { OVERLAY_MAJOR = 1, OVERLAY_MOST_LABELS = 1 << 28 };

/* Where things are in the header. */
enum {
    OVERLAY_SIGNED_BYTES_AT = 16,
    OVERLAY_LABELS_BYTES_AT = 24,
    OVERLAY_CALIBRATION_BYTES_AT = 32,
    OVERLAY_LABELS_AT = 40,
    OVERLAY_ROWS_AT = 44,
    OVERLAY_COARSE_BYTES_AT = 48,
    OVERLAY_FINE_BYTES_AT = 52,
    OVERLAY_CODE_SPACE_AT = 64,
    OVERLAY_CALIBRATED_OVER_AT = 96,
    OVERLAY_LABELS_SHA256_AT = 128,
    OVERLAY_CALIBRATION_SHA256_AT = 160,
    OVERLAY_RESERVED_AT = 192
};

static const uint8_t OVERLAY_MAGIC[8] = {0x89, 'E', 'X', 'O', '\r', '\n', 0x1a, '\n'};

/* ---- one file ------------------------------------------------------------------------------------------------ */

static exl_status overlay_malformed(const char *what, exl_error *error) {
    return exl__fail(error, EXL_OVERLAY_MALFORMED, "%s: fetch it again", what);
}

static exl_status overlay_check_header(const exl__overlay *overlay, exl_error *error) {
    const uint8_t *header = overlay->file.bytes;
    uint64_t length = overlay->file.length, labels_bytes, calibration_bytes, signed_bytes;
    uint8_t digest[32];

    if (length < sizeof OVERLAY_MAGIC || memcmp(header, OVERLAY_MAGIC, sizeof OVERLAY_MAGIC) != 0)
        return exl__fail(error, EXL_OVERLAY_MALFORMED, "the file does not begin as an overlay does");
    if (length < EXL__OVERLAY_HEADER_BYTES)
        return overlay_malformed("it ends inside its header", error);
    if (exl__get16(header + 8) > OVERLAY_MAJOR)
        return exl__fail(error, EXL_VERSION_TOO_NEW, "it has format %u, this library reads up to %d: update it",
                         exl__get16(header + 8), OVERLAY_MAJOR);
    exl__sha256_of(header, EXL__OVERLAY_CHECK_AT, digest);
    if (!exl__is_hash(digest, header + EXL__OVERLAY_CHECK_AT, sizeof digest))
        return overlay_malformed("its header is damaged", error);
    labels_bytes = exl__get64(header + OVERLAY_LABELS_BYTES_AT);
    calibration_bytes = exl__get64(header + OVERLAY_CALIBRATION_BYTES_AT);
    signed_bytes = exl__get64(header + OVERLAY_SIGNED_BYTES_AT);
    if (signed_bytes > length || length - signed_bytes > EXL__MOST_SIGNATURE_BYTES)
        return overlay_malformed("it does not have the length that it states", error);
    if (exl__get16(header + 8) != OVERLAY_MAJOR || exl__get32(header + 12) != 0 || labels_bytes == 0 ||
        labels_bytes % 8 != 0 ||
        signed_bytes != exl__plus(EXL__OVERLAY_HEADER_BYTES, exl__plus(labels_bytes, calibration_bytes)) ||
        (exl__get16(header + 10) == 0 &&
         !(exl__all_zero(header + 56, 8) && exl__all_zero(header + OVERLAY_RESERVED_AT, 32))) ||
        (calibration_bytes == 0 && !(exl__all_zero(header + OVERLAY_CALIBRATED_OVER_AT, 32) &&
                                     exl__all_zero(header + OVERLAY_CALIBRATION_SHA256_AT, 32))))
        return overlay_malformed("its header holds a value that the format forbids", error);
    return EXL_OK;
}

/* The signature behind the rest: whole and well written, also where nobody asks who made it. */
static exl_status overlay_check_signature(exl__overlay *overlay, const exl_allocator *allocator,
                                          const exl_open_options *trust, const char *path, exl_error *error) {
    const uint8_t *header = overlay->file.bytes;
    uint64_t signed_bytes = exl__get64(header + OVERLAY_SIGNED_BYTES_AT);
    exl__signature signature;
    exl__signed of = {.what = "overlay",
                      .message = header,
                      .message_bytes = EXL__OVERLAY_HEADER_BYTES,
                      .stored = {header + signed_bytes, overlay->file.length - signed_bytes},
                      .path = path};
    exl_status status;

    if (of.stored.length == 0)
        of.stored.bytes = NULL;
    else if (exl__signature_read((const char *)of.stored.bytes, (size_t)of.stored.length, &signature) ||
             !signature.canonical)
        return exl__fail(error, EXL_BAD_SIGNATURE, "what stands behind it is no signature as stored ones are written");
    status = exl__check_signed(allocator, trust, &of, error);
    overlay->signed_by = of.signed_by;
    overlay->signed_version = of.version;
    return status;
}

static exl_status overlay_check_hash(const uint8_t *bytes, uint64_t length, const uint8_t expected[32],
                                     exl_error *error) {
    uint8_t digest[32];

    exl__sha256_of(bytes, (size_t)length, digest);
    return exl__is_hash(digest, expected, sizeof digest) ? EXL_OK
                                                         : overlay_malformed("it does not match its hashes", error);
}

static exl_status overlay_check_base(const exl_bundle *bundle, const uint8_t *header, exl_error *error) {
    const exl__parameters *p = &bundle->parameters;

    if (memcmp(header + OVERLAY_CODE_SPACE_AT, bundle->code_space, sizeof bundle->code_space) != 0 ||
        exl__get32(header + OVERLAY_COARSE_BYTES_AT) != p->subspaces / 2 ||
        exl__get32(header + OVERLAY_FINE_BYTES_AT) != exl__fine_stride(p->fine_dims, p->fine_bits))
        return exl__fail(error, EXL_OVERLAY_OF_ANOTHER_BUNDLE,
                         "it was made for a bundle with another screener or other codes: make it again over this one, "
                         "by edgexl overlay");
    return EXL_OK;
}

/* Its calibration, which holds for the bundle that it was fitted over alone: another's logits may be others. */
static exl_status overlay_read_calibration(const exl_bundle *bundle, exl__overlay *overlay, exl_error *error) {
    const uint8_t *header = overlay->file.bytes;
    const exl__section section = {header + overlay->operations_end, exl__get64(header + OVERLAY_CALIBRATION_BYTES_AT)};
    exl_status status;

    if (section.length == 0)
        return EXL_OK;
    status = overlay_check_hash(section.bytes, section.length, header + OVERLAY_CALIBRATION_SHA256_AT, error);
    if (status == EXL_OK)
        status = exl__calibration_read(&section, header + OVERLAY_LABELS_SHA256_AT, EXL_OVERLAY_MALFORMED,
                                       &overlay->calibration, error);
    if (status != EXL_OK)
        return status;
    overlay->queries = overlay->calibration.queries;
    overlay->is_calibrated =
        memcmp(header + OVERLAY_CALIBRATED_OVER_AT, bundle->identity, sizeof bundle->identity) == 0;
    return EXL_OK;
}

/* Its labels, which are counted. */
static exl_status overlay_count_labels(const exl_bundle *bundle, exl__overlay *overlay, exl_error *error) {
    const uint8_t *header = overlay->file.bytes;
    uint64_t labels = 0, rows = 0;
    exl__live_operation op;

    for (uint64_t at = EXL__OVERLAY_HEADER_BYTES; at < overlay->operations_end; labels++) {
        uint64_t from = at;
        if (!exl__live_take_operation(bundle, header, overlay->operations_end, &at, &op) || op.kind != EXL__ADD_LABEL ||
            op.label != labels)
            return exl__fail(error, EXL_OVERLAY_MALFORMED, "it breaks the format's rules at byte %llu",
                             (unsigned long long)from);
        rows += op.rows; /* each with a byte of the file at least: no sum of them wraps */
    }
    if (labels != exl__get32(header + OVERLAY_LABELS_AT) || rows != exl__get32(header + OVERLAY_ROWS_AT))
        return overlay_malformed("it does not hold as many labels as it states", error);
    overlay->labels = (uint32_t)labels;
    overlay->rows = (uint32_t)rows;
    return EXL_OK;
}

static exl_status overlay_read(const exl_bundle *bundle, exl__overlay *overlay, const exl_overlay *given,
                               const exl_open_options *trust, exl_error *error) {
    exl_status status =
        given->path ? exl__file_open(given->path, &bundle->allocator, &overlay->file, error)
                    : exl__file_open_memory(given->bytes, given->length, &bundle->allocator, &overlay->file, error);
    const uint8_t *header = overlay->file.bytes;

    if (status == EXL_NOT_A_BUNDLE) /* it is empty */
        status = overlay_malformed("the file is empty", error);
    if (status == EXL_OK)
        status = overlay_check_header(overlay, error);
    if (status == EXL_OK)
        status = overlay_check_signature(overlay, &bundle->allocator, trust, given->path, error);
    if (status != EXL_OK)
        return status;
    overlay->operations_end = EXL__OVERLAY_HEADER_BYTES + exl__get64(header + OVERLAY_LABELS_BYTES_AT);
    status = overlay_check_hash(header + EXL__OVERLAY_HEADER_BYTES, overlay->operations_end - EXL__OVERLAY_HEADER_BYTES,
                                header + OVERLAY_LABELS_SHA256_AT, error);
    if (status == EXL_OK)
        status = overlay_check_base(bundle, header, error);
    if (status == EXL_OK)
        status = overlay_read_calibration(bundle, overlay, error);
    return status == EXL_OK ? overlay_count_labels(bundle, overlay, error) : status;
}

/* ---- all of them --------------------------------------------------------------------------------------------- */

/* The caller's, whatever version of the header it has, and whom it trusts. */
static exl_status overlay_take(const exl_open_options *options, uint32_t place, exl_overlay *known,
                               exl_open_options *trust, exl_error *error) {
    *known = (exl_overlay){0};
    if (exl__take_struct(known, sizeof *known,
                         (const uint8_t *)options->overlays + place * options->overlays->struct_size, error) != EXL_OK)
        return EXL_BAD_ARGUMENT;
    if (!known->path == !known->bytes || !known->bytes != !known->length)
        return exl__fail(error, EXL_BAD_ARGUMENT, "it needs a path, or bytes and their length");
    *trust = (exl_open_options){.trusted_keys = known->trusted_keys,
                                .trusted_key_count = known->trusted_key_count,
                                .least_version = known->least_version,
                                .signature = known->signature,
                                .signature_bytes = known->signature_bytes};
    if (!trust->trusted_keys && trust->trusted_key_count == 0) {
        trust->trusted_keys = options->trusted_keys;
        trust->trusted_key_count = options->trusted_key_count;
    }
    return exl__check_trust(trust, error);
}

static void overlay_carve(exl__overlays *all, exl__carver *from) {
    all->all = exl__carve(from, all->labels, sizeof *all->all);
    all->numbers = exl__carve(from, all->labels, sizeof *all->numbers);
    all->slots = exl__carve(from, all->slot_count, sizeof *all->slots);
    all->hidden = exl__carve(from, all->labels, sizeof *all->hidden);
}

/* The slot of the id, or where it would be. */
static uint32_t *overlay_slot(const exl__overlays *all, const char *id, uint32_t id_bytes) {
    uint32_t mask = all->slot_count - 1, slot = (uint32_t)exl__equivalent_hash(id, id_bytes) & mask;

    for (; all->slots[slot] != 0; slot = (slot + 1) & mask) {
        const exl__live_label *one = &all->all[all->slots[slot] - 1];
        if (one->id_bytes == id_bytes && memcmp(one->id, id, id_bytes) == 0)
            break;
    }
    return &all->slots[slot];
}

/* Their labels in order; of those with one id the last counts. */
static void overlay_fill(const exl_bundle *bundle, exl__overlays *all) {
    exl__live_operation op;
    uint32_t label = 0;

    for (uint32_t i = 0; i < all->count; i++)
        for (uint64_t at = EXL__OVERLAY_HEADER_BYTES; at < all->each[i].operations_end; label++) {
            uint32_t *slot;
            (void)exl__live_take_operation(bundle, all->each[i].file.bytes, all->each[i].operations_end, &at, &op);
            all->all[label] = exl__live_label_of(&op);
            all->numbers[label] = i + 1;
            slot = overlay_slot(all, op.id, op.id_bytes);
            if (*slot != 0)
                all->all[*slot - 1].row_count = 0;
            *slot = label + 1;
        }
}

/* The labels of the bundle whose ids they have. */
static exl_status overlay_find_hidden(const exl_bundle *bundle, exl__overlays *all, exl_error *error) {
    exl__text *ids = exl__allocate(&bundle->allocator, all->labels, sizeof *ids);
    uint32_t *found = exl__allocate(&bundle->allocator, all->labels, sizeof *found), count = 0;
    exl_status status = EXL_OK;

    if (!ids || !found)
        status = exl__fail(error, EXL_OUT_OF_MEMORY, "no memory for the labels of overlays");
    for (uint32_t i = 0; status == EXL_OK && i < all->labels; i++)
        if (all->all[i].row_count > 0)
            ids[count++] = (exl__text){all->all[i].id, all->all[i].id_bytes};
    if (status == EXL_OK)
        status = exl__labels_find(bundle, NULL, ids, count, 1, found, error);
    for (uint32_t i = 0; status == EXL_OK && i < count; i++)
        if (found[i] != EXL__NO_LABEL)
            all->hidden[all->hidden_count++] = found[i];
    exl__release(&bundle->allocator, found, all->labels, sizeof *found);
    exl__release(&bundle->allocator, ids, all->labels, sizeof *ids);
    return status;
}

static exl_status overlay_settle(const exl_bundle *bundle, exl__overlays *all, exl_error *error) {
    uint64_t labels = 0, rows = 0;
    exl__carver from = {NULL, 0};

    for (uint32_t i = 0; i < all->count; i++) {
        labels += all->each[i].labels;
        rows += all->each[i].rows;
        if (all->each[i].is_calibrated)
            all->calibrated_by = i + 1;
    }
    if (labels > OVERLAY_MOST_LABELS || bundle->parameters.labels + labels > INT32_MAX ||
        bundle->parameters.rows + rows > INT32_MAX)
        return exl__fail(error, EXL_OVERLAY_MALFORMED, "with the overlays there would be too many labels");
    all->labels = (uint32_t)labels;
    all->rows = (uint32_t)rows;
    for (all->slot_count = 4; all->slot_count / 2 <= all->labels;)
        all->slot_count *= 2;
    overlay_carve(all, &from);
    all->memory_bytes = from.used;
    all->memory = exl__allocate(&bundle->allocator, all->memory_bytes, 1);
    if (!all->memory)
        return exl__fail(error, EXL_OUT_OF_MEMORY, "no memory for the labels of overlays");
    from = (exl__carver){all->memory, 0};
    overlay_carve(all, &from);
    overlay_fill(bundle, all);
    return overlay_find_hidden(bundle, all, error);
}

exl_status exl__overlays_open(exl_bundle *bundle, const exl_open_options *options, exl_error *error) {
    exl__overlays *all = exl__allocate(&bundle->allocator, 1, sizeof *all);
    uint32_t count = (uint32_t)options->overlay_count;

    if (!all)
        return exl__fail(error, EXL_OUT_OF_MEMORY, "no memory for overlays");
    bundle->overlays = all;
    all->each = exl__allocate(&bundle->allocator, count, sizeof *all->each);
    if (!all->each)
        return exl__fail(error, EXL_OUT_OF_MEMORY, "no memory for overlays");
    all->count = count;
    for (uint32_t i = 0; i < count; i++)
        all->each[i].file.descriptor = -1;
    for (uint32_t i = 0; i < count; i++) {
        exl_error said = {.struct_size = sizeof said};
        exl_overlay given;
        exl_open_options trust;
        exl_status status = overlay_take(options, i, &given, &trust, &said);

        if (status == EXL_OK)
            status = overlay_read(bundle, &all->each[i], &given, &trust, &said);
        if (status != EXL_OK)
            return exl__fail(error, status, "overlay %u%s%.200s: %s", i + 1, given.path ? ", " : "",
                             given.path ? given.path : "", said.sentence);
    }
    return overlay_settle(bundle, all, error);
}

void exl__overlays_close(exl_bundle *bundle) {
    exl__overlays *all = bundle->overlays;

    if (!all)
        return;
    for (uint32_t i = 0; all->each && i < all->count; i++)
        exl__file_close(&all->each[i].file);
    exl__release(&bundle->allocator, all->memory, all->memory_bytes, 1);
    exl__release(&bundle->allocator, all->each, all->count, sizeof *all->each);
    exl__release(&bundle->allocator, all, 1, sizeof *all);
    bundle->overlays = NULL;
}

/* ---- questions ----------------------------------------------------------------------------------------------- */

uint32_t exl__overlays_find(const exl__overlays *overlays, const char *id, uint32_t id_bytes) {
    uint32_t slot = overlays ? *overlay_slot(overlays, id, id_bytes) : 0;
    return slot ? slot - 1 : EXL__NO_OVERLAID;
}

exl_label_state exl__label_origin(const exl_bundle *bundle, uint32_t label, uint32_t *overlay) {
    uint32_t compiled = bundle->parameters.labels;

    *overlay = 0;
    if (label < compiled)
        return EXL_LABEL_COMPILED;
    if (label - compiled >= exl__overlaid(bundle))
        return EXL_LABEL_ADDED;
    *overlay = bundle->overlays->numbers[label - compiled];
    return EXL_LABEL_OVERLAID;
}

const exl__calibration *exl__calibration_in_force(const exl_bundle *bundle) {
    const exl__overlays *all = bundle->overlays;
    return all && all->calibrated_by ? &all->each[all->calibrated_by - 1].calibration : &bundle->calibration;
}

exl_status exl_overlay_get_info(const exl_bundle *bundle, uint32_t number, exl_overlay_info *info, exl_error *error) {
    const exl__overlays *all;
    const exl__overlay *one;
    exl_overlay_info known = {0};

    if (!exl__begin(error, bundle && exl__can_give(info)))
        return EXL_BAD_ARGUMENT;
    all = bundle->overlays;
    if (number == 0 || !all || number > all->count)
        return exl__fail(error, EXL_BAD_ARGUMENT, "there is no overlay %u, but %u of them, from 1 on", number,
                         all ? all->count : 0);
    one = &all->each[number - 1];
    known.labels = one->labels;
    known.rows = one->rows;
    known.queries = one->queries;
    known.calibrates = all->calibrated_by == number;
    known.signed_by = one->signed_by;
    known.signed_version = one->signed_version;
    known.file_bytes = one->file.length;
    exl__give_struct(info, &known, sizeof known);
    return EXL_OK;
}
