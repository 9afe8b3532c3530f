/* The backend "cuda": the entries of its table and what they share. Every entry checks its arguments against
 * the contract of kernels.h, queues its kernels on the stream and returns; ERR_DEVICE when a launch is
 * refused. All pointers are the device's, those in the arguments' structs and `segment` included. Types: F32
 * and BF16; whatever is summed is summed in float, and in double over a batch, in an order that depends on
 * the shapes alone: the same call gives the same bits on every run and every GPU of one architecture.
 *
 * Not yet run on a GPU: compiled for sm_80 to sm_100, and run by the tests on the emulator. */
#ifndef VAGUS_KERNELS_CUDA_CUDA_H
#define VAGUS_KERNELS_CUDA_CUDA_H

#include "kernels/kernels.h"

#ifdef __cplusplus
extern "C" {
#endif

/* cudaStream_t, for those who do not know CUDA. */
typedef struct CUstream_st *vg__cuda_stream;

/* The state of the backend: kernels->state. */
typedef struct vg__cuda vg__cuda;
struct vg__cuda {
    vg__cuda_stream stream;
    int multiprocessors;
    int compute; /* 10 * major + minor of the compute capability */

    /* Device memory that a call may use until its stream has passed it: `bytes`, 256-byte aligned, with
     * anything in it. One piece a call; the next call gets the same. Grows at the first use of a shape and
     * then stays. */
    vg_status (*scratch)(vg__cuda *cuda, size_t bytes, void **out);
    void *scratch_memory;
    size_t scratch_bytes;
    vg_device *device;

    struct vg__multipliers *multipliers; /* libraries for matrix products (multiply.h); NULL: none */
};

static inline vg__cuda *vg__cuda_of(vg_kernels *kernels)
{
    return (vg__cuda *)kernels->state;
}

#define VG_KERNEL(op, summary)                                                                               \
    VG_NODISCARD vg_status vg__cuda_##op(vg_kernels *kernels, const vg_##op##_args *args);
#include "kernels/kernels.def"
#undef VG_KERNEL

#ifdef __cplusplus
}
#endif
#endif
