/* A run directory: everything one run leaves behind.
 *
 *     config.yaml  log.txt  metrics.jsonl  events.out.tfevents.*  report.html
 *     checkpoints/step_N/    complete, because it bears its name: it was written as .tmp-step_N, brought to
 * the disk, and renamed checkpoints/best       a link to the best of them
 *
 * log.txt is locked while the run is open, so that two processes never share a directory. */
#ifndef VAGUS_CORE_RUNDIR_H
#define VAGUS_CORE_RUNDIR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/log.h"
#include "core/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum vg_rundir_mode {
    VG_RUNDIR_NEW,    /* the folder must be absent or empty */
    VG_RUNDIR_RESUME, /* it must hold a run */
    VG_RUNDIR_AUTO,   /* resumes a run that is there, else a new one */
} vg_rundir_mode;

typedef struct vg_rundir vg_rundir;

/* Makes or reopens the directory. ERR_CONFIG when it holds a run (NEW), holds none (RESUME) or holds
 * something that is no run; ERR_IO when it cannot be written or another process uses it. Remains of a
 * checkpoint that was being written are removed. */
VG_NODISCARD VG_API vg_status vg_rundir_open(const char *path, vg_rundir_mode mode, vg_rundir **out);
VG_API void vg_rundir_close(vg_rundir *run); /* also detaches its log; NULL is fine */

VG_API const char *vg_rundir_path(const vg_rundir *run);
VG_API bool vg_rundir_resumed(const vg_rundir *run); /* it held a run when it was opened */

/* "path/name" of a file of the run: "config.yaml", "metrics.jsonl". The caller frees it. */
VG_NODISCARD VG_API vg_status vg_rundir_file(const vg_rundir *run, const char *name, char **out);

/* From now on log lines go, with time and level, to log.txt, and with `console` also to stderr (warnings and
 * errors always do). Undone by vg_rundir_close(). */
VG_API void vg_rundir_attach_log(vg_rundir *run, bool console);

/* Drops the lines of metrics.jsonl whose "step" is above `step`, and a last line cut short: what a run wrote
 * after the checkpoint it resumes from. */
VG_NODISCARD VG_API vg_status vg_rundir_rewind_metrics(const vg_rundir *run, int64_t step);

/* begin makes the temporary folder (its path is the caller's to free) to write files into; commit brings it
 * to the disk and gives it its name, replacing a checkpoint of the same step; abandon removes it. */
VG_NODISCARD VG_API vg_status vg_rundir_checkpoint_begin(vg_rundir *run, int64_t step, char **folder);
VG_NODISCARD VG_API vg_status vg_rundir_checkpoint_commit(vg_rundir *run, int64_t step);
VG_API void vg_rundir_checkpoint_abandon(vg_rundir *run, int64_t step);

/* Points `best` at a complete checkpoint. */
VG_NODISCARD VG_API vg_status vg_rundir_mark_best(vg_rundir *run, int64_t step);

/* Removes all but the newest `keep` (at least 1) checkpoints and the best one. */
VG_NODISCARD VG_API vg_status vg_rundir_prune(vg_rundir *run, int64_t keep);

/* The complete checkpoint with the highest step, and the best one; ERR_NOT_FOUND. `step` and `folder` may be
 * NULL; the caller frees the folder. The _of forms need no open run: `path` is a run directory. */
VG_NODISCARD VG_API vg_status vg_rundir_last(const vg_rundir *run, int64_t *step, char **folder);
VG_NODISCARD VG_API vg_status vg_rundir_best(const vg_rundir *run, int64_t *step, char **folder);
VG_NODISCARD VG_API vg_status vg_rundir_last_of(const char *path, int64_t *step, char **folder);
VG_NODISCARD VG_API vg_status vg_rundir_best_of(const char *path, int64_t *step, char **folder);

#ifdef __cplusplus
}
#endif
#endif
