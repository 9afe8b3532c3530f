/* The operations a model is made of, and the contract of each. This header is all that models know of how
 * anything is computed; `ref` (plain loops in double) is the meaning of every operation, and a faster backend
 * is held to it by tests/kernels.
 *
 * Layout is token-major everywhere: (B, T, C), the convolutions included. Letters: B segments in the batch,
 * T tokens (or samples), C channels, H heads, D head size, N rows (usually B*T), I/O inputs and outputs of a
 * linear layer, K filter width.
 *
 * Gradients carry the prefix `d`. Gradients of parameters are ADDED to (+=); gradients of activations are
 * OVERWRITTEN (=) unless the comment says otherwise. An optional tensor is absent when its data is NULL.
 *
 * Types: activations, their gradients and the parameters share one floating type: F32 for every backend, BF16
 * for `cuda` and `ref`, F64 for `ref` (finite differences). Gradients of parameters (dw, db, dgamma, dbeta,
 * dcls, dlearned), statistics (mean, rstd, lse) and all that the optimiser works on (the master parameters
 * and its state) are F32; F64 when the activations are F64. Sums over a batch (loss, count, squared norm) are
 * F64.
 *
 * B, T, R, N and S may be zero: such a call does what an empty sum or an empty loop does (tokens of T = 0
 * still writes the CLS row). Feature counts (C, I, O, K, H, D) are at least 1. Buffers do not overlap unless
 * a comment allows it. Errors: ERR_SHAPE when shapes, types or numbers do not fit (kernels/check.h; always a
 * caller's bug, still a status, so that the tests can see it), ERR_UNSUPPORTED, ERR_MEMORY on first use of a
 * shape, ERR_DEVICE.
 *
 * Determinism: the same call gives the same bits for a given backend, machine and number of threads. */
#ifndef VAGUS_KERNELS_KERNELS_H
#define VAGUS_KERNELS_KERNELS_H

#include "core/device.h"
#include "core/random.h"
#include "core/tensor.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct vg_kernels vg_kernels;

/* GELU is the exact form x * Phi(x), as PyTorch's default. */
typedef enum vg_activation { VG_ACTIVATION_NONE, VG_ACTIVATION_RELU, VG_ACTIVATION_GELU } vg_activation;

/* Dropout as a function of the sample and not of the batch (core/random.h). Element e of a segment's own
 * tensor (its index with the batch dimension left out, row-major) is kept when half-word e % 8 of
 *     vg_philox_draw(seed, e / 8, site, segment[b], epoch)
 * is >= round(probability * 65536); kept values are scaled by 1 / (1 - probability). Probability 0, or a
 * NULL pointer to this struct, is the identity (then `segment` is not looked at). `segment` is (B) I64 on the
 * device; its low 32 bits enter the draw. At most 2^35 elements a segment, else ERR_SHAPE. */
typedef struct vg_dropout {
    float probability; /* [0, 1) */
    uint32_t site;     /* VG_SITE_DROPOUT + which dropout of the model */
    uint64_t seed;
    uint32_t epoch; /* a pass over the data; the trainer never uses a (segment, epoch) twice */
    vg_tensor segment;
} vg_dropout;

/* y = dropout(activation(convolution(x, w) + b)); y[b,t,o] sums x[b, t + k - (K-1)/2, i] * w[o,k,i], zero
 * outside [0, T). K is odd. */
typedef struct vg_conv1d_forward_args {
    vg_tensor x;   /* (B, T, I) */
    vg_tensor w;   /* (O, K, I) */
    vg_tensor b;   /* (O) */
    vg_tensor y;   /* (B, T, O), written */
    vg_tensor pre; /* (B, T, O), written: the value before the activation; needed by backward for GELU only,
                      else absent */
    vg_activation activation;
    const vg_dropout *dropout; /* over (T, O) */
} vg_conv1d_forward_args;

typedef struct vg_conv1d_backward_args {
    vg_tensor dy; /* (B, T, O), read, and used as scratch: undefined afterwards */
    vg_tensor x, w;
    vg_tensor y;      /* (B, T, O) as forward wrote it; needed for ReLU, else may be absent */
    vg_tensor pre;    /* needed for GELU */
    vg_tensor dx;     /* (B, T, I), optional */
    vg_tensor dw, db; /* added to */
    vg_activation activation;
    const vg_dropout *dropout;
} vg_conv1d_backward_args;

/* y = dropout(activation(x w^T + b)). The leading dimension of x is split as (B, R): R rows a segment. */
typedef struct vg_linear_forward_args {
    vg_tensor x;   /* (B, R, I) */
    vg_tensor w;   /* (O, I) */
    vg_tensor b;   /* (O) */
    vg_tensor y;   /* (B, R, O), written */
    vg_tensor pre; /* (B, R, O), written, for GELU only, else absent */
    vg_activation activation;
    const vg_dropout *dropout; /* over (R, O) */
} vg_linear_forward_args;

typedef struct vg_linear_backward_args {
    vg_tensor dy; /* (B, R, O), read, and used as scratch: undefined afterwards */
    vg_tensor x, w;
    vg_tensor y;      /* needed for ReLU */
    vg_tensor pre;    /* needed for GELU */
    vg_tensor dx;     /* (B, R, I), optional */
    vg_tensor dw, db; /* added to */
    vg_activation activation;
    const vg_dropout *dropout;
    bool add_to_dx; /* dx += instead of dx = */
} vg_linear_backward_args;

/* out[b,i,h,:] = sum_j P[b,h,i,j] v[b,j,h,:], P = dropout(softmax_j(scale * q.k)); every token sees every
 * token. lse[b,h,i] = log sum_j exp(scale * q_i.k_j), kept for backward. No (T, T) matrix is stored.
 * Dropout counts elements over (H, T, T) of a segment: e = (h * T + i) * T + j. */
typedef struct vg_attention_forward_args {
    vg_tensor qkv; /* (B, T, 3, H, D) */
    vg_tensor out; /* (B, T, H, D), written */
    vg_tensor lse; /* (B, H, T), written */
    float scale;   /* usually 1 / sqrt(D) */
    const vg_dropout *dropout;
} vg_attention_forward_args;

typedef struct vg_attention_backward_args {
    vg_tensor dout; /* (B, T, H, D) */
    vg_tensor qkv, out, lse;
    vg_tensor dqkv;  /* (B, T, 3, H, D), written */
    vg_tensor delta; /* (B, H, T), scratch of the type of lse: rowsum(dout * out) */
    float scale;
    const vg_dropout *dropout;
} vg_attention_backward_args;

/* y = dropout(activation((x - mean) * rstd * gamma + beta)), mean and variance (biased) over C,
 * rstd = 1 / sqrt(variance + epsilon). */
typedef struct vg_layernorm_forward_args {
    vg_tensor x;           /* (B, R, C) */
    vg_tensor gamma, beta; /* (C) */
    vg_tensor y;           /* (B, R, C), written; may be x itself when there is no backward to come */
    vg_tensor mean, rstd;  /* (B, R), written */
    float epsilon;
    vg_activation activation;
    const vg_dropout *dropout; /* over (R, C) */
} vg_layernorm_forward_args;

typedef struct vg_layernorm_backward_args {
    vg_tensor dy; /* (B, R, C) */
    vg_tensor x, gamma, beta, mean, rstd;
    vg_tensor dx;             /* (B, R, C), written; may be dy */
    vg_tensor dgamma, dbeta;  /* added to */
    vg_activation activation; /* its input is computed again from x */
    const vg_dropout *dropout;
} vg_layernorm_backward_args;

/* z = residual + dropout(x), y = layernorm(z). Post-norm uses y as the next stream; pre-norm uses z as the
 * stream and y as the next layer's input. */
typedef struct vg_residual_layernorm_forward_args {
    vg_tensor x, residual; /* (B, R, C) */
    vg_tensor gamma, beta; /* (C) */
    vg_tensor z;           /* (B, R, C), written; may be x */
    vg_tensor y;           /* (B, R, C), written */
    vg_tensor mean, rstd;  /* (B, R), written */
    float epsilon;
    const vg_dropout *dropout; /* over (R, C) */
} vg_residual_layernorm_forward_args;

/* g = dz + the layer norm's gradient at z; dresidual = g; dx = dropout's mask applied to g. */
typedef struct vg_residual_layernorm_backward_args {
    vg_tensor dy; /* (B, R, C) */
    vg_tensor dz; /* (B, R, C): what flows into z from elsewhere; optional (post-norm has none) */
    vg_tensor z, gamma, mean, rstd;
    vg_tensor dresidual;     /* (B, R, C), written; may be dy or dz */
    vg_tensor dx;            /* (B, R, C), written; may be the buffer of dresidual when there is no dropout */
    vg_tensor dgamma, dbeta; /* added to */
    const vg_dropout *dropout;
} vg_residual_layernorm_backward_args;

/* out[b,0] = after(cls + position[0]); out[b,1+t] = after(before(x[b,t]) + position[1+t]). */
typedef struct vg_tokens_forward_args {
    vg_tensor x;              /* (B, T, C) */
    vg_tensor cls;            /* (C) */
    vg_tensor position;       /* (1 + T, C), constant */
    vg_tensor out;            /* (B, 1 + T, C), written */
    const vg_dropout *before; /* over (T, C) */
    const vg_dropout *after;  /* over (1 + T, C) */
} vg_tokens_forward_args;

typedef struct vg_tokens_backward_args {
    vg_tensor dout; /* (B, 1 + T, C) */
    vg_tensor dx;   /* (B, T, C), written */
    vg_tensor dcls; /* (C), added to */
    const vg_dropout *before, *after;
} vg_tokens_backward_args;

typedef enum vg_pool { VG_POOL_CLS, VG_POOL_MEAN, VG_POOL_MAX, VG_POOL_LAST } vg_pool;

/* CLS takes token 0; mean and max go over tokens 1..T-1 of the T tokens (the samples); last is token T-1.
 * Mean and max need T >= 2, the others T >= 1 (ERR_SHAPE, unless the batch is empty). */
typedef struct vg_pool_forward_args {
    vg_tensor x;      /* (B, T, C) */
    vg_tensor y;      /* (B, C), written */
    vg_tensor chosen; /* (B, C) I32, written: the token of the maximum, the first of equals; max only, else
                         absent */
    vg_pool pool;
} vg_pool_forward_args;

typedef struct vg_pool_backward_args {
    vg_tensor dy; /* (B, C) */
    vg_tensor dx; /* (B, T, C), written, zero where nothing flows */
    vg_tensor chosen;
    vg_pool pool;
} vg_pool_backward_args;

/* y[b,t] = (signal[start[index[b]] + t] - mean[index[b]]) * scale[index[b]], computed in double and rounded
 * to F32 (to BF16 from there): the very bits that a loader of the host gives. A corpus that lies on the
 * device with its tables so needs no more than the numbers of a batch's segments. Nobody looks whether each
 * index is in [0, S) and each segment inside of the signal. */
typedef struct vg_gather_args {
    vg_tensor signal; /* (N) F32; F64 when y is */
    vg_tensor start;  /* (S) I64: each segment's first sample */
    vg_tensor mean;   /* (S) F64 */
    vg_tensor scale;  /* (S) F64 */
    vg_tensor index;  /* (B) I64: which segments */
    vg_tensor y;      /* (B, T), written */
} vg_gather_args;

typedef enum vg_mask_fill { VG_MASK_ZERO, VG_MASK_MEAN, VG_MASK_NOISE, VG_MASK_LEARNED } vg_mask_fill;

/* What happened to a sample. Everything but VISIBLE counts in the loss. */
enum { VG_MASK_VISIBLE = 0, VG_MASK_FILLED = 1, VG_MASK_RANDOM = 2, VG_MASK_KEPT = 3 };

/* Masked spans. Sample t of a segment starts a span when the unit value of word 0 of
 *     vg_philox_draw(seed, t, VG_SITE_MASK, segment[b], epoch)
 * is < start_probability; the span covers [t, t + span) cut at T; spans may overlap. A sample covered by
 * several belongs to the latest start. Word 1 of that start's draw, as a unit value u, decides the span's
 * fate: u < random_share: RANDOM, its samples become another sample of the same segment, number (word 2 of
 * the sample's own draw) mod T; u < random_share + keep_share: KEPT; else FILLED by `fill`: 0, the mean of
 * the segment's visible samples (0 when there are none), a standard normal draw (Box-Muller on the unit
 * values u, v of words 0, 1 of vg_philox_draw(seed, t, VG_SITE_MASK_NOISE, segment[b], epoch): sqrt(-2 log u)
 * * cos(2 pi v)), or the learned value. Unit values and shares are compared as doubles; samples are taken
 * from x as it came in. (Vazquez-Rodriguez et al. 2022: start probability 0.0325, span 20, zeros; whether
 * starts are drawn one by one or as an exact share is not known: each sample alone is our reading.) */
typedef struct vg_mask_forward_args {
    vg_tensor x;       /* (B, T) */
    vg_tensor segment; /* (B) I64 */
    vg_tensor y;       /* (B, T), written; not x */
    vg_tensor mask;    /* (B, T) U8, written: VG_MASK_* */
    vg_tensor learned; /* (1); for VG_MASK_LEARNED */
    uint64_t seed;
    uint32_t epoch;
    float start_probability;
    int32_t span; /* >= 1 */
    vg_mask_fill fill;
    float random_share, keep_share; /* BERT: 0.1 and 0.1; the paper: 0 and 0 */
} vg_mask_forward_args;

typedef struct vg_mask_backward_args {
    vg_tensor dy;       /* (B, T) */
    vg_tensor mask;     /* (B, T) */
    vg_tensor dlearned; /* (1), added to: the sum of dy over the FILLED samples */
} vg_mask_backward_args;

/* Both losses give sums, not means: the optimiser divides by the count (adamw's `count`), so that
 * micro-batches and ranks add up to exactly one large batch. stats[0] += sum over masked samples of
 * (prediction - target)^2, stats[1] += their number; dprediction = 2 * (prediction - target) on masked
 * samples, 0 elsewhere. */
typedef struct vg_masked_mse_args {
    vg_tensor prediction, target; /* (B, T) */
    vg_tensor mask;               /* (B, T) U8, nonzero = counts */
    vg_tensor dprediction;        /* (B, T), written; optional; may be prediction */
    vg_tensor stats;              /* (2) F64, added to */
} vg_masked_mse_args;

/* stats[0] += sum of softplus(logit) - label * logit, stats[1] += B; dlogit = sigmoid(logit) - label.
 * Written so that it is finite for every finite logit. */
typedef struct vg_bce_args {
    vg_tensor logit, label; /* (B); labels in [0, 1] */
    vg_tensor dlogit;       /* (B), written; optional; may be logit */
    vg_tensor stats;        /* (2) F64, added to */
} vg_bce_args;

typedef struct vg_grad_norm_args {
    vg_tensor gradient; /* (N), F32 or F64 */
    vg_tensor sum;      /* (1) F64, added to: the sum of squares, accumulated in double */
} vg_grad_norm_args;

/* One step over a flat range. With g the stored gradient (a sum over samples, see above):
 *     g = g / count[0]; norm = sqrt(norm_squared[0]) / count[0]
 *     g = g * max_norm / (norm + 1e-6) when max_norm > 0 and norm > max_norm (PyTorch's clip_grad_norm_)
 *     L2:        g = g + weight_decay * p          (decoupled = false: Adam, Kingma & Ba 2015)
 *     decoupled: p = p - lr * weight_decay * p     (AdamW, Loshchilov & Hutter 2019)
 *     m = beta1 m + (1 - beta1) g;  v = beta2 v + (1 - beta2) g^2
 *     p = p - lr * (m / (1 - beta1^step)) / (sqrt(v / (1 - beta2^step)) + epsilon)
 * A count of 0 leaves everything as it is (a batch with nothing masked). Counts and norms are read on the
 * device, so that a step needs no wait for the host. */
typedef struct vg_adamw_args {
    vg_tensor parameter, gradient; /* (N), F32 or F64 */
    vg_tensor m, v;                /* (N) */
    vg_tensor copy;                /* (N) BF16, written: the new parameters, rounded; optional */
    vg_tensor count;               /* (1) F64; absent = 1 */
    vg_tensor norm_squared;        /* (1) F64; may be absent when max_norm is 0 */
    double lr, beta1, beta2, epsilon, weight_decay, max_norm;
    int64_t step; /* from 1 */
    bool decoupled;
} vg_adamw_args;

typedef struct vg_kernel_table {
#define VG_KERNEL(op, summary) vg_status (*op)(vg_kernels * kernels, const vg_##op##_args *args);
#include "kernels/kernels.def"
#undef VG_KERNEL
} vg_kernel_table;

typedef enum vg_kernel_id {
#define VG_KERNEL(op, summary) VG_KERNEL_##op,
#include "kernels/kernels.def"
#undef VG_KERNEL
    VG_KERNEL_COUNT
} vg_kernel_id;

/* A backend at work on a device: the table, who serves each entry, and the backend's own state (primitive
 * caches, workspaces). One thread at a time. Callers write `kernels->table.linear_forward(kernels, &args)`,
 * or VG_RUN below. */
struct vg_kernels {
    vg_kernel_table table;
    const char *served_by[VG_KERNEL_COUNT]; /* the backend of each operation */
    const char *backend;
    vg_device *device; /* borrowed */
    bool tf32;         /* the owner's choice: F32 matrix products may round their factors to tf32 (cuda) */
    const char *notes; /* what a person may want to know of the backend: the libraries it found; NULL: none */
    void *state;       /* the backend's */
    void (*destroy_state)(void *state);
};

#define VG_RUN(kernels, name, ...) ((kernels)->table.name((kernels), &(vg_##name##_args){__VA_ARGS__}))

/* A device by the name that experiments use: "cpu", "cuda" (the first GPU), "cuda:1", or "auto": the first
 * GPU when there is one that this build has code for and that answers, else the host. ERR_DEVICE says what is
 * missing (no GPU, no driver, a driver too old, an architecture not built for, a build without CUDA) and what
 * to do. */
VG_NODISCARD VG_API vg_status vg_device_open(const char *name, vg_device **out);

/* CUDA as this program was built with it and as this machine has it, for `doctor`. */
typedef struct vg_cuda_report {
    bool built;             /* false: `problem` says so, and nothing else is known */
    char version[16];       /* of the CUDA it was built with: "13.0" */
    char architectures[64]; /* of GPUs that there is machine code for, by compute capability: "8.0 9.0" */
    char driver[16];        /* the newest CUDA that the driver knows; "": there is no driver */
    int gpus;               /* that this process can see */
    char problem[512];      /* why there are none; "" when there are */
    char cublaslt[600];     /* "13.1.0 from FILE", or why it is not there; "" where nothing is built */
    char cudnn[600];
} vg_cuda_report;
VG_API void vg_cuda_look(vg_cuda_report *out);

/* One of them, from 0. ERR_DEVICE says why it cannot be used; `out` holds what is known of it all the same.
 */
typedef struct vg_gpu {
    char name[64];
    int compute; /* 10 * major + minor of its compute capability */
    int multiprocessors;
    uint64_t memory; /* bytes, those in use included */
} vg_gpu;
VG_NODISCARD VG_API vg_status vg_gpu_look(int number, vg_gpu *out);

/* Which backends were built, the fastest of a device first: registry.c is the only place that knows them.
 * "auto" picks the first. `strict` turns an operation that falls back to a slower backend into
 * ERR_UNSUPPORTED naming it. */
VG_NODISCARD VG_API vg_status vg_kernels_create(vg_device *device, const char *backend, bool strict,
                                                vg_kernels **out);
VG_API void vg_kernels_destroy(vg_kernels *kernels); /* NULL is fine */
VG_API const char *vg_kernel_name(vg_kernel_id id);
VG_API const char *vg_kernel_summary(vg_kernel_id id);

/* Backends by index, for `doctor` and the tests; NULL past the end. */
VG_API const char *vg_kernels_backend(int index);

/* The number of threads the host backends use, 0 = what OpenMP finds. Results of reductions do not depend on
 * it in our own kernels; oneDNN's may. */
VG_API void vg_kernels_set_threads(int threads);
VG_API int vg_kernels_threads(void);

#ifdef __cplusplus
}
#endif
#endif
