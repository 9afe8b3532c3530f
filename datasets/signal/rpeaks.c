/* The detector of Pan and Tompkins ("A real-time QRS detection algorithm", IEEE Trans. Biomed. Eng.
 * 32(3):230-236, 1985) with the medians of Hamilton and Tompkins (33(12):1157-1165, 1986), for a signal that
 * is known as a whole: so nothing in it has to learn, and its thresholds look both ways in time.
 *   1. Band-pass (8-20 Hz after Elgendi 2010 instead of 5-15), then the difference from sample to sample,
 * which favours the steep QRS over a T wave as tall as it; the envelope is the root of the mean square of the
 * differences over 100 ms (their moving window integration).
 *   2. Every maximum of the envelope that is the highest within 220 ms is a candidate (their refractory time
 * is 200 ms).
 *   3. Around each candidate a typical QRS height is known: the median, over +-8 s, of the highest envelope
 * in blocks of 1.5 s (each holds a beat at 40 beats per minute and more). A candidate of at least 0.35 of it
 * is a beat, unless it follows a beat twice as high within 360 ms: a T wave, by their rule.
 *   4. Their search back: where a gap of more than 1.6 typical intervals is left, the highest candidate in it
 * counts from 0.15 of the typical height.
 *   5. The peak itself is the extreme of the band-passed signal within 80 ms, on the side (up or down) where
 *      most beats of the recording are larger. */
#include "datasets/signal/rpeaks.h"

#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "datasets/signal/numbers.h"
#include "datasets/signal/rpeaks_own.h"

static const double BAND_LOW = 8, BAND_HIGH = 20, ENVELOPE_S = 0.100, APART_S = 0.220, BLOCK_S = 1.5,
                    AROUND_S = 8, BEAT_SHARE = 0.35, SEARCH_SHARE = 0.15, T_WAVE_S = 0.360,
                    T_WAVE_SHARE = 0.5, REFINE_S = 0.080;

typedef struct candidate {
    int64_t at;
    double height, typical;
    bool beat;
} candidate;

vg_status vg__rpeaks_filter(double rate, vg_filter *filter)
{
    if (!(rate >= 60) || !isfinite(rate))
        return vg_fail(VG_ERR_CONFIG, "R peaks need a sampling rate of at least 60 Hz, not %g", rate);
    return vg_filter_design(VG_FILTER_BANDPASS, 2, BAND_LOW, BAND_HIGH, rate, filter);
}

/* The square of the step to sample i. */
static double squared_step(const double *band, int64_t i)
{
    double step = i > 0 ? band[i] - band[i - 1] : 0;
    return step * step;
}

/* The energy of a sample: the sum of the squared steps over `half` samples on either side, which is the
 * square of the envelope but for a factor. It is made a piece at a time, and looked at while it is in the
 * processor's first cache. */
enum { PIECE = 1024 };
typedef struct energies {
    const double *band;
    int64_t n, half, next; /* the sample whose energy is made next */
    double sum;            /* of the one before */
} energies;

static void make_energy(energies *e, int64_t count, double *energy)
{
    const int64_t first = e->half + 2, end = e->n - e->half; /* where nothing of it lies outside the signal */
    if (e->next >= first && e->next + count <= end) {
        const double *in = e->band + e->next + e->half, *out = e->band + e->next - e->half - 1;
        for (int64_t k = 0; k < count; k++) {
            const double comes = in[k] - in[k - 1], goes = out[k] - out[k - 1];
            energy[k] = comes * comes - goes * goes;
        }
    } else {
        for (int64_t k = 0; k < count; k++) {
            const int64_t comes = e->next + k + e->half, goes = e->next + k - e->half - 1;
            energy[k] = (comes < e->n ? squared_step(e->band, comes) : 0) -
                        (goes >= 0 ? squared_step(e->band, goes) : 0);
        }
    }
    e->sum = vg__running_sums(energy, count, e->sum);
    for (int64_t k = 0; k < count; k++) energy[k] = energy[k] > 0 ? energy[k] : 0; /* but for rounding */
    e->next += count;
}

/* A maximum at i is a candidate of its own, or replaces the last one if it is higher and less than `apart`
 * behind it. */
static int64_t take_maximum(double energy, int64_t i, int64_t apart, candidate *out, int64_t count)
{
    const candidate next = {.at = i, .height = energy};
    if (count == 0 || i - out[count - 1].at >= apart) {
        out[count++] = next;
    } else if (next.height > out[count - 1].height) {
        out[count - 1] = next;
    }
    return count;
}

/* The highest of each block of `width`; the last one takes the rest too. `energy` begins with sample `from`.
 */
static void widen_blocks(const double *energy, int64_t from, int64_t count, int64_t width, double *block,
                         int64_t blocks)
{
    for (int64_t k = 0, end; k < count; k = end) {
        const int64_t b = (from + k) / width < blocks ? (from + k) / width : blocks - 1;
        double low, high;
        end = b + 1 < blocks && (b + 1) * width - from < count ? (b + 1) * width - from : count;
        (void)vg__range(energy + k, end - k, &low, &high);
        if (high > block[b]) block[b] = high;
    }
}

/* Maxima of the energy above `least` that are the highest within `apart` samples on either side, and the
 * highest energy of each block. Returns how many maxima there are. */
static int64_t find_candidates(energies *e, int64_t apart, double least, candidate *out, int64_t width,
                               double *block, int64_t blocks)
{
    double energy[PIECE + 2]; /* the last two of the piece before come first: a maximum has two neighbours */
    uint8_t top[PIECE + 2 + sizeof(uint64_t)] = {0};
    int64_t count = 0, have = 0;
    for (int64_t b = 0; b < blocks; b++) block[b] = 0;
    while (e->next < e->n) {
        const int64_t base = e->next - have, more = e->n - e->next < PIECE ? e->n - e->next : PIECE;
        make_energy(e, more, energy + have);
        widen_blocks(energy + have, base + have, more, width, block, blocks);
        have += more;
        for (int64_t k = 1; k + 1 < have; k++)
            top[k] = (energy[k] > energy[k - 1]) & (energy[k] >= energy[k + 1]) & (energy[k] > least);
        memset(top + have - 1, 0, sizeof(uint64_t));
        for (int64_t k = 1; k + 1 < have; k += (int64_t)sizeof(uint64_t)) {
            uint64_t eight;
            memcpy(&eight, top + k, sizeof eight);
            for (; eight; eight &= eight - 1) {
                const int64_t at = k + __builtin_ctzll(eight) / 8;
                count = take_maximum(energy[at], base + at, apart, out, count);
            }
        }
        if (have < 2) continue;
        energy[0] = energy[have - 2];
        energy[1] = energy[have - 1];
        have = 2;
    }
    return count;
}

/* Fills `typical` of every candidate; `block` and `sorted` hold one number per block of `width` samples, the
 * height of the envelope there. */
static void set_typical(candidate *candidates, int64_t count, int64_t width, const double *block,
                        double *sorted, int64_t blocks)
{
    const int64_t around = (int64_t)ceil(AROUND_S / BLOCK_S);
    int64_t known = -1;
    double typical = 0;
    for (int64_t c = 0; c < count; c++) {
        int64_t b = candidates[c].at / width;
        if (b >= blocks) b = blocks - 1;
        if (b != known) {
            int64_t used = 0;
            for (int64_t k = b - around; k <= b + around; k++)
                if (k >= 0 && k < blocks && block[k] > 0) sorted[used++] = block[k];
            typical = vg__median(sorted, used);
            known = b;
        }
        candidates[c].typical = typical;
    }
}

static void choose_beats(candidate *candidates, int64_t count, double rate)
{
    int64_t last = -1;
    for (int64_t c = 0; c < count; c++) {
        candidate *now = &candidates[c];
        if (now->height < BEAT_SHARE * now->typical) continue;
        if (last >= 0 && (double)(now->at - candidates[last].at) < T_WAVE_S * rate &&
            now->height < T_WAVE_SHARE * candidates[last].height)
            continue;
        now->beat = true;
        last = c;
    }
}

/* Looks again where a beat seems to be missing. `intervals` holds one number per candidate. */
static void search_back(candidate *candidates, int64_t count, double rate, double *intervals)
{
    int64_t used = 0, last = -1;
    for (int64_t c = 0; c < count; c++) {
        if (!candidates[c].beat) continue;
        if (last >= 0) intervals[used++] = (double)(candidates[c].at - candidates[last].at);
        last = c;
    }
    double typical = vg__median(intervals, used);
    if (used < 3) return;
    last = -1;
    for (int64_t c = 0; c < count; c++) {
        if (!candidates[c].beat) continue;
        if (last >= 0 && (double)(candidates[c].at - candidates[last].at) > 1.6 * typical) {
            candidate *best = NULL;
            for (int64_t k = last + 1; k < c; k++) {
                bool clear = (double)(candidates[k].at - candidates[last].at) > T_WAVE_S * rate &&
                             (double)(candidates[c].at - candidates[k].at) > APART_S * rate;
                if (clear && candidates[k].height > SEARCH_SHARE * candidates[k].typical &&
                    (!best || candidates[k].height > best->height))
                    best = &candidates[k];
            }
            if (best) best->beat = true;
        }
        last = c;
    }
}

static double top_of_parabola(const double *band, int64_t n, int64_t at)
{
    if (at <= 0 || at + 1 >= n) return (double)at;
    double left = band[at - 1], middle = band[at], right = band[at + 1], bend = left - 2 * middle + right;
    if (bend == 0) return (double)at;
    double shift = 0.5 * (left - right) / bend;
    return (double)at + fmax(-0.5, fmin(0.5, shift));
}

static int64_t place_of(const double *band, int64_t from, int64_t to, double value)
{
    while (from < to && band[from] != value) from++;
    return from;
}

/* Puts each beat on its peak: the highest or the lowest sample near it, whichever is larger in most beats.
 * `high` and `low` are scratch of two numbers per candidate: the places, and behind them the heights. */
static void refine(const double *band, int64_t n, double rate, const candidate *candidates, int64_t count,
                   int64_t most, double *high, double *low, vg_rpeaks *peaks)
{
    const int64_t reach = (int64_t)(REFINE_S * rate);
    double *ups = high + most, *downs = low + most;
    int64_t beats = 0;
    for (int64_t c = 0; c < count; c++) {
        if (!candidates[c].beat) continue;
        int64_t from = candidates[c].at - reach, to = candidates[c].at + reach;
        if (from < 0) from = 0;
        if (to > n - 1) to = n - 1;
        double most_up, most_down;
        (void)vg__range(band + from, to - from + 1, &most_down, &most_up);
        high[beats] = (double)place_of(band, from, to, most_up);
        low[beats] = (double)place_of(band, from, to, most_down);
        ups[beats] = most_up;
        downs[beats++] = -most_down;
    }
    peaks->sign = beats ? (vg__median(ups, beats) >= vg__median(downs, beats) ? 1 : -1) : 0;
    for (int64_t k = 0; k < beats; k++) {
        const double at = top_of_parabola(band, n, (int64_t)(peaks->sign > 0 ? high : low)[k]);
        if (peaks->count == 0 || at > peaks->position[peaks->count - 1]) peaks->position[peaks->count++] = at;
    }
}

/* The first detector. */
static vg_status find_first(const double *band, int64_t n, double rate, double largest, vg_rpeaks *peaks)
{
    vg_status status = VG_OK;
    double *scratch = NULL;
    candidate *candidates = NULL;
    *peaks = (vg_rpeaks){0};
    if (n < 3) return VG_OK;

    int64_t apart = (int64_t)(APART_S * rate), width = (int64_t)(BLOCK_S * rate);
    int64_t most = n / apart + 2, blocks = n / width > 0 ? n / width : 1;
    int64_t scratch_n = 4 * (most > blocks ? most : blocks);
    candidates = malloc((size_t)most * sizeof *candidates);
    scratch = malloc((size_t)scratch_n * sizeof *scratch);
    peaks->position = malloc((size_t)most * sizeof *peaks->position);
    if (!candidates || !scratch || !peaks->position) {
        status = vg_fail(VG_ERR_MEMORY, "no memory to find beats in %lld samples", (long long)n);
        goto out;
    }
    energies e = {.band = band, .n = n, .half = (int64_t)(ENVELOPE_S * rate) / 2};
    for (int64_t i = 0; i < e.half && i < n; i++) e.sum += squared_step(band, i);
    const double unit = (double)(2 * e.half + 1); /* the energy of an envelope of 1 */
    const double least = 1e-9 * largest; /* what rounding alone can leave of a constant signal in the band */
    double *block = scratch, *sorted = scratch + scratch_n / 2;
    int64_t count = find_candidates(&e, apart, least * least * unit, candidates, width, block, blocks);
    for (int64_t c = 0; c < count; c++) candidates[c].height = sqrt(candidates[c].height / unit);
    for (int64_t b = 0; b < blocks; b++) block[b] = sqrt(block[b] / unit);
    set_typical(candidates, count, width, block, sorted, blocks);
    choose_beats(candidates, count, rate);
    search_back(candidates, count, rate, scratch);
    refine(band, n, rate, candidates, count, most, scratch, scratch + scratch_n / 2, peaks);
out:
    free(candidates);
    free(scratch);
    if (status != VG_OK) vg_rpeaks_free(peaks);
    return status;
}

int64_t vg__rpeaks_skip(const uint8_t *flags, int64_t i, int64_t n, bool flag)
{
    const uint64_t same = flag ? 0x0101010101010101 : 0;
    for (uint64_t eight; i + (int64_t)sizeof eight <= n; i += (int64_t)sizeof eight) {
        memcpy(&eight, flags + i, sizeof eight);
        if (eight != same) break;
    }
    while (i < n && flags[i] == flag) i++;
    return i;
}

vg_status vg__rpeaks_in_band(double *band, int64_t n, double rate, double largest, bool gaps,
                             vg_rpeaks *first, vg_rpeaks *second)
{
    vg_status status = VG_OK;
    if (first) *first = (vg_rpeaks){0};
    if (second) *second = (vg_rpeaks){0};
    for (int64_t i = 0; gaps && i < n; i++) band[i] = fabs(band[i]) <= DBL_MAX ? band[i] : 0;
    if (first) status = find_first(band, n, rate, largest, first);
    if (status == VG_OK && second) status = vg__rpeaks_elgendi(band, n, rate, second);
    if (status != VG_OK && first) vg_rpeaks_free(first);
    return status;
}

/* Either list may be NULL. */
static vg_status detect(const double *x, int64_t n, double rate, vg_rpeaks *first, vg_rpeaks *second)
{
    vg_filter filter;
    int64_t lost;
    double low, high;
    if (first) *first = (vg_rpeaks){0};
    if (second) *second = (vg_rpeaks){0};
    VG_TRY(vg__rpeaks_filter(rate, &filter));
    double *band = malloc((size_t)(n > 0 ? n : 1) * sizeof *band);
    if (!band) return vg_fail(VG_ERR_MEMORY, "no memory to find beats in %lld samples", (long long)n);
    vg_filter_zero_phase_each(&(const vg_filter *){&filter}, 1, x, n, &band, &lost);
    const bool gaps = !vg__range(x, n, &low, &high);
    const double largest = low <= high ? fmax(fabs(low), fabs(high)) : 0;
    vg_status status = vg__rpeaks_in_band(band, n, rate, largest, gaps, first, second);
    free(band);
    return status;
}

vg_status vg_rpeaks_detect(const double *x, int64_t n, double rate, vg_rpeaks *peaks)
{
    return detect(x, n, rate, peaks, NULL);
}

vg_status vg_rpeaks_detect_elgendi(const double *x, int64_t n, double rate, vg_rpeaks *peaks)
{
    return detect(x, n, rate, NULL, peaks);
}

vg_status vg_rpeaks_detect_both(const double *x, int64_t n, double rate, vg_rpeaks *first, vg_rpeaks *second)
{
    return detect(x, n, rate, first, second);
}

void vg_rpeaks_free(vg_rpeaks *peaks)
{
    free(peaks->position);
    *peaks = (vg_rpeaks){0};
}
