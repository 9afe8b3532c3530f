/* Which segments an epoch has when stores are mixed by weights. Internal to datasets/.
 *
 * An epoch has as many segments as there are. Store s gives draw[s] of them: its weight's share, rounded so
 * that they add up (largest remainders first). Every store is one endless row of rounds, each round all of
 * its segments in an order drawn by (seed, store, round); epoch e takes the stretch from e * draw[s] to (e +
 * 1) * draw[s]. So no segment is drawn again before all of its store were, in one epoch and over many; and
 * the choice is a function of (seed, epoch) alone. */
#ifndef VAGUS_DATASETS_MIXTURE_H
#define VAGUS_DATASETS_MIXTURE_H

#include "datasets/corpus/corpus.h"

typedef struct vg__mixture vg__mixture;

/* `weights`: one for each of the corpus' stores, from 0 up. A store without any of the segments is left out,
 * and the others share. ERR_CONFIG names what cannot be. */
VG_NODISCARD vg_status vg__mixture_create(const vg_corpus *corpus, const int64_t *segments, int64_t count,
                                          const double *weights, int weight_count, vg__mixture **out);
void vg__mixture_destroy(vg__mixture *mixture); /* NULL is fine */

/* The segments of an epoch, store by store: out[count]. */
void vg__mixture_draw(vg__mixture *mixture, uint64_t seed, int64_t epoch, int64_t *out);

#endif
