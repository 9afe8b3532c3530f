#include "experiments/runner/training/pretraining.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "core/log.h"
#include "core/slab.h"
#include "datasets/loader.h"
#include "datasets/split.h"
#include "experiments/runner/training/masked_baselines.h"
#include "experiments/runner/training/run.h"
#include "experiments/runner/training/setup.h"
#include "experiments/runner/training/trainer.h"
#include "models/masking.h"

/* The masks' buffers on the device. */
typedef struct mask_buffers {
    vg_slab slab;
    vg_tensor signal, segments, masked, mask;
    uint8_t *host; /* the mask, (B, T) */
} mask_buffers;

static vg_status make_buffers(vg_device *device, int64_t batch, int64_t length, mask_buffers *out)
{
    *out = (mask_buffers){.slab = vg_slab_make("baselines")};
    VG_TRY(vg_slab_add(&out->slab, &out->signal, VG_F32, VG_DIMS(batch, length)));
    VG_TRY(vg_slab_add(&out->slab, &out->segments, VG_I64, VG_DIMS(batch)));
    VG_TRY(vg_slab_add(&out->slab, &out->masked, VG_F32, VG_DIMS(batch, length)));
    VG_TRY(vg_slab_add(&out->slab, &out->mask, VG_U8, VG_DIMS(batch, length)));
    VG_TRY(vg_slab_bind(&out->slab, device));
    out->host = malloc((size_t)(batch * length));
    return out->host ? VG_OK : vg_fail(VG_ERR_MEMORY, "no memory for the masks of a batch");
}

static vg_status add_batch(vg_kernels *kernels, const vg_masking_config *masking, uint64_t seed,
                           mask_buffers *buffers, const vg_batch *batch, vg_masked_baselines *sums)
{
    vg_tensor signal = buffers->signal, segments = buffers->segments, masked = buffers->masked,
              mask = buffers->mask;
    vg_tensor none = {0};
    signal.dims[0] = segments.dims[0] = masked.dims[0] = mask.dims[0] = batch->count;
    /* A learned fill has nothing to say about the mask itself, and there is no model here to ask for it. */
    vg_masking_config drawn = *masking;
    drawn.fill = VG_MASK_ZERO;
    vg_device *device = kernels->device;
    VG_TRY(vg_device_copy(device, signal.data, batch->signal, vg_tensor_bytes(&signal), VG_COPY_TO_DEVICE));
    VG_TRY(vg_device_copy(device, segments.data, batch->segments, vg_tensor_bytes(&segments),
                          VG_COPY_TO_DEVICE));
    VG_TRY(vg_masking_forward(kernels, &drawn, seed, (uint32_t)VG_VALIDATION_EPOCH, signal, segments, none,
                              masked, mask));
    VG_TRY(vg_device_copy(device, buffers->host, mask.data, vg_tensor_bytes(&mask), VG_COPY_TO_HOST));
    VG_TRY(vg_device_synchronize(device));
    for (int64_t i = 0; i < batch->count; i++)
        vg_masked_baselines_add(sums, batch->signal + i * batch->length, buffers->host + i * batch->length,
                                batch->length);
    return VG_OK;
}

/* Over some of the validation segments, under the masks that validation will draw. */
static vg_status add_baselines(const vg_training *training, const vg_masking_config *masking,
                               const int64_t *segments, int64_t count, vg_masked_baselines *sums)
{
    enum { BATCH = 64 };
    vg_loader_options loading = {.batch_size = BATCH, .seed = training->experiment->seed};
    mask_buffers buffers = {0};
    vg_loader *loader = NULL;
    vg_status status;
    if (count == 0) return VG_OK; /* fewer segments than ranks */
    VG_TRY_OUT(make_buffers(training->machine->device, BATCH, training->corpus->segment_length, &buffers));
    VG_TRY_OUT(vg_loader_create(training->corpus, segments, count, &loading, &loader));
    VG_TRY_OUT(vg_loader_start(loader, 0, 0));
    for (;;) {
        vg_batch batch;
        VG_TRY_OUT(vg_loader_next(loader, &batch));
        if (batch.end) break;
        VG_TRY_OUT(add_batch(training->machine->kernels, masking, training->experiment->seed, &buffers,
                             &batch, sums));
    }
out:
    vg_loader_destroy(loader);
    free(buffers.host);
    vg_slab_free(&buffers.slab);
    return status;
}

/* Mean and interpolation, over all validation segments of all ranks. */
static vg_status measure_baselines(const vg_training *training, const vg_masking_config *masking,
                                   vg_measure measures[2])
{
    int64_t first, count;
    vg_masked_baselines sums = {0};
    vg_machine_share(training->machine, training->validation_count, &first, &count);
    VG_TRY(add_baselines(training, masking, training->validation + first, count, &sums));
    double values[] = {sums.mean, sums.interpolation, (double)sums.count};
    VG_TRY(vg_group_sum(training->machine->group, "baselines", values, 3));
    measures[0] = (vg_measure){"baseline.mean", values[0] / values[2]};
    measures[1] = (vg_measure){"baseline.interpolation", values[1] / values[2]};
    return VG_OK;
}

static void print_result(FILE *out, const vg_experiment *e, const vg_training *t, const vg_pretrain_result *r)
{
    fprintf(out, "\n%s: %" PRId64 " epochs, %" PRId64 " steps, %" PRId64 " training segments\n", e->name,
            r->epochs, r->steps, t->train_count);
    if (isnan(r->best)) return;
    fprintf(out, "masked error on %" PRId64 " segments of held-out subjects (mean square, z-scored signal)\n",
            t->validation_count);
    fprintf(out, "  %-28s %8.4f   at step %" PRId64 "\n", "this model, best", r->best, r->best_step);
    fprintf(out, "  %-28s %8.4f\n", "this model, last", r->last);
    fprintf(out, "  %-28s %8.4f   %+.1f %%\n", "predicting the mean", r->mean, 100 * (r->best / r->mean - 1));
    fprintf(out, "  %-28s %8.4f   %+.1f %%\n", "linear interpolation", r->interpolation,
            100 * (r->best / r->interpolation - 1));
    fprintf(out, "  %-28s %8.4f   %+.1f %%\n", "this model, untrained", r->untrained,
            100 * (r->best / r->untrained - 1));
}

static vg_status write_result(const vg_rundir *run, const vg_pretrain_result *r)
{
    char *path;
    VG_TRY(vg_rundir_file(run, "result.json", &path));
    vg_json_writer json = vg_json_writer_make(true);
    vg_json_begin_object(&json, NULL);
    vg_json_put_int(&json, "epochs", r->epochs);
    vg_json_put_int(&json, "steps", r->steps);
    vg_json_put_int(&json, "best_step", r->best_step);
    vg_json_put_double(&json, "validation.loss", r->best);
    vg_json_put_double(&json, "validation.last_loss", r->last);
    vg_json_put_double(&json, "untrained.loss", r->untrained);
    vg_json_put_double(&json, "baseline.mean", r->mean);
    vg_json_put_double(&json, "baseline.interpolation", r->interpolation);
    vg_json_end(&json);
    vg_status status = vg_json_write(&json, path);
    free(path);
    return status;
}

vg_status vg_pretrain_run(const vg_experiment *experiment, vg_rundir_mode mode, FILE *out,
                          vg_pretrain_result *result)
{
    vg_machine machine = {0};
    vg_rundir *run = NULL;
    vg_corpus *corpus = NULL;
    vg_split *split = NULL;
    vg_trained trained = {0};
    bool began = false;
    vg_model_options options;
    vg_measure baselines[2] = {{"baseline.mean", NAN}, {"baseline.interpolation", NAN}};
    vg_status status;
    VG_TRY_OUT(vg_machine_make(experiment, &machine));
    VG_TRY_OUT(vg_run_open(experiment, mode, &machine, &run));
    vg_machine_describe(&machine);
    VG_TRY_OUT(vg_setup_corpus(experiment, &corpus));
    VG_TRY_OUT(vg_setup_same_corpus(&machine, corpus));
    vg_training training = {.experiment = experiment,
                            .machine = &machine,
                            .corpus = corpus,
                            .head = VG_HEAD_RECONSTRUCTION,
                            .what = "pretrain",
                            .run = run,
                            .start = baselines};
    VG_TRY_OUT(
        vg_split_create_holdout(corpus, NULL, 0, experiment->data.validation, experiment->seed, &split));
    vg_fold *fold = split->folds;
    fold->train_count =
        vg_setup_limit(fold->train, fold->train_count, experiment->data.max_segments, experiment->seed, 0);
    fold->validation_count = vg_setup_limit(fold->validation, fold->validation_count,
                                            experiment->train.validation_segments, experiment->seed, 1);
    training.train = fold->train;
    training.train_count = fold->train_count;
    training.validation = fold->validation;
    training.validation_count = fold->validation_count;
    vg_info("split: %" PRId64 " segments to train on, %" PRId64 " of held-out subjects to validate on",
            fold->train_count, fold->validation_count);
    VG_TRY_OUT(vg_setup_normalize(experiment, corpus, fold->train, fold->train_count));
    VG_TRY_OUT(vg_setup_model(experiment, corpus, training.head, &options));
    VG_TRY_OUT(vg_setup_fits(experiment, &machine, corpus, training.head, training.train_count));
    if (training.validation_count) {
        VG_TRY_OUT(measure_baselines(&training, &options.masking, baselines));
        training.start_count = 2;
    }
    began = true;
    VG_TRY_OUT(vg_train(&training, &trained));
    *result = (vg_pretrain_result){.best = trained.state.best_loss,
                                   .last = trained.state.last_loss,
                                   .untrained = trained.state.first_loss,
                                   .mean = baselines[0].value,
                                   .interpolation = baselines[1].value,
                                   .best_step = trained.state.best_step,
                                   .steps = trained.state.step,
                                   .epochs = trained.state.epoch};
    if (run) {
        VG_TRY_OUT(write_result(run, result));
        if (out) {
            print_result(out, experiment, &training, result);
            vg_run_name_files(experiment, out,
                              result->best_step ? "checkpoints/best  result.json  metrics.jsonl"
                                                : "checkpoints  result.json  metrics.jsonl");
        }
    }
out:
    vg_model_destroy(trained.model);
    vg_split_destroy(split);
    vg_corpus_destroy(corpus);
    vg_run_close(run, began);
    vg_machine_free(&machine, status);
    return status;
}
