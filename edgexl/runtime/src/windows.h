/* windows.h: a text that has more tokens than the screener takes is read as far as these go, and then in windows of a
 * few words, which overlap: a short name is lost among many words. The last window ends with the text, or with what is
 * read of it. */
#ifndef EXL_WINDOWS_H
#define EXL_WINDOWS_H

#include <stddef.h>
#include <stdint.h>

#include "bundle.h"
#include "memory.h"
#include "rank.h"

enum {
    EXL__MOST_WINDOWS = 256,
    EXL__JUDGED_WINDOWS = 4, /* of a text, those that the reasoner sees at most: the best by screening */
    EXL__WINDOW_WORDS = 24,
    EXL__WINDOW_STEP = 18, /* so many words on the next one begins */
    EXL__WORD_BYTES = 24   /* what has no space in it is a word as soon as it is so long, and a character ends */
};

/* Where the windows behind the first lie in a text. */
typedef struct exl__windows {
    const char *text;
    size_t bytes;
    uint32_t count; /* with the first, which is the text from its beginning on */
    uint32_t words; /* that they hold together */
    int cut;        /* nonzero: there are more words than these */
} exl__windows;

/* Of a text that one window does not hold, in so many at most. */
void exl__find_windows(exl__windows *windows, const char *text, size_t text_bytes, uint32_t most);
/* The bytes of a window from 1 on. */
void exl__window_bytes(const exl__windows *windows, uint32_t window, size_t *begin, size_t *end);

/* Shortlists of windows put together: of each label the best. */
typedef struct exl__merged {
    uint32_t keep;  /* so many labels at most */
    uint32_t count; /* of them, best first */
    uint32_t *labels;
    float *scores;
    float *evidence; /* [keep][EXL__EVIDENCE_COLUMNS] */
    float *spare;    /* the same */
    uint32_t slot_count;
    uint32_t *slots;     /* a power of two: a place of `ranked` + 1, or 0 */
    exl__ranked *ranked; /* [2 x keep]: what is there, then what is new */
} exl__merged;

void exl__merged_carve(exl__merged *merged, uint32_t keep, exl__carver *from);
/* Adds a window's shortlist. */
void exl__merge(exl__merged *merged, const uint32_t *labels, const float *scores, const float *evidence,
                uint32_t count);

#endif
