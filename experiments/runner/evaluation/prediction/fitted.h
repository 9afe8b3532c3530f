/* The classifiers that a folder's name stands for: one checkpoint, the checkpoint that a fold was tested
 * with, or those of all folds of a fine-tuning. */
#ifndef VAGUS_EXPERIMENTS_RUNNER_EVALUATION_PREDICTION_FITTED_H
#define VAGUS_EXPERIMENTS_RUNNER_EVALUATION_PREDICTION_FITTED_H

#include "datasets/preprocessing.h"
#include "experiments/runner/training/checkpoint.h"

typedef struct vg_fitted {
    char *folder; /* the checkpoint */
    vg_preprocessing contract;
    vg_model_options options; /* as the file has them: to be completed with a batch and a type */
    vg_trainer_state state;
    vg_classifier classifier; /* while `described` */
    bool described;           /* has a classifier.json: programs before it wrote none */
} vg_fitted;

typedef struct vg_fitted_list {
    vg_fitted *items;
    int count;
} vg_fitted_list;

/* ERR_CONFIG when the name stands for no classifier, or for several that are not folds of one another,
 * telling what to name instead; ERR_DATA when folds contradict each other; ERR_FORMAT, ERR_NOT_FOUND naming a
 * damaged or missing file. Warns of a fold whose training is not over, and leaves it out of several. */
VG_NODISCARD vg_status vg_fitted_find(const char *path, vg_fitted_list *out);
void vg_fitted_free(vg_fitted_list *list); /* zeroes are fine */

#endif
