/* test_sections.c: every rule of docs/format.md on a section, from both sides: the first value that is refused, with
 * the sentence that says so, and the last one that is not.
 *
 *     test_sections BUNDLE SCRATCH        with $EDGEXL_ORT_LIBRARY set; SCRATCH is a file that may be overwritten
 */
#include <float.h>
#include <math.h>

#include "pieces.h"

/* ---- header and table ---------------------------------------------------------------------------------------- */

static void test_header(void) {
    static const uint32_t forbidden[][2] = {{12, 0}, {12, 65}, {24, 8192}, {24, 0}, {28, 1}, {28, 1u << 31}};
    exl_status status;
    size_t length = put_together();

    for (size_t i = 0; i < sizeof forbidden / sizeof *forbidden; i++) {
        (void)put_together();
        put(file + forbidden[i][0], forbidden[i][1], 4);
        CHECK(open_file(length, EXL_OPEN_NO_ENGINE, &status) == NULL);
        CHECK(status == EXL_BUNDLE_MALFORMED &&
              strstr(said.sentence, "the header holds a value that the format forbids"));
    }
    (void)put_together();
    put(file + 12, 64, 4); /* as many entries as there may be; this file is longer than those */
    CHECK(open_file(length, EXL_OPEN_NO_ENGINE, &status) == NULL);
    CHECK(status == EXL_BUNDLE_CORRUPT && strstr(said.sentence, "table does not match its hash"));
    (void)put_together();
    put(file + 12, 64, 4), put(file + 16, 64 + 64 * 64 - 1, 8); /* and this one is not */
    CHECK(open_file(64 + 64 * 64 - 1, EXL_OPEN_NO_ENGINE, &status) == NULL);
    CHECK(status == EXL_BUNDLE_TRUNCATED && strstr(said.sentence, "inside its section table"));
    CHECK(open_file(63, EXL_OPEN_NO_ENGINE, &status) == NULL);
    CHECK(status == EXL_BUNDLE_TRUNCATED && strstr(said.sentence, "inside its header"));
    CHECK(open_file(8, EXL_OPEN_NO_ENGINE, &status) == NULL && status == EXL_BUNDLE_TRUNCATED);
    CHECK(open_file(7, EXL_OPEN_NO_ENGINE, &status) == NULL && status == EXL_NOT_A_BUNDLE);
    CHECK(strstr(said.sentence, "does not begin as an edgexl bundle"));
}

static void test_reserved_fields_of_entries(void) {
    for (size_t at = 4; at < 64; at += at == 7 ? 49 : 1) { /* 4 to 7 and 56 to 63 */
        exl_status status;
        size_t length = put_together();

        file[HEADER_BYTES + 2 * ENTRY_BYTES + at] = 1;
        seal_table(file);
        CHECK(open_file(length, EXL_OPEN_NO_ENGINE, &status) == NULL);
        CHECK(status == EXL_BUNDLE_MALFORMED && strstr(said.sentence, "section kind 3 sets reserved fields"));
    }
}

/* Bytes that no hash covers: in front of a section, the first and the last of them. */
static void test_hidden_bytes(void) {
    exl_status status;
    size_t length = put_together(), begin = (size_t)get64(entry_of(file, EXL__TOKENIZER) + 8);
    const uint8_t *before = entry_of(file, EXL__PARAMETERS);
    size_t end = (size_t)(get64(before + 8) + get64(before + 16));

    CHECK(end < begin);
    for (int last = 0; last < 2; last++) {
        (void)put_together();
        file[last ? begin - 1 : end] = 1;
        CHECK(open_file(length, EXL_OPEN_NO_ENGINE, &status) == NULL);
        CHECK(status == EXL_BUNDLE_MALFORMED && strstr(said.sentence, "hidden bytes before section kind 3"));
    }
}

/* Each section alone is left out. */
static void test_missing_sections(void) {
    static const struct {
        uint32_t kind;
        const char *words; /* null: it may be missing */
    } all[] = {{EXL__MANIFEST, "has no manifest section"},
               {EXL__PARAMETERS, "has no parameters section"},
               {EXL__TOKENIZER, "has no tokenizer section"},
               {EXL__SCREENER_GRAPH, "has no screener_graph section"},
               {EXL__SCREENER_WEIGHTS, "has no screener_weights section"},
               {EXL__REASONER_GRAPH, "reasoner_graph is there exactly when there is a reasoner"},
               {EXL__REASONER_WEIGHTS, "reasoner_weights is there exactly when there is a reasoner"},
               {EXL__CODEBOOK, "has no codebook section"},
               {EXL__COARSE_CODES, "has no coarse_codes section"},
               {EXL__FINE_CODES, "has no fine_codes section"},
               {EXL__ROW_LABELS, "row_labels is there exactly when there are aliases"},
               {EXL__LABEL_TEXTS, "has no label_texts section"},
               {EXL__LABEL_IDS, "has no label_ids section"},
               {EXL__CALIBRATION, "has no calibration section"},
               {EXL__GOLDENS, NULL},
               {EXL__CELLS, "cells is there exactly when there are cells"}};

    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        int was_there = length_of[all[i].kind] > 0;
        length_of[all[i].kind] = 0;
        if (all[i].words && was_there)
            CHECK_REFUSED(EXL_OPEN_NO_ENGINE, all[i].words);
        else
            CHECK_OPENS(EXL_OPEN_NO_ENGINE);
    }
}

/* What the parameters do not announce must not be there, and what they do must be. */
static void test_needless_sections(void) {
    length_of[EXL__LEXICAL] = 100;
    CHECK_REFUSED(EXL_OPEN_NO_ENGINE, "lexical is there exactly when there are lexical candidates");
    put_word(EXL__PARAMETERS, 44, 1); /* lexical_candidates */
    CHECK_REFUSED(EXL_OPEN_NO_ENGINE, "lexical is there exactly when there are lexical candidates");
}

/* A bit for each token, where the parameters say how many must be known. */
static void test_known_tokens(void) {
    uint32_t vocabulary = word_of(EXL__PARAMETERS, 17);

    length_of[EXL__KNOWN_TOKENS] = (vocabulary + 7) / 8;
    CHECK_REFUSED(EXL_OPEN_NO_ENGINE, "known_tokens is there exactly when there is a least share of known tokens");
    put_number(EXL__PARAMETERS, 45, 0.5f);
    CHECK_REFUSED(EXL_OPEN_NO_ENGINE, "known_tokens is there exactly when there is a least share of known tokens");
    length_of[EXL__KNOWN_TOKENS] = (vocabulary + 7) / 8;
    put_number(EXL__PARAMETERS, 45, 0.5f);
    CHECK_OPENS(EXL_OPEN_NO_ENGINE);
    length_of[EXL__KNOWN_TOKENS] = (vocabulary + 7) / 8 - 1;
    put_number(EXL__PARAMETERS, 45, 0.5f);
    CHECK_REFUSED(EXL_OPEN_NO_ENGINE, "the section known_tokens has");
}

/* A section that may be there or not. */
static void test_label_descriptions(void) {
    length_of[EXL__LABEL_DESCRIPTIONS] = 100;
    CHECK_REFUSED(EXL_OPEN_NO_ENGINE, "the section label_descriptions is not well formed");
    length_of[EXL__LABEL_DESCRIPTIONS] = length_of[EXL__LABEL_TEXTS];
    memcpy(bytes_of[EXL__LABEL_DESCRIPTIONS], bytes_of[EXL__LABEL_TEXTS], (size_t)length_of[EXL__LABEL_TEXTS]);
    put_word(EXL__LABEL_DESCRIPTIONS, 0, word_of(EXL__LABEL_DESCRIPTIONS, 0) - 1);
    CHECK_REFUSED(EXL_OPEN_NO_ENGINE, "the section label_descriptions is not well formed");
    length_of[EXL__LABEL_DESCRIPTIONS] = length_of[EXL__LABEL_TEXTS];
    memcpy(bytes_of[EXL__LABEL_DESCRIPTIONS], bytes_of[EXL__LABEL_TEXTS], (size_t)length_of[EXL__LABEL_TEXTS]);
    CHECK_OPENS(EXL_OPEN_NO_ENGINE);
}

/* What a later minor version of the format may add. */
static void test_newer_minor_version(void) {
    length_of[20] = 100;
    CHECK_REFUSED(EXL_OPEN_NO_ENGINE, "section kind 20 is not known");
    length_of[20] = 100, minor_version = 2;
    CHECK_OPENS(EXL_OPEN_VERIFY);
    length_of[EXL__PARAMETERS] += 8, put_word(EXL__PARAMETERS, 0, (uint32_t)length_of[EXL__PARAMETERS]);
    minor_version = 2;
    CHECK_OPENS(EXL_OPEN_VERIFY);
    for (int verify = 0; verify < 2; verify++) { /* an unknown section's hash is looked at where all are */
        exl_status status;
        size_t length;

        length_of[20] = 100, minor_version = 2;
        length = put_together();
        file[length - 1] ^= 1;
        exl_bundle_close(open_file(length, verify ? EXL_OPEN_VERIFY : EXL_OPEN_NO_ENGINE, &status));
        CHECK(status == (verify ? EXL_BUNDLE_CORRUPT : EXL_OK));
        CHECK(!verify || strstr(said.sentence, "section of an unknown kind"));
        restore();
    }
}

/* ---- parameters ---------------------------------------------------------------------------------------------- */

enum field { /* of 4 bytes, from the section's begin */
             STRUCT_BYTES,
             ENGINE,
             LABELS,
             ROWS,
             DIMS,
             SUBSPACES,
             SUBSPACE_DIMS,
             FINE_DIMS,
             FINE_BITS,
             OVERFETCH,
             SHORTLIST,
             MAX_TOKENS,
             LABEL_TOKENS,
             STATE_DIMS,
             SCREENER_INPUTS,
             REASONER_INPUTS,
             SCREENER_OUTPUTS,
             VOCABULARY,
             GAIN = 26,
             CELL_COUNT,
             PROBES,
             MARGIN,
             DESCRIPTIONS,
             REASONER_WEIGHT,
             SCREENING_WEIGHT,
             TEMPERATURE,
             VOTES_WEIGHT,
             LEXICAL_WEIGHT,
             LEXICAL_MOST = LEXICAL_WEIGHT + 8,
             LEXICAL_CANDIDATES,
             LEAST_KNOWN,
             SAME_TEXT,
             WINDOWS,
             RESERVED
};

typedef struct rule {
    const char *name; /* of the field that is outside of its limits; null: none is */
    uint32_t changes[10];
} rule;

static void check_rule(const rule *r) {
    char words[64];

    for (size_t i = 0; i + 1 < sizeof r->changes / sizeof *r->changes && r->changes[i]; i += 2)
        put_word(EXL__PARAMETERS, r->changes[i], r->changes[i + 1]);
    if (r->name) {
        snprintf(words, sizeof words, "the parameter %s is outside of its limits", r->name);
        CHECK_REFUSED(EXL_OPEN_NO_ENGINE, words);
        return;
    }
    if (try_it(EXL_OPEN_NO_ENGINE) != EXL_OK &&
        strstr(said.sentence, "the parameter ")) /* sections may have other sizes */
        fprintf(stderr, "parameter %u = %u: %s\n", r->changes[0], r->changes[1], said.sentence);
    CHECK(said.sentence[0] == '\0' || !strstr(said.sentence, "the parameter "));
    restore();
}

static void test_parameters(void) {
    const uint32_t million = 1000000;
    const rule rules[] = {
        {"engine", {ENGINE, 0}},
        {"engine", {ENGINE, 3}},
        {"labels", {LABELS, 0}},
        {"labels", {LABELS, 1u << 31, ROWS, 1u << 31}},
        {NULL, {LABELS, INT32_MAX, ROWS, INT32_MAX}},
        {NULL, {LABELS, 1, ROWS, million, SHORTLIST, 1}},
        {"rows", {ROWS, 299}},
        {"rows", {ROWS, 1u << 31}},
        {NULL, {ROWS, INT32_MAX}},
        {NULL, {ROWS, 300}},
        {"dims", {DIMS, 7, SUBSPACES, 2, SUBSPACE_DIMS, 1, FINE_DIMS, 2}},
        {NULL, {DIMS, 8, SUBSPACES, 2, SUBSPACE_DIMS, 1, FINE_DIMS, 2}},
        {"dims", {DIMS, 4097}},
        {NULL, {DIMS, 4096}},
        {"subspaces", {SUBSPACES, 0}},
        {"subspaces", {SUBSPACES, 3, SUBSPACE_DIMS, 1}},
        {"subspaces", {SUBSPACES, 258, SUBSPACE_DIMS, 1, DIMS, 4096}},
        {NULL, {SUBSPACES, 256, SUBSPACE_DIMS, 1, DIMS, 4096}},
        {NULL, {SUBSPACES, 2, SUBSPACE_DIMS, 1}},
        {"subspace_dims", {SUBSPACE_DIMS, 0}},
        {"subspace_dims", {SUBSPACE_DIMS, 65, SUBSPACES, 2, DIMS, 4096}},
        {NULL, {SUBSPACE_DIMS, 64, SUBSPACES, 2, DIMS, 4096}},
        {"dims", {SUBSPACES, 4, SUBSPACE_DIMS, 4, DIMS, 15}},
        {NULL, {SUBSPACES, 4, SUBSPACE_DIMS, 4, DIMS, 16}},
        {"fine_dims", {FINE_DIMS, 0}},
        {"fine_dims", {FINE_DIMS, 3}},
        {"fine_dims", {FINE_DIMS, 18}},
        {NULL, {FINE_DIMS, 16}},
        {NULL, {FINE_DIMS, 2}},
        {"fine_bits", {FINE_BITS, 0}},
        {"fine_bits", {FINE_BITS, 3}},
        {"fine_bits", {FINE_BITS, 16}},
        {NULL, {FINE_BITS, 4, FINE_DIMS, 10}},
        {"fine_dims", {FINE_BITS, 2, FINE_DIMS, 10}},
        {NULL, {FINE_BITS, 2, FINE_DIMS, 8}},
        {"fine_gain", {GAIN, bits_of(0.0009765624f)}},
        {NULL, {GAIN, bits_of(0.0009765625f)}},
        {NULL, {GAIN, bits_of(1024.0f)}},
        {"fine_gain", {GAIN, bits_of(1024.001f)}},
        {"fine_gain", {GAIN, bits_of(-1.0f)}},
        {"fine_gain", {GAIN, bits_of(NAN)}},
        {"shortlist", {SHORTLIST, 0}},
        {NULL, {SHORTLIST, 301, OVERFETCH, 400}}, /* more than there are labels, for those to come */
        {NULL, {SHORTLIST, 300, OVERFETCH, 400}},
        {"shortlist", {SHORTLIST, 4097, OVERFETCH, 16384, LABELS, 5000, ROWS, 5000}},
        {NULL, {SHORTLIST, 4096, OVERFETCH, 16384, LABELS, 5000, ROWS, 5000}},
        {NULL, {SHORTLIST, 1}},
        {"overfetch", {OVERFETCH, 19}},
        {NULL, {OVERFETCH, 20}},
        {"overfetch", {OVERFETCH, 16385}},
        {NULL, {OVERFETCH, 16384}},
        {"max_tokens", {MAX_TOKENS, 2}},
        {NULL, {MAX_TOKENS, 3}},
        {"max_tokens", {MAX_TOKENS, 8193}},
        {NULL, {MAX_TOKENS, 8192}},
        {"label_tokens", {LABEL_TOKENS, 65}},
        {NULL, {LABEL_TOKENS, 64}},
        {NULL, {LABEL_TOKENS, 1}},
        {"label_tokens", {LABEL_TOKENS, 0}},
        {"label_tokens", {REASONER_INPUTS, 255 - 64}},
        {NULL, {REASONER_INPUTS, 255 - 64, LABEL_TOKENS, 0}},
        {"state_dims", {STATE_DIMS, 8193}},
        {NULL, {STATE_DIMS, 8192}},
        {"state_dims", {STATE_DIMS, 0}},
        {"state_dims", {REASONER_INPUTS, 255 - 4}},
        {NULL, {REASONER_INPUTS, 255 - 4, STATE_DIMS, 0}},
        {NULL, {REASONER_INPUTS, 255 - 4, STATE_DIMS, 0, SCREENER_OUTPUTS, 1}},
        {"screener_inputs", {SCREENER_INPUTS, 0}},
        {"screener_inputs", {SCREENER_INPUTS, 4}},
        {"screener_inputs", {SCREENER_INPUTS, 3 + 4}},
        {NULL, {SCREENER_INPUTS, 1}},
        {NULL, {SCREENER_INPUTS, 2}},
        {"reasoner_weight", {REASONER_INPUTS, 0, LABEL_TOKENS, 0, STATE_DIMS, 0}},
        {NULL, {REASONER_INPUTS, 0, LABEL_TOKENS, 0, STATE_DIMS, 0, REASONER_WEIGHT, 0}},
        {"reasoner_inputs", {REASONER_INPUTS, 256 + 255}},
        {NULL, {REASONER_INPUTS, 1, LABEL_TOKENS, 0, STATE_DIMS, 0}},
        {"screener_outputs", {SCREENER_OUTPUTS, 0}},
        {"screener_outputs", {SCREENER_OUTPUTS, 1}},
        {"screener_outputs", {SCREENER_OUTPUTS, 2}},
        {"screener_outputs", {SCREENER_OUTPUTS, 7}},
        {"vocabulary", {VOCABULARY, 0}},
        {NULL, {VOCABULARY, 1}},
        {"vocabulary", {VOCABULARY, (1u << 24) + 1}},
        {NULL, {VOCABULARY, 1u << 24}},
        {"cells", {CELL_COUNT, 65537, PROBES, 1, ROWS, million}},
        {NULL, {CELL_COUNT, 65536, PROBES, 1, ROWS, million}},
        {"cells", {CELL_COUNT, 601, PROBES, 1}},
        {NULL, {CELL_COUNT, 600, PROBES, 1}},
        {"probes", {CELL_COUNT, 9, PROBES, 10}},
        {NULL, {CELL_COUNT, 9, PROBES, 9}},
        {"probes", {CELL_COUNT, 9, PROBES, 0}},
        {"probes", {CELL_COUNT, 0, PROBES, 1}},
        {"cell_margin", {CELL_COUNT, 9, PROBES, 3, MARGIN, bits_of(-1e-30f)}},
        {"cell_margin", {CELL_COUNT, 9, PROBES, 3, MARGIN, bits_of(NAN)}},
        {"cell_margin", {CELL_COUNT, 9, PROBES, 3, MARGIN, bits_of(INFINITY)}},
        {NULL, {CELL_COUNT, 9, PROBES, 3, MARGIN, bits_of(FLT_MAX)}},
        {"descriptions", {DESCRIPTIONS, 301}},
        {NULL, {DESCRIPTIONS, 300}},
        {"reasoner_weight", {REASONER_WEIGHT, bits_of(-0.5f)}},
        {"reasoner_weight", {REASONER_WEIGHT, bits_of(INFINITY)}},
        {"reasoner_weight", {REASONER_WEIGHT, bits_of(NAN)}},
        {NULL, {REASONER_WEIGHT, bits_of(FLT_MAX)}},
        {NULL, {REASONER_WEIGHT, 0}},
        {"screening_weight", {SCREENING_WEIGHT, bits_of(-0.5f)}},
        {"screening_weight", {SCREENING_WEIGHT, bits_of(INFINITY)}},
        {"screening_weight", {SCREENING_WEIGHT, bits_of(NAN)}},
        {NULL, {SCREENING_WEIGHT, bits_of(FLT_MAX)}},
        {"votes_temperature", {TEMPERATURE, 0}},
        {"votes_temperature", {TEMPERATURE, bits_of(1 / 1024.0f) - 1}},
        {"votes_temperature", {TEMPERATURE, bits_of(1.0f) + 1}},
        {"votes_temperature", {TEMPERATURE, bits_of(NAN)}},
        {NULL, {TEMPERATURE, bits_of(1 / 1024.0f)}},
        {NULL, {TEMPERATURE, bits_of(1.0f)}},
        {"votes_weight", {VOTES_WEIGHT, bits_of(-0.5f)}},
        {"votes_weight", {VOTES_WEIGHT, bits_of(16.0f) + 1}},
        {"votes_weight", {VOTES_WEIGHT, bits_of(NAN)}},
        {NULL, {VOTES_WEIGHT, bits_of(16.0f)}},
        {"lexical_weight", {LEXICAL_WEIGHT, bits_of(INFINITY)}},
        {"lexical_weight", {LEXICAL_WEIGHT + 7, bits_of(NAN)}},
        {NULL, {LEXICAL_WEIGHT + 7, bits_of(-FLT_MAX)}},
        {"lexical_most", {LEXICAL_MOST, bits_of(1e-30f)}},
        {"lexical_most", {LEXICAL_MOST, bits_of(16.0f) + 1, LEXICAL_CANDIDATES, 1}},
        {"lexical_most", {LEXICAL_MOST, bits_of(NAN), LEXICAL_CANDIDATES, 1}},
        {NULL, {LEXICAL_MOST, bits_of(16.0f), LEXICAL_CANDIDATES, 1}},
        {"lexical_candidates", {LEXICAL_CANDIDATES, 4097}},
        {NULL, {LEXICAL_CANDIDATES, 4096}},
        {"least_known", {LEAST_KNOWN, bits_of(-0.5f)}},
        {"least_known", {LEAST_KNOWN, bits_of(1.0f) + 1}},
        {"least_known", {LEAST_KNOWN, bits_of(NAN)}},
        {NULL, {LEAST_KNOWN, bits_of(1.0f)}},
        {"same_text", {SAME_TEXT, bits_of(-0.5f)}},
        {"same_text", {SAME_TEXT, bits_of(2.0f) + 1}},
        {"same_text", {SAME_TEXT, bits_of(NAN)}},
        {NULL, {SAME_TEXT, bits_of(2.0f)}},
        {"windows", {WINDOWS, 257}},
        {NULL, {WINDOWS, 256}},
        {NULL, {WINDOWS, 0}},
        {"reserved", {RESERVED, 1}},
        {"reserved", {RESERVED + 15, 1u << 31}},
    };

    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
        check_rule(&rules[i]);
    put_word(EXL__PARAMETERS, CELL_COUNT, 0), put_word(EXL__PARAMETERS, PROBES, 0);
    put_number(EXL__PARAMETERS, MARGIN, 1.0f);
    CHECK_REFUSED(EXL_OPEN_NO_ENGINE, "the parameter cell_margin is outside");
}

static void test_parameters_size(void) {
    length_of[EXL__PARAMETERS] = 255;
    CHECK_REFUSED(EXL_OPEN_NO_ENGINE, "the parameters section is too short");
    put_word(EXL__PARAMETERS, STRUCT_BYTES, 255);
    CHECK_REFUSED(EXL_OPEN_NO_ENGINE, "does not have the size that it states");
    length_of[EXL__PARAMETERS] = 264;
    CHECK_REFUSED(EXL_OPEN_NO_ENGINE, "does not have the size that it states");
    length_of[EXL__PARAMETERS] = 264, put_word(EXL__PARAMETERS, STRUCT_BYTES, 264);
    CHECK_REFUSED(EXL_OPEN_NO_ENGINE, "the parameters section is too long");
    put_word(EXL__PARAMETERS, VOCABULARY, word_of(EXL__PARAMETERS, VOCABULARY) - 1);
    CHECK_REFUSED(EXL_OPEN_NO_ENGINE, "gives ids that the graphs do not have");
}

/* ---- the index ------------------------------------------------------------------------------------------------ */

static void test_index_sizes(void) {
    static const struct {
        uint32_t kind;
        const char *words;
    } all[] = {{EXL__CODEBOOK, "the section codebook has "},
               {EXL__COARSE_CODES, "the section coarse_codes has "},
               {EXL__FINE_CODES, "the section fine_codes has "}};

    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        for (int more = -1; more <= 1; more += 2) {
            length_of[all[i].kind] += (uint64_t)(int64_t)more;
            CHECK_REFUSED(EXL_OPEN_NO_ENGINE, all[i].words);
        }
    for (int last = 0; last < 2; last++)
        for (int way = 0; way < 3; way++) {
            size_t at = last ? (size_t)length_of[EXL__CODEBOOK] / 4 - 1 : 0;
            put_number(EXL__CODEBOOK, at, way == 0 ? NAN : way == 1 ? INFINITY : -INFINITY);
            CHECK_REFUSED(EXL_OPEN_NO_ENGINE, "the codebook holds a number that is not finite");
        }
}

static void test_row_labels(void) {
    size_t aliases = word_of(EXL__PARAMETERS, ROWS) - word_of(EXL__PARAMETERS, LABELS);
    size_t words = (size_t)length_of[EXL__ROW_LABELS] / 4;

    CHECK(aliases == 300 && word_of(EXL__ROW_LABELS, aliases) == words - aliases - 1);
    put_word(EXL__ROW_LABELS, 0, 1);
    CHECK_REFUSED(EXL_OPEN_NO_ENGINE, "row_labels does not have the size that it states");
    for (int more = -4; more <= 4; more += more == 1 ? 3 : more == -1 ? 2 : 3) { /* by a byte, by a word */
        length_of[EXL__ROW_LABELS] += (uint64_t)(int64_t)more;
        CHECK_REFUSED(EXL_OPEN_NO_ENGINE, "row_labels does not have the size that it states");
    }
    length_of[EXL__ROW_LABELS] = 4 * aliases;
    CHECK_REFUSED(EXL_OPEN_NO_ENGINE, "row_labels does not have the size that it states");
    for (size_t alias = 0; alias + 1 < aliases; alias += alias == 0 ? aliases - 2 : 1) { /* one without a label */
        put_word(EXL__ROW_LABELS, alias + 1, word_of(EXL__ROW_LABELS, alias));
        CHECK_REFUSED(EXL_OPEN_NO_ENGINE, "row_labels is not in order");
    }
    for (int last = 0; last < 2; last++) {
        put_word(EXL__ROW_LABELS, last ? words - 1 : aliases + 1, 300);
        CHECK_REFUSED(EXL_OPEN_NO_ENGINE, "row_labels names a label that is not there");
        put_word(EXL__ROW_LABELS, last ? words - 1 : aliases + 1, 299);
        CHECK_OPENS(EXL_OPEN_NO_ENGINE);
    }
    put_word(EXL__PARAMETERS, ROWS, 300); /* no aliases, but a section of them */
    length_of[EXL__COARSE_CODES] /= 3, length_of[EXL__COARSE_CODES] *= 2, length_of[EXL__FINE_CODES] /= 2;
    CHECK_REFUSED(EXL_OPEN_NO_ENGINE, "row_labels is there exactly when there are aliases");
}

static void test_cells(void) {
    size_t cells = word_of(EXL__PARAMETERS, CELL_COUNT);

    if (cells == 0) {
        length_of[EXL__CELLS] = 100;
        CHECK_REFUSED(EXL_OPEN_NO_ENGINE, "cells is there exactly when there are cells");
        return;
    }
    for (int more = -1; more <= 1; more += 2) {
        length_of[EXL__CELLS] += (uint64_t)(int64_t)more;
        CHECK_REFUSED(EXL_OPEN_NO_ENGINE, "the section cells has ");
    }
    put_word(EXL__CELLS, 0, 1);
    CHECK_REFUSED(EXL_OPEN_NO_ENGINE, "the cells do not hold every row");
    put_word(EXL__CELLS, cells, word_of(EXL__CELLS, cells) - 1);
    CHECK_REFUSED(EXL_OPEN_NO_ENGINE, "the cells do not hold every row");
    put_word(EXL__CELLS, 1, 0);
    CHECK_REFUSED(EXL_OPEN_NO_ENGINE, "cell 0 holds no row");
    put_word(EXL__CELLS, cells - 1, word_of(EXL__CELLS, cells));
    CHECK_REFUSED(EXL_OPEN_NO_ENGINE, "holds no row");
}

/* ---- weights --------------------------------------------------------------------------------------------------- */

static void test_weights(void) {
    static const struct {
        uint32_t at, bytes;
        uint64_t value;
    } bad[] = {
        {TYPE, 4, 0},
        {TYPE, 4, 8},
        {TYPE, 4, 17},
        {TYPE, 4, UINT32_MAX},
        {TYPE, 4, 11},
        {RANK, 4, 5},
        {RANK, 4, 1},
        {RANK, 4, 0},
        {NAME_BYTES, 4, 0},
        {NAME_BYTES, 4, 512},
        {NAME_BYTES, 4, 1},
        {NAME_BYTES, 4, UINT32_MAX},
        {DIM, 8, 1ull << 62},
        {DIM, 8, 0},
        {DIM, 8, UINT64_MAX},
        {DIM + 16, 8, 1},
        {DIM + 24, 8, 1},
        {DATA_OFFSET, 8, 32},
        {DATA_OFFSET, 8, 1u << 30},
        {DATA_OFFSET, 8, UINT64_MAX - 63},
        {DATA_BYTES, 8, 4},
        {DATA_BYTES, 8, 1ull << 63},
        {NAME_OFFSET, 4, 1u << 30},
        {NAME_OFFSET, 4, UINT32_MAX},
    };
    static const char *const roles[] = {"screener", "reasoner"};

    for (uint32_t kind = EXL__SCREENER_WEIGHTS; kind <= EXL__REASONER_WEIGHTS; kind += 2) {
        const char *role = roles[kind == EXL__REASONER_WEIGHTS];
        uint32_t count = word_of(kind, 0);
        char words[96];

        snprintf(words, sizeof words, "the %s's weights do not have the size that they state", role);
        put_word(kind, 1, 1);
        CHECK_REFUSED(0, words);
        put_word(kind, 0, 4097);
        CHECK_REFUSED(0, words);
        put_word(kind, 0, UINT32_MAX);
        CHECK_REFUSED(0, words);
        length_of[kind] = 8 + 64 * (uint64_t)count - 1;
        if (length_of[kind] < 8)
            length_of[kind] = 7;
        CHECK_REFUSED(0, words);
        for (size_t i = 0; i < sizeof bad / sizeof *bad && count > 0; i++) {
            uint8_t *entry = bytes_of[kind] + 8 + 64 * (size_t)(count - 1);
            if (get32(entry + RANK) != 2) /* the tables of this bundle are matrices */
                continue;
            snprintf(words, sizeof words, "weight %u of the %s is not well formed", count - 1, role);
            put(entry + bad[i].at, bad[i].value, bad[i].bytes);
            CHECK_REFUSED(0, words);
        }
        if (count > 0) { /* a name with a NUL in it, and one that goes on behind its end */
            const uint8_t *entry = bytes_of[kind] + 8;
            uint32_t at = get32(entry + NAME_OFFSET), bytes = get32(entry + NAME_BYTES);
            snprintf(words, sizeof words, "weight 0 of the %s is not well formed", role);
            bytes_of[kind][at] = 0;
            CHECK_REFUSED(0, words);
            bytes_of[kind][at + bytes] = 'x';
            CHECK_REFUSED(0, words);
        }
    }
}

int main(int count, char **arguments) {
    CHECK(count == 3);
    take_apart(arguments[1], arguments[2]);
    CHECK_OPENS(EXL_OPEN_VERIFY);
    test_header();
    test_reserved_fields_of_entries();
    test_hidden_bytes();
    test_missing_sections();
    test_needless_sections();
    test_known_tokens();
    test_label_descriptions();
    test_newer_minor_version();
    test_parameters();
    test_parameters_size();
    test_index_sizes();
    test_row_labels();
    test_cells();
    test_weights();
    put_away();
    puts("test_sections: done");
    return 0;
}
