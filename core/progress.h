/* Progress of a long job: one live line on a terminal, plain lines in a log.
 *
 *     vg_progress progress;
 *     vg_progress_begin(&progress, "pretrain", start, total);
 *     ... vg_progress_update(&progress, step, loss, segments_so_far);
 *     vg_progress_end(&progress);
 *
 * On a terminal (stderr) the line is rewritten at most ten times a second and cut at its width. Log lines go
 * out through vg_info() every VG_PROGRESS_SECONDS, at the first and the last update; a log that echoes to a
 * terminal with a live line leaves them out there. */
#ifndef VAGUS_CORE_PROGRESS_H
#define VAGUS_CORE_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "core/status.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { VG_PROGRESS_SECONDS = 10 };

typedef struct vg_progress {
    const char *what; /* a static string */
    const char
        *text; /* the caller's, set before an update: stands in place of step, loss and rate; or NULL */
    int64_t start, total, step;
    double segments, loss;
    double began, shown, logged; /* seconds on the monotonic clock */
    double log_every;            /* seconds; may be changed after begin */
    bool live, updated, unlogged;
    FILE *out;
} vg_progress;

/* `total` 0: unknown. */
VG_API void vg_progress_begin(vg_progress *progress, const char *what, int64_t start, int64_t total);

/* `segments` counts what this process has gone through since begin; `loss` may be NaN, which is left out. */
VG_API void vg_progress_update(vg_progress *progress, int64_t step, double loss, double segments);
VG_API void vg_progress_end(vg_progress *progress);

/* A line to stderr which does not collide with the live line: that one is erased first and comes back with
 * the next update. For log sinks. */
VG_API void vg_console_line(const char *line);

/* True while the line being logged is progress that the terminal already shows live. */
VG_API bool vg_console_has_progress(void);

/* "pretrain  step 1200/5000  loss 0.1234  812 segments/s  ETA 0:12:34" into `out`, at most size - 1 bytes. */
VG_API void vg_progress_format(const vg_progress *progress, double now, char *out, size_t size);

#ifdef __cplusplus
}
#endif
#endif
