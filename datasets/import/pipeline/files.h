/* Which files an import is about. Internal to import/. */
#ifndef VAGUS_DATASETS_IMPORT_PIPELINE_FILES_H
#define VAGUS_DATASETS_IMPORT_PIPELINE_FILES_H

#include <stddef.h>
#include <stdint.h>

#include "core/status.h"

typedef struct vg__files {
    char **path;
    int64_t count;
} vg__files;

/* A source that is a file is taken as it is; in a folder (and those below it) every file whose name ends in
 * one of `endings` (separated by blanks, small letters; capitals match too), in the order of their names. A
 * source that does not exist is tried with each ending put behind it, as WFDB names records. VG_ERR_NOT_FOUND
 * names a source that leads nowhere. */
VG_NODISCARD vg_status vg__files_find(const char *const *sources, int count, const char *endings,
                                      vg__files *files);
/* Puts a copy of the path behind the others. */
VG_NODISCARD vg_status vg__files_keep(vg__files *files, const char *path);
void vg__files_free(vg__files *files);

/* What tells a file from the others: its name without the ending, and as many folders before it as are
 * needed. At most 95 characters, the last ones. */
enum { VG__FILE_LABEL = 96 };
void vg__files_label(const vg__files *files, int64_t index, char label[VG__FILE_LABEL]);

/* The whole file, with a 0 behind it; free() it. A file above `limit` bytes is refused. */
VG_NODISCARD vg_status vg__file_read(const char *path, int64_t limit, char **bytes, int64_t *size);

/* The part of the path behind the last '/'; and a copy of it without its ending, cut to `size`. */
const char *vg__file_name(const char *path);
void vg__file_stem(const char *path, char *stem, size_t size);

#endif
