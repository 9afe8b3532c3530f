/* What the files of this backend share: its state, its scratch memory and its entries. */
#ifndef VAGUS_KERNELS_CPU_CPU_H
#define VAGUS_KERNELS_CPU_CPU_H

#include "kernels/backend.h"
#include "kernels/check.h"

struct vg__onednn;

/* kernels->state */
typedef struct vg__cpu_state {
    float *scratch; /* grows on the first use of a shape, then stays */
    size_t scratch_bytes;
    struct vg__onednn *onednn; /* engine, stream and the primitives made so far */
} vg__cpu_state;

/* At least `bytes` of memory for one call of an operation, 64-byte aligned, content undefined. A later
 * request in the same call may move it: ask once. */
VG_NODISCARD vg_status vg__cpu_scratch(vg_kernels *kernels, size_t bytes, float **out);

/* A size in floats rounded up to whole cache lines, so that parts of a scratch area start on one. */
static inline size_t vg__cpu_lines(size_t floats)
{
    return (floats + 15) / 16 * 16;
}

/* Checks the arguments; hands what is not F32 to `ref`; returns when there is nothing to compute. */
#define VG__CPU_ENTER(op, kernels, args, tensor)                                                             \
    do {                                                                                                     \
        if ((args)->tensor.dtype != VG_F32) return vg__backend_ref.table->op((kernels), (args));             \
        VG_TRY(vg__check_##op((args), VG__F32));                                                             \
    } while (0)

#define VG_KERNEL(op, summary) vg_status vg__cpu_##op(vg_kernels *kernels, const vg_##op##_args *args);
#include "kernels/kernels.def"
#undef VG_KERNEL

#endif
