/* The power of a few bands of a recording, as it typically is. */
#ifndef VAGUS_DATASETS_SIGNAL_SPECTRUM_H
#define VAGUS_DATASETS_SIGNAL_SPECTRUM_H

#include <stdint.h>

#include "core/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The bands that are measured, in Hz: X(name, from, to). They keep clear of mains at 50 and 60 Hz and of its
 * harmonics; MAINS_50 and MAINS_60 are those two lines themselves. */
#define VG_BAND_MAP(X)                                                                                       \
    X(BASELINE, 0, 1)                                                                                        \
    X(BODY, 1, 40)                                                                                           \
    X(QRS, 5, 15)                                                                                            \
    X(WIDE, 5, 40)                                                                                           \
    X(UPPER, 30, 45)                                                                                         \
    X(ABOVE, 52, 58)                                                                                         \
    X(FAR, 70, 98)                                                                                           \
    X(MAINS_50, 49, 51)                                                                                      \
    X(MAINS_60, 59, 61)

enum {
#define VG_BAND_ENUM(name, from, to) VG_BAND_##name,
    VG_BAND_MAP(VG_BAND_ENUM)
#undef VG_BAND_ENUM
        VG_BAND_COUNT
};

/* Power of each band in the signal's unit squared: the median over Hann windows of 2 s, each
 * free of its mean, so that a single jump does not count. Windows with a sample that is not finite are left
 * out; a band that does not fit below half of `rate`, or everything when no window is left, is NaN. */
VG_API VG_NODISCARD vg_status vg_band_powers(const double *x, int64_t n, double rate,
                                             double power[VG_BAND_COUNT]);

#ifdef __cplusplus
}
#endif
#endif
