/* The leads of one file against the option `leads`: which are taken, and what to say when none is. Internal
 * to import/. */
#ifndef VAGUS_DATASETS_IMPORT_FORMATS_LEADS_H
#define VAGUS_DATASETS_IMPORT_FORMATS_LEADS_H

#include <stdbool.h>

#include "datasets/import/pipeline/pipeline.h"

typedef struct vg__leads {
    char names[400]; /* of those that were met */
    int count, taken;
} vg__leads;

/* Whether the option asks for lead number `index`; begin with zeros. */
bool vg__leads_take(const vg__pipeline *pipeline, vg__leads *leads, const char *name, int index);

/* When leads were met and none taken: the exclusion of the file, which lists them. `seconds` as of
 * vg__pipeline_exclude(). */
VG_NODISCARD vg_status vg__leads_check(vg__pipeline *pipeline, const vg__leads *leads, const char *file,
                                       const char *subject, double seconds);

#endif
