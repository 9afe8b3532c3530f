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

static vg_status finish(const vg_bench_task *task)
{
    return task->group ? vg_group_synchronize(task->group) : vg_device_synchronize(task->device);
}

/* One timing of `calls` calls. What several ranks agree on afterwards keeps them together for the next. */
static vg_status time_of(const vg_bench_task *task, int64_t calls, double *out)
{
    if (task->restore) VG_TRY(task->restore(task->context));
    VG_TRY(finish(task));
    double start = seconds();
    if (task->calls)
        VG_TRY(task->calls(task->context, calls));
    else
        for (int64_t i = 0; i < calls; i++) VG_TRY(task->call(task->context, i));
    VG_TRY(finish(task));
    *out = seconds() - start;
    if (!task->group) return VG_OK;
    VG_TRY(vg_group_sum(task->group, "seconds", out, 1));
    *out /= vg_group_size(task->group);
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

/* How many calls a timing of at least least_seconds takes: found by growing, since a single call is mostly
 * synchronisation when it is short. */
static vg_status count_calls(const vg_bench_task *task, int64_t *out)
{
    double took = 0;
    int64_t calls = 1;
    for (int i = 0; i < WARM_UPS; i++) VG_TRY(time_of(task, 1, &took));
    while (took < task->least_seconds && calls < (int64_t)1 << 20) {
        double factor = took > 0 ? 1.2 * task->least_seconds / took : 10;
        calls = (int64_t)((double)calls * (factor < 10 ? factor : 10)) + 1;
        VG_TRY(time_of(task, calls, &took));
    }
    *out = calls;
    return VG_OK;
}

static vg_bench_time summarise(double *samples, int count, int64_t calls)
{
    qsort(samples, (size_t)count, sizeof *samples, ascending);
    vg_bench_time time = {.median = quantile(samples, count, 0.5),
                          .least = samples[0],
                          .most = samples[count - 1],
                          .calls = calls,
                          .samples = count};
    time.spread = (quantile(samples, count, 0.75) - quantile(samples, count, 0.25)) / time.median;
    return time;
}

vg_status vg_bench_measure_in_turn(const vg_bench_task *tasks, int count, vg_bench_time *out)
{
    enum { MOST = 4 };
    int64_t calls[MOST];
    const int samples = tasks->samples;
    vg_status status = VG_OK;
    VG_ASSERT(count >= 1 && count <= MOST);
    for (int t = 0; t < count; t++) VG_TRY(count_calls(&tasks[t], &calls[t]));
    double *all = malloc((size_t)count * (size_t)samples * sizeof *all);
    if (!all) return vg_fail(VG_ERR_MEMORY, "no memory for %d timings", count * samples);
    for (int i = 0; i < samples; i++)
        for (int t = 0; t < count; t++) {
            double *sample = &all[t * samples + i];
            VG_TRY_OUT(time_of(&tasks[t], calls[t], sample));
            *sample /= (double)calls[t];
        }
    for (int t = 0; t < count; t++) out[t] = summarise(&all[t * samples], samples, calls[t]);
out:
    free(all);
    return status;
}

vg_status vg_bench_measure(const vg_bench_task *task, vg_bench_time *out)
{
    return vg_bench_measure_in_turn(task, 1, out);
}

void vg_bench_time_put(const vg_bench_time *time, vg_json_writer *json)
{
    vg_json_put_double(json, "seconds", time->median);
    vg_json_put_double(json, "least", time->least);
    vg_json_put_double(json, "most", time->most);
    vg_json_put_double(json, "spread", time->spread);
}
