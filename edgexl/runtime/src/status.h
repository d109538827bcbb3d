/* status.h: how a failure travels: a status for the program, one sentence for the person. */
#ifndef EXL_STATUS_H
#define EXL_STATUS_H

#include "edgexl.h"

typedef struct exl__error {
    char text[512];
} exl__error;

/* Writes the sentence (cut to fit) and returns `status`, so that a check is one line: return exl__fail(...). */
#if defined(__GNUC__)
__attribute__((format(printf, 3, 4)))
#endif
exl_status exl__fail(exl__error *error, exl_status status, const char *format, ...);

#endif
