/* test_shortlist.c: a label that was added has the same scores and the same logit whether its own row came up in the
 * scan or only an alias of it: a bundle that hands few rows on from the scan is held against one that hands on all.
 *
 *     test_shortlist BUNDLE SCRATCH        with $EDGEXL_ORT_LIBRARY set; files are made at SCRATCH and beside it
 */
#include <unistd.h>

#include "pieces.h"

enum { OVERFETCH = 9, COMPILED = 300, FAR = 5, CROWD = 60 };

typedef struct side {
    exl_bundle *bundle;
    exl_session *session;
    char labels[4096];
} side;

static side open_side(const char *path, uint32_t overfetch) {
    exl_open_options options = {.struct_size = sizeof options};
    side s = {0};

    put_word(EXL__PARAMETERS, OVERFETCH, overfetch);
    write_file(path, file, put_together());
    restore();
    snprintf(s.labels, sizeof s.labels, "%s.labels", path);
    unlink(s.labels);
    options.labels_path = s.labels;
    CHECK_STATUS(exl_bundle_open(path, &options, &s.bundle, &said), EXL_OK);
    CHECK_STATUS(exl_session_open(s.bundle, NULL, &s.session, &said), EXL_OK);
    return s;
}

static void close_side(side *s) {
    exl_session_close(s->session);
    exl_bundle_close(s->bundle);
    unlink(s->labels);
}

static void add(side *s, const char *id, const char *text, const char *alias) {
    size_t alias_bytes = alias ? strlen(alias) : 0;
    exl_new_label label = {.struct_size = sizeof label, .id = id, .text = text, .aliases = &alias};

    label.id_bytes = strlen(id), label.text_bytes = strlen(text);
    label.alias_bytes = &alias_bytes, label.alias_count = alias != NULL;
    CHECK_STATUS(exl_labels_add(s->session, &label, 1, NULL, NULL, &said), EXL_OK);
}

/* How many of the first FAR added labels both shortlists have. Their scores and logits are the same. */
static uint32_t compare(side *few, side *all, const char *text) {
    const exl_result *one, *other;
    uint32_t shared = 0;

    CHECK_STATUS(exl_predict(few->session, text, strlen(text), NULL, &one, &said), EXL_OK);
    CHECK_STATUS(exl_predict(all->session, text, strlen(text), NULL, &other, &said), EXL_OK);
    CHECK(one->shortlist == 20 && other->shortlist == 20);
    for (size_t i = 0; i < one->shortlist; i++)
        for (size_t j = 0; j < other->shortlist; j++) {
            uint32_t label = one->shortlist_labels[i];
            if (label != other->shortlist_labels[j] || label < COMPILED || label >= COMPILED + FAR)
                continue;
            CHECK(one->shortlist_scores[i] == other->shortlist_scores[j]);
            CHECK(fabsf(one->shortlist_logits[i] - other->shortlist_logits[j]) < 1e-6f);
            shared++;
        }
    return shared;
}

int main(int count, char **arguments) {
    static const char *const text = "red river stone";
    static const char *const far[FAR] = {"glass honey", "clay", "winter night", "bread and salt", "horse dog cat"};
    char second[4096], id[16];
    side few, all;

    CHECK(count == 3);
    take_apart(arguments[1], arguments[2]);
    snprintf(second, sizeof second, "%s.all", arguments[2]);
    few = open_side(arguments[2], 40), all = open_side(second, 16384);
    for (int i = 0; i < FAR; i++) { /* found by their aliases alone: their own texts are far off */
        snprintf(id, sizeof id, "far%d", i);
        add(&few, id, far[i], text), add(&all, id, far[i], text);
    }
    for (int i = 0; i < CROWD; i++) { /* which take every other place that the scan hands on */
        snprintf(id, sizeof id, "near%d", i);
        add(&few, id, text, NULL), add(&all, id, text, NULL);
    }
    CHECK(compare(&few, &all, text) == FAR);
    close_side(&few), close_side(&all);
    unlink(second);
    put_away();
    puts("test_shortlist: done");
    return 0;
}
