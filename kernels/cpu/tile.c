#include "kernels/cpu/tile.h"

/* Accumulators live in registers: 6 rows by 4 vectors leaves room for a row of B among AVX-512's 32
 * registers, 6 by 2 among the 16 of AVX2. A's elements are broadcast straight from memory. */
enum { ROWS = 6, VECTORS = LANES == 16 ? 4 : 2 };

/* Inlined with constant `rows` and `vectors`, so that the arrays below become registers. */
static inline __attribute__((always_inline)) void
run(int rows, int vectors, const vg__tile *tile, const float *a, const float *b, float *c, const float *decay)
{
    const int64_t a_row = tile->a_row, a_inner = tile->a_inner, b_row = tile->b_row, c_row = tile->c_row;
    const int64_t k = tile->k;
    vecf sum[ROWS][VECTORS];
#pragma GCC unroll 6
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 4
        for (int v = 0; v < vectors; v++) sum[i][v] = (vecf){0};
    const float *row[ROWS];
#pragma GCC unroll 6
    for (int i = 0; i < rows; i++) row[i] = a + i * a_row;
    int64_t at = 0;
    for (int64_t l = 0; l < k; l++, at += a_inner, b += b_row) {
        vecf right[VECTORS];
#pragma GCC unroll 4
        for (int v = 0; v < vectors; v++) right[v] = vec_load(b + v * LANES);
#pragma GCC unroll 6
        for (int i = 0; i < rows; i++) {
            vecf left = vec_splat(row[i][at]);
#pragma GCC unroll 4
            for (int v = 0; v < vectors; v++) sum[i][v] += left * right[v];
        }
    }
    if (tile->add) {
#pragma GCC unroll 6
        for (int i = 0; i < rows; i++)
#pragma GCC unroll 4
            for (int v = 0; v < vectors; v++) {
                vecf old = vec_load(c + i * c_row + v * LANES);
                if (decay) old *= vec_load(decay + v * LANES);
                sum[i][v] += old;
            }
    }
#pragma GCC unroll 6
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 4
        for (int v = 0; v < vectors; v++) vec_store(c + i * c_row + v * LANES, sum[i][v]);
}

#define FOR_ROWS(rows)                                                                                       \
    static void run_##rows(int vectors, const vg__tile *tile, const float *a, const float *b, float *c,      \
                           const float *decay)                                                               \
    {                                                                                                        \
        switch (vectors) {                                                                                   \
        case 1:                                                                                              \
            run(rows, 1, tile, a, b, c, decay);                                                              \
            break;                                                                                           \
        case 2:                                                                                              \
            run(rows, 2, tile, a, b, c, decay);                                                              \
            break;                                                                                           \
        case 3:                                                                                              \
            run(rows, VECTORS < 3 ? 1 : 3, tile, a, b, c, decay);                                            \
            break;                                                                                           \
        default:                                                                                             \
            run(rows, VECTORS, tile, a, b, c, decay);                                                        \
            break;                                                                                           \
        }                                                                                                    \
    }
FOR_ROWS(1)
FOR_ROWS(2)
FOR_ROWS(3)
FOR_ROWS(4)
FOR_ROWS(5)
FOR_ROWS(6)

void vg__tile_multiply(const vg__tile *tile)
{
    static void (*const kernels[])(int, const vg__tile *, const float *, const float *, float *,
                                   const float *) = {run_1, run_2, run_3, run_4, run_5, run_6};
    int64_t width = (int64_t)VECTORS * LANES;
    for (int64_t n = 0; n < tile->n; n += width) {
        int64_t left = (tile->n - n + LANES - 1) / LANES;
        int vectors = left < VECTORS ? (int)left : VECTORS;
        const float *decay = tile->decay ? tile->decay + n : NULL;
        for (int64_t m = 0; m < tile->m; m += ROWS) {
            int64_t rows = tile->m - m < ROWS ? tile->m - m : ROWS;
            kernels[rows - 1](vectors, tile, tile->a + m * tile->a_row, tile->b + n,
                              tile->c + m * tile->c_row + n, decay);
        }
    }
}
