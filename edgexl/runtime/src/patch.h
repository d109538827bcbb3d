/* patch.h: makes a new bundle of an old one and a patch, front to back, as docs/updates.md has it. update.c does so
 * with files. */
#ifndef EXL_PATCH_H
#define EXL_PATCH_H

#include <stdint.h>

#include "patch_model.h"
#include "status.h"

/* A patch's header. */
typedef struct exl__patch_header {
    uint64_t patch_bytes, old_bytes, new_bytes;
    uint32_t old_code_bytes, new_code_bytes; /* of a row of coarse codes; 0: they are coded as they lie there */
    uint8_t old_sha256[32], new_sha256[32];  /* of the bundle's header and section table */
    uint8_t first_sha256[32];                /* of the first block behind the header */
} exl__patch_header;

/* Where bytes come from and go to. The old bundle's are read here and there, the patch's from the front to the end, and
 * the new bundle's are written in the same way, each once. */
typedef struct exl__patch_io {
    void *context;
    uint64_t old_bytes, patch_bytes;
    exl_status (*read_old)(void *context, uint64_t offset, void *bytes, size_t length, exl_error *error);
    exl_status (*read_patch)(void *context, uint64_t offset, void *bytes, size_t length, exl_error *error);
    exl_status (*write_new)(void *context, uint64_t offset, const void *bytes, size_t length, exl_error *error);
} exl__patch_io;

exl_status exl__patch_read_header(const uint8_t header[EXL__PATCH_HEADER_BYTES], exl__patch_header *of,
                                  exl_error *error);
/* Whether the patch is for this old bundle is looked at before anything is written. Whatever fails, what was written is
 * of no use; with EXL_OK it has the hashes that the patch promises, every section's and the table's. Takes one
 * allocation of less than a megabyte. */
exl_status exl__patch_apply(const exl__patch_header *header, const exl__patch_io *io, const exl_allocator *allocator,
                            exl_error *error);

#endif
