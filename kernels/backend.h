/* Between the registry and a backend: one descriptor each. Private to kernels/. */
#ifndef VAGUS_KERNELS_BACKEND_H
#define VAGUS_KERNELS_BACKEND_H

#include "kernels/kernels.h"

typedef struct vg_backend {
    const char *name;
    const char *device; /* vg_device_ops.name it works on */
    const char *base;   /* the slower backend of the same memory whose entries fill the gaps; NULL for none */
    const vg_kernel_table *table; /* NULL entries are taken from the base */
    vg_status (*create_state)(
        vg_kernels *kernels); /* sets kernels->state and destroy_state; NULL: no state */
} vg_backend;

extern const vg_backend vg__backend_ref, vg__backend_cpu, vg__backend_cuda;

/* Of kernels/cuda/device.c and gpus.c; only in builds with CUDA (VAGUS_CUDA is defined). GPUs are numbered
 * from 0 as CUDA shows them to this process. ERR_DEVICE says what is missing and what to do. */
VG_NODISCARD vg_status vg__cuda_device_open(int number, vg_device **out);
VG_NODISCARD vg_status vg__cuda_count(int *out);              /* at least 1 when it succeeds */
VG_NODISCARD vg_status vg__cuda_gpu(int number, vg_gpu *out); /* vg_gpu_look() */
void vg__cuda_look(vg_cuda_report *out);                      /* vg_cuda_look() */
bool vg__cuda_driver_present(void);                           /* even if it is of no use */

#endif
