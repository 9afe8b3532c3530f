/* A number by which to tell things apart, FNV-1a: equal bytes have equal numbers, and others hardly ever do.
 * It stands up to chance, not to anybody who looks for a pair. */
#ifndef VAGUS_CORE_HASH_H
#define VAGUS_CORE_HASH_H

#include <stddef.h>
#include <stdint.h>

#define VG_HASH_NOTHING UINT64_C(14695981039346656037)

/* The number of these bytes behind those that `hash` is of; VG_HASH_NOTHING where they are the first. */
static inline uint64_t vg_hash_add(uint64_t hash, const void *bytes, size_t count)
{
    const unsigned char *at = (const unsigned char *)bytes;
    for (size_t i = 0; i < count; i++) hash = (hash ^ at[i]) * UINT64_C(1099511628211);
    return hash;
}

#endif
