#include "models/optimizer.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/safetensors.h"

/* Neighbours in the slab that are treated alike, in elements. */
typedef struct range {
    int64_t first, count;
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
    vg_slab state;
    vg_tensor m, v;   /* laid out as the parameters */
    vg_tensor record; /* (3) F64: the latest step's squared norm, sum of the loss and count */
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

size_t vg_optimizer_bytes(const vg_parameters *parameters)
{
    return 2 * parameters->gradients.bytes + 256;
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
    optimizer->state = vg_slab_make("optimiser state");
    VG_TRY_OUT(plan_ranges(optimizer));
    vg_tensor flat = vg_parameters_flat_masters(parameters);
    VG_TRY_OUT(vg_slab_add(&optimizer->state, &optimizer->m, flat.dtype, 1, flat.dims));
    VG_TRY_OUT(vg_slab_add(&optimizer->state, &optimizer->v, flat.dtype, 1, flat.dims));
    VG_TRY_OUT(vg_slab_add(&optimizer->state, &optimizer->record, VG_F64, VG_DIMS(3)));
    VG_TRY_OUT(vg_slab_bind(&optimizer->state, kernels->device));
    *out = optimizer;
    return VG_OK;
out:
    vg_optimizer_destroy(optimizer);
    return status;
}

void vg_optimizer_destroy(vg_optimizer *optimizer)
{
    if (!optimizer) return;
    vg_slab_free(&optimizer->state);
    free(optimizer->ranges);
    free(optimizer);
}

static vg_tensor part(vg_tensor flat, const range *r)
{
    char *data = (char *)flat.data + (size_t)r->first * vg_dtype_size(flat.dtype);
    return vg_tensor_make(data, flat.dtype, 1, &r->count);
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
    double *record = optimizer->record.data; /* an address on the device, not to be looked into */
    vg_tensor norm = vg_tensor_make(record, VG_F64, VG_DIMS(1));
    vg_tensor count = vg_tensor_make(record + 2, VG_F64, VG_DIMS(1));
    VG_TRY(vg_device_zero(device, record, sizeof *record));
    VG_TRY(vg_device_copy(device, record + 1, stats.data, 2 * sizeof *record, VG_COPY_ON_DEVICE));
    for (int i = 0; i < optimizer->range_count; i++)
        VG_TRY(VG_RUN(kernels, grad_norm, .gradient = part(gradients, &optimizer->ranges[i]), .sum = norm));
    for (int i = 0; i < optimizer->range_count; i++) {
        const range *r = &optimizer->ranges[i];
        VG_TRY(VG_RUN(kernels, adamw, .parameter = part(masters, r), .gradient = part(gradients, r),
                      .m = part(optimizer->m, r), .v = part(optimizer->v, r),
                      .copy = rounded ? part(values, r) : (vg_tensor){0}, .count = count,
                      .norm_squared = norm, .lr = lr, .beta1 = c->beta1, .beta2 = c->beta2,
                      .epsilon = c->epsilon, .weight_decay = r->decay ? c->weight_decay : 0,
                      .max_norm = c->clip_norm, .step = optimizer->steps + 1,
                      .decoupled = c->kind == VG_OPTIMIZER_ADAMW));
    }
    optimizer->steps++;
    return VG_OK;
}

int64_t vg_optimizer_steps(const vg_optimizer *optimizer)
{
    return optimizer->steps;
}

vg_status vg_optimizer_read_step(vg_optimizer *optimizer, vg_step *step)
{
    double record[3];
    vg_device *device = optimizer->kernels->device;
    VG_TRY(vg_device_copy(device, record, optimizer->record.data, sizeof record, VG_COPY_TO_HOST));
    VG_TRY(vg_device_synchronize(device));
    *step = (vg_step){
        .loss = record[1], .count = record[2], .norm = record[2] > 0 ? sqrt(record[0]) / record[2] : 0};
    return VG_OK;
}

/* The names of both moments of every parameter; entries 2i and 2i + 1 belong to parameter i. */
typedef struct state_list {
    char (*names)[VG_MAX_PARAMETER_NAME + 2];
    vg_named_tensor *tensors;
    size_t count;
} state_list;

/* `m`, `v`: where the moments start, on the device or in a copy on the host. */
static vg_status list_state(const vg_optimizer *optimizer, char *m, char *v, state_list *list)
{
    const vg_parameters *parameters = optimizer->parameters;
    list->count = 2 * (size_t)parameters->count;
    list->names = calloc(list->count + 1, sizeof *list->names);
    list->tensors = calloc(list->count + 1, sizeof *list->tensors);
    if (!list->names || !list->tensors) return vg_fail(VG_ERR_MEMORY, "cannot list the optimiser's state");
    for (size_t i = 0; i < list->count; i++) {
        const vg_parameter *p = parameters->list[i / 2];
        size_t offset = (size_t)p->offset * vg_dtype_size(parameters->stored);
        snprintf(list->names[i], sizeof *list->names, "%c.%s", i % 2 ? 'v' : 'm', p->name);
        list->tensors[i] = (vg_named_tensor){.name = list->names[i], .tensor = p->gradient};
        list->tensors[i].tensor.data = (i % 2 ? v : m) + offset;
    }
    return VG_OK;
}

static void free_state(state_list *list)
{
    free(list->names);
    free(list->tensors);
}

vg_status vg_optimizer_save(const vg_optimizer *optimizer, const char *path)
{
    vg_device *device = optimizer->kernels->device;
    size_t bytes = vg_tensor_bytes(&optimizer->m);
    state_list list = {0};
    vg_status status = VG_OK;
    char steps[32], *host = malloc(2 * bytes + 1);
    if (!host) return vg_fail(VG_ERR_MEMORY, "cannot copy the optimiser's state for %s", path);
    snprintf(steps, sizeof steps, "%" PRId64, optimizer->steps);
    vg_text_pair metadata[] = {{"optimizer", kind_names[optimizer->config.kind]}, {"steps", steps}};
    VG_TRY_OUT(vg_device_copy(device, host, optimizer->m.data, bytes, VG_COPY_TO_HOST));
    VG_TRY_OUT(vg_device_copy(device, host + bytes, optimizer->v.data, bytes, VG_COPY_TO_HOST));
    VG_TRY_OUT(vg_device_synchronize(device));
    VG_TRY_OUT(list_state(optimizer, host, host + bytes, &list));
    VG_TRY_OUT(vg_safetensors_write(path, list.tensors, list.count, metadata, 2));
out:
    free_state(&list);
    free(host);
    return status;
}

/* The step count, in digits only and within what a double counts exactly. */
static vg_status parse_steps(const char *path, const char *text, int64_t *steps)
{
    char *end = NULL;
    long long value = text && *text >= '0' && *text <= '9' ? strtoll(text, &end, 10) : -1;
    if (value < 0 || *end || value > (1LL << 53))
        return vg_fail(VG_ERR_DATA, "%s: 'steps' in the metadata is no count of steps: %s", path,
                       text ? text : "absent");
    *steps = value;
    return VG_OK;
}

static vg_status check_state(const state_list *list, const vg_safetensors *file, const char *path)
{
    for (size_t i = 0; i < list->count; i++) {
        const vg_tensor *ours = &list->tensors[i].tensor, *stored;
        char a[96], b[96];
        stored = vg_safetensors_find(file, list->tensors[i].name);
        if (!stored)
            return vg_fail(VG_ERR_DATA, "%s lacks the tensor %s: the optimiser state of another model", path,
                           list->tensors[i].name);
        if (!vg_tensor_same_shape(stored, ours) || stored->dtype != ours->dtype)
            return vg_fail(VG_ERR_DATA,
                           "%s: %s is %s in the file and %s here: the optimiser state of another model", path,
                           list->tensors[i].name, vg_tensor_describe(stored, a, sizeof a),
                           vg_tensor_describe(ours, b, sizeof b));
    }
    if (vg_safetensors_count(file) != list->count)
        return vg_fail(VG_ERR_DATA, "%s holds %zu tensors, not %zu: the optimiser state of another model",
                       path, vg_safetensors_count(file), list->count);
    return VG_OK;
}

vg_status vg_optimizer_load(vg_optimizer *optimizer, const char *path)
{
    vg_safetensors *file = NULL;
    state_list list = {0};
    int64_t steps = 0;
    vg_status status;
    VG_TRY_OUT(vg_safetensors_open(path, &file));
    const char *kind = vg_safetensors_metadata(file, "optimizer");
    if (!kind || strcmp(kind, kind_names[optimizer->config.kind])) {
        status = vg_fail(VG_ERR_DATA, "%s holds the state of the optimiser '%s', and this run uses '%s'",
                         path, kind ? kind : "(none)", kind_names[optimizer->config.kind]);
        goto out;
    }
    VG_TRY_OUT(parse_steps(path, vg_safetensors_metadata(file, "steps"), &steps));
    VG_TRY_OUT(list_state(optimizer, optimizer->m.data, optimizer->v.data, &list));
    VG_TRY_OUT(check_state(&list, file, path));
    for (size_t i = 0; i < list.count; i++) {
        const vg_tensor *stored = vg_safetensors_find(file, list.tensors[i].name);
        VG_TRY_OUT(vg_device_copy(optimizer->kernels->device, list.tensors[i].tensor.data, stored->data,
                                  vg_tensor_bytes(stored), VG_COPY_TO_DEVICE));
    }
    VG_TRY_OUT(vg_device_synchronize(optimizer->kernels->device));
    optimizer->steps = steps;
out:
    free_state(&list);
    vg_safetensors_close(file);
    return status;
}

vg_status vg_optimizer_gather_masters(vg_optimizer *optimizer)
{
    VG_ASSERT(!optimizer->parallel);
    return VG_OK;
}
