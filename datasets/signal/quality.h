/* Is this an ECG, and a usable one? Measured on a recording in millivolt before it is stored. */
#ifndef VAGUS_DATASETS_SIGNAL_QUALITY_H
#define VAGUS_DATASETS_SIGNAL_QUALITY_H

#include <stdint.h>

#include "core/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What can be wrong with a window; several may apply. */
enum {
    VG_QUALITY_NAN = 1,     /* a sample is not finite */
    VG_QUALITY_FLAT = 2,    /* a stretch that does not move */
    VG_QUALITY_CLIPPED = 4, /* repeatedly at the recording's highest or lowest value */
    VG_QUALITY_WEAK = 8,    /* peak to peak below amplitude_low */
    VG_QUALITY_STRONG = 16, /* peak to peak above amplitude_high */
};

typedef struct vg_quality_options {
    double window_s;       /* length of the windows that are judged (10) */
    double flat_s;         /* a constant stretch this long is flat (0.5) */
    int clipped_run;       /* samples in a row at the extreme that count as clipped (5) ... */
    double clipped_share;  /* ... and their share of a window that makes it bad (0.01) */
    double amplitude_low;  /* mV peak to peak (0.05) */
    double amplitude_high; /* mV peak to peak (20) */
} vg_quality_options;

VG_API vg_quality_options vg_quality_default_options(void);

typedef struct vg_quality {
    int64_t windows, bad; /* whole windows of the recording, and those with any flag */
    int64_t nan, flat, clipped, weak, strong;
    double nan_share;     /* of samples */
    double peak_to_peak;  /* mV, median over windows without NaN; NaN if there are none */
    int64_t beats;        /* R peaks found */
    double mean_bpm;      /* over the recording; NaN with fewer than 4 beats */
    int polarity;         /* +1 upright, -1 upside down, 0 not clear */
    double polarity_lead; /* larger over smaller deflection of the average beat, >= 1; NaN without beats */
    double index;         /* 0..1, see below */
} vg_quality;

/* Measures x[0..n), in millivolt, unfiltered or filtered (clipping shows before filtering only).
 *
 * The index is the mean correlation of the beats with the average beat (0.6 s around each R peak, filtered to
 * 0.8-40 Hz), never below 0, times the share of good windows; and 0 when the heart rate that was found is
 * outside 25 to 240 beats per minute. Clean ECG gives 0.9 and more, noise 0.4
 * and less (the four recordings of eegmat without an ECG: 0.28 to 0.38); ectopic beats lower it, so it says
 * "regular and clean", not "healthy". The polarity is that of the average beat's QRS: -1 when its downward
 * deflection is at least 1.25 times the upward one. In leads such as V1 that is normal; in I, II and MLII it
 * means exchanged electrodes. */
VG_API VG_NODISCARD vg_status vg_quality_measure(const double *x, int64_t n, double rate,
                                                 const vg_quality_options *options, vg_quality *quality);

/* The flags of each whole window of options->window_s: flags[n / window]. */
VG_API void vg_quality_windows(const double *x, int64_t n, double rate, const vg_quality_options *options,
                               uint8_t *flags);

#ifdef __cplusplus
}
#endif
#endif
