/* Training over several ranks (processes, over tcp) against training by one: shares of a batch in uneven
 * parts and none at all, micro-batches, sharded moments, checkpoints that move between numbers of ranks. */
#include "tests/models/job.h"

static char *folder;

/* `j` by one rank, and by two, three and four, plain and sharded. */
static void on_any_number(job j, double tolerance, const char *what)
{
    char text[80];
    memcpy(j.shares, job_plain(1).shares, sizeof j.shares);
    int micro = j.micro;
    j.micro = BATCH;
    outcome whole = job_run(&j, 1, folder);
    j.micro = micro;
    for (int ranks = 2; ranks <= 4; ranks++) {
        memcpy(j.shares, job_plain(ranks).shares, sizeof j.shares);
        outcome sum[2];
        for (j.sharded = 0; j.sharded < 2; j.sharded++) {
            sum[j.sharded] = job_run(&j, ranks, folder);
            snprintf(text, sizeof text, "%s, %d ranks%s", what, ranks, j.sharded ? ", sharded" : "");
            outcome_compare(&sum[j.sharded], &whole, tolerance, !j.sharded, text);
        }
        /* Of two numbers there is one sum, so cutting buckets otherwise changes no bit; of more the order of
         * adding changes with the cut. Clipping divides by a norm that was added up by pieces. */
        if (ranks == 2 && !j.clip) outcome_same_weights(&sum[0], &sum[1]);
        free(sum[0].all);
        free(sum[1].all);
    }
    free(whole.all);
}

static void float_weights(void **state)
{
    (void)state;
    job j = job_plain(2);
    on_any_number(j, 1e-5, "float");
    j.fast = j.clip = 1;
    j.bucket_bytes = 1 << 20;
    on_any_number(j, 1e-5, "float, backend cpu, clipped, one bucket");
}

/* In double nothing hides behind rounding. */
static void double_weights(void **state)
{
    (void)state;
    job j = job_plain(2);
    j.dtype = VG_F64;
    j.pre_norm = j.learned = j.clip = j.bucket_bytes = 1;
    on_any_number(j, 1e-12, "double, pre-norm, learned, clipped, many buckets");
    j = job_plain(2);
    j.dtype = VG_F64;
    j.micro = 1;
    j.bucket_bytes = 7777;
    on_any_number(j, 1e-12, "double, micro-batches of one");
    j.head = VG_HEAD_CLASSIFICATION;
    on_any_number(j, 1e-12, "double, classification");
    j.frozen = 1;
    on_any_number(j, 1e-12, "double, classification, frozen encoder");
}

/* All but one rank have nothing to compute. */
static void ranks_without_a_share(void **state)
{
    (void)state;
    job one = job_plain(1), j = job_plain(3);
    outcome whole, part;
    one.micro = 3; /* the same sums in the same order, and zeros to add */
    whole = job_run(&one, 1, folder);
    memcpy(j.shares, (int[]){0, 7, 0, 0}, sizeof j.shares);
    for (j.sharded = 0; j.sharded < 2; j.sharded++) {
        part = job_run(&j, 3, folder);
        outcome_same_weights(&part, &whole);
        free(part.all);
    }
    free(whole.all);
}

/* In BF16 the values are the masters rounded, whoever stepped the masters. */
static void rounded_weights(void **state)
{
    (void)state;
    job j = job_plain(2);
    j.dtype = VG_BF16;
    j.steps = 4;
    outcome a = job_run(&j, 2, folder);
    j.sharded = 1;
    outcome b = job_run(&j, 2, folder);
    outcome_same_weights(&a, &b);
    free(a.all);
    free(b.all);
}

static void same_files(const char *a, const char *b)
{
    char path[512];
    size_t bytes, other;
    job_path(path, folder, a);
    char *x = support_read_file(path, &bytes);
    job_path(path, folder, b);
    char *y = support_read_file(path, &other);
    assert_int_equal(bytes, other);
    assert_memory_equal(x, y, bytes);
    free(x);
    free(y);
}

/* Three steps by three ranks, sharded, then three more by any number, sharded or not: the file of the moments
 * comes back byte for byte, and the run ends where one that never stopped does. */
static void checkpoints_between(vg_dtype dtype, int gpu, double tolerance)
{
    job j = job_plain(3);
    j.dtype = dtype;
    j.gpu = gpu;
    j.sharded = 1;
    outcome whole = job_run(&j, 3, folder), late = whole;
    late.steps = j.steps = 3;
    late.loss += 2 * 3;
    late.norm += 2 * 3;
    j.save = 1;
    outcome half = job_run(&j, 3, folder);
    j.first = 3;
    j.save = 0;
    j.load = 1;
    for (int ranks = 1; ranks <= 4; ranks++)
        for (j.sharded = 0; j.sharded < (ranks > 1 ? 2 : 1); j.sharded++) {
            char text[80];
            memcpy(j.shares, job_plain(ranks).shares, sizeof j.shares);
            j.micro = job_plain(ranks).micro;
            outcome rest = job_run(&j, ranks, folder);
            same_files("moments", "moments.again");
            snprintf(text, sizeof text, "saved by 3, gone on by %d in %s%s%s", ranks, vg_dtype_name(dtype),
                     j.sharded ? ", sharded" : "", gpu ? ", GPUs" : "");
            if (ranks == 3 && j.sharded) outcome_same_weights(&rest, &whole);
            outcome_compare(&rest, &late, tolerance, false, text);
            free(rest.all);
        }
    free(half.all);
    free(whole.all);
}

static void checkpoints_move(void **state)
{
    (void)state;
    checkpoints_between(VG_F32, 0, 1e-5);
    checkpoints_between(VG_F64, 0, 1e-12);
    checkpoints_between(VG_BF16, 0, 1e-2);
}

static void all_hear_of_a_stop(void **state)
{
    (void)state;
    for (int rank = 0; rank < 3; rank++) {
        job j = job_plain(3);
        j.steps = 3;
        j.stop_rank = rank;
        j.stop_step = rank;
        outcome o = job_run(&j, 3, folder);
        free(o.all);
    }
}

static void one_wrong_bit(int rank, int gpu)
{
    job j = job_plain(3);
    j.gpu = gpu;
    j.steps = 1;
    j.corrupt = rank;
    outcome o = job_run(&j, 3, folder);
    free(o.all);
}

static void one_wrong_bit_is_noticed(void **state)
{
    (void)state;
    one_wrong_bit(1, 0);
    one_wrong_bit(2, 0);
}

/* A group of one costs nothing: no memory, the model's own sums, the bits of a model without a group. */
static void alone(void **state)
{
    (void)state;
    job j = job_plain(1);
    j.clip = 1;
    tiny_bench bench = tiny_open("ref");
    vg_model_options options = job_options(&j);
    vg_optimizer_config rule = job_rule(&j);
    vg_place place = {.starter = VG_STARTER_ALONE, .size = 1, .local_size = 1, .listener = -1};
    vg_group_options group = {
        .transport = "auto", .device = bench.device, .timeout = 10, .start_timeout = 10};
    worker w = {.j = &j, .bench = bench, .out = fopen("/dev/null", "wb")};
    assert_ok(vg_group_open(&place, &group, &w.group));
    w.model = tiny_model(&bench, &options, 3);
    vg_model *model = tiny_model(&bench, &options, 3);
    vg_optimizer *optimizer;
    uint64_t before = bench.device->bytes;
    assert_ok(vg_parallel_create(bench.kernels, w.group, w.model,
                                 &(vg_parallel_options){.shard_optimizer = true}, &w.parallel));
    assert_true(bench.device->bytes == before && !vg_parallel_sharded(w.parallel));
    assert_ptr_equal(vg_parallel_stats(w.parallel).data, vg_model_stats(w.model).data);
    assert_ok(
        vg_optimizer_create(bench.kernels, vg_model_parameters(w.model), &rule, w.parallel, &w.optimizer));
    assert_ok(vg_optimizer_create(bench.kernels, vg_model_parameters(model), &rule, NULL, &optimizer));
    for (int i = 0; i < 3; i++) {
        worker_step(&w, i);
        vg_model_batch batch = tiny_batch(model, i * BATCH, BATCH, false);
        assert_ok(vg_model_zero_gradients(model));
        assert_ok(vg_model_forward(model, &batch, &(vg_pass){VG_PASS_TRAIN, 5, (uint32_t)i}, NULL));
        assert_ok(vg_model_backward(model));
        assert_ok(vg_optimizer_step(optimizer, 1e-3, vg_model_stats(model)));
    }
    bool stop;
    assert_ok(vg_parallel_begin(w.parallel));
    assert_ok(vg_parallel_finish(w.parallel, true));
    assert_ok(vg_parallel_read_stop(w.parallel, &stop));
    assert_true(stop);
    assert_ok(vg_parallel_check_weights(w.parallel));
    vg_tensor a = vg_parameters_flat_values(vg_model_parameters(w.model));
    vg_tensor b = vg_parameters_flat_values(vg_model_parameters(model));
    assert_memory_equal(a.data, b.data, vg_tensor_bytes(&a));
    fclose(w.out);
    vg_optimizer_destroy(optimizer);
    vg_optimizer_destroy(w.optimizer);
    vg_parallel_destroy(w.parallel);
    vg_model_destroy(model);
    vg_model_destroy(w.model);
    vg_group_close(w.group, VG_OK);
    tiny_close(&bench);
}

/* On GPUs the sums are queued beside the backward pass and recorded with it. */
static void on_gpus(void **state)
{
    (void)state;
    job j = job_plain(2);
    j.gpu = 1;
    on_any_number(j, 1e-5, "float, GPUs");
    one_wrong_bit(1, 1);
}

static void rounded_on_gpus(void **state)
{
    (void)state;
    checkpoints_between(VG_BF16, 1, 1e-2);
}

/* With the argument "cuda": what GPUs do otherwise than processors, by tests/cuda. */
int main(int argc, char **argv)
{
    vg_place place;
    const char *text;
    if (ranks_is_one(argc, argv, &place, &text)) return job_work(&place, text);
    folder = support_temp_dir();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(alone),
        cmocka_unit_test(float_weights),
        cmocka_unit_test(double_weights),
        cmocka_unit_test(ranks_without_a_share),
        cmocka_unit_test(rounded_weights),
        cmocka_unit_test(checkpoints_move),
        cmocka_unit_test(all_hear_of_a_stop),
        cmocka_unit_test(one_wrong_bit_is_noticed),
    };
    const struct CMUnitTest on_cuda[] = {
        cmocka_unit_test(on_gpus),
        cmocka_unit_test(rounded_on_gpus),
    };
    int failed = argc == 2 && !strcmp(argv[1], "cuda") ? cmocka_run_group_tests(on_cuda, NULL, NULL)
                                                       : cmocka_run_group_tests(tests, NULL, NULL);
    free(folder);
    return failed;
}
