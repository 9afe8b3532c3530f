/* A GPU as a vg_device (core/device.h): one stream, a second one beside it from the first side_begin on, and
 * a ring of page-locked memory through which copies to the device go. Private to kernels/cuda; opened by
 * vg__cuda_device_open() of kernels/backend.h.
 *
 * A thread works with one GPU at a time: opening a device makes its GPU the thread's current one, and kernels
 * are launched on that. */
#ifndef VAGUS_KERNELS_CUDA_DEVICE_H
#define VAGUS_KERNELS_CUDA_DEVICE_H

#include "core/device.h"
#include "kernels/cuda/runtime.h"

/* A copy to the device is cut into pieces of a slot, so that the processor fills one while earlier ones
 * travel, and returns when the last piece is in the ring. Eight slots, so that the few small copies of a
 * training step do not wait for those of the step before it. */
enum { VG__CUDA_SLOTS = 8, VG__CUDA_SLOT_BYTES = 1 << 20 };

typedef struct vg__cuda_device {
    vg_device base;
    int number;          /* among the GPUs that CUDA shows to this process */
    int compute;         /* 10 * major + minor of the compute capability */
    int multiprocessors; /* that the GPU has */
    cudaStream_t stream;
    unsigned char *ring;                /* page-locked */
    cudaEvent_t passed[VG__CUDA_SLOTS]; /* the slot's latest copy has been read out of it */
    unsigned next_slot;

    /* side.c: all NULL until it is first asked for. */
    cudaStream_t side;
    cudaEvent_t began, joined; /* how far the stream had come for the side, and the side for the stream */
    bool side_open;            /* begun since the last join */
} vg__cuda_device;

static inline vg__cuda_device *vg__cuda_device_of(vg_device *device)
{
    return (vg__cuda_device *)device;
}

/* What CUDA refused, as a status: ERR_DEVICE with `what` and CUDA's own words. CUDA forgets it. */
VG_NODISCARD vg_status vg__cuda_refused(cudaError_t error, const char *what);

/* An error that work queued earlier came upon; ERR_DEVICE. CUDA repeats it at every call from then on. */
VG_NODISCARD vg_status vg__cuda_broken(const vg__cuda_device *device, cudaError_t error);

/* side.c. wait: for both streams. destroy: also of a device without a side. */
VG_NODISCARD vg_status vg__cuda_side_begin(vg_device *device, void **stream);
VG_NODISCARD vg_status vg__cuda_side_join(vg_device *device);
VG_NODISCARD vg_status vg__cuda_finished(vg_device *device, bool *done);
cudaError_t vg__cuda_wait(vg__cuda_device *device);
void vg__cuda_side_destroy(vg__cuda_device *device);

/* recording.c */
VG_NODISCARD vg_status vg__cuda_record_begin(vg_device *device);
VG_NODISCARD vg_status vg__cuda_record_end(vg_device *device, vg_recording **out);
void vg__cuda_record_abandon(vg_device *device);
VG_NODISCARD vg_status vg__cuda_replay(vg_device *device, vg_recording *recording);
void vg__cuda_recording_destroy(vg_device *device, vg_recording *recording);

/* "13.0" of CUDA's 13000, for messages. */
typedef struct vg__cuda_version {
    char text[16];
} vg__cuda_version;
vg__cuda_version vg__cuda_version_text(int version);

#endif
