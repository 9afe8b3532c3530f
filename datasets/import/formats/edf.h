/* Files of data records: EDF, EDF+, BDF, BDF+ and GDF. A header tells of each channel how many samples a data
 * record has, and the records follow one another. Internal to import/. */
#ifndef VAGUS_DATASETS_IMPORT_FORMATS_EDF_H
#define VAGUS_DATASETS_IMPORT_FORMATS_EDF_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "core/status.h"
#include "datasets/import/pipeline/pipeline.h"

enum { VG__EDF_FIXED = 256, VG__EDF_CHANNEL = 256, VG__EDF_MAX_CHANNELS = 4096, VG__EDF_TEXT = 88 };

/* How a sample is stored, by GDF's numbers; EDF has INT16 alone, BDF INT24. */
typedef enum vg__edf_type {
    VG__EDF_INT8 = 1,
    VG__EDF_UINT8 = 2,
    VG__EDF_INT16 = 3,
    VG__EDF_UINT16 = 4,
    VG__EDF_INT32 = 5,
    VG__EDF_UINT32 = 6,
    VG__EDF_INT64 = 7,
    VG__EDF_UINT64 = 8,
    VG__EDF_FLOAT32 = 16,
    VG__EDF_FLOAT64 = 17,
    VG__EDF_INT24 = 279,
    VG__EDF_UINT24 = 535,
} vg__edf_type;

typedef struct vg__edf_channel {
    char label[VG__EDF_TEXT], units[VG__EDF_TEXT];
    double physical_min, physical_max, digital_min, digital_max;
    int64_t samples; /* per data record */
    int64_t start;   /* bytes from the data record's begin */
    vg__edf_type type;
    bool annotations; /* holds texts and times, no signal */
} vg__edf_channel;

typedef struct vg__edf {
    const char *path;
    FILE *file;
    int64_t size;          /* of the file, in bytes */
    unsigned char *header; /* [header_bytes] */
    int64_t header_bytes, records, record_bytes;
    double duration;    /* of a data record, in seconds */
    bool discontinuous; /* the records have times of their own */
    double *times;      /* [records], rising, in seconds from the first; NULL when they follow each other */
    int channels;
    vg__edf_channel *channel;
} vg__edf;

/* Opens a file and reads its header, whichever of the formats it is, with every check of sizes: afterwards
 * the file holds all records. Errors name the byte. vg__edf_close() also after an error. */
VG_NODISCARD vg_status vg__edf_open(vg__pipeline *pipeline, const char *path, vg__edf *edf);
void vg__edf_close(vg__edf *edf);

/* The headers by themselves: edf->header holds the file's first 256 bytes. */
VG_NODISCARD vg_status vg__edf_header(vg__edf *edf);
VG_NODISCARD vg_status vg__gdf_header(vg__edf *edf);

/* For those two: reads the header whole; then each channel's place in a record. */
VG_NODISCARD vg_status vg__edf_read_header(vg__edf *edf);
VG_NODISCARD vg_status vg__edf_place_channel(vg__edf *edf, vg__edf_channel *channel);

/* A field of the header without the blanks around it. */
void vg__edf_field(const unsigned char *at, int width, char text[VG__EDF_TEXT]);

/* Bytes of a sample, 0 for an unknown type; its value as stored; and the values of samples one after another.
 */
int vg__edf_width(vg__edf_type type);
double vg__edf_sample(vg__edf_type type, const unsigned char *bytes);
void vg__edf_samples(vg__edf_type type, const unsigned char *bytes, int64_t count, double *values);

/* The times of a discontinuous file's records, from its annotations, into edf->times. */
VG_NODISCARD vg_status vg__edf_read_times(vg__edf *edf);

/* Reads `count` bytes from `offset` on. */
VG_NODISCARD vg_status vg__edf_read(const vg__edf *edf, int64_t offset, unsigned char *bytes, int64_t count);

#endif
