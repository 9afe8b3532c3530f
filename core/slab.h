/* A slab: many tensors of one lifetime in one allocation. Plan every tensor, bind once, use the views until
 * vg_slab_free(). Planning only adds up sizes, so it can be run to know what a configuration will need.
 *
 *     vg_slab slab = vg_slab_make("activations");
 *     VG_TRY(vg_slab_add(&slab, &model->y, VG_F32, VG_DIMS(B, T, C)));   // y has its shape, no memory yet
 *     VG_TRY(vg_slab_bind(&slab, device));                              // now y.data is set
 */
#ifndef VAGUS_CORE_SLAB_H
#define VAGUS_CORE_SLAB_H

#include "core/device.h"
#include "core/tensor.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct vg_slab {
    const char *name; /* a static string, for the log */
    size_t bytes;     /* planned so far */
    void *memory;     /* NULL until bound */
    vg_device *device;
    struct vg_slab_entry *entries;
    size_t entry_count, entry_capacity;
} vg_slab;

VG_API vg_slab vg_slab_make(const char *name);

/* Plans a tensor. `view` must stay where it is until vg_slab_bind(). Every tensor starts at a multiple of
 * 256 bytes. ERR_SHAPE when the sizes overflow, ERR_MEMORY. Only before vg_slab_bind() (asserted). */
VG_NODISCARD VG_API vg_status vg_slab_add(vg_slab *slab, vg_tensor *view, vg_dtype dtype, int rank,
                                          const int64_t *dims);

/* Allocates, zeroes, sets every view's data pointer and logs the size in MiB. */
VG_NODISCARD VG_API vg_status vg_slab_bind(vg_slab *slab, vg_device *device);

VG_NODISCARD VG_API vg_status vg_slab_zero(vg_slab *slab);
VG_API void vg_slab_free(vg_slab *slab); /* a slab never bound, or freed before, is fine */

#ifdef __cplusplus
}
#endif
#endif
