/* strings.c: decodes, of a block of 64 front-coded, symbol-coded strings, what the one asked for is made of: it shares
 * its first bytes with one before it, which shares its own first ones with another; few are touched.
 *
 * Every read is checked against the block's end and every length against longest_bytes, so that any bytes whatever
 * are safe to decode. */
#include "compiler.h"

#include "strings.h"

#include <string.h>

#include "bytes.h"
#include "fold.h"
#include "utf8.h"

enum {
    STRINGS_HEADER_BYTES = 32,
    STRINGS_SYMBOLS_BYTES = 256 * 8,
    STRINGS_LENGTHS_BYTES = 256,
    STRINGS_BLOCK_STRINGS = 64,
    STRINGS_ESCAPE = 255,
    STRINGS_LONGEST = 65535
};

static int strings_symbols_are_sound(const exl__strings *s) {
    for (uint32_t code = 0; code < 256; code++) {
        uint32_t used = code < s->symbol_count ? s->symbol_bytes[code] : 0;
        if (used > 8 || (used == 0) != (code >= s->symbol_count) || (used == 0 && s->symbol_bytes[code] != 0))
            return 0;
        for (uint32_t i = 0; i < 8; i++) /* a string holds no NUL; padding is 0 */
            if ((s->symbols[code * 8 + i] != 0) != (i < used))
                return 0;
    }
    return 1;
}

int exl__strings_init(exl__strings *strings, const uint8_t *bytes, size_t length, uint32_t expected_count) {
    exl__strings s;
    size_t fixed = STRINGS_HEADER_BYTES + STRINGS_LENGTHS_BYTES + STRINGS_SYMBOLS_BYTES, offsets_bytes;
    memset(strings, 0, sizeof *strings);
    if (length < fixed)
        return EXL__STRINGS_MALFORMED;
    s.count = exl__get32(bytes);
    s.longest_bytes = exl__get32(bytes + 4);
    s.symbol_count = exl__get32(bytes + 8);
    s.data_bytes = exl__get32(bytes + 12);
    s.symbol_bytes = bytes + STRINGS_HEADER_BYTES;
    s.symbols = s.symbol_bytes + STRINGS_LENGTHS_BYTES;
    s.offsets = s.symbols + STRINGS_SYMBOLS_BYTES;
    for (uint32_t i = 16; i < STRINGS_HEADER_BYTES; i++)
        if (bytes[i] != 0)
            return EXL__STRINGS_MALFORMED;
    if (s.count == 0 || s.count != expected_count || s.longest_bytes > STRINGS_LONGEST ||
        s.symbol_count > STRINGS_ESCAPE)
        return EXL__STRINGS_MALFORMED;
    offsets_bytes = ((size_t)(s.count - 1) / STRINGS_BLOCK_STRINGS + 2) * 4;
    if (length - fixed < offsets_bytes || length - fixed - offsets_bytes != s.data_bytes)
        return EXL__STRINGS_MALFORMED;
    s.data = s.offsets + offsets_bytes;
    if (exl__get32(s.offsets) != 0 || exl__get32(s.data - 4) != s.data_bytes || !strings_symbols_are_sound(&s))
        return EXL__STRINGS_MALFORMED;
    *strings = s;
    return EXL__STRINGS_OK;
}

/* A number whose first part is a nibble: 15 means that more follows, in groups of 7 bits, lowest first, at most 3. */
static int strings_read_number(const uint8_t **at, const uint8_t *end, uint32_t nibble, uint32_t *number) {
    uint32_t more = 0;
    *number = nibble;
    if (nibble < 15)
        return 1;
    for (unsigned shift = 0; shift < 21; shift += 7) {
        if (*at == end)
            return 0;
        uint8_t byte = *(*at)++;
        more |= (uint32_t)(byte & 127) << shift;
        if (byte < 128) {
            *number = 15 + more;
            return 1;
        }
    }
    return 0;
}

/* Where a string's own codes lie, and how much comes before them from the string before it. */
typedef struct strings_piece {
    const uint8_t *codes;
    uint32_t code_bytes, shared;
} strings_piece;

/* What the code at *at, which moves on behind it, stands for; null where the format forbids it. */
static inline const uint8_t *strings_next_symbol(const exl__strings *s, const uint8_t **at, const uint8_t *end,
                                                 size_t *bytes) {
    uint8_t code = *(*at)++;
    *bytes = s->symbol_bytes[code];
    if (code != STRINGS_ESCAPE)
        return *bytes > 0 ? s->symbols + (size_t)code * 8 : NULL;
    *bytes = 1;
    return *at < end && **at != 0 ? (*at)++ : NULL;
}

/* Appends what a string's own codes stand for behind the `*length` bytes that it shares, up to `limit` bytes. */
static int strings_read_codes(const exl__strings *s, const strings_piece *from, size_t limit, char *out,
                              size_t capacity, size_t *length) {
    const uint8_t *at = from->codes, *end = at + from->code_bytes;
    size_t used = *length;
    while (at < end && used < limit) {
        uint8_t code = *at;
        size_t bytes;
        const uint8_t *symbol = strings_next_symbol(s, &at, end, &bytes);
        if (!symbol || bytes > s->longest_bytes - used)
            return 0;
        if (code != STRINGS_ESCAPE && used + 8 <= capacity)
            memcpy(out + used, symbol, 8);
        else if (used < capacity)
            memcpy(out + used, symbol, bytes < capacity - used ? bytes : capacity - used);
        used += bytes;
    }
    *length = used;
    return 1;
}

/* The pieces of a block's strings up to `last`; the block's end, where `is_whole`, is theirs. */
static int strings_read_heads(const uint8_t *at, const uint8_t *end, uint32_t last, int is_whole,
                              strings_piece *pieces) {
    for (uint32_t i = 0; i <= last; i++) {
        if (at == end)
            return 0;
        uint8_t head = *at++;
        if (!strings_read_number(&at, end, head >> 4, &pieces[i].shared) ||
            !strings_read_number(&at, end, head & 15, &pieces[i].code_bytes) ||
            pieces[i].code_bytes > (size_t)(end - at))
            return 0;
        pieces[i].codes = at;
        at += pieces[i].code_bytes;
    }
    return !is_whole || at == end;
}

int exl__strings_get(const exl__strings *strings, uint32_t index, char *out, size_t capacity, size_t *bytes) {
    strings_piece pieces[STRINGS_BLOCK_STRINGS];
    uint8_t chain[STRINGS_BLOCK_STRINGS];
    *bytes = 0;
    if (index >= strings->count)
        return EXL__STRINGS_MALFORMED;
    uint32_t block = index / STRINGS_BLOCK_STRINGS, last = index % STRINGS_BLOCK_STRINGS, links = 0;
    uint32_t begin = exl__get32(strings->offsets + (size_t)block * 4),
             stop = exl__get32(strings->offsets + (size_t)block * 4 + 4);
    if (begin > stop || stop > strings->data_bytes ||
        !strings_read_heads(strings->data + begin, strings->data + stop, last,
                            last == STRINGS_BLOCK_STRINGS - 1 || index == strings->count - 1, pieces))
        return EXL__STRINGS_MALFORMED;
    /* from the last string back: one that shares as much as is still missing adds nothing */
    chain[links++] = (uint8_t)last;
    for (uint32_t i = last, missing = pieces[last].shared; missing > 0 && i > 0; i--)
        if (pieces[i - 1].shared < missing) {
            chain[links++] = (uint8_t)(i - 1);
            missing = pieces[i - 1].shared;
        }
    size_t length = 0;
    for (; links > 0; links--) {
        const strings_piece *from = &pieces[chain[links - 1]];
        size_t limit = links > 1 ? pieces[chain[links - 2]].shared : SIZE_MAX;
        if (from->shared > length) /* more than there is */
            return EXL__STRINGS_MALFORMED;
        length = from->shared;
        if (!strings_read_codes(strings, from, limit, out, capacity, &length))
            return EXL__STRINGS_MALFORMED;
    }
    *bytes = length;
    return length <= capacity ? EXL__STRINGS_OK : EXL__STRINGS_TOO_SMALL;
}

/* ---- prefixes ------------------------------------------------------------------------------------------------ */

/* What strings are to begin with: `bytes`, as they are or (folds) in canonical order and small letters. */
typedef struct strings_wanted_prefix {
    const char *text; /* as it was given */
    size_t text_bytes;
    const uint8_t *bytes;
    size_t count;
    int folds;
    int is_all; /* nonzero: a string that has these bytes begins with the prefix, whatever comes behind them */
} strings_wanted_prefix;

/* What of a block can be told by bytes. */
enum { STRINGS_BROKEN, STRINGS_SEARCHED, STRINGS_NEEDS_FOLDING };

static uint8_t strings_small_letter(uint8_t byte) {
    return byte >= 'A' && byte <= 'Z' ? (uint8_t)(byte + 'a' - 'A') : byte;
}

/* Moves *matched, the bytes that a string is known to have in common with the prefix, on over what its codes stand for,
 * to the first difference or the prefix's end. A difference in ASCII is one whatever the rest means. */
static inline int strings_match_codes(const exl__strings *s, const uint8_t *at, const uint8_t *end,
                                      const strings_wanted_prefix *prefix, size_t *matched) {
    while (at < end && *matched < prefix->count) {
        size_t bytes;
        const uint8_t *symbol = strings_next_symbol(s, &at, end, &bytes);
        if (!symbol)
            return STRINGS_BROKEN;
        for (size_t i = 0; i < bytes && *matched < prefix->count; i++) {
            uint8_t mine = symbol[i], theirs = prefix->bytes[*matched];
            if (mine != theirs && (!prefix->folds || strings_small_letter(mine) != strings_small_letter(theirs)))
                return prefix->folds && symbol[i] >= 0x80 ? STRINGS_NEEDS_FOLDING : STRINGS_SEARCHED;
            ++*matched;
        }
    }
    return *matched == prefix->count && !prefix->is_all ? STRINGS_NEEDS_FOLDING : STRINGS_SEARCHED;
}

/* The heads of a block's strings, one after the other. */
typedef struct strings_block_reader {
    const uint8_t *at, *end;
} strings_block_reader;

static int strings_open_block(const exl__strings *s, uint32_t block, strings_block_reader *reader) {
    uint32_t begin = exl__get32(s->offsets + (size_t)block * 4), stop = exl__get32(s->offsets + (size_t)block * 4 + 4);
    if (begin > stop || stop > s->data_bytes)
        return 0;
    *reader = (strings_block_reader){s->data + begin, s->data + stop};
    return 1;
}

static inline int strings_next_piece(strings_block_reader *reader, strings_piece *found) {
    if (reader->at == reader->end)
        return 0;
    uint8_t head = *reader->at++;
    if (!strings_read_number(&reader->at, reader->end, head >> 4, &found->shared) ||
        !strings_read_number(&reader->at, reader->end, head & 15, &found->code_bytes) ||
        found->code_bytes > (size_t)(reader->end - reader->at))
        return 0;
    found->codes = reader->at;
    reader->at += found->code_bytes;
    return 1;
}

/* Front coding says most of it: a string that shares more bytes with the one before it than that one has of the prefix
 * differs from the prefix at the same place, and its codes need not be looked at. Nothing is written out. */
static int strings_search_bytes(const exl__strings *s, uint32_t block, const strings_wanted_prefix *prefix,
                                uint32_t from, uint32_t *found, uint32_t capacity, uint32_t *count) {
    strings_block_reader reader;
    size_t matched = 0;
    if (!strings_open_block(s, block, &reader))
        return STRINGS_BROKEN;
    for (uint32_t i = block * STRINGS_BLOCK_STRINGS;
         i < s->count && i / STRINGS_BLOCK_STRINGS == block && *count < capacity; i++) {
        strings_piece one;
        if (!strings_next_piece(&reader, &one))
            return STRINGS_BROKEN;
        if (one.shared <= matched) {
            matched = one.shared;
            int result = strings_match_codes(s, one.codes, one.codes + one.code_bytes, prefix, &matched);
            if (result != STRINGS_SEARCHED)
                return result;
        }
        if (matched == prefix->count && i >= from)
            found[(*count)++] = i;
    }
    return STRINGS_SEARCHED;
}

/* The same by characters, for a block with some that bytes do not tell: the beginnings of its strings are written out,
 * and compared where they differ in what decided about the string before. */
static int strings_search_folded(const exl__strings *s, uint32_t block, const strings_wanted_prefix *prefix,
                                 uint32_t from, uint32_t *found, uint32_t capacity, uint32_t *count) {
    char text[EXL__LONGEST_FOLDED];
    size_t length = 0, decided = SIZE_MAX;
    strings_block_reader reader;
    int begins = 0;
    if (!strings_open_block(s, block, &reader))
        return STRINGS_BROKEN;
    for (uint32_t i = block * STRINGS_BLOCK_STRINGS;
         i < s->count && i / STRINGS_BLOCK_STRINGS == block && *count < capacity; i++) {
        strings_piece one;
        if (!strings_next_piece(&reader, &one) || (one.shared > length && length < sizeof text))
            return STRINGS_BROKEN;
        length = one.shared;
        if (!strings_read_codes(s, &one, sizeof text, text, sizeof text, &length))
            return STRINGS_BROKEN;
        if (one.shared < decided)
            begins = exl__begins_folded(text, length < sizeof text ? length : sizeof text, prefix->text,
                                        prefix->text_bytes, &decided);
        if (begins && i >= from)
            found[(*count)++] = i;
    }
    return STRINGS_SEARCHED;
}

static int strings_search(const exl__strings *s, const strings_wanted_prefix *prefix, uint32_t from, uint32_t *found,
                          uint32_t capacity, uint32_t *count) {
    *count = 0;
    for (uint32_t block = from / STRINGS_BLOCK_STRINGS;
         block <= (s->count - 1) / STRINGS_BLOCK_STRINGS && *count < capacity; block++) {
        uint32_t before = *count;
        int result = strings_search_bytes(s, block, prefix, from, found, capacity, count);
        if (result == STRINGS_NEEDS_FOLDING) {
            *count = before;
            result = strings_search_folded(s, block, prefix, from, found, capacity, count);
        }
        if (result == STRINGS_BROKEN)
            return EXL__STRINGS_MALFORMED;
    }
    return EXL__STRINGS_OK;
}

int exl__strings_prefix(const exl__strings *strings, const char *text, size_t bytes, uint32_t from, uint32_t *found,
                        uint32_t capacity, uint32_t *count) {
    uint8_t folded[512]; /* as much of a long prefix as tells most strings from it */
    strings_wanted_prefix prefix = {.text = text, .text_bytes = bytes, .bytes = (const uint8_t *)text, .folds = 1};
    while (prefix.count < bytes && prefix.bytes[prefix.count] < 0x80)
        prefix.count++;
    prefix.is_all = prefix.count == bytes;
    if (!prefix.is_all) {
        exl__folder folder;
        uint32_t c;
        prefix.bytes = folded;
        prefix.count = 0;
        exl__fold_start(&folder, text, bytes, 1);
        while ((c = exl__fold_next(&folder)) <= 0x10FFFF && prefix.count + 4 <= sizeof folded)
            prefix.count += exl__encode_utf8(c, folded + prefix.count);
    }
    return strings_search(strings, &prefix, from, found, capacity, count);
}

int exl__strings_with_bytes(const exl__strings *strings, const char *text, size_t bytes, uint32_t from, uint32_t *found,
                            uint32_t capacity, uint32_t *count) {
    strings_wanted_prefix prefix = {.bytes = (const uint8_t *)text, .count = bytes, .is_all = 1};
    return strings_search(strings, &prefix, from, found, capacity, count);
}
