#include "experiments/runner/bench/bench.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "experiments/runner/training/machine.h"

#define VG_SCHEMA_STRUCT vg_bench_options
static const vg_schema_field fields[] = {
#include "core/schema_rows.h"
#include "experiments/runner/bench/bench.def"
};
const vg_schema vg_bench_schema = VG_SCHEMA("bench", fields, vg_bench_options);

static const char *const names[VG_BENCH_PRECISIONS] = {"auto", "fp32", "tf32", "bf16"};

const char *vg_bench_precision_name(vg_bench_precision precision)
{
    return names[precision];
}

vg_dtype vg_bench_dtype(vg_bench_precision precision)
{
    return precision == VG_BENCH_BF16 ? VG_BF16 : VG_F32;
}

bool vg_bench_on_host(const vg_bench *bench)
{
    return bench->device->ops->is_host;
}

/* This rank among the others, and its share of the machine. */
static vg_status open_group(vg_bench_kind kind, vg_bench *bench)
{
    const vg_bench_options *options = bench->options;
    char transport[32], device[64];
    vg_place place;
    VG_TRY(vg_place_find(&place));
    if (kind == VG_BENCH_OPS && place.size > 1)
        return vg_fail(VG_ERR_CONFIG, "bench ops times operations of one process, and %d ranks were started",
                       place.size);
    if (kind == VG_BENCH_DATA && place.size > 1)
        return vg_fail(VG_ERR_CONFIG, "bench data times the loader of one process, and %d ranks were started",
                       place.size);
    if (kind == VG_BENCH_COMM && place.size == 1)
        return vg_fail(VG_ERR_CONFIG,
                       "bench comm: one rank alone has nobody to exchange anything with; start several: "
                       "vagus launch -n 2 -- bench comm, or mpirun -n 2 vagus bench comm, or srun");
    VG_TRY(vg_machine_choose_device(options->device, &place, device));
    VG_TRY(vg_device_open(device, &bench->device));
    const vg_group_options group = {.transport =
                                        vg_schema_enum_name(&vg_bench_schema, "transport", options->transport,
                                                            transport, sizeof transport),
                                    .device = bench->device,
                                    .timeout = options->timeout,
                                    .start_timeout = options->timeout};
    VG_TRY(vg_group_open(&place, &group, &bench->group));
    VG_TRY(vg_machine_share_cores((int)options->threads, bench->group));
    if (place.rank == 0) return VG_OK;
    bench->out = NULL;
    bench->json = NULL;
    return VG_OK;
}

static void describe(const vg_bench *bench)
{
    const vg_place *place = vg_group_place(bench->group);
    if (bench->out) {
        fprintf(bench->out, "device %s, backend %s%s\n", bench->device->ops->name, bench->kernels->backend,
                vg_bench_on_host(bench)
                    ? ""
                    : "; times by the host's clock round queued calls and one synchronisation");
        if (place->size > 1)
            fprintf(bench->out, "%d ranks, started by %s, over %s, %d threads each\n", place->size,
                    vg_starter_name(place->starter), vg_group_transport(bench->group), vg_kernels_threads());
    }
    if (!bench->json) return;
    vg_json_put_string(bench->json, "device", bench->device->ops->name);
    vg_json_put_string(bench->json, "backend", bench->kernels->backend);
    vg_json_put_int(bench->json, "threads", vg_kernels_threads());
    vg_json_put_int(bench->json, "ranks", place->size);
    vg_json_put_string(bench->json, "starter", vg_starter_name(place->starter));
    vg_json_put_string(bench->json, "transport", vg_group_transport(bench->group));
}

vg_status vg_bench_open(vg_bench_kind kind, const vg_bench_options *options, FILE *out, vg_json_writer *json,
                        vg_bench *bench)
{
    vg_status status;
    *bench = (vg_bench){.options = options, .out = out, .json = json};
    VG_TRY_OUT(open_group(kind, bench));
    VG_TRY_OUT(vg_kernels_create(bench->device, options->backend, false, &bench->kernels));
    bool host = vg_bench_on_host(bench);
    if (host && (options->precision == VG_BENCH_TF32 ||
                 (options->precision == VG_BENCH_BF16 && !strcmp(bench->kernels->backend, "cpu")))) {
        status = vg_fail(VG_ERR_CONFIG, "the backend %s does not compute in %s; precision=fp32 does",
                         bench->kernels->backend, names[options->precision]);
        goto out;
    }
    if (options->precision != VG_BENCH_AUTO || host) {
        bench->precisions[bench->precision_count++] = host && options->precision == VG_BENCH_AUTO
                                                          ? VG_BENCH_F32
                                                          : (vg_bench_precision)options->precision;
    } else {
        bench->precisions[bench->precision_count++] = VG_BENCH_BF16;
        bench->precisions[bench->precision_count++] = VG_BENCH_F32;
    }
    describe(bench);
out:
    if (status != VG_OK) vg_bench_close(bench, status);
    return status;
}

void vg_bench_close(vg_bench *bench, vg_status status)
{
    vg_kernels_destroy(bench->kernels);
    vg_group_close(bench->group, status);
    vg_device_destroy(bench->device);
    bench->kernels = NULL;
    bench->group = NULL;
    bench->device = NULL;
}
