/* What the tests of the importers share: a signal that passes for an ECG, and an import with its outcome. */
#ifndef VAGUS_TESTS_DATASETS_IMPORT_SUPPORT_H
#define VAGUS_TESTS_DATASETS_IMPORT_SUPPORT_H

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "datasets/import/importer.h"
#include "datasets/store/store.h"
#include "datasets/synthetic.h"
#include "tests/support/support.h"

/* Beats in millivolt, n samples at `rate`, the same for the same subject. */
static inline float *import_beats(int subject, double rate, int64_t n)
{
    vg_synthetic_options options = vg_synthetic_default_options();
    bool aroused;
    float *x = malloc((size_t)n * sizeof *x);
    assert_non_null(x);
    options.rate = rate;
    assert_ok(vg_synthetic_recording(&options, subject, 0, x, n, &aroused));
    return x;
}

/* Options that leave the samples as they are: no filter, the given rate, everything kept. */
static inline vg_import_options import_untouched(double rate)
{
    vg_import_options options = vg_import_default_options();
    options.rate = rate;
    options.order = 0;
    options.min_seconds = 0;
    options.min_quality = 0;
    options.drop_bad = false;
    return options;
}

/* Imports one source and opens the store. */
static inline vg_store *import_and_open(const char *format, const char *source,
                                        const vg_import_options *options, const char *out,
                                        vg_import_report *report)
{
    vg_store *store = NULL;
    assert_ok(vg_import(format, &source, 1, options, out, true, report));
    assert_ok(vg_store_open(out, &store));
    assert_int_equal(vg_store_recording_count(store), report->recordings);
    return store;
}

/* Fails unless importing fails with this status and these words, without leaving a file. */
static inline void import_refuses(const char *format, const char *source, const vg_import_options *options,
                                  const char *out, vg_status expected, const char *words)
{
    vg_import_report report;
    remove(out);
    assert_fails(vg_import(format, &source, 1, options, out, false, &report), expected, words);
    FILE *file = fopen(out, "rb");
    if (file) fail_msg("%s was written by an import that failed", out);
    vg_import_report_free(&report);
}

/* The samples of a recording, the caller's to free. */
static inline float *import_samples(vg_store *store, int64_t index)
{
    int64_t n = vg_store_recording(store, index)->length;
    float *x = malloc((size_t)n * sizeof *x);
    assert_non_null(x);
    assert_ok(vg_store_read(store, index, 0, n, x));
    return x;
}

#endif
