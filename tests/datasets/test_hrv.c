/* Heart-rate variability: against what the signal was made with, and against NumPy and SciPy, which compute
 * it while the test runs. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "core/random.h"
#include "datasets/signal/hrv.h"
#include "tests/support/support.h"

enum { CASES = 6, MOST = 4000 };

static const double PI = 3.14159265358979323846;

typedef struct series {
    double seconds, lf_ms, hf_ms, noise_ms, ectopic; /* amplitudes; share of beats that come early */
} series;

static const series SERIES[CASES] = {{300, 40, 20, 0, 0},   {45, 30, 30, 5, 0},       {90, 30, 30, 5, 0},
                                     {150, 0, 0, 20, 0.05}, {1850, 25, 40, 10, 0.02}, {595, 10, 60, 30, 0.1}};

/* Beats in seconds around 75 a minute with a slow (0.1 Hz) and a fast (0.25 Hz) wave. */
static int64_t make_beats(const series *s, uint32_t stream, double *beats)
{
    vg_random random = vg_random_make(support_seed(), 21, stream);
    int64_t n = 0;
    for (double t = 1; t < 1 + s->seconds && n < MOST; n++) {
        beats[n] = t;
        double rr = 0.8 + 1e-3 * (s->lf_ms * sin(2 * PI * 0.1 * t) + s->hf_ms * sin(2 * PI * 0.25 * t) +
                                  s->noise_ms * vg_random_normal(&random));
        if (s->ectopic > 0 && vg_random_uniform(&random) < s->ectopic) rr *= 0.55;
        t += rr;
    }
    return n;
}

static vg_hrv measure(const series *s, uint32_t stream)
{
    double beats[MOST];
    vg_hrv hrv;
    int64_t n = make_beats(s, stream, beats);
    for (int64_t i = 0; i < n; i++) beats[i] *= 128;
    assert_ok(vg_hrv_measure(beats, n, 128, &hrv));
    return hrv;
}

/* A wave of amplitude A has the power A^2 / 2; intervals follow the beat before, which damps it a little. */
static void test_known_waves(void **unused)
{
    (void)unused;
    vg_hrv hrv = measure(&SERIES[0], 0);
    printf("waves of 40 and 20 ms: LF %.1f ms2, HF %.1f ms2\n", hrv.lf_ms2, hrv.hf_ms2);
    if (!(fabs(hrv.lf_ms2 / 800 - 1) < 0.05)) fail_msg("LF %g, not 800 ms2", hrv.lf_ms2);
    if (!(fabs(hrv.hf_ms2 / 200 - 1) < 0.05)) fail_msg("HF %g, not 200 ms2", hrv.hf_ms2);
    if (!(fabs(hrv.sdnn_ms / sqrt(1000) - 1) < 0.02)) fail_msg("SDNN %g", hrv.sdnn_ms);
    if (!(fabs(hrv.mean_bpm - 75) < 0.5)) fail_msg("%g beats a minute", hrv.mean_bpm);
}

static void test_too_short(void **unused)
{
    (void)unused;
    vg_hrv hrv = measure(&SERIES[1], 1);
    assert_true(isfinite(hrv.mean_bpm) && isfinite(hrv.sdnn_ms) && isfinite(hrv.rmssd_ms));
    assert_true(isnan(hrv.hf_ms2) && isnan(hrv.lf_ms2) && isnan(hrv.lf_hf));
    hrv = measure(&SERIES[2], 2);
    assert_true(isfinite(hrv.hf_ms2) && isnan(hrv.lf_ms2) && isnan(hrv.lf_hf));
    const double two[] = {100, 200, 300};
    for (int64_t n = 0; n <= 3; n++) {
        assert_ok(vg_hrv_measure(two, n, 128, &hrv));
        assert_true(isnan(hrv.mean_bpm) && isnan(hrv.sdnn_ms) && isnan(hrv.pnn50) && hrv.intervals == 0);
    }
    const double apart[] = {0, 1000, 2000, 3000, 4000}; /* 8 s each: no heart */
    assert_ok(vg_hrv_measure(apart, 5, 128, &hrv));
    assert_true(isnan(hrv.mean_bpm) && hrv.intervals == 0);
}

static char *path_of(const char *folder, int i, const char *ending)
{
    char name[32];
    snprintf(name, sizeof name, "%d.%s", i, ending);
    return support_path(folder, name);
}

static void ask_scipy(const char *folder)
{
    for (int i = 0; i < CASES; i++) {
        double beats[MOST];
        int64_t n = make_beats(&SERIES[i], (uint32_t)i, beats);
        char *path = path_of(folder, i, "in");
        support_write_file(path, beats, (size_t)n * sizeof *beats);
        free(path);
    }
    const char *source = getenv("VAGUS_SOURCE"), *pythons[] = {VAGUS_PYTHON, "/usr/bin/python3"};
    int code = 77;
    for (size_t i = 0; i < 2 && code == 77; i++) {
        char command[4096];
        snprintf(command, sizeof command, "%s '%s/tests/datasets/hrv_reference.py' '%s'", pythons[i],
                 source ? source : ".", folder);
        int result = system(command);
        code = WIFEXITED(result) ? WEXITSTATUS(result) : 1;
    }
    if (code == 77) exit(77);
    assert_int_equal(code, 0);
}

static void test_agrees_with_scipy(void **unused)
{
    (void)unused;
    static const char *const names[] = {"mean_bpm", "sdnn_ms", "rmssd_ms", "pnn50",
                                        "lf_ms2",   "hf_ms2",  "lf_hf",    "intervals"};
    char *folder = support_temp_dir();
    ask_scipy(folder);
    double worst = 0;
    for (int i = 0; i < CASES; i++) {
        vg_hrv hrv = measure(&SERIES[i], (uint32_t)i);
        const double ours[] = {hrv.mean_bpm, hrv.sdnn_ms, hrv.rmssd_ms, hrv.pnn50,
                               hrv.lf_ms2,   hrv.hf_ms2,  hrv.lf_hf,    (double)hrv.intervals};
        char *path = path_of(folder, i, "out");
        size_t size;
        double *want = support_read_file(path, &size);
        assert_int_equal(size, sizeof ours);
        for (int k = 0; k < 8; k++) {
            if (isnan(ours[k]) && isnan(want[k])) continue;
            double error = fabs(ours[k] - want[k]) / fmax(1e-9, fabs(want[k]));
            if (!(error <= 1e-6))
                fail_msg("%s of series %d: %.9g, SciPy %.9g", names[k], i, ours[k], want[k]);
            worst = fmax(worst, error);
        }
        free(want);
        free(path);
    }
    printf("largest relative difference to SciPy: %.1e\n", worst);
    free(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_known_waves), cmocka_unit_test(test_too_short),
                                       cmocka_unit_test(test_agrees_with_scipy)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
