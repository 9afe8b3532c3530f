#include "experiments/runner/training/setup.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/group/place.h"
#include "core/log.h"

/* Bytes that samples may take at this rank. */
static vg_status memory_for_samples(const vg_experiment *experiment, int64_t *bytes)
{
    vg_place place;
    VG_TRY(vg_place_find(&place));
    const double gib = experiment->data.memory_gib;
    *bytes = vg_machine_memory() / 2 / place.local_size;
    if (gib > 0) *bytes = gib < 1e9 ? (int64_t)(gib * (1 << 30)) + 1 : INT64_MAX;
    return VG_OK;
}

vg_status vg_setup_corpus(const vg_experiment *experiment, vg_corpus **out)
{
    vg_corpus_options options = vg_corpus_options_default();
    options.seconds = experiment->data.seconds;
    options.stride = experiment->data.stride;
    options.flat_below = experiment->data.flat_below;
    options.clipped_share = experiment->data.clipped_share;
    options.lead = experiment->data.lead;
    VG_TRY(memory_for_samples(experiment, &options.memory_bytes));
    VG_TRY(vg_corpus_create((const char *const *)experiment->data.stores.items,
                            (int)experiment->data.stores.count, &options, out));
    const vg_corpus *corpus = *out;
    vg_info(
        "data: %" PRId64 " segments of %g s (%.1f h) from %" PRId64 " recordings of %" PRId64 " subjects%s",
        corpus->segment_count, options.seconds, (double)corpus->segment_count * options.seconds / 3600,
        corpus->recording_count, corpus->subject_count, corpus->preprocessing.synthetic ? ", SYNTHETIC" : "");
    const vg_corpus_dropped *dropped = &corpus->dropped;
    if (dropped->nan + dropped->flat + dropped->clipped + dropped->short_recordings + dropped->other_lead)
        vg_info("data: left out %" PRId64 " segments with missing samples, %" PRId64 " flat, %" PRId64
                " clipped; %" PRId64 " recordings too short, %" PRId64 " of another lead",
                dropped->nan, dropped->flat, dropped->clipped, dropped->short_recordings,
                dropped->other_lead);
    return VG_OK;
}

vg_status vg_setup_same_corpus(const vg_machine *machine, const vg_corpus *corpus)
{
    char text[256];
    if (vg_group_size(machine->group) == 1) return VG_OK;
    snprintf(text, sizeof text,
             "%" PRId64 " segments of %" PRId64 " samples, %" PRId64 " recordings of %" PRId64
             " subjects, fingerprint %016" PRIx64,
             corpus->segment_count, corpus->segment_length, corpus->recording_count, corpus->subject_count,
             vg_corpus_fingerprint(corpus));
    return vg_group_same(machine->group, "data (data.stores)", text);
}

vg_status vg_setup_normalize(const vg_experiment *experiment, vg_corpus *corpus, const int64_t *train,
                             int64_t train_count)
{
    vg_normalize scope;
    vg_normalize_report report;
    VG_TRY(vg_normalize_parse(vg_experiment_choice(experiment, "data.normalize"), &scope));
    VG_TRY(vg_corpus_normalize(corpus, scope, train, train_count, &report));
    if (report.flat_segments)
        vg_warn("normalisation: %" PRId64 " segments of %" PRId64 " flat scopes become zero",
                report.flat_segments, report.flat_scopes);
    return VG_OK;
}

/* The experiment's sections are made from the same lists as the models' structs; only lists differ in type.
 */
#define COPY_INT(to, from)    (to) = (from)
#define COPY_DOUBLE(to, from) (to) = (from)
#define COPY_ENUM(to, from)   (to) = (from)
#define COPY_INTS(to, from)   (to) = vg_config_list_make((from).items, (from).count)
#undef VG_FIELD

vg_status vg_setup_model(const vg_experiment *experiment, const vg_corpus *corpus, vg_head_kind head,
                         vg_model_options *out)
{
    *out = (vg_model_options){
        .config = vg_model_config_default(), .head = head, .training = true, .dtype = VG_F32};
#define VG_FIELD(section, name, type, initial, allowed, unit, help)                                          \
    COPY_##type(out->config.name, experiment->section.name);
#define VG_MODEL_CHOSEN
#include "models/model.def"
#undef VG_MODEL_CHOSEN
#undef VG_FIELD
#define VG_FIELD(section, name, type, initial, allowed, unit, help)                                          \
    COPY_##type(out->masking.name, experiment->section.name);
#include "models/masking.def"
#undef VG_FIELD
    const vg_ints *channels = &experiment->model.conv_channels;
    if (channels->count == 0)
        return vg_fail(VG_ERR_CONFIG, "model.conv_channels is empty; its last entry is the width of a token");
    if (corpus) out->config.segment_length = corpus->segment_length;
    out->config.d_model = channels->items[channels->count - 1];
    out->max_batch =
        experiment->train.micro_batch ? experiment->train.micro_batch : experiment->train.batch_size;
    VG_TRY(vg_model_config_check(&out->config));
    return vg_masking_config_check(&out->masking);
}

vg_status vg_setup_training_model(const vg_experiment *experiment, const vg_machine *machine,
                                  const vg_corpus *corpus, vg_head_kind head, int64_t train_count,
                                  vg_model_options *out)
{
    VG_TRY(vg_setup_model(experiment, corpus, head, out));
    out->dtype = machine->dtype;
    if (experiment->parallel.shard_optimizer) out->optimizer_ranks = vg_group_size(machine->group);
    /* A batch larger than the data is never full: no memory for what cannot come. */
    int64_t batch = experiment->train.batch_size;
    if (batch > train_count && train_count > 0) batch = train_count;
    int64_t share = vg_machine_most(machine, batch);
    if (out->max_batch > share) out->max_batch = share;
    return VG_OK;
}

vg_status vg_setup_fits(const vg_experiment *experiment, const vg_machine *machine, const vg_corpus *corpus,
                        vg_head_kind head, int64_t train_count)
{
    vg_model_options options;
    int64_t most = experiment->data.max_segments;
    if (most && most < train_count) train_count = most;
    VG_TRY(vg_setup_training_model(experiment, machine, corpus, head, train_count, &options));
    return vg_model_fits(machine->device, &options);
}

vg_optimizer_config vg_setup_optimizer(const vg_experiment *experiment)
{
    bool decoupled = !strcmp(vg_experiment_choice(experiment, "optimizer.kind"), "adamw");
    return (vg_optimizer_config){
        .kind = decoupled ? VG_OPTIMIZER_ADAMW : VG_OPTIMIZER_ADAM,
        .beta1 = experiment->optimizer.beta1,
        .beta2 = experiment->optimizer.beta2,
        .epsilon = experiment->optimizer.epsilon,
        .weight_decay = experiment->optimizer.weight_decay,
        .decay_matrices_only = !strcmp(vg_experiment_choice(experiment, "optimizer.decay"), "matrices"),
        .clip_norm = experiment->optimizer.clip_norm,
        .frozen_prefix = experiment->train.freeze_encoder ? "encoder." : NULL,
    };
}

vg_status vg_setup_schedule(const vg_experiment *experiment, int64_t steps_per_epoch, vg_schedule *out)
{
    int64_t total = experiment->train.epochs * steps_per_epoch;
    if (experiment->train.max_steps && experiment->train.max_steps < total)
        total = experiment->train.max_steps;
    *out = (vg_schedule){
        .kind = (vg_schedule_kind)experiment->scheduler.kind, /* the names are in the order of the enum */
        .lr = experiment->optimizer.lr,
        .final_lr = experiment->scheduler.min_lr,
        .factor = experiment->scheduler.step_factor,
        .every = vg_schedule_steps(experiment->scheduler.step_epochs, steps_per_epoch),
        .warmup_steps = vg_schedule_steps(experiment->scheduler.warmup_epochs, steps_per_epoch),
        .total_steps = total,
    };
    if (out->warmup_steps >= total && total > 0)
        vg_warn("the warm-up takes %" PRId64 " steps and the run ends after %" PRId64
                ", so the learning rate never reaches optimizer.lr; lower scheduler.warmup_epochs",
                out->warmup_steps, total);
    return vg_schedule_check(out);
}

static int ascending(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

int64_t vg_setup_limit(int64_t *indices, int64_t count, int64_t limit, uint64_t seed, uint32_t stream)
{
    if (limit == 0 || count <= limit) return count;
    vg_random random = vg_random_make(seed, VG_SITE_SPLIT + 1, stream);
    vg_random_shuffle(&random, indices, count);
    qsort(indices, (size_t)limit, sizeof *indices, ascending);
    return limit;
}
