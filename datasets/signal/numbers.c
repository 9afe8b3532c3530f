#include "datasets/signal/numbers.h"

#include <math.h>
#include <stddef.h>

#include "datasets/signal/lanes.h"

/* Sums run in so many interleaved parts, PARTS vectors of LANES. */
enum { ROW = 8, PARTS = ROW / LANES };

static void widen(double v, double *low, double *high)
{
    if (v < *low) *low = v;
    if (v > *high) *high = v;
}

/* Takes the lower of both in each lane, and the higher. Vectors go by pointer: how they go by value depends
 * on the processor, and gcc refuses that. */
static inline void widen_lanes(const lanes *below, const lanes *above, lanes *lows, lanes *highs)
{
    const lane_numbers lower = *below<*lows, higher = *above> * highs;
    *lows = (lanes)(((lane_numbers)*below & lower) | ((lane_numbers)*lows & ~lower));
    *highs = (lanes)(((lane_numbers)*above & higher) | ((lane_numbers)*highs & ~higher));
}

bool vg__range(const double *x, int64_t n, double *low, double *high)
{
    enum { AT_ONCE = 4 }; /* which need not wait for each other */
    const lanes zero = {0};
    lanes lows[AT_ONCE], highs[AT_ONCE], gap[AT_ONCE];
    bool finite = true;
    int64_t i = 0;
    for (int u = 0; u < AT_ONCE; u++) {
        lows[u] = zero + INFINITY;
        highs[u] = zero - INFINITY;
        gap[u] = zero;
    }
    for (; i + AT_ONCE * LANES <= n; i += AT_ONCE * LANES) {
        for (int u = 0; u < AT_ONCE; u++) {
            const lanes v = *(const lanes_at *)(x + i + u * LANES);
            widen_lanes(&v, &v, &lows[u], &highs[u]);
            gap[u] += v - v; /* 0 as long as all are finite */
        }
    }
    for (; i + LANES <= n; i += LANES) {
        const lanes v = *(const lanes_at *)(x + i);
        widen_lanes(&v, &v, &lows[0], &highs[0]);
        gap[0] += v - v;
    }
    for (int u = 1; u < AT_ONCE; u++) {
        widen_lanes(&lows[u], &highs[u], &lows[0], &highs[0]);
        gap[0] += gap[u];
    }
    *low = INFINITY;
    *high = -INFINITY;
    for (int k = 0; k < LANES; k++) finite = finite && gap[0][k] == 0;
    for (int k = 0; finite && k < LANES; k++) {
        if (lows[0][k] < *low) *low = lows[0][k];
        if (highs[0][k] > *high) *high = highs[0][k];
    }
    for (i = finite ? i : 0; i < n; i++) { /* the rest, or everything with a look at each */
        if (isfinite(x[i]))
            widen(x[i], low, high);
        else
            finite = false;
    }
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
