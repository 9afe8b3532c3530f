#include "datasets/import/formats/times.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

static int by_value(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

/* The mean of the steps that are at most `longest`, of steps in rising order. */
static double mean_step(const double *sorted, int64_t steps, double longest)
{
    double sum = 0;
    int64_t used = 0;
    for (; used < steps && sorted[used] <= longest; used++) sum += sorted[used];
    return used > 0 ? sum / (double)used : 0;
}

vg_status vg__times_rate(const char *path, const double *times, int64_t rows, double *rate, double *longest)
{
    const int64_t steps = rows - 1;
    const bool given = *rate > 0;
    double *sorted = malloc((size_t)(rows + 1) * sizeof *sorted);
    if (!sorted) return vg_fail(VG_ERR_MEMORY, "%s: no memory for its times", path);
    for (int64_t i = 0; i < steps; i++) sorted[i] = times[i + 1] - times[i];
    if (steps > 0) qsort(sorted, (size_t)steps, sizeof *sorted, by_value);
    double median = steps > 0 ? sorted[steps / 2] : 0, usual = steps > 0 ? sorted[(steps - 1) * 9 / 10] : 0,
           step = given ? 1 / *rate : mean_step(sorted, steps, 2.5 * median);
    *longest = 1.5 * fmax(step, usual);
    if (!given) *rate = 1 / mean_step(sorted, steps, *longest);
    free(sorted);
    if (given) return VG_OK;
    if (!(median > 0) || !isfinite(*rate))
        return vg_fail(
            VG_ERR_FORMAT,
            "%s: the times do not tell a sampling rate (%lld rows, half of them %g s apart or less); give "
            "rate=... in the option map",
            path, (long long)rows, median);
    double whole = round(*rate);
    if (whole > 0 && fabs(*rate / whole - 1) < 1e-4) *rate = whole;
    return VG_OK;
}
