/* Butterworth filters as second-order sections, run forwards and backwards over a signal (zero phase).
 *
 * "Order" is the order of the low-pass prototype, as in SciPy's butter(N): a low-pass or high-pass of order N
 * has N poles and a band-pass of order N has 2N, N on each edge. Run forwards and backwards the magnitude is
 * squared, so an edge lies at -6 dB, and an order-8 band-pass falls off as 16 poles would on each side. A
 * text that says "zero-phase Butterworth band-pass of order 8" may mean this, or 8 poles in all (N = 4), or 8
 * after both passes (N = 2); it rarely says. Here it is N, and N is what the store records. */
#ifndef VAGUS_DATASETS_SIGNAL_FILTER_H
#define VAGUS_DATASETS_SIGNAL_FILTER_H

#include <stdint.h>

#include "core/status.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { VG_FILTER_MAX_ORDER = 24, VG_FILTER_MOST_AT_ONCE = 4 };

typedef enum vg_filter_kind { VG_FILTER_LOWPASS, VG_FILTER_HIGHPASS, VG_FILTER_BANDPASS } vg_filter_kind;

/* A designed filter; caller's storage, nothing to free. Each row is b0 b1 b2 1 a1 a2. */
typedef struct vg_filter {
    int sections;
    double section[VG_FILTER_MAX_ORDER][6];
} vg_filter;

/* Designs a filter for signals sampled at `rate` Hz. A low-pass uses high_hz only, a high-pass low_hz only,
 * a band-pass both; edges must satisfy 0 < low < high < rate/2. VG_ERR_CONFIG names the number that does not
 * fit; VG_ERR_NUMERIC when the edges are so close to 0 or rate/2 that the filter would not be stable. */
VG_API VG_NODISCARD vg_status vg_filter_design(vg_filter_kind kind, int order, double low_hz, double high_hz,
                                               double rate, vg_filter *filter);

/* |H(f)| of one pass; both passes together give its square. */
VG_API double vg_filter_gain(const vg_filter *filter, double hz, double rate);

/* How far a signal is extended at each end before it is filtered; a signal must be longer than this. */
VG_API int64_t vg_filter_padding(const vg_filter *filter);

/* Filters x[0..n) in place, forwards and backwards, as SciPy's sosfiltfilt does by default: the ends are
 * extended by point reflection and each pass begins in the steady state of its first sample.
 * Samples that are not finite stay so (as NaN) and cut the signal into runs, each filtered on its own; a run
 * not longer than the padding becomes NaN too. *lost (may be NULL) counts the finite samples that were lost
 * that way. VG_ERR_DATA when no run is long enough, x then being unchanged. */
VG_API VG_NODISCARD vg_status vg_filter_zero_phase(const vg_filter *filter, double *x, int64_t n,
                                                   int64_t *lost);

/* The check that this begins with: VG_ERR_DATA when no finite run of x is longer than the padding. */
VG_API VG_NODISCARD vg_status vg_filter_fits(const vg_filter *filter, const double *x, int64_t n);

/* Up to VG_FILTER_MOST_AT_ONCE filters over one signal, in little more time than the slowest takes alone:
 * out[i][0..n) becomes what vg_filter_zero_phase() makes of x with filter[i], to the bit, and lost[i] what it
 * counts. One of the outs may be x. An out in which no run is long enough is all NaN, which is no error. */
VG_API void vg_filter_zero_phase_each(const vg_filter *const *filter, int count, const double *x, int64_t n,
                                      double *const *out, int64_t *lost);

#ifdef __cplusplus
}
#endif
#endif
