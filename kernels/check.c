#include "kernels/check.h"

#include <ctype.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* A shape is written as a pattern: a letter is bound by the first tensor that has it and must be the same in
 * all others, a digit is itself, and '+' stands for 1 + T. B, T, R, N and S may be zero; the other letters
 * count features and are at least 1. */
typedef struct check {
    const char *op;
    unsigned types;
    vg_dtype type; /* of the first tensor */
    bool typed;
    int64_t size[256]; /* -1: not bound yet */
} check;

/* What a tensor's type must be. */
enum kind {
    FLOATING,  /* the type of activations and parameters */
    STATISTIC, /* F32 at least: statistics, gradients of parameters, the optimiser's tensors */
    DOUBLE,
    SHORT, /* BF16 */
    BYTE,
    INDEX,  /* I32 */
    SEGMENT /* I64 */
};

static check start(const char *op, unsigned types)
{
    check c = {.op = op, .types = types};
    for (int i = 0; i < 256; i++) c.size[i] = -1;
    return c;
}

static vg_dtype wanted_type(const check *c, enum kind kind)
{
    switch (kind) {
    case FLOATING:
        return c->type;
    case STATISTIC:
        return c->type == VG_F64 ? VG_F64 : VG_F32;
    case DOUBLE:
        return VG_F64;
    case SHORT:
        return VG_BF16;
    case BYTE:
        return VG_U8;
    case INDEX:
        return VG_I32;
    case SEGMENT:
        return VG_I64;
    }
    VG_ASSERT(!"a known kind");
}

/* The size a pattern's place must have; -1 when the tensor at hand decides. */
static int64_t wanted_size(const check *c, char place)
{
    if (isdigit((unsigned char)place)) return place - '0';
    if (place == '+') return c->size['T'] < 0 ? -1 : c->size['T'] + 1;
    return c->size[(unsigned char)place];
}

/* "(B=2, T=7, 3) F32", the letters without a value while nothing has bound them. */
static void describe_wanted(const check *c, const char *pattern, enum kind kind, char *text, size_t size)
{
    size_t used = (size_t)snprintf(text, size, "(");
    for (int i = 0; pattern[i] && used < size; i++) {
        int64_t wanted = wanted_size(c, pattern[i]);
        const char *comma = i ? ", " : "";
        int n;
        if (isdigit((unsigned char)pattern[i]))
            n = snprintf(text + used, size - used, "%s%c", comma, pattern[i]);
        else if (wanted < 0)
            n = snprintf(text + used, size - used, "%s%s", comma,
                         pattern[i] == '+' ? "1+T" : (char[]){pattern[i], 0});
        else
            n = snprintf(text + used, size - used, "%s%s=%" PRId64, comma,
                         pattern[i] == '+' ? "1+T" : (char[]){pattern[i], 0}, wanted);
        used += (size_t)n;
    }
    if (used < size) snprintf(text + used, size - used, ") %s", vg_dtype_name(wanted_type(c, kind)));
}

static vg_status refuse(const check *c, const char *name, const vg_tensor *tensor, const char *pattern,
                        enum kind kind, const char *why)
{
    char got[160], wanted[200];
    vg_tensor_describe(tensor, got, sizeof got);
    describe_wanted(c, pattern, kind, wanted, sizeof wanted);
    return vg_fail(VG_ERR_SHAPE, "%s: %s is %s, expected %s%s", c->op, name, got, wanted, why);
}

/* A tensor that must be there. */
static vg_status need(check *c, const char *name, const vg_tensor *tensor, const char *pattern,
                      enum kind kind)
{
    if (kind == FLOATING && !c->typed) {
        c->type = tensor->dtype;
        if ((unsigned)tensor->dtype > 31 || !(c->types >> tensor->dtype & 1))
            return vg_fail(VG_ERR_SHAPE, "%s: %s is of type %s, which this backend does not compute in",
                           c->op, name, vg_dtype_name(tensor->dtype));
        c->typed = true;
    }
    if (tensor->rank != (int)strlen(pattern)) return refuse(c, name, tensor, pattern, kind, "");
    if (tensor->dtype != wanted_type(c, kind)) return refuse(c, name, tensor, pattern, kind, "");
    for (int i = 0; i < tensor->rank; i++) {
        int64_t wanted = wanted_size(c, pattern[i]), got = tensor->dims[i];
        if (got < 0 || (wanted >= 0 && got != wanted)) return refuse(c, name, tensor, pattern, kind, "");
        if (wanted >= 0) continue;
        if (pattern[i] == '+') {
            if (got < 1) return refuse(c, name, tensor, pattern, kind, "");
            c->size['T'] = got - 1;
            continue;
        }
        if (got < 1 && !strchr("BTRNS", pattern[i]))
            return refuse(c, name, tensor, pattern, kind, " with at least one feature");
        c->size[(unsigned char)pattern[i]] = got;
    }
    if (!tensor->data && vg_tensor_count(tensor) > 0)
        return vg_fail(VG_ERR_SHAPE, "%s: %s has no memory", c->op, name);
    return VG_OK;
}

/* A tensor that may be absent. */
static vg_status may(check *c, const char *name, const vg_tensor *tensor, const char *pattern, enum kind kind)
{
    return tensor->data ? need(c, name, tensor, pattern, kind) : VG_OK;
}

/* A tensor whose presence hangs on a setting. */
static vg_status only_if(check *c, bool wanted, const char *name, const vg_tensor *tensor,
                         const char *pattern, enum kind kind, const char *setting)
{
    if (wanted) return need(c, name, tensor, pattern, kind);
    if (tensor->data) return vg_fail(VG_ERR_SHAPE, "%s: %s is for %s only", c->op, name, setting);
    return VG_OK;
}

/* `elements` is the size of a segment's own tensor; e / 8 has to fit a word of the counter. */
static vg_status dropout(check *c, const char *name, const vg_dropout *dropout, int64_t elements)
{
    if (!dropout) return VG_OK;
    if (!(dropout->probability >= 0 && dropout->probability < 1))
        return vg_fail(VG_ERR_SHAPE, "%s: the probability of %s is %g, expected [0, 1)", c->op, name,
                       (double)dropout->probability);
    if (dropout->probability == 0) return VG_OK;
    if (elements > (int64_t)1 << 35)
        return vg_fail(VG_ERR_SHAPE,
                       "%s: %s over %" PRId64 " elements a segment, at most 2^35 can be counted", c->op, name,
                       elements);
    char text[64];
    snprintf(text, sizeof text, "%s->segment", name);
    return need(c, text, &dropout->segment, "B", SEGMENT);
}

static vg_status in_range(const check *c, const char *name, double value, double low, double high)
{
    if (value >= low && value <= high) return VG_OK;
    return vg_fail(VG_ERR_SHAPE, "%s: %s is %g, expected [%g, %g]", c->op, name, value, low, high);
}

static vg_status activation(const check *c, vg_activation activation)
{
    return in_range(c, "activation", (double)activation, VG_ACTIVATION_NONE, VG_ACTIVATION_GELU);
}

/* The product of two sizes that are known to be bound; saturates. */
static int64_t times(int64_t a, int64_t b)
{
    int64_t product;
    return __builtin_mul_overflow(a, b, &product) ? INT64_MAX : product;
}

static int64_t size_of(const check *c, char letter)
{
    return c->size[(unsigned char)letter];
}

static vg_status odd_filter(const check *c)
{
    if (size_of(c, 'K') % 2) return VG_OK;
    return vg_fail(VG_ERR_SHAPE, "%s: w has a filter of %" PRId64 " samples, expected an odd number", c->op,
                   size_of(c, 'K'));
}

#define NEED(name, pattern, kind) VG_TRY(need(&c, #name, &args->name, pattern, kind))
#define MAY(name, pattern, kind)  VG_TRY(may(&c, #name, &args->name, pattern, kind))
#define DROPOUT(name, elements)   VG_TRY(dropout(&c, #name, args->name, elements))

vg_status vg__check_conv1d_forward(const vg_conv1d_forward_args *args, unsigned types)
{
    check c = start("conv1d_forward", types);
    NEED(x, "BTI", FLOATING);
    NEED(w, "OKI", FLOATING);
    NEED(b, "O", FLOATING);
    NEED(y, "BTO", FLOATING);
    VG_TRY(odd_filter(&c));
    VG_TRY(activation(&c, args->activation));
    VG_TRY(only_if(&c, args->activation == VG_ACTIVATION_GELU, "pre", &args->pre, "BTO", FLOATING, "GELU"));
    DROPOUT(dropout, times(size_of(&c, 'T'), size_of(&c, 'O')));
    return VG_OK;
}

vg_status vg__check_conv1d_backward(const vg_conv1d_backward_args *args, unsigned types)
{
    check c = start("conv1d_backward", types);
    NEED(x, "BTI", FLOATING);
    NEED(w, "OKI", FLOATING);
    NEED(dy, "BTO", FLOATING);
    VG_TRY(odd_filter(&c));
    VG_TRY(activation(&c, args->activation));
    if (args->activation == VG_ACTIVATION_RELU) NEED(y, "BTO", FLOATING);
    if (args->activation == VG_ACTIVATION_GELU) NEED(pre, "BTO", FLOATING);
    MAY(dx, "BTI", FLOATING);
    NEED(dw, "OKI", STATISTIC);
    NEED(db, "O", STATISTIC);
    DROPOUT(dropout, times(size_of(&c, 'T'), size_of(&c, 'O')));
    return VG_OK;
}

vg_status vg__check_linear_forward(const vg_linear_forward_args *args, unsigned types)
{
    check c = start("linear_forward", types);
    NEED(x, "BRI", FLOATING);
    NEED(w, "OI", FLOATING);
    NEED(b, "O", FLOATING);
    NEED(y, "BRO", FLOATING);
    VG_TRY(activation(&c, args->activation));
    VG_TRY(only_if(&c, args->activation == VG_ACTIVATION_GELU, "pre", &args->pre, "BRO", FLOATING, "GELU"));
    DROPOUT(dropout, times(size_of(&c, 'R'), size_of(&c, 'O')));
    return VG_OK;
}

vg_status vg__check_linear_backward(const vg_linear_backward_args *args, unsigned types)
{
    check c = start("linear_backward", types);
    NEED(x, "BRI", FLOATING);
    NEED(w, "OI", FLOATING);
    NEED(dy, "BRO", FLOATING);
    VG_TRY(activation(&c, args->activation));
    if (args->activation == VG_ACTIVATION_RELU) NEED(y, "BRO", FLOATING);
    if (args->activation == VG_ACTIVATION_GELU) NEED(pre, "BRO", FLOATING);
    MAY(dx, "BRI", FLOATING);
    NEED(dw, "OI", STATISTIC);
    NEED(db, "O", STATISTIC);
    DROPOUT(dropout, times(size_of(&c, 'R'), size_of(&c, 'O')));
    return VG_OK;
}

vg_status vg__check_attention_forward(const vg_attention_forward_args *args, unsigned types)
{
    check c = start("attention_forward", types);
    NEED(qkv, "BT3HD", FLOATING);
    NEED(out, "BTHD", FLOATING);
    NEED(lse, "BHT", STATISTIC);
    VG_TRY(in_range(&c, "scale", (double)args->scale, -1e30, 1e30));
    DROPOUT(dropout, times(size_of(&c, 'H'), times(size_of(&c, 'T'), size_of(&c, 'T'))));
    return VG_OK;
}

vg_status vg__check_attention_backward(const vg_attention_backward_args *args, unsigned types)
{
    check c = start("attention_backward", types);
    NEED(qkv, "BT3HD", FLOATING);
    NEED(dout, "BTHD", FLOATING);
    NEED(out, "BTHD", FLOATING);
    NEED(lse, "BHT", STATISTIC);
    NEED(dqkv, "BT3HD", FLOATING);
    NEED(delta, "BHT", STATISTIC);
    VG_TRY(in_range(&c, "scale", (double)args->scale, -1e30, 1e30));
    DROPOUT(dropout, times(size_of(&c, 'H'), times(size_of(&c, 'T'), size_of(&c, 'T'))));
    return VG_OK;
}

vg_status vg__check_layernorm_forward(const vg_layernorm_forward_args *args, unsigned types)
{
    check c = start("layernorm_forward", types);
    NEED(x, "BRC", FLOATING);
    NEED(gamma, "C", FLOATING);
    NEED(beta, "C", FLOATING);
    NEED(y, "BRC", FLOATING);
    NEED(mean, "BR", STATISTIC);
    NEED(rstd, "BR", STATISTIC);
    VG_TRY(in_range(&c, "epsilon", (double)args->epsilon, 0, 1));
    VG_TRY(activation(&c, args->activation));
    DROPOUT(dropout, times(size_of(&c, 'R'), size_of(&c, 'C')));
    return VG_OK;
}

vg_status vg__check_layernorm_backward(const vg_layernorm_backward_args *args, unsigned types)
{
    check c = start("layernorm_backward", types);
    NEED(x, "BRC", FLOATING);
    NEED(dy, "BRC", FLOATING);
    NEED(gamma, "C", FLOATING);
    NEED(beta, "C", FLOATING);
    NEED(mean, "BR", STATISTIC);
    NEED(rstd, "BR", STATISTIC);
    NEED(dx, "BRC", FLOATING);
    NEED(dgamma, "C", STATISTIC);
    NEED(dbeta, "C", STATISTIC);
    VG_TRY(activation(&c, args->activation));
    DROPOUT(dropout, times(size_of(&c, 'R'), size_of(&c, 'C')));
    return VG_OK;
}

vg_status vg__check_residual_layernorm_forward(const vg_residual_layernorm_forward_args *args, unsigned types)
{
    check c = start("residual_layernorm_forward", types);
    NEED(x, "BRC", FLOATING);
    NEED(residual, "BRC", FLOATING);
    NEED(gamma, "C", FLOATING);
    NEED(beta, "C", FLOATING);
    NEED(z, "BRC", FLOATING);
    NEED(y, "BRC", FLOATING);
    NEED(mean, "BR", STATISTIC);
    NEED(rstd, "BR", STATISTIC);
    VG_TRY(in_range(&c, "epsilon", (double)args->epsilon, 0, 1));
    DROPOUT(dropout, times(size_of(&c, 'R'), size_of(&c, 'C')));
    return VG_OK;
}

vg_status vg__check_residual_layernorm_backward(const vg_residual_layernorm_backward_args *args,
                                                unsigned types)
{
    check c = start("residual_layernorm_backward", types);
    NEED(z, "BRC", FLOATING);
    NEED(dy, "BRC", FLOATING);
    MAY(dz, "BRC", FLOATING);
    NEED(gamma, "C", FLOATING);
    NEED(mean, "BR", STATISTIC);
    NEED(rstd, "BR", STATISTIC);
    NEED(dresidual, "BRC", FLOATING);
    NEED(dx, "BRC", FLOATING);
    NEED(dgamma, "C", STATISTIC);
    NEED(dbeta, "C", STATISTIC);
    DROPOUT(dropout, times(size_of(&c, 'R'), size_of(&c, 'C')));
    if (vg__dropout_active(args->dropout) && args->dx.data && args->dx.data == args->dresidual.data)
        return vg_fail(VG_ERR_SHAPE, "%s: dx and dresidual differ under dropout and cannot share a buffer",
                       c.op);
    return VG_OK;
}

vg_status vg__check_tokens_forward(const vg_tokens_forward_args *args, unsigned types)
{
    check c = start("tokens_forward", types);
    NEED(x, "BTC", FLOATING);
    NEED(cls, "C", FLOATING);
    NEED(position, "+C", FLOATING);
    NEED(out, "B+C", FLOATING);
    DROPOUT(before, times(size_of(&c, 'T'), size_of(&c, 'C')));
    DROPOUT(after, times(size_of(&c, 'T') + 1, size_of(&c, 'C')));
    return VG_OK;
}

vg_status vg__check_tokens_backward(const vg_tokens_backward_args *args, unsigned types)
{
    check c = start("tokens_backward", types);
    NEED(dx, "BTC", FLOATING);
    NEED(dout, "B+C", FLOATING);
    NEED(dcls, "C", STATISTIC);
    DROPOUT(before, times(size_of(&c, 'T'), size_of(&c, 'C')));
    DROPOUT(after, times(size_of(&c, 'T') + 1, size_of(&c, 'C')));
    return VG_OK;
}

/* An empty set of tokens has no mean, no maximum and no last; an empty batch asks for none. */
static vg_status enough_tokens(const check *c, vg_pool pool)
{
    VG_TRY(in_range(c, "pool", (double)pool, VG_POOL_CLS, VG_POOL_LAST));
    int64_t least = pool == VG_POOL_MEAN || pool == VG_POOL_MAX ? 2 : 1;
    if (size_of(c, 'T') >= least || size_of(c, 'B') == 0) return VG_OK;
    return vg_fail(VG_ERR_SHAPE, "%s: %" PRId64 " tokens, expected at least %" PRId64 " for this pool", c->op,
                   size_of(c, 'T'), least);
}

vg_status vg__check_pool_forward(const vg_pool_forward_args *args, unsigned types)
{
    check c = start("pool_forward", types);
    NEED(x, "BTC", FLOATING);
    NEED(y, "BC", FLOATING);
    VG_TRY(enough_tokens(&c, args->pool));
    return only_if(&c, args->pool == VG_POOL_MAX, "chosen", &args->chosen, "BC", INDEX, "the maximum");
}

vg_status vg__check_pool_backward(const vg_pool_backward_args *args, unsigned types)
{
    check c = start("pool_backward", types);
    NEED(dx, "BTC", FLOATING);
    NEED(dy, "BC", FLOATING);
    VG_TRY(enough_tokens(&c, args->pool));
    return only_if(&c, args->pool == VG_POOL_MAX, "chosen", &args->chosen, "BC", INDEX, "the maximum");
}

vg_status vg__check_gather(const vg_gather_args *args, unsigned types)
{
    check c = start("gather", types);
    NEED(y, "BT", FLOATING);
    NEED(signal, "N", STATISTIC);
    NEED(start, "S", SEGMENT);
    NEED(mean, "S", DOUBLE);
    NEED(scale, "S", DOUBLE);
    NEED(index, "B", SEGMENT);
    return VG_OK;
}

vg_status vg__check_mask_forward(const vg_mask_forward_args *args, unsigned types)
{
    check c = start("mask_forward", types);
    NEED(x, "BT", FLOATING);
    NEED(segment, "B", SEGMENT);
    NEED(y, "BT", FLOATING);
    NEED(mask, "BT", BYTE);
    VG_TRY(in_range(&c, "fill", (double)args->fill, VG_MASK_ZERO, VG_MASK_LEARNED));
    if (args->fill == VG_MASK_LEARNED) NEED(learned, "1", FLOATING);
    VG_TRY(in_range(&c, "start_probability", (double)args->start_probability, 0, 1));
    VG_TRY(in_range(&c, "span", args->span, 1, INT32_MAX));
    VG_TRY(in_range(&c, "random_share", (double)args->random_share, 0, 1));
    VG_TRY(in_range(&c, "keep_share", (double)args->keep_share, 0, 1));
    VG_TRY(in_range(&c, "random_share + keep_share", (double)args->random_share + (double)args->keep_share, 0,
                    1.000001));
    if (size_of(&c, 'T') > UINT32_MAX)
        return vg_fail(VG_ERR_SHAPE, "%s: x has %" PRId64 " samples a segment, at most 2^32 can be counted",
                       c.op, size_of(&c, 'T'));
    if (args->y.data && args->y.data == args->x.data)
        return vg_fail(VG_ERR_SHAPE, "%s: y must not be x", c.op);
    return VG_OK;
}

vg_status vg__check_mask_backward(const vg_mask_backward_args *args, unsigned types)
{
    check c = start("mask_backward", types);
    NEED(dy, "BT", FLOATING);
    NEED(mask, "BT", BYTE);
    NEED(dlearned, "1", STATISTIC);
    return VG_OK;
}

vg_status vg__check_masked_mse(const vg_masked_mse_args *args, unsigned types)
{
    check c = start("masked_mse", types);
    NEED(prediction, "BT", FLOATING);
    NEED(target, "BT", FLOATING);
    NEED(mask, "BT", BYTE);
    MAY(dprediction, "BT", FLOATING);
    NEED(stats, "2", DOUBLE);
    return VG_OK;
}

vg_status vg__check_bce(const vg_bce_args *args, unsigned types)
{
    check c = start("bce", types);
    NEED(logit, "B", FLOATING);
    NEED(label, "B", FLOATING);
    MAY(dlogit, "B", FLOATING);
    NEED(stats, "2", DOUBLE);
    return VG_OK;
}

vg_status vg__check_grad_norm(const vg_grad_norm_args *args, unsigned types)
{
    check c = start("grad_norm", types & ~(unsigned)VG__BF16);
    NEED(gradient, "N", FLOATING);
    NEED(sum, "1", DOUBLE);
    return VG_OK;
}

vg_status vg__check_adamw(const vg_adamw_args *args, unsigned types)
{
    check c = start("adamw", types & ~(unsigned)VG__BF16);
    NEED(parameter, "N", FLOATING);
    NEED(gradient, "N", FLOATING);
    NEED(m, "N", STATISTIC);
    NEED(v, "N", STATISTIC);
    MAY(copy, "N", SHORT);
    MAY(count, "1", DOUBLE);
    VG_TRY(in_range(&c, "max_norm", args->max_norm, 0, HUGE_VAL));
    if (args->max_norm > 0)
        NEED(norm_squared, "1", DOUBLE);
    else
        MAY(norm_squared, "1", DOUBLE);
    VG_TRY(in_range(&c, "lr", args->lr, 0, HUGE_VAL));
    VG_TRY(in_range(&c, "beta1", args->beta1, 0, 1));
    VG_TRY(in_range(&c, "beta2", args->beta2, 0, 1));
    VG_TRY(in_range(&c, "epsilon", args->epsilon, 0, HUGE_VAL));
    VG_TRY(in_range(&c, "weight_decay", args->weight_decay, 0, HUGE_VAL));
    if (args->beta1 == 1 || args->beta2 == 1)
        return vg_fail(VG_ERR_SHAPE, "%s: beta1 and beta2 are %g and %g, expected less than 1", c.op,
                       args->beta1, args->beta2);
    return in_range(&c, "step", (double)args->step, 1, 9e18);
}
