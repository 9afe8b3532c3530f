#include "datasets/corpus/own.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

/* Statistics of several segments of equal length: the mean of means, and the spreads within and between. */
struct pool {
    int64_t segments;
    double mean, spread;
};

/* Chan, Golub and LeVeque's pairwise update: it loses no digits when the mean is large, as sums of squares
 * do. */
static void pool_add(struct pool *pool, double mean, double spread, double samples)
{
    double before = (double)pool->segments * samples, difference = mean - pool->mean;
    double total = before + samples;
    pool->mean += difference * samples / total;
    pool->spread += spread + difference * difference * before * samples / total;
    pool->segments++;
}

/* A group is flat when its deviation is lost in the rounding of its samples. */
static double scale_for(double mean, double sd)
{
    return sd > 1e-12 * (1 + fabs(mean)) ? 1 / sd : 0;
}

static double scale_of(const struct pool *pool, double samples)
{
    return scale_for(pool->mean, sqrt(pool->spread / ((double)pool->segments * samples)));
}

static void apply(vg_corpus *corpus, int64_t segment, const struct pool *pool, double scale,
                  vg_normalize_report *report)
{
    corpus->segments[segment].mean = pool->mean;
    corpus->segments[segment].scale = scale;
    if (scale == 0) report->flat_segments++;
}

/* The group a segment belongs to: itself, its recording or its subject. */
static int64_t group_of(const vg_corpus *corpus, vg_normalize scope, int64_t segment)
{
    const vg_segment *which = &corpus->segments[segment];
    return scope == VG_NORMALIZE_SEGMENT     ? segment
           : scope == VG_NORMALIZE_RECORDING ? which->recording
                                             : which->subject;
}

static vg_status normalize_groups(vg_corpus *corpus, vg_normalize scope, vg_normalize_report *report)
{
    double samples = (double)corpus->segment_length;
    int64_t groups = scope == VG_NORMALIZE_SEGMENT     ? corpus->segment_count
                     : scope == VG_NORMALIZE_RECORDING ? corpus->recording_count
                                                       : corpus->subject_count;
    struct pool *pools = calloc((size_t)groups, sizeof *pools);
    if (!pools) return vg_fail(VG_ERR_MEMORY, "statistics of %" PRId64 " groups", groups);
    for (int64_t i = 0; i < corpus->segment_count; i++)
        pool_add(&pools[group_of(corpus, scope, i)], corpus->own->mean[i], corpus->own->spread[i], samples);
    for (int64_t i = 0; i < groups; i++)
        if (pools[i].segments && scale_of(&pools[i], samples) == 0) report->flat_scopes++;
    for (int64_t i = 0; i < corpus->segment_count; i++) {
        const struct pool *pool = &pools[group_of(corpus, scope, i)];
        apply(corpus, i, pool, scale_of(pool, samples), report);
    }
    free(pools);
    return VG_OK;
}

static vg_status check_list(const vg_corpus *corpus, const int64_t *segments, int64_t count)
{
    if (!segments || count < 1)
        return vg_fail(VG_ERR_CONFIG,
                       "normalisation over the corpus needs the training segments, and there are none");
    for (int64_t i = 0; i < count; i++)
        if (segments[i] < 0 || segments[i] >= corpus->segment_count)
            return vg_fail(VG_ERR_SHAPE, "there is no segment %" PRId64 " among %" PRId64, segments[i],
                           corpus->segment_count);
    return VG_OK;
}

/* One mean and one scale for every segment. */
static void normalize_all(vg_corpus *corpus, const struct pool *pool, double scale,
                          vg_normalize_report *report)
{
    if (scale == 0) report->flat_scopes = 1;
    for (int64_t i = 0; i < corpus->segment_count; i++) apply(corpus, i, pool, scale, report);
}

static void settle(vg_corpus *corpus, vg_normalize scope, const vg_normalize_report *found,
                   vg_normalize_report *report)
{
    corpus->normalize = corpus->preprocessing.normalize = scope;
    corpus->preprocessing.corpus_mean = found->mean;
    corpus->preprocessing.corpus_sd = found->sd;
    if (report) *report = *found;
}

vg_status vg_corpus_normalize(vg_corpus *corpus, vg_normalize scope, const int64_t *train,
                              int64_t train_count, vg_normalize_report *report)
{
    double samples = (double)corpus->segment_length;
    vg_normalize_report found = {.sd = 1};
    if (scope == VG_NORMALIZE_NONE) {
        normalize_all(corpus, &(struct pool){0}, 1, &found);
    } else if (scope == VG_NORMALIZE_CORPUS) {
        VG_TRY(check_list(corpus, train, train_count));
        struct pool pool = {0};
        for (int64_t i = 0; i < train_count; i++)
            pool_add(&pool, corpus->own->mean[train[i]], corpus->own->spread[train[i]], samples);
        found.mean = pool.mean;
        found.sd = sqrt(pool.spread / ((double)pool.segments * samples));
        normalize_all(corpus, &pool, scale_of(&pool, samples), &found);
    } else {
        VG_TRY(normalize_groups(corpus, scope, &found));
    }
    settle(corpus, scope, &found, report);
    return VG_OK;
}

vg_status vg_corpus_normalize_as(vg_corpus *corpus, const vg_preprocessing *contract,
                                 vg_normalize_report *report)
{
    if (contract->normalize != VG_NORMALIZE_CORPUS)
        return vg_corpus_normalize(corpus, contract->normalize, NULL, 0, report);
    if (!isfinite(contract->corpus_mean) || !(contract->corpus_sd >= 0))
        return vg_fail(VG_ERR_DATA, "the recorded mean %g and deviation %g cannot normalise",
                       contract->corpus_mean, contract->corpus_sd);
    vg_normalize_report found = {.mean = contract->corpus_mean, .sd = contract->corpus_sd};
    /* From the deviation itself, not from its square: a prediction has the very bits of the training run. */
    normalize_all(corpus, &(struct pool){.mean = found.mean}, scale_for(found.mean, found.sd), &found);
    settle(corpus, VG_NORMALIZE_CORPUS, &found, report);
    return VG_OK;
}
