/* Work of the stream recorded as a CUDA graph and launched as one. A vg_recording is the executable graph. */
#include "kernels/cuda/device.h"

/* Thread-local: what other threads do meanwhile, such as a loader that locks memory, spoils nothing. */
vg_status vg__cuda_record_begin(vg_device *device)
{
    return vg__cuda_refused(
        cudaStreamBeginCapture(vg__cuda_device_of(device)->stream, cudaStreamCaptureModeThreadLocal),
        "cannot record a CUDA graph");
}

vg_status vg__cuda_record_end(vg_device *device, vg_recording **out)
{
    cudaGraph_t graph = NULL;
    cudaGraphExec_t executable = NULL;
    *out = NULL;
    cudaError_t error = cudaStreamEndCapture(vg__cuda_device_of(device)->stream, &graph);
    if (error != cudaSuccess) vg__cuda_device_of(device)->side_open = false; /* thrown out of it as well */
    VG_TRY(vg__cuda_refused(error, "cannot record a CUDA graph"));
    vg_status status = vg__cuda_refused(cudaGraphInstantiate(&executable, graph, 0),
                                        "cannot make a recorded CUDA graph ready");
    (void)cudaGraphDestroy(graph);
    if (status == VG_OK) *out = (vg_recording *)executable;
    return status;
}

/* With the stream the side leaves the capture, whatever it was in the middle of. */
void vg__cuda_record_abandon(vg_device *device)
{
    cudaGraph_t graph = NULL;
    vg__cuda_device_of(device)->side_open = false;
    (void)cudaStreamEndCapture(vg__cuda_device_of(device)->stream, &graph);
    if (graph) (void)cudaGraphDestroy(graph);
    (void)cudaGetLastError();
}

vg_status vg__cuda_replay(vg_device *device, vg_recording *recording)
{
    return vg__cuda_refused(cudaGraphLaunch((cudaGraphExec_t)recording, vg__cuda_device_of(device)->stream),
                            "cannot launch a CUDA graph");
}

/* Waits first: it may be running. */
void vg__cuda_recording_destroy(vg_device *device, vg_recording *recording)
{
    (void)cudaStreamSynchronize(vg__cuda_device_of(device)->stream);
    (void)cudaGraphExecDestroy((cudaGraphExec_t)recording);
    (void)cudaGetLastError();
}
