/* words.c: a text's words, a code point at a time. */
#include "compiler.h"

#include "words.h"

static uint32_t words_read(exl__words *words) {
    uint32_t c;

    do
        c = exl__fold_next(&words->folder);
    while (c != EXL__NO_POINT && exl__kind_of(c) == EXL__MARK);
    return c;
}

void exl__words_start(exl__words *words, const char *text, size_t bytes) {
    exl__fold_start(&words->folder, text, bytes, 1);
    words->ahead = words_read(words);
    words->ideograph = EXL__NO_POINT;
}

static int words_give(exl__word *word, uint32_t first, uint32_t second) {
    word->points[0] = first;
    word->points[1] = second;
    word->count = second == EXL__NO_POINT ? 1 : 2;
    word->exact = 1;
    return 1;
}

static int words_gather(exl__words *words, exl__word *word, exl__kind kind) {
    word->count = 0;
    word->exact = 1;
    for (; kind == EXL__LETTER || kind == EXL__NUMBER; kind = exl__kind_of(words->ahead)) {
        if (word->count < EXL__WORD_POINTS)
            word->points[word->count++] = words->ahead;
        word->exact &= kind == EXL__NUMBER;
        words->ahead = words_read(words);
    }
    return 1;
}

int exl__words_next(exl__words *words, exl__word *word) {
    for (;;) {
        uint32_t before = words->ideograph, c = words->ahead;
        exl__kind kind = exl__kind_of(c);

        if (kind == EXL__IDEOGRAPH) {
            words->ideograph = c;
            words->alone = before == EXL__NO_POINT;
            words->ahead = words_read(words);
            if (before != EXL__NO_POINT)
                return words_give(word, before, c);
            continue;
        }
        words->ideograph = EXL__NO_POINT;
        if (before != EXL__NO_POINT && words->alone)
            return words_give(word, before, EXL__NO_POINT);
        if (kind == EXL__LETTER || kind == EXL__NUMBER)
            return words_gather(words, word, kind);
        if (c == EXL__NO_POINT)
            return 0;
        words->ahead = words_read(words);
    }
}
