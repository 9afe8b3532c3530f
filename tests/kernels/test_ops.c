/* Every operation on every backend against ref in double: see harness.c for what is checked and how near is
 * near enough. One case function an operation, named after it: an operation of kernels.def without one does
 * not compile. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "tests/kernels/harness.h"

/* test_ops [paper] [OPERATION]: one operation of kernels.def alone, or those that a pattern (`*_forward`)
 * names. With the argument `paper`: the sizes of the paper's model instead of the grids, for the operations
 * where sizes matter. Takes minutes, since `ref` computes them too. */
static bool paper;

/* How often the case in hand called harness_check(). */
static int checks;

static void check(vg_kernel_id id, const void *args, const char *label)
{
    harness_check(id, args, label);
    checks++;
}

#define LABEL(...)                                                                                           \
    char label[200];                                                                                         \
    snprintf(label, sizeof label, __VA_ARGS__)

#define COUNT(array) (sizeof(array) / sizeof *(array))

static vg_activation all_activations[] = {VG_ACTIVATION_NONE, VG_ACTIVATION_RELU, VG_ACTIVATION_GELU};
static const double probabilities[] = {0, 0.1, 0.5};

/* Steps through the ways linear, conv1d and layer norm end: every activation with every dropout for a small
 * size, one of each for a large one. */
static bool next_finish(int *step, bool small, vg_activation *activation, double *probability)
{
    int combinations = (int)(COUNT(all_activations) * COUNT(probabilities));
    if (*step >= (small ? combinations : 1)) return false;
    int combination = small ? *step : combinations / 2; /* ReLU and 0.1 */
    *activation = all_activations[combination / (int)COUNT(probabilities)];
    *probability = probabilities[combination % (int)COUNT(probabilities)];
    ++*step;
    return true;
}

static vg_tensor absent(void)
{
    return (vg_tensor){0};
}

static vg_tensor if_gelu(vg_activation activation, vg_tensor pre)
{
    return activation == VG_ACTIVATION_GELU ? pre : absent();
}

/* {B, T, I, O, K} */
static const int conv_sizes[][5] = {{2, 1, 1, 1, 1},     {1, 2, 3, 1, 3},    {2, 3, 2, 5, 65},
                                    {2, 97, 1, 8, 65},   {2, 97, 5, 7, 17},  {3, 16, 8, 16, 33},
                                    {1, 33, 9, 1, 1},    {0, 5, 2, 3, 3},    {2, 0, 2, 3, 3},
                                    {1, 1281, 1, 4, 65}, {1, 96, 64, 32, 3}, {1, 160, 32, 24, 33}};

static void conv_case(const int *size, vg_activation activation, double probability, bool backward)
{
    int64_t B = size[0], T = size[1], I = size[2], O = size[3], K = size[4];
    LABEL("B %d T %d I %d O %d K %d, activation %d, dropout %g", size[0], size[1], size[2], size[3], size[4],
          (int)activation, probability);
    vg_conv1d_forward_args forward = {
        .x = normal(0, 1, VG_DIMS(B, T, I)),
        .w = normal(0, 1 / sqrt((double)(K * I)), VG_DIMS(O, K, I)),
        .b = normal(0, 1, VG_DIMS(O)),
        .y = zeros(VG_DIMS(B, T, O)),
        .pre = if_gelu(activation, zeros(VG_DIMS(B, T, O))),
        .activation = activation,
        .dropout = dropout_of(probability, B),
    };
    if (!backward) {
        check(VG_KERNEL_conv1d_forward, &forward, label);
        return;
    }
    assert_ok(harness_call(harness_ref, VG_KERNEL_conv1d_forward, &forward));
    to_float(forward.y);
    if (forward.pre.data) to_float(forward.pre);
    vg_conv1d_backward_args args = {
        .dy = normal(0, 1, VG_DIMS(B, T, O)),
        .x = forward.x,
        .w = forward.w,
        .y = activation == VG_ACTIVATION_RELU ? forward.y : absent(),
        .pre = forward.pre,
        .dx = zeros(VG_DIMS(B, T, I)),
        .dw = normal(0, 1, VG_DIMS(O, K, I)),
        .db = normal(0, 1, VG_DIMS(O)),
        .activation = activation,
        .dropout = forward.dropout,
    };
    check(VG_KERNEL_conv1d_backward, &args, label);
    args.dx = absent();
    if (probability == 0) check(VG_KERNEL_conv1d_backward, &args, "no dx");
}

static const int paper_conv_sizes[][5] = {
    {1, 1280, 1, 64, 65}, {1, 1280, 64, 128, 33}, {1, 1280, 128, 256, 17}};

static void conv_grid(bool backward)
{
    for (size_t s = 0; s < (paper ? COUNT(paper_conv_sizes) : COUNT(conv_sizes)); s++) {
        const int *size = paper ? paper_conv_sizes[s] : conv_sizes[s];
        double products = (double)size[0] * size[1] * size[2] * size[3] * size[4];
        if (HARNESS_REDUCED && products > 3e5) continue;
        vg_activation activation;
        double probability;
        for (int step = 0;
             next_finish(&step, products < (HARNESS_REDUCED ? 2e4 : 2e5), &activation, &probability);) {
            conv_case(size, activation, probability, backward);
            harness_clear();
        }
    }
}

static void case_conv1d_forward(void)
{
    conv_grid(false);
}

static void case_conv1d_backward(void)
{
    conv_grid(true);
}

/* {B, R, I, O} */
static const int linear_sizes[][4] = {{1, 1, 1, 1},      {2, 3, 5, 1},     {3, 7, 17, 13},  {4, 1, 256, 1},
                                      {2, 97, 64, 48},   {0, 3, 4, 5},     {2, 0, 4, 5},    {1, 1281, 32, 16},
                                      {2, 33, 256, 128}, {1, 2, 1024, 64}, {16, 1, 128, 65}};

static void linear_case(const int *size, vg_activation activation, double probability, bool backward)
{
    int64_t B = size[0], R = size[1], I = size[2], O = size[3];
    LABEL("B %d R %d I %d O %d, activation %d, dropout %g", size[0], size[1], size[2], size[3],
          (int)activation, probability);
    vg_linear_forward_args forward = {
        .x = normal(0, 1, VG_DIMS(B, R, I)),
        .w = normal(0, 1 / sqrt((double)I), VG_DIMS(O, I)),
        .b = normal(0, 1, VG_DIMS(O)),
        .y = zeros(VG_DIMS(B, R, O)),
        .pre = if_gelu(activation, zeros(VG_DIMS(B, R, O))),
        .activation = activation,
        .dropout = dropout_of(probability, B),
    };
    if (!backward) {
        check(VG_KERNEL_linear_forward, &forward, label);
        return;
    }
    assert_ok(harness_call(harness_ref, VG_KERNEL_linear_forward, &forward));
    to_float(forward.y);
    if (forward.pre.data) to_float(forward.pre);
    vg_linear_backward_args args = {
        .dy = normal(0, 1, VG_DIMS(B, R, O)),
        .x = forward.x,
        .w = forward.w,
        .y = activation == VG_ACTIVATION_RELU ? forward.y : absent(),
        .pre = forward.pre,
        .dx = normal(0, 1, VG_DIMS(B, R, I)),
        .dw = normal(0, 1, VG_DIMS(O, I)),
        .db = normal(0, 1, VG_DIMS(O)),
        .activation = activation,
        .dropout = forward.dropout,
    };
    check(VG_KERNEL_linear_backward, &args, label);
    args.add_to_dx = true;
    check(VG_KERNEL_linear_backward, &args, "added to dx");
    args.dx = absent();
    args.add_to_dx = false;
    if (probability == 0) check(VG_KERNEL_linear_backward, &args, "no dx");
}

static const int paper_linear_sizes[][4] = {
    {1, 1281, 256, 768}, {1, 1281, 1024, 256}, {2, 1280, 128, 1}, {64, 1, 256, 1024}};

static void linear_grid(bool backward)
{
    for (size_t s = 0; s < (paper ? COUNT(paper_linear_sizes) : COUNT(linear_sizes)); s++) {
        const int *size = paper ? paper_linear_sizes[s] : linear_sizes[s];
        double products = (double)size[0] * size[1] * size[2] * size[3];
        if (HARNESS_REDUCED && products > 3e5) continue;
        vg_activation activation;
        double probability;
        for (int step = 0;
             next_finish(&step, products < (HARNESS_REDUCED ? 2e4 : 2e5), &activation, &probability);) {
            linear_case(size, activation, probability, backward);
            harness_clear();
        }
    }
}

static void case_linear_forward(void)
{
    linear_grid(false);
}

static void case_linear_backward(void)
{
    linear_grid(true);
}

/* {B, T, H, D, spread of the values: a large one makes the softmax choose} */
static const int attention_sizes[][5] = {
    {2, 1, 1, 8, 1},    {2, 2, 3, 5, 1},     {1, 97, 2, 32, 1},   {1, 33, 2, 64, 1},    {2, 40, 1, 128, 1},
    {2, 65, 2, 7, 3},   {1, 130, 1, 1, 1},   {3, 17, 4, 8, 8},    {0, 3, 2, 8, 1},      {1, 0, 2, 8, 1},
    {1, 1281, 1, 8, 1}, {1, 1281, 1, 32, 1}, {1, 1281, 1, 64, 1}, {1, 1281, 1, 128, 1}, {1, 257, 1, 32, 4},
    {1, 3, 2, 32, 30},  {1, 1, 2, 64, 1},    {1, 2, 1, 128, 1},   {2, 97, 1, 64, 2},    {1, 97, 1, 128, 3},
    {2, 5, 1, 160, 2}};

/* Values that bf16 and tf32 have too, so that no run rounds them. */
static void to_bf16(vg_tensor tensor)
{
    double *values = tensor.data;
    for (int64_t i = 0; i < vg_tensor_count(&tensor); i++)
        values[i] = (double)vg_bf16_to_float(vg_bf16_from_float((float)values[i]));
}

static void attention_case(const int *size, double probability, bool backward)
{
    int64_t B = size[0], T = size[1], H = size[2], D = size[3];
    LABEL("B %d T %d H %d D %d spread %d, dropout %g", size[0], size[1], size[2], size[3], size[4],
          probability);
    vg_attention_forward_args forward = {
        .qkv = normal(0, size[4], VG_DIMS(B, T, 3, H, D)),
        .out = zeros(VG_DIMS(B, T, H, D)),
        .lse = zeros(VG_DIMS(B, H, T)),
        .scale = (float)(1 / sqrt((double)D)),
        .dropout = dropout_of(probability, B),
    };
    if (!backward) {
        check(VG_KERNEL_attention_forward, &forward, label);
        return;
    }
    /* lse has to be that of the very q and k that backward gets: with another's the weights exceed 1. */
    to_bf16(forward.qkv);
    assert_ok(harness_call(harness_ref, VG_KERNEL_attention_forward, &forward));
    to_float(forward.out);
    to_float(forward.lse);
    vg_attention_backward_args args = {
        .dout = normal(0, 1, VG_DIMS(B, T, H, D)),
        .qkv = forward.qkv,
        .out = forward.out,
        .lse = forward.lse,
        .dqkv = zeros(VG_DIMS(B, T, 3, H, D)),
        .delta = zeros(VG_DIMS(B, H, T)),
        .scale = forward.scale,
        .dropout = forward.dropout,
    };
    check(VG_KERNEL_attention_backward, &args, label);
}

static const int paper_attention_sizes[][5] = {{1, 1281, 2, 128, 1}};

static void attention_grid(bool backward)
{
    for (size_t s = 0; s < (paper ? COUNT(paper_attention_sizes) : COUNT(attention_sizes)); s++) {
        const int *size = paper ? paper_attention_sizes[s] : attention_sizes[s];
        bool large = size[1] > (HARNESS_REDUCED ? 130 : 1000);
        if (HARNESS_REDUCED && large) continue;
        for (size_t p = 0; p < COUNT(probabilities); p++) {
            if (large && p != 1) continue;
            attention_case(size, probabilities[p], backward);
            harness_clear();
        }
    }
}

static void case_attention_forward(void)
{
    attention_grid(false);
}

static void case_attention_backward(void)
{
    attention_grid(true);
}

/* {B, R, C, mean of the values} */
static const int norm_sizes[][4] = {{1, 1, 1, 0},    {2, 3, 2, 0},     {2, 97, 64, 0},  {1, 5, 257, 10},
                                    {3, 2, 1024, 1}, {1, 1281, 33, 0}, {0, 2, 3, 0},    {2, 0, 3, 0},
                                    {5, 7, 8, 100},  {1, 64, 256, 0},  {1, 3, 1028, 0}, {3, 19, 264, 0},
                                    {2, 9, 512, 0}};

static void layernorm_case(const int *size, vg_activation activation, double probability, bool backward)
{
    int64_t B = size[0], R = size[1], C = size[2];
    LABEL("B %d R %d C %d mean %d, activation %d, dropout %g", size[0], size[1], size[2], size[3],
          (int)activation, probability);
    vg_layernorm_forward_args forward = {
        .x = normal(size[3], 1, VG_DIMS(B, R, C)),
        .gamma = normal(1, 0.3, VG_DIMS(C)),
        .beta = normal(0, 0.3, VG_DIMS(C)),
        .y = zeros(VG_DIMS(B, R, C)),
        .mean = zeros(VG_DIMS(B, R)),
        .rstd = zeros(VG_DIMS(B, R)),
        .epsilon = 1e-5F,
        .activation = activation,
        .dropout = dropout_of(probability, B),
    };
    if (!backward) {
        check(VG_KERNEL_layernorm_forward, &forward, label);
        forward.y = forward.x;
        check(VG_KERNEL_layernorm_forward, &forward, "y is x");
        return;
    }
    assert_ok(harness_call(harness_ref, VG_KERNEL_layernorm_forward, &forward));
    to_float(forward.mean);
    to_float(forward.rstd);
    vg_layernorm_backward_args args = {
        .dy = normal(0, 1, VG_DIMS(B, R, C)),
        .x = forward.x,
        .gamma = forward.gamma,
        .beta = forward.beta,
        .mean = forward.mean,
        .rstd = forward.rstd,
        .dx = zeros(VG_DIMS(B, R, C)),
        .dgamma = normal(0, 1, VG_DIMS(C)),
        .dbeta = normal(0, 1, VG_DIMS(C)),
        .activation = activation,
        .dropout = forward.dropout,
    };
    check(VG_KERNEL_layernorm_backward, &args, label);
    args.dx = args.dy;
    check(VG_KERNEL_layernorm_backward, &args, "dx is dy");
}

static const int paper_norm_sizes[][4] = {{2, 1280, 64, 0}, {2, 1281, 256, 0}};

static void norm_grid(void (*run)(const int *size, vg_activation, double, bool), bool backward,
                      bool activations)
{
    for (size_t s = 0; s < (paper ? COUNT(paper_norm_sizes) : COUNT(norm_sizes)); s++) {
        const int *size = paper ? paper_norm_sizes[s] : norm_sizes[s];
        /* Of one channel the gradient is 0 by the cancellation of terms as large as 1 / sqrt(epsilon): what
         * is left of their rounding is not an error of the result's size, and the yardstick knows no other.
         */
        if (backward && size[2] == 1) continue;
        bool small = !HARNESS_REDUCED || size[0] * size[1] * size[2] < 5000;
        vg_activation activation;
        double probability;
        for (int step = 0; next_finish(&step, small, &activation, &probability);) {
            if (!activations && activation != VG_ACTIVATION_RELU) continue;
            run(size, activation, probability, backward);
            harness_clear();
        }
    }
}

static void case_layernorm_forward(void)
{
    norm_grid(layernorm_case, false, true);
}

static void case_layernorm_backward(void)
{
    norm_grid(layernorm_case, true, true);
}

static void residual_case(const int *size, vg_activation ignored, double probability, bool backward)
{
    (void)ignored;
    int64_t B = size[0], R = size[1], C = size[2];
    LABEL("B %d R %d C %d mean %d, dropout %g", size[0], size[1], size[2], size[3], probability);
    vg_residual_layernorm_forward_args forward = {
        .x = normal(0, 1, VG_DIMS(B, R, C)),
        .residual = normal(size[3], 1, VG_DIMS(B, R, C)),
        .gamma = normal(1, 0.3, VG_DIMS(C)),
        .beta = normal(0, 0.3, VG_DIMS(C)),
        .z = zeros(VG_DIMS(B, R, C)),
        .y = zeros(VG_DIMS(B, R, C)),
        .mean = zeros(VG_DIMS(B, R)),
        .rstd = zeros(VG_DIMS(B, R)),
        .epsilon = 1e-5F,
        .dropout = dropout_of(probability, B),
    };
    if (!backward) {
        check(VG_KERNEL_residual_layernorm_forward, &forward, label);
        forward.z = forward.x;
        check(VG_KERNEL_residual_layernorm_forward, &forward, "z is x");
        return;
    }
    assert_ok(harness_call(harness_ref, VG_KERNEL_residual_layernorm_forward, &forward));
    to_float(forward.z);
    to_float(forward.mean);
    to_float(forward.rstd);
    vg_residual_layernorm_backward_args args = {
        .dy = normal(0, 1, VG_DIMS(B, R, C)),
        .dz = normal(0, 1, VG_DIMS(B, R, C)),
        .z = forward.z,
        .gamma = forward.gamma,
        .mean = forward.mean,
        .rstd = forward.rstd,
        .dresidual = zeros(VG_DIMS(B, R, C)),
        .dx = zeros(VG_DIMS(B, R, C)),
        .dgamma = normal(0, 1, VG_DIMS(C)),
        .dbeta = normal(0, 1, VG_DIMS(C)),
        .dropout = forward.dropout,
    };
    check(VG_KERNEL_residual_layernorm_backward, &args, label);
    vg_residual_layernorm_backward_args shared = args;
    shared.dresidual = shared.dz;
    check(VG_KERNEL_residual_layernorm_backward, &shared, "dresidual is dz");
    shared.dz = absent();
    shared.dresidual = shared.dy;
    check(VG_KERNEL_residual_layernorm_backward, &shared, "no dz, dresidual is dy");
    if (probability == 0) shared.dx = shared.dresidual;
    if (probability == 0) check(VG_KERNEL_residual_layernorm_backward, &shared, "all in dy");
}

static void case_residual_layernorm_forward(void)
{
    norm_grid(residual_case, false, false);
}

static void case_residual_layernorm_backward(void)
{
    norm_grid(residual_case, true, false);
}

/* {B, T, C} */
static const int token_sizes[][3] = {{1, 1, 1}, {2, 2, 3}, {3, 97, 8},  {1, 1280, 16},
                                     {2, 0, 5}, {0, 4, 4}, {4, 33, 65}, {17, 12, 7}};

static void tokens_grid(bool backward)
{
    for (size_t s = 0; s < COUNT(token_sizes); s++)
        for (size_t p = 0; p < COUNT(probabilities); p++)
            for (size_t q = 0; q < COUNT(probabilities); q++) {
                int64_t B = token_sizes[s][0], T = token_sizes[s][1], C = token_sizes[s][2];
                if (HARNESS_REDUCED && T > 1000) continue;
                LABEL("B %d T %d C %d, dropout %g before, %g after", (int)B, (int)T, (int)C, probabilities[p],
                      probabilities[q]);
                const vg_dropout *before = dropout_of(probabilities[p], B);
                const vg_dropout *after = dropout_of(probabilities[q], B);
                if (backward) {
                    vg_tokens_backward_args args = {.dout = normal(0, 1, VG_DIMS(B, 1 + T, C)),
                                                    .dx = zeros(VG_DIMS(B, T, C)),
                                                    .dcls = normal(0, 1, VG_DIMS(C)),
                                                    .before = before,
                                                    .after = after};
                    check(VG_KERNEL_tokens_backward, &args, label);
                } else {
                    vg_tokens_forward_args args = {.x = normal(0, 1, VG_DIMS(B, T, C)),
                                                   .cls = normal(0, 1, VG_DIMS(C)),
                                                   .position = normal(0, 1, VG_DIMS(1 + T, C)),
                                                   .out = zeros(VG_DIMS(B, 1 + T, C)),
                                                   .before = before,
                                                   .after = after};
                    check(VG_KERNEL_tokens_forward, &args, label);
                }
                harness_clear();
            }
}

static void case_tokens_forward(void)
{
    tokens_grid(false);
}

static void case_tokens_backward(void)
{
    tokens_grid(true);
}

/* {B, T, C} */
static const int pool_sizes[][3] = {{1, 1, 1}, {1, 2, 1},   {2, 97, 7}, {3, 1281, 4}, {1, 33, 64},
                                    {0, 3, 3}, {17, 5, 33}, {0, 0, 2},  {2, 97, 264}};

static void pool_grid(bool backward)
{
    for (size_t s = 0; s < COUNT(pool_sizes); s++)
        for (vg_pool pool = VG_POOL_CLS; pool <= VG_POOL_LAST; pool++)
            for (int ties = 0; ties < 2; ties++) {
                int64_t B = pool_sizes[s][0], T = pool_sizes[s][1], C = pool_sizes[s][2];
                bool maximum = pool == VG_POOL_MAX;
                if ((maximum || pool == VG_POOL_MEAN) && T == 1) continue;
                LABEL("pool %d, B %d T %d C %d, ties %d", (int)pool, (int)B, (int)T, (int)C, ties);
                vg_pool_forward_args forward = {.x = normal(0, 1, VG_DIMS(B, T, C)),
                                                .y = zeros(VG_DIMS(B, C)),
                                                .chosen = maximum ? empty_like(zeros(VG_DIMS(B, C)), VG_I32)
                                                                  : absent(),
                                                .pool = pool};
                double *x = forward.x.data; /* few values: the first of equals must win */
                for (int64_t i = 0; ties && i < B * T * C; i++) x[i] = round(x[i]);
                if (!backward) {
                    check(VG_KERNEL_pool_forward, &forward, label);
                } else if (!ties) {
                    assert_ok(harness_call(harness_ref, VG_KERNEL_pool_forward, &forward));
                    vg_pool_backward_args args = {.dy = normal(0, 1, VG_DIMS(B, C)),
                                                  .dx = zeros(VG_DIMS(B, T, C)),
                                                  .chosen = forward.chosen,
                                                  .pool = pool};
                    check(VG_KERNEL_pool_backward, &args, label);
                }
                harness_clear();
            }
}

static void case_pool_forward(void)
{
    pool_grid(false);
}

static void case_pool_backward(void)
{
    pool_grid(true);
}

/* {samples, segments, batch, length} */
static const int gather_sizes[][4] = {{1, 1, 1, 1},     {97, 5, 3, 2},      {3000, 11, 4, 1280},
                                      {2000, 4, 7, 97}, {2600, 9, 2, 1281}, {40, 3, 0, 5},
                                      {10, 2, 3, 0},    {300, 100, 33, 17}};

static void case_gather(void)
{
    for (size_t s = 0; s < COUNT(gather_sizes); s++) {
        int64_t N = gather_sizes[s][0], S = gather_sizes[s][1], B = gather_sizes[s][2],
                T = gather_sizes[s][3];
        LABEL("N %d S %d B %d T %d", (int)N, (int)S, (int)B, (int)T);
        vg_gather_args args = {.signal = normal(0.3, 0.2, VG_DIMS(N)),
                               .start = empty_like(zeros(VG_DIMS(S)), VG_I64),
                               .mean = normal(0.3, 0.1, VG_DIMS(S)),
                               .scale = normal(5, 1, VG_DIMS(S)),
                               .index = empty_like(zeros(VG_DIMS(B)), VG_I64),
                               .y = zeros(VG_DIMS(B, T))};
        for (int64_t i = 0; i < S; i++)
            ((int64_t *)args.start.data)[i] =
                i == 0 ? N - T : (int64_t)vg_random_below(&harness_random, (uint64_t)(N - T + 1));
        for (int64_t b = 0; b < B; b++) /* the first and the last are there, others perhaps twice */
            ((int64_t *)args.index.data)[b] = b == 0 ? 0
                                              : b == 1
                                                  ? S - 1
                                                  : (int64_t)vg_random_below(&harness_random, (uint64_t)S);
        check(VG_KERNEL_gather, &args, label);
        harness_clear();
    }
}

static void case_mask_forward(void)
{
    static const int sizes[][2] = {{1, 1}, {3, 97}, {2, 1280}, {0, 5}, {2, 0}, {33, 17}};
    static const struct {
        double start;
        int span;
        double random_share, keep_share;
    } settings[] = {{0.0325, 20, 0, 0}, {0.0325, 20, 0.1, 0.1}, {0, 20, 0, 0},
                    {1, 1, 0.3, 0.3},   {1, 20, 0, 0},          {0.1, 2000, 0, 0},
                    {0.2, 3, 1, 0},     {0.2, 3, 0, 1},         {0.5, 1, 0.5, 0.5}};
    for (size_t s = 0; s < COUNT(sizes); s++)
        for (size_t k = 0; k < COUNT(settings); k++)
            for (vg_mask_fill fill = VG_MASK_ZERO; fill <= VG_MASK_LEARNED; fill++) {
                int64_t B = sizes[s][0], T = sizes[s][1];
                LABEL("B %d T %d start %g span %d random %g keep %g fill %d", sizes[s][0], sizes[s][1],
                      settings[k].start, settings[k].span, settings[k].random_share, settings[k].keep_share,
                      (int)fill);
                vg_mask_forward_args args = {
                    .x = normal(0.5, 1, VG_DIMS(B, T)),
                    .segment = segments(B),
                    .y = zeros(VG_DIMS(B, T)),
                    .mask = empty_like(zeros(VG_DIMS(B, T)), VG_U8),
                    .learned = fill == VG_MASK_LEARNED ? normal(0, 1, VG_DIMS(1)) : absent(),
                    .seed = (uint64_t)vg_random_word(&harness_random) << 16,
                    .epoch = vg_random_word(&harness_random) & 0xffff,
                    .start_probability = (float)settings[k].start,
                    .span = settings[k].span,
                    .fill = fill,
                    .random_share = (float)settings[k].random_share,
                    .keep_share = (float)settings[k].keep_share,
                };
                check(VG_KERNEL_mask_forward, &args, label);
                harness_clear();
            }
}

/* None masked, some, all. */
static vg_tensor some_mask(int64_t B, int64_t T, int which)
{
    vg_tensor mask = empty_like(zeros(VG_DIMS(B, T)), VG_U8);
    for (int64_t i = 0; i < B * T; i++)
        ((uint8_t *)mask.data)[i] = which == 0   ? VG_MASK_VISIBLE
                                    : which == 1 ? (uint8_t)(vg_random_word(&harness_random) & 3)
                                                 : VG_MASK_FILLED;
    return mask;
}

static const int loss_sizes[][2] = {{1, 1}, {3, 97}, {16, 1280}, {0, 5}, {5, 0}, {40, 33}};

static void case_mask_backward(void)
{
    for (size_t s = 0; s < COUNT(loss_sizes); s++)
        for (int which = 0; which < 3; which++) {
            int64_t B = loss_sizes[s][0], T = loss_sizes[s][1];
            LABEL("B %d T %d mask %d", (int)B, (int)T, which);
            vg_mask_backward_args args = {.dy = normal(0, 1, VG_DIMS(B, T)),
                                          .mask = some_mask(B, T, which),
                                          .dlearned = normal(0, 1, VG_DIMS(1))};
            check(VG_KERNEL_mask_backward, &args, label);
            harness_clear();
        }
}

static void case_masked_mse(void)
{
    for (size_t s = 0; s < COUNT(loss_sizes); s++)
        for (int which = 0; which < 3; which++) {
            int64_t B = loss_sizes[s][0], T = loss_sizes[s][1];
            LABEL("B %d T %d mask %d", (int)B, (int)T, which);
            vg_masked_mse_args args = {.prediction = normal(0, 1, VG_DIMS(B, T)),
                                       .target = normal(0, 1, VG_DIMS(B, T)),
                                       .mask = some_mask(B, T, which),
                                       .dprediction = zeros(VG_DIMS(B, T)),
                                       .stats = normal(5, 1, VG_DIMS(2))};
            check(VG_KERNEL_masked_mse, &args, label);
            args.dprediction = absent();
            check(VG_KERNEL_masked_mse, &args, "no gradient");
            args.dprediction = args.prediction;
            check(VG_KERNEL_masked_mse, &args, "gradient over the prediction");
            harness_clear();
        }
}

static void case_bce(void)
{
    static const int sizes[] = {1, 2, 7, 1000, 0};
    static const double spreads[] = {1, 30, 1e4, 1e30};
    for (size_t s = 0; s < COUNT(sizes); s++)
        for (size_t k = 0; k < COUNT(spreads); k++) {
            int64_t B = sizes[s];
            LABEL("B %d spread %g", (int)B, spreads[k]);
            vg_bce_args args = {.logit = normal(0, spreads[k], VG_DIMS(B)),
                                .label = zeros(VG_DIMS(B)),
                                .dlogit = zeros(VG_DIMS(B)),
                                .stats = normal(5, 1, VG_DIMS(2))};
            for (int64_t b = 0; b < B; b++)
                ((double *)args.label.data)[b] = k ? vg_random_word(&harness_random) & 1 : 0.25;
            check(VG_KERNEL_bce, &args, label);
            args.dlogit = absent();
            check(VG_KERNEL_bce, &args, "no gradient");
            args.dlogit = args.logit;
            check(VG_KERNEL_bce, &args, "gradient over the logit");
            harness_clear();
        }
}

static void case_grad_norm(void)
{
    static const int sizes[] = {0, 1, 2, 97, 4096, 100003};
    for (size_t s = 0; s < COUNT(sizes); s++) {
        LABEL("N %d", sizes[s]);
        vg_grad_norm_args args = {.gradient = normal(0, 1, VG_DIMS(sizes[s])),
                                  .sum = normal(5, 1, VG_DIMS(1))};
        check(VG_KERNEL_grad_norm, &args, label);
        harness_clear();
    }
}

static void case_adamw(void)
{
    static const int sizes[] = {0, 1, 97, 10007};
    static const struct {
        double decay, max_norm, count; /* count < 0: absent */
        int64_t step;
        bool decoupled;
    } settings[] = {{0, 0, -1, 1, false},      {0.005, 0, 7, 1, false},    {0.01, 0, 7, 1000, true},
                    {0.01, 1e-3, 13, 3, true}, {0.005, 1e9, 13, 3, false}, {0.01, 1, 0, 3, true},
                    {0, 0, -1, 1000000, true}};
    for (size_t s = 0; s < COUNT(sizes); s++)
        for (size_t k = 0; k < COUNT(settings); k++) {
            int64_t N = sizes[s];
            LABEL("N %d, setting %zu", (int)N, k);
            vg_adamw_args args = {.parameter = normal(0, 1, VG_DIMS(N)),
                                  .gradient = normal(0, 3, VG_DIMS(N)),
                                  .m = normal(0, 1, VG_DIMS(N)),
                                  .v = normal(0, 1, VG_DIMS(N)),
                                  .count = settings[k].count < 0 ? absent() : zeros(VG_DIMS(1)),
                                  .norm_squared = settings[k].max_norm > 0 ? zeros(VG_DIMS(1)) : absent(),
                                  .lr = 1e-3,
                                  .beta1 = 0.9,
                                  .beta2 = 0.999,
                                  .epsilon = 1e-8,
                                  .weight_decay = settings[k].decay,
                                  .max_norm = settings[k].max_norm,
                                  .step = settings[k].step,
                                  .decoupled = settings[k].decoupled};
            double *v = args.v.data, *g = args.gradient.data;
            double *norm = args.norm_squared.data;
            for (int64_t i = 0; i < N; i++) {
                v[i] = fabs(v[i]);
                if (norm) *norm += g[i] * g[i];
            }
            if (args.count.data) *(double *)args.count.data = settings[k].count;
            if (settings[k].count != 0) args.copy = zeros(VG_DIMS(N)); /* else nothing is written */
            check(VG_KERNEL_adamw, &args, label);
            harness_clear();
        }
}

#define VG_KERNEL(op, summary)                                                                               \
    static void test_##op(void **state)                                                                      \
    {                                                                                                        \
        (void)state;                                                                                         \
        if (!harness_serves(VG_KERNEL_##op)) skip();                                                         \
        checks = 0;                                                                                          \
        case_##op();                                                                                         \
        assert_true(checks > 0 && harness_refusals(VG_KERNEL_##op) > 0);                                     \
        printf("%-28s %d calls\n", #op, checks);                                                             \
    }
#include "kernels/kernels.def"
#undef VG_KERNEL

static void summary_of_all(void **state)
{
    (void)state;
    harness_summary();
}

int main(int argc, char **argv)
{
    char filter[128];
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "paper")) {
            paper = true;
            continue;
        }
        snprintf(filter, sizeof filter, "test_%s", argv[i]);
        cmocka_set_test_filter(filter);
    }
    const struct CMUnitTest tests[] = {
#define VG_KERNEL(op, summary) cmocka_unit_test(test_##op),
#include "kernels/kernels.def"
#undef VG_KERNEL
        cmocka_unit_test(summary_of_all),
    };
    _Static_assert(COUNT(tests) == VG_KERNEL_COUNT + 1, "one test an operation");
    return cmocka_run_group_tests(tests, harness_setup, harness_teardown);
}
