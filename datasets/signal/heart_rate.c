/* The three features of the heart-rate baseline, from beats and from a segment; rpeaks.h says what they are.
 */
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#include "datasets/signal/numbers.h"
#include "datasets/signal/rpeaks.h"

vg_heart_rate vg_heart_rate_from_peaks(const vg_rpeaks *peaks, int64_t start, int64_t length, double rate)
{
    vg_heart_rate result = {.mean_bpm = NAN, .sdnn_ms = NAN, .rmssd_ms = NAN};
    int64_t first = 0, last = peaks->count;
    while (first < last && peaks->position[first] < (double)start) first++;
    while (last > first && peaks->position[last - 1] >= (double)(start + length)) last--;
    int64_t n = last - first - 1;
    if (n < 3) return result;
    double *seconds = malloc((size_t)n * 2 * sizeof *seconds);
    if (!seconds) return result;
    double *sorted = seconds + n;
    for (int64_t i = 0; i < n; i++)
        sorted[i] = seconds[i] = (peaks->position[first + i + 1] - peaks->position[first + i]) / rate;
    double middle = vg__median(sorted, n), sum = 0, squares = 0, steps = 0;
    int used = 0, step_count = 0;
    for (int64_t i = 0; i < n; i++) {
        bool good = seconds[i] >= 0.3 && seconds[i] <= 2 && fabs(seconds[i] - middle) <= 0.3 * middle;
        if (!good) {
            seconds[i] = NAN;
            continue;
        }
        used++;
        sum += seconds[i];
        if (i > 0 && isfinite(seconds[i - 1])) {
            steps += (seconds[i] - seconds[i - 1]) * (seconds[i] - seconds[i - 1]);
            step_count++;
        }
    }
    result.intervals = used;
    if (used >= 3 && step_count >= 1) {
        double mean = sum / used;
        for (int64_t i = 0; i < n; i++)
            if (isfinite(seconds[i])) squares += (seconds[i] - mean) * (seconds[i] - mean);
        result.mean_bpm = 60 / mean;
        result.sdnn_ms = 1000 * sqrt(squares / (used - 1));
        result.rmssd_ms = 1000 * sqrt(steps / step_count);
    }
    free(seconds);
    return result;
}

vg_status vg_heart_rate_of_segment(const float *x, int64_t n, double rate, vg_heart_rate *result)
{
    vg_rpeaks peaks = {0};
    double *wide = malloc((size_t)(n > 0 ? n : 1) * sizeof *wide);
    if (!wide) return vg_fail(VG_ERR_MEMORY, "no memory for a segment of %lld samples", (long long)n);
    for (int64_t i = 0; i < n; i++) wide[i] = x[i];
    vg_status status = vg_rpeaks_detect(wide, n, rate, &peaks);
    if (status == VG_OK) *result = vg_heart_rate_from_peaks(&peaks, 0, n, rate);
    vg_rpeaks_free(&peaks);
    free(wide);
    return status;
}
