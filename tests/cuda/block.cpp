#include "tests/cuda/block.h"

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>
#include <vector>
#include <sys/mman.h>

#include "tests/cuda/fiber.h"
#include "tests/cuda/warp.h"

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#define POISON(p, n)   __asan_poison_memory_region(p, n)
#define UNPOISON(p, n) __asan_unpoison_memory_region(p, n)
#define UNSEEN         __attribute__((no_sanitize_address))
#else
#define POISON(p, n)   ((void)(p), (void)(n))
#define UNPOISON(p, n) ((void)(p), (void)(n))
#define UNSEEN
#endif

#ifdef EMU_TSAN
extern "C" void __tsan_read16(void *), __tsan_write16(void *); /* what an instrumented file calls */
#define READS16(p)  __tsan_read16(const_cast<void *>(p))
#define WRITES16(p) __tsan_write16(p)
#else
#define READS16(p)  ((void)(p))
#define WRITES16(p) ((void)(p))
#endif

uint3 threadIdx, blockIdx;
dim3 blockDim, gridDim;

namespace emu
{
namespace
{
enum { MAX_THREADS = 1024, BARRIERS = 16, SHARED = 256 * 1024, MAX_SHARED = 227 * 1024, GUARD = 64 };
const unsigned char GUARD_BYTE = 0xC5;

enum State { READY, WAITING, GONE };

struct Copy {
    void *to;
    const void *from;
    bool valid;
    int group;
};

struct Thread {
    Fiber *fiber;
    uint3 index;
    int number;
    State state;
    const char *what, *file; /* what it waits in, and where */
    int line;
    std::vector<Copy> copies; /* under way */
    int committed;            /* groups of them */
};

struct Barrier {
    int arrived, wanted;
    const char *file;
    int line;
    int waiting[MAX_THREADS];
    char sync[2]; /* for ThreadSanitizer, one each for odd and even uses */
    unsigned uses;
};

struct Array {
    const void *tag;
    size_t offset, bytes;
};

/* Everything about the block that runs; one, since one block runs at a time. Plain arrays: growing a vector
 * on one fiber and reading it on another would look like a race to ThreadSanitizer, whose view of malloc and
 * memmove cannot be switched off. */
Thread threads[MAX_THREADS];
Warp warps[MAX_THREADS / 32];
Barrier barriers[BARRIERS];
int ready[MAX_THREADS], ready_count, thread_count, live_count;
Thread *running;
const std::function<void()> *body;
bool broken, stuck; /* the block is to be given up; because nobody can go on */
char *shared;
Array arrays[64];
int array_count;
size_t shared_used;
char message[2400];
uint64_t random_state;
char start_sync, end_sync, stop_sync; /* of all threads before they ran, after they left, where they stand */

Thread *pick()
{
    if (!ready_count) return nullptr;
    int i = random_state ? (int)random_below((unsigned)ready_count) : 0;
    Thread *next = &threads[ready[i]];
    if (random_state)
        ready[i] = ready[--ready_count];
    else { /* first come, first served */
        ready_count--;
        for (int k = 0; k < ready_count; k++) ready[k] = ready[k + 1];
    }
    return next;
}

void make_ready(Thread *thread)
{
    thread->state = READY;
    ready[ready_count++] = thread->number;
}

void go_to(Thread *next)
{
    Fiber *from = running ? running->fiber : fiber_of_thread();
    running = next;
    if (next) threadIdx = next->index;
    fiber_switch(from, next ? next->fiber : fiber_of_thread());
}

/* Fibers are left for good when a kernel fails: they may own nothing, hence these are no std::string. */
void keep(const char *text)
{
    if (*message) return;
    for (size_t i = 0; i + 1 < sizeof message && text[i]; i++) {
        message[i] = text[i];
        message[i + 1] = 0;
    }
}

/* Nobody can go on: the thread of the host says who waits where. */
[[noreturn]] void deadlock()
{
    stuck = broken = true;
    happens_release(&stop_sync);
    go_to(nullptr);
    abort();
}

void tell_deadlock()
{
    std::map<std::string, int> places;
    for (int i = 0; i < thread_count; i++) {
        const Thread &thread = threads[i];
        char place[400] = "have left the kernel";
        if (thread.state != GONE)
            snprintf(place, sizeof place, "wait in %s at %s:%d", thread.what, thread.file, thread.line);
        places[place]++;
    }
    std::string all;
    for (const auto &place : places) all += " " + std::to_string(place.second) + " " + place.first + ";";
    fail_host("block (%u, %u, %u): no thread of the block can go on:%s", blockIdx.x, blockIdx.y, blockIdx.z,
              all.c_str());
}

void leave()
{
    if (!running->copies.empty()) fail_thread("leaves the kernel with cp.async copies not waited for");
    running->state = GONE;
    warp_leave(warp(), lane());
    live_count--;
    happens_release(&end_sync);
    Thread *next = pick();
    if (!next && live_count) deadlock();
    go_to(next);
}

/* Life of a fiber: the same thread number of one block after another. */
void live()
{
    for (;;) {
        happens_acquire(&start_sync);
        (*body)();
        leave();
    }
}

/* Byte by byte and unseen by the sanitizers: this is the emulator's writing, not the kernel's. */
UNSEEN void fill(char *at, size_t bytes, unsigned char value)
{
    for (volatile char *p = at; bytes; bytes--) *p++ = (char)value;
}

UNSEEN bool holds(const char *at, size_t bytes, unsigned char value)
{
    for (const volatile char *p = at; bytes; bytes--)
        if (*p++ != (char)value) return false;
    return true;
}

/* An array of the block's shared memory between two guards, full of not-a-number. */
void *new_array(const void *tag, size_t bytes)
{
    size_t offset = (shared_used + 127) / 128 * 128, end = offset + bytes;
    if (array_count == (int)(sizeof arrays / sizeof *arrays) || end + GUARD + 128 > SHARED)
        fail_thread("more shared memory than a block has");
    UNPOISON(shared + offset, bytes);
    fill(shared + offset, bytes, 0xff);
    fill(shared + end, GUARD, GUARD_BYTE);
    arrays[array_count++] = {tag, offset, bytes};
    shared_used = end + GUARD;
    return shared + offset;
}

void begin_shared(size_t dynamic_bytes)
{
    if (!shared) {
        shared = (char *)mmap(nullptr, SHARED, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (shared == MAP_FAILED) abort();
    }
    POISON(shared, SHARED);
    array_count = 0;
    fill(shared, GUARD, GUARD_BYTE);
    shared_used = GUARD;
    new_array(nullptr, dynamic_bytes);
}

void end_shared()
{
    bool intact = holds(shared, GUARD, GUARD_BYTE);
    for (int i = 0; i < array_count; i++)
        intact = intact && holds(shared + arrays[i].offset + arrays[i].bytes, GUARD, GUARD_BYTE);
    if (!intact)
        fail_host("block (%u, %u, %u) wrote outside an array of its shared memory", blockIdx.x, blockIdx.y,
                  blockIdx.z);
}

/* After a failure the fibers stand somewhere inside the kernel; they are never resumed. */
void give_up_block()
{
    for (Thread &thread : threads) {
        if (thread.fiber) fiber_destroy(thread.fiber);
        thread.fiber = nullptr;
        thread.copies.clear();
    }
    for (Barrier &b : barriers) b.arrived = 0;
    ready_count = 0;
    broken = stuck = false;
}

void run_block(size_t shared_bytes)
{
    begin_shared(shared_bytes);
    live_count = thread_count;
    ready_count = 0;
    for (int i = 0; i < thread_count; i++) {
        Thread &thread = threads[i];
        if (!thread.fiber) thread.fiber = fiber_create(live);
        unsigned n = (unsigned)i;
        thread.number = i;
        thread.index = {n % blockDim.x, n / blockDim.x % blockDim.y, n / blockDim.x / blockDim.y};
        thread.committed = 0;
        make_ready(&thread);
    }
    for (int w = 0; w * 32 < thread_count; w++) warp_begin(&warps[w], std::min(32, thread_count - 32 * w));
    happens_release(&start_sync);
    go_to(pick());
    happens_acquire(&end_sync);
    if (broken) {
        happens_acquire(&stop_sync);
        if (stuck)
            tell_deadlock();
        else
            fprintf(stderr, "emu: %s\n", message);
        give_up_block();
    } else
        end_shared();
}

void land(const Copy &copy)
{
    WRITES16(copy.to);
    if (copy.valid) READS16(copy.from);
    if (copy.valid)
        memcpy(copy.to, copy.from, 16);
    else
        memset(copy.to, 0, 16);
}
} // namespace

void set_seed(uint64_t seed)
{
    random_state = seed ? seed * 0x9E3779B97F4A7C15u | 1 : 0;
}

unsigned random_below(unsigned bound)
{
    if (!random_state || bound < 2) return 0;
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (unsigned)((random_state >> 32) * bound >> 32);
}

void fail_thread(const char *format, ...)
{
    char text[2000];
    int used = snprintf(text, sizeof text, "block (%u, %u, %u), thread (%u, %u, %u): ", blockIdx.x,
                        blockIdx.y, blockIdx.z, threadIdx.x, threadIdx.y, threadIdx.z);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text + used, sizeof text - (size_t)used, format, arguments);
    va_end(arguments);
    keep(text);
    happens_release(&stop_sync);
    if (!running) abort(); /* a kernel's word outside of a kernel */
    broken = true;
    go_to(nullptr);
    abort();
}

void fail_host(const char *format, ...)
{
    char text[2000];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (!*message) fprintf(stderr, "emu: %s\n", text);
    keep(text);
}

const char *failure()
{
    return message;
}

void forget_failure()
{
    *message = 0;
}

bool run_grid(dim3 grid, dim3 block, size_t shared_bytes, const std::function<void()> &function)
{
    gridDim = grid;
    blockDim = block;
    thread_count = (int)(block.x * block.y * block.z);
    body = &function;
    std::vector<unsigned> order(grid.x * grid.y * grid.z);
    for (unsigned i = 0; i < order.size(); i++) order[i] = i;
    for (unsigned i = (unsigned)order.size(); random_state && i > 1; i--)
        std::swap(order[i - 1], order[random_below(i)]);
    for (unsigned number : order) {
        blockIdx = {number % grid.x, number / grid.x % grid.y, number / grid.x / grid.y};
        run_block(shared_bytes);
        if (*message) return false;
    }
    return true;
}

void barrier(int id, int count, const char *file, int line)
{
    if (id < 0 || id >= BARRIERS || count % 32 || count > thread_count)
        fail_thread("barrier %d of %d threads at %s:%d", id, count, file, line);
    Barrier &b = barriers[id];
    /* Strict: a thread that left the kernel is missed, though hardware forgives that. */
    int wanted = count ? count : thread_count;
    if (!b.arrived) {
        b.wanted = wanted;
        b.file = file;
        b.line = line;
    } else if (b.wanted != wanted || b.line != line || strcmp(b.file, file))
        fail_thread("comes to the barrier at %s:%d while others of the block wait at %s:%d", file, line,
                    b.file, b.line);
    char *sync = &b.sync[b.uses & 1];
    happens_release(sync);
    b.waiting[b.arrived++] = running->number;
    if (b.arrived == wanted) {
        for (int i = 0; i < wanted - 1; i++) make_ready(&threads[b.waiting[i]]);
        b.arrived = 0;
        b.uses++;
        let_others();
    } else
        wait_here("a barrier", file, line);
    happens_acquire(sync);
}

void *shared_array(const void *tag, size_t bytes)
{
    for (int i = 1; i < array_count; i++)
        if (arrays[i].tag == tag) return shared + arrays[i].offset;
    return new_array(tag, bytes);
}

void *dynamic_shared()
{
    return shared + arrays[0].offset;
}

/* Until it has landed the destination is not-a-number: a reader who does not wait sees that, and so does one
 * who still read what was there before. The writing is the thread's own, as ThreadSanitizer sees it. */
void cp_async(void *to, const void *from, bool valid, const char *file, int line)
{
    if ((uintptr_t)to % 16 || (uintptr_t)from % 16)
        fail_thread("cp.async at %s:%d: an address is not a multiple of 16", file, line);
    WRITES16(to);
    memset(to, 0xff, 16);
    running->copies.push_back({to, from, valid, running->committed});
}

void cp_async_commit()
{
    running->committed++;
}

void cp_async_wait(int groups)
{
    std::vector<Copy> &copies = running->copies;
    size_t kept = 0;
    for (const Copy &copy : copies) {
        if (copy.group < running->committed - groups)
            land(copy);
        else
            copies[kept++] = copy;
    }
    copies.resize(kept);
}

int lane()
{
    return running->number & 31;
}

Warp *warp()
{
    if (!running) fail_thread("an operation of a warp outside of a kernel");
    return &warps[running->number >> 5];
}

void wait_here(const char *what, const char *file, int line)
{
    running->state = WAITING;
    running->what = what;
    running->file = file;
    running->line = line;
    happens_release(&stop_sync);
    Thread *next = pick();
    if (!next) deadlock();
    go_to(next);
}

void wake_lane(int which)
{
    make_ready(&threads[(running->number & ~31) + which]);
}

void let_others()
{
    if (!random_state) return;
    make_ready(running);
    Thread *next = pick();
    happens_release(&stop_sync);
    if (next == running)
        next->state = READY;
    else
        go_to(next);
}
} // namespace emu
