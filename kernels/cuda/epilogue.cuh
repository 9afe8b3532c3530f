/* The ending of a product on the device: bias, the value kept for GELU, activation, dropout. For the tiles of
 * products.cuh, which end W neighbouring columns of a row at a time, and for the passes of epilogue.cu. */
#ifndef VAGUS_KERNELS_CUDA_EPILOGUE_CUH
#define VAGUS_KERNELS_CUDA_EPILOGUE_CUH

#include "kernels/cuda/common.h"
#include "kernels/cuda/products.h"

/* vg__finish as a kernel takes it. */
template <class T> struct gpu_ending {
    const T *bias;
    T *pre, *y;
    int64_t O;
    uint32_t R;
    vg_activation activation;
    gpu_dropout dropout;
};
template <class T> gpu_ending<T> gpu_ending_of(const vg__finish *finish, int64_t O, void *y)
{
    gpu_ending<T> ending = {};
    ending.bias = static_cast<const T *>(finish->bias);
    ending.pre = static_cast<T *>(finish->pre);
    ending.y = static_cast<T *>(y);
    ending.O = O;
    ending.R = (uint32_t)finish->R;
    ending.activation = finish->activation;
    ending.dropout = gpu_dropout_of(finish->dropout);
    return ending;
}

/* Ends the sums of W columns from `column` on and stores them. Whoever calls with W > 1 knows that O and the
 * pointers allow vectors. */
template <class T, int W>
GPU_DEVICE void gpu_end(const gpu_ending<T> &a, float (&sum)[W], uint32_t row, int64_t column)
{
    const int64_t at = (int64_t)row * a.O + column;
    if (a.bias) {
        float bias[W];
        gpu_load_floats<T, W>(bias, a.bias + column);
#pragma unroll
        for (int w = 0; w < W; w++) sum[w] += bias[w];
    }
    if (a.pre) gpu_store_floats<T, W>(a.pre + at, sum);
#pragma unroll
    for (int w = 0; w < W; w++) sum[w] = gpu_activate(a.activation, sum[w]);
    if (a.dropout.segment) {
        const uint32_t b = row / a.R;
        const int64_t e = (int64_t)(row - b * a.R) * a.O + column;
        float factor[W];
        gpu_dropout_factors(factor, a.dropout, b, e);
#pragma unroll
        for (int w = 0; w < W; w++) sum[w] *= factor[w];
    }
    gpu_store_floats<T, W>(a.y + at, sum);
}

/* to[c] += the sum over p of parts[p][c], in the order of p; declared here for products.cuh. */
vg_status gpu_add_parts(const char *op, const float *parts, int64_t count, int64_t columns, float *to,
                        cudaStream_t stream);

/* Rows are counted in 32 bits inside of the kernels, grids have 2^31 blocks. */
inline vg_status gpu_rows_countable(const char *op, int64_t rows, int64_t columns)
{
    if (rows < (int64_t)1 << 31 && columns < (int64_t)1 << 31) return VG_OK;
    return vg_fail(
        VG_ERR_UNSUPPORTED,
        "%s: 2^31 rows or columns and more are not counted by the CUDA kernels: use a smaller batch", op);
}

#endif
