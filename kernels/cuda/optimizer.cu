/* The norm of a gradient slab and the step over it. Count and norm are read on the device, so that a step
 * waits for no one. Not yet run on a GPU. */
#include <math.h>

#include "kernels/cuda/common.h"

namespace
{
enum { WIDTH = 256, MAX_BLOCKS = 528 };

int blocks_for(int64_t n)
{
    const int64_t wanted = (n + WIDTH * 4 - 1) / (WIDTH * 4);
    return wanted < MAX_BLOCKS ? (int)wanted : (int)MAX_BLOCKS;
}

GPU_DEVICE double square(float value)
{
    return (double)value * (double)value;
}

GPU_KERNEL(WIDTH)
squares_kernel(const float *gradient, int64_t n, bool vectors, double *partials)
{
    constexpr int W = gpu_vector<float>::count;
    const int64_t first = (int64_t)blockIdx.x * WIDTH + threadIdx.x, step = (int64_t)gridDim.x * WIDTH;
    const int64_t whole = vectors ? n / W : 0;
    double sum = 0;
    for (int64_t v = first; v < whole; v += step) {
        gpu_vector<float> g = gpu_load_vector(gradient + v * W);
#pragma unroll
        for (int w = 0; w < W; w++) sum += square(g.at[w]);
    }
    for (int64_t i = whole * W + first; i < n; i += step) sum += square(gradient[i]);
    sum = gpu_block_sum<WIDTH>(sum);
    if (threadIdx.x == 0) partials[blockIdx.x] = sum;
}

GPU_KERNEL(WIDTH) add_sum_kernel(const double *partials, int blocks, double *to)
{
    double sum = 0;
    for (int i = threadIdx.x; i < blocks; i += WIDTH) sum += partials[i];
    sum = gpu_block_sum<WIDTH>(sum);
    if (threadIdx.x == 0) *to += sum;
}

/* What of a step does not depend on the element, worked out on the host in double. */
struct step_numbers {
    float beta1, beta2, one_minus_beta1, one_minus_beta2, lr, decay, epsilon, correction1, correction2;
    double max_norm;
    bool decoupled;
};

GPU_KERNEL(WIDTH)
adamw_kernel(float *parameter, const float *gradient, float *first_moment, float *second_moment,
             gpu_bf16 *copy, int64_t n, const double *count_at, const double *norm_squared, step_numbers s)
{
    const double count = count_at ? *count_at : 1;
    double factor = 1 / count;
    if (s.max_norm > 0) {
        double norm = sqrt(*norm_squared) / count;
        if (norm > s.max_norm) factor *= s.max_norm / (norm + 1e-6);
    }
    const int64_t step = (int64_t)gridDim.x * WIDTH;
    for (int64_t i = (int64_t)blockIdx.x * WIDTH + threadIdx.x; i < n && count != 0; i += step) {
        float p = parameter[i], g = gradient[i] * (float)factor;
        if (s.decoupled)
            p -= s.lr * s.decay * p;
        else
            g += s.decay * p;
        const float m = s.beta1 * first_moment[i] + s.one_minus_beta1 * g;
        const float v = s.beta2 * second_moment[i] + s.one_minus_beta2 * g * g;
        p -= s.lr * (m / s.correction1) / (sqrtf(v / s.correction2) + s.epsilon);
        first_moment[i] = m;
        second_moment[i] = v;
        parameter[i] = p;
        if (copy) gpu_store(copy + i, p);
    }
}

} // namespace

vg_status vg__cuda_grad_norm(vg_kernels *kernels, const vg_grad_norm_args *args)
{
    const char *op = "grad_norm";
    VG_TRY(vg__check_grad_norm(args, VG__F32));
    vg__cuda *cuda = vg__cuda_of(kernels);
    const float *gradient = (const float *)args->gradient.data;
    const int64_t n = args->gradient.dims[0];
    if (n == 0) return VG_OK;
    double *partials; /* one a block */
    VG_TRY(cuda->scratch(cuda, MAX_BLOCKS * sizeof *partials, (void **)&partials));
    const int blocks = blocks_for(n);
    GPU_TRY(op, gpu_launch(squares_kernel, dim3((unsigned)blocks), dim3(WIDTH), 0, cuda->stream, gradient, n,
                           gpu_aligned(gradient), partials));
    GPU_TRY(op, gpu_launch(add_sum_kernel, dim3(1), dim3(WIDTH), 0, cuda->stream, (const double *)partials,
                           blocks, (double *)args->sum.data));
    return VG_OK;
}

vg_status vg__cuda_adamw(vg_kernels *kernels, const vg_adamw_args *args)
{
    VG_TRY(vg__check_adamw(args, VG__F32));
    const int64_t n = args->parameter.dims[0];
    if (n == 0) return VG_OK;
    const step_numbers s = {(float)args->beta1,
                            (float)args->beta2,
                            (float)(1 - args->beta1),
                            (float)(1 - args->beta2),
                            (float)args->lr,
                            (float)args->weight_decay,
                            (float)args->epsilon,
                            (float)(1 - pow(args->beta1, (double)args->step)),
                            (float)(1 - pow(args->beta2, (double)args->step)),
                            args->max_norm,
                            args->decoupled};
    const int64_t wanted = (n + WIDTH - 1) / WIDTH; /* no sum, so no order: as many blocks as may help */
    const unsigned blocks = wanted < 65535 ? (unsigned)wanted : 65535u;
    return gpu_launched(gpu_launch(adamw_kernel, dim3(blocks), dim3(WIDTH), 0, vg__cuda_of(kernels)->stream,
                                   (float *)args->parameter.data, (const float *)args->gradient.data,
                                   (float *)args->m.data, (float *)args->v.data, (gpu_bf16 *)args->copy.data,
                                   n, (const double *)args->count.data,
                                   (const double *)args->norm_squared.data, s),
                        "adamw");
}
