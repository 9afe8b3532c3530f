#include "tests/cuda/memory.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <set>
#include <sys/mman.h>

#include "tests/cuda/machine.h"

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

namespace emu
{
namespace
{
const size_t DEVICE = (size_t)512 << 20;
enum { ALIGNMENT = 256, GUARD = 256 };
const unsigned char GUARD_BYTE = 0xC5;

char *device;
std::map<char *, size_t> allocations, pinned;
std::set<char *> unfilled; /* allocated since the device was last open */

size_t span(size_t bytes) /* an allocation with its guard */
{
    return (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT + GUARD;
}

UNSEEN void fill(char *at, size_t bytes)
{
    for (volatile char *p = at; bytes; bytes--) *p++ = (char)GUARD_BYTE;
}

UNSEEN bool holds_guard(const char *at, size_t bytes)
{
    for (const volatile char *p = at; bytes; bytes--)
        if (*p++ != (char)GUARD_BYTE) return false;
    return true;
}

size_t sum(const std::map<char *, size_t> &blocks)
{
    size_t bytes = 0;
    for (const auto &block : blocks) bytes += block.second;
    return bytes;
}

bool within(const std::map<char *, size_t> &blocks, const void *from, size_t bytes)
{
    auto next = blocks.upper_bound((char *)const_cast<void *>(from));
    if (next == blocks.begin()) return false;
    --next;
    return (const char *)from + bytes <= next->first + next->second;
}
} // namespace

void *device_allocate(size_t bytes)
{
    if (!device) {
        device = (char *)mmap(nullptr, DEVICE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (device == MAP_FAILED) abort();
        POISON(device, DEVICE);
    }
    if (bytes > device_limit() || device_bytes() + bytes > device_limit()) return nullptr;
    char *at = device; /* the first gap that is large enough */
    for (const auto &block : allocations) {
        if ((size_t)(block.first - at) >= span(bytes)) break;
        at = block.first + span(block.second);
    }
    if ((size_t)(at - device) + span(bytes) > DEVICE) return nullptr;
    allocations[at] = bytes;
    unfilled.insert(at);
    UNPOISON(at, bytes);
    return at;
}

bool device_release(void *memory)
{
    auto block = allocations.find((char *)memory);
    if (block == allocations.end()) return false;
    POISON(block->first, block->second);
    unfilled.erase(block->first);
    allocations.erase(block);
    return true;
}

bool device_holds(const void *from, size_t bytes)
{
    return within(allocations, from, bytes);
}

size_t device_bytes()
{
    return sum(allocations);
}

size_t device_limit()
{
    return std::min(emulated_machine_settings()->memory, DEVICE);
}

bool device_guards_stand()
{
    bool stand = true;
    for (const auto &block : allocations)
        stand = stand && holds_guard(block.first + block.second, span(block.second) - block.second);
    return stand;
}

void device_open()
{
    if (!device) return;
    mprotect(device, DEVICE, PROT_READ | PROT_WRITE);
    for (char *at : unfilled) {
        size_t bytes = allocations[at];
        memset(at, 0xff, bytes);
        fill(at + bytes, span(bytes) - bytes);
    }
    unfilled.clear();
}

void device_close()
{
    if (device) mprotect(device, DEVICE, PROT_NONE);
}

void *pinned_allocate(size_t bytes)
{
    char *memory = (char *)malloc(bytes ? bytes : 1);
    if (memory) pinned[memory] = bytes;
    return memory;
}

bool pinned_release(void *memory)
{
    if (!pinned.erase((char *)memory)) return false;
    free(memory);
    return true;
}

bool pinned_holds(const void *from, size_t bytes)
{
    return within(pinned, from, bytes);
}

size_t pinned_bytes()
{
    return sum(pinned);
}
} // namespace emu
