/* bundle.h: an open bundle: the mapped file, what its sections say once they are checked, the engine with both graphs.
 */
#ifndef EXL_BUNDLE_H
#define EXL_BUNDLE_H

#include "cells.h"
#include "edgexl.h"
#include "engine.h"
#include "lexical.h"
#include "live.h"
#include "platform.h"
#include "scan.h"
#include "signature.h"
#include "status.h"
#include "strings.h"
#include "tokenizer.h"
#include "utf8.h"

/* Section kinds, docs/format.md. */
enum {
    EXL__MANIFEST = 1,
    EXL__PARAMETERS,
    EXL__TOKENIZER,
    EXL__SCREENER_GRAPH,
    EXL__SCREENER_WEIGHTS,
    EXL__REASONER_GRAPH,
    EXL__REASONER_WEIGHTS,
    EXL__CODEBOOK,
    EXL__COARSE_CODES,
    EXL__FINE_CODES,
    EXL__ROW_LABELS,
    EXL__LABEL_TEXTS,
    EXL__LABEL_IDS,
    EXL__CALIBRATION,
    EXL__GOLDENS,
    EXL__CELLS,
    EXL__LEXICAL,
    EXL__LABEL_DESCRIPTIONS,
    EXL__KNOWN_TOKENS,
    EXL__SECTION_KINDS,   /* one more than the last of those that lie in exl_bundle.sections */
    EXL__SIGNATURE = 1000 /* behind all that will ever be signed */
};

/* Header and table of a bundle of most sections, which is what is signed. */
enum { EXL__MOST_SIGNED_BYTES = 64 + 64 * 64 };

/* Engines, by their number in the parameters. */
enum { EXL__ORT = 1, EXL__NATIVE = 2 };

/* Graph inputs, bit numbers in the parameters. */
enum {
    EXL__INPUT_IDS,
    EXL__ATTENTION_MASK,
    EXL__TOKEN_STATES,
    EXL__QUERY_VECTOR,
    EXL__LABEL_VECTORS,
    EXL__SCREENING_SCORES,
    EXL__LABEL_TOKENS,
    EXL__EVIDENCE,
    EXL__VOCABULARY_OF_INPUTS
};

/* The columns of the input `evidence`. */
enum {
    EXL__BY_OWN,
    EXL__BY_ALIAS,
    EXL__BY_DESCRIPTION,
    EXL__BY_VOTES,
    EXL__BY_WORDS,
    EXL__EVIDENCE_COLUMNS /* how many */
};

/* Screener outputs, bits in the parameters. */
enum { EXL__GIVES_QUERY_VECTOR = 1, EXL__GIVES_TOKEN_STATES = 2 };

/* The parameters section, field for field. */
typedef struct exl__parameters {
    uint32_t struct_bytes;
    uint32_t engine;
    uint32_t labels;
    uint32_t rows;
    uint32_t dims;
    uint32_t subspaces;
    uint32_t subspace_dims;
    uint32_t fine_dims;
    uint32_t fine_bits;
    uint32_t overfetch;
    uint32_t shortlist;
    uint32_t max_tokens;
    uint32_t label_tokens;
    uint32_t state_dims;
    uint32_t screener_inputs;
    uint32_t reasoner_inputs;
    uint32_t screener_outputs;
    uint32_t vocabulary;
    uint8_t label_set_sha256[32];
    float fine_gain;
    uint32_t cells;
    uint32_t probes;
    float cell_margin;
    uint32_t descriptions; /* the last so many rows */
    float reasoner_weight;
    float screening_weight;
    float votes_temperature;
    float votes_weight;
    float lexical_weight[8];
    float lexical_most;
    uint32_t lexical_candidates;
    float least_known; /* share of a text's tokens that stand in texts of labels; 0: there is no such section */
    float same_text;   /* the score of a label whose text is the query; 0: it is not known */
    uint32_t windows;  /* that a text is read in at most; 0: 1 */
    uint8_t reserved[64];
} exl__parameters;

typedef struct exl__section {
    const uint8_t *bytes; /* null when the bundle has no such section */
    uint64_t length;
} exl__section;

/* What a calibration looks at: the logit; that less the log of the sum of the shortlist's exponentials; the same with
 * exp(0), "none of these", in the sum. */
enum { EXL__BY_LOGIT = 1, EXL__BY_LEAD, EXL__BY_LEAD_OR_NONE };

typedef struct exl__calibration {
    uint32_t input; /* one of EXL__BY_LOGIT ... */
    uint32_t knots;
    float threshold;
    float presence;     /* a logit; a best label below it is most likely wrong */
    const float *x, *p; /* [knots] */
    uint32_t queries;   /* held-out ones that coverage was counted on; 0: there were none */
    uint32_t found;     /* of them, those with a gold label on the shortlist */
    const float *score; /* [found]: what the calibration sees of the best gold label of each, descending */
} exl__calibration;

typedef struct exl__overlays exl__overlays; /* overlay.h */

/* Hashes that are checked when they are first needed, by whichever session. */
typedef struct exl__deferred {
    exl__mutex mutex;
    int checked; /* and found right */
} exl__deferred;

struct exl_bundle {
    exl_allocator allocator;
    exl__file file;
    uint16_t format_major, format_minor;
    uint32_t section_count;
    exl__section sections[EXL__SECTION_KINDS];
    exl__section signature; /* stored in the bundle */
    uint8_t identity[32];   /* the section table's hash without the signature, and so of every byte that is signed */
    uint32_t signed_by;
    uint64_t signed_version;
    uint32_t verified;       /* nonzero: the hashes of all sections are checked before any is used */
    exl__deferred *deferred; /* null: there are none */
    exl__parameters parameters;
    exl__calibration calibration;
    exl__tokenizer tokenizer;
    exl__strings texts, ids;
    exl__strings descriptions;   /* without strings where the bundle does not hold them */
    const uint32_t *alias_start; /* [rows - labels + 1], into alias_labels; null without aliases */
    const uint32_t *alias_labels;
    uint32_t most_alias_labels; /* of one alias row */
    exl__cells cells;
    exl__lexical lexical;    /* where there are lexical candidates */
    exl__live_store *live;   /* labels of overlays, and those added and retired since */
    exl__overlays *overlays; /* null: there are none */
    uint8_t code_space[32];  /* what the codes of labels depend on, as a hash */
    exl__isa isa;
    const exl__engine *engine; /* null when opened with EXL_OPEN_NO_ENGINE */
    exl__engine_state *engine_state;
    exl__graph *screener, *reasoner; /* the reasoner is null where the bundle has none */
};

/* format.c: checks all of the mapped file and fills in everything but the engine. path: what was opened, or null. */
exl_status exl__bundle_read(exl_bundle *bundle, const exl_open_options *options, const char *path, exl_error *error);
/* The hashes of those sections that the runtime may use without having checked them, or of the others. */
exl_status exl__check_hashes(const exl_bundle *bundle, int deferrable, exl_error *error);
/* What is signed of a bundle whose table was checked: the header and the section table that it has, or would have,
 * without a signature in it. */
size_t exl__signed_bytes(const exl_bundle *bundle, uint8_t bytes[EXL__MOST_SIGNED_BYTES]);

/* calibration.c: a calibration section's bytes, of this label set; what is wrong with them gives `malformed`. */
exl_status exl__calibration_read(const exl__section *section, const uint8_t label_set[32], exl_status malformed,
                                 exl__calibration *calibration, exl_error *error);

/* A file that may be signed, and then who has. */
typedef struct exl__signed {
    const char *what; /* "bundle", for sentences */
    const uint8_t *message;
    size_t message_bytes;
    exl__section stored; /* the signature in the file */
    const char *path;    /* of the file; null: it was opened by none */
    uint32_t signed_by;  /* which of the keys, from 1 on; 0: there are none */
    uint64_t version;    /* the signer's */
} exl__signed;

/* trust.c: the keys that the library was built with, where the options name none. */
void exl__trust_as_built(exl_open_options *options);
/* Whether the options' keys and signature go together. */
exl_status exl__check_trust(const exl_open_options *options, exl_error *error);
/* Whether one of the options' keys has made the signature of the message, which is `what` (a patch); signed_by: which.
 */
exl_status exl__check_signer(const char *what, const exl_open_options *options, const char *text, size_t text_bytes,
                             const void *message, size_t message_bytes, exl_error *error);
/* The signature in the file of the path and ".minisig"; EXL_NOT_SIGNED where there is no such file. */
exl_status exl__read_signature_beside(const char *what, const char *path, const exl_allocator *allocator,
                                      char text[EXL__MOST_SIGNATURE_BYTES], size_t *text_bytes, exl_error *error);
/* Whether one of the options' keys has signed the file, in a version that they accept; EXL_OK where there are none. */
exl_status exl__check_signed(const exl_allocator *allocator, const exl_open_options *options, exl__signed *of,
                             exl_error *error);
/* The same of the bundle. */
exl_status exl__check_signature(exl_bundle *bundle, const exl_open_options *options, const char *path,
                                exl_error *error);
/* Has every use of these sections check their hashes first (the first of all that, below); gives them up again. */
exl_status exl__defer_hashes(exl_bundle *bundle, exl_error *error);
exl_status exl__check_deferred(const exl_bundle *bundle, exl_error *error);
void exl__forget_deferred(exl_bundle *bundle);

/* weights.c: the tensors of a weights section. *tensors comes from the allocator, *count items. */
exl_status exl__weights_read(const exl_allocator *allocator, const exl__section *section, const char *role,
                             exl__tensor **tensors, size_t *count, exl_error *error);

/* Whether a graph refers to as many tensors outside of itself as there are weights, each by the location `weights`, and
 * to nothing else. With the engine's own check that every weight has a tensor in the graph, no file can be opened. */
int exl__graph_is_closed(const exl__section *graph, size_t weight_count);

/* The labels of one of the bundle's rows: an own row's is its number, an alias row has one or more. */
static inline const uint32_t *exl__row_labels(const exl_bundle *bundle, const uint32_t *row, uint32_t *count) {
    const uint32_t *start = bundle->alias_start;

    if (*row < bundle->parameters.labels)
        return *count = 1, row;
    start += *row - bundle->parameters.labels;
    *count = start[1] - start[0];
    return bundle->alias_labels + start[0];
}

/* In how many windows a text is read at most, unless told. */
static inline uint32_t exl__most_windows(const exl_bundle *bundle) {
    return bundle->parameters.windows > 1 ? bundle->parameters.windows : 1;
}

/* bundle.c: a graph input, as graphs must declare it. */
exl__port exl__input_port(const exl__parameters *parameters, int input);

#endif
