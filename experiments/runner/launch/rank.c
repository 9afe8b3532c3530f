#define _GNU_SOURCE /* pipe2, sigabbrev_np */
#include "experiments/runner/launch/rank.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "experiments/runner/launch/signals.h"

/* In the child, between fork() and exec(): nothing here may allocate or take a lock. */
static void become(const vg__rank_start *start, int out, int err, pid_t launcher, const sigset_t *mask)
{
    /* The launcher may have ended before the kernel was told to watch it; then there is another parent. */
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != launcher) _exit(1);
    setpgid(0, 0);
    vg__signals_give_back();
    if (dup2(start->null, 0) < 0 || dup2(out, 1) < 0 || dup2(err, 2) < 0) _exit(1);
    if (start->listener >= 0) fcntl(start->listener, F_SETFD, 0);
    sigprocmask(SIG_SETMASK, mask, NULL);
    execve(start->executable, start->words, start->environment);
    const char *why = strerrordesc_np(errno);
    const char *const texts[] = {"vagus: error: cannot start ", start->executable, ": ", why ? why : "",
                                 "\n"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (write(2, texts[i], strlen(texts[i])) < 0) break;
    _exit(127);
}

static void close_both(int ends[2])
{
    for (int i = 0; i < 2; i++)
        if (ends[i] >= 0) close(ends[i]);
}

vg_status vg__rank_start_process(vg__rank *rank, const vg__rank_start *start, int width)
{
    int out[2] = {-1, -1}, err[2] = {-1, -1};
    sigset_t all, mask;
    if (pipe2(out, O_CLOEXEC) != 0 || pipe2(err, O_CLOEXEC) != 0 || fcntl(out[0], F_SETFL, O_NONBLOCK) != 0 ||
        fcntl(err[0], F_SETFL, O_NONBLOCK) != 0) {
        vg_status status =
            vg_fail(VG_ERR_IO, "launch: no pipe for rank %d: %s", rank->number, strerror(errno));
        close_both(out);
        close_both(err);
        return status;
    }
    /* A signal that comes before exec() waits for the rank itself, instead of being lost in the launcher's
     * handler, of which the child has a copy. */
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &mask);
    const pid_t launcher = getpid(), pid = fork();
    if (pid == 0) become(start, out[1], err[1], launcher, &mask);
    int error = errno;
    sigprocmask(SIG_SETMASK, &mask, NULL);
    if (pid < 0) {
        close_both(out);
        close_both(err);
        return vg_fail(VG_ERR_IO, "launch: cannot start rank %d: %s", rank->number, strerror(error));
    }
    setpgid(pid, pid); /* whoever comes first, it or its parent: a signal to the group finds one */
    close(out[1]);
    close(err[1]);
    vg__source_open(&rank->out, out[0], rank->out.sink, rank->number, width);
    vg__source_open(&rank->err, err[0], rank->err.sink, rank->number, width);
    rank->pid = pid;
    rank->alive = true;
    rank->noted = false;
    rank->how = 0;
    return VG_OK;
}

void vg__rank_signal(const vg__rank *rank, int number)
{
    if (rank->alive) kill(-rank->pid, number);
}

vg__rank_news vg__rank_look(vg__rank *rank)
{
    siginfo_t news = {0};
    if (!rank->alive) return VG__RANK_SAME;
    if (waitid(P_PID, (id_t)rank->pid, &news, WEXITED | WNOHANG | WNOWAIT) == 0 && news.si_pid == rank->pid) {
        kill(-rank->pid, SIGKILL); /* what it has left behind, while nobody else can have its number */
        if (waitpid(rank->pid, &rank->how, 0) != rank->pid) rank->how = 1 << 8;
        rank->alive = false;
        return VG__RANK_ENDED;
    }
    news.si_pid = 0;
    if (waitid(P_PID, (id_t)rank->pid, &news, WSTOPPED | WCONTINUED | WNOHANG) != 0 ||
        news.si_pid != rank->pid)
        return VG__RANK_SAME;
    return news.si_code == CLD_STOPPED ? VG__RANK_STOPPED : VG__RANK_GOES_ON;
}

void vg__rank_describe(const vg__rank *rank, char out[64])
{
    if (!WIFSIGNALED(rank->how)) {
        snprintf(out, 64, "ended with exit code %d", WEXITSTATUS(rank->how));
        return;
    }
    const int number = WTERMSIG(rank->how);
    const char *name = sigabbrev_np(number);
    if (name)
        snprintf(out, 64, "was ended by SIG%s", name);
    else
        snprintf(out, 64, "was ended by signal %d", number);
}
