/* The backend "cpu": F32 on host memory. What it does not serve comes from `ref`. */
#include "kernels/backend.h"

static const vg_kernel_table table = {0};

const vg_backend vg__backend_cpu = {
    .name = "cpu",
    .device = "host",
    .base = "ref",
    .table = &table,
};
