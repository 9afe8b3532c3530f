/* Linear layers: oneDNN multiplies, our own passes add activation and dropout.
 *
 * Forward is a matmul primitive, which adds the bias and lets oneDNN choose the order of the weights. Its
 * ReLU is not used: it turns NaN into 0 (2.6.3), so a diverged run would look healthy, and dropout needs a
 * pass over y anyway. Backward is dnnl_sgemm: about even with matmul for dx, faster for most dw, and it adds
 * to what is there. GFLOP/s with 10248 rows (64->256: 20496), two cores of an AMD EPYC (Zen 5), 2026-11:
 *
 *              256->768  256->256  256->1024  1024->256  64->256
 * y  matmul       476       481       470        462       498
 *    sgemm        427       436       477        322       452
 * dx matmul       450       456       461        403       496
 *    sgemm        439       456       429        468       466
 * dw matmul       369       377       395        322       327
 *    sgemm        443       433       384        368       448
 */
#include "kernels/cpu/cpu.h"
#include "kernels/cpu/epilogue.h"
#include "kernels/cpu/onednn.h"

static vg__onednn *onednn_of(const vg_kernels *kernels)
{
    return ((const vg__cpu_state *)kernels->state)->onednn;
}

vg_status vg__cpu_linear_forward(vg_kernels *kernels, const vg_linear_forward_args *args)
{
    VG__CPU_ENTER(linear_forward, kernels, args, x);
    int64_t B = args->x.dims[0], R = args->x.dims[1], I = args->x.dims[2], O = args->w.dims[0];
    if (B * R * O == 0) return VG_OK;
    if (I == 0) return vg__backend_ref.table->linear_forward(kernels, args); /* y = b */
    vg__epilogue epilogue = {.activation = args->activation,
                             .coins = vg__coins_of(args->dropout),
                             .y = args->y.data,
                             .pre = args->pre.data,
                             .B = B,
                             .R = R,
                             .O = O};
    VG_TRY(vg__onednn_linear(onednn_of(kernels), B * R, I, O, args->x.data, args->w.data, args->b.data,
                             args->y.data));
    vg__epilogue_finish_all(&epilogue);
    return VG_OK;
}

vg_status vg__cpu_linear_backward(vg_kernels *kernels, const vg_linear_backward_args *args)
{
    VG__CPU_ENTER(linear_backward, kernels, args, x);
    int64_t B = args->x.dims[0], R = args->x.dims[1], I = args->x.dims[2], O = args->w.dims[0];
    if (B * R == 0) return VG_OK;
    if (I == 0 || O == 0) return vg__backend_ref.table->linear_backward(kernels, args);
    vg__epilogue epilogue = {.activation = args->activation,
                             .coins = vg__coins_of(args->dropout),
                             .y = args->y.data,
                             .pre = args->pre.data,
                             .dy = args->dy.data,
                             .B = B,
                             .R = R,
                             .O = O};
    float *scratch;
    VG_TRY(vg__cpu_scratch(kernels, vg__epilogue_scratch(&epilogue) * sizeof *scratch, &scratch));
    vg__epilogue_begin_backward(&epilogue, args->db.data, scratch);
    if (args->dx.data)
        VG_TRY(vg__onednn_sgemm(false, false, B * R, I, O, args->dy.data, args->w.data,
                                args->add_to_dx ? 1.0f : 0.0f, args->dx.data));
    return vg__onednn_sgemm(true, false, O, I, B * R, args->dy.data, args->x.data, 1.0f, args->dw.data);
}
