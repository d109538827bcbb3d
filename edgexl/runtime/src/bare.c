/* bare.c: what platform.h and storage.h ask for where there is no operating system, as in a browser's WebAssembly: the
 * library compiled with EXL_BARE. A bundle is opened from memory; a label file is memory under a name, which ends with
 * the process, and which exl_bare_file hands in and out. */
#include "compiler.h"

#include "bare.h"

#if defined(EXL_BARE)

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "memory.h"
#include "platform.h"
#include "storage.h"

/* ---- sentences ------------------------------------------------------------------------------------------------- */

/* Where a sentence's next character goes; the last of `left` bytes is its end. */
typedef struct bare_sentence {
    char *next;
    size_t left;
} bare_sentence;

static void bare_put(bare_sentence *to, const char *text, size_t length) {
    size_t fits = length < to->left ? length : to->left - 1;

    memcpy(to->next, text, fits);
    to->next += fits;
    to->left -= fits;
}

static void bare_put_number(bare_sentence *to, uint64_t number, size_t digits) {
    char text[20];
    size_t at = sizeof text;

    do {
        text[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0 || sizeof text - at < digits);
    bare_put(to, text + at, sizeof text - at);
}

static void bare_put_signed(bare_sentence *to, int64_t number) {
    if (number < 0)
        bare_put(to, "-", 1);
    bare_put_number(to, number < 0 ? 0 - (uint64_t)number : (uint64_t)number, 1);
}

static void bare_put_decimal(bare_sentence *to, double number, size_t decimals) {
    uint64_t unit = 1;

    for (size_t i = 0; i < decimals; i++)
        unit *= 10;
    if (number < 0)
        bare_put(to, "-", 1);
    number = number < 0 ? -number : number;
    uint64_t whole = (uint64_t)number, part = (uint64_t)((number - (double)whole) * (double)unit + 0.5);
    bare_put_number(to, whole + part / unit, 1);
    bare_put(to, ".", 1);
    bare_put_number(to, part % unit, decimals);
}

void exl__bare_format(char *to, size_t bytes, const char *format, va_list arguments) {
    bare_sentence sentence = {to, bytes};

    while (*format) {
        size_t plain = strcspn(format, "%"), precision = SIZE_MAX;
        char size = 0;

        bare_put(&sentence, format, plain);
        format += plain;
        if (!*format++)
            break;
        if (*format == '.' && *++format == '*')
            precision = (size_t)va_arg(arguments, int), format++;
        else if (format[-1] == '.')
            for (precision = 0; *format >= '0' && *format <= '9'; format++)
                precision = precision * 10 + (size_t)(*format - '0');
        for (; *format == 'l' || *format == 'z'; format++)
            size = *format;
        switch (*format++) {
        case 's': {
            const char *text = va_arg(arguments, const char *);
            size_t length = 0;
            while (length < precision && text[length])
                length++;
            bare_put(&sentence, text, length);
            break;
        }
        case 'd': bare_put_signed(&sentence, size ? va_arg(arguments, long long) : va_arg(arguments, int)); break;
        case 'u':
            bare_put_number(&sentence,
                            size == 'l'   ? va_arg(arguments, unsigned long long)
                            : size == 'z' ? va_arg(arguments, size_t)
                                          : va_arg(arguments, unsigned),
                            1);
            break;
        case 'f': bare_put_decimal(&sentence, va_arg(arguments, double), precision); break;
        default: bare_put(&sentence, format - 1, 1);
        }
    }
    *sentence.next = '\0';
}

/* ---- platform.h ------------------------------------------------------------------------------------------------ */

int exl__regular_open(const char *path, int for_change, uint64_t *length, const char **why) {
    (void)path, (void)for_change;
    *length = 0;
    *why = "there are no files here";
    errno = ENOENT;
    return -1;
}

const char *exl__not_regular(const char *path, int descriptor) {
    (void)path, (void)descriptor;
    return NULL;
}

static exl_status bare_refuse(exl__file *file, exl_error *error) {
    memset(file, 0, sizeof *file);
    file->descriptor = -1;
    return exl__fail(error, EXL_FILE_UNREADABLE, "there are no files here: open the bundle from memory");
}

exl_status exl__file_open(const char *path, const exl_allocator *copy, exl__file *file, exl_error *error) {
    (void)path, (void)copy;
    return bare_refuse(file, error);
}

exl_status exl__file_open_part(int descriptor, uint64_t offset, uint64_t length, const exl_allocator *copy,
                               exl__file *file, exl_error *error) {
    (void)descriptor, (void)offset, (void)length, (void)copy;
    return bare_refuse(file, error);
}

exl_status exl__file_read(const exl__file *file, uint64_t offset, void *buffer, size_t bytes, exl_error *error) {
    (void)error;
    if (bytes > 0)
        memcpy(buffer, file->bytes + offset, bytes);
    return EXL_OK;
}

void exl__file_forget(const exl__file *file, uint64_t offset, uint64_t bytes) { (void)file, (void)offset, (void)bytes; }

void exl__file_close(exl__file *file) {
    if (file->copied)
        exl__release(file->copied, (void *)(uintptr_t)file->bytes, file->length, 1);
    memset(file, 0, sizeof *file);
    file->descriptor = -1;
}

void *exl__library_open(const char *path, char *why, size_t why_bytes) {
    (void)path;
    strncpy(why, "there are no libraries here", why_bytes);
    return NULL;
}

void *exl__library_symbol(void *library, const char *name) {
    (void)library, (void)name;
    return NULL;
}

void exl__set_variable(const char *name, const char *value) { (void)name, (void)value; }

int exl__mutex_init(exl__mutex *mutex) {
    *mutex = EXL__MUTEX;
    return 1;
}
void exl__mutex_destroy(exl__mutex *mutex) { (void)mutex; }
void exl__mutex_lock(exl__mutex *mutex) { (void)mutex; }
void exl__mutex_unlock(exl__mutex *mutex) { (void)mutex; }

long exl__process(void) { return 1; }

int exl__at_fork(void (*before)(void), void (*in_parent)(void), void (*in_child)(void)) {
    (void)before, (void)in_parent, (void)in_child;
    return 1;
}

double exl__now_ms(void) { return exl_bare_now_ms(); }

/* ---- storage.h ------------------------------------------------------------------------------------------------- */

enum { BARE_FILES = 16, BARE_NAME_BYTES = 64 };

static struct bare_file {
    char name[BARE_NAME_BYTES]; /* "": none */
    uint8_t *bytes;
    uint64_t length;
} bare_files[BARE_FILES];

/* Its number; with `make`, of an empty one where there is none; negative where there is none, or no room. */
static int bare_find(const char *name, int make) {
    int room = -1;

    for (int i = BARE_FILES - 1; i >= 0; i--) {
        if (strcmp(bare_files[i].name, name) == 0 && *name)
            return i;
        if (!*bare_files[i].name)
            room = i;
    }
    if (!make || !*name || strlen(name) >= BARE_NAME_BYTES || room < 0)
        return -1;
    strcpy(bare_files[room].name, name);
    return room;
}

static exl_status bare_resize(struct bare_file *file, uint64_t length, exl_error *error) {
    uint8_t *moved = length > SIZE_MAX / 2 ? NULL : realloc(file->bytes, length ? (size_t)length : 1);

    if (!moved)
        return exl__fail(error, EXL_FILE_UNWRITABLE, "no memory for the label file");
    if (length > file->length)
        memset(moved + file->length, 0, (size_t)(length - file->length));
    file->bytes = moved;
    file->length = length;
    return EXL_OK;
}

const void *exl_bare_file(const char *name, const void *bytes, size_t *length) {
    int number = bare_find(name, bytes != NULL);

    if (number >= 0 && bytes && bare_resize(&bare_files[number], *length, NULL) == EXL_OK)
        memcpy(bare_files[number].bytes, bytes, *length);
    *length = number >= 0 ? (size_t)bare_files[number].length : 0;
    return number >= 0 ? bare_files[number].bytes : NULL;
}

exl_status exl__descriptor_open(const char *path, int *descriptor, exl_error *error) {
    (void)error;
    *descriptor = bare_find(path, 0);
    return EXL_OK;
}

void exl__descriptor_close(int descriptor) { (void)descriptor; }

exl_status exl__descriptor_read(const exl_allocator *allocator, int descriptor, size_t head_bytes,
                                uint64_t (*wanted)(const uint8_t *head, size_t bytes), uint8_t **bytes,
                                uint64_t *length, exl_error *error) {
    const struct bare_file *file = &bare_files[descriptor];
    size_t head = file->length < head_bytes ? (size_t)file->length : head_bytes;

    *bytes = NULL;
    *length = 0;
    if (file->length == 0)
        return EXL_OK;
    *length = wanted(file->bytes, head);
    if (*length > file->length)
        *length = file->length;
    *bytes = exl__allocate_scratch(allocator, *length, 1);
    if (!*bytes)
        return exl__fail(error, EXL_OUT_OF_MEMORY, "no memory for the label file");
    memcpy(*bytes, file->bytes, (size_t)*length);
    return EXL_OK;
}

exl_status exl__file_peek(const char *path, void *buffer, size_t capacity, size_t *bytes, exl_error *error) {
    int number = bare_find(path, 0);

    (void)error;
    *bytes = 0;
    if (number >= 0)
        *bytes = bare_files[number].length < capacity ? (size_t)bare_files[number].length : capacity;
    if (*bytes > 0)
        memcpy(buffer, bare_files[number].bytes, *bytes);
    return EXL_OK;
}

exl_status exl__descriptor_lock(const char *what, const char *path, int *descriptor, exl_error *error) {
    (void)what;
    *descriptor = bare_find(path, 1);
    if (*descriptor < 0)
        return exl__fail(error, EXL_FILE_UNWRITABLE, "there can be %d label files, with names of %d bytes", BARE_FILES,
                         BARE_NAME_BYTES - 1);
    return EXL_OK;
}

void exl__descriptor_unlock(int descriptor) { (void)descriptor; }

exl_status exl__descriptor_write(int descriptor, uint64_t offset, const void *bytes, size_t length, exl_error *error) {
    struct bare_file *file = &bare_files[descriptor];
    exl_status status = EXL_OK;

    if (offset + length > file->length)
        status = bare_resize(file, offset + length, error);
    if (status == EXL_OK && length > 0)
        memcpy(file->bytes + offset, bytes, length);
    return status;
}

exl_status exl__descriptor_commit(int descriptor, uint64_t offset, const void *bytes, size_t length, exl_error *error) {
    return exl__descriptor_write(descriptor, offset, bytes, length, error);
}

exl_status exl__file_replace(const char *path, int locked, const void *bytes, size_t length, exl_error *error) {
    exl_status status = bare_resize(&bare_files[locked], length, error);

    (void)path;
    if (status == EXL_OK && length > 0)
        memcpy(bare_files[locked].bytes, bytes, length);
    return status;
}

int exl__file_move(const char *from, const char *to) {
    (void)from, (void)to;
    return 0;
}

int exl__file_remove(const char *path) {
    (void)path;
    return 0;
}

#endif
