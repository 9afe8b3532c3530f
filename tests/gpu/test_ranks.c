/* Collectives of kind nccl (core/group/nccl.c) on the device "cuda": a real GPU with the real library, or the
 * emulated one with a stand-in, by what this is linked with. Small integers, compared with ==; then the time
 * that sums of several sizes take.
 *     one   a communicator of this process alone
 *     two   two ranks on one GPU. NCCL refuses that unless it takes them to be on two machines, so each is
 * told a name of its own for its machine, and they speak through sockets. Nobody promises that it works:
 *           where they cannot be connected so, the test is skipped (77).
 * Exit: 0 right, 1 wrong or not in time, 77 not here. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/group/kind.h"
#include "core/group/wire.h"
#include "kernels/kernels.h"
#include "tests/cuda/group_numbers.h"
#include "tests/core/group_ranks.h"

enum { MOST_SECONDS = 50, PATIENCE = 20 };

static vg_device *device;
static vg_group *group;

/* ---- One collective after the other ---- */

static vg_status queue(vg__collective_kind kind, const char *what, void *array, int64_t count, vg_dtype type)
{
    void *stream;
    const vg__collective job = {
        .kind = kind, .what = what, .array = array, .count = count, .type = type, .step = group->step};
    VG_TRY(vg_device_side_begin(device, &stream));
    VG_TRY(group->kind->queue(group, &job, stream));
    return vg_device_side_join(device);
}

static vg_status finish(void)
{
    const double until = ranks_now() + PATIENCE;
    for (bool done = false;;) {
        VG_TRY(vg_device_finished(device, &done));
        if (done) return VG_OK;
        VG_TRY(group->kind->look(group, false));
        if (group->watch && vg__watch_broken(group->watch)) return vg__watch_fail(group->watch);
        if (ranks_now() > until) return vg_fail(VG_ERR_PEER, "no end after %d s", PATIENCE);
    }
}

/* The second time as a replayed recording, which is how a step runs. */
static void one(vg__collective_kind kind, int64_t count, vg_dtype type)
{
    const vg_place *place = &group->place;
    const size_t bytes = (size_t)count * (size_t)ranks_pieces(kind, place) * vg_dtype_size(type);
    void *array, *host = malloc(bytes);
    vg_recording *recording = NULL;
    CLAIM(host && vg_device_allocate(device, bytes, &array) == VG_OK);
    for (int again = 0; again < 2; again++) {
        ranks_fill(host, kind, type, count, place);
        CLAIM(vg_device_copy(device, array, host, bytes, VG_COPY_TO_DEVICE) == VG_OK);
        if (again) CLAIM(vg_device_record_begin(device) == VG_OK);
        CLAIM(queue(kind, "numbers", array, count, type) == VG_OK);
        if (again) {
            CLAIM(vg_device_record_end(device, &recording) == VG_OK);
            CLAIM(vg_device_replay(device, recording) == VG_OK);
        }
        CLAIM(finish() == VG_OK);
        CLAIM(vg_device_copy(device, host, array, bytes, VG_COPY_TO_HOST) == VG_OK);
        CLAIM(finish() == VG_OK && vg_device_synchronize(device) == VG_OK);
        ranks_judge(host, kind, type, count, place);
    }
    vg_recording_destroy(device, recording);
    vg_device_release(device, array, bytes);
    free(host);
}

static void all_kinds(int64_t largest)
{
    static const int64_t counts[] = {1, 2, 3, 5, 7, 31, 127, 1009, 65537, 1048573};
    static const vg_dtype types[] = {VG_F32, VG_F64, VG_I64, VG_BF16};
    int calls = 0;
    for (size_t t = 0; t < sizeof types / sizeof *types; t++)
        for (size_t i = 0; i < sizeof counts / sizeof *counts && counts[i] <= largest; i++)
            for (int kind = types[t] == VG_BF16 ? VG__ALL_GATHER : VG__ALL_REDUCE; kind <= VG__BROADCAST;
                 kind++, calls++)
                one((vg__collective_kind)kind, counts[i], types[t]);
    if (group->place.rank == 0) printf("%d collectives right, and as many replayed ones\n", calls);
}

/* Seconds of one all-reduce, of twenty in a row. */
static void speed(int64_t largest)
{
    enum { TIMES = 20 };
    for (int64_t count = 1 << 10; count <= largest; count <<= 5) {
        const size_t bytes = (size_t)count * sizeof(float);
        void *array;
        CLAIM(vg_device_allocate(device, bytes, &array) == VG_OK);
        CLAIM(vg_device_zero(device, array, bytes) == VG_OK);
        double began = 0;
        for (int i = 0; i <= TIMES; i++) {
            CLAIM(queue(VG__ALL_REDUCE, "numbers", array, count, VG_F32) == VG_OK);
            if (i == 0) {
                CLAIM(finish() == VG_OK);
                began = ranks_now();
            }
        }
        CLAIM(finish() == VG_OK);
        const double seconds = (ranks_now() - began) / TIMES;
        if (group->place.rank == 0)
            printf("all-reduce of %zu KiB by %d: %.1f us, %.3f GB/s\n", bytes >> 10, group->place.size,
                   seconds * 1e6, (double)bytes / seconds * 1e-9);
        vg_device_release(device, array, bytes);
    }
}

/* ---- The process, or the two ---- */

static int not_here(const char *what)
{
    printf("skipped: %s: %s\n", what, vg_cause());
    fflush(stdout);
    return 77;
}

static int run(const vg_place *place)
{
    vg_group alone = {.place = *place, .kind = &vg__kind_nccl};
    char text[600];
#ifdef VAGUS_CUDA_EMULATED
    const int64_t largest = 1009;
#else
    const int64_t largest = place->size == 1 ? 1 << 25 : 1 << 20;
#endif
    if (vg_device_open("cuda:0", &device) != VG_OK) return not_here("no GPU");
    if (vg__kind_nccl.find(text, sizeof text) != VG_OK) return not_here("no NCCL");
    const vg_group_options options = {
        .transport = "nccl", .device = device, .timeout = PATIENCE, .start_timeout = PATIENCE};
    if (place->size == 1) {
        alone.options = options;
        group = &alone;
        CLAIM(vg__kind_nccl.open(group) == VG_OK);
    } else if (vg_group_open(place, &options, &group) != VG_OK)
        return not_here("two ranks on one GPU");
    if (place->rank == 0) printf("NCCL %s\n", text);
    all_kinds(place->size == 1 ? largest : largest < 65537 ? largest : 65537);
    speed(largest);
    if (place->size == 1) {
        group->good = true;
        vg__kind_nccl.close(group);
        CLAIM(!group->carrier);
    } else
        vg_group_close(group, VG_OK);
    vg_device_destroy(device);
    return 0;
}

static void pretend_another_machine(int rank)
{
    char name[32];
    snprintf(name, sizeof name, "machine-%d", rank);
    setenv("NCCL_HOSTID", name, 1);
    setenv("NCCL_SOCKET_IFNAME", "lo", 1);
    setenv("NCCL_IB_DISABLE", "1", 1);
    setenv("NCCL_MNNVL_ENABLE", "0", 1);
    setenv("NCCL_MAX_CTAS", "1", 1);
}

/* The worse of how the two ended; a rank that has not ended in time is killed. */
static int both(vg_place place)
{
    pid_t children[2];
    int worst = 0, skipped = 0, running = 2;
    int listener = vg__wire_listen(0, 1, &place.port);
    if (listener < 0) return 1;
    fflush(NULL);
    for (int rank = 0; rank < 2; rank++) {
        children[rank] = fork();
        if (children[rank] == 0) {
            alarm(MOST_SECONDS + 5); /* whatever becomes of the parent */
            place.rank = place.local_rank = rank;
            place.listener = rank == 0 ? listener : -1;
            pretend_another_machine(rank);
            exit(run(&place));
        }
    }
    vg__wire_close(&listener);
    const double until = ranks_now() + MOST_SECONDS;
    while (running) {
        for (int rank = 0; rank < 2; rank++) {
            int how;
            if (children[rank] <= 0 || waitpid(children[rank], &how, WNOHANG) != children[rank]) continue;
            children[rank] = 0;
            running--;
            if (WIFEXITED(how) && WEXITSTATUS(how) == 77)
                skipped = 77;
            else if (!WIFEXITED(how) || WEXITSTATUS(how) != 0)
                worst = 1;
        }
        if (running && ranks_now() > until) {
            printf("ERROR: %d of 2 ranks had no end after %d s\n", running, MOST_SECONDS);
            for (int rank = 0; rank < 2; rank++)
                if (children[rank] > 0) kill(children[rank], SIGKILL);
            worst = 1;
        }
        nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
    }
    return worst ? worst : skipped;
}

int main(int argc, char **argv)
{
    vg_place place = {.starter = VG_STARTER_LAUNCH, .ports = 1, .listener = -1};
    snprintf(place.master, sizeof place.master, "127.0.0.1");
    snprintf(place.job, sizeof place.job, "test-%ld", (long)getpid());
    place.size = place.local_size = argc == 2 && !strcmp(argv[1], "two") ? 2 : 1;
    if (argc != 2 || (place.size == 1 && strcmp(argv[1], "one") != 0)) {
        fprintf(stderr, "%s one|two\n", argv[0]);
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    return place.size == 1 ? run(&place) : both(place);
}
