/* The clock of the benchmarks. Work on a device is queued, so a timing is a number of calls and one
 * synchronisation, long enough that the host's clock and the synchronisation do not count. */
#ifndef VAGUS_EXPERIMENTS_RUNNER_BENCH_MEASURE_H
#define VAGUS_EXPERIMENTS_RUNNER_BENCH_MEASURE_H

#include "core/device.h"

/* Queues call number `index`. */
typedef vg_status (*vg_bench_call)(void *context, int64_t index);

typedef struct vg_bench_task {
    vg_device *device;
    vg_bench_call call;
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

/* Warms up, finds how many calls a timing needs, and takes the timings. */
VG_NODISCARD vg_status vg_bench_measure(const vg_bench_task *task, vg_bench_time *out);

#endif
