/* A model ready to run: masking, encoder, head and loss on one device, every buffer planned at creation for a
 * largest batch. Any smaller batch works without allocating.
 *
 *     vg_model_options options = {.config = config, .masking = masking, .head = VG_HEAD_RECONSTRUCTION,
 *                                 .max_batch = 16, .training = true, .dtype = VG_F32};
 *     VG_TRY(vg_model_create(kernels, &options, &model));
 *     VG_TRY(vg_parameters_initialize(vg_model_parameters(model), seed));
 *     each step:
 *         VG_TRY(vg_model_zero_gradients(model));            also zeroes the sums of the loss
 *         each micro-batch:
 *             VG_TRY(vg_model_upload(model, B, signal, segments, NULL, &batch));
 *             VG_TRY(vg_model_forward(model, &batch, &(vg_pass){VG_PASS_TRAIN, seed, epoch}, NULL));
 *             VG_TRY(vg_model_backward(model));
 *         VG_TRY(vg_optimizer_step(optimizer, lr, vg_model_stats(model)));
 *
 * Losses and gradients are sums over samples; the optimiser divides by the count. One thread at a time. */
#ifndef VAGUS_MODELS_MODEL_H
#define VAGUS_MODELS_MODEL_H

#include "kernels/kernels.h"
#include "models/config.h"
#include "models/params.h"
#include "models/resident.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct vg_model vg_model;

/* What the features become: a value a sample, a logit a segment, or the segment's vector itself. */
typedef enum vg_head_kind { VG_HEAD_RECONSTRUCTION, VG_HEAD_CLASSIFICATION, VG_HEAD_EMBEDDING } vg_head_kind;

typedef struct vg_model_options {
    vg_model_config config;
    vg_masking_config masking; /* read for RECONSTRUCTION only */
    vg_head_kind head;
    int64_t max_batch;
    bool training;  /* false: no gradients, and activations share buffers; VG_PASS_TRAIN is refused */
    vg_dtype dtype; /* of activations and of the parameters that are computed with: VG_F32; VG_BF16, whose
                       parameters have F32 masters; VG_F64 on `ref` */
    int optimizer_ranks; /* that share the optimiser's moments (parallel.h), for estimates of memory; 0 and 1:
                            none */
} vg_model_options;

/* A batch on the model's device (the name vg_batch is the data loader's). */
typedef struct vg_model_batch {
    vg_tensor signal;   /* (B, T) */
    vg_tensor segments; /* (B) I64: each segment's number in the corpus, which masks and dropout depend on */
    vg_tensor labels;   /* (B), CLASSIFICATION only, else absent; absent: no loss */
} vg_model_batch;

/* TRAIN: dropout, masks, loss and its gradient; backward may follow.
 * EVALUATE: masks and loss, no dropout. PREDICT: neither masks nor loss; the signal is seen whole. */
typedef enum vg_pass_kind { VG_PASS_TRAIN, VG_PASS_EVALUATE, VG_PASS_PREDICT } vg_pass_kind;

/* Masks and dropout are functions of (seed, epoch, segment, position); evaluation takes a fixed epoch. */
typedef struct vg_pass {
    vg_pass_kind kind;
    uint64_t seed;
    uint32_t epoch;
} vg_pass;

/* What a configuration takes on the device, in bytes. */
typedef struct vg_model_memory {
    size_t parameters;  /* what is computed with, masters, gradients */
    size_t optimizer;   /* its moments; 0 without training */
    size_t activations; /* of the forward pass, at max_batch */
    size_t gradients;   /* of activations */
    size_t inputs;      /* and constants */
    size_t total;
} vg_model_memory;

/* Adds up without allocating anything there. What a backend takes for itself on first use is not in it. */
VG_NODISCARD VG_API vg_status vg_model_measure(const vg_model_options *options, vg_model_memory *out);

/* Calls `each` for every parameter of a configuration, in order of declaration: names and shapes, no memory.
 * Stops at the first error and returns it. */
typedef vg_status (*vg_parameter_visitor)(const vg_parameter *parameter, void *context);
VG_NODISCARD VG_API vg_status vg_model_visit_parameters(const vg_model_options *options,
                                                        vg_parameter_visitor each, void *context);

/* ERR_MEMORY when that is more than the device says is free, as vg_model_create() would say; for those who
 * want to know before they begin. */
VG_NODISCARD VG_API vg_status vg_model_fits(vg_device *device, const vg_model_options *options);

/* Checks the configuration, plans and allocates everything, logs the sizes. Parameters are zero until
 * initialised or loaded. `kernels` is borrowed until destroy. ERR_MEMORY says how much is needed, how much is
 * free, and the largest train.micro_batch that would fit; also when there is no room for the optimiser of a
 * training model, before anything is allocated, if the device knows what is free. */
VG_NODISCARD VG_API vg_status vg_model_create(vg_kernels *kernels, const vg_model_options *options,
                                              vg_model **out);
VG_API void vg_model_destroy(vg_model *model); /* NULL is fine */

VG_API vg_parameters *vg_model_parameters(vg_model *model);
VG_API const vg_model_options *vg_model_get_options(const vg_model *model);

/* Copies host arrays into the model's own input buffers, in its type: signal (B, T), segments (B), labels (B)
 * or NULL. The arrays may be used again when it returns.
 * ERR_SHAPE when batch is not in [1, max_batch]. */
VG_NODISCARD VG_API vg_status vg_model_upload(vg_model *model, int64_t batch, const float *signal,
                                              const int64_t *segments, const float *labels,
                                              vg_model_batch *out);

/* The same from a corpus that lies on the device: only `segments`, which are indices into it as well as the
 * numbers that masks and dropout depend on, and labels come from the host. The signal has the bits that a
 * loader would have uploaded. ERR_SHAPE too when there is no such segment, or the corpus' are not of the
 * model's length; not for models in F64. */
VG_NODISCARD VG_API vg_status vg_model_gather(vg_model *model, const vg_resident *corpus, int64_t batch,
                                              const int64_t *segments, const float *labels,
                                              vg_model_batch *out);

/* Copies a result of vg_model_forward() to floats of the host, as many as it has elements, whatever the
 * model's type. Waits for the device. */
VG_NODISCARD VG_API vg_status vg_model_download(const vg_model *model, vg_tensor from, float *to);

/* Runs the model. `out` (may be NULL) becomes a view of the result, valid until the next forward or backward:
 * the reconstruction (B, T), the logits (B), or the vectors (B, d_model). */
VG_NODISCARD VG_API vg_status vg_model_forward(vg_model *model, const vg_model_batch *batch,
                                               const vg_pass *pass, vg_tensor *out);

/* Adds the gradients of the latest forward, which was VG_PASS_TRAIN with a loss (else ERR_CONFIG), to the
 * parameters' gradients. */
VG_NODISCARD VG_API vg_status vg_model_backward(vg_model *model);

/* Called while vg_model_backward() runs, whenever work has been queued that completes more gradients: those
 * of parameters->list[first ...] are then final as far as this backward goes. `first` never grows, and is 0
 * at the end of every backward, also when some parameters get no gradient. An error ends the backward. */
typedef vg_status (*vg_gradients_ready)(void *context, int first);
VG_API void vg_model_watch(vg_model *model, vg_gradients_ready ready, void *context); /* NULL: nobody */

/* The first parameter of the list from which on backward adds to gradients: 0, or the head's when the encoder
 * is frozen. */
VG_API int vg_model_first_trained(const vg_model *model);

/* Zeroes the parameters' gradients and the sums of the loss. */
VG_NODISCARD VG_API vg_status vg_model_zero_gradients(vg_model *model);

/* (2) F64 on the device: the sum of the loss, and what it is to be divided by (masked samples, or segments).
 * Every forward with a loss adds to it; vg_model_zero_stats() starts again, vg_model_read_stats() waits for
 * the device and copies it. */
VG_API vg_tensor vg_model_stats(const vg_model *model);
VG_NODISCARD VG_API vg_status vg_model_zero_stats(vg_model *model);
VG_NODISCARD VG_API vg_status vg_model_read_stats(vg_model *model, double *sum, double *count);

/* Freezes every parameter before the head: backward then stops behind the head. For a linear probe; give the
 * optimiser the same prefix ("encoder."). */
VG_API void vg_model_freeze_encoder(vg_model *model, bool frozen);

/* Intermediate activations of the latest forward by name ("masking.mask", "encoder.conv.0",
 * "encoder.layers.1.norm2", "head.0" ...), for tests and for the curious. Complete only in a training model:
 * else buffers are shared. Index from 0; false past the end. */
VG_API bool vg_model_activation(const vg_model *model, int index, const char **name, vg_tensor *view);
VG_API bool vg_model_find_activation(const vg_model *model, const char *name, vg_tensor *view);

/* model.safetensors with the configuration in its metadata; `metadata` (may be NULL) adds to it. Reading
 * back: the configuration alone, to create a model; then the values. */
VG_NODISCARD VG_API vg_status vg_model_save(vg_model *model, const char *path, const vg_text_pair *metadata,
                                            size_t metadata_count);
VG_NODISCARD VG_API vg_status vg_model_read_options(const char *path, vg_model_options *out);

/* Reads the values of a file that holds the same model and head (`prefix` NULL), or only its encoder
 * ("encoder."), and says which switch differs when it does not fit. `report` may be NULL. */
VG_NODISCARD VG_API vg_status vg_model_load(vg_model *model, const char *path, const char *prefix,
                                            vg_load_report *report);

#ifdef __cplusplus
}
#endif
#endif
