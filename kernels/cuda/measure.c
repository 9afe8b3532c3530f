/* Not yet run on a GPU. */
#include "kernels/cuda/measure.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/cuda/device.h"

/* Rounds of some runs each, after runs that warm caches and clocks; the fastest round counts, since
 * disturbances only ever add. */
enum { WARM = 3, ROUNDS = 5, RUNS = 4, PIECE = 1 << 20 };

static vg_status refused(cudaError_t error, const char *what)
{
    if (error == cudaSuccess) return VG_OK;
    (void)cudaGetLastError();
    return vg_fail(VG_ERR_DEVICE, "measuring: %s: %s", what, cudaGetErrorString(error));
}

static vg_status time_way(vg__cuda *cuda, vg__way way, void *context, void *out, const cudaEvent_t events[2],
                          double *us)
{
    *us = INFINITY;
    for (int i = 0; i < WARM; i++) VG_TRY(way(context, out));
    for (int round = 0; round < ROUNDS; round++) {
        float ms;
        VG_TRY(refused(cudaEventRecord(events[0], cuda->stream), "an event"));
        for (int i = 0; i < RUNS; i++) VG_TRY(way(context, out));
        VG_TRY(refused(cudaEventRecord(events[1], cuda->stream), "an event"));
        VG_TRY(refused(cudaEventSynchronize(events[1]), "waiting for an event"));
        VG_TRY(refused(cudaEventElapsedTime(&ms, events[0], events[1]), "the time between events"));
        *us = fmin(*us, (double)ms * 1e3 / RUNS);
    }
    return VG_OK;
}

static double element(const void *values, vg_dtype type, size_t i)
{
    if (type == VG_F32) return (double)((const float *)values)[i];
    const uint32_t bits = (uint32_t)((const uint16_t *)values)[i] << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return (double)value;
}

/* In pieces, on the host: it happens once a shape. */
static vg_status compare(vg__cuda *cuda, const void *own, const void *other, int64_t count, vg_dtype type,
                         double *difference)
{
    const size_t size = vg_dtype_size(type), piece = PIECE / size;
    double apart = 0, whole = 0;
    char *host = malloc(2 * (size_t)PIECE);
    if (!host) return vg_fail(VG_ERR_MEMORY, "no memory to compare two results");
    vg_status status = VG_OK;
    for (size_t done = 0; done < (size_t)count && status == VG_OK; done += piece) {
        const size_t n = (size_t)count - done < piece ? (size_t)count - done : piece;
        VG_TRY_OUT(
            vg_device_copy(cuda->device, host, (const char *)own + done * size, n * size, VG_COPY_TO_HOST));
        VG_TRY_OUT(vg_device_copy(cuda->device, host + PIECE, (const char *)other + done * size, n * size,
                                  VG_COPY_TO_HOST));
        VG_TRY_OUT(vg_device_synchronize(cuda->device));
        for (size_t i = 0; i < n; i++) {
            const double a = element(host, type, i), b = element(host + PIECE, type, i);
            apart += (a - b) * (a - b);
            whole += a * a;
        }
    }
    *difference = apart == 0 && isfinite(whole) ? 0 : sqrt(apart / whole);
out:
    free(host);
    return status;
}

vg_status vg__measure(vg__cuda *cuda, vg__way own, vg__way other, void *context, void *out, int64_t count,
                      vg_dtype type, vg__measurement *result)
{
    const size_t bytes = (size_t)count * vg_dtype_size(type);
    cudaEvent_t events[2] = {NULL, NULL};
    void *twin = NULL;
    vg_status status = vg_device_allocate(cuda->device, bytes, &twin);
    for (int i = 0; i < 2 && status == VG_OK; i++) status = refused(cudaEventCreate(&events[i]), "an event");
    if (status == VG_OK) status = time_way(cuda, other, context, twin, events, &result->other_us);
    if (status == VG_OK) status = time_way(cuda, own, context, out, events, &result->own_us);
    if (status == VG_OK) status = compare(cuda, out, twin, count, type, &result->difference);
    for (int i = 0; i < 2; i++)
        if (events[i]) (void)cudaEventDestroy(events[i]);
    vg_device_release(cuda->device, twin, bytes);
    return status;
}

bool vg__cuda_capturing(vg__cuda *cuda)
{
    enum cudaStreamCaptureStatus capturing;
    return cudaStreamIsCapturing(cuda->stream, &capturing) != cudaSuccess ||
           capturing != cudaStreamCaptureStatusNone;
}

vg_status vg__cuda_machine(vg__cuda *cuda, char *text, size_t size)
{
    int driver;
    VG_TRY(refused(cudaDriverGetVersion(&driver), "the driver's version"));
    snprintf(text, size, "%s, %d multiprocessors, driver %s", cuda->device->model, cuda->multiprocessors,
             vg__cuda_version_text(driver).text);
    return VG_OK;
}
