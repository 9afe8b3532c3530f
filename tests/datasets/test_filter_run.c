/* Filters that run side by side give what each gives alone, to the bit: held against the plainest loop there
 * is. And the sums, extremes and medians of signal/numbers.h against theirs. */
#include <math.h>
#include <string.h>

#include "core/random.h"
#include "datasets/signal/filter.h"
#include "datasets/signal/numbers.h"
#include "tests/support/support.h"

enum { N = 2000, MOST = VG_FILTER_MOST_AT_ONCE };

static double uniform(vg_random *random)
{
    return 2 * vg_random_uniform(random) - 1;
}

/* One pass over y[0..n), sample by sample and section by section, begun in the steady state of y[0]. */
static void pass(const vg_filter *filter, double *y, int64_t n)
{
    double first = y[0], level = 1;
    for (int s = 0; s < filter->sections; s++) {
        const double *c = filter->section[s];
        const double out = level * (c[0] + c[1] + c[2]) / (1.0 + c[4] + c[5]);
        const double z1 = c[2] * level - c[5] * out, z0 = c[1] * level - c[4] * out + z1;
        double s0 = z0 * first, s1 = z1 * first;
        level = out;
        for (int64_t i = 0; i < n; i++) {
            const double x = y[i];
            y[i] = c[0] * x + s0;
            s0 = (c[1] * x + s1) - c[4] * y[i];
            s1 = c[2] * x - c[5] * y[i];
        }
    }
}

static void turn_round(double *y, int64_t n)
{
    for (int64_t i = 0; i < n / 2; i++) {
        const double swapped = y[i];
        y[i] = y[n - 1 - i];
        y[n - 1 - i] = swapped;
    }
}

static void plain_run(const vg_filter *filter, double *x, int64_t n)
{
    double y[N + 400];
    const int64_t pad = vg_filter_padding(filter), total = n + 2 * pad;
    if (n <= pad) {
        for (int64_t i = 0; i < n; i++) x[i] = NAN;
        return;
    }
    for (int64_t i = 0; i < pad; i++) {
        y[i] = 2 * x[0] - x[pad - i];
        y[pad + n + i] = 2 * x[n - 1] - x[n - 2 - i];
    }
    memcpy(y + pad, x, (size_t)n * sizeof *x);
    for (int twice = 0; twice < 2; twice++) {
        pass(filter, y, total);
        turn_round(y, total);
    }
    memcpy(x, y + pad, (size_t)n * sizeof *x);
}

static int64_t plain(const vg_filter *filter, double *x, int64_t n)
{
    int64_t lost = 0;
    for (int64_t start = 0; start <= n;) {
        int64_t end = start;
        while (end < n && isfinite(x[end])) end++;
        if (end > start) plain_run(filter, x + start, end - start);
        if (end > start && isnan(x[start])) lost += end - start;
        if (end < n) x[end] = NAN;
        start = end + 1;
    }
    return lost;
}

static void design(vg_random *random, vg_filter *filter)
{
    const vg_filter_kind kind = (vg_filter_kind)(vg_random_uniform(random) * 3);
    const int order = 1 + (int)(vg_random_uniform(random) * (kind == VG_FILTER_BANDPASS ? 10 : 24));
    const double low = 5 + 20 * vg_random_uniform(random);
    assert_ok(vg_filter_design(kind, order, low, low + 30, 300, filter));
}

static bool same_bits(const double *a, const double *b, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        if (!(isnan(a[i]) && isnan(b[i])) && memcmp(&a[i], &b[i], sizeof *a) != 0) return false;
    return true;
}

static void check(vg_random *random, const vg_filter *filter, int count)
{
    static double x[N], out[MOST][N], wanted[N];
    const vg_filter *filters[MOST];
    double *outs[MOST];
    int64_t lost[MOST];
    const int64_t n = 1 + (int64_t)(vg_random_uniform(random) * (N - 1));
    for (int64_t i = 0; i < n; i++) x[i] = uniform(random);
    for (int gap = (int)(vg_random_uniform(random) * 4); gap > 0; gap--)
        x[(int64_t)(vg_random_uniform(random) * (double)n)] = gap % 2 ? NAN : INFINITY;
    static double kept[N];
    memcpy(kept, x, sizeof x);
    const int in_place = (int)(vg_random_uniform(random) * (count + 1)); /* count: none */
    for (int f = 0; f < count; f++) {
        filters[f] = &filter[f];
        outs[f] = f == in_place ? x : out[f];
    }
    vg_filter_zero_phase_each(filters, count, x, n, outs, lost);
    for (int f = 0; f < count; f++) {
        memcpy(wanted, kept, sizeof wanted);
        assert_int_equal(plain(&filter[f], wanted, n), lost[f]);
        if (!same_bits(wanted, outs[f], n)) fail_msg("filter %d of %d over %d samples", f, count, (int)n);
    }
}

static void test_side_by_side(void **state)
{
    (void)state;
    vg_random random = vg_random_make(support_seed(), 1, 0);
    vg_filter filter[MOST];
    for (int turn = 0; turn < 300; turn++) {
        const int count = 1 + (int)(vg_random_uniform(&random) * MOST);
        for (int f = 0; f < count; f++) design(&random, &filter[f]);
        check(&random, filter, count);
    }
    /* What an import runs, which has code of its own, also alone. */
    assert_ok(vg_filter_design(VG_FILTER_BANDPASS, 2, 8, 20, 300, &filter[0]));
    assert_ok(vg_filter_design(VG_FILTER_BANDPASS, 2, 0.8, 40, 300, &filter[1]));
    assert_ok(vg_filter_design(VG_FILTER_BANDPASS, 8, 0.8, 50, 300, &filter[2]));
    for (int turn = 0; turn < 100; turn++) {
        check(&random, filter, 3);
        check(&random, filter + turn % 3, 1);
    }
}

static void test_numbers(void **state)
{
    (void)state;
    vg_random random = vg_random_make(support_seed(), 2, 0);
    for (int turn = 0; turn < 500; turn++) {
        double x[100], y[100], low, high, sum = 0, dot = 0;
        const int64_t n = 1 + (int64_t)(vg_random_uniform(&random) * 100) % 100, many = turn % 7 + 1;
        for (int64_t i = 0; i < n; i++) {
            x[i] = floor(uniform(&random) * (double)many); /* many equal ones */
            y[i] = uniform(&random);
            sum += x[i];
            dot += x[i] * y[i];
        }
        assert_true(fabs(vg__sum(x, n) - sum) <= 1e-12 && fabs(vg__dot(x, y, n) - dot) <= 1e-12);
        assert_true(vg__range(x, n, &low, &high));
        for (int64_t k = 0; k < n; k++) {
            const double chosen = vg__select(x, n, k);
            int64_t below = 0, above = 0;
            for (int64_t i = 0; i < n; i++) {
                below += x[i] < chosen;
                above += x[i] > chosen;
                assert_true(i < k ? x[i] <= chosen : x[i] >= chosen);
            }
            assert_true(below <= k && above <= n - 1 - k && chosen >= low && chosen <= high);
            if (k == 0) assert_true(chosen == low);
            if (k == n - 1) assert_true(chosen == high);
        }
        const double upper = vg__select(x, n, n / 2), lower = vg__select(x, n, (n - 1) / 2);
        assert_true(vg__median(x, n) == (lower + upper) / 2);
        const double mean = sum / (double)n;
        double second, fourth, squares = 0, fourths = 0;
        for (int64_t i = 0; i < n; i++) {
            squares += (x[i] - mean) * (x[i] - mean);
            fourths += pow(x[i] - mean, 4);
        }
        assert_int_equal(vg__moments(x, n, &second, &fourth), n);
        assert_true(fabs(second - squares) <= 1e-10 && fabs(fourth - fourths) <= 1e-8);
        double gaps[101];
        memcpy(gaps, x, (size_t)n * sizeof *x);
        gaps[n] = gaps[n - 1];
        gaps[n - 1] = turn % 2 ? NAN : INFINITY;
        assert_int_equal(vg__moments(gaps, n + 1, &second, &fourth), n);
        assert_true(fabs(second - squares) <= 1e-10 && fabs(fourth - fourths) <= 1e-8);
        x[n / 3] = turn % 2 ? NAN : -INFINITY;
        assert_false(vg__range(x, n, &low, &high));
        assert_true(n == 1 ? low == INFINITY && high == -INFINITY : low >= -7 && high <= 7);
    }
    assert_true(vg__median(NULL, 0) == 0);
}

/* Rows long enough for all that is done side by side, with every rest. */
static void test_long_rows(void **state)
{
    (void)state;
    vg_random random = vg_random_make(support_seed(), 3, 0);
    for (int turn = 0; turn < 300; turn++) {
        static double x[N], sums[N];
        double low, high, lowest = INFINITY, highest = -INFINITY, sum = uniform(&random);
        const int64_t n = 1 + (int64_t)(vg_random_uniform(&random) * (N - 1));
        const double before = sum;
        for (int64_t i = 0; i < n; i++) {
            x[i] = uniform(&random);
            lowest = fmin(lowest, x[i]);
            highest = fmax(highest, x[i]);
        }
        assert_true(vg__range(x, n, &low, &high));
        assert_true(low == lowest && high == highest);
        memcpy(sums, x, sizeof x);
        const double last = vg__running_sums(sums, n, before);
        assert_true(last == sums[n - 1]);
        for (int64_t i = 0; i < n; i++) {
            sum += x[i];
            if (!(fabs(sums[i] - sum) <= 1e-12)) fail_msg("sum %d of %d", (int)i, (int)n);
        }
        x[(int64_t)(vg_random_uniform(&random) * (double)n)] =
            turn % 3 ? turn % 3 > 1 ? NAN : INFINITY : -INFINITY;
        lowest = INFINITY, highest = -INFINITY;
        for (int64_t i = 0; i < n; i++) {
            if (!isfinite(x[i])) continue;
            lowest = fmin(lowest, x[i]);
            highest = fmax(highest, x[i]);
        }
        assert_false(vg__range(x, n, &low, &high));
        assert_true(low == lowest && high == highest);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_side_by_side), cmocka_unit_test(test_numbers),
                                       cmocka_unit_test(test_long_rows)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
