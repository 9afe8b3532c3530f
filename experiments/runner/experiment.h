/* An experiment: what a YAML file, the files it extends and `key=value` words on the command line say. */
#ifndef VAGUS_EXPERIMENTS_RUNNER_EXPERIMENT_H
#define VAGUS_EXPERIMENTS_RUNNER_EXPERIMENT_H

#include "core/schema.h"
#include "models/config.h"

typedef struct vg_experiment {
#include "core/schema_members.h"
#include "experiments/runner/experiment.def"
} vg_experiment;

extern const vg_schema vg_experiment_schema;

/* Reads a file. Its key `extends` names another file (relative to it) whose values it goes over; chains are
 * followed up to 8 files, a circle is an error. Then `overrides` ("train.epochs=3") go over both. ERR_CONFIG
 * with file, line, column and the nearest known key. Free with vg_experiment_free(). */
VG_NODISCARD vg_status vg_experiment_load(const char *path, const char *const *overrides, int count,
                                          vg_experiment *out);
void vg_experiment_free(vg_experiment *experiment); /* twice is fine */

/* Names of ENUM values, for messages and for the parsers of other rooms ("post", "cls"). The text is static
 * and good until the same thread's fourth next call. `path` is "model.norm". */
const char *vg_experiment_choice(const vg_experiment *experiment, const char *path);

#endif
