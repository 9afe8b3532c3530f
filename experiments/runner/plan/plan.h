/* 'vagus pretrain --plan': what a run would take, before anyone pays for it. Memory comes from the model's
 * own plan, FLOP and bytes from the shapes its operations are called with, times from rates that are stated.
 * Nothing is trained and nothing is written. The formulas stand in experiments/PLAN.md. */
#ifndef VAGUS_EXPERIMENTS_RUNNER_PLAN_PLAN_H
#define VAGUS_EXPERIMENTS_RUNNER_PLAN_PLAN_H

#include <stdio.h>

#include "core/json.h"
#include "core/schema.h"
#include "experiments/runner/experiment.h"

typedef struct vg_plan_options {
#include "core/schema_members.h"
#include "experiments/runner/plan/plan.def"
} vg_plan_options;

extern const vg_schema vg_plan_schema;

/* The defaults with "plan.key=value" words over them; vg_schema_free() it. */
VG_NODISCARD vg_status vg_plan_options_read(const char *const *words, int count, vg_plan_options *out);

/* Tells the plan on `out` or, where it is not NULL, as members of the JSON object that was begun. ERR_CONFIG
 * for options that contradict each other; what the model or the data say of the experiment otherwise. */
VG_NODISCARD vg_status vg_plan_run(const vg_experiment *experiment, const vg_plan_options *options, FILE *out,
                                   vg_json_writer *json);

#endif
