#include "experiments/runner/training/trainer.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/file.h"
#include "core/log.h"
#include "core/signals.h"
#include "datasets/loader.h"
#include "experiments/runner/training/passes.h"
#include "experiments/runner/training/replay.h"
#include "experiments/runner/training/residence.h"
#include "experiments/runner/training/setup.h"

/* What the loop holds while it runs. */
typedef struct loop {
    const vg_training *training;
    vg_group *group;
    vg_model *model;
    vg_parallel *parallel;
    vg_optimizer *optimizer;
    vg_loader *loader;
    vg_replay replay;
    vg_resident corpus; /* while `resident` points to it */
    const vg_resident *resident;
    vg_schedule schedule;
    vg_tracker tracker;
    vg_trainer_state state;
    int64_t seen; /* segments trained on since the start, by all ranks */
    bool stop;    /* some rank was asked to stop: known to all after the same step */
} loop;

/* ---- A step -------------------------------------------------------------------------------------------- */

/* Reads what came of the step, which is its only wait for the device. With several ranks the group waits
 * first: a copy from a GPU would wait by itself, and for ever where a rank is lost. */
static vg_status read_step(loop *l, vg_step *done)
{
    if (vg_group_size(l->group) > 1) VG_TRY(vg_group_synchronize(l->group));
    VG_TRY(vg_optimizer_read_step(l->optimizer, done));
    return vg_parallel_read_stop(l->parallel, &l->stop);
}

/* Forward and backward over this rank's share of the batch in pieces of the model's largest batch, then one
 * optimiser step. The share may be empty. */
static vg_status train_step(loop *l, const vg_batch *batch)
{
    const vg_experiment *e = l->training->experiment;
    vg_pass pass = {.kind = VG_PASS_TRAIN, .seed = e->seed, .epoch = (uint32_t)l->state.epoch};
    int64_t most = vg_model_get_options(l->model)->max_batch;
    bool labels = l->training->head == VG_HEAD_CLASSIFICATION;
    vg_group_at(l->group, l->state.step + 1);
    VG_TRY(vg_parallel_begin(l->parallel));
    for (int64_t first = 0; first < batch->count; first += most) {
        int64_t count = batch->count - first < most ? batch->count - first : most;
        vg_model_batch uploaded;
        VG_TRY(vg_place_batch(l->model, l->resident, batch, first, count, labels, &uploaded));
        VG_TRY(vg_replay_pass(&l->replay, l->training->machine->device, l->model, l->parallel,
                              first + count == batch->count, &uploaded, &pass));
    }
    VG_TRY(vg_parallel_finish(l->parallel, vg_stop_requested()));
    double rate = vg_schedule_rate(&l->schedule, l->state.step + 1);
    vg_step done;
    VG_TRY(vg_optimizer_step(l->optimizer, rate, vg_parallel_stats(l->parallel)));
    VG_TRY(read_step(l, &done));
    if (!isfinite(done.loss) || !isfinite(done.norm))
        return vg_fail(
            VG_ERR_NUMERIC,
            "the loss or its gradient is not finite at step %" PRId64 " (epoch %" PRId64
            "); a lower optimizer.lr, a longer warm-up or optimizer.clip_norm=1 usually helps; earlier "
            "checkpoints are intact",
            l->state.step + 1, l->state.epoch);
    l->state.loss_sum += done.loss;
    l->state.loss_count += done.count;
    l->state.step++;
    l->state.step_in_epoch++;
    l->seen += batch->total;
    double loss = done.count > 0 ? done.loss / done.count : NAN;
    vg_tracker_progress(&l->tracker, l->state.step, loss, (double)l->seen);
    if (l->state.step % e->train.log_every) return VG_OK;
    vg_measure measures[] = {{"train.loss", loss}, {"train.lr", rate}, {"train.gradient_norm", done.norm}};
    return vg_tracker_write(&l->tracker, l->state.epoch, l->state.step, measures, 3);
}

static vg_status save(loop *l)
{
    VG_TRY(vg_parallel_check_weights(l->parallel));
    return vg_checkpoint_save(l->training->run, l->model, l->optimizer, &l->state,
                              &l->training->corpus->preprocessing, l->training->classifier,
                              l->training->experiment->checkpoint.keep);
}

/* ---- An epoch ------------------------------------------------------------------------------------------ */

static bool out_of_steps(const loop *l)
{
    return l->state.step >= l->schedule.total_steps;
}

/* Validates, keeps account of the best, and decides whether training is over. */
static vg_status close_epoch(loop *l)
{
    const vg_experiment *e = l->training->experiment;
    vg_trainer_state *state = &l->state;
    bool last = state->epoch + 1 >= e->train.epochs || out_of_steps(l);
    bool validated =
        l->training->validation_count && ((state->epoch + 1) % e->train.validate_every == 0 || last);
    vg_measure measures[2];
    int count = 0;
    if (state->loss_count > 0)
        measures[count++] = (vg_measure){"train.epoch_loss", state->loss_sum / state->loss_count};
    if (validated) {
        VG_TRY(vg_validate(l->training, l->model, l->resident, &state->last_loss));
        measures[count++] = (vg_measure){"validation.loss", state->last_loss};
        /* A first validation, or one that is better by more than min_delta; NaN is never better. */
        if (isnan(state->best_loss) || state->last_loss < state->best_loss - e->early_stopping.min_delta) {
            state->best_loss = state->last_loss;
            state->best_step = state->step;
            state->bad_validations = 0;
        } else {
            state->bad_validations++;
        }
    }
    VG_TRY(vg_tracker_write(&l->tracker, state->epoch, state->step, measures, count));
    if (validated)
        vg_info("%s: epoch %" PRId64 "/%" PRId64 ", step %" PRId64
                ": training loss %.4f, validation loss %.4f%s",
                l->training->what, state->epoch + 1, e->train.epochs, state->step,
                state->loss_sum / state->loss_count, state->last_loss,
                state->best_step == state->step ? " (best)" : "");
    else
        vg_info("%s: epoch %" PRId64 "/%" PRId64 ", step %" PRId64 ": training loss %.4f", l->training->what,
                state->epoch + 1, e->train.epochs, state->step, state->loss_sum / state->loss_count);
    state->epoch++;
    state->step_in_epoch = 0;
    state->loss_sum = state->loss_count = 0;
    state->finished = last;
    if (e->early_stopping.patience != VG_NULL_INT && state->bad_validations >= e->early_stopping.patience) {
        vg_info("%s: stopped early, %" PRId64 " validations without improvement on %.4f at step %" PRId64,
                l->training->what, state->bad_validations, state->best_loss, state->best_step);
        state->finished = true;
    }
    return save(l);
}

/* Several ranks stop at the same step: the one after which all learned that one of them was asked to. */
static bool stop_now(const loop *l)
{
    return vg_group_size(l->group) > 1 ? l->stop : vg_stop_requested();
}

static vg_status train_epoch(loop *l)
{
    int64_t every = l->training->experiment->checkpoint.every_steps;
    VG_TRY(vg_loader_start(l->loader, l->state.epoch, l->state.step_in_epoch));
    while (!out_of_steps(l)) {
        vg_batch batch;
        VG_TRY(vg_loader_next(l->loader, &batch));
        if (batch.end) break;
        /* Asked only between steps of one epoch: at its end everything is saved anyway, and then the next
         * epoch's first batch comes by here. */
        if (stop_now(l)) {
            VG_TRY(save(l));
            return vg_fail(VG_ERR_PREEMPTED, "%s stopped at step %" PRId64 "; go on with --resume (%s)",
                           l->training->what, l->state.step, l->training->experiment->output_dir);
        }
        VG_TRY(train_step(l, &batch));
        bool epoch_over = l->state.step_in_epoch == vg_loader_steps(l->loader) || out_of_steps(l);
        if (every && l->state.step % every == 0 && !epoch_over) VG_TRY(save(l));
    }
    return close_epoch(l);
}

/* ---- A run --------------------------------------------------------------------------------------------- */

static vg_status load_encoder(loop *l, const char *folder)
{
    vg_load_report report;
    VG_TRY(vg_checkpoint_load_weights(folder, l->model, "encoder.", &report));
    vg_info("%s: encoder from %s: %d tensors; %d of the head are fresh", l->training->what, folder,
            report.loaded, report.fresh);
    return VG_OK;
}

/* Another precision would be another run under the same name. Another device only rounds otherwise, and a run
 * whose machine was lost has to go on somewhere, so that is said and done. */
static vg_status check_machine(loop *l)
{
    const vg_machine *m = l->training->machine;
    vg_trainer_state *state = &l->state;
    if (strcmp(state->precision, m->precision) && !state->finished)
        return vg_fail(
            VG_ERR_CONFIG,
            "%s was trained in %s, and this run would go on in %s; resume it with precision=%s, or "
            "begin anew in another output_dir",
            l->training->experiment->output_dir, state->precision, m->precision, state->precision);
    if (state->ranks != vg_group_size(m->group))
        vg_info("%s: was trained by %" PRId64
                " ranks and goes on with %d: the same batches and masks, rounding may "
                "differ",
                l->training->what, state->ranks, vg_group_size(m->group));
    state->ranks = vg_group_size(m->group);
    if (strcmp(state->device, m->device->model))
        vg_warn(
            "%s: its latest checkpoint was made on another device (%s) than this one (%s): the same data, "
            "masks and weights go on, rounding may differ",
            l->training->what, state->device, m->device->model);
    snprintf(state->device, sizeof state->device, "%s", m->device->model);
    return VG_OK;
}

/* The checkpoint to go on from, NULL when there is none or this rank does not read files. */
static vg_status find_last(const vg_training *t, char **folder)
{
    *folder = NULL;
    if (!t->run || !vg_rundir_resumed(t->run)) return VG_OK;
    vg_status status = vg_rundir_last(t->run, NULL, folder);
    if (status == VG_ERR_NOT_FOUND) return VG_OK;
    VG_TRY(status);
    /* A store imported anew under the same name would go unnoticed otherwise. */
    return vg_checkpoint_check_data(*folder, "the run that is to go on", &t->corpus->preprocessing);
}

static vg_status go_on(loop *l, const char *folder)
{
    const vg_training *t = l->training;
    char data[sizeof l->state.data];
    memcpy(data, l->state.data, sizeof data);
    VG_TRY(vg_checkpoint_load(folder, l->group, l->model, l->optimizer, &l->state));
    if (l->state.data[0] && strcmp(l->state.data, data))
        return vg_fail(
            VG_ERR_DATA,
            "%s was trained on other data than data.stores hold now (other samples, subjects or "
            "ratings): bring back the stores that it began with, or begin anew in another output_dir",
            t->experiment->output_dir);
    memcpy(l->state.data, data, sizeof data);
    VG_TRY(check_machine(l));
    if (!t->run) return VG_OK;
    vg_info("%s: goes on from %s", t->what, folder);
    /* Stopped before the first step, it measures the untrained model again. */
    VG_TRY(vg_rundir_rewind_metrics(t->run, l->state.step ? l->state.step : -1));
    if (l->state.best_step && l->state.best_step == l->state.step)
        VG_TRY(vg_rundir_mark_best(t->run, l->state.step));
    /* A run killed after its last checkpoint had not tidied up yet. */
    return vg_rundir_prune(t->run, t->experiment->checkpoint.keep);
}

/* Fresh weights and the measurements of step 0, or everything from the last checkpoint. */
static vg_status begin(loop *l)
{
    const vg_training *t = l->training;
    char *folder = NULL, *where = NULL;
    vg_status status;
    VG_TRY_OUT(find_last(t, &folder));
    if (t->run) {
        where = strdup(folder ? folder : "");
        if (!where) {
            status = vg_fail(VG_ERR_MEMORY, "no memory for a name");
            goto out;
        }
    }
    VG_TRY_OUT(vg_group_share(l->group, "checkpoint to go on from", &where));
    if (*where) {
        status = go_on(l, folder);
        goto out;
    }
    if (t->run) /* a run killed before its first checkpoint begins anew */
        VG_TRY_OUT(vg_rundir_rewind_metrics(t->run, -1));
    VG_TRY_OUT(vg_parameters_initialize(vg_model_parameters(l->model), t->experiment->seed));
    if (t->init_from) VG_TRY_OUT(load_encoder(l, t->init_from));
    status = vg_parallel_share_weights(l->group, vg_model_parameters(l->model));
out:
    free(folder);
    free(where);
    return status;
}

static vg_status measure_untrained(loop *l)
{
    const vg_training *t = l->training;
    vg_measure measures[16];
    int count = 0;
    if (t->validation_count) {
        VG_TRY(vg_validate(t, l->model, l->resident, &l->state.first_loss));
        measures[count++] = (vg_measure){"validation.loss", l->state.first_loss};
    }
    VG_ASSERT(t->start_count < 15);
    for (int i = 0; i < t->start_count; i++) measures[count++] = t->start[i];
    return count ? vg_tracker_write(&l->tracker, 0, 0, measures, count) : VG_OK;
}

/* The parts of the loop, made for this machine. */
static vg_status make(loop *l)
{
    const vg_training *t = l->training;
    const vg_experiment *e = t->experiment;
    const vg_machine *m = t->machine;
    vg_loader_options loading = {.batch_size = e->train.batch_size,
                                 .shuffle = true,
                                 .weights = e->data.weights.items,
                                 .weight_count = (int)e->data.weights.count,
                                 .seed = e->seed,
                                 .prefetch = (int)e->train.prefetch,
                                 .drop_last = t->train_count > e->train.batch_size,
                                 .rank = vg_group_rank(m->group),
                                 .world = vg_group_size(m->group)};
    vg_model_options options;
    vg_optimizer_config rule = vg_setup_optimizer(e);
    vg_parallel_options parallel = {.bucket_bytes = (int64_t)(e->parallel.bucket_mib * (1 << 20)),
                                    .shard_optimizer = e->parallel.shard_optimizer};
    l->replay.off = !e->train.cuda_graph;
    snprintf(l->state.device, sizeof l->state.device, "%s", m->device->model);
    snprintf(l->state.precision, sizeof l->state.precision, "%s", m->precision);
    snprintf(l->state.data, sizeof l->state.data, "%016" PRIx64, vg_corpus_fingerprint(t->corpus));
    l->state.ranks = vg_group_size(m->group);
    VG_TRY(vg_setup_training_model(e, m, t->corpus, t->head, t->train_count, &options));
    VG_TRY(vg_model_create(m->kernels, &options, &l->model));
    vg_model_freeze_encoder(l->model, e->train.freeze_encoder);
    VG_TRY(vg_parallel_create(m->kernels, l->group, l->model, &parallel, &l->parallel));
    VG_TRY(vg_optimizer_create(m->kernels, vg_model_parameters(l->model), &rule, l->parallel, &l->optimizer));
    VG_TRY(vg_residence_take(t->corpus, m->device, t->what, &l->corpus, &loading.numbers_only));
    if (loading.numbers_only) l->resident = &l->corpus;
    VG_TRY(vg_loader_create(t->corpus, t->train, t->train_count, &loading, &l->loader));
    return vg_setup_schedule(e, vg_loader_steps(l->loader), &l->schedule);
}

vg_status vg_train(const vg_training *training, vg_trained *out)
{
    loop l = {.training = training,
              .group = training->machine->group,
              .state = {.first_loss = NAN, .last_loss = NAN, .best_loss = NAN}};
    vg_status status;
    VG_TRY_OUT(make(&l));
    VG_TRY_OUT(begin(&l));
    VG_TRY_OUT(
        vg_tracker_open(training->run, training->what, l.state.step, l.schedule.total_steps, &l.tracker));
    if (l.state.step == 0 && !l.state.finished) VG_TRY_OUT(measure_untrained(&l));
    while (!l.state.finished && l.state.epoch < training->experiment->train.epochs)
        VG_TRY_OUT(train_epoch(&l));
    *out = (vg_trained){.model = l.model, .state = l.state};
    l.model = NULL;
out:
    vg_replay_free(&l.replay);
    vg_tracker_close(&l.tracker);
    vg_resident_free(&l.corpus);
    vg_optimizer_destroy(l.optimizer);
    vg_parallel_destroy(l.parallel);
    vg_model_destroy(l.model);
    vg_loader_destroy(l.loader);
    return status;
}
