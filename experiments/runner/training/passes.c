#include "experiments/runner/training/passes.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

vg_status vg_place_batch(vg_model *model, const vg_resident *resident, const vg_batch *batch, int64_t first,
                         int64_t count, bool labels, vg_model_batch *out)
{
    const float *label = labels ? batch->label + first : NULL;
    if (resident) return vg_model_gather(model, resident, count, batch->segments + first, label, out);
    return vg_model_upload(model, count, batch->signal + first * batch->length, batch->segments + first,
                           label, out);
}

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
    if (count == 0) return VG_OK; /* fewer segments than ranks */
    VG_TRY(vg_loader_create(training->corpus, segments, count, &loading, &loader));
    VG_TRY_OUT(vg_loader_start(loader, 0, 0));
    for (;;) {
        vg_batch batch;
        vg_model_batch uploaded;
        vg_tensor out;
        VG_TRY_OUT(vg_loader_next(loader, &batch));
        if (batch.end) break;
        bool labels = training->head == VG_HEAD_CLASSIFICATION && kind != VG_PASS_PREDICT;
        VG_TRY_OUT(vg_place_batch(model, resident, &batch, 0, batch.count, labels, &uploaded));
        VG_TRY_OUT(vg_model_forward(model, &uploaded, &pass, &out));
        if (each) VG_TRY_OUT(each(model, out, &batch, context));
    }
out:
    vg_loader_destroy(loader);
    return status;
}

vg_status vg_validate(const vg_training *training, vg_model *model, const vg_resident *resident, double *loss)
{
    int64_t total = training->validation_count, first, count;
    double sums[2];
    vg_machine_share(training->machine, total, &first, &count);
    VG_TRY(vg_model_zero_stats(model));
    VG_TRY(run_over(training, model, resident, training->validation + first, count, VG_PASS_EVALUATE, NULL,
                    NULL));
    VG_TRY(vg_model_read_stats(model, &sums[0], &sums[1]));
    VG_TRY(vg_group_sum(training->machine->group, "validation loss", sums, 2));
    const double sum = sums[0], divisor = sums[1];
    if (!isfinite(sum))
        return vg_fail(VG_ERR_NUMERIC,
                       "the validation loss is not finite; a lower optimizer.lr, a longer warm-up or "
                       "optimizer.clip_norm=1 usually helps; earlier checkpoints are intact");
    if (!(divisor > 0))
        return vg_fail(
            VG_ERR_DATA,
            "no sample of the %" PRId64 " validation segments is masked; raise masking.probability", total);
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
    int64_t first, share;
    vg_machine_share(training->machine, count, &first, &share);
    memset(probabilities, 0, (size_t)count * sizeof *probabilities);
    probability_list list = {.next = probabilities + first};
    list.logits = malloc((size_t)vg_model_get_options(model)->max_batch * sizeof(float));
    if (!list.logits) return vg_fail(VG_ERR_MEMORY, "no memory for the logits of a batch");
    vg_status status =
        run_over(training, model, NULL, segments + first, share, VG_PASS_PREDICT, take_probabilities, &list);
    free(list.logits);
    VG_TRY(status);
    return vg_group_sum(training->machine->group, "probabilities", probabilities, count);
}
