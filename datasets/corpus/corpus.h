/* The corpus: several stores in memory, cut into segments, with a normalisation and labels chosen by the
 * experiment. The trainer reads its fields; only the functions here change them, and none may be called while
 * a loader works on the corpus.
 *
 *     vg_corpus *corpus;
 *     VG_TRY(vg_corpus_create(paths, n, &options, &corpus));
 *     ... split (split.h) ...
 *     VG_TRY(vg_corpus_normalize(corpus, VG_NORMALIZE_SUBJECT, NULL, 0, &report));
 *     VG_TRY(vg_corpus_label(corpus, &rule, fold->train, fold->train_count, &report)); */
#ifndef VAGUS_DATASETS_CORPUS_CORPUS_H
#define VAGUS_DATASETS_CORPUS_CORPUS_H

#include <stdbool.h>
#include <stdint.h>

#include "core/status.h"
#include "datasets/preprocessing.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct vg_corpus_options {
    double seconds;       /* length of a segment */
    double stride;        /* seconds from one start to the next; 0 = seconds, that is no overlap */
    double flat_below;    /* a segment whose standard deviation (in the store's units) is below is flat */
    double clipped_share; /* a segment is clipped when more than this share of its samples lies in runs of
                             three or more equal samples at its largest or smallest value */
    const char *lead;     /* only recordings of this lead; NULL = all */
    int64_t memory_bytes; /* samples that take more are not held in memory but mapped from their stores; 0:
                             half of the machine's */
} vg_corpus_options;

/* 10 s, no overlap, flat below 0.001, clipped above 0.05, all leads. */
VG_API vg_corpus_options vg_corpus_options_default(void);

typedef struct vg_corpus_recording {
    int32_t store;   /* which of the paths */
    int32_t subject; /* index into subjects */
    int32_t trial;   /* leads recorded together share it: equal subject, session, trial and source file */
    int64_t offset, length;               /* in the corpus' signal */
    int64_t first_segment, segment_count; /* its segments stand together */
    const char *session, *trial_name, *stimulus, *lead, *source;
    const double *ratings; /* [rating_count] of the corpus, NaN = missing */
    uint64_t fingerprint;
} vg_corpus_recording;

typedef struct vg_segment {
    int64_t start; /* first sample in the corpus' signal */
    int32_t recording, subject, trial;
    uint32_t number;    /* its index in the corpus: its identity for random numbers */
    float label;        /* 0 or 1 after vg_corpus_label(); NaN: has none */
    double mean, scale; /* normalised sample = (sample - mean) * scale */
} vg_segment;

/* Segments that were refused, by reason, and what could not be cut. */
typedef struct vg_corpus_dropped {
    int64_t nan, flat, clipped; /* segments; a segment is counted under the first that holds */
    int64_t short_recordings;   /* recordings shorter than one segment */
    int64_t other_lead;         /* recordings left out by options.lead */
} vg_corpus_dropped;

typedef struct vg_corpus {
    vg_corpus_options options; /* stride filled in; lead is the corpus' own copy */
    vg_preprocessing preprocessing;
    double rate;
    int store_count;        /* the paths it was loaded from */
    int64_t segment_length; /* T, samples */
    float *signal;          /* read only; the same samples whether mapped or not */
    int64_t sample_count;
    bool mapped; /* from files, not in memory */
    vg_corpus_recording *recordings;
    int64_t recording_count;
    vg_segment *segments;
    int64_t segment_count;
    char **subjects; /* "source:subject"; where nobody knows, "source:#file": recordings of one file and trial
                        are taken for one person */
    int64_t subject_count, trial_count;
    char **rating_names;
    int rating_count;
    vg_corpus_dropped dropped;
    vg_normalize normalize;     /* NONE until vg_corpus_normalize() */
    struct vg__corpus_own *own; /* what the pointers above point into */
} vg_corpus;

/* Loads the stores, checks that all were preprocessed alike (ERR_DATA names the two files and the
 * difference), verifies every recording's fingerprint and cuts segments. Subjects are told apart by
 * "source:subject": the subjects of two sources never meet, and a person who appears in two stores of one
 * source stays one person. The same store given twice, or a store whose recordings are already there under
 * another subject, would leak between folds: identical recordings of different subjects are warned about,
 * identical paths refused. ERR_DATA when no segment is left (the cause counts the reasons), ERR_CONFIG for
 * options that cannot be. */
VG_NODISCARD VG_API vg_status vg_corpus_create(const char *const *paths, int path_count,
                                               const vg_corpus_options *options, vg_corpus **out);
VG_API void vg_corpus_destroy(vg_corpus *corpus); /* NULL is fine */

/* A number that is another when a sample, a segment, a subject or a rating of the corpus is another;
 * normalisation and labels do not count. */
VG_API uint64_t vg_corpus_fingerprint(const vg_corpus *corpus);

/* ---- Normalisation -------------------------------------------------------------------------------- */

typedef struct vg_normalize_report {
    int64_t flat_scopes;   /* groups whose standard deviation is 0: they become all zero, never NaN */
    int64_t flat_segments; /* segments in them */
    double mean, sd;       /* of scope CORPUS; 0 and 1 otherwise */
} vg_normalize_report;

/* Sets mean and scale of every segment. Statistics are taken in double over the kept segments of the scope
 * (so that refused stretches do not count): the segment, its recording, its subject, or for CORPUS the given
 * list of segments, which are the training folds only (`train` is read for CORPUS alone and then needed).
 * Also writes the choice into corpus->preprocessing. */
VG_NODISCARD VG_API vg_status vg_corpus_normalize(vg_corpus *corpus, vg_normalize scope, const int64_t *train,
                                                  int64_t train_count, vg_normalize_report *report);

/* The same with the statistics of an earlier run (a checkpoint's preprocessing.json): scope CORPUS takes the
 * recorded mean and sd instead of computing them from this data. */
VG_NODISCARD VG_API vg_status vg_corpus_normalize_as(vg_corpus *corpus, const vg_preprocessing *contract,
                                                     vg_normalize_report *report);

/* The memory of this machine, or of the container that this process is confined to, in bytes. */
VG_API int64_t vg_machine_memory(void);

/* Tells that a segment will be read soon: one of a mapped corpus is brought in meanwhile. */
VG_API void vg_corpus_read_ahead(const vg_corpus *corpus, int64_t segment);

/* T normalised samples of a segment. */
VG_API void vg_corpus_segment(const vg_corpus *corpus, int64_t segment, float *out);

/* ---- Labels --------------------------------------------------------------------------------------- */

typedef enum vg_threshold {
    VG_THRESHOLD_NUMBER,
    VG_THRESHOLD_MEAN,
    VG_THRESHOLD_MEDIAN,
    VG_THRESHOLD_NONE
} vg_threshold;

typedef struct vg_label_rule {
    const char *rating;     /* a name among corpus->rating_names */
    vg_threshold threshold; /* label = rating > threshold; NONE: the rating is already 0 or 1 */
    double number;          /* for NUMBER */
} vg_label_rule;

/* "mean", "median", "none" or a number into the rule; ERR_CONFIG otherwise. */
VG_NODISCARD VG_API vg_status vg_label_rule_parse(const char *rating, const char *threshold,
                                                  vg_label_rule *out);

typedef struct vg_label_report {
    double threshold;           /* applied; NaN for NONE */
    int64_t positive, negative; /* segments over the whole corpus */
    int64_t unrated;            /* segments whose rating is missing: no label */
} vg_label_report;

/* Indices of the segments whose recording has this rating: what a supervised split starts from. `out` holds
 * segment_count entries; *count is set. ERR_CONFIG names the ratings there are when `rating` is none of them,
 * ERR_DATA when no segment is rated. */
VG_NODISCARD VG_API vg_status vg_corpus_rated(const vg_corpus *corpus, const char *rating, int64_t *out,
                                              int64_t *count);

/* Labels every segment. MEAN and MEDIAN are taken over the given training segments, each counting once. */
VG_NODISCARD VG_API vg_status vg_corpus_label(vg_corpus *corpus, const vg_label_rule *rule,
                                              const int64_t *train, int64_t train_count,
                                              vg_label_report *report);

#ifdef __cplusplus
}
#endif
#endif
