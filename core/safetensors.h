/* The safetensors format: eight bytes of header length (little endian), a JSON header of names, types, shapes
 * and byte ranges, then the bytes. Weights stored so open in PyTorch and in every other framework. */
#ifndef VAGUS_CORE_SAFETENSORS_H
#define VAGUS_CORE_SAFETENSORS_H

#include <stddef.h>

#include "core/status.h"
#include "core/tensor.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct vg_named_tensor {
    const char *name;
    vg_tensor tensor; /* in host memory */
} vg_named_tensor;

typedef struct vg_text_pair {
    const char *key, *value;
} vg_text_pair;

/* Writes the file atomically. Tensors are laid out by falling element size, in the given order within one
 * size, so that each is aligned. Names must differ and must not be "__metadata__" (asserted). */
VG_NODISCARD VG_API vg_status vg_safetensors_write(const char *path, const vg_named_tensor *tensors,
                                                   size_t count, const vg_text_pair *metadata,
                                                   size_t metadata_count);

/* A file open for reading, mapped into memory. Everything the header claims is checked before any of it is
 * used: ERR_FORMAT names the file and the tensor. A type this library has no name for is ERR_UNSUPPORTED. */
typedef struct vg_safetensors vg_safetensors;
VG_NODISCARD VG_API vg_status vg_safetensors_open(const char *path, vg_safetensors **out);
VG_API void vg_safetensors_close(vg_safetensors *file); /* NULL is fine; views of it are dead then */

/* The tensors in the order of their bytes. */
VG_API size_t vg_safetensors_count(const vg_safetensors *file);
VG_API const vg_named_tensor *vg_safetensors_at(const vg_safetensors *file, size_t index);

/* A view that must not be written to; NULL when there is none of that name. */
VG_API const vg_tensor *vg_safetensors_find(const vg_safetensors *file, const char *name);

/* Copies a tensor into `into`, whose shape and type must be the file's: ERR_NOT_FOUND, ERR_SHAPE telling
 * both. `into` lies in host memory. */
VG_NODISCARD VG_API vg_status vg_safetensors_load(const vg_safetensors *file, const char *name,
                                                  const vg_tensor *into);

/* The value of a metadata key; NULL when absent. */
VG_API const char *vg_safetensors_metadata(const vg_safetensors *file, const char *key);

#ifdef __cplusplus
}
#endif
#endif
