/* Which shapes the model calls each operation with, and how often in a training step. */
#ifndef VAGUS_EXPERIMENTS_RUNNER_BENCH_CASES_H
#define VAGUS_EXPERIMENTS_RUNNER_BENCH_CASES_H

#include "experiments/runner/bench/operands.h"
#include "models/config.h"

/* The models of the benchmarks: the paper's, and that of experiments/pretrain/cpu-small.yaml. */
typedef enum vg_bench_model { VG_BENCH_PAPER, VG_BENCH_SMALL, VG_BENCH_MODELS } vg_bench_model;
const char *vg_bench_model_name(vg_bench_model model);
vg_model_config vg_bench_model_config(vg_bench_model model);

typedef struct vg_bench_case {
    vg_kernel_id id;
    const char *name; /* of the layer: "qkv", "conv2" */
    int times;        /* in a pre-training step of the model; 0: a shape or a switch used elsewhere */
    vg_bench_shape shape;
} vg_bench_case;

/* Every operation of kernels.def at the shapes of a model and a batch: of any configuration, with masked
 * samples replaced by a learned value or not. Returns how many there are; `out` has room for
 * VG_BENCH_MAX_CASES. */
enum { VG_BENCH_MAX_CASES = 80 };
int vg_bench_cases(const vg_model_config *config, int64_t batch, bool learned_fill, vg_bench_case *out);

#endif
