/* y = x w^T and dx = dy w of linear layers and convolutions. A convolution of stride 1 over tokens is a
 * matrix product whose left rows overlap: row t of filter sample k is row t + k - (K-1)/2 of x. So a block,
 * which owns 64 WM tokens of one segment and 32 WN outputs, brings a step of channels of its tokens and of
 * the halo once, and walks over k by reading the same tile k rows further down, while tiles of w stream past:
 * x is brought once, not K times. A linear layer is K = 1: there every step has both tiles new. Backwards the
 * filter is walked from its end and the tile of w lies (products.cuh). Not yet run on a GPU. */
#include "kernels/cuda/products.cuh"

namespace
{
enum { MAX_GROUP = 33 /* filter samples for which a tile of x has a halo */, END_PITCH = GPU_TILE_N + 8 };

template <class T> struct rows {
    const T *x, *w;
    gpu_ending<T> ending; /* backwards only y and O are looked at: dx and its columns */
    int64_t T_, I, O, K;  /* as the product has them forward: O sums backwards */
    int64_t column_tiles, segment_tiles;
    int group, x_tiles; /* filter samples for a tile of x, tiles of x in shared memory */
    bool x_vectors, w_vectors, y_vectors, add;
};

/* Where a walk over channels and filter stands; slots are places in shared memory. */
struct cursor {
    int64_t channel, k;
    int within, x_slot, w_slot;
};
GPU_DEVICE void go_on(cursor &at, int64_t K, int group, int x_tiles, int depth)
{
    at.w_slot = at.w_slot + 1 == GPU_STAGES ? 0 : at.w_slot + 1;
    at.within++;
    if (++at.k == K) {
        at.k = 0;
        at.channel += depth;
        at.within = 0;
    }
    if (at.within == group) at.within = 0;
    if (at.within == 0) at.x_slot = at.x_slot + 1 == x_tiles ? 0 : at.x_slot + 1;
}

template <class P, bool BACK, int WM, int WN>
GPU_KERNEL_BLOCKS(32 * WM * WN, P::WARPS / (WM * WN))
rows_kernel(rows<typename P::T> a)
{
    typedef typename P::T T;
    typedef gpu_tile<T> tile;
    constexpr int THREADS = 32 * WM * WN, M = GPU_TILE_M * WM, N = GPU_TILE_N * WN, D = tile::depth;
    constexpr int PITCH = tile::upright_pitch, PITCH_W = BACK ? N + GPU_LYING_PAD : PITCH;
    constexpr int TILE_W = BACK ? D * PITCH_W : N * PITCH_W, V = gpu_vector<T>::count;
    GPU_DYNAMIC_SHARED(T, memory);
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    const int warp_row = warp / WN * GPU_TILE_M, warp_column = warp % WN * GPU_TILE_N;
    const int64_t column0 = blockIdx.x % a.column_tiles * N, row_tile = blockIdx.x / a.column_tiles;
    const int64_t segment = row_tile / a.segment_tiles * a.T_, t0 = row_tile % a.segment_tiles * M;
    const int64_t channels = BACK ? a.O : a.I, columns = BACK ? a.I : a.O;
    const int64_t steps = (channels + D - 1) / D * a.K;
    const int x_rows = M + a.group - 1;
    T *const x_memory = memory + GPU_STAGES * TILE_W;

    auto fetch = [&](const cursor &at) {
        const int left = (int)(channels - at.channel);
        if (at.within == 0) {
            const int64_t t = t0 + at.k - (a.K - 1) / 2;
            gpu_window<T> x = {a.x,
                               (segment + t) * channels + at.channel,
                               channels,
                               (int)(t < 0 ? -t : 0),
                               (int)(a.T_ - t < x_rows ? a.T_ - t : x_rows),
                               left,
                               a.x_vectors};
            gpu_fetch<THREADS, D>(x_memory + at.x_slot * x_rows * PITCH, PITCH, x_rows, x);
        }
        T *to = memory + at.w_slot * TILE_W;
        if constexpr (BACK) {
            gpu_window<T> w = {a.w,        (at.channel * a.K + a.K - 1 - at.k) * a.I + column0,
                               a.K * a.I,  0,
                               left,       (int)(a.I - column0),
                               a.w_vectors};
            gpu_fetch<THREADS, N>(to, PITCH_W, D, w);
        } else {
            gpu_window<T> w = {a.w,
                               (column0 * a.K + at.k) * a.I + at.channel,
                               a.K * a.I,
                               0,
                               (int)(a.O - column0),
                               left,
                               a.w_vectors};
            gpu_fetch<THREADS, D>(to, PITCH_W, N, w);
        }
    };

    gpu_sums sums = {};
    cursor brought = {}, used = {};
    for (int s = 0; s < GPU_STAGES - 1; s++) {
        if (s < steps) {
            fetch(brought);
            go_on(brought, a.K, a.group, a.x_tiles, D);
        }
        gpu_cp_async_commit();
    }
    for (int64_t step = 0; step < steps; step++) {
        gpu_cp_async_wait<GPU_PLANTED_BUG == GPU_BUG_WAIT ? GPU_STAGES - 1 : GPU_STAGES - 2>();
        if (GPU_PLANTED_BUG != GPU_BUG_BARRIER)
            gpu_sync_block(); /* all have it, none is in the step before */
        if (step + GPU_STAGES - 1 < steps) {
            fetch(brought);
            go_on(brought, a.K, a.group, a.x_tiles, D);
        }
        gpu_cp_async_commit(); /* also when empty, so that groups are counted alike */
        const T *x = x_memory + (used.x_slot * x_rows + warp_row + used.within) * PITCH;
        const T *w = memory + used.w_slot * TILE_W + (BACK ? warp_column : warp_column * PITCH_W);
        gpu_multiply<false, BACK>(P(), sums, x, PITCH, w, PITCH_W);
        go_on(used, a.K, a.group, a.x_tiles, D);
    }
    gpu_cp_async_wait<0>();
    gpu_sync_block();

    /* Through shared memory, so that a lane ends neighbouring columns and stores 16 bytes. */
    float *end = reinterpret_cast<float *>(memory) + warp * GPU_TILE_M * END_PITCH;
#pragma unroll
    for (int i = 0; i < 4; i++)
#pragma unroll
        for (int j = 0; j < 4; j++)
#pragma unroll
            for (int e = 0; e < 4; e++)
                end[(i * 16 + lane / 4 + e / 2 * 8) * END_PITCH + j * 8 + lane % 4 * 2 + e % 2] =
                    sums[i][j][e];
    gpu_sync_warp();
#pragma unroll 1
    for (int i = lane; i < GPU_TILE_M * GPU_TILE_N / V; i += 32) {
        const int r = i / (GPU_TILE_N / V), c = i % (GPU_TILE_N / V) * V;
        const int64_t t = t0 + warp_row + r, column = column0 + warp_column + c;
        if (t >= a.T_ || column >= columns) continue;
        const uint32_t row = (uint32_t)(segment + t);
        const float *from = end + r * END_PITCH + c;
        if (a.y_vectors) {
            float values[V];
            gpu_load_floats<float, V>(values, from);
            if constexpr (BACK) {
                T *to = a.ending.y + row * columns + column;
                float old[V] = {};
                if (a.add) gpu_load_floats<T, V>(old, to);
#pragma unroll
                for (int v = 0; v < V; v++) values[v] += old[v];
                gpu_store_floats<T, V>(to, values);
            } else
                gpu_end<T, V>(a.ending, values, row, column);
        } else
            for (int v = 0; v < V && column + v < columns; v++) {
                float value[1] = {from[v]};
                if constexpr (BACK) {
                    T *to = a.ending.y + row * columns + column + v;
                    gpu_store(to, a.add ? value[0] + gpu_to_float(*to) : value[0]);
                } else
                    gpu_end<T, 1>(a.ending, value, row, column + v);
            }
    }
}

template <class P, bool BACK, int WM, int WN>
vg_status launch(vg__cuda *cuda, const char *op, rows<typename P::T> &a, int64_t segments)
{
    typedef typename P::T T;
    constexpr int M = GPU_TILE_M * WM, N = GPU_TILE_N * WN, PITCH = gpu_tile<T>::upright_pitch;
    constexpr int TILE_W = BACK ? gpu_tile<T>::depth * (N + GPU_LYING_PAD) : N * PITCH;
    a.column_tiles = ((BACK ? a.I : a.O) + N - 1) / N;
    a.segment_tiles = (a.T_ + M - 1) / M;
    /* Groups of one length but for the last. Tiles of x are as many as groups may be under way: the shortest
     * group counts for all. */
    const int64_t groups = (a.K + MAX_GROUP - 1) / MAX_GROUP;
    a.group = (int)((a.K + groups - 1) / groups);
    const int64_t last = a.K - (groups - 1) * a.group;
    a.x_tiles = 1 + (int)((GPU_STAGES - 1 + last - 1) / last);
    const size_t pipeline =
        ((size_t)GPU_STAGES * TILE_W + (size_t)a.x_tiles * (size_t)(M + a.group - 1) * PITCH) * sizeof(T);
    const size_t end = (size_t)WM * WN * GPU_TILE_M * END_PITCH * sizeof(float);
    const int64_t blocks = segments * a.segment_tiles * a.column_tiles;
    if (blocks >= (int64_t)1 << 31)
        return vg_fail(VG_ERR_UNSUPPORTED, "%s: a grid of 2^31 blocks and more: use a smaller batch", op);
    return gpu_launched(gpu_launch(rows_kernel<P, BACK, WM, WN>, dim3((unsigned)blocks), dim3(32 * WM * WN),
                                   pipeline > end ? pipeline : end, cuda->stream, a),
                        op);
}

/* Large tiles where they are many enough for a large GPU's multiprocessors; a number that is the same
 * everywhere, so that results are. */
bool large(const vg__product &p, int64_t columns)
{
    if (p.tile != VG__TILE_BY_SHAPE) return p.tile == VG__TILE_LARGE;
    return columns > 64 && p.B * ((p.T + 127) / 128) * ((columns + 127) / 128) >= 132;
}

template <class P, bool BACK>
vg_status run(vg__cuda *cuda, const vg__product &p, const void *x, const void *w, const vg__finish *finish,
              void *y, bool add)
{
    typedef typename P::T T;
    constexpr int V = gpu_vector<T>::count;
    const int64_t channels = BACK ? p.O : p.I, columns = BACK ? p.I : p.O;
    rows<T> a = {};
    a.x = static_cast<const T *>(x);
    a.w = static_cast<const T *>(w);
    a.ending = gpu_ending_of<T>(finish, columns, y);
    a.T_ = p.T;
    a.I = p.I;
    a.O = p.O;
    a.K = p.K;
    a.add = add;
    a.x_vectors = channels % V == 0 && gpu_aligned(x);
    a.w_vectors = p.I % V == 0 && gpu_aligned(w);
    a.y_vectors = columns % V == 0 &&
                  gpu_all_aligned((const void *)y, (const void *)a.ending.pre, (const void *)a.ending.bias);
    return large(p, columns) ? launch<P, BACK, 2, 4>(cuda, p.op, a, p.B)
                             : launch<P, BACK, 1, 2>(cuda, p.op, a, p.B);
}

template <bool BACK>
vg_status dispatch(vg__cuda *cuda, const vg__product &product, const void *x, const void *w,
                   const vg__finish *finish, void *y, bool add)
{
    const vg__product p = gpu_flat(product);
    if (p.type == VG_BF16) return run<gpu_bf16_cores, BACK>(cuda, p, x, w, finish, y, add);
    return p.tf32 ? run<gpu_tf32_cores, BACK>(cuda, p, x, w, finish, y, add)
                  : run<gpu_float_units, BACK>(cuda, p, x, w, finish, y, add);
}
} // namespace

vg_status vg__own_forward(vg__cuda *cuda, const vg__product *product, const void *x, const void *w,
                          const vg__finish *finish, void *y)
{
    VG_TRY(gpu_product_countable(*product));
    if (product->B * product->T == 0) return VG_OK;
    if (gpu_is_first(*product)) return gpu_first_forward(cuda, *product, x, w, finish, y);
    if (gpu_is_narrow(*product)) return gpu_narrow_forward(cuda, *product, x, w, finish, y);
    return dispatch<false>(cuda, *product, x, w, finish, y, false);
}

vg_status vg__own_dx(vg__cuda *cuda, const vg__product *product, const void *dy, const void *w, void *dx,
                     bool add)
{
    VG_TRY(gpu_product_countable(*product));
    if (product->B * product->T == 0) return VG_OK;
    if (gpu_is_first(*product)) return gpu_first_dx(cuda, *product, dy, w, dx, add);
    if (gpu_is_narrow(*product)) return gpu_narrow_dx(cuda, *product, dy, w, dx, add);
    const vg__finish nothing = {};
    return dispatch<true>(cuda, *product, dy, w, &nothing, dx, add);
}
