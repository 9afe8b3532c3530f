/* A crew: the ranks of a run as processes of a test, which stands outside, kills and stops them, and asks
 * each what it came to know. */
#ifndef VAGUS_TESTS_WATCH_CREW_H
#define VAGUS_TESTS_WATCH_CREW_H

#include <stdbool.h>
#include <sys/types.h>

#include "core/group/watch.h"
#include "core/group/wire.h"
#include "tests/support/support.h"

enum { CREW_MOST = 33 };

/* How a rank ended. */
typedef struct crew_report {
    vg_status status; /* 1, which is none, for a process that was killed */
    double when;      /* vg__wire_now() of the end of its task */
    char cause[1600];
} crew_report;

struct crew {
    vg_place place; /* what all ranks have in common; `listener` is rank 0's */
    double start_timeout, timeout;
    pid_t pids[CREW_MOST]; /* by slot, which is the rank unless a test plays tricks */
    int pipes[CREW_MOST];
};

/* What a rank does between the meeting and its end. */
typedef vg_status (*crew_task)(vg__watch *watch, int rank);

/* A crew that will meet at a free port, with limits of 20 s. Whatever of it is alive when the test program
 * ends is killed. */
void crew_make(struct crew *crew, int size);
void crew_close(struct crew *crew);

void crew_start(struct crew *crew, int rank, crew_task task);
void crew_start_all(struct crew *crew, crew_task task);

/* A process that has this place, or is no rank at all, at a slot of the crew. */
void crew_start_as(struct crew *crew, int slot, const vg_place *place, crew_task task);
void crew_start_other(struct crew *crew, int slot, vg_status (*body)(struct crew *crew));

/* Waits until this rank has met the others. */
void crew_wait_met(struct crew *crew, int slot);

crew_report crew_end(struct crew *crew, int slot);

/* Fails unless it ended with this status and a cause that contains `text`. Returns the time of the end. */
double crew_expect(struct crew *crew, int slot, vg_status status, const char *text);
void crew_expect_all(struct crew *crew, vg_status status, const char *text);

#endif
