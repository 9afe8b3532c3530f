#include "experiments/runner/evaluation/prediction/fitted.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/file.h"
#include "core/json.h"
#include "core/log.h"
#include "core/text.h"

void vg_fitted_free(vg_fitted_list *list)
{
    for (int i = 0; i < list->count; i++) free(list->items[i].folder);
    free(list->items);
    *list = (vg_fitted_list){0};
}

static bool holds(const char *folder, const char *name)
{
    char *path;
    if (vg_path_join(folder, name, &path) != VG_OK) return false;
    bool there = vg_path_exists(path);
    free(path);
    return there;
}

/* The output_dir of a fine-tuning has a folder for checkpoints too, which stays empty. */
static bool has_checkpoint(const char *run)
{
    return vg_rundir_last_of(run, NULL, NULL) == VG_OK;
}

/* ---- A checkpoint -------------------------------------------------------------------------------------- */

static vg_status read_model(const char *folder, vg_fitted *out)
{
    char *path;
    VG_TRY(vg_path_join(folder, "model.safetensors", &path));
    vg_status status = vg_model_read_options(path, &out->options);
    free(path);
    VG_TRY(status);
    if (out->options.head == VG_HEAD_CLASSIFICATION) return VG_OK;
    return vg_fail(
        VG_ERR_CONFIG,
        "%s is a pre-trained model: it has no classification head, so it has no answers. Fine-tune "
        "it first: vagus finetune EXPERIMENT.yaml checkpoint.init_from=DIR data.stores=[...] "
        "data.target=RATING; then name that run's output_dir or one of its folds",
        folder);
}

static vg_status read_contract(const char *folder, vg_fitted *out)
{
    char *path;
    VG_TRY(vg_path_join(folder, "preprocessing.json", &path));
    vg_status status = vg_preprocessing_read(path, &out->contract);
    free(path);
    if (status == VG_ERR_NOT_FOUND)
        return vg_fail(VG_ERR_DATA,
                       "%s has no preprocessing.json, which says how the data of its model were prepared: "
                       "copy the whole checkpoint, not the model alone",
                       folder);
    return status;
}

static vg_status read_classifier(const char *folder, vg_fitted *out)
{
    char *path;
    out->described = holds(folder, "classifier.json");
    if (!out->described) return VG_OK;
    VG_TRY(vg_path_join(folder, "classifier.json", &path));
    vg_status status = vg_classifier_read(path, &out->classifier);
    free(path);
    return status;
}

/* Appends the checkpoint `folder`, which becomes the list's. */
static vg_status take(vg_fitted_list *list, char *folder)
{
    vg_fitted *grown = realloc(list->items, ((size_t)list->count + 1) * sizeof *grown);
    if (!grown) {
        free(folder);
        return vg_fail(VG_ERR_MEMORY, "no memory for %d models", list->count + 1);
    }
    list->items = grown;
    vg_fitted *one = &list->items[list->count++];
    *one = (vg_fitted){.folder = folder};
    VG_TRY(read_model(folder, one));
    VG_TRY(read_contract(folder, one));
    VG_TRY(read_classifier(folder, one));
    if (!holds(folder, "trainer.json")) return VG_OK;
    return vg_checkpoint_read_state(folder, &one->state);
}

/* ---- The run directory of a training ------------------------------------------------------------------- */

/* The step of the weights that a fold was tested with; 0: predictions.json is not there or does not say. */
static vg_status tested_step(const char *run, int64_t *step)
{
    char *path;
    vg_json *json;
    *step = 0;
    if (!holds(run, "predictions.json")) return VG_OK;
    VG_TRY(vg_path_join(run, "predictions.json", &path));
    vg_status status = vg_json_read(path, &json);
    free(path);
    VG_TRY(status);
    if (vg_json_find(vg_json_root(json), "step")) status = vg_json_get_int(json, NULL, "step", step);
    vg_json_destroy(json);
    return status;
}

static vg_status take_run(vg_fitted_list *list, const char *run)
{
    int64_t step;
    char name[64], *folder;
    VG_TRY(tested_step(run, &step));
    snprintf(name, sizeof name, "checkpoints/step_%" PRId64, step);
    if (step && holds(run, name))
        VG_TRY(vg_path_join(run, name, &folder));
    else
        VG_TRY(vg_checkpoint_find(run, &folder));
    VG_TRY(take(list, folder));
    if (step && list->items[list->count - 1].state.step != step)
        vg_warn("%s: its test used the weights of step %" PRId64
                ", which are not there any more; answers come from %s",
                run, step, folder);
    if (!holds(run, "predictions.json"))
        vg_warn(
            "%s: the training of this fold is not over (it has no predictions.json); answers come from %s",
            run, folder);
    return VG_OK;
}

/* ---- A fine-tuning ------------------------------------------------------------------------------------- */

/* The folds in a method's folder, in order; also how many of them are done. */
typedef struct folds {
    char **names;
    size_t count, done;
} folds;

static vg_status list_folds(const char *method, folds *out)
{
    char **names;
    size_t count, kept = 0;
    *out = (folds){0};
    VG_TRY(vg_folder_list(method, &names, &count));
    for (size_t i = 0; i < count; i++) {
        char *path = NULL;
        bool fold = !strncmp(names[i], "fold-", 5) && vg_path_join(method, names[i], &path) == VG_OK &&
                    has_checkpoint(path);
        out->done += fold && holds(path, "predictions.json");
        free(path);
        if (fold)
            names[kept++] = names[i];
        else
            free(names[i]);
    }
    out->names = names;
    out->count = kept;
    return VG_OK;
}

static vg_status take_folds(vg_fitted_list *list, const char *method)
{
    folds there;
    vg_status status = VG_OK;
    VG_TRY(list_folds(method, &there));
    if (!there.done)
        status = vg_fail(VG_ERR_CONFIG,
                         "%s: no fold is done; go on with 'vagus finetune ... --resume', or name one of the "
                         "folds",
                         method);
    for (size_t i = 0; status == VG_OK && i < there.count; i++) {
        char *run;
        status = vg_path_join(method, there.names[i], &run);
        if (status != VG_OK) break;
        if (holds(run, "predictions.json"))
            status = take_run(list, run);
        else
            vg_warn("%s: its training is not over (it has no predictions.json); left out", run);
        free(run);
    }
    vg_names_free(there.names, there.count);
    return status;
}

/* The methods of a fine-tuning that have trained something, by name; "" past the last. */
enum { MOST_METHODS = 8 };

static vg_status list_methods(const char *path, char found[MOST_METHODS][64], vg_text *said)
{
    char **names;
    size_t count;
    int methods = 0;
    VG_TRY(vg_folder_list(path, &names, &count));
    vg_status status = VG_OK;
    for (size_t i = 0; status == VG_OK && i < count && methods < MOST_METHODS; i++) {
        char *method;
        folds there = {0};
        status = vg_path_join(path, names[i], &method);
        if (status != VG_OK) break;
        if (vg_path_is_folder(method) && strlen(names[i]) < 64) status = list_folds(method, &there);
        if (status == VG_OK && there.count) {
            snprintf(found[methods++], 64, "%s", names[i]);
            vg_text_add(said, "%s%s (%s%s%s)", said->length ? ", " : "", method, there.names[0],
                        there.count > 1 ? " to " : "", there.count > 1 ? there.names[there.count - 1] : "");
        }
        vg_names_free(there.names, there.count);
        free(method);
    }
    vg_names_free(names, count);
    return status;
}

/* A whole run stands for its folds if it has trained by one method. */
static vg_status take_study(vg_fitted_list *list, const char *path)
{
    char methods[MOST_METHODS][64] = {0}, *method;
    vg_text said = {0};
    vg_status status = list_methods(path, methods, &said);
    if (status == VG_OK && !methods[0][0])
        status =
            vg_fail(VG_ERR_CONFIG,
                    "%s is neither a checkpoint, nor the run directory of a fold, nor a fine-tuning with "
                    "one; name its output_dir, METHOD/fold-NNN in it, or a folder with a "
                    "model.safetensors",
                    path);
    else if (status == VG_OK && methods[1][0])
        status = vg_fail(VG_ERR_CONFIG,
                         "%s holds folds of several methods: name one of %s, whose folds answer together, or "
                         "one fold of it",
                         path, said.data ? said.data : "");
    vg_text_free(&said);
    VG_TRY(status);
    VG_TRY(vg_path_join(path, methods[0], &method));
    status = take_folds(list, method);
    free(method);
    return status;
}

/* ---- All of it ----------------------------------------------------------------------------------------- */

static bool has_folds(const char *path)
{
    folds there;
    if (list_folds(path, &there) != VG_OK) return false;
    vg_names_free(there.names, there.count);
    return there.count > 0;
}

static vg_status take_any(vg_fitted_list *list, const char *path)
{
    char *folder;
    if (!vg_path_exists(path))
        return vg_fail(VG_ERR_CONFIG,
                       "there is no folder %s; --model takes a fine-tuned run or one of its "
                       "checkpoints",
                       path);
    if (!vg_path_is_folder(path))
        return vg_fail(VG_ERR_CONFIG, "%s is a file; --model takes the folder it lies in", path);
    if (has_checkpoint(path)) return take_run(list, path);
    if (has_folds(path)) return take_folds(list, path);
    if (!holds(path, "model.safetensors")) return take_study(list, path);
    VG_TRY(vg_path_join("", path, &folder));
    return take(list, folder);
}

/* Folds of one run were prepared alike and answer the same question, but for what each training part decides.
 */
static vg_status agree(const vg_fitted_list *list)
{
    const vg_fitted *first = &list->items[0];
    for (int i = 1; i < list->count; i++) {
        const vg_fitted *one = &list->items[i];
        VG_TRY(vg_preprocessing_check(&first->contract, first->folder, &one->contract, one->folder));
        if (first->described == one->described &&
            (!one->described || (!strcmp(first->classifier.target, one->classifier.target) &&
                                 first->classifier.balanced == one->classifier.balanced)))
            continue;
        return vg_fail(VG_ERR_DATA,
                       "%s and %s say different things of the rating they recognise; name one fold",
                       first->folder, one->folder);
    }
    return VG_OK;
}

vg_status vg_fitted_find(const char *path, vg_fitted_list *out)
{
    *out = (vg_fitted_list){0};
    vg_status status = take_any(out, path);
    if (status == VG_OK) status = agree(out);
    if (status != VG_OK) vg_fitted_free(out);
    return status;
}
