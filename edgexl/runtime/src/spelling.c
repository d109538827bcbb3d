/* spelling.c: see spelling.h. Each step pulls characters out of the one before it:
 *
 *   bytes --added tokens, literally--> parts --map, graphemes or canonical order--> --tail--> --white space, strip-->
 *   normalised characters --added tokens, normalised--> parts --marks, splits--> characters, and where words begin */
#include "compiler.h"

#include "spelling.h"

#include <string.h>

#include "bytes.h"
#include "utf8.h"

enum { SPELLING_CODE_POINTS = 0x110000, SPELLING_PAGE_COUNT = SPELLING_CODE_POINTS / 128 };

/* Entries of the map: action in the upper 3 bits, argument in the lower 13. */
enum {
    SPELLING_KEEP = 0,
    SPELLING_DROP = 1,
    SPELLING_EXPAND = 2,
    SPELLING_MARK = 3,   /* canonical order: argument is the mark's rank, 1 to 255 */
    SPELLING_SECOND = 4, /* canonical order: may compose with the character before it */
    SPELLING_HANGUL = 5, /* canonical order: a syllable, decomposed by arithmetic */
    SPELLING_KEYED = 6   /* as expand, and in a grapheme that begins with it the rest of the grapheme is gone */
};

/* Items of expansions: code point in the lower 21 bits, bit 21: may compose with the one before it, rank above. */
#define SPELLING_ITEM_SECOND (1U << 21)

/* Classes: what splits ask for in the lower 3 bits, whether it is a character of words, the grapheme's class above. */
enum {
    SPELLING_OTHER = 0,
    SPELLING_LETTER = 1,
    SPELLING_NUMBER = 2,
    SPELLING_WHITE = 3,
    SPELLING_PUNCTUATION = 4,
    SPELLING_WORD_BIT = 8
};

/* Grapheme classes (Unicode Standard Annex 29), those of one code point or of plain ranges left out. */
enum {
    SPELLING_G_OTHER,
    SPELLING_G_CONTROL, /* with CR and LF */
    SPELLING_G_EXTEND,
    SPELLING_G_PLAIN_EXTEND, /* extend, but none for conjuncts */
    SPELLING_G_LINKER,
    SPELLING_G_JOINER,
    SPELLING_G_SPACING,
    SPELLING_G_PREPEND,
    SPELLING_G_REGIONAL,
    SPELLING_G_L,
    SPELLING_G_V,
    SPELLING_G_T,
    SPELLING_G_LV,
    SPELLING_G_LVT,
    SPELLING_G_PICTOGRAPH,
    SPELLING_G_CONSONANT
};

/* The state of a grapheme: the class of its last character in the lower 4 bits, and these. */
enum { SPELLING_C_ODD_REGIONAL = 16, SPELLING_C_PICTOGRAPH = 32, SPELLING_C_CONSONANT = 64, SPELLING_C_LINKED = 128 };

enum { SPELLING_F_PREPEND = 1, SPELLING_F_STRIPPED = 2, SPELLING_F_SOME = 4 }; /* text_reader.flags */

enum { SPELLING_LSTRIP = 1, SPELLING_RSTRIP = 2, SPELLING_SINGLE_WORD = 4 }; /* an added token's options */

static uint32_t spelling_look16(const exl__code_points *table, uint32_t c) {
    uint32_t page = exl__get16(table->page_of + 2 * (size_t)(c >> 7));
    return exl__get16(table->pages + 2 * ((size_t)page * 128 + (c & 127)));
}

static uint32_t spelling_class(const exl__spelling *s, uint32_t c) {
    uint32_t page = exl__get16(s->classes.page_of + 2 * (size_t)(c >> 7));
    return s->classes.pages[(size_t)page * 128 + (c & 127)];
}

static int spelling_is_white(const exl__spelling *s, int32_t c) {
    return c >= 0 && (spelling_class(s, (uint32_t)c) & 7) == SPELLING_WHITE;
}

/* ---- Checks ---------------------------------------------------------------------------------------------------- */

/* Takes the next array of `bytes` bytes and the zeros after it up to a multiple of 4; null if that is not there. */
static const uint8_t *spelling_take(const uint8_t **at, const uint8_t *end, uint64_t bytes) {
    const uint8_t *start = *at;
    uint64_t padded = (bytes + 3) & ~(uint64_t)3;
    if (bytes > UINT64_MAX - 3 || padded > (uint64_t)(end - start) || !exl__all_zero(start + bytes, padded - bytes))
        return NULL;
    *at = start + padded;
    return start;
}

static int spelling_pages_hold(const exl__code_points *table, uint32_t pages) {
    for (size_t i = 0; i < SPELLING_PAGE_COUNT; i++)
        if (exl__get16(table->page_of + 2 * i) >= pages)
            return 0;
    return 1;
}

static int spelling_entries_hold(const exl__code_points *table, uint32_t pages, uint32_t expansions, int tail) {
    for (size_t i = 0; i < (size_t)pages * 128; i++) {
        uint32_t entry = exl__get16(table->pages + 2 * i), action = entry >> 13, argument = entry & 0x1FFF;
        int holds = action == SPELLING_EXPAND || (action == SPELLING_KEYED && !tail) ? argument < expansions
                    : action == SPELLING_MARK && !tail                               ? argument >= 1 && argument <= 255
                    : action == SPELLING_KEEP || action == SPELLING_DROP ||
                            (!tail && (action == SPELLING_SECOND || action == SPELLING_HANGUL))
                        ? argument == 0
                        : 0;
        if (!holds)
            return 0;
    }
    return 1;
}

static int spelling_is_character(uint32_t c) { return c < SPELLING_CODE_POINTS && !(c >= 0xD800 && c < 0xE000); }

/* A record: u32 id, u8 options, the bytes. Ordered by first byte, and the longer ones first where that is the same. */
static int spelling_added_hold(exl__added *added, uint32_t count, uint32_t bytes, uint32_t vocabulary) {
    uint32_t previous = 0, previous_length = 0;
    memset(added->from, 0, sizeof added->from);
    if (exl__get32(added->starts) != 0 || exl__get32(added->starts + 4 * (size_t)count) != bytes)
        return 0;
    for (size_t i = 0; i < count; i++) {
        uint32_t from = exl__get32(added->starts + 4 * i), to = exl__get32(added->starts + 4 * i + 4), first, length;
        if (from > to || to > bytes || to - from < 6 || exl__get32(added->records + from) >= vocabulary ||
            added->records[from + 4] > 7)
            return 0;
        first = added->records[from + 5];
        length = to - from - 5;
        if (i > 0 && (first < previous || (first == previous && length > previous_length)))
            return 0;
        previous = first;
        previous_length = length;
        added->from[first + 1]++;
    }
    for (size_t b = 0; b < 256; b++)
        added->from[b + 1] = (uint16_t)(added->from[b + 1] + added->from[b]);
    return 1;
}

// clang-format off: a line a field
const char *exl__spelling_init(exl__spelling *s, const uint8_t *h, const uint8_t **at, const uint8_t *end,
                               uint32_t vocabulary) {
    uint32_t pages = exl__get32(h + 20), tail_pages = exl__get32(h + 24), class_pages = exl__get32(h + 28);
    uint32_t expansions = exl__get32(h + 32), items = exl__get32(h + 36);
    uint32_t literal = exl__get32(h + 44), literal_bytes = exl__get32(h + 48);
    uint32_t normal = exl__get32(h + 52), normal_bytes = exl__get32(h + 56);

    s->order = h[0], s->collapse = h[1], s->strip_left = h[2], s->strip_right = h[3];
    s->start = h[4], s->split = h[5], s->digits_alone = h[6], s->mark_spaces = h[7];
    s->mark = exl__get32(h + 8), s->collapsed = exl__get32(h + 12);
    s->sequence_count = exl__get32(h + 40);
    s->has_tail = tail_pages > 0;
    s->has_normal = normal > 0;
    if (s->order > EXL__ORDER_CANONICAL) return "order";
    if (s->collapse > EXL__COLLAPSE_WHITE) return "collapse";
    if (s->strip_left > 1 || s->strip_right > 1) return "strip";
    if (s->start > EXL__MARK_ANYWAY) return "start";
    if (s->split > EXL__SPLIT_BERT) return "split";
    if (s->digits_alone > 1 || s->mark_spaces > 1) return "split";
    if (!spelling_is_character(s->mark) || !spelling_is_character(s->collapsed)) return "mark";
    if (exl__get32(h + 16) != 0 || exl__get32(h + 60) != 0) return "reserved";
    if (pages < 1 || class_pages < 1) return "pages";
    if (expansions > 1 << 13) return "expansions";
    if (literal > UINT16_MAX || normal > UINT16_MAX) return "added_tokens";
    if (!(s->map.page_of = spelling_take(at, end, 2 * SPELLING_PAGE_COUNT))) return "page_of";
    if (!(s->map.pages = spelling_take(at, end, 256 * (uint64_t)pages))) return "pages";
    if (s->has_tail && !(s->tail.page_of = spelling_take(at, end, 2 * SPELLING_PAGE_COUNT))) return "tail_page_of";
    if (s->has_tail && !(s->tail.pages = spelling_take(at, end, 256 * (uint64_t)tail_pages))) return "tail_pages";
    if (!(s->classes.page_of = spelling_take(at, end, 2 * SPELLING_PAGE_COUNT))) return "class_page_of";
    if (!(s->classes.pages = spelling_take(at, end, 128 * (uint64_t)class_pages))) return "class_pages";
    if (!(s->expansions.starts = spelling_take(at, end, 4 * ((uint64_t)expansions + 1)))) return "expansion_starts";
    if (!(s->expansions.items = spelling_take(at, end, 4 * (uint64_t)items))) return "items";
    if (!(s->sequences = spelling_take(at, end, 16 * (uint64_t)s->sequence_count))) return "sequences";
    if (!(s->literal.starts = spelling_take(at, end, 4 * ((uint64_t)literal + 1)))) return "added_starts";
    if (!(s->literal.records = spelling_take(at, end, literal_bytes))) return "added";
    if (!(s->normal.starts = spelling_take(at, end, 4 * ((uint64_t)normal + 1)))) return "added_starts";
    if (!(s->normal.records = spelling_take(at, end, normal_bytes))) return "added";
    if (!spelling_pages_hold(&s->map, pages) || !spelling_entries_hold(&s->map, pages, expansions, 0)) return "pages";
    if (s->has_tail && !(spelling_pages_hold(&s->tail, tail_pages) && spelling_entries_hold(&s->tail, tail_pages, expansions, 1))) return "tail_pages";
    if (!spelling_pages_hold(&s->classes, class_pages)) return "class_pages";
    if (exl__get32(s->expansions.starts) != 0 || exl__get32(s->expansions.starts + 4 * (size_t)expansions) != items) return "expansion_starts";
    for (size_t i = 0; i < expansions; i++)
        if (exl__get32(s->expansions.starts + 4 * i) > exl__get32(s->expansions.starts + 4 * i + 4)) return "expansion_starts";
    for (size_t i = 0; i < items; i++)
        if (!spelling_is_character(exl__get32(s->expansions.items + 4 * i) & 0x1FFFFF)) return "items";
    for (size_t i = 0; i < s->sequence_count; i++) {
        uint32_t becomes = exl__get32(s->sequences + 16 * i + 12);
        if (s->order == EXL__ORDER_CANONICAL ? !spelling_is_character(becomes) : becomes >= expansions) return "sequences";
    }
    if (!spelling_added_hold(&s->literal, literal, literal_bytes, vocabulary)) return "added";
    if (!spelling_added_hold(&s->normal, normal, normal_bytes, vocabulary)) return "added";
    return NULL;
}
// clang-format on

/* What two or three characters become; UINT32_MAX: nothing. The sequences ascend. */
static uint32_t spelling_find_sequence(const exl__spelling *s, uint32_t a, uint32_t b, uint32_t c) {
    uint32_t low = 0, high = s->sequence_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        const uint8_t *at = s->sequences + 16 * (size_t)middle;
        uint32_t x = exl__get32(at), y = exl__get32(at + 4), z = exl__get32(at + 8);
        if (x == a && y == b && z == c)
            return exl__get32(at + 12);
        if (x < a || (x == a && (y < b || (y == b && z < c))))
            low = middle + 1;
        else
            high = middle;
    }
    return UINT32_MAX;
}

/* ---- Bytes to mapped characters ---------------------------------------------------------------------------------- */

static int32_t spelling_raw(exl__text_reader *r) {
    size_t length;
    uint32_t c;
    if (r->at == r->end) {
        if (r->next == r->next_end)
            return EXL__TEXT_ENDS;
        r->at = r->next;
        r->end = r->next = r->next_end;
    }
    c = exl__decode_utf8(r->at, r->end, &length);
    r->at += length;
    return (int32_t)c;
}

static void spelling_expand(exl__text_reader *r, uint32_t expansion) {
    r->item = exl__get32(r->spelling->expansions.starts + 4 * (size_t)expansion);
    r->item_end = exl__get32(r->spelling->expansions.starts + 4 * (size_t)expansion + 4);
}

static uint32_t spelling_item(const exl__text_reader *r, uint32_t item) {
    return exl__get32(r->spelling->expansions.items + 4 * (size_t)item);
}

/* The next item of the expansion that is under way, if there is one. */
static int spelling_next_item(exl__text_reader *r, int32_t *c) {
    if (r->item == r->item_end)
        return 0;
    *c = (int32_t)(spelling_item(r, r->item++) & 0x1FFFFF);
    return 1;
}

/* A character by itself. 1: *c is it, or the first of its expansion; 0: it is gone. */
static int spelling_map(exl__text_reader *r, int32_t *c) {
    uint32_t entry = spelling_look16(&r->spelling->map, (uint32_t)*c);
    switch (entry >> 13) {
    case SPELLING_DROP: return 0;
    case SPELLING_EXPAND:
    case SPELLING_KEYED: spelling_expand(r, entry & 0x1FFF); return spelling_next_item(r, c);
    default: return 1;
    }
}

/* Whether a grapheme goes on with a character of this class; the state is brought up to date. */
static int spelling_joins(uint8_t *cluster, uint32_t next, int is_crlf) {
    uint32_t state = *cluster, last = state & 15, kept = 0;
    int joins;
    switch (next) {
    case SPELLING_G_CONTROL: joins = is_crlf; break;
    case SPELLING_G_EXTEND:
    case SPELLING_G_PLAIN_EXTEND:
    case SPELLING_G_LINKER:
    case SPELLING_G_JOINER:
    case SPELLING_G_SPACING: joins = last != SPELLING_G_CONTROL; break;
    default:
        joins = last == SPELLING_G_PREPEND;
        if (next == SPELLING_G_L || next == SPELLING_G_LV || next == SPELLING_G_LVT)
            joins |= last == SPELLING_G_L;
        else if (next == SPELLING_G_V)
            joins |= last == SPELLING_G_L || last == SPELLING_G_V || last == SPELLING_G_LV;
        else if (next == SPELLING_G_T)
            joins |= last == SPELLING_G_V || last == SPELLING_G_T || last == SPELLING_G_LV || last == SPELLING_G_LVT;
        else if (next == SPELLING_G_REGIONAL)
            joins |= (state & SPELLING_C_ODD_REGIONAL) != 0;
        else if (next == SPELLING_G_PICTOGRAPH)
            joins |= last == SPELLING_G_JOINER && (state & SPELLING_C_PICTOGRAPH);
        else if (next == SPELLING_G_CONSONANT)
            joins |= (state & SPELLING_C_LINKED) != 0;
    }
    if (next == SPELLING_G_EXTEND || next == SPELLING_G_PLAIN_EXTEND || next == SPELLING_G_LINKER ||
        next == SPELLING_G_JOINER) {
        if (joins && (last != SPELLING_G_JOINER || next != SPELLING_G_JOINER || (state & SPELLING_C_PICTOGRAPH)))
            kept |= state & SPELLING_C_PICTOGRAPH;
        if (joins && next != SPELLING_G_PLAIN_EXTEND)
            kept |= state & (SPELLING_C_CONSONANT | SPELLING_C_LINKED);
        if (next == SPELLING_G_LINKER && (kept & SPELLING_C_CONSONANT))
            kept |= SPELLING_C_LINKED;
    }
    if (next == SPELLING_G_PICTOGRAPH)
        kept |= SPELLING_C_PICTOGRAPH;
    if (next == SPELLING_G_CONSONANT)
        kept |= SPELLING_C_CONSONANT;
    if (next == SPELLING_G_REGIONAL && !(joins && (state & SPELLING_C_ODD_REGIONAL)))
        kept |= SPELLING_C_ODD_REGIONAL;
    *cluster = (uint8_t)(next | kept);
    return joins;
}

static uint8_t spelling_begin_cluster(uint32_t class) {
    uint8_t cluster = SPELLING_G_CONTROL;
    (void)spelling_joins(&cluster, class, 0);
    return cluster;
}

static size_t spelling_bytes_of(int32_t c) { return c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4; }

/* A grapheme of less than 6 bytes that begins with *c, whole: 1 if that is mapped, and read. Otherwise its characters
 * are mapped one by one. */
static int spelling_map_grapheme(exl__text_reader *r, int32_t *c) {
    exl__text_reader ahead; /* of which only the place in the bytes is used */
    int32_t part[6], before = *c, next;
    size_t count = 1, bytes = spelling_bytes_of(*c);
    uint8_t cluster = spelling_begin_cluster(spelling_class(r->spelling, (uint32_t)*c) >> 4);
    uint32_t entry, becomes = UINT32_MAX;

    if (*c < 0x80 && *c != '\r' && r->at != r->end && *r->at < 0x80) /* a grapheme of one, surely */
        return 0;
    ahead.at = r->at, ahead.end = r->end, ahead.next = r->next, ahead.next_end = r->next_end;
    part[0] = *c;
    for (;;) {
        const uint8_t *at = ahead.at, *end = ahead.end, *from = ahead.next;
        uint8_t known = cluster;
        next = spelling_raw(&ahead);
        if (next < 0 || !spelling_joins(&cluster, spelling_class(r->spelling, (uint32_t)next) >> 4,
                                        before == '\r' && next == '\n')) {
            ahead.at = at, ahead.end = end, ahead.next = from;
            break;
        }
        bytes += spelling_bytes_of(next);
        if (bytes >= 6) {
            r->cluster = known;
            r->in_long_cluster = 1;
            r->chars_left = (uint32_t)(count - 1);
            return 0;
        }
        part[count++] = before = next;
    }
    if (count == 1)
        return 0;
    r->chars_left = (uint32_t)(count - 1);
    entry = spelling_look16(&r->spelling->map, (uint32_t)*c);
    if (entry >> 13 == SPELLING_KEYED)
        becomes = entry & 0x1FFF;
    if (becomes == UINT32_MAX)
        becomes = spelling_find_sequence(r->spelling, (uint32_t)part[0], (uint32_t)part[1], 0);
    if (becomes == UINT32_MAX && count > 2)
        becomes = spelling_find_sequence(r->spelling, (uint32_t)part[0], (uint32_t)part[1], (uint32_t)part[2]);
    if (becomes == UINT32_MAX)
        return 0;
    r->at = ahead.at, r->end = ahead.end, r->next = ahead.next;
    r->chars_left = 0;
    spelling_expand(r, becomes);
    return 1;
}

static int32_t spelling_next_by_grapheme(exl__text_reader *r) {
    int32_t c, before;
    for (;;) {
        if (spelling_next_item(r, &c))
            return c;
        if ((c = spelling_raw(r)) < 0)
            return EXL__TEXT_ENDS;
        if (r->chars_left > 0) { /* of a grapheme that begins before it */
            r->chars_left--;
        } else {
            before = r->starter;
            if (r->in_long_cluster)
                r->in_long_cluster = (uint8_t)spelling_joins(&r->cluster, spelling_class(r->spelling, (uint32_t)c) >> 4,
                                                             before == '\r' && c == '\n');
            if (!r->in_long_cluster && spelling_map_grapheme(r, &c))
                continue;
        }
        r->starter = c;
        if (spelling_map(r, &c))
            return c;
    }
}

/* ---- Canonical order ------------------------------------------------------------------------------------------- */

enum { SPELLING_L = 0x1100, SPELLING_V = 0x1161, SPELLING_T = 0x11A7, SPELLING_S = 0xAC00 };

/* The next decomposed character, and its item: code point, rank, whether it may compose with the one before. */
static int spelling_decomposed(exl__text_reader *r, uint32_t *item) {
    for (;;) {
        int32_t c;
        uint32_t entry, syllable;
        if (r->item < r->item_end) {
            *item = spelling_item(r, r->item++);
            return 1;
        }
        if (r->chars_left > 0) { /* jamo: chars_left is 1 + 2 * a trailing consonant, or twice that */
            uint32_t left = r->chars_left;
            r->chars_left = left & 1 ? left - 1 : 0;
            *item = left & 1 ? r->cluster + (uint32_t)SPELLING_V : left / 2 + SPELLING_T;
            *item |= SPELLING_ITEM_SECOND;
            return 1;
        }
        if ((c = spelling_raw(r)) < 0)
            return 0;
        entry = spelling_look16(&r->spelling->map, (uint32_t)c);
        switch (entry >> 13) {
        case SPELLING_DROP: continue;
        case SPELLING_EXPAND:
        case SPELLING_KEYED: spelling_expand(r, entry & 0x1FFF); continue;
        case SPELLING_MARK: *item = (uint32_t)c | SPELLING_ITEM_SECOND | (entry & 0xFF) << 24; return 1;
        case SPELLING_SECOND: *item = (uint32_t)c | SPELLING_ITEM_SECOND; return 1;
        case SPELLING_HANGUL:
            syllable = ((uint32_t)c - SPELLING_S) % (19 * 21 * 28);
            r->cluster = (uint8_t)(syllable / 28 % 21);
            r->chars_left = 1 + 2 * (syllable % 28);
            *item = SPELLING_L + syllable / (21 * 28);
            return 1;
        default: *item = (uint32_t)c; return 1;
        }
    }
}

/* What a character and one behind it compose to; -1: nothing. */
static int32_t spelling_compose(const exl__spelling *s, int32_t first, uint32_t second) {
    uint32_t a = (uint32_t)first, found;
    if (s->sequence_count == 0)
        return -1;
    if (a - SPELLING_L < 19 && second - SPELLING_V < 21)
        return (int32_t)(SPELLING_S + ((a - SPELLING_L) * 21 + (second - SPELLING_V)) * 28);
    if (a - SPELLING_S < 19 * 21 * 28 && (a - SPELLING_S) % 28 == 0 && second - (SPELLING_T + 1) < 27)
        return (int32_t)(a + second - SPELLING_T);
    found = spelling_find_sequence(s, a, second, 0);
    return found == UINT32_MAX ? -1 : (int32_t)found;
}

/* Puts a starter and the marks behind it into the queue, as they come out. r->starter is the next one, read ahead. */
static void spelling_fill_queue(exl__text_reader *r) {
    uint32_t ranks[EXL__NORMAL_MOST_MARKS + 1], item, marks = 0, last = 0, kept = 0;
    int32_t first = r->starter;

    r->queue_at = r->queue_count = 0;
    r->starter = -1;
    while (spelling_decomposed(r, &item)) {
        uint32_t rank = item >> 24, at;
        int32_t c = (int32_t)(item & 0x1FFFFF), made;
        if (rank == 0) {
            if (first >= 0 && marks == 0 && (item & SPELLING_ITEM_SECOND) &&
                (made = spelling_compose(r->spelling, first, (uint32_t)c)) >= 0) {
                first = made;
                continue;
            }
            if (first >= 0 || marks > 0) { /* whether they compose after all, once the marks have, is seen below */
                r->starter = c;
                r->starter_kind = item & SPELLING_ITEM_SECOND;
                break;
            }
            first = c;
            continue;
        }
        for (at = marks; at > 0 && ranks[at - 1] > rank; at--) { /* in canonical order */
            ranks[at] = ranks[at - 1];
            r->queue[at + 1] = r->queue[at];
        }
        ranks[at] = rank;
        r->queue[at + 1] = c;
        if (++marks == EXL__NORMAL_MOST_MARKS - 1)
            break;
    }
    for (uint32_t i = 0; i < marks; i++) { /* composition: of what no mark that stays behind blocks */
        int32_t made = -1;
        if (first >= 0 && (kept == 0 || last < ranks[i]))
            made = spelling_compose(r->spelling, first, (uint32_t)r->queue[i + 1]);
        if (made >= 0) {
            first = made;
            continue;
        }
        last = ranks[i];
        r->queue[++kept] = r->queue[i + 1];
    }
    if (first >= 0 && kept == 0 && marks > 0 && r->starter >= 0 && r->starter_kind) {
        int32_t made = spelling_compose(r->spelling, first, (uint32_t)r->starter);
        if (made >= 0) { /* go on with it as a starter of its own */
            r->starter = made;
            r->starter_kind = SPELLING_ITEM_SECOND;
            first = -1;
        }
    }
    r->queue[0] = first;
    r->queue_at = first < 0;
    r->queue_count = (uint16_t)(kept + 1);
}

static int32_t spelling_next_in_order(exl__text_reader *r) {
    while (r->queue_at >= r->queue_count) {
        if (r->ended)
            return EXL__TEXT_ENDS;
        spelling_fill_queue(r);
        r->ended =
            r->at == r->end && r->next == r->next_end && r->item == r->item_end && r->chars_left == 0 && r->starter < 0;
    }
    return r->queue[r->queue_at++];
}

/* ---- Normalised characters ------------------------------------------------------------------------------------- */

static int32_t spelling_next_mapped(exl__text_reader *r) {
    int32_t c;
    switch (r->spelling->order) {
    case EXL__ORDER_GRAPHEMES: return spelling_next_by_grapheme(r);
    case EXL__ORDER_CANONICAL: return spelling_next_in_order(r);
    default:
        do {
            if (spelling_next_item(r, &c))
                return c;
            if ((c = spelling_raw(r)) < 0)
                return EXL__TEXT_ENDS;
        } while (!spelling_map(r, &c));
        return c;
    }
}

static int32_t spelling_next_of_tail(exl__text_reader *r) {
    for (;;) {
        int32_t c;
        uint32_t entry;
        if (r->tail_item < r->tail_item_end)
            return (int32_t)(spelling_item(r, r->tail_item++) & 0x1FFFFF);
        c = spelling_next_mapped(r);
        if (c < 0 || !r->spelling->has_tail)
            return c;
        entry = spelling_look16(&r->spelling->tail, (uint32_t)c);
        if (entry >> 13 == SPELLING_KEEP)
            return c;
        if (entry >> 13 == SPELLING_EXPAND) {
            r->tail_item = exl__get32(r->spelling->expansions.starts + 4 * (size_t)(entry & 0x1FFF));
            r->tail_item_end = exl__get32(r->spelling->expansions.starts + 4 * (size_t)(entry & 0x1FFF) + 4);
        }
    }
}

/* Without the white characters at both ends, where they are stripped. */
static int32_t spelling_next_stripped(exl__text_reader *r) {
    const exl__spelling *s = r->spelling;
    int32_t c = spelling_next_of_tail(r);
    if (s->strip_left && !(r->flags & SPELLING_F_STRIPPED)) {
        while (spelling_is_white(s, c))
            c = spelling_next_of_tail(r);
        r->flags |= SPELLING_F_STRIPPED;
    }
    if (s->strip_right && spelling_is_white(s, c)) {
        if (r->known_white == 0) {
            exl__text_reader ahead = *r;
            int32_t next;
            do {
                r->known_white++;
                next = spelling_next_of_tail(&ahead);
            } while (spelling_is_white(s, next));
            if (next < 0) {
                *r = ahead;
                return EXL__TEXT_ENDS;
            }
        }
        r->known_white--;
    }
    return c;
}

static int32_t spelling_next_collapsed(exl__text_reader *r) {
    const exl__spelling *s = r->spelling;
    int32_t c = r->pending, first;
    if (c >= 0)
        r->pending = -1;
    else
        c = spelling_next_stripped(r);
    if (s->collapse == 0 || c < 0 || (s->collapse == EXL__COLLAPSE_SPACES ? c != ' ' : !spelling_is_white(s, c)))
        return c;
    first = spelling_next_stripped(r);
    if (s->collapse == EXL__COLLAPSE_SPACES && first != ' ') {
        r->pending = first;
        return c;
    }
    while (first >= 0 && (s->collapse == EXL__COLLAPSE_SPACES ? first == ' ' : spelling_is_white(s, first)))
        first = spelling_next_stripped(r);
    r->pending = first;
    return (int32_t)s->collapsed;
}

static int32_t spelling_next_normalised(exl__text_reader *r) {
    int32_t c = spelling_next_collapsed(r);
    if (c >= 0 && (r->flags & SPELLING_F_PREPEND)) {
        r->flags &= (uint8_t)~SPELLING_F_PREPEND;
        /* pending is free: collapsing leaves nothing there where a mark is put before anything */
        if (r->pending < 0) {
            r->pending = c;
            return (int32_t)r->spelling->mark;
        }
    }
    return c;
}

static void spelling_begin_part(exl__text_reader *r, const exl__spelling *s, const uint8_t *at, const uint8_t *end,
                                const uint8_t *next, const uint8_t *next_end) {
    r->spelling = s;
    r->at = at, r->end = end, r->next = next, r->next_end = next_end;
    r->item = r->item_end = r->tail_item = r->tail_item_end = 0;
    r->known_white = r->chars_left = 0;
    r->cluster = r->in_long_cluster = r->ended = 0;
    r->flags = s->start == EXL__MARK_ANYWAY ? SPELLING_F_PREPEND : 0;
    r->pending = r->starter = -1;
    r->starter_kind = 0;
    r->queue_at = r->queue_count = 0;
}

/* ---- Added tokens, literally ----------------------------------------------------------------------------------- */

/* The character that ends before p. */
static int32_t spelling_character_before(const uint8_t *from, const uint8_t *p) {
    const uint8_t *at = p;
    size_t length;
    uint32_t c;
    do
        at--;
    while (at > from && (*at & 0xC0) == 0x80 && p - at < 4);
    c = exl__decode_utf8(at, p, &length);
    return at + length == p ? (int32_t)c : (int32_t)EXL__REPLACEMENT;
}

static int spelling_is_word(const exl__spelling *s, int32_t c) {
    return c >= 0 && (spelling_class(s, (uint32_t)c) & SPELLING_WORD_BIT) != 0;
}

/* The longest added token that the bytes go on with: its length, or 0. */
static size_t spelling_match(const exl__added *added, const uint8_t *p, const uint8_t *end, const uint8_t **record) {
    for (size_t i = added->from[*p]; i < added->from[*p + 1]; i++) {
        uint32_t from = exl__get32(added->starts + 4 * i), to = exl__get32(added->starts + 4 * i + 4);
        size_t length = to - from - 5;
        if (length <= (size_t)(end - p) && memcmp(added->records + from + 5, p, length) == 0) {
            *record = added->records + from;
            return length;
        }
    }
    return 0;
}

/* The characters before and behind a place of the prompt (0) or the text (1); -1: none. */
static int32_t spelling_before(const exl__word_reader *w, int i, const uint8_t *p) {
    if (p > w->begin[i])
        return spelling_character_before(w->begin[i], p);
    return i == 1 && w->stop[0] > w->begin[0] ? spelling_character_before(w->begin[0], w->stop[0]) : -1;
}

static int32_t spelling_behind(const exl__word_reader *w, int i, const uint8_t *p) {
    size_t read;
    if (p == w->stop[i] && i == 0)
        p = w->begin[i = 1];
    return p < w->stop[i] ? (int32_t)exl__decode_utf8(p, w->stop[i], &read) : -1;
}

static const uint8_t *spelling_strip_before(const exl__spelling *s, const uint8_t *from, const uint8_t *p) {
    while (p > from) {
        int32_t c = spelling_character_before(from, p);
        if (!spelling_is_white(s, c))
            break;
        p -= spelling_bytes_of(c);
    }
    return p;
}

/* Takes an added token that stands from p to stop in the prompt or the text: what lies before it becomes the part. */
static void spelling_take_literal(exl__word_reader *w, int i, const uint8_t *p, const uint8_t *stop,
                                  const uint8_t *record) {
    const exl__spelling *s = w->text.spelling;
    const uint8_t *ends[2] = {i == 0 ? p : w->stop[0], i == 0 ? w->rest[1] : p};

    if (record[4] & SPELLING_LSTRIP) {
        ends[i] = spelling_strip_before(s, w->rest[i], p);
        if (i == 1 && ends[1] == w->rest[1])
            ends[0] = spelling_strip_before(s, w->rest[0], ends[0]);
    }
    spelling_begin_part(&w->text, s, w->rest[0], ends[0], w->rest[1], ends[1]);
    w->rest[i] = stop;
    if (i == 1)
        w->rest[0] = w->stop[0];
    if (record[4] & SPELLING_RSTRIP)
        for (int j = i; j < 2; j++) {
            size_t read;
            while (w->rest[j] < w->stop[j] &&
                   spelling_is_white(s, (int32_t)exl__decode_utf8(w->rest[j], w->stop[j], &read)))
                w->rest[j] += read;
            if (w->rest[j] < w->stop[j])
                break;
        }
    w->literal_waits = 1;
    w->literal_id = exl__get32(record);
}

/* Makes what lies before the next added token the part that is read, and remembers the token. */
static void spelling_next_part(exl__word_reader *w) {
    const exl__spelling *s = w->text.spelling;
    const uint8_t *record;

    for (int i = 0; i < 2; i++)
        for (const uint8_t *p = w->rest[i]; p < w->stop[i];) {
            size_t length = s->literal.from[*p] == s->literal.from[*p + 1]
                                ? 0
                                : spelling_match(&s->literal, p, w->stop[i], &record);
            if (length > 0 &&
                !(record[4] & SPELLING_SINGLE_WORD && (spelling_is_word(s, spelling_before(w, i, p)) ||
                                                       spelling_is_word(s, spelling_behind(w, i, p + length))))) {
                spelling_take_literal(w, i, p, p + length, record);
                return;
            }
            p += length > 0 ? length : 1;
        }
    spelling_begin_part(&w->text, s, w->rest[0], w->stop[0], w->rest[1], w->stop[1]);
    w->rest[0] = w->stop[0], w->rest[1] = w->stop[1];
}

/* ---- Added tokens, normalised ---------------------------------------------------------------------------------- */

/* The longest added token that the characters go on with from c on, whose reader stands behind c. 1: it counts, and
 * *r stands behind it. Otherwise *skip is how many characters belong to one that does not count. */
static int spelling_match_normal(exl__word_reader *w, int32_t c, uint32_t *id) {
    const exl__spelling *s = w->text.spelling;
    uint8_t first[4];
    (void)exl__encode_utf8((uint32_t)c, first);
    for (size_t i = s->normal.from[first[0]]; i < s->normal.from[first[0] + 1]; i++) {
        uint32_t from = exl__get32(s->normal.starts + 4 * i), to = exl__get32(s->normal.starts + 4 * i + 4);
        const uint8_t *p = s->normal.records + from + 5, *end = s->normal.records + to;
        exl__text_reader ahead = w->text;
        int32_t next = c;
        uint32_t chars = 0;
        for (;;) {
            size_t length;
            if (next < 0 || (uint32_t)next != exl__decode_utf8(p, end, &length))
                break;
            p += length;
            chars++;
            if (p == end)
                break;
            next = spelling_next_normalised(&ahead);
        }
        if (p != end)
            continue;
        if (s->normal.records[from + 4] & (SPELLING_SINGLE_WORD | SPELLING_RSTRIP)) {
            exl__text_reader behind = ahead;
            next = spelling_next_normalised(&behind);
            if (s->normal.records[from + 4] & SPELLING_SINGLE_WORD &&
                (spelling_is_word(s, w->last) || spelling_is_word(s, next))) {
                w->forced = (uint8_t)(chars - 1); /* so many characters are read before another is looked for */
                return 0;
            }
            if (s->normal.records[from + 4] & SPELLING_RSTRIP)
                while (spelling_is_white(s, next)) {
                    ahead = behind;
                    next = spelling_next_normalised(&behind);
                }
        }
        w->text = ahead;
        w->last = spelling_character_before(end - 4 > s->normal.records ? end - 4 : s->normal.records, end);
        *id = exl__get32(s->normal.records + from);
        return 1;
    }
    return 0;
}

/* ---- Words ----------------------------------------------------------------------------------------------------- */

/* The next character of a part, or what ends the part: EXL__TEXT_TOKEN or EXL__TEXT_ENDS, until that is passed. */
static int32_t spelling_pull(exl__word_reader *w) {
    int32_t c = spelling_next_normalised(&w->text);
    if (c < 0)
        return EXL__TEXT_ENDS;
    if (w->forced > 0)
        w->forced--;
    else if (w->text.spelling->has_normal && spelling_match_normal(w, c, &w->ahead_id))
        return EXL__TEXT_TOKEN;
    w->last = c;
    return c;
}

/* The character `place` places ahead; behind what ends the part, that again. */
static int32_t spelling_peek(exl__word_reader *w, uint32_t place) {
    while (w->ahead_count <= place) {
        if (w->ahead_count > 0 && w->ahead[w->ahead_count - 1] < 0)
            return w->ahead[w->ahead_count - 1];
        w->ahead[w->ahead_count] = spelling_pull(w);
        w->ahead_count++;
    }
    return w->ahead[place];
}

static int32_t spelling_take_ahead(exl__word_reader *w) {
    int32_t c = spelling_peek(w, 0);
    w->ahead_count--;
    memmove(w->ahead, w->ahead + 1, w->ahead_count * sizeof *w->ahead);
    return c;
}

void exl__word_reader_start(exl__word_reader *w, const exl__spelling *s, const uint8_t *prompt, size_t prompt_bytes,
                            const uint8_t *text, size_t text_bytes) {
    w->begin[0] = w->rest[0] = w->stop[0] = prompt;
    w->begin[1] = w->rest[1] = w->stop[1] = text;
    if (prompt_bytes > 0)
        w->stop[0] += prompt_bytes;
    if (text_bytes > 0)
        w->stop[1] += text_bytes;
    w->ahead_count = w->run = w->begun = w->part_begun = w->forced = w->literal_waits = 0;
    w->first_part = 1;
    w->last = -1;
    w->text.spelling = s;
    spelling_next_part(w);
}

enum { SPELLING_RUN_NONE = 15, SPELLING_RUN_QUOTE = 14 };

/* How many letters behind an apostrophe make a contraction of GPT-2's: 's 't 'm 'd, 're 've 'll. */
static uint32_t spelling_contraction(exl__word_reader *w) {
    int32_t first = spelling_peek(w, 1), second;
    if (first == 's' || first == 't' || first == 'm' || first == 'd')
        return 1;
    if (first != 'r' && first != 'v' && first != 'l')
        return 0;
    second = spelling_peek(w, 2);
    return first == 'l' ? (second == 'l' ? 2 : 0) : (second == 'e' ? 2 : 0);
}

/* Whether GPT-2's expression begins a word at the next character, c. w->run: the class of the word's run, w->begun: of
 * how many characters ahead it is settled that they go on with the word. */
static int spelling_gpt2_begins(exl__word_reader *w, int32_t c) {
    const exl__spelling *s = w->text.spelling;
    uint32_t class = spelling_class(s, (uint32_t)c) & 7;
    int32_t next;
    if (s->digits_alone && class == SPELLING_NUMBER) {
        w->run = SPELLING_RUN_NONE;
        return 1;
    }
    if (w->begun > 0) {
        w->begun--;
        return 0;
    }
    if (w->run != SPELLING_RUN_NONE && w->run != SPELLING_WHITE && class == w->run)
        return 0;
    if (class == SPELLING_WHITE) {
        int begins = w->run != SPELLING_WHITE;
        int solid;
        next = spelling_peek(w, 1);
        solid = next >= 0 && !spelling_is_white(s, next) &&
                !(s->digits_alone && (spelling_class(s, (uint32_t)next) & 7) == SPELLING_NUMBER);
        if (!solid) {
            w->run = SPELLING_WHITE;
            return begins;
        }
        if (c == ' ') { /* goes with the word behind it */
            w->run = (uint8_t)(spelling_class(s, (uint32_t)next) & 7);
            w->begun = 1;
            return 1;
        }
        w->run = SPELLING_RUN_NONE;
        return 1;
    }
    if (c == '\'') {
        uint32_t letters = spelling_contraction(w);
        if (letters > 0) {
            w->run = SPELLING_RUN_NONE;
            w->begun = (uint8_t)letters;
            return 1;
        }
    }
    w->run = (uint8_t)class;
    return 1;
}

int32_t exl__next_character(exl__word_reader *w, int *begins) {
    const exl__spelling *s = w->text.spelling;
    int32_t c;
    for (;;) {
        c = spelling_peek(w, 0);
        if (c == EXL__TEXT_ENDS) { /* of the part */
            w->ahead_count = 0;
            w->part_begun = w->begun = w->forced = 0;
            w->last = -1;
            if (w->literal_waits) {
                w->literal_waits = 0;
                w->first_part = 0;
                w->token_id = w->literal_id;
                spelling_next_part(w);
                return EXL__TEXT_TOKEN;
            }
            return EXL__TEXT_ENDS;
        }
        if (c == EXL__TEXT_TOKEN) {
            w->ahead_count = 0;
            w->part_begun = w->begun = w->first_part = 0;
            w->token_id = w->ahead_id;
            return EXL__TEXT_TOKEN;
        }
        if ((s->split == EXL__SPLIT_AT_WHITE || s->split == EXL__SPLIT_BERT) && spelling_is_white(s, c)) {
            (void)spelling_take_ahead(w);
            w->part_begun = 0;
            continue;
        }
        break;
    }
    if (s->mark_spaces && c == ' ')
        c = (int32_t)s->mark;
    if (!w->part_begun) {
        w->run = SPELLING_RUN_NONE;
        w->part_begun = 1;
        *begins = 1;
        if ((s->start == EXL__MARK_ALWAYS || (s->start == EXL__MARK_FIRST && w->first_part)) && c != (int32_t)s->mark) {
            if (s->split != EXL__SPLIT_GPT2)
                return (int32_t)s->mark;
            /* the mark is a space, which goes as one that is written does */
            w->ahead[1] = w->ahead[0];
            w->ahead[0] = c = (int32_t)s->mark;
            w->ahead_count = 2;
        }
        if (s->split == EXL__SPLIT_GPT2)
            (void)spelling_gpt2_begins(w, c);
    } else if (s->split == EXL__SPLIT_GPT2)
        *begins = spelling_gpt2_begins(w, c);
    else if (s->split == EXL__SPLIT_BERT)
        *begins = w->run == SPELLING_PUNCTUATION || (spelling_class(s, (uint32_t)c) & 7) == SPELLING_PUNCTUATION;
    else
        *begins = s->split != EXL__SPLIT_NONE && c == (int32_t)s->mark;
    if (s->split == EXL__SPLIT_BERT)
        w->run = (uint8_t)(spelling_class(s, (uint32_t)c) & 7);
    (void)spelling_take_ahead(w);
    return c;
}
