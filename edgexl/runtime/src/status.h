/* status.h: how a failure travels: a status for the program, one sentence for the person. */
#ifndef EXL_STATUS_H
#define EXL_STATUS_H

#include "edgexl.h"

/* Lets the compiler check a format against its arguments, where it can. */
#if defined(__GNUC__)
#define EXL__PRINTF(format_at, first_argument_at) __attribute__((format(printf, format_at, first_argument_at)))
#else
#define EXL__PRINTF(format_at, first_argument_at)
#endif

/* Begins a call of the interface: the caller's error (may be null) says nothing yet. 0, and it says so, where what must
 * be given is not; also 0 where the error's struct_size is not set. */
int exl__begin(exl_error *error, int is_given);
/* Writes the sentence (cut to fit) and returns `status`, so that a check is one line: return exl__fail(...). */
exl_status exl__fail(exl_error *error, exl_status status, const char *format, ...) EXL__PRINTF(3, 4);

#endif
