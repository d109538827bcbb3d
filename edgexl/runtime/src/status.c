#include "compiler.h"

#include "status.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

/* A field that is added behind must not fall into what an older program has for padding, which may hold anything. */
#define ENDS_WITH(type, last)                                                                                          \
    _Static_assert(sizeof(type) == offsetof(type, last) + sizeof(((type *)0)->last), "padding behind the last field")
ENDS_WITH(exl_error, sentence);
ENDS_WITH(exl_allocator, release);
ENDS_WITH(exl_open_options, labels_path);
ENDS_WITH(exl_bundle_info, manifest_bytes);
ENDS_WITH(exl_label, text_bytes);
ENDS_WITH(exl_session_options, reserved);
ENDS_WITH(exl_predict_options, coverage);
ENDS_WITH(exl_prediction, text);
ENDS_WITH(exl_result, total_ms);
ENDS_WITH(exl_batch, context);
ENDS_WITH(exl_explanation, probability);
ENDS_WITH(exl_self_test_report, tolerance);
ENDS_WITH(exl_new_label, alias_count);
ENDS_WITH(exl_add_options, context);
ENDS_WITH(exl_labels_info, file_bytes);

const char *exl_get_version(void) { return EXL_VERSION_STRING; }

const char *exl_describe_status(exl_status status) {
    switch (status) {
    case EXL_OK: return "done";
    case EXL_BAD_ARGUMENT: return "an argument is null, of the wrong size or not known";
    case EXL_EMPTY_TEXT: return "the text holds no token";
    case EXL_INVALID_UTF8: return "the text is not valid UTF-8";
    case EXL_BAD_K: return "k is larger than the bundle's shortlist";
    case EXL_NO_SUCH_LABEL: return "the bundle has no such label";
    case EXL_BUFFER_TOO_SMALL: return "the buffer is too small";
    case EXL_NO_ENGINE_LOADED: return "the bundle was opened without its engine";
    case EXL_LABEL_EXISTS: return "the label set has a label with that id";
    case EXL_NOT_SUPPORTED: return "the bundle does not hold what the option takes";
    case EXL_OUT_OF_MEMORY: return "there is not enough memory";
    case EXL_FILE_UNREADABLE: return "the file cannot be read";
    case EXL_FILE_UNWRITABLE: return "the file cannot be written";
    case EXL_NOT_DURABLE: return "the change is in force, but the system did not confirm that it is on the disk";
    case EXL_NOT_A_BUNDLE: return "the file is not an edgexl bundle";
    case EXL_VERSION_TOO_NEW: return "the bundle is of a newer format than this library";
    case EXL_BUNDLE_TRUNCATED: return "the bundle's length is not the one that it states";
    case EXL_BUNDLE_MALFORMED: return "the bundle breaks the format's rules";
    case EXL_BUNDLE_CORRUPT: return "the bundle's contents do not match their recorded hash";
    case EXL_LABELS_MALFORMED: return "the label file breaks the format's rules, or is damaged";
    case EXL_LABELS_OF_ANOTHER_BUNDLE: return "the label file was made for another bundle";
    case EXL_ENGINE_MISSING: return "the engine's library cannot be loaded";
    case EXL_ENGINE_TOO_OLD: return "the engine's library is too old";
    case EXL_ENGINE_REFUSED: return "the engine does not take one of the bundle's graphs";
    case EXL_ENGINE_FAILED: return "the engine failed or broke its contract";
    case EXL_SELF_TEST_FAILED: return "this device does not reproduce the bundle's recorded answers";
    }
    return "unknown status";
}

/* Bytes of the caller's sentence; 0 where there is none. */
static size_t sentence_bytes(const exl_error *error) {
    size_t head = offsetof(exl_error, sentence), most = sizeof *error - head;

    if (!error || error->struct_size <= head)
        return 0;
    return error->struct_size - head < most ? error->struct_size - head : most;
}

int exl__begin(exl_error *error, int is_given) {
    if (error && sentence_bytes(error) == 0)
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
    size_t bytes = sentence_bytes(error);
    va_list arguments;

    if (bytes == 0)
        return status;
    error->status = (int32_t)status;
    va_start(arguments, format);
    vsnprintf(error->sentence, bytes, format, arguments);
    va_end(arguments);
    return status;
}
