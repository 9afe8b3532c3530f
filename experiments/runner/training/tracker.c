#include "experiments/runner/training/tracker.h"

#include <stdlib.h>

#include "core/json.h"
#include "core/log.h"

vg_status vg_tracker_open(vg_rundir *run, const char *what, int64_t step, int64_t total, vg_tracker *out)
{
    *out = (vg_tracker){0};
    if (!run) return VG_OK;
    VG_TRY(vg_rundir_file(run, "metrics.jsonl", &out->metrics));
    vg_status status = vg_tensorboard_open(vg_rundir_path(run), step, &out->board);
    if (status != VG_OK) {
        vg_tracker_close(out);
        return status;
    }
    vg_progress_begin(&out->progress, what, step, total);
    return VG_OK;
}

void vg_tracker_close(vg_tracker *tracker)
{
    if (tracker->board) {
        vg_progress_end(&tracker->progress);
        /* Every event is in the file already; a failure here loses nothing. */
        if (vg_tensorboard_close(tracker->board) != VG_OK) vg_warn("%s", vg_cause());
    }
    free(tracker->metrics);
    *tracker = (vg_tracker){0};
}

void vg_tracker_progress(vg_tracker *tracker, int64_t step, double loss, double segments)
{
    if (tracker->board) vg_progress_update(&tracker->progress, step, loss, segments);
}

vg_status vg_tracker_write(vg_tracker *tracker, int64_t epoch, int64_t step, const vg_measure *measures,
                           int count)
{
    if (!tracker->board) return VG_OK;
    vg_json_writer json = vg_json_writer_make(false);
    vg_json_begin_object(&json, NULL);
    vg_json_put_int(&json, "step", step);
    vg_json_put_int(&json, "epoch", epoch);
    for (int i = 0; i < count; i++) vg_json_put_double(&json, measures[i].name, measures[i].value);
    vg_json_end(&json);
    VG_TRY(vg_json_append(&json, tracker->metrics));
    for (int i = 0; i < count; i++)
        VG_TRY(vg_tensorboard_scalar(tracker->board, measures[i].name, step, measures[i].value));
    return VG_OK;
}
