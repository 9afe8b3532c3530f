/* Linear layers (products with K = 1) by cuBLASLt, which is opened with dlopen; see cublaslt.c for what is
 * asked of it. Private to kernels/cuda. */
#ifndef VAGUS_KERNELS_CUDA_CUBLASLT_H
#define VAGUS_KERNELS_CUDA_CUBLASLT_H

#include "kernels/cuda/multiply.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct vg__cublaslt vg__cublaslt;

/* ERR_NOT_FOUND without the library (or in a build without its header), ERR_DEVICE when it does not start. */
VG_NODISCARD vg_status vg__cublaslt_create(vg__cublaslt **out);
void vg__cublaslt_destroy(vg__cublaslt *cublaslt); /* NULL is fine */

/* Whether the library takes this product, and the workspace it wants. Looks at shape and type, not at
 * pointers but for `bias` being there. The first call of a shape asks the library and remembers the answer,
 * with a line in the log when it is no. */
bool vg__cublaslt_takes(vg__cublaslt *cublaslt, const vg__multiply *multiply, size_t *workspace);

/* Queues a product that vg__cublaslt_takes(), all of whose pointers are 16-byte aligned. */
VG_NODISCARD vg_status vg__cublaslt_run(vg__cublaslt *cublaslt, const vg__multiply *multiply, void *workspace,
                                        vg__cuda_stream stream);

/* "cuBLASLt 13.1.0 from PATH". */
const char *vg__cublaslt_describe(const vg__cublaslt *cublaslt);

#ifdef __cplusplus
}
#endif
#endif
