/* The element-wise passes round a product: its ending when a library made it, the gradient before the
 * activation with the sums for the bias, and partial sums added up in their order. Each is bound by memory:
 * an element is read and written once. Not yet run on a GPU. */
#include "kernels/cuda/epilogue.cuh"

namespace
{
enum { WIDTH = 256, COLUMNS = 256 /* at most, of a block */, MAX_BLOCKS = 1056, WAYS = WIDTH / 32 };

template <class T, int W> GPU_KERNEL(WIDTH) finish_kernel(gpu_ending<T> a, uint32_t rows)
{
    const int64_t pieces = a.O / W, all = pieces * rows, step = (int64_t)gridDim.x * WIDTH;
    for (int64_t i = (int64_t)blockIdx.x * WIDTH + threadIdx.x; i < all; i += step) {
        const uint32_t row = (uint32_t)(i / pieces);
        const int64_t column = (i - row * pieces) * W;
        float sum[W];
        gpu_load_floats<T, W>(sum, a.y + row * a.O + column);
        gpu_end<T, W>(a, sum, row, column);
    }
}

template <class T> struct gradient {
    T *dy;
    const T *kept; /* y for ReLU, pre for GELU */
    float *partials;
    int64_t O;
    uint32_t rows, R;
    int lanes; /* threads side by side, a power of two; the others stand above each other */
    vg_activation activation;
    gpu_dropout dropout;
};

/* dy in place, and the block's column sums. A positive y tells that the value before ReLU was positive and
 * was not dropped, so there is no coin to toss again. */
template <class T, int W> GPU_KERNEL(WIDTH) unfinish_kernel(gradient<T> a)
{
    GPU_SHARED(float, sums, WIDTH *W);
    const int lane = threadIdx.x % a.lanes, above = threadIdx.x / a.lanes, height = WIDTH / a.lanes;
    const int64_t column = ((int64_t)blockIdx.x * a.lanes + lane) * W;
    const bool changes = a.activation != VG_ACTIVATION_NONE || a.dropout.segment;
    float sum[W] = {};
    if (column < a.O)
        for (int64_t row = (int64_t)blockIdx.y * height + above; row < a.rows;
             row += (int64_t)gridDim.y * height) {
            const int64_t at = row * a.O + column;
            float g[W];
            gpu_load_floats<T, W>(g, a.dy + at);
            if (changes) {
                float kept[W] = {};
                if (a.activation != VG_ACTIVATION_NONE) gpu_load_floats<T, W>(kept, a.kept + at);
                if (a.activation == VG_ACTIVATION_RELU) {
#pragma unroll
                    for (int w = 0; w < W; w++) g[w] *= kept[w] > 0 ? a.dropout.scale : 0;
                } else {
#pragma unroll
                    for (int w = 0; w < W; w++) g[w] *= gpu_activation_slope(a.activation, kept[w]);
                    if (a.dropout.segment) {
                        const uint32_t b = (uint32_t)row / a.R;
                        const int64_t e = (row - (int64_t)b * a.R) * a.O + column;
                        float factor[W];
                        gpu_dropout_factors(factor, a.dropout, b, e);
#pragma unroll
                        for (int w = 0; w < W; w++) g[w] *= factor[w];
                    }
                }
                gpu_store_floats<T, W>(a.dy + at, g);
            }
#pragma unroll
            for (int w = 0; w < W; w++) sum[w] += g[w];
        }
#pragma unroll
    for (int w = 0; w < W; w++) sums[(above * a.lanes + lane) * W + w] = sum[w];
    gpu_sync_block();
    const int columns = a.lanes * W;
    const int64_t c = (int64_t)blockIdx.x * columns + threadIdx.x;
    if ((int)threadIdx.x < columns && c < a.O) {
        float all = 0;
        for (int h = 0; h < height; h++) all += sums[h * columns + threadIdx.x];
        a.partials[(int64_t)blockIdx.y * a.O + c] = all;
    }
}

/* A block takes 32 columns; each warp sums every WAYS-th part, then the warps are summed in their order. */
GPU_KERNEL(WIDTH) add_parts_kernel(const float *parts, int64_t count, int64_t columns, float *to)
{
    GPU_SHARED(float, of_warp, WIDTH);
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    const int64_t c = (int64_t)blockIdx.x * 32 + lane;
    float sum = 0;
    if (c < columns)
        for (int64_t p = warp; p < count; p += WAYS) sum += parts[p * columns + c];
    of_warp[threadIdx.x] = sum;
    gpu_sync_block();
    if (warp == 0 && c < columns) {
        float all = 0;
        for (int w = 0; w < WAYS; w++) all += of_warp[w * 32 + lane];
        to[c] += all;
    }
}

/* How many blocks share the rows of a column: by the shape alone, so that the order of a sum is too. */
int64_t shares(int64_t rows, int64_t O)
{
    const int64_t across = O < COLUMNS ? O : (int64_t)COLUMNS;
    const int64_t wanted = (rows * across + 16 * WIDTH - 1) / (16 * WIDTH);
    const int64_t most = MAX_BLOCKS / ((O + COLUMNS - 1) / COLUMNS);
    return wanted < most ? wanted : most > 1 ? most : 1;
}

template <class T>
vg_status finish(vg__cuda *cuda, const char *op, int64_t rows, int64_t O, const vg__finish *how, void *y)
{
    const gpu_ending<T> a = gpu_ending_of<T>(how, O, y);
    constexpr int V = gpu_vector<T>::count;
    const bool vectors = O % V == 0 && gpu_aligned(a.y) && gpu_aligned(a.pre) && gpu_aligned(a.bias);
    const int64_t wanted = (rows * O / (vectors ? V : 1) + WIDTH - 1) / WIDTH;
    const dim3 grid((unsigned)(wanted < 1 << 16 ? wanted : 1 << 16));
    return gpu_launched(gpu_launch(vectors ? finish_kernel<T, V> : finish_kernel<T, 1>, grid, dim3(WIDTH), 0,
                                   cuda->stream, a, (uint32_t)rows),
                        op);
}

template <class T>
vg_status unfinish(vg__cuda *cuda, const char *op, int64_t rows, int64_t O, const vg__finish *how,
                   const void *y, void *dy, float *db, float *partials)
{
    gradient<T> a = {};
    a.dy = static_cast<T *>(dy);
    a.kept = static_cast<const T *>(how->activation == VG_ACTIVATION_RELU ? y : how->pre);
    a.partials = partials;
    a.O = O;
    a.rows = (uint32_t)rows;
    a.R = (uint32_t)how->R;
    a.activation = how->activation;
    a.dropout = gpu_dropout_of(how->dropout);
    constexpr int V = gpu_vector<T>::count;
    const bool vectors =
        O % V == 0 && gpu_aligned(dy) && (a.activation == VG_ACTIVATION_NONE || gpu_aligned(a.kept));
    const int W = vectors ? V : 1;
    a.lanes = 1;
    while (a.lanes * W < COLUMNS && a.lanes * W < O) a.lanes *= 2;
    const int64_t across = (O + a.lanes * W - 1) / (a.lanes * W), many = shares(rows, O);
    GPU_TRY(op, gpu_launch(vectors ? unfinish_kernel<T, V> : unfinish_kernel<T, 1>,
                           dim3((unsigned)across, (unsigned)many), dim3(WIDTH), 0, cuda->stream, a));
    return gpu_add_parts(op, partials, many, O, db, cuda->stream);
}
} // namespace

vg_status gpu_add_parts(const char *op, const float *parts, int64_t count, int64_t columns, float *to,
                        cudaStream_t stream)
{
    return gpu_launched(gpu_launch(add_parts_kernel, dim3((unsigned)((columns + 31) / 32)), dim3(WIDTH), 0,
                                   stream, parts, count, columns, to),
                        op);
}

vg_status vg__cuda_finish(vg__cuda *cuda, const char *op, vg_dtype type, int64_t rows, int64_t O,
                          const vg__finish *how, void *y)
{
    VG_TRY(gpu_rows_countable(op, rows, O));
    if (rows == 0) return VG_OK;
    if (!how->bias && !how->pre && how->activation == VG_ACTIVATION_NONE && !vg__dropout_active(how->dropout))
        return VG_OK;
    return type == VG_BF16 ? finish<gpu_bf16>(cuda, op, rows, O, how, y)
                           : finish<float>(cuda, op, rows, O, how, y);
}

size_t vg__cuda_unfinish_scratch(int64_t rows, int64_t O)
{
    return (size_t)shares(rows, O) * (size_t)O * sizeof(float);
}

vg_status vg__cuda_unfinish(vg__cuda *cuda, const char *op, vg_dtype type, int64_t rows, int64_t O,
                            const vg__finish *how, const void *y, void *dy, float *db, void *scratch)
{
    VG_TRY(gpu_rows_countable(op, rows, O));
    if (rows == 0) return VG_OK;
    float *partials = static_cast<float *>(scratch);
    return type == VG_BF16 ? unfinish<gpu_bf16>(cuda, op, rows, O, how, y, dy, db, partials)
                           : unfinish<float>(cuda, op, rows, O, how, y, dy, db, partials);
}
