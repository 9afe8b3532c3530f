/* Metrics against figures worked out by hand, and AUROC against the count of its definition. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/random.h"
#include "experiments/runner/evaluation/metrics.h"
#include "tests/support/support.h"

static void near(double got, double expected)
{
    if (!(fabs(got - expected) <= 1e-14)) fail_msg("%.17g instead of %.17g", got, expected);
}

static void absent(double got)
{
    if (!isnan(got)) fail_msg("%.17g where the metric is not defined", got);
}

/* tp 3, fn 1, fp 2, tn 4, one probability exactly at the threshold (answered 0). */
static void by_hand(void **state)
{
    (void)state;
    const float labels[] = {1, 1, 1, 1, 0, 0, 0, 0, 0, 0};
    const double p[] = {0.9, 0.8, 0.6, 0.5, 0.7, 0.6, 0.4, 0.3, 0.2, 0.1};
    vg_metrics m;
    assert_ok(vg_metrics_compute(labels, p, 10, 0.5, &m));
    assert_int_equal(m.count, 10);
    assert_int_equal(m.true_positive, 3);
    assert_int_equal(m.false_negative, 1);
    assert_int_equal(m.false_positive, 2);
    assert_int_equal(m.true_negative, 4);
    near(m.value[VG_METRIC_ACCURACY], 0.7);
    near(m.value[VG_METRIC_BALANCED_ACCURACY], (3.0 / 4 + 4.0 / 6) / 2);
    near(m.value[VG_METRIC_F1_POSITIVE], 6.0 / 9);
    near(m.value[VG_METRIC_F1_NEGATIVE], 8.0 / 11);
    near(m.value[VG_METRIC_F1_MACRO], (6.0 / 9 + 8.0 / 11) / 2);
    near(m.value[VG_METRIC_MCC], (3.0 * 4 - 2.0 * 1) / sqrt(5.0 * 4 * 6 * 5));
    /* Of 24 pairs: 0.9 and 0.8 win 6 each, 0.6 wins 4 and ties 1, 0.5 wins 4: 20.5. */
    near(m.value[VG_METRIC_AUROC], 20.5 / 24);
}

/* Scores on a coarse grid, so that there are many ties. */
static void auroc_is_its_definition(void **state)
{
    (void)state;
    vg_random random = vg_random_make(support_seed(), 1, 2);
    enum { N = 211 };
    float labels[N];
    double p[N];
    for (int round = 0; round < 20; round++) {
        int levels = 1 + (int)vg_random_below(&random, 40);
        for (int i = 0; i < N; i++) {
            labels[i] = i == 0 || (i > 1 && vg_random_below(&random, 3) == 0);
            p[i] = (double)vg_random_below(&random, (uint64_t)levels) / levels;
        }
        double right = 0, pairs = 0;
        for (int i = 0; i < N; i++) {
            for (int j = 0; j < N; j++) {
                if (!(labels[i] > labels[j])) continue;
                pairs++;
                right += p[i] > p[j] ? 1 : p[i] == p[j] ? 0.5 : 0;
            }
        }
        vg_metrics m;
        assert_ok(vg_metrics_compute(labels, p, N, 0.5, &m));
        near(m.value[VG_METRIC_AUROC], right / pairs);
    }
}

static void one_class_is_absent_not_zero(void **state)
{
    (void)state;
    const float zeros[] = {0, 0, 0};
    const double p[] = {0.1, 0.9, 0.4}, sure[] = {0.1, 0.2, 0.4};
    vg_metrics m;
    assert_ok(vg_metrics_compute(zeros, p, 3, 0.5, &m));
    near(m.value[VG_METRIC_ACCURACY], 2.0 / 3);
    absent(m.value[VG_METRIC_AUROC]);
    absent(m.value[VG_METRIC_BALANCED_ACCURACY]);
    absent(m.value[VG_METRIC_MCC]);
    near(m.value[VG_METRIC_F1_POSITIVE], 0); /* answered once, never right */
    near(m.value[VG_METRIC_F1_NEGATIVE], 0.8);
    assert_ok(vg_metrics_compute(zeros, sure, 3, 0.5, &m));
    absent(m.value[VG_METRIC_F1_POSITIVE]);
    absent(m.value[VG_METRIC_F1_MACRO]);
    near(m.value[VG_METRIC_F1_NEGATIVE], 1);
    assert_ok(vg_metrics_compute(NULL, NULL, 0, 0.5, &m));
    for (int i = 0; i < VG_METRIC_COUNT; i++) absent(m.value[i]);
}

static void perfect_and_upside_down(void **state)
{
    (void)state;
    const float labels[] = {0, 1, 0, 1};
    const double right[] = {0, 1, 0.2, 0.7}, wrong[] = {1, 0, 0.7, 0.2}, same[] = {0.6, 0.6, 0.6, 0.6};
    vg_metrics m;
    assert_ok(vg_metrics_compute(labels, right, 4, 0.5, &m));
    for (int i = 0; i < VG_METRIC_COUNT; i++) near(m.value[i], 1);
    assert_ok(vg_metrics_compute(labels, wrong, 4, 0.5, &m));
    for (int i = 0; i < VG_METRIC_COUNT; i++) near(m.value[i], i == VG_METRIC_MCC ? -1 : 0);
    assert_ok(vg_metrics_compute(labels, same, 4, 0.5, &m));
    near(m.value[VG_METRIC_AUROC], 0.5);
    near(m.value[VG_METRIC_BALANCED_ACCURACY], 0.5);
    near(m.value[VG_METRIC_MCC], 0);
}

static void bad_items_are_named(void **state)
{
    (void)state;
    const float labels[] = {0, 1, 0.5f}, unlabelled[] = {0, NAN, 1}, good[] = {0, 1, 1};
    const double p[] = {0.1, 0.2, 0.3}, nan[] = {0.1, 0.2, NAN}, logit[] = {0.1, -2, 0.3};
    vg_metrics m;
    assert_fails(vg_metrics_compute(labels, p, 3, 0.5, &m), VG_ERR_DATA, "item 2");
    assert_fails(vg_metrics_compute(unlabelled, p, 3, 0.5, &m), VG_ERR_DATA, "item 1");
    assert_fails(vg_metrics_compute(good, nan, 3, 0.5, &m), VG_ERR_NUMERIC, "item 2");
    assert_fails(vg_metrics_compute(good, logit, 3, 0.5, &m), VG_ERR_NUMERIC, "item 1");
    const int64_t groups[] = {0, 0, 1};
    vg_metrics_grouped grouped;
    assert_fails(vg_metrics_by_group(good, nan, groups, 3, 0.5, &grouped), VG_ERR_NUMERIC, "item 2");
}

/* Three groups, interleaved; the last has one class. */
static void groups(void **state)
{
    (void)state;
    const int64_t ids[] = {7, -1, 7, 40, -1, 7, 40, -1};
    const float labels[] = {1, 1, 0, 1, 0, 0, 1, 1};
    const double p[] = {0.9, 0.2, 0.1, 0.6, 0.6, 0.8, 0.3, 0.7};
    vg_metrics_grouped g;
    assert_ok(vg_metrics_by_group(labels, p, ids, 8, 0.5, &g));
    assert_int_equal(g.group_count, 3);
    assert_int_equal(g.ids[0], -1);
    assert_int_equal(g.ids[1], 7);
    assert_int_equal(g.ids[2], 40);
    near(g.groups[0].value[VG_METRIC_ACCURACY], 1.0 / 3);
    near(g.groups[1].value[VG_METRIC_ACCURACY], 2.0 / 3);
    near(g.groups[2].value[VG_METRIC_ACCURACY], 0.5);
    near(g.groups[0].value[VG_METRIC_AUROC], 0.5);
    near(g.groups[1].value[VG_METRIC_AUROC], 1);
    near(g.summary[VG_METRIC_ACCURACY].mean, 0.5);
    near(g.summary[VG_METRIC_ACCURACY].sd, 1.0 / 6);
    near(g.summary[VG_METRIC_AUROC].mean, 0.75);
    assert_int_equal(g.summary[VG_METRIC_AUROC].n, 2);
    assert_int_equal(g.summary[VG_METRIC_AUROC].missing, 1);
    near(g.pooled.value[VG_METRIC_ACCURACY], 0.5);
    vg_metrics_grouped_free(&g);
    vg_metrics_grouped_free(&g);
}

/* Leave one out: the majority of the rest differs between folds, and its pooled AUROC must not say that
 * answers correlate with labels. */
static void majority(void **state)
{
    (void)state;
    const float labels[] = {1, 1, 0, 0, 1, 0, 1};
    const int64_t ids[] = {0, 0, 0, 0, 1, 1, 1};
    const int answers[] = {1, 1, 1, 1, 0, 0, 0};
    vg_metrics_grouped g;
    assert_ok(vg_metrics_majority(labels, answers, ids, 7, &g));
    near(g.pooled.value[VG_METRIC_AUROC], 0.5);
    near(g.summary[VG_METRIC_AUROC].mean, 0.5);
    near(g.summary[VG_METRIC_BALANCED_ACCURACY].mean, 0.5);
    near(g.groups[0].value[VG_METRIC_ACCURACY], 0.5);
    near(g.groups[1].value[VG_METRIC_ACCURACY], 1.0 / 3);
    near(g.pooled.value[VG_METRIC_ACCURACY], 3.0 / 7);
    vg_metrics_grouped_free(&g);
}

static void names(void **state)
{
    (void)state;
    for (int i = 0; i < VG_METRIC_COUNT; i++) {
        vg_metric metric;
        assert_ok(vg_metric_parse(vg_metric_key((vg_metric)i), &metric));
        assert_int_equal(metric, i);
    }
    vg_metric metric;
    assert_fails(vg_metric_parse("auc", &metric), VG_ERR_CONFIG, "auroc");
    assert_string_equal(vg_metric_heading(VG_METRIC_F1_MACRO), "macro F1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(by_hand),
        cmocka_unit_test(auroc_is_its_definition),
        cmocka_unit_test(one_class_is_absent_not_zero),
        cmocka_unit_test(perfect_and_upside_down),
        cmocka_unit_test(bad_items_are_named),
        cmocka_unit_test(groups),
        cmocka_unit_test(majority),
        cmocka_unit_test(names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
