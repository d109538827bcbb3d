/* screening.c: from a text to the shortlist: tokenize, encode, scan, match, rescore. */
#include "compiler.h"

#include "stages.h"

#include <string.h>

#include "rescore.h"

/* ---- text ------------------------------------------------------------------------------------------------------ */

/* The first tokens of a text, special ones among them; whether there are more. */
static int screening_tokenize(const exl_session *s, const char *text, size_t bytes, int32_t *tokens, uint32_t *count) {
    const exl__tokenizer *tokenizer = &s->bundle->tokenizer;
    size_t most = s->bundle->parameters.max_tokens;
    size_t found = exl__tokenize(tokenizer, text, bytes, s->text_role, tokens, most + 1);

    *count = (uint32_t)(found > most ? most : found);
    if (found > most)
        exl__cut_tokens(tokenizer, tokens, most);
    return found > most;
}

/* Whether a text has a token of its own, besides special ones and its prompt's. */
static int screening_has_token(const exl_session *s, const char *text, size_t bytes) {
    int32_t first;
    return exl__tokenize(&s->bundle->tokenizer, text, bytes, EXL__AS_PIECES, &first, 1) > 0;
}

/* Tokens of the window that is read become the screener's input. */
static void screening_take_tokens(exl_session *s, const int32_t *tokens, uint32_t count) {
    for (uint32_t t = 0; t < count; t++)
        s->input_ids[t] = tokens[t];
    s->token_count = count;
}

exl_status exl__stage_tokenize(exl_session *s, exl_error *error) {
    if (!s->text && s->text_bytes > 0)
        return exl__fail(error, EXL_BAD_ARGUMENT, "the text is null");
    if (!exl__utf8_valid(s->text, s->text_bytes))
        return exl__fail(error, EXL_INVALID_UTF8, "the text is not valid UTF-8");
    s->truncated = (uint32_t)screening_tokenize(s, s->text, s->text_bytes, s->tokens, &s->text_tokens);
    if (!screening_has_token(s, s->text, s->text_bytes))
        return exl__fail(error, EXL_EMPTY_TEXT, "the text holds no token");
    s->windows = (exl__windows){.count = 1};
    if (s->truncated && s->most_windows > 1) {
        exl__find_windows(&s->windows, s->text, s->text_bytes, s->most_windows);
        s->truncated = s->windows.cut != 0;
        s->merged.count = 0;
    }
    s->window_count = 1;
    s->window_numbers[0] = 0;
    exl__turn_to_window(s, 0);
    return EXL_OK;
}

void exl__turn_to_window(exl_session *s, uint32_t place) {
    uint32_t number = s->window_numbers[place], count = s->text_tokens;
    size_t end;

    s->query_vector = s->query_vectors + (size_t)place * s->bundle->parameters.dims;
    s->window_text = s->text;
    s->window_bytes = s->text_bytes;
    if (number > 0) {
        size_t begin;
        exl__window_bytes(&s->windows, number, &begin, &end);
        s->window_text = s->text + begin;
        s->window_bytes = end - begin;
        (void)screening_tokenize(s, s->window_text, s->window_bytes, s->window_tokens, &count);
    }
    screening_take_tokens(s, number > 0 ? s->window_tokens : s->tokens, count);
}

int exl__read_window(exl_session *s, uint32_t number) {
    s->window_numbers[s->window_count] = number;
    exl__turn_to_window(s, s->window_count);
    if (!screening_has_token(s, s->window_text, s->window_bytes))
        return 0;
    s->window_count++;
    return 1;
}

/* ---- vectors --------------------------------------------------------------------------------------------------- */

void exl__call_screener(const exl_session *s, exl__call *call) {
    const exl__parameters *p = &s->bundle->parameters;

    exl__session_take_inputs(s, p->screener_inputs, call);
    call->outputs[0] = exl__session_input(s, EXL__QUERY_VECTOR);
    call->outputs[1] = exl__session_input(s, EXL__TOKEN_STATES);
    call->output_count = p->state_dims > 0 ? 2 : 1;
}

exl_status exl__end_encode(const exl_session *s, exl_error *error) {
    if (!exl__all_finite(s->query_vector, s->bundle->parameters.dims))
        return exl__fail(error, EXL_ENGINE_FAILED, "the screener gives a query vector that is not finite");
    return EXL_OK;
}

exl_status exl__stage_encode(exl_session *s, exl_error *error) {
    exl__call call;
    exl_status status;

    exl__call_screener(s, &call);
    status = exl__session_run_graph(s, s->bundle->screener, &call, error);
    return status == EXL_OK ? exl__end_encode(s, error) : status;
}

exl_status exl__encode_text(exl_session *s, const char *text, size_t text_bytes, exl_error *error) {
    exl_status status = exl__check_deferred(s->bundle, error);

    s->text = text;
    s->text_bytes = text_bytes;
    s->text_role = EXL__AS_LABEL;
    s->most_windows = 1;
    if (status == EXL_OK)
        status = exl__stage_tokenize(s, error);
    return status == EXL_OK ? exl__stage_encode(s, error) : status;
}

/* Live rows behind the bundle's: as one scan over both, for of equal scores the lower row comes first. */
static void screening_append_live_rows(exl_session *s, uint32_t found) {
    uint32_t keep = s->bundle->parameters.overfetch, compiled = 0, live = 0;

    while (compiled + live < keep && (compiled < s->row_count || live < found)) {
        if (live == found || (compiled < s->row_count && s->scan_scores[compiled] >= s->live_scores[live]))
            compiled++;
        else
            live++;
    }
    for (uint32_t i = 0; i < live; i++)
        s->rows[compiled + i] = s->bundle->parameters.rows + s->live_rows[i];
    s->row_count = compiled + live;
    s->live_row_count = live;
}

exl__scan_codes exl__compiled_codes(const exl_session *s) {
    const exl__parameters *p = &s->bundle->parameters;
    exl__scan_codes codes = {s->bundle->isa, p->rows, p->subspaces, s->bundle->sections[EXL__COARSE_CODES].bytes,
                             s->live ? s->live->dead_places : NULL};
    return codes;
}

exl__scan_query exl__begin_scan(exl_session *s) {
    const exl__parameters *p = &s->bundle->parameters;
    exl__scan_query query = {s->tables, s->scan_scratch, s->rows, s->scan_scores, 0};

    exl__scan_tables(s->query_vector, (const float *)(const void *)s->bundle->sections[EXL__CODEBOOK].bytes,
                     p->subspaces, p->subspace_dims, s->tables);
    return query;
}

void exl__end_scan(exl_session *s, uint32_t found) {
    const exl__parameters *p = &s->bundle->parameters;

    s->row_count = found;
    s->live_row_count = 0;
    if (s->live && s->live->rows > 0) {
        exl__scan_codes codes = {s->bundle->isa, s->live->rows, p->subspaces, s->live->coarse, NULL};
        exl__scan_query query = {s->tables, s->scan_scratch, s->live_rows, s->live_scores, 0};
        screening_append_live_rows(s, exl__scan(&codes, NULL, 0, p->overfetch, &query));
    }
}

exl_status exl__stage_scan(exl_session *s, exl_error *error) {
    const exl_bundle *bundle = s->bundle;
    const exl__parameters *p = &bundle->parameters;
    exl__scan_codes codes = exl__compiled_codes(s);
    exl__scan_query query = exl__begin_scan(s);
    const exl__scan_range *ranges = NULL; /* all */
    uint32_t range_count = 0, found;

    if (bundle->cells.count > 0) {
        range_count = exl__cells_probe(bundle->isa, &bundle->cells, p->rows, s->query_vector, &s->cells_scratch);
        ranges = s->cells_scratch.ranges;
    }
    found = s->crew ? exl__scan_crew_run(s->crew, &codes, &query)
                    : exl__scan(&codes, ranges, range_count, p->overfetch, &query);
    if (bundle->cells.count > 0 && !exl__cells_rows(&bundle->cells, p->rows, s->rows, found))
        return exl__fail(error, EXL_BUNDLE_CORRUPT, "the cells name a row that is not there: copy the bundle again");
    exl__end_scan(s, found);
    return EXL_OK;
}

/* The place of a row among those that the lexical side found, or of the empty slot where it would be. */
static uint32_t *screening_lexical_slot(const exl_session *s, uint32_t row) {
    uint32_t mask = s->lexical_slot_count - 1, slot = exl__spread(row) & mask;

    while (s->lexical_slots[slot] != 0 && s->lexical_rows[s->lexical_slots[slot] - 1] != row)
        slot = (slot + 1) & mask;
    return &s->lexical_slots[slot];
}

/* Rows that share words with the text and that the scan has not found: those of the bundle behind its rows, those that
 * were added behind all. */
exl_status exl__stage_match(exl_session *s, exl_error *error) {
    const exl_bundle *bundle = s->bundle;
    uint32_t found, added = 0, compiled = s->row_count - s->live_row_count;
    exl__lexical_changes changes = {NULL, NULL};

    (void)error; /* nothing can go wrong */
    if (bundle->parameters.lexical_candidates == 0)
        return EXL_OK;
    if (s->live)
        changes = (exl__lexical_changes){s->live->words.rows > 0 ? &s->live->words : NULL, s->live->dead};
    found = exl__lexical_query(&bundle->lexical, changes, s->window_text, s->window_bytes, &s->lexical_scratch,
                               s->lexical_rows, s->lexical_scores);
    memset(s->lexical_slots, 0, s->lexical_slot_count * sizeof *s->lexical_slots);
    for (uint32_t i = 0; i < found; i++)
        *screening_lexical_slot(s, s->lexical_rows[i]) = i + 1;
    for (uint32_t i = 0; i < s->row_count; i++) {
        uint32_t place = *screening_lexical_slot(s, s->rows[i]);
        if (place != 0)
            s->lexical_scores[place - 1] = -1; /* it is a candidate already */
    }
    for (uint32_t i = 0; i < found; i++) {
        uint32_t row = s->lexical_rows[i];
        if (s->lexical_scores[i] < 0)
            continue;
        if (row < bundle->parameters.rows)
            s->lexical_rows[added++] = row;
        else {
            s->live_rows[s->live_row_count++] = row - bundle->parameters.rows;
            s->rows[s->row_count++] = row;
        }
    }
    memmove(s->rows + compiled + added, s->rows + compiled, s->live_row_count * sizeof *s->rows);
    memcpy(s->rows + compiled, s->lexical_rows, added * sizeof *s->rows);
    s->row_count += added;
    return EXL_OK;
}

/* ---- labels ---------------------------------------------------------------------------------------------------- */

/* `count` windows of the text from one on, which are encoded. */
static exl__label_query screening_query_of(const exl_session *s, uint32_t from, uint32_t count) {
    return (exl__label_query){s->bundle,
                              s->live,
                              s->query_codes + (size_t)from * s->bundle->parameters.fine_dims,
                              s->query_units + from,
                              count,
                              &s->lexical_scratch};
}

exl__label_query exl__query_of(const exl_session *s) { return screening_query_of(s, 0, s->window_count); }

exl_status exl__stage_rescore(exl_session *s, exl_error *error) {
    const exl__parameters *p = &s->bundle->parameters;
    uint32_t compiled = s->row_count - s->live_row_count, window = s->window_count - 1;
    exl__label_query query = screening_query_of(s, window, 1);

    (void)error; /* nothing can go wrong */
    s->query_units[window] = exl__quantize_query(s->query_vector, p->fine_dims, p->subspaces * p->subspace_dims,
                                                 p->fine_gain, s->query_codes + (size_t)window * p->fine_dims);
    exl__score_rows(&query, s->bundle->sections[EXL__FINE_CODES].bytes, s->rows, compiled, s->row_scores);
    if (s->live_row_count > 0)
        exl__score_rows(&query, s->live->fine, s->live_rows, s->live_row_count, s->row_scores + compiled);
    s->shortlist = exl__shortlist(&query, &s->shortlist_scratch, s->rows, s->row_scores, s->row_count,
                                  &(exl__shortlisted){s->labels, s->evidence, s->best_scores});
    if (s->windows.count > 1) {
        float best = s->shortlist > 0 ? s->best_scores[0] : 0;
        s->nearest[window] = (exl__ranked){exl__rank_key(best, window), window};
        exl__merge(&s->merged, s->labels, s->best_scores, s->evidence, s->shortlist);
    }
    return EXL_OK;
}

void exl__take_merged(exl_session *s) {
    s->shortlist = s->merged.count;
    memcpy(s->labels, s->merged.labels, s->shortlist * sizeof *s->labels);
    memcpy(s->best_scores, s->merged.scores, s->shortlist * sizeof *s->best_scores);
    memcpy(s->evidence, s->merged.evidence, (size_t)s->shortlist * EXL__EVIDENCE_COLUMNS * sizeof *s->evidence);
    exl__rank(s->nearest, s->window_count, s->window_count);
}
