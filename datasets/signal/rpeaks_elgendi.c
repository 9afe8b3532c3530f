/* Elgendi's two moving averages; rpeaks.h names the paper. */
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#include "datasets/signal/numbers.h"
#include "datasets/signal/rpeaks_own.h"

static const double QRS_S = 0.097, BEAT_S = 0.611, OFFSET = 0.08, APART_S = 0.3, AROUND_S = 15;

/* Samples that are looked at before the sums behind the means are made anew: of a long recording they would
 * not stay in the processor's second cache. And those of a piece that stays in the first one. */
enum { STRETCH = 32768, PIECE = 1024 };

/* sum[i - first]: of the squares of the samples from `first` on before i. */
typedef struct sums {
    int64_t n, first; /* samples of the recording */
    double *sum;
} sums;

/* The sums that are needed for the means around the samples from..to. */
static void make_sums(const double *band, int64_t from, int64_t to, int64_t widest, sums *s)
{
    const int64_t last = to + widest / 2 + 1 < s->n ? to + widest / 2 + 1 : s->n;
    s->first = from - widest / 2 > 0 ? from - widest / 2 : 0;
    s->sum[0] = 0;
    for (int64_t i = s->first; i < last; i += PIECE) {
        const int64_t count = last - i < PIECE ? last - i : PIECE;
        double *sum = s->sum + (i - s->first);
        for (int64_t k = 0; k < count; k++) sum[k + 1] = band[i + k] * band[i + k];
        (void)vg__running_sums(sum + 1, count, sum[0]);
    }
}

/* The mean of the squares over `width` samples around i. */
static double mean_around(const sums *s, int64_t i, int64_t width)
{
    const int64_t from = i - width / 2 < 0 ? 0 : i - width / 2,
                  to = i + width / 2 + 1 > s->n ? s->n : i + width / 2 + 1;
    return (s->sum[to - s->first] - s->sum[from - s->first]) / (double)(to - from);
}

/* Flags the samples from..to whose narrow mean is larger than the wide one by OFFSET * level. */
static void compare_means(const sums *s, int64_t from, int64_t to, int64_t qrs, int64_t beat, double level,
                          uint8_t *inside)
{
    const bool whole = from >= beat / 2 && to + beat / 2 < s->n; /* no mean is cut short by an end */
    const double narrow = 1 / (double)(qrs / 2 * 2 + 1), wide = 1 / (double)(beat / 2 * 2 + 1);
    if (whole) {
        const double *at = s->sum + (from - s->first);
        const double *narrow_to = at + qrs / 2 + 1, *narrow_from = at - qrs / 2;
        const double *wide_to = at + beat / 2 + 1, *wide_from = at - beat / 2;
        for (int64_t k = 0; k < to - from; k++)
            inside[k] = (narrow_to[k] - narrow_from[k]) * narrow >
                        (wide_to[k] - wide_from[k]) * wide + OFFSET * level;
    }
    for (int64_t i = from; i < to && !whole; i++)
        inside[i - from] = mean_around(s, i, qrs) > mean_around(s, i, beat) + OFFSET * level;
}

/* The largest deflection of a block becomes a beat, or replaces the one less than 0.3 s before it when it is
 * larger. */
static void take_block(const double *band, int64_t from, int64_t to, int64_t apart, vg_rpeaks *peaks)
{
    double low, high;
    (void)vg__range(band + from, to - from, &low, &high);
    const double largest = fmax(-low, high);
    int64_t top = from;
    while (top < to - 1 && fabs(band[top]) != largest) top++;
    if (peaks->count > 0) {
        int64_t last = (int64_t)peaks->position[peaks->count - 1];
        if (top - last < apart) {
            if (fabs(band[top]) > fabs(band[last])) peaks->position[peaks->count - 1] = (double)top;
            return;
        }
    }
    peaks->position[peaks->count++] = (double)top;
}

vg_status vg__rpeaks_elgendi(const double *band, int64_t n, double rate, vg_rpeaks *peaks)
{
    *peaks = (vg_rpeaks){0};
    if (n < 3) return VG_OK;
    int64_t qrs = (int64_t)lround(QRS_S * rate), beat = (int64_t)lround(BEAT_S * rate),
            apart = (int64_t)(APART_S * rate), around = (int64_t)(2 * AROUND_S * rate), start = -1;
    /* Whole blocks of `qrs` samples, each with a level of its own. */
    const int64_t stretch = (STRETCH > 4 * around ? STRETCH : 4 * around) / qrs * qrs;
    const int64_t most = n < stretch + around ? n : stretch + around;
    sums s = {.n = n, .sum = malloc((size_t)(most + 2) * sizeof *s.sum)};
    uint8_t *inside = malloc((size_t)qrs);
    peaks->position = malloc((size_t)(n / apart + 2) * sizeof *peaks->position);
    if (!s.sum || !inside || !peaks->position) {
        free(s.sum);
        free(inside);
        vg_rpeaks_free(peaks);
        return vg_fail(VG_ERR_MEMORY, "no memory to find beats in %lld samples", (long long)n);
    }
    for (int64_t from = 0; from < n; from += qrs) {
        const int64_t to = from + qrs < n ? from + qrs : n;
        if (from % stretch == 0) make_sums(band, from, n - from < stretch ? n : from + stretch, around, &s);
        const double level = mean_around(&s, from, around);                           /* changes slowly */
        compare_means(&s, from, to, qrs, beat, level > 0 ? level : INFINITY, inside); /* of nothing: never */
        for (int64_t i = from;;) {
            i = from + vg__rpeaks_skip(inside, i - from, to - from, start >= 0);
            if (i == to) break;
            if (start >= 0 && i - start >= qrs) take_block(band, start, i, apart, peaks);
            start = start < 0 ? i : -1;
        }
    }
    if (start >= 0 && n - start >= qrs) take_block(band, start, n, apart, peaks);
    free(s.sum);
    free(inside);
    return VG_OK;
}

double vg_rpeaks_agreement(const vg_rpeaks *a, const vg_rpeaks *b, double within)
{
    int64_t i = 0, k = 0, matched = 0;
    while (i < a->count && k < b->count) {
        double distance = a->position[i] - b->position[k];
        bool pair = fabs(distance) <= within;
        matched += pair;
        i += pair || distance < 0;
        k += pair || distance > 0;
    }
    int64_t all = a->count + b->count - matched;
    return all > 0 ? (double)matched / (double)all : 0;
}
