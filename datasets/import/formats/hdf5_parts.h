/* What stands in an HDF5 file that others wrote: tables beside a signal, and attributes. All between
 * vg__hdf5_enter() and vg__hdf5_leave(). Errors name the file and the dataset. Internal to the importer. */
#ifndef VAGUS_DATASETS_IMPORT_FORMATS_HDF5_PARTS_H
#define VAGUS_DATASETS_IMPORT_FORMATS_HDF5_PARTS_H

#include <hdf5.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/status.h"

/* What has just failed, in the library's words. */
vg_status vg__hdf5_part_fail(const char *path, const char *what);

/* The number of elements of a one-dimensional dataset; -1 when it is not that. */
int64_t vg__hdf5_length(hid_t dataset);

/* Before memory is taken for a dataset: what it claims to hold, and what one chunk of it would take, against
 * what the file stores of it; and that its numbers lie in their bytes. A damaged file misleads the library in
 * both. A dataset that lies in other files may claim what it likes. */
VG_NODISCARD vg_status vg__hdf5_check(const char *path, const char *name, hid_t file, hid_t dataset);

/* A table of `count` texts or whole numbers, as texts: the caller's to free, each and all, whatever the
 * status. */
VG_NODISCARD vg_status vg__hdf5_table(const char *path, hid_t file, const char *name, int64_t count,
                                      char ***out);

/* The attribute `name` of the file, else of the signal, else the dataset of this name that holds no more: one
 * number, or one text (MATLAB's row of characters too). False when there is none, or it is of another kind.
 */
bool vg__hdf5_number(const char *path, hid_t file, hid_t signal, const char *name, double *number);
bool vg__hdf5_text(const char *path, hid_t file, hid_t signal, const char *name, char *text, size_t size);

#endif
