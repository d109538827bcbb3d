/* fuzz_http.c: a connection of exl-serve, whatever it sends: it is answered and ended.
 *
 * Input: what is sent before the other side ends its half. */
#define main exl_serve_main
#include "../tools/exl_serve.c"
#undef main

#include "fuzz.h"

static worker serving;

int LLVMFuzzerInitialize(int *count, char ***arguments) {
    static file_bytes base;
    exl_open_options options = {.struct_size = sizeof options, .allocator = &limited};

    (void)count, (void)exl_serve_main;
    find_directory(*arguments);
    base = read_beside("base.exl");
    signal(SIGPIPE, SIG_IGN);
    MUST(exl_bundle_open_memory(base.bytes, base.length, &options, &serving.bundle, &said) == EXL_OK);
    MUST(exl_session_open(serving.bundle, NULL, &serving.session, &said) == EXL_OK);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    int ends[2];
    char answer[64];

    if (size > 1 << 15) /* what a socket takes without being read */
        return 0;
    MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
    MUST(write(ends[0], data, size) == (ssize_t)size);
    shutdown(ends[0], SHUT_WR);
    serve(&serving, ends[1]);
    close(ends[1]);
    if (read(ends[0], answer, sizeof answer) >= 12)
        MUST(memcmp(answer, "HTTP/1.1 ", 9) == 0);
    close(ends[0]);
    return 0;
}
