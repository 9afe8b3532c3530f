/* The norm of a gradient slab and the step over it. Count and norm are read on the device, so that a step
 * waits for no one. Not yet run on a GPU. */
#include <math.h>

#include "kernels/cuda/common.h"

namespace
{
enum { WIDTH = 256, MAX_BLOCKS = 528 };
static_assert((int)VG__CUDA_SUM_SCRATCH >= MAX_BLOCKS * (int)sizeof(double), "a partial sum a block");

int blocks_for(int64_t n)
{
    const int64_t wanted = (n + WIDTH * 4 - 1) / (WIDTH * 4);
    return wanted < MAX_BLOCKS ? (int)wanted : (int)MAX_BLOCKS;
}

GPU_DEVICE double square(float value)
{
    return (double)value * (double)value;
}

template <class T>
GPU_KERNEL(WIDTH)
squares_kernel(const T *gradient, int64_t n, bool vectors, double *partials)
{
    constexpr int W = gpu_vector<T>::count;
    const int64_t first = (int64_t)blockIdx.x * WIDTH + threadIdx.x, step = (int64_t)gridDim.x * WIDTH;
    const int64_t whole = vectors ? n / W : 0;
    double sum = 0;
    for (int64_t v = first; v < whole; v += step) {
        gpu_vector<T> g = gpu_load_vector(gradient + v * W);
#pragma unroll
        for (int w = 0; w < W; w++) sum += square(gpu_to_float(g.at[w]));
    }
    for (int64_t i = whole * W + first; i < n; i += step) sum += square(gpu_to_float(gradient[i]));
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

template <class P, class G>
GPU_KERNEL(WIDTH)
adamw_kernel(P *parameter, const G *gradient, float *first_moment, float *second_moment, gpu_bf16 *copy,
             int64_t n, const double *count_at, const double *norm_squared, step_numbers s)
{
    const double count = count_at ? *count_at : 1;
    double factor = 1 / count;
    if (s.max_norm > 0) {
        double norm = sqrt(*norm_squared) / count;
        if (norm > s.max_norm) factor *= s.max_norm / (norm + 1e-6);
    }
    const int64_t step = (int64_t)gridDim.x * WIDTH;
    for (int64_t i = (int64_t)blockIdx.x * WIDTH + threadIdx.x; i < n && count != 0; i += step) {
        float p = gpu_to_float(parameter[i]), g = gpu_to_float(gradient[i]) * (float)factor;
        if (s.decoupled)
            p -= s.lr * s.decay * p;
        else
            g += s.decay * p;
        const float m = s.beta1 * first_moment[i] + s.one_minus_beta1 * g;
        const float v = s.beta2 * second_moment[i] + s.one_minus_beta2 * g * g;
        p -= s.lr * (m / s.correction1) / (sqrtf(v / s.correction2) + s.epsilon);
        first_moment[i] = m;
        second_moment[i] = v;
        gpu_store(parameter + i, p);
        if (copy) gpu_store(copy + i, p);
    }
}

template <class T> vg_status run(const vg_grad_norm_args *args, double *partials, cudaStream_t stream)
{
    const char *op = "grad_norm";
    const T *gradient = (const T *)args->gradient.data;
    const int64_t n = args->gradient.dims[0];
    if (n == 0) return VG_OK;
    const int blocks = blocks_for(n);
    GPU_TRY(op, gpu_launch(squares_kernel<T>, dim3((unsigned)blocks), dim3(WIDTH), 0, stream, gradient, n,
                           gpu_aligned(gradient), partials));
    GPU_TRY(op, gpu_launch(add_sum_kernel, dim3(1), dim3(WIDTH), 0, stream, (const double *)partials, blocks,
                           (double *)args->sum.data));
    return VG_OK;
}

template <class P, class G>
vg_status run(const vg_adamw_args *args, const vg_tensor *copy, cudaStream_t stream)
{
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
    return gpu_launched(
        gpu_launch(adamw_kernel<P, G>, dim3(blocks), dim3(WIDTH), 0, stream, (P *)args->parameter.data,
                   (const G *)args->gradient.data, (float *)args->m.data, (float *)args->v.data,
                   copy ? (gpu_bf16 *)copy->data : nullptr, n, (const double *)args->count.data,
                   (const double *)args->norm_squared.data, s),
        "adamw");
}
} // namespace

vg_status vg__cuda_grad_norm(const vg_grad_norm_args *args, vg__cuda_scratch scratch, vg__cuda_stream stream)
{
    VG_TRY(vg__check_grad_norm(args, VG__F32 | VG__BF16));
    VG_ASSERT(scratch.bytes >= VG__CUDA_SUM_SCRATCH);
    double *partials = (double *)scratch.memory;
    return args->gradient.dtype == VG_BF16 ? run<gpu_bf16>(args, partials, stream)
                                           : run<float>(args, partials, stream);
}

vg_status vg__cuda_adamw(const vg_adamw_args *args, const vg_tensor *copy, vg__cuda_stream stream)
{
    /* The contract knows one type for parameters and gradients; a master of F32 may take its gradient in
     * bf16. */
    vg_adamw_args checked = *args;
    const bool mixed = args->parameter.dtype == VG_F32 && args->gradient.dtype == VG_BF16;
    if (mixed) checked.gradient.dtype = VG_F32;
    VG_TRY(vg__check_adamw(&checked, VG__F32 | VG__BF16));
    if (copy && copy->data &&
        (copy->dtype != VG_BF16 || args->parameter.dtype != VG_F32 ||
         !vg_tensor_same_shape(copy, &args->parameter))) {
        char got[96];
        return vg_fail(VG_ERR_SHAPE, "adamw: the copy is %s, expected BF16 of the shape of an F32 parameter",
                       vg_tensor_describe(copy, got, sizeof got));
    }
    if (mixed) return run<float, gpu_bf16>(args, copy, stream);
    if (args->parameter.dtype == VG_BF16) return run<gpu_bf16, gpu_bf16>(args, copy, stream);
    return run<float, float>(args, copy, stream);
}
