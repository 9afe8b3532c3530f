/* Filter, resampling, R peaks and quality on signals whose answer is known. */
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/random.h"
#include "datasets/signal/filter.h"
#include "datasets/signal/leads.h"
#include "datasets/signal/quality_own.h"
#include "datasets/signal/resample.h"
#include "datasets/signal/rpeaks.h"
#include "tests/datasets/import_support.h"

static const double TAU = 6.283185307179586;

static void test_filter_refuses(void **unused)
{
    (void)unused;
    vg_filter f;
    assert_fails(vg_filter_design(VG_FILTER_BANDPASS, 0, 1, 40, 128, &f), VG_ERR_CONFIG, "order 0");
    assert_fails(vg_filter_design(VG_FILTER_BANDPASS, 25, 1, 40, 128, &f), VG_ERR_CONFIG, "order 25");
    assert_fails(vg_filter_design(VG_FILTER_BANDPASS, 4, 40, 1, 128, &f), VG_ERR_CONFIG, "rising order");
    assert_fails(vg_filter_design(VG_FILTER_BANDPASS, 4, 1, 64, 128, &f), VG_ERR_CONFIG, "64 Hz");
    assert_fails(vg_filter_design(VG_FILTER_HIGHPASS, 4, -1, 0, 128, &f), VG_ERR_CONFIG, "-1 Hz");
    assert_fails(vg_filter_design(VG_FILTER_LOWPASS, 4, 0, NAN, 128, &f), VG_ERR_CONFIG, "upper edge");
    assert_fails(vg_filter_design(VG_FILTER_LOWPASS, 4, 0, 10, 0, &f), VG_ERR_CONFIG, "sampling rate");
    assert_fails(vg_filter_design(VG_FILTER_BANDPASS, 8, 1e-16, 40, 128, &f), VG_ERR_NUMERIC, "not stable");
    double x[60] = {0};
    assert_ok(vg_filter_design(VG_FILTER_BANDPASS, 8, 0.8, 50, 128, &f));
    assert_int_equal(vg_filter_padding(&f), 51);
    assert_fails(vg_filter_zero_phase(&f, x, 51, NULL), VG_ERR_DATA, "51 samples");
    assert_ok(vg_filter_zero_phase(&f, x, 52, NULL));
    x[30] = NAN;
    assert_fails(vg_filter_zero_phase(&f, x, 60, NULL), VG_ERR_DATA, "longest has 30");
    assert_fails(vg_filter_zero_phase(&f, x, 0, NULL), VG_ERR_DATA, "no finite run");
}

static void test_filter_gain(void **unused)
{
    (void)unused;
    vg_filter f;
    for (int order = 1; order <= 12; order++) {
        assert_ok(vg_filter_design(VG_FILTER_BANDPASS, order, 0.8, 50, 300, &f));
        double low = vg_filter_gain(&f, 0.8, 300), high = vg_filter_gain(&f, 50, 300),
               mid = vg_filter_gain(&f, 10, 300);
        if (!(fabs(low - sqrt(0.5)) < 1e-9 && fabs(high - sqrt(0.5)) < 1e-9))
            fail_msg("order %d: edges %g %g", order, low, high);
        if (order > 2 && !(fabs(mid - 1) < 1e-2)) fail_msg("order %d: middle %g", order, mid);
        assert_true(vg_filter_gain(&f, 0.8 / 4, 300) < 1.1 * pow(0.25, order));
    }
}

/* Gaps stay where they are; each run is filtered as if it stood alone; a constant offset vanishes. An edge at
 * 0.8 Hz and order 8 rings for seconds, so a sine is compared with itself far from the ends only. */
static void test_filter_gaps(void **unused)
{
    (void)unused;
    enum { N = 3000 };
    double *x = malloc(N * sizeof *x), *alone = malloc(N * sizeof *x);
    vg_filter f;
    int64_t lost = -1;
    assert_ok(vg_filter_design(VG_FILTER_BANDPASS, 8, 0.8, 50, 128, &f));
    for (int i = 0; i < N; i++) x[i] = 5 + sin(TAU * 5 * i / 128);
    x[1000] = NAN;
    x[1030] = INFINITY;
    memcpy(alone, x, N * sizeof *x);
    assert_ok(vg_filter_zero_phase(&f, x, N, &lost));
    assert_int_equal(lost, 29);
    assert_ok(vg_filter_zero_phase(&f, alone, 1000, NULL));
    assert_ok(vg_filter_zero_phase(&f, alone + 1031, N - 1031, NULL));
    for (int i = 0; i < N; i++) {
        bool gap = i >= 1000 && i <= 1030;
        if (gap != isnan(x[i])) fail_msg("sample %d is %g", i, x[i]);
        if (!gap && x[i] != alone[i]) fail_msg("sample %d: %g, alone %g", i, x[i], alone[i]);
        if (i > 1900 && i < N - 600 && !(fabs(x[i] - sin(TAU * 5 * i / 128)) < 0.02))
            fail_msg("sample %d: %g", i, x[i]);
    }
    for (int i = 0; i < N; i++) x[i] = 1000;
    assert_ok(vg_filter_zero_phase(&f, x, N, NULL));
    for (int i = 0; i < N; i++)
        if (!(fabs(x[i]) < 1e-6)) fail_msg("a constant leaves %g", x[i]);
    free(x);
    free(alone);
}

/* Sines on a slope, at rates with and without a small ratio, against the sine itself: value and delay. */
static void test_resample(void **unused)
{
    (void)unused;
    static const double rates[][2] = {{360, 128},   {300, 128},    {500, 128}, {128, 500},
                                      {255.7, 128}, {127.93, 128}, {1000, 128}};
    for (size_t r = 0; r < sizeof rates / sizeof *rates; r++) {
        double in = rates[r][0], out = rates[r][1];
        int64_t n = (int64_t)(20 * in) + 1, m = vg_resample_length(n, in, out);
        assert_int_equal(m, llround((double)n * out / in));
        double *x = malloc((size_t)n * sizeof *x), *y = malloc((size_t)m * sizeof *y);
        for (int64_t i = 0; i < n; i++) x[i] = 3 + 0.1 * (double)i / in + sin(TAU * 11 * (double)i / in + 1);
        assert_ok(vg_resample(x, n, in, out, y));
        double worst = 0, edge = 0;
        for (int64_t k = 0; k < m; k++) {
            double t = (double)k / out, error = fabs(y[k] - (3 + 0.1 * t + sin(TAU * 11 * t + 1)));
            if (t > 0.5 && t < 19.5) worst = fmax(worst, error);
            edge = fmax(edge, error);
        }
        printf("%g to %g Hz: error %.1e inside, %.1e at the ends\n", in, out, worst, edge);
        if (!(worst < 1e-4) || !(edge < 0.5)) fail_msg("%g to %g Hz: errors %g and %g", in, out, worst, edge);
        float *xf = malloc((size_t)n * sizeof *xf), *yf = malloc((size_t)m * sizeof *yf);
        for (int64_t i = 0; i < n; i++) xf[i] = (float)x[i];
        assert_ok(vg_resample_f32(xf, n, in, out, yf));
        for (int64_t k = 0; k < m; k++)
            if (!(fabs((double)yf[k] - y[k]) < 1e-5))
                fail_msg("single precision differs at %lld", (long long)k);
        free(xf);
        free(yf);
        free(x);
        free(y);
    }
    double one = 1, two[2];
    assert_fails(vg_resample(&one, 1, 0, 128, two), VG_ERR_CONFIG, "from 0 to 128");
    assert_fails(vg_resample(&one, 1, 128, NAN, two), VG_ERR_CONFIG, "nan");
    assert_fails(vg_resample(&one, 0, 128, 256, two), VG_ERR_DATA, "0 samples");
    one = NAN;
    assert_fails(vg_resample(&one, 1, 128, 256, two), VG_ERR_DATA, "none of the 1 samples");
}

static void test_resample_gaps(void **unused)
{
    (void)unused;
    enum { N = 3600 };
    double x[N], y[1280];
    for (int i = 0; i < N; i++) x[i] = i >= 1000 && i < 1200 ? NAN : sin(TAU * 3 * i / 360.0);
    for (int i = 0; i < 40; i++) x[N - 1 - i] = NAN;
    assert_int_equal(vg_resample_length(N, 360, 128), 1280);
    assert_ok(vg_resample(x, N, 360, 128, y));
    for (int k = 0; k < 1280; k++) {
        double at = k * 360 / 128.0; /* in input samples */
        bool gap = (at > 999 && at < 1200) || at > N - 41;
        if (gap != isnan(y[k])) fail_msg("output %d (input %g) is %g", k, at, y[k]);
        if (!gap && !(fabs(y[k] - sin(TAU * 3 * k / 128.0)) < 0.2)) fail_msg("output %d is %g", k, y[k]);
    }
}

/* A train of QRS-like pulses with tall T waves, at given times. */
static void draw_beats(double *x, int64_t n, double rate, const double *times, int beats, double sign)
{
    for (int64_t i = 0; i < n; i++) {
        double t = (double)i / rate;
        x[i] = 0.01 * sin(TAU * 17 * t);
        for (int b = 0; b < beats; b++) {
            double r = t - times[b];
            if (fabs(r) > 1) continue;
            x[i] += sign * (exp(-r * r / (2 * 0.011 * 0.011)) -
                            0.2 * exp(-(r - 0.03) * (r - 0.03) / (2 * 0.01 * 0.01)) +
                            0.8 * exp(-(r - 0.28) * (r - 0.28) / (2 * 0.05 * 0.05)));
        }
    }
}

static void test_peaks_and_rate(void **unused)
{
    (void)unused;
    enum { BEATS = 14, N = 1280 };
    double times[BEATS], x[N], sum = 0, squares = 0, steps = 0;
    for (int b = 0; b < BEATS; b++) times[b] = 0.35 + 0.7 * b + 0.02 * sin(2.1 * b);
    for (int pass = 0; pass < 2; pass++) {
        draw_beats(x, N, 128, times, BEATS, pass ? -1 : 1);
        vg_rpeaks peaks;
        assert_ok(vg_rpeaks_detect(x, N, 128, &peaks));
        assert_int_equal(peaks.count, BEATS);
        assert_int_equal(peaks.sign, pass ? -1 : 1);
        for (int b = 0; b < BEATS; b++)
            if (!(fabs(peaks.position[b] / 128 - times[b]) < 0.006))
                fail_msg("beat %d at %g instead of %g s", b, peaks.position[b] / 128, times[b]);
        vg_rpeaks_free(&peaks);
    }
    for (int b = 1; b < BEATS; b++) sum += times[b] - times[b - 1];
    double mean = sum / (BEATS - 1);
    for (int b = 1; b < BEATS; b++) {
        double interval = times[b] - times[b - 1];
        squares += (interval - mean) * (interval - mean);
        if (b > 1) steps += pow(interval - (times[b - 1] - times[b - 2]), 2);
    }
    float segment[N];
    for (int i = 0; i < N; i++) segment[i] = (float)(100 * x[i] + 7);
    vg_heart_rate rate;
    assert_ok(vg_heart_rate_of_segment(segment, N, 128, &rate));
    assert_int_equal(rate.intervals, BEATS - 1);
    if (!(fabs(rate.mean_bpm - 60 / mean) < 0.1)) fail_msg("rate %g, want %g", rate.mean_bpm, 60 / mean);
    double sdnn = 1000 * sqrt(squares / (BEATS - 2)), rmssd = 1000 * sqrt(steps / (BEATS - 2));
    if (!(fabs(rate.sdnn_ms - sdnn) < 2)) fail_msg("SDNN %g, want %g", rate.sdnn_ms, sdnn);
    if (!(fabs(rate.rmssd_ms - rmssd) < 3)) fail_msg("RMSSD %g, want %g", rate.rmssd_ms, rmssd);
}

static void test_no_peaks(void **unused)
{
    (void)unused;
    double x[1280] = {0};
    float flat[1280] = {0};
    vg_rpeaks peaks;
    vg_heart_rate rate;
    assert_ok(vg_rpeaks_detect(x, 1280, 128, &peaks));
    assert_int_equal(peaks.count, 0);
    vg_rpeaks_free(&peaks);
    for (int i = 0; i < 1280; i++) x[i] = NAN;
    assert_ok(vg_rpeaks_detect(x, 1280, 128, &peaks));
    assert_int_equal(peaks.count, 0);
    vg_rpeaks_free(&peaks);
    for (int64_t n = 0; n < 60; n++) {
        assert_ok(vg_rpeaks_detect(x, n, 128, &peaks));
        vg_rpeaks_free(&peaks);
    }
    assert_ok(vg_heart_rate_of_segment(flat, 1280, 128, &rate));
    assert_true(isnan(rate.mean_bpm) && isnan(rate.sdnn_ms) && isnan(rate.rmssd_ms));
    assert_fails(vg_rpeaks_detect(x, 1280, 30, &peaks), VG_ERR_CONFIG, "60 Hz");
}

static void test_quality(void **unused)
{
    (void)unused;
    enum { N = 300 * 60 };
    vg_quality_options options = vg_quality_default_options();
    vg_quality q;
    uint8_t flags[6];
    double sizes[6];
    vg__extent extent;
    double *x = malloc(N * sizeof *x);
    float *beats = import_beats(3, 300, N);
    for (int i = 0; i < N; i++) x[i] = (double)beats[i];
    assert_ok(vg_quality_measure(x, N, 300, &options, &q));
    printf("clean: index %.3f, %lld beats, %.1f/min, polarity %d\n", q.index, (long long)q.beats, q.mean_bpm,
           q.polarity);
    assert_int_equal(q.windows, 6);
    assert_int_equal(q.bad, 0);
    assert_true(q.index > 0.9 && q.polarity == 1 && q.mean_bpm > 50 && q.mean_bpm < 90);

    for (int i = 0; i < N; i++) x[i] = -x[i];
    assert_ok(vg_quality_measure(x, N, 300, &options, &q));
    assert_int_equal(q.polarity, -1);
    for (int i = 0; i < N; i++) x[i] = -x[i];

    x[100] = NAN;
    for (int i = 3100; i < 3300; i++) x[i] = 0.25;
    for (int i = 6000; i < 9000; i++) x[i] = fmin(x[i], 0.0);
    for (int i = 9000; i < 12000; i++) x[i] *= 0.01;
    for (int i = 12000; i < 15000; i++) x[i] *= 30;
    assert_ok(vg__quality_windows(x, N, 300, &options, flags, sizes, &extent));
    assert_int_equal(flags[0], VG_QUALITY_NAN);
    assert_int_equal(flags[1], VG_QUALITY_FLAT);
    assert_int_equal(flags[3] & VG_QUALITY_WEAK, VG_QUALITY_WEAK);
    assert_int_equal(flags[4], VG_QUALITY_STRONG);
    assert_int_equal(flags[5], 0);
    assert_ok(vg_quality_measure(x, N, 300, &options, &q));
    assert_true(q.bad >= 4 && q.nan == 1 && q.strong == 1 && q.index < 0.5);

    for (int i = 0; i < N; i++) x[i] = fmax(fmin(1.5 * (double)beats[i], 0.4), -0.4);
    assert_ok(vg__quality_windows(x, N, 300, &options, flags, sizes, &extent));
    for (int w = 0; w < 6; w++) assert_int_equal(flags[w], VG_QUALITY_CLIPPED);

    vg_random random = vg_random_make(support_seed(), 9, 9);
    for (int i = 0; i < N; i++) x[i] = 0.05 * vg_random_normal(&random);
    assert_ok(vg_quality_measure(x, N, 300, &options, &q));
    printf("noise: index %.3f\n", q.index);
    assert_true(q.index < 0.35);
    for (int i = 0; i < N; i++) x[i] = 1;
    assert_ok(vg_quality_measure(x, N, 300, &options, &q));
    assert_true(q.index == 0 && q.flat == 6 && q.beats == 0);
    free(x);
    free(beats);
}

/* Sections one after another and sample by sample, as a filter is written down. */
static void plain_pass(const vg_filter *filter, double *y, int64_t n, int64_t step)
{
    double state[VG_FILTER_MAX_ORDER][2], level = 1;
    for (int i = 0; i < filter->sections; i++) {
        const double *c = filter->section[i];
        double out = level * (c[0] + c[1] + c[2]) / (1.0 + c[4] + c[5]);
        double second = c[2] * level - c[5] * out;
        state[i][1] = second * y[0];
        state[i][0] = (c[1] * level - c[4] * out + second) * y[0];
        level = out;
    }
    for (int64_t t = 0; t < n; t++)
        for (int i = 0; i < filter->sections; i++) {
            const double *c = filter->section[i];
            double x = y[t * step], out = c[0] * x + state[i][0];
            state[i][0] = (c[1] * x + state[i][1]) - c[4] * out;
            state[i][1] = c[2] * x - c[5] * out;
            y[t * step] = out;
        }
}

/* The filter works on several sections at once; every bit must be what the plain loop makes, for any number
 * of sections and also for a signal that is hardly longer than the padding. */
static void test_filter_bits(void **state)
{
    (void)state;
    enum { LONGEST = 700 };
    double x[LONGEST], y[LONGEST], padded[3 * LONGEST];
    for (int order = 1; order <= VG_FILTER_MAX_ORDER; order++)
        for (int kind = VG_FILTER_LOWPASS; kind <= VG_FILTER_BANDPASS; kind++) {
            vg_filter filter;
            assert_ok(vg_filter_design((vg_filter_kind)kind, order, 20, 60, 250, &filter));
            int64_t pad = vg_filter_padding(&filter);
            const int64_t lengths[] = {pad + 1, pad + 2, LONGEST};
            for (int l = 0; l < 3; l++) {
                int64_t n = lengths[l];
                for (int64_t i = 0; i < n; i++)
                    x[i] = y[i] = sin(0.3 * (double)i) + (double)(i * 7919 % 101) / 50;
                for (int64_t i = 0; i < pad; i++) {
                    padded[i] = 2 * x[0] - x[pad - i];
                    padded[pad + n + i] = 2 * x[n - 1] - x[n - 2 - i];
                }
                memcpy(padded + pad, x, (size_t)n * sizeof *x);
                plain_pass(&filter, padded, n + 2 * pad, 1);
                plain_pass(&filter, padded + n + 2 * pad - 1, n + 2 * pad, -1);
                assert_ok(vg_filter_zero_phase(&filter, y, n, NULL));
                if (memcmp(y, padded + pad, (size_t)n * sizeof *y))
                    fail_msg("order %d, kind %d, %lld samples: other bits than the plain loop's", order, kind,
                             (long long)n);
            }
        }
}

static void test_leads(void **unused)
{
    (void)unused;
    static const char *const down[] = {"V1",  "v1",  "aVR",     "AVR",    "avr",
                                       "V3R", "v4r", "ECG aVR", "EKG V1", "Lead avr"};
    static const char *const up[] = {"",       "I",   "V10",  "V",     "aVL", "-aVR",
                                     "aVR-V1", "ECG", "ECG ", "ECG I", "V2"};
    for (size_t i = 0; i < sizeof down / sizeof *down; i++)
        if (!vg_lead_points_down(down[i])) fail_msg("%s points down", down[i]);
    for (size_t i = 0; i < sizeof up / sizeof *up; i++)
        if (vg_lead_points_down(up[i])) fail_msg("\"%s\" does not point down", up[i]);
}

/* Missing samples are the reason only where the beats would do, or where none are left to find. */
static void test_perforated(void **unused)
{
    (void)unused;
    char why[300];
    vg_quality q = {.windows = 30,
                    .bad = 30,
                    .nan = 30,
                    .nan_share = 0.0003,
                    .beats = 300,
                    .mean_bpm = 60,
                    .match = 0.99,
                    .agreement = 1,
                    .kurtosis = 20,
                    .index = 0,
                    .qrs = 1,
                    .polarity = 1};
    assert_int_equal(vg_quality_judge(&q, 0.35, why, sizeof why), VG_VERDICT_MISSING);
    assert_non_null(strstr(why, "30 of 30 windows hold a missing sample, 0.03 % of all samples"));
    assert_non_null(strstr(why, "bridge"));
    q.match = 0.3; /* poor beats, gaps or not */
    assert_int_equal(vg_quality_judge(&q, 0.35, why, sizeof why), VG_VERDICT_NOISY);
    q.match = 0.99;
    q.nan = 10; /* few gaps: clipping is what made the others bad */
    q.clipped = 30;
    assert_int_equal(vg_quality_judge(&q, 0.35, why, sizeof why), VG_VERDICT_CLIPPED);
    q.nan = 30;
    q.clipped = 0;
    q.beats = 0;
    q.mean_bpm = NAN;
    q.match = q.agreement = 0;
    assert_int_equal(vg_quality_judge(&q, 0.35, why, sizeof why), VG_VERDICT_MISSING);
    q.nan = 0;
    assert_int_equal(vg_quality_judge(&q, 0.35, why, sizeof why), VG_VERDICT_NO_BEATS);
    q.nan = 30; /* asked for everything, it is taken */
    assert_int_equal(vg_quality_judge(&q, 0, why, sizeof why), VG_VERDICT_GOOD);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_filter_bits),    cmocka_unit_test(test_filter_refuses),
        cmocka_unit_test(test_filter_gain),    cmocka_unit_test(test_filter_gaps),
        cmocka_unit_test(test_resample),       cmocka_unit_test(test_resample_gaps),
        cmocka_unit_test(test_peaks_and_rate), cmocka_unit_test(test_no_peaks),
        cmocka_unit_test(test_quality),        cmocka_unit_test(test_leads),
        cmocka_unit_test(test_perforated),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
