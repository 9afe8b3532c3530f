/* What a run tells about itself: metrics.jsonl, TensorBoard events and the progress line. metrics.jsonl holds
 * nothing that depends on the clock, so that two runs of one seed, or a run and its resumed twin, write the
 * same bytes. */
#ifndef VAGUS_EXPERIMENTS_RUNNER_TRAINING_TRACKER_H
#define VAGUS_EXPERIMENTS_RUNNER_TRAINING_TRACKER_H

#include "core/progress.h"
#include "core/rundir.h"
#include "core/tensorboard.h"

typedef struct vg_measure {
    const char *name; /* "validation.loss" */
    double value;
} vg_measure;

typedef struct vg_tracker {
    char *metrics; /* path */
    vg_tensorboard *board;
    vg_progress progress;
} vg_tracker;

/* `step` is where the run (re)starts, `total` where it ends; `what` is a static string for the progress line.
 * `run` NULL, at a rank that writes nothing: a tracker that does nothing. */
VG_NODISCARD vg_status vg_tracker_open(vg_rundir *run, const char *what, int64_t step, int64_t total,
                                       vg_tracker *out);
void vg_tracker_close(vg_tracker *tracker); /* a zeroed one is fine */

/* See vg_progress_update(). */
void vg_tracker_progress(vg_tracker *tracker, int64_t step, double loss, double segments);

/* One line of metrics.jsonl and one point on each curve. */
VG_NODISCARD vg_status vg_tracker_write(vg_tracker *tracker, int64_t epoch, int64_t step,
                                        const vg_measure *measures, int count);

#endif
