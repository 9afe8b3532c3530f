#include "core/slab.h"

#include <stdlib.h>

#include "core/log.h"

enum { ALIGNMENT = 256 };

struct vg_slab_entry {
    vg_tensor *view;
    size_t offset;
};

vg_slab vg_slab_make(const char *name)
{
    return (vg_slab){.name = name};
}

vg_status vg_slab_add(vg_slab *slab, vg_tensor *view, vg_dtype dtype, int rank, const int64_t *dims)
{
    VG_ASSERT(!slab->memory);
    size_t bytes = vg_dtype_size(dtype), end;
    for (int i = 0; i < rank; i++) {
        VG_ASSERT(dims[i] >= 0);
        if (__builtin_mul_overflow(bytes, (size_t)dims[i], &bytes))
            return vg_fail(VG_ERR_SHAPE, "a tensor of the %s is too large to address", slab->name);
    }
    if (__builtin_add_overflow(slab->bytes, bytes, &end) || end > SIZE_MAX / 2)
        return vg_fail(VG_ERR_SHAPE, "the %s are too large to address", slab->name);
    if (slab->entry_count == slab->entry_capacity) {
        size_t capacity = slab->entry_capacity ? 2 * slab->entry_capacity : 32;
        struct vg_slab_entry *grown = realloc(slab->entries, capacity * sizeof *grown);
        if (!grown) return vg_fail(VG_ERR_MEMORY, "cannot plan the %s", slab->name);
        slab->entries = grown;
        slab->entry_capacity = capacity;
    }
    *view = vg_tensor_make(NULL, dtype, rank, dims);
    slab->entries[slab->entry_count++] = (struct vg_slab_entry){.view = view, .offset = slab->bytes};
    slab->bytes = (end + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    return VG_OK;
}

vg_status vg_slab_bind(vg_slab *slab, vg_device *device)
{
    VG_ASSERT(!slab->memory);
    if (vg_device_allocate(device, slab->bytes, &slab->memory) != VG_OK)
        return vg_context(VG_ERR_MEMORY, "the %s", slab->name);
    slab->device = device;
    for (size_t i = 0; i < slab->entry_count; i++)
        slab->entries[i].view->data = (char *)slab->memory + slab->entries[i].offset;
    free(slab->entries); /* the views are bound: what is left to do needs only the memory */
    slab->entries = NULL;
    slab->entry_count = slab->entry_capacity = 0;
    vg_debug("%-16s %10.2f MiB", slab->name, (double)slab->bytes / (1 << 20));
    return vg_device_zero(device, slab->memory, slab->bytes);
}

vg_status vg_slab_zero(vg_slab *slab)
{
    VG_ASSERT(slab->memory);
    return vg_device_zero(slab->device, slab->memory, slab->bytes);
}

void vg_slab_free(vg_slab *slab)
{
    if (slab->memory) vg_device_release(slab->device, slab->memory, slab->bytes);
    free(slab->entries);
    slab->memory = NULL;
    slab->entries = NULL;
    slab->entry_count = slab->entry_capacity = 0;
    slab->bytes = 0;
}
