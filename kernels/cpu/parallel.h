/* Work shared among threads: the one place of this project that knows OpenMP, and the one policy on how many
 * threads there are (vg_kernels_set_threads). */
#ifndef VAGUS_KERNELS_CPU_PARALLEL_H
#define VAGUS_KERNELS_CPU_PARALLEL_H

#include <stdint.h>

/* One block of work: items [begin, end). `thread` is in [0, vg__parallel_threads()), for scratch that belongs
 * to a thread while a block runs. */
typedef void vg__parallel_body(void *context, int64_t begin, int64_t end, int thread);

/* Cuts n items into blocks of `grain` (the last may be shorter) and calls `body` once for each, on any thread
 * in any order. The cut depends on n and grain only: a body that writes the partial sum of its block to place
 * begin / grain, added up afterwards in block order, gives the same bits on any number of threads.
 * A call from inside a body runs in its own thread alone. */
void vg__parallel_for(int64_t n, int64_t grain, vg__parallel_body *body, void *context);

/* How many threads a vg__parallel_for started now would use, at least 1. */
int vg__parallel_threads(void);

/* Makes the calling thread's own OpenMP regions, which are those of oneDNN, use as many threads as ours. To
 * be called before every call that runs one: OpenMP keeps this number for each thread that asks, so setting
 * it once would miss a caller on another thread. */
void vg__parallel_lend(void);

#endif
