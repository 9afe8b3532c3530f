#include "models/params.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/random.h"
#include "models/convert.h"

vg_parameters vg_parameters_make(vg_dtype dtype)
{
    return (vg_parameters){.dtype = dtype,
                           .stored = dtype == VG_F64 ? VG_F64 : VG_F32,
                           .values = vg_slab_make("parameters"),
                           .masters = vg_slab_make("master parameters"),
                           .gradients = vg_slab_make("gradients")};
}

void vg_parameters_free(vg_parameters *parameters)
{
    for (int i = 0; i < parameters->count; i++) free(parameters->list[i]);
    free(parameters->list);
    parameters->list = NULL;
    parameters->count = parameters->capacity = 0;
    vg_slab_free(&parameters->values);
    vg_slab_free(&parameters->masters);
    vg_slab_free(&parameters->gradients);
}

vg_status vg_parameters_declare(vg_parameters *parameters, const char *name, vg_init init, bool decay,
                                int rank, const int64_t *dims, vg_parameter **out)
{
    VG_ASSERT(!parameters->values.memory && strlen(name) < VG_MAX_PARAMETER_NAME);
    VG_ASSERT(!vg_parameters_find(parameters, name));
    if (parameters->count == parameters->capacity) {
        int capacity = parameters->capacity ? 2 * parameters->capacity : 64;
        vg_parameter **grown = realloc(parameters->list, (size_t)capacity * sizeof *grown);
        if (!grown) return vg_fail(VG_ERR_MEMORY, "cannot list the parameter %s", name);
        parameters->list = grown;
        parameters->capacity = capacity;
    }
    vg_parameter *parameter = calloc(1, sizeof *parameter);
    if (!parameter) return vg_fail(VG_ERR_MEMORY, "cannot list the parameter %s", name);
    snprintf(parameter->name, sizeof parameter->name, "%s", name);
    parameter->value = vg_tensor_make(NULL, parameters->dtype, rank, dims);
    parameter->gradient = vg_tensor_make(NULL, parameters->stored, rank, dims);
    parameter->init = init;
    parameter->decay = decay;
    parameter->index = parameters->count;
    parameters->list[parameters->count++] = parameter;
    *out = parameter;
    return VG_OK;
}

/* A view of a parameter in one of the slabs. */
static void place(vg_tensor *view, const vg_tensor *slab, int64_t offset)
{
    view->data = (char *)slab->data + (size_t)offset * vg_dtype_size(view->dtype);
}

vg_status vg_parameters_plan(vg_parameters *parameters, bool training)
{
    int64_t total = 0;
    for (int pass = 0; pass < 2; pass++)
        for (int i = 0; i < parameters->count; i++) {
            vg_parameter *p = parameters->list[i];
            if (p->decay != (pass == 0)) continue;
            p->offset = total;
            if (__builtin_add_overflow(total, vg_tensor_count(&p->value) + VG_PARAMETER_ALIGNMENT - 1,
                                       &total))
                return vg_fail(VG_ERR_SHAPE, "the parameters are too large to address");
            total -= total % VG_PARAMETER_ALIGNMENT;
        }
    VG_TRY(vg_slab_add(&parameters->values, &parameters->flat_values, parameters->dtype, VG_DIMS(total)));
    if (!training) return VG_OK;
    if (parameters->dtype != parameters->stored)
        VG_TRY(
            vg_slab_add(&parameters->masters, &parameters->flat_masters, parameters->stored, VG_DIMS(total)));
    return vg_slab_add(&parameters->gradients, &parameters->flat_gradients, parameters->stored,
                       VG_DIMS(total));
}

vg_status vg_parameters_bind(vg_parameters *parameters, vg_device *device)
{
    VG_TRY(vg_slab_bind(&parameters->values, device));
    if (parameters->masters.entry_count) VG_TRY(vg_slab_bind(&parameters->masters, device));
    if (parameters->gradients.entry_count) VG_TRY(vg_slab_bind(&parameters->gradients, device));
    for (int i = 0; i < parameters->count; i++) {
        vg_parameter *p = parameters->list[i];
        place(&p->value, &parameters->flat_values, p->offset);
        if (parameters->gradients.memory) place(&p->gradient, &parameters->flat_gradients, p->offset);
    }
    return VG_OK;
}

size_t vg_parameters_bytes(const vg_parameters *parameters)
{
    return parameters->values.bytes + parameters->masters.bytes + parameters->gradients.bytes;
}

/* FNV-1a: which stream of random numbers a name owns. */
static uint32_t hash(const char *name)
{
    uint32_t h = 2166136261u;
    for (; *name; name++) h = (h ^ (unsigned char)*name) * 16777619u;
    return h;
}

static double fresh(const vg_init *init, vg_random *random)
{
    switch (init->kind) {
    case VG_INIT_ZEROS:
        return 0;
    case VG_INIT_ONES:
        return 1;
    case VG_INIT_UNIFORM:
        return init->scale * (2 * vg_random_uniform(random) - 1);
    case VG_INIT_NORMAL:
        return init->scale * vg_random_normal(random);
    }
    VG_ASSERT(!"a known way to start");
}

vg_status vg_parameters_initialize(vg_parameters *parameters, uint64_t seed)
{
    size_t largest = 0;
    for (int i = 0; i < parameters->count; i++) {
        size_t bytes = vg_tensor_bytes(&parameters->list[i]->gradient); /* in the type of the host */
        if (bytes > largest) largest = bytes;
    }
    void *host = malloc(largest + 1);
    if (!host) return vg_fail(VG_ERR_MEMORY, "cannot initialise the parameters");
    vg_status status = VG_OK;
    for (int i = 0; i < parameters->count; i++) {
        vg_parameter *p = parameters->list[i];
        vg_random random = vg_random_make(seed, VG_SITE_INIT, hash(p->name));
        int64_t count = vg_tensor_count(&p->value);
        for (int64_t j = 0; j < count; j++) {
            float value = (float)fresh(&p->init, &random);
            if (parameters->stored == VG_F64)
                ((double *)host)[j] = value;
            else
                ((float *)host)[j] = value;
        }
        VG_TRY_OUT(vg_parameters_set(parameters, &p->value, host));
    }
out:
    free(host);
    return status;
}

vg_status vg_parameters_zero_gradients(vg_parameters *parameters)
{
    return vg_slab_zero(&parameters->gradients);
}

vg_tensor vg_parameters_flat_values(const vg_parameters *parameters)
{
    return parameters->flat_values;
}
vg_tensor vg_parameters_flat_masters(const vg_parameters *parameters)
{
    return parameters->flat_masters.data ? parameters->flat_masters : parameters->flat_values;
}
vg_tensor vg_parameters_flat_gradients(const vg_parameters *parameters)
{
    return parameters->flat_gradients;
}

int64_t vg_parameters_total(const vg_parameters *parameters)
{
    int64_t total = 0;
    for (int i = 0; i < parameters->count; i++) total += vg_tensor_count(&parameters->list[i]->value);
    return total;
}

vg_parameter *vg_parameters_find(const vg_parameters *parameters, const char *name)
{
    for (int i = 0; i < parameters->count; i++)
        if (!strcmp(parameters->list[i]->name, name)) return parameters->list[i];
    return NULL;
}

/* The tensor that holds what `view` of the values stands for most exactly: its part of the masters, or
 * itself.
 */
static vg_tensor master_of(const vg_parameters *parameters, const vg_tensor *view)
{
    vg_tensor master = *view;
    if (view->dtype == parameters->stored || !parameters->masters.memory) return master;
    size_t element =
        (size_t)((char *)view->data - (char *)parameters->values.memory) / vg_dtype_size(parameters->dtype);
    master.dtype = parameters->stored;
    master.data = (char *)parameters->masters.memory + element * vg_dtype_size(parameters->stored);
    return master;
}

vg_status vg_parameters_get(const vg_parameters *parameters, const vg_tensor *view, void *host)
{
    vg_device *device = parameters->values.device;
    vg_tensor master = master_of(parameters, view);
    if (master.dtype != parameters->stored) return vg__convert_from(device, *view, host);
    VG_TRY(vg_device_copy(device, host, master.data, vg_tensor_bytes(&master), VG_COPY_TO_HOST));
    return vg_device_synchronize(device);
}

vg_status vg_parameters_set(const vg_parameters *parameters, const vg_tensor *view, const void *host)
{
    vg_device *device = parameters->values.device;
    vg_tensor master = master_of(parameters, view);
    if (master.dtype == parameters->stored)
        VG_TRY(vg_device_copy(device, master.data, host, vg_tensor_bytes(&master), VG_COPY_TO_DEVICE));
    if (view->dtype != parameters->stored) {
        void *staging = malloc(vg_tensor_bytes(view) + 1);
        if (!staging) return vg_fail(VG_ERR_MEMORY, "cannot set the parameters");
        vg_status status = vg__convert_to(device, *view, host, staging);
        free(staging);
        VG_TRY(status);
    }
    return vg_device_synchronize(device);
}

vg_status vg_parameters_save(const vg_parameters *parameters, const char *path, const vg_text_pair *metadata,
                             size_t metadata_count)
{
    size_t count = (size_t)parameters->count;
    size_t size = vg_dtype_size(parameters->stored);
    vg_tensor all = vg_parameters_flat_values(parameters);
    vg_named_tensor *tensors = calloc(count ? count : 1, sizeof *tensors);
    char *host = malloc((size_t)vg_tensor_count(&all) * size + 1);
    vg_status status = VG_OK;
    if (!tensors || !host) {
        status = vg_fail(VG_ERR_MEMORY, "cannot copy the parameters for %s", path);
        goto out;
    }
    VG_TRY_OUT(vg_parameters_get(parameters, &all, host));
    for (size_t i = 0; i < count; i++) {
        const vg_parameter *p = parameters->list[i];
        tensors[i] = (vg_named_tensor){.name = p->name, .tensor = p->gradient}; /* its shape and type */
        tensors[i].tensor.data = host + (size_t)p->offset * size;
    }
    VG_TRY_OUT(vg_safetensors_write(path, tensors, count, metadata, metadata_count));
out:
    free(tensors);
    free(host);
    return status;
}

static bool starts_with(const char *name, const char *prefix)
{
    return !prefix || !strncmp(name, prefix, strlen(prefix));
}

/* Every parameter that is wanted must be there with its shape and type, and the file may hold no other of the
 * same prefix. */
static vg_status compare(const vg_parameters *parameters, const vg_safetensors *file, const char *path,
                         const char *prefix, vg_load_report *report)
{
    for (int i = 0; i < parameters->count; i++) {
        const vg_parameter *p = parameters->list[i];
        if (!starts_with(p->name, prefix)) {
            if (!report->fresh++) memcpy(report->first_fresh, p->name, sizeof p->name);
            continue;
        }
        const vg_tensor *stored = vg_safetensors_find(file, p->name);
        char ours[96], theirs[96];
        vg_tensor_describe(&p->gradient, ours, sizeof ours); /* whose type is that of files */
        if (!stored)
            return vg_fail(VG_ERR_DATA, "%s lacks the tensor %s %s: a checkpoint of another model", path,
                           p->name, ours);
        if (!vg_tensor_same_shape(stored, &p->value) || stored->dtype != parameters->stored)
            return vg_fail(VG_ERR_DATA,
                           "%s: %s is %s in the file and %s in the model: a checkpoint of "
                           "another model",
                           path, p->name, vg_tensor_describe(stored, theirs, sizeof theirs), ours);
        report->loaded++;
    }
    for (size_t i = 0; i < vg_safetensors_count(file); i++) {
        const char *name = vg_safetensors_at(file, i)->name;
        if (vg_parameters_find(parameters, name) && starts_with(name, prefix)) continue;
        if (starts_with(name, prefix))
            return vg_fail(VG_ERR_DATA,
                           "%s holds the tensor %s, which the model does not have: a checkpoint of another "
                           "model",
                           path, name);
        if (!report->ignored++) snprintf(report->first_ignored, sizeof report->first_ignored, "%s", name);
    }
    if (!report->loaded)
        return vg_fail(VG_ERR_DATA, "%s holds nothing that starts with '%s'", path, prefix ? prefix : "");
    return VG_OK;
}

vg_status vg_parameters_load(vg_parameters *parameters, const char *path, const char *prefix,
                             vg_load_report *report)
{
    vg_safetensors *file = NULL;
    vg_load_report found = {0};
    vg_status status;
    VG_TRY_OUT(vg_safetensors_open(path, &file));
    VG_TRY_OUT(compare(parameters, file, path, prefix, &found));
    for (int i = 0; i < parameters->count; i++) {
        vg_parameter *p = parameters->list[i];
        if (!starts_with(p->name, prefix)) continue;
        VG_TRY_OUT(vg_parameters_set(parameters, &p->value, vg_safetensors_find(file, p->name)->data));
    }
    if (report) *report = found;
out:
    vg_safetensors_close(file);
    return status;
}
