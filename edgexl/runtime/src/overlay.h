/* overlay.h: files of labels over a bundle (docs/format.md, "Overlay"), which are read when it is opened and never
 * change after that. Their labels are the first of every set of live labels (live.h). */
#ifndef EXL_OVERLAY_H
#define EXL_OVERLAY_H

#include "bundle.h"

enum {
    EXL__OVERLAY_HEADER_BYTES = 256,
    EXL__OVERLAY_CHECK_AT = 224, /* the hash of what stands before it, which has the hashes of the rest */
    EXL__MOST_OVERLAYS = 64
};

typedef struct exl__overlay {
    exl__file file; /* a copy: nothing changes behind a check */
    uint64_t operations_end;
    uint32_t labels, rows;
    uint32_t queries;
    uint32_t signed_by;
    uint64_t signed_version;
    int is_calibrated; /* over this very bundle */
    exl__calibration calibration;
} exl__overlay;

struct exl__overlays {
    uint32_t count;
    uint32_t calibrated_by; /* the number of the last one that is calibrated, from 1 on; 0: none is */
    uint32_t labels, rows;  /* of all together */
    exl__overlay *each;     /* [count] */
    exl__live_label *all;   /* [labels], overlay by overlay; row_count is 0 where a later one has the id */
    uint32_t *numbers;      /* [labels]: the overlay that each is from, from 1 on */
    uint32_t *slots;        /* [slot_count]: an open-addressing table of ids: place in `all` + 1, or 0 */
    uint32_t slot_count;    /* a power of two, more than twice the labels */
    uint32_t hidden_count;
    uint32_t *hidden; /* [hidden_count]: labels of the bundle whose ids overlays have */
    void *memory;
    uint64_t memory_bytes;
};

/* Reads and checks the overlays of the options, of which there is one at least. */
exl_status exl__overlays_open(exl_bundle *bundle, const exl_open_options *options, exl_error *error);
void exl__overlays_close(exl_bundle *bundle);

/* The place in `all` of the label that counts among those with this id; EXL__NO_OVERLAID where there is none.
 * overlays may be null. */
#define EXL__NO_OVERLAID UINT32_MAX
uint32_t exl__overlays_find(const exl__overlays *overlays, const char *id, uint32_t id_bytes);
/* The calibration of the bundle with its overlays. */
const exl__calibration *exl__calibration_in_force(const exl_bundle *bundle);

/* Where a label is from, whether it is retired or not; *overlay: the overlay's number, or 0. */
exl_label_state exl__label_origin(const exl_bundle *bundle, uint32_t label, uint32_t *overlay);

static inline uint32_t exl__overlaid(const exl_bundle *bundle) {
    return bundle->overlays ? bundle->overlays->labels : 0;
}

#endif
