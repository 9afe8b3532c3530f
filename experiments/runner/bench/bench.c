#include "experiments/runner/bench/bench.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

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

vg_status vg_bench_open(const vg_bench_options *options, FILE *out, vg_json_writer *json, vg_bench *bench)
{
    vg_status status;
    *bench = (vg_bench){.options = options, .out = out, .json = json};
    vg_kernels_set_threads((int)options->threads);
    VG_TRY(vg_device_open(options->device, &bench->device));
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
    if (out)
        fprintf(out, "device %s, backend %s%s\n", bench->device->ops->name, bench->kernels->backend,
                host ? "" : "; times by the host's clock round queued calls and one synchronisation");
    if (json) {
        vg_json_put_string(json, "device", bench->device->ops->name);
        vg_json_put_string(json, "backend", bench->kernels->backend);
        vg_json_put_int(json, "threads", vg_kernels_threads());
    }
out:
    if (status != VG_OK) vg_bench_close(bench);
    return status;
}

void vg_bench_close(vg_bench *bench)
{
    vg_kernels_destroy(bench->kernels);
    vg_device_destroy(bench->device);
    bench->kernels = NULL;
    bench->device = NULL;
}
