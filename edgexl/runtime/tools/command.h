/* command.h: what the tools share: exit codes as the Python command line's, what they say, and reading of options. */
#ifndef EXL_TOOLS_COMMAND_H
#define EXL_TOOLS_COMMAND_H

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "edgexl.h"
#include "json.h"

enum { EXIT_DONE = 0, EXIT_GATE_FAILED = 1, EXIT_BAD_INPUT = 2, EXIT_DEVICE = 3 };

/* 1xx, 3xx and an unreadable file are the caller's fault, the other 2xx and 4xx the device's. */
static int exit_code_of(exl_status status) {
    if (status == EXL_OK)
        return EXIT_DONE;
    if (status == EXL_SELF_TEST_FAILED)
        return EXIT_GATE_FAILED;
    if (status == EXL_FILE_UNREADABLE)
        return EXIT_BAD_INPUT;
    return status / 100 == 1 || status / 100 == 3 ? EXIT_BAD_INPUT : EXIT_DEVICE;
}

/* Says a sentence on standard error, as one line: paths, ids and texts in it may hold anything. */
#if defined(__GNUC__)
__attribute__((format(printf, 1, 2)))
#endif
static void
say(const char *format, ...) {
    char text[8192];
    va_list arguments;
    size_t bytes;

    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    bytes = strlen(text);
    for (size_t i = 0; i < bytes;) {
        const unsigned char *at = (const unsigned char *)text;
        uint32_t c;
        size_t length = exl__measure_utf8(at + i, at + bytes, &c);

        if (length == 0)
            fprintf(stderr, "\\x%02x", (unsigned)at[i]);
        else if (is_command(c))
            fprintf(stderr, c < 0x80 ? "\\x%02x" : "\\u%04x", (unsigned)c);
        else
            fwrite(text + i, 1, length, stderr);
        i += length > 0 ? length : 1;
    }
    fputc('\n', stderr);
}

/* Opens both, or says why not. how: null for a session as it comes. */
static exl_status open_session(const char *path, const exl_open_options *options, const exl_session_options *how,
                               exl_bundle **bundle, exl_session **session) {
    exl_error error = {.struct_size = sizeof error};
    exl_status status = exl_bundle_open(path, options, bundle, &error);

    if (status == EXL_OK)
        status = exl_session_open(*bundle, how, session, &error);
    if (status != EXL_OK)
        say("%s: %s", path, error.sentence);
    return status;
}

/* The exit code in the end: whatever was done, it is of no use where nobody got it. */
static int finish(int code) {
    if (fflush(stdout) == 0 && !ferror(stdout))
        return code;
    say("the output cannot be written: %s", strerror(errno));
    return EXIT_DEVICE;
}

/* What an option was given, each time that it was. */
typedef struct option_values {
    const char **at;
    size_t count, capacity;
} option_values;

/* An option: a flag, or with a value after it, a text, one of many, or a whole number from low to high. One of the four
 * is set. */
typedef struct option {
    const char *name;
    uint32_t *flag;
    const char **text;
    option_values *values;
    uint32_t *number;
    unsigned long low, high;
} option;

/* 1 = arguments[*at] is one of the options and is taken, 0 = it is none of them, -1 = its value is wrong. */
static int take_option(const option *options, size_t option_count, int count, char **arguments, int *at) {
    const option *one = options;
    const char *value;
    char *end = NULL;
    unsigned long parsed;

    while (one < options + option_count && strcmp(one->name, arguments[*at]) != 0)
        one++;
    if (one == options + option_count)
        return 0;
    if (one->flag)
        return *one->flag = 1, 1;
    if (*at + 1 == count) {
        say("the option %s needs a value", one->name);
        return -1;
    }
    value = arguments[++*at];
    if (one->text)
        return *one->text = value, 1;
    if (one->values && one->values->count == one->values->capacity) {
        say("the option %s is taken %zu times at most", one->name, one->values->capacity);
        return -1;
    }
    if (one->values)
        return one->values->at[one->values->count++] = value, 1;
    parsed = strtoul(value, &end, 10);
    if (*value < '0' || *value > '9' || *end || parsed < one->low || parsed > one->high) {
        say("the option %s takes a whole number from %lu to %lu, not '%s'", one->name, one->low, one->high, value);
        return -1;
    }
    return *one->number = (uint32_t)parsed, 1;
}

#endif
