#include "core/tensor.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

size_t vg_dtype_size(vg_dtype dtype)
{
    switch (dtype) {
#define SIZE(name, size, text)                                                                               \
    case VG_##name:                                                                                          \
        return size;
        VG_DTYPE_MAP(SIZE)
#undef SIZE
    }
    VG_ASSERT(!"a known dtype");
}

const char *vg_dtype_name(vg_dtype dtype)
{
    switch (dtype) {
#define NAME(name, size, text)                                                                               \
    case VG_##name:                                                                                          \
        return text;
        VG_DTYPE_MAP(NAME)
#undef NAME
    }
    return "?";
}

int64_t vg_tensor_count(const vg_tensor *tensor)
{
    int64_t count = 1;
    for (int i = 0; i < tensor->rank; i++) {
        bool overflow = __builtin_mul_overflow(count, tensor->dims[i], &count);
        VG_ASSERT(!overflow);
    }
    return count;
}

size_t vg_tensor_bytes(const vg_tensor *tensor)
{
    return (size_t)vg_tensor_count(tensor) * vg_dtype_size(tensor->dtype);
}

vg_tensor vg_tensor_make(void *data, vg_dtype dtype, int rank, const int64_t *dims)
{
    VG_ASSERT(rank >= 0 && rank <= VG_MAX_RANK);
    vg_tensor tensor = {.data = data, .dtype = dtype, .rank = rank};
    for (int i = 0; i < rank; i++) {
        VG_ASSERT(dims[i] >= 0);
        tensor.dims[i] = dims[i];
    }
    return tensor;
}

vg_tensor vg_tensor_reshape(vg_tensor tensor, int rank, const int64_t *dims)
{
    vg_tensor other = vg_tensor_make(tensor.data, tensor.dtype, rank, dims);
    VG_ASSERT(vg_tensor_count(&other) == vg_tensor_count(&tensor));
    return other;
}

bool vg_tensor_same_shape(const vg_tensor *a, const vg_tensor *b)
{
    if (a->rank != b->rank) return false;
    for (int i = 0; i < a->rank; i++)
        if (a->dims[i] != b->dims[i]) return false;
    return true;
}

const char *vg_tensor_describe(const vg_tensor *tensor, char *text, size_t size)
{
    size_t used = 0;
    text[0] = 0;
    for (int i = 0; i < tensor->rank && used < size; i++) {
        int n = snprintf(text + used, size - used, "%s%" PRId64, i ? ", " : "(", tensor->dims[i]);
        used += (size_t)n;
    }
    if (used < size)
        snprintf(text + used, size - used, "%s %s", tensor->rank ? ")" : "()", vg_dtype_name(tensor->dtype));
    return text;
}

float vg_bf16_to_float(uint16_t bits)
{
    uint32_t word = (uint32_t)bits << 16;
    float value;
    memcpy(&value, &word, sizeof value);
    return value;
}

uint16_t vg_bf16_from_float(float value)
{
    uint32_t word;
    memcpy(&word, &value, sizeof word);
    if (isnan(value)) return (uint16_t)(word >> 16) | 0x0040u;
    word += 0x7fffu + ((word >> 16) & 1u);
    return (uint16_t)(word >> 16);
}
