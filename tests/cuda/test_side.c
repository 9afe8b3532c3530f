/* Work beside the device's first order (core/device.h), on the emulator: in every order of the streams that
 * their events allow, queued and recorded; and that what forgets an event gives a wrong result in some order,
 * so that a right one means something. */
#include "kernels/cuda/device.h"
#include "kernels/kernels.h"
#include "tests/cuda/machine.h"
#include "tests/support/support.h"

enum { ORDERS = 32 };

static vg_device *device;
static double *x, *y, *z; /* one number each, on the device */

static int setup(void **state)
{
    (void)state;
    assert_ok(vg_device_open("cuda", &device));
    double **const all[] = {&x, &y, &z};
    for (int i = 0; i < 3; i++) assert_ok(vg_device_allocate(device, sizeof(double), (void **)all[i]));
    return 0;
}

/* Every handle and byte is given back, whatever the test did. */
static int teardown(void **state)
{
    (void)state;
    double *const all[] = {x, y, z};
    for (int i = 0; i < 3; i++) vg_device_release(device, all[i], sizeof(double));
    vg_device_destroy(device);
    emulated_set_order(0);
    (void)emulated_take_failure();
    emulated_held held = emulated_machine_held();
    return held.device || held.pinned || held.streams || held.events;
}

static cudaStream_t first(void)
{
    return vg__cuda_device_of(device)->stream;
}

static void put(double *to, double value)
{
    assert_ok(vg_device_copy(device, to, &value, sizeof value, VG_COPY_TO_DEVICE));
}

static double get(const double *from)
{
    double value = 0;
    assert_ok(vg_device_copy(device, &value, from, sizeof value, VG_COPY_TO_HOST));
    assert_ok(vg_device_synchronize(device));
    return value;
}

static void copy(double *to, const double *from, cudaStream_t stream)
{
    assert_int_equal(cudaMemcpyAsync(to, from, sizeof(double), cudaMemcpyDeviceToDevice, stream),
                     cudaSuccess);
}

static cudaStream_t begin(void)
{
    void *stream;
    assert_ok(vg_device_side_begin(device, &stream));
    assert_non_null(stream);
    return stream;
}

/* x -> y on the side, y -> z behind it; which of the two events is left out. */
enum { NOTHING, BEGIN, JOIN };
static void by_the_side(int left_out)
{
    const cudaStream_t side = left_out == BEGIN ? vg__cuda_device_of(device)->side : begin();
    copy(y, x, side);
    if (left_out != JOIN) assert_ok(vg_device_side_join(device));
    copy(z, y, first());
}

/* How many of all orders give z another value than x had. */
static int wrong_orders(int left_out)
{
    int wrong = 0;
    (void)begin(); /* so that there is a side */
    assert_ok(vg_device_side_join(device));
    for (int order = 0; order < ORDERS; order++) {
        emulated_set_order(support_seed() + (uint64_t)order);
        put(y, 0);
        assert_ok(vg_device_synchronize(device));
        put(x, order + 1);
        by_the_side(left_out);
        wrong += get(z) != order + 1;
        assert_ok(vg_device_synchronize(device));
    }
    return wrong;
}

static void test_order(void **state)
{
    (void)state;
    assert_int_equal(wrong_orders(NOTHING), 0);
    assert_int_not_equal(wrong_orders(BEGIN), 0);
    assert_int_not_equal(wrong_orders(JOIN), 0);
}

/* The side has more than one piece to do between begin and join, and more than one begin before the join. */
static void test_several(void **state)
{
    (void)state;
    for (int order = 0; order < ORDERS; order++) {
        emulated_set_order(support_seed() + (uint64_t)order);
        put(x, 1);
        copy(y, x, begin());
        put(x, 2); /* waits for nobody: y is 1 or 2 */
        copy(z, x, begin());
        assert_ok(vg_device_side_join(device));
        assert_ok(vg_device_side_join(device)); /* nothing left to join */
        assert_true(get(z) == 2);
    }
}

/* The same as nodes of a graph. `early`: the side is begun before x is written, which is a mistake. */
static vg_recording *recorded(bool early)
{
    vg_recording *recording;
    assert_ok(vg_device_record_begin(device));
    cudaStream_t side = NULL;
    if (early) side = begin();
    copy(x, z, first());
    if (!early) side = begin();
    copy(y, x, side);
    assert_ok(vg_device_side_join(device));
    copy(z, y, first());
    assert_ok(vg_device_record_end(device, &recording));
    return recording;
}

static void test_recorded(void **state)
{
    (void)state;
    int wrong[2] = {0, 0};
    (void)begin();
    assert_ok(vg_device_side_join(device));
    for (int early = 0; early < 2; early++) {
        vg_recording *recording = recorded(early);
        for (int order = 0; order < ORDERS; order++) {
            emulated_set_order(support_seed() + (uint64_t)order);
            put(x, -1);
            put(z, order + 1);
            assert_ok(vg_device_replay(device, recording));
            assert_ok(vg_device_replay(device, recording));
            wrong[early] += get(z) != order + 1;
        }
        vg_recording_destroy(device, recording);
    }
    assert_int_equal(wrong[false], 0);
    assert_int_not_equal(wrong[true], 0);
}

static void test_refusals(void **state)
{
    (void)state;
    vg_recording *recording;
    bool done;
    put(x, 7);
    (void)begin();
    assert_ok(vg_device_side_join(device));

    /* What the side was given and nobody waits for: no graph, and the side is free again. */
    assert_ok(vg_device_record_begin(device));
    copy(y, x, begin());
    assert_fails(vg_device_record_end(device, &recording), VG_ERR_DEVICE, "unjoined work");
    assert_null(recording);
    by_the_side(NOTHING);
    assert_true(get(z) == 7);

    assert_ok(vg_device_record_begin(device));
    copy(y, x, begin());
    vg_device_record_abandon(device);
    put(x, 8);
    by_the_side(NOTHING);
    assert_true(get(z) == 8);

    /* A side begun before the recording is no part of it. */
    copy(y, x, begin());
    assert_ok(vg_device_record_begin(device));
    assert_fails(vg_device_side_join(device), VG_ERR_DEVICE, "uncaptured work");
    vg_device_record_abandon(device);

    /* Nobody waits for what is only kept, nor asks after it. */
    assert_ok(vg_device_record_begin(device));
    assert_fails(vg_device_synchronize(device), VG_ERR_DEVICE, "capturing");
    vg_device_record_abandon(device);
    assert_ok(vg_device_record_begin(device));
    assert_fails(vg_device_finished(device, &done), VG_ERR_DEVICE, "capturing");
    assert_fails(vg_device_record_end(device, &recording), VG_ERR_DEVICE, "previous error");
}

/* What only the runtime's own calls can do wrong. */
static void test_runtime(void **state)
{
    (void)state;
    cudaStream_t other;
    cudaEvent_t event;
    cudaGraph_t graph;
    assert_int_equal(cudaStreamCreate(&other), cudaSuccess);
    assert_int_equal(cudaEventCreate(&event), cudaSuccess);
    const enum cudaStreamCaptureMode mode = cudaStreamCaptureModeThreadLocal;

    assert_int_equal(cudaStreamBeginCapture(first(), mode), cudaSuccess);
    assert_int_equal(cudaEventRecord(event, first()), cudaSuccess);
    assert_int_equal(cudaEventQuery(event), cudaErrorCapturedEvent);
    assert_int_equal(cudaStreamWaitEvent(other, event, 0), cudaSuccess);
    assert_int_equal(cudaStreamEndCapture(other, &graph), cudaErrorStreamCaptureUnmatched);
    assert_int_equal(cudaStreamEndCapture(first(), &graph), cudaErrorStreamCaptureInvalidated);
    assert_int_equal(cudaStreamWaitEvent(other, event, 0), cudaErrorCapturedEvent);

    assert_int_equal(cudaStreamBeginCapture(first(), mode), cudaSuccess);
    assert_int_equal(cudaStreamBeginCapture(other, mode), cudaSuccess);
    assert_int_equal(cudaEventRecord(event, first()), cudaSuccess);
    assert_int_equal(cudaStreamWaitEvent(other, event, 0), cudaErrorStreamCaptureMerge);
    assert_int_equal(cudaStreamEndCapture(other, &graph), cudaErrorStreamCaptureInvalidated);
    assert_int_equal(cudaStreamEndCapture(first(), &graph), cudaErrorStreamCaptureInvalidated);

    assert_int_equal(cudaEventDestroy(event), cudaSuccess);
    assert_int_equal(cudaStreamDestroy(other), cudaSuccess);
}

static void test_finished(void **state)
{
    (void)state;
    for (int on_side = 0; on_side < 2; on_side++) {
        bool done = true;
        int asked = 0;
        copy(y, x, on_side ? begin() : first());
        assert_ok(vg_device_finished(device, &done));
        assert_false(done);
        while (!done && ++asked < 100) assert_ok(vg_device_finished(device, &done));
        assert_true(done);
    }
    /* What is queued beside the first order is waited for, too. */
    put(x, 3);
    copy(y, x, begin());
    assert_ok(vg_device_synchronize(device));
    assert_int_equal(cudaStreamQuery(vg__cuda_device_of(device)->side), cudaSuccess);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_order, setup, teardown),
        cmocka_unit_test_setup_teardown(test_several, setup, teardown),
        cmocka_unit_test_setup_teardown(test_recorded, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refusals, setup, teardown),
        cmocka_unit_test_setup_teardown(test_runtime, setup, teardown),
        cmocka_unit_test_setup_teardown(test_finished, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
