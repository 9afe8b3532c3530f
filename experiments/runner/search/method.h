/* A search method: which values trial number n tries. A new method is one file that defines one
 * vg_search_method and one line in VG_SEARCH_METHOD_MAP. */
#ifndef VAGUS_RUNNER_SEARCH_METHOD_H
#define VAGUS_RUNNER_SEARCH_METHOD_H

#include "core/status.h"
#include "experiments/runner/search/space.h"

#ifdef __cplusplus
extern "C" {
#endif

#define VG_SEARCH_METHOD_MAP(X)                                                                              \
    X(grid)                                                                                                  \
    X(random)

/* A trial that is over. */
typedef struct vg_trial {
    int64_t number;
    char (*values)[VG_SEARCH_VALUE_LENGTH]; /* one a parameter, in the space's order */
    bool failed;                            /* then there is a cause and no metric */
    vg_status outcome;                      /* VG_OK, or why it failed */
    double metric;
    double seconds;
    char *cause;
} vg_trial;

typedef struct vg_search_method {
    const char *name;
    /* Refuses a space or a run_cap the method cannot work with: ERR_CONFIG naming the key. */
    vg_status (*check)(const vg_sweep *sweep);
    /* Trials the method has; INT64_MAX when it never ends. */
    int64_t (*limit)(const vg_sweep *sweep);
    /* The values of trial `number`, one a parameter. A function of the sweep, its seed, the number and the
     * trials that were over before it: history[0..history_count), ascending by number; nothing else. */
    vg_status (*next)(const vg_sweep *sweep, const vg_trial *history, int64_t history_count, int64_t number,
                      char (*values)[VG_SEARCH_VALUE_LENGTH]);
} vg_search_method;

/* NULL when there is none of that name; vg_search_method_names() is "grid, random". */
const vg_search_method *vg_search_method_find(const char *name);
const char *vg_search_method_names(void);

#define VG_SEARCH_METHOD_DECLARE(name) extern const vg_search_method vg__search_##name;
VG_SEARCH_METHOD_MAP(VG_SEARCH_METHOD_DECLARE)
#undef VG_SEARCH_METHOD_DECLARE

#ifdef __cplusplus
}
#endif
#endif
