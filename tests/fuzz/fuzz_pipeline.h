/* Stands in for datasets/import/pipeline/pipeline.c behind an importer: reads all it is given and writes no
 * store. */
#ifndef VAGUS_TESTS_FUZZ_FUZZ_PIPELINE_H
#define VAGUS_TESTS_FUZZ_FUZZ_PIPELINE_H

#include "datasets/import/pipeline/pipeline.h"

/* Runs the importer over one source. `map` is the option of that name. */
void fuzz_import(const vg__importer *importer, const char *source, const char *map);

/* The same for an input whose first line is the option and the rest the file; one without a first line is
 * passed over. */
void fuzz_import_mapped(const vg__importer *importer, const uint8_t *data, size_t size);

#endif
