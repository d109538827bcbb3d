/* session.c: the pipeline, one function a stage. SESSION_STAGES is its table of contents. */
#include "compiler.h"

#include "session.h"

#include <math.h>
#include <string.h>

#include "checked.h"
#include "lookup.h"
#include "memory.h"
#include "options.h"
#include "rescore.h"

/* ---- scratch memory ------------------------------------------------------------------------------------------ */

/* The graphs run one after the other, in the same memory. */
static uint64_t session_engine_scratch_bytes(const exl_bundle *bundle) {
    uint64_t screener = bundle->engine->scratch_bytes(bundle->screener);
    uint64_t reasoner = bundle->reasoner ? bundle->engine->scratch_bytes(bundle->reasoner) : 0;

    return screener > reasoner ? screener : reasoner;
}

static void session_carve_cells(exl__cells_scratch *scratch, const exl__cells *cells, exl__carver *from) {
    scratch->query = exl__carve(from, cells->count ? cells->dims : 0, sizeof *scratch->query);
    scratch->scores = exl__carve(from, cells->count, sizeof *scratch->scores);
    scratch->ranked = exl__carve(from, cells->count, sizeof *scratch->ranked);
    scratch->probed = exl__carve(from, cells->probes, sizeof *scratch->probed);
    scratch->ranges = exl__carve(from, cells->probes, sizeof *scratch->ranges);
}

static void session_carve_lexical(exl_session *s, exl__carver *from) {
    uint32_t most = s->bundle->parameters.lexical_candidates; /* 4096 at most */

    if (most == 0)
        return;
    for (s->lexical_slot_count = 2; s->lexical_slot_count < 2 * most;)
        s->lexical_slot_count *= 2;
    exl__lexical_scratch_carve(&s->bundle->lexical, most, from, &s->lexical_scratch);
    s->lexical_rows = exl__carve(from, most, sizeof *s->lexical_rows);
    s->lexical_scores = exl__carve(from, most, sizeof *s->lexical_scores);
    s->lexical_slots = exl__carve(from, s->lexical_slot_count, sizeof *s->lexical_slots);
}

/* Sizes come out of the file: what one of them makes too large leaves no scratch to be had. */
static void session_carve(exl_session *s, exl__carver *from) {
    const exl__parameters *p = &s->bundle->parameters;
    exl__shortlist_scratch *list = &s->shortlist_scratch;
    uint64_t N = p->shortlist, T = p->max_tokens;

    exl__shortlist_capacity(s->bundle, list);
    s->tokens = exl__carve(from, T + 1, sizeof *s->tokens);
    s->input_ids = exl__carve(from, T, sizeof *s->input_ids);
    s->attention_mask = exl__carve(from, T, sizeof *s->attention_mask);
    s->query_vector = exl__carve(from, p->dims, sizeof *s->query_vector);
    s->token_states = exl__carve(from, exl__times(T, p->state_dims), sizeof *s->token_states);
    s->tables = exl__carve(from, exl__times(p->subspaces, 16), sizeof *s->tables);
    session_carve_cells(&s->cells_scratch, &s->bundle->cells, from);
    s->scan_scratch = exl__carve(from, exl__scan_scratch_bytes(UINT32_MAX, p->subspaces, p->overfetch), 1);
    s->rows = exl__carve(from, (uint64_t)p->overfetch + p->lexical_candidates, sizeof *s->rows);
    s->scan_scores = exl__carve(from, p->overfetch, sizeof *s->scan_scores);
    s->live_rows = exl__carve(from, (uint64_t)p->overfetch + p->lexical_candidates, sizeof *s->live_rows);
    s->live_scores = exl__carve(from, p->overfetch, sizeof *s->live_scores);
    s->row_scores = exl__carve(from, (uint64_t)p->overfetch + p->lexical_candidates, sizeof *s->row_scores);
    s->query_codes = exl__carve(from, p->fine_dims, sizeof *s->query_codes);
    session_carve_lexical(s, from);
    list->slots = exl__carve(from, list->slot_count, sizeof *list->slots);
    list->candidates = exl__carve(from, list->capacity, sizeof *list->candidates);
    list->missing = exl__carve(from, list->capacity, sizeof *list->missing);
    list->missing_scores = exl__carve(from, list->capacity, sizeof *list->missing_scores);
    list->ranked = exl__carve(from, list->capacity, sizeof *list->ranked);
    s->labels = exl__carve(from, N, sizeof *s->labels);
    s->screening_scores = exl__carve(from, N * 2, sizeof *s->screening_scores);
    s->evidence = exl__carve(from, N * EXL__EVIDENCE_COLUMNS, sizeof *s->evidence);
    s->best_scores = exl__carve(from, N, sizeof *s->best_scores);
    s->label_vectors = exl__carve(from, exl__times(N, p->dims), sizeof *s->label_vectors);
    s->piece_ids = exl__carve(from, p->label_tokens, sizeof *s->piece_ids);
    s->label_tokens = exl__carve(from, exl__times(N, p->label_tokens), sizeof *s->label_tokens);
    s->texts = exl__carve(from, N, s->bundle->texts.longest_bytes + 1ull);
    s->ids = exl__carve(from, N, s->bundle->ids.longest_bytes + 1ull);
    s->logits = exl__carve(from, N, sizeof *s->logits);
    s->order = exl__carve(from, N, sizeof *s->order);
    s->predictions = exl__carve(from, N, sizeof *s->predictions);
    s->answers = exl__carve(from, N, sizeof *s->answers);
    s->engine_scratch = exl__carve(from, session_engine_scratch_bytes(s->bundle), 1);
    if (s->bundle->alias_start)
        s->seen = exl__carve(from, ((uint64_t)p->labels + 63) / 64, sizeof *s->seen);
}

exl_status exl_session_open(exl_bundle *bundle, const exl_session_options *options, exl_session **out,
                            exl_error *error) {
    exl_session_options known = {0};
    exl_session *session;
    exl__carver from = {NULL, 0};

    if (out)
        *out = NULL;
    if (!exl__begin(error, bundle && out) || exl__take_struct(&known, sizeof known, options, error) != EXL_OK)
        return EXL_BAD_ARGUMENT;
    if (known.scan_threads > EXL__SCAN_PARTS || known.reserved != 0)
        return exl__fail(error, EXL_BAD_ARGUMENT, "scan_threads is %u, at most %u are allowed, and reserved must be 0",
                         known.scan_threads, EXL__SCAN_PARTS);
    if (!bundle->engine)
        return exl__fail(error, EXL_NO_ENGINE_LOADED, "the bundle was opened without its engine");
    session = exl__allocate(&bundle->allocator, 1, sizeof *session);
    if (!session)
        return exl__fail(error, EXL_OUT_OF_MEMORY, "no memory for the session");
    session->bundle = bundle;
    session_carve(session, &from);
    session->scratch_bytes = from.used;
    session->scratch = exl__allocate_scratch(&bundle->allocator, session->scratch_bytes, 1);
    if (bundle->cells.count > 0 || !EXL__HAS_THREADS)
        known.scan_threads = 1; /* a few cells are scanned sooner than a thread wakes */
    if (session->scratch && known.scan_threads > 1)
        session->crew = exl__scan_crew_open(&bundle->allocator, known.scan_threads, bundle->parameters.rows,
                                            bundle->parameters.subspaces, bundle->parameters.overfetch);
    if (!session->scratch || (known.scan_threads > 1 && !session->crew)) {
        exl_session_close(session);
        return exl__fail(error, EXL_OUT_OF_MEMORY, "no memory for the session, or no thread for its scan");
    }
    from = (exl__carver){session->scratch, 0};
    session_carve(session, &from);
    for (uint32_t t = 0; t < bundle->parameters.max_tokens; t++)
        session->attention_mask[t] = 1; /* one text at a time: there is no padding */
    *out = session;
    return EXL_OK;
}

void exl_session_close(exl_session *session) {
    const exl_allocator *allocator;

    if (!session)
        return;
    exl__live_give(session->bundle, session->live);
    allocator = &session->bundle->allocator;
    exl__scan_crew_close(session->crew);
    exl__release(allocator, session->scratch, session->scratch_bytes, 1);
    exl__release(allocator, session, 1, sizeof *session);
}

void exl__session_refresh(exl_session *s) {
    exl__live_give(s->bundle, s->live);
    s->live = s->compiled_only ? NULL : exl__live_take(s->bundle);
}

/* ---- stages -------------------------------------------------------------------------------------------------- */

static exl_status session_tokenize(exl_session *s, exl_error *error) {
    const exl_bundle *bundle = s->bundle;
    size_t most = bundle->parameters.max_tokens, count;

    if (!s->text && s->text_bytes > 0)
        return exl__fail(error, EXL_BAD_ARGUMENT, "the text is null");
    if (!exl__utf8_valid(s->text, s->text_bytes))
        return exl__fail(error, EXL_INVALID_UTF8, "the text is not valid UTF-8");
    count = exl__tokenize(&bundle->tokenizer, s->text, s->text_bytes, 1, s->tokens, most + 1);
    s->truncated = count > most;
    if (s->truncated) {
        count = most;
        s->tokens[most - 1] = (int32_t)bundle->tokenizer.suffix_id;
    }
    if (count <= 2)
        return exl__fail(error, EXL_EMPTY_TEXT, "the text holds no token");
    for (size_t t = 0; t < count; t++)
        s->input_ids[t] = s->tokens[t];
    s->token_count = (uint32_t)count;
    return EXL_OK;
}

/* A port's numbers, of as many tokens and labels as the session holds. */
static exl__tensor session_tensor_of(const exl_session *s, exl__port port, const void *data) {
    uint64_t last = exl__coefficient(port.elements), first = last;

    if (!exl__is_constant(port.elements))
        first = exl__token_power(port.elements) ? s->token_count : s->shortlist;
    return (exl__tensor){.name = port.name,
                         .data = data,
                         .data_bytes = first * (port.rank == 3 ? last : 1) * (port.type == EXL__I64 ? 8 : 4),
                         .number = port.number,
                         .type = port.type,
                         .rank = port.rank,
                         .dims = {1, (int64_t)first, (int64_t)last}};
}

/* The graph input with this number, as the session holds it. */
static exl__tensor session_input_tensor(const exl_session *s, int input) {
    const void *const data[EXL__VOCABULARY_OF_INPUTS] = {s->input_ids,    s->attention_mask, s->token_states,
                                                         s->query_vector, s->label_vectors,  s->screening_scores,
                                                         s->label_tokens, s->evidence};

    return session_tensor_of(s, exl__input_port(&s->bundle->parameters, input), data[input]);
}

static exl_status session_run_graph(exl_session *s, const exl__graph *graph, uint32_t input_bits,
                                    const exl__tensor *outputs, size_t output_count, exl_error *error) {
    exl__tensor inputs[EXL__MAX_INPUTS];
    size_t count = 0;

    for (int input = 0; input < EXL__VOCABULARY_OF_INPUTS; input++)
        if (input_bits >> input & 1)
            inputs[count++] = session_input_tensor(s, input);
    return s->bundle->engine->run(graph, inputs, count, outputs, output_count, s->engine_scratch, error);
}

static int session_all_finite(const float *numbers, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (!isfinite(numbers[i]))
            return 0;
    return 1;
}

static exl_status session_encode(exl_session *s, exl_error *error) {
    const exl__parameters *p = &s->bundle->parameters;
    exl__tensor outputs[2] = {session_input_tensor(s, EXL__QUERY_VECTOR), session_input_tensor(s, EXL__TOKEN_STATES)};
    exl_status status =
        session_run_graph(s, s->bundle->screener, p->screener_inputs, outputs, p->state_dims > 0 ? 2 : 1, error);

    if (status == EXL_OK && !session_all_finite(s->query_vector, p->dims))
        status = exl__fail(error, EXL_ENGINE_FAILED, "the screener gives a query vector that is not finite");
    return status;
}

exl_status exl__encode_text(exl_session *s, const char *text, size_t text_bytes, exl_error *error) {
    exl_status status;

    s->text = text;
    s->text_bytes = text_bytes;
    status = session_tokenize(s, error);
    return status == EXL_OK ? session_encode(s, error) : status;
}

/* Live rows behind the bundle's: as one scan over both, for of equal scores the lower row comes first. */
static void session_append_live_rows(exl_session *s, uint32_t found) {
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

static exl_status session_scan(exl_session *s, exl_error *error) {
    const exl_bundle *bundle = s->bundle;
    const exl__parameters *p = &bundle->parameters;
    const float *codebook = (const float *)(const void *)bundle->sections[EXL__CODEBOOK].bytes;
    exl__scan_codes codes = {bundle->isa, p->rows, p->subspaces, bundle->sections[EXL__COARSE_CODES].bytes,
                             s->live ? s->live->dead_places : NULL};
    exl__scan_query query = {s->tables, s->scan_scratch, s->rows, s->scan_scores, 0};
    const exl__scan_range *ranges = NULL; /* all */
    uint32_t range_count = 0;

    if (bundle->cells.count > 0) {
        range_count = exl__cells_probe(bundle->isa, &bundle->cells, p->rows, s->query_vector, &s->cells_scratch);
        ranges = s->cells_scratch.ranges;
    }
    exl__scan_tables(s->query_vector, codebook, p->subspaces, p->subspace_dims, s->tables);
    s->row_count = s->crew ? exl__scan_crew_run(s->crew, &codes, &query)
                           : exl__scan(&codes, ranges, range_count, p->overfetch, &query);
    if (bundle->cells.count > 0 && !exl__cells_rows(&bundle->cells, p->rows, s->rows, s->row_count))
        return exl__fail(error, EXL_BUNDLE_CORRUPT, "the cells name a row that is not there: copy the bundle again");
    s->live_row_count = 0;
    if (s->live && s->live->rows > 0) {
        codes = (exl__scan_codes){bundle->isa, s->live->rows, p->subspaces, s->live->coarse, NULL};
        query = (exl__scan_query){s->tables, s->scan_scratch, s->live_rows, s->live_scores, 0};
        session_append_live_rows(s, exl__scan(&codes, NULL, 0, p->overfetch, &query));
    }
    return EXL_OK;
}

/* The place of a row among those that the lexical side found, or of the empty slot where it would be. */
static uint32_t *session_lexical_slot(const exl_session *s, uint32_t row) {
    uint32_t mask = s->lexical_slot_count - 1, slot = row * 2654435761u & mask; /* Knuth's multiplicative hash */

    while (s->lexical_slots[slot] != 0 && s->lexical_rows[s->lexical_slots[slot] - 1] != row)
        slot = (slot + 1) & mask;
    return &s->lexical_slots[slot];
}

/* Rows that share words with the text and that the scan has not found: those of the bundle behind its rows, those that
 * were added behind all. */
static exl_status session_match(exl_session *s, exl_error *error) {
    const exl_bundle *bundle = s->bundle;
    uint32_t found, added = 0, compiled = s->row_count - s->live_row_count;
    exl__lexical_changes changes = {NULL, NULL};

    (void)error; /* nothing can go wrong */
    if (bundle->parameters.lexical_candidates == 0)
        return EXL_OK;
    if (s->live)
        changes = (exl__lexical_changes){s->live->words.rows > 0 ? &s->live->words : NULL, s->live->dead};
    found = exl__lexical_query(&bundle->lexical, changes, s->text, s->text_bytes, &s->lexical_scratch, s->lexical_rows,
                               s->lexical_scores);
    memset(s->lexical_slots, 0, s->lexical_slot_count * sizeof *s->lexical_slots);
    for (uint32_t i = 0; i < found; i++)
        *session_lexical_slot(s, s->lexical_rows[i]) = i + 1;
    for (uint32_t i = 0; i < s->row_count; i++) {
        uint32_t place = *session_lexical_slot(s, s->rows[i]);
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

exl__label_query exl__query_of(const exl_session *s) {
    return (exl__label_query){s->bundle, s->live, s->query_codes, s->query_unit, &s->lexical_scratch};
}

static exl_status session_rescore(exl_session *s, exl_error *error) {
    const exl_bundle *bundle = s->bundle;
    const exl__parameters *p = &bundle->parameters;
    uint32_t compiled = s->row_count - s->live_row_count;
    exl__label_query query;

    (void)error; /* nothing can go wrong */
    s->query_unit = exl__quantize_query(s->query_vector, p->fine_dims, p->subspaces * p->subspace_dims, p->fine_gain,
                                        s->query_codes);
    exl__rescore_rows(bundle->isa, bundle->sections[EXL__FINE_CODES].bytes, s->rows, compiled, p->fine_dims,
                      p->fine_bits, s->query_codes, s->query_unit, s->row_scores);
    if (s->live_row_count > 0)
        exl__rescore_rows(bundle->isa, s->live->fine, s->live_rows, s->live_row_count, p->fine_dims, p->fine_bits,
                          s->query_codes, s->query_unit, s->row_scores + compiled);
    query = exl__query_of(s);
    s->shortlist = exl__shortlist(&query, &s->shortlist_scratch, s->rows, s->row_scores, s->row_count,
                                  &(exl__shortlisted){s->labels, s->evidence, s->best_scores});
    for (uint32_t n = 0; n < s->shortlist; n++) {
        const float *evidence = s->evidence + n * EXL__EVIDENCE_COLUMNS;
        s->screening_scores[2 * n] = evidence[EXL__BY_OWN];
        s->screening_scores[2 * n + 1] = evidence[EXL__BY_ALIAS];
    }
    return EXL_OK;
}

/* A label's id or text, NUL-terminated, into its place. */
static exl_status session_read_string(const exl__strings *strings, uint32_t label, char *place, size_t *bytes,
                                      exl_error *error) {
    exl_status status = exl__label_string(strings, label, place, strings->longest_bytes, bytes, error);

    if (status == EXL_OK)
        place[*bytes] = '\0';
    return status;
}

/* The live label of this number; null where it is one of the bundle's. */
static const exl__live_label *session_live_label(const exl_session *s, uint32_t label) {
    uint32_t compiled = s->bundle->parameters.labels;
    return label < compiled ? NULL : &s->live->labels[label - compiled];
}

exl_status exl__session_text(exl_session *s, uint32_t n, const char **text, size_t *bytes, exl_error *error) {
    const exl__live_label *live = session_live_label(s, s->labels[n]);
    char *place = s->texts + n * (s->bundle->texts.longest_bytes + (size_t)1);

    *text = live ? live->text : place;
    *bytes = live ? live->text_bytes : 0;
    return live ? EXL_OK : session_read_string(&s->bundle->texts, s->labels[n], place, bytes, error);
}

exl_status exl__session_id(exl_session *s, uint32_t i, uint32_t label, const char **id, exl_error *error) {
    const exl__live_label *live = session_live_label(s, label);
    char *place = s->ids + i * (s->bundle->ids.longest_bytes + (size_t)1);
    size_t bytes;

    *id = live ? live->id : place;
    return live ? EXL_OK : session_read_string(&s->bundle->ids, label, place, &bytes, error);
}

static exl_status session_gather_tokens(exl_session *s, uint32_t n, exl_error *error) {
    const exl_bundle *bundle = s->bundle;
    uint32_t S = bundle->parameters.label_tokens;
    int64_t *to = s->label_tokens + (size_t)n * S;
    const char *text;
    size_t bytes, count;
    exl_status status = exl__session_text(s, n, &text, &bytes, error);

    if (status != EXL_OK)
        return status;
    count = exl__tokenize(&bundle->tokenizer, text, bytes, 0, s->piece_ids, S);
    for (uint32_t i = 0; i < S; i++)
        to[i] = i < count ? s->piece_ids[i] : 0;
    return EXL_OK;
}

/* What the reasoner is to see of the shortlist; nothing that it does not take. */
static exl_status session_gather(exl_session *s, exl_error *error) {
    const exl__parameters *p = &s->bundle->parameters;
    exl_status status = EXL_OK;

    if (p->reasoner_inputs >> EXL__LABEL_VECTORS & 1)
        for (uint32_t n = 0; n < s->shortlist; n++)
            exl__decompress_row(exl__own_row(s->bundle, s->live, s->labels[n]), p->fine_dims, p->fine_bits,
                                p->subspaces * p->subspace_dims, p->fine_gain, p->dims,
                                s->label_vectors + (size_t)n * p->dims);
    for (uint32_t n = 0; n < s->shortlist && p->label_tokens > 0 && status == EXL_OK; n++)
        status = session_gather_tokens(s, n, error);
    return status;
}

static exl_status session_reason(exl_session *s, exl_error *error) {
    exl__tensor logits = session_tensor_of(s, (exl__port){"logits", EXL__F32, 2, 0, EXL__PER_LABEL | 1}, s->logits);
    const exl__parameters *p = &s->bundle->parameters;
    exl_status status = EXL_OK;

    if (!p->reasoner_inputs)
        memset(s->logits, 0, s->shortlist * sizeof *s->logits);
    else if (s->shortlist > 0) /* it is 0 when all labels are retired */
        status = session_run_graph(s, s->bundle->reasoner, p->reasoner_inputs, &logits, 1, error);
    for (uint32_t n = 0; n < s->shortlist && (p->reasoner_weight != 1 || p->screening_weight > 0); n++)
        s->logits[n] = p->reasoner_weight * s->logits[n] + p->screening_weight * s->best_scores[n];
    if (status == EXL_OK && !session_all_finite(s->logits, s->shortlist))
        status = exl__fail(error, EXL_ENGINE_FAILED, "the reasoner gives a logit that is not finite");
    return status;
}

/* log sum exp of the shortlist's logits, for calibrations that look at the logit's lead over the others; with
 * EXL__BY_LEAD_OR_NONE, "none of these" is one of them, at 0. */
static double session_log_normaliser(const exl_session *s) {
    float largest = s->logits[0];
    double sum = 0;

    for (uint32_t n = 1; n < s->shortlist; n++)
        largest = s->logits[n] > largest ? s->logits[n] : largest;
    for (uint32_t n = 0; n < s->shortlist; n++)
        sum += exp((double)s->logits[n] - largest);
    if (s->bundle->calibration.input == EXL__BY_LEAD_OR_NONE)
        sum += exp(-(double)largest);
    return largest + log(sum);
}

float exl__session_score(const exl_session *s, float logit) { return logit - (float)s->log_normaliser; }

float exl__probability(const exl_session *s, float logit) {
    const exl__calibration *c = &s->bundle->calibration;
    float x = exl__session_score(s, logit);
    uint32_t low = 0, high = c->knots - 1;

    if (x <= c->x[0])
        return c->p[0];
    if (x >= c->x[high])
        return c->p[high];
    while (high - low > 1) { /* x[low] <= x < x[high] */
        uint32_t middle = (low + high) / 2;
        if (c->x[middle] <= x)
            low = middle;
        else
            high = middle;
    }
    return (float)(c->p[low] +
                   ((double)c->p[high] - c->p[low]) * ((double)x - c->x[low]) / ((double)c->x[high] - c->x[low]));
}

static exl_status session_calibrate(exl_session *s, exl_error *error) {
    (void)error;
    s->log_normaliser =
        s->bundle->calibration.input != EXL__BY_LOGIT && s->shortlist > 0 ? session_log_normaliser(s) : 0;
    for (uint32_t n = 0; n < s->shortlist; n++) {
        s->order[n].key = exl__rank_key(s->logits[n], n);
        s->order[n].index = n;
    }
    exl__rank(s->order, s->shortlist, s->shortlist);
    return EXL_OK;
}

/* ---- the pipeline -------------------------------------------------------------------------------------------- */

/* In the order in which they run; exl_result has their times by their number. */
static const struct {
    exl_stage number;
    exl_status (*run)(exl_session *s, exl_error *error);
} SESSION_STAGES[] = {
    {EXL_STAGE_TOKENIZE, session_tokenize}, {EXL_STAGE_ENCODE, session_encode},
    {EXL_STAGE_SCAN, session_scan},         {EXL_STAGE_MATCH, session_match},
    {EXL_STAGE_RESCORE, session_rescore},   {EXL_STAGE_GATHER, session_gather},
    {EXL_STAGE_REASON, session_reason},     {EXL_STAGE_CALIBRATE, session_calibrate},
};

#define SESSION_STAGE_NAME(NAME, name) name,
static const char *const SESSION_STAGE_NAMES[] = {EXL_STAGES(SESSION_STAGE_NAME)};

exl_status exl__run_stages(exl_session *s, const char *text, size_t text_bytes, exl_error *error) {
    double start = exl__now_ms(), end = start;
    exl_status status = EXL_OK;

    memset(&s->result, 0, sizeof s->result);
    exl__session_refresh(s);
    s->text = text;
    s->text_bytes = text_bytes;
    for (size_t i = 0; i < sizeof SESSION_STAGES / sizeof *SESSION_STAGES && status == EXL_OK; i++) {
        double begin = end;
        status = SESSION_STAGES[i].run(s, error);
        end = exl__now_ms();
        s->stage_ms[SESSION_STAGES[i].number] = end - begin;
    }
    s->result.total_ms = end - start;
    s->result.stage_count = EXL_STAGE_COUNT;
    s->result.stage_names = SESSION_STAGE_NAMES;
    s->result.stage_ms = s->stage_ms;
    return status;
}
