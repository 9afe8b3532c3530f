/* What the texts about a store count: its records, and what was left out. Internal to datasets/. */
#ifndef VAGUS_DATASETS_TALLY_H
#define VAGUS_DATASETS_TALLY_H

#include <stdbool.h>
#include <stdint.h>

#include "core/status.h"
#include "core/text.h"
#include "datasets/store/store.h"

/* Leads that were recorded together are one record: its time passed once. They share source, person, session,
 * trial and stimulus; where a lead of one name comes twice, these are two records. */
typedef struct vg__records {
    int64_t count;
    int64_t fewest, most; /* leads of a record */
    double seconds;       /* of recording: the longest lead of each */
} vg__records;
VG_NODISCARD vg_status vg__records_count(const vg_store *store, vg__records *records);

/* The name of a source without its folders. */
const char *vg__source_name(const char *source);

/* Lines "  file  seconds  reason" of the first `most` exclusions (0: all). */
void vg__exclusions_list(const vg_store *store, int64_t most, vg_text *out);

/* "2.27 hours", "8.1 minutes", "20 s". */
void vg__time_add(double seconds, vg_text *out);

/* "180 and 360 Hz" of the store's "180 360". */
void vg__rates_add(const char *rates, vg_text *out);

/* Of a recording's own rate: where the import's band-pass ends at the latest. */
#define VG__BAND_LIMIT 0.45

/* Where the band ends in fact: an import lowers its upper edge for recordings that are too slow for it. Both
 * are vg_store_info.filter_high where it did not. */
void vg__band_top(const vg_store *store, double *lowest, double *highest);

/* The text broken at blanks: lines of up to `width` columns, the second and later ones behind `indent`
 * blanks; `column` is where the first begins. Ends without a line break. */
void vg__wrap(const char *text, size_t column, size_t indent, size_t width, vg_text *out);

#endif
