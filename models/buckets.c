#include "models/buckets.h"

#include <stdlib.h>

/* Where matrices end and the rest begins, and where all ends. */
static void find_regions(const vg_parameters *parameters, int64_t ends[2])
{
    ends[0] = ends[1] = parameters->flat_values.dims[0];
    for (int i = 0; i < parameters->count; i++) {
        const vg_parameter *p = parameters->list[i];
        if (!p->decay && p->offset < ends[0]) ends[0] = p->offset;
    }
}

static int64_t unit_of(int owners)
{
    return (int64_t)owners * VG_PARAMETER_ALIGNMENT;
}

/* Fills in which parameters lie in the bucket. */
static void find_members(const vg_parameters *parameters, vg_bucket *bucket)
{
    bucket->least = parameters->count;
    bucket->most = -1;
    for (int i = 0; i < parameters->count; i++) {
        const vg_parameter *p = parameters->list[i];
        if (p->offset >= bucket->first + bucket->count ||
            p->offset + vg_tensor_count(&p->value) <= bucket->first)
            continue;
        if (i < bucket->least) bucket->least = i;
        bucket->most = i;
    }
    VG_ASSERT(bucket->most >= 0); /* gaps are smaller than any bucket */
}

static int by_completion(const void *a, const void *b)
{
    const vg_bucket *x = a, *y = b;
    if (x->least != y->least) return x->least > y->least ? -1 : 1;
    return x->first > y->first ? -1 : x->first < y->first;
}

vg_status vg__buckets_cut(const vg_parameters *parameters, int64_t bucket_bytes, int owners, vg_bucket **out,
                          int *count)
{
    const int64_t unit = unit_of(owners);
    const int64_t size = (int64_t)vg_dtype_size(parameters->stored);
    const int64_t enough = bucket_bytes / size + (bucket_bytes % size > 0);
    int64_t ends[2], begin = 0;
    /* A bucket ends at most once a parameter, and each region may leave something over. */
    vg_bucket *buckets = calloc((size_t)parameters->count + 4, sizeof *buckets);
    if (!buckets) return vg_fail(VG_ERR_MEMORY, "cannot cut the gradients into buckets");
    find_regions(parameters, ends);
    *count = 0;
    for (int region = 0; region < 2; begin = ends[region++]) {
        int64_t end = ends[region];
        for (int i = parameters->count - 1; i >= 0; i--) {
            const vg_parameter *p = parameters->list[i];
            if (p->decay != (region == 0)) continue;
            int64_t length = (end - p->offset) / unit * unit;
            if (length == 0 || (length < enough && p->offset > begin)) continue;
            buckets[(*count)++] = (vg_bucket){.first = end - length, .count = length};
            end -= length;
        }
        if (end > begin)
            buckets[(*count)++] = (vg_bucket){.first = begin, .count = end - begin, .uncut = true};
    }
    for (int i = 0; i < *count; i++) find_members(parameters, &buckets[i]);
    qsort(buckets, (size_t)*count, sizeof *buckets, by_completion);
    *out = buckets;
    return VG_OK;
}

vg_piece vg__bucket_piece(const vg_bucket *bucket, int owners, int rank)
{
    if (bucket->uncut) return (vg_piece){bucket->first, rank == 0 ? bucket->count : 0};
    int64_t count = bucket->count / owners;
    return (vg_piece){bucket->first + rank * count, count};
}

int64_t vg__buckets_most(const vg_parameters *parameters, int owners)
{
    const int64_t unit = unit_of(owners);
    int64_t ends[2], begin = 0, most = 0;
    find_regions(parameters, ends);
    for (int region = 0; region < 2; begin = ends[region++]) {
        int64_t length = ends[region] - begin;
        most += length / unit * VG_PARAMETER_ALIGNMENT + length % unit;
    }
    return most;
}
