/* limits.h: what a core can do at most, by the library's own kernels: multiply-adds from the nearest cache, and bytes
 * read from memory of growing size. A profile compares operations with it. */
#ifndef EXL_TOOLS_LIMITS_H
#define EXL_TOOLS_LIMITS_H

#include "../src/cpu.h"
#include "../src/native.h"
#include "machine.h"

enum { LIMITS_DEPTH = 256, LIMITS_LARGEST_MIB = 256, LIMITS_FILE_MIB = 512 };
enum { LIMITS_REPEATS = 50, LIMITS_LEAST_REPEATS = 4, LIMITS_REPEAT_MS = 2, LIMITS_MS = 150 };

/* Of one call of `once`, the least of some repeats: short ones, so that some fall between two uses of the core by
 * others. */
static double least_ms(void (*once)(void *context), void *context) {
    double least = INFINITY, spent = 0;
    unsigned long calls = 1;

    once(context);
    for (int repeat = 0; repeat < LIMITS_REPEATS && (repeat < LIMITS_LEAST_REPEATS || spent < LIMITS_MS); repeat++) {
        double begin = now_ms(), took;
        for (unsigned long i = 0; i < calls; i++)
            once(context);
        took = now_ms() - begin;
        least = took / (double)calls < least ? took / (double)calls : least;
        spent += took;
        if (took < LIMITS_REPEAT_MS && calls < 1ul << 28) {
            calls *= 2;
            repeat = 0;
        }
    }
    return least;
}

/* Zeros at a multiple of 64, as a bundle's weights lie; null where there is no memory. */
static void *zeros(size_t count, size_t bytes) {
    void *memory = NULL;

    if (posix_memalign(&memory, 64, count * bytes) != 0)
        return NULL;
    return memset(memory, 0, count * bytes);
}

typedef struct product {
    const exl__kernels *kernels;
    uint8_t *codes;
    int8_t *weights;
    float *a, *b, *out;
    int32_t *sums;
} product;

static void multiply_int8(void *context) {
    const product *p = context;
    const exl__int8_products *k = &p->kernels->seven;
    k->dot(p->codes, (size_t)LIMITS_DEPTH * k->code_bytes, k->tile_rows, p->weights, (size_t)LIMITS_DEPTH * EXL__PANEL,
           k->tile_panels, LIMITS_DEPTH / 4, p->sums);
}

static void multiply_f32(void *context) {
    const product *p = context;
    p->kernels->product_f32(p->a, LIMITS_DEPTH, p->kernels->float_rows, p->b, EXL__PANEL, LIMITS_DEPTH, p->out,
                            EXL__PANEL);
}

typedef struct region {
    const char *bytes;
    size_t count;
    unsigned long long sum;
} region;

typedef unsigned long long lanes __attribute__((vector_size(32), aligned(8), may_alias));

/* Reads all of it, by the widest loads that every processor of the kind has, into sums that stay in registers. */
#define READ_REGION                                                                                                    \
    region *r = context;                                                                                               \
    const lanes *at = (const lanes *)(const void *)r->bytes, *end = at + r->count / sizeof *at / 4 * 4;                \
    lanes a = {0}, b = {0}, c = {0}, d = {0};                                                                          \
    for (; at < end; at += 4)                                                                                          \
        a ^= at[0], b ^= at[1], c ^= at[2], d ^= at[3];                                                                \
    a ^= b ^ c ^ d;                                                                                                    \
    r->sum += a[0] ^ a[1] ^ a[2] ^ a[3];
static void read_region(void *context) { READ_REGION }
#if defined(__x86_64__)
__attribute__((target("avx2"))) static void read_region_avx2(void *context) { READ_REGION }
#endif

static void (*region_reader(void))(void *) {
#if defined(__x86_64__)
    if (exl__x86_has(EXL__X86_AVX2))
        return read_region_avx2;
#endif
    return read_region;
}

/* What a file is read at that the system does not hold, in millions of bytes a second. */
static double file_mb_per_s(const char *path) {
    enum { PIECE = 1 << 20 };
    double begin, bytes = 0, cached = cached_percent(path, 1);
    int file = open(path, O_RDONLY);
    char *piece = malloc(PIECE);
    ssize_t got = 0;

    begin = now_ms();
    while (file >= 0 && piece && bytes < LIMITS_FILE_MIB * 1048576.0 && (got = read(file, piece, PIECE)) > 0)
        bytes += (double)got;
    begin = now_ms() - begin;
    free(piece);
    if (file >= 0)
        close(file);
    return got < 0 || bytes <= 0 || cached < 0 || cached > 10 ? UNKNOWN : bytes / 1e3 / begin;
}

/* The report of --limits. file: null, or what is read; core: that it runs on, -1 where that is anyone. */
static int print_limits(const char *file, int core) {
    product p = {.kernels = exl__kernels_best(0)};
    size_t largest = (size_t)LIMITS_LARGEST_MIB << 20;
    double free_kib = read_key("/proc/meminfo", "MemAvailable:");
    double macs = (double)LIMITS_DEPTH * EXL__PANEL, gmacs_int8, gmacs_f32;
    char *memory = NULL;

    p.codes = zeros(EXL__MOST_TILE_ROWS, (size_t)LIMITS_DEPTH * 4);
    p.weights = zeros(EXL__MOST_TILE_PANELS, (size_t)LIMITS_DEPTH * EXL__PANEL);
    p.a = zeros(EXL__MOST_TILE_ROWS, (size_t)LIMITS_DEPTH * sizeof *p.a);
    p.b = zeros(EXL__PANEL, (size_t)LIMITS_DEPTH * sizeof *p.b);
    p.out = zeros(EXL__MOST_TILE_ROWS, EXL__PANEL * sizeof *p.out);
    p.sums = zeros((size_t)EXL__MOST_TILE_ROWS * EXL__MOST_TILE_PANELS, EXL__PANEL * sizeof *p.sums);
    while (free_kib > 0 && largest > 1 << 20 && (double)largest > free_kib * 1024 / 4)
        largest /= 2; /* the rest is for whoever else is there */
    while (largest >= 1 << 20 && !(memory = zeros(largest, 1)))
        largest /= 2;
    if (!p.codes || !p.weights || !p.a || !p.b || !p.out || !p.sums || !memory) {
        say("there is not enough memory to measure with");
        return EXIT_DEVICE;
    }
    memset(memory, 1, largest);
    gmacs_int8 = macs * p.kernels->seven.tile_rows * p.kernels->seven.tile_panels / 1e6 / least_ms(multiply_int8, &p);
    gmacs_f32 = macs * p.kernels->float_rows / 1e6 / least_ms(multiply_f32, &p);
    printf("{\"kernel\": \"%s\", ", p.kernels->name);
    print_number("core", core, 0);
    printf(", \"int8_gmacs\": %.2f, \"f32_gmacs\": %.2f, \"read\": [", gmacs_int8, gmacs_f32);
    for (size_t bytes = 16384; bytes <= largest; bytes *= 2) {
        region r = {memory, bytes, 0};
        double ms = least_ms(region_reader(), &r);
        printf("%s{\"bytes\": %zu, \"gb_per_s\": %.2f}", bytes > 16384 ? ", " : "", bytes, (double)bytes / 1e6 / ms);
    }
    fputs("], ", stdout);
    print_number("file_mb_per_s", file ? file_mb_per_s(file) : UNKNOWN, 1);
    fputs("}\n", stdout);
    free(p.codes);
    free(p.weights);
    free(p.a);
    free(p.b);
    free(p.out);
    free(p.sums);
    free(memory);
    return EXIT_DONE;
}

#endif
