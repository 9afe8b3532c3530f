/* Heart beats: where the R peaks of an ECG are, and the heart rate features that follow from them. */
#ifndef VAGUS_DATASETS_SIGNAL_RPEAKS_H
#define VAGUS_DATASETS_SIGNAL_RPEAKS_H

#include <stdint.h>

#include "core/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Peaks in rising order, in samples and with a fraction (a parabola through the top sample and its
 * neighbours), since at 128 Hz a whole sample is 8 ms. */
typedef struct vg_rpeaks {
    double *position; /* [count] */
    int64_t count;
    int sign; /* +1 when the dominant deflection of the band-passed QRS points up, -1 down; 0 without peaks */
} vg_rpeaks;

/* Finds the beats of x[0..n), after Pan and Tompkins (1985), see rpeaks.c: any unit, any offset, either
 * polarity; samples that are not finite are a gap. No beats (a flat or empty signal) is VG_OK with a count of
 * 0. The rate must be at least 60 Hz. Free with vg_rpeaks_free(). */
VG_API VG_NODISCARD vg_status vg_rpeaks_detect(const double *x, int64_t n, double rate, vg_rpeaks *peaks);
VG_API void vg_rpeaks_free(vg_rpeaks *peaks);

/* A second detector, unlike the first in how it decides: where two such detectors agree there is a beat.
 * M. Elgendi, "Fast QRS detection with an optimized knowledge-based method", PLoS ONE 8(9):e73557 (2013):
 * band-pass 8-20 Hz, square, moving averages over 97 and 611 ms, and a beat wherever the first is above the
 * second by 8 % of the mean for 97 ms or more. Its offset is taken of the 30 s around instead of the whole
 * recording, so that one burst of noise does not silence an hour. Positions are whole samples, `sign` is 0.
 */
VG_API VG_NODISCARD vg_status vg_rpeaks_detect_elgendi(const double *x, int64_t n, double rate,
                                                       vg_rpeaks *peaks);

/* Both at once, which is quicker: they share the band-pass. */
VG_API VG_NODISCARD vg_status vg_rpeaks_detect_both(const double *x, int64_t n, double rate, vg_rpeaks *first,
                                                    vg_rpeaks *second);

/* How far two lists of beats agree: matched / (all beats of both - matched), a pair within `within` samples.
 * 0 when both are empty. */
VG_API double vg_rpeaks_agreement(const vg_rpeaks *a, const vg_rpeaks *b, double within);

/* The three features of the heart-rate baseline: mean heart rate (beats per minute), standard deviation of
 * the intervals between beats (SDNN) and root mean square of their successive differences (RMSSD), both in
 * milliseconds. All are NaN when fewer than three intervals are left. Intervals outside 0.3 to 2 s, or more
 * than 30 % away from the median of the window, are taken for missed or false beats and left out; a
 * successive difference is used only where both of its intervals are. */
typedef struct vg_heart_rate {
    double mean_bpm, sdnn_ms, rmssd_ms;
    int intervals; /* how many were used */
} vg_heart_rate;

/* From beats already found: those with start <= position < start + length. */
VG_API vg_heart_rate vg_heart_rate_from_peaks(const vg_rpeaks *peaks, int64_t start, int64_t length,
                                              double rate);

/* From a segment as the loader delivers it (normalised or not). */
VG_API VG_NODISCARD vg_status vg_heart_rate_of_segment(const float *x, int64_t n, double rate,
                                                       vg_heart_rate *result);

#ifdef __cplusplus
}
#endif
#endif
