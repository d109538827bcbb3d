/* trust.h: whose bundles a tool opens: those that one of the keys given by --key has signed. */
#ifndef EXL_TOOLS_TRUST_H
#define EXL_TOOLS_TRUST_H

#include "command.h"

/* Lines of --help. */
#define TRUST_USAGE                                                                                                    \
    "  --key PUB         open only what this public key of minisign's, or another one given, has signed: its file,\n"  \
    "                    or its line that begins with RW\n"                                                            \
    "  --least-version N  with --key: refuse what was signed with a version below this\n"

enum { MOST_KEYS = 16, KEY_BYTES = 56, MOST_KEY_FILE_BYTES = 4096 };

typedef struct trust {
    option_values keys; /* as they were given */
    const char *given[MOST_KEYS], *least_version;
    char files[MOST_KEYS][MOST_KEY_FILE_BYTES];
} trust;

/* The options that it takes. */
#define TRUST_OPTIONS(of)                                                                                              \
    {"--key", .values = &(of)->keys}, { "--least-version", .text = &(of)->least_version }

static void trust_begin(trust *of) { of->keys = (option_values){of->given, 0, MOST_KEYS}; }

static int trust_read_file(const char *path, char text[MOST_KEY_FILE_BYTES]) {
    FILE *file = fopen(path, "rb");
    size_t bytes = file ? fread(text, 1, MOST_KEY_FILE_BYTES, file) : 0;
    int is_read = file && !ferror(file);

    if (!is_read)
        say("the key %s cannot be read: %s", path, strerror(errno));
    else if (bytes == MOST_KEY_FILE_BYTES)
        say("the key %s cannot be used: it is too long", path);
    if (file)
        fclose(file);
    if (!is_read || bytes == MOST_KEY_FILE_BYTES)
        return 0;
    text[bytes] = '\0';
    return 1;
}

/* What was given goes into the options of open; 0 where it cannot, and why is said. skips_hashes: --trust was given. */
static int trust_take(trust *of, uint32_t skips_hashes, exl_open_options *open) {
    char *end = NULL;

    for (size_t i = 0; i < of->keys.count; i++)
        if (strlen(of->given[i]) != KEY_BYTES || strncmp(of->given[i], "RW", 2) != 0) {
            if (!trust_read_file(of->given[i], of->files[i]))
                return 0;
            of->given[i] = of->files[i];
        }
    if (of->keys.count > 0) {
        open->trusted_keys = of->given;
        open->trusted_key_count = of->keys.count;
    }
    if (of->keys.count > 0 && skips_hashes) {
        say("what a key has signed is hashed: give --key or --trust");
        return 0;
    }
    if (!of->least_version)
        return 1;
    errno = 0;
    open->least_version = strtoull(of->least_version, &end, 10);
    if (of->least_version[0] < '0' || of->least_version[0] > '9' || *end || errno == ERANGE || of->keys.count == 0) {
        say("the option --least-version takes a whole number, and needs --key");
        return 0;
    }
    return 1;
}

#endif
