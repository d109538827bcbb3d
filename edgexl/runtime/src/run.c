/* run.c: runs a plan, one function an operation. Everything is checked already (plan.c); what is left to find
 * out at run time is ids that no table has. What an operation works in lies as plan_rules.c has it. */
#include "compiler.h"

#include <string.h>

#include "native.h"
#include "platform.h"

/* Rows of a panel whose sums wait for being finished, which costs less the more there are: 4 KB stay in any cache. */
enum { RUN_FINISHED_ROWS = 32, RUN_AHEAD_ROWS = 8 };

/* Up to a whole panel; at most 2^30. */
static uint64_t run_padded(uint64_t size) { return (size + EXL__PANEL - 1) / EXL__PANEL * EXL__PANEL; }

static uint64_t run_at(const exl__run_state *run, exl__size size) { return exl__size_at(size, &run->at); }

static uint64_t run_stride(const exl__run_state *run, const exl__operation *o, int place, int axis) {
    return run_at(run, o->operands[place].strides[axis]);
}

/* The pieces of the memory to work in. */
static void run_take_work(const exl__run_state *run, const exl__operation *o, uint8_t *pieces[EXL__PIECES]) {
    uint64_t sizes[EXL__PLAN_RANK], offsets[EXL__PIECES];

    for (int axis = 0; axis < EXL__PLAN_RANK; axis++)
        sizes[axis] = run_at(run, o->sizes[axis]);
    (void)exl__lay_out_work(exl__rule_of(o), sizes, offsets);
    for (int i = 0; i < EXL__PIECES; i++)
        pieces[i] = run->work + offsets[i];
}

/* Splits rows evenly: 9 rows in tiles of at most 8 are 5 + 4, for a tile of 1 costs nearly what a tile of 4 does. */
static uint32_t run_tile_rows(uint64_t left, uint32_t most) {
    uint64_t tiles = (left + most - 1) / most;
    return (uint32_t)((left + tiles - 1) / tiles);
}

/* ---- products with constant weights ----------------------------------------------------------------------------- */

typedef struct run_linear {
    const exl__int8_products *kind;
    uint64_t rows, depth, columns, line; /* line: padded columns */
    uint64_t out_stride, residual_stride;
    float *out;
    const float *residual;
    const int8_t *codes;
    const int32_t *table;
    uint8_t *row_codes;
    size_t code_stride;
    float *row_scales;
    int32_t *row_zeros;
    float *totals;
    int8_t *unpacked;
} run_linear;

static void run_quantize(const exl__run_state *run, const exl__operation *o, const run_linear *l) {
    const float *x = exl__operand_at(run, o, 1);
    uint64_t x_stride = run_stride(run, o, 1, 0);

    for (uint64_t r = 0; r < l->rows; r++)
        run->kernels->quantize_row(x + r * x_stride, (uint32_t)l->depth, (uint32_t)run_padded(l->depth),
                                   l->kind->code_bytes, l->kind->flip, l->row_codes + r * l->code_stride,
                                   &l->row_scales[r], &l->row_zeros[r]);
}

/* The finish of a tile: rows from `row` on, the panel at `column`. */
static void run_finish(const exl__run_state *run, const run_linear *l, exl__finish *f, uint64_t row, uint64_t rows,
                       uint64_t column, void *tile, size_t tile_stride) {
    uint64_t left = l->columns - column;

    f->rows = (uint32_t)rows;
    f->columns = left < EXL__PANEL ? (uint32_t)left : EXL__PANEL;
    f->tile = tile;
    f->tile_stride = tile_stride;
    f->bias = (const float *)(const void *)l->table + column;
    f->row_zeros = l->row_zeros + row;
    f->residual = l->residual ? l->residual + row * l->residual_stride + column : NULL;
    f->residual_stride = l->residual_stride;
    f->out = l->out + row * l->out_stride + column;
    f->out_stride = l->out_stride;
    run->kernels->finish(f);
}

/* Of a product's weights; older plans say nothing of int8's. */
static uint64_t run_bits(const exl__run_state *run, const exl__operation *o) {
    uint64_t bits = run_at(run, o->sizes[3]);
    return o->code == EXL__LINEAR_INT8 && bits != 7 ? 8 : bits;
}

static run_linear run_begin_linear(const exl__run_state *run, const exl__operation *o) {
    run_linear l = {
        .rows = run_at(run, o->sizes[0]), .depth = run_at(run, o->sizes[1]), .columns = run_at(run, o->sizes[2])};
    uint8_t *pieces[EXL__PIECES];

    run_take_work(run, o, pieces);
    l.line = run_padded(l.columns);
    l.out = exl__operand_at(run, o, 0);
    l.out_stride = run_stride(run, o, 0, 0);
    l.codes = exl__operand_at(run, o, 2);
    l.table = exl__operand_at(run, o, 3);
    l.residual = exl__operand_at(run, o, 4);
    l.residual_stride = l.residual ? run_stride(run, o, 4, 0) : 0;
    l.kind = run_bits(run, o) < 8 ? &run->kernels->seven : &run->kernels->eight;
    l.code_stride = run_padded(l.depth) * l.kind->code_bytes;
    l.row_codes = pieces[0];
    l.row_scales = (float *)(void *)pieces[1];
    l.row_zeros = (int32_t *)(void *)pieces[2];
    l.totals = (float *)(void *)pieces[3];
    l.unpacked = (int8_t *)pieces[4];
    return l;
}

/* Panels from p on, `wide` of them side by side, for all rows of one run. */
static void run_int8_panels(const exl__run_state *run, const exl__operation *o, const run_linear *l, uint64_t p,
                            uint64_t wide) {
    const exl__int8_products *k = l->kind;
    int32_t sums[RUN_FINISHED_ROWS * EXL__MOST_TILE_PANELS * EXL__PANEL];
    uint64_t deep = run_padded(l->depth), panel_bytes = deep * EXL__PANEL;
    exl__finish f = {.activation = o->function};

    for (uint64_t r = 0, high; r < l->rows; r += high) {
        high = l->rows - r < RUN_FINISHED_ROWS ? l->rows - r : RUN_FINISHED_ROWS;
        for (uint64_t i = 0, rows; i < high; i += rows) {
            rows = run_tile_rows(high - i, k->tile_rows);
            k->dot(l->row_codes + (r + i) * l->code_stride, l->code_stride, (uint32_t)rows, l->codes + p * panel_bytes,
                   panel_bytes, (uint32_t)wide, (uint32_t)(deep / 4), sums + i * wide * EXL__PANEL);
        }
        f.row_scales = l->row_scales + r;
        for (uint64_t q = 0; q < wide; q++) {
            uint64_t column = (p + q) * EXL__PANEL;
            f.scales = (const float *)(const void *)l->table + l->line + column;
            f.code_sums = l->table + 2 * l->line + column;
            run_finish(run, l, &f, r, high, column, sums + q * EXL__PANEL, wide * EXL__PANEL);
        }
    }
}

/* Of several runs, one at least: each one's product with its rows as codes. */
static void run_begin_linears(const exl__run_state *runs, uint32_t count, const exl__operation *o, run_linear *l) {
    uint32_t i = 0;

    do {
        l[i] = run_begin_linear(&runs[i], o);
        run_quantize(&runs[i], o, &l[i]);
    } while (++i < count);
}

/* Of several runs: a panel of weights that one has read lies in the cache for the others. */
static void run_linear_int8(const exl__run_state *runs, uint32_t count, const exl__operation *o) {
    run_linear l[EXL__MOST_TOGETHER];
    uint64_t panels, most;

    run_begin_linears(runs, count, o, l);
    panels = l[0].line / EXL__PANEL;
    most = l[0].kind->tile_panels;
    for (uint64_t p = 0, wide; p < panels; p += wide) {
        wide = panels - p < most ? panels - p : most;
        for (uint32_t i = 0; i < count; i++)
            run_int8_panels(&runs[i], o, &l[i], p, wide);
    }
}

/* A block's 512 codes: as they are, or 256 bytes of two nibbles each. */
static const int8_t *run_block_codes(const run_linear *l, uint64_t block, uint64_t bits) {
    const uint8_t *packed = (const uint8_t *)l->codes + block * (EXL__BLOCK * EXL__PANEL) * bits / 8;
    const int half = EXL__BLOCK * EXL__PANEL / 2;

    if (bits == 8)
        return (const int8_t *)packed;
    for (int i = 0; i < half; i++) {
        l->unpacked[i] = (int8_t)((packed[i] & 15) - 8);
        l->unpacked[half + i] = (int8_t)((packed[i] >> 4) - 8);
    }
    return l->unpacked;
}

/* A block's products of one run added to its totals of 16 columns, of which `line` has scales and code sums. */
static void run_add_block(const exl__run_state *run, const run_linear *l, uint64_t block, const int8_t *codes,
                          const int32_t *line) {
    const exl__int8_products *k = l->kind;
    int32_t sums[EXL__MOST_TILE_ROWS * EXL__PANEL];

    for (uint64_t r = 0, high; r < l->rows; r += high) {
        high = run_tile_rows(l->rows - r, k->tile_rows);
        k->dot(l->row_codes + r * l->code_stride + block * EXL__BLOCK * k->code_bytes, l->code_stride, (uint32_t)high,
               codes, 0, 1, EXL__BLOCK / 4, sums);
        for (uint64_t i = 0; i < high; i++)
            run->kernels->add_block(sums + i * EXL__PANEL, l->row_zeros[r + i], (const float *)(const void *)line,
                                    line + l->line, l->totals + (r + i) * EXL__PANEL);
    }
}

/* Of several runs: codes are unpacked once for all of them. */
static void run_linear_blocks(const exl__run_state *runs, uint32_t count, const exl__operation *o) {
    run_linear l[EXL__MOST_TOGETHER];
    exl__finish f = {.activation = o->function};
    uint64_t blocks, bits = run_bits(runs, o);

    run_begin_linears(runs, count, o, l);
    blocks = l[0].depth / EXL__BLOCK;
    for (uint64_t column = 0; column < l[0].line; column += EXL__PANEL) {
        for (uint32_t i = 0; i < count; i++)
            memset(l[i].totals, 0, l[i].rows * EXL__PANEL * sizeof *l[i].totals);
        for (uint64_t b = 0; b < blocks; b++) {
            const int8_t *codes = run_block_codes(&l[0], column / EXL__PANEL * blocks + b, bits);
            for (uint32_t i = 0; i < count; i++)
                run_add_block(&runs[i], &l[i], b, codes, l[i].table + (1 + 2 * b) * l[i].line + column);
        }
        for (uint32_t i = 0; i < count; i++) {
            f.row_scales = l[i].row_scales;
            run_finish(&runs[i], &l[i], &f, 0, l[i].rows, column, l[i].totals, EXL__PANEL);
        }
    }
}

static void run_linear_f32(const exl__run_state *run, const exl__operation *o) {
    const exl__kernels *k = run->kernels;
    float tile[EXL__MOST_TILE_ROWS * EXL__PANEL];
    run_linear l = run_begin_linear(run, o);
    const float *x = exl__operand_at(run, o, 1), *weights = exl__operand_at(run, o, 2);
    uint64_t x_stride = run_stride(run, o, 1, 0);
    static const float ones[EXL__MOST_TILE_ROWS] = {1, 1, 1, 1, 1, 1, 1, 1};
    exl__finish f = {.activation = o->function, .row_scales = ones};

    for (uint64_t column = 0; column < l.line; column += EXL__PANEL)
        for (uint64_t r = 0, high; r < l.rows; r += high) {
            high = run_tile_rows(l.rows - r, k->float_rows);
            k->product_f32(x + r * x_stride, x_stride, (uint32_t)high, weights + column * l.depth, EXL__PANEL,
                           (uint32_t)l.depth, tile, EXL__PANEL);
            run_finish(run, &l, &f, r, high, column, tile, EXL__PANEL);
        }
}

/* ---- products of two values ------------------------------------------------------------------------------------- */

/* A matrix [depth][columns] with any strides as [depth][padded columns], zeros behind. */
static void run_pack(const float *from, uint64_t row_stride, uint64_t column_stride, uint64_t depth, uint64_t columns,
                     float *to) {
    uint64_t line = run_padded(columns);

    if (row_stride == 1 && column_stride != 1) /* a transpose: read in order, a column of `to` at a time */
        for (uint64_t c = 0; c < columns; c++)
            for (uint64_t k = 0; k < depth; k++)
                to[k * line + c] = from[c * column_stride + k];
    else
        for (uint64_t k = 0; k < depth; k++)
            for (uint64_t c = 0; c < columns; c++)
                to[k * line + c] = from[k * row_stride + c * column_stride];
    if (line != columns)
        for (uint64_t k = 0; k < depth; k++)
            memset(to + k * line + columns, 0, (line - columns) * sizeof *to);
}

/* out[rows][columns] = a[rows][depth] x b, b packed; rows of out lie out_stride apart. Where out_columns is more than
 * columns, there is room in out for the padding, too. */
static void run_product(const exl__run_state *run, const float *a, uint64_t a_stride, uint64_t rows, const float *b,
                        uint64_t depth, uint64_t columns, float *out, uint64_t out_stride, uint64_t out_columns) {
    float tile[EXL__MOST_TILE_ROWS * EXL__PANEL];
    uint64_t line = run_padded(columns);

    for (uint64_t column = 0; column < columns; column += EXL__PANEL)
        for (uint64_t r = 0, high; r < rows; r += high) {
            int fits = out_columns - column >= EXL__PANEL;
            float *to = fits ? out + r * out_stride + column : tile;

            high = run_tile_rows(rows - r, run->kernels->float_rows);
            run->kernels->product_f32(a + r * a_stride, a_stride, (uint32_t)high, b + column, line, (uint32_t)depth, to,
                                      fits ? out_stride : EXL__PANEL);
            for (uint64_t i = 0; i < high && !fits; i++)
                memcpy(out + (r + i) * out_stride + column, tile + i * EXL__PANEL, (columns - column) * sizeof *out);
        }
}

typedef struct run_head {
    uint64_t queries, keys, width, line;
    const float *q, *k, *v, *bias; /* of one head */
    float *out, *best;
    float *packed_keys, *packed_values, *scores, *packed_bias;
} run_head;

static void run_attend(const exl__run_state *run, const exl__operation *o, const run_head *a) {
    uint64_t q_stride = run_stride(run, o, 1, 1), out_stride = run_stride(run, o, 0, 1);
    uint64_t bias_stride = a->bias ? run_stride(run, o, 4, 1) : 0, bias_step = a->bias ? run_stride(run, o, 4, 2) : 0;
    float tops[EXL__MOST_TILE_ROWS];

    run_pack(a->k, run_stride(run, o, 2, 3), run_stride(run, o, 2, 2), a->width, a->keys, a->packed_keys);
    run_pack(a->v, run_stride(run, o, 3, 2), run_stride(run, o, 3, 3), a->keys, a->width, a->packed_values);
    if (a->bias && bias_stride == 0)
        run_pack(a->bias, 0, bias_step, 1, a->keys, a->packed_bias);
    for (uint64_t r = 0, high; r < a->queries; r += high) {
        high = run_tile_rows(a->queries - r, run->kernels->float_rows);
        run_product(run, a->q + r * q_stride, q_stride, high, a->packed_keys, a->width, a->keys, a->scores, a->line,
                    a->line);
        if (bias_stride != 0)
            run_pack(a->bias + r * bias_stride, bias_stride, bias_step, high, a->keys, a->packed_bias);
        run->kernels->softmax(a->scores, (uint32_t)high, (uint32_t)a->keys, (uint32_t)a->line, o->numbers[0],
                              a->bias ? a->packed_bias : NULL, bias_stride ? a->line : 0, tops);
        for (uint64_t i = 0; i < high && a->best; i++)
            a->best[(r + i) * run_stride(run, o, 5, 1)] = tops[i];
        run_product(run, a->scores, a->line, high, a->packed_values, a->keys, a->width, a->out + r * out_stride,
                    out_stride, a->width);
    }
}

static void run_attention(const exl__run_state *run, const exl__operation *o) {
    run_head a = {
        .queries = run_at(run, o->sizes[1]), .keys = run_at(run, o->sizes[2]), .width = run_at(run, o->sizes[3])};
    uint64_t heads = run_at(run, o->sizes[0]);
    float *out = exl__operand_at(run, o, 0), *best = exl__operand_at(run, o, 5);
    const float *q = exl__operand_at(run, o, 1), *k = exl__operand_at(run, o, 2), *v = exl__operand_at(run, o, 3),
                *bias = exl__operand_at(run, o, 4);
    uint8_t *pieces[EXL__PIECES];

    run_take_work(run, o, pieces);
    a.line = run_padded(a.keys);
    a.packed_keys = (float *)(void *)pieces[0];
    a.packed_values = (float *)(void *)pieces[1];
    a.scores = (float *)(void *)pieces[2];
    a.packed_bias = (float *)(void *)pieces[3];
    for (uint64_t h = 0; h < heads; h++) {
        a.out = out + h * run_stride(run, o, 0, 0);
        a.q = q + h * run_stride(run, o, 1, 0);
        a.k = k + h * run_stride(run, o, 2, 0);
        a.v = v + h * run_stride(run, o, 3, 0);
        a.bias = bias ? bias + h * run_stride(run, o, 4, 0) : NULL;
        a.best = best ? best + h * run_stride(run, o, 5, 0) : NULL;
        run_attend(run, o, &a);
    }
}

static void run_matmul(const exl__run_state *run, const exl__operation *o) {
    uint64_t batch = run_at(run, o->sizes[0]), rows = run_at(run, o->sizes[1]), depth = run_at(run, o->sizes[2]);
    uint64_t columns = run_at(run, o->sizes[3]);
    uint8_t *pieces[EXL__PIECES];
    float *out = exl__operand_at(run, o, 0), *packed;
    const float *a = exl__operand_at(run, o, 1), *b = exl__operand_at(run, o, 2);

    run_take_work(run, o, pieces);
    packed = (float *)(void *)pieces[0];
    for (uint64_t i = 0; i < batch; i++) {
        run_pack(b + i * run_stride(run, o, 2, 0), run_stride(run, o, 2, 2), run_stride(run, o, 2, 3), depth, columns,
                 packed);
        run_product(run, a + i * run_stride(run, o, 1, 0), run_stride(run, o, 1, 1), rows, packed, depth, columns,
                    out + i * run_stride(run, o, 0, 0), run_stride(run, o, 0, 1), columns);
    }
}

/* ---- rows ------------------------------------------------------------------------------------------------------- */

static void run_layer_norm(const exl__run_state *run, const exl__operation *o) {
    uint64_t rows = run_at(run, o->sizes[0]), n = run_at(run, o->sizes[1]);
    float *out = exl__operand_at(run, o, 0);
    const float *x = exl__operand_at(run, o, 1), *gamma = exl__operand_at(run, o, 2),
                *beta = exl__operand_at(run, o, 3);

    for (uint64_t r = 0; r < rows; r++)
        run->kernels->layer_norm(x + r * run_stride(run, o, 1, 0), (uint32_t)n, o->numbers[0], gamma, beta,
                                 out + r * run_stride(run, o, 0, 0));
}

static void run_softmax(const exl__run_state *run, const exl__operation *o) {
    uint64_t rows = run_at(run, o->sizes[0]), n = run_at(run, o->sizes[1]);
    uint64_t out_stride = run_stride(run, o, 0, 0), x_stride = run_stride(run, o, 1, 0);
    uint8_t *pieces[EXL__PIECES];
    float *out = exl__operand_at(run, o, 0), *row, top;
    const float *x = exl__operand_at(run, o, 1);

    run_take_work(run, o, pieces);
    row = (float *)(void *)pieces[0];
    for (uint64_t r = 0; r < rows; r++) {
        memcpy(row, x + r * x_stride, n * sizeof *row);
        run->kernels->softmax(row, 1, (uint32_t)n, (uint32_t)run_padded(n), 1, NULL, 0, &top);
        memcpy(out + r * out_stride, row, n * sizeof *row);
    }
}

/* A row of 4-bit codes, a scale a block: byte i holds number 2 i in its low and 2 i + 1 in its high nibble, 8 added. */
static void run_widen_blocks(const exl__run_state *run, const int8_t *codes, const float *scales, uint64_t n,
                             float *out) {
    int8_t block[EXL__BLOCK];

    for (uint64_t first = 0; first < n; first += EXL__BLOCK) {
        for (int i = 0; i < EXL__BLOCK / 2; i++) {
            uint8_t pair = (uint8_t)codes[first / 2 + (uint64_t)i];
            block[2 * i] = (int8_t)((pair & 15) - 8);
            block[2 * i + 1] = (int8_t)((pair >> 4) - 8);
        }
        run->kernels->widen(block, scales[first / EXL__BLOCK], EXL__BLOCK, out + first);
    }
}

static exl_status run_embed(const exl__run_state *run, const exl__operation *o) {
    uint64_t rows = run_at(run, o->sizes[0]), n = run_at(run, o->sizes[1]);
    const exl__plan_buffer *table = &run->plan->buffers[o->operands[2].buffer];
    int of_blocks = o->function == EXL__OF_BLOCKS;
    uint64_t row = of_blocks ? n / 2 : n, row_scales = of_blocks ? n / EXL__BLOCK : 1;
    uint64_t entries = run_at(run, table->elements) / row, id_stride = run_stride(run, o, 1, 0);
    float *out = exl__operand_at(run, o, 0);
    const int64_t *ids = exl__operand_at(run, o, 1);
    const float *numbers = exl__operand_at(run, o, 2), *scales = exl__operand_at(run, o, 3);
    const int8_t *codes = exl__operand_at(run, o, 2);
    uint64_t row_bytes = row * exl__type_bytes(table->type), out_stride = run_stride(run, o, 0, 0);

    for (uint64_t r = 0; r < rows; r++) {
        uint64_t id = (uint64_t)ids[r * id_stride];
        uint64_t ahead = r + RUN_AHEAD_ROWS < rows ? (uint64_t)ids[(r + RUN_AHEAD_ROWS) * id_stride] : entries;
        if (ahead < entries) { /* the table's rows are anywhere, and the processor cannot guess which */
            __builtin_prefetch((const uint8_t *)(const void *)codes + ahead * row_bytes);
            if (scales)
                __builtin_prefetch(scales + ahead * row_scales);
        }
        if (id >= entries)
            return exl__fail(run->error, EXL_ENGINE_FAILED, "the %s looks up entry %lld of a table of %llu", run->role,
                             (long long)id, (unsigned long long)entries);
        if (table->type == EXL__F32)
            memcpy(out + r * out_stride, numbers + id * n, n * sizeof *out);
        else if (of_blocks)
            run_widen_blocks(run, codes + id * row, scales + id * row_scales, n, out + r * out_stride);
        else
            run->kernels->widen(codes + id * n, scales ? scales[id] : 1.0f, (uint32_t)n, out + r * out_stride);
    }
    return EXL_OK;
}

/* ---- the plan --------------------------------------------------------------------------------------------------- */

static exl_status run_operation(const exl__run_state *run, const exl__operation *o) {
    switch ((exl__code)o->code) {
    case EXL__LINEAR_F32: run_linear_f32(run, o); break;
    case EXL__LAYER_NORM: run_layer_norm(run, o); break;
    case EXL__ATTENTION: run_attention(run, o); break;
    case EXL__EMBED: return run_embed(run, o);
    case EXL__MAP: exl__walk_map(run, o); break;
    case EXL__REDUCE: exl__walk_reduce(run, o); break;
    case EXL__SOFTMAX: run_softmax(run, o); break;
    case EXL__MATMUL: run_matmul(run, o); break;
    case EXL__SHIFT:
    case EXL__RUNNING_SUM: exl__walk_integers(run, o); break;
    case EXL__LINEAR_INT8: /* run_together has them */
    case EXL__LINEAR_BLOCKS:
    case EXL__CODES: break;
    }
    return EXL_OK;
}

static exl_status run_together(const exl__run_state *runs, uint32_t count, const exl__operation *o) {
    exl_status status = EXL_OK;

    if (o->code == EXL__LINEAR_INT8)
        run_linear_int8(runs, count, o);
    else if (o->code == EXL__LINEAR_BLOCKS)
        run_linear_blocks(runs, count, o);
    else
        for (uint32_t i = 0; i < count && status == EXL_OK; i++)
            status = run_operation(&runs[i], o);
    return status;
}

exl_status exl__plan_run(const exl__run_state *runs, uint32_t count) {
    const exl__plan *plan = runs->plan;
    exl_status status = EXL_OK;

    for (uint32_t i = 0; i < plan->operation_count && status == EXL_OK; i++) {
        const exl__operation *o = &plan->operations[i];
        if (!runs->buffers[o->operands[0].buffer])
            continue; /* an output that nobody wants */
        if (runs->costs) {
            double begin = exl__now_ms();
            status = run_together(runs, count, o);
            exl__add_cost(&runs->costs[i], plan, o, &runs->at, exl__now_ms() - begin);
        } else
            status = run_together(runs, count, o);
    }
    return status;
}
