/* What the importer is told about a set of the catalogue. */
#include <stdlib.h>
#include <string.h>

#include "core/file.h"
#include "datasets/catalogue/fetch.h"

/* The value of the option `subjects`: the set's own table, or ours, written beside the data, where it can be
 * looked at. */
static vg_status place_subjects(const vg_dataset *dataset, const char *folder, char **path)
{
    if (dataset->subjects_file) return vg_path_join(folder, dataset->subjects_file, path);
    VG_TRY(vg_path_join(folder, "vagus-subjects.csv", path));
    return vg_file_write(*path, dataset->subjects_text, strlen(dataset->subjects_text));
}

vg_status vg_dataset_plan_make(const vg_dataset *dataset, const char *folder, vg_dataset_plan *plan)
{
    vg_status status = VG_OK;
    *plan = (vg_dataset_plan){.options = vg_import_default_options()};
    vg_import_options *options = &plan->options;
    if (!dataset->importer)
        return vg_fail(VG_ERR_UNSUPPORTED, "%s: this program has no importer that reads it as it is (%s)",
                       dataset->name, dataset->files);
    if (!vg_path_is_folder(folder))
        return vg_fail(VG_ERR_NOT_FOUND, "%s is no folder; the files of %s belong there", folder,
                       dataset->name);
    VG_TRY_OUT(vg_import_set(options, "source", dataset->name));
    VG_TRY_OUT(vg_import_set(options, "licence", dataset->licence));
    VG_TRY_OUT(vg_import_set(options, "citation", dataset->citation));
    for (int i = 0; i < VG_DATASET_OPTIONS && dataset->options[i].name; i++) {
        const char *value = dataset->options[i].value;
        if (value[0] == '@') {
            VG_TRY_OUT(vg_path_join(folder, value + 1, &plan->text[i]));
            value = plan->text[i];
        }
        VG_TRY_OUT(vg_import_set(options, dataset->options[i].name, value));
    }
    if (dataset->subjects_text || dataset->subjects_file) {
        VG_TRY_OUT(place_subjects(dataset, folder, &plan->text[VG_DATASET_OPTIONS]));
        status = vg_import_set(options, "subjects", plan->text[VG_DATASET_OPTIONS]);
    }
out:
    if (status != VG_OK) vg_dataset_plan_free(plan);
    return status;
}

void vg_dataset_plan_free(vg_dataset_plan *plan)
{
    for (size_t i = 0; i < sizeof plan->text / sizeof *plan->text; i++) {
        free(plan->text[i]);
        plan->text[i] = NULL;
    }
}
