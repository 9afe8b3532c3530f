#include "datasets/signal/spectrum.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#include "datasets/signal/numbers.h"

static const double PI = 3.14159265358979323846, WINDOW_S = 2;

/* A median over more says no more: of a longer recording every second window is looked at, or
 * every third ...
 */
enum { MOST_WINDOWS = 256 };

static const struct {
    double from, to;
} BANDS[] = {
#define BAND(name, from, to) {from, to},
    VG_BAND_MAP(BAND)
#undef BAND
};

/* cos and sin of 2 pi k / n for k below `count`. Turned on from one to the next, which is quicker than the
 * library's functions; every 32nd is theirs, so that rounding does not add up. */
static void fill_circle(double *c, double *s, int64_t count, double n)
{
    const double turn_c = cos(2 * PI / n), turn_s = sin(2 * PI / n);
    for (int64_t k = 0; k < count; k++) {
        if (k % 32 == 0) {
            c[k] = cos(2 * PI * (double)k / n);
            s[k] = sin(2 * PI * (double)k / n);
        } else {
            c[k] = c[k - 1] * turn_c - s[k - 1] * turn_s;
            s[k] = s[k - 1] * turn_c + c[k - 1] * turn_s;
        }
    }
}

/* The factors of the transform's stages one after another, each stage's as it uses them: of -2 pi k / (2
 * half) for k below half; stage `half` stands at half. */
static void fill_turns(double *c, double *s, int64_t n)
{
    fill_circle(c + n / 2, s + n / 2, n / 2, (double)n);
    for (int64_t k = n / 2; k < n; k++) s[k] = -s[k];
    for (int64_t half = n / 4; half >= 1; half /= 2) {
        for (int64_t k = 0; k < half; k++) {
            c[half + k] = c[2 * (half + k)];
            s[half + k] = s[2 * (half + k)];
        }
    }
}

/* Where each sample goes before the transform: the bits of its index in reverse order. */
static void fill_places(int64_t *place, int64_t n)
{
    place[0] = 0;
    for (int64_t done = 1, step = n / 2; done < n; done *= 2, step /= 2)
        for (int64_t i = 0; i < done; i++) place[done + i] = place[i] + step;
}

/* The first two stages of the transform, in which nothing is turned but by quarters. */
static void transform_fours(double *restrict re, double *restrict im, int64_t n)
{
    for (int64_t i = 0; i < n; i += 4) {
        const double ar = re[i] + re[i + 1], br = re[i] - re[i + 1], cr = re[i + 2] + re[i + 3],
                     dr = re[i + 2] - re[i + 3];
        const double ai = im[i] + im[i + 1], bi = im[i] - im[i + 1], ci = im[i + 2] + im[i + 3],
                     di = im[i + 2] - im[i + 3];
        re[i] = ar + cr;
        im[i] = ai + ci;
        re[i + 1] = br + di;
        im[i + 1] = bi - dr;
        re[i + 2] = ar - cr;
        im[i + 2] = ai - ci;
        re[i + 3] = br - di;
        im[i + 3] = bi + dr;
    }
}

/* The usual radix-2 transform in place, without scaling, of samples that are in their places; n is a power of
 * two from 4 on. */
static void transform(double *restrict re, double *restrict im, int64_t n, const double *restrict turn_c,
                      const double *restrict turn_s)
{
    transform_fours(re, im, n);
    for (int64_t half = 4; half < n; half *= 2) {
        const double *restrict c = turn_c + half, *restrict s = turn_s + half;
        for (int64_t block = 0; block < n; block += 2 * half) {
            double *restrict low_re = re + block, *restrict low_im = im + block;
            double *restrict high_re = low_re + half, *restrict high_im = low_im + half;
            for (int64_t k = 0; k < half; k++) {
                const double xr = high_re[k] * c[k] - high_im[k] * s[k];
                const double xi = high_re[k] * s[k] + high_im[k] * c[k];
                high_re[k] = low_re[k] - xr;
                high_im[k] = low_im[k] - xi;
                low_re[k] += xr;
                low_im[k] += xi;
            }
        }
    }
}

/* The windowed piece of x without its mean, each sample in its place; false when one is not finite. */
static bool cut(const double *x, const double *hann, int64_t length, const int64_t *place, double *out,
                int64_t points)
{
    const double mean = vg__sum(x, length) / (double)length;
    for (int64_t i = 0; i < length; i++) out[place[i]] = (x[i] - mean) * hann[i];
    for (int64_t i = length; i < points; i++) out[place[i]] = 0;
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
    int64_t length = (int64_t)(WINDOW_S * rate), points = 4;
    for (int b = 0; b < VG_BAND_COUNT; b++) power[b] = NAN;
    if (length < 2 || n < length) return VG_OK;
    while (points < length) points *= 2;
    const int64_t whole = n / length, apart = (whole + MOST_WINDOWS - 1) / MOST_WINDOWS;
    const int64_t windows = (whole + apart - 1) / apart;
    int64_t used = 0, next = 0;
    double *work = malloc((size_t)(5 * points) * sizeof *work);
    double *found = malloc((size_t)((windows + 1) * VG_BAND_COUNT) * sizeof *found), *column = NULL;
    int64_t *place = malloc((size_t)points * sizeof *place);
    if (found) column = malloc((size_t)(windows + 1) * sizeof *column);
    if (!work || !column || !place) {
        free(work);
        free(place);
        free(column);
        free(found);
        return vg_fail(VG_ERR_MEMORY, "no memory for the spectrum of %lld samples", (long long)n);
    }
    double *re = work, *im = re + points, *hann = im + points, *c = hann + points, *s = c + points;
    fill_circle(hann, re, length, (double)length);
    for (int64_t i = 0; i < length; i++) hann[i] = 0.5 - 0.5 * hann[i];
    const double sum = vg__dot(hann, hann, length);
    fill_turns(c, s, points);
    fill_places(place, points);
    while (next < windows) {
        int64_t taken = 0;
        for (; next < windows && taken < 2; next++)
            taken += cut(x + next * apart * length, hann, length, place, taken ? im : re, points);
        if (taken == 0) break;
        if (taken == 1)
            for (int64_t i = 0; i < points; i++) im[i] = 0;
        transform(re, im, points, c, s);
        add_bands(re, im, points, rate, found + used * VG_BAND_COUNT, found + (used + 1) * VG_BAND_COUNT);
        used += taken;
    }
    for (int b = 0; b < VG_BAND_COUNT && used > 0; b++) {
        if (!(BANDS[b].to < 0.5 * rate)) continue;
        for (int64_t w = 0; w < used; w++) column[w] = found[w * VG_BAND_COUNT + b];
        power[b] = 2 * vg__select(column, used, used / 2) / (sum * (double)points);
    }
    free(work);
    free(place);
    free(found);
    free(column);
    return VG_OK;
}
