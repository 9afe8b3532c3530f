/* How fast the machines of a plan are, each number with who stated it. */
#ifndef VAGUS_EXPERIMENTS_RUNNER_PLAN_RATES_H
#define VAGUS_EXPERIMENTS_RUNNER_PLAN_RATES_H

#include "core/tensor.h"
#include "experiments/runner/plan/plan.h"

/* X(NAME, key of plan.def, unit as printed). */
#define VG_PLAN_RATE_MAP(X)                                                                                  \
    X(PEAK, peak_tflops, "TFLOP/s")                                                                          \
    X(EFFICIENCY, efficiency, "of it is reached")                                                            \
    X(MEMORY_SIZE, memory_gib, "GiB")                                                                        \
    X(MEMORY, memory_gbs, "GB/s")                                                                            \
    X(LINK, link_gbs, "GB/s each way")                                                                       \
    X(NETWORK, network_gbs, "GB/s each way, a node")                                                         \
    X(BANDWIDTH_EFFICIENCY, bandwidth_efficiency, "of these three is reached")                               \
    X(LATENCY, latency_us, "us a hop")                                                                       \
    X(OPERATION, operation_us, "us at least")                                                                \
    X(LOADER, loader_gbs, "GB/s a rank")

typedef enum vg_plan_rate_id {
#define VG_PLAN_RATE_ENUM(name, key, unit) VG_PLAN_##name,
    VG_PLAN_RATE_MAP(VG_PLAN_RATE_ENUM)
#undef VG_PLAN_RATE_ENUM
        VG_PLAN_RATES
} vg_plan_rate_id;

/* As it was stated, in the unit of its key. */
typedef struct vg_plan_rate {
    const char *key, *unit;
    double value;
    const char *by; /* "data sheet", "assumed" or "you" */
} vg_plan_rate;

typedef struct vg_plan_rates {
    vg_plan_rate stated[VG_PLAN_RATES];
    const char *gpu, *precision; /* "h100"; "fp32", "tf32" or "bf16" */
    vg_dtype dtype;              /* of the model in that precision */
    int64_t per_node;
    bool on_host; /* processors: no corpus lies on a device, and rings of sockets or MPI carry the sums */

    /* What is counted with: FLOP, bytes and seconds, shares that are reached taken off. */
    double flop, memory, link, network, loader;
    double memory_size, latency, operation;
} vg_plan_rates;

/* ERR_CONFIG for a precision that the GPU has no rate for. */
VG_NODISCARD vg_status vg_plan_rates_make(const vg_experiment *experiment, const vg_plan_options *options,
                                          vg_plan_rates *out);

#endif
