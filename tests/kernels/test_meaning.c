/* What `ref` computes, against numbers worked out by hand: everything else is compared with ref, so ref is
 * compared with the definitions. */
#include <math.h>
#include <string.h>

#include "tests/kernels/compare.h"
#include "tests/kernels/harness.h"

static vg_tensor values(int rank, const int64_t *dims, const double *from)
{
    vg_tensor tensor = zeros(rank, dims);
    memcpy(tensor.data, from, vg_tensor_bytes(&tensor));
    return tensor;
}

#define VALUES(dims, ...) values(dims, (const double[]){__VA_ARGS__})
#define EXPECT(tensor, ...)                                                                                  \
    do {                                                                                                     \
        const double expected_[] = {__VA_ARGS__};                                                            \
        assert_true(compare_close((tensor).data, (size_t)vg_tensor_count(&(tensor)), expected_,              \
                                  sizeof expected_ / sizeof *expected_, 1e-12));                             \
    } while (0)

static void convolution(void **state)
{
    (void)state;
    /* Two inputs, of which the second has weights 100 times larger; zero outside the signal. */
    vg_tensor x = VALUES(VG_DIMS(1, 3, 2), 1, 1, 2, 0, 3, 0), y = zeros(VG_DIMS(1, 3, 1));
    vg_tensor w = VALUES(VG_DIMS(1, 3, 2), 1, 100, 2, 200, 3, 300), b = VALUES(VG_DIMS(1), 0.5);
    assert_ok(VG_RUN(harness_ref, conv1d_forward, .x = x, .w = w, .b = b, .y = y));
    /* t = 0: middle 1*2 + 1*200, right 2*3; t = 1: left 1 + 100, middle 4, right 9; t = 2: left 2, middle 6
     */
    EXPECT(y, 208.5, 114.5, 8.5);
    harness_clear();
}

static void linear_and_activations(void **state)
{
    (void)state;
    vg_tensor x = VALUES(VG_DIMS(1, 2, 2), 1, 2, -1, 0), y = zeros(VG_DIMS(1, 2, 1));
    vg_tensor w = VALUES(VG_DIMS(1, 2), 3, -1), b = VALUES(VG_DIMS(1), 0), pre = zeros(VG_DIMS(1, 2, 1));
    assert_ok(VG_RUN(harness_ref, linear_forward, .x = x, .w = w, .b = b, .y = y));
    EXPECT(y, 1, -3);
    assert_ok(VG_RUN(harness_ref, linear_forward, .x = x, .w = w, .b = b, .y = y,
                     .activation = VG_ACTIVATION_RELU));
    EXPECT(y, 1, 0);
    assert_ok(VG_RUN(harness_ref, linear_forward, .x = x, .w = w, .b = b, .y = y, .pre = pre,
                     .activation = VG_ACTIVATION_GELU));
    EXPECT(y, 0.8413447460685429, -3 * 0.0013498980316300933); /* Phi(1), Phi(-3) from tables */
    EXPECT(pre, 1, -3);
    harness_clear();
}

static void attention(void **state)
{
    (void)state;
    /* One head of size 1. q0 = 0 looks at both tokens alike; q1 = 1 meets keys 0 and log 3, so 1/4 and 3/4.
     */
    vg_tensor qkv = VALUES(VG_DIMS(1, 2, 3, 1, 1), 0, 0, 10, 1, 1.0986122886681098, 20);
    vg_tensor out = zeros(VG_DIMS(1, 2, 1, 1)), lse = zeros(VG_DIMS(1, 1, 2));
    assert_ok(VG_RUN(harness_ref, attention_forward, .qkv = qkv, .out = out, .lse = lse, .scale = 1));
    EXPECT(out, 15, 17.5);
    EXPECT(lse, 0.6931471805599453, 1.3862943611198906);
    /* Two heads keep apart: token 0, then token 1; heads of q, heads of k, heads of v. */
    qkv = VALUES(VG_DIMS(1, 2, 3, 2, 1), 0, 1, 0, 0, 10, 100, 0, 1, 0, 1.0986122886681098, 20, 200);
    out = zeros(VG_DIMS(1, 2, 2, 1));
    lse = zeros(VG_DIMS(1, 2, 2));
    assert_ok(VG_RUN(harness_ref, attention_forward, .qkv = qkv, .out = out, .lse = lse, .scale = 1));
    EXPECT(out, 15, 175, 15, 175);
    harness_clear();
}

static void norms(void **state)
{
    (void)state;
    vg_tensor x = VALUES(VG_DIMS(1, 1, 2), 1, 5), gamma = VALUES(VG_DIMS(2), 1, 10);
    vg_tensor beta = VALUES(VG_DIMS(2), 0.5, 0), y = zeros(VG_DIMS(1, 1, 2)), mean = zeros(VG_DIMS(1, 1));
    vg_tensor rstd = zeros(VG_DIMS(1, 1)), z = zeros(VG_DIMS(1, 1, 2));
    assert_ok(VG_RUN(harness_ref, layernorm_forward, .x = x, .gamma = gamma, .beta = beta, .y = y,
                     .mean = mean, .rstd = rstd));
    EXPECT(y, -0.5, 10);
    EXPECT(mean, 3);
    EXPECT(rstd, 0.5);
    vg_tensor residual = VALUES(VG_DIMS(1, 1, 2), 1, 1);
    assert_ok(VG_RUN(harness_ref, residual_layernorm_forward, .x = x, .residual = residual, .gamma = gamma,
                     .beta = beta, .z = z, .y = y, .mean = mean, .rstd = rstd));
    EXPECT(z, 2, 6);
    EXPECT(y, -0.5, 10);
    assert_ok(VG_RUN(harness_ref, layernorm_forward, .x = x, .gamma = gamma, .beta = beta, .y = y,
                     .mean = mean, .rstd = rstd, .epsilon = 0.75F)); /* 1 / sqrt(4 + 0.75) */
    EXPECT(rstd, 0.45883146774112354);
    harness_clear();
}

static void tokens_and_pools(void **state)
{
    (void)state;
    vg_tensor x = VALUES(VG_DIMS(2, 2, 1), 1, 2, 3, 4), cls = VALUES(VG_DIMS(1), 100);
    vg_tensor position = VALUES(VG_DIMS(3, 1), 0.1, 0.2, 0.3), out = zeros(VG_DIMS(2, 3, 1));
    assert_ok(VG_RUN(harness_ref, tokens_forward, .x = x, .cls = cls, .position = position, .out = out));
    EXPECT(out, 100.1, 1.2, 2.3, 100.1, 3.2, 4.3);
    vg_tensor y = zeros(VG_DIMS(2, 1)), chosen = empty_like(y, VG_I32);
    x = VALUES(VG_DIMS(2, 4, 1), 9, 1, 5, 5, 9, -2, -1, -6);
    assert_ok(VG_RUN(harness_ref, pool_forward, .x = x, .y = y, .pool = VG_POOL_CLS));
    EXPECT(y, 9, 9);
    assert_ok(VG_RUN(harness_ref, pool_forward, .x = x, .y = y, .pool = VG_POOL_MEAN));
    EXPECT(y, 11.0 / 3, -3);
    assert_ok(VG_RUN(harness_ref, pool_forward, .x = x, .y = y, .pool = VG_POOL_LAST));
    EXPECT(y, 5, -6);
    assert_ok(VG_RUN(harness_ref, pool_forward, .x = x, .y = y, .chosen = chosen, .pool = VG_POOL_MAX));
    EXPECT(y, 5, -1);
    assert_int_equal(((int32_t *)chosen.data)[0], 2);
    assert_int_equal(((int32_t *)chosen.data)[1], 2);
    harness_clear();
}

static void losses(void **state)
{
    (void)state;
    vg_tensor stats = VALUES(VG_DIMS(2), 100, 10), mask = empty_like(zeros(VG_DIMS(1, 4)), VG_U8);
    memcpy(mask.data, (uint8_t[]){VG_MASK_FILLED, VG_MASK_VISIBLE, VG_MASK_RANDOM, VG_MASK_KEPT}, 4);
    vg_tensor prediction = VALUES(VG_DIMS(1, 4), 1, 50, 3, 4), target = VALUES(VG_DIMS(1, 4), 0, 0, 5, 4.5);
    vg_tensor dprediction = zeros(VG_DIMS(1, 4));
    assert_ok(VG_RUN(harness_ref, masked_mse, .prediction = prediction, .target = target, .mask = mask,
                     .dprediction = dprediction, .stats = stats));
    EXPECT(stats, 105.25, 13);
    EXPECT(dprediction, 2, 0, -4, -1);

    stats = zeros(VG_DIMS(2));
    vg_tensor logit = VALUES(VG_DIMS(3), 0, 800, -1.0986122886681098), label = VALUES(VG_DIMS(3), 1, 0, 0);
    vg_tensor dlogit = zeros(VG_DIMS(3));
    assert_ok(VG_RUN(harness_ref, bce, .logit = logit, .label = label, .dlogit = dlogit, .stats = stats));
    EXPECT(stats, 0.6931471805599453 + 800 + 0.2876820724517809, 3); /* log 2, 800, log(4/3) */
    EXPECT(dlogit, -0.5, 1, 0.25);
    harness_clear();
}

static void optimizer(void **state)
{
    (void)state;
    vg_tensor g = VALUES(VG_DIMS(2), 30, -40), sum = VALUES(VG_DIMS(1), 1);
    assert_ok(VG_RUN(harness_ref, grad_norm, .gradient = g, .sum = sum));
    EXPECT(sum, 2501);

    /* The first step of Adam goes lr in the direction of the sign, whatever the scale of the gradient. */
    vg_tensor p = VALUES(VG_DIMS(2), 1, 1), m = zeros(VG_DIMS(2)), v = zeros(VG_DIMS(2));
    vg_tensor count = VALUES(VG_DIMS(1), 10), norm = VALUES(VG_DIMS(1), 2500);
    assert_ok(VG_RUN(harness_ref, adamw, .parameter = p, .gradient = g, .m = m, .v = v, .count = count,
                     .lr = 0.1, .beta1 = 0.9, .beta2 = 0.99, .step = 1));
    EXPECT(p, 0.9, 1.1);
    EXPECT(m, 0.3, -0.4);
    EXPECT(v, 0.09, 0.16);

    /* Decoupled decay shrinks p by lr * decay first; the norm, 50 / 10 = 5, is clipped to 2.5 (to the 1e-6 of
     * PyTorch's formula), which halves m. */
    p = VALUES(VG_DIMS(2), 1, 1), m = zeros(VG_DIMS(2)), v = zeros(VG_DIMS(2));
    assert_ok(VG_RUN(harness_ref, adamw, .parameter = p, .gradient = g, .m = m, .v = v, .count = count,
                     .norm_squared = norm, .lr = 0.1, .beta1 = 0.9, .beta2 = 0.99, .weight_decay = 0.5,
                     .max_norm = 2.5, .step = 1, .decoupled = true));
    EXPECT(p, 0.85, 1.05);
    EXPECT(m, 0.15 * (5 / 5.000001), -0.2 * (5 / 5.000001));

    /* L2 decay goes through the moments: g = 3 + 2 * 1. */
    p = VALUES(VG_DIMS(2), 1, 1), m = zeros(VG_DIMS(2)), v = zeros(VG_DIMS(2));
    assert_ok(VG_RUN(harness_ref, adamw, .parameter = p, .gradient = g, .m = m, .v = v, .count = count,
                     .lr = 0.1, .beta1 = 0.9, .beta2 = 0.99, .weight_decay = 2, .step = 1));
    EXPECT(m, 0.5, -0.2);

    /* The second step: bias corrections 1 - 0.9^2 and 1 - 0.99^2. */
    p = VALUES(VG_DIMS(2), 0, 0), m = VALUES(VG_DIMS(2), 0.1, 0), v = VALUES(VG_DIMS(2), 0.01, 0);
    g = VALUES(VG_DIMS(2), 1, 0);
    assert_ok(VG_RUN(harness_ref, adamw, .parameter = p, .gradient = g, .m = m, .v = v, .lr = 1, .beta1 = 0.9,
                     .beta2 = 0.99, .step = 2, .epsilon = 1));
    EXPECT(p, -(0.19 / 0.19) / (sqrt(0.0199 / 0.0199) + 1), 0);

    count = VALUES(VG_DIMS(1), 0); /* nothing was masked: nothing happens */
    p = VALUES(VG_DIMS(2), 1, 1), m = VALUES(VG_DIMS(2), 2, 2), v = VALUES(VG_DIMS(2), 3, 3);
    assert_ok(VG_RUN(harness_ref, adamw, .parameter = p, .gradient = g, .m = m, .v = v, .count = count,
                     .lr = 1, .beta1 = 0.9, .beta2 = 0.99, .weight_decay = 0.1, .step = 2,
                     .decoupled = true));
    EXPECT(p, 1, 1);
    EXPECT(m, 2, 2);
    EXPECT(v, 3, 3);
    harness_clear();
}

/* Segments 2 and 0 of three, of two samples each. */
static void segments_of_a_signal(void **state)
{
    (void)state;
    vg_tensor signal = VALUES(VG_DIMS(5), 1, 2, 3, 5, 8), y = zeros(VG_DIMS(2, 2));
    vg_tensor mean = VALUES(VG_DIMS(3), 1, 0, 4), scale = VALUES(VG_DIMS(3), 10, 1, 0.5);
    vg_tensor start = empty_like(mean, VG_I64), index = empty_like(zeros(VG_DIMS(2)), VG_I64);
    for (int i = 0; i < 3; i++) ((int64_t *)start.data)[i] = i;
    ((int64_t *)index.data)[0] = 2;
    assert_ok(VG_RUN(harness_ref, gather, .signal = signal, .start = start, .mean = mean, .scale = scale,
                     .index = index, .y = y));
    EXPECT(y, -0.5, 0.5, 0, 10);
    harness_clear();
}

/* What is not a number goes through an activation and is not taken for 0. */
static void nan_is_kept(void **state)
{
    (void)state;
    vg_tensor x = VALUES(VG_DIMS(1, 1, 1), NAN), w = VALUES(VG_DIMS(1, 1), 1), b = VALUES(VG_DIMS(1), 0);
    vg_tensor y = zeros(VG_DIMS(1, 1, 1));
    assert_ok(VG_RUN(harness_ref, linear_forward, .x = x, .w = w, .b = b, .y = y,
                     .activation = VG_ACTIVATION_RELU));
    assert_true(isnan(*(double *)y.data));
    harness_clear();
}

/* bfloat16 data is read and written as such; sums are still double, and statistics float. */
static void bfloat16(void **state)
{
    (void)state;
    vg_tensor x = empty_like(zeros(VG_DIMS(1, 1, 2)), VG_BF16), w = empty_like(zeros(VG_DIMS(1, 2)), VG_BF16);
    vg_tensor b = empty_like(zeros(VG_DIMS(1)), VG_BF16), y = empty_like(zeros(VG_DIMS(1, 1, 1)), VG_BF16);
    for (int i = 0; i < 2; i++) {
        ((uint16_t *)x.data)[i] = vg_bf16_from_float(i ? 1 : 256);
        ((uint16_t *)w.data)[i] = vg_bf16_from_float(1);
    }
    assert_ok(VG_RUN(harness_ref, linear_forward, .x = x, .w = w, .b = b, .y = y));
    assert_true(vg_bf16_to_float(*(uint16_t *)y.data) == 256); /* 257 has nine bits: to the nearest even */
    ((uint16_t *)b.data)[0] = vg_bf16_from_float(1);
    assert_ok(VG_RUN(harness_ref, linear_forward, .x = x, .w = w, .b = b, .y = y));
    assert_true(vg_bf16_to_float(*(uint16_t *)y.data) == 258); /* 256 + 1 + 1, rounded once */

    vg_tensor gamma = w, beta = empty_like(w, VG_BF16), out = empty_like(x, VG_BF16);
    gamma.rank = beta.rank = 1;
    gamma.dims[0] = beta.dims[0] = 2;
    vg_tensor mean = empty_like(zeros(VG_DIMS(1, 1)), VG_F32), rstd = empty_like(mean, VG_F32);
    assert_ok(VG_RUN(harness_ref, layernorm_forward, .x = x, .gamma = gamma, .beta = beta, .y = out,
                     .mean = mean, .rstd = rstd));
    assert_true(*(float *)mean.data == 128.5F);
    assert_true(vg_bf16_to_float(((uint16_t *)out.data)[0]) == 1);
    harness_clear();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(convolution), cmocka_unit_test(linear_and_activations),
        cmocka_unit_test(attention),   cmocka_unit_test(norms),
        cmocka_unit_test(losses),      cmocka_unit_test(tokens_and_pools),
        cmocka_unit_test(optimizer),   cmocka_unit_test(nan_is_kept),
        cmocka_unit_test(bfloat16),    cmocka_unit_test(segments_of_a_signal),
    };
    return cmocka_run_group_tests(tests, harness_setup, harness_teardown);
}
