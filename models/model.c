#include "models/model.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "core/safetensors.h"
#include "models/convert.h"
#include "models/encoder.h"
#include "models/heads.h"
#include "models/masking.h"
#include "models/memory.h"
#include "models/optimizer.h"

struct vg_model {
    vg_kernels *kernels;
    vg_model_options options;
    vg_parameters parameters;
    vg_plan plan;
    vg_encoder *encoder;
    vg_head head;
    vg_parameter *fill; /* (1): the learned value of masked samples, or NULL */
    bool frozen;
    int head_first; /* the head's first parameter */
    vg_gradients_ready ready;
    void *ready_context;

    vg_tensor signal, segments, labels; /* (B, T), (B) I64, (B): vg_model_upload()'s */
    void *staging;                      /* but for F32: a signal in the model's type, on its way there */
    vg_tensor masked, mask;             /* (B, T), (B, T) U8 */
    vg_tensor stats;                    /* (2) F64 */

    /* The latest forward, for backward. */
    vg_run run;
    vg_tensor input; /* what the encoder saw */
    bool has_loss;   /* ... with dropout and gradients as training wants them */
};

static vg_status check_options(const vg_model_options *options)
{
    VG_TRY(vg_model_config_check(&options->config));
    if (options->head == VG_HEAD_RECONSTRUCTION) VG_TRY(vg_masking_config_check(&options->masking));
    if ((int)options->head < VG_HEAD_RECONSTRUCTION || options->head > VG_HEAD_EMBEDDING)
        return vg_fail(VG_ERR_CONFIG, "unknown kind of head %d", (int)options->head);
    if (options->max_batch < 1 || options->max_batch > 1 << 24)
        return vg_fail(VG_ERR_CONFIG, "a batch of %" PRId64 " segments is not possible", options->max_batch);
    if (options->dtype != VG_F32 && options->dtype != VG_BF16 && options->dtype != VG_F64)
        return vg_fail(VG_ERR_UNSUPPORTED,
                       "a model of type %s is not supported; F32 and BF16 are, and F64 on the backend 'ref'",
                       vg_dtype_name(options->dtype));
    return VG_OK;
}

static vg_status declare(vg_model *model)
{
    const vg_model_options *o = &model->options;
    vg_plan *plan = &model->plan;
    int64_t B = o->max_batch, T = o->config.segment_length;
    bool reconstruction = o->head == VG_HEAD_RECONSTRUCTION;
    VG_TRY(vg__plan_own(plan, &model->signal, NULL, o->dtype, VG_DIMS(B, T)));
    VG_TRY(vg__plan_own(plan, &model->segments, NULL, VG_I64, VG_DIMS(B)));
    VG_TRY(vg__plan_own(plan, &model->labels, NULL, o->dtype, VG_DIMS(B)));
    VG_TRY(vg__plan_own(plan, &model->stats, NULL, VG_F64, VG_DIMS(2)));
    if (reconstruction) {
        VG_TRY(vg__plan_own(plan, &model->masked, "masking.signal", o->dtype, VG_DIMS(B, T)));
        VG_TRY(vg__plan_own(plan, &model->mask, "masking.mask", VG_U8, VG_DIMS(B, T)));
        if (o->masking.fill == VG_MASK_LEARNED)
            VG_TRY(vg_parameters_declare(&model->parameters, "masking.fill", (vg_init){VG_INIT_ZEROS, 0},
                                         false, VG_DIMS(1), &model->fill));
    }
    const vg_encoder_ops *ops = vg__encoder_find(o->config.type);
    VG_TRY(ops->create(plan, &o->config, reconstruction, model->fill != NULL, &model->encoder));
    model->head_first = model->parameters.count;
    if (o->head == VG_HEAD_EMBEDDING) return VG_OK;
    return vg__head_plan(plan, &model->head, &o->config, reconstruction, model->encoder->features);
}

/* A model whose buffers have their sizes and no memory yet. */
static vg_status plan_model(const vg_model_options *options, vg_model **out)
{
    VG_TRY(check_options(options));
    vg_model *model = calloc(1, sizeof *model);
    if (!model) return vg_fail(VG_ERR_MEMORY, "cannot create a model");
    vg_status status;
    model->options = *options;
    model->parameters = vg_parameters_make(options->dtype);
    model->plan = vg__plan_make(&model->parameters, options->max_batch, options->training, options->dtype);
    VG_TRY_OUT(declare(model));
    VG_TRY_OUT(vg_parameters_plan(&model->parameters, options->training));
    VG_TRY_OUT(vg__plan_finish(&model->plan));
    *out = model;
    return VG_OK;
out:
    vg_model_destroy(model);
    return status;
}

static vg_model_memory measure(const vg_model *model)
{
    vg_model_memory needs = {
        .parameters = vg_parameters_bytes(&model->parameters),
        .optimizer = model->options.training
                         ? vg_optimizer_bytes(&model->parameters, model->options.optimizer_ranks)
                         : 0,
        .activations = model->plan.activations.slab.bytes,
        .gradients = model->plan.gradients.slab.bytes,
        .inputs = model->plan.constants.slab.bytes,
    };
    needs.total = needs.parameters + needs.optimizer + needs.activations + needs.gradients + needs.inputs;
    return needs;
}

vg_status vg_model_measure(const vg_model_options *options, vg_model_memory *out)
{
    vg_model *model;
    VG_TRY(plan_model(options, &model));
    *out = measure(model);
    vg_model_destroy(model);
    return VG_OK;
}

vg_status vg_model_visit_parameters(const vg_model_options *options, vg_parameter_visitor each, void *context)
{
    vg_model *model;
    vg_status status = VG_OK;
    VG_TRY(plan_model(options, &model));
    for (int i = 0; i < model->parameters.count && status == VG_OK; i++)
        status = each(model->parameters.list[i], context);
    vg_model_destroy(model);
    return status;
}

vg_status vg_model_fits(vg_device *device, const vg_model_options *options)
{
    vg_model_memory needs;
    size_t free_bytes;
    VG_TRY(vg_model_measure(options, &needs));
    VG_TRY(vg_device_free_memory(device, &free_bytes));
    return needs.total > free_bytes ? vg__memory_refuse(options, &needs, free_bytes, "") : VG_OK;
}

static vg_status allocate(vg_model *model)
{
    vg_device *device = model->kernels->device;
    VG_TRY(vg_model_fits(device, &model->options));
    vg_status status = vg_parameters_bind(&model->parameters, device);
    if (status == VG_OK) status = vg__plan_bind(&model->plan, device);
    if (status != VG_ERR_MEMORY) return status;
    char why[512];
    snprintf(why, sizeof why, "%s", vg_cause());
    /* What the device said of its free memory, if anything, was not to be had in pieces of this size. */
    vg_model_memory needs = measure(model);
    return vg__memory_refuse(&model->options, &needs, SIZE_MAX, why);
}

vg_status vg_model_create(vg_kernels *kernels, const vg_model_options *options, vg_model **out)
{
    vg_model *model;
    vg_status status;
    VG_TRY(plan_model(options, &model));
    model->kernels = kernels;
    if (options->dtype != VG_F32) {
        model->staging = malloc(vg_tensor_bytes(&model->signal));
        if (!model->staging) {
            status = vg_fail(VG_ERR_MEMORY, "cannot create a model");
            goto out;
        }
    }
    VG_TRY_OUT(allocate(model));
    VG_TRY_OUT(model->encoder->ops->prepare(model->encoder, kernels));
    vg_model_memory memory = measure(model);
    double mib = 1 << 20;
    vg_info("model %s in %s: %" PRId64
            " parameters, %.1f MiB with their gradients; activations %.1f MiB, their gradients %.1f MiB, at "
            "%" PRId64 " segments",
            model->encoder->ops->name, vg_dtype_name(options->dtype), vg_parameters_total(&model->parameters),
            (double)memory.parameters / mib, (double)memory.activations / mib, (double)memory.gradients / mib,
            options->max_batch);
    *out = model;
    return VG_OK;
out:
    vg_model_destroy(model);
    return status;
}

void vg_model_destroy(vg_model *model)
{
    if (!model) return;
    if (model->encoder) model->encoder->ops->destroy(model->encoder);
    vg__plan_free(&model->plan);
    vg_parameters_free(&model->parameters);
    free(model->staging);
    free(model);
}

vg_parameters *vg_model_parameters(vg_model *model)
{
    return &model->parameters;
}

const vg_model_options *vg_model_get_options(const vg_model *model)
{
    return &model->options;
}

static vg_status check_batch(const vg_model *model, int64_t batch)
{
    if (batch < 1 || batch > model->options.max_batch)
        return vg_fail(VG_ERR_SHAPE, "a batch of %" PRId64 " segments; the model was made for 1 to %" PRId64,
                       batch, model->options.max_batch);
    return VG_OK;
}

/* All of a batch but the signal's samples. */
static vg_status upload_rest(vg_model *model, int64_t batch, const int64_t *segments, const float *labels,
                             vg_model_batch *out)
{
    VG_TRY(check_batch(model, batch));
    *out = (vg_model_batch){.signal = model->signal, .segments = model->segments};
    out->signal.dims[0] = out->segments.dims[0] = batch;
    vg_device *device = model->kernels->device;
    VG_TRY(vg_device_copy(device, out->segments.data, segments, vg_tensor_bytes(&out->segments),
                          VG_COPY_TO_DEVICE));
    if (!labels) return VG_OK;
    out->labels = model->labels;
    out->labels.dims[0] = batch;
    return vg__convert_to(device, out->labels, labels, model->staging);
}

vg_status vg_model_upload(vg_model *model, int64_t batch, const float *signal, const int64_t *segments,
                          const float *labels, vg_model_batch *out)
{
    VG_TRY(upload_rest(model, batch, segments, labels, out));
    return vg__convert_to(model->kernels->device, out->signal, signal, model->staging);
}

vg_status vg_model_gather(vg_model *model, const vg_resident *corpus, int64_t batch, const int64_t *segments,
                          const float *labels, vg_model_batch *out)
{
    VG_TRY(check_batch(model, batch));
    if (corpus->segment_length != model->options.config.segment_length)
        return vg_fail(VG_ERR_SHAPE,
                       "the corpus has segments of %" PRId64 " samples; the model takes %" PRId64,
                       corpus->segment_length, model->options.config.segment_length);
    for (int64_t b = 0; b < batch; b++)
        if (segments[b] < 0 || segments[b] >= corpus->start.dims[0])
            return vg_fail(VG_ERR_SHAPE, "there is no segment %" PRId64 " among %" PRId64, segments[b],
                           corpus->start.dims[0]);
    VG_TRY(upload_rest(model, batch, segments, labels, out));
    return VG_RUN(model->kernels, gather, .signal = corpus->signal, .start = corpus->start,
                  .mean = corpus->mean, .scale = corpus->scale, .index = out->segments, .y = out->signal);
}

vg_status vg_model_download(const vg_model *model, vg_tensor from, float *to)
{
    return vg__convert_from(model->kernels->device, from, to);
}

static vg_status check_input(const vg_model *model, const vg_model_batch *batch)
{
    int64_t B = batch->signal.dims[0], T = model->options.config.segment_length;
    char text[96];
    if (batch->signal.rank != 2 || batch->signal.dims[1] != T || batch->signal.dtype != model->options.dtype)
        return vg_fail(
            VG_ERR_SHAPE, "the signal is %s; the model takes segments of %" PRId64 " samples in %s",
            vg_tensor_describe(&batch->signal, text, sizeof text), T, vg_dtype_name(model->options.dtype));
    VG_TRY(check_batch(model, B));
    if (batch->segments.rank != 1 || batch->segments.dims[0] != B || batch->segments.dtype != VG_I64)
        return vg_fail(VG_ERR_SHAPE, "the segment numbers are %s for %" PRId64 " segments",
                       vg_tensor_describe(&batch->segments, text, sizeof text), B);
    if (batch->labels.data && (batch->labels.rank != 1 || batch->labels.dims[0] != B))
        return vg_fail(VG_ERR_SHAPE, "the labels are %s for %" PRId64 " segments",
                       vg_tensor_describe(&batch->labels, text, sizeof text), B);
    return VG_OK;
}

static vg_status mask_signal(vg_model *model, const vg_pass *pass, vg_tensor signal)
{
    const vg_run *run = &model->run;
    vg_tensor absent = {0};
    model->input = vg__cut(run, model->masked);
    return vg_masking_forward(model->kernels, &model->options.masking, pass->seed, pass->epoch, signal,
                              run->segments, model->fill ? model->fill->value : absent, model->input,
                              vg__cut(run, model->mask));
}

static vg_status loss(vg_model *model, const vg_model_batch *batch, bool gradient)
{
    const vg_run *run = &model->run;
    vg_tensor output = vg__cut(run, model->head.output), doutput = {0};
    if (gradient) doutput = vg__cut(run, model->head.doutput);
    if (model->options.head == VG_HEAD_RECONSTRUCTION)
        return VG_RUN(model->kernels, masked_mse, .prediction = output, .target = batch->signal,
                      .mask = vg__cut(run, model->mask), .dprediction = doutput, .stats = model->stats);
    return VG_RUN(model->kernels, bce, .logit = output, .label = batch->labels, .dlogit = doutput,
                  .stats = model->stats);
}

vg_status vg_model_forward(vg_model *model, const vg_model_batch *batch, const vg_pass *pass, vg_tensor *out)
{
    VG_TRY(check_input(model, batch));
    const vg_model_options *o = &model->options;
    bool train = pass->kind == VG_PASS_TRAIN, predict = pass->kind == VG_PASS_PREDICT;
    if (train && !o->training)
        return vg_fail(VG_ERR_CONFIG, "the model was created for inference and cannot be trained");
    model->has_loss = false;
    model->run = (vg_run){.kernels = model->kernels,
                          .batch = batch->signal.dims[0],
                          .segments = batch->segments,
                          .seed = pass->seed,
                          .epoch = pass->epoch,
                          .dropout = train};
    model->input = batch->signal;
    if (o->head == VG_HEAD_RECONSTRUCTION && !predict) VG_TRY(mask_signal(model, pass, batch->signal));
    VG_TRY(model->encoder->ops->forward(model->encoder, &model->run, model->input));
    vg_tensor features = vg__cut(&model->run, model->encoder->features);
    if (o->head == VG_HEAD_EMBEDDING) {
        if (out) *out = features;
        return VG_OK;
    }
    VG_TRY(vg__head_forward(&model->head, &model->run, features));
    if (out) *out = vg__cut(&model->run, model->head.output);
    if (predict || (o->head == VG_HEAD_CLASSIFICATION && !batch->labels.data)) return VG_OK;
    VG_TRY(loss(model, batch, train));
    model->has_loss = train;
    return VG_OK;
}

vg_status vg_model_backward(vg_model *model)
{
    if (!model->has_loss)
        return vg_fail(VG_ERR_CONFIG, "backward needs a forward pass for training, with a loss, before it");
    model->has_loss = false; /* the gradients it starts from are used up */
    model->run.ready = model->ready;
    model->run.ready_context = model->ready_context;
    const vg_run *run = &model->run;
    vg_tensor absent = {0}, features = vg__cut(run, model->encoder->features);
    vg_tensor dfeatures = model->frozen ? absent : vg__cut(run, model->encoder->dfeatures);
    VG_TRY(vg__head_backward(&model->head, run, features, dfeatures));
    if (!model->frozen) {
        VG_TRY(vg__complete(run, model->head.linear[0].weight));
        VG_TRY(model->encoder->ops->backward(model->encoder, run, model->input));
        if (model->fill)
            VG_TRY(VG_RUN(model->kernels, mask_backward, .dy = vg__cut(run, model->encoder->dsignal),
                          .mask = vg__cut(run, model->mask), .dlearned = model->fill->gradient));
    }
    return model->ready ? model->ready(model->ready_context, 0) : VG_OK;
}

void vg_model_watch(vg_model *model, vg_gradients_ready ready, void *context)
{
    model->ready = ready;
    model->ready_context = context;
}

int vg_model_first_trained(const vg_model *model)
{
    return model->frozen ? model->head_first : 0;
}

vg_status vg_model_zero_gradients(vg_model *model)
{
    VG_TRY(vg_parameters_zero_gradients(&model->parameters));
    return vg_model_zero_stats(model);
}

vg_tensor vg_model_stats(const vg_model *model)
{
    return model->stats;
}

vg_status vg_model_zero_stats(vg_model *model)
{
    return vg_device_zero(model->kernels->device, model->stats.data, vg_tensor_bytes(&model->stats));
}

vg_status vg_model_read_stats(vg_model *model, double *sum, double *count)
{
    double both[2];
    VG_TRY(vg_device_copy(model->kernels->device, both, model->stats.data, sizeof both, VG_COPY_TO_HOST));
    VG_TRY(vg_device_synchronize(model->kernels->device));
    *sum = both[0];
    *count = both[1];
    return VG_OK;
}

void vg_model_freeze_encoder(vg_model *model, bool frozen)
{
    model->frozen = frozen;
}

bool vg_model_activation(const vg_model *model, int index, const char **name, vg_tensor *view)
{
    if (index < 0 || index >= model->plan.name_count) return false;
    *name = model->plan.names[index].name;
    *view = vg__cut(&model->run, *model->plan.names[index].view);
    return true;
}

bool vg_model_find_activation(const vg_model *model, const char *name, vg_tensor *view)
{
    const char *found;
    for (int i = 0; vg_model_activation(model, i, &found, view); i++)
        if (!strcmp(found, name)) return true;
    return false;
}

static const char *const head_names[] = {"reconstruction", "classification", "embedding"};

vg_status vg_model_save(vg_model *model, const char *path, const vg_text_pair *metadata,
                        size_t metadata_count)
{
    char *config = NULL, *masking = NULL;
    size_t count = 0;
    vg_text_pair *pairs = calloc(metadata_count + 4, sizeof *pairs);
    vg_status status = VG_OK;
    if (!pairs) return vg_fail(VG_ERR_MEMORY, "cannot write %s", path);
    VG_TRY_OUT(vg_model_config_to_json(&model->options.config, &config));
    pairs[count++] = (vg_text_pair){"format", "vagus"};
    pairs[count++] = (vg_text_pair){"model", config};
    pairs[count++] = (vg_text_pair){"head", head_names[model->options.head]};
    if (model->options.head == VG_HEAD_RECONSTRUCTION) {
        VG_TRY_OUT(vg_masking_config_to_json(&model->options.masking, &masking));
        pairs[count++] = (vg_text_pair){"masking", masking};
    }
    for (size_t i = 0; i < metadata_count; i++) pairs[count++] = metadata[i];
    VG_TRY_OUT(vg_parameters_save(&model->parameters, path, pairs, count));
out:
    free(pairs);
    free(config);
    free(masking);
    return status;
}

vg_status vg_model_read_options(const char *path, vg_model_options *out)
{
    vg_safetensors *file = NULL;
    vg_status status;
    vg_model_options options = {.masking = vg_masking_config_default(), .max_batch = 1, .dtype = VG_F32};
    VG_TRY_OUT(vg_safetensors_open(path, &file));
    const char *config = vg_safetensors_metadata(file, "model"),
               *head = vg_safetensors_metadata(file, "head");
    const char *masking = vg_safetensors_metadata(file, "masking");
    if (!config || !head) {
        status = vg_fail(VG_ERR_DATA, "%s has no '%s' in its metadata: not a model written by vagus", path,
                         config ? "head" : "model");
        goto out;
    }
    VG_TRY_OUT(vg_model_config_from_json(config, path, &options.config));
    if (masking) VG_TRY_OUT(vg_masking_config_from_json(masking, path, &options.masking));
    int kind = 0;
    while (kind <= VG_HEAD_EMBEDDING && strcmp(head, head_names[kind])) kind++;
    if (kind > VG_HEAD_EMBEDDING) {
        status = vg_fail(VG_ERR_DATA, "%s: unknown head '%s' in the metadata", path, head);
        goto out;
    }
    options.head = (vg_head_kind)kind;
    *out = options;
out:
    vg_safetensors_close(file);
    return status;
}

vg_status vg_model_load(vg_model *model, const char *path, const char *prefix, vg_load_report *report)
{
    vg_model_options there;
    char text[256];
    VG_TRY(vg_model_read_options(path, &there));
    bool pooling = !prefix && model->options.head != VG_HEAD_RECONSTRUCTION;
    if (!prefix && there.head != model->options.head)
        return vg_fail(VG_ERR_DATA,
                       "%s holds a model with a %s head, and this one has a %s head: a "
                       "checkpoint of another model",
                       path, head_names[there.head], head_names[model->options.head]);
    if (vg_model_config_differs(&model->options.config, &there.config, pooling, text, sizeof text))
        return vg_fail(VG_ERR_DATA, "%s: model.%s differs: a checkpoint of another model", path, text);
    return vg_parameters_load(&model->parameters, path, prefix, report);
}
