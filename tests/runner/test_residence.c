/* When the corpus is put on the device. The device is the host's in disguise: not the host, and with as much
 * free memory as a test wants it to tell of. */
#include "core/log.h"
#include "experiments/runner/training/residence.h"
#include "tests/support/support.h"

enum { SAMPLES = 5000, SEGMENTS = 3, LENGTH = 100 };

static vg_device *device;
static vg_device_ops ops;
static const vg_device_ops *host;
static size_t free_bytes;
static bool full; /* whatever it told of, nothing is to be had */

static vg_status tell_free(vg_device *asked, size_t *bytes)
{
    (void)asked;
    *bytes = free_bytes;
    return VG_OK;
}

static vg_status allocate(vg_device *asked, size_t bytes, void **out)
{
    if (full) return vg_fail(VG_ERR_MEMORY, "no more");
    return host->allocate(asked, bytes, out);
}

static float signal_there[SAMPLES];
static vg_segment segments[SEGMENTS] = {{.start = 0, .mean = 1, .scale = 2},
                                        {.start = 4900, .mean = 3, .scale = 4, .number = 1},
                                        {.start = 50, .mean = 5, .scale = 6, .number = 2}};
static const vg_corpus corpus = {.signal = signal_there,
                                 .sample_count = SAMPLES,
                                 .segments = segments,
                                 .segment_count = SEGMENTS,
                                 .segment_length = LENGTH};

static int setup(void **state)
{
    (void)state;
    vg_log_set_level(VG_LOG_WARN);
    for (int i = 0; i < SAMPLES; i++) signal_there[i] = (float)i;
    assert_ok(vg_device_create_host(&device));
    host = device->ops;
    ops = *host;
    ops.is_host = false;
    ops.free_memory = tell_free;
    ops.allocate = allocate;
    device->ops = &ops;
    free_bytes = (size_t)1 << 30;
    full = false;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    vg_device_destroy(device);
    return 0;
}

static bool taken(vg_resident *out)
{
    bool there;
    uint64_t held = device->bytes;
    assert_ok(vg_residence_take(&corpus, device, "test", out, &there));
    assert_true((device->bytes > held) == there);
    if (!there) vg_resident_free(out);
    return there;
}

static void test_there(void **state)
{
    (void)state;
    vg_resident resident;
    assert_true(taken(&resident));
    assert_int_equal(resident.segment_length, LENGTH);
    assert_int_equal(resident.signal.dims[0], SAMPLES);
    assert_memory_equal(resident.signal.data, signal_there, sizeof signal_there);
    for (int s = 0; s < SEGMENTS; s++) {
        assert_int_equal(((int64_t *)resident.start.data)[s], segments[s].start);
        assert_true(((double *)resident.mean.data)[s] == segments[s].mean);
        assert_true(((double *)resident.scale.data)[s] == segments[s].scale);
    }
    vg_resident_free(&resident);
    assert_int_equal(device->bytes, 0);
}

static void test_not_there(void **state)
{
    (void)state;
    vg_resident resident;
    size_t needed = vg_resident_bytes(SAMPLES, SEGMENTS);
    free_bytes = 4 * needed;
    assert_true(taken(&resident)); /* just */
    vg_resident_free(&resident);
    free_bytes = 4 * needed - 1;
    assert_false(taken(&resident));
    free_bytes = (size_t)1 << 30;
    full = true;
    assert_false(taken(&resident));
    full = false;
    ops.free_memory = NULL; /* nobody knows */
    assert_false(taken(&resident));
    ops.free_memory = tell_free;
    ops.is_host = true;
    assert_false(taken(&resident));
}

/* A segment outside of the signal is an error and no reason to go another way. */
static void test_wrong(void **state)
{
    (void)state;
    vg_resident resident;
    bool there;
    vg_corpus wrong = corpus;
    wrong.sample_count -= 1;
    assert_fails(vg_residence_take(&wrong, device, "test", &resident, &there), VG_ERR_SHAPE, "segment 1");
    assert_false(there);
    vg_resident_free(&resident);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test_setup_teardown(test_there, setup, teardown),
                                       cmocka_unit_test_setup_teardown(test_not_there, setup, teardown),
                                       cmocka_unit_test_setup_teardown(test_wrong, setup, teardown)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
