/* The one thread of a group whose arrays lie in the host's memory: it runs what is queued, in order, while
 * the caller computes. Everything a kind of the host's memory does happens on it. Private to core/group. */
#ifndef VAGUS_CORE_GROUP_WORKER_H
#define VAGUS_CORE_GROUP_WORKER_H

#include "core/group/kind.h"

typedef struct vg__worker vg__worker;

/* Sets group->worker. All signals are blocked in the thread. */
VG_NODISCARD vg_status vg__worker_start(vg_group *group);

/* Runs `call` on the thread and waits for it; `what` names it in messages ("MPI_Init"). */
VG_NODISCARD vg_status vg__worker_call(vg__worker *worker, const char *what,
                                       vg_status (*call)(vg_group *group), double limit);

/* One collective to be run by group->kind. Allocates only while more are waiting than ever before. After a
 * failure nothing more is run. */
VG_NODISCARD vg_status vg__worker_queue(vg__worker *worker, const vg__collective *collective);

/* Waits until all that was queued is done, or dropped because of a failure, which is told at this and every
 * later call. Arrays are no longer touched then, with one exception: a library that does not come back
 * although the watch has broken, or for `limit` seconds, is left to itself, and the failure says so. */
VG_NODISCARD vg_status vg__worker_wait(vg__worker *worker, double limit);

/* Lets the thread close the carrier and ends it. False when it did not come back within `limit` (a few
 * seconds when the run has failed): it goes on to use the group, which must be left where it is. */
bool vg__worker_stop(vg__worker *worker, double limit);

/* Seconds that a collective may stand still: a little more than options.timeout, so that the watch, which
 * knows who is silent, speaks first. */
double vg__worker_limit(const vg_group *group);

/* For loops that wait on the thread: VG_OK, or why it has to stop waiting now. */
VG_NODISCARD vg_status vg__worker_look(vg_group *group);

#endif
