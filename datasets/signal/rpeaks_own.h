/* What the two detectors of beats share. Internal to signal/. */
#ifndef VAGUS_DATASETS_SIGNAL_RPEAKS_OWN_H
#define VAGUS_DATASETS_SIGNAL_RPEAKS_OWN_H

#include "datasets/signal/filter.h"
#include "datasets/signal/rpeaks.h"

/* The band from 8 to 20 Hz, where a QRS stands out best (Elgendi, Jonkman and De Boer 2010, "Frequency bands
 * effects on QRS detection"). VG_ERR_CONFIG for a rate below 60 Hz. */
VG_NODISCARD vg_status vg__rpeaks_filter(double rate, vg_filter *filter);

/* Both detectors on x filtered so; either list may be NULL. What is not finite in `band` becomes 0: nothing
 * can be said there. x only tells how large rounding can be. */
VG_NODISCARD vg_status vg__rpeaks_in_band(const double *x, double *band, int64_t n, double rate,
                                          vg_rpeaks *first, vg_rpeaks *second);

/* The second detector. */
VG_NODISCARD vg_status vg__rpeaks_elgendi(const double *band, int64_t n, double rate, vg_rpeaks *peaks);

#endif
