/* The matrix products of linear layers and convolutions by our own kernels, and the element-wise passes round
 * them for whoever multiplies by a library instead. Everything is queued on the backend's stream; pointers
 * are the device's. The entries (layers.cu) check the arguments, ask for scratch once, and choose
 * who multiplies:
 *
 *     forward   vg__own_forward                     or  library product with bias, then vg__cuda_finish
 *     backward  vg__cuda_unfinish (gradient before the activation, and db), then
 *               vg__own_dx, vg__own_dw              or  a library's
 *
 * Matrices are dense and row-major: x (B, T, I), y (B, T, O), w (O, K, I). A linear layer is the case K = 1:
 * its x is (rows, I) with a row stride of I elements, w (O, I), y (rows, O); B and T enter by their product
 * alone then, and the dropout knows the rows of a segment by itself (vg__finish.R). */
#ifndef VAGUS_KERNELS_CUDA_PRODUCTS_H
#define VAGUS_KERNELS_CUDA_PRODUCTS_H

#include "kernels/cuda/cuda.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Which form of a kernel multiplies; everyone but the tests lets the shape decide. */
typedef enum vg__tile { VG__TILE_BY_SHAPE, VG__TILE_SMALL, VG__TILE_LARGE } vg__tile;

typedef struct vg__product {
    const char *op; /* for messages */
    vg_dtype type;  /* F32 or BF16: x, w, y and the gradients of x and y; dw and db are F32 */
    bool tf32;      /* F32 only: factors rounded to tf32 for the tensor cores; else true float */
    int64_t B, T, I, O, K;
    vg__tile tile;
} vg__product;

/* y = dropout(activation(product + bias)), and the value before the activation kept in `pre`. */
typedef struct vg__finish {
    const void *bias; /* (O); NULL: none, or a library has added it */
    void *pre;        /* (rows, O), or NULL */
    vg_activation activation;
    const vg_dropout *dropout; /* over (R, O) of each segment; may be NULL */
    int64_t R;                 /* rows of a segment */
} vg__finish;

/* y = finish(sum over k, i of x[b, t + k - (K-1)/2, i] w[o, k, i]). */
VG_NODISCARD vg_status vg__own_forward(vg__cuda *cuda, const vg__product *product, const void *x,
                                       const void *w, const vg__finish *finish, void *y);

/* dx = (or, with `add`, +=) the same product backwards: sum over k, o of dy[b, t - k + (K-1)/2, o] w[o, k,
 * i]. dy is the gradient before the activation. */
VG_NODISCARD vg_status vg__own_dx(vg__cuda *cuda, const vg__product *product, const void *dy, const void *w,
                                  void *dx, bool add);

/* dw += sum over b, t of dy[b, t, o] x[b, t + k - (K-1)/2, i]. `scratch` holds vg__own_dw_scratch() bytes,
 * 16-byte aligned. */
VG_NODISCARD vg_status vg__own_dw(vg__cuda *cuda, const vg__product *product, const void *dy, const void *x,
                                  float *dw, void *scratch);
size_t vg__own_dw_scratch(const vg__product *product);

/* finish() in place over y (rows, O), for a product that a library has put there. Queues nothing when there
 * is nothing to do. */
VG_NODISCARD vg_status vg__cuda_finish(vg__cuda *cuda, const char *op, vg_dtype type, int64_t rows, int64_t O,
                                       const vg__finish *finish, void *y);

/* Turns dy (rows, O) in place into the gradient before activation and dropout (untouched when there are
 * neither), and adds its column sums to db (O). `y` for ReLU, finish->pre for GELU, as forward wrote them;
 * finish->bias is not looked at. `scratch` holds vg__cuda_unfinish_scratch() bytes, 16-byte aligned. */
VG_NODISCARD vg_status vg__cuda_unfinish(vg__cuda *cuda, const char *op, vg_dtype type, int64_t rows,
                                         int64_t O, const vg__finish *finish, const void *y, void *dy,
                                         float *db, void *scratch);
size_t vg__cuda_unfinish_scratch(int64_t rows, int64_t O);

#ifdef __cplusplus
}
#endif
#endif
