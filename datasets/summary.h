/* A store in words: what `vagus data info` prints. */
#ifndef VAGUS_DATASETS_SUMMARY_H
#define VAGUS_DATASETS_SUMMARY_H

#include "core/status.h"
#include "datasets/store/store.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Source and licence, subjects, recordings and hours, leads, rate, preprocessing, each rating with its
 * counts, the exclusions by reason, and the first `most` of them by file (0: all, and long notes whole), as
 * lines ending in '\n'. *text is the caller's to free(). */
VG_API VG_NODISCARD vg_status vg_store_summarise(const vg_store *store, int64_t most, char **text);

/* The same as a paragraph for the section on methods of a paper, in lines of up to 100 columns: records and
 * their leads, time of recording (and not of leads), what is known of the people, the band that the samples
 * really hold, what was left out, and what an importer assumed since no file says it. *text is the caller's
 * to free(). */
VG_API VG_NODISCARD vg_status vg_store_methods(const vg_store *store, char **text);

#ifdef __cplusplus
}
#endif
#endif
