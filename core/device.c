#include "core/device.h"

vg_status vg_device_allocate(vg_device *device, size_t bytes, void **out)
{
    VG_TRY(device->ops->allocate(device, bytes, out));
    device->allocations++;
    device->bytes += bytes;
    return VG_OK;
}

void vg_device_release(vg_device *device, void *memory, size_t bytes)
{
    if (!memory) return;
    device->ops->release(device, memory);
    device->bytes -= bytes;
}

vg_status vg_device_copy(vg_device *device, void *to, const void *from, size_t bytes, vg_copy_kind kind)
{
    return bytes ? device->ops->copy(device, to, from, bytes, kind) : VG_OK;
}

vg_status vg_device_zero(vg_device *device, void *memory, size_t bytes)
{
    return bytes ? device->ops->zero(device, memory, bytes) : VG_OK;
}

vg_status vg_device_synchronize(vg_device *device)
{
    return device->ops->synchronize(device);
}

vg_status vg_device_free_memory(vg_device *device, size_t *bytes)
{
    *bytes = SIZE_MAX;
    return device->ops->free_memory ? device->ops->free_memory(device, bytes) : VG_OK;
}

vg_status vg_device_side_begin(vg_device *device, void **stream)
{
    VG_ASSERT(device->ops->side_begin);
    return device->ops->side_begin(device, stream);
}

vg_status vg_device_side_join(vg_device *device)
{
    VG_ASSERT(device->ops->side_join);
    return device->ops->side_join(device);
}

vg_status vg_device_finished(vg_device *device, bool *done)
{
    VG_ASSERT(device->ops->finished);
    return device->ops->finished(device, done);
}

bool vg_device_records(const vg_device *device)
{
    return device->ops->record_begin != NULL;
}

vg_status vg_device_record_begin(vg_device *device)
{
    return device->ops->record_begin(device);
}

vg_status vg_device_record_end(vg_device *device, vg_recording **out)
{
    return device->ops->record_end(device, out);
}

void vg_device_record_abandon(vg_device *device)
{
    device->ops->record_abandon(device);
}

vg_status vg_device_replay(vg_device *device, vg_recording *recording)
{
    return device->ops->replay(device, recording);
}

void vg_recording_destroy(vg_device *device, vg_recording *recording)
{
    if (recording) device->ops->recording_destroy(device, recording);
}

void vg_device_destroy(vg_device *device)
{
    if (device) device->ops->destroy(device);
}
