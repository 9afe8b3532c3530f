/* Filters over signals. A cascade of sections is a chain: a section waits for the one before it, and one
 * sample at a time a processor mostly waits too. So lane i of a vector holds section i and works BEHIND
 * samples behind lane i - 1, whose result it takes from an earlier step. What is left to wait for is a
 * section's own last result, and while one filter waits for that another can work: hence several filters over
 * one signal in one go. Each section computes what it would alone, in the same order, so the result has the
 * same bits. */
#include <float.h>
#include <math.h>
#include <stdbool.h>

#include "datasets/signal/filter_layout.h"

enum {
    /* With 1 a lane would wait for its neighbour's result too, on its way from lane to lane, which takes a
     * third longer (an AMD EPYC of 2024, gcc 12). */
    BEHIND = 2,
    LONGEST_PAD = 3 * (2 * VG_FILTER_MAX_ORDER + 1)
};

/* A filter over a run of n samples. In its lanes sections that pass on what they get come first, so that it
 * ends with a group, or with the first half of one. */
typedef struct chain {
    const vg_filter *filter;
    int64_t pad, lag; /* what goes in with step i is sample i + lag, what comes out sample i */
    double steady[VG_FILTER_MAX_ORDER][2];
    double *out;              /* [n] */
    double tail[LONGEST_PAD]; /* of the first pass: what came out behind the run */
} chain;

typedef struct bank {
    layout layout;
    chain chain[VG_FILTER_MOST_AT_ONCE];
    group group[MOST_GROUPS];
} bank;

/* One pass. Sample i of the signal that goes in is `in[i * step]` within the run; before it stands before[-1
 * - i], behind it after[i - n] (NULL: nothing any more). */
typedef struct pass {
    int64_t n, step;
    const double *in[VG_FILTER_MOST_AT_ONCE], *before[VG_FILTER_MOST_AT_ONCE], *after;
    double *out[VG_FILTER_MOST_AT_ONCE];
} pass;

/* The state in which each section would be after a constant input of 1 since ever. */
static void steady_state(const vg_filter *filter, double state[][2])
{
    double level = 1;
    for (int i = 0; i < filter->sections; i++) {
        const double *c = filter->section[i];
        double out = level * (c[0] + c[1] + c[2]) / (1.0 + c[4] + c[5]);
        state[i][1] = c[2] * level - c[5] * out;
        state[i][0] = c[1] * level - c[4] * out + state[i][1];
        level = out;
    }
}

/* A filter of up to HALF sections takes half a group, the second half of the last one if that is free.
 * Returns how many lanes it has. */
static int place_chain(layout *l, int sections)
{
    const bool half = sections <= HALF;
    const int size = LANES_OF(sections);
    const bool beside = half && l->chains > 0 && l->last[l->chains - 1] % LANES == HALF - 1;
    const int first = l->groups * LANES - (beside ? HALF : 0), last = first + size - 1;
    if (beside)
        l->halves |= (uint64_t)1 << (l->groups - 1);
    else
        l->starts |= (uint64_t)1 << l->groups;
    l->first[l->chains] = first;
    l->last[l->chains++] = last;
    l->groups = last / LANES + 1;
    return size;
}

static void add_chain(bank *b, const vg_filter *filter, double *out)
{
    static const double pass_on[6] = {1, 0, 0, 1, 0, 0};
    const int f = b->layout.chains, before = b->layout.groups;
    const int size = place_chain(&b->layout, filter->sections);
    chain *c = &b->chain[f];
    c->filter = filter;
    c->pad = vg_filter_padding(filter);
    c->lag = BEHIND * (size - 1);
    c->out = out;
    steady_state(filter, c->steady);
    for (int k = before; k < b->layout.groups; k++) b->group[k] = (group){0};
    for (int i = 0; i < size; i++) {
        const int section = i - (size - filter->sections), lane = b->layout.first[f] + i;
        const double *from = section < 0 ? pass_on : filter->section[section];
        group *g = &b->group[lane / LANES];
        g->b0[lane % LANES] = from[0];
        g->b1[lane % LANES] = from[1];
        g->b2[lane % LANES] = from[2];
        g->a1[lane % LANES] = from[4];
        g->a2[lane % LANES] = from[5];
    }
}

#define ALWAYS_INLINE static inline __attribute__((always_inline))

/* All groups take one step; value[i] goes into lane i where a filter begins there. */
ALWAYS_INLINE void step_groups(group *all, const layout *l, const double *value)
{
    const lane_numbers along = ALONG, halves = HALVES;
    double carried = 0;
    for (int k = 0; k < l->groups; k++) {
        group *g = &all[k];
        const bool two = l->halves >> k & 1;
        lanes in = {l->starts >> k & 1 ? value[k * LANES] : carried};
        if (two) in[HALF] = value[k * LANES + HALF];
        const lanes x =
            two ? __builtin_shuffle(g->older, in, halves) : __builtin_shuffle(g->older, in, along);
        carried = g->older[LANES - 1];
        g->older = g->out;
        g->out = g->b0 * x + g->s0;
        g->s0 = (g->b1 * x + g->s1) - g->a1 * g->out;
        g->s1 = g->b2 * x - g->a2 * g->out;
    }
}

/* What goes into filter f as sample i, wherever that lies. */
static double sample_at(const bank *b, const pass *p, int f, int64_t i)
{
    const int64_t pad = b->chain[f].pad;
    if (i < -pad) return 0;
    if (i < 0) return p->before[f][-1 - i];
    if (i < p->n) return p->in[f][i * p->step];
    return p->after && i < p->n + pad ? p->after[i - p->n] : 0;
}

/* The lane of filter f that meets its first sample in this step, if there is one, forgets what it did before.
 */
static void begin_lane(bank *b, const pass *p, int f, int64_t i)
{
    const chain *c = &b->chain[f];
    const int64_t step = i + c->pad, number = step / BEHIND;
    if (step < 0 || step > c->lag || step % BEHIND) return;
    const int64_t lane = b->layout.first[f] + number;
    const int64_t section = lane - (b->layout.last[f] + 1 - c->filter->sections);
    const double first = p->before[f][c->pad - 1];
    group *g = &b->group[lane / LANES];
    g->s0[lane % LANES] = section < 0 ? 0 : c->steady[section][0] * first;
    g->s1[lane % LANES] = section < 0 ? 0 : c->steady[section][1] * first;
}

/* Steps from..to, with all that can happen near the ends of the run. */
static void step_edges(bank *b, const pass *p, int64_t from, int64_t to)
{
    const layout *l = &b->layout;
    for (int64_t i = from; i < to; i++) {
        double value[MOST_GROUPS * LANES];
        for (int f = 0; f < l->chains; f++) {
            value[l->first[f]] = sample_at(b, p, f, i + b->chain[f].lag);
            begin_lane(b, p, f, i + b->chain[f].lag);
        }
        step_groups(b->group, l, value);
        for (int f = 0; f < l->chains; f++) {
            chain *c = &b->chain[f];
            const double out = b->group[l->last[f] / LANES].out[l->last[f] % LANES];
            if (i >= 0 && i < p->n) p->out[f][i * p->step] = out;
            if (i >= p->n && i < p->n + c->pad) c->tail[i - p->n] = out;
        }
    }
}

/* Steps up to `end`, well within the run. The layout is a constant wherever this is inlined for speed: loops
 * over it are unrolled then, and the groups stay in registers. */
ALWAYS_INLINE void step_within(bank *b, const pass *p, const layout *l, int64_t end)
{
    group all[MOST_GROUPS];
    const double *in[VG_FILTER_MOST_AT_ONCE];
    double *out[VG_FILTER_MOST_AT_ONCE];
    const int64_t step = p->step;
    for (int k = 0; k < l->groups; k++) all[k] = b->group[k];
    for (int f = 0; f < l->chains; f++) {
        in[f] = p->in[f] + b->chain[f].lag * step;
        out[f] = p->out[f];
    }
    for (int64_t i = 0; i < end; i++) {
        double value[MOST_GROUPS * LANES];
        for (int f = 0; f < l->chains; f++) value[l->first[f]] = in[f][i * step];
        step_groups(all, l, value);
        for (int f = 0; f < l->chains; f++)
            out[f][i * step] = all[l->last[f] / LANES].out[l->last[f] % LANES];
    }
    for (int k = 0; k < l->groups; k++) b->group[k] = all[k];
}

static bool same_layout(const layout *a, const layout *b)
{
    bool same =
        a->groups == b->groups && a->chains == b->chains && a->starts == b->starts && a->halves == b->halves;
    for (int f = 0; same && f < a->chains; f++) same = a->first[f] == b->first[f] && a->last[f] == b->last[f];
    return same;
}

static void run_pass(bank *b, const pass *p)
{
    int64_t begin = 0, lag = 0, pad = 0;
    for (int f = 0; f < b->layout.chains; f++) {
        const chain *c = &b->chain[f];
        if (-c->pad - c->lag < begin) begin = -c->pad - c->lag;
        if (c->lag > lag) lag = c->lag;
        if (c->pad > pad) pad = c->pad;
    }
    int64_t within = p->n - lag > 0 ? p->n - lag : 0;
    step_edges(b, p, begin, 0);
#define TRY_LAYOUT(name, ...)                                                                                \
    if (same_layout(&b->layout, &name))                                                                      \
        step_within(b, p, &name, within);                                                                    \
    else
    LAYOUTS(TRY_LAYOUT)
    step_within(b, p, &b->layout, within);
    step_edges(b, p, within, p->after ? p->n + pad : p->n);
}

/* Runs the chains over n finite samples, more than any of their paddings; one of their outs may be x. */
static void run_bank(bank *b, const double *x, int64_t n)
{
    double left[LONGEST_PAD], right[LONGEST_PAD];
    pass forwards = {.n = n, .step = 1, .after = right}, backwards = {.n = n, .step = -1};
    int64_t pad = 0;
    for (int f = 0; f < b->layout.chains; f++) {
        chain *c = &b->chain[f];
        if (c->pad > pad) pad = c->pad;
        forwards.in[f] = x;
        forwards.before[f] = left;
        forwards.out[f] = c->out;
        backwards.in[f] = backwards.out[f] = c->out + n - 1;
        backwards.before[f] = c->tail;
    }
    for (int64_t i = 0; i < pad; i++) {
        left[i] = 2 * x[0] - x[i + 1];
        right[i] = 2 * x[n - 1] - x[n - 2 - i];
    }
    run_pass(b, &forwards);
    run_pass(b, &backwards);
}

/* Where the finite samples from `start` on end. In blocks, since those are compared side by side. */
static int64_t finite_run(const double *x, int64_t start, int64_t n)
{
    enum { BLOCK = 64 };
    int64_t end = start;
    for (; end + BLOCK <= n; end += BLOCK) {
        int64_t bad = 0;
        for (int i = 0; i < BLOCK; i++) bad |= !(fabs(x[end + i]) <= DBL_MAX);
        if (bad) break;
    }
    while (end < n && isfinite(x[end])) end++;
    return end;
}

void vg_filter_zero_phase_each(const vg_filter *const *filter, int count, const double *x, int64_t n,
                               double *const *out, int64_t *lost)
{
    VG_ASSERT(count <= VG_FILTER_MOST_AT_ONCE);
    bank all, *b = &all; /* some 15 KiB */
    for (int f = 0; f < count; f++) lost[f] = 0;
    for (int64_t start = 0; start < n;) {
        const int64_t end = finite_run(x, start, n);
        b->layout = (layout){0};
        for (int f = 0; f < count; f++)
            if (end - start > vg_filter_padding(filter[f])) add_chain(b, filter[f], out[f] + start);
        if (b->layout.chains) run_bank(b, x + start, end - start);
        for (int f = 0; f < count; f++) {
            if (end < n) out[f][end] = NAN;
            if (end - start > vg_filter_padding(filter[f])) continue;
            lost[f] += end - start;
            for (int64_t i = start; i < end; i++) out[f][i] = NAN;
        }
        start = end + 1;
    }
}

vg_status vg_filter_fits(const vg_filter *filter, const double *x, int64_t n)
{
    const int64_t pad = vg_filter_padding(filter);
    int64_t longest = 0;
    for (int64_t start = 0; start < n && longest <= pad;) {
        const int64_t enough = start + pad + 1;
        int64_t end = finite_run(x, start, enough < n ? enough : n);
        if (end - start > longest) longest = end - start;
        start = end + 1;
    }
    if (longest > pad) return VG_OK;
    return vg_fail(
        VG_ERR_DATA,
        "the signal of %lld samples has no finite run longer than the %lld samples that the filter "
        "needs (the longest has %lld)",
        (long long)n, (long long)pad, (long long)longest);
}

vg_status vg_filter_zero_phase(const vg_filter *filter, double *x, int64_t n, int64_t *lost)
{
    int64_t dropped;
    VG_TRY(vg_filter_fits(filter, x, n));
    vg_filter_zero_phase_each(&filter, 1, x, n, &x, &dropped);
    if (lost) *lost = dropped;
    return VG_OK;
}
