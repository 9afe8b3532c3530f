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

/* What a run of equal samples is judged by. */
typedef struct judged {
    double low, high; /* of the whole recording */
    int64_t window, windows, flat, clipped_run;
    uint8_t *flags;
    int64_t *clipped; /* samples of each window that stand at an extreme for long */
} judged;

static void judge_run(const judged *j, double level, int64_t start, int64_t end)
{
    const bool flat = end - start >= j->flat;
    const bool clipped = (level == j->low || level == j->high) && end - start >= j->clipped_run;
    if (!flat && !clipped) return;
    for (int64_t w = start / j->window; w < j->windows && w * j->window < end; w++) {
        int64_t from = start > w * j->window ? start : w * j->window;
        int64_t to = end < (w + 1) * j->window ? end : (w + 1) * j->window;
        if (flat) j->flags[w] |= VG_QUALITY_FLAT;
        if (clipped) j->clipped[w] += to - from;
    }
}

/* Every run of equal samples that is long enough to matter. Short ones are many in a signal of few bits, so
 * they are passed over without a branch. NaN equals nothing, and an infinite level is no sample. */
static void judge_runs(const judged *j, const double *x, int64_t n)
{
    const int64_t least = j->flat < j->clipped_run ? j->flat : j->clipped_run;
    int64_t length = 1;
    for (int64_t i = 1; i <= n; i++) {
        if (length >= least) {
            const int64_t start = i - length;
            int64_t end = i;
            while (end < n && x[end] == x[start]) end++;
            if (isfinite(x[start])) judge_run(j, x[start], start, end);
            i = end;
            length = 0;
            if (i >= n) break;
        }
        length = i < n && x[i] == x[i - 1] ? length + 1 : 1;
    }
}

vg_status vg__quality_windows(const double *x, int64_t n, double rate, const vg_quality_options *options,
                              uint8_t *flags, double *sizes)
{
    judged j = {.low = INFINITY, .high = -INFINITY, .flags = flags};
    j.window = vg__quality_window(rate, options);
    j.windows = n / j.window;
    j.flat = (int64_t)(options->flat_s * rate);
    j.clipped_run = options->clipped_run;
    if (j.windows == 0) return VG_OK;
    j.clipped = calloc((size_t)j.windows, sizeof *j.clipped);
    if (!j.clipped) return vg_fail(VG_ERR_MEMORY, "no memory for %lld windows", (long long)j.windows);
    for (int64_t w = 0; w <= j.windows; w++) { /* the last is the rest, which is no window */
        const bool rest = w == j.windows;
        double low, high;
        const bool finite = vg__range(x + w * j.window, rest ? n - w * j.window : j.window, &low, &high);
        j.low = fmin(j.low, low);
        j.high = fmax(j.high, high);
        if (rest) break;
        flags[w] = finite ? 0 : VG_QUALITY_NAN;
        sizes[w] = finite ? high - low : NAN;
        if (sizes[w] < options->amplitude_low) flags[w] |= VG_QUALITY_WEAK;
        if (sizes[w] > options->amplitude_high) flags[w] |= VG_QUALITY_STRONG;
    }
    judge_runs(&j, x, n);
    for (int64_t w = 0; w < j.windows; w++)
        if ((double)j.clipped[w] > options->clipped_share * (double)j.window) flags[w] |= VG_QUALITY_CLIPPED;
    free(j.clipped);
    return VG_OK;
}
