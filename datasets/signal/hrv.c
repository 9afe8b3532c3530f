#include "datasets/signal/hrv.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { AROUND = 10 };

static const double PI = 3.14159265358979323846;
static const double SHORTEST_S = 0.3, LONGEST_S = 2, APART = 0.3, STRETCH_S = 300;
static const double LF_FROM = 0.04, LF_TO = 0.15, HF_TO = 0.4, LF_NEEDS_S = 120, HF_NEEDS_S = 60;

/* The intervals around the one that is looked at, in rising order. */
typedef struct around {
    double sorted[2 * AROUND + 1];
    int count;
} around;

static void put(around *a, double value)
{
    int i = a->count++;
    for (; i > 0 && a->sorted[i - 1] > value; i--) a->sorted[i] = a->sorted[i - 1];
    a->sorted[i] = value;
}

static void take_out(around *a, double value)
{
    int i = 0;
    while (i < a->count - 1 && a->sorted[i] != value) i++;
    for (a->count--; i < a->count; i++) a->sorted[i] = a->sorted[i + 1];
}

static double middle_of(const around *a)
{
    const double *upper = &a->sorted[a->count / 2];
    return a->count % 2 ? *upper : (upper[-1] + *upper) / 2;
}

/* The measures in time; `normal[i]` says whether seconds[i] counts. */
static void measure_time(const double *seconds, const bool *normal, int64_t n, vg_hrv *hrv)
{
    double sum = 0, squares = 0, steps = 0;
    int64_t used = 0, step_count = 0, large = 0;
    for (int64_t i = 0; i < n; i++) {
        if (!normal[i]) continue;
        used++;
        sum += seconds[i];
        if (i == 0 || !normal[i - 1]) continue;
        double step = seconds[i] - seconds[i - 1];
        steps += step * step;
        step_count++;
        large += fabs(step) > 0.05;
    }
    hrv->intervals = used;
    if (used < 3) return;
    double mean = sum / (double)used;
    for (int64_t i = 0; i < n; i++)
        if (normal[i]) squares += (seconds[i] - mean) * (seconds[i] - mean);
    hrv->mean_bpm = 60 / mean;
    hrv->sdnn_ms = 1000 * sqrt(squares / (double)(used - 1));
    if (step_count < 2) return;
    hrv->rmssd_ms = 1000 * sqrt(steps / (double)step_count);
    hrv->pnn50 = 100 * (double)large / (double)step_count;
}

/* What Lomb's method sums up at one frequency, with w t for each beat's angle. */
typedef struct sums {
    double yc, ys, cc, ss, cs;
} sums;

/* Lomb's power: half the sum of squares of y for a sine that explains all of it, which is the fit of a cosine
 * and a sine by least squares. Where the times are such that these two are one, it is that one's. */
static double lomb(const sums *at)
{
    const double apart = at->cc * at->ss - at->cs * at->cs, both = at->cc + at->ss;
    const double fit = at->yc * at->yc * at->ss + at->ys * at->ys * at->cc - 2 * at->yc * at->ys * at->cs;
    if (apart > 1e-9 * both * both) return 0.5 * fit / apart;
    return both > 0 ? 0.5 * (at->yc * at->yc + at->ys * at->ys) / both : 0;
}

/* Beats are taken four at a time: the sums run in four interleaved parts, the same on every processor. */
enum { LANES = 4 };
typedef double lanes __attribute__((vector_size(LANES * sizeof(double))));

/* Of four beats: what is explained, and the angles at this frequency and of the turn to the next. */
typedef struct beats {
    lanes y, c, s, turn_c, turn_s;
} beats;

/* Sums over beats at one frequency; turns their angles on to the next. */
static sums add_beats(beats *all, int64_t n)
{
    lanes yc = {0}, ys = {0}, cc = {0}, ss = {0}, cs = {0};
    for (int64_t i = 0; i < n; i++) {
        beats *b = &all[i];
        const lanes c = b->c, s = b->s;
        yc += b->y * c;
        ys += b->y * s;
        cc += c * c;
        ss += s * s;
        cs += c * s;
        b->c = c * b->turn_c - s * b->turn_s;
        b->s = s * b->turn_c + c * b->turn_s;
    }
    sums sum = {0};
    for (int k = 0; k < LANES; k++) {
        sum.yc += yc[k];
        sum.ys += ys[k];
        sum.cc += cc[k];
        sum.ss += ss[k];
        sum.cs += cs[k];
    }
    return sum;
}

/* The power between two frequencies, in the square of y's unit. Each beat's angle is turned on from frequency
 * to frequency rather than computed anew. `work` has room for the beats; those that fill up the last four are
 * all 0. */
static double band_power(const double *t, const double *y, int64_t n, double from, double to, beats *work)
{
    double duration = t[n - 1] - t[0], spacing = duration / (double)(n - 1), sum = 0;
    int64_t points = (int64_t)ceil((to - from) * 4 * duration) + 1, fours = (n + LANES - 1) / LANES;
    double step = (to - from) / (double)(points - 1);
    work[fours - 1] = (beats){0};
    for (int64_t i = 0; i < n; i++) {
        double angle = 2 * PI * (t[i] - t[0]);
        beats *b = &work[i / LANES];
        const int lane = (int)(i % LANES);
        b->y[lane] = y[i];
        b->c[lane] = cos(angle * from);
        b->s[lane] = sin(angle * from);
        b->turn_c[lane] = cos(angle * step);
        b->turn_s[lane] = sin(angle * step);
    }
    for (int64_t k = 0; k < points; k++) {
        const sums at = add_beats(work, fours);
        sum += (k == 0 || k == points - 1 ? 0.5 : 1) * lomb(&at);
    }
    return 2 * spacing * sum * step;
}

/* Averages the powers of stretches, each of which has the seconds that the band needs. */
static void measure_power(const double *t, double *y, int64_t n, beats *work, vg_hrv *hrv)
{
    double whole = n > 1 ? t[n - 1] - t[0] : 0, lf = 0, hf = 0;
    int64_t stretches = whole >= 2 * STRETCH_S ? (int64_t)(whole / STRETCH_S) : 1, lfs = 0, hfs = 0, from = 0;
    double first = n > 0 ? t[0] : 0;
    for (int64_t k = 0; k < stretches; k++) {
        double end = first + whole * (double)(k + 1) / (double)stretches, covered = 0;
        int64_t to = from;
        while (to < n && (t[to] <= end || k + 1 == stretches)) to++;
        int64_t count = to - from;
        for (int64_t i = from; i < to; i++) covered += y[i];
        double mean = count > 0 ? covered / (double)count : 0;
        for (int64_t i = from; i < to; i++) y[i] = 1000 * (y[i] - mean);
        if (count > 3 && covered >= HF_NEEDS_S) {
            hf += band_power(t + from, y + from, count, LF_TO, HF_TO, work);
            hfs++;
        }
        if (count > 3 && covered >= LF_NEEDS_S) {
            lf += band_power(t + from, y + from, count, LF_FROM, LF_TO, work);
            lfs++;
        }
        from = to;
    }
    if (hfs > 0) hrv->hf_ms2 = hf / (double)hfs;
    if (lfs > 0) hrv->lf_ms2 = lf / (double)lfs;
    if (lfs > 0 && hrv->hf_ms2 > 0) hrv->lf_hf = hrv->lf_ms2 / hrv->hf_ms2;
}

vg_status vg_hrv_measure(const double *position, int64_t count, double rate, vg_hrv *hrv)
{
    *hrv = (vg_hrv){.mean_bpm = NAN,
                    .sdnn_ms = NAN,
                    .rmssd_ms = NAN,
                    .pnn50 = NAN,
                    .lf_ms2 = NAN,
                    .hf_ms2 = NAN,
                    .lf_hf = NAN};
    int64_t n = count - 1, used = 0;
    if (n < 3) return VG_OK;
    const size_t fours = (size_t)(n + LANES - 1) / LANES;
    double *seconds = malloc((size_t)n * 3 * sizeof *seconds);
    bool *normal = malloc((size_t)n * sizeof *normal);
    beats *work = aligned_alloc(sizeof(lanes), fours * sizeof *work);
    if (!seconds || !normal || !work) {
        free(seconds);
        free(normal);
        free(work);
        return vg_fail(VG_ERR_MEMORY, "no memory for %lld intervals between beats", (long long)n);
    }
    double *t = seconds + n, *y = t + n;
    for (int64_t i = 0; i < n; i++) seconds[i] = (position[i + 1] - position[i]) / rate;
    around near = {.count = 0};
    for (int64_t i = 0; i < n && i < AROUND; i++) put(&near, seconds[i]);
    for (int64_t i = 0; i < n; i++) {
        if (i > AROUND) take_out(&near, seconds[i - AROUND - 1]);
        if (i + AROUND < n) put(&near, seconds[i + AROUND]);
        const double middle = middle_of(&near);
        normal[i] = seconds[i] >= SHORTEST_S && seconds[i] <= LONGEST_S &&
                    fabs(seconds[i] - middle) <= APART * middle;
        if (!normal[i]) continue;
        t[used] = position[i + 1] / rate;
        y[used++] = seconds[i];
    }
    measure_time(seconds, normal, n, hrv);
    measure_power(t, y, used, work, hrv);
    free(work);
    free(seconds);
    free(normal);
    return VG_OK;
}
