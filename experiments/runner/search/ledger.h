/* The ledger of a sweep: trials.jsonl, a line for every trial that is over. A trial that failed may be run
 * again; the later line counts. */
#ifndef VAGUS_RUNNER_SEARCH_LEDGER_H
#define VAGUS_RUNNER_SEARCH_LEDGER_H

#include "core/status.h"
#include "experiments/runner/search/method.h"

typedef struct vg_ledger {
    const vg_sweep *sweep;
    char *path;
    int lock;         /* descriptor of the file, held locked */
    vg_trial *trials; /* ascending by number */
    int64_t count;
} vg_ledger;

/* Opens or makes the ledger in the sweep's output_dir, locks it against other processes and reads it. A last
 * line that was cut off is dropped: that trial is not over. ERR_CONFIG when a line does not belong to this
 * sweep (other values for a trial than the sweep file gives now, another metric) or the lock is held. Close
 * it in every case. */
VG_NODISCARD vg_status vg__ledger_open(const vg_sweep *sweep, vg_ledger *ledger);
void vg__ledger_close(vg_ledger *ledger);

/* The trial of a number, NULL when it is not over. */
const vg_trial *vg__ledger_find(const vg_ledger *ledger, int64_t number);

/* The trials before a number: what a method may know when it chooses that one. */
int64_t vg__ledger_before(const vg_ledger *ledger, int64_t number);

/* Appends a line, on the disk when this returns. The ledger owns the trial's memory afterwards, also on
 * failure. */
VG_NODISCARD vg_status vg__ledger_add(vg_ledger *ledger, vg_trial *trial);

/* The best trial, NULL when none has a metric. Of equal ones the first. */
const vg_trial *vg__ledger_best(const vg_ledger *ledger);
bool vg__trial_better(const vg_sweep *sweep, const vg_trial *a, const vg_trial *b);

/* Room for a trial's values; free with vg__trial_free(). */
VG_NODISCARD vg_status vg__trial_init(const vg_sweep *sweep, int64_t number, vg_trial *trial);
void vg__trial_free(vg_trial *trial);

#endif
