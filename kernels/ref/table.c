/* The backend "ref": every operation, on host memory. */
#include "kernels/ref/ref.h"

extern const vg_backend REF_BACKEND;

static const vg_kernel_table table = {
#define VG_KERNEL(op, summary) .op = REF(op),
#include "kernels/kernels.def"
#undef VG_KERNEL
};

const vg_backend REF_BACKEND = {.name = REF_NAME, .device = "host", .table = &table};
