/* win32_storage.c: Windows: what storage.h asks for, by Win32.
 *
 * A label file's lock is on a file beside it, FILE.lock, which stays. For where the file system cannot put a file in
 * the place of one that is open (FAT, many servers), whoever holds the lock closes the label file for that moment; a
 * lock on the label file itself would be lost by it. The system unlocks what a process that ends had locked. */
#include "compiler.h"

#include "platform.h"
#include "storage.h"
#include "win32.h"

#if defined(_WIN32) && !defined(EXL_BARE)

#include <errno.h>
#include <io.h>
#include <stdio.h>
#include <string.h>
#include <wchar.h>
#include <windows.h>

enum {
    WIN32_STORAGE_LOCKS = 64, /* at one moment, in this process */
    WIN32_STORAGE_PARTIAL = 64,
    WIN32_STORAGE_PATIENCE_MS = 2000, /* with those who read the file meanwhile */
};

/* ---- descriptors ----------------------------------------------------------------------------------------------- */

void exl__descriptor_close(int descriptor) { exl__win32_close(descriptor); }

int64_t exl__storage_length(int descriptor) {
    LARGE_INTEGER length;

    if (GetFileSizeEx(exl__win32_handle(descriptor), &length))
        return (int64_t)length.QuadPart;
    errno = exl__win32_errno(GetLastError());
    return -1;
}

static int win32_storage_flush(HANDLE handle) {
    return FlushFileBuffers(handle) ? 0 : exl__win32_errno(GetLastError());
}

int exl__storage_flush(int descriptor) { return win32_storage_flush(exl__win32_handle(descriptor)); }

static int win32_storage_write(HANDLE handle, uint64_t offset, const void *bytes, size_t length) {
    const uint8_t *from = bytes;

    while (length > 0) {
        OVERLAPPED at = {.Offset = (DWORD)offset, .OffsetHigh = (DWORD)(offset >> 32)};
        DWORD put = 0;
        if (!WriteFile(handle, from, length < 1u << 30 ? (DWORD)length : 1u << 30, &put, &at))
            return exl__win32_errno(GetLastError());
        if (put == 0)
            return EIO;
        from += put;
        offset += put;
        length -= put;
    }
    return 0;
}

int exl__storage_write(int descriptor, uint64_t offset, const void *bytes, size_t length) {
    return win32_storage_write(exl__win32_handle(descriptor), offset, bytes, length);
}

/* ---- one writer at a time -------------------------------------------------------------------------------------- */

/* Which lock belongs to a descriptor that is locked. */
static struct {
    int descriptor; /* 0: none; ours are above 2 */
    HANDLE lock;
} win32_storage_locks[WIN32_STORAGE_LOCKS];
static exl__mutex win32_storage_mutex = EXL__MUTEX;

/* Puts a pair where `wanted` is; 0 where it is not. */
static int win32_storage_exchange(int wanted, int descriptor, HANDLE *lock) {
    int found = 0;

    exl__mutex_lock(&win32_storage_mutex);
    for (size_t i = 0; i < WIN32_STORAGE_LOCKS && !found; i++)
        if (win32_storage_locks[i].descriptor == wanted) {
            HANDLE before = win32_storage_locks[i].lock;
            win32_storage_locks[i].descriptor = descriptor;
            win32_storage_locks[i].lock = *lock;
            *lock = before;
            found = 1;
        }
    exl__mutex_unlock(&win32_storage_mutex);
    return found;
}

/* Where an open file is, whatever links led there. 0, or errno. */
static int win32_storage_target(int descriptor, const char *path, wchar_t target[EXL__WIN32_PATH]) {
    DWORD length = GetFinalPathNameByHandleW(exl__win32_handle(descriptor), target, EXL__WIN32_PATH, 0);
    unsigned long reason = 0;

    if (length == 0) /* some volumes have no letter, as those in memory */
        reason = exl__win32_path(path, target);
    else if (length >= EXL__WIN32_PATH)
        reason = ERROR_FILENAME_EXCED_RANGE;
    return reason ? exl__win32_errno(reason) : 0;
}

/* 0, or errno. */
static int win32_storage_take_lock(const wchar_t *target, HANDLE *lock) {
    wchar_t name[EXL__WIN32_PATH];
    OVERLAPPED at = {.Offset = 0};
    int reason;

    *lock = INVALID_HANDLE_VALUE;
    if (wcslen(target) + 6 > EXL__WIN32_PATH)
        return ENAMETOOLONG;
    wcscpy(name, target);
    wcscat(name, L".lock");
    *lock = CreateFileW(name, GENERIC_READ | GENERIC_WRITE, FILE_SHARE_READ | FILE_SHARE_WRITE, NULL, OPEN_ALWAYS,
                        FILE_ATTRIBUTE_HIDDEN, NULL);
    if (*lock == INVALID_HANDLE_VALUE)
        return exl__win32_errno(GetLastError());
    if (LockFileEx(*lock, LOCKFILE_EXCLUSIVE_LOCK, 0, 1, 0, &at))
        return 0;
    reason = exl__win32_errno(GetLastError());
    CloseHandle(*lock);
    *lock = INVALID_HANDLE_VALUE;
    return reason;
}

static void win32_storage_give_lock(HANDLE lock) {
    OVERLAPPED at = {.Offset = 0};

    (void)UnlockFileEx(lock, 0, 1, 0, &at); /* to close it alone would do, but some time later */
    CloseHandle(lock);
}

exl_status exl__descriptor_lock(const char *what, const char *path, int *descriptor, exl_error *error) {
    wchar_t target[EXL__WIN32_PATH];
    HANDLE lock, kept;
    const char *why = NULL;
    uint64_t length;
    int reason;

    *descriptor = exl__regular_open(path, 1, &length, &why);
    if (*descriptor < 0)
        return exl__fail(error, EXL_FILE_UNWRITABLE, "%s %s cannot be written: %s", what, path, why);
    reason = win32_storage_target(*descriptor, path, target);
    exl__descriptor_close(*descriptor); /* whoever has the lock may want to replace it */
    *descriptor = -1;
    if (reason)
        return exl__fail(error, EXL_FILE_UNWRITABLE, "%s %s cannot be written: %s", what, path, strerror(reason));
    reason = win32_storage_take_lock(target, &lock);
    if (reason)
        return exl__fail(error, EXL_FILE_UNWRITABLE, "the lock of %s, %s.lock, cannot be had: %s", what, path,
                         strerror(reason));
    *descriptor = exl__win32_open(target, 1);
    kept = lock;
    if (*descriptor >= 0 && win32_storage_exchange(0, *descriptor, &kept))
        return EXL_OK;
    why = *descriptor < 0 ? strerror(errno) : "too many are being changed at this moment";
    exl__descriptor_close(*descriptor);
    *descriptor = -1;
    win32_storage_give_lock(lock);
    return exl__fail(error, EXL_FILE_UNWRITABLE, "%s %s cannot be written: %s", what, path, why);
}

void exl__descriptor_unlock(int descriptor) {
    HANDLE lock = NULL;
    int is_locked = descriptor > 0 && win32_storage_exchange(descriptor, 0, &lock);

    exl__descriptor_close(descriptor); /* before others may think that nobody has it open */
    if (is_locked)
        win32_storage_give_lock(lock);
}

/* ---- a new file in the place of an old one --------------------------------------------------------------------- */

/* Units of the path up to the file's name. */
static size_t win32_storage_directory(const wchar_t *target) {
    const wchar_t *slash = wcsrchr(target, L'\\');
    return slash ? (size_t)(slash - target) + 1 : 0;
}

/* How the names of new files for this target begin: no other target's, and short whatever it is called. */
static void win32_storage_name_partials(const wchar_t *target, wchar_t beginning[WIN32_STORAGE_PARTIAL]) {
    char name[WIN32_STORAGE_PARTIAL];
    uint64_t hash = 0xCBF29CE484222325u; /* FNV-1a */

    for (const wchar_t *at = target + win32_storage_directory(target); *at; at++)
        hash = (hash ^ (uint16_t)*at) * 0x100000001B3u;
    snprintf(name, sizeof name, ".edgexl-%016llx-", (unsigned long long)hash);
    for (size_t i = 0; i <= strlen(name); i++)
        beginning[i] = (wchar_t)name[i];
}

/* Removes what writers of this target left that were killed. It is locked, so all of them are gone. */
static void win32_storage_sweep(wchar_t path[EXL__WIN32_PATH], size_t at, const wchar_t *beginning) {
    WIN32_FIND_DATAW entry;
    HANDLE found;

    wcscpy(path + at, beginning);
    wcscat(path + at, L"*");
    found = FindFirstFileW(path, &entry);
    if (found == INVALID_HANDLE_VALUE)
        return;
    do {
        if (at + wcslen(entry.cFileName) >= EXL__WIN32_PATH)
            continue;
        wcscpy(path + at, entry.cFileName);
        (void)DeleteFileW(path);
    } while (FindNextFileW(found, &entry));
    FindClose(found);
}

/* A new file in the directory of `target`; whatever has its name already is not opened. 0, or errno. */
static int win32_storage_make_partial(const wchar_t *target, wchar_t partial[EXL__WIN32_PATH], HANDLE *handle) {
    wchar_t beginning[WIN32_STORAGE_PARTIAL];
    size_t at = win32_storage_directory(target);
    DWORD access = GENERIC_WRITE | DELETE | READ_CONTROL | WRITE_DAC;

    *handle = INVALID_HANDLE_VALUE;
    if (at + 2 * WIN32_STORAGE_PARTIAL > EXL__WIN32_PATH)
        return ENAMETOOLONG;
    win32_storage_name_partials(target, beginning);
    wmemcpy(partial, target, at);
    win32_storage_sweep(partial, at, beginning);
    for (unsigned attempt = 0; attempt < 100 && *handle == INVALID_HANDLE_VALUE; attempt++) {
        char mark[32];
        size_t end = at + wcslen(beginning);
        snprintf(mark, sizeof mark, "%016llx.tmp", (unsigned long long)(exl__now_ms() * 1e6) + attempt);
        wcscpy(partial + at, beginning);
        for (size_t i = 0; i <= strlen(mark); i++)
            partial[end + i] = (wchar_t)mark[i];
        *handle = CreateFileW(partial, access, FILE_SHARE_READ | FILE_SHARE_DELETE, NULL, CREATE_NEW,
                              FILE_ATTRIBUTE_NORMAL, NULL);
        if (*handle == INVALID_HANDLE_VALUE && GetLastError() != ERROR_FILE_EXISTS)
            break;
    }
    return *handle == INVALID_HANDLE_VALUE ? exl__win32_errno(GetLastError()) : 0;
}

/* The list of who may do what, as the old file has it. 0, or errno. */
static int win32_storage_take_access_list(HANDLE handle, HANDLE old) {
    union {
        SECURITY_DESCRIPTOR descriptor;
        uint8_t bytes[8192];
    } list;
    DWORD wanted;

    if (GetKernelObjectSecurity(old, DACL_SECURITY_INFORMATION, &list.descriptor, sizeof list, &wanted) &&
        SetKernelObjectSecurity(handle, DACL_SECURITY_INFORMATION, &list.descriptor))
        return 0;
    return exl__win32_errno(GetLastError());
}

/* In one step, though others have the old file open: where the file system can do it (NTFS since Windows 10 1607). */
static int win32_storage_rename_over_open(HANDLE partial, const wchar_t *target) {
    enum { RENAME_INFO_EX = 22, REPLACE_IF_EXISTS = 1, POSIX_SEMANTICS = 2 };
    struct { /* FILE_RENAME_INFO, whose last member is longer */
        DWORD flags;
        HANDLE root;
        DWORD name_bytes;
        wchar_t name[EXL__WIN32_PATH];
    } rename = {.flags = REPLACE_IF_EXISTS | POSIX_SEMANTICS};

    rename.name_bytes = (DWORD)(wcslen(target) * sizeof(wchar_t));
    wcscpy(rename.name, target);
    return SetFileInformationByHandle(partial, (FILE_INFO_BY_HANDLE_CLASS)RENAME_INFO_EX, &rename, sizeof rename) != 0;
}

/* In one step, once nobody has the old file open; those who read it do for moments. */
static int win32_storage_rename_over_closed(const wchar_t *partial, const wchar_t *target) {
    double until = exl__now_ms() + WIN32_STORAGE_PATIENCE_MS;

    while (!MoveFileExW(partial, target, MOVEFILE_REPLACE_EXISTING | MOVEFILE_WRITE_THROUGH)) {
        DWORD reason = GetLastError();
        if ((reason != ERROR_ACCESS_DENIED && reason != ERROR_SHARING_VIOLATION) || exl__now_ms() > until)
            return exl__win32_errno(reason);
        Sleep(1);
    }
    return 0;
}

/* Gives the locked descriptor another file: this one, or, where that fails, one that cannot be written to. */
static void win32_storage_point(int locked, const wchar_t *at) {
    int other = exl__win32_open(at ? at : L"\\\\.\\NUL", at != NULL);

    if (other < 0 && at) {
        win32_storage_point(locked, NULL);
        return;
    }
    (void)_dup2(other, locked);
    exl__descriptor_close(other);
}

/* Renames the new file, which is whole, and closes it. EXL_OK and EXL_NOT_DURABLE: it is in its place. */
static exl_status win32_storage_put_in_place(HANDLE handle, const wchar_t *partial, const wchar_t *target, int locked,
                                             exl_error *error) {
    int reason;

    if (win32_storage_rename_over_open(handle, target)) {
        reason = win32_storage_flush(handle);
        CloseHandle(handle);
        return reason ? exl__storage_not_durable(reason, error) : EXL_OK;
    }
    CloseHandle(handle);
    win32_storage_point(locked, NULL);
    reason = win32_storage_rename_over_closed(partial, target);
    if (reason == 0)
        return EXL_OK;
    win32_storage_point(locked, target); /* the old one, to which may be written */
    (void)DeleteFileW(partial);
    return exl__storage_unwritable(strerror(reason), error);
}

exl_status exl__file_replace(const char *path, int locked, const void *bytes, size_t length, exl_error *error) {
    wchar_t target[EXL__WIN32_PATH], partial[EXL__WIN32_PATH];
    BY_HANDLE_FILE_INFORMATION old;
    HANDLE handle;
    int reason = win32_storage_target(locked, path, target);

    if (reason == 0 && !GetFileInformationByHandle(exl__win32_handle(locked), &old))
        reason = exl__win32_errno(GetLastError());
    if (reason)
        return exl__storage_unwritable(strerror(reason), error);
    if (old.nNumberOfLinks > 1)
        return exl__storage_unwritable(
            "it has a second name (a hard link), which would keep the old labels; remove that", error);
    reason = win32_storage_make_partial(target, partial, &handle);
    if (reason)
        return exl__fail(error, EXL_FILE_UNWRITABLE, "the label file's directory cannot be written: %s",
                         strerror(reason));
    reason = win32_storage_take_access_list(handle, exl__win32_handle(locked));
    if (reason == 0)
        reason = win32_storage_write(handle, 0, bytes, length);
    if (reason == 0)
        reason = win32_storage_flush(handle);
    if (reason) {
        CloseHandle(handle);
        (void)DeleteFileW(partial);
        return exl__storage_unwritable(strerror(reason), error);
    }
    return win32_storage_put_in_place(handle, partial, target, locked, error);
}

/* ---- a bundle that takes another's place ------------------------------------------------------------------------- */

int exl__storage_target(const char *path, char target[EXL__PATH_BYTES]) {
    if (strlen(path) >= EXL__PATH_BYTES)
        return ENAMETOOLONG;
    strcpy(target, path);
    return 0;
}

int exl__storage_empty(int descriptor) {
    HANDLE handle = exl__win32_handle(descriptor);
    LARGE_INTEGER start = {.QuadPart = 0};

    return SetFilePointerEx(handle, start, NULL, FILE_BEGIN) && SetEndOfFile(handle) ? 0
                                                                                     : exl__win32_errno(GetLastError());
}

/* The access list stays that of the directory: the descriptor was not opened to change it. */
int exl__storage_be_like(int descriptor, int like) {
    (void)descriptor, (void)like;
    return 0;
}

/* 0, or errno. */
static int win32_storage_move(const char *from, const char *to) {
    wchar_t source[EXL__WIN32_PATH], target[EXL__WIN32_PATH];
    unsigned long reason = exl__win32_path(from, source);

    if (reason == 0)
        reason = exl__win32_path(to, target);
    return reason ? exl__win32_errno(reason) : win32_storage_rename_over_closed(source, target);
}

exl_status exl__partial_place(exl__partial *partial, exl_error *error) {
    int reason;

    exl__descriptor_unlock(partial->descriptor); /* an open file keeps its name here */
    partial->descriptor = -1;
    reason = win32_storage_move(partial->path, partial->target);
    if (reason == 0)
        return EXL_OK;
    (void)exl__file_remove(partial->path);
    return exl__fail(error, EXL_FILE_UNWRITABLE,
                     "the new bundle cannot take the old one's place (%s): close the old one everywhere",
                     strerror(reason));
}

int exl__file_move(const char *from, const char *to) { return win32_storage_move(from, to) == 0; }

int exl__file_remove(const char *path) {
    wchar_t whole[EXL__WIN32_PATH];

    return exl__win32_path(path, whole) == 0 && DeleteFileW(whole);
}

#endif
