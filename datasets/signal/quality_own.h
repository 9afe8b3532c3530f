/* What the files of the quality measures share. Internal to signal/. */
#ifndef VAGUS_DATASETS_SIGNAL_QUALITY_OWN_H
#define VAGUS_DATASETS_SIGNAL_QUALITY_OWN_H

#include <stdbool.h>

#include "datasets/signal/quality.h"

/* Samples of a window. */
int64_t vg__quality_window(double rate, const vg_quality_options *options);

/* The whole recording: its lowest and highest finite sample (INFINITY and -INFINITY without one), and whether
 * some are not finite. */
typedef struct vg__extent {
    double low, high;
    bool gaps;
} vg__extent;

/* The flags of each whole window, its size from peak to peak (NaN where a sample is not finite), and the
 * extent. */
VG_NODISCARD vg_status vg__quality_windows(const double *x, int64_t n, double rate,
                                           const vg_quality_options *options, uint8_t *flags, double *sizes,
                                           vg__extent *extent);

#endif
