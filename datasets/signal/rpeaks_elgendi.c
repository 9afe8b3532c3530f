/* Elgendi's two moving averages; rpeaks.h names the paper. */
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#include "datasets/signal/rpeaks_own.h"

static const double QRS_S = 0.097, BEAT_S = 0.611, OFFSET = 0.08, APART_S = 0.3, AROUND_S = 15;

/* The mean of the squares over `width` samples around i. */
static double mean_around(const double *sum, int64_t n, int64_t i, int64_t width)
{
    int64_t from = i - width / 2 < 0 ? 0 : i - width / 2, to = i + width / 2 + 1 > n ? n : i + width / 2 + 1;
    return (sum[to] - sum[from]) / (double)(to - from);
}

/* The largest deflection of a block becomes a beat, or replaces the one less than 0.3 s before it when it is
 * larger. */
static void take_block(const double *band, int64_t from, int64_t to, int64_t apart, vg_rpeaks *peaks)
{
    int64_t top = from;
    for (int64_t i = from; i < to; i++)
        if (fabs(band[i]) > fabs(band[top])) top = i;
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
    double *sum = malloc((size_t)(n + 1) * sizeof *sum);
    peaks->position = malloc((size_t)(n / apart + 2) * sizeof *peaks->position);
    if (!sum || !peaks->position) {
        free(sum);
        vg_rpeaks_free(peaks);
        return vg_fail(VG_ERR_MEMORY, "no memory to find beats in %lld samples", (long long)n);
    }
    sum[0] = 0; /* sum[i]: of the squares before sample i */
    for (int64_t i = 0; i < n; i++) sum[i + 1] = sum[i] + band[i] * band[i];
    for (int64_t block = 0; block <= n; block += qrs) {
        const int64_t end = block + qrs < n + 1 ? block + qrs : n + 1;
        const double level = block < n ? mean_around(sum, n, block, around) : 0; /* changes slowly */
        const bool whole = block >= beat / 2 && end + beat / 2 < n; /* no mean is cut short by an end */
        const double narrow = 1 / (double)(qrs / 2 * 2 + 1), wide = 1 / (double)(beat / 2 * 2 + 1);
        for (int64_t i = block; i < end; i++) {
            bool inside = false;
            if (whole)
                inside = (sum[i + qrs / 2 + 1] - sum[i - qrs / 2]) * narrow >
                         (sum[i + beat / 2 + 1] - sum[i - beat / 2]) * wide + OFFSET * level;
            else if (i < n)
                inside = mean_around(sum, n, i, qrs) > mean_around(sum, n, i, beat) + OFFSET * level;
            if (inside && level > 0) {
                if (start < 0) start = i;
            } else if (start >= 0) {
                if (i - start >= qrs) take_block(band, start, i, apart, peaks);
                start = -1;
            }
        }
    }
    free(sum);
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
