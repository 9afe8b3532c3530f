/* What the importer is told about a set of the catalogue. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/file.h"
#include "core/text.h"
#include "datasets/catalogue/fetch.h"
#include "datasets/import/pipeline/table.h"

static int column_of(const vg__csv *csv, int64_t row, const char *name)
{
    for (int i = 0; i < csv->columns; i++)
        if (!strcmp(csv->cell[row * csv->columns + i], name)) return i;
    return -1;
}

/* "record,subject" from two columns of a table of the set; the record is a file's name without its folder. */
static vg_status table_from(const vg_dataset *dataset, const char *path, vg_text *out)
{
    vg__csv csv;
    int64_t names = 0;
    int record = -1, subject = -1;
    VG_TRY(vg__csv_read(path, &csv));
    for (; names < csv.rows; names++) { /* the rows are sorted, that of the names among them */
        record = column_of(&csv, names, dataset->subjects_record);
        subject = column_of(&csv, names, dataset->subjects_subject);
        if (record >= 0 && subject >= 0) break;
    }
    if (names == csv.rows) {
        vg__csv_free(&csv);
        return vg_fail(VG_ERR_FORMAT, "%s: no columns '%s' and '%s', which tell who is who", path,
                       dataset->subjects_record, dataset->subjects_subject);
    }
    for (int64_t row = 0; row < csv.rows; row++) {
        const char *const *cell = csv.cell + row * csv.columns;
        const char *slash = strrchr(cell[record], '/');
        if (row != names) vg_text_add(out, "%s,%s\n", slash ? slash + 1 : cell[record], cell[subject]);
    }
    vg__csv_free(&csv);
    return VG_OK;
}

/* Writes the table of subjects beside the data, where it can be looked at; its path is the option's value. */
static vg_status write_subjects(const vg_dataset *dataset, const char *folder, char **path)
{
    vg_status status = VG_OK;
    vg_text text = {0};
    char *from = NULL, *bytes = NULL;
    VG_TRY_OUT(vg_path_join(folder, "vagus-subjects.csv", path));
    if (dataset->subjects_text) {
        vg_text_add(&text, "%s", dataset->subjects_text);
    } else {
        VG_TRY_OUT(vg_path_join(folder, dataset->subjects_file, &from));
        vg_text_add(&text, "record,subject\n");
        VG_TRY_OUT(table_from(dataset, from, &text));
    }
    VG_TRY_OUT(vg_text_take(&text, &bytes));
    status = vg_file_write(*path, bytes, strlen(bytes));
out:
    vg_text_free(&text);
    free(from);
    free(bytes);
    return status;
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
        VG_TRY_OUT(write_subjects(dataset, folder, &plan->text[VG_DATASET_OPTIONS]));
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
