/* test_hostile.c: damaged and malicious files. Whatever the bytes, the answer is a status; the sanitizers watch the
 * rest.
 *
 *     test_hostile BUNDLE SCRATCH [SEED]        with $EDGEXL_ORT_LIBRARY set; SCRATCH is a file that may be overwritten
 *
 * "Sealed" damage has its hashes put right afterwards: it gets past them to the code that reads the section.
 */
#include <math.h>

#include "damage.h"

static const char *scratch;
static int has_cells;
static int is_native; /* plans in the place of graphs */
static file_bytes sound;
static uint8_t *damaged; /* [sound.length + 64] */

static uint32_t state = 1;

static uint32_t draw(uint32_t below) {
    state = state * 1664525u + 1013904223u;
    return (uint32_t)(((uint64_t)(state >> 8) * below) >> 24);
}

static void restore(void) { memcpy(damaged, sound.bytes, sound.length); }

/* Opens what was damaged; with an engine also asks it everything that there is to ask. */
static exl_status try_it(size_t length, uint32_t flags) {
    exl_open_options options = {.struct_size = sizeof options, .flags = flags};
    exl_explanation way = {.struct_size = sizeof way};
    exl_self_test_report report = {.struct_size = sizeof report};
    exl_bundle *bundle = NULL;
    exl_session *session = NULL;
    const exl_result *result = NULL;
    exl_status status;
    char buffer[256];
    int32_t ids[8192];
    uint32_t label, count;
    size_t bytes;

    write_file(scratch, damaged, length);
    status = exl_bundle_open(scratch, &options, &bundle, &said);
    CHECK((status == EXL_OK) == (bundle != NULL));
    if (status != EXL_OK)
        return status;
    for (uint32_t i = 0; i < 40; i++) {
        (void)read_field(bundle, i * 7, FIELD_ID, buffer, sizeof buffer, &bytes);
        (void)read_field(bundle, i * 7, FIELD_TEXT, buffer, sizeof buffer, &bytes);
    }
    (void)exl_label_find(bundle, "L0299", 5, &label, &said);
    (void)exl_labels_complete(bundle, "re", 2, 3, &label, 1, &count, &said);
    (void)exl_tokenize(bundle,
                       "R\xc3\xa9"
                       "d rivers\xe2\x80\x94old",
                       16, ids, 8192, &bytes, &said);
    if (exl_session_open(bundle, NULL, &session, &said) == EXL_OK) {
        status = exl_predict(session, "red river, storms", 17, NULL, &result, &said);
        (void)exl_explain(session, "old king", 8, 5, &way, &said);
        (void)exl_self_test_run(session, &report, &said);
    }
    exl_session_close(session);
    exl_bundle_close(bundle);
    return status;
}

static exl_status try_damaged(uint32_t flags) { return try_it(sound.length, flags); }

/* ---- the file as a whole -------------------------------------------------------------------------------------- */

static void test_cut(void) {
    restore();
    CHECK_STATUS(try_it(0, 0), EXL_NOT_A_BUNDLE);
    CHECK_STATUS(try_it(4, 0), EXL_NOT_A_BUNDLE);
    for (size_t length = 8; length < sound.length; length += length < 2000 ? 1 + draw(40) : 1 + draw(9000))
        CHECK_STATUS(try_it(length, EXL_OPEN_NO_ENGINE), EXL_BUNDLE_TRUNCATED);
    CHECK_STATUS(try_it(sound.length - 1, EXL_OPEN_NO_ENGINE), EXL_BUNDLE_TRUNCATED);
    damaged[sound.length] = 0;
    CHECK_STATUS(try_it(sound.length + 1, EXL_OPEN_NO_ENGINE), EXL_BUNDLE_TRUNCATED);
    for (size_t length = 64; length < sound.length; length += 1 + draw(9000)) { /* the header agrees to the cut */
        restore();
        put(damaged + 16, length, 8);
        CHECK(try_it(length, EXL_OPEN_NO_ENGINE) / 100 == 3);
    }
    restore();
    put(damaged + 16, sound.length + 1, 8); /* hidden bytes behind the last section */
    CHECK_STATUS(try_it(sound.length + 1, EXL_OPEN_NO_ENGINE), EXL_BUNDLE_MALFORMED);
}

static void test_header(void) {
    for (size_t at = 0; at < HEADER_BYTES; at++) {
        restore();
        damaged[at] ^= (uint8_t)(1u << draw(8));
        if ((at == 10 || at == 11) && get32(damaged + 8) >> 16 != 1) /* a newer minor version may be read */
            CHECK_STATUS(try_damaged(EXL_OPEN_NO_ENGINE), EXL_OK);
        else
            CHECK(try_damaged(EXL_OPEN_NO_ENGINE) / 100 == 3);
    }
    restore();
    put(damaged + 8, 4, 2);
    CHECK_STATUS(try_damaged(EXL_OPEN_NO_ENGINE), EXL_VERSION_TOO_NEW);
    put(damaged + 8, 2, 2); /* an older one, whose parameters meant something else */
    CHECK_STATUS(try_damaged(EXL_OPEN_NO_ENGINE), EXL_BUNDLE_MALFORMED);
    restore();
    damaged[0] = 'P';
    CHECK_STATUS(try_damaged(EXL_OPEN_NO_ENGINE), EXL_NOT_A_BUNDLE);
}

static void test_table(void) {
    static const uint64_t bad[] = {0, 1, 63, 16383, 16384, UINT32_MAX, UINT64_MAX, UINT64_MAX - 16383, 1ull << 63};
    uint32_t sections = get32(sound.bytes + 12);

    for (uint32_t s = 0; s < sections; s++) {
        size_t entry = HEADER_BYTES + s * ENTRY_BYTES;

        restore(); /* any flip shows in the table's hash */
        damaged[entry + draw(ENTRY_BYTES)] ^= 1;
        CHECK_STATUS(try_damaged(EXL_OPEN_NO_ENGINE), EXL_BUNDLE_CORRUPT);
        for (size_t b = 0; b < sizeof bad / sizeof *bad; b++)
            for (size_t field = 8; field <= 16; field += 8) { /* offset, length */
                restore();
                if (get64(damaged + entry + field) == bad[b])
                    continue;
                put(damaged + entry + field, bad[b], 8);
                seal_table(damaged);
                CHECK(try_damaged(EXL_OPEN_NO_ENGINE | EXL_OPEN_VERIFY) / 100 == 3);
            }
        restore(); /* the same section twice */
        put(damaged + entry, s > 0 ? get32(damaged + entry - ENTRY_BYTES) : 0, 4);
        seal_table(damaged);
        CHECK_STATUS(try_damaged(EXL_OPEN_NO_ENGINE), EXL_BUNDLE_MALFORMED);
        restore();
        put(damaged + entry, 77 + s, 4); /* a kind that is not known */
        seal_table(damaged);
        CHECK_STATUS(try_damaged(EXL_OPEN_NO_ENGINE), EXL_BUNDLE_MALFORMED);
        if (get64(sound.bytes + entry + 8) % 16384 == 0 && sound.bytes[get64(sound.bytes + entry + 8) - 1] == 0) {
            restore(); /* something hidden between two sections */
            damaged[get64(damaged + entry + 8) - 1] = 1;
            CHECK(try_damaged(EXL_OPEN_NO_ENGINE | EXL_OPEN_VERIFY) / 100 == 3);
        }
    }
}

/* ---- sections ------------------------------------------------------------------------------------------------- */

/* A flipped byte in any section: found by its hash, at open or on request. */
static void test_flips_are_found(void) {
    uint32_t sections = get32(sound.bytes + 12);

    for (uint32_t s = 0; s < sections; s++) {
        const uint8_t *entry = sound.bytes + HEADER_BYTES + s * ENTRY_BYTES;

        for (int round = 0; round < 8; round++) {
            restore();
            damaged[get64(entry + 8) + draw((uint32_t)get64(entry + 16))] ^= (uint8_t)(1u << draw(8));
            CHECK_STATUS(try_damaged(EXL_OPEN_NO_ENGINE | EXL_OPEN_VERIFY), EXL_BUNDLE_CORRUPT);
        }
    }
}

/* Damage that the hashes do not show: to the sections that open leaves unhashed, and to all others after sealing them
 * again. Graphs are left out: their structure is the engine's to parse. */
static void test_damage_is_survived(void) {
    static const struct {
        uint32_t kind;
        int rounds, with_engine;
    } plan[] = {{2, 160, 0}, {3, 300, 0}, {5, 40, 1},  {7, 25, 1},  {8, 30, 1},  {9, 25, 1},
                {10, 30, 1}, {11, 60, 0}, {12, 60, 1}, {13, 60, 1}, {14, 60, 1}, {15, 80, 1}};
    static const uint8_t extremes[] = {0x00, 0xff, 0x7f, 0x80, 0x01};

    for (size_t p = 0; p < sizeof plan / sizeof *plan; p++) {
        const uint8_t *entry = entry_of(sound.bytes, plan[p].kind);
        uint32_t length = (uint32_t)get64(entry + 16);

        for (int round = 0; round < plan[p].rounds; round++) {
            uint32_t reach = round % 3 == 0 && length > 256 ? 256 : length; /* heads hold the counts */
            int changes = round % 4 == 3 ? 16 : 1;

            restore();
            for (int i = 0; i < changes; i++) {
                uint8_t *at = damaged + get64(entry + 8) + draw(reach);
                *at = round % 2 ? (uint8_t)draw(256) : extremes[draw(sizeof extremes)];
            }
            seal(damaged, plan[p].kind);
            (void)try_damaged(plan[p].with_engine ? 0 : EXL_OPEN_NO_ENGINE);
        }
    }
}

/* Every parameter at values that its neighbours or the sections contradict. */
static void test_parameters(void) {
    static const float gains[] = {0.0f, -0.0f, -1.0f, 1e-30f, 0.0009f, 1025.0f, 1e30f, INFINITY, -INFINITY, NAN};
    static const uint32_t bad[] = {0, 1, 3, 255, 257, 4097, 16385, 1u << 24, INT32_MAX, 1u << 31, UINT32_MAX};

    for (size_t field = 0; field < 72; field += 4)
        for (size_t b = 0; b < sizeof bad / sizeof *bad; b++) {
            restore();
            put(damaged + get64(entry_of(damaged, 2) + 8) + field, bad[b], 4);
            seal(damaged, 2);
            (void)try_damaged(0);
        }
    for (size_t g = 0; g < sizeof gains / sizeof *gains; g++) {
        restore();
        memcpy(damaged + get64(entry_of(damaged, 2) + 8) + 104, &gains[g], 4);
        seal(damaged, 2);
        CHECK_STATUS(try_damaged(0), EXL_BUNDLE_MALFORMED);
    }
    for (size_t field = 108; field < 256; field += 4)
        for (size_t b = 0; b < sizeof bad / sizeof *bad; b++) {
            restore();
            put(damaged + get64(entry_of(damaged, 2) + 8) + field, bad[b], 4);
            seal(damaged, 2);
            int minus_zero = field == 116 && bad[b] == 1u << 31; /* a margin like any other 0 */
            if (get32(sound.bytes + get64(entry_of(damaged, 2) + 8) + field) != bad[b] && !minus_zero &&
                (field >= 192 || (field == 188 && bad[b] > 256) || (field < 120 && !has_cells)))
                CHECK_STATUS(try_damaged(0), EXL_BUNDLE_MALFORMED);
            else
                (void)try_damaged(0);
        }
    restore();
    put(damaged + get64(entry_of(damaged, 2) + 8) + 4, 3, 4); /* an engine that is not known */
    seal(damaged, 2);
    CHECK_STATUS(try_damaged(0), EXL_BUNDLE_MALFORMED);
    restore();
    put(damaged + get64(entry_of(damaged, 2) + 8) + 60, 3, 4); /* the reasoner's graph takes more than that */
    put(damaged + get64(entry_of(damaged, 2) + 8) + 48, 0, 4);
    put(damaged + get64(entry_of(damaged, 2) + 8) + 52, 0, 4);
    seal(damaged, 2);
    CHECK_STATUS(try_damaged(0), is_native ? EXL_BUNDLE_MALFORMED : EXL_ENGINE_REFUSED);
}

/* Numbers of both plans at values that lead out of what they belong to, and pairs of numbers at random ones. What
 * is not refused is run. */
static void test_plans(void) {
    static const uint32_t extremes[] = {0,        1,         2,       3,       5,          64,        255,
                                        1 << 28,  3u << 28,  1 << 30, 1 << 31, UINT32_MAX, INT32_MAX, (1 << 28) - 1,
                                        3u << 30, 0xFFFFFFF0};
    uint32_t refused = 0, tried = 0;

    for (uint32_t kind = 4; kind <= 6; kind += 2) {
        const uint8_t *entry = entry_of(sound.bytes, kind);
        uint32_t words = (uint32_t)get64(entry + 16) / 4;

        for (uint32_t word = 0; word < words + 100; word += word < 40 ? 1 : 1 + draw(9)) {
            restore();
            for (uint32_t i = 0; i < (word < words ? 1u : 2u); i++) {
                uint8_t *at = damaged + get64(entry + 8) + 4 * (word < words ? word : draw(words));
                uint32_t value = extremes[draw(sizeof extremes / sizeof *extremes)];
                put(at, word % 3 ? value : get32(at) + 1 + draw(3), 4);
            }
            seal(damaged, kind);
            tried++;
            refused += try_damaged(0) == EXL_BUNDLE_MALFORMED;
        }
        for (uint32_t bytes = 0; bytes < 2; bytes++) { /* one record more or less than there are bytes */
            restore();
            put(damaged + get64(entry + 8) + 8, get32(damaged + get64(entry + 8) + 8) + 1 - 2 * bytes, 4);
            seal(damaged, kind);
            CHECK_STATUS(try_damaged(0), EXL_BUNDLE_MALFORMED);
        }
    }
    CHECK(refused > tried / 3);
}

/* Attention over rows that stand still: 2^27 x N^3 keys of a width of 2^21, whose work wraps 64 bits to almost none.
 * And whatever else a plan may ask for without being larger: sizes along which nothing moves. */
static void test_plans_that_ask_for_more(void) {
    static const uint32_t sizes[][4] = {{1, 1, 134184964u | 3u << 30, 2148000},
                                        {1, 1, (1u << 28) - 1, (1u << 28) - 1},
                                        {(1u << 28) - 1, 1, (1u << 28) - 1, 16},
                                        {1u | 3u << 28, 1u | 3u << 30, 1u << 20, 1u << 20}};
    uint32_t tried = 0;

    for (uint32_t kind = 4; kind <= 6; kind += 2) {
        const uint8_t *plan = sound.bytes + get64(entry_of(sound.bytes, kind) + 8);
        size_t first = 64 + 32 * (size_t)get32(plan + 4);

        for (uint32_t i = 0; i < get32(plan + 8); i++)
            for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
                uint8_t *operation;
                restore();
                operation = damaged + (plan - sound.bytes) + first + 176 * (size_t)i;
                memcpy(operation + 4, sizes[s], sizeof sizes[s]);
                for (size_t operand = 0; operand < 6; operand++) /* offset and strides */
                    memset(operation + 24 + 24 * operand, 0, 20);
                if (get32(operation) == 5)
                    put(operation + 40, 1, 4), put(operation + 64, 1, 4);
                seal(damaged, kind);
                if ((0x1DA0 >> (get32(operation) & 0xFFFF)) & 1) /* those that take all four sizes */
                    CHECK_STATUS(try_damaged(0), EXL_BUNDLE_MALFORMED);
                else
                    (void)try_damaged(0);
                tried++;
            }
    }
    CHECK(tried > 0);
}

/* A graph that names another file, in two spellings, or one weight more than the bundle has. */
static void test_graph_that_opens_files(void) {
    const uint8_t *entry = entry_of(sound.bytes, 4);
    uint8_t *from, *at;

    for (int way = 0; way < 3; way++) {
        restore();
        from = damaged + get64(entry + 8);
        for (at = from; memcmp(at, "\x0a\x08location\x12\x07weights", 19) != 0; at++)
            CHECK(at < from + get64(entry + 16));
        if (way == 0)
            memcpy(at + 12, "secrets", 7);
        else if (way == 1)
            at[1] = 0;
        else
            memcpy(at + 2, "Location", 8);
        seal(damaged, 4);
        CHECK_STATUS(try_damaged(0), EXL_BUNDLE_MALFORMED);
    }
}

/* A weight that the graph does not have, so that one of the graph's is missing. */
static void test_weight_of_another_name(void) {
    uint8_t *section;

    restore();
    section = damaged + get64(entry_of(damaged, 5) + 8);
    section[get32(section + 8)] ^= 1; /* first letter of the first name */
    seal(damaged, 5);
    CHECK_STATUS(try_damaged(0), EXL_ENGINE_REFUSED);
}

/* Starts that do not ascend or do not reach the rows are refused; rows that are not there are met by queries. */
static void test_cells(void) {
    const uint8_t *entry = entry_of(sound.bytes, 16), *parameters = sound.bytes + get64(entry_of(sound.bytes, 2) + 8);
    uint32_t cells = get32(parameters + 108), rows = get32(parameters + 12);
    uint64_t section;

    if (!has_cells)
        return;
    section = get64(entry + 8);
    for (uint32_t i = 0; i <= cells; i++) {
        restore();
        put(damaged + section + 4 * i, i == 0 ? 1 : i == cells ? rows + 1 : get32(damaged + section + 4 * i + 4), 4);
        seal(damaged, 16);
        CHECK_STATUS(try_damaged(0), EXL_BUNDLE_MALFORMED);
    }
    restore();
    memset(damaged + section + 4 * (cells + 1), 0xff, 4 * (size_t)rows);
    seal(damaged, 16);
    CHECK_STATUS(try_damaged(EXL_OPEN_VERIFY), EXL_BUNDLE_CORRUPT);
    memset(damaged + section + 4 * (cells + 1), 0, 4 * (size_t)rows); /* one row at every place */
    seal(damaged, 16);
    CHECK_STATUS(try_damaged(0), EXL_OK);
    for (uint32_t fill = 0x7b; fill <= 0xff; fill += 0x84) { /* centroids with the largest scales, or infinite ones */
        restore();
        memset(damaged + section + 4 * ((size_t)cells + 1 + rows), (int)fill,
               (size_t)get64(entry + 16) - 4 * ((size_t)cells + 1 + rows));
        seal(damaged, 16);
        CHECK_STATUS(try_damaged(0), EXL_OK);
    }
}

/* The screener's state width in the parameters is not the graph's: the shapes do not fit at run time. */
static void test_wrong_shape(void) {
    restore();
    put(damaged + get64(entry_of(damaged, 2) + 8) + 52, 4, 4);
    seal(damaged, 2);
    CHECK_STATUS(try_damaged(0), is_native ? EXL_BUNDLE_MALFORMED : EXL_ENGINE_FAILED);
}

/* NaN in the weights comes out of the screener. */
static void test_not_a_number(void) {
    const uint8_t *entry = entry_of(sound.bytes, 5);

    restore();
    memset(damaged + get64(entry + 8) + get64(entry + 16) - 4096, 0xff, 4096);
    memset(damaged + get64(entry + 8) + 4096, 0xff, (size_t)get64(entry + 16) - 4096);
    CHECK_STATUS(try_damaged(0), EXL_ENGINE_FAILED);
}

int main(int count, char **arguments) {
    CHECK(count == 3 || count == 4);
    if (count == 4)
        state = (uint32_t)strtoul(arguments[3], NULL, 10);
    sound = read_file(arguments[1]);
    scratch = arguments[2];
    damaged = malloc(sound.length + 64);
    CHECK(damaged != NULL);
    restore();
    has_cells = entry_of(damaged, 16) != NULL;
    is_native = get32(sound.bytes + get64(entry_of(damaged, 2) + 8) + 4) == 2;
    CHECK_STATUS(try_damaged(EXL_OPEN_VERIFY), EXL_OK);
    test_cut();
    test_header();
    test_table();
    test_flips_are_found();
    test_damage_is_survived();
    test_parameters();
    if (is_native) {
        test_plans();
        test_plans_that_ask_for_more();
    } else {
        test_graph_that_opens_files();
        test_weight_of_another_name();
    }
    test_cells();
    test_wrong_shape();
    test_not_a_number();
    free(damaged);
    free(sound.bytes);
    puts("test_hostile: done");
    return 0;
}
