/* exl-serve: answers over HTTP on this machine alone, for programs that cannot link the library.
 *
 *     exl-serve BUNDLE [--port N]
 *     curl -d 'a large body of water' localhost:8017/predict
 *     curl 'localhost:8017/predict?text=a+large+body+of+water&k=3'
 *
 * It listens on 127.0.0.1 and answers only who calls it by a name of this machine's own, so that no page of the web
 * reaches it by a name that points here. Each thread has a session and serves one connection at a time. */
#define _GNU_SOURCE /* and on Apple _DARWIN_C_SOURCE, which is the default there */

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "answer.h"
#include "command.h"
#include "trust.h"

static const char USAGE[] =
    "usage: exl-serve BUNDLE [options]\n"
    "  --port N          where to listen, on 127.0.0.1 (default 8017; 0: a free one)\n"
    "  --threads N       texts answered at a time, 1 to 64 (default 2)\n"
    "  --labels-file PATH  labels added and retired since the compile (default: BUNDLE.labels)\n"
    "  --trust           do not hash the large sections, which saves reading the whole file\n" TRUST_USAGE
    "  --version         print the version\n"
    "  --help            print this\n";

enum { MOST_BYTES = 1 << 16, MOST_THREADS = 64, CONNECTION_SECONDS = 10 };

typedef struct request {
    char bytes[MOST_BYTES + 1]; /* head and body; what the URL says of the text is decoded in place */
    size_t count;
    const char *text; /* in `bytes`; null: there is none */
    size_t text_bytes;
    exl_predict_options options;
} request;

typedef struct worker {
    pthread_t thread;
    int listener;
    exl_bundle *bundle;
    exl_session *session;
    request request;
} worker;

/* ---- a request ------------------------------------------------------------------------------------------------- */

static int digit_of(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 32);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Undoes %XX and + in place; the length that is left. */
static size_t decode(char *at, size_t bytes) {
    size_t to = 0;

    for (size_t i = 0; i < bytes; i++, to++) {
        if (at[i] == '%' && i + 2 < bytes && digit_of(at[i + 1]) >= 0 && digit_of(at[i + 2]) >= 0) {
            at[to] = (char)(digit_of(at[i + 1]) * 16 + digit_of(at[i + 2]));
            i += 2;
        } else
            at[to] = at[i] == '+' ? ' ' : at[i];
    }
    return to;
}

/* What the URL asks for; null, or what is wrong with it. */
static const char *read_query(request *r, char *query) {
    for (char *next; query; query = next) {
        char *end = NULL;

        next = strchr(query, '&');
        if (next)
            *next++ = '\0';
        if (strncmp(query, "text=", 5) == 0) {
            r->text = query + 5;
            r->text_bytes = decode(query + 5, strlen(query + 5));
        } else if (strncmp(query, "k=", 2) == 0) {
            unsigned long k = strtoul(query + 2, &end, 10);
            if (query[2] < '0' || query[2] > '9' || *end || k == 0 || k > UINT32_MAX)
                return "k is a whole number from 1";
            r->options.k = (uint32_t)k;
        } else if (strncmp(query, "threshold=", 10) == 0) {
            r->options.use_threshold = 1;
            r->options.threshold = strtof(query + 10, &end);
            if (end == query + 10 || *end || !(r->options.threshold >= 0 && r->options.threshold <= 1))
                return "threshold is a probability from 0 to 1";
        } else if (*query)
            return "this takes text, k and threshold";
    }
    return NULL;
}

/* A header's value within the head, ended by a NUL, in `value`; 0 where there is none that fits. */
static int find_header(const char *head, const char *name, char *value, size_t capacity) {
    size_t name_bytes = strlen(name);

    for (const char *line = strstr(head, "\r\n"); line; line = strstr(line, "\r\n")) {
        line += 2;
        if (strncasecmp(line, name, name_bytes) == 0 && line[name_bytes] == ':') {
            size_t bytes;
            line += name_bytes + 1;
            line += strspn(line, " \t");
            bytes = strcspn(line, "\r");
            if (bytes >= capacity)
                return 0;
            memcpy(value, line, bytes);
            value[bytes] = '\0';
            return 1;
        }
    }
    return 0;
}

/* Whether a Host header names this machine as only it is named. */
static int is_own_name(const char *host) {
    static const char *const names[] = {"localhost", "127.0.0.1", "[::1]"};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        size_t bytes = strlen(names[i]);
        if (strncasecmp(host, names[i], bytes) == 0 && (host[bytes] == '\0' || host[bytes] == ':'))
            return 1;
    }
    return 0;
}

/* 1 = more bytes have come, 0 = none will, or not in time. */
static int receive(int connection, request *r, time_t until) {
    struct pollfd one = {.fd = connection, .events = POLLIN};
    time_t left = until - time(NULL);
    ssize_t got;

    if (left <= 0 || r->count >= MOST_BYTES || poll(&one, 1, (int)left * 1000) <= 0)
        return 0;
    got = recv(connection, r->bytes + r->count, MOST_BYTES - r->count, 0);
    if (got > 0)
        r->count += (size_t)got;
    r->bytes[r->count] = '\0';
    return got > 0;
}

/* ---- an answer ------------------------------------------------------------------------------------------------- */

static void send_all(int connection, const char *bytes, size_t count) {
    while (count > 0) {
        ssize_t sent = send(connection, bytes, count, 0);
        if (sent <= 0)
            return;
        bytes += sent;
        count -= (size_t)sent;
    }
}

static void respond(int connection, int code, const char *word, const char *body, size_t body_bytes) {
    char head[256];
    int bytes = snprintf(head, sizeof head,
                         "HTTP/1.1 %d %s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n"
                         "X-Content-Type-Options: nosniff\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n",
                         code, word, body_bytes);

    send_all(connection, head, (size_t)bytes);
    send_all(connection, body, body_bytes);
}

static void refuse(int connection, int code, const char *word, const char *sentence) {
    char body[512];
    int bytes = snprintf(body, sizeof body, "{\"error\": \"%s\"}\n", sentence); /* ours: nothing to be escaped */

    respond(connection, code, word, body, (size_t)bytes);
}

static void predict(worker *w, int connection) {
    request *r = &w->request;
    exl_error error = {.struct_size = sizeof error};
    const exl_result *result = NULL;
    exl_status status = exl_predict(w->session, r->text, r->text_bytes, &r->options, &result, &error);
    char *body = NULL;
    size_t body_bytes = 0;
    FILE *to = open_memstream(&body, &body_bytes);

    if (!to) {
        refuse(connection, 503, "Service Unavailable", "there is not enough memory");
        return;
    }
    if (status == EXL_OK)
        print_answer(to, r->text, r->text_bytes, result);
    else
        print_error(to, r->text, r->text_bytes, error.sentence);
    fputs(status == EXL_OK ? "}\n" : "\n", to);
    if (fclose(to) != 0)
        refuse(connection, 503, "Service Unavailable", "there is not enough memory");
    else if (status == EXL_OK)
        respond(connection, 200, "OK", body, body_bytes);
    else
        respond(connection, status / 100 == 1 ? 422 : 500,
                status / 100 == 1 ? "Unprocessable Content" : "Internal Error", body, body_bytes);
    free(body);
}

static void tell_health(worker *w, int connection) {
    exl_labels_info info = {.struct_size = sizeof info};
    char body[256];
    int bytes;

    exl_labels_get_info(w->bundle, &info, NULL);
    bytes = snprintf(body, sizeof body, "{\"status\": \"ok\", \"version\": \"%s\", \"labels\": %u}\n",
                     exl_get_version(), info.labels);
    respond(connection, 200, "OK", body, (size_t)bytes);
}

static void serve(worker *w, int connection) {
    request *r = &w->request;
    time_t until = time(NULL) + CONNECTION_SECONDS;
    char *body, *target, *end, *query, value[128];
    const char *wrong;
    unsigned long wanted = 0;
    int is_post;

    r->count = 0;
    r->text = NULL;
    memset(&r->options, 0, sizeof r->options);
    r->options.struct_size = sizeof r->options;
    while (r->bytes[r->count] = '\0', !(body = strstr(r->bytes, "\r\n\r\n")))
        if (!receive(connection, r, until)) {
            if (r->count >= MOST_BYTES)
                refuse(connection, 431, "Request Header Fields Too Large", "the head is too long");
            return;
        }
    body[2] = '\0'; /* the head ends after its last line */
    body += 4;
    if (!find_header(r->bytes, "Host", value, sizeof value) || !is_own_name(value)) {
        refuse(connection, 421, "Misdirected Request", "call this by localhost");
        return;
    }
    is_post = strncmp(r->bytes, "POST ", 5) == 0;
    if (!is_post && strncmp(r->bytes, "GET ", 4) != 0) {
        refuse(connection, 405, "Method Not Allowed", "this takes GET and POST");
        return;
    }
    if (is_post && find_header(r->bytes, "Content-Length", value, sizeof value)) {
        wanted = strtoul(value, &end, 10);
        if (*value < '0' || *value > '9' || *end || wanted > (unsigned long)(MOST_BYTES - (body - r->bytes))) {
            refuse(connection, 413, "Content Too Large", "a request has 65536 bytes at most");
            return;
        }
    } else if (is_post) {
        refuse(connection, 411, "Length Required", "say the Content-Length");
        return;
    }
    while (r->count - (size_t)(body - r->bytes) < wanted)
        if (!receive(connection, r, until))
            return;
    if (is_post) {
        r->text = body;
        r->text_bytes = wanted;
    }
    target = strchr(r->bytes, ' ') + 1;
    target[strcspn(target, " \r")] = '\0';
    query = strchr(target, '?');
    if (query)
        *query++ = '\0';
    if (strcmp(target, "/health") == 0)
        tell_health(w, connection);
    else if (strcmp(target, "/predict") != 0)
        refuse(connection, 404, "Not Found", "there are /predict and /health");
    else if ((wrong = read_query(r, query)) != NULL)
        refuse(connection, 400, "Bad Request", wrong);
    else if (!r->text)
        refuse(connection, 400, "Bad Request", "POST a text, or give it as ?text=");
    else
        predict(w, connection);
}

static void *work(void *argument) {
    const struct timeval patience = {.tv_sec = CONNECTION_SECONDS};
    worker *w = argument;

    for (;;) {
        int connection = accept(w->listener, NULL, NULL);
        if (connection < 0) {
            if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
                poll(NULL, 0, 100);
            continue;
        }
        (void)setsockopt(connection, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
        serve(w, connection);
        shutdown(connection, SHUT_WR);
        close(connection);
    }
    return NULL;
}

/* ---- the command ----------------------------------------------------------------------------------------------- */

/* Negative where nothing can be listened to; it says why. */
static int listen_at(uint32_t *port) {
    struct sockaddr_in place = {.sin_family = AF_INET, .sin_port = htons((uint16_t)*port)};
    socklen_t bytes = sizeof place;
    int listener = socket(AF_INET, SOCK_STREAM, 0), yes = 1;

    place.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (listener >= 0)
        (void)setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (listener < 0 || bind(listener, (struct sockaddr *)&place, sizeof place) != 0 || listen(listener, 64) != 0 ||
        getsockname(listener, (struct sockaddr *)&place, &bytes) != 0) {
        say("port %u of 127.0.0.1 cannot be listened to: %s", *port, strerror(errno));
        return -1;
    }
    *port = ntohs(place.sin_port);
    return listener;
}

static int run(const char *path, const exl_open_options *open, uint32_t port, uint32_t threads) {
    worker *workers = calloc(threads, sizeof *workers);
    exl_error error = {.struct_size = sizeof error};
    exl_bundle *bundle = NULL;
    exl_status status = workers ? open_session(path, open, NULL, &bundle, &workers[0].session) : EXL_OUT_OF_MEMORY;
    int listener;

    for (uint32_t i = 1; status == EXL_OK && i < threads; i++) {
        status = exl_session_open(bundle, NULL, &workers[i].session, &error);
        if (status != EXL_OK)
            say("%s: %s", path, error.sentence);
    }
    if (status != EXL_OK)
        return exit_code_of(status);
    listener = listen_at(&port);
    if (listener < 0)
        return EXIT_DEVICE;
    printf("%s answers at http://127.0.0.1:%u/predict\n", path, port);
    if (finish(EXIT_DONE) != EXIT_DONE)
        return EXIT_DEVICE;
    for (uint32_t i = 0; i < threads; i++) {
        workers[i].listener = listener;
        workers[i].bundle = bundle;
        if (i > 0 && pthread_create(&workers[i].thread, NULL, work, &workers[i]) != 0) {
            say("no thread can be started; give --threads 1");
            return EXIT_DEVICE;
        }
    }
    work(&workers[0]); /* a signal ends the process */
    return EXIT_DONE;
}

int main(int count, char **arguments) {
    exl_open_options open = {.struct_size = sizeof open};
    static trust trusted;
    uint32_t port = 8017, threads = 2, skips_hashes = 0;
    const char *bundle = NULL;
    const option options[] = {{"--port", .number = &port, .low = 0, .high = 65535},
                              {"--threads", .number = &threads, .low = 1, .high = MOST_THREADS},
                              {"--labels-file", .text = &open.labels_path},
                              {"--trust", .flag = &skips_hashes},
                              TRUST_OPTIONS(&trusted)};

    if (count == 2 && strcmp(arguments[1], "--version") == 0) {
        puts(exl_get_version());
        return finish(EXIT_DONE);
    }
    if (count == 2 && strcmp(arguments[1], "--help") == 0) {
        fputs(USAGE, stdout);
        return finish(EXIT_DONE);
    }
    trust_begin(&trusted);
    for (int at = 1; at < count; at++) {
        char *argument = arguments[at];
        int taken = 1;

        if (argument[0] == '-')
            taken = take_option(options, sizeof options / sizeof *options, count, arguments, &at);
        else if (bundle)
            taken = 0;
        else
            bundle = argument;
        if (taken == 0) {
            say("%s is not known here", argument);
            fputs(USAGE, stderr);
        }
        if (taken <= 0)
            return EXIT_BAD_INPUT;
    }
    if (!bundle) {
        fputs(USAGE, stderr);
        return EXIT_BAD_INPUT;
    }
    if (!trust_take(&trusted, skips_hashes, &open))
        return EXIT_BAD_INPUT;
    open.flags = skips_hashes ? 0 : EXL_OPEN_VERIFY;
    signal(SIGPIPE, SIG_IGN);
    return run(bundle, &open, port, threads);
}
