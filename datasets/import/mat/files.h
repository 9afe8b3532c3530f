/* What the importers of MAT files share. Internal to import/. */
#ifndef VAGUS_DATASETS_IMPORT_MAT_FILES_H
#define VAGUS_DATASETS_IMPORT_MAT_FILES_H

#include "datasets/import/mat/mat.h"
#include "datasets/import/pipeline/pipeline.h"

/* Hands an opened file to `read`. An error of `read` that is about the file, and not about the import as a
 * whole, is for it to reject; what it returns ends the import. A wrong checksum in it becomes a warning. */
typedef vg_status (*vg__mat_reader)(vg__pipeline *pipeline, void *context, const char *path, vg__mat *mat);
VG_NODISCARD vg_status vg__mat_read_file(vg__pipeline *pipeline, const char *path, vg__mat_reader read,
                                         void *context);

/* The same for every file that the sources lead to. */
VG_NODISCARD vg_status vg__mat_read_files(vg__pipeline *pipeline, const char *const *sources, int count,
                                          vg__mat_reader read, void *context);

/* One column of an array of numbers, from row `from`, as a recording; the rest of `raw` is the caller's. The
 * array must have the column. */
VG_NODISCARD vg_status vg__mat_add_column(vg__pipeline *pipeline, const vg__mat_value *array, int64_t column,
                                          int64_t from, vg__raw raw);

/* Leaves out what stands at a value's path, with the reason. */
VG_NODISCARD vg_status vg__mat_exclude(vg__pipeline *pipeline, vg_exclusion_kind kind, const char *path,
                                       const char *subject, const vg__mat_value *value, const char *reason);

/* The sampling rate that a column of times in ms tells: over the whole length, since single steps are rounded
 * to whole ms; to the whole Hz when that is nearer than 0.2 %, else to 0.1 Hz. 0 when the times do not rise
 * from first to last; *gaps counts steps of more than ten times the average. */
double vg__mat_rate_of(const vg__mat_value *array, int64_t column, int64_t *gaps);

/* The number behind the last `letter` of a name that digits follow, "Data_Preprocessed_P07.mat": 7; -1 when
 * there is none. */
int vg__mat_number_behind(const char *name, char letter);

#endif
