/* What the two detectors of beats share. Internal to signal/. */
#ifndef VAGUS_DATASETS_SIGNAL_RPEAKS_OWN_H
#define VAGUS_DATASETS_SIGNAL_RPEAKS_OWN_H

#include "datasets/signal/rpeaks.h"

/* x between 8 and 20 Hz, where a QRS stands out best (Elgendi, Jonkman and De Boer 2010, "Frequency bands
 * effects on QRS detection"); 0 where nothing can be said. VG_ERR_CONFIG for a rate below 60 Hz. */
VG_NODISCARD vg_status vg__rpeaks_band(const double *x, int64_t n, double rate, double *band);

/* The detectors on such a band; `x` only tells how large rounding can be. */
VG_NODISCARD vg_status vg__rpeaks_first(const double *x, const double *band, int64_t n, double rate,
                                        vg_rpeaks *peaks);
VG_NODISCARD vg_status vg__rpeaks_elgendi(const double *band, int64_t n, double rate, vg_rpeaks *peaks);

#endif
