/* Kernels take 16 bytes at a time where the pointers allow it. The same call with pointers that do not has to
 * give the same result, through the other form of each kernel; the harness's buffers are all aligned. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/random.h"
#include "tests/cuda/emulated.h"
#include "tests/support/support.h"

enum { R = 9, C = 256, N = R * C, OFFSET = 4 /* bytes by which the second run's pointers are off */ };

static vg_device *device;
static vg_kernels *kernels;
static void *held[32];
static int held_count;

/* n numbers on the device, `shift` bytes behind an aligned place. */
static void *put(const void *host, size_t bytes, size_t shift)
{
    char *memory;
    assert_true(held_count < 32);
    assert_ok(vg_device_allocate(device, bytes + shift, (void **)&memory));
    held[held_count++] = memory;
    assert_ok(vg_device_copy(device, memory + shift, host, bytes, VG_COPY_TO_DEVICE));
    return memory + shift;
}

static void get(void *host, const void *memory, size_t bytes)
{
    assert_ok(vg_device_copy(device, host, memory, bytes, VG_COPY_TO_HOST));
    assert_ok(vg_device_synchronize(device));
}

static void let_go(void)
{
    while (held_count) vg_device_release(device, held[--held_count], 0);
}

static float *numbers(vg_random *random, size_t n)
{
    float *values = malloc(n * sizeof *values);
    assert_non_null(values);
    for (size_t i = 0; i < n; i++) values[i] = (float)vg_random_normal(random);
    return values;
}

static void near(const float *a, const float *b, size_t n, const char *what)
{
    for (size_t i = 0; i < n; i++) /* two orders of a float sum over a row, values of a few units */
        if (!(fabs((double)a[i] - (double)b[i]) <= 1e-5 * (1 + fabs((double)b[i]))))
            fail_msg("%s %zu: %g and %g", what, i, (double)a[i], (double)b[i]);
}

static void test_layernorm(void **state)
{
    (void)state;
    vg_random random = vg_random_make(support_seed(), VG_SITE_SYNTHETIC, 0);
    float *x = numbers(&random, N), *dy = numbers(&random, N), *gamma = numbers(&random, C);
    static float y[2][N], dx[2][N], dgamma[2][C], dbeta[2][C], mean[R], rstd[R];
    static const float nothing[C];
    for (size_t shifted = 0; shifted < 2; shifted++) {
        size_t s = shifted * OFFSET;
        int64_t row[] = {1, R, C}, statistic[] = {1, R}, channel[] = {C};
        vg_layernorm_forward_args forward = {
            .x = vg_tensor_make(put(x, sizeof y[0], s), VG_F32, 3, row),
            .gamma = vg_tensor_make(put(gamma, sizeof nothing, s), VG_F32, 1, channel),
            .beta = vg_tensor_make(put(nothing, sizeof nothing, s), VG_F32, 1, channel),
            .y = vg_tensor_make(put(x, sizeof y[0], s), VG_F32, 3, row),
            .mean = vg_tensor_make(put(mean, sizeof mean, s), VG_F32, 2, statistic),
            .rstd = vg_tensor_make(put(rstd, sizeof rstd, s), VG_F32, 2, statistic),
            .epsilon = 1e-5F,
            .activation = VG_ACTIVATION_GELU};
        assert_ok(kernels->table.layernorm_forward(kernels, &forward));
        vg_layernorm_backward_args backward = {
            .dy = vg_tensor_make(put(dy, sizeof y[0], s), VG_F32, 3, row),
            .x = forward.x,
            .gamma = forward.gamma,
            .beta = forward.beta,
            .mean = forward.mean,
            .rstd = forward.rstd,
            .dgamma = vg_tensor_make(put(nothing, sizeof nothing, s), VG_F32, 1, channel),
            .dbeta = vg_tensor_make(put(nothing, sizeof nothing, s), VG_F32, 1, channel),
            .activation = VG_ACTIVATION_GELU};
        backward.dx = backward.dy; /* in place: the sums over rows need dy before it is overwritten */
        assert_ok(kernels->table.layernorm_backward(kernels, &backward));
        get(y[shifted], forward.y.data, sizeof y[0]);
        get(dx[shifted], backward.dx.data, sizeof dx[0]);
        get(dgamma[shifted], backward.dgamma.data, sizeof dgamma[0]);
        get(dbeta[shifted], backward.dbeta.data, sizeof dbeta[0]);
        let_go();
    }
    near(y[1], y[0], N, "y");
    near(dx[1], dx[0], N, "dx");
    near(dgamma[1], dgamma[0], C, "dgamma");
    near(dbeta[1], dbeta[0], C, "dbeta");
    free(x);
    free(dy);
    free(gamma);
}

/* The sums are in double: their order is lost in the last places. */
static void test_sums(void **state)
{
    (void)state;
    vg_random random = vg_random_make(support_seed(), VG_SITE_SYNTHETIC, 1);
    float *p = numbers(&random, N), *t = numbers(&random, N);
    static unsigned char mask[N];
    static float dp[2][N];
    double stats[2][2], norm[2];
    for (int i = 0; i < N; i++) mask[i] = vg_random_word(&random) % 3 == 0;
    for (size_t shifted = 0; shifted < 2; shifted++) {
        size_t s = shifted * OFFSET;
        static const double nothing[2];
        int64_t row[] = {1, N}, flat[] = {N}, one[] = {1}, two[] = {2};
        vg_masked_mse_args args = {.prediction = vg_tensor_make(put(p, sizeof dp[0], s), VG_F32, 2, row),
                                   .target = vg_tensor_make(put(t, sizeof dp[0], s), VG_F32, 2, row),
                                   .mask = vg_tensor_make(put(mask, sizeof mask, shifted), VG_U8, 2, row),
                                   .dprediction = vg_tensor_make(put(p, sizeof dp[0], s), VG_F32, 2, row),
                                   .stats = vg_tensor_make(put(nothing, sizeof nothing, 0), VG_F64, 1, two)};
        assert_ok(kernels->table.masked_mse(kernels, &args));
        vg_grad_norm_args squares = {.gradient = vg_tensor_make(args.prediction.data, VG_F32, 1, flat),
                                     .sum = vg_tensor_make(put(nothing, sizeof *nothing, 0), VG_F64, 1, one)};
        assert_ok(kernels->table.grad_norm(kernels, &squares));
        get(dp[shifted], args.dprediction.data, sizeof dp[0]);
        get(stats[shifted], args.stats.data, sizeof stats[0]);
        get(&norm[shifted], squares.sum.data, sizeof *norm);
        let_go();
    }
    assert_memory_equal(dp[0], dp[1], sizeof dp[0]);
    assert_true(stats[0][1] > 0 && stats[0][1] == stats[1][1]);
    if (!(fabs(stats[0][0] - stats[1][0]) <= 1e-13 * stats[0][0]))
        fail_msg("%g and %g", stats[0][0], stats[1][0]);
    if (!(fabs(norm[0] - norm[1]) <= 1e-13 * norm[0])) fail_msg("%g and %g", norm[0], norm[1]);
    free(p);
    free(t);
}

/* Tokens, a pool and the mask's sum: nothing here depends on the form but the order of dcls, whose sum over
 * the batch is in double. */
static void test_tokens(void **state)
{
    (void)state;
    enum { B = 3, T = R - 1 };
    vg_random random = vg_random_make(support_seed(), VG_SITE_SYNTHETIC, 2);
    float *x = numbers(&random, B * T * C), *position = numbers(&random, R * C);
    static float out[2][B * R * C], dx[2][B * T * C], dcls[2][C], mean[2][B * C], spread[2][B * R * C];
    static const float nothing[C];
    static unsigned char mask[B * R * C];
    float learned[2];
    const int64_t numbered[B] = {7, 1, 100};
    for (size_t i = 0; i < sizeof mask; i++) mask[i] = vg_random_word(&random) % 3;
    for (size_t shifted = 0; shifted < 2; shifted++) {
        size_t s = shifted * OFFSET;
        vg_dropout drop = {.probability = 0.25F,
                           .site = VG_SITE_DROPOUT,
                           .segment = vg_tensor_make(put(numbered, sizeof numbered, 0), VG_I64, VG_DIMS(B))};
        vg_dropout after = drop;
        after.site++;
        vg_tokens_forward_args forward = {
            .x = vg_tensor_make(put(x, sizeof dx[0], s), VG_F32, VG_DIMS(B, T, C)),
            .cls = vg_tensor_make(put(position, sizeof nothing, s), VG_F32, VG_DIMS(C)),
            .position = vg_tensor_make(put(position, R * C * sizeof *x, s), VG_F32, VG_DIMS(R, C)),
            .out = vg_tensor_make(put(out, sizeof out[0], s), VG_F32, VG_DIMS(B, R, C)),
            .before = &drop,
            .after = &after};
        assert_ok(kernels->table.tokens_forward(kernels, &forward));
        get(out[shifted], forward.out.data, sizeof out[0]);
        vg_tokens_backward_args backward = {
            .dout = forward.out,
            .dx = forward.x,
            .dcls = vg_tensor_make(put(nothing, sizeof nothing, s), VG_F32, VG_DIMS(C)),
            .before = &drop,
            .after = &after};
        assert_ok(kernels->table.tokens_backward(kernels, &backward));
        get(dx[shifted], backward.dx.data, sizeof dx[0]);
        get(dcls[shifted], backward.dcls.data, sizeof dcls[0]);
        vg_mask_backward_args fill = {
            .dy = vg_tensor_make(forward.out.data, VG_F32, VG_DIMS(B, R * C)),
            .mask = vg_tensor_make(put(mask, sizeof mask, shifted), VG_U8, VG_DIMS(B, R * C)),
            .dlearned = vg_tensor_make(put(nothing, sizeof *nothing, s), VG_F32, VG_DIMS(1))};
        assert_ok(kernels->table.mask_backward(kernels, &fill));
        get(&learned[shifted], fill.dlearned.data, sizeof *learned);
        vg_pool_forward_args pool = {.x = forward.out,
                                     .y = vg_tensor_make(put(mean, sizeof mean[0], s), VG_F32, VG_DIMS(B, C)),
                                     .pool = VG_POOL_MEAN};
        assert_ok(kernels->table.pool_forward(kernels, &pool));
        get(mean[shifted], pool.y.data, sizeof mean[0]);
        vg_pool_backward_args unpool = {.dy = pool.y, .dx = forward.out, .pool = VG_POOL_MEAN};
        assert_ok(kernels->table.pool_backward(kernels, &unpool));
        get(spread[shifted], unpool.dx.data, sizeof spread[0]);
        let_go();
    }
    assert_memory_equal(out[0], out[1], sizeof out[0]);
    assert_memory_equal(dx[0], dx[1], sizeof dx[0]);
    assert_memory_equal(dcls[0], dcls[1], sizeof dcls[0]);
    assert_memory_equal(mean[0], mean[1], sizeof mean[0]);
    assert_memory_equal(spread[0], spread[1], sizeof spread[0]);
    near(&learned[1], &learned[0], 1, "dlearned");
    free(x);
    free(position);
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
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_layernorm), cmocka_unit_test(test_sums),
                                       cmocka_unit_test(test_tokens)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
