/* What the answers of a trained classifier mean: which rating it recognises and above what, how often class 1
 * stood in its training part, and which segments its data left out. It travels as classifier.json inside the
 * checkpoints of a fine-tuning, beside preprocessing.json, so that a prediction needs nothing but the
 * checkpoint. */
#ifndef VAGUS_EXPERIMENTS_RUNNER_TRAINING_CLASSIFIER_H
#define VAGUS_EXPERIMENTS_RUNNER_TRAINING_CLASSIFIER_H

#include <stdbool.h>
#include <stdint.h>

#include "core/status.h"

enum { VG_CLASSIFIER_TEXT = 512 };

typedef struct vg_classifier {
    char target[VG_CLASSIFIER_TEXT];  /* the rating */
    double threshold;                 /* class 1 lies above it; NaN: the rating is 0 or 1 itself */
    int64_t positive, negative;       /* segments of the training part, both > 0 */
    bool balanced;                    /* evaluation.prior: it was judged as if both were equally frequent */
    double flat_below, clipped_share; /* segments beyond these were left out (data.flat_below, ...) */
} vg_classifier;

/* ERR_DATA when the target's name is longer than there is room for. */
VG_NODISCARD vg_status vg_classifier_name(vg_classifier *classifier, const char *target);

/* Takes the odds of class 1 out of a probability learned where it had them: by Bayes' rule the answer for
 * equally frequent classes (Saerens, Latinne, Decaestecker, Neural Computation 14, 2002). Ranks stay as they
 * are. */
double vg_classifier_without_prior(const vg_classifier *classifier, double probability);

/* classifier.json. Reading checks every key's presence, type and range. */
VG_NODISCARD vg_status vg_classifier_write(const vg_classifier *classifier, const char *path);
VG_NODISCARD vg_status vg_classifier_read(const char *path, vg_classifier *out);

#endif
