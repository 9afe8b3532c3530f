/* The calls of CUDA's runtime that the project makes. Work is queued and runs only when the host
 * synchronises, work of different streams in a random order that the streams and their events allow: a
 * forgotten synchronisation then gives a wrong result and not a lucky one. */
#ifndef VAGUS_TESTS_CUDA_RUNTIME_H
#define VAGUS_TESTS_CUDA_RUNTIME_H

#include <cstddef>
#include <functional>

#include "tests/cuda/cuda_types.h"

extern "C" {
cudaError_t cudaMalloc(void **out, size_t bytes);
cudaError_t cudaFree(void *memory); /* waits for the device */
cudaError_t cudaMallocHost(void **out, size_t bytes);
cudaError_t cudaFreeHost(void *memory);
cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream);
cudaError_t cudaMemsetAsync(void *memory, int value, size_t bytes, cudaStream_t stream);
cudaError_t cudaStreamCreate(cudaStream_t *out);
cudaError_t cudaStreamDestroy(cudaStream_t stream);
cudaError_t cudaStreamSynchronize(cudaStream_t stream);
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned flags);
cudaError_t cudaEventCreate(cudaEvent_t *out);
cudaError_t cudaEventDestroy(cudaEvent_t event);
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream);
cudaError_t cudaEventQuery(cudaEvent_t event);
cudaError_t cudaEventSynchronize(cudaEvent_t event);
cudaError_t cudaDeviceSynchronize(void);
cudaError_t cudaGetLastError(void);
const char *cudaGetErrorString(cudaError_t error);
}

namespace emu
{
cudaError_t queue_kernel(dim3 grid, dim3 block, size_t shared_bytes, cudaStream_t stream,
                         std::function<void()> body);
}

#endif
