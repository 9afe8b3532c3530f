#include "kernels/ref/ref.h"

vg_status REF(tokens_forward)(vg_kernels *kernels, const vg_tokens_forward_args *args)
{
    (void)kernels;
    VG_TRY(vg__check_tokens_forward(args, REF_TYPES));
    int64_t B = args->x.dims[0], T = args->x.dims[1], C = args->x.dims[2];
    for (int64_t b = 0; b < B; b++)
        for (int64_t e = 0; e < (1 + T) * C; e++) { /* e counts within the segment's output */
            real value = e < C ? load(&args->cls, e)
                               : load(&args->x, b * T * C + e - C) * dropout_factor(args->before, b, e - C);
            store(&args->out, b * (1 + T) * C + e,
                  (value + load(&args->position, e)) * dropout_factor(args->after, b, e));
        }
    return VG_OK;
}

vg_status REF(tokens_backward)(vg_kernels *kernels, const vg_tokens_backward_args *args)
{
    (void)kernels;
    VG_TRY(vg__check_tokens_backward(args, REF_TYPES));
    int64_t B = args->dx.dims[0], T = args->dx.dims[1], C = args->dx.dims[2];
    for (int64_t c = 0; c < C; c++) {
        real sum = 0;
        for (int64_t b = 0; b < B; b++)
            sum += load(&args->dout, b * (1 + T) * C + c) * dropout_factor(args->after, b, c);
        add(&args->dcls, c, sum);
    }
    for (int64_t b = 0; b < B; b++)
        for (int64_t e = 0; e < T * C; e++)
            store(&args->dx, b * T * C + e,
                  load(&args->dout, b * (1 + T) * C + C + e) * dropout_factor(args->after, b, C + e) *
                      dropout_factor(args->before, b, e));
    return VG_OK;
}

vg_status REF(pool_forward)(vg_kernels *kernels, const vg_pool_forward_args *args)
{
    (void)kernels;
    VG_TRY(vg__check_pool_forward(args, REF_TYPES));
    int64_t B = args->x.dims[0], T = args->x.dims[1], C = args->x.dims[2];
    for (int64_t b = 0; b < B; b++)
        for (int64_t c = 0; c < C; c++) {
            int64_t column = b * T * C + c, best = 1;
            real value = 0;
            switch (args->pool) {
            case VG_POOL_CLS:
                value = load(&args->x, column);
                break;
            case VG_POOL_LAST:
                value = load(&args->x, column + (T - 1) * C);
                break;
            case VG_POOL_MEAN:
                for (int64_t t = 1; t < T; t++) value += load(&args->x, column + t * C);
                value /= (real)(T - 1);
                break;
            case VG_POOL_MAX:
                for (int64_t t = 2; t < T; t++)
                    if (load(&args->x, column + t * C) > load(&args->x, column + best * C)) best = t;
                value = load(&args->x, column + best * C);
                ((int32_t *)args->chosen.data)[b * C + c] = (int32_t)best;
                break;
            }
            store(&args->y, b * C + c, value);
        }
    return VG_OK;
}

vg_status REF(pool_backward)(vg_kernels *kernels, const vg_pool_backward_args *args)
{
    (void)kernels;
    VG_TRY(vg__check_pool_backward(args, REF_TYPES));
    int64_t B = args->dx.dims[0], T = args->dx.dims[1], C = args->dx.dims[2];
    for (int64_t b = 0; b < B; b++)
        for (int64_t t = 0; t < T; t++)
            for (int64_t c = 0; c < C; c++) {
                real dy = load(&args->dy, b * C + c), dx = 0;
                switch (args->pool) {
                case VG_POOL_CLS:
                    if (t == 0) dx = dy;
                    break;
                case VG_POOL_LAST:
                    if (t == T - 1) dx = dy;
                    break;
                case VG_POOL_MEAN:
                    if (t > 0) dx = dy / (real)(T - 1);
                    break;
                case VG_POOL_MAX:
                    if (t == ((const int32_t *)args->chosen.data)[b * C + c]) dx = dy;
                    break;
                }
                store(&args->dx, (b * T + t) * C + c, dx);
            }
    return VG_OK;
}
