/* What goes into collectives over a device, and what must come out: small whole numbers, exact in every type
 * and every order of adding up, compared with ==. */
#ifndef VAGUS_TESTS_CUDA_GROUP_NUMBERS_H
#define VAGUS_TESTS_CUDA_GROUP_NUMBERS_H

#include "core/group/kind.h"

/* What a rank has at i. */
int64_t ranks_number(int rank, int64_t i);

/* How many times `count` elements a collective's array has. */
int ranks_pieces(vg__collective_kind kind, const vg_place *place);

/* The whole array of a collective at this rank, before and after it; the process ends where an element is
 * wrong. What a scatter leaves in the other pieces is not looked at. */
void ranks_fill(void *array, vg__collective_kind kind, vg_dtype type, int64_t count, const vg_place *place);
void ranks_judge(const void *array, vg__collective_kind kind, vg_dtype type, int64_t count,
                 const vg_place *place);

#endif
