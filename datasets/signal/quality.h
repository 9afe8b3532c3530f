/* Is this an ECG, and a usable one? Measured on a recording in millivolt before it is stored. */
#ifndef VAGUS_DATASETS_SIGNAL_QUALITY_H
#define VAGUS_DATASETS_SIGNAL_QUALITY_H

#include <stddef.h>
#include <stdint.h>

#include "core/status.h"
#include "datasets/signal/filter.h"
#include "datasets/signal/rpeaks.h"

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
    int64_t unusable;    /* windows that are flat, weak or strong */
    double nan_share;    /* of samples */
    double peak_to_peak; /* mV, median over windows without NaN; NaN if there are none */
    int64_t beats;       /* R peaks found */
    double mean_bpm;     /* beats over time, ectopic ones and all; NaN with fewer than 4 beats */
    double match;        /* mean correlation of the beats with the average beat, 0..1 */
    double agreement;    /* of two detectors on where the beats are, 0..1 */
    double kurtosis;     /* of the samples between 0.8 and 40 Hz: 3 is Gaussian noise; NaN if unknown */
    double qrs_share;    /* power of 5-15 Hz over that of 5-40 Hz */
    double mains_share;  /* power at 50 or 60 Hz over that of 1-40 Hz and it */
    double upper_db, above_db, far_db; /* power of 30-45, 52-58 and 70-98 Hz over that of 5-15 Hz in dB */
    int polarity;                      /* +1 upright, -1 upside down, 0 not clear */
    int qrs, t_wave;      /* the directions of the average beat's QRS and T wave: +1, -1, 0 not clear */
    double polarity_lead; /* larger over smaller deflection of the average beat, >= 1; NaN without beats */
    double index;         /* 0..1, see below */
} vg_quality;

/* Measures x[0..n), in millivolt, unfiltered or filtered (clipping shows before filtering only).
 *
 * The index is `match` times `agreement` times the share of good windows, and 0 when the heart rate that was
 * found is outside 25 to 240 beats per minute. `match` is how alike the beats are (0.6 s around each R peak,
 * 0.8-40 Hz), as in Orphanidou et al., "Signal-quality indices for the electrocardiogram and
 * photoplethysmogram", IEEE J. Biomed. Health Inform. 19(3):832-838 (2015); `agreement` is bSQI of Li, Mark
 * and Clifford, "Robust heart rate estimation from multiple asynchronous noisy sources", Physiol. Meas.
 * 29(1):15-32 (2008), with 150 ms and the detectors of rpeaks.h; `kurtosis` and `qrs_share` are kSQI and pSQI
 * there, reported beside the index since they did not help it (README.md has the figures). Clean ECG gives
 * 0.9 and more, noise 0.3 and less; ectopic beats lower it, so it says "regular and clean", not "healthy".
 *
 * Upside down is a beat whose QRS points down (its downward deflection is at least 1.25 times the upward one)
 * and whose T wave does not point up: exchanged electrodes turn both, while a QRS that points down under a
 * T wave that points up is the heart's axis or a chest lead such as V1. */
VG_API VG_NODISCARD vg_status vg_quality_measure(const double *x, int64_t n, double rate,
                                                 const vg_quality_options *options, vg_quality *quality);

/* The same, and the beats that were found on the way: free them with vg_rpeaks_free(). */
VG_API VG_NODISCARD vg_status vg_quality_measure_beats(const double *x, int64_t n, double rate,
                                                       const vg_quality_options *options, vg_quality *quality,
                                                       vg_rpeaks *peaks);

/* The filters whose outputs the measures need besides the signal, for those who run filters of their own over
 * it: all go together in one go (vg_filter_zero_phase_each). VG_ERR_CONFIG for a rate below 60 Hz. */
enum {
    VG_QUALITY_STEEP, /* where QRS complexes stand out */
    VG_QUALITY_CLEAN, /* without baseline and mains */
    VG_QUALITY_FILTERS
};
VG_API VG_NODISCARD vg_status vg_quality_filters(double rate, vg_filter filter[VG_QUALITY_FILTERS]);

/* The same as vg_quality_measure_beats() given what the filters make of x (in filtered[VG_QUALITY_STEEP] gaps
 * become 0; filtered[VG_QUALITY_CLEAN] may be NULL: it is made in the other's room then, once that is not
 * needed any more), and the flags of each whole window of options->window_s: flags[n / window]. */
VG_API VG_NODISCARD vg_status vg_quality_measure_filtered(const double *x,
                                                          double *const filtered[VG_QUALITY_FILTERS],
                                                          int64_t n, double rate,
                                                          const vg_quality_options *options, uint8_t *flags,
                                                          vg_quality *quality, vg_rpeaks *peaks);

/* What is the matter with a recording: X(name, word for tables). Those after GOOD and UPSIDE_DOWN hold no
 * usable ECG. */
#define VG_VERDICT_MAP(X)                                                                                    \
    X(GOOD, "good")                                                                                          \
    X(UPSIDE_DOWN, "upside down")                                                                            \
    X(MISSING, "missing")                                                                                    \
    X(FLAT, "flat")                                                                                          \
    X(WEAK, "weak")                                                                                          \
    X(STRONG, "strong")                                                                                      \
    X(CLIPPED, "clipped")                                                                                    \
    X(DISCONNECTED, "disconnected")                                                                          \
    X(NO_BEATS, "no beats")                                                                                  \
    X(NOISY, "noisy")

typedef enum vg_verdict {
#define VG_VERDICT_ENUM(name, word) VG_VERDICT_##name,
    VG_VERDICT_MAP(VG_VERDICT_ENUM)
#undef VG_VERDICT_ENUM
} vg_verdict;

VG_API const char *vg_verdict_word(vg_verdict verdict);

/* Judges a measured recording; the sentence says why, for people. Recordings whose index lies below
 * `min_index` are unusable, for the cause that fits best. */
VG_API vg_verdict vg_quality_judge(const vg_quality *quality, double min_index, char *sentence, size_t size);

#ifdef __cplusplus
}
#endif
#endif
