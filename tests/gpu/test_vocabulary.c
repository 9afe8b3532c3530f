/* The words of kernels/cuda/gpu.h on whatever device "cuda" is: mma, ldmatrix and cp.async with its filling
 * of zeros in the products of tests/cuda/tile.cu, whose factors are such that every sum is exact, so that
 * results are compared with ==; and barriers, shuffles and shared memory. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/random.h"
#include "kernels/cuda/device.h"
#include "kernels/kernels.h"
#include "tests/cuda/tile.h"
#include "tests/support/support.h"

enum { RUNS = 5 };

static vg_device *device;
static vg_random source;

static int setup(void **state)
{
    (void)state;
    source = vg_random_make(support_seed(), VG_SITE_SYNTHETIC, 0);
    if (vg_device_open("cuda", &device) == VG_OK) return 0;
    printf("skipped: %s\n", vg_cause());
    exit(77);
}

static int teardown(void **state)
{
    (void)state;
    vg_device_destroy(device);
    return 0;
}

/* `bytes` of device memory with what is given, else with bytes that make no small number. */
static void *on_device(const void *host, size_t bytes)
{
    void *memory, *poison = malloc(bytes);
    assert_non_null(poison);
    memset(poison, 0xff, bytes);
    assert_ok(vg_device_allocate(device, bytes, &memory));
    assert_ok(vg_device_copy(device, memory, host ? host : poison, bytes, VG_COPY_TO_DEVICE));
    free(poison);
    return memory;
}

static void fill(float *values, uint16_t *halves, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        values[i] = (float)((int)(vg_random_word(&source) % 15) - 7);
        halves[i] = vg_bf16_from_float(values[i]);
    }
}

static void product(int m, int n, int k, bool bf16)
{
    const size_t of_a = (size_t)(m * k), of_b = (size_t)(k * n), of_c = (size_t)(m * n), size = bf16 ? 2 : 4;
    float *a = calloc(of_a, 4), *b = calloc(of_b, 4), *want = calloc(of_c, 4), *got = calloc(of_c, 4);
    uint16_t *half_a = calloc(of_a, 2), *half_b = calloc(of_b, 2);
    struct CUstream_st *stream = vg__cuda_device_of(device)->stream;
    assert_true(a && b && want && got && half_a && half_b);
    fill(a, half_a, of_a);
    fill(b, half_b, of_b);
    for (int i = 0; i < m; i++)
        for (int l = 0; l < k; l++)
            for (int j = 0; j < n; j++) want[i * n + j] += a[i * k + l] * b[l * n + j];
    for (int run = 0; run < RUNS; run++) {
        void *device_a = on_device(bf16 ? (void *)half_a : (void *)a, of_a * size);
        void *device_b = on_device(bf16 ? (void *)half_b : (void *)b, of_b * size);
        float *device_c = on_device(NULL, of_c * 4);
        int error = bf16 ? tile_bf16(device_a, device_b, device_c, m, n, k, stream)
                         : tile_tf32(device_a, device_b, device_c, m, n, k, stream);
        if (error) fail_msg("the launch was refused with CUDA's error %d", error);
        assert_ok(vg_device_copy(device, got, device_c, of_c * 4, VG_COPY_TO_HOST));
        assert_ok(vg_device_synchronize(device));
        for (size_t i = 0; i < of_c; i++)
            if (!(got[i] == want[i]))
                fail_msg("%s (%d, %d, %d), run %d: element %zu is %g, not %g", bf16 ? "bf16" : "tf32", m, n,
                         k, run, i, (double)got[i], (double)want[i]);
        vg_device_release(device, device_a, of_a * size);
        vg_device_release(device, device_b, of_b * size);
        vg_device_release(device, device_c, of_c * 4);
    }
    free(a);
    free(b);
    free(want);
    free(got);
    free(half_a);
    free(half_b);
}

/* Whole tiles, then rows, columns and depths that end inside of one: there cp.async fills with zeros. */
static void test_bf16_product(void **state)
{
    (void)state;
    product(32, 16, 16, true);
    product(1, 8, 8, true);
    product(33, 24, 40, true);
    product(65, 48, 88, true);
}

static void test_tf32_product(void **state)
{
    (void)state;
    product(16, 8, 8, false);
    product(1, 1, 1, false);
    product(17, 9, 5, false);
    product(33, 20, 31, false);
}

/* Shared memory, a barrier of the block and one by number, a shuffle. */
static void test_barriers_and_shuffles(void **state)
{
    (void)state;
    float values[64] = {0};
    float *memory = on_device(values, sizeof values);
    assert_int_equal(tile_wrong(TILE_NOTHING, memory, vg__cuda_device_of(device)->stream), 0);
    assert_ok(vg_device_copy(device, values, memory, sizeof values, VG_COPY_TO_HOST));
    assert_ok(vg_device_synchronize(device));
    if (!(values[0] == 35 && values[1] == 3))
        fail_msg("the two warps' values are %g and %g, not 35 and 3", (double)values[0], (double)values[1]);
    vg_device_release(device, memory, sizeof values);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_barriers_and_shuffles),
        cmocka_unit_test(test_bf16_product),
        cmocka_unit_test(test_tf32_product),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
