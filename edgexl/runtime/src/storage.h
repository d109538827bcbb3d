/* storage.h: what is written to the disk. Label files: read while others may write them, changed by one at a time, and
 * written so that a crash at any moment leaves the old or the new one. What fails says which of the two it is. And new
 * bundles, which take the old one's place in the same way. */
#ifndef EXL_STORAGE_H
#define EXL_STORAGE_H

#include <stddef.h>
#include <stdint.h>

#include "status.h"

/* A file to be read as it is now. A file that is not there is no error: *descriptor is then negative, which the other
 * functions must not get (closing it is allowed). */
exl_status exl__descriptor_open(const char *path, int *descriptor, exl_error *error);
void exl__descriptor_close(int descriptor);
/* An open file into memory from the allocator, *bytes long (null when it is empty). Its first head_bytes (at most 512)
 * are read first, so that what they say of the rest is there even where the file grows meanwhile, and `wanted` says of
 * them how much of the file is: a file that is none of ours may be of any size. */
exl_status exl__descriptor_read(const exl_allocator *allocator, int descriptor, size_t head_bytes,
                                uint64_t (*wanted)(const uint8_t *head, size_t bytes), uint8_t **bytes,
                                uint64_t *length, exl_error *error);
/* The first `capacity` bytes of a file, or all where it is shorter; none where it is not there. */
exl_status exl__file_peek(const char *path, void *buffer, size_t capacity, size_t *bytes, exl_error *error);

/* Opens a file for writing and waits until nobody else, in this process or another, has it locked; makes an empty one
 * where there is none. *descriptor is set as soon as it is open. what: "the label file", for a sentence. */
exl_status exl__descriptor_lock(const char *what, const char *path, int *descriptor, exl_error *error);
/* Unlocks it and closes it: a process that was forked meanwhile has the descriptor too, and closing alone would leave
 * the lock with it. */
void exl__descriptor_unlock(int descriptor);

/* Writes at an offset, and returns when that is on the disk. Where it fails, nobody knows what is there. */
exl_status exl__descriptor_write(int descriptor, uint64_t offset, const void *bytes, size_t length, exl_error *error);
/* Writes what makes a change one. EXL_FILE_UNWRITABLE: it is not there; EXL_NOT_DURABLE: it is, for all who read the
 * file, but the system did not confirm that it is on the disk. */
exl_status exl__descriptor_commit(int descriptor, uint64_t offset, const void *bytes, size_t length, exl_error *error);
/* Puts a file of these bytes in the place of the one that is locked, in one step: where `path` leads, so that symbolic
 * links stay, with its mode and owner as far as the process may give them (never readable by more). Fails as
 * exl__descriptor_commit does; on EXL_FILE_UNWRITABLE all is as it was. */
exl_status exl__file_replace(const char *path, int locked, const void *bytes, size_t length, exl_error *error);

/* A file that is written piece by piece beside the one whose place it is to take, as PATH.update; one at a time:
 * whoever comes later waits. What a writer that was killed has left there the next one overwrites. */
enum { EXL__PATH_BYTES = 4096 };
typedef struct exl__partial {
    int descriptor;
    char target[EXL__PATH_BYTES]; /* where the path leads, its symbolic links followed */
    char path[EXL__PATH_BYTES];
} exl__partial;
/* On failure there is none. */
exl_status exl__partial_begin(const char *path, exl__partial *partial, exl_error *error);
exl_status exl__partial_write(const exl__partial *partial, uint64_t offset, const void *bytes, size_t length,
                              exl_error *error);
/* It has all its bytes: gives it the mode and owner of the open file `like`, and puts it on the disk. */
exl_status exl__partial_finish(const exl__partial *partial, int like, exl_error *error);
/* Puts it in its place, in one step. Fails as exl__descriptor_commit does. */
exl_status exl__partial_place(exl__partial *partial, exl_error *error);
/* Ends it; one that has not taken its place is removed. */
void exl__partial_end(exl__partial *partial);
/* Puts one file in another's place, or removes one; whether that could be done. */
int exl__file_move(const char *from, const char *to);
int exl__file_remove(const char *path);

/* ---- what the parts of these share: each system's own, and what is said ------------------------------------------ */

/* Negative, with errno, where it cannot be told. */
int64_t exl__storage_length(int descriptor);
/* These give 0, or errno. To flush: to the disk. */
int exl__storage_write(int descriptor, uint64_t offset, const void *bytes, size_t length);
int exl__storage_flush(int descriptor);
/* Where a path leads, also where nothing is yet. */
int exl__storage_target(const char *path, char target[EXL__PATH_BYTES]);
int exl__storage_empty(int descriptor);
/* Takes over who may do what with another open file. */
int exl__storage_be_like(int descriptor, int like);
exl_status exl__storage_unwritable(const char *why, exl_error *error);
/* reason: errno */
exl_status exl__storage_not_durable(int reason, exl_error *error);

#endif
