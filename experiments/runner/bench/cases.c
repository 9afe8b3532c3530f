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

/* Weights and biases of the model with the reconstruction head. */
static int64_t parameters(const vg_model_config *c)
{
    int64_t count = 0, before = 1, C = c->d_model, F = c->feedforward;
    for (int64_t i = 0; i < c->conv_channels.count; i++) {
        count += c->conv_channels.item[i] * (c->conv_kernels.item[i] * before + 1);
        before = c->conv_channels.item[i];
    }
    count += 2 * c->conv_channels.item[0] + C; /* the norm after the first, and CLS */
    count += c->layers * (3 * C * (C + 1) + C * (C + 1) + F * (C + 1) + C * (F + 1) + 4 * C);
    if (c->norm == VG_NORM_PRE) count += 2 * C;
    before = C;
    for (int64_t i = 0; i < c->reconstruction_head.count; i++) {
        count += c->reconstruction_head.item[i] * (before + 1);
        before = c->reconstruction_head.item[i];
    }
    return count + before + 1;
}

int vg_bench_cases(const vg_model_config *c, int64_t batch, vg_bench_case *out)
{
    static const char *const convs[] = {"conv1", "conv2", "conv3", "conv4"};
    const int64_t T = c->segment_length, C = c->d_model, H = c->heads, head = c->reconstruction_head.item[0];
    const int layers = (int)c->layers;
    const vg_activation relu = VG_ACTIVATION_RELU;
    list l = {out, 0};

    for (int64_t i = 0; i < c->conv_channels.count; i++)
        BOTH(conv1d, convs[i], 1, .B = batch, .T = T, .I = i ? c->conv_channels.item[i - 1] : 1,
             .O = c->conv_channels.item[i], .K = c->conv_kernels.item[i], .no_dx = !i,
             .activation = i ? relu : VG_ACTIVATION_NONE);
    BOTH(layernorm, "conv1 relu", 1, .B = batch, .R = T, .C = c->conv_channels.item[0], .activation = relu);
    BOTH(tokens, "", 1, .B = batch, .T = T, .C = C, .dropout = true);

    BOTH(linear, "qkv", layers, .B = batch, .R = 1 + T, .I = C, .O = 3 * C);
    BOTH(attention, "dropout", layers, .B = batch, .T = 1 + T, .H = H, .D = C / H, .dropout = true);
    BOTH(attention, "", 0, .B = batch, .T = 1 + T, .H = H, .D = C / H);
    BOTH(linear, "attention out", layers, .B = batch, .R = 1 + T, .I = C, .O = C);
    BOTH(residual_layernorm, "dropout", 2 * layers, .B = batch, .R = 1 + T, .C = C, .dropout = true);
    BOTH(linear, "ff1 relu dropout", layers, .B = batch, .R = 1 + T, .I = C, .O = c->feedforward,
         .activation = relu, .dropout = true);
    BOTH(linear, "ff1 gelu", 0, .B = batch, .R = 1 + T, .I = C, .O = c->feedforward,
         .activation = VG_ACTIVATION_GELU);
    BOTH(linear, "ff2", layers, .B = batch, .R = 1 + T, .I = c->feedforward, .O = C);
    BOTH(layernorm, "tokens", c->norm == VG_NORM_PRE ? 1 : 0, .B = batch, .R = 1 + T, .C = C);

    BOTH(linear, "head1 relu", 1, .B = batch, .R = 1 + T, .I = C, .O = head, .activation = relu);
    BOTH(linear, "head2", 1, .B = batch, .R = 1 + T, .I = head, .O = 1);
    /* What the head does to cut CLS off, as if tokens had one channel. */
    BOTH(tokens, "head", 1, .B = batch, .T = T, .C = 1);
    BOTH(linear, "classifier", 0, .B = batch, .R = 1, .I = C, .O = 1024, .activation = relu, .dropout = true);
    BOTH(pool, "cls", 0, .B = batch, .T = 1 + T, .C = C, .pool = VG_POOL_CLS);
    BOTH(pool, "mean", 0, .B = batch, .T = 1 + T, .C = C, .pool = VG_POOL_MEAN);
    BOTH(pool, "max", 0, .B = batch, .T = 1 + T, .C = C, .pool = VG_POOL_MAX);
    ONE(gather, "", 1, .B = batch, .T = T);
    ONE(mask_forward, "", 1, .B = batch, .T = T);
    ONE(mask_backward, "", 0, .B = batch, .T = T);
    ONE(masked_mse, "", 1, .B = batch, .T = T);
    ONE(bce, "", 0, .B = batch);
    ONE(grad_norm, "", 1, .N = parameters(c));
    ONE(adamw, "", 1, .N = parameters(c));
    return l.count;
}
