/* patch_writer.h: writes a patch's contents (docs/updates.md): what of the new file the old one has and what is coded
 * anew, by the model that patch.c reads with. A part of private.c, for the host alone: it takes memory as it needs it.
 */
#ifndef EXL_PATCH_WRITER_H
#define EXL_PATCH_WRITER_H

#include <math.h>
#include <stdlib.h>

#include "../src/patch_model.h"

enum {
    PATCH_WRITER_HASHED = 12, /* bytes of the old file that a look-up goes by, at every 4th place */
    PATCH_WRITER_STEP = 4,
    PATCH_WRITER_REPEATED = 6,    /* the same within the new file */
    PATCH_WRITER_LEAST_COPY = 20, /* a shorter copy costs more than its bytes as changes of 0 */
    PATCH_WRITER_LEAST_GAIN = 12, /* bytes that a copy from elsewhere must save */
    PATCH_WRITER_LEAST_REPEAT = 7,
    PATCH_WRITER_COMPARED = 64,
    PATCH_WRITER_PIECE = 2048, /* bytes that are coded in one way */
    PATCH_WRITER_RECENT = 4,
    PATCH_WRITER_REPEAT_BITS = 16
};

typedef struct patch_writer {
    exl__patch_model model;
    const uint8_t *old, *new;
    uint64_t old_bytes, new_bytes;
    uint64_t cursor;
    uint32_t first, last;
    uint8_t *out;
    uint64_t out_bytes, capacity;
    uint32_t costs[4097]; /* bits / 256 of a chance in 1/4096 */

    uint32_t *places; /* in the old file, / PATCH_WRITER_STEP, and 1; by hash */
    uint32_t place_bits;
    uint64_t repeats[1 << PATCH_WRITER_REPEAT_BITS]; /* places in the new file, and 1 */
    int64_t recent[PATCH_WRITER_RECENT];             /* where cursors were, less the place in the new file */
} patch_writer;

/* ---- bits ---- */

static void patch_writer_byte(patch_writer *w, uint8_t byte) {
    if (w->out_bytes < w->capacity)
        w->out[w->out_bytes] = byte;
    w->out_bytes++;
}

static void patch_writer_bit(patch_writer *w, uint32_t chance, uint32_t bit) {
    uint32_t split = exl__patch_split(w->first, w->last, chance);

    if (bit)
        w->last = split;
    else
        w->first = split + 1;
    while (((w->first ^ w->last) & 0xFF000000u) == 0) {
        patch_writer_byte(w, (uint8_t)(w->last >> 24));
        w->first <<= 8;
        w->last = w->last << 8 | 255;
    }
}

static void patch_writer_counted_bit(patch_writer *w, exl__patch_counter *counter, uint32_t bit) {
    patch_writer_bit(w, exl__patch_chance(*counter), bit);
    exl__patch_count(counter, bit);
}

static void patch_writer_tree(patch_writer *w, exl__patch_counter *tree, uint32_t bits, uint32_t value) {
    uint32_t node = 1;

    for (uint32_t i = bits; i-- > 0;) {
        uint32_t bit = value >> i & 1;
        patch_writer_counted_bit(w, tree + node, bit);
        node = node << 1 | bit;
    }
}

/* How many bits a number has behind its highest one; at least 1 is given. */
static inline uint32_t exl__patch_magnitude(uint64_t number) {
    uint32_t bits = 0;
    while (number >>= 1)
        bits++;
    return bits;
}

static void patch_writer_number(patch_writer *w, uint32_t kind, uint64_t number) {
    uint32_t magnitude = exl__patch_magnitude(number), led = magnitude < 3 ? magnitude : 3;

    patch_writer_tree(w, w->model.magnitudes[kind], 6, magnitude);
    patch_writer_tree(w, w->model.leading[kind][magnitude], led,
                      (uint32_t)(number >> (magnitude - led)) & ((1u << led) - 1));
    for (uint32_t i = magnitude - led; i-- > 0;)
        patch_writer_bit(w, 2048, (uint32_t)(number >> i) & 1);
}

static void patch_writer_predicted_byte(patch_writer *w, const exl__patch_contexts *contexts, uint8_t byte) {
    exl__patch_prediction of;
    uint32_t node = 1;

    for (uint32_t i = 8; i-- > 0;) {
        uint32_t bit = (uint32_t)byte >> i & 1;
        exl__patch_predict(&w->model, contexts, node, &of);
        patch_writer_bit(w, of.chance, bit);
        exl__patch_learn(&of, bit);
        node = node << 1 | bit;
    }
}

/* ---- operations ---- */

static void patch_writer_begin(patch_writer *w, uint32_t operation) {
    patch_writer_tree(w, w->model.operations[w->model.before], 3, operation);
    w->model.before = operation;
}

static void patch_writer_seek(patch_writer *w, uint64_t cursor) {
    uint32_t back = cursor < w->cursor;

    if (cursor == w->cursor)
        return;
    patch_writer_begin(w, EXL__PATCH_SEEK);
    patch_writer_counted_bit(w, &w->model.sign, back);
    patch_writer_number(w, EXL__PATCH_SEEK, back ? w->cursor - cursor : cursor - w->cursor);
    w->cursor = cursor;
}

static void patch_writer_copy(patch_writer *w, uint64_t at, int64_t shift, uint64_t length) {
    patch_writer_seek(w, (uint64_t)((int64_t)at + shift));
    patch_writer_begin(w, EXL__PATCH_COPY);
    patch_writer_number(w, EXL__PATCH_COPY, length);
    for (uint64_t i = length > 2 ? length - 2 : 0; i < length; i++)
        exl__patch_note(&w->model, w->new[at + i], 0);
    /* the reader notes the last two of each run of bytes that it has at hand, and so, in the end, of the last */
    w->cursor += length;
}

static void patch_writer_repeat(patch_writer *w, uint64_t at, uint64_t distance, uint64_t length) {
    patch_writer_begin(w, EXL__PATCH_REPEAT);
    patch_writer_number(w, EXL__PATCH_REPEAT, length);
    patch_writer_number(w, EXL__PATCH_OPERATIONS, distance);
    for (uint64_t i = 0; i < length; i++)
        exl__patch_note(&w->model, w->new[at + i], 0);
    w->cursor += length;
}

/* What `length` bytes cost in bits / 256, as the model is now; nothing is learned. */
static uint64_t patch_writer_model_cost(patch_writer *w, uint64_t at, const uint8_t *old, uint64_t length) {
    uint8_t changes[2], bytes[2];
    uint64_t cost = 0;

    memcpy(changes, w->model.changes, 2);
    memcpy(bytes, w->model.bytes, 2);
    for (uint64_t i = 0; i < length; i++) {
        uint8_t byte = w->new[at + i], change = old ? (uint8_t)(byte - old[i]) : 0, coded = old ? change : byte;
        exl__patch_contexts contexts;
        exl__patch_prediction of;
        uint32_t node = 1;
        exl__patch_contexts_of(&w->model, old != NULL, at + i, old ? old[i] : 0, &contexts);
        for (uint32_t b = 8; b-- > 0;) {
            uint32_t bit = (uint32_t)coded >> b & 1;
            exl__patch_predict(&w->model, &contexts, node, &of);
            cost += w->costs[bit ? of.chance : 4096 - of.chance];
            node = node << 1 | bit;
        }
        exl__patch_note(&w->model, byte, change);
    }
    memcpy(w->model.changes, changes, 2);
    memcpy(w->model.bytes, bytes, 2);
    return cost;
}

/* The same of a model that knows nothing yet but will learn: by how often each byte comes up. */
static uint64_t patch_writer_plain_cost(const uint8_t *new, const uint8_t *old, uint64_t length) {
    uint32_t counts[256] = {0};
    double bits = 0;

    for (uint64_t i = 0; i < length; i++)
        counts[(uint8_t)(new[i] - (old ? old[i] : 0))]++;
    for (int i = 0; i < 256; i++)
        if (counts[i])
            bits += counts[i] * log2((double)length / counts[i]) + 5;
    return (uint64_t)(bits * 256);
}

/* Bytes that are not copied, in the way that costs least. */
static void patch_writer_code(patch_writer *w, uint64_t at, int64_t shift, uint64_t length) {
    uint64_t from = (uint64_t)((int64_t)at + shift);
    const uint8_t *old = from <= w->old_bytes && length <= w->old_bytes - from ? w->old + from : NULL;
    uint64_t raw = length * 8 * 256, write, change = UINT64_MAX, plain;
    uint32_t operation = EXL__PATCH_RAW;

    write = patch_writer_model_cost(w, at, NULL, length);
    plain = patch_writer_plain_cost(w->new + at, NULL, length);
    write = plain < write ? plain : write;
    if (old) {
        change = patch_writer_model_cost(w, at, old, length);
        plain = patch_writer_plain_cost(w->new + at, old, length);
        change = (plain < change ? plain : change) + (w->cursor == from ? 0 : 28 * 256);
    }
    if (write < raw)
        operation = EXL__PATCH_WRITE;
    if (change < (write < raw ? write : raw)) {
        operation = EXL__PATCH_CHANGE;
        patch_writer_seek(w, from);
    }
    patch_writer_begin(w, operation);
    patch_writer_number(w, operation, length);
    for (uint64_t i = 0; i < length; i++) {
        uint8_t byte = w->new[at + i], was = operation == EXL__PATCH_CHANGE ? old[i] : 0;
        exl__patch_contexts contexts;
        if (operation == EXL__PATCH_RAW)
            for (uint32_t bit = 8; bit-- > 0;)
                patch_writer_bit(w, 2048, (uint32_t)byte >> bit & 1);
        else {
            exl__patch_contexts_of(&w->model, operation == EXL__PATCH_CHANGE, at + i, was, &contexts);
            patch_writer_predicted_byte(w, &contexts, (uint8_t)(byte - was));
        }
        exl__patch_note(&w->model, byte, operation == EXL__PATCH_CHANGE ? (uint8_t)(byte - was) : 0);
    }
    w->cursor += length;
}

static void patch_writer_code_all(patch_writer *w, uint64_t from, uint64_t to, int64_t shift) {
    for (; from < to; from += PATCH_WRITER_PIECE)
        patch_writer_code(w, from, shift, to - from < PATCH_WRITER_PIECE ? to - from : PATCH_WRITER_PIECE);
}

/* ---- what is alike ---- */

static uint32_t patch_writer_hash(const uint8_t *bytes, uint32_t count, uint32_t bits) {
    uint64_t low = 0, high = 0;

    memcpy(&low, bytes, count < 8 ? count : 8);
    if (count > 8)
        memcpy(&high, bytes + 8, count - 8);
    return (uint32_t)((low * 0x9E3779B97F4A7C15u ^ high * 0xC2B2AE3D27D4EB4Fu) * 0x9E3779B97F4A7C15u >> (64 - bits));
}

static uint64_t patch_writer_alike(const uint8_t *a, const uint8_t *b, uint64_t most) {
    uint64_t length = 0;

    while (most - length >= 8 && memcmp(a + length, b + length, 8) == 0)
        length += 8;
    while (length < most && a[length] == b[length])
        length++;
    return length;
}

/* How many bytes are the same from `at` on, with the old file's shifted. */
static uint64_t patch_writer_run(const patch_writer *w, uint64_t at, int64_t shift) {
    uint64_t from = (uint64_t)((int64_t)at + shift), left = w->new_bytes - at;

    if (from >= w->old_bytes)
        return 0;
    return patch_writer_alike(w->new + at, w->old + from, w->old_bytes - from < left ? w->old_bytes - from : left);
}

/* How many of the next `length` bytes are. */
static uint64_t patch_writer_same(const patch_writer *w, uint64_t at, int64_t shift, uint64_t length) {
    uint64_t from = (uint64_t)((int64_t)at + shift), same = 0;

    for (uint64_t i = 0; i < length && from + i < w->old_bytes && from < w->old_bytes; i++)
        same += w->new[at + i] == w->old[from + i];
    return same;
}

static int patch_writer_index(patch_writer *w) {
    uint64_t count = w->old_bytes / PATCH_WRITER_STEP;

    w->place_bits = 10;
    while (w->place_bits < 26 && (uint64_t)1 << w->place_bits < 2 * count)
        w->place_bits++;
    w->places = calloc((size_t)1 << w->place_bits, sizeof *w->places);
    if (!w->places)
        return 0;
    for (uint64_t i = 0; i * PATCH_WRITER_STEP + PATCH_WRITER_HASHED <= w->old_bytes && i < UINT32_MAX; i++)
        w->places[patch_writer_hash(w->old + i * PATCH_WRITER_STEP, PATCH_WRITER_HASHED, w->place_bits)] =
            (uint32_t)(i + 1);
    return 1;
}

/* A better shift for what follows `at`, where there is one: *length bytes are the same by it. */
static int patch_writer_find(const patch_writer *w, uint64_t at, int64_t *shift, uint64_t *length) {
    int64_t found = *shift;
    uint64_t most = 0, compared;

    for (size_t i = 0; i < PATCH_WRITER_RECENT; i++) {
        uint64_t run = w->recent[i] == *shift ? 0 : patch_writer_run(w, at, w->recent[i]);
        if (run > most)
            most = run, found = w->recent[i];
    }
    if (most < PATCH_WRITER_COMPARED && w->new_bytes - at >= PATCH_WRITER_HASHED) {
        uint32_t place = w->places[patch_writer_hash(w->new + at, PATCH_WRITER_HASHED, w->place_bits)];
        int64_t other = (int64_t)(place - 1) * PATCH_WRITER_STEP - (int64_t)at;
        uint64_t run = place ? patch_writer_run(w, at, other) : 0;
        if (run > most + 4)
            most = run, found = other;
    }
    if (most < PATCH_WRITER_LEAST_COPY)
        return 0;
    compared = most < PATCH_WRITER_COMPARED ? most : PATCH_WRITER_COMPARED;
    if (patch_writer_same(w, at, *shift, compared) + PATCH_WRITER_LEAST_GAIN > compared)
        return 0;
    *shift = found;
    *length = most;
    return 1;
}

/* How far back the bytes from `at` on stand already, *length of them; 0: they do not. */
static uint64_t patch_writer_find_repeat(patch_writer *w, uint64_t at, int64_t shift, uint64_t *length) {
    uint64_t found, most = w->new_bytes - at;
    uint64_t *slot;

    if (most < PATCH_WRITER_LEAST_REPEAT)
        return 0;
    slot = &w->repeats[patch_writer_hash(w->new + at, PATCH_WRITER_REPEATED, PATCH_WRITER_REPEAT_BITS)];
    found = *slot;
    *slot = at + 1;
    if (found == 0 || at - (found - 1) > EXL__PATCH_WINDOW_BYTES)
        return 0;
    *length = patch_writer_alike(w->new + at, w->new + found - 1, most);
    if (*length < PATCH_WRITER_LEAST_REPEAT || 2 * patch_writer_same(w, at, shift, *length) > *length)
        return 0;
    return at - (found - 1);
}

static void patch_writer_remember(patch_writer *w, int64_t shift) {
    size_t place = 0;

    while (place < PATCH_WRITER_RECENT - 1 && w->recent[place] != shift)
        place++;
    for (; place > 0; place--)
        w->recent[place] = w->recent[place - 1];
    w->recent[0] = shift;
}

/* starts: [count][2], ascending: where a section of the new file begins, and one that is like it in the old. */
static void patch_writer_write(patch_writer *w, const uint64_t *starts, size_t count) {
    uint64_t at = 0, pending = 0, length, distance;
    int64_t shift = 0;
    size_t section = 0;

    while (at < w->new_bytes) {
        int64_t next = shift;
        if (section < count && at >= starts[2 * section]) {
            next = (int64_t)starts[2 * section + 1] - (int64_t)starts[2 * section];
            section++;
            if (next != shift) {
                patch_writer_code_all(w, pending, at, shift);
                pending = at;
                patch_writer_remember(w, shift);
                shift = next;
            }
        }
        length = patch_writer_run(w, at, shift);
        if (length >= PATCH_WRITER_LEAST_COPY || (length > 0 && length == w->new_bytes - at)) {
            if (section < count && starts[2 * section] > at && length > starts[2 * section] - at)
                length = starts[2 * section] - at; /* it has an older one of its own */
            patch_writer_code_all(w, pending, at, shift);
            patch_writer_copy(w, at, shift, length);
            pending = at += length;
        } else if (patch_writer_find(w, at, &next, &length)) {
            while (at > pending && (int64_t)at + next > 0 && w->new[at - 1] == w->old[(int64_t)at + next - 1])
                at--;
            patch_writer_code_all(w, pending, at, shift);
            patch_writer_remember(w, shift);
            shift = next;
            pending = at;
        } else if ((distance = patch_writer_find_repeat(w, at, shift, &length)) > 0) {
            patch_writer_code_all(w, pending, at, shift);
            patch_writer_repeat(w, at, distance, length);
            pending = at += length;
        } else
            at++;
    }
    patch_writer_code_all(w, pending, at, shift);
    for (uint32_t i = 0; i < 4; i++)
        patch_writer_byte(w, (uint8_t)(w->first >> (24 - 8 * i)));
}

/* The contents of a patch from old to new, both with their coarse codes turned, at most `capacity` bytes of them in
 * `out`; gives how many these are, or would be. 0: no memory. */
EXL_API uint64_t private_patch_write(const uint8_t *old, uint64_t old_bytes, const uint8_t *new, uint64_t new_bytes,
                                     const uint64_t *starts, size_t count, uint8_t *out, uint64_t capacity) {
    patch_writer *w = calloc(1, sizeof *w);
    uint64_t written;

    if (!w)
        return 0;
    exl__patch_model_init(&w->model);
    w->old = old;
    w->new = new;
    w->old_bytes = old_bytes;
    w->new_bytes = new_bytes;
    w->last = UINT32_MAX;
    w->out = out;
    w->capacity = capacity;
    for (int p = 1; p <= 4096; p++)
        w->costs[p] = (uint32_t)(-log2(p / 4096.0) * 256 + 0.5);
    if (patch_writer_index(w))
        patch_writer_write(w, starts, count);
    written = w->out_bytes;
    free(w->places);
    free(w);
    return written;
}

#endif
