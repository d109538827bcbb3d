/* stages.h: the stages of a prediction, each of which reads and writes the session, and what they share. session.c runs
 * them. */
#ifndef EXL_STAGES_H
#define EXL_STAGES_H

#include "session.h"

/* ---- screening.c ---- */

exl_status exl__stage_tokenize(exl_session *s, exl_error *error);
exl_status exl__stage_encode(exl_session *s, exl_error *error);
/* What exl__stage_encode asks of the engine, and what it does when that is done. */
void exl__call_screener(const exl_session *s, exl__call *call);
exl_status exl__end_encode(const exl_session *s, exl_error *error);
exl_status exl__stage_scan(exl_session *s, exl_error *error);
/* The bundle's codes, with the live labels that the session holds; the tables of its query; and what is left when the
 * rows are found. */
exl__scan_codes exl__compiled_codes(const exl_session *s);
exl__scan_query exl__begin_scan(exl_session *s);
void exl__end_scan(exl_session *s, uint32_t found);
exl_status exl__stage_match(exl_session *s, exl_error *error);
exl_status exl__stage_rescore(exl_session *s, exl_error *error);
/* Makes the window with this number the one that is read, behind those that were; 0 where it holds no token. */
int exl__read_window(exl_session *s, uint32_t number);
/* Makes the window that was read as the place-th the one that is read. */
void exl__turn_to_window(exl_session *s, uint32_t place);
/* Makes the shortlist of all windows the session's, when all are screened. */
void exl__take_merged(exl_session *s);

/* ---- reasoning.c ---- */

exl_status exl__stage_gather(exl_session *s, exl_error *error);
exl_status exl__stage_reason(exl_session *s, exl_error *error);
/* As for encode, of a text in one window; 0 where there is nothing to ask. */
int exl__call_reasoner(const exl_session *s, float *logits, exl__call *call);
exl_status exl__end_reason(exl_session *s, int is_first, int is_last, exl_error *error);
exl_status exl__stage_calibrate(exl_session *s, exl_error *error);
/* How many windows the reasoner sees: one where it takes nothing about the text, for it says the same of all. */
uint32_t exl__judged_windows(const exl_session *s);

/* ---- session.c ---- */

/* The graph input with this number, as the session holds it, and any other tensor of as many tokens and labels. */
exl__tensor exl__session_input(const exl_session *s, int input);
exl__tensor exl__session_tensor(const exl_session *s, exl__port port, const void *data);
/* A call with those inputs that are set in input_bits, and no output yet. */
void exl__session_take_inputs(const exl_session *s, uint32_t input_bits, exl__call *call);
exl_status exl__session_run_graph(exl_session *s, const exl__graph *graph, const exl__call *call, exl_error *error);
/* Makes a text the one that the stages are about. */
exl_status exl__begin_text(exl_session *s, const char *text, size_t text_bytes, uint32_t windows, exl_error *error);
/* What a result tells of times. */
void exl__end_text(exl_session *s, double total_ms);
int exl__all_finite(const float *numbers, size_t count);

#endif
