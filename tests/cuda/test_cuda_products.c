/* The matrix products of kernels/cuda/products.h by themselves. Factors are small integers, so that every sum
 * is exact in every arithmetic and any order, and results are compared with ==: true float, tf32 and bf16,
 * small and large tiles, aligned and unaligned pointers, several tiles in each direction, filters longer than
 * one tile's halo. Then the passes for a library's products. */
#include <stdlib.h>
#include <string.h>

#include "core/random.h"
#include "kernels/cuda/products.h"
#include "tests/cuda/emulated.h"
#include "tests/support/support.h"

static vg_device *device;
static vg_kernels *kernels;
static vg_random numbers;

/* Integers from -3 to 3. */
static float *integers(int64_t count)
{
    float *values = malloc((size_t)count * sizeof *values);
    assert_non_null(values);
    for (int64_t i = 0; i < count; i++) values[i] = (float)(vg_random_word(&numbers) % 7) - 3;
    return values;
}

/* `count` numbers on the device in a type, one element behind an aligned place when `shifted`. */
typedef struct placed {
    char *memory;
    size_t bytes;
    vg_dtype type;
    bool shifted;
} placed;

static void *data_of(placed p)
{
    return p.memory + (p.shifted ? vg_dtype_size(p.type) : 0);
}

static placed put(const float *values, int64_t count, vg_dtype type, bool shifted)
{
    size_t size = vg_dtype_size(type);
    placed p = {.bytes = (size_t)count * size, .type = type, .shifted = shifted};
    char *image = malloc(p.bytes + 1);
    assert_non_null(image);
    for (int64_t i = 0; i < count; i++) {
        uint16_t half = vg_bf16_from_float(values[i]);
        memcpy(image + (size_t)i * size, type == VG_BF16 ? (const void *)&half : &values[i], size);
    }
    assert_ok(vg_device_allocate(device, p.bytes + size, (void **)&p.memory));
    assert_ok(vg_device_copy(device, data_of(p), image, p.bytes, VG_COPY_TO_DEVICE));
    assert_ok(vg_device_synchronize(device));
    free(image);
    return p;
}

/* The numbers, and the memory goes. */
static float *take(placed p)
{
    size_t size = vg_dtype_size(p.type), count = p.bytes / size;
    char *image = malloc(p.bytes + 1);
    float *values = malloc(count * sizeof *values + 1);
    assert_true(image && values);
    assert_ok(vg_device_copy(device, image, data_of(p), p.bytes, VG_COPY_TO_HOST));
    assert_ok(vg_device_synchronize(device));
    for (size_t i = 0; i < count; i++) {
        uint16_t half;
        memcpy(&half, image + i * size, sizeof half);
        if (p.type == VG_BF16)
            values[i] = vg_bf16_to_float(half);
        else
            memcpy(&values[i], image + i * size, sizeof *values);
    }
    vg_device_release(device, p.memory, p.bytes + size);
    free(image);
    return values;
}

static void expect(placed p, const float *want, const char *what, const vg__product *product)
{
    size_t count = p.bytes / vg_dtype_size(p.type);
    float *got = take(p);
    for (size_t i = 0; i < count; i++) {
        float rounded = p.type == VG_BF16 ? vg_bf16_to_float(vg_bf16_from_float(want[i])) : want[i];
        if (!(got[i] == rounded))
            fail_msg("%s[%zu] is %g and not %g: type %d, tf32 %d, B %d, T %d, I %d, O %d, K %d, tile %d, %s",
                     what, i, (double)got[i], (double)rounded, (int)product->type, product->tf32,
                     (int)product->B, (int)product->T, (int)product->I, (int)product->O, (int)product->K,
                     (int)product->tile, p.shifted ? "not aligned" : "aligned");
    }
    free(got);
}

typedef struct exact {
    float *x, *w, *b, *dy, *y, *dx, *dw; /* dx and dw with what was in them before */
    float *dx_before, *dw_before;
} exact;

static float *copy(const float *values, int64_t count)
{
    float *to = malloc((size_t)count * sizeof *to);
    assert_non_null(to);
    return memcpy(to, values, (size_t)count * sizeof *to);
}

static exact work_out(const vg__product *p)
{
    int64_t B = p->B, T = p->T, I = p->I, O = p->O, K = p->K;
    exact e = {
        .x = integers(B * T * I), .w = integers(O * K * I), .b = integers(O), .dy = integers(B * T * O)};
    e.dx_before = integers(B * T * I);
    e.dw_before = integers(O * K * I);
    e.y = calloc((size_t)(B * T * O), sizeof *e.y);
    e.dx = copy(e.dx_before, B * T * I);
    e.dw = copy(e.dw_before, O * K * I);
    assert_non_null(e.y);
    for (int64_t n = 0; n < B * T; n++)
        for (int64_t o = 0; o < O; o++) {
            e.y[n * O + o] = e.b[o];
            for (int64_t k = 0; k < K; k++) {
                int64_t from = n % T + k - (K - 1) / 2, at = n + k - (K - 1) / 2;
                if (from < 0 || from >= T) continue;
                for (int64_t i = 0; i < I; i++) {
                    e.y[n * O + o] += e.x[at * I + i] * e.w[(o * K + k) * I + i];
                    e.dx[at * I + i] += e.dy[n * O + o] * e.w[(o * K + k) * I + i];
                    e.dw[(o * K + k) * I + i] += e.dy[n * O + o] * e.x[at * I + i];
                }
            }
        }
    return e;
}

static void check(vg__product p, const exact *e, bool shifted)
{
    vg__cuda *cuda = vg__cuda_of(kernels);
    int64_t rows = p.B * p.T, weights = p.O * p.K * p.I;
    placed x = put(e->x, rows * p.I, p.type, shifted), w = put(e->w, weights, p.type, shifted);
    placed b = put(e->b, p.O, p.type, shifted), y = put(e->dy, rows * p.O, p.type, shifted);
    vg__finish finish = {.bias = data_of(b), .R = p.T};
    assert_ok(vg__own_forward(cuda, &p, data_of(x), data_of(w), &finish, data_of(y)));
    expect(y, e->y, "y", &p);
    placed dy = put(e->dy, rows * p.O, p.type, shifted), dx = put(e->dx_before, rows * p.I, p.type, shifted);
    assert_ok(vg__own_dx(cuda, &p, data_of(dy), data_of(w), data_of(dx), true));
    expect(dx, e->dx, "dx", &p);
    placed dw = put(e->dw_before, weights, VG_F32, shifted);
    void *scratch;
    assert_ok(cuda->scratch(cuda, vg__own_dw_scratch(&p), &scratch));
    assert_ok(vg__own_dw(cuda, &p, data_of(dy), data_of(x), data_of(dw), scratch));
    expect(dw, e->dw, "dw", &p);
    placed inputs[] = {x, w, b, dy};
    for (size_t i = 0; i < sizeof inputs / sizeof *inputs; i++) free(take(inputs[i]));
}

/* {B, T, I, O, K}; fewer and smaller where a sanitizer makes everything ten times slower. The widest is of
 * the kind that the gradient of the positions is. */
static const int sizes[][5] = {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    {1, 70, 40, 72, 1}, {1, 20, 9, 7, 35}, {3, 11, 1, 24, 1}, {1, 40, 1, 8, 65}
#else
    {1, 150, 72, 136, 1}, {2, 70, 40, 72, 5},  {1, 140, 9, 70, 35}, {2, 33, 16, 24, 101}, {3, 47, 24, 1, 1},
    {3, 50, 1, 72, 1},    {2, 140, 1, 20, 65}, {1, 200, 1, 72, 99}, {3, 1, 1, 70024, 1}
#endif
};

static void test_products(void **state)
{
    (void)state;
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        const int *size = sizes[s];
        vg__product p = {"test",  VG_F32,  false,   size[0],          size[1],
                         size[2], size[3], size[4], VG__TILE_BY_SHAPE};
        exact e = work_out(&p);
        for (int arithmetic = 0; arithmetic < 3; arithmetic++)
            for (int tile = VG__TILE_SMALL; tile <= VG__TILE_LARGE; tile++)
                for (int shifted = 0; shifted < 2; shifted++) {
                    p.type = arithmetic == 2 ? VG_BF16 : VG_F32;
                    p.tf32 = arithmetic == 1;
                    p.tile = (vg__tile)tile;
                    check(p, &e, shifted);
                }
        float *all[] = {e.x, e.w, e.b, e.dy, e.y, e.dx, e.dw, e.dx_before, e.dw_before};
        for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
    }
}

/* What a library's product goes through gives the bits of our own kernel's ending. */
static void test_finish(void **state)
{
    (void)state;
    enum { B = 2, R = 13, I = 16, O = 24 };
    vg__cuda *cuda = vg__cuda_of(kernels);
    vg__product p = {"test", VG_F32, false, B, R, I, O, 1, VG__TILE_BY_SHAPE};
    exact e = work_out(&p);
    int64_t segments[B] = {5, 9}, dims[] = {B};
    void *segments_dev;
    assert_ok(vg_device_allocate(device, sizeof segments, &segments_dev));
    assert_ok(vg_device_copy(device, segments_dev, segments, sizeof segments, VG_COPY_TO_DEVICE));
    vg_dropout dropout = {0.25F, VG_SITE_DROPOUT, 7, 3, vg_tensor_make(segments_dev, VG_I64, 1, dims)};
    for (int shifted = 0; shifted < 2; shifted++) {
        placed x = put(e.x, B * R * I, VG_F32, false), w = put(e.w, O * I, VG_F32, false);
        placed b = put(e.b, O, VG_F32, shifted), y[2], pre[2];
        float *got[4];
        for (int i = 0; i < 2; i++) {
            y[i] = put(e.dy, B * R * O, VG_F32, shifted);
            pre[i] = put(e.dy, B * R * O, VG_F32, shifted);
            vg__finish whole = {data_of(b), data_of(pre[i]), VG_ACTIVATION_GELU, &dropout, R};
            vg__finish nothing = {.R = R};
            assert_ok(
                vg__own_forward(cuda, &p, data_of(x), data_of(w), i ? &nothing : &whole, data_of(y[i])));
            if (i) assert_ok(vg__cuda_finish(cuda, "test", VG_F32, B * R, O, &whole, data_of(y[i])));
            got[i] = take(y[i]);
            got[2 + i] = take(pre[i]);
        }
        assert_memory_equal(got[0], got[1], B * R * O * sizeof(float));
        assert_memory_equal(got[2], got[3], B * R * O * sizeof(float));
        for (int i = 0; i < 4; i++) free(got[i]);
        placed inputs[] = {x, w, b};
        for (size_t i = 0; i < sizeof inputs / sizeof *inputs; i++) free(take(inputs[i]));
    }
    vg_device_release(device, segments_dev, sizeof segments);
    float *all[] = {e.x, e.w, e.b, e.dy, e.y, e.dx, e.dw, e.dx_before, e.dw_before};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
}

/* tf32 has 10 bits of mantissa: 1 + 2^-12 counts as 1. Only who asked for it gets that. */
static void test_rounding(void **state)
{
    (void)state;
    enum { R = 3, I = 8, O = 2 };
    float near_one[R * I], ones[O * I], want[2][R * O];
    for (int i = 0; i < R * I; i++) near_one[i] = 1 + 0x1p-12F;
    for (int i = 0; i < O * I; i++) ones[i] = 1;
    for (int i = 0; i < R * O; i++) want[0][i] = I * near_one[0], want[1][i] = I;
    for (int tf32 = 0; tf32 < 2; tf32++) {
        vg__product p = {"test", VG_F32, tf32, 1, R, I, O, 1, VG__TILE_BY_SHAPE};
        vg__finish nothing = {.R = R};
        placed x = put(near_one, R * I, VG_F32, false), w = put(ones, O * I, VG_F32, false);
        placed y = put(near_one, R * O, VG_F32, false);
        assert_ok(vg__own_forward(vg__cuda_of(kernels), &p, data_of(x), data_of(w), &nothing, data_of(y)));
        expect(y, want[tf32], "y", &p);
        free(take(x));
        free(take(w));
    }
}

/* More rows than 32 bits count are refused before anything is launched. */
static void test_refusal(void **state)
{
    (void)state;
    vg__product p = {"test", VG_F32, false, 1 << 16, 1 << 16, 64, 64, 3, VG__TILE_BY_SHAPE};
    vg__finish nothing = {.R = p.T};
    assert_int_equal(vg__own_forward(vg__cuda_of(kernels), &p, NULL, NULL, &nothing, NULL),
                     VG_ERR_UNSUPPORTED);
    assert_non_null(strstr(vg_cause(), "smaller batch"));
}

static int setup(void **state)
{
    (void)state;
    device = emulated_device_create();
    kernels = emulated_kernels_create(device);
    numbers = vg_random_make(support_seed(), VG_SITE_SYNTHETIC, 0);
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
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_products), cmocka_unit_test(test_finish),
                                       cmocka_unit_test(test_rounding), cmocka_unit_test(test_refusal)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
