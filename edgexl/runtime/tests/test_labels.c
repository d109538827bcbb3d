/* test_labels.c: labels added and retired: memory that runs out, files cut or damaged at every byte, hostile ones, and
 * predictions while another thread changes the set.
 *
 * Also processes that are forked meanwhile.
 *
 *     test_labels BUNDLE SCRATCH        the bundle of tests/runtime/tiny_bundle.py; files are made at SCRATCH
 */
#define _DEFAULT_SOURCE /* usleep */
#define _POSIX_C_SOURCE 200809L

#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../src/live.h"
#include "counting.h"
#include "testing.h"

static const char *bundle_path, *labels_path;

/* ---- short cuts ---------------------------------------------------------------------------------------------- */

#define LABEL(id_, text_)                                                                                              \
    {.struct_size = sizeof(exl_new_label),                                                                             \
     .id = id_,                                                                                                        \
     .id_bytes = strlen(id_),                                                                                          \
     .text = text_,                                                                                                    \
     .text_bytes = strlen(text_)}

static exl_bundle *open_with(const exl_allocator *allocator, uint32_t flags, exl_status expected) {
    exl_open_options options = {
        .struct_size = sizeof options, .flags = flags, .allocator = allocator, .labels_path = labels_path};
    exl_bundle *bundle = NULL;

    CHECK_STATUS(exl_bundle_open(bundle_path, &options, &bundle, &said), expected);
    CHECK((said.sentence[0] == '\0') == (expected == EXL_OK));
    return bundle;
}

static exl_status retire(exl_bundle *bundle, const char *id) {
    size_t bytes = strlen(id);
    return exl_labels_retire(bundle, &id, &bytes, 1, &said);
}

static uint32_t labels_of(const exl_bundle *bundle) {
    exl_labels_info info = {.struct_size = sizeof info};
    CHECK_STATUS(exl_labels_get_info(bundle, &info, &said), EXL_OK);
    return info.labels;
}

static int has(const exl_bundle *bundle, const char *id) {
    uint32_t label;
    return exl_label_find(bundle, id, strlen(id), &label, &said) == EXL_OK;
}

/* A file of three labels in two changes, the second of which also retires one of the bundle's: `old` and `new` are its
 * bytes after each. */
static void make_files(file_bytes *old, file_bytes *new) {
    const char *alias = "silver song";
    size_t alias_bytes = strlen(alias);
    exl_new_label first = LABEL("N1", "red river horse");
    exl_new_label others[] = {LABEL("L0007", "storm apple glass"), LABEL("N1", "winter bread")};
    exl_add_options replace = {.struct_size = sizeof replace, .replace = 1};
    exl_bundle *bundle;
    exl_session *session;
    uint32_t number = 0;

    unlink(labels_path);
    first.aliases = &alias;
    first.alias_bytes = &alias_bytes;
    first.alias_count = 1;
    bundle = open_with(NULL, 0, EXL_OK);
    CHECK_STATUS(exl_session_open(bundle, NULL, &session, &said), EXL_OK);
    CHECK_STATUS(exl_labels_add(session, &first, 1, NULL, &number, &said), EXL_OK);
    CHECK(number == 300 && labels_of(bundle) == 301);
    *old = read_file(labels_path);
    CHECK_STATUS(exl_labels_add(session, others, 2, &replace, &number, &said), EXL_OK);
    CHECK(number == 301 && labels_of(bundle) == 301);
    *new = read_file(labels_path);
    exl_session_close(session);
    exl_bundle_close(bundle);
}

static uint32_t label_count(const file_bytes *file) {
    exl_bundle *bundle;
    exl_labels_info info = {.struct_size = sizeof info};

    write_file(labels_path, file->bytes, file->length);
    bundle = open_with(NULL, EXL_OPEN_NO_ENGINE, EXL_OK);
    CHECK_STATUS(exl_labels_get_info(bundle, &info, &said), EXL_OK);
    exl_bundle_close(bundle);
    return info.added;
}

/* ---- files that a crash leaves --------------------------------------------------------------------------------- */

static void test_cut_anywhere(void) {
    file_bytes old, new, part;
    size_t commit;

    make_files(&old, &new);
    part.bytes = malloc(new.length);
    CHECK(part.bytes && old.length < new.length);
    /* killed while the operations are appended: the commit is still the old one */
    for (size_t length = old.length; length <= new.length; length++) {
        memcpy(part.bytes, new.bytes, length);
        memcpy(part.bytes, old.bytes, EXL__LIVE_HEADER_BYTES);
        part.length = length;
        CHECK(label_count(&part) == 1);
    }
    /* killed while the commit is written, into whichever place was not the last one */
    commit = memcmp(old.bytes + EXL__COMMIT_AT, new.bytes + EXL__COMMIT_AT, EXL__COMMIT_BYTES) != 0
                 ? EXL__COMMIT_AT
                 : EXL__COMMIT_AT + EXL__COMMIT_BYTES;
    part.length = new.length;
    for (size_t written = 0; written <= EXL__COMMIT_BYTES; written++) {
        memcpy(part.bytes, new.bytes, new.length);
        memcpy(part.bytes, old.bytes, EXL__LIVE_HEADER_BYTES);
        memcpy(part.bytes + commit, new.bytes + commit, written);
        CHECK(label_count(&part) == (written < EXL__COMMIT_BYTES ? 1 : 3));
    }
    /* the end lost, or overwritten, with the new commit on the disk before it */
    for (size_t length = old.length; length < new.length; length++) {
        part.length = length;
        memcpy(part.bytes, new.bytes, length);
        CHECK(label_count(&part) == 1);
        part.length = new.length;
        memcpy(part.bytes, new.bytes, new.length);
        part.bytes[length] ^= 0x20;
        CHECK(label_count(&part) == 1);
    }
    free(part.bytes);
    free(old.bytes);
    free(new.bytes);
}

/* What is committed twice over is lost for good: that is said, and nothing else is put in its place. */
static void test_cut_too_short(void) {
    file_bytes old, new;

    make_files(&old, &new);
    for (size_t length = 1; length < old.length; length++) {
        write_file(labels_path, new.bytes, length);
        open_with(NULL, EXL_OPEN_NO_ENGINE, EXL_LABELS_MALFORMED);
    }
    for (size_t at = 0; at < EXL__COMMIT_AT; at++) {
        new.bytes[at] ^= 1;
        write_file(labels_path, new.bytes, new.length);
        open_with(NULL, EXL_OPEN_NO_ENGINE,
                  at >= 8 && at < 10 && new.bytes[9] ? EXL_VERSION_TOO_NEW : EXL_LABELS_MALFORMED);
        new.bytes[at] ^= 1;
    }
    write_file(labels_path, new.bytes, 0);
    exl_bundle_close(open_with(NULL, EXL_OPEN_NO_ENGINE, EXL_OK));
    free(old.bytes);
    free(new.bytes);
}

/* A change on top of what a crash left is whole. */
static void test_change_after_a_crash(void) {
    file_bytes old, new;
    exl_bundle *bundle;

    make_files(&old, &new);
    new.bytes[new.length - 9] ^= 0x20; /* in the last text: the newest commit does not hold any more */
    write_file(labels_path, new.bytes, new.length);
    bundle = open_with(NULL, EXL_OPEN_NO_ENGINE, EXL_OK);
    CHECK(labels_of(bundle) == 301 && has(bundle, "L0007"));
    CHECK_STATUS(retire(bundle, "L0011"), EXL_OK);
    CHECK(labels_of(bundle) == 300 && !has(bundle, "L0011") && has(bundle, "N1"));
    exl_bundle_close(bundle);
    bundle = open_with(NULL, EXL_OPEN_NO_ENGINE, EXL_OK);
    CHECK(labels_of(bundle) == 300 && !has(bundle, "L0011"));
    exl_bundle_close(bundle);
    free(old.bytes);
    free(new.bytes);
}

/* ---- hostile files --------------------------------------------------------------------------------------------- */

/* A bundle's header over any operations, with hashes that hold. */
static void sign(file_bytes *file) {
    exl__sha256 hash;
    exl__sha256_init(&hash);
    exl__sha256_update(&hash, file->bytes + EXL__LIVE_HEADER_BYTES, file->length - EXL__LIVE_HEADER_BYTES);
    memset(file->bytes + EXL__COMMIT_AT, 0, 2 * EXL__COMMIT_BYTES);
    exl__live_commit(file->bytes, 9, file->length, hash, file->bytes + EXL__COMMIT_AT);
}

/* Opens what it is given; where that is accepted, asks it everything. */
static exl_status use(const file_bytes *file) {
    exl_open_options options = {.struct_size = sizeof options, .labels_path = labels_path};
    exl_bundle *bundle = NULL;
    exl_session *session = NULL;
    const exl_result *result = NULL;
    exl_labels_info info = {.struct_size = sizeof info};
    char text[64];
    size_t bytes;
    exl_status status;

    write_file(labels_path, file->bytes, file->length);
    status = exl_bundle_open(bundle_path, &options, &bundle, &said);
    if (status != EXL_OK) {
        CHECK(!bundle && (status == EXL_LABELS_MALFORMED || status == EXL_LABELS_OF_ANOTHER_BUNDLE));
        return status;
    }
    CHECK_STATUS(exl_labels_get_info(bundle, &info, &said), EXL_OK);
    for (uint32_t label = 0; label < info.end; label++)
        CHECK_STATUS(read_field(bundle, label, FIELD_TEXT, text, sizeof text, &bytes), EXL_OK);
    CHECK_STATUS(exl_session_open(bundle, NULL, &session, &said), EXL_OK);
    CHECK_STATUS(exl_predict(session, "red river horse", 15, NULL, &result, &said), EXL_OK);
    exl_session_close(session);
    exl_bundle_close(bundle);
    return EXL_OK;
}

static void test_hostile(void) {
    static const uint32_t VALUES[] = {0,   1,   2,   3,     7,          8,           24,         255,
                                      299, 300, 303, 65536, 0x7fffffff, 0x80000000u, 0xffffffffu};
    file_bytes old, new;
    uint32_t seed = 1, refused = 0, accepted = 0;

    make_files(&old, &new);
    sign(&new);
    CHECK(use(&new) == EXL_OK);
    /* every number of every operation, at its edges */
    for (size_t at = EXL__LIVE_HEADER_BYTES; at + 4 <= new.length; at += 4)
        for (size_t v = 0; v < sizeof VALUES / sizeof *VALUES; v++) {
            uint8_t kept[4];
            if (v % 3 != at / 4 % 3 && at % 64 != 0) /* a third of them */
                continue;
            memcpy(kept, new.bytes + at, 4);
            memcpy(new.bytes + at, &VALUES[v], 4);
            sign(&new);
            *(use(&new) == EXL_OK ? &accepted : &refused) += 1;
            memcpy(new.bytes + at, kept, 4);
        }
    /* ends between and inside operations */
    for (size_t length = EXL__LIVE_HEADER_BYTES; length <= new.length; length++) {
        file_bytes cut = {malloc(length), length};
        CHECK(cut.bytes);
        memcpy(cut.bytes, new.bytes, length);
        sign(&cut);
        *(use(&cut) == EXL_OK ? &accepted : &refused) += 1;
        free(cut.bytes);
    }
    for (int i = 0; i < 300; i++) {
        file_bytes mad = {malloc(new.length), new.length};
        CHECK(mad.bytes);
        memcpy(mad.bytes, new.bytes, new.length);
        for (int j = 0; j < 3; j++) {
            seed = seed * 1664525u + 1013904223u;
            mad.bytes[EXL__LIVE_HEADER_BYTES + (seed >> 8) % (new.length - EXL__LIVE_HEADER_BYTES)] = (uint8_t)seed;
        }
        sign(&mad);
        *(use(&mad) == EXL_OK ? &accepted : &refused) += 1;
        free(mad.bytes);
    }
    CHECK(accepted > 50 && refused > 300); /* codes may be anything, sizes may not */
    free(old.bytes);
    free(new.bytes);
}

/* ---- memory that runs out ---------------------------------------------------------------------------------------- */

static exl_status live(counting *c) {
    exl_allocator allocator = {sizeof allocator, c, count_allocate, count_release};
    exl_open_options options = {.struct_size = sizeof options, .allocator = &allocator, .labels_path = labels_path};
    exl_new_label labels[] = {LABEL("M1", "red horse"), LABEL("M2", "dark river")};
    const exl_result *result = NULL;
    exl_bundle *bundle = NULL;
    exl_session *session = NULL;
    exl_status status = exl_bundle_open(bundle_path, &options, &bundle, &said);
    long before;

    if (status == EXL_OK)
        status = exl_session_open(bundle, NULL, &session, &said);
    if (status == EXL_OK)
        status = exl_labels_add(session, labels, 2, NULL, NULL, &said);
    if (status == EXL_OK)
        status = exl_labels_refresh(bundle, &said);
    before = c->calls;
    if (status == EXL_OK) {
        CHECK(labels_of(bundle) == 302);
        status = exl_predict(session, "red horse", 9, NULL, &result, &said);
    }
    if (status == EXL_OK)
        CHECK(strcmp(result->predictions[0]->id, "M1") == 0);
    CHECK(c->calls == before); /* nothing is allocated in a prediction, after a change neither */
    if (status == EXL_OK)
        status = retire(bundle, "M1");
    if (status == EXL_OK)
        status = exl_labels_compact(bundle, &said);
    CHECK(status != EXL_OK || labels_of(bundle) == 301);
    exl_session_close(session);
    exl_bundle_close(bundle);
    return status;
}

/* All that was asked for, or nothing: whatever allocation fails. */
static void test_memory_runs_out(void) {
    counting c = {.fails_at = -1};
    long needed;

    unlink(labels_path);
    CHECK_STATUS(live(&c), EXL_OK);
    CHECK(c.outstanding == 0);
    needed = c.calls;
    for (long at = 0; at < needed; at++) {
        exl_bundle *bundle;
        uint32_t labels;

        unlink(labels_path);
        c = (counting){.fails_at = at};
        CHECK_STATUS(live(&c), EXL_OUT_OF_MEMORY);
        CHECK(c.outstanding == 0);
        bundle = open_with(NULL, EXL_OPEN_NO_ENGINE, EXL_OK);
        labels = labels_of(bundle);
        CHECK(labels == 300 || labels == 302 || (labels == 301 && !has(bundle, "M1")));
        exl_bundle_close(bundle);
    }
}

/* ---- a set that changes while it is used ------------------------------------------------------------------------- */

enum { CHANGES = 60 };

/* Adds two labels at a time and retires both again, so that a set has both or neither. */
static void *change_set(void *argument) {
    exl_bundle *bundle = argument;
    exl_session *session;

    CHECK_STATUS(exl_session_open(bundle, NULL, &session, NULL), EXL_OK);
    for (int i = 0; i < CHANGES; i++) {
        exl_new_label pair[] = {LABEL("P1", "silver horse"), LABEL("P2", "silver horse")};
        const char *ids[] = {"P1", "P2"};
        size_t bytes[] = {2, 2};
        CHECK_STATUS(exl_labels_add(session, pair, 2, NULL, NULL, NULL), EXL_OK);
        if (i % 8 == 7)
            CHECK_STATUS(exl_labels_compact(bundle, NULL), EXL_OK);
        CHECK_STATUS(exl_labels_retire(bundle, ids, bytes, 2, NULL), EXL_OK);
    }
    exl_session_close(session);
    return NULL;
}

static void test_old_or_new(void) {
    exl_predict_options options = {.struct_size = sizeof options, .k = 20};
    exl_bundle *bundle;
    exl_session *session;
    pthread_t thread;
    int seen[3] = {0};

    unlink(labels_path);
    bundle = open_with(NULL, 0, EXL_OK);
    CHECK_STATUS(exl_session_open(bundle, NULL, &session, &said), EXL_OK);
    CHECK(pthread_create(&thread, NULL, change_set, bundle) == 0);
    for (int i = 0; i < 40 * CHANGES && seen[2] + seen[0] < 20 * CHANGES; i++) {
        const exl_result *result = NULL;
        int pairs = 0;
        CHECK_STATUS(exl_predict(session, "silver horse", 12, &options, &result, &said), EXL_OK);
        CHECK(result->count == 20); /* retired labels take no place */
        for (size_t n = 0; n < result->count; n++)
            pairs += result->predictions[n]->id[0] == 'P';
        CHECK(pairs == 0 || pairs == 2);
        seen[pairs]++;
    }
    CHECK(pthread_join(thread, NULL) == 0);
    exl_session_close(session);
    exl_bundle_close(bundle);
}

/* The sanitizers' allocator keeps a lock that another thread had at a fork, for ever: forks wait until none is in it.
 */
static pthread_mutex_t allocating = PTHREAD_MUTEX_INITIALIZER;

static void *allocate_apart(void *context, size_t bytes) {
    void *memory = NULL;

    (void)context;
    pthread_mutex_lock(&allocating);
    if (posix_memalign(&memory, 64, bytes) != 0)
        memory = NULL;
    pthread_mutex_unlock(&allocating);
    return memory;
}

static void release_apart(void *context, void *memory, size_t bytes) {
    (void)context, (void)bytes;
    pthread_mutex_lock(&allocating);
    free(memory);
    pthread_mutex_unlock(&allocating);
}

static pid_t fork_apart(void) {
    pid_t child;

    pthread_mutex_lock(&allocating);
    child = fork();
    pthread_mutex_unlock(&allocating);
    return child;
}

/* A child that is forked at any moment of a change predicts, changes the set itself, and lets others do so. */
static void test_fork_while_it_changes(void) {
    enum { CHILDREN = 24 };
    const exl_allocator apart = {sizeof apart, NULL, allocate_apart, release_apart};
    exl_bundle_info info = {.struct_size = sizeof info};
    exl_bundle *bundle;
    exl_session *session;
    pthread_t thread;
    pid_t children[CHILDREN];

    unlink(labels_path);
    bundle = open_with(&apart, 0, EXL_OK);
    CHECK_STATUS(exl_bundle_get_info(bundle, &info, &said), EXL_OK);
    if (strcmp(info.engine, "native") != 0) { /* a fork while a thread is in ONNX Runtime is not allowed */
        exl_bundle_close(bundle);
        return;
    }
    CHECK_STATUS(exl_session_open(bundle, NULL, &session, &said), EXL_OK);
    CHECK(pthread_create(&thread, NULL, change_set, bundle) == 0);
    for (int i = 0; i < CHILDREN; i++) {
        const exl_result *result = NULL;
        char id[16];
        exl_new_label label = LABEL(id, "winter bread");

        snprintf(id, sizeof id, "C%d", i);
        label.id_bytes = strlen(id);
        children[i] = fork_apart();
        CHECK(children[i] >= 0);
        if (children[i] == 0) {
            alarm(300); /* nothing hangs for ever; long enough on a busy machine */
            CHECK_STATUS(exl_predict(session, "silver horse", 12, NULL, &result, &said), EXL_OK);
            CHECK_STATUS(exl_labels_add(session, &label, 1, NULL, NULL, &said), EXL_OK);
            CHECK(has(bundle, id));
            CHECK_STATUS(exl_predict(session, "winter bread", 12, NULL, &result, &said), EXL_OK);
            exl_session_close(session);
            exl_bundle_close(bundle);
            if (i % 2)
                pause(); /* it lives on, and must not keep a lock: a signal ends it */
            _exit(0);
        }
        usleep(3000);
    }
    CHECK(pthread_join(thread, NULL) == 0);
    for (int i = 0; i < CHILDREN; i += 2) {
        int state;
        CHECK(waitpid(children[i], &state, 0) == children[i] && WIFEXITED(state) && WEXITSTATUS(state) == 0);
    }
    for (int i = 1; i < CHILDREN; i += 2) {
        int state;
        kill(children[i], SIGKILL); /* where the machine was so slow that its alarm came first: all the same */
        CHECK(waitpid(children[i], &state, 0) == children[i] && WIFSIGNALED(state));
        CHECK(WTERMSIG(state) == SIGKILL || WTERMSIG(state) == SIGALRM); /* no check of its own failed */
    }
    exl_session_close(session);
    exl_bundle_close(bundle);
}

#if defined(SYS_clone) /* without the C library, which then tells nobody */
static pid_t fork_quietly(void) { return (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0); }
#else
static pid_t fork_quietly(void) { return fork(); }
#endif

/* An allocator that forks: the process that it makes sleeps, with a copy of all descriptors. */
typedef struct forking {
    long calls, forks_at;
    int quietly;
    int dies; /* the process that forked */
} forking;

static void *fork_and_allocate(void *context, size_t bytes) {
    forking *f = context;
    void *memory = NULL;

    if (f->calls++ == f->forks_at) {
        if ((f->quietly ? fork_quietly() : fork()) == 0) {
            alarm(60);
            pause();
            _exit(0);
        }
        if (f->dies)
            raise(SIGKILL);
    }
    return posix_memalign(&memory, 64, bytes) == 0 ? memory : NULL;
}

static void release(void *context, void *memory, size_t bytes) {
    (void)context;
    (void)bytes;
    free(memory);
}

/* In a process group of its own: a change that forks at its allocation number `at`, and, if it lives, another one. */
static void change_and_fork(long at, int quietly, int dies) {
    forking f = {.forks_at = -1, .quietly = quietly, .dies = dies};
    exl_allocator allocator = {sizeof allocator, &f, fork_and_allocate, release};
    exl_bundle *bundle;

    setpgid(0, 0);
    alarm(20);
    bundle = open_with(&allocator, EXL_OPEN_NO_ENGINE, EXL_OK);
    f.forks_at = f.calls + at;
    CHECK_STATUS(retire(bundle, "L0001"), EXL_OK);
    CHECK_STATUS(retire(bundle, "L0002"), EXL_OK);
    exl_bundle_close(bundle);
    _exit(0);
}

/* Whoever sleeps with a descriptor of a change that was under way keeps nobody from the next one. */
static void test_forks_keep_no_lock(void) {
    enum { ALLOCATIONS = 9 }; /* of a change, most of them with the file locked */
    exl_bundle *bundle;

    for (int i = 0; i < 2 * ALLOCATIONS; i++) {
        int end, dies = i % 2;
        pid_t child;

        unlink(labels_path);
        bundle = open_with(NULL, EXL_OPEN_NO_ENGINE, EXL_OK);
        CHECK_STATUS(retire(bundle, "L0000"), EXL_OK);
        child = fork();
        CHECK(child >= 0);
        if (child == 0)
            change_and_fork(i / 2, !dies, dies);
        CHECK(waitpid(child, &end, 0) == child);
        CHECK(dies ? WIFSIGNALED(end) && WTERMSIG(end) == SIGKILL : WIFEXITED(end) && WEXITSTATUS(end) == 0);
        alarm(20);
        CHECK_STATUS(retire(bundle, "L0003"), EXL_OK);
        alarm(0);
        CHECK(labels_of(bundle) == (dies ? 298 : 296) || (dies && labels_of(bundle) == 297));
        kill(-child, SIGKILL);
        exl_bundle_close(bundle);
    }
}

/* ---- arguments --------------------------------------------------------------------------------------------------- */

static void test_arguments(void) {
    exl_new_label label = LABEL("A1", "red river"), wrong;
    exl_label_state state;
    exl_bundle *bundle;
    exl_session *session;
    uint32_t first = 7;
    size_t bytes;

    unlink(labels_path);
    bundle = open_with(NULL, 0, EXL_OK);
    CHECK_STATUS(exl_session_open(bundle, NULL, &session, &said), EXL_OK);
    CHECK_STATUS(exl_labels_add(NULL, &label, 1, NULL, NULL, &said), EXL_BAD_ARGUMENT);
    CHECK_STATUS(exl_labels_add(session, NULL, 1, NULL, NULL, &said), EXL_BAD_ARGUMENT);
    CHECK_STATUS(exl_labels_add(session, NULL, 0, NULL, &first, &said), EXL_OK);
    wrong = label, wrong.struct_size = 0;
    CHECK_STATUS(exl_labels_add(session, &wrong, 1, NULL, NULL, &said), EXL_BAD_ARGUMENT);
    wrong = label, wrong.text_bytes = 0;
    CHECK_STATUS(exl_labels_add(session, &wrong, 1, NULL, NULL, &said), EXL_BAD_ARGUMENT);
    wrong = label, wrong.text = "re\0d";
    wrong.text_bytes = 4;
    CHECK_STATUS(exl_labels_add(session, &wrong, 1, NULL, NULL, &said), EXL_BAD_ARGUMENT);
    wrong = label, wrong.text = "\xff\xfe";
    wrong.text_bytes = 2;
    CHECK_STATUS(exl_labels_add(session, &wrong, 1, NULL, NULL, &said), EXL_INVALID_UTF8);
    CHECK(strstr(said.sentence, "text of new label 0"));
    wrong = label, wrong.alias_count = 1;
    CHECK_STATUS(exl_labels_add(session, &wrong, 1, NULL, NULL, &said), EXL_BAD_ARGUMENT);
    CHECK(labels_of(bundle) == 300);
    CHECK_STATUS(retire(bundle, "A1"), EXL_NO_SUCH_LABEL);
    CHECK_STATUS(exl_labels_retire(bundle, NULL, NULL, 1, &said), EXL_BAD_ARGUMENT);
    CHECK_STATUS(read_state(bundle, 300, &state), EXL_NO_SUCH_LABEL);
    CHECK_STATUS(read_field(bundle, 300, FIELD_ID, NULL, 0, &bytes), EXL_NO_SUCH_LABEL);
    exl_session_close(session);
    exl_bundle_close(bundle);

    bundle = open_with(NULL, EXL_OPEN_COMPILED | EXL_OPEN_NO_ENGINE, EXL_OK);
    CHECK_STATUS(retire(bundle, "L0001"), EXL_BAD_ARGUMENT);
    CHECK_STATUS(exl_labels_refresh(bundle, &said), EXL_BAD_ARGUMENT);
    CHECK_STATUS(exl_labels_compact(bundle, &said), EXL_BAD_ARGUMENT);
    exl_bundle_close(bundle);
}

int main(int count, char **arguments) {
    CHECK(count == 3);
    bundle_path = arguments[1];
    labels_path = arguments[2];
    test_arguments();
    test_cut_anywhere();
    test_cut_too_short();
    test_change_after_a_crash();
    test_hostile();
    test_memory_runs_out();
    test_old_or_new();
    test_fork_while_it_changes();
    test_forks_keep_no_lock();
    unlink(labels_path);
    puts("test_labels: done");
    return 0;
}
