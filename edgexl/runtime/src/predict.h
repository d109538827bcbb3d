/* predict.h: what a caller's options come to, and a prediction by them. */
#ifndef EXL_PREDICT_H
#define EXL_PREDICT_H

#include "session.h"

typedef struct exl__choice {
    uint32_t k;
    float threshold;  /* least probability; -1: none */
    float score;      /* least score */
    float coverage;   /* 0: none was asked for */
    uint32_t windows; /* 0: as many as the bundle says */
} exl__choice;

/* The session's result holds the answer, and *chosen, which comes as zeros, by what. */
exl_status exl__predict(exl_session *session, const char *text, size_t text_bytes, const exl_predict_options *options,
                        exl__choice *chosen, exl_error *error);

#endif
