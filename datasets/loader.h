/* The loader: batches of normalised segments in an order that is a function of (seed, epoch) alone, filled
 * ahead of time by one worker thread. Everything is allocated at creation.
 *
 *     VG_TRY(vg_loader_start(loader, epoch, first_step));
 *     for (;;) {
 *         vg_batch batch;
 *         VG_TRY(vg_loader_next(loader, &batch));
 *         if (batch.end) break;
 *         ...
 *     } */
#ifndef VAGUS_DATASETS_LOADER_H
#define VAGUS_DATASETS_LOADER_H

#include <stdbool.h>
#include <stdint.h>

#include "core/status.h"
#include "datasets/corpus/corpus.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct vg_loader_options {
    int64_t batch_size; /* of all ranks together, B */
    bool shuffle;       /* a new order every epoch; otherwise the order of the given indices */
    bool drop_last;     /* leave out a last batch smaller than batch_size */
    bool numbers_only;  /* no samples: signal is NULL; for a corpus that lies on a device */
    uint64_t seed;
    int prefetch; /* batches filled ahead by the worker; 0: no thread, filled inside vg_loader_next() */
    const double *weights; /* with shuffle: one for each of the corpus' stores, its share of an epoch
                              (mixture.h); read at creation */
    int weight_count;      /* 0: none, every segment once an epoch */
    int rank, world;       /* this rank's share is a contiguous slice of every batch; world 0 counts as 1 */
} vg_loader_options;

/* Valid until the next call with the same loader. */
typedef struct vg_batch {
    const float *signal;     /* (count, T), normalised; NULL with numbers_only */
    const float *label;      /* (count), NaN without a label */
    const int64_t *segments; /* (count), the segments' numbers */
    int64_t count;           /* of this rank; can be 0 for some rank in a small last batch */
    int64_t total;           /* of all ranks: what a mean over the batch divides by */
    int64_t length;          /* T */
    int64_t step;            /* 0 for the epoch's first batch */
    bool end;                /* the epoch is over, nothing else is set */
} vg_batch;

typedef struct vg_loader vg_loader;

/* Batches over `segments` [count], which are copied; the corpus is borrowed and must stay unchanged from
 * vg_loader_start() to the end of the epoch. ERR_CONFIG for options that cannot be, or when drop_last leaves
 * no batch at all. */
VG_NODISCARD VG_API vg_status vg_loader_create(const vg_corpus *corpus, const int64_t *segments,
                                               int64_t count, const vg_loader_options *options,
                                               vg_loader **out);
VG_API void vg_loader_destroy(vg_loader *loader); /* at any time; NULL is fine */

/* Batches in an epoch. */
VG_API int64_t vg_loader_steps(const vg_loader *loader);

/* Begins `epoch` at its batch `first_step` (0 .. steps; at steps the epoch is over at once), whatever came
 * before. A run resumed so sees the very batches it would have seen. */
VG_NODISCARD VG_API vg_status vg_loader_start(vg_loader *loader, int64_t epoch, int64_t first_step);

/* The next batch, or batch->end. Asserts that the loader was started. */
VG_NODISCARD VG_API vg_status vg_loader_next(vg_loader *loader, vg_batch *batch);

#ifdef __cplusplus
}
#endif
#endif
