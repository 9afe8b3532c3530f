/* One rank: its process, and the two pipes it writes to. */
#ifndef VAGUS_EXPERIMENTS_RUNNER_LAUNCH_RANK_H
#define VAGUS_EXPERIMENTS_RUNNER_LAUNCH_RANK_H

#include <sys/types.h>

#include "experiments/runner/launch/output.h"

typedef struct vg__rank {
    int number; /* over all nodes */
    pid_t pid;  /* also of its process group */
    bool alive;
    bool noted; /* its end; the caller's */
    int how;    /* as waitpid() tells, once it has ended */
    vg__source out, err;
} vg__rank;

typedef struct vg__rank_start {
    const char *executable;
    char *const *words;
    char *const *environment;
    int null;     /* /dev/null, its stdin: no two ranks shall read one terminal */
    int listener; /* the one descriptor it inherits beyond 0, 1 and 2; -1: none */
} vg__rank_start;

/* The sources' sinks and `number` are set by the caller before. The process has a group of its own, so that a
 * terminal's Ctrl-C reaches the launcher alone, which passes it on once. It dies with the launcher. */
VG_NODISCARD vg_status vg__rank_start_process(vg__rank *rank, const vg__rank_start *start, int width);

/* To the rank and whatever it has started. */
void vg__rank_signal(const vg__rank *rank, int number);

typedef enum vg__rank_news {
    VG__RANK_SAME,
    VG__RANK_STOPPED,
    VG__RANK_GOES_ON,
    VG__RANK_ENDED
} vg__rank_news;
vg__rank_news vg__rank_look(vg__rank *rank); /* never waits */

/* "ended with exit code 1", "was ended by SIGKILL". */
void vg__rank_describe(const vg__rank *rank, char out[64]);

#endif
