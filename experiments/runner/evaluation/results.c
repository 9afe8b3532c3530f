#include "experiments/runner/evaluation/results.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/file.h"
#include "core/json.h"
#include "core/text.h"
#include "experiments/runner/evaluation/statistics.h"

static const double THRESHOLD = 0.5;

/* What the table shows, the one to judge by first: labels are rarely balanced. */
static const vg_metric shown[] = {VG_METRIC_BALANCED_ACCURACY, VG_METRIC_AUROC, VG_METRIC_F1_MACRO,
                                  VG_METRIC_ACCURACY};
enum { SHOWN = sizeof shown / sizeof *shown, COLUMN = 20 };

vg_status vg_results_make(const char *const *methods, int method_count, int64_t capacity, vg_results *out)
{
    VG_ASSERT(method_count <= VG_MAX_METHODS);
    *out = (vg_results){.method_count = method_count, .capacity = capacity};
    size_t n = (size_t)capacity + 1;
    out->segment = malloc(n * sizeof *out->segment);
    out->fold = malloc(n * sizeof *out->fold);
    out->label = malloc(n * sizeof *out->label);
    out->majority = malloc(n * sizeof *out->majority);
    bool complete = out->segment && out->fold && out->label && out->majority;
    for (int m = 0; m < method_count; m++) {
        out->methods[m] = methods[m];
        out->probability[m] = malloc(n * sizeof(double));
        complete = complete && out->probability[m];
    }
    if (complete) return VG_OK;
    vg_results_free(out);
    return vg_fail(VG_ERR_MEMORY, "no memory for %" PRId64 " predictions", capacity);
}

void vg_results_free(vg_results *results)
{
    free(results->segment);
    free(results->fold);
    free(results->label);
    free(results->majority);
    for (int m = 0; m < results->method_count; m++) {
        free(results->probability[m]);
        vg_metrics_grouped_free(&results->metrics[m]);
    }
    vg_metrics_grouped_free(&results->majority_metrics);
    *results = (vg_results){0};
}

vg_status vg_results_compute(vg_results *results)
{
    for (int m = 0; m < results->method_count; m++)
        VG_TRY(vg_metrics_by_group(results->label, results->probability[m], results->fold, results->count,
                                   THRESHOLD, &results->metrics[m]));
    return vg_metrics_majority(results->label, results->majority, results->fold, results->count,
                               &results->majority_metrics);
}

/* ---- The table ----------------------------------------------------------------------------------------- */

/* Pads to a column by characters: ± is one character and two bytes. */
static void print_cell(FILE *out, const char *text)
{
    int width = 0;
    for (const char *c = text; *c; c++) width += ((unsigned char)*c & 0xc0) != 0x80;
    fprintf(out, "%*s%s", width < COLUMN ? COLUMN - width : 1, "", text);
}

/* One line of the table: means over folds with their spread, or all test segments taken together. */
static void print_row(FILE *out, const char *name, const vg_metrics_grouped *metrics, bool pooled)
{
    fprintf(out, "  %-12s", name);
    for (int i = 0; i < SHOWN; i++) {
        const vg_summary *s = &metrics->summary[shown[i]];
        double mean = pooled ? metrics->pooled.value[shown[i]] : s->mean;
        char text[64];
        if (isnan(mean))
            snprintf(text, sizeof text, "-");
        else if (pooled || s->n == 1)
            snprintf(text, sizeof text, "%.3f", mean);
        else
            snprintf(text, sizeof text, "%.3f ± %.3f", mean, s->sd);
        print_cell(out, text);
    }
    fputc('\n', out);
}

static void print_table(FILE *out, const vg_results *r, const char *title, bool pooled)
{
    fprintf(out, "%s\n  %-12s", title, "");
    for (int i = 0; i < SHOWN; i++) print_cell(out, vg_metric_heading(shown[i]));
    fputc('\n', out);
    for (int m = 0; m < r->method_count; m++) print_row(out, r->methods[m], &r->metrics[m], pooled);
    print_row(out, "majority", &r->majority_metrics, pooled);
}

/* One metric of one method fold by fold, for a paired test; folds are the groups in the same order. */
static void by_fold(const vg_metrics_grouped *metrics, vg_metric metric, double *values)
{
    for (int64_t g = 0; g < metrics->group_count; g++) values[g] = metrics->groups[g].value[metric];
}

static void print_difference(FILE *out, const vg_results *r, int a, int b, double *values, bool *titled)
{
    int64_t n = r->metrics[a].group_count;
    vg_comparison comparison;
    by_fold(&r->metrics[a], VG_METRIC_BALANCED_ACCURACY, values);
    by_fold(&r->metrics[b], VG_METRIC_BALANCED_ACCURACY, values + n);
    if (vg_compare_paired(values, values + n, n, &comparison) != VG_OK) return; /* fewer than two pairs */
    if (!*titled) fprintf(out, "differences of balanced accuracy, paired over folds [95 %% interval]\n");
    *titled = true;
    const vg_summary *d = &comparison.difference;
    fprintf(out,
            "  %s - %s: %+.3f [%+.3f, %+.3f], Wilcoxon p = %.3g, better in %" PRId64 " of %" PRId64
            " folds\n",
            r->methods[a], r->methods[b], d->mean, d->low, d->high, comparison.p_wilcoxon, comparison.better,
            d->n);
}

void vg_results_print(const vg_results *r, const vg_experiment *e, FILE *out)
{
    int64_t positive = 0;
    for (int64_t i = 0; i < r->count; i++) positive += r->label[i] > 0;
    const char *split = vg_experiment_choice(e, "evaluation.split");
    fprintf(out,
            "\n%s: target %s, split by %s, %" PRId64 " folds, %" PRId64
            " test segments, %.1f %% of class 1\n",
            e->name, e->data.target, strcmp(split, "loso") ? split : "subject (leave one out)", r->fold_count,
            r->count, 100 * (double)positive / (double)r->count);
    if (!strcmp(split, "segment"))
        fprintf(
            out,
            "Segments of one recording stand on both sides of this split: it measures memory of a recording\n"
            "as much as anything else, and serves to compare with published figures only.\n");
    print_table(out, r, "mean over folds ± standard deviation", false);
    /* A fold of one subject has few segments, and ranks within it say nothing about a common threshold. */
    print_table(out, r, "all test segments taken together", true);
    if (r->method_count < 2 || r->fold_count < 2) return;
    double *values = malloc(2 * (size_t)r->metrics[0].group_count * sizeof *values);
    if (!values) return;
    bool titled = false;
    for (int a = 0; a < r->method_count; a++)
        for (int b = a + 1; b < r->method_count; b++) print_difference(out, r, a, b, values, &titled);
    free(values);
}

/* ---- The files ----------------------------------------------------------------------------------------- */

static void put_metrics(vg_json_writer *json, const char *name, const vg_metrics_grouped *metrics,
                        double validation_loss)
{
    vg_json_begin_object(json, name);
    if (!isnan(validation_loss)) vg_json_put_double(json, "validation_loss", validation_loss);
    for (int m = 0; m < VG_METRIC_COUNT; m++) {
        const vg_summary *s = &metrics->summary[m];
        vg_json_begin_object(json, vg_metric_key((vg_metric)m));
        vg_json_put_double(json, "mean", s->mean);
        vg_json_put_double(json, "sd", s->sd);
        vg_json_put_double(json, "low", s->low);
        vg_json_put_double(json, "high", s->high);
        vg_json_put_int(json, "folds", s->n);
        vg_json_put_int(json, "absent", s->missing);
        vg_json_put_double(json, "pooled", metrics->pooled.value[m]);
        vg_json_begin_array(json, "by_fold");
        for (int64_t g = 0; g < metrics->group_count; g++)
            vg_json_put_double(json, NULL, metrics->groups[g].value[m]);
        vg_json_end(json);
        vg_json_end(json);
    }
    vg_json_end(json);
}

static vg_status write_json(const vg_results *r, const vg_experiment *e, const vg_rundir *run)
{
    char *path;
    VG_TRY(vg_rundir_file(run, "results.json", &path));
    vg_json_writer json = vg_json_writer_make(true);
    vg_json_begin_object(&json, NULL);
    vg_json_put_string(&json, "target", e->data.target);
    vg_json_put_string(&json, "split", vg_experiment_choice(e, "evaluation.split"));
    vg_json_put_int(&json, "max_folds", e->evaluation.max_folds);
    vg_json_put_int(&json, "folds", r->fold_count);
    vg_json_put_int(&json, "test_segments", r->count);
    vg_json_put_double(&json, "threshold", THRESHOLD);
    vg_json_begin_object(&json, "methods");
    for (int m = 0; m < r->method_count; m++)
        put_metrics(&json, r->methods[m], &r->metrics[m], r->validation_loss[m]);
    put_metrics(&json, "majority", &r->majority_metrics, NAN);
    vg_json_end(&json);
    vg_json_end(&json);
    vg_status status = vg_json_write(&json, path);
    free(path);
    return status;
}

static vg_status write_csv(const vg_results *r, const vg_corpus *corpus, const vg_rundir *run)
{
    vg_text text = {0};
    char *path, *bytes = NULL, number[VG_DOUBLE_TEXT];
    VG_TRY(vg_rundir_file(run, "predictions.csv", &path));
    vg_text_add(&text, "fold,subject,recording,start_s,label");
    for (int m = 0; m < r->method_count; m++) vg_text_add(&text, ",%s", r->methods[m]);
    vg_text_append(&text, "\n", 1);
    for (int64_t i = 0; i < r->count; i++) {
        const vg_segment *segment = &corpus->segments[r->segment[i]];
        const vg_corpus_recording *recording = &corpus->recordings[segment->recording];
        vg_text_add(&text, "%" PRId64 ",", r->fold[i]);
        vg_text_add_field(&text, corpus->subjects[segment->subject]);
        vg_text_append(&text, ",", 1);
        vg_text_add_field(&text, recording->source);
        vg_text_add(&text, ",%.3f,%.0f", (double)(segment->start - recording->offset) / corpus->rate,
                    (double)r->label[i]);
        for (int m = 0; m < r->method_count; m++)
            vg_text_add(&text, ",%s", vg_double_text(r->probability[m][i], number));
        vg_text_append(&text, "\n", 1);
    }
    vg_status status = vg_text_take(&text, &bytes);
    if (status == VG_OK) status = vg_file_write(path, bytes, strlen(bytes));
    free(bytes);
    free(path);
    return status;
}

vg_status vg_results_write(const vg_results *results, const vg_experiment *experiment,
                           const vg_corpus *corpus, const vg_rundir *run)
{
    VG_TRY(write_csv(results, corpus, run));
    return write_json(results, experiment, run);
}
