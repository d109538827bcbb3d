/* options.h: structs with struct_size cross the interface whole, whatever version of the header the caller has. */
#ifndef EXL_OPTIONS_H
#define EXL_OPTIONS_H

#include <stddef.h>

#include "status.h"

/* Copies the caller's struct (null: nothing) over our defaults; refuses fields set to nonzero that this library does
 * not know. */
exl_status exl__take_struct(void *ours, size_t our_bytes, const void *theirs, exl_error *error);
/* Fills the caller's struct as far as it goes; its struct_size is left alone. */
void exl__give_struct(void *theirs, const void *ours, size_t our_bytes);
/* Whether the caller's struct is there and its struct_size is set. */
int exl__can_give(const void *theirs);

#endif
