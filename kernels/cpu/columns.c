#include "kernels/cpu/columns.h"

#include "kernels/cpu/cpu.h"
#include "kernels/cpu/vector.h"

int64_t vg__columns_grain(int64_t columns)
{
    int64_t rows = columns > 0 ? 32768 / columns : 1;
    return rows > 0 ? rows : 1;
}

static int64_t block_count(int64_t rows, int64_t columns)
{
    int64_t grain = vg__columns_grain(columns);
    return (rows + grain - 1) / grain;
}

size_t vg__columns_scratch(int64_t rows, int64_t columns)
{
    return (size_t)block_count(rows, columns) * vg__cpu_lines((size_t)columns);
}

void vg__columns_add_up(const float *from, int64_t rows, int64_t columns, float *partial)
{
    if (columns == 1) { /* a column alone is a plain sum */
        vecf sum = {0};
        for (int64_t r = 0; r < rows; r += LANES) sum += vec_load_part(from + r, rows - r);
        *partial = vec_sum(sum);
        return;
    }
    int64_t c = 0;
    for (; c + 4 * LANES <= columns; c += 4 * LANES) {
        vecf sum[4] = {{0}, {0}, {0}, {0}};
        for (int64_t r = 0; r < rows; r++)
            for (int v = 0; v < 4; v++) sum[v] += vec_load(from + r * columns + c + v * LANES);
        for (int v = 0; v < 4; v++) vec_store(partial + c + v * LANES, sum[v]);
    }
    for (; c < columns; c += LANES) {
        vecf sum = {0};
        for (int64_t r = 0; r < rows; r++) sum += vec_load_part(from + r * columns + c, columns - c);
        vec_store_part(partial + c, sum, columns - c);
    }
}

void vg__columns_finish(const float *partial, int64_t rows, int64_t columns, float *total)
{
    int64_t blocks = block_count(rows, columns), stride = (int64_t)vg__cpu_lines((size_t)columns);
    for (int64_t c = 0; c < columns; c += LANES) {
        vecf sum = {0};
        for (int64_t block = 0; block < blocks; block++)
            sum += vec_load_part(partial + block * stride + c, columns - c);
        vec_store_part(total + c, vec_load_part(total + c, columns - c) + sum, columns - c);
    }
}
