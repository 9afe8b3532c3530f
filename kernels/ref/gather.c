#include "kernels/ref/ref.h"

vg_status REF(gather)(vg_kernels *kernels, const vg_gather_args *args)
{
    (void)kernels;
    VG_TRY(vg__check_gather(args, REF_TYPES));
    const int64_t *index = args->index.data, *start = args->start.data;
    const double *mean = args->mean.data, *scale = args->scale.data;
    int64_t B = args->y.dims[0], T = args->y.dims[1];
    for (int64_t b = 0; b < B; b++)
        for (int64_t t = 0; t < T; t++) {
            real sample = load(&args->signal, start[index[b]] + t);
            store(&args->y, b * T + t, (sample - (real)mean[index[b]]) * (real)scale[index[b]]);
        }
    return VG_OK;
}
