/* live.h: labels that were added and retired after the compile: those of overlays (overlay.h), then the label file next
 * to a bundle (docs/format.md, "Label file"), and the sets that are made of both.
 *
 * A set never changes. A change writes the file, reads it again and makes what it read the bundle's current set; a
 * session holds on to the set that its last prediction began with. A bundle without either has no set: null.
 *
 * In the file, labels that were added are numbered as if there were no overlays, so that it is of use with and without
 * them; in a set, they stand behind those of overlays. */
#ifndef EXL_LIVE_H
#define EXL_LIVE_H

#include "edgexl.h"
#include "lexical.h"
#include "platform.h"
#include "sha256.h"
#include "status.h"

enum {
    EXL__LIVE_HEADER_BYTES = 256, /* with both commits */
    EXL__COMMIT_AT = 128,
    EXL__COMMIT_BYTES = 64,
    EXL__OPERATION_BYTES = 24, /* before codes and strings */
    EXL__LONGEST_STRING = 65535
};

/* What is added to the label file's path for the one of a bundle that is about to take this one's place (update.c). */
#define EXL__NEXT_LABELS ".next"

/* Kinds of operations. */
enum { EXL__ADD_LABEL = 1, EXL__RETIRE_LABEL = 2, EXL__RETIRE_OVERLAID = 3 };

/* An operation of a label file or an overlay. */
typedef struct exl__live_operation {
    const uint8_t *bytes;
    uint32_t kind, label, rows;
    const char *id, *text; /* of a label that is added; of one that is retired from overlays the id alone */
    uint32_t id_bytes, text_bytes;
} exl__live_operation;

/* A label of an overlay, or that was added; its number is the bundle's labels + its place in the set. */
typedef struct exl__live_label {
    const uint8_t *operation; /* the bytes of an overlay or the file that added it */
    const char *id, *text;    /* NUL-terminated */
    uint32_t id_bytes, text_bytes;
    uint32_t first_row; /* of its rows: its own text's, then its aliases' */
    uint32_t row_count; /* 0 = retired, or another with its id counts */
} exl__live_label;

typedef struct exl__live exl__live;
struct exl__live {
    exl__live *older; /* in the store */
    uint32_t references;
    uint32_t added;            /* labels, retired ones among them: those of overlays, then the file's */
    uint32_t overlaid;         /* of these, those of overlays */
    uint32_t rows;             /* of those that are not retired */
    uint32_t retired_compiled; /* labels of the bundle */
    uint32_t retired_added;    /* labels of the file */
    uint32_t retired_overlaid;
    uint32_t has_aliases;
    exl__live_label *labels; /* [added] */
    uint32_t *row_labels;    /* [rows]: places in labels */
    uint8_t *coarse;         /* [ceil(rows / 256)][subspaces / 2][256] */
    uint8_t *fine;           /* [rows][stride] */
    uint64_t *dead; /* a bit for each row of the bundle that stands for retired labels only, in words of whole blocks;
                       null when there is none */
    uint64_t *dead_places; /* the same for the places of the coarse codes; without cells these are the rows */
    uint64_t *file_dead;   /* the same for the bundle's labels that the file retires; null when there is none */

    exl__added_words words; /* of the rows, where the bundle has a lexical side */

    uint8_t *file; /* [file_bytes]: as it was read, 8-byte aligned; null: there is no file, or an empty one */
    uint64_t file_bytes;
    uint32_t commit; /* which of the two is the newest that holds */
    uint64_t generation, newest_generation;
    uint64_t committed_bytes;
    exl__sha256 operations; /* of all committed ones */
    void *memory;           /* of the arrays */
    uint64_t memory_bytes;
};

/* The sets of an open bundle. */
typedef struct exl__live_store exl__live_store;
struct exl__live_store {
    exl__live_store *next; /* of another open bundle */
    exl__mutex changing;   /* held by whoever makes another set the current one, from reading the file on */
    exl__mutex mutex;      /* guards what follows, and all reference counts */
    exl__live *current;
    exl__live *sets;     /* all of them, current or still held */
    char *path;          /* null: there are overlays alone */
    uint64_t path_bytes; /* with the closing NUL */
    int locked;          /* the label file's descriptor while it is changed, otherwise negative */
};

/* live_store.c: makes the bundle's store, for the label file at `labels_path` (null: the bundle's path and ".labels";
 * without either there is none), and reads the file where it is there. */
exl_status exl__live_open(exl_bundle *bundle, const char *path, const char *labels_path, exl_error *error);
void exl__live_close(exl_bundle *bundle);

/* The current set, or null; held until it is given back. Nothing is allocated or released. */
const exl__live *exl__live_take(const exl_bundle *bundle);
void exl__live_give(const exl_bundle *bundle, const exl__live *live);
/* Makes a set (or null) the current one, and releases those that nothing holds any more. */
void exl__live_publish(const exl_bundle *bundle, exl__live *live);

/* live.c: the operation at *at of bytes that end at `end`, which moves on behind it; 0 where the format forbids
 * something in it. */
int exl__live_take_operation(const exl_bundle *bundle, const uint8_t *bytes, uint64_t end, uint64_t *at,
                             exl__live_operation *op);
/* The label that it adds. */
exl__live_label exl__live_label_of(const exl__live_operation *op);
/* The next id of a label that the file retires from overlays, from *at on (at first 0); null behind the last. */
const char *exl__live_next_retired(const exl_bundle *bundle, const exl__live *live, uint64_t *at, uint32_t *bytes);
/* The set of the bundle's overlays, and what a label file's bytes hold (null: none); they come from the allocator and
 * belong to the set, or are released. */
exl_status exl__live_parse(const exl_bundle *bundle, uint8_t *file, uint64_t file_bytes, exl__live **live,
                           exl_error *error);
/* Reads an open label file as it is now. A file that is empty gives null where there are no overlays. */
exl_status exl__live_read(const exl_bundle *bundle, int descriptor, exl__live **live, exl_error *error);
/* Reads the bundle's label file; null where there is none, nor an overlay. */
exl_status exl__live_load(const exl_bundle *bundle, exl__live **live, exl_error *error);
void exl__live_release(const exl_bundle *bundle, exl__live *live);

/* Whether the set has a label file with anything in it. live may be null. */
int exl__live_has_file(const exl__live *live);
/* Whether the label (a number of the bundle or of the set) is retired. live may be null. */
int exl__live_is_retired(const exl_bundle *bundle, const exl__live *live, uint32_t label);
/* One more than the largest label number. live may be null. */
uint32_t exl__live_end(const exl_bundle *bundle, const exl__live *live);

/* Bytes of a row's codes in an operation. */
uint64_t exl__live_row_bytes(const exl_bundle *bundle);
/* Writes the first 128 bytes of a label file of this bundle. */
void exl__live_header(const exl_bundle *bundle, uint8_t header[EXL__COMMIT_AT]);
/* Writes a commit: everything up to committed_bytes is in the set. `operations` is hashed up to there. */
void exl__live_commit(const uint8_t header[EXL__COMMIT_AT], uint64_t generation, uint64_t committed_bytes,
                      exl__sha256 operations, uint8_t commit[EXL__COMMIT_BYTES]);

#endif
