/* The preprocessing contract: what was done to the samples before a model sees them. It is made from the
 * stores and the segment settings, travels as preprocessing.json inside every checkpoint, and data that does
 * not honour a model's contract is refused with the difference in words. */
#ifndef VAGUS_DATASETS_PREPROCESSING_H
#define VAGUS_DATASETS_PREPROCESSING_H

#include <stdbool.h>

#include "core/status.h"
#include "datasets/store/store.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Over which samples mean and standard deviation of the z-score are taken. CORPUS means a given list of
 * segments: those of the training folds. */
#define VG_NORMALIZE_MAP(X)                                                                                  \
    X(NONE, "none")                                                                                          \
    X(SEGMENT, "segment")                                                                                    \
    X(RECORDING, "recording")                                                                                \
    X(SUBJECT, "subject")                                                                                    \
    X(CORPUS, "corpus")

typedef enum vg_normalize {
#define VG_NORMALIZE_ENUM(name, text) VG_NORMALIZE_##name,
    VG_NORMALIZE_MAP(VG_NORMALIZE_ENUM)
#undef VG_NORMALIZE_ENUM
} vg_normalize;

VG_API const char *vg_normalize_name(vg_normalize scope);
VG_NODISCARD VG_API vg_status vg_normalize_parse(const char *name, vg_normalize *out);

enum { VG_PREPROCESSING_TEXT = 64 };

typedef struct vg_preprocessing {
    double rate;                       /* Hz */
    char units[VG_PREPROCESSING_TEXT]; /* of the samples before normalisation */
    char filter[VG_PREPROCESSING_TEXT];
    int filter_order;
    double filter_low, filter_high, notch; /* Hz, 0 = none */
    bool filter_zero_phase;
    double seconds; /* length of a segment */
    double stride;  /* from one segment's start to the next; 0: not recorded (a file of an older program) */
    bool lead_known;
    char lead[VG_PREPROCESSING_TEXT]; /* the only one used; "": all there are */
    vg_normalize normalize;
    double corpus_mean, corpus_sd; /* of scope CORPUS, so that prediction can repeat it; else 0 and 1 */
    /* Said but not compared: */
    char resampling[VG_PREPROCESSING_TEXT];
    char polarity[VG_PREPROCESSING_TEXT];
    char sources[4 * VG_PREPROCESSING_TEXT]; /* names of the data sets, comma-separated */
    bool synthetic;                          /* any of the sources is */
} vg_preprocessing;

/* Takes over a store's attributes; segment length, stride, lead and normalisation are the caller's to set.
 * ERR_DATA when unit or filter is a text too long to keep; the others are cut short. */
VG_NODISCARD VG_API vg_status vg_preprocessing_from_store(const vg_store_info *info, vg_preprocessing *out);

/* ERR_DATA unless `data` honours `wanted`; the cause lists every difference in words, calling the two by the
 * given names ("the model in runs/a", "the store x.h5"). A field is compared only as far as it has an effect:
 * the corpus' mean and sd belong to the model and are not, and a model of all leads takes any. Another
 * overlap of the windows is warned about, not refused: each of them is what it was. What an old file does not
 * tell is not compared. */
VG_NODISCARD VG_API vg_status vg_preprocessing_check(const vg_preprocessing *wanted, const char *wanted_name,
                                                     const vg_preprocessing *data, const char *data_name);

/* preprocessing.json. Reading checks every key's presence, type and range; `lead` and `stride` may be absent,
 * as older programs did not write them. */
VG_NODISCARD VG_API vg_status vg_preprocessing_write(const vg_preprocessing *preprocessing, const char *path);
VG_NODISCARD VG_API vg_status vg_preprocessing_read(const char *path, vg_preprocessing *out);

#ifdef __cplusplus
}
#endif
#endif
