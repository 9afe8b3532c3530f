#include "tests/cuda/emulated.h"

#include "kernels/cuda/cuda.h"

static vg_status fresh_scratch(vg__cuda *cuda, size_t bytes, void **out)
{
    vg_device_release(cuda->device, cuda->scratch_memory, cuda->scratch_bytes);
    cuda->scratch_memory = NULL;
    VG_TRY(vg_device_allocate(cuda->device, bytes, &cuda->scratch_memory));
    cuda->scratch_bytes = bytes;
    *out = cuda->scratch_memory;
    return VG_OK;
}

vg_device *emulated_device_create(void)
{
    vg_device *device;
    VG_ASSERT(vg_device_open("cuda", &device) == VG_OK);
    return device;
}

vg_kernels *emulated_kernels_create(vg_device *device)
{
    vg_kernels *kernels;
    VG_ASSERT(vg_kernels_create(device, "cuda", true, &kernels) == VG_OK);
    vg__cuda_of(kernels)->scratch = fresh_scratch;
    return kernels;
}

struct CUstream_st *emulated_stream(const vg_kernels *kernels)
{
    return ((vg__cuda *)kernels->state)->stream;
}
