/* Statistics against closed forms and against SciPy and mpmath (the figures with many digits). */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/random.h"
#include "experiments/runner/evaluation/statistics.h"
#include "tests/support/support.h"

static void near_within(double got, double expected, double tolerance)
{
    if (!(fabs(got - expected) <= tolerance * fmax(1, fabs(expected))))
        fail_msg("%.17g instead of %.17g", got, expected);
}
#define near(got, expected) near_within((got), (expected), 1e-12)

static void distributions(void **state)
{
    (void)state;
    near(vg_incomplete_beta(2, 3, 0.4), 0.5248);
    near(vg_incomplete_beta(0.5, 0.5, 0.1), 2 / acos(-1) * asin(sqrt(0.1)));
    near(vg_incomplete_beta(30, 2, 0.9), 0.1695646331008652);
    near(vg_incomplete_beta(200, 300, 0.41), 0.6776281647721865);
    near(vg_incomplete_beta(0.01, 5, 0.3), 0.9991442234826966);
    near(vg_incomplete_beta(3, 1, 0), 0);
    near(vg_incomplete_beta(3, 1, 1), 1);
    if (!isnan(vg_incomplete_beta(0, 1, 0.5)) || !isnan(vg_incomplete_beta(1, 1, 1.5)) ||
        !isnan(vg_incomplete_beta(1, 1, NAN)))
        fail_msg("out of range and not NaN");
    near(vg_t_cdf(2, 9), 0.9617235881146495);
    near(vg_t_cdf(-1.5, 3), 0.11529193262241141);
    near(vg_t_cdf(1e-4, 7), 0.50003849914501);
    near(vg_t_cdf(12, 30), 0.999999999999721);
    near(vg_t_cdf(0.3, 0.5), 0.5775704239347546);
    near(vg_t_cdf(1, 1), 0.75); /* Cauchy */
    near(vg_t_cdf(0, 3), 0.5);
    near(vg_normal_cdf(0), 0.5);
    near(vg_normal_cdf(1.959963984540054), 0.975);
}

static void quantiles(void **state)
{
    (void)state;
    /* By mpmath with 30 digits; SciPy 1.10 is up to 1e-9 off here. */
    near(vg_t_quantile(0.975, 9), 2.2621571627982055);
    near(vg_t_quantile(0.975, 1), tan(acos(-1) * 0.475));
    near(vg_t_quantile(0.975, 2.5), 3.5746548420036832);
    near(vg_t_quantile(0.9, 35), 1.3062118020160342);
    near(vg_t_quantile(0.999, 4), 7.1731822197823085);
    near(vg_t_quantile(0.6, 1000), 0.25341451583949877);
    near(vg_t_quantile(0.5, 3), 0);
    near(vg_t_quantile(0.025, 9), -vg_t_quantile(0.975, 9));
    for (double p = 0.01; p < 1; p += 0.007) near(vg_t_cdf(vg_t_quantile(p, 6), 6), p);
    if (!isnan(vg_t_quantile(0, 3)) || !isnan(vg_t_quantile(1, 3)) || !isnan(vg_t_quantile(0.5, 0)))
        fail_msg("out of range and not NaN");
}

static void summaries(void **state)
{
    (void)state;
    const double values[] = {2, NAN, 4, 4, 4, 5, 5, 7, 9, NAN};
    char text[80];
    vg_summary s = vg_summarize(values, 10);
    assert_int_equal(s.n, 8);
    assert_int_equal(s.missing, 2);
    near(s.mean, 5);
    near(s.sd, sqrt(32.0 / 7));
    double half = 2.3646242515927853 * sqrt(32.0 / 7 / 8); /* t(0.975, 7) */
    near(s.low, 5 - half);
    near(s.high, 5 + half);
    assert_string_equal(vg_summary_format(&s, 2, text, sizeof text), "5.00 ± 2.14 [3.21, 6.79]");
    s = vg_summarize(values, 1);
    near(s.mean, 2);
    if (!isnan(s.sd) || !isnan(s.low)) fail_msg("one value has no spread");
    assert_string_equal(vg_summary_format(&s, 3, text, sizeof text), "2.000");
    s = vg_summarize(values + 9, 1);
    assert_int_equal(s.n, 0);
    assert_string_equal(vg_summary_format(&s, 3, text, sizeof text), "-");
}

static double mean_of(const int64_t *indices, int64_t count, void *context)
{
    const double *values = context;
    double sum = 0;
    for (int64_t i = 0; i < count; i++) sum += values[indices[i]];
    return sum / (double)count;
}

/* The bootstrap's spread of a mean is known: sd * sqrt((n-1)/n / n) and nearly normal for 200 items. */
static void bootstrap_of_a_mean(void **state)
{
    (void)state;
    enum { N = 200 };
    double values[N];
    vg_random random = vg_random_make(3, 1, 0);
    for (int i = 0; i < N; i++) values[i] = vg_random_normal(&random);
    vg_summary s = vg_summarize(values, N);
    vg_bootstrap_interval interval, again, other;
    assert_ok(vg_bootstrap(NULL, N, mean_of, values, 20000, 0.95, 11, &interval));
    near(interval.estimate, s.mean);
    assert_int_equal(interval.clusters, N);
    double error = s.sd * sqrt((N - 1.0) / N / N);
    near_within(interval.low, s.mean - 1.96 * error, 0.05 * error);
    near_within(interval.high, s.mean + 1.96 * error, 0.05 * error);
    assert_ok(vg_bootstrap(NULL, N, mean_of, values, 20000, 0.95, 11, &again));
    assert_memory_equal(&interval, &again, sizeof again);
    assert_ok(vg_bootstrap(NULL, N, mean_of, values, 20000, 0.95, 12, &other));
    assert_true(other.low != interval.low);
}

/* Ten copies of each value are one piece of evidence, not ten: the interval must not shrink. */
static void bootstrap_keeps_groups_together(void **state)
{
    (void)state;
    enum { GROUPS = 30, EACH = 10 };
    double once[GROUPS], copies[GROUPS * EACH];
    int64_t ids[GROUPS * EACH];
    vg_random random = vg_random_make(5, 1, 0);
    for (int g = 0; g < GROUPS; g++) once[g] = vg_random_normal(&random);
    for (int i = 0; i < GROUPS * EACH; i++) {
        ids[i] = i % GROUPS;
        copies[i] = once[i % GROUPS];
    }
    vg_bootstrap_interval single, grouped, loose;
    assert_ok(vg_bootstrap(NULL, GROUPS, mean_of, once, 2000, 0.9, 1, &single));
    assert_ok(vg_bootstrap(ids, GROUPS * EACH, mean_of, copies, 2000, 0.9, 1, &grouped));
    assert_ok(vg_bootstrap(NULL, GROUPS * EACH, mean_of, copies, 2000, 0.9, 1, &loose));
    near(grouped.low, single.low); /* the same draws of the same clusters */
    near(grouped.high, single.high);
    assert_int_equal(grouped.clusters, GROUPS);
    assert_true(loose.high - loose.low < 0.5 * (grouped.high - grouped.low));
}

static double undefined_without_first(const int64_t *indices, int64_t count, void *context)
{
    (void)context;
    for (int64_t i = 0; i < count; i++)
        if (indices[i] == 0) return 1;
    return NAN;
}

static void bootstrap_edges(void **state)
{
    (void)state;
    const int64_t same[] = {4, 4, 4};
    double values[] = {1, 2, 3};
    vg_bootstrap_interval interval;
    assert_ok(vg_bootstrap(same, 3, mean_of, values, 100, 0.95, 1, &interval));
    near(interval.estimate, 2);
    if (!isnan(interval.low)) fail_msg("one group has no spread");
    assert_ok(vg_bootstrap(NULL, 3, undefined_without_first, NULL, 1000, 0.95, 1, &interval));
    assert_int_equal(interval.replicates, 1000);
    assert_in_range(interval.undefined, 230, 360); /* (2/3)^3 of them */
    near(interval.low, 1);
    assert_fails(vg_bootstrap(NULL, 0, mean_of, values, 100, 0.95, 1, &interval), VG_ERR_DATA, "item");
    assert_fails(vg_bootstrap(NULL, 3, mean_of, values, 0, 0.95, 1, &interval), VG_ERR_CONFIG, "replicate");
    assert_fails(vg_bootstrap(NULL, 3, mean_of, values, 9, 1, 1, &interval), VG_ERR_CONFIG, "level");
}

static void paired(void **state)
{
    (void)state;
    const double a[] = {1, 2, 2, -3, 4, 0, 5, -1, 6, 2}, zero[10] = {0};
    vg_comparison c;
    assert_ok(vg_compare_paired(a, zero, 10, &c));
    near(c.t, 2.076923076923077);
    near(c.p_t, 0.06760146305705539);
    near(c.t_folds, c.t / sqrt(1 + 10.0 / 9)); /* (1/n + 1/(n-1)) / (1/n) */
    assert_true(c.p_t_folds > c.p_t);
    near(c.w, 37.5);
    near(c.p_wilcoxon, 0.078125); /* by going through all 512 signs */
    assert_true(c.exact);
    assert_int_equal(c.ranked, 9);
    assert_int_equal(c.better, 7);
    assert_int_equal(c.worse, 2);
    assert_int_equal(c.same, 1);

    const double x[] = {1, 2, -3, 4, 5, 6, -7, 8, 9, 10, NAN};
    const double y[11] = {0};
    assert_ok(vg_compare_paired(x, y, 11, &c));
    near(c.p_wilcoxon, 0.083984375);
    near(c.w, 45);
    assert_int_equal(c.difference.missing, 1);
    assert_int_equal(c.difference.n, 10);

    double many[80], nothing[80] = {0};
    for (int i = 0; i < 80; i++) many[i] = (i * 37) % 23 - 8;
    assert_ok(vg_compare_paired(many, nothing, 80, &c));
    assert_false(c.exact);
    assert_int_equal(c.ranked, 77);
    near(c.w, 2149.5);
    near_within(c.p_wilcoxon, 0.0009911462721674622, 1e-13);
}

static void paired_edges(void **state)
{
    (void)state;
    const double a[] = {1, 2, 3}, b[] = {0, 1, 2}, lonely[] = {1, NAN, NAN};
    vg_comparison c;
    assert_ok(vg_compare_paired(a, b, 3, &c));
    assert_true(isinf(c.t) && c.t > 0);
    near(c.p_t, 0);
    near(c.p_wilcoxon, 0.25);
    assert_ok(vg_compare_paired(a, a, 3, &c));
    near(c.t, 0);
    near(c.p_t, 1);
    near(c.p_wilcoxon, 1);
    assert_int_equal(c.same, 3);
    assert_fails(vg_compare_paired(lonely, b, 3, &c), VG_ERR_DATA, "1 of 3");
    /* 50 ranks, the largest exact case: all positive is one of 2^50 ways, twice. */
    double all[50], zero[50] = {0};
    for (int i = 0; i < 50; i++) all[i] = i + 1;
    assert_ok(vg_compare_paired(all, zero, 50, &c));
    assert_true(c.exact);
    near_within(c.p_wilcoxon / ldexp(1, -49), 1, 1e-12);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(distributions),
        cmocka_unit_test(quantiles),
        cmocka_unit_test(summaries),
        cmocka_unit_test(bootstrap_of_a_mean),
        cmocka_unit_test(bootstrap_keeps_groups_together),
        cmocka_unit_test(bootstrap_edges),
        cmocka_unit_test(paired),
        cmocka_unit_test(paired_edges),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
