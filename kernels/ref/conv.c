#include "kernels/ref/ref.h"

vg_status REF(conv1d_forward)(vg_kernels *kernels, const vg_conv1d_forward_args *args)
{
    (void)kernels;
    VG_TRY(vg__check_conv1d_forward(args, REF_TYPES));
    int64_t B = args->x.dims[0], T = args->x.dims[1], I = args->x.dims[2];
    int64_t O = args->w.dims[0], K = args->w.dims[1], half = (K - 1) / 2;
    for (int64_t b = 0; b < B; b++)
        for (int64_t t = 0; t < T; t++)
            for (int64_t o = 0; o < O; o++) {
                real sum = 0;
                for (int64_t k = 0; k < K; k++) {
                    int64_t from = t + k - half;
                    if (from < 0 || from >= T) continue;
                    for (int64_t i = 0; i < I; i++)
                        sum += load(&args->x, (b * T + from) * I + i) * load(&args->w, (o * K + k) * I + i);
                }
                sum += load(&args->b, o);
                finish(&args->y, &args->pre, args->activation, args->dropout, b, t * O + o,
                       (b * T + t) * O + o, sum);
            }
    return VG_OK;
}

vg_status REF(conv1d_backward)(vg_kernels *kernels, const vg_conv1d_backward_args *args)
{
    (void)kernels;
    VG_TRY(vg__check_conv1d_backward(args, REF_TYPES));
    int64_t B = args->x.dims[0], T = args->x.dims[1], I = args->x.dims[2];
    int64_t O = args->w.dims[0], K = args->w.dims[1], half = (K - 1) / 2;
    unfinish(&args->dy, &args->y, &args->pre, args->activation, args->dropout);
    /* x[from] reached y[from - k + half] through w[k]. */
    if (present(&args->dx))
        for (int64_t b = 0; b < B; b++)
            for (int64_t from = 0; from < T; from++)
                for (int64_t i = 0; i < I; i++) {
                    real sum = 0;
                    for (int64_t k = 0; k < K; k++) {
                        int64_t t = from - k + half;
                        if (t < 0 || t >= T) continue;
                        for (int64_t o = 0; o < O; o++)
                            sum += load(&args->dy, (b * T + t) * O + o) * load(&args->w, (o * K + k) * I + i);
                    }
                    store(&args->dx, (b * T + from) * I + i, sum);
                }
    for (int64_t o = 0; o < O; o++) {
        for (int64_t k = 0; k < K; k++)
            for (int64_t i = 0; i < I; i++) {
                real sum = 0;
                for (int64_t b = 0; b < B; b++)
                    for (int64_t t = 0; t < T; t++) {
                        int64_t from = t + k - half;
                        if (from < 0 || from >= T) continue;
                        sum += load(&args->dy, (b * T + t) * O + o) * load(&args->x, (b * T + from) * I + i);
                    }
                add(&args->dw, (o * K + k) * I + i, sum);
            }
        real sum = 0;
        for (int64_t n = 0; n < B * T; n++) sum += load(&args->dy, n * O + o);
        add(&args->db, o, sum);
    }
    return VG_OK;
}
