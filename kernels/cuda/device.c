#include "kernels/cuda/device.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/backend.h"

/* The architectures that the kernels were compiled for, as the build was told: machine code of each, and PTX
 * of the last, which newer GPUs compile for themselves. */
#ifndef VAGUS_CUDA_BUILT_FOR
#error "the build passes VAGUS_CUDA_BUILT_FOR"
#endif
static const int built_for[] = {VAGUS_CUDA_BUILT_FOR};
enum { BUILT = sizeof built_for / sizeof *built_for };

/* The oldest driver for this runtime: NVIDIA promises that a driver serves every minor version of its major.
 */
#if CUDART_VERSION >= 13000
#define DRIVER "580"
#elif CUDART_VERSION >= 12000
#define DRIVER "525"
#else
#error "CUDA 12 or newer is needed"
#endif

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

/* An error that work queued earlier came upon. CUDA repeats it at every call until the process ends. */
static vg_status broken(const vg__cuda_device *device, cudaError_t error)
{
    (void)cudaGetLastError();
    return vg_fail(
        VG_ERR_DEVICE,
        "GPU %d (%s) stopped at an error of earlier work: %s (%s). This run cannot go on; its last "
        "checkpoint is whole, so resume from it. If it happens again at the same place, "
        "CUDA_LAUNCH_BLOCKING=1 or compute-sanitizer tells which kernel it is",
        device->number, device->name, cudaGetErrorString(error), cudaGetErrorName(error));
}

vg__cuda_version vg__cuda_version_text(int version)
{
    vg__cuda_version out;
    snprintf(out.text, sizeof out.text, "%d.%d", version / 1000, version % 1000 / 10);
    return out;
}

/* --- what is there --- */

bool vg__cuda_driver_present(void)
{
    int driver;
    return cudaDriverGetVersion(&driver) == cudaSuccess && driver > 0;
}

vg_status vg__cuda_count(int *out)
{
    int count = 0, driver = 0;
    cudaError_t error = cudaGetDeviceCount(&count);
    if (error == cudaSuccess && count > 0) {
        *out = count;
        return VG_OK;
    }
    (void)cudaGetLastError();
    if (!vg__cuda_driver_present())
        return vg_fail(VG_ERR_DEVICE,
                       "there is no NVIDIA driver here (libcuda.so.1 is not found or does not answer): "
                       "install driver " DRIVER " or newer, start a container with --gpus all, or "
                       "take device=cpu");
    (void)cudaDriverGetVersion(&driver);
    if (error == cudaErrorInsufficientDriver)
        return vg_fail(
            VG_ERR_DEVICE,
            "the NVIDIA driver is too old: it knows CUDA %s and this program was built with CUDA %s. "
            "Install driver " DRIVER " or newer, or take a build made with an older CUDA, or device=cpu",
            vg__cuda_version_text(driver).text, vg__cuda_version_text(CUDART_VERSION).text);
    if (error == cudaSuccess || error == cudaErrorNoDevice) {
        const char *visible = getenv("CUDA_VISIBLE_DEVICES");
        if (visible)
            return vg_fail(
                VG_ERR_DEVICE,
                "the NVIDIA driver shows no GPU to this process: CUDA_VISIBLE_DEVICES is '%s'; unset it, or "
                "name a GPU that 'nvidia-smi -L' lists",
                visible);
        return vg_fail(VG_ERR_DEVICE,
                       "there is an NVIDIA driver and no GPU: 'nvidia-smi -L' should list one; in a "
                       "container, start it with --gpus all");
    }
    return vg_fail(VG_ERR_DEVICE, "the NVIDIA driver does not answer: %s (%s); does 'nvidia-smi' work?",
                   cudaGetErrorString(error), cudaGetErrorName(error));
}

/* Machine code runs on its own major version from its own minor version on; PTX on anything newer. */
static bool runs_on(int compute)
{
    for (int i = 0; i < BUILT; i++)
        if (built_for[i] / 10 == compute / 10 && built_for[i] <= compute) return true;
    return built_for[BUILT - 1] <= compute;
}

static vg_status check_architecture(int number, const char *name, int compute)
{
    if (runs_on(compute)) return VG_OK;
    char list[128] = "";
    for (int i = 0; i < BUILT; i++) {
        size_t used = strlen(list);
        snprintf(list + used, sizeof list - used, "%s%d.%d", i ? ", " : "", built_for[i] / 10,
                 built_for[i] % 10);
    }
    return vg_fail(
        VG_ERR_DEVICE,
        "GPU %d (%s) has compute capability %d.%d and the kernels were built for %s and newer than the "
        "last. Build with -DVAGUS_CUDA_ARCHITECTURES=%d (8.0, Ampere, is the oldest that can), or take "
        "another GPU or device=cpu",
        number, name, compute / 10, compute % 10, list, compute < 80 ? 80 : compute);
}

/* --- the operations of vg_device --- */

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
        device->number, device->name, mebibytes(bytes), mebibytes(available), mebibytes(total),
        mebibytes((size_t)base->bytes));
}

/* Waits for the stream first, since queued work may still use the memory. Errors of that work are not told
 * here: nobody could act on them, and vg_device_synchronize() tells them to those who use results. */
static void release(vg_device *base, void *memory)
{
    if (!memory) return;
    (void)cudaStreamSynchronize(vg__cuda_device_of(base)->stream);
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
        if (error != cudaSuccess) return broken(device, error);
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
    cudaError_t error = cudaStreamSynchronize(device->stream);
    return error == cudaSuccess ? VG_OK : broken(device, error);
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
    if (device->stream) (void)cudaStreamSynchronize(device->stream);
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
    .record_begin = vg__cuda_record_begin,
    .record_end = vg__cuda_record_end,
    .record_abandon = vg__cuda_record_abandon,
    .replay = vg__cuda_replay,
    .recording_destroy = vg__cuda_recording_destroy,
};

static vg_status describe(int number, vg__cuda_device *device)
{
    struct cudaDeviceProp properties;
    CUDA_TRY(cudaGetDeviceProperties(&properties, number), "cannot ask what GPU this is");
    device->number = number;
    device->compute = properties.major * 10 + properties.minor;
    device->multiprocessors = properties.multiProcessorCount;
    snprintf(device->name, sizeof device->name, "%.*s", (int)sizeof device->name - 1, properties.name);
    memcpy(device->base.model, device->name, sizeof device->base.model);
    return VG_OK;
}

vg_status vg__cuda_device_open(int number, vg_device **out)
{
    int count;
    VG_TRY(vg__cuda_count(&count));
    if (number < 0 || number >= count)
        return vg_fail(
            VG_ERR_DEVICE, "there is no GPU %d: this process sees %d, numbered from 0%s", number, count,
            getenv("CUDA_VISIBLE_DEVICES") ? " (CUDA_VISIBLE_DEVICES is set and counts them anew)" : "");
    vg__cuda_device *device = calloc(1, sizeof *device);
    if (!device) return vg_fail(VG_ERR_MEMORY, "cannot allocate a device");
    device->base.ops = &cuda_ops;

    vg_status status;
    VG_TRY_OUT(describe(number, device));
    VG_TRY_OUT(check_architecture(number, device->name, device->compute));
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
