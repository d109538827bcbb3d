/* live_store.c: the sets of open bundles: which is the current one, who holds which, and what a fork leaves of that.
 *
 * A child made by fork has one thread and the locks as they were. So every fork waits until nobody holds a lock on sets
 * (these are held for a few instructions), and in the child whoever was changing a set is gone: his lock is made anew
 * and his descriptor is closed, with which the child would keep the label file locked. */
#include "compiler.h"

#include "live.h"

#include <string.h>

#include "bundle.h"
#include "memory.h"
#include "storage.h"

/* ---- forks ----------------------------------------------------------------------------------------------------- */

static exl__mutex live_store_mutex = EXL__MUTEX;
static exl__live_store *live_store_first; /* of all open bundles */
static int live_store_forks_are_watched;

static void live_store_before_fork(void) {
    exl__mutex_lock(&live_store_mutex);
    for (exl__live_store *store = live_store_first; store; store = store->next)
        exl__mutex_lock(&store->mutex);
}

static void live_store_in_parent(void) {
    for (exl__live_store *store = live_store_first; store; store = store->next)
        exl__mutex_unlock(&store->mutex);
    exl__mutex_unlock(&live_store_mutex);
}

static void live_store_in_child(void) {
    for (exl__live_store *store = live_store_first; store; store = store->next) {
        (void)exl__mutex_init(&store->changing);
        exl__descriptor_close(store->locked);
        store->locked = -1;
    }
    live_store_in_parent();
}

/* 0 where there is no memory for it. */
static int live_store_watch_forks(exl__live_store *store) {
    exl__mutex_lock(&live_store_mutex);
    live_store_forks_are_watched =
        live_store_forks_are_watched || exl__at_fork(live_store_before_fork, live_store_in_parent, live_store_in_child);
    if (live_store_forks_are_watched) {
        store->next = live_store_first;
        live_store_first = store;
    }
    exl__mutex_unlock(&live_store_mutex);
    return live_store_forks_are_watched;
}

static void live_store_forget_forks(const exl__live_store *store) {
    exl__live_store **at = &live_store_first;

    exl__mutex_lock(&live_store_mutex);
    while (*at != store)
        at = &(*at)->next;
    *at = store->next;
    exl__mutex_unlock(&live_store_mutex);
}

/* ---- the store ------------------------------------------------------------------------------------------------- */

exl_status exl__live_open(exl_bundle *bundle, const char *path, const char *labels_path, exl_error *error) {
    static const char SUFFIX[] = ".labels";
    const char *named = labels_path ? labels_path : path;
    size_t stem = named ? strlen(named) : 0, suffix = labels_path ? 0 : sizeof SUFFIX - 1;
    exl__live_store *store = exl__allocate(&bundle->allocator, 1, sizeof *store);
    exl__live *live = NULL;
    exl_status status;

    if (!store)
        return exl__fail(error, EXL_OUT_OF_MEMORY, "no memory for the bundle");
    store->locked = -1;
    if (!exl__mutex_init(&store->mutex) || !exl__mutex_init(&store->changing) || !live_store_watch_forks(store)) {
        exl__release(&bundle->allocator, store, 1, sizeof *store);
        return exl__fail(error, EXL_OUT_OF_MEMORY, "no memory for the bundle");
    }
    bundle->live = store;
    if (named) {
        store->path_bytes = stem + suffix + 1;
        store->path = exl__allocate(&bundle->allocator, store->path_bytes, 1);
        if (!store->path)
            return exl__fail(error, EXL_OUT_OF_MEMORY, "no memory for the bundle");
        memcpy(store->path, named, stem);
        memcpy(store->path + stem, SUFFIX, suffix);
    }
    status = exl__live_load(bundle, &live, error);
    if (status == EXL_OK)
        exl__live_publish(bundle, live);
    return status;
}

void exl__live_close(exl_bundle *bundle) {
    exl__live_store *store = bundle->live;

    if (!store)
        return;
    live_store_forget_forks(store);
    for (exl__live *older; store->sets; store->sets = older) {
        older = store->sets->older;
        exl__live_release(bundle, store->sets);
    }
    exl__mutex_destroy(&store->mutex);
    exl__mutex_destroy(&store->changing);
    exl__release(&bundle->allocator, store->path, store->path_bytes, 1);
    exl__release(&bundle->allocator, store, 1, sizeof *store);
    bundle->live = NULL;
}

const exl__live *exl__live_take(const exl_bundle *bundle) {
    exl__live *live;

    if (!bundle->live)
        return NULL;
    exl__mutex_lock(&bundle->live->mutex);
    live = bundle->live->current;
    if (live)
        live->references++;
    exl__mutex_unlock(&bundle->live->mutex);
    return live;
}

void exl__live_give(const exl_bundle *bundle, const exl__live *live) {
    if (!live)
        return;
    exl__mutex_lock(&bundle->live->mutex);
    ((exl__live *)(uintptr_t)live)->references--;
    exl__mutex_unlock(&bundle->live->mutex);
}

void exl__live_publish(const exl_bundle *bundle, exl__live *live) {
    exl__live_store *store = bundle->live;
    exl__live *unused = NULL;

    exl__mutex_lock(&store->mutex);
    store->current = live;
    if (live) {
        live->older = store->sets;
        store->sets = live;
    }
    for (exl__live **at = &store->sets; *at;) {
        exl__live *one = *at;
        if (one == store->current || one->references > 0) {
            at = &one->older;
            continue;
        }
        *at = one->older;
        one->older = unused;
        unused = one;
    }
    exl__mutex_unlock(&store->mutex);
    for (exl__live *older; unused; unused = older) {
        older = unused->older;
        exl__live_release(bundle, unused);
    }
}
