/* Philox against the published vectors; uniformity and shuffling against their statistics. The seed is fixed
 * unless VAGUS_TEST_SEED says otherwise, so a bound once passed stays passed; each is set where a correct
 * generator fails with a chance below 1e-6. */
#include <math.h>
#include <string.h>

#include "core/random.h"
#include "tests/support/support.h"

/* Known answers of philox4x32-10 from the Random123 distribution (Salmon et al., SC'11). */
static void test_known_answers(void **state)
{
    (void)state;
    static const struct {
        uint32_t counter[4], key[2], want[4];
    } cases[] = {
        {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
         {0xffffffff, 0xffffffff},
         {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
         {0xa4093822, 0x299f31d0},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const uint32_t *c = cases[i].counter, *k = cases[i].key;
        vg_philox draw = vg_philox_draw((uint64_t)k[1] << 32 | k[0], c[0], c[1], c[2], c[3]);
        for (int word = 0; word < 4; word++) assert_int_equal(draw.word[word], cases[i].want[word]);
    }
}

static void test_unit_interval(void **state)
{
    (void)state;
    assert_true(vg_random_unit(0) > 0 && vg_random_unit(0xffffffffu) < 1);
    vg_philox draw = {{0x00010002, 0x00030004, 0x00050006, 0x00070008}};
    static const uint32_t want[] = {2, 1, 4, 3, 6, 5, 8, 7};
    for (int lane = 0; lane < VG_RANDOM_LANES; lane++)
        assert_int_equal(vg_random_half(draw, lane), want[lane]);
}

/* Chi-square over 1000 bins: its mean is 999, its standard deviation sqrt(2 * 999) = 44.7. */
static void test_uniformity(void **state)
{
    (void)state;
    enum { BINS = 1000, DRAWS = 1000000 };
    static int bins[BINS];
    vg_random random = vg_random_make(support_seed(), VG_SITE_SYNTHETIC, 0);
    double sum = 0, squares = 0, lagged = 0, last = 0.5;
    for (int i = 0; i < DRAWS; i++) {
        double u = vg_random_uniform(&random);
        if (!(u > 0 && u < 1)) fail_msg("%g is not inside (0, 1)", u);
        bins[(int)(u * BINS)]++;
        sum += u;
        squares += (u - 0.5) * (u - 0.5);
        lagged += (u - 0.5) * (last - 0.5);
        last = u;
    }
    double chi = 0, expected = (double)DRAWS / BINS;
    for (int i = 0; i < BINS; i++) chi += (bins[i] - expected) * (bins[i] - expected) / expected;
    if (!(chi > 999 - 5 * 44.7 && chi < 999 + 5 * 44.7)) fail_msg("chi-square %g", chi);
    if (!(fabs(sum / DRAWS - 0.5) < 5 * sqrt(1.0 / 12 / DRAWS))) fail_msg("mean %g", sum / DRAWS);
    if (!(fabs(squares / DRAWS - 1.0 / 12) < 5 * sqrt(1.0 / 180 / DRAWS)))
        fail_msg("variance %g", squares / DRAWS);
    if (!(fabs(lagged / DRAWS) < 5.0 / 12 / sqrt(DRAWS))) fail_msg("autocorrelation %g", lagged / DRAWS);
}

static void test_normal(void **state)
{
    (void)state;
    enum { DRAWS = 500000 };
    vg_random random = vg_random_make(support_seed(), VG_SITE_INIT, 3);
    double moments[4] = {0};
    for (int i = 0; i < DRAWS; i++) {
        double x = vg_random_normal(&random), power = 1;
        for (int m = 0; m < 4; m++) moments[m] += (power *= x) / DRAWS;
    }
    static const double want[] = {0, 1, 0, 3}, spread[] = {1, 2, 15, 96}; /* of x, x^2, x^3, x^4 */
    for (int m = 0; m < 4; m++)
        if (!(fabs(moments[m] - want[m]) < 5 * sqrt(spread[m] / DRAWS)))
            fail_msg("moment %d: %g", m + 1, moments[m]);
}

/* A stream is a function of seed, site and number, and of nothing that was drawn elsewhere. */
static void test_streams(void **state)
{
    (void)state;
    uint64_t seed = support_seed();
    vg_random a = vg_random_make(seed, VG_SITE_SPLIT, 4), b = vg_random_make(seed, VG_SITE_SPLIT, 4);
    vg_random others[] = {vg_random_make(seed + 1, VG_SITE_SPLIT, 4), vg_random_make(seed, VG_SITE_INIT, 4),
                          vg_random_make(seed, VG_SITE_SPLIT, 5),
                          vg_random_make(seed ^ UINT64_C(1) << 40, VG_SITE_SPLIT, 4)};
    int same[4] = {0};
    for (int i = 0; i < 1000; i++) {
        uint32_t word = vg_random_word(&a);
        assert_int_equal(word, vg_random_word(&b));
        for (int k = 0; k < 4; k++) same[k] += word == vg_random_word(&others[k]);
    }
    for (int k = 0; k < 4; k++) assert_true(same[k] < 3);
}

static void test_below(void **state)
{
    (void)state;
    vg_random random = vg_random_make(support_seed(), VG_SITE_SEARCH, 0);
    int seen[7] = {0};
    for (int i = 0; i < 70000; i++) {
        uint64_t value = vg_random_below(&random, 7);
        assert_true(value < 7);
        seen[value]++;
    }
    double chi = 0;
    for (int i = 0; i < 7; i++) chi += (seen[i] - 10000.0) * (seen[i] - 10000.0) / 10000;
    if (!(chi < 42)) fail_msg("chi-square %g with 6 degrees of freedom", chi);
    for (int i = 0; i < 100; i++) assert_true(vg_random_below(&random, 1) == 0);
    /* A bound just above 2^63: naive reduction would draw the low half twice as often. */
    uint64_t bound = (UINT64_C(1) << 63) + (UINT64_C(1) << 62);
    int low = 0;
    for (int i = 0; i < 30000; i++) low += vg_random_below(&random, bound) < bound / 3;
    if (!(fabs(low - 10000.0) < 5 * sqrt(30000 * 2.0 / 9))) fail_msg("%d of 30000 in the lowest third", low);
}

/* All 24 orders of four items are equally likely: chi-square with 23 degrees of freedom. */
static void test_shuffle(void **state)
{
    (void)state;
    enum { ROUNDS = 48000 };
    vg_random random = vg_random_make(support_seed(), VG_SITE_SHUFFLE, 0);
    static int seen[256];
    for (int i = 0; i < ROUNDS; i++) {
        int64_t items[4] = {0, 1, 2, 3};
        vg_random_shuffle(&random, items, 4);
        assert_int_equal(1 << items[0] | 1 << items[1] | 1 << items[2] | 1 << items[3], 15);
        seen[items[0] << 6 | items[1] << 4 | items[2] << 2 | items[3]]++;
    }
    double chi = 0, expected = ROUNDS / 24.0;
    int orders = 0;
    for (int i = 0; i < 256; i++)
        if (seen[i]) {
            orders++;
            chi += (seen[i] - expected) * (seen[i] - expected) / expected;
        }
    assert_int_equal(orders, 24);
    if (!(chi < 75)) fail_msg("chi-square %g with 23 degrees of freedom", chi);
    vg_random_shuffle(&random, NULL, 0);
    int64_t one = 9;
    vg_random_shuffle(&random, &one, 1);
    assert_int_equal(one, 9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_answers), cmocka_unit_test(test_unit_interval),
        cmocka_unit_test(test_uniformity),    cmocka_unit_test(test_normal),
        cmocka_unit_test(test_streams),       cmocka_unit_test(test_below),
        cmocka_unit_test(test_shuffle),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
