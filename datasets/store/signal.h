/* The samples of a store in the memory of this process without a copy: the file itself is mapped. The kernel
 * brings pages in as they are read and lets them go, and the ranks of one machine share them. Internal to
 * datasets/. */
#ifndef VAGUS_DATASETS_STORE_SIGNAL_H
#define VAGUS_DATASETS_STORE_SIGNAL_H

#include "datasets/store/store.h"

/* Addresses that mapping takes, as a number of samples; the store's own begin at *first of them. */
void vg__store_mapping(const vg_store *store, int64_t *first, int64_t *samples);

/* Maps the file to `place`, which begins a page and has room for what vg__store_mapping() says; what was
 * mapped there before is replaced. Read only. Samples are not compared with their fingerprints. ERR_FORMAT:
 * the file is shorter than it says; ERR_UNSUPPORTED: the samples do not stand where a float can, or its file
 * system cannot map. */
VG_NODISCARD vg_status vg__store_map(const vg_store *store, float *place);

/* ERR_FORMAT names the recording when these samples of it do not have its fingerprint. */
VG_NODISCARD vg_status vg__store_compare(const vg_store *store, int64_t index, const float *samples);

#endif
