#include "datasets/import/mat/files.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "datasets/import/pipeline/files.h"

enum { PLACE = 4400 };

vg_status vg__mat_read_file(vg__pipeline *pipeline, const char *path, vg__mat_reader read, void *context)
{
    vg__mat *mat = NULL;
    vg_status status = vg__mat_open(path, &mat);
    if (status != VG_OK) return vg__pipeline_reject(pipeline, status, path);
    status = read(pipeline, context, path, mat);
    if (status == VG_OK && *vg__mat_unsound(mat))
        vg__pipeline_warn(
            pipeline,
            "%s: the checksum of %s does not fit its content, which is taken as it stands; some "
            "programs write wrong ones, but it can also mean damage",
            path, vg__mat_unsound(mat));
    vg__mat_close(mat);
    return status;
}

vg_status vg__mat_read_files(vg__pipeline *pipeline, const char *const *sources, int count,
                             vg__mat_reader read, void *context)
{
    vg_status status = VG_OK;
    vg__files files = {0};
    VG_TRY_OUT(vg__files_find(sources, count, ".mat", &files));
    for (int64_t i = 0; i < files.count; i++)
        VG_TRY_OUT(vg__mat_read_file(pipeline, files.path[i], read, context));
out:
    vg__files_free(&files);
    return status;
}

vg_status vg__mat_add_column(vg__pipeline *pipeline, const vg__mat_value *array, int64_t column, int64_t from,
                             vg__raw raw)
{
    char place[PLACE];
    if (from > array->rows) from = array->rows;
    snprintf(place, sizeof place, "%s:%s", raw.file, array->path);
    raw.file = place;
    raw.samples = array->numbers + column * array->rows + from;
    raw.count = array->rows - from;
    return vg__pipeline_add(pipeline, &raw);
}

vg_status vg__mat_exclude(vg__pipeline *pipeline, vg_exclusion_kind kind, const char *path,
                          const char *subject, const vg__mat_value *value, const char *reason)
{
    char place[PLACE];
    snprintf(place, sizeof place, "%s:%s", path, value->path);
    return vg__pipeline_exclude(pipeline, kind, place, subject, NAN, "%s", reason);
}

double vg__mat_rate_of(const vg__mat_value *array, int64_t column, int64_t *gaps)
{
    const double *t = array->numbers + column * array->rows;
    const int64_t steps = array->rows - 1;
    *gaps = 0;
    if (steps < 1) return 0;
    double span = t[steps] - t[0], rate = 1000 * (double)steps / span;
    if (!(span > 0) || !isfinite(rate) || rate > 1e6) return 0;
    for (int64_t i = 0; i < steps; i++) *gaps += !(t[i + 1] - t[i] <= 10 * span / (double)steps);
    double whole = round(rate);
    return fabs(rate - whole) <= 0.002 * rate ? whole : round(10 * rate) / 10;
}

int vg__mat_number_behind(const char *name, char letter)
{
    int number = -1;
    for (; *name; name++)
        if (*name == letter && isdigit((unsigned char)name[1])) {
            long n = strtol(name + 1, NULL, 10);
            number = n <= 99999 ? (int)n : -1;
        }
    return number;
}
