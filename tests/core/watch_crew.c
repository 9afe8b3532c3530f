#include "tests/core/watch_crew.h"
#include "core/signals.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { LIMIT_SECONDS = 300 }; /* of a rank that nothing else ends; a sanitizer's included */

/* One line of what a rank tells the test: first that it has met the others, then how it ended. */
static bool read_report(int pipe, crew_report *out)
{
    char *to = (char *)out;
    for (size_t got = 0; got < sizeof *out;) {
        ssize_t more = read(pipe, to + got, sizeof *out - got);
        if (more < 0 && errno == EINTR) continue;
        if (more <= 0) return false;
        got += (size_t)more;
    }
    return true;
}

static void write_report(int pipe, const crew_report *report)
{
    if (write(pipe, report, sizeof *report) != sizeof *report) _exit(9);
}

static int descriptors(void)
{
    int count = 0;
    for (int i = 0; i < 1024; i++) count += fcntl(i, F_GETFD) >= 0;
    return count;
}

void crew_make(struct crew *crew, int size)
{
    *crew = (struct crew){.place = {.starter = VG_STARTER_LAUNCH,
                                    .size = size,
                                    .local_size = size,
                                    .master = "127.0.0.1",
                                    .ports = 1,
                                    .job = "test"},
                          .start_timeout = 20,
                          .timeout = 20};
    crew->place.listener = vg__wire_listen(0, 1, &crew->place.port);
    assert_true(crew->place.listener >= 0);
    for (int slot = 0; slot < CREW_MOST; slot++) crew->pipes[slot] = -1;
}

void crew_close(struct crew *crew)
{
    for (int slot = 0; slot < CREW_MOST; slot++)
        if (crew->pids[slot]) {
            kill(crew->pids[slot], SIGKILL);
            crew_end(crew, slot);
        }
    if (crew->place.listener >= 0) close(crew->place.listener);
    crew->place.listener = -1;
}

static int threads(void)
{
    char line[128];
    int count = 0;
    FILE *file = fopen("/proc/self/status", "r");
    while (file && fgets(line, sizeof line, file))
        if (!strncmp(line, "Threads:", 8)) count = atoi(line + 8);
    if (file) fclose(file);
    return count;
}

/* A rank leaves neither a descriptor nor a thread behind. Sanitizers have threads of their own, and one that
 * was joined may be seen for a moment. */
typedef struct left_over {
    int descriptors, threads;
} left_over;

static void *nothing(void *argument)
{
    return argument;
}

static left_over count_before(const vg_place *place)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, nothing, NULL)) _exit(9); /* with the first one come a sanitizer's */
    pthread_join(thread, NULL);
    nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    return (left_over){descriptors() - (place->listener >= 0), threads()};
}

static void check_left_over(crew_report *said, left_over before)
{
    int left = descriptors() - before.descriptors, more = 0;
    for (int i = 0; i < 1000 && (more = threads() - before.threads) > 0; i++)
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    if (left == 0 && more <= 0) return;
    said->status = VG_ERR_IO;
    snprintf(said->cause, sizeof said->cause, "%d descriptors and %d threads are left", left, more);
}

static void live(struct crew *crew, const vg_place *place, crew_task task, int pipe)
{
    left_over before = count_before(place);
    vg__watch *watch = NULL;
    crew_report said = {
        .status = vg__watch_open(place, crew->start_timeout, crew->timeout, 7000 + place->rank, &watch)};
    said.when = vg__wire_now();
    if (said.status == VG_OK) {
        write_report(pipe, &said);
        said.status = task(watch, place->rank);
        said.when = vg__wire_now();
    }
    snprintf(said.cause, sizeof said.cause, "%s", said.status == VG_OK ? "" : vg_cause());
    vg__watch_close(watch, said.status);
    check_left_over(&said, before);
    write_report(pipe, &said);
}

/* In the child: only what is its own stays open. Returns in the child with true. */
static bool start(struct crew *crew, int slot, int *pipe_out)
{
    int ends[2];
    pid_t parent = getpid();
    assert_int_equal(pipe(ends), 0);
    fflush(NULL);
    crew->pids[slot] = fork();
    assert_true(crew->pids[slot] >= 0);
    if (!crew->pids[slot]) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent) _exit(9);
        alarm(LIMIT_SECONDS);
        signal(SIGPIPE, SIG_DFL);
        if (vg_signals_install() != VG_OK) _exit(9);
        close(ends[0]);
        for (int i = 0; i < CREW_MOST; i++)
            if (crew->pipes[i] >= 0) close(crew->pipes[i]);
        *pipe_out = ends[1];
        return true;
    }
    close(ends[1]);
    crew->pipes[slot] = ends[0];
    return false;
}

void crew_start_as(struct crew *crew, int slot, const vg_place *place, crew_task task)
{
    int pipe;
    if (!start(crew, slot, &pipe)) return;
    if (crew->place.listener >= 0 && crew->place.listener != place->listener) close(crew->place.listener);
    live(crew, place, task, pipe);
    _exit(0);
}

void crew_start_other(struct crew *crew, int slot, vg_status (*body)(struct crew *crew))
{
    int pipe;
    if (!start(crew, slot, &pipe)) return;
    if (crew->place.listener >= 0) close(crew->place.listener);
    crew_report said = {.status = body(crew), .when = vg__wire_now()};
    snprintf(said.cause, sizeof said.cause, "%s", said.status == VG_OK ? "" : vg_cause());
    write_report(pipe, &said);
    _exit(0);
}

void crew_start(struct crew *crew, int rank, crew_task task)
{
    vg_place place = crew->place;
    place.rank = place.local_rank = rank;
    if (rank) place.listener = -1;
    crew_start_as(crew, rank, &place, task);
}

void crew_start_all(struct crew *crew, crew_task task)
{
    for (int rank = 0; rank < crew->place.size; rank++) crew_start(crew, rank, task);
}

void crew_wait_met(struct crew *crew, int slot)
{
    crew_report said;
    if (!read_report(crew->pipes[slot], &said) || said.status != VG_OK)
        fail_msg("slot %d has not met the others", slot);
}

crew_report crew_end(struct crew *crew, int slot)
{
    crew_report said = {.status = (vg_status)1}, next;
    while (read_report(crew->pipes[slot], &next)) said = next;
    int how = 0;
    waitpid(crew->pids[slot], &how, 0);
    if (how) said.status = (vg_status)1; /* not by its own end: a sanitizer's finding, for one */
    close(crew->pipes[slot]);
    crew->pids[slot] = 0;
    crew->pipes[slot] = -1;
    return said;
}

double crew_expect(struct crew *crew, int slot, vg_status status, const char *text)
{
    crew_report said = crew_end(crew, slot);
    if (said.status != status || !strstr(said.cause, text)) {
        crew_close(crew);
        fail_msg("slot %d: %s: %s\nexpected %s: %s", slot,
                 said.status == 1 ? "killed" : vg_status_name(said.status), said.cause,
                 vg_status_name(status), text);
    }
    return said.when;
}

void crew_expect_all(struct crew *crew, vg_status status, const char *text)
{
    for (int rank = 0; rank < crew->place.size; rank++) crew_expect(crew, rank, status, text);
}
