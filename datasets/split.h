/* Splits: which segments are trained on, validated on, tested on. Deterministic from the seed; never two
 * parts share a group of the chosen unit. */
#ifndef VAGUS_DATASETS_SPLIT_H
#define VAGUS_DATASETS_SPLIT_H

#include <stdint.h>

#include "core/status.h"
#include "datasets/corpus/corpus.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What stays together. SEGMENT mixes windows of one trial into training and test: it measures memory of a
 * recording as much as anything else and is there to repeat published figures. RECORDING keeps a trial with
 * all its leads together. SUBJECT keeps a person together. LOSO is one fold for every subject. */
#define VG_SPLIT_UNIT_MAP(X)                                                                                 \
    X(SEGMENT, "segment")                                                                                    \
    X(RECORDING, "recording")                                                                                \
    X(SUBJECT, "subject")                                                                                    \
    X(LOSO, "loso")

typedef enum vg_split_unit {
#define VG_SPLIT_UNIT_ENUM(name, text) VG_SPLIT_##name,
    VG_SPLIT_UNIT_MAP(VG_SPLIT_UNIT_ENUM)
#undef VG_SPLIT_UNIT_ENUM
} vg_split_unit;

VG_API const char *vg_split_unit_name(vg_split_unit unit);
VG_NODISCARD VG_API vg_status vg_split_unit_parse(const char *name, vg_split_unit *out);

/* Every fold lists all segments, and nobody trains thousands of models. */
enum { VG_SPLIT_MAX_FOLDS = 1000 };

typedef struct vg_split_options {
    vg_split_unit unit;
    int folds; /* 2 .. VG_SPLIT_MAX_FOLDS; not read for LOSO, which has as many as subjects */
    uint64_t seed;
    double validation;             /* share of the training part's segments set aside, in [0, 1); 0 = none */
    vg_split_unit validation_unit; /* SEGMENT, RECORDING or SUBJECT */
} vg_split_options;

/* Segment indices, ascending in each part. */
typedef struct vg_fold {
    int64_t *train, *validation, *test;
    int64_t train_count, validation_count, test_count;
    char name[64]; /* "fold 3 of 10", or the subject left out */
} vg_fold;

typedef struct vg_split {
    vg_fold *folds;
    int count;
} vg_split;

/* Folds over the given segments (all of the corpus with segments == NULL). Groups are dealt to the lightest
 * fold, largest first, so that folds have about the same number of segments. ERR_CONFIG when there are fewer
 * groups than folds, or too few left for a validation part; the cause gives the numbers. */
VG_NODISCARD VG_API vg_status vg_split_create(const vg_corpus *corpus, const int64_t *segments, int64_t count,
                                              const vg_split_options *options, vg_split **out);

/* One fold with training and validation only, by subject: for pre-training. `validation` in [0, 1);
 * with 0 everything is trained on. */
VG_NODISCARD VG_API vg_status vg_split_create_holdout(const vg_corpus *corpus, const int64_t *segments,
                                                      int64_t count, double validation, uint64_t seed,
                                                      vg_split **out);
VG_API void vg_split_destroy(vg_split *split); /* NULL is fine */

/* How many groups of a unit (LOSO counts as SUBJECT) have segments both in training or validation and in
 * test; the number a report prints beside every result. */
VG_NODISCARD VG_API vg_status vg_fold_shared(const vg_corpus *corpus, const vg_fold *fold, vg_split_unit unit,
                                             int64_t *out);

/* After vg_corpus_label(): ERR_DATA naming the fold and the part when its training part, or with `test_too`
 * its test part, holds one class only or segments without a label. */
VG_NODISCARD VG_API vg_status vg_fold_check_labels(const vg_corpus *corpus, const vg_fold *fold,
                                                   bool test_too);

#ifdef __cplusplus
}
#endif
#endif
