/* Pre-training: predict the masked samples of unlabelled ECG, and say how much better that is than three
 * predictions which have learned nothing, on held-out subjects and the same masks. */
#ifndef VAGUS_EXPERIMENTS_RUNNER_TRAINING_PRETRAINING_H
#define VAGUS_EXPERIMENTS_RUNNER_TRAINING_PRETRAINING_H

#include <stdio.h>

#include "core/rundir.h"
#include "experiments/runner/experiment.h"

/* Mean squared error on the masked samples of the held-out subjects (of a z-scored signal: 1 is its
 * variance); NaN without validation. */
typedef struct vg_pretrain_result {
    double best, last, untrained, mean, interpolation;
    int64_t best_step, steps, epochs;
} vg_pretrain_result;

/* Runs the experiment in its output_dir. `mode` says whether a run that is there may go on. Prints the
 * comparison on `out` (NULL: nothing). */
VG_NODISCARD vg_status vg_pretrain_run(const vg_experiment *experiment, vg_rundir_mode mode, FILE *out,
                                       vg_pretrain_result *result);

#endif
