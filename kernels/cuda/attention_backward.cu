/* Attention, backward: the weights p are computed anew from q, k and the saved log-sum-exp.
 *
 * With s = scale q.k, p = exp(s - lse), m dropout's factor, g = dout.v and delta = rowsum(dout * out):
 *     dv = (m p)^T dout,  ds = p (m g - delta),  dq = scale ds k,  dk = scale ds^T q
 * Two kernels of one template: one owns keys and walks over queries (dk and dv: four products), the other
 * owns queries and walks over keys (dq: three). The usual single kernel does with five products instead of
 * seven, but then several blocks add to the same dq: by atomics, whose order no two runs share, or through a
 * float dq per block of keys, summed in order. At T = 1281, D = 128 the two further products of a head are
 * 840 MFLOP, 2 microseconds of the whole of an H100 at 400 TFLOP/s; partial sums would be 20 blocks * 1281 *
 * 128 floats, 13 MB written and read again: 8 microseconds at 3.3 TB/s. So computing it twice is the cheaper
 * way to the same bits on every run, and needs no scratch that grows with T^2.
 *
 * Work of a head: 14 T^2 D FLOP, 2 T^2 exponentials, dropout's draws twice. Memory: qkv, dout and dqkv twice
 * over, 20 T D elements at most, and per block of rows another 2 T D out of the L2. Tiles, chosen for 255
 * registers a thread (two blocks of 128 threads an SM) and the 99 KiB that a block may have on sm_86: in bf16
 *     D 32, 64: 128 rows a block (4 warps of 32), 32 rows a tile; but for D 64 the keys' kernel, whose dk and
 *               dv would take 128 registers, 64 rows a block (4 warps of 16), kept in registers (37 KiB);
 *     D 128:    64 rows a block (4 warps of 16): dk and dv take 128 registers, s and g 32 (68 KiB).
 * Float: 64 rows a block, for D 128 32 rows by 2 warps. Not yet run on a GPU. */
#include "kernels/cuda/attention.cuh"

namespace
{
using namespace attention;

template <class T> struct backward {
    const T *dout, *qkv;
    T *dqkv;
    const float *lse, *delta;
    shape s;
};

enum { DELTA_WARPS = 8 };

/* delta[b,h,i] = sum_d dout * out; a warp takes a row. */
template <class T>
GPU_KERNEL(32 * DELTA_WARPS)
delta_kernel(const T *dout, const T *out, float *delta, int64_t rows, int T_, int H, int D)
{
    const int64_t row = (int64_t)blockIdx.x * DELTA_WARPS + threadIdx.x / 32; /* (b, i, h) */
    if (row >= rows) return;
    float sum = 0;
    for (int d = threadIdx.x % 32; d < D; d += 32)
        sum += gpu_to_float(dout[row * D + d]) * gpu_to_float(out[row * D + d]);
    sum = gpu_warp_sum(sum);
    const int64_t token = row / H, b = token / T_;
    if (threadIdx.x % 32 == 0) delta[(b * H + row % H) * T_ + token % T_] = sum;
}

template <class P, int D, bool KEYS> struct geometry {
    static constexpr bool HALF = sizeof(typename P::element) == 2;
    /* bf16: dk and dv of 32 rows a warp would take more registers for D 64 than there are. */
    static constexpr bool FEW = HALF && KEYS && D == 64;
    static constexpr bool KEPT = FEW || (HALF && !KEYS && D != 64); /* where registers are left */
    static constexpr int M = HALF && D != 128 && !FEW ? 2 : 1, N = HALF || D != 128 ? 32 : 16;
    static constexpr int WARPS = HALF || D != 128 ? 4 : 2;
    static constexpr int ROWS = WARPS * 16 * M, WIDTH = WARPS * 32, S = stride<typename P::element, D>;
    typedef query_bits<M, N> bits; /* of queries that the warp owns */
    static constexpr int WORDS = KEYS ? N : bits::COUNT;
    static constexpr size_t BYTES =
        (size_t)(2 * ROWS + 4 * N) * S * sizeof(typename P::element) + (size_t)(4 * N + WARPS * WORDS) * 4;
    static_assert(2 * N <= WIDTH, "a thread brings one statistic of a tile");
};

/* The block's ROWS rows are keys (and values), the tiles queries (and dout); without KEYS the reverse. Rows
 * past T are zeros on either side: their p is some number from 0 to e, and it meets zeros in each product. */
template <class P, int D, bool KEYS>
GPU_KERNEL_BLOCKS((geometry<P, D, KEYS>::WIDTH), 2)
backward_kernel(backward<typename P::element> a)
{
    typedef typename P::element T;
    typedef geometry<P, D, KEYS> G;
    constexpr int M = G::M, N = G::N, S = G::S;
    GPU_DYNAMIC_SHARED(T, shared);
    const shape &s = a.s;
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, g = lane / 4, q = lane % 4;
    T *own_a = shared, *own_b = own_a + G::ROWS * S; /* k and v, or q and dout */
    T *tile_a = own_b + G::ROWS * S, *tile_b = tile_a + 2 * N * S;
    float *statistics = reinterpret_cast<float *>(tile_b + 2 * N * S); /* per buffer: N of lse, N of delta */
    uint32_t *bits = reinterpret_cast<uint32_t *>(statistics + 4 * N) + warp * G::WORDS;

    const int blocks = (s.T + G::ROWS - 1) / G::ROWS, tiles = (s.T + N - 1) / N;
    const place at = place_of(s, blockIdx.x / blocks);
    const int begin = (int)(blockIdx.x % blocks) * G::ROWS, first = begin + warp * 16 * M;
    const int model = s.H * s.D, step = 3 * model, head = at.h * s.D;
    const T *q_rows = a.qkv + at.token * step + head, *k_rows = q_rows + model, *v_rows = k_rows + model;
    const T *dout_rows = a.dout + at.token * model + head;
    const T *rows_a = KEYS ? q_rows : k_rows, *rows_b = KEYS ? dout_rows : v_rows; /* of the tiles */
    const int step_b = KEYS ? model : step;
    const float *lse = a.lse + (at.b * s.H + at.h) * s.T, *delta = a.delta + (at.b * s.H + at.h) * s.T;
    T *warp_a = own_a + warp * 16 * M * S, *warp_b = own_b + warp * 16 * M * S;

    load_tile<G::ROWS, D, G::WIDTH>(own_a, KEYS ? k_rows : q_rows, step, begin, s);
    load_tile<G::ROWS, D, G::WIDTH>(own_b, KEYS ? v_rows : dout_rows, KEYS ? step : model, begin, s);
    load_tile<N, D, G::WIDTH>(tile_a, rows_a, step, 0, s);
    load_tile<N, D, G::WIDTH>(tile_b, rows_b, step_b, 0, s);
    gpu_cp_async_commit();
    /* Thread n < N looks after lse of query n of a tile, thread N + n after its delta. */
    const float *statistic = (int)threadIdx.x < N ? lse : delta;
    const int which = threadIdx.x % N;
    if (KEYS && threadIdx.x < 2 * N) statistics[threadIdx.x] = which < s.T ? statistic[which] : 0;
    gpu_cp_async_wait<0>();
    gpu_sync_block();
    typename P::template rows<D, M, G::KEPT> mine_a, mine_b;
    P::template rows<D, M, G::KEPT>::take(mine_a, warp_a);
    P::template rows<D, M, G::KEPT>::take(mine_b, warp_b);
    float own_lse[M][2], own_delta[M][2];
#pragma unroll
    for (int m = 0; m < M; m++)
#pragma unroll
        for (int half = 0; half < 2; half++) {
            const int i = first + 16 * m + 8 * half + g;
            const bool valid = !KEYS && i < s.T;
            own_lse[m][half] = valid ? lse[i] : 0;
            own_delta[m][half] = valid ? delta[i] : 0;
        }

    float sum_a[M][D / 8][4] = {}, sum_b[KEYS ? M : 1][KEYS ? D / 8 : 1][4] = {}; /* dk or dq; dv */
    const uint32_t segment = s.dropout.segment ? (uint32_t)s.dropout.segment[at.b] : 0;

    const int64_t row = at.h * s.T;

    for (int t = 0; t < tiles; t++) {
        const int now = t % 2, next = 1 - now;
        const T *a_now = tile_a + now * N * S, *b_now = tile_b + now * N * S;
        gpu_cp_async_wait<GPU_PLANTED_BUG == GPU_BUG_WAIT ? 1 : 0>();
        if (GPU_PLANTED_BUG != GPU_BUG_BARRIER) gpu_sync_block(); /* tile t is there, tile t - 1 was used */
        float travelling = 0;
        if (t + 1 < tiles) {
            load_tile<N, D, G::WIDTH>(tile_a + next * N * S, rows_a, step, (t + 1) * N, s);
            load_tile<N, D, G::WIDTH>(tile_b + next * N * S, rows_b, step_b, (t + 1) * N, s);
            gpu_cp_async_commit();
            const int i = (t + 1) * N + which;
            if (KEYS && threadIdx.x < 2 * N && i < s.T) travelling = statistic[i];
        }
        if (s.dropout.segment) {
            if constexpr (KEYS) { /* word: a query, bit: a key */
                gpu_sync_warp();
                for (int n = lane; n < N; n += 32)
                    bits[n + (GPU_PLANTED_BUG == GPU_BUG_SHARED ? 1 : 0)] =
                        kept_bits<16 * M>(s.dropout, segment, (row + t * N + n) * s.T + first);
                gpu_sync_warp();
            } else
                G::bits::draw(bits, s.dropout, segment, (row + first) * s.T + t * N, s.T);
        }

        float p[M][N / 8][4] = {}, ds[M][N / 8][4] = {};
        P::template by_rows<D, M, N, G::KEPT>(p, mine_a, a_now);
        P::template by_rows<D, M, N, G::KEPT>(ds, mine_b, b_now);
#pragma unroll
        for (int n = 0; n < N / 8; n++) {
#pragma unroll
            for (int c = 0; c < 2; c++) {
                const int column = 8 * n + 2 * q + c;
                float column_lse = 0, column_delta = 0;
                uint32_t column_bits = 0;
                if constexpr (KEYS) {
                    column_lse = statistics[now * 2 * N + column];
                    column_delta = statistics[now * 2 * N + N + column];
                    if (s.dropout.segment) column_bits = bits[column] >> g;
                }
#pragma unroll
                for (int m = 0; m < M; m++)
#pragma unroll
                    for (int half = 0; half < 2; half++) {
                        float &weight = p[m][n][2 * half + c], &slope = ds[m][n][2 * half + c];
                        /* A weight is at most 1 but for what lse was rounded by, half a unit at 2^23:
                         * hopelessly huge scores shall not overflow. What is not a number stays so. The
                         * factor of log2(e) comes last: scale and lse would be rounded by it once more. */
                        float power = weight * s.scale - (KEYS ? column_lse : own_lse[m][half]);
                        power = power > 1 ? 1 : power;
                        weight = gpu_exp2(power * LOG2_E);
                        bool kept = true;
                        if (s.dropout.segment) {
                            if constexpr (KEYS)
                                kept = column_bits >> (16 * m + 8 * half) & 1;
                            else
                                kept = G::bits::of(bits, m, half, n) >> c & 1;
                        }
                        const float dropped = kept ? slope * s.dropout.scale : 0;
                        slope = weight * (dropped - (KEYS ? column_delta : own_delta[m][half]));
                        if (!kept) weight = 0;
                    }
            }
        }
        if constexpr (KEYS) P::template by_columns<D, M, N>(sum_b, p, b_now);
        P::template by_columns<D, M, N>(sum_a, ds, a_now);
        if (KEYS && threadIdx.x < 2 * N) statistics[next * 2 * N + threadIdx.x] = travelling;
    }

    float factor[M][2];
    T *to = a.dqkv + (q_rows - a.qkv); /* laid out alike, and one number less to keep */
#pragma unroll
    for (int m = 0; m < M; m++) factor[m][0] = factor[m][1] = s.scale;
    store_rows<D, M>(to + (KEYS ? model : 0), step, first, warp_a, sum_a, factor, s);
    if constexpr (KEYS) {
#pragma unroll
        for (int m = 0; m < M; m++) factor[m][0] = factor[m][1] = s.dropout.scale;
        store_rows<D, M>(to + 2 * model, step, first, warp_b, sum_b, factor, s);
    }
}

template <class P, int D, bool KEYS>
vg_status launch(const char *op, const backward<typename P::element> &a, int64_t B, cudaStream_t stream)
{
    typedef geometry<P, D, KEYS> G;
    dim3 grid;
    VG_TRY(blocks_of(op, B, a.s.T, a.s.H, G::ROWS, &grid));
    return gpu_launched(gpu_launch(backward_kernel<P, D, KEYS>, grid, dim3(G::WIDTH), G::BYTES, stream, a),
                        op);
}

template <class P, int D> vg_status run(const vg_attention_backward_args *args, cudaStream_t stream)
{
    typedef typename P::element T;
    const char *op = "attention_backward";
    const int64_t *dims = args->qkv.dims;
    backward<T> a = {};
    a.dout = (const T *)args->dout.data;
    a.qkv = (const T *)args->qkv.data;
    a.dqkv = (T *)args->dqkv.data;
    a.lse = (const float *)args->lse.data;
    a.delta = (const float *)args->delta.data;
    a.s = {(int)dims[1], (int)dims[3],
           (int)dims[4], dims[4] == D && gpu_aligned(a.dout) && gpu_aligned(a.qkv) && gpu_aligned(a.dqkv),
           args->scale,  gpu_dropout_of(args->dropout)};
    const int64_t rows = dims[0] * dims[1] * dims[3];
    dim3 grid;
    VG_TRY(blocks_of(op, 1, rows, 1, DELTA_WARPS, &grid));
    GPU_TRY(op, gpu_launch(delta_kernel<T>, grid, dim3(32 * DELTA_WARPS), 0, stream, a.dout,
                           (const T *)args->out.data, (float *)args->delta.data, rows, a.s.T, a.s.H, a.s.D));
    VG_TRY((launch<P, D, true>(op, a, dims[0], stream)));
    return launch<P, D, false>(op, a, dims[0], stream);
}

template <class P> vg_status choose(vg__cuda *cuda, const vg_attention_backward_args *args)
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
    return vg__cuda_attention_plain_backward(cuda, args);
}
} // namespace

vg_status vg__cuda_attention_backward(vg_kernels *kernels, const vg_attention_backward_args *args)
{
    VG_TRY(vg__check_attention_backward(args, VG__F32 | VG__BF16));
    vg__cuda *cuda = vg__cuda_of(kernels);
    if (args->qkv.dims[0] * args->qkv.dims[1] == 0) return VG_OK;
    if (args->qkv.dtype == VG_BF16) return choose<in_bf16>(cuda, args);
    return kernels->tf32 ? choose<in_tf32>(cuda, args) : choose<in_float>(cuda, args);
}
