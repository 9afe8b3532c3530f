#include "experiments/runner/evaluation/prediction/wish.h"

#include <stdio.h>
#include <string.h>

#include "core/file.h"
#include "core/text.h"
#include "experiments/runner/evaluation/prediction/recipe.h"

static const char *const keys[] = {
    "device",
    "precision",
    "backend",
    "threads",
    "evaluation.prior",
    "data.lead",
    "data.stride",
    "data.flat_below",
    "data.clipped_share",
    "data.memory_gib",
    "train.micro_batch",
    "parallel.transport",
    "parallel.timeout",
    "parallel.start_timeout",
};
enum { KEYS = sizeof keys / sizeof *keys };

const char *vg_wish_key(int index)
{
    return index >= 0 && index < (int)KEYS ? keys[index] : NULL;
}

vg_status vg_wish_init(vg_wish *out)
{
    *out = (vg_wish){0};
    return vg_schema_init(&vg_experiment_schema, &out->experiment);
}

void vg_wish_free(vg_wish *wish)
{
    vg_schema_free(&vg_experiment_schema, &wish->experiment);
}

vg_status vg_wish_set(vg_wish *wish, const char *assignment)
{
    const char *equals = strchr(assignment, '=');
    char name[128], known[512] = "";
    VG_ASSERT(equals);
    snprintf(name, sizeof name, "%.*s", (int)(equals - assignment), assignment);
    for (size_t i = 0; i < KEYS; i++) {
        if (!strcmp(name, keys[i])) {
            wish->prior |= !strcmp(name, "evaluation.prior");
            wish->lead |= !strcmp(name, "data.lead");
            wish->stride |= !strcmp(name, "data.stride");
            wish->flat |= !strcmp(name, "data.flat_below");
            wish->clipped |= !strcmp(name, "data.clipped_share");
            return vg_schema_set(&vg_experiment_schema, &wish->experiment, name, equals + 1);
        }
        size_t used = strlen(known);
        snprintf(known + used, sizeof known - used, "%s%s", used ? ", " : "", keys[i]);
    }
    const vg_schema_field *field;
    VG_TRY(vg_schema_need(&vg_experiment_schema, name, NULL, &field));
    return vg_fail(VG_ERR_CONFIG,
                   "predict: %s cannot be chosen here, it is the model's own or concerns training; what can "
                   "be chosen: %s",
                   name, known);
}

vg_status vg_wish_follow(vg_wish *wish, const vg_fitted *model)
{
    const vg_preprocessing *contract = &model->contract;
    vg_experiment *e = &wish->experiment;
    e->data.seconds = contract->seconds;
    if (!wish->stride) e->data.stride = contract->stride; /* 0, not recorded: no overlap */
    if (model->described && !wish->flat) e->data.flat_below = model->classifier.flat_below;
    if (model->described && !wish->clipped) e->data.clipped_share = model->classifier.clipped_share;
    if (wish->lead || !contract->lead[0]) return VG_OK;
    return vg_text_copy(contract->lead, &e->data.lead);
}

/* Adds to the cause what to type for data that fit. */
static vg_status tell_recipe(vg_status status, const vg_preprocessing *contract, const char *how)
{
    vg_text said = {0};
    vg_text_add(&said, "%s. ", vg_cause());
    vg_recipe_tell(contract, how, &said);
    (void)vg_fail(status, "%s", said.data ? said.data : how);
    vg_text_free(&said);
    return status;
}

vg_status vg_wish_check(const vg_wish *wish, const vg_fitted *model, const char *path, const char *name)
{
    const vg_experiment *e = &wish->experiment;
    vg_store *store;
    vg_preprocessing data;
    vg_status status = vg_store_open(path, &store);
    if (status != VG_OK && vg_path_exists(path) && status != VG_ERR_MEMORY)
        return tell_recipe(status, &model->contract,
                           "Recordings are answered for with --import FORMAT, or become a store for this "
                           "model by");
    VG_TRY(status);
    status = vg_preprocessing_from_store(vg_store_get_info(store), &data);
    vg_store_close(store);
    if (status != VG_OK) return vg_context(status, "%s", name);
    data.seconds = e->data.seconds;
    data.stride = e->data.stride > 0 ? e->data.stride : e->data.seconds;
    data.normalize = model->contract.normalize;
    data.lead_known = true;
    snprintf(data.lead, sizeof data.lead, "%s", e->data.lead ? e->data.lead : "");
    status = vg_preprocessing_check(&model->contract, "the model", &data, name);
    if (status == VG_OK) return VG_OK;
    return tell_recipe(status, &model->contract, "Data for this model are made by");
}
