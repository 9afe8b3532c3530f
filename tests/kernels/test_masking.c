/* Masking on every backend: the share and the spans of the pretext task, what each kind of masked sample is
 * filled with, and that a segment's mask does not know where in a batch it stands. */
#include <math.h>
#include <string.h>

#include "tests/kernels/harness.h"

enum { T = 1280 };

static vg_kernels *kernels; /* the backend in hand */

/* Runs every test once on every backend. */
static void each_backend(void (*body)(void))
{
    for (int i = 0; vg_kernels_backend(i); i++) {
        assert_ok(vg_kernels_create(harness_device, vg_kernels_backend(i), false, &kernels));
        body();
        vg_kernels_destroy(kernels);
        harness_clear();
    }
}

static vg_tensor signal_of(int64_t B)
{
    vg_tensor from = normal(0.5, 1, VG_DIMS(B, T)), x = empty_like(from, VG_F32);
    for (int64_t i = 0; i < B * T; i++) ((float *)x.data)[i] = (float)((double *)from.data)[i];
    return x;
}

/* The paper's setting on B segments; the caller changes what it wants before mask(). */
static vg_mask_forward_args setting(int64_t B)
{
    vg_mask_forward_args args = {.x = signal_of(B),
                                 .segment = segments(B),
                                 .seed = vg_random_word(&harness_random),
                                 .epoch = 2,
                                 .start_probability = 0.0325F,
                                 .span = 20,
                                 .fill = VG_MASK_ZERO};
    args.y = empty_like(args.x, VG_F32);
    args.mask = empty_like(args.x, VG_U8);
    return args;
}

static void mask(const vg_mask_forward_args *args)
{
    assert_ok(kernels->table.mask_forward(kernels, args));
}

static void share_and_spans_body(void)
{
    int64_t B = HARNESS_REDUCED ? 200 : 1000;
    vg_mask_forward_args args = setting(B);
    mask(&args);
    const uint8_t *masks = args.mask.data;
    const float *x = args.x.data, *y = args.y.data;
    double masked = 0;
    for (int64_t b = 0; b < B; b++) {
        int64_t run = 0;
        for (int64_t t = 0; t < T; t++) {
            uint8_t m = masks[b * T + t];
            assert_true(m == VG_MASK_VISIBLE || m == VG_MASK_FILLED);
            assert_true(y[b * T + t] == (m ? 0 : x[b * T + t]));
            masked += m != 0;
            if (m) run++;
            if (!m && run) assert_true(run >= 20); /* only the end of the segment cuts a span */
            if (!m) run = 0;
        }
    }
    /* A sample is masked unless none of the 20 samples up to it starts a span: 1 - (1 - p)^min(t + 1, 20). */
    double expected = 0;
    for (int t = 0; t < T; t++) expected += (1 - pow(1 - 0.0325, t < 19 ? t + 1 : 20)) / T;
    masked /= (double)(B * T);
    if (!(fabs(masked - expected) <= 0.045 / sqrt((double)B) * 5)) /* 0.045: spread of a segment's share */
        fail_msg("%s masks %.4f of the samples, expected %.4f", kernels->backend, masked, expected);
    assert_true(fabs(masked - 0.48) < 0.02);
}

static void bert_shares_body(void)
{
    int64_t B = HARNESS_REDUCED ? 200 : 1000;
    vg_mask_forward_args args = setting(B);
    args.random_share = 0.1F;
    args.keep_share = 0.1F;
    args.span = 1; /* each sample decides alone, so the shares can be counted */
    args.start_probability = 0.5F;
    mask(&args);
    const uint8_t *masks = args.mask.data;
    const float *x = args.x.data, *y = args.y.data;
    double count[4] = {0}, same = 0;
    for (int64_t i = 0; i < B * T; i++) {
        count[masks[i]]++;
        if (masks[i] == VG_MASK_VISIBLE || masks[i] == VG_MASK_KEPT) assert_true(y[i] == x[i]);
        if (masks[i] == VG_MASK_FILLED) assert_true(y[i] == 0);
        if (masks[i] == VG_MASK_RANDOM) {
            bool found = false;
            for (int64_t t = 0; t < T && !found; t++) found = x[i / T * T + t] == y[i];
            assert_true(found);
            same += x[i] == y[i];
        }
    }
    double n = (double)(B * T), chosen = n - count[VG_MASK_VISIBLE], tolerance = 5 * 0.5 / sqrt(n / 2);
    assert_true(fabs(chosen / n - 0.5) <= tolerance);
    assert_true(fabs(count[VG_MASK_RANDOM] / chosen - 0.1) <= tolerance);
    assert_true(fabs(count[VG_MASK_KEPT] / chosen - 0.1) <= tolerance);
    assert_true(same <= 0.01 * count[VG_MASK_RANDOM] + 5); /* another sample, but for one in T */
}

static void fills_body(void)
{
    int64_t B = 50;
    vg_mask_forward_args args = setting(B);
    const uint8_t *masks = args.mask.data;
    const float *x = args.x.data, *y = args.y.data;
    args.learned = empty_like(zeros(VG_DIMS(1)), VG_F32);
    *(float *)args.learned.data = -7.5F;
    args.fill = VG_MASK_LEARNED;
    mask(&args);
    for (int64_t i = 0; i < B * T; i++) assert_true(y[i] == (masks[i] ? -7.5F : x[i]));

    args.fill = VG_MASK_MEAN;
    mask(&args);
    for (int64_t b = 0; b < B; b++) {
        double sum = 0, n = 0;
        for (int64_t t = 0; t < T; t++) {
            if (masks[b * T + t]) continue;
            sum += (double)x[b * T + t];
            n++;
        }
        for (int64_t t = 0; t < T; t++)
            if (masks[b * T + t]) assert_true(fabs((double)y[b * T + t] - sum / n) <= 1e-5);
    }

    args.fill = VG_MASK_NOISE;
    mask(&args);
    double sum = 0, squares = 0, n = 0;
    for (int64_t i = 0; i < B * T; i++) {
        if (!masks[i]) continue;
        sum += (double)y[i];
        squares += (double)y[i] * (double)y[i];
        n++;
    }
    assert_true(fabs(sum / n) <= 5 / sqrt(n));
    assert_true(fabs(squares / n - 1) <= 5 * sqrt(2 / n));

    args.start_probability = 1; /* nothing is visible: a mean of nothing is 0 */
    args.fill = VG_MASK_MEAN;
    mask(&args);
    for (int64_t i = 0; i < B * T; i++) assert_true(masks[i] == VG_MASK_FILLED && y[i] == 0);
}

static void segment_body(void)
{
    enum { B = 7 };
    vg_mask_forward_args args = setting(B);
    args.random_share = 0.2F;
    args.fill = VG_MASK_NOISE;
    mask(&args);
    for (int64_t b = 0; b < B; b++) { /* alone, the same segment is masked alike */
        vg_mask_forward_args alone = args;
        alone.x = vg_tensor_make((float *)args.x.data + b * T, VG_F32, VG_DIMS(1, T));
        alone.segment = vg_tensor_make((int64_t *)args.segment.data + b, VG_I64, VG_DIMS(1));
        alone.y = empty_like(alone.x, VG_F32);
        alone.mask = empty_like(alone.x, VG_U8);
        mask(&alone);
        assert_memory_equal(alone.mask.data, (uint8_t *)args.mask.data + b * T, T);
        assert_memory_equal(alone.y.data, (float *)args.y.data + b * T, T * sizeof(float));
        if (b) assert_memory_not_equal(alone.mask.data, args.mask.data, T);
    }
    vg_mask_forward_args later = args, other = args;
    later.epoch++;
    later.mask = empty_like(args.x, VG_U8);
    mask(&later);
    assert_memory_not_equal(later.mask.data, args.mask.data, B * T);
    other.seed++;
    other.mask = empty_like(args.x, VG_U8);
    mask(&other);
    assert_memory_not_equal(other.mask.data, args.mask.data, B * T);
}

#define TEST(name)                                                                                           \
    static void name(void **state)                                                                           \
    {                                                                                                        \
        (void)state;                                                                                         \
        each_backend(name##_body);                                                                           \
    }
TEST(share_and_spans)
TEST(bert_shares)
TEST(fills)
TEST(segment)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(share_and_spans),
        cmocka_unit_test(bert_shares),
        cmocka_unit_test(fills),
        cmocka_unit_test(segment),
    };
    return cmocka_run_group_tests(tests, harness_setup, harness_teardown);
}
