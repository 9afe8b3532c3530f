/* One batch over many ranks. Each computes forward and backward of its share; gradients are added up over the
 * ranks in buckets, each as soon as backward has no more to add to it, so that most of it happens while
 * backward runs. Losses and counts are added up too, and the optimiser divides by the count of all: R ranks
 * with B / R segments make the step of one rank with B. Alone (a group of one rank) all this does nothing.
 *
 *     VG_TRY(vg_parallel_create(kernels, group, model, &options, &parallel));
 *     VG_TRY(vg_optimizer_create(kernels, vg_model_parameters(model), &config, parallel, &optimizer));
 *     each step:
 *         VG_TRY(vg_parallel_begin(parallel));
 *         each micro-batch of this rank's share, which may be empty:
 *             vg_parallel_last(parallel) before the last one's backward
 *             forward, backward
 *         VG_TRY(vg_parallel_finish(parallel, stop_requested));
 *         VG_TRY(vg_optimizer_step(optimizer, lr, vg_parallel_stats(parallel)));
 *         VG_TRY(vg_group_synchronize(group));
 *         VG_TRY(vg_parallel_read_stop(parallel, &stop));
 */
#ifndef VAGUS_MODELS_PARALLEL_H
#define VAGUS_MODELS_PARALLEL_H

#include "core/group/group.h"
#include "kernels/kernels.h"
#include "models/model.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct vg_parallel vg_parallel;

typedef struct vg_parallel_options {
    int64_t bucket_bytes; /* of gradients summed at a time; at least one parameter's */
    bool shard_optimizer; /* ZeRO 1: sums are scattered, each rank keeps moments of its pieces alone and
                             updates those, and the new parameters are gathered */
} vg_parallel_options;

/* Everything is borrowed until destroy. Watches the model's backward (vg_model_watch()). */
VG_NODISCARD VG_API vg_status vg_parallel_create(vg_kernels *kernels, vg_group *group, vg_model *model,
                                                 const vg_parallel_options *options, vg_parallel **out);
VG_API void vg_parallel_destroy(vg_parallel *parallel); /* NULL is fine */

/* Zeroes gradients and sums: a step begins. */
VG_NODISCARD VG_API vg_status vg_parallel_begin(vg_parallel *parallel);

/* The next backward is the step's last at this rank. It queues the sums and joins them (group.h), so that it
 * can be recorded whole. */
VG_API void vg_parallel_last(vg_parallel *parallel);

/* The step's last backward was replayed from a recording of one that vg_parallel_last() came before. */
VG_API void vg_parallel_replayed(vg_parallel *parallel);

/* Sums what no backward of this step has handed over, the loss with its count, and whether any rank was asked
 * to `stop`; joins. */
VG_NODISCARD VG_API vg_status vg_parallel_finish(vg_parallel *parallel, bool stop);

/* (2) F64 on the device, as vg_model_stats() but of all ranks. */
VG_API vg_tensor vg_parallel_stats(const vg_parallel *parallel);

/* After the device has finished: was any rank asked to stop? */
VG_NODISCARD VG_API vg_status vg_parallel_read_stop(vg_parallel *parallel, bool *stop);

/* What of the flat slabs (params.h) this rank's optimiser looks after, in ascending order, in elements. Not
 * sharded: one piece, the whole. */
typedef struct vg_piece {
    int64_t first, count;
} vg_piece;
VG_API const vg_piece *vg_parallel_pieces(const vg_parallel *parallel, int *count);
VG_API bool vg_parallel_sharded(const vg_parallel *parallel);
VG_API vg_group *vg_parallel_group(const vg_parallel *parallel);

/* Over a flat slab on the device: every rank's pieces reach all ranks (nothing when not sharded); rank 0's
 * whole reaches all. Joined when they return. */
VG_NODISCARD VG_API vg_status vg_parallel_gather(vg_parallel *parallel, const char *what, vg_tensor flat);
VG_NODISCARD VG_API vg_status vg_parallel_broadcast(vg_parallel *parallel, const char *what, vg_tensor flat);

/* A small F64 tensor on the device, summed over all ranks when sharded; joined. */
VG_NODISCARD VG_API vg_status vg_parallel_sum_pieces(vg_parallel *parallel, const char *what,
                                                     vg_tensor values);

/* Rank 0's values and masters reach all ranks of a group: after it has loaded weights. Needs no vg_parallel,
 * since weights are loaded after a training too. */
VG_NODISCARD VG_API vg_status vg_parallel_share_weights(vg_group *group, vg_parameters *parameters);

/* ERR_NUMERIC when the ranks' weights are not the same bits, naming a rank: a sign of broken memory or of a
 * library that sums in an order of chance. Reads all weights; for checkpoints. */
VG_NODISCARD VG_API vg_status vg_parallel_check_weights(vg_parallel *parallel);

/* What a step reduces and gathers at each rank, in bytes of arrays (not of messages). */
VG_API int64_t vg_parallel_step_bytes(const vg_parallel *parallel);

#ifdef __cplusplus
}
#endif
#endif
