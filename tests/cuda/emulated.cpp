#include "tests/cuda/emulated.h"

#include <cstdlib>
#include <new>
#include <string>

#include "kernels/cuda/cuda.h"
#include "tests/cuda/block.h"
#include "tests/cuda/runtime.h"

namespace
{
struct Device {
    vg_device base;
    cudaStream_t stream;
};

cudaStream_t stream_of(vg_device *device)
{
    return reinterpret_cast<Device *>(device)->stream;
}

vg_status status_of(cudaError_t error, const char *what)
{
    return error == cudaSuccess ? VG_OK : vg_fail(VG_ERR_DEVICE, "%s: %s", what, cudaGetErrorString(error));
}

vg_status allocate(vg_device *, size_t bytes, void **out)
{
    return status_of(cudaMalloc(out, bytes ? bytes : 1), "cudaMalloc");
}

void release(vg_device *, void *memory)
{
    if (cudaFree(memory) != cudaSuccess) (void)vg_fail(VG_ERR_DEVICE, "cudaFree: %s", emu::failure());
}

vg_status copy(vg_device *device, void *to, const void *from, size_t bytes, vg_copy_kind kind)
{
    cudaMemcpyKind direction = kind == VG_COPY_TO_DEVICE ? cudaMemcpyHostToDevice
                               : kind == VG_COPY_TO_HOST ? cudaMemcpyDeviceToHost
                                                         : cudaMemcpyDeviceToDevice;
    return status_of(cudaMemcpyAsync(to, from, bytes, direction, stream_of(device)), "cudaMemcpyAsync");
}

vg_status zero(vg_device *device, void *memory, size_t bytes)
{
    return status_of(cudaMemsetAsync(memory, 0, bytes, stream_of(device)), "cudaMemsetAsync");
}

vg_status synchronize(vg_device *device)
{
    return status_of(cudaStreamSynchronize(stream_of(device)), "cudaStreamSynchronize");
}

void destroy(vg_device *device)
{
    if (cudaStreamDestroy(stream_of(device)) != cudaSuccess) abort();
    delete reinterpret_cast<Device *>(device);
}

const vg_device_ops operations = {"cuda", false,       allocate, release, copy,
                                  zero,   synchronize, destroy,  nullptr};

/* Scratch of exactly the bytes that a call may use, and new for each call: what is read before it was written
 * is not-a-number, and what is written past the end meets the guard. */
vg_status scratch(vg__cuda *cuda, size_t bytes, void **out)
{
    VG_TRY(status_of(cudaFree(cuda->scratch_memory), "cudaFree"));
    cuda->scratch_memory = nullptr;
    VG_TRY(status_of(cudaMalloc(&cuda->scratch_memory, bytes ? bytes : 1), "cudaMalloc"));
    *out = cuda->scratch_memory;
    return VG_OK;
}

void destroy_state(void *state)
{
    if (cudaFree(static_cast<vg__cuda *>(state)->scratch_memory) != cudaSuccess) abort();
    delete static_cast<vg__cuda *>(state);
}
} // namespace

vg_device *emulated_device_create(void)
{
    Device *device = new Device();
    device->base.ops = &operations;
    if (cudaStreamCreate(&device->stream) != cudaSuccess) abort();
    return &device->base;
}

vg_kernels *emulated_kernels_create(vg_device *device)
{
    vg_kernels *kernels = static_cast<vg_kernels *>(calloc(1, sizeof *kernels));
    if (!kernels) abort();
    kernels->backend = "cuda, emulated";
    kernels->device = device;
    vg__cuda *cuda = new vg__cuda();
    cuda->stream = stream_of(device);
    cuda->multiprocessors = 4;
    cuda->compute = 90;
    cuda->scratch = scratch;
    cuda->device = device;
    kernels->state = cuda;
    kernels->destroy_state = destroy_state;
#define SERVE(op) kernels->table.op = vg__cuda_##op, kernels->served_by[VG_KERNEL_##op] = kernels->backend
    SERVE(layernorm_forward);
    SERVE(layernorm_backward);
    SERVE(residual_layernorm_forward);
    SERVE(residual_layernorm_backward);
    SERVE(masked_mse);
    SERVE(bce);
    SERVE(grad_norm);
    SERVE(adamw);
    SERVE(tokens_forward);
    SERVE(tokens_backward);
    SERVE(pool_forward);
    SERVE(pool_backward);
    SERVE(mask_forward);
    SERVE(mask_backward);
#undef SERVE
    return kernels;
}

void emulated_set_order(uint64_t order)
{
    emu::set_seed(order);
}

const char *emulated_take_failure(void)
{
    static std::string taken;
    taken = emu::failure();
    emu::forget_failure();
    return taken.c_str();
}

struct CUstream_st *emulated_stream(const vg_kernels *kernels)
{
    return static_cast<vg__cuda *>(kernels->state)->stream;
}
