#include "experiments/runner/bench/operands.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_OPERANDS = 16, MAX_SETS = 64, ALIGNMENT = 256 };

typedef enum role {
    READ,
    WRITTEN,
    ADDED_TO, /* read and written */
    SPENT,    /* read, and spoilt by the call */
    ROOM      /* for the kernel's own use */
} role;

typedef struct operand {
    vg_tensor *view;
    role role;
    double low, high; /* its values; integers take those from low up to but not high */
    size_t offset;    /* in the set's memory */
} operand;

/* One set: the arguments and what they point to. */
typedef struct set {
    vg_kernels *kernels; /* NULL: only counting */
    vg_dtype dtype;      /* of the activations */
    void *args;
    vg_dropout dropout;
    operand operands[MAX_OPERANDS];
    int count;
    char *memory;
    size_t size; /* of `memory` */
    vg_bench_cost cost;
} set;

static void add(set *s, vg_tensor *view, role how, vg_dtype dtype, double low, double high, int rank,
                const int64_t *dims)
{
    VG_ASSERT(s->count < MAX_OPERANDS);
    *view = vg_tensor_make(NULL, dtype, rank, dims);
    size_t bytes = vg_tensor_bytes(view);
    s->operands[s->count++] = (operand){view, how, low, high, s->size};
    s->size += (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    if (how != ROOM) s->cost.bytes += (double)bytes * (how == ADDED_TO ? 2 : 1);
}

/* ---- The table: an operation's operands and FLOP, beside its shape --------------------------------------
 * IN is read, OUT written, ADD added to, SPEND read and spoilt; of the activations' type, or with a type and
 * a range of values. */
#define AS(role, name, dtype, low, high, ...) add(s, &a->name, role, dtype, low, high, VG_DIMS(__VA_ARGS__))
#define IN(name, ...)                         AS(READ, name, s->dtype, -1, 1, __VA_ARGS__)
#define SPEND(name, ...)                      AS(SPENT, name, s->dtype, -1, 1, __VA_ARGS__)
#define OUT(name, ...)                        AS(WRITTEN, name, s->dtype, -1, 1, __VA_ARGS__)
#define ADD(name, ...)                        AS(ADDED_TO, name, VG_F32, -1, 1, __VA_ARGS__)
#define WEIGHT(name, fan_in, ...)                                                                            \
    AS(READ, name, s->dtype, -1 / sqrt((double)(fan_in)), 1 / sqrt((double)(fan_in)), __VA_ARGS__)
#define OPERANDS(op)                                                                                         \
    static void operands_of_##op(set *s, const vg_bench_shape *shape, vg_##op##_args *a, int64_t B,          \
                                 int64_t T, int64_t R, int64_t C, int64_t I, int64_t O, int64_t K,           \
                                 int64_t H, int64_t D, int64_t N)
#define LETTERS_UNUSED                                                                                       \
    (void)shape, (void)B, (void)T, (void)R, (void)C, (void)I, (void)O, (void)K, (void)H, (void)D, (void)N

static const vg_dropout *dropout(set *s, const vg_bench_shape *shape)
{
    if (!shape->dropout) return NULL;
    s->dropout = (vg_dropout){.probability = 0.1f, .site = VG_SITE_DROPOUT, .seed = 1};
    add(s, &s->dropout.segment, READ, VG_I64, 0, 100000, VG_DIMS(shape->B));
    return &s->dropout;
}

OPERANDS(conv1d_forward)
{
    LETTERS_UNUSED;
    IN(x, B, T, I), WEIGHT(w, K * I, O, K, I), IN(b, O), OUT(y, B, T, O);
    if (shape->activation == VG_ACTIVATION_GELU) OUT(pre, B, T, O);
    a->activation = shape->activation;
    a->dropout = dropout(s, shape);
    s->cost.flop = 2.0 * (double)(B * T * I * O * K);
}

OPERANDS(conv1d_backward)
{
    LETTERS_UNUSED;
    SPEND(dy, B, T, O), IN(x, B, T, I), WEIGHT(w, K * I, O, K, I), ADD(dw, O, K, I), ADD(db, O);
    if (shape->activation == VG_ACTIVATION_RELU) IN(y, B, T, O);
    if (shape->activation == VG_ACTIVATION_GELU) IN(pre, B, T, O);
    if (!shape->no_dx) OUT(dx, B, T, I);
    a->activation = shape->activation;
    a->dropout = dropout(s, shape);
    s->cost.flop = 2.0 * (double)(B * T * I * O * K) * (shape->no_dx ? 1 : 2);
}

OPERANDS(linear_forward)
{
    LETTERS_UNUSED;
    IN(x, B, R, I), WEIGHT(w, I, O, I), IN(b, O), OUT(y, B, R, O);
    if (shape->activation == VG_ACTIVATION_GELU) OUT(pre, B, R, O);
    a->activation = shape->activation;
    a->dropout = dropout(s, shape);
    s->cost.flop = 2.0 * (double)(B * R * I * O);
}

OPERANDS(linear_backward)
{
    LETTERS_UNUSED;
    SPEND(dy, B, R, O), IN(x, B, R, I), WEIGHT(w, I, O, I), ADD(dw, O, I), ADD(db, O);
    if (shape->activation == VG_ACTIVATION_RELU) IN(y, B, R, O);
    if (shape->activation == VG_ACTIVATION_GELU) IN(pre, B, R, O);
    if (!shape->no_dx) OUT(dx, B, R, I);
    a->activation = shape->activation;
    a->dropout = dropout(s, shape);
    s->cost.flop = 2.0 * (double)(B * R * I * O) * (shape->no_dx ? 1 : 2);
}

/* q, k of values up to 1 with a scale of 1 / sqrt(D): their scores stay near 0 and lse near log T. */
OPERANDS(attention_forward)
{
    LETTERS_UNUSED;
    IN(qkv, B, T, 3, H, D), OUT(out, B, T, H, D), AS(WRITTEN, lse, VG_F32, 0, 1, B, H, T);
    a->scale = (float)(1 / sqrt((double)D));
    a->dropout = dropout(s, shape);
    s->cost.flop = 4.0 * (double)(B * H * T * T * D);
}

/* Five products of forward's two: the scores have to be made again. */
OPERANDS(attention_backward)
{
    LETTERS_UNUSED;
    IN(dout, B, T, H, D), IN(qkv, B, T, 3, H, D), IN(out, B, T, H, D), OUT(dqkv, B, T, 3, H, D);
    AS(READ, lse, VG_F32, log((double)T), log((double)T) + 0.1, B, H, T),
        AS(ROOM, delta, VG_F32, 0, 1, B, H, T);
    a->scale = (float)(1 / sqrt((double)D));
    a->dropout = dropout(s, shape);
    s->cost.flop = 10.0 * (double)(B * H * T * T * D);
}

OPERANDS(layernorm_forward)
{
    LETTERS_UNUSED;
    IN(x, B, R, C), IN(gamma, C), IN(beta, C), OUT(y, B, R, C);
    AS(WRITTEN, mean, VG_F32, 0, 1, B, R), AS(WRITTEN, rstd, VG_F32, 0, 1, B, R);
    a->epsilon = 1e-5f;
    a->activation = shape->activation;
    a->dropout = dropout(s, shape);
}

OPERANDS(layernorm_backward)
{
    LETTERS_UNUSED;
    IN(dy, B, R, C), IN(x, B, R, C), IN(gamma, C), IN(beta, C), OUT(dx, B, R, C), ADD(dgamma, C),
        ADD(dbeta, C);
    AS(READ, mean, VG_F32, -0.1, 0.1, B, R), AS(READ, rstd, VG_F32, 1.6, 1.8, B, R);
    a->activation = shape->activation;
    a->dropout = dropout(s, shape);
}

OPERANDS(residual_layernorm_forward)
{
    LETTERS_UNUSED;
    IN(x, B, R, C), IN(residual, B, R, C), IN(gamma, C), IN(beta, C), OUT(z, B, R, C), OUT(y, B, R, C);
    AS(WRITTEN, mean, VG_F32, 0, 1, B, R), AS(WRITTEN, rstd, VG_F32, 0, 1, B, R);
    a->epsilon = 1e-5f;
    a->dropout = dropout(s, shape);
}

/* Post-norm's: no dz. */
OPERANDS(residual_layernorm_backward)
{
    LETTERS_UNUSED;
    IN(dy, B, R, C), IN(z, B, R, C), IN(gamma, C), OUT(dresidual, B, R, C), OUT(dx, B, R, C);
    AS(READ, mean, VG_F32, -0.1, 0.1, B, R), AS(READ, rstd, VG_F32, 1.6, 1.8, B, R);
    ADD(dgamma, C), ADD(dbeta, C);
    a->dropout = dropout(s, shape);
}

OPERANDS(tokens_forward)
{
    LETTERS_UNUSED;
    IN(x, B, T, C), IN(cls, C), IN(position, 1 + T, C), OUT(out, B, 1 + T, C);
    a->before = a->after = dropout(s, shape);
}

OPERANDS(tokens_backward)
{
    LETTERS_UNUSED;
    IN(dout, B, 1 + T, C), OUT(dx, B, T, C), ADD(dcls, C);
    a->before = a->after = dropout(s, shape);
}

/* CLS and last read one token of each segment; the x that stands here is whole. */
OPERANDS(pool_forward)
{
    LETTERS_UNUSED;
    bool one = shape->pool == VG_POOL_CLS || shape->pool == VG_POOL_LAST;
    AS(one ? ROOM : READ, x, s->dtype, -1, 1, B, T, C), OUT(y, B, C);
    if (shape->pool == VG_POOL_MAX) AS(WRITTEN, chosen, VG_I32, 0, 1, B, C);
    if (one) s->cost.bytes += (double)(B * C) * (double)vg_dtype_size(s->dtype);
    a->pool = shape->pool;
}

OPERANDS(pool_backward)
{
    LETTERS_UNUSED;
    IN(dy, B, C), OUT(dx, B, T, C);
    if (shape->pool == VG_POOL_MAX) AS(READ, chosen, VG_I32, 1, (double)T, B, C);
    a->pool = shape->pool;
}

/* A corpus as long as the batch, from which segments are taken anywhere. */
OPERANDS(gather)
{
    LETTERS_UNUSED;
    AS(ROOM, signal, VG_F32, -1, 1, (B + 1) * T), AS(ROOM, start, VG_I64, 0, (double)(B * T), B);
    AS(ROOM, mean, VG_F64, -1, 1, B), AS(ROOM, scale, VG_F64, 0, 1, B);
    AS(READ, index, VG_I64, 0, (double)B, B), OUT(y, B, T);
    s->cost.bytes += (double)(B * T) * 4; /* of the signal, whatever is taken more than once */
}

/* The paper's masks. */
OPERANDS(mask_forward)
{
    LETTERS_UNUSED;
    IN(x, B, T), AS(READ, segment, VG_I64, 0, 100000, B), OUT(y, B, T), AS(WRITTEN, mask, VG_U8, 0, 1, B, T);
    a->seed = 1;
    a->start_probability = 0.0325f;
    a->span = 20;
    a->fill = VG_MASK_ZERO;
}

OPERANDS(mask_backward)
{
    LETTERS_UNUSED;
    IN(dy, B, T), AS(READ, mask, VG_U8, 0, 2, B, T), ADD(dlearned, 1);
}

OPERANDS(masked_mse)
{
    LETTERS_UNUSED;
    IN(prediction, B, T), IN(target, B, T), AS(READ, mask, VG_U8, 0, 2, B, T), OUT(dprediction, B, T);
    AS(ADDED_TO, stats, VG_F64, 0, 1, 2);
}

OPERANDS(bce)
{
    LETTERS_UNUSED;
    IN(logit, B), AS(READ, label, s->dtype, 0, 1, B), OUT(dlogit, B), AS(ADDED_TO, stats, VG_F64, 0, 1, 2);
}

OPERANDS(grad_norm)
{
    LETTERS_UNUSED;
    AS(READ, gradient, VG_F32, -1, 1, N), AS(ADDED_TO, sum, VG_F64, 0, 1, 1);
}

/* With clipping, and the rounded copy where the model computes in bf16. */
OPERANDS(adamw)
{
    LETTERS_UNUSED;
    AS(ADDED_TO, parameter, VG_F32, -1, 1, N), AS(READ, gradient, VG_F32, -1, 1, N);
    AS(ADDED_TO, m, VG_F32, -1, 1, N), AS(ADDED_TO, v, VG_F32, 0, 1, N);
    if (s->dtype == VG_BF16) OUT(copy, N);
    AS(READ, count, VG_F64, 1000, 2000, 1), AS(READ, norm_squared, VG_F64, 1, 2, 1);
    a->lr = 1e-6;
    a->beta1 = 0.9;
    a->beta2 = 0.999;
    a->epsilon = 1e-8;
    a->max_norm = 1;
    a->step = 1000;
}

/* An operation without its operands does not compile. */
static void lay_out(set *s, vg_kernel_id id, const vg_bench_shape *n)
{
    switch (id) {
#define VG_KERNEL(op, summary)                                                                               \
    case VG_KERNEL_##op:                                                                                     \
        operands_of_##op(s, n, s->args, n->B, n->T, n->R, n->C, n->I, n->O, n->K, n->H, n->D, n->N);         \
        break;
#include "kernels/kernels.def"
#undef VG_KERNEL
    case VG_KERNEL_COUNT:
        break;
    }
}

/* ---- Sets on the device -------------------------------------------------------------------------------- */

static size_t args_size(vg_kernel_id id)
{
    static const size_t sizes[] = {
#define VG_KERNEL(op, summary) sizeof(vg_##op##_args),
#include "kernels/kernels.def"
#undef VG_KERNEL
    };
    return sizes[id];
}

vg_bench_cost vg_bench_cost_of(vg_kernel_id id, const vg_bench_shape *shape, vg_dtype dtype)
{
    union {
#define VG_KERNEL(op, summary) vg_##op##_args op;
#include "kernels/kernels.def"
#undef VG_KERNEL
    } args;
    memset(&args, 0, sizeof args);
    set s = {.dtype = dtype, .args = &args};
    lay_out(&s, id, shape);
    return s.cost;
}

struct vg_bench_operands {
    vg_kernel_id id;
    int count;
    set *sets;
    char *pristine; /* what the first set's memory was, when calls spoil some of it */
};

static vg_status set_make(vg_kernels *kernels, vg_kernel_id id, const vg_bench_shape *shape, vg_dtype dtype,
                          set *s)
{
    void *memory;
    *s = (set){.kernels = kernels, .dtype = dtype, .args = calloc(1, args_size(id))};
    if (!s->args) return vg_fail(VG_ERR_MEMORY, "no memory for the arguments of %s", vg_kernel_name(id));
    lay_out(s, id, shape);
    VG_TRY(vg_device_allocate(kernels->device, s->size, &memory));
    s->memory = memory;
    for (int i = 0; i < s->count; i++) s->operands[i].view->data = s->memory + s->operands[i].offset;
    return VG_OK;
}

static void set_free(set *s)
{
    if (s->memory) vg_device_release(s->kernels->device, s->memory, s->size);
    free(s->args);
}

/* Random numbers into an operand: a block from the host, then that block over and over. */
static vg_status fill(vg_device *device, const operand *o, uint32_t number)
{
    enum { BLOCK = 1 << 18 };
    const vg_tensor *view = o->view;
    size_t size = vg_dtype_size(view->dtype), total = vg_tensor_bytes(view);
    size_t count = total / size < BLOCK ? total / size : BLOCK;
    vg_random random = vg_random_make(1, VG_SITE_INIT, number);
    char *block = malloc(count * size + 1), *to = view->data;
    if (!block) return vg_fail(VG_ERR_MEMORY, "no memory for random numbers");
    for (size_t i = 0; i < count; i++) {
        double value = o->low + (o->high - o->low) * vg_random_uniform(&random);
        switch (view->dtype) {
        case VG_F32:
            ((float *)(void *)block)[i] = (float)value;
            break;
        case VG_F64:
            ((double *)(void *)block)[i] = value;
            break;
        case VG_BF16:
            ((uint16_t *)(void *)block)[i] = vg_bf16_from_float((float)value);
            break;
        case VG_U8:
            ((uint8_t *)(void *)block)[i] = (uint8_t)value;
            break;
        case VG_I32:
            ((int32_t *)(void *)block)[i] = (int32_t)value;
            break;
        case VG_I64:
            ((int64_t *)(void *)block)[i] = (int64_t)value;
            break;
        }
    }
    size_t done = count * size;
    vg_status status = vg_device_copy(device, to, block, done, VG_COPY_TO_DEVICE);
    while (status == VG_OK && done < total) {
        size_t more = total - done < count * size ? total - done : count * size;
        status = vg_device_copy(device, to + done, to, more, VG_COPY_ON_DEVICE);
        done += more;
    }
    if (status == VG_OK) status = vg_device_synchronize(device);
    free(block);
    return status;
}

static vg_status set_fill(set *s)
{
    for (int i = 0; i < s->count; i++) VG_TRY(fill(s->kernels->device, &s->operands[i], (uint32_t)i));
    return VG_OK;
}

static bool spoils(const set *s)
{
    for (int i = 0; i < s->count; i++)
        if (s->operands[i].role == SPENT) return true;
    return false;
}

vg_status vg_bench_operands_create(vg_kernels *kernels, vg_kernel_id id, const vg_bench_shape *shape,
                                   vg_dtype dtype, size_t rotate, vg_bench_operands **out)
{
    vg_bench_operands *operands = calloc(1, sizeof *operands);
    if (operands) operands->sets = calloc(MAX_SETS, sizeof *operands->sets);
    if (!operands || !operands->sets) {
        free(operands);
        return vg_fail(VG_ERR_MEMORY, "no memory for the operands of %s", vg_kernel_name(id));
    }
    operands->id = id;
    size_t total = 0;
    vg_status status = VG_OK;
    while (status == VG_OK && (!operands->count || (total < rotate && operands->count < MAX_SETS))) {
        set *s = &operands->sets[operands->count++];
        status = set_make(kernels, id, shape, dtype, s);
        if (status == VG_OK && operands->count == 1)
            status = set_fill(s);
        else if (status == VG_OK)
            status = vg_device_copy(kernels->device, s->memory, operands->sets->memory, s->size,
                                    VG_COPY_ON_DEVICE);
        total += s->size;
    }
    if (status == VG_OK && spoils(operands->sets)) {
        void *pristine;
        status = vg_device_allocate(kernels->device, operands->sets->size, &pristine);
        if (status == VG_OK) {
            operands->pristine = pristine;
            status = vg_device_copy(kernels->device, pristine, operands->sets->memory, operands->sets->size,
                                    VG_COPY_ON_DEVICE);
        }
    }
    if (status != VG_OK) {
        vg_bench_operands_destroy(operands);
        return status;
    }
    *out = operands;
    return VG_OK;
}

void vg_bench_operands_destroy(vg_bench_operands *operands)
{
    if (!operands) return;
    if (operands->pristine)
        vg_device_release(operands->sets->kernels->device, operands->pristine, operands->sets->size);
    for (int i = 0; i < operands->count; i++) set_free(&operands->sets[i]);
    free(operands->sets);
    free(operands);
}

int vg_bench_operands_sets(const vg_bench_operands *operands)
{
    return operands->count;
}

vg_status vg_bench_operands_call(void *context, int64_t index)
{
    vg_bench_operands *operands = context;
    set *s = &operands->sets[index % operands->count];
    switch (operands->id) {
#define VG_KERNEL(op, summary)                                                                               \
    case VG_KERNEL_##op:                                                                                     \
        return s->kernels->table.op(s->kernels, s->args);
#include "kernels/kernels.def"
#undef VG_KERNEL
    case VG_KERNEL_COUNT:
        break;
    }
    return vg_fail(VG_ERR_NOT_FOUND, "no operation %d", (int)operands->id);
}

vg_status vg_bench_operands_restore(void *context)
{
    vg_bench_operands *operands = context;
    for (int k = 0; operands->pristine && k < operands->count; k++) {
        const set *s = &operands->sets[k];
        for (int i = 0; i < s->count; i++) {
            const operand *o = &s->operands[i];
            if (o->role != SPENT) continue;
            VG_TRY(vg_device_copy(s->kernels->device, o->view->data, operands->pristine + o->offset,
                                  vg_tensor_bytes(o->view), VG_COPY_ON_DEVICE));
        }
    }
    return VG_OK;
}
