#include "experiments/runner/evaluation/statistics.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/random.h"
#include "experiments/runner/evaluation/groups.h"

/* ---- Distributions -------------------------------------------------------------------------------- */

/* The continued fraction of I_x(a, b) (Abramowitz & Stegun 26.5.8) by Lentz' method as modified by Thompson
 * and Barnett (J. Comput. Phys. 64, 1986), which needs no terms from the far end. Converges fast for
 * x < (a + 1) / (a + b + 2). */
static double beta_fraction(double a, double b, double x)
{
    const double tiny = 1e-300;
    double c = 1, d = 1 - (a + b) * x / (a + 1);
    d = 1 / (fabs(d) > tiny ? d : tiny);
    double value = d;
    for (int m = 1; m <= 10000; m++) {
        double even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
        double odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
        double change = 1;
        for (int step = 0; step < 2; step++) {
            double term = step ? odd : even;
            d = 1 + term * d;
            d = 1 / (fabs(d) > tiny ? d : tiny);
            c = 1 + term / c;
            if (fabs(c) < tiny) c = tiny;
            change = c * d;
            value *= change;
        }
        if (fabs(change - 1) < 1e-16) break;
    }
    return value;
}

/* I_x(a, b) with y = 1 - x given apart, which keeps the digits of a small y. */
static double beta_with(double a, double b, double x, double y)
{
    if (x <= 0) return 0;
    if (y <= 0) return 1;
    int sign;
    double log_beta = lgamma_r(a, &sign) + lgamma_r(b, &sign) - lgamma_r(a + b, &sign);
    double front = exp(a * log(x) + b * log(y) - log_beta);
    if (x < (a + 1) / (a + b + 2)) return front * beta_fraction(a, b, x) / a;
    return 1 - front * beta_fraction(b, a, y) / b;
}

double vg_incomplete_beta(double a, double b, double x)
{
    if (!(a > 0 && b > 0 && x >= 0 && x <= 1)) return NAN;
    return beta_with(a, b, x, 1 - x);
}

/* P(T > t) for t >= 0. */
static double t_tail(double t, double freedom)
{
    if (isinf(t)) return 0;
    double square = t * t;
    return 0.5 * beta_with(freedom / 2, 0.5, freedom / (freedom + square), square / (freedom + square));
}

double vg_t_cdf(double t, double freedom)
{
    if (!(freedom > 0) || isnan(t)) return NAN;
    return t < 0 ? t_tail(-t, freedom) : 1 - t_tail(t, freedom);
}

/* Bisection on the tail, which falls: slow beside a series and impossible to get wrong. */
double vg_t_quantile(double p, double freedom)
{
    if (!(p > 0 && p < 1 && freedom > 0)) return NAN;
    if (p == 0.5) return 0;
    double tail = p < 0.5 ? p : 1 - p, low = 0, high = 1;
    while (t_tail(high, freedom) > tail && high < 1e300) high *= 2;
    for (int i = 0; i < 200; i++) {
        double middle = low + (high - low) / 2;
        if (middle <= low || middle >= high) break;
        if (t_tail(middle, freedom) > tail)
            low = middle;
        else
            high = middle;
    }
    return p < 0.5 ? -high : high;
}

double vg_normal_cdf(double z)
{
    return 0.5 * erfc(-z / sqrt(2.0));
}

/* ---- Summaries ------------------------------------------------------------------------------------ */

vg_summary vg_summarize(const double *values, int64_t count)
{
    vg_summary s = {.mean = NAN, .sd = NAN, .low = NAN, .high = NAN};
    double sum = 0, squares = 0;
    for (int64_t i = 0; i < count; i++) {
        if (isnan(values[i])) {
            s.missing++;
            continue;
        }
        sum += values[i];
        s.n++;
    }
    if (s.n == 0) return s;
    s.mean = sum / (double)s.n;
    if (s.n == 1) return s;
    for (int64_t i = 0; i < count; i++)
        if (!isnan(values[i])) squares += (values[i] - s.mean) * (values[i] - s.mean);
    s.sd = sqrt(squares / (double)(s.n - 1));
    double half = vg_t_quantile(0.975, (double)(s.n - 1)) * s.sd / sqrt((double)s.n);
    s.low = s.mean - half;
    s.high = s.mean + half;
    return s;
}

char *vg_summary_format(const vg_summary *summary, int digits, char *text, size_t size)
{
    if (isnan(summary->mean))
        snprintf(text, size, "-");
    else if (isnan(summary->sd))
        snprintf(text, size, "%.*f", digits, summary->mean);
    else
        snprintf(text, size, "%.*f ± %.*f [%.*f, %.*f]", digits, summary->mean, digits, summary->sd, digits,
                 summary->low, digits, summary->high);
    return text;
}

/* ---- Bootstrap ------------------------------------------------------------------------------------ */

static int by_value(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

/* The p-quantile of n sorted values, interpolated between order statistics (type 7 of Hyndman & Fan). */
static double quantile(const double *sorted, int64_t n, double p)
{
    double at = p * (double)(n - 1);
    int64_t below = (int64_t)at;
    if (below >= n - 1) return sorted[n - 1];
    return sorted[below] + (at - (double)below) * (sorted[below + 1] - sorted[below]);
}

vg_status vg_bootstrap(const int64_t *groups, int64_t count, vg_bootstrap_statistic statistic, void *context,
                       int64_t replicates, double level, uint64_t seed, vg_bootstrap_interval *out)
{
    if (count < 1) return vg_fail(VG_ERR_DATA, "a bootstrap needs at least one item");
    if (replicates < 1 || replicates > UINT32_MAX || !(level > 0 && level < 1))
        return vg_fail(
            VG_ERR_CONFIG,
            "a bootstrap needs at least one replicate and a level between 0 and 1, not %lld and %g",
            (long long)replicates, level);
    vg_status status = VG_OK;
    int64_t clusters = 0, largest = 0, defined = 0, *drawn = NULL;
    member *members = malloc((size_t)count * sizeof *members);
    int64_t *first =
        malloc(((size_t)count + 1) * sizeof *first); /* of each cluster in members, and the end */
    double *values = malloc((size_t)replicates * sizeof *values);
    if (!members || !first || !values) goto memory;

    for (int64_t i = 0; i < count; i++) members[i] = (member){.group = groups ? groups[i] : i, .item = i};
    qsort(members, (size_t)count, sizeof *members, by_group);
    for (int64_t i = 0; i < count; i++)
        if (i == 0 || members[i].group != members[i - 1].group) first[clusters++] = i;
    first[clusters] = count;
    for (int64_t c = 0; c < clusters; c++)
        if (first[c + 1] - first[c] > largest) largest = first[c + 1] - first[c];
    size_t most;
    if (__builtin_mul_overflow((size_t)clusters, (size_t)largest, &most) || most > SIZE_MAX / sizeof *drawn ||
        !(drawn = malloc(most * sizeof *drawn)))
        goto memory;

    for (int64_t i = 0; i < count; i++) drawn[i] = members[i].item; /* clusters * largest >= count */
    *out = (vg_bootstrap_interval){
        .estimate = statistic(drawn, count, context), .low = NAN, .high = NAN, .clusters = clusters};
    if (clusters < 2) goto out; /* the same sample every time: no spread to be seen */
    out->replicates = replicates;
    for (int64_t r = 0; r < replicates; r++) {
        vg_random random = vg_random_make(seed, VG_SITE_BOOTSTRAP, (uint32_t)r);
        int64_t n = 0;
        for (int64_t c = 0; c < clusters; c++) {
            int64_t chosen = (int64_t)vg_random_below(&random, (uint64_t)clusters);
            for (int64_t i = first[chosen]; i < first[chosen + 1]; i++) drawn[n++] = members[i].item;
        }
        double value = statistic(drawn, n, context);
        if (isnan(value))
            out->undefined++;
        else
            values[defined++] = value;
    }
    if (defined > 0) {
        qsort(values, (size_t)defined, sizeof *values, by_value);
        out->low = quantile(values, defined, (1 - level) / 2);
        out->high = quantile(values, defined, (1 + level) / 2);
    }
    goto out;
memory:
    status = vg_fail(VG_ERR_MEMORY, "no memory for a bootstrap of %lld items", (long long)count);
out:
    free(members);
    free(first);
    free(values);
    free(drawn);
    return status;
}

/* ---- Two methods over the same folds -------------------------------------------------------------- */

enum { EXACT_LIMIT = 50 };

static int by_size(const void *left, const void *right)
{
    double a = fabs(*(const double *)left), b = fabs(*(const double *)right);
    return (a > b) - (a < b);
}

/* Two-sided p of the signed-rank sum w (as twice its value, an integer although mid-ranks are halves): the
 * share of the 2^n ways to give n ranks a sign whose sum lies as far out. Counted by adding one rank at a
 * time; counts up to 2^50 are exact in double. `ranks` are doubled too. */
static double signed_rank_exact(const int64_t *ranks, int64_t n, int64_t w)
{
    double ways[EXACT_LIMIT * (EXACT_LIMIT + 1) + 1] = {1};
    int64_t total = 0;
    for (int64_t i = 0; i < n; i++) {
        total += ranks[i];
        for (int64_t sum = total; sum >= ranks[i]; sum--) ways[sum] += ways[sum - ranks[i]];
    }
    double below = 0, above = 0;
    for (int64_t sum = 0; sum <= total; sum++) {
        if (sum <= w) below += ways[sum];
        if (sum >= w) above += ways[sum];
    }
    return fmin(1, 2 * fmin(below, above) / ldexp(1, (int)n));
}

/* Wilcoxon's signed-rank test of the differences that are not 0 (they are sorted by size here). Beyond
 * EXACT_LIMIT of them by the normal approximation with the variance corrected for ties. */
static vg_status signed_ranks(double *differences, int64_t n, vg_comparison *out)
{
    int64_t *ranks = malloc(((size_t)n + 1) * sizeof *ranks);
    if (!ranks) return vg_fail(VG_ERR_MEMORY, "no memory to rank %lld differences", (long long)n);
    qsort(differences, (size_t)n, sizeof *differences, by_size);
    int64_t w = 0;
    double ties = 0;
    for (int64_t i = 0, end; i < n; i = end) {
        for (end = i; end < n && fabs(differences[end]) == fabs(differences[i]); end++) {
        }
        for (int64_t j = i; j < end; j++) {
            ranks[j] = i + 1 + end; /* twice the mean of ranks i+1 .. end */
            if (differences[j] > 0) w += ranks[j];
        }
        double run = (double)(end - i);
        ties += run * run * run - run;
    }
    out->w = (double)w / 2;
    out->ranked = n;
    out->exact = n <= EXACT_LIMIT;
    if (n == 0) {
        out->p_wilcoxon = 1;
    } else if (out->exact) {
        out->p_wilcoxon = signed_rank_exact(ranks, n, w);
    } else {
        double m = (double)n, variance = m * (m + 1) * (2 * m + 1) / 24 - ties / 48;
        double z = (out->w - m * (m + 1) / 4) / sqrt(variance);
        out->p_wilcoxon = fmin(1, 2 * vg_normal_cdf(-fabs(z)));
    }
    free(ranks);
    return VG_OK;
}

/* mean / error, and its two-sided p; equal differences have no error. */
static void t_test(double mean, double error, double freedom, double *t, double *p)
{
    *t = mean == 0 ? 0 : mean / error; /* error 0: an infinity of the right sign */
    *p = *t == 0 ? 1 : fmin(1, 2 * t_tail(fabs(*t), freedom));
}

vg_status vg_compare_paired(const double *a, const double *b, int64_t count, vg_comparison *out)
{
    memset(out, 0, sizeof *out);
    double *differences = calloc((size_t)count + 1, sizeof *differences);
    if (!differences) return vg_fail(VG_ERR_MEMORY, "no memory to compare %lld folds", (long long)count);
    vg_status status = VG_OK;
    for (int64_t i = 0; i < count; i++) differences[i] = a[i] - b[i];
    out->difference = vg_summarize(differences, count);
    double n = (double)out->difference.n;
    if (out->difference.n < 2) {
        status = vg_fail(VG_ERR_DATA,
                         "a paired comparison needs at least two folds with both results; %lld of "
                         "%lld have them",
                         (long long)out->difference.n, (long long)count);
        goto out;
    }
    int64_t ranked = 0;
    for (int64_t i = 0; i < count; i++) {
        if (isnan(differences[i])) continue;
        out->better += differences[i] > 0;
        out->worse += differences[i] < 0;
        out->same += differences[i] == 0;
        if (differences[i] != 0) differences[ranked++] = differences[i];
    }
    double mean = out->difference.mean, sd = out->difference.sd;
    t_test(mean, sd / sqrt(n), n - 1, &out->t, &out->p_t);
    t_test(mean, sd * sqrt(1 / n + 1 / (n - 1)), n - 1, &out->t_folds, &out->p_t_folds);
    status = signed_ranks(differences, ranked, out);
out:
    free(differences);
    return status;
}
