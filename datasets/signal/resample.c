#include "datasets/signal/resample.h"

#include <math.h>
#include <pthread.h>
#include <soxr.h>
#include <stdlib.h>
#include <string.h>

#include "datasets/signal/numbers.h"

int64_t vg_resample_length(int64_t n, double in_rate, double out_rate)
{
    return n <= 0 ? 0 : (int64_t)llround((double)n * out_rate / in_rate);
}

/* Replaces what is not finite by the line between its neighbours, at the ends by the one neighbour. Returns
 * how many samples were replaced. */
static int64_t bridge(double *x, int64_t n)
{
    int64_t replaced = 0;
    for (int64_t start = 0; start < n; start++) {
        if (isfinite(x[start])) continue;
        int64_t end = start;
        while (end < n && !isfinite(x[end])) end++;
        double left = start > 0 ? x[start - 1] : end < n ? x[end] : 0, right = end < n ? x[end] : left;
        for (int64_t i = start; i < end; i++)
            x[i] = left + (right - left) * (double)(i - start + 1) / (double)(end - start + 1);
        replaced += end - start;
        start = end;
    }
    return replaced;
}

/* Marks the outputs that fall into a gap of the input. */
static void restore_gaps(const double *in, int64_t n, double ratio, double *out, int64_t out_n)
{
    for (int64_t start = 0; start < n; start++) {
        if (isfinite(in[start])) continue;
        int64_t end = start;
        while (end < n && !isfinite(in[end])) end++;
        /* Good samples stand at start - 1 and end; ratio = input samples per output sample. */
        int64_t first = start == 0 ? 0 : (int64_t)floor((double)(start - 1) / ratio) + 1;
        int64_t last = end == n ? out_n - 1 : (int64_t)ceil((double)end / ratio) - 1;
        for (int64_t k = first; k <= last && k < out_n; k++) out[k] = NAN;
        start = end;
    }
}

/* libsoxr keeps the tables of its Fourier transforms for all threads. It guards them with locks, but makes
 * these in its first call, which must not happen in two threads at once: so that call is made here. */
static void make_tables(void)
{
    double in[64] = {0}, out[64];
    soxr_io_spec_t io = soxr_io_spec(SOXR_FLOAT64_I, SOXR_FLOAT64_I);
    soxr_quality_spec_t quality = soxr_quality_spec(SOXR_VHQ, 0);
    size_t done;
    (void)soxr_oneshot(3, 2, 1, in, 64, NULL, out, 32, &done, &io, &quality, NULL);
}

/* A signal on its way through libsoxr, without the straight line from its first to its last sample. */
typedef struct passage {
    const double *in; /* [n] */
    int64_t n, out_n, done;
    double origin, slope;
    double *out; /* [out_n] */
} passage;

/* What libsoxr is given of sample `at` and those behind it. The signal ends in zeros, which is also how
 * libsoxr continues it: a few more make sure that it delivers every output asked for. */
static void fill_block(const passage *p, int64_t at, int64_t count, double *block)
{
    const int64_t within = at + count <= p->n ? count : at < p->n ? p->n - at : 0;
    for (int64_t k = 0; k < within; k++) block[k] = p->in[at + k] - (p->origin + p->slope * (double)(at + k));
    for (int64_t k = within; k < count; k++) block[k] = 0;
}

/* Hands the signal over in blocks: all of it at once libsoxr would copy. */
static soxr_error_t pass_through(passage *p, soxr_t soxr, int64_t length)
{
    enum { BLOCK = 4096 };
    double block[BLOCK];
    size_t taken = 1, made = 1;
    for (int64_t at = 0; p->done < p->out_n && taken + made > 0; at += (int64_t)taken) {
        const int64_t count = length - at < BLOCK ? length - at : BLOCK;
        fill_block(p, at, count, block);
        soxr_error_t error =
            soxr_process(soxr, count ? block : NULL, (size_t)count, &taken, /* NULL: the end */
                         p->out + p->done, (size_t)(p->out_n - p->done), &made);
        if (error) return error;
        p->done += (int64_t)made;
    }
    return NULL;
}

vg_status vg_resample(const double *in, int64_t n, double in_rate, double out_rate, double *out)
{
    vg_status status = VG_OK;
    double *bridged = NULL;
    soxr_t soxr = NULL;
    soxr_error_t error;
    if (!(in_rate > 0 && out_rate > 0) || !isfinite(in_rate) || !isfinite(out_rate))
        return vg_fail(VG_ERR_CONFIG, "cannot resample from %g to %g Hz", in_rate, out_rate);
    const int64_t out_n = vg_resample_length(n, in_rate, out_rate);
    if (out_n <= 0)
        return vg_fail(VG_ERR_DATA, "%lld samples at %g Hz leave nothing at %g Hz", (long long)n, in_rate,
                       out_rate);
    if (in_rate == out_rate) {
        memcpy(out, in, (size_t)n * sizeof *in);
        return VG_OK;
    }
    const double ratio = in_rate / out_rate;
    double low, high;
    int64_t gaps = 0;
    const double *whole = in;
    if (!vg__range(in, n, &low, &high)) {
        bridged = malloc((size_t)n * sizeof *bridged);
        if (!bridged) return vg_fail(VG_ERR_MEMORY, "no memory to resample %lld samples", (long long)n);
        memcpy(bridged, in, (size_t)n * sizeof *in);
        gaps = bridge(bridged, n);
        whole = bridged;
    }
    if (gaps == n) {
        status = vg_fail(VG_ERR_DATA, "none of the %lld samples to resample is finite", (long long)n);
        goto out;
    }
    passage p = {.in = whole, .n = n, .out_n = out_n, .origin = whole[0], .out = out};
    p.slope = n > 1 ? (whole[n - 1] - p.origin) / (double)(n - 1) : 0;

    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_tables);
    soxr_io_spec_t io = soxr_io_spec(SOXR_FLOAT64_I, SOXR_FLOAT64_I);
    soxr_quality_spec_t quality = soxr_quality_spec(SOXR_VHQ, 0);
    soxr = soxr_create(in_rate, out_rate, 1, &error, &io, &quality, NULL);
    if (!error) error = pass_through(&p, soxr, n + 256 + (int64_t)ceil(ratio));
    if (error) {
        status =
            vg_fail(VG_ERR_DATA, "libsoxr cannot resample from %g to %g Hz: %s", in_rate, out_rate, error);
        goto out;
    }
    if (p.done != out_n) {
        status = vg_fail(VG_ERR_DATA, "libsoxr made %lld samples of %lld (%g to %g Hz)", (long long)p.done,
                         (long long)out_n, in_rate, out_rate);
        goto out;
    }
    for (int64_t k = 0; k < out_n; k++) out[k] += p.origin + p.slope * ratio * (double)k;
    if (gaps) restore_gaps(in, n, ratio, out, out_n);
out:
    soxr_delete(soxr);
    free(bridged);
    return status;
}

vg_status vg_resample_f32(const float *in, int64_t n, double in_rate, double out_rate, float *out)
{
    vg_status status = VG_OK;
    int64_t out_n = in_rate > 0 && out_rate > 0 ? vg_resample_length(n, in_rate, out_rate) : 0;
    double *wide = malloc((size_t)(n > 0 ? n : 1) * sizeof *wide);
    double *result = malloc((size_t)(out_n > 0 ? out_n : 1) * sizeof *result);
    if (!wide || !result) {
        status = vg_fail(VG_ERR_MEMORY, "no memory to resample %lld samples", (long long)n);
        goto out;
    }
    for (int64_t i = 0; i < n; i++) wide[i] = in[i];
    VG_TRY_OUT(vg_resample(wide, n, in_rate, out_rate, result));
    for (int64_t i = 0; i < out_n; i++) out[i] = (float)result[i];
out:
    free(wide);
    free(result);
    return status;
}
