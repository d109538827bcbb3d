/* test_faults.c: every system call of every change to a label set fails once, in several ways; after each, the status,
 * this process's set and the set of whoever reads the file anew are one and the same. And a process is killed at each.
 *
 *     test_faults BUNDLE SCRATCH        the bundle of tests/runtime/tiny_bundle.py; files are made at SCRATCH
 *
 * The linker puts these calls in the place of the system's: FAULTS in CMakeLists.txt has their names. */
#define _DEFAULT_SOURCE
#define _POSIX_C_SOURCE 200809L

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include "testing.h"

static const char *bundle_path;
static char directory[4000], labels_path[4096];

/* ---- calls that fail ------------------------------------------------------------------------------------------- */

typedef enum how {
    NOT,   /* counts */
    ONCE,  /* is not carried out */
    EVER,  /* nor any other from there on */
    LATE,  /* is carried out, and says that it was not */
    SHORT, /* a write ends half way, and the next call fails */
    HOWS,
    KILLED /* the process ends */
} how;

static how armed;
static int is_native; /* otherwise half of the time would go into opening the engine, and no call is another one */
static long calls, fails_at;

/* Whether the call that is made now fails, before (1) or after (2) it is carried out. */
static int fails(int may_be_late) {
    long call = calls++;

    if (armed == NOT || call < fails_at)
        return 0;
    if (armed == KILLED)
        raise(SIGKILL);
    errno = EIO;
    switch (armed) {
    case ONCE: return call == fails_at;
    case EVER: return 1;
    case LATE: return call == fails_at ? (may_be_late ? 2 : 1) : 0;
    default: return call == fails_at + 1;
    }
}

#define FAULTY(name, parameters, arguments)                                                                            \
    int __real_##name parameters;                                                                                      \
    int __wrap_##name parameters;                                                                                      \
    int __wrap_##name parameters {                                                                                     \
        int fault = fails(1);                                                                                          \
        if (fault != 1 && __real_##name arguments != 0)                                                                \
            return -1;                                                                                                 \
        if (fault)                                                                                                     \
            errno = EIO;                                                                                               \
        return fault ? -1 : 0;                                                                                         \
    }

FAULTY(rename, (const char *from, const char *to), (from, to))
FAULTY(fchmod, (int file, mode_t mode), (file, mode))
FAULTY(fchown, (int file, uid_t owner, gid_t group), (file, owner, group))
FAULTY(stat64, (const char *path, void *facts), (path, facts))
FAULTY(lstat64, (const char *path, void *facts), (path, facts))
FAULTY(fstat64, (int file, void *facts), (file, facts))

static int crumbs; /* reads and writes do a part at a time, and every other call is interrupted first */

static int is_interrupted(void) {
    static int odd;

    errno = EINTR;
    return crumbs && (odd = !odd);
}

static size_t part_of(size_t count) { return crumbs ? (count + 1) / 2 : count; }

int __real_flock(int file, int how);
int __wrap_flock(int file, int how);
int __wrap_flock(int file, int how) {
    int fault = fails(1);

    if (fault == 1 || is_interrupted() || __real_flock(file, how) != 0)
        return -1;
    errno = EIO;
    return fault ? -1 : 0;
}

/* Nothing here outlives a power cut, and the disk is spared. */
int __wrap_fsync(int file);
int __wrap_fsync(int file) {
    (void)file;
    return fails(1) ? -1 : 0;
}

/* A descriptor is gone whatever this says. */
int __real_close(int file);
int __wrap_close(int file);
int __wrap_close(int file) {
    int fault = fails(1);

    (void)__real_close(file);
    errno = EIO;
    return fault ? -1 : 0;
}

int __real_open64(const char *path, int flags, mode_t mode);
int __wrap_open64(const char *path, int flags, ...);
int __wrap_open64(const char *path, int flags, ...) {
    va_list more;
    mode_t mode = 0;

    va_start(more, flags);
    if (flags & O_CREAT)
        mode = (mode_t)va_arg(more, int);
    va_end(more);
    return fails(0) ? -1 : __real_open64(path, flags, mode);
}

ssize_t __real_pread64(int file, void *bytes, size_t count, off_t at);
ssize_t __wrap_pread64(int file, void *bytes, size_t count, off_t at);
ssize_t __wrap_pread64(int file, void *bytes, size_t count, off_t at) {
    return fails(0) || is_interrupted() ? -1 : __real_pread64(file, bytes, part_of(count), at);
}

ssize_t __real_readlink(const char *path, char *to, size_t bytes);
ssize_t __wrap_readlink(const char *path, char *to, size_t bytes);
ssize_t __wrap_readlink(const char *path, char *to, size_t bytes) {
    return fails(0) ? -1 : __real_readlink(path, to, bytes);
}

ssize_t __real_pwrite64(int file, const void *bytes, size_t count, off_t at);
ssize_t __wrap_pwrite64(int file, const void *bytes, size_t count, off_t at);
ssize_t __wrap_pwrite64(int file, const void *bytes, size_t count, off_t at) {
    int is_short = armed == SHORT && calls == fails_at && count > 1, fault = fails(1);

    if (fault == 1 || is_interrupted())
        return -1;
    if (crumbs)
        return __real_pwrite64(file, bytes, part_of(count), at);
    if (__real_pwrite64(file, bytes, is_short ? count / 2 : count, at) < 0)
        return -1;
    errno = EIO;
    return fault ? -1 : (ssize_t)(is_short ? count / 2 : count);
}

/* ---- changes ---------------------------------------------------------------------------------------------------- */

#define LABEL(id_, text_)                                                                                              \
    {.struct_size = sizeof(exl_new_label),                                                                             \
     .id = id_,                                                                                                        \
     .id_bytes = strlen(id_),                                                                                          \
     .text = text_,                                                                                                    \
     .text_bytes = strlen(text_)}

static exl_bundle *open_bundle(uint32_t flags) {
    exl_open_options options = {.struct_size = sizeof options, .flags = flags, .labels_path = labels_path};
    exl_bundle *bundle = NULL;

    CHECK_STATUS(exl_bundle_open(bundle_path, &options, &bundle, &said), EXL_OK);
    return bundle;
}

static exl_status add(exl_bundle *bundle, exl_session *session) {
    exl_new_label labels[] = {LABEL("N3", "red horse"), LABEL("N4", "winter bread")};
    (void)bundle;
    return exl_labels_add(session, labels, 2, NULL, NULL, &said);
}

static exl_status replace(exl_bundle *bundle, exl_session *session) {
    exl_new_label labels[] = {LABEL("N1", "red horse"), LABEL("L0007", "winter bread")};
    exl_add_options options = {.struct_size = sizeof options, .replace = 1};
    (void)bundle;
    return exl_labels_add(session, labels, 2, &options, NULL, &said);
}

static exl_status retire(exl_bundle *bundle, exl_session *session) {
    const char *ids[] = {"N1", "L0009"};
    const size_t bytes[] = {2, 5};
    (void)session;
    return exl_labels_retire(bundle, ids, bytes, 2, &said);
}

static exl_status compact(exl_bundle *bundle, exl_session *session) {
    (void)session;
    return exl_labels_compact(bundle, &said);
}

/* What can be told of a set. */
typedef struct state {
    uint32_t labels, end, places[4];
} state;

static state state_of(const exl_bundle *bundle) {
    static const char *const IDS[] = {"N1", "N3", "L0007", "L0009"};
    exl_labels_info info = {.struct_size = sizeof info};
    state found = {0};

    CHECK_STATUS(exl_labels_get_info(bundle, &info, &said), EXL_OK);
    found.labels = info.labels;
    found.end = info.end;
    for (size_t i = 0; i < sizeof IDS / sizeof *IDS; i++)
        if (exl_label_find(bundle, IDS[i], strlen(IDS[i]), &found.places[i], &said) != EXL_OK)
            found.places[i] = UINT32_MAX;
    return found;
}

static int same(state a, state b) { return memcmp(&a, &b, sizeof a) == 0; }

static state state_on_disk(void) {
    exl_bundle *bundle = open_bundle(EXL_OPEN_NO_ENGINE);
    state found = state_of(bundle);

    exl_bundle_close(bundle);
    return found;
}

/* Files beside the label file, which has a directory of its own. */
static int left_over(void) {
    struct dirent *entry;
    DIR *all = opendir(directory);
    int count = 0;

    CHECK(all);
    while ((entry = readdir(all)))
        count += entry->d_name[0] != 'l' && strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    closedir(all);
    return count;
}

static state latest; /* of the last change, when it was done */

/* One change with one fault; gives how many calls the change took. */
static long try(exl_status (*change)(exl_bundle *, exl_session *), const file_bytes *before, how fault, long at,
                exl_status *status) {
    state old, new;
    exl_bundle *bundle;
    exl_session *session;
    exl_labels_info ours = {.struct_size = sizeof ours};
    long made;

    unlink(labels_path);
    if (before->length > 0)
        write_file(labels_path, before->bytes, before->length);
    bundle = open_bundle(0);
    CHECK_STATUS(exl_session_open(bundle, NULL, &session, &said), EXL_OK);
    old = state_of(bundle);
    armed = fault, calls = 0, fails_at = at;
    *status = change(bundle, session);
    armed = NOT, made = calls;
    latest = new = state_of(bundle);
    CHECK(*status == EXL_OK || *status == EXL_NOT_DURABLE || *status == EXL_FILE_UNWRITABLE ||
          *status == EXL_FILE_UNREADABLE);
    CHECK(same(new, state_on_disk()));
    CHECK(same(new, old) == (*status != EXL_OK && *status != EXL_NOT_DURABLE));
    CHECK(left_over() == 0 || fault == EVER);
    /* and it goes on from there */
    CHECK_STATUS(exl_labels_refresh(bundle, &said), EXL_OK);
    CHECK(same(new, state_of(bundle)));
    CHECK_STATUS(exl_labels_compact(bundle, &said), EXL_OK);
    CHECK(state_of(bundle).labels == new.labels &&same(state_of(bundle), state_on_disk()));
    exl_session_close(session);
    exl_bundle_close(bundle);
    return made;
}

/* Gives how often a change came into force without being on the disk for sure. */
static int fail_in_turn(const char *name, exl_status (*change)(exl_bundle *, exl_session *), const file_bytes *before) {
    int seen[3] = {0};
    exl_status status;
    long needed = try(change, before, NOT, 0, &status);

    CHECK(status == EXL_OK && needed > 10);
    for (how fault = ONCE; fault < (is_native ? HOWS : EVER); fault++)
        for (long at = 0; at < needed; at++) {
            (void)try(change, before, fault, at, &status);
            seen[status == EXL_OK ? 0 : status == EXL_NOT_DURABLE ? 1 : 2]++;
        }
    printf("%s: %ld calls; %d faults made nothing, %d made it doubtful, %d undid it\n", name, needed, seen[0], seen[1],
           seen[2]);
    CHECK(seen[1] > 0 && seen[2] > 0);
    return seen[1];
}

/* Calls that do a part, or are interrupted, fail nothing. */
static void do_in_parts(exl_status (*change)(exl_bundle *, exl_session *), const file_bytes *before) {
    exl_status status;
    state whole;

    (void)try(change, before, NOT, 0, &status);
    CHECK_STATUS(status, EXL_OK);
    whole = latest;
    crumbs = 1;
    (void)try(change, before, NOT, 0, &status);
    crumbs = 0;
    CHECK_STATUS(status, EXL_OK);
    CHECK(same(latest, whole));
}

/* A process ends at every call in turn: its change is made or not, and the next one clears up after it. */
static void kill_in_turn(exl_status (*change)(exl_bundle *, exl_session *), const file_bytes *before) {
    exl_status status;
    long needed = try(change, before, NOT, 0, &status), made = 0;
    const state after = latest;

    for (long at = 0; at < needed; at++) {
        state old, new;
        int end;
        exl_bundle *bundle;
        pid_t child;

        unlink(labels_path);
        if (before->length > 0)
            write_file(labels_path, before->bytes, before->length);
        old = state_on_disk();
        child = fork();
        CHECK(child >= 0);
        if (child == 0)
            (void)try(change, before, KILLED, at, &status);
        CHECK(waitpid(child, &end, 0) == child && WIFSIGNALED(end) && WTERMSIG(end) == SIGKILL);
        new = state_on_disk();
        CHECK(same(new, old) || same(new, after));
        made += !same(new, old);
        bundle = open_bundle(EXL_OPEN_NO_ENGINE);
        CHECK_STATUS(exl_labels_compact(bundle, &said), EXL_OK);
        CHECK(state_of(bundle).labels == new.labels &&same(state_of(bundle), state_on_disk()));
        exl_bundle_close(bundle);
        CHECK(left_over() == 0);
    }
    CHECK(made > 0 && made < needed);
}

int main(int count, char **arguments) {
    const file_bytes nothing = {NULL, 0};
    file_bytes some;
    exl_new_label labels[] = {LABEL("N1", "red river horse"), LABEL("N2", "storm apple")};
    exl_bundle_info info = {.struct_size = sizeof info};
    exl_bundle *bundle;
    exl_session *session;

    CHECK(count == 3);
    bundle_path = arguments[1];
    snprintf(directory, sizeof directory, "%s.faults", arguments[2]);
    snprintf(labels_path, sizeof labels_path, "%s/labels", directory);
    unlink(labels_path);
    CHECK(mkdir(directory, 0700) == 0 || errno == EEXIST);
    bundle = open_bundle(0);
    CHECK_STATUS(exl_session_open(bundle, NULL, &session, &said), EXL_OK);
    CHECK_STATUS(exl_labels_add(session, labels, 2, NULL, NULL, &said), EXL_OK);
    CHECK_STATUS(exl_labels_retire(bundle, &labels[1].id, &labels[1].id_bytes, 1, &said), EXL_OK);
    CHECK_STATUS(exl_bundle_get_info(bundle, &info, &said), EXL_OK);
    is_native = strcmp(info.engine, "native") == 0;
    exl_session_close(session);
    exl_bundle_close(bundle);
    some = read_file(labels_path);
    do_in_parts(add, &nothing);
    do_in_parts(add, &some);
    do_in_parts(replace, &some);
    do_in_parts(retire, &some);
    do_in_parts(compact, &some);
    fail_in_turn("the first label", add, &nothing);
    fail_in_turn("add", add, &some);
    if (!is_native)
        goto done;
    fail_in_turn("replace", replace, &some);
    fail_in_turn("retire", retire, &some);
    fail_in_turn("compact", compact, &some);
    kill_in_turn(add, &nothing);
    kill_in_turn(replace, &some);
    kill_in_turn(compact, &some);
done:
    unlink(labels_path);
    rmdir(directory);
    free(some.bytes);
    puts(is_native ? "test_faults: done" : "test_faults: done; all kinds of faults with a native bundle only");
    return 0;
}
