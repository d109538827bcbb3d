/* vectors.c: answers each line of a table of vectors, and prints it as it was answered: vectors BUNDLE vectors.tsv. */
#include "edgexl.h"

#include <stdio.h>
#include <string.h>

static char line[1 << 20];

/* The labels for the text that ends at `end`, as many as the rest of the line has. */
static int answer(exl_session *session, const char *end) {
    exl_error error = {.struct_size = sizeof error};
    exl_predict_options options = {.struct_size = sizeof options};
    const exl_result *result = NULL;
    uint32_t cells = 0;

    for (const char *tab = end; tab; tab = strchr(tab + 1, '\t'))
        cells++;
    options.k = (cells - 1) / 2;
    if (exl_predict(session, line, (size_t)(end - line), &options, &result, &error) != EXL_OK)
        return printf("\terror: %s\n", error.sentence), 1;
    printf("\t%d", result->none_fits != 0);
    for (size_t i = 0; i < result->count; i++) {
        uint32_t bits;
        memcpy(&bits, &result->predictions[i]->probability, sizeof bits);
        printf("\t%s\t%08lx", result->predictions[i]->id, (unsigned long)bits);
    }
    return putchar('\n'), 0;
}

int main(int count, char **arguments) {
    exl_error error = {.struct_size = sizeof error};
    exl_bundle *bundle = NULL;
    exl_session *session = NULL;
    FILE *table = count == 3 ? fopen(arguments[2], "rb") : NULL;
    int failed = 0;

    if (!table)
        return fprintf(stderr, "usage: vectors BUNDLE vectors.tsv\n"), 2;
    if (exl_bundle_open(arguments[1], NULL, &bundle, &error) != EXL_OK ||
        exl_session_open(bundle, NULL, &session, &error) != EXL_OK)
        return fprintf(stderr, "%s: %s\n", arguments[1], error.sentence), 1;
    while (fgets(line, sizeof line, table)) {
        const char *end;
        line[strcspn(line, "\n")] = '\0';
        end = strchr(line, '\t');
        if (!end)
            return fprintf(stderr, "%s is no table of vectors\n", arguments[2]), 2;
        printf("%.*s", (int)(end - line), line);
        failed += answer(session, end);
    }
    exl_session_close(session);
    exl_bundle_close(bundle);
    fclose(table);
    return failed != 0;
}
