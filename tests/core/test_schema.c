/* The schema, through a .def file as a program uses it. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/random.h"
#include "core/schema.h"
#include "tests/support/support.h"

/* Names of an enumeration, listed once and used for the C type and for the schema. */
#define OPTIMIZER_MAP(X) X(adam) X(adamw) X(sgd)
enum {
#define AS_ENUM(name) OPTIMIZER_##name,
    OPTIMIZER_MAP(AS_ENUM)
#undef AS_ENUM
};
#define AS_NAME(name)    #name " | "
#define SMALL_OPTIMIZERS OPTIMIZER_MAP(AS_NAME)

typedef struct small {
#include "core/schema_members.h"
#include "tests/core/small.def"
} small;

static const vg_schema_field fields[] = {
#define VG_SCHEMA_STRUCT small
#include "core/schema_rows.h"
#include "tests/core/small.def"
};
static const vg_schema schema = VG_SCHEMA("small", fields, small);

static vg_yaml *parse(const char *text)
{
    vg_yaml *yaml;
    assert_ok(vg_yaml_parse(text, strlen(text), "a.yaml", &yaml));
    return yaml;
}

static vg_status load(const char *text, small *config)
{
    vg_yaml *yaml = parse(text);
    vg_status status = vg_schema_load(&schema, config, vg_yaml_root(yaml));
    vg_yaml_destroy(yaml);
    return status;
}

static void test_table_is_sound(void **state)
{
    (void)state;
    assert_ok(vg_schema_check(&schema));
    static const struct {
        vg_schema_field row;
        const char *says;
    } cases[] = {
        {{"a", VG_FIELD_INT, 0, "0", "[1, 2]", "", ""}, "default of a:1:1: a must be in [1, 2], not 0"},
        {{"a", VG_FIELD_INT, 0, "x", "", "", ""}, "a must be a whole number"},
        {{"a", VG_FIELD_INT, 0, "0", "[1, ", "", ""}, "'[1, ' cannot be read"},
        {{"a", VG_FIELD_DOUBLE, 0, "0", "[3, 1]", "", ""}, "cannot be read"},
        {{"a", VG_FIELD_ENUM, 0, "x", "", "", ""}, "cannot be read"},
        {{"a", VG_FIELD_ENUM, 0, "x", "y | z", "", ""}, "a must be one of y, z, not 'x'"},
        {{"a", VG_FIELD_BOOL, 0, "null", "or null", "", ""}, "has no null"},
        {{"s.a", VG_FIELD_BOOL, 0, "true", "", "", ""}, "no section was opened for 's.a'"},
        {{"a", VG_FIELD_ALIAS, 0, "b", "", "", ""}, "leads nowhere"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        vg_schema bad = {"bad", &cases[i].row, 1, 64};
        support_assert_fails(vg_schema_check(&bad), VG_ERR_CONFIG, cases[i].says, cases[i].says);
    }
    vg_schema_field twice[] = {{"a", VG_FIELD_BOOL, 0, "true", "", "", ""},
                               {"a", VG_FIELD_BOOL, 1, "true", "", "", ""}};
    vg_schema bad = {"bad", twice, 2, 64};
    assert_fails(vg_schema_check(&bad), VG_ERR_CONFIG, "'a' is listed twice");
}

static void test_defaults(void **state)
{
    (void)state;
    small config;
    assert_ok(load("name: n\n", &config));
    assert_string_equal(config.name, "n");
    assert_true(config.seed == 1);
    assert_string_equal(config.output_dir, "runs/x");
    assert_int_equal(config.train.epochs, 5);
    assert_false(config.train.amp);
    assert_true(config.train.patience == VG_NULL_INT);
    assert_null(config.train.resume);
    assert_int_equal(config.optimizer.kind, OPTIMIZER_adamw);
    assert_true(config.optimizer.lr == 1e-3);
    assert_int_equal(config.optimizer.betas.count, 2);
    assert_true(config.optimizer.betas.items[1] == 0.999);
    assert_true(config.optimizer.clip.norm == 1);
    assert_true(config.optimizer.decay == 0.01);
    assert_int_equal(config.data.stores.count, 0);
    assert_string_equal(config.data.leads.items[0], "I");
    assert_int_equal(config.data.sizes.items[2], 17);
    vg_schema_free(&schema, &config);
    vg_schema_free(&schema, &config);
}

static void test_values(void **state)
{
    (void)state;
    small config;
    assert_ok(
        load("name: \"a: b\"\nseed: 18446744073709551615\ntrain: {epochs: 1000, amp: true, patience: 3, "
             "resume: r}\n"
             "optimizer:\n  kind: sgd\n  learning_rate: 1\n  betas: []\n  clip:\n    norm: null\n  decay: 0\n"
             "data:\n  stores: [a.h5, 'b, c.h5']\n  leads: [III, II]\n",
             &config));
    assert_string_equal(config.name, "a: b");
    assert_true(config.seed == UINT64_MAX);
    assert_int_equal(config.train.epochs, 1000);
    assert_true(config.train.amp);
    assert_int_equal(config.train.patience, 3);
    assert_string_equal(config.train.resume, "r");
    assert_int_equal(config.optimizer.kind, OPTIMIZER_sgd);
    assert_true(config.optimizer.lr == 1);
    assert_int_equal(config.optimizer.betas.count, 0);
    assert_true(isnan(config.optimizer.clip.norm));
    assert_string_equal(config.data.stores.items[1], "b, c.h5");
    assert_string_equal(config.data.leads.items[0], "III");
    char name[16];
    assert_string_equal(
        vg_schema_enum_name(&schema, "optimizer.kind", config.optimizer.kind, name, sizeof name), "sgd");
    assert_string_equal(vg_schema_enum_name(&schema, "optimizer.kind", 9, name, sizeof name), "?");
    vg_schema_free(&schema, &config);
    assert_ok(load("name: n\ntrain:\noptimizer: {}\n", &config));
    vg_schema_free(&schema, &config);
}

static void test_refusals(void **state)
{
    (void)state;
    static const struct {
        const char *text, *says;
    } cases[] = {
        {"name: n\nsede: 1\n", "a.yaml:2:1: unknown key 'sede'; did you mean 'seed'?"},
        {"name: n\noptimizer:\n  lrr: 1\n", "a.yaml:3:3: unknown key 'optimizer.lrr'; did you mean 'lr'?"},
        {"name: n\noptimizer:\n  learning_rat: 1\n", "did you mean 'learning_rate'?"},
        {"name: n\nlr: 1\n", "a.yaml:2:1: unknown key 'lr'; did you mean 'optimizer.lr'?"},
        {"name: n\ntrain:\n  norm: 1\n", "did you mean 'optimizer.clip.norm'?"},
        {"name: n\ntrain:\n  zebra: 1\n",
         "unknown key 'train.zebra'; known here: epochs, amp, patience, resume"},
        {"name: n\nzzzzzz: 1\n", "known here: name, seed, output_dir, train, optimizer, data"},
        {"name: n\noptimizer.lr: 1\n", "a.yaml:2:1: 'optimizer.lr' is a path; in a file write"},
        {"name: n\noptimizer: 3\n", "a.yaml:2:12: optimizer must be a mapping of keys, not '3'"},
        {"name: n\noptimizer: [lr]\n", "optimizer must be a mapping of keys, not a list"},
        {"name: n\noptimizer: {lr: 1, learning_rate: 2}\n",
         "'optimizer.learning_rate' is another name of 'optimizer.lr'"},
        {"name: n\noptimizer:\n  lr: fast\n", "a.yaml:3:7: optimizer.lr must be a number, not 'fast'"},
        {"name: n\noptimizer:\n  lr: 0\n", "a.yaml:3:7: optimizer.lr must be in (0, 1], not 0"},
        {"name: n\noptimizer:\n  lr: 1.0001\n", "must be in (0, 1], not 1.0001"},
        {"name: n\noptimizer:\n  lr: -.inf\n", "must be in (0, 1]"},
        {"name: n\noptimizer:\n  decay: .inf\n", "must be in [0, inf), not .inf"},
        {"name: n\noptimizer:\n  lr: null\n", "optimizer.lr must be a number, not null"},
        {"name: n\noptimizer:\n  kind: adma\n",
         "a.yaml:3:9: optimizer.kind must be one of adam, adamw, sgd, not 'adma'"},
        {"name: n\noptimizer:\n  betas: [0.9, 1]\n", "a.yaml:3:16: optimizer.betas must be in [0, 1), not 1"},
        {"name: n\noptimizer:\n  betas: 0.9\n", "optimizer.betas must be a list, such as [a, b], not '0.9'"},
        {"name: n\ntrain:\n  epochs: 0\n", "a.yaml:3:11: train.epochs must be in [1, 1000] epochs, not 0"},
        {"name: n\ntrain:\n  epochs: 1.5\n", "train.epochs must be a whole number, not '1.5'"},
        {"name: n\ntrain:\n  epochs: \"5\"\n", "train.epochs must be a whole number, not the text \"5\""},
        {"name: n\ntrain:\n  patience: -9223372036854775808\n", "train.patience is too small"},
        {"name: n\ntrain:\n  amp: yes\n", "train.amp must be true or false, not 'yes'"},
        {"name: n\nseed: -1\n", "seed must be a whole number from 0 up"},
        {"name: n\ndata:\n  leads: [I, V9]\n", "a.yaml:3:14: data.leads must be one of I, II, III, not 'V9'"},
        {"name: n\ndata:\n  stores: [a, [b]]\n", "a.yaml:3:15: data.stores must be a text, not a list"},
        {"name: n\ndata:\n  sizes: [65, x]\n", "data.sizes must be a whole number, not 'x'"},
        {"name: [n]\n", "name must be a text, not a list"},
        {"name:\n", "name must be a text, not null"},
        {"seed: 2\n", "a.yaml: the key 'name' is required (Name of the run)"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        small config;
        support_assert_fails(load(cases[i].text, &config), VG_ERR_CONFIG, cases[i].says, cases[i].text);
    }
}

/* A base file, a file over it, and the command line: names unified first, so that an alias overrides its key.
 */
static void test_layers(void **state)
{
    (void)state;
    small config;
    vg_yaml *yaml = parse("name: base\noptimizer:\n  lr: 0.5\n  kind: sgd\n");
    vg_yaml *over = parse("optimizer:\n  learning_rate: 0.25\n");
    assert_ok(vg_schema_normalize(&schema, yaml));
    assert_ok(vg_schema_normalize(&schema, over));
    assert_ok(vg_yaml_merge(yaml, vg_yaml_root(over)));
    vg_yaml_destroy(over);
    assert_string_equal(vg_yaml_find(vg_yaml_root(yaml), "optimizer.lr")->text, "0.25");
    assert_ok(vg_schema_override(&schema, yaml, "optimizer.learning_rate=1e-4"));
    assert_ok(vg_schema_override(&schema, yaml, "name=a=b"));
    assert_ok(vg_schema_override(&schema, yaml, "optimizer.clip={norm: 3}"));
    assert_ok(vg_schema_load(&schema, &config, vg_yaml_root(yaml)));
    assert_true(config.optimizer.lr == 1e-4);
    assert_int_equal(config.optimizer.kind, OPTIMIZER_sgd);
    assert_string_equal(config.name, "a=b");
    assert_true(config.optimizer.clip.norm == 3);
    vg_schema_free(&schema, &config);
    assert_fails(vg_schema_override(&schema, yaml, "optimizer.lrr=1"), VG_ERR_CONFIG,
                 "command line \"optimizer.lrr=1\": unknown key 'optimizer.lrr'; did you mean 'lr'?");
    assert_fails(vg_schema_override(&schema, yaml, "epochs=1"), VG_ERR_CONFIG,
                 "did you mean 'train.epochs'?");
    assert_fails(vg_schema_override(&schema, yaml, "train=1"), VG_ERR_CONFIG, "train must be a mapping");
    assert_ok(vg_schema_override(&schema, yaml, "train.epochs=0"));
    assert_fails(vg_schema_load(&schema, &config, vg_yaml_root(yaml)), VG_ERR_CONFIG,
                 "command line \"train.epochs=0\": train.epochs must be in [1, 1000] epochs, not 0");
    vg_yaml_destroy(yaml);
    yaml = parse("optimizer: {learning_rate: 1, lr: 1}\n");
    assert_fails(vg_schema_normalize(&schema, yaml), VG_ERR_CONFIG, "a.yaml:1:13: 'optimizer.learning_rate'");
    vg_yaml_destroy(yaml);
}

static void test_get_and_set(void **state)
{
    (void)state;
    small config;
    char *text;
    assert_ok(vg_schema_init(&schema, &config));
    assert_null(config.name);
    static const char *const pairs[][2] = {
        {"name", "x"},
        {"optimizer.lr", "0.125"},
        {"train.epochs", "7"},
        {"train.patience", "null"},
        {"train.amp", "true"},
        {"optimizer.kind", "adam"},
        {"data.stores", "[a, b]"},
        {"data.sizes", "[3]"},
        {"seed", "99"},
        {"optimizer.betas", "[0.5, 0.25]"},
        {"train.resume", "r"},
        {"output_dir", "o"},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        assert_ok(vg_schema_set(&schema, &config, pairs[i][0], pairs[i][1]));
        assert_ok(vg_schema_get(&schema, &config, pairs[i][0], &text));
        assert_string_equal(text, pairs[i][1]);
        free(text);
    }
    assert_ok(vg_schema_set(&schema, &config, "optimizer.learning_rate", "0.5"));
    assert_true(config.optimizer.lr == 0.5);
    assert_fails(vg_schema_set(&schema, &config, "optimizer.lr", "2"), VG_ERR_CONFIG, "(0, 1]");
    assert_fails(vg_schema_set(&schema, &config, "data.stores", "[c, [d]]"), VG_ERR_CONFIG, "data.stores");
    assert_true(config.optimizer.lr == 0.5);
    assert_string_equal(config.data.stores.items[1], "b");
    assert_fails(vg_schema_set(&schema, &config, "optimizer", "2"), VG_ERR_CONFIG, "is a section");
    assert_fails(vg_schema_get(&schema, &config, "optimizer.le", &text), VG_ERR_CONFIG, "did you mean 'lr'?");
    assert_null(vg_schema_find(&schema, "optimizer"));
    assert_ptr_equal(vg_schema_find(&schema, "optimizer.learning_rate"),
                     vg_schema_find(&schema, "optimizer.lr"));
    vg_schema_free(&schema, &config);
}

/* What is printed loads to the same bits, and prints the same again. */
static void test_round_trip(void **state)
{
    (void)state;
    vg_random random = vg_random_make(support_seed(), VG_SITE_SYNTHETIC, 9);
    static const char *const names[] = {"x",           "null", "1e-3", "a: b",      "",  " lead",
                                        "caf\xc3\xa9", "#",    "yes",  "new\nline", "\""};
    for (int round = 0; round < 200; round++) {
        small config, again;
        char *text, *twice;
        assert_ok(vg_schema_init(&schema, &config));
        config.seed = (uint64_t)vg_random_word(&random) << 32 | vg_random_word(&random);
        config.train.epochs = 1 + (int64_t)vg_random_below(&random, 1000);
        config.train.patience =
            round % 3 ? VG_NULL_INT : (int64_t)(vg_random_below(&random, INT64_MAX - 1) + 1);
        config.optimizer.lr = vg_random_uniform(&random) * pow(10, -(double)vg_random_below(&random, 300));
        config.optimizer.decay = vg_random_uniform(&random) * pow(10, (double)vg_random_below(&random, 300));
        config.optimizer.clip.norm = round % 2 ? NAN : vg_random_uniform(&random);
        config.optimizer.betas.items[0] = vg_random_uniform(&random);
        config.optimizer.kind = (int)vg_random_below(&random, 3);
        assert_ok(vg_text_copy(names[round % 11], &config.name));
        assert_ok(vg_schema_print(&schema, &config, &text));
        vg_status status = load(text, &again);
        if (status != VG_OK) fail_msg("%s:\n%s", vg_cause(), text);
        assert_ok(vg_schema_print(&schema, &again, &twice));
        assert_string_equal(text, twice);
        assert_string_equal(again.name, config.name);
        assert_true(again.seed == config.seed && again.train.patience == config.train.patience);
        assert_memory_equal(&again.optimizer.lr, &config.optimizer.lr, sizeof(double));
        assert_memory_equal(&again.optimizer.decay, &config.optimizer.decay, sizeof(double));
        assert_memory_equal(again.optimizer.betas.items, config.optimizer.betas.items, 2 * sizeof(double));
        assert_int_equal(isnan(again.optimizer.clip.norm), isnan(config.optimizer.clip.norm));
        free(text);
        free(twice);
        vg_schema_free(&schema, &config);
        vg_schema_free(&schema, &again);
    }
}

static void test_printed_form(void **state)
{
    (void)state;
    small config;
    char *text;
    assert_ok(load("name: run\n", &config));
    assert_ok(vg_schema_print(&schema, &config, &text));
    assert_string_equal(text, "name: run\nseed: 1\noutput_dir: runs/x\n"
                              "train:\n  epochs: 5\n  amp: false\n  patience: null\n  resume: null\n"
                              "optimizer:\n  kind: adamw\n  lr: 0.001\n  betas: [0.9, 0.999]\n"
                              "  clip:\n    norm: 1.0\n  decay: 0.01\n"
                              "data:\n  stores: []\n  leads: [I]\n  sizes: [65, 33, 17]\n");
    free(text);
    vg_schema_free(&schema, &config);
}

static void test_help(void **state)
{
    (void)state;
    char *text;
    assert_ok(vg_schema_help(&schema, &text));
    assert_non_null(strstr(text, "\noptimizer: How the weights change\n"));
    assert_non_null(strstr(text, "  optimizer.lr (also learning_rate): number, (0, 1]; default 1e-3\n"
                                 "      Highest learning rate\n"));
    assert_non_null(strstr(text, "  name: text; required\n"));
    assert_non_null(strstr(text, "whole number of epochs, [1, inf) or null; default null\n"));
    free(text);
    assert_ok(vg_schema_markdown(&schema, &text));
    assert_non_null(strstr(text, "\n## optimizer.clip\nGradient clipping\n"));
    assert_non_null(
        strstr(text, "| `lr` (also learning_rate) | number | 1e-3 | (0, 1] |  | Highest learning rate |\n"));
    assert_non_null(strstr(text, "| I \\| II \\| III |"));
    /* Every key of the table has its line. */
    for (size_t i = 0; i < schema.count; i++) {
        if (fields[i].type == VG_FIELD_SECTION || fields[i].type == VG_FIELD_ALIAS) continue;
        char line[80];
        const char *dot = strrchr(fields[i].path, '.');
        snprintf(line, sizeof line, "\n| `%s`", dot ? dot + 1 : fields[i].path);
        if (!strstr(text, line)) fail_msg("%s is missing", fields[i].path);
    }
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table_is_sound), cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_values),         cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_layers),         cmocka_unit_test(test_get_and_set),
        cmocka_unit_test(test_round_trip),     cmocka_unit_test(test_printed_form),
        cmocka_unit_test(test_help),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
