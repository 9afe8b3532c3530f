/* The heart-rate baseline on real ECG: rest against mental arithmetic, each subject left out once. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "datasets/import/importer.h"
#include "experiments/runner/evaluation/metrics.h"
#include "tests/runner/leave_one_out.h"

static void report(const char *what, const outcome *o)
{
    vg_metrics_grouped m;
    char auc[80], balanced[80];
    assert_ok(vg_metrics_by_group(o->labels, o->probabilities, o->subjects, o->count, 0.5, &m));
    printf(
        "%s: AUROC pooled %.3f, by subject %s; balanced accuracy pooled %.3f, by subject %s; accuracy %.3f\n",
        what, m.pooled.value[VG_METRIC_AUROC], vg_summary_format(&m.summary[VG_METRIC_AUROC], 3, auc, 80),
        m.pooled.value[VG_METRIC_BALANCED_ACCURACY],
        vg_summary_format(&m.summary[VG_METRIC_BALANCED_ACCURACY], 3, balanced, 80),
        m.pooled.value[VG_METRIC_ACCURACY]);
    vg_metrics_grouped_free(&m);
}

/* Other software (another peak detector, another fit) gave AUROC 0.76 and balanced accuracy 0.72 on these
 * files, all segments pooled; this must be the same within what such differences explain. It is the weighting
 * of the classes that gives the balanced accuracy: rest is three times as long, and without weights it is
 * 0.67. Within a subject the rate tells far more: mean AUROC 0.95, since nearly everyone's heart is faster in
 * the task and a pooled figure also has to tell one person's rest from another's task. */
static void rest_against_arithmetic(void **state)
{
    (void)state;
    char *folder = support_temp_dir(), *path = support_path(folder, "eegmat.h5");
    char *source = support_path(support_data(), "eegmat");
    const char *paths[] = {path}, *sources[] = {source};
    vg_import_options import = vg_import_default_options();
    vg_import_report imported;
    assert_ok(vg_import_set(&import, "pattern", "Subject{subject}_{trial}.edf"));
    assert_ok(vg_import_set(&import, "rating", "task:1=0,2=1"));
    assert_ok(vg_import_set(&import, "high", "40"));
    assert_ok(vg_import("edf", sources, 1, &import, path, false, &imported));
    printf("%lld recordings, %lld excluded\n", (long long)imported.recordings, (long long)imported.excluded);
    vg_import_report_free(&imported);
    vg_corpus_options options = vg_corpus_options_default();
    vg_corpus *corpus;
    assert_ok(vg_corpus_create(paths, 1, &options, &corpus));
    vg_logistic_options balanced = vg_logistic_options_default(), plain = balanced;
    plain.balanced = false;
    outcome o = leave_one_out(corpus, "task", &plain, -1);
    report("not weighted", &o);
    free_outcome(&o);
    o = leave_one_out(corpus, "task", &balanced, -1);
    report("classes weighted alike", &o);
    printf("%lld subjects, %lld segments, %lld without beats\n", (long long)corpus->subject_count,
           (long long)o.count, (long long)o.unusable);
    vg_metrics m;
    assert_ok(vg_metrics_compute(o.labels, o.probabilities, o.count, 0.5, &m));
    double auroc = m.value[VG_METRIC_AUROC], accuracy = m.value[VG_METRIC_BALANCED_ACCURACY];
    if (!(fabs(auroc - 0.76) <= 0.03)) fail_msg("AUROC %g", auroc);
    if (!(fabs(accuracy - 0.72) <= 0.03)) fail_msg("balanced accuracy %g", accuracy);
    free_outcome(&o);
    vg_corpus_destroy(corpus);
    free(source);
    free(path);
    free(folder);
}

int main(void)
{
    support_skip_without_data();
    const struct CMUnitTest tests[] = {cmocka_unit_test(rest_against_arithmetic)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
