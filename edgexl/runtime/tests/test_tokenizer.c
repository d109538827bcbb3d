/* test_tokenizer.c: the tokenizer on a section built here after docs/format.md, and on damaged ones.
 *
 *   test_tokenizer            known texts, every truncation and many byte flips of the section built here
 *   test_tokenizer SECTION    the same damage to the section in a file
 *
 * Build it with -fsanitize=address,undefined: every buffer has exactly the size that is promised, so a read or write
 * outside is seen. That Hugging Face gives the same ids is checked by tests/runtime/test_tokenizer.py. */
#include "../src/tokenizer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int failures;

static void expect(int condition, const char *what) {
    if (condition)
        return;
    failures++;
    fprintf(stderr, "failed: %s\n", what);
}

/* ---- A section ---- */

typedef struct bytes {
    uint8_t data[1 << 16];
    size_t length;
} bytes;

static void add(bytes *b, uint32_t value, size_t size) {
    for (; size > 0; size--, value >>= 8)
        b->data[b->length++] = (uint8_t)value;
}

static void add_bytes(bytes *b, const bytes *more) {
    memcpy(b->data + b->length, more->data, more->length);
    b->length += more->length;
    while (b->length % 4 != 0)
        b->data[b->length++] = 0;
}

enum { PAD, UNK, CLS, SEP, MASK, FIRST };

static const char *const ADDED[] = {"[CLS]", "[MASK]", "[MASK]!", "[SEP]"}; /* in no order: add_added sorts */

/* The jamo of U+AC01 and of U+D7A3, the last syllable; the marks U+1D16D (rank 2) and U+1D165 (rank 1), and five made
 * up here, of one to four bytes and of every first byte that decides how many (rank 2); U+00E9 expands to "e", U+2260
 * to an isolated "=". */
static const char *const HEADS[] = {"hello", "he", "!", "a", "\u1100", "=", "\U0001D165", "\u1112"};
static const char *const TAILS[] = {"llo",  "a",      "\u1161", "\u11a8", "\U0001D165", "\U0001D16D", "e",
                                    "\x7F", "\u07FF", "\u0F7F", "\uFFFF", "\U000FFFFF", "\u1175",     "\u11C2"};
enum { HEAD_COUNT = 8, TAIL_COUNT = 14, TOP = FIRST + HEAD_COUNT + TAIL_COUNT };
static const uint32_t ADDED_IDS[] = {CLS, MASK, TOP, SEP};

static uint32_t piece_hash(const char *piece, uint32_t hash) {
    for (; *piece != 0; piece++)
        hash = (hash ^ (uint8_t)*piece) * 0x01000193U;
    hash = (hash ^ hash >> 15) * 0x2C1B3C6DU;
    return hash ^ hash >> 13;
}

static void add_pieces(bytes *slots, bytes *records, const char *const *pieces, uint32_t count, uint32_t id,
                       uint32_t basis) {
    uint32_t table[16] = {0};
    for (uint32_t i = 0; i < count; i++) {
        uint32_t hash = piece_hash(pieces[i], basis), at = (uint32_t)((uint64_t)hash * 16 >> 32);
        while (table[at] != 0)
            at = (at + 1) % 16;
        table[at] = (hash & 0xFF) << 24 | (uint32_t)(records->length + 1);
        add(records, id + i, 3);
        add(records, (uint32_t)strlen(pieces[i]), 1);
        for (const char *p = pieces[i]; *p != 0; p++)
            add(records, (uint8_t)*p, 1);
    }
    for (size_t i = 0; i < 16; i++)
        add(slots, table[i], 4);
}

static uint32_t ascii_entry(uint32_t c) {
    if (c == ' ' || c == '\n')
        return 3U << 13;
    if (c < ' ')
        return 1U << 13;
    if (c == 0x7F)
        return 6U << 13 | 2;
    if (c >= 'A' && c <= 'Z')
        return 5U << 13 | (c - 'A');
    if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'))
        return 0;
    return 4U << 13;
}

static void build_section(bytes *section) {
    static bytes page_of, pages, expansions, items, heads, tails, records, added, added_records;
    bytes *all[] = {&page_of, &pages, &expansions, &items, &heads, &tails, &records, &added, &added_records};
    static const size_t longest_first[] = {2, 1, 0, 3};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        all[i]->length = 0;
    section->length = 0;

    for (uint32_t page = 0; page < 8704;
         page++) /* 0 ASCII, 1 Latin 1, 2 plain, 3 Hangul, 4 musical symbols, 5 with U+2260, 6 a mark at its end */
        add(&page_of,
            page == 0                                                   ? 0
            : page == 1                                                 ? 1
            : page == 0x158 || page == 0x1AA || page == 0x1AF           ? 3
            : page == 0x3A2                                             ? 4
            : page == 0x44                                              ? 5
            : page == 15 || page == 30 || page == 511 || page == 0x1FFF ? 6
                                                                        : 2,
            2);
    for (uint32_t c = 0; c < 128; c++)
        add(&pages, ascii_entry(c), 2);
    for (uint32_t c = 0x80; c < 0x100; c++)
        add(&pages, c == 0xE9 ? 5U << 13 | 26 : 0, 2);
    for (uint32_t c = 0; c < 128; c++)
        add(&pages, 0, 2);
    for (uint32_t c = 0; c < 128; c++)
        add(&pages, 7U << 13, 2);
    for (uint32_t c = 0x1D100; c < 0x1D180; c++)
        add(&pages,
            c == 0x1D165   ? 6U << 13 | 1
            : c == 0x1D16D ? 6U << 13 | 2
            : c == 0x1D17F ? 2U << 13
            : c == 0x1D17E ? 1U << 13
                           : 0,
            2);
    for (uint32_t c = 0x2200; c < 0x2280; c++)
        add(&pages, c == 0x2260 ? 5U << 13 | 27 : 0, 2);
    for (uint32_t c = 0; c < 128; c++)
        add(&pages, c == 127 ? 6U << 13 | 2 : 0, 2);
    for (uint32_t i = 0; i <= 28; i++)
        add(&expansions, i, 2);
    for (uint32_t c = 'a'; c <= 'z'; c++)
        add(&items, c, 4);
    add(&items, 'e', 4);
    add(&items, '=' | 1U << 21, 4);
    add_pieces(&heads, &records, HEADS, HEAD_COUNT, FIRST, 0x811C9DC5U);
    add_pieces(&tails, &records, TAILS, TAIL_COUNT, FIRST + HEAD_COUNT, 0x9E3779B9U);
    for (size_t i = 0; i < 4; i++) {
        add(&added, (uint32_t)added_records.length, 4);
        add(&added_records, ADDED_IDS[longest_first[i]], 4);
        for (const char *p = ADDED[longest_first[i]]; *p != 0; p++)
            add(&added_records, (uint8_t)*p, 1);
    }
    add(&added, (uint32_t)added_records.length, 4);

    add(section, 1, 4);
    add(section, TOP + 1, 4);
    add(section, CLS, 4);
    add(section, SEP, 4);
    add(section, UNK, 4);
    add(section, 10, 4); /* characters in a word */
    add(section, 16, 4);
    add(section, 5, 4);
    add(section, 16, 4);
    add(section, 4, 4);
    add(section, 7, 4);
    add(section, 28, 2);
    add(section, 28, 2);
    add(section, (uint32_t)records.length, 4);
    add(section, 4, 4);
    add(section, (uint32_t)added_records.length, 4);
    add(section, 0, 4);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        add_bytes(section, all[i]);
}

/* ---- Known texts ---- */

static void expect_ids(const exl__tokenizer *t, const char *text, size_t text_bytes, int add_special, size_t capacity,
                       const int32_t *ids, size_t count) {
    char *exact_text = malloc(text_bytes + (text_bytes == 0));
    int32_t *exact_ids = malloc(sizeof *ids * capacity + (capacity == 0));
    size_t written = 0;
    if (exact_text == NULL || exact_ids == NULL)
        exit(2);
    memcpy(exact_text, text, text_bytes);
    written = exl__tokenize(t, exact_text, text_bytes, add_special, exact_ids, capacity);
    expect(written == count && memcmp(exact_ids, ids, count * sizeof *ids) == 0, text);
    free(exact_text);
    free(exact_ids);
}

#define IDS(...) (const int32_t[]){__VA_ARGS__}, sizeof((const int32_t[]){__VA_ARGS__}) / sizeof(int32_t)
#define EXPECT(text, capacity, ...) expect_ids(&t, text, sizeof(text) - 1, 1, capacity, IDS(__VA_ARGS__))
#define EXPECT_BARE(text, capacity, ...) expect_ids(&t, text, sizeof(text) - 1, 0, capacity, IDS(__VA_ARGS__))

static void test_known_texts(const bytes *section) {
    enum {
        HELLO = FIRST,
        HE,
        BANG,
        A,
        G,
        EQUAL,
        STEM,
        LAST_G,
        LLO,
        AA,
        A_JAMO,
        K,
        STEM2,
        DOT,
        E,
        ENDS,
        LAST_A = ENDS + 5,
        LAST_K
    };
    exl__tokenizer t;
    expect(exl__tokenizer_init(&t, section->data, section->length) == NULL, "the section built here is taken");
    EXPECT("", 8, CLS, SEP);
    EXPECT("Hello!", 8, CLS, HELLO, BANG, SEP);
    EXPECT("he\xc3\xa9 a\x01"
           "a",
           8, CLS, HE, E, A, AA, SEP);
    EXPECT("hex hello", 8, CLS, UNK, HELLO, SEP);
    EXPECT("a\xe2\x89\xa0"
           "a",
           8, CLS, A, EQUAL, A, SEP);
    EXPECT("\xea\xb0\x80 \xea\xb0\x81", 8, CLS, G, A_JAMO, G, A_JAMO, K, SEP);
    EXPECT("\uD7A3 \uD558", 8, CLS, LAST_G, LAST_A, LAST_K, LAST_G, A_JAMO, SEP);
    EXPECT("he[MASK]llo[MASK]![SEP][", 12, CLS, HE, MASK, UNK, TOP, SEP, UNK, SEP);
    EXPECT("a\U0001D16D\U0001D165", 8, CLS, A, STEM2, DOT, SEP);           /* reordered */
    EXPECT("a\U0001D16D\U0001D17F\U0001D165", 8, CLS, A, DOT, STEM2, SEP); /* the barrier keeps them */
    EXPECT("a\U0001D16D\x01\U0001D165", 8, CLS, A, STEM2, DOT, SEP);       /* what is dropped does not */
    EXPECT("a\U0001D16D\U0001D17E\U0001D165", 8, CLS, A, STEM2, DOT, SEP);
    EXPECT("a\x7F\U0001D165", 8, CLS, A, STEM2, ENDS, SEP); /* marks of every length */
    EXPECT("a\u07FF\U0001D165", 8, CLS, A, STEM2, ENDS + 1, SEP);
    EXPECT("a\u0F7F\U0001D165", 8, CLS, A, STEM2, ENDS + 2, SEP);
    EXPECT("a\uFFFF\U0001D165", 8, CLS, A, STEM2, ENDS + 3, SEP);
    EXPECT("a\U000FFFFF\U0001D165", 8, CLS, A, STEM2, ENDS + 4, SEP);
    EXPECT("a\x7F\u07FF\u0F7F\uFFFF\U000FFFFF\U0001D16D", 9, CLS, A, ENDS, ENDS + 1, ENDS + 2, ENDS + 3, ENDS + 4, DOT,
           SEP); /* those of one rank stay as they come */
    EXPECT("aaaaaaaaaa", 16, CLS, A, AA, AA, AA, AA, AA, AA, AA, AA, AA, SEP);
    EXPECT("aaaaaaaaaaa a", 16, CLS, UNK, A, SEP); /* 11 characters: too many */
    EXPECT("a\U0001D165\U0001D165\U0001D165\U0001D165\U0001D165\U0001D165\U0001D165\U0001D165\U0001D165", 16, CLS, A,
           STEM2, STEM2, STEM2, STEM2, STEM2, STEM2, STEM2, STEM2, STEM2, SEP);
    EXPECT("a\U0001D165\U0001D165\U0001D165\U0001D165\U0001D165\U0001D165\U0001D165\U0001D165\U0001D165\U0001D165", 16,
           CLS, UNK, SEP); /* a mark is a character, too */
    EXPECT("hello hello hello", 4, CLS, HELLO, HELLO, SEP);
    EXPECT("heallo", 3, CLS, HE, SEP); /* he ##a ##llo, cut inside the word */
    EXPECT("heax", 3, CLS, UNK, SEP);  /* a cut does not hide that the word is unknown */
    EXPECT("hello", 2, CLS, SEP);
    EXPECT_BARE("hello he!", 2, HELLO, HE);
    EXPECT_BARE("a\xff\xe4\xb8", 8, UNK); /* U+FFFD is plain here, so all three are one word */
    EXPECT_BARE("a\0a", 8, A, AA);
    expect(exl__tokenize(&t, NULL, 0, 1, (int32_t[2]){0, 0}, 2) == 2, "a null text of no bytes");
    expect(exl__tokenize(&t, "hello", 5, 1, NULL, 1) == 0, "no room for [CLS] and [SEP]");
    expect(exl__tokenize(&t, "hello", 5, 0, NULL, 0) == 0, "no room at all");
}

/* The longest word: characters and marks of four bytes each, and the last mark moves before all the others. */
static void test_longest_word(const bytes *section) {
    static bytes longest;
    char text[4 * EXL__MAX_WORD_CHARS], letters[2 * sizeof text];
    exl__tokenizer t;

    longest = *section;
    memcpy(longest.data + 20, &(uint32_t){EXL__MAX_WORD_CHARS}, 4);
    expect(exl__tokenizer_init(&t, longest.data, longest.length) == NULL, "words of the most characters");
    for (size_t i = 0; i < EXL__MAX_WORD_CHARS; i++)
        memcpy(text + 4 * i,
               i < EXL__MAX_WORD_CHARS / 2   ? "\U0001F600"
               : i < EXL__MAX_WORD_CHARS - 1 ? "\U0001D16D"
                                             : "\U0001D165",
               4);
    expect_ids(&t, text, sizeof text, 1, 8, IDS(CLS, UNK, SEP));
    memset(letters, 'a', sizeof letters); /* more than are kept */
    expect_ids(&t, letters, sizeof letters, 1, 8, IDS(CLS, UNK, SEP));
}

/* ---- Damage ---- */

static uint64_t random_state = 20261122;

static uint32_t random_below(uint32_t limit) { /* xorshift64*: the same in every run */
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return (uint32_t)((random_state * 0x2545F4914F6CDD1DULL >> 32) % limit);
}

static const char DAMAGE_TEXT[] = "Hello, \U0001D16D\U0001D165 heal! [MASK] \xea\xb0\x81\xe4\xb8\xad\xff na\xc3\xafve "
                                  "\xe2\x89\xa0 internationalisation ##a";

/* Inits on a copy of exactly `length` bytes and tokenizes if that succeeds. Returns init's answer. */
static const char *try_section(const uint8_t *data, size_t length) {
    exl__tokenizer t;
    int32_t ids[64];
    uint8_t *exact = malloc(length + (length == 0));
    const char *refused;
    if (exact == NULL)
        exit(2);
    memcpy(exact, data, length);
    refused = exl__tokenizer_init(&t, exact, length);
    if (!refused) {
        char text[sizeof DAMAGE_TEXT + 24];
        size_t count, extra = random_below(24);
        memcpy(text, DAMAGE_TEXT, sizeof DAMAGE_TEXT - 1);
        for (size_t i = 0; i < extra; i++)
            text[sizeof DAMAGE_TEXT - 1 + i] = (char)random_below(256);
        count = exl__tokenize(&t, text, sizeof DAMAGE_TEXT - 1 + extra, 1, ids, 64);
        for (size_t i = 0; i < count; i++)
            expect((uint32_t)ids[i] < t.vocabulary, "an id is below the vocabulary");
    }
    free(exact);
    return refused;
}

static void test_damage(uint8_t *data, size_t length, size_t truncations, size_t flips) {
    enum { TABLES = 64 + 2 * 8704 }; /* most bytes before here are page numbers, most checks are about what follows */
    size_t stride = length / truncations + 1;
    expect(try_section(data, length) == NULL, "the undamaged section is taken");
    for (size_t cut = 0; cut < length; cut += stride)
        expect(try_section(data, cut) != NULL, "a truncated section is refused");
    for (size_t i = 0; i < flips; i++) {
        size_t at[3], count = 1 + random_below(3);
        uint8_t before[3];
        for (size_t j = 0; j < count; j++) {
            uint32_t where = random_below(4);
            at[j] = where == 0   ? random_below(64)
                    : where == 1 ? random_below((uint32_t)length)
                                 : TABLES + random_below((uint32_t)(length - TABLES));
            before[j] = data[at[j]];
            data[at[j]] = (uint8_t)(random_below(2) ? before[j] ^ 1U << random_below(8) : random_below(256));
        }
        try_section(data, length);
        for (size_t j = count; j-- > 0;)
            data[at[j]] = before[j];
    }
}

/* ---- Limits: the last value that is taken, the first one that is refused ---- */

enum {
    PAGE_OF = 64,
    PAGES = PAGE_OF + 2 * 8704,
    EXPANSIONS = PAGES + 2 * 7 * 128,
    ITEMS = EXPANSIONS + 60,
    HEADS_AT = ITEMS + 4 * 28,
    TAILS_AT = HEADS_AT + 64,
    RECORDS = TAILS_AT + 64,
    /* in the header */
    VOCABULARY = 4,
    PREFIX = 8,
    SUFFIX = 12,
    UNKNOWN = 16,
    WORD_CHARS = 20,
    LONGEST_HEAD = 28,
    LONGEST_TAIL = 36,
    RECORD_BYTES = 48
};

static uint32_t word_at(const bytes *section, size_t at) {
    uint32_t value;
    memcpy(&value, section->data + at, 4);
    return value;
}

static void expect_init(const bytes *section, size_t at, uint32_t value, size_t size, int refused) {
    static bytes changed;
    char what[80];

    changed = *section;
    memcpy(changed.data + at, &value, size);
    snprintf(what, sizeof what, "%u at byte %zu is %s", value, at, refused ? "refused" : "taken");
    expect((try_section(changed.data, changed.length) != NULL) == refused, what);
}

#define TAKEN(at, value, size) expect_init(section, at, value, size, 0)
#define REFUSED(at, value, size) expect_init(section, at, value, size, 1)

static void test_header_limits(const bytes *section) {
    REFUSED(0, 0, 4);
    REFUSED(0, 2, 4);
    REFUSED(VOCABULARY, 0, 4);
    REFUSED(VOCABULARY, TOP, 4); /* the highest id */
    TAKEN(VOCABULARY, 1U << 24, 4);
    REFUSED(VOCABULARY, (1U << 24) + 1, 4);
    for (size_t at = PREFIX; at <= UNKNOWN; at += 4) {
        TAKEN(at, TOP, 4);
        REFUSED(at, TOP + 1, 4);
    }
    REFUSED(WORD_CHARS, 0, 4);
    TAKEN(WORD_CHARS, 1, 4);
    TAKEN(WORD_CHARS, EXL__MAX_WORD_CHARS, 4);
    REFUSED(WORD_CHARS, EXL__MAX_WORD_CHARS + 1, 4);
    REFUSED(LONGEST_HEAD, 4, 4); /* "hello" is a piece */
    TAKEN(LONGEST_HEAD, EXL__MAX_PIECE_BYTES, 4);
    REFUSED(LONGEST_HEAD, EXL__MAX_PIECE_BYTES + 1, 4);
    REFUSED(LONGEST_TAIL, 3, 4);
    TAKEN(LONGEST_TAIL, EXL__MAX_PIECE_BYTES, 4);
    REFUSED(LONGEST_TAIL, EXL__MAX_PIECE_BYTES + 1, 4);
    for (size_t at = 60; at < 64; at++)
        REFUSED(at, 1, 1);
}

/* The name of what is wrong, as docs/format.md has it. */
static void test_names(const bytes *section) {
    static const struct {
        size_t at;
        uint32_t value;
        const char *name;
    } wrong[] = {
        {0, 3, "version"},
        {VOCABULARY, 0, "vocabulary"},
        {PREFIX, TOP + 1, "prefix_id"},
        {SUFFIX, TOP + 1, "suffix_id"},
        {UNKNOWN, TOP + 1, "unknown_id"},
        {WORD_CHARS, 0, "max_word_chars"},
        {24, 0, "head_slots"},
        {LONGEST_HEAD, EXL__MAX_PIECE_BYTES + 1, "longest_head_bytes"},
        {32, 0, "tail_slots"},
        {LONGEST_TAIL, EXL__MAX_PIECE_BYTES + 1, "longest_tail_bytes"},
        {40, 0, "pages"},
        {RECORD_BYTES, 0xFFFFFF, "record_bytes"},
        {52, 65536, "added_tokens"},
        {60, 1, "reserved"},
        {PAGE_OF, 7, "page_of"},
        {PAGES, 5U << 13 | 28, "pages"},
        {EXPANSIONS, 1, "expansion_starts"},
        {ITEMS, 0x110000, "items"},
        {HEADS_AT, 0xFFFFFF, "records"},
    };

    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        static bytes changed;
        const char *name;

        changed = *section;
        memcpy(changed.data + wrong[i].at, &wrong[i].value, 4);
        name = try_section(changed.data, changed.length);
        expect(name && strcmp(name, wrong[i].name) == 0, wrong[i].name);
    }
    expect(strcmp(try_section(section->data, 63), "length") == 0, "a section without its header");
    expect(strcmp(try_section(section->data, section->length - 4), "added") == 0, "a section without its end");
}

static void test_character_limits(const bytes *section) {
    static const uint32_t without_argument[] = {0, 1, 2, 3, 4, 7};

    TAKEN(PAGE_OF, 6, 2);
    REFUSED(PAGE_OF, 7, 2);
    REFUSED(PAGE_OF + 2 * 8703, 7, 2);
    for (size_t i = 0; i < 6; i++) {
        TAKEN(PAGES + 2 * 895, without_argument[i] << 13, 2); /* the last character of the last page */
        REFUSED(PAGES + 2 * 895, without_argument[i] << 13 | 1, 2);
    }
    TAKEN(PAGES, 5U << 13 | 27, 2);
    REFUSED(PAGES, 5U << 13 | 28, 2);
    REFUSED(PAGES, 6U << 13, 2);
    TAKEN(PAGES, 6U << 13 | 1, 2);
    TAKEN(PAGES, 6U << 13 | 255, 2);
    REFUSED(PAGES, 6U << 13 | 256, 2);
    REFUSED(EXPANSIONS, 1, 2);
    REFUSED(EXPANSIONS + 2 * 28, 27, 2);
    REFUSED(EXPANSIONS + 2 * 28, 29, 2);
    REFUSED(EXPANSIONS + 2 * 27, 28, 2); /* one of no items */
    REFUSED(EXPANSIONS + 2, 0, 2);
    REFUSED(EXPANSIONS + 58, 1, 1); /* behind the last one */
    for (size_t at = ITEMS; at <= ITEMS + 4 * 27; at += 4 * 27) {
        TAKEN(at, 0x10FFFF, 4);
        REFUSED(at, 0x110000, 4);
        TAKEN(at, 0xD7FF, 4);
        REFUSED(at, 0xD800, 4);
        REFUSED(at, 0xDFFF, 4);
        TAKEN(at, 0xE000, 4);
        TAKEN(at, 'a' | 2U << 21, 4);
        TAKEN(at, 'a' | 3U << 21 | 1U << 24, 4); /* a mark has a rank, all else has none */
        TAKEN(at, 'a' | 3U << 21 | 255U << 24, 4);
        REFUSED(at, 'a' | 3U << 21, 4);
        REFUSED(at, 'a' | 1U << 24, 4);
        REFUSED(at, 'a' | 1U << 21 | 1U << 24, 4);
        REFUSED(at, 'a' | 4U << 21, 4);
    }
}

static void test_piece_limits(const bytes *section) {
    for (size_t table = HEADS_AT; table <= TAILS_AT; table += TAILS_AT - HEADS_AT) {
        static bytes full;
        size_t used = table, empty = table, record;

        while (word_at(section, used) == 0)
            used += 4;
        while (word_at(section, empty) != 0)
            empty += 4;
        REFUSED(empty + 3, 1, 1); /* a tag of nothing */
        record = RECORDS + (word_at(section, used) & 0xFFFFFF) - 1;
        TAKEN(record, TOP, 3);
        REFUSED(record, TOP + 1, 3);
        REFUSED(record + 3, 0, 1);
        REFUSED(record + 3, table == HEADS_AT ? 6 : 5, 1);
        REFUSED(used, word_at(section, RECORD_BYTES) - 2, 3); /* 3 bytes are no record */
        REFUSED(used, word_at(section, RECORD_BYTES) + 1, 3);
        REFUSED(used, word_at(section, RECORD_BYTES) + 2, 3);
        full = *section;
        for (size_t at = table; at < table + 64; at += 4)
            if (word_at(&full, at) == 0)
                memcpy(full.data + at, section->data + used, 4);
        expect(try_section(full.data, full.length) != NULL, "a table without a free slot is refused");
        memset(full.data + table + 60, 0, 4);
        expect(try_section(full.data, full.length) == NULL, "one free slot is enough");
    }
    /* the last record, which is a tail's, reaches to the end of all, and no further */
    for (size_t at = TAILS_AT; at < TAILS_AT + 64; at += 4) {
        size_t record = (word_at(section, at) & 0xFFFFFF) - 1, length;
        if (word_at(section, at) == 0)
            continue;
        length = section->data[RECORDS + record + 3];
        if (record + 4 + length == word_at(section, RECORD_BYTES))
            REFUSED(RECORDS + record + 3, (uint32_t)length + 1, 1);
    }
}

static void test_added_limits(const bytes *section) {
    size_t added = RECORDS + (word_at(section, RECORD_BYTES) + 3) / 4 * 4, records = added + 4 * 5;
    uint32_t first = word_at(section, added + 4); /* where the second one begins; "[MASK]!" is the first */

    REFUSED(added, 4, 4);
    REFUSED(added + 4 * 4, word_at(section, added + 4 * 4) - 1, 4);
    REFUSED(added + 4, 4, 4); /* a token of no bytes, and of less */
    REFUSED(added + 4, UINT32_MAX, 4);
    REFUSED(added + 8, first, 4);
    REFUSED(added + 8, first + 4, 4);
    TAKEN(records, TOP, 4);
    REFUSED(records, TOP + 1, 4);
    REFUSED(records + first + 4, '[' - 1, 1); /* out of order */
    REFUSED(records + 4, '[' + 1, 1);
    TAKEN(records + 4, '[' - 1, 1);
    REFUSED(added + 4, first - 2, 4); /* the second one becomes the longer one */
}

static void test_limits(const bytes *section) {
    test_header_limits(section);
    test_names(section);
    test_character_limits(section);
    test_piece_limits(section);
    test_added_limits(section);
}

static void test_file(const char *path) {
    FILE *file = fopen(path, "rb");
    uint8_t *data = malloc(1 << 25);
    size_t length;
    if (file == NULL || data == NULL)
        exit(2);
    length = fread(data, 1, 1 << 25, file);
    fclose(file);
    test_damage(data, length, 200, 1000);
    free(data);
}

int main(int argc, char **argv) {
    static bytes section;
    build_section(&section);
    test_known_texts(&section);
    test_longest_word(&section);
    test_limits(&section);
    test_damage(section.data, section.length, section.length, 20000);
    if (argc > 1)
        test_file(argv[1]);
    if (failures == 0)
        printf("tokenizer: all passed\n");
    return failures != 0;
}
