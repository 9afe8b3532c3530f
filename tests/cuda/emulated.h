/* The project's CUDA device and backend on the emulator, opened for tests of the kernels. */
#ifndef VAGUS_TESTS_CUDA_EMULATED_H
#define VAGUS_TESTS_CUDA_EMULATED_H

#include "kernels/kernels.h"
#include "tests/cuda/machine.h"

#ifdef __cplusplus
extern "C" {
#endif

vg_device *emulated_device_create(void);

/* The backend with scratch of exactly the bytes that a call may use, and new for each call: what is read
 * before it was written is not-a-number, and what is written past the end meets the guard. Destroyed by
 * vg_kernels_destroy(), before the device. */
vg_kernels *emulated_kernels_create(vg_device *device);

struct CUstream_st *emulated_stream(const vg_kernels *kernels);

#ifdef __cplusplus
}
#endif
#endif
