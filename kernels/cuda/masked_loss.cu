/* The two losses. Each gives its sum, its gradient and its count in one pass over the data; the sums are
 * taken in double, per block into scratch and then over blocks in a fixed order. Not yet run on a GPU. */
#include "kernels/cuda/common.h"

namespace
{
enum { WIDTH = 256, MAX_BLOCKS = 528 };

/* One sample's part of sum and count; returns the gradient. */
template <class T> GPU_DEVICE float sample(T prediction, T target, uint8_t mask, double &sum, int64_t &count)
{
    if (!mask) return 0; /* before anything is looked at: what is not masked may be anything */
    float difference = gpu_to_float(prediction) - gpu_to_float(target);
    sum += (double)difference * (double)difference;
    count++;
    return 2 * difference;
}

/* `vectors`: all pointers allow 16 bytes at a time; what is left over at the end goes one by one. */
template <class T>
GPU_KERNEL(WIDTH)
mse_kernel(const T *prediction, const T *target, const uint8_t *mask, T *dprediction, int64_t n, bool vectors,
           double *partials)
{
    constexpr int W = gpu_vector<T>::count;
    const int64_t first = (int64_t)blockIdx.x * WIDTH + threadIdx.x, step = (int64_t)gridDim.x * WIDTH;
    const int64_t whole = !vectors ? 0 : GPU_PLANTED_BUG == GPU_BUG_TAIL ? (n + W - 1) / W : n / W;
    double sum = 0;
    int64_t count = 0;
    for (int64_t v = first; v < whole; v += step) {
        gpu_vector<T> p = gpu_load_vector(prediction + v * W), t = gpu_load_vector(target + v * W), d;
        uint8_t m[W];
        memcpy(m, __builtin_assume_aligned(mask + v * W, W), W);
#pragma unroll
        for (int w = 0; w < W; w++) gpu_store(&d.at[w], sample(p.at[w], t.at[w], m[w], sum, count));
        if (dprediction) gpu_store_vector(dprediction + v * W, d);
    }
    for (int64_t i = whole * W + first; i < n; i += step) {
        float d = sample(prediction[i], target[i], mask[i], sum, count);
        if (dprediction) gpu_store(dprediction + i, d);
    }
    sum = gpu_block_sum<WIDTH>(sum);
    double counted = gpu_block_sum<WIDTH>((double)count);
    if (threadIdx.x == 0) {
        partials[2 * blockIdx.x] = sum;
        partials[2 * blockIdx.x + 1] = counted;
    }
}

/* stats += the sums of `blocks` pairs; one block. */
GPU_KERNEL(WIDTH) add_stats_kernel(const double *partials, int blocks, double *stats)
{
    for (int which = 0; which < 2; which++) {
        double sum = 0;
        for (int i = threadIdx.x; i < blocks; i += WIDTH) sum += partials[2 * i + which];
        sum = gpu_block_sum<WIDTH>(sum);
        if (threadIdx.x == 0) stats[which] += sum;
    }
}

/* One block, since there is one logit a segment. softplus(x) = max(x, 0) + log(1 + exp(-|x|)): the
 * exponential never overflows. */
template <class T>
GPU_KERNEL(WIDTH)
bce_kernel(const T *logit, const T *label, T *dlogit, int64_t n, double *stats)
{
    double sum = 0;
    for (int64_t i = threadIdx.x; i < n; i += WIDTH) {
        float x = gpu_to_float(logit[i]), y = gpu_to_float(label[i]), small = expf(-fabsf(x));
        sum += (double)((x > 0 ? x : 0) - y * x + log1pf(small));
        if (dlogit) gpu_store(dlogit + i, (x > 0 ? 1 : small) / (1 + small) - y);
    }
    sum = gpu_block_sum<WIDTH>(sum);
    if (threadIdx.x == 0) {
        stats[0] += sum;
        stats[1] += (double)n;
    }
}

template <class T> vg_status run(const vg_masked_mse_args *args, double *partials, cudaStream_t stream)
{
    const char *op = "masked_mse";
    const T *prediction = (const T *)args->prediction.data, *target = (const T *)args->target.data;
    const uint8_t *mask = (const uint8_t *)args->mask.data;
    T *dprediction = (T *)args->dprediction.data;
    const int64_t n = args->prediction.dims[0] * args->prediction.dims[1];
    if (n == 0) return VG_OK;
    const bool vectors =
        gpu_aligned(prediction) && gpu_aligned(target) && gpu_aligned(mask) && gpu_aligned(dprediction);
    const int64_t wanted = (n + WIDTH * 4 - 1) / (WIDTH * 4);
    const int blocks = wanted < MAX_BLOCKS ? (int)wanted : (int)MAX_BLOCKS;
    GPU_TRY(op, gpu_launch(mse_kernel<T>, dim3((unsigned)blocks), dim3(WIDTH), 0, stream, prediction, target,
                           mask, dprediction, n, vectors, partials));
    GPU_TRY(op, gpu_launch(add_stats_kernel, dim3(1), dim3(WIDTH), 0, stream, (const double *)partials,
                           blocks, (double *)args->stats.data));
    return VG_OK;
}

template <class T> vg_status run(const vg_bce_args *args, cudaStream_t stream)
{
    const int64_t n = args->logit.dims[0];
    if (n == 0) return VG_OK;
    return gpu_launched(gpu_launch(bce_kernel<T>, dim3(1), dim3(WIDTH), 0, stream,
                                   (const T *)args->logit.data, (const T *)args->label.data,
                                   (T *)args->dlogit.data, n, (double *)args->stats.data),
                        "bce");
}
} // namespace

vg_status vg__cuda_masked_mse(vg_kernels *kernels, const vg_masked_mse_args *args)
{
    VG_TRY(vg__check_masked_mse(args, VG__F32 | VG__BF16));
    vg__cuda *cuda = vg__cuda_of(kernels);
    double *partials; /* two a block */
    VG_TRY(cuda->scratch(cuda, MAX_BLOCKS * 2 * sizeof *partials, (void **)&partials));
    return args->prediction.dtype == VG_BF16 ? run<gpu_bf16>(args, partials, cuda->stream)
                                             : run<float>(args, partials, cuda->stream);
}

vg_status vg__cuda_bce(vg_kernels *kernels, const vg_bce_args *args)
{
    VG_TRY(vg__check_bce(args, VG__F32 | VG__BF16));
    const cudaStream_t stream = vg__cuda_of(kernels)->stream;
    return args->logit.dtype == VG_BF16 ? run<gpu_bf16>(args, stream) : run<float>(args, stream);
}
