/* Small matrix products of our own, for what a library's matrix product cannot be handed: blocks inside
 * attention, and the overlapping rows of a convolution. */
#ifndef VAGUS_KERNELS_CPU_TILE_H
#define VAGUS_KERNELS_CPU_TILE_H

#include <stdbool.h>

#include "kernels/cpu/vector.h"

/* C (m x n) = A (m x k) B (k x n), or C = C * decay + A B where `add` is set. Element (i, l) of A stands at
 * a[i * a_row + l * a_inner], rows of B and C at the strides given, their columns next to each other. Columns
 * go in whole vectors: B must be readable, and C writable, up to n rounded up to LANES. `decay` is a factor
 * for each column, NULL for 1. Runs in the calling thread. */
typedef struct vg__tile {
    int64_t m, n, k;
    const float *a;
    int64_t a_row, a_inner;
    const float *b;
    int64_t b_row;
    float *c;
    int64_t c_row;
    const float *decay;
    bool add;
} vg__tile;

void vg__tile_multiply(const vg__tile *tile);

#endif
