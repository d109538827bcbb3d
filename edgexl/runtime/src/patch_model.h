/* patch_model.h: how a patch's contents are coded (docs/updates.md): bits by an arithmetic coder whose probabilities
 * adapt, bytes by three predictions that are mixed. patch.c reads with it, the writer in private/patch_writer.h writes
 * with it; whatever one of them computes the other must, so all of it is whole numbers. */
#ifndef EXL_PATCH_MODEL_H
#define EXL_PATCH_MODEL_H

#include <stdint.h>
#include <string.h>

enum {
    EXL__PATCH_HEADER_BYTES = 160,
    EXL__PATCH_BLOCK_BYTES = 65536, /* of the file; the first 32 are the hash of the block after it */
    EXL__PATCH_WINDOW_BYTES = 131072,
    EXL__PATCH_TURNED_ROWS = 256, /* of a block of coarse codes */
    EXL__PATCH_MOST_CODE_BYTES = 128
};

/* What the new file's next bytes are. The cursor is a place in the old file, which moves with each of these bytes. */
enum {
    EXL__PATCH_COPY,   /* those at the cursor */
    EXL__PATCH_CHANGE, /* those at the cursor and a difference, byte by byte */
    EXL__PATCH_WRITE,  /* bytes, coded by those before them */
    EXL__PATCH_RAW,    /* bytes that nothing predicts */
    EXL__PATCH_REPEAT, /* those so many before */
    EXL__PATCH_SEEK,   /* none: the cursor moves */
    EXL__PATCH_OPERATIONS
};

enum {
    EXL__PATCH_CONTEXTS = 32, /* of the first prediction; the others are in tables of so many entries: */
    EXL__PATCH_TABLE = 131072,
    EXL__PATCH_PREDICTIONS = 3
};

/* A probability that a bit is 1: 13 bits, above 3 bits that count how often it was met. */
typedef uint16_t exl__patch_counter;

typedef struct exl__patch_model {
    exl__patch_counter first[EXL__PATCH_CONTEXTS * 256];
    exl__patch_counter second[EXL__PATCH_TABLE];
    exl__patch_counter third[EXL__PATCH_TABLE];
    int32_t weights[2 * 256][EXL__PATCH_PREDICTIONS]; /* 65536 = 1; by the kind of byte and its bits so far */
    int16_t stretched[4096];                          /* ln(p / (1 - p)) in 1/256, of p in 1/4096 */

    exl__patch_counter operations[EXL__PATCH_OPERATIONS + 1][8]; /* by the operation before, none at first */
    exl__patch_counter magnitudes[EXL__PATCH_OPERATIONS + 1][64];
    exl__patch_counter leading[EXL__PATCH_OPERATIONS + 1][64][8];
    exl__patch_counter sign;
    uint32_t before; /* the operation before */

    uint8_t changes[2]; /* the last differences, the latest first; 0 after a copy */
    uint8_t bytes[2];   /* the last bytes of the new file, likewise */
} exl__patch_model;

static inline int32_t exl__patch_squash(int32_t x) {
    static const int16_t at[33] = {1,    2,    3,    6,    10,   16,   27,   45,   73,   120,  194,
                                   310,  488,  747,  1101, 1546, 2047, 2549, 2994, 3348, 3607, 3785,
                                   3901, 3975, 4022, 4050, 4068, 4079, 4085, 4089, 4092, 4093, 4094};
    int32_t up, part;

    if (x > 2047)
        return 4095;
    if (x < -2047)
        return 0;
    up = (x + 2048) >> 7;
    part = (x + 2048) & 127;
    return (at[up] * (128 - part) + at[up + 1] * part + 64) >> 7;
}

static inline void exl__patch_counters_init(exl__patch_counter *counters, size_t count) {
    for (size_t i = 0; i < count; i++)
        counters[i] = 4096 << 3;
}

static inline void exl__patch_model_init(exl__patch_model *model) {
    int32_t place = 0;

    memset(model, 0, sizeof *model);
    exl__patch_counters_init(model->first, EXL__PATCH_CONTEXTS * 256);
    exl__patch_counters_init(model->second, EXL__PATCH_TABLE);
    exl__patch_counters_init(model->third, EXL__PATCH_TABLE);
    exl__patch_counters_init(model->operations[0], sizeof model->operations / sizeof(exl__patch_counter));
    exl__patch_counters_init(model->magnitudes[0], sizeof model->magnitudes / sizeof(exl__patch_counter));
    exl__patch_counters_init(model->leading[0][0], sizeof model->leading / sizeof(exl__patch_counter));
    exl__patch_counters_init(&model->sign, 1);
    for (size_t i = 0; i < 2 * 256; i++)
        for (size_t j = 0; j < EXL__PATCH_PREDICTIONS; j++)
            model->weights[i][j] = 26214;
    for (int32_t x = -2047; x <= 2047; x++)
        for (int32_t p = exl__patch_squash(x); place <= p; place++)
            model->stretched[place] = (int16_t)x;
    for (; place < 4096; place++)
        model->stretched[place] = 2047;
    model->before = EXL__PATCH_OPERATIONS;
}

/* In 1/4096, never 0 or 1. */
static inline uint32_t exl__patch_chance(exl__patch_counter counter) {
    uint32_t p = counter >> 4;
    return p < 1 ? 1 : p;
}

static inline void exl__patch_count(exl__patch_counter *counter, uint32_t bit) {
    static const uint8_t slowness[8] = {2, 3, 4, 6, 8, 12, 18, 26};
    int32_t p = *counter >> 3, met = *counter & 7, target = bit ? 8191 : 0;

    p += (target - p) / slowness[met];
    *counter = (uint16_t)(p << 3 | (met < 7 ? met + 1 : 7));
}

/* A byte is coded from its highest bit on; `node` is 1 and the bits so far. */
typedef struct exl__patch_contexts {
    exl__patch_counter *counters[EXL__PATCH_PREDICTIONS];
    uint32_t bases[EXL__PATCH_PREDICTIONS];
    int32_t (*weights)[EXL__PATCH_PREDICTIONS];
    uint32_t is_change;
} exl__patch_contexts;

static inline uint32_t exl__patch_class_of(uint8_t change) {
    uint32_t size = change < 128 ? change : 256u - change;
    return size == 0 ? 0 : size == 1 ? 1 : size < 4 ? 2 : size < 16 ? 3 : 4;
}

/* What a byte at `place` of the new file is predicted from; old: the byte at the cursor. */
static inline void exl__patch_contexts_of(exl__patch_model *model, int is_change, uint64_t place, uint8_t old,
                                          exl__patch_contexts *at) {
    uint32_t last, more, small;

    if (is_change) {
        small = exl__patch_class_of(model->changes[0]) * 5 + exl__patch_class_of(model->changes[1]);
        last = 256u + old;
        more = (uint32_t)model->changes[0] << 8 | model->changes[1] | 1u << 16;
    } else {
        small = 25 + (uint32_t)(place & 3);
        last = model->bytes[0];
        more = (uint32_t)model->bytes[0] << 8 | model->bytes[1];
    }
    at->counters[0] = model->first;
    at->counters[1] = model->second;
    at->counters[2] = model->third;
    at->bases[0] = small * 256;
    at->bases[1] = last * 256;
    at->bases[2] = (more + 1) * 0x9E3779B1u;
    at->weights = model->weights + (is_change ? 256 : 0);
    at->is_change = is_change != 0;
}

typedef struct exl__patch_prediction {
    exl__patch_counter *counters[EXL__PATCH_PREDICTIONS];
    int32_t stretched[EXL__PATCH_PREDICTIONS];
    int32_t *weights;
    uint32_t chance;
} exl__patch_prediction;

static inline void exl__patch_predict(const exl__patch_model *model, const exl__patch_contexts *at, uint32_t node,
                                      exl__patch_prediction *of) {
    int64_t sum = 0;
    int32_t p;

    of->counters[0] = at->counters[0] + at->bases[0] + node;
    of->counters[1] = at->counters[1] + at->bases[1] + node;
    of->counters[2] = at->counters[2] + ((at->bases[2] + node * 0x2C1B3C6Du) >> 15);
    of->weights = at->weights[node];
    for (size_t i = 0; i < EXL__PATCH_PREDICTIONS; i++) {
        of->stretched[i] = model->stretched[exl__patch_chance(*of->counters[i])];
        sum += (int64_t)of->weights[i] * of->stretched[i];
    }
    sum /= 65536;
    p = exl__patch_squash(sum > 2047 ? 2047 : sum < -2047 ? -2047 : (int32_t)sum);
    of->chance = (uint32_t)(p < 1 ? 1 : p > 4095 ? 4095 : p);
}

/* Lets the predictions learn the bit that was coded. */
static inline void exl__patch_learn(exl__patch_prediction *of, uint32_t bit) {
    int32_t off = ((bit ? 4095 : 0) - (int32_t)of->chance) * 6;

    for (size_t i = 0; i < EXL__PATCH_PREDICTIONS; i++) {
        int32_t weight = of->weights[i] + of->stretched[i] * off / 65536;
        of->weights[i] = weight > 1 << 20 ? 1 << 20 : weight < -(1 << 20) ? -(1 << 20) : weight;
        exl__patch_count(of->counters[i], bit);
    }
}

/* What stands in the new file now. */
static inline void exl__patch_note(exl__patch_model *model, uint8_t byte, uint8_t change) {
    model->bytes[1] = model->bytes[0];
    model->bytes[0] = byte;
    model->changes[1] = model->changes[0];
    model->changes[0] = change;
}

/* The arithmetic coder's interval, from the first to the last number. */
static inline uint32_t exl__patch_split(uint32_t first, uint32_t last, uint32_t chance) {
    return first + ((last - first) >> 12) * chance;
}

#endif
