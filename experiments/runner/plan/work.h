/* What a run's model is made of, takes and computes: exact, no rate has a say in it. */
#ifndef VAGUS_EXPERIMENTS_RUNNER_PLAN_WORK_H
#define VAGUS_EXPERIMENTS_RUNNER_PLAN_WORK_H

#include "experiments/runner/plan/rates.h"
#include "models/model.h"

/* Parameters by part. X(name, what its parameters' names begin with, as printed). The first that fits counts.
 */
#define VG_PLAN_PART_MAP(X)                                                                                  \
    X(CONVOLUTIONS, "encoder.conv", "convolutions")                                                          \
    X(LAYERS, "encoder.layers", "transformer layers")                                                        \
    X(HEAD, "head", "head")                                                                                  \
    X(OTHER, "", "CLS, positions, norms")

typedef enum vg_plan_part {
#define VG_PLAN_PART_ENUM(name, prefix, text) VG_PLAN_##name,
    VG_PLAN_PART_MAP(VG_PLAN_PART_ENUM)
#undef VG_PLAN_PART_ENUM
        VG_PLAN_PARTS
} vg_plan_part;
const char *vg_plan_part_name(vg_plan_part part);

typedef struct vg_plan_parameters {
    int64_t part[VG_PLAN_PARTS], total;
    int64_t matrices; /* tensors among them; the others are vectors */
    int64_t padded;   /* elements of a slab, gaps between the tensors included */
} vg_plan_parameters;
VG_NODISCARD vg_status vg_plan_count_parameters(const vg_model_options *model, vg_plan_parameters *out);

/* What one GPU holds, in bytes. */
typedef struct vg_plan_memory {
    double values, masters, gradients; /* of parameters */
    double moments;                    /* of the optimiser, this rank's */
    double activations, activation_gradients, inputs;
    double corpus; /* where it lies on the GPU; else 0 */
    double total;
} vg_plan_memory;

/* Of a rank that computes `model->max_batch` segments at once and holds the moments of one in
 * `model->optimizer_ranks`. `corpus` bytes lie on a GPU when a quarter of what is left has room for them. */
VG_NODISCARD vg_status vg_plan_measure(const vg_model_options *model, const vg_plan_rates *rates,
                                       double corpus, vg_plan_memory *out);

/* The largest micro-batch that leaves an eighth of the memory to the kernels; 0: not even one segment. */
VG_NODISCARD vg_status vg_plan_largest_batch(const vg_model_options *model, double memory, int64_t *out);

typedef enum vg_plan_kind {
    VG_PLAN_LINEAR,
    VG_PLAN_ATTENTION,
    VG_PLAN_CONVOLUTION,
    VG_PLAN_REST,
    VG_PLAN_KINDS
} vg_plan_kind;
const char *vg_plan_kind_name(vg_plan_kind kind);

/* One pass of a kind: FLOP and bytes of its operations, and how long these take at the rates. */
typedef enum vg_plan_pass {
    VG_PLAN_FORWARD,
    VG_PLAN_BACKWARD,
    VG_PLAN_OPTIMIZER,
    VG_PLAN_PASSES
} vg_plan_pass;
typedef struct vg_plan_work {
    double flop[VG_PLAN_PASSES][VG_PLAN_KINDS], bytes[VG_PLAN_PASSES][VG_PLAN_KINDS];
    double
        seconds[VG_PLAN_PASSES]; /* every operation at the slower of its FLOP and bytes, and at its least */
    double busy[VG_PLAN_PASSES]; /* the same without the least */
} vg_plan_work;

/* Of `batch` segments at once. `frozen`: backward stops behind the head. */
vg_plan_work vg_plan_count_work(const vg_model_options *model, const vg_plan_rates *rates, int64_t batch,
                                bool frozen);
double vg_plan_sum(const double values[VG_PLAN_KINDS]);

#endif
