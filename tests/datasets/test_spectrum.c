/* The powers of bands against their definition, a sum over each frequency of each window. */
#include <math.h>
#include <stdlib.h>

#include "core/random.h"
#include "datasets/signal/spectrum.h"
#include "tests/support/support.h"

static const double PI = 3.14159265358979323846;

static const double BANDS[][2] = {
#define BAND(name, from, to) {from, to},
    VG_BAND_MAP(BAND)
#undef BAND
};

/* The power of one frequency, bin k of `points`, in the windowed piece without its mean. */
static double bin_power(const double *x, int64_t length, int64_t points, int64_t k)
{
    double mean = 0, re = 0, im = 0;
    for (int64_t i = 0; i < length; i++) mean += x[i] / (double)length;
    for (int64_t i = 0; i < length; i++) {
        const double hann = 0.5 - 0.5 * cos(2 * PI * (double)i / (double)length);
        const double angle = 2 * PI * (double)(i * k % points) / (double)points;
        re += (x[i] - mean) * hann * cos(angle);
        im -= (x[i] - mean) * hann * sin(angle);
    }
    return re * re + im * im;
}

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The median over the windows without a gap, the upper one of an even number. */
static double plain_power(const double *x, int64_t n, double rate, double from, double to)
{
    const int64_t length = (int64_t)(2 * rate);
    int64_t points = 1, used = 0;
    double sum[64], squares = 0;
    while (points < length) points *= 2;
    for (int64_t i = 0; i < length; i++)
        squares += pow(0.5 - 0.5 * cos(2 * PI * (double)i / (double)length), 2);
    for (int64_t w = 0; w < n / length; w++) {
        double all = 0;
        for (int64_t k = 0; k < points / 2; k++) {
            const double hz = (double)k * rate / (double)points;
            if (hz >= from && hz <= to) all += bin_power(x + w * length, length, points, k);
        }
        if (isfinite(all)) sum[used++] = all;
    }
    qsort(sum, (size_t)used, sizeof *sum, ascending);
    return 2 * sum[used / 2] / (squares * (double)points);
}

static void test_bands(void **state)
{
    (void)state;
    static const double rates[] = {64, 100, 128, 250, 360};
    vg_random random = vg_random_make(support_seed(), 4, 0);
    for (size_t r = 0; r < sizeof rates / sizeof *rates; r++) {
        enum { WINDOWS = 7 };
        static double x[WINDOWS * 720 + 50];
        const double rate = rates[r];
        const int64_t n = WINDOWS * (int64_t)(2 * rate) + 37;
        double power[VG_BAND_COUNT];
        for (int64_t i = 0; i < n; i++)
            x[i] = 3 + vg_random_normal(&random) + sin(2 * PI * 10 * (double)i / rate);
        if (r % 2) x[(int64_t)(4.5 * rate)] = NAN;
        assert_ok(vg_band_powers(x, n, rate, power));
        for (int b = 0; b < VG_BAND_COUNT; b++) {
            if (!(BANDS[b][1] < 0.5 * rate)) {
                assert_true(isnan(power[b]));
                continue;
            }
            const double wanted = plain_power(x, n, rate, BANDS[b][0], BANDS[b][1]);
            if (!(fabs(power[b] - wanted) <= 1e-10 * wanted))
                fail_msg("%g Hz, band %d: %.17g instead of %.17g", rate, b, power[b], wanted);
        }
    }
}

/* Recordings shorter than a window, at rates that nobody has too. */
static void test_short(void **state)
{
    (void)state;
    static const double rates[] = {0.5, 1, 1.5, 2, 60, 360};
    double x[800] = {1, 2}, power[VG_BAND_COUNT];
    for (size_t r = 0; r < sizeof rates / sizeof *rates; r++)
        for (int64_t n = 0; n < 800; n += 1 + n / 4) {
            assert_ok(vg_band_powers(x, n, rates[r], power));
            if (n < (int64_t)(2 * rates[r])) assert_true(isnan(power[0]));
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_bands), cmocka_unit_test(test_short)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
