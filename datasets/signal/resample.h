/* Change of sampling rate with zero delay, through libsoxr (its header is caged in resample.c). */
#ifndef VAGUS_DATASETS_SIGNAL_RESAMPLE_H
#define VAGUS_DATASETS_SIGNAL_RESAMPLE_H

#include <stdint.h>

#include "core/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* round(n * out_rate / in_rate): how many samples the resampled signal has; 0 for an empty one. */
VG_API int64_t vg_resample_length(int64_t n, double in_rate, double out_rate);

/* Resamples in[0..n) into out[0..vg_resample_length()); the rates may have any ratio. Output k stands at the
 * time k / out_rate of the input, without delay. What lies above the lower of the two half rates is removed
 * (pass-band to 91 %, better than 120 dB below it). The straight line from the first to the last sample is
 * taken off before and put back after, so that an offset or drift makes no ringing at the ends.
 * Samples that are not finite are bridged by a straight line; afterwards every output sample that falls
 * strictly between the last good sample before such a gap and the first one after it is NaN.
 * VG_ERR_CONFIG for an impossible rate, VG_ERR_DATA for an empty signal or one without a finite sample. */
VG_API VG_NODISCARD vg_status vg_resample(const double *in, int64_t n, double in_rate, double out_rate,
                                          double *out);

/* The same for single precision (computed in double). */
VG_API VG_NODISCARD vg_status vg_resample_f32(const float *in, int64_t n, double in_rate, double out_rate,
                                              float *out);

#ifdef __cplusplus
}
#endif
#endif
