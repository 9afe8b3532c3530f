/* Convolutions with one input channel, where a row of x is a number: the model's first. The tiles of
 * products.cuh would multiply zeros for the channels that are not there, so these kernels are direct, in
 * float for every type: a lane keeps 8 x 8 sums and slides along x. 65 multiply-adds for each number of y are
 * a small part of a step, and tensor cores could not save more than that. The masking and normalisation of
 * the signal stay kernels of their own: what they read and write is 1/64 of y. Not yet run on a GPU. */
#include "kernels/cuda/products.cuh"

namespace
{
/* A block takes 64 outputs. */
enum { O_TILE = 64, PITCH = O_TILE + 4, EACH = 8, O_LANES = O_TILE / EACH };

/* Forward: 128 tokens a block, 72 samples of the filter at a time. */
enum { Y_WIDTH = 128, Y_TOKENS = Y_WIDTH / O_LANES * EACH, Y_FILTER = 72 };

template <class T> struct first_forward {
    const T *x, *w;
    gpu_ending<T> ending;
    int64_t T_, O, K, column_tiles, segment_tiles;
    bool vectors;
};

template <class T> GPU_KERNEL(Y_WIDTH) forward_kernel(first_forward<T> a)
{
    GPU_SHARED(float, memory, Y_TOKENS *PITCH); /* the filter as [k][o], and then y */
    GPU_SHARED(float, x, Y_TOKENS + Y_FILTER);
    const int o = threadIdx.x % O_LANES * EACH, t = (int)threadIdx.x / O_LANES * EACH;
    const int64_t o0 = blockIdx.x % a.column_tiles * O_TILE, row_tile = blockIdx.x / a.column_tiles;
    const int64_t segment = row_tile / a.segment_tiles * a.T_, t0 = row_tile % a.segment_tiles * Y_TOKENS;
    float sums[EACH][EACH] = {};
    for (int64_t k0 = 0; k0 < a.K; k0 += Y_FILTER) {
        gpu_sync_block(); /* the piece before has been read */
        for (int i = threadIdx.x; i < Y_TOKENS + Y_FILTER; i += Y_WIDTH) {
            const int64_t from = t0 + k0 - (a.K - 1) / 2 + i;
            x[i] = from >= 0 && from < a.T_ ? gpu_to_float(a.x[segment + from]) : 0;
        }
        for (int i = threadIdx.x; i < O_TILE * Y_FILTER; i += Y_WIDTH) {
            const int r = i / Y_FILTER, k = i % Y_FILTER;
            const bool valid = o0 + r < a.O && k0 + k < a.K;
            memory[k * PITCH + r] = valid ? gpu_to_float(a.w[(o0 + r) * a.K + k0 + k]) : 0;
        }
        if (GPU_PLANTED_BUG != GPU_BUG_BARRIER) gpu_sync_block();
        const int taps = a.K - k0 < Y_FILTER ? (int)(a.K - k0) : (int)Y_FILTER;
        float window[2 * EACH];
        gpu_load_floats<float, EACH>(reinterpret_cast<float(&)[EACH]>(window[EACH]), x + t);
#pragma unroll 1
        for (int k = 0; k < taps; k += EACH) {
#pragma unroll
            for (int i = 0; i < EACH; i++) window[i] = window[EACH + i];
            gpu_load_floats<float, EACH>(reinterpret_cast<float(&)[EACH]>(window[EACH]), x + t + k + EACH);
#pragma unroll
            for (int tap = 0; tap < EACH; tap++) {
                float w[EACH];
                gpu_load_floats<float, EACH>(w, memory + (k + tap) * PITCH + o);
#pragma unroll
                for (int i = 0; i < EACH; i++)
#pragma unroll
                    for (int j = 0; j < EACH; j++) sums[i][j] += window[tap + i] * w[j];
            }
        }
    }
    gpu_sync_block();
#pragma unroll
    for (int i = 0; i < EACH; i++) gpu_store_floats<float, EACH>(memory + (t + i) * PITCH + o, sums[i]);
    gpu_sync_block();
#pragma unroll 1
    for (int i = threadIdx.x; i < Y_TOKENS * O_LANES; i += Y_WIDTH) {
        const int r = i / O_LANES, c = i % O_LANES * EACH;
        const int64_t column = o0 + c;
        if (t0 + r >= a.T_ || column >= a.O) continue;
        const uint32_t row = (uint32_t)(segment + t0 + r);
        if (a.vectors) {
            float values[EACH];
            gpu_load_floats<float, EACH>(values, memory + r * PITCH + c);
            gpu_end<T, EACH>(a.ending, values, row, column);
        } else
            for (int j = 0; j < EACH && column + j < a.O; j++) {
                float value[1] = {memory[r * PITCH + c + j]};
                gpu_end<T, 1>(a.ending, value, row, column + j);
            }
    }
}

/* Brings `rows` rows of 64 outputs from `token` on, as floats; zeros outside of the segment and of O. */
template <int WIDTH, class T>
GPU_DEVICE void fetch_dy(float *to, int pitch, int rows, const T *dy, int64_t segment, int64_t token,
                         int64_t T_, int64_t O, int64_t o0, bool vectors)
{
    constexpr int V = gpu_vector<T>::count;
    if (vectors) {
        for (int i = threadIdx.x; i < rows * (O_TILE / V); i += WIDTH) {
            const int r = i / (O_TILE / V), c = i % (O_TILE / V) * V;
            const int64_t t = token + r;
            float values[V] = {};
            if (t >= 0 && t < T_ && o0 + c < O)
                gpu_load_floats<T, V>(values, dy + (segment + t) * O + o0 + c);
            gpu_store_floats<float, V>(to + r * pitch + c, values);
        }
        return;
    }
    for (int i = threadIdx.x; i < rows * O_TILE; i += WIDTH) {
        const int r = i / O_TILE, c = i % O_TILE;
        const int64_t t = token + r;
        to[r * pitch + c] = t >= 0 && t < T_ && o0 + c < O ? gpu_to_float(dy[(segment + t) * O + o0 + c]) : 0;
    }
}

/* dw: a block takes 96 samples of the filter, and 64 tokens at a time of its part of the batch. */
enum { DW_WIDTH = 96, DW_FILTER = DW_WIDTH / O_LANES * EACH, DW_TOKENS = 64, DW_BLOCKS = 528 };

template <class T> struct first_dw {
    const T *dy, *x;
    float *to; /* (parts, O, K) */
    int64_t B, T_, O, K, o_tiles, parts;
    bool vectors;
};

template <class T> GPU_KERNEL(DW_WIDTH) dw_kernel(first_dw<T> a)
{
    GPU_SHARED(float, dy, DW_TOKENS *PITCH);
    GPU_SHARED(float, x, DW_TOKENS + DW_FILTER);
    const int o = threadIdx.x % O_LANES * EACH, k = (int)threadIdx.x / O_LANES * EACH;
    const int64_t o0 = blockIdx.x % a.o_tiles * O_TILE, k0 = blockIdx.x / a.o_tiles * DW_FILTER;
    const int64_t of_segment = (a.T_ + DW_TOKENS - 1) / DW_TOKENS, all = a.B * of_segment;
    const int64_t part = blockIdx.y, end = all * (part + 1) / a.parts;
    float sums[EACH][EACH] = {};
    for (int64_t piece = all * part / a.parts; piece < end; piece++) {
        const int64_t segment = piece / of_segment * a.T_, t0 = piece % of_segment * DW_TOKENS;
        gpu_sync_block(); /* the piece before has been read */
        fetch_dy<DW_WIDTH>(dy, PITCH, DW_TOKENS, a.dy, segment, t0, a.T_, a.O, o0, a.vectors);
        for (int i = threadIdx.x; i < DW_TOKENS + DW_FILTER; i += DW_WIDTH) {
            const int64_t from = t0 + k0 - (a.K - 1) / 2 + i;
            x[i] = from >= 0 && from < a.T_ ? gpu_to_float(a.x[segment + from]) : 0;
        }
        gpu_sync_block();
        if (k0 + k >= a.K) continue; /* only the threads of samples that are there; the barriers are above */
        float window[2 * EACH];
        gpu_load_floats<float, EACH>(reinterpret_cast<float(&)[EACH]>(window[EACH]), x + k);
#pragma unroll 1
        for (int t = 0; t < DW_TOKENS; t += EACH) {
#pragma unroll
            for (int i = 0; i < EACH; i++) window[i] = window[EACH + i];
            gpu_load_floats<float, EACH>(reinterpret_cast<float(&)[EACH]>(window[EACH]), x + k + t + EACH);
#pragma unroll
            for (int token = 0; token < EACH; token++) {
                float g[EACH];
                gpu_load_floats<float, EACH>(g, dy + (t + token) * PITCH + o);
#pragma unroll
                for (int i = 0; i < EACH; i++)
#pragma unroll
                    for (int j = 0; j < EACH; j++) sums[j][i] += window[token + i] * g[j];
            }
        }
    }
#pragma unroll
    for (int j = 0; j < EACH; j++)
#pragma unroll
        for (int i = 0; i < EACH; i++)
            if (o0 + o + j < a.O && k0 + k + i < a.K)
                a.to[(part * a.O + o0 + o + j) * a.K + k0 + k + i] = sums[j][i];
}

/* dx: asked for only where the fill value of a mask is learned. A warp takes 8 tokens, its lanes the outputs;
 * w lies as [k][o], turned round. */
enum { DX_WIDTH = 128, DX_TOKENS = DX_WIDTH / 32 * EACH, DX_FILTER = 72 };

template <class T> struct first_dx {
    const T *dy, *w;
    T *dx;
    int64_t T_, O, K, segment_tiles;
    bool vectors, add;
};

template <class T> GPU_KERNEL(DX_WIDTH) dx_kernel(first_dx<T> a)
{
    constexpr int ROWS = DX_TOKENS + DX_FILTER;
    GPU_SHARED(float, dy, ROWS *O_TILE);
    GPU_SHARED(float, w, DX_FILTER *O_TILE);
    const int lane = threadIdx.x % 32, t = (int)threadIdx.x / 32 * EACH;
    const int64_t segment = blockIdx.x / a.segment_tiles * a.T_,
                  t0 = blockIdx.x % a.segment_tiles * DX_TOKENS;
    float sums[EACH] = {};
    for (int64_t o0 = 0; o0 < a.O; o0 += O_TILE)
        for (int64_t k0 = 0; k0 < a.K; k0 += DX_FILTER) {
            gpu_sync_block(); /* the piece before has been read */
            fetch_dy<DX_WIDTH>(dy, O_TILE, ROWS, a.dy, segment, t0 + k0 - (a.K - 1) / 2, a.T_, a.O, o0,
                               a.vectors);
            for (int i = threadIdx.x; i < DX_FILTER * O_TILE; i += DX_WIDTH) {
                const int k = i / O_TILE, o = i % O_TILE;
                const bool valid = o0 + o < a.O && k0 + k < a.K;
                w[i] = valid ? gpu_to_float(a.w[(o0 + o) * a.K + a.K - 1 - k0 - k]) : 0;
            }
            gpu_sync_block();
#pragma unroll 1
            for (int o = lane; o < O_TILE; o += 32) {
                float window[2 * EACH];
#pragma unroll
                for (int i = 0; i < EACH; i++) window[EACH + i] = dy[(t + i) * O_TILE + o];
#pragma unroll 1
                for (int k = 0; k < DX_FILTER; k += EACH) {
#pragma unroll
                    for (int i = 0; i < EACH; i++) {
                        window[i] = window[EACH + i];
                        window[EACH + i] = dy[(t + k + EACH + i) * O_TILE + o];
                    }
#pragma unroll
                    for (int tap = 0; tap < EACH; tap++)
#pragma unroll
                        for (int i = 0; i < EACH; i++) sums[i] += window[tap + i] * w[(k + tap) * O_TILE + o];
                }
            }
        }
#pragma unroll
    for (int i = 0; i < EACH; i++) {
        const float sum = gpu_warp_sum(sums[i]);
        if (lane != 0 || t0 + t + i >= a.T_) continue;
        T *to = a.dx + segment + t0 + t + i;
        gpu_store(to, a.add ? sum + gpu_to_float(*to) : sum);
    }
}

vg_status grid_of(const char *op, int64_t blocks, dim3 *grid)
{
    if (blocks >= (int64_t)1 << 31)
        return vg_fail(VG_ERR_UNSUPPORTED, "%s: a grid of 2^31 blocks and more: use a smaller batch", op);
    *grid = dim3((unsigned)blocks);
    return VG_OK;
}

template <class T>
vg_status forward(vg__cuda *cuda, const vg__product &p, const void *x, const void *w,
                  const vg__finish *finish, void *y)
{
    first_forward<T> a = {};
    a.x = static_cast<const T *>(x);
    a.w = static_cast<const T *>(w);
    a.ending = gpu_ending_of<T>(finish, p.O, y);
    a.T_ = p.T;
    a.O = p.O;
    a.K = p.K;
    a.column_tiles = (p.O + O_TILE - 1) / O_TILE;
    a.segment_tiles = (p.T + Y_TOKENS - 1) / Y_TOKENS;
    a.vectors = p.O % EACH == 0 &&
                gpu_all_aligned((const void *)y, (const void *)a.ending.pre, (const void *)a.ending.bias);
    dim3 grid;
    VG_TRY(grid_of(p.op, p.B * a.segment_tiles * a.column_tiles, &grid));
    return gpu_launched(gpu_launch(forward_kernel<T>, grid, dim3(Y_WIDTH), 0, cuda->stream, a), p.op);
}

template <class T>
vg_status dx(vg__cuda *cuda, const vg__product &p, const void *dy, const void *w, void *to, bool add)
{
    first_dx<T> a = {};
    a.dy = static_cast<const T *>(dy);
    a.w = static_cast<const T *>(w);
    a.dx = static_cast<T *>(to);
    a.T_ = p.T;
    a.O = p.O;
    a.K = p.K;
    a.segment_tiles = (p.T + DX_TOKENS - 1) / DX_TOKENS;
    a.vectors = p.O % gpu_vector<T>::count == 0 && gpu_aligned(dy);
    a.add = add;
    dim3 grid;
    VG_TRY(grid_of(p.op, p.B * a.segment_tiles, &grid));
    return gpu_launched(gpu_launch(dx_kernel<T>, grid, dim3(DX_WIDTH), 0, cuda->stream, a), p.op);
}

/* How many parts the tokens are split into, by the shape alone. */
int64_t parts_of(const vg__product &p)
{
    const int64_t blocks = (p.O + O_TILE - 1) / O_TILE * ((p.K + DW_FILTER - 1) / DW_FILTER);
    const int64_t pieces = p.B * ((p.T + DW_TOKENS - 1) / DW_TOKENS);
    int64_t parts = DW_BLOCKS / blocks;
    if (parts > pieces) parts = pieces;
    return parts < 1 ? 1 : parts;
}

template <class T>
vg_status dw(vg__cuda *cuda, const vg__product &p, const void *dy, const void *x, float *to, void *scratch)
{
    first_dw<T> a = {};
    a.dy = static_cast<const T *>(dy);
    a.x = static_cast<const T *>(x);
    a.to = static_cast<float *>(scratch);
    a.B = p.B;
    a.T_ = p.T;
    a.O = p.O;
    a.K = p.K;
    a.o_tiles = (p.O + O_TILE - 1) / O_TILE;
    a.parts = parts_of(p);
    a.vectors = p.O % gpu_vector<T>::count == 0 && gpu_aligned(dy);
    dim3 grid;
    VG_TRY(grid_of(p.op, a.o_tiles * ((p.K + DW_FILTER - 1) / DW_FILTER), &grid));
    grid.y = (unsigned)a.parts;
    GPU_TRY(p.op, gpu_launch(dw_kernel<T>, grid, dim3(DW_WIDTH), 0, cuda->stream, a));
    return gpu_add_parts(p.op, a.to, a.parts, p.O * p.K, to, cuda->stream);
}
} // namespace

vg_status gpu_first_forward(vg__cuda *cuda, const vg__product &p, const void *x, const void *w,
                            const vg__finish *finish, void *y)
{
    return p.type == VG_BF16 ? forward<gpu_bf16>(cuda, p, x, w, finish, y)
                             : forward<float>(cuda, p, x, w, finish, y);
}

vg_status gpu_first_dx(vg__cuda *cuda, const vg__product &p, const void *dy, const void *w, void *to,
                       bool add)
{
    return p.type == VG_BF16 ? dx<gpu_bf16>(cuda, p, dy, w, to, add) : dx<float>(cuda, p, dy, w, to, add);
}

size_t gpu_first_dw_scratch(const vg__product &p)
{
    return (size_t)(parts_of(p) * p.O * p.K) * sizeof(float);
}

vg_status gpu_first_dw(vg__cuda *cuda, const vg__product &p, const void *dy, const void *x, float *to,
                       void *scratch)
{
    return p.type == VG_BF16 ? dw<gpu_bf16>(cuda, p, dy, x, to, scratch)
                             : dw<float>(cuda, p, dy, x, to, scratch);
}
