#include "experiments/runner/bench/cases.h"

#include <string.h>

const char *vg_bench_model_name(vg_bench_model model)
{
    return model == VG_BENCH_PAPER ? "paper" : "small";
}

/* As far as shapes and speed depend on it, what cpu-small.yaml says. */
vg_model_config vg_bench_model_config(vg_bench_model model)
{
    vg_model_config config = vg_model_config_default();
    if (model == VG_BENCH_PAPER) return config;
    config.conv_channels = vg_config_list_make((const int64_t[]){16, 32, 64}, 3);
    config.d_model = 64;
    config.feedforward = 256;
    config.reconstruction_head = vg_config_list_make((const int64_t[]){64}, 1);
    config.norm = VG_NORM_PRE;
    return config;
}

typedef struct list {
    vg_bench_case *cases;
    int count;
} list;

static void add(list *l, vg_kernel_id id, const char *name, int times, vg_bench_shape shape)
{
    VG_ASSERT(l->count < VG_BENCH_MAX_CASES);
    int64_t *letters[] = {&shape.B, &shape.T, &shape.R, &shape.C, &shape.I,
                          &shape.O, &shape.K, &shape.H, &shape.D, &shape.N};
    for (size_t i = 0; i < sizeof letters / sizeof *letters; i++)
        if (!*letters[i]) *letters[i] = 1;
    l->cases[l->count++] = (vg_bench_case){id, name, times, shape};
}

/* Forward and backward of one layer. */
#define BOTH(op, name, times, ...)                                                                           \
    do {                                                                                                     \
        add(&l, VG_KERNEL_##op##_forward, name, times, (vg_bench_shape){__VA_ARGS__});                       \
        add(&l, VG_KERNEL_##op##_backward, name, times, (vg_bench_shape){__VA_ARGS__});                      \
    } while (0)
#define ONE(op, name, times, ...) add(&l, VG_KERNEL_##op, name, times, (vg_bench_shape){__VA_ARGS__})

static bool normed(const vg_model_config *c, int64_t conv)
{
    return c->conv_norm == VG_CONV_NORM_ALL || (c->conv_norm == VG_CONV_NORM_FIRST && !conv);
}

/* Weights and biases of the model with the reconstruction head. */
static int64_t parameters(const vg_model_config *c, bool learned_fill)
{
    int64_t count = learned_fill, before = 1, C = c->d_model, F = c->feedforward;
    for (int64_t i = 0; i < c->conv_channels.count; i++) {
        count += c->conv_channels.item[i] * (c->conv_kernels.item[i] * before + 1);
        if (normed(c, i)) count += 2 * c->conv_channels.item[i];
        before = c->conv_channels.item[i];
    }
    count += C; /* CLS */
    if (c->position == VG_POSITION_LEARNED) count += (1 + c->segment_length) * C;
    count += c->layers * (3 * C * (C + 1) + C * (C + 1) + F * (C + 1) + C * (F + 1) + 4 * C);
    if (c->norm == VG_NORM_PRE) count += 2 * C;
    before = C;
    for (int64_t i = 0; i < c->reconstruction_head.count; i++) {
        count += c->reconstruction_head.item[i] * (before + 1);
        before = c->reconstruction_head.item[i];
    }
    return count + before + 1;
}

/* Names of layers by number and, where a layer may have one, by activation. */
static const char *const convs[VG_MAX_CONFIG_LIST] = {"conv1", "conv2", "conv3", "conv4"};
static const char *const conv_norms[][VG_MAX_CONFIG_LIST] = {
    [VG_ACTIVATION_NONE] = {"conv1", "conv2", "conv3", "conv4"},
    [VG_ACTIVATION_RELU] = {"conv1 relu", "conv2 relu", "conv3 relu", "conv4 relu"},
    [VG_ACTIVATION_GELU] = {"conv1 gelu", "conv2 gelu", "conv3 gelu", "conv4 gelu"}};
static const char *const ff1[] = {[VG_ACTIVATION_NONE] = "ff1 dropout",
                                  [VG_ACTIVATION_RELU] = "ff1 relu dropout",
                                  [VG_ACTIVATION_GELU] = "ff1 gelu dropout"};
static const char *const hidden_heads[VG_MAX_CONFIG_LIST] = {"head1 relu", "head2 relu", "head3 relu",
                                                             "head4 relu"};
static const char *const last_heads[VG_MAX_CONFIG_LIST + 1] = {"head1", "head2", "head3", "head4", "head5"};

int vg_bench_cases(const vg_model_config *c, int64_t batch, bool learned_fill, vg_bench_case *out)
{
    const int64_t T = c->segment_length, C = c->d_model, H = c->heads;
    const int layers = (int)c->layers, hidden = (int)c->reconstruction_head.count;
    const vg_activation after_conv = (vg_activation)c->conv_activation;
    const vg_activation in_block = (vg_activation)c->activation;
    list l = {out, 0};

    for (int64_t i = 0; i < c->conv_channels.count; i++) {
        BOTH(conv1d, convs[i], 1, .B = batch, .T = T, .I = i ? c->conv_channels.item[i - 1] : 1,
             .O = c->conv_channels.item[i], .K = c->conv_kernels.item[i], .no_dx = !i && !learned_fill,
             .activation = normed(c, i) ? VG_ACTIVATION_NONE : after_conv);
        if (normed(c, i))
            BOTH(layernorm, conv_norms[after_conv][i], 1, .B = batch, .R = T, .C = c->conv_channels.item[i],
                 .activation = after_conv);
    }
    BOTH(tokens, "", 1, .B = batch, .T = T, .C = C, .dropout = true);
    if (c->position == VG_POSITION_LEARNED) /* their gradient, see position_backward() of the transformer */
        ONE(linear_backward, "positions", 1, .B = batch, .R = 1, .I = 1, .O = (1 + T) * C, .no_dx = true);

    BOTH(linear, "qkv", layers, .B = batch, .R = 1 + T, .I = C, .O = 3 * C);
    BOTH(attention, "dropout", layers, .B = batch, .T = 1 + T, .H = H, .D = C / H, .dropout = true);
    BOTH(attention, "", 0, .B = batch, .T = 1 + T, .H = H, .D = C / H);
    BOTH(linear, "attention out", layers, .B = batch, .R = 1 + T, .I = C, .O = C);
    BOTH(residual_layernorm, "dropout", 2 * layers, .B = batch, .R = 1 + T, .C = C, .dropout = true);
    BOTH(linear, ff1[in_block], layers, .B = batch, .R = 1 + T, .I = C, .O = c->feedforward,
         .activation = in_block, .dropout = true);
    BOTH(linear, "ff1 gelu", 0, .B = batch, .R = 1 + T, .I = C, .O = c->feedforward,
         .activation = VG_ACTIVATION_GELU);
    BOTH(linear, "ff2", layers, .B = batch, .R = 1 + T, .I = c->feedforward, .O = C);
    BOTH(layernorm, "tokens", c->norm == VG_NORM_PRE ? 1 : 0, .B = batch, .R = 1 + T, .C = C);

    int64_t width = C;
    for (int i = 0; i < hidden; i++) {
        BOTH(linear, hidden_heads[i], 1, .B = batch, .R = 1 + T, .I = width,
             .O = c->reconstruction_head.item[i], .activation = VG_ACTIVATION_RELU);
        width = c->reconstruction_head.item[i];
    }
    BOTH(linear, last_heads[hidden], 1, .B = batch, .R = 1 + T, .I = width, .O = 1);
    /* What the head does to cut CLS off, as if tokens had one channel. */
    BOTH(tokens, "head", 1, .B = batch, .T = T, .C = 1);
    BOTH(linear, "classifier", 0, .B = batch, .R = 1, .I = C, .O = 1024, .activation = VG_ACTIVATION_RELU,
         .dropout = true);
    BOTH(pool, "cls", 0, .B = batch, .T = 1 + T, .C = C, .pool = VG_POOL_CLS);
    BOTH(pool, "mean", 0, .B = batch, .T = 1 + T, .C = C, .pool = VG_POOL_MEAN);
    BOTH(pool, "max", 0, .B = batch, .T = 1 + T, .C = C, .pool = VG_POOL_MAX);
    ONE(gather, "", 1, .B = batch, .T = T);
    ONE(mask_forward, "", 1, .B = batch, .T = T);
    ONE(mask_backward, "", learned_fill, .B = batch, .T = T);
    ONE(masked_mse, "", 1, .B = batch, .T = T);
    ONE(bce, "", 0, .B = batch);
    ONE(grad_norm, "", 1, .N = parameters(c, learned_fill));
    ONE(adamw, "", 1, .N = parameters(c, learned_fill));
    return l.count;
}
