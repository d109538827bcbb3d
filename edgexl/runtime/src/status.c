#include "compiler.h"

#include "status.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include "bare.h"

const char *exl_get_version(void) { return EXL_VERSION_STRING; }

const char *exl_describe_status(exl_status status) {
#define STATUS_SENTENCE(NAME, number, sentence)                                                                        \
    if (status == NAME)                                                                                                \
        return sentence;
    EXL_STATUSES(STATUS_SENTENCE)
    return "unknown status";
}

/* Bytes of the caller's sentence; 0 where there is none. */
static size_t status_sentence_bytes(const exl_error *error) {
    size_t head = offsetof(exl_error, sentence), most = sizeof *error - head;

    if (!error || error->struct_size <= head)
        return 0;
    return error->struct_size - head < most ? error->struct_size - head : most;
}

int exl__begin(exl_error *error, int is_given) {
    if (error && status_sentence_bytes(error) == 0)
        return 0;
    if (error) {
        error->status = EXL_OK;
        error->sentence[0] = '\0';
    }
    if (!is_given)
        exl__fail(error, EXL_BAD_ARGUMENT, "an argument is null, or its struct_size is not set with sizeof");
    return is_given;
}

exl_status exl__fail(exl_error *error, exl_status status, const char *format, ...) {
    size_t bytes = status_sentence_bytes(error);
    va_list arguments;

    if (bytes == 0)
        return status;
    error->status = (int32_t)status;
    va_start(arguments, format);
#if defined(EXL_BARE)
    exl__bare_format(error->sentence, bytes, format, arguments);
#else
    vsnprintf(error->sentence, bytes, format, arguments);
#endif
    va_end(arguments);
    return status;
}
