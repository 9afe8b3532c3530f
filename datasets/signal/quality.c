#include "datasets/signal/quality.h"

#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "datasets/signal/numbers.h"
#include "datasets/signal/quality_own.h"
#include "datasets/signal/rpeaks_own.h"
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

/* Adds up the pairs of beats' samples; NaN where x has a gap. `shape` has no mean and the length 1. */
static double resemblance(const double *x, const double *shape, int64_t n)
{
    const double sum = vg__sum(x, n), size = vg__dot(x, x, n) - sum * sum / (double)n;
    return size > 0 ? vg__dot(x, shape, n) / sqrt(size) : NAN;
}

/* Takes the mean out and makes the length 1; false for what does not move. */
static bool make_shape(double *beat, int64_t n)
{
    const double mean = vg__sum(beat, n) / (double)n;
    for (int64_t i = 0; i < n; i++) beat[i] -= mean;
    const double length = sqrt(vg__dot(beat, beat, n));
    for (int64_t i = 0; i < n; i++) beat[i] /= length;
    return length > 0;
}

/* The mean of the beats from `before` samples ahead of the peak to `after` behind it, into beat; returns how
 * many there were. */
static int64_t average_beat(const double *clean, int64_t n, const vg_rpeaks *peaks, int64_t before,
                            int64_t after, double *beat)
{
    int64_t length = before + after + 1, used = 0;
    for (int64_t k = 0; k < peaks->count; k++) {
        int64_t from = (int64_t)llround(peaks->position[k]) - before;
        if (from < 0 || from + length > n || !isfinite(vg__sum(clean + from, length))) continue;
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
    const bool moves = used > 0 && make_shape(beat, length);
    for (int64_t k = 0; moves && k < peaks->count; k++) {
        int64_t from = (int64_t)llround(peaks->position[k]) - half;
        if (from < 0 || from + length > n) continue;
        double match = resemblance(clean + from, beat, length);
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
    const double line = vg__select(sorted, length, length / 2);
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

/* Of the finite samples. */
static double kurtosis(const double *x, int64_t n)
{
    double second, fourth;
    const int64_t used = vg__moments(x, n, &second, &fourth);
    return second > 0 ? fourth * (double)used / (second * second) : NAN;
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

static double share_missing(const double *x, int64_t n)
{
    int64_t missing = 0;
    for (int64_t i = 0; i < n; i++) missing += !(fabs(x[i]) <= DBL_MAX);
    return (double)missing / (double)n;
}

/* The median over the windows without a gap; reorders them. */
static double median_size(double *sizes, int64_t windows)
{
    int64_t used = 0;
    for (int64_t w = 0; w < windows; w++)
        if (!isnan(sizes[w])) sizes[used++] = sizes[w];
    return used ? vg__select(sizes, used, used / 2) : NAN;
}

vg_status vg_quality_filters(double rate, vg_filter filter[VG_QUALITY_FILTERS])
{
    VG_TRY(vg__rpeaks_filter(rate, &filter[VG_QUALITY_STEEP]));
    return vg_filter_design(VG_FILTER_BANDPASS, 2, 0.8, fmin(40, 0.45 * rate), rate,
                            &filter[VG_QUALITY_CLEAN]);
}

vg_status vg_quality_measure_filtered(const double *x, double *const filtered[VG_QUALITY_FILTERS], int64_t n,
                                      double rate, const vg_quality_options *options, uint8_t *flags,
                                      vg_quality *quality, vg_rpeaks *peaks)
{
    vg_status status = VG_OK;
    vg_rpeaks second = {0};
    vg__extent extent;
    double *clean = filtered[VG_QUALITY_CLEAN];
    const int64_t windows = n / vg__quality_window(rate, options);
    double *sizes = malloc((size_t)(windows + 1) * sizeof *sizes);
    *peaks = (vg_rpeaks){0};
    *quality = (vg_quality){.mean_bpm = NAN, .peak_to_peak = NAN, .polarity_lead = NAN, .kurtosis = NAN};
    if (!sizes) return vg_fail(VG_ERR_MEMORY, "no memory for %lld windows", (long long)windows);
    VG_TRY_OUT(vg__quality_windows(x, n, rate, options, flags, sizes, &extent));
    count_flags(flags, windows, quality);
    quality->nan_share = n == 0 ? 1 : extent.gaps ? share_missing(x, n) : 0;
    quality->peak_to_peak = median_size(sizes, windows);
    VG_TRY_OUT(measure_bands(x, n, rate, quality));

    const double largest = extent.low <= extent.high ? fmax(fabs(extent.low), fabs(extent.high)) : 0;
    VG_TRY_OUT(vg__rpeaks_in_band(filtered[VG_QUALITY_STEEP], n, rate, largest, extent.gaps, peaks, &second));
    quality->beats = peaks->count;
    if (peaks->count >= 4) {
        double last = peaks->position[peaks->count - 1], first = peaks->position[0];
        quality->mean_bpm = 60 * (double)(peaks->count - 1) * rate / (last - first);
    }
    quality->agreement = vg_rpeaks_agreement(peaks, &second, AGREE_S * rate);
    if (peaks->count == 0) goto out;
    if (!clean) {
        vg_filter filter[VG_QUALITY_FILTERS];
        int64_t lost;
        clean = filtered[VG_QUALITY_STEEP];
        VG_TRY_OUT(vg_quality_filters(rate, filter));
        vg_filter_zero_phase_each(&(const vg_filter *){&filter[VG_QUALITY_CLEAN]}, 1, x, n, &clean, &lost);
    }
    quality->kurtosis = kurtosis(clean, n);
    VG_TRY_OUT(compare_beats(clean, n, rate, peaks, quality));
    VG_TRY_OUT(measure_polarity(clean, n, rate, peaks, quality));
    quality->index = quality->match * quality->agreement;
    if (windows > 0) quality->index *= 1 - (double)quality->bad / (double)windows;
    if (!(quality->mean_bpm >= SLOWEST_BPM && quality->mean_bpm <= FASTEST_BPM)) quality->index = 0;
out:
    vg_rpeaks_free(&second);
    if (status != VG_OK) vg_rpeaks_free(peaks);
    free(sizes);
    return status;
}

vg_status vg_quality_measure_beats(const double *x, int64_t n, double rate, const vg_quality_options *options,
                                   vg_quality *quality, vg_rpeaks *peaks)
{
    vg_status status = VG_OK;
    vg_filter filter[VG_QUALITY_FILTERS];
    int64_t windows = n / vg__quality_window(rate, options), lost;
    uint8_t *flags = calloc((size_t)windows + 1, 1);
    double *filtered[VG_QUALITY_FILTERS] = {malloc((size_t)(n > 0 ? n : 1) * sizeof **filtered)};
    *peaks = (vg_rpeaks){0};
    if (!filtered[0] || !flags) {
        status = vg_fail(VG_ERR_MEMORY, "no memory to judge %lld samples", (long long)n);
        goto out;
    }
    VG_TRY_OUT(vg_quality_filters(rate, filter));
    vg_filter_zero_phase_each(&(const vg_filter *){filter}, 1, x, n, filtered, &lost);
    status = vg_quality_measure_filtered(x, filtered, n, rate, options, flags, quality, peaks);
out:
    free(filtered[0]);
    free(flags);
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
