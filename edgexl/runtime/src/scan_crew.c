/* scan_crew.c: threads that sleep until there is a scan. Nobody spins: between queries a device has better to do, and
 * waking costs some microseconds, which a part of a scan must be worth. */
#include "compiler.h"

#include "platform.h"
#include "scan_crew.h"

#ifndef EXL__STARTS_THREADS

exl__scan_crew *exl__scan_crew_open(const exl_allocator *allocator, uint32_t threads, uint32_t rows, uint32_t subspaces,
                                    uint32_t keep) {
    (void)allocator, (void)threads, (void)rows, (void)subspaces, (void)keep;
    return NULL;
}

void exl__scan_crew_close(exl__scan_crew *crew) { (void)crew; }

uint32_t exl__scan_crew_run(exl__scan_crew *crew, const exl__scan_codes *codes, exl__scan_query *query) {
    (void)crew, (void)codes, (void)query;
    return 0;
}

#else

#include "checked.h"

typedef struct scan_crew_member {
    exl__scan_crew *crew;
    uint32_t part;
} scan_crew_member;

struct exl__scan_crew {
    exl_allocator allocator;
    uint64_t bytes;
    long process; /* in which the threads are */
    uint32_t keep, parts;
    uint32_t part_starts[EXL__SCAN_PARTS + 1];

    exl__mutex lock; /* of all that follows, up to the job */
    exl__condition begin, done;
    uint32_t scans, left; /* how many scans there have been; parts of this one that others are still at */
    int ends;

    exl__scan_codes codes;
    exl__scan_query queries[EXL__SCAN_PARTS]; /* a part is scanned as a query of its own */
    exl__thread threads[EXL__SCAN_PARTS];
    uint32_t thread_count;
    scan_crew_member members[EXL__SCAN_PARTS];
};

static void scan_crew_scan_part(exl__scan_crew *crew, uint32_t part) {
    uint32_t from = crew->part_starts[part];
    exl__scan_codes own = crew->codes;

    own.rows = crew->part_starts[part + 1] - from;
    own.bytes += (size_t)from * (own.subspaces / 2);
    own.dead = own.dead ? own.dead + from / 64 : NULL;
    (void)exl__scan(&own, NULL, 0, crew->keep, &crew->queries[part]);
}

static void scan_crew_work(void *of) {
    const scan_crew_member *self = of;
    exl__scan_crew *crew = self->crew;
    uint32_t seen = 0;

    exl__mutex_lock(&crew->lock);
    for (;;) {
        while (!crew->ends && crew->scans == seen)
            exl__condition_wait(&crew->begin, &crew->lock);
        if (crew->ends)
            break;
        seen = crew->scans;
        exl__mutex_unlock(&crew->lock);
        scan_crew_scan_part(crew, self->part);
        exl__mutex_lock(&crew->lock);
        if (--crew->left == 0)
            exl__condition_wake_all(&crew->done);
    }
    exl__mutex_unlock(&crew->lock);
}

/* Returns whether all of them run. */
static int scan_crew_start(exl__scan_crew *crew) {
    int runs = 1;

    for (uint32_t part = 1; part < crew->parts && runs; part++) {
        crew->members[part] = (scan_crew_member){crew, part};
        runs = exl__thread_start(&crew->threads[crew->thread_count], scan_crew_work, &crew->members[part]);
        crew->thread_count += (uint32_t)runs;
    }
    return runs;
}

exl__scan_crew *exl__scan_crew_open(const exl_allocator *allocator, uint32_t threads, uint32_t rows, uint32_t subspaces,
                                    uint32_t keep) {
    uint32_t blocks = (uint32_t)(((uint64_t)rows + EXL__SCAN_BLOCK - 1) / EXL__SCAN_BLOCK);
    uint32_t parts = threads < EXL__SCAN_PARTS ? threads : EXL__SCAN_PARTS, most = keep < rows ? keep : rows;
    uint64_t head = exl__round_up(sizeof(exl__scan_crew), 64),
             scratch = exl__round_up(exl__scan_scratch_bytes(rows, subspaces, keep), 64);
    uint64_t each = scratch + exl__round_up((uint64_t)most * 4, 64) + exl__round_up((uint64_t)most * 2, 64), bytes;
    exl__scan_crew *crew;

    parts = parts < blocks ? parts : blocks;
    bytes = head + parts * each;
    crew = exl__allocate(allocator, bytes, 1);
    if (!crew)
        return NULL;
    crew->allocator = *allocator;
    crew->bytes = bytes;
    crew->process = exl__process();
    crew->keep = keep, crew->parts = parts;
    for (uint32_t part = 0; part < parts; part++) {
        uint8_t *own = (uint8_t *)crew + head + part * each;
        crew->part_starts[part] = (uint32_t)((uint64_t)blocks * part / parts) * EXL__SCAN_BLOCK;
        crew->queries[part].scratch = own;
        crew->queries[part].out_rows = (uint32_t *)(void *)(own + scratch);
        crew->queries[part].out_scores = (uint16_t *)(void *)(own + scratch + exl__round_up((uint64_t)most * 4, 64));
    }
    crew->part_starts[parts] = rows;
    (void)exl__mutex_init(&crew->lock); /* these three cannot fail without attributes, on any system there is */
    (void)exl__condition_init(&crew->begin);
    (void)exl__condition_init(&crew->done);
    if (!scan_crew_start(crew)) {
        exl__scan_crew_close(crew);
        return NULL;
    }
    return crew;
}

/* A child made by fork has the memory and not the threads: it must not wait for them, nor for their lock. */
static int scan_crew_has_its_threads(const exl__scan_crew *crew) { return crew->process == exl__process(); }

static void scan_crew_end(exl__scan_crew *crew) {
    exl__mutex_lock(&crew->lock);
    crew->ends = 1;
    exl__condition_wake_all(&crew->begin);
    exl__mutex_unlock(&crew->lock);
    for (uint32_t i = 0; i < crew->thread_count; i++)
        exl__thread_join(&crew->threads[i]);
    exl__condition_destroy(&crew->done);
    exl__condition_destroy(&crew->begin);
    exl__mutex_destroy(&crew->lock);
}

void exl__scan_crew_close(exl__scan_crew *crew) {
    exl_allocator allocator;

    if (!crew)
        return;
    if (scan_crew_has_its_threads(crew))
        scan_crew_end(crew);
    allocator = crew->allocator;
    exl__release(&allocator, crew, crew->bytes, 1);
}

/* Part 0 is the caller's, the others' are scanned at the same time. */
static void scan_crew_scan_together(exl__scan_crew *crew) {
    exl__mutex_lock(&crew->lock);
    crew->left = crew->parts - 1;
    crew->scans++;
    exl__condition_wake_all(&crew->begin);
    exl__mutex_unlock(&crew->lock);
    scan_crew_scan_part(crew, 0);
    exl__mutex_lock(&crew->lock);
    while (crew->left > 0)
        exl__condition_wait(&crew->done, &crew->lock);
    exl__mutex_unlock(&crew->lock);
}

uint32_t exl__scan_crew_run(exl__scan_crew *crew, const exl__scan_codes *codes, exl__scan_query *query) {
    crew->codes = *codes; /* the others sleep, and see it once they have the lock */
    for (uint32_t part = 0; part < crew->parts; part++)
        crew->queries[part].tables = query->tables;
    if (scan_crew_has_its_threads(crew))
        scan_crew_scan_together(crew);
    else
        for (uint32_t part = 0; part < crew->parts; part++)
            scan_crew_scan_part(crew, part);
    query->count =
        exl__scan_merge(crew->queries, crew->part_starts, crew->parts, crew->keep, query->out_rows, query->out_scores);
    return query->count;
}

#endif
