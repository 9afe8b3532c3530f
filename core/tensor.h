/* A tensor view: where, what type, which shape. It never owns its memory. Row-major, contiguous. */
#ifndef VAGUS_CORE_TENSOR_H
#define VAGUS_CORE_TENSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* name, bytes of an element, name in a safetensors file */
#define VG_DTYPE_MAP(X)                                                                                      \
    X(F32, 4, "F32")                                                                                         \
    X(F64, 8, "F64")                                                                                         \
    X(BF16, 2, "BF16")                                                                                       \
    X(U8, 1, "U8")                                                                                           \
    X(I32, 4, "I32")                                                                                         \
    X(I64, 8, "I64")

typedef enum vg_dtype {
#define VG_DTYPE_ENUM(name, size, text) VG_##name,
    VG_DTYPE_MAP(VG_DTYPE_ENUM)
#undef VG_DTYPE_ENUM
} vg_dtype;

enum { VG_MAX_RANK = 5 };

typedef struct vg_tensor {
    void *data; /* NULL: an absent optional tensor */
    vg_dtype dtype;
    int rank;
    int64_t dims[VG_MAX_RANK];
} vg_tensor;

VG_API size_t vg_dtype_size(vg_dtype dtype);
VG_API const char *vg_dtype_name(vg_dtype dtype);

/* Elements in a shape; 1 for rank 0. The product must fit in int64_t (asserted: shapes from files are
 * checked by their readers before a view is made). */
VG_API int64_t vg_tensor_count(const vg_tensor *tensor);
VG_API size_t vg_tensor_bytes(const vg_tensor *tensor);

/* A view of `rank` dims over `data`. */
VG_API vg_tensor vg_tensor_make(void *data, vg_dtype dtype, int rank, const int64_t *dims);

/* The same memory under another shape with as many elements (asserted). */
VG_API vg_tensor vg_tensor_reshape(vg_tensor tensor, int rank, const int64_t *dims);
VG_API bool vg_tensor_same_shape(const vg_tensor *a, const vg_tensor *b);

/* "(16, 1280, 64) F32" into `text`, for messages. Returns `text`. */
VG_API const char *vg_tensor_describe(const vg_tensor *tensor, char *text, size_t size);

/* Shorthands: VG_DIMS(B, T) expands to "rank, dims" of the functions above. */
#define VG_DIMS(...)                                                                                         \
    (int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), (const int64_t[])                             \
    {                                                                                                        \
        __VA_ARGS__                                                                                          \
    }

/* bfloat16 is the upper half of a float; rounding is to nearest even, NaN stays NaN. */
VG_API float vg_bf16_to_float(uint16_t bits);
VG_API uint16_t vg_bf16_from_float(float value);

#ifdef __cplusplus
}
#endif
#endif
