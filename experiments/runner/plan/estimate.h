/* How long a step and a run would take, by the formulas of experiments/PLAN.md. */
#ifndef VAGUS_EXPERIMENTS_RUNNER_PLAN_ESTIMATE_H
#define VAGUS_EXPERIMENTS_RUNNER_PLAN_ESTIMATE_H

#include "experiments/runner/plan/work.h"

/* How much data there is, and who says so. */
typedef struct vg_plan_data {
    bool known;
    int64_t train, validation; /* segments */
    double bytes;              /* of the samples of all segments; 0: not known */
    char source[512];
} vg_plan_data;

typedef enum vg_plan_limit {
    VG_PLAN_LIMIT_COMPUTE,
    VG_PLAN_LIMIT_BATCH,
    VG_PLAN_LIMIT_ALL_REDUCE,
    VG_PLAN_LIMIT_LOADER,
    VG_PLAN_LIMIT_MEMORY,
} vg_plan_limit;
const char *vg_plan_limit_name(vg_plan_limit limit);

/* What is asked: a run on so many GPUs with a batch of so many segments on all of them. */
typedef struct vg_plan_case {
    const vg_experiment *experiment;
    const vg_model_options *model; /* its max_batch and optimizer_ranks are set here, from the case */
    const vg_plan_rates *rates;
    const vg_plan_data *data;
    int64_t matrices; /* of the model: no bucket is smaller than one */
    int64_t gpus, batch;
} vg_plan_case;

typedef struct vg_plan_estimate {
    int64_t gpus, batch, share, micro; /* segments: of all, of the fullest rank, at once */
    vg_plan_memory memory;
    double reduced_bytes;  /* of arrays that are summed at each rank, a step */
    double gathered_bytes; /* of new values under ZeRO 1 */
    int64_t buckets;
    double ring; /* bytes a second that a ring over these GPUs carries */

    /* Seconds of a step. */
    double forward, backward, optimizer; /* of the fullest rank */
    double least;                        /* of these three: operations that are too small for the GPU */
    double collectives, exposed;         /* all of them; what backward does not hide */
    double loader;                       /* hidden behind the rest unless it takes longer */
    double loader_bytes;                 /* a second, of all ranks */
    double step, segments_s;
    vg_plan_limit limit;

    /* Of the run, when the number of segments is known. */
    int64_t steps_per_epoch, steps, validations;
    double training, validation, seconds; /* seconds */
} vg_plan_estimate;

VG_NODISCARD vg_status vg_plan_estimate_make(const vg_plan_case *asked, vg_plan_estimate *out);

#endif
