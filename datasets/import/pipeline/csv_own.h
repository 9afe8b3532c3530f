/* What reading a table (csv.c) and finding rows in it (csv_match.c) share. */
#ifndef VAGUS_DATASETS_IMPORT_PIPELINE_CSV_OWN_H
#define VAGUS_DATASETS_IMPORT_PIPELINE_CSV_OWN_H

#include "datasets/import/pipeline/csv.h"

/* Whether the column's cells name records to be found by. */
bool vg__csv_is_key(const vg__csv *csv, int column);

/* Makes the keys of a table that was read. `subjects`: rows agree when their subjects do, and rows without
 * one have no keys; otherwise rows agree when all cells do but those that name records. */
VG_NODISCARD vg_status vg__csv_index(vg__csv *csv, bool subjects);

#endif
