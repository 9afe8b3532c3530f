/* The two predictions that need no training, on signals whose errors are known. */
#include <math.h>

#include "experiments/runner/training/masked_baselines.h"
#include "tests/support/support.h"

static void assert_close(double got, double want)
{
    if (!(fabs(got - want) <= 1e-12)) fail_msg("got %.17g, want %.17g", got, want);
}

/* A straight line is interpolated without error; the mean of what is visible (0, 1, 4, 5) is 2.5. */
static void test_line(void **state)
{
    (void)state;
    const float line[] = {0, 1, 2, 3, 4, 5};
    const uint8_t mask[] = {0, 0, 1, 3, 0, 0};
    vg_masked_baselines sums = {0};
    vg_masked_baselines_add(&sums, line, mask, 6);
    assert_close(sums.interpolation, 0);
    assert_close(sums.mean, 0.5);
    assert_int_equal(sums.count, 2);
    vg_masked_baselines_add(&sums, line, mask, 6);
    assert_close(sums.mean, 1);
    assert_int_equal(sums.count, 4);
}

/* Gaps at the ends hold the nearest visible sample. */
static void test_ends(void **state)
{
    (void)state;
    const float signal[] = {1, 2, 2, 7, 9};
    const uint8_t mask[] = {1, 0, 0, 0, 1};
    vg_masked_baselines sums = {0};
    vg_masked_baselines_add(&sums, signal, mask, 5);
    assert_close(sums.interpolation, 1 + 4);
    double mean = 11.0 / 3;
    assert_close(sums.mean, (1 - mean) * (1 - mean) + (9 - mean) * (9 - mean));
}

static void test_nothing_visible_or_masked(void **state)
{
    (void)state;
    const float signal[] = {3, -4};
    const uint8_t all[] = {1, 1}, none[] = {0, 0};
    vg_masked_baselines sums = {0};
    vg_masked_baselines_add(&sums, signal, none, 2);
    assert_int_equal(sums.count, 0);
    vg_masked_baselines_add(&sums, signal, all, 2);
    assert_close(sums.mean, 25);
    assert_close(sums.interpolation, 25);
    assert_int_equal(sums.count, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_line),
        cmocka_unit_test(test_ends),
        cmocka_unit_test(test_nothing_visible_or_masked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
