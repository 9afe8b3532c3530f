#include "kernels/ref/ref.h"

vg_status REF(bce)(vg_kernels *kernels, const vg_bce_args *args)
{
    (void)kernels;
    VG_TRY(vg__check_bce(args, REF_TYPES));
    double *stats = args->stats.data, sum = 0;
    int64_t B = args->logit.dims[0];
    for (int64_t b = 0; b < B; b++) {
        real x = load(&args->logit, b), label = load(&args->label, b);
        /* softplus(x) = max(x, 0) + log(1 + exp(-|x|)): the exponential never overflows. */
        real small = exp(-fabs(x));
        sum += (double)((x > 0 ? x : 0) - label * x + log1p(small));
        if (present(&args->dlogit)) store(&args->dlogit, b, (x > 0 ? 1 : small) / (1 + small) - label);
    }
    stats[0] += sum;
    stats[1] += (double)B;
    return VG_OK;
}
