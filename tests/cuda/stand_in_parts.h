/* What the stand-ins of cuBLASLt and cuDNN share. */
#ifndef VAGUS_TESTS_CUDA_STAND_IN_PARTS_H
#define VAGUS_TESTS_CUDA_STAND_IN_PARTS_H

#include <cstdint>
#include <cstring>

#include "tests/cuda/memory.h"
#include "tests/cuda/stand_ins.h"
#include "tests/cuda/work.h"

extern "C" {
typedef void (*stand_in_function)(void);
stand_in_function cublaslt_function(const char *name);
stand_in_function cudnn_function(const char *name);
}

/* Notes why a call is refused, and is the code to return. */
template <class Code> Code refuse(stand_in &which, Code code, const char *why)
{
    if (!which.first_refusal) which.first_refusal = why;
    return code;
}

/* Elements of a type, by index; bf16 is rounded to even, and floats may be rounded to tf32 as factors. */
enum class element { f32, tf32, bf16 };
inline size_t size_of(element type)
{
    return type == element::bf16 ? 2 : 4;
}
inline float load(const void *from, element type, int64_t i)
{
    uint32_t bits;
    if (type == element::bf16)
        bits = (uint32_t) static_cast<const uint16_t *>(from)[i] << 16;
    else
        memcpy(&bits, static_cast<const char *>(from) + 4 * i, 4);
    if (type == element::tf32) bits = (bits + 0x1000u) & ~0x1fffu;
    float value;
    memcpy(&value, &bits, 4);
    return value;
}
inline void store(void *to, element type, int64_t i, float value)
{
    uint32_t bits;
    memcpy(&bits, &value, 4);
    if (type != element::bf16)
        memcpy(static_cast<char *>(to) + 4 * i, &bits, 4);
    else if (value != value)
        static_cast<uint16_t *>(to)[i] = 0x7fff;
    else
        static_cast<uint16_t *>(to)[i] = (uint16_t)((bits + 0x7fffu + (bits >> 16 & 1)) >> 16);
}

#endif
