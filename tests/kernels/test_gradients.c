/* Every backward of `ref` against central differences of its forward, in double. Parameter gradients start
 * from random values, since they are added to; activation gradients start as not-a-number, since they are
 * overwritten. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "tests/kernels/compare.h"
#include "tests/kernels/harness.h"

/* A forward call and a scalar made of its outputs: the sum of weight * output. */
typedef struct scalar {
    vg_kernel_id id;
    const void *args;
    vg_tensor out[2], weight[2];
    int outs;
} scalar;

static double evaluate(const scalar *f)
{
    for (int k = 0; k < f->outs; k++) memset(f->out[k].data, 0, vg_tensor_bytes(&f->out[k]));
    assert_ok(harness_call(harness_ref, f->id, f->args));
    double sum = 0;
    for (int k = 0; k < f->outs; k++)
        for (int64_t i = 0; i < vg_tensor_count(&f->out[k]); i++)
            sum += ((double *)f->out[k].data)[i] * ((double *)f->weight[k].data)[i];
    return sum;
}

static vg_tensor copy_of(vg_tensor tensor)
{
    vg_tensor copy = empty_like(tensor, tensor.dtype);
    memcpy(copy.data, tensor.data, vg_tensor_bytes(&tensor));
    return copy;
}

static vg_tensor unwritten(vg_tensor like)
{
    vg_tensor tensor = empty_like(like, VG_F64);
    memset(tensor.data, 0xff, vg_tensor_bytes(&tensor));
    return tensor;
}

/* `got` minus `base` (what it was before, absent when it is overwritten) is the gradient of f at x. */
static void check_gradient(const char *label, const char *name, const scalar *f, vg_tensor x, vg_tensor got,
                           vg_tensor base)
{
    int64_t n = vg_tensor_count(&x);
    double *at = x.data, *numeric = zeros(VG_DIMS(n)).data, *analytic = zeros(VG_DIMS(n)).data;
    assert_int_equal(vg_tensor_count(&got), n);
    for (int64_t i = 0; i < n; i++) {
        const double step = 1e-6, held = at[i];
        at[i] = held + step;
        double above = evaluate(f);
        at[i] = held - step;
        double below = evaluate(f);
        at[i] = held;
        numeric[i] = (above - below) / (2 * step);
        analytic[i] = ((double *)got.data)[i] - (base.data ? ((double *)base.data)[i] : 0);
    }
    comparison c = compare(analytic, (size_t)n, numeric, (size_t)n);
    if (!(c.norm_error <= 1e-6 * c.norm + 1e-8 && c.max_error <= 1e-6 * c.max + 1e-8))
        fail_msg("%s, gradient of %s: error %.3g of %.3g by norm, %.3g of %.3g at worst", label, name,
                 c.norm_error, c.norm, c.max_error, c.max);
}

static const vg_activation activations[] = {VG_ACTIVATION_NONE, VG_ACTIVATION_RELU, VG_ACTIVATION_GELU};
static const double probabilities[] = {0, 0.3};
static const vg_tensor absent;

#define FOR_ALL(type, item, array)                                                                           \
    for (const type *item = (array); item < (array) + sizeof(array) / sizeof *(array); item++)
#define LABEL(...)                                                                                           \
    char label[200];                                                                                         \
    snprintf(label, sizeof label, __VA_ARGS__)

static void conv1d(void **state)
{
    (void)state;
    FOR_ALL(vg_activation, activation, activations)
    FOR_ALL(double, probability, probabilities)
    {
        LABEL("conv1d, activation %d, dropout %g", (int)*activation, *probability);
        int64_t B = 2, T = 5, I = 3, O = 4, K = 3 + 4 * (*probability > 0); /* once wider than T */
        vg_tensor y = zeros(VG_DIMS(B, T, O)), weight = normal(0, 1, VG_DIMS(B, T, O));
        vg_conv1d_forward_args forward = {
            .x = normal(0, 1, VG_DIMS(B, T, I)),
            .w = normal(0, 1, VG_DIMS(O, K, I)),
            .b = normal(0, 1, VG_DIMS(O)),
            .y = y,
            .pre = *activation == VG_ACTIVATION_GELU ? zeros(VG_DIMS(B, T, O)) : absent,
            .activation = *activation,
            .dropout = dropout_of(*probability, B),
        };
        scalar f = {VG_KERNEL_conv1d_forward, &forward, {y}, {weight}, 1};
        evaluate(&f);
        vg_conv1d_backward_args backward = {
            .dy = copy_of(weight),
            .x = forward.x,
            .w = forward.w,
            .y = forward.y,
            .pre = forward.pre,
            .dx = unwritten(forward.x),
            .dw = normal(0, 1, VG_DIMS(O, K, I)),
            .db = normal(0, 1, VG_DIMS(O)),
            .activation = *activation,
            .dropout = forward.dropout,
        };
        vg_tensor dw = copy_of(backward.dw), db = copy_of(backward.db);
        assert_ok(harness_call(harness_ref, VG_KERNEL_conv1d_backward, &backward));
        check_gradient(label, "x", &f, forward.x, backward.dx, absent);
        check_gradient(label, "w", &f, forward.w, backward.dw, dw);
        check_gradient(label, "b", &f, forward.b, backward.db, db);
        harness_clear();
    }
}

static void linear(void **state)
{
    (void)state;
    FOR_ALL(vg_activation, activation, activations)
    FOR_ALL(double, probability, probabilities)
    for (int add = 0; add < 2; add++) {
        LABEL("linear, activation %d, dropout %g, add %d", (int)*activation, *probability, add);
        int64_t B = 2, R = 3, I = 5, O = 4;
        vg_tensor y = zeros(VG_DIMS(B, R, O)), weight = normal(0, 1, VG_DIMS(B, R, O));
        vg_linear_forward_args forward = {
            .x = normal(0, 1, VG_DIMS(B, R, I)),
            .w = normal(0, 1, VG_DIMS(O, I)),
            .b = normal(0, 1, VG_DIMS(O)),
            .y = y,
            .pre = *activation == VG_ACTIVATION_GELU ? zeros(VG_DIMS(B, R, O)) : absent,
            .activation = *activation,
            .dropout = dropout_of(*probability, B),
        };
        scalar f = {VG_KERNEL_linear_forward, &forward, {y}, {weight}, 1};
        evaluate(&f);
        vg_linear_backward_args backward = {
            .dy = copy_of(weight),
            .x = forward.x,
            .w = forward.w,
            .y = forward.y,
            .pre = forward.pre,
            .dx = add ? normal(0, 1, VG_DIMS(B, R, I)) : unwritten(forward.x),
            .dw = normal(0, 1, VG_DIMS(O, I)),
            .db = normal(0, 1, VG_DIMS(O)),
            .activation = *activation,
            .dropout = forward.dropout,
            .add_to_dx = add,
        };
        vg_tensor dx = copy_of(backward.dx), dw = copy_of(backward.dw), db = copy_of(backward.db);
        assert_ok(harness_call(harness_ref, VG_KERNEL_linear_backward, &backward));
        check_gradient(label, "x", &f, forward.x, backward.dx, add ? dx : absent);
        check_gradient(label, "w", &f, forward.w, backward.dw, dw);
        check_gradient(label, "b", &f, forward.b, backward.db, db);
        harness_clear();
    }
}

static void attention(void **state)
{
    (void)state;
    static const int sizes[][4] = {{1, 1, 1, 2}, {2, 5, 2, 3}, {1, 7, 3, 1}};
    for (size_t s = 0; s < 3; s++) FOR_ALL(double, probability, probabilities)
        {
            int64_t B = sizes[s][0], T = sizes[s][1], H = sizes[s][2], D = sizes[s][3];
            LABEL("attention %d %d %d %d, dropout %g", (int)B, (int)T, (int)H, (int)D, *probability);
            vg_tensor out = zeros(VG_DIMS(B, T, H, D)), weight = normal(0, 1, VG_DIMS(B, T, H, D));
            vg_attention_forward_args forward = {
                .qkv = normal(0, 1, VG_DIMS(B, T, 3, H, D)),
                .out = out,
                .lse = zeros(VG_DIMS(B, H, T)),
                .scale = 0.7F,
                .dropout = dropout_of(*probability, B),
            };
            scalar f = {VG_KERNEL_attention_forward, &forward, {out}, {weight}, 1};
            evaluate(&f);
            vg_attention_backward_args backward = {
                .dout = weight,
                .qkv = forward.qkv,
                .out = forward.out,
                .lse = forward.lse,
                .dqkv = unwritten(forward.qkv),
                .delta = unwritten(forward.lse),
                .scale = forward.scale,
                .dropout = forward.dropout,
            };
            assert_ok(harness_call(harness_ref, VG_KERNEL_attention_backward, &backward));
            check_gradient(label, "qkv", &f, forward.qkv, backward.dqkv, absent);
            harness_clear();
        }
}

static void layernorm(void **state)
{
    (void)state;
    FOR_ALL(vg_activation, activation, activations)
    FOR_ALL(double, probability, probabilities)
    {
        LABEL("layernorm, activation %d, dropout %g", (int)*activation, *probability);
        int64_t B = 2, R = 3, C = 5;
        vg_tensor y = zeros(VG_DIMS(B, R, C)), weight = normal(0, 1, VG_DIMS(B, R, C));
        vg_layernorm_forward_args forward = {
            .x = normal(2, 1, VG_DIMS(B, R, C)),
            .gamma = normal(1, 1, VG_DIMS(C)),
            .beta = normal(0, 1, VG_DIMS(C)),
            .y = y,
            .mean = zeros(VG_DIMS(B, R)),
            .rstd = zeros(VG_DIMS(B, R)),
            .epsilon = 1e-3F,
            .activation = *activation,
            .dropout = dropout_of(*probability, B),
        };
        scalar f = {VG_KERNEL_layernorm_forward, &forward, {y}, {weight}, 1};
        evaluate(&f);
        vg_layernorm_backward_args backward = {
            .dy = weight,
            .x = forward.x,
            .gamma = forward.gamma,
            .beta = forward.beta,
            .mean = forward.mean,
            .rstd = forward.rstd,
            .dx = unwritten(forward.x),
            .dgamma = normal(0, 1, VG_DIMS(C)),
            .dbeta = normal(0, 1, VG_DIMS(C)),
            .activation = *activation,
            .dropout = forward.dropout,
        };
        vg_tensor dgamma = copy_of(backward.dgamma), dbeta = copy_of(backward.dbeta);
        assert_ok(harness_call(harness_ref, VG_KERNEL_layernorm_backward, &backward));
        check_gradient(label, "x", &f, forward.x, backward.dx, absent);
        check_gradient(label, "gamma", &f, forward.gamma, backward.dgamma, dgamma);
        check_gradient(label, "beta", &f, forward.beta, backward.dbeta, dbeta);
        harness_clear();
    }
}

/* Post-norm uses y alone; pre-norm uses z too, and dz carries what comes back through it. */
static void residual_layernorm(void **state)
{
    (void)state;
    FOR_ALL(double, probability, probabilities)
    for (int outs = 1; outs <= 2; outs++) {
        LABEL("residual_layernorm, dropout %g, %s", *probability, outs == 2 ? "with dz" : "without dz");
        int64_t B = 2, R = 3, C = 5;
        vg_tensor y = zeros(VG_DIMS(B, R, C)), z = zeros(VG_DIMS(B, R, C));
        vg_tensor dy = normal(0, 1, VG_DIMS(B, R, C)), dz = normal(0, 1, VG_DIMS(B, R, C));
        vg_residual_layernorm_forward_args forward = {
            .x = normal(0, 1, VG_DIMS(B, R, C)),
            .residual = normal(1, 1, VG_DIMS(B, R, C)),
            .gamma = normal(1, 1, VG_DIMS(C)),
            .beta = normal(0, 1, VG_DIMS(C)),
            .z = z,
            .y = y,
            .mean = zeros(VG_DIMS(B, R)),
            .rstd = zeros(VG_DIMS(B, R)),
            .epsilon = 1e-3F,
            .dropout = dropout_of(*probability, B),
        };
        scalar f = {VG_KERNEL_residual_layernorm_forward, &forward, {y, z}, {dy, dz}, outs};
        evaluate(&f);
        vg_residual_layernorm_backward_args backward = {
            .dy = dy,
            .dz = outs == 2 ? dz : absent,
            .z = z,
            .gamma = forward.gamma,
            .mean = forward.mean,
            .rstd = forward.rstd,
            .dresidual = unwritten(z),
            .dx = unwritten(z),
            .dgamma = normal(0, 1, VG_DIMS(C)),
            .dbeta = normal(0, 1, VG_DIMS(C)),
            .dropout = forward.dropout,
        };
        vg_tensor dgamma = copy_of(backward.dgamma), dbeta = copy_of(backward.dbeta);
        assert_ok(harness_call(harness_ref, VG_KERNEL_residual_layernorm_backward, &backward));
        check_gradient(label, "x", &f, forward.x, backward.dx, absent);
        check_gradient(label, "residual", &f, forward.residual, backward.dresidual, absent);
        check_gradient(label, "gamma", &f, forward.gamma, backward.dgamma, dgamma);
        check_gradient(label, "beta", &f, forward.beta, backward.dbeta, dbeta);
        harness_clear();
    }
}

static void tokens(void **state)
{
    (void)state;
    FOR_ALL(double, before, probabilities)
    FOR_ALL(double, after, probabilities)
    {
        LABEL("tokens, dropout %g before and %g after", *before, *after);
        int64_t B = 3, T = 4, C = 5;
        vg_tensor out = zeros(VG_DIMS(B, 1 + T, C)), weight = normal(0, 1, VG_DIMS(B, 1 + T, C));
        vg_tokens_forward_args forward = {
            .x = normal(0, 1, VG_DIMS(B, T, C)),
            .cls = normal(0, 1, VG_DIMS(C)),
            .position = normal(0, 1, VG_DIMS(1 + T, C)),
            .out = out,
            .before = dropout_of(*before, B),
            .after = dropout_of(*after, B),
        };
        scalar f = {VG_KERNEL_tokens_forward, &forward, {out}, {weight}, 1};
        vg_tokens_backward_args backward = {.dout = weight,
                                            .dx = unwritten(forward.x),
                                            .dcls = normal(0, 1, VG_DIMS(C)),
                                            .before = forward.before,
                                            .after = forward.after};
        vg_tensor dcls = copy_of(backward.dcls);
        assert_ok(harness_call(harness_ref, VG_KERNEL_tokens_backward, &backward));
        check_gradient(label, "x", &f, forward.x, backward.dx, absent);
        check_gradient(label, "cls", &f, forward.cls, backward.dcls, dcls);
        harness_clear();
    }
}

static void pool(void **state)
{
    (void)state;
    for (vg_pool pool_ = VG_POOL_CLS; pool_ <= VG_POOL_LAST; pool_++) {
        LABEL("pool %d", (int)pool_);
        int64_t B = 2, T = 6, C = 3;
        vg_tensor y = zeros(VG_DIMS(B, C)), weight = normal(0, 1, VG_DIMS(B, C));
        vg_pool_forward_args forward = {
            .x = normal(0, 1, VG_DIMS(B, T, C)), .y = y, .chosen = absent, .pool = pool_};
        if (pool_ == VG_POOL_MAX) forward.chosen = empty_like(y, VG_I32);
        scalar f = {VG_KERNEL_pool_forward, &forward, {y}, {weight}, 1};
        evaluate(&f);
        vg_pool_backward_args backward = {
            .dy = weight, .dx = unwritten(forward.x), .chosen = forward.chosen, .pool = pool_};
        assert_ok(harness_call(harness_ref, VG_KERNEL_pool_backward, &backward));
        check_gradient(label, "x", &f, forward.x, backward.dx, absent);
        harness_clear();
    }
}

static void learned_mask(void **state)
{
    (void)state;
    int64_t B = 3, T = 60;
    vg_tensor y = zeros(VG_DIMS(B, T)), weight = normal(0, 1, VG_DIMS(B, T));
    vg_mask_forward_args forward = {.x = normal(0, 1, VG_DIMS(B, T)),
                                    .segment = segments(B),
                                    .y = y,
                                    .mask = empty_like(y, VG_U8),
                                    .learned = normal(0, 1, VG_DIMS(1)),
                                    .seed = 7,
                                    .start_probability = 0.2F,
                                    .span = 3,
                                    .fill = VG_MASK_LEARNED,
                                    .random_share = 0.2F,
                                    .keep_share = 0.2F};
    scalar f = {VG_KERNEL_mask_forward, &forward, {y}, {weight}, 1};
    evaluate(&f);
    vg_mask_backward_args backward = {
        .dy = weight, .mask = forward.mask, .dlearned = normal(0, 1, VG_DIMS(1))};
    vg_tensor base = copy_of(backward.dlearned);
    assert_ok(harness_call(harness_ref, VG_KERNEL_mask_backward, &backward));
    check_gradient("mask", "learned", &f, forward.learned, backward.dlearned, base);
    harness_clear();
}

static void losses(void **state)
{
    (void)state;
    int64_t B = 3, T = 7;
    vg_tensor stats = zeros(VG_DIMS(2)), weight = zeros(VG_DIMS(2));
    ((double *)weight.data)[0] = 1; /* the loss, not the count */

    vg_masked_mse_args mse = {.prediction = normal(0, 1, VG_DIMS(B, T)),
                              .target = normal(0, 1, VG_DIMS(B, T)),
                              .mask = empty_like(zeros(VG_DIMS(B, T)), VG_U8),
                              .dprediction = unwritten(zeros(VG_DIMS(B, T))),
                              .stats = stats};
    for (int64_t i = 0; i < B * T; i++) ((uint8_t *)mse.mask.data)[i] = (uint8_t)(i % 4);
    scalar f = {VG_KERNEL_masked_mse, &mse, {stats}, {weight}, 1};
    evaluate(&f);
    check_gradient("masked_mse", "prediction", &f, mse.prediction, copy_of(mse.dprediction), absent);

    vg_bce_args bce = {.logit = normal(0, 3, VG_DIMS(B)),
                       .label = zeros(VG_DIMS(B)),
                       .dlogit = unwritten(zeros(VG_DIMS(B))),
                       .stats = stats};
    for (int64_t b = 0; b < B; b++) ((double *)bce.label.data)[b] = 0.5 * (double)b;
    f = (scalar){VG_KERNEL_bce, &bce, {stats}, {weight}, 1};
    evaluate(&f);
    check_gradient("bce", "logit", &f, bce.logit, copy_of(bce.dlogit), absent);
    harness_clear();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(conv1d),    cmocka_unit_test(linear),       cmocka_unit_test(attention),
        cmocka_unit_test(layernorm), cmocka_unit_test(tokens),       cmocka_unit_test(residual_layernorm),
        cmocka_unit_test(pool),      cmocka_unit_test(learned_mask), cmocka_unit_test(losses),
    };
    return cmocka_run_group_tests(tests, harness_setup, harness_teardown);
}
