/* failing_calls.c: system calls that fail, put before the system's by the loader (tests/runtime/test_failing_calls.py).
 *
 * faults_arm(name, number, reason, directory): of the calls `name` on what lies in the directory, that with this
 * number, counted from 1, fails with `reason`; where that is 0 it does a part of what it was asked, and where it is -1
 * the process is killed before it. faults_end gives how many of them there were. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <unistd.h>

static char fault_name[32], fault_directory[4096];
static int fault_number, fault_reason, fault_count;

void faults_arm(const char *name, int number, int reason, const char *directory) {
    snprintf(fault_name, sizeof fault_name, "%s", name);
    snprintf(fault_directory, sizeof fault_directory, "%s", directory);
    fault_number = number, fault_reason = reason, fault_count = 0;
}

int faults_end(void) {
    fault_name[0] = '\0';
    return fault_count;
}

/* 0: goes on; else it is this call's turn. */
static int its_turn(const char *name, const char *path, int descriptor) {
    char link[64], found[4096];

    if (strcmp(name, fault_name) != 0)
        return 0;
    if (!path) {
        ssize_t bytes;
        snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
        bytes = readlink(link, found, sizeof found - 1);
        found[bytes > 0 ? bytes : 0] = '\0';
        path = found;
    }
    if (strncmp(path, fault_directory, strlen(fault_directory)) != 0 || ++fault_count != fault_number)
        return 0;
    if (fault_reason < 0)
        kill(getpid(), SIGKILL);
    errno = fault_reason ? fault_reason : EINTR;
    return 1;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static int has_mode(int flags) { return (flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE; }

#define OPENS(name, parameters, arguments, path)                                                                       \
    int name parameters {                                                                                              \
        mode_t mode = 0;                                                                                               \
        if (has_mode(flags)) {                                                                                         \
            va_list more;                                                                                              \
            va_start(more, flags);                                                                                     \
            mode = va_arg(more, mode_t);                                                                               \
            va_end(more);                                                                                              \
        }                                                                                                              \
        return its_turn("open", path, -1) ? -1 : REAL(name) arguments;                                                 \
    }
OPENS(open, (const char *path, int flags, ...), (path, flags, mode), path)
OPENS(open64, (const char *path, int flags, ...), (path, flags, mode), path)
OPENS(openat, (int at, const char *path, int flags, ...), (at, path, flags, mode), path)
OPENS(openat64, (int at, const char *path, int flags, ...), (at, path, flags, mode), path)

#define MOVES(name, call, parameters, whole, part)                                                                     \
    ssize_t name parameters {                                                                                          \
        if (!its_turn(call, NULL, file))                                                                               \
            return REAL(name) whole;                                                                                   \
        return fault_reason || bytes < 2 ? -1 : REAL(name) part;                                                       \
    }
MOVES(read, "read", (int file, void *to, size_t bytes), (file, to, bytes), (file, to, bytes / 2))
MOVES(pread64, "read", (int file, void *to, size_t bytes, off64_t at), (file, to, bytes, at), (file, to, bytes / 2, at))
MOVES(write, "write", (int file, const void *from, size_t bytes), (file, from, bytes), (file, from, bytes / 2))
MOVES(pwrite64, "write", (int file, const void *from, size_t bytes, off64_t at), (file, from, bytes, at),
      (file, from, bytes / 2, at))

#define ON_FILE(name, parameters, arguments)                                                                           \
    int name parameters { return its_turn(#name, NULL, file) ? -1 : REAL(name) arguments; }
ON_FILE(fsync, (int file), (file))
ON_FILE(flock, (int file, int how), (file, how))
ON_FILE(fchmod, (int file, mode_t mode), (file, mode))
ON_FILE(ftruncate64, (int file, off64_t bytes), (file, bytes))

int rename(const char *from, const char *to) { return its_turn("rename", to, -1) ? -1 : REAL(rename)(from, to); }
int unlink(const char *path) { return its_turn("unlink", path, -1) ? -1 : REAL(unlink)(path); }

void *mmap64(void *at, size_t bytes, int protection, int flags, int file, off64_t offset) {
    if (file >= 0 && its_turn("mmap", NULL, file))
        return MAP_FAILED;
    return REAL(mmap64)(at, bytes, protection, flags, file, offset);
}

void *mmap(void *at, size_t bytes, int protection, int flags, int file, off_t offset) {
    return mmap64(at, bytes, protection, flags, file, offset);
}
