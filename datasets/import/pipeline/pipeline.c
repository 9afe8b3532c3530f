/* From an importer's hands to the store: recordings are checked and copied here, worked on by several threads
 * (samples.c), and written again in the order in which they came (emit.c), as are exclusions and warnings
 * between them: the store has the same bytes for any number of threads. */
#define _GNU_SOURCE /* sched_getaffinity */
#include "datasets/import/pipeline/pipeline.h"

#include <math.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/signals.h"
#include "datasets/import/pipeline/own.h"

/* No electrode delivers a kilovolt; what claims to is damage, and taken as missing. */
static const double IMPOSSIBLE_MV = 1e6;

const vg_import_options *vg__pipeline_options(const vg__pipeline *pipeline)
{
    return pipeline->options;
}

/* ---- Jobs ------------------------------------------------------------------------------------------ */

static void discard(void *argument)
{
    vg__job *job = argument;
    free(job->file);
    free(job->lead);
    free(job->samples);
    free(job->stored);
    free(job->beats);
    free(job->ratings);
    free(job);
}

static void work(void *argument)
{
    vg__samples_work(argument);
}

/* A job with a copy of the file's name, or NULL and the cause. */
static vg__job *make_job(const vg__pipeline *pipeline, const char *file)
{
    vg__job *job = calloc(1, sizeof *job);
    if (job) {
        job->options = pipeline->options;
        job->file = strdup(file);
    }
    if (job && job->file) return job;
    free(job);
    vg_fail(VG_ERR_MEMORY, "%s: no memory for its place in the queue", file);
    return NULL;
}

/* ---- What importers call --------------------------------------------------------------------------- */

void vg__pipeline_warn(vg__pipeline *pipeline, const char *format, ...)
{
    vg__job *job = make_job(pipeline, "");
    if (!job) return; /* a warning is not worth failing for */
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(job->text, sizeof job->text, format, arguments);
    va_end(arguments);
    job->kind = VG__JOB_WARNING;
    /* What it could return is an earlier recording's error, which the next call tells again. */
    if (vg__ordered_add(pipeline->queue, job, sizeof *job, true) != VG_OK) return;
}

/* Puts an exclusion into its place. With `strict` it is the error, unless an earlier recording has one. */
static vg_status add_exclusion(vg__pipeline *pipeline, vg_exclusion_kind kind, vg_status status,
                               const char *file, const char *subject, double seconds, uint64_t record,
                               const char *reason)
{
    vg__job *job = make_job(pipeline, file);
    if (!job) return VG_ERR_MEMORY;
    job->kind = VG__JOB_EXCLUSION;
    job->loss = kind;
    job->status = status;
    job->seconds = seconds;
    job->record = record;
    snprintf(job->fields.subject, sizeof job->fields.subject, "%s", subject);
    snprintf(job->text, sizeof job->text, "%s", reason);
    VG_TRY(vg__ordered_add(pipeline->queue, job, sizeof *job, true));
    return pipeline->options->strict ? vg__ordered_drain(pipeline->queue) : VG_OK;
}

vg_status vg__pipeline_exclude(vg__pipeline *pipeline, vg_exclusion_kind kind, const char *file,
                               const char *subject, double seconds, const char *format, ...)
{
    char reason[VG__LINE_SIZE];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(reason, sizeof reason, format, arguments);
    va_end(arguments);
    const vg_status status = kind == VG_EXCLUSION_UNREAD ? VG_ERR_FORMAT : VG_ERR_DATA;
    return add_exclusion(pipeline, kind, status, file, subject, seconds, 0, reason);
}

static vg_status reject(vg__pipeline *pipeline, vg_status status, const char *file, uint64_t record)
{
    char cause[VG__LINE_SIZE];
    snprintf(cause, sizeof cause, "%s", vg_cause());
    if (status == VG_ERR_MEMORY || status == VG_ERR_PREEMPTED || pipeline->options->strict) {
        VG_TRY(vg__ordered_drain(pipeline->queue));
        return vg_fail(status, "%s", cause);
    }
    /* Most causes begin with the file; in the table it has a column of its own. */
    size_t length = strlen(file);
    bool named = strncmp(cause, file, length) == 0 && strncmp(cause + length, ": ", 2) == 0;
    const vg_exclusion_kind kind = record ? VG_EXCLUSION_SIGNAL : VG_EXCLUSION_UNREAD;
    return add_exclusion(pipeline, kind, status, file, "", NAN, record, cause + (named ? length + 2 : 0));
}

vg_status vg__pipeline_reject(vg__pipeline *pipeline, vg_status status, const char *file)
{
    return reject(pipeline, status, file, 0);
}

static VG_PRINTF(5, 6) vg_status refuse(vg__pipeline *pipeline, const vg__raw *raw, const char *subject,
                                        double seconds, const char *format, ...)
{
    char reason[VG__LINE_SIZE];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(reason, sizeof reason, format, arguments);
    va_end(arguments);
    return add_exclusion(pipeline, VG_EXCLUSION_SIGNAL, VG_ERR_DATA, raw->file, subject, seconds,
                         vg__record_of(raw), reason);
}

/* The samples in millivolt and the ratings, copied. `job->ratings` holds those of the options already. */
static vg_status take_samples(vg__job *job, const vg__raw *raw, double scale)
{
    job->lead = strdup(raw->lead ? raw->lead : "");
    job->samples = malloc((size_t)raw->count * sizeof *job->samples);
    if (!job->lead || !job->samples)
        return vg_fail(VG_ERR_MEMORY, "%s: no memory for %lld samples", raw->file, (long long)raw->count);
    for (int64_t i = 0; i < raw->count; i++) {
        double x = raw->samples[i] * scale;
        job->samples[i] = fabs(x) < IMPOSSIBLE_MV ? x : NAN;
    }
    job->count = raw->count;
    job->rate = raw->rate;
    return VG_OK;
}

static vg_status take_ratings(const vg__pipeline *pipeline, vg__job *job, const vg__raw *raw)
{
    const int known = pipeline->importer->rating_count;
    job->ratings = malloc((size_t)(pipeline->columns + 1) * sizeof *job->ratings);
    if (!job->ratings) return vg_fail(VG_ERR_MEMORY, "%s: no memory for its ratings", raw->file);
    for (int i = 0; i < known; i++) job->ratings[i] = raw->ratings ? raw->ratings[i] : NAN;
    return vg__ratings_look_up(&pipeline->ratings, &job->fields, job->ratings + known);
}

/* Everything that can be said of a recording without looking at its samples. *usable: go on. */
static vg_status check_raw(vg__pipeline *pipeline, const vg__raw *raw, vg__job *job, bool *usable)
{
    const vg_import_options *options = pipeline->options;
    const char *subject = job->fields.subject;
    const char *units = *options->units ? options->units : raw->units ? raw->units : "";
    *usable = false;
    if (!vg__pipeline_name(pipeline, raw, &job->fields))
        return refuse(pipeline, raw, "", NAN, "name: it does not fit the pattern \"%s\"", options->pattern);
    vg_status status = take_ratings(pipeline, job, raw);
    if (status != VG_OK)
        return reject(pipeline, vg_context(status, "%s", raw->file), raw->file, vg__record_of(raw));
    if (!(raw->rate >= VG__SLOWEST_HZ) || !isfinite(raw->rate))
        return refuse(pipeline, raw, subject, NAN,
                      "sampled too slowly: at %g Hz, an ECG needs at least %d Hz", raw->rate, VG__SLOWEST_HZ);
    if (options->order > 0 && options->low > 0 && !(options->low < VG__HIGHEST_EDGE * raw->rate))
        return refuse(pipeline, raw, subject, NAN,
                      "sampled too slowly: at %g Hz nothing lies in the band, which begins at %g Hz",
                      raw->rate, options->low);
    double seconds = (double)raw->count / raw->rate, scale = vg__millivolt_per(units);
    if (scale == 0)
        return refuse(pipeline, raw, subject, seconds,
                      *units ? "unknown unit: \"%s\"%s%s; the option units can tell it (V, mV, uV)"
                             : "unknown unit:%s nothing tells that%s%s; the option units can (V, mV, uV)",
                      units, raw->lead && *raw->lead ? " of " : "", raw->lead ? raw->lead : "");
    job->keep = vg__pipeline_keeps(pipeline, raw);
    bool too_short = raw->count == 0 || seconds < options->min_seconds;
    if (too_short && (raw->count == 0 || !job->keep))
        return refuse(pipeline, raw, subject, seconds, "too short: %.1f s, a recording must have %g s",
                      seconds, options->min_seconds);
    if (too_short)
        snprintf(job->overruled, sizeof job->overruled, "too short: %.1f s of %g s", seconds,
                 options->min_seconds);
    job->seconds = seconds;
    VG_TRY(vg__ordered_make_room(pipeline->queue, vg__samples_bytes(raw->count)));
    *usable = true;
    return take_samples(job, raw, scale);
}

vg_status vg__pipeline_add(vg__pipeline *pipeline, const vg__raw *raw)
{
    bool usable;
    vg__job *job = make_job(pipeline, raw->file);
    if (!job) return VG_ERR_MEMORY;
    job->record = vg__record_of(raw);
    vg_status status = check_raw(pipeline, raw, job, &usable);
    if (status == VG_OK && usable)
        return vg__ordered_add(pipeline->queue, job, vg__samples_bytes(raw->count), false);
    discard(job);
    return status;
}

/* ---- The run --------------------------------------------------------------------------------------- */

/* As many as there are cores for this process, unless the option says how many. */
static int thread_count(const vg_import_options *options)
{
    enum { MOST = 256 };
    cpu_set_t cores;
    CPU_ZERO(&cores);
    int count = options->threads;
    if (count == 0) count = sched_getaffinity(0, sizeof cores, &cores) == 0 ? CPU_COUNT(&cores) : 1;
    return count < 1 ? 1 : count > MOST ? MOST : count;
}

static vg_status tell_stopped(const char *out)
{
    const int number = vg_stop_signal();
    return vg_fail(VG_ERR_PREEMPTED, "the import was stopped%s; nothing was written to %s",
                   number == SIGINT    ? " by SIGINT"
                   : number == SIGTERM ? " by SIGTERM"
                                       : "",
                   out);
}

static vg_status tell_nothing(const vg__pipeline *pipeline)
{
    const vg_import_report *report = pipeline->report;
    if (report->excluded == 0) return vg_fail(VG_ERR_DATA, "nothing could be imported: no record was found");
    return vg_fail(VG_ERR_DATA,
                   "nothing could be imported; left out (leads: %lld, records: %lld, sources without a lead: "
                   "%lld), the first: %s",
                   (long long)report->records, (long long)pipeline->records.count, (long long)report->unread,
                   pipeline->first_reason);
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
    VG_TRY_OUT(vg__options_check(options));
    VG_TRY_OUT(vg__ratings_read(options->rating, options->labels, options->label_names, &pipeline.ratings));
    if (*options->subjects) VG_TRY_OUT(vg__csv_read(options->subjects, &pipeline.subjects));
    const int known = importer->rating_count, columns = known + pipeline.ratings.count;
    const vg__ordered_calls calls = {
        .work = work, .emit = vg__emit, .discard = discard, .context = &pipeline};
    pipeline.columns = columns;
    names = malloc((size_t)(columns + 1) * sizeof *names);
    if (!names) {
        status = vg_fail(VG_ERR_MEMORY, "no memory for %d columns of ratings", columns);
        goto out;
    }
    for (int i = 0; i < columns; i++)
        names[i] = i < known ? importer->rating_names[i] : pipeline.ratings.rating[i - known].name;
    VG_TRY_OUT(vg_store_writer_create(out, overwrite, names, columns, &pipeline.writer));
    VG_TRY_OUT(vg_store_writer_features(pipeline.writer, vg_feature_names(), VG_FEATURE_COUNT));
    VG_TRY_OUT(vg__ordered_create(thread_count(options), VG__BYTES_IN_FLIGHT, &calls, &pipeline.queue));
    vg__options_warn(&pipeline);
    VG_TRY_OUT(importer->import(&pipeline, sources, count));
    vg__pipeline_check_keep(&pipeline);
    VG_TRY_OUT(vg__ordered_drain(pipeline.queue));
    if (report->recordings == 0) {
        status = tell_nothing(&pipeline);
        goto out;
    }
    VG_TRY_OUT(vg__pipeline_describe(&pipeline, sources[0]));
    VG_TRY_OUT(vg__emit_bridged(&pipeline));
    VG_TRY_OUT(vg__ordered_drain(pipeline.queue)); /* warnings */
    vg_store_writer *writer = pipeline.writer;
    pipeline.writer = NULL; /* finish frees it in every case */
    status = vg_store_writer_finish(writer);
out:
    vg__ordered_destroy(pipeline.queue);
    vg_store_writer_abandon(pipeline.writer);
    vg__ratings_free(&pipeline.ratings);
    vg__csv_free(&pipeline.subjects);
    report->trials = pipeline.records.count;
    report->trials_used = pipeline.records.used;
    vg__record_set_free(&pipeline.records);
    free(names);
    return status == VG_ERR_PREEMPTED ? tell_stopped(out) : status;
}
