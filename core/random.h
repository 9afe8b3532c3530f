/* Counter-based random numbers: Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3",
 * SC'11). A number is a function of its key and counter and of nothing else, so shuffling, masks and dropout
 * do not depend on batch layout, thread, rank or world size, and a resumed run draws what it would have
 * drawn.
 *
 * The project's convention for a draw that belongs to a training sample:
 *   key     = the experiment's seed (64 bits)
 *   counter = { position / VG_RANDOM_LANES, site, segment, epoch }
 * `position` counts elements inside the segment's tensor, `site` tells the draws of one segment apart (which
 * layer, which purpose: VG_SITE_* plus an index), `segment` is the segment's number in the corpus. */
#ifndef VAGUS_CORE_RANDOM_H
#define VAGUS_CORE_RANDOM_H

#include <stdint.h>

#include "core/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct vg_philox {
    uint32_t word[4];
} vg_philox;

/* Purposes, so that two draws never share a counter. A layer adds its index to the low 16 bits. */
enum {
    VG_SITE_SHUFFLE = 0x10000,
    VG_SITE_MASK = 0x20000,
    VG_SITE_MASK_NOISE = 0x30000,
    VG_SITE_DROPOUT = 0x40000,
    VG_SITE_INIT = 0x50000,
    VG_SITE_SPLIT = 0x60000,
    VG_SITE_SYNTHETIC = 0x70000,
    VG_SITE_SEARCH = 0x80000,
    VG_SITE_BOOTSTRAP = 0x90000,
};

/* The function itself, inline because kernels call it per element. */
static inline vg_philox vg_philox_draw(uint64_t seed, uint32_t c0, uint32_t c1, uint32_t c2, uint32_t c3)
{
    uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
    for (int round = 0; round < 10; round++) {
        uint64_t p0 = (uint64_t)0xD2511F53u * c0, p1 = (uint64_t)0xCD9E8D57u * c2;
        uint32_t n0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0, n2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c1 = (uint32_t)p1;
        c3 = (uint32_t)p0;
        c0 = n0;
        c2 = n2;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    return (vg_philox){{c0, c1, c2, c3}};
}

/* A word as a number in (0, 1), never 0 or 1: (word + 0.5) / 2^32. */
static inline double vg_random_unit(uint32_t word)
{
    return ((double)word + 0.5) * (1.0 / 4294967296.0);
}

/* Dropout spends 16 bits an element, eight elements a draw: element i of a segment's tensor uses
 * half-word i % 8 of the draw with counter i / 8. It is kept when the half-word is >= threshold. The
 * probability is rounded to 1/65536. */
enum { VG_RANDOM_LANES = 8 };
static inline uint32_t vg_random_half(vg_philox draw, int lane)
{
    return (draw.word[lane >> 1] >> (16 * (lane & 1))) & 0xffffu;
}

/* A stream for host code that draws in sequence (initialisation, splits, synthetic signals). */
typedef struct vg_random {
    uint64_t seed;
    uint32_t site, stream, index;
    uint32_t used; /* words taken from `draw` */
    vg_philox draw;
} vg_random;

VG_API vg_random vg_random_make(uint64_t seed, uint32_t site, uint32_t stream);
VG_API uint32_t vg_random_word(vg_random *random);
VG_API double vg_random_uniform(vg_random *random);                 /* in (0, 1) */
VG_API double vg_random_normal(vg_random *random);                  /* mean 0, variance 1 (Box-Muller) */
VG_API uint64_t vg_random_below(vg_random *random, uint64_t bound); /* in [0, bound), unbiased; bound > 0 */

/* Fisher-Yates over n indices already in `items`. */
VG_API void vg_random_shuffle(vg_random *random, int64_t *items, int64_t n);

#ifdef __cplusplus
}
#endif
#endif
