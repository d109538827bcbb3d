/* texts.h: the queries that exl-bench takes in turn: a file's lines, or the bundle's goldens. */
#ifndef EXL_TOOLS_TEXTS_H
#define EXL_TOOLS_TEXTS_H

#include "lines.h"

typedef struct texts {
    struct {
        char *text;
        size_t bytes;
    } *at;
    size_t count, capacity;
} texts;

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

/* Both give an exit code, and say what is wrong. */
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

static void free_texts(texts *all) {
    for (size_t i = 0; i < all->count; i++)
        free(all->at[i].text);
    free(all->at);
}

#endif
