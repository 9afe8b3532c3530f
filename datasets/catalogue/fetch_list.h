/* A set's list of checksums, and what of it is to be fetched. The list comes over the network, so nothing in
 * it is trusted: its paths lead into the folder and nowhere else. Internal to fetch.c. */
#ifndef VAGUS_DATASETS_CATALOGUE_FETCH_LIST_H
#define VAGUS_DATASETS_CATALOGUE_FETCH_LIST_H

#include <stdint.h>

#include "core/download.h"
#include "datasets/catalogue/catalogue.h"

enum { VG__SUMS_LIMIT = 64 << 20 }; /* PTB-XL's list has 4 MB */

typedef struct vg__fetch_list {
    char *text; /* the sums */
    vg_download *file;
    int64_t count, listed; /* files to be fetched; files in the list */
} vg__fetch_list;

/* Where a file of a set is: `path` in the folder `below` of `base`, escaped. The caller's to free. */
VG_NODISCARD vg_status vg__fetch_url(const char *base, const char *below, const char *path, char **out);

/* Reads the file `sums`, lines "SUM  PATH" or "SUM *PATH", into a list that is {0}; of its files those remain
 * that the data set wants and, unless it is NULL, `only` (patterns, separated by blanks). To be freed
 * whatever the status. */
VG_NODISCARD vg_status vg__fetch_list_read(vg__fetch_list *list, const char *sums, const char *base,
                                           const vg_dataset *dataset, const char *folder, const char *only);
void vg__fetch_list_free(vg__fetch_list *list);

#endif
