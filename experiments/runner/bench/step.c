/* Whole pre-training steps: a batch, masks, forward, backward, optimiser. On a GPU the batch is gathered from
 * a corpus that lies there and the passes are replayed from a recording, as the trainer does; a processor
 * uploads. Several ranks have a batch each and sum their gradients as in training; the same steps without the
 * sums tell what of these backward does not hide. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "experiments/runner/bench/bench.h"
#include "experiments/runner/bench/cases.h"
#include "experiments/runner/bench/measure.h"
#include "experiments/runner/training/replay.h"
#include "models/model.h"
#include "models/optimizer.h"
#include "models/parallel.h"

/* A model in training and the batch it is given. */
typedef struct training {
    vg_bench *bench;
    vg_model *model;
    vg_parallel *parallel;
    vg_optimizer *optimizer;
    int64_t batch;
    float *signal;
    int64_t *segments;
    vg_resident corpus; /* unused on the host */
    vg_replay replay;
} training;

/* With sums over the ranks, or without for comparison. */
static vg_status step(training *t, bool sums)
{
    vg_pass pass = {.kind = VG_PASS_TRAIN, .seed = 1};
    vg_model_batch batch;
    VG_TRY(vg_parallel_begin(t->parallel));
    if (vg_bench_on_host(t->bench))
        VG_TRY(vg_model_upload(t->model, t->batch, t->signal, t->segments, NULL, &batch));
    else
        VG_TRY(vg_model_gather(t->model, &t->corpus, t->batch, t->segments, NULL, &batch));
    VG_TRY(vg_replay_pass(&t->replay, t->bench->device, t->model, sums ? t->parallel : NULL, true, &batch,
                          &pass));
    if (sums) VG_TRY(vg_parallel_finish(t->parallel, false));
    return vg_optimizer_step(t->optimizer, 1e-4,
                             sums ? vg_parallel_stats(t->parallel) : vg_model_stats(t->model));
}

static vg_status step_with_sums(void *t, int64_t index)
{
    (void)index;
    return step(t, true);
}

static vg_status step_without(void *t, int64_t index)
{
    (void)index;
    return step(t, false);
}

static void training_free(training *t)
{
    vg_replay_free(&t->replay);
    vg_resident_free(&t->corpus);
    vg_optimizer_destroy(t->optimizer);
    vg_parallel_destroy(t->parallel);
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
    const vg_parallel_options parallel = {.bucket_bytes = (int64_t)(bench->options->bucket_mib * (1 << 20))};
    const int64_t T = config->segment_length, rank = vg_group_rank(bench->group);
    t->signal = malloc((size_t)(batch * T) * sizeof *t->signal);
    t->segments = malloc((size_t)batch * sizeof *t->segments);
    if (!t->signal || !t->segments) return vg_fail(VG_ERR_MEMORY, "no memory for a batch");
    vg_random random = vg_random_make(1, VG_SITE_SYNTHETIC, (uint32_t)rank);
    for (int64_t i = 0; i < batch * T; i++) t->signal[i] = (float)vg_random_normal(&random);
    for (int64_t b = 0; b < batch; b++) t->segments[b] = b;
    if (!vg_bench_on_host(bench)) VG_TRY(place_corpus(t, T)); /* of this rank's batch alone */
    VG_TRY(vg_model_create(bench->kernels, &options, &t->model));
    VG_TRY(vg_parameters_initialize(vg_model_parameters(t->model), 1));
    VG_TRY(vg_parallel_create(bench->kernels, bench->group, t->model, &parallel, &t->parallel));
    return vg_optimizer_create(bench->kernels, vg_model_parameters(t->model), &optimizer, t->parallel,
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

/* What a measurement of steps came to. */
typedef struct outcome {
    vg_bench_model model;
    vg_bench_precision precision;
    int64_t batch, later; /* of a rank; allocations after the first step */
    vg_bench_time time;
    double without; /* seconds of a step that sums nothing over the ranks; NaN: one rank alone */
    double held, flop, floor, loss;
    int64_t reduced; /* bytes summed at each rank */
    bool replayed;
} outcome;

static void tell(const vg_bench *bench, const outcome *o)
{
    const int ranks = vg_group_size(bench->group);
    const double segments_s = (double)(o->batch * ranks) / o->time.median;
    const double flop_s = o->flop / o->time.median, limit = bench->limits.product[o->precision];
    const double share = limit > 0 ? flop_s / limit : NAN, unhidden = 1 - o->without / o->time.median;
    if (bench->out) {
        fprintf(bench->out, "%-6s %-5s %5d %10.3f %5.1f%% %11.1f %8.3f %6.1f%% %9.3f %9.1f %5d\n",
                vg_bench_model_name(o->model), vg_bench_precision_name(o->precision), (int)o->batch,
                o->time.median * 1e3, o->time.spread * 100, segments_s, flop_s * 1e-12, 100 * share,
                o->floor * 1e3, o->held / (1 << 20), (int)o->later);
        if (ranks > 1)
            fprintf(
                bench->out,
                "       %d ranks: %.2f MiB summed at each; without the sums %.3f ms, so %.1f%% of a step is "
                "not hidden\n",
                ranks, (double)o->reduced / (1 << 20), o->without * 1e3, 100 * unhidden);
        fflush(bench->out);
    }
    if (!bench->json) return;
    vg_json_begin_object(bench->json, NULL);
    vg_json_put_string(bench->json, "model", vg_bench_model_name(o->model));
    vg_json_put_string(bench->json, "precision", vg_bench_precision_name(o->precision));
    vg_json_put_int(bench->json, "batch", o->batch);
    vg_bench_time_put(&o->time, bench->json);
    vg_json_put_double(bench->json, "segments_s", segments_s);
    vg_json_put_int(bench->json, "reduced_bytes", o->reduced);
    vg_json_put_double(bench->json, "without_sums", o->without);
    vg_json_put_double(bench->json, "unhidden_share", unhidden);
    vg_json_put_double(bench->json, "flop", o->flop);
    vg_json_put_double(bench->json, "product_share", share);
    vg_json_put_double(bench->json, "floor_seconds", o->floor);
    vg_json_put_double(bench->json, "device_bytes", o->held);
    vg_json_put_int(bench->json, "later_allocations", o->later);
    vg_json_put_bool(bench->json, "replayed", o->replayed);
    vg_json_put_double(bench->json, "loss", o->loss);
    vg_json_end(bench->json);
}

static vg_status read_loss(training *t, double *loss)
{
    double sum, masked;
    VG_TRY(vg_model_read_stats(t->model, &sum, &masked));
    if (!isfinite(sum) || !(masked > 0))
        return vg_fail(VG_ERR_NUMERIC, "the loss of the last step is not finite, or nothing was masked");
    *loss = sum / masked;
    return VG_OK;
}

static vg_status run_step(vg_bench *bench, vg_bench_model model, vg_bench_precision precision)
{
    const vg_model_config config = vg_bench_model_config(model);
    outcome o = {.model = model, .precision = precision, .without = NAN};
    training t;
    vg_status status;
    const uint64_t before = bench->device->bytes;
    o.batch = bench->options->batch      ? bench->options->batch
              : !vg_bench_on_host(bench) ? 32
              : model == VG_BENCH_SMALL  ? 16
                                         : 8;
    bench->kernels->tf32 = precision == VG_BENCH_TF32;
    VG_TRY_OUT(training_make(bench, &config, vg_bench_dtype(precision), o.batch, &t));
    VG_TRY_OUT(step(&t, true));
    VG_TRY_OUT(vg_group_synchronize(bench->group));
    const uint64_t allocations = bench->device->allocations;
    vg_bench_task tasks[2] = {{.device = bench->device,
                               .group = bench->group,
                               .call = step_with_sums,
                               .context = &t,
                               .samples = (int)bench->options->samples,
                               .least_seconds = bench->options->sample_ms * 1e-3}};
    vg_bench_time times[2];
    const int count = vg_group_size(bench->group) > 1 ? 2 : 1;
    tasks[1] = tasks[0];
    tasks[1].call = step_without;
    VG_TRY_OUT(vg_bench_measure_in_turn(tasks, count, times));
    VG_TRY_OUT(read_loss(&t, &o.loss));
    o.time = times[0];
    if (count > 1) o.without = times[1].median;
    o.later = (int64_t)(bench->device->allocations - allocations);
    o.held = (double)(bench->device->bytes - before);
    o.reduced = vg_parallel_step_bytes(t.parallel);
    o.replayed = t.replay.recording[0] || t.replay.recording[1];
    add_up(bench, &config, o.batch, precision, &o.flop, &o.floor);
    tell(bench, &o);
    if (o.later)
        status =
            vg_fail(VG_ERR_MEMORY,
                    "%" PRId64 " allocations after the first step of the %s model in %s; there must be none",
                    o.later, vg_bench_model_name(model), vg_bench_precision_name(precision));
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
