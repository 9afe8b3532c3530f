#include "datasets/import/importer.h"

#include <errno.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/text.h"
#include "datasets/import/pipeline/pipeline.h"

/* The list: a new format is its file and a line here. */
extern const vg__importer vg__importer_wfdb, vg__importer_edf, vg__importer_hdf5, vg__importer_mat,
    vg__importer_amigos, vg__importer_ascertain, vg__importer_dreamer, vg__importer_pspm, vg__importer_csv,
    vg__importer_npy, vg__importer_case;
/* clang-format off */
static const vg__importer *const IMPORTERS[] = {
    &vg__importer_wfdb,
    &vg__importer_edf,
    &vg__importer_hdf5,
    &vg__importer_csv,
    &vg__importer_npy,
    &vg__importer_mat,
    &vg__importer_amigos,
    &vg__importer_ascertain,
    &vg__importer_case,
    &vg__importer_dreamer,
    &vg__importer_pspm,
};
/* clang-format on */
enum { IMPORTERS_COUNT = sizeof IMPORTERS / sizeof *IMPORTERS };

/* ---- Options, from their one list ------------------------------------------------------------------- */

typedef enum option_kind { NUMBER, COUNT, FLAG, TEXT } option_kind;

static const struct {
    option_kind kind;
    const char *name, *standard, *help;
    size_t offset;
} OPTIONS[] = {
#define ROW(kind, name, standard, help) {kind, #name, standard, help, offsetof(vg_import_options, name)},
    VG_IMPORT_OPTION_MAP(ROW)
#undef ROW
};
enum { OPTIONS_COUNT = sizeof OPTIONS / sizeof *OPTIONS };

static bool same_name(const char *a, const char *b)
{
    for (; *a && *b; a++, b++)
        if (*a != *b && !(strchr("-_", *a) && strchr("-_", *b))) return false;
    return *a == *b;
}

static vg_status unknown_option(const char *name)
{
    const char *names[OPTIONS_COUNT];
    for (int i = 0; i < OPTIONS_COUNT; i++) names[i] = OPTIONS[i].name;
    size_t nearest = vg_text_nearest(name, names, OPTIONS_COUNT);
    if (nearest < OPTIONS_COUNT)
        return vg_fail(VG_ERR_CONFIG, "unknown import option \"%s\"; did you mean \"%s\"?", name,
                       names[nearest]);
    return vg_fail(VG_ERR_CONFIG, "unknown import option \"%s\"", name);
}

vg_status vg_import_set(vg_import_options *options, const char *name, const char *value)
{
    int i = 0;
    while (i < OPTIONS_COUNT && !same_name(name, OPTIONS[i].name)) i++;
    if (i == OPTIONS_COUNT) return unknown_option(name);
    void *field = (char *)options + OPTIONS[i].offset;
    char *end = NULL;
    if (OPTIONS[i].kind == TEXT) {
        *(const char **)field = value;
        return VG_OK;
    }
    if (OPTIONS[i].kind == FLAG) {
        bool on = strcmp(value, "true") == 0;
        if (!on && strcmp(value, "false") != 0)
            return vg_fail(VG_ERR_CONFIG, "import option %s: \"%s\" is neither true nor false", name, value);
        *(bool *)field = on;
        return VG_OK;
    }
    double number = strtod(value, &end);
    if (end == value || *end || !isfinite(number) || number < 0)
        return vg_fail(VG_ERR_CONFIG, "import option %s: \"%s\" is not a number from 0 up", name, value);
    if (OPTIONS[i].kind == NUMBER) {
        *(double *)field = number;
        return VG_OK;
    }
    if (number != floor(number) || number > 1e6)
        return vg_fail(VG_ERR_CONFIG, "import option %s: \"%s\" is not a whole number", name, value);
    *(int *)field = (int)number;
    return VG_OK;
}

vg_import_options vg_import_default_options(void)
{
    vg_import_options options;
    memset(&options, 0, sizeof options);
    for (int i = 0; i < OPTIONS_COUNT; i++)
        VG_ASSERT(vg_import_set(&options, OPTIONS[i].name, OPTIONS[i].standard) == VG_OK);
    return options;
}

bool vg_import_option(int index, const char **name, const char **standard, const char **help, bool *flag)
{
    if (index < 0 || index >= OPTIONS_COUNT) return false;
    *name = OPTIONS[index].name;
    *standard = OPTIONS[index].standard;
    *help = OPTIONS[index].help;
    if (flag) *flag = OPTIONS[index].kind == FLAG;
    return true;
}

const char *vg_import_format(int index, const char **reads)
{
    if (index < 0 || index >= IMPORTERS_COUNT) return NULL;
    if (reads) *reads = IMPORTERS[index]->reads;
    return IMPORTERS[index]->name;
}

const char *vg_importer_help(const char *format)
{
    for (int i = 0; i < IMPORTERS_COUNT; i++)
        if (strcmp(format, IMPORTERS[i]->name) == 0) return IMPORTERS[i]->help;
    return NULL;
}

vg_status vg_import(const char *format, const char *const *sources, int source_count,
                    const vg_import_options *options, const char *out, bool overwrite,
                    vg_import_report *report)
{
    *report = (vg_import_report){0};
    for (int i = 0; i < IMPORTERS_COUNT; i++)
        if (strcmp(format, IMPORTERS[i]->name) == 0)
            return vg__pipeline_run(IMPORTERS[i], sources, source_count, options, out, overwrite, report);
    char known[256] = "";
    for (int i = 0; i < IMPORTERS_COUNT; i++) {
        size_t used = strlen(known);
        snprintf(known + used, sizeof known - used, "%s%s", i ? ", " : "", IMPORTERS[i]->name);
    }
    return vg_fail(VG_ERR_CONFIG, "unknown format \"%s\" to import; known are %s", format, known);
}

void vg_import_report_free(vg_import_report *report)
{
    for (int64_t i = 0; i < report->warnings && i < VG_IMPORT_MAX_WARNINGS; i++) free(report->warning[i]);
    free(report->warning);
    *report = (vg_import_report){0};
}
