/* stages.h: the stages of a prediction, each of which reads and writes the session, and what they share. session.c runs
 * them. */
#ifndef EXL_STAGES_H
#define EXL_STAGES_H

#include "session.h"

/* ---- screening.c ---- */

exl_status exl__stage_tokenize(exl_session *s, exl_error *error);
exl_status exl__stage_encode(exl_session *s, exl_error *error);
exl_status exl__stage_scan(exl_session *s, exl_error *error);
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
exl_status exl__stage_calibrate(exl_session *s, exl_error *error);
/* How many windows the reasoner sees: one where it takes nothing about the text, for it says the same of all. */
uint32_t exl__judged_windows(const exl_session *s);

/* ---- session.c ---- */

/* The graph input with this number, as the session holds it, and any other tensor of as many tokens and labels. */
exl__tensor exl__session_input(const exl_session *s, int input);
exl__tensor exl__session_tensor(const exl_session *s, exl__port port, const void *data);
/* Runs a graph on those of its inputs that are set in input_bits. */
exl_status exl__session_run_graph(exl_session *s, const exl__graph *graph, uint32_t input_bits,
                                  const exl__tensor *outputs, size_t output_count, exl_error *error);
int exl__all_finite(const float *numbers, size_t count);

#endif
