/* patch.c: reads a patch (docs/updates.md).
 *
 * A patch is hostile input: each block's hash is checked before a bit of it is looked at, every number against what
 * there is of the old file and what is to come of the new one, and every section that was made against its hash. All
 * memory is one patch_state. */
#include "compiler.h"

#include "patch.h"

#include <string.h>

#include "bytes.h"
#include "checked.h"
#include "memory.h"
#include "sha256.h"

enum {
    PATCH_MAJOR = 1,
    PATCH_HASH_BYTES = 32,
    PATCH_HEAD_BYTES = 64, /* a bundle's header, and each entry of its table */
    PATCH_MOST_SECTIONS = 64,
    PATCH_COARSE_CODES = 9,
    PATCH_PAGE_BYTES = 4096,
    PATCH_PAGES = 16,
    PATCH_OUT_BYTES = 16384,
    PATCH_TURNED_BYTES = EXL__PATCH_TURNED_ROWS * EXL__PATCH_MOST_CODE_BYTES,
    PATCH_PIECE_BYTES = 256
};

static const uint8_t PATCH_MAGIC[8] = {0x89, 'E', 'X', 'P', '\r', '\n', 0x1a, '\n'};

/* Coarse codes, whose bytes a patch takes row by row: [blocks][rows][code_bytes] for [blocks][code_bytes][rows]. */
typedef struct patch_turned {
    uint64_t start, length; /* in the file; length 0: none */
    uint32_t code_bytes;
    uint8_t bytes[PATCH_TURNED_BYTES]; /* a block of the old file, turned, or as much as is known of one of the new */
} patch_turned;

typedef enum patch_region { PATCH_IN_HEAD, PATCH_IN_TABLE, PATCH_IN_GAP, PATCH_IN_SECTION } patch_region;

typedef struct patch_state {
    const exl__patch_header *header;
    const exl__patch_io *io;
    exl_error *error;
    exl_status status; /* once it is not EXL_OK, everything that follows does nothing */
    exl__patch_model model;

    /* the patch */
    uint8_t block[EXL__PATCH_BLOCK_BYTES];
    uint8_t next_sha256[PATCH_HASH_BYTES];
    uint64_t patch_at; /* behind the block */
    size_t block_at, block_end;
    uint32_t first, last, code; /* the arithmetic coder's */

    /* the old bundle */
    uint64_t cursor;
    uint64_t page_numbers[PATCH_PAGES]; /* and 1; 0: none */
    uint8_t pages[PATCH_PAGES][PATCH_PAGE_BYTES];
    patch_turned old_turned;
    uint64_t old_block; /* which is in old_turned, and 1; 0: none */

    /* the new one */
    uint64_t at, boundary; /* in the file: how much there is, and where the region ends */
    patch_region region;
    uint32_t sections, section;
    exl__sha256 hash;
    patch_turned new_turned;
    uint8_t window[EXL__PATCH_WINDOW_BYTES]; /* a ring of the last bytes, turned */
    uint8_t head[PATCH_HEAD_BYTES * (1 + PATCH_MOST_SECTIONS)];
    uint8_t out[PATCH_OUT_BYTES];
    uint64_t written;
    size_t out_bytes;
} patch_state;

_Static_assert(sizeof(patch_state) <= 1000000, "an update promises to take less than a megabyte");

static void patch_fail(patch_state *s, const char *what) {
    if (s->status == EXL_OK)
        s->status = exl__fail(s->error, EXL_PATCH_MALFORMED, "the patch %s", what);
}

/* ---- header ---------------------------------------------------------------------------------------------------- */

exl_status exl__patch_read_header(const uint8_t header[EXL__PATCH_HEADER_BYTES], exl__patch_header *of,
                                  exl_error *error) {
    if (memcmp(header, PATCH_MAGIC, sizeof PATCH_MAGIC) != 0)
        return exl__fail(error, EXL_PATCH_MALFORMED, "the patch does not begin as an edgexl patch does");
    if (exl__get16(header + 8) > PATCH_MAJOR)
        return exl__fail(error, EXL_VERSION_TOO_NEW, "the patch has format %u, this library reads up to %d: update it",
                         exl__get16(header + 8), PATCH_MAJOR);
    *of = (exl__patch_header){.patch_bytes = exl__get64(header + 16),
                              .old_bytes = exl__get64(header + 24),
                              .new_bytes = exl__get64(header + 32),
                              .old_code_bytes = exl__get32(header + 40),
                              .new_code_bytes = exl__get32(header + 44)};
    memcpy(of->old_sha256, header + 64, PATCH_HASH_BYTES);
    memcpy(of->new_sha256, header + 96, PATCH_HASH_BYTES);
    memcpy(of->first_sha256, header + 128, PATCH_HASH_BYTES);
    if (exl__get16(header + 8) != PATCH_MAJOR || exl__get32(header + 12) != EXL__PATCH_BLOCK_BYTES ||
        of->patch_bytes <= EXL__PATCH_HEADER_BYTES || of->old_bytes > INT64_MAX || of->new_bytes > INT64_MAX ||
        of->new_bytes < 2 * PATCH_HEAD_BYTES || of->old_code_bytes > EXL__PATCH_MOST_CODE_BYTES ||
        of->new_code_bytes > EXL__PATCH_MOST_CODE_BYTES || !exl__all_zero(header + 48, 16))
        return exl__fail(error, EXL_PATCH_MALFORMED, "the patch's header holds a value that the format forbids");
    return EXL_OK;
}

/* ---- the patch's bits ------------------------------------------------------------------------------------------ */

static void patch_next_block(patch_state *s) {
    uint64_t left = s->header->patch_bytes - s->patch_at;
    size_t take = left < EXL__PATCH_BLOCK_BYTES ? (size_t)left : EXL__PATCH_BLOCK_BYTES;
    uint8_t digest[PATCH_HASH_BYTES];

    s->block_at = s->block_end = 0;
    if (take <= PATCH_HASH_BYTES) {
        patch_fail(s, "ends before the bundle that it makes does");
        return;
    }
    s->status = s->io->read_patch(s->io->context, s->patch_at, s->block, take, s->error);
    if (s->status != EXL_OK)
        return;
    exl__sha256_of(s->block, take, digest);
    if (!exl__is_hash(digest, s->next_sha256, sizeof digest)) {
        patch_fail(s, "is damaged: fetch it again");
        return;
    }
    memcpy(s->next_sha256, s->block, PATCH_HASH_BYTES);
    s->patch_at += take;
    s->block_at = PATCH_HASH_BYTES;
    s->block_end = take;
}

/* 0 once something failed. */
static uint8_t patch_byte(patch_state *s) {
    if (s->block_at == s->block_end && s->status == EXL_OK)
        patch_next_block(s);
    return s->status == EXL_OK ? s->block[s->block_at++] : 0;
}

static uint32_t patch_bit(patch_state *s, uint32_t chance) {
    uint32_t split = exl__patch_split(s->first, s->last, chance), bit = s->code <= split;

    if (bit)
        s->last = split;
    else
        s->first = split + 1;
    while (((s->first ^ s->last) & 0xFF000000u) == 0) {
        s->first <<= 8;
        s->last = s->last << 8 | 255;
        s->code = s->code << 8 | patch_byte(s);
    }
    return bit;
}

static uint32_t patch_counted_bit(patch_state *s, exl__patch_counter *counter) {
    uint32_t bit = patch_bit(s, exl__patch_chance(*counter));

    exl__patch_count(counter, bit);
    return bit;
}

/* So many bits that lie in a tree of counters, from 1 on. */
static uint32_t patch_tree(patch_state *s, exl__patch_counter *tree, uint32_t bits) {
    uint32_t node = 1;

    for (uint32_t i = 0; i < bits; i++)
        node = node << 1 | patch_counted_bit(s, tree + node);
    return node - (1u << bits);
}

/* A number from 1 on, by the counters of its kind. */
static uint64_t patch_number(patch_state *s, uint32_t kind) {
    uint32_t magnitude = patch_tree(s, s->model.magnitudes[kind], 6), led = magnitude < 3 ? magnitude : 3;
    uint64_t number = (uint64_t)1 << led | patch_tree(s, s->model.leading[kind][magnitude], led);

    for (uint32_t i = led; i < magnitude; i++)
        number = number << 1 | patch_bit(s, 2048);
    return number;
}

static uint8_t patch_predicted_byte(patch_state *s, const exl__patch_contexts *contexts) {
    exl__patch_prediction of;
    uint32_t node = 1;

    while (node < 256) {
        uint32_t bit;
        exl__patch_predict(&s->model, contexts, node, &of);
        bit = patch_bit(s, of.chance);
        exl__patch_learn(&of, bit);
        node = node << 1 | bit;
    }
    return (uint8_t)node;
}

/* ---- the old bundle -------------------------------------------------------------------------------------------- */

static const uint8_t *patch_page(patch_state *s, uint64_t number) {
    size_t slot = (size_t)(number % PATCH_PAGES);
    uint64_t from = number * PATCH_PAGE_BYTES, left = s->header->old_bytes - from;

    if (s->page_numbers[slot] != number + 1) {
        s->page_numbers[slot] = number + 1;
        s->status = s->io->read_old(s->io->context, from, s->pages[slot],
                                    left < PATCH_PAGE_BYTES ? (size_t)left : PATCH_PAGE_BYTES, s->error);
    }
    return s->pages[slot];
}

static void patch_turn_old_block(patch_state *s, uint64_t number) {
    patch_turned *turned = &s->old_turned;
    uint64_t from = turned->start + number * turned->code_bytes * EXL__PATCH_TURNED_ROWS;

    for (uint32_t i = 0; i < turned->code_bytes * EXL__PATCH_TURNED_ROWS && s->status == EXL_OK; i++) {
        uint32_t byte = i / EXL__PATCH_TURNED_ROWS, row = i % EXL__PATCH_TURNED_ROWS;
        const uint8_t *page = patch_page(s, (from + i) / PATCH_PAGE_BYTES);
        turned->bytes[row * turned->code_bytes + byte] = page[(from + i) % PATCH_PAGE_BYTES];
    }
    s->old_block = number + 1;
}

/* The old file's bytes from the cursor on, coarse codes turned, at most *bytes of them; *bytes is how many these are.
 */
static const uint8_t *patch_old(patch_state *s, uint64_t *bytes) {
    const patch_turned *turned = &s->old_turned;
    uint64_t here = PATCH_PAGE_BYTES - s->cursor % PATCH_PAGE_BYTES;
    const uint8_t *from;

    if (s->cursor >= turned->start && s->cursor - turned->start < turned->length) {
        uint64_t size = (uint64_t)turned->code_bytes * EXL__PATCH_TURNED_ROWS, in = s->cursor - turned->start;
        if (s->old_block != in / size + 1)
            patch_turn_old_block(s, in / size);
        from = turned->bytes + in % size;
        here = size - in % size;
    } else {
        from = patch_page(s, s->cursor / PATCH_PAGE_BYTES) + s->cursor % PATCH_PAGE_BYTES;
        if (s->cursor < turned->start && turned->start - s->cursor < here)
            here = turned->start - s->cursor;
    }
    if (here < *bytes)
        *bytes = here;
    return from;
}

/* Where a bundle's coarse codes lie. */
static void patch_find_codes(patch_state *s, const uint8_t *head, uint32_t sections, uint32_t code_bytes,
                             uint64_t file_bytes, patch_turned *turned) {
    for (uint32_t i = 0; i < sections && code_bytes > 0; i++) {
        const uint8_t *entry = head + (size_t)PATCH_HEAD_BYTES * (1 + i);
        uint64_t start = exl__get64(entry + 8), length = exl__get64(entry + 16);
        if (exl__get32(entry) != PATCH_COARSE_CODES)
            continue;
        if (!exl__lies_within(start, length, file_bytes) || length % (code_bytes * EXL__PATCH_TURNED_ROWS) != 0)
            break;
        turned->start = start;
        turned->length = length;
        turned->code_bytes = code_bytes;
        return;
    }
    if (code_bytes > 0)
        patch_fail(s, "turns coarse codes that the bundle does not have");
}

static exl_status patch_check_old(patch_state *s) {
    const exl__patch_header *header = s->header;
    uint8_t digest[PATCH_HASH_BYTES];
    uint32_t sections = 0;
    size_t bytes = 0;

    if (s->io->old_bytes >= PATCH_HEAD_BYTES)
        s->status = s->io->read_old(s->io->context, 0, s->head, PATCH_HEAD_BYTES, s->error);
    if (s->status != EXL_OK)
        return s->status;
    sections = exl__get32(s->head + 12);
    bytes = PATCH_HEAD_BYTES * (1 + (size_t)(sections < PATCH_MOST_SECTIONS ? sections : PATCH_MOST_SECTIONS));
    if (s->io->old_bytes >= bytes) {
        s->status = s->io->read_old(s->io->context, 0, s->head, bytes, s->error);
        if (s->status != EXL_OK)
            return s->status;
        exl__sha256_of(s->head, bytes, digest);
    }
    if (s->io->old_bytes >= bytes && memcmp(digest, header->new_sha256, sizeof digest) == 0)
        return s->status = exl__fail(s->error, EXL_PATCH_OF_ANOTHER_BUNDLE,
                                     "the bundle is already the one that the patch makes: there is nothing to do");
    if (s->io->old_bytes < bytes || s->io->old_bytes != header->old_bytes || sections > PATCH_MOST_SECTIONS ||
        !exl__is_hash(digest, header->old_sha256, sizeof digest))
        return s->status = exl__fail(s->error, EXL_PATCH_OF_ANOTHER_BUNDLE,
                                     "the patch was made for another bundle: fetch the one for this bundle, or the "
                                     "new bundle whole");
    patch_find_codes(s, s->head, sections, header->old_code_bytes, header->old_bytes, &s->old_turned);
    return s->status;
}

/* ---- the new bundle -------------------------------------------------------------------------------------------- */

static void patch_flush(patch_state *s) {
    if (s->out_bytes > 0 && s->status == EXL_OK)
        s->status = s->io->write_new(s->io->context, s->written, s->out, s->out_bytes, s->error);
    s->written += s->out_bytes;
    s->out_bytes = 0;
}

/* Bytes as they stand in the file. */
static void patch_emit(patch_state *s, const uint8_t *bytes, size_t length) {
    if (s->region == PATCH_IN_SECTION)
        exl__sha256_update(&s->hash, bytes, length);
    while (length > 0) {
        size_t room = PATCH_OUT_BYTES - s->out_bytes, take = length < room ? length : room;
        memcpy(s->out + s->out_bytes, bytes, take);
        s->out_bytes += take;
        bytes += take;
        length -= take;
        if (s->out_bytes == PATCH_OUT_BYTES)
            patch_flush(s);
    }
}

static void patch_emit_turned(patch_state *s, const uint8_t *bytes, size_t length) {
    patch_turned *turned = &s->new_turned;
    uint32_t size = turned->code_bytes * EXL__PATCH_TURNED_ROWS, fill = (uint32_t)((s->at - turned->start) % size);
    uint8_t column[EXL__PATCH_TURNED_ROWS];

    while (length > 0) {
        size_t take = length < size - fill ? length : size - fill;
        memcpy(turned->bytes + fill, bytes, take);
        fill += (uint32_t)take;
        bytes += take;
        length -= take;
        if (fill < size)
            continue;
        for (uint32_t byte = 0; byte < turned->code_bytes; byte++) {
            for (uint32_t row = 0; row < EXL__PATCH_TURNED_ROWS; row++)
                column[row] = turned->bytes[row * turned->code_bytes + byte];
            patch_emit(s, column, sizeof column);
        }
        fill = 0;
    }
}

static const uint8_t *patch_entry(const patch_state *s, uint32_t section) {
    return s->head + (size_t)PATCH_HEAD_BYTES * (1 + section);
}

static void patch_end_head(patch_state *s) {
    s->sections = exl__get32(s->head + 12);
    s->region = PATCH_IN_TABLE;
    s->boundary = PATCH_HEAD_BYTES * (1 + (uint64_t)s->sections);
    if (s->sections < 1 || s->sections > PATCH_MOST_SECTIONS || s->boundary > s->header->new_bytes)
        patch_fail(s, "makes a bundle with a header that the format forbids");
}

static void patch_end_table(patch_state *s) {
    uint8_t digest[PATCH_HASH_BYTES];

    exl__sha256_of(s->head, (size_t)s->boundary, digest);
    if (!exl__is_hash(digest, s->header->new_sha256, sizeof digest))
        patch_fail(s, "makes another bundle than it promises");
    patch_find_codes(s, s->head, s->sections, s->header->new_code_bytes, s->header->new_bytes, &s->new_turned);
    s->region = PATCH_IN_GAP;
    s->boundary = exl__get64(patch_entry(s, 0) + 8);
}

static void patch_end_section(patch_state *s) {
    uint8_t digest[PATCH_HASH_BYTES];

    exl__sha256_final(&s->hash, digest);
    if (!exl__is_hash(digest, patch_entry(s, s->section) + 24, sizeof digest))
        patch_fail(s,
                   "makes a section that does not match its hash: the old bundle is damaged, fetch the new one whole");
    s->section++;
    s->region = PATCH_IN_GAP;
    s->boundary = s->section < s->sections ? exl__get64(patch_entry(s, s->section) + 8) : s->header->new_bytes;
}

/* Goes on to the region that begins here. */
static void patch_next_region(patch_state *s) {
    while (s->at == s->boundary && s->status == EXL_OK) {
        if (s->region == PATCH_IN_HEAD)
            patch_end_head(s);
        else if (s->region == PATCH_IN_TABLE)
            patch_end_table(s);
        else if (s->region == PATCH_IN_SECTION)
            patch_end_section(s);
        else if (s->section == s->sections)
            return; /* the end of the file */
        else {
            exl__sha256_init(&s->hash);
            s->region = PATCH_IN_SECTION;
            s->boundary = exl__plus(s->at, exl__get64(patch_entry(s, s->section) + 16));
        }
        if (s->boundary < s->at || s->boundary > s->header->new_bytes)
            patch_fail(s, "makes a bundle whose sections do not lie where they must");
    }
}

/* The new file's next bytes, coarse codes turned; never more than there are to come. */
static void patch_put(patch_state *s, const uint8_t *bytes, size_t length) {
    while (length > 0 && s->status == EXL_OK) {
        uint64_t left = s->boundary - s->at;
        size_t take = left < length ? (size_t)left : length;

        for (size_t i = 0; i < take; i++)
            s->window[(s->at + i) % EXL__PATCH_WINDOW_BYTES] = bytes[i];
        if (s->region <= PATCH_IN_TABLE)
            memcpy(s->head + s->at, bytes, take);
        if (s->region == PATCH_IN_GAP && !exl__all_zero(bytes, take))
            patch_fail(s, "makes a bundle with hidden bytes between its sections");
        if (s->region == PATCH_IN_SECTION && s->at >= s->new_turned.start &&
            s->at - s->new_turned.start < s->new_turned.length)
            patch_emit_turned(s, bytes, take);
        else
            patch_emit(s, bytes, take);
        s->at += take;
        bytes += take;
        length -= take;
        patch_next_region(s);
    }
}

/* ---- operations ------------------------------------------------------------------------------------------------ */

static void patch_copy(patch_state *s, uint64_t length) {
    const uint64_t end = s->at + length;

    while (s->at < end && s->status == EXL_OK) {
        uint64_t take = end - s->at;
        const uint8_t *from = patch_old(s, &take);
        if (s->status != EXL_OK)
            return;
        for (uint64_t i = take > 2 ? take - 2 : 0; i < take; i++)
            exl__patch_note(&s->model, from[i], 0);
        patch_put(s, from, (size_t)take);
        s->cursor += take;
    }
}

static void patch_change(patch_state *s, uint64_t length) {
    uint8_t piece[PATCH_PIECE_BYTES];
    const uint64_t end = s->at + length;

    while (s->at < end && s->status == EXL_OK) {
        uint64_t take = end - s->at < sizeof piece ? end - s->at : sizeof piece;
        const uint8_t *from = patch_old(s, &take);
        for (uint64_t i = 0; i < take && s->status == EXL_OK; i++) {
            exl__patch_contexts contexts;
            uint8_t change;
            exl__patch_contexts_of(&s->model, 1, s->at + i, from[i], &contexts);
            change = patch_predicted_byte(s, &contexts);
            piece[i] = (uint8_t)(from[i] + change);
            exl__patch_note(&s->model, piece[i], change);
        }
        patch_put(s, piece, (size_t)take);
        s->cursor += take;
    }
}

static void patch_write(patch_state *s, uint64_t length, int is_raw) {
    uint8_t piece[PATCH_PIECE_BYTES];
    const uint64_t end = s->at + length;

    while (s->at < end && s->status == EXL_OK) {
        uint64_t take = end - s->at < sizeof piece ? end - s->at : sizeof piece;
        for (uint64_t i = 0; i < take && s->status == EXL_OK; i++) {
            exl__patch_contexts contexts;
            if (is_raw) {
                uint32_t byte = 0;
                for (int bit = 0; bit < 8; bit++)
                    byte = byte << 1 | patch_bit(s, 2048);
                piece[i] = (uint8_t)byte;
            } else {
                exl__patch_contexts_of(&s->model, 0, s->at + i, 0, &contexts);
                piece[i] = patch_predicted_byte(s, &contexts);
            }
            exl__patch_note(&s->model, piece[i], 0);
        }
        patch_put(s, piece, (size_t)take);
        s->cursor += take;
    }
}

static void patch_repeat(patch_state *s, uint64_t length) {
    uint64_t distance = patch_number(s, EXL__PATCH_OPERATIONS);

    if (distance > s->at || distance > EXL__PATCH_WINDOW_BYTES)
        patch_fail(s, "repeats what is not there");
    for (uint64_t i = 0; i < length && s->status == EXL_OK; i++) {
        uint8_t byte = s->window[(s->at - distance) % EXL__PATCH_WINDOW_BYTES];
        exl__patch_note(&s->model, byte, 0);
        patch_put(s, &byte, 1);
    }
    s->cursor += length;
}

static void patch_seek(patch_state *s) {
    uint32_t back = patch_counted_bit(s, &s->model.sign);
    uint64_t distance = patch_number(s, EXL__PATCH_SEEK);

    if (back ? distance > s->cursor : distance > s->header->old_bytes)
        patch_fail(s, "looks for bytes that the old bundle does not have");
    else
        s->cursor = back ? s->cursor - distance : s->cursor + distance;
}

static void patch_operate(patch_state *s) {
    uint32_t operation = patch_tree(s, s->model.operations[s->model.before], 3);
    uint64_t length;

    if (operation >= EXL__PATCH_OPERATIONS) {
        patch_fail(s, "holds an operation that is not known");
        return;
    }
    /* two moves one after the other are one, and so no patch goes on for ever without a byte */
    if (operation == EXL__PATCH_SEEK && s->model.before == EXL__PATCH_SEEK)
        patch_fail(s, "looks for bytes and takes none");
    s->model.before = operation;
    if (operation == EXL__PATCH_SEEK) {
        patch_seek(s);
        return;
    }
    length = patch_number(s, operation);
    if (length > s->header->new_bytes - s->at)
        patch_fail(s, "makes more than the bundle that it promises");
    if (operation <= EXL__PATCH_CHANGE && !exl__lies_within(s->cursor, length, s->header->old_bytes))
        patch_fail(s, "takes bytes that the old bundle does not have");
    if (s->status != EXL_OK)
        return;
    switch (operation) {
    case EXL__PATCH_COPY: patch_copy(s, length); break;
    case EXL__PATCH_CHANGE: patch_change(s, length); break;
    case EXL__PATCH_REPEAT: patch_repeat(s, length); break;
    default: patch_write(s, length, operation == EXL__PATCH_RAW);
    }
}

exl_status exl__patch_apply(const exl__patch_header *header, const exl__patch_io *io, const exl_allocator *allocator,
                            exl_error *error) {
    patch_state *s;
    exl_status status;

    if (io->patch_bytes != header->patch_bytes)
        return exl__fail(error, EXL_PATCH_MALFORMED, "the patch has %llu bytes, its header says %llu: fetch it again",
                         (unsigned long long)io->patch_bytes, (unsigned long long)header->patch_bytes);
    s = exl__allocate(allocator, 1, sizeof *s);
    if (!s)
        return exl__fail(error, EXL_OUT_OF_MEMORY, "no memory to update in: %zu bytes", sizeof *s);
    s->header = header;
    s->io = io;
    s->error = error;
    s->patch_at = EXL__PATCH_HEADER_BYTES;
    memcpy(s->next_sha256, header->first_sha256, PATCH_HASH_BYTES);
    s->last = UINT32_MAX;
    s->boundary = PATCH_HEAD_BYTES;
    exl__patch_model_init(&s->model);
    if (patch_check_old(s) == EXL_OK)
        for (int i = 0; i < 4; i++)
            s->code = s->code << 8 | patch_byte(s);
    while (s->status == EXL_OK && s->at < header->new_bytes)
        patch_operate(s);
    if (s->status == EXL_OK && (s->section < s->sections || s->region != PATCH_IN_GAP))
        patch_fail(s, "makes a bundle that ends before its sections do");
    if (s->status == EXL_OK && (s->block_at < s->block_end || s->patch_at < header->patch_bytes))
        patch_fail(s, "has bytes behind its end");
    patch_flush(s);
    status = s->status;
    exl__release(allocator, s, 1, sizeof *s);
    return status;
}
