#include "experiments/runner/experiment.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "core/file.h"

enum { EXTENDS_DEPTH = 8 };

#define VG_SCHEMA_STRUCT vg_experiment
static const vg_schema_field fields[] = {
#include "core/schema_rows.h"
#include "experiments/runner/experiment.def"
};

const vg_schema vg_experiment_schema = VG_SCHEMA("experiment", fields, vg_experiment);

/* Reads `path`, checks its keys, and merges into `into` first what it extends, then itself. */
static vg_status read_chain(const char *path, int depth, vg_yaml *into)
{
    vg_yaml *file = NULL;
    char *folder = NULL, *base = NULL;
    vg_status status;
    if (depth == EXTENDS_DEPTH)
        return vg_fail(VG_ERR_CONFIG, "%s: more than %d files extend one another; is there a circle?", path,
                       EXTENDS_DEPTH);
    VG_TRY(vg_yaml_read(path, &file));
    const vg_yaml_node *extends = vg_yaml_remove(vg_yaml_root(file), "extends");
    VG_TRY_OUT(vg_schema_normalize(&vg_experiment_schema, file));
    if (extends) {
        const char *name;
        VG_TRY_OUT(vg_yaml_string(extends, "extends", &name));
        VG_TRY_OUT(vg_path_folder(path, &folder));
        VG_TRY_OUT(vg_path_join(folder, name, &base));
        status = read_chain(base, depth + 1, into);
        if (status == VG_ERR_NOT_FOUND)
            status = vg_yaml_fail(VG_ERR_CONFIG, &extends->place, "extends: there is no file %s", base);
        if (status != VG_OK) goto out;
    }
    VG_TRY_OUT(vg_yaml_merge(into, vg_yaml_root(file)));
out:
    vg_yaml_destroy(file);
    free(folder);
    free(base);
    return status;
}

/* Names of devices; whether there is one by that name is known when it is opened. */
static vg_status check_device(const vg_experiment *e, const char *path)
{
    const char *number = !strncmp(e->device, "cuda:", 5) ? e->device + 5 : NULL;
    size_t digits = number ? strspn(number, "0123456789") : 0;
    bool numbered = number && digits >= 1 && digits <= 4 && !number[digits];
    bool gpu = numbered || !strcmp(e->device, "cuda");
    if (!gpu && strcmp(e->device, "cpu") && strcmp(e->device, "auto"))
        return vg_fail(VG_ERR_CONFIG, "%s: device is '%s'; it is auto, cpu, cuda or cuda:N, N from 0", path,
                       e->device);
    const char *backend = vg_experiment_choice(e, "backend");
    if (gpu && strcmp(backend, "auto"))
        return vg_fail(VG_ERR_CONFIG,
                       "%s: backend '%s' computes on the CPU and device is '%s'; leave one of them to auto",
                       path, backend, e->device);
    bool cpu = !strcmp(e->device, "cpu") || strcmp(backend, "auto");
    if (cpu && !strcmp(vg_experiment_choice(e, "precision"), "tf32"))
        return vg_fail(VG_ERR_CONFIG,
                       "%s: precision is tf32, which only GPUs compute in; on the CPU take fp32", path);
    return VG_OK;
}

/* What a range of a single key cannot say. */
static vg_status check(const vg_experiment *e, const char *path)
{
    VG_TRY(check_device(e, path));
    if (e->data.stores.count == 0)
        return vg_fail(VG_ERR_CONFIG, "%s: data.stores is empty; name at least one store", path);
    if (e->data.weights.count && e->data.weights.count != e->data.stores.count)
        return vg_fail(VG_ERR_CONFIG, "%s: data.weights has %zu entries and data.stores %zu; one each", path,
                       e->data.weights.count, e->data.stores.count);
    if (e->model.conv_channels.count != e->model.conv_kernels.count)
        return vg_fail(VG_ERR_CONFIG,
                       "%s: model.conv_channels has %zu entries and model.conv_kernels %zu; one each a layer",
                       path, e->model.conv_channels.count, e->model.conv_kernels.count);
    if (e->masking.random_share + e->masking.keep_share > 1)
        return vg_fail(VG_ERR_CONFIG, "%s: masking.random_share and masking.keep_share add up to more than 1",
                       path);
    if (e->train.micro_batch > e->train.batch_size)
        return vg_fail(VG_ERR_CONFIG, "%s: train.micro_batch (%lld) is larger than train.batch_size (%lld)",
                       path, (long long)e->train.micro_batch, (long long)e->train.batch_size);
    if (e->early_stopping.patience != VG_NULL_INT && e->data.validation == 0)
        return vg_fail(VG_ERR_CONFIG,
                       "%s: early_stopping.patience waits for the validation loss and data.validation is 0; "
                       "set some data aside, or patience to null",
                       path);
    if (e->scheduler.min_lr > e->optimizer.lr)
        return vg_fail(VG_ERR_CONFIG, "%s: scheduler.min_lr is above optimizer.lr", path);
    return VG_OK;
}

vg_status vg_experiment_load(const char *path, const char *const *overrides, int count, vg_experiment *out)
{
    vg_yaml *yaml;
    VG_TRY(vg_yaml_create(&yaml));
    vg_status status = read_chain(path, 0, yaml);
    if (status == VG_ERR_NOT_FOUND)
        status = VG_ERR_CONFIG; /* a wrong file name is a usage error; the cause stays */
    if (status != VG_OK) goto out;
    for (int i = 0; i < count; i++) VG_TRY_OUT(vg_schema_override(&vg_experiment_schema, yaml, overrides[i]));
    VG_TRY_OUT(vg_schema_load(&vg_experiment_schema, out, vg_yaml_root(yaml)));
    status = check(out, path);
    if (status != VG_OK) vg_experiment_free(out);
out:
    vg_yaml_destroy(yaml);
    return status;
}

void vg_experiment_free(vg_experiment *experiment)
{
    vg_schema_free(&vg_experiment_schema, experiment);
}

const char *vg_experiment_choice(const vg_experiment *experiment, const char *path)
{
    static _Thread_local char names[4][64];
    static _Thread_local unsigned next;
    const vg_schema_field *field = vg_schema_find(&vg_experiment_schema, path);
    VG_ASSERT(field && field->type == VG_FIELD_ENUM);
    int value;
    memcpy(&value, (const char *)experiment + field->offset, sizeof value);
    char *name = names[next++ % 4];
    return vg_schema_enum_name(&vg_experiment_schema, path, value, name, sizeof names[0]);
}
