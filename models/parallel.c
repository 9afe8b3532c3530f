#include "models/parallel.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/log.h"
#include "models/buckets.h"

struct vg_parallel {
    vg_kernels *kernels;
    vg_group *group;
    vg_model *model;
    vg_parameters *parameters;
    int size, owners; /* ranks; those among which buckets are cut: all when sharded, else 1 */
    vg_bucket *buckets;
    vg_piece *pieces;
    int bucket_count, piece_count;
    vg_slab slab;
    vg_tensor sums; /* (3) F64: the loss, its count, how many ranks were asked to stop. Unused alone */

    /* The step under way. */
    int queued; /* buckets whose sums have been asked for */
    bool last;  /* the next backward, or the one that runs, is this rank's last */
    bool stop;
};

static int by_place(const void *a, const void *b)
{
    const vg_piece *x = a, *y = b;
    return x->first < y->first ? -1 : x->first > y->first;
}

static vg_status find_pieces(vg_parallel *p)
{
    p->pieces = calloc((size_t)p->bucket_count + 1, sizeof *p->pieces);
    if (!p->pieces) return vg_fail(VG_ERR_MEMORY, "cannot cut the gradients into pieces");
    if (p->owners == 1) {
        p->pieces[p->piece_count++] = (vg_piece){0, vg_tensor_count(&p->parameters->flat_values)};
        return VG_OK;
    }
    for (int i = 0; i < p->bucket_count; i++) {
        vg_piece piece = vg__bucket_piece(&p->buckets[i], p->owners, vg_group_rank(p->group));
        if (piece.count) p->pieces[p->piece_count++] = piece;
    }
    qsort(p->pieces, (size_t)p->piece_count, sizeof *p->pieces, by_place);
    return VG_OK;
}

static vg_status ready(void *context, int first);

vg_status vg_parallel_create(vg_kernels *kernels, vg_group *group, vg_model *model,
                             const vg_parallel_options *options, vg_parallel **out)
{
    vg_parallel *p = calloc(1, sizeof *p);
    if (!p) return vg_fail(VG_ERR_MEMORY, "cannot create what sums over ranks");
    vg_status status;
    p->kernels = kernels;
    p->group = group;
    p->model = model;
    p->parameters = vg_model_parameters(model);
    p->size = vg_group_size(group);
    p->owners = options->shard_optimizer ? p->size : 1;
    p->slab = vg_slab_make("sums over ranks");
    VG_ASSERT(p->parameters->gradients.memory);
    VG_TRY_OUT(
        vg__buckets_cut(p->parameters, options->bucket_bytes, p->owners, &p->buckets, &p->bucket_count));
    VG_TRY_OUT(find_pieces(p));
    if (p->size > 1) {
        VG_TRY_OUT(vg_slab_add(&p->slab, &p->sums, VG_F64, VG_DIMS(3)));
        VG_TRY_OUT(vg_slab_bind(&p->slab, kernels->device));
        vg_model_watch(model, ready, p);
        if (vg_group_rank(group) == 0)
            vg_info("%d ranks by %s: gradients in %d buckets, %.2f MiB a step at each%s", p->size,
                    vg_group_transport(group), p->bucket_count, (double)vg_parallel_step_bytes(p) / (1 << 20),
                    p->owners > 1 ? ", the optimiser's moments sharded" : "");
    }
    *out = p;
    return VG_OK;
out:
    vg_parallel_destroy(p);
    return status;
}

void vg_parallel_destroy(vg_parallel *parallel)
{
    if (!parallel) return;
    if (parallel->slab.memory) vg_model_watch(parallel->model, NULL, NULL);
    vg_slab_free(&parallel->slab);
    free(parallel->buckets);
    free(parallel->pieces);
    free(parallel);
}

/* ---- A step ---------------------------------------------------------------------------------------------
 */

vg_status vg_parallel_begin(vg_parallel *parallel)
{
    parallel->queued = 0;
    parallel->last = parallel->stop = false;
    return vg_model_zero_gradients(parallel->model);
}

void vg_parallel_last(vg_parallel *parallel)
{
    parallel->last = true;
}

void vg_parallel_replayed(vg_parallel *parallel)
{
    parallel->queued = parallel->bucket_count;
    parallel->last = false;
}

static void *at(vg_tensor flat, int64_t element)
{
    return (char *)flat.data + (size_t)element * vg_dtype_size(flat.dtype);
}

/* Below the first trained parameter all gradients are zero at every rank, and so is their sum. */
static bool is_frozen(const vg_parallel *p, const vg_bucket *bucket)
{
    return bucket->most < vg_model_first_trained(p->model);
}

/* Asks for the sums of the buckets that are complete once the parameters from `first` on are. */
static vg_status reduce(vg_parallel *p, int first)
{
    vg_tensor flat = vg_parameters_flat_gradients(p->parameters);
    for (; p->queued < p->bucket_count && p->buckets[p->queued].least >= first; p->queued++) {
        const vg_bucket *b = &p->buckets[p->queued];
        if (is_frozen(p, b)) continue;
        if (p->owners == 1 || b->uncut)
            VG_TRY(vg_group_all_reduce(p->group, "gradients", at(flat, b->first), b->count, flat.dtype));
        else
            VG_TRY(vg_group_reduce_scatter(p->group, "gradients", at(flat, b->first), b->count / p->owners,
                                           flat.dtype));
    }
    return VG_OK;
}

/* The model's word during backward. */
static vg_status ready(void *context, int first)
{
    vg_parallel *p = context;
    if (!p->last) return VG_OK;
    VG_TRY(reduce(p, first));
    if (first) return VG_OK;
    p->last = false;
    return vg_group_join(p->group);
}

vg_status vg_parallel_finish(vg_parallel *parallel, bool stop)
{
    vg_device *device = parallel->kernels->device;
    parallel->stop = stop;
    if (parallel->size == 1) return VG_OK;
    VG_TRY(reduce(parallel, 0));
    parallel->last = false;
    vg_tensor stats = vg_model_stats(parallel->model), sums = parallel->sums;
    double asked = stop;
    VG_TRY(vg_device_copy(device, sums.data, stats.data, vg_tensor_bytes(&stats), VG_COPY_ON_DEVICE));
    VG_TRY(vg_device_copy(device, at(sums, 2), &asked, sizeof asked, VG_COPY_TO_DEVICE));
    VG_TRY(vg_group_all_reduce(parallel->group, "losses", sums.data, 3, VG_F64));
    return vg_group_join(parallel->group);
}

vg_tensor vg_parallel_stats(const vg_parallel *parallel)
{
    if (parallel->size == 1) return vg_model_stats(parallel->model);
    return vg_tensor_make(parallel->sums.data, VG_F64, VG_DIMS(2));
}

vg_status vg_parallel_read_stop(vg_parallel *parallel, bool *stop)
{
    double asked = parallel->stop;
    if (parallel->size > 1) {
        VG_TRY(vg_device_copy(parallel->kernels->device, &asked, at(parallel->sums, 2), sizeof asked,
                              VG_COPY_TO_HOST));
        VG_TRY(vg_group_synchronize(parallel->group));
    }
    *stop = asked > 0;
    return VG_OK;
}

/* ---- The optimiser's pieces -------------------------------------------------------------------------------
 */

const vg_piece *vg_parallel_pieces(const vg_parallel *parallel, int *count)
{
    *count = parallel->piece_count;
    return parallel->pieces;
}

bool vg_parallel_sharded(const vg_parallel *parallel)
{
    return parallel->owners > 1;
}

vg_group *vg_parallel_group(const vg_parallel *parallel)
{
    return parallel->group;
}

vg_status vg_parallel_gather(vg_parallel *parallel, const char *what, vg_tensor flat)
{
    if (parallel->owners == 1) return VG_OK;
    for (int i = 0; i < parallel->bucket_count; i++) {
        const vg_bucket *b = &parallel->buckets[i];
        if (b->uncut)
            VG_TRY(vg_group_broadcast(parallel->group, what, at(flat, b->first), b->count, flat.dtype));
        else
            VG_TRY(vg_group_all_gather(parallel->group, what, at(flat, b->first), b->count / parallel->owners,
                                       flat.dtype));
    }
    return vg_group_join(parallel->group);
}

static vg_status broadcast(vg_group *group, const char *what, vg_tensor flat)
{
    VG_TRY(vg_group_broadcast(group, what, flat.data, vg_tensor_count(&flat), flat.dtype));
    return vg_group_join(group);
}

vg_status vg_parallel_broadcast(vg_parallel *parallel, const char *what, vg_tensor flat)
{
    return parallel->size > 1 ? broadcast(parallel->group, what, flat) : VG_OK;
}

vg_status vg_parallel_sum_pieces(vg_parallel *parallel, const char *what, vg_tensor values)
{
    if (parallel->owners == 1) return VG_OK;
    VG_TRY(vg_group_all_reduce(parallel->group, what, values.data, vg_tensor_count(&values), values.dtype));
    return vg_group_join(parallel->group);
}

int64_t vg_parallel_step_bytes(const vg_parallel *parallel)
{
    const vg_parameters *parameters = parallel->parameters;
    int64_t reduced = 0, gathered = 0;
    if (parallel->size == 1) return 0;
    for (int i = 0; i < parallel->bucket_count; i++) {
        const vg_bucket *b = &parallel->buckets[i];
        if (!is_frozen(parallel, b)) reduced += b->count;
        if (parallel->owners > 1) gathered += b->count;
    }
    return reduced * (int64_t)vg_dtype_size(parameters->stored) +
           gathered * (int64_t)vg_dtype_size(parameters->dtype) +
           (int64_t)sizeof(double) * (parallel->owners > 1 ? 4 : 3);
}

/* ---- Weights ----------------------------------------------------------------------------------------------
 */

vg_status vg_parallel_share_weights(vg_group *group, vg_parameters *parameters)
{
    vg_tensor values = vg_parameters_flat_values(parameters);
    vg_tensor masters = vg_parameters_flat_masters(parameters);
    if (vg_group_size(group) == 1) return VG_OK;
    VG_TRY(broadcast(group, "weights", values));
    return masters.data != values.data ? broadcast(group, "master weights", masters) : VG_OK;
}

enum { CHUNK = 1 << 22 };

/* Multiplying by an odd number and shifting right with exclusive or can both be undone, so two arrays that
 * differ in one word differ in the checksum. The slab's bytes are a multiple of 256. */
static vg_status checksum(vg_parallel *p, vg_tensor flat, uint64_t *out)
{
    size_t bytes = vg_tensor_bytes(&flat);
    uint64_t *words = malloc(CHUNK), sum = 0x9e3779b97f4a7c15u;
    vg_status status = VG_OK;
    if (!words) return vg_fail(VG_ERR_MEMORY, "cannot copy the weights");
    for (size_t done = 0; done < bytes; done += CHUNK) {
        size_t count = bytes - done < CHUNK ? bytes - done : CHUNK;
        VG_TRY_OUT(
            vg_device_copy(p->kernels->device, words, (char *)flat.data + done, count, VG_COPY_TO_HOST));
        VG_TRY_OUT(vg_group_synchronize(p->group));
        for (size_t i = 0; i < count / sizeof *words; i++) {
            sum = (sum ^ words[i]) * 0xff51afd7ed558ccdu;
            sum ^= sum >> 32;
        }
    }
    *out = sum;
out:
    free(words);
    return status;
}

vg_status vg_parallel_check_weights(vg_parallel *parallel)
{
    uint64_t sum = 0;
    char text[40], why[1024];
    if (parallel->size == 1) return VG_OK;
    VG_TRY(checksum(parallel, vg_parameters_flat_values(parallel->parameters), &sum));
    snprintf(text, sizeof text, "%016" PRIx64, sum);
    vg_status status = vg_group_same(parallel->group, "checksum of the weights", text);
    if (status != VG_ERR_CONFIG) return status;
    snprintf(why, sizeof why, "%s", vg_cause());
    return vg_fail(VG_ERR_NUMERIC,
                   "the ranks' weights are no longer the same bits: some machine's memory is broken, or a "
                   "library sums in an order of chance; earlier checkpoints are intact (%s)",
                   why);
}
