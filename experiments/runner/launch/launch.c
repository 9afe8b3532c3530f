#include "experiments/runner/launch/launch.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "experiments/runner/launch/crew.h"
#include "experiments/runner/launch/meeting.h"
#include "experiments/runner/launch/signals.h"

enum { LONGEST_PAUSE = 30 };

typedef struct launch {
    const vg_launch_options *options;
    vg__meeting meeting;
    vg__environment *environment;
    vg__crew crew;
    int null, width;
} launch;

vg_launch_options vg_launch_defaults(void)
{
    return (vg_launch_options){.ranks = 1,
                               .nodes = 1,
                               .max_restarts = 3,
                               .grace = 30,
                               .kill_after = 5,
                               .pause = 1,
                               .out = STDOUT_FILENO,
                               .err = STDERR_FILENO};
}

#define say(l, ...) vg__sink_say((l)->crew.err, __VA_ARGS__)

static void say_started(launch *l, int restart)
{
    char host[64] = "this machine", pids[256] = "", which[64];
    const vg_launch_options *o = l->options;
    const int first = o->node * o->ranks, last = first + o->ranks - 1;
    size_t used = 0;
    if (gethostname(host, sizeof host - 1) != 0) snprintf(host, sizeof host, "this machine");
    for (int i = 0; i < o->ranks && used < sizeof pids - 16; i++)
        used += (size_t)snprintf(pids + used, sizeof pids - used, " %d", (int)l->crew.ranks[i].pid);
    if (first == last)
        snprintf(which, sizeof which, "rank %d", first);
    else
        snprintf(which, sizeof which, "ranks %d to %d", first, last);
    say(l, "%s of %d on %s%s, meeting at %s:%d (process%s%s%s)", which, o->nodes * o->ranks, host,
        restart ? " again" : "", l->meeting.master, l->meeting.port, o->ranks == 1 ? "" : "es", pids,
        used >= sizeof pids - 16 ? " ..." : "");
}

static vg_status start_all(launch *l, int restart)
{
    const vg_launch_options *o = l->options;
    vg__crew_begin(&l->crew);
    for (int i = 0; i < o->ranks; i++) {
        const vg__rank_start start = {.executable = o->executable,
                                      .words = o->words,
                                      .environment =
                                          vg__environment_fill(l->environment, o, &l->meeting, i, restart),
                                      .null = l->null,
                                      .listener = i == 0 ? l->meeting.listener : -1};
        l->crew.ranks[i].number = o->node * o->ranks + i;
        VG_TRY(vg__rank_start_process(&l->crew.ranks[i], &start, l->width));
    }
    say_started(l, restart);
    return VG_OK;
}

/* Configuration is wrong again, and a program that cannot be started is still not there. */
static bool may_be_mended(const launch *l)
{
    const int how = l->crew.ranks[l->crew.failed].how;
    return WIFSIGNALED(how) ||
           (WEXITSTATUS(how) != VG__EXIT_USAGE && WEXITSTATUS(how) != 126 && WEXITSTATUS(how) != 127);
}

/* False when a signal came in between. */
static bool pause_before(launch *l, int restart)
{
    const vg_launch_options *o = l->options;
    const double pause = fmin(ldexp(o->pause, restart - 1), LONGEST_PAUSE), until = vg__crew_now() + pause;
    say(l, "restart %d of %d in %g s", restart, o->max_restarts, pause);
    while (!l->crew.passed && vg__crew_now() < until) vg__crew_turn(&l->crew, until);
    return !l->crew.passed;
}

static vg_status judge(const launch *l, int restart)
{
    const vg_launch_options *o = l->options;
    char how[64], tries[64] = "";
    if (l->crew.failed < 0 && !l->crew.interrupted) {
        if (!l->crew.preempted && !l->crew.unsaved) return VG_OK;
        return vg_fail(VG_ERR_PREEMPTED, "launch: the ranks ended on request%s",
                       l->crew.unsaved ? ", some before they could save"
                                       : "; the same command with --resume goes on");
    }
    if (l->crew.interrupted) return vg_fail(VG_ERR_PEER, "launch: the ranks were killed on request");
    const vg__rank *rank = &l->crew.ranks[l->crew.failed];
    vg__rank_describe(rank, how);
    if (restart && restart == o->max_restarts)
        snprintf(tries, sizeof tries, "; the restarts are used up (%d)", restart);
    return vg_fail(WIFEXITED(rank->how) && WEXITSTATUS(rank->how) == VG__EXIT_USAGE ? VG_ERR_CONFIG
                                                                                    : VG_ERR_PEER,
                   "launch: rank %d %s first%s", rank->number, how, tries);
}

static vg_status run(launch *l)
{
    for (int restart = 0;; restart++) {
        VG_TRY(start_all(l, restart));
        while (vg__crew_alive(&l->crew) || (!vg__crew_is_done(&l->crew) && !l->crew.interrupted))
            vg__crew_turn(&l->crew, INFINITY);
        if (l->crew.failed < 0 || l->crew.passed || restart == l->options->max_restarts || !may_be_mended(l))
            return judge(l, restart);
        if (!pause_before(l, restart + 1))
            return vg_fail(
                VG_ERR_PREEMPTED,
                "launch: a signal came before the restart; the same command with --resume goes on");
    }
}

static vg_status prepare(launch *l)
{
    const vg_launch_options *o = l->options;
    if (getenv("VAGUS_LAUNCH"))
        return vg_fail(VG_ERR_CONFIG, "launch: this process is a rank of another 'vagus launch' "
                                      "(VAGUS_LAUNCH is set), and ranks do not launch ranks");
    /* A descriptor below 3 must not be one of the launcher's own, which a rank's stdin, stdout or stderr
     * would be put in the place of. */
    do {
        l->null = open("/dev/null", O_RDWR | O_CLOEXEC);
    } while (l->null >= 0 && l->null <= STDERR_FILENO);
    if (l->null < 0) return vg_fail(VG_ERR_IO, "launch: cannot open /dev/null: %s", strerror(errno));
    VG_TRY(vg__environment_create(&l->environment));
    VG_TRY(vg__crew_make(&l->crew, o->ranks, o->out, o->err));
    l->crew.grace = o->grace;
    l->crew.kill_after = o->kill_after;
    for (int most = o->nodes * o->ranks - 1; most; most /= 10) l->width++;
    return vg__meeting_open(o, &l->meeting);
}

vg_status vg_launch_run(const vg_launch_options *options, bool *interrupted)
{
    launch l = {.options = options, .meeting.listener = -1, .null = -1};
    *interrupted = false;
    vg_status status = prepare(&l);
    if (status == VG_OK) status = vg__signals_take();
    if (status == VG_OK) {
        status = run(&l);
        vg__crew_end(&l.crew);
        vg__signals_give_back();
        if (status == VG_OK && (l.crew.out->error || l.crew.err->error))
            status =
                vg_fail(VG_ERR_IO, "launch: all ranks are done, but their output could not be written: %s",
                        strerror(l.crew.out->error ? l.crew.out->error : l.crew.err->error));
    }
    *interrupted = l.crew.interrupted;
    vg__meeting_close(&l.meeting);
    vg__environment_destroy(l.environment);
    vg__crew_free(&l.crew);
    if (l.null > STDERR_FILENO) close(l.null);
    return status;
}
