#include "experiments/runner/evaluation/crossvalidation.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/file.h"
#include "core/json.h"
#include "core/log.h"
#include "datasets/split.h"
#include "experiments/runner/evaluation/heart_rate.h"
#include "experiments/runner/training/run.h"
#include "experiments/runner/training/setup.h"
#include "experiments/runner/training/trainer.h"

/* Everything that lasts over the folds. */
typedef struct study {
    const vg_experiment *experiment;
    vg_machine machine;
    vg_rundir *run;
    vg_corpus *corpus;
    vg_split *split;
    vg_heart_rates *rates; /* NULL unless a method wants it */
    char *pretrained;      /* checkpoint folder, NULL unless a method wants it */
    vg_label_rule rule;
    vg_classifier classifier; /* of the fold that is run */
} study;

/* ---- Methods ------------------------------------------------------------------------------------------- */

/* What a method has to say of a fold. */
typedef struct outcome {
    double *probabilities;  /* of the test segments */
    double validation_loss; /* of the weights that were tested, NaN when there is no such thing */
    int64_t step;           /* of the checkpoint they are in, 0 when there is no such thing */
} outcome;

/* `folder` is where a method that trains keeps its run; NULL at ranks that write nothing. */
typedef vg_status (*method_function)(study *s, const vg_fold *fold, const char *folder, outcome *result);

static vg_status train_and_test(study *s, const vg_fold *fold, const char *folder, const char *init_from,
                                const char *what, outcome *result)
{
    vg_rundir *run = NULL;
    vg_trained trained = {0};
    char *best = NULL;
    vg_status status;
    vg_training training = {.experiment = s->experiment,
                            .machine = &s->machine,
                            .corpus = s->corpus,
                            .train = fold->train,
                            .train_count = fold->train_count,
                            .validation = fold->validation,
                            .validation_count = fold->validation_count,
                            .head = VG_HEAD_CLASSIFICATION,
                            .classifier = &s->classifier,
                            .init_from = init_from,
                            .what = what};
    if (folder) VG_TRY_OUT(vg_rundir_open(folder, VG_RUNDIR_AUTO, &run));
    training.run = run;
    VG_TRY_OUT(vg_train(&training, &trained));
    if (s->experiment->evaluation.select_best && trained.state.best_step &&
        trained.state.best_step != trained.state.step) {
        if (run) VG_TRY_OUT(vg_rundir_best(run, NULL, &best));
        if (run) VG_TRY_OUT(vg_checkpoint_load_weights(best, trained.model, NULL, NULL));
        VG_TRY_OUT(vg_parallel_share_weights(s->machine.group, vg_model_parameters(trained.model)));
        result->validation_loss = trained.state.best_loss;
        result->step = trained.state.best_step;
    } else {
        result->validation_loss = trained.state.last_loss;
        result->step = trained.state.step;
    }
    status = vg_classify(&training, trained.model, fold->test, fold->test_count, result->probabilities);
out:
    free(best);
    vg_model_destroy(trained.model);
    vg_rundir_close(run);
    return status;
}

static bool balanced_prior(const vg_experiment *e)
{
    return !strcmp(vg_experiment_choice(e, "evaluation.prior"), "balanced");
}

static vg_status method_pretrained(study *s, const vg_fold *fold, const char *folder, outcome *result)
{
    return train_and_test(s, fold, folder, s->pretrained, "finetune pretrained", result);
}

static vg_status method_scratch(study *s, const vg_fold *fold, const char *folder, outcome *result)
{
    return train_and_test(s, fold, folder, NULL, "finetune scratch", result);
}

static vg_status method_heart_rate(study *s, const vg_fold *fold, const char *folder, outcome *result)
{
    (void)folder;
    vg_logistic_options options = vg_logistic_options_default();
    options.balanced = balanced_prior(s->experiment);
    return vg_heart_rates_fold(s->rates, s->corpus, fold, &options, result->probabilities, NULL);
}

/* A new method is a function above and a line here. */
static const struct {
    const char *name;
    method_function run;
    bool trained_prior; /* its probabilities carry the training part's class frequencies whatever is asked for
                         */
} methods[] = {
    {"pretrained", method_pretrained, true},
    {"scratch", method_scratch, true},
    {"heart_rate", method_heart_rate, false},
};
enum { METHODS = sizeof methods / sizeof *methods };
_Static_assert((int)METHODS <= (int)VG_MAX_METHODS, "room in vg_results");

static int find_method(const char *name)
{
    for (int i = 0; i < METHODS; i++)
        if (!strcmp(name, methods[i].name)) return i;
    return -1;
}

static bool wants(const vg_experiment *e, const char *name)
{
    for (size_t i = 0; i < e->evaluation.methods.count; i++)
        if (!strcmp(e->evaluation.methods.items[i], name)) return true;
    return false;
}

/* The names as static strings, in the experiment's order. */
static vg_status list_methods(const vg_experiment *e, const char *names[VG_MAX_METHODS], int *count)
{
    if (e->evaluation.methods.count == 0)
        return vg_fail(VG_ERR_CONFIG,
                       "evaluation.methods is empty; choose among pretrained, scratch, heart_rate");
    *count = 0;
    for (size_t i = 0; i < e->evaluation.methods.count; i++) {
        int method = find_method(e->evaluation.methods.items[i]);
        if (method < 0)
            return vg_fail(
                VG_ERR_CONFIG,
                "evaluation.methods: there is no '%s'; choose among pretrained, scratch, heart_rate",
                e->evaluation.methods.items[i]);
        for (int k = 0; k < *count; k++)
            if (!strcmp(names[k], methods[method].name))
                return vg_fail(VG_ERR_CONFIG, "evaluation.methods: '%s' stands there twice", names[k]);
        names[(*count)++] = methods[method].name;
    }
    return VG_OK;
}

/* ---- Predictions of a fold that is done ---------------------------------------------------------------- */

static vg_status write_outcome(const char *path, const vg_fold *fold, const outcome *result)
{
    vg_json_writer json = vg_json_writer_make(false);
    vg_json_begin_object(&json, NULL);
    vg_json_put_string(&json, "fold", fold->name);
    vg_json_put_double(&json, "validation_loss", result->validation_loss);
    if (result->step) vg_json_put_int(&json, "step", result->step); /* of the weights, for a prediction */
    vg_json_begin_array(&json, "segments");
    for (int64_t i = 0; i < fold->test_count; i++) vg_json_put_int(&json, NULL, fold->test[i]);
    vg_json_end(&json);
    vg_json_put_doubles(&json, "probabilities", result->probabilities, (size_t)fold->test_count);
    vg_json_end(&json);
    return vg_json_write(&json, path);
}

/* Refuses a file that was written for other test segments: the data changed since. */
static vg_status read_outcome(const char *path, const vg_fold *fold, outcome *result)
{
    vg_json *json;
    const vg_json_value *segments, *values;
    vg_status status;
    VG_TRY(vg_json_read(path, &json));
    VG_TRY_OUT(vg_json_get_double(json, NULL, "validation_loss", &result->validation_loss));
    VG_TRY_OUT(vg_json_get(json, NULL, "segments", VG_JSON_ARRAY, &segments));
    VG_TRY_OUT(vg_json_get(json, NULL, "probabilities", VG_JSON_ARRAY, &values));
    size_t count = (size_t)fold->test_count;
    bool same = vg_json_count(segments) == count && vg_json_count(values) == count;
    const vg_json_value *segment = vg_json_first(segments), *value = vg_json_first(values);
    for (size_t i = 0; same && i < count; i++) {
        double probability = result->probabilities[i] = vg_json_number(value);
        same = vg_json_number(segment) == (double)fold->test[i] && probability >= 0 && probability <= 1;
        segment = vg_json_next(segment);
        value = vg_json_next(value);
    }
    if (!same)
        status = vg_fail(VG_ERR_DATA, "%s is of other data than %s; begin anew in another output_dir", path,
                         fold->name);
out:
    vg_json_destroy(json);
    return status;
}

/* At rank 0: what an earlier run has left of a fold. */
static vg_status find_outcome(study *s, int method, int64_t number, const vg_fold *fold, char **folder,
                              char **path, outcome *result, bool *there)
{
    char name[64];
    snprintf(name, sizeof name, "%s/fold-%03" PRId64, methods[method].name, number);
    VG_TRY(vg_rundir_file(s->run, name, folder));
    VG_TRY(vg_path_join(*folder, "predictions.json", path));
    *there = vg_path_exists(*path);
    if (!*there) return VG_OK;
    vg_status status = read_outcome(*path, fold, result);
    if (status == VG_ERR_FORMAT)
        vg_context(status, "a file of predictions is damaged, remove it and its fold is run again");
    return status;
}

/* Rank 0's outcome, at all ranks. */
static vg_status share_outcome(study *s, const vg_fold *fold, outcome *result)
{
    double loss[] = {s->run ? result->validation_loss : 0};
    if (!s->run) memset(result->probabilities, 0, (size_t)fold->test_count * sizeof(double));
    VG_TRY(vg_group_sum(s->machine.group, "validation loss of a fold", loss, 1));
    VG_TRY(vg_group_sum(s->machine.group, "predictions of a fold", result->probabilities, fold->test_count));
    result->validation_loss = loss[0];
    return VG_OK;
}

static vg_status run_method(study *s, int method, int64_t number, const vg_fold *fold, outcome *result)
{
    char *folder = NULL, *path = NULL;
    bool there = false;
    vg_status status;
    if (s->run) VG_TRY_OUT(find_outcome(s, method, number, fold, &folder, &path, result, &there));
    double done[] = {there};
    VG_TRY_OUT(vg_group_sum(s->machine.group, "folds done", done, 1));
    if (done[0] > 0) {
        status = share_outcome(s, fold, result);
        goto out;
    }
    VG_TRY_OUT(methods[method].run(s, fold, folder, result));
    if (!s->run) goto out;
    VG_TRY_OUT(vg_folder_make(folder));
    status = write_outcome(path, fold, result);
out:
    free(folder);
    free(path);
    return status;
}

/* ---- The study ----------------------------------------------------------------------------------------- */

/* Segments with the rating, dealt into folds. */
static vg_status make_split(study *s)
{
    const vg_experiment *e = s->experiment;
    vg_split_options options = {
        .folds = (int)e->evaluation.folds, .seed = e->seed, .validation = e->data.validation};
    VG_TRY(vg_split_unit_parse(vg_experiment_choice(e, "evaluation.split"), &options.unit));
    options.validation_unit = options.unit == VG_SPLIT_LOSO ? VG_SPLIT_SUBJECT : options.unit;
    int64_t count, *rated = malloc((size_t)s->corpus->segment_count * sizeof *rated);
    if (!rated) return vg_fail(VG_ERR_MEMORY, "no memory for a list of segments");
    vg_status status = vg_corpus_rated(s->corpus, s->rule.rating, rated, &count);
    if (status == VG_OK) status = vg_split_create(s->corpus, rated, count, &options, &s->split);
    free(rated);
    return status;
}

/* encoder.json keeps the checkpoint that init_from stood for when the run began: a resumed run takes the very
 * same one, also when the pre-training went on meanwhile and has a better. */
static vg_status recorded_encoder(const char *path, char **folder)
{
    vg_json *json;
    const char *text;
    VG_TRY(vg_json_read(path, &json));
    vg_status status = vg_json_get_string(json, NULL, "checkpoint", &text);
    if (status == VG_OK) status = vg_checkpoint_find(text, folder);
    vg_json_destroy(json);
    return status;
}

static vg_status record_encoder(const study *s)
{
    char *path;
    if (!s->pretrained || !s->run) return VG_OK;
    VG_TRY(vg_rundir_file(s->run, "encoder.json", &path));
    vg_json_writer json = vg_json_writer_make(true);
    vg_json_begin_object(&json, NULL);
    vg_json_put_string(&json, "checkpoint", s->pretrained);
    vg_json_end(&json);
    vg_status status = vg_json_write(&json, path);
    free(path);
    return status;
}

/* The preprocessing that the pre-trained model was trained on must be that of the data. */
static vg_status find_pretrained(study *s)
{
    const vg_experiment *e = s->experiment;
    if (!e->checkpoint.init_from)
        return vg_fail(VG_ERR_CONFIG,
                       "evaluation.methods has 'pretrained', so checkpoint.init_from must name the run "
                       "directory of a pre-training; or leave that method out");
    if (!s->run) return VG_OK; /* rank 0 reads it */
    char *path;
    VG_TRY(vg_rundir_file(s->run, "encoder.json", &path));
    vg_status status = vg_path_exists(path) ? recorded_encoder(path, &s->pretrained)
                                            : vg_checkpoint_find(e->checkpoint.init_from, &s->pretrained);
    free(path);
    VG_TRY(status);
    vg_preprocessing data = s->corpus->preprocessing;
    VG_TRY(vg_normalize_parse(vg_experiment_choice(e, "data.normalize"), &data.normalize));
    return vg_checkpoint_check_data(s->pretrained, "the pre-trained model", &data);
}

static vg_status prepare(study *s)
{
    const vg_experiment *e = s->experiment;
    if (!e->data.target)
        return vg_fail(VG_ERR_CONFIG,
                       "data.target is missing: the rating to recognise; 'vagus data info STORE' lists them");
    VG_TRY(vg_label_rule_parse(e->data.target, e->data.threshold, &s->rule));
    VG_TRY(vg_setup_corpus(e, &s->corpus));
    VG_TRY(vg_setup_same_corpus(&s->machine, s->corpus));
    VG_TRY(make_split(s));
    VG_TRY(vg_setup_fits(e, &s->machine, s->corpus, VG_HEAD_CLASSIFICATION, s->split->folds->train_count));
    if (wants(e, "pretrained")) VG_TRY(find_pretrained(s));
    if (wants(e, "heart_rate")) {
        VG_TRY(vg_heart_rates_create(s->corpus, &s->rates));
        if (s->rates->unusable == s->rates->count)
            return vg_fail(VG_ERR_DATA,
                           "no segment has enough heart beats for the heart-rate baseline (segments of "
                           "data.seconds = %g); leave heart_rate out of evaluation.methods",
                           e->data.seconds);
        if (s->rates->unusable)
            vg_info("heart_rate: no usable beats in %" PRId64 " of %" PRId64 " segments", s->rates->unusable,
                    s->rates->count);
    }
    return VG_OK;
}

/* Labels and normalisation of one fold, decided by its training part. */
static vg_status prepare_fold(study *s, int64_t number, vg_fold *fold)
{
    const vg_experiment *e = s->experiment;
    vg_label_report report;
    int64_t shared, positive = 0;
    VG_TRY(vg_corpus_label(s->corpus, &s->rule, fold->train, fold->train_count, &report));
    VG_TRY(vg_fold_check_labels(s->corpus, fold, false));
    fold->train_count =
        vg_setup_limit(fold->train, fold->train_count, e->data.max_segments, e->seed, (uint32_t)number + 2);
    fold->validation_count =
        vg_setup_limit(fold->validation, fold->validation_count, e->train.validation_segments, e->seed,
                       (uint32_t)number + 2 + VG_SPLIT_MAX_FOLDS);
    if (e->data.max_segments && vg_fold_check_labels(s->corpus, fold, false) != VG_OK)
        return vg_context(VG_ERR_DATA, "with data.max_segments = %" PRId64, e->data.max_segments);
    for (int64_t i = 0; i < fold->train_count; i++) positive += s->corpus->segments[fold->train[i]].label > 0;
    s->classifier = (vg_classifier){.threshold = report.threshold,
                                    .positive = positive,
                                    .negative = fold->train_count - positive,
                                    .balanced = balanced_prior(e),
                                    .flat_below = e->data.flat_below,
                                    .clipped_share = e->data.clipped_share};
    VG_TRY(vg_classifier_name(&s->classifier, s->rule.rating));
    VG_TRY(vg_setup_normalize(e, s->corpus, fold->train, fold->train_count));
    VG_TRY(vg_fold_shared(s->corpus, fold, VG_SPLIT_SUBJECT, &shared));
    /* Only a fold that leaves one subject out has a name that says more than its number. */
    bool named = !strcmp(vg_experiment_choice(e, "evaluation.split"), "loso");
    vg_info("fold %" PRId64 " of %d%s%s: %" PRId64 " segments to train on, %" PRId64 " to validate, %" PRId64
            " to test; %" PRId64 " subjects on both sides",
            number + 1, s->split->count, named ? ", without " : "", named ? fold->name : "",
            fold->train_count, fold->validation_count, fold->test_count, shared);
    return VG_OK;
}

static vg_status run_fold(study *s, int64_t number, vg_fold *fold, vg_results *results)
{
    VG_TRY(prepare_fold(s, number, fold));
    int majority = s->classifier.positive > s->classifier.negative;
    int64_t first = results->count;
    VG_ASSERT(first + fold->test_count <= results->capacity);
    for (int64_t i = 0; i < fold->test_count; i++) {
        results->segment[first + i] = fold->test[i];
        results->fold[first + i] = number;
        results->label[first + i] = s->corpus->segments[fold->test[i]].label;
        results->majority[first + i] = majority;
    }
    for (int m = 0; m < results->method_count; m++) {
        outcome result = {.probabilities = results->probability[m] + first, .validation_loss = NAN};
        int method = find_method(results->methods[m]);
        vg_status status = run_method(s, method, number, fold, &result);
        if (status != VG_OK) return vg_context(status, "%s, fold %" PRId64, results->methods[m], number + 1);
        if (methods[method].trained_prior && balanced_prior(s->experiment))
            for (int64_t i = 0; i < fold->test_count; i++)
                result.probabilities[i] =
                    vg_classifier_without_prior(&s->classifier, result.probabilities[i]);
        /* A running mean; NaN stays NaN. */
        results->validation_loss[m] +=
            (result.validation_loss - results->validation_loss[m]) / (double)(number + 1);
    }
    results->count += fold->test_count;
    results->fold_count++;
    return VG_OK;
}

vg_status vg_crossvalidation_run(const vg_experiment *experiment, vg_rundir_mode mode, FILE *out,
                                 vg_results *results)
{
    study s = {.experiment = experiment};
    const char *names[VG_MAX_METHODS];
    int count = 0;
    bool began = false;
    vg_status status;
    *results = (vg_results){0};
    VG_TRY(list_methods(experiment, names, &count));
    VG_TRY_OUT(vg_machine_make(experiment, &s.machine));
    VG_TRY_OUT(vg_run_open(experiment, mode, &s.machine, &s.run));
    vg_machine_describe(&s.machine);
    VG_TRY_OUT(prepare(&s));
    began = true;
    VG_TRY_OUT(record_encoder(&s));
    VG_TRY_OUT(vg_results_make(names, count, s.corpus->segment_count, results));
    int64_t folds = s.split->count;
    if (experiment->evaluation.max_folds && experiment->evaluation.max_folds < folds)
        folds = experiment->evaluation.max_folds;
    for (int64_t f = 0; f < folds; f++) VG_TRY_OUT(run_fold(&s, f, &s.split->folds[f], results));
    VG_TRY_OUT(vg_results_compute(results));
    if (s.run) VG_TRY_OUT(vg_results_write(results, experiment, s.corpus, s.run));
    if (s.run && out) {
        vg_results_print(results, experiment, out);
        if (folds < s.split->count)
            fprintf(out, "only %" PRId64 " of %d folds were run (evaluation.max_folds)\n", folds,
                    s.split->count);
        vg_run_name_files(experiment, out, "results.json  predictions.csv");
    }
out:
    if (status != VG_OK) vg_results_free(results);
    vg_heart_rates_destroy(s.rates);
    vg_split_destroy(s.split);
    vg_corpus_destroy(s.corpus);
    vg_run_close(s.run, began);
    vg_machine_free(&s.machine, status);
    free(s.pretrained);
    return status;
}
