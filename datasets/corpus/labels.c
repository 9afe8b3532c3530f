#include "datasets/corpus/own.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "datasets/signal/numbers.h"

vg_status vg_label_rule_parse(const char *rating, const char *threshold, vg_label_rule *out)
{
    *out = (vg_label_rule){.rating = rating};
    if (strcmp(threshold, "mean") == 0) {
        out->threshold = VG_THRESHOLD_MEAN;
    } else if (strcmp(threshold, "median") == 0) {
        out->threshold = VG_THRESHOLD_MEDIAN;
    } else if (strcmp(threshold, "none") == 0) {
        out->threshold = VG_THRESHOLD_NONE;
    } else {
        char *end;
        out->threshold = VG_THRESHOLD_NUMBER;
        out->number = strtod(threshold, &end);
        if (end == threshold || *end || !isfinite(out->number))
            return vg_fail(VG_ERR_CONFIG, "'%s' is no threshold; give a number, mean, median or none",
                           threshold);
    }
    return VG_OK;
}

/* The column of a rating; the error lists those there are. */
static vg_status find_column(const vg_corpus *corpus, const char *rating, int *column)
{
    char known[512] = "";
    for (int i = 0; i < corpus->rating_count; i++) {
        if (strcmp(corpus->rating_names[i], rating) == 0) {
            *column = i;
            return VG_OK;
        }
        size_t used = strlen(known);
        snprintf(known + used, sizeof known - used, "%s%s", used ? ", " : "", corpus->rating_names[i]);
    }
    return vg_fail(VG_ERR_CONFIG, "the data have no rating '%s'; they have %s", rating,
                   known[0] ? known : "none");
}

static double rating_of(const vg_corpus *corpus, int64_t segment, int column)
{
    return corpus->recordings[corpus->segments[segment].recording].ratings[column];
}

vg_status vg_corpus_rated(const vg_corpus *corpus, const char *rating, int64_t *out, int64_t *count)
{
    int column;
    VG_TRY(find_column(corpus, rating, &column));
    *count = 0;
    for (int64_t i = 0; i < corpus->segment_count; i++)
        if (!isnan(rating_of(corpus, i, column))) out[(*count)++] = i;
    if (*count) return VG_OK;
    return vg_fail(VG_ERR_DATA, "none of the %" PRId64 " segments has a rating '%s'", corpus->segment_count,
                   rating);
}

/* Mean or median of the rating over the training segments that have one. */
static vg_status threshold_of(const vg_corpus *corpus, const vg_label_rule *rule, int column,
                              const int64_t *train, int64_t train_count, double *out)
{
    double *values = calloc((size_t)train_count + 1, sizeof *values), sum = 0;
    if (!values) return vg_fail(VG_ERR_MEMORY, "ratings of %" PRId64 " segments", train_count);
    int64_t n = 0;
    for (int64_t i = 0; i < train_count; i++) {
        VG_ASSERT(train[i] >= 0 && train[i] < corpus->segment_count);
        double value = rating_of(corpus, train[i], column);
        if (!isnan(value)) values[n++] = value;
    }
    if (n && rule->threshold == VG_THRESHOLD_MEDIAN) {
        *out = vg__median(values, n);
    } else if (n) {
        for (int64_t i = 0; i < n; i++) sum += values[i];
        *out = sum / (double)n;
    }
    free(values);
    if (n) return VG_OK;
    return vg_fail(VG_ERR_DATA, "no training segment has a rating '%s' to take a threshold from",
                   rule->rating);
}

/* THRESHOLD_NONE takes 0 and 1 only. */
static vg_status check_binary(const vg_corpus *corpus, const vg_label_rule *rule, int column)
{
    for (int64_t i = 0; i < corpus->segment_count; i++) {
        double value = rating_of(corpus, i, column);
        if (!isnan(value) && value != 0 && value != 1)
            return vg_fail(
                VG_ERR_DATA,
                "rating '%s' is %g in recording %s, neither 0 nor 1; give a threshold: a number, mean or "
                "median",
                rule->rating, value, corpus->recordings[corpus->segments[i].recording].source);
    }
    return VG_OK;
}

vg_status vg_corpus_label(vg_corpus *corpus, const vg_label_rule *rule, const int64_t *train,
                          int64_t train_count, vg_label_report *report)
{
    int column;
    double threshold = rule->number;
    VG_TRY(find_column(corpus, rule->rating, &column));
    if (rule->threshold == VG_THRESHOLD_NONE) {
        VG_TRY(check_binary(corpus, rule, column));
        threshold = 0.5;
    } else if (rule->threshold != VG_THRESHOLD_NUMBER) {
        VG_TRY(threshold_of(corpus, rule, column, train, train_count, &threshold));
    }
    vg_label_report found = {.threshold = rule->threshold == VG_THRESHOLD_NONE ? NAN : threshold};
    for (int64_t i = 0; i < corpus->segment_count; i++) {
        double value = rating_of(corpus, i, column);
        float *label = &corpus->segments[i].label;
        *label = isnan(value) ? NAN : value > threshold ? 1.0f : 0.0f;
        if (isnan(value))
            found.unrated++;
        else if (*label == 1)
            found.positive++;
        else
            found.negative++;
    }
    if (report) *report = found;
    return VG_OK;
}
