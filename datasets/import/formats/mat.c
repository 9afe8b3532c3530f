/* A user's own MAT files of level 5: one recording a file, or a cell array of recordings. The help text at
 * the end tells what the option map takes. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "datasets/import/pipeline/files.h"
#include "datasets/import/formats/leads.h"
#include "datasets/import/formats/mapping.h"
#include "datasets/import/mat/files.h"

enum { WORD = VG__MAP_VALUE, MAX_LEADS = 256 };

#define KEYS(X)                                                                                              \
    X(signal) X(rate) X(units) X(scale) X(subject) X(session) X(trial) X(stimulus) X(leads) X(samples)

/* The option, and then what it leads to in the file at hand. */
typedef struct mapping {
#define FIELD(name) char name[WORD];
    KEYS(FIELD)
#undef FIELD
} mapping;

typedef struct source {
    vg__pipeline *pipeline;
    const char *path;
    mapping map, found;
    double rate, scale;
    bool fatal;
} source;

/* ---- The mapping ----------------------------------------------------------------------------------- */

static vg_status read_map(const char *text, mapping *map)
{
    const vg__map_key keys[] = {
#define KEY(name) {#name, map->name},
        KEYS(KEY)
#undef KEY
    };
    VG_TRY(vg__map_read("mat", text, keys, sizeof keys / sizeof *keys));
    if (map->samples[0] && strcmp(map->samples, "rows") != 0 && strcmp(map->samples, "columns") != 0)
        return vg_fail(VG_ERR_CONFIG, "the option map: samples=%s is neither rows nor columns", map->samples);
    return VG_OK;
}

/* What `asked` (else `standard`, when the file has it) leads to, as a text. Where there is no such variable
 * it may be the text itself, `plainly` or in quotes. */
static vg_status resolve(vg__mat *mat, const char *asked, const char *standard, bool plainly, char text[WORD])
{
    vg__mat_value value;
    char variable[WORD], words[VG__MAT_WORDS];
    const char *place = *asked ? asked : standard;
    size_t length = strlen(asked);
    text[0] = 0;
    if (length >= 2 && asked[0] == '\'' && asked[length - 1] == '\'') {
        snprintf(text, WORD, "%.*s", (int)length - 2, asked + 1);
        return VG_OK;
    }
    snprintf(variable, sizeof variable, "%.*s", (int)strcspn(place, ".{("), place);
    if ((plainly || !*asked) && !vg__mat_has(mat, variable)) {
        snprintf(text, WORD, "%s", asked);
        return VG_OK;
    }
    vg_status status = vg__mat_load(mat, place, &value);
    if (status == VG_OK && value.kind == VG__MAT_TEXT)
        snprintf(text, WORD, "%s", value.text);
    else if (status == VG_OK && !isnan(vg__mat_number(&value)))
        snprintf(text, WORD, "%.15g", vg__mat_number(&value));
    else if (status == VG_OK)
        status = vg_fail(VG_ERR_FORMAT, "%s is %s where one text or number is expected", value.path,
                         vg__mat_describe(&value, words));
    else if (status == VG_ERR_NOT_FOUND && !plainly)
        status = vg_context(status, "the option map (a text itself stands in single quotes)");
    vg__mat_free(&value);
    return status;
}

static vg_status to_number(const char *text, const char *what, double *number)
{
    char *end;
    *number = strtod(text, &end);
    if (end == text || *end || !isfinite(*number) || *number == 0)
        return vg_fail(
            VG_ERR_FORMAT,
            "the option map: %s leads to \"%s\", which is no number to use (%s=NUMBER, or %s=VARIABLE)", what,
            text, what, what);
    return VG_OK;
}

static vg_status resolve_all(source *s, vg__mat *mat)
{
    static const char *const standard[] = {"ecg", "signal", "val"};
    const mapping *map = &s->map;
    mapping *found = &s->found;
    *found = *map;
    for (size_t i = 0; !*found->signal && i < sizeof standard / sizeof *standard; i++)
        if (vg__mat_has(mat, standard[i])) strcpy(found->signal, standard[i]);
    if (!*found->signal)
        return vg_fail(
            VG_ERR_FORMAT,
            "%s: has no variable ecg, signal or val, but %.300s; the option map can name it (signal=...)",
            s->path, vg__mat_names(mat));
    VG_TRY(resolve(mat, map->rate, "fs", true, found->rate));
    VG_TRY(resolve(mat, map->units, "units", true, found->units));
    VG_TRY(resolve(mat, *map->scale ? map->scale : "1", "", true, found->scale));
    VG_TRY(resolve(mat, map->subject, "", false, found->subject));
    VG_TRY(resolve(mat, map->session, "", false, found->session));
    VG_TRY(resolve(mat, map->trial, "", false, found->trial));
    VG_TRY(resolve(mat, map->stimulus, "", false, found->stimulus));
    vg__missing missing = {0};
    if (!*found->rate) vg__missing_add(&missing, "its sampling rate (no variable fs)", "rate=250");
    if (!*found->units && !*vg__pipeline_options(s->pipeline)->units)
        vg__missing_add(&missing, "the unit of its samples (also --units mV)", "units=mV");
    VG_TRY(vg__missing_check(&missing, s->path));
    VG_TRY(to_number(found->rate, "rate", &s->rate));
    return to_number(found->scale, "scale", &s->scale);
}

/* ---- Recordings ------------------------------------------------------------------------------------ */

/* Name number `index` of "I|II|V1", a number when there are none; how many there are. */
static int lead_name(const char *names, int index, char name[WORD])
{
    int count = 0;
    snprintf(name, WORD, "lead %d", index + 1);
    for (const char *p = names; *p; count++) {
        size_t length = strcspn(p, "|");
        if (count == index) snprintf(name, WORD, "%.*s", (int)length, p);
        p += length + (p[length] == '|');
    }
    return count;
}

/* The leads of one array; `trial` is that of the array within a cell, NULL for one alone. */
static vg_status add_array(source *s, const vg__mat_value *array, const char *trial)
{
    char stem[WORD], record[WORD + 32], reason[256], text[VG__MAT_WORDS], name[WORD];
    if (array->kind != VG__MAT_NUMBERS || array->rank != 2 || array->count == 0) {
        snprintf(reason, sizeof reason, "it is %s where [samples x leads] is expected",
                 vg__mat_describe(array, text));
        const bool empty = array->kind == VG__MAT_NUMBERS && array->count == 0;
        return vg__mat_exclude(s->pipeline, empty ? VG_EXCLUSION_NOTHING : VG_EXCLUSION_UNREAD, s->path,
                               s->found.subject, array, reason);
    }
    bool by_rows = s->map.samples[0] ? s->map.samples[0] == 'r' : array->rows >= array->columns;
    const int64_t samples = by_rows ? array->rows : array->columns;
    const int64_t leads = by_rows ? array->columns : array->rows, step = by_rows ? 1 : array->rows;
    const int named = lead_name(s->map.leads, 0, name);
    if (leads > MAX_LEADS || (named > 0 && named != leads)) {
        snprintf(reason, sizeof reason,
                 "it has %lld leads, but the option map names %d; samples= can turn it", (long long)leads,
                 named);
        return vg__mat_exclude(s->pipeline, VG_EXCLUSION_UNREAD, s->path, s->found.subject, array, reason);
    }
    double *x = malloc((size_t)samples * sizeof *x);
    if (!x) return vg_fail(VG_ERR_MEMORY, "%s: no memory for %lld samples", s->path, (long long)samples);
    vg_status status = VG_OK;
    vg__leads met = {0};
    vg__file_stem(s->path, stem, sizeof stem);
    snprintf(record, sizeof record, "%s%s%s", stem, trial ? "_" : "", trial ? trial : "");
    vg__mat_value column = *array;
    column.numbers = x;
    column.rows = samples;
    column.columns = 1;
    for (int64_t lead = 0; lead < leads && status == VG_OK; lead++) {
        lead_name(s->map.leads, (int)lead, name);
        if (!vg__leads_take(s->pipeline, &met, name, (int)lead)) continue;
        for (int64_t i = 0; i < samples; i++)
            x[i] = s->scale * array->numbers[by_rows ? i + lead * array->rows : lead + i * step];
        vg__raw raw = {.file = s->path,
                       .record = record,
                       .subject = s->found.subject[0] ? s->found.subject : stem,
                       .session = s->found.session,
                       .trial = s->found.trial[0] ? s->found.trial : trial,
                       .stimulus = s->found.stimulus,
                       .lead = leads > 1 || named > 0 ? name : "",
                       .rate = s->rate,
                       .units = s->found.units};
        status = vg__mat_add_column(s->pipeline, &column, 0, 0, raw);
    }
    free(x);
    if (status != VG_OK) return status;
    return vg__leads_check(s->pipeline, &met, s->path, s->found.subject, (double)samples / s->rate);
}

static vg_status visit_trial(void *context, int64_t index, const vg__mat_value *array)
{
    source *s = context;
    char trial[32];
    snprintf(trial, sizeof trial, "%lld", (long long)index + 1);
    vg_status status = add_array(s, array, trial);
    s->fatal = status != VG_OK;
    return status;
}

static vg_status read_file(vg__pipeline *pipeline, void *context, const char *path, vg__mat *mat)
{
    source *s = context;
    vg__mat_value shape, array = {.kind = VG__MAT_OTHER};
    s->path = path;
    s->fatal = false;
    vg_status status = resolve_all(s, mat);
    if (status == VG_OK) status = vg__mat_peek(mat, s->found.signal, &shape);
    if (status == VG_OK && shape.kind == VG__MAT_CELL) {
        status = vg__mat_each(mat, s->found.signal, "", visit_trial, s);
    } else if (status == VG_OK) {
        status = vg__mat_load(mat, s->found.signal, &array);
        if (status == VG_OK) {
            status = add_array(s, &array, NULL);
            s->fatal = status != VG_OK;
        }
        vg__mat_free(&array);
    }
    return status != VG_OK && !s->fatal ? vg__pipeline_reject(pipeline, status, path) : status;
}

static vg_status import_mat(vg__pipeline *pipeline, const char *const *sources, int count)
{
    vg_status status = VG_OK;
    source *s = calloc(1, sizeof *s);
    if (!s) return vg_fail(VG_ERR_MEMORY, "no memory to read MAT files");
    s->pipeline = pipeline;
    VG_TRY_OUT(read_map(vg__pipeline_options(pipeline)->map, &s->map));
    status = vg__mat_read_files(pipeline, sources, count, read_file, s);
out:
    free(s);
    return status;
}

extern const vg__importer vg__importer_mat;
const vg__importer vg__importer_mat = {
    .name = "mat",
    .reads = "MAT files of level 5 (MATLAB 5 to 7.2): numbers [samples x leads], or a cell array of them",
    .version = "1",
    /* clang-format off */
    .help = "--map KEY=VALUE,... tells what is where. A value is a place in the file (ecg, s.ecg, trials{2}.x); for rate,\n"
            "units and scale also the number or unit itself; for subject, session, trial and stimulus a text in single\n"
            "quotes.\n"
            "  signal=ecg         numbers, samples by leads or lying on their side, or a cell array of such, which are\n"
            "                     trials 1, 2, ...; else ecg, signal or val\n"
            "  rate=fs            Hz; else fs\n"
            "  units=mV           V, mV or uV; else what units says\n"
            "  scale=0.001        what one number is in that unit; else 1\n"
            "  subject=id         whose it is; else the file's name\n"
            "  session=, trial=, stimulus=\n"
            "  leads=I|II|V1      names; the number of leads must be theirs\n"
            "  samples=rows       one sample a row, or samples=columns; else along the longer side\n"
            "Version 7.3 is HDF5, and read by the format hdf5.\n"
            "\n"
            "  vagus data import mat subjects/ --out own.h5 --map \"signal=data.ecg,rate=250,units=mV,subject=id\"\n",
    /* clang-format on */
    .import = import_mat,
};
