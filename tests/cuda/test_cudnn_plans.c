/* The real cuDNN, without a GPU: it makes plans for a GPU that is described to it. Shows that our graphs of
 * the paper's convolutions are accepted, and prints which shapes have a plan that honours our rules on
 * Ampere, Hopper and Blackwell. Skipped where there is no cuDNN. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/cuda/cudnn.h"
#include "tests/support/support.h"

enum { SKIPPED = 77 };

struct gpu {
    const char *name;
    int version, shared, multiprocessors;
};
static const struct gpu gpus[] = {{"NVIDIA A100", 800, 166912, 108},
                                  {"NVIDIA L40S", 890, 101376, 142},
                                  {"NVIDIA H200", 900, 232448, 132},
                                  {"NVIDIA B200", 1000, 232448, 148}};

/* Convolutions 2 and 3 of the paper, 64 segments. */
static const struct {
    int64_t I, O, K;
} shapes[] = {{64, 128, 33}, {128, 256, 17}};

static vg__cudnn *open_for(const struct gpu *gpu)
{
    char json[1024];
    snprintf(
        json, sizeof json,
        "{\"cudaDeviceId\":0,\"deviceName\":\"%s\",\"deviceVer\":%d,\"driverVer\":13000,\"isTccDriver\":0,"
        "\"l2CacheSize\":41943040,\"maxBlockSize\":[1024,1024,64],\"maxCtasPerSM\":32,"
        "\"maxGridSize\":[2147483647,65535,65535],\"maxRegistersPerSM\":65536,"
        "\"maxSharedMemoryPerBlock\":49152,\"maxSharedMemoryPerBlockOptin\":%d,\"maxThreadsPerBlock\":1024,"
        "\"maxThreadsPerSM\":2048,\"memClockRateKHz\":2619000,\"multiProcessorCount\":%d,\"pciDeviceId\":0,"
        "\"regsPerBlock\":65536,\"reservedSharedMemoryPerBlock\":1024,\"smClockRateKHz\":1755000,"
        "\"supportCoopLaunch\":1,\"totalGlobalMem\":80000000000,\"warpSize\":32}",
        gpu->name, gpu->version, gpu->shared, gpu->multiprocessors);
    vg__cudnn *cudnn;
    vg_status status = vg__cudnn_create(json, &cudnn);
    if (status == VG_ERR_NOT_FOUND) {
        printf("skipped: %s\n", vg_cause());
        exit(SKIPPED);
    }
    assert_ok(status);
    return cudnn;
}

/* The passes of a convolution as a step calls them; a bias is only asked whether it is there. */
static const char bias[16];
static const struct {
    const char *name;
    vg__pass pass;
    const void *bias;
    bool relu;
} passes[] = {{"y + bias", VG__PASS_FORWARD, bias, false},
              {"relu(y + bias)", VG__PASS_FORWARD, bias, true},
              {"dx", VG__PASS_DX, NULL, false}};
enum { PASSES = sizeof passes / sizeof *passes, SHAPES = sizeof shapes / sizeof *shapes };

/* How many of all have a plan in this type? Prints each with its workspace. */
static int plans(const struct gpu *gpu, vg_dtype type, bool tf32)
{
    vg__cudnn *cudnn = open_for(gpu);
    int found = 0;
    for (int i = 0; i < SHAPES; i++)
        for (int pass = 0; pass < PASSES; pass++) {
            const vg__product product = {.op = "plan",
                                         .type = type,
                                         .tf32 = tf32,
                                         .B = 64,
                                         .T = 1280,
                                         .I = shapes[i].I,
                                         .O = shapes[i].O,
                                         .K = shapes[i].K};
            const vg__multiply multiply = {.product = &product,
                                           .pass = passes[pass].pass,
                                           .bias = passes[pass].bias,
                                           .relu = passes[pass].relu};
            size_t workspace = 0;
            const bool taken = vg__cudnn_takes(cudnn, &multiply, &workspace);
            found += taken;
            printf("%s %s%s width %d %s: %s", gpu->name, vg_dtype_name(type), tf32 ? " as tf32" : "",
                   (int)product.K, passes[pass].name, taken ? "a plan" : "no plan\n");
            if (taken) printf(", workspace %.1f MiB\n", (double)workspace / (1 << 20));
        }
    vg__cudnn_destroy(cudnn);
    return found;
}

/* Every GPU that a paper's run may meet has plans in bf16. Of floats no promise is made, only a print. */
static void test_plans(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof gpus / sizeof *gpus; i++) {
        assert_int_equal(plans(&gpus[i], VG_BF16, false), SHAPES * PASSES);
        (void)plans(&gpus[i], VG_F32, true);
        (void)plans(&gpus[i], VG_F32, false);
    }
}

/* What is not for cuDNN is not taken: dw, one channel in, an output that goes on, width 1. */
static void test_not_taken(void **state)
{
    (void)state;
    vg__cudnn *cudnn = open_for(&gpus[2]);
    vg__product product = {.op = "plan", .type = VG_BF16, .B = 4, .T = 128, .I = 64, .O = 128, .K = 17};
    vg__multiply multiply = {.product = &product, .pass = VG__PASS_DW};
    size_t workspace;
    assert_false(vg__cudnn_takes(cudnn, &multiply, &workspace));
    multiply.pass = VG__PASS_DX;
    multiply.add = true;
    assert_false(vg__cudnn_takes(cudnn, &multiply, &workspace));
    multiply.add = false;
    assert_true(vg__cudnn_takes(cudnn, &multiply, &workspace));
    product.I = 1;
    assert_false(vg__cudnn_takes(cudnn, &multiply, &workspace));
    product.I = 64;
    product.K = 1;
    assert_false(vg__cudnn_takes(cudnn, &multiply, &workspace));
    vg__cudnn_destroy(cudnn);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_plans), cmocka_unit_test(test_not_taken)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
