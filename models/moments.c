#include "models/moments.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/safetensors.h"
#include "models/buckets.h"

static vg_status plan(vg_moments *moments, vg_dtype type, int64_t count)
{
    moments->slab = vg_slab_make("optimiser state");
    VG_TRY(vg_slab_add(&moments->slab, &moments->m, type, VG_DIMS(count)));
    VG_TRY(vg_slab_add(&moments->slab, &moments->v, type, VG_DIMS(count)));
    return vg_slab_add(&moments->slab, &moments->record, VG_F64, VG_DIMS(3));
}

size_t vg__moments_bytes(const vg_parameters *parameters, int ranks)
{
    vg_moments planned = {0};
    int64_t count = vg__buckets_most(parameters, ranks > 1 ? ranks : 1);
    size_t bytes = plan(&planned, parameters->stored, count) == VG_OK ? planned.slab.bytes : SIZE_MAX / 4;
    vg_slab_free(&planned.slab);
    return bytes;
}

vg_status vg__moments_init(vg_moments *moments, vg_device *device, vg_parameters *parameters,
                           vg_parallel *parallel)
{
    int64_t count = 0;
    *moments = (vg_moments){.device = device, .parameters = parameters, .parallel = parallel};
    moments->whole.count = vg_tensor_count(&parameters->flat_values);
    moments->sharded = parallel && vg_parallel_sharded(parallel);
    moments->pieces = &moments->whole;
    moments->piece_count = 1;
    if (moments->sharded) moments->pieces = vg_parallel_pieces(parallel, &moments->piece_count);
    for (int i = 0; i < moments->piece_count; i++) count += moments->pieces[i].count;
    VG_TRY(plan(moments, parameters->stored, count));
    return vg_slab_bind(&moments->slab, device);
}

void vg__moments_free(vg_moments *moments)
{
    vg_slab_free(&moments->slab);
}

vg_status vg__moments_wait(const vg_moments *moments)
{
    return moments->parallel ? vg_group_synchronize(vg_parallel_group(moments->parallel))
                             : vg_device_synchronize(moments->device);
}

/* ---- Sharded moments and a whole one ----------------------------------------------------------------------
 */

/* Where a whole moment lies for a while: in the gradients, which nobody needs between steps; or where it is
 * anyway. */
static vg_tensor room(const vg_moments *moments, vg_tensor moment)
{
    return moments->sharded ? vg_parameters_flat_gradients(moments->parameters) : moment;
}

/* Copies this rank's pieces into a whole moment, or out of it. */
static vg_status copy_pieces(const vg_moments *moments, vg_tensor moment, vg_tensor whole, bool out)
{
    const size_t size = vg_dtype_size(moment.dtype);
    char *compact = moment.data, *flat = whole.data;
    for (int i = 0; i < moments->piece_count; i++) {
        char *there = flat + (size_t)moments->pieces[i].first * size;
        size_t bytes = (size_t)moments->pieces[i].count * size;
        VG_TRY(vg_device_copy(moments->device, out ? compact : there, out ? there : compact, bytes,
                              VG_COPY_ON_DEVICE));
        compact += bytes;
    }
    return VG_OK;
}

/* Between steps the gradients' gaps are zero, so they are in the whole moment. */
static vg_status make_whole(const vg_moments *moments, vg_tensor moment, vg_tensor *whole)
{
    *whole = room(moments, moment);
    if (!moments->sharded) return VG_OK;
    VG_TRY(copy_pieces(moments, moment, *whole, false));
    return vg_parallel_gather(moments->parallel, "the optimiser's moments", *whole);
}

/* ---- The file ---------------------------------------------------------------------------------------------
 */

/* The names of both moments of every parameter, whose data is not set; entries 2i and 2i + 1 belong to
 * parameter i. */
typedef struct state_list {
    char (*names)[VG_MAX_PARAMETER_NAME + 2];
    vg_named_tensor *tensors;
    size_t count;
} state_list;

static vg_status list_state(const vg_parameters *parameters, state_list *list)
{
    list->count = 2 * (size_t)parameters->count;
    list->names = calloc(list->count + 1, sizeof *list->names);
    list->tensors = calloc(list->count + 1, sizeof *list->tensors);
    if (!list->names || !list->tensors) return vg_fail(VG_ERR_MEMORY, "cannot list the optimiser's state");
    for (size_t i = 0; i < list->count; i++) {
        const vg_parameter *p = parameters->list[i / 2];
        snprintf(list->names[i], sizeof *list->names, "%c.%s", i % 2 ? 'v' : 'm', p->name);
        list->tensors[i] = (vg_named_tensor){.name = list->names[i], .tensor = p->gradient};
        list->tensors[i].tensor.data = NULL;
    }
    return VG_OK;
}

static void free_state(state_list *list)
{
    free(list->names);
    free(list->tensors);
}

static size_t offset_of(const vg_moments *moments, size_t entry)
{
    const vg_parameters *parameters = moments->parameters;
    return (size_t)parameters->list[entry / 2]->offset * vg_dtype_size(parameters->stored);
}

vg_status vg__moments_save(const vg_moments *moments, const char *path, const char *kind, int64_t steps)
{
    const size_t bytes = (size_t)moments->whole.count * vg_dtype_size(moments->m.dtype);
    state_list list = {0};
    vg_status status = VG_OK;
    char text[32], *host = path ? malloc(2 * bytes + 1) : NULL;
    if (path && !host) return vg_fail(VG_ERR_MEMORY, "cannot copy the optimiser's state for %s", path);
    for (int i = 0; i < 2; i++) {
        vg_tensor whole;
        VG_TRY_OUT(make_whole(moments, i ? moments->v : moments->m, &whole));
        if (path)
            VG_TRY_OUT(vg_device_copy(moments->device, host + (size_t)i * bytes, whole.data, bytes,
                                      VG_COPY_TO_HOST));
        VG_TRY_OUT(vg__moments_wait(moments));
    }
    if (!path) goto out;
    VG_TRY_OUT(list_state(moments->parameters, &list));
    for (size_t i = 0; i < list.count; i++)
        list.tensors[i].tensor.data = host + i % 2 * bytes + offset_of(moments, i);
    snprintf(text, sizeof text, "%" PRId64, steps);
    vg_text_pair metadata[] = {{"optimizer", kind}, {"steps", text}};
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

/* Opens and checks everything that will be read. */
static vg_status open_state(const vg_moments *moments, const char *path, const char *kind,
                            vg_safetensors **file, state_list *list, int64_t *steps)
{
    VG_TRY(vg_safetensors_open(path, file));
    const char *found = vg_safetensors_metadata(*file, "optimizer");
    if (!found || strcmp(found, kind))
        return vg_fail(VG_ERR_DATA, "%s holds the state of the optimiser '%s', and this run uses '%s'", path,
                       found ? found : "(none)", kind);
    VG_TRY(parse_steps(path, vg_safetensors_metadata(*file, "steps"), steps));
    VG_TRY(list_state(moments->parameters, list));
    return check_state(list, *file, path);
}

/* Moment `which` of the file, at rank 0, to the device, from there to all ranks, and of that this rank's
 * pieces to where they belong. */
static vg_status load_moment(vg_moments *moments, const vg_safetensors *file, const state_list *list,
                             size_t which)
{
    vg_tensor moment = which ? moments->v : moments->m, whole = room(moments, moment);
    if (file) {
        VG_TRY(vg_device_zero(moments->device, whole.data, vg_tensor_bytes(&whole)));
        for (size_t i = which; i < list->count; i += 2) {
            const vg_tensor *stored = vg_safetensors_find(file, list->tensors[i].name);
            VG_TRY(vg_device_copy(moments->device, (char *)whole.data + offset_of(moments, i), stored->data,
                                  vg_tensor_bytes(stored), VG_COPY_TO_DEVICE));
        }
    }
    if (moments->parallel) VG_TRY(vg_parallel_broadcast(moments->parallel, "the optimiser's moments", whole));
    return moments->sharded ? copy_pieces(moments, moment, whole, true) : VG_OK;
}

/* Rank 0's number of steps reaches all, as a double that holds it exactly. */
static vg_status share_steps(vg_moments *moments, int64_t *steps)
{
    vg_tensor word = vg_tensor_make(moments->record.data, VG_F64, VG_DIMS(1));
    double value = (double)*steps;
    if (!moments->parallel) return VG_OK;
    VG_TRY(vg_device_copy(moments->device, word.data, &value, sizeof value, VG_COPY_TO_DEVICE));
    VG_TRY(vg_parallel_broadcast(moments->parallel, "the optimiser's steps", word));
    VG_TRY(vg_device_copy(moments->device, &value, word.data, sizeof value, VG_COPY_TO_HOST));
    VG_TRY(vg__moments_wait(moments));
    *steps = (int64_t)value;
    return VG_OK;
}

vg_status vg__moments_load(vg_moments *moments, const char *path, const char *kind, int64_t *steps)
{
    vg_safetensors *file = NULL;
    state_list list = {0};
    int64_t found = 0;
    vg_status status = VG_OK;
    VG_ASSERT(path || (moments->parallel && vg_group_rank(vg_parallel_group(moments->parallel)) > 0));
    if (path) VG_TRY_OUT(open_state(moments, path, kind, &file, &list, &found));
    for (size_t which = 0; which < 2; which++) VG_TRY_OUT(load_moment(moments, file, &list, which));
    VG_TRY_OUT(share_steps(moments, &found));
    VG_TRY_OUT(vg__moments_wait(moments));
    *steps = found;
out:
    free_state(&list);
    vg_safetensors_close(file);
    return status;
}
