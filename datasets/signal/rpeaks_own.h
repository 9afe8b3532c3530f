/* What the two detectors of beats share. Internal to signal/. */
#ifndef VAGUS_DATASETS_SIGNAL_RPEAKS_OWN_H
#define VAGUS_DATASETS_SIGNAL_RPEAKS_OWN_H

#include <stdbool.h>

#include "datasets/signal/filter.h"
#include "datasets/signal/rpeaks.h"

/* The band from 8 to 20 Hz, where a QRS stands out best (Elgendi, Jonkman and De Boer 2010, "Frequency bands
 * effects on QRS detection"). VG_ERR_CONFIG for a rate below 60 Hz. */
VG_NODISCARD vg_status vg__rpeaks_filter(double rate, vg_filter *filter);

/* Both detectors on a signal filtered so; either list may be NULL. With `gaps` what is not finite in `band`
 * becomes 0: nothing can be said there. `largest` is that of the signal's samples, which tells how large
 * rounding can be. */
VG_NODISCARD vg_status vg__rpeaks_in_band(double *band, int64_t n, double rate, double largest, bool gaps,
                                          vg_rpeaks *first, vg_rpeaks *second);

/* Goes on from i as long as the flags, which are 0 or 1, are `flag`; n when all are. Both detectors compare
 * many samples side by side and look at few of them. */
int64_t vg__rpeaks_skip(const uint8_t *flags, int64_t i, int64_t n, bool flag);

/* The second detector. */
VG_NODISCARD vg_status vg__rpeaks_elgendi(const double *band, int64_t n, double rate, vg_rpeaks *peaks);

#endif
