#include "experiments/runner/evaluation/prediction/answer.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "core/progress.h"
#include "core/signals.h"
#include "core/text.h"
#include "experiments/runner/training/passes.h"
#include "experiments/runner/training/setup.h"

/* ---- One model ----------------------------------------------------------------------------------------- */

typedef struct job {
    const vg_fitted_list *models;
    const vg_experiment *experiment;
    vg_machine *machine;
    vg_corpus *corpus;
    vg_answers *out;
    int64_t *all;    /* the numbers of the segments: 0, 1, 2 ... */
    double *answers; /* of one model */
    vg_model *model; /* the folds' weights come into it one after another */
    vg_progress progress;
} job;

/* At all ranks alike: one that was asked to stop stops all. */
static vg_status stop_if_asked(job *j)
{
    double asked[] = {vg_stop_requested()};
    VG_TRY(vg_group_sum(j->machine->group, "requests to stop", asked, 1));
    if (asked[0] > 0)
        return vg_fail(VG_ERR_PREEMPTED, "predict: nothing was written; begin again with the same command");
    return VG_OK;
}

/* In pieces of some batches, so that a request to stop is heard and progress is seen. */
enum { BATCHES_AT_ONCE = 16 };

static vg_status answer(job *j, const vg_fitted *fitted, int64_t before)
{
    const vg_training pass = {.experiment = j->experiment,
                              .machine = j->machine,
                              .corpus = j->corpus,
                              .head = VG_HEAD_CLASSIFICATION};
    const int64_t count = j->corpus->segment_count;
    const int64_t piece =
        BATCHES_AT_ONCE * vg_model_get_options(j->model)->max_batch * vg_group_size(j->machine->group);
    for (int64_t first = 0; first < count; first += piece) {
        const int64_t n = count - first < piece ? count - first : piece;
        VG_TRY(stop_if_asked(j));
        vg_status status = vg_classify(&pass, j->model, j->all + first, n, j->answers + first);
        if (status == VG_ERR_NUMERIC)
            return vg_fail(status,
                           "%s: an answer is not finite: its weights are damaged, or the recordings hold "
                           "values far beyond an ECG's ('vagus data check' tells)",
                           fitted->folder);
        VG_TRY(status);
        if (vg_machine_writes(j->machine))
            vg_progress_update(&j->progress, before + first + n, NAN, (double)(before + first + n));
    }
    return VG_OK;
}

static vg_status make_model(job *j)
{
    const vg_fitted *first = &j->models->items[0];
    const int64_t share = vg_machine_most(j->machine, j->corpus->segment_count);
    vg_model_options options = first->options;
    options.training = false;
    options.dtype = j->machine->dtype;
    options.max_batch =
        j->experiment->train.micro_batch ? j->experiment->train.micro_batch : j->experiment->train.batch_size;
    if (options.max_batch > share) options.max_batch = share;
    if (options.config.segment_length == j->corpus->segment_length)
        return vg_model_create(j->machine->kernels, &options, &j->model);
    return vg_fail(VG_ERR_DATA,
                   "%s contradicts itself: its model takes segments of %" PRId64
                   " samples, its preprocessing.json gives %" PRId64,
                   first->folder, options.config.segment_length, j->corpus->segment_length);
}

/* Adds one model's probabilities to the sum. */
static vg_status add_model(job *j, int index)
{
    const vg_fitted *fitted = &j->models->items[index];
    vg_normalize_report report;
    VG_TRY(vg_corpus_normalize_as(j->corpus, &fitted->contract, &report));
    if (report.flat_segments && index == 0)
        vg_warn("normalisation: %" PRId64 " segments of %" PRId64 " flat scopes become zero",
                report.flat_segments, report.flat_scopes);
    VG_TRY(vg_checkpoint_load_weights(fitted->folder, j->model, NULL, NULL));
    VG_TRY(answer(j, fitted, index * j->corpus->segment_count));
    for (int64_t i = 0; i < j->corpus->segment_count; i++)
        j->out->probability[i] += j->out->balanced
                                      ? vg_classifier_without_prior(&fitted->classifier, j->answers[i])
                                      : j->answers[i];
    return VG_OK;
}

/* ---- What the numbers are ------------------------------------------------------------------------------ */

/* Which prior the probabilities carry: as the run was judged, unless chosen. */
static vg_status choose_prior(const vg_fitted *first, const vg_wish *wish, bool *balanced)
{
    *balanced = first->described && first->classifier.balanced;
    if (wish->prior)
        *balanced = !strcmp(vg_experiment_choice(&wish->experiment, "evaluation.prior"), "balanced");
    if (!*balanced || first->described) return VG_OK;
    return vg_fail(VG_ERR_CONFIG,
                   "%s has no classifier.json, as it was made by an older program: how often class 1 stood "
                   "in its training part is not known, so evaluation.prior=balanced cannot be had",
                   first->folder);
}

static bool same_threshold(const vg_fitted_list *models)
{
    const double first = models->items[0].classifier.threshold;
    for (int i = 0; i < models->count; i++) {
        const vg_fitted *one = &models->items[i];
        const double threshold = one->classifier.threshold;
        if (!one->described || (!(fabs(threshold - first) <= 0) && !(isnan(threshold) && isnan(first))))
            return false;
    }
    return true;
}

/* Where the stores have the rating, and it can be told what class 1 is without looking at them. */
static vg_status label(const job *j, bool *labelled)
{
    const vg_classifier *c = &j->models->items[0].classifier;
    vg_label_rule rule = {.rating = c->target, .threshold = VG_THRESHOLD_NUMBER, .number = c->threshold};
    int column = 0;
    *labelled = false;
    if (!same_threshold(j->models)) return VG_OK;
    while (column < j->corpus->rating_count && strcmp(j->corpus->rating_names[column], c->target)) column++;
    if (column == j->corpus->rating_count) return VG_OK;
    if (isnan(c->threshold)) rule.threshold = VG_THRESHOLD_NONE;
    vg_status status = vg_corpus_label(j->corpus, &rule, NULL, 0, NULL);
    if (status == VG_ERR_DATA) {
        vg_warn("no labels: %s", vg_cause());
        return VG_OK;
    }
    *labelled = status == VG_OK;
    return status;
}

/* ---- All of it ----------------------------------------------------------------------------------------- */

static vg_status take_stores(vg_experiment *e, const char *const *stores, int count)
{
    e->data.stores.items = calloc((size_t)count, sizeof *e->data.stores.items);
    if (!e->data.stores.items) return vg_fail(VG_ERR_MEMORY, "no memory for the names of %d stores", count);
    for (int i = 0; i < count; i++) {
        VG_TRY(vg_text_copy(stores[i], &e->data.stores.items[i]));
        e->data.stores.count++;
    }
    return VG_OK;
}

static vg_status prepare(job *j, vg_answers *out)
{
    const size_t n = (size_t)j->corpus->segment_count;
    out->probability = calloc(n, sizeof *out->probability);
    j->answers = calloc(n, sizeof *j->answers);
    j->all = calloc(n, sizeof *j->all);
    if (!out->probability || !j->answers || !j->all)
        return vg_fail(VG_ERR_MEMORY, "no memory for the answers to %zu segments", n);
    for (size_t i = 0; i < n; i++) j->all[i] = (int64_t)i;
    return label(j, &out->labelled);
}

vg_status vg_answers_make(const vg_fitted_list *models, vg_wish *wish, const char *const *stores,
                          int store_count, vg_machine *machine, vg_answers *out)
{
    job j = {.models = models, .experiment = &wish->experiment, .machine = machine, .out = out};
    vg_status status;
    *out = (vg_answers){0};
    VG_TRY_OUT(choose_prior(&models->items[0], wish, &out->balanced));
    VG_TRY_OUT(take_stores(&wish->experiment, stores, store_count));
    vg__say_models(models, machine);
    VG_TRY_OUT(vg_setup_corpus(&wish->experiment, &out->corpus));
    j.corpus = out->corpus;
    VG_TRY_OUT(vg_setup_same_corpus(machine, j.corpus));
    VG_TRY_OUT(prepare(&j, out));
    vg__say_meaning(models, out->balanced);
    vg__say_known_data(models, j.corpus);
    vg__say_silence(j.corpus);
    VG_TRY_OUT(make_model(&j));
    if (vg_machine_writes(machine))
        vg_progress_begin(&j.progress, "predict", 0, j.corpus->segment_count * models->count);
    for (int i = 0; status == VG_OK && i < models->count; i++) status = add_model(&j, i);
    if (vg_machine_writes(machine)) vg_progress_end(&j.progress);
    if (status != VG_OK) goto out;
    VG_TRY_OUT(stop_if_asked(&j));
    for (int64_t i = 0; i < j.corpus->segment_count; i++) out->probability[i] /= models->count;
out:
    vg_model_destroy(j.model);
    free(j.answers);
    free(j.all);
    if (status != VG_OK) vg_answers_free(out);
    return status;
}

void vg_answers_free(vg_answers *answers)
{
    vg_corpus_destroy(answers->corpus);
    free(answers->probability);
    *answers = (vg_answers){0};
}
