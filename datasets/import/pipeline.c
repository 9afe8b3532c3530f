/* The order of the steps, and why:
 *   1. Millivolt, so that the amplitude means something.
 *   2. Quality, before anything is smoothed away: a clipped or constant stretch is exact only in the raw
 * samples.
 *   3. Band-pass at the recording's own rate, where its edges are farthest from half the rate, and before the
 *      resampler, so that baseline and mains are gone when it meets the ends and gaps.
 *   4. Resampling.
 *   5. Bad windows become gaps (NaN) at the end: blanked earlier they would cut the signal into runs whose
 * ends the filter must guess. */
#include "datasets/import/pipeline.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/log.h"
#include "datasets/import/files.h"
#include "datasets/signal/filter.h"
#include "datasets/signal/quality.h"
#include "datasets/signal/resample.h"

enum { MAX_RATES = 32, NOTE_SIZE = 4000, LINE_SIZE = 1024 };

/* No electrode delivers a kilovolt; what claims to is damage, and taken as missing. */
static const double IMPOSSIBLE_MV = 1e6;

/* Recordings slower than this are not judged, so they are not taken (R peaks need the band up to 20 Hz). */
static const double SLOWEST_HZ = 60;

struct vg__pipeline {
    const vg__importer *importer;
    const vg_import_options *options;
    vg_store_writer *writer;
    vg_import_report *report;
    vg__ratings ratings;
    vg__csv subjects;
    double *values; /* of the record at hand: [importer->rating_count], then [ratings.count] */
    double rates[MAX_RATES];
    int rate_count;
    double lowest_limit;          /* the lowest upper edge that had to be used; INFINITY when none */
    char upside_down[NOTE_SIZE];  /* names, separated by blanks */
    char first_reason[LINE_SIZE]; /* of the first exclusion */
};

const vg_import_options *vg__pipeline_options(const vg__pipeline *pipeline)
{
    return pipeline->options;
}

void vg__pipeline_warn(vg__pipeline *pipeline, const char *format, ...)
{
    vg_import_report *report = pipeline->report;
    char line[LINE_SIZE];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    vg_debug("%s", line);
    if (report->warnings < VG_IMPORT_MAX_WARNINGS) {
        if (!report->warning) report->warning = calloc(VG_IMPORT_MAX_WARNINGS, sizeof *report->warning);
        char *copy = report->warning ? strdup(line) : NULL;
        if (!copy) return; /* a warning is not worth failing for */
        report->warning[report->warnings] = copy;
    }
    report->warnings++;
}

vg_status vg__pipeline_exclude(vg__pipeline *pipeline, vg_status status, const char *file,
                               const char *subject, double seconds, const char *format, ...)
{
    char reason[LINE_SIZE];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(reason, sizeof reason, format, arguments);
    va_end(arguments);
    if (pipeline->options->strict) return vg_fail(status, "%s: %s", file, reason);
    vg_debug("%s: left out: %s", file, reason);
    if (!pipeline->first_reason[0])
        snprintf(pipeline->first_reason, sizeof pipeline->first_reason, "%.400s: %.600s", file, reason);
    pipeline->report->excluded++;
    vg_exclusion exclusion = {.source = file, .subject = subject, .reason = reason, .seconds = seconds};
    return vg_store_writer_exclude(pipeline->writer, &exclusion);
}

vg_status vg__pipeline_reject(vg__pipeline *pipeline, vg_status status, const char *file)
{
    char reason[LINE_SIZE];
    if (status == VG_ERR_MEMORY || status == VG_ERR_PREEMPTED || pipeline->options->strict) return status;
    /* Most causes begin with the file; in the table it has a column of its own. */
    const char *cause = vg_cause();
    size_t length = strlen(file);
    if (strncmp(cause, file, length) == 0 && strncmp(cause + length, ": ", 2) == 0) cause += length + 2;
    snprintf(reason, sizeof reason, "%s", cause);
    return vg__pipeline_exclude(pipeline, status, file, "", NAN, "%s", reason);
}

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

/* ---- Who and what ---------------------------------------------------------------------------------- */

static void set_field(char field[VG__FIELD_SIZE], const char *text)
{
    snprintf(field, VG__FIELD_SIZE, "%s", text ? text : "");
}

/* Fills the fields from the recording, the file's name and the table of subjects. False when the name does
 * not fit the pattern. */
static bool name_recording(const vg__pipeline *pipeline, const vg__raw *raw, vg__fields *fields)
{
    const char *pattern = pipeline->options->pattern;
    set_field(fields->record, raw->record);
    set_field(fields->subject, raw->subject ? raw->subject : raw->record);
    set_field(fields->session, raw->session);
    set_field(fields->trial, raw->trial);
    set_field(fields->stimulus, raw->stimulus);
    if (*pattern && !vg__pattern_match(pattern, vg__file_name(raw->file), fields)) return false;
    if (pipeline->subjects.rows) {
        int64_t row = vg__csv_find(&pipeline->subjects, fields->record);
        if (row >= 0)
            set_field(fields->subject, pipeline->subjects.cell[row * pipeline->subjects.columns + 1]);
    }
    return true;
}

/* ---- Samples --------------------------------------------------------------------------------------- */

/* How many millivolt one unit is; 0 for a unit that is none of voltage. */
static double millivolt_per(const char *units)
{
    static const struct {
        const char *name;
        double scale;
    } known[] = {{"V", 1e3},      {"mV", 1},    {"uV", 1e-3},  {"\xc2\xb5V", 1e-3}, {"\xce\xbcV", 1e-3},
                 {"\xb5V", 1e-3}, {"nV", 1e-6}, {"volt", 1e3}, {"millivolt", 1},    {"microvolt", 1e-3},
                 {"mv", 1},       {"MV", 1},    {"uv", 1e-3},  {"UV", 1e-3},        {"v", 1e3}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(units, known[i].name) == 0) return known[i].scale;
    return 0;
}

static void to_millivolt(double *x, int64_t n, double scale)
{
    for (int64_t i = 0; i < n; i++) {
        x[i] *= scale;
        if (!(fabs(x[i]) < IMPOSSIBLE_MV)) x[i] = NAN;
    }
}

static void note_rate(vg__pipeline *pipeline, double rate)
{
    for (int i = 0; i < pipeline->rate_count; i++)
        if (pipeline->rates[i] == rate) return;
    if (pipeline->rate_count < MAX_RATES) pipeline->rates[pipeline->rate_count++] = rate;
}

/* Band-limits in place. The upper edge gives way to the recording's rate: at most 0.45 of it. */
static vg_status band_limit(vg__pipeline *pipeline, const vg__raw *raw)
{
    const vg_import_options *options = pipeline->options;
    double high = options->high;
    if (options->order == 0 || (options->low == 0 && high == 0)) return VG_OK;
    if (high > 0.45 * raw->rate) {
        high = 0.45 * raw->rate;
        if (high < pipeline->lowest_limit) pipeline->lowest_limit = high;
        vg__pipeline_warn(pipeline, "%s: sampled at %g Hz, so the band ends at %g Hz instead of %g Hz",
                          raw->file, raw->rate, high, options->high);
    }
    vg_filter filter;
    vg_filter_kind kind = options->low == 0 ? VG_FILTER_LOWPASS
                          : high == 0       ? VG_FILTER_HIGHPASS
                                            : VG_FILTER_BANDPASS;
    VG_TRY(vg_filter_design(kind, options->order, options->low, high, raw->rate, &filter));
    return vg_filter_zero_phase(&filter, raw->samples, raw->count, NULL);
}

enum { DROPPED_FOR = VG_QUALITY_FLAT | VG_QUALITY_WEAK | VG_QUALITY_STRONG };

/* Turns bad windows of the resampled signal into gaps; returns how many. */
static int64_t blank_windows(const uint8_t *flags, int64_t windows, double seconds, double rate, float *y,
                             int64_t n)
{
    int64_t dropped = 0;
    for (int64_t w = 0; w < windows; w++) {
        if (!(flags[w] & DROPPED_FOR)) continue;
        dropped++;
        int64_t from = (int64_t)floor((double)w * seconds * rate),
                to = (int64_t)ceil((double)(w + 1) * seconds * rate);
        for (int64_t i = from; i < to && i < n; i++) y[i] = NAN;
    }
    return dropped;
}

/* "2 flat, 1 weak", of the windows counted in q. */
static const char *describe_windows(const vg_quality *q, char *text, size_t size)
{
    const struct {
        int64_t count;
        const char *name;
    } kinds[] = {{q->nan, "with missing samples"},
                 {q->flat, "flat"},
                 {q->clipped, "clipped"},
                 {q->weak, "below 0.05 mV"},
                 {q->strong, "above 20 mV"}};
    size_t used = 0;
    text[0] = 0;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (kinds[i].count == 0) continue;
        used += (size_t)snprintf(text + used, size - used, "%s%lld %s", used ? ", " : "",
                                 (long long)kinds[i].count, kinds[i].name);
    }
    return text;
}

/* Whether a recording of this quality is usable; writes the reason if it is not. */
static bool usable(const vg_import_options *options, const vg_quality *q, const uint8_t *flags, char *reason,
                   size_t size)
{
    char windows[256];
    if (q->nan_share >= 1) {
        snprintf(reason, size, "no usable ECG: none of its samples is a number");
        return false;
    }
    int64_t dropped = 0;
    for (int64_t w = 0; w < q->windows; w++) dropped += (flags[w] & DROPPED_FOR) != 0;
    if (q->windows > 0 && dropped == q->windows) {
        snprintf(reason, size, "no usable ECG: of %lld windows %s", (long long)q->windows,
                 describe_windows(q, windows, sizeof windows));
        return false;
    }
    if (q->index < options->min_quality) {
        snprintf(reason, size, "no usable ECG: signal quality %.2f is below %.2f (%lld beats found)",
                 q->index, options->min_quality, (long long)q->beats);
        return false;
    }
    return true;
}

static void note_upside_down(vg__pipeline *pipeline, const char *record, const char *lead)
{
    size_t used = strlen(pipeline->upside_down);
    pipeline->report->upside_down++;
    if (used + strlen(record) + strlen(lead) + 8 > sizeof pipeline->upside_down) return;
    snprintf(pipeline->upside_down + used, sizeof pipeline->upside_down - used, "%s%s%s%s", used ? " " : "",
             record, *lead ? ":" : "", lead);
}

/* Filters, resamples, blanks and writes one recording that was found usable. */
static vg_status store_recording(vg__pipeline *pipeline, const vg__raw *raw, const vg__fields *fields,
                                 const vg_quality *quality, const uint8_t *flags, double window_s)
{
    vg_status status = VG_OK;
    const vg_import_options *options = pipeline->options;
    double seconds = (double)raw->count / raw->rate;
    int64_t n = vg_resample_length(raw->count, raw->rate, options->rate);
    double *wide = malloc((size_t)(n + 1) * sizeof *wide);
    float *samples = malloc((size_t)(n + 1) * sizeof *samples);
    if (!wide || !samples) {
        status = vg_fail(VG_ERR_MEMORY, "%s: no memory for %lld samples", raw->file, (long long)n);
        goto out;
    }
    status = band_limit(pipeline, raw);
    if (status == VG_OK) status = vg_resample(raw->samples, raw->count, raw->rate, options->rate, wide);
    if (status == VG_ERR_DATA) {
        char reason[LINE_SIZE];
        snprintf(reason, sizeof reason, "%s", vg_cause());
        status = vg__pipeline_exclude(pipeline, status, raw->file, fields->subject, seconds, "%s", reason);
        goto out;
    }
    if (status != VG_OK) goto out;

    bool down = quality->polarity < 0;
    if (down) note_upside_down(pipeline, fields->record, raw->lead ? raw->lead : "");
    double sign = down && options->flip ? -1 : 1;
    for (int64_t i = 0; i < n; i++) samples[i] = (float)(sign * wide[i]);
    if (options->drop_bad) {
        int64_t dropped = blank_windows(flags, quality->windows, window_s, options->rate, samples, n);
        if (dropped > 0) {
            char reason[LINE_SIZE], windows[256];
            pipeline->report->windows_dropped += dropped;
            snprintf(reason, sizeof reason, "windows blanked: of %lld %s", (long long)quality->windows,
                     describe_windows(quality, windows, sizeof windows));
            vg_exclusion exclusion = {.source = raw->file,
                                      .subject = fields->subject,
                                      .reason = reason,
                                      .seconds = (double)dropped * window_s};
            VG_TRY_OUT(vg_store_writer_exclude(pipeline->writer, &exclusion));
        }
    }
    vg_recording recording = {.subject = fields->subject,
                              .session = fields->session,
                              .trial = fields->trial,
                              .stimulus = fields->stimulus,
                              .lead = raw->lead,
                              .source = raw->file,
                              .length = n};
    VG_TRY_OUT(vg_store_writer_add(pipeline->writer, &recording, samples, pipeline->values));
    note_rate(pipeline, raw->rate);
    pipeline->report->recordings++;
    pipeline->report->seconds += (double)n / options->rate;
out:
    free(wide);
    free(samples);
    return status;
}

vg_status vg__pipeline_add(vg__pipeline *pipeline, const vg__raw *raw)
{
    vg_status status = VG_OK;
    const vg_import_options *options = pipeline->options;
    vg__fields fields;
    char reason[LINE_SIZE];
    uint8_t *flags = NULL;
    pipeline->report->records++;
    if (!name_recording(pipeline, raw, &fields))
        return vg__pipeline_exclude(pipeline, VG_ERR_DATA, raw->file, "", NAN,
                                    "name: it does not fit the pattern \"%s\"", options->pattern);
    const char *subject = fields.subject, *units = *options->units ? options->units
                                                   : raw->units    ? raw->units
                                                                   : "";
    const int known = pipeline->importer->rating_count;
    for (int i = 0; i < known; i++) pipeline->values[i] = raw->ratings ? raw->ratings[i] : NAN;
    status = vg__ratings_look_up(&pipeline->ratings, &fields, pipeline->values + known);
    if (status != VG_OK) return vg__pipeline_reject(pipeline, vg_context(status, "%s", raw->file), raw->file);
    if (!(raw->rate >= SLOWEST_HZ) || !isfinite(raw->rate))
        return vg__pipeline_exclude(pipeline, VG_ERR_DATA, raw->file, subject, NAN,
                                    "sampled too slowly: at %g Hz, an ECG needs at least %g Hz", raw->rate,
                                    SLOWEST_HZ);
    double seconds = (double)raw->count / raw->rate, scale = millivolt_per(units);
    if (scale == 0)
        return vg__pipeline_exclude(pipeline, VG_ERR_DATA, raw->file, subject, seconds,
                                    "unknown unit: \"%s\" of lead %s; the option units can tell it", units,
                                    raw->lead ? raw->lead : "?");
    if (raw->count == 0 || seconds < options->min_seconds)
        return vg__pipeline_exclude(pipeline, VG_ERR_DATA, raw->file, subject, seconds,
                                    "too short: %.1f s, a recording must have %g s", seconds,
                                    options->min_seconds);
    to_millivolt(raw->samples, raw->count, scale);

    vg_quality quality;
    vg_quality_options quality_options = vg_quality_default_options();
    int64_t windows = (int64_t)(seconds / quality_options.window_s) + 1;
    flags = calloc((size_t)windows + 1, 1);
    if (!flags)
        return vg_fail(VG_ERR_MEMORY, "%s: no memory for %lld windows", raw->file, (long long)windows);
    vg_quality_windows(raw->samples, raw->count, raw->rate, &quality_options, flags);
    status = vg_quality_measure(raw->samples, raw->count, raw->rate, &quality_options, &quality);
    if (status == VG_ERR_DATA) { /* too little of it is finite to be filtered */
        snprintf(reason, sizeof reason, "no usable ECG: %.600s", vg_cause());
        status = vg__pipeline_exclude(pipeline, VG_ERR_DATA, raw->file, subject, seconds, "%s", reason);
        goto out;
    }
    if (status != VG_OK) goto out;
    if (!usable(options, &quality, flags, reason, sizeof reason)) {
        status = vg__pipeline_exclude(pipeline, VG_ERR_DATA, raw->file, subject, seconds, "%s", reason);
        goto out;
    }
    status = store_recording(pipeline, raw, &fields, &quality, flags, quality_options.window_s);
out:
    free(flags);
    return status;
}

/* ---- The run --------------------------------------------------------------------------------------- */

static vg_status check_options(const vg_import_options *options)
{
    if (!(options->rate >= SLOWEST_HZ && options->rate <= 1e5))
        return vg_fail(VG_ERR_CONFIG, "import option rate: %g Hz is outside %g..100000", options->rate,
                       SLOWEST_HZ);
    if (options->order > VG_FILTER_MAX_ORDER)
        return vg_fail(VG_ERR_CONFIG, "import option order: %d is above %d", options->order,
                       VG_FILTER_MAX_ORDER);
    if (options->order > 0 && options->low > 0 && options->high > 0 && !(options->low < options->high))
        return vg_fail(VG_ERR_CONFIG, "import options low and high: %g Hz is not below %g Hz", options->low,
                       options->high);
    return vg__pattern_check(options->pattern);
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
        free(text);
        VG_TRY(status);
    }
    return VG_OK;
}

vg_status vg__pipeline_run(const vg__importer *importer, const char *const *sources, int count,
                           const vg_import_options *options, const char *out, bool overwrite,
                           vg_import_report *report)
{
    vg_status status = VG_OK;
    const char **names = NULL;
    vg__pipeline pipeline = {
        .importer = importer, .options = options, .report = report, .lowest_limit = INFINITY};
    if (count < 1) return vg_fail(VG_ERR_CONFIG, "nothing to import: no source was given");
    VG_TRY_OUT(check_options(options));
    VG_TRY_OUT(vg__ratings_read(options->rating, options->labels, options->label_names, &pipeline.ratings));
    if (*options->subjects) VG_TRY_OUT(vg__csv_read(options->subjects, &pipeline.subjects));
    const int known = importer->rating_count, columns = known + pipeline.ratings.count;
    names = malloc((size_t)(columns + 1) * sizeof *names);
    pipeline.values = malloc((size_t)(columns + 1) * sizeof *pipeline.values);
    if (!names || !pipeline.values) {
        status = vg_fail(VG_ERR_MEMORY, "no memory for %d columns of ratings", columns);
        goto out;
    }
    for (int i = 0; i < columns; i++)
        names[i] = i < known ? importer->rating_names[i] : pipeline.ratings.rating[i - known].name;
    VG_TRY_OUT(vg_store_writer_create(out, overwrite, names, columns, &pipeline.writer));
    VG_TRY_OUT(importer->import(&pipeline, sources, count));
    if (report->recordings == 0) {
        status = vg_fail(VG_ERR_DATA, "nothing could be imported; %lld were left out, the first: %s",
                         (long long)report->excluded,
                         pipeline.first_reason[0] ? pipeline.first_reason : "no record was found");
        goto out;
    }
    VG_TRY_OUT(describe(&pipeline, sources[0]));
    VG_TRY_OUT(note_ratings(&pipeline));
    vg_store_writer *writer = pipeline.writer;
    pipeline.writer = NULL; /* finish frees it in every case */
    status = vg_store_writer_finish(writer);
out:
    vg_store_writer_abandon(pipeline.writer);
    vg__ratings_free(&pipeline.ratings);
    vg__csv_free(&pipeline.subjects);
    free(names);
    free(pipeline.values);
    return status;
}
