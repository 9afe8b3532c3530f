/* What may be chosen when a model predicts, and whether data may be shown to it. */
#ifndef VAGUS_EXPERIMENTS_RUNNER_EVALUATION_PREDICTION_WISH_H
#define VAGUS_EXPERIMENTS_RUNNER_EVALUATION_PREDICTION_WISH_H

#include "experiments/runner/evaluation/prediction/fitted.h"
#include "experiments/runner/experiment.h"

/* `experiment` starts from its defaults; of its keys those that vg_wish_key() names have a say, everything
 * else comes from the checkpoint. */
typedef struct vg_wish {
    vg_experiment experiment;
    bool prior, lead, stride, flat, clipped; /* chosen, so they go over the checkpoint's */
} vg_wish;

VG_NODISCARD vg_status vg_wish_init(vg_wish *out);
void vg_wish_free(vg_wish *wish); /* twice is fine */

/* The keys that may be chosen, by number; NULL past the last. */
const char *vg_wish_key(int index);

/* "key=value". ERR_CONFIG for a key that has no say here, telling which have. */
VG_NODISCARD vg_status vg_wish_set(vg_wish *wish, const char *assignment);

/* Takes from the checkpoint what was not chosen: segment, stride, lead, and which segments are left out. */
VG_NODISCARD vg_status vg_wish_follow(vg_wish *wish, const vg_fitted *model);

/* After vg_wish_follow(). ERR_DATA unless the store, which messages call `name`, was prepared as the model's
 * contract has it: names each difference, and the command that imports data that fit; so does the error about
 * what is no store. Reads the store's tables alone. */
VG_NODISCARD vg_status vg_wish_check(const vg_wish *wish, const vg_fitted *model, const char *path,
                                     const char *name);

#endif
