/* The C interface of CUDA's runtime, for the files that need no more of CUDA than that; in the tests' build
 * the emulator's (tests/cuda/README.md). A call that CUDA has and tests/cuda/runtime.h lacks is added there.
 */
#ifndef VAGUS_KERNELS_CUDA_RUNTIME_H
#define VAGUS_KERNELS_CUDA_RUNTIME_H

#ifdef VAGUS_CUDA_EMULATED
#include "tests/cuda/runtime.h"
#else
#include <cuda_runtime_api.h>
#endif

#endif
