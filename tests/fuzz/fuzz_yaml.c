/* Experiment files: what is read is printed and reads back to the same; then the experiments' schema on it.
 */
#include "core/yaml.h"
#include "experiments/runner/experiment.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    vg_yaml *yaml, *again;
    char *text, *second;
    if (!fuzz_good(vg_yaml_parse((const char *)data, size, "input", &yaml))) return 0;
    FUZZ_CHECK(vg_yaml_print(vg_yaml_root(yaml), &text) == VG_OK);
    FUZZ_CHECK(vg_yaml_parse(text, strlen(text), "what was printed", &again) == VG_OK);
    FUZZ_CHECK(vg_yaml_print(vg_yaml_root(again), &second) == VG_OK);
    FUZZ_CHECK(strcmp(text, second) == 0);
    free(text);
    free(second);
    vg_yaml_destroy(again);

    vg_experiment experiment;
    if (vg_yaml_root(yaml)->kind == VG_YAML_MAPPING &&
        fuzz_good(vg_schema_normalize(&vg_experiment_schema, yaml)) &&
        fuzz_good(vg_schema_load(&vg_experiment_schema, &experiment, vg_yaml_root(yaml)))) {
        FUZZ_CHECK(vg_schema_print(&vg_experiment_schema, &experiment, &text) == VG_OK);
        free(text);
        vg_experiment_free(&experiment);
    }
    vg_yaml_destroy(yaml);
    return 0;
}
