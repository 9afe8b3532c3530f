/* What the ranks of a group over tcp are told when one of them dies, stops, falls behind, fails, leaves or
 * makes other calls, and that all of it is told in time. */
#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/group/ring.h"
#include "tests/core/group_ranks.h"

enum { N = 200000 };

static const char *host(void)
{
    static char name[64];
    gethostname(name, sizeof name - 1);
    return name;
}

/* Steps (first to last) of four collectives each, until one fails: then the status. */
static vg_status train(vg_group *group, int first, int last)
{
    float *a = calloc(N, sizeof *a), *b = calloc(N, sizeof *b);
    vg_status status = VG_OK;
    for (int step = first; step <= last; step++) {
        vg_group_at(group, step);
        VG_TRY_OUT(vg_group_all_reduce(group, "gradients", a, N, VG_F32));
        VG_TRY_OUT(vg_group_all_reduce(group, "more gradients", b, N, VG_F32));
        VG_TRY_OUT(vg_group_all_reduce(group, "losses", a, 10, VG_F32));
        VG_TRY_OUT(vg_group_broadcast(group, "weights", b, N, VG_F32));
        VG_TRY_OUT(vg_group_join(group));
    }
out:
    free(a);
    free(b);
    return status;
}

/* Steps that every rank has behind it before one of them goes on to what the test is about. */
static void train_well(vg_group *group, int last)
{
    CLAIM(train(group, 1, last) == VG_OK);
    ranks_meet();
}

/* Every later call tells the same, and at once. */
static void claim_sticky(vg_group *group, vg_status status)
{
    float one = 1;
    char cause[2048];
    double sum = 1;
    snprintf(cause, sizeof cause, "%s", vg_cause());
    const double before = ranks_now();
    CLAIM_FAILS(vg_group_all_reduce(group, "more", &one, 1, VG_F32), status, cause);
    CLAIM_FAILS(vg_group_join(group), status, cause);
    CLAIM_FAILS(vg_group_synchronize(group), status, cause);
    CLAIM_FAILS(vg_group_sum(group, "more", &sum, 1), status, cause);
    CLAIM(ranks_now() - before < 1 * ranks_patience());
}

/* ---- Rank 1 dies or stops in the middle of a collective ---- */

static void interfere(int signal, int rank)
{
    if (rank != 1) return;
    const pid_t self = getpid();
    if (fork() == 0) { /* somebody else, at some moment */
        usleep(300000 + (useconds_t)(self % 7) * 20000);
        kill(self, signal);
        _exit(0);
    }
}

static void claim_lost(vg_group *group, double started, double limit, const char *word)
{
    char text[128];
    const double took = ranks_now() - started;
    snprintf(text, sizeof text, "rank 1 (%s) is %s", host(), word);
    CLAIM_FAILS(VG_ERR_PEER, VG_ERR_PEER, text);
    CLAIM(strstr(vg_cause(), "step ") && strstr(vg_cause(), "collective "));
    if (!(took < limit)) ranks_fail("told in time", __FILE__, __LINE__);
    claim_sticky(group, VG_ERR_PEER);
}

static vg_status killed(vg_group *group, const vg_place *place)
{
    const double started = ranks_now();
    interfere(SIGKILL, place->rank);
    const vg_status status = train(group, 1, 1 << 30);
    CLAIM(status == VG_ERR_PEER);
    claim_lost(group, started, 5 * ranks_patience(), "lost");
    return status;
}

static vg_status stopped(vg_group *group, const vg_place *place)
{
    const double started = ranks_now();
    interfere(SIGSTOP, place->rank);
    const vg_status status = train(group, 1, 1 << 30);
    CLAIM(status == VG_ERR_PEER);
    claim_lost(group, started, 6 * ranks_patience(), "silent");
    return status;
}

static void test_killed(void **state)
{
    (void)state;
    ranks_run(2, killed, &(ranks_options){.lost = 1});
    ranks_run(4, killed, &(ranks_options){.lost = 1});
}

static void test_stopped(void **state)
{
    (void)state;
    ranks_run(3, stopped, &(ranks_options){.lost = 1, .timeout = 2});
}

/* ---- Rank 2 lives and beats, but does not come ---- */

static vg_status behind(vg_group *group, const vg_place *place)
{
    train_well(group, 3);
    const double started = ranks_now();
    vg_group_at(group, 4);
    if (place->rank == 2) sleep((unsigned)(3 * ranks_patience()));
    char text[128];
    snprintf(text, sizeof text, "rank 2 (%s) is behind, at step 4, collective 0", host());
    const vg_status status = train(group, 4, 4);
    CLAIM_FAILS(status, VG_ERR_PEER, text);
    CLAIM(strstr(vg_cause(), "all-reduce of gradients (step 4, collective 1)") || place->rank == 2);
    CLAIM(ranks_now() - started < 6 * ranks_patience());
    return status;
}

static void test_behind(void **state)
{
    (void)state;
    ranks_run(3, behind, &(ranks_options){.timeout = ranks_patience()});
}

/* ---- Rank 1 fails for a reason of its own, or leaves ---- */

static vg_status fails_alone(vg_group *group, const vg_place *place)
{
    train_well(group, 3);
    if (place->rank == 1) return vg_fail(VG_ERR_DATA, "segment 17 of ecg.h5 is not finite");
    const double started = ranks_now();
    const vg_status status = train(group, 4, 6);
    char text[128];
    snprintf(text, sizeof text, "rank 1 (%s) failed: segment 17 of ecg.h5 is not finite", host());
    CLAIM_FAILS(status, VG_ERR_DATA, text);
    CLAIM(ranks_now() - started < 5 * ranks_patience());
    claim_sticky(group, VG_ERR_DATA);
    return status;
}

/* Its own words: the queue still holds work when it gives up. */
static vg_status fails_queued(vg_group *group, const vg_place *place)
{
    static float a[N];
    train_well(group, 1);
    if (place->rank == 1) {
        CLAIM(vg_group_all_reduce(group, "gradients", a, N, VG_F32) == VG_OK);
        return vg_fail(VG_ERR_NUMERIC, "the loss is not finite");
    }
    sleep(1);
    CLAIM_FAILS(train(group, 4, 4), VG_ERR_NUMERIC, "the loss is not finite");
    return VG_ERR_PEER;
}

static vg_status leaves(vg_group *group, const vg_place *place)
{
    train_well(group, 3);
    if (place->rank == 1) return VG_OK;
    const double started = ranks_now();
    const vg_status status = train(group, 4, 6);
    char text[128];
    snprintf(text, sizeof text, "rank 1 (%s)", host());
    CLAIM_FAILS(status, VG_ERR_PEER, text);
    CLAIM(ranks_now() - started < 10 * ranks_patience());
    return status;
}

static void test_failures(void **state)
{
    (void)state;
    ranks_run(3, fails_alone, NULL);
    ranks_run(3, fails_queued, NULL);
    ranks_run(3, leaves, NULL);
}

/* ---- Rank 1 makes other calls than the others ---- */

static vg_status kind_differs(vg_group *group, const vg_place *place)
{
    static float a[N];
    const double started = ranks_now();
    train_well(group, 2);
    CLAIM((place->rank == 1 ? vg_group_broadcast(group, "weights", a, N, VG_F32)
                            : vg_group_all_reduce(group, "gradients", a, N, VG_F32)) == VG_OK);
    const vg_status status = vg_group_join(group);
    CLAIM_FAILS(status, VG_ERR_PEER, "makes another collective: ");
    CLAIM(ranks_now() - started < 10 * ranks_patience());
    return status;
}

static vg_status count_differs(vg_group *group, const vg_place *place)
{
    static float a[N];
    const double started = ranks_now();
    CLAIM(vg_group_all_reduce(group, "gradients", a, N - (place->rank == 1), VG_F32) == VG_OK);
    const vg_status status = vg_group_join(group);
    CLAIM_FAILS(status, VG_ERR_PEER, "makes another collective: all-reduce of gradients");
    CLAIM(strstr(vg_cause(), "199999") && strstr(vg_cause(), "200000"));
    CLAIM(ranks_now() - started < 10 * ranks_patience());
    return status;
}

/* One has skipped a collective, and the next is of the same shape. */
static vg_status number_differs(vg_group *group, const vg_place *place)
{
    static float a[8];
    vg_status status = VG_OK;
    for (int i = 0; i < 3 && status == VG_OK; i++)
        if (i != 1 || place->rank != 1) status = vg_group_all_reduce(group, "sums", a, 8, VG_F32);
    if (status == VG_OK) status = vg_group_join(group);
    if (place->rank == 1 && status == VG_OK) return VG_OK; /* it was done before the others could know */
    CLAIM(status == VG_ERR_PEER);
    return status;
}

static void test_other_calls(void **state)
{
    (void)state;
    ranks_run(3, kind_differs, NULL);
    ranks_run(3, count_differs, NULL);
    ranks_run(3, number_differs, NULL);
}

/* ---- Strangers at the ring's port ---- */

static int knock(int port, const void *words, size_t count)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const int wire = socket(AF_INET, SOCK_STREAM, 0);
    CLAIM(connect(wire, (struct sockaddr *)&address, sizeof address) == 0);
    CLAIM(send(wire, words, count, MSG_NOSIGNAL) == (ssize_t)count);
    return wire;
}

/* Silent ones, ones that say something else, and ones that are gone again, before the right one. */
static vg_status strangers(vg_group *none, const vg_place *place)
{
    vg_group group = {.place = *place, .options = {.timeout = 60, .start_timeout = 60}};
    vg__ring ring;
    int port, wires[12];
    char nonsense[300], byte = 7, got = 0;
    (void)none;
    memset(nonsense, 'x', sizeof nonsense);
    CLAIM(vg__ring_listen(&ring, &port) == VG_OK);
    for (int i = 0; i < 12; i++) wires[i] = knock(port, nonsense, i % 3 == 0 ? 0 : i % 3 == 1 ? 20 : 300);
    close(wires[6]);
    close(wires[11]);
    CLAIM(vg__watch_open(&group.place, 60, 60, port, &group.watch) == VG_OK);
    CLAIM(vg__ring_open(&ring, &group) == VG_OK);
    CLAIM(vg__wire_send(ring.next, &byte, 1, ranks_now() + 60, -1) == VG__WIRE_DONE);
    CLAIM(vg__wire_receive(ring.previous, &got, 1, ranks_now() + 60, -1) == VG__WIRE_DONE);
    CLAIM(got == 7);
    for (int i = 0; i < 12; i++)
        if (i != 6 && i != 11) close(wires[i]);
    vg__ring_close(&ring);
    vg__watch_close(group.watch, VG_OK);
    return VG_OK;
}

static void test_strangers(void **state)
{
    (void)state;
    ranks_run(2, strangers, &(ranks_options){.unopened = true});
    ranks_run(3, strangers, &(ranks_options){.unopened = true});
}

/* "kill", "stop" or "absent": as one of the ranks that mpirun started (test_group_mpi.sh). mpirun's own way
 * to end the others is SIGTERM, and the group is to be faster. */
static int be_of_mpirun(const char *what)
{
    const char *rank = getenv("OMPI_COMM_WORLD_RANK");
    if (!strcmp(what, "absent")) {
        if (rank && !strcmp(rank, "1")) sleep(60);
        return ranks_be_of_mpirun("mpi", 2, killed);
    }
    signal(SIGTERM, SIG_IGN);
    return !strcmp(what, "kill") ? ranks_be_of_mpirun("mpi", 60, killed)
                                 : ranks_be_of_mpirun("mpi", 2, stopped);
}

int main(int argc, char **argv)
{
    if (argc == 2) return be_of_mpirun(argv[1]);
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_killed),      cmocka_unit_test(test_stopped),
                                       cmocka_unit_test(test_behind),      cmocka_unit_test(test_failures),
                                       cmocka_unit_test(test_other_calls), cmocka_unit_test(test_strangers)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
