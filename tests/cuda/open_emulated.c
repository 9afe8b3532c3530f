/* What makes tests/kernels/test_ops.c a test of the CUDA kernels: its harness asks here which backends there
 * are, and gets the emulated one, in float and in bf16, with eight random orders of threads. */
#include <stdlib.h>

#include "tests/cuda/emulated.h"
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

int harness_open(harness_backend *out, int most)
{
    assert_true(most >= 2);
    device = emulated_device_create();
    atexit(close_device);
    emulated_set_order(0); /* the first run of all is in order */
    for (int i = 0; i < 2; i++)
        out[i] = (harness_backend){.kernels = emulated_kernels_create(device),
                                   .type = i ? VG_BF16 : VG_F32,
                                   .orders = 8,
                                   .set_order = set_order};
    return 2;
}
