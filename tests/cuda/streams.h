/* Between the parts of the emulated runtime: work queued on streams, and CUDA's latest error. */
#ifndef VAGUS_TESTS_CUDA_STREAMS_H
#define VAGUS_TESTS_CUDA_STREAMS_H

#include <functional>

#include "tests/cuda/runtime.h"

namespace emu
{
/* Keeps an error for cudaGetLastError(), which forgets it. */
cudaError_t noted(cudaError_t code);

/* Is a stream capturing? Then what calls this is forbidden, and spoils the capture. */
bool forbidden();

/* Queued on the stream, or kept by the capture it is part of. What has not run whole is asked again later;
 * `none`: it waits for another process. In the end it took `ms` of emulated time. */
enum class Progress { whole, some, none };
cudaError_t queue(cudaStream_t stream, double ms, std::function<Progress()> run);

/* The same for work that waits for nobody. */
cudaError_t queue(cudaStream_t stream, std::function<void()> run);

/* Emulated time goes by. */
void spend(double ms);

int streams_held();
int events_held();
} // namespace emu

#endif
