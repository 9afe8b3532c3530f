/* Cross-validated fine-tuning: every method on the very same folds, with the labels, the normalisation and
 * the selection of the weights decided inside each training part. */
#ifndef VAGUS_EXPERIMENTS_RUNNER_EVALUATION_CROSSVALIDATION_H
#define VAGUS_EXPERIMENTS_RUNNER_EVALUATION_CROSSVALIDATION_H

#include "experiments/runner/evaluation/results.h"

/* Runs the experiment in its output_dir: METHOD/fold-NNN/ is the run directory of a training, and its
 * predictions.json says that it is done; a resumed run goes on with the first that is not. Prints the table
 * on `out` (NULL: nothing). The caller frees `results`. ERR_CONFIG for a missing target or an unknown method,
 * ERR_DATA when the data do not honour the pre-trained model's preprocessing. */
VG_NODISCARD vg_status vg_crossvalidation_run(const vg_experiment *experiment, vg_rundir_mode mode, FILE *out,
                                              vg_results *results);

#endif
