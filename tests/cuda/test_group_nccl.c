/* Groups of kind nccl (core/group/nccl.c) between processes, each with an emulated GPU, over a stand-in of
 * NCCL: sums compared with ==, in many orders of the streams, queued and recorded; and every way in which it
 * can fail, with its sentence, in time. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/group/kind.h"
#include "core/library.h"
#include "kernels/kernels.h"
#include "tests/cuda/group_numbers.h"
#include "tests/core/group_ranks.h"
#include "tests/cuda/machine.h"
#include "tests/cuda/stand_in_nccl.h"

static const ranks_options unopened = {.unopened = true};

/* Of this process, a rank. */
static vg_device *device;
static vg_group *group;
static const vg_place *here;
static uint64_t order;

static vg_status open_with(const vg_place *place, int number, double timeout)
{
    char name[16];
    here = place;
    order = support_seed() * 16 + (uint64_t)place->rank;
    emulated_machine_settings()->gpus = 8;
    emulated_set_order(order);
    snprintf(name, sizeof name, "cuda:%d", number);
    CLAIM(vg_device_open(name, &device) == VG_OK);
    const vg_group_options options = {.transport = "auto",
                                      .device = device,
                                      .timeout = timeout * ranks_patience(),
                                      .start_timeout = timeout * ranks_patience()};
    return vg_group_open(place, &options, &group);
}

static void open_all(const vg_place *place, double timeout)
{
    stand_in_nccl_install();
    CLAIM(open_with(place, place->local_rank, timeout) == VG_OK);
    CLAIM(!strcmp(vg_group_transport(group), "nccl"));
}

/* `good`: nothing has failed, so that the communicator was destroyed and not aborted. */
static vg_status close_all(vg_status status, bool good)
{
    vg_group_close(group, status);
    vg_device_destroy(device);
    const emulated_held held = emulated_machine_held();
    CLAIM(!held.device && !held.pinned && !held.streams && !held.events);
    CLAIM(stand_in_nccl_state.held == 0);
    CLAIM(stand_in_nccl_state.destroyed == good && stand_in_nccl_state.aborted == !good);
    CLAIM(!good || !stand_in_nccl_state.first_refusal);
    return status;
}

/* ---- Sums ---- */

static vg_status collect(vg__collective_kind kind, void *array, int64_t count, vg_dtype type)
{
    switch (kind) {
    case VG__ALL_REDUCE:
        return vg_group_all_reduce(group, "numbers", array, count, type);
    case VG__REDUCE_SCATTER:
        return vg_group_reduce_scatter(group, "numbers", array, count, type);
    case VG__ALL_GATHER:
        return vg_group_all_gather(group, "numbers", array, count, type);
    case VG__BROADCAST:
        return vg_group_broadcast(group, "numbers", array, count, type);
    }
    return VG_ERR_UNSUPPORTED;
}

/* The upload before and the download after it are the device's first order. */
static void one(vg__collective_kind kind, int64_t count, vg_dtype type)
{
    const size_t bytes = (size_t)count * (size_t)ranks_pieces(kind, here) * vg_dtype_size(type);
    void *array, *host = malloc(bytes + 1);
    CLAIM(host && vg_device_allocate(device, bytes + 1, &array) == VG_OK);
    ranks_fill(host, kind, type, count, here);
    CLAIM(vg_device_copy(device, array, host, bytes, VG_COPY_TO_DEVICE) == VG_OK);
    CLAIM(collect(kind, array, count, type) == VG_OK);
    CLAIM(vg_group_join(group) == VG_OK);
    CLAIM(vg_device_copy(device, host, array, bytes, VG_COPY_TO_HOST) == VG_OK);
    CLAIM(vg_group_synchronize(group) == VG_OK);
    ranks_judge(host, kind, type, count, here);
    vg_device_release(device, array, bytes + 1);
    free(host);
}

static vg_status sums(vg_group *none, const vg_place *place)
{
    static const int64_t counts[] = {0, 1, 2, 3, 5, 7, 13, 31, 127, 257, 1009, 4099};
    static const vg_dtype types[] = {VG_F32, VG_F64, VG_I64, VG_BF16};
    (void)none;
    open_all(place, 30);
    for (size_t t = 0; t < sizeof types / sizeof *types; t++)
        for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
            for (int kind = types[t] == VG_BF16 ? VG__ALL_GATHER : VG__ALL_REDUCE; kind <= VG__BROADCAST;
                 kind++) {
                emulated_set_order(order += 16);
                one((vg__collective_kind)kind, counts[i], types[t]);
            }
    return close_all(VG_OK, true);
}

static void test_sums(void **state)
{
    (void)state;
    for (int size = 2; size <= 4; size++) ranks_run(size, sums, &unopened);
}

/* ---- Recorded ---- */

enum { N = 1009, REPLAYS = 12 };

/* As a step does it: two buckets, each handed over as soon as it is there, and what is made of both. */
static vg_status recorded(vg_group *none, const vg_place *place)
{
    (void)none;
    open_all(place, 30);
    float *x, *a, *b, *y, host[N];
    float **const all[] = {&x, &a, &b, &y};
    for (int i = 0; i < 4; i++) CLAIM(vg_device_allocate(device, sizeof host, (void **)all[i]) == VG_OK);
    for (int replay = -1; replay <= REPLAYS; replay++) {
        static vg_recording *recording;
        emulated_set_order(order += 16);
        vg_group_at(group, replay + 2);
        for (int i = 0; i < N; i++) host[i] = (float)ranks_number(place->rank, i + replay);
        CLAIM(vg_device_copy(device, x, host, sizeof host, VG_COPY_TO_DEVICE) == VG_OK);
        if (replay == 0) CLAIM(vg_device_record_begin(device) == VG_OK);
        if (replay <= 0) { /* once in the ordinary way, then to be kept */
            CLAIM(vg_device_copy(device, a, x, sizeof host, VG_COPY_ON_DEVICE) == VG_OK);
            CLAIM(vg_group_all_reduce(group, "a", a, N, VG_F32) == VG_OK);
            CLAIM(vg_device_copy(device, b, x, sizeof host, VG_COPY_ON_DEVICE) == VG_OK);
            CLAIM(vg_group_all_reduce(group, "b", b, N, VG_F32) == VG_OK);
            CLAIM(vg_group_join(group) == VG_OK);
            CLAIM(vg_group_all_reduce(group, "a once more", a, N, VG_F32) == VG_OK);
            CLAIM(vg_group_join(group) == VG_OK);
            CLAIM(vg_device_copy(device, y, b, sizeof host / 2, VG_COPY_ON_DEVICE) == VG_OK);
            CLAIM(vg_device_copy(device, y + N / 2, a + N / 2, (N - N / 2) * sizeof *y, VG_COPY_ON_DEVICE) ==
                  VG_OK);
        }
        if (replay == 0) CLAIM(vg_device_record_end(device, &recording) == VG_OK);
        if (replay >= 0) CLAIM(vg_device_replay(device, recording) == VG_OK);
        CLAIM(vg_device_copy(device, host, y, sizeof host, VG_COPY_TO_HOST) == VG_OK);
        CLAIM(vg_group_synchronize(group) == VG_OK);
        for (int i = 0; i < N; i++) {
            int64_t sum = 0;
            for (int r = 0; r < place->size; r++) sum += ranks_number(r, i + replay);
            CLAIM(host[i] == (float)(i < N / 2 ? sum : sum * place->size));
        }
        if (replay == REPLAYS) vg_recording_destroy(device, recording);
    }
    for (int i = 0; i < 4; i++) vg_device_release(device, *all[i], sizeof host);
    return close_all(VG_OK, true);
}

static void test_recorded(void **state)
{
    (void)state;
    ranks_run(2, recorded, &unopened);
    ranks_run(3, recorded, &unopened);
}

/* ---- Failures ---- */

/* Steps with one collective each, until something fails. */
static vg_status steps(float *array)
{
    for (int step = 1; step <= 1000; step++) {
        vg_group_at(group, step);
        vg_status status = vg_group_all_reduce(group, "gradients", array, N, VG_F32);
        if (status == VG_OK) status = vg_group_join(group);
        if (status == VG_OK) status = vg_group_synchronize(group);
        if (status != VG_OK) return status;
        if (step == 5 && here->rank == 1 && getenv("TEST_LOST")) raise(SIGKILL);
    }
    return VG_OK;
}

/* The array can be given back: nothing of what was queued is left on the device. */
static vg_status fails(const vg_place *place, double timeout, vg_status wanted, const char *text)
{
    float *array;
    open_all(place, timeout);
    CLAIM(vg_device_allocate(device, N * sizeof *array, (void **)&array) == VG_OK);
    CLAIM(vg_device_zero(device, array, N * sizeof *array) == VG_OK);
    const double began = ranks_now();
    const vg_status status = steps(array);
    CLAIM(ranks_now() - began <= (timeout + 6) * ranks_patience());
    CLAIM_FAILS(status, wanted, text);
    CLAIM_FAILS(vg_group_all_reduce(group, "gradients", array, N, VG_F32), wanted, text); /* it stays so */
    vg_device_release(device, array, N * sizeof *array);
    return close_all(status, false);
}

static vg_status lost(vg_group *none, const vg_place *place)
{
    (void)none;
    return fails(place, 20, VG_ERR_PEER, "rank 1");
}

/* Steps that are replayed: NCCL keeps the communicator until the graph is gone, and nobody waits for that. */
static vg_status lost_recorded(vg_group *none, const vg_place *place)
{
    (void)none;
    float *array;
    vg_recording *recording = NULL;
    open_all(place, 20);
    CLAIM(vg_device_allocate(device, N * sizeof *array, (void **)&array) == VG_OK);
    CLAIM(vg_device_zero(device, array, N * sizeof *array) == VG_OK);
    vg_status status = VG_OK;
    for (int step = 1; step <= 1000 && status == VG_OK; step++) {
        vg_group_at(group, step);
        if (step == 2) CLAIM(vg_device_record_begin(device) == VG_OK);
        if (step <= 2) {
            CLAIM(vg_group_all_reduce(group, "gradients", array, N, VG_F32) == VG_OK);
            CLAIM(vg_group_join(group) == VG_OK);
        }
        if (step == 2) CLAIM(vg_device_record_end(device, &recording) == VG_OK);
        if (step >= 2) CLAIM(vg_device_replay(device, recording) == VG_OK);
        status = vg_group_synchronize(group);
        if (step == 5 && place->rank == 1) raise(SIGKILL);
    }
    CLAIM_FAILS(status, VG_ERR_PEER, "rank 1");
    CLAIM(stand_in_nccl_state.aborted == 0); /* on its way */
    vg_recording_destroy(device, recording);
    vg_device_release(device, array, N * sizeof *array);
    return close_all(status, false);
}

/* Killed: known at once, long before the timeout. */
static void test_lost(void **state)
{
    (void)state;
    setenv("TEST_LOST", "1", 1);
    const double began = ranks_now();
    ranks_run(3, lost, &(ranks_options){.unopened = true, .lost = 1});
    assert_true(ranks_now() - began <= 10 * ranks_patience());
    unsetenv("TEST_LOST");
    ranks_run(3, lost_recorded, &(ranks_options){.unopened = true, .lost = 1});
}

static vg_status hangs(vg_group *none, const vg_place *place)
{
    (void)none;
    return fails(place, 2, VG_ERR_PEER, "rank ");
}

/* A collective that never ends although every rank is there. */
static void test_hang(void **state)
{
    (void)state;
    setenv("EMULATED_NCCL", "hang:1:4", 1);
    ranks_run(2, hangs, &unopened);
    unsetenv("EMULATED_NCCL");
}

static vg_status errs(vg_group *none, const vg_place *place)
{
    (void)none;
    /* Rank 0 is told either by NCCL's own end or by rank 1's word, and names rank 1. */
    return fails(place, 20, VG_ERR_PEER, place->rank ? "the stand-in was told to fail" : "rank 1");
}

/* NCCL itself gives up at one rank. */
static void test_error(void **state)
{
    (void)state;
    setenv("EMULATED_NCCL", "error:1:6", 1);
    ranks_run(2, errs, &unopened);
    unsetenv("EMULATED_NCCL");
}

static vg_status same_gpu(vg_group *none, const vg_place *place)
{
    (void)none;
    stand_in_nccl_install();
    const vg_status status = open_with(place, 0, 20);
    CLAIM_FAILS(status, VG_ERR_DEVICE, "Duplicate GPU");
    CLAIM(strstr(vg_cause(), "each needs its own") != NULL);
    CLAIM(!group && stand_in_nccl_state.held == 0);
    vg_device_destroy(device);
    return status;
}

static vg_status too_old(vg_group *none, const vg_place *place)
{
    (void)none;
    stand_in_nccl_install();
    stand_in_nccl_state.version = 21706;
    const vg_status status = open_with(place, place->rank, 20);
    CLAIM_FAILS(status, VG_ERR_CONFIG, "NCCL 2.17.6 from a stand-in of libnccl.so.2 is too old");
    vg_device_destroy(device);
    return status;
}

static vg_status absent(vg_group *none, const vg_place *place)
{
    (void)none;
    const vg_status status = open_with(place, place->rank, 20);
    CLAIM_FAILS(status, VG_ERR_CONFIG, "transport nccl cannot be used: libnccl.so.2");
    vg_device_destroy(device);
    return status;
}

/* Rank 1 is there and has NCCL's id, and never comes to NCCL. */
static vg_status never_comes(vg_group *none, const vg_place *place)
{
    (void)none;
    if (place->rank == 1) {
        vg__watch *watch;
        char id[128];
        CLAIM(vg__watch_open(place, 20, 20, 0, &watch) == VG_OK);
        CLAIM(vg__watch_broadcast(watch, "NCCL's unique id", id, sizeof id) == VG_OK);
        for (int i = 0; i < 1000 * ranks_patience() && !vg__watch_broken(watch); i++) usleep(10000);
        CLAIM(vg__watch_broken(watch));
        const vg_status status = vg__watch_fail(watch);
        vg__watch_close(watch, status);
        return status;
    }
    stand_in_nccl_install();
    const vg_status status = open_with(place, place->rank, 2);
    CLAIM_FAILS(status, VG_ERR_PEER, "NCCL has not connected the GPUs of all ranks");
    CLAIM(strstr(vg_cause(), "NCCL_SOCKET_IFNAME") && stand_in_nccl_state.aborted == 1);
    vg_device_destroy(device);
    return status;
}

static void test_openings(void **state)
{
    (void)state;
    ranks_run(3, same_gpu, &unopened);
    ranks_run(2, too_old, &unopened);
    ranks_run(2, absent, &unopened);
    ranks_run(2, never_comes, &unopened);
}

/* Mistakes that are told before NCCL sees them. */
static vg_status mistakes(vg_group *none, const vg_place *place)
{
    (void)none;
    open_all(place, 20);
    char *array;
    void *stream;
    CLAIM(vg_device_allocate(device, 1024, (void **)&array) == VG_OK);
    CLAIM(vg_device_side_begin(device, &stream) == VG_OK);
    const vg__collective good = {
        .kind = VG__ALL_REDUCE, .what = "numbers", .array = array, .count = 4, .type = VG_F32};
    const struct {
        vg__collective_kind kind;
        void *array;
        int64_t count;
        vg_dtype type;
        vg_status status;
        const char *text;
    } wrong[] = {
        {VG__ALL_REDUCE, array, 4, VG_BF16, VG_ERR_UNSUPPORTED, "all-reduce of numbers: there is none of"},
        {VG__REDUCE_SCATTER, array, 4, VG_BF16, VG_ERR_UNSUPPORTED, "none of type BF16"},
        {VG__ALL_GATHER, array, 4, VG_U8, VG_ERR_UNSUPPORTED, "none of type U8"},
        {VG__BROADCAST, array, 4, VG_I32, VG_ERR_UNSUPPORTED, "none of type I32"},
        {VG__ALL_REDUCE, array, -1, VG_F32, VG_ERR_SHAPE, "a count of -1 elements"},
        {VG__ALL_GATHER, array, INT64_MAX / 8, VG_F64, VG_ERR_SHAPE, "elements a rank"},
        {VG__ALL_REDUCE, NULL, 4, VG_F32, VG_ERR_SHAPE, "no address of an array of F32"},
        {VG__ALL_REDUCE, array + 2, 4, VG_F32, VG_ERR_SHAPE, "no address of an array of F32"},
        {VG__BROADCAST, array + 4, 4, VG_I64, VG_ERR_SHAPE, "no address of an array of I64"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        const vg__collective job = {.kind = wrong[i].kind,
                                    .what = "numbers",
                                    .array = wrong[i].array,
                                    .count = wrong[i].count,
                                    .type = wrong[i].type};
        CLAIM_FAILS(vg__kind_nccl.queue(group, &job, stream), wrong[i].status, wrong[i].text);
    }
    CLAIM_FAILS(vg__kind_nccl.queue(group, &good, NULL), VG_ERR_SHAPE, "no stream");
    CLAIM(!stand_in_nccl_state.first_refusal && !stand_in_nccl_state.collectives);

    /* What only NCCL can know is told in its words. */
    const vg__collective outside = {
        .kind = VG__ALL_REDUCE, .what = "numbers", .array = array, .count = 257, .type = VG_F32};
    CLAIM_FAILS(vg__kind_nccl.queue(group, &outside, stream), VG_ERR_DEVICE, "an address that is not the");
    CLAIM(strstr(vg_cause(), "all-reduce of numbers") && strstr(vg_cause(), "invalid argument"));
    CLAIM(vg_device_side_join(device) == VG_OK);
    vg_device_release(device, array, 1024);
    vg_group_close(group, VG_OK);
    vg_device_destroy(device);
    return VG_OK;
}

static void test_mistakes(void **state)
{
    (void)state;
    ranks_run(2, mistakes, &unopened);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sums),     cmocka_unit_test(test_recorded), cmocka_unit_test(test_lost),
        cmocka_unit_test(test_hang),     cmocka_unit_test(test_error),    cmocka_unit_test(test_openings),
        cmocka_unit_test(test_mistakes),
    };
    (void)support_seed(); /* said once, and not by every rank */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
