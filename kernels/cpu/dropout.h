/* Dropout's coins by the row: the Philox draws of core/random.h, many at a time, as packed bits. */
#ifndef VAGUS_KERNELS_CPU_DROPOUT_H
#define VAGUS_KERNELS_CPU_DROPOUT_H

#include "kernels/check.h"
#include "kernels/cpu/vector.h"

/* What a kernel needs of a vg_dropout: nothing to do when !active. */
typedef struct vg__coins {
    bool active;
    uint32_t site, epoch, threshold;
    uint64_t seed;
    const int64_t *segment;
    float scale; /* of what is kept */
} vg__coins;

static inline vg__coins vg__coins_of(const vg_dropout *dropout)
{
    if (!vg__dropout_active(dropout)) return (vg__coins){.scale = 1};
    return (vg__coins){
        .active = true,
        .site = dropout->site,
        .epoch = dropout->epoch,
        .threshold = vg__dropout_threshold(dropout),
        .seed = dropout->seed,
        .segment = dropout->segment.data,
        .scale = (float)(1.0 / (1.0 - (double)dropout->probability)),
    };
}

/* Bytes that vg__coins_toss() may write for n elements. */
#define VG__COIN_BYTES(n) (((size_t)(n) + 7) / 64 * 8 + 24)

/* Tosses for elements [first, first + n) of the segment in place b of the batch. Bit (first % 8 + i) of
 * `bits` is set where element first + i is kept. */
void vg__coins_toss(const vg__coins *coins, int64_t b, uint64_t first, int64_t n, uint8_t *bits);

/* `value` where the LANES coins from place `at` of such bits say so, else 0. */
static inline vecf vg__coins_keep(const uint8_t *bits, uint64_t at, vecf value)
{
    uint32_t word;
    memcpy(&word, bits + (at >> 3), sizeof word);
    return vec_keep_bits(word >> (at & 7), value);
}

#endif
