#include "experiments/runner/search/space.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/text.h"

const char *vg_distribution_name(vg_distribution distribution)
{
    switch (distribution) {
#define NAME(name, text)                                                                                     \
    case VG_DISTRIBUTION_##name:                                                                             \
        return text;
        VG_DISTRIBUTION_MAP(NAME)
#undef NAME
    }
    return "?";
}

/* Whole numbers without a point, so that they fit keys that count; others so that they read back exactly. */
static void write_number(double number, char value[VG_SEARCH_VALUE_LENGTH])
{
    char text[VG_DOUBLE_TEXT];
    if (number == floor(number) && fabs(number) <= 9007199254740992)
        snprintf(value, VG_SEARCH_VALUE_LENGTH, "%.0f", number == 0 ? 0 : number);
    else
        snprintf(value, VG_SEARCH_VALUE_LENGTH, "%s", vg_double_text(number, text));
}

/* The k-th multiple of q without the noise of its last digits: 3 * 0.1 is 0.3. */
static double multiple(double k, double q)
{
    char digits[40];
    snprintf(digits, sizeof digits, "%.14g", k * q);
    return strtod(digits, NULL);
}

/* The multiples of q inside [min, max] have the numbers *first to *last; none when *first > *last. An end
 * that is a multiple but for rounding counts as one. */
static void multiples(const vg_search_parameter *p, double low, double high, double *first, double *last)
{
    *first = ceil(low / p->q - 1e-9);
    *last = floor(high / p->q + 1e-9);
}

/* Rounded to a multiple of q; with bounds, to one inside them, which there is (checked when loaded). */
static double rounded(const vg_search_parameter *p, double number, double low, double high)
{
    double first, last, k = nearbyint(number / p->q);
    multiples(p, low, high, &first, &last);
    return multiple(fmin(fmax(k, first), last), p->q);
}

static double between(const vg_search_parameter *p, vg_random *random)
{
    return p->min + vg_random_uniform(random) * (p->max - p->min);
}

/* exp of a number between the logarithms, kept from stepping over the bounds by rounding. */
static double between_logs(const vg_search_parameter *p, vg_random *random)
{
    double low = log(p->min), high = log(p->max);
    return fmin(fmax(exp(low + vg_random_uniform(random) * (high - low)), p->min), p->max);
}

static double gaussian(const vg_search_parameter *p, vg_random *random)
{
    return p->mu + p->sigma * vg_random_normal(random);
}

static int64_t weighted(const vg_search_parameter *p, vg_random *random)
{
    double at = vg_random_uniform(random), sum = 0;
    int64_t last = 0; /* of those that can come up, should the sum end a hair below 1 */
    for (int64_t i = 0; i < p->value_count; i++) {
        if (p->probabilities[i] > 0) last = i;
        sum += p->probabilities[i];
        if (at < sum) return i;
    }
    return last;
}

void vg_search_draw(const vg_search_parameter *p, vg_random *random, char value[VG_SEARCH_VALUE_LENGTH])
{
    int64_t chosen = 0;
    double number = 0;
    switch (p->distribution) {
    case VG_DISTRIBUTION_CONSTANT:
        goto text;
    case VG_DISTRIBUTION_CATEGORICAL:
        chosen = (int64_t)vg_random_below(random, (uint64_t)p->value_count);
        goto text;
    case VG_DISTRIBUTION_CATEGORICAL_WEIGHTED:
        chosen = weighted(p, random);
        goto text;
    case VG_DISTRIBUTION_INT_UNIFORM:
        number = p->min + (double)vg_random_below(random, (uint64_t)(p->max - p->min) + 1);
        break;
    case VG_DISTRIBUTION_UNIFORM:
        number = between(p, random);
        break;
    case VG_DISTRIBUTION_Q_UNIFORM:
        number = rounded(p, between(p, random), p->min, p->max);
        break;
    case VG_DISTRIBUTION_LOG_UNIFORM:
        number = exp(between(p, random));
        break;
    case VG_DISTRIBUTION_LOG_UNIFORM_VALUES:
    case VG_DISTRIBUTION_INV_LOG_UNIFORM_VALUES: /* log(1/x) is uniform exactly when log(x) is */
        number = between_logs(p, random);
        break;
    case VG_DISTRIBUTION_Q_LOG_UNIFORM:
        number = rounded(p, exp(between(p, random)), exp(p->min), exp(p->max));
        break;
    case VG_DISTRIBUTION_Q_LOG_UNIFORM_VALUES:
        number = rounded(p, between_logs(p, random), p->min, p->max);
        break;
    case VG_DISTRIBUTION_INV_LOG_UNIFORM:
        number = exp(-between(p, random));
        break;
    case VG_DISTRIBUTION_NORMAL:
        number = gaussian(p, random);
        break;
    case VG_DISTRIBUTION_Q_NORMAL:
        number = rounded(p, gaussian(p, random), -INFINITY, INFINITY);
        break;
    case VG_DISTRIBUTION_LOG_NORMAL:
        number = exp(gaussian(p, random));
        break;
    case VG_DISTRIBUTION_Q_LOG_NORMAL:
        number = rounded(p, exp(gaussian(p, random)), -INFINITY, INFINITY);
        break;
    }
    write_number(number, value);
    return;
text:
    snprintf(value, VG_SEARCH_VALUE_LENGTH, "%s", p->values[chosen]);
}

int64_t vg_search_grid_count(const vg_search_parameter *p)
{
    double first, last;
    switch (p->distribution) {
    case VG_DISTRIBUTION_CONSTANT:
    case VG_DISTRIBUTION_CATEGORICAL:
        return p->value_count;
    case VG_DISTRIBUTION_INT_UNIFORM:
        return (int64_t)(p->max - p->min) + 1;
    case VG_DISTRIBUTION_Q_UNIFORM:
        multiples(p, p->min, p->max, &first, &last);
        return last - first < 9e15 ? (int64_t)(last - first) + 1 : -1;
    default:
        return -1;
    }
}

void vg_search_grid_value(const vg_search_parameter *p, int64_t index, char value[VG_SEARCH_VALUE_LENGTH])
{
    double first, last;
    switch (p->distribution) {
    case VG_DISTRIBUTION_INT_UNIFORM:
        write_number(p->min + (double)index, value);
        return;
    case VG_DISTRIBUTION_Q_UNIFORM:
        multiples(p, p->min, p->max, &first, &last);
        write_number(multiple(first + (double)index, p->q), value);
        return;
    default:
        snprintf(value, VG_SEARCH_VALUE_LENGTH, "%s", p->values[index]);
    }
}
