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
#include "experiments/runner/training/replay.h"
#include "experiments/runner/training/residence.h"

/* What the loop holds while it runs. */
typedef struct loop {
    const vg_training *training;
    vg_model *model;
    vg_optimizer *optimizer;
    vg_loader *loader;
    vg_replay replay;
    vg_resident corpus; /* while `resident` points to it */
    const vg_resident *resident;
    vg_schedule schedule;
    vg_tracker tracker;
    vg_trainer_state state;
    int64_t seen; /* segments trained on by this process */
} loop;

/* `count` segments of a batch into the model's buffers. */
static vg_status place(vg_model *model, const vg_resident *resident, const vg_batch *batch, int64_t first,
                       int64_t count, bool labels, vg_model_batch *out)
{
    const float *label = labels ? batch->label + first : NULL;
    if (resident) return vg_model_gather(model, resident, count, batch->segments + first, label, out);
    return vg_model_upload(model, count, batch->signal + first * batch->length, batch->segments + first,
                           label, out);
}

/* ---- Passes without training
 * -------------------------------------------------------------------------------- */

/* Calls `each` after the forward pass of every batch over the segments, in their order. */
typedef vg_status (*batch_function)(vg_model *model, vg_tensor out, const vg_batch *batch, void *context);

static vg_status run_over(const vg_training *training, vg_model *model, const vg_resident *resident,
                          const int64_t *segments, int64_t count, vg_pass_kind kind, batch_function each,
                          void *context)
{
    const vg_model_options *options = vg_model_get_options(model);
    vg_loader_options loading = {.batch_size = options->max_batch,
                                 .numbers_only = resident != NULL,
                                 .seed = training->experiment->seed};
    vg_pass pass = {.kind = kind, .seed = training->experiment->seed, .epoch = (uint32_t)VG_VALIDATION_EPOCH};
    vg_loader *loader;
    vg_status status;
    VG_TRY(vg_loader_create(training->corpus, segments, count, &loading, &loader));
    VG_TRY_OUT(vg_loader_start(loader, 0, 0));
    for (;;) {
        vg_batch batch;
        vg_model_batch uploaded;
        vg_tensor out;
        VG_TRY_OUT(vg_loader_next(loader, &batch));
        if (batch.end) break;
        bool labels = training->head == VG_HEAD_CLASSIFICATION && kind != VG_PASS_PREDICT;
        VG_TRY_OUT(place(model, resident, &batch, 0, batch.count, labels, &uploaded));
        VG_TRY_OUT(vg_model_forward(model, &uploaded, &pass, &out));
        if (each) VG_TRY_OUT(each(model, out, &batch, context));
    }
out:
    vg_loader_destroy(loader);
    return status;
}

/* Mean loss over the validation segments, without dropout and with the masks of VG_VALIDATION_EPOCH. */
static vg_status validate(const vg_training *training, vg_model *model, const vg_resident *resident,
                          double *loss)
{
    int64_t count = training->validation_count;
    double sum, divisor;
    VG_TRY(vg_model_zero_stats(model));
    VG_TRY(run_over(training, model, resident, training->validation, count, VG_PASS_EVALUATE, NULL, NULL));
    VG_TRY(vg_model_read_stats(model, &sum, &divisor));
    if (!isfinite(sum))
        return vg_fail(VG_ERR_NUMERIC,
                       "the validation loss is not finite; a lower optimizer.lr, a longer warm-up or "
                       "optimizer.clip_norm=1 usually helps; earlier checkpoints are intact");
    if (!(divisor > 0))
        return vg_fail(
            VG_ERR_DATA,
            "no sample of the %" PRId64 " validation segments is masked; raise masking.probability", count);
    *loss = sum / divisor;
    return VG_OK;
}

typedef struct probability_list {
    double *next;
    float *logits; /* of a batch, on the host */
} probability_list;

static vg_status take_probabilities(vg_model *model, vg_tensor out, const vg_batch *batch, void *context)
{
    probability_list *list = context;
    VG_TRY(vg_model_download(model, out, list->logits));
    for (int64_t i = 0; i < batch->count; i++) {
        if (!isfinite(list->logits[i]))
            return vg_fail(VG_ERR_NUMERIC,
                           "the classifier's answer to segment %" PRId64 " is not finite; a lower "
                           "optimizer.lr or optimizer.clip_norm=1 usually helps",
                           batch->segments[i]);
        *list->next++ = 1 / (1 + exp(-(double)list->logits[i]));
    }
    return VG_OK;
}

vg_status vg_classify(const vg_training *training, vg_model *model, const int64_t *segments, int64_t count,
                      double *probabilities)
{
    probability_list list = {.next = probabilities};
    list.logits = malloc((size_t)vg_model_get_options(model)->max_batch * sizeof(float));
    if (!list.logits) return vg_fail(VG_ERR_MEMORY, "no memory for the logits of a batch");
    vg_status status =
        run_over(training, model, NULL, segments, count, VG_PASS_PREDICT, take_probabilities, &list);
    free(list.logits);
    return status;
}

/* ---- A step ---------------------------------------------------------------------------------------------
 */

/* Forward and backward over the batch in pieces of the model's largest batch, then one optimiser step. */
static vg_status train_step(loop *l, const vg_batch *batch)
{
    const vg_experiment *e = l->training->experiment;
    vg_pass pass = {.kind = VG_PASS_TRAIN, .seed = e->seed, .epoch = (uint32_t)l->state.epoch};
    int64_t most = vg_model_get_options(l->model)->max_batch;
    bool labels = l->training->head == VG_HEAD_CLASSIFICATION;
    VG_TRY(vg_model_zero_gradients(l->model));
    for (int64_t first = 0; first < batch->count; first += most) {
        int64_t count = batch->count - first < most ? batch->count - first : most;
        vg_model_batch uploaded;
        VG_TRY(place(l->model, l->resident, batch, first, count, labels, &uploaded));
        VG_TRY(vg_replay_pass(&l->replay, l->training->machine->device, l->model, &uploaded, &pass));
    }
    double rate = vg_schedule_rate(&l->schedule, l->state.step + 1);
    vg_step done;
    VG_TRY(vg_optimizer_step(l->optimizer, rate, vg_model_stats(l->model)));
    VG_TRY(vg_optimizer_read_step(l->optimizer, &done)); /* the step's only wait for the device */
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
    l->seen += batch->count;
    double loss = done.count > 0 ? done.loss / done.count : NAN;
    vg_progress_update(&l->tracker.progress, l->state.step, loss, (double)l->seen);
    if (l->state.step % e->train.log_every) return VG_OK;
    vg_measure measures[] = {{"train.loss", loss}, {"train.lr", rate}, {"train.gradient_norm", done.norm}};
    return vg_tracker_write(&l->tracker, l->state.epoch, l->state.step, measures, 3);
}

static vg_status save(loop *l)
{
    return vg_checkpoint_save(l->training->run, l->model, l->optimizer, &l->state,
                              &l->training->corpus->preprocessing, l->training->experiment->checkpoint.keep);
}

/* ---- An epoch --------------------------------------------------------------------------------------------
 */

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
        VG_TRY(validate(l->training, l->model, l->resident, &state->last_loss));
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
        if (vg_stop_requested()) {
            VG_TRY(save(l));
            return vg_fail(VG_ERR_PREEMPTED, "%s stopped at step %" PRId64 "; go on with --resume (%s)",
                           l->training->what, l->state.step, vg_rundir_path(l->training->run));
        }
        VG_TRY(train_step(l, &batch));
        bool epoch_over = l->state.step_in_epoch == vg_loader_steps(l->loader) || out_of_steps(l);
        if (every && l->state.step % every == 0 && !epoch_over) VG_TRY(save(l));
    }
    return close_epoch(l);
}

/* ---- A run -----------------------------------------------------------------------------------------------
 */

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
            vg_rundir_path(l->training->run), state->precision, m->precision, state->precision);
    if (strcmp(state->device, m->device->model))
        vg_warn(
            "%s: its latest checkpoint was made on another device (%s) than this one (%s): the same data, "
            "masks and weights go on, rounding may differ",
            l->training->what, state->device, m->device->model);
    snprintf(state->device, sizeof state->device, "%s", m->device->model);
    return VG_OK;
}

/* Fresh weights and the measurements of step 0, or everything from the last checkpoint. */
static vg_status begin(loop *l)
{
    const vg_training *t = l->training;
    char *folder = NULL;
    vg_status status = vg_rundir_resumed(t->run) ? vg_rundir_last(t->run, NULL, &folder) : VG_ERR_NOT_FOUND;
    if (status == VG_OK) {
        /* A store imported anew under the same name would go unnoticed otherwise. */
        status = vg_checkpoint_check_data(folder, "the run that is to go on", &t->corpus->preprocessing);
        if (status == VG_OK) status = vg_checkpoint_load(folder, l->model, l->optimizer, &l->state);
        if (status == VG_OK) status = check_machine(l);
        if (status == VG_OK) vg_info("%s: goes on from %s", t->what, folder);
        free(folder);
        VG_TRY(status);
        /* Stopped before the first step, it measures the untrained model again. */
        VG_TRY(vg_rundir_rewind_metrics(t->run, l->state.step ? l->state.step : -1));
        if (l->state.best_step && l->state.best_step == l->state.step)
            VG_TRY(vg_rundir_mark_best(t->run, l->state.step));
        /* A run killed after its last checkpoint had not tidied up yet. */
        return vg_rundir_prune(t->run, t->experiment->checkpoint.keep);
    }
    if (status != VG_ERR_NOT_FOUND) return status;
    VG_TRY(vg_rundir_rewind_metrics(t->run, -1)); /* a run killed before its first checkpoint begins anew */
    VG_TRY(vg_parameters_initialize(vg_model_parameters(l->model), t->experiment->seed));
    if (t->init_from) VG_TRY(load_encoder(l, t->init_from));
    return VG_OK;
}

static vg_status measure_untrained(loop *l)
{
    const vg_training *t = l->training;
    vg_measure measures[16];
    int count = 0;
    if (t->validation_count) {
        VG_TRY(validate(t, l->model, l->resident, &l->state.first_loss));
        measures[count++] = (vg_measure){"validation.loss", l->state.first_loss};
    }
    VG_ASSERT(t->start_count < 15);
    for (int i = 0; i < t->start_count; i++) measures[count++] = t->start[i];
    return count ? vg_tracker_write(&l->tracker, 0, 0, measures, count) : VG_OK;
}

vg_status vg_train(const vg_training *training, vg_trained *out)
{
    const vg_experiment *e = training->experiment;
    loop l = {.training = training, .state = {.first_loss = NAN, .last_loss = NAN, .best_loss = NAN}};
    l.replay.off = !e->train.cuda_graph;
    vg_loader_options loading = {.batch_size = e->train.batch_size,
                                 .shuffle = true,
                                 .seed = e->seed,
                                 .prefetch = (int)e->train.prefetch,
                                 .drop_last = training->train_count > e->train.batch_size};
    snprintf(l.state.device, sizeof l.state.device, "%s", training->machine->device->model);
    snprintf(l.state.precision, sizeof l.state.precision, "%s", training->machine->precision);
    vg_model_options options;
    vg_optimizer_config rule = vg_setup_optimizer(e);
    vg_status status;
    VG_TRY(vg_setup_model(e, training->corpus, training->head, &options));
    options.dtype = training->machine->dtype;
    /* A batch larger than the data is never full: no memory for what cannot come. */
    if (options.max_batch > training->train_count) options.max_batch = training->train_count;
    VG_TRY_OUT(vg_model_create(training->machine->kernels, &options, &l.model));
    vg_model_freeze_encoder(l.model, e->train.freeze_encoder);
    VG_TRY_OUT(vg_optimizer_create(training->machine->kernels, vg_model_parameters(l.model), &rule, NULL,
                                   &l.optimizer));
    VG_TRY_OUT(vg_residence_take(training->corpus, training->machine->device, training->what, &l.corpus,
                                 &loading.numbers_only));
    if (loading.numbers_only) l.resident = &l.corpus;
    VG_TRY_OUT(
        vg_loader_create(training->corpus, training->train, training->train_count, &loading, &l.loader));
    VG_TRY_OUT(vg_setup_schedule(e, vg_loader_steps(l.loader), &l.schedule));
    VG_TRY_OUT(begin(&l));
    VG_TRY_OUT(
        vg_tracker_open(training->run, training->what, l.state.step, l.schedule.total_steps, &l.tracker));
    if (l.state.step == 0 && !l.state.finished) VG_TRY_OUT(measure_untrained(&l));
    while (!l.state.finished && l.state.epoch < e->train.epochs) VG_TRY_OUT(train_epoch(&l));
    *out = (vg_trained){.model = l.model, .state = l.state};
    l.model = NULL;
out:
    vg_replay_free(&l.replay);
    vg_tracker_close(&l.tracker);
    vg_resident_free(&l.corpus);
    vg_optimizer_destroy(l.optimizer);
    vg_model_destroy(l.model);
    vg_loader_destroy(l.loader);
    return status;
}
