/* lookup.h: looking labels up by their ids, those of the bundle and those that were added. */
#ifndef EXL_LOOKUP_H
#define EXL_LOOKUP_H

#include "bundle.h"

#define EXL__NO_LABEL UINT32_MAX

typedef struct exl__text {
    const char *text;
    size_t bytes;
} exl__text;

/* How much of an id a sentence quotes. */
static inline int exl__quoted(size_t bytes) { return bytes < 200 ? (int)bytes : 200; }

/* found: [count], for each id the number of its label in the set, EXL__NO_LABEL where there is none. exact: the label
 * has the same bytes for its id; else, where none has, an equivalent one will do. One scan over all ids, however many
 * are looked up. live may be null. */
exl_status exl__labels_find(const exl_bundle *bundle, const exl__live *live, const exl__text *ids, uint32_t count,
                            int exact, uint32_t *found, exl_error *error);
/* labels.c: writes into the label file that the labels with these ids are retired from overlays, of which none need be
 * open. */
exl_status exl__labels_retire_overlaid(const exl_bundle *bundle, const exl__text *ids, uint32_t count,
                                       exl_error *error);
/* A string of one of the bundle's labels, without a closing NUL; *bytes is its length, also when that is more than
 * capacity. */
exl_status exl__label_string(const exl__strings *strings, uint32_t label, char *to, size_t capacity, size_t *bytes,
                             exl_error *error);

#endif
