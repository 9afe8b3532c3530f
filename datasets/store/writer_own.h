/* What the files of the store's writer share among themselves. */
#ifndef VAGUS_DATASETS_STORE_WRITER_OWN_H
#define VAGUS_DATASETS_STORE_WRITER_OWN_H

#include <hdf5.h>

#include "datasets/store/store.h"
#include "datasets/store/layout.h"

/* The signal goes to the file as it comes; the tables are small and wait in memory for the end. */
struct vg_store_writer {
    char *path, *temporary;
    bool overwrite;
    bool created;   /* the temporary file is there and ours to remove */
    hid_t hdf5;     /* the file */
    int descriptor; /* of the same file, HDF5's own */
    float *waiting; /* samples that are not in the file yet */
    int64_t waiting_count;
    int64_t samples; /* in the file, and waiting */
    char **rating_names;
    int rating_count;
    double *ratings; /* [recording_count, rating_count] */
    vg_recording *recordings;
    int64_t recording_count, recording_capacity;
    vg_exclusion *exclusions;
    int64_t exclusion_count, exclusion_capacity;
    char **feature_names;
    int feature_count;
    bool measures;                             /* there are tables of features and beats */
    double *features;                          /* [recording_count, feature_count] */
    double *beats;                             /* of all recordings one after another */
    int64_t *beat_end;                         /* [recording_count]: where the beats of each recording end */
    int64_t measured_count, measured_capacity; /* rows of the two above */
    int64_t beat_count, beat_capacity;
    vg_store_info info; /* its strings are the writer's own */
    bool described;
    struct note {
        char *key, *value;
    } * notes;
    int note_count;
};

/* Room for one more element: *items grows by doubling. */
vg_status vg__store_grow(void **items, int64_t count, int64_t *capacity, size_t size);

/* Copies distinct names of columns; `what` is "rating" or "feature". *copied counts those that were. */
vg_status vg__store_copy_names(const vg_store_writer *writer, const char *what, const char *const *names,
                               int count, char ***copies, int *copied);

/* measures.c: rows for every recording, also for those that were not measured. */
vg_status vg__store_complete_measures(vg_store_writer *writer);

/* writer_tables.c: all tables, notes and attributes, under HDF5's lock. */
vg_status vg__store_write_tables(const vg_store_writer *writer);

/* leftovers.c. The folder that `path` is to lie in must be there and let itself be written; what dead writers
 * of the same path left beside it is removed, if it can be; a writer's own file is locked against that. */
VG_NODISCARD vg_status vg__store_check_folder(const char *path);
void vg__store_remove_leftovers(const char *path);
void vg__store_lock_part(int descriptor);

/* file.c. Create refuses a path that is taken; append takes any number of samples; finish writes what
 * waits, the tables, and gives the file its name. Discard closes and removes whatever there is. */
vg_status vg__store_file_create(vg_store_writer *writer);
vg_status vg__store_file_append(vg_store_writer *writer, const float *samples, int64_t count);
vg_status vg__store_file_finish(vg_store_writer *writer);
void vg__store_file_discard(vg_store_writer *writer);

#endif
