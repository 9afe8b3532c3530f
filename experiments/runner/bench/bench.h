/* 'vagus bench': how long operations and whole training steps take here, beside what this very machine can
 * copy and multiply. Any device and backend. */
#ifndef VAGUS_EXPERIMENTS_RUNNER_BENCH_BENCH_H
#define VAGUS_EXPERIMENTS_RUNNER_BENCH_BENCH_H

#include <stdio.h>

#include "core/group/group.h"
#include "core/json.h"
#include "core/schema.h"
#include "kernels/kernels.h"

typedef struct vg_bench_options {
#include "core/schema_members.h"
#include "experiments/runner/bench/bench.def"
} vg_bench_options;

/* In the order of the names in bench.def. */
typedef enum vg_bench_precision {
    VG_BENCH_AUTO,
    VG_BENCH_F32,
    VG_BENCH_TF32,
    VG_BENCH_BF16,
    VG_BENCH_PRECISIONS
} vg_bench_precision;

extern const vg_schema vg_bench_schema;

/* What the device can do, measured by vg_bench_ceilings(); 0: not measured. */
typedef struct vg_bench_limits {
    double copy;                         /* bytes a second, those read and those written */
    double product[VG_BENCH_PRECISIONS]; /* FLOP a second of a large linear_forward */
} vg_bench_limits;

/* A device at work for a benchmark. */
typedef struct vg_bench {
    const vg_bench_options *options;
    vg_device *device;
    vg_kernels *kernels;
    vg_group *group;                  /* one rank alone is a group too */
    vg_bench_precision precisions[2]; /* to run, the first first */
    int precision_count;
    vg_bench_limits limits;
    FILE *out;            /* the table for people; NULL: none, as for every rank but 0 */
    vg_json_writer *json; /* NULL: none; inside the result's object */
} vg_bench;

/* Which benchmark it is for: `step` and `comm` may be run by several ranks, for which this waits. */
typedef enum vg_bench_kind { VG_BENCH_OPS, VG_BENCH_STEP, VG_BENCH_COMM, VG_BENCH_DATA } vg_bench_kind;
VG_NODISCARD vg_status vg_bench_open(vg_bench_kind kind, const vg_bench_options *options, FILE *out,
                                     vg_json_writer *json, vg_bench *bench);

/* `status`: how it ended, told to the other ranks. */
void vg_bench_close(vg_bench *bench, vg_status status);

/* Is this the processor itself? */
bool vg_bench_on_host(const vg_bench *bench);
const char *vg_bench_precision_name(vg_bench_precision precision);
vg_dtype vg_bench_dtype(vg_bench_precision precision);

/* Copy and product, for every precision of the bench; told to the table and the JSON. */
VG_NODISCARD vg_status vg_bench_ceilings(vg_bench *bench);

VG_NODISCARD vg_status vg_bench_ops(vg_bench *bench);

/* All-reduce, reduce-scatter and all-gather between the ranks of the bench, checked before they are timed.
 * Where MPI carries them, tcp beside it, and MPI_Allreduce called directly. */
VG_NODISCARD vg_status vg_bench_comm(vg_bench *bench);

/* The loader alone, over `stores`. */
VG_NODISCARD vg_status vg_bench_data(vg_bench *bench);

/* ERR_MEMORY when anything was allocated after the first step, which no step may do. */
VG_NODISCARD vg_status vg_bench_step(vg_bench *bench);

#endif
