/* A batch taken from a corpus that lies on the device has the bits of one that was uploaded. The argument
 * is the device, "cpu" without one; tests/cuda runs it on the emulated "cuda". */
#include "tests/models/tiny.h"

enum { SAMPLES = 400, SEGMENTS = 9, LENGTH = 23, BATCH = 3 };

static const char *device_name = "cpu";
static tiny_bench bench;
static float signal_there[SAMPLES];
static int64_t start[SEGMENTS];
static double mean[SEGMENTS], scale[SEGMENTS];
static const vg_resident_source source = {signal_there, SAMPLES, start, mean, scale, SEGMENTS, LENGTH};

static int setup(void **state)
{
    (void)state;
    vg_random random = vg_random_make(support_seed(), VG_SITE_SYNTHETIC, 0);
    assert_ok(vg_device_open(device_name, &bench.device));
    assert_ok(vg_kernels_create(bench.device, "auto", false, &bench.kernels));
    for (int i = 0; i < SAMPLES; i++) signal_there[i] = (float)(0.4 + 0.1 * vg_random_normal(&random));
    for (int s = 0; s < SEGMENTS; s++) {
        start[s] = s ? (int64_t)vg_random_below(&random, SAMPLES - LENGTH + 1) : SAMPLES - LENGTH;
        mean[s] = 0.4 + 0.1 * vg_random_normal(&random);
        scale[s] = 10 + vg_random_normal(&random);
    }
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    tiny_close(&bench);
    return 0;
}

static void same_bits(vg_tensor a, vg_tensor b)
{
    size_t bytes = vg_tensor_bytes(&a);
    unsigned char *both = malloc(2 * bytes);
    assert_int_equal(bytes, vg_tensor_bytes(&b));
    assert_ok(vg_device_copy(bench.device, both, a.data, bytes, VG_COPY_TO_HOST));
    assert_ok(vg_device_copy(bench.device, both + bytes, b.data, bytes, VG_COPY_TO_HOST));
    assert_ok(vg_device_synchronize(bench.device));
    assert_memory_equal(both, both + bytes, bytes);
    free(both);
}

static void check_type(vg_dtype dtype)
{
    vg_model_options options = tiny_options(VG_HEAD_CLASSIFICATION);
    options.dtype = dtype;
    assert_int_equal(options.config.segment_length, LENGTH);
    vg_model *loaded = tiny_model(&bench, &options, 1), *gathered = tiny_model(&bench, &options, 1);
    vg_resident resident;
    assert_ok(vg_resident_init(bench.device, &source, &resident));
    assert_int_equal(resident.slab.bytes, vg_resident_bytes(SAMPLES, SEGMENTS));
    static const int64_t batches[][BATCH] = {{0, 8, 3}, {5, 5, 1}, {7, 0, 0}};
    static const float labels[BATCH] = {1, 0, 1};
    for (int i = 0; i < 3; i++) {
        int64_t count = i == 2 ? 1 : BATCH;
        float host[BATCH * LENGTH];
        for (int64_t b = 0; b < count; b++)
            for (int64_t t = 0; t < LENGTH; t++) { /* as vg_corpus_segment() does it */
                int64_t s = batches[i][b];
                host[b * LENGTH + t] = (float)((signal_there[start[s] + t] - mean[s]) * scale[s]);
            }
        vg_model_batch up, there;
        assert_ok(vg_model_upload(loaded, count, host, batches[i], labels, &up));
        assert_ok(vg_model_gather(gathered, &resident, count, batches[i], labels, &there));
        same_bits(up.signal, there.signal);
        same_bits(up.segments, there.segments);
        same_bits(up.labels, there.labels);
    }
    vg_resident_free(&resident);
    vg_model_destroy(loaded);
    vg_model_destroy(gathered);
}

static void test_bits(void **state)
{
    (void)state;
    check_type(VG_F32);
    check_type(VG_BF16);
}

static void test_refusals(void **state)
{
    (void)state;
    vg_model_options options = tiny_options(VG_HEAD_RECONSTRUCTION);
    vg_model *model = tiny_model(&bench, &options, 1);
    vg_resident resident;
    vg_model_batch batch;
    assert_ok(vg_resident_init(bench.device, &source, &resident));
    const int64_t good = 0, negative = -1, beyond = SEGMENTS, many[BATCH + 1] = {0};
    assert_ok(vg_model_gather(model, &resident, 1, &good, NULL, &batch));
    assert_null(batch.labels.data);
    assert_fails(vg_model_gather(model, &resident, 1, &negative, NULL, &batch), VG_ERR_SHAPE, "segment -1");
    assert_fails(vg_model_gather(model, &resident, 1, &beyond, NULL, &batch), VG_ERR_SHAPE, "segment 9");
    assert_fails(vg_model_gather(model, &resident, BATCH + 1, many, NULL, &batch), VG_ERR_SHAPE,
                 "batch of 4");
    resident.segment_length++;
    assert_fails(vg_model_gather(model, &resident, 1, &good, NULL, &batch), VG_ERR_SHAPE, "24 samples");
    vg_resident_free(&resident);
    vg_model_destroy(model);

    vg_resident_source wrong = source;
    wrong.sample_count--;
    assert_fails(vg_resident_init(bench.device, &wrong, &resident), VG_ERR_SHAPE, "segment 0");
    vg_resident_free(&resident);
}

int main(int argc, char **argv)
{
    if (argc == 2) device_name = argv[1];
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_bits), cmocka_unit_test(test_refusals)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
