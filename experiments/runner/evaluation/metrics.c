#include "experiments/runner/evaluation/metrics.h"
#include "experiments/runner/evaluation/groups.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *key, *heading;
} names[VG_METRIC_COUNT] = {
#define NAME(metric, key, heading) {key, heading},
    VG_METRIC_MAP(NAME)
#undef NAME
};

const char *vg_metric_key(vg_metric metric)
{
    VG_ASSERT((unsigned)metric < VG_METRIC_COUNT);
    return names[metric].key;
}

const char *vg_metric_heading(vg_metric metric)
{
    VG_ASSERT((unsigned)metric < VG_METRIC_COUNT);
    return names[metric].heading;
}

vg_status vg_metric_parse(const char *key, vg_metric *out)
{
    for (int i = 0; i < VG_METRIC_COUNT; i++) {
        if (strcmp(key, names[i].key) == 0) {
            *out = (vg_metric)i;
            return VG_OK;
        }
    }
#define LISTED(metric, text, heading) " " text
    return vg_fail(VG_ERR_CONFIG, "'%s' is no metric; there are:%s", key, VG_METRIC_MAP(LISTED));
#undef LISTED
}

typedef struct scored {
    double score;
    float label;
} scored;

static int by_score(const void *left, const void *right)
{
    double a = ((const scored *)left)->score, b = ((const scored *)right)->score;
    return (a > b) - (a < b);
}

/* The share of (positive, negative) pairs in the right order, a tie counting half: over the sorted items,
 * each run of equal scores gives its members the mean of the ranks it covers (Hanley & McNeil, Radiology 143,
 * 1982). Sorts `items`. Both classes are there. Rank sums are halves of integers, so they are exact. */
static double auroc(scored *items, int64_t count, int64_t positives)
{
    qsort(items, (size_t)count, sizeof *items, by_score);
    double rank_sum = 0;
    for (int64_t i = 0, end; i < count; i = end) {
        int64_t in_run = 0;
        for (end = i; end < count && items[end].score == items[i].score; end++)
            in_run += items[end].label > 0;
        rank_sum += (double)in_run * ((double)(i + 1) + (double)end) / 2;
    }
    double p = (double)positives, n = (double)(count - positives);
    return (rank_sum - p * (p + 1) / 2) / (p * n);
}

static double ratio(double part, double whole)
{
    return whole > 0 ? part / whole : NAN;
}

/* Everything that follows from the four counts; AUROC is left as it is. */
static void from_confusion(vg_metrics *m)
{
    double tp = (double)m->true_positive, fp = (double)m->false_positive;
    double tn = (double)m->true_negative, fn = (double)m->false_negative;
    double *value = m->value;
    value[VG_METRIC_ACCURACY] = ratio(tp + tn, tp + fp + tn + fn);
    value[VG_METRIC_BALANCED_ACCURACY] = (ratio(tp, tp + fn) + ratio(tn, tn + fp)) / 2;
    value[VG_METRIC_F1_POSITIVE] = ratio(2 * tp, 2 * tp + fp + fn);
    value[VG_METRIC_F1_NEGATIVE] = ratio(2 * tn, 2 * tn + fn + fp);
    value[VG_METRIC_F1_MACRO] = (value[VG_METRIC_F1_POSITIVE] + value[VG_METRIC_F1_NEGATIVE]) / 2;
    value[VG_METRIC_MCC] = NAN;
    if (tp + fn > 0 && tn + fp > 0) {
        /* Always the same answer: 0, the limit of answers that are nearly always the same by chance. */
        double product = sqrt(tp + fp) * sqrt(tp + fn) * sqrt(tn + fp) * sqrt(tn + fn);
        value[VG_METRIC_MCC] = product > 0 ? (tp * tn - fp * fn) / product : 0;
    }
}

/* Counts one item; ERR_DATA or ERR_NUMERIC when it is none. */
static vg_status count_item(float label, bool positive, int64_t index, vg_metrics *m)
{
    if (label != 0 && label != 1)
        return vg_fail(VG_ERR_DATA, "item %lld has the label %g: a metric needs labels 0 and 1",
                       (long long)index, (double)label);
    m->count++;
    if (label == 1)
        positive ? m->true_positive++ : m->false_negative++;
    else
        positive ? m->false_positive++ : m->true_negative++;
    return VG_OK;
}

/* The metrics of the items order[0..count) (all in turn with order == NULL); `work` holds count entries. */
static vg_status compute(const float *labels, const double *probabilities, const int64_t *order,
                         int64_t count, double threshold, scored *work, vg_metrics *out)
{
    memset(out, 0, sizeof *out);
    for (int64_t i = 0; i < count; i++) {
        int64_t item = order ? order[i] : i;
        double p = probabilities[item];
        if (!(p >= 0 && p <= 1))
            return vg_fail(VG_ERR_NUMERIC, "item %lld has the probability %g, which is not between 0 and 1",
                           (long long)item, p);
        VG_TRY(count_item(labels[item], p > threshold, item, out));
        work[i] = (scored){.score = p, .label = labels[item]};
    }
    from_confusion(out);
    int64_t positives = out->true_positive + out->false_negative;
    out->value[VG_METRIC_AUROC] = positives > 0 && positives < count ? auroc(work, count, positives) : NAN;
    return VG_OK;
}

static vg_status allocate(int64_t count, size_t size, void *out)
{
    VG_ASSERT(count >= 0);
    void *memory = calloc((size_t)count + 1, size);
    if (!memory) return vg_fail(VG_ERR_MEMORY, "no memory for the metrics of %lld items", (long long)count);
    memcpy(out, &memory, sizeof memory);
    return VG_OK;
}

vg_status vg_metrics_compute(const float *labels, const double *probabilities, int64_t count,
                             double threshold, vg_metrics *out)
{
    scored *work = NULL;
    VG_TRY(allocate(count, sizeof *work, &work));
    vg_status status = compute(labels, probabilities, NULL, count, threshold, work, out);
    free(work);
    return status;
}

/* The summaries over the groups, from their metrics. */
static vg_status summarize(vg_metrics_grouped *out)
{
    double *values = NULL;
    VG_TRY(allocate(out->group_count, sizeof *values, &values));
    for (int metric = 0; metric < VG_METRIC_COUNT; metric++) {
        for (int64_t g = 0; g < out->group_count; g++) values[g] = out->groups[g].value[metric];
        out->summary[metric] = vg_summarize(values, out->group_count);
    }
    free(values);
    return VG_OK;
}

vg_status vg_metrics_by_group(const float *labels, const double *probabilities, const int64_t *groups,
                              int64_t count, double threshold, vg_metrics_grouped *out)
{
    vg_status status = VG_OK;
    member *members = NULL;
    int64_t *order = NULL;
    scored *work = NULL;
    memset(out, 0, sizeof *out);
    VG_TRY_OUT(allocate(count, sizeof *members, &members));
    VG_TRY_OUT(allocate(count, sizeof *order, &order));
    VG_TRY_OUT(allocate(count, sizeof *work, &work));
    VG_TRY_OUT(compute(labels, probabilities, NULL, count, threshold, work, &out->pooled));

    for (int64_t i = 0; i < count; i++) members[i] = (member){.group = groups[i], .item = i};
    qsort(members, (size_t)count, sizeof *members, by_group);
    for (int64_t i = 0; i < count; i++) {
        order[i] = members[i].item;
        out->group_count += i == 0 || members[i].group != members[i - 1].group;
    }
    VG_TRY_OUT(allocate(out->group_count, sizeof *out->ids, &out->ids));
    VG_TRY_OUT(allocate(out->group_count, sizeof *out->groups, &out->groups));
    int64_t g = 0;
    for (int64_t i = 0, end; i < count; i = end, g++) {
        for (end = i; end < count && members[end].group == members[i].group; end++) {
        }
        out->ids[g] = members[i].group;
        VG_TRY_OUT(compute(labels, probabilities, order + i, end - i, threshold, work, &out->groups[g]));
    }
    VG_TRY_OUT(summarize(out));
out:
    free(members);
    free(order);
    free(work);
    if (status != VG_OK) vg_metrics_grouped_free(out);
    return status;
}

static void rank_nothing(vg_metrics *m)
{
    if (!isnan(m->value[VG_METRIC_AUROC])) m->value[VG_METRIC_AUROC] = 0.5;
}

vg_status vg_metrics_majority(const float *labels, const int *answers, const int64_t *groups, int64_t count,
                              vg_metrics_grouped *out)
{
    memset(out, 0, sizeof *out);
    double *probabilities = NULL;
    VG_TRY(allocate(count, sizeof *probabilities, &probabilities));
    for (int64_t i = 0; i < count; i++) probabilities[i] = answers[i];
    vg_status status = vg_metrics_by_group(labels, probabilities, groups, count, 0.5, out);
    free(probabilities);
    VG_TRY(status);
    rank_nothing(&out->pooled);
    for (int64_t g = 0; g < out->group_count; g++) rank_nothing(&out->groups[g]);
    status = summarize(out);
    if (status != VG_OK) vg_metrics_grouped_free(out);
    return status;
}

void vg_metrics_grouped_free(vg_metrics_grouped *grouped)
{
    free(grouped->ids);
    free(grouped->groups);
    memset(grouped, 0, sizeof *grouped);
}
