/* Binary classification metrics from labels and probabilities: for all items pooled, for every group (a
 * subject, a fold), and for the answer that ignores the signal (always the majority class of the training
 * part), which is to be printed beside every result.
 *
 * A metric that the items do not define is NaN here and called absent: it is left out of means and counted,
 * printed as "-" and written to JSON as null, never as 0. With labels of one class only, AUROC, balanced
 * accuracy and MCC are absent; the F1 of a class that neither occurs nor is answered is absent, and macro F1
 * with it. (scikit-learn answers 0 or the recall of the one class there, with a warning.) */
#ifndef VAGUS_RUNNER_EVALUATION_METRICS_H
#define VAGUS_RUNNER_EVALUATION_METRICS_H

#include <stdbool.h>
#include <stdint.h>

#include "core/status.h"
#include "experiments/runner/evaluation/statistics.h"

#ifdef __cplusplus
extern "C" {
#endif

/* X(ENUM, key in JSON and sweeps, heading in tables). Larger is better for every one of them. */
#define VG_METRIC_MAP(X)                                                                                     \
    X(ACCURACY, "accuracy", "accuracy")                                                                      \
    X(BALANCED_ACCURACY, "balanced_accuracy", "balanced accuracy")                                           \
    X(F1_MACRO, "f1_macro", "macro F1")                                                                      \
    X(AUROC, "auroc", "AUROC")                                                                               \
    X(MCC, "mcc", "MCC")                                                                                     \
    X(F1_POSITIVE, "f1_positive", "F1 of class 1")                                                           \
    X(F1_NEGATIVE, "f1_negative", "F1 of class 0")

typedef enum vg_metric {
#define VG_METRIC_ENUM(name, key, heading) VG_METRIC_##name,
    VG_METRIC_MAP(VG_METRIC_ENUM)
#undef VG_METRIC_ENUM
        VG_METRIC_COUNT
} vg_metric;

VG_API const char *vg_metric_key(vg_metric metric);     /* "f1_macro" */
VG_API const char *vg_metric_heading(vg_metric metric); /* "macro F1" */

/* ERR_CONFIG lists the keys there are. */
VG_NODISCARD VG_API vg_status vg_metric_parse(const char *key, vg_metric *out);

typedef struct vg_metrics {
    int64_t count;
    int64_t true_positive, false_positive, true_negative, false_negative;
    double value[VG_METRIC_COUNT]; /* by vg_metric; NaN: absent */
} vg_metrics;

/* Labels are 0 or 1 (ERR_DATA otherwise), probabilities of class 1 lie in [0, 1] (ERR_NUMERIC for NaN and
 * the rest); class 1 is answered when the probability is above `threshold` (0.5 unless the experiment says
 * otherwise). AUROC is exact: the Mann-Whitney statistic with mid-ranks for ties, and does not depend on the
 * threshold. No items: every metric absent. */
VG_NODISCARD VG_API vg_status vg_metrics_compute(const float *labels, const double *probabilities,
                                                 int64_t count, double threshold, vg_metrics *out);

/* Groups apart and together. `groups` gives any id per item; group i of the result has id ids[i], ascending.
 * summary[m] is the mean over the groups that define metric m, with sd, 95 % t-interval and the number of
 * groups without it in `missing`. `pooled` is over all items at once; its AUROC compares probabilities of
 * different groups, so when the groups come from different models (folds) the mean over groups is the
 * honest figure. */
typedef struct vg_metrics_grouped {
    vg_metrics pooled;
    int64_t group_count;
    int64_t *ids;
    vg_metrics *groups;
    vg_summary summary[VG_METRIC_COUNT];
} vg_metrics_grouped;

VG_NODISCARD VG_API vg_status vg_metrics_by_group(const float *labels, const double *probabilities,
                                                  const int64_t *groups, int64_t count, double threshold,
                                                  vg_metrics_grouped *out);

/* The majority answer: answers[i] is the larger class of the training part of the fold that tests item i.
 * An answer that never looks at the signal ranks nothing, so AUROC is 0.5 wherever both classes occur, pooled
 * too, although folds may differ in their answer. */
VG_NODISCARD VG_API vg_status vg_metrics_majority(const float *labels, const int *answers,
                                                  const int64_t *groups, int64_t count,
                                                  vg_metrics_grouped *out);

/* Frees what is inside; a zeroed struct is fine. */
VG_API void vg_metrics_grouped_free(vg_metrics_grouped *grouped);

#ifdef __cplusplus
}
#endif
#endif
