/* From what an experiment says to the parts it is made of. The only place that translates names of keys into
 * options of other rooms. */
#ifndef VAGUS_EXPERIMENTS_RUNNER_TRAINING_SETUP_H
#define VAGUS_EXPERIMENTS_RUNNER_TRAINING_SETUP_H

#include "datasets/corpus/corpus.h"
#include "experiments/runner/experiment.h"
#include "experiments/runner/training/machine.h"
#include "models/model.h"
#include "models/optimizer.h"
#include "models/schedule.h"

/* Loads data.stores and logs what was loaded and what was left out. */
VG_NODISCARD vg_status vg_setup_corpus(const vg_experiment *experiment, vg_corpus **out);

/* ERR_CONFIG, naming a rank, when not all ranks loaded the same samples. */
VG_NODISCARD vg_status vg_setup_same_corpus(const vg_machine *machine, const vg_corpus *corpus);

/* data.normalize put to work; `train` are the segments that scope `corpus` may look at. */
VG_NODISCARD vg_status vg_setup_normalize(const vg_experiment *experiment, vg_corpus *corpus,
                                          const int64_t *train, int64_t train_count);

/* `corpus` gives the length of a segment; NULL to check the rest before any data is read. */
VG_NODISCARD vg_status vg_setup_model(const vg_experiment *experiment, const vg_corpus *corpus,
                                      vg_head_kind head, vg_model_options *out);

/* The same with the type and the largest batch of one rank of this machine, in a training on `train_count`.
 */
VG_NODISCARD vg_status vg_setup_training_model(const vg_experiment *experiment, const vg_machine *machine,
                                               const vg_corpus *corpus, vg_head_kind head,
                                               int64_t train_count, vg_model_options *out);

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
