/* The loop: epochs over a loader, steps of the optimiser, validation, checkpoints, early stopping, stopping
 * on request. It is the same for pre-training and for the classifier; the head decides the loss.
 *
 * With several ranks each trains on its share of every batch (models/parallel.h), and on nothing else depends
 * what they do: decisions are taken from sums that are the same at all of them, and rank 0 alone writes and
 * reads files.
 *
 * Everything drawn at random is a function of (seed, epoch, segment), and the state in a checkpoint is exact,
 * so a run that was killed and resumed ends with the bits of one that was left alone. */
#ifndef VAGUS_EXPERIMENTS_RUNNER_TRAINING_TRAINER_H
#define VAGUS_EXPERIMENTS_RUNNER_TRAINING_TRAINER_H

#include "experiments/runner/training/checkpoint.h"
#include "experiments/runner/training/passes.h"

typedef struct vg_trained {
    vg_model *model; /* with the weights of the last step */
    vg_trainer_state state;
} vg_trained;

/* Called by all ranks of the machine. ERR_PREEMPTED when any was stopped on request, after saving a
 * checkpoint; ERR_NUMERIC when the loss is not finite; ERR_CONFIG, ERR_IO, ERR_MEMORY... On success
 * `out->model` is the caller's to destroy. */
VG_NODISCARD vg_status vg_train(const vg_training *training, vg_trained *out);

#endif
