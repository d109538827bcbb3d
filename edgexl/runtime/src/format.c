/* format.c: reads a bundle as docs/format.md has it, and refuses every file that is not exactly so.
 *
 * Order: header, section table, signature, hashes, then each section; nothing is used before it is checked, and every
 * size is checked against what remains, in 64 bits, so that no sum can wrap.
 */
#include "compiler.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "bundle.h"
#include "bytes.h"
#include "checked.h"
#include "rescore.h"
#include "sha256.h"
#include "windows.h"

enum {
    FORMAT_HEADER_BYTES = 64,
    FORMAT_ENTRY_BYTES = 64,
    FORMAT_ALIGNMENT_BYTES = 16384,
    FORMAT_MOST_SECTIONS = 64,
    FORMAT_MAJOR = 3,
    FORMAT_MINOR = 1,
    FORMAT_MOST_CELLS = 65536
};

static const float FORMAT_LARGEST_GAIN = 1024;
static const uint8_t FORMAT_MAGIC[8] = {0x89, 'E', 'X', 'L', '\r', '\n', 0x1a, '\n'};

static const struct {
    const char *name;
    int hashed_at_open; /* small, or parsed by an engine; the others are safe with any bytes */
    int required;
    int deferrable; /* nothing but headers is read of it until a text is answered */
} FORMAT_SECTIONS[EXL__SECTION_KINDS] = {
    [EXL__MANIFEST] = {"manifest", 1, 1, 0},
    [EXL__PARAMETERS] = {"parameters", 1, 1, 0},
    [EXL__TOKENIZER] = {"tokenizer", 1, 1, 0},
    [EXL__SCREENER_GRAPH] = {"screener_graph", 1, 1, 0},
    [EXL__SCREENER_WEIGHTS] = {"screener_weights", 0, 1, 1},
    [EXL__REASONER_GRAPH] = {"reasoner_graph", 1, 0, 0},
    [EXL__REASONER_WEIGHTS] = {"reasoner_weights", 0, 0, 1},
    [EXL__CODEBOOK] = {"codebook", 1, 1, 0},
    [EXL__COARSE_CODES] = {"coarse_codes", 0, 1, 1},
    [EXL__FINE_CODES] = {"fine_codes", 0, 1, 1},
    [EXL__ROW_LABELS] = {"row_labels", 1, 0, 0},
    [EXL__LABEL_TEXTS] = {"label_texts", 0, 1, 0},
    [EXL__LABEL_IDS] = {"label_ids", 0, 1, 0},
    [EXL__CALIBRATION] = {"calibration", 1, 1, 0},
    [EXL__GOLDENS] = {"goldens", 0, 0, 1},
    [EXL__CELLS] = {"cells", 0, 0, 0},
    [EXL__LEXICAL] = {"lexical", 0, 0, 0},
    [EXL__LABEL_DESCRIPTIONS] = {"label_descriptions", 0, 0, 0},
    [EXL__KNOWN_TOKENS] = {"known_tokens", 1, 0, 0},
};

/* ---- header and table ---------------------------------------------------------------------------------------- */

static exl_status format_check_header(exl_bundle *bundle, exl_error *error) {
    const uint8_t *header = bundle->file.bytes;
    uint64_t length = bundle->file.length;
    uint8_t digest[32];

    if (length < sizeof FORMAT_MAGIC || memcmp(header, FORMAT_MAGIC, sizeof FORMAT_MAGIC) != 0)
        return exl__fail(error, EXL_NOT_A_BUNDLE, "the file does not begin as an edgexl bundle does");
    if (length < FORMAT_HEADER_BYTES)
        return exl__fail(error, EXL_BUNDLE_TRUNCATED, "the file ends inside its header");
    bundle->format_major = exl__get16(header + 8);
    bundle->format_minor = exl__get16(header + 10);
    if (bundle->format_major > FORMAT_MAJOR)
        return exl__fail(error, EXL_VERSION_TOO_NEW,
                         "the bundle has format %u.%u, this library reads up to %d.%d: update it", bundle->format_major,
                         bundle->format_minor, FORMAT_MAJOR, FORMAT_MINOR);
    if (bundle->format_major < FORMAT_MAJOR)
        return exl__fail(error, EXL_BUNDLE_MALFORMED,
                         "the bundle has format %u.%u, this library reads %d.%d: compile it again",
                         bundle->format_major, bundle->format_minor, FORMAT_MAJOR, FORMAT_MINOR);
    bundle->section_count = exl__get32(header + 12);
    if (bundle->section_count < 1 || bundle->section_count > FORMAT_MOST_SECTIONS ||
        exl__get32(header + 24) != FORMAT_ALIGNMENT_BYTES || exl__get32(header + 28) != 0)
        return exl__fail(error, EXL_BUNDLE_MALFORMED, "the header holds a value that the format forbids");
    if (exl__get64(header + 16) != length)
        return exl__fail(error, EXL_BUNDLE_TRUNCATED, "the file has %llu bytes, its header says %llu: copy it again",
                         (unsigned long long)length, (unsigned long long)exl__get64(header + 16));
    if (length < FORMAT_HEADER_BYTES + (uint64_t)bundle->section_count * FORMAT_ENTRY_BYTES)
        return exl__fail(error, EXL_BUNDLE_TRUNCATED, "the file ends inside its section table");
    exl__sha256_of(header + FORMAT_HEADER_BYTES, (size_t)bundle->section_count * FORMAT_ENTRY_BYTES, digest);
    if (!exl__is_hash(digest, header + 32, sizeof digest))
        return exl__fail(error, EXL_BUNDLE_CORRUPT, "the section table does not match its hash");
    memcpy(bundle->identity, digest, sizeof digest);
    return EXL_OK;
}

static const uint8_t *format_entry(const exl_bundle *bundle, uint32_t place) {
    return bundle->file.bytes + FORMAT_HEADER_BYTES + (size_t)place * FORMAT_ENTRY_BYTES;
}

/* One entry, of which `end` is where the bytes before it end; moves `end` on. */
static exl_status format_check_entry(exl_bundle *bundle, const uint8_t *entry, uint32_t *kind_before, uint64_t *end,
                                     exl_error *error) {
    uint32_t kind = exl__get32(entry);
    uint64_t offset = exl__get64(entry + 8), length = exl__get64(entry + 16), file_bytes = bundle->file.length;
    uint64_t expected = exl__round_up(*end, FORMAT_ALIGNMENT_BYTES);

    if (kind <= *kind_before)
        return exl__fail(error, EXL_BUNDLE_MALFORMED, "section kind %u stands after kind %u", kind, *kind_before);
    if (kind >= EXL__SECTION_KINDS && bundle->format_minor < (kind == EXL__SIGNATURE ? 1 : FORMAT_MINOR + 1))
        return exl__fail(error, EXL_BUNDLE_MALFORMED, "section kind %u is not known", kind);
    if (exl__get32(entry + 4) != 0 || exl__get64(entry + 56) != 0)
        return exl__fail(error, EXL_BUNDLE_MALFORMED, "section kind %u sets reserved fields", kind);
    if (offset != expected || length == 0 || !exl__lies_within(offset, length, file_bytes))
        return exl__fail(error, EXL_BUNDLE_MALFORMED, "section kind %u does not lie where it must", kind);
    if (!exl__all_zero(bundle->file.bytes + *end, offset - *end))
        return exl__fail(error, EXL_BUNDLE_MALFORMED, "there are hidden bytes before section kind %u", kind);
    if (kind < EXL__SECTION_KINDS) {
        bundle->sections[kind].bytes = bundle->file.bytes + offset;
        bundle->sections[kind].length = length;
    }
    if (bundle->signature.bytes)
        return exl__fail(error, EXL_BUNDLE_MALFORMED, "section kind %u stands behind the signature", kind);
    if (kind == EXL__SIGNATURE)
        bundle->signature = (exl__section){bundle->file.bytes + offset, length};
    *kind_before = kind;
    *end = offset + length;
    return EXL_OK;
}

/* What a signature changes in header and table: the minor version, the count, the length and the table's hash. */
size_t exl__signed_bytes(const exl_bundle *bundle, uint8_t bytes[EXL__MOST_SIGNED_BYTES]) {
    uint32_t count = bundle->section_count - (bundle->signature.bytes ? 1 : 0);
    size_t length = FORMAT_HEADER_BYTES + (size_t)count * FORMAT_ENTRY_BYTES;

    memcpy(bytes, bundle->file.bytes, length);
    if (bundle->signature.bytes) {
        const uint8_t *last = bytes + length - FORMAT_ENTRY_BYTES; /* there is one: parameters must be there */
        if (bundle->format_minor == 1)                             /* which differs from 0 by the signature alone */
            bytes[10] = 0;
        exl__put32(bytes + 12, count);
        exl__put64(bytes + 16, exl__get64(last + 8) + exl__get64(last + 16));
        exl__sha256_of(bytes + FORMAT_HEADER_BYTES, length - FORMAT_HEADER_BYTES, bytes + 32);
    }
    return length;
}

static exl_status format_check_table(exl_bundle *bundle, exl_error *error) {
    uint64_t end = FORMAT_HEADER_BYTES + (uint64_t)bundle->section_count * FORMAT_ENTRY_BYTES;
    uint8_t without[EXL__MOST_SIGNED_BYTES];
    uint32_t kind = 0;

    for (uint32_t i = 0; i < bundle->section_count; i++) {
        exl_status status = format_check_entry(bundle, format_entry(bundle, i), &kind, &end, error);
        if (status != EXL_OK)
            return status;
    }
    if (end != bundle->file.length)
        return exl__fail(error, EXL_BUNDLE_MALFORMED, "there are bytes behind the last section");
    for (kind = 1; kind < EXL__SECTION_KINDS; kind++)
        if (FORMAT_SECTIONS[kind].required && !bundle->sections[kind].bytes)
            return exl__fail(error, EXL_BUNDLE_MALFORMED, "the bundle has no %s section", FORMAT_SECTIONS[kind].name);
    if (bundle->format_minor == 1 && !bundle->signature.bytes)
        return exl__fail(error, EXL_BUNDLE_MALFORMED, "the bundle has format 3.1, but no signature");
    if (bundle->signature.bytes) {
        exl__signed_bytes(bundle, without);
        memcpy(bundle->identity, without + 32, sizeof bundle->identity);
    }
    return EXL_OK;
}

/* ---- hashes -------------------------------------------------------------------------------------------------- */

/* Large sections are read, not mapped in: hashing must not cost the memory of what it looks at. */
static exl_status format_check_hash(const exl_bundle *bundle, const uint8_t *entry, exl_error *error) {
    uint64_t offset = exl__get64(entry + 8), left = exl__get64(entry + 16);
    uint32_t kind = exl__get32(entry);
    uint8_t chunk[16384], digest[32];
    exl__sha256 hash;

    exl__sha256_init(&hash);
    while (left > 0) {
        size_t take = left < sizeof chunk ? (size_t)left : sizeof chunk;
        exl_status status = exl__file_read(&bundle->file, offset, chunk, take, error);
        if (status != EXL_OK)
            return status;
        exl__sha256_update(&hash, chunk, take);
        offset += take, left -= take;
    }
    exl__sha256_final(&hash, digest);
    if (!exl__is_hash(digest, entry + 24, sizeof digest))
        return exl__fail(error, EXL_BUNDLE_CORRUPT, "the section %s does not match its hash: copy the bundle again",
                         kind < EXL__SECTION_KINDS ? FORMAT_SECTIONS[kind].name : "of an unknown kind");
    return EXL_OK;
}

static exl_status format_check_small_hashes(const exl_bundle *bundle, exl_error *error) {
    exl_status status = EXL_OK;

    for (uint32_t i = 0; status == EXL_OK && i < bundle->section_count; i++) {
        uint32_t kind = exl__get32(format_entry(bundle, i));
        if (kind < EXL__SECTION_KINDS && FORMAT_SECTIONS[kind].hashed_at_open)
            status = format_check_hash(bundle, format_entry(bundle, i), error);
    }
    return status;
}

exl_status exl__check_hashes(const exl_bundle *bundle, int deferrable, exl_error *error) {
    exl_status status = EXL_OK;

    for (uint32_t i = 0; status == EXL_OK && i < bundle->section_count; i++) {
        uint32_t kind = exl__get32(format_entry(bundle, i));
        if ((kind < EXL__SECTION_KINDS && FORMAT_SECTIONS[kind].deferrable) == deferrable)
            status = format_check_hash(bundle, format_entry(bundle, i), error);
    }
    return status;
}

/* All, or those that cannot wait, or where nobody asks the small ones. */
static exl_status format_check_hashes(exl_bundle *bundle, const exl_open_options *options, exl_error *error) {
    exl_status status;

    if (!(options->flags & EXL_OPEN_VERIFY) && options->trusted_key_count == 0)
        return format_check_small_hashes(bundle, error);
    bundle->verified = 1;
    status = exl__check_hashes(bundle, 0, error);
    if (status != EXL_OK)
        return status;
    return options->flags & EXL_OPEN_LAZY ? exl__defer_hashes(bundle, error) : exl__check_hashes(bundle, 1, error);
}

/* ---- parameters ---------------------------------------------------------------------------------------------- */

/* Also whether it is a number. */
static int format_is_within(float value, float least, float most) { return value >= least && value <= most; }

/* The limits of docs/format.md, in its order; null when all are kept, else the first field's name that breaks one. */
// clang-format off: a line a field
static const char *format_forbidden_parameter(const exl__parameters *p) {
    const uint32_t token_inputs = 1u << EXL__INPUT_IDS | 1u << EXL__ATTENTION_MASK;
    const uint32_t all_inputs = (1u << EXL__VOCABULARY_OF_INPUTS) - 1;
    const uint32_t all_outputs = EXL__GIVES_QUERY_VECTOR | EXL__GIVES_TOKEN_STATES;
    const uint32_t takes_tokens = p->reasoner_inputs >> EXL__LABEL_TOKENS & 1;
    const uint32_t takes_states = p->reasoner_inputs >> EXL__TOKEN_STATES & 1;

    if (p->struct_bytes < sizeof *p) return "struct_bytes";
    if (p->engine != EXL__ORT && p->engine != EXL__NATIVE) return "engine";
    if (p->labels < 1 || p->labels > INT32_MAX) return "labels";
    if (p->rows < p->labels || p->rows > INT32_MAX) return "rows";
    if (p->dims < 8 || p->dims > 4096) return "dims";
    if (p->subspaces < 2 || p->subspaces > 256 || p->subspaces % 2) return "subspaces";
    if (p->subspace_dims < 1 || p->subspace_dims > 64) return "subspace_dims";
    if (p->dims < p->subspaces * p->subspace_dims) return "dims";
    if (p->fine_dims < 2 || p->fine_dims > p->dims || p->fine_dims % 2) return "fine_dims";
    if (p->fine_bits != 2 && p->fine_bits != 4 && p->fine_bits != 8) return "fine_bits";
    if (p->fine_bits == 2 && p->fine_dims % 4) return "fine_dims";
    if (!format_is_within(p->fine_gain, 1 / FORMAT_LARGEST_GAIN, FORMAT_LARGEST_GAIN)) return "fine_gain";
    if (p->shortlist < 1 || p->shortlist > 4096) return "shortlist";
    if (p->overfetch < p->shortlist || p->overfetch > 16384) return "overfetch";
    if (p->max_tokens < 3 || p->max_tokens > 8192) return "max_tokens";
    if (p->label_tokens > 64 || !p->label_tokens != !takes_tokens) return "label_tokens";
    if (p->state_dims > 8192 || !p->state_dims != !takes_states) return "state_dims";
    if (p->screener_inputs == 0 || (p->screener_inputs & ~token_inputs)) return "screener_inputs";
    if (p->reasoner_inputs & ~all_inputs) return "reasoner_inputs";
    if ((p->screener_outputs & ~all_outputs) || !(p->screener_outputs & EXL__GIVES_QUERY_VECTOR)) return "screener_outputs";
    if (p->state_dims && !(p->screener_outputs & EXL__GIVES_TOKEN_STATES)) return "screener_outputs";
    if (p->vocabulary < 1 || p->vocabulary > 1u << 24) return "vocabulary";
    if (p->cells > FORMAT_MOST_CELLS || p->cells > p->rows) return "cells";
    if (p->probes > p->cells || !p->probes != !p->cells) return "probes";
    if (!format_is_within(p->cell_margin, 0, p->cells ? FLT_MAX : 0)) return "cell_margin";
    if (p->descriptions > p->rows - p->labels) return "descriptions";
    if (!format_is_within(p->reasoner_weight, 0, p->reasoner_inputs ? FLT_MAX : 0)) return "reasoner_weight";
    if (!format_is_within(p->screening_weight, 0, FLT_MAX)) return "screening_weight";
    if (!format_is_within(p->votes_temperature, 1.0f / 1024, 1)) return "votes_temperature";
    if (!format_is_within(p->votes_weight, 0, 16)) return "votes_weight";
    for (int i = 0; i < 8; i++)
        if (!isfinite(p->lexical_weight[i])) return "lexical_weight";
    if (!format_is_within(p->lexical_most, 0, p->lexical_candidates ? 16 : 0)) return "lexical_most";
    if (p->lexical_candidates > 4096) return "lexical_candidates";
    if (!format_is_within(p->least_known, 0, 1)) return "least_known";
    if (!format_is_within(p->same_text, 0, 2)) return "same_text";
    if (p->windows > EXL__MOST_WINDOWS) return "windows";
    if (!exl__all_zero(p->reserved, sizeof p->reserved)) return "reserved";
    return NULL;
}
// clang-format on

static exl_status format_read_parameters(exl_bundle *bundle, exl_error *error) {
    const exl__section *section = &bundle->sections[EXL__PARAMETERS];
    const char *field;

    _Static_assert(sizeof(exl__parameters) == 256, "docs/format.md");
    if (section->length < sizeof bundle->parameters)
        return exl__fail(error, EXL_BUNDLE_MALFORMED, "the parameters section is too short");
    memcpy(&bundle->parameters, section->bytes, sizeof bundle->parameters);
    if (bundle->parameters.struct_bytes != section->length)
        return exl__fail(error, EXL_BUNDLE_MALFORMED, "the parameters section does not have the size that it states");
    if (bundle->format_minor <= FORMAT_MINOR && section->length != sizeof bundle->parameters)
        return exl__fail(error, EXL_BUNDLE_MALFORMED, "the parameters section is too long");
    field = format_forbidden_parameter(&bundle->parameters);
    if (field)
        return exl__fail(error, EXL_BUNDLE_MALFORMED, "the parameter %s is outside of its limits", field);
    return EXL_OK;
}

/* Sections that the parameters announce: they are there exactly then. */
static exl_status format_check_announced(const exl_bundle *bundle, exl_error *error) {
    const exl__parameters *p = &bundle->parameters;
    const struct {
        int kind;
        uint32_t wanted;
        const char *what;
    } announced[] = {{EXL__REASONER_GRAPH, p->reasoner_inputs, "is a reasoner"},
                     {EXL__REASONER_WEIGHTS, p->reasoner_inputs, "is a reasoner"},
                     {EXL__ROW_LABELS, p->rows - p->labels, "are aliases"},
                     {EXL__CELLS, p->cells, "are cells"},
                     {EXL__LEXICAL, p->lexical_candidates, "are lexical candidates"},
                     {EXL__KNOWN_TOKENS, p->least_known > 0, "is a least share of known tokens"}};

    for (size_t i = 0; i < sizeof announced / sizeof *announced; i++)
        if (!announced[i].wanted != !bundle->sections[announced[i].kind].bytes)
            return exl__fail(error, EXL_BUNDLE_MALFORMED, "the section %s is there exactly when there %s",
                             FORMAT_SECTIONS[announced[i].kind].name, announced[i].what);
    return EXL_OK;
}

/* ---- index sections ------------------------------------------------------------------------------------------ */

static exl_status format_check_length(const exl_bundle *bundle, int kind, uint64_t expected, exl_error *error) {
    if (bundle->sections[kind].length == expected)
        return EXL_OK;
    return exl__fail(error, EXL_BUNDLE_MALFORMED, "the section %s has %llu bytes, the parameters ask for %llu",
                     FORMAT_SECTIONS[kind].name, (unsigned long long)bundle->sections[kind].length,
                     (unsigned long long)expected);
}

static exl_status format_check_index(const exl_bundle *bundle, exl_error *error) {
    const exl__parameters *p = &bundle->parameters;
    const float *codebook = (const float *)(const void *)bundle->sections[EXL__CODEBOOK].bytes;
    uint64_t entries = exl__times(exl__times(p->subspaces, 16), p->subspace_dims);
    exl_status status = format_check_length(bundle, EXL__CODEBOOK, entries * 4, error);

    if (status == EXL_OK)
        status = format_check_length(bundle, EXL__COARSE_CODES,
                                     exl__times(exl__round_up(p->rows, 256), p->subspaces / 2), error);
    if (status == EXL_OK)
        status = format_check_length(bundle, EXL__FINE_CODES,
                                     exl__times(p->rows, exl__fine_stride(p->fine_dims, p->fine_bits)), error);
    if (status == EXL_OK && p->least_known > 0)
        status = format_check_length(bundle, EXL__KNOWN_TOKENS, exl__round_up(p->vocabulary, 8) / 8, error);
    if (status != EXL_OK)
        return status;
    for (uint64_t i = 0; i < entries; i++)
        if (!isfinite(codebook[i]))
            return exl__fail(error, EXL_BUNDLE_MALFORMED, "the codebook holds a number that is not finite");
    return EXL_OK;
}

static exl_status format_read_row_labels(exl_bundle *bundle, exl_error *error) {
    const exl__section *section = &bundle->sections[EXL__ROW_LABELS];
    const exl__parameters *p = &bundle->parameters;
    uint64_t aliases = (uint64_t)p->rows - p->labels, words = section->length / 4;
    const uint32_t *start = (const uint32_t *)(const void *)section->bytes;

    if (!aliases)
        return EXL_OK;
    if (section->length % 4 != 0 || words < aliases + 1 || start[0] != 0 || start[aliases] != words - aliases - 1)
        return exl__fail(error, EXL_BUNDLE_MALFORMED, "the section row_labels does not have the size that it states");
    bundle->alias_start = start;
    bundle->alias_labels = start + aliases + 1;
    for (uint64_t i = 0; i < aliases; i++) {
        if (start[i + 1] <= start[i])
            return exl__fail(error, EXL_BUNDLE_MALFORMED, "the section row_labels is not in order");
        if (start[i + 1] - start[i] > bundle->most_alias_labels)
            bundle->most_alias_labels = start[i + 1] - start[i];
    }
    for (uint64_t i = 0; i < words - aliases - 1; i++)
        if (bundle->alias_labels[i] >= p->labels)
            return exl__fail(error, EXL_BUNDLE_MALFORMED, "the section row_labels names a label that is not there");
    return EXL_OK;
}

/* The rows at the places are looked at when a query needs them: all of them would be far too many to check at open. */
static exl_status format_read_lexical(exl_bundle *bundle, exl_error *error) {
    const exl__section *section = &bundle->sections[EXL__LEXICAL];

    if (!section->bytes ||
        exl__lexical_init(&bundle->lexical, section->bytes, section->length, bundle->parameters.rows))
        return EXL_OK;
    return exl__fail(error, EXL_BUNDLE_MALFORMED, "the lexical section's sizes or lists are not as they must be");
}

static exl_status format_read_cells(exl_bundle *bundle, exl_error *error) {
    const exl__section *section = &bundle->sections[EXL__CELLS];
    const exl__parameters *p = &bundle->parameters;
    exl__cells *cells = &bundle->cells;
    exl_status status;

    if (!p->cells)
        return EXL_OK;
    status = format_check_length(bundle, EXL__CELLS, exl__cells_bytes(p->cells, p->rows, p->fine_dims), error);
    if (status != EXL_OK)
        return status;
    *cells = (exl__cells){.count = p->cells, .probes = p->probes, .margin = p->cell_margin, .dims = p->fine_dims};
    cells->starts = (const uint32_t *)(const void *)section->bytes;
    cells->rows = cells->starts + p->cells + 1;
    cells->centroids = (const uint8_t *)(cells->rows + p->rows);
    for (uint32_t i = 0; i < p->cells; i++)
        if (cells->starts[i] >= cells->starts[i + 1])
            return exl__fail(error, EXL_BUNDLE_MALFORMED, "cell %u holds no row", i);
    if (cells->starts[0] != 0 || cells->starts[p->cells] != p->rows)
        return exl__fail(error, EXL_BUNDLE_MALFORMED, "the cells do not hold every row");
    return EXL_OK;
}

/* ---- all ----------------------------------------------------------------------------------------------------- */

static exl_status format_read_strings(exl_bundle *bundle, int kind, exl__strings *strings, exl_error *error) {
    const exl__section *section = &bundle->sections[kind];

    if (exl__strings_init(strings, section->bytes, (size_t)section->length, bundle->parameters.labels) != 0)
        return exl__fail(error, EXL_BUNDLE_MALFORMED, "the section %s is not well formed", FORMAT_SECTIONS[kind].name);
    return EXL_OK;
}

static exl_status format_read_tokenizer(exl_bundle *bundle, exl_error *error) {
    const exl__section *section = &bundle->sections[EXL__TOKENIZER];

    const char *field = exl__tokenizer_init(&bundle->tokenizer, section->bytes, (size_t)section->length);

    if (field)
        return exl__fail(error, EXL_BUNDLE_MALFORMED, "the tokenizer's field %s is not well formed", field);
    if (bundle->tokenizer.vocabulary > bundle->parameters.vocabulary)
        return exl__fail(error, EXL_BUNDLE_MALFORMED, "the tokenizer gives ids that the graphs do not have");
    return EXL_OK;
}

static exl_status format_read_calibration(exl_bundle *bundle, exl_error *error) {
    return exl__calibration_read(&bundle->sections[EXL__CALIBRATION], bundle->parameters.label_set_sha256,
                                 EXL_BUNDLE_MALFORMED, &bundle->calibration, error);
}

/* The code space: what makes a text's codes, as a hash of the sections' hashes and of sizes. Bundles that have it in
 * common take the same overlays. */
static void format_hash_code_space(exl_bundle *bundle) {
    const exl__parameters *p = &bundle->parameters;
    uint8_t sizes[28];
    exl__sha256 hash;

    exl__sha256_init(&hash);
    for (uint32_t i = 0; i < bundle->section_count; i++) {
        uint32_t kind = exl__get32(format_entry(bundle, i));
        if (kind == EXL__TOKENIZER || kind == EXL__SCREENER_GRAPH || kind == EXL__SCREENER_WEIGHTS ||
            kind == EXL__CODEBOOK)
            exl__sha256_update(&hash, format_entry(bundle, i) + 24, 32);
    }
    exl__put32(sizes, p->dims);
    exl__put32(sizes + 4, p->subspaces);
    exl__put32(sizes + 8, p->subspace_dims);
    exl__put32(sizes + 12, p->fine_dims);
    exl__put32(sizes + 16, p->fine_bits);
    memcpy(sizes + 20, &p->fine_gain, 4); /* little-endian, as all targets are */
    exl__put32(sizes + 24, p->max_tokens);
    exl__sha256_update(&hash, sizes, sizeof sizes);
    exl__sha256_final(&hash, bundle->code_space);
}

exl_status exl__bundle_read(exl_bundle *bundle, const exl_open_options *options, const char *path, exl_error *error) {
    exl_status status = format_check_header(bundle, error);

    // clang-format off: a line a step
    if (status == EXL_OK) status = format_check_table(bundle, error);
    if (status == EXL_OK) status = exl__check_signature(bundle, options, path, error);
    if (status == EXL_OK) status = format_check_hashes(bundle, options, error);
    if (status == EXL_OK) status = format_read_parameters(bundle, error);
    if (status == EXL_OK) status = format_check_announced(bundle, error);
    if (status == EXL_OK) status = format_check_index(bundle, error);
    if (status == EXL_OK) status = format_read_row_labels(bundle, error);
    if (status == EXL_OK) status = format_read_cells(bundle, error);
    if (status == EXL_OK) status = format_read_lexical(bundle, error);
    if (status == EXL_OK) status = format_read_calibration(bundle, error);
    if (status == EXL_OK) status = format_read_tokenizer(bundle, error);
    if (status == EXL_OK) status = format_read_strings(bundle, EXL__LABEL_TEXTS, &bundle->texts, error);
    if (status == EXL_OK) status = format_read_strings(bundle, EXL__LABEL_IDS, &bundle->ids, error);
    if (status == EXL_OK && bundle->sections[EXL__LABEL_DESCRIPTIONS].bytes)
        status = format_read_strings(bundle, EXL__LABEL_DESCRIPTIONS, &bundle->descriptions, error);
    // clang-format on
    if (status == EXL_OK)
        format_hash_code_space(bundle);
    return status;
}
