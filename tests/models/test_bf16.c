/* A model that computes in BF16, on the reference backend: how far it may be from the same model in F32, that
 * its F32 masters carry the training, and that its files are those of any other model.
 *
 * The yardstick of every tolerance is a model in F32 whose weights and signal were rounded to BF16 and
 * nothing else: one rounding a product, where the model in BF16 has up to three more of the same size (the
 * product's result, the sum with the residual, what the norm makes of it). Roundings that do not conspire
 * then give sqrt(1 + 3) times its error; backward adds four more (the gradient of each), sqrt(8) times. Three
 * times is granted to all. */
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

static const double granted = 3;
/* Half a unit of BF16's last place: the error of anything that is merely stored in it. */
static const double stored = 0x1p-9;
enum { BATCH = 3, STEPS = 10 };

/* Wide enough that an error by norm is an average, small enough for plain loops. */
static vg_model_options wide_options(vg_head_kind head)
{
    vg_model_options o = tiny_options(head);
    o.config.segment_length = 64;
    o.config.conv_channels = (vg_config_list){2, {12, 24}};
    o.config.conv_kernels = (vg_config_list){2, {9, 5}};
    o.config.d_model = 24;
    o.config.feedforward = 48;
    o.config.reconstruction_head = (vg_config_list){1, {32}};
    o.config.classification_head = (vg_config_list){2, {32, 16}};
    return o;
}

/* What is compared: the model in F32, the yardstick, the model in BF16. */
typedef struct trio {
    vg_model *exact, *rounded, *bf16;
} trio;

static float round_off(float value)
{
    return vg_bf16_to_float(vg_bf16_from_float(value));
}

static trio make_trio(vg_model_options options, uint64_t seed)
{
    trio t;
    t.exact = tiny_model(&bench, &options, seed);
    t.rounded = tiny_model(&bench, &options, seed);
    options.dtype = VG_BF16;
    t.bf16 = tiny_model(&bench, &options, seed);
    vg_tensor flat = vg_parameters_flat_values(vg_model_parameters(t.rounded));
    for (int64_t i = 0; i < vg_tensor_count(&flat); i++)
        ((float *)flat.data)[i] = round_off(((float *)flat.data)[i]);
    vg_tensor masters = vg_parameters_flat_masters(vg_model_parameters(t.bf16));
    vg_tensor values = vg_parameters_flat_values(vg_model_parameters(t.exact));
    assert_true(masters.dtype == VG_F32 && vg_tensor_same_shape(&masters, &values));
    assert_memory_equal(masters.data, values.data, vg_tensor_bytes(&masters)); /* all start alike */
    return t;
}

static void free_trio(trio *t)
{
    vg_model_destroy(t->exact);
    vg_model_destroy(t->rounded);
    vg_model_destroy(t->bf16);
}

static vg_model_batch upload(vg_model *model, int64_t first, bool rounded)
{
    const vg_model_options *o = vg_model_get_options(model);
    int64_t T = o->config.segment_length, segment[BATCH];
    float *signal = malloc((size_t)(BATCH * T) * sizeof *signal), label[BATCH];
    tiny_signal(first, BATCH, T, signal, segment, label);
    for (int64_t i = 0; rounded && i < BATCH * T; i++) signal[i] = round_off(signal[i]);
    vg_model_batch out;
    assert_ok(vg_model_upload(model, BATCH, signal, segment, o->head == VG_HEAD_CLASSIFICATION ? label : NULL,
                              &out));
    free(signal);
    return out;
}

static void forward_backward(vg_model *model, int64_t first, bool rounded)
{
    vg_model_batch batch = upload(model, first, rounded);
    assert_ok(vg_model_zero_gradients(model));
    assert_ok(vg_model_forward(model, &batch, &(vg_pass){VG_PASS_TRAIN, 5, 2}, NULL));
    assert_ok(vg_model_backward(model));
}

/* Squares over all elements of a tensor, summed over several weights and signals: one rounding of a small
 * tensor may be lucky, in the yardstick too. */
typedef struct tally {
    char name[VG_MAX_PARAMETER_NAME + 16];
    double rounded, bf16, exact;
} tally;
enum { TALLIES = 128, SEEDS = 16 };

static void tally_add(tally *tallies, const char *kind, const char *name, const trio *t, vg_tensor exact,
                      vg_tensor rounded, vg_tensor bf16)
{
    tally *entry = tallies;
    char full[sizeof entry->name];
    snprintf(full, sizeof full, "%s%s", kind, name);
    while (*entry->name && strcmp(entry->name, full)) entry++;
    assert_true(entry < tallies + TALLIES);
    memcpy(entry->name, full, sizeof full);
    size_t count = (size_t)vg_tensor_count(&exact);
    float *a = malloc(3 * count * sizeof *a), *b = a + count, *c = b + count;
    assert_ok(vg_model_download(t->exact, exact, a));
    assert_ok(vg_model_download(t->rounded, rounded, b));
    assert_ok(vg_model_download(t->bf16, bf16, c));
    for (size_t i = 0; i < count; i++) {
        entry->exact += (double)a[i] * a[i];
        entry->rounded += ((double)b[i] - a[i]) * ((double)b[i] - a[i]);
        entry->bf16 += ((double)c[i] - a[i]) * ((double)c[i] - a[i]);
    }
    free(a);
}

static void tally_pass(tally *tallies, trio *t, int64_t first)
{
    const char *name;
    vg_tensor exact, rounded, bf16;
    forward_backward(t->exact, first, false);
    forward_backward(t->rounded, first, true);
    forward_backward(t->bf16, first, false);
    for (int i = 0; vg_model_activation(t->exact, i, &name, &exact); i++) {
        assert_true(vg_model_find_activation(t->rounded, name, &rounded));
        assert_true(vg_model_find_activation(t->bf16, name, &bf16));
        if (!strcmp(name, "masking.mask"))
            assert_memory_equal(exact.data, bf16.data, vg_tensor_bytes(&exact));
        if (exact.dtype != VG_F32) continue; /* masks, tokens of a maximum */
        assert_true(bf16.dtype == (strstr(name, "lse") ? VG_F32 : VG_BF16));
        tally_add(tallies, "", name, t, exact, rounded, bf16);
    }
    for (int i = 0; i < vg_model_parameters(t->exact)->count; i++) {
        const vg_parameter *p = vg_model_parameters(t->exact)->list[i],
                           *q = vg_model_parameters(t->rounded)->list[i],
                           *r = vg_model_parameters(t->bf16)->list[i];
        assert_true(r->value.dtype == VG_BF16 && r->gradient.dtype == VG_F32);
        tally_add(tallies, "gradient of ", p->name, t, p->gradient, q->gradient, r->gradient);
    }
}

static void follows(const char *what, vg_model_options options)
{
    tally *tallies = calloc(TALLIES + 1, sizeof *tallies), *worst = tallies;
    double most = 0;
    int compared = 0;
    for (int seed = 0; seed < SEEDS; seed++) {
        trio t = make_trio(options, (uint64_t)(4 + seed));
        tally_pass(tallies, &t, 40 + 3 * seed);
        free_trio(&t);
    }
    for (tally *entry = tallies; *entry->name; entry++, compared++) {
        double size = sqrt(entry->exact), error = sqrt(entry->bf16) / size,
               yardstick = sqrt(entry->rounded) / size;
        double used = error / (granted * (yardstick > stored ? yardstick : stored));
        if (!(used <= 1))
            fail_msg("%s: %s is off by %.3g, rounding weights and signal alone by %.3g", what, entry->name,
                     error, yardstick);
        if (used > most) most = used, worst = entry;
    }
    print_message("%s: %d tensors; %s uses most of what is granted, %.0f %%\n", what, compared, worst->name,
                  100 * most);
    free(tallies);
}

static const char *const pool_names[] = {"pooling: cls", "mean", "max", "last"};

static void activations_and_gradients(void **state)
{
    (void)state;
    vg_model_options o = wide_options(VG_HEAD_RECONSTRUCTION);
    follows("reconstruction", o);
    o.config.norm = VG_NORM_PRE;
    o.config.activation = o.config.conv_activation = VG_ACTIVATION_GELU;
    o.config.position = VG_POSITION_LEARNED;
    o.masking.fill = VG_MASK_LEARNED;
    follows("pre-norm, GELU, learned positions and fill", o);
    vg_model_config_set_dropout(&o.config, 0.2);
    follows("the same with dropout", o);
    /* Three segments are too few for ReLU's units that change sides to be an average: none here. */
    for (int pool = VG_POOL_CLS; pool <= VG_POOL_LAST; pool++) {
        o = wide_options(VG_HEAD_CLASSIFICATION);
        o.config.pooling = pool;
        o.config.norm = pool % 2;
        o.config.activation = o.config.conv_activation = VG_ACTIVATION_GELU;
        o.config.position = VG_POSITION_LEARNED;
        o.config.classification_head.count = 0;
        follows(pool_names[pool], o);
    }
}

static vg_optimizer *make_optimizer(vg_model *model)
{
    vg_optimizer_config config = vg_optimizer_config_default();
    config.clip_norm = 1;
    vg_optimizer *optimizer;
    assert_ok(vg_optimizer_create(bench.kernels, vg_model_parameters(model), &config, NULL, &optimizer));
    return optimizer;
}

static double step(vg_model *model, vg_optimizer *optimizer, int64_t first, double lr, bool rounded)
{
    vg_step done;
    forward_backward(model, first, rounded);
    assert_ok(vg_optimizer_step(optimizer, lr, vg_model_stats(model)));
    assert_ok(vg_optimizer_read_step(optimizer, &done));
    return done.loss / done.count;
}

/* Every value is its master rounded, in the gaps between parameters too. */
static void assert_rounded_masters(vg_model *model)
{
    const vg_parameters *all = vg_model_parameters(model);
    vg_tensor values = vg_parameters_flat_values(all), masters = vg_parameters_flat_masters(all);
    int64_t finer = 0;
    for (int64_t i = 0; i < vg_tensor_count(&values); i++) {
        float master = ((float *)masters.data)[i];
        if (((uint16_t *)values.data)[i] != vg_bf16_from_float(master))
            fail_msg("element %lld is not its master rounded", (long long)i);
        finer += master != round_off(master);
    }
    assert_true(finer > vg_parameters_total(all) / 2);
}

/* Steps of a thousandth of a weight would be lost in BF16; the losses of ten of them follow those in F32. */
static void ten_steps(void **state)
{
    (void)state;
    for (int head = VG_HEAD_RECONSTRUCTION; head <= VG_HEAD_CLASSIFICATION; head++) {
        trio t = make_trio(wide_options((vg_head_kind)head), 4);
        vg_optimizer *a = make_optimizer(t.exact), *b = make_optimizer(t.rounded),
                     *c = make_optimizer(t.bf16);
        double exact[STEPS], rounded[STEPS], bf16[STEPS];
        for (int i = 0; i < STEPS; i++) {
            exact[i] = step(t.exact, a, 3 * i, 1e-3, false);
            rounded[i] = step(t.rounded, b, 3 * i, 1e-3, true);
            bf16[i] = step(t.bf16, c, 3 * i, 1e-3, false);
        }
        double yardstick = tiny_difference(rounded, exact, STEPS),
               error = tiny_difference(bf16, exact, STEPS);
        print_message("head %d: losses of ten steps %.4f .. %.4f are off by %.2g, the yardstick's by %.2g\n",
                      head, exact[0], exact[STEPS - 1], error, yardstick);
        double allowed = granted * (yardstick > stored ? yardstick : stored);
        if (!(error <= allowed)) fail_msg("losses off by %g, allowed %g", error, allowed);
        assert_rounded_masters(t.bf16);
        vg_optimizer_destroy(a);
        vg_optimizer_destroy(b);
        vg_optimizer_destroy(c);
        free_trio(&t);
    }
}

static void one_batch_is_learnt_by_heart(void **state)
{
    (void)state;
    for (int head = VG_HEAD_RECONSTRUCTION; head <= VG_HEAD_CLASSIFICATION; head++) {
        vg_model_options options = wide_options((vg_head_kind)head);
        options.config.segment_length = 23;
        options.dtype = VG_BF16;
        vg_model *model = tiny_model(&bench, &options, 1);
        vg_optimizer *optimizer = make_optimizer(model);
        double before = step(model, optimizer, 0, 3e-3, false), after = before;
        for (int i = 0; i < 100 + 100 * head; i++) after = step(model, optimizer, 0, 3e-3, false);
        print_message("head %d: loss %.4f -> %.5f\n", head, before, after);
        if (!(after < 0.05 * before)) fail_msg("loss %g -> %g", before, after);
        vg_optimizer_destroy(optimizer);
        vg_model_destroy(model);
    }
}

/* Six steps in one go, and three, saved, read by others, and three more: the same bits. */
static void resume_is_exact(void **state)
{
    (void)state;
    char *folder = support_temp_dir(), *weights = support_path(folder, "model.safetensors"),
         *moments = support_path(folder, "optimizer.safetensors");
    vg_model_options options = wide_options(VG_HEAD_RECONSTRUCTION);
    vg_model_config_set_dropout(&options.config, 0.1);
    options.dtype = VG_BF16;
    vg_model *whole = tiny_model(&bench, &options, 1), *parts = tiny_model(&bench, &options, 1);
    vg_optimizer *a = make_optimizer(whole), *b = make_optimizer(parts);
    for (int i = 0; i < 6; i++) {
        double x = step(whole, a, i, 1e-3, false), y = step(parts, b, i, 1e-3, false);
        assert_true(x == y);
        if (i != 2) continue;
        assert_ok(vg_model_save(parts, weights, NULL, 0));
        assert_ok(vg_optimizer_save(b, moments));
        vg_optimizer_destroy(b);
        vg_model_destroy(parts);
        parts = tiny_model(&bench, &options, 77);
        b = make_optimizer(parts);
        assert_ok(vg_model_load(parts, weights, NULL, NULL));
        assert_ok(vg_optimizer_load(b, moments));
    }
    vg_tensor x = vg_parameters_flat_masters(vg_model_parameters(whole)),
              y = vg_parameters_flat_masters(vg_model_parameters(parts));
    assert_memory_equal(x.data, y.data, vg_tensor_bytes(&x));
    assert_rounded_masters(parts);
    vg_optimizer_destroy(a);
    vg_optimizer_destroy(b);
    vg_model_destroy(whole);
    vg_model_destroy(parts);
    free(folder);
    free(weights);
    free(moments);
}

/* A file has no type of its own: what BF16 wrote F32 reads, with every bit of the masters, and back; and its
 * optimiser's state fits too. */
static void files_fit_either_type(void **state)
{
    (void)state;
    char *folder = support_temp_dir(), *path = support_path(folder, "model.safetensors"),
         *again = support_path(folder, "again.safetensors"), *moments = support_path(folder, "moments");
    vg_model_options options = wide_options(VG_HEAD_RECONSTRUCTION);
    vg_model *f32 = tiny_model(&bench, &options, 8);
    options.dtype = VG_BF16;
    vg_model *bf16 = tiny_model(&bench, &options, 9), *other = tiny_model(&bench, &options, 10);
    vg_optimizer *a = make_optimizer(bf16), *b = make_optimizer(f32);
    (void)step(bf16, a, 0, 1e-3, false);
    assert_ok(vg_model_save(bf16, path, NULL, 0));
    assert_ok(vg_optimizer_save(a, moments));
    assert_ok(vg_model_load(f32, path, NULL, NULL));
    assert_ok(vg_optimizer_load(b, moments));
    assert_ok(vg_model_save(f32, again, NULL, 0));
    size_t size, size_again;
    char *bytes = support_read_file(path, &size), *bytes_again = support_read_file(again, &size_again);
    assert_true(size == size_again);
    assert_memory_equal(bytes, bytes_again, size);
    assert_ok(vg_model_load(other, again, NULL, NULL));
    vg_tensor x = vg_parameters_flat_masters(vg_model_parameters(bf16)),
              y = vg_parameters_flat_masters(vg_model_parameters(other)),
              z = vg_parameters_flat_values(vg_model_parameters(f32));
    assert_memory_equal(x.data, y.data, vg_tensor_bytes(&x));
    assert_memory_equal(x.data, z.data, vg_tensor_bytes(&x));
    assert_rounded_masters(other);

    /* Without training there are no masters: the same answers, and a file of rounded values. */
    options.training = false;
    vg_model *inference = tiny_model(&bench, &options, 11);
    assert_true(vg_parameters_flat_masters(vg_model_parameters(inference)).dtype == VG_BF16);
    assert_ok(vg_model_load(inference, path, NULL, NULL));
    vg_model_batch p = upload(bf16, 5, false), q = upload(inference, 5, false);
    vg_tensor out, same;
    vg_pass pass = {VG_PASS_PREDICT, 1, 1};
    assert_ok(vg_model_forward(bf16, &p, &pass, &out));
    assert_ok(vg_model_forward(inference, &q, &pass, &same));
    assert_memory_equal(out.data, same.data, vg_tensor_bytes(&out));
    assert_ok(vg_model_save(inference, again, NULL, 0));
    assert_ok(vg_model_load(f32, again, NULL, NULL));
    for (int64_t i = 0; i < vg_tensor_count(&z); i++)
        assert_true(((float *)z.data)[i] == round_off(((float *)x.data)[i]));

    vg_optimizer_destroy(a);
    vg_optimizer_destroy(b);
    vg_model_destroy(f32);
    vg_model_destroy(bf16);
    vg_model_destroy(other);
    vg_model_destroy(inference);
    free(bytes);
    free(bytes_again);
    free(folder);
    free(path);
    free(again);
    free(moments);
}

/* The host speaks F32; a gradient is one anyway. */
static void set_and_get(void **state)
{
    (void)state;
    vg_model_options options = tiny_options(VG_HEAD_RECONSTRUCTION);
    options.dtype = VG_BF16;
    for (int training = 0; training < 2; training++) {
        options.training = training;
        vg_model *model = tiny_model(&bench, &options, 1);
        vg_parameters *all = vg_model_parameters(model);
        vg_parameter *p = vg_parameters_find(all, "encoder.cls");
        float given[6] = {1, 1.001f, -3.14159f, 1e-30f, 0, 7}, back[6];
        assert_ok(vg_parameters_set(all, &p->value, given));
        assert_ok(vg_parameters_get(all, &p->value, back));
        for (int i = 0; i < 6; i++) {
            assert_true(back[i] == (training ? given[i] : round_off(given[i])));
            assert_true(((uint16_t *)p->value.data)[i] == vg_bf16_from_float(given[i]));
        }
        if (training) {
            assert_ok(vg_parameters_set(all, &p->gradient, given));
            assert_ok(vg_parameters_get(all, &p->gradient, back));
            assert_memory_equal(given, back, sizeof given);
        }
        vg_model_destroy(model);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(activations_and_gradients),    cmocka_unit_test(ten_steps),
        cmocka_unit_test(one_batch_is_learnt_by_heart), cmocka_unit_test(resume_is_exact),
        cmocka_unit_test(files_fit_either_type),        cmocka_unit_test(set_and_get),
    };
    return cmocka_run_group_tests(tests, open_bench, close_bench);
}
