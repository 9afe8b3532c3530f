/* What is measured on a recording at import, as one row of named numbers: the store's table of features. */
#ifndef VAGUS_DATASETS_SIGNAL_FEATURES_H
#define VAGUS_DATASETS_SIGNAL_FEATURES_H

#include <stdbool.h>

#include "datasets/signal/hrv.h"
#include "datasets/signal/quality.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Fields of vg_hrv, each a column of its name, and of vg_quality, each a column quality_NAME. They are
 * measured on the samples as recorded, before any filter. */
#define VG_FEATURE_HRV(X)                                                                                    \
    X(mean_bpm)                                                                                              \
    X(sdnn_ms)                                                                                               \
    X(rmssd_ms)                                                                                              \
    X(pnn50)                                                                                                 \
    X(lf_ms2)                                                                                                \
    X(hf_ms2)                                                                                                \
    X(lf_hf)                                                                                                 \
    X(intervals)
#define VG_FEATURE_QUALITY(X)                                                                                \
    X(index)                                                                                                 \
    X(match)                                                                                                 \
    X(agreement)                                                                                             \
    X(kurtosis)                                                                                              \
    X(qrs_share)                                                                                             \
    X(mains_share)                                                                                           \
    X(upper_db)                                                                                              \
    X(above_db)                                                                                              \
    X(far_db)                                                                                                \
    X(peak_to_peak)                                                                                          \
    X(nan_share)                                                                                             \
    X(beats)                                                                                                 \
    X(mean_bpm)                                                                                              \
    X(polarity)                                                                                              \
    X(qrs)                                                                                                   \
    X(t_wave)                                                                                                \
    X(windows)                                                                                               \
    X(bad)                                                                                                   \
    X(nan)                                                                                                   \
    X(flat)                                                                                                  \
    X(clipped)                                                                                               \
    X(weak)                                                                                                  \
    X(strong)                                                                                                \
    X(unusable)

#define VG_FEATURE_ONE(field) +1
enum { VG_FEATURE_COUNT = 0 VG_FEATURE_HRV(VG_FEATURE_ONE) VG_FEATURE_QUALITY(VG_FEATURE_ONE) };
#undef VG_FEATURE_ONE

/* The columns' names in the order of the values. */
VG_API const char *const *vg_feature_names(void);

/* Values that are not finite become NaN. */
VG_API void vg_features_pack(const vg_hrv *hrv, const vg_quality *quality, double values[VG_FEATURE_COUNT]);
VG_API void vg_features_unpack(const double values[VG_FEATURE_COUNT], vg_hrv *hrv, vg_quality *quality);

#ifdef __cplusplus
}
#endif
#endif
