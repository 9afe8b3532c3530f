/* Forward and backward of a full batch, recorded once and replayed (core/device.h) on a device that can: a
 * step of a small model is many short operations, and then queueing them takes longer than running them. */
#ifndef VAGUS_EXPERIMENTS_RUNNER_TRAINING_REPLAY_H
#define VAGUS_EXPERIMENTS_RUNNER_TRAINING_REPLAY_H

#include "models/parallel.h"

/* Zero-initialised: nothing recorded. A recording holds for one size of batch in one epoch (masks and dropout
 * depend on it), while the device has allocated nothing new. There are two: of a step's last pass, which sums
 * its gradients over the ranks, and of those before it. */
typedef struct vg_replay {
    bool off; /* the owner's choice: never record */
    vg_recording *recording[2];
    vg_device *device;
    int64_t count;
    uint32_t epoch;
    uint64_t allocations;
    bool ran[2]; /* in the ordinary way, since the device allocated anything */
} vg_replay;

/* vg_model_forward() and vg_model_backward() over `batch`, which lies in the model's own buffers
 * (vg_model_upload, vg_model_gather). `last`: of the step, as vg_parallel_last() means it. `parallel` NULL:
 * one rank alone. */
VG_NODISCARD vg_status vg_replay_pass(vg_replay *replay, vg_device *device, vg_model *model,
                                      vg_parallel *parallel, bool last, const vg_model_batch *batch,
                                      const vg_pass *pass);
void vg_replay_free(vg_replay *replay);

#endif
