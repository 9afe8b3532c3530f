/* Operations of a warp: a rendezvous each. Every lane brings what it has and waits; the last to come computes
 * what each takes away. A lane that brings another operation, or has left, is a failure. */
#ifndef VAGUS_TESTS_CUDA_WARP_H
#define VAGUS_TESTS_CUDA_WARP_H

#include "tests/cuda/block.h"

namespace emu
{
enum Operation { SHUFFLE, BALLOT, SYNC, MMA_BF16, MMA_TF32, LDMATRIX, LDMATRIX_TRANSPOSED };

/* What a lane brings and takes. */
struct Offer {
    uint64_t value; /* SHUFFLE: in and out; BALLOT: in 0 or 1, out the mask */
    int source;     /* SHUFFLE: whose value */
    float d[4];
    uint32_t a[4], b[2]; /* LDMATRIX brings its row in a, and takes its fragment there */
};

struct Warp {
    uint32_t live, arrived;
    Operation operation;
    const char *file;
    int line;
    Offer *offers[32];
    char sync[2];
    unsigned uses;
};

void warp_begin(Warp *warp, int lanes);
void warp_leave(Warp *warp, int lane);

/* The whole warp meets. Only SYNC orders the memory of its lanes, as in CUDA's own promise. */
void meet(Operation operation, Offer *mine, const char *file, int line);
} // namespace emu

#endif
