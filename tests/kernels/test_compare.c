/* The comparator and the guards, on cases they must refuse. */
#include <math.h>

#include "tests/kernels/compare.h"
#include "tests/support/support.h"

static const double want[4] = {1, -2, 3, 0.5};

static void equal_passes(void **state)
{
    (void)state;
    assert_true(compare_close(want, 4, want, 4, 0));
    double near[4] = {1.0001, -2, 3, 0.5};
    assert_true(compare_close(near, 4, want, 4, 1e-3));
    assert_false(compare_close(near, 4, want, 4, 1e-5));
}

static void not_finite_fails(void **state)
{
    (void)state;
    const double bad[] = {NAN, -NAN, INFINITY, -INFINITY};
    for (int i = 0; i < 4; i++)
        for (int place = 0; place < 4; place++) {
            double got[4] = {1, -2, 3, 0.5};
            got[place] = bad[i];
            assert_false(compare_close(got, 4, want, 4, 1e300));
            assert_false(
                compare_close(want, 4, got, 4, 1e300)); /* a reference that is broken passes nothing */
            assert_false(compare_close(got, 4, got, 4, 1e300));
        }
    assert_false(compare_close(want, 4, want, 4, NAN));
}

static void wrong_fails(void **state)
{
    (void)state;
    double sign[4] = {1, 2, 3, 0.5}, zero[4] = {0}, swapped[4] = {-2, 1, 3, 0.5};
    assert_false(compare_close(sign, 4, want, 4, 1e-2));
    assert_false(compare_close(zero, 4, want, 4, 1e-2));
    assert_false(compare_close(swapped, 4, want, 4, 1e-2));
    assert_false(compare_close(want, 4, zero, 4, 1e-2)); /* nothing is near zero but zero */
    assert_true(compare_close(zero, 4, zero, 4, 0));
    assert_false(compare_close(want, 0, want, 0, 1)); /* comparing nothing shows nothing */
    assert_false(compare_close(want, 3, want, 4, 1));
    assert_false(compare_close(want, 4, want, 3, 1));
}

/* One wrong element among many hides in the norm, not in the maximum. */
static void one_of_many_fails(void **state)
{
    (void)state;
    static double got[100000], ones[100000];
    for (int i = 0; i < 100000; i++) got[i] = ones[i] = 1;
    got[99999] = 1.01;
    comparison c = compare(got, 100000, ones, 100000);
    assert_true(c.norm_error <= 1e-3 * c.norm);
    assert_false(compare_close(got, 100000, ones, 100000, 1e-3));
}

static void guards_see_a_stray_write(void **state)
{
    (void)state;
    vg_device *device;
    assert_ok(vg_device_create_host(&device));
    float content[3] = {1, 2, 3}, out[3] = {0};
    guarded block = guarded_make(device, content, sizeof content);
    assert_true(guarded_read(&block, out));
    assert_true(out[0] == 1 && out[2] == 3);
    assert_true(guarded_unchanged(&block));
    float *data = block.data;
    assert_true(isnan(data[3]) && isnan(data[-1])); /* a stray read is seen in the result */

    data[1] = 2.5F;
    assert_true(guarded_read(&block, out));
    assert_false(guarded_unchanged(&block));
    data[1] = 2;
    assert_true(guarded_unchanged(&block));

    float before = data[3];
    data[3] = 0; /* off by one, at the end and at the front */
    assert_false(guarded_read(&block, NULL));
    data[3] = before;
    assert_true(guarded_read(&block, NULL));
    ((unsigned char *)data)[-1] = 0;
    assert_false(guarded_read(&block, NULL));
    guarded_free(&block);

    block = guarded_make(device, NULL, 8);
    assert_true(isnan(((float *)block.data)[0]) && isnan(((float *)block.data)[1]));
    guarded_free(&block);
    block = guarded_make(device, NULL, 0);
    assert_true(guarded_read(&block, NULL));
    ((unsigned char *)block.data)[0] = 0;
    assert_false(guarded_read(&block, NULL));
    guarded_free(&block);
    vg_device_destroy(device);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_passes),
        cmocka_unit_test(not_finite_fails),
        cmocka_unit_test(wrong_fails),
        cmocka_unit_test(one_of_many_fails),
        cmocka_unit_test(guards_see_a_stray_write),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
