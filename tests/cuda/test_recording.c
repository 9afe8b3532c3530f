/* Work recorded on a device and replayed (core/device.h), on the emulator, which keeps what a stream is given
 * while it captures and refuses what CUDA would refuse. */
#include "kernels/kernels.h"
#include "tests/cuda/emulated.h"
#include "tests/support/support.h"

enum { N = 257 };

static vg_device *device;
static vg_kernels *kernels;
static vg_tensor x, sum;

static int setup(void **state)
{
    (void)state;
    float ones[N];
    for (int i = 0; i < N; i++) ones[i] = 1;
    assert_ok(vg_device_open("cuda", &device));
    assert_ok(vg_kernels_create(device, "auto", true, &kernels));
    x = vg_tensor_make(NULL, VG_F32, VG_DIMS(N));
    sum = vg_tensor_make(NULL, VG_F64, VG_DIMS(1));
    assert_ok(vg_device_allocate(device, sizeof ones, &x.data));
    assert_ok(vg_device_allocate(device, sizeof(double), &sum.data));
    assert_ok(vg_device_copy(device, x.data, ones, sizeof ones, VG_COPY_TO_DEVICE));
    assert_ok(vg_device_zero(device, sum.data, sizeof(double)));
    /* Once in the ordinary way, which allocates scratch: sum = N. */
    assert_ok(VG_RUN(kernels, grad_norm, .gradient = x, .sum = sum));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    vg_device_release(device, x.data, N * sizeof(float));
    vg_device_release(device, sum.data, sizeof(double));
    vg_kernels_destroy(kernels);
    vg_device_destroy(device);
    return 0;
}

static double read_sum(void)
{
    double value = 0;
    assert_ok(vg_device_copy(device, &value, sum.data, sizeof value, VG_COPY_TO_HOST));
    assert_ok(vg_device_synchronize(device));
    return value;
}

static void test_replay(void **state)
{
    (void)state;
    vg_recording *recording;
    assert_true(vg_device_records(device));
    assert_ok(vg_device_record_begin(device));
    assert_ok(VG_RUN(kernels, grad_norm, .gradient = x, .sum = sum));
    assert_ok(VG_RUN(kernels, grad_norm, .gradient = x, .sum = sum));
    assert_ok(vg_device_record_end(device, &recording));
    assert_true(read_sum() == N); /* kept, not run */
    assert_ok(vg_device_replay(device, recording));
    assert_true(read_sum() == 3 * N);
    assert_ok(vg_device_replay(device, recording));
    assert_ok(vg_device_replay(device, recording));
    assert_true(read_sum() == 7 * N);
    vg_recording_destroy(device, recording);
}

/* A recording that was given up leaves the device as it was. */
static void test_abandon(void **state)
{
    (void)state;
    assert_ok(vg_device_record_begin(device));
    assert_ok(VG_RUN(kernels, grad_norm, .gradient = x, .sum = sum));
    vg_device_record_abandon(device);
    assert_true(read_sum() == N);
    assert_ok(VG_RUN(kernels, grad_norm, .gradient = x, .sum = sum));
    assert_true(read_sum() == 2 * N);
}

/* What may not be recorded is an error at once or at the end, and never a recording. */
static void test_refusals(void **state)
{
    (void)state;
    vg_recording *recording;
    void *memory;
    float value = 0;
    assert_ok(vg_device_record_begin(device));
    assert_fails(vg_device_allocate(device, 1024, &memory), VG_ERR_DEVICE, "capturing");
    assert_fails(vg_device_record_end(device, &recording), VG_ERR_DEVICE, "cannot record");
    assert_null(recording);

    assert_ok(vg_device_record_begin(device));
    assert_true(vg_device_copy(device, x.data, &value, sizeof value, VG_COPY_TO_DEVICE) != VG_OK);
    vg_device_record_abandon(device);
    assert_true(read_sum() == N);
}

/* The host runs everything at once, and says that it cannot record. */
static void test_host(void **state)
{
    (void)state;
    vg_device *host;
    assert_ok(vg_device_create_host(&host));
    assert_false(vg_device_records(host));
    vg_recording_destroy(host, NULL);
    vg_device_destroy(host);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_replay, setup, teardown),
        cmocka_unit_test_setup_teardown(test_abandon, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refusals, setup, teardown),
        cmocka_unit_test(test_host),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
