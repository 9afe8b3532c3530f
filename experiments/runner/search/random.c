/* Random search: each trial draws every parameter anew (Bergstra & Bengio, JMLR 13, 2012). Parameter i of
 * trial n has a stream of its own, so the draws of a trial do not depend on how many came before it, and
 * lengthening the sweep leaves the first trials as they were. */
#include <stdint.h>

#include "experiments/runner/search/method.h"

static vg_status check(const vg_sweep *sweep)
{
    if (sweep->run_cap == 0)
        return vg_fail(VG_ERR_CONFIG,
                       "%s: random search does not end by itself: add run_cap, the number of trials",
                       sweep->path);
    return VG_OK;
}

static int64_t limit(const vg_sweep *sweep)
{
    (void)sweep;
    return INT64_MAX;
}

static vg_status next(const vg_sweep *sweep, const vg_trial *history, int64_t history_count, int64_t number,
                      char (*values)[VG_SEARCH_VALUE_LENGTH])
{
    (void)history;
    (void)history_count;
    for (int i = 0; i < sweep->space.count; i++) {
        vg_random random = vg_random_make(sweep->seed, VG_SITE_SEARCH + (uint32_t)i, (uint32_t)number);
        vg_search_draw(&sweep->space.parameters[i], &random, values[i]);
    }
    return VG_OK;
}

const vg_search_method vg__search_random = {.name = "random", .check = check, .limit = limit, .next = next};
