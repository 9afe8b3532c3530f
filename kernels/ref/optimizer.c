#include "kernels/ref/ref.h"

vg_status REF(grad_norm)(vg_kernels *kernels, const vg_grad_norm_args *args)
{
    (void)kernels;
    VG_TRY(vg__check_grad_norm(args, REF_TYPES));
    double sum = 0;
    for (int64_t n = 0; n < args->gradient.dims[0]; n++) {
        double g = (double)load(&args->gradient, n);
        sum += g * g;
    }
    *(double *)args->sum.data += sum;
    return VG_OK;
}

vg_status REF(adamw)(vg_kernels *kernels, const vg_adamw_args *args)
{
    (void)kernels;
    VG_TRY(vg__check_adamw(args, REF_TYPES));
    double count = present(&args->count) ? *(const double *)args->count.data : 1;
    if (count == 0) return VG_OK;
    double factor = 1 / count; /* of the gradient */
    if (args->max_norm > 0) {
        double norm = sqrt(*(const double *)args->norm_squared.data) / count;
        if (norm > args->max_norm) factor *= args->max_norm / (norm + 1e-6);
    }
    real beta1 = (real)args->beta1, beta2 = (real)args->beta2, lr = (real)args->lr;
    real decay = (real)args->weight_decay, epsilon = (real)args->epsilon;
    real correction1 = (real)(1 - pow(args->beta1, (double)args->step));
    real correction2 = (real)(1 - pow(args->beta2, (double)args->step));
    for (int64_t n = 0; n < args->parameter.dims[0]; n++) {
        real p = load(&args->parameter, n), g = load(&args->gradient, n) * (real)factor;
        if (args->decoupled)
            p -= lr * decay * p;
        else
            g += decay * p;
        real m = beta1 * load(&args->m, n) + (1 - beta1) * g;
        real v = beta2 * load(&args->v, n) + (1 - beta2) * g * g;
        p -= lr * (m / correction1) / (sqrt(v / correction2) + epsilon);
        store(&args->m, n, m);
        store(&args->v, n, v);
        store(&args->parameter, n, p);
        if (present(&args->copy)) store(&args->copy, n, load(&args->parameter, n));
    }
    return VG_OK;
}
