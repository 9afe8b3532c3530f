/* Single items into an HDF5 file: attributes, and tables of numbers or texts. Each returns whether HDF5
 * could; its words are in store/hdf5.h. Internal to the store; all of it runs under vg__hdf5_enter(). */
#ifndef VAGUS_DATASETS_STORE_PUT_H
#define VAGUS_DATASETS_STORE_PUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <hdf5.h>

bool vg__store_put_text(hid_t object, const char *name, const char *text);
bool vg__store_put_real(hid_t object, const char *name, double value);
bool vg__store_put_whole(hid_t object, const char *name, int64_t value);

/* A dataset of one or two dimensions, dims[rank], of values in `memory_type`. */
bool vg__store_put_table(hid_t group, const char *name, hid_t file_type, hid_t memory_type, int rank,
                         const hsize_t *dims, const void *values);

/* A column of `count` texts: entry i is the `const char *` at `first` + i * `step` bytes. */
bool vg__store_put_texts(hid_t group, const char *name, const void *first, size_t step, size_t count);

#endif
