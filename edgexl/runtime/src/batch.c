/* batch.c: several texts at once. What goes through a graph's weights or the coarse codes does so once for all of them;
 * the rest is done for each in turn. Every text has its own session, and so its own answer, to the bit. */
#include "compiler.h"

#include "stages.h"

#include "platform.h"

/* The lanes that go on together, and when the last stage ended. */
typedef struct batch_group {
    exl__lane *lanes[EXL__MOST_TOGETHER];
    uint32_t count;
    double clock_ms;
} batch_group;

/* A stage has ended for all: each lane has its share of the time. Those that failed are left behind. */
static void batch_end_stage(batch_group *g, exl_stage stage) {
    double begin = g->clock_ms;
    uint32_t count = 0;

    g->clock_ms = exl__now_ms();
    for (uint32_t i = 0; i < g->count; i++) {
        g->lanes[i]->session->stage_ms[stage] += (g->clock_ms - begin) / g->count;
        if (g->lanes[i]->status == EXL_OK)
            g->lanes[count++] = g->lanes[i];
    }
    g->count = count;
}

static void batch_run_stage(batch_group *g, exl_stage stage, exl_status (*run)(exl_session *, exl_error *)) {
    for (uint32_t i = 0; i < g->count; i++)
        g->lanes[i]->status = run(g->lanes[i]->session, &g->lanes[i]->error);
    batch_end_stage(g, stage);
}

/* The lanes' calls of one graph: together, or where that fails one by one, which tells whose fault it is. */
static void batch_run_graph(exl__lane *const *lanes, uint32_t count, const exl__graph *graph) {
    const exl__call *calls[EXL__MOST_TOGETHER];
    const exl__engine *engine;

    if (count == 0)
        return;
    engine = lanes[0]->session->bundle->engine;
    for (uint32_t i = 0; i < count; i++)
        calls[i] = &lanes[i]->call;
    if (count > 1 && engine->run_together && engine->run_together(graph, calls, count, NULL) == EXL_OK)
        return;
    for (uint32_t i = 0; i < count; i++)
        lanes[i]->status = exl__session_run_graph(lanes[i]->session, graph, &lanes[i]->call, &lanes[i]->error);
}

static void batch_encode(batch_group *g) {
    for (uint32_t i = 0; i < g->count; i++)
        exl__call_screener(g->lanes[i]->session, &g->lanes[i]->call);
    batch_run_graph(g->lanes, g->count, g->count ? g->lanes[0]->session->bundle->screener : NULL);
    for (uint32_t i = 0; i < g->count; i++)
        if (g->lanes[i]->status == EXL_OK)
            g->lanes[i]->status = exl__end_encode(g->lanes[i]->session, &g->lanes[i]->error);
    batch_end_stage(g, EXL_STAGE_ENCODE);
}

/* Whether one pass over the codes serves all: of a few cells each query has its own, threads share one query's rows,
 * and another thread may have changed the labels between two texts. */
static int batch_scans_together(const batch_group *g) {
    const exl_session *first = g->count > 1 ? g->lanes[0]->session : NULL;

    if (!first || first->bundle->cells.count > 0 || first->crew)
        return 0;
    for (uint32_t i = 1; i < g->count; i++)
        if (g->lanes[i]->session->live != first->live)
            return 0;
    return 1;
}

static void batch_scan(batch_group *g) {
    exl__scan_query queries[EXL__MOST_TOGETHER];
    exl__scan_codes codes;

    if (!batch_scans_together(g)) {
        batch_run_stage(g, EXL_STAGE_SCAN, exl__stage_scan);
        return;
    }
    codes = exl__compiled_codes(g->lanes[0]->session);
    for (uint32_t i = 0; i < g->count; i++)
        queries[i] = exl__begin_scan(g->lanes[i]->session);
    exl__scan_batch(&codes, g->lanes[0]->session->bundle->parameters.overfetch, queries, g->count);
    for (uint32_t i = 0; i < g->count; i++)
        exl__end_scan(g->lanes[i]->session, queries[i].count);
    batch_end_stage(g, EXL_STAGE_SCAN);
}

static void batch_reason(batch_group *g) {
    exl__lane *asking[EXL__MOST_TOGETHER];
    uint32_t count = 0;

    for (uint32_t i = 0; i < g->count; i++) {
        exl_session *s = g->lanes[i]->session;
        if (exl__call_reasoner(s, s->logits, &g->lanes[i]->call))
            asking[count++] = g->lanes[i];
        else
            g->lanes[i]->status = exl__stage_reason(s, &g->lanes[i]->error);
    }
    batch_run_graph(asking, count, count ? asking[0]->session->bundle->reasoner : NULL);
    for (uint32_t i = 0; i < count; i++)
        if (asking[i]->status == EXL_OK)
            asking[i]->status = exl__end_reason(asking[i]->session, 1, 1, &asking[i]->error);
    batch_end_stage(g, EXL_STAGE_REASON);
}

/* Texts of one window go on together; the others are answered here, each on its own. */
static void batch_part_windows(batch_group *g, uint32_t windows) {
    uint32_t count = 0;

    for (uint32_t i = 0; i < g->count; i++) {
        exl_session *s = g->lanes[i]->session;
        if (s->windows.count > 1)
            g->lanes[i]->status = exl__run_stages(s, s->text, s->text_bytes, windows, &g->lanes[i]->error);
        else
            g->lanes[count++] = g->lanes[i];
    }
    g->count = count;
    g->clock_ms = exl__now_ms();
}

void exl__run_together(exl_session *session, const char *const *texts, const size_t *text_bytes, uint32_t count,
                       uint32_t windows) {
    batch_group g = {.clock_ms = exl__now_ms()};

    for (uint32_t i = 0; i < count; i++) {
        exl__lane *lane = &session->lanes[i];
        lane->error = (exl_error){.struct_size = sizeof lane->error};
        lane->session->compiled_only = session->compiled_only;
        lane->session->judged = 0;
        lane->status = exl__begin_text(lane->session, texts[i], text_bytes[i], windows, &lane->error);
        if (lane->status == EXL_OK)
            g.lanes[g.count++] = lane;
    }
    batch_run_stage(&g, EXL_STAGE_TOKENIZE, exl__stage_tokenize);
    batch_part_windows(&g, windows);
    batch_encode(&g);
    batch_scan(&g);
    batch_run_stage(&g, EXL_STAGE_MATCH, exl__stage_match);
    batch_run_stage(&g, EXL_STAGE_RESCORE, exl__stage_rescore);
    batch_run_stage(&g, EXL_STAGE_GATHER, exl__stage_gather);
    batch_reason(&g);
    batch_run_stage(&g, EXL_STAGE_CALIBRATE, exl__stage_calibrate);
    for (uint32_t i = 0; i < g.count; i++) {
        double total = 0;
        for (int stage = 0; stage < EXL_STAGE_COUNT; stage++)
            total += g.lanes[i]->session->stage_ms[stage];
        exl__end_text(g.lanes[i]->session, total);
    }
}

void exl__end_together(exl_session *session) {
    for (uint32_t i = 1; i < session->batch; i++) {
        exl_session *s = session->lanes[i].session;
        exl__live_give(s->bundle, s->live);
        s->live = NULL;
    }
}
