/* The experiment's schema and the files that users start from. */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#include "core/file.h"
#include "experiments/runner/bench/bench.h"
#include "experiments/runner/experiment.h"
#include "experiments/runner/plan/plan.h"
#include "tests/support/support.h"

static void test_schema_is_sound(void **state)
{
    (void)state;
    assert_ok(vg_schema_check(&vg_experiment_schema));
    assert_ok(vg_schema_check(&vg_bench_schema));
    assert_ok(vg_schema_check(&vg_plan_schema));
}

/* Every YAML file under experiments/pretrain and finetune loads, and prints to a text that loads to itself.
 */
static void test_shipped_files_load(void **state)
{
    (void)state;
    static const char *const folders[] = {"experiments/pretrain", "experiments/finetune"};
    int files = 0;
    for (int f = 0; f < 2; f++) {
        char *folder = support_path(getenv("VAGUS_SOURCE"), folders[f]), **names;
        size_t count;
        assert_ok(vg_folder_list(folder, &names, &count));
        for (size_t i = 0; i < count; i++) {
            if (!strstr(names[i], ".yaml")) continue;
            char *path = support_path(folder, names[i]), *text, *again;
            vg_experiment experiment;
            vg_yaml *yaml;
            assert_ok(vg_experiment_load(path, NULL, 0, &experiment));
            assert_ok(vg_schema_print(&vg_experiment_schema, &experiment, &text));
            vg_experiment_free(&experiment);
            assert_ok(vg_yaml_parse(text, strlen(text), path, &yaml));
            assert_ok(vg_schema_load(&vg_experiment_schema, &experiment, vg_yaml_root(yaml)));
            assert_ok(vg_schema_print(&vg_experiment_schema, &experiment, &again));
            assert_string_equal(text, again);
            vg_experiment_free(&experiment);
            vg_yaml_destroy(yaml);
            free(text);
            free(again);
            free(path);
            files++;
        }
        vg_names_free(names, count);
        free(folder);
    }
    assert_true(files >= 5);
}

static void test_extends_and_overrides(void **state)
{
    (void)state;
    static const char base[] =
        "name: base\noutput_dir: a\ndata: {stores: [s.h5]}\noptimizer: {lr: 0.5, beta1: 0.5}\n";
    static const char child[] = "extends: base.yaml\nname: child\noptimizer: {learning_rate: 0.25}\n";
    char *folder = support_temp_dir(), *base_path = support_path(folder, "base.yaml"),
         *child_path = support_path(folder, "child.yaml");
    support_write_file(base_path, base, strlen(base));
    support_write_file(child_path, child, strlen(child));
    const char *const overrides[] = {"optimizer.beta2=0.75", "data.stores=[x.h5, y.h5]"};
    vg_experiment e;
    assert_ok(vg_experiment_load(child_path, overrides, 2, &e));
    assert_string_equal(e.name, "child");
    assert_string_equal(e.output_dir, "a");
    assert_true(e.optimizer.lr == 0.25 && e.optimizer.beta1 == 0.5 && e.optimizer.beta2 == 0.75);
    assert_int_equal(e.data.stores.count, 2);
    assert_string_equal(e.data.stores.items[1], "y.h5");
    assert_string_equal(vg_experiment_choice(&e, "optimizer.kind"), "adam");
    vg_experiment_free(&e);
    vg_experiment_free(&e);
    free(folder);
    free(base_path);
    free(child_path);
}

/* experiments/REFERENCE.md is what the schema says. VAGUS_UPDATE=1 writes it anew. */
static void test_reference_is_current(void **state)
{
    (void)state;
    char *path = support_path(getenv("VAGUS_SOURCE"), "experiments/REFERENCE.md"), *text;
    assert_ok(vg_schema_markdown(&vg_experiment_schema, &text));
    if (getenv("VAGUS_UPDATE")) support_write_file(path, text, strlen(text));
    char *page = support_read_file(path, NULL);
    if (strcmp(page, text)) fail_msg("%s is out of date; run this test with VAGUS_UPDATE=1", path);
    free(page);
    free(text);
    free(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_schema_is_sound),
        cmocka_unit_test(test_shipped_files_load),
        cmocka_unit_test(test_extends_and_overrides),
        cmocka_unit_test(test_reference_is_current),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
