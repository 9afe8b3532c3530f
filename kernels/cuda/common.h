/* What several .cu files share: dropout's coins, activations, sums over a block, and the status of a launch.
 */
#ifndef VAGUS_KERNELS_CUDA_COMMON_H
#define VAGUS_KERNELS_CUDA_COMMON_H

#include "kernels/check.h"
#include "kernels/cuda/cuda.h"
#include "kernels/cuda/gpu.h"

/* Philox4x32-10, word for word what vg_philox_draw() of core/random.h gives. */
struct gpu_draw {
    uint32_t word[4];
};
GPU_DEVICE gpu_draw gpu_philox(uint64_t seed, uint32_t c0, uint32_t c1, uint32_t c2, uint32_t c3)
{
    const uint32_t M0 = 0xD2511F53u, M1 = 0xCD9E8D57u;
    uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
#pragma unroll
    for (int round = 0; round < 10; round++) {
        uint32_t high0 = gpu_mul_high(M0, c0), high1 = gpu_mul_high(M1, c2);
        uint32_t low0 = M0 * c0, low1 = M1 * c2;
        c0 = high1 ^ c1 ^ k0;
        c2 = high0 ^ c3 ^ k1;
        c1 = low1;
        c3 = low0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    return {{c0, c1, c2, c3}};
}

/* A vg_dropout as a kernel takes it. */
struct gpu_dropout {
    uint64_t seed;
    const int64_t *segment; /* NULL: no dropout */
    uint32_t site, epoch, threshold;
    float scale;
};
inline gpu_dropout gpu_dropout_of(const vg_dropout *dropout)
{
    if (!vg__dropout_active(dropout)) return {0, nullptr, 0, 0, 0, 1};
    return {dropout->seed,
            static_cast<const int64_t *>(dropout->segment.data),
            dropout->site,
            dropout->epoch,
            vg__dropout_threshold(dropout),
            1 / (1 - dropout->probability)};
}

/* Factors of neighbouring elements of segment b: a draw serves eight of them. `e` must not go backwards over
 * a border of eight more often than needed: each crossing costs a draw. */
struct gpu_coins {
    gpu_draw draw;
    int64_t drawn;
};
GPU_DEVICE gpu_coins gpu_no_coins()
{
    return {{{0, 0, 0, 0}}, -1};
}
GPU_DEVICE float gpu_dropout_factor(const gpu_dropout &dropout, gpu_coins &coins, int64_t b, int64_t e)
{
    if (!dropout.segment) return 1;
    if (coins.drawn != e / VG_RANDOM_LANES) {
        coins.drawn = e / VG_RANDOM_LANES;
        coins.draw = gpu_philox(dropout.seed, (uint32_t)coins.drawn, dropout.site,
                                (uint32_t)dropout.segment[b], dropout.epoch);
    }
    int half = (int)(e % VG_RANDOM_LANES);
    /* Chosen by comparison: an index that is not a constant would put the words into local memory. */
    uint32_t word = half < 4 ? (half < 2 ? coins.draw.word[0] : coins.draw.word[1])
                             : (half < 6 ? coins.draw.word[2] : coins.draw.word[3]);
    return (word >> (half & 1) * 16 & 0xffff) >= dropout.threshold ? dropout.scale : 0;
}

/* The factors of W neighbouring elements from e on, a multiple of W: 1, 4 or 8, so that one draw serves all.
 */
template <int W>
GPU_DEVICE void gpu_dropout_factors(float (&factor)[W], const gpu_dropout &dropout, int64_t b, int64_t e)
{
    static_assert(W == 1 || W == 4 || W == VG_RANDOM_LANES, "within one draw");
    gpu_draw draw = {};
    if (dropout.segment)
        draw = gpu_philox(dropout.seed, (uint32_t)(e / VG_RANDOM_LANES), dropout.site,
                          (uint32_t)dropout.segment[b], dropout.epoch);
    const int first = (int)(e % VG_RANDOM_LANES);
#pragma unroll
    for (int w = 0; w < W; w++) {
        uint32_t word = draw.word[w / 2];
        if (W == 4 && first) word = draw.word[2 + w / 2];
        if (W == 1)
            word = first < 4 ? (first < 2 ? draw.word[0] : draw.word[1])
                             : (first < 6 ? draw.word[2] : draw.word[3]);
        const uint32_t half = word >> (W == 1 ? first & 1 : w & 1) * 16 & 0xffff;
        factor[w] = half >= dropout.threshold ? dropout.scale : 0;
    }
}

/* Not fmaxf: what is not a number stays so. */
GPU_DEVICE float gpu_activate(vg_activation activation, float x)
{
    if (activation == VG_ACTIVATION_RELU) return x <= 0 ? 0 : x;
    if (activation == VG_ACTIVATION_GELU) return x * 0.5f * erfcf(-x * 0.70710678f);
    return x;
}
GPU_DEVICE float gpu_activation_slope(vg_activation activation, float x)
{
    if (activation == VG_ACTIVATION_RELU) return x > 0 ? 1 : 0;
    if (activation == VG_ACTIVATION_GELU)
        return 0.5f * erfcf(-x * 0.70710678f) + x * 0.39894228f * expf(-x * x / 2);
    return 1;
}

/* N neighbouring elements as floats, 16 bytes at a time; N is 1 or fills whole vectors, whose place must then
 * be 16-byte aligned. */
template <class T, int N> GPU_DEVICE void gpu_load_floats(float (&to)[N], const T *from)
{
    constexpr int W = gpu_vector<T>::count;
    static_assert(N == 1 || N % W == 0, "one element or whole vectors");
    if constexpr (N == 1)
        to[0] = gpu_to_float(*from);
    else {
#pragma unroll
        for (int n = 0; n < N; n += W) {
            const gpu_vector<T> values = gpu_load_vector(from + n);
#pragma unroll
            for (int w = 0; w < W; w++) to[n + w] = gpu_to_float(values.at[w]);
        }
    }
}
template <class T, int N> GPU_DEVICE void gpu_store_floats(T *to, const float (&from)[N])
{
    constexpr int W = gpu_vector<T>::count;
    static_assert(N == 1 || N % W == 0, "one element or whole vectors");
    if constexpr (N == 1)
        gpu_store(to, from[0]);
    else {
#pragma unroll
        for (int n = 0; n < N; n += W) {
            gpu_vector<T> values;
#pragma unroll
            for (int w = 0; w < W; w++) gpu_store(&values.at[w], from[n + w]);
            gpu_store_vector(to + n, values);
        }
    }
}

/* The sum over a block of WIDTH threads, for thread 0; every thread has to come. */
template <int WIDTH> GPU_DEVICE double gpu_block_sum(double value)
{
    GPU_SHARED(double, of_warp, WIDTH / 32);
    value = gpu_warp_sum(value);
    gpu_sync_block(); /* an earlier sum has been read */
    if (threadIdx.x % 32 == 0) of_warp[threadIdx.x / 32] = value;
    gpu_sync_block();
    double sum = 0;
    for (int w = 0; w < WIDTH / 32 && threadIdx.x == 0; w++) sum += of_warp[w];
    return sum;
}

inline vg_status gpu_launched(cudaError_t error, const char *op)
{
    if (error == cudaSuccess) return VG_OK;
    return vg_fail(VG_ERR_DEVICE, "%s: the launch of its kernel was refused: %s", op,
                   cudaGetErrorString(error));
}
#define GPU_TRY(op, launch) VG_TRY(gpu_launched(launch, op))

inline bool gpu_aligned(const void *pointer)
{
    return reinterpret_cast<uintptr_t>(pointer) % 16 == 0;
}
template <class... P> inline bool gpu_all_aligned(P... pointers)
{
    return (gpu_aligned(pointers) && ...);
}

#endif
