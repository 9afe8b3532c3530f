/* The second order of work beside the device's first (core/device.h): a stream of its own, tied to the first
 * by two events. While the first stream is captured into a CUDA graph, the event makes the side join the
 * capture, and what is queued on either becomes nodes of one graph with these very dependencies. */
#include "kernels/cuda/device.h"

/* At the highest priority that the GPU has: what goes this way (sums over ranks) should get its few
 * multiprocessors while the first stream's kernels hold all others. The stream is kept even if an event
 * cannot be made: destroy takes it. */
static vg_status make(vg__cuda_device *device)
{
    int least, greatest;
    VG_TRY(vg__cuda_refused(cudaDeviceGetStreamPriorityRange(&least, &greatest),
                            "cannot ask for the priorities of streams"));
    if (!device->side)
        VG_TRY(vg__cuda_refused(cudaStreamCreateWithPriority(&device->side, cudaStreamNonBlocking, greatest),
                                "cannot make a second stream"));
    cudaEvent_t *const events[] = {&device->began, &device->joined};
    for (int i = 0; i < 2; i++)
        if (!*events[i])
            VG_TRY(vg__cuda_refused(cudaEventCreateWithFlags(events[i], cudaEventDisableTiming),
                                    "cannot make an event"));
    return VG_OK;
}

/* What `later` is given from now on runs after what `earlier` was given so far. The event may be recorded
 * anew as soon as this returns: a wait means the recording before it. */
static vg_status order(cudaStream_t later, cudaStream_t earlier, cudaEvent_t event)
{
    VG_TRY(vg__cuda_refused(cudaEventRecord(event, earlier), "cannot record an event"));
    return vg__cuda_refused(cudaStreamWaitEvent(later, event, 0), "cannot make a stream wait for another");
}

vg_status vg__cuda_side_begin(vg_device *base, void **stream)
{
    vg__cuda_device *device = vg__cuda_device_of(base);
    if (!device->joined) VG_TRY(make(device));
    VG_TRY(order(device->side, device->stream, device->began));
    device->side_open = true;
    *stream = device->side;
    return VG_OK;
}

/* Without a begin there is nothing to join, and within a capture nothing may be: the side would not be in it.
 */
vg_status vg__cuda_side_join(vg_device *base)
{
    vg__cuda_device *device = vg__cuda_device_of(base);
    if (!device->side_open) return VG_OK;
    VG_TRY(order(device->stream, device->side, device->joined));
    device->side_open = false;
    return VG_OK;
}

static vg_status ask(const vg__cuda_device *device, cudaStream_t stream, bool *done)
{
    cudaError_t error = cudaStreamQuery(stream);
    *done = error == cudaSuccess;
    if (error == cudaSuccess) return VG_OK;
    if (error != cudaErrorNotReady) return vg__cuda_broken(device, error);
    (void)cudaGetLastError(); /* CUDA remembers this answer as if it were an error */
    return VG_OK;
}

vg_status vg__cuda_finished(vg_device *base, bool *done)
{
    const vg__cuda_device *device = vg__cuda_device_of(base);
    VG_TRY(ask(device, device->stream, done));
    if (*done && device->side) VG_TRY(ask(device, device->side, done));
    return VG_OK;
}

cudaError_t vg__cuda_wait(vg__cuda_device *device)
{
    cudaError_t error = cudaStreamSynchronize(device->stream);
    if (error != cudaSuccess || !device->side) return error;
    return cudaStreamSynchronize(device->side);
}

void vg__cuda_side_destroy(vg__cuda_device *device)
{
    if (device->began) (void)cudaEventDestroy(device->began);
    if (device->joined) (void)cudaEventDestroy(device->joined);
    if (device->side) (void)cudaStreamDestroy(device->side);
}
