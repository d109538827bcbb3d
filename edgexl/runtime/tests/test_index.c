/* test_index.c: the parts of screening that no kernel does, each against a plain way to the same: ranking, query
 * tables, scans of some ranges without dead rows, scans of several queries at once, the merge of parts, probing of
 * cells, and the codes of a row. (The kernels are test_scan.c's and test_rescore.c's.)
 */
#include <math.h>

#include "../src/cells.h"
#include "../src/codes.h"
#include "../src/rank.h"
#include "../src/rescore.h"
#include "../src/scan.h"
#include "testing.h"

static uint32_t state = 1;

static uint32_t draw(uint32_t below) {
    state = state * 1664525u + 1013904223u;
    return (uint32_t)(((uint64_t)(state >> 8) * below) >> 24);
}

static float draw_number(float most) { return ((float)draw(1u << 24) / (1 << 23) - 1.0f) * most; }

static void *room(size_t count, size_t bytes) {
    void *memory = calloc(count ? count : 1, bytes);

    CHECK(memory != NULL);
    return memory;
}

/* ---- ranking ---------------------------------------------------------------------------------------------------- */

static int by_key(const void *a, const void *b) {
    uint64_t x = ((const exl__ranked *)a)->key, y = ((const exl__ranked *)b)->key;
    return (x > y) - (x < y);
}

static void test_rank_key(void) {
    static const float descending[] = {INFINITY, 3e38f, 1.5f, 1.0f, 1e-40f, 0.0f, -1e-40f, -1.0f, -1.5f, -INFINITY};

    for (size_t i = 0; i < sizeof descending / sizeof *descending; i++)
        for (size_t j = 0; j < sizeof descending / sizeof *descending; j++)
            for (uint32_t tie = 0; tie < 3; tie++) {
                uint64_t one = exl__rank_key(descending[i], 1), other = exl__rank_key(descending[j], tie);
                CHECK((one < other) == (i < j || (i == j && 1 < tie)) && (one == other) == (i == j && tie == 1));
            }
    CHECK(exl__rank_key(-0.0f, 7) == exl__rank_key(0.0f, 7));
    CHECK(exl__rank_key(1.0f, UINT32_MAX) < exl__rank_key(0.5f, 0)); /* the tie stays below the score */
}

static void test_rank(void) {
    exl__ranked items[70], sorted[70];

    for (int trial = 0; trial < 3000; trial++) {
        uint32_t count = draw(66), keep = draw(70), kept, spread = draw(2) ? 5 : 1000000;
        for (uint32_t i = 0; i < 70; i++)
            items[i] = (exl__ranked){draw(spread), i};
        memcpy(sorted, items, sizeof items);
        qsort(sorted, count, sizeof *sorted, by_key);
        kept = exl__rank(items, count, keep);
        CHECK(kept == (keep < count ? keep : count));
        for (uint32_t i = 0; i < kept; i++)
            CHECK(items[i].key == sorted[i].key);
        for (uint32_t i = count; i < 70; i++)
            CHECK(items[i].index == i); /* nothing behind them moves */
    }
}

/* ---- tables ----------------------------------------------------------------------------------------------------- */

/* Each entry is its inner product above the subspace's lowest, in steps of a 252nd part of the widest four subspaces.
 */
static void test_tables(void) {
    enum { MOST = 12, DIMS = 5 };
    float q[MOST * DIMS], book[MOST * 16 * DIMS];
    uint8_t tables[MOST * 16 + 1];

    for (int trial = 0; trial < 200; trial++) {
        uint32_t subspaces = 2 + 2 * draw(MOST / 2), dims = 1 + draw(DIMS);
        double values[MOST][16], low[MOST], widest = 0;

        subspaces = subspaces > MOST ? MOST : subspaces;
        for (uint32_t i = 0; i < subspaces * dims; i++)
            q[i] = draw_number(trial % 3 ? 1 : 100);
        for (uint32_t i = 0; i < subspaces * dims * 16; i++)
            book[i] = draw_number(1) * (trial % 2 ? 1.0f : (float)(1 + i / (16 * dims) % 4));
        for (uint32_t group = 0; group < subspaces; group += 4) {
            double together = 0;
            for (uint32_t m = group; m < group + 4 && m < subspaces; m++) {
                double high = -1e30;
                low[m] = 1e30;
                for (uint32_t e = 0; e < 16; e++) {
                    values[m][e] = 0;
                    for (uint32_t j = 0; j < dims; j++)
                        values[m][e] += (double)q[m * dims + j] * (double)book[(m * 16 + e) * dims + j];
                    low[m] = values[m][e] < low[m] ? values[m][e] : low[m];
                    high = values[m][e] > high ? values[m][e] : high;
                }
                together += high - low[m];
            }
            widest = together > widest ? together : widest;
        }
        tables[subspaces * 16] = 77;
        exl__scan_tables(q, book, subspaces, dims, tables);
        CHECK(tables[subspaces * 16] == 77);
        for (uint32_t m = 0; m < subspaces; m++)
            for (uint32_t e = 0; e < 16; e++)
                CHECK(fabs(tables[m * 16 + e] - (values[m][e] - low[m]) * 252 / widest) <= 0.501);
    }
    memset(q, 0, sizeof q);
    exl__scan_tables(q, book, 4, 2, tables); /* all the same: no step at all */
    for (int i = 0; i < 64; i++)
        CHECK(tables[i] == 0);
    for (int way = 0; way < 3; way++) { /* never out of bounds, whatever the numbers */
        q[0] = way == 0 ? NAN : way == 1 ? INFINITY : 3e38f;
        exl__scan_tables(q, book, 4, 2, tables);
    }
}

/* ---- scans ------------------------------------------------------------------------------------------------------ */

typedef struct scored {
    uint32_t row, score;
} scored;

static int better(const void *a, const void *b) {
    const scored *x = a, *y = b;
    if (x->score != y->score)
        return x->score > y->score ? -1 : 1;
    return (x->row > y->row) - (x->row < y->row);
}

typedef struct codes_of {
    uint32_t rows, subspaces;
    uint8_t *codes, *tables; /* of 5 queries */
} codes_of;

/* alike: rows of a neighbourhood are, as those of a cell; a sample then promises too much or too little. */
static codes_of draw_codes(uint32_t rows, uint32_t subspaces, int alike) {
    codes_of c = {rows, subspaces, NULL, NULL};
    size_t bytes = (size_t)((rows + 255) / 256) * subspaces / 2 * 256;

    c.codes = room(bytes, 1);
    c.tables = room((size_t)5 * subspaces, 16);
    for (size_t i = 0; i < bytes; i++)
        c.codes[i] = (uint8_t)(alike && i / 4096 % 7 != 3 ? draw(4) * 17 : draw(256));
    for (size_t i = 0; i < (size_t)5 * subspaces * 16; i++)
        c.tables[i] = (uint8_t)draw(alike ? 4 : 64);
    return c;
}

static uint32_t score_of(const codes_of *c, uint32_t query, uint32_t r) {
    const uint8_t *tables = c->tables + (size_t)query * c->subspaces * 16;
    uint32_t score = 0, bytes = c->subspaces / 2;

    for (uint32_t b = 0; b < bytes; b++) {
        uint8_t code = c->codes[((size_t)(r / 256) * bytes + b) * 256 + r % 256];
        score += tables[b * 32 + (code & 15)] + tables[b * 32 + 16 + (code >> 4)];
    }
    return score;
}

static int is_dead(const uint64_t *dead, uint32_t row) { return dead && dead[row / 64] >> row % 64 & 1; }

static void test_ranges(void) {
    for (int trial = 0; trial < 150; trial++) {
        uint32_t rows = trial % 5 ? 1 + draw(6000) : 20000 + draw(20000), blocks = (rows + 255) / 256;
        codes_of c = draw_codes(rows, 2 + 2 * draw(4), trial % 2);
        uint64_t *dead = trial % 3 ? room(blocks, 32) : NULL;
        exl__scan_range ranges[200];
        uint32_t range_count = 0, keep = draw(3) ? 1 + draw(400) : 1 + draw(20000), there = 0, expected = 0;
        scored *all = room(rows, sizeof *all);
        uint32_t *out_rows;
        uint16_t *out_scores;
        void *scratch;

        for (uint32_t i = 0; dead && i < blocks * 4; i++)
            dead[i] = draw(4) ? 0 : draw(8) ? (uint64_t)draw(UINT32_MAX) << 20 : ~(uint64_t)0;
        for (uint32_t from = draw(3); from < blocks && range_count < 200;) {
            uint32_t to = from + 1 + draw(trial % 4 ? 6 : 60);
            to = to > blocks ? blocks : to;
            ranges[range_count++] = (exl__scan_range){from * 256, to == blocks ? rows : to * 256};
            from = to + draw(4);
        }
        for (uint32_t i = 0; i < range_count; i++)
            for (uint32_t row = ranges[i].from; row < ranges[i].to; row++, there++)
                if (!is_dead(dead, row))
                    all[expected++] = (scored){row, score_of(&c, 0, row)};
        qsort(all, expected, sizeof *all, better);
        keep = keep < there ? keep : there;
        out_rows = room(keep, sizeof *out_rows), out_scores = room(keep, sizeof *out_scores);
        scratch = aligned_alloc(64, exl__scan_scratch_bytes(rows, c.subspaces, keep));
        for (exl__isa isa = EXL__SCALAR; isa < EXL__ISAS; isa++)
            if (exl__isa_available(isa)) {
                exl__scan_codes codes = {isa, rows, c.subspaces, c.codes, dead};
                exl__scan_query query = {c.tables, scratch, out_rows, out_scores, 0};
                uint32_t count = exl__scan(&codes, ranges, range_count, keep, &query);
                CHECK(count == (keep < expected ? keep : expected));
                for (uint32_t i = 0; i < count; i++)
                    CHECK(out_rows[i] == all[i].row && out_scores[i] == all[i].score);
            }
        free(c.codes), free(c.tables), free(dead), free(all), free(out_rows), free(out_scores), free(scratch);
    }
}

/* Several queries at once, and the parts of a divided scan, give what scans of their own give. */
static void test_batch_and_merge(void) {
    for (int trial = 0; trial < 40; trial++) {
        uint32_t rows = trial % 4 ? 1 + draw(9000) : 30000 + draw(20000);
        uint32_t keep = trial % 7 ? 1 + draw(500) : 0, expected = keep < rows ? keep : rows;
        codes_of c = draw_codes(rows, trial % 3 ? 8 : 256 - 2 * draw(2), trial % 2);
        exl__isa isa = exl__isa_best();
        size_t bytes = exl__scan_scratch_bytes(rows, c.subspaces, keep);
        uint32_t *one_rows = room(keep, 4), starts[5], part_count = 0;
        uint16_t *one_scores = room(keep, 2);
        exl__scan_query queries[5], parts[5];
        exl__scan_codes codes = {isa, rows, c.subspaces, c.codes, NULL};

        for (uint32_t i = 0; i < 5; i++) {
            queries[i] = (exl__scan_query){.tables = c.tables + (size_t)i * c.subspaces * 16, .count = 99};
            queries[i].scratch = aligned_alloc(64, bytes);
            queries[i].out_rows = room(keep, 4), queries[i].out_scores = room(keep, 2);
        }
        exl__scan_batch(&codes, keep, queries, 5);
        for (uint32_t i = 0; i < 5; i++) {
            exl__scan_query one = {queries[i].tables, queries[0].scratch, one_rows, one_scores, 99};
            uint32_t count = exl__scan(&codes, NULL, 0, keep, &one);
            CHECK(count == expected && one.count == expected && (keep == 0 || queries[i].count == expected));
            CHECK(memcmp(queries[i].out_rows, one_rows, 4 * (size_t)count) == 0);
            CHECK(memcmp(queries[i].out_scores, one_scores, 2 * (size_t)count) == 0);
        }
        for (uint32_t from = 0; from < rows && part_count < 5; part_count++) { /* all with the last query's tables */
            uint32_t to = part_count == 4 ? rows : from + 256 * (1 + draw(rows / 512 + 1));
            to = to < rows ? to : rows;
            starts[part_count] = from;
            parts[part_count] = queries[part_count];
            parts[part_count].tables = queries[4].tables;
            codes.rows = to - from, codes.bytes = c.codes + (size_t)from * c.subspaces / 2;
            exl__scan(&codes, NULL, 0, keep, &parts[part_count]);
            from = to;
        }
        CHECK(exl__scan_merge(parts, starts, part_count, keep, one_rows, one_scores) == expected);
        for (uint32_t i = 0; i < expected; i++) {
            CHECK(one_scores[i] == score_of(&c, 4, one_rows[i]));
            CHECK(i == 0 || one_scores[i - 1] > one_scores[i] ||
                  (one_scores[i - 1] == one_scores[i] && one_rows[i - 1] < one_rows[i]));
        }
        if (expected > 0) { /* none that was left out is better than the last */
            scored last = {one_rows[expected - 1], one_scores[expected - 1]};
            uint32_t ahead = 0;
            for (uint32_t row = 0; row < rows; row++) {
                scored other = {row, score_of(&c, 4, row)};
                ahead += better(&other, &last) <= 0;
            }
            CHECK(ahead == expected);
        }
        for (uint32_t i = 0; i < 5; i++)
            free(queries[i].scratch), free(queries[i].out_rows), free(queries[i].out_scores);
        free(one_rows), free(one_scores), free(c.codes), free(c.tables);
    }
}

/* ---- cells ------------------------------------------------------------------------------------------------------- */

/* The best `probes` cells that are not behind the best by more than the margin; their places, in whole blocks. */
static void test_cells(void) {
    enum { DIMS = 6, MOST = 600 };

    for (int trial = 0; trial < 300; trial++) {
        uint32_t count = 1 + (trial % 3 ? draw(20) : draw(MOST)), rows = count + draw(trial % 2 ? 300 : 9000);
        size_t stride = 2 + DIMS;
        exl__cells cells = {.count = count, .probes = 1 + draw(count), .margin = draw(2) ? 1e30f : 0.5f, .dims = DIMS};
        uint32_t *starts = room(count + 1, 4), *of_places = room(rows, 4), ranges, at = 0;
        uint8_t *centroids = room(count, stride), *wanted = room(rows / 256 + 1, 1);
        exl__cells_scratch scratch = {room(DIMS, 2), room(count, 4), room(count, sizeof(exl__ranked)), room(count, 4),
                                      room(count, sizeof(exl__scan_range))};
        scored *order = room(count, sizeof *order);
        float query[DIMS], *scores = room(count, 4), unit;
        int16_t quantized[DIMS];

        for (uint32_t i = 0; i <= count; i++) /* each holds one at least */
            starts[i] = i == count ? rows : i + (uint32_t)((uint64_t)(rows - count) * i * i / count / count);
        for (uint32_t i = 0; i < count; i++) {
            for (uint32_t d = 0; d < DIMS; d++)
                centroids[i * stride + 2 + d] = (uint8_t)draw(trial % 4 ? 256 : 2);
            centroids[i * stride + 1] = 0x20; /* a scale of 2^-7 */
        }
        for (uint32_t d = 0; d < DIMS; d++)
            query[d] = draw_number(1);
        cells.starts = starts, cells.rows = of_places, cells.centroids = centroids;
        unit = exl__quantize_query(query, DIMS, 0, 1, quantized);
        for (uint32_t i = 0; i < count; i++)
            scores[i] = exl__rescore_row(EXL__SCALAR, centroids + i * stride, DIMS, 8, quantized, unit);
        for (uint32_t i = 0; i < count; i++) {
            uint32_t ahead = 0;
            for (uint32_t j = 0; j < count; j++)
                ahead += scores[j] > scores[i] || (scores[j] == scores[i] && j < i);
            order[ahead] = (scored){i, 0};
        }
        for (uint32_t i = 0; i < cells.probes && scores[order[i].row] >= scores[order[0].row] - cells.margin; i++)
            for (uint32_t place = starts[order[i].row]; place < starts[order[i].row + 1]; place++)
                wanted[place / 256] = 1;
        ranges = exl__cells_probe(exl__isa_best(), &cells, rows, query, &scratch);
        CHECK(ranges >= 1 && ranges <= cells.probes);
        for (uint32_t i = 0; i < ranges; i++) {
            exl__scan_range range = scratch.ranges[i];
            CHECK(range.from % 256 == 0 && range.from < range.to && range.to <= rows);
            CHECK(range.to == rows || range.to % 256 == 0);
            CHECK(i == 0 || range.from > at); /* neighbours are one */
            for (; at < range.from; at += 256)
                CHECK(!wanted[at / 256]);
            for (; at < range.to; at += 256)
                CHECK(wanted[at / 256]);
            at = range.to;
        }
        for (; at < rows; at += 256)
            CHECK(!wanted[at / 256]);
        CHECK(exl__cells_bytes(count, rows, DIMS) == 4 * ((uint64_t)count + 1 + rows) + count * (uint64_t)stride);
        free(starts), free(of_places), free(centroids), free(wanted), free(order), free(scores);
        free(scratch.query), free(scratch.scores), free(scratch.ranked), free(scratch.probed), free(scratch.ranges);
    }
}

static void test_cells_rows(void) {
    uint32_t rows[] = {4, 2, 0, 3, 1}, places[] = {0, 4, 2};
    exl__cells cells = {.rows = rows};

    CHECK(exl__cells_rows(&cells, 5, places, 3) == 1 && places[0] == 4 && places[1] == 1 && places[2] == 0);
    places[0] = 3, rows[3] = 5;
    CHECK(exl__cells_rows(&cells, 5, places, 1) == 0);
    places[0] = 0, places[1] = 3; /* the one in question is the last */
    CHECK(exl__cells_rows(&cells, 5, places, 2) == 0);
    CHECK(exl__cells_rows(&cells, 6, (uint32_t[]){0, 3}, 2) == 1);
    CHECK(exl__cells_rows(&cells, 5, places, 0) == 1);
}

/* ---- codes ------------------------------------------------------------------------------------------------------- */

/* Every half comes back; between two neighbours the nearer one is taken, in the middle the even one. */
static void test_halves(void) {
    for (uint32_t half = 0; half < 0x7c00; half++) {
        float low = exl__f16_to_f32((uint16_t)half),
              high = half == 0x7bff ? 65536.0f : exl__f16_to_f32((uint16_t)(half + 1));
        float middle = (low + high) / 2;
        uint32_t even = half % 2 ? half + 1 : half;

        for (uint32_t sign = 0; sign < 2; sign++) {
            float by = sign ? -1.0f : 1.0f;
            CHECK(exl__f32_to_f16(by * low) == (half | sign << 15));
            CHECK(exl__f32_to_f16(by * middle) == (even | sign << 15));
            CHECK(exl__f32_to_f16(by * nextafterf(middle, 0.0f)) == (half | sign << 15));
            CHECK(exl__f32_to_f16(by * nextafterf(middle, 1e9f)) == ((half + 1) | sign << 15));
        }
    }
    CHECK(exl__f32_to_f16(INFINITY) == 0x7c00 && exl__f32_to_f16(-INFINITY) == 0xfc00);
    CHECK(exl__f32_to_f16(1e30f) == 0x7c00 && exl__f32_to_f16(-1e30f) == 0xfc00);
    CHECK((exl__f32_to_f16(NAN) & 0x7fff) == 0x7e00);
}

static void test_coarse_codes(void) {
    enum { SUBSPACES = 6, DIMS = 3 };
    float vector[SUBSPACES * DIMS], book[SUBSPACES * 16 * DIMS];
    uint8_t codes[SUBSPACES / 2 + 1];

    for (int trial = 0; trial < 300; trial++) {
        for (int i = 0; i < SUBSPACES * DIMS; i++)
            vector[i] = draw_number(2);
        for (int i = 0; i < SUBSPACES * 16 * DIMS; i++)
            book[i] = trial % 3 ? draw_number(2) : (float)draw(2); /* also entries that are equal */
        codes[SUBSPACES / 2] = 99;
        exl__encode_coarse(vector, book, SUBSPACES, DIMS, codes);
        CHECK(codes[SUBSPACES / 2] == 99);
        for (uint32_t m = 0; m < SUBSPACES; m++) {
            double distances[16], nearest = 1e30;
            uint32_t found = codes[m / 2] >> m % 2 * 4 & 15;

            for (uint32_t e = 0; e < 16; e++) {
                distances[e] = 0;
                for (uint32_t j = 0; j < DIMS; j++) {
                    double off = (double)vector[m * DIMS + j] - (double)book[(m * 16 + e) * DIMS + j];
                    distances[e] += off * off;
                }
                nearest = distances[e] < nearest ? distances[e] : nearest;
            }
            CHECK(distances[found] <= nearest + 1e-5);
            for (uint32_t e = 0; e < found; e++) /* of equal entries the first */
                CHECK(memcmp(book + (m * 16 + e) * DIMS, book + (m * 16 + found) * DIMS, DIMS * sizeof *book) != 0);
        }
    }
}

/* The cosine of a row's codes to the vector, in doubles, for the best of the clips that the format has. */
static double best_cosine(const float *vector, uint32_t dims, uint32_t bits, uint32_t leading, double gain) {
    uint32_t clips = bits == 2 ? 17 : bits == 4 ? 16 : 1;
    double best = -1, peak = 0, most = bits == 8 ? 127 : (1u << bits) - 1;

    for (uint32_t i = 0; i < dims; i++) {
        double even = fabs((double)vector[i]) / (i < leading ? gain : 1);
        peak = even > peak ? even : peak;
    }
    for (uint32_t clip = 0; clip < clips; clip++) {
        double share = bits == 8   ? 1
                       : bits == 2 ? 0.2 + 0.05 * clip
                                   : 0.5 + 0.5 * clip / 15,
               dot = 0, norm = 0, own = 0;
        for (uint32_t i = 0; i < dims; i++) {
            double even = (double)vector[i] / (i < leading ? gain : 1), level;
            if (bits == 8)
                level = rint(even * 127 / (share * peak));
            else
                level = 2 * floor(even * most / (2 * share * peak)) + 1;
            level = level > most ? most : level < -most ? -most : level;
            level *= i < leading ? gain : 1;
            dot += level * (double)vector[i], norm += level * level, own += (double)vector[i] * (double)vector[i];
        }
        best = dot / sqrt(norm * own) > best ? dot / sqrt(norm * own) : best;
    }
    return best;
}

/* What a row's codes stand for points the way of the vector as well as any clip lets it, and is as long as keeps the
 * vector's inner product with itself. */
static void test_fine_codes(void) {
    enum { MOST = 24 };
    float vector[MOST], back[MOST], scratch[5 * MOST];
    uint8_t row[2 + MOST + 1];

    for (int trial = 0; trial < 3000; trial++) {
        uint32_t bits = 2u << trial % 3, dims = bits == 2 ? 4 + 4 * draw(6) : 2 + 2 * draw(12);
        uint32_t leading = draw(3) ? 0 : draw(dims + 1);
        float gain = leading ? 0.5f + (float)draw(100) / 50 : 1.0f;
        size_t stride = exl__fine_stride(dims, bits);
        double dot = 0, norm = 0, own = 0, wanted;

        for (uint32_t i = 0; i < dims; i++)
            vector[i] = draw_number(1) * (draw(5) ? 1.0f : 0.1f);
        if (trial % 50 == 0)
            memset(vector, 0, sizeof vector);
        row[stride] = 0xAB;
        exl__encode_fine(vector, dims, bits, leading, gain, scratch, row);
        CHECK(row[stride] == 0xAB);
        exl__decompress_row(row, dims, bits, leading, gain, dims, back);
        for (uint32_t i = 0; i < dims; i++) {
            dot += (double)back[i] * (double)vector[i];
            norm += (double)back[i] * (double)back[i];
            own += (double)vector[i] * (double)vector[i];
        }
        if (own == 0) {
            CHECK(norm == 0);
            continue;
        }
        wanted = best_cosine(vector, dims, bits, leading, (double)gain);
        CHECK(dot / sqrt(norm * own) >= wanted - 2e-6 && dot / sqrt(norm * own) <= wanted + 2e-6);
        CHECK(fabs(dot - own) <= own * 1e-3); /* a half has 11 bits */
    }
}

int main(void) {
    test_rank_key();
    test_rank();
    test_tables();
    test_ranges();
    test_batch_and_merge();
    test_cells();
    test_cells_rows();
    test_halves();
    test_coarse_codes();
    test_fine_codes();
    puts("test_index: done");
    return 0;
}
