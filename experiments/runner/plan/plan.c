#include "experiments/runner/plan/plan.h"

#include <inttypes.h>
#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "core/file.h"
#include "datasets/split.h"
#include "experiments/runner/plan/report.h"
#include "experiments/runner/training/setup.h"
#include "models/resident.h"

#define VG_SCHEMA_STRUCT vg_plan_options
static const vg_schema_field fields[] = {
#include "core/schema_rows.h"
#include "experiments/runner/plan/plan.def"
};
const vg_schema vg_plan_schema = VG_SCHEMA("plan", fields, vg_plan_options);

static vg_status check(const vg_plan_options *options)
{
    if (!isnan(options->plan.price) && !options->plan.currency)
        return vg_fail(VG_ERR_CONFIG,
                       "plan.price is %g of which currency? Give plan.currency, EUR or USD say",
                       options->plan.price);
    return VG_OK;
}

vg_status vg_plan_options_read(const char *const *words, int count, vg_plan_options *out)
{
    vg_yaml *yaml;
    vg_status status = VG_OK;
    VG_TRY(vg_yaml_parse("{}", 2, "plan", &yaml));
    for (int i = 0; i < count && status == VG_OK; i++)
        status = vg_schema_override(&vg_plan_schema, yaml, words[i]);
    if (status == VG_OK) status = vg_schema_load(&vg_plan_schema, out, vg_yaml_root(yaml));
    vg_yaml_destroy(yaml);
    if (status != VG_OK) return status;
    status = check(out);
    if (status != VG_OK) vg_schema_free(&vg_plan_schema, out);
    return status;
}

static int64_t limited(int64_t count, int64_t most)
{
    return most && most < count ? most : count;
}

/* Reads the stores and divides them as the run would. */
static vg_status read_stores(const vg_experiment *e, vg_model_options *model, vg_plan_data *data)
{
    vg_corpus *corpus = NULL;
    vg_split *split = NULL;
    vg_status status;
    VG_TRY(vg_setup_corpus(e, &corpus));
    VG_TRY_OUT(vg_setup_model(e, corpus, VG_HEAD_RECONSTRUCTION, model));
    VG_TRY_OUT(vg_split_create_holdout(corpus, NULL, 0, e->data.validation, e->seed, &split));
    *data =
        (vg_plan_data){.known = true,
                       .train = limited(split->folds->train_count, e->data.max_segments),
                       .validation = limited(split->folds->validation_count, e->train.validation_segments),
                       .bytes = (double)vg_resident_bytes(corpus->sample_count, corpus->segment_count)};
    snprintf(data->source, sizeof data->source, "read from data.stores (%zu of them)", e->data.stores.count);
out:
    vg_split_destroy(split);
    vg_corpus_destroy(corpus);
    return status;
}

/* By plan.segments: subjects are held out in a run, so the share that is held out is about the one asked for.
 */
static void take_stated(const vg_experiment *e, const vg_plan_options *options, int64_t length,
                        vg_plan_data *data)
{
    const int64_t all = options->plan.segments;
    const int64_t held_out = (int64_t)llround((double)all * e->data.validation);
    const double stride = e->data.stride > 0 ? e->data.stride * options->plan.sample_rate : (double)length;
    *data = (vg_plan_data){.known = true,
                           .train = limited(all - held_out, e->data.max_segments),
                           .validation = limited(held_out, e->train.validation_segments),
                           .bytes = (double)vg_resident_bytes((int64_t)((double)all * stride), all)};
    if (data->train < 1) data->train = 1;
    snprintf(data->source, sizeof data->source, "stated, plan.segments");
}

/* How many segments there are and how long they are. Without stores and without plan.segments only a step can
 * be told of. */
static vg_status find_data(const vg_experiment *e, const vg_plan_options *options, vg_model_options *model,
                           vg_plan_data *data)
{
    const char *missing = NULL;
    for (size_t i = 0; i < e->data.stores.count && !missing; i++)
        if (!vg_path_exists(e->data.stores.items[i])) missing = e->data.stores.items[i];
    if (options->plan.segments == VG_NULL_INT && !missing) return read_stores(e, model, data);
    VG_TRY(vg_setup_model(e, NULL, VG_HEAD_RECONSTRUCTION, model));
    const double length = e->data.seconds * options->plan.sample_rate;
    if (!(length >= 1 && length <= 1 << 20))
        return vg_fail(
            VG_ERR_CONFIG,
            "data.seconds is %g, at %g samples a second (plan.sample_rate) a segment of %g samples; a "
            "model takes 1 to 1048576",
            e->data.seconds, options->plan.sample_rate, length);
    model->config.segment_length = llround(length);
    *data = (vg_plan_data){0};
    if (options->plan.segments != VG_NULL_INT)
        take_stated(e, options, model->config.segment_length, data);
    else
        snprintf(data->source, sizeof data->source,
                 "not known: there is no %s here; plan.segments=N states it", missing);
    return VG_OK;
}

static vg_status fill_tables(vg_plan_report *r, const vg_plan_case *chosen)
{
    const vg_ints *gpus = &r->options->plan.table;
    const size_t room = gpus->count + 1;
    r->rows = (int)gpus->count;
    r->same_batch = calloc(room, sizeof *r->same_batch);
    r->same_share = calloc(room, sizeof *r->same_share);
    if (!r->same_batch || !r->same_share) return vg_fail(VG_ERR_MEMORY, "no memory for %d rows", r->rows);
    const int64_t share = (chosen->batch + chosen->gpus - 1) / chosen->gpus;
    for (int i = 0; i < r->rows; i++) {
        vg_plan_case row = *chosen;
        row.gpus = gpus->items[i];
        VG_TRY(vg_plan_estimate_make(&row, &r->same_batch[i]));
        row.batch = share * row.gpus;
        VG_TRY(vg_plan_estimate_make(&row, &r->same_share[i]));
    }
    return VG_OK;
}

vg_status vg_plan_run(const vg_experiment *experiment, const vg_plan_options *options, FILE *out,
                      vg_json_writer *json)
{
    vg_plan_report r = {.experiment = experiment, .options = options};
    vg_status status;
    VG_TRY_OUT(vg_plan_rates_make(experiment, options, &r.rates));
    VG_TRY_OUT(find_data(experiment, options, &r.model, &r.data));
    r.model.dtype = r.rates.dtype;
    r.model.training = true;
    r.model.max_batch = 1;
    VG_TRY_OUT(vg_plan_count_parameters(&r.model, &r.parameters));
    const vg_plan_case chosen = {.experiment = experiment,
                                 .model = &r.model,
                                 .rates = &r.rates,
                                 .data = &r.data,
                                 .matrices = r.parameters.matrices,
                                 .gpus = options->plan.gpus,
                                 .batch = experiment->train.batch_size};
    VG_TRY_OUT(vg_plan_estimate_make(&chosen, &r.chosen));
    VG_TRY_OUT(fill_tables(&r, &chosen));
    r.model.max_batch = r.chosen.micro;
    r.model.optimizer_ranks = experiment->parallel.shard_optimizer ? (int)options->plan.gpus : 1;
    VG_TRY_OUT(
        vg_plan_largest_batch(&r.model, r.rates.memory_size - r.chosen.memory.corpus, &r.largest_micro));
    r.segment = vg_plan_count_work(&r.model, &r.rates, 1, experiment->train.freeze_encoder);
    if (out) vg_plan_tell(&r, out);
    if (json) vg_plan_put(&r, json);
out:
    free(r.same_batch);
    free(r.same_share);
    return status;
}
