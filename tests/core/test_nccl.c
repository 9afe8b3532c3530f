/* Kind nccl with the real library, as far as it goes without a GPU: it is found and opened, rank 0's unique
 * id reaches forked ranks through the watch, and where CUDA finds no GPU every rank says so, in NCCL's words
 * and in time. Skipped where there is no libnccl.so.2. What needs GPUs is in tests/gpu, and on emulated ones
 * in tests/cuda/test_group_nccl.c. */
#include <nccl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/group/kind.h"
#include "core/library.h"
#include "tests/core/group_ranks.h"

static const ranks_options unopened = {.unopened = true};

/* Whoever looks at it sees memory that is not the host's. Nothing here comes as far as to use it. */
static const vg_device_ops no_host = {.name = "cuda", .is_host = false};
static vg_device no_gpu = {.ops = &no_host};

/* The library itself, beside the kind that hides it. */
#define FUNCTIONS(X) X(ncclGetVersion) X(ncclGetUniqueId) X(ncclGetErrorString) X(ncclGetLastError)
VG__LIBRARY_TABLE(FUNCTIONS);
static functions call;
static vg__library library;

static void test_found(void **state)
{
    (void)state;
    char text[600], expected[32];
    int version = 0;
    assert_ok(vg__kind_nccl.find(text, sizeof text));
    assert_int_equal(call.by.ncclGetVersion(&version), ncclSuccess);
    snprintf(expected, sizeof expected, "%d.%d.%d from ", version / 10000, version / 100 % 100,
             version % 100);
    if (strncmp(text, expected, strlen(expected)) != 0 || !strstr(text, "libnccl"))
        fail_msg("'%s' does not begin with '%s' and name the file", text, expected);
    setenv("VAGUS_CUDA_LIBRARIES", "none", 1);
    assert_fails(vg__kind_nccl.find(text, sizeof text), VG_ERR_NOT_FOUND, "libnccl.so.2");
    unsetenv("VAGUS_CUDA_LIBRARIES");
}

/* What the kind does at its start, by hand: the id is made at rank 0, and all have the same. */
static vg_status exchange(vg_group *none, const vg_place *place)
{
    (void)none;
    vg__watch *watch;
    vg__block *all;
    ncclUniqueId id = {{0}}, zero = {{0}};
    CLAIM(vg__watch_open(place, 30, 30, 0, &watch) == VG_OK);
    if (place->rank == 0) {
        CLAIM(call.by.ncclGetUniqueId(&id) == ncclSuccess);
        CLAIM(memcmp(&id, &zero, sizeof id) != 0);
    }
    CLAIM(vg__watch_broadcast(watch, "NCCL's unique id", &id, sizeof id) == VG_OK);
    CLAIM(vg__watch_gather(watch, "the id as it came", &id, sizeof id, &all) == VG_OK);
    for (int rank = 0; place->rank == 0 && rank < place->size; rank++) {
        CLAIM(all[rank].count == (int64_t)sizeof id);
        CLAIM(memcmp(all[rank].bytes, &id, sizeof id) == 0);
    }
    if (place->rank == 0) vg__watch_free_blocks(all, place->size);
    vg__watch_close(watch, VG_OK);
    return VG_OK;
}

static void test_exchange(void **state)
{
    (void)state;
    ranks_run(2, exchange, &unopened);
    ranks_run(3, exchange, &unopened);
}

/* Opened as group.c opens it, with the whole of the real library and no GPU. */
static vg_status opened(vg_group *none, const vg_place *place)
{
    (void)none;
    vg_group *group;
    const double limit = 20 * ranks_patience(), began = ranks_now();
    const vg_group_options options = {
        .transport = "nccl", .device = &no_gpu, .timeout = limit, .start_timeout = limit};
    const vg_status status = vg_group_open(place, &options, &group);
    CLAIM(ranks_now() - began < limit);
    CLAIM_FAILS(status, VG_ERR_DEVICE, "connecting the GPUs: NCCL ");
    CLAIM(strstr(vg_cause(), "rank ") && strstr(vg_cause(), "vagus doctor"));
    CLAIM(strstr(vg_cause(), "uda") != NULL); /* NCCL's words, or CUDA's in them */
    CLAIM(!group);
    return status;
}

static void test_no_gpu(void **state)
{
    (void)state;
    if (access("/dev/nvidiactl", F_OK) == 0) skip(); /* there may be one: tests/gpu/run.sh */
    for (int size = 2; size <= 3; size++) ranks_run(size, opened, &unopened);
}

/* On the host's memory NCCL is refused before anything of it is opened. */
static vg_status on_host(vg_group *none, const vg_place *place)
{
    (void)none;
    vg_group *group;
    const vg_group_options options = {.transport = "nccl", .timeout = 20, .start_timeout = 20};
    const vg_status status = vg_group_open(place, &options, &group);
    CLAIM_FAILS(status, VG_ERR_CONFIG, "nccl");
    CLAIM(!group);
    return status;
}

static void test_on_host(void **state)
{
    (void)state;
    ranks_run(2, on_host, &unopened);
}

int main(void)
{
    if (vg__library_open("libnccl.so.2", names, call.all, FUNCTION_COUNT, &library) != VG_OK) {
        printf("skipped: %s\n", vg_cause());
        return 77;
    }
    setenv("NCCL_SOCKET_IFNAME", "lo", 0);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_found),
        cmocka_unit_test(test_exchange),
        cmocka_unit_test(test_no_gpu),
        cmocka_unit_test(test_on_host),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
