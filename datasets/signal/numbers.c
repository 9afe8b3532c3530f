#include "datasets/signal/numbers.h"

#include <float.h>
#include <math.h>
#include <stddef.h>

enum { LANES = 8 };

static void widen(double v, double *low, double *high)
{
    if (v < *low) *low = v;
    if (v > *high) *high = v;
}

bool vg__range(const double *x, int64_t n, double *low, double *high)
{
    double lows[LANES], highs[LANES];
    int64_t bad[LANES] = {0}, any = 0, i = 0;
    *low = INFINITY;
    *high = -INFINITY;
    for (int k = 0; k < LANES; k++) {
        lows[k] = INFINITY;
        highs[k] = -INFINITY;
    }
    for (; i + LANES <= n; i += LANES) {
        for (int k = 0; k < LANES; k++) {
            const double v = x[i + k];
            bad[k] |= !(fabs(v) <= DBL_MAX);
            lows[k] = v < lows[k] ? v : lows[k];
            highs[k] = v > highs[k] ? v : highs[k];
        }
    }
    for (int k = 0; k < LANES; k++) any |= bad[k];
    for (int k = 0; !any && k < LANES; k++) {
        if (lows[k] < *low) *low = lows[k];
        if (highs[k] > *high) *high = highs[k];
    }
    bool finite = !any;
    for (i = finite ? i : 0; i < n; i++) { /* the rest, or everything with a look at each */
        if (isfinite(x[i]))
            widen(x[i], low, high);
        else
            finite = false;
    }
    return finite;
}

/* Numbers in a row wherever they begin. */
typedef double lanes __attribute__((vector_size(LANES * sizeof(double)), aligned(sizeof(double)), may_alias));

typedef int64_t lane_flags __attribute__((vector_size(LANES * sizeof(int64_t)), aligned(sizeof(double))));

static double add_up(lanes parts, const double *rest, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++) parts[i] += rest[i];
    for (int k = 0; k < LANES; k++) sum += parts[k];
    return sum;
}

double vg__sum(const double *x, int64_t n)
{
    lanes parts = {0};
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES) parts += *(const lanes *)(x + i);
    return add_up(parts, x + i, n - i);
}

double vg__dot(const double *x, const double *y, int64_t n)
{
    lanes parts = {0};
    double rest[LANES];
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES) parts += *(const lanes *)(x + i) * *(const lanes *)(y + i);
    for (int64_t k = i; k < n; k++) rest[k - i] = x[k] * y[k];
    return add_up(parts, rest, n - i);
}

/* LANES samples from i on, and 1 for each that counts: it is finite and lies before n. Else both are 0. */
static inline lanes take(const double *x, int64_t i, int64_t n, lanes *counts)
{
    const lanes zero = {0}, one = zero + 1;
    lanes v = {0};
    if (i + LANES <= n)
        v = *(const lanes *)(x + i);
    else
        for (int k = 0; k < LANES; k++) v[k] = i + k < n ? x[i + k] : NAN;
    const lane_flags finite = v - v == zero;
    *counts = (lanes)((lane_flags)one & finite);
    return (lanes)((lane_flags)v & finite);
}

int64_t vg__moments(const double *x, int64_t n, double *second, double *fourth)
{
    lanes sum = {0}, used = {0}, squares = {0}, fourths = {0}, counts;
    for (int64_t i = 0; i < n; i += LANES) {
        sum += take(x, i, n, &counts);
        used += counts;
    }
    const double count = add_up(used, NULL, 0), mean = count > 0 ? add_up(sum, NULL, 0) / count : 0;
    for (int64_t i = 0; i < n; i += LANES) {
        const lanes v = take(x, i, n, &counts), step = v - mean * counts, square = step * step;
        squares += square;
        fourths += square * square;
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
