/* exl-bench: how long a bundle takes on this device, stage by stage and operation by operation, and how much memory, as
 * one JSON object; or, with --limits, what the device can do at most. USAGE says how it is called.
 *
 * Texts that cannot be answered end the run: a time of something else would be of no use. The bundle is opened without
 * EXL_OPEN_VERIFY, as an app opens it; load_ms is that, and first_ms is load and the first answer.
 */
#define _GNU_SOURCE

#include <pthread.h>
#include <sys/utsname.h>

#include "limits.h"
#include "texts.h"

static const char USAGE[] =
    "usage: exl-bench BUNDLE [options]\n"
    "       exl-bench --limits [--core N] [--file PATH]\n"
    "  --queries FILE    a text a line, taken in turn (default: the bundle's goldens)\n"
    "  --runs N          timed queries (default 200)\n"
    "  --warmup N        queries before them (default 20)\n"
    "  --seconds N       go on for so long after that, and tell how times, clock and temperature drift\n"
    "  --sessions N      so many threads at a time, each with a session of its own (default 1)\n"
    "  --scan-threads N  that share a scan of the label index (default 1)\n"
    "  --threads N       of the engine (default 1)\n"
    "  --core N          stay on this core; auto: the fastest one\n"
    "  --cold            ask the system to drop the bundle from its memory first\n"
    "  --operations      tell what each operation takes, by runs of their own\n"
    "  --samples         tell every time, not only percentiles\n"
    "  --engine PATH     ONNX Runtime's library (default: $EDGEXL_ORT_LIBRARY, then the system's)\n"
    "  --labels-file PATH  labels added and retired since the compile (default: BUNDLE.labels)\n"
    "  --copy            read the bundle into memory instead of mapping it\n"
    "  --limits          tell what a core can do at most: multiply-adds, and bytes read from memory of growing size\n"
    "  --file PATH       with --limits: a file to read from the disk, the larger the better\n"
    "  --version         print the version\n"
    "  --help            print this\n";

enum { TIMES = EXL_STAGE_COUNT + 1, PARTS = 5, LEAST_OF_PART = 10, MOST_DRIFTS = 60 }; /* TIMES: with the total */
#define TIME_NAME(NAME, name) name,
static const char *const TIME_NAMES[TIMES] = {EXL_STAGES(TIME_NAME) "total"};

typedef struct command {
    const char *bundle, *queries, *core, *file;
    uint32_t runs, warmup, seconds, sessions, copy, cold, operations, samples, limits, help, version;
    exl_open_options open;
    exl_session_options session;
} command;

/* A session's run: all of its times, and where it stands. */
typedef struct bench {
    const command *c;
    exl_session *session;
    const texts *all;
    double *times; /* [TIMES][runs] */
    double *sorted;
    double first_done_ms;
    moment loaded, warm, done; /* before the first answer, before the timed runs and after them */
    moment first;              /* after the first answer */
    exl_status status;
} bench;

typedef struct drift {
    double at_s, p50_ms, mhz, celsius;
} drift;

static int parse(command *c, int count, char **arguments) {
    const option options[] = {{"--queries", .text = &c->queries},
                              {"--engine", .text = &c->open.engine_library},
                              {"--labels-file", .text = &c->open.labels_path},
                              {"--core", .text = &c->core},
                              {"--file", .text = &c->file},
                              {"--copy", .flag = &c->copy},
                              {"--cold", .flag = &c->cold},
                              {"--operations", .flag = &c->operations},
                              {"--samples", .flag = &c->samples},
                              {"--limits", .flag = &c->limits},
                              {"--help", .flag = &c->help},
                              {"--version", .flag = &c->version},
                              {"--runs", .number = &c->runs, .low = 1, .high = 10000000},
                              {"--warmup", .number = &c->warmup, .high = 10000000},
                              {"--seconds", .number = &c->seconds, .low = 1, .high = 86400},
                              {"--sessions", .number = &c->sessions, .low = 1, .high = 1024},
                              {"--scan-threads", .number = &c->session.scan_threads, .low = 1, .high = 64},
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
    if (c->help || c->version || c->limits)
        return 1;
    if (!c->bundle)
        fputs(USAGE, stderr);
    return c->bundle != NULL;
}

/* ---- measuring ----------------------------------------------------------------------------------------------- */

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The smallest value that at least this share of the sorted values does not exceed. */
static double percentile(const double *sorted, size_t count, double share) {
    size_t at = (size_t)(share * (double)count + 0.999999);
    return sorted[at < 1 ? 0 : (at > count ? count : at) - 1];
}

static double median(double *values, size_t count) {
    qsort(values, count, sizeof *values, ascending);
    return percentile(values, count, 0.5);
}

static exl_status predict(exl_session *session, const texts *all, uint64_t run, const exl_result **result) {
    size_t query = (size_t)(run % all->count);
    exl_error error = {.struct_size = sizeof error};
    exl_status status = exl_predict(session, all->at[query].text, all->at[query].bytes, NULL, result, &error);

    if (status != EXL_OK)
        say("query %zu: %s", query + 1, error.sentence);
    return status;
}

/* Fills times[time * runs + run] after the warm-up. */
static void *measure(void *context) {
    bench *b = context;
    const command *c = b->c;

    b->loaded = read_moment();
    b->warm = b->loaded;
    for (uint64_t run = 0; run < (uint64_t)c->warmup + c->runs && b->status == EXL_OK; run++) {
        const exl_result *result;

        if (run == c->warmup)
            b->warm = read_moment();
        b->status = predict(b->session, b->all, run, &result);
        if (run == 0) {
            b->first_done_ms = now_ms();
            b->first = read_moment();
        }
        for (size_t i = 0; i < TIMES && run >= c->warmup && b->status == EXL_OK; i++)
            b->times[i * c->runs + (run - c->warmup)] = i < EXL_STAGE_COUNT ? result->stage_ms[i] : result->total_ms;
    }
    b->done = read_moment();
    return NULL;
}

/* How far the medians of the runs' parts lie apart, in percent of their own; UNKNOWN for few runs. */
static double spread_percent(const double *times, uint32_t runs, double *scratch) {
    double least = INFINITY, most = 0;
    uint32_t part = runs / PARTS;

    if (part < LEAST_OF_PART)
        return UNKNOWN;
    for (uint32_t i = 0; i < PARTS; i++) {
        double middle;
        memcpy(scratch, times + i * part, part * sizeof *scratch);
        middle = median(scratch, part);
        least = middle < least ? middle : least;
        most = middle > most ? middle : most;
    }
    memcpy(scratch, times, runs * sizeof *scratch);
    return 100 * (most - least) / fmax(median(scratch, runs), 1e-9);
}

/* ---- the report ------------------------------------------------------------------------------------------------- */

static void print_times(const char *name, double *times, size_t count) {
    qsort(times, count, sizeof *times, ascending);
    printf("\"%s\": {\"min_ms\": %.5f, \"p50_ms\": %.5f, \"p90_ms\": %.5f, \"p99_ms\": %.5f}", name, times[0],
           percentile(times, count, 0.5), percentile(times, count, 0.9), percentile(times, count, 0.99));
}

static void print_samples(const double *times, uint32_t runs) {
    fputs("\"samples\": {", stdout);
    for (size_t i = 0; i < TIMES; i++) {
        printf("%s\"%s\": [", i ? ", " : "", TIME_NAMES[i]);
        for (uint32_t run = 0; run < runs; run++)
            printf("%s%.5f", run ? ", " : "", times[i * runs + run]);
        fputs("]", stdout);
    }
    fputs("}, ", stdout);
}

/* Goes on for c->seconds and says what it found in equal parts of that time; energy_mj_per_query is of all. */
static exl_status print_drifts(const command *c, bench *b, int core) {
    drift drifts[MOST_DRIFTS];
    uint32_t parts = c->seconds < MOST_DRIFTS ? c->seconds : MOST_DRIFTS, found = 0;
    double begin = now_ms(), *times = b->sorted;
    uint64_t run = 0;
    exl_status status = EXL_OK;
    moment from = read_moment(), to;

    for (uint32_t part = 0; part < parts; part++) {
        double end = begin + 1e3 * c->seconds * (part + 1) / parts;
        size_t count = 0;

        do {
            const exl_result *result;
            status = predict(b->session, b->all, run++, &result);
            if (status != EXL_OK)
                return status;
            times[count++ % ((size_t)c->runs * TIMES)] = result->total_ms;
        } while (now_ms() < end);
        count = count < (size_t)c->runs * TIMES ? count : (size_t)c->runs * TIMES;
        drifts[found++] = (drift){(now_ms() - begin) / 1e3, median(times, count), core_mhz(core), celsius()};
    }
    to = read_moment();
    fputs("\"sustained\": [", stdout);
    for (uint32_t i = 0; i < found; i++) {
        printf("%s{\"s\": %.2f, \"p50_ms\": %.5f, ", i ? ", " : "", drifts[i].at_s, drifts[i].p50_ms);
        print_number("mhz", drifts[i].mhz, 0);
        fputs(", ", stdout);
        print_number("celsius", drifts[i].celsius, 1);
        fputs("}", stdout);
    }
    fputs("], ", stdout);
    print_number("energy_mj_per_query", energy_mj(&from, &to) < 0 ? UNKNOWN : energy_mj(&from, &to) / (double)run, 4);
    fputs(", ", stdout);
    return status;
}

static void print_operation(const exl_operation *one, double *times, uint32_t runs, double macs, double bytes) {
    size_t rank = strncmp(one->kind, "linear", 6) == 0 ? 3 : 4; /* its last one is bits */

    while (rank > 1 && one->sizes[rank - 1] <= 1)
        rank--;
    printf("{\"graph\": \"%s\", \"number\": %u, \"kind\": \"%s\", \"function\": \"%s\", \"shape\": \"", one->graph,
           one->number, one->kind, one->function);
    for (size_t i = 0; i < rank; i++)
        printf("%s%llu", i ? "x" : "", (unsigned long long)one->sizes[i]);
    qsort(times, runs, sizeof *times, ascending);
    printf("\", \"min_ms\": %.6f, \"p50_ms\": %.6f, \"p90_ms\": %.6f, \"macs\": %.0f, \"bytes\": %.0f}", times[0],
           percentile(times, runs, 0.5), percentile(times, runs, 0.9), macs / runs, bytes / runs);
}

/* By a session of its own, for taking so many times takes time. macs and bytes are means of the runs. */
static exl_status print_operations(const command *c, exl_bundle *bundle, const texts *all, exl_error *error) {
    exl_session_options options = c->session;
    exl_session *session = NULL;
    double *times = NULL, *work = NULL, *totals = NULL;
    uint32_t count = 0;
    exl_status status;

    options.operation_times = 1;
    status = exl_session_open(bundle, &options, &session, error);
    if (status == EXL_NOT_SUPPORTED)
        return EXL_OK; /* the engine tells of none */
    if (status == EXL_OK) {
        count = exl_operations_count(session);
        times = malloc((size_t)count * c->runs * sizeof *times);
        work = calloc((size_t)count * 2, sizeof *work);
        totals = malloc(c->runs * sizeof *totals);
        if (!times || !work || !totals)
            say("there is not enough memory for the operations' times"), status = EXL_OUT_OF_MEMORY;
    }
    for (uint64_t run = 0; run < (uint64_t)c->warmup + c->runs && status == EXL_OK; run++) {
        const exl_result *result;

        status = predict(session, all, run, &result);
        if (run < c->warmup || status != EXL_OK)
            continue;
        totals[run - c->warmup] = result->total_ms;
        for (uint32_t i = 0; i < count; i++) {
            exl_operation one = {.struct_size = sizeof one};
            exl_operation_read(session, i, &one, NULL);
            times[i * (size_t)c->runs + (run - c->warmup)] = one.ms;
            work[2 * i] += (double)one.macs;
            work[2 * i + 1] += (double)one.bytes;
        }
    }
    if (status == EXL_OK) {
        printf("\"operations_total_p50_ms\": %.5f, \"operations\": [", median(totals, c->runs));
        for (uint32_t i = 0; i < count; i++) {
            exl_operation one = {.struct_size = sizeof one};
            exl_operation_read(session, i, &one, NULL);
            fputs(i ? ", " : "", stdout);
            print_operation(&one, times + i * (size_t)c->runs, c->runs, work[2 * i], work[2 * i + 1]);
        }
        fputs("], ", stdout);
    }
    free(times);
    free(work);
    free(totals);
    exl_session_close(session);
    return status;
}

/* Of all sessions' times together; benches[0] is this thread's. */
static void print_report(const command *c, const exl_bundle *bundle, bench *benches, int core, double cached,
                         double load_ms, double first_ms) {
    exl_bundle_info info = {.struct_size = sizeof info};
    struct utsname machine;
    size_t count = (size_t)c->runs * c->sessions;
    double spread = spread_percent(benches->times + (size_t)EXL_STAGE_COUNT * c->runs, c->runs, benches->sorted);
    double begin = INFINITY, end = 0;

    for (uint32_t i = 0; i < c->sessions; i++) {
        begin = fmin(begin, benches[i].warm.wall_ms);
        end = fmax(end, benches[i].done.wall_ms);
    }
    exl_bundle_get_info(bundle, &info, NULL);
    if (c->samples && c->sessions == 1)
        print_samples(benches->times, c->runs);
    fputs("\"device\": ", stdout);
    if (uname(&machine) == 0)
        json_string(stdout, machine.machine, strlen(machine.machine));
    else
        fputs("\"unknown\"", stdout);
    printf(
        ", \"engine\": \"%s\", \"kernel\": \"%s\", \"threads\": %u, \"scan_threads\": %u, \"runs\": %u, \"stages\": {",
        info.engine, info.kernel, c->open.threads, c->session.scan_threads ? c->session.scan_threads : 1, c->runs);
    for (size_t i = 0; i < TIMES; i++) {
        for (uint32_t s = 0; s < c->sessions; s++)
            memcpy(benches->sorted + (size_t)s * c->runs, benches[s].times + i * c->runs, c->runs * sizeof(double));
        print_times(TIME_NAMES[i], benches->sorted, count);
        fputs(i == TIMES - 2 ? "}, " : i < TIMES - 1 ? ", " : "", stdout);
    }
    printf(", \"sessions\": %u, \"queries_per_s\": %.2f, ", c->sessions, 1e3 * (double)count / fmax(end - begin, 1e-6));
    print_number("core", core, 0);
    fputs(", ", stdout);
    print_number("cached_percent", cached, 1);
    printf(", \"load_ms\": %.3f, \"first_ms\": %.3f, \"peak_resident_bytes\": %.0f, \"mapped_bytes\": %llu, ", load_ms,
           first_ms, peak_resident_bytes(), (unsigned long long)(info.copied ? 0 : info.file_bytes));
    print_memory();
    fputs(", \"faults\": {", stdout);
    print_faults("first", &benches->loaded, &benches->first);
    fputs(", ", stdout);
    print_faults("runs", &benches->warm, &benches->done);
    fputs("}, ", stdout);
    print_busy(&benches->warm, &benches->done, c->sessions, spread);
    fputs("}\n", stdout);
}

/* ---- the command ------------------------------------------------------------------------------------------------ */

/* Opens the further sessions, and memory for all times. */
static exl_status make_benches(const command *c, exl_bundle *bundle, exl_session *first, const texts *all,
                               bench *made) {
    exl_error error = {.struct_size = sizeof error};

    for (uint32_t i = 0; i < c->sessions; i++) {
        exl_status status = EXL_OK;
        size_t sorted = (size_t)c->runs * (i == 0 && c->sessions > TIMES ? c->sessions : TIMES);

        made[i] = (bench){.c = c, .session = i == 0 ? first : NULL, .all = all};
        if (i > 0)
            status = exl_session_open(bundle, &c->session, &made[i].session, &error);
        if (status != EXL_OK)
            say("%s: %s", c->bundle, error.sentence);
        made[i].times = malloc((size_t)c->runs * TIMES * sizeof *made[i].times);
        made[i].sorted = i == 0 ? malloc(sorted * sizeof *made[i].sorted) : NULL;
        if (status == EXL_OK && (!made[i].times || (i == 0 && !made[i].sorted))) {
            say("there is not enough memory for the times");
            status = EXL_OUT_OF_MEMORY;
        }
        if (status != EXL_OK)
            return status;
    }
    return EXL_OK;
}

static exl_status run_benches(const command *c, bench *benches) {
    pthread_t threads[1024];
    uint32_t started = 1;

    while (started < c->sessions && pthread_create(&threads[started], NULL, measure, &benches[started]) == 0)
        started++;
    if (started == c->sessions)
        measure(&benches[0]);
    else
        say("there is no thread for session %u: give fewer --sessions", started + 1),
            benches->status = EXL_OUT_OF_MEMORY;
    for (uint32_t i = 1; i < started; i++) {
        pthread_join(threads[i], NULL);
        if (benches->status == EXL_OK)
            benches->status = benches[i].status;
    }
    return benches->status;
}

static int run(command *c) {
    exl_bundle *bundle = NULL;
    exl_session *session = NULL;
    exl_error error = {.struct_size = sizeof error};
    texts all = {0};
    bench *benches = NULL;
    double start, loaded, cached, read_ms;
    int core = -1, code;
    exl_status status;

    if (c->core && (core = pin_to(c->core)) == -2)
        return EXIT_BAD_INPUT;
    cached = cached_percent(c->bundle, c->cold != 0);
    start = now_ms();
    status = open_session(c->bundle, &c->open, &c->session, &bundle, &session);
    loaded = now_ms();
    code = exit_code_of(status);
    if (status == EXL_OK)
        code = c->queries ? read_file(&all, c->queries) : read_goldens(&all, bundle);
    if (code == EXIT_DONE) {
        benches = calloc(c->sessions, sizeof *benches);
        status = benches ? make_benches(c, bundle, session, &all, benches) : EXL_OUT_OF_MEMORY;
        read_ms = now_ms() - loaded; /* ours, not the bundle's */
        if (status == EXL_OK)
            status = run_benches(c, benches);
        if (core >= 0 && !is_on(core))
            core = -1;
        if (status == EXL_OK) {
            fputs("{", stdout);
            if (c->operations)
                status = print_operations(c, bundle, &all, &error);
            if (status == EXL_OK && c->seconds)
                status = print_drifts(c, benches, core);
            if (status == EXL_OK)
                print_report(c, bundle, benches, core, cached, loaded - start,
                             benches->first_done_ms - start - read_ms);
        }
        code = exit_code_of(status);
    }
    for (uint32_t i = 0; benches && i < c->sessions; i++) {
        if (i > 0)
            exl_session_close(benches[i].session);
        free(benches[i].times);
        free(benches[i].sorted);
    }
    free(benches);
    free_texts(&all);
    exl_session_close(session);
    exl_bundle_close(bundle);
    return code;
}

int main(int count, char **arguments) {
    command c = {.runs = 200,
                 .warmup = 20,
                 .sessions = 1,
                 .open = {.struct_size = sizeof c.open, .threads = 1},
                 .session = {.struct_size = sizeof c.session}};

    if (!parse(&c, count, arguments))
        return EXIT_BAD_INPUT;
    c.open.flags = c.copy ? EXL_OPEN_COPY : 0;
    if (c.help)
        fputs(USAGE, stdout);
    else if (c.version)
        puts(exl_get_version());
    else if (c.limits) {
        int core = c.core ? pin_to(c.core) : -1;
        return finish(core == -2 ? EXIT_BAD_INPUT : print_limits(c.file, core));
    } else
        return finish(run(&c));
    return finish(EXIT_DONE);
}
