#include "models/layers.h"

#include <math.h>
#include <stdio.h>

vg_status vg__linear_plan(vg_plan *plan, vg_linear *layer, const char *name, int64_t rows, int64_t in,
                          int64_t out, vg_activation activation, double dropout, vg_linear_init init)
{
    char full[VG_MAX_PARAMETER_NAME];
    double bound = 1 / sqrt((double)in); /* Kaiming uniform with a = sqrt(5), PyTorch's default */
    vg_init weight = {VG_INIT_UNIFORM, bound}, bias = {VG_INIT_UNIFORM, bound};
    if (init == VG_LINEAR_QKV) weight.scale = sqrt(6.0 / (double)(in + out)); /* Xavier uniform */
    if (init != VG_LINEAR_PLAIN) bias = (vg_init){VG_INIT_ZEROS, 0};
    VG_TRY(vg_parameters_declare(plan->parameters, vg__join(full, name, "weight"), weight, true,
                                 VG_DIMS(out, in), &layer->weight));
    VG_TRY(vg_parameters_declare(plan->parameters, vg__join(full, name, "bias"), bias, false, VG_DIMS(out),
                                 &layer->bias));
    layer->activation = activation;
    layer->dropout = vg__plan_dropout(plan, dropout);
    layer->pre = (vg_tensor){0};
    if (activation == VG_ACTIVATION_GELU)
        VG_TRY(vg__plan_keep(plan, &layer->pre, vg__join(full, name, "pre"), plan->dtype,
                             VG_DIMS(plan->batch, rows, out)));
    VG_TRY(vg__plan_keep(plan, &layer->y, name, plan->dtype, VG_DIMS(plan->batch, rows, out)));
    if (activation == VG_ACTIVATION_GELU) vg__plan_done(plan, &layer->pre);
    return VG_OK;
}

/* An absent buffer stays absent whatever the batch. */
static vg_tensor cut_optional(const vg_run *run, vg_tensor view)
{
    return view.data ? vg__cut(run, view) : view;
}

vg_status vg__linear_forward(const vg_linear *layer, const vg_run *run, vg_tensor x)
{
    vg_dropout storage;
    return VG_RUN(run->kernels, linear_forward, .x = x, .w = layer->weight->value, .b = layer->bias->value,
                  .y = vg__cut(run, layer->y), .pre = cut_optional(run, layer->pre),
                  .activation = layer->activation, .dropout = vg__dropout(run, &layer->dropout, &storage));
}

vg_status vg__linear_backward(const vg_linear *layer, const vg_run *run, vg_tensor x, vg_tensor dy,
                              vg_tensor dx, bool add)
{
    vg_dropout storage;
    return VG_RUN(run->kernels, linear_backward, .dy = dy, .x = x, .w = layer->weight->value,
                  .y = vg__cut(run, layer->y), .pre = cut_optional(run, layer->pre), .dx = dx,
                  .dw = layer->weight->gradient, .db = layer->bias->gradient, .activation = layer->activation,
                  .dropout = vg__dropout(run, &layer->dropout, &storage), .add_to_dx = add);
}

void vg__linear_done(vg_plan *plan, const vg_linear *layer)
{
    vg__plan_done(plan, &layer->y);
}

vg_status vg__norm_plan(vg_plan *plan, vg_norm *norm, const char *name, int64_t rows, int64_t width,
                        double epsilon)
{
    char full[VG_MAX_PARAMETER_NAME];
    VG_TRY(vg_parameters_declare(plan->parameters, vg__join(full, name, "weight"), (vg_init){VG_INIT_ONES, 0},
                                 false, VG_DIMS(width), &norm->weight));
    VG_TRY(vg_parameters_declare(plan->parameters, vg__join(full, name, "bias"), (vg_init){VG_INIT_ZEROS, 0},
                                 false, VG_DIMS(width), &norm->bias));
    VG_TRY(vg__plan_keep(plan, &norm->mean, NULL, plan->statistic, VG_DIMS(plan->batch, rows)));
    VG_TRY(vg__plan_keep(plan, &norm->rstd, NULL, plan->statistic, VG_DIMS(plan->batch, rows)));
    /* The statistics are for backward: in an inference model the next norm may write over them. */
    vg__plan_done(plan, &norm->mean);
    vg__plan_done(plan, &norm->rstd);
    norm->epsilon = (float)epsilon;
    return VG_OK;
}

vg_status vg__conv_plan(vg_plan *plan, vg_conv *layer, const char *prefix, int index, int64_t time,
                        int64_t in, int64_t out, int64_t width, vg_activation activation, bool normed,
                        double epsilon)
{
    char name[VG_MAX_PARAMETER_NAME], full[VG_MAX_PARAMETER_NAME], norm[VG_MAX_PARAMETER_NAME];
    snprintf(name, sizeof name, "%s.conv.%d", prefix, index);
    snprintf(norm, sizeof norm, "%s.conv_norm.%d", prefix, index);
    vg_init init = {VG_INIT_UNIFORM, 1 / sqrt((double)(in * width))};
    VG_TRY(vg_parameters_declare(plan->parameters, vg__join(full, name, "weight"), init, true,
                                 VG_DIMS(out, width, in), &layer->weight));
    VG_TRY(vg_parameters_declare(plan->parameters, vg__join(full, name, "bias"), init, false, VG_DIMS(out),
                                 &layer->bias));
    layer->activation = activation;
    layer->normed = normed;
    layer->conv = layer->pre = (vg_tensor){0};
    if (normed)
        VG_TRY(vg__plan_keep(plan, &layer->conv, name, plan->dtype, VG_DIMS(plan->batch, time, out)));
    else if (activation == VG_ACTIVATION_GELU)
        VG_TRY(vg__plan_keep(plan, &layer->pre, vg__join(full, name, "pre"), plan->dtype,
                             VG_DIMS(plan->batch, time, out)));
    VG_TRY(
        vg__plan_keep(plan, &layer->y, normed ? norm : name, plan->dtype, VG_DIMS(plan->batch, time, out)));
    if (!normed) {
        if (activation == VG_ACTIVATION_GELU) vg__plan_done(plan, &layer->pre);
        return VG_OK;
    }
    VG_TRY(vg__norm_plan(plan, &layer->norm, norm, time, out, epsilon));
    vg__plan_done(plan, &layer->conv);
    return VG_OK;
}

vg_status vg__conv_forward(const vg_conv *layer, const vg_run *run, vg_tensor x)
{
    vg_tensor y = vg__cut(run, layer->y);
    if (!layer->normed)
        return VG_RUN(run->kernels, conv1d_forward, .x = x, .w = layer->weight->value,
                      .b = layer->bias->value, .y = y, .pre = cut_optional(run, layer->pre),
                      .activation = layer->activation);
    vg_tensor conv = vg__cut(run, layer->conv);
    VG_TRY(VG_RUN(run->kernels, conv1d_forward, .x = x, .w = layer->weight->value, .b = layer->bias->value,
                  .y = conv));
    const vg_norm *norm = &layer->norm;
    return VG_RUN(run->kernels, layernorm_forward, .x = conv, .gamma = norm->weight->value,
                  .beta = norm->bias->value, .y = y, .mean = vg__cut(run, norm->mean),
                  .rstd = vg__cut(run, norm->rstd), .epsilon = norm->epsilon,
                  .activation = layer->activation);
}

vg_status vg__conv_backward(const vg_conv *layer, const vg_run *run, vg_tensor x, vg_tensor dy, vg_tensor dx)
{
    if (!layer->normed)
        return VG_RUN(run->kernels, conv1d_backward, .dy = dy, .x = x, .w = layer->weight->value,
                      .y = vg__cut(run, layer->y), .pre = cut_optional(run, layer->pre), .dx = dx,
                      .dw = layer->weight->gradient, .db = layer->bias->gradient,
                      .activation = layer->activation);
    const vg_norm *norm = &layer->norm;
    vg_tensor conv = vg__cut(run, layer->conv);
    VG_TRY(VG_RUN(run->kernels, layernorm_backward, .dy = dy, .x = conv, .gamma = norm->weight->value,
                  .beta = norm->bias->value, .mean = vg__cut(run, norm->mean),
                  .rstd = vg__cut(run, norm->rstd), .dx = dy, .dgamma = norm->weight->gradient,
                  .dbeta = norm->bias->gradient, .activation = layer->activation));
    return VG_RUN(run->kernels, conv1d_backward, .dy = dy, .x = x, .w = layer->weight->value, .y = conv,
                  .dx = dx, .dw = layer->weight->gradient, .db = layer->bias->gradient);
}

void vg__conv_done(vg_plan *plan, const vg_conv *layer)
{
    vg__plan_done(plan, &layer->y);
}
