/* Work on several threads, results in the order in which the work was given: jobs are handed in by one
 * thread, done by any, and emitted one after another by the thread that hands them in. Bounded by bytes, so
 * that a fast reader does not fill the memory before slow workers. Internal to import/. */
#ifndef VAGUS_DATASETS_IMPORT_PIPELINE_ORDERED_H
#define VAGUS_DATASETS_IMPORT_PIPELINE_ORDERED_H

#include <stdbool.h>
#include <stdint.h>

#include "core/status.h"

typedef struct vg__ordered vg__ordered;

typedef struct vg__ordered_calls {
    void (*work)(void *job);                     /* on any thread, several at once */
    vg_status (*emit)(void *context, void *job); /* in order, one at a time, by the thread that adds */
    void (*discard)(void *job); /* frees a job: after it was emitted, or when it never will be */
    void *context;
} vg__ordered_calls;

/* threads 1: no thread is started, a job is done where it is added. `bytes` of jobs may wait or be at work; a
 * larger one goes alone. */
VG_NODISCARD vg_status vg__ordered_create(int threads, int64_t bytes, const vg__ordered_calls *calls,
                                          vg__ordered **out);

/* Emits what is ready, and waits until a job of `bytes` would have room: before what it needs is made. An
 * error as that of vg__ordered_add(). */
VG_NODISCARD vg_status vg__ordered_make_room(vg__ordered *ordered, int64_t bytes);

/* Takes the job over, in every case. `bytes`: what it occupies while it is worked on. With `done` there is
 * nothing to work on and it only keeps its place. Emits what is ready, and waits until there is room. An
 * error is emit's for an earlier job; nothing is emitted after one, and every later call tells it again. */
VG_NODISCARD vg_status vg__ordered_add(vg__ordered *ordered, void *job, int64_t bytes, bool done);

/* Waits for everything that was added and emits it. */
VG_NODISCARD vg_status vg__ordered_drain(vg__ordered *ordered);

/* Waits for jobs at work, discards what was not emitted. NULL is fine. */
void vg__ordered_destroy(vg__ordered *ordered);

#endif
