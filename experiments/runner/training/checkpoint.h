/* A checkpoint: a folder with model.safetensors, optimizer.safetensors, trainer.json and preprocessing.json,
 * and of a classifier classifier.json. Together they are all that a run needs to go on as if it had never
 * stopped, and all that a prediction needs. */
#ifndef VAGUS_EXPERIMENTS_RUNNER_TRAINING_CHECKPOINT_H
#define VAGUS_EXPERIMENTS_RUNNER_TRAINING_CHECKPOINT_H

#include "core/group/group.h"
#include "core/rundir.h"
#include "datasets/preprocessing.h"
#include "experiments/runner/training/classifier.h"
#include "models/model.h"
#include "models/optimizer.h"

/* Where a run stands. Random numbers need no state: they are functions of (seed, epoch, segment). */
typedef struct vg_trainer_state {
    int64_t epoch;               /* being trained, from 0; equal to the number of epochs when all are done */
    int64_t step_in_epoch;       /* batches of it already trained on */
    int64_t step;                /* optimiser steps of the run */
    double loss_sum, loss_count; /* of the epoch so far */
    double first_loss;           /* of the validation before the first step; NaN: none */
    double last_loss;            /* of the latest validation */
    double best_loss;            /* of the best one */
    int64_t best_step;
    int64_t bad_validations; /* since the best one, for early stopping */
    bool finished;
    char device[64]; /* vg_device.model, and what was computed in: a run that goes on says so when the former
                      */
    char precision[8]; /* is another, and is refused when the latter is */
    int64_t ranks;     /* that trained it last */
    char data[20];     /* vg_corpus_fingerprint() in hexadecimal; "" in a checkpoint that does not say it */
} vg_trainer_state;

/* Writes a checkpoint for `state->step` under the run directory; appears whole or not at all, so a full disk
 * or a kill leaves the earlier ones as they are. Keeps the newest `keep` and the best. Called by all ranks,
 * of which those with `run` NULL only give what they hold of the optimiser. `classifier` is NULL for a model
 * of another head. */
VG_NODISCARD vg_status vg_checkpoint_save(vg_rundir *run, vg_model *model, vg_optimizer *optimizer,
                                          const vg_trainer_state *state,
                                          const vg_preprocessing *preprocessing,
                                          const vg_classifier *classifier, int64_t keep);

/* Restores all of it, at all ranks, from a folder that rank 0 names; the others give NULL. ERR_FORMAT or
 * ERR_DATA naming the file. */
VG_NODISCARD vg_status vg_checkpoint_load(const char *folder, vg_group *group, vg_model *model,
                                          vg_optimizer *optimizer, vg_trainer_state *state);

/* The weights alone; `prefix` and `report` as in vg_model_load(). */
VG_NODISCARD vg_status vg_checkpoint_load_weights(const char *folder, vg_model *model, const char *prefix,
                                                  vg_load_report *report);

/* What trainer.json of a checkpoint says. */
VG_NODISCARD vg_status vg_checkpoint_read_state(const char *folder, vg_trainer_state *state);

/* ERR_DATA unless `data` ("data.stores" in the message) was preprocessed as the checkpoint's data was; `name`
 * is what the message calls the checkpoint. */
VG_NODISCARD vg_status vg_checkpoint_check_data(const char *folder, const char *name,
                                                const vg_preprocessing *data);

/* The checkpoint folder that a name stands for: such a folder itself, or the best (else the last) of a run
 * directory. ERR_CONFIG when it is neither. The caller frees it. */
VG_NODISCARD vg_status vg_checkpoint_find(const char *path, char **folder);

#endif
