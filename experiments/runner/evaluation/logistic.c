/* Newton's method on the penalised log-likelihood (iteratively reweighted least squares), with the step
 * halved until the loss falls, so that it converges from any start. The system has at most 65 unknowns:
 * Cholesky on the stack. */
#include "experiments/runner/evaluation/logistic.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SIZE = VG_LOGISTIC_MAX_FEATURES + 1, HALVINGS = 40 };

vg_logistic_options vg_logistic_options_default(void)
{
    return (vg_logistic_options){.l2 = 1, .balanced = true, .max_iterations = 100, .tolerance = 1e-10};
}

static double sigmoid(double z)
{
    return z >= 0 ? 1 / (1 + exp(-z)) : exp(z) / (1 + exp(z));
}

/* What is being fitted: standardised rows, labels, the weight of a row of either class. theta[0] is the
 * intercept, theta[1 + j] the weight of feature j. */
typedef struct problem {
    const double *rows; /* [count][features] */
    const float *labels;
    int64_t count;
    int features;
    double l2, class_weight[2];
} problem;

static double score(const problem *p, const double *theta, int64_t i)
{
    double z = theta[0];
    for (int j = 0; j < p->features; j++) z += theta[1 + j] * p->rows[i * p->features + j];
    return z;
}

static double loss(const problem *p, const double *theta)
{
    double sum = 0;
    for (int64_t i = 0; i < p->count; i++) {
        double z = score(p, theta, i);
        int label = p->labels[i] > 0;
        /* log(1 + e^z) - y z without overflow */
        sum += p->class_weight[label] * (fmax(z, 0) + log1p(exp(-fabs(z))) - (label ? z : 0));
    }
    for (int j = 1; j <= p->features; j++) sum += p->l2 / 2 * theta[j] * theta[j];
    return sum;
}

static void derivatives(const problem *p, const double *theta, double *gradient, double (*hessian)[SIZE])
{
    int n = p->features + 1;
    memset(gradient, 0, (size_t)n * sizeof *gradient);
    memset(hessian, 0, (size_t)n * sizeof *hessian);
    for (int64_t i = 0; i < p->count; i++) {
        const double *row = p->rows + i * p->features;
        int label = p->labels[i] > 0;
        double weight = p->class_weight[label], mu = sigmoid(score(p, theta, i));
        double slope = weight * (mu - label), curvature = weight * mu * (1 - mu);
        for (int j = 0; j < n; j++) {
            double xj = j ? row[j - 1] : 1;
            gradient[j] += slope * xj;
            for (int k = 0; k <= j; k++) hessian[j][k] += curvature * xj * (k ? row[k - 1] : 1);
        }
    }
    for (int j = 1; j < n; j++) {
        gradient[j] += p->l2 * theta[j];
        hessian[j][j] += p->l2;
    }
}

/* Solves a x = b by Cholesky, a's lower half being overwritten; false when a is not positive definite to
 * working precision. */
static bool solve(double (*a)[SIZE], double *b, int n)
{
    double largest = 0;
    for (int i = 0; i < n; i++) largest = fmax(largest, a[i][i]);
    for (int i = 0; i < n; i++) {
        for (int j = 0; j <= i; j++) {
            double sum = a[i][j];
            for (int k = 0; k < j; k++) sum -= a[i][k] * a[j][k];
            if (i > j)
                a[i][j] = sum / a[j][j];
            else if (sum > 1e-14 * largest)
                a[i][i] = sqrt(sum);
            else
                return false;
        }
    }
    for (int i = 0; i < n; i++) {
        for (int k = 0; k < i; k++) b[i] -= a[i][k] * b[k];
        b[i] /= a[i][i];
    }
    for (int i = n - 1; i >= 0; i--) {
        for (int k = i + 1; k < n; k++) b[i] -= a[k][i] * b[k];
        b[i] /= a[i][i];
    }
    return true;
}

/* Moves theta to the minimum; returns the steps taken, or -1 when there is none to be found. */
static int minimise(const problem *p, const vg_logistic_options *options, double *theta)
{
    int n = p->features + 1;
    double gradient[SIZE], hessian[SIZE][SIZE], trial[SIZE];
    double current = loss(p, theta);
    for (int iteration = 0; iteration < options->max_iterations; iteration++) {
        derivatives(p, theta, gradient, hessian);
        double largest = 0;
        for (int j = 0; j < n; j++) largest = fmax(largest, fabs(gradient[j]));
        if (largest <= options->tolerance * (double)p->count) return iteration;
        if (!solve(hessian, gradient, n)) return -1;
        double step = 1, next = INFINITY;
        for (int halving = 0; halving < HALVINGS; halving++, step /= 2) {
            for (int j = 0; j < n; j++) trial[j] = theta[j] - step * gradient[j];
            next = loss(p, trial);
            if (next <= current) break;
        }
        /* No step goes down: this is the minimum as far as double precision can tell, if it is close. */
        if (!(next <= current)) return largest <= 1e-6 * (double)p->count ? iteration : -1;
        memcpy(theta, trial, (size_t)n * sizeof *theta);
        current = next;
    }
    return -1;
}

static vg_status check(const double *x, const float *labels, int64_t count, int features,
                       const vg_logistic_options *options, int64_t *positives)
{
    if (features < 1 || features > VG_LOGISTIC_MAX_FEATURES)
        return vg_fail(VG_ERR_CONFIG, "logistic regression takes 1 to %d features, not %d",
                       VG_LOGISTIC_MAX_FEATURES, features);
    if (!(options->l2 >= 0 && isfinite(options->l2)) || options->max_iterations < 1 ||
        !(options->tolerance > 0))
        return vg_fail(VG_ERR_CONFIG,
                       "logistic regression needs l2 >= 0, max_iterations >= 1 and tolerance > 0, not %g, %d "
                       "and %g",
                       options->l2, options->max_iterations, options->tolerance);
    *positives = 0;
    for (int64_t i = 0; i < count; i++) {
        if (labels[i] != 0 && labels[i] != 1)
            return vg_fail(VG_ERR_DATA, "row %lld has the label %g: logistic regression needs 0 and 1",
                           (long long)i, (double)labels[i]);
        *positives += labels[i] == 1;
        for (int j = 0; j < features; j++)
            if (!isfinite(x[i * features + j]))
                return vg_fail(VG_ERR_DATA,
                               "feature %d of row %lld is %g: leave such rows out before fitting", j,
                               (long long)i, x[i * features + j]);
    }
    if (*positives == 0 || *positives == count)
        return vg_fail(VG_ERR_DATA,
                       "logistic regression needs both classes; %lld of %lld rows are of class 1",
                       (long long)*positives, (long long)count);
    return VG_OK;
}

/* Mean and 1/sd (of the population, as is usual for scaling) of each feature, and the rows scaled by them. A
 * spread that is rounding error beside the mean counts as none. */
static void standardise(const double *x, int64_t count, int features, vg_logistic *model, double *rows)
{
    for (int j = 0; j < features; j++) {
        double sum = 0, squares = 0;
        for (int64_t i = 0; i < count; i++) sum += x[i * features + j];
        double mean = sum / (double)count;
        for (int64_t i = 0; i < count; i++)
            squares += (x[i * features + j] - mean) * (x[i * features + j] - mean);
        double sd = sqrt(squares / (double)count);
        model->mean[j] = mean;
        model->scale[j] = sd > 1e-12 * fabs(mean) ? 1 / sd : 0;
        if (!isfinite(model->scale[j])) model->scale[j] = 0;
        for (int64_t i = 0; i < count; i++)
            rows[i * features + j] = (x[i * features + j] - mean) * model->scale[j];
    }
}

vg_status vg_logistic_fit(const double *x, const float *labels, int64_t count, int features,
                          const vg_logistic_options *options, vg_logistic *out)
{
    int64_t positives = 0;
    VG_TRY(check(x, labels, count, features, options, &positives));
    double *rows = malloc((size_t)count * (size_t)features * sizeof *rows);
    if (!rows) return vg_fail(VG_ERR_MEMORY, "no memory to fit %lld rows", (long long)count);
    memset(out, 0, sizeof *out);
    out->features = features;
    standardise(x, count, features, out, rows);

    problem p = {.rows = rows, .labels = labels, .count = count, .features = features, .l2 = options->l2};
    p.class_weight[0] = options->balanced ? (double)count / (2.0 * (double)(count - positives)) : 1;
    p.class_weight[1] = options->balanced ? (double)count / (2.0 * (double)positives) : 1;
    double theta[SIZE] = {0};
    out->iterations = minimise(&p, options, theta);
    /* Separable classes: without a penalty the weights run away and the gradient fades as if at a minimum. */
    if (options->l2 == 0 && loss(&p, theta) < 1e-6 * (double)count) out->iterations = -1;
    free(rows);
    if (out->iterations < 0)
        return vg_fail(VG_ERR_NUMERIC,
                       "logistic regression of %lld rows did not converge in %d steps: the classes may be "
                       "separable or a feature a copy of another; use l2 > 0 (now %g)",
                       (long long)count, options->max_iterations, options->l2);
    out->intercept = theta[0];
    memcpy(out->weight, theta + 1, (size_t)features * sizeof *theta);
    return VG_OK;
}

double vg_logistic_predict(const vg_logistic *model, const double *row)
{
    double z = model->intercept;
    for (int j = 0; j < model->features; j++)
        z += model->weight[j] * (row[j] - model->mean[j]) * model->scale[j];
    return sigmoid(z);
}
