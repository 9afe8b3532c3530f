/* The heart-rate baseline over every subject of a corpus, for the tests on made and on real recordings. */
#ifndef VAGUS_TESTS_RUNNER_LEAVE_ONE_OUT_H
#define VAGUS_TESTS_RUNNER_LEAVE_ONE_OUT_H

#include <math.h>
#include <stdlib.h>

#include "experiments/runner/evaluation/heart_rate.h"
#include "tests/support/support.h"

/* Leave-one-subject-out over a labelled corpus: fills probabilities and subjects per item of all test parts.
 */
typedef struct outcome {
    float *labels;
    double *probabilities;
    int64_t *subjects;
    int64_t count, unusable, left_out;
} outcome;

static inline void free_outcome(outcome *o)
{
    free(o->labels);
    free(o->probabilities);
    free(o->subjects);
}

/* `spoilt` (-1: none) is a recording whose beats are taken away. */
static inline outcome leave_one_out(vg_corpus *corpus, const char *rating, const vg_logistic_options *options,
                                    int spoilt)
{
    int64_t *rated = calloc((size_t)corpus->segment_count, sizeof *rated), count;
    outcome o = {.labels = calloc((size_t)corpus->segment_count, sizeof(float)),
                 .probabilities = calloc((size_t)corpus->segment_count, sizeof(double)),
                 .subjects = calloc((size_t)corpus->segment_count, sizeof(int64_t))};
    vg_label_rule rule = {.rating = rating, .threshold = VG_THRESHOLD_NONE};
    vg_split_options split_options = {.unit = VG_SPLIT_LOSO, .seed = 1};
    vg_split *split;
    vg_heart_rates *rates;
    assert_ok(vg_corpus_rated(corpus, rating, rated, &count));
    assert_ok(vg_split_create(corpus, rated, count, &split_options, &split));
    assert_ok(vg_heart_rates_create(corpus, &rates));
    for (int64_t i = 0; i < corpus->segment_count * VG_HEART_RATE_FEATURES; i++)
        if (corpus->segments[i / VG_HEART_RATE_FEATURES].recording == spoilt) rates->rows[i] = NAN;
    for (int f = 0; f < split->count; f++) {
        const vg_fold *fold = &split->folds[f];
        vg_label_report labels;
        vg_heart_rates_report report;
        assert_ok(vg_corpus_label(corpus, &rule, fold->train, fold->train_count, &labels));
        assert_ok(vg_heart_rates_fold(rates, corpus, fold, options, o.probabilities + o.count, &report));
        o.unusable += report.test_unusable;
        o.left_out += report.train_unusable;
        for (int64_t i = 0; i < fold->test_count; i++, o.count++) {
            o.labels[o.count] = corpus->segments[fold->test[i]].label;
            o.subjects[o.count] = corpus->segments[fold->test[i]].subject;
        }
    }
    assert_int_equal(o.count, count);
    vg_heart_rates_destroy(rates);
    vg_split_destroy(split);
    free(rated);
    return o;
}

#endif
