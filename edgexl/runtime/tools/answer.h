/* answer.h: an answer as JSON, as exl-run and exl-serve give it. */
#ifndef EXL_TOOLS_ANSWER_H
#define EXL_TOOLS_ANSWER_H

#include <string.h>

#include "edgexl.h"
#include "json.h"

/* A whole object. */
static void print_error(FILE *to, const char *text, size_t text_bytes, const char *sentence) {
    fputs("{\"text\": ", to);
    json_string(to, text, text_bytes);
    fputs(", \"error\": ", to);
    json_string(to, sentence, strlen(sentence));
    fputc('}', to);
}

/* An object, but for its closing brace: more may follow. */
static void print_answer(FILE *to, const char *text, size_t text_bytes, const exl_result *result) {
    fputs("{\"text\": ", to);
    json_string(to, text, text_bytes);
    fputs(", \"labels\": [", to);
    for (size_t i = 0; i < result->count; i++) {
        const exl_prediction *label = result->predictions[i];
        fputs(i ? ", {\"id\": " : "{\"id\": ", to);
        json_string(to, label->id, strlen(label->id));
        fputs(", \"text\": ", to);
        json_string(to, label->text, strlen(label->text));
        fprintf(to, ", \"probability\": %.6g", (double)label->probability);
        if (label->overlay)
            fprintf(to, ", \"overlay\": %u", label->overlay - 1);
        fputc('}', to);
    }
    fprintf(to, "], \"none_fits\": %s, \"windows\": %u, \"truncated\": %s, \"ms\": {",
            result->none_fits ? "true" : "false", result->windows, result->truncated ? "true" : "false");
    for (uint32_t i = 0; i < result->stage_count; i++)
        fprintf(to, "\"%s\": %.4f, ", result->stage_names[i], result->stage_ms[i]);
    fprintf(to, "\"total\": %.4f}", result->total_ms);
}

#endif
