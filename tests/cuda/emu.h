/* The words of kernels/cuda/gpu.h for a machine without a GPU; gpu.h includes this when the compiler is not
 * nvcc, and nothing else should. What stands behind the words is in block.h, warp.h, memory.h and runtime.h.
 */
#ifndef VAGUS_TESTS_CUDA_EMU_H
#define VAGUS_TESTS_CUDA_EMU_H

#include <cmath>
#include <functional>

#include "tests/cuda/block.h"
#include "tests/cuda/cuda_types.h"
#include "tests/cuda/runtime.h"
#include "tests/cuda/warp.h"

#define GPU_DEVICE                       static inline
#define GPU_KERNEL(width)                void
#define GPU_KERNEL_BLOCKS(width, blocks) void

#define GPU_SHARED(T, name, n)                                                                               \
    static char name##_tag;                                                                                  \
    T(&name)[n] = *static_cast<T(*)[n]>(emu::shared_array(&name##_tag, sizeof(T[n])))
#define GPU_DYNAMIC_SHARED(T, name) T *name = static_cast<T *>(emu::dynamic_shared())

namespace emu
{
cudaError_t queue_kernel(dim3 grid, dim3 block, size_t shared_bytes, cudaStream_t stream,
                         std::function<void()> body);
}

/* Arguments are copied now, the kernel runs when its stream comes to it. */
template <class... Parameters, class... Arguments>
inline cudaError_t gpu_launch(void (*kernel)(Parameters...), dim3 grid, dim3 block, size_t shared_bytes,
                              cudaStream_t stream, Arguments... arguments)
{
    return emu::queue_kernel(grid, block, shared_bytes, stream,
                             [=] { kernel(static_cast<Parameters>(arguments)...); });
}

GPU_DEVICE void gpu_sync_block(EMU_SITE)
{
    emu::barrier(0, 0, file, line);
}
GPU_DEVICE void gpu_bar_sync(int id, int threads, EMU_SITE)
{
    emu::barrier(id, threads, file, line);
}
GPU_DEVICE void gpu_sync_warp(EMU_SITE)
{
    emu::Offer offer = {};
    emu::meet(emu::SYNC, &offer, file, line);
}

template <class T> GPU_DEVICE T gpu_shuffle(T value, int lane, EMU_SITE)
{
    static_assert(sizeof(T) <= 8, "a shuffle moves 8 bytes at most");
    emu::Offer offer = {};
    memcpy(&offer.value, &value, sizeof(T));
    offer.source = lane;
    emu::meet(emu::SHUFFLE, &offer, file, line);
    memcpy(&value, &offer.value, sizeof(T));
    return value;
}
template <class T> GPU_DEVICE T gpu_shuffle_xor(T value, int lanes, EMU_SITE)
{
    return gpu_shuffle(value, emu::lane() ^ lanes, file, line);
}
GPU_DEVICE uint32_t gpu_ballot(bool predicate, EMU_SITE)
{
    emu::Offer offer = {};
    offer.value = predicate;
    emu::meet(emu::BALLOT, &offer, file, line);
    return (uint32_t)offer.value;
}

GPU_DEVICE uint32_t gpu_mul_high(uint32_t a, uint32_t b)
{
    return (uint32_t)((uint64_t)a * b >> 32);
}
GPU_DEVICE int gpu_highest_bit(uint32_t bits)
{
    return 31 - __builtin_clz(bits);
}
GPU_DEVICE float gpu_cos_pi(float x)
{
    return (float)cos(3.141592653589793 * (double)x);
}
GPU_DEVICE float gpu_exp2(float x)
{
    const float y = exp2f(x);
    return y < 0x1p-126f ? 0 : y;
}
GPU_DEVICE void gpu_store(float *to, float value)
{
    *to = value;
}
GPU_DEVICE void gpu_store(gpu_bf16 *to, float value)
{
    *to = gpu_rounded_bf16(value);
}
GPU_DEVICE uint32_t gpu_pack_bf16(float low, float high)
{
    return gpu_rounded_bf16(low).bits | (uint32_t)gpu_rounded_bf16(high).bits << 16;
}
GPU_DEVICE uint32_t gpu_tf32(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, 4);
    return (bits & 0x7f800000u) == 0x7f800000u ? bits : (bits + 0x1000u) & ~0x1fffu;
}

namespace emu
{
inline void multiply(Operation operation, float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1,
                     const char *file, int line)
{
    Offer offer = {};
    for (int i = 0; i < 4; i++) offer.d[i] = d[i], offer.a[i] = a[i];
    offer.b[0] = b0, offer.b[1] = b1;
    meet(operation, &offer, file, line);
    for (int i = 0; i < 4; i++) d[i] = offer.d[i];
}

/* Each lane reads the row it points to itself, so that the sanitizers see who reads what. */
inline void load_matrices(Operation operation, uint32_t (&to)[4], const void *row, const char *file, int line)
{
    if ((uintptr_t)row % 16) fail_thread("ldmatrix at %s:%d: a row is not 16-byte aligned", file, line);
    Offer offer = {};
    memcpy(offer.a, row, 16);
    meet(operation, &offer, file, line);
    for (int i = 0; i < 4; i++) to[i] = offer.a[i];
}
} // namespace emu

GPU_DEVICE void gpu_mma_bf16(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1, EMU_SITE)
{
    emu::multiply(emu::MMA_BF16, d, a, b0, b1, file, line);
}
GPU_DEVICE void gpu_mma_tf32(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1, EMU_SITE)
{
    emu::multiply(emu::MMA_TF32, d, a, b0, b1, file, line);
}
GPU_DEVICE void gpu_ldmatrix(uint32_t (&to)[4], const void *row, EMU_SITE)
{
    emu::load_matrices(emu::LDMATRIX, to, row, file, line);
}
GPU_DEVICE void gpu_ldmatrix_transposed(uint32_t (&to)[4], const void *row, EMU_SITE)
{
    emu::load_matrices(emu::LDMATRIX_TRANSPOSED, to, row, file, line);
}

GPU_DEVICE void gpu_cp_async16(void *shared, const void *global, bool valid, EMU_SITE)
{
    emu::cp_async(shared, global, valid, file, line);
}
GPU_DEVICE void gpu_cp_async_commit()
{
    emu::cp_async_commit();
}
template <int groups> GPU_DEVICE void gpu_cp_async_wait()
{
    emu::cp_async_wait(groups);
}

GPU_DEVICE uint4 gpu_load128(const void *from, EMU_SITE)
{
    if ((uintptr_t)from % 16) emu::fail_thread("128-bit load at %s:%d: not 16-byte aligned", file, line);
    uint4 value;
    memcpy(&value, from, 16);
    return value;
}
GPU_DEVICE void gpu_store128(void *to, uint4 value, EMU_SITE)
{
    if ((uintptr_t)to % 16) emu::fail_thread("128-bit store at %s:%d: not 16-byte aligned", file, line);
    memcpy(to, &value, 16);
}

#endif
