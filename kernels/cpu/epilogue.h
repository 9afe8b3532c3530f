/* How a linear layer or a convolution ends, and how its backward begins: activation, dropout, and the
 * gradient of the bias. */
#ifndef VAGUS_KERNELS_CPU_EPILOGUE_H
#define VAGUS_KERNELS_CPU_EPILOGUE_H

#include "kernels/cpu/cpu.h"
#include "kernels/cpu/dropout.h"

typedef struct vg__epilogue {
    vg_activation activation;
    vg__coins coins;
    float *y;        /* (B, R, O) */
    float *pre;      /* forward: written unless NULL; backward: read, for GELU */
    float *dy;       /* backward: turned in place into the gradient before the activation */
    int64_t B, R, O; /* segments, rows a segment, outputs */
    float *partial;  /* backward: column sums of each block of rows */
} vg__epilogue;

/* Is there anything to do after the product with its bias? */
static inline bool vg__epilogue_active(const vg__epilogue *epilogue)
{
    return epilogue->activation != VG_ACTIVATION_NONE || epilogue->coins.active || epilogue->pre;
}

/* Elements [e, e + n) of segment b, in the calling thread: y = dropout(activation(y)), pre = the old y. */
void vg__epilogue_finish(const vg__epilogue *epilogue, int64_t b, int64_t e, int64_t n);

/* All of them, in parallel. */
void vg__epilogue_finish_all(const vg__epilogue *epilogue);

/* Floats of scratch memory vg__epilogue_begin_backward() needs. */
size_t vg__epilogue_scratch(const vg__epilogue *epilogue);

/* dy = gradient before the activation, db += its column sums. */
void vg__epilogue_begin_backward(vg__epilogue *epilogue, float *db, float *scratch);

#endif
