/* edgexl.h: answer queries over huge label sets from one bundle file. C11, Apache-2.0.
 *
 * One life, top to bottom: open a bundle (a .exl file, immutable, shared by all threads) and a session on it (one a
 * thread; owns all scratch memory), predict, read the result, look labels up or change them, close both. Nothing here
 * aborts, prints or exits.
 *
 * Errors. Every function that can fail returns an exl_status and takes, last, an exl_error of the caller's: null, or
 * where status and one sentence are written (EXL_OK and "" when nothing went wrong). The library keeps none.
 *
 * Growth. Every struct begins with struct_size: set it with sizeof; in results the library does. Structs grow at their
 * end alone, functions and statuses are only added, and the library reads and writes no more than struct_size says: old
 * programs run with new libraries, and new ones with old libraries. These refuse a field that they do not know unless
 * it is 0, and EXL_HAS tells whether they gave it.
 *
 * Ownership. What a function returns through a pointer belongs to the object that made it: a result and all that it
 * points to live until the next call with that session, also one that fails; strings of a bundle as long as the bundle.
 * A bundle must outlive its sessions. Text goes in as pointer and length (UTF-8, NUL bytes allowed, no NUL at its end).
 *
 * Fork. A child may use the bundles and sessions of its parent that no other thread was using; it scans alone on them,
 * whatever their scan_threads, and both processes close what they have. What the child opens itself has threads again.
 * ONNX Runtime has locks of its own: no other thread may be in it while one forks, and a bundle with more than one
 * thread of it refuses to predict in a child (EXL_ENGINE_FAILED): open it there.
 *
 * Telemetry. ONNX Runtime writes a device id and events into the user's cache, and sends them, unless the process's
 * environment has ORT_DISABLE_TELEMETRY=1: exl_bundle_open sets it where it is not set, before it starts ONNX Runtime.
 * Where other threads may read the environment then, set it yourself, first. The native engine needs nothing set.
 */
#ifndef EDGEXL_H
#define EDGEXL_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(EXL_API) /* empty, for a library that takes this one in and exports nothing of it */
#elif defined(_WIN32)
#define EXL_API __declspec(dllexport)
#else
#define EXL_API __attribute__((visibility("default")))
#endif

#define EXL_VERSION_STRING "0.2.0"
/* Whether a struct that the library filled has the field: `EXL_HAS(exl_result, result, none_fits)`. */
#define EXL_HAS(type, pointer, field) ((pointer)->struct_size >= offsetof(type, field) + sizeof((pointer)->field))

/* Each status with its sentence. Bands: 1xx the caller, 2xx the system, 3xx the bundle, 4xx the engine. Values never
 * change their meaning. */
#define EXL_STATUSES(STATUS)                                                                                           \
    STATUS(EXL_OK, 0, "done")                                                                                          \
    STATUS(EXL_BAD_ARGUMENT, 100, "an argument is null, of the wrong size or not known")                               \
    STATUS(EXL_EMPTY_TEXT, 101, "the text holds no token")                                                             \
    STATUS(EXL_INVALID_UTF8, 102, "the text is not valid UTF-8")                                                       \
    STATUS(EXL_BAD_K, 103, "k is larger than the bundle's shortlist")                                                  \
    STATUS(EXL_NO_SUCH_LABEL, 104, "the bundle has no such label")                                                     \
    STATUS(EXL_BUFFER_TOO_SMALL, 105, "the buffer is too small")                                                       \
    STATUS(EXL_NO_ENGINE_LOADED, 106, "the bundle was opened without its engine")                                      \
    STATUS(EXL_LABEL_EXISTS, 107, "the label set has a label with that id")                                            \
    STATUS(EXL_NOT_SUPPORTED, 108, "the bundle does not hold what the option takes")                                   \
    STATUS(EXL_SIGNING_FAILED, 109, "the app's own function did not sign the receipt")                                 \
    STATUS(EXL_OUT_OF_MEMORY, 200, "there is not enough memory")                                                       \
    STATUS(EXL_FILE_UNREADABLE, 201, "the file cannot be read")                                                        \
    STATUS(EXL_FILE_UNWRITABLE, 202, "the file cannot be written")                                                     \
    STATUS(EXL_NOT_DURABLE, 203, "the change is in force, but the system did not confirm that it is on the disk")      \
    STATUS(EXL_NOT_A_BUNDLE, 300, "the file is not an edgexl bundle")                                                  \
    STATUS(EXL_VERSION_TOO_NEW, 301, "the bundle is of a newer format than this library")                              \
    STATUS(EXL_BUNDLE_TRUNCATED, 302, "the bundle's length is not the one that it states")                             \
    STATUS(EXL_BUNDLE_MALFORMED, 303, "the bundle breaks the format's rules")                                          \
    STATUS(EXL_BUNDLE_CORRUPT, 304, "the bundle's contents do not match their recorded hash")                          \
    STATUS(EXL_LABELS_MALFORMED, 305, "the label file breaks the format's rules, or is damaged")                       \
    STATUS(EXL_LABELS_OF_ANOTHER_BUNDLE, 306, "the label file was made for another bundle")                            \
    STATUS(EXL_NOT_SIGNED, 307, "the bundle is not signed, and only signed ones are accepted")                         \
    STATUS(EXL_UNKNOWN_KEY, 308, "the bundle is signed by a key that is not trusted")                                  \
    STATUS(EXL_BAD_SIGNATURE, 309, "the bundle's signature does not hold: it, or the bundle, was changed")             \
    STATUS(EXL_VERSION_TOO_OLD, 310, "the bundle is older than the least version that is accepted")                    \
    STATUS(EXL_PATCH_MALFORMED, 320, "the patch breaks the format's rules, or is damaged")                             \
    STATUS(EXL_PATCH_OF_ANOTHER_BUNDLE, 321, "the patch was made for another bundle")                                  \
    STATUS(EXL_OVERLAY_MALFORMED, 330, "the overlay breaks the format's rules, or is damaged")                         \
    STATUS(EXL_OVERLAY_OF_ANOTHER_BUNDLE, 331, "the overlay was made for a bundle with other codes")                   \
    STATUS(EXL_ENGINE_MISSING, 400, "the engine's library cannot be loaded")                                           \
    STATUS(EXL_ENGINE_TOO_OLD, 401, "the engine's library is too old")                                                 \
    STATUS(EXL_ENGINE_REFUSED, 402, "the engine does not take one of the bundle's graphs")                             \
    STATUS(EXL_ENGINE_FAILED, 403, "the engine failed or broke its contract")                                          \
    STATUS(EXL_SELF_TEST_FAILED, 404, "this device does not reproduce the bundle's recorded answers")
#define EXL_STATUS_NUMBER(NAME, number, sentence) NAME = number,
typedef enum exl_status { EXL_STATUSES(EXL_STATUS_NUMBER) EXL_LARGEST_STATUS = 65535 } exl_status;

typedef struct exl_error {
    size_t struct_size;
    int32_t status;     /* an exl_status; of a fixed size, whatever the compiler makes of an enum */
    char sentence[508]; /* NUL-terminated; a longer one is cut */
} exl_error;

EXL_API const char *exl_get_version(void);
/* One sentence for a status; never null. An exl_error's says more. */
EXL_API const char *exl_describe_status(exl_status status);

typedef struct exl_bundle exl_bundle;
typedef struct exl_session exl_session;

/* ---- open a bundle --------------------------------------------------------------------------------------------- */

/* All memory of a bundle and its sessions comes from here, but for engines that bring their own allocator (ORT).
 * allocate returns memory aligned to 64 bytes, or null. Both must be thread-safe: threads that open, close or change
 * labels call them at the same time. Nothing is allocated while a session predicts. */
typedef struct exl_allocator {
    size_t struct_size;
    void *context;
    void *(*allocate)(void *context, size_t bytes);
    void (*release)(void *context, void *memory, size_t bytes);
} exl_allocator;

enum {
    EXL_OPEN_VERIFY = 1u,    /* check the hash of every section (reads the whole file), not only of the small ones */
    EXL_OPEN_NO_ENGINE = 2u, /* for looking only: labels, manifest, tokens; no session can be opened */
    EXL_OPEN_SCALAR = 4u,    /* use the scalar kernels (to compare with the SIMD ones; same answers) */
    EXL_OPEN_COMPILED = 8u,  /* pass the label file over: the labels that were compiled (and those of overlays, where
                                some are given), and no changes to them */
    EXL_OPEN_COPY = 16u,  /* read the file into memory, not map it: someone may write to or cut it while it is open */
    EXL_OPEN_LAZY = 32u,  /* with EXL_OPEN_VERIFY or trusted_keys: the hashes of weights, codes and goldens are checked
                             when one of them is first used, which then fails with EXL_BUNDLE_CORRUPT. Opens sooner, and
                             is weaker: what is wrong shows late, and who may write to the file has longer for it */
    EXL_OPEN_ANYONE = 64u /* without trusted_keys: look at no signature, whatever keys the library was built with */
};

/* Signatures. With trusted_keys, a bundle is opened only where one of them has signed its header and section table, and
 * so every byte (docs/trust.md): before any section is read, else EXL_NOT_SIGNED, EXL_UNKNOWN_KEY, EXL_BAD_SIGNATURE or
 * EXL_VERSION_TOO_OLD. The hashes of all sections are checked then, as with EXL_OPEN_VERIFY. The signature is the one
 * given here, else the one stored in the bundle, else, where a path was opened, the file of that name and ".minisig".
 * Who may write to a mapped file may change it behind the check: give EXL_OPEN_COPY where that is not yourself.
 *
 * A library may be built with keys of its own, -DEXL_TRUSTED_KEYS='"RW..."' (more of them by commas) and
 * -DEXL_LEAST_VERSION=3: these stand wherever the options name no trusted_keys, and the version where they name no
 * keys and no least_version. EXL_OPEN_ANYONE is the way to open anything there. */

/* Overlays, docs/overlays.md: labels of one's own over a bundle, each set a file that `edgexl overlay` makes. They are
 * read whole when the bundle is opened, and checked before anything of them is used. Their labels come between those of
 * the bundle and those of the label file, and of the same id the last one counts. Opened without it, the bundle is as
 * it was before, and the label file keeps nothing of an overlay but the ids of labels that were retired from it, until
 * it is compacted. */
typedef struct exl_overlay {
    size_t struct_size; /* of one item; in the array, of each */
    const char *path;   /* of the file; null: it lies in memory */
    const void *bytes;  /* null: there is a path. Not needed when opening has returned */
    size_t length;
    const char *const *trusted_keys; /* who must have signed it; none: those of exl_open_options, and where there are
                                        none either, signatures are not looked at */
    size_t trusted_key_count;
    uint64_t least_version; /* the signer's, as in exl_open_options; those of a bundle and an overlay are apart */
    const void *signature;  /* null = the overlay's own, or the file of its path and ".minisig" */
    size_t signature_bytes;
} exl_overlay;

typedef struct exl_open_options {
    size_t struct_size;
    uint32_t flags;
    uint32_t threads;                /* of the engine's pool; 0 = 1, all that native takes. ONNX Runtime has one pool a
                                        process: with more than one thread, the first open bundle's number counts */
    const char *engine_library;      /* path of libonnxruntime; null = $EDGEXL_ORT_LIBRARY, then the loader's search */
    const exl_allocator *allocator;  /* null = malloc; must outlive the bundle */
    const char *labels_path;         /* of the label file, below; null = the bundle's path and ".labels" */
    const char *const *trusted_keys; /* [trusted_key_count]: public keys as minisign writes them: the text of a .pub
                                        file or its line that begins with RW. None: signatures are not looked at */
    size_t trusted_key_count;
    uint64_t least_version; /* that the signer gave the bundle ("version:7" in the trusted comment; without it 0): what
                               he has replaced since cannot be put back. The rest needs trusted_keys, too */
    const void *signature;  /* what minisign wrote; null = the bundle's own, or beside it */
    size_t signature_bytes;
    const exl_overlay *overlays; /* [overlay_count], the lowest first; exl_patch only tries whether the new bundle takes
                                    them */
    size_t overlay_count;        /* 64 at most */
} exl_open_options;

/* options may be null. On failure *bundle is null. Only a regular file is opened. Without EXL_OPEN_COPY it is mapped
 * and must not be written to while it is open (where it is cut, the system ends the process with SIGBUS); to replace
 * it, rename another file over it (and see "change labels" for the label file that the old one had). */
EXL_API exl_status exl_bundle_open(const char *path, const exl_open_options *options, exl_bundle **bundle,
                                   exl_error *error);
/* The same from memory that begins at a multiple of 64 bytes. It stays the caller's, who keeps it as it is until the
 * bundle is closed; with EXL_OPEN_COPY it may begin anywhere, and is not needed when this returns. Only the label file
 * that labels_path names is looked for; without one labels cannot be changed. */
EXL_API exl_status exl_bundle_open_memory(const void *bytes, size_t length, const exl_open_options *options,
                                          exl_bundle **bundle, exl_error *error);
/* The same from `length` bytes of an open file (0 = all to its end), from `offset` on: an asset in an APK, a resource
 * in an executable. The offset is a multiple of 64, or EXL_OPEN_COPY is given. The caller may close his descriptor. */
EXL_API exl_status exl_bundle_open_descriptor(int descriptor, uint64_t offset, uint64_t length,
                                              const exl_open_options *options, exl_bundle **bundle, exl_error *error);

typedef struct exl_bundle_info {
    size_t struct_size;
    uint32_t labels;
    uint32_t rows;      /* labels, aliases and descriptions */
    uint32_t dims;      /* of the query vector */
    uint32_t shortlist; /* N: the largest k. A smaller label set gives fewer answers until it has grown */
    uint32_t max_tokens;
    uint32_t format_major, format_minor;
    uint32_t goldens; /* inputs with recorded answers, see exl_self_test_run */
    uint32_t copied;  /* nonzero: opened with EXL_OPEN_COPY */
    float threshold;  /* probability that maximises set F1 on held-out queries of the calibration in force */
    float presence;   /* the logit that decides none_fits; -infinity: it is never said */
    uint64_t file_bytes;
    const char *engine;   /* "native", "ort" */
    const char *kernel;   /* "scalar", "ssse3", "avx2", "avx512", "avx512vbmi", "neon" */
    const char *manifest; /* JSON, not NUL-terminated */
    size_t manifest_bytes;
    uint32_t windows;        /* that a text of more than max_tokens is read in at most */
    uint32_t signed_by;      /* which of trusted_keys has signed it, from 1 on; 0: it was opened without */
    uint64_t signed_version; /* the signer's; 0: he gave none, or signed_by is 0 */
    uint32_t overlays;       /* that it was opened with */
    uint32_t calibrated_by;  /* whose calibration is in force: 0 the bundle's, else the number of an overlay, from 1 on:
                                the last one that has one, made over this very bundle */
} exl_bundle_info;

EXL_API exl_status exl_bundle_get_info(const exl_bundle *bundle, exl_bundle_info *info, exl_error *error);

typedef struct exl_overlay_info {
    size_t struct_size;
    uint32_t labels;     /* that it holds */
    uint32_t rows;       /* labels and aliases */
    uint32_t queries;    /* that its calibration was fitted on; 0: it has none */
    uint32_t calibrates; /* nonzero: its calibration is in force */
    uint32_t signed_by;  /* which of the keys has signed it, from 1 on; 0: it was opened without */
    uint32_t reserved;   /* 0 */
    uint64_t signed_version;
    uint64_t file_bytes;
} exl_overlay_info;

/* Of overlay `number`, from 1 on, in the order of exl_open_options.overlays. */
EXL_API exl_status exl_overlay_get_info(const exl_bundle *bundle, uint32_t number, exl_overlay_info *info,
                                        exl_error *error);

/* Token ids of a text as the screener gets them ([CLS] ... [SEP], cut to max_tokens). capacity must be max_tokens or
 * more; *count is how many ids were written (or, with EXL_BUFFER_TOO_SMALL, are needed). */
EXL_API exl_status exl_tokenize(const exl_bundle *bundle, const char *text, size_t text_bytes, int32_t *ids,
                                size_t capacity, size_t *count, exl_error *error);
/* The text of a golden: something to try a bundle with. Belongs to the bundle, not NUL-terminated. */
EXL_API exl_status exl_golden_read(const exl_bundle *bundle, uint32_t golden, const char **text, size_t *text_bytes,
                                   exl_error *error);

/* ---- open a session ------------------------------------------------------------------------------------------- */

typedef struct exl_session_options {
    size_t struct_size;
    uint32_t scan_threads; /* that share a scan of the label index, the caller's among them: 1 to 64, 0 = 1. Answers are
                              the same; worth it from some 100,000 labels on. The others sleep between queries and end
                              with the session. A bundle with cells scans alone */
    uint32_t operation_times; /* 1: exl_operation_read tells what each operation took, which makes a prediction some
                                 percent slower. EXL_NOT_SUPPORTED by the engine "ort" */
    uint32_t batch;           /* texts that exl_predict_batch answers together, 1 to 32, 0 = 1: the native engine reads
                                 its weights, and the scan the index, once for all of them. Each takes the memory of a
                                 session. With operation_times it answers one by one */
    uint32_t reserved;        /* 0 */
} exl_session_options;

/* options may be null. On failure *session is null. */
EXL_API exl_status exl_session_open(exl_bundle *bundle, const exl_session_options *options, exl_session **session,
                                    exl_error *error);

/* ---- predict --------------------------------------------------------------------------------------------------- */

typedef struct exl_predict_options {
    size_t struct_size;
    uint32_t k;             /* how many labels at most. 0 = 5, or the shortlist if that is shorter; 0 with use_threshold
                               or coverage = no limit but the shortlist */
    uint32_t use_threshold; /* nonzero: only labels with probability >= threshold */
    float threshold;        /* negative = the bundle's own */
    float coverage;         /* 0 = off; else the smallest set that holds a gold label with this probability, as counted
                               on held-out queries; it may be empty. Not together with use_threshold. EXL_NOT_SUPPORTED
                               where the bundle was compiled without such queries, or its shortlists do not reach it */
    uint32_t windows;       /* a text of more than max_tokens is read in at most so many: its beginning, then 24 words
                               each, which overlap; their shortlists are merged. Each costs all of screening. 0 =
                               exl_bundle_info.windows, the most; 1 = its beginning only */
    uint32_t reserved;      /* 0 */
} exl_predict_options;

typedef struct exl_prediction {
    size_t struct_size;
    uint32_t label;
    float probability; /* calibrated: this share of such labels were gold labels on held-out queries */
    float logit;
    const char *id; /* NUL-terminated, as the text */
    const char *text;
    int32_t state;    /* where it is from: EXL_LABEL_COMPILED, EXL_LABEL_ADDED or EXL_LABEL_OVERLAID */
    uint32_t overlay; /* the overlay's number, from 1 on; 0: it is from none */
} exl_prediction;

/* The stages of a prediction, whose times a result gives. New ones are added at the end (here, with their function in
 * session.c's SESSION_STAGES, and nowhere else); they run in the order that stands there, of a text in several windows
 * some more than once. */
#define EXL_STAGES(STAGE)                                                                                              \
    STAGE(TOKENIZE, "tokenize")                                                                                        \
    STAGE(ENCODE, "encode")                                                                                            \
    STAGE(SCAN, "scan")                                                                                                \
    STAGE(MATCH, "match")                                                                                              \
    STAGE(RESCORE, "rescore")                                                                                          \
    STAGE(GATHER, "gather")                                                                                            \
    STAGE(REASON, "reason")                                                                                            \
    STAGE(CALIBRATE, "calibrate")
#define EXL_STAGE_NUMBER(NAME, name) EXL_STAGE_##NAME,
typedef enum exl_stage { EXL_STAGES(EXL_STAGE_NUMBER) EXL_STAGE_COUNT } exl_stage;

typedef struct exl_result {
    size_t struct_size;
    size_t count;                             /* of predictions */
    const exl_prediction *const *predictions; /* best first */
    size_t shortlist;                         /* what screening handed on, best first: label, its score, its logit */
    const uint32_t *shortlist_labels;
    const float *shortlist_scores;
    const float *shortlist_logits;
    const float *query_vector;      /* dims floats; of the window that found most, where there are several */
    uint32_t tokens;                /* max_tokens at most */
    uint32_t truncated;             /* nonzero: the text is longer than what was read of it */
    uint32_t none_fits;             /* nonzero: the best label is likely to be wrong, docs/c-api.md */
    uint32_t stage_count;           /* of the library's EXL_STAGES */
    const char *const *stage_names; /* "tokenize" is stage_names[EXL_STAGE_TOKENIZE] */
    const double *stage_ms;
    double total_ms;
    uint32_t coverage_holds; /* nonzero: the coverage that was asked for is that of this label set. 0 where none was
                                asked for, or labels were added or retired since it was counted */
    uint32_t windows;        /* that the text was read in; 1: it fits, or was cut */
} exl_result;

/* options may be null. *result is null on failure; the result of the call before is gone then, too. */
EXL_API exl_status exl_predict(exl_session *session, const char *text, size_t text_bytes,
                               const exl_predict_options *options, const exl_result **result, exl_error *error);

typedef struct exl_batch {
    size_t struct_size;
    const char *const *texts; /* [count] */
    const size_t *text_bytes; /* [count] */
    size_t count;
    const exl_predict_options *options; /* of all of them; may be null */
    /* Told of each text in turn: its place and either its result, which lives until this returns, or null and why. It
     * must not use the session. Nonzero ends the batch. */
    int (*answer)(void *context, size_t place, const exl_result *result, const exl_error *error);
    void *context;
} exl_batch;

/* Answers texts, as exl_predict does each of them, so many together as the session was opened for; the times of what is
 * done for several at once are shared among them. EXL_OK whatever comes of single texts; anything else is wrong for all
 * of them, and none was answered. */
EXL_API exl_status exl_predict_batch(exl_session *session, const exl_batch *batch, exl_error *error);

/* What one operation of a graph took in the session's last prediction; in graphs' order, the screener's first. */
typedef struct exl_operation {
    size_t struct_size;
    const char *graph;    /* "screener", "reasoner" */
    const char *kind;     /* as docs/format.md names it, such as "linear_int8" */
    const char *function; /* what it applies, such as "gelu"; "" for nothing */
    uint32_t number;      /* in its graph */
    uint32_t reserved;    /* 0 */
    uint64_t runs;        /* 0: it was not needed */
    uint64_t macs;        /* multiply-adds of products, of all runs together, as the rest */
    uint64_t bytes;       /* that it had to read and write */
    double ms;
    uint64_t sizes[4]; /* its sizes in the last run, docs/format.md; trailing ones are 1 or 0 */
} exl_operation;

/* How many there are: 0 unless the session was opened with operation_times. */
EXL_API uint32_t exl_operations_count(const exl_session *session);
EXL_API exl_status exl_operation_read(const exl_session *session, uint32_t number, exl_operation *operation,
                                      exl_error *error);

/* A label's way through both stages. */
/* What of a label a text was most like. */
typedef enum exl_found_by { EXL_FOUND_BY_TEXT = 0, EXL_FOUND_BY_ALIAS = 1, EXL_FOUND_BY_DESCRIPTION = 2 } exl_found_by;

typedef struct exl_explanation {
    size_t struct_size;
    uint32_t screening_rank; /* 1 = first among all labels; counted over the whole index by fine score */
    float screening_score;   /* of the label's best row, by its vector */
    uint32_t shortlisted;    /* 0 = lost at screening: the fields below are 0 */
    uint32_t reasoner_rank;
    float logit;
    float probability;
    /* of all labels */
    int32_t found_by; /* an exl_found_by: whose score the screening score is */
    float text_score;
    float alias_score;       /* the best one's; -infinity: there is none */
    float description_score; /* the same */
    float votes_score;       /* of a shortlisted label: what all rows near the text say together */
    float words_score;       /* of a shortlisted label: how alike its words are; 0: not, or there is no lexical side */
} exl_explanation;

EXL_API exl_status exl_explain(exl_session *session, const char *text, size_t text_bytes, uint32_t label,
                               exl_explanation *explanation, exl_error *error);

typedef struct exl_self_test_report {
    size_t struct_size;
    uint32_t goldens;
    uint32_t failed;
    float largest_probability_difference;
    float tolerance; /* the largest that passes */
} exl_self_test_report;

/* Runs the goldens in the bundle, on the labels that were compiled: what was added or retired since does not count.
 * EXL_SELF_TEST_FAILED when one differs; the report is filled in then, too. */
EXL_API exl_status exl_self_test_run(exl_session *session, exl_self_test_report *report, exl_error *error);

/* ---- keep receipts --------------------------------------------------------------------------------------------- */

/* A receipt is a record of one answer: which bundle and labels gave it, to what text and under which options, and the
 * bits of what came of it, shortlist, logits and probabilities. docs/format.md has its bytes, docs/receipts.md what it
 * proves. `edgexl replay` answers again, on any processor, and compares to the bit: so only the engine "native" gives
 * receipts. The text is not in it: whoever checks it needs the text, and the key. */

typedef enum exl_receipt_bounds {
    EXL_RECEIPT_LEAST_KEY = 16, /* bytes, as all of these */
    EXL_RECEIPT_MOST_NOTE = 4096,
    EXL_RECEIPT_MOST_SIGNATURE = 8192
} exl_receipt_bounds;
/* Bytes that hold a receipt of a bundle with this shortlist (exl_bundle_info), note and room for a signature. */
#define EXL_RECEIPT_BYTES(shortlist, note_bytes, signature_bytes)                                                      \
    (212 + 28 * (size_t)(shortlist) + (size_t)(note_bytes) + (size_t)(signature_bytes))

typedef struct exl_receipt_options {
    size_t struct_size;
    const exl_predict_options *predict; /* may be null */
    const void *key;                    /* the app's secret: EXL_RECEIPT_LEAST_KEY bytes or more that nobody guesses.
                                           Who has it can try out which text a receipt is of */
    size_t key_bytes;
    const void *note; /* of the app's, such as the number of a record; may be null */
    size_t note_bytes;
    /* null, or signs the record: writes a signature and its length, of which *signature_bytes says how much there may
     * be. Nonzero is a failure. It must not use the session. */
    int (*sign)(void *context, const void *record, size_t record_bytes, void *signature, size_t *signature_bytes);
    void *context;
    size_t signature_bytes; /* the most that sign writes */
    uint64_t time;          /* the app's own, such as seconds since 1970; 0: none */
} exl_receipt_options;

/* Predicts, as exl_predict does, and writes the receipt of it; *receipt_bytes is how long it is (or, with
 * EXL_BUFFER_TOO_SMALL, how much room there must be: then nothing was predicted). It makes the prediction itself, so
 * that no receipt is of another text than its answer. result may be null; it and *receipt_bytes are null and 0 on other
 * failures. EXL_NOT_SUPPORTED by the engine "ort"; EXL_SIGNING_FAILED where sign fails or writes nothing. */
EXL_API exl_status exl_receipt(exl_session *session, const char *text, size_t text_bytes,
                               const exl_receipt_options *options, void *receipt, size_t capacity,
                               size_t *receipt_bytes, const exl_result **result, exl_error *error);

/* ---- look labels up -------------------------------------------------------------------------------------------- */

typedef struct exl_labels_info {
    size_t struct_size;
    uint32_t labels;           /* in the set */
    uint32_t end;              /* labels are numbered from 0 to end - 1, added and retired ones among them */
    uint32_t added;            /* labels of the label file: the last ones by number, retired ones among them */
    uint32_t retired_compiled; /* of the bundle's labels, those that an overlay has another one for among them */
    uint32_t retired_added;
    uint64_t generation;       /* grows with every change; 0 = there was none */
    uint64_t file_bytes;       /* of the label file; 0 = there is none */
    uint32_t overlaid;         /* labels of overlays, numbered from exl_bundle_info.labels on */
    uint32_t retired_overlaid; /* of these: retired, or a later overlay or the label file has the id */
} exl_labels_info;

EXL_API exl_status exl_labels_get_info(const exl_bundle *bundle, exl_labels_info *info, exl_error *error);

typedef enum exl_label_state {
    EXL_LABEL_COMPILED = 0,
    EXL_LABEL_ADDED = 1,
    EXL_LABEL_RETIRED = 2,
    EXL_LABEL_OVERLAID = 3
} exl_label_state;

typedef struct exl_label {
    size_t struct_size;
    int32_t state;      /* is filled in: an exl_label_state */
    char *id;           /* where its id is written, with a closing NUL; null: it is not read */
    size_t id_capacity; /* bytes there */
    size_t id_bytes;    /* is filled in: its length without the NUL, also with EXL_BUFFER_TOO_SMALL */
    char *text;         /* the same for its text */
    size_t text_capacity, text_bytes;
    char *description; /* the same for its descriptions, a line each: "" where the bundle does not hold them */
    size_t description_capacity, description_bytes;
    uint32_t overlay;  /* is filled in: the number of the overlay that it is from, from 1 on; 0: it is from none */
    uint32_t reserved; /* 0 */
} exl_label;

EXL_API exl_status exl_label_read(const exl_bundle *bundle, uint32_t number, exl_label *label, exl_error *error);
/* The label of the current set with this id: a pass over the ids' compressed form, a few nanoseconds each. Where no id
 * has these very bytes, the lowest label with a canonically equivalent one is found (an accented letter may be one
 * character or two), here as by exl_labels_retire and replacing. An added id may differ from others in form alone. */
EXL_API exl_status exl_label_find(const exl_bundle *bundle, const char *id, size_t id_bytes, uint32_t *number,
                                  exl_error *error);
/* For typing ahead: the first `capacity` labels from label `from` on whose text begins with the prefix, ascending, and
 * in *count how many; to go on, call again from the last one plus 1. A pass over the texts' compressed form: a few
 * nanoseconds a label of ASCII, some tens of one with other letters where the prefix may be, and no memory.
 *
 * Text and prefix are compared in Unicode's normal form D, with its simple case folding (as of version 14): in either
 * case, and whichever way accents or Hangul are encoded. A letter finds all that carries marks on it: e finds e acute.
 * A prefix that ends in marks finds letters whose marks, in canonical order, begin with these: e and a dot below finds
 * the letter that has a circumflex, too, but e circumflex does not. Foldings that change the number of characters are
 * none. A text's first 4096 bytes are compared; bytes that are not UTF-8 are characters that no text has. */
EXL_API exl_status exl_labels_complete(const exl_bundle *bundle, const char *prefix, size_t prefix_bytes, uint32_t from,
                                       uint32_t *numbers, uint32_t capacity, uint32_t *count, exl_error *error);

/* ---- change labels --------------------------------------------------------------------------------------------- */

/* Labels are added to an open bundle, and any label is retired, without a compile. The bundle's file stays as it is:
 * changes are kept in a label file next to it, which keeps its mode, its owner and, where its path is a symbolic link,
 * its place. A call changes all that it names or nothing, and so does a crash at any moment. Several processes may
 * change and use one label file; a change waits for the one before it.
 *
 * A change is in force, for all who read the file, with EXL_OK, when it is on the disk, and with EXL_NOT_DURABLE, when
 * the system did not confirm that (exl_labels_compact writes everything again); with any other status nothing has
 * changed. What another process has changed, a bundle learns when it is opened, at exl_labels_refresh, and with every
 * change that it makes itself: that is its current set. A prediction uses the set that is current when it begins,
 * whole, and neither waits for a change nor allocates.
 *
 * Labels that were added are numbered from exl_bundle_info.labels on, behind those of overlays, in the order in which
 * they came; while the bundle is open a number stays with its label until a compaction.
 *
 * A label file belongs to one bundle. Where exl_patch puts another in its place, its changes are carried over; where
 * anything else does, opening gives EXL_LABELS_OF_ANOTHER_BUNDLE. Before the old bundle goes, list by it what was added
 * and retired; then remove the label file and make the changes again. EXL_OPEN_COMPILED opens the new bundle as it was
 * compiled. */

typedef struct exl_new_label {
    size_t struct_size; /* of one item; in an array, of each */
    const char *id;     /* 1 to 65535 bytes of UTF-8 without NUL, as text and aliases */
    size_t id_bytes;
    const char *text;
    size_t text_bytes;
    const char *const *aliases; /* [alias_count]: other texts that find the label */
    const size_t *alias_bytes;  /* [alias_count] */
    size_t alias_count;
} exl_new_label;

typedef struct exl_add_options {
    size_t struct_size;
    uint32_t replace; /* nonzero: each id must be in the set, and its label is retired; zero: none may be */
    void (*progress)(void *context, size_t done, size_t count); /* null, or told after each label that was encoded */
    void *context;
} exl_add_options;

/* Adds `count` labels: the session's bundle encodes their texts, so they are found as if they had been compiled.
 * options may be null. *first (may be null) is the number of the first; the others follow. */
EXL_API exl_status exl_labels_add(exl_session *session, const exl_new_label *labels, size_t count,
                                  const exl_add_options *options, uint32_t *first, exl_error *error);
/* Takes the labels with these ids ([count], with their lengths) out of the set. */
EXL_API exl_status exl_labels_retire(exl_bundle *bundle, const char *const *ids, const size_t *id_bytes, size_t count,
                                     exl_error *error);
/* Makes what the label file holds now the current set. Cheap when nothing has changed. */
EXL_API exl_status exl_labels_refresh(exl_bundle *bundle, exl_error *error);
/* Rewrites the label file without labels that were added and retired again, and without what was retired from overlays
 * that the bundle is not open with. Those that stay are renumbered. */
EXL_API exl_status exl_labels_compact(exl_bundle *bundle, exl_error *error);

/* ---- update a bundle ------------------------------------------------------------------------------------------- */

/* A patch makes a new bundle of an old one. It is a file that `edgexl diff` writes, docs/updates.md. */

typedef struct exl_patch_options {
    size_t struct_size;
    const exl_open_options *open; /* null, or how the new bundle is opened to be tried: its engine, the allocator, which
                                     label file is carried over */
    void (*progress)(void *context, uint64_t done, uint64_t bytes); /* null, or told of the new bundle's bytes */
    void *context;
    const void *signature; /* of the patch, what minisign wrote; null = the file of patch_path and ".minisig", if it is
                              there. Looked at where open has trusted_keys: one of these must have made it */
    size_t signature_bytes;
    uint32_t signed_patch; /* 1: with trusted_keys, a patch without a signature is refused (EXL_NOT_SIGNED) */
    uint32_t reserved;     /* 0 */
} exl_patch_options;

typedef struct exl_patch_report {
    size_t struct_size;
    uint64_t new_bytes; /* of the new bundle */
    uint32_t added;     /* labels of the label file that were carried over */
    uint32_t retired;
    uint32_t dropped;  /* changes that the new bundle has already, or whose label it does not have */
    uint32_t reserved; /* 0 */
} exl_patch_report;

/* Makes the new bundle at new_path; null: in the place of the old one, and then its label file is carried over, its
 * texts encoded by the new bundle. options and report may be null.
 *
 * The new bundle is written as the path and ".update", in less than a megabyte of memory, with all hashes checked. It
 * is then opened and has to reproduce its goldens (not with EXL_OPEN_NO_ENGINE), which takes what a session takes; only
 * then it is renamed. Whatever fails, and wherever the process is killed, the path holds the old bundle or the new one.
 * With EXL_NOT_DURABLE it is the new one. A bundle that is open stays the old one until it is closed; on Windows it
 * must be closed. EXL_OPEN_COMPILED leaves the label file where it is, of no use to the new bundle. */
EXL_API exl_status exl_patch(const char *old_path, const char *patch_path, const char *new_path,
                             const exl_patch_options *options, exl_patch_report *report, exl_error *error);

typedef struct exl_patch_info {
    size_t struct_size;
    uint64_t patch_bytes;
    uint64_t old_bytes;
    uint64_t new_bytes; /* of the new bundle */
} exl_patch_info;

/* What a patch's first 160 bytes, or more of it, say. */
EXL_API exl_status exl_patch_get_info(const void *patch, size_t patch_bytes, exl_patch_info *info, exl_error *error);
/* Whether one of trust's trusted_keys has signed the patch whose first 160 bytes, or more, these are, and so all of it:
 * else as exl_bundle_open says of a bundle. The signature is that of the options. A patch has no version: that of the
 * bundle which it makes counts. */
EXL_API exl_status exl_patch_verify(const void *patch, size_t patch_bytes, const exl_open_options *trust,
                                    exl_error *error);
/* The same as exl_patch from memory to memory: made has room for exl_patch_info.new_bytes. The caller opens what was
 * made, and runs its goldens. allocator may be null. */
EXL_API exl_status exl_patch_memory(const void *old, size_t old_bytes, const void *patch, size_t patch_bytes,
                                    void *made, size_t made_bytes, const exl_allocator *allocator, exl_error *error);

/* ---- close ----------------------------------------------------------------------------------------------------- */

/* Null is allowed by both. A bundle's sessions must be closed before it. */
EXL_API void exl_session_close(exl_session *session);
EXL_API void exl_bundle_close(exl_bundle *bundle);

#ifdef __cplusplus
}
#endif
#endif
