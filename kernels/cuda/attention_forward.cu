/* Attention, forward: softmax over the tiles of keys as they come, in one pass (Dao et al.,
 * FlashAttention-2), so that no (T, T) matrix is ever written.
 *
 * Work of a head: 4 T^2 D FLOP in two products, T^2 exponentials, and with dropout T^2 / 8 draws (5/32 T^2
 * where T is no multiple of 8). Memory: q, k, v and out once, 4 T D elements, plus T D / 64 rows of keys and
 * values per block of queries, out of the L2 cache. At the paper's T = 1281, D = 128 in bf16: 840 MFLOP for
 * 1.3 MB, 640 FLOP a byte, so the tensor cores are what counts, and what feeds them: shared memory gives an
 * SM 128 bytes a cycle, a fragment of 16 x 16 keys is 512 bytes, and mma.sync uses it for 2 * M pieces of
 * 2048 products, 2 cycles each on an A100. With 16 rows a warp (M = 1) loading would take as long as
 * multiplying; with M = 2 it takes half as long. Hence in bf16
 *     D 32, 64: 128 queries a block (4 warps of 32), 64 keys a tile, queries kept in registers for D 32;
 *     D 128:    128 queries a block, 32 keys a tile, queries read again from shared memory: 128 registers
 *               hold the result, and 68 KiB of shared memory let two blocks live on an A100 and fit sm_86.
 * Float takes 64 queries a block, and 32 keys (16 for D 128). Keys and values have two buffers: the next tile
 * travels while this one is used, and one barrier a tile keeps the warps apart. Not yet run on a GPU. */
#include "kernels/cuda/attention.cuh"

namespace
{
using namespace attention;

template <class T> struct forward {
    const T *qkv;
    T *out;
    float *lse;
    shape s;
};

template <class P, int D> struct geometry {
    static constexpr bool HALF = sizeof(typename P::element) == 2, KEPT = HALF && D == 32;
    static constexpr int M = HALF ? 2 : 1, N = (HALF ? 64 : 32) / (D == 128 ? 2 : 1), WARPS = 4;
    static constexpr int ROWS = WARPS * 16 * M, WIDTH = WARPS * 32, S = stride<typename P::element, D>;
    typedef query_bits<M, N> bits;
    static constexpr size_t BYTES =
        (size_t)(ROWS + 4 * N) * S * sizeof(typename P::element) + (size_t)WARPS * bits::COUNT * 4;
};

/* A row's maximum is let stand until a score exceeds it by so much (a power of two): with the weights
 * 2^(score - maximum) at most 2^8 nothing is lost, and most tiles need not scale the result anew. */
constexpr float SLACK = 8;

/* Block n takes ROWS queries of a head; blocks of a head are neighbours, so that its keys stay in the L2. */
template <class P, int D>
GPU_KERNEL_BLOCKS((geometry<P, D>::WIDTH), 2)
forward_kernel(forward<typename P::element> a)
{
    typedef typename P::element T;
    typedef geometry<P, D> G;
    constexpr int M = G::M, N = G::N, S = G::S;
    GPU_DYNAMIC_SHARED(T, shared);
    const shape &s = a.s;
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, g = lane / 4, q = lane % 4;
    T *queries = shared, *keys = queries + G::ROWS * S, *values = keys + 2 * N * S;
    uint32_t *bits = reinterpret_cast<uint32_t *>(values + 2 * N * S) + warp * G::bits::COUNT;

    const int blocks = (s.T + G::ROWS - 1) / G::ROWS, tiles = (s.T + N - 1) / N;
    const place at = place_of(s, blockIdx.x / blocks);
    const int begin = (int)(blockIdx.x % blocks) * G::ROWS, first = begin + warp * 16 * M;
    const int model = s.H * s.D, step = 3 * model;
    const T *q_rows = a.qkv + at.token * step + at.h * s.D, *k_rows = q_rows + model,
            *v_rows = k_rows + model;
    T *own = queries + warp * 16 * M * S;

    load_tile<G::ROWS, D, G::WIDTH>(queries, q_rows, step, begin, s);
    load_tile<N, D, G::WIDTH>(keys, k_rows, step, 0, s);
    load_tile<N, D, G::WIDTH>(values, v_rows, step, 0, s);
    gpu_cp_async_commit();
    gpu_cp_async_wait<0>();
    gpu_sync_block();
    typename P::template rows<D, M, G::KEPT> mine;
    P::template rows<D, M, G::KEPT>::take(mine, own);

    float o[M][D / 8][4] = {}, top[M][2], sum[M][2] = {};
#pragma unroll
    for (int m = 0; m < M; m++) top[m][0] = top[m][1] = -INFINITY;
    const float scale = s.scale * LOG2_E; /* scores are powers of two */
    const uint32_t segment = s.dropout.segment ? (uint32_t)s.dropout.segment[at.b] : 0;
    const int64_t row = at.h * s.T;

    for (int t = 0; t < tiles; t++) {
        gpu_cp_async_wait<GPU_PLANTED_BUG == GPU_BUG_WAIT ? 1 : 0>();
        if (GPU_PLANTED_BUG != GPU_BUG_BARRIER) gpu_sync_block(); /* tile t is there, tile t - 1 was used */
        if (t + 1 < tiles) {
            const int buffer = (t + 1) % 2 * N * S;
            load_tile<N, D, G::WIDTH>(keys + buffer, k_rows, step, (t + 1) * N, s);
            load_tile<N, D, G::WIDTH>(values + buffer, v_rows, step, (t + 1) * N, s);
            gpu_cp_async_commit();
        }
        if (s.dropout.segment) G::bits::draw(bits, s.dropout, segment, (row + first) * s.T + t * N, s.T);

        float p[M][N / 8][4] = {};
        P::template by_rows<D, M, N, G::KEPT>(p, mine, keys + t % 2 * N * S);
        const int left = s.T - t * N; /* keys of this tile; those past the end take no part */
        const bool partial = left < N && GPU_PLANTED_BUG != GPU_BUG_TAIL;
        float high[M][2];
        bool higher = false;
#pragma unroll
        for (int m = 0; m < M; m++)
#pragma unroll
            for (int half = 0; half < 2; half++) {
                float most = -INFINITY;
#pragma unroll
                for (int n = 0; n < N / 8; n++)
#pragma unroll
                    for (int c = 0; c < 2; c++) {
                        float &score = p[m][n][2 * half + c];
                        score *= scale;
                        if (partial && 8 * n + 2 * q + c >= left) score = -INFINITY;
                        most = fmaxf(most, score);
                    }
                most = fmaxf(most, gpu_shuffle_xor(most, 1));
                most = fmaxf(most, gpu_shuffle_xor(most, 2));
                high[m][half] = most;
                higher |= most > top[m][half] + SLACK;
            }
        if (gpu_ballot(higher)) {
#pragma unroll
            for (int m = 0; m < M; m++)
#pragma unroll
                for (int half = 0; half < 2; half++)
                    if (high[m][half] > top[m][half]) {
                        const float factor = gpu_exp2(top[m][half] - high[m][half]);
                        top[m][half] = high[m][half];
                        sum[m][half] *= factor;
#pragma unroll
                        for (int j = 0; j < D / 8; j++)
#pragma unroll
                            for (int c = 0; c < 2; c++) o[m][j][2 * half + c] *= factor;
                    }
        }
#pragma unroll
        for (int m = 0; m < M; m++)
#pragma unroll
            for (int n = 0; n < N / 8; n++)
#pragma unroll
                for (int i = 0; i < 4; i++) {
                    p[m][n][i] = gpu_exp2(p[m][n][i] - top[m][i / 2]);
                    sum[m][i / 2] += p[m][n][i];
                }
        if (s.dropout.segment) /* after the sum, which knows of no dropout */
#pragma unroll
            for (int m = 0; m < M; m++)
#pragma unroll
                for (int half = 0; half < 2; half++)
#pragma unroll
                    for (int n = 0; n < N / 8; n++) {
                        const uint32_t kept = G::bits::of(bits, m, half, n);
#pragma unroll
                        for (int c = 0; c < 2; c++)
                            if (!(kept >> c & 1)) p[m][n][2 * half + c] = 0;
                    }
        P::template by_columns<D, M, N>(o, p, values + t % 2 * N * S);
    }

    float factor[M][2];
#pragma unroll
    for (int m = 0; m < M; m++)
#pragma unroll
        for (int half = 0; half < 2; half++) {
            float all = sum[m][half];
            all += gpu_shuffle_xor(all, 1);
            all += gpu_shuffle_xor(all, 2);
            factor[m][half] = s.dropout.scale / all;
            const int i = first + 16 * m + 8 * half + g;
            if (q == 0 && i < s.T) a.lse[(at.b * s.H + at.h) * s.T + i] = top[m][half] * LN_2 + logf(all);
        }
    store_rows<D, M>(a.out + at.token * model + at.h * s.D, model, first, own, o, factor, s);
}

template <class P, int D> vg_status run(const vg_attention_forward_args *args, cudaStream_t stream)
{
    typedef typename P::element T;
    typedef geometry<P, D> G;
    const char *op = "attention_forward";
    const int64_t *dims = args->qkv.dims;
    forward<T> a = {};
    a.qkv = (const T *)args->qkv.data;
    a.out = (T *)args->out.data;
    a.lse = (float *)args->lse.data;
    a.s = {(int)dims[1], (int)dims[3],
           (int)dims[4], dims[4] == D && gpu_aligned(a.qkv) && gpu_aligned(a.out),
           args->scale,  gpu_dropout_of(args->dropout)};
    dim3 grid;
    VG_TRY(blocks_of(op, dims[0], dims[1], dims[3], G::ROWS, &grid));
    return gpu_launched(gpu_launch(forward_kernel<P, D>, grid, dim3(G::WIDTH), G::BYTES, stream, a), op);
}

template <class P> vg_status choose(vg__cuda *cuda, const vg_attention_forward_args *args)
{
    switch (form_of(args->qkv.dims[4], cuda->compute)) {
    case TILES_32:
        return run<P, 32>(args, cuda->stream);
    case TILES_64:
        return run<P, 64>(args, cuda->stream);
    case TILES_128:
        return run<P, 128>(args, cuda->stream);
    case PLAIN:
        break;
    }
    return vg__cuda_attention_plain_forward(cuda, args);
}
} // namespace

vg_status vg__cuda_attention_forward(vg_kernels *kernels, const vg_attention_forward_args *args)
{
    VG_TRY(vg__check_attention_forward(args, VG__F32 | VG__BF16));
    vg__cuda *cuda = vg__cuda_of(kernels);
    if (args->qkv.dims[0] * args->qkv.dims[1] == 0) return VG_OK;
    if (args->qkv.dtype == VG_BF16) return choose<in_bf16>(cuda, args);
    return kernels->tf32 ? choose<in_tf32>(cuda, args) : choose<in_float>(cuda, args);
}
