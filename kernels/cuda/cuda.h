/* The launchers of our own CUDA kernels, to be called from C. Each checks its arguments against the contract
 * of kernels.h, queues its kernels on the stream and returns; ERR_DEVICE when a launch is refused. All
 * pointers are the device's, those of the arguments' structs and `segment` included. Types: F32 and BF16;
 * whatever is summed is summed in float, and in double over a batch, in an order that depends on the shapes
 * alone: the same call gives the same bits on every run and every GPU of one architecture.
 *
 * Not yet run on a GPU: compiled for sm_80, sm_90 and sm_100, and run by the tests on the emulator. */
#ifndef VAGUS_KERNELS_CUDA_CUDA_H
#define VAGUS_KERNELS_CUDA_CUDA_H

#include "kernels/kernels.h"

#ifdef __cplusplus
extern "C" {
#endif

/* cudaStream_t, for those who do not know CUDA. */
typedef struct CUstream_st *vg__cuda_stream;

/* Device memory that a call may use until its stream has passed it; 16-byte aligned. Calls on one stream may
 * share one. Asserted to be large enough. */
typedef struct vg__cuda_scratch {
    void *memory;
    size_t bytes;
} vg__cuda_scratch;

/* What the sums over a batch (losses, norm) need, and both backward passes of layer norm. */
enum { VG__CUDA_SUM_SCRATCH = 16 * 1024 };
size_t vg__cuda_layernorm_scratch(int64_t rows, int64_t C);

VG_NODISCARD vg_status vg__cuda_layernorm_forward(const vg_layernorm_forward_args *args,
                                                  vg__cuda_stream stream);
VG_NODISCARD vg_status vg__cuda_layernorm_backward(const vg_layernorm_backward_args *args,
                                                   vg__cuda_scratch scratch, vg__cuda_stream stream);
VG_NODISCARD vg_status vg__cuda_residual_layernorm_forward(const vg_residual_layernorm_forward_args *args,
                                                           vg__cuda_stream stream);
VG_NODISCARD vg_status vg__cuda_residual_layernorm_backward(const vg_residual_layernorm_backward_args *args,
                                                            vg__cuda_scratch scratch, vg__cuda_stream stream);

VG_NODISCARD vg_status vg__cuda_masked_mse(const vg_masked_mse_args *args, vg__cuda_scratch scratch,
                                           vg__cuda_stream stream);
VG_NODISCARD vg_status vg__cuda_bce(const vg_bce_args *args, vg__cuda_stream stream);

VG_NODISCARD vg_status vg__cuda_grad_norm(const vg_grad_norm_args *args, vg__cuda_scratch scratch,
                                          vg__cuda_stream stream);

/* `parameter` may be the F32 master of a bf16 model: then `gradient` may be BF16 (or F32), and `copy`, (N)
 * BF16, takes the new parameters rounded. `copy` is optional. */
VG_NODISCARD vg_status vg__cuda_adamw(const vg_adamw_args *args, const vg_tensor *copy,
                                      vg__cuda_stream stream);

#ifdef __cplusplus
}
#endif
#endif
