/* What the kernels of matrix products share: bringing a window of a matrix into shared memory, and the
 * product of a warp's tile of 64 x 32 from there, by one of three arithmetics. A tile lies in shared memory
 * `upright` (a row for each row or column of the result, the depth runs along it) or `lying` (a row for each
 * step in depth), as it does in device memory. A step is 64 bytes of depth, and rows are padded so that
 * eight of them, as ldmatrix and the others read them, lie in different banks. */
#ifndef VAGUS_KERNELS_CUDA_PRODUCTS_CUH
#define VAGUS_KERNELS_CUDA_PRODUCTS_CUH

#include "kernels/cuda/epilogue.cuh"

/* The arithmetics: tensor cores on bf16, tensor cores on float rounded to tf32, true float. WARPS on a
 * multiprocessor at least: 128 registers a thread are enough for tensor cores, not for eight rows and columns
 * of true float. */
struct gpu_bf16_cores {
    typedef gpu_bf16 T;
    static constexpr int WARPS = 16;
};
struct gpu_tf32_cores {
    typedef float T;
    static constexpr int WARPS = 16;
};
struct gpu_float_units {
    typedef float T;
    static constexpr int WARPS = 8;
};

enum { GPU_TILE_M = 64, GPU_TILE_N = 32, GPU_STAGES = 4, GPU_LYING_PAD = 8 };
template <class T> struct gpu_tile {
    static constexpr int depth = 64 / (int)sizeof(T);
    static constexpr int upright_pitch = depth + 16 / (int)sizeof(T);
};

/* A lane's share of a warp's result: element e of block (i, j) stands in row 16 i + lane / 4 + e / 2 * 8 and
 * column 8 j + lane % 4 * 2 + e % 2, as mma has it. */
typedef float gpu_sums[4][4][4];

/* Element (r, c) of the window is from[start + r * stride + c] for first <= r < end and c < width, else 0. */
template <class T> struct gpu_window {
    const T *from;
    int64_t start, stride;
    int first, end, width;
    bool vectors; /* start, stride and width are whole vectors, and `from` is 16-byte aligned */
};

/* Brings `rows` rows of COLUMNS elements; vectors by cp.async, which the caller commits, the rest by plain
 * stores. */
template <int THREADS, int COLUMNS, class T>
GPU_DEVICE void gpu_fetch(T *to, int pitch, int rows, const gpu_window<T> &w)
{
    constexpr int V = gpu_vector<T>::count;
    const int width = GPU_PLANTED_BUG == GPU_BUG_TAIL ? COLUMNS : w.width;
    const int shift = GPU_PLANTED_BUG == GPU_BUG_SHARED ? 16 * 1024 : 0;
    if (w.vectors) {
        for (int i = threadIdx.x; i < rows * (COLUMNS / V); i += THREADS) {
            const int r = i / (COLUMNS / V), c = i % (COLUMNS / V) * V;
            const bool valid = r >= w.first && r < w.end && c < width;
            gpu_cp_async16(to + shift + r * pitch + c, w.from + (valid ? w.start + r * w.stride + c : 0),
                           valid);
        }
        return;
    }
    for (int i = threadIdx.x; i < rows * COLUMNS; i += THREADS) {
        const int r = i / COLUMNS, c = i % COLUMNS;
        T value;
        gpu_store(&value, 0);
        if (r >= w.first && r < w.end && c < width) value = w.from[w.start + r * w.stride + c];
        to[shift + r * pitch + c] = value;
    }
}

/* sums += the product over one step. `a` is the first row (lying: column) of the warp's 64, b of its 32. */
template <bool A_LYING, bool B_LYING>
GPU_DEVICE void gpu_multiply(gpu_bf16_cores, gpu_sums &sums, const gpu_bf16 *a, int pitch_a,
                             const gpu_bf16 *b, int pitch_b)
{
    const int lane = threadIdx.x % 32, eighth = lane % 8, odd = lane / 8 % 2 * 8, half = lane / 16 * 8;
#pragma unroll
    for (int k = 0; k < gpu_tile<gpu_bf16>::depth; k += 16) {
        uint32_t of_a[4][4], of_b[2][4];
#pragma unroll
        for (int j = 0; j < 2; j++)
            if constexpr (B_LYING)
                gpu_ldmatrix_transposed(of_b[j], b + (k + odd + eighth) * pitch_b + j * 16 + half);
            else
                gpu_ldmatrix(of_b[j], b + (j * 16 + half + eighth) * pitch_b + k + odd);
#pragma unroll
        for (int i = 0; i < 4; i++)
            if constexpr (A_LYING)
                gpu_ldmatrix_transposed(of_a[i], a + (k + half + eighth) * pitch_a + i * 16 + odd);
            else
                gpu_ldmatrix(of_a[i], a + (i * 16 + odd + eighth) * pitch_a + k + half);
#pragma unroll
        for (int i = 0; i < 4; i++)
#pragma unroll
            for (int j = 0; j < 4; j++)
                gpu_mma_bf16(sums[i][j], of_a[i], of_b[j / 2][j % 2 * 2], of_b[j / 2][j % 2 * 2 + 1]);
    }
}

GPU_DEVICE uint32_t gpu_tf32_of_bits(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, 4);
    return gpu_tf32(value);
}

/* ldmatrix moves a float as two halves; it cannot transpose floats, so lying tiles are read one by one. */
template <bool A_LYING, bool B_LYING>
GPU_DEVICE void gpu_multiply(gpu_tf32_cores, gpu_sums &sums, const float *a, int pitch_a, const float *b,
                             int pitch_b)
{
    const int lane = threadIdx.x % 32, eighth = lane % 8, odd = lane / 8 % 2, half = lane / 16;
    const int g = lane / 4, q = lane % 4;
#pragma unroll
    for (int k = 0; k < gpu_tile<float>::depth; k += 8) {
        uint32_t of_a[4][4], of_b[2][4];
#pragma unroll
        for (int j = 0; j < 2; j++) {
            if constexpr (B_LYING) {
#pragma unroll
                for (int r = 0; r < 4; r++)
                    of_b[j][r] = gpu_tf32(b[(k + q + r % 2 * 4) * pitch_b + j * 16 + r / 2 * 8 + g]);
            } else {
                gpu_ldmatrix(of_b[j], b + (j * 16 + half * 8 + eighth) * pitch_b + k + odd * 4);
#pragma unroll
                for (int r = 0; r < 4; r++) of_b[j][r] = gpu_tf32_of_bits(of_b[j][r]);
            }
        }
#pragma unroll
        for (int i = 0; i < 4; i++) {
            if constexpr (A_LYING) {
#pragma unroll
                for (int r = 0; r < 4; r++)
                    of_a[i][r] = gpu_tf32(a[(k + q + r / 2 * 4) * pitch_a + i * 16 + r % 2 * 8 + g]);
            } else {
                gpu_ldmatrix(of_a[i], a + (i * 16 + odd * 8 + eighth) * pitch_a + k + half * 4);
#pragma unroll
                for (int r = 0; r < 4; r++) of_a[i][r] = gpu_tf32_of_bits(of_a[i][r]);
            }
        }
#pragma unroll
        for (int i = 0; i < 4; i++)
#pragma unroll
            for (int j = 0; j < 4; j++)
                gpu_mma_tf32(sums[i][j], of_a[i], of_b[j / 2][j % 2 * 2], of_b[j / 2][j % 2 * 2 + 1]);
    }
}

/* The same share of the result by multiply-adds: eight rows and eight columns a lane. */
template <bool A_LYING, bool B_LYING>
GPU_DEVICE void gpu_multiply(gpu_float_units, gpu_sums &sums, const float *a, int pitch_a, const float *b,
                             int pitch_b)
{
    const int lane = threadIdx.x % 32, g = lane / 4, q = lane % 4 * 2;
    auto add = [&](int i, int j, float of_a, float of_b) {
        float &sum = sums[i / 2][j / 2][i % 2 * 2 + j % 2];
        sum += of_a * of_b;
    };
    if constexpr (!B_LYING) {
        static_assert(!A_LYING, "no product has such factors");
#pragma unroll
        for (int k = 0; k < gpu_tile<float>::depth; k += 4) {
            gpu_vector<float> of_a[8];
#pragma unroll
            for (int i = 0; i < 8; i++) of_a[i] = gpu_load_vector(a + (i * 8 + g) * pitch_a + k);
#pragma unroll
            for (int j = 0; j < 8; j++) {
                const gpu_vector<float> of_b = gpu_load_vector(b + (j / 2 * 8 + q + j % 2) * pitch_b + k);
#pragma unroll
                for (int w = 0; w < 4; w++)
#pragma unroll
                    for (int i = 0; i < 8; i++) add(i, j, of_a[i].at[w], of_b.at[w]);
            }
        }
    } else {
#pragma unroll 4
        for (int k = 0; k < gpu_tile<float>::depth; k++) {
            float of_a[8], of_b[8];
#pragma unroll
            for (int i = 0; i < 8; i++)
                of_a[i] = A_LYING ? a[k * pitch_a + i * 8 + g] : a[(i * 8 + g) * pitch_a + k];
#pragma unroll
            for (int j = 0; j < 8; j += 2)
                memcpy(of_b + j, __builtin_assume_aligned(b + k * pitch_b + j * 4 + q, 8), 8);
#pragma unroll
            for (int i = 0; i < 8; i++)
#pragma unroll
                for (int j = 0; j < 8; j++) add(i, j, of_a[i], of_b[j]);
        }
    }
}

/* A product as the tiles see it: a linear layer is one segment with all its rows. */
inline vg__product gpu_flat(vg__product product)
{
    if (product.K != 1) return product;
    product.T *= product.B;
    product.B = 1;
    return product;
}

/* What the tiles are not for; vg__own_* hand it over once the sizes are known to be countable and not empty.
 * Convolutions with one input channel (first.cu), and linear layers with one output or input (narrow.cu). */
inline bool gpu_is_first(const vg__product &product)
{
    return product.I == 1 && product.K > 1;
}
inline bool gpu_is_narrow(const vg__product &product)
{
    return product.K == 1 && (product.I == 1 || product.O == 1);
}
vg_status gpu_first_forward(vg__cuda *cuda, const vg__product &product, const void *x, const void *w,
                            const vg__finish *finish, void *y);
vg_status gpu_first_dx(vg__cuda *cuda, const vg__product &product, const void *dy, const void *w, void *dx,
                       bool add);
vg_status gpu_first_dw(vg__cuda *cuda, const vg__product &product, const void *dy, const void *x, float *dw,
                       void *scratch);
size_t gpu_first_dw_scratch(const vg__product &product);
vg_status gpu_narrow_forward(vg__cuda *cuda, const vg__product &product, const void *x, const void *w,
                             const vg__finish *finish, void *y);
vg_status gpu_narrow_dx(vg__cuda *cuda, const vg__product &product, const void *dy, const void *w, void *dx,
                        bool add);
vg_status gpu_narrow_dw(vg__cuda *cuda, const vg__product &product, const void *dy, const void *x, float *dw,
                        void *scratch);
size_t gpu_narrow_dw_scratch(const vg__product &product);

/* Sizes are counted in 32 bits inside of the kernels, and grids have 2^31 blocks. */
inline vg_status gpu_product_countable(const vg__product &product)
{
    VG_TRY(gpu_rows_countable(product.op, product.B * product.T, product.K * product.I));
    return gpu_rows_countable(product.op, product.O, product.I);
}

#endif
