/* Ranks that meet, speak and are lost. Every rank is a process of its own; the test stands outside, kills,
 * stops and asks each what it came to know. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/group/watch.h"
#include "core/group/wire.h"
#include "tests/support/support.h"

enum { MOST = 32 };

/* What a rank came to know, sent to the test through a pipe before it ends. */
typedef struct report {
    vg_status status;
    double when;
    char cause[1600];
} report;

struct crew {
    vg_place place; /* of rank 0; the others' differ by their rank */
    double start_timeout, timeout;
    pid_t pids[MOST];
    int pipes[MOST];
};

typedef vg_status (*task)(vg__watch *watch, int rank);

static struct crew crew_of(int size)
{
    struct crew made = {.place = {.starter = VG_STARTER_LAUNCH,
                                  .size = size,
                                  .local_size = size,
                                  .master = "127.0.0.1",
                                  .ports = 1,
                                  .job = "test"},
                        .start_timeout = 20,
                        .timeout = 20};
    made.place.listener = vg__wire_listen(0, 1, &made.place.port);
    assert_true(made.place.listener >= 0);
    for (int rank = 0; rank < MOST; rank++) made.pipes[rank] = -1;
    return made;
}

static struct crew *latest; /* whose processes are killed when a test fails */

static int descriptors(void)
{
    int count = 0;
    for (int fd = 0; fd < 256; fd++) count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

/* A rank's life: meets, does its task, parts with what came of it. */
static void live(struct crew *crew, int rank, task body, int out)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    alarm(100);
    signal(SIGPIPE, SIG_DFL);
    vg_place place = crew->place;
    place.rank = place.local_rank = rank;
    if (rank) {
        if (place.listener >= 0) close(place.listener);
        place.listener = -1;
    }
    int before = descriptors() - (place.listener >= 0);
    vg__watch *watch = NULL;
    report said = {.status = vg__watch_open(&place, crew->start_timeout, crew->timeout, 7000 + rank, &watch)};
    if (said.status == VG_OK) said.status = body(watch, rank);
    said.when = vg__wire_now();
    snprintf(said.cause, sizeof said.cause, "%s", said.status == VG_OK ? "" : vg_cause());
    vg__watch_close(watch, said.status);
    if (descriptors() != before) {
        said.status = VG_ERR_IO;
        snprintf(said.cause, sizeof said.cause, "%d descriptors are left", descriptors() - before);
    }
    if (write(out, &said, sizeof said) != sizeof said) _exit(9);
    _exit(0);
}

static void start(struct crew *crew, int rank, task body)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    fflush(NULL);
    latest = crew;
    crew->pids[rank] = fork();
    assert_true(crew->pids[rank] >= 0);
    if (!crew->pids[rank]) {
        close(ends[0]);
        live(crew, rank, body, ends[1]);
    }
    close(ends[1]);
    crew->pipes[rank] = ends[0];
}

static void start_all(struct crew *crew, task body)
{
    for (int rank = 0; rank < crew->place.size; rank++) start(crew, rank, body);
}

/* Waits for the rank's end. A killed one has the status 1, which is none. */
static report end(struct crew *crew, int rank)
{
    report said = {.status = (vg_status)1};
    if (read(crew->pipes[rank], &said, sizeof said) != sizeof said) said.status = (vg_status)1;
    waitpid(crew->pids[rank], NULL, 0);
    close(crew->pipes[rank]);
    crew->pids[rank] = 0;
    crew->pipes[rank] = -1;
    return said;
}

static void expect(struct crew *crew, int rank, vg_status status, const char *text)
{
    report said = end(crew, rank);
    if (said.status != status || !strstr(said.cause, text))
        fail_msg("rank %d: %s: %s\nexpected %s: %s", rank, vg_status_name(said.status), said.cause,
                 vg_status_name(status), text);
}

static void part(struct crew *crew)
{
    close(crew->place.listener);
}

static vg_status nothing(vg__watch *watch, int rank)
{
    (void)watch;
    (void)rank;
    return VG_OK;
}

static vg_status talk(vg__watch *watch, int rank)
{
    (void)rank;
    int64_t value = rank ? 0 : 42;
    for (int i = 0; i < 10; i++) VG_TRY(vg__watch_broadcast(watch, "value", &value, sizeof value));
    vg__block *all;
    VG_TRY(vg__watch_gather(watch, "gathered", &rank, sizeof rank, &all));
    if (all) vg__watch_free_blocks(all, 3);
    return value == 42 ? VG_OK : vg_fail(VG_ERR_DATA, "the value is %lld", (long long)value);
}

static void test_meeting(void **state)
{
    (void)state;
    struct crew crew = crew_of(3);
    start_all(&crew, talk);
    for (int rank = 0; rank < 3; rank++) expect(&crew, rank, VG_OK, "");
    part(&crew);
}

int main(void)
{
    (void)nothing;
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_meeting)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
