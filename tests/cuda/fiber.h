/* A fiber is a stack and a place in a program; exactly one runs, and it names its successor. The emulator
 * makes one of each CUDA thread. AddressSanitizer is told of every change of stack and ThreadSanitizer of
 * every change of fiber, so that both see the kernels as if each CUDA thread were a thread. */
#ifndef VAGUS_TESTS_CUDA_FIBER_H
#define VAGUS_TESTS_CUDA_FIBER_H

namespace emu
{
struct Fiber;

/* Starts in `entry`, which must never return, at the first switch to it. Dies of memory exhaustion. */
Fiber *fiber_create(void (*entry)());
void fiber_destroy(Fiber *fiber); /* not the running one */

/* The caller's own thread as a fiber, to be switched back to. */
Fiber *fiber_of_thread();

void fiber_switch(Fiber *from, Fiber *to); /* `from` is the one that runs */

/* What ThreadSanitizer is told: whatever happened before release(p) in one fiber happens before whatever
 * follows acquire(p) in another. Nothing without it. */
void happens_release(void *p);
void happens_acquire(void *p);
} // namespace emu

#endif
