/* The end of a step: norm of the gradient, Adam. Both only stream through memory. */
#include <math.h>

#include "kernels/cpu/cpu.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/vector.h"

enum { GRAIN = 16384, SUMS = 16 };

typedef struct squares {
    const float *gradient;
    double *partial; /* of each block */
} squares;

static void square_block(void *context, int64_t begin, int64_t end, int thread)
{
    const squares *sq = context;
    (void)thread;
    double sum[SUMS] = {0};
    int64_t n = begin;
    for (; n + SUMS <= end; n += SUMS)
        for (int i = 0; i < SUMS; i++) sum[i] += (double)sq->gradient[n + i] * (double)sq->gradient[n + i];
    for (; n < end; n++) sum[0] += (double)sq->gradient[n] * (double)sq->gradient[n];
    for (int i = 1; i < SUMS; i++) sum[0] += sum[i];
    sq->partial[begin / GRAIN] = sum[0];
}

vg_status vg__cpu_grad_norm(vg_kernels *kernels, const vg_grad_norm_args *args)
{
    VG__CPU_ENTER(grad_norm, kernels, args, gradient);
    int64_t total = args->gradient.dims[0], blocks = (total + GRAIN - 1) / GRAIN;
    float *scratch;
    VG_TRY(vg__cpu_scratch(kernels, (size_t)blocks * sizeof(double), &scratch));
    squares sq = {.gradient = args->gradient.data, .partial = (double *)(void *)scratch};
    vg__parallel_for(total, GRAIN, square_block, &sq);
    double sum = 0;
    for (int64_t block = 0; block < blocks; block++) sum += sq.partial[block];
    *(double *)args->sum.data += sum;
    return VG_OK;
}

typedef struct adam {
    float *p, *m, *v;
    const float *g;
    uint16_t *copy; /* NULL: nobody wants it */
    float factor, lr, beta1, beta2, rest1, rest2, decay, epsilon, correction1, correction2;
    bool decoupled;
} adam;

static void adam_block(void *context, int64_t begin, int64_t end, int thread)
{
    const adam a = *(const adam *)context;
    (void)thread;
    float shrink = a.lr * a.decay;
    for (int64_t n = begin; n < end; n += LANES) {
        int64_t left = end - n;
        vecf p = vec_load_part(a.p + n, left), g = vec_load_part(a.g + n, left) * a.factor;
        if (a.decoupled)
            p -= shrink * p;
        else
            g += a.decay * p;
        vecf m = a.beta1 * vec_load_part(a.m + n, left) + a.rest1 * g;
        vecf v = a.beta2 * vec_load_part(a.v + n, left) + a.rest2 * g * g;
        vecf scaled = v / a.correction2, root;
        for (int i = 0; i < LANES; i++) root[i] = sqrtf(scaled[i]);
        p -= a.lr * (m / a.correction1) / (root + a.epsilon);
        vec_store_part(a.m + n, m, left);
        vec_store_part(a.v + n, v, left);
        vec_store_part(a.p + n, p, left);
        for (int i = 0; a.copy && i < LANES && i < left; i++) a.copy[n + i] = vg_bf16_from_float(p[i]);
    }
}

vg_status vg__cpu_adamw(vg_kernels *kernels, const vg_adamw_args *args)
{
    VG__CPU_ENTER(adamw, kernels, args, parameter);
    double count = args->count.data ? *(const double *)args->count.data : 1;
    if (count == 0) return VG_OK;
    double factor = 1 / count;
    if (args->max_norm > 0) {
        double norm = sqrt(*(const double *)args->norm_squared.data) / count;
        if (norm > args->max_norm) factor *= args->max_norm / (norm + 1e-6);
    }
    adam a = {.p = args->parameter.data,
              .m = args->m.data,
              .v = args->v.data,
              .g = args->gradient.data,
              .copy = args->copy.data,
              .factor = (float)factor,
              .lr = (float)args->lr,
              .beta1 = (float)args->beta1,
              .beta2 = (float)args->beta2,
              .rest1 = (float)(1 - args->beta1),
              .rest2 = (float)(1 - args->beta2),
              .decay = (float)args->weight_decay,
              .epsilon = (float)args->epsilon,
              .correction1 = (float)(1 - pow(args->beta1, (double)args->step)),
              .correction2 = (float)(1 - pow(args->beta2, (double)args->step)),
              .decoupled = args->decoupled};
    vg__parallel_for(args->parameter.dims[0], GRAIN, adam_block, &a);
    return VG_OK;
}
