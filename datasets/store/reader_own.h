/* What the files of the store's reader share among themselves. */
#ifndef VAGUS_DATASETS_STORE_READER_OWN_H
#define VAGUS_DATASETS_STORE_READER_OWN_H

#include <hdf5.h>

#include "datasets/store/store.h"
#include "datasets/store/layout.h"

/* A file is called truncated or damaged in one place, so that every message has the same way out. */
#define VG__STORE_DAMAGED "the file is damaged or was not written by vagus; import it again"

/* The text columns of a table as packed rows, each closed by a NUL. */
struct vg__store_column {
    char *text;
    size_t step;
};

#define VG__COUNT_ONE(field) +1
enum {
    VG__RECORDING_TEXTS = 0 VG_RECORDING_TEXTS(VG__COUNT_ONE),
    VG__EXCLUSION_TEXTS = 0 VG_EXCLUSION_TEXTS(VG__COUNT_ONE)
};
#undef VG__COUNT_ONE

struct vg_store {
    char *path;
    hid_t hdf5;      /* the file */
    int descriptor;  /* of the same file, HDF5's own */
    int64_t samples; /* in the signal */
    int64_t place;   /* the byte at which it begins */
    vg_store_info info;
    vg_recording *recordings;
    int64_t recording_count;
    struct vg__store_column recording_texts[VG__RECORDING_TEXTS];
    vg_exclusion *exclusions;
    int64_t exclusion_count;
    struct vg__store_column exclusion_texts[VG__EXCLUSION_TEXTS];
    struct vg__store_column rating_names;
    int rating_count;
    double *ratings;
    struct vg__store_column feature_names;
    int feature_count;
    double *features;
    bool has_beats;
    int64_t *beat_end;
    double *beats;
    struct note {
        char *key, *value;
    } * notes;
    int note_count;
};

/* get.c: single items of the file, checked; all of it runs under vg__hdf5_enter(). */

/* Attributes: a single text (the caller's to free), real number, or whole number within [low, high]. */
vg_status vg__store_get_text(const vg_store *store, hid_t object, const char *name, char **out);
vg_status vg__store_get_real(const vg_store *store, const char *name, double *out);
vg_status vg__store_get_whole(const vg_store *store, const char *name, int64_t low, int64_t high,
                              int64_t *out);

/* Opens "group/name" when it has this rank and class, and its claimed size is one the file can hold. */
vg_status vg__store_open_dataset(const vg_store *store, const char *name, int rank, H5T_class_t class,
                                 hid_t *dataset, hsize_t *dims, size_t *element);

/* A numeric column of exactly `rows` entries into `out`; a text column, where *rows < 0 takes the number of
 * rows from the file; the number of rows of a numeric column. */
vg_status vg__store_get_numbers(const vg_store *store, const char *name, H5T_class_t class, hid_t memory_type,
                                int64_t rows, void *out);
vg_status vg__store_get_texts(const vg_store *store, const char *name, int64_t *rows,
                              struct vg__store_column *column);
vg_status vg__store_get_rows(const vg_store *store, const char *name, H5T_class_t class, int64_t *rows);

/* reader_tables.c: all of them, checked, under vg__hdf5_enter(); what was read before an error is in `store`.
 */
vg_status vg__store_read_tables(vg_store *store);

/* signal.c: finds the samples in the open file, under vg__hdf5_enter(). */
vg_status vg__store_find_signal(vg_store *store);

#endif
