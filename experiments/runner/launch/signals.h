/* The signals of a launcher, as flags and a descriptor to poll. One launch at a time in a process. */
#ifndef VAGUS_EXPERIMENTS_RUNNER_LAUNCH_SIGNALS_H
#define VAGUS_EXPERIMENTS_RUNNER_LAUNCH_SIGNALS_H

#include <signal.h>
#include <stdbool.h>

#include "core/status.h"

/* SIGPIPE is ignored from now on, and SIGHUP stays ignored where it was (nohup). */
VG_NODISCARD vg_status vg__signals_take(void);
void vg__signals_give_back(void); /* safe between fork() and exec() too */

int vg__signals_wake(void); /* readable when one of the flags below may have changed */
void vg__signals_clear(void);

bool vg__signals_child(void);       /* some child has ended, stopped or gone on; the flag falls */
int vg__signals_terminations(void); /* SIGTERM and SIGHUP since the last call */
int vg__signals_interrupts(void);   /* SIGINT since the last call */

#endif
