/* The statistics behind "mean ± sd [95 % interval]" and behind "A is better than B".
 *
 * Sources: Student's t by the regularised incomplete beta function (Abramowitz & Stegun 26.5.8 and 26.7.1,
 * continued fraction by Lentz' method); percentile bootstrap over clusters (Davison & Hinkley, "Bootstrap
 * Methods and their Application", 1997, section 3.8); signed ranks (Wilcoxon, Biometrics Bulletin 1, 1945);
 * the corrected t test for folds that share training data (Nadeau & Bengio, Machine Learning 52, 2003). */
#ifndef VAGUS_RUNNER_EVALUATION_STATISTICS_H
#define VAGUS_RUNNER_EVALUATION_STATISTICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* n values that are not NaN; `missing` were. With n = 0 everything is NaN, with n = 1 sd, low and high are:
 * one value has no spread. low and high are the 95 % t-interval of the mean, mean ± t(0.975, n-1) sd/sqrt(n).
 * It takes the values for independent, which the folds of one cross-validation are not quite: it is the
 * field's customary interval and a little too narrow. */
typedef struct vg_summary {
    int64_t n, missing;
    double mean, sd, low, high;
} vg_summary;

VG_API vg_summary vg_summarize(const double *values, int64_t count);

/* "0.712 ± 0.051 [0.690, 0.734]"; what is NaN is left out ("0.712", "-"). Returns `text`. */
VG_API char *vg_summary_format(const vg_summary *summary, int digits, char *text, size_t size);

/* The regularised incomplete beta function I_x(a, b), a, b > 0, x in [0, 1]; Student's t distribution; its
 * inverse for p in (0, 1); the standard normal distribution. Out of range: NaN. Accurate to about 1e-12. */
VG_API double vg_incomplete_beta(double a, double b, double x);
VG_API double vg_t_cdf(double t, double freedom);
VG_API double vg_t_quantile(double p, double freedom);
VG_API double vg_normal_cdf(double z);

/* A statistic of the items `indices[0..count)`, an item may stand in it several times; NaN: not defined for
 * this sample. */
typedef double (*vg_bootstrap_statistic)(const int64_t *indices, int64_t count, void *context);

typedef struct vg_bootstrap_interval {
    double estimate; /* the statistic of all items, each once */
    double low,
        high; /* percentiles of the replicates (interpolated as R's type 7), NaN when none is defined */
    int64_t replicates, undefined; /* drawn, and how many of them were NaN */
    int64_t clusters;
} vg_bootstrap_interval;

/* Draws whole groups with replacement, as many as there are, so that items of one subject stay together; with
 * groups == NULL every item is a group of its own. `level` is 0.95 for a 95 % interval. Replicate r of one
 * seed is always the same draw. With one group alone low and high are NaN. ERR_DATA without items. */
VG_NODISCARD VG_API vg_status vg_bootstrap(const int64_t *groups, int64_t count,
                                           vg_bootstrap_statistic statistic, void *context,
                                           int64_t replicates, double level, uint64_t seed,
                                           vg_bootstrap_interval *out);

/* Two methods over the same n folds or subjects; differences are a - b, every p is two-sided. */
typedef struct vg_comparison {
    vg_summary difference;
    double t, p_t;               /* paired t test, n - 1 degrees of freedom */
    double t_folds, p_t_folds;   /* the same with Nadeau and Bengio's variance (1/n + 1/(n-1)) sd^2: for the
                                    folds of one k-fold cross-validation, whose training parts overlap */
    double w, p_wilcoxon;        /* sum of the ranks of positive differences */
    int64_t ranked;              /* differences that are not 0: the ranks are among these */
    bool exact;                  /* p_wilcoxon from the exact distribution (ties included), up to 50 ranks */
    int64_t better, worse, same; /* folds with a > b, a < b, a = b */
} vg_comparison;

/* Pairs with a NaN on either side are left out and counted in difference.missing. ERR_DATA with fewer than
 * two pairs left. When all differences are equal the t statistics are infinite or, when all are 0, p is 1. */
VG_NODISCARD VG_API vg_status vg_compare_paired(const double *a, const double *b, int64_t count,
                                                vg_comparison *out);

#ifdef __cplusplus
}
#endif
#endif
