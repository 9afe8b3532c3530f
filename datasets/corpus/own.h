/* What the files of the corpus share among themselves. */
#ifndef VAGUS_DATASETS_CORPUS_OWN_H
#define VAGUS_DATASETS_CORPUS_OWN_H

#include "datasets/corpus/corpus.h"
#include "datasets/store/store.h"

struct vg__corpus_own {
    vg_store **stores; /* open as long as the corpus: its texts point into their tables */
    int store_count;
    char *lead;
    double *ratings; /* [recording_count, rating_count] */
    /* Of every segment, in the store's units: every normalisation is a combination of these. */
    double *mean, *spread; /* spread = sum of squared differences from the mean */
};

/* load.c: fills recordings, signal, subjects, trials and ratings from own->stores. */
vg_status vg__corpus_load(vg_corpus *corpus, const char *const *paths);

/* signal.c: fills signal, by recordings that know their place in the store; a mapped signal has them
 * at other offsets. */
vg_status vg__corpus_load_samples(vg_corpus *corpus, const int64_t *index_in_store);
void vg__corpus_samples_at_random(const vg_corpus *corpus);
void vg__corpus_free_samples(vg_corpus *corpus);

/* segments.c: cuts the loaded recordings. */
vg_status vg__corpus_cut(vg_corpus *corpus);

#endif
