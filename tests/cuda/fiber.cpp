/* Compiled without ThreadSanitizer even when everything else has it (as block.cpp and warp.cpp): what the
 * emulator does with its own tables is not the kernels' doing. */
#include "tests/cuda/fiber.h"

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <sys/mman.h>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#ifdef EMU_TSAN
#include <sanitizer/tsan_interface.h>
#endif
/* EMU_UCONTEXT: the portable way, to try it on a processor that has a quicker one. */
#if defined(__x86_64__) && !defined(EMU_UCONTEXT)
#define OWN_SWITCH 1
#else
#define OWN_SWITCH 0
#include <ucontext.h>
#endif

namespace emu
{
namespace
{
enum { STACK = 256 * 1024, PAGE = 4096 };
}

struct Fiber {
    char *stack; /* lowest usable byte; below it lies a page that may not be touched */
    size_t size;
    void (*entry)();
#if OWN_SWITCH
    void *top; /* of the stack while not running */
#else
    ucontext_t context;
#endif
    void *fake_stack; /* AddressSanitizer's */
    void *tsan;
};

#if OWN_SWITCH
/* Saves what the calling convention lets a function expect to survive a call (rbx, rbp, r12 to r15) on the
 * old stack, notes its top at *rdi, takes rsi as the new stack and restores the same from there.
 * swapcontext() does this too, with two system calls, which would be most of the tests' time. */
extern "C" void vagus_emu_swap_stacks(void **old_top, void *new_top);
asm(".text\n"
    ".globl vagus_emu_swap_stacks\n"
    ".type vagus_emu_swap_stacks, @function\n"
    "vagus_emu_swap_stacks:\n"
    "    push %r15\n    push %r14\n    push %r13\n    push %r12\n    push %rbx\n    push %rbp\n"
    "    mov %rsp, (%rdi)\n"
    "    mov %rsi, %rsp\n"
    "    pop %rbp\n    pop %rbx\n    pop %r12\n    pop %r13\n    pop %r14\n    pop %r15\n"
    "    ret\n"
    ".size vagus_emu_swap_stacks, . - vagus_emu_swap_stacks\n");
#endif

namespace
{
Fiber thread_fiber, *running_from;

void arrived(Fiber *self)
{
    (void)self;
#ifdef __SANITIZE_ADDRESS__
    const void *bottom;
    size_t size;
    __sanitizer_finish_switch_fiber(self->fake_stack, &bottom, &size);
    if (running_from == &thread_fiber && !thread_fiber.stack) { /* now the thread's own stack is known */
        thread_fiber.stack = (char *)const_cast<void *>(bottom);
        thread_fiber.size = size;
    }
#endif
}

Fiber *starting;

void first_steps()
{
    Fiber *self = starting;
    arrived(self);
    self->entry();
    abort();
}
} // namespace

Fiber *fiber_create(void (*entry)())
{
    void *memory = mmap(nullptr, STACK + PAGE, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED || mprotect(memory, PAGE, PROT_NONE)) {
        fprintf(stderr, "emu: no memory for the stack of a CUDA thread\n");
        abort();
    }
    Fiber *fiber = new Fiber();
    fiber->stack = (char *)memory + PAGE;
    fiber->size = STACK;
    fiber->entry = entry;
#if OWN_SWITCH
    /* As if first_steps had been interrupted before its first instruction: a return address for it, so that
     * the stack is aligned as after a call, then itself, then six registers. */
    void **top = reinterpret_cast<void **>(fiber->stack + STACK);
    *--top = nullptr;
    *--top = reinterpret_cast<void *>(first_steps);
    for (int i = 0; i < 6; i++) *--top = nullptr;
    fiber->top = top;
#else
    getcontext(&fiber->context);
    fiber->context.uc_stack.ss_sp = fiber->stack;
    fiber->context.uc_stack.ss_size = STACK;
    makecontext(&fiber->context, first_steps, 0);
#endif
#ifdef EMU_TSAN
    fiber->tsan = __tsan_create_fiber(0);
#endif
    return fiber;
}

void fiber_destroy(Fiber *fiber)
{
#ifdef EMU_TSAN
    __tsan_destroy_fiber(fiber->tsan);
#endif
#ifdef __SANITIZE_ADDRESS__
    ASAN_UNPOISON_MEMORY_REGION(fiber->stack, fiber->size);
#endif
    munmap(fiber->stack - PAGE, fiber->size + PAGE);
    delete fiber;
}

Fiber *fiber_of_thread()
{
#ifdef EMU_TSAN
    if (!thread_fiber.tsan) thread_fiber.tsan = __tsan_get_current_fiber();
#endif
    return &thread_fiber;
}

void fiber_switch(Fiber *from, Fiber *to)
{
    if (from == to) return;
    running_from = from;
    starting = to;
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_start_switch_fiber(&from->fake_stack, to->stack, to->size);
#endif
#ifdef EMU_TSAN
    __tsan_switch_to_fiber(to->tsan, __tsan_switch_to_fiber_no_sync);
#endif
#if OWN_SWITCH
    vagus_emu_swap_stacks(&from->top, to->top);
#else
    swapcontext(&from->context, &to->context);
#endif
    arrived(from);
}

void happens_release(void *p)
{
    (void)p;
#ifdef EMU_TSAN
    __tsan_release(p);
#endif
}

void happens_acquire(void *p)
{
    (void)p;
#ifdef EMU_TSAN
    __tsan_acquire(p);
#endif
}
} // namespace emu
