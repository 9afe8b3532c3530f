#include "experiments/runner/commands/command.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/group/place.h"
#include "experiments/runner/experiment.h"

int vg_exit_code(vg_status status)
{
    switch (status) {
    case VG_OK:
        return 0;
    case VG_ERR_CONFIG:
        return 2;
    case VG_ERR_PREEMPTED:
        return 75;
    default:
        return 1;
    }
}

vg_status vg_run_arguments_parse(int argc, char **argv, const char *command, vg_run_arguments *out)
{
    *out = (vg_run_arguments){0};
    int overrides = 0;
    for (int i = 0; i < argc; i++) {
        char *argument = argv[i];
        if (!strcmp(argument, "--help") || !strcmp(argument, "-h")) {
            out->help = true;
        } else if (!strcmp(argument, "--resume")) {
            bool automatic = i + 1 < argc && !strcmp(argv[i + 1], "auto");
            out->mode = automatic ? VG_RUNDIR_AUTO : VG_RUNDIR_RESUME;
            i += automatic;
        } else if (argument[0] == '-') {
            return vg_fail(VG_ERR_CONFIG, "%s: unknown option '%s'; 'vagus %s --help' lists them", command,
                           argument, command);
        } else if (out->path && strchr(argument, '=')) {
            argv[overrides++] = argument;
        } else if (!out->path && !strchr(argument, '=')) {
            out->path = argument;
        } else if (out->path) {
            return vg_fail(VG_ERR_CONFIG, "%s: '%s' is a second file and no 'key=value'; one file a run",
                           command, argument);
        } else {
            return vg_fail(VG_ERR_CONFIG, "%s: the YAML file comes first, then '%s'", command, argument);
        }
    }
    out->overrides = (const char *const *)argv;
    out->override_count = overrides;
    vg_place place;
    VG_TRY(vg_place_find(&place));
    if (place.restarts && out->mode == VG_RUNDIR_NEW) out->mode = VG_RUNDIR_AUTO;
    if (!out->path && !out->help)
        return vg_fail(VG_ERR_CONFIG, "%s: which YAML file? 'vagus %s --help' shows how it is called",
                       command, command);
    return VG_OK;
}

vg_status vg_run_help(const char *command, const char *what)
{
    char *keys;
    VG_TRY(vg_schema_help(&vg_experiment_schema, &keys));
    printf("vagus %s EXPERIMENT.yaml [key=value ...] [--resume [auto]]\n\n%s\n\n"
           "  key=value   goes over the file: optimizer.lr=1e-4 data.stores=[a.h5,b.h5]\n"
           "  --resume    goes on with the run in output_dir from its last checkpoint; --resume auto\n"
           "              begins it if there is none\n\n%s",
           command, what, keys);
    free(keys);
    return VG_OK;
}

vg_status vg_json_print(vg_json_writer *json)
{
    char *text;
    VG_TRY(vg_json_take(json, &text));
    puts(text);
    free(text);
    return VG_OK;
}
