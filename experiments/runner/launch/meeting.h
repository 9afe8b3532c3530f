/* Where the ranks of a launch meet, and what each of them is told about it in its environment. */
#ifndef VAGUS_EXPERIMENTS_RUNNER_LAUNCH_MEETING_H
#define VAGUS_EXPERIMENTS_RUNNER_LAUNCH_MEETING_H

#include "experiments/runner/launch/launch.h"

typedef struct vg__meeting {
    char master[256];
    int port;
    int listener; /* -1 on other nodes than the first */
    char job[64];
    int requeued; /* Slurm has started this very launcher so many times before: restarts of the run too */
} vg__meeting;

/* The socket of rank 0 is made here and stays open over restarts, so that nobody else can take the port in
 * between, and ranks of other nodes that come early wait in its queue. ERR_IO where the port is taken. */
VG_NODISCARD vg_status vg__meeting_open(const vg_launch_options *options, vg__meeting *out);
void vg__meeting_close(vg__meeting *meeting);

/* This process's environment with a rank's place in it. Made once, filled for each rank; borrows the texts
 * of `environ`. */
typedef struct vg__environment vg__environment;
VG_NODISCARD vg_status vg__environment_create(vg__environment **out);
void vg__environment_destroy(vg__environment *environment); /* NULL is fine */
char *const *vg__environment_fill(vg__environment *environment, const vg_launch_options *options,
                                  const vg__meeting *meeting, int local_rank, int restarts);

#endif
