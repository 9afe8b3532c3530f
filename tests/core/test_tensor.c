/* Views and bfloat16. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/random.h"
#include "core/tensor.h"
#include "tests/support/support.h"

static void test_sizes(void **state)
{
    (void)state;
    assert_int_equal(vg_dtype_size(VG_F32), 4);
    assert_int_equal(vg_dtype_size(VG_F64), 8);
    assert_int_equal(vg_dtype_size(VG_BF16), 2);
    assert_int_equal(vg_dtype_size(VG_U8), 1);
    assert_int_equal(vg_dtype_size(VG_I32), 4);
    assert_int_equal(vg_dtype_size(VG_I64), 8);
    assert_string_equal(vg_dtype_name(VG_BF16), "BF16");
    vg_tensor scalar = vg_tensor_make(NULL, VG_F64, 0, NULL);
    assert_int_equal(vg_tensor_count(&scalar), 1);
    assert_int_equal(vg_tensor_bytes(&scalar), 8);
    vg_tensor empty = vg_tensor_make(NULL, VG_F32, VG_DIMS(3, 0, 5));
    assert_int_equal(vg_tensor_count(&empty), 0);
    vg_tensor large = vg_tensor_make(NULL, VG_U8, VG_DIMS(INT64_C(1) << 31, INT64_C(1) << 31));
    assert_true(vg_tensor_count(&large) == INT64_C(1) << 62);
}

static void test_reshape(void **state)
{
    (void)state;
    float memory[24];
    vg_tensor a = vg_tensor_make(memory, VG_F32, VG_DIMS(2, 3, 4));
    vg_tensor b = vg_tensor_reshape(a, VG_DIMS(6, 4));
    assert_ptr_equal(b.data, memory);
    assert_int_equal(b.rank, 2);
    assert_false(vg_tensor_same_shape(&a, &b));
    vg_tensor c = vg_tensor_reshape(b, VG_DIMS(2, 3, 4));
    assert_true(vg_tensor_same_shape(&a, &c));
    vg_tensor d = vg_tensor_make(memory, VG_F32, VG_DIMS(2, 4, 3));
    assert_false(vg_tensor_same_shape(&a, &d));
}

static void test_describe(void **state)
{
    (void)state;
    char text[80], small[8];
    vg_tensor tensor = vg_tensor_make(NULL, VG_F32, VG_DIMS(16, 1280, 64));
    assert_string_equal(vg_tensor_describe(&tensor, text, sizeof text), "(16, 1280, 64) F32");
    vg_tensor scalar = vg_tensor_make(NULL, VG_I64, 0, NULL);
    assert_string_equal(vg_tensor_describe(&scalar, text, sizeof text), "() I64");
    assert_true(strlen(vg_tensor_describe(&tensor, small, sizeof small)) < sizeof small);
}

static float from_bits(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static uint32_t to_bits(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

/* Every bfloat16 survives the way to float and back; a NaN stays one. */
static void test_bf16_round_trip(void **state)
{
    (void)state;
    for (uint32_t bits = 0; bits < 0x10000; bits++) {
        float value = vg_bf16_to_float((uint16_t)bits);
        uint16_t back = vg_bf16_from_float(value);
        if (isnan(value)) {
            if (!isnan(vg_bf16_to_float(back))) fail_msg("NaN %04x became %04x", bits, back);
            assert_int_equal(back & 0x8000, bits & 0x8000);
        } else if (back != bits) {
            fail_msg("%04x became %04x", bits, back);
        }
    }
}

static void test_bf16_rounding(void **state)
{
    (void)state;
    static const struct {
        uint32_t bits;
        uint16_t rounded;
    } cases[] = {
        {0x3f800000, 0x3f80}, /* 1 */
        {0x3f808000, 0x3f80}, /* half way: to even, down */
        {0x3f818000, 0x3f82}, /* half way: to even, up */
        {0x3f808001, 0x3f81}, /* just above half way */
        {0x3f807fff, 0x3f80}, /* just below */
        {0x7f7fffff, 0x7f80}, /* the largest float: infinity */
        {0xff7fffff, 0xff80}, /* and below */
        {0x7f800000, 0x7f80}, /* infinity */
        {0x80000000, 0x8000}, /* -0 */
        {0x00000001, 0x0000}, /* the smallest subnormal */
        {0x00018000, 0x0002}, /* subnormal, half way, to even */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(vg_bf16_from_float(from_bits(cases[i].bits)), cases[i].rounded);
    /* A NaN whose payload lies in the dropped half must not become infinity. */
    assert_true(isnan(vg_bf16_to_float(vg_bf16_from_float(from_bits(0x7f800001)))));
    assert_true(isnan(vg_bf16_to_float(vg_bf16_from_float(from_bits(0xff80ffff)))));
    assert_true(isnan(vg_bf16_to_float(vg_bf16_from_float(from_bits(0x7fffffff)))));
}

/* The rounded value is the nearest of its two neighbours, on random bits. */
static void test_bf16_is_nearest(void **state)
{
    (void)state;
    vg_random random = vg_random_make(support_seed(), VG_SITE_SYNTHETIC, 1);
    for (int i = 0; i < 200000; i++) {
        float value = from_bits(vg_random_word(&random));
        if (!isfinite(value)) continue;
        float low = from_bits(to_bits(value) & 0xffff0000u),
              high = from_bits((to_bits(value) & 0xffff0000u) + 0x10000u);
        float rounded = vg_bf16_to_float(vg_bf16_from_float(value));
        if (!isfinite(high)) continue;
        double error = fabs((double)rounded - value),
               best = fmin(fabs((double)low - value), fabs((double)high - value));
        if (!(error <= best)) fail_msg("%a rounds to %a", (double)value, (double)rounded);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes),         cmocka_unit_test(test_reshape),
        cmocka_unit_test(test_describe),      cmocka_unit_test(test_bf16_round_trip),
        cmocka_unit_test(test_bf16_rounding), cmocka_unit_test(test_bf16_is_nearest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
