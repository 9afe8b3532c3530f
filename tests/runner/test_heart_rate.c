/* The heart-rate baseline on recordings whose rate carries the label by construction. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "datasets/store/store.h"
#include "tests/runner/leave_one_out.h"

/* Triangular beats on a slow drift. */
static void make_beats(float *x, int64_t n, double rate, double beats_a_minute)
{
    double period = 60 / beats_a_minute;
    for (int64_t i = 0; i < n; i++) {
        double seconds = (double)i / rate, since = fmod(seconds, period);
        x[i] = (float)(0.05 * sin(2 * seconds) + fmax(0, 1 - fabs(since - period / 2) / 0.03));
    }
}

/* Six subjects; label 1 beats 20 times a minute faster than label 0 of the same subject. */
static void a_rate_that_carries_the_label(void **state)
{
    (void)state;
    enum { RATE = 128, N = 60 * RATE, SUBJECTS = 6, SPOILT = 2 * SUBJECTS - 1 };
    char *folder = support_temp_dir(), *path = support_path(folder, "s.h5");
    const char *ratings[] = {"task"}, *paths[] = {path};
    vg_store_writer *writer;
    vg_store_info info = {.source = "made",
                          .rate = RATE,
                          .units = "mV",
                          .original_rates = "128",
                          .filter = "none",
                          .resampling = "none",
                          .polarity = "as recorded",
                          .licence = "none",
                          .citation = "none",
                          .synthetic = true,
                          .importer = "a test 1"};
    assert_ok(vg_store_writer_create(path, false, ratings, 1, &writer));
    assert_ok(vg_store_writer_describe(writer, &info));
    float *x = calloc(N, sizeof *x);
    for (int r = 0; r < 2 * SUBJECTS; r++) {
        char subject[16];
        snprintf(subject, sizeof subject, "%d", r / 2);
        make_beats(x, N, RATE, 62 + r / 2 + 20 * (r % 2));
        vg_recording recording = {
            .subject = subject, .trial = r % 2 ? "task" : "rest", .length = N, .source = subject};
        double rating = r % 2;
        assert_ok(vg_store_writer_add(writer, &recording, x, &rating));
    }
    assert_ok(vg_store_writer_finish(writer));
    free(x);

    vg_corpus_options options = vg_corpus_options_default();
    vg_corpus *corpus;
    assert_ok(vg_corpus_create(paths, 1, &options, &corpus));
    vg_heart_rates *rates;
    assert_ok(vg_heart_rates_create(corpus, &rates));
    assert_int_equal(rates->unusable, 0);
    assert_int_equal(rates->count, 12 * SUBJECTS);
    for (int64_t i = 0; i < corpus->segment_count; i++) {
        const double *row = rates->rows + i * VG_HEART_RATE_FEATURES;
        int r = corpus->segments[i].recording;
        if (!(fabs(row[0] - (62 + r / 2 + 20 * (r % 2))) < 0.5 && row[1] < 5 && row[2] < 8))
            fail_msg("segment %lld: %g beats a minute, %g and %g ms", (long long)i, row[0], row[1], row[2]);
    }
    vg_heart_rates_destroy(rates);

    vg_logistic_options fit = vg_logistic_options_default();
    outcome o = leave_one_out(corpus, "task", &fit, SPOILT);
    assert_int_equal(o.count, 12 * SUBJECTS);
    assert_int_equal(o.unusable, 6);
    assert_int_equal(o.left_out, 6 * (SUBJECTS - 1)); /* from every other fold's training part */
    double first_spoilt = NAN;
    for (int64_t i = 0; i < o.count; i++) {
        bool spoilt = o.subjects[i] == SUBJECTS - 1 && o.labels[i] > 0;
        if (!spoilt && (o.probabilities[i] > 0.5) != (o.labels[i] > 0))
            fail_msg("item %lld of label %g got %g", (long long)i, (double)o.labels[i], o.probabilities[i]);
        if (!spoilt) continue;
        if (isnan(first_spoilt)) first_spoilt = o.probabilities[i];
        assert_true(o.probabilities[i] == first_spoilt); /* one answer for all that is not known */
    }
    /* The mean of the training rows, half of them of either class. */
    if (!(fabs(first_spoilt - 0.5) < 0.1)) fail_msg("%g for a segment without beats", first_spoilt);
    free_outcome(&o);
    vg_corpus_destroy(corpus);
    free(path);
    free(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_rate_that_carries_the_label)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
