/* Segments of a signal that is resident on the device, normalised. A start is any sample, so neighbouring
 * threads read and write neighbouring samples one by one. The arithmetic is that of the host, difference and
 * product in double and one rounding, and nothing in it can be contracted: the bits are the host's. Not yet
 * run on a GPU. */
#include "kernels/cuda/common.h"

namespace
{
enum { WIDTH = 256, EACH = 4 /* samples a thread */, MAX_SEGMENTS = 65535 /* blocks in y */ };

template <class T>
GPU_KERNEL(WIDTH)
gather_kernel(const float *signal, const int64_t *start, const double *mean, const double *scale,
              const int64_t *index, T *y, int64_t B, int64_t length)
{
    const int64_t first = (int64_t)blockIdx.x * WIDTH * EACH + threadIdx.x;
    for (int64_t b = blockIdx.y; b < B; b += gridDim.y) {
        const int64_t segment = index[b];
        const float *samples = signal + start[segment];
        const double middle = mean[segment], factor = scale[segment];
#pragma unroll
        for (int i = 0; i < EACH; i++) {
            const int64_t t = first + i * WIDTH;
            if (t < (GPU_PLANTED_BUG == GPU_BUG_TAIL ? length + 1 : length))
                gpu_store(y + b * length + t, (float)(((double)samples[t] - middle) * factor));
        }
    }
}

template <class T> vg_status run(const vg_gather_args *args, cudaStream_t stream)
{
    const int64_t B = args->y.dims[0], length = args->y.dims[1];
    const dim3 grid((unsigned)((length + WIDTH * EACH - 1) / (WIDTH * EACH)),
                    (unsigned)(B < MAX_SEGMENTS ? B : (int64_t)MAX_SEGMENTS));
    return gpu_launched(gpu_launch(gather_kernel<T>, grid, dim3(WIDTH), 0, stream,
                                   (const float *)args->signal.data, (const int64_t *)args->start.data,
                                   (const double *)args->mean.data, (const double *)args->scale.data,
                                   (const int64_t *)args->index.data, (T *)args->y.data, B, length),
                        "gather");
}
} // namespace

vg_status vg__cuda_gather(vg_kernels *kernels, const vg_gather_args *args)
{
    VG_TRY(vg__check_gather(args, VG__F32 | VG__BF16));
    if (args->y.dims[0] * args->y.dims[1] == 0) return VG_OK;
    if (args->y.dims[1] >= (int64_t)1 << 40)
        return vg_fail(VG_ERR_UNSUPPORTED, "gather: more than 2^40 samples a segment");
    const cudaStream_t stream = vg__cuda_of(kernels)->stream;
    return args->y.dtype == VG_BF16 ? run<gpu_bf16>(args, stream) : run<float>(args, stream);
}
