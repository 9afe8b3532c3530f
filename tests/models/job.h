/* What a rank of a data parallel training does in tests, and what the test makes of it: a job says how to
 * train and what to save, load or spoil; job_run() has it done by so many ranks, each a process.
 *
 * Dropout is on, so segments must keep their numbers whoever computes them. The optimiser's epsilon is large,
 * since some gradients (the attention's key bias) are zero but for rounding, which Adam would make into whole
 * steps. */
#ifndef VAGUS_TESTS_MODELS_JOB_H
#define VAGUS_TESTS_MODELS_JOB_H

#include "tests/models/ranks.h"
#include "tests/models/tiny.h"

enum { BATCH = 7 };

/* What the ranks are to do; all int, so that it travels as text. */
typedef struct job {
    int gpu;         /* on device cuda:RANK, as tests/cuda emulates it; passes are recorded and replayed */
    int dtype, fast; /* backend cpu, else ref */
    int head, pre_norm, learned, frozen, clip;
    int sharded, bucket_bytes, micro; /* largest micro-batch */
    int shares[4];                    /* of the batch, in order of ranks */
    int first, steps;
    int save, load;           /* after the last step, before the first */
    int stop_rank, stop_step; /* who is asked to stop, in which step; -1: nobody */
    int corrupt;              /* whose weights are spoilt in the end; -1: nobody's */
} job;
enum { JOB_INTS = sizeof(job) / sizeof(int) };

/* Of a rank: what it saw of every step, the gradients of the first, and the weights in the end. */
typedef struct outcome {
    double *all;
    int steps;
    const double *loss, *norm, *gradients, *weights;
    int64_t count; /* of gradients and of weights */
} outcome;

static inline job job_plain(int ranks)
{
    static const int shares[5][4] = {{0}, {7}, {4, 3}, {3, 3, 1}, {4, 1, 0, 2}};
    job j = {.dtype = VG_F32, .micro = ranks > 1 ? 3 : BATCH, .bucket_bytes = 1500, .steps = 6};
    j.stop_rank = j.corrupt = -1;
    memcpy(j.shares, shares[ranks], sizeof j.shares);
    return j;
}

/* ---- A rank -----------------------------------------------------------------------------------------------
 */

static inline vg_model_options job_options(const job *j)
{
    vg_model_options o = tiny_options((vg_head_kind)j->head);
    o.dtype = (vg_dtype)j->dtype;
    o.max_batch = j->micro;
    o.config.norm = j->pre_norm;
    o.config.position = j->learned ? VG_POSITION_LEARNED : VG_POSITION_SINUSOIDAL;
    o.masking.fill = j->learned ? VG_MASK_LEARNED : VG_MASK_ZERO;
    /* Large enough for pieces among four ranks, small enough for plain loops. */
    o.config.conv_channels = (vg_config_list){2, {10, 16}};
    o.config.conv_kernels = (vg_config_list){2, {9, 5}};
    o.config.d_model = 16;
    o.config.feedforward = 37;
    vg_model_config_set_dropout(&o.config, 0.1);
    return o;
}

static inline vg_optimizer_config job_rule(const job *j)
{
    vg_optimizer_config rule = vg_optimizer_config_default();
    rule.epsilon = 1e-3;
    rule.decay_matrices_only = true;
    rule.clip_norm = j->clip ? 0.02 : 0;
    if (j->frozen) rule.frozen_prefix = "encoder.";
    return rule;
}

static inline void job_path(char out[512], const char *where, const char *name)
{
    snprintf(out, 512, "%s/%s", where, name);
}

typedef struct worker {
    const job *j;
    tiny_bench bench;
    vg_group *group;
    vg_model *model;
    vg_parallel *parallel;
    vg_optimizer *optimizer;
    vg_recording *recording; /* of the last backward of a step */
    FILE *out;
} worker;

static inline void worker_put(const worker *w, const double *values, int64_t count)
{
    assert_int_equal(fwrite(values, sizeof *values, (size_t)count, w->out), count);
}

static inline void worker_put_flat(const worker *w, vg_tensor flat)
{
    vg_parameters *parameters = vg_model_parameters(w->model);
    int64_t count = vg_tensor_count(&flat);
    double *wide = malloc((size_t)count * sizeof *wide);
    float *narrow = malloc((size_t)count * sizeof *narrow);
    assert_ok(vg_parameters_get(parameters, &flat, parameters->stored == VG_F64 ? (void *)wide : narrow));
    if (parameters->stored == VG_F32)
        for (int64_t i = 0; i < count; i++) wide[i] = (double)narrow[i];
    worker_put(w, wide, count);
    free(wide);
    free(narrow);
}

/* Forward and backward. On a GPU a step's last are recorded in the second step and replayed from then on, as
 * the trainer does: their epoch is in the recording. */
static inline void worker_pass(worker *w, const vg_model_batch *batch, int index, bool last)
{
    const job *j = w->j;
    vg_device *device = w->bench.device;
    vg_pass pass = {VG_PASS_TRAIN, 5, (uint32_t)(j->gpu ? 0 : j->first + index)};
    bool recorded = j->gpu && last && index > 0;
    if (w->recording && recorded) {
        vg_parallel_replayed(w->parallel);
        assert_ok(vg_device_replay(device, w->recording));
        return;
    }
    if (last) vg_parallel_last(w->parallel);
    if (recorded) assert_ok(vg_device_record_begin(device));
    assert_ok(vg_model_forward(w->model, batch, &pass, NULL));
    assert_ok(vg_model_backward(w->model));
    if (!recorded) return;
    assert_ok(vg_device_record_end(device, &w->recording));
    assert_ok(vg_device_replay(device, w->recording));
}

static inline void worker_step(worker *w, int index)
{
    const job *j = w->j;
    int rank = vg_group_rank(w->group), first = j->first * BATCH + index * BATCH, stop_here;
    bool stop;
    vg_step done;
    vg_group_at(w->group, j->first + index + 1);
    for (int r = 0; r < rank; r++) first += j->shares[r];
    assert_ok(vg_parallel_begin(w->parallel));
    for (int at = 0; at < j->shares[rank]; at += j->micro) {
        int count = j->shares[rank] - at < j->micro ? j->shares[rank] - at : j->micro;
        vg_model_batch batch = tiny_batch(w->model, first + at, count, j->head == VG_HEAD_CLASSIFICATION);
        worker_pass(w, &batch, index, at + count == j->shares[rank]);
    }
    stop_here = j->stop_rank == rank && j->stop_step == index;
    assert_ok(vg_parallel_finish(w->parallel, stop_here));
    if (index == 0) worker_put_flat(w, vg_parameters_flat_gradients(vg_model_parameters(w->model)));
    assert_ok(vg_optimizer_step(w->optimizer, 1e-3, vg_parallel_stats(w->parallel)));
    assert_ok(vg_group_synchronize(w->group));
    assert_ok(vg_parallel_read_stop(w->parallel, &stop));
    assert_true(stop == (j->stop_rank >= 0 && j->stop_step == index));
    assert_ok(vg_optimizer_read_step(w->optimizer, &done));
    assert_true(!j->clip || done.norm > 2 * job_rule(j).clip_norm); /* it does clip */
    worker_put(w, (double[]){done.loss / done.count, done.norm}, 2);
}

static inline void worker_check_sizes(const worker *w, uint64_t before)
{
    const vg_parameters *parameters = vg_model_parameters(w->model);
    int rank = vg_group_rank(w->group), size = vg_group_size(w->group), pieces;
    size_t took = w->bench.device->bytes - before;
    int owners = w->j->sharded ? size : 1;
    size_t planned = vg_optimizer_bytes(parameters, owners);
    assert_true(rank == 0 ? took == planned : took <= planned);
    if (owners > 1) assert_true(planned < vg_optimizer_bytes(parameters, 1));
    const vg_piece *piece = vg_parallel_pieces(w->parallel, &pieces);
    int64_t total = parameters->flat_values.dims[0], size_of = (int64_t)vg_dtype_size(parameters->stored);
    if (owners == 1) assert_true(pieces == 1 && piece[0].first == 0 && piece[0].count == total);
    for (int i = 1; i < pieces; i++) assert_true(piece[i].first >= piece[i - 1].first + piece[i - 1].count);
    if (size == 1) assert_true(vg_parallel_step_bytes(w->parallel) == 0);
    if (size > 1 && owners == 1 && !w->j->frozen)
        assert_true(vg_parallel_step_bytes(w->parallel) == total * size_of + 24);
    if (w->j->frozen && size > 1) assert_true(vg_parallel_step_bytes(w->parallel) < total * size_of * 3 / 2);
}

static inline void worker_load(worker *w, const char *where)
{
    char path[512];
    bool reads = vg_group_rank(w->group) == 0;
    job_path(path, where, "model");
    if (reads) assert_ok(vg_model_load(w->model, path, NULL, NULL));
    assert_ok(vg_parallel_share_weights(w->group, vg_model_parameters(w->model)));
    job_path(path, where, "moments");
    assert_ok(vg_optimizer_load(w->optimizer, reads ? path : NULL));
    assert_int_equal(vg_optimizer_steps(w->optimizer), w->j->first);
    job_path(path, where, "moments.again");
    assert_ok(vg_optimizer_save(w->optimizer, reads ? path : NULL));
}

static inline void worker_save(worker *w, const char *where)
{
    char path[512];
    bool writes = vg_group_rank(w->group) == 0;
    job_path(path, where, "model");
    if (writes) assert_ok(vg_model_save(w->model, path, NULL, 0));
    job_path(path, where, "moments");
    assert_ok(vg_optimizer_save(w->optimizer, writes ? path : NULL));
}

/* One bit of the weights of one rank: all ranks hear of it. */
static inline void worker_spoil(worker *w)
{
    char name[32];
    vg_tensor values = vg_parameters_flat_values(vg_model_parameters(w->model));
    if (vg_group_rank(w->group) == w->j->corrupt) {
        unsigned char byte, *there = (unsigned char *)values.data + vg_tensor_bytes(&values) / 2;
        assert_ok(vg_device_copy(w->bench.device, &byte, there, 1, VG_COPY_TO_HOST));
        assert_ok(vg_device_synchronize(w->bench.device));
        byte ^= 4;
        assert_ok(vg_device_copy(w->bench.device, there, &byte, 1, VG_COPY_TO_DEVICE));
    }
    snprintf(name, sizeof name, "rank %d", w->j->corrupt);
    assert_fails(vg_parallel_check_weights(w->parallel), VG_ERR_NUMERIC, name);
}

static inline int job_work(const vg_place *place, const char *text)
{
    job j;
    int *field = (int *)&j, used = 0, length;
    for (int i = 0; i < JOB_INTS; i++, used += length)
        assert_int_equal(sscanf(text + used, "%d %n", &field[i], &length), 1);
    const char *where = text + used;
    char path[512], name[16];
    worker w = {.j = &j};
    if (j.gpu) {
        /* Read by the emulator: how many GPUs there are, and which of the possible orders of work to take. */
        snprintf(name, sizeof name, "%d", (int)(support_seed() % 1000) + place->rank);
        setenv("EMULATED_GPUS", "8", 1);
        setenv("EMULATED_ORDER", name, 1);
        snprintf(name, sizeof name, "cuda:%d", place->rank);
        assert_ok(vg_device_open(name, &w.bench.device));
        assert_ok(vg_kernels_create(w.bench.device, "auto", false, &w.bench.kernels));
        assert_true(vg_device_records(w.bench.device));
    } else {
        w.bench = tiny_open(j.fast ? "cpu" : "ref");
    }
    snprintf(name, sizeof name, "rank%d", place->rank);
    job_path(path, where, name);
    w.out = fopen(path, "wb");
    assert_non_null(w.out);
    vg_place alone = {.starter = VG_STARTER_ALONE, .size = 1, .local_size = 1, .listener = -1};
    vg_group_options group = {
        .transport = "auto", .device = w.bench.device, .timeout = 60, .start_timeout = 60};
    assert_ok(vg_group_open(place->size > 1 ? place : &alone, &group, &w.group));
    vg_model_options options = job_options(&j);
    w.model = tiny_model(&w.bench, &options, place->rank ? 1000 + (uint64_t)place->rank : 3);
    vg_model_freeze_encoder(w.model, j.frozen);
    vg_parallel_options parallel = {.bucket_bytes = j.bucket_bytes, .shard_optimizer = j.sharded};
    assert_ok(vg_parallel_create(w.bench.kernels, w.group, w.model, &parallel, &w.parallel));
    assert_true(vg_parallel_sharded(w.parallel) == (j.sharded && place->size > 1));
    uint64_t before = w.bench.device->bytes;
    vg_optimizer_config rule = job_rule(&j);
    assert_ok(
        vg_optimizer_create(w.bench.kernels, vg_model_parameters(w.model), &rule, w.parallel, &w.optimizer));
    worker_check_sizes(&w, before);
    assert_ok(vg_parallel_share_weights(w.group, vg_model_parameters(w.model)));
    if (j.load) worker_load(&w, where);
    uint64_t allocations = 0;
    for (int i = 0; i < j.steps; i++) {
        worker_step(&w, i);
        if (i == 0) allocations = w.bench.device->allocations;
    }
    assert_true(w.bench.device->allocations == allocations);
    assert_ok(vg_parallel_check_weights(w.parallel));
    assert_ok(vg_optimizer_gather_masters(w.optimizer));
    worker_put_flat(&w, vg_parameters_flat_values(vg_model_parameters(w.model)));
    if (j.save) worker_save(&w, where);
    if (j.corrupt >= 0) worker_spoil(&w);
    assert_int_equal(fclose(w.out), 0);
    vg_recording_destroy(w.bench.device, w.recording);
    vg_optimizer_destroy(w.optimizer);
    vg_parallel_destroy(w.parallel);
    vg_model_destroy(w.model);
    vg_group_close(w.group, VG_OK);
    tiny_close(&w.bench);
    return 0;
}

/* ---- The test ---------------------------------------------------------------------------------------------
 */

/* Runs a job by so many ranks and returns what rank 0 saw; every other saw the same, bit for bit. */
static inline outcome job_run(const job *j, int ranks, const char *folder)
{
    char text[2048] = "", path[512], name[16];
    const int *field = (const int *)j;
    size_t length = 0, bytes, other_bytes;
    for (int i = 0; i < JOB_INTS; i++)
        length += (size_t)snprintf(text + length, sizeof text - length, "%d ", field[i]);
    snprintf(text + length, sizeof text - length, "%s", folder);
    ranks_run(ranks, text);
    job_path(path, folder, "rank0");
    outcome o = {.all = support_read_file(path, &bytes), .steps = j->steps};
    int64_t doubles = (int64_t)(bytes / sizeof(double)), pairs = 2 * j->steps;
    o.count = (doubles - pairs) / 2;
    assert_true(o.count > 0 && 2 * o.count + pairs == doubles);
    o.gradients = o.all;
    o.loss = o.all + o.count;
    o.norm = o.loss + 1;
    o.weights = o.all + o.count + pairs;
    for (int rank = 1; rank < ranks; rank++) {
        snprintf(name, sizeof name, "rank%d", rank);
        job_path(path, folder, name);
        double *other = support_read_file(path, &other_bytes);
        assert_int_equal(other_bytes, bytes);
        size_t skipped = j->sharded ? (size_t)o.count * sizeof(double) : 0; /* each has its own sums there */
        assert_memory_equal((char *)o.all + skipped, (char *)other + skipped, bytes - skipped);
        free(other);
    }
    return o;
}

static inline void outcome_compare(const outcome *a, const outcome *b, double tolerance, bool gradients,
                                   const char *what)
{
    assert_int_equal(a->count, b->count);
    double off = tiny_difference(a->weights, b->weights, a->count), loss = 0, norm = 0;
    double gradient = gradients ? tiny_difference(a->gradients, b->gradients, a->count) : 0;
    for (int i = 0; i < a->steps; i++) {
        loss = fmax(loss, fabs(a->loss[2 * i] / b->loss[2 * i] - 1));
        norm = fmax(norm, fabs(a->norm[2 * i] / b->norm[2 * i] - 1));
        if (!isfinite(a->loss[2 * i]) || !(a->norm[2 * i] > 0)) fail_msg("%s: step %d", what, i);
    }
    print_message("%-48s gradients %.1e  weights %.1e  loss %.1e  norm %.1e\n", what, gradient, off, loss,
                  norm);
    if (!(off <= tolerance && gradient <= tolerance && loss <= tolerance && norm <= tolerance))
        fail_msg("%s: more than %g apart", what, tolerance);
}

static inline void outcome_same_weights(const outcome *a, const outcome *b)
{
    assert_int_equal(a->count, b->count);
    assert_memory_equal(a->weights, b->weights, (size_t)a->count * sizeof(double));
}

#endif
