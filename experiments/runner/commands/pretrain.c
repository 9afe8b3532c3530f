#include <stdio.h>
#include <stdlib.h>

#include "core/signals.h"
#include "experiments/runner/commands/command.h"
#include "experiments/runner/commands/plan.h"
#include "experiments/runner/training/pretraining.h"

vg_status vg_command_pretrain(int argc, char **argv)
{
    vg_run_arguments arguments;
    vg_experiment experiment;
    vg_pretrain_result result;
    if (vg_plan_asked(argc, argv)) return vg_plan_command(argc, argv);
    VG_TRY(vg_run_arguments_parse(argc, argv, "pretrain", &arguments));
    if (arguments.help)
        return vg_run_help(
            "pretrain", "Learns to predict masked samples of unlabelled ECG. With --plan: tells what that\n"
                        "takes, beforehand (vagus pretrain --plan --help).");
    VG_TRY(vg_experiment_load(arguments.path, arguments.overrides, arguments.override_count, &experiment));
    vg_status status = vg_signals_install();
    if (status == VG_OK) status = vg_pretrain_run(&experiment, arguments.mode, stdout, &result);
    vg_signals_uninstall();
    vg_experiment_free(&experiment);
    return status;
}
