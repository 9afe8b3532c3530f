#include "datasets/signal/quality.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "datasets/signal/filter.h"
#include "datasets/signal/rpeaks.h"

static const double BEAT_HALF_S = 0.3, INVERTED_FROM = 1.25;

vg_quality_options vg_quality_default_options(void)
{
    return (vg_quality_options){.window_s = 10,
                                .flat_s = 0.5,
                                .clipped_run = 5,
                                .clipped_share = 0.01,
                                .amplitude_low = 0.05,
                                .amplitude_high = 20};
}

static int64_t window_samples(double rate, const vg_quality_options *options)
{
    int64_t samples = (int64_t)llround(options->window_s * rate);
    return samples > 0 ? samples : 1;
}

static double peak_to_peak(const double *x, int64_t n)
{
    double low = INFINITY, high = -INFINITY;
    for (int64_t i = 0; i < n; i++) {
        low = fmin(low, x[i]);
        high = fmax(high, x[i]);
    }
    return high - low;
}

/* Marks the windows touched by a run of equal samples that is `flat` long, or adds to their clipped counts
 * when the run stands at the recording's extreme. */
static void judge_run(int64_t start, int64_t end, bool extreme, int64_t window, int64_t windows, int64_t flat,
                      int clipped_run, uint8_t *flags, int64_t *clipped)
{
    bool is_flat = end - start >= flat, is_clipped = extreme && end - start >= clipped_run;
    if (!is_flat && !is_clipped) return;
    for (int64_t w = start / window; w < windows && w * window < end; w++) {
        int64_t from = start > w * window ? start : w * window;
        int64_t to = end < (w + 1) * window ? end : (w + 1) * window;
        if (is_flat) flags[w] |= VG_QUALITY_FLAT;
        if (is_clipped) clipped[w] += to - from;
    }
}

void vg_quality_windows(const double *x, int64_t n, double rate, const vg_quality_options *options,
                        uint8_t *flags)
{
    int64_t window = window_samples(rate, options), windows = n / window;
    if (windows == 0) return;
    int64_t *clipped = calloc((size_t)windows, sizeof *clipped);
    memset(flags, 0, (size_t)windows);
    double low = INFINITY, high = -INFINITY;
    for (int64_t i = 0; i < n; i++) {
        if (!isfinite(x[i])) {
            if (i / window < windows) flags[i / window] |= VG_QUALITY_NAN;
            continue;
        }
        low = fmin(low, x[i]);
        high = fmax(high, x[i]);
    }
    int64_t flat = (int64_t)(options->flat_s * rate);
    for (int64_t start = 0; clipped && start < n;) {
        int64_t end = start + 1;
        while (end < n && x[end] == x[start]) end++;
        if (isfinite(x[start]))
            judge_run(start, end, x[start] == low || x[start] == high, window, windows, flat,
                      options->clipped_run, flags, clipped);
        start = end;
    }
    for (int64_t w = 0; w < windows; w++) {
        if (clipped && (double)clipped[w] > options->clipped_share * (double)window)
            flags[w] |= VG_QUALITY_CLIPPED;
        if (flags[w] & VG_QUALITY_NAN) continue;
        double size = peak_to_peak(x + w * window, window);
        if (size < options->amplitude_low) flags[w] |= VG_QUALITY_WEAK;
        if (size > options->amplitude_high) flags[w] |= VG_QUALITY_STRONG;
    }
    free(clipped);
}

static int by_value(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

static vg_status median_size(const double *x, int64_t window, int64_t windows, const uint8_t *flags,
                             double *result)
{
    double *sizes = malloc((size_t)(windows + 1) * sizeof *sizes);
    if (!sizes) return vg_fail(VG_ERR_MEMORY, "no memory for %lld windows", (long long)windows);
    int64_t used = 0;
    for (int64_t w = 0; w < windows; w++)
        if (!(flags[w] & VG_QUALITY_NAN)) sizes[used++] = peak_to_peak(x + w * window, window);
    qsort(sizes, (size_t)used, sizeof *sizes, by_value);
    *result = used ? sizes[used / 2] : NAN;
    free(sizes);
    return VG_OK;
}

static bool beat_range(const vg_rpeaks *peaks, int64_t k, int64_t half, int64_t n, int64_t *from)
{
    int64_t centre = (int64_t)llround(peaks->position[k]);
    *from = centre - half;
    return centre - half >= 0 && centre + half < n;
}

/* Correlation of x with the template; NaN where x has a gap or does not move. */
static double correlation(const double *x, const double *template, int64_t n)
{
    double sx = 0, st = 0, sxx = 0, stt = 0, sxt = 0;
    for (int64_t i = 0; i < n; i++) {
        sx += x[i];
        st += template[i];
        sxx += x[i] * x[i];
        stt += template[i] * template[i];
        sxt += x[i] * template[i];
    }
    double count = (double)n, vx = sxx - sx * sx / count, vt = stt - st * st / count;
    return vx > 0 && vt > 0 ? (sxt - sx * st / count) / sqrt(vx * vt) : NAN;
}

/* Average beat, its polarity, and how well the beats resemble it. `clean` is the 0.8-40 Hz signal. */
static vg_status compare_beats(const double *clean, int64_t n, double rate, const vg_rpeaks *peaks,
                               vg_quality *quality)
{
    int64_t half = (int64_t)(BEAT_HALF_S * rate), length = 2 * half + 1, from, used = 0;
    double *template = calloc((size_t)length, sizeof *template);
    if (!template) return vg_fail(VG_ERR_MEMORY, "no memory for the average beat");
    for (int64_t k = 0; k < peaks->count; k++) {
        if (!beat_range(peaks, k, half, n, &from) ||
            !isfinite(correlation(clean + from, clean + from, length)))
            continue;
        for (int64_t i = 0; i < length; i++) template[i] += clean[from + i];
        used++;
    }
    double sum = 0, high = 0, low = 0;
    for (int64_t k = 0; used > 0 && k < peaks->count; k++) {
        if (!beat_range(peaks, k, half, n, &from)) continue;
        double match = correlation(clean + from, template, length);
        if (isfinite(match)) sum += match;
    }
    /* The QRS alone: a tenth of a second on either side, so that a tall T wave does not vote. */
    int64_t near = (int64_t)(0.1 * rate);
    for (int64_t i = half - near; used > 0 && i <= half + near; i++) {
        high = fmax(high, template[i]);
        low = fmin(low, template[i]);
    }
    if (used > 0) {
        quality->index = fmax(0, sum / (double)used);
        double ratio = high > 0 ? -low / high : INFINITY;
        quality->polarity = ratio >= INVERTED_FROM ? -1 : 1 / ratio >= INVERTED_FROM ? 1 : 0;
        quality->polarity_lead = ratio >= 1 ? ratio : 1 / ratio;
    }
    free(template);
    return VG_OK;
}

static void count_flags(const uint8_t *flags, int64_t windows, vg_quality *quality)
{
    quality->windows = windows;
    for (int64_t w = 0; w < windows; w++) {
        quality->bad += flags[w] != 0;
        quality->nan += (flags[w] & VG_QUALITY_NAN) != 0;
        quality->flat += (flags[w] & VG_QUALITY_FLAT) != 0;
        quality->clipped += (flags[w] & VG_QUALITY_CLIPPED) != 0;
        quality->weak += (flags[w] & VG_QUALITY_WEAK) != 0;
        quality->strong += (flags[w] & VG_QUALITY_STRONG) != 0;
    }
}

vg_status vg_quality_measure(const double *x, int64_t n, double rate, const vg_quality_options *options,
                             vg_quality *quality)
{
    vg_status status = VG_OK;
    vg_rpeaks peaks = {0};
    int64_t window = window_samples(rate, options), windows = n / window;
    uint8_t *flags = calloc((size_t)windows + 1, 1);
    double *clean = malloc((size_t)(n > 0 ? n : 1) * sizeof *clean);
    *quality = (vg_quality){.mean_bpm = NAN, .peak_to_peak = NAN, .polarity_lead = NAN};
    if (!flags || !clean) {
        status = vg_fail(VG_ERR_MEMORY, "no memory to judge %lld samples", (long long)n);
        goto out;
    }
    vg_quality_windows(x, n, rate, options, flags);
    count_flags(flags, windows, quality);
    int64_t missing = 0;
    for (int64_t i = 0; i < n; i++) missing += !isfinite(x[i]);
    quality->nan_share = n > 0 ? (double)missing / (double)n : 1;
    VG_TRY_OUT(median_size(x, window, windows, flags, &quality->peak_to_peak));

    VG_TRY_OUT(vg_rpeaks_detect(x, n, rate, &peaks));
    quality->beats = peaks.count;
    quality->mean_bpm = vg_heart_rate_from_peaks(&peaks, 0, n, rate).mean_bpm;
    vg_filter filter;
    VG_TRY_OUT(vg_filter_design(VG_FILTER_BANDPASS, 2, 0.8, fmin(40, 0.45 * rate), rate, &filter));
    memcpy(clean, x, (size_t)n * sizeof *x);
    if (peaks.count == 0) goto out;
    VG_TRY_OUT(vg_filter_zero_phase(&filter, clean, n, NULL));
    VG_TRY_OUT(compare_beats(clean, n, rate, &peaks, quality));
    if (windows > 0) quality->index *= 1 - (double)quality->bad / (double)windows;
    if (!(quality->mean_bpm >= 25 && quality->mean_bpm <= 240)) quality->index = 0;
out:
    vg_rpeaks_free(&peaks);
    free(flags);
    free(clean);
    return status;
}
