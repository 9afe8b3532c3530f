#include "kernels/cuda/device.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/backend.h"

static double mebibytes(size_t bytes)
{
    return (double)bytes / (1 << 20);
}

/* What CUDA refused, without the call leaving a trace: a refused launch is told by cudaGetLastError(), which
 * must not find an older refusal there. */
vg_status vg__cuda_refused(cudaError_t error, const char *what)
{
    if (error == cudaSuccess) return VG_OK;
    (void)cudaGetLastError();
    return vg_fail(VG_ERR_DEVICE, "%s: %s (%s)", what, cudaGetErrorString(error), cudaGetErrorName(error));
}
#define CUDA_TRY(call, what)     VG_TRY(vg__cuda_refused(call, what))
#define CUDA_TRY_OUT(call, what) VG_TRY_OUT(vg__cuda_refused(call, what))

vg_status vg__cuda_broken(const vg__cuda_device *device, cudaError_t error)
{
    (void)cudaGetLastError();
    return vg_fail(
        VG_ERR_DEVICE,
        "GPU %d (%s) stopped at an error of earlier work: %s (%s). This run cannot go on; its last "
        "checkpoint is whole, so resume from it. If it happens again at the same place, "
        "CUDA_LAUNCH_BLOCKING=1 or compute-sanitizer tells which kernel it is",
        device->number, device->base.model, cudaGetErrorString(error), cudaGetErrorName(error));
}

static vg_status allocate(vg_device *base, size_t bytes, void **out)
{
    vg__cuda_device *device = vg__cuda_device_of(base);
    CUDA_TRY(cudaSetDevice(device->number), "cannot choose the GPU");
    cudaError_t error = cudaMalloc(out, bytes ? bytes : 1);
    if (error != cudaErrorMemoryAllocation)
        return vg__cuda_refused(error, "cannot allocate memory of the GPU");
    (void)cudaGetLastError();
    size_t available = 0, total = 0;
    CUDA_TRY(cudaMemGetInfo(&available, &total), "cannot ask for the GPU's free memory");
    return vg_fail(
        VG_ERR_MEMORY,
        "GPU %d (%s) has no %.1f MiB left: %.1f of its %.1f MiB are free, %.1f are held by this run and the "
        "rest by others ('nvidia-smi' lists them). A smaller train.micro_batch needs less and changes no "
        "result but rounding",
        device->number, device->base.model, mebibytes(bytes), mebibytes(available), mebibytes(total),
        mebibytes((size_t)base->bytes));
}

/* Waits for the streams first, since queued work may still use the memory. Errors of that work are not told
 * here: nobody could act on them, and vg_device_synchronize() tells them to those who use results. */
static void release(vg_device *base, void *memory)
{
    if (!memory) return;
    (void)vg__cuda_wait(vg__cuda_device_of(base));
    cudaError_t error = cudaFree(memory);
    VG_ASSERT(error != cudaErrorInvalidValue); /* no memory of this GPU, or given back before */
    (void)cudaGetLastError();
}

/* The source may be the caller's stack: what is left of it when this returns are pieces in the ring. */
static vg_status copy_to_device(vg__cuda_device *device, void *to, const void *from, size_t bytes)
{
    for (size_t done = 0; done < bytes;) {
        size_t piece = bytes - done < VG__CUDA_SLOT_BYTES ? bytes - done : VG__CUDA_SLOT_BYTES;
        unsigned slot = device->next_slot;
        unsigned char *staged = device->ring + (size_t)slot * VG__CUDA_SLOT_BYTES;
        cudaError_t error = cudaEventSynchronize(device->passed[slot]);
        if (error != cudaSuccess) return vg__cuda_broken(device, error);
        memcpy(staged, (const unsigned char *)from + done, piece);
        CUDA_TRY(cudaMemcpyAsync((unsigned char *)to + done, staged, piece, cudaMemcpyHostToDevice,
                                 device->stream),
                 "cannot copy to the GPU");
        CUDA_TRY(cudaEventRecord(device->passed[slot], device->stream), "cannot record an event");
        device->next_slot = (slot + 1) % VG__CUDA_SLOTS;
        done += piece;
    }
    return VG_OK;
}

/* To the host without the ring: into ordinary memory CUDA copies at once and waits for it, so nothing is
 * delivered later into memory that an error on the way has given back. Whoever has page-locked memory to copy
 * into gets an asynchronous copy. */
static vg_status copy(vg_device *base, void *to, const void *from, size_t bytes, vg_copy_kind kind)
{
    vg__cuda_device *device = vg__cuda_device_of(base);
    if (kind == VG_COPY_TO_DEVICE) return copy_to_device(device, to, from, bytes);
    enum cudaMemcpyKind direction =
        kind == VG_COPY_TO_HOST ? cudaMemcpyDeviceToHost : cudaMemcpyDeviceToDevice;
    return vg__cuda_refused(cudaMemcpyAsync(to, from, bytes, direction, device->stream),
                            kind == VG_COPY_TO_HOST ? "cannot copy from the GPU" : "cannot copy on the GPU");
}

static vg_status zero(vg_device *base, void *memory, size_t bytes)
{
    return vg__cuda_refused(cudaMemsetAsync(memory, 0, bytes, vg__cuda_device_of(base)->stream),
                            "cannot clear memory of the GPU");
}

static vg_status synchronize(vg_device *base)
{
    vg__cuda_device *device = vg__cuda_device_of(base);
    cudaError_t error = vg__cuda_wait(device);
    return error == cudaSuccess ? VG_OK : vg__cuda_broken(device, error);
}

static vg_status free_memory(vg_device *base, size_t *bytes)
{
    size_t total;
    CUDA_TRY(cudaSetDevice(vg__cuda_device_of(base)->number), "cannot choose the GPU");
    return vg__cuda_refused(cudaMemGetInfo(bytes, &total), "cannot ask for the GPU's free memory");
}

/* Also of a device that was only half made. */
static void destroy(vg_device *base)
{
    vg__cuda_device *device = vg__cuda_device_of(base);
    if (device->stream) (void)vg__cuda_wait(device);
    vg__cuda_side_destroy(device);
    for (int i = 0; i < VG__CUDA_SLOTS; i++)
        if (device->passed[i]) (void)cudaEventDestroy(device->passed[i]);
    if (device->ring) (void)cudaFreeHost(device->ring);
    if (device->stream) (void)cudaStreamDestroy(device->stream);
    (void)cudaGetLastError();
    free(device);
}

static const vg_device_ops cuda_ops = {
    .name = "cuda",
    .is_host = false,
    .allocate = allocate,
    .release = release,
    .copy = copy,
    .zero = zero,
    .synchronize = synchronize,
    .destroy = destroy,
    .free_memory = free_memory,
    .side_begin = vg__cuda_side_begin,
    .side_join = vg__cuda_side_join,
    .finished = vg__cuda_finished,
    .record_begin = vg__cuda_record_begin,
    .record_end = vg__cuda_record_end,
    .record_abandon = vg__cuda_record_abandon,
    .replay = vg__cuda_replay,
    .recording_destroy = vg__cuda_recording_destroy,
};

vg_status vg__cuda_device_open(int number, vg_device **out)
{
    vg__cuda_device *device = calloc(1, sizeof *device);
    if (!device) return vg_fail(VG_ERR_MEMORY, "cannot allocate a device");
    device->base.ops = &cuda_ops;

    vg_status status;
    vg_gpu gpu;
    VG_TRY_OUT(vg__cuda_gpu(number, &gpu));
    device->number = number;
    device->compute = gpu.compute;
    device->multiprocessors = gpu.multiprocessors;
    memcpy(device->base.model, gpu.name, sizeof device->base.model);
    CUDA_TRY_OUT(cudaSetDevice(number), "cannot use the GPU (another program may have it for itself)");
    CUDA_TRY_OUT(cudaStreamCreateWithFlags(&device->stream, cudaStreamNonBlocking), "cannot make a stream");
    CUDA_TRY_OUT(cudaMallocHost((void **)&device->ring, (size_t)VG__CUDA_SLOTS * VG__CUDA_SLOT_BYTES),
                 "cannot lock 8 MiB of host memory");
    for (int i = 0; i < VG__CUDA_SLOTS; i++)
        CUDA_TRY_OUT(cudaEventCreateWithFlags(&device->passed[i], cudaEventDisableTiming),
                     "cannot make an event");
    *out = &device->base;
    return VG_OK;
out:
    destroy(&device->base);
    return status;
}
