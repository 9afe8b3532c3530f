/* Whole pre-training steps: a batch, masks, forward, backward, optimiser. On a GPU the batch is gathered from
 * a corpus that lies there and the passes are replayed from a recording, as the trainer does; a processor
 * uploads. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "experiments/runner/bench/bench.h"
#include "experiments/runner/bench/cases.h"
#include "experiments/runner/bench/measure.h"
#include "experiments/runner/training/replay.h"
#include "models/model.h"
#include "models/optimizer.h"

/* A model in training and the batch it is given. */
typedef struct training {
    vg_bench *bench;
    vg_model *model;
    vg_optimizer *optimizer;
    int64_t batch;
    float *signal;
    int64_t *segments;
    vg_resident corpus; /* unused on the host */
    vg_replay replay;
} training;

static vg_status step(void *context, int64_t index)
{
    training *t = context;
    vg_pass pass = {.kind = VG_PASS_TRAIN, .seed = 1};
    vg_model_batch batch;
    (void)index;
    VG_TRY(vg_model_zero_gradients(t->model));
    if (vg_bench_on_host(t->bench))
        VG_TRY(vg_model_upload(t->model, t->batch, t->signal, t->segments, NULL, &batch));
    else
        VG_TRY(vg_model_gather(t->model, &t->corpus, t->batch, t->segments, NULL, &batch));
    VG_TRY(vg_replay_pass(&t->replay, t->bench->device, t->model, NULL, false, &batch, &pass));
    return vg_optimizer_step(t->optimizer, 1e-4, vg_model_stats(t->model));
}

static void training_free(training *t)
{
    vg_replay_free(&t->replay);
    vg_resident_free(&t->corpus);
    vg_optimizer_destroy(t->optimizer);
    vg_model_destroy(t->model);
    free(t->signal);
    free(t->segments);
}

/* The batch's signal as a corpus on the device, normalised by nothing. */
static vg_status place_corpus(training *t, int64_t T)
{
    int64_t *start = malloc((size_t)t->batch * sizeof *start);
    double *mean = calloc((size_t)t->batch, sizeof *mean), *scale = malloc((size_t)t->batch * sizeof *scale);
    vg_status status = VG_OK;
    if (!start || !mean || !scale) status = vg_fail(VG_ERR_MEMORY, "no memory for a corpus");
    for (int64_t b = 0; b < t->batch && status == VG_OK; b++) {
        start[b] = b * T;
        scale[b] = 1;
    }
    vg_resident_source source = {.signal = t->signal,
                                 .sample_count = t->batch * T,
                                 .start = start,
                                 .mean = mean,
                                 .scale = scale,
                                 .segment_count = t->batch,
                                 .segment_length = T};
    if (status == VG_OK) status = vg_resident_init(t->bench->device, &source, &t->corpus);
    free(start);
    free(mean);
    free(scale);
    return status;
}

static vg_status training_make(vg_bench *bench, const vg_model_config *config, vg_dtype dtype, int64_t batch,
                               training *t)
{
    *t = (training){.bench = bench, .batch = batch};
    vg_model_options options = {.config = *config,
                                .masking = vg_masking_config_default(),
                                .head = VG_HEAD_RECONSTRUCTION,
                                .max_batch = batch,
                                .training = true,
                                .dtype = dtype};
    vg_optimizer_config optimizer = vg_optimizer_config_default();
    const int64_t T = config->segment_length;
    t->signal = malloc((size_t)(batch * T) * sizeof *t->signal);
    t->segments = malloc((size_t)batch * sizeof *t->segments);
    if (!t->signal || !t->segments) return vg_fail(VG_ERR_MEMORY, "no memory for a batch");
    vg_random random = vg_random_make(1, VG_SITE_SYNTHETIC, 0);
    for (int64_t i = 0; i < batch * T; i++) t->signal[i] = (float)vg_random_normal(&random);
    for (int64_t b = 0; b < batch; b++) t->segments[b] = b;
    if (!vg_bench_on_host(bench)) VG_TRY(place_corpus(t, T));
    VG_TRY(vg_model_create(bench->kernels, &options, &t->model));
    VG_TRY(vg_parameters_initialize(vg_model_parameters(t->model), 1));
    return vg_optimizer_create(bench->kernels, vg_model_parameters(t->model), &optimizer, NULL,
                               &t->optimizer);
}

/* FLOP of a step, and the least time that it could take here if every operation reached a ceiling. */
static void add_up(const vg_bench *bench, const vg_model_config *config, int64_t batch,
                   vg_bench_precision precision, double *flop, double *floor)
{
    vg_bench_case cases[VG_BENCH_MAX_CASES];
    const int count = vg_bench_cases(config, batch, false, cases);
    *flop = *floor = 0;
    for (int i = 0; i < count; i++) {
        vg_bench_cost cost = vg_bench_cost_of(cases[i].id, &cases[i].shape, vg_bench_dtype(precision));
        *flop += cost.flop * cases[i].times;
        *floor += cases[i].times *
                  fmax(cost.bytes / bench->limits.copy, cost.flop / bench->limits.product[precision]);
    }
    if (!bench->options->ceilings) *floor = NAN;
}

static vg_status run_step(vg_bench *bench, vg_bench_model model, vg_bench_precision precision)
{
    const vg_model_config config = vg_bench_model_config(model);
    const int64_t batch = bench->options->batch      ? bench->options->batch
                          : !vg_bench_on_host(bench) ? 32
                          : model == VG_BENCH_SMALL  ? 16
                                                     : 8;
    training t;
    vg_bench_time time;
    vg_status status;
    const uint64_t before = bench->device->bytes;
    bench->kernels->tf32 = precision == VG_BENCH_TF32;
    VG_TRY_OUT(training_make(bench, &config, vg_bench_dtype(precision), batch, &t));
    VG_TRY_OUT(step(&t, 0));
    VG_TRY_OUT(vg_device_synchronize(bench->device));
    const uint64_t allocations = bench->device->allocations;
    vg_bench_task task = {.device = bench->device,
                          .call = step,
                          .context = &t,
                          .samples = (int)bench->options->samples,
                          .least_seconds = bench->options->sample_ms * 1e-3};
    VG_TRY_OUT(vg_bench_measure(&task, &time));
    const uint64_t later = bench->device->allocations - allocations;
    const double held = (double)(bench->device->bytes - before), segments_s = (double)batch / time.median;
    double sum, masked, flop, floor;
    VG_TRY_OUT(vg_model_read_stats(t.model, &sum, &masked));
    if (!isfinite(sum) || !(masked > 0)) {
        status = vg_fail(VG_ERR_NUMERIC, "the loss of the last step is not finite, or nothing was masked");
        goto out;
    }
    add_up(bench, &config, batch, precision, &flop, &floor);
    const double flop_s = flop / time.median, limit = bench->limits.product[precision];
    if (bench->out) {
        fprintf(bench->out, "%-6s %-5s %5d %10.3f %5.1f%% %11.1f %8.3f %6.1f%% %9.3f %9.1f %5d\n",
                vg_bench_model_name(model), vg_bench_precision_name(precision), (int)batch, time.median * 1e3,
                time.spread * 100, segments_s, flop_s * 1e-12, limit > 0 ? 100 * flop_s / limit : NAN,
                floor * 1e3, held / (1 << 20), (int)later);
        fflush(bench->out);
    }
    if (bench->json) {
        vg_json_begin_object(bench->json, NULL);
        vg_json_put_string(bench->json, "model", vg_bench_model_name(model));
        vg_json_put_string(bench->json, "precision", vg_bench_precision_name(precision));
        vg_json_put_int(bench->json, "batch", batch);
        vg_json_put_double(bench->json, "seconds", time.median);
        vg_json_put_double(bench->json, "least", time.least);
        vg_json_put_double(bench->json, "most", time.most);
        vg_json_put_double(bench->json, "spread", time.spread);
        vg_json_put_double(bench->json, "segments_s", segments_s);
        vg_json_put_double(bench->json, "flop", flop);
        vg_json_put_double(bench->json, "product_share", limit > 0 ? flop_s / limit : NAN);
        vg_json_put_double(bench->json, "floor_seconds", floor);
        vg_json_put_double(bench->json, "device_bytes", held);
        vg_json_put_int(bench->json, "later_allocations", (int64_t)later);
        vg_json_put_bool(bench->json, "replayed", t.replay.recording[0] != NULL);
        vg_json_put_double(bench->json, "loss", sum / masked);
        vg_json_end(bench->json);
    }
    if (later)
        status =
            vg_fail(VG_ERR_MEMORY,
                    "%" PRIu64 " allocations after the first step of the %s model in %s; there must be none",
                    later, vg_bench_model_name(model), vg_bench_precision_name(precision));
out:
    training_free(&t);
    return status;
}

vg_status vg_bench_step(vg_bench *bench)
{
    if (bench->out)
        fprintf(bench->out, "\n%-6s %-5s %5s %10s %6s %11s %8s %7s %9s %9s %5s\n", "model", "", "batch",
                "median ms", "spread", "segments/s", "TFLOP/s", "product", "floor ms", "MiB", "later");
    if (bench->json) vg_json_begin_array(bench->json, "results");
    vg_status status = VG_OK;
    for (int model = 0; model < VG_BENCH_MODELS; model++) {
        if (bench->options->model && bench->options->model - 1 != model) continue;
        for (int p = 0; p < bench->precision_count && status == VG_OK; p++)
            status = run_step(bench, (vg_bench_model)model, bench->precisions[p]);
    }
    if (bench->json) vg_json_end(bench->json);
    if (bench->out && status == VG_OK)
        fprintf(bench->out,
                "floor: every operation at the nearer of the two ceilings. MiB: held on the device "
                "while it runs. later: allocations after the first step\n");
    return status;
}
