/* The whole model on the reference backend: its gradient by finite differences in double, and what must not
 * change a result: the batch it came in, the buffers it ran in, the run it belongs to. */
#include "tests/models/tiny.h"

static tiny_bench bench;

static int open_bench(void **state)
{
    (void)state;
    bench = tiny_open("ref");
    return 0;
}

static int close_bench(void **state)
{
    (void)state;
    tiny_close(&bench);
    return 0;
}

static double sum_of_loss(vg_model *model, const vg_model_batch *batch)
{
    double sum, count;
    assert_ok(vg_model_zero_stats(model));
    assert_ok(vg_model_forward(model, batch, &(vg_pass){VG_PASS_TRAIN, 5, 2}, NULL));
    assert_ok(vg_model_read_stats(model, &sum, &count));
    return sum;
}

/* Along one random direction in each parameter, (loss(p + h d) - loss(p - h d)) / 2h is the gradient times d.
 * In double with h = 1e-5 both agree to about 1e-9 of the larger terms; 1e-6 is far from any mistake. */
static void gradient_holds(const char *what, vg_model_options options)
{
    options.dtype = VG_F64;
    vg_model *model = tiny_model(&bench, &options, 11);
    vg_parameters *parameters = vg_model_parameters(model);
    /* Away from the special values of a fresh model (zeros, ones), where mistakes hide. */
    for (int i = 0; i < parameters->count; i++) {
        vg_random random = vg_random_make(3, VG_SITE_SEARCH, (uint32_t)i);
        double *value = parameters->list[i]->value.data;
        for (int64_t j = 0; j < vg_tensor_count(&parameters->list[i]->value); j++)
            value[j] += 0.1 * vg_random_normal(&random);
    }
    vg_model_batch batch = tiny_batch(model, 40, 2, options.head == VG_HEAD_CLASSIFICATION);
    assert_ok(vg_model_zero_gradients(model));
    (void)sum_of_loss(model, &batch);
    assert_ok(vg_model_backward(model));
    for (int i = 0; i < parameters->count; i++) {
        vg_parameter *p = parameters->list[i];
        int64_t count = vg_tensor_count(&p->value);
        double *value = p->value.data, *gradient = p->gradient.data, *saved = malloc((size_t)count * 8);
        double *direction = malloc((size_t)count * 8), h = 1e-5, along = 0, size = 0;
        memcpy(saved, value, (size_t)count * 8);
        vg_random random = vg_random_make(9, VG_SITE_SEARCH, (uint32_t)i);
        for (int64_t j = 0; j < count; j++) {
            direction[j] = vg_random_normal(&random);
            along += gradient[j] * direction[j];
            size += fabs(gradient[j] * direction[j]);
            value[j] = saved[j] + h * direction[j];
        }
        double up = sum_of_loss(model, &batch);
        for (int64_t j = 0; j < count; j++) value[j] = saved[j] - h * direction[j];
        double down = sum_of_loss(model, &batch), measured = (up - down) / (2 * h);
        memcpy(value, saved, (size_t)count * 8);
        if (!(fabs(measured - along) <= 1e-6 * size + 1e-8))
            fail_msg("%s: %s: finite difference %.12g, gradient %.12g (terms of %.3g)", what, p->name,
                     measured, along, size);
        free(saved);
        free(direction);
    }
    vg_model_destroy(model);
}

static void gradients(void **state)
{
    (void)state;
    vg_model_options r = tiny_options(VG_HEAD_RECONSTRUCTION), c = tiny_options(VG_HEAD_CLASSIFICATION), o;
    gradient_holds("reconstruction", r);
    gradient_holds("classification", c);

    o = r;
    o.config.norm = VG_NORM_PRE;
    o.config.activation = o.config.conv_activation = VG_ACTIVATION_GELU;
    o.config.conv_norm = VG_CONV_NORM_ALL;
    gradient_holds("pre-norm, GELU, all convolutions normed", o);

    o = r;
    o.config.conv_norm = VG_CONV_NORM_NONE;
    o.config.conv_activation = VG_ACTIVATION_GELU;
    o.config.position = VG_POSITION_LEARNED;
    o.masking.fill = VG_MASK_LEARNED;
    o.masking.random_share = 0.2;
    o.masking.keep_share = 0.2;
    gradient_holds("learned positions, learned fill, BERT's shares", o);

    o.config.norm = VG_NORM_PRE;
    vg_model_config_set_dropout(&o.config, 0.25);
    gradient_holds("dropout, pre-norm", o);
    o.config.norm = VG_NORM_POST;
    gradient_holds("dropout, post-norm", o);

    for (int pool = VG_POOL_CLS; pool <= VG_POOL_LAST; pool++) {
        o = c;
        o.config.pooling = pool;
        o.config.norm = pool % 2;
        o.config.head_dropout = 0.3;
        gradient_holds("pooling", o);
    }
    for (int norm = VG_NORM_POST; norm <= VG_NORM_PRE; norm++) {
        o = c;
        o.config.layers = 0;
        o.config.norm = norm;
        o.config.pooling = VG_POOL_MEAN;
        o.config.classification_head.count = 0;
        o.config.conv_channels = (vg_config_list){1, {6}};
        o.config.conv_kernels = (vg_config_list){1, {1}};
        gradient_holds("no layers, one convolution, a linear head", o);
    }
}

/* The same segment alone, in another place of a batch and in another batch: same masks, same dropout, same
 * output, bit for bit. */
static void batch_layout_does_not_matter(void **state)
{
    (void)state;
    vg_model_options options = tiny_options(VG_HEAD_RECONSTRUCTION);
    vg_model_config_set_dropout(&options.config, 0.2);
    options.masking.fill = VG_MASK_NOISE;
    vg_model *model = tiny_model(&bench, &options, 1);
    vg_pass pass = {VG_PASS_TRAIN, 77, 3};
    vg_tensor out, mask;
    size_t T = (size_t)options.config.segment_length;
    float alone[64];
    uint8_t mask_alone[64];
    vg_model_batch batch = tiny_batch(model, 12, 1, false);
    assert_ok(vg_model_forward(model, &batch, &pass, &out));
    assert_true(vg_model_find_activation(model, "masking.mask", &mask));
    memcpy(alone, out.data, T * sizeof *alone);
    memcpy(mask_alone, mask.data, T);
    for (int64_t first = 10; first <= 12; first++) {
        batch = tiny_batch(model, first, 3, false);
        assert_ok(vg_model_forward(model, &batch, &pass, &out));
        assert_true(vg_model_find_activation(model, "masking.mask", &mask));
        size_t at = (size_t)(12 - first) * T;
        assert_memory_equal((float *)out.data + at, alone, T * sizeof *alone);
        assert_memory_equal((uint8_t *)mask.data + at, mask_alone, T);
    }
    /* ... and another epoch or seed draws anew. */
    batch = tiny_batch(model, 12, 1, false);
    pass.epoch = 4;
    assert_ok(vg_model_forward(model, &batch, &pass, &out));
    assert_memory_not_equal(out.data, alone, T * sizeof *alone);
    pass = (vg_pass){VG_PASS_TRAIN, 78, 3};
    assert_ok(vg_model_forward(model, &batch, &pass, &out));
    assert_memory_not_equal(out.data, alone, T * sizeof *alone);
    vg_model_destroy(model);
}

/* Gradients of two micro-batches add up to those of one batch; sums of floats in another order differ by
 * rounding only. */
static void micro_batches_add_up(void **state)
{
    (void)state;
    for (int head = VG_HEAD_RECONSTRUCTION; head <= VG_HEAD_CLASSIFICATION; head++) {
        vg_model_options options = tiny_options((vg_head_kind)head);
        vg_model_config_set_dropout(&options.config, 0.1);
        options.max_batch = 4;
        vg_model *model = tiny_model(&bench, &options, 1);
        vg_pass pass = {VG_PASS_TRAIN, 5, 0};
        double sums[2], counts[2], *gradient[2];
        int64_t count;
        for (int halves = 0; halves < 2; halves++) {
            assert_ok(vg_model_zero_gradients(model));
            for (int i = 0; i <= halves; i++) {
                int64_t size = halves ? 2 : 4;
                vg_model_batch batch = tiny_batch(model, 20 + 2 * i, size, head == VG_HEAD_CLASSIFICATION);
                assert_ok(vg_model_forward(model, &batch, &pass, NULL));
                assert_ok(vg_model_backward(model));
            }
            gradient[halves] = tiny_gradients(model, &count);
            assert_ok(vg_model_read_stats(model, &sums[halves], &counts[halves]));
        }
        double off = tiny_difference(gradient[1], gradient[0], count);
        if (!(off <= 1e-6)) fail_msg("gradients of halves are off by %g", off);
        assert_true(counts[0] == counts[1] && counts[0] > 0);
        if (!(fabs(sums[0] - sums[1]) <= 1e-6 * fabs(sums[0]))) fail_msg("losses %g, %g", sums[0], sums[1]);
        free(gradient[0]);
        free(gradient[1]);
        vg_model_destroy(model);
    }
}

/* An inference model lends its buffers over and over; its results are those of a training model. */
static void shared_buffers_do_not_show(void **state)
{
    (void)state;
    for (int variant = 0; variant < 24; variant++) {
        vg_model_options options = tiny_options((vg_head_kind)(variant % 3));
        options.config.norm = variant / 3 % 2;
        options.config.conv_norm = variant % 3;
        options.config.pooling = variant / 6;
        options.config.position = variant / 3 % 2;
        options.config.activation = options.config.conv_activation = 1 + variant / 2 % 2;
        options.config.layers = variant % 4;
        vg_model *training = tiny_model(&bench, &options, 4), *inference;
        options.training = false;
        inference = tiny_model(&bench, &options, 4);
        for (int pass = 0; pass < 4; pass++) {
            vg_pass what = {pass % 2 ? VG_PASS_PREDICT : VG_PASS_EVALUATE, 3, 9};
            vg_model_batch a = tiny_batch(training, pass, 1 + pass % 3, variant % 3 == 1), b;
            vg_tensor x, y;
            b = tiny_batch(inference, pass, 1 + pass % 3, variant % 3 == 1);
            assert_ok(vg_model_forward(training, &a, &what, &x));
            assert_ok(vg_model_forward(inference, &b, &what, &y));
            assert_true(vg_tensor_same_shape(&x, &y));
            assert_memory_equal(x.data, y.data, vg_tensor_bytes(&x));
        }
        vg_model_batch batch = tiny_batch(inference, 0, 1, true);
        assert_fails(vg_model_forward(inference, &batch, &(vg_pass){VG_PASS_TRAIN, 1, 1}, NULL),
                     VG_ERR_CONFIG, "inference");
        vg_model_destroy(training);
        vg_model_destroy(inference);
    }
}

/* Ten steps of training with changing batch sizes leave the device's counter where the first step left it. */
static void nothing_allocates_after_the_first_step(void **state)
{
    (void)state;
    vg_model_options options = tiny_options(VG_HEAD_RECONSTRUCTION);
    vg_model_config_set_dropout(&options.config, 0.1);
    vg_model *model = tiny_model(&bench, &options, 1);
    vg_optimizer_config config = vg_optimizer_config_default();
    config.clip_norm = 1;
    vg_optimizer *optimizer;
    assert_ok(vg_optimizer_create(bench.kernels, vg_model_parameters(model), &config, NULL, &optimizer));
    uint64_t allocations = 0, bytes = 0;
    for (int step = 0; step < 10; step++) {
        vg_model_batch batch = tiny_batch(model, step, step ? 1 + step % 3 : 3, false);
        assert_ok(vg_model_zero_gradients(model));
        assert_ok(vg_model_forward(model, &batch, &(vg_pass){VG_PASS_TRAIN, 1, (uint32_t)step}, NULL));
        assert_ok(vg_model_backward(model));
        assert_ok(vg_optimizer_step(optimizer, 1e-3, vg_model_stats(model)));
        (void)tiny_loss(model, &batch, VG_PASS_EVALUATE);
        if (step == 0) {
            allocations = bench.device->allocations;
            bytes = bench.device->bytes;
        }
    }
    assert_true(bench.device->allocations == allocations && bench.device->bytes == bytes);
    vg_optimizer_destroy(optimizer);
    vg_model_destroy(model);
}

static void train(vg_model *model, vg_optimizer *optimizer, int steps, bool labels)
{
    for (int step = 0; step < steps; step++) {
        vg_model_batch batch = tiny_batch(model, 0, 3, labels);
        assert_ok(vg_model_zero_gradients(model));
        assert_ok(vg_model_forward(model, &batch, &(vg_pass){VG_PASS_TRAIN, 5, 2}, NULL));
        assert_ok(vg_model_backward(model));
        assert_ok(vg_optimizer_step(optimizer, 3e-3, vg_model_stats(model)));
    }
}

/* A model that cannot learn three segments by heart is broken somewhere. */
static void one_batch_is_learnt_by_heart(void **state)
{
    (void)state;
    for (int head = VG_HEAD_RECONSTRUCTION; head <= VG_HEAD_CLASSIFICATION; head++) {
        vg_model_options options = tiny_options((vg_head_kind)head);
        options.config.conv_channels = (vg_config_list){2, {12, 16}};
        options.config.conv_kernels = (vg_config_list){2, {9, 5}};
        options.config.d_model = 16;
        options.config.feedforward = 32;
        options.config.reconstruction_head = (vg_config_list){1, {32}};
        options.config.classification_head = (vg_config_list){2, {32, 16}};
        vg_model *model = tiny_model(&bench, &options, 1);
        vg_optimizer_config config = vg_optimizer_config_default();
        config.weight_decay = 0;
        vg_optimizer *optimizer;
        assert_ok(vg_optimizer_create(bench.kernels, vg_model_parameters(model), &config, NULL, &optimizer));
        bool labels = head == VG_HEAD_CLASSIFICATION;
        vg_model_batch batch = tiny_batch(model, 0, 3, labels);
        double before = tiny_loss(model, &batch, VG_PASS_EVALUATE);
        train(model, optimizer, 300, labels);
        batch = tiny_batch(model, 0, 3, labels);
        double after = tiny_loss(model, &batch, VG_PASS_EVALUATE);
        print_message("head %d: loss %.4f -> %.5f\n", head, before, after);
        if (!(after < 0.05 * before)) fail_msg("loss %g -> %g", before, after);
        vg_optimizer_destroy(optimizer);
        vg_model_destroy(model);
    }
}

/* Two runs of one seed end with the same bits. */
static void one_seed_one_result(void **state)
{
    (void)state;
    void *first = NULL;
    size_t bytes = 0;
    for (int run = 0; run < 2; run++) {
        vg_model_options options = tiny_options(VG_HEAD_RECONSTRUCTION);
        vg_model_config_set_dropout(&options.config, 0.1);
        vg_model *model = tiny_model(&bench, &options, 21);
        vg_optimizer_config config = vg_optimizer_config_default();
        vg_optimizer *optimizer;
        assert_ok(vg_optimizer_create(bench.kernels, vg_model_parameters(model), &config, NULL, &optimizer));
        train(model, optimizer, 5, false);
        vg_tensor flat = vg_parameters_flat_values(vg_model_parameters(model));
        bytes = vg_tensor_bytes(&flat);
        if (run == 0) {
            first = malloc(bytes);
            memcpy(first, flat.data, bytes);
        } else {
            assert_memory_equal(first, flat.data, bytes);
        }
        vg_optimizer_destroy(optimizer);
        vg_model_destroy(model);
    }
    free(first);
}

/* A linear probe: the encoder stays as it is and gets no gradient, the head learns. */
static void frozen_encoder(void **state)
{
    (void)state;
    vg_model_options options = tiny_options(VG_HEAD_CLASSIFICATION);
    vg_model *model = tiny_model(&bench, &options, 2), *before = tiny_model(&bench, &options, 2);
    vg_optimizer_config config = vg_optimizer_config_default();
    config.frozen_prefix = "encoder.";
    vg_optimizer *optimizer;
    assert_ok(vg_optimizer_create(bench.kernels, vg_model_parameters(model), &config, NULL, &optimizer));
    vg_model_freeze_encoder(model, true);
    train(model, optimizer, 3, true);
    vg_parameters *now = vg_model_parameters(model), *then = vg_model_parameters(before);
    for (int i = 0; i < now->count; i++) {
        vg_parameter *p = now->list[i], *q = then->list[i];
        bool same = !memcmp(p->value.data, q->value.data, vg_tensor_bytes(&p->value));
        if (same != !strncmp(p->name, "encoder.", 8))
            fail_msg("%s %s", p->name, same ? "did not move" : "moved");
    }
    vg_optimizer_destroy(optimizer);
    vg_model_destroy(before);
    vg_model_destroy(model);
}

static void misuse_is_refused(void **state)
{
    (void)state;
    vg_model_options options = tiny_options(VG_HEAD_CLASSIFICATION);
    vg_model *model = tiny_model(&bench, &options, 2);
    float signal[4 * 23] = {0};
    int64_t segment[4] = {0};
    vg_model_batch batch;
    assert_fails(vg_model_upload(model, 4, signal, segment, NULL, &batch), VG_ERR_SHAPE, "1 to 3");
    assert_fails(vg_model_upload(model, 0, signal, segment, NULL, &batch), VG_ERR_SHAPE, "1 to 3");
    assert_fails(vg_model_backward(model), VG_ERR_CONFIG, "before it");
    batch = tiny_batch(model, 0, 2, false);
    vg_tensor out;
    vg_pass pass = {VG_PASS_TRAIN, 1, 1};
    assert_ok(vg_model_forward(model, &batch, &pass, &out));
    assert_int_equal(out.dims[0], 2);
    assert_fails(vg_model_backward(model), VG_ERR_CONFIG, "loss"); /* there were no labels */
    batch = tiny_batch(model, 0, 2, true);
    assert_ok(vg_model_forward(model, &batch, &pass, NULL));
    assert_ok(vg_model_backward(model));
    assert_fails(vg_model_backward(model), VG_ERR_CONFIG, "forward"); /* a second time */
    batch.signal = vg_tensor_reshape(batch.signal, VG_DIMS(23, 2));
    assert_fails(vg_model_forward(model, &batch, &pass, NULL), VG_ERR_SHAPE, "(23, 2) F32");
    vg_model_destroy(model);

    options.config.heads = 4;
    assert_fails(vg_model_create(bench.kernels, &options, &model), VG_ERR_CONFIG, "heads");
    options = tiny_options(VG_HEAD_CLASSIFICATION);
    options.max_batch = 0;
    assert_fails(vg_model_create(bench.kernels, &options, &model), VG_ERR_CONFIG, "batch");
    options.max_batch = 3;
    options.dtype = VG_I32;
    assert_fails(vg_model_create(bench.kernels, &options, &model), VG_ERR_UNSUPPORTED, "I32");
    options = tiny_options(VG_HEAD_RECONSTRUCTION);
    options.masking.span = 0;
    assert_fails(vg_model_create(bench.kernels, &options, &model), VG_ERR_CONFIG, "span");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradients),
        cmocka_unit_test(batch_layout_does_not_matter),
        cmocka_unit_test(micro_batches_add_up),
        cmocka_unit_test(shared_buffers_do_not_show),
        cmocka_unit_test(nothing_allocates_after_the_first_step),
        cmocka_unit_test(one_batch_is_learnt_by_heart),
        cmocka_unit_test(one_seed_one_result),
        cmocka_unit_test(frozen_encoder),
        cmocka_unit_test(misuse_is_refused),
    };
    return cmocka_run_group_tests(tests, open_bench, close_bench);
}
