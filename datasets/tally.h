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

/* What a line of the table of exclusions is about. The table has no column for it; the reasons that our
 * importers write begin with known words, and a length is known of recordings alone. */
typedef enum vg__loss {
    VG__LOSS_SIGNAL,  /* a lead of a record that is there and was not taken */
    VG__LOSS_WINDOWS, /* stretches of a lead that was taken */
    VG__LOSS_NOTHING, /* a place where there is no ECG: an empty trial, a file without such a channel */
    VG__LOSS_LEADS,   /* a file with other leads than those that were asked for */
    VG__LOSS_UNREAD, /* a file, or a part of one, that could not be read or used: nobody knows what it held */
} vg__loss;
vg__loss vg__loss_of(const vg_exclusion *exclusion);

/* The name of a source without its folders. */
const char *vg__source_name(const char *source);

/* The reason in words for a reader. */
void vg__loss_reason(const vg_exclusion *exclusion, vg_text *out);

/* Lines "  file  seconds  reason" of the first `most` exclusions (0: all). */
void vg__losses_list(const vg_store *store, int64_t most, vg_text *out);

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
