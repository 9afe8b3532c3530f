/* A corpus that lies on the device: its signal once, and of each segment the first sample, mean and scale.
 * A step then uploads the numbers of its segments (vg_model_gather() of model.h), and no samples. */
#ifndef VAGUS_MODELS_RESIDENT_H
#define VAGUS_MODELS_RESIDENT_H

#include "core/slab.h"

#ifdef __cplusplus
extern "C" {
#endif

/* On the host. Sample t of segment s is (signal[start[s] + t] - mean[s]) * scale[s]. */
typedef struct vg_resident_source {
    const float *signal;
    int64_t sample_count;
    const int64_t *start;
    const double *mean, *scale;
    int64_t segment_count;
    int64_t segment_length; /* T */
} vg_resident_source;

typedef struct vg_resident {
    vg_slab slab;
    vg_tensor signal, start, mean, scale; /* as the operation `gather` takes them */
    int64_t segment_length;
} vg_resident;

/* What it takes on the device; SIZE_MAX when that cannot be counted. */
VG_API size_t vg_resident_bytes(int64_t sample_count, int64_t segment_count);

/* Copies; the arrays may be used again when it returns. The result may be moved. ERR_SHAPE when a segment
 * lies outside of the signal, ERR_MEMORY when the device has no room. */
VG_NODISCARD VG_API vg_status vg_resident_init(vg_device *device, const vg_resident_source *source,
                                               vg_resident *out);
VG_API void vg_resident_free(vg_resident *resident); /* zeroes are fine */

#ifdef __cplusplus
}
#endif
#endif
