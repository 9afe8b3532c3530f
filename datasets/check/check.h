/* The quality of what stands in stores: a verdict for every recording, and what only shows when the
 * recordings of one person are compared. What `vagus data check` prints, writes as JSON and as a page. */
#ifndef VAGUS_DATASETS_CHECK_CHECK_H
#define VAGUS_DATASETS_CHECK_CHECK_H

#include <stdbool.h>
#include <stdint.h>

#include "core/json.h"
#include "core/status.h"
#include "core/text.h"
#include "datasets/signal/features.h"
#include "datasets/store/store.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { VG_CHECK_WHY = 256 };

/* A recording. Texts belong to its store. */
typedef struct vg_check_line {
    int store;         /* which of the stores ... */
    int64_t recording; /* ... and which recording of it */
    const char *subject, *session, *trial, *lead;
    const char *file; /* without its folders */
    double seconds;
    bool measured_now; /* from the store's samples, since nothing was kept at import */
    vg_hrv hrv;
    vg_quality quality;
    vg_verdict verdict;
    char why[VG_CHECK_WHY];
} vg_check_line;

/* Recordings of one person and lead whose spectra end differently: those in `low` carry `decibels` less above
 * 50 Hz than those in `high`, although both hold the same between 30 and 45 Hz. */
typedef struct vg_check_change {
    const char *subject, *lead;
    int64_t first, count; /* a stretch of vg_check.order: `low` ones first ... */
    int64_t low;          /* ... and how many of them are low */
    double decibels;
} vg_check_change;

typedef struct vg_check {
    vg_store *const *stores; /* the caller's */
    int store_count;
    double min_quality;
    vg_check_line *line; /* [count], the worst first */
    int64_t count;
    int64_t *order; /* [count], lines by person and lead, for the changes */
    vg_check_change *change;
    int64_t change_count;
} vg_check;

/* Judges every recording of the stores, which must stay open as long as the check is used. What was measured
 * at import is taken from the store; where it was not, the store's samples are measured, which filters have
 * gone over by then: clipping and the recorder's filter do not show in them. VG_ERR_* of reading.
 *
 * How a change of the recorder's filter is found: each recording's spectrum is reduced to the power of 70-98
 * Hz (52-58 Hz below 200 samples a second) and of 30-45 Hz over that of 5-15 Hz, the median over windows of 2
 * s. Among the usable recordings of a person and lead the widest gap between neighbours in the first figure
 * is looked at: it is a change from 12 dB (6 dB for 52-58 Hz), when the medians of the second figure on its
 * two sides differ by no more than 3 dB, since tense muscles raise both. */
VG_API VG_NODISCARD vg_status vg_check_create(vg_store *const *stores, int count, double min_quality,
                                              vg_check **out);
VG_API void vg_check_destroy(vg_check *check); /* NULL is fine */

/* Lines with this verdict; the seconds of those that are usable. */
VG_API int64_t vg_check_count(const vg_check *check, vg_verdict verdict);
VG_API double vg_check_usable_seconds(const vg_check *check);
VG_API bool vg_verdict_usable(vg_verdict verdict);

/* The table as text, at most `most` lines of recordings, findings and totals, and what was left out at import
 * by file and reason, up to 20 of each store (0: all of both). */
VG_API void vg_check_print(const vg_check *check, int64_t most, vg_text *text);

/* An object with everything, as a value of `json`. */
VG_API void vg_check_put(const vg_check *check, vg_json_writer *json);

/* A page of one file: findings, strips of 10 s of the worst and of typical recordings, tables. The caller's
 * to free(). VG_ERR_* of reading the strips. */
VG_API VG_NODISCARD vg_status vg_check_page(const vg_check *check, char **html);

#ifdef __cplusplus
}
#endif
#endif
