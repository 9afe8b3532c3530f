/* vagus: the program. It only finds the command; each has a file of its own. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "experiments/runner/commands/command.h"

#ifndef VAGUS_VERSION
#error "the build passes VAGUS_VERSION"
#endif

static const struct {
    const char *name, *usage, *summary;
    vg_command_function run;
} commands[] = {
#define VG_COMMAND(name, usage, summary) {#name, usage, summary, vg_command_##name},
#include "experiments/runner/commands/commands.def"
#undef VG_COMMAND
};
enum { COMMANDS = sizeof commands / sizeof *commands };

static void print_usage(FILE *out)
{
    fprintf(out,
            "vagus %s: pre-train a transformer on ECG, fine-tune it, and know what the result is worth\n\n",
            VAGUS_VERSION);
    for (int i = 0; i < COMMANDS; i++)
        fprintf(out, "  vagus %-44s %s\n", commands[i].usage, commands[i].summary);
    fprintf(out,
            "\n'vagus COMMAND --help' tells more. Exit codes: 0 done, 1 the run failed, 2 usage or "
            "configuration,\n"
            "75 stopped on request (go on with --resume). VAGUS_LOG=debug shows where an error arose.\n");
}

int main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "";
    if (!strcmp(name, "--version")) {
        printf("vagus %s\n", VAGUS_VERSION);
        return 0;
    }
    if (!strcmp(name, "help") || !strcmp(name, "--help") || !strcmp(name, "-h")) {
        print_usage(stdout);
        return 0;
    }
    const char *level = getenv("VAGUS_LOG");
    bool debug = level && !strcmp(level, "debug");
    if (debug) vg_log_set_level(VG_LOG_DEBUG);

    for (int i = 0; i < COMMANDS; i++) {
        if (strcmp(name, commands[i].name)) continue;
        vg_status status = commands[i].run(argc - 2, argv + 2);
        if (fflush(stdout) && status == VG_OK)
            status = vg_fail(VG_ERR_IO, "standard output could not be written");
        if (status == VG_ERR_PREEMPTED)
            fprintf(stderr, "vagus: stopped: %s\n", vg_cause());
        else if (status != VG_OK)
            fprintf(stderr, "vagus: error: %s\n", vg_cause());
        if (status != VG_OK && debug)
            fprintf(stderr, "vagus: %s at %s\n", vg_status_name(status), vg_cause_where());
        return vg_exit_code(status);
    }
    if (*name) fprintf(stderr, "vagus: there is no command '%s'\n\n", name);
    print_usage(stderr);
    return 2;
}
