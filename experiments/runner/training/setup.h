/* From what an experiment says to the parts it is made of. The only place that translates names of keys into
 * options of other rooms. */
#ifndef VAGUS_EXPERIMENTS_RUNNER_TRAINING_SETUP_H
#define VAGUS_EXPERIMENTS_RUNNER_TRAINING_SETUP_H

#include "datasets/corpus.h"
#include "experiments/runner/experiment.h"
#include "kernels/kernels.h"
#include "models/model.h"
#include "models/optimizer.h"
#include "models/schedule.h"

/* A device, the operations on it, and the precision they are asked for: what `device`, `backend` and
 * `precision` came to here. Free with vg_machine_free(), after everything allocated there.
 *
 * bf16 on the CPU is not refused but warned of: it lets a run of a GPU be looked into where there is none,
 * and plain loops of the reference compute it. tf32 there has nothing to stand for it: ERR_CONFIG. ERR_DEVICE
 * when the GPU that was asked for is not to be had, saying why. */
typedef struct vg_machine {
    vg_device *device;
    vg_kernels *kernels;
    vg_dtype dtype;        /* of models */
    const char *precision; /* "fp32", "tf32" or "bf16"; static */
} vg_machine;
VG_NODISCARD vg_status vg_machine_make(const vg_experiment *experiment, vg_machine *out);
void vg_machine_free(vg_machine *machine);

/* Loads data.stores and logs what was loaded and what was left out. */
VG_NODISCARD vg_status vg_setup_corpus(const vg_experiment *experiment, vg_corpus **out);

/* data.normalize put to work; `train` are the segments that scope `corpus` may look at. */
VG_NODISCARD vg_status vg_setup_normalize(const vg_experiment *experiment, vg_corpus *corpus,
                                          const int64_t *train, int64_t train_count);

/* `corpus` gives the length of a segment; NULL to check the rest before any data is read. */
VG_NODISCARD vg_status vg_setup_model(const vg_experiment *experiment, const vg_corpus *corpus,
                                      vg_head_kind head, vg_model_options *out);

/* ERR_MEMORY when a training on `train_count` segments would not fit on the machine, saying what would: asked
 * before a run begins, so that the same command works once a number in it is mended. */
VG_NODISCARD vg_status vg_setup_fits(const vg_experiment *experiment, const vg_machine *machine,
                                     const vg_corpus *corpus, vg_head_kind head, int64_t train_count);
vg_optimizer_config vg_setup_optimizer(const vg_experiment *experiment);
VG_NODISCARD vg_status vg_setup_schedule(const vg_experiment *experiment, int64_t steps_per_epoch,
                                         vg_schedule *out);

/* Keeps `limit` of the indices, drawn by (seed, stream), ascending again; returns how many are left. 0 keeps
 * all. */
int64_t vg_setup_limit(int64_t *indices, int64_t count, int64_t limit, uint64_t seed, uint32_t stream);

#endif
