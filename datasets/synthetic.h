/* Synthetic ECG: a dynamical model of the heart beat, never to be taken for a person.
 *
 * McSharry, Clifford, Tarassenko, Smith, "A dynamical model for generating synthetic electrocardiogram
 * signals", IEEE Trans Biomed Eng 50(3):289-294 (2003): a point runs round a circle, once a beat, and is
 * pushed off its plane near the angles of P, Q, R, S and T; the time of each round follows a series of
 * intervals whose spectrum has a low- and a high-frequency peak (blood pressure waves and breathing).
 *
 * The store carries synthetic = true, the source "synthetic" and subjects "synthetic-0001"; the rating
 * `synthetic_arousal` is 0 or 1 per recording and shifts rate and variability by `effect`, so that a
 * classifier has something to find, of known size. It says nothing about emotion. */
#ifndef VAGUS_DATASETS_SYNTHETIC_H
#define VAGUS_DATASETS_SYNTHETIC_H

#include <stdbool.h>
#include <stdint.h>

#include "core/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct vg_synthetic_options {
    uint64_t seed;    /* 1 */
    int subjects;     /* 8 */
    int recordings;   /* per subject, alternately calm and aroused: 2 */
    double seconds;   /* per recording: 120 */
    double rate;      /* 128 Hz */
    double effect;    /* 0: the label means nothing; 1: +15 beats/min and half the variability */
    double noise_mv;  /* standard deviation of the white noise: 0.02 */
    double wander_mv; /* amplitude of the baseline wander: 0.05 */
    bool label;       /* write synthetic_arousal: true */
} vg_synthetic_options;

VG_API vg_synthetic_options vg_synthetic_default_options(void);

/* One recording's parameters and samples [n] in millivolt: a function of the options, the subject (from 0)
 * and the recording alone. `aroused` tells the label. */
VG_API VG_NODISCARD vg_status vg_synthetic_recording(const vg_synthetic_options *options, int subject,
                                                     int recording, float *samples, int64_t n, bool *aroused);

/* Writes a store. An existing one is refused unless `overwrite`. */
VG_API VG_NODISCARD vg_status vg_synthetic_write(const vg_synthetic_options *options, const char *path,
                                                 bool overwrite);

#ifdef __cplusplus
}
#endif
#endif
