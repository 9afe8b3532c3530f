/* How many doubles the processor that is compiled for takes at once. gcc takes vectors of any size apart into
 * those, but puts the pieces into memory: with AVX2 alone a sum over vectors of eight took ten times as long.
 * So wider rows are written as several of these. Internal to signal/. */
#ifndef VAGUS_DATASETS_SIGNAL_LANES_H
#define VAGUS_DATASETS_SIGNAL_LANES_H

#include <stdint.h>

#if defined __AVX512F__
enum { LANES = 8 };
#elif defined __AVX2__
enum { LANES = 4 };
#else
enum { LANES = 2 };
#endif

typedef double lanes __attribute__((vector_size(LANES * sizeof(double))));
typedef int64_t lane_numbers __attribute__((vector_size(LANES * sizeof(int64_t))));

/* The same wherever it begins in a row of numbers. */
typedef double lanes_at
    __attribute__((vector_size(LANES * sizeof(double)), aligned(sizeof(double)), may_alias));

#endif
