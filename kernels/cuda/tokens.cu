/* CLS and positions in front of the encoder. A thread takes eight neighbouring elements of a segment, which
 * are one draw of each dropout, or one element where C or the alignment allow no more (the heads use these
 * operations with C = 1 to put a row in front and to drop it). Not yet run on a GPU. */
#include "kernels/cuda/common.h"

namespace
{
enum { WIDTH = 256, WARPS = WIDTH / 32, MAX_SEGMENTS = 65535 /* blocks in y */ };

/* out[b, e] for e of the 1 + T rows. A thread keeps its elements of `position` over all its segments. */
template <class T, int W>
GPU_KERNEL(WIDTH)
forward_kernel(const T *x, const T *cls, const T *position, T *out, int64_t B, int64_t inputs, int64_t C,
               gpu_dropout before, gpu_dropout after)
{
    const int64_t e = ((int64_t)blockIdx.x * WIDTH + threadIdx.x) * W, outputs = C + inputs;
    if (e >= (GPU_PLANTED_BUG == GPU_BUG_TAIL ? outputs + 1 : outputs)) return;
    float place[W];
    gpu_load_floats(place, position + e);
    for (int64_t b = blockIdx.y; b < B; b += gridDim.y) {
        float value[W], factor[W];
        gpu_load_floats(value, e < C ? cls + e : x + b * inputs + e - C);
        if (e >= C) {
            gpu_dropout_factors(factor, before, b, e - C);
#pragma unroll
            for (int w = 0; w < W; w++) value[w] *= factor[w];
        }
        gpu_dropout_factors(factor, after, b, e);
#pragma unroll
        for (int w = 0; w < W; w++) value[w] = (value[w] + place[w]) * factor[w];
        gpu_store_floats(out + b * outputs + e, value);
    }
}

template <class T, int W>
GPU_KERNEL(WIDTH)
backward_kernel(const T *dout, T *dx, int64_t B, int64_t inputs, int64_t C, gpu_dropout before,
                gpu_dropout after)
{
    const int64_t e = ((int64_t)blockIdx.x * WIDTH + threadIdx.x) * W;
    if (e >= inputs) return;
    for (int64_t b = blockIdx.y; b < B; b += gridDim.y) {
        float flow[W], factor[2][W];
        gpu_load_floats(flow, dout + b * (C + inputs) + C + e);
        gpu_dropout_factors(factor[0], after, b, C + e);
        gpu_dropout_factors(factor[1], before, b, e);
#pragma unroll
        for (int w = 0; w < W; w++) flow[w] *= factor[0][w] * factor[1][w];
        gpu_store_floats(dx + b * inputs + e, flow);
    }
}

/* dcls += the sum over the batch: a block takes 32 channels, a warp every WARPS-th segment. */
template <class T>
GPU_KERNEL(WIDTH)
cls_kernel(const T *dout, float *dcls, int64_t B, int64_t outputs, int64_t C, gpu_dropout after)
{
    GPU_SHARED(double, of_warp, WIDTH);
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    const int64_t c = (int64_t)blockIdx.x * 32 + lane;
    double sum = 0;
    for (int64_t b = warp; b < B && c < C; b += WARPS) {
        float factor[1];
        gpu_dropout_factors(factor, after, b, c);
        sum += (double)(gpu_to_float(dout[b * outputs + c]) * factor[0]);
    }
    of_warp[threadIdx.x] = sum;
    if (GPU_PLANTED_BUG != GPU_BUG_BARRIER) gpu_sync_block();
    if (warp == 0 && c < C) {
        double all = 0;
        for (int k = 0; k < WARPS; k++) all += of_warp[k * 32 + lane];
        dcls[c] = (float)((double)dcls[c] + all);
    }
}

/* Blocks for `elements` a segment, W a thread. */
dim3 grid_of(int64_t elements, int W, int64_t B)
{
    const int64_t each = (int64_t)WIDTH * W;
    return dim3((unsigned)((elements + each - 1) / each),
                (unsigned)(B < MAX_SEGMENTS ? B : (int64_t)MAX_SEGMENTS));
}

/* Blocks in x are counted in 31 bits. */
vg_status countable(const char *op, int64_t elements)
{
    if (elements < (int64_t)1 << 38) return VG_OK;
    return vg_fail(VG_ERR_UNSUPPORTED, "%s: more than 2^38 elements a segment", op);
}

template <class T> vg_status run(const vg_tokens_forward_args *args, cudaStream_t stream)
{
    const int64_t B = args->x.dims[0], C = args->x.dims[2], inputs = args->x.dims[1] * C;
    const T *x = (const T *)args->x.data, *cls = (const T *)args->cls.data,
            *position = (const T *)args->position.data;
    T *out = (T *)args->out.data;
    if (B == 0) return VG_OK;
    const bool eight = C % VG_RANDOM_LANES == 0 && gpu_all_aligned(x, cls, position, out);
    return gpu_launched(gpu_launch(eight ? forward_kernel<T, VG_RANDOM_LANES> : forward_kernel<T, 1>,
                                   grid_of(C + inputs, eight ? VG_RANDOM_LANES : 1, B), dim3(WIDTH), 0,
                                   stream, x, cls, position, out, B, inputs, C, gpu_dropout_of(args->before),
                                   gpu_dropout_of(args->after)),
                        "tokens_forward");
}

template <class T> vg_status run(const vg_tokens_backward_args *args, cudaStream_t stream)
{
    const char *op = "tokens_backward";
    const int64_t B = args->dx.dims[0], C = args->dx.dims[2], inputs = args->dx.dims[1] * C;
    const T *dout = (const T *)args->dout.data;
    T *dx = (T *)args->dx.data;
    const gpu_dropout before = gpu_dropout_of(args->before), after = gpu_dropout_of(args->after);
    if (B == 0) return VG_OK;
    const bool eight = C % VG_RANDOM_LANES == 0 && gpu_all_aligned(dout, dx);
    if (inputs > 0)
        GPU_TRY(op, gpu_launch(eight ? backward_kernel<T, VG_RANDOM_LANES> : backward_kernel<T, 1>,
                               grid_of(inputs, eight ? VG_RANDOM_LANES : 1, B), dim3(WIDTH), 0, stream, dout,
                               dx, B, inputs, C, before, after));
    GPU_TRY(op, gpu_launch(cls_kernel<T>, dim3((unsigned)((C + 31) / 32)), dim3(WIDTH), 0, stream, dout,
                           (float *)args->dcls.data, B, C + inputs, C, after));
    return VG_OK;
}
} // namespace

vg_status vg__cuda_tokens_forward(vg_kernels *kernels, const vg_tokens_forward_args *args)
{
    VG_TRY(vg__check_tokens_forward(args, VG__F32 | VG__BF16));
    VG_TRY(countable("tokens_forward", vg_tensor_count(&args->position)));
    const cudaStream_t stream = vg__cuda_of(kernels)->stream;
    return args->x.dtype == VG_BF16 ? run<gpu_bf16>(args, stream) : run<float>(args, stream);
}

vg_status vg__cuda_tokens_backward(vg_kernels *kernels, const vg_tokens_backward_args *args)
{
    VG_TRY(vg__check_tokens_backward(args, VG__F32 | VG__BF16));
    VG_TRY(countable("tokens_backward", args->dx.dims[1] * args->dx.dims[2]));
    const cudaStream_t stream = vg__cuda_of(kernels)->stream;
    return args->dx.dtype == VG_BF16 ? run<gpu_bf16>(args, stream) : run<float>(args, stream);
}
