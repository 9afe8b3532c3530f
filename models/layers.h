/* The layers that architectures and heads are put together from. Each has plan (declare parameters, plan its
 * buffers), forward and backward; a layer keeps what its backward needs except its input, which the caller
 * hands in again. Private to models/. */
#ifndef VAGUS_MODELS_LAYERS_H
#define VAGUS_MODELS_LAYERS_H

#include "models/plan.h"

/* y = dropout(activation(x w^T + b)), (B, R, I) -> (B, R, O). */
typedef struct vg_linear {
    vg_parameter *weight, *bias; /* (O, I), (O) */
    vg_activation activation;
    vg_dropout_site dropout;
    vg_tensor y, pre; /* (B, R, O); pre for GELU only */
} vg_linear;

/* How a linear layer starts: PyTorch's nn.Linear; the packed and the output projection of its
 * nn.MultiheadAttention. */
typedef enum vg_linear_init { VG_LINEAR_PLAIN, VG_LINEAR_QKV, VG_LINEAR_ATTENTION_OUT } vg_linear_init;

/* "<name>.weight" and "<name>.bias"; its output is visible as `name`. */
VG_NODISCARD vg_status vg__linear_plan(vg_plan *plan, vg_linear *layer, const char *name, int64_t rows,
                                       int64_t in, int64_t out, vg_activation activation, double dropout,
                                       vg_linear_init init);
VG_NODISCARD vg_status vg__linear_forward(const vg_linear *layer, const vg_run *run, vg_tensor x);
/* dy is used up. dx may be absent; with `add`, dx += instead of dx =. */
VG_NODISCARD vg_status vg__linear_backward(const vg_linear *layer, const vg_run *run, vg_tensor x,
                                           vg_tensor dy, vg_tensor dx, bool add);
void vg__linear_done(vg_plan *plan, const vg_linear *layer); /* forward reads its output no more */

/* The parameters and statistics of a layer norm over (B, R, C). */
typedef struct vg_norm {
    vg_parameter *weight, *bias; /* (C) */
    vg_tensor mean, rstd;        /* (B, R) */
    float epsilon;
} vg_norm;
VG_NODISCARD vg_status vg__norm_plan(vg_plan *plan, vg_norm *norm, const char *name, int64_t rows,
                                     int64_t width, double epsilon);

/* A convolution, a layer norm when it has one, an activation: (B, T, I) -> (B, T, O). */
typedef struct vg_conv {
    vg_parameter *weight, *bias; /* (O, K, I), (O) */
    vg_activation activation;
    bool normed;
    vg_norm norm;
    vg_tensor conv; /* (B, T, O): the convolution's output when a norm follows */
    vg_tensor pre;  /* (B, T, O): for GELU without a norm */
    vg_tensor y;    /* (B, T, O) */
} vg_conv;
/* "<prefix>.conv.<index>", "<prefix>.conv_norm.<index>". */
VG_NODISCARD vg_status vg__conv_plan(vg_plan *plan, vg_conv *layer, const char *prefix, int index,
                                     int64_t time, int64_t in, int64_t out, int64_t width,
                                     vg_activation activation, bool normed, double epsilon);
VG_NODISCARD vg_status vg__conv_forward(const vg_conv *layer, const vg_run *run, vg_tensor x);
/* dy is used up; dx may be absent. */
VG_NODISCARD vg_status vg__conv_backward(const vg_conv *layer, const vg_run *run, vg_tensor x, vg_tensor dy,
                                         vg_tensor dx);
void vg__conv_done(vg_plan *plan, const vg_conv *layer);

#endif
