/* Device memory: one range of addresses that the processor may touch only while queued work runs, so that a
 * host that follows a device pointer crashes as it should. Each allocation is followed by a guard, starts as
 * not-a-number, and is poisoned for AddressSanitizer outside of its bytes. */
#ifndef VAGUS_TESTS_CUDA_MEMORY_H
#define VAGUS_TESTS_CUDA_MEMORY_H

#include <cstddef>

namespace emu
{
void *device_allocate(size_t bytes);               /* 256-byte aligned; NULL when the device is full */
bool device_release(void *memory);                 /* false: no such allocation */
bool device_holds(const void *from, size_t bytes); /* within one allocation */
bool device_guards_stand();                        /* between open and close */
size_t device_bytes();                             /* allocated now */
size_t device_limit();                             /* what fits at most */

/* Work begins and ends. */
void device_open();
void device_close();

/* Page-locked host memory: asynchronous copies read and write it when they run, not when they are queued. */
void *pinned_allocate(size_t bytes);
bool pinned_release(void *memory);
bool pinned_holds(const void *from, size_t bytes);
size_t pinned_bytes();
} // namespace emu

#endif
