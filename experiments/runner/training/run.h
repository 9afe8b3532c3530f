/* What every run begins with: its directory, the configuration in it, its log. */
#ifndef VAGUS_EXPERIMENTS_RUNNER_TRAINING_RUN_H
#define VAGUS_EXPERIMENTS_RUNNER_TRAINING_RUN_H

#include "core/json.h"
#include "core/rundir.h"
#include "experiments/runner/experiment.h"

/* Opens experiment->output_dir, attaches its log, and writes config.yaml; when it holds a run already, the
 * two configurations must agree but for the device (ERR_CONFIG names the first line that differs): a resumed
 * run that quietly changed a setting could not be told from one that did not. */
VG_NODISCARD vg_status vg_run_open(const vg_experiment *experiment, vg_rundir_mode mode, vg_rundir **out);

/* Closes it. A new run that failed before it `began` leaves no directory behind, so that the same command
 * works once its cause is mended. NULL is fine. */
void vg_run_close(vg_rundir *run, bool began);

#endif
