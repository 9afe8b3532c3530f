#include "experiments/runner/plan/estimate.h"

#include <math.h>

const char *vg_plan_limit_name(vg_plan_limit limit)
{
    static const char *const names[] = {"compute", "batch", "all-reduce", "loader", "memory"};
    return names[limit];
}

static int64_t ceil_div(int64_t a, int64_t b)
{
    return a / b + (a % b != 0);
}

/* A micro-batch over and over, and what is left of the share. */
static void add_passes(const vg_plan_case *asked, vg_plan_estimate *e, double *last_backward)
{
    const bool frozen = asked->experiment->train.freeze_encoder;
    const int64_t full = e->share / e->micro, rest = e->share % e->micro;
    const vg_plan_work work = vg_plan_count_work(asked->model, asked->rates, e->micro, frozen);
    const vg_plan_work left =
        rest ? vg_plan_count_work(asked->model, asked->rates, rest, frozen) : (vg_plan_work){0};
    double seconds[VG_PLAN_PASSES], busy = 0;
    for (int pass = 0; pass < VG_PLAN_OPTIMIZER; pass++) {
        seconds[pass] = (double)full * work.seconds[pass] + left.seconds[pass];
        busy += (double)full * work.busy[pass] + left.busy[pass];
    }
    /* The norm and the update run over this rank's pieces. */
    const double owners = asked->experiment->parallel.shard_optimizer ? (double)asked->gpus : 1;
    const double update = work.busy[VG_PLAN_OPTIMIZER] / owners;
    e->optimizer = fmax(update, 2 * asked->rates->operation);
    e->forward = seconds[VG_PLAN_FORWARD];
    e->backward = seconds[VG_PLAN_BACKWARD];
    e->least = e->forward + e->backward - busy + e->optimizer - update;
    *last_backward = rest ? left.seconds[VG_PLAN_BACKWARD] : work.seconds[VG_PLAN_BACKWARD];
}

/* The ring passes every node once each way, whatever number of GPUs and adapters it has there. */
static double ring_rate(const vg_plan_rates *rates, int64_t gpus)
{
    return gpus <= rates->per_node ? rates->link : fmin(rates->link, rates->network);
}

/* A ring carries the least bytes; a tree takes fewer hops, which NCCL chooses when that is faster. */
static double all_reduce(const vg_plan_rates *rates, int64_t gpus, double bytes)
{
    const double R = (double)gpus, rate = ring_rate(rates, gpus);
    if (gpus == 1) return 0;
    const double ring = 2 * (R - 1) / R * bytes / rate + 2 * (R - 1) * rates->latency;
    const double tree = 2 * bytes / rate + 2 * ceil(log2(R)) * rates->latency;
    return rates->on_host ? ring : fmin(ring, tree);
}

/* Either half of a ring's all-reduce: reduce-scatter, or all-gather. */
static double half_ring(const vg_plan_rates *rates, int64_t gpus, double bytes)
{
    const double R = (double)gpus;
    return (R - 1) / R * bytes / ring_rate(rates, gpus) + (R - 1) * rates->latency;
}

/* Buckets become ready one after the other while the last backward runs, and travel one after the other: they
 * end when the last one has travelled after backward, or when all have after the first one was ready. Vectors
 * lie behind the matrices in a slab and are the bucket that is complete last: few bytes, so that only its
 * hops count. */
static void add_collectives(const vg_plan_case *asked, double last_backward, vg_plan_estimate *e)
{
    const vg_plan_rates *rates = asked->rates;
    const int64_t R = asked->gpus;
    const bool sharded = asked->experiment->parallel.shard_optimizer;
    if (R == 1) return;
    const double most = asked->experiment->parallel.bucket_mib * (1 << 20);
    const double k = fmax(1, fmin(ceil(e->memory.gradients / most), (double)asked->matrices));
    const double bytes = e->memory.gradients / k;
    const double one = sharded ? half_ring(rates, R, bytes) : all_reduce(rates, R, bytes);
    /* Vectors; the loss, its count and whether to stop. */
    const double small = all_reduce(rates, R, 0) + all_reduce(rates, R, 24);
    double gather = 0;
    e->reduced_bytes = e->memory.gradients;
    e->buckets = (int64_t)k + 1;
    e->ring = ring_rate(rates, R);
    if (sharded) {
        e->gathered_bytes = e->memory.values;
        /* Its values, those of the vectors, and before the update the norm of all pieces together. */
        gather =
            k * half_ring(rates, R, e->gathered_bytes / k) + half_ring(rates, R, 0) + all_reduce(rates, R, 8);
    }
    e->collectives = k * one + small + gather;
    e->exposed = fmax(one, k * one - last_backward * (k - 1) / k) + small + gather;
}

static vg_plan_limit limit_of(const vg_plan_case *asked, const vg_plan_estimate *e)
{
    if (e->memory.total > asked->rates->memory_size) return VG_PLAN_LIMIT_MEMORY;
    if (e->gpus > e->batch || (asked->data->known && e->batch > asked->data->train))
        return VG_PLAN_LIMIT_BATCH;
    const double computing = e->forward + e->backward + e->optimizer;
    const double parts[] = {[VG_PLAN_LIMIT_COMPUTE] = computing - e->least,
                            [VG_PLAN_LIMIT_BATCH] = e->least,
                            [VG_PLAN_LIMIT_ALL_REDUCE] = e->exposed,
                            [VG_PLAN_LIMIT_LOADER] = e->loader - computing - e->exposed};
    int largest = VG_PLAN_LIMIT_COMPUTE;
    for (int i = 0; i <= VG_PLAN_LIMIT_LOADER; i++)
        if (parts[i] > parts[largest]) largest = i;
    return (vg_plan_limit)largest;
}

/* Epochs, as the trainer counts them: an incomplete last batch is left out, unless it is the only one. */
static void add_run(const vg_plan_case *asked, vg_plan_estimate *e)
{
    const vg_experiment *x = asked->experiment;
    const vg_plan_data *data = asked->data;
    if (!data->known) return;
    e->steps_per_epoch = data->train > e->batch ? data->train / e->batch : 1;
    e->steps = x->train.epochs * e->steps_per_epoch;
    if (x->train.max_steps && x->train.max_steps < e->steps) e->steps = x->train.max_steps;
    const int64_t epochs = ceil_div(e->steps, e->steps_per_epoch);
    e->training = (double)e->steps * e->step;
    if (data->validation) {
        /* Before the first step, every so many epochs, and after the last one. */
        e->validations = 1 + ceil_div(epochs, x->train.validate_every);
        const int64_t most = ceil_div(data->validation, e->gpus);
        const vg_plan_work work = vg_plan_count_work(asked->model, asked->rates, e->micro, false);
        e->validation =
            (double)e->validations * (double)ceil_div(most, e->micro) * work.seconds[VG_PLAN_FORWARD];
    }
    e->seconds = e->training + e->validation;
}

vg_status vg_plan_estimate_make(const vg_plan_case *asked, vg_plan_estimate *out)
{
    const vg_experiment *x = asked->experiment;
    const vg_plan_rates *rates = asked->rates;
    const double segment_bytes = (double)asked->model->config.segment_length * 4;
    int64_t batch = asked->batch;
    vg_model_options model = *asked->model;
    vg_plan_case own = *asked;
    double last_backward;
    if (asked->data->known && batch > asked->data->train) batch = asked->data->train; /* no batch is fuller */
    *out = (vg_plan_estimate){.gpus = asked->gpus, .batch = asked->batch};
    out->share = ceil_div(batch, asked->gpus);
    out->micro =
        x->train.micro_batch && x->train.micro_batch < out->share ? x->train.micro_batch : out->share;
    model.max_batch = out->micro;
    model.optimizer_ranks = x->parallel.shard_optimizer ? (int)asked->gpus : 1;
    own.model = &model;
    VG_TRY(vg_plan_measure(&model, rates, asked->data->bytes, &out->memory));
    add_passes(&own, out, &last_backward);
    add_collectives(&own, last_backward, out);
    if (!out->memory.corpus) out->loader = (double)out->share * segment_bytes / rates->loader;
    const double computing = out->forward + out->backward + out->optimizer + out->exposed;
    out->step = fmax(computing, out->loader);
    out->segments_s = (double)batch / out->step;
    out->loader_bytes = out->segments_s * (out->memory.corpus ? 8 : segment_bytes);
    out->limit = limit_of(asked, out);
    add_run(&own, out);
    return VG_OK;
}
