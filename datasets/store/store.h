/* The store: the one file format that training reads. Import once, train many times.
 *
 * A store is an HDF5 file with one long signal (float32, physical units, one unbroken run that can be
 * mapped), a table of recordings, ratings, exclusions with their reasons, and the preprocessing and
 * provenance as attributes; README.md lists every dataset of it. A store is written once, beside its final
 * name, and renamed when complete; it is never changed afterwards. Samples are stored unnormalised:
 * normalisation is the experiment's choice (corpus.h).
 *
 * HDF5 is not thread-safe; every function here that needs it takes one process-wide lock, so calls from
 * several threads are correct but take turns. One writer or reader object must not be used by two threads at
 * a time. */
#ifndef VAGUS_DATASETS_STORE_STORE_H
#define VAGUS_DATASETS_STORE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Written as attributes `format` and `version`; a reader refuses every other version. */
#define VG_STORE_FORMAT  "vagus-ecg-store"
#define VG_STORE_VERSION 3

/* Limits that a reader enforces, so that a file cannot ask for unreasonable memory by a small lie. */
enum { VG_STORE_MAX_TEXT = 4096, VG_STORE_MAX_RATINGS = 256 };

/* What was done to the samples, and where they come from. Strings are UTF-8; NULL is written as "". */
typedef struct vg_store_info {
    const char *source;         /* short name of the data set: "eegmat"; required; it prefixes subjects */
    double rate;                /* Hz, > 0 */
    const char *units;          /* "mV"; required */
    const char *original_rates; /* Hz as text, distinct values: "300", "256 512" */
    const char *filter;         /* "none", or its type: "butterworth" */
    int filter_order;           /* of the prototype; 0 without a filter */
    double filter_low;          /* Hz; 0: no lower edge */
    double filter_high;         /* Hz; 0: no upper edge */
    bool filter_zero_phase;
    double notch;           /* Hz of a mains notch; 0: none */
    const char *resampling; /* "none", or the method: "soxr very high quality" */
    const char *polarity;   /* what was done about upside-down leads: "as recorded", ... */
    const char *licence;    /* "ODC-By 1.0" */
    const char *citation;   /* how its authors want to be cited */
    bool synthetic;         /* made by a program; everything shown from it says so */
    const char *importer;   /* name and version of the code that wrote it: "wfdb 1" */
} vg_store_info;

/* One stretch of one lead without a break. NULL strings are written as "". */
typedef struct vg_recording {
    const char *subject;  /* "" = unknown: such a recording counts as a subject of its own */
    const char *session;  /* a day or visit; "" if there is one */
    const char *trial;    /* the unit that was rated; "" if the recording is the trial */
    const char *stimulus; /* what was shown; "" if nothing */
    const char *lead;     /* "I", "left arm", "MLII" */
    const char *
        source; /* file (and place in it) it was read from: leads recorded together share it, others do not */
    int64_t offset;       /* first sample in the signal; set by the store */
    int64_t length;       /* samples, > 0 */
    uint64_t fingerprint; /* vg_fingerprint() of the samples; set by the store */
} vg_recording;

/* What something that was left out is: X(NAME, the word in the file). */
#define VG_EXCLUSION_KINDS(X)                                                                                \
    X(SIGNAL, "signal")   /* a lead of a record that is there and was not taken */                           \
    X(WINDOWS, "windows") /* stretches of a lead that was taken */                                           \
    X(NOTHING, "nothing") /* a place where there is no ECG: an empty trial, a file without such a channel */ \
    X(LEADS, "leads")     /* a file with other leads than those that were asked for */                       \
    X(UNREAD, "unread")   /* a file, or a part of one, that could not be read or used */

typedef enum vg_exclusion_kind {
#define VG_EXCLUSION_ENUM(name, word) VG_EXCLUSION_##name,
    VG_EXCLUSION_KINDS(VG_EXCLUSION_ENUM)
#undef VG_EXCLUSION_ENUM
        VG_EXCLUSION_KIND_COUNT
} vg_exclusion_kind;

/* Something that was left out at import. */
typedef struct vg_exclusion {
    vg_exclusion_kind kind;
    const char *source;  /* file */
    const char *subject; /* "" if unknown */
    const char *reason;  /* a sentence part: "no usable ECG: flat for 98 % of the time" */
    double seconds;      /* time lost; NaN when unknown */
} vg_exclusion;

/* A 64-bit hash of the samples' bit patterns, the same on every machine: equal recordings in two stores (or
 * under two subjects) are found by it. Any NaN counts as the same NaN, -0 as 0. */
VG_API uint64_t vg_fingerprint(const float *samples, int64_t count);

/* ---- Writing -------------------------------------------------------------------------------------- */

typedef struct vg_store_writer vg_store_writer;

/* Starts a store that will be named `path`. `rating_names` [rating_count] name the columns of the ratings (0
 * is fine; the names are copied, must be distinct and not empty). The content goes to a temporary file in
 * the same folder. An existing `path` is refused (ERR_IO) unless `overwrite`; the old file stays whole until
 * vg_store_writer_finish() succeeds. */
VG_NODISCARD VG_API vg_status vg_store_writer_create(const char *path, bool overwrite,
                                                     const char *const *rating_names, int rating_count,
                                                     vg_store_writer **out);

/* Sets the attributes; copied. Needed once before finish; a later call replaces an earlier one, since an
 * importer knows some of them (original rates) only at the end. ERR_CONFIG names a field that cannot be. */
VG_NODISCARD VG_API vg_status vg_store_writer_describe(vg_store_writer *writer, const vg_store_info *info);

/* An attribute beyond vg_store_info, kept as text for the reader of the file (key: letters, digits, '_'). */
VG_NODISCARD VG_API vg_status vg_store_writer_note(vg_store_writer *writer, const char *key,
                                                   const char *value);

/* Appends a recording: recording->length samples (NaN allowed: a gap; infinity is refused) and `ratings`
 * [rating_count] (NaN = missing; NULL = all missing). Offset and fingerprint are computed here. */
VG_NODISCARD VG_API vg_status vg_store_writer_add(vg_store_writer *writer, const vg_recording *recording,
                                                  const float *samples, const double *ratings);

/* What was measured on recordings before they were stored, kept for baselines and checks: numbers by name,
 * and the beats. `names` as for ratings; to be called before the first recording. A store whose writer never
 * calls this has neither table. */
VG_NODISCARD VG_API vg_status vg_store_writer_features(vg_store_writer *writer, const char *const *names,
                                                       int count);

/* The numbers [count of features] (NaN = unknown) and beats of the recording that was added last: rising
 * positions in its samples, fractions allowed, within 0 .. length. A recording without this call has NaN and
 * no beats. */
VG_NODISCARD VG_API vg_status vg_store_writer_measured(vg_store_writer *writer, const double *features,
                                                       const double *beats, int64_t beat_count);

/* Appends a line to the table of exclusions. */
VG_NODISCARD VG_API vg_status vg_store_writer_exclude(vg_store_writer *writer, const vg_exclusion *exclusion);

/* Recordings added so far. */
VG_API int64_t vg_store_writer_count(const vg_store_writer *writer);

/* Writes the tables, syncs to disk and gives the file its name. A store without recordings is an error
 * (ERR_DATA). The writer is freed in every case; after an error nothing was written over and the temporary
 * file is gone. */
VG_NODISCARD VG_API vg_status vg_store_writer_finish(vg_store_writer *writer);

/* Frees the writer and removes the temporary file. NULL is fine. */
VG_API void vg_store_writer_abandon(vg_store_writer *writer);

/* ---- Reading -------------------------------------------------------------------------------------- */

typedef struct vg_store vg_store;

/* Opens and validates: format and version, every shape and type, offsets inside the signal, sane attributes.
 * The tables are in memory afterwards, the signal is read on demand. An error names the file and the dataset
 * and carries HDF5's own words. ERR_IO: cannot be opened; ERR_FORMAT: not a store, truncated or damaged;
 * ERR_UNSUPPORTED: another version; ERR_DATA: a store without recordings. */
VG_NODISCARD VG_API vg_status vg_store_open(const char *path, vg_store **out);
VG_API void vg_store_close(vg_store *store); /* NULL is fine */

/* All of these point into the store and live as long as it. */
VG_API const char *vg_store_path(const vg_store *store);
VG_API const vg_store_info *vg_store_get_info(const vg_store *store);
VG_API int64_t vg_store_recording_count(const vg_store *store);
VG_API const vg_recording *vg_store_recording(const vg_store *store, int64_t index);
VG_API int64_t vg_store_exclusion_count(const vg_store *store);
VG_API const vg_exclusion *vg_store_exclusion(const vg_store *store, int64_t index);
VG_API const char *vg_exclusion_kind_word(vg_exclusion_kind kind); /* "signal" */
VG_API int vg_store_rating_count(const vg_store *store);
VG_API const char *vg_store_rating_name(const vg_store *store, int column);
VG_API const double *vg_store_ratings(const vg_store *store,
                                      int64_t index);        /* [rating_count], NaN = missing */
VG_API int64_t vg_store_sample_count(const vg_store *store); /* all recordings together */

/* What was measured before the recording was stored. A store without it has 0 features and no beats. */
VG_API int vg_store_feature_count(const vg_store *store);
VG_API const char *vg_store_feature_name(const vg_store *store, int column);
VG_API const double *vg_store_features(const vg_store *store,
                                       int64_t index); /* [feature_count], NaN = unknown */
VG_API bool vg_store_has_beats(const vg_store *store);
VG_API const double *vg_store_beats(const vg_store *store, int64_t index, int64_t *count); /* NULL: none */

/* The text of a note, NULL when the store has none of that key; and the notes by number. */
VG_API const char *vg_store_note(const vg_store *store, const char *key);
VG_API int vg_store_note_count(const vg_store *store);
VG_API const char *vg_store_note_key(const vg_store *store, int index);

/* Reads `count` samples of a recording from its sample `start`. The range must lie inside (ERR_SHAPE). A
 * whole recording is compared with its fingerprint (ERR_FORMAT); of a part nobody can say whether it is as it
 * was. */
VG_NODISCARD VG_API vg_status vg_store_read(vg_store *store, int64_t index, int64_t start, int64_t count,
                                            float *out);

/* Reads every recording and compares its fingerprint: ERR_FORMAT names the first that does not match. */
VG_NODISCARD VG_API vg_status vg_store_verify(vg_store *store);

#ifdef __cplusplus
}
#endif
#endif
