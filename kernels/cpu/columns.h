/* Sums down the columns of a (rows, columns) matrix, for the gradients of biases and of layer norm. The rows
 * are cut into blocks whose size depends on the shape alone; each block leaves its partial sums, and these
 * are added in order, so that no number of threads changes the result. */
#ifndef VAGUS_KERNELS_CPU_COLUMNS_H
#define VAGUS_KERNELS_CPU_COLUMNS_H

#include <stddef.h>
#include <stdint.h>

/* Rows in a block: about 32 Ki elements. */
int64_t vg__columns_grain(int64_t columns);

/* Floats for the partial sums of all blocks; a block's stand at vg__cpu_lines(columns) * its number. */
size_t vg__columns_scratch(int64_t rows, int64_t columns);

/* partial[c] = the sum of column c of `rows` rows, in the calling thread. */
void vg__columns_add_up(const float *from, int64_t rows, int64_t columns, float *partial);

/* total[c] += the blocks' partial sums. */
void vg__columns_finish(const float *partial, int64_t rows, int64_t columns, float *total);

#endif
