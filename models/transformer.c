/* The ECG transformer of Vazquez-Rodriguez et al. 2022:
 *
 *   (B, T) -> convolutions -> (B, T, C) -> CLS in front, positions added -> (B, 1 + T, C) = (B, R, C)
 *   -> L layers, each attention then feed-forward, each with a residual sum and a layer norm
 *   -> tokens (B, R, C), or one vector (B, C)
 *
 * The 2L blocks are numbered in a row, attention even and feed-forward odd. Post-norm and pre-norm run the
 * same fused operation after each block, z = residual + dropout(block), y = norm(z), and differ in who goes
 * on: post-norm takes y as the stream and as the next block's input; pre-norm takes z as the stream and y as
 * the next block's input, so that the norm after a block is the one in front of the next block (or the last
 * one), and the very first stands alone. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "models/encoder.h"
#include "models/layers.h"

extern const vg_encoder_ops vg__encoder_transformer;

/* Residual sum, dropout and norm after a block. */
typedef struct joint {
    vg_norm norm;
    vg_dropout_site dropout;
    vg_tensor z, y; /* (B, R, C) */
} joint;

typedef struct layer {
    vg_linear qkv, out; /* C -> 3C, C -> C */
    vg_dropout_site dropout;
    vg_tensor heads, lse; /* (B, R, H, D), (B, H, R) */
    vg_linear linear1, linear2;
    joint after[2];                          /* the attention, the feed-forward block */
    vg_tensor dheads, dqkv, delta, dlinear1; /* (B, R, C), (B, R, 3C), (B, H, R), (B, R, F) */
} layer;

typedef struct transformer {
    vg_encoder base;
    vg_model_config config;
    int64_t time, rows, width; /* T, R = 1 + T, C */
    int convs, layer_count;
    bool pre_norm, tokens;
    vg_conv conv[VG_MAX_CONFIG_LIST];
    vg_tensor dconv[VG_MAX_CONFIG_LIST]; /* (B, T, C_i): gradient of each convolution's output */
    vg_parameter *cls, *position;        /* (C), (R, C); position NULL when it is not learned */
    vg_tensor table;                     /* (R, C): the sinusoids */
    vg_tensor one, nothing, dnothing;    /* (B, 1, 1), (R * C, 1), (R * C): see position_backward() */
    vg_dropout_site before, after;
    vg_tensor stream; /* (B, R, C): the tokens as they enter the layers */
    vg_norm first;    /* pre-norm's norm in front of everything */
    vg_tensor first_y;
    layer *layers;
    vg_tensor last;                                /* (B, R, C): the tokens as they leave */
    vg_tensor pooled, chosen;                      /* (B, C), (B, C) I32 */
    vg_tensor dtokens, dpooled, dresidual, dblock; /* (B, R, C) but dpooled (B, C) */
} transformer;

static joint *joint_of(transformer *t, int block)
{
    return &t->layers[block / 2].after[block % 2];
}

/* The name of the norm after a block, see above. */
static void norm_name(const transformer *t, int block, char *out)
{
    int next = t->pre_norm ? block + 1 : block;
    if (next == 2 * t->layer_count)
        snprintf(out, VG_MAX_PARAMETER_NAME, "encoder.norm");
    else
        snprintf(out, VG_MAX_PARAMETER_NAME, "encoder.layers.%d.norm%d", next / 2, next % 2 + 1);
}

static vg_status plan_convolutions(transformer *t, vg_plan *plan)
{
    const vg_model_config *c = &t->config;
    int64_t in = 1;
    for (int i = 0; i < t->convs; i++) {
        int64_t out = c->conv_channels.item[i];
        bool normed = c->conv_norm == VG_CONV_NORM_ALL || (c->conv_norm == VG_CONV_NORM_FIRST && i == 0);
        VG_TRY(vg__conv_plan(plan, &t->conv[i], "encoder", i, t->time, in, out, c->conv_kernels.item[i],
                             (vg_activation)c->conv_activation, normed, c->norm_epsilon));
        if (i) vg__conv_done(plan, &t->conv[i - 1]);
        in = out;
    }
    return VG_OK;
}

static vg_status plan_tokens(transformer *t, vg_plan *plan)
{
    const vg_model_config *c = &t->config;
    vg_init init = {VG_INIT_NORMAL, 0.02};
    VG_TRY(vg_parameters_declare(plan->parameters, "encoder.cls", init, false, VG_DIMS(t->width), &t->cls));
    if (c->position == VG_POSITION_LEARNED) {
        VG_TRY(vg_parameters_declare(plan->parameters, "encoder.position", init, false,
                                     VG_DIMS(t->rows, t->width), &t->position));
        if (plan->training) {
            VG_TRY(vg__plan_own(plan, &t->one, NULL, plan->dtype, VG_DIMS(plan->batch, 1, 1)));
            VG_TRY(vg__plan_own(plan, &t->nothing, NULL, plan->dtype, VG_DIMS(t->rows * t->width, 1)));
            VG_TRY(vg__plan_own(plan, &t->dnothing, NULL, plan->statistic, VG_DIMS(t->rows * t->width)));
        }
    } else {
        VG_TRY(vg__plan_own(plan, &t->table, NULL, plan->dtype, VG_DIMS(t->rows, t->width)));
    }
    t->before = vg__plan_dropout(plan, c->dropout_input);
    t->after = vg__plan_dropout(plan, c->dropout_position);
    VG_TRY(vg__plan_keep(plan, &t->stream, "encoder.tokens", plan->dtype,
                         VG_DIMS(plan->batch, t->rows, t->width)));
    vg__conv_done(plan, &t->conv[t->convs - 1]);
    if (!t->pre_norm) return VG_OK;
    char name[VG_MAX_PARAMETER_NAME];
    norm_name(t, -1, name);
    VG_TRY(vg__plan_keep(plan, &t->first_y, name, plan->dtype, VG_DIMS(plan->batch, t->rows, t->width)));
    return vg__norm_plan(plan, &t->first, name, t->rows, t->width, c->norm_epsilon);
}

/* Plans what follows a block, whose output `x` and stream `residual` are read for the last time there. In
 * pre-norm the block's input is another buffer than the stream. */
static vg_status plan_joint(transformer *t, vg_plan *plan, int block, const vg_linear *x,
                            const vg_tensor *residual, const vg_tensor *input)
{
    joint *j = joint_of(t, block);
    char name[VG_MAX_PARAMETER_NAME], full[VG_MAX_PARAMETER_NAME];
    norm_name(t, block, name);
    j->dropout = vg__plan_dropout(plan, t->config.dropout_residual);
    VG_TRY(vg__plan_keep(plan, &j->z, vg__join(full, name, "input"), plan->dtype,
                         VG_DIMS(plan->batch, t->rows, t->width)));
    VG_TRY(vg__plan_keep(plan, &j->y, name, plan->dtype, VG_DIMS(plan->batch, t->rows, t->width)));
    VG_TRY(vg__norm_plan(plan, &j->norm, name, t->rows, t->width, t->config.norm_epsilon));
    vg__linear_done(plan, x);
    vg__plan_done(plan, residual);
    if (input != residual) vg__plan_done(plan, input);
    if (!t->pre_norm) vg__plan_done(plan, &j->z);
    return VG_OK;
}

static vg_status plan_layer(transformer *t, vg_plan *plan, int index, const vg_tensor **residual,
                            const vg_tensor **input)
{
    const vg_model_config *c = &t->config;
    layer *l = &t->layers[index];
    int64_t C = t->width, R = t->rows, H = c->heads, B = plan->batch, F = c->feedforward;
    char prefix[VG_MAX_PARAMETER_NAME], name[VG_MAX_PARAMETER_NAME];
    snprintf(prefix, sizeof prefix, "encoder.layers.%d", index);

    VG_TRY(vg__linear_plan(plan, &l->qkv, vg__join(name, prefix, "attention.qkv"), R, C, 3 * C,
                           VG_ACTIVATION_NONE, 0, VG_LINEAR_QKV));
    l->dropout = vg__plan_dropout(plan, c->dropout_attention);
    VG_TRY(vg__plan_keep(plan, &l->heads, vg__join(name, prefix, "attention.heads"), plan->dtype,
                         VG_DIMS(B, R, H, C / H)));
    VG_TRY(vg__plan_keep(plan, &l->lse, vg__join(name, prefix, "attention.lse"), plan->statistic,
                         VG_DIMS(B, H, R)));
    vg__linear_done(plan, &l->qkv);
    VG_TRY(vg__linear_plan(plan, &l->out, vg__join(name, prefix, "attention.out"), R, C, C,
                           VG_ACTIVATION_NONE, 0, VG_LINEAR_ATTENTION_OUT));
    vg__plan_done(plan, &l->heads);
    vg__plan_done(plan, &l->lse);
    VG_TRY(plan_joint(t, plan, 2 * index, &l->out, *residual, *input));
    *input = &l->after[0].y;
    *residual = t->pre_norm ? &l->after[0].z : &l->after[0].y;

    VG_TRY(vg__linear_plan(plan, &l->linear1, vg__join(name, prefix, "linear1"), R, C, F,
                           (vg_activation)c->activation, c->dropout_feedforward, VG_LINEAR_PLAIN));
    VG_TRY(vg__linear_plan(plan, &l->linear2, vg__join(name, prefix, "linear2"), R, F, C, VG_ACTIVATION_NONE,
                           0, VG_LINEAR_PLAIN));
    vg__linear_done(plan, &l->linear1);
    VG_TRY(plan_joint(t, plan, 2 * index + 1, &l->linear2, *residual, *input));
    *input = &l->after[1].y;
    *residual = t->pre_norm ? &l->after[1].z : &l->after[1].y;

    /* A layer's own gradients live only while its backward runs: all layers share them. */
    VG_TRY(vg__plan_borrow(plan, &l->dlinear1, plan->dtype, VG_DIMS(B, R, F)));
    vg__plan_return(plan, &l->dlinear1);
    VG_TRY(vg__plan_borrow(plan, &l->dheads, plan->dtype, VG_DIMS(B, R, H, C / H)));
    VG_TRY(vg__plan_borrow(plan, &l->dqkv, plan->dtype, VG_DIMS(B, R, 3 * C)));
    VG_TRY(vg__plan_borrow(plan, &l->delta, plan->statistic, VG_DIMS(B, H, R)));
    vg__plan_return(plan, &l->dheads);
    vg__plan_return(plan, &l->dqkv);
    vg__plan_return(plan, &l->delta);
    return VG_OK;
}

static vg_status plan_all(transformer *t, vg_plan *plan, bool signal_gradient)
{
    int64_t B = plan->batch, R = t->rows, C = t->width;
    VG_TRY(plan_convolutions(t, plan));
    VG_TRY(plan_tokens(t, plan));
    /* The gradient of the features stays lent: heads plan after us and write it. */
    VG_TRY(vg__plan_borrow(plan, &t->dtokens, plan->dtype, VG_DIMS(B, R, C)));
    if (!t->tokens) VG_TRY(vg__plan_borrow(plan, &t->dpooled, plan->dtype, VG_DIMS(B, C)));
    if (t->pre_norm) VG_TRY(vg__plan_borrow(plan, &t->dresidual, plan->dtype, VG_DIMS(B, R, C)));
    VG_TRY(vg__plan_borrow(plan, &t->dblock, plan->dtype, VG_DIMS(B, R, C)));

    const vg_tensor *residual = &t->stream, *input = t->pre_norm ? &t->first_y : &t->stream;
    for (int i = 0; i < t->layer_count; i++) VG_TRY(plan_layer(t, plan, i, &residual, &input));
    if (residual != input) vg__plan_done(plan, residual);
    t->last = *input; /* shape only; the memory is known after binding, see prepare() */
    t->base.features = t->last;
    t->base.dfeatures = t->dtokens;
    if (!t->tokens) {
        VG_TRY(vg__plan_keep(plan, &t->pooled, "encoder.pooled", plan->dtype, VG_DIMS(B, C)));
        if (t->config.pooling == VG_POOL_MAX)
            VG_TRY(vg__plan_keep(plan, &t->chosen, "encoder.chosen", VG_I32, VG_DIMS(B, C)));
    }

    /* Backward of the convolutions, from the last to the first. */
    for (int i = t->convs - 1; i >= 0; i--) {
        VG_TRY(vg__plan_borrow(plan, &t->dconv[i], plan->dtype,
                               VG_DIMS(B, t->time, t->config.conv_channels.item[i])));
        if (i < t->convs - 1) vg__plan_return(plan, &t->dconv[i + 1]);
    }
    if (signal_gradient) VG_TRY(vg__plan_borrow(plan, &t->base.dsignal, plan->dtype, VG_DIMS(B, t->time)));
    vg__plan_return(plan, &t->dconv[0]);
    vg__plan_return(plan, &t->dblock);
    if (t->pre_norm) vg__plan_return(plan, &t->dresidual);
    return VG_OK;
}

static void destroy(vg_encoder *encoder)
{
    transformer *t = (transformer *)encoder;
    free(t->layers);
    free(t);
}

static vg_status create(vg_plan *plan, const vg_model_config *config, bool tokens, bool signal_gradient,
                        vg_encoder **out)
{
    transformer *t = calloc(1, sizeof *t);
    layer *layers = calloc(config->layers ? (size_t)config->layers : 1, sizeof *layers);
    if (!t || !layers) {
        free(t);
        free(layers);
        return vg_fail(VG_ERR_MEMORY, "cannot create the transformer");
    }
    t->base.ops = &vg__encoder_transformer;
    t->base.width = t->width = config->d_model;
    t->config = *config;
    t->time = config->segment_length;
    t->rows = 1 + config->segment_length;
    t->convs = (int)config->conv_channels.count;
    t->layer_count = (int)config->layers;
    t->pre_norm = config->norm == VG_NORM_PRE;
    t->tokens = tokens;
    t->layers = layers;
    vg_status status = plan_all(t, plan, signal_gradient);
    if (status != VG_OK) {
        destroy(&t->base);
        return status;
    }
    *out = &t->base;
    return VG_OK;
}

/* position[r, 2i] = sin(r / 10000^(2i / C)), position[r, 2i + 1] = cos of the same (Vaswani et al. 2017);
 * CLS is position 0. */
static vg_status fill_sinusoids(transformer *t, vg_device *device)
{
    double *host = malloc((size_t)(t->rows * t->width) * sizeof *host);
    if (!host) return vg_fail(VG_ERR_MEMORY, "cannot fill the position table");
    for (int64_t r = 0; r < t->rows; r++)
        for (int64_t i = 0; i < t->width; i++) {
            double angle = (double)r * pow(10000.0, -(double)(i - i % 2) / (double)t->width);
            host[r * t->width + i] = i % 2 ? cos(angle) : sin(angle);
        }
    vg_status status = vg__fill(device, t->table, host);
    free(host);
    return status;
}

static vg_status prepare(vg_encoder *encoder, vg_kernels *kernels)
{
    transformer *t = (transformer *)encoder;
    t->last = t->pre_norm ? t->first_y : t->stream;
    if (t->layer_count) t->last = t->layers[t->layer_count - 1].after[1].y;
    t->base.features = t->tokens ? t->last : t->pooled;
    t->base.dfeatures = t->tokens ? t->dtokens : t->dpooled;
    if (!t->position) return fill_sinusoids(t, kernels->device);
    if (!t->one.data) return VG_OK;
    int64_t count = vg_tensor_count(&t->one);
    double *ones = malloc((size_t)count * sizeof *ones);
    if (!ones) return vg_fail(VG_ERR_MEMORY, "cannot fill a constant");
    for (int64_t i = 0; i < count; i++) ones[i] = 1;
    vg_status status = vg__fill(kernels->device, t->one, ones);
    free(ones);
    return status;
}

static vg_tensor view3(const vg_run *run, vg_tensor view, int64_t rows, int64_t width)
{
    return vg_tensor_reshape(vg__cut(run, view), VG_DIMS(run->batch, rows, width));
}

static vg_status attention_forward(const transformer *t, const layer *l, const vg_run *run, vg_tensor x)
{
    int64_t H = t->config.heads, D = t->width / H;
    vg_dropout storage;
    VG_TRY(vg__linear_forward(&l->qkv, run, x));
    vg_tensor qkv = vg_tensor_reshape(vg__cut(run, l->qkv.y), VG_DIMS(run->batch, t->rows, 3, H, D));
    VG_TRY(VG_RUN(run->kernels, attention_forward, .qkv = qkv, .out = vg__cut(run, l->heads),
                  .lse = vg__cut(run, l->lse), .scale = (float)(1 / sqrt((double)D)),
                  .dropout = vg__dropout(run, &l->dropout, &storage)));
    return vg__linear_forward(&l->out, run, view3(run, l->heads, t->rows, t->width));
}

/* dy is used up; see vg__linear_backward() for `add`. */
static vg_status attention_backward(const transformer *t, const layer *l, const vg_run *run, vg_tensor x,
                                    vg_tensor dy, vg_tensor dx, bool add)
{
    int64_t H = t->config.heads, D = t->width / H;
    vg_dropout storage;
    VG_TRY(vg__linear_backward(&l->out, run, view3(run, l->heads, t->rows, t->width), dy,
                               view3(run, l->dheads, t->rows, t->width), false));
    vg_tensor qkv = vg_tensor_reshape(vg__cut(run, l->qkv.y), VG_DIMS(run->batch, t->rows, 3, H, D));
    vg_tensor dqkv = vg__cut(run, l->dqkv);
    VG_TRY(VG_RUN(run->kernels, attention_backward, .dout = vg__cut(run, l->dheads), .qkv = qkv,
                  .out = vg__cut(run, l->heads), .lse = vg__cut(run, l->lse),
                  .dqkv = vg_tensor_reshape(dqkv, VG_DIMS(run->batch, t->rows, 3, H, D)),
                  .delta = vg__cut(run, l->delta), .scale = (float)(1 / sqrt((double)D)),
                  .dropout = vg__dropout(run, &l->dropout, &storage)));
    return vg__linear_backward(&l->qkv, run, x, dqkv, dx, add);
}

static vg_status forward(vg_encoder *encoder, const vg_run *run, vg_tensor signal)
{
    transformer *t = (transformer *)encoder;
    vg_dropout before, after;
    vg_tensor x = vg_tensor_reshape(signal, VG_DIMS(run->batch, t->time, 1));
    for (int i = 0; i < t->convs; i++) {
        VG_TRY(vg__conv_forward(&t->conv[i], run, x));
        x = vg__cut(run, t->conv[i].y);
    }
    vg_tensor residual = vg__cut(run, t->stream), input = residual;
    VG_TRY(VG_RUN(run->kernels, tokens_forward, .x = x, .cls = t->cls->value,
                  .position = t->position ? t->position->value : t->table, .out = residual,
                  .before = vg__dropout(run, &t->before, &before),
                  .after = vg__dropout(run, &t->after, &after)));
    if (t->pre_norm) {
        input = vg__cut(run, t->first_y);
        VG_TRY(VG_RUN(run->kernels, layernorm_forward, .x = residual, .gamma = t->first.weight->value,
                      .beta = t->first.bias->value, .y = input, .mean = vg__cut(run, t->first.mean),
                      .rstd = vg__cut(run, t->first.rstd), .epsilon = t->first.epsilon));
    }
    for (int block = 0; block < 2 * t->layer_count; block++) {
        const layer *l = &t->layers[block / 2];
        const joint *j = joint_of(t, block);
        vg_dropout storage;
        if (block % 2 == 0) {
            VG_TRY(attention_forward(t, l, run, input));
        } else {
            VG_TRY(vg__linear_forward(&l->linear1, run, input));
            VG_TRY(vg__linear_forward(&l->linear2, run, vg__cut(run, l->linear1.y)));
        }
        vg_tensor z = vg__cut(run, j->z);
        input = vg__cut(run, j->y);
        VG_TRY(VG_RUN(run->kernels, residual_layernorm_forward,
                      .x = vg__cut(run, block % 2 ? l->linear2.y : l->out.y), .residual = residual,
                      .gamma = j->norm.weight->value, .beta = j->norm.bias->value, .z = z, .y = input,
                      .mean = vg__cut(run, j->norm.mean), .rstd = vg__cut(run, j->norm.rstd),
                      .epsilon = j->norm.epsilon, .dropout = vg__dropout(run, &j->dropout, &storage)));
        residual = t->pre_norm ? z : input;
    }
    if (t->tokens) return VG_OK;
    return VG_RUN(run->kernels, pool_forward, .x = input, .y = vg__cut(run, t->pooled),
                  .chosen = t->chosen.data ? vg__cut(run, t->chosen) : t->chosen,
                  .pool = (vg_pool)t->config.pooling);
}

/* The gradient of learned positions is the sum over the batch of what flows into the tokens, behind the
 * dropout. The list of operations has no such sum, but a linear layer from one constant input 1 to R * C
 * outputs has it as the gradient of its weight, and counts its dropout the same way. dtokens is used up. */
static vg_status position_backward(transformer *t, const vg_run *run, vg_tensor dtokens)
{
    vg_dropout storage;
    int64_t N = t->rows * t->width;
    return VG_RUN(run->kernels, linear_backward, .dy = vg_tensor_reshape(dtokens, VG_DIMS(run->batch, 1, N)),
                  .x = vg__cut(run, t->one), .w = t->nothing,
                  .dw = vg_tensor_reshape(t->position->gradient, VG_DIMS(N, 1)), .db = t->dnothing,
                  .dropout = vg__dropout(run, &t->after, &storage));
}

/* In post-norm one buffer carries the gradient of the stream from block to block. In pre-norm there are two:
 * dresidual for the stream, dtokens for the block's input behind the norm. */
static vg_status blocks_backward(transformer *t, const vg_run *run, vg_tensor *out)
{
    vg_tensor dy = vg__cut(run, t->dtokens), dblock = vg__cut(run, t->dblock);
    vg_tensor dresidual = t->pre_norm ? vg__cut(run, t->dresidual) : dy, absent = {0}, dz = absent;
    for (int block = 2 * t->layer_count - 1; block >= 0; block--) {
        const layer *l = &t->layers[block / 2];
        const joint *j = joint_of(t, block);
        vg_dropout storage;
        VG_TRY(VG_RUN(run->kernels, residual_layernorm_backward, .dy = dy, .dz = dz, .z = vg__cut(run, j->z),
                      .gamma = j->norm.weight->value, .mean = vg__cut(run, j->norm.mean),
                      .rstd = vg__cut(run, j->norm.rstd), .dresidual = dresidual, .dx = dblock,
                      .dgamma = j->norm.weight->gradient, .dbeta = j->norm.bias->gradient,
                      .dropout = vg__dropout(run, &j->dropout, &storage)));
        vg_tensor input = block         ? vg__cut(run, joint_of(t, block - 1)->y)
                          : t->pre_norm ? vg__cut(run, t->first_y)
                                        : vg__cut(run, t->stream);
        bool add = !t->pre_norm;
        if (block % 2 == 0) {
            VG_TRY(attention_backward(t, l, run, input, dblock, dy, add));
        } else {
            vg_tensor dlinear1 = vg__cut(run, l->dlinear1);
            VG_TRY(
                vg__linear_backward(&l->linear2, run, vg__cut(run, l->linear1.y), dblock, dlinear1, false));
            VG_TRY(vg__linear_backward(&l->linear1, run, input, dlinear1, dy, add));
        }
        /* A block's parameters, those of the norm behind it among them, are declared in a row. */
        VG_TRY(vg__complete(run, block % 2 ? l->linear1.weight : l->qkv.weight));
        if (t->pre_norm) dz = dresidual;
    }
    *out = dy;
    if (!t->pre_norm) return VG_OK;
    /* The first norm's input is the stream itself, so the fused operation adds both gradients here too. */
    *out = dresidual;
    return VG_RUN(run->kernels, residual_layernorm_backward, .dy = dy, .dz = dz, .z = vg__cut(run, t->stream),
                  .gamma = t->first.weight->value, .mean = vg__cut(run, t->first.mean),
                  .rstd = vg__cut(run, t->first.rstd), .dresidual = dresidual, .dx = dresidual,
                  .dgamma = t->first.weight->gradient, .dbeta = t->first.bias->gradient);
}

static vg_status backward(vg_encoder *encoder, const vg_run *run, vg_tensor signal)
{
    transformer *t = (transformer *)encoder;
    vg_dropout before, after;
    if (!t->tokens)
        VG_TRY(VG_RUN(run->kernels, pool_backward, .dy = vg__cut(run, t->dpooled),
                      .dx = vg__cut(run, t->dtokens),
                      .chosen = t->chosen.data ? vg__cut(run, t->chosen) : t->chosen,
                      .pool = (vg_pool)t->config.pooling));
    vg_tensor dstream;
    VG_TRY(blocks_backward(t, run, &dstream));
    vg_tensor dy = vg__cut(run, t->dconv[t->convs - 1]);
    VG_TRY(VG_RUN(run->kernels, tokens_backward, .dout = dstream, .dx = dy, .dcls = t->cls->gradient,
                  .before = vg__dropout(run, &t->before, &before),
                  .after = vg__dropout(run, &t->after, &after)));
    if (t->position) VG_TRY(position_backward(t, run, dstream));
    VG_TRY(vg__complete(run, t->cls));
    for (int i = t->convs - 1; i >= 0; i--) {
        vg_tensor x = vg_tensor_reshape(signal, VG_DIMS(run->batch, t->time, 1)), dx = {0};
        if (i) {
            x = vg__cut(run, t->conv[i - 1].y);
            dx = vg__cut(run, t->dconv[i - 1]);
        } else if (t->base.dsignal.data) {
            dx = view3(run, t->base.dsignal, t->time, 1);
        }
        VG_TRY(vg__conv_backward(&t->conv[i], run, x, vg__cut(run, t->dconv[i]), dx));
        VG_TRY(vg__complete(run, t->conv[i].weight));
    }
    return VG_OK;
}

const vg_encoder_ops vg__encoder_transformer = {
    .name = "transformer",
    .create = create,
    .prepare = prepare,
    .forward = forward,
    .backward = backward,
    .destroy = destroy,
};
