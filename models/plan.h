/* Planning a model's buffers, and what a pass hands from layer to layer. Private to models/.
 *
 * Layers ask for buffers in the order in which they run and say when one is no longer needed. Whether memory
 * is then given to somebody else depends on its kind: activations of a training model are kept, because
 * backward reads them; activations of an inference model and all gradients of activations are reused. */
#ifndef VAGUS_MODELS_PLAN_H
#define VAGUS_MODELS_PLAN_H

#include "kernels/kernels.h"
#include "models/config.h"
#include "models/params.h"

/* A set of blocks that are lent out in turn. A block grows to the largest of its borrowers. */
typedef struct vg_arena {
    vg_slab slab;
    bool reuse; /* false: nothing given back is lent again */
    struct vg_block {
        vg_tensor memory; /* U8 */
        size_t bytes;
        bool lent;
    } * blocks;
    struct vg_loan {
        vg_tensor *view;
        int block;
    } * loans;
    int block_count, block_capacity, loan_count, loan_capacity;
} vg_arena;

enum { VG_MAX_ACTIVATION_NAME = 64 };
typedef struct vg_named_view {
    char name[VG_MAX_ACTIVATION_NAME];
    const vg_tensor *view;
} vg_named_view;

typedef struct vg_plan {
    vg_parameters *parameters;
    vg_arena activations, gradients, constants;
    vg_named_view *names;
    int name_count, name_capacity;
    int64_t batch; /* the largest */
    bool training;
    vg_dtype dtype;     /* of activations and their gradients */
    vg_dtype statistic; /* of statistics and of the gradients of parameters: F32, or F64 where dtype is */
    uint32_t sites;     /* dropouts so far */
} vg_plan;

vg_plan vg__plan_make(vg_parameters *parameters, int64_t batch, bool training, vg_dtype dtype);
/* Once every buffer has been asked for: adds up sizes. Then vg__plan_bytes() knows what binding allocates. */
VG_NODISCARD vg_status vg__plan_finish(vg_plan *plan);
VG_NODISCARD vg_status vg__plan_bind(vg_plan *plan, vg_device *device);
size_t vg__plan_bytes(const vg_plan *plan);
void vg__plan_free(vg_plan *plan);

/* A buffer of the forward pass. `view` stays where it is until the plan is bound. `name` (may be NULL) makes
 * it visible to vg_model_activation(). */
VG_NODISCARD vg_status vg__plan_keep(vg_plan *plan, vg_tensor *view, const char *name, vg_dtype dtype,
                                     int rank, const int64_t *dims);
/* Forward does not read it again. */
void vg__plan_done(vg_plan *plan, const vg_tensor *view);

/* A buffer that is nobody else's, from one pass to the next: constants, inputs, sums. */
VG_NODISCARD vg_status vg__plan_own(vg_plan *plan, vg_tensor *view, const char *name, vg_dtype dtype,
                                    int rank, const int64_t *dims);

/* A buffer of the backward pass, absent in an inference model, and its end. */
VG_NODISCARD vg_status vg__plan_borrow(vg_plan *plan, vg_tensor *view, vg_dtype dtype, int rank,
                                       const int64_t *dims);
void vg__plan_return(vg_plan *plan, const vg_tensor *view);

/* "a.b" of two names into `out` of VG_MAX_PARAMETER_NAME. */
const char *vg__join(char *out, const char *first, const char *second);

/* A pass under way. */
typedef struct vg_run {
    vg_kernels *kernels;
    int64_t batch;
    vg_tensor segments; /* (B) I64 */
    uint64_t seed;
    uint32_t epoch;
    bool dropout;
    vg_status (*ready)(void *context, int first); /* as in model.h; NULL: nobody wants to know */
    void *ready_context;
} vg_run;

/* Backward's word that the gradients of this parameter and of all that were declared after it are complete.
 * An encoder that never says it is right too: then the end of backward says it for all. */
VG_NODISCARD static inline vg_status vg__complete(const vg_run *run, const vg_parameter *parameter)
{
    return run->ready ? run->ready(run->ready_context, parameter->index) : VG_OK;
}

/* The first `run->batch` segments of a buffer planned for the largest batch. */
static inline vg_tensor vg__cut(const vg_run *run, vg_tensor view)
{
    view.dims[0] = run->batch;
    return view;
}

/* A dropout of the model: its probability and its number. */
typedef struct vg_dropout_site {
    float probability;
    uint32_t site;
} vg_dropout_site;
/* Copies doubles from the host into a tensor of any floating type, and waits. */
VG_NODISCARD vg_status vg__fill(vg_device *device, vg_tensor to, const double *from);

vg_dropout_site vg__plan_dropout(vg_plan *plan, double probability);

/* What the kernels want to know of it, in `storage`; NULL when it does nothing in this pass. */
const vg_dropout *vg__dropout(const vg_run *run, const vg_dropout_site *site, vg_dropout *storage);

#endif
