/* Parameters: how they start, how they are stored, and what a file that does not fit is told. */
#include <math.h>

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

static bool same_value(const vg_parameter *a, const vg_parameter *b)
{
    return vg_tensor_same_shape(&a->value, &b->value) &&
           !memcmp(a->value.data, b->value.data, vg_tensor_bytes(&a->value));
}

/* Same seed, same weights; a model with more parameters starts with the same ones where names agree. */
static void start_depends_on_seed_and_name(void **state)
{
    (void)state;
    vg_model_options o = tiny_options(VG_HEAD_RECONSTRUCTION);
    vg_model *a = tiny_model(&bench, &o, 1), *b = tiny_model(&bench, &o, 1), *c = tiny_model(&bench, &o, 2);
    o.head = VG_HEAD_CLASSIFICATION;
    o.config.layers = 3;
    o.config.position = VG_POSITION_LEARNED;
    vg_model *d = tiny_model(&bench, &o, 1);
    int shared = 0, changed = 0;
    vg_parameters *all = vg_model_parameters(a);
    for (int i = 0; i < all->count; i++) {
        const vg_parameter *p = all->list[i];
        assert_true(same_value(p, vg_parameters_find(vg_model_parameters(b), p->name)));
        changed += !same_value(p, vg_parameters_find(vg_model_parameters(c), p->name));
        const vg_parameter *q = vg_parameters_find(vg_model_parameters(d), p->name);
        if (!q) continue;
        shared++;
        if (!same_value(p, q)) fail_msg("%s depends on other parameters", p->name);
    }
    assert_true(shared > 20 && changed > 10);
    vg_model_destroy(a);
    vg_model_destroy(b);
    vg_model_destroy(c);
    vg_model_destroy(d);
}

static void moments(const vg_parameter *p, double *mean, double *deviation, double *largest)
{
    int64_t count = vg_tensor_count(&p->value);
    const float *value = p->value.data;
    double sum = 0, squares = 0;
    *largest = 0;
    for (int64_t i = 0; i < count; i++) {
        sum += value[i];
        squares += (double)value[i] * value[i];
        if (fabs(value[i]) > *largest) *largest = fabs(value[i]);
    }
    *mean = sum / (double)count;
    *deviation = sqrt(squares / (double)count - *mean * *mean);
}

/* PyTorch's defaults at the paper's size, and the paper's number of parameters. */
static void starts_as_pytorch_does(void **state)
{
    (void)state;
    vg_model_options o = {.config = vg_model_config_default(),
                          .masking = vg_masking_config_default(),
                          .head = VG_HEAD_RECONSTRUCTION,
                          .max_batch = 1,
                          .dtype = VG_F32};
    vg_model *model = tiny_model(&bench, &o, 1);
    const vg_parameters *all = vg_model_parameters(model);
    static const struct {
        const char *name;
        double bound; /* of a uniform distribution; 0: constant */
    } want[] = {
        {"encoder.conv.0.weight", 0.12403473458920847},                 /* 1 / sqrt(65) */
        {"encoder.conv.2.weight", 0.021437323142813602},                /* 1 / sqrt(17 * 128) */
        {"encoder.layers.0.attention.qkv.weight", 0.07654655446197431}, /* sqrt(6 / 1024) */
        {"encoder.layers.1.attention.out.weight", 0.0625},              /* 1 / sqrt(256) */
        {"encoder.layers.1.linear2.weight", 0.03125},                   /* 1 / sqrt(1024) */
        {"head.reconstruction.0.weight", 0.0625},
    };
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        const vg_parameter *p = vg_parameters_find(all, want[i].name);
        assert_non_null(p);
        double mean, deviation, largest, b = want[i].bound;
        moments(p, &mean, &deviation, &largest);
        if (!(largest <= b * (1 + 1e-6) && largest > 0.99 * b && fabs(deviation / (b / sqrt(3)) - 1) < 0.03 &&
              fabs(mean) < 0.03 * b))
            fail_msg("%s: mean %g, deviation %g, largest %g, bound %g", p->name, mean, deviation, largest, b);
    }
    const float *one = vg_parameters_find(all, "encoder.layers.0.norm1.weight")->value.data;
    const float *zero = vg_parameters_find(all, "encoder.layers.0.attention.qkv.bias")->value.data;
    assert_true(one[0] == 1 && one[255] == 1 && zero[0] == 0 && zero[767] == 0);

    /* Counted by hand: convolutions 64*66 + 128*(64*33 + 1) + 256*(128*17 + 1), norm 128, CLS 256, two layers
     * of 4*(256*256 + 256) + 256*1024 + 1024 + 1024*256 + 256 + 4*256, head 256*128 + 128 + 128 + 1. */
    int64_t encoder = 64 * 66 + 128 * (64 * 33 + 1) + 256 * (128 * 17 + 1) + 128 + 256 +
                      2 * (4 * (256 * 256 + 256) + 256 * 1024 + 1024 + 1024 * 256 + 256 + 4 * 256);
    assert_int_equal(vg_parameters_total(all), encoder + 256 * 128 + 128 + 128 + 1);
    print_message("paper's size: %lld parameters in the encoder\n", (long long)encoder);
    vg_model_destroy(model);
}

static void save_and_load(void **state)
{
    (void)state;
    char *folder = support_temp_dir(), *path = support_path(folder, "model.safetensors");
    vg_model_options o = tiny_options(VG_HEAD_RECONSTRUCTION), back;
    o.masking.fill = VG_MASK_LEARNED;
    o.config.norm = VG_NORM_PRE;
    vg_model *a = tiny_model(&bench, &o, 1), *b = tiny_model(&bench, &o, 2);
    vg_text_pair extra = {"note", "kept"};
    assert_ok(vg_model_save(a, path, &extra, 1));
    assert_ok(vg_model_read_options(path, &back));
    assert_int_equal(back.head, VG_HEAD_RECONSTRUCTION);
    assert_int_equal(back.masking.fill, VG_MASK_LEARNED);
    assert_false(vg_model_config_differs(&back.config, &o.config, true, NULL, 0));
    vg_load_report report;
    assert_ok(vg_model_load(b, path, NULL, &report));
    assert_int_equal(report.loaded, vg_model_parameters(a)->count);
    assert_int_equal(report.fresh + report.ignored, 0);
    vg_tensor x = vg_parameters_flat_values(vg_model_parameters(a)),
              y = vg_parameters_flat_values(vg_model_parameters(b));
    assert_memory_equal(x.data, y.data, vg_tensor_bytes(&x));

    /* Fine-tuning takes the encoder and starts its head anew. */
    o.head = VG_HEAD_CLASSIFICATION;
    vg_model *c = tiny_model(&bench, &o, 3);
    assert_ok(vg_model_load(c, path, "encoder.", &report));
    assert_int_equal(report.fresh, 6);
    assert_string_equal(report.first_fresh, "head.classification.0.weight");
    assert_int_equal(report.ignored, 5); /* the fill, and two linear layers */
    vg_parameters *all = vg_model_parameters(a);
    for (int i = 0; i < all->count; i++) {
        const vg_parameter *p = vg_parameters_find(vg_model_parameters(c), all->list[i]->name);
        assert_true(!p || same_value(p, all->list[i]));
    }
    vg_model_destroy(a);
    vg_model_destroy(b);
    vg_model_destroy(c);
    free(path);
    free(folder);
}

static void refuse(const char *path, vg_model_options options, const char *prefix, const char *text)
{
    vg_model *model = tiny_model(&bench, &options, 8), *same = tiny_model(&bench, &options, 8);
    assert_fails(vg_model_load(model, path, prefix, NULL), VG_ERR_DATA, text);
    assert_non_null(strstr(vg_cause(), path));
    vg_tensor x = vg_parameters_flat_values(vg_model_parameters(model)),
              y = vg_parameters_flat_values(vg_model_parameters(same));
    assert_memory_equal(x.data, y.data, vg_tensor_bytes(&x)); /* a refused file changes nothing */
    vg_model_destroy(model);
    vg_model_destroy(same);
}

/* A checkpoint of another model: the message names the switch or the tensor. */
static void other_models_are_refused(void **state)
{
    (void)state;
    char *folder = support_temp_dir(), *path = support_path(folder, "model.safetensors");
    vg_model_options o = tiny_options(VG_HEAD_RECONSTRUCTION), other;
    vg_model *model = tiny_model(&bench, &o, 1);
    assert_ok(vg_model_save(model, path, NULL, 0));

    other = o;
    other.config.layers = 3;
    refuse(path, other, NULL, "layers (3 here, 2 there)");
    other = o;
    other.config.heads = 3; /* shapes agree, the meaning does not */
    refuse(path, other, "encoder.", "heads");
    other = o;
    other.config.norm = VG_NORM_PRE;
    refuse(path, other, "encoder.", "norm");
    other = o;
    other.config.reconstruction_head = (vg_config_list){1, {8}};
    refuse(path, other, NULL, "head.reconstruction.0.weight is (7, 6) F32 in the file and (8, 6) F32");
    other = o;
    other.config.reconstruction_head = (vg_config_list){2, {7, 7}};
    refuse(path, other, NULL, "head.reconstruction.1.weight");
    other = o;
    other.config.reconstruction_head = (vg_config_list){0};
    refuse(path, other, NULL, "head.reconstruction");
    other = o;
    other.masking.fill = VG_MASK_LEARNED;
    refuse(path, other, NULL, "lacks the tensor masking.fill");
    other = o;
    other.head = VG_HEAD_CLASSIFICATION;
    refuse(path, other, NULL, "reconstruction head");
    refuse(path, o, "decoder.", "nothing that starts with 'decoder.'");

    /* One tensor too many. */
    assert_ok(vg_parameters_save(vg_model_parameters(model), path, NULL, 0));
    assert_fails(vg_model_load(model, path, NULL, NULL), VG_ERR_DATA, "not a model written by vagus");
    other = o;
    other.masking.fill = VG_MASK_LEARNED;
    vg_model *more = tiny_model(&bench, &other, 1);
    assert_ok(vg_parameters_save(vg_model_parameters(more), path, NULL, 0));
    assert_fails(vg_parameters_load(vg_model_parameters(model), path, NULL, NULL), VG_ERR_DATA,
                 "holds the tensor masking.fill");

    support_write_file(path, "nonsense", 8);
    assert_int_not_equal(vg_model_load(model, path, NULL, NULL), VG_OK);
    char *nowhere = support_path(folder, "none.safetensors");
    assert_int_not_equal(vg_model_load(model, nowhere, NULL, NULL), VG_OK);
    free(nowhere);
    vg_model_destroy(more);
    vg_model_destroy(model);
    free(path);
    free(folder);
}

static void set_and_get(void **state)
{
    (void)state;
    vg_model_options o = tiny_options(VG_HEAD_RECONSTRUCTION);
    vg_model *model = tiny_model(&bench, &o, 1);
    vg_parameters *all = vg_model_parameters(model);
    vg_parameter *p = vg_parameters_find(all, "encoder.cls");
    float six[6] = {1, 2, 3, 4, 5, 6}, back[6];
    assert_ok(vg_parameters_set(all, &p->value, six));
    assert_ok(vg_parameters_get(all, &p->value, back));
    assert_memory_equal(six, back, sizeof six);
    assert_null(vg_parameters_find(all, "encoder.nothing"));
    vg_model_destroy(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(start_depends_on_seed_and_name),
        cmocka_unit_test(starts_as_pytorch_does),
        cmocka_unit_test(save_and_load),
        cmocka_unit_test(other_models_are_refused),
        cmocka_unit_test(set_and_get),
    };
    return cmocka_run_group_tests(tests, open_bench, close_bench);
}
