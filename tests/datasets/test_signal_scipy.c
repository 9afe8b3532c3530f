/* Filter and resampling against SciPy: the answers are computed by SciPy while the test runs. */
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "core/random.h"
#include "datasets/signal/filter.h"
#include "datasets/signal/resample.h"
#include "tests/support/support.h"

static char *folder;

typedef struct filter_case {
    const char *name;
    vg_filter_kind kind;
    int order;
    double low, high, rate;
    int64_t n;
} filter_case;

static const filter_case FILTERS[] = {
    {"paper360", VG_FILTER_BANDPASS, 8, 0.8, 50, 360, 20000},
    {"paper128", VG_FILTER_BANDPASS, 8, 0.8, 50, 128, 5000},
    {"paper500", VG_FILTER_BANDPASS, 8, 0.8, 40, 500, 30000},
    {"paper1000", VG_FILTER_BANDPASS, 8, 0.8, 50, 1000, 30000},
    {"band4", VG_FILTER_BANDPASS, 4, 0.5, 40, 300, 9000},
    {"band5", VG_FILTER_BANDPASS, 5, 5, 15, 250, 2000},
    {"band1", VG_FILTER_BANDPASS, 1, 0.5, 60, 128, 2000},
    {"low3", VG_FILTER_LOWPASS, 3, 0, 40, 500, 2000},
    {"low8", VG_FILTER_LOWPASS, 8, 0, 40, 500, 2000},
    {"high1", VG_FILTER_HIGHPASS, 1, 0.5, 0, 128, 2000},
    {"high6", VG_FILTER_HIGHPASS, 6, 0.5, 0, 300, 5000},
    {"short", VG_FILTER_BANDPASS, 8, 0.8, 50, 128, 52},
};

typedef struct resample_case {
    const char *name;
    int up, down;
    double in_rate, out_rate;
    int64_t n;
} resample_case;

static const resample_case RESAMPLES[] = {
    {"from360", 16, 45, 360, 128, 36001},
    {"from300", 32, 75, 300, 128, 9000},
    {"from500", 32, 125, 500, 128, 30000},
    {"from100", 32, 25, 100, 128, 3001},
};
#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static void store(const char *name, const char *suffix, const void *bytes, size_t size)
{
    char file[64];
    snprintf(file, sizeof file, "%s.%s", name, suffix);
    char *path = support_path(folder, file);
    support_write_file(path, bytes, size);
    free(path);
}

static double *load(const char *name, const char *suffix, int64_t *n)
{
    char file[64];
    snprintf(file, sizeof file, "%s.%s", name, suffix);
    char *path = support_path(folder, file);
    size_t size;
    double *values = support_read_file(path, &size);
    *n = (int64_t)(size / sizeof *values);
    free(path);
    return values;
}

/* White noise on a drift and an offset: every frequency, and ends that are not zero. */
static void make_noise(double *x, int64_t n, uint32_t stream)
{
    vg_random random = vg_random_make(support_seed(), 1, stream);
    for (int64_t i = 0; i < n; i++) x[i] = vg_random_normal(&random) + 3 + 1e-4 * (double)i;
}

/* Sines below 0.35 of the lower rate, each with its own phase, on an offset. */
static void make_in_band(double *x, int64_t n, double rate, double lower_rate, uint32_t stream)
{
    vg_random random = vg_random_make(support_seed(), 2, stream);
    for (int64_t i = 0; i < n; i++) x[i] = 0.5;
    for (int k = 0; k < 20; k++) {
        double hz = 0.35 * lower_rate * vg_random_uniform(&random), phase = 6.28 * vg_random_uniform(&random);
        for (int64_t i = 0; i < n; i++) x[i] += 0.1 * sin(6.283185307179586 * hz * (double)i / rate + phase);
    }
}

/* Writes every input, runs SciPy once over all of them. */
static void ask_scipy(void)
{
    static const char *kinds[] = {"lowpass", "highpass", "bandpass"};
    char cases[4096], *end = cases;
    for (size_t i = 0; i < COUNT(FILTERS); i++) {
        const filter_case *c = &FILTERS[i];
        double *x = malloc((size_t)c->n * sizeof *x);
        make_noise(x, c->n, (uint32_t)i);
        store(c->name, "in", x, (size_t)c->n * sizeof *x);
        free(x);
        end += sprintf(end, "filter %s %s %d %.17g %.17g %.17g\n", c->name, kinds[c->kind], c->order, c->low,
                       c->high, c->rate);
    }
    for (size_t i = 0; i < COUNT(RESAMPLES); i++) {
        const resample_case *c = &RESAMPLES[i];
        double *x = malloc((size_t)c->n * sizeof *x);
        make_in_band(x, c->n, c->in_rate, fmin(c->in_rate, c->out_rate), (uint32_t)i);
        store(c->name, "in", x, (size_t)c->n * sizeof *x);
        free(x);
        end += sprintf(end, "resample %s %d %d\n", c->name, c->up, c->down);
    }
    char *list = support_path(folder, "cases.txt");
    support_write_file(list, cases, (size_t)(end - cases));
    free(list);

    const char *source = getenv("VAGUS_SOURCE"), *pythons[] = {VAGUS_PYTHON, "/usr/bin/python3"};
    int code = 77;
    for (size_t i = 0; i < COUNT(pythons) && code == 77; i++) {
        char command[4096];
        snprintf(command, sizeof command, "%s '%s/tests/datasets/scipy_reference.py' '%s'", pythons[i],
                 source ? source : ".", folder);
        int result = system(command);
        code = WIFEXITED(result) ? WEXITSTATUS(result) : 1;
    }
    if (code == 77) exit(77);
    assert_int_equal(code, 0);
}

static void test_filter_agrees(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < COUNT(FILTERS); i++) {
        const filter_case *c = &FILTERS[i];
        vg_filter filter;
        assert_ok(vg_filter_design(c->kind, c->order, c->low, c->high, c->rate, &filter));
        int64_t n, m, lost = -1;
        double *x = load(c->name, "in", &n), *want = load(c->name, "out", &m);
        assert_int_equal(n, m);
        assert_ok(vg_filter_zero_phase(&filter, x, n, &lost));
        assert_int_equal(lost, 0);
        double error = 0, norm = 0, worst = 0;
        for (int64_t k = 0; k < n; k++) {
            error += (x[k] - want[k]) * (x[k] - want[k]);
            norm += want[k] * want[k];
            worst = fmax(worst, fabs(x[k] - want[k]));
        }
        double relative = sqrt(error / norm);
        printf("filter %-10s relative error %.2e, worst sample %.2e\n", c->name, relative, worst);
        if (!(relative <= 1e-6)) fail_msg("%s: relative error %g", c->name, relative);
        free(x);
        free(want);
    }
}

static void test_resample_agrees(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < COUNT(RESAMPLES); i++) {
        const resample_case *c = &RESAMPLES[i];
        int64_t n, m;
        double *x = load(c->name, "in", &n), *want = load(c->name, "out", &m);
        int64_t length = vg_resample_length(n, c->in_rate, c->out_rate);
        assert_true(length <= m && m - length <= 1); /* SciPy rounds up, we round to nearest */
        double *y = malloc((size_t)length * sizeof *y);
        assert_ok(vg_resample(x, n, c->in_rate, c->out_rate, y));
        /* The last half second at each end is left out: the two continue the signal differently. */
        int64_t edge = (int64_t)(c->out_rate / 2);
        double error = 0, norm = 0;
        for (int64_t k = edge; k < length - edge; k++) {
            error += (y[k] - want[k]) * (y[k] - want[k]);
            norm += (want[k] - 0.5) * (want[k] - 0.5);
        }
        double relative = sqrt(error / norm);
        printf("resample %-8s relative error %.2e\n", c->name, relative);
        if (!(relative <= 1e-3)) fail_msg("%s: relative error %g", c->name, relative);
        free(x);
        free(want);
        free(y);
    }
}

int main(void)
{
    folder = support_temp_dir();
    ask_scipy();
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_filter_agrees),
                                       cmocka_unit_test(test_resample_agrees)};
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    free(folder);
    return failed;
}
