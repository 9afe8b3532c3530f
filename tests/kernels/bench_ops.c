/* Times every operation at the sizes of a model: bench_ops [paper|small] [backend] [threads] [name]. Prints
 * milliseconds, GFLOP/s and GB/s (every operand read or written once) for a batch, and what a segment costs
 * forward and backward when each operation runs as often as the model calls it. Not a test. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "kernels/kernels.h"

typedef struct sizes {
    const char *name;
    int64_t B, T, C1, C2, C3, H, ff, layers;
} sizes;

static const sizes all_sizes[] = {{"paper", 8, 1280, 64, 128, 256, 2, 1024, 2},
                                  {"small", 16, 1280, 16, 32, 64, 4, 256, 2}};

static vg_kernels *kernels;
static vg_device *device;
static const char *wanted = "";
static double total_forward, total_backward;

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static void must(vg_status status)
{
    if (status == VG_OK) return;
    fprintf(stderr, "%s: %s\n", vg_status_name(status), vg_cause());
    exit(1);
}

/* Never freed: the program ends soon. */
static vg_tensor make(vg_dtype dtype, int rank, const int64_t *dims)
{
    vg_tensor tensor = vg_tensor_make(NULL, dtype, rank, dims);
    void *memory;
    must(vg_device_allocate(device, vg_tensor_bytes(&tensor), &memory));
    tensor.data = memory;
    vg_random random = vg_random_make(1, VG_SITE_INIT, (uint32_t)device->allocations);
    int64_t n = vg_tensor_count(&tensor);
    if (dtype == VG_F32)
        for (int64_t i = 0; i < n; i++)
            ((float *)memory)[i] = (float)(vg_random_uniform(&random) - 0.5) * 0.2f;
    else
        memset(memory, 0, vg_tensor_bytes(&tensor));
    return tensor;
}
#define F32(...) make(VG_F32, VG_DIMS(__VA_ARGS__))

/* One line: the best of several runs of `call`. */
#define TIME(label, times, backward, flops, floats, call)                                                    \
    do {                                                                                                     \
        if (!strstr(label, wanted)) break;                                                                   \
        double best_ = 1e30, spent_ = 0;                                                                     \
        for (int run_ = 0; run_ < 3 || (run_ < 50 && spent_ < 0.5); run_++) {                                \
            double start_ = seconds();                                                                       \
            must(call);                                                                                      \
            double time_ = seconds() - start_;                                                               \
            spent_ += time_;                                                                                 \
            if (time_ < best_) best_ = time_;                                                                \
        }                                                                                                    \
        *((backward) ? &total_backward : &total_forward) += best_ * (double)(times);                         \
        printf("%-34s x%-2d %9.3f ms %8.1f GFLOP/s %7.1f GB/s\n", label, (int)(times), best_ * 1e3,          \
               1e-9 * (double)(flops) / best_, 4e-9 * (double)(floats) / best_);                             \
        fflush(stdout);                                                                                      \
    } while (0)

static void bench_conv(const char *name, int64_t B, int64_t T, int64_t I, int64_t O, int64_t K, bool need_dx)
{
    vg_tensor x = F32(B, T, I), w = F32(O, K, I), b = F32(O), y = F32(B, T, O), dy = F32(B, T, O);
    vg_tensor dx = need_dx ? F32(B, T, I) : (vg_tensor){0}, dw = F32(O, K, I), db = F32(O);
    double flops = 2.0 * (double)(B * T * I * O * K);
    char label[64];
    snprintf(label, sizeof label, "%s forward", name);
    TIME(label, 1, 0, flops, B * T * (I + O),
         VG_RUN(kernels, conv1d_forward, .x = x, .w = w, .b = b, .y = y, .activation = VG_ACTIVATION_RELU));
    snprintf(label, sizeof label, "%s backward", name);
    TIME(label, 1, 1, flops * (need_dx ? 2 : 1), B * T * (2 * I + 3 * O),
         VG_RUN(kernels, conv1d_backward, .dy = dy, .x = x, .w = w, .y = y, .dx = dx, .dw = dw, .db = db,
                .activation = VG_ACTIVATION_RELU));
}

static void bench_linear(const char *name, int times, int64_t B, int64_t R, int64_t I, int64_t O,
                         vg_activation activation, const vg_dropout *dropout)
{
    vg_tensor x = F32(B, R, I), w = F32(O, I), b = F32(O), y = F32(B, R, O), dy = F32(B, R, O);
    vg_tensor dx = F32(B, R, I), dw = F32(O, I), db = F32(O);
    vg_tensor pre = activation == VG_ACTIVATION_GELU ? F32(B, R, O) : (vg_tensor){0};
    double flops = 2.0 * (double)(B * R * I * O);
    char label[64];
    snprintf(label, sizeof label, "%s forward", name);
    TIME(label, times, 0, flops, B * R * (I + O),
         VG_RUN(kernels, linear_forward, .x = x, .w = w, .b = b, .y = y, .pre = pre, .activation = activation,
                .dropout = dropout));
    snprintf(label, sizeof label, "%s backward", name);
    TIME(label, times, 1, 2 * flops, B * R * (2 * I + 3 * O),
         VG_RUN(kernels, linear_backward, .dy = dy, .x = x, .w = w, .y = y, .pre = pre, .dx = dx, .dw = dw,
                .db = db, .activation = activation, .dropout = dropout));
}

static void bench_attention(const char *name, int times, int64_t B, int64_t T, int64_t H, int64_t D,
                            const vg_dropout *dropout)
{
    vg_tensor qkv = F32(B, T, 3, H, D), out = F32(B, T, H, D), lse = F32(B, H, T), dout = F32(B, T, H, D);
    vg_tensor dqkv = F32(B, T, 3, H, D), delta = F32(B, H, T);
    double flops = 4.0 * (double)(B * H * T * T * D);
    char label[64];
    snprintf(label, sizeof label, "%s forward", name);
    TIME(label, times, 0, flops, B * T * H * D * 4,
         VG_RUN(kernels, attention_forward, .qkv = qkv, .out = out, .lse = lse, .scale = 0.1f,
                .dropout = dropout));
    snprintf(label, sizeof label, "%s backward", name);
    TIME(label, times, 1, 2.5 * flops, B * T * H * D * 8,
         VG_RUN(kernels, attention_backward, .dout = dout, .qkv = qkv, .out = out, .lse = lse, .dqkv = dqkv,
                .delta = delta, .scale = 0.1f, .dropout = dropout));
}

static void bench_norms(int layers, int64_t B, int64_t T, int64_t C1, int64_t C, const vg_dropout *dropout)
{
    vg_tensor x = F32(B, T, C1), gamma = F32(C1), beta = F32(C1), y = F32(B, T, C1), mean = F32(B, T);
    vg_tensor rstd = F32(B, T), dy = F32(B, T, C1), dx = F32(B, T, C1), dgamma = F32(C1), dbeta = F32(C1);
    int64_t n = B * T * C1;
    TIME("layernorm relu forward", 1, 0, 8 * n, 2 * n,
         VG_RUN(kernels, layernorm_forward, .x = x, .gamma = gamma, .beta = beta, .y = y, .mean = mean,
                .rstd = rstd, .epsilon = 1e-5f, .activation = VG_ACTIVATION_RELU));
    TIME("layernorm relu backward", 1, 1, 15 * n, 3 * n,
         VG_RUN(kernels, layernorm_backward, .dy = dy, .x = x, .gamma = gamma, .beta = beta, .mean = mean,
                .rstd = rstd, .dx = dx, .dgamma = dgamma, .dbeta = dbeta, .activation = VG_ACTIVATION_RELU));
    T += 1;
    n = B * T * C;
    vg_tensor residual = F32(B, T, C), z = F32(B, T, C), dresidual = F32(B, T, C);
    x = F32(B, T, C), gamma = F32(C), beta = F32(C), y = F32(B, T, C), mean = F32(B, T), rstd = F32(B, T);
    dy = F32(B, T, C), dx = F32(B, T, C), dgamma = F32(C), dbeta = F32(C);
    TIME("residual layernorm forward", 2 * layers, 0, 10 * n, 4 * n,
         VG_RUN(kernels, residual_layernorm_forward, .x = x, .residual = residual, .gamma = gamma,
                .beta = beta, .z = z, .y = y, .mean = mean, .rstd = rstd, .epsilon = 1e-5f,
                .dropout = dropout));
    TIME("residual layernorm backward", 2 * layers, 1, 15 * n, 4 * n,
         VG_RUN(kernels, residual_layernorm_backward, .dy = dy, .z = z, .gamma = gamma, .mean = mean,
                .rstd = rstd, .dresidual = dresidual, .dx = dx, .dgamma = dgamma, .dbeta = dbeta,
                .dropout = dropout));
}

static void bench_rest(int64_t B, int64_t T, int64_t C, vg_tensor segment, const vg_dropout *dropout)
{
    vg_tensor x = F32(B, T, C), cls = F32(C), position = F32(1 + T, C), out = F32(B, 1 + T, C);
    vg_tensor dx = F32(B, T, C), dcls = F32(C);
    int64_t n = B * T * C;
    TIME("tokens forward", 1, 0, n, 2 * n,
         VG_RUN(kernels, tokens_forward, .x = x, .cls = cls, .position = position, .out = out,
                .before = dropout, .after = dropout));
    TIME("tokens backward", 1, 1, n, 2 * n,
         VG_RUN(kernels, tokens_backward, .dout = out, .dx = dx, .dcls = dcls, .before = dropout,
                .after = dropout));
    vg_tensor y = F32(B, C), dy = F32(B, C), chosen = make(VG_I32, VG_DIMS(B, C)), dout = F32(B, 1 + T, C);
    for (int pool = VG_POOL_CLS; pool <= VG_POOL_LAST; pool++) {
        bool max = pool == VG_POOL_MAX;
        char label[32];
        snprintf(label, sizeof label, "pool %d forward", pool);
        vg_tensor none = {0};
        TIME(label, 0, 0, n, n,
             VG_RUN(kernels, pool_forward, .x = out, .y = y, .chosen = max ? chosen : none,
                    .pool = (vg_pool)pool));
        snprintf(label, sizeof label, "pool %d backward", pool);
        TIME(label, 0, 1, n, n,
             VG_RUN(kernels, pool_backward, .dy = dy, .dx = dout, .chosen = max ? chosen : none,
                    .pool = (vg_pool)pool));
    }
    vg_tensor signal = F32(B, T), masked = F32(B, T), mask = make(VG_U8, VG_DIMS(B, T));
    vg_tensor stats = make(VG_F64, VG_DIMS(2)), dsignal = F32(B, T), logit = F32(B), label_of = F32(B);
    for (int64_t b = 0; b < B; b++) ((float *)label_of.data)[b] = (float)(b % 2);
    TIME("mask forward", 1, 0, B * T, 2 * B * T,
         VG_RUN(kernels, mask_forward, .x = signal, .segment = segment, .y = masked, .mask = mask, .seed = 1,
                .start_probability = 0.0325f, .span = 20, .fill = VG_MASK_ZERO));
    TIME("masked mse", 1, 1, 4 * B * T, 3 * B * T,
         VG_RUN(kernels, masked_mse, .prediction = masked, .target = signal, .mask = mask,
                .dprediction = dsignal, .stats = stats));
    TIME("bce", 0, 1, B, B, VG_RUN(kernels, bce, .logit = logit, .label = label_of, .stats = stats));
}

static void bench_optimizer(int64_t n)
{
    vg_tensor p = F32(n), g = F32(n), m = F32(n), v = F32(n), sum = make(VG_F64, VG_DIMS(1));
    vg_tensor count = make(VG_F64, VG_DIMS(1));
    memset(v.data, 0, vg_tensor_bytes(&v));
    *(double *)count.data = 1;
    TIME("grad norm", 1, 1, 2 * n, n, VG_RUN(kernels, grad_norm, .gradient = g, .sum = sum));
    TIME("adamw", 1, 1, 15 * n, 7 * n,
         VG_RUN(kernels, adamw, .parameter = p, .gradient = g, .m = m, .v = v, .count = count,
                .norm_squared = sum, .lr = 1e-3, .beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-8, .max_norm = 1,
                .step = 1));
}

int main(int argc, char **argv)
{
    const sizes *s = &all_sizes[argc > 1 && !strcmp(argv[1], all_sizes[1].name)];
    must(vg_device_create_host(&device));
    must(vg_kernels_create(device, argc > 2 ? argv[2] : "auto", false, &kernels));
    if (argc > 3) vg_kernels_set_threads(atoi(argv[3]));
    if (argc > 4) wanted = argv[4];
    printf("%s on '%s', %d threads: B=%d T=%d channels %d/%d/%d H=%d ff=%d layers=%d\n", s->name,
           kernels->backend, vg_kernels_threads(), (int)s->B, (int)s->T, (int)s->C1, (int)s->C2, (int)s->C3,
           (int)s->H, (int)s->ff, (int)s->layers);
    vg_tensor segment = make(VG_I64, VG_DIMS(s->B));
    vg_dropout dropout = {.probability = 0.1f, .site = VG_SITE_DROPOUT, .seed = 1, .segment = segment};
    int64_t tokens = s->T + 1;
    int layers = (int)s->layers;
    bench_conv("conv1", s->B, s->T, 1, s->C1, 65, false);
    bench_conv("conv2", s->B, s->T, s->C1, s->C2, 33, true);
    bench_conv("conv3", s->B, s->T, s->C2, s->C3, 17, true);
    bench_linear("linear qkv", layers, s->B, tokens, s->C3, 3 * s->C3, VG_ACTIVATION_NONE, NULL);
    bench_linear("linear out", layers, s->B, tokens, s->C3, s->C3, VG_ACTIVATION_NONE, NULL);
    bench_linear("linear ff1 relu dropout", layers, s->B, tokens, s->C3, s->ff, VG_ACTIVATION_RELU, &dropout);
    bench_linear("linear ff1 gelu", 0, s->B, tokens, s->C3, s->ff, VG_ACTIVATION_GELU, NULL);
    bench_linear("linear ff2", layers, s->B, tokens, s->ff, s->C3, VG_ACTIVATION_NONE, NULL);
    bench_linear("linear head1 relu", 1, s->B, tokens, s->C3, s->C3 / 2, VG_ACTIVATION_RELU, NULL);
    bench_linear("linear head2", 1, s->B, tokens, s->C3 / 2, 1, VG_ACTIVATION_NONE, NULL);
    bench_attention("attention", 0, s->B, tokens, s->H, s->C3 / s->H, NULL);
    bench_attention("attention dropout", layers, s->B, tokens, s->H, s->C3 / s->H, &dropout);
    bench_norms(layers, s->B, s->T, s->C1, s->C3, &dropout);
    bench_rest(s->B, s->T, s->C3, segment, &dropout);
    bench_optimizer(s->C3 == 256 ? 2400000 : 170000);
    printf("a segment: forward %.2f ms, backward and step %.2f ms; a batch of %d: %.1f ms\n",
           total_forward * 1e3 / (double)s->B, total_backward * 1e3 / (double)s->B, (int)s->B,
           (total_forward + total_backward) * 1e3);
    return 0;
}
