/* vagus launch: this very program as several ranks. */
#include "experiments/runner/launch/launch.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "experiments/runner/commands/command.h"
#include "kernels/kernels.h"

enum { MOST_RANKS = 1024, MOST_NODES = 100000, MOST_RESTARTS = 1000000 };

static void print_help(void)
{
    printf(
        "vagus launch [-n N] [--nodes M --node-rank R --master HOST:PORT] [options] -- COMMAND ...\n\n"
        "Runs 'vagus COMMAND ...' as N ranks of one run on this machine. Their lines appear with [RANK] in\n"
        "front ([RANK]+ where a very long line goes on); signals are passed on to all of them. When a rank\n"
        "fails the others end too, and all start again from the last checkpoint.\n\n"
        "  -n N                 ranks on this machine (one for each GPU that is visible)\n"
        "  --nodes M            machines, on each of which the same is called with ... (1)\n"
        "  --node-rank R        ... its number, from 0, and ...\n"
        "  --master HOST:PORT   ... where all reach node 0, which listens there\n"
        "  --max-restarts K     times that failed ranks are started again (3)\n"
        "  --grace SECONDS      for the others to end by themselves after a rank's failure (30); then "
        "SIGTERM,\n"
        "                       5 s later SIGKILL\n\n"
        "A rank takes the GPU of its number on this machine and its share of the processors. VAGUS_JOB, "
        "equal\n"
        "on all machines, names the run. Exit codes: 0 all ranks are done; 75 stopped on request; 2 usage "
        "or\n"
        "configuration; 130 killed by a second Ctrl-C; 1 a rank failed and the restarts are used up.\n");
}

static vg_status read_count(const char *option, const char *text, long low, long high, int *out)
{
    char *end;
    errno = 0;
    long value = strtol(text, &end, 10);
    if (end == text || *end || errno || value < low || value > high)
        return vg_fail(VG_ERR_CONFIG, "launch: %s '%s': it takes a whole number from %ld to %ld", option,
                       text, low, high);
    *out = (int)value;
    return VG_OK;
}

static vg_status read_seconds(const char *option, const char *text, double *out)
{
    char *end;
    double value = strtod(text, &end);
    if (end == text || *end || !(value >= 0 && value <= 86400))
        return vg_fail(VG_ERR_CONFIG, "launch: %s '%s': it takes seconds from 0 to 86400", option, text);
    *out = value;
    return VG_OK;
}

/* "-n", "--nodes", ...; 0 ranks and node -1: not said. */
static vg_status read_option(const char *name, const char *value, vg_launch_options *options)
{
    if (!strcmp(name, "-n")) return read_count(name, value, 1, MOST_RANKS, &options->ranks);
    if (!strcmp(name, "--nodes")) return read_count(name, value, 1, MOST_NODES, &options->nodes);
    if (!strcmp(name, "--node-rank")) return read_count(name, value, 0, MOST_NODES - 1, &options->node);
    if (!strcmp(name, "--max-restarts"))
        return read_count(name, value, 0, MOST_RESTARTS, &options->max_restarts);
    if (!strcmp(name, "--grace")) return read_seconds(name, value, &options->grace);
    return vg_launch_master(value, options);
}

static bool is_option(const char *name)
{
    static const char *const names[] = {"-n",       "--nodes",        "--node-rank",
                                        "--master", "--max-restarts", "--grace"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strcmp(name, names[i])) return true;
    return false;
}

/* Up to the command's words, which begin at argv[*words]. */
static vg_status parse(int argc, char **argv, vg_launch_options *options, int *words, bool *help)
{
    int i = 0;
    *help = false;
    while (i < argc && argv[i][0] == '-') {
        char name[32];
        const char *word = argv[i++], *equals = strchr(word, '='), *value = NULL;
        if (!strcmp(word, "--")) break;
        if (!strcmp(word, "--help") || !strcmp(word, "-h")) {
            *help = true;
            return VG_OK;
        }
        snprintf(name, sizeof name, "%.*s", equals ? (int)(equals - word) : (int)strlen(word), word);
        if (!is_option(name))
            return vg_fail(VG_ERR_CONFIG, "launch: unknown option '%s'; 'vagus launch --help' lists them",
                           word);
        if (equals)
            value = equals + 1;
        else if (i < argc && strcmp(argv[i], "--") != 0)
            value = argv[i++];
        if (!value) return vg_fail(VG_ERR_CONFIG, "launch: %s needs a value", name);
        VG_TRY(read_option(name, value, options));
    }
    if (i == argc)
        return vg_fail(VG_ERR_CONFIG, "launch: which command? For example 'vagus launch -n 2 -- pretrain "
                                      "EXPERIMENT.yaml'");
    if (!strcmp(argv[i], "launch"))
        return vg_fail(VG_ERR_CONFIG, "launch: the command is 'launch' again, and ranks do not launch ranks");
    *words = i;
    return VG_OK;
}

static vg_status check_nodes(vg_launch_options *options)
{
    if (options->nodes > 1 && !*options->master)
        return vg_fail(VG_ERR_CONFIG, "launch: --nodes %d needs --master HOST:PORT, the same on all of them",
                       options->nodes);
    if (options->nodes > 1 && options->node < 0)
        return vg_fail(VG_ERR_CONFIG,
                       "launch: --nodes %d needs --node-rank R: which of them is this, from 0?",
                       options->nodes);
    if (options->node < 0) options->node = 0;
    if (options->node >= options->nodes)
        return vg_fail(VG_ERR_CONFIG,
                       "launch: --node-rank %d: with --nodes %d they are numbered from 0 to %d",
                       options->node, options->nodes, options->nodes - 1);
    return VG_OK;
}

typedef struct gpu_count {
    vg_status status;
    int gpus;
    char cause[512];
} gpu_count;

static void count_gpus(gpu_count *out)
{
    vg_gpu gpu;
    *out = (gpu_count){0};
    while ((out->status = vg_gpu_look(out->gpus, &gpu)) == VG_OK) out->gpus++;
    /* The number after the last is no error; one that is there and cannot be used is. */
    if (out->gpus && !*gpu.name) out->status = VG_OK;
    if (out->status != VG_OK) snprintf(out->cause, sizeof out->cause, "%s", vg_cause());
}

/* Asked in a process of its own, so that the driver's threads, memory and descriptors do not stay with a
 * launcher that lives as long as the run. */
static vg_status ask_for_gpus(int *ranks)
{
    gpu_count found = {.status = VG_ERR_DEVICE, .cause = "the search for GPUs broke off"};
    int ends[2];
    if (pipe(ends) != 0) return vg_fail(VG_ERR_IO, "launch: cannot make a pipe: %s", strerror(errno));
    const pid_t child = fork();
    if (child == 0) {
        count_gpus(&found);
        _exit(write(ends[1], &found, sizeof found) != (ssize_t)sizeof found);
    }
    close(ends[1]);
    gpu_count answer;
    if (child > 0 && read(ends[0], &answer, sizeof answer) == (ssize_t)sizeof answer) found = answer;
    if (child > 0) waitpid(child, NULL, 0);
    close(ends[0]);
    if (found.status != VG_OK)
        return vg_fail(VG_ERR_CONFIG, "launch: how many ranks? Say -n N; no GPU tells, since %s",
                       found.cause);
    *ranks = found.gpus;
    return VG_OK;
}

vg_status vg_command_launch(int argc, char **argv)
{
    vg_launch_options options = vg_launch_defaults();
    int words = 0;
    bool help, interrupted;
    options.ranks = 0;
    options.node = -1;
    VG_TRY(parse(argc, argv, &options, &words, &help));
    if (help) {
        print_help();
        return VG_OK;
    }
    VG_TRY(check_nodes(&options));
    if (!options.ranks) VG_TRY(ask_for_gpus(&options.ranks));
    char **rank_words = calloc((size_t)(argc - words) + 2, sizeof *rank_words);
    if (!rank_words) return vg_fail(VG_ERR_MEMORY, "launch: no memory for a rank's words");
    rank_words[0] = (char[]){"vagus"};
    memcpy(rank_words + 1, argv + words, (size_t)(argc - words) * sizeof *rank_words);
    options.executable =
        "/proc/self/exe"; /* the very file that runs, also when its name is another's by now */
    options.words = rank_words;
    vg_status status = vg_launch_run(&options, &interrupted);
    free(rank_words);
    if (interrupted) {
        fprintf(stderr, "vagus: %s\n", vg_cause());
        exit(130);
    }
    return status;
}
