/* Logistic regression with an L2 penalty for a handful of features: the classifier behind the heart-rate
 * baseline and behind linear probes. Features are standardised with the training rows' mean and sd only. */
#ifndef VAGUS_RUNNER_EVALUATION_LOGISTIC_H
#define VAGUS_RUNNER_EVALUATION_LOGISTIC_H

#include <stdbool.h>
#include <stdint.h>

#include "core/status.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { VG_LOGISTIC_MAX_FEATURES = 64 };

typedef struct vg_logistic_options {
    double l2;          /* minimised: sum of weighted losses + l2/2 |w|^2, the intercept free. scikit-learn's
                           C is 1/l2. >= 0 */
    bool balanced;      /* a row weighs rows / (2 rows of its class), so that both classes weigh alike */
    int max_iterations; /* Newton steps */
    double tolerance;   /* stop when no component of the gradient, divided by the rows, is larger */
} vg_logistic_options;

/* l2 1, balanced, 100 steps, 1e-10. */
VG_API vg_logistic_options vg_logistic_options_default(void);

typedef struct vg_logistic {
    int features, iterations;
    double intercept;
    double weight[VG_LOGISTIC_MAX_FEATURES]; /* of the standardised features */
    double mean[VG_LOGISTIC_MAX_FEATURES];
    double scale[VG_LOGISTIC_MAX_FEATURES]; /* 1/sd; 0 for a constant feature, which then has no part */
} vg_logistic;

/* Fits rows x [count x features] with labels 0 or 1. ERR_DATA when a class is missing, a label is neither or
 * a value is not finite (the cause names the row); ERR_NUMERIC when the steps do not converge, which needs l2
 * = 0 and separable classes; ERR_CONFIG for options or sizes that cannot be. */
VG_NODISCARD VG_API vg_status vg_logistic_fit(const double *x, const float *labels, int64_t count,
                                              int features, const vg_logistic_options *options,
                                              vg_logistic *out);

/* Probability of class 1 for one row [features]. */
VG_API double vg_logistic_predict(const vg_logistic *model, const double *row);

#ifdef __cplusplus
}
#endif
#endif
