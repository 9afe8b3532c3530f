/* Starts the ranks of a run on this machine and stays with them: their output, signals, and starting them
 * again when one fails. Each rank is a process of its own, told where it stands as core/group/place.h has
 * it. Here, as everywhere: `node` is a machine with a launcher of its own, a rank's number counts over all.
 */
#ifndef VAGUS_EXPERIMENTS_RUNNER_LAUNCH_LAUNCH_H
#define VAGUS_EXPERIMENTS_RUNNER_LAUNCH_LAUNCH_H

#include <stdbool.h>

#include "core/status.h"

typedef struct vg_launch_options {
    const char *executable; /* of a rank */
    char *const *words;     /* what it is called with, its name first, NULL last */
    int ranks;              /* on this machine; every node has as many */
    int nodes, node;        /* how many, and which this is */
    char master[256];       /* where node 0 listens; "": one node, which takes a free port of loopback */
    int port;
    int max_restarts;
    double grace; /* seconds that the other ranks may take to end by themselves after the first failure */
    double kill_after; /* seconds from SIGTERM to SIGKILL */
    double pause;      /* seconds before the first restart; doubled with each, to at most 30 */
    int out, err;      /* what the ranks write to their stdout and stderr appears here, line by line */
} vg_launch_options;

/* One rank on one node, three restarts, and this program's own stdout and stderr. */
vg_launch_options vg_launch_defaults(void);

/* "HOST:PORT", "[ADDRESS]:PORT" into master and port; ERR_CONFIG. */
vg_status vg_launch_master(const char *text, vg_launch_options *options);

/* Returns when no rank is left. OK: all have ended with 0. ERR_PREEMPTED: with 0 or 75, or stopped on request
 * before they could save. Else what the first failure of the last try was: ERR_CONFIG for exit code 2, which
 * no restart mends, ERR_PEER for all others. ERR_CONFIG also inside a rank; ERR_IO when nothing can be
 * started, the port is taken, or output was lost. With `interrupted` a second SIGINT has killed the ranks.
 *
 * While it runs SIGINT, SIGTERM, SIGHUP, SIGCHLD and SIGPIPE are its own. To be called by a process's first
 * thread, whose end ends the ranks. */
VG_NODISCARD vg_status vg_launch_run(const vg_launch_options *options, bool *interrupted);

#endif
