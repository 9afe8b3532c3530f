#include <stdio.h>

#include "core/signals.h"
#include "experiments/runner/commands/command.h"
#include "experiments/runner/evaluation/crossvalidation.h"

vg_status vg_command_finetune(int argc, char **argv)
{
    vg_run_arguments arguments;
    vg_experiment experiment;
    vg_results results;
    VG_TRY(vg_run_arguments_parse(argc, argv, "finetune", &arguments));
    if (arguments.help)
        return vg_run_help("finetune",
                           "Trains a classifier on each fold of a cross-validation and reports it beside "
                           "its baselines.");
    VG_TRY(vg_experiment_load(arguments.path, arguments.overrides, arguments.override_count, &experiment));
    vg_status status = vg_signals_install();
    if (status == VG_OK) status = vg_crossvalidation_run(&experiment, arguments.mode, stdout, &results);
    vg_signals_uninstall();
    if (status == VG_OK) vg_results_free(&results);
    vg_experiment_free(&experiment);
    return status;
}
