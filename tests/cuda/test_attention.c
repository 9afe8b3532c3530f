/* What test_ops.c does not ask of the attention kernels: pointers that are not 16-byte aligned, products in
 * tf32, scores beyond all measure, and lengths where the last tile holds one row or is full. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/random.h"
#include "tests/cuda/emulated.h"
#include "tests/support/support.h"

enum { B = 1, H = 2, MOST = 130 * 128 * 3 * H };

static vg_device *device;
static vg_kernels *kernels;
static void *held[16];
static int held_count;

/* n numbers on the device in the wanted type, `shift` elements behind an aligned place; not-a-number when
 * `values` is NULL. */
static vg_tensor put(const float *values, vg_dtype type, int rank, const int64_t *dims, size_t shift)
{
    vg_tensor tensor = vg_tensor_make(NULL, type, rank, dims);
    size_t n = (size_t)vg_tensor_count(&tensor), size = vg_dtype_size(type);
    char *memory, *host = malloc(n * size);
    assert_non_null(host);
    memset(host, 0xff, n * size);
    for (size_t i = 0; i < n && values; i++) {
        if (type == VG_BF16) ((uint16_t *)(void *)host)[i] = vg_bf16_from_float(values[i]);
        if (type == VG_F32) ((float *)(void *)host)[i] = values[i];
    }
    assert_true(held_count < 16);
    assert_ok(vg_device_allocate(device, (n + shift) * size, (void **)&memory));
    held[held_count++] = memory;
    tensor.data = memory + shift * size;
    assert_ok(vg_device_copy(device, tensor.data, host, n * size, VG_COPY_TO_DEVICE));
    assert_ok(vg_device_synchronize(device));
    free(host);
    return tensor;
}

static void get(float *to, vg_tensor tensor)
{
    size_t n = (size_t)vg_tensor_count(&tensor);
    assert_ok(vg_device_copy(device, to, tensor.data, n * vg_dtype_size(tensor.dtype), VG_COPY_TO_HOST));
    assert_ok(vg_device_synchronize(device));
    for (size_t i = n; i-- > 0 && tensor.dtype == VG_BF16;) {
        uint16_t bits;
        memcpy(&bits, (char *)to + 2 * i, 2);
        to[i] = vg_bf16_to_float(bits);
    }
}

typedef struct results {
    float out[MOST], dqkv[MOST], lse[MOST];
} results;

/* Forward and backward of B segments. */
static void run(results *r, const float *qkv, const float *dout, vg_dtype type, int64_t T, int64_t D,
                float scale, size_t shift)
{
    vg_attention_forward_args forward = {.qkv = put(qkv, type, VG_DIMS(B, T, 3, H, D), shift),
                                         .out = put(NULL, type, VG_DIMS(B, T, H, D), shift),
                                         .lse = put(NULL, VG_F32, VG_DIMS(B, H, T), shift),
                                         .scale = scale};
    assert_ok(kernels->table.attention_forward(kernels, &forward));
    vg_attention_backward_args backward = {.dout = put(dout, type, VG_DIMS(B, T, H, D), shift),
                                           .qkv = forward.qkv,
                                           .out = forward.out,
                                           .lse = forward.lse,
                                           .dqkv = put(NULL, type, VG_DIMS(B, T, 3, H, D), shift),
                                           .delta = put(NULL, VG_F32, VG_DIMS(B, H, T), shift),
                                           .scale = scale};
    assert_ok(kernels->table.attention_backward(kernels, &backward));
    get(r->out, forward.out);
    get(r->lse, forward.lse);
    get(r->dqkv, backward.dqkv);
    while (held_count) vg_device_release(device, held[--held_count], 0);
}

static results *new_results(void)
{
    results *r = calloc(1, sizeof *r);
    assert_non_null(r);
    return r;
}

static float *numbers(uint64_t stream, float size)
{
    vg_random random = vg_random_make(support_seed(), VG_SITE_SYNTHETIC, (uint32_t)stream);
    float *values = malloc(MOST * sizeof *values);
    assert_non_null(values);
    for (size_t i = 0; i < MOST; i++) values[i] = size * (float)vg_random_normal(&random);
    return values;
}

/* The form without vectors computes the same in the same order. */
static void test_misaligned(void **state)
{
    (void)state;
    float *qkv = numbers(0, 1), *dout = numbers(1, 1);
    results *aligned = new_results(), *shifted = new_results();
    for (int64_t D = 32; D <= 128; D *= 2)
        for (int bf16 = 0; bf16 < 2; bf16++) {
            run(aligned, qkv, dout, bf16 ? VG_BF16 : VG_F32, 33, D, 0.2F, 0);
            run(shifted, qkv, dout, bf16 ? VG_BF16 : VG_F32, 33, D, 0.2F, 1);
            assert_memory_equal(aligned, shifted, sizeof *aligned);
        }
    free(qkv);
    free(dout);
    free(aligned);
    free(shifted);
}

/* sqrt(sum (a - b)^2 / sum b^2) */
static double distance(const float *a, const float *b, size_t n)
{
    double error = 0, size = 0;
    for (size_t i = 0; i < n; i++) {
        double d = (double)a[i] - (double)b[i];
        error += d * d;
        size += (double)b[i] * (double)b[i];
    }
    return sqrt(error / size);
}

/* A factor in tf32 is right to 2^-11 of itself, and a sum of many such products to less, but scores of a few
 * units carry their error into the exponent. tf32 has to be asked for, and then it shows. */
static void test_tf32(void **state)
{
    (void)state;
    float *qkv = numbers(2, 1), *dout = numbers(3, 1);
    results *exact = new_results(), *rounded = new_results();
    for (int64_t D = 32; D <= 128; D *= 2) {
        const int64_t T = 65;
        kernels->tf32 = false;
        run(exact, qkv, dout, VG_F32, T, D, 1 / sqrtf((float)D), 0);
        kernels->tf32 = true;
        run(rounded, qkv, dout, VG_F32, T, D, 1 / sqrtf((float)D), 0);
        kernels->tf32 = false;
        double out = distance(rounded->out, exact->out, (size_t)(T * H * D));
        double gradient = distance(rounded->dqkv, exact->dqkv, (size_t)(3 * T * H * D));
        double lse = distance(rounded->lse, exact->lse, (size_t)(H * T));
        printf("D %3d: tf32 moves out by %.2g, the gradient by %.2g, lse by %.2g\n", (int)D, out, gradient,
               lse);
        assert_true(out > 1e-6 && gradient > 1e-6);
        if (!(out <= 0x1p-10 && gradient <= 0x1p-10 && lse <= 0x1p-12)) fail_msg("more than tf32 explains");
    }
    free(qkv);
    free(dout);
    free(exact);
    free(rounded);
}

/* Scores of 10^10: each query chooses one key, whose value is the result, whatever else would overflow. */
static void test_huge_scores(void **state)
{
    (void)state;
    const int64_t T = 70, D = 32;
    float *qkv = numbers(4, 1e5F), *dout = numbers(5, 1);
    results *r = new_results();
    for (int bf16 = 0; bf16 < 2; bf16++) {
        for (size_t i = 0; i < MOST; i++) qkv[i] = vg_bf16_to_float(vg_bf16_from_float(qkv[i]));
        run(r, qkv, dout, bf16 ? VG_BF16 : VG_F32, T, D, 1, 0);
        for (int64_t i = 0; i < T; i++)
            for (int64_t h = 0; h < H; h++) {
                int64_t chosen = 0;
                double most = -INFINITY;
                for (int64_t j = 0; j < T; j++) {
                    double score = 0;
                    for (int64_t d = 0; d < D; d++)
                        score +=
                            (double)qkv[(i * 3 * H + h) * D + d] * (double)qkv[((j * 3 + 1) * H + h) * D + d];
                    if (score > most) most = score, chosen = j;
                }
                for (int64_t d = 0; d < D; d++)
                    if (!(r->out[(i * H + h) * D + d] == qkv[((chosen * 3 + 2) * H + h) * D + d]))
                        fail_msg("query %d of head %d: not the value of key %d", (int)i, (int)h, (int)chosen);
                if (!(fabs((double)r->lse[h * T + i] - most) <= 1e-5 * fabs(most))) fail_msg("lse");
            }
        for (int64_t n = 0; n < T * 3 * H * D; n++)
            if (!isfinite(r->dqkv[n])) fail_msg("gradient %d is not finite", (int)n);
    }
    free(qkv);
    free(dout);
    free(r);
}

/* Equal keys have equal weights, 1 / T, so the result is the mean of the values: wrong by one value when a
 * row too many or too few is seen at the end of a tile. */
static void test_lengths(void **state)
{
    (void)state;
    static const int64_t lengths[] = {1, 15, 16, 17, 32, 63, 64, 65, 128, 129};
    float *qkv = numbers(6, 1), *dout = numbers(7, 1);
    results *r = new_results();
    for (size_t l = 0; l < sizeof lengths / sizeof *lengths; l++)
        for (int64_t D = 32; D <= 128; D *= 2)
            for (int bf16 = 0; bf16 < 2; bf16++) {
                const int64_t T = lengths[l];
                for (int64_t n = 0; n < T * 3 * H * D; n++)
                    if (n / (H * D) % 3 != 0)
                        qkv[n] = n / (H * D) % 3 == 1 ? 0.5F : (float)(n / D / H / 3 % 4);
                run(r, qkv, dout, bf16 ? VG_BF16 : VG_F32, T, D, 1, 0);
                double mean = 0;
                for (int64_t t = 0; t < T; t++) mean += (double)(t % 4) / (double)T;
                for (int64_t n = 0; n < T * H * D; n++)
                    if (!(fabs((double)r->out[n] - mean) <= (bf16 ? 0x1p-8 : 1e-6) * mean))
                        fail_msg("T %d D %d: %g is not the mean %g", (int)T, (int)D, (double)r->out[n], mean);
            }
    free(qkv);
    free(dout);
    free(r);
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
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_misaligned), cmocka_unit_test(test_tf32),
                                       cmocka_unit_test(test_huge_scores), cmocka_unit_test(test_lengths)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
