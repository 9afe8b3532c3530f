/* Grid search: every combination once, the last parameter of the file changing fastest. */
#include <stdint.h>

#include "experiments/runner/search/method.h"

static vg_status check(const vg_sweep *sweep)
{
    for (int i = 0; i < sweep->space.count; i++) {
        const vg_search_parameter *p = &sweep->space.parameters[i];
        if (vg_search_grid_count(p) < 0)
            return vg_fail(VG_ERR_CONFIG,
                           "%s: a grid cannot enumerate %s, whose distribution is %s: give values, whole "
                           "numbers as min and max, or q_uniform, or use method: random",
                           sweep->path, p->key, vg_distribution_name(p->distribution));
    }
    return VG_OK;
}

static int64_t limit(const vg_sweep *sweep)
{
    int64_t product = 1;
    for (int i = 0; i < sweep->space.count; i++)
        if (__builtin_mul_overflow(product, vg_search_grid_count(&sweep->space.parameters[i]), &product))
            return INT64_MAX;
    return product;
}

static vg_status next(const vg_sweep *sweep, const vg_trial *history, int64_t history_count, int64_t number,
                      char (*values)[VG_SEARCH_VALUE_LENGTH])
{
    (void)history;
    (void)history_count;
    for (int i = sweep->space.count - 1; i >= 0; i--) {
        int64_t count = vg_search_grid_count(&sweep->space.parameters[i]);
        vg_search_grid_value(&sweep->space.parameters[i], number % count, values[i]);
        number /= count;
    }
    return VG_OK;
}

const vg_search_method vg__search_grid = {.name = "grid", .check = check, .limit = limit, .next = next};
