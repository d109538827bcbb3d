/* goldens.h: the goldens section (docs/format.md): inputs with the answers that the compiler's machine gave. */
#ifndef EXL_GOLDENS_H
#define EXL_GOLDENS_H

#include "bundle.h"

typedef struct exl__goldens {
    uint32_t count, k;
    float tolerance;
    const uint8_t *at, *end; /* what is still to be read */
} exl__goldens;

typedef struct exl__golden {
    uint32_t text_bytes, token_count;
    const uint8_t *answers; /* k x (u32 label, f32 probability) */
    const uint8_t *tokens;  /* token_count x i32 */
    const char *text;
} exl__golden;

/* EXL_SELF_TEST_FAILED when the bundle holds no goldens. */
exl_status exl__goldens_begin(const exl_bundle *bundle, exl__goldens *goldens, exl_error *error);
/* Takes the next golden; call it `count` times at most. */
exl_status exl__goldens_next(const exl_bundle *bundle, exl__goldens *goldens, exl__golden *golden, exl_error *error);

#endif
