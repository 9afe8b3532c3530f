/* Two ways to the same result, run on the real arguments: do they agree, and which is faster? Waits for the
 * device and allocates, so it is for the first use of a shape alone. Private to kernels/cuda. */
#ifndef VAGUS_KERNELS_CUDA_MEASURE_H
#define VAGUS_KERNELS_CUDA_MEASURE_H

#include "kernels/cuda/cuda.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Queues the work, with its result at `out`. Called many times. */
typedef vg_status (*vg__way)(void *context, void *out);

typedef struct vg__measurement {
    double own_us, other_us;
    double difference; /* norm of the difference by the norm of our own result; NaN when a number is */
} vg__measurement;

/* `out` holds `count` elements of `type`, and our own result in the end. */
VG_NODISCARD vg_status vg__measure(vg__cuda *cuda, vg__way own, vg__way other, void *context, void *out,
                                   int64_t count, vg_dtype type, vg__measurement *result);

/* Is the stream being captured into a graph? Then nothing may be measured. */
bool vg__cuda_capturing(vg__cuda *cuda);

/* "NVIDIA H200, driver 13.0". */
VG_NODISCARD vg_status vg__cuda_machine(vg__cuda *cuda, char *text, size_t size);

#ifdef __cplusplus
}
#endif
#endif
