/* What a training is made of, and the passes over its segments that change nothing: validation, and the
 * answers of a classifier. Called by all ranks of the machine, each of which goes through its part of the
 * segments. */
#ifndef VAGUS_EXPERIMENTS_RUNNER_TRAINING_PASSES_H
#define VAGUS_EXPERIMENTS_RUNNER_TRAINING_PASSES_H

#include "core/rundir.h"
#include "datasets/corpus/corpus.h"
#include "datasets/loader.h"
#include "experiments/runner/experiment.h"
#include "experiments/runner/training/classifier.h"
#include "experiments/runner/training/machine.h"
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
    const vg_classifier *classifier; /* what its answers mean, for its checkpoints; NULL: no classifier */
    const char
        *init_from;   /* checkpoint folder whose encoder to start from; NULL: fresh weights, or rank 0's */
    const char *what; /* static, for the progress line: "pretrain" */
    const vg_measure *start; /* written beside the untrained model's validation loss at step 0 */
    int start_count;
    vg_rundir
        *run; /* if it was resumed, training goes on from its last checkpoint; NULL at all ranks but 0 */
} vg_training;

/* `count` segments of a batch, from its `first`, into the model's buffers; `resident` NULL: from the loader's
 * memory. */
VG_NODISCARD vg_status vg_place_batch(vg_model *model, const vg_resident *resident, const vg_batch *batch,
                                      int64_t first, int64_t count, bool labels, vg_model_batch *out);

/* Mean loss over the validation segments, without dropout and with the masks of VG_VALIDATION_EPOCH.
 * ERR_NUMERIC when it is not finite. */
VG_NODISCARD vg_status vg_validate(const vg_training *training, vg_model *model, const vg_resident *resident,
                                   double *loss);

/* The classifier's probability of class 1 for each segment, the signal seen whole. Every rank gets all. */
VG_NODISCARD vg_status vg_classify(const vg_training *training, vg_model *model, const int64_t *segments,
                                   int64_t count, double *probabilities);

#endif
