/* subwords.c: see subwords.h.
 *
 * Both models have one last piece for each beginning of a word: Unigram's is that of the best path to there, that of
 * byte-pair encoding the last one of the beginning's own encoding (which is the one whose neighbour it stands beside:
 * subwords_may_stand). So a word is a lattice of one arc a place, walked forward; its path back from the end is the
 * encoding. What all ends that are still open have in common is final. */
#include "compiler.h"

#include "subwords.h"

#include <string.h>

#include "bytes.h"
#include "utf8.h"

enum {
    SUBWORDS_HEADER_BYTES = 64 + 64,
    SUBWORDS_WINDOW = 512,     /* bytes of a word that are looked at together; twice the longest piece at least */
    SUBWORDS_MOST_CHARS = 120, /* of WordPiece's words: what does not fit the window is longer */
    SUBWORDS_SHORT = 48,       /* byte-pair encoding of words of so many bytes goes merge by merge */
    SUBWORDS_UNKNOWN = 0xFFFFFE
};

static uint32_t subwords_u24(const uint8_t *p) { return exl__get16(p) | (uint32_t)p[2] << 16; }

static double subwords_f64(const uint8_t *p) {
    uint64_t bits = exl__get64(p);
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static double subwords_f32(const uint8_t *p) {
    uint32_t bits = exl__get32(p);
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* ---- Checks ---------------------------------------------------------------------------------------------------- */

static const uint8_t *subwords_take(const uint8_t **at, const uint8_t *end, uint64_t bytes) {
    const uint8_t *start = *at;
    uint64_t padded = (bytes + 3) & ~(uint64_t)3;
    if (bytes > UINT64_MAX - 3 || padded > (uint64_t)(end - start) || !exl__all_zero(start + bytes, padded - bytes))
        return NULL;
    *at = start + padded;
    return start;
}

static const char *subwords_check_pieces(const exl__subwords *s, uint32_t record_bytes) {
    int has_free_slot = 0; /* without one a search would not end */
    for (size_t i = 0; i < s->slot_count; i++) {
        uint32_t offset = subwords_u24(s->slots + 4 * i), length;
        if (offset == 0) {
            if (s->slots[4 * i + 3] != 0)
                return "slots";
            has_free_slot = 1;
            continue;
        }
        offset -= 1;
        if (offset > record_bytes || record_bytes - offset < 5)
            return "records";
        length = s->records[offset + 3];
        if (length == 0 || length > s->longest_bytes || length > record_bytes - offset - 5 ||
            s->records[offset + 4] > 1 || subwords_u24(s->records + offset) >= s->ids)
            return "records";
    }
    return has_free_slot ? NULL : "slots";
}

/* The rank of the merge that makes an id; 0 for a character, which none makes. Ranks begin with 1. */
static uint32_t subwords_rank(const exl__subwords *s, uint32_t id) {
    uint32_t slot = exl__get32(s->made_by + 4 * (size_t)id);
    return slot == 0 ? 0 : subwords_u24(s->merges + 12 * (size_t)(slot - 1) + 6);
}

static const char *subwords_check_merges(const exl__subwords *s) {
    int has_free_slot = 0;
    for (size_t i = 0; i < s->ids; i++)
        if (exl__get32(s->made_by + 4 * i) > s->merge_slots)
            return "made_by";
    for (size_t i = 0; i < s->merge_slots; i++) {
        const uint8_t *slot = s->merges + 12 * i;
        if (subwords_u24(slot + 6) == 0) {
            if (!exl__all_zero(slot, 12))
                return "merges";
            has_free_slot = 1;
        } else if (subwords_u24(slot) >= s->ids || subwords_u24(slot + 3) >= s->ids || subwords_u24(slot + 9) >= s->ids)
            return "merges";
    }
    for (size_t i = 0; i < s->ids; i++) { /* what is taken apart gets smaller, so that taking apart ends */
        uint32_t made = exl__get32(s->made_by + 4 * i), rank = subwords_rank(s, (uint32_t)i);
        const uint8_t *slot = s->merges + 12 * (size_t)(made == 0 ? 0 : made - 1);
        if (made != 0 && (rank == 0 || subwords_rank(s, subwords_u24(slot)) >= rank ||
                          subwords_rank(s, subwords_u24(slot + 3)) >= rank))
            return "made_by";
    }
    return has_free_slot ? NULL : "merges";
}

// clang-format off: a line a field
const char *exl__subwords_init(exl__subwords *s, uint32_t kind, const uint8_t *h, const uint8_t *end,
                               uint32_t vocabulary) {
    const uint8_t *at = h;
    const char *wrong;
    uint32_t record_bytes, has_pairs;

    if ((size_t)(end - h) < SUBWORDS_HEADER_BYTES) return "length";
    at += SUBWORDS_HEADER_BYTES;
    h += 64; /* behind the spelling's part */
    s->kind = kind;
    s->slot_count = exl__get32(h), s->prefix_bits = exl__get32(h + 4), record_bytes = exl__get32(h + 8);
    s->longest_bytes = exl__get32(h + 12), s->unknown_id = exl__get32(h + 16), s->ids = exl__get32(h + 20);
    s->merge_slots = exl__get32(h + 24), has_pairs = exl__get32(h + 28);
    s->wide_scores = h[32], s->byte_level = h[33], s->byte_fallback = h[34], s->fuse_unknown = h[35];
    s->ignore_merges = h[36];
    s->word_chars = exl__get32(h + 48);
    s->unknown_score = subwords_f64(h + 40);
    if (s->slot_count < 1) return "slots";
    if (s->prefix_bits > 28) return "prefix_bits";
    if (record_bytes > 0xFFFFFE) return "record_bytes";
    if (s->longest_bytes < 1 || s->longest_bytes > SUBWORDS_WINDOW / 2 - 1) return "longest_bytes";
    if (s->ids < 1 || s->ids > vocabulary) return "ids";
    if (s->unknown_id != EXL__NO_ID && s->unknown_id >= vocabulary) return "unknown_id";
    if (s->unknown_id == EXL__NO_ID && !s->byte_level) return "unknown_id";
    if (kind == EXL__BPE ? s->merge_slots < 1 : s->merge_slots != 0) return "merges";
    if (has_pairs > 1 || s->wide_scores > 1 || s->byte_level > 1 || s->byte_fallback > 1 || s->fuse_unknown > 1 || s->ignore_merges > 1) return "flags";
    if (kind == EXL__UNIGRAM && (s->byte_level || s->ignore_merges || has_pairs || !(s->unknown_score > -1e30 && s->unknown_score < 1e30))) return "flags";
    if (s->byte_level && s->byte_fallback) return "flags";
    if (kind == EXL__WORDPIECE ? s->byte_level || s->byte_fallback || s->ignore_merges || has_pairs || s->prefix_bits : s->word_chars) return "flags";
    if (kind == EXL__WORDPIECE && (s->word_chars < 1 || s->word_chars > SUBWORDS_MOST_CHARS)) return "word_chars";
    if (!exl__all_zero(h + 37, 3) || !exl__all_zero(h + 52, 12)) return "reserved";
    if ((wrong = exl__spelling_init(&s->spelling, h - 64, &at, end, vocabulary))) return wrong;
    if (!(s->slots = subwords_take(&at, end, 4 * (uint64_t)s->slot_count))) return "slots";
    if (!(s->prefixes = subwords_take(&at, end, s->prefix_bits < 3 ? 0 : (uint64_t)1 << (s->prefix_bits - 3)))) return "prefixes";
    if (!(s->records = subwords_take(&at, end, record_bytes))) return "records";
    if (!(s->scores = subwords_take(&at, end, kind == EXL__UNIGRAM ? (s->wide_scores ? 8 : 4) * (uint64_t)s->ids : 0))) return "scores";
    if (!(s->merges = subwords_take(&at, end, 12 * (uint64_t)s->merge_slots))) return "merges";
    if (!(s->made_by = subwords_take(&at, end, kind == EXL__BPE ? 4 * (uint64_t)s->ids : 0))) return "made_by";
    if (!(s->bytes = subwords_take(&at, end, s->byte_level || s->byte_fallback ? 1024 : 0))) return "bytes";
    if (!(s->pairs = subwords_take(&at, end, has_pairs ? 8192 : 0))) return "pairs";
    if (at != end) return "length";
    if (!has_pairs) s->pairs = NULL;
    for (size_t i = 0; (s->byte_level || s->byte_fallback) && i < 256; i++) {
        uint32_t id = exl__get32(s->bytes + 4 * i);
        if (id >= (s->byte_level ? s->ids : vocabulary) && !(s->byte_level && id == EXL__NO_ID)) return "bytes";
    }
    for (size_t i = 0; kind == EXL__UNIGRAM && i < s->ids; i++) {
        double score = s->wide_scores ? subwords_f64(s->scores + 8 * i) : subwords_f32(s->scores + 4 * i);
        if (!(score > -1e30 && score < 1e30)) return "scores";
    }
    if ((wrong = subwords_check_pieces(s, record_bytes))) return wrong;
    return kind == EXL__BPE ? subwords_check_merges(s) : NULL;
}
// clang-format on

/* ---- Look-ups ---------------------------------------------------------------------------------------------------- */

#define SUBWORDS_BASIS 0x811C9DC5U
#define SUBWORDS_INSIDE 0x9E3779B9U

static uint32_t subwords_mix(uint32_t hash) {
    hash ^= hash >> 15;
    hash *= 0x2C1B3C6DU;
    return hash ^ hash >> 13;
}

/* The record of a piece, or null. hash: mixed. */
static const uint8_t *subwords_find(const exl__subwords *s, uint32_t hash, const uint8_t *bytes, size_t length,
                                    int inside) {
    size_t slot = (size_t)((uint64_t)hash * s->slot_count >> 32);
    for (;;) {
        uint32_t entry = exl__get32(s->slots + 4 * slot);
        if (entry == 0)
            return NULL;
        if (entry >> 24 == (hash & 0xFF)) {
            const uint8_t *record = s->records + ((entry & 0xFFFFFF) - 1);
            if (record[3] == length && (s->kind != EXL__WORDPIECE || record[4] == inside) &&
                memcmp(record + 5, bytes, length) == 0)
                return record;
        }
        if (++slot == s->slot_count)
            slot = 0;
    }
}

static const uint8_t *subwords_find_text(const exl__subwords *s, const uint8_t *bytes, size_t length) {
    uint32_t hash = SUBWORDS_BASIS;
    if (length > s->longest_bytes)
        return NULL;
    for (size_t i = 0; i < length; i++)
        hash = exl__hash_step(hash, bytes[i]);
    return subwords_find(s, subwords_mix(hash), bytes, length, 0);
}

static int subwords_goes_on(const exl__subwords *s, uint32_t hash) {
    uint32_t bit = hash & (((uint32_t)1 << s->prefix_bits) - 1);
    return s->prefix_bits < 3 || (s->prefixes[bit >> 3] >> (bit & 7) & 1);
}

static uint32_t subwords_mix_pair(uint32_t left, uint32_t right) {
    return subwords_mix(left * 0x9E3779B1U ^ (right * 0x85EBCA77U + 0x165667B1U));
}

/* The slot of a merge, or null. */
static const uint8_t *subwords_merge(const exl__subwords *s, uint32_t left, uint32_t right) {
    uint32_t hash = subwords_mix_pair(left, right);
    size_t slot = (size_t)((uint64_t)hash * s->merge_slots >> 32);
    for (;;) {
        const uint8_t *at = s->merges + 12 * slot;
        if (subwords_u24(at + 6) == 0)
            return NULL;
        if (subwords_u24(at) == left && subwords_u24(at + 3) == right)
            return at;
        if (++slot == s->merge_slots)
            slot = 0;
    }
}

/* Whether byte-pair encoding leaves two pieces side by side: nothing that stands at the seam while they are made merges
 * first. Both are taken apart, the later merge first; at equal ranks the left one came first. */
static int subwords_may_stand(const exl__subwords *s, uint32_t left, uint32_t right) {
    uint32_t limit = UINT32_MAX;
    for (;;) {
        const uint8_t *merge = subwords_merge(s, left, right);
        uint32_t a = subwords_rank(s, left), b = subwords_rank(s, right);
        if (merge && subwords_u24(merge + 6) < limit)
            return 0;
        if (a == 0 && b == 0)
            return 1;
        if (a > b) {
            limit = a;
            left = subwords_u24(s->merges + 12 * (size_t)(exl__get32(s->made_by + 4 * (size_t)left) - 1) + 3);
        } else {
            limit = b + 1;
            right = subwords_u24(s->merges + 12 * (size_t)(exl__get32(s->made_by + 4 * (size_t)right) - 1));
        }
    }
}

/* ---- Ids ------------------------------------------------------------------------------------------------------- */

typedef struct subwords_output {
    const exl__subwords *s;
    int32_t *ids;
    size_t count, capacity;
    int after_unknown; /* the last id is the unknown one, and takes in what is unknown behind it */
} subwords_output;

static void subwords_put(subwords_output *out, uint32_t id) {
    if (out->count < out->capacity)
        out->ids[out->count++] = (int32_t)id;
    out->after_unknown = 0;
}

static void subwords_put_unknown(subwords_output *out, const uint8_t *bytes, size_t length) {
    if (out->s->byte_fallback) {
        for (size_t i = 0; i < length; i++)
            subwords_put(out, exl__get32(out->s->bytes + 4 * (size_t)bytes[i]));
        return;
    }
    if (!out->after_unknown || !out->s->fuse_unknown)
        subwords_put(out, out->s->unknown_id);
    out->after_unknown = 1;
}

/* ---- A window of a word --------------------------------------------------------------------------------------------
 */

typedef struct subwords_window {
    uint8_t bytes[SUBWORDS_WINDOW];
    double score[SUBWORDS_WINDOW + 1];  /* of the best path to a place */
    uint32_t last[SUBWORDS_WINDOW + 1]; /* the piece that ends at a place; EXL__NO_ID: no path leads there yet */
    uint16_t from[SUBWORDS_WINDOW + 1]; /* where it begins; in a window ahead: which open end its path comes from */
    size_t length, at;                  /* bytes there; places before `at` have given their arcs */
    int ended, whole;                   /* the word ends with the bytes; it is no part of a longer one */
} subwords_window;

static size_t subwords_character_bytes(uint8_t lead) { return lead < 0xC0 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4; }

static void subwords_begin_window(subwords_window *w) {
    w->length = w->at = 0;
    w->ended = 0;
    w->score[0] = 0;
    w->last[0] = EXL__NO_ID - 2; /* the beginning, beside which anything stands */
    w->from[0] = 0;
}

static void subwords_clear(subwords_window *w, size_t from, size_t to) {
    for (size_t i = from; i <= to; i++) {
        w->last[i] = EXL__NO_ID;
        w->score[i] = 0;
        w->from[i] = (uint16_t)(i - 1);
    }
}

static int subwords_is_piece(uint32_t id) { return id < EXL__NO_ID - 2; }

/* Gives the arcs of one place; ahead: with the ends that they come from in place of their beginnings. */
static void subwords_extend(const exl__subwords *s, subwords_window *w, int ahead) {
    size_t at = w->at, rest = w->length - at, most = rest < s->longest_bytes ? rest : s->longest_bytes;
    size_t step = s->byte_level ? 1 : subwords_character_bytes(w->bytes[at]);
    uint32_t hash = SUBWORDS_BASIS;
    uint16_t from = ahead ? w->from[at] : (uint16_t)at;
    int single = 0;

    for (size_t i = 0; i < most; i++) {
        const uint8_t *record;
        size_t to = at + i + 1;
        uint32_t id, mixed;
        hash = exl__hash_step(hash, w->bytes[at + i]);
        if (!s->byte_level && i + 1 < rest && (w->bytes[to] & 0xC0) == 0x80)
            continue;
        mixed = subwords_mix(hash);
        record = subwords_find(s, mixed, w->bytes + at, i + 1, 0);
        if (record) {
            id = subwords_u24(record);
            single |= i + 1 == step;
            if (s->kind == EXL__UNIGRAM) {
                double score = (s->wide_scores ? subwords_f64(s->scores + 8 * (size_t)id)
                                               : subwords_f32(s->scores + 4 * (size_t)id)) +
                               w->score[at];
                if (w->last[to] == EXL__NO_ID || score > w->score[to])
                    w->score[to] = score, w->last[to] = id, w->from[to] = from;
            } else if (record[4] && w->last[to] == EXL__NO_ID &&
                       (!subwords_is_piece(w->last[at]) || subwords_may_stand(s, w->last[at], id)))
                w->last[to] = id, w->from[to] = from;
        }
        if (!subwords_goes_on(s, mixed))
            break;
    }
    if (!single && step <= rest) {
        double score = s->unknown_score + w->score[at];
        if (w->last[at + step] == EXL__NO_ID || (s->kind == EXL__UNIGRAM && score > w->score[at + step]))
            w->score[at + step] = score, w->last[at + step] = SUBWORDS_UNKNOWN, w->from[at + step] = from;
    }
    w->at += step;
    while (w->at < w->length && w->last[w->at] == EXL__NO_ID) /* damaged tables alone leave holes */
        w->at++;
}

/* Gives out the path to a place. */
static void subwords_give(subwords_window *w, subwords_output *out, size_t to) {
    size_t before = to;
    for (size_t at = to; at > 0;) { /* turned round: `from` holds where the piece that begins here ends */
        size_t from = w->from[at];
        w->from[at] = (uint16_t)before;
        before = at;
        at = from < at ? from : 0;
    }
    for (size_t at = 0, next = before; at < to;) {
        size_t after = w->from[next];
        if (w->last[next] == SUBWORDS_UNKNOWN)
            subwords_put_unknown(out, w->bytes + at, next - at);
        else if (subwords_is_piece(w->last[next]))
            subwords_put(out, w->last[next]);
        at = next;
        next = after > at ? after : to;
    }
}

/* The open ends are the places from `at` on that a path leads to. The last place that all their paths pass. */
static size_t subwords_common(const subwords_window *w) {
    uint8_t marked[SUBWORDS_WINDOW + 1] = {0};
    size_t count = 0, top = 0;
    for (size_t i = w->at; i <= w->length; i++)
        if (w->last[i] != EXL__NO_ID)
            marked[i] = 1, count++, top = i;
    for (size_t i = top; i > 0; i--) {
        if (!marked[i])
            continue;
        if (count == 1)
            return i;
        if (marked[w->from[i]])
            count--;
        marked[w->from[i]] = 1;
    }
    return 0;
}

/* Drops the bytes before a place, and the paths that do not pass it. */
static void subwords_shift(subwords_window *w, size_t by) {
    for (size_t i = by + 1; i <= w->length; i++)
        if (w->last[i] != EXL__NO_ID && (w->from[i] < by || (w->from[i] > by && w->last[w->from[i]] == EXL__NO_ID)))
            w->last[i] = EXL__NO_ID;
    memmove(w->bytes, w->bytes + by, w->length - by);
    for (size_t i = by; i <= w->length; i++) {
        w->score[i - by] = w->score[i];
        w->last[i - by] = w->last[i];
        w->from[i - by] = (uint16_t)(w->from[i] >= by ? w->from[i] - by : 0);
    }
    w->length -= by;
    w->at = w->at > by ? w->at - by : 0;
}

/* ---- Words of text ----------------------------------------------------------------------------------------------- */

/* Characters of words, with one read ahead. */
typedef struct subwords_source {
    exl__word_reader words;
    int32_t c;  /* the next one */
    int begins; /* whether a word begins with it */
    int soft;   /* only because nothing merges across */
    int32_t before;
} subwords_source;

static uint32_t subwords_pair(uint32_t a, uint32_t b) { return (a * 0x9E3779B1U ^ b * 0x85EBCA77U) >> 16; }

static void subwords_advance(const exl__subwords *s, subwords_source *from) {
    from->before = from->c;
    from->c = exl__next_character(&from->words, &from->begins);
    from->soft = 0;
    if (s->pairs && from->c >= 0 && from->before >= 0 && !from->begins) {
        uint32_t bit = subwords_pair((uint32_t)from->before, (uint32_t)from->c);
        from->begins = from->soft = !(s->pairs[bit >> 3] >> (bit & 7) & 1);
    }
}

/* Reads on with the word until the window is full or the word ends. */
static void subwords_fill(const exl__subwords *s, subwords_window *w, subwords_source *from) {
    size_t had = w->length;
    while (!w->ended && w->length + 4 <= SUBWORDS_WINDOW) {
        size_t end = w->length + exl__encode_utf8((uint32_t)from->c, w->bytes + w->length), kept = w->length;
        for (size_t i = w->length; s->byte_level && i < end; i++) /* bytes without a piece are as if never there */
            if (exl__get32(s->bytes + 4 * (size_t)w->bytes[i]) != EXL__NO_ID)
                w->bytes[kept++] = w->bytes[i];
        w->length = s->byte_level ? kept : end;
        subwords_advance(s, from);
        w->ended = from->c < 0 || from->begins;
    }
    subwords_clear(w, had + 1, w->length);
}

/* Which of the open ends the rest of the word leads to, without storing it. */
static size_t subwords_look_ahead(const exl__subwords *s, const subwords_window *w, const subwords_source *source) {
    subwords_window ahead;
    subwords_source from = *source;
    size_t end = 0;

    ahead.length = w->length - w->at;
    ahead.at = 0;
    ahead.ended = w->ended;
    memcpy(ahead.bytes, w->bytes + w->at, ahead.length);
    for (size_t i = 0; i <= ahead.length; i++) {
        ahead.score[i] = w->score[w->at + i];
        ahead.last[i] = w->last[w->at + i];
        ahead.from[i] = (uint16_t)(w->at + i);
    }
    for (;;) {
        int one = 1;
        while (ahead.at < ahead.length && (ahead.ended || ahead.at + s->longest_bytes <= ahead.length))
            subwords_extend(s, &ahead, 1);
        end = ahead.length;
        for (size_t i = ahead.at, first = SUBWORDS_WINDOW + 1; i <= ahead.length; i++) {
            if (ahead.last[i] == EXL__NO_ID)
                continue;
            if (first <= SUBWORDS_WINDOW)
                one &= ahead.from[i] == ahead.from[first];
            else
                first = end = i;
        }
        if (one || (ahead.ended && ahead.at >= ahead.length))
            return ahead.from[end];
        memmove(ahead.bytes, ahead.bytes + ahead.at, ahead.length - ahead.at);
        for (size_t i = ahead.at; i <= ahead.length; i++) {
            ahead.score[i - ahead.at] = ahead.score[i];
            ahead.last[i - ahead.at] = ahead.last[i];
            ahead.from[i - ahead.at] = ahead.from[i];
        }
        ahead.length -= ahead.at;
        ahead.at = 0;
        subwords_fill(s, &ahead, &from);
    }
}

/* A word in the window that may be longer than it. */
static void subwords_put_lattice(const exl__subwords *s, subwords_window *w, subwords_source *from,
                                 subwords_output *out) {
    for (;;) {
        size_t common;
        while (w->at < w->length && (w->ended || w->at + s->longest_bytes <= w->length))
            subwords_extend(s, w, 0);
        if (w->ended) {
            subwords_give(w, out, w->length);
            return;
        }
        common = subwords_common(w);
        if (common == 0)
            common = subwords_look_ahead(s, w, from);
        subwords_give(w, out, common);
        if (out->count == out->capacity)
            return;
        /* giving turned the path's places round, which lie before what stays */
        subwords_shift(w, common);
        subwords_fill(s, w, from);
    }
}

/* Byte-pair encoding of a short word, merge by merge: the lowest rank first, of equal ones the leftmost. */
static void subwords_put_merged(const exl__subwords *s, const uint8_t *bytes, size_t length, subwords_output *out) {
    uint32_t ids[SUBWORDS_SHORT], ranks[SUBWORDS_SHORT], made[SUBWORDS_SHORT];
    uint16_t starts[SUBWORDS_SHORT];
    size_t count = 0;

    for (size_t at = 0, step; at < length; at += step) {
        const uint8_t *record;
        starts[count] = (uint16_t)at;
        if (s->byte_level) {
            step = 1;
            ids[count++] = exl__get32(s->bytes + 4 * (size_t)bytes[at]);
            continue;
        }
        step = subwords_character_bytes(bytes[at]);
        record = subwords_find_text(s, bytes + at, step);
        ids[count++] = record ? subwords_u24(record) : SUBWORDS_UNKNOWN;
    }
    for (size_t i = 0; i + 1 < count; i++) {
        const uint8_t *merge = subwords_merge(s, ids[i], ids[i + 1]);
        ranks[i] = merge ? subwords_u24(merge + 6) : UINT32_MAX;
        made[i] = merge ? subwords_u24(merge + 9) : 0;
    }
    while (count > 1) {
        size_t best = 0;
        for (size_t i = 1; i + 1 < count; i++)
            if (ranks[i] < ranks[best])
                best = i;
        if (ranks[best] == UINT32_MAX)
            break;
        ids[best] = made[best];
        count--;
        memmove(ids + best + 1, ids + best + 2, (count - best - 1) * sizeof *ids);
        memmove(starts + best + 1, starts + best + 2, (count - best - 1) * sizeof *starts);
        if (best + 1 < count) {
            memmove(ranks + best, ranks + best + 1, (count - best - 1) * sizeof *ranks);
            memmove(made + best, made + best + 1, (count - best - 1) * sizeof *made);
        }
        for (size_t i = best > 0 ? best - 1 : 0; i <= best && i + 1 < count; i++) {
            const uint8_t *merge = subwords_merge(s, ids[i], ids[i + 1]);
            ranks[i] = merge ? subwords_u24(merge + 6) : UINT32_MAX;
            made[i] = merge ? subwords_u24(merge + 9) : 0;
        }
    }
    for (size_t i = 0; i < count; i++)
        if (ids[i] == SUBWORDS_UNKNOWN)
            subwords_put_unknown(out, bytes + starts[i], subwords_character_bytes(bytes[starts[i]]));
        else
            subwords_put(out, ids[i]);
}

/* WordPiece: the longest piece that the rest begins with, again and again; without one the whole word is unknown. */
static void subwords_put_pieces(const exl__subwords *s, const uint8_t *bytes, size_t length, subwords_output *out) {
    uint32_t hashes[SUBWORDS_WINDOW / 2], ids[SUBWORDS_MOST_CHARS];
    size_t chars = 0, count = 0;

    for (size_t i = 0; i < length; i++)
        chars += (bytes[i] & 0xC0) != 0x80;
    for (size_t at = 0; at < length && chars <= s->word_chars;) {
        size_t rest = length - at, reach = rest < s->longest_bytes ? rest : s->longest_bytes;
        uint32_t hash = at == 0 ? SUBWORDS_BASIS : SUBWORDS_INSIDE;
        const uint8_t *record = NULL;
        for (size_t i = 0; i < reach; i++)
            hashes[i] = hash = exl__hash_step(hash, bytes[at + i]);
        for (; reach > 0; reach--) {
            if (reach < rest && (bytes[at + reach] & 0xC0) == 0x80)
                continue;
            record = subwords_find(s, subwords_mix(hashes[reach - 1]), bytes + at, reach, at > 0);
            if (record)
                break;
        }
        if (!record)
            break;
        ids[count++] = subwords_u24(record);
        at += reach;
        if (at == length) {
            for (size_t i = 0; i < count; i++)
                subwords_put(out, ids[i]);
            return;
        }
    }
    subwords_put(out, s->unknown_id);
}

/* A word in the window that is longer than it. */
static void subwords_skip_word(const exl__subwords *s, subwords_source *from) {
    while (from->c >= 0 && !from->begins)
        subwords_advance(s, from);
}

static void subwords_put_word(const exl__subwords *s, subwords_window *w, subwords_source *from, subwords_output *out) {
    if (s->kind == EXL__WORDPIECE) {
        subwords_put_pieces(s, w->bytes, w->length, out);
        if (!w->ended)
            subwords_skip_word(s, from);
        return;
    }
    if (w->ended) {
        const uint8_t *record = subwords_find_text(s, w->bytes, w->length);
        if (record && (record[4] || (s->ignore_merges && w->whole))) {
            subwords_put(out, subwords_u24(record));
            return;
        }
        if (s->kind == EXL__BPE && w->length <= SUBWORDS_SHORT) {
            subwords_put_merged(s, w->bytes, w->length, out);
            return;
        }
    }
    subwords_put_lattice(s, w, from, out);
}

size_t exl__subwords_read(const exl__subwords *s, const uint8_t *prompt, size_t prompt_bytes, const uint8_t *text,
                          size_t text_bytes, int32_t *ids, size_t capacity) {
    subwords_output out = {s, ids, 0, capacity, 0};
    subwords_source from;
    subwords_window w;

    if (capacity == 0)
        return 0;
    exl__word_reader_start(&from.words, &s->spelling, prompt, prompt_bytes, text, text_bytes);
    from.c = -1;
    subwords_advance(s, &from);
    while (from.c != EXL__TEXT_ENDS && out.count < out.capacity) {
        if (from.c == EXL__TEXT_TOKEN) {
            subwords_put(&out, from.words.token_id);
            from.c = -1;
            subwords_advance(s, &from);
            continue;
        }
        if (!from.soft)
            out.after_unknown = 0;
        subwords_begin_window(&w);
        w.whole = !from.soft;
        subwords_fill(s, &w, &from);
        w.whole &= !from.soft;
        subwords_put_word(s, &w, &from, &out);
    }
    return out.count;
}
