/* What every run begins with: its directory, the configuration in it, its log. */
#ifndef VAGUS_EXPERIMENTS_RUNNER_TRAINING_RUN_H
#define VAGUS_EXPERIMENTS_RUNNER_TRAINING_RUN_H

#include <stdio.h>

#include "core/json.h"
#include "core/rundir.h"
#include "experiments/runner/training/machine.h"

/* Opens experiment->output_dir, attaches its log, and writes config.yaml; when it holds a run already, the
 * two configurations must agree but for where they compute (ERR_CONFIG names the first line that differs): a
 * resumed run that quietly changed a setting could not be told from one that did not. Rank 0 alone does so;
 * the others get NULL, after their configuration has been found to be rank 0's. */
VG_NODISCARD vg_status vg_run_open(const vg_experiment *experiment, vg_rundir_mode mode,
                                   const vg_machine *machine, vg_rundir **out);

/* The last words of a run that is done: where it is and which files to look at first. */
void vg_run_name_files(const vg_experiment *experiment, FILE *out, const char *files);

/* Closes it. A new run that failed before it `began` leaves no directory behind, so that the same command
 * works once its cause is mended. NULL is fine. */
void vg_run_close(vg_rundir *run, bool began);

#endif
