/* The catalogue: data sets with ECG that are known to be of use here, what is known about each, and how one
 * gets it. One list, catalogue.def; `vagus data list` shows it and `vagus data fetch` works from it. */
#ifndef VAGUS_DATASETS_CATALOGUE_CATALOGUE_H
#define VAGUS_DATASETS_CATALOGUE_CATALOGUE_H

#include <stdbool.h>

#include "core/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum vg_dataset_kind {
    VG_DATASET_OPEN,      /* anybody may fetch it */
    VG_DATASET_RESTRICTED /* its owners want to be asked, or a form to be filled in */
} vg_dataset_kind;

enum { VG_DATASET_OPTIONS = 8 };

typedef struct vg_dataset_option {
    const char *name, *value; /* of vg_import_set(); a value "@FILE" is that file in the folder of the data */
} vg_dataset_option;

/* Texts are NULL, numbers 0 where nothing is known or nothing applies. */
typedef struct vg_dataset {
    const char *name, *title;
    vg_dataset_kind kind;
    double hours; /* of recording, however many leads it has */
    int subjects;
    const char *leads, *rate; /* "2", "500" (Hz): text, since some sets have several */
    const char *labels;       /* what somebody judged about the recordings, in words */
    const char *licence, *citation, *page;
    /* Which of these were not seen in a document of the set's authors or keepers, separated by blanks: "hours
     * licence". They are shown with a question mark. */
    const char *unverified;

    /* What `vagus data import` is to be told. */
    const char *importer; /* NULL: there is none yet */
    vg_dataset_option options[VG_DATASET_OPTIONS];
    /* A table of subjects for the importer: the text of one, or the set's own file. */
    const char *subjects_text, *subjects_file;

    /* Where the files are: at `base`, or a mirror of it, `below`, both with a '/' at their end. `sums` is the
     * list of SHA-256 sums there, as sha256sum writes it; `wanted` patterns of fnmatch(), separated by
     * blanks, in which a star also stands for '/'. A set without `base` is not fetched by this program. */
    const char *base, *below, *sums, *wanted;
    double megabytes; /* about, of what is wanted */
    const char *part; /* patterns of a part that is enough to try things, for experiments/quickstart.sh */

    const char *how;   /* a set that is not fetched: how to get it */
    const char *files; /* and which files to put where */
} vg_dataset;

/* The sets by number, in the order of their names; NULL past the last. */
VG_API const vg_dataset *vg_dataset_at(int index);

/* By name. ERR_CONFIG names the nearest. */
VG_NODISCARD VG_API vg_status vg_dataset_find(const char *name, const vg_dataset **out);

/* Whether the fact of this name ("hours") is among the unverified ones. */
VG_API bool vg_dataset_doubts(const vg_dataset *dataset, const char *fact);

#ifdef __cplusplus
}
#endif
#endif
