/* The ranks of a run as a group: collectives over arrays, and small words among the processes themselves.
 * Several kinds behind one interface: `alone` (one rank), `tcp` (the host's memory; needs nothing), `mpi`
 * (the host's memory, OpenMPI), `nccl` (GPUs). MPI and NCCL are opened while the program runs.
 *
 * Every call below that is not a question is made by all ranks in the same order. None waits for ever: a rank
 * that is lost (its process ended, its machine is gone) is known at once, one that is silent or behind after
 * `timeout` seconds; then every call of every other rank fails with ERR_PEER, and the cause names rank, host,
 * step and collective. When a rank fails for a reason of its own, the others fail with its status and its
 * cause. A group that has failed stays so. */
#ifndef VAGUS_CORE_GROUP_GROUP_H
#define VAGUS_CORE_GROUP_GROUP_H

#include "core/device.h"
#include "core/group/place.h"
#include "core/tensor.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct vg_group vg_group;

typedef struct vg_group_options {
    const char *transport; /* "auto", "tcp", "mpi" or "nccl"; auto: nccl for a device that is not the host,
                              mpi where mpirun started the ranks and its library can be opened, else tcp */
    vg_device *device;     /* borrowed; where the arrays of collectives lie */
    double timeout;        /* seconds that one rank may keep the others waiting */
    double start_timeout;  /* seconds for all ranks to arrive */
} vg_group_options;

/* Waits for all ranks. ERR_PEER names those that did not arrive, ERR_CONFIG the transport that cannot be,
 * with the reason. A place of size 1 gives `alone`, which opens nothing and whose calls do nothing. */
VG_NODISCARD VG_API vg_status vg_group_open(const vg_place *place, const vg_group_options *options,
                                            vg_group **out);

/* Parts from the others. `status` is how this rank's run ended: VG_OK and ERR_PREEMPTED are said as such;
 * anything else makes the others fail with it, and with vg_cause() of the calling thread. Recordings of its
 * collectives (core/device.h) are destroyed before. NULL is fine. */
VG_API void vg_group_close(vg_group *group, vg_status status);

VG_API int vg_group_rank(const vg_group *group);
VG_API int vg_group_size(const vg_group *group);
VG_API const vg_place *vg_group_place(const vg_group *group);
VG_API const char *vg_group_transport(const vg_group *group); /* "alone", "tcp", "mpi" or "nccl" */

/* Which step the run is at, for messages and for telling who is behind. */
VG_API void vg_group_at(vg_group *group, int64_t step);

/* Whether a transport can be used by this program on this machine: `text` names the library that was found
 * and its version ("" where none is needed), an error says what is missing. For `vagus doctor`. */
VG_NODISCARD VG_API vg_status vg_group_find(const char *transport, char *text, size_t size);

/* ---- Collectives ------------------------------------------------------------------------------------------
 * Over arrays of the group's device, in place; `what` is a static word for messages ("gradients"). They are
 * queued and run in the order of the calls: on the host by a thread of the group while the caller computes,
 * on a GPU beside the device's own order of work, after all that was queued there before the call. The array
 * must not be touched, and later work does not see the result, before vg_group_join(). A count of 0 is fine.
 * On a GPU they can be recorded (core/device.h). Types: F32, F64 and I64; gather and broadcast move BF16 too.
 * Sums are taken in an order that depends on the count and the number of ranks alone, and all ranks get the
 * same bits. */

/* The sum over all ranks, for all. */
VG_NODISCARD VG_API vg_status vg_group_all_reduce(vg_group *group, const char *what, void *array,
                                                  int64_t count, vg_dtype type);

/* `array` is (size, count): piece r becomes the sum at rank r, where the other pieces are undefined. */
VG_NODISCARD VG_API vg_status vg_group_reduce_scatter(vg_group *group, const char *what, void *array,
                                                      int64_t count, vg_dtype type);

/* `array` is (size, count): piece r of rank r reaches all. */
VG_NODISCARD VG_API vg_status vg_group_all_gather(vg_group *group, const char *what, void *array,
                                                  int64_t count, vg_dtype type);

/* Rank 0's array reaches all. */
VG_NODISCARD VG_API vg_status vg_group_broadcast(vg_group *group, const char *what, void *array,
                                                 int64_t count, vg_dtype type);

/* On the host: waits until what was queued is done. On a GPU: later work comes after it; nobody waits. */
VG_NODISCARD VG_API vg_status vg_group_join(vg_group *group);

/* vg_device_synchronize() that does not wait for ever for a lost rank. */
VG_NODISCARD VG_API vg_status vg_group_synchronize(vg_group *group);

/* ---- Small words ------------------------------------------------------------------------------------------
 * Between the processes, through rank 0, over memory of the host whatever the device; waits for the answer.
 * For the few times that something is decided, not for every step. */

/* Rank 0's text reaches all: on the others *text (ignored before) becomes a copy that the caller frees. */
VG_NODISCARD VG_API vg_status vg_group_share(vg_group *group, const char *what, char **text);

/* ERR_CONFIG at all ranks when some rank's text is not rank 0's, naming the rank, its host and the first line
 * in which they differ. */
VG_NODISCARD VG_API vg_status vg_group_same(vg_group *group, const char *what, const char *text);

/* Sums over the ranks, added up in the order of ranks. */
VG_NODISCARD VG_API vg_status vg_group_sum(vg_group *group, const char *what, double *values, int64_t count);

#ifdef __cplusplus
}
#endif
#endif
