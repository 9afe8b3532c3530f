/* Every operation of kernels.def at the sizes of a model, one by one. */
#include <math.h>
#include <string.h>

#include "experiments/runner/bench/bench.h"
#include "experiments/runner/bench/cases.h"
#include "experiments/runner/bench/measure.h"

/* More than the caches of today's GPUs (60 MB) and processors hold. */
static size_t rotation(const vg_bench *bench)
{
    return (size_t)(vg_bench_on_host(bench) ? 64 : 256) << 20;
}

static double share(double rate, double limit)
{
    return limit > 0 ? rate / limit : NAN;
}

static void tell(const vg_bench *bench, const vg_bench_case *c, vg_bench_precision precision,
                 const vg_bench_time *time, vg_bench_cost cost, int sets)
{
    const double bytes_s = cost.bytes / time->median, flop_s = cost.flop / time->median;
    const double of_copy = share(bytes_s, bench->limits.copy);
    const double of_product = cost.flop > 0 ? share(flop_s, bench->limits.product[precision]) : NAN;
    if (bench->out) {
        fprintf(bench->out, "%-28s %-17s %3d %10.4f %5.1f%% %8.1f", vg_kernel_name(c->id), c->name, c->times,
                time->median * 1e3, time->spread * 100, bytes_s * 1e-9);
        if (cost.flop > 0)
            fprintf(bench->out, " %9.3f", flop_s * 1e-12);
        else
            fprintf(bench->out, " %9s", "");
        if (bench->limits.copy > 0) fprintf(bench->out, " %6.1f%%", of_copy * 100);
        if (isfinite(of_product)) fprintf(bench->out, " %6.1f%%", of_product * 100);
        const char *server = bench->kernels->served_by[c->id];
        if (strcmp(server, bench->kernels->backend)) fprintf(bench->out, "  by %s", server);
        fprintf(bench->out, "\n");
        fflush(bench->out);
    }
    if (!bench->json) return;
    vg_json_begin_object(bench->json, NULL);
    vg_json_put_string(bench->json, "op", vg_kernel_name(c->id));
    vg_json_put_string(bench->json, "case", c->name);
    vg_json_put_string(bench->json, "precision", vg_bench_precision_name(precision));
    vg_json_put_string(bench->json, "served_by", bench->kernels->served_by[c->id]);
    vg_json_put_int(bench->json, "times", c->times);
    vg_bench_time_put(time, bench->json);
    vg_json_put_int(bench->json, "calls", time->calls);
    vg_json_put_int(bench->json, "samples", time->samples);
    vg_json_put_int(bench->json, "sets", sets);
    vg_json_put_double(bench->json, "bytes", cost.bytes);
    vg_json_put_double(bench->json, "flop", cost.flop);
    vg_json_put_double(bench->json, "copy_share", of_copy);
    vg_json_put_double(bench->json, "product_share", of_product);
    vg_json_end(bench->json);
}

static vg_status run_case(vg_bench *bench, const vg_bench_case *c, vg_bench_precision precision,
                          double *seconds)
{
    const vg_dtype dtype = vg_bench_dtype(precision);
    vg_bench_operands *operands;
    vg_bench_time time;
    VG_TRY(vg_bench_operands_create(bench->kernels, c->id, &c->shape, dtype, rotation(bench), &operands));
    vg_bench_task task = {.device = bench->device,
                          .call = vg_bench_operands_call,
                          .restore = vg_bench_operands_restore,
                          .context = operands,
                          .samples = (int)bench->options->samples,
                          .least_seconds = bench->options->sample_ms * 1e-3};
    vg_status status = vg_bench_measure(&task, &time);
    if (status == VG_OK) {
        tell(bench, c, precision, &time, vg_bench_cost_of(c->id, &c->shape, dtype),
             vg_bench_operands_sets(operands));
        *seconds += time.median * c->times;
    }
    vg_bench_operands_destroy(operands);
    return status;
}

static bool wanted(const vg_bench *bench, const vg_bench_case *c)
{
    char name[128];
    snprintf(name, sizeof name, "%s %s", vg_kernel_name(c->id), c->name);
    return !bench->options->only || strstr(name, bench->options->only);
}

vg_status vg_bench_ops(vg_bench *bench)
{
    const vg_bench_model model = bench->options->model == 2 ? VG_BENCH_SMALL : VG_BENCH_PAPER;
    const vg_model_config config = vg_bench_model_config(model);
    const int64_t batch = bench->options->batch      ? bench->options->batch
                          : !vg_bench_on_host(bench) ? 32
                          : model                    ? 16
                                                     : 8;
    vg_bench_case cases[VG_BENCH_MAX_CASES];
    const int count = vg_bench_cases(&config, batch, false, cases);
    int done = 0;
    if (bench->json) {
        vg_json_put_string(bench->json, "model", vg_bench_model_name(model));
        vg_json_put_int(bench->json, "batch", batch);
        vg_json_begin_array(bench->json, "results");
    }
    double seconds[2] = {0};
    for (int p = 0; p < bench->precision_count; p++) {
        const vg_bench_precision precision = bench->precisions[p];
        bench->kernels->tf32 = precision == VG_BENCH_TF32;
        if (bench->out)
            fprintf(bench->out, "\n%s, the %s model, batch %d\n%-28s %-17s %3s %10s %6s %8s %9s %7s %7s\n",
                    vg_bench_precision_name(precision), vg_bench_model_name(model), (int)batch, "operation",
                    "", "a", "median ms", "spread", "GB/s", "TFLOP/s", "copy", "product");
        for (int i = 0; i < count; i++) {
            if (!wanted(bench, &cases[i])) continue;
            VG_TRY(run_case(bench, &cases[i], precision, &seconds[p]));
            done++;
        }
        if (bench->out && !bench->options->only)
            fprintf(bench->out, "a pre-training step, its operations added up: %.3f ms\n", seconds[p] * 1e3);
    }
    if (bench->json) {
        vg_json_end(bench->json);
        vg_json_begin_object(bench->json, "step_seconds");
        for (int p = 0; p < bench->precision_count && !bench->options->only; p++)
            vg_json_put_double(bench->json, vg_bench_precision_name(bench->precisions[p]), seconds[p]);
        vg_json_end(bench->json);
    }
    if (!done)
        return vg_fail(VG_ERR_CONFIG, "only=%s: no case has such a name; without 'only' all are listed",
                       bench->options->only);
    return VG_OK;
}
