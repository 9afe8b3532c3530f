/* Design: the poles of the analog prototype lie on the left half of the unit circle; they are moved to the
 * pre-warped edges (low-pass to low-, high- or band-pass), then to the z plane by the bilinear transform.
 * Each conjugate pair is a section. In a band-pass the lower pair of poles takes the double zero at z = 1 and
 * the upper pair the double zero at z = -1: every section then is a plain high- or low-pass whose gain stays
 * moderate, where pairing (1, -1) everywhere would build up gains of several thousand between sections. The
 * sections run from the best damped to the least, each scaled to gain 1 at the pass-band's centre. */
#include "datasets/signal/filter.h"

#include <complex.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static const double PI = 3.14159265358979323846;

/* One section still to be finished: two poles (or one, `second` unused) and the zeros they take. */
typedef struct pair {
    double complex first, second;
    bool single;
    double zero[2];
} pair;

static double complex bilinear(double complex s)
{
    /* s is pre-warped with tan(pi f / rate), that is for a sampling rate of 1/2. */
    return (1.0 + s) / (1.0 - s);
}

static double damping(const pair *p)
{
    double radius = cabs(p->first);
    return p->single ? radius : fmax(radius, cabs(p->second));
}

static int by_damping(const void *left, const void *right)
{
    double a = damping(left), b = damping(right);
    return (a > b) - (a < b);
}

static double complex section_at(const double section[6], double complex z)
{
    double complex w = 1.0 / z;
    return (section[0] + w * (section[1] + w * section[2])) / (1.0 + w * (section[4] + w * section[5]));
}

/* Poles of the digital filter from the prototype's pole at angle theta, as one or two sections. Returns how
 * many pairs were written. */
static int make_pairs(vg_filter_kind kind, double complex prototype, bool real, double low, double high,
                      pair *out)
{
    if (kind != VG_FILTER_BANDPASS) {
        double complex s = kind == VG_FILTER_LOWPASS ? prototype * high : low / prototype;
        double zero = kind == VG_FILTER_LOWPASS ? -1.0 : 1.0;
        double complex z = bilinear(s);
        out[0] = (pair){.first = z, .second = conj(z), .single = real, .zero = {zero, zero}};
        return 1;
    }
    double complex half = prototype * (high - low) / 2, root = csqrt(half * half - low * high);
    double complex s1 = half + root, s2 = half - root;
    if (real) {
        out[0] = (pair){.first = bilinear(s1), .second = bilinear(s2), .zero = {1.0, -1.0}};
        return 1;
    }
    bool first_is_low = cabs(s1) < cabs(s2);
    double complex lower = bilinear(first_is_low ? s1 : s2), upper = bilinear(first_is_low ? s2 : s1);
    out[0] = (pair){.first = lower, .second = conj(lower), .zero = {1.0, 1.0}};
    out[1] = (pair){.first = upper, .second = conj(upper), .zero = {-1.0, -1.0}};
    return 2;
}

static void finish_section(const pair *p, double complex centre, double section[6])
{
    if (p->single) {
        double filled[6] = {1.0, -p->zero[0], 0.0, 1.0, -creal(p->first), 0.0};
        memcpy(section, filled, sizeof filled);
    } else {
        double filled[6] = {1.0, -(p->zero[0] + p->zero[1]),   p->zero[0] * p->zero[1],
                            1.0, -creal(p->first + p->second), creal(p->first * p->second)};
        memcpy(section, filled, sizeof filled);
    }
    double scale = 1.0 / cabs(section_at(section, centre));
    for (int i = 0; i < 3; i++) section[i] *= scale;
}

static vg_status check_request(vg_filter_kind kind, int order, double low_hz, double high_hz, double rate)
{
    if (order < 1 || order > VG_FILTER_MAX_ORDER)
        return vg_fail(VG_ERR_CONFIG, "filter order %d is outside 1..%d", order, VG_FILTER_MAX_ORDER);
    if (!(rate > 0) || !isfinite(rate))
        return vg_fail(VG_ERR_CONFIG, "a filter needs a sampling rate above 0 Hz, not %g", rate);
    if (kind != VG_FILTER_LOWPASS && !(low_hz > 0 && low_hz < rate / 2))
        return vg_fail(VG_ERR_CONFIG, "the filter's lower edge of %g Hz is outside 0..%g Hz (half the rate)",
                       low_hz, rate / 2);
    if (kind != VG_FILTER_HIGHPASS && !(high_hz > 0 && high_hz < rate / 2))
        return vg_fail(VG_ERR_CONFIG, "the filter's upper edge of %g Hz is outside 0..%g Hz (half the rate)",
                       high_hz, rate / 2);
    if (kind == VG_FILTER_BANDPASS && !(low_hz < high_hz))
        return vg_fail(VG_ERR_CONFIG, "the band-pass edges %g and %g Hz are not in rising order", low_hz,
                       high_hz);
    return VG_OK;
}

vg_status vg_filter_design(vg_filter_kind kind, int order, double low_hz, double high_hz, double rate,
                           vg_filter *filter)
{
    VG_TRY(check_request(kind, order, low_hz, high_hz, rate));
    double low = kind == VG_FILTER_LOWPASS ? 0 : tan(PI * low_hz / rate);
    double high = kind == VG_FILTER_HIGHPASS ? 0 : tan(PI * high_hz / rate);

    pair pairs[VG_FILTER_MAX_ORDER];
    int count = 0;
    for (int k = 0; k < (order + 1) / 2; k++) {
        bool real = 2 * k + 1 == order;
        double theta = PI * (2 * k + 1) / (2.0 * order);
        double complex prototype = real ? -1.0 : -sin(theta) + I * cos(theta);
        count += make_pairs(kind, prototype, real, low, high, pairs + count);
    }
    qsort(pairs, (size_t)count, sizeof *pairs, by_damping);
    if (!(damping(&pairs[count - 1]) < 1.0))
        return vg_fail(
            VG_ERR_NUMERIC,
            "a Butterworth filter of order %d with edges %g and %g Hz at %g Hz is not stable in double "
            "precision; move the edges or lower the order",
            order, low_hz, high_hz, rate);

    /* The gain of the whole is exactly 1 here, so each section may be made 1 too. */
    double complex centre = kind == VG_FILTER_LOWPASS    ? 1.0
                            : kind == VG_FILTER_HIGHPASS ? -1.0
                                                         : bilinear(I * sqrt(low * high));
    filter->sections = count;
    for (int i = 0; i < count; i++) finish_section(&pairs[i], centre, filter->section[i]);
    return VG_OK;
}

double vg_filter_gain(const vg_filter *filter, double hz, double rate)
{
    double complex z = cexp(I * 2 * PI * hz / rate);
    double gain = 1;
    for (int i = 0; i < filter->sections; i++) gain *= cabs(section_at(filter->section[i], z));
    return gain;
}

int64_t vg_filter_padding(const vg_filter *filter)
{
    int taps = 2 * filter->sections + 1;
    for (int i = 0; i < filter->sections; i++) taps -= filter->section[i][5] == 0.0;
    return 3 * (int64_t)taps;
}

/* The state in which each section would be after a constant input of 1 since ever. */
static void steady_state(const vg_filter *filter, double state[][2])
{
    double level = 1;
    for (int i = 0; i < filter->sections; i++) {
        const double *c = filter->section[i];
        double out = level * (c[0] + c[1] + c[2]) / (1.0 + c[4] + c[5]);
        state[i][1] = c[2] * level - c[5] * out;
        state[i][0] = c[1] * level - c[4] * out + state[i][1];
        level = out;
    }
}

/* Sections side by side, as many as the processor has lanes for doubles, in up to MOST groups; a cascade of
 * more sections goes in several turns. */
#ifdef __AVX2__
enum { LANES = 4, MOST = 2 };
#define ALONG                                                                                                \
    {                                                                                                        \
        LANES, 0, 1, 2                                                                                       \
    }
#else
enum { LANES = 2, MOST = 4 };
#define ALONG                                                                                                \
    {                                                                                                        \
        LANES, 0                                                                                             \
    }
#endif
typedef double lanes __attribute__((vector_size(LANES * sizeof(double))));
typedef int64_t lane_numbers __attribute__((vector_size(LANES * sizeof(int64_t))));
typedef struct group {
    lanes b0, b1, b2, a1, a2, s0, s1, out;
} group;

/* `sections` in `groups` over y[0], y[step], ... (n of them) in place, begun in the steady state of the first
 * sample. A cascade is a chain: a section waits for the one before it, and one sample at a time a processor
 * mostly waits too. So lane i holds section i and works one sample behind lane i - 1: in one step every
 * section takes the sample that its neighbour made in the step before. Each section computes what it would
 * alone, in the same order, so the result has the same bits. `groups` is a constant wherever this is inlined,
 * and the loop over them unrolled. */
static inline __attribute__((always_inline)) void run_groups(const int groups, const double (*section)[6],
                                                             int sections, const double steady[][2],
                                                             double *y, int64_t n, int64_t step)
{
    group all[MOST] = {0};
    for (int i = 0; i < sections; i++) {
        group *g = &all[i / LANES];
        const int lane = i % LANES;
        g->b0[lane] = section[i][0];
        g->b1[lane] = section[i][1];
        g->b2[lane] = section[i][2];
        g->a1[lane] = section[i][4];
        g->a2[lane] = section[i][5];
    }
    const lane_numbers along = ALONG; /* lane 0 takes what comes in, the others their neighbour's */
    const double first = y[0];
    const int last = sections - 1;
    for (int64_t t = 0; t < n + last; t++) {
        if (t < sections) { /* lane t meets its first sample; what it did before is forgotten */
            all[t / LANES].s0[t % LANES] = steady[t][0] * first;
            all[t / LANES].s1[t % LANES] = steady[t][1] * first;
        }
        lanes in = {t < n ? y[t * step] : 0};
        for (int k = 0; k < groups; k++) {
            group *g = &all[k];
            const lanes x = __builtin_shuffle(g->out, in, along);
            in[0] = g->out[LANES - 1];
            g->out = g->b0 * x + g->s0;
            g->s0 = (g->b1 * x + g->s1) - g->a1 * g->out;
            g->s1 = g->b2 * x - g->a2 * g->out;
        }
        if (t >= last) y[(t - last) * step] = all[last / LANES].out[last % LANES];
    }
}

static void run_pass(const vg_filter *filter, const double steady[][2], double *y, int64_t n, int64_t step)
{
    for (int i = 0; i < filter->sections; i += MOST * LANES) {
        const double(*section)[6] = (const double(*)[6])filter->section + i;
        const int left = filter->sections - i, some = left < MOST * LANES ? left : MOST * LANES;
        if (some <= LANES)
            run_groups(1, section, some, steady + i, y, n, step);
        else if (some <= 2 * LANES)
            run_groups(2, section, some, steady + i, y, n, step);
        else
            run_groups(MOST, section, some, steady + i, y, n, step);
    }
}

/* Filters one finite run of n > pad samples; `work` holds n + 2 pad. */
static void filter_run(const vg_filter *filter, const double steady[][2], double *x, int64_t n, int64_t pad,
                       double *work)
{
    for (int64_t i = 0; i < pad; i++) {
        work[i] = 2 * x[0] - x[pad - i];
        work[pad + n + i] = 2 * x[n - 1] - x[n - 2 - i];
    }
    memcpy(work + pad, x, (size_t)n * sizeof *x);
    int64_t total = n + 2 * pad;
    run_pass(filter, steady, work, total, 1);
    run_pass(filter, steady, work + total - 1, total, -1);
    memcpy(x, work + pad, (size_t)n * sizeof *x);
}

static int64_t finite_run(const double *x, int64_t start, int64_t n)
{
    int64_t end = start;
    while (end < n && isfinite(x[end])) end++;
    return end;
}

vg_status vg_filter_zero_phase(const vg_filter *filter, double *x, int64_t n, int64_t *lost)
{
    int64_t pad = vg_filter_padding(filter), longest = 0, dropped = 0;
    for (int64_t start = 0; start < n;) {
        int64_t end = finite_run(x, start, n);
        if (end - start > longest) longest = end - start;
        start = end + 1;
    }
    if (longest <= pad)
        return vg_fail(
            VG_ERR_DATA,
            "the signal of %lld samples has no finite run longer than the %lld samples that the filter "
            "needs (the longest has %lld)",
            (long long)n, (long long)pad, (long long)longest);
    double *work = malloc((size_t)(longest + 2 * pad) * sizeof *work);
    if (!work) return vg_fail(VG_ERR_MEMORY, "no memory to filter %lld samples", (long long)longest);

    double steady[VG_FILTER_MAX_ORDER][2];
    steady_state(filter, steady);
    for (int64_t start = 0; start < n;) {
        int64_t end = finite_run(x, start, n);
        if (end - start > pad) {
            filter_run(filter, (const double(*)[2])steady, x + start, end - start, pad, work);
        } else {
            dropped += end - start;
            for (int64_t i = start; i < end; i++) x[i] = NAN;
        }
        if (end < n) x[end] = NAN;
        start = end + 1;
    }
    free(work);
    if (lost) *lost = dropped;
    return VG_OK;
}
