/* The heart-rate baseline: what three numbers of the heart beat say about the label. A model that does not
 * beat it has learned nothing that a pulse counter does not show, so it is printed beside every result. */
#ifndef VAGUS_RUNNER_EVALUATION_HEART_RATE_H
#define VAGUS_RUNNER_EVALUATION_HEART_RATE_H

#include <stdint.h>

#include "core/status.h"
#include "datasets/corpus/corpus.h"
#include "datasets/split.h"
#include "experiments/runner/evaluation/logistic.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Mean heart rate (beats a minute), SDNN and RMSSD (ms) of a segment (datasets/signal/rpeaks.h). Over 10 s
 * the last two are noisy estimates; they are what can be had from it. */
enum { VG_HEART_RATE_FEATURES = 3 };

typedef struct vg_heart_rates {
    int64_t count;    /* segments of the corpus */
    double *rows;     /* [count][VG_HEART_RATE_FEATURES]; NaN in all three: no usable beats */
    int64_t unusable; /* segments without usable beats */
} vg_heart_rates;

/* Finds the beats of every recording once and takes the features of its segments; needs no labels and no
 * normalisation. */
VG_NODISCARD VG_API vg_status vg_heart_rates_create(const vg_corpus *corpus, vg_heart_rates **out);
VG_API void vg_heart_rates_destroy(vg_heart_rates *rates); /* NULL is fine */

typedef struct vg_heart_rates_report {
    int64_t train_unusable; /* training segments without beats: not part of the fit */
    int64_t test_unusable;  /* test segments without beats: answered for the mean of the training rows */
    vg_logistic model;
} vg_heart_rates_report;

/* Fits logistic regression on the segments of the fold's training and validation parts (nothing is chosen
 * with a validation part here, so it is data to learn from) and writes the probability of class 1 of each
 * test segment to `probabilities` [fold->test_count]. The corpus is labelled for this fold; segments without
 * a label are no part of the fit. `options` NULL: the defaults. `report` may be NULL. ERR_DATA when the fit
 * lacks a class. */
VG_NODISCARD VG_API vg_status vg_heart_rates_fold(const vg_heart_rates *rates, const vg_corpus *corpus,
                                                  const vg_fold *fold, const vg_logistic_options *options,
                                                  double *probabilities, vg_heart_rates_report *report);

#ifdef __cplusplus
}
#endif
#endif
