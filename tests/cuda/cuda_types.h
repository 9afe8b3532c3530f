/* The types of CUDA that kernels name, for a machine without the toolkit; those of the host are in runtime.h.
 */
#ifndef VAGUS_TESTS_CUDA_CUDA_TYPES_H
#define VAGUS_TESTS_CUDA_CUDA_TYPES_H

#include <cstdint>
#include <cstring>

struct uint3 {
    unsigned x, y, z;
};
struct dim3 {
    unsigned x, y, z;
    constexpr dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
};
struct alignas(8) float2 {
    float x, y;
};
struct alignas(16) float4 {
    float x, y, z, w;
};
struct alignas(16) uint4 {
    unsigned x, y, z, w;
};

/* bfloat16: the upper half of a float. */
struct gpu_bf16 {
    uint16_t bits;
};

inline float gpu_to_float(float value)
{
    return value;
}
inline float gpu_to_float(gpu_bf16 value)
{
    uint32_t bits = (uint32_t)value.bits << 16;
    float result;
    memcpy(&result, &bits, 4);
    return result;
}
/* To nearest, halves to even; not-a-number stays so. */
inline gpu_bf16 gpu_rounded_bf16(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, 4);
    if ((bits & 0x7fffffffu) > 0x7f800000u) return {(uint16_t)(bits >> 16 | 0x40)};
    return {(uint16_t)((bits + 0x7fffu + (bits >> 16 & 1)) >> 16)};
}

#endif
