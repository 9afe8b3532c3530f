/* The only place that knows which backends exist. A table starts as the base backend's and is overridden slot
 * by slot, so a new backend works on its first day and becomes fast one operation at a time. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "kernels/backend.h"

/* The fastest first. */
static const vg_backend *const backends[] = {
#ifdef VAGUS_CUDA
    &vg__backend_cuda,
#endif
    &vg__backend_cpu,
    &vg__backend_ref,
};
enum { BACKENDS = sizeof backends / sizeof *backends };

static const char *const names[] = {
#define VG_KERNEL(op, summary) #op,
#include "kernels/kernels.def"
#undef VG_KERNEL
};
static const char *const summaries[] = {
#define VG_KERNEL(op, summary) summary,
#include "kernels/kernels.def"
#undef VG_KERNEL
};

const char *vg_kernel_name(vg_kernel_id id)
{
    return names[id];
}
const char *vg_kernel_summary(vg_kernel_id id)
{
    return summaries[id];
}
const char *vg_kernels_backend(int index)
{
    return index >= 0 && index < BACKENDS ? backends[index]->name : NULL;
}

static const vg_backend *find(const char *name, const char *device)
{
    for (int i = 0; i < BACKENDS; i++)
        if (!strcmp(backends[i]->device, device) &&
            (!strcmp(name, "auto") || !strcmp(name, backends[i]->name)))
            return backends[i];
    return NULL;
}

/* Fills from the base first, then overrides; recursion depth is the number of backends of one memory. */
static void overlay(vg_kernels *kernels, const vg_backend *backend)
{
    if (backend->base) overlay(kernels, find(backend->base, backend->device));
#define VG_KERNEL(op, summary)                                                                               \
    if (backend->table->op) {                                                                                \
        kernels->table.op = backend->table->op;                                                              \
        kernels->served_by[VG_KERNEL_##op] = backend->name;                                                  \
    }
#include "kernels/kernels.def"
#undef VG_KERNEL
}

vg_status vg_kernels_create(vg_device *device, const char *backend_name, bool strict, vg_kernels **out)
{
    const vg_backend *backend = find(backend_name, device->ops->name);
    if (!backend)
        return vg_fail(VG_ERR_NOT_FOUND, "no backend '%s' for the device '%s'", backend_name,
                       device->ops->name);
    vg_kernels *kernels = calloc(1, sizeof *kernels);
    if (!kernels) return vg_fail(VG_ERR_MEMORY, "cannot allocate the table of operations");
    kernels->backend = backend->name;
    kernels->device = device;
    overlay(kernels, backend);
    for (int i = 0; i < VG_KERNEL_COUNT; i++) {
        const char *server = kernels->served_by[i];
        if (!server) {
            vg_kernels_destroy(kernels);
            return vg_fail(VG_ERR_UNSUPPORTED,
                           "the backend '%s' has no %s yet, and no other works on the device '%s'",
                           backend->name, names[i], device->ops->name);
        }
        if (!strcmp(server, backend->name)) continue;
        if (strict) {
            vg_kernels_destroy(kernels);
            return vg_fail(VG_ERR_UNSUPPORTED,
                           "the backend '%s' leaves %s to '%s', and strict mode forbids it", backend->name,
                           names[i], server);
        }
        vg_info("kernels: %s is served by '%s', not by '%s'", names[i], server, backend->name);
    }
    vg_status status = backend->create_state ? backend->create_state(kernels) : VG_OK;
    if (status != VG_OK) {
        vg_kernels_destroy(kernels);
        return status;
    }
    *out = kernels;
    return VG_OK;
}

void vg_kernels_destroy(vg_kernels *kernels)
{
    if (!kernels) return;
    if (kernels->destroy_state) kernels->destroy_state(kernels->state);
    free(kernels);
}

#ifdef VAGUS_CUDA
static vg_status open_gpu(int number, vg_device **out)
{
    return vg__cuda_device_open(number, out);
}

/* The first GPU that can be used, else the host. That the host was taken is only worth a line where there is
 * a driver, and so perhaps a GPU that someone pays for. */
static vg_status open_any(vg_device **out)
{
    int count;
    vg_status status = vg__cuda_count(&count);
    for (int i = 0; status == VG_OK && i < count; i++) {
        if (vg__cuda_device_open(i, out) == VG_OK) return VG_OK;
        vg_info("device auto: %s", vg_cause());
    }
    if (status != VG_OK && vg__cuda_driver_present()) vg_info("device auto: %s", vg_cause());
    return vg_device_create_host(out);
}

void vg_cuda_look(vg_cuda_report *out)
{
    vg__cuda_look(out);
}
vg_status vg_gpu_look(int number, vg_gpu *out)
{
    return vg__cuda_gpu(number, out);
}
#else
static vg_status without_cuda(void)
{
    return vg_fail(VG_ERR_DEVICE,
                   "this program was built without CUDA: build it where the CUDA toolkit is installed (cmake "
                   "-DVAGUS_CUDA=ON finds nvcc in PATH, CUDA_HOME or /usr/local/cuda), or take device=cpu");
}

static vg_status open_gpu(int number, vg_device **out)
{
    (void)number;
    (void)out;
    return without_cuda();
}

static vg_status open_any(vg_device **out)
{
    return vg_device_create_host(out);
}

void vg_cuda_look(vg_cuda_report *out)
{
    *out = (vg_cuda_report){0};
    if (without_cuda() != VG_OK) snprintf(out->problem, sizeof out->problem, "%s", vg_cause());
}
vg_status vg_gpu_look(int number, vg_gpu *out)
{
    (void)number;
    *out = (vg_gpu){0};
    return without_cuda();
}
#endif

vg_status vg_device_open(const char *name, vg_device **out)
{
    if (!strcmp(name, "auto")) return open_any(out);
    if (!strcmp(name, "cpu")) return vg_device_create_host(out);
    if (!strcmp(name, "cuda")) return open_gpu(0, out);
    if (!strncmp(name, "cuda:", 5)) {
        const char *digits = name + 5;
        size_t count = strspn(digits, "0123456789");
        if (count >= 1 && count <= 4 && !digits[count]) return open_gpu(atoi(digits), out);
    }
    return vg_fail(VG_ERR_CONFIG,
                   "there is no device '%s'; it is auto, cpu, cuda (the first GPU) or cuda:N, N from 0",
                   name);
}
