/* pieces.h: a bundle in pieces, each of which a test may change before they are put together and opened. */
#ifndef EXL_PIECES_H
#define EXL_PIECES_H

#include <math.h>

#include "../src/bundle.h"
#include "damage.h"

enum { ROOM = 1 << 20, KINDS = 24 };

static const char *scratch;
static file_bytes sound;
static uint8_t *bytes_of[KINDS]; /* [length + ROOM] of each section; the file is made of those with a length */
static uint64_t length_of[KINDS];
static uint32_t minor_version;
static uint8_t *file;

static inline void restore(void) {
    for (uint32_t kind = 0; kind < KINDS; kind++) {
        const uint8_t *entry = entry_of(sound.bytes, kind);
        length_of[kind] = entry ? get64(entry + 16) : 0;
        if (entry)
            memcpy(bytes_of[kind], sound.bytes + get64(entry + 8), (size_t)length_of[kind]);
    }
    minor_version = 0;
}

static inline void take_apart(const char *path, const char *scratch_path) {
    sound = read_file(path);
    scratch = scratch_path;
    for (uint32_t kind = 0; kind < KINDS; kind++) {
        const uint8_t *entry = entry_of(sound.bytes, kind);
        bytes_of[kind] = calloc(1, (entry ? (size_t)get64(entry + 16) : 0) + ROOM);
        CHECK(bytes_of[kind] != NULL);
    }
    file = malloc(sound.length + (size_t)KINDS * (ROOM + ALIGNMENT_BYTES));
    CHECK(file != NULL);
    restore();
}

static inline void put_away(void) {
    for (uint32_t kind = 0; kind < KINDS; kind++)
        free(bytes_of[kind]);
    free(file);
    free(sound.bytes);
}

/* The file that the sections make, into `file`; its length. */
static inline size_t put_together(void) {
    uint32_t count = 0, at = 0;
    size_t end;

    for (uint32_t kind = 0; kind < KINDS; kind++)
        count += length_of[kind] > 0;
    memcpy(file, sound.bytes, HEADER_BYTES);
    put(file + 10, minor_version, 2);
    put(file + 12, count, 4);
    end = HEADER_BYTES + (size_t)count * ENTRY_BYTES;
    memset(file + HEADER_BYTES, 0, end - HEADER_BYTES);
    for (uint32_t kind = 0; kind < KINDS; kind++) {
        uint8_t *entry = file + HEADER_BYTES + (size_t)at * ENTRY_BYTES;
        size_t begin = (end + ALIGNMENT_BYTES - 1) / ALIGNMENT_BYTES * ALIGNMENT_BYTES;
        if (length_of[kind] == 0)
            continue;
        memset(file + end, 0, begin - end);
        memcpy(file + begin, bytes_of[kind], (size_t)length_of[kind]);
        end = begin + (size_t)length_of[kind];
        put(entry, kind, 4), put(entry + 8, begin, 8), put(entry + 16, length_of[kind], 8);
        hash(bytes_of[kind], (size_t)length_of[kind], entry + 24);
        at++;
    }
    put(file + 16, end, 8);
    seal_table(file);
    return end;
}

static inline exl_bundle *open_file(size_t length, uint32_t flags, exl_status *status) {
    exl_open_options options = {.struct_size = sizeof options, .flags = flags};
    exl_bundle *bundle = NULL;

    write_file(scratch, file, length);
    *status = exl_bundle_open(scratch, &options, &bundle, &said);
    CHECK((*status == EXL_OK) == (bundle != NULL) && (*status == EXL_OK) == (said.sentence[0] == '\0'));
    return bundle;
}

static inline exl_status try_it(uint32_t flags) {
    exl_status status;

    exl_bundle_close(open_file(put_together(), flags, &status));
    return status;
}

/* Refused for being malformed, in these words; then all is sound again. */
#define CHECK_REFUSED(flags, words)                                                                                    \
    do {                                                                                                               \
        CHECK_STATUS(try_it(flags), EXL_BUNDLE_MALFORMED);                                                             \
        if (!strstr(said.sentence, words))                                                                             \
            fprintf(stderr, "it says: %s\n", said.sentence);                                                           \
        CHECK(strstr(said.sentence, words));                                                                           \
        restore();                                                                                                     \
    } while (0)
#define CHECK_OPENS(flags)                                                                                             \
    do {                                                                                                               \
        CHECK_STATUS(try_it(flags), EXL_OK);                                                                           \
        restore();                                                                                                     \
    } while (0)

static inline uint32_t bits_of(float number) {
    uint32_t bits;
    memcpy(&bits, &number, sizeof bits);
    return bits;
}

static inline uint32_t word_of(uint32_t kind, size_t at) { return get32(bytes_of[kind] + 4 * at); }
static inline void put_word(uint32_t kind, size_t at, uint32_t value) { put(bytes_of[kind] + 4 * at, value, 4); }
static inline void put_number(uint32_t kind, size_t at, float value) { put_word(kind, at, bits_of(value)); }

/* Words of the calibration section, bytes of an entry of a weights section. */
enum { INPUT = 8, KNOTS, THRESHOLD, PRESENCE, X };
enum { NAME_OFFSET = 0, NAME_BYTES = 4, TYPE = 8, RANK = 12, DIM = 16, DATA_OFFSET = 48, DATA_BYTES = 56 };

#endif
