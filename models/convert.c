#include "models/convert.h"

#include <stdlib.h>
#include <string.h>

vg_status vg__convert_to(vg_device *device, vg_tensor to, const float *from, void *staging)
{
    int64_t count = vg_tensor_count(&to);
    const void *source = to.dtype == VG_F32 ? (const void *)from : staging;
    VG_ASSERT(source || !count);
    if (to.dtype == VG_BF16)
        for (int64_t i = 0; i < count; i++) ((uint16_t *)staging)[i] = vg_bf16_from_float(from[i]);
    else if (to.dtype == VG_F64)
        for (int64_t i = 0; i < count; i++) ((double *)staging)[i] = from[i];
    return vg_device_copy(device, to.data, source, vg_tensor_bytes(&to), VG_COPY_TO_DEVICE);
}

static vg_status copy_and_wait(vg_device *device, void *to, const vg_tensor *from)
{
    VG_TRY(vg_device_copy(device, to, from->data, vg_tensor_bytes(from), VG_COPY_TO_HOST));
    return vg_device_synchronize(device);
}

vg_status vg__convert_from(vg_device *device, vg_tensor from, float *to)
{
    size_t count = (size_t)vg_tensor_count(&from);
    if (from.dtype == VG_F32) return copy_and_wait(device, to, &from);
    if (from.dtype == VG_BF16) {
        /* Into the upper half of `to`, then widened from the front: element i is read before its own place
         * and those behind it are written over. */
        char *half = (char *)to + count * sizeof(uint16_t);
        VG_TRY(copy_and_wait(device, half, &from));
        for (size_t i = 0; i < count; i++) {
            uint16_t bits;
            memcpy(&bits, half + i * sizeof bits, sizeof bits);
            to[i] = vg_bf16_to_float(bits);
        }
        return VG_OK;
    }
    double *wide = malloc(count * sizeof *wide + 1);
    if (!wide) return vg_fail(VG_ERR_MEMORY, "cannot copy a result of the model");
    vg_status status = copy_and_wait(device, wide, &from);
    for (size_t i = 0; status == VG_OK && i < count; i++) to[i] = (float)wide[i];
    free(wide);
    return status;
}
