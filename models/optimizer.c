#include "models/optimizer.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "models/moments.h"

/* Neighbours in the slab that are treated alike, in elements. */
typedef struct range {
    int64_t first, count;
    int64_t moment; /* where its moments begin in those of this rank */
    bool decay;
} range;

struct vg_optimizer {
    vg_kernels *kernels;
    vg_parameters *parameters;
    vg_parallel *parallel; /* NULL: alone */
    vg_optimizer_config config;
    char frozen[VG_MAX_PARAMETER_NAME];
    range *ranges;
    int range_count;
    int64_t steps;
    vg_moments moments;
};

static const char *const kind_names[] = {"adam", "adamw"};

vg_optimizer_config vg_optimizer_config_default(void)
{
    return (vg_optimizer_config){
        .kind = VG_OPTIMIZER_ADAM, .beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-8, .weight_decay = 0.005};
}

static vg_status check(const vg_optimizer_config *c)
{
    if (c->kind != VG_OPTIMIZER_ADAM && c->kind != VG_OPTIMIZER_ADAMW)
        return vg_fail(VG_ERR_CONFIG, "optimizer.kind is neither adam nor adamw");
    if (!(c->beta1 >= 0 && c->beta1 < 1))
        return vg_fail(VG_ERR_CONFIG, "optimizer.beta1 is %g, not in [0, 1)", c->beta1);
    if (!(c->beta2 >= 0 && c->beta2 < 1))
        return vg_fail(VG_ERR_CONFIG, "optimizer.beta2 is %g, not in [0, 1)", c->beta2);
    if (!(c->epsilon > 0 && c->epsilon <= 1))
        return vg_fail(VG_ERR_CONFIG, "optimizer.epsilon is %g, not in (0, 1]", c->epsilon);
    if (!(c->weight_decay >= 0 && c->weight_decay < INFINITY))
        return vg_fail(VG_ERR_CONFIG, "optimizer.weight_decay is %g, not a number from 0 up",
                       c->weight_decay);
    if (!(c->clip_norm >= 0 && c->clip_norm < INFINITY))
        return vg_fail(VG_ERR_CONFIG, "optimizer.clip_norm is %g, not a number from 0 up", c->clip_norm);
    if (c->frozen_prefix && strlen(c->frozen_prefix) >= VG_MAX_PARAMETER_NAME)
        return vg_fail(VG_ERR_CONFIG, "the prefix of frozen parameters is too long: %s", c->frozen_prefix);
    return VG_OK;
}

static bool is_frozen(const vg_optimizer *optimizer, const vg_parameter *parameter)
{
    size_t length = strlen(optimizer->frozen);
    return length && !strncmp(parameter->name, optimizer->frozen, length);
}

static int by_offset(const void *a, const void *b)
{
    const vg_parameter *const *p = a, *const *q = b;
    return (*p)->offset < (*q)->offset ? -1 : (*p)->offset > (*q)->offset;
}

/* Joins parameters that lie next to each other and are treated alike. The gaps between them hold zeros in the
 * values and in the gradients, and a step leaves zeros there. */
static vg_status plan_ranges(vg_optimizer *optimizer)
{
    const vg_parameters *parameters = optimizer->parameters;
    size_t count = (size_t)parameters->count;
    vg_parameter **sorted = malloc((count + 1) * sizeof(vg_parameter *));
    optimizer->ranges = calloc(count + 1, sizeof *optimizer->ranges);
    if (!sorted || !optimizer->ranges) {
        free(sorted);
        return vg_fail(VG_ERR_MEMORY, "cannot create an optimiser");
    }
    if (count) memcpy(sorted, parameters->list, count * sizeof(vg_parameter *));
    qsort(sorted, count, sizeof(vg_parameter *), by_offset);
    range *open = NULL;
    for (size_t i = 0; i < count; i++) {
        const vg_parameter *p = sorted[i];
        bool decay = p->decay || !optimizer->config.decay_matrices_only;
        if (is_frozen(optimizer, p)) {
            open = NULL;
            continue;
        }
        if (!open || open->decay != decay) {
            open = &optimizer->ranges[optimizer->range_count++];
            *open = (range){.first = p->offset, .decay = decay};
        }
        open->count = p->offset + vg_tensor_count(&p->value) - open->first;
    }
    free(sorted);
    if (!optimizer->range_count)
        return vg_fail(VG_ERR_CONFIG, "every parameter is frozen; there is nothing to train");
    return VG_OK;
}

/* Keeps of every range what lies in one of this rank's pieces. */
static vg_status cut_ranges(vg_optimizer *optimizer)
{
    const vg_moments *moments = &optimizer->moments;
    range *cut = calloc((size_t)(optimizer->range_count + moments->piece_count), sizeof *cut);
    if (!cut) return vg_fail(VG_ERR_MEMORY, "cannot create an optimiser");
    int count = 0;
    int64_t moment = 0;
    for (int i = 0; i < moments->piece_count; i++) {
        const vg_piece *piece = &moments->pieces[i];
        for (int j = 0; j < optimizer->range_count; j++) {
            const range *r = &optimizer->ranges[j];
            int64_t first = r->first > piece->first ? r->first : piece->first;
            int64_t end = r->first + r->count, piece_end = piece->first + piece->count;
            if (piece_end < end) end = piece_end;
            if (first < end)
                cut[count++] = (range){.first = first,
                                       .count = end - first,
                                       .moment = moment + first - piece->first,
                                       .decay = r->decay};
        }
        moment += piece->count;
    }
    free(optimizer->ranges);
    optimizer->ranges = cut;
    optimizer->range_count = count;
    return VG_OK;
}

size_t vg_optimizer_bytes(const vg_parameters *parameters, int ranks)
{
    return vg__moments_bytes(parameters, ranks);
}

vg_status vg_optimizer_create(vg_kernels *kernels, vg_parameters *parameters,
                              const vg_optimizer_config *config, vg_parallel *parallel, vg_optimizer **out)
{
    VG_TRY(check(config));
    VG_ASSERT(parameters->values.memory && parameters->gradients.memory);
    vg_optimizer *optimizer = calloc(1, sizeof *optimizer);
    if (!optimizer) return vg_fail(VG_ERR_MEMORY, "cannot create an optimiser");
    vg_status status;
    optimizer->kernels = kernels;
    optimizer->parameters = parameters;
    optimizer->parallel = parallel;
    optimizer->config = *config;
    optimizer->config.frozen_prefix = NULL; /* ours is the copy */
    snprintf(optimizer->frozen, sizeof optimizer->frozen, "%s",
             config->frozen_prefix ? config->frozen_prefix : "");
    VG_TRY_OUT(plan_ranges(optimizer));
    VG_TRY_OUT(vg__moments_init(&optimizer->moments, kernels->device, parameters, parallel));
    VG_TRY_OUT(cut_ranges(optimizer));
    *out = optimizer;
    return VG_OK;
out:
    vg_optimizer_destroy(optimizer);
    return status;
}

void vg_optimizer_destroy(vg_optimizer *optimizer)
{
    if (!optimizer) return;
    vg__moments_free(&optimizer->moments);
    free(optimizer->ranges);
    free(optimizer);
}

static vg_tensor part(vg_tensor flat, int64_t first, int64_t count)
{
    char *data = (char *)flat.data + (size_t)first * vg_dtype_size(flat.dtype);
    return vg_tensor_make(data, flat.dtype, VG_DIMS(count));
}

vg_status vg_optimizer_step(vg_optimizer *optimizer, double lr, vg_tensor stats)
{
    vg_kernels *kernels = optimizer->kernels;
    vg_device *device = kernels->device;
    const vg_optimizer_config *c = &optimizer->config;
    vg_tensor values = vg_parameters_flat_values(optimizer->parameters);
    vg_tensor masters = vg_parameters_flat_masters(optimizer->parameters);
    bool rounded = masters.data != values.data;
    vg_tensor gradients = vg_parameters_flat_gradients(optimizer->parameters);
    const vg_moments *moments = &optimizer->moments;
    double *record = moments->record.data; /* an address on the device, not to be looked into */
    vg_tensor norm = vg_tensor_make(record, VG_F64, VG_DIMS(1));
    vg_tensor count = vg_tensor_make(record + 2, VG_F64, VG_DIMS(1));
    VG_TRY(vg_device_zero(device, record, sizeof *record));
    VG_TRY(vg_device_copy(device, record + 1, stats.data, 2 * sizeof *record, VG_COPY_ON_DEVICE));
    for (int i = 0; i < optimizer->range_count; i++) {
        const range *r = &optimizer->ranges[i];
        VG_TRY(VG_RUN(kernels, grad_norm, .gradient = part(gradients, r->first, r->count), .sum = norm));
    }
    if (moments->sharded) VG_TRY(vg_parallel_sum_pieces(optimizer->parallel, "the gradient's norm", norm));
    for (int i = 0; i < optimizer->range_count; i++) {
        const range *r = &optimizer->ranges[i];
        VG_TRY(VG_RUN(kernels, adamw, .parameter = part(masters, r->first, r->count),
                      .gradient = part(gradients, r->first, r->count),
                      .m = part(moments->m, r->moment, r->count), .v = part(moments->v, r->moment, r->count),
                      .copy = rounded ? part(values, r->first, r->count) : (vg_tensor){0}, .count = count,
                      .norm_squared = norm, .lr = lr, .beta1 = c->beta1, .beta2 = c->beta2,
                      .epsilon = c->epsilon, .weight_decay = r->decay ? c->weight_decay : 0,
                      .max_norm = c->clip_norm, .step = optimizer->steps + 1,
                      .decoupled = c->kind == VG_OPTIMIZER_ADAMW));
    }
    optimizer->steps++;
    return moments->sharded ? vg_parallel_gather(optimizer->parallel, "weights", values) : VG_OK;
}

int64_t vg_optimizer_steps(const vg_optimizer *optimizer)
{
    return optimizer->steps;
}

vg_status vg_optimizer_read_step(vg_optimizer *optimizer, vg_step *step)
{
    double record[3];
    const vg_moments *moments = &optimizer->moments;
    VG_TRY(vg_device_copy(moments->device, record, moments->record.data, sizeof record, VG_COPY_TO_HOST));
    VG_TRY(vg__moments_wait(moments));
    *step = (vg_step){
        .loss = record[1], .count = record[2], .norm = record[2] > 0 ? sqrt(record[0]) / record[2] : 0};
    return VG_OK;
}

vg_status vg_optimizer_save(const vg_optimizer *optimizer, const char *path)
{
    const vg_moments *moments = &optimizer->moments;
    if (!path && !moments->sharded) return VG_OK;
    return vg__moments_save(moments, path, kind_names[optimizer->config.kind], optimizer->steps);
}

vg_status vg_optimizer_load(vg_optimizer *optimizer, const char *path)
{
    return vg__moments_load(&optimizer->moments, path, kind_names[optimizer->config.kind], &optimizer->steps);
}

vg_status vg_optimizer_gather_masters(vg_optimizer *optimizer)
{
    vg_tensor masters = vg_parameters_flat_masters(optimizer->parameters);
    if (!optimizer->moments.sharded || masters.data == optimizer->parameters->flat_values.data) return VG_OK;
    VG_TRY(vg_parallel_gather(optimizer->parallel, "master weights", masters));
    return vg__moments_wait(&optimizer->moments);
}
