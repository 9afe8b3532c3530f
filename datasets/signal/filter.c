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
