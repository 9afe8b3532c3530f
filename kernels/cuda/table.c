/* The backend "cuda": F32 and BF16 on a GPU's memory. */
#include <stdlib.h>

#include "kernels/backend.h"
#include "kernels/cuda/cuda.h"
#include "kernels/cuda/device.h"
#include "kernels/cuda/multiply.h"

/* Growth happens at the first use of a shape and waits for the stream, which may still be using the old piece
 * (vg_device_release does). In steps of what a GPU maps at once, so that shapes in rising order do not make
 * it grow for every few bytes. */
static vg_status scratch(vg__cuda *cuda, size_t bytes, void **out)
{
    const size_t step = (size_t)2 << 20;
    if (bytes > SIZE_MAX - step)
        return vg_fail(VG_ERR_MEMORY, "an operation asks for %zu bytes of scratch memory", bytes);
    if (bytes > cuda->scratch_bytes || !cuda->scratch_memory) {
        size_t rounded = bytes ? (bytes + step - 1) / step * step : step;
        vg_device_release(cuda->device, cuda->scratch_memory, cuda->scratch_bytes);
        cuda->scratch_memory = NULL;
        cuda->scratch_bytes = 0;
        VG_TRY(vg_device_allocate(cuda->device, rounded, &cuda->scratch_memory));
        cuda->scratch_bytes = rounded;
    }
    *out = cuda->scratch_memory;
    return VG_OK;
}

static void destroy_state(void *pointer)
{
    vg__cuda *cuda = pointer;
    vg__multipliers_destroy(cuda);
    vg_device_release(cuda->device, cuda->scratch_memory, cuda->scratch_bytes);
    free(cuda);
}

static vg_status create_state(vg_kernels *kernels)
{
    vg__cuda *cuda = calloc(1, sizeof *cuda);
    if (!cuda) return vg_fail(VG_ERR_MEMORY, "cannot allocate the state of the backend 'cuda'");
    const vg__cuda_device *device = vg__cuda_device_of(kernels->device);
    cuda->stream = device->stream;
    cuda->multiprocessors = device->multiprocessors;
    cuda->compute = device->compute;
    cuda->scratch = scratch;
    cuda->device = kernels->device;
    kernels->state = cuda;
    kernels->destroy_state = destroy_state;
    VG_TRY(vg__multipliers_create(cuda));
    kernels->notes = vg__multipliers_describe(cuda);
    return VG_OK;
}

static const vg_kernel_table table = {
#define VG_KERNEL(op, summary) .op = vg__cuda_##op,
#include "kernels/kernels.def"
#undef VG_KERNEL
};

const vg_backend vg__backend_cuda = {
    .name = "cuda",
    .device = "cuda",
    .table = &table,
    .create_state = create_state,
};
