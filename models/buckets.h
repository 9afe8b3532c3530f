/* How flat slabs of parameters are cut for sums over ranks. Backward completes gradients from the last
 * declared parameter to the first, and a slab holds matrices, then the rest, each in order of declaration
 * (params.h): so what is complete is a suffix of both regions, and buckets are cut from their ends. Private
 * to models/. */
#ifndef VAGUS_MODELS_BUCKETS_H
#define VAGUS_MODELS_BUCKETS_H

#include "models/parallel.h"

typedef struct vg_bucket {
    int64_t first, count; /* in elements of a slab */
    int least, most;      /* of the parameters' list: it is complete when `least` is; they all lie in
                             [least, most] */
    bool uncut;           /* among several owners: too small for equal pieces, rank 0's alone */
} vg_bucket;

/* Cuts everything into buckets of at least `bucket_bytes` of gradients where there is so much, in the order
 * in which they become complete: a function of the arguments alone. Among several `owners` (1: nobody's
 * pieces) a bucket is a multiple of owners * VG_PARAMETER_ALIGNMENT elements, so that its pieces are equal
 * and aligned; what is left of a region is a bucket of its own. The caller frees. */
VG_NODISCARD vg_status vg__buckets_cut(const vg_parameters *parameters, int64_t bucket_bytes, int owners,
                                       vg_bucket **out, int *count);

/* What of a bucket is the rank's; a count of 0: nothing. */
vg_piece vg__bucket_piece(const vg_bucket *bucket, int owners, int rank);

/* How many elements rank 0's pieces have together, which no other rank's exceed. The same for every size of
 * buckets. */
int64_t vg__buckets_most(const vg_parameters *parameters, int owners);

#endif
