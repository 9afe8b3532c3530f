/* The parts of oneDNN this backend uses, behind plain pointers: matrix products and convolutions. Only
 * onednn.c sees dnnl.h. */
#ifndef VAGUS_KERNELS_CPU_ONEDNN_H
#define VAGUS_KERNELS_CPU_ONEDNN_H

#include <stdbool.h>
#include <stdint.h>

#include "core/status.h"

typedef struct vg__onednn vg__onednn;

VG_NODISCARD vg_status vg__onednn_create(vg__onednn **out);
void vg__onednn_destroy(vg__onednn *onednn); /* NULL is fine */

/* C (m x n, row-major) = op(A) op(B) + beta C; op transposes where asked. */
VG_NODISCARD vg_status vg__onednn_sgemm(bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k,
                                        const float *a, const float *b, float beta, float *c);

/* y (rows, outputs) = x (rows, inputs) w^T + b, w being (outputs, inputs). */
VG_NODISCARD vg_status vg__onednn_linear(vg__onednn *onednn, int64_t rows, int64_t inputs, int64_t outputs,
                                         const float *x, const float *w, const float *b, float *y);

typedef struct vg__onednn_conv {
    int64_t batch, length, inputs, outputs, width; /* B T I O K */
} vg__onednn_conv;

/* y (B, T, O) = conv(x (B, T, I), w (O, K, I)) + b (O); dx = its gradient; dw += its gradient. */
VG_NODISCARD vg_status vg__onednn_conv_forward(vg__onednn *onednn, vg__onednn_conv shape, const float *x,
                                               const float *w, const float *b, float *y);
VG_NODISCARD vg_status vg__onednn_conv_dx(vg__onednn *onednn, vg__onednn_conv shape, const float *dy,
                                          const float *w, float *dx);
VG_NODISCARD vg_status vg__onednn_conv_dw(vg__onednn *onednn, vg__onednn_conv shape, const float *x,
                                          const float *dy, float *dw);

#endif
