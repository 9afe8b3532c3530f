/* What the commands share. A command gets the arguments after its name and returns a status; main() prints
 * the cause of an error and turns the status into the exit code. Results go to stdout, everything else to
 * stderr. */
#ifndef VAGUS_EXPERIMENTS_RUNNER_COMMANDS_COMMAND_H
#define VAGUS_EXPERIMENTS_RUNNER_COMMANDS_COMMAND_H

#include <stdbool.h>

#include "core/json.h"
#include "core/rundir.h"

typedef vg_status (*vg_command_function)(int argc, char **argv);

#define VG_COMMAND(name, usage, summary) vg_status vg_command_##name(int argc, char **argv);
#include "experiments/runner/commands/commands.def"
#undef VG_COMMAND

/* The arguments of a command that runs an experiment. */
typedef struct vg_run_arguments {
    const char *path;
    const char *const *overrides; /* borrowed from argv: "key=value" */
    int override_count;
    vg_rundir_mode mode; /* --resume, --resume auto; AUTO as well when the run's starter says that it was
                            started again after an interruption (core/group/place.h) */
    bool help;           /* --help: print usage and return VG_OK */
} vg_run_arguments;

/* ERR_CONFIG for an unknown option, a missing file name or a second one. `overrides` points into argv, which
 * is put in order for that. */
VG_NODISCARD vg_status vg_run_arguments_parse(int argc, char **argv, const char *command,
                                              vg_run_arguments *out);

/* What `--help` of such a command prints: how it is called, then every key of an experiment. */
VG_NODISCARD vg_status vg_run_help(const char *command, const char *what);

/* Prints what was written as lines of its own. The writer is done with, whatever the status. */
VG_NODISCARD vg_status vg_json_print(vg_json_writer *json);

/* 0 done, 1 the run failed, 2 usage or configuration, 75 stopped on request and resumable. */
int vg_exit_code(vg_status status);

#endif
