#include "datasets/signal/numbers.h"

#include <float.h>
#include <math.h>

enum { LANES = 8 };

bool vg__range(const double *x, int64_t n, double *low, double *high)
{
    double lows[LANES], highs[LANES];
    int64_t bad[LANES] = {0}, i = 0;
    bool finite = true;
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
    for (int k = 0; k < LANES; k++) finite = finite && !bad[k];
    *low = INFINITY;
    *high = -INFINITY;
    for (int k = 0; finite && k < LANES; k++) {
        *low = fmin(*low, lows[k]);
        *high = fmax(*high, highs[k]);
    }
    for (i = finite ? i : 0; i < n; i++) { /* the rest, or everything with a look at each */
        finite = finite && isfinite(x[i]);
        if (!isfinite(x[i])) continue;
        *low = fmin(*low, x[i]);
        *high = fmax(*high, x[i]);
    }
    return finite;
}

static double add_up(const double parts[LANES])
{
    double sum = 0;
    for (int k = 0; k < LANES; k++) sum += parts[k];
    return sum;
}

double vg__sum(const double *x, int64_t n)
{
    double parts[LANES] = {0};
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (int k = 0; k < LANES; k++) parts[k] += x[i + k];
    for (int k = 0; i < n; i++, k++) parts[k] += x[i];
    return add_up(parts);
}

double vg__dot(const double *x, const double *y, int64_t n)
{
    double parts[LANES] = {0};
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (int k = 0; k < LANES; k++) parts[k] += x[i + k] * y[i + k];
    for (int k = 0; i < n; i++, k++) parts[k] += x[i] * y[i];
    return add_up(parts);
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
