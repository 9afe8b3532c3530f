/* Runs the trials of a sweep one after another and keeps the ledger.
 *
 *     OUTPUT_DIR/trials.jsonl     one line for every trial that is over
 *     OUTPUT_DIR/trial-0000/ ...  the run directory of each
 *     OUTPUT_DIR/best.yaml        the best configuration so far, an experiment that extends the base
 *
 * Starting a sweep again goes on where it stopped: finished trials are not run again, the one that was cut
 * off and those that failed are given to the run function once more with the same folder, so that they can
 * resume; but a trial that failed with ERR_NUMERIC (it diverged) would do so again and is left alone. */
#ifndef VAGUS_RUNNER_SEARCH_SWEEP_H
#define VAGUS_RUNNER_SEARCH_SWEEP_H

#include <stdint.h>
#include <stdio.h>

#include "core/status.h"
#include "experiments/runner/search/space.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Runs the base experiment with keys[i]=values[i] (i < count) into `output_dir` (whose parent exists), goes
 * on with a run that was cut off there, and reports the sweep's metric. An error fails this trial alone:
 * vg_cause() goes into the ledger. ERR_PREEMPTED stops the sweep and leaves the trial to the next start. */
typedef vg_status (*vg_trial_run)(void *context, int trial, const char *const *keys,
                                  const char *const *values, int count, const char *output_dir,
                                  double *metric);

/* Runs what is left, telling on `out` (NULL: nothing) a line at the start and the end of each trial, then a
 * table of all trials, best first. Returns ERR_PREEMPTED when stopped; ERR_CONFIG when the ledger belongs to
 * another sweep (the cause names line and key) or another process works on it; the first trial's status and
 * cause when every trial failed; VG_OK otherwise. */
VG_NODISCARD VG_API vg_status vg_sweep_run(const vg_sweep *sweep, vg_trial_run run, void *context, FILE *out);

#ifdef __cplusplus
}
#endif
#endif
