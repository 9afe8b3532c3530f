/* One block at a time: its threads, the order they run in, barriers, shared memory and cp.async. A thread
 * runs until it meets a barrier or an operation of its warp; then another one is picked, at random by a seed
 * or in order. A block in which nobody can go on is a failure that says who waits where. */
#ifndef VAGUS_TESTS_CUDA_BLOCK_H
#define VAGUS_TESTS_CUDA_BLOCK_H

#include <cstddef>
#include <functional>

#include "tests/cuda/cuda_types.h"

/* Last parameters of what a kernel calls, so that a complaint names the kernel's own line. */
#define EMU_SITE const char *file = __builtin_FILE(), int line = __builtin_LINE()

extern uint3 threadIdx, blockIdx;
extern dim3 blockDim, gridDim;

namespace emu
{
struct Warp;

/* The order of threads, blocks, streams. 0: as numbered. */
void set_seed(uint64_t seed);
unsigned random_below(unsigned bound); /* in the seed's sequence; 0 when the seed is 0 */

/* A failure ends the grid, is printed once, and stays until it is taken: every later synchronisation returns
 * cudaErrorLaunchFailure, as on a device. */
[[noreturn]] void fail_thread(const char *format, ...) __attribute__((format(printf, 1, 2)));
void fail_host(const char *format, ...) __attribute__((format(printf, 1, 2)));
const char *failure(); /* "" when there is none */
void forget_failure(); /* for the tests that provoke one */

bool run_grid(dim3 grid, dim3 block, size_t shared_bytes, const std::function<void()> &body);

/* Called by a kernel's threads. */
void barrier(int id, int threads, const char *file, int line);
void *shared_array(const void *tag, size_t bytes);
void *dynamic_shared();
void cp_async(void *shared, const void *global, bool valid, const char *file, int line);
void cp_async_commit();
void cp_async_wait(int groups);

/* For warp.cpp: the running thread's lane and warp, waiting and waking. */
int lane();
Warp *warp();
void wait_here(const char *what, const char *file, int line); /* until wake_lane() */
void wake_lane(int lane);                                     /* of the running thread's warp */
void let_others(); /* perhaps: a point where the order of threads may change */
} // namespace emu

#endif
