/* Files and folders. Every error names the path and the system's reason. What is written appears under its
 * name whole or not at all: bytes go to a temporary file beside it, which is renamed after fsync. */
#ifndef VAGUS_CORE_FILE_H
#define VAGUS_CORE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The whole file, with a zero byte after it; the bytes are the caller's to free. Refuses folders and files of
 * more than `limit` bytes. `size` may be NULL. ERR_NOT_FOUND, ERR_IO, ERR_FORMAT (too large), ERR_MEMORY. */
VG_NODISCARD VG_API vg_status vg_file_read(const char *path, size_t limit, char **bytes, size_t *size);

/* Replaces `path` by these bytes, atomically. After a failure the old file is intact. */
VG_NODISCARD VG_API vg_status vg_file_write(const char *path, const void *bytes, size_t size);

/* Appends with one write() call (created if absent), so that lines of several writers never mix. */
VG_NODISCARD VG_API vg_status vg_file_append(const char *path, const void *bytes, size_t size);

/* The same in pieces: open, write as often as needed, commit. vg_file_writer_abandon() instead of, or after a
 * failed commit, removes the temporary file; both free the writer, a failed write does not. */
typedef struct vg_file_writer vg_file_writer;
VG_NODISCARD VG_API vg_status vg_file_writer_open(const char *path, vg_file_writer **out);
VG_NODISCARD VG_API vg_status vg_file_writer_write(vg_file_writer *writer, const void *bytes, size_t size);
VG_NODISCARD VG_API vg_status vg_file_writer_commit(vg_file_writer *writer); /* frees, also on failure */
VG_API void vg_file_writer_abandon(vg_file_writer *writer);                  /* frees; NULL is fine */

VG_API bool vg_path_exists(const char *path); /* false also when it cannot be looked at */
VG_API bool vg_path_is_folder(const char *path);

/* "folder/name" ("name" itself when it is absolute or the folder is empty); the caller frees it. */
VG_NODISCARD VG_API vg_status vg_path_join(const char *folder, const char *name, char **out);

/* What precedes the last '/', "." when there is none; the caller frees it. */
VG_NODISCARD VG_API vg_status vg_path_folder(const char *path, char **out);

/* Renames, then makes the rename last through a power failure (fsync of the folder). */
VG_NODISCARD VG_API vg_status vg_path_rename(const char *from, const char *to);

/* Removes a file, or nothing when there is none. */
VG_NODISCARD VG_API vg_status vg_file_remove(const char *path);

/* The folder and those above it that are missing. */
VG_NODISCARD VG_API vg_status vg_folder_make(const char *path);

/* The folder and all it holds (links are removed, not followed); nothing when it is absent. */
VG_NODISCARD VG_API vg_status vg_folder_remove(const char *path);

/* fsync of the folder: its names are on the disk when this returns. */
VG_NODISCARD VG_API vg_status vg_folder_sync(const char *path);

/* The names in a folder, sorted by byte, without "." and "..". Free with vg_names_free(). */
VG_NODISCARD VG_API vg_status vg_folder_list(const char *path, char ***names, size_t *count);
VG_API void vg_names_free(char **names, size_t count);

/* Turns errno of a failed operation into a status and a sentence ("cannot write PATH: No space left on device
 * ... free space or choose another place"). For the files of core that write by themselves. */
#define vg__file_fail(doing, path, error) vg__file_failed((doing), (path), (error), __FILE__, __LINE__)
vg_status vg__file_failed(const char *doing, const char *path, int error, const char *file, int line);

/* All bytes through write(), restarted after signals and short writes; -1 with errno set. */
int vg__write_all(int descriptor, const void *bytes, size_t size);

#ifdef __cplusplus
}
#endif
#endif
