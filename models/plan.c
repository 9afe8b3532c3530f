#include "models/plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "models/convert.h"

vg_plan vg__plan_make(vg_parameters *parameters, int64_t batch, bool training, vg_dtype dtype)
{
    return (vg_plan){
        .parameters = parameters,
        .activations = {.slab = vg_slab_make("activations"), .reuse = !training},
        .gradients = {.slab = vg_slab_make("activation grads"), .reuse = true},
        .constants = {.slab = vg_slab_make("constants")},
        .batch = batch,
        .training = training,
        .dtype = dtype,
        .statistic = dtype == VG_F64 ? VG_F64 : VG_F32,
    };
}

static void arena_free(vg_arena *arena)
{
    free(arena->blocks);
    free(arena->loans);
    arena->blocks = NULL;
    arena->loans = NULL;
    vg_slab_free(&arena->slab);
}

void vg__plan_free(vg_plan *plan)
{
    arena_free(&plan->activations);
    arena_free(&plan->gradients);
    arena_free(&plan->constants);
    free(plan->names);
    plan->names = NULL;
    plan->name_count = 0;
}

/* Room for one more element of an array that doubles. */
static vg_status grow(void **array, int count, int *capacity, size_t size)
{
    if (count < *capacity) return VG_OK;
    int larger = *capacity ? 2 * *capacity : 32;
    void *grown = realloc(*array, (size_t)larger * size);
    if (!grown) return vg_fail(VG_ERR_MEMORY, "cannot plan the model's buffers");
    *array = grown;
    *capacity = larger;
    return VG_OK;
}

/* Among the free blocks: the smallest that is large enough, else the largest, which then grows. */
static int choose(const vg_arena *arena, size_t bytes)
{
    int best = -1;
    for (int i = 0; i < arena->block_count; i++) {
        const struct vg_block *block = &arena->blocks[i];
        if (block->lent) continue;
        if (best < 0) {
            best = i;
            continue;
        }
        size_t have = arena->blocks[best].bytes;
        bool fits = block->bytes >= bytes, best_fits = have >= bytes;
        if (fits != best_fits ? fits : fits ? block->bytes < have : block->bytes > have) best = i;
    }
    return best;
}

static vg_status lend(vg_arena *arena, vg_tensor *view, vg_dtype dtype, int rank, const int64_t *dims)
{
    size_t bytes = vg_dtype_size(dtype);
    for (int i = 0; i < rank; i++)
        if (__builtin_mul_overflow(bytes, (size_t)dims[i], &bytes) || bytes > INT64_MAX / 2)
            return vg_fail(VG_ERR_SHAPE,
                           "a tensor of the %s is too large to address: make the batch or the "
                           "model smaller",
                           arena->slab.name);
    VG_TRY(grow((void **)&arena->loans, arena->loan_count, &arena->loan_capacity, sizeof *arena->loans));
    int block = arena->reuse ? choose(arena, bytes) : -1;
    if (block < 0) {
        VG_TRY(
            grow((void **)&arena->blocks, arena->block_count, &arena->block_capacity, sizeof *arena->blocks));
        block = arena->block_count++;
        arena->blocks[block] = (struct vg_block){0};
    }
    if (arena->blocks[block].bytes < bytes) arena->blocks[block].bytes = bytes;
    arena->blocks[block].lent = true;
    *view = vg_tensor_make(NULL, dtype, rank, dims);
    arena->loans[arena->loan_count++] = (struct vg_loan){view, block};
    return VG_OK;
}

static void give_back(vg_arena *arena, const vg_tensor *view)
{
    for (int i = arena->loan_count - 1; i >= 0; i--)
        if (arena->loans[i].view == view) {
            arena->blocks[arena->loans[i].block].lent = false;
            return;
        }
    VG_ASSERT(!"a buffer that was lent");
}

/* Once every loan is known. */
static vg_status arena_plan(vg_arena *arena)
{
    for (int i = 0; i < arena->block_count; i++) {
        struct vg_block *block = &arena->blocks[i];
        VG_TRY(vg_slab_add(&arena->slab, &block->memory, VG_U8, VG_DIMS((int64_t)block->bytes)));
    }
    return VG_OK;
}

static vg_status arena_bind(vg_arena *arena, vg_device *device)
{
    VG_TRY(vg_slab_bind(&arena->slab, device));
    for (int i = 0; i < arena->loan_count; i++)
        arena->loans[i].view->data = arena->blocks[arena->loans[i].block].memory.data;
    return VG_OK;
}

vg_status vg__plan_finish(vg_plan *plan)
{
    VG_TRY(arena_plan(&plan->constants));
    VG_TRY(arena_plan(&plan->activations));
    return arena_plan(&plan->gradients);
}

size_t vg__plan_bytes(const vg_plan *plan)
{
    return plan->constants.slab.bytes + plan->activations.slab.bytes + plan->gradients.slab.bytes;
}

vg_status vg__plan_bind(vg_plan *plan, vg_device *device)
{
    VG_TRY(arena_bind(&plan->constants, device));
    VG_TRY(arena_bind(&plan->activations, device));
    return plan->training ? arena_bind(&plan->gradients, device) : VG_OK;
}

static vg_status add_name(vg_plan *plan, const vg_tensor *view, const char *name)
{
    if (!name) return VG_OK;
    VG_TRY(grow((void **)&plan->names, plan->name_count, &plan->name_capacity, sizeof *plan->names));
    vg_named_view *entry = &plan->names[plan->name_count++];
    snprintf(entry->name, sizeof entry->name, "%s", name);
    entry->view = view;
    return VG_OK;
}

vg_status vg__plan_keep(vg_plan *plan, vg_tensor *view, const char *name, vg_dtype dtype, int rank,
                        const int64_t *dims)
{
    VG_TRY(lend(&plan->activations, view, dtype, rank, dims));
    return add_name(plan, view, name);
}

vg_status vg__plan_own(vg_plan *plan, vg_tensor *view, const char *name, vg_dtype dtype, int rank,
                       const int64_t *dims)
{
    VG_TRY(lend(&plan->constants, view, dtype, rank, dims));
    return add_name(plan, view, name);
}

void vg__plan_done(vg_plan *plan, const vg_tensor *view)
{
    give_back(&plan->activations, view);
}

vg_status vg__plan_borrow(vg_plan *plan, vg_tensor *view, vg_dtype dtype, int rank, const int64_t *dims)
{
    *view = (vg_tensor){0};
    return plan->training ? lend(&plan->gradients, view, dtype, rank, dims) : VG_OK;
}

void vg__plan_return(vg_plan *plan, const vg_tensor *view)
{
    if (plan->training) give_back(&plan->gradients, view);
}

const char *vg__join(char *out, const char *first, const char *second)
{
    int length = snprintf(out, VG_MAX_PARAMETER_NAME, "%s.%s", first, second);
    VG_ASSERT(length > 0 && length < VG_MAX_PARAMETER_NAME);
    return out;
}

vg_dropout_site vg__plan_dropout(vg_plan *plan, double probability)
{
    VG_ASSERT(plan->sites < 0x10000);
    return (vg_dropout_site){.probability = (float)probability, .site = VG_SITE_DROPOUT + plan->sites++};
}

const vg_dropout *vg__dropout(const vg_run *run, const vg_dropout_site *site, vg_dropout *storage)
{
    if (!run->dropout || !(site->probability > 0)) return NULL;
    *storage = (vg_dropout){.probability = site->probability,
                            .site = site->site,
                            .seed = run->seed,
                            .epoch = run->epoch,
                            .segment = run->segments};
    return storage;
}

vg_status vg__fill(vg_device *device, vg_tensor to, const double *from)
{
    if (to.dtype == VG_F64) {
        VG_TRY(vg_device_copy(device, to.data, from, vg_tensor_bytes(&to), VG_COPY_TO_DEVICE));
        return vg_device_synchronize(device);
    }
    size_t count = (size_t)vg_tensor_count(&to);
    float *narrow = malloc(count * sizeof *narrow + 1);
    void *staging = malloc(vg_tensor_bytes(&to) + 1);
    vg_status status;
    if (!narrow || !staging) {
        status = vg_fail(VG_ERR_MEMORY, "cannot fill a constant");
        goto out;
    }
    for (size_t i = 0; i < count; i++) narrow[i] = (float)from[i];
    VG_TRY_OUT(vg__convert_to(device, to, narrow, staging));
    status = vg_device_synchronize(device);
out:
    free(narrow);
    free(staging);
    return status;
}
