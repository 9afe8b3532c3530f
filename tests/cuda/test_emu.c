/* The emulator itself: what it computes right, and what it must complain of. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/random.h"
#include "core/tensor.h"
#include "tests/cuda/emulated.h"
#include "tests/cuda/tile.h"
#include "tests/support/support.h"

enum { ORDERS = 8 };

static vg_device *device;
static vg_kernels *kernels;
static vg_random source;

static int setup(void **state)
{
    (void)state;
    source = vg_random_make(support_seed(), VG_SITE_SYNTHETIC, 0);
    device = emulated_device_create();
    kernels = emulated_kernels_create(device);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    vg_kernels_destroy(kernels);
    vg_device_destroy(device);
    return 0;
}

static void *to_device(const void *host, size_t bytes)
{
    void *memory;
    assert_ok(vg_device_allocate(device, bytes, &memory));
    if (host) assert_ok(vg_device_copy(device, memory, host, bytes, VG_COPY_TO_DEVICE));
    return memory;
}

/* c = a b for numbers whose products and sums are exact in float, so that the result is compared with ==. */
static void product(int m, int n, int k, int bf16)
{
    size_t size_a = (size_t)(m * k), size_b = (size_t)(k * n), size_c = (size_t)(m * n);
    size_t element = bf16 ? 2 : 4;
    float *a = calloc(size_a, 4), *b = calloc(size_b, 4), *c = calloc(size_c, 4), *got = calloc(size_c, 4);
    uint16_t *short_a = calloc(size_a, 2), *short_b = calloc(size_b, 2);
    assert_true(a && b && c && got && short_a && short_b);
    for (size_t i = 0; i < size_a; i++) a[i] = (float)((int)(vg_random_word(&source) % 15) - 7);
    for (size_t i = 0; i < size_b; i++) b[i] = (float)((int)(vg_random_word(&source) % 15) - 7);
    for (size_t i = 0; i < size_a; i++) short_a[i] = vg_bf16_from_float(a[i]);
    for (size_t i = 0; i < size_b; i++) short_b[i] = vg_bf16_from_float(b[i]);
    for (int i = 0; i < m; i++)
        for (int l = 0; l < k; l++)
            for (int j = 0; j < n; j++) c[i * n + j] += a[i * k + l] * b[l * n + j];
    for (uint64_t order = 0; order <= ORDERS; order++) {
        emulated_set_order(order ? support_seed() + order : 0);
        void *on_a = to_device(bf16 ? (void *)short_a : (void *)a, size_a * element);
        void *on_b = to_device(bf16 ? (void *)short_b : (void *)b, size_b * element);
        float *on_c = to_device(NULL, size_c * 4);

        int error = bf16 ? tile_bf16(on_a, on_b, on_c, m, n, k, emulated_stream(kernels))
                         : tile_tf32(on_a, on_b, on_c, m, n, k, emulated_stream(kernels));
        assert_int_equal(error, 0);
        assert_ok(vg_device_copy(device, got, on_c, size_c * 4, VG_COPY_TO_HOST));
        assert_ok(vg_device_synchronize(device));
        for (size_t i = 0; i < size_c; i++)
            if (!(got[i] == c[i]))
                fail_msg("(%d, %d, %d): element %zu is %g, not %g", m, n, k, i, (double)got[i], (double)c[i]);
        vg_device_release(device, on_a, size_a * element);
        vg_device_release(device, on_b, size_b * element);
        vg_device_release(device, on_c, size_c * 4);
    }
    free(a);
    free(b);
    free(c);
    free(got);
    free(short_a);
    free(short_b);
}

static void test_bf16_product(void **state)
{
    (void)state;
    product(32, 16, 16, 1);
    product(1, 8, 8, 1);
    product(33, 24, 40, 1);
    product(65, 48, 88, 1);
}

static void test_tf32_product(void **state)
{
    (void)state;
    product(16, 8, 8, 0);
    product(1, 1, 1, 0);
    product(17, 9, 5, 0);
    product(33, 20, 31, 0);
}

/* Runs one of the wrong kernels in one order; the failure that the emulator reports, "" for none. */
static const char *failure_of(int what, uint64_t order)
{
    emulated_set_order(order);
    float values[64] = {0};
    float *memory = to_device(values, sizeof values);
    assert_ok(vg_device_synchronize(device));
    assert_int_equal(tile_wrong(what, memory, emulated_stream(kernels)), 0);
    vg_status status = vg_device_synchronize(device);
    const char *failure = emulated_take_failure();
    assert_true((status == VG_OK) == (*failure == 0));
    if (what == TILE_NOTHING) {
        assert_ok(vg_device_copy(device, values, memory, sizeof values, VG_COPY_TO_HOST));
        assert_ok(vg_device_synchronize(device));
        assert_true(values[0] == 35 && values[1] == 3);
    }
    vg_device_release(device, memory, sizeof values);
    return failure;
}

static void test_complaints(void **state)
{
    (void)state;
    static const struct {
        int what;
        const char *text;
    } wrongs[] = {{TILE_NOTHING, ""},
                  {TILE_BARRIER_IN_BRANCH, "no thread of the block can go on"},
                  {TILE_TWO_BARRIERS, "comes to the barrier at"},
                  {TILE_LANES_MISSING, "lane"},
                  {TILE_MISALIGNED, "not 16-byte aligned"},
                  {TILE_NEVER_WAITED, "not waited for"},
                  {TILE_OTHER_OPERATION, "while others of its warp wait in"},
                  {TILE_NOTHING, ""}};
    for (size_t i = 0; i < sizeof wrongs / sizeof *wrongs; i++)
        for (uint64_t order = 0; order <= ORDERS; order++) {
            const char *failure = failure_of(wrongs[i].what, order);
            if (!strstr(failure, wrongs[i].text) || (*failure != 0) != (*wrongs[i].text != 0))
                fail_msg("wrong kernel %d, order %d: \"%s\", expected \"%s\"", wrongs[i].what, (int)order,
                         failure, wrongs[i].text);
        }
}

/* Memory that nothing was written to is not-a-number; a full device says so. */
static void test_memory(void **state)
{
    (void)state;
    float got[3] = {0}, longer[4] = {0};
    float *memory = to_device(NULL, sizeof got);
    assert_true((uintptr_t)memory % 256 == 0);
    assert_ok(vg_device_copy(device, got, memory, sizeof got, VG_COPY_TO_HOST));
    assert_true(got[0] == 0); /* queued, not done */
    assert_ok(vg_device_synchronize(device));
    assert_true(isnan(got[0]) && isnan(got[2]));
    assert_ok(vg_device_zero(device, memory, sizeof got));
    assert_ok(vg_device_copy(device, got, memory, sizeof got, VG_COPY_TO_HOST));
    assert_ok(vg_device_synchronize(device));
    assert_true(got[0] == 0 && got[2] == 0);
    assert_fails(vg_device_copy(device, memory, longer, sizeof longer, VG_COPY_TO_DEVICE), VG_ERR_DEVICE,
                 "invalid argument");
    assert_fails(vg_device_copy(device, got, got, sizeof got, VG_COPY_TO_DEVICE), VG_ERR_DEVICE,
                 "invalid argument");
    void *too_much;
    assert_fails(vg_device_allocate(device, (size_t)1 << 40, &too_much), VG_ERR_MEMORY,
                 "has no 1048576.0 MiB left");
    vg_device_release(device, memory, sizeof got);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bf16_product),
        cmocka_unit_test(test_tf32_product),
        cmocka_unit_test(test_complaints),
        cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
