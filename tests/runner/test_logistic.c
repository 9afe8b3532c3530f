/* Logistic regression against a closed form and against SciPy's minimiser of the same function, and the
 * heart-rate baseline on ECG whose rate carries the label by construction. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/random.h"
#include "experiments/runner/evaluation/logistic.h"
#include "tests/support/support.h"

static void near(double got, double expected)
{
    if (!(fabs(got - expected) <= 1e-9)) fail_msg("%.17g instead of %.17g", got, expected);
}

enum { ROWS = 24 };
static double x[ROWS][2];
static const float y[ROWS] = {1, 1, 1, 1, 0, 1, 0, 0, 0, 1, 0, 1, 0, 1, 1, 1, 0, 1, 0, 1, 0, 0, 0, 1};

static void make_rows(void)
{
    for (int i = 0; i < ROWS; i++) {
        x[i][0] = (i * 7) % 11 / 3.0 + (i % 2) * 0.8;
        x[i][1] = (i * 5) % 13 - 6 + 0.5 * (i % 2) * (i % 3 - 1);
    }
}

static void against_scipy(void **state)
{
    (void)state;
    static const struct {
        double l2;
        bool balanced;
        double theta[3], probability;
    } cases[] = {
        {1, false, {0.17956284159990196, 0.49352346061768776, -0.19163213257874104}, 0.46598516271044554},
        {1, true, {0.014638084582937295, 0.5028036115051305, -0.19306712079597302}, 0.4240798008386323},
        {0, false, {0.18641681665044718, 0.6010712058807982, -0.2487702711152568}, 0.4486954030682818},
        {10, true, {0.004905197633056974, 0.20244616996489564, -0.062370923207209925}, 0.47090316532494236},
    };
    make_rows();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        vg_logistic_options options = vg_logistic_options_default();
        options.l2 = cases[i].l2;
        options.balanced = cases[i].balanced;
        vg_logistic model;
        assert_ok(vg_logistic_fit(&x[0][0], y, ROWS, 2, &options, &model));
        near(model.intercept, cases[i].theta[0]);
        near(model.weight[0], cases[i].theta[1]);
        near(model.weight[1], cases[i].theta[2]);
        const double row[] = {1.5, 2};
        near(vg_logistic_predict(&model, row), cases[i].probability);
    }
}

/* One binary feature without penalty: the log odds of the two cells, 1/4 and 3/5. */
static void closed_form(void **state)
{
    (void)state;
    const double feature[] = {0, 0, 0, 0, 1, 1, 1, 1, 1};
    const float labels[] = {1, 0, 0, 0, 1, 1, 1, 0, 0};
    vg_logistic_options options = vg_logistic_options_default();
    options.l2 = 0;
    options.balanced = false;
    vg_logistic model;
    assert_ok(vg_logistic_fit(feature, labels, 9, 1, &options, &model));
    const double zero = 0, one = 1;
    near(vg_logistic_predict(&model, &zero), 0.25);
    near(vg_logistic_predict(&model, &one), 0.6);
    /* Balanced: 4 of class 1 weigh 9/8, 5 of class 0 weigh 9/10. */
    options.balanced = true;
    assert_ok(vg_logistic_fit(feature, labels, 9, 1, &options, &model));
    near(vg_logistic_predict(&model, &zero), 1.125 / (1.125 + 3 * 0.9));
    near(vg_logistic_predict(&model, &one), 3 * 1.125 / (3 * 1.125 + 2 * 0.9));
}

/* Scale and offset of a feature change nothing, whatever their size. */
static void units_do_not_matter(void **state)
{
    (void)state;
    make_rows();
    vg_logistic_options options = vg_logistic_options_default();
    vg_logistic plain, scaled;
    assert_ok(vg_logistic_fit(&x[0][0], y, ROWS, 2, &options, &plain));
    double moved[ROWS][2];
    for (int i = 0; i < ROWS; i++) {
        moved[i][0] = 1e6 + 1e-3 * x[i][0];
        moved[i][1] = -1e9 * x[i][1];
    }
    assert_ok(vg_logistic_fit(&moved[0][0], y, ROWS, 2, &options, &scaled));
    for (int i = 0; i < ROWS; i++) {
        double difference = vg_logistic_predict(&plain, x[i]) - vg_logistic_predict(&scaled, moved[i]);
        if (!(fabs(difference) <= 1e-6)) fail_msg("row %d differs by %g", i, difference);
    }
}

static void edges(void **state)
{
    (void)state;
    vg_logistic_options options = vg_logistic_options_default();
    vg_logistic model;
    const double separable[] = {1, 2, 3, 4}, constant[] = {5, 5, 5, 5}, hole[] = {1, NAN, 3, 4};
    const float labels[] = {0, 0, 1, 1}, ones[] = {1, 1, 1, 1}, odd[] = {0, 1, 2, 1};
    assert_ok(vg_logistic_fit(separable, labels, 4, 1, &options, &model));
    assert_true(model.weight[0] > 0);
    assert_ok(vg_logistic_fit(constant, labels, 4, 1, &options, &model));
    near(vg_logistic_predict(&model, constant), 0.5);
    const double elsewhere = 1e300;
    near(vg_logistic_predict(&model, &elsewhere), 0.5);
    assert_fails(vg_logistic_fit(hole, labels, 4, 1, &options, &model), VG_ERR_DATA, "row 1");
    assert_fails(vg_logistic_fit(separable, ones, 4, 1, &options, &model), VG_ERR_DATA, "both classes");
    assert_fails(vg_logistic_fit(separable, odd, 4, 1, &options, &model), VG_ERR_DATA, "row 2");
    assert_fails(vg_logistic_fit(separable, labels, 0, 1, &options, &model), VG_ERR_DATA, "both classes");
    assert_fails(vg_logistic_fit(separable, labels, 4, 0, &options, &model), VG_ERR_CONFIG, "features");
    options.l2 = 0; /* the weight runs away */
    assert_fails(vg_logistic_fit(separable, labels, 4, 1, &options, &model), VG_ERR_NUMERIC, "l2");
    options.l2 = -1;
    assert_fails(vg_logistic_fit(separable, labels, 4, 1, &options, &model), VG_ERR_CONFIG, "l2");
}

/* At the minimum the gradient vanishes: checked from outside on 64 random features. */
static void many_features(void **state)
{
    (void)state;
    enum { N = 300, F = VG_LOGISTIC_MAX_FEATURES };
    double *rows = calloc((size_t)N * F, sizeof *rows);
    float labels[N];
    vg_random random = vg_random_make(support_seed(), 1, 0);
    for (int i = 0; i < N * F; i++) rows[i] = vg_random_normal(&random);
    for (int i = 0; i < N; i++)
        labels[i] = rows[i * F] + 2 * rows[i * F + 63] + vg_random_normal(&random) > 0;
    vg_logistic_options options = vg_logistic_options_default();
    options.balanced = false;
    vg_logistic model;
    assert_ok(vg_logistic_fit(rows, labels, N, F, &options, &model));
    double gradient[F + 1] = {0};
    for (int i = 0; i < N; i++) {
        double slope = vg_logistic_predict(&model, rows + i * F) - labels[i];
        gradient[F] += slope;
        for (int j = 0; j < F; j++) gradient[j] += slope * (rows[i * F + j] - model.mean[j]) * model.scale[j];
    }
    for (int j = 0; j <= F; j++) {
        double left = gradient[j] + (j < F ? options.l2 * model.weight[j] : 0);
        if (!(fabs(left) <= 1e-6)) fail_msg("gradient %d is %g", j, left);
    }
    assert_true(model.weight[63] > 0.5);
    free(rows);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(against_scipy),       cmocka_unit_test(closed_form),
        cmocka_unit_test(units_do_not_matter), cmocka_unit_test(edges),
        cmocka_unit_test(many_features),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
