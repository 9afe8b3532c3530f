/* The ranks of this machine while they run: who ends and how, whose output is there, which signals are to be
 * passed on, and who has to be made to end after a failure. */
#ifndef VAGUS_EXPERIMENTS_RUNNER_LAUNCH_CREW_H
#define VAGUS_EXPERIMENTS_RUNNER_LAUNCH_CREW_H

#include "experiments/runner/launch/rank.h"

enum { VG__EXIT_USAGE = 2, VG__EXIT_PREEMPTED = 75 };

typedef struct vg__crew {
    vg__rank *ranks;
    int count;
    double grace, kill_after;
    vg__sink *out, *err;
    struct pollfd *polled; /* the signals, both sinks, then two of each rank */
    bool at_once;          /* there is output to pass on without waiting for any descriptor */
    /* Asked from outside. */
    int passed;       /* the first signal that was passed on; 0: none */
    int interrupts;   /* SIGINTs */
    bool interrupted; /* a second one: the ranks were killed */
    /* This try. */
    int failed;     /* index of the rank that failed first; -1 */
    bool preempted; /* some rank ended with 75 */
    bool unsaved;   /* some rank died of the signal that was passed on, before it could listen to it */
    bool pressed;   /* those that were left have got SIGTERM from the launcher */
    double term_at, kill_at; /* when those that are left get SIGTERM, SIGKILL; INFINITY: never */
} vg__crew;

vg_status vg__crew_make(vg__crew *crew, int count, int out, int err);
void vg__crew_free(vg__crew *crew); /* {0} is fine */

void vg__crew_begin(vg__crew *crew); /* before the ranks of a try are started */

/* Waits until something happens, or the clock says `until` (vg__crew_now()), and sees to it. */
void vg__crew_turn(vg__crew *crew, double until);
double vg__crew_now(void);

int vg__crew_alive(const vg__crew *crew);
bool vg__crew_is_done(const vg__crew *crew); /* nobody is alive, and all output has reached the sinks */
void vg__crew_signal(const vg__crew *crew, int number);

/* At the end, whatever has happened: kills whoever is left, brings out what was written. */
void vg__crew_end(vg__crew *crew);

#endif
