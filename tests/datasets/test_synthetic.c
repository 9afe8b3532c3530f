/* Synthetic ECG: the same for the same seed, told apart by its label only as far as `effect` says, always
 * called synthetic; and the summary of its store. */
#include "datasets/signal/quality.h"
#include "datasets/signal/rpeaks.h"
#include "datasets/summary.h"
#include "tests/datasets/import_support.h"

enum { N = 128 * 60 };

static void measure(const vg_synthetic_options *options, int subject, int recording, vg_heart_rate *rate,
                    bool *aroused)
{
    float *x = malloc(N * sizeof *x);
    assert_ok(vg_synthetic_recording(options, subject, recording, x, N, aroused));
    assert_ok(vg_heart_rate_of_segment(x, N, options->rate, rate));
    free(x);
}

static void test_repeats(void **unused)
{
    (void)unused;
    vg_synthetic_options options = vg_synthetic_default_options();
    float *a = malloc(N * sizeof *a), *b = malloc(N * sizeof *b);
    bool aroused;
    assert_ok(vg_synthetic_recording(&options, 3, 1, a, N, &aroused));
    assert_ok(vg_synthetic_recording(&options, 3, 1, b, N, &aroused));
    assert_memory_equal(a, b, N * sizeof *a);
    for (int change = 0; change < 3; change++) {
        vg_synthetic_options other = options;
        if (change == 2) other.seed++;
        assert_ok(vg_synthetic_recording(&other, change == 0 ? 4 : 3, change == 1 ? 2 : 1, b, N, &aroused));
        assert_true(memcmp(a, b, N * sizeof *a) != 0);
    }
    free(a);
    free(b);
}

/* It looks like an ECG to the quality check, at every rate. */
static void test_looks_like_ecg(void **unused)
{
    (void)unused;
    static const double rates[] = {128, 250, 1000};
    for (size_t r = 0; r < 3; r++) {
        vg_synthetic_options options = vg_synthetic_default_options();
        vg_quality_options limits = vg_quality_default_options();
        options.rate = rates[r];
        int64_t n = (int64_t)(30 * rates[r]);
        float *x = malloc((size_t)n * sizeof *x);
        double *wide = malloc((size_t)n * sizeof *wide);
        for (int subject = 0; subject < 6; subject++) {
            vg_quality q;
            bool aroused;
            assert_ok(vg_synthetic_recording(&options, subject, 0, x, n, &aroused));
            for (int64_t i = 0; i < n; i++) wide[i] = (double)x[i];
            assert_ok(vg_quality_measure(wide, n, rates[r], &limits, &q));
            if (!(q.index > 0.85 && q.polarity == 1 && q.bad == 0 && q.peak_to_peak > 0.5 &&
                  q.peak_to_peak < 3))
                fail_msg("%g Hz, subject %d: index %g, polarity %d, %g mV", rates[r], subject, q.index,
                         q.polarity, q.peak_to_peak);
        }
        free(x);
        free(wide);
    }
}

/* The label moves the rate within every subject by about 15 beats a minute, and with effect 0 by nothing. */
static void test_label(void **unused)
{
    (void)unused;
    vg_synthetic_options options = vg_synthetic_default_options();
    double sdnn[2] = {0, 0}, with = 0, without = 0;
    enum { SUBJECTS = 12 };
    for (int s = 0; s < SUBJECTS; s++) {
        vg_heart_rate rate[2];
        bool aroused;
        for (int k = 0; k < 2; k++) {
            vg_heart_rate measured;
            measure(&options, s, k, &measured, &aroused);
            assert_int_equal(aroused, (s + k) % 2);
            rate[aroused] = measured;
            sdnn[aroused] += measured.sdnn_ms / SUBJECTS;
        }
        double gain = rate[1].mean_bpm - rate[0].mean_bpm;
        if (!(gain > 8 && gain < 22))
            fail_msg("subject %d: %g and %g beats per minute", s, rate[0].mean_bpm, rate[1].mean_bpm);
        with += gain / SUBJECTS;
    }
    options.effect = 0;
    for (int s = 0; s < SUBJECTS; s++)
        for (int k = 0; k < 2; k++) {
            vg_heart_rate measured;
            bool aroused;
            measure(&options, s, k, &measured, &aroused);
            without += (aroused ? 1 : -1) * measured.mean_bpm / SUBJECTS;
        }
    printf("rate %+.1f (effect 1), %+.1f (effect 0) beats/min; SDNN %.0f calm, %.0f aroused ms\n", with,
           without, sdnn[0], sdnn[1]);
    assert_true(with > 13 && with < 17);
    assert_true(fabs(without) < 2.5);
    assert_true(sdnn[1] < 0.7 * sdnn[0]);
}

static void test_store(void **unused)
{
    (void)unused;
    char *folder = support_temp_dir(), *path = support_path(folder, "synthetic.h5"), *text;
    vg_synthetic_options options = vg_synthetic_default_options();
    vg_store *store;
    options.subjects = 3;
    options.seconds = 20;
    assert_ok(vg_synthetic_write(&options, path, false));
    assert_fails(vg_synthetic_write(&options, path, false), VG_ERR_IO, "synthetic.h5");
    assert_ok(vg_store_open(path, &store));
    assert_true(vg_store_get_info(store)->synthetic);
    assert_int_equal(vg_store_recording_count(store), 6);
    assert_string_equal(vg_store_rating_name(store, 0), "synthetic_arousal");
    assert_string_equal(vg_store_recording(store, 2)->subject, "synthetic-0002");
    assert_ok(vg_store_summarise(store, 20, &text));
    static const char *const lines[] = {
        "SYNTHETIC: made by a program",
        "subjects       3\n",
        "recordings     6, 0.03 hours",
        "rate           128 Hz",
        "filter         none\n",
        "rating         synthetic_arousal: 0 in 3 recordings, 1 in 3 recordings",
        "left out       nothing"};
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        if (!strstr(text, lines[i])) fail_msg("the summary lacks \"%s\":\n%s", lines[i], text);
    free(text);
    vg_store_close(store);
    options.label = false;
    assert_ok(vg_synthetic_write(&options, path, true));
    assert_ok(vg_store_open(path, &store));
    assert_int_equal(vg_store_rating_count(store), 0);
    vg_store_close(store);
    free(path);
    free(folder);
}

static void test_refuses(void **unused)
{
    (void)unused;
    vg_synthetic_options o = vg_synthetic_default_options();
    o.rate = 10;
    assert_fails(vg_synthetic_write(&o, "/nowhere/x.h5", true), VG_ERR_CONFIG, "10 Hz");
    o = vg_synthetic_default_options();
    o.subjects = 0;
    assert_fails(vg_synthetic_write(&o, "/nowhere/x.h5", true), VG_ERR_CONFIG, "0 subjects");
    o = vg_synthetic_default_options();
    o.seconds = NAN;
    assert_fails(vg_synthetic_write(&o, "/nowhere/x.h5", true), VG_ERR_CONFIG, "nan s");
    o = vg_synthetic_default_options();
    o.noise_mv = -1;
    assert_fails(vg_synthetic_write(&o, "/nowhere/x.h5", true), VG_ERR_CONFIG, "noise -1 mV");
    o = vg_synthetic_default_options();
    assert_fails(vg_synthetic_write(&o, "/nowhere/x.h5", true), VG_ERR_IO, "/nowhere");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_repeats), cmocka_unit_test(test_looks_like_ecg),
                                       cmocka_unit_test(test_label), cmocka_unit_test(test_store),
                                       cmocka_unit_test(test_refuses)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
