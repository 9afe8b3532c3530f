/* Convolutions (products with K > 1 and I > 1) by cuDNN 9, which is opened with dlopen: forward with bias and
 * ReLU, and dx; see cudnn.c for what is asked of it, and why not dw. Private to kernels/cuda. */
#ifndef VAGUS_KERNELS_CUDA_CUDNN_H
#define VAGUS_KERNELS_CUDA_CUDNN_H

#include "kernels/cuda/multiply.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct vg__cudnn vg__cudnn;

/* ERR_NOT_FOUND without the library (or in a build without its headers), ERR_DEVICE when it does not start.
 * `device` NULL: the thread's GPU. Else a GPU that need not be there, by cuDNN's own JSON description of its
 * properties: then nothing can be run, only plans be made, for the tests. */
VG_NODISCARD vg_status vg__cudnn_create(const char *device, vg__cudnn **out);
void vg__cudnn_destroy(vg__cudnn *cudnn); /* NULL is fine */

/* Whether cuDNN has a plan for this product that honours our rules, and the workspace it wants. The first
 * call of a shape makes the plan (which may compile) and remembers it, with a line in the log when there is
 * none. */
bool vg__cudnn_takes(vg__cudnn *cudnn, const vg__multiply *multiply, size_t *workspace);

/* Queues a product that vg__cudnn_takes(), all of whose pointers are 16-byte aligned. */
VG_NODISCARD vg_status vg__cudnn_run(vg__cudnn *cudnn, const vg__multiply *multiply, void *workspace,
                                     vg__cuda_stream stream);

/* "cuDNN 9.19.0 from PATH", and 91900. */
const char *vg__cudnn_describe(const vg__cudnn *cudnn);
size_t vg__cudnn_version(const vg__cudnn *cudnn);

#ifdef __cplusplus
}
#endif
#endif
