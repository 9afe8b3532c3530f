#include "models/resident.h"

#include <inttypes.h>

static vg_status plan(int64_t sample_count, int64_t segment_count, vg_resident *out)
{
    *out = (vg_resident){.slab = vg_slab_make("resident corpus")};
    VG_TRY(vg_slab_add(&out->slab, &out->signal, VG_F32, VG_DIMS(sample_count)));
    VG_TRY(vg_slab_add(&out->slab, &out->start, VG_I64, VG_DIMS(segment_count)));
    VG_TRY(vg_slab_add(&out->slab, &out->mean, VG_F64, VG_DIMS(segment_count)));
    return vg_slab_add(&out->slab, &out->scale, VG_F64, VG_DIMS(segment_count));
}

size_t vg_resident_bytes(int64_t sample_count, int64_t segment_count)
{
    vg_resident planned;
    size_t bytes = plan(sample_count, segment_count, &planned) == VG_OK ? planned.slab.bytes : SIZE_MAX;
    vg_slab_free(&planned.slab);
    return bytes;
}

vg_status vg_resident_init(vg_device *device, const vg_resident_source *source, vg_resident *out)
{
    vg_status status;
    *out = (vg_resident){0};
    for (int64_t s = 0; s < source->segment_count; s++)
        if (source->start[s] < 0 || source->start[s] > source->sample_count - source->segment_length)
            return vg_fail(VG_ERR_SHAPE,
                           "segment %" PRId64 " of %" PRId64 " samples starts at %" PRId64
                           " of a signal of %" PRId64,
                           s, source->segment_length, source->start[s], source->sample_count);
    VG_TRY_OUT(plan(source->sample_count, source->segment_count, out));
    VG_TRY_OUT(vg_slab_bind(&out->slab, device));
    out->segment_length = source->segment_length;
    const struct {
        vg_tensor *to;
        const void *from;
    } parts[] = {{&out->signal, source->signal},
                 {&out->start, source->start},
                 {&out->mean, source->mean},
                 {&out->scale, source->scale}};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        VG_TRY_OUT(vg_device_copy(device, parts[i].to->data, parts[i].from, vg_tensor_bytes(parts[i].to),
                                  VG_COPY_TO_DEVICE));
out:
    if (status != VG_OK) vg_resident_free(out);
    return status;
}

void vg_resident_free(vg_resident *resident)
{
    vg_slab_free(&resident->slab);
    *resident = (vg_resident){0};
}
