#include "datasets/signal/quality.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "datasets/signal/filter.h"
#include "datasets/signal/rpeaks.h"
#include "datasets/signal/spectrum.h"

static const double BEAT_HALF_S = 0.3, INVERTED_FROM = 1.25, T_WAVE_SHARE = 0.05, AGREE_S = 0.15,
                    SLOWEST_BPM = 25, FASTEST_BPM = 240;

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
        if (x[i] < low) low = x[i];
        if (x[i] > high) high = x[i];
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
        if (x[i] < low) low = x[i];
        if (x[i] > high) high = x[i];
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

/* The mean of the beats from `before` samples ahead of the peak to `after` behind it, into beat; returns how
 * many there were. */
static int64_t average_beat(const double *clean, int64_t n, const vg_rpeaks *peaks, int64_t before,
                            int64_t after, double *beat)
{
    int64_t length = before + after + 1, used = 0;
    for (int64_t k = 0; k < peaks->count; k++) {
        int64_t from = (int64_t)llround(peaks->position[k]) - before;
        double sum = 0;
        if (from < 0 || from + length > n) continue;
        for (int64_t i = 0; i < length; i++) sum += clean[from + i];
        if (!isfinite(sum)) continue;
        for (int64_t i = 0; i < length; i++) beat[i] += clean[from + i];
        used++;
    }
    for (int64_t i = 0; used > 0 && i < length; i++) beat[i] /= (double)used;
    return used;
}

/* How well the beats resemble their average. `clean` is the 0.8-40 Hz signal. */
static vg_status compare_beats(const double *clean, int64_t n, double rate, const vg_rpeaks *peaks,
                               vg_quality *quality)
{
    int64_t half = (int64_t)(BEAT_HALF_S * rate), length = 2 * half + 1;
    double *beat = calloc((size_t)length, sizeof *beat), sum = 0;
    if (!beat) return vg_fail(VG_ERR_MEMORY, "no memory for the average beat");
    int64_t used = average_beat(clean, n, peaks, half, half, beat);
    for (int64_t k = 0; used > 0 && k < peaks->count; k++) {
        int64_t from = (int64_t)llround(peaks->position[k]) - half;
        if (from < 0 || from + length > n) continue;
        double match = correlation(clean + from, beat, length);
        if (isfinite(match)) sum += match;
    }
    if (used > 0) quality->match = fmax(0, sum / (double)used);
    free(beat);
    return VG_OK;
}

/* The directions of QRS and T wave in the average beat. The QRS is looked for within a tenth of a second of
 * the peak, so that a tall T wave does not vote; the T wave from 0.14 s behind it to 0.4 s or 0.65 of the
 * median interval, and it counts from a twentieth of the QRS. Both are measured from the beat's median, which
 * lies near the line between the waves. */
static vg_status measure_polarity(const double *clean, int64_t n, double rate, const vg_rpeaks *peaks,
                                  vg_quality *quality)
{
    double interval = 60 / quality->mean_bpm, t_end = isfinite(interval) ? fmin(0.4, 0.65 * interval) : 0.3;
    int64_t before = (int64_t)(0.25 * rate), after = (int64_t)(t_end * rate), length = before + after + 1;
    int64_t near = (int64_t)(0.1 * rate);
    double *beat = calloc((size_t)length * 2, sizeof *beat), high = 0, low = 0, t_high = 0, t_low = 0;
    if (!beat) return vg_fail(VG_ERR_MEMORY, "no memory for the average beat");
    if (average_beat(clean, n, peaks, before, after, beat) == 0) goto out;
    double *sorted = beat + length;
    memcpy(sorted, beat, (size_t)length * sizeof *sorted);
    qsort(sorted, (size_t)length, sizeof *sorted, by_value);
    double line = sorted[length / 2];
    for (int64_t i = 0; i < length; i++) {
        if (i >= before - near && i <= before + near) {
            high = fmax(high, beat[i]);
            low = fmin(low, beat[i]);
        }
        if (i >= before + (int64_t)(0.14 * rate)) {
            t_high = fmax(t_high, beat[i] - line);
            t_low = fmax(t_low, line - beat[i]);
        }
    }
    double ratio = high > 0 ? -low / high : INFINITY, t = t_high > t_low ? t_high : -t_low;
    quality->qrs = ratio >= INVERTED_FROM ? -1 : 1 / ratio >= INVERTED_FROM ? 1 : 0;
    quality->polarity_lead = ratio >= 1 ? ratio : 1 / ratio;
    if (fabs(t) >= T_WAVE_SHARE * (high - low)) quality->t_wave = t > 0 ? 1 : -1;
    quality->polarity = quality->qrs >= 0 ? quality->qrs : quality->t_wave > 0 ? 0 : -1;
out:
    free(beat);
    return VG_OK;
}

static double decibels(double power, double reference)
{
    return 10 * log10(power / reference);
}

static vg_status measure_bands(const double *x, int64_t n, double rate, vg_quality *quality)
{
    double power[VG_BAND_COUNT];
    VG_TRY(vg_band_powers(x, n, rate, power));
    double qrs = power[VG_BAND_QRS], mains = fmax(power[VG_BAND_MAINS_50], power[VG_BAND_MAINS_60]);
    quality->qrs_share = qrs / power[VG_BAND_WIDE];
    quality->mains_share = mains / (power[VG_BAND_BODY] + mains);
    quality->upper_db = decibels(power[VG_BAND_UPPER], qrs);
    quality->above_db = decibels(power[VG_BAND_ABOVE], qrs);
    quality->far_db = decibels(power[VG_BAND_FAR], qrs);
    return VG_OK;
}

static double kurtosis(const double *x, int64_t n)
{
    double sum = 0, m2 = 0, m4 = 0, used = 0;
    for (int64_t i = 0; i < n; i++) {
        if (!isfinite(x[i])) continue;
        sum += x[i];
        used++;
    }
    for (int64_t i = 0; i < n; i++) {
        if (!isfinite(x[i])) continue;
        double square = (x[i] - sum / used) * (x[i] - sum / used);
        m2 += square;
        m4 += square * square;
    }
    return m2 > 0 ? m4 * used / (m2 * m2) : NAN;
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
        quality->unusable += (flags[w] & (VG_QUALITY_FLAT | VG_QUALITY_WEAK | VG_QUALITY_STRONG)) != 0;
    }
}

vg_status vg_quality_measure_beats(const double *x, int64_t n, double rate, const vg_quality_options *options,
                                   vg_quality *quality, vg_rpeaks *peaks)
{
    vg_status status = VG_OK;
    vg_rpeaks second = {0};
    int64_t window = window_samples(rate, options), windows = n / window;
    uint8_t *flags = calloc((size_t)windows + 1, 1);
    double *clean = malloc((size_t)(n > 0 ? n : 1) * sizeof *clean);
    *peaks = (vg_rpeaks){0};
    *quality = (vg_quality){.mean_bpm = NAN, .peak_to_peak = NAN, .polarity_lead = NAN, .kurtosis = NAN};
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
    VG_TRY_OUT(measure_bands(x, n, rate, quality));

    VG_TRY_OUT(vg_rpeaks_detect_both(x, n, rate, peaks, &second));
    quality->beats = peaks->count;
    if (peaks->count >= 4) {
        double last = peaks->position[peaks->count - 1], first = peaks->position[0];
        quality->mean_bpm = 60 * (double)(peaks->count - 1) * rate / (last - first);
    }
    quality->agreement = vg_rpeaks_agreement(peaks, &second, AGREE_S * rate);
    vg_filter filter;
    VG_TRY_OUT(vg_filter_design(VG_FILTER_BANDPASS, 2, 0.8, fmin(40, 0.45 * rate), rate, &filter));
    memcpy(clean, x, (size_t)n * sizeof *x);
    if (peaks->count == 0) goto out;
    VG_TRY_OUT(vg_filter_zero_phase(&filter, clean, n, NULL));
    quality->kurtosis = kurtosis(clean, n);
    VG_TRY_OUT(compare_beats(clean, n, rate, peaks, quality));
    VG_TRY_OUT(measure_polarity(clean, n, rate, peaks, quality));
    quality->index = quality->match * quality->agreement;
    if (windows > 0) quality->index *= 1 - (double)quality->bad / (double)windows;
    if (!(quality->mean_bpm >= SLOWEST_BPM && quality->mean_bpm <= FASTEST_BPM)) quality->index = 0;
out:
    vg_rpeaks_free(&second);
    if (status != VG_OK) vg_rpeaks_free(peaks);
    free(flags);
    free(clean);
    return status;
}

vg_status vg_quality_measure(const double *x, int64_t n, double rate, const vg_quality_options *options,
                             vg_quality *quality)
{
    vg_rpeaks peaks;
    VG_TRY(vg_quality_measure_beats(x, n, rate, options, quality, &peaks));
    vg_rpeaks_free(&peaks);
    return VG_OK;
}
