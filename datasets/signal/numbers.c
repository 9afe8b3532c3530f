#include "datasets/signal/numbers.h"

#include <math.h>
#include <stddef.h>

#include "datasets/signal/lanes.h"

/* Sums run in so many interleaved parts, PARTS vectors of LANES. */
enum { ROW = 8, PARTS = ROW / LANES };

/* Takes the lower of both in each lane, and the higher. Vectors go by pointer: how they go by value depends
 * on the processor, and gcc refuses that. */
static inline void widen_lanes(const lanes *below, const lanes *above, lanes *lows, lanes *highs)
{
    const lane_numbers lower = *below < *lows;
    const lane_numbers higher = *above > *highs;
    *lows = (lanes)(((lane_numbers)*below & lower) | ((lane_numbers)*lows & ~lower));
    *highs = (lanes)(((lane_numbers)*above & higher) | ((lane_numbers)*highs & ~higher));
}

/* Widens low and high by rows of x; returns how many samples they are. *gap stays 0 while all are finite. */
static int64_t widen_by_rows(const double *x, int64_t n, double *low, double *high, double *gap)
{
    enum { AT_ONCE = 4 }; /* which need not wait for each other */
    const lanes zero = {0};
    lanes lows[AT_ONCE], highs[AT_ONCE], gaps[AT_ONCE];
    int64_t i = 0;
    for (int u = 0; u < AT_ONCE; u++) {
        lows[u] = zero + INFINITY;
        highs[u] = zero - INFINITY;
        gaps[u] = zero;
    }
    for (; i + AT_ONCE * LANES <= n; i += AT_ONCE * LANES) {
        for (int u = 0; u < AT_ONCE; u++) {
            const lanes v = *(const lanes_at *)(x + i + u * LANES);
            widen_lanes(&v, &v, &lows[u], &highs[u]);
            gaps[u] += v - v;
        }
    }
    for (int u = 1; u < AT_ONCE; u++) {
        widen_lanes(&lows[u], &highs[u], &lows[0], &highs[0]);
        gaps[0] += gaps[u];
    }
    for (int k = 0; k < LANES; k++) {
        *low = lows[0][k] < *low ? lows[0][k] : *low;
        *high = highs[0][k] > *high ? highs[0][k] : *high;
        *gap += gaps[0][k];
    }
    return i;
}

bool vg__range(const double *x, int64_t n, double *low, double *high)
{
    enum { SHORT = 128 }; /* sooner done one by one */
    double lowest = INFINITY, highest = -INFINITY, gap = 0;
    for (int64_t i = n < SHORT ? 0 : widen_by_rows(x, n, &lowest, &highest, &gap); i < n; i++) {
        lowest = x[i] < lowest ? x[i] : lowest;
        highest = x[i] > highest ? x[i] : highest;
        gap += x[i] - x[i];
    }
    const bool finite = gap == 0;
    if (!finite) {
        lowest = INFINITY;
        highest = -INFINITY;
    }
    for (int64_t i = 0; !finite && i < n; i++) {
        if (!isfinite(x[i])) continue;
        if (x[i] < lowest) lowest = x[i];
        if (x[i] > highest) highest = x[i];
    }
    *low = lowest;
    *high = highest;
    return finite;
}

/* The parts' sum; the n < ROW numbers that fill no row any more are added to theirs first. */
static double add_up(const lanes parts[PARTS], const double *rest, int64_t n)
{
    double sum = 0;
    for (int k = 0; k < ROW; k++) sum += parts[k / LANES][k % LANES] + (k < n ? rest[k] : 0);
    return sum;
}

double vg__sum(const double *x, int64_t n)
{
    lanes parts[PARTS] = {0};
    int64_t i = 0;
    for (; i + ROW <= n; i += ROW)
        for (int p = 0; p < PARTS; p++) parts[p] += *(const lanes_at *)(x + i + p * LANES);
    return add_up(parts, x + i, n - i);
}

double vg__dot(const double *x, const double *y, int64_t n)
{
    lanes parts[PARTS] = {0};
    double rest[ROW];
    int64_t i = 0;
    for (; i + ROW <= n; i += ROW)
        for (int p = 0; p < PARTS; p++)
            parts[p] += *(const lanes_at *)(x + i + p * LANES) * *(const lanes_at *)(y + i + p * LANES);
    for (int64_t k = i; k < n; k++) rest[k - i] = x[k] * y[k];
    return add_up(parts, rest, n - i);
}

/* Each sum waits for the one before it, so a stretch is summed up in four parts at a time, and what stands
 * before a part is added to it in the end. */
double vg__running_sums(double *x, int64_t n, double before)
{
    enum { STRETCH = 512, QUARTER = STRETCH / 4 };
    int64_t i = 0;
    for (; i + STRETCH <= n; i += STRETCH) {
        double *a = x + i, *b = a + QUARTER, *c = b + QUARTER, *d = c + QUARTER;
        double at_a = 0, at_b = 0, at_c = 0, at_d = 0;
        for (int k = 0; k < QUARTER; k++) {
            a[k] = at_a += a[k];
            b[k] = at_b += b[k];
            c[k] = at_c += c[k];
            d[k] = at_d += d[k];
        }
        for (int part = 0; part < 4; part++) {
            double *y = a + part * QUARTER;
            for (int k = 0; k < QUARTER; k++) y[k] += before;
            before = y[QUARTER - 1];
        }
    }
    for (; i < n; i++) x[i] = before += x[i];
    return before;
}

/* LANES samples from i on, and 1 for each that counts: it is finite and lies before n. Else both are 0. */
static inline void take(const double *x, int64_t i, int64_t n, lanes *values, lanes *counts)
{
    const lanes zero = {0}, one = zero + 1;
    lanes v = {0};
    if (i + LANES <= n)
        v = *(const lanes_at *)(x + i);
    else
        for (int k = 0; k < LANES; k++) v[k] = i + k < n ? x[i + k] : NAN;
    const lane_numbers finite = v - v == zero;
    *counts = (lanes)((lane_numbers)one & finite);
    *values = (lanes)((lane_numbers)v & finite);
}

int64_t vg__moments(const double *x, int64_t n, double *second, double *fourth)
{
    lanes sum[PARTS] = {0}, used[PARTS] = {0}, squares[PARTS] = {0}, fourths[PARTS] = {0}, v, counts;
    for (int64_t i = 0; i < n; i += ROW) {
        for (int p = 0; p < PARTS; p++) {
            take(x, i + p * LANES, n, &v, &counts);
            sum[p] += v;
            used[p] += counts;
        }
    }
    const double count = add_up(used, NULL, 0), mean = count > 0 ? add_up(sum, NULL, 0) / count : 0;
    for (int64_t i = 0; i < n; i += ROW) {
        for (int p = 0; p < PARTS; p++) {
            take(x, i + p * LANES, n, &v, &counts);
            const lanes step = v - mean * counts, square = step * step;
            squares[p] += square;
            fourths[p] += square * square;
        }
    }
    *second = add_up(squares, NULL, 0);
    *fourth = add_up(fourths, NULL, 0);
    return (int64_t)count;
}

/* Hoare's selection: what is left between `from` and `to` is parted around the median of three until k is all
 * that is left. */
double vg__select(double *x, int64_t n, int64_t k)
{
    int64_t from = 0, to = n - 1;
    while (from < to) {
        const double a = x[from], b = x[from + (to - from) / 2], c = x[to];
        const double pivot = fmax(fmin(a, b), fmin(fmax(a, b), c));
        int64_t i = from, j = to;
        while (i <= j) {
            while (x[i] < pivot) i++;
            while (x[j] > pivot) j--;
            if (i > j) break;
            const double swapped = x[i];
            x[i++] = x[j];
            x[j--] = swapped;
        }
        if (k <= j)
            to = j;
        else if (k >= i)
            from = i;
        else
            break;
    }
    return x[k];
}

double vg__median(double *x, int64_t n)
{
    if (n <= 0) return 0;
    const double upper = vg__select(x, n, n / 2);
    if (n % 2) return upper;
    double lower, lowest;
    (void)vg__range(x, n / 2, &lowest, &lower);
    return (lower + upper) / 2;
}
