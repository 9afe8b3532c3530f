/* From a data set's name to its files, checked, and to the options it is imported with. */
#ifndef VAGUS_DATASETS_CATALOGUE_FETCH_H
#define VAGUS_DATASETS_CATALOGUE_FETCH_H

#include "core/download.h"
#include "datasets/catalogue/catalogue.h"
#include "datasets/import/importer.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct vg_fetch_options {
    const char *mirror; /* stands in place of the set's `base`; NULL: the set's own */
    const char *only; /* patterns as in vg_dataset.wanted: those files and the tables they need; NULL: all */
    vg_download_options download;
} vg_fetch_options;

/* Fetches the set's list of checksums into `folder`, unless it is there, then every wanted file of it that is
 * not there with its checksum. Only one process at a time may do so in a folder. OK means that every file is
 * complete and has its checksum. ERR_UNSUPPORTED: a set that is not fetched; the cause says how to get it. */
VG_NODISCARD VG_API vg_status vg_dataset_fetch(const vg_dataset *dataset, const char *folder,
                                               const vg_fetch_options *options, vg_download_report *report);

/* How the set's files in `folder` are imported: the catalogue's options over the defaults, its name, licence
 * and citation. Tables that the importer needs are written into the folder. Free it when the import is over.
 */
typedef struct vg_dataset_plan {
    vg_import_options options;
    char *text[VG_DATASET_OPTIONS + 1]; /* what the options point to */
} vg_dataset_plan;
VG_NODISCARD VG_API vg_status vg_dataset_plan_make(const vg_dataset *dataset, const char *folder,
                                                   vg_dataset_plan *plan);
VG_API void vg_dataset_plan_free(vg_dataset_plan *plan);

#ifdef __cplusplus
}
#endif
#endif
