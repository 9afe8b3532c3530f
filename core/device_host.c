/* The host device: the processor's own memory; every call has happened when it returns. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/device.h"

enum { ALIGNMENT = 256 };

static vg_status allocate(vg_device *device, size_t bytes, void **out)
{
    (void)device;
    if (bytes > SIZE_MAX - ALIGNMENT)
        return vg_fail(VG_ERR_MEMORY, "cannot allocate %zu bytes of host memory", bytes);
    size_t rounded = bytes ? (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT : ALIGNMENT;
    void *memory = aligned_alloc(ALIGNMENT, rounded);
    if (!memory)
        return vg_fail(VG_ERR_MEMORY, "cannot allocate %.1f MiB of host memory: use a smaller batch or model",
                       (double)bytes / (1 << 20));
    *out = memory;
    return VG_OK;
}

static void release(vg_device *device, void *memory)
{
    (void)device;
    free(memory);
}

static vg_status copy(vg_device *device, void *to, const void *from, size_t bytes, vg_copy_kind kind)
{
    (void)device;
    (void)kind;
    memmove(to, from, bytes);
    return VG_OK;
}

static vg_status zero(vg_device *device, void *memory, size_t bytes)
{
    (void)device;
    memset(memory, 0, bytes);
    return VG_OK;
}

static vg_status synchronize(vg_device *device)
{
    (void)device;
    return VG_OK;
}

static void destroy(vg_device *device)
{
    free(device);
}

static const vg_device_ops host_ops = {
    .name = "host",
    .is_host = true,
    .allocate = allocate,
    .release = release,
    .copy = copy,
    .zero = zero,
    .synchronize = synchronize,
    .destroy = destroy,
};

vg_status vg_device_create_host(vg_device **out)
{
    vg_device *device = calloc(1, sizeof *device);
    if (!device) return vg_fail(VG_ERR_MEMORY, "cannot allocate a device");
    device->ops = &host_ops;
    snprintf(device->model, sizeof device->model, "cpu");
    *out = device;
    return VG_OK;
}
