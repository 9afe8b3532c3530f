/* The clock of the benchmarks. Work on a device is queued, so a timing is a number of calls and one
 * synchronisation, long enough that the host's clock and the synchronisation do not count. */
#ifndef VAGUS_EXPERIMENTS_RUNNER_BENCH_MEASURE_H
#define VAGUS_EXPERIMENTS_RUNNER_BENCH_MEASURE_H

#include "core/group/group.h"
#include "core/json.h"

/* Queues call number `index`; or does so many calls in a row. */
typedef vg_status (*vg_bench_call)(void *context, int64_t index);
typedef vg_status (*vg_bench_calls)(void *context, int64_t calls);

typedef struct vg_bench_task {
    vg_device *device;
    vg_group *group; /* whose ranks all measure this: they take the same timings and get the same times, the
                        mean over them. NULL: nobody but this process */
    vg_bench_call call;
    vg_bench_calls calls; /* instead of `call`, where a single call is too short to be called by itself */
    vg_status (*restore)(void *context); /* before each timing, not timed; NULL: nothing to restore */
    void *context;
    int samples;
    double least_seconds;
} vg_bench_task;

/* Seconds a call. */
typedef struct vg_bench_time {
    double median, least, most;
    double spread; /* between the quartiles, as a share of the median */
    int64_t calls; /* of one timing */
    int samples;
} vg_bench_time;

/* Its seconds and its spread, as members of the object that is being written. */
void vg_bench_time_put(const vg_bench_time *time, vg_json_writer *json);

/* Warms up, finds how many calls a timing needs, and takes the timings. */
VG_NODISCARD vg_status vg_bench_measure(const vg_bench_task *task, vg_bench_time *out);

/* The same of up to four tasks that are to be compared: their timings are taken in turn, so that what else
 * the machine does meanwhile falls on all of them. As many as the first task asks for; out[i] is that of
 * tasks[i]. */
VG_NODISCARD vg_status vg_bench_measure_in_turn(const vg_bench_task *tasks, int count, vg_bench_time *out);

#endif
