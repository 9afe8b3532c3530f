#include "kernels/ref/ref.h"

/* Mean and 1 / sqrt(variance + epsilon) of the C values from `at` on. */
static void moments(const vg_tensor *x, int64_t at, int64_t C, real epsilon, real *mean, real *rstd)
{
    real sum = 0, squares = 0;
    for (int64_t c = 0; c < C; c++) sum += load(x, at + c);
    *mean = sum / (real)C;
    for (int64_t c = 0; c < C; c++) squares += (load(x, at + c) - *mean) * (load(x, at + c) - *mean);
    *rstd = 1 / sqrt(squares / (real)C + epsilon);
}

vg_status REF(layernorm_forward)(vg_kernels *kernels, const vg_layernorm_forward_args *args)
{
    (void)kernels;
    VG_TRY(vg__check_layernorm_forward(args, REF_TYPES));
    int64_t B = args->x.dims[0], R = args->x.dims[1], C = args->x.dims[2];
    for (int64_t n = 0; n < B * R; n++) {
        real mean, rstd;
        moments(&args->x, n * C, C, (real)args->epsilon, &mean, &rstd);
        store(&args->mean, n, mean);
        store(&args->rstd, n, rstd);
        for (int64_t c = 0; c < C; c++) {
            real normal = (load(&args->x, n * C + c) - mean) * rstd;
            real y = activate(args->activation, normal * load(&args->gamma, c) + load(&args->beta, c));
            store(&args->y, n * C + c, y * dropout_factor(args->dropout, n / R, n % R * C + c));
        }
    }
    return VG_OK;
}

/* With n = (x - mean) * rstd and g = gamma * (gradient of n * gamma + beta):
 *     dx = rstd * (g - mean_c(g) - n * mean_c(g * n)) */
vg_status REF(layernorm_backward)(vg_kernels *kernels, const vg_layernorm_backward_args *args)
{
    (void)kernels;
    VG_TRY(vg__check_layernorm_backward(args, REF_TYPES));
    int64_t B = args->x.dims[0], R = args->x.dims[1], C = args->x.dims[2];
    real *g = calloc((size_t)C, sizeof *g);
    real *dgamma = calloc((size_t)C, sizeof *dgamma), *dbeta = calloc((size_t)C, sizeof *dbeta);
    vg_status status = VG_OK;
    if (!g || !dgamma || !dbeta) {
        status = vg_fail(VG_ERR_MEMORY, "layernorm_backward: no memory for three rows");
        goto out;
    }
    for (int64_t n = 0; n < B * R; n++) {
        real mean = load(&args->mean, n), rstd = load(&args->rstd, n), sum = 0, moment = 0;
        for (int64_t c = 0; c < C; c++) {
            real normal = (load(&args->x, n * C + c) - mean) * rstd;
            real a = normal * load(&args->gamma, c) + load(&args->beta, c);
            real da = load(&args->dy, n * C + c) * dropout_factor(args->dropout, n / R, n % R * C + c) *
                      activation_slope(args->activation, a);
            dgamma[c] += da * normal;
            dbeta[c] += da;
            g[c] = da * load(&args->gamma, c);
            sum += g[c];
            moment += g[c] * normal;
        }
        for (int64_t c = 0; c < C; c++) {
            real normal = (load(&args->x, n * C + c) - mean) * rstd;
            store(&args->dx, n * C + c, rstd * (g[c] - sum / (real)C - normal * moment / (real)C));
        }
    }
    for (int64_t c = 0; c < C; c++) {
        add(&args->dgamma, c, dgamma[c]);
        add(&args->dbeta, c, dbeta[c]);
    }
out:
    free(g);
    free(dgamma);
    free(dbeta);
    return status;
}

vg_status REF(residual_layernorm_forward)(vg_kernels *kernels, const vg_residual_layernorm_forward_args *args)
{
    (void)kernels;
    VG_TRY(vg__check_residual_layernorm_forward(args, REF_TYPES));
    int64_t B = args->x.dims[0], R = args->x.dims[1], C = args->x.dims[2];
    for (int64_t n = 0; n < B * R; n++) {
        for (int64_t c = 0; c < C; c++)
            store(&args->z, n * C + c,
                  load(&args->residual, n * C + c) +
                      load(&args->x, n * C + c) * dropout_factor(args->dropout, n / R, n % R * C + c));
        /* The statistics are those of z as it was stored: backward has no other. */
        real mean, rstd;
        moments(&args->z, n * C, C, (real)args->epsilon, &mean, &rstd);
        store(&args->mean, n, mean);
        store(&args->rstd, n, rstd);
        for (int64_t c = 0; c < C; c++) {
            real normal = (load(&args->z, n * C + c) - mean) * rstd;
            store(&args->y, n * C + c, normal * load(&args->gamma, c) + load(&args->beta, c));
        }
    }
    return VG_OK;
}

vg_status REF(residual_layernorm_backward)(vg_kernels *kernels,
                                           const vg_residual_layernorm_backward_args *args)
{
    (void)kernels;
    VG_TRY(vg__check_residual_layernorm_backward(args, REF_TYPES));
    int64_t B = args->z.dims[0], R = args->z.dims[1], C = args->z.dims[2];
    real *dgamma = calloc((size_t)C, sizeof *dgamma), *dbeta = calloc((size_t)C, sizeof *dbeta);
    vg_status status = VG_OK;
    if (!dgamma || !dbeta) {
        status = vg_fail(VG_ERR_MEMORY, "residual_layernorm_backward: no memory for two rows");
        goto out;
    }
    for (int64_t n = 0; n < B * R; n++) {
        real mean = load(&args->mean, n), rstd = load(&args->rstd, n), sum = 0, moment = 0;
        for (int64_t c = 0; c < C; c++) {
            real normal = (load(&args->z, n * C + c) - mean) * rstd, dy = load(&args->dy, n * C + c);
            dgamma[c] += dy * normal;
            dbeta[c] += dy;
            sum += dy * load(&args->gamma, c);
            moment += dy * load(&args->gamma, c) * normal;
        }
        for (int64_t c = 0; c < C; c++) {
            real normal = (load(&args->z, n * C + c) - mean) * rstd;
            real g = load(&args->dy, n * C + c) * load(&args->gamma, c);
            g = rstd * (g - sum / (real)C - normal * moment / (real)C);
            if (present(&args->dz)) g += load(&args->dz, n * C + c);
            store(&args->dresidual, n * C + c, g);
            store(&args->dx, n * C + c, g * dropout_factor(args->dropout, n / R, n % R * C + c));
        }
    }
    for (int64_t c = 0; c < C; c++) {
        add(&args->dgamma, c, dgamma[c]);
        add(&args->dbeta, c, dbeta[c]);
    }
out:
    free(dgamma);
    free(dbeta);
    return status;
}
