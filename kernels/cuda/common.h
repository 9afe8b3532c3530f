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

#endif
