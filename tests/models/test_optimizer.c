/* Adam and AdamW against their formulas, written out again here in double, over ten steps with made-up
 * gradients; clipping, decay, freezing; state that is saved and read back. */
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

enum { PARAMETERS = 4, STEPS = 10 };

typedef struct case_list {
    vg_parameters parameters;
    vg_parameter *p[PARAMETERS];
    vg_tensor stats;
    double sums[2];
} case_list;

/* Two matrices and two vectors, one of each under "encoder.", sizes that leave gaps. */
static void make_case(case_list *c)
{
    static const char *const names[PARAMETERS] = {"encoder.a.weight", "encoder.a.bias", "head.b.weight",
                                                  "head.b.bias"};
    *c = (case_list){.parameters = vg_parameters_make(VG_F64)};
    for (int i = 0; i < PARAMETERS; i++)
        assert_ok(vg_parameters_declare(&c->parameters, names[i], (vg_init){VG_INIT_NORMAL, 0.5}, i % 2 == 0,
                                        VG_DIMS(i + 2, 3), &c->p[i]));
    assert_ok(vg_parameters_plan(&c->parameters, true));
    assert_ok(vg_parameters_bind(&c->parameters, bench.device));
    assert_ok(vg_parameters_initialize(&c->parameters, 4));
    c->stats = vg_tensor_make(c->sums, VG_F64, VG_DIMS(2));
}

static double made_up_gradient(int step, int parameter, int64_t i)
{
    return sin(0.7 * step + 1.3 * parameter + 0.9 * (double)i) * (1 + parameter);
}

static void fill_gradients(case_list *c, int step)
{
    for (int k = 0; k < PARAMETERS; k++)
        for (int64_t i = 0; i < vg_tensor_count(&c->p[k]->value); i++)
            ((double *)c->p[k]->gradient.data)[i] = made_up_gradient(step, k, i);
    c->sums[0] = 0.5 * step;
    c->sums[1] = 3; /* gradients are sums over three samples */
}

static void compare_with_formula(vg_optimizer_config config)
{
    case_list c;
    make_case(&c);
    vg_optimizer *optimizer;
    assert_ok(vg_optimizer_create(bench.kernels, &c.parameters, &config, NULL, &optimizer));
    double p[PARAMETERS][32], m[PARAMETERS][32] = {{0}}, v[PARAMETERS][32] = {{0}};
    for (int k = 0; k < PARAMETERS; k++) memcpy(p[k], c.p[k]->value.data, vg_tensor_bytes(&c.p[k]->value));
    for (int step = 1; step <= STEPS; step++) {
        double lr = 0.01 / step, norm = 0;
        fill_gradients(&c, step);
        for (int k = 0; k < PARAMETERS; k++)
            for (int64_t i = 0; i < vg_tensor_count(&c.p[k]->value); i++)
                if (!config.frozen_prefix || k >= 2) norm += pow(made_up_gradient(step, k, i) / 3, 2);
        norm = sqrt(norm);
        for (int k = 0; k < PARAMETERS; k++)
            for (int64_t i = 0; i < vg_tensor_count(&c.p[k]->value); i++) {
                if (config.frozen_prefix && k < 2) continue;
                double g = made_up_gradient(step, k, i) / 3;
                double decay = config.decay_matrices_only && k % 2 ? 0 : config.weight_decay;
                if (config.clip_norm > 0 && norm > config.clip_norm) g *= config.clip_norm / (norm + 1e-6);
                if (config.kind == VG_OPTIMIZER_ADAM)
                    g += decay * p[k][i];
                else
                    p[k][i] -= lr * decay * p[k][i];
                m[k][i] = config.beta1 * m[k][i] + (1 - config.beta1) * g;
                v[k][i] = config.beta2 * v[k][i] + (1 - config.beta2) * g * g;
                double mean = m[k][i] / (1 - pow(config.beta1, step));
                double square = v[k][i] / (1 - pow(config.beta2, step));
                p[k][i] -= lr * mean / (sqrt(square) + config.epsilon);
            }
        assert_ok(vg_optimizer_step(optimizer, lr, c.stats));
        vg_step read;
        assert_ok(vg_optimizer_read_step(optimizer, &read));
        if (!(fabs(read.norm - norm) <= 1e-12 * norm)) fail_msg("norm %.15g, want %.15g", read.norm, norm);
        assert_true(read.loss == c.sums[0] && read.count == c.sums[1]);
        for (int k = 0; k < PARAMETERS; k++) {
            double off = tiny_difference(c.p[k]->value.data, p[k], vg_tensor_count(&c.p[k]->value));
            if (!(off <= 1e-12)) fail_msg("step %d: %s is off by %g", step, c.p[k]->name, off);
        }
    }
    assert_int_equal(vg_optimizer_steps(optimizer), STEPS);
    vg_optimizer_destroy(optimizer);
    vg_parameters_free(&c.parameters);
}

static void formulas(void **state)
{
    (void)state;
    for (int variant = 0; variant < 16; variant++) {
        vg_optimizer_config config = vg_optimizer_config_default();
        config.kind = variant & 1 ? VG_OPTIMIZER_ADAMW : VG_OPTIMIZER_ADAM;
        config.weight_decay = 0.1;
        config.decay_matrices_only = variant & 2;
        config.clip_norm = variant & 4 ? 0.8 : 0;
        config.frozen_prefix = variant & 8 ? "encoder." : NULL;
        compare_with_formula(config);
    }
}

static void nothing_counted_changes_nothing(void **state)
{
    (void)state;
    case_list c;
    make_case(&c);
    vg_optimizer_config config = vg_optimizer_config_default();
    vg_optimizer *optimizer;
    assert_ok(vg_optimizer_create(bench.kernels, &c.parameters, &config, NULL, &optimizer));
    vg_tensor flat = vg_parameters_flat_values(&c.parameters);
    double *before = malloc(vg_tensor_bytes(&flat));
    vg_step read;
    memcpy(before, flat.data, vg_tensor_bytes(&flat));
    fill_gradients(&c, 1);
    c.sums[1] = 0;
    assert_ok(vg_optimizer_step(optimizer, 1, c.stats));
    assert_memory_equal(before, flat.data, vg_tensor_bytes(&flat));
    assert_ok(vg_optimizer_read_step(optimizer, &read));
    assert_true(read.norm == 0 && read.count == 0);
    free(before);
    vg_optimizer_destroy(optimizer);
    vg_parameters_free(&c.parameters);
}

/* Six steps in one go, and three, saved, read into a new optimiser, and three more: the same bits. */
static void state_comes_back(void **state)
{
    (void)state;
    char *folder = support_temp_dir(), *path = support_path(folder, "optimizer.safetensors");
    vg_optimizer_config config = vg_optimizer_config_default();
    config.clip_norm = 0.5;
    case_list whole, parts;
    make_case(&whole);
    make_case(&parts);
    vg_optimizer *a, *b;
    assert_ok(vg_optimizer_create(bench.kernels, &whole.parameters, &config, NULL, &a));
    assert_ok(vg_optimizer_create(bench.kernels, &parts.parameters, &config, NULL, &b));
    for (int step = 1; step <= 6; step++) {
        fill_gradients(&whole, step);
        fill_gradients(&parts, step);
        assert_ok(vg_optimizer_step(a, 0.01, whole.stats));
        assert_ok(vg_optimizer_step(b, 0.01, parts.stats));
        if (step != 3) continue;
        assert_ok(vg_optimizer_save(b, path));
        vg_optimizer_destroy(b);
        assert_ok(vg_optimizer_create(bench.kernels, &parts.parameters, &config, NULL, &b));
        assert_ok(vg_optimizer_load(b, path));
        assert_int_equal(vg_optimizer_steps(b), 3);
    }
    vg_tensor x = vg_parameters_flat_values(&whole.parameters),
              y = vg_parameters_flat_values(&parts.parameters);
    assert_memory_equal(x.data, y.data, vg_tensor_bytes(&x));

    vg_optimizer *other;
    config.kind = VG_OPTIMIZER_ADAMW;
    assert_ok(vg_optimizer_create(bench.kernels, &parts.parameters, &config, NULL, &other));
    assert_fails(vg_optimizer_load(other, path), VG_ERR_DATA, "'adam'");
    vg_optimizer_destroy(other);
    vg_model_options options = tiny_options(VG_HEAD_RECONSTRUCTION);
    vg_model *model = tiny_model(&bench, &options, 1);
    config.kind = VG_OPTIMIZER_ADAM;
    assert_ok(vg_optimizer_create(bench.kernels, vg_model_parameters(model), &config, NULL, &other));
    assert_fails(vg_optimizer_load(other, path), VG_ERR_DATA, "another model");
    vg_optimizer_destroy(other);
    vg_model_destroy(model);

    vg_optimizer_destroy(a);
    vg_optimizer_destroy(b);
    vg_parameters_free(&whole.parameters);
    vg_parameters_free(&parts.parameters);
    free(path);
    free(folder);
}

static void refusals(void **state)
{
    (void)state;
    case_list c;
    make_case(&c);
    vg_optimizer *optimizer;
#define REFUSED(text, ...)                                                                                   \
    do {                                                                                                     \
        vg_optimizer_config config = vg_optimizer_config_default();                                          \
        __VA_ARGS__;                                                                                         \
        assert_fails(vg_optimizer_create(bench.kernels, &c.parameters, &config, NULL, &optimizer),           \
                     VG_ERR_CONFIG, text);                                                                   \
    } while (0)
    REFUSED("beta1", config.beta1 = 1);
    REFUSED("beta2", config.beta2 = NAN);
    REFUSED("epsilon", config.epsilon = 0);
    REFUSED("weight_decay", config.weight_decay = -1);
    REFUSED("clip_norm", config.clip_norm = INFINITY);
    REFUSED("kind", config.kind = (vg_optimizer_kind)7);
#undef REFUSED
    vg_parameters_free(&c.parameters);
    c.parameters = vg_parameters_make(VG_F32);
    assert_ok(vg_parameters_declare(&c.parameters, "encoder.x", (vg_init){VG_INIT_ONES, 0}, true, VG_DIMS(2),
                                    &c.p[0]));
    assert_ok(vg_parameters_plan(&c.parameters, true));
    assert_ok(vg_parameters_bind(&c.parameters, bench.device));
    vg_optimizer_config config = vg_optimizer_config_default();
    config.frozen_prefix = "encoder.";
    assert_fails(vg_optimizer_create(bench.kernels, &c.parameters, &config, NULL, &optimizer), VG_ERR_CONFIG,
                 "nothing to train");
    vg_parameters_free(&c.parameters);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(formulas),
        cmocka_unit_test(nothing_counted_changes_nothing),
        cmocka_unit_test(state_comes_back),
        cmocka_unit_test(refusals),
    };
    return cmocka_run_group_tests(tests, open_bench, close_bench);
}
