/* exl-bench: how long a bundle takes on this device, stage by stage, and how much memory, as one JSON object.
 *
 *     exl-bench BUNDLE [--queries FILE] [--runs N] [--warmup N] [--threads N] [--engine PATH] [--labels-file PATH]
 *               [--copy]
 *
 * FILE holds a text a line, taken in turn; without it the bundle's own goldens are used. Lines that cannot be answered
 * end the run: a time of something else would be of no use. The bundle is opened without EXL_OPEN_VERIFY, as an app
 * opens it; load_ms is that, and first_ms is load and the first answer.
 */
#define _POSIX_C_SOURCE 200809L

#include <sys/resource.h>
#include <sys/utsname.h>
#include <time.h>

#include "command.h"

static const char USAGE[] =
    "usage: exl-bench BUNDLE [--queries FILE] [--runs N] [--warmup N] [--threads N] [--engine PATH]\n"
    "                 [--labels-file PATH] [--copy]\n";

enum { TIMES = EXL_STAGE_COUNT + 1 }; /* with the total */
#define TIME_NAME(NAME, name) name,
static const char *const TIME_NAMES[TIMES] = {EXL_STAGES(TIME_NAME) "total"};

typedef struct command {
    const char *bundle, *queries;
    uint32_t runs, warmup, copy;
    exl_open_options open;
} command;

typedef struct texts {
    struct {
        char *text;
        size_t bytes;
    } *at;
    size_t count, capacity;
} texts;

static double now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec * 1e-6;
}

static int parse(command *c, int count, char **arguments) {
    const option options[] = {{"--queries", .text = &c->queries},
                              {"--engine", .text = &c->open.engine_library},
                              {"--labels-file", .text = &c->open.labels_path},
                              {"--copy", .flag = &c->copy},
                              {"--runs", .number = &c->runs, .low = 1, .high = 10000000},
                              {"--warmup", .number = &c->warmup, .high = 10000000},
                              {"--threads", .number = &c->open.threads, .low = 1, .high = 1024}};

    for (int at = 1; at < count; at++) {
        int taken = take_option(options, sizeof options / sizeof *options, count, arguments, &at);

        if (taken < 0)
            return 0;
        if (taken == 0 && arguments[at][0] != '-' && !c->bundle)
            c->bundle = arguments[at];
        else if (taken == 0) {
            say("%s is not expected here", arguments[at]);
            fputs(USAGE, stderr);
            return 0;
        }
    }
    if (!c->bundle)
        fputs(USAGE, stderr);
    return c->bundle != NULL;
}

/* ---- queries ------------------------------------------------------------------------------------------------- */

static int add_text(texts *all, const char *text, size_t text_bytes) {
    char *copy = malloc(text_bytes + 1);

    if (copy && all->count == all->capacity) {
        size_t larger = all->capacity ? all->capacity * 2 : 256;
        void *moved = realloc(all->at, larger * sizeof *all->at);
        if (moved)
            all->at = moved, all->capacity = larger;
    }
    if (!copy || all->count == all->capacity) {
        free(copy);
        return 0;
    }
    memcpy(copy, text, text_bytes);
    all->at[all->count].text = copy;
    all->at[all->count++].bytes = text_bytes;
    return 1;
}

static int read_file(texts *all, const char *path) {
    line_reader reader = {.from = fopen(path, "rb")};
    int more = 1, code = EXIT_DONE;

    if (!reader.from)
        return no_line(path);
    while (more > 0 && (more = read_line(&reader)) > 0)
        if (reader.bytes > 0 && !add_text(all, reader.text, reader.bytes)) {
            errno = ENOMEM;
            more = -1;
        }
    if (more < 0)
        code = no_line(path);
    free(reader.text);
    fclose(reader.from);
    if (code != EXIT_DONE)
        return code;
    if (all->count == 0) {
        say("%s holds no query: give a file with a text a line", path);
        return EXIT_BAD_INPUT;
    }
    return EXIT_DONE;
}

static int read_goldens(texts *all, const exl_bundle *bundle) {
    exl_bundle_info info = {.struct_size = sizeof info};

    exl_bundle_get_info(bundle, &info, NULL);
    for (uint32_t i = 0; i < info.goldens; i++) {
        const char *text;
        size_t bytes;
        exl_status status = exl_golden_read(bundle, i, &text, &bytes, NULL);
        if (status == EXL_OK && !add_text(all, text, bytes))
            status = EXL_OUT_OF_MEMORY;
        if (status != EXL_OK) {
            say("%s", exl_describe_status(status));
            return exit_code_of(status);
        }
    }
    if (all->count == 0) {
        say("the bundle holds no goldens: give a file of queries");
        return EXIT_BAD_INPUT;
    }
    return EXIT_DONE;
}

/* ---- measuring ----------------------------------------------------------------------------------------------- */

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The smallest value that at least this share of the sorted values does not exceed. */
static double percentile(const double *sorted, uint32_t count, double share) {
    uint32_t at = (uint32_t)(share * count + 0.999999);
    return sorted[at < 1 ? 0 : (at > count ? count : at) - 1];
}

static void print_times(const char *name, double *times, uint32_t runs) {
    qsort(times, runs, sizeof *times, ascending);
    printf("\"%s\": {\"min_ms\": %.5f, \"p50_ms\": %.5f, \"p90_ms\": %.5f, \"p99_ms\": %.5f}", name, times[0],
           percentile(times, runs, 0.5), percentile(times, runs, 0.9), percentile(times, runs, 0.99));
}

/* Linux keeps ru_maxrss over exec: it would be that of the program that started this one where that was larger. */
static unsigned long long peak_resident_bytes(void) {
    struct rusage usage;
    char line[256];
    unsigned long long kib = 0;
    FILE *status = fopen("/proc/self/status", "r");

    while (status && kib == 0 && fgets(line, sizeof line, status))
        if (strncmp(line, "VmHWM:", 6) == 0)
            kib = strtoull(line + 6, NULL, 10);
    if (status)
        fclose(status);
    if (kib > 0)
        return kib * 1024;
    if (getrusage(RUSAGE_SELF, &usage) != 0)
        return 0;
#if defined(__APPLE__)
    return (unsigned long long)usage.ru_maxrss;
#else
    return (unsigned long long)usage.ru_maxrss * 1024;
#endif
}

/* Fills times[time * runs + run]; the first call's answer comes back as first_done_ms. */
static exl_status measure(exl_session *session, const command *c, const texts *all, double *times,
                          double *first_done_ms) {
    for (uint64_t run = 0; run < (uint64_t)c->warmup + c->runs; run++) {
        size_t query = (size_t)(run % all->count);
        const exl_result *result;
        exl_error error = {.struct_size = sizeof error};
        exl_status status = exl_predict(session, all->at[query].text, all->at[query].bytes, NULL, &result, &error);

        if (run == 0)
            *first_done_ms = now_ms();
        if (status != EXL_OK) {
            say("query %zu: %s", query + 1, error.sentence);
            return status;
        }
        for (size_t i = 0; i < TIMES && run >= c->warmup; i++)
            times[i * c->runs + (run - c->warmup)] = i < EXL_STAGE_COUNT ? result->stage_ms[i] : result->total_ms;
    }
    return EXL_OK;
}

static void print_report(const command *c, const exl_bundle *bundle, double *times, double load_ms, double first_ms) {
    exl_bundle_info info = {.struct_size = sizeof info};
    struct utsname machine;

    exl_bundle_get_info(bundle, &info, NULL);
    fputs("{\"device\": ", stdout);
    if (uname(&machine) == 0)
        json_string(stdout, machine.machine, strlen(machine.machine));
    else
        fputs("\"unknown\"", stdout);
    printf(", \"engine\": \"%s\", \"kernel\": \"%s\", \"threads\": %u, \"runs\": %u, \"stages\": {", info.engine,
           info.kernel, c->open.threads, c->runs);
    for (size_t i = 0; i < TIMES; i++) {
        print_times(TIME_NAMES[i], times + i * c->runs, c->runs);
        fputs(i == TIMES - 2 ? "}, " : i < TIMES - 1 ? ", " : "", stdout);
    }
    printf(", \"load_ms\": %.3f, \"first_ms\": %.3f, \"peak_resident_bytes\": %llu, \"mapped_bytes\": %llu}\n", load_ms,
           first_ms, peak_resident_bytes(), (unsigned long long)(info.copied ? 0 : info.file_bytes));
}

int main(int count, char **arguments) {
    command c = {.runs = 200, .warmup = 20, .open = {.struct_size = sizeof c.open, .threads = 1}};
    exl_bundle *bundle = NULL;
    exl_session *session = NULL;
    texts all = {0};
    double *times = NULL, start, loaded = 0, read_ms = 0, first_done = 0;
    exl_status status;
    int code;

    if (!parse(&c, count, arguments))
        return EXIT_BAD_INPUT;
    c.open.flags = c.copy ? EXL_OPEN_COPY : 0;
    start = now_ms();
    status = open_session(c.bundle, &c.open, &bundle, &session);
    loaded = now_ms();
    code = exit_code_of(status);
    if (status != EXL_OK)
        goto done;
    code = c.queries ? read_file(&all, c.queries) : read_goldens(&all, bundle);
    if (code != EXIT_DONE)
        goto done;
    times = malloc((size_t)c.runs * TIMES * sizeof *times);
    if (!times) {
        say("there is not enough memory for the times");
        code = EXIT_DEVICE;
        goto done;
    }
    read_ms = now_ms() - loaded; /* ours, not the bundle's */
    code = exit_code_of(measure(session, &c, &all, times, &first_done));
    if (code == EXIT_DONE)
        print_report(&c, bundle, times, loaded - start, first_done - start - read_ms);
done:
    for (size_t i = 0; i < all.count; i++)
        free(all.at[i].text);
    free(all.at);
    free(times);
    exl_session_close(session);
    exl_bundle_close(bundle);
    return finish(code);
}
