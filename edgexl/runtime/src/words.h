/* words.h: the words of a text, as the lexical section has them (docs/format.md, "Lexical section").
 *
 * A word is a run of letters and digits in canonical decomposition, without marks and without case. Ideographs, which
 * stand side by side without spaces, are words in overlapping pairs. Nothing is allocated. */
#ifndef EXL_WORDS_H
#define EXL_WORDS_H

#include "fold.h"

enum { EXL__WORD_POINTS = 64 }; /* of a longer word the first ones count */

typedef struct exl__word {
    uint32_t points[EXL__WORD_POINTS];
    uint32_t count;
    int exact; /* nonzero: digits alone, or ideographs: another spelling is another word */
} exl__word;

typedef struct exl__words {
    exl__folder folder;
    uint32_t ahead;     /* a code point that was read, and is not used yet; EXL__NO_POINT at the text's end */
    uint32_t ideograph; /* the one before it, or EXL__NO_POINT */
    int alone;          /* nonzero: no word has that ideograph yet */
} exl__words;

void exl__words_start(exl__words *words, const char *text, size_t bytes);
/* The next word; 0 where there is none. */
int exl__words_next(exl__words *words, exl__word *word);

#endif
