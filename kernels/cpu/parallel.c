#include "kernels/cpu/parallel.h"

#include <omp.h>
#include <stdatomic.h>

#include "kernels/kernels.h"

/* gcc's ThreadSanitizer does not see how libgomp's threads wait for each other (futexes inside an
 * uninstrumented library), so it would call every result of a parallel region a race. Under it, this file is
 * compiled without instrumentation and tells it what is true: everything before the fork happens before every
 * body, and every body before what follows the join. What bodies do to each other stays visible to it. */
#ifdef VAGUS_TSAN
void __tsan_acquire(void *address);
void __tsan_release(void *address);
static char fork_token, join_token;
#define HAPPENED_BEFORE(token) __tsan_release(&(token))
#define HAPPENS_AFTER(token)   __tsan_acquire(&(token))
#else
#define HAPPENED_BEFORE(token) ((void)0)
#define HAPPENS_AFTER(token)   ((void)0)
#endif

static _Atomic int wanted; /* 0: what OpenMP finds */
static _Atomic int found; /* its answer, asked once: vg__parallel_lend() changes what it would answer later */

void vg_kernels_set_threads(int threads)
{
    (void)vg__parallel_threads(); /* asks OpenMP before the first answer is overwritten */
    atomic_store(&wanted, threads > 0 ? threads : 0);
    vg__parallel_lend();
}

int vg_kernels_threads(void)
{
    return vg__parallel_threads();
}

int vg__parallel_threads(void)
{
    int threads = atomic_load(&wanted);
    if (threads > 0) return threads;
    threads = atomic_load(&found);
    if (threads == 0) {
        threads = omp_get_max_threads();
        atomic_store(&found, threads);
    }
    return threads;
}

void vg__parallel_lend(void)
{
    omp_set_num_threads(vg__parallel_threads());
}

void vg__parallel_for(int64_t n, int64_t grain, vg__parallel_body *body, void *context)
{
    if (n <= 0) return;
    if (grain < 1) grain = 1;
    int64_t blocks = (n - 1) / grain + 1;
    int threads = vg__parallel_threads();
    if (threads > blocks) threads = (int)blocks;
    if (threads == 1 || omp_in_parallel()) {
        for (int64_t block = 0; block < blocks; block++) {
            int64_t begin = block * grain;
            body(context, begin, n - begin < grain ? n : begin + grain, 0);
        }
        return;
    }
    HAPPENED_BEFORE(fork_token);
#pragma omp parallel num_threads(threads)
    {
        HAPPENS_AFTER(fork_token);
        int thread = omp_get_thread_num();
        /* Dynamic: on a shared machine one of the threads is always the slower one. */
#pragma omp for schedule(dynamic, 1) nowait
        for (int64_t block = 0; block < blocks; block++) {
            int64_t begin = block * grain;
            body(context, begin, n - begin < grain ? n : begin + grain, thread);
        }
        HAPPENED_BEFORE(join_token);
    }
    HAPPENS_AFTER(join_token);
}
