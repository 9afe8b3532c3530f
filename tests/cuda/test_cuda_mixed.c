/* AdamW as a bf16 model takes it: a float master, its gradient in bf16, and a bf16 copy of the new
 * parameters. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/random.h"
#include "kernels/cuda/cuda.h"
#include "tests/cuda/emulated.h"
#include "tests/support/support.h"

static vg_device *device;
static vg_kernels *kernels;

static vg_tensor put(const void *host, vg_dtype dtype, int64_t n)
{
    void *memory;
    size_t bytes = (size_t)n * vg_dtype_size(dtype);
    assert_ok(vg_device_allocate(device, bytes, &memory));
    if (host) assert_ok(vg_device_copy(device, memory, host, bytes, VG_COPY_TO_DEVICE));
    return vg_tensor_make(memory, dtype, 1, &n);
}

static void get(vg_tensor *tensor, void *host)
{
    assert_ok(vg_device_copy(device, host, tensor->data, vg_tensor_bytes(tensor), VG_COPY_TO_HOST));
    assert_ok(vg_device_synchronize(device));
    vg_device_release(device, tensor->data, vg_tensor_bytes(tensor));
}

static void test_master_and_copy(void **state)
{
    (void)state;
    enum { N = 1237 };
    static float p[N], g[N], m[N], v[N], got_p[N], got_m[N], got_v[N];
    static uint16_t g16[N], got_copy[N];
    vg_random random = vg_random_make(support_seed(), VG_SITE_SYNTHETIC, 0);
    for (int i = 0; i < N; i++) {
        p[i] = (float)vg_random_normal(&random);
        m[i] = (float)vg_random_normal(&random);
        v[i] = fabsf((float)vg_random_normal(&random));
        g16[i] = vg_bf16_from_float((float)vg_random_normal(&random));
        g[i] = vg_bf16_to_float(g16[i]);
    }
    vg_adamw_args args = {.lr = 1e-3,
                          .beta1 = 0.9,
                          .beta2 = 0.999,
                          .epsilon = 1e-8,
                          .weight_decay = 0.01,
                          .step = 7,
                          .decoupled = true};
    args.parameter = put(p, VG_F32, N);
    args.gradient = put(g16, VG_BF16, N);
    args.m = put(m, VG_F32, N);
    args.v = put(v, VG_F32, N);
    vg_tensor copy = put(NULL, VG_BF16, N);
    assert_ok(vg__cuda_adamw(&args, &copy, emulated_stream(kernels)));
    get(&args.parameter, got_p);
    get(&args.m, got_m);
    get(&args.v, got_v);
    get(&copy, got_copy);
    vg_device_release(device, args.gradient.data, sizeof g16);

    vg_device *host;
    vg_kernels *ref;
    assert_ok(vg_device_create_host(&host));
    assert_ok(vg_kernels_create(host, "ref", true, &ref));
    args.parameter = vg_tensor_make(p, VG_F32, VG_DIMS(N));
    args.gradient = vg_tensor_make(g, VG_F32, VG_DIMS(N));
    args.m = vg_tensor_make(m, VG_F32, VG_DIMS(N));
    args.v = vg_tensor_make(v, VG_F32, VG_DIMS(N));
    assert_ok(ref->table.adamw(ref, &args));
    for (int i = 0; i < N; i++) {
        /* A few roundings of numbers of this size: 2^-22 is four of them. */
        double bound = 0x1p-22 * (1 + fabs((double)p[i]) + fabs((double)m[i]) + fabs((double)v[i]));
        if (!(fabs((double)got_p[i] - (double)p[i]) <= bound)) fail_msg("parameter %d", i);
        if (!(fabs((double)got_m[i] - (double)m[i]) <= bound)) fail_msg("m %d", i);
        if (!(fabs((double)got_v[i] - (double)v[i]) <= bound)) fail_msg("v %d", i);
        assert_int_equal(got_copy[i], vg_bf16_from_float(got_p[i]));
    }
    vg_kernels_destroy(ref);
    vg_device_destroy(host);
}

/* A copy of another type or length, and a bf16 parameter with a copy, are refused. */
static void test_refusals(void **state)
{
    (void)state;
    float room[4] = {0};
    vg_tensor four = vg_tensor_make(room, VG_F32, VG_DIMS(4));
    vg_tensor three = vg_tensor_make(room, VG_BF16, VG_DIMS(3));
    vg_tensor short_four = vg_tensor_make(room, VG_BF16, VG_DIMS(4));
    vg_adamw_args args = {.parameter = four, .gradient = four, .m = four, .v = four, .step = 1};
    assert_fails(vg__cuda_adamw(&args, &four, emulated_stream(kernels)), VG_ERR_SHAPE, "the copy is (4) F32");
    assert_fails(vg__cuda_adamw(&args, &three, emulated_stream(kernels)), VG_ERR_SHAPE,
                 "the copy is (3) BF16");
    args.parameter = args.gradient = short_four;
    assert_fails(vg__cuda_adamw(&args, &short_four, emulated_stream(kernels)), VG_ERR_SHAPE,
                 "an F32 parameter");
}

static int setup(void **state)
{
    (void)state;
    device = emulated_device_create();
    kernels = emulated_kernels_create(device);
    emulated_set_order(support_seed());
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    vg_kernels_destroy(kernels);
    vg_device_destroy(device);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_master_and_copy),
                                       cmocka_unit_test(test_refusals)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
