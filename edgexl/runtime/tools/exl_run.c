/* exl-run: text in, labels out, a line of JSON for each text.
 *
 *     exl-run BUNDLE [TEXT...] [options]        without TEXT, or with -: a text a line from standard input
 *
 * A text that cannot be answered gives a line with "text" and "error", the others go on; the exit code is then 2.
 */
#include <math.h>

#include "answer.h"
#include "arguments.h"
#include "command.h"
#include "lines.h"
#include "receipts.h"
#include "trust.h"

static const char USAGE[] =
    "usage: exl-run BUNDLE [TEXT...] [options]\n"
    "  TEXT              what to answer; none, or -, reads a text a line from standard input\n"
    "  -k N              at most N labels (default 5)\n"
    "  --threshold P     only labels at least this probable (0 to 1)\n"
    "  --above           only labels above the bundle's own threshold\n"
    "  --coverage P      the smallest set of labels that holds a right one this often (0 to 1)\n"
    "  --windows N       read a text longer than the bundle takes in at most N windows (default: the bundle's)\n"
    "  --explain ID      add the way of the label with this id through both stages\n"
    "  --receipt-key FILE  add the receipt of each answer, in base64, under the key that is in FILE\n"
    "  --receipts FILE   append the receipts to FILE instead; edgexl replay checks them\n"
    "  --labels-file PATH  labels added and retired since the compile (default: BUNDLE.labels)\n"
    "  --overlay PATH    labels over BUNDLE, by edgexl overlay; may be given repeatedly, the lowest first\n"
    "  --engine PATH     ONNX Runtime's library (default: $EDGEXL_ORT_LIBRARY, then the system's)\n"
    "  --threads N       threads of the engine (default 1)\n"
    "  --copy            read the bundle into memory, for a file that may be cut or written to meanwhile\n"
    "  --trust           do not hash the large sections, which saves reading the whole file\n" TRUST_USAGE
    "  --self-test       answer the bundle's goldens and compare; no TEXT\n"
    "  --version         print the version\n"
    "  --help            print this\n"
    "  --                what follows is TEXT\n";

enum { MOST_OVERLAYS = 64 };

typedef struct command {
    const char *bundle, *explain;
    const char *overlay_paths[MOST_OVERLAYS];
    exl_overlay overlays[MOST_OVERLAYS];
    char **texts;
    int text_count;
    uint32_t skips_hashes, copy, self_test;
    trust trust;
    uint32_t explain_label;
    char explain_text[65536]; /* no label is longer, docs/format.md */
    exl_open_options open;
    exl_predict_options predict;
    receipts receipts;
} command;

/* A share from 0 to 1 as it is written; 0 and a sentence where it is none. */
static int parse_share(const char *what, const char *written, float *share) {
    char *end = NULL;

    *share = strtof(written, &end);
    if (end != written && !*end && *share >= 0 && *share <= 1)
        return 1;
    say("the %s '%s' is not a probability from 0 to 1", what, written);
    return 0;
}

/* 1 = go on, 0 = wrong usage. Texts are moved to the front of `arguments`. */
static int parse(command *c, int count, char **arguments) {
    const char *threshold = NULL, *coverage = NULL;
    uint32_t above = 0, only_text = 0;
    option_values overlays = {c->overlay_paths, 0, MOST_OVERLAYS};
    const option options[] = {{"--", .flag = &only_text},
                              {"-k", .number = &c->predict.k, .low = 1, .high = UINT32_MAX},
                              {"--threads", .number = &c->open.threads, .low = 1, .high = 1024},
                              {"--threshold", .text = &threshold},
                              {"--above", .flag = &above},
                              {"--coverage", .text = &coverage},
                              {"--receipt-key", .text = &c->receipts.key_path},
                              {"--receipts", .text = &c->receipts.path},
                              {"--explain", .text = &c->explain},
                              {"--windows", .number = &c->predict.windows, .low = 1, .high = UINT32_MAX},
                              {"--engine", .text = &c->open.engine_library},
                              {"--labels-file", .text = &c->open.labels_path},
                              {"--overlay", .values = &overlays},
                              {"--copy", .flag = &c->copy},
                              {"--trust", .flag = &c->skips_hashes},
                              TRUST_OPTIONS(&c->trust),
                              {"--self-test", .flag = &c->self_test}};

    trust_begin(&c->trust);
    c->texts = arguments;
    for (int at = 1; at < count; at++) {
        char *argument = arguments[at];

        if (!only_text && argument[0] == '-' && argument[1] != '\0') {
            int taken = take_option(options, sizeof options / sizeof *options, count, arguments, &at);
            if (taken == 0) {
                say("unknown option %s", argument);
                fputs(USAGE, stderr);
            }
            if (taken <= 0)
                return 0;
        } else if (c->bundle)
            c->texts[c->text_count++] = argument;
        else
            c->bundle = argument;
    }
    for (size_t i = 0; i < overlays.count; i++)
        c->overlays[i] = (exl_overlay){.struct_size = sizeof *c->overlays, .path = c->overlay_paths[i]};
    c->open.overlays = overlays.count > 0 ? c->overlays : NULL;
    c->open.overlay_count = overlays.count;
    c->predict.use_threshold = threshold || above;
    c->predict.threshold = -1;
    if ((threshold && !parse_share("threshold", threshold, &c->predict.threshold)) ||
        (coverage && !parse_share("coverage", coverage, &c->predict.coverage)))
        return 0;
    if (c->receipts.path && !c->receipts.key_path) {
        say("--receipts needs --receipt-key");
        return 0;
    }
    if (!c->bundle)
        fputs(USAGE, stderr);
    return c->bundle != NULL && trust_take(&c->trust, c->skips_hashes, &c->open);
}

/* A score of a kind of row; null where the label has none of it. */
static void print_score(const char *key, float score) {
    if (score > -INFINITY)
        printf(", \"%s\": %.6g", key, (double)score);
    else
        printf(", \"%s\": null", key);
}

static void print_explanation(const command *c, const exl_explanation *way) {
    static const char *const kinds[] = {"text", "alias", "description"};

    fputs(", \"explanation\": {\"id\": ", stdout);
    json_string(stdout, c->explain, strlen(c->explain));
    fputs(", \"text\": ", stdout);
    json_string(stdout, c->explain_text, strlen(c->explain_text));
    printf(", \"index\": %u, \"screening_rank\": %u, \"screening_score\": %.6g, \"shortlisted\": %s, "
           "\"reasoner_rank\": %u, "
           "\"logit\": %.6g, \"probability\": %.6g, \"found_by\": \"%s\"",
           c->explain_label, way->screening_rank, (double)way->screening_score, way->shortlisted ? "true" : "false",
           way->reasoner_rank, (double)way->logit, (double)way->probability, kinds[way->found_by]);
    print_score("text_score", way->text_score);
    print_score("alias_score", way->alias_score);
    print_score("description_score", way->description_score);
    printf(", \"votes_score\": %.6g, \"words_score\": %.6g}", (double)way->votes_score, (double)way->words_score);
}

/* Prints one line for one text. */
static exl_status answer(exl_session *session, command *c, const char *text, size_t text_bytes) {
    exl_explanation way = {.struct_size = sizeof way};
    exl_error error = {.struct_size = sizeof error};
    const exl_result *result = NULL;
    exl_status status = EXL_OK;

    if (c->explain) /* first, since the result lives until the next call */
        status = exl_explain(session, text, text_bytes, c->explain_label, &way, &error);
    if (status == EXL_OK && c->receipts.key_path)
        status = make_receipt(&c->receipts, session, text, text_bytes, &c->predict, &result, &error);
    else if (status == EXL_OK)
        status = exl_predict(session, text, text_bytes, &c->predict, &result, &error);
    if (status != EXL_OK) {
        print_error(stdout, text, text_bytes, error.sentence);
        fputc('\n', stdout);
        return status;
    }
    print_answer(stdout, text, text_bytes, result);
    if (c->explain)
        print_explanation(c, &way);
    if (c->receipts.key_path)
        put_receipt(&c->receipts);
    fputs("}\n", stdout);
    return EXL_OK;
}

/* Texts go on after one that cannot be answered; the worst exit code counts. */
static int answer_lines(exl_session *session, command *c) {
    line_reader reader = {.from = stdin};
    int worst = EXIT_DONE, more;

    while ((more = read_line(&reader)) > 0) {
        int code = exit_code_of(answer(session, c, reader.text, reader.bytes));
        worst = code > worst ? code : worst;
        if (fflush(stdout) != 0) /* whoever writes the lines may wait for the answers */
            break;
    }
    if (more < 0) {
        int code = no_line("standard input");
        worst = code > worst ? code : worst;
    }
    free(reader.text);
    return worst;
}

static int answer_all(exl_session *session, command *c) {
    int worst = EXIT_DONE;

    if (c->text_count == 0)
        return answer_lines(session, c);
    for (int i = 0; i < c->text_count; i++) {
        const char *text = c->texts[i];
        int code =
            strcmp(text, "-") == 0 ? answer_lines(session, c) : exit_code_of(answer(session, c, text, strlen(text)));
        worst = code > worst ? code : worst;
    }
    return worst;
}

static int self_test(exl_session *session) {
    exl_self_test_report report = {.struct_size = sizeof report};
    exl_error error = {.struct_size = sizeof error};
    exl_status status = exl_self_test_run(session, &report, &error);

    printf("{\"goldens\": %u, \"failed\": %u, \"largest_probability_difference\": %.6g}\n", report.goldens,
           report.failed, (double)report.largest_probability_difference);
    if (status != EXL_OK)
        say("%s", error.sentence);
    return exit_code_of(status);
}

/* What is wrong for every text is said once, before the first. */
static exl_status check(const exl_bundle *bundle, command *c) {
    exl_bundle_info info = {.struct_size = sizeof info};
    exl_label label = {.struct_size = sizeof label, .text = c->explain_text, .text_capacity = sizeof c->explain_text};
    exl_error error = {.struct_size = sizeof error};
    exl_status status = exl_bundle_get_info(bundle, &info, &error);

    if (status == EXL_OK && c->predict.k > info.shortlist) {
        say("k is %u, the bundle's shortlist is %u", c->predict.k, info.shortlist);
        return EXL_BAD_K;
    }
    if (status == EXL_OK && c->predict.windows > info.windows) {
        say("windows is %u, the bundle reads in %u at most", c->predict.windows, info.windows);
        return EXL_BAD_ARGUMENT;
    }
    if (status == EXL_OK && c->explain) {
        status = exl_label_find(bundle, c->explain, strlen(c->explain), &c->explain_label, &error);
        if (status == EXL_OK)
            status = exl_label_read(bundle, c->explain_label, &label, &error);
        if (status != EXL_OK)
            say("%s: %s", c->explain, error.sentence);
    }
    return status;
}

int main(int count, char **arguments) {
    static command c = {.open.struct_size = sizeof c.open, .predict.struct_size = sizeof c.predict};
    exl_bundle *bundle = NULL;
    exl_session *session = NULL;
    exl_status status;
    int code;

    arguments = begin_command(&count, arguments);
    if (count == 2 && strcmp(arguments[1], "--version") == 0) {
        puts(exl_get_version());
        return finish(EXIT_DONE);
    }
    if (count == 2 && strcmp(arguments[1], "--help") == 0) {
        fputs(USAGE, stdout);
        return finish(EXIT_DONE);
    }
    if (!parse(&c, count, arguments))
        return EXIT_BAD_INPUT;
    c.open.flags = (c.skips_hashes ? 0 : EXL_OPEN_VERIFY) | (c.copy ? EXL_OPEN_COPY : 0);
    status = open_session(c.bundle, &c.open, NULL, &bundle, &session);
    if (status == EXL_OK)
        status = check(bundle, &c);
    code = exit_code_of(status);
    if (code == EXIT_DONE && c.receipts.key_path)
        code = begin_receipts(&c.receipts, session);
    if (code == EXIT_DONE)
        code = end_receipts(&c.receipts, c.self_test ? self_test(session) : answer_all(session, &c));
    exl_session_close(session);
    exl_bundle_close(bundle);
    return finish(code);
}
