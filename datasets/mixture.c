#include "datasets/mixture.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "core/random.h"

struct vg__mixture {
    int stores;
    int64_t *first, *have, *draw; /* [stores] place in `segments`, how many there, how many in an epoch */
    int64_t *segments;            /* [count] store by store, in the given order */
    int64_t *round;               /* [the largest `have`] */
};

static vg_status check(const vg_corpus *corpus, const double *weights, int count)
{
    if (count != corpus->store_count)
        return vg_fail(VG_ERR_CONFIG, "data.weights has %d entries and there are %d stores; give one each",
                       count, corpus->store_count);
    for (int s = 0; s < count; s++)
        if (!(weights[s] >= 0 && isfinite(weights[s])))
            return vg_fail(VG_ERR_CONFIG, "data.weights: entry %d is %g; give a number from 0 up", s + 1,
                           weights[s]);
    return VG_OK;
}

static vg_status sort_by_store(vg__mixture *mixture, const vg_corpus *corpus, const int64_t *segments,
                               int64_t count)
{
    int64_t most = 1, total = 0;
    for (int64_t i = 0; i < count; i++)
        mixture->have[corpus->recordings[corpus->segments[segments[i]].recording].store]++;
    for (int s = 0; s < mixture->stores; s++) {
        mixture->first[s] = total;
        total += mixture->have[s];
        if (mixture->have[s] > most) most = mixture->have[s];
    }
    mixture->segments = malloc((size_t)count * sizeof *segments);
    mixture->round = malloc((size_t)most * sizeof *segments);
    if (!mixture->segments || !mixture->round)
        return vg_fail(VG_ERR_MEMORY, "an order of %" PRId64 " segments", count);
    memset(mixture->have, 0, (size_t)mixture->stores * sizeof *mixture->have);
    for (int64_t i = 0; i < count; i++) {
        int s = corpus->recordings[corpus->segments[segments[i]].recording].store;
        mixture->segments[mixture->first[s] + mixture->have[s]++] = segments[i];
    }
    return VG_OK;
}

/* Whole numbers in proportion to the weights that add up to `count`. */
static vg_status share_out(vg__mixture *mixture, int64_t count, const double *weights)
{
    double sum = 0;
    int64_t given = 0;
    double *rest = calloc((size_t)mixture->stores, sizeof *rest);
    if (!rest) return vg_fail(VG_ERR_MEMORY, "weights of %d stores", mixture->stores);
    for (int s = 0; s < mixture->stores; s++)
        if (mixture->have[s]) sum += weights[s];
    for (int s = 0; s < mixture->stores && sum > 0; s++) {
        double exact = mixture->have[s] ? (double)count * (weights[s] / sum) : 0;
        mixture->draw[s] = (int64_t)floor(exact);
        rest[s] = mixture->have[s] && weights[s] > 0 ? exact - floor(exact) : -1;
        given += mixture->draw[s];
    }
    while (sum > 0 &&
           given != count) { /* at most once a store; the second branch mends rounding of the quotients */
        int best = 0;
        for (int s = 1; s < mixture->stores; s++)
            if (given < count ? rest[s] > rest[best] : mixture->draw[s] > mixture->draw[best]) best = s;
        mixture->draw[best] += given < count ? 1 : -1;
        given += given < count ? 1 : -1;
        rest[best] = -1;
    }
    free(rest);
    if (sum > 0) return VG_OK;
    return vg_fail(VG_ERR_CONFIG, "data.weights is 0 for every store that has segments to train on");
}

vg_status vg__mixture_create(const vg_corpus *corpus, const int64_t *segments, int64_t count,
                             const double *weights, int weight_count, vg__mixture **out)
{
    vg_status status;
    *out = NULL;
    VG_TRY(check(corpus, weights, weight_count));
    vg__mixture *mixture = calloc(1, sizeof *mixture);
    if (!mixture) return vg_fail(VG_ERR_MEMORY, "a mixture of stores");
    mixture->stores = weight_count;
    mixture->first = calloc((size_t)weight_count, sizeof *mixture->first);
    mixture->have = calloc((size_t)weight_count, sizeof *mixture->have);
    mixture->draw = calloc((size_t)weight_count, sizeof *mixture->draw);
    if (!mixture->first || !mixture->have || !mixture->draw) {
        status = vg_fail(VG_ERR_MEMORY, "a mixture of %d stores", weight_count);
        goto out;
    }
    VG_TRY_OUT(sort_by_store(mixture, corpus, segments, count));
    VG_TRY_OUT(share_out(mixture, count, weights));
    for (int s = 0; s < weight_count; s++)
        vg_info("data.weights: of an epoch's %" PRId64 " segments %" PRId64
                " come from store %d, which has %" PRId64,
                count, mixture->draw[s], s + 1, mixture->have[s]);
out:
    if (status != VG_OK)
        vg__mixture_destroy(mixture);
    else
        *out = mixture;
    return status;
}

void vg__mixture_destroy(vg__mixture *mixture)
{
    if (!mixture) return;
    free(mixture->first);
    free(mixture->have);
    free(mixture->draw);
    free(mixture->segments);
    free(mixture->round);
    free(mixture);
}

void vg__mixture_draw(vg__mixture *mixture, uint64_t seed, int64_t epoch, int64_t *out)
{
    for (int s = 0; s < mixture->stores; s++) {
        int64_t have = mixture->have[s], left = mixture->draw[s];
        if (left == 0) continue;
        uint64_t at = (uint64_t)epoch * (uint64_t)left;
        uint64_t number = at / (uint64_t)have;
        int64_t skipped = (int64_t)(at % (uint64_t)have);
        for (; left > 0; number++, skipped = 0) {
            int64_t take = have - skipped < left ? have - skipped : left;
            vg_random random = vg_random_make(seed, VG_SITE_SHUFFLE + 1 + (uint32_t)s, (uint32_t)number);
            memcpy(mixture->round, mixture->segments + mixture->first[s], (size_t)have * sizeof *out);
            vg_random_shuffle(&random, mixture->round, have);
            memcpy(out, mixture->round + skipped, (size_t)take * sizeof *out);
            out += take;
            left -= take;
        }
    }
}
