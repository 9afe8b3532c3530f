/* The pretext task's masks. A block takes a segment in stretches of as many samples as it has threads; where
 * spans start is told among the warps by ballots, so a sample finds the latest start before it without
 * walking. The work is in the draws, ten rounds a sample, and not in memory: samples are read and written one
 * by one.
 *
 * The choices are those of the contract bit for bit: (word + 1/2) / 2^32 < p as doubles is the same question
 * as word < ceil(p * 2^32 - 1/2), and both sides of it are exact. Not yet run on a GPU. */
#include <math.h>

#include "kernels/cuda/common.h"

namespace
{
enum { WIDTH = 256, WARPS = WIDTH / 32, MAX_BLOCKS = 528 };

template <class T> struct masking {
    const T *x, *learned;
    const int64_t *segment;
    T *y;
    uint8_t *mask;
    int64_t length; /* samples a segment */
    uint64_t seed;
    uint64_t start_below, random_below, keep_below; /* words below these start a span, and choose its fate */
    uint32_t epoch;
    int32_t span;
    vg_mask_fill fill;
};

/* Box-Muller. Near 1 the logarithm is taken of what is missing to 1, which a float holds better; the angle is
 * counted from -pi. */
GPU_DEVICE float standard_normal(gpu_draw draw)
{
    const float unit = 0x1p-32f;
    const uint32_t word = draw.word[0];
    const float log_u =
        word < 0x80000000u ? logf(((float)word + 0.5f) * unit) : log1pf(-((float)~word + 0.5f) * unit);
    return sqrtf(-2 * log_u) * gpu_cos_pi(((float)(int32_t)draw.word[1] + 0.5f) * (2 * unit));
}

/* Bit `lane` of each word of a stretch: a span starts there, its fate is RANDOM, is KEPT. */
struct starts {
    uint32_t any[WARPS], random[WARPS], kept[WARPS];
};

/* Goes back from the bits `own` of word `warp` to the latest start; `at` counts within the stretch. */
GPU_DEVICE bool latest(const starts &s, int warp, uint32_t own, int &at, int &fate)
{
    uint32_t bits = own;
    while (!bits && warp > 0) bits = s.any[--warp];
    if (!bits) return false;
    const int bit = gpu_highest_bit(bits);
    at = 32 * warp + bit;
    fate = s.random[warp] >> bit & 1 ? VG_MASK_RANDOM
           : s.kept[warp] >> bit & 1 ? VG_MASK_KEPT
                                     : VG_MASK_FILLED;
    return true;
}

template <class T> GPU_KERNEL(WIDTH) forward_kernel(masking<T> a)
{
    GPU_SHARED(starts, told, 1);
    GPU_SHARED(float, mean, 1);
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    const int64_t b = blockIdx.x, T_ = a.length;
    const T *x = a.x + b * T_;
    T *y = a.y + b * T_;
    uint8_t *mask = a.mask + b * T_;
    const uint32_t segment = (uint32_t)a.segment[b];
    int64_t last = -a.span; /* the latest start of the stretches before */
    int last_fate = VG_MASK_FILLED;
    double sum = 0;
    int64_t visible = 0;
    for (int64_t begin = 0; begin < T_; begin += WIDTH) {
        const int64_t t = begin + threadIdx.x;
        const gpu_draw draw = gpu_philox(a.seed, (uint32_t)t, VG_SITE_MASK, segment, a.epoch);
        const uint32_t any = gpu_ballot(t < T_ && draw.word[0] < a.start_below);
        const uint32_t random = gpu_ballot(draw.word[1] < a.random_below);
        const uint32_t kept = gpu_ballot(draw.word[1] < a.keep_below);
        if (lane == 0) told[0].any[warp] = any, told[0].random[warp] = random, told[0].kept[warp] = kept;
        if (GPU_PLANTED_BUG != GPU_BUG_BARRIER) gpu_sync_block();
        int at, fate = last_fate;
        int64_t start = last;
        if (latest(told[0], warp, any & (0xffffffffu >> (31 - lane)), at, fate)) start = begin + at;
        if (latest(told[0], WARPS, 0, at, last_fate)) last = begin + at;
        gpu_sync_block(); /* the starts have been read */
        if (t >= T_) continue;
        if (t - start >= a.span) fate = VG_MASK_VISIBLE;
        mask[t] = (uint8_t)fate;
        if (fate == VG_MASK_FILLED) {
            if (a.fill == VG_MASK_ZERO) gpu_store(y + t, 0.0f);
            if (a.fill == VG_MASK_LEARNED) y[t] = *a.learned;
            if (a.fill == VG_MASK_NOISE)
                gpu_store(y + t, standard_normal(
                                     gpu_philox(a.seed, (uint32_t)t, VG_SITE_MASK_NOISE, segment, a.epoch)));
        } else
            y[t] = x[fate == VG_MASK_RANDOM ? draw.word[2] % (uint32_t)T_ : t];
        if (fate == VG_MASK_VISIBLE) {
            sum += (double)gpu_to_float(x[t]);
            visible++;
        }
    }
    if (a.fill != VG_MASK_MEAN) return;
    sum = gpu_block_sum<WIDTH>(sum);
    const double count = gpu_block_sum<WIDTH>((double)visible);
    if (threadIdx.x == 0) mean[0] = count > 0 ? (float)(sum / count) : 0;
    gpu_sync_block();
    for (int64_t t = threadIdx.x; t < T_; t += WIDTH) /* the very samples this thread looked at before */
        if (mask[t] == VG_MASK_FILLED) gpu_store(y + t, mean[0]);
}

/* The sum of dy over the samples that were filled, a partial sum for each block. */
template <class T>
GPU_KERNEL(WIDTH)
filled_kernel(const T *dy, const uint8_t *mask, int64_t n, bool vectors, double *partials)
{
    constexpr int W = gpu_vector<T>::count;
    const int64_t first = (int64_t)blockIdx.x * WIDTH + threadIdx.x, step = (int64_t)gridDim.x * WIDTH;
    const int64_t whole = vectors ? n / W : 0;
    double sum = 0;
    for (int64_t v = first; v < whole; v += step) {
        const gpu_vector<T> flow = gpu_load_vector(dy + v * W);
        uint8_t m[W];
        memcpy(m, __builtin_assume_aligned(mask + v * W, W), W);
#pragma unroll
        for (int w = 0; w < W; w++)
            if (m[w] == VG_MASK_FILLED) sum += (double)gpu_to_float(flow.at[w]);
    }
    for (int64_t i = whole * W + first; i < n; i += step)
        if (mask[i] == VG_MASK_FILLED) sum += (double)gpu_to_float(dy[i]);
    sum = gpu_block_sum<WIDTH>(sum);
    if (threadIdx.x == 0) partials[blockIdx.x] = sum;
}

GPU_KERNEL(WIDTH) add_kernel(const double *partials, int blocks, float *to)
{
    double sum = 0;
    for (int i = threadIdx.x; i < blocks; i += WIDTH) sum += partials[i];
    sum = gpu_block_sum<WIDTH>(sum);
    if (threadIdx.x == 0) *to = (float)((double)*to + sum);
}

/* How many words count as unit values below p. */
uint64_t words_below(double p)
{
    const double words = ceil(p * 0x1p32 - 0.5);
    return words <= 0 ? 0 : words >= 0x1p32 ? (uint64_t)1 << 32 : (uint64_t)words;
}

template <class T> vg_status run(const vg_mask_forward_args *args, cudaStream_t stream)
{
    const double random_share = (double)args->random_share;
    masking<T> a = {};
    a.x = (const T *)args->x.data;
    a.learned = (const T *)args->learned.data;
    a.segment = (const int64_t *)args->segment.data;
    a.y = (T *)args->y.data;
    a.mask = (uint8_t *)args->mask.data;
    a.length = args->x.dims[1];
    a.seed = args->seed;
    a.start_below = words_below((double)args->start_probability);
    a.random_below = words_below(random_share);
    a.keep_below = words_below(random_share + (double)args->keep_share);
    a.epoch = args->epoch;
    a.span = args->span;
    a.fill = args->fill;
    return gpu_launched(
        gpu_launch(forward_kernel<T>, dim3((unsigned)args->x.dims[0]), dim3(WIDTH), 0, stream, a),
        "mask_forward");
}

template <class T> vg_status run(const vg_mask_backward_args *args, double *partials, cudaStream_t stream)
{
    const char *op = "mask_backward";
    const T *dy = (const T *)args->dy.data;
    const uint8_t *mask = (const uint8_t *)args->mask.data;
    const int64_t n = args->dy.dims[0] * args->dy.dims[1], wanted = (n + WIDTH * 4 - 1) / (WIDTH * 4);
    const int blocks = wanted < MAX_BLOCKS ? (int)wanted : (int)MAX_BLOCKS;
    GPU_TRY(op, gpu_launch(filled_kernel<T>, dim3((unsigned)blocks), dim3(WIDTH), 0, stream, dy, mask, n,
                           gpu_all_aligned(dy, mask), partials));
    GPU_TRY(op, gpu_launch(add_kernel, dim3(1), dim3(WIDTH), 0, stream, (const double *)partials, blocks,
                           (float *)args->dlearned.data));
    return VG_OK;
}
} // namespace

vg_status vg__cuda_mask_forward(vg_kernels *kernels, const vg_mask_forward_args *args)
{
    VG_TRY(vg__check_mask_forward(args, VG__F32 | VG__BF16));
    if (args->x.dims[0] * args->x.dims[1] == 0) return VG_OK;
    if (args->x.dims[0] > INT32_MAX)
        return vg_fail(VG_ERR_UNSUPPORTED, "mask_forward: more than 2^31 segments in a batch");
    const cudaStream_t stream = vg__cuda_of(kernels)->stream;
    return args->x.dtype == VG_BF16 ? run<gpu_bf16>(args, stream) : run<float>(args, stream);
}

vg_status vg__cuda_mask_backward(vg_kernels *kernels, const vg_mask_backward_args *args)
{
    VG_TRY(vg__check_mask_backward(args, VG__F32 | VG__BF16));
    vg__cuda *cuda = vg__cuda_of(kernels);
    if (args->dy.dims[0] * args->dy.dims[1] == 0) return VG_OK;
    double *partials; /* one a block */
    VG_TRY(cuda->scratch(cuda, MAX_BLOCKS * sizeof *partials, (void **)&partials));
    return args->dy.dtype == VG_BF16 ? run<gpu_bf16>(args, partials, cuda->stream)
                                     : run<float>(args, partials, cuda->stream);
}
