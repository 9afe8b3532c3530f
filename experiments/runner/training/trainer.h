/* The loop: epochs over a loader, steps of the optimiser, validation, checkpoints, early stopping, stopping
 * on request. It is the same for pre-training and for the classifier; the head decides the loss.
 *
 * Everything drawn at random is a function of (seed, epoch, segment), and the state in a checkpoint is exact,
 * so a run that was killed and resumed ends with the bits of one that was left alone. */
#ifndef VAGUS_EXPERIMENTS_RUNNER_TRAINING_TRAINER_H
#define VAGUS_EXPERIMENTS_RUNNER_TRAINING_TRAINER_H

#include "core/rundir.h"
#include "datasets/corpus.h"
#include "experiments/runner/experiment.h"
#include "experiments/runner/training/checkpoint.h"
#include "experiments/runner/training/setup.h"
#include "experiments/runner/training/tracker.h"
#include "models/model.h"

/* Masks of a validation are drawn for this epoch, whatever the training epoch: its losses compare. */
enum { VG_VALIDATION_EPOCH = -1 };

typedef struct vg_training {
    const vg_experiment *experiment;
    const vg_machine *machine;
    const vg_corpus *corpus;           /* normalised, and labelled for a classifier */
    const int64_t *train, *validation; /* segments; validation_count 0: none */
    int64_t train_count, validation_count;
    vg_head_kind head;
    const char *init_from;   /* checkpoint folder whose encoder to start from; NULL: fresh weights */
    const char *what;        /* static, for the progress line: "pretrain" */
    const vg_measure *start; /* written beside the untrained model's validation loss at step 0 */
    int start_count;
    vg_rundir *run; /* if it was resumed, training goes on from its last checkpoint */
} vg_training;

typedef struct vg_trained {
    vg_model *model; /* with the weights of the last step */
    vg_trainer_state state;
} vg_trained;

/* ERR_PREEMPTED when stopped on request, after saving a checkpoint; ERR_NUMERIC when the loss is not finite;
 * ERR_CONFIG, ERR_IO, ERR_MEMORY... On success `out->model` is the caller's to destroy. */
VG_NODISCARD vg_status vg_train(const vg_training *training, vg_trained *out);

/* The classifier's probability of class 1 for each segment, the signal seen whole. */
VG_NODISCARD vg_status vg_classify(const vg_training *training, vg_model *model, const int64_t *segments,
                                   int64_t count, double *probabilities);

#endif
