/* A plan in full, and its two tellers. */
#ifndef VAGUS_EXPERIMENTS_RUNNER_PLAN_REPORT_H
#define VAGUS_EXPERIMENTS_RUNNER_PLAN_REPORT_H

#include "experiments/runner/plan/estimate.h"

typedef struct vg_plan_report {
    const vg_experiment *experiment;
    const vg_plan_options *options;
    vg_plan_rates rates;
    vg_plan_data data;
    vg_model_options model; /* max_batch: the micro-batch */
    vg_plan_parameters parameters;
    vg_plan_work segment; /* of one segment; its optimiser is that of a step */
    int64_t largest_micro;
    vg_plan_estimate chosen;                   /* plan.gpus, train.batch_size */
    vg_plan_estimate *same_batch, *same_share; /* one for each of plan.table */
    int rows;
} vg_plan_report;

/* FLOP of a kind in forward and backward of a segment. */
double vg_plan_flop_both(const vg_plan_report *report, vg_plan_kind kind);

/* In plan.currency; NaN without a price. */
double vg_plan_cost(const vg_plan_report *report, const vg_plan_estimate *estimate);

void vg_plan_tell(const vg_plan_report *report, FILE *out);
void vg_plan_put(const vg_plan_report *report, vg_json_writer *json);

#endif
