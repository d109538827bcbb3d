/* session.h: a session: one thread's scratch memory, all of it one allocation made when the session opens. */
#ifndef EXL_SESSION_H
#define EXL_SESSION_H

#include "bundle.h"
#include "scan_crew.h"
#include "shortlist.h"
#include "windows.h"

/* One of the texts that exl_predict_batch answers together, and the session that does. */
typedef struct exl__lane {
    exl_session *session;
    exl__call call; /* of the graph that is run */
    exl_status status;
    exl_error error;
} exl__lane;

struct exl_session {
    const exl_bundle *bundle;
    void *scratch; /* holds all arrays below */
    uint64_t scratch_bytes;
    void *engine_scratch;
    const exl__live *live;  /* the labels added and retired when the last prediction began, or null; held */
    uint32_t compiled_only; /* nonzero: predict as if there were no such labels */
    uint32_t takes_times;   /* nonzero: of each operation, too */
    uint32_t batch;         /* texts that are answered together */
    exl__lane *lanes;       /* [batch]: of this session and of those that it keeps for it; null where batch is 1 */
    uint32_t screener_operations, cost_count;
    exl__operation_cost *costs; /* [cost_count]: the screener's, then the reasoner's, of the last prediction; or null */

    /* text */
    const char *text; /* of the call under way */
    size_t text_bytes;
    int32_t *tokens; /* [T + 1]: one more, to see whether the text goes on */
    exl__text_role text_role;
    uint32_t text_tokens; /* special ones included */
    uint32_t truncated;
    uint32_t most_windows;    /* that the call takes */
    exl__windows windows;     /* of the text */
    uint32_t window_count;    /* those of them that were read: the others hold no token. W at most */
    uint32_t *window_numbers; /* [W]: which these are */

    /* the window that is read */
    const char *window_text;
    size_t window_bytes;
    int32_t *window_tokens;  /* [T + 1] */
    int64_t *input_ids;      /* [T] */
    int64_t *attention_mask; /* [T] */
    uint32_t token_count;
    float *query_vector; /* [dims], its own of query_vectors */
    float *token_states; /* [T][state_dims] */

    /* screening */
    float *query_vectors; /* [W][dims] */
    exl__merged merged;   /* shortlists, of several windows */
    exl__ranked *nearest; /* [W]: the windows, by their best screening score */
    uint32_t judged;      /* windows that the reasoner has seen */
    float *more_logits;   /* [N]: of a further one of them */
    uint8_t *tables;      /* [subspaces][16] */
    exl__cells_scratch cells_scratch;
    void *scan_scratch;
    exl__scan_crew *crew; /* null: the caller scans alone */
    uint32_t *rows; /* [overfetch + lexical_candidates]: of the bundle, then live ones: the bundle's number of rows + a
                       live row */
    uint16_t *scan_scores; /* [overfetch] */
    uint32_t *live_rows;   /* [overfetch + lexical_candidates] */
    uint16_t *live_scores; /* [overfetch] */
    float *row_scores;     /* [overfetch + lexical_candidates] */
    int16_t *query_codes;  /* [W][fine_dims] */
    float *query_units;    /* [W] */
    exl__lexical_scratch lexical_scratch;
    uint32_t *lexical_rows;  /* [lexical_candidates] */
    float *lexical_scores;   /* [lexical_candidates] */
    uint32_t *lexical_slots; /* [lexical_slot_count], a power of two: where such a row is, + 1, or 0 */
    uint32_t lexical_slot_count;
    uint32_t row_count;
    uint32_t live_row_count; /* the last so many of rows are live */
    exl__shortlist_scratch shortlist_scratch;

    /* shortlist of N labels */
    uint32_t shortlist;
    uint32_t *labels;        /* [N] */
    float *screening_scores; /* [N][2] */
    float *evidence;         /* [N][EXL__EVIDENCE_COLUMNS] */
    float *best_scores;      /* [N]: the screening scores, by which the shortlist is in order */
    float *label_vectors;    /* [N][dims] */
    int32_t *piece_ids;      /* [label_tokens] */
    int64_t *label_tokens;   /* [N][label_tokens] */
    char *texts;             /* [N][longest text + 1] */
    char *ids;               /* [N][longest id + 1] */
    float *logits;           /* [N] */
    exl__ranked *order;      /* [N], by logit */
    double log_normaliser;   /* what the calibration takes off a logit */

    exl_prediction *predictions;    /* [N] */
    const exl_prediction **answers; /* [N]: where they lie */
    double stage_ms[EXL_STAGE_COUNT];
    exl_result result;
    uint64_t *seen; /* explain: one bit a label of the bundle; null without aliases */
};

/* Lets go of the set of live labels that the session holds, and takes the bundle's current one. */
void exl__session_refresh(exl_session *session);
/* Tokens and query vector of a text's first window. */
exl_status exl__encode_text(exl_session *session, const char *text, size_t text_bytes, exl_error *error);

/* All stages of a text, read in at most so many windows (0: as many as the bundle says); session->order and logits hold
 * the answer. */
exl_status exl__run_stages(exl_session *session, const char *text, size_t text_bytes, uint32_t windows,
                           exl_error *error);
/* The same for up to `batch` texts, each of which has its own lane's status and error; where that is EXL_OK, its
 * session holds the answer. exl__end_together when they are read. */
void exl__run_together(exl_session *session, const char *const *texts, const size_t *text_bytes, uint32_t count,
                       uint32_t windows);
void exl__end_together(exl_session *session);
/* The text that was just encoded, as a query on the labels that the session holds. */
exl__label_query exl__query_of(const exl_session *session);
/* The text of the n-th of the shortlist, and the id of a label of it, which is the i-th to be asked for: in the
 * session's memory or in that of the live labels that it holds. */
exl_status exl__session_text(exl_session *session, uint32_t n, const char **text, size_t *bytes, exl_error *error);
exl_status exl__session_id(exl_session *session, uint32_t i, uint32_t label, const char **id, exl_error *error);
/* What turns logits into probabilities: the bundle's own where it answers as it was compiled. */
const exl__calibration *exl__session_calibration(const exl_session *session);
/* What the calibration sees of a logit. */
float exl__session_score(const exl_session *session, float logit);
/* Calibrated, of a logit of the shortlist that was just run. */
float exl__probability(const exl_session *session, float logit);

#endif
