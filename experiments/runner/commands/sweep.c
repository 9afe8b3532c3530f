#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/group/place.h"
#include "core/signals.h"
#include "core/text.h"
#include "experiments/runner/commands/command.h"
#include "experiments/runner/evaluation/crossvalidation.h"
#include "experiments/runner/search/sweep.h"
#include "experiments/runner/training/pretraining.h"

/* The metrics a sweep of pre-trainings can ask for. */
static vg_status pretrain_metric(const vg_experiment *experiment, const char *name, double *metric)
{
    vg_pretrain_result result;
    bool best = !strcmp(name, "validation.loss"), last = !strcmp(name, "validation.last_loss");
    if (!best && !last)
        return vg_fail(VG_ERR_CONFIG,
                       "metric '%s': a pre-training reports validation.loss (the best) and "
                       "validation.last_loss",
                       name);
    VG_TRY(vg_pretrain_run(experiment, VG_RUNDIR_AUTO, NULL, &result));
    *metric = best ? result.best : result.last;
    return VG_OK;
}

/* "METHOD.validation_loss", decided inside the training parts, or "METHOD.METRIC" of the test folds. */
static vg_status finetune_metric(const vg_experiment *experiment, const char *name, double *metric)
{
    vg_results results;
    vg_metric wanted = VG_METRIC_COUNT;
    const char *dot = strchr(name, '.');
    if (!dot)
        return vg_fail(VG_ERR_CONFIG, "metric '%s': write METHOD.METRIC, for example scratch.validation_loss",
                       name);
    if (strcmp(dot, ".validation_loss")) VG_TRY(vg_metric_parse(dot + 1, &wanted));
    /* Asked before the folds are run, not after hours. */
    size_t length = (size_t)(dot - name);
    const vg_strings *methods = &experiment->evaluation.methods;
    size_t m = 0;
    while (m < methods->count &&
           (strlen(methods->items[m]) != length || strncmp(methods->items[m], name, length)))
        m++;
    if (m == methods->count)
        return vg_fail(VG_ERR_CONFIG, "metric '%s': '%.*s' is none of evaluation.methods", name, (int)length,
                       name);
    VG_TRY(vg_crossvalidation_run(experiment, VG_RUNDIR_AUTO, NULL, &results));
    /* Results are in the order of the methods. */
    *metric =
        wanted == VG_METRIC_COUNT ? results.validation_loss[m] : results.metrics[m].summary[wanted].mean;
    vg_results_free(&results);
    return VG_OK;
}

static vg_status run_trial(void *context, int trial, const char *const *keys, const char *const *values,
                           int count, const char *output_dir, double *metric)
{
    const vg_sweep *sweep = context;
    (void)trial;
    char **overrides = calloc((size_t)count + 1, sizeof *overrides);
    if (!overrides) return vg_fail(VG_ERR_MEMORY, "no memory for a trial's settings");
    vg_experiment experiment;
    vg_status status = VG_OK;
    for (int i = 0; status == VG_OK && i <= count; i++) {
        vg_text text = {0};
        if (i < count)
            vg_text_add(&text, "%s=%s", keys[i], values[i]);
        else
            vg_text_add(&text, "output_dir=%s", output_dir);
        status = vg_text_take(&text, &overrides[i]);
    }
    if (status == VG_OK)
        status =
            vg_experiment_load(sweep->experiment, (const char *const *)overrides, count + 1, &experiment);
    for (int i = 0; i <= count; i++) free(overrides[i]);
    free(overrides);
    VG_TRY(status);
    if (!strcmp(sweep->command, "pretrain"))
        status = pretrain_metric(&experiment, sweep->metric, metric);
    else
        status = finetune_metric(&experiment, sweep->metric, metric);
    vg_experiment_free(&experiment);
    if (status == VG_OK && !isfinite(*metric))
        status = vg_fail(VG_ERR_NUMERIC, "metric '%s' is not defined for this trial", sweep->metric);
    return status;
}

vg_status vg_command_sweep(int argc, char **argv)
{
    vg_run_arguments arguments;
    vg_sweep *sweep;
    VG_TRY(vg_run_arguments_parse(argc, argv, "sweep", &arguments));
    if (arguments.help) {
        printf("vagus sweep SWEEP.yaml\n\nRuns an experiment over the settings of a sweep file (W&B's "
               "schema: method, metric,\n"
               "parameters, run_cap), one trial after another. Started again, it goes on where it stopped.\n"
               "experiments/README.md is the reference of its keys.\n");
        return VG_OK;
    }
    if (arguments.override_count)
        return vg_fail(VG_ERR_CONFIG,
                       "sweep: '%s': settings stand in the sweep file, as parameters with one value",
                       arguments.overrides[0]);
    vg_place place;
    VG_TRY(vg_place_find(&place));
    if (place.size > 1)
        return vg_fail(
            VG_ERR_CONFIG,
            "sweep: started by %s with %d ranks, and a sweep runs its trials one after another in one "
            "process: start it alone",
            vg_starter_name(place.starter), place.size);
    VG_TRY(vg_sweep_load(arguments.path, &sweep));
    vg_status status = vg_signals_install();
    if (status == VG_OK) status = vg_sweep_run(sweep, run_trial, sweep, stdout);
    vg_signals_uninstall();
    vg_sweep_destroy(sweep);
    return status;
}
