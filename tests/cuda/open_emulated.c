/* What makes tests/kernels/test_ops.c a test of the CUDA kernels: its harness asks here which backends there
 * are, and gets the emulated one, in float and in bf16, with eight random orders of threads; and what is made
 * of matrix products in float rounded to tf32, with one. */
#include <stdlib.h>

#include "tests/cuda/emulated.h"
#ifdef WITH_LIBRARIES
#include <stdio.h>

#include "tests/cuda/stand_ins.h"
#endif
#include "tests/kernels/harness.h"

static vg_device *device;

static void set_order(int order)
{
    emulated_set_order(support_seed() + (uint64_t)order);
}

static void close_device(void)
{
    vg_device_destroy(device);
}

#ifdef WITH_LIBRARIES
/* The operations whose products a library may serve, served by stand-ins. That they were, and never had to
 * refuse a call, is a part of the test. */
static void judge_libraries(void)
{
    const stand_in *both[] = {&stand_in_cublaslt, &stand_in_cudnn};
    int products = 0;
    for (int i = 0; i < 2; i++) {
        products += both[i]->products;
        if (both[i]->first_refusal) {
            fprintf(stderr, "a library was misused: %s\n", both[i]->first_refusal);
            _Exit(1);
        }
    }
    printf("%d products by the stand-ins\n", products);
    fflush(stdout);
    if (!products) _Exit(1);
}

static void prepare(void)
{
    stand_ins_install();
    setenv("VAGUS_CUDNN", "on", 1);
    atexit(judge_libraries);
}
#else
static void prepare(void) {}
#endif

/* The others do the same with and without tf32. */
static void leave_products(vg_kernels *kernels)
{
    const vg_kernel_table all = kernels->table;
    kernels->tf32 = true;
    kernels->table = (vg_kernel_table){.linear_forward = all.linear_forward,
                                       .linear_backward = all.linear_backward,
                                       .conv1d_forward = all.conv1d_forward,
                                       .conv1d_backward = all.conv1d_backward,
                                       .attention_forward = all.attention_forward,
                                       .attention_backward = all.attention_backward};
}

int harness_open(harness_backend *out, int most)
{
    assert_true(most >= 3);
    prepare();
    device = emulated_device_create();
    atexit(close_device);
    emulated_set_order(0); /* the first run of all is in order */
    for (int i = 0; i < 3; i++)
        out[i] = (harness_backend){.kernels = emulated_kernels_create(device),
                                   .type = i == 1 ? VG_BF16 : VG_F32,
                                   .tf32 = i == 2,
                                   .orders = i == 2 ? 1 : 8,
                                   .set_order = set_order};
    leave_products(out[2].kernels);
    return 3;
}
