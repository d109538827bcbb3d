/* storage.c: reading and writing as all systems do it; then POSIX, and WASI as far as it has these things. Windows's
 * own is in win32_storage.c. */
#include "compiler.h"

#include "storage.h"

#if !defined(EXL_BARE)

#include <errno.h>
#include <stdio.h>
#include <string.h>
#if !defined(_WIN32)
#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#endif
#if defined(__linux__)
#include <sys/xattr.h>
#endif

#include "memory.h"
#include "platform.h"

static exl_status storage_unreadable(const char *why, exl_error *error) {
    return exl__fail(error, EXL_FILE_UNREADABLE, "the label file cannot be read: %s", why);
}

exl_status exl__storage_unwritable(const char *why, exl_error *error) {
    return exl__fail(error, EXL_FILE_UNWRITABLE, "the label file cannot be written: %s", why);
}

exl_status exl__storage_not_durable(int reason, exl_error *error) {
    return exl__fail(error, EXL_NOT_DURABLE,
                     "the change is in force, but the system did not confirm that it is on the disk (%s): compact the "
                     "labels, which writes all of them again",
                     strerror(reason));
}

/* ---- reading --------------------------------------------------------------------------------------------------- */

exl_status exl__descriptor_open(const char *path, int *descriptor, exl_error *error) {
    const char *why;
    uint64_t length;

    *descriptor = exl__regular_open(path, 0, &length, &why);
    if (*descriptor < 0 && errno != ENOENT && errno != ENAMETOOLONG) /* a name that no file can have */
        return exl__fail(error, EXL_FILE_UNREADABLE, "the label file %s cannot be read: %s", path, why);
    return EXL_OK;
}

exl_status exl__descriptor_read(const exl_allocator *allocator, int descriptor, size_t head_bytes,
                                uint64_t (*wanted)(const uint8_t *head, size_t bytes), uint8_t **bytes,
                                uint64_t *length, exl_error *error) {
    const exl__file file = {.descriptor = descriptor};
    uint8_t head[512];
    int64_t before = exl__storage_length(descriptor), all;
    size_t here = before < (int64_t)head_bytes ? (size_t)(before > 0 ? before : 0) : head_bytes;
    exl_status status = EXL_OK;

    *bytes = NULL;
    *length = 0;
    if (here > sizeof head)
        here = sizeof head;
    if (before > 0)
        status = exl__file_read(&file, 0, head, here, error);
    if (status != EXL_OK || before == 0)
        return status;
    all = exl__storage_length(descriptor);
    if (before < 0 || all < 0)
        return storage_unreadable(strerror(errno), error);
    if (all < (int64_t)here)
        return storage_unreadable("it became shorter meanwhile", error);
    if ((uint64_t)all > wanted(head, here))
        all = (int64_t)wanted(head, here);
    *bytes = exl__allocate_scratch(allocator, (uint64_t)all, 1);
    if (!*bytes)
        return exl__fail(error, EXL_OUT_OF_MEMORY, "no memory for the label file");
    *length = (uint64_t)all;
    memcpy(*bytes, head, here);
    return exl__file_read(&file, here, *bytes + here, (size_t)all - here, error);
}

exl_status exl__file_peek(const char *path, void *buffer, size_t capacity, size_t *bytes, exl_error *error) {
    exl__file file = {.descriptor = -1};
    exl_status status = exl__descriptor_open(path, &file.descriptor, error);
    int64_t length;

    *bytes = 0;
    if (status != EXL_OK || file.descriptor < 0)
        return status;
    length = exl__storage_length(file.descriptor);
    if (length < 0)
        status = storage_unreadable(strerror(errno), error);
    else
        *bytes = length < (int64_t)capacity ? (size_t)length : capacity;
    if (status == EXL_OK)
        status = exl__file_read(&file, 0, buffer, *bytes, error);
    exl__descriptor_close(file.descriptor);
    return status;
}

/* ---- writing in place ------------------------------------------------------------------------------------------ */

exl_status exl__descriptor_write(int descriptor, uint64_t offset, const void *bytes, size_t length, exl_error *error) {
    int reason = exl__storage_write(descriptor, offset, bytes, length);

    if (reason == 0)
        reason = exl__storage_flush(descriptor);
    return reason ? exl__storage_unwritable(strerror(reason), error) : EXL_OK;
}

/* Whether the file has these bytes there, whatever the call that wrote them said. */
static int storage_is_there(int descriptor, uint64_t offset, const void *bytes, size_t length) {
    const exl__file file = {.descriptor = descriptor};
    uint8_t found[256];

    return length <= sizeof found && exl__file_read(&file, offset, found, length, NULL) == EXL_OK &&
           memcmp(found, bytes, length) == 0;
}

exl_status exl__descriptor_commit(int descriptor, uint64_t offset, const void *bytes, size_t length, exl_error *error) {
    int reason = exl__storage_write(descriptor, offset, bytes, length);

    if (reason && !storage_is_there(descriptor, offset, bytes, length))
        return exl__storage_unwritable(strerror(reason), error);
    if (reason == 0)
        reason = exl__storage_flush(descriptor);
    return reason ? exl__storage_not_durable(reason, error) : EXL_OK;
}

/* ---- a bundle that takes another's place ------------------------------------------------------------------------- */

static exl_status storage_no_bundle(int reason, exl_error *error) {
    return exl__fail(error, EXL_FILE_UNWRITABLE, "the new bundle cannot be written: %s", strerror(reason));
}

exl_status exl__partial_write(const exl__partial *partial, uint64_t offset, const void *bytes, size_t length,
                              exl_error *error) {
    int reason = exl__storage_write(partial->descriptor, offset, bytes, length);

    return reason ? storage_no_bundle(reason, error) : EXL_OK;
}

exl_status exl__partial_begin(const char *path, exl__partial *partial, exl_error *error) {
    static const char SUFFIX[] = ".update";
    int reason;
    size_t bytes;

    partial->descriptor = -1;
    reason = exl__storage_target(path, partial->target);
    bytes = reason ? 0 : strlen(partial->target);
    if (reason == 0 && bytes + sizeof SUFFIX > EXL__PATH_BYTES)
        reason = ENAMETOOLONG;
    if (reason)
        return storage_no_bundle(reason, error);
    memcpy(partial->path, partial->target, bytes);
    memcpy(partial->path + bytes, SUFFIX, sizeof SUFFIX);
    if (exl__descriptor_lock("the new bundle", partial->path, &partial->descriptor, error) != EXL_OK)
        return EXL_FILE_UNWRITABLE;
    reason = exl__storage_empty(partial->descriptor);
    if (reason == 0)
        return EXL_OK;
    exl__partial_end(partial);
    return storage_no_bundle(reason, error);
}

exl_status exl__partial_finish(const exl__partial *partial, int like, exl_error *error) {
    int reason = exl__storage_be_like(partial->descriptor, like);

    if (reason == 0)
        reason = exl__storage_flush(partial->descriptor);
    return reason ? storage_no_bundle(reason, error) : EXL_OK;
}

void exl__partial_end(exl__partial *partial) {
    if (partial->descriptor < 0)
        return;
    (void)exl__file_remove(partial->path); /* while it is locked: the next one's would go, too */
    exl__descriptor_unlock(partial->descriptor);
    partial->descriptor = -1;
}

#if !defined(_WIN32)

/* The first as the systems have it. */
enum { STORAGE_MOST_LINKS = 40, STORAGE_PARTIAL_BYTES = 64 };

/* ---- descriptors ----------------------------------------------------------------------------------------------- */

void exl__descriptor_close(int descriptor) {
    if (descriptor >= 0)
        close(descriptor);
}

int64_t exl__storage_length(int descriptor) {
    struct stat facts;

    return fstat(descriptor, &facts) == 0 ? (int64_t)facts.st_size : -1;
}

/* To the disk itself, where the system tells the two apart. */
int exl__storage_flush(int descriptor) {
#if defined(F_FULLFSYNC)
    if (fcntl(descriptor, F_FULLFSYNC) == 0)
        return 0;
#endif
    return fsync(descriptor) == 0 ? 0 : errno;
}

int exl__storage_write(int descriptor, uint64_t offset, const void *bytes, size_t length) {
    const uint8_t *from = bytes;

    while (length > 0) {
        ssize_t put = pwrite(descriptor, from, length, (off_t)offset);
        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0)
            return put < 0 ? errno : EIO;
        from += put;
        offset += (uint64_t)put;
        length -= (size_t)put;
    }
    return 0;
}

/* ---- one writer at a time -------------------------------------------------------------------------------------- */

static int storage_same_file(const struct stat *a, const struct stat *b) {
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

exl_status exl__descriptor_lock(const char *what, const char *path, int *descriptor, exl_error *error) {
    struct stat ours, named;
    const char *why = NULL;
    uint64_t length;

    for (;;) {
        *descriptor = exl__regular_open(path, 1, &length, &why);
        if (*descriptor < 0)
            break;
        while (flock(*descriptor, LOCK_EX) != 0)
            if (errno != EINTR)
                goto failed;
        if (fstat(*descriptor, &ours) != 0)
            break;
        if (stat(path, &named) == 0 && storage_same_file(&ours, &named))
            return EXL_OK;
        exl__descriptor_unlock(*descriptor); /* while we waited another file took its place */
        *descriptor = -1;
    }
failed:
    if (!why)
        why = strerror(errno);
    exl__descriptor_unlock(*descriptor);
    *descriptor = -1;
    return exl__fail(error, EXL_FILE_UNWRITABLE, "%s %s cannot be written: %s", what, path, why);
}

void exl__descriptor_unlock(int descriptor) {
    if (descriptor < 0)
        return;
    (void)flock(descriptor, LOCK_UN);
    close(descriptor);
}

/* ---- a new file in the place of an old one ----------------------------------------------------------------------- */

/* The part of the path that names the directory, with its slash. */
static size_t storage_directory_bytes(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? (size_t)(slash - path) + 1 : 0;
}

/* Where a path leads: the links that it ends in are followed, as the system does. 0, or errno. */
static int storage_follow_links(const char *path, char target[EXL__PATH_BYTES]) {
    char next[EXL__PATH_BYTES];

    if (strlen(path) >= EXL__PATH_BYTES)
        return ENAMETOOLONG;
    memcpy(target, path, strlen(path) + 1);
    for (int links = 0; links < STORAGE_MOST_LINKS; links++) {
        ssize_t bytes = readlink(target, next, sizeof next);
        size_t at;

        if (bytes < 0)
            return errno == EINVAL ? 0 : errno; /* EINVAL: it is no link */
        at = next[0] == '/' ? 0 : storage_directory_bytes(target);
        if (at + (size_t)bytes >= EXL__PATH_BYTES)
            return ENAMETOOLONG;
        memcpy(target + at, next, (size_t)bytes);
        target[at + (size_t)bytes] = '\0';
    }
    return ELOOP;
}

/* How the names of new files for this target begin: hidden, no other target's, and short whatever it is called. */
static void storage_name_partials(const char *target, char beginning[STORAGE_PARTIAL_BYTES]) {
    uint64_t hash = 0xCBF29CE484222325u; /* FNV-1a */

    for (const char *at = target + storage_directory_bytes(target); *at; at++)
        hash = (hash ^ (uint8_t)*at) * 0x100000001B3u;
    snprintf(beginning, STORAGE_PARTIAL_BYTES, ".edgexl-%016llx-", (unsigned long long)hash);
}

/* Removes what writers of this target left that were killed. It is locked, so all of them are gone. */
static void storage_sweep(const char *target, const char *beginning) {
    char path[EXL__PATH_BYTES];
    size_t at = storage_directory_bytes(target);
    const struct dirent *entry;
    DIR *directory;

    memcpy(path, at ? target : ".", at ? at : 1);
    path[at ? at : 1] = '\0';
    directory = opendir(path);
    while (directory && (entry = readdir(directory))) {
        size_t bytes = strlen(entry->d_name) + 1;
        if (strncmp(entry->d_name, beginning, strlen(beginning)) != 0 || at + bytes > sizeof path)
            continue;
        memcpy(path + at, entry->d_name, bytes);
        (void)unlink(path);
    }
    if (directory)
        closedir(directory);
}

/* A new file in the directory of `target`, open for writing by its owner alone; whatever has its name already is
 * neither opened nor followed. Negative, with errno. */
static int storage_make_partial(const char *target, char partial[EXL__PATH_BYTES]) {
    char beginning[STORAGE_PARTIAL_BYTES];
    size_t at = storage_directory_bytes(target);
    int descriptor = -1;

    if (at + 2 * STORAGE_PARTIAL_BYTES > EXL__PATH_BYTES) {
        errno = ENAMETOOLONG;
        return -1;
    }
    storage_name_partials(target, beginning);
    storage_sweep(target, beginning);
    memcpy(partial, target, at);
    for (unsigned attempt = 0; attempt < 100 && descriptor < 0; attempt++) {
        unsigned long long mark = (unsigned long long)(exl__now_ms() * 1e6) + attempt;
        snprintf(partial + at, 2 * STORAGE_PARTIAL_BYTES, "%s%016llx.tmp", beginning, mark);
        descriptor = open(partial, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (descriptor < 0 && errno != EEXIST)
            break;
    }
    return descriptor;
}

#if defined(__linux__)
/* A list of users beside the mode, which says with it who may read; a new file may have one from its directory. 0, or
 * errno. */
static int storage_take_access_list(int descriptor, int old) {
    static const char name[] = "system.posix_acl_access";
    char list[4096];
    ssize_t bytes = fgetxattr(old, name, list, sizeof list);

    if (bytes > 0)
        return fsetxattr(descriptor, name, list, (size_t)bytes, 0) == 0 ? 0 : errno;
    if (bytes < 0 && errno == ERANGE)
        return errno;
    (void)fremovexattr(descriptor, name);
    return 0;
}
#else
static int storage_take_access_list(int descriptor, int old) {
    (void)descriptor, (void)old;
    return 0;
}
#endif

#if defined(__wasi__) /* it has neither owners nor modes */
static int storage_take_owner_and_mode(int descriptor, const struct stat *old) {
    (void)descriptor, (void)old;
    return 0;
}
#else
/* Who may not give a file away keeps it; if its group changes with that, the others and the new group get what both had
 * before. 0, or errno. */
static int storage_take_owner_and_mode(int descriptor, const struct stat *old) {
    mode_t mode = old->st_mode & 07777, both = mode & (mode >> 3) & 7;
    struct stat now;

    if (fstat(descriptor, &now) != 0)
        return errno;
    if ((now.st_uid != old->st_uid || now.st_gid != old->st_gid) && fchown(descriptor, old->st_uid, old->st_gid) != 0) {
        mode &= 0777;
        if (now.st_gid != old->st_gid && fchown(descriptor, (uid_t)-1, old->st_gid) != 0)
            mode = (mode & 0700) | both << 3 | both;
    }
    if (fchmod(descriptor, mode) != 0) {
        int reason = errno;
        if (fstat(descriptor, &now) != 0 || (now.st_mode & 07777) != mode) /* some file systems have one for all */
            return reason;
    }
    return 0;
}
#endif

/* Makes a new name in a directory last. 0, or errno; a file system that cannot be asked does as it does. */
static int storage_flush_directory_of(const char *path) {
    char directory[EXL__PATH_BYTES];
    size_t bytes = storage_directory_bytes(path);
    int descriptor, reason;

    memcpy(directory, bytes ? path : ".", bytes ? bytes : 1);
    directory[bytes ? bytes : 1] = '\0';
    descriptor = open(directory, O_RDONLY | O_CLOEXEC);
    reason = descriptor < 0 || fsync(descriptor) != 0 ? errno : 0;
    exl__descriptor_close(descriptor);
    return reason == EINVAL || reason == ENOTSUP || reason == ENOSYS || reason == EBADF ? 0 : reason;
}

/* The new file, whole and on the disk, under the name `partial`. 0, or errno. */
static int storage_fill_partial(int descriptor, int locked, const struct stat *old, const void *bytes, size_t length) {
    int reason = storage_take_access_list(descriptor, locked);

    if (reason == 0)
        reason = storage_take_owner_and_mode(descriptor, old);
    if (reason == 0)
        reason = exl__storage_write(descriptor, 0, bytes, length);
    return reason ? reason : exl__storage_flush(descriptor);
}

/* 0, or errno. Some systems rename and then say that they did not. */
static int storage_put_in_place(int descriptor, const char *partial, const char *target) {
    struct stat ours, there;
    int reason = rename(partial, target) == 0 ? 0 : errno;

    if (reason && fstat(descriptor, &ours) == 0 && lstat(target, &there) == 0 && storage_same_file(&ours, &there))
        return 0;
    return reason;
}

exl_status exl__file_replace(const char *path, int locked, const void *bytes, size_t length, exl_error *error) {
    char target[EXL__PATH_BYTES], partial[EXL__PATH_BYTES];
    struct stat old, there;
    int descriptor, reason = storage_follow_links(path, target);

    if (reason == 0 && (fstat(locked, &old) != 0 || lstat(target, &there) != 0))
        reason = errno;
    if (reason)
        return exl__storage_unwritable(strerror(reason), error);
    if (!storage_same_file(&old, &there))
        return exl__storage_unwritable("another file took its place meanwhile", error);
    if (old.st_nlink > 1)
        return exl__storage_unwritable(
            "it has a second name (a hard link), which would keep the old labels; remove that", error);
    descriptor = storage_make_partial(target, partial);
    if (descriptor < 0)
        return exl__fail(error, EXL_FILE_UNWRITABLE, "the label file's directory cannot be written: %s",
                         strerror(errno));
    reason = storage_fill_partial(descriptor, locked, &old, bytes, length);
    if (reason == 0)
        reason = storage_put_in_place(descriptor, partial, target);
    close(descriptor); /* it is on the disk, or of no use */
    if (reason) {
        (void)unlink(partial);
        return exl__storage_unwritable(strerror(reason), error);
    }
    reason = storage_flush_directory_of(target);
    return reason ? exl__storage_not_durable(reason, error) : EXL_OK;
}

/* ---- a bundle that takes another's place ------------------------------------------------------------------------- */

int exl__storage_target(const char *path, char target[EXL__PATH_BYTES]) {
    int reason = storage_follow_links(path, target);

    return reason == ENOENT ? 0 : reason; /* it is to be made there */
}

int exl__storage_empty(int descriptor) { return ftruncate(descriptor, 0) == 0 ? 0 : errno; }

int exl__storage_be_like(int descriptor, int like) {
    struct stat old;
    int reason = fstat(like, &old) == 0 ? storage_take_access_list(descriptor, like) : errno;

    return reason ? reason : storage_take_owner_and_mode(descriptor, &old);
}

exl_status exl__partial_place(exl__partial *partial, exl_error *error) {
    int reason = storage_put_in_place(partial->descriptor, partial->path, partial->target);

    if (reason)
        return storage_no_bundle(reason, error);
    exl__descriptor_unlock(partial->descriptor);
    partial->descriptor = -1;
    reason = storage_flush_directory_of(partial->target);
    if (reason)
        return exl__fail(error, EXL_NOT_DURABLE,
                         "the new bundle is in its place, but the system did not confirm that it is on the disk: %s",
                         strerror(reason));
    return EXL_OK;
}

int exl__file_move(const char *from, const char *to) {
    char target[EXL__PATH_BYTES];

    if (exl__storage_target(to, target) != 0 || rename(from, target) != 0)
        return 0;
    (void)storage_flush_directory_of(target);
    return 1;
}

int exl__file_remove(const char *path) { return unlink(path) == 0; }

#endif
#endif
