/* What this machine can do at most, measured in the very run that tells shares of it: a large copy from
 * device memory to device memory, and a large matrix product through the project's own linear_forward. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "experiments/runner/bench/bench.h"
#include "experiments/runner/bench/measure.h"
#include "experiments/runner/bench/operands.h"

enum { MAX_THREADS = 256 };

/* Two halves of one piece of device memory. */
typedef struct copying {
    vg_device *device;
    char *from, *to;
    size_t bytes;
    int threads;
} copying;

static vg_status copy_on_device(void *context, int64_t index)
{
    const copying *c = context;
    (void)index;
    return vg_device_copy(c->device, c->to, c->from, c->bytes, VG_COPY_ON_DEVICE);
}

/* One core alone does not fill a processor's memory bus. */
static void *copy_part(void *part)
{
    const copying *c = part;
    memcpy(c->to, c->from, c->bytes);
    return NULL;
}

static vg_status copy_on_host(void *context, int64_t index)
{
    const copying *c = context;
    pthread_t threads[MAX_THREADS];
    copying parts[MAX_THREADS];
    int count = c->threads < MAX_THREADS ? c->threads : MAX_THREADS, started = 0;
    size_t share = c->bytes / (size_t)count / 64 * 64;
    (void)index;
    for (int i = 0; i < count; i++) {
        size_t first = (size_t)i * share;
        parts[i] = (copying){
            .from = c->from + first, .to = c->to + first, .bytes = i + 1 < count ? share : c->bytes - first};
        if (i + 1 == count || pthread_create(&threads[i], NULL, copy_part, &parts[i])) {
            copy_part(&parts[i]);
            continue;
        }
        threads[started++] = threads[i];
    }
    for (int i = 0; i < started; i++) pthread_join(threads[i], NULL);
    return VG_OK;
}

static vg_status measure_copy(vg_bench *bench)
{
    const bool host = vg_bench_on_host(bench);
    const size_t bytes = (size_t)(host ? 64 : 1024) << 20;
    void *memory;
    VG_TRY(vg_device_allocate(bench->device, 2 * bytes, &memory));
    copying c = {.device = bench->device,
                 .from = memory,
                 .to = (char *)memory + bytes,
                 .bytes = bytes,
                 .threads = vg_kernels_threads()};
    vg_bench_task task = {.device = bench->device,
                          .call = host ? copy_on_host : copy_on_device,
                          .context = &c,
                          .samples = (int)bench->options->samples,
                          .least_seconds = bench->options->sample_ms * 1e-3};
    vg_bench_time time;
    vg_status status = vg_device_zero(bench->device, memory, 2 * bytes);
    if (status == VG_OK) status = vg_bench_measure(&task, &time);
    vg_device_release(bench->device, memory, 2 * bytes);
    if (status == VG_OK) bench->limits.copy = 2 * (double)bytes / time.median;
    return status;
}

static vg_status measure_product(vg_bench *bench, vg_bench_precision precision)
{
    const int64_t n = vg_bench_on_host(bench) ? 1536 : 8192;
    const vg_bench_shape shape = {.B = 1, .R = n, .I = n, .O = n};
    const vg_dtype dtype = vg_bench_dtype(precision);
    vg_bench_operands *operands;
    vg_bench_time time;
    bench->kernels->tf32 = precision == VG_BENCH_TF32;
    VG_TRY(vg_bench_operands_create(bench->kernels, VG_KERNEL_linear_forward, &shape, dtype, 1, &operands));
    vg_bench_task task = {.device = bench->device,
                          .call = vg_bench_operands_call,
                          .context = operands,
                          .samples = (int)bench->options->samples,
                          .least_seconds = bench->options->sample_ms * 1e-3};
    vg_status status = vg_bench_measure(&task, &time);
    vg_bench_operands_destroy(operands);
    if (status == VG_OK)
        bench->limits.product[precision] =
            vg_bench_cost_of(VG_KERNEL_linear_forward, &shape, dtype).flop / time.median;
    return status;
}

vg_status vg_bench_ceilings(vg_bench *bench)
{
    if (!bench->options->ceilings) return VG_OK;
    VG_TRY(measure_copy(bench));
    for (int i = 0; i < bench->precision_count; i++) VG_TRY(measure_product(bench, bench->precisions[i]));
    if (bench->out) {
        fprintf(bench->out, "ceilings measured here: copy %.1f GB/s (read and written)",
                bench->limits.copy * 1e-9);
        for (int i = 0; i < bench->precision_count; i++)
            fprintf(bench->out, ", %s product %.2f TFLOP/s", vg_bench_precision_name(bench->precisions[i]),
                    bench->limits.product[bench->precisions[i]] * 1e-12);
        fprintf(bench->out, "\n");
        fflush(bench->out);
    }
    if (bench->json) {
        vg_json_begin_object(bench->json, "ceilings");
        vg_json_put_double(bench->json, "copy_bytes_s", bench->limits.copy);
        for (int i = 0; i < bench->precision_count; i++) {
            char key[32];
            snprintf(key, sizeof key, "%s_flop_s", vg_bench_precision_name(bench->precisions[i]));
            vg_json_put_double(bench->json, key, bench->limits.product[bench->precisions[i]]);
        }
        vg_json_end(bench->json);
    }
    return VG_OK;
}
