/* What can be seen in a window of the raw samples: gaps, stretches that do not move, clipping, size. */
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "datasets/signal/numbers.h"
#include "datasets/signal/quality_own.h"

int64_t vg__quality_window(double rate, const vg_quality_options *options)
{
    int64_t samples = (int64_t)llround(options->window_s * rate);
    return samples > 0 ? samples : 1;
}

/* What runs of equal samples are judged by. */
typedef struct judged {
    double low, high; /* of the whole recording */
    int64_t window, windows, flat, clipped_run;
    uint8_t *flags;
    int64_t *clipped; /* samples of each window that stand at an extreme for long */
} judged;

/* Ends of the run of samples that equal x[i]. */
static void find_run(const double *x, int64_t n, int64_t i, int64_t *start, int64_t *end)
{
    *start = i;
    *end = i + 1;
    while (*start > 0 && x[*start - 1] == x[i]) --*start;
    while (*end < n && x[*end] == x[i]) ++*end;
}

/* How much of a run lies in each window that it touches. */
static int64_t in_window(const judged *j, int64_t w, int64_t start, int64_t end)
{
    const int64_t from = start > w * j->window ? start : w * j->window;
    const int64_t to = end < (w + 1) * j->window ? end : (w + 1) * j->window;
    return to - from;
}

/* Stretches that do not move. One as long as `flat` holds a sample of every half that length, and most of
 * those can be passed over at once. */
static void judge_flat(const judged *j, const double *x, int64_t n)
{
    const int64_t apart = j->flat > 2 ? j->flat / 2 : 1;
    int64_t start, end = 0;
    for (int64_t i = 0; i < n; i += apart) {
        if (i < end || !isfinite(x[i])) continue;
        find_run(x, n, i, &start, &end);
        if (end - start < j->flat) continue;
        for (int64_t w = start / j->window; w < j->windows && w * j->window < end; w++)
            j->flags[w] |= VG_QUALITY_FLAT;
    }
}

/* Runs at the highest or lowest level of the recording. */
static void judge_clipped(const judged *j, const double *x, int64_t n)
{
    enum { BLOCK = 64 };
    int64_t start, end = 0;
    for (int64_t i = 0; i < n; i++) {
        if (i % BLOCK == 0 && i + BLOCK <= n) { /* most blocks have none, which is seen side by side */
            int64_t any = 0;
            for (int k = 0; k < BLOCK; k++) any |= (x[i + k] == j->low) | (x[i + k] == j->high);
            if (!any) {
                i += BLOCK - 1;
                continue;
            }
        }
        if (i < end || (x[i] != j->low && x[i] != j->high)) continue;
        find_run(x, n, i, &start, &end);
        if (end - start < j->clipped_run) continue;
        for (int64_t w = start / j->window; w < j->windows && w * j->window < end; w++)
            j->clipped[w] += in_window(j, w, start, end);
    }
}

vg_status vg__quality_windows(const double *x, int64_t n, double rate, const vg_quality_options *options,
                              uint8_t *flags, double *sizes, vg__extent *extent)
{
    judged j = {
        .flags = flags, .flat = (int64_t)(options->flat_s * rate), .clipped_run = options->clipped_run};
    j.window = vg__quality_window(rate, options);
    j.windows = n / j.window;
    *extent = (vg__extent){.low = INFINITY, .high = -INFINITY};
    for (int64_t w = 0; w <= j.windows; w++) { /* the last is the rest, which is no window */
        const bool rest = w == j.windows;
        double low, high;
        const bool finite = vg__range(x + w * j.window, rest ? n - w * j.window : j.window, &low, &high);
        extent->low = fmin(extent->low, low);
        extent->high = fmax(extent->high, high);
        extent->gaps = extent->gaps || !finite;
        if (rest) break;
        flags[w] = finite ? 0 : VG_QUALITY_NAN;
        sizes[w] = finite ? high - low : NAN;
        if (sizes[w] < options->amplitude_low) flags[w] |= VG_QUALITY_WEAK;
        if (sizes[w] > options->amplitude_high) flags[w] |= VG_QUALITY_STRONG;
    }
    if (j.windows == 0 || !(extent->low <= extent->high)) return VG_OK;
    j.low = extent->low;
    j.high = extent->high;
    j.clipped = calloc((size_t)j.windows, sizeof *j.clipped);
    if (!j.clipped) return vg_fail(VG_ERR_MEMORY, "no memory for %lld windows", (long long)j.windows);
    judge_flat(&j, x, n);
    judge_clipped(&j, x, n);
    for (int64_t w = 0; w < j.windows; w++)
        if ((double)j.clipped[w] > options->clipped_share * (double)j.window) flags[w] |= VG_QUALITY_CLIPPED;
    free(j.clipped);
    return VG_OK;
}
