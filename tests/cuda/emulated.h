/* The project's CUDA kernels behind the project's own interfaces, on the emulator: a device "cuda" and a
 * table of the operations that have a kernel. C on the outside, since the tests are. */
#ifndef VAGUS_TESTS_CUDA_EMULATED_H
#define VAGUS_TESTS_CUDA_EMULATED_H

#include "kernels/kernels.h"

#ifdef __cplusplus
extern "C" {
#endif

vg_device *emulated_device_create(void);

/* Entries without a kernel are NULL. Destroyed by vg_kernels_destroy(), before the device. */
vg_kernels *emulated_kernels_create(vg_device *device);

/* The order of threads, blocks and streams from now on: 0 as numbered, else a random one. */
void emulated_set_order(uint64_t order);

/* What went wrong on the emulated device, "" if nothing did; then forgotten. */
const char *emulated_take_failure(void);

struct CUstream_st *emulated_stream(const vg_kernels *kernels);

#ifdef __cplusplus
}
#endif
#endif
