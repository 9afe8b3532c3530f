/* What the files of the reference share. `ref` is the meaning of every operation: plain loops, no threads, no
 * blocking, sums in double whatever the type of the tensors. When a faster backend and `ref` disagree, `ref`
 * is read until it is seen to be right, and the other one is repaired.
 *
 * The tests compile these same files a second time with VG_REF_PLAIN: sums in float, in the order of the
 * loops, as anyone would write them first. The error of that twin is the yardstick for the other backends. */
#ifndef VAGUS_KERNELS_REF_REF_H
#define VAGUS_KERNELS_REF_REF_H

#include <stdlib.h>
#include <tgmath.h> /* exp, log, ... of float or double after the type of their argument */
#undef I            /* the imaginary unit; here it counts inputs */

#include "kernels/backend.h"
#include "kernels/check.h"

#ifdef VG_REF_PLAIN
typedef float real;
#define REF(op)     vg__plain_##op
#define REF_BACKEND vg__backend_plain
#define REF_NAME    "plain"
#else
typedef double real;
#define REF(op)     vg__ref_##op
#define REF_BACKEND vg__backend_ref
#define REF_NAME    "ref"
#endif

enum { REF_TYPES = VG__F32 | VG__F64 | VG__BF16 };

#define VG_KERNEL(op, summary) vg_status REF(op)(vg_kernels * kernels, const vg_##op##_args *args);
#include "kernels/kernels.def"
#undef VG_KERNEL

/* Element i of a tensor of any floating type. */
static inline real load(const vg_tensor *tensor, int64_t i)
{
    switch (tensor->dtype) {
    case VG_F64:
        return (real)((const double *)tensor->data)[i];
    case VG_BF16:
        return (real)vg_bf16_to_float(((const uint16_t *)tensor->data)[i]);
    default:
        return (real)((const float *)tensor->data)[i];
    }
}

static inline void store(const vg_tensor *tensor, int64_t i, real value)
{
    switch (tensor->dtype) {
    case VG_F64:
        ((double *)tensor->data)[i] = (double)value;
        break;
    case VG_BF16:
        ((uint16_t *)tensor->data)[i] = vg_bf16_from_float((float)value);
        break;
    default:
        ((float *)tensor->data)[i] = (float)value;
    }
}

/* A value between two matrix products as the second of them takes it: attention's weights and their
 * gradients. The reference keeps it as it is. So does the plain twin, except that in bf16 it rounds it: a
 * product of bf16 factors has no other way, whoever computes it. */
static inline real as_factor(const vg_tensor *of_product, real value)
{
#ifdef VG_REF_PLAIN
    if (of_product->dtype == VG_BF16) return vg_bf16_to_float(vg_bf16_from_float(value));
#else
    (void)of_product;
#endif
    return value;
}

/* For the gradients that are added to. */
static inline void add(const vg_tensor *tensor, int64_t i, real value)
{
    store(tensor, i, load(tensor, i) + value);
}

static inline bool present(const vg_tensor *tensor)
{
    return tensor->data != NULL;
}

static inline uint32_t segment_number(const vg_tensor *segment, int64_t b)
{
    return (uint32_t)((const int64_t *)segment->data)[b];
}

/* What dropout multiplies element e of segment b with: 0 or 1 / (1 - probability); 1 without dropout. */
static inline real dropout_factor(const vg_dropout *dropout, int64_t b, int64_t e)
{
    if (!vg__dropout_active(dropout)) return 1;
    vg_philox draw = vg_philox_draw(dropout->seed, (uint32_t)(e / VG_RANDOM_LANES), dropout->site,
                                    segment_number(&dropout->segment, b), dropout->epoch);
    bool kept = vg_random_half(draw, (int)(e % VG_RANDOM_LANES)) >= vg__dropout_threshold(dropout);
    return kept ? 1 / (1 - (real)dropout->probability) : 0;
}

/* The share of a standard normal variable below x. */
static inline real normal_below(real x)
{
    return (real)0.5 * erfc(-x * (real)0.7071067811865476);
}

static inline real activate(vg_activation activation, real x)
{
    switch (activation) {
    case VG_ACTIVATION_RELU:
        return x <= 0 ? 0 : x; /* what is not a number stays so */
    case VG_ACTIVATION_GELU:
        return x * normal_below(x);
    default:
        return x;
    }
}

/* The derivative at x; 0 for ReLU at 0. */
static inline real activation_slope(vg_activation activation, real x)
{
    switch (activation) {
    case VG_ACTIVATION_RELU:
        return x > 0;
    case VG_ACTIVATION_GELU:
        return normal_below(x) + x * (real)0.3989422804014327 * exp(-x * x / 2);
    default:
        return 1;
    }
}

/* How linear and conv1d end, and how their backward begins. `e` is the element within segment b, `i` the one
 * within the tensor. */
static inline void finish(const vg_tensor *y, const vg_tensor *pre, vg_activation activation,
                          const vg_dropout *dropout, int64_t b, int64_t e, int64_t i, real sum)
{
    if (present(pre)) store(pre, i, sum);
    store(y, i, activate(activation, sum) * dropout_factor(dropout, b, e));
}

/* Turns the gradient of y in place into that of the value before the activation. ReLU looks at y: a positive
 * one was positive before and has not been dropped. */
static inline void unfinish(const vg_tensor *dy, const vg_tensor *y, const vg_tensor *pre,
                            vg_activation activation, const vg_dropout *dropout)
{
    int64_t segments = dy->dims[0], elements = dy->dims[1] * dy->dims[2];
    for (int64_t b = 0; b < segments; b++)
        for (int64_t e = 0; e < elements; e++) {
            int64_t i = b * elements + e;
            real g = load(dy, i) * dropout_factor(dropout, b, e);
            if (activation == VG_ACTIVATION_RELU) g *= activation_slope(activation, load(y, i));
            if (activation == VG_ACTIVATION_GELU) g *= activation_slope(activation, load(pre, i));
            store(dy, i, g);
        }
}

#endif
