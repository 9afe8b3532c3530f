/* What makes tests/kernels/test_ops.c a test of the device "cuda": a real GPU where the program is linked
 * with the real backend, the emulated one where it is linked with the emulator. VAGUS_TEST_PRECISION (fp32,
 * tf32 or bf16) leaves the others out, so that each can be run, fail and hang on its own. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/kernels/harness.h"

static vg_device *device;

static void close_device(void)
{
    vg_device_destroy(device);
}

/* A GPU has an order of its own: that it is another each time is what the repetition is for. */
static void set_order(int order)
{
    (void)order;
}

int harness_open(harness_backend *out, int most)
{
    static const struct {
        const char *name;
        vg_dtype type;
        bool tf32;
    } precisions[] = {{"fp32", VG_F32, false}, {"bf16", VG_BF16, false}, {"tf32", VG_F32, true}};
    const char *only = getenv("VAGUS_TEST_PRECISION");
    int count = 0;
    if (vg_device_open("cuda", &device) != VG_OK) {
        printf("skipped: %s\n", vg_cause());
        exit(77);
    }
    atexit(close_device);
    for (size_t i = 0; i < sizeof precisions / sizeof *precisions; i++) {
        if (only && strcmp(only, precisions[i].name)) continue;
        assert_true(count < most);
        harness_backend *backend = &out[count++];
        *backend = (harness_backend){
            .type = precisions[i].type, .tf32 = precisions[i].tf32, .orders = 2, .set_order = set_order};
        assert_ok(vg_kernels_create(device, "cuda", false, &backend->kernels));
        backend->kernels->tf32 = precisions[i].tf32;
    }
    if (!count) fail_msg("VAGUS_TEST_PRECISION=%s: it is fp32, tf32 or bf16", only);
    return count;
}
