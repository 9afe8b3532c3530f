/* The dataset of an HDF5 file that holds the samples: which of its dimensions is what, and reading one lead
 * of one recording. Between vg__hdf5_enter() and vg__hdf5_leave(). Internal to the importer. */
#ifndef VAGUS_DATASETS_IMPORT_FORMATS_HDF5_SIGNAL_H
#define VAGUS_DATASETS_IMPORT_FORMATS_HDF5_SIGNAL_H

#include <hdf5.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/status.h"
#include "datasets/import/formats/mapping.h"

enum { VG__HDF5_LEADS = 256 };

typedef struct vg__hdf5_signal {
    const char *path, *name; /* of the file and of the dataset, the caller's */
    hid_t dataset;           /* -1: none */
    bool matlab;             /* a MAT file of version 7.3: its dimensions stand the other way round */
    int rank, axis[VG__AXES];
    hsize_t extent[VG__AXES];
    int64_t *offsets;       /* [recordings + 1] where recordings of any length stand in one row, else NULL */
    bool many;              /* a dimension of recordings, or offsets */
    int64_t count, samples; /* recordings, and samples of each (0 with offsets) */
    int leads;
} vg__hdf5_signal;

/* Opens it and checks what it claims. `axes` is the option map's, in the order in which h5py or, of MATLAB's
 * files, MATLAB shows the dimensions; "": one dimension has offsets, in the dataset of that name; two are
 * recordings and samples, three recordings, samples and leads; MATLAB's two are the samples, along the longer
 * side, and the leads. vg__hdf5_signal_close() also after an error. */
VG_NODISCARD vg_status vg__hdf5_signal_open(const char *path, hid_t file, const char *name, const char *axes,
                                            const char *offsets, vg__hdf5_signal *signal);
void vg__hdf5_signal_close(vg__hdf5_signal *signal);

/* The samples that recording i has, and those of one of its leads. */
int64_t vg__hdf5_signal_length(const vg__hdf5_signal *signal, int64_t i);
VG_NODISCARD vg_status vg__hdf5_signal_read(const vg__hdf5_signal *signal, int64_t i, int lead, double *x);

#endif
