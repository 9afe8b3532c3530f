/* Linear layers with one output (the last of the reconstruction head) or one input (the positions' gradient
 * is one of that kind): products of a matrix (rows, C) and a vector, for which tiles would multiply zeros.
 * Three kernels, each for a forward and a backward, all bound by reading or writing the matrix once:
 *
 *                     one output                          one input
 *     rows' dots      y  = x w      matrix x, vector w    dx = dy w     matrix dy, vector w
 *     outer product   dx = dy w     vectors dy, w         y  = x w      vectors x, w
 *     weighted sum    dw = x^T dy   matrix x, weights dy  dw = dy^T x   matrix dy, weights x
 *
 * Not yet run on a GPU. */
#include "kernels/cuda/products.cuh"

namespace
{
enum { WIDTH = 256, WARPS = WIDTH / 32, COLUMNS = 256 /* at most, of a block */, MAX_BLOCKS = 1056 };

/* A warp takes a row. The ending's y is what is written; a backward has no bias and nothing to do but add. */
template <class T> struct dots {
    const T *matrix, *vector;
    gpu_ending<T> ending;
    uint32_t rows;
    int64_t C;
    bool add;
};

template <class T, int W> GPU_KERNEL_BLOCKS(WIDTH, 4) dots_kernel(dots<T> a)
{
    const int lane = threadIdx.x % 32;
    for (int64_t row = (int64_t)blockIdx.x * WARPS + threadIdx.x / 32; row < a.rows;
         row += (int64_t)gridDim.x * WARPS) {
        float sum[1] = {};
#pragma unroll 2
        for (int64_t c = lane * W; c < a.C; c += 32 * W) {
            float m[W], v[W];
            gpu_load_floats<T, W>(m, a.matrix + row * a.C + c);
            gpu_load_floats<T, W>(v, a.vector + c);
#pragma unroll
            for (int w = 0; w < W; w++) sum[0] += m[w] * v[w];
        }
        sum[0] = gpu_warp_sum(sum[0]);
        if (lane != 0) continue;
        if (a.add) sum[0] += gpu_to_float(a.ending.y[row]);
        gpu_end<T, 1>(a.ending, sum, (uint32_t)row, 0);
    }
}

/* y[row][c] = column[row] * vector[c], ended. */
template <class T> struct outer {
    const T *column, *vector;
    gpu_ending<T> ending;
    uint32_t rows;
    bool add;
};

template <class T, int W> GPU_KERNEL(WIDTH) outer_kernel(outer<T> a)
{
    const int64_t pieces = a.ending.O / W, all = pieces * a.rows, step = (int64_t)gridDim.x * WIDTH;
    for (int64_t i = (int64_t)blockIdx.x * WIDTH + threadIdx.x; i < all; i += step) {
        const uint32_t row = (uint32_t)(i / pieces);
        const int64_t c = (i - row * pieces) * W;
        const float factor = gpu_to_float(a.column[row]);
        float values[W], old[W] = {};
        gpu_load_floats<T, W>(values, a.vector + c);
        if (a.add) gpu_load_floats<T, W>(old, a.ending.y + row * a.ending.O + c);
#pragma unroll
        for (int w = 0; w < W; w++) values[w] = old[w] + factor * values[w];
        gpu_end<T, W>(a.ending, values, row, c);
    }
}

/* partials[part][c] = the sum over the part's rows of weight[row] * matrix[row][c]. */
template <class T> struct weighted {
    const T *matrix, *weight;
    float *partials;
    int64_t C;
    uint32_t rows;
    int lanes; /* threads side by side, a power of two; the others stand above each other */
};

template <class T, int W> GPU_KERNEL(WIDTH) weighted_kernel(weighted<T> a)
{
    GPU_SHARED(float, sums, WIDTH *W);
    const int lane = threadIdx.x % a.lanes, above = threadIdx.x / a.lanes, height = WIDTH / a.lanes;
    const int64_t c = ((int64_t)blockIdx.x * a.lanes + lane) * W;
    float sum[W] = {};
    if (c < a.C)
        for (int64_t row = (int64_t)blockIdx.y * height + above; row < a.rows;
             row += (int64_t)gridDim.y * height) {
            const float weight = gpu_to_float(a.weight[row]);
            float values[W];
            gpu_load_floats<T, W>(values, a.matrix + row * a.C + c);
#pragma unroll
            for (int w = 0; w < W; w++) sum[w] += weight * values[w];
        }
#pragma unroll
    for (int w = 0; w < W; w++) sums[(above * a.lanes + lane) * W + w] = sum[w];
    if (GPU_PLANTED_BUG != GPU_BUG_BARRIER) gpu_sync_block();
    const int columns = a.lanes * W;
    const int64_t column = (int64_t)blockIdx.x * columns + threadIdx.x;
    if ((int)threadIdx.x < columns && column < a.C) {
        float all = 0;
        for (int h = 0; h < height; h++) all += sums[h * columns + threadIdx.x];
        a.partials[(int64_t)blockIdx.y * a.C + column] = all;
    }
}

dim3 grid_for(int64_t wanted)
{
    return dim3((unsigned)(wanted < 1 << 16 ? wanted : 1 << 16));
}

/* By the shape alone, so that the order of a sum is too. */
int64_t parts_of(int64_t rows, int64_t C)
{
    const int64_t across = C < COLUMNS ? C : (int64_t)COLUMNS;
    const int64_t wanted = (rows * across + 16 * WIDTH - 1) / (16 * WIDTH);
    const int64_t most = MAX_BLOCKS / ((C + COLUMNS - 1) / COLUMNS);
    return wanted < most ? wanted : most > 1 ? most : 1;
}

template <class T>
vg_status run_dots(vg__cuda *cuda, const char *op, int64_t rows, int64_t C, const void *matrix,
                   const void *vector, const vg__finish *finish, void *y, bool add)
{
    dots<T> a = {};
    a.matrix = static_cast<const T *>(matrix);
    a.vector = static_cast<const T *>(vector);
    a.ending = gpu_ending_of<T>(finish, 1, y);
    a.rows = (uint32_t)rows;
    a.C = C;
    a.add = add;
    constexpr int V = gpu_vector<T>::count;
    const bool vectors = C % V == 0 && gpu_all_aligned(matrix, vector);
    return gpu_launched(gpu_launch(vectors ? dots_kernel<T, V> : dots_kernel<T, 1>,
                                   grid_for((rows + WARPS - 1) / WARPS), dim3(WIDTH), 0, cuda->stream, a),
                        op);
}

template <class T>
vg_status run_outer(vg__cuda *cuda, const char *op, int64_t rows, int64_t C, const void *column,
                    const void *vector, const vg__finish *finish, void *y, bool add)
{
    outer<T> a = {};
    a.column = static_cast<const T *>(column);
    a.vector = static_cast<const T *>(vector);
    a.ending = gpu_ending_of<T>(finish, C, y);
    a.rows = (uint32_t)rows;
    a.add = add;
    constexpr int V = gpu_vector<T>::count;
    const bool vectors = C % V == 0 && gpu_all_aligned(vector, (const void *)y, (const void *)finish->pre,
                                                       (const void *)finish->bias);
    const int64_t pieces = rows * (C / (vectors ? V : 1));
    return gpu_launched(gpu_launch(vectors ? outer_kernel<T, V> : outer_kernel<T, 1>,
                                   grid_for((pieces + WIDTH - 1) / WIDTH), dim3(WIDTH), 0, cuda->stream, a),
                        op);
}

template <class T>
vg_status run_weighted(vg__cuda *cuda, const char *op, int64_t rows, int64_t C, const void *matrix,
                       const void *weight, float *dw, void *scratch)
{
    weighted<T> a = {};
    a.matrix = static_cast<const T *>(matrix);
    a.weight = static_cast<const T *>(weight);
    a.partials = static_cast<float *>(scratch);
    a.C = C;
    a.rows = (uint32_t)rows;
    constexpr int V = gpu_vector<T>::count;
    const bool vectors = C % V == 0 && gpu_aligned(matrix);
    const int W = vectors ? V : 1;
    a.lanes = 1;
    while (a.lanes * W < COLUMNS && a.lanes * W < C) a.lanes *= 2;
    const int64_t across = (C + a.lanes * W - 1) / (a.lanes * W), parts = parts_of(rows, C);
    GPU_TRY(op, gpu_launch(vectors ? weighted_kernel<T, V> : weighted_kernel<T, 1>,
                           dim3((unsigned)across, (unsigned)parts), dim3(WIDTH), 0, cuda->stream, a));
    return gpu_add_parts(op, a.partials, parts, C, dw, cuda->stream);
}
} // namespace

vg_status gpu_narrow_forward(vg__cuda *cuda, const vg__product &p, const void *x, const void *w,
                             const vg__finish *finish, void *y)
{
    const int64_t rows = p.B * p.T;
    if (p.O == 1)
        return p.type == VG_BF16 ? run_dots<gpu_bf16>(cuda, p.op, rows, p.I, x, w, finish, y, false)
                                 : run_dots<float>(cuda, p.op, rows, p.I, x, w, finish, y, false);
    return p.type == VG_BF16 ? run_outer<gpu_bf16>(cuda, p.op, rows, p.O, x, w, finish, y, false)
                             : run_outer<float>(cuda, p.op, rows, p.O, x, w, finish, y, false);
}

vg_status gpu_narrow_dx(vg__cuda *cuda, const vg__product &p, const void *dy, const void *w, void *dx,
                        bool add)
{
    const int64_t rows = p.B * p.T;
    const vg__finish nothing = {};
    if (p.O == 1)
        return p.type == VG_BF16 ? run_outer<gpu_bf16>(cuda, p.op, rows, p.I, dy, w, &nothing, dx, add)
                                 : run_outer<float>(cuda, p.op, rows, p.I, dy, w, &nothing, dx, add);
    return p.type == VG_BF16 ? run_dots<gpu_bf16>(cuda, p.op, rows, p.O, dy, w, &nothing, dx, add)
                             : run_dots<float>(cuda, p.op, rows, p.O, dy, w, &nothing, dx, add);
}

size_t gpu_narrow_dw_scratch(const vg__product &p)
{
    const int64_t C = p.O == 1 ? p.I : p.O;
    return (size_t)(parts_of(p.B * p.T, C) * C) * sizeof(float);
}

vg_status gpu_narrow_dw(vg__cuda *cuda, const vg__product &p, const void *dy, const void *x, float *dw,
                        void *scratch)
{
    const int64_t rows = p.B * p.T, C = p.O == 1 ? p.I : p.O;
    const void *matrix = p.O == 1 ? x : dy, *weight = p.O == 1 ? dy : x;
    return p.type == VG_BF16 ? run_weighted<gpu_bf16>(cuda, p.op, rows, C, matrix, weight, dw, scratch)
                             : run_weighted<float>(cuda, p.op, rows, C, matrix, weight, dw, scratch);
}
