/* What the forward and the backward of attention share: the form that serves a call, tiles in shared memory,
 * products of tiles in each arithmetic, and dropout's bits.
 *
 * Every product has one of two shapes. A warp owns 16 * M rows and walks over tiles of N rows:
 *     by_rows:    s (16 M x N)  = own rows (16 M x D) * tile (N x D)^T      Q K^T, dO V^T and their
 * transposes by_columns: o (16 M x D) += p (16 M x N) * tile (N x D)               P V, dS K, P^T dO, dS^T Q
 * and both s and o lie in the lanes as mma leaves its results (m16n8: lane 4 g + q holds columns 2 q and
 * 2 q + 1 of rows g and g + 8 of each 16 x 8 piece). So p is what s has become and never leaves the
 * registers, whichever arithmetic multiplies: bf16 or tf32 on the tensor cores, or true float. */
#ifndef VAGUS_KERNELS_CUDA_ATTENTION_CUH
#define VAGUS_KERNELS_CUDA_ATTENTION_CUH

#include "kernels/cuda/common.h"

/* A call that the tiles do not take (D > 128). */
VG_NODISCARD vg_status vg__cuda_attention_plain_forward(vg__cuda *cuda,
                                                        const vg_attention_forward_args *args);
VG_NODISCARD vg_status vg__cuda_attention_plain_backward(vg__cuda *cuda,
                                                         const vg_attention_backward_args *args);

namespace attention
{
/* Who serves a call. TILES_n: the kernels with rows of n in shared memory; a smaller D is filled up with
 * zeros, which change no product. A form for Hopper (wgmma, TMA) will stand in a file of its own, and
 * form_of() will choose it by `compute`. */
enum form { TILES_32, TILES_64, TILES_128, PLAIN };
inline form form_of(int64_t D, int compute)
{
    (void)compute; /* mma.sync and cp.async are the same from sm_80 to sm_100 */
    return D <= 32 ? TILES_32 : D <= 64 ? TILES_64 : D <= 128 ? TILES_128 : PLAIN;
}

struct shape {
    int T, H, D;
    bool vectors; /* rows of exactly the tile's length, every pointer 16-byte aligned: 16 bytes at a time */
    float scale;
    gpu_dropout dropout;
};

/* The numbers of a head and of its first token. */
struct place {
    int64_t b, h, token;
};
GPU_DEVICE place place_of(const shape &s, int64_t head)
{
    const int64_t b = head / s.H;
    return {b, head - b * s.H, b * s.T};
}

/* The launch's blocks, `rows` rows of a head each. ERR_UNSUPPORTED where an index would not fit. */
inline vg_status blocks_of(const char *op, int64_t B, int64_t T, int64_t H, int64_t rows, dim3 *grid)
{
    const int64_t of_head = (T + rows - 1) / rows, most = 0x7fffffff;
    if (T >= most / 2 || H >= most / 1024 || of_head > most / (B * H))
        return vg_fail(VG_ERR_UNSUPPORTED,
                       "%s: %lld heads of %lld tokens are more than one launch takes: use a smaller batch",
                       op, (long long)(B * H), (long long)T);
    *grid = dim3((unsigned)(of_head * B * H));
    return VG_OK;
}

/* From the start of a row of a tile to the next: 16 bytes more than it holds, so that the same 16 bytes of
 * eight rows lie in different banks. */
template <class T, int D> constexpr int stride = D + 16 / (int)sizeof(T);

/* Rows first, first + 1, ... of a head into a tile by all threads of the block; zeros past T and past D. Has
 * landed after gpu_cp_async_commit, a wait, and a barrier. `from` is row 0, `step` the way to the next. */
template <int ROWS, int D, int WIDTH, class T>
GPU_DEVICE void load_tile(T *to, const T *from, int step, int first, const shape &s)
{
    constexpr int W = 16 / (int)sizeof(T), PIECES = D / W, AT_ONCE = WIDTH / PIECES;
    static_assert(WIDTH % PIECES == 0 && ROWS % AT_ONCE == 0, "the threads fill the tile evenly");
    if (s.vectors) {
        const int at = threadIdx.x % PIECES * W;
#pragma unroll
        for (int r = 0; r < ROWS; r += AT_ONCE) {
            const int row = r + threadIdx.x / PIECES, i = first + row;
            const bool valid = i < s.T;
            gpu_cp_async16(to + row * stride<T, D> + at, from + (int64_t)(valid ? i : 0) * step + at,
                           valid || GPU_PLANTED_BUG == GPU_BUG_TAIL);
        }
    } else
        for (int e = threadIdx.x; e < ROWS * D; e += WIDTH) {
            const int row = e / D, d = e % D, i = first + row;
            T value;
            gpu_store(&value, 0);
            if (i < s.T && d < s.D) value = from[(int64_t)i * step + d];
            to[row * stride<T, D> + d] = value;
        }
}

GPU_DEVICE void put_pair(float *to, float a, float b)
{
    to[0] = a;
    to[1] = b;
}
GPU_DEVICE void put_pair(gpu_bf16 *to, float a, float b)
{
    *reinterpret_cast<uint32_t *>(to) = gpu_pack_bf16(a, b);
}

/* The warp's rows of a result, times `factor`, to row `first` and on in global memory: through shared memory
 * that is the warp's alone, so that whole rows are written. */
template <int D, int M, class T>
GPU_DEVICE void store_rows(T *to, int step, int first, T *own, const float (&o)[M][D / 8][4],
                           const float (&factor)[M][2], const shape &s)
{
    constexpr int W = 16 / (int)sizeof(T), PIECES = D / W, S = stride<T, D>;
    const int lane = threadIdx.x % 32, g = lane / 4, q = lane % 4;
    gpu_sync_warp(); /* what lay there has been read */
#pragma unroll
    for (int m = 0; m < M; m++)
#pragma unroll
        for (int j = 0; j < D / 8; j++)
#pragma unroll
            for (int half = 0; half < 2; half++)
                put_pair(own + (16 * m + 8 * half + g) * S + 8 * j + 2 * q,
                         o[m][j][2 * half] * factor[m][half], o[m][j][2 * half + 1] * factor[m][half]);
    gpu_sync_warp();
    if (s.vectors)
#pragma unroll
        for (int e = lane; e < 16 * M * PIECES; e += 32) {
            const int row = e / PIECES, at = e % PIECES * W;
            if (first + row < s.T)
                gpu_store128(to + (int64_t)(first + row) * step + at, gpu_load128(own + row * S + at));
        }
    else
        for (int e = lane; e < 16 * M * D; e += 32) {
            const int row = e / D, d = e % D;
            if (first + row < s.T && d < s.D) to[(int64_t)(first + row) * step + d] = own[row * S + d];
        }
}

/* bf16 on the tensor cores. */
struct in_bf16 {
    typedef gpu_bf16 element;

    /* The rows that a warp owns: as fragments in its registers for good (KEPT), or read again from shared
     * memory by each product where there are not registers enough. */
    template <int D, int M, bool KEPT> struct rows {
        const gpu_bf16 *at;
        uint32_t kept[KEPT ? M : 1][KEPT ? D / 16 : 1][4];

        GPU_DEVICE void read(uint32_t (&a)[4], const gpu_bf16 *from, int m, int k)
        {
            const int lane = threadIdx.x % 32;
            gpu_ldmatrix(a, from + (16 * m + lane % 16) * stride<gpu_bf16, D> + 16 * k + lane / 16 * 8);
        }
        GPU_DEVICE void take(rows &r, const gpu_bf16 *from)
        {
            r.at = from;
            if constexpr (KEPT) {
#pragma unroll
                for (int m = 0; m < M; m++)
#pragma unroll
                    for (int k = 0; k < D / 16; k++) read(r.kept[m][k], from, m, k);
            }
        }
        GPU_DEVICE void fragment(uint32_t (&a)[4], const rows &r, int m, int k)
        {
            if constexpr (KEPT) {
#pragma unroll
                for (int i = 0; i < 4; i++) a[i] = r.kept[m][k][i];
            } else
                read(a, r.at, m, k);
        }
    };

    template <int D, int M, int N, bool KEPT>
    GPU_DEVICE void by_rows(float (&s)[M][N / 8][4], const rows<D, M, KEPT> &own, const gpu_bf16 *tile)
    {
        constexpr int S = stride<gpu_bf16, D>;
        const int lane = threadIdx.x % 32;
        const gpu_bf16 *row = tile + (lane / 16 * 8 + lane % 8) * S + lane / 8 % 2 * 8;
#pragma unroll
        for (int k = 0; k < D / 16; k++) {
            uint32_t a[M][4], b[4];
#pragma unroll
            for (int m = 0; m < M; m++) rows<D, M, KEPT>::fragment(a[m], own, m, k);
#pragma unroll
            for (int n = 0; n < N / 16; n++) {
                gpu_ldmatrix(b, row + 16 * n * S + 16 * k);
#pragma unroll
                for (int m = 0; m < M; m++) {
                    gpu_mma_bf16(s[m][2 * n], a[m], b[0], b[1]);
                    gpu_mma_bf16(s[m][2 * n + 1], a[m], b[2], b[3]);
                }
            }
        }
    }

    template <int D, int M, int N>
    GPU_DEVICE void by_columns(float (&o)[M][D / 8][4], const float (&p)[M][N / 8][4], const gpu_bf16 *tile)
    {
        constexpr int S = stride<gpu_bf16, D>;
        const int lane = threadIdx.x % 32;
        const gpu_bf16 *row = tile + lane % 16 * S + lane / 16 * 8;
#pragma unroll
        for (int k = 0; k < N / 16; k++) {
            uint32_t a[M][4], b[4];
#pragma unroll
            for (int m = 0; m < M; m++)
#pragma unroll
                for (int i = 0; i < 4; i++)
                    a[m][i] =
                        gpu_pack_bf16(p[m][2 * k + i / 2][i % 2 * 2], p[m][2 * k + i / 2][i % 2 * 2 + 1]);
#pragma unroll
            for (int j = 0; j < D / 16; j++) {
                gpu_ldmatrix_transposed(b, row + 16 * k * S + 16 * j);
#pragma unroll
                for (int m = 0; m < M; m++) {
                    gpu_mma_bf16(o[m][2 * j], a[m], b[0], b[1]);
                    gpu_mma_bf16(o[m][2 * j + 1], a[m], b[2], b[3]);
                }
            }
        }
    }
};

/* Float rows stay in shared memory. */
template <int D, int M> struct float_rows {
    const float *at;
    GPU_DEVICE void take(float_rows &r, const float *from) { r.at = from; }
};

/* tf32 on the tensor cores. */
struct in_tf32 {
    typedef float element;
    template <int D, int M, bool KEPT> using rows = float_rows<D, M>;

    template <int D, int M, int N, bool KEPT>
    GPU_DEVICE void by_rows(float (&s)[M][N / 8][4], const float_rows<D, M> &own, const float *tile)
    {
        constexpr int S = stride<float, D>;
        const int lane = threadIdx.x % 32, g = lane / 4, q = lane % 4;
        const float *from = own.at + g * S + q, *row = tile + g * S + q;
#pragma unroll
        for (int k = 0; k < D; k += 8) {
            uint32_t a[M][4];
#pragma unroll
            for (int m = 0; m < M; m++)
#pragma unroll
                for (int i = 0; i < 4; i++)
                    a[m][i] = gpu_tf32(from[(16 * m + i % 2 * 8) * S + k + i / 2 * 4]);
#pragma unroll
            for (int n = 0; n < N / 8; n++) {
                const uint32_t b0 = gpu_tf32(row[8 * n * S + k]), b1 = gpu_tf32(row[8 * n * S + k + 4]);
#pragma unroll
                for (int m = 0; m < M; m++) gpu_mma_tf32(s[m][n], a[m], b0, b1);
            }
        }
    }

    /* A sum over k does not care how its terms are numbered: term q is column 2 q of p and term q + 4 column
     * 2 q + 1, which are those that the lane has. */
    template <int D, int M, int N>
    GPU_DEVICE void by_columns(float (&o)[M][D / 8][4], const float (&p)[M][N / 8][4], const float *tile)
    {
        constexpr int S = stride<float, D>;
        const int lane = threadIdx.x % 32, g = lane / 4, q = lane % 4;
        const float *row = tile + 2 * q * S + g;
#pragma unroll
        for (int n = 0; n < N / 8; n++) {
            uint32_t a[M][4];
#pragma unroll
            for (int m = 0; m < M; m++)
#pragma unroll
                for (int i = 0; i < 4; i++) a[m][i] = gpu_tf32(p[m][n][i % 2 * 2 + i / 2]);
#pragma unroll
            for (int j = 0; j < D / 8; j++) {
                const uint32_t b0 = gpu_tf32(row[8 * n * S + 8 * j]),
                               b1 = gpu_tf32(row[(8 * n + 1) * S + 8 * j]);
#pragma unroll
                for (int m = 0; m < M; m++) gpu_mma_tf32(o[m][j], a[m], b0, b1);
            }
        }
    }
};

/* True float, for checking: a lane computes its own elements of the same layout. Sums are of sums of TERMS
 * products, for a quarter more instructions: over a thousand keys the rounding of as many additions would
 * show, in a row where few of them have all the weight. */
struct in_float {
    typedef float element;
    enum { TERMS = 4 };
    template <int D, int M, bool KEPT> using rows = float_rows<D, M>;

    template <int D, int M, int N, bool KEPT>
    GPU_DEVICE void by_rows(float (&s)[M][N / 8][4], const float_rows<D, M> &own, const float *tile)
    {
        constexpr int S = stride<float, D>;
        const int lane = threadIdx.x % 32, g = lane / 4, q = lane % 4;
        const float *from = own.at + g * S, *row = tile + 2 * q * S;
#pragma unroll 2
        for (int k = 0; k < D; k += TERMS) {
            gpu_vector<float> a[M][2];
#pragma unroll
            for (int m = 0; m < M; m++)
#pragma unroll
                for (int half = 0; half < 2; half++)
                    a[m][half] = gpu_load_vector(from + (16 * m + 8 * half) * S + k);
#pragma unroll
            for (int n = 0; n < N / 8; n++)
#pragma unroll
                for (int c = 0; c < 2; c++) {
                    const gpu_vector<float> b = gpu_load_vector(row + (8 * n + c) * S + k);
#pragma unroll
                    for (int m = 0; m < M; m++)
#pragma unroll
                        for (int half = 0; half < 2; half++) {
                            const gpu_vector<float> &mine = a[m][half];
                            float sum = mine.at[0] * b.at[0];
#pragma unroll
                            for (int i = 1; i < TERMS; i++) sum += mine.at[i] * b.at[i];
                            s[m][n][2 * half + c] += sum;
                        }
                }
        }
    }

    /* The four lanes of a row tell each other what they have. */
    template <int D, int M, int N>
    GPU_DEVICE void by_columns(float (&o)[M][D / 8][4], const float (&p)[M][N / 8][4], const float *tile)
    {
        constexpr int S = stride<float, D>;
        const int lane = threadIdx.x % 32, q = lane % 4;
#pragma unroll
        for (int n = 0; n < N / 8; n++)
        /* One turn at a time: what two load would not fit into the registers beside dk and dv of D 128. */
#pragma unroll 1
            for (int k = 0; k < 8; k += TERMS) {
                float a[TERMS][M][2]; /* columns k and on of both rows, each by one lane that has them */
#pragma unroll
                for (int e = 0; e < TERMS; e++)
#pragma unroll
                    for (int m = 0; m < M; m++) {
                        const float mine[2] = {p[m][n][e % 2], p[m][n][2 + e % 2]};
                        uint64_t both;
                        memcpy(&both, mine, 8);
                        both = gpu_shuffle(both, lane - q + (k + e) / 2);
                        memcpy(a[e][m], &both, 8);
                    }
                const float *row = tile + (8 * n + k) * S + 2 * q;
#pragma unroll
                for (int j = 0; j < D / 8; j++)
#pragma unroll
                    for (int m = 0; m < M; m++)
#pragma unroll
                        for (int i = 0; i < 4; i++) {
                            float sum = a[0][m][i / 2] * row[8 * j + i % 2];
#pragma unroll
                            for (int e = 1; e < TERMS; e++)
                                sum += a[e][m][i / 2] * row[e * S + 8 * j + i % 2];
                            o[m][j][i] += sum;
                        }
            }
    }
};

/* Dropout's verdict on BITS neighbouring elements from e on: bit n is set when e + n is kept. A draw serves
 * eight elements that begin at a multiple of eight; rows of T elements begin anywhere. */
template <int BITS> GPU_DEVICE uint32_t kept_bits(const gpu_dropout &dropout, uint32_t segment, int64_t e)
{
    const uint32_t first = (uint32_t)(e / VG_RANDOM_LANES), shift = (uint32_t)(e % VG_RANDOM_LANES);
    uint64_t bits = 0;
#pragma unroll
    for (uint32_t k = 0; k <= BITS / VG_RANDOM_LANES; k++) {
        if (k == BITS / VG_RANDOM_LANES && !shift) break;
        const gpu_draw draw = gpu_philox(dropout.seed, first + k, dropout.site, segment, dropout.epoch);
        uint32_t eight = 0;
#pragma unroll
        for (int half = 0; half < VG_RANDOM_LANES; half++)
            eight |= (uint32_t)((draw.word[half / 2] >> half % 2 * 16 & 0xffff) >= dropout.threshold) << half;
        bits |= (uint64_t)eight << (VG_RANDOM_LANES * k);
    }
    return (uint32_t)(bits >> shift);
}

/* The bits of a warp's 16 M queries and N keys, computed once and shared by its lanes: word
 * row * WORDS + n / 32, bit n % 32. */
template <int M, int N> struct query_bits {
    static constexpr int BITS = N < 32 ? N : 32, WORDS = N / BITS, COUNT = 16 * M * WORDS;

    /* `e`: the element of the first query and key, T before that of the next query. */
    GPU_DEVICE void draw(uint32_t *bits, const gpu_dropout &dropout, uint32_t segment, int64_t e, int T)
    {
        const int shift = GPU_PLANTED_BUG == GPU_BUG_SHARED ? 1 : 0;
        gpu_sync_warp(); /* those of the tile before have been read */
        for (int n = threadIdx.x % 32; n < COUNT; n += 32)
            bits[n + shift] =
                kept_bits<BITS>(dropout, segment, e + (int64_t)(n / WORDS) * T + n % WORDS * BITS);
        gpu_sync_warp();
    }
    /* Those of row g or g + 8 of piece m and columns 8 n + 2 q and on. */
    GPU_DEVICE uint32_t of(const uint32_t *bits, int m, int half, int n)
    {
        const int lane = threadIdx.x % 32;
        return bits[(16 * m + 8 * half + lane / 4) * WORDS + n * 8 / BITS] >> (n * 8 % BITS + lane % 4 * 2);
    }
};

/* How far log2(e) and its inverse are good to in float: all of it. */
constexpr float LOG2_E = 1.44269504f, LN_2 = 0.69314718f;
} // namespace attention

#endif
