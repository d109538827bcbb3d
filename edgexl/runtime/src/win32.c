/* win32.c: Windows: what platform.h asks for, by Win32.
 *
 * Descriptors are those of the C runtime, over HANDLEs: the interface takes an int, programs and Python have such ints,
 * and the label files' code then is the same as elsewhere. The C runtime must be the program's (ucrtbase.dll), which
 * has one table of descriptors for a process. */
#include "compiler.h"

#include "platform.h"
#include "win32.h"

#if defined(_WIN32) && !defined(EXL_BARE)

#include <errno.h>
#include <fcntl.h>
#include <io.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>
#include <windows.h>

#include "memory.h"

_Static_assert(sizeof(exl__mutex) == sizeof(SRWLOCK) && sizeof(exl__condition) == sizeof(CONDITION_VARIABLE),
               "platform.h has room for them");

enum { WIN32_SHARE_ALL = FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE, WIN32_CALL_BYTES = 1 << 30 };

/* ---- errors and paths ------------------------------------------------------------------------------------------ */

int exl__win32_errno(unsigned long reason) {
    switch (reason) {
    case ERROR_FILE_NOT_FOUND:
    case ERROR_PATH_NOT_FOUND:
    case ERROR_INVALID_NAME:
    case ERROR_BAD_NETPATH:
    case ERROR_BAD_PATHNAME:
    case ERROR_INVALID_DRIVE: return ENOENT;
    case ERROR_ACCESS_DENIED:
    case ERROR_SHARING_VIOLATION:
    case ERROR_LOCK_VIOLATION:
    case ERROR_WRITE_PROTECT:
    case ERROR_USER_MAPPED_FILE: return EACCES;
    case ERROR_FILE_EXISTS:
    case ERROR_ALREADY_EXISTS: return EEXIST;
    case ERROR_DISK_FULL:
    case ERROR_HANDLE_DISK_FULL: return ENOSPC;
    case ERROR_NOT_ENOUGH_MEMORY:
    case ERROR_OUTOFMEMORY: return ENOMEM;
    case ERROR_TOO_MANY_OPEN_FILES: return EMFILE;
    case ERROR_FILENAME_EXCED_RANGE:
    case ERROR_BUFFER_OVERFLOW:
    case ERROR_INSUFFICIENT_BUFFER: return ENAMETOOLONG;
    case ERROR_INVALID_HANDLE: return EBADF;
    case ERROR_NO_UNICODE_TRANSLATION: return EILSEQ;
    default: return EIO;
    }
}

static int win32_is_letter(wchar_t c) { return (c >= L'a' && c <= L'z') || (c >= L'A' && c <= L'Z'); }

/* Whether an absolute path is of a file on a volume; others are of devices and pipes. */
static int win32_is_on_a_volume(const wchar_t *whole) {
    return wcsncmp(whole, L"\\\\?\\", 4) == 0 &&
           ((win32_is_letter(whole[4]) && whole[5] == L':') || wcsncmp(whole + 4, L"UNC\\", 4) == 0 ||
            wcsncmp(whole + 4, L"Volume{", 7) == 0);
}

unsigned long exl__win32_path(const char *path, wchar_t whole[EXL__WIN32_PATH]) {
    wchar_t given[EXL__WIN32_PATH];
    const wchar_t *prefix = L"\\\\?\\", *rest;
    DWORD length;

    if (MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, path, -1, given, EXL__WIN32_PATH) == 0)
        return GetLastError();
    if (given[0] == L'\0')
        return ERROR_PATH_NOT_FOUND;
    if (wcsncmp(given, L"\\\\?\\", 4) == 0) { /* it is taken as it is */
        wcscpy(whole, given);
        return 0;
    }
    length = GetFullPathNameW(given, EXL__WIN32_PATH, whole, NULL);
    if (length == 0)
        return GetLastError();
    if (length + 8 >= EXL__WIN32_PATH)
        return ERROR_FILENAME_EXCED_RANGE;
    if (wcsncmp(whole, L"\\\\.\\", 4) == 0) /* what NUL and CON become */
        return 0;
    wcscpy(given, whole);
    rest = given;
    if (wcsncmp(given, L"\\\\", 2) == 0)
        prefix = L"\\\\?\\UNC\\", rest = given + 2;
    wcscpy(whole, prefix);
    wcscat(whole, rest);
    return 0;
}

/* ---- descriptors ----------------------------------------------------------------------------------------------- */

#if defined(_UCRT)
_invalid_parameter_handler __cdecl _set_thread_local_invalid_parameter_handler(_invalid_parameter_handler handler);

static void __cdecl win32_heed_not(const wchar_t *expression, const wchar_t *function, const wchar_t *file,
                                   unsigned line, uintptr_t reserved) {
    (void)expression, (void)function, (void)file, (void)line, (void)reserved;
}
#endif

/* Without the handler a descriptor that is none ends the process. */
void *exl__win32_handle(int descriptor) {
    intptr_t handle;

#if defined(_UCRT)
    _invalid_parameter_handler before = _set_thread_local_invalid_parameter_handler(win32_heed_not);
#endif
    handle = _get_osfhandle(descriptor);
#if defined(_UCRT)
    (void)_set_thread_local_invalid_parameter_handler(before);
#endif
    return handle == -1 || handle == -2 ? NULL : (void *)handle; /* -2: a standard stream of a program without any */
}

int exl__win32_descriptor(void *handle) {
    int below[3], count = 0, descriptor = _open_osfhandle((intptr_t)handle, _O_BINARY | _O_NOINHERIT);

    if (descriptor < 0)
        CloseHandle(handle);
    while (descriptor >= 0 && descriptor <= 2 && count < 3) {
        below[count++] = descriptor;
        descriptor = _dup(descriptor);
    }
    while (count > 0)
        _close(below[--count]);
    return descriptor;
}

void exl__win32_close(int descriptor) {
    if (descriptor >= 0)
        _close(descriptor);
}

static const char *win32_why_not_regular(HANDLE handle) {
    switch (GetFileType(handle)) {
    case FILE_TYPE_DISK: return NULL;
    case FILE_TYPE_PIPE: return "it is a pipe or a socket, not a regular file";
    default: return "it is a device, not a regular file";
    }
}

/* Of an absolute path, without opening it. */
static const char *win32_why_not_openable(const wchar_t *whole) {
    DWORD attributes;

    if (!win32_is_on_a_volume(whole))
        return "it is a device or a pipe, not a regular file";
    attributes = GetFileAttributesW(whole);
    if (attributes != INVALID_FILE_ATTRIBUTES && (attributes & FILE_ATTRIBUTE_DIRECTORY))
        return "it is a directory, not a regular file";
    return NULL;
}

const char *exl__not_regular(const char *path, int descriptor) {
    wchar_t whole[EXL__WIN32_PATH];
    HANDLE handle = descriptor >= 0 ? exl__win32_handle(descriptor) : NULL;

    if (descriptor >= 0)
        return handle ? win32_why_not_regular(handle) : NULL;
    return exl__win32_path(path, whole) == 0 ? win32_why_not_openable(whole) : NULL; /* opening it says why */
}

int exl__win32_open(const wchar_t *whole, int for_change) {
    DWORD access = for_change ? GENERIC_READ | GENERIC_WRITE : GENERIC_READ;
    /* the second: a pipe's server could else act as this user */
    DWORD flags = FILE_ATTRIBUTE_NORMAL | SECURITY_SQOS_PRESENT | SECURITY_ANONYMOUS;
    HANDLE handle = INVALID_HANDLE_VALUE;

    /* whoever looks for viruses, or makes copies, has a new file for himself for moments */
    for (int attempt = 0; attempt < 50 && handle == INVALID_HANDLE_VALUE; attempt++) {
        if (attempt > 0)
            Sleep(4);
        handle =
            CreateFileW(whole, access, WIN32_SHARE_ALL, NULL, for_change ? OPEN_ALWAYS : OPEN_EXISTING, flags, NULL);
        if (handle == INVALID_HANDLE_VALUE && GetLastError() != ERROR_SHARING_VIOLATION)
            break;
    }
    if (handle == INVALID_HANDLE_VALUE) {
        errno = exl__win32_errno(GetLastError());
        return -1;
    }
    return exl__win32_descriptor(handle);
}

static uint64_t win32_length_of(HANDLE handle) {
    LARGE_INTEGER length;

    return GetFileSizeEx(handle, &length) && length.QuadPart > 0 ? (uint64_t)length.QuadPart : 0;
}

int exl__regular_open(const char *path, int for_change, uint64_t *length, const char **why) {
    wchar_t whole[EXL__WIN32_PATH];
    unsigned long reason = exl__win32_path(path, whole);
    int descriptor = -1, number;

    *length = 0;
    *why = NULL;
    number = exl__win32_errno(reason);
    if (reason == 0 && (*why = win32_why_not_openable(whole)) == NULL) {
        descriptor = exl__win32_open(whole, for_change);
        number = errno;
        if (descriptor >= 0)
            *why = win32_why_not_regular(exl__win32_handle(descriptor));
    }
    if (descriptor < 0 || *why) {
        number = *why ? EINVAL : number;
        if (!*why)
            *why = strerror(number);
        exl__win32_close(descriptor);
        errno = number;
        return -1;
    }
    *length = win32_length_of(exl__win32_handle(descriptor));
    return descriptor;
}

/* ---- a file to be read ----------------------------------------------------------------------------------------- */

/* A view begins with one of the system's steps: by so many bytes before those that are wanted. */
static size_t win32_before(const exl__file *file) {
    SYSTEM_INFO system;

    GetSystemInfo(&system);
    return (size_t)(file->start % system.dwAllocationGranularity);
}

/* The view alone keeps the file: others may rename it while it is mapped, and put another in its place. */
exl_status exl__file_map(exl__file *file, exl_error *error) {
    size_t before = win32_before(file);
    uint64_t from = file->start - before;
    HANDLE mapping = CreateFileMappingW(exl__win32_handle(file->descriptor), NULL, PAGE_READONLY, 0, 0, NULL);
    uint8_t *view = NULL;

    if (mapping) {
        view = MapViewOfFile(mapping, FILE_MAP_READ, (DWORD)(from >> 32), (DWORD)from, (size_t)file->length + before);
        if (!view)
            errno = exl__win32_errno(GetLastError());
        CloseHandle(mapping);
    } else
        errno = exl__win32_errno(GetLastError());
    if (!view)
        return exl__fail(error, EXL_FILE_UNREADABLE, "the file cannot be mapped: %s", strerror(errno));
    file->bytes = view + before;
    return EXL_OK;
}

void exl__file_unmap(const exl__file *file) { UnmapViewOfFile(file->bytes - win32_before(file)); }

int64_t exl__descriptor_read_at(int descriptor, uint64_t offset, void *buffer, size_t bytes) {
    HANDLE handle = exl__win32_handle(descriptor);
    OVERLAPPED at = {.Offset = (DWORD)offset, .OffsetHigh = (DWORD)(offset >> 32)};
    DWORD got = 0;
    BOOL done = ReadFile(handle, buffer, bytes < WIN32_CALL_BYTES ? (DWORD)bytes : WIN32_CALL_BYTES, &got, &at);

    if (!done && GetLastError() == ERROR_IO_PENDING) /* a caller's descriptor may be of that kind */
        done = GetOverlappedResult(handle, &at, &got, TRUE);
    if (done || GetLastError() == ERROR_HANDLE_EOF)
        return (int64_t)got;
    errno = exl__win32_errno(GetLastError());
    return -1;
}

const char *exl__descriptor_measure(int descriptor, uint64_t *length) {
    HANDLE handle = exl__win32_handle(descriptor);

    *length = handle ? win32_length_of(handle) : 0;
    return handle ? win32_why_not_regular(handle) : strerror(EBADF);
}

/* With a place of its own in the file where that can be had. */
int exl__descriptor_duplicate(int descriptor) {
    HANDLE process = GetCurrentProcess(), theirs = exl__win32_handle(descriptor);
    HANDLE ours = ReOpenFile(theirs, GENERIC_READ, WIN32_SHARE_ALL, 0);

    if (ours == INVALID_HANDLE_VALUE &&
        !DuplicateHandle(process, theirs, process, &ours, 0, FALSE, DUPLICATE_SAME_ACCESS)) {
        errno = exl__win32_errno(GetLastError());
        return -1;
    }
    return exl__win32_descriptor(ours);
}

/* Pages that are not locked leave the process's memory when they are "unlocked", and are read again where needed. */
void exl__file_forget(const exl__file *file, uint64_t offset, uint64_t bytes) {
    if (file->descriptor >= 0 && bytes > 0)
        (void)VirtualUnlock((void *)(uintptr_t)(file->bytes + offset), (size_t)bytes);
}

/* ---- libraries, locks, threads, the clock ---------------------------------------------------------------------- */

/* A library at a path brings those beside it. One that is a name alone is searched for where Windows does, but for the
 * folder that happens to be the current one. */
void *exl__library_open(const char *path, char *why, size_t why_bytes) {
    wchar_t name[EXL__WIN32_PATH];
    const char *words = NULL;
    HMODULE library = NULL;
    int is_path = strpbrk(path, "/\\") != NULL;
    unsigned long reason = 0;

    if (is_path) {
        reason = exl__win32_path(path, name);
        words = reason ? NULL : win32_why_not_openable(name);
    } else if (MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, path, -1, name, EXL__WIN32_PATH) == 0)
        reason = GetLastError();
    if (!reason && !words) {
        library =
            LoadLibraryExW(name, NULL, is_path ? LOAD_WITH_ALTERED_SEARCH_PATH : LOAD_LIBRARY_SEARCH_DEFAULT_DIRS);
        reason = GetLastError();
    }
    if (!library && words)
        snprintf(why, why_bytes, "%s", words);
    else if (!library)
        snprintf(why, why_bytes, "Windows's error %lu", reason);
    return (void *)library;
}

void *exl__library_symbol(void *library, const char *name) {
    return (void *)(uintptr_t)GetProcAddress((HMODULE)library, name);
}

void exl__set_variable(const char *name, const char *value) {
    if (GetEnvironmentVariableA(name, NULL, 0) == 0)
        (void)_putenv_s(name, value);
}

int exl__mutex_init(exl__mutex *mutex) {
    InitializeSRWLock((SRWLOCK *)(void *)mutex);
    return 1;
}
void exl__mutex_destroy(exl__mutex *mutex) { (void)mutex; }
void exl__mutex_lock(exl__mutex *mutex) { AcquireSRWLockExclusive((SRWLOCK *)(void *)mutex); }
void exl__mutex_unlock(exl__mutex *mutex) { ReleaseSRWLockExclusive((SRWLOCK *)(void *)mutex); }

static DWORD WINAPI win32_run_thread(void *of) {
    const exl__thread *thread = of;

    thread->work(thread->of);
    return 0;
}

int exl__thread_start(exl__thread *thread, void (*work)(void *of), void *of) {
    thread->work = work;
    thread->of = of;
    thread->handle = CreateThread(NULL, 0, win32_run_thread, thread, 0, NULL);
    return thread->handle != NULL;
}

void exl__thread_join(exl__thread *thread) {
    WaitForSingleObject(thread->handle, INFINITE);
    CloseHandle(thread->handle);
}

int exl__condition_init(exl__condition *condition) {
    InitializeConditionVariable((CONDITION_VARIABLE *)(void *)condition);
    return 1;
}
void exl__condition_destroy(exl__condition *condition) { (void)condition; }
void exl__condition_wait(exl__condition *condition, exl__mutex *mutex) {
    (void)SleepConditionVariableSRW((CONDITION_VARIABLE *)(void *)condition, (SRWLOCK *)(void *)mutex, INFINITE, 0);
}
void exl__condition_wake_all(exl__condition *condition) {
    WakeAllConditionVariable((CONDITION_VARIABLE *)(void *)condition);
}

long exl__process(void) { return (long)GetCurrentProcessId(); }

int exl__at_fork(void (*before)(void), void (*in_parent)(void), void (*in_child)(void)) {
    (void)before, (void)in_parent, (void)in_child; /* no process forks */
    return 1;
}

double exl__now_ms(void) {
    LARGE_INTEGER ticks, a_second;

    QueryPerformanceCounter(&ticks);
    QueryPerformanceFrequency(&a_second);
    return (double)ticks.QuadPart * 1e3 / (double)a_second.QuadPart;
}

int exl__win32_cpu_has(unsigned feature) { return IsProcessorFeaturePresent(feature) != 0; }

#endif
