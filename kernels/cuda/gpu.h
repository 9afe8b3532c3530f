/* The vocabulary every .cu file of the project is written in. Under nvcc the words are CUDA, with PTX wrapped
 * where CUDA has no word of its own; any other compiler gets the emulator of the tests
 * (tests/cuda/README.md), which runs each CUDA thread as a fiber. A kernel uses these words,
 * threadIdx/blockIdx/blockDim/gridDim and plain C++17, and nothing else of CUDA, so that the same source runs
 * on both.
 *
 * Not yet run on a GPU: compiled for sm_80, sm_90 and sm_100, executed by the emulator only. */
#ifndef VAGUS_KERNELS_CUDA_GPU_H
#define VAGUS_KERNELS_CUDA_GPU_H

/* A planted bug is compiled in with -DGPU_PLANTED_BUG=GPU_BUG_...; the tests of the tests do so and see it
 * found. Kernels ask `if (GPU_PLANTED_BUG != GPU_BUG_BARRIER) gpu_sync_block();`, which costs nothing. */
#define GPU_BUG_NONE    0
#define GPU_BUG_BARRIER 1 /* a barrier left out */
#define GPU_BUG_SHARED  2 /* a store past the end of shared memory */
#define GPU_BUG_WAIT    3 /* cp.async waited for a group short */
#define GPU_BUG_TAIL    4 /* the last, partial piece is masked wrongly */
#ifndef GPU_PLANTED_BUG
#define GPU_PLANTED_BUG GPU_BUG_NONE
#endif

#ifdef __CUDACC__
#include <cuda_bf16.h>
#include <cuda_runtime.h>
#include <stdint.h>
#include <string.h>

#define GPU_DEVICE        static __device__ __forceinline__
#define GPU_KERNEL(width) __global__ void __launch_bounds__(width)
/* So many blocks at least shall fit on a multiprocessor: the compiler keeps to the registers they leave. */
#define GPU_KERNEL_BLOCKS(width, blocks) __global__ void __launch_bounds__(width, blocks)

/* An array of n in shared memory, 16-byte aligned; and the dynamic shared memory of the launch. */
#define GPU_SHARED(T, name, n) __shared__ __align__(16) T name[n]
#define GPU_DYNAMIC_SHARED(T, name)                                                                          \
    extern __shared__ __align__(128) unsigned char gpu_dynamic_shared_[];                                    \
    T *name = reinterpret_cast<T *>(gpu_dynamic_shared_)

typedef __nv_bfloat16 gpu_bf16;

/* Queues kernel(arguments...) on the stream. Beyond 48 KiB a kernel has to ask for shared memory. */
template <class... Parameters, class... Arguments>
inline cudaError_t gpu_launch(void (*kernel)(Parameters...), dim3 grid, dim3 block, size_t shared_bytes,
                              cudaStream_t stream, Arguments... arguments)
{
    if (shared_bytes > 48 * 1024) {
        cudaError_t error =
            cudaFuncSetAttribute(reinterpret_cast<const void *>(kernel),
                                 cudaFuncAttributeMaxDynamicSharedMemorySize, (int)shared_bytes);
        if (error != cudaSuccess) return error;
    }
    kernel<<<grid, block, shared_bytes, stream>>>(static_cast<Parameters>(arguments)...);
    return cudaGetLastError();
}

GPU_DEVICE void gpu_sync_block()
{
    __syncthreads();
}

/* Barrier `id` (1 to 15) among `threads` threads, a multiple of 32. */
GPU_DEVICE void gpu_bar_sync(int id, int threads)
{
    asm volatile("bar.sync %0, %1;" ::"r"(id), "r"(threads) : "memory");
}

GPU_DEVICE void gpu_sync_warp()
{
    __syncwarp();
}

/* The value of lane `lane`, and of the lane whose number differs in the bits of `lanes`. Whole warps only. */
template <class T> GPU_DEVICE T gpu_shuffle(T value, int lane)
{
    return __shfl_sync(0xffffffffu, value, lane);
}
template <class T> GPU_DEVICE T gpu_shuffle_xor(T value, int lanes)
{
    return __shfl_xor_sync(0xffffffffu, value, lanes);
}
GPU_DEVICE uint32_t gpu_ballot(bool predicate)
{
    return __ballot_sync(0xffffffffu, predicate);
}

/* The upper half of a 32 x 32 bit product. */
GPU_DEVICE uint32_t gpu_mul_high(uint32_t a, uint32_t b)
{
    return __umulhi(a, b);
}

/* The number of the highest bit that is set; of 0 there is none. */
GPU_DEVICE int gpu_highest_bit(uint32_t bits)
{
    return 31 - __clz((int)bits);
}
/* cos(pi x): needs no reduction of large arguments, for which cosf() uses local memory. */
GPU_DEVICE float gpu_cos_pi(float x)
{
    return cospif(x);
}

/* 2^x by the special-function unit alone: 2 units in the last place, and 0 instead of a denormal. */
GPU_DEVICE float gpu_exp2(float x)
{
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

GPU_DEVICE float gpu_to_float(float value)
{
    return value;
}
GPU_DEVICE float gpu_to_float(gpu_bf16 value)
{
    return __bfloat162float(value);
}
GPU_DEVICE void gpu_store(float *to, float value)
{
    *to = value;
}
GPU_DEVICE void gpu_store(gpu_bf16 *to, float value)
{
    *to = __float2bfloat16_rn(value);
}
/* Two numbers as bf16 in one register, the first in the lower half. */
GPU_DEVICE uint32_t gpu_pack_bf16(float low, float high)
{
    __nv_bfloat162 pair = __floats2bfloat162_rn(low, high);
    uint32_t bits;
    memcpy(&bits, &pair, 4);
    return bits;
}
/* A float as the tensor cores take it for tf32: 10 bits of mantissa, halves away from zero. */
GPU_DEVICE uint32_t gpu_tf32(float value)
{
    uint32_t bits;
    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(bits) : "f"(value));
    return bits;
}

/* d (16 x 8) += a (16 x 16) b (16 x 8), bf16 in, float out; the fragments are those of mma.m16n8k16 in the
 * PTX manual. */
GPU_DEVICE void gpu_mma_bf16(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1)
{
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
                 "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
/* d (16 x 8) += a (16 x 8) b (8 x 8), tf32 in (gpu_tf32), float out: mma.m16n8k8. */
GPU_DEVICE void gpu_mma_tf32(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1)
{
    asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 "
                 "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

/* Four 8 x 8 matrices of 16-bit elements from shared memory into fragments; lane 8 i + r brings the address
 * of row r of matrix i, 16-byte aligned. The second form transposes each. */
GPU_DEVICE void gpu_ldmatrix(uint32_t (&to)[4], const void *row)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
                 : "r"((uint32_t)__cvta_generic_to_shared(row))
                 : "memory");
}
GPU_DEVICE void gpu_ldmatrix_transposed(uint32_t (&to)[4], const void *row)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
                 : "r"((uint32_t)__cvta_generic_to_shared(row))
                 : "memory");
}

/* 16 bytes from global to shared memory behind the thread's back; zeros instead when not `valid`, but the
 * address must be a readable one all the same. Landed after gpu_cp_async_wait<n>(), which lets the latest n
 * committed groups of this thread be under way, and, for the other threads, a barrier after it. */
GPU_DEVICE void gpu_cp_async16(void *shared, const void *global, bool valid)
{
    asm volatile(
        "cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"((uint32_t)__cvta_generic_to_shared(shared)),
        "l"(__cvta_generic_to_global(global)), "r"(valid ? 16 : 0)
        : "memory");
}
GPU_DEVICE void gpu_cp_async_commit()
{
    asm volatile("cp.async.commit_group;" ::: "memory");
}
template <int groups> GPU_DEVICE void gpu_cp_async_wait()
{
    asm volatile("cp.async.wait_group %0;" ::"n"(groups) : "memory");
}

/* 128 bits at once from and to a 16-byte aligned place. */
GPU_DEVICE uint4 gpu_load128(const void *from)
{
    return *reinterpret_cast<const uint4 *>(from);
}
GPU_DEVICE void gpu_store128(void *to, uint4 value)
{
    *reinterpret_cast<uint4 *>(to) = value;
}

#else
#include "tests/cuda/emu.h"
#endif

/* 16 bytes as elements. */
template <class T> struct gpu_vector {
    static constexpr int count = 16 / (int)sizeof(T);
    T at[count];
};
template <class T> GPU_DEVICE gpu_vector<T> gpu_load_vector(const T *from)
{
    uint4 bits = gpu_load128(from);
    gpu_vector<T> values;
    memcpy(&values, &bits, 16);
    return values;
}
template <class T> GPU_DEVICE void gpu_store_vector(T *to, const gpu_vector<T> &values)
{
    uint4 bits;
    memcpy(&bits, &values, 16);
    gpu_store128(to, bits);
}

GPU_DEVICE float gpu_warp_sum(float value)
{
#pragma unroll
    for (int lanes = 16; lanes; lanes >>= 1) value += gpu_shuffle_xor(value, lanes);
    return value;
}
GPU_DEVICE double gpu_warp_sum(double value)
{
#pragma unroll
    for (int lanes = 16; lanes; lanes >>= 1) value += gpu_shuffle_xor(value, lanes);
    return value;
}

#endif
