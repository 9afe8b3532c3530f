/* Samples packed with FLAC, as WFDB keeps them: one channel a signal. Read with libFLAC, which flac.c alone
 * knows. Internal to import/. */
#ifndef VAGUS_DATASETS_IMPORT_FORMATS_FLAC_H
#define VAGUS_DATASETS_IMPORT_FORMATS_FLAC_H

#include <stdint.h>

#include "core/status.h"

typedef struct vg__flac_info {
    int channels, bits;
    int64_t samples;      /* of each channel; 0: the file does not say */
    int64_t most_samples; /* that a file of its size can hold */
} vg__flac_info;

/* What a file of `size` bytes says of itself. VG_ERR_FORMAT for a file that is not FLAC, and for one that
 * says it holds more samples than a file of its size can. */
VG_NODISCARD vg_status vg__flac_read_info(const char *path, int64_t size, vg__flac_info *info);

/* A file's samples, channel after channel. */
typedef struct vg__flac {
    void *sample;  /* [channels][samples] of int16_t or int32_t; NULL: none */
    int bytes;     /* of a sample: 2 or 4 */
    int64_t count; /* of each channel */
} vg__flac;

/* Reads `count` samples of every channel, from sample `skip` on. Each frame of the file has a checksum that
 * is compared; VG_ERR_FORMAT tells after which sample a file is damaged, or ends. The caller's
 * vg__flac_free(), also after an error. */
VG_NODISCARD vg_status vg__flac_read(const char *path, int channels, int64_t skip, int64_t count,
                                     vg__flac *flac);
void vg__flac_free(vg__flac *flac);

/* The channel's samples [first, first + count) into out. */
void vg__flac_samples(const vg__flac *flac, int channel, int64_t first, int64_t count, int32_t *out);

#endif
