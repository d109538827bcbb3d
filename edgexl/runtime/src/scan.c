/* scan.c: tables, the scalar kernel, and the selection of the best rows, which all kernels share.
 *
 * Selection. Rows come in ascending order. A row that reaches `minimum` is pushed into a candidate buffer; when the
 * buffer is full it is cut down to the best `keep`, and minimum rises to one above the worst of these: a later row
 * with an equal score has a higher row number and would lose the tie. The cut counts scores instead of comparing
 * rows and keeps the rows' order, so it is linear whatever the scores are, and exact on ties. Over many rows, a sample
 * gives a first minimum; where it was too high, the scan begins again without one.
 *
 * Several queries take turns over chunks of the codes that fit a core's own cache. */
#include "compiler.h"

#include "scan.h"

#include <string.h>

#include "memory.h"

/* SCAN_GROUP subspaces' entries are added as bytes. SCAN_GROUP_RANGE leaves room for each of them to be rounded up by a
 * half. */
enum {
    SCAN_MOST_SUBSPACES = 256,
    SCAN_GROUP = 4,
    SCAN_GROUP_RANGE = 252,
    SCAN_SCORE_HALVES = 256,
    SCAN_SAMPLE_BLOCKS = 32,
    SCAN_CACHE_LINE_BYTES = 64,
    SCAN_CHUNK_BYTES = 1 << 17
};

static exl__scan_kernel *scan_kernel_for(exl__isa isa) {
    switch (isa) {
#if defined(__x86_64__)
    case EXL__SSSE3: return exl__scan_block_ssse3;
    case EXL__AVX2: return exl__scan_block_avx2;
    case EXL__AVX512: return exl__scan_block_avx512;
    case EXL__VBMI: return exl__scan_block_vbmi;
#elif defined(__aarch64__)
    case EXL__NEON: return exl__scan_block_neon;
#elif defined(__wasm_simd128__)
    case EXL__WASM: return exl__scan_block_wasm;
#endif
    default: return exl__scan_block_scalar;
    }
}

/* ---- tables ------------------------------------------------------------------------------------------------ */

/* A subspace's 16 values; each is summed in the order of its dimensions. Returns by how much they differ. */
static float scan_table_values(const float *q, const float *entries, uint32_t dims, float value[16], float *low) {
    float high;
    for (uint32_t e = 0; e < 16; e++) {
        float sum = 0.0f;
        for (uint32_t j = 0; j < dims; j++)
            sum += q[j] * entries[e * dims + j];
        value[e] = sum;
    }
    *low = high = value[0];
    for (uint32_t e = 1; e < 16; e++) {
        *low = value[e] < *low ? value[e] : *low;
        high = value[e] > high ? value[e] : high;
    }
    return high - *low;
}

/* A function of its own, because gcc unrolls it into 30 KB of code where it stands in a loop. */
__attribute__((noinline)) static void scan_table_levels(const float value[16], float low, float step,
                                                        uint8_t levels[16]) {
    for (uint32_t e = 0; e < 16; e++) {
        float level = (value[e] - low) * step + 0.5f;
        level = level > 0.0f ? level : 0.0f; /* also where it is not a number */
        levels[e] = (uint8_t)(int32_t)(level < 255.0f ? level : 255.0f);
    }
}

void exl__scan_tables(const float *q, const float *codebook, uint32_t subspaces, uint32_t subspace_dims,
                      uint8_t *tables) {
    float values[SCAN_MOST_SUBSPACES][16], low[SCAN_MOST_SUBSPACES], range = 0.0f, group = 0.0f;
    for (uint32_t m = 0; m < subspaces; m++) {
        float width = scan_table_values(q + (size_t)m * subspace_dims, codebook + (size_t)m * 16 * subspace_dims,
                                        subspace_dims, values[m], &low[m]);
        group = m % SCAN_GROUP == 0 ? width : group + width;
        range = group > range ? group : range;
    }
    float step = (float)SCAN_GROUP_RANGE / range;
    if (!(step <= 3.402823466e38f)) /* infinite, or not a number */
        step = 0.0f;
    for (uint32_t m = 0; m < subspaces; m++)
        scan_table_levels(values[m], low[m], step, tables + m * 16);
}

/* ---- scalar kernel ----------------------------------------------------------------------------------------- */

void exl__scan_block_scalar(const uint8_t *block, uint32_t code_bytes, const uint8_t *tables, uint16_t minimum,
                            uint16_t scores[EXL__SCAN_BLOCK], uint64_t above[EXL__SCAN_BLOCK / 64]) {
    memset(scores, 0, EXL__SCAN_BLOCK * sizeof *scores);
    for (uint32_t b = 0; b < code_bytes; b++, block += EXL__SCAN_BLOCK, tables += 32)
        for (uint32_t r = 0; r < EXL__SCAN_BLOCK; r++)
            scores[r] = (uint16_t)(scores[r] + tables[block[r] & 15] + tables[16 + (block[r] >> 4)]);
    for (uint32_t word = 0; word < EXL__SCAN_BLOCK / 64; word++) {
        above[word] = 0;
        for (uint32_t bit = 0; bit < 64; bit++)
            above[word] |= (uint64_t)(scores[word * 64 + bit] >= minimum) << bit;
    }
}

/* ---- selection --------------------------------------------------------------------------------------------- */

typedef struct scan_selection {
    uint32_t *rows; /* [capacity], ascending */
    uint16_t *scores;
    uint32_t *sorted_rows; /* [keep] */
    uint16_t *sorted_scores;
    uint16_t *block_scores; /* [256]: what a kernel writes */
    uint32_t count, capacity, keep;
    uint16_t minimum;
    uint32_t counts[SCAN_SCORE_HALVES];
} scan_selection;

static uint32_t scan_selection_capacity(uint32_t keep) {
    /* Room for a block above what is kept, and enough of it that the cut is seldom: it costs as much as scanning a
     * block. With more room the minimum rises later, and each row pushed in vain costs as much as scanning 30. */
    return keep * 2 + 2 * EXL__SCAN_BLOCK;
}

/* The score of the keep-th best candidate, found by its high and then its low byte; *above is how many beat it. */
static uint16_t scan_score_of_rank(scan_selection *s, uint32_t *above) {
    uint32_t beaten_by = 0;
    memset(s->counts, 0, sizeof s->counts);
    for (uint32_t i = 0; i < s->count; i++)
        s->counts[s->scores[i] >> 8]++;
    uint32_t high = SCAN_SCORE_HALVES - 1;
    while (beaten_by + s->counts[high] < s->keep)
        beaten_by += s->counts[high--];
    memset(s->counts, 0, sizeof s->counts);
    for (uint32_t i = 0; i < s->count; i++)
        s->counts[s->scores[i] & 255] += s->scores[i] >> 8 == high;
    uint32_t low = SCAN_SCORE_HALVES - 1;
    while (beaten_by + s->counts[low] < s->keep)
        beaten_by += s->counts[low--];
    *above = beaten_by;
    return (uint16_t)(high << 8 | low);
}

/* Cuts the candidates down to the best `keep`, in their order. */
static void scan_selection_cut(scan_selection *s) {
    if (s->count < s->keep)
        return;
    uint32_t above, kept = 0;
    uint16_t worst = scan_score_of_rank(s, &above);
    uint32_t ties = s->keep - above; /* the first so many with the worst score stay */
    for (uint32_t i = 0; i < s->count; i++) {
        uint32_t tie = s->scores[i] == worst && ties > 0;
        uint32_t stays = s->scores[i] > worst || tie;
        s->rows[kept] = s->rows[i];
        s->scores[kept] = s->scores[i];
        kept += stays;
        ties -= tie;
    }
    s->count = kept;
    s->minimum = (uint16_t)(worst + 1);
}

static void scan_selection_push(scan_selection *s, uint32_t first_row, const uint64_t *above) {
    for (uint32_t word = 0; word < EXL__SCAN_BLOCK / 64; word++)
        for (uint64_t left = above[word]; left != 0; left &= left - 1) {
            uint32_t r = word * 64 + (uint32_t)__builtin_ctzll(left);
            s->rows[s->count] = first_row + r;
            s->scores[s->count++] = s->block_scores[r];
        }
    if (s->count + EXL__SCAN_BLOCK > s->capacity)
        scan_selection_cut(s);
}

/* A stable counting sort by one byte of the score, descending. */
static void scan_sort_by_byte(scan_selection *s, unsigned shift, const uint32_t *rows, const uint16_t *scores,
                              uint32_t *to_rows, uint16_t *to_scores) {
    memset(s->counts, 0, sizeof s->counts);
    for (uint32_t i = 0; i < s->count; i++)
        s->counts[scores[i] >> shift & 255]++;
    for (uint32_t byte = SCAN_SCORE_HALVES, next = 0; byte > 0; byte--) {
        uint32_t here = s->counts[byte - 1];
        s->counts[byte - 1] = next;
        next += here;
    }
    for (uint32_t i = 0; i < s->count; i++) {
        uint32_t to = s->counts[scores[i] >> shift & 255]++;
        to_rows[to] = rows[i];
        to_scores[to] = scores[i];
    }
}

/* Both bytes, the lower one first: by score descending, ties in the order that they had. */
static void scan_sort_by_score(scan_selection *s, uint32_t *rows, uint16_t *scores) {
    scan_sort_by_byte(s, 0, s->rows, s->scores, s->sorted_rows, s->sorted_scores);
    scan_sort_by_byte(s, 8, s->sorted_rows, s->sorted_scores, rows, scores);
}

/* ---- scan -------------------------------------------------------------------------------------------------- */

/* A query's scratch holds its selection and the selection's arrays. base is null to count bytes alone. */
static size_t scan_selection_place(void *base, uint32_t keep) {
    exl__carver from = {base, 0};
    scan_selection *chosen = exl__carve(&from, 1, sizeof *chosen),
                   s = {.keep = keep, .capacity = scan_selection_capacity(keep)};

    s.block_scores = exl__carve(&from, EXL__SCAN_BLOCK, sizeof *s.block_scores);
    s.rows = exl__carve(&from, s.capacity, sizeof *s.rows);
    s.scores = exl__carve(&from, s.capacity, sizeof *s.scores);
    s.sorted_rows = exl__carve(&from, keep, sizeof *s.sorted_rows);
    s.sorted_scores = exl__carve(&from, keep, sizeof *s.sorted_scores);
    if (chosen)
        *chosen = s;
    return (size_t)from.used;
}

size_t exl__scan_scratch_bytes(uint32_t rows, uint32_t subspaces, uint32_t keep) {
    (void)subspaces;
    return scan_selection_place(NULL, keep < rows ? keep : rows);
}

typedef struct scan_job {
    exl__scan_kernel *score_block;
    const exl__scan_codes *codes;
    uint32_t code_bytes; /* of a row */
} scan_job;

static scan_job scan_begin(const exl__scan_codes *codes) {
    return (scan_job){scan_kernel_for(codes->isa), codes, codes->subspaces / 2};
}

/* Asks for a block that is not next to what is read: no prefetching but this would have it coming. */
static void scan_fetch_block(const scan_job *job, uint64_t first) {
    const uint8_t *block = job->codes->bytes + (size_t)first * job->code_bytes;
    for (size_t at = 0; first < job->codes->rows && at < (size_t)EXL__SCAN_BLOCK * job->code_bytes;
         at += SCAN_CACHE_LINE_BYTES)
        __builtin_prefetch(block + at);
}

/* Pushes the rows of every step-th block from row `from` (the first of a block) up to row `to`. */
static void scan_blocks(const scan_job *job, const uint8_t *tables, uint32_t from, uint32_t to, uint32_t step,
                        scan_selection *chosen) {
    uint64_t above[EXL__SCAN_BLOCK / 64];
    for (uint64_t first = from; first < to; first += (uint64_t)step * EXL__SCAN_BLOCK) {
        if (step > 1)
            scan_fetch_block(job, first + (uint64_t)step * EXL__SCAN_BLOCK);
        job->score_block(job->codes->bytes + (size_t)first * job->code_bytes, job->code_bytes, tables, chosen->minimum,
                         chosen->block_scores, above);
        uint32_t here = job->codes->rows - (uint32_t)first;
        if (here < EXL__SCAN_BLOCK) /* the last block's padding is no candidate */
            for (uint32_t word = here / 64; word < EXL__SCAN_BLOCK / 64; word++)
                above[word] &= word == here / 64 ? ((uint64_t)1 << here % 64) - 1 : 0;
        if (job->codes->dead)
            for (uint32_t word = 0; word < EXL__SCAN_BLOCK / 64; word++)
                above[word] &= ~job->codes->dead[first / 64 + word];
        if ((above[0] | above[1] | above[2] | above[3]) != 0)
            scan_selection_push(chosen, (uint32_t)first, above);
    }
}

static uint32_t scan_range_blocks(const exl__scan_range *range) {
    return (range->to - range->from + EXL__SCAN_BLOCK - 1) / EXL__SCAN_BLOCK;
}

/* A minimum that a few times `keep` rows reach, judged by 32 evenly spread blocks: far fewer rows are pushed and cut
 * than when the minimum has to rise from 0. More blocks would cost more than they save: each comes from memory on its
 * own. Twelve standard deviations above the share that the sample would hold by chance, because rows that are alike lie
 * together: with four, 3 to 7% of WordNet's queries had to begin again. */
static void scan_sample_minimum(const scan_job *job, const uint8_t *tables, const exl__scan_range *ranges,
                                uint32_t range_count, scan_selection *chosen) {
    uint32_t blocks = 0, next = 0; /* next: the block of the range at hand that is sampled next */
    for (uint32_t i = 0; i < range_count; i++)
        blocks += scan_range_blocks(ranges + i);
    uint32_t step = blocks / SCAN_SAMPLE_BLOCKS;
    if (step < 2)
        return;
    uint32_t keep = chosen->keep, share = keep / step, deviations = 12;
    while (deviations * deviations < 144 * share)
        deviations++;
    chosen->keep = share + deviations;
    for (uint32_t i = 0; i < range_count; i++) {
        uint32_t here = scan_range_blocks(ranges + i);
        if (next < here) {
            scan_blocks(job, tables, ranges[i].from + next * EXL__SCAN_BLOCK, ranges[i].to, step, chosen);
            next += (here - next + step - 1) / step * step;
        }
        next -= here;
    }
    scan_selection_cut(chosen);
    chosen->minimum = chosen->count == share + deviations ? (uint16_t)(chosen->minimum - 1) : 0;
    chosen->keep = keep;
    chosen->count = 0;
}

/* The best rows, in order. */
static uint32_t scan_selection_finish(exl__scan_query *query) {
    scan_selection *chosen = query->scratch;

    scan_selection_cut(chosen);
    scan_sort_by_score(chosen, query->out_rows, query->out_scores);
    query->count = chosen->count;
    return query->count;
}

uint32_t exl__scan(const exl__scan_codes *codes, const exl__scan_range *ranges, uint32_t range_count, uint32_t keep,
                   exl__scan_query *query) {
    scan_job job = scan_begin(codes);
    exl__scan_range all = {0, codes->rows};
    scan_selection *chosen = query->scratch;
    uint32_t there = 0;

    if (!ranges)
        ranges = &all, range_count = 1;
    query->count = 0;
    for (uint32_t i = 0; i < range_count; i++)
        there += ranges[i].to - ranges[i].from;
    (void)scan_selection_place(query->scratch, keep < there ? keep : there);
    if (chosen->keep == 0)
        return 0;
    scan_sample_minimum(&job, query->tables, ranges, range_count, chosen);
    for (int again = 0;; again++) {
        for (uint32_t i = 0; i < range_count; i++) {
            if (i + 1 < range_count)
                scan_fetch_block(&job, ranges[i + 1].from);
            scan_blocks(&job, query->tables, ranges[i].from, ranges[i].to, 1, chosen);
        }
        if (again || chosen->count >= chosen->keep)
            break;
        chosen->minimum = 0; /* the sample promised too much: the best rows lay in its blocks, or many are dead */
        chosen->count = 0;
    }
    return scan_selection_finish(query);
}

void exl__scan_batch(const exl__scan_codes *codes, uint32_t keep, exl__scan_query *queries, uint32_t query_count) {
    scan_job job = scan_begin(codes);
    exl__scan_range all = {0, codes->rows};
    uint32_t rows = codes->rows;
    uint32_t chunk = SCAN_CHUNK_BYTES / (EXL__SCAN_BLOCK * job.code_bytes) * EXL__SCAN_BLOCK;
    if (chunk == 0)
        chunk = EXL__SCAN_BLOCK;
    for (uint32_t i = 0; i < query_count; i++) {
        (void)scan_selection_place(queries[i].scratch, keep < rows ? keep : rows);
        if (keep > 0)
            scan_sample_minimum(&job, queries[i].tables, &all, 1, queries[i].scratch);
    }
    for (uint32_t from = 0, to; from < rows && keep > 0; from = to) {
        to = rows - from < chunk ? rows : from + chunk;
        for (uint32_t i = 0; i < query_count; i++)
            scan_blocks(&job, queries[i].tables, from, to, 1, queries[i].scratch);
    }
    for (uint32_t i = 0; i < query_count; i++) {
        scan_selection *chosen = queries[i].scratch;
        if (chosen->count < chosen->keep) { /* the sample promised too much: the best rows lay in its blocks */
            chosen->minimum = 0;
            chosen->count = 0;
            scan_blocks(&job, queries[i].tables, 0, rows, 1, chosen);
        }
        (void)scan_selection_finish(&queries[i]);
    }
}

uint32_t exl__scan_merge(const exl__scan_query *parts, const uint32_t *part_starts, uint32_t part_count, uint32_t keep,
                         uint32_t *out_rows, uint16_t *out_scores) {
    uint32_t taken[EXL__SCAN_PARTS] = {0}, count = 0;
    for (; count < keep; count++) {
        uint32_t best = part_count;
        for (uint32_t i = 0; i < part_count; i++) /* of equal scores the part of lower rows comes first */
            if (taken[i] < parts[i].count &&
                (best == part_count || parts[i].out_scores[taken[i]] > parts[best].out_scores[taken[best]]))
                best = i;
        if (best == part_count)
            break;
        out_rows[count] = part_starts[best] + parts[best].out_rows[taken[best]];
        out_scores[count] = parts[best].out_scores[taken[best]++];
    }
    return count;
}
