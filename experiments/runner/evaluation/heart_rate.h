/* The heart-rate baseline: what three numbers of the heart beat say about the label. A model that does not
 * beat it has learned nothing that a pulse counter does not show, so it is printed beside every result. */
#ifndef VAGUS_RUNNER_EVALUATION_HEART_RATE_H
#define VAGUS_RUNNER_EVALUATION_HEART_RATE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/status.h"
#include "datasets/corpus.h"
#include "datasets/split.h"
#include "experiments/runner/evaluation/logistic.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Mean heart rate (beats a minute), SDNN and RMSSD (ms) of one segment. RMSSD of a 10 s window is a noisy
 * estimate and SDNN a very noisy one; they are what can be had from it. */
enum { VG_HEART_RATE_FEATURES = 3 };

typedef struct vg_heart_rate {
    int64_t count;                         /* segments of the corpus */
    double (*row)[VG_HEART_RATE_FEATURES]; /* NaN in all three: no usable beats */
    int64_t unusable;                      /* segments without usable beats */
} vg_heart_rate;

/* Finds the R peaks of every segment once; needs no labels, takes about a second an hour of ECG. */
VG_NODISCARD VG_API vg_status vg_heart_rate_create(const vg_corpus *corpus, vg_heart_rate **out);
VG_API void vg_heart_rate_destroy(vg_heart_rate *rates); /* NULL is fine */

typedef struct vg_heart_rate_report {
    int64_t train_unusable; /* training segments left out of the fit */
    int64_t test_unusable;  /* test segments without beats: they get the mean row of the training part */
    vg_logistic model;
} vg_heart_rate_report;

/* Fits on the fold's training and validation segments that have beats (this baseline needs no validation,
 * so it gets that data too) and writes the probability of class 1 for each of its test segments to
 * `probabilities` [test_count]. The corpus is labelled for this fold. `report` may be NULL. */
VG_NODISCARD VG_API vg_status vg_heart_rate_fold(const vg_heart_rate *rates, const vg_corpus *corpus,
                                                 const vg_fold *fold, const vg_logistic_options *options,
                                                 double *probabilities, vg_heart_rate_report *report);

#ifdef __cplusplus
}
#endif
#endif
