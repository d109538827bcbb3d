/* test_lookup.c: labels by number, by id and by how their text begins, while some are added and some retired: all held
 * against a plain list of what the set should be. Also the ranks that exl_explain counts over both kinds.
 *
 *     test_lookup BUNDLE SCRATCH        with $EDGEXL_ORT_LIBRARY set; the label file is made at SCRATCH
 */
#include <unistd.h>

#include "damage.h"

enum { COMPILED = 300, MOST = 340, ROOM = 128 };

typedef struct entry {
    char id[ROOM], text[ROOM];
    int retired;
} entry;

static entry all[MOST];
static uint32_t end = COMPILED;
static exl_bundle *bundle;
static exl_session *session;
static uint32_t state = 1;

static uint32_t draw(uint32_t below) {
    state = state * 1664525u + 1013904223u;
    return (uint32_t)(((uint64_t)(state >> 8) * below) >> 24);
}

static void open_set(const char *path, const char *labels) {
    exl_open_options options = {.struct_size = sizeof options, .labels_path = labels};

    CHECK_STATUS(exl_bundle_open(path, &options, &bundle, &said), EXL_OK);
    CHECK_STATUS(exl_session_open(bundle, NULL, &session, &said), EXL_OK);
}

static void close_set(void) {
    exl_session_close(session);
    exl_bundle_close(bundle);
}

/* ---- changes --------------------------------------------------------------------------------------------------- */

static exl_status add(const char *id, const char *text, const char *alias, uint32_t replace) {
    size_t alias_bytes = alias ? strlen(alias) : 0;
    exl_new_label label = {.struct_size = sizeof label, .id = id, .text = text, .aliases = &alias};
    exl_add_options options = {.struct_size = sizeof options, .replace = replace};
    uint32_t first = 0;
    exl_status status;

    label.id_bytes = strlen(id), label.text_bytes = strlen(text);
    label.alias_bytes = &alias_bytes, label.alias_count = alias != NULL;
    status = exl_labels_add(session, &label, 1, &options, &first, &said);
    if (status != EXL_OK)
        return status;
    CHECK(first == end);
    for (uint32_t i = 0; i < end; i++)
        if (strcmp(all[i].id, id) == 0 && !all[i].retired) {
            CHECK(replace);
            all[i].retired = 1;
        }
    snprintf(all[end].id, ROOM, "%s", id);
    snprintf(all[end++].text, ROOM, "%s", text);
    return EXL_OK;
}

static exl_status retire(const char *id) {
    size_t bytes = strlen(id);
    exl_status status = exl_labels_retire(bundle, &id, &bytes, 1, &said);

    for (uint32_t i = 0; i < end && status == EXL_OK; i++)
        if (strcmp(all[i].id, id) == 0)
            all[i].retired = 1;
    return status;
}

/* ---- what must be found ------------------------------------------------------------------------------------------ */

static void check_field(uint32_t label, label_field field, const char *expected) {
    size_t whole = strlen(expected), bytes = 0;
    char buffer[ROOM + 1];

    for (size_t room = 0; room <= whole + 2; room++) {
        exl_status status;

        memset(buffer, '#', sizeof buffer);
        status = read_field(bundle, label, field, buffer, room, &bytes);
        CHECK_STATUS(status, room > whole ? EXL_OK : EXL_BUFFER_TOO_SMALL);
        CHECK(bytes == whole && buffer[room] == '#');
        if (room > 0) {
            size_t shown = room > whole ? whole : room - 1;
            CHECK(memcmp(buffer, expected, shown) == 0 && buffer[shown] == '\0');
        }
    }
}

static void check_numbers(void) {
    exl_labels_info info = {.struct_size = sizeof info};
    uint32_t retired[2] = {0, 0}, label;
    exl_label_state where;

    for (uint32_t i = 0; i < end; i++) {
        CHECK_STATUS(read_state(bundle, i, &where), EXL_OK);
        CHECK(where == (all[i].retired ? EXL_LABEL_RETIRED : i < COMPILED ? EXL_LABEL_COMPILED : EXL_LABEL_ADDED));
        retired[i >= COMPILED] += (uint32_t)all[i].retired;
        if (all[i].retired) { /* unless another one with its id is there */
            uint32_t other = end;
            for (uint32_t j = 0; j < end; j++)
                if (!all[j].retired && strcmp(all[j].id, all[i].id) == 0)
                    other = j;
            CHECK_STATUS(exl_label_find(bundle, all[i].id, strlen(all[i].id), &label, &said),
                         other < end ? EXL_OK : EXL_NO_SUCH_LABEL);
            CHECK(other == end || label == other);
        } else {
            CHECK_STATUS(exl_label_find(bundle, all[i].id, strlen(all[i].id), &label, &said), EXL_OK);
            CHECK(label == i);
        }
    }
    for (uint32_t i = end - 9; i < end; i++) {
        check_field(i, FIELD_ID, all[i].id);
        check_field(i, FIELD_TEXT, all[i].text);
    }
    CHECK_STATUS(read_state(bundle, end, &where), EXL_NO_SUCH_LABEL);
    CHECK_STATUS(read_state(bundle, UINT32_MAX, &where), EXL_NO_SUCH_LABEL);
    CHECK_STATUS(exl_labels_get_info(bundle, &info, &said), EXL_OK);
    CHECK(info.end == end && info.added == end - COMPILED && info.labels == end - retired[0] - retired[1]);
    CHECK(info.retired_compiled == retired[0] && info.retired_added == retired[1]);
}

static int begins(const char *text, const char *prefix, size_t bytes) {
    if (strlen(text) < bytes)
        return 0;
    for (size_t i = 0; i < bytes; i++) {
        int a = text[i] >= 'A' && text[i] <= 'Z' ? text[i] + 32 : text[i];
        int b = prefix[i] >= 'A' && prefix[i] <= 'Z' ? prefix[i] + 32 : prefix[i];
        if (a != b)
            return 0;
    }
    return 1;
}

static void check_prefix(const char *prefix, uint32_t from, uint32_t capacity) {
    uint32_t found[MOST + 1], expected[MOST + 1], count = 99, wanted = 0;

    for (uint32_t i = from; i < end && wanted < capacity; i++)
        if (!all[i].retired && begins(all[i].text, prefix, strlen(prefix)))
            expected[wanted++] = i;
    found[capacity] = 0xABCD;
    CHECK_STATUS(exl_labels_complete(bundle, prefix, strlen(prefix), from, found, capacity, &count, &said), EXL_OK);
    CHECK(count == wanted && memcmp(found, expected, wanted * sizeof *found) == 0 && found[capacity] == 0xABCD);
}

static void check_prefixes(void) {
    static const char *const prefixes[] = {"",     "r",  "RED",         "red ",
                                           "Snow", "zz", "new label 1", "a longer text than any"};

    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++)
        for (uint32_t from = 0; from <= end + 1; from += from < COMPILED - 40 ? 37 : 1)
            for (uint32_t capacity = 0; capacity <= MOST; capacity += capacity < 4 ? 1 : 84)
                check_prefix(prefixes[i], from, capacity);
}

/* ---- screening's ranks ---------------------------------------------------------------------------------------------
 */

/* A retired label is ahead of none, and the ranks of those in the set are 1, 2, 3, ... in the order of their scores. */
static void check_ranks(const char *text) {
    static exl_explanation ways[MOST];
    static uint32_t labels[MOST];
    uint32_t count = 0;

    for (uint32_t label = 0; label < end; label++) {
        exl_explanation *way = &ways[count];

        way->struct_size = sizeof *way;
        if (all[label].retired) {
            CHECK_STATUS(exl_explain(session, text, strlen(text), label, way, &said), EXL_NO_SUCH_LABEL);
            continue;
        }
        CHECK_STATUS(exl_explain(session, text, strlen(text), label, way, &said), EXL_OK);
        labels[count++] = label;
    }
    for (uint32_t i = 0; i < count; i++) {
        uint32_t ahead = 0;
        for (uint32_t j = 0; j < count; j++)
            ahead += ways[j].screening_score > ways[i].screening_score ||
                     (ways[j].screening_score == ways[i].screening_score && labels[j] < labels[i]);
        CHECK(ways[i].screening_rank == ahead + 1);
    }
}

static void check_all(void) {
    check_numbers();
    check_prefixes();
    check_ranks("red river stone");
}

/* ---- sentences -----------------------------------------------------------------------------------------------------
 */

static exl_new_label new_label(const char *id, const char *text) {
    exl_new_label label = {.struct_size = sizeof label, .id = id, .id_bytes = strlen(id), .text = text};

    label.text_bytes = strlen(text);
    return label;
}

/* Each names the id, of a long one the first 200 bytes; none changes the set. */
static void check_sentences(void) {
    static char longs[201], long_id[256];
    char expected[512];
    exl_labels_info before = {.struct_size = sizeof before}, after = {.struct_size = sizeof after};

    CHECK_STATUS(exl_labels_get_info(bundle, &before, &said), EXL_OK);
    for (size_t length = 199; length <= 250; length += length < 202 ? 1 : 48) {
        const char *both[2] = {long_id, long_id};
        size_t bytes[2] = {length, length};
        exl_new_label twice[2];

        memset(long_id, 'x', length), long_id[length] = '\0';
        memset(longs, 0, sizeof longs), memset(longs, 'x', length < 200 ? length : 200);
        CHECK_STATUS(exl_labels_retire(bundle, both, bytes, 1, &said), EXL_NO_SUCH_LABEL);
        snprintf(expected, sizeof expected, "the label set has no label with the id %s", longs);
        CHECK(strcmp(said.sentence, expected) == 0);
        CHECK_STATUS(exl_labels_retire(bundle, both, bytes, 2, &said), EXL_BAD_ARGUMENT);
        snprintf(expected, sizeof expected, "the id %s is given twice", longs);
        CHECK(strcmp(said.sentence, expected) == 0);
        twice[0] = twice[1] = new_label(long_id, "snow");
        CHECK_STATUS(exl_labels_add(session, twice, 2, NULL, NULL, &said), EXL_BAD_ARGUMENT);
        CHECK(strcmp(said.sentence, expected) == 0);
        twice[0] = new_label(long_id, " ");
        CHECK_STATUS(exl_labels_add(session, twice, 1, NULL, NULL, &said), EXL_EMPTY_TEXT);
        snprintf(expected, sizeof expected, "a text of the label %s holds no token", longs);
        CHECK(strcmp(said.sentence, expected) == 0);
    }
    CHECK_STATUS(add("L0003", "snow", NULL, 0), EXL_LABEL_EXISTS);
    CHECK(strcmp(said.sentence, "the label set has a label with the id L0003; replace it") == 0);
    CHECK_STATUS(exl_labels_get_info(bundle, &after, &said), EXL_OK);
    CHECK(after.generation == before.generation && after.end == before.end && after.labels == before.labels);
}

/* ---- the file ------------------------------------------------------------------------------------------------------
 */

/* Field by field as docs/format.md has it, for files outlive the library that wrote them. */
static void check_file(const char *bundle_path, const char *labels) {
    static const uint8_t magic[] = {0x89, 'E', 'L', 'B', '\r', '\n', 0x1a, '\n'}, zeros[8] = {0};
    file_bytes of_bundle = read_file(bundle_path), file = read_file(labels);
    const uint8_t *parameters = of_bundle.bytes + get64(entry_of(of_bundle.bytes, 2) + 8), *commit;
    exl_labels_info info = {.struct_size = sizeof info};
    uint64_t generations[2] = {get64(file.bytes + 128), get64(file.bytes + 192)};
    uint8_t digest[32];
    exl__sha256 state_of;

    CHECK(memcmp(file.bytes, magic, 8) == 0 && get32(file.bytes + 8) == 1);
    CHECK(get32(file.bytes + 12) == get32(parameters + 8) && get32(file.bytes + 16) == get32(parameters + 20) / 2);
    CHECK(get32(file.bytes + 20) == 2 + get32(parameters + 28) * get32(parameters + 32) / 8);
    CHECK(memcmp(file.bytes + 24, zeros, 8) == 0 && memcmp(file.bytes + 32, of_bundle.bytes + 32, 32) == 0);
    CHECK(memcmp(file.bytes + 64, parameters + 72, 32) == 0);
    hash(file.bytes, 96, digest);
    CHECK(memcmp(file.bytes + 96, digest, 32) == 0);
    CHECK_STATUS(exl_labels_get_info(bundle, &info, &said), EXL_OK);
    commit = file.bytes + (generations[0] > generations[1] ? 128 : 192);
    CHECK(generations[0] + 1 == generations[1] || generations[1] + 1 == generations[0]);
    CHECK(get64(commit) == info.generation && get64(commit + 8) == file.length && file.length == info.file_bytes);
    hash(file.bytes + 256, file.length - 256, digest);
    CHECK(memcmp(commit + 16, digest, 32) == 0);
    exl__sha256_init(&state_of);
    exl__sha256_update(&state_of, file.bytes, 128);
    exl__sha256_update(&state_of, commit, 48);
    exl__sha256_final(&state_of, digest);
    CHECK(memcmp(commit + 48, digest, 16) == 0);
    for (size_t at = 256; at < file.length; at += get32(file.bytes + at + 4)) {
        uint32_t kind = get32(file.bytes + at), bytes = get32(file.bytes + at + 4);
        CHECK((kind == 1 || kind == 2) && bytes % 8 == 0 && bytes >= 24 && get32(file.bytes + at + 20) == 0);
        CHECK((kind == 1) == (get32(file.bytes + at + 12) > 0) && (kind == 1) == (get32(file.bytes + at + 16) > 0));
    }
    free(of_bundle.bytes);
    free(file.bytes);
}

/* ---- all ------------------------------------------------------------------------------------------------------------
 */

static void read_compiled(void) {
    size_t bytes;

    for (uint32_t i = 0; i < COMPILED; i++) {
        CHECK_STATUS(read_field(bundle, i, FIELD_ID, all[i].id, ROOM, &bytes), EXL_OK);
        CHECK_STATUS(read_field(bundle, i, FIELD_TEXT, all[i].text, ROOM, &bytes), EXL_OK);
    }
}

int main(int count, char **arguments) {
    char labels[4096], id[ROOM];

    CHECK(count == 3);
    snprintf(labels, sizeof labels, "%s.labels", arguments[2]);
    unlink(labels);
    open_set(arguments[1], labels);
    read_compiled();
    check_all();
    check_sentences();
    for (uint32_t i = 0; i < 12; i++) {
        snprintf(id, sizeof id, "N%u", i);
        CHECK_STATUS(add(id, i % 3 ? "red river snow" : "New Label 1", i % 2 ? "silver song" : NULL, 0), EXL_OK);
    }
    CHECK_STATUS(add("N3", "snow", NULL, 0), EXL_LABEL_EXISTS);
    CHECK_STATUS(add("L0003", "snow", NULL, 0), EXL_LABEL_EXISTS);
    CHECK_STATUS(add("none", "snow", NULL, 1), EXL_NO_SUCH_LABEL);
    check_all();
    CHECK_STATUS(retire("N3"), EXL_OK);
    CHECK_STATUS(retire("N3"), EXL_NO_SUCH_LABEL);
    CHECK_STATUS(retire("N11"), EXL_OK);
    CHECK_STATUS(retire("L0000"), EXL_OK);
    CHECK_STATUS(retire("L0299"), EXL_OK);
    CHECK_STATUS(retire("L0063"), EXL_OK);
    CHECK_STATUS(retire("L0064"), EXL_OK);
    check_all();
    CHECK_STATUS(add("N3", "red river again", NULL, 0), EXL_OK); /* an id of a retired label is free */
    CHECK_STATUS(add("L0064", "snow and fire", "red river", 0), EXL_OK);
    CHECK_STATUS(add("N4", "new label 12", NULL, 1), EXL_OK);
    CHECK_STATUS(add("L0100", "winter bread", NULL, 1), EXL_OK);
    check_all();
    for (int change = 0; change < 12; change++) {
        uint32_t label = draw(3) ? COMPILED + draw(end - COMPILED) : draw(COMPILED);
        if (!all[label].retired)
            CHECK_STATUS(draw(2) ? retire(all[label].id) : add(all[label].id, "red ship", NULL, 1), EXL_OK);
    }
    check_all();
    close_set();
    open_set(arguments[1], labels); /* what the file says is what was in force */
    check_all();
    check_file(arguments[1], labels);
    close_set();
    unlink(labels);
    puts("test_lookup: done");
    return 0;
}
