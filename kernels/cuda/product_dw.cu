/* dw += dy^T x of linear layers and convolutions: sums over all tokens of the batch. A block owns 64 WM
 * outputs, 32 WN inputs and WK neighbouring samples of the filter, and walks over a part of the tokens; tiles
 * of dy and x lie there as in memory, one token a row. For a convolution the filter samples of a block share
 * its tile of dy and, with WK - 1 rows of halo, its tile of x: sample k reads x one row further down.
 * The tokens are split into parts, more of them where dw is small, by the shape alone; each part's sums go to
 * scratch as floats and are added up in the order of the parts. Not yet run on a GPU. */
#include "kernels/cuda/products.cuh"

namespace
{
enum {
    WANTED_BLOCKS = 264, /* two for each multiprocessor of a large GPU, the same number on every GPU */
    SHORTEST = 4         /* steps of a part, at least */
};

template <class T> struct sums_over_tokens {
    const T *dy, *x;
    float *to; /* (parts, O, K, I), or dw itself when there is one part */
    int64_t B, T_, I, O, K;
    int64_t o_tiles, i_tiles, parts;
    bool dy_vectors, x_vectors, add;
};

template <class P, int WM, int WN, int WK>
GPU_KERNEL_BLOCKS(32 * WM * WN * WK, P::WARPS / (WM * WN * WK))
dw_kernel(sums_over_tokens<typename P::T> a)
{
    typedef typename P::T T;
    constexpr int THREADS = 32 * WM * WN * WK, M = GPU_TILE_M * WM, N = GPU_TILE_N * WN;
    constexpr int D = gpu_tile<T>::depth, PITCH_DY = M + GPU_LYING_PAD, PITCH_X = N + GPU_LYING_PAD;
    constexpr int X_ROWS = D + WK - 1, STAGE = D * PITCH_DY + X_ROWS * PITCH_X;
    GPU_DYNAMIC_SHARED(T, memory);
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, within = warp / (WM * WN);
    const int warp_o = warp / WN % WM * GPU_TILE_M, warp_i = warp % WN * GPU_TILE_N;
    const int64_t i0 = blockIdx.x % a.i_tiles * N, tile = blockIdx.x / a.i_tiles;
    const int64_t o0 = tile % a.o_tiles * M, k0 = tile / a.o_tiles * WK, part = blockIdx.y;
    const int64_t of_segment = (a.T_ + D - 1) / D, all = a.B * of_segment;
    const int64_t begin = all * part / a.parts, steps = all * (part + 1) / a.parts - begin;

    int64_t b = begin / of_segment, t = begin % of_segment * D;
    int slot = 0;
    auto fetch = [&] {
        T *to = memory + slot * STAGE;
        const int left = (int)(a.T_ - t < D ? a.T_ - t : D);
        gpu_window<T> dy = {a.dy, (b * a.T_ + t) * a.O + o0, a.O, 0, left, (int)(a.O - o0), a.dy_vectors};
        gpu_fetch<THREADS, M>(to, PITCH_DY, D, dy);
        const int64_t from = t + k0 - (a.K - 1) / 2;
        gpu_window<T> x = {a.x,
                           (b * a.T_ + from) * a.I + i0,
                           a.I,
                           (int)(from < 0 ? -from : 0),
                           (int)(a.T_ - from < X_ROWS ? a.T_ - from : X_ROWS),
                           (int)(a.I - i0),
                           a.x_vectors};
        gpu_fetch<THREADS, N>(to + D * PITCH_DY, PITCH_X, X_ROWS, x);
        slot = slot + 1 == GPU_STAGES ? 0 : slot + 1;
        t += D;
        if (t >= a.T_) {
            t = 0;
            b++;
        }
    };

    gpu_sums sums = {};
    for (int s = 0; s < GPU_STAGES - 1; s++) {
        if (s < steps) fetch();
        gpu_cp_async_commit();
    }
    int used = 0;
    for (int64_t step = 0; step < steps; step++) {
        gpu_cp_async_wait<GPU_PLANTED_BUG == GPU_BUG_WAIT ? GPU_STAGES - 1 : GPU_STAGES - 2>();
        if (GPU_PLANTED_BUG != GPU_BUG_BARRIER)
            gpu_sync_block(); /* all have it, none is in the step before */
        if (step + GPU_STAGES - 1 < steps) fetch();
        gpu_cp_async_commit();
        const T *dy = memory + used * STAGE + warp_o;
        const T *x = memory + used * STAGE + D * PITCH_DY + within * PITCH_X + warp_i;
        gpu_multiply<true, true>(P(), sums, dy, PITCH_DY, x, PITCH_X);
        used = used + 1 == GPU_STAGES ? 0 : used + 1;
    }
    gpu_cp_async_wait<0>();

    const int64_t k = k0 + within;
    if (k >= a.K) return;
    float *to = a.to + part * a.O * a.K * a.I;
#pragma unroll
    for (int i = 0; i < 4; i++)
#pragma unroll
        for (int j = 0; j < 4; j++)
#pragma unroll
            for (int e = 0; e < 4; e++) {
                const int64_t row = o0 + warp_o + i * 16 + lane / 4 + e / 2 * 8;
                const int64_t column = i0 + warp_i + j * 8 + lane % 4 * 2 + e % 2;
                if (row >= a.O || column >= a.I) continue;
                float *at = to + (row * a.K + k) * a.I + column;
                *at = a.add ? *at + sums[i][j][e] : sums[i][j][e];
            }
}

/* How a product is cut: blocks for one part of the tokens, and parts. */
struct cut {
    bool large;
    int64_t o_tiles, i_tiles, blocks, parts;
};
cut cut_of(const vg__product &p)
{
    cut c = {};
    c.large = p.K == 1 && (p.tile == VG__TILE_BY_SHAPE ? p.I > 64 && p.O > 64 : p.tile == VG__TILE_LARGE);
    const int64_t M = c.large ? 128 : 64, N = c.large ? 128 : 64, samples = p.K == 1 ? 1 : 4;
    const int64_t depth = p.type == VG_BF16 ? gpu_tile<gpu_bf16>::depth : gpu_tile<float>::depth;
    c.o_tiles = (p.O + M - 1) / M;
    c.i_tiles = (p.I + N - 1) / N;
    c.blocks = c.o_tiles * c.i_tiles * ((p.K + samples - 1) / samples);
    const int64_t steps = p.B * ((p.T + depth - 1) / depth);
    c.parts = WANTED_BLOCKS / c.blocks;
    if (c.parts > steps / SHORTEST) c.parts = steps / SHORTEST;
    if (c.parts < 1) c.parts = 1;
    return c;
}

template <class P, int WM, int WN, int WK>
vg_status launch(vg__cuda *cuda, const char *op, const sums_over_tokens<typename P::T> &a, const cut &c)
{
    typedef typename P::T T;
    constexpr int D = gpu_tile<T>::depth, M = GPU_TILE_M * WM, N = GPU_TILE_N * WN;
    constexpr size_t stage =
        (size_t)(D * (M + GPU_LYING_PAD) + (D + WK - 1) * (N + GPU_LYING_PAD)) * sizeof(T);
    return gpu_launched(gpu_launch(dw_kernel<P, WM, WN, WK>, dim3((unsigned)c.blocks, (unsigned)c.parts),
                                   dim3(32 * WM * WN * WK), GPU_STAGES * stage, cuda->stream, a),
                        op);
}

template <class P>
vg_status run(vg__cuda *cuda, const vg__product &p, const void *dy, const void *x, float *dw, void *scratch)
{
    typedef typename P::T T;
    constexpr int V = gpu_vector<T>::count;
    const cut c = cut_of(p);
    if (c.blocks >= (int64_t)1 << 31)
        return vg_fail(VG_ERR_UNSUPPORTED, "%s: a gradient of 2^31 tiles and more", p.op);
    sums_over_tokens<T> a = {};
    a.dy = static_cast<const T *>(dy);
    a.x = static_cast<const T *>(x);
    a.add = c.parts == 1;
    a.to = a.add ? dw : static_cast<float *>(scratch);
    a.B = p.B;
    a.T_ = p.T;
    a.I = p.I;
    a.O = p.O;
    a.K = p.K;
    a.o_tiles = c.o_tiles;
    a.i_tiles = c.i_tiles;
    a.parts = c.parts;
    a.dy_vectors = p.O % V == 0 && gpu_aligned(dy);
    a.x_vectors = p.I % V == 0 && gpu_aligned(x);
    VG_TRY(p.K > 1   ? (launch<P, 1, 2, 4>(cuda, p.op, a, c))
           : c.large ? (launch<P, 2, 4, 1>(cuda, p.op, a, c))
                     : (launch<P, 1, 2, 1>(cuda, p.op, a, c)));
    if (a.add) return VG_OK;
    return gpu_add_parts(p.op, a.to, c.parts, p.O * p.K * p.I, dw, cuda->stream);
}
} // namespace

size_t vg__own_dw_scratch(const vg__product *product)
{
    if (gpu_is_first(*product)) return gpu_first_dw_scratch(*product);
    if (gpu_is_narrow(*product)) return gpu_narrow_dw_scratch(*product);
    const cut c = cut_of(gpu_flat(*product));
    return c.parts == 1 ? 0 : (size_t)(c.parts * product->O * product->K * product->I) * sizeof(float);
}

vg_status vg__own_dw(vg__cuda *cuda, const vg__product *product, const void *dy, const void *x, float *dw,
                     void *scratch)
{
    VG_TRY(gpu_product_countable(*product));
    if (product->B * product->T == 0) return VG_OK;
    if (gpu_is_first(*product)) return gpu_first_dw(cuda, *product, dy, x, dw, scratch);
    if (gpu_is_narrow(*product)) return gpu_narrow_dw(cuda, *product, dy, x, dw, scratch);
    const vg__product p = gpu_flat(*product);
    if (p.type == VG_BF16) return run<gpu_bf16_cores>(cuda, p, dy, x, dw, scratch);
    return p.tf32 ? run<gpu_tf32_cores>(cuda, p, dy, x, dw, scratch)
                  : run<gpu_float_units>(cuda, p, dy, x, dw, scratch);
}
