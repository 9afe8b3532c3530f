#include "experiments/runner/launch/crew.h"

#include <errno.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>

#include "experiments/runner/launch/signals.h"

vg_status vg__crew_make(vg__crew *crew, int count, int out, int err)
{
    *crew = (vg__crew){.count = count, .failed = -1, .term_at = INFINITY, .kill_at = INFINITY};
    crew->ranks = calloc((size_t)count, sizeof *crew->ranks);
    crew->polled = calloc(3 + 2 * (size_t)count, sizeof *crew->polled);
    crew->out = calloc(1, sizeof *crew->out);
    crew->err = calloc(1, sizeof *crew->err);
    if (!crew->ranks || !crew->polled || !crew->out || !crew->err) {
        vg__crew_free(crew);
        return vg_fail(VG_ERR_MEMORY, "launch: no memory for %d ranks", count);
    }
    crew->out->fd = out;
    crew->err->fd = err;
    vg__sinks_open(crew->out, crew->err);
    for (int i = 0; i < count; i++) {
        vg__source_open(&crew->ranks[i].out, -1, crew->out, 0, 0);
        vg__source_open(&crew->ranks[i].err, -1, crew->err, 0, 0);
    }
    return VG_OK;
}

void vg__crew_free(vg__crew *crew)
{
    free(crew->ranks);
    free(crew->polled);
    free(crew->out);
    free(crew->err);
    *crew = (vg__crew){0};
}

void vg__crew_begin(vg__crew *crew)
{
    crew->failed = -1;
    crew->preempted = crew->unsaved = crew->pressed = false;
    crew->term_at = crew->kill_at = INFINITY;
}

double vg__crew_now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

#define say(crew, ...) vg__sink_say((crew)->err, __VA_ARGS__)

int vg__crew_alive(const vg__crew *crew)
{
    int count = 0;
    for (int i = 0; i < crew->count; i++) count += crew->ranks[i].alive;
    return count;
}

void vg__crew_signal(const vg__crew *crew, int number)
{
    for (int i = 0; i < crew->count; i++) vg__rank_signal(&crew->ranks[i], number);
}

/* The connections of a killed process close before it can be waited for, so that the others may have ended,
 * with an exit code, before its own end is seen. */
static bool is_the_cause(const vg__crew *crew, const vg__rank *rank)
{
    const int first = crew->ranks[crew->failed].how;
    return WIFSIGNALED(rank->how) && !crew->passed && !crew->pressed && WIFEXITED(first) &&
           WEXITSTATUS(first) != VG__EXIT_USAGE;
}

static void note_end(vg__crew *crew, const vg__rank *rank)
{
    char how[64];
    if (WIFEXITED(rank->how) && WEXITSTATUS(rank->how) == 0) return;
    if (WIFEXITED(rank->how) && WEXITSTATUS(rank->how) == VG__EXIT_PREEMPTED) {
        crew->preempted = true;
        return;
    }
    /* A rank that dies of the very signal that was passed on had not begun to listen: nothing is lost. That
     * the others then miss it is no failure of theirs. */
    if (crew->passed && WIFSIGNALED(rank->how) && WTERMSIG(rank->how) == crew->passed && crew->failed < 0)
        crew->unsaved = true;
    else if (!crew->unsaved && !crew->interrupted && (crew->failed < 0 || is_the_cause(crew, rank)))
        crew->failed = (int)(rank - crew->ranks);
    else
        return;
    crew->term_at = fmin(crew->term_at, vg__crew_now() + crew->grace);
    if (crew->unsaved) return;
    vg__rank_describe(rank, how);
    if (vg__crew_alive(crew))
        say(crew, "rank %d (process %d) %s; %g s for the others to end by themselves", rank->number,
            (int)rank->pid, how, crew->grace);
    else
        say(crew, "rank %d (process %d) %s", rank->number, (int)rank->pid, how);
}

static void bring_out(vg__rank *rank)
{
    vg__source *const sources[] = {&rank->out, &rank->err};
    for (int k = 0; k < 2; k++) {
        vg__source_pass(sources[k]); /* makes room to read */
        vg__source_read(sources[k], !rank->alive);
        vg__source_pass(sources[k]);
    }
}

/* Of ranks that are found to have ended together, one that was killed went first: it is what the others, who
 * end with an exit code, have noticed. */
static void look_at_children(vg__crew *crew)
{
    bool ended = false;
    for (int i = 0; i < crew->count; i++) {
        vg__rank *rank = &crew->ranks[i];
        vg__rank_news news;
        while ((news = vg__rank_look(rank)) != VG__RANK_SAME) {
            rank->noted = news != VG__RANK_ENDED;
            ended = ended || !rank->noted;
            if (rank->noted)
                say(crew, "rank %d (process %d) %s", rank->number, (int)rank->pid,
                    news == VG__RANK_STOPPED ? "was stopped by a signal" : "goes on");
        }
    }
    for (int killed = 1; ended && killed >= 0; killed--)
        for (int i = 0; i < crew->count; i++) {
            vg__rank *rank = &crew->ranks[i];
            if (rank->alive || rank->noted || WIFSIGNALED(rank->how) != killed) continue;
            rank->noted = true;
            bring_out(rank); /* its last words come before ours */
            note_end(crew, rank);
        }
}

static void pass_on(vg__crew *crew, int number, const char *name)
{
    if (!crew->passed) crew->passed = number;
    if (vg__crew_alive(crew))
        say(crew, "%s, passed on to %d rank%s", name, vg__crew_alive(crew),
            vg__crew_alive(crew) == 1 ? "" : "s");
    vg__crew_signal(crew, number);
}

static void look_at_signals(vg__crew *crew)
{
    if (vg__signals_terminations()) pass_on(crew, SIGTERM, "SIGTERM");
    const int interrupts = vg__signals_interrupts();
    if (!interrupts || crew->interrupted) return;
    crew->interrupts += interrupts;
    if (crew->interrupts < 2) {
        pass_on(crew, SIGINT, "SIGINT");
        return;
    }
    crew->interrupted = true;
    if (!crew->passed) crew->passed = SIGINT;
    say(crew, "a second SIGINT: the ranks are killed");
    vg__crew_signal(crew, SIGKILL);
}

/* After a failure: who does not end by itself is made to. */
static void look_at_clock(vg__crew *crew)
{
    const double time = vg__crew_now();
    const int left = vg__crew_alive(crew);
    if (time >= crew->term_at) {
        crew->term_at = INFINITY;
        crew->kill_at = time + crew->kill_after;
        crew->pressed = true;
        if (left)
            say(crew, "%d rank%s still there after %g s: SIGTERM", left, left == 1 ? "" : "s", crew->grace);
        vg__crew_signal(crew, SIGTERM);
        vg__crew_signal(crew, SIGCONT); /* one that was stopped could not even end */
    }
    if (time >= crew->kill_at) {
        crew->kill_at = INFINITY;
        if (left) say(crew, "%d rank%s still there after SIGTERM: SIGKILL", left, left == 1 ? "" : "s");
        vg__crew_signal(crew, SIGKILL);
    }
}

/* Lines that were held back by a full sink, which has been written since, are not waited for: no descriptor
 * tells of them. Nor are they passed here, again and again, since a signal may have come. */
static void look_at_output(vg__crew *crew)
{
    bool held = false;
    for (int i = 0; i < crew->count; i++) {
        bring_out(&crew->ranks[i]);
        held = held || crew->ranks[i].out.held || crew->ranks[i].err.held;
    }
    const size_t before = crew->out->used + crew->err->used;
    vg__sink_write(crew->out);
    vg__sink_write(crew->err);
    crew->at_once = held && crew->out->used + crew->err->used < before;
}

void vg__crew_turn(vg__crew *crew, double until)
{
    nfds_t count = 0;
    const vg__sink *const sinks[] = {crew->out, crew->err};
    crew->polled[count++] = (struct pollfd){.fd = vg__signals_wake(), .events = POLLIN};
    for (int k = 0; k < 2; k++)
        crew->polled[count++] = (struct pollfd){.fd = sinks[k]->used ? sinks[k]->fd : -1, .events = POLLOUT};
    for (int i = 0; i < crew->count; i++) {
        const vg__source *const sources[] = {&crew->ranks[i].out, &crew->ranks[i].err};
        for (int k = 0; k < 2; k++)
            if (sources[k]->fd >= 0 && vg__source_has_room(sources[k]))
                crew->polled[count++] = (struct pollfd){.fd = sources[k]->fd, .events = POLLIN};
    }
    until = fmin(until, fmin(crew->term_at, crew->kill_at));
    const double wait = fmin(fmax(ceil(1000 * (until - vg__crew_now())), 0), 60000);
    poll(crew->polled, count, crew->at_once ? 0 : (int)wait);
    vg__signals_clear();
    /* Signals before children: a scheduler may have sent one and the same to everybody. Children before
     * output: what is read after a rank's end is all there is. */
    look_at_signals(crew);
    if (vg__signals_child()) look_at_children(crew);
    look_at_clock(crew);
    look_at_output(crew);
}

bool vg__crew_is_done(const vg__crew *crew)
{
    for (int i = 0; i < crew->count; i++)
        if (crew->ranks[i].alive || !vg__source_is_done(&crew->ranks[i].out) ||
            !vg__source_is_done(&crew->ranks[i].err))
            return false;
    return true;
}

void vg__crew_end(vg__crew *crew)
{
    for (int i = 0; i < crew->count; i++) {
        vg__rank_signal(&crew->ranks[i], SIGKILL);
        while (crew->ranks[i].alive) {
            struct timespec moment = {.tv_nsec = 1000000};
            if (vg__rank_look(&crew->ranks[i]) == VG__RANK_SAME) nanosleep(&moment, NULL);
        }
    }
    /* A terminal that is held, or a reader that sleeps, is waited for, but not once patience is over. */
    const double until = crew->interrupted ? vg__crew_now() + 1 : INFINITY;
    look_at_output(crew);
    while ((!vg__crew_is_done(crew) || crew->out->used || crew->err->used) && vg__crew_now() < until) {
        vg__crew_turn(crew, until);
        if (crew->interrupted && isinf(until)) break;
    }
}
