#include "models/heads.h"

#include <stdio.h>

vg_status vg__head_plan(vg_plan *plan, vg_head *head, const vg_model_config *config, bool per_sample,
                        vg_tensor features)
{
    const vg_config_list *hidden = per_sample ? &config->reconstruction_head : &config->classification_head;
    const char *kind = per_sample ? "head.reconstruction" : "head.classification";
    int64_t B = plan->batch, in = features.dims[features.rank - 1];
    head->per_sample = per_sample;
    head->rows = per_sample ? features.dims[1] : 1;
    head->count = (int)hidden->count + 1;
    for (int i = 0; i < head->count; i++) {
        char name[VG_MAX_PARAMETER_NAME];
        bool last = i == head->count - 1;
        int64_t out = last ? 1 : hidden->item[i];
        snprintf(name, sizeof name, "%s.%d", kind, i);
        VG_TRY(vg__linear_plan(plan, &head->linear[i], name, head->rows, in, out,
                               last ? VG_ACTIVATION_NONE : VG_ACTIVATION_RELU,
                               last || per_sample ? 0 : config->head_dropout, VG_LINEAR_PLAIN));
        if (i) vg__linear_done(plan, &head->linear[i - 1]);
        in = out;
    }
    if (per_sample) {
        int64_t T = head->rows - 1;
        VG_TRY(vg__plan_keep(plan, &head->output, "head.output", plan->dtype, VG_DIMS(B, T)));
        VG_TRY(vg__plan_own(plan, &head->zero, NULL, plan->dtype, VG_DIMS(1)));
        VG_TRY(vg__plan_own(plan, &head->dzero, NULL, plan->statistic, VG_DIMS(1)));
        VG_TRY(vg__plan_own(plan, &head->zeros, NULL, plan->dtype, VG_DIMS(head->rows, 1)));
        VG_TRY(vg__plan_borrow(plan, &head->doutput, plan->dtype, VG_DIMS(B, T)));
    } else {
        VG_TRY(vg__plan_keep(plan, &head->output, "head.output", plan->dtype, VG_DIMS(B)));
        VG_TRY(vg__plan_borrow(plan, &head->doutput, plan->dtype, VG_DIMS(B)));
    }
    const vg_tensor *after = &head->doutput;
    if (per_sample) {
        VG_TRY(vg__plan_borrow(plan, &head->draw, plan->dtype, VG_DIMS(B, head->rows, 1)));
        vg__plan_return(plan, after);
        after = &head->draw;
    }
    for (int i = head->count - 2; i >= 0; i--) {
        VG_TRY(
            vg__plan_borrow(plan, &head->dhidden[i], plan->dtype, VG_DIMS(B, head->rows, hidden->item[i])));
        vg__plan_return(plan, after);
        after = &head->dhidden[i];
    }
    vg__plan_return(plan, after);
    return VG_OK;
}

/* (B, R, C), also of a vector (B, C). */
static vg_tensor rows_of(const vg_head *head, const vg_run *run, vg_tensor features)
{
    int64_t width = features.dims[features.rank - 1];
    return vg_tensor_reshape(features, VG_DIMS(run->batch, head->rows, width));
}

/* Dropping CLS from (B, R, 1) and putting it back are what the token operation does in its backward and
 * forward pass, for tokens of one channel: no operation of our own is needed to move them. The "gradient of
 * CLS" that falls off lands in `dzero`, which nobody reads. */
static vg_status drop_first(vg_head *head, const vg_run *run, vg_tensor from, vg_tensor to)
{
    VG_TRY(vg_device_zero(run->kernels->device, head->dzero.data, vg_tensor_bytes(&head->dzero)));
    return VG_RUN(run->kernels, tokens_backward, .dout = from,
                  .dx = vg_tensor_reshape(to, VG_DIMS(run->batch, head->rows - 1, 1)), .dcls = head->dzero);
}

static vg_status put_first(vg_head *head, const vg_run *run, vg_tensor from, vg_tensor to)
{
    return VG_RUN(run->kernels, tokens_forward,
                  .x = vg_tensor_reshape(from, VG_DIMS(run->batch, head->rows - 1, 1)), .cls = head->zero,
                  .position = head->zeros, .out = to);
}

vg_status vg__head_forward(vg_head *head, const vg_run *run, vg_tensor features)
{
    vg_tensor x = rows_of(head, run, features);
    for (int i = 0; i < head->count; i++) {
        VG_TRY(vg__linear_forward(&head->linear[i], run, x));
        x = vg__cut(run, head->linear[i].y);
    }
    vg_tensor output = vg__cut(run, head->output);
    if (head->per_sample) return drop_first(head, run, x, output);
    return vg_device_copy(run->kernels->device, output.data, x.data, vg_tensor_bytes(&output),
                          VG_COPY_ON_DEVICE);
}

vg_status vg__head_backward(vg_head *head, const vg_run *run, vg_tensor features, vg_tensor dfeatures)
{
    vg_tensor dy = vg__cut(run, head->doutput);
    if (head->per_sample) {
        vg_tensor draw = vg__cut(run, head->draw);
        VG_TRY(put_first(head, run, dy, draw));
        dy = draw;
    } else {
        dy = vg_tensor_reshape(dy, VG_DIMS(run->batch, 1, 1));
    }
    for (int i = head->count - 1; i >= 0; i--) {
        vg_tensor x = i ? vg__cut(run, head->linear[i - 1].y) : rows_of(head, run, features), dx = {0};
        if (i)
            dx = vg__cut(run, head->dhidden[i - 1]);
        else if (dfeatures.data)
            dx = rows_of(head, run, dfeatures);
        VG_TRY(vg__linear_backward(&head->linear[i], run, x, dy, dx, false));
        dy = dx;
    }
    return VG_OK;
}
