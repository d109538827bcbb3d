/* scan.c: tables, the scalar kernel, and the selection of the best rows, which all kernels share.
 *
 * Selection. Rows come in ascending order. A row that reaches `minimum` is pushed into a candidate buffer; when the
 * buffer is full it is cut down to the best `keep`, and minimum rises to one above the worst of these: a later row
 * with an equal score has a higher row number and would lose the tie. The cut counts scores instead of comparing
 * rows and keeps the rows' order, so it is linear whatever the scores are, and exact on ties. Over many rows, a sample
 * gives a first minimum; where it was too high, the scan begins again without one. */
#include "scan.h"

#include <string.h>

enum { LARGEST_ENTRY = 127, SCORE_HALVES = 256, SAMPLE_STEP = 16 };

static exl__scan_kernel *kernel_for(exl__isa isa) {
    switch (isa) {
#if defined(__x86_64__)
    case EXL__AVX2: return exl__scan_block_avx2;
    case EXL__AVX512: return exl__scan_block_avx512;
#elif defined(__aarch64__)
    case EXL__NEON: return exl__scan_block_neon;
#endif
    default: return exl__scan_block_scalar;
    }
}

/* ---- tables ------------------------------------------------------------------------------------------------ */

static float table_value(const float *q, const float *entry, uint32_t dims) {
    float sum = 0.0f;
    for (uint32_t j = 0; j < dims; j++)
        sum += q[j] * entry[j];
    return sum;
}

/* The values are computed twice rather than kept: 2 x M x 16 x dims operations are little beside a scan. */
void exl__scan_tables(const float *q, const float *codebook, uint32_t subspaces, uint32_t subspace_dims,
                      uint8_t *tables) {
    float range = 0.0f;
    for (uint32_t m = 0; m < subspaces; m++) {
        const float *entries = codebook + (size_t)m * 16 * subspace_dims;
        float low = table_value(q + (size_t)m * subspace_dims, entries, subspace_dims), high = low;
        for (uint32_t e = 1; e < 16; e++) {
            float value =
                table_value(q + (size_t)m * subspace_dims, entries + (size_t)e * subspace_dims, subspace_dims);
            low = value < low ? value : low;
            high = value > high ? value : high;
        }
        range = high - low > range ? high - low : range;
    }
    float step = (float)LARGEST_ENTRY / range;
    if (!(step <= 3.402823466e38f)) /* infinite, or not a number */
        step = 0.0f;
    for (uint32_t m = 0; m < subspaces; m++) {
        const float *entries = codebook + (size_t)m * 16 * subspace_dims;
        float value[16], low = 0.0f;
        for (uint32_t e = 0; e < 16; e++) {
            value[e] = table_value(q + (size_t)m * subspace_dims, entries + (size_t)e * subspace_dims, subspace_dims);
            low = e == 0 || value[e] < low ? value[e] : low;
        }
        for (uint32_t e = 0; e < 16; e++) {
            float level = (value[e] - low) * step + 0.5f;
            tables[m * 16 + e] = level >= (float)LARGEST_ENTRY ? LARGEST_ENTRY : level > 0.0f ? (uint8_t)level : 0;
        }
    }
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

typedef struct selection {
    uint32_t *rows; /* [capacity], ascending */
    uint16_t *scores;
    uint32_t count, capacity, keep;
    uint16_t minimum;
    uint32_t counts[SCORE_HALVES];
} selection;

static uint32_t selection_capacity(uint32_t keep) {
    /* Room for a block above what is kept, and enough of it that the cut is seldom: it costs as much as scanning a
     * block. */
    return keep * 3 + 4 * EXL__SCAN_BLOCK;
}

static size_t align64(size_t bytes) { return (bytes + 63) & ~(size_t)63; }

/* The score of the keep-th best candidate, found by its high and then its low byte; *above is how many beat it. */
static uint16_t score_of_rank(selection *s, uint32_t *above) {
    uint32_t beaten_by = 0;
    memset(s->counts, 0, sizeof s->counts);
    for (uint32_t i = 0; i < s->count; i++)
        s->counts[s->scores[i] >> 8]++;
    uint32_t high = SCORE_HALVES - 1;
    while (beaten_by + s->counts[high] < s->keep)
        beaten_by += s->counts[high--];
    memset(s->counts, 0, sizeof s->counts);
    for (uint32_t i = 0; i < s->count; i++)
        s->counts[s->scores[i] & 255] += s->scores[i] >> 8 == high;
    uint32_t low = SCORE_HALVES - 1;
    while (beaten_by + s->counts[low] < s->keep)
        beaten_by += s->counts[low--];
    *above = beaten_by;
    return (uint16_t)(high << 8 | low);
}

/* Cuts the candidates down to the best `keep`, in their order. */
static void selection_cut(selection *s) {
    if (s->count < s->keep)
        return;
    uint32_t above, kept = 0;
    uint16_t worst = score_of_rank(s, &above);
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

static void selection_push(selection *s, uint32_t first_row, const uint16_t *scores, const uint64_t *above) {
    for (uint32_t word = 0; word < EXL__SCAN_BLOCK / 64; word++)
        for (uint64_t left = above[word]; left != 0; left &= left - 1) {
            uint32_t r = word * 64 + (uint32_t)__builtin_ctzll(left);
            s->rows[s->count] = first_row + r;
            s->scores[s->count++] = scores[r];
        }
    if (s->count + EXL__SCAN_BLOCK > s->capacity)
        selection_cut(s);
}

/* A stable counting sort by one byte of the score, descending. */
static void sort_by_byte(selection *s, unsigned shift, const uint32_t *rows, const uint16_t *scores, uint32_t *to_rows,
                         uint16_t *to_scores) {
    memset(s->counts, 0, sizeof s->counts);
    for (uint32_t i = 0; i < s->count; i++)
        s->counts[scores[i] >> shift & 255]++;
    for (uint32_t byte = SCORE_HALVES, next = 0; byte-- > 0;) {
        uint32_t here = s->counts[byte];
        s->counts[byte] = next;
        next += here;
    }
    for (uint32_t i = 0; i < s->count; i++) {
        uint32_t to = s->counts[scores[i] >> shift & 255]++;
        to_rows[to] = rows[i];
        to_scores[to] = scores[i];
    }
}

/* ---- scan -------------------------------------------------------------------------------------------------- */

/* Scratch: the selection, a block's scores, the candidates, and a copy of the kept ones to sort them. */
typedef struct scan_scratch {
    selection chosen;
    uint16_t *block_scores;
    uint32_t *sorted_rows;
    uint16_t *sorted_scores;
} scan_scratch;

static size_t scratch_layout(void *scratch, uint32_t keep, scan_scratch *layout) {
    size_t capacity = selection_capacity(keep), at = 0;
    size_t scores_at = at, rows_at, candidate_scores_at, sorted_rows_at, sorted_scores_at;
    at = align64(at + EXL__SCAN_BLOCK * sizeof(uint16_t));
    rows_at = at;
    at = align64(at + capacity * sizeof(uint32_t));
    candidate_scores_at = at;
    at = align64(at + capacity * sizeof(uint16_t));
    sorted_rows_at = at;
    at = align64(at + keep * sizeof(uint32_t));
    sorted_scores_at = at;
    at = align64(at + keep * sizeof(uint16_t));
    if (layout) {
        char *base = scratch;
        layout->block_scores = (uint16_t *)(void *)(base + scores_at);
        layout->chosen.rows = (uint32_t *)(void *)(base + rows_at);
        layout->chosen.scores = (uint16_t *)(void *)(base + candidate_scores_at);
        layout->sorted_rows = (uint32_t *)(void *)(base + sorted_rows_at);
        layout->sorted_scores = (uint16_t *)(void *)(base + sorted_scores_at);
        layout->chosen.capacity = (uint32_t)capacity;
        layout->chosen.keep = keep;
        layout->chosen.count = 0;
        layout->chosen.minimum = 0;
    }
    return at;
}

size_t exl__scan_scratch_bytes(uint32_t rows, uint32_t subspaces, uint32_t keep) {
    (void)subspaces;
    return scratch_layout(NULL, keep < rows ? keep : rows, NULL);
}

typedef struct scan_job {
    exl__scan_kernel *score_block;
    const uint8_t *codes, *tables;
    uint32_t rows, code_bytes;
    uint16_t *block_scores;
} scan_job;

/* Pushes the rows of every step-th block. */
static void scan_blocks(const scan_job *job, uint32_t step, selection *chosen) {
    uint64_t above[EXL__SCAN_BLOCK / 64];
    for (uint32_t first = 0; first < job->rows; first += step * EXL__SCAN_BLOCK) {
        job->score_block(job->codes + (size_t)first * job->code_bytes, job->code_bytes, job->tables, chosen->minimum,
                         job->block_scores, above);
        uint32_t here = job->rows - first;
        if (here < EXL__SCAN_BLOCK) /* the last block's padding is no candidate */
            for (uint32_t word = here / 64; word < EXL__SCAN_BLOCK / 64; word++)
                above[word] &= word == here / 64 ? ((uint64_t)1 << here % 64) - 1 : 0;
        selection_push(chosen, first, job->block_scores, above);
    }
}

/* A minimum that a few times `keep` rows reach, judged by every 16th block: far fewer rows are pushed and cut than when
 * the minimum has to rise from 0. Twelve standard deviations above the share that the sample would hold by chance: rows
 * that are alike lie together, and with four, 3 to 7% of WordNet's queries had to begin again; with twelve, at most
 * 0.3%. */
static uint16_t sampled_minimum(const scan_job *job, selection *chosen) {
    uint32_t keep = chosen->keep, share = keep / SAMPLE_STEP, deviations = 12;
    while (deviations * deviations < 144 * share)
        deviations++;
    chosen->keep = share + deviations;
    scan_blocks(job, SAMPLE_STEP, chosen);
    selection_cut(chosen);
    uint16_t minimum = chosen->count == share + deviations ? (uint16_t)(chosen->minimum - 1) : 0;
    chosen->keep = keep;
    chosen->count = 0;
    return minimum;
}

uint32_t exl__scan(exl__isa isa, const uint8_t *codes, uint32_t rows, uint32_t subspaces, const uint8_t *tables,
                   uint32_t keep, void *scratch, uint32_t *out_rows, uint16_t *out_scores) {
    scan_scratch s;
    if (keep == 0)
        return 0;
    scratch_layout(scratch, keep < rows ? keep : rows, &s);
    scan_job job = {kernel_for(isa), codes, tables, rows, subspaces / 2, s.block_scores};

    if (rows / EXL__SCAN_BLOCK >= 2 * SAMPLE_STEP)
        s.chosen.minimum = sampled_minimum(&job, &s.chosen);
    scan_blocks(&job, 1, &s.chosen);
    if (s.chosen.count < s.chosen.keep) { /* the sample promised too much: the best rows lay in its blocks */
        s.chosen.minimum = 0;
        s.chosen.count = 0;
        scan_blocks(&job, 1, &s.chosen);
    }
    selection_cut(&s.chosen);
    sort_by_byte(&s.chosen, 0, s.chosen.rows, s.chosen.scores, s.sorted_rows, s.sorted_scores);
    sort_by_byte(&s.chosen, 8, s.sorted_rows, s.sorted_scores, out_rows, out_scores);
    return s.chosen.count;
}
