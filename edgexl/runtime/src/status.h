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

typedef struct exl__error {
    char text[512];
} exl__error;

/* Writes the sentence (cut to fit) and returns `status`, so that a check is one line: return exl__fail(...). */
exl_status exl__fail(exl__error *error, exl_status status, const char *format, ...) EXL__PRINTF(3, 4);

#endif
