/* A model that does not fit on its device: what is said, and that it is true. The device is the host's memory
 * with a limit. */
#include "tests/models/tiny.h"

typedef struct small_device {
    vg_device base;
    vg_device *host;
    vg_device_ops ops;
    size_t limit, held;
    struct small_piece {
        void *memory;
        size_t bytes;
    } pieces[32];
} small_device;

static vg_status allocate(vg_device *device, size_t bytes, void **out)
{
    small_device *d = (small_device *)device;
    if (bytes > d->limit - d->held) return vg_fail(VG_ERR_MEMORY, "the small device is full");
    struct small_piece *piece = d->pieces;
    while (piece->memory) piece++;
    assert_true(piece < d->pieces + 32);
    VG_TRY(vg_device_allocate(d->host, bytes, &piece->memory));
    piece->bytes = bytes;
    d->held += bytes;
    *out = piece->memory;
    return VG_OK;
}

static void release(vg_device *device, void *memory)
{
    small_device *d = (small_device *)device;
    struct small_piece *piece = d->pieces;
    while (piece->memory != memory) piece++;
    assert_true(piece < d->pieces + 32);
    vg_device_release(d->host, memory, piece->bytes);
    d->held -= piece->bytes;
    piece->memory = NULL;
}

static vg_status copy(vg_device *device, void *to, const void *from, size_t bytes, vg_copy_kind kind)
{
    return vg_device_copy(((small_device *)device)->host, to, from, bytes, kind);
}

static vg_status zero(vg_device *device, void *memory, size_t bytes)
{
    return vg_device_zero(((small_device *)device)->host, memory, bytes);
}

static vg_status synchronize(vg_device *device)
{
    return vg_device_synchronize(((small_device *)device)->host);
}

static vg_status free_memory(vg_device *device, size_t *bytes)
{
    small_device *d = (small_device *)device;
    *bytes = d->limit - d->held;
    return VG_OK;
}

/* `tells`: it knows what is free. */
static vg_kernels *open_small(small_device *d, size_t limit, bool tells)
{
    vg_kernels *kernels;
    *d = (small_device){.limit = limit};
    assert_ok(vg_device_create_host(&d->host));
    d->ops = (vg_device_ops){.name = "host",
                             .is_host = true,
                             .allocate = allocate,
                             .release = release,
                             .copy = copy,
                             .zero = zero,
                             .synchronize = synchronize,
                             .free_memory = tells ? free_memory : NULL};
    d->base.ops = &d->ops;
    assert_ok(vg_kernels_create(&d->base, "ref", false, &kernels));
    return kernels;
}

static void close_small(small_device *d, vg_kernels *kernels)
{
    vg_kernels_destroy(kernels);
    assert_true(d->held == 0);
    vg_device_destroy(d->host);
}

static vg_model_options options_of(vg_head_kind head, vg_dtype dtype, bool training, int64_t batch)
{
    vg_model_options o = tiny_options(head);
    o.dtype = dtype;
    o.training = training;
    o.max_batch = batch;
    return o;
}

static const vg_dtype types[] = {VG_F32, VG_BF16, VG_F64};

/* What was added up is what is allocated, by the byte. */
static void measured_is_allocated(void **state)
{
    (void)state;
    for (int variant = 0; variant < 12; variant++) {
        vg_model_options o = options_of((vg_head_kind)(variant / 6), types[variant % 3], variant / 3 % 2, 5);
        vg_model_memory needs;
        assert_ok(vg_model_measure(&o, &needs));
        assert_true(needs.total ==
                    needs.parameters + needs.optimizer + needs.activations + needs.gradients + needs.inputs);
        assert_true((needs.optimizer > 0) == o.training && (needs.gradients > 0) == o.training);
        small_device device;
        vg_kernels *kernels = open_small(&device, needs.total, true);
        vg_model *model;
        vg_optimizer *optimizer = NULL;
        vg_optimizer_config config = vg_optimizer_config_default();
        assert_ok(vg_model_create(kernels, &o, &model));
        if (o.training)
            assert_ok(vg_optimizer_create(kernels, vg_model_parameters(model), &config, NULL, &optimizer));
        assert_true(device.held == needs.total);
        vg_optimizer_destroy(optimizer);
        vg_model_destroy(model);
        close_small(&device, kernels);
    }
    vg_model_memory f32, bf16;
    vg_model_options o = options_of(VG_HEAD_RECONSTRUCTION, VG_F32, true, 5);
    assert_ok(vg_model_measure(&o, &f32));
    o.dtype = VG_BF16;
    assert_ok(vg_model_measure(&o, &bf16));
    assert_true(bf16.activations <
                0.7 * (double)f32.activations); /* statistics and rounding to 256 bytes stay */
}

/* The batch that the message names fits, with its optimiser and an eighth to spare, and trains. */
static void the_largest_batch_is_named(void **state)
{
    (void)state;
    for (int variant = 0; variant < 4; variant++) {
        vg_model_options o = options_of((vg_head_kind)(variant / 2), types[variant % 2], true, 100);
        vg_model_memory needs;
        o.max_batch = 3 + 2 * variant;
        assert_ok(vg_model_measure(&o, &needs));
        size_t limit = needs.total * 8 / 7 + 8; /* hardly more than that batch and its eighth take */
        int64_t fits = o.max_batch;
        small_device device;
        vg_kernels *kernels = open_small(&device, limit, true);
        vg_model *model;
        char text[64];
        o.max_batch = 100;
        snprintf(text, sizeof text, "train.micro_batch=%d ", (int)fits);
        assert_fails(vg_model_create(kernels, &o, &model), VG_ERR_MEMORY, text);
        assert_non_null(strstr(vg_cause(), "at 100 segments of 23 samples"));
        assert_non_null(strstr(vg_cause(), "MiB are free"));
        assert_true(device.base.allocations == 0); /* it was known before */
        assert_fails(vg_model_fits(&device.base, &o), VG_ERR_MEMORY, text);
        o.max_batch = fits;
        model = tiny_model(&(tiny_bench){&device.base, kernels}, &o, 1);
        vg_optimizer *optimizer;
        vg_optimizer_config config = vg_optimizer_config_default();
        assert_ok(vg_optimizer_create(kernels, vg_model_parameters(model), &config, NULL, &optimizer));
        vg_model_batch batch = tiny_batch(model, 0, fits, o.head == VG_HEAD_CLASSIFICATION);
        assert_ok(vg_model_forward(model, &batch, &(vg_pass){VG_PASS_TRAIN, 1, 1}, NULL));
        assert_ok(vg_model_backward(model));
        assert_ok(vg_optimizer_step(optimizer, 1e-3, vg_model_stats(model)));
        vg_optimizer_destroy(optimizer);
        vg_model_destroy(model);
        close_small(&device, kernels);
    }
}

/* A training whose moments are sharded needs less, and its message says why. */
static void sharded_moments_need_less(void **state)
{
    (void)state;
    vg_model_options o = options_of(VG_HEAD_RECONSTRUCTION, VG_F32, true, 5);
    vg_model_memory plain, sharded;
    o.config.d_model = 64; /* more elements than four ranks times the alignment */
    o.config.conv_channels.item[2] = 64;
    assert_ok(vg_model_measure(&o, &plain));
    o.optimizer_ranks = 4;
    assert_ok(vg_model_measure(&o, &sharded));
    assert_true(sharded.parameters == plain.parameters && sharded.activations == plain.activations);
    assert_true(sharded.optimizer < plain.optimizer / 3 && sharded.optimizer >= plain.optimizer / 4);
    assert_true(plain.total - sharded.total == plain.optimizer - sharded.optimizer);
    small_device device;
    vg_kernels *kernels = open_small(&device, sharded.total, true);
    assert_ok(vg_model_fits(&device.base, &o));
    o.optimizer_ranks = 1;
    assert_fails(vg_model_fits(&device.base, &o), VG_ERR_MEMORY, "the model does not fit");
    assert_null(strstr(vg_cause(), "sharded"));
    o.optimizer_ranks = 4;
    o.max_batch = 50;
    assert_fails(vg_model_fits(&device.base, &o), VG_ERR_MEMORY, "sharded over 4 ranks");
    close_small(&device, kernels);
}

/* When nothing helps, or nothing is known, it says so. */
static void other_ways_out(void **state)
{
    (void)state;
    vg_model_options o = options_of(VG_HEAD_RECONSTRUCTION, VG_F32, true, 1);
    vg_model_memory one;
    assert_ok(vg_model_measure(&o, &one));
    small_device device;
    vg_model *model;
    vg_kernels *kernels = open_small(&device, one.total - 1, true);
    assert_fails(vg_model_create(kernels, &o, &model), VG_ERR_MEMORY, "not even one segment fits");
    o.max_batch = 50;
    assert_fails(vg_model_create(kernels, &o, &model), VG_ERR_MEMORY, "not even one segment fits");
    close_small(&device, kernels);

    kernels = open_small(&device, one.total, false);
    assert_fails(vg_model_create(kernels, &o, &model), VG_ERR_MEMORY, "how much is free is not known");
    assert_non_null(strstr(vg_cause(), "smaller train.micro_batch"));
    assert_non_null(strstr(vg_cause(), "the small device is full"));
    close_small(&device, kernels);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(measured_is_allocated),
        cmocka_unit_test(the_largest_batch_is_named),
        cmocka_unit_test(sharded_moments_need_less),
        cmocka_unit_test(other_ways_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
