/* strings.h: random access into a compressed string section (docs/format.md, "String sections"). */
#ifndef EXL_STRINGS_H
#define EXL_STRINGS_H

#include <stddef.h>
#include <stdint.h>

/* A checked view of a section; it points into the section's bytes and owns nothing. */
typedef struct exl__strings {
    uint32_t count;
    uint32_t longest_bytes; /* of any string: what a buffer needs, a closing NUL not counted */
    uint32_t symbol_count;
    const uint8_t *symbol_bytes; /* [symbol_count]: 1 to 8 */
    const uint8_t *symbols;      /* [symbol_count][8] */
    const uint8_t *offsets;      /* u32[blocks + 1] */
    const uint8_t *data;
    size_t data_bytes;
} exl__strings;

enum { EXL__STRINGS_OK = 0, EXL__STRINGS_MALFORMED = 1, EXL__STRINGS_TOO_SMALL = 2 };

/* Checks the header, the symbols and the sizes: EXL__STRINGS_OK or EXL__STRINGS_MALFORMED. The blocks are checked as
 * they are read. bytes: [length], must outlive the view. */
int exl__strings_init(exl__strings *strings, const uint8_t *bytes, size_t length, uint32_t expected_count);

/* Writes string `index` to out (no closing NUL) and its length to *bytes. When capacity is smaller than that, the
 * first `capacity` bytes are written and the result is EXL__STRINGS_TOO_SMALL. Takes whatever the section holds:
 * bytes that docs/format.md forbids give EXL__STRINGS_MALFORMED, with *bytes 0. */
int exl__strings_get(const exl__strings *strings, uint32_t index, char *out, size_t capacity, size_t *bytes);

/* A prefix with letters beyond ASCII is looked for in so many bytes of a string. */
enum { EXL__LONGEST_FOLDED = 4096 };

/* The indices of the first `capacity` strings from string `from` on that begin with the prefix, in order, under
 * canonical equivalence and in either case (fold.h); *count is how many there are. An empty prefix begins every string.
 * Bytes that docs/format.md forbids give EXL__STRINGS_MALFORMED where they are met, with what was found before. */
int exl__strings_prefix(const exl__strings *strings, const char *prefix, size_t prefix_bytes, uint32_t from,
                        uint32_t *found, uint32_t capacity, uint32_t *count);
/* The same for strings that begin with these very bytes. */
int exl__strings_with_bytes(const exl__strings *strings, const char *prefix, size_t prefix_bytes, uint32_t from,
                            uint32_t *found, uint32_t capacity, uint32_t *count);

#endif
