/* fuzz_bundle.c: a bundle is opened and asked everything, its goldens too.
 *
 * Input: which bundle it is made of (0 base.exl, 1 lexical.exl), then records, each a kind (1 byte), a length (2 bytes)
 * and so many bytes: of kind 1 to 63 the section in the place of the bundle's own, of 255 the text that is asked, of
 * another at a place (the bytes' first 2) of header and table. The bundle's table is made to fit. */
#include "fuzz.h"

enum { KINDS = 64, TEXT = 255, MOST_FILE_BYTES = 1 << 22 };

typedef struct parts {
    const uint8_t *bytes[KINDS];
    size_t length[KINDS];
} parts;

static file_bytes bundles[2];

int LLVMFuzzerInitialize(int *count, char ***arguments) {
    (void)count;
    find_directory(*arguments);
    bundles[0] = read_beside("base.exl");
    bundles[1] = read_beside("lexical.exl");
    return 0;
}

static parts parts_of(const file_bytes *bundle) {
    parts found;

    memset(&found, 0, sizeof found);
    for (uint32_t i = 0; i < get32(bundle->bytes + 12); i++) {
        const uint8_t *entry = bundle->bytes + HEADER_BYTES + i * ENTRY_BYTES;
        found.bytes[get32(entry)] = bundle->bytes + get64(entry + 8);
        found.length[get32(entry)] = (size_t)get64(entry + 16);
    }
    return found;
}

static uint8_t *put_together(const parts *from, const uint8_t header[HEADER_BYTES], size_t *length) {
    size_t sections = 0, at;
    void *file;

    for (size_t kind = 0; kind < KINDS; kind++)
        sections += from->length[kind] > 0;
    at = HEADER_BYTES + sections * ENTRY_BYTES;
    for (size_t kind = 0; kind < KINDS; kind++)
        if (from->length[kind] > 0)
            at = (at + ALIGNMENT_BYTES - 1) / ALIGNMENT_BYTES * ALIGNMENT_BYTES + from->length[kind];
    *length = at;
    MUST(at <= MOST_FILE_BYTES && posix_memalign(&file, 64, at) == 0);
    memset(file, 0, at);
    memcpy(file, header, HEADER_BYTES);
    at = HEADER_BYTES + sections * ENTRY_BYTES;
    sections = 0;
    for (size_t kind = 0; kind < KINDS; kind++) {
        uint8_t *entry = (uint8_t *)file + HEADER_BYTES + sections * ENTRY_BYTES;
        if (from->length[kind] == 0)
            continue;
        at = (at + ALIGNMENT_BYTES - 1) / ALIGNMENT_BYTES * ALIGNMENT_BYTES;
        put(entry, kind, 4), put(entry + 8, at, 8), put(entry + 16, from->length[kind], 8);
        memcpy((uint8_t *)file + at, from->bytes[kind], from->length[kind]);
        at += from->length[kind];
        sections++;
    }
    put((uint8_t *)file + 12, sections, 4), put((uint8_t *)file + 16, at, 8);
    return file;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    input from = {data, size};
    const file_bytes *base = &bundles[take(&from, 1) & 1];
    parts made = parts_of(base);
    struct {
        size_t at, bytes;
        const uint8_t *from;
    } written[8];
    size_t writes = 0, length, text_bytes = 9;
    const char *text = "red river";
    exl_open_options options = {.struct_size = sizeof options, .allocator = &limited, .flags = EXL_OPEN_SCALAR};
    exl_bundle *bundle = NULL;
    uint8_t *file;

    while (from.left >= 3) {
        uint32_t kind = take(&from, 1);
        size_t bytes = take(&from, 2);
        const uint8_t *here = from.at;
        bytes = bytes < from.left ? bytes : from.left;
        from.at += bytes, from.left -= bytes;
        if (kind > 0 && kind < KINDS)
            made.bytes[kind] = here, made.length[kind] = bytes;
        else if (kind == TEXT)
            text = (const char *)here, text_bytes = bytes;
        else if (bytes >= 2 && writes < sizeof written / sizeof *written) {
            written[writes].at = here[0] | (size_t)here[1] << 8;
            written[writes].bytes = bytes - 2;
            written[writes++].from = here + 2;
        }
    }
    file = put_together(&made, base->bytes, &length);
    for (size_t i = 0; i < writes; i++)
        for (size_t k = 0; k < written[i].bytes && written[i].at + k < 2048 && written[i].at + k < length; k++)
            file[written[i].at + k] = written[i].from[k];
    if (exl_bundle_open_memory(file, length, &options, &bundle, &said) == EXL_OK)
        ask_everything(bundle, text, text_bytes);
    else
        MUST(said.sentence[0] != '\0' && !bundle);
    exl_bundle_close(bundle);
    free(file);
    return 0;
}
