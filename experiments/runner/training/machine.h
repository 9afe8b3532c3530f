/* Where a run computes: a device, the operations on it, the precision they are asked for, and the ranks that
 * share the work. What `device`, `backend`, `precision`, `threads` and `parallel` came to here. */
#ifndef VAGUS_EXPERIMENTS_RUNNER_TRAINING_MACHINE_H
#define VAGUS_EXPERIMENTS_RUNNER_TRAINING_MACHINE_H

#include "core/group/group.h"
#include "experiments/runner/experiment.h"
#include "kernels/kernels.h"

typedef struct vg_machine {
    vg_device *device;
    vg_kernels *kernels;
    vg_dtype dtype;        /* of models */
    const char *precision; /* "fp32", "tf32" or "bf16"; static */
    vg_group *group;       /* one rank alone is a group too */
} vg_machine;

/* `wanted` ("auto", "cpu", "cuda", "cuda:1"), made this rank's own: the GPU of its number where every rank of
 * the machine has one. A starter that shows each rank one GPU alone (Slurm's --gpus-per-task) has chosen
 * already; whether it really is another one for each, NCCL will tell. */
VG_NODISCARD vg_status vg_machine_choose_device(const char *wanted, const vg_place *place, char name[64]);

/* Threads of this rank's operations: as `threads` or OMP_NUM_THREADS say; else the cores that it may use,
 * divided by as many ranks as may use the very same. A starter that binds ranks to cores of their own has
 * divided them already. */
VG_NODISCARD vg_status vg_machine_share_cores(int threads, vg_group *group);

/* Waits for all ranks. Each takes the GPU of its number on its machine, and of the processor its share of the
 * cores. A rank other than 0 logs warnings alone, with its number in front.
 *
 * bf16 on the CPU is not refused but warned of: it lets a run of a GPU be looked into where there is none,
 * and plain loops of the reference compute it. tf32 there has nothing to stand for it: ERR_CONFIG. ERR_DEVICE
 * when the GPU that was asked for is not to be had, saying why; ERR_PEER when ranks do not arrive. */
VG_NODISCARD vg_status vg_machine_make(const vg_experiment *experiment, vg_machine *out);

/* Logs it in a line or two. */
void vg_machine_describe(const vg_machine *machine);

/* After everything allocated there. `status`: how the run ended, told to the other ranks. Zeroes are fine. */
void vg_machine_free(vg_machine *machine, vg_status status);

/* Rank 0 writes the run's files and prints results. */
bool vg_machine_writes(const vg_machine *machine);

/* This rank's contiguous part of a list: [*first, *first + *count) of `total`. */
void vg_machine_share(const vg_machine *machine, int64_t total, int64_t *first, int64_t *count);

/* The largest part of a batch that a rank gets. */
int64_t vg_machine_most(const vg_machine *machine, int64_t batch);

#endif
