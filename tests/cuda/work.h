/* For stand-ins of libraries, which queue work as a library does. Without CUDA's types, so that a file may
 * include this beside the library's own header. */
#ifndef VAGUS_TESTS_CUDA_WORK_H
#define VAGUS_TESTS_CUDA_WORK_H

#include <functional>

struct CUstream_st;

namespace emu
{
/* Runs `run` when the stream comes to it, with device memory open; it takes `ms` of the emulated time that
 * events tell (a kernel takes 1). False when there is no such stream. */
bool queue_work(CUstream_st *stream, double ms, std::function<void()> run);

/* The same for work that may have to wait for another process: it is asked again until it returns true. */
bool queue_waiting_work(CUstream_st *stream, double ms, std::function<bool()> run);

/* Whether what the stream is given now is kept for a graph, and not run. */
bool is_captured(CUstream_st *stream);

/* The GPU that this process has chosen. */
int current_device();
} // namespace emu

#endif
