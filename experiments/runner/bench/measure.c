#include "experiments/runner/bench/measure.h"

#include <stdlib.h>
#include <time.h>

enum { WARM_UPS = 3 };

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* One timing of `calls` calls. */
static vg_status time_of(const vg_bench_task *task, int64_t calls, double *out)
{
    if (task->restore) VG_TRY(task->restore(task->context));
    VG_TRY(vg_device_synchronize(task->device));
    double start = seconds();
    for (int64_t i = 0; i < calls; i++) VG_TRY(task->call(task->context, i));
    VG_TRY(vg_device_synchronize(task->device));
    *out = seconds() - start;
    return VG_OK;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Between the values of two ranks where it falls between. */
static double quantile(const double *sorted, int count, double share)
{
    double place = share * (count - 1);
    int below = (int)place;
    if (below + 1 >= count) return sorted[count - 1];
    return sorted[below] + (place - below) * (sorted[below + 1] - sorted[below]);
}

vg_status vg_bench_measure(const vg_bench_task *task, vg_bench_time *out)
{
    double took;
    for (int i = 0; i < WARM_UPS; i++) VG_TRY(time_of(task, 1, &took));
    /* A single call is mostly synchronisation when it is short, so the number of calls is found by growing.
     */
    int64_t calls = 1;
    while (took < task->least_seconds && calls < (int64_t)1 << 20) {
        double factor = took > 0 ? 1.2 * task->least_seconds / took : 10;
        int64_t more = (int64_t)((double)calls * (factor < 10 ? factor : 10)) + 1;
        calls = more;
        VG_TRY(time_of(task, calls, &took));
    }
    double *samples = malloc((size_t)task->samples * sizeof *samples);
    if (!samples) return vg_fail(VG_ERR_MEMORY, "no memory for %d timings", task->samples);
    vg_status status = VG_OK;
    for (int i = 0; i < task->samples && status == VG_OK; i++) {
        status = time_of(task, calls, &samples[i]);
        samples[i] /= (double)calls;
    }
    if (status == VG_OK) {
        qsort(samples, (size_t)task->samples, sizeof *samples, ascending);
        out->median = quantile(samples, task->samples, 0.5);
        out->least = samples[0];
        out->most = samples[task->samples - 1];
        out->spread =
            (quantile(samples, task->samples, 0.75) - quantile(samples, task->samples, 0.25)) / out->median;
        out->calls = calls;
        out->samples = task->samples;
    }
    free(samples);
    return status;
}
