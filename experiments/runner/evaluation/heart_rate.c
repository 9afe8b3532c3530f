#include "experiments/runner/evaluation/heart_rate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "datasets/signal/rpeaks.h"

/* The rows of one recording's segments. Beats are looked for in the whole recording, which the detector knows
 * better than ten seconds of it; the features of a segment come from the beats inside it alone. */
static vg_status recording_rows(const vg_corpus *corpus, const vg_corpus_recording *recording, double *work,
                                vg_heart_rates *rates)
{
    if (recording->segment_count == 0) return VG_OK;
    for (int64_t i = 0; i < recording->length; i++) work[i] = corpus->signal[recording->offset + i];
    vg_rpeaks peaks = {0};
    if (vg_rpeaks_detect(work, recording->length, corpus->rate, &peaks) != VG_OK)
        return vg_context(VG_ERR_DATA, "heart beats of %s", recording->source);
    for (int64_t s = 0; s < recording->segment_count; s++) {
        int64_t segment = recording->first_segment + s;
        vg_heart_rate found =
            vg_heart_rate_from_peaks(&peaks, corpus->segments[segment].start - recording->offset,
                                     corpus->segment_length, corpus->rate);
        double *row = rates->rows + segment * VG_HEART_RATE_FEATURES;
        row[0] = found.mean_bpm;
        row[1] = found.sdnn_ms;
        row[2] = found.rmssd_ms;
        if (isfinite(row[0]) && isfinite(row[1]) && isfinite(row[2])) continue;
        row[0] = row[1] = row[2] = NAN;
        rates->unusable++;
    }
    vg_rpeaks_free(&peaks);
    return VG_OK;
}

vg_status vg_heart_rates_create(const vg_corpus *corpus, vg_heart_rates **out)
{
    vg_status status = VG_OK;
    int64_t longest = 1;
    for (int64_t r = 0; r < corpus->recording_count; r++)
        if (corpus->recordings[r].length > longest) longest = corpus->recordings[r].length;
    double *work = malloc((size_t)longest * sizeof *work);
    vg_heart_rates *rates = calloc(1, sizeof *rates);
    if (rates)
        rates->rows = calloc((size_t)corpus->segment_count + 1, VG_HEART_RATE_FEATURES * sizeof(double));
    if (!work || !rates || !rates->rows) {
        status = vg_fail(VG_ERR_MEMORY, "no memory for the heart rates of %lld segments",
                         (long long)corpus->segment_count);
        goto out;
    }
    rates->count = corpus->segment_count;
    for (int64_t r = 0; r < corpus->recording_count; r++)
        VG_TRY_OUT(recording_rows(corpus, &corpus->recordings[r], work, rates));
    *out = rates;
    rates = NULL;
out:
    free(work);
    vg_heart_rates_destroy(rates);
    return status;
}

void vg_heart_rates_destroy(vg_heart_rates *rates)
{
    if (!rates) return;
    free(rates->rows);
    free(rates);
}

/* The rows and labels to learn from among `segments`, appended at *count. */
static void collect(const vg_heart_rates *rates, const vg_corpus *corpus, const int64_t *segments,
                    int64_t segment_count, double *x, float *labels, int64_t *count, int64_t *unusable)
{
    for (int64_t i = 0; i < segment_count; i++) {
        const double *row = rates->rows + segments[i] * VG_HEART_RATE_FEATURES;
        float label = corpus->segments[segments[i]].label;
        if (isnan(label)) continue;
        if (isnan(row[0])) {
            ++*unusable;
            continue;
        }
        memcpy(x + *count * VG_HEART_RATE_FEATURES, row, VG_HEART_RATE_FEATURES * sizeof *row);
        labels[(*count)++] = label;
    }
}

vg_status vg_heart_rates_fold(const vg_heart_rates *rates, const vg_corpus *corpus, const vg_fold *fold,
                              const vg_logistic_options *options, double *probabilities,
                              vg_heart_rates_report *report)
{
    VG_ASSERT(rates->count == corpus->segment_count);
    vg_status status = VG_OK;
    vg_logistic_options defaults = vg_logistic_options_default();
    vg_heart_rates_report local = {0};
    size_t most = (size_t)(fold->train_count + fold->validation_count) + 1;
    int64_t count = 0;
    double *x = malloc(most * VG_HEART_RATE_FEATURES * sizeof *x);
    float *labels = malloc(most * sizeof *labels);
    if (!x || !labels) {
        status = vg_fail(VG_ERR_MEMORY, "no memory for the heart-rate baseline of %s", fold->name);
        goto out;
    }
    collect(rates, corpus, fold->train, fold->train_count, x, labels, &count, &local.train_unusable);
    collect(rates, corpus, fold->validation, fold->validation_count, x, labels, &count,
            &local.train_unusable);
    status = vg_logistic_fit(x, labels, count, VG_HEART_RATE_FEATURES, options ? options : &defaults,
                             &local.model);
    if (status != VG_OK) {
        vg_context(status, "heart-rate baseline of %s", fold->name);
        goto out;
    }
    for (int64_t i = 0; i < fold->test_count; i++) {
        const double *row = rates->rows + fold->test[i] * VG_HEART_RATE_FEATURES;
        if (isnan(row[0])) {
            row = local.model.mean;
            local.test_unusable++;
        }
        probabilities[i] = vg_logistic_predict(&local.model, row);
    }
    if (report) *report = local;
out:
    free(x);
    free(labels);
    return status;
}
