/* Attention for heads of more than 128 numbers, which no model of ours has and the tiles do not take: right,
 * any size, any alignment, and slow. A block is a warp and owns one row; its lanes share the D numbers, so
 * that a product is one sum over the warp, and what is summed up lies in shared memory, each number its own
 * lane's. Not yet run on a GPU. */
#include "kernels/cuda/attention.cuh"

namespace
{
using namespace attention;

struct sizes {
    int64_t T, H, D;
    float scale;
    gpu_dropout dropout;
};

/* Row (part, t) of a head in qkv, and row t in out. */
struct rows {
    int64_t b, h, own; /* `own` is the block's row of T */
    GPU_DEVICE rows of(const sizes &s, int64_t block)
    {
        return {block / s.T / s.H, block / s.T % s.H, block % s.T};
    }
    GPU_DEVICE int64_t in_qkv(const rows &r, const sizes &s, int part, int64_t t)
    {
        return (((r.b * s.T + t) * 3 + part) * s.H + r.h) * s.D;
    }
    GPU_DEVICE int64_t in_out(const rows &r, const sizes &s, int64_t t)
    {
        return ((r.b * s.T + t) * s.H + r.h) * s.D;
    }
    GPU_DEVICE int64_t statistic(const rows &r, const sizes &s, int64_t t)
    {
        return (r.b * s.H + r.h) * s.T + t;
    }
    GPU_DEVICE float factor(const rows &r, const sizes &s, gpu_coins &coins, int64_t i, int64_t j)
    {
        return gpu_dropout_factor(s.dropout, coins, r.b, (r.h * s.T + i) * s.T + j);
    }
};

template <class T> GPU_DEVICE float product(const T *a, const T *b, int64_t D)
{
    float sum = 0;
    for (int64_t d = threadIdx.x; d < D; d += 32) sum += gpu_to_float(a[d]) * gpu_to_float(b[d]);
    return gpu_warp_sum(sum);
}

template <class T> GPU_KERNEL(32) forward_kernel(const T *qkv, T *out, float *lse, sizes s)
{
    GPU_DYNAMIC_SHARED(float, o);
    const rows r = rows::of(s, blockIdx.x);
    const T *q = qkv + rows::in_qkv(r, s, 0, r.own);
    gpu_coins coins = gpu_no_coins();
    float top = -INFINITY, sum = 0;
    for (int64_t d = threadIdx.x; d < s.D; d += 32) o[d] = 0;
    for (int64_t j = 0; j < s.T; j++) {
        const float score = s.scale * product(q, qkv + rows::in_qkv(r, s, 1, j), s.D);
        const float most = fmaxf(top, score), before = expf(top - most), weight = expf(score - most);
        const float kept = weight * rows::factor(r, s, coins, r.own, j);
        const T *v = qkv + rows::in_qkv(r, s, 2, j);
        top = most;
        sum = sum * before + weight;
        for (int64_t d = threadIdx.x; d < s.D; d += 32) o[d] = o[d] * before + kept * gpu_to_float(v[d]);
    }
    for (int64_t d = threadIdx.x; d < s.D; d += 32)
        gpu_store(out + rows::in_out(r, s, r.own) + d, o[d] / sum);
    if (threadIdx.x == 0) lse[rows::statistic(r, s, r.own)] = top + logf(sum);
}

template <class T> struct backward {
    const T *dout, *qkv, *out;
    T *dqkv;
    const float *lse;
    float *delta;
    sizes s;
};

/* p and ds (without the scale) of query i and key j. */
struct slopes {
    float kept, ds;
};
template <class T>
GPU_DEVICE slopes slopes_of(const backward<T> &a, const rows &r, gpu_coins &coins, float delta, int64_t i,
                            int64_t j)
{
    const sizes &s = a.s;
    const float score =
        s.scale * product(a.qkv + rows::in_qkv(r, s, 0, i), a.qkv + rows::in_qkv(r, s, 1, j), s.D);
    const float g = product(a.dout + rows::in_out(r, s, i), a.qkv + rows::in_qkv(r, s, 2, j), s.D);
    const float power = score - a.lse[rows::statistic(r, s, i)], weight = expf(power > 1 ? 1 : power);
    const float factor = rows::factor(r, s, coins, i, j);
    return {weight * factor, weight * (factor * g - delta)};
}

/* The block's row is a query: delta and dq. */
template <class T> GPU_KERNEL(32) queries_kernel(backward<T> a)
{
    GPU_DYNAMIC_SHARED(float, dq);
    const sizes &s = a.s;
    const rows r = rows::of(s, blockIdx.x);
    gpu_coins coins = gpu_no_coins();
    const float delta = product(a.dout + rows::in_out(r, s, r.own), a.out + rows::in_out(r, s, r.own), s.D);
    if (threadIdx.x == 0) a.delta[rows::statistic(r, s, r.own)] = delta;
    for (int64_t d = threadIdx.x; d < s.D; d += 32) dq[d] = 0;
    for (int64_t j = 0; j < s.T; j++) {
        const float ds = slopes_of(a, r, coins, delta, r.own, j).ds;
        const T *k = a.qkv + rows::in_qkv(r, s, 1, j);
        for (int64_t d = threadIdx.x; d < s.D; d += 32) dq[d] += ds * gpu_to_float(k[d]);
    }
    for (int64_t d = threadIdx.x; d < s.D; d += 32)
        gpu_store(a.dqkv + rows::in_qkv(r, s, 0, r.own) + d, dq[d] * s.scale);
}

/* The block's row is a key: dk and dv, after queries_kernel. */
template <class T> GPU_KERNEL(32) keys_kernel(backward<T> a)
{
    GPU_DYNAMIC_SHARED(float, dk);
    const sizes &s = a.s;
    float *dv = dk + s.D;
    const rows r = rows::of(s, blockIdx.x);
    gpu_coins coins = gpu_no_coins();
    for (int64_t d = threadIdx.x; d < 2 * s.D; d += 32) dk[d] = 0;
    gpu_sync_warp(); /* D need not be a multiple of 32: dv may be another lane's to zero */
    for (int64_t i = 0; i < s.T; i++) {
        const slopes slope = slopes_of(a, r, coins, a.delta[rows::statistic(r, s, i)], i, r.own);
        const T *q = a.qkv + rows::in_qkv(r, s, 0, i), *dout = a.dout + rows::in_out(r, s, i);
        for (int64_t d = threadIdx.x; d < s.D; d += 32) {
            dk[d] += slope.ds * gpu_to_float(q[d]);
            dv[d] += slope.kept * gpu_to_float(dout[d]);
        }
    }
    for (int64_t d = threadIdx.x; d < s.D; d += 32) {
        gpu_store(a.dqkv + rows::in_qkv(r, s, 1, r.own) + d, dk[d] * s.scale);
        gpu_store(a.dqkv + rows::in_qkv(r, s, 2, r.own) + d, dv[d]);
    }
}

/* A block for each row; up to 2 D floats of shared memory, of which every GPU has 48 KiB. */
vg_status grid_of(const char *op, const int64_t *dims, dim3 *grid)
{
    if (dims[4] > 6144)
        return vg_fail(VG_ERR_UNSUPPORTED, "%s: a head of %lld numbers; the CUDA kernels take 6144 at most",
                       op, (long long)dims[4]);
    return blocks_of(op, dims[0], dims[1], dims[3], 1, grid);
}

template <class T>
vg_status run(const vg_attention_forward_args *args, const sizes &s, dim3 grid, cudaStream_t stream)
{
    return gpu_launched(gpu_launch(forward_kernel<T>, grid, dim3(32), (size_t)s.D * 4, stream,
                                   (const T *)args->qkv.data, (T *)args->out.data, (float *)args->lse.data,
                                   s),
                        "attention_forward");
}

template <class T>
vg_status run(const vg_attention_backward_args *args, const sizes &s, dim3 grid, cudaStream_t stream)
{
    const char *op = "attention_backward";
    const backward<T> a = {(const T *)args->dout.data,
                           (const T *)args->qkv.data,
                           (const T *)args->out.data,
                           (T *)args->dqkv.data,
                           (const float *)args->lse.data,
                           (float *)args->delta.data,
                           s};
    GPU_TRY(op, gpu_launch(queries_kernel<T>, grid, dim3(32), (size_t)s.D * 4, stream, a));
    return gpu_launched(gpu_launch(keys_kernel<T>, grid, dim3(32), (size_t)s.D * 8, stream, a), op);
}

template <class A> vg_status choose(const char *op, vg__cuda *cuda, const A *args)
{
    const int64_t *dims = args->qkv.dims;
    const sizes s = {dims[1], dims[3], dims[4], args->scale, gpu_dropout_of(args->dropout)};
    dim3 grid;
    VG_TRY(grid_of(op, dims, &grid));
    return args->qkv.dtype == VG_BF16 ? run<gpu_bf16>(args, s, grid, cuda->stream)
                                      : run<float>(args, s, grid, cuda->stream);
}
} // namespace

vg_status vg__cuda_attention_plain_forward(vg__cuda *cuda, const vg_attention_forward_args *args)
{
    return choose("attention_forward", cuda, args);
}

vg_status vg__cuda_attention_plain_backward(vg__cuda *cuda, const vg_attention_backward_args *args)
{
    return choose("attention_backward", cuda, args);
}
