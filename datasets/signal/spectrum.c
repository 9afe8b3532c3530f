#include "datasets/signal/spectrum.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

static const double PI = 3.14159265358979323846, WINDOW_S = 2;

static const struct {
    double from, to;
} BANDS[] = {
#define BAND(name, from, to) {from, to},
    VG_BAND_MAP(BAND)
#undef BAND
};

/* cos and sin of -2 pi k / n for k below n / 2: turn[2 k] and turn[2 k + 1]. */
static void fill_turns(double *turn, int64_t n)
{
    for (int64_t k = 0; k < n / 2; k++) {
        turn[2 * k] = cos(-2 * PI * (double)k / (double)n);
        turn[2 * k + 1] = sin(-2 * PI * (double)k / (double)n);
    }
}

/* The usual radix-2 transform in place, without scaling; n is a power of two. */
static void transform(double *re, double *im, int64_t n, const double *turn)
{
    for (int64_t i = 1, j = 0; i < n; i++) {
        int64_t bit = n >> 1;
        for (; j & bit; bit >>= 1) j ^= bit;
        j ^= bit;
        if (i >= j) continue;
        double a = re[i], b = im[i];
        re[i] = re[j];
        im[i] = im[j];
        re[j] = a;
        im[j] = b;
    }
    for (int64_t half = 1; half < n; half *= 2) {
        for (int64_t block = 0; block < n; block += 2 * half) {
            for (int64_t k = 0; k < half; k++) {
                int64_t low = block + k, high = low + half;
                double c = turn[2 * k * (n / 2 / half)], s = turn[2 * k * (n / 2 / half) + 1];
                double xr = re[high] * c - im[high] * s, xi = re[high] * s + im[high] * c;
                re[high] = re[low] - xr;
                im[high] = im[low] - xi;
                re[low] += xr;
                im[low] += xi;
            }
        }
    }
}

static int by_value(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

/* The windowed piece of x without its mean; false when a sample of it is not finite. */
static bool cut(const double *x, const double *hann, int64_t length, double *out, int64_t points)
{
    double mean = 0;
    for (int64_t i = 0; i < length; i++) mean += x[i];
    mean /= (double)length;
    for (int64_t i = 0; i < points; i++) out[i] = i < length ? (x[i] - mean) * hann[i] : 0;
    return isfinite(mean);
}

/* Adds up the bands of the first and the second window, which were transformed together as the real and the
 * imaginary part of one signal. */
static void add_bands(const double *re, const double *im, int64_t points, double rate, double *first,
                      double *second)
{
    for (int b = 0; b < VG_BAND_COUNT; b++) {
        int64_t from = (int64_t)ceil(BANDS[b].from * (double)points / rate),
                to = (int64_t)floor(BANDS[b].to * (double)points / rate);
        first[b] = second[b] = 0;
        for (int64_t k = from; k <= to && k < points / 2; k++) {
            int64_t m = (points - k) % points;
            double ar = re[k] + re[m], ai = im[k] - im[m], br = im[k] + im[m], bi = re[m] - re[k];
            first[b] += (ar * ar + ai * ai) / 4;
            second[b] += (br * br + bi * bi) / 4;
        }
    }
}

vg_status vg_band_powers(const double *x, int64_t n, double rate, double power[VG_BAND_COUNT])
{
    int64_t length = (int64_t)(WINDOW_S * rate), points = 2;
    for (int b = 0; b < VG_BAND_COUNT; b++) power[b] = NAN;
    if (length < 2 || n < length) return VG_OK;
    while (points < length) points *= 2;
    int64_t windows = n / length, used = 0, next = 0;
    double *work = malloc((size_t)(4 * points) * sizeof *work), sum = 0;
    double *found = malloc((size_t)((windows + 1) * VG_BAND_COUNT) * sizeof *found), *column = NULL;
    if (found) column = malloc((size_t)(windows + 1) * sizeof *column);
    if (!work || !column) {
        free(work);
        free(found);
        return vg_fail(VG_ERR_MEMORY, "no memory for the spectrum of %lld samples", (long long)n);
    }
    double *re = work, *im = work + points, *hann = im + points, *turn = hann + points;
    for (int64_t i = 0; i < length; i++) {
        hann[i] = 0.5 - 0.5 * cos(2 * PI * (double)i / (double)length);
        sum += hann[i] * hann[i];
    }
    fill_turns(turn, points);
    while (next < windows) {
        int64_t taken = 0;
        for (; next < windows && taken < 2; next++)
            taken += cut(x + next * length, hann, length, taken ? im : re, points);
        if (taken == 0) break;
        if (taken == 1)
            for (int64_t i = 0; i < points; i++) im[i] = 0;
        transform(re, im, points, turn);
        add_bands(re, im, points, rate, found + used * VG_BAND_COUNT, found + (used + 1) * VG_BAND_COUNT);
        used += taken;
    }
    for (int b = 0; b < VG_BAND_COUNT && used > 0; b++) {
        if (!(BANDS[b].to < 0.5 * rate)) continue;
        for (int64_t w = 0; w < used; w++) column[w] = found[w * VG_BAND_COUNT + b];
        qsort(column, (size_t)used, sizeof *column, by_value);
        power[b] = 2 * column[used / 2] / (sum * (double)points);
    }
    free(work);
    free(found);
    free(column);
    return VG_OK;
}
