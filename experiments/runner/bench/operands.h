/* The operations at a shape: arguments on the device with numbers in them, and what a call must at least move
 * and multiply. operands.c says each operation's operands once; tests and the model have shapes of their own.
 */
#ifndef VAGUS_EXPERIMENTS_RUNNER_BENCH_OPERANDS_H
#define VAGUS_EXPERIMENTS_RUNNER_BENCH_OPERANDS_H

#include "kernels/kernels.h"

/* A shape by letters, those of kernels.h, and N the length of a flat range; 1 where a letter has no meaning.
 */
typedef struct vg_bench_shape {
    int64_t B, T, R, C, I, O, K, H, D, N;
    vg_activation activation;
    vg_pool pool;
    bool dropout; /* of 0.1 */
    bool no_dx;   /* nothing lies before this layer */
} vg_bench_shape;

typedef struct vg_bench_operands vg_bench_operands;

/* What one call needs. Bytes: each operand that is read once, and each that is written once; what is added to
 * counts twice, room for the kernel's own use not at all. FLOP: those of matrix products and convolutions,
 * two a multiplication with its sum; other operations have none, as they move more than they compute. */
typedef struct vg_bench_cost {
    double bytes, flop;
} vg_bench_cost;
vg_bench_cost vg_bench_cost_of(vg_kernel_id id, const vg_bench_shape *shape, vg_dtype dtype);

/* As many sets of operands as together are `rotate` bytes (at least one, at most 64), so that a call does not
 * find in a cache what the one before left there. Values are random; sums, statistics and masks are plausible
 * ones. */
VG_NODISCARD vg_status vg_bench_operands_create(vg_kernels *kernels, vg_kernel_id id,
                                                const vg_bench_shape *shape, vg_dtype dtype, size_t rotate,
                                                vg_bench_operands **out);
void vg_bench_operands_destroy(vg_bench_operands *operands); /* NULL is fine */
int vg_bench_operands_sets(const vg_bench_operands *operands);

/* Calls the operation on set `index` modulo their number; and gives operands that calls spoil their values
 * back. Both fit vg_bench_task. */
vg_status vg_bench_operands_call(void *operands, int64_t index);
vg_status vg_bench_operands_restore(void *operands);

#endif
