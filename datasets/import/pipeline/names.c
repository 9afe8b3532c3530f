/* Who and what: which lead is wanted, what a recording is called, what the store says of itself. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "datasets/import/pipeline/files.h"
#include "datasets/import/pipeline/own.h"

bool vg__pipeline_wants_lead(const vg__pipeline *pipeline, const char *name, int index)
{
    const char *leads = pipeline->options->leads;
    if (strcmp(leads, "all") == 0) return true;
    if (strcmp(leads, "first") == 0) return index == 0;
    for (const char *p = leads; *p;) {
        size_t length = strcspn(p, ",");
        if (length == strlen(name) && strncmp(p, name, length) == 0) return true;
        p += length + (p[length] == ',');
    }
    return false;
}

static void set_field(char field[VG__FIELD_SIZE], const char *text)
{
    snprintf(field, VG__FIELD_SIZE, "%s", text ? text : "");
}

/* Formats that know nobody call the person after the record or its file ("a" or "a:3" of a.npy), or nothing.
 */
static bool stands_in(const vg__raw *raw, const vg__fields *fields)
{
    char stem[VG__FIELD_SIZE];
    vg__file_stem(raw->file, stem, sizeof stem);
    const char *subject = fields->subject;
    size_t length = strlen(stem);
    return !*subject || strcmp(subject, fields->record) == 0 ||
           (strncmp(subject, stem, length) == 0 && (!subject[length] || subject[length] == ':'));
}

bool vg__pipeline_name(vg__pipeline *pipeline, const vg__raw *raw, vg__fields *fields)
{
    const char *pattern = pipeline->options->pattern;
    bool named = pipeline->importer->set || strstr(pattern, "{subject}");
    set_field(fields->record, raw->record);
    set_field(fields->subject, raw->subject ? raw->subject : raw->record);
    set_field(fields->session, raw->session);
    set_field(fields->trial, raw->trial);
    set_field(fields->stimulus, raw->stimulus);
    if (*pattern && !vg__pattern_match(pattern, vg__file_name(raw->file), fields)) return false;
    const vg__csv *subjects = &pipeline->subjects, *labels = &pipeline->ratings.labels;
    if (subjects->path) {
        int64_t row = vg__csv_match(subjects, fields->record, raw->file);
        named = named || row >= 0;
        if (row >= 0) set_field(fields->subject, subjects->cell[row * subjects->columns + subjects->subject]);
    }
    if (labels->path) {
        int64_t row = vg__csv_match(labels, fields->record, raw->file);
        fields->labels = row >= 0 ? labels->cell + row * labels->columns : NULL;
    }
    if (named || !stands_in(raw, fields))
        pipeline->people_known++;
    else
        pipeline->people_unknown++;
    return true;
}

bool vg__pipeline_keeps(vg__pipeline *pipeline, const vg__raw *raw)
{
    char stem[VG__FIELD_SIZE];
    const char *keep = pipeline->options->keep, *file = vg__file_name(raw->file);
    vg__file_stem(raw->file, stem, sizeof stem);
    if (strcmp(keep, "all") == 0) return true;
    int index = 0;
    for (const char *p = keep; *p; index++) {
        size_t length = strcspn(p, ",");
        const char *const names[] = {raw->record, file, stem};
        for (int i = 0; i < 3; i++) {
            if (!names[i] || strlen(names[i]) != length || strncmp(p, names[i], length) != 0) continue;
            if (index < 64) pipeline->keep_seen |= (uint64_t)1 << index;
            return true;
        }
        p += length + (p[length] == ',');
    }
    return false;
}

/* Ends the import with the error that was just recorded, in its place behind the recordings. */
static void fail_in_place(vg__pipeline *pipeline, vg_status status)
{
    vg__job *job = calloc(1, sizeof *job);
    if (!job) return;
    job->options = pipeline->options;
    job->kind = VG__JOB_RECORDING;
    job->failed = status;
    snprintf(job->text, sizeof job->text, "%s", vg_cause());
    /* The next call tells what it could return. */
    if (vg__ordered_add(pipeline->queue, job, sizeof *job, true) != VG_OK) return;
}

static void check_table(vg__pipeline *pipeline, const vg__csv *csv, const char *option, const char *loss)
{
    char warning[VG__LINE_SIZE];
    vg_status status = vg__csv_check(csv, option, loss, warning, sizeof warning);
    if (status != VG_OK)
        fail_in_place(pipeline, status);
    else if (*warning)
        vg__pipeline_warn(pipeline, "%s", warning);
}

void vg__pipeline_check_keep(vg__pipeline *pipeline)
{
    check_table(pipeline, &pipeline->subjects, "--subjects",
                "whose they are is as without the table, so one person may be counted as several");
    check_table(pipeline, &pipeline->ratings.labels, "--labels", "they have no ratings of it");
    const char *keep = pipeline->options->keep;
    if (strcmp(keep, "all") == 0) return;
    int index = 0;
    for (const char *p = keep; *p && index < 64; index++) {
        size_t length = strcspn(p, ",");
        if (length > 0 && !(pipeline->keep_seen >> index & 1))
            vg__pipeline_warn(pipeline, "import option keep: there is no record or file \"%.*s\"",
                              (int)length, p);
        p += length + (p[length] == ',');
    }
}

/* The data set's short name: the option, or the name of the source's folder (of the file, when it holds many
 * recordings). */
static void source_name(const vg__pipeline *pipeline, const char *source, char *name, size_t size)
{
    char path[4096];
    struct stat info;
    const char *given = *pipeline->options->source ? pipeline->options->source : pipeline->importer->set;
    if (given) {
        snprintf(name, size, "%s", given);
        return;
    }
    bool folder = stat(source, &info) == 0 && S_ISDIR(info.st_mode);
    snprintf(path, sizeof path, "%s", source);
    if (!folder && !pipeline->importer->file_is_set) path[vg__file_name(path) - path] = 0;
    for (size_t n = strlen(path); n > 1 && path[n - 1] == '/'; n--) path[n - 1] = 0;
    if (folder || !pipeline->importer->file_is_set)
        snprintf(name, size, "%s", vg__file_name(path));
    else
        vg__file_stem(path, name, size);
    if (!*name || strspn(name, ".") == strlen(name)) snprintf(name, size, "%s", pipeline->importer->name);
}

static int by_value(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

static vg_status describe(vg__pipeline *pipeline, const char *first_source)
{
    const vg_import_options *options = pipeline->options;
    char name[256], rates[512] = "", importer[64], polarity[128] = "as recorded";
    source_name(pipeline, first_source, name, sizeof name);
    qsort(pipeline->rates, (size_t)pipeline->rate_count, sizeof *pipeline->rates, by_value);
    for (int i = 0, used = 0; i < pipeline->rate_count && used < 480; i++)
        used +=
            snprintf(rates + used, sizeof rates - (size_t)used, "%s%.10g", i ? " " : "", pipeline->rates[i]);
    snprintf(importer, sizeof importer, "%s %s", pipeline->importer->name, pipeline->importer->version);
    if (options->flip)
        snprintf(polarity, sizeof polarity, "turned where the average QRS points down (%lld recordings)",
                 (long long)pipeline->report->upside_down);
    bool filtered = options->order > 0 && (options->low > 0 || options->high > 0);
    bool resampled = pipeline->rate_count != 1 || pipeline->rates[0] != options->rate;
    vg_store_info info = {.source = name,
                          .rate = options->rate,
                          .units = "mV",
                          .original_rates = rates,
                          .filter = filtered ? "butterworth" : "none",
                          .filter_order = filtered ? options->order : 0,
                          .filter_low = filtered ? options->low : 0,
                          .filter_high = filtered ? options->high : 0,
                          .filter_zero_phase = filtered,
                          .resampling = resampled ? "soxr very high quality" : "none",
                          .polarity = polarity,
                          .licence = *options->licence ? options->licence : pipeline->importer->licence,
                          .citation = *options->citation ? options->citation : pipeline->importer->citation,
                          .importer = importer};
    VG_TRY(vg_store_writer_describe(pipeline->writer, &info));
    char selection[256];
    snprintf(selection, sizeof selection, "recordings of %g s and more with a quality index from %g%s",
             options->min_seconds, options->min_quality,
             options->drop_bad ? ", without windows of 10 s that were flat, below 0.05 mV or above 20 mV"
                               : "");
    VG_TRY(vg_store_writer_note(pipeline->writer, "selection", selection));
    if (pipeline->kept[0]) VG_TRY(vg_store_writer_note(pipeline->writer, "kept", pipeline->kept));
    if (pipeline->upside_down[0])
        VG_TRY(vg_store_writer_note(pipeline->writer, "upside_down", pipeline->upside_down));
    if (isfinite(pipeline->lowest_limit)) {
        char text[128];
        snprintf(text, sizeof text, "%.6g Hz, the lowest upper edge used (0.45 of a recording's rate)",
                 pipeline->lowest_limit);
        VG_TRY(vg_store_writer_note(pipeline->writer, "filter_limited", text));
    }
    return VG_OK;
}

/* Which text became which number, one note a column. */
static vg_status note_ratings(vg__pipeline *pipeline)
{
    for (int i = 0; i < pipeline->ratings.count; i++) {
        const vg__rating *rating = &pipeline->ratings.rating[i];
        char key[VG__FIELD_SIZE + 16], *text = vg__rating_describe(rating);
        if (!text) return vg_fail(VG_ERR_MEMORY, "no memory for the note on rating %s", rating->name);
        snprintf(key, sizeof key, "rating_%s", rating->name);
        for (char *c = key; *c; c++)
            if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_", *c)) *c = '_';
        vg_status status = VG_OK;
        if (*text && strlen(text) < VG_STORE_MAX_TEXT)
            status = vg_store_writer_note(pipeline->writer, key, text);
        if (rating->numbered)
            vg__pipeline_warn(pipeline, "the rating %s was numbered in alphabetical order: %.900s",
                              rating->name, text);
        if (rating->known == 0)
            vg__pipeline_warn(pipeline, "the rating %s has no value in any recording: %s%s%s", rating->name,
                              rating->column >= 0 ? "its cells in --labels are empty" : "no record tells a ",
                              rating->field,
                              rating->column >= 0 ? "" : "; --pattern can take it from file names");
        free(text);
        VG_TRY(status);
    }
    return VG_OK;
}

vg_status vg__pipeline_note(vg__pipeline *pipeline, const char *key, const char *text)
{
    return vg_store_writer_note(pipeline->writer, key, text);
}

/* Whether anybody said who the people are. */
static vg_status note_people(vg__pipeline *pipeline)
{
    const char *text = "known: the source or an option of the import names them";
    if (pipeline->people_unknown > 0)
        text = pipeline->people_known
                   ? "partly unknown: a record without a name of a person was taken as one person"
                   : "unknown: each record was taken as one person";
    return vg__pipeline_note(pipeline, "people", text);
}

vg_status vg__pipeline_describe(vg__pipeline *pipeline, const char *first_source)
{
    VG_TRY(describe(pipeline, first_source));
    VG_TRY(note_people(pipeline));
    if (*pipeline->options->units) {
        char text[128];
        snprintf(text, sizeof text, "%.60s, given by hand at import", pipeline->options->units);
        VG_TRY(vg__pipeline_note(pipeline, "unit", text));
    }
    return note_ratings(pipeline);
}
