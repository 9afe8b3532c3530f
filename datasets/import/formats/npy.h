/* The header of a NumPy array. Internal to import/. */
#ifndef VAGUS_DATASETS_IMPORT_FORMATS_NPY_H
#define VAGUS_DATASETS_IMPORT_FORMATS_NPY_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "core/status.h"

typedef struct vg__npy {
    char kind; /* 'i' signed, 'u' unsigned, 'f' */
    int width; /* bytes of a number */
    bool big_endian;
    int rank;
    int64_t shape[3], stride[3]; /* strides in bytes */
    int64_t offset, bytes;       /* where the numbers begin, and how many bytes they are */
} vg__npy;

/* Reads the header of a file of `size` bytes, which then holds all that the header promises. The error tells
 * what is there instead, and what to do about types that are not numbers. */
VG_NODISCARD vg_status vg__npy_header(const char *path, FILE *file, int64_t size, vg__npy *npy);

double vg__npy_value(const vg__npy *npy, const unsigned char *bytes);

#endif
