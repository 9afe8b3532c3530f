/* vagus pretrain EXPERIMENT.yaml --plan */
#include "experiments/runner/commands/plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "experiments/runner/commands/command.h"
#include "experiments/runner/plan/plan.h"

static vg_status print_help(void)
{
    char *keys;
    VG_TRY(vg_schema_help(&vg_plan_schema, &keys));
    printf("vagus pretrain EXPERIMENT.yaml --plan [--json] [key=value ...] [plan.key=value ...]\n\n"
           "What the run would take: parameters, memory by slab, FLOP, bytes summed over ranks, and from "
           "stated\n"
           "rates the time of a step and of the run, its cost, and what limits more GPUs. Nothing is trained "
           "and\n"
           "nothing is written; the stores need not be there. The formulas: experiments/PLAN.md\n\n%s\n"
           "--json prints one object instead. Bytes, FLOP and seconds; null: not stated.\n"
           "  plan_version, name, gpu, precision, gpus_per_node, stated: [{key, value, unit, by}], price, "
           "currency\n"
           "  parameters: {PART, all, padded}, segments: {length, train, validation, source}\n"
           "  flop: {segment_forward, segment, step}, bytes: {segment_forward, segment_backward, optimizer}, "
           "each\n"
           "        {linear, attention, convolution, rest, all}\n"
           "  largest_micro_batch, plan, same_batch: [...], same_share: [...], each\n"
           "        {gpus, batch, share, micro_batch, memory: {values, masters, gradients, moments, "
           "activations,\n"
           "        activation_gradients, inputs, corpus, total}, reduced_bytes, gathered_bytes, buckets, "
           "forward,\n"
           "        backward, optimizer, least, collectives, exposed, loader, loader_bytes_s, step, "
           "segments_s,\n"
           "        limit, steps_per_epoch, steps, validations, training, validation, run, cost}\n",
           keys);
    free(keys);
    return VG_OK;
}

/* Of the words after the command: those that are ours out, the others in their order; returns how many are
 * left. */
static int sort_words(int argc, char **argv, char **ours, int *our_count, bool *as_json)
{
    int left = 0;
    for (int i = 0; i < argc; i++) {
        if (!strcmp(argv[i], "--plan")) continue;
        if (!strcmp(argv[i], "--json"))
            *as_json = true;
        else if (!strncmp(argv[i], "plan.", 5) && strchr(argv[i], '='))
            ours[(*our_count)++] = argv[i];
        else
            argv[left++] = argv[i];
    }
    return left;
}

static vg_status tell(const vg_experiment *experiment, const vg_plan_options *options, bool as_json)
{
    if (!as_json) return vg_plan_run(experiment, options, stdout, NULL);
    vg_json_writer json = vg_json_writer_make(true);
    vg_json_begin_object(&json, NULL);
    vg_json_put_int(&json, "plan_version", 1);
    vg_status status = vg_plan_run(experiment, options, NULL, &json);
    if (status != VG_OK) {
        vg_json_writer_free(&json);
        return status;
    }
    vg_json_end(&json);
    return vg_json_print(&json);
}

bool vg_plan_asked(int argc, char **argv)
{
    for (int i = 0; i < argc; i++)
        if (!strcmp(argv[i], "--plan")) return true;
    return false;
}

vg_status vg_plan_command(int argc, char **argv)
{
    vg_run_arguments arguments;
    vg_experiment experiment;
    vg_plan_options options;
    bool as_json = false;
    int count = 0;
    char **ours = calloc((size_t)argc + 1, sizeof *ours);
    if (!ours) return vg_fail(VG_ERR_MEMORY, "no memory for %d words", argc);
    argc = sort_words(argc, argv, ours, &count, &as_json);
    vg_status status = vg_run_arguments_parse(argc, argv, "pretrain", &arguments);
    if (status == VG_OK && arguments.help) {
        free(ours);
        return print_help();
    }
    if (status == VG_OK) status = vg_plan_options_read((const char *const *)ours, count, &options);
    free(ours);
    VG_TRY(status);
    status = vg_experiment_load(arguments.path, arguments.overrides, arguments.override_count, &experiment);
    if (status == VG_OK) {
        status = tell(&experiment, &options, as_json);
        vg_experiment_free(&experiment);
    }
    vg_schema_free(&vg_plan_schema, &options);
    return status;
}
