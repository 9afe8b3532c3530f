/* Do the arguments of an operation honour its contract? One function for each operation of kernels.def,
 * called first thing by every backend, so that they all refuse the same calls with the same words:
 *
 *     VG_TRY(vg__check_linear_forward(args, VG__F32));
 *
 * Shapes, types, ranges of numbers and missing tensors are checked; contents (labels, segment numbers) are
 * not, since they may live on a device. VG_ERR_SHAPE names the operation, the argument, what it is and what
 * would have fitted. Private to kernels/. */
#ifndef VAGUS_KERNELS_CHECK_H
#define VAGUS_KERNELS_CHECK_H

#include "kernels/kernels.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The floating types a backend computes in, as a set. */
enum { VG__F32 = 1 << VG_F32, VG__F64 = 1 << VG_F64, VG__BF16 = 1 << VG_BF16 };

#define VG_KERNEL(op, summary)                                                                               \
    VG_NODISCARD vg_status vg__check_##op(const vg_##op##_args *args, unsigned types);
#include "kernels/kernels.def"
#undef VG_KERNEL

/* Does this dropout change anything? */
static inline bool vg__dropout_active(const vg_dropout *dropout)
{
    return dropout && dropout->probability > 0;
}

/* The half-words below this are dropped: round(probability * 65536), halves upwards. */
static inline uint32_t vg__dropout_threshold(const vg_dropout *dropout)
{
    return (uint32_t)((double)dropout->probability * 65536.0 + 0.5);
}

#ifdef __cplusplus
}
#endif
#endif
