/* test_lexical.c: the lexical section: one written out by hand and scored, rows added to it, its limits, every byte
 * changed, and sections of random bytes. Sections are allocated to the byte, so that the address sanitizer sees a read
 * beyond one. */
#include "../src/bytes.h"
#include "../src/lexical.h"
#include "testing.h"

enum { HEADER = 64, NORMS = 256, ROWS = 3, FEATURES = 64, MOST = 4, LISTED = 2, TERMS = 3, FEATURE_BYTES = 2 * TERMS };

static uint32_t state = 1;

static uint32_t draw(uint32_t below) {
    state = state * 1664525u + 1013904223u;
    return (uint32_t)(((uint64_t)(state >> 8) * below) >> 24);
}

/* The feature of a word of digits. */
static uint32_t feature_of(const char *digits) {
    uint32_t hash = 0x9E3779B9u;

    for (; *digits; digits++)
        hash = (hash ^ (uint8_t)*digits) * 0x01000193u;
    hash ^= hash >> 15;
    hash *= 0x2C1B3C6Du;
    hash ^= hash >> 13;
    return (uint32_t)((uint64_t)hash * FEATURES >> 32);
}

/* The rows "7 12", "7", "12 99". Terms: 7, 12 (listed), 99 (single). */
static uint8_t *example(size_t *length) {
    static const char *const words[TERMS] = {"7", "12", "99"};
    static const uint8_t lists[] = {2, 1, 1, 2, 1, 2};
    static const float inverse[2] = {0.5f, 1.0f};
    uint8_t *bytes, *at, *features;

    *length = HEADER + 4 * (NORMS + LISTED + 1 + FEATURES + 1) + 3 + sizeof lists + FEATURE_BYTES + TERMS + ROWS;
    bytes = calloc(1, *length);
    CHECK(bytes != NULL);
    exl__put32(bytes, 2);
    exl__put32(bytes + 4, ROWS);
    exl__put32(bytes + 8, TERMS);
    exl__put32(bytes + 16, LISTED);
    exl__put32(bytes + 20, FEATURES);
    exl__put32(bytes + 24, sizeof lists);
    exl__put32(bytes + 28, FEATURE_BYTES);
    for (uint32_t i = 0; i < NORMS; i++)
        memcpy(bytes + HEADER + 4 * i, &inverse[i > 0], 4);
    at = bytes + HEADER + 4 * NORMS;
    exl__put32(at + 4, 3);
    exl__put32(at + 8, 6);
    at += 4 * (LISTED + 1);
    features = bytes + *length - ROWS - TERMS - FEATURE_BYTES;
    for (uint32_t feature = 0, used = 0; feature < FEATURES; feature++) {
        for (uint32_t word = 0; word < TERMS; word++)
            if (feature_of(words[word]) == feature) { /* a step of one byte, from -1 */
                features[used] = 0, features[used + 1] = (uint8_t)word;
                used += 2;
            }
        exl__put32(at + 4 * feature + 4, used);
    }
    at += 4 * (FEATURES + 1);
    memcpy(at, "\2\0\0", 3); /* the row of 99 */
    memcpy(at + 3, lists, sizeof lists);
    memcpy(features + FEATURE_BYTES,
           "\1\1\1"
           "\0\1\0",
           6); /* features of each term; norms of each row */
    return bytes;
}

typedef struct opened {
    exl__lexical lexical;
    exl__lexical_scratch scratch;
    void *memory;
    exl__added_words added;
    const uint64_t *dead;
} opened;

static int open_copy(opened *index, const uint8_t *bytes, size_t length, uint32_t rows, uint32_t most) {
    exl__carver room = {NULL, 0};

    index->added = (exl__added_words){0};
    index->dead = NULL;
    if (!exl__lexical_init(&index->lexical, bytes, length, rows))
        return 0;
    exl__lexical_scratch_carve(&index->lexical, most, &room, &index->scratch);
    index->memory = room.base = exl__allocate_scratch(&exl__default_allocator, room.used, 1);
    CHECK(room.base != NULL);
    room.used = 0;
    exl__lexical_scratch_carve(&index->lexical, most, &room, &index->scratch);
    return 1;
}

static void close_index(opened *index) {
    exl__added_release(&exl__default_allocator, &index->added);
    free(index->memory);
}

/* Rows are added behind `first`. */
static void add(opened *index, const char *const *texts, uint32_t count, uint32_t first) {
    exl__added_text rows[8];

    for (uint32_t i = 0; i < count; i++)
        rows[i] = (exl__added_text){texts[i], strlen(texts[i])};
    CHECK(exl__added_read(&exl__default_allocator, &index->lexical, rows, count, first, &index->added));
}

static uint32_t ask(opened *index, const char *text, uint32_t *rows, float *scores) {
    exl__lexical_changes changes = {index->added.memory ? &index->added : NULL, index->dead};
    return exl__lexical_query(&index->lexical, changes, text, strlen(text), &index->scratch, rows, scores);
}

static void check_example(void) {
    size_t length;
    uint8_t *bytes = example(&length);
    float scores[MOST], features[EXL__LEXICAL_FEATURES];
    uint32_t rows[MOST];
    opened index;

    CHECK(open_copy(&index, bytes, length, ROWS, MOST));
    CHECK(ask(&index, "7", rows, scores) == 2);
    CHECK(rows[0] == 1 && rows[1] == 0 && scores[0] == 2 * scores[1]); /* by the rows' norms */
    CHECK(exl__lexical_score(&index.lexical, &index.scratch, 1) == scores[0]);
    CHECK(exl__lexical_score(&index.lexical, &index.scratch, 2) == 0);
    CHECK(exl__lexical_score(&index.lexical, &index.scratch, ROWS) == 0);
    exl__lexical_features(&index.scratch, 0.25f, features);
    CHECK(features[0] == 1 && features[1] == 0 && features[2] == 1 && features[3] == 0 && features[4] == 0.25f);
    CHECK(features[5] == scores[0] && features[6] == scores[0] - (scores[0] + scores[1]) / 10 && features[7] == 0.1f);
    CHECK(ask(&index, "99, 7", rows, scores) == 3 && scores[0] >= scores[1] && scores[1] >= scores[2]);
    CHECK(ask(&index, "8", rows, scores) == 0 || feature_of("8") == feature_of("7"));
    CHECK(ask(&index, "", rows, scores) == 0);
    exl__lexical_features(&index.scratch, 0, features);
    CHECK(features[1] == 0 && features[2] == 0 && features[3] == 0 && features[5] == 0 && features[7] == 0);
    close_index(&index);
    free(bytes);
}

/* Rows behind the section's, of its words and of others. */
static void check_added(void) {
    static const char *const texts[] = {"12", "5 7", "--", "5 5"};
    static const uint64_t dead[] = {1};
    size_t length;
    uint8_t *bytes = example(&length);
    float scores[MOST], score;
    uint32_t rows[MOST];
    opened index;

    CHECK(feature_of("5") != feature_of("7") && feature_of("5") != feature_of("12"));
    CHECK(open_copy(&index, bytes, length, ROWS, MOST));
    add(&index, texts, 4, 10);
    CHECK(index.added.known == 2 && index.added.own == 1 && index.added.feature_count == 1);
    CHECK(index.added.known_terms[0] == 0 && index.added.known_terms[1] == 1);
    CHECK(ask(&index, "5", rows, scores) == 2); /* a word of theirs alone */
    CHECK(rows[0] == 13 && rows[1] == 11 && scores[0] > scores[1] && scores[1] > 0);
    CHECK(exl__lexical_score(&index.lexical, &index.scratch, 13) == scores[0]);
    for (uint32_t none = 9; none < 15; none += 3) /* 9 and 12 have no word, and there is no 15 */
        CHECK(exl__lexical_score(&index.lexical, &index.scratch, none) == 0);
    CHECK(exl__lexical_score(&index.lexical, &index.scratch, 14) == 0);
    CHECK(ask(&index, "7", rows, scores) == 3); /* one of the section and theirs */
    CHECK(exl__lexical_score(&index.lexical, &index.scratch, 11) > 0);
    score = exl__lexical_score(&index.lexical, &index.scratch, 1);
    index.dead = dead; /* row 0 */
    CHECK(ask(&index, "7", rows, scores) == 2 && rows[0] != 0 && rows[1] != 0);
    CHECK(exl__lexical_score(&index.lexical, &index.scratch, 1) == score);
    close_index(&index);
    free(bytes);
}

/* Steps of all lengths, as the compiler writes them and cut off anywhere. */
static void check_feature_lists(void) {
    static const uint8_t bytes[] = {0x0E, 0, 0xFF, 0, 0, 1, 0xFF, 0xFF, 0x10, 0x27, 0, 0, 9, 1, 2, 3, 0, 7};
    static const uint32_t expected[] = {0, 256, 513, 10514, 10524, 10526, 10529, 10533, 10541};
    uint8_t room[sizeof bytes + 1] = {0};
    uint32_t starts[2] = {0};
    exl__lexical lexical = {.terms = 1 << 20, .feature_lists = room, .feature_starts = starts};

    memcpy(room, bytes, sizeof bytes);
    for (uint32_t length = 0, most = 0; length <= sizeof bytes; length++) {
        uint32_t count = 0;
        exl__feature_list list;

        starts[1] = length;
        for (list = exl__feature_begin(&lexical, 0); exl__feature_next(&list); count++)
            CHECK(count < 9 && (length < sizeof bytes || list.term == expected[count]));
        CHECK(!exl__feature_next(&list) && count >= most);
        CHECK(length < sizeof bytes || count == 9);
        most = count;
    }
    lexical.terms = 600; /* it ends where a step leads beyond */
    for (exl__feature_list list = exl__feature_begin(&lexical, 0); exl__feature_next(&list);)
        CHECK(list.term < 600);
}

/* Every text is safe, and what is found is in order, whatever the section says. */
static void try_section(const uint8_t *bytes, size_t length, uint32_t most) {
    static const char *const texts[] = {"7", "12 99 7", "a", "ab abc abcd", "\xE6\x9D\xB1\xE4\xBA\xAC 7", ""};
    uint8_t *copy = malloc(length ? length : 1);
    static const char *const added[] = {"7 ab", "12", "abc 99 \xE6\x9D\xB1\xE4\xBA\xAC", "abd", ""};
    static const uint64_t dead[(1 << 20) / 64] = {0x1111};
    opened index;

    memcpy(copy, bytes, length);
    if (open_copy(&index, copy, length, 1 << 20, most)) {
        uint32_t *rows = calloc(most, sizeof *rows);
        float *scores = calloc(most, sizeof *scores), features[EXL__LEXICAL_FEATURES];
        CHECK(rows && scores);
        if (draw(2)) {
            add(&index, added, 1 + draw(5), 1 << 20);
            index.dead = dead;
        }
        for (size_t t = 0; t < sizeof texts / sizeof *texts; t++) {
            uint32_t count = ask(&index, texts[t], rows, scores);
            CHECK(count <= most);
            for (uint32_t i = 0; i < count; i++) {
                CHECK(rows[i] < index.lexical.rows || rows[i] - (1 << 20) < index.added.rows);
                CHECK(scores[i] >= 0 && (i == 0 || scores[i - 1] >= scores[i]));
                CHECK(exl__lexical_score(&index.lexical, &index.scratch, rows[i]) == scores[i]);
            }
            exl__lexical_features(&index.scratch, 0.5f, features);
            for (int i = 0; i < EXL__LEXICAL_FEATURES; i++)
                CHECK(features[i] >= -1 && features[i] <= 1e30f);
        }
        free(rows);
        free(scores);
        close_index(&index);
    }
    free(copy);
}

static int is_taken(const uint8_t *bytes, size_t length, uint32_t rows) {
    exl__lexical lexical;

    return exl__lexical_init(&lexical, bytes, length, rows);
}

/* A number of the header or of a table changed: refused. */
static void check_limits(void) {
    static const struct {
        size_t at;
        uint32_t value;
    } refused[] = {{0, 1},
                   {0, 3},
                   {4, 0},
                   {4, 2},
                   {4, 4},
                   {8, 1},
                   {8, 4},
                   {12, 1},
                   {12, 0xFFFFFFFF},
                   {16, 1},
                   {16, 3},
                   {16, 0xFFFFFFFF},
                   {20, 0},
                   {20, 63},
                   {20, 0xFFFFFFFF},
                   {24, 5},
                   {24, 7},
                   {28, 5},
                   {28, 7},
                   {32, 1},
                   {60, 1},
                   {HEADER, 0},
                   {HEADER + 4, 0x80000000},
                   {HEADER + 8, 0xBF800000},
                   {HEADER + 4 * 255, 0x7F800000},
                   {HEADER + 4 * 254, 0x7FC00000},
                   {HEADER + 4 * NORMS, 1},
                   {HEADER + 4 * NORMS + 4, 7},
                   {HEADER + 4 * NORMS + 8, 5},
                   {HEADER + 4 * NORMS + 12, 1}};
    size_t length;
    uint8_t *bytes = example(&length), *other = malloc(length + 1);

    CHECK(is_taken(bytes, length, ROWS) && is_taken(bytes, length, ROWS + 1) && !is_taken(bytes, length, ROWS - 1));
    for (size_t cut = 0; cut < length; cut++)
        CHECK(!is_taken(bytes, cut, ROWS));
    memcpy(other, bytes, length);
    other[length] = 0;
    CHECK(!is_taken(other, length + 1, ROWS));
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        memcpy(other, bytes, length);
        exl__put32(other + refused[i].at, refused[i].value);
        CHECK(!is_taken(other, length, ROWS));
    }
    memcpy(other, bytes, length);
    other[length - ROWS - TERMS - FEATURE_BYTES - 1] = 128; /* a number that goes on behind the lists */
    CHECK(!is_taken(other, length, ROWS));
    free(other);
    free(bytes);
}

static void check_every_byte_changed(void) {
    static const uint8_t changes[] = {1, 2, 64, 128, 255};
    size_t length;
    uint8_t *bytes = example(&length);

    for (size_t at = 0; at < length; at++)
        for (size_t c = 0; c < sizeof changes; c++) {
            bytes[at] ^= changes[c];
            try_section(bytes, length, 1 + draw(12));
            bytes[at] ^= changes[c];
        }
    free(bytes);
}

/* Ascending offsets up to `bytes`, one more than count. */
static uint8_t *put_starts(uint8_t *at, uint32_t count, uint32_t bytes) {
    uint32_t start = 0;

    for (uint32_t i = 0; i <= count; i++) {
        exl__put32(at + 4 * i, i == count ? bytes : start);
        start += draw(bytes - start + 1) / (1 + draw(count + 1));
    }
    return at + 4 * ((size_t)count + 1);
}

/* Whatever the lists, rows, sizes and bitmaps hold. */
static void check_random_section(void) {
    uint32_t rows = 1 + draw(200), dense = draw(20), listed = 1 + draw(20), single = draw(30),
             terms = dense + listed + single;
    uint32_t features = 1 + draw(40), term_bytes = draw(400), feature_bytes = draw(400), words = (rows + 31) / 32;
    size_t length = HEADER + 4 * ((size_t)NORMS + dense + listed + 1 + features + 1 + (size_t)dense * words) +
                    (size_t)single * 3 + terms + rows + term_bytes + feature_bytes;
    uint8_t *bytes = malloc(length), *at;
    uint32_t small = draw(2) ? 256 : 4; /* lists of any bytes, or of many small numbers */
    const uint32_t head[] = {2, rows, terms, dense, listed, features, term_bytes, feature_bytes};

    CHECK(bytes != NULL);
    for (size_t i = 0; i < length; i++)
        bytes[i] = (uint8_t)draw(small);
    memset(bytes, 0, HEADER);
    for (size_t i = 0; i < sizeof head / sizeof *head; i++)
        exl__put32(bytes + 4 * i, head[i]);
    for (uint32_t i = 0; i < NORMS; i++) {
        float norm = 0.01f * (float)(1 + draw(100));
        memcpy(bytes + HEADER + 4 * i, &norm, sizeof norm);
    }
    at = put_starts(bytes + HEADER + 4 * NORMS, dense + listed, term_bytes);
    put_starts(at, features, feature_bytes);
    if (term_bytes > 0)
        bytes[length - rows - terms - feature_bytes - 1] &= 127;
    CHECK(is_taken(bytes, length, rows));
    try_section(bytes, length, 1 + draw(300));
    free(bytes);
}

int main(void) {
    check_example();
    check_added();
    check_feature_lists();
    check_limits();
    check_every_byte_changed();
    for (int i = 0; i < 3000; i++)
        check_random_section();
    return 0;
}
