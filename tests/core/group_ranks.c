#include "tests/core/group_ranks.h"

#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/group/wire.h"

enum { MOST = 16 };

static pid_t children[MOST];
static int child_count;
static atomic_int *board; /* calls of ranks_meet() by all `board_size` ranks, in memory that they share */
static int board_size, board_calls; /* of them by this rank */

void ranks_fail(const char *claim, const char *file, int line)
{
    fprintf(stderr, "%s:%d: rank %s: %s does not hold; latest cause: %s\n", file, line,
            getenv("TEST_RANK") ? getenv("TEST_RANK") : "?", claim, vg_cause());
    fflush(NULL);
    _exit(1);
}

void ranks_claim_fails(vg_status got, vg_status wanted, const char *text, const char *file, int line)
{
    char claim[512];
    if (got == wanted && strstr(vg_cause(), text)) return;
    snprintf(claim, sizeof claim, "got %s, wanted %s with '%s'", vg_status_name(got), vg_status_name(wanted),
             text);
    ranks_fail(claim, file, line);
}

double ranks_now(void)
{
    return vg__wire_now();
}

double ranks_patience(void)
{
    const char *sanitized = getenv("VAGUS_SANITIZED");
    return sanitized && *sanitized ? 10 : 1;
}

/* A board for `size` ranks, which this process shares with those it forks or with whoever has the file. */
static void make_board(int size, const char *file)
{
    int descriptor = -1;
    if (file) CLAIM((descriptor = open(file, O_RDWR)) >= 0);
    if (board) munmap(board, sizeof *board);
    board = mmap(NULL, sizeof *board, PROT_READ | PROT_WRITE, MAP_SHARED | (file ? 0 : MAP_ANONYMOUS),
                 descriptor, 0);
    CLAIM(board != MAP_FAILED);
    if (file) close(descriptor);
    board_size = size;
    board_calls = 0;
}

void ranks_meet(void)
{
    if (!board) return; /* alone */
    atomic_fetch_add(board, 1);
    board_calls++;
    while (atomic_load(board) < board_calls * board_size)
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

/* Whatever happens to the test, no process stays. */
static void kill_all(void)
{
    for (int i = 0; i < child_count; i++)
        if (children[i] > 0) {
            kill(children[i], SIGKILL);
            waitpid(children[i], NULL, 0);
        }
    child_count = 0;
}

static void be_a_rank(vg_place *place, ranks_body body, const ranks_options *options)
{
    char number[16];
    snprintf(number, sizeof number, "%d", place->rank);
    setenv("TEST_RANK", number, 1);
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* should the test itself be killed */
    child_count = 0;
    vg_group *group = NULL;
    const vg_group_options wanted = {.transport = "tcp",
                                     .timeout = options->timeout ? options->timeout : 60,
                                     .start_timeout = options->start_timeout ? options->start_timeout : 60};
    if (!options->unopened) CLAIM(vg_group_open(place, &wanted, &group) == VG_OK);
    const vg_status status = body(group, place);
    vg_group_close(group, status);
    exit(0); /* not _exit(): leaks are looked for here too */
}

int ranks_be_of_mpirun(const char *transport, double timeout, ranks_body body)
{
    vg_place place;
    vg_group *group;
    const char *wish = getenv("TEST_TRANSPORT");
    char number[16];
    CLAIM(vg_place_find(&place) == VG_OK);
    snprintf(number, sizeof number, "%d", place.rank);
    setenv("TEST_RANK", number, 1);
    if (getenv("TEST_BOARD")) make_board(place.size, getenv("TEST_BOARD"));
    const vg_group_options options = {
        .transport = wish ? wish : "auto", .timeout = timeout, .start_timeout = timeout};
    if (vg_group_open(&place, &options, &group) != VG_OK) {
        fprintf(stderr, "rank %d: %s\n", place.rank, vg_cause());
        return 1;
    }
    CLAIM(!strcmp(vg_group_transport(group), transport));
    const vg_status status = body(group, &place);
    vg_group_close(group, status);
    printf("rank %d of %d over %s: %s\n", place.rank, place.size, transport, vg_status_name(status));
    return status == VG_OK ? 0 : 1;
}

void ranks_run(int size, ranks_body body, const ranks_options *options)
{
    static const ranks_options none = {0};
    static bool registered;
    if (!registered) atexit(kill_all);
    registered = true;
    if (!options) options = &none;
    assert_true(size <= MOST);
    make_board(size, NULL);
    vg_place place = {
        .starter = VG_STARTER_LAUNCH, .size = size, .local_size = size, .ports = 1, .listener = -1};
    snprintf(place.master, sizeof place.master, "127.0.0.1");
    snprintf(place.job, sizeof place.job, "test-%ld", (long)getpid());
    int listener = vg__wire_listen(0, 1, &place.port);
    assert_true(listener >= 0);
    fflush(NULL);
    for (int rank = 0; rank < size; rank++) {
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            place.rank = place.local_rank = rank;
            if (rank == 0)
                place.listener = listener;
            else
                vg__wire_close(&listener);
            be_a_rank(&place, body, options);
        }
        children[rank] = child;
        child_count = rank + 1;
    }
    vg__wire_close(&listener);

    const double until = ranks_now() + 60 * ranks_patience();
    int waiting = size - (options->lost > 0), wrong = -1;
    while (waiting && wrong < 0 && ranks_now() < until) {
        for (int rank = 0; rank < size; rank++) {
            int how;
            if (children[rank] <= 0 || waitpid(children[rank], &how, WNOHANG) != children[rank]) continue;
            children[rank] = 0;
            if (options->lost > 0 && rank == options->lost) continue;
            waiting--;
            if (!WIFEXITED(how) || WEXITSTATUS(how) != 0) wrong = rank;
        }
        nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
    }
    if (wrong >= 0)
        nanosleep(&(struct timespec){.tv_nsec = 200000000}, NULL); /* others may have more to say */
    kill_all();
    if (wrong >= 0) fail_msg("rank %d of %d failed", wrong, size);
    if (waiting) fail_msg("%d of %d ranks did not come to an end", waiting, size);
}
