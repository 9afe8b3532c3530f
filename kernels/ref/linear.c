#include "kernels/ref/ref.h"

vg_status REF(linear_forward)(vg_kernels *kernels, const vg_linear_forward_args *args)
{
    (void)kernels;
    VG_TRY(vg__check_linear_forward(args, REF_TYPES));
    int64_t B = args->x.dims[0], R = args->x.dims[1], I = args->x.dims[2], O = args->w.dims[0];
    for (int64_t b = 0; b < B; b++)
        for (int64_t r = 0; r < R; r++)
            for (int64_t o = 0; o < O; o++) {
                real sum = 0;
                for (int64_t i = 0; i < I; i++)
                    sum += load(&args->x, (b * R + r) * I + i) * load(&args->w, o * I + i);
                sum += load(&args->b, o);
                finish(&args->y, &args->pre, args->activation, args->dropout, b, r * O + o,
                       (b * R + r) * O + o, sum);
            }
    return VG_OK;
}

vg_status REF(linear_backward)(vg_kernels *kernels, const vg_linear_backward_args *args)
{
    (void)kernels;
    VG_TRY(vg__check_linear_backward(args, REF_TYPES));
    int64_t N = args->x.dims[0] * args->x.dims[1], I = args->x.dims[2], O = args->w.dims[0];
    unfinish(&args->dy, &args->y, &args->pre, args->activation, args->dropout);
    if (present(&args->dx))
        for (int64_t n = 0; n < N; n++)
            for (int64_t i = 0; i < I; i++) {
                real sum = 0;
                for (int64_t o = 0; o < O; o++) sum += load(&args->dy, n * O + o) * load(&args->w, o * I + i);
                if (args->add_to_dx) sum += load(&args->dx, n * I + i);
                store(&args->dx, n * I + i, sum);
            }
    for (int64_t o = 0; o < O; o++) {
        for (int64_t i = 0; i < I; i++) {
            real sum = 0;
            for (int64_t n = 0; n < N; n++) sum += load(&args->dy, n * O + o) * load(&args->x, n * I + i);
            add(&args->dw, o * I + i, sum);
        }
        real sum = 0;
        for (int64_t n = 0; n < N; n++) sum += load(&args->dy, n * O + o);
        add(&args->db, o, sum);
    }
    return VG_OK;
}
