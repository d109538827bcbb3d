/* session.c: a session's memory, and the pipeline: SESSION_STAGES is its table of contents. */
#include "compiler.h"

#include "stages.h"

#include <math.h>
#include <string.h>

#include "checked.h"
#include "memory.h"
#include "options.h"

/* ---- scratch memory ------------------------------------------------------------------------------------------ */

/* The graphs run one after the other, in the same memory. */
static uint64_t session_engine_scratch_bytes(const exl_bundle *bundle) {
    uint64_t screener = bundle->engine->scratch_bytes(bundle->screener);
    uint64_t reasoner = bundle->reasoner ? bundle->engine->scratch_bytes(bundle->reasoner) : 0;

    return screener > reasoner ? screener : reasoner;
}

/* Of both graphs, for a session that takes their times. */
static void session_carve_costs(exl_session *s, exl__carver *from) {
    const exl_bundle *bundle = s->bundle;

    s->screener_operations = bundle->engine->operation_count(bundle->screener);
    s->cost_count = s->screener_operations + (bundle->reasoner ? bundle->engine->operation_count(bundle->reasoner) : 0);
    s->costs = exl__carve(from, s->cost_count, sizeof *s->costs);
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
    uint64_t N = p->shortlist, T = p->max_tokens, W = exl__most_windows(s->bundle);

    exl__shortlist_capacity(s->bundle, list);
    s->tokens = exl__carve(from, T + 1, sizeof *s->tokens);
    s->window_tokens = exl__carve(from, T + 1, sizeof *s->window_tokens);
    s->window_numbers = exl__carve(from, W, sizeof *s->window_numbers);
    s->input_ids = exl__carve(from, T, sizeof *s->input_ids);
    s->attention_mask = exl__carve(from, T, sizeof *s->attention_mask);
    s->query_vectors = exl__carve(from, W * p->dims, sizeof *s->query_vectors);
    s->token_states = exl__carve(from, exl__times(T, p->state_dims), sizeof *s->token_states);
    s->tables = exl__carve(from, exl__times(p->subspaces, 16), sizeof *s->tables);
    session_carve_cells(&s->cells_scratch, &s->bundle->cells, from);
    s->scan_scratch = exl__carve(from, exl__scan_scratch_bytes(UINT32_MAX, p->subspaces, p->overfetch), 1);
    s->rows = exl__carve(from, (uint64_t)p->overfetch + p->lexical_candidates, sizeof *s->rows);
    s->scan_scores = exl__carve(from, p->overfetch, sizeof *s->scan_scores);
    s->live_rows = exl__carve(from, (uint64_t)p->overfetch + p->lexical_candidates, sizeof *s->live_rows);
    s->live_scores = exl__carve(from, p->overfetch, sizeof *s->live_scores);
    s->row_scores = exl__carve(from, (uint64_t)p->overfetch + p->lexical_candidates, sizeof *s->row_scores);
    s->query_codes = exl__carve(from, W * p->fine_dims, sizeof *s->query_codes);
    s->query_units = exl__carve(from, W, sizeof *s->query_units);
    if (W > 1) {
        exl__merged_carve(&s->merged, p->shortlist, from);
        s->nearest = exl__carve(from, W, sizeof *s->nearest);
        s->more_logits = exl__carve(from, N, sizeof *s->more_logits);
    }
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
    if (s->takes_times)
        session_carve_costs(s, from);
    if (s->bundle->alias_start)
        s->seen = exl__carve(from, ((uint64_t)p->labels + 63) / 64, sizeof *s->seen);
}

/* One with its memory, without threads and lanes; null: there is none to be had. */
static exl_session *session_make(const exl_bundle *bundle, uint32_t takes_times) {
    exl_session *session = exl__allocate(&bundle->allocator, 1, sizeof *session);
    exl__carver from = {NULL, 0};

    if (!session)
        return NULL;
    session->bundle = bundle;
    session->batch = 1;
    session->takes_times = takes_times;
    session_carve(session, &from);
    session->scratch_bytes = from.used;
    session->scratch = exl__allocate_scratch(&bundle->allocator, session->scratch_bytes, 1);
    if (!session->scratch) {
        exl_session_close(session);
        return NULL;
    }
    from = (exl__carver){session->scratch, 0};
    session_carve(session, &from);
    for (uint32_t t = 0; t < bundle->parameters.max_tokens; t++)
        session->attention_mask[t] = 1; /* a text has its own lengths: there is no padding */
    return session;
}

/* A session for each text that is answered together with others; all of them scan by this one's threads. */
static int session_make_lanes(exl_session *session, uint32_t batch) {
    session->lanes = exl__allocate(&session->bundle->allocator, batch, sizeof *session->lanes);
    if (!session->lanes)
        return 0;
    session->batch = batch;
    session->lanes[0].session = session;
    for (uint32_t i = 1; i < batch; i++) {
        session->lanes[i].session = session_make(session->bundle, 0);
        if (!session->lanes[i].session)
            return 0;
        session->lanes[i].session->crew = session->crew;
    }
    return 1;
}

exl_status exl_session_open(exl_bundle *bundle, const exl_session_options *options, exl_session **out,
                            exl_error *error) {
    exl_session_options known = {0};
    exl_session *session;

    if (out)
        *out = NULL;
    if (!exl__begin(error, bundle && out) || exl__take_struct(&known, sizeof known, options, error) != EXL_OK)
        return EXL_BAD_ARGUMENT;
    if (known.scan_threads > EXL__SCAN_PARTS || known.operation_times > 1)
        return exl__fail(error, EXL_BAD_ARGUMENT,
                         "scan_threads is %u, at most %u are allowed, and operation_times must be 0 or 1",
                         known.scan_threads, EXL__SCAN_PARTS);
    if (known.batch > EXL__MOST_TOGETHER || known.reserved != 0)
        return exl__fail(error, EXL_BAD_ARGUMENT, "batch is %u, at most %u are allowed, and reserved must be 0",
                         known.batch, EXL__MOST_TOGETHER);
    if (!bundle->engine)
        return exl__fail(error, EXL_NO_ENGINE_LOADED, "the bundle was opened without its engine");
    if (known.operation_times && bundle->engine->operation_count(bundle->screener) == 0)
        return exl__fail(error, EXL_NOT_SUPPORTED, "the engine %s does not tell its operations' times",
                         bundle->engine->name);
    session = session_make(bundle, known.operation_times);
    if (!session)
        return exl__fail(error, EXL_OUT_OF_MEMORY, "no memory for the session");
    if (bundle->cells.count > 0 || !EXL__HAS_THREADS)
        known.scan_threads = 1; /* a few cells are scanned sooner than a thread wakes */
    if (known.scan_threads > 1)
        session->crew = exl__scan_crew_open(&bundle->allocator, known.scan_threads, bundle->parameters.rows,
                                            bundle->parameters.subspaces, bundle->parameters.overfetch);
    if ((known.scan_threads > 1 && !session->crew) ||
        (known.batch > 1 && !known.operation_times && !session_make_lanes(session, known.batch))) {
        exl_session_close(session);
        return exl__fail(error, EXL_OUT_OF_MEMORY, "no memory for the session, or no thread for its scan");
    }
    *out = session;
    return EXL_OK;
}

void exl_session_close(exl_session *session) {
    const exl_allocator *allocator;

    if (!session)
        return;
    for (uint32_t i = 1; i < session->batch; i++)
        if (session->lanes[i].session) {
            session->lanes[i].session->crew = NULL;
            exl_session_close(session->lanes[i].session);
        }
    exl__live_give(session->bundle, session->live);
    allocator = &session->bundle->allocator;
    exl__release(allocator, session->lanes, session->batch, sizeof *session->lanes);
    exl__scan_crew_close(session->crew);
    exl__release(allocator, session->scratch, session->scratch_bytes, 1);
    exl__release(allocator, session, 1, sizeof *session);
}

void exl__session_refresh(exl_session *s) {
    exl__live_give(s->bundle, s->live);
    s->live = s->compiled_only ? NULL : exl__live_take(s->bundle);
}

/* ---- graphs --------------------------------------------------------------------------------------------------- */

/* A port's numbers, of as many tokens and labels as the session holds. */
exl__tensor exl__session_tensor(const exl_session *s, exl__port port, const void *data) {
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
exl__tensor exl__session_input(const exl_session *s, int input) {
    const void *const data[EXL__VOCABULARY_OF_INPUTS] = {s->input_ids,    s->attention_mask, s->token_states,
                                                         s->query_vector, s->label_vectors,  s->screening_scores,
                                                         s->label_tokens, s->evidence};

    return exl__session_tensor(s, exl__input_port(&s->bundle->parameters, input), data[input]);
}

void exl__session_take_inputs(const exl_session *s, uint32_t input_bits, exl__call *call) {
    call->input_count = call->output_count = 0;
    call->scratch = s->engine_scratch;
    for (int input = 0; input < EXL__VOCABULARY_OF_INPUTS; input++)
        if (input_bits >> input & 1)
            call->inputs[call->input_count++] = exl__session_input(s, input);
}

exl_status exl__session_run_graph(exl_session *s, const exl__graph *graph, const exl__call *call, exl_error *error) {
    exl__operation_cost *costs = s->costs;

    if (costs && graph == s->bundle->reasoner)
        costs += s->screener_operations;
    return s->bundle->engine->run(graph, call->inputs, call->input_count, call->outputs, call->output_count,
                                  call->scratch, costs, error);
}

int exl__all_finite(const float *numbers, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (!isfinite(numbers[i]))
            return 0;
    return 1;
}

/* ---- the pipeline -------------------------------------------------------------------------------------------- */

/* By their number, in the order in which they run: ENCODE to RESCORE once a window, ENCODE and REASON once more for
 * each that is judged. exl_result has their times. */
static exl_status (*const SESSION_STAGES[EXL_STAGE_COUNT])(exl_session *s, exl_error *error) = {
    [EXL_STAGE_TOKENIZE] = exl__stage_tokenize, [EXL_STAGE_ENCODE] = exl__stage_encode,
    [EXL_STAGE_SCAN] = exl__stage_scan,         [EXL_STAGE_MATCH] = exl__stage_match,
    [EXL_STAGE_RESCORE] = exl__stage_rescore,   [EXL_STAGE_GATHER] = exl__stage_gather,
    [EXL_STAGE_REASON] = exl__stage_reason,     [EXL_STAGE_CALIBRATE] = exl__stage_calibrate,
};

#define SESSION_STAGE_NAME(NAME, name) name,
static const char *const SESSION_STAGE_NAMES[] = {EXL_STAGES(SESSION_STAGE_NAME)};

/* Runs a stage; *clock_ms is when the last one ended, and then when this one does. */
static exl_status session_run(exl_session *s, exl_stage stage, double *clock_ms, exl_error *error) {
    double begin = *clock_ms;
    exl_status status = SESSION_STAGES[stage](s, error);

    *clock_ms = exl__now_ms();
    s->stage_ms[stage] += *clock_ms - begin;
    return status;
}

static exl_status session_screen_window(exl_session *s, double *clock_ms, exl_error *error) {
    static const exl_stage stages[] = {EXL_STAGE_ENCODE, EXL_STAGE_SCAN, EXL_STAGE_MATCH, EXL_STAGE_RESCORE};
    exl_status status = EXL_OK;

    for (size_t i = 0; i < sizeof stages / sizeof *stages && status == EXL_OK; i++)
        status = session_run(s, stages[i], clock_ms, error);
    return status;
}

/* The shortlist of all windows. */
static exl_status session_screen(exl_session *s, double *clock_ms, exl_error *error) {
    exl_status status = session_run(s, EXL_STAGE_TOKENIZE, clock_ms, error);

    if (status == EXL_OK)
        status = session_screen_window(s, clock_ms, error);
    for (uint32_t window = 1; window < s->windows.count && status == EXL_OK; window++)
        if (exl__read_window(s, window))
            status = session_screen_window(s, clock_ms, error);
    if (status == EXL_OK && s->windows.count > 1)
        exl__take_merged(s);
    return status == EXL_OK ? session_run(s, EXL_STAGE_GATHER, clock_ms, error) : status;
}

/* The logits: of several windows the best are judged, and the very best last, for the result tells of its vector. */
static exl_status session_judge(exl_session *s, double *clock_ms, exl_error *error) {
    const uint32_t takes_states = s->bundle->parameters.reasoner_inputs >> EXL__TOKEN_STATES & 1;
    exl_status status = EXL_OK;

    s->judged = 0;
    for (uint32_t left = exl__judged_windows(s); left > 0 && status == EXL_OK; left--) {
        if (s->window_count > 1) {
            exl__turn_to_window(s, s->nearest[left - 1].index);
            if (takes_states)
                status = session_run(s, EXL_STAGE_ENCODE, clock_ms, error);
        }
        if (status == EXL_OK)
            status = session_run(s, EXL_STAGE_REASON, clock_ms, error);
    }
    return status == EXL_OK ? session_run(s, EXL_STAGE_CALIBRATE, clock_ms, error) : status;
}

exl_status exl__begin_text(exl_session *s, const char *text, size_t text_bytes, uint32_t windows, exl_error *error) {
    memset(&s->result, 0, sizeof s->result);
    memset(s->stage_ms, 0, sizeof s->stage_ms);
    if (s->costs)
        memset(s->costs, 0, s->cost_count * sizeof *s->costs);
    exl__session_refresh(s);
    s->text = text;
    s->text_role = EXL__AS_QUERY;
    s->text_bytes = text_bytes;
    s->most_windows = windows ? windows : exl__most_windows(s->bundle);
    return exl__check_deferred(s->bundle, error);
}

void exl__end_text(exl_session *s, double total_ms) {
    s->result.total_ms = total_ms;
    s->result.stage_count = EXL_STAGE_COUNT;
    s->result.stage_names = SESSION_STAGE_NAMES;
    s->result.stage_ms = s->stage_ms;
}

exl_status exl__run_stages(exl_session *s, const char *text, size_t text_bytes, uint32_t windows, exl_error *error) {
    double start = exl__now_ms(), end = start;
    exl_status status = exl__begin_text(s, text, text_bytes, windows, error);

    if (status == EXL_OK)
        status = session_screen(s, &end, error);
    if (status == EXL_OK)
        status = session_judge(s, &end, error);
    exl__end_text(s, end - start);
    return status;
}
