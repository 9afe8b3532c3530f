/* Who multiplies: our own kernels (products.h), cuBLASLt or cuDNN. layers.cu calls the functions
 * below in the place of vg__own_*; README.md of this folder says which goes where and why.
 *
 * Settings, from the environment when the backend is created:
 *     VAGUS_CUBLASLT=on|off           default on: linear layers by cuBLASLt where the library is
 *     VAGUS_CUDNN=off|measure|on      default off: convolutions forward and dx by cuDNN
 * `on` takes cuDNN wherever it has a plan; `measure` where it agrees with our own kernel and is faster
 * (choice.h). Off by default, since a measurement may turn out otherwise when a run is resumed, and the two
 * round differently: a resumed run would no longer be bit-identical. */
#ifndef VAGUS_KERNELS_CUDA_MULTIPLY_H
#define VAGUS_KERNELS_CUDA_MULTIPLY_H

#include "kernels/cuda/products.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum vg__pass { VG__PASS_FORWARD, VG__PASS_DX, VG__PASS_DW } vg__pass;

/* One product, as a library is asked for it: the three of products.h in one struct. Pointers are the
 * device's. */
typedef struct vg__multiply {
    const vg__product *product;
    vg__pass pass;
    const void *x;    /* forward, dw */
    const void *w;    /* forward, dx */
    const void *dy;   /* dx, dw */
    void *out;        /* y, dx, dw */
    const void *bias; /* forward: (O) to add, or NULL */
    bool relu;        /* forward: then max(0, .) */
    bool add;         /* dx: += */
} vg__multiply;

/* The libraries of one backend; vg__cuda.multipliers. */
typedef struct vg__multipliers vg__multipliers;

/* Opens what is there and wanted; what is not there is logged, and an error only when a setting is
 * malformed (ERR_CONFIG). Sets cuda->multipliers. */
VG_NODISCARD vg_status vg__multipliers_create(vg__cuda *cuda);
void vg__multipliers_destroy(vg__cuda *cuda);

/* "cuBLASLt 13.1.0 from /usr/local/...; cuDNN: there is no usable ...". What was found where, and what is
 * switched off, for `vagus doctor`. */
const char *vg__multipliers_describe(const vg__cuda *cuda);

/* Products that a library was asked for and our own kernel served, since creation. */
int64_t vg__multipliers_fallbacks(const vg__cuda *cuda);

/* As vg__own_forward; asks for the scratch of the operation itself. */
VG_NODISCARD vg_status vg__multiply_forward(vg__cuda *cuda, const vg__product *product, const void *x,
                                            const void *w, const vg__finish *finish, void *y);

/* As vg__own_dx and vg__own_dw. `scratch` holds vg__multiply_backward_scratch() bytes, 256-byte aligned; one
 * piece may serve both, one after the other. */
VG_NODISCARD vg_status vg__multiply_dx(vg__cuda *cuda, const vg__product *product, const void *dy,
                                       const void *w, void *dx, bool add, void *scratch);
VG_NODISCARD vg_status vg__multiply_dw(vg__cuda *cuda, const vg__product *product, const void *dy,
                                       const void *x, float *dw, void *scratch);
size_t vg__multiply_backward_scratch(vg__cuda *cuda, const vg__product *product, bool add);

#ifdef __cplusplus
}
#endif
#endif
