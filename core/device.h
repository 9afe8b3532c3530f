/* Where tensors live: a device is memory plus an order of work. The host device is built in; another one
 * fills the same table. Work is queued on the device's one stream in call order; vg_device_synchronize()
 * waits. */
#ifndef VAGUS_CORE_DEVICE_H
#define VAGUS_CORE_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct vg_device vg_device;
typedef struct vg_recording vg_recording;

typedef enum vg_copy_kind { VG_COPY_TO_DEVICE, VG_COPY_TO_HOST, VG_COPY_ON_DEVICE } vg_copy_kind;

typedef struct vg_device_ops {
    const char *name; /* "host", "cuda" */
    bool is_host;     /* the processor may dereference its pointers */
    vg_status (*allocate)(vg_device *device, size_t bytes, void **out); /* 256-byte aligned */
    void (*release)(vg_device *device, void *memory);                   /* NULL is fine */
    vg_status (*copy)(vg_device *device, void *to, const void *from, size_t bytes, vg_copy_kind kind);
    vg_status (*zero)(vg_device *device, void *memory, size_t bytes);
    vg_status (*synchronize)(vg_device *device);
    void (*destroy)(vg_device *device);
    vg_status (*free_memory)(vg_device *device, size_t *bytes); /* that can still be allocated; optional */

    /* Work beside the first order (see below); all three or none. */
    vg_status (*side_begin)(vg_device *device, void **stream);
    vg_status (*side_join)(vg_device *device);
    vg_status (*finished)(vg_device *device, bool *done);

    /* Recording (see below); all five or none. */
    vg_status (*record_begin)(vg_device *device);
    vg_status (*record_end)(vg_device *device, vg_recording **out);
    void (*record_abandon)(vg_device *device);
    vg_status (*replay)(vg_device *device, vg_recording *recording);
    void (*recording_destroy)(vg_device *device, vg_recording *recording);
} vg_device_ops;

struct vg_device {
    const vg_device_ops *ops;
    uint64_t allocations; /* calls of allocate so far; a test holds it still after the first step */
    uint64_t bytes;       /* held now */
    char model[64];       /* "cpu", or the GPU's name: only on one model are results the same bits */
};

VG_NODISCARD VG_API vg_status vg_device_allocate(vg_device *device, size_t bytes, void **out);
/* Waits for work that may be using the memory. */
VG_API void vg_device_release(vg_device *device, void *memory, size_t bytes);

/* TO_DEVICE: the source may be changed or given back as soon as the call returns. TO_HOST: the destination
 * holds the data after vg_device_synchronize() and must live until then. ON_DEVICE: in order with other work.
 * The ranges do not overlap. A size of 0 does nothing. */
VG_NODISCARD VG_API vg_status vg_device_copy(vg_device *device, void *to, const void *from, size_t bytes,
                                             vg_copy_kind kind);
VG_NODISCARD VG_API vg_status vg_device_zero(vg_device *device, void *memory, size_t bytes);

/* Waits for all that was queued. An error that the work came upon is told here: ERR_DEVICE. */
VG_NODISCARD VG_API vg_status vg_device_synchronize(vg_device *device);

/* How much can still be allocated; SIZE_MAX when the device does not know, as the host does not. For messages
 * and estimates only: others may be faster to take it. */
VG_NODISCARD VG_API vg_status vg_device_free_memory(vg_device *device, size_t *bytes);

/* A second order of work beside the first, for libraries that queue their own work (NCCL). begin: what is
 * queued on *stream (a cudaStream_t) from now on runs after all that the device was given so far. join: what
 * the device is given from now on runs after all that the stream was given. Neither waits, and both can be
 * recorded. finished: whether all of it has run, asked without waiting; an error that it came upon is told as
 * by vg_device_synchronize(). Not on the host (asserted). */
VG_NODISCARD VG_API vg_status vg_device_side_begin(vg_device *device, void **stream);
VG_NODISCARD VG_API vg_status vg_device_side_join(vg_device *device);
VG_NODISCARD VG_API vg_status vg_device_finished(vg_device *device, bool *done);

/* Work that is the same each time, queued at the price of one call. Between begin and end whatever is queued
 * is kept and not run: operations, zeroes and copies on the device, with the addresses and numbers they had.
 * It may neither allocate nor wait nor copy from or to the host, so it has run once before in the ordinary
 * way. A replay is only right while the memory that it names is what it was: `allocations` of the device
 * tells. begin must be followed by end, or by abandon when something failed in between. On a device that
 * cannot record (vg_device_records() false, as the host) the others must not be called. */
VG_API bool vg_device_records(const vg_device *device);
VG_NODISCARD VG_API vg_status vg_device_record_begin(vg_device *device);
VG_NODISCARD VG_API vg_status vg_device_record_end(vg_device *device, vg_recording **out);
VG_API void vg_device_record_abandon(vg_device *device);
VG_NODISCARD VG_API vg_status vg_device_replay(vg_device *device, vg_recording *recording);
VG_API void vg_recording_destroy(vg_device *device, vg_recording *recording); /* NULL is fine */

/* A host device; the caller owns it and destroys it after everything allocated from it. */
VG_NODISCARD VG_API vg_status vg_device_create_host(vg_device **out);
VG_API void vg_device_destroy(vg_device *device); /* NULL is fine */

#ifdef __cplusplus
}
#endif
#endif
