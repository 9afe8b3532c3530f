/* The pretext task: masked spans, their loss, and the loss of the labels. */
#include <math.h>

#include "kernels/cpu/cpu.h"
#include "kernels/cpu/parallel.h"

static void mask_segments(void *context, int64_t begin, int64_t end, int thread)
{
    const vg_mask_forward_args *args = context;
    (void)thread;
    int64_t T = args->x.dims[1];
    for (int64_t b = begin; b < end; b++) {
        const float *x = (const float *)args->x.data + b * T;
        float *y = (float *)args->y.data + b * T;
        uint8_t *mask = (uint8_t *)args->mask.data + b * T;
        uint32_t segment = (uint32_t)((const int64_t *)args->segment.data)[b];
        int64_t covered = 0, visible = 0; /* samples of the latest span still to come; samples to be seen */
        uint8_t fate = VG_MASK_FILLED;
        double sum = 0;
        for (int64_t t = 0; t < T; t++) {
            vg_philox draw = vg_philox_draw(args->seed, (uint32_t)t, VG_SITE_MASK, segment, args->epoch);
            if (vg_random_unit(draw.word[0]) < (double)args->start_probability) {
                double u = vg_random_unit(draw.word[1]), random = args->random_share;
                covered = args->span;
                fate = u < random                              ? VG_MASK_RANDOM
                       : u < random + (double)args->keep_share ? VG_MASK_KEPT
                                                               : VG_MASK_FILLED;
            }
            mask[t] = covered > 0 ? fate : (uint8_t)VG_MASK_VISIBLE;
            y[t] = x[t];
            if (mask[t] == VG_MASK_RANDOM) y[t] = x[draw.word[2] % (uint64_t)T];
            if (mask[t] == VG_MASK_VISIBLE) {
                sum += (double)x[t];
                visible++;
            }
            if (covered > 0) covered--;
        }
        float fill = 0;
        if (args->fill == VG_MASK_MEAN && visible) fill = (float)(sum / (double)visible);
        if (args->fill == VG_MASK_LEARNED) fill = *(const float *)args->learned.data;
        for (int64_t t = 0; t < T; t++) {
            if (mask[t] != VG_MASK_FILLED) continue;
            y[t] = fill;
            if (args->fill != VG_MASK_NOISE) continue;
            vg_philox draw =
                vg_philox_draw(args->seed, (uint32_t)t, VG_SITE_MASK_NOISE, segment, args->epoch);
            y[t] = (float)(sqrt(-2 * log(vg_random_unit(draw.word[0]))) *
                           cos(6.283185307179586 * vg_random_unit(draw.word[1])));
        }
    }
}

vg_status vg__cpu_mask_forward(vg_kernels *kernels, const vg_mask_forward_args *args)
{
    VG__CPU_ENTER(mask_forward, kernels, args, x);
    vg_mask_forward_args copy = *args;
    vg__parallel_for(args->x.dims[0], 1, mask_segments, &copy);
    return VG_OK;
}

/* Sums over a few thousand numbers stay in one thread: a fork costs as much. */
vg_status vg__cpu_mask_backward(vg_kernels *kernels, const vg_mask_backward_args *args)
{
    VG__CPU_ENTER(mask_backward, kernels, args, dy);
    const uint8_t *mask = args->mask.data;
    const float *dy = args->dy.data;
    double sum = 0;
    for (int64_t n = 0; n < args->dy.dims[0] * args->dy.dims[1]; n++)
        if (mask[n] == VG_MASK_FILLED) sum += (double)dy[n];
    float *dlearned = args->dlearned.data;
    *dlearned = (float)((double)*dlearned + sum);
    return VG_OK;
}

vg_status vg__cpu_masked_mse(vg_kernels *kernels, const vg_masked_mse_args *args)
{
    VG__CPU_ENTER(masked_mse, kernels, args, target);
    enum { SUMS = 16 }; /* side by side, for the vectors' sake */
    const uint8_t *mask = args->mask.data;
    const float *prediction = args->prediction.data, *target = args->target.data;
    float *dprediction = args->dprediction.data;
    double *stats = args->stats.data, sum[SUMS] = {0};
    int64_t counted = 0, total = args->target.dims[0] * args->target.dims[1];
    for (int64_t from = 0; from < total; from += SUMS)
        for (int64_t i = 0; i < SUMS && from + i < total; i++) {
            int64_t n = from + i;
            float difference = mask[n] ? prediction[n] - target[n] : 0.0f;
            sum[i] += (double)difference * (double)difference;
            counted += mask[n] != 0;
            if (dprediction) dprediction[n] = 2 * difference;
        }
    for (int i = 1; i < SUMS; i++) sum[0] += sum[i];
    stats[0] += sum[0];
    stats[1] += (double)counted;
    return VG_OK;
}

/* A number a segment: doubles, as in `ref`. */
vg_status vg__cpu_bce(vg_kernels *kernels, const vg_bce_args *args)
{
    VG__CPU_ENTER(bce, kernels, args, logit);
    const float *logit = args->logit.data, *labels = args->label.data;
    float *dlogit = args->dlogit.data;
    double *stats = args->stats.data, sum = 0;
    int64_t B = args->logit.dims[0];
    for (int64_t b = 0; b < B; b++) {
        double x = logit[b], label = labels[b], tail = exp(-fabs(x));
        sum += (x > 0 ? x : 0) + log1p(tail) - label * x;
        if (dlogit) dlogit[b] = (float)((x > 0 ? 1 : tail) / (1 + tail) - label);
    }
    stats[0] += sum;
    stats[1] += (double)B;
    return VG_OK;
}
