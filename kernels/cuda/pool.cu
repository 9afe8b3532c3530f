/* One vector a segment. Forward: a warp takes 16 bytes of channels a lane (or one channel) and every
 * WARPS-th token, so that a block reads whole lines of many tokens at once; what the warps found is put
 * together in their order. CLS and the last token are means over one token. Not yet run on a GPU. */
#include <math.h>

#include "kernels/cuda/common.h"

namespace
{
enum { WARPS = 16, WIDTH = 32 * WARPS, MAX_SEGMENTS = 65535 /* blocks in y */ };

/* The tokens that count, [from, to). */
struct range {
    int from, to;
};
range range_of(vg_pool pool, int T)
{
    if (pool == VG_POOL_CLS) return {0, 1};
    if (pool == VG_POOL_LAST) return {T - 1, T};
    return {1, T};
}

template <class T, int W>
GPU_KERNEL(WIDTH)
mean_kernel(const T *x, T *y, int64_t B, int tokens, int C, range r)
{
    GPU_SHARED(float, of_warp, WIDTH *W);
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, first = blockIdx.x * 32 * W,
              c = first + lane * W;
    for (int64_t b = blockIdx.y; b < B; b += gridDim.y) {
        float sum[W] = {};
        if (c < C)
#pragma unroll 4
            for (int t = r.from + warp; t < r.to; t += WARPS) {
                float value[W];
                gpu_load_floats(value, x + (b * tokens + t) * C + c);
#pragma unroll
                for (int w = 0; w < W; w++) sum[w] += value[w];
            }
#pragma unroll
        for (int w = 0; w < W; w++) of_warp[(warp * W + w) * 32 + lane] = sum[w];
        if (GPU_PLANTED_BUG != GPU_BUG_BARRIER) gpu_sync_block();
        if (threadIdx.x < 32 * W && first + (int)threadIdx.x < C) {
            float all = 0;
            for (int k = 0; k < WARPS; k++) all += of_warp[(k * W + threadIdx.x % W) * 32 + threadIdx.x / W];
            gpu_store(y + b * C + first + threadIdx.x, all / (float)(r.to - r.from));
        }
        gpu_sync_block(); /* the sums have been read */
    }
}

/* Each warp keeps the first of its largest; among warps the larger wins, the earlier of equals. Only token 1
 * is taken without a comparison, so a value that is not a number wins from there and from nowhere else, as
 * in a plain loop. */
template <class T, int W>
GPU_KERNEL(WIDTH)
max_kernel(const T *x, T *y, int32_t *chosen, int64_t B, int tokens, int C)
{
    GPU_SHARED(float, value_of_warp, WIDTH *W);
    GPU_SHARED(int, token_of_warp, WIDTH *W);
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, first = blockIdx.x * 32 * W,
              c = first + lane * W;
    for (int64_t b = blockIdx.y; b < B; b += gridDim.y) {
        float best[W];
        int token[W];
#pragma unroll
        for (int w = 0; w < W; w++) best[w] = -INFINITY, token[w] = tokens;
        if (c < C)
#pragma unroll 4
            for (int t = 1 + warp; t < tokens; t += WARPS) {
                float value[W];
                gpu_load_floats(value, x + (b * tokens + t) * C + c);
#pragma unroll
                for (int w = 0; w < W; w++)
                    if (t == 1 || value[w] > best[w]) best[w] = value[w], token[w] = t;
            }
#pragma unroll
        for (int w = 0; w < W; w++) {
            value_of_warp[(warp * W + w) * 32 + lane] = best[w];
            token_of_warp[(warp * W + w) * 32 + lane] = token[w];
        }
        if (GPU_PLANTED_BUG != GPU_BUG_BARRIER) gpu_sync_block();
        if (threadIdx.x < 32 * W && first + (int)threadIdx.x < C) {
            const int at = threadIdx.x % W * 32 + threadIdx.x / W;
            float largest = value_of_warp[at];
            int where = token_of_warp[at];
            for (int k = 1; k < WARPS; k++) {
                const float other = value_of_warp[k * W * 32 + at];
                const int there = token_of_warp[k * W * 32 + at];
                if (other > largest || (other == largest && there < where)) largest = other, where = there;
            }
            gpu_store(y + b * C + first + threadIdx.x, largest);
            chosen[b * C + first + threadIdx.x] = where;
        }
        gpu_sync_block();
    }
}

/* `chosen` is NULL but for the maximum. A thread takes W elements of dx. */
template <class T, int W>
GPU_KERNEL(WIDTH)
backward_kernel(const T *dy, T *dx, const int32_t *chosen, int64_t B, unsigned elements, unsigned C, range r)
{
    const unsigned e = (blockIdx.x * WIDTH + threadIdx.x) * W;
    if (e >= elements) return;
    const int t = (int)(e / C);
    const unsigned c = e % C;
    const float count = (float)(r.to - r.from);
    for (int64_t b = blockIdx.y; b < B; b += gridDim.y) {
        float flow[W] = {};
        if (t >= r.from && t < r.to) {
            gpu_load_floats(flow, dy + b * C + c);
#pragma unroll
            for (int w = 0; w < W; w++)
                flow[w] = !chosen ? flow[w] / count : chosen[b * C + c + w] == t ? flow[w] : 0;
        }
        gpu_store_floats(dx + b * elements + e, flow);
    }
}

/* Elements of a segment are counted in int inside of the kernels. */
vg_status countable(const char *op, const vg_tensor *x)
{
    if (x->dims[1] <= 1 << 30 && x->dims[2] <= 1 << 30 && x->dims[1] * x->dims[2] <= 1 << 30) return VG_OK;
    return vg_fail(VG_ERR_UNSUPPORTED, "%s: more than 2^30 elements a segment", op);
}

unsigned segment_blocks(int64_t B)
{
    return (unsigned)(B < MAX_SEGMENTS ? B : (int64_t)MAX_SEGMENTS);
}

template <class T> vg_status run(const vg_pool_forward_args *args, cudaStream_t stream)
{
    constexpr int W = gpu_vector<T>::count;
    const int64_t B = args->x.dims[0];
    const int tokens = (int)args->x.dims[1], C = (int)args->x.dims[2];
    const T *x = (const T *)args->x.data;
    if (B == 0) return VG_OK;
    const bool vectors = C % W == 0 && gpu_aligned(x);
    const int each = 32 * (vectors ? W : 1);
    const dim3 grid((unsigned)((C + each - 1) / each), segment_blocks(B));
    if (args->pool == VG_POOL_MAX)
        return gpu_launched(gpu_launch(vectors ? max_kernel<T, W> : max_kernel<T, 1>, grid, dim3(WIDTH), 0,
                                       stream, x, (T *)args->y.data, (int32_t *)args->chosen.data, B, tokens,
                                       C),
                            "pool_forward");
    return gpu_launched(gpu_launch(vectors ? mean_kernel<T, W> : mean_kernel<T, 1>, grid, dim3(WIDTH), 0,
                                   stream, x, (T *)args->y.data, B, tokens, C, range_of(args->pool, tokens)),
                        "pool_forward");
}

template <class T> vg_status run(const vg_pool_backward_args *args, cudaStream_t stream)
{
    constexpr int W = gpu_vector<T>::count;
    const int64_t B = args->dx.dims[0];
    const int tokens = (int)args->dx.dims[1];
    const unsigned C = (unsigned)args->dx.dims[2], elements = (unsigned)tokens * C;
    const T *dy = (const T *)args->dy.data;
    T *dx = (T *)args->dx.data;
    if (B == 0 || elements == 0) return VG_OK;
    const bool vectors = C % W == 0 && gpu_all_aligned(dy, dx);
    const unsigned each = WIDTH * (vectors ? W : 1);
    return gpu_launched(gpu_launch(vectors ? backward_kernel<T, W> : backward_kernel<T, 1>,
                                   dim3((elements + each - 1) / each, segment_blocks(B)), dim3(WIDTH), 0,
                                   stream, dy, dx, (const int32_t *)args->chosen.data, B, elements, C,
                                   range_of(args->pool, tokens)),
                        "pool_backward");
}
} // namespace

vg_status vg__cuda_pool_forward(vg_kernels *kernels, const vg_pool_forward_args *args)
{
    VG_TRY(vg__check_pool_forward(args, VG__F32 | VG__BF16));
    VG_TRY(countable("pool_forward", &args->x));
    const cudaStream_t stream = vg__cuda_of(kernels)->stream;
    return args->x.dtype == VG_BF16 ? run<gpu_bf16>(args, stream) : run<float>(args, stream);
}

vg_status vg__cuda_pool_backward(vg_kernels *kernels, const vg_pool_backward_args *args)
{
    VG_TRY(vg__check_pool_backward(args, VG__F32 | VG__BF16));
    VG_TRY(countable("pool_backward", &args->dx));
    const cudaStream_t stream = vg__cuda_of(kernels)->stream;
    return args->dx.dtype == VG_BF16 ? run<gpu_bf16>(args, stream) : run<float>(args, stream);
}
