#include "experiments/runner/training/checkpoint.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/file.h"
#include "core/json.h"
#include "models/parallel.h"

/* The files of a checkpoint. */
typedef struct paths {
    char *model, *optimizer, *preprocessing, *trainer, *classifier;
} paths;

static void paths_free(paths *p)
{
    free(p->model);
    free(p->optimizer);
    free(p->preprocessing);
    free(p->trainer);
    free(p->classifier);
}

static vg_status paths_make(const char *folder, paths *out)
{
    *out = (paths){0};
    vg_status status = vg_path_join(folder, "model.safetensors", &out->model);
    if (status == VG_OK) status = vg_path_join(folder, "optimizer.safetensors", &out->optimizer);
    if (status == VG_OK) status = vg_path_join(folder, "preprocessing.json", &out->preprocessing);
    if (status == VG_OK) status = vg_path_join(folder, "trainer.json", &out->trainer);
    if (status == VG_OK) status = vg_path_join(folder, "classifier.json", &out->classifier);
    if (status != VG_OK) paths_free(out);
    return status;
}

static vg_json_writer put_state(const vg_trainer_state *state)
{
    vg_json_writer json = vg_json_writer_make(true);
    vg_json_begin_object(&json, NULL);
    vg_json_put_int(&json, "format", 1);
    vg_json_put_int(&json, "epoch", state->epoch);
    vg_json_put_int(&json, "step_in_epoch", state->step_in_epoch);
    vg_json_put_int(&json, "step", state->step);
    vg_json_put_double(&json, "loss_sum", state->loss_sum);
    vg_json_put_double(&json, "loss_count", state->loss_count);
    vg_json_put_double(&json, "first_loss", state->first_loss);
    vg_json_put_double(&json, "last_loss", state->last_loss);
    vg_json_put_double(&json, "best_loss", state->best_loss);
    vg_json_put_int(&json, "best_step", state->best_step);
    vg_json_put_int(&json, "bad_validations", state->bad_validations);
    vg_json_put_bool(&json, "finished", state->finished);
    vg_json_put_string(&json, "device", state->device);
    vg_json_put_string(&json, "precision", state->precision);
    vg_json_put_int(&json, "ranks", state->ranks);
    vg_json_put_string(&json, "data", state->data);
    vg_json_end(&json);
    return json;
}

/* `otherwise`: what it was before checkpoints said it. */
static void read_word(const vg_json *json, const char *key, const char *otherwise, char *out, size_t size)
{
    const char *text = vg_json_text(vg_json_find(vg_json_root(json), key));
    snprintf(out, size, "%s", text ? text : otherwise);
}

/* `text` is the file at `path`, wherever it was read. */
static vg_status read_state(const char *text, const char *path, vg_trainer_state *state)
{
    vg_json *json;
    vg_status status;
    int64_t format;
    VG_TRY(vg_json_parse(text, strlen(text), path, &json));
    VG_TRY_OUT(vg_json_get_int(json, NULL, "format", &format));
    if (format != 1) {
        status =
            vg_fail(VG_ERR_FORMAT, "%s: format %lld; this program reads format 1", path, (long long)format);
        goto out;
    }
    VG_TRY_OUT(vg_json_get_int(json, NULL, "epoch", &state->epoch));
    VG_TRY_OUT(vg_json_get_int(json, NULL, "step_in_epoch", &state->step_in_epoch));
    VG_TRY_OUT(vg_json_get_int(json, NULL, "step", &state->step));
    VG_TRY_OUT(vg_json_get_double(json, NULL, "loss_sum", &state->loss_sum));
    VG_TRY_OUT(vg_json_get_double(json, NULL, "loss_count", &state->loss_count));
    VG_TRY_OUT(vg_json_get_double(json, NULL, "first_loss", &state->first_loss));
    VG_TRY_OUT(vg_json_get_double(json, NULL, "last_loss", &state->last_loss));
    VG_TRY_OUT(vg_json_get_double(json, NULL, "best_loss", &state->best_loss));
    VG_TRY_OUT(vg_json_get_int(json, NULL, "best_step", &state->best_step));
    VG_TRY_OUT(vg_json_get_int(json, NULL, "bad_validations", &state->bad_validations));
    VG_TRY_OUT(vg_json_get_bool(json, NULL, "finished", &state->finished));
    read_word(json, "device", "cpu", state->device, sizeof state->device);
    read_word(json, "precision", "fp32", state->precision, sizeof state->precision);
    read_word(json, "data", "", state->data, sizeof state->data);
    state->ranks = 1; /* as it was before checkpoints said it */
    if (vg_json_find(vg_json_root(json), "ranks"))
        VG_TRY_OUT(vg_json_get_int(json, NULL, "ranks", &state->ranks));
    if (state->epoch < 0 || state->step_in_epoch < 0 || state->step < 0)
        status = vg_fail(VG_ERR_FORMAT, "%s: a negative epoch or step", path);
out:
    vg_json_destroy(json);
    return status;
}

static vg_status save_files(const char *folder, vg_model *model, vg_optimizer *optimizer,
                            const vg_trainer_state *state, const vg_preprocessing *preprocessing,
                            const vg_classifier *classifier)
{
    paths p;
    vg_status status;
    VG_TRY(paths_make(folder, &p));
    VG_TRY_OUT(vg_model_save(model, p.model, NULL, 0));
    VG_TRY_OUT(vg_optimizer_save(optimizer, p.optimizer));
    VG_TRY_OUT(vg_preprocessing_write(preprocessing, p.preprocessing));
    if (classifier) VG_TRY_OUT(vg_classifier_write(classifier, p.classifier));
    vg_json_writer json = put_state(state);
    VG_TRY_OUT(vg_json_write(&json, p.trainer));
out:
    paths_free(&p);
    return status;
}

vg_status vg_checkpoint_save(vg_rundir *run, vg_model *model, vg_optimizer *optimizer,
                             const vg_trainer_state *state, const vg_preprocessing *preprocessing,
                             const vg_classifier *classifier, int64_t keep)
{
    char *folder;
    VG_TRY(vg_optimizer_gather_masters(optimizer));
    if (!run) return vg_optimizer_save(optimizer, NULL);
    VG_TRY(vg_rundir_checkpoint_begin(run, state->step, &folder));
    vg_status status = save_files(folder, model, optimizer, state, preprocessing, classifier);
    free(folder);
    if (status == VG_OK) status = vg_rundir_checkpoint_commit(run, state->step);
    if (status != VG_OK) {
        vg_rundir_checkpoint_abandon(run, state->step);
        return vg_context(status, "the checkpoint of step %lld was not saved; earlier ones are intact",
                          (long long)state->step);
    }
    /* 0: nothing was validated yet; a run stopped before its first step has no best. */
    if (state->best_step && state->best_step == state->step) VG_TRY(vg_rundir_mark_best(run, state->step));
    return vg_rundir_prune(run, keep);
}

vg_status vg_checkpoint_load(const char *folder, vg_group *group, vg_model *model, vg_optimizer *optimizer,
                             vg_trainer_state *state)
{
    paths p = {0};
    char *text = NULL;
    vg_status status;
    if (folder) {
        VG_TRY_OUT(paths_make(folder, &p));
        VG_TRY_OUT(vg_file_read(p.trainer, VG_JSON_LIMIT, &text, NULL));
        VG_TRY_OUT(vg_model_load(model, p.model, NULL, NULL));
    }
    VG_TRY_OUT(vg_group_share(group, "state of the trainer", &text));
    VG_TRY_OUT(read_state(text, p.trainer ? p.trainer : "trainer.json", state));
    VG_TRY_OUT(vg_parallel_share_weights(group, vg_model_parameters(model)));
    status = vg_optimizer_load(optimizer, p.optimizer);
out:
    free(text);
    paths_free(&p);
    return status;
}

vg_status vg_checkpoint_load_weights(const char *folder, vg_model *model, const char *prefix,
                                     vg_load_report *report)
{
    paths p;
    VG_TRY(paths_make(folder, &p));
    vg_status status = vg_model_load(model, p.model, prefix, report);
    paths_free(&p);
    return status;
}

vg_status vg_checkpoint_read_state(const char *folder, vg_trainer_state *state)
{
    paths p;
    char *text = NULL;
    VG_TRY(paths_make(folder, &p));
    vg_status status = vg_file_read(p.trainer, VG_JSON_LIMIT, &text, NULL);
    if (status == VG_OK) status = read_state(text, p.trainer, state);
    free(text);
    paths_free(&p);
    return status;
}

vg_status vg_checkpoint_check_data(const char *folder, const char *name, const vg_preprocessing *data)
{
    paths p;
    vg_preprocessing contract;
    VG_TRY(paths_make(folder, &p));
    vg_status status = vg_preprocessing_read(p.preprocessing, &contract);
    paths_free(&p);
    VG_TRY(status);
    return vg_preprocessing_check(&contract, name, data, "data.stores");
}

vg_status vg_checkpoint_find(const char *path, char **folder)
{
    paths p;
    VG_TRY(paths_make(path, &p));
    bool is_checkpoint = vg_path_exists(p.model);
    paths_free(&p);
    if (is_checkpoint) return vg_path_join("", path, folder);
    vg_status status = vg_rundir_best_of(path, NULL, folder);
    if (status == VG_ERR_NOT_FOUND) status = vg_rundir_last_of(path, NULL, folder);
    if (status == VG_ERR_NOT_FOUND)
        return vg_fail(VG_ERR_CONFIG, "%s is neither a checkpoint nor a run directory with one", path);
    return status;
}
