/* Where this process stands among the ranks of a run: said by whoever started it, in environment variables.
 * The first of these that is there counts:
 *     vagus launch   RANK, WORLD_SIZE, LOCAL_RANK, LOCAL_WORLD_SIZE, MASTER_ADDR, MASTER_PORT with
 * VAGUS_LAUNCH=1, VAGUS_JOB, VAGUS_RESTARTS, and for rank 0 VAGUS_LISTENER (a socket that listens already)
 *     torchrun       the same names, TORCHELASTIC_RUN_ID, TORCHELASTIC_RESTART_COUNT
 *     mpirun         OMPI_COMM_WORLD_RANK, _SIZE, _LOCAL_RANK, _LOCAL_SIZE
 *     srun           SLURM_PROCID, SLURM_STEP_NUM_TASKS, SLURM_LOCALID, SLURM_STEP_NODELIST,
 * SLURM_RESTART_COUNT MASTER_ADDR and MASTER_PORT, where they are set, hold for the last two as well. Nobody:
 * one rank alone. */
#ifndef VAGUS_CORE_GROUP_PLACE_H
#define VAGUS_CORE_GROUP_PLACE_H

#include "core/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum vg_starter {
    VG_STARTER_ALONE,
    VG_STARTER_LAUNCH,
    VG_STARTER_TORCHRUN,
    VG_STARTER_MPIRUN,
    VG_STARTER_SLURM,
} vg_starter;

typedef struct vg_place {
    vg_starter starter;
    int rank, size;             /* 0 and 1 alone */
    int local_rank, local_size; /* among those of this machine */
    int restarts;               /* starts of this very run before this one, as the starter counts them */
    char master[256];           /* where rank 0 listens, a name or an address; "": mpirun did not tell */
    int port, ports;            /* the first port that rank 0 may take, and how many from there on */
    int listener;               /* rank 0's socket, made and inherited from the launcher; else -1 */
    char job[64];               /* keeps apart runs that meet at one port; "" alone */
} vg_place;

/* ERR_CONFIG naming the variable that is missing, malformed or at odds with another. */
VG_NODISCARD VG_API vg_status vg_place_find(vg_place *out);

/* "vagus launch", "torchrun", "mpirun", "srun", "alone"; static. */
VG_API const char *vg_starter_name(vg_starter starter);

#ifdef __cplusplus
}
#endif
#endif
