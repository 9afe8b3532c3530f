#include "kernels/ref/ref.h"

static vg_philox mask_draw(const vg_mask_forward_args *args, int64_t b, int64_t t)
{
    return vg_philox_draw(args->seed, (uint32_t)t, VG_SITE_MASK, segment_number(&args->segment, b),
                          args->epoch);
}

static real noise(const vg_mask_forward_args *args, int64_t b, int64_t t)
{
    vg_philox draw = vg_philox_draw(args->seed, (uint32_t)t, VG_SITE_MASK_NOISE,
                                    segment_number(&args->segment, b), args->epoch);
    return (real)(sqrt(-2 * log(vg_random_unit(draw.word[0]))) *
                  cos(6.283185307179586 * vg_random_unit(draw.word[1])));
}

/* Which samples of segment b are masked, and how. */
static void draw_spans(const vg_mask_forward_args *args, int64_t b, int64_t T, uint8_t *mask)
{
    int64_t left = 0; /* samples of the latest span still to come */
    uint8_t fate = VG_MASK_FILLED;
    double random_share = args->random_share, keep_share = args->keep_share;
    for (int64_t t = 0; t < T; t++) {
        vg_philox draw = mask_draw(args, b, t);
        if (vg_random_unit(draw.word[0]) < args->start_probability) {
            double u = vg_random_unit(draw.word[1]);
            left = args->span;
            fate = u < random_share                ? VG_MASK_RANDOM
                   : u < random_share + keep_share ? VG_MASK_KEPT
                                                   : VG_MASK_FILLED;
        }
        mask[t] = left > 0 ? fate : VG_MASK_VISIBLE;
        if (left > 0) left--;
    }
}

static real visible_mean(const vg_tensor *x, int64_t at, int64_t T, const uint8_t *mask)
{
    double sum = 0;
    int64_t count = 0;
    for (int64_t t = 0; t < T; t++)
        if (mask[t] == VG_MASK_VISIBLE) {
            sum += (double)load(x, at + t);
            count++;
        }
    return count ? (real)(sum / (double)count) : 0;
}

vg_status REF(mask_forward)(vg_kernels *kernels, const vg_mask_forward_args *args)
{
    (void)kernels;
    VG_TRY(vg__check_mask_forward(args, REF_TYPES));
    int64_t B = args->x.dims[0], T = args->x.dims[1];
    if (B * T == 0) return VG_OK;
    for (int64_t b = 0; b < B; b++) {
        uint8_t *mask = (uint8_t *)args->mask.data + b * T;
        draw_spans(args, b, T, mask);
        real fill = 0;
        if (args->fill == VG_MASK_MEAN) fill = visible_mean(&args->x, b * T, T, mask);
        if (args->fill == VG_MASK_LEARNED) fill = load(&args->learned, 0);
        for (int64_t t = 0; t < T; t++) {
            real value = load(&args->x, b * T + t);
            if (mask[t] == VG_MASK_RANDOM)
                value = load(&args->x, b * T + (int64_t)mask_draw(args, b, t).word[2] % T);
            if (mask[t] == VG_MASK_FILLED) value = args->fill == VG_MASK_NOISE ? noise(args, b, t) : fill;
            store(&args->y, b * T + t, value);
        }
    }
    return VG_OK;
}

vg_status REF(mask_backward)(vg_kernels *kernels, const vg_mask_backward_args *args)
{
    (void)kernels;
    VG_TRY(vg__check_mask_backward(args, REF_TYPES));
    const uint8_t *mask = args->mask.data;
    real sum = 0;
    for (int64_t n = 0; n < args->dy.dims[0] * args->dy.dims[1]; n++)
        if (mask[n] == VG_MASK_FILLED) sum += load(&args->dy, n);
    add(&args->dlearned, 0, sum);
    return VG_OK;
}

vg_status REF(masked_mse)(vg_kernels *kernels, const vg_masked_mse_args *args)
{
    (void)kernels;
    VG_TRY(vg__check_masked_mse(args, REF_TYPES));
    const uint8_t *mask = args->mask.data;
    double *stats = args->stats.data, sum = 0, count = 0;
    for (int64_t n = 0; n < args->target.dims[0] * args->target.dims[1]; n++) {
        real difference = mask[n] ? load(&args->prediction, n) - load(&args->target, n) : 0;
        sum += (double)(difference * difference);
        count += mask[n] != 0;
        if (present(&args->dprediction)) store(&args->dprediction, n, 2 * difference);
    }
    stats[0] += sum;
    stats[1] += count;
    return VG_OK;
}
