/* From a model's preprocessing contract to the options of `vagus data import` that honour it: as options, and
 * as the command to type. */
#ifndef VAGUS_EXPERIMENTS_RUNNER_EVALUATION_PREDICTION_RECIPE_H
#define VAGUS_EXPERIMENTS_RUNNER_EVALUATION_PREDICTION_RECIPE_H

#include "core/text.h"
#include "datasets/import/importer.h"
#include "datasets/preprocessing.h"

/* Sets rate, band, order, leads and flip. ERR_UNSUPPORTED when no import gives such data (a notch, another
 * unit or filter), naming what it is. Texts point into the contract. */
VG_NODISCARD vg_status vg_recipe_options(const vg_preprocessing *contract, vg_import_options *out);

/* Adds a sentence: `how` and "vagus data import FORMAT SOURCE... --out STORE --rate 128 --order 8 ...", or
 * why there is no such command. */
void vg_recipe_tell(const vg_preprocessing *contract, const char *how, vg_text *out);

#endif
