/* What comes out of the queue, in the importer's order: recordings and exclusions into the store, warnings
 * and figures into the report, names into what becomes the store's notes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "datasets/import/pipeline/own.h"

static void emit_warning(vg_import_report *report, const char *line)
{
    vg_debug("%s", line);
    if (report->warnings < VG_IMPORT_MAX_WARNINGS) {
        if (!report->warning) report->warning = calloc(VG_IMPORT_MAX_WARNINGS, sizeof *report->warning);
        char *copy = report->warning ? strdup(line) : NULL;
        if (!copy) return; /* a warning is not worth failing for */
        report->warning[report->warnings] = copy;
    }
    report->warnings++;
}

static vg_status emit_exclusion(vg__pipeline *pipeline, const vg__job *job)
{
    if (pipeline->options->strict) return vg_fail(job->status, "%s: %s", job->file, job->text);
    vg_debug("%s: left out: %s", job->file, job->text);
    if (!pipeline->first_reason[0])
        snprintf(pipeline->first_reason, sizeof pipeline->first_reason, "%.400s: %.600s", job->file,
                 job->text);
    pipeline->report->excluded++;
    if (!job->record) pipeline->report->unread++;
    vg_exclusion exclusion = {.kind = job->loss,
                              .source = job->file,
                              .subject = job->fields.subject,
                              .reason = job->text,
                              .seconds = job->seconds};
    return vg_store_writer_exclude(pipeline->writer, &exclusion);
}

static void note_rate(vg__pipeline *pipeline, double rate)
{
    for (int i = 0; i < pipeline->rate_count; i++)
        if (pipeline->rates[i] == rate) return;
    if (pipeline->rate_count < VG__MAX_RATES) pipeline->rates[pipeline->rate_count++] = rate;
}

static void note_limit(vg__pipeline *pipeline, const vg__job *job)
{
    char line[VG__LINE_SIZE];
    if (job->limit == 0) return;
    if (job->limit < pipeline->lowest_limit) pipeline->lowest_limit = job->limit;
    snprintf(line, sizeof line, "%.800s: sampled at %g Hz, so the band ends at %g Hz instead of %g Hz",
             job->file, job->rate, job->limit, pipeline->options->high);
    emit_warning(pipeline->report, line);
}

static void note_upside_down(vg__pipeline *pipeline, const char *record, const char *lead)
{
    size_t used = strlen(pipeline->upside_down);
    pipeline->report->upside_down++;
    if (used + strlen(record) + strlen(lead) + 8 > sizeof pipeline->upside_down) return;
    snprintf(pipeline->upside_down + used, sizeof pipeline->upside_down - used, "%s%s%s%s", used ? " " : "",
             record, *lead ? ":" : "", lead);
}

static void note_kept(vg__pipeline *pipeline, const vg__job *job)
{
    size_t used = strlen(pipeline->kept), size = sizeof pipeline->kept;
    if (!job->overruled[0] || used + strlen(job->fields.record) + strlen(job->overruled) + 8 > size) return;
    snprintf(pipeline->kept + used, size - used, "%s%s: %s", used ? "; " : "", job->fields.record,
             job->overruled);
}

static void note_bridged(vg__pipeline *pipeline, const vg__job *job)
{
    const char *record = job->fields.record, *lead = job->lead;
    size_t used = strlen(pipeline->bridged), size = sizeof pipeline->bridged;
    pipeline->samples += job->count;
    if (!job->bridged) return;
    pipeline->report->bridged += job->bridged;
    pipeline->bridged_samples += job->bridged_samples;
    pipeline->bridged_recordings++;
    if (used + strlen(record) + strlen(lead) + 32 > size) return;
    snprintf(pipeline->bridged + used, size - used, "%s%s%s%s %lld", used ? ", " : "", record,
             *lead ? ":" : "", lead, (long long)job->bridged);
}

vg_status vg__emit_bridged(const vg__pipeline *pipeline)
{
    char text[VG__NOTE_SIZE];
    if (pipeline->options->bridge == 0) return VG_OK;
    snprintf(text, sizeof text,
             "%lld gaps of up to %g ms in %lld of %lld recordings (%.2g %% of the samples) filled by "
             "straight lines%s%s",
             (long long)pipeline->report->bridged, pipeline->options->bridge,
             (long long)pipeline->bridged_recordings, (long long)pipeline->report->recordings,
             100 * (double)pipeline->bridged_samples / (double)pipeline->samples,
             *pipeline->bridged ? ": " : "", pipeline->bridged);
    return vg_store_writer_note(pipeline->writer, "bridged", text);
}

static vg_status note_blanks(vg__pipeline *pipeline, const vg__job *job)
{
    char reason[VG__LINE_SIZE];
    if (job->dropped == 0) return VG_OK;
    pipeline->report->windows_dropped += job->dropped;
    snprintf(reason, sizeof reason, "windows of 10 s blanked: %lld of %lld (%s)", (long long)job->dropped,
             (long long)job->quality.windows, job->windows);
    vg_exclusion exclusion = {.kind = VG_EXCLUSION_WINDOWS,
                              .source = job->file,
                              .subject = job->fields.subject,
                              .reason = reason,
                              .seconds = job->dropped_seconds};
    return vg_store_writer_exclude(pipeline->writer, &exclusion);
}

static vg_status emit_recording(vg__pipeline *pipeline, const vg__job *job)
{
    const vg__fields *fields = &job->fields;
    if (job->failed != VG_OK) return vg_fail(job->failed, "%s", job->text);
    note_limit(pipeline, job);
    if (job->status != VG_OK) return emit_exclusion(pipeline, job);
    if (vg__samples_upside_down(job) && !job->overruled[0])
        note_upside_down(pipeline, fields->record, job->lead);
    VG_TRY(note_blanks(pipeline, job));
    note_kept(pipeline, job);
    note_bridged(pipeline, job);
    VG_TRY(vg__record_set_add(&pipeline->records, job->record, true));
    vg_recording recording = {.subject = fields->subject,
                              .session = fields->session,
                              .trial = fields->trial,
                              .stimulus = fields->stimulus,
                              .lead = job->lead,
                              .source = job->file,
                              .length = job->stored_count};
    VG_TRY(vg_store_writer_add(pipeline->writer, &recording, job->stored, job->ratings));
    VG_TRY(vg_store_writer_measured(pipeline->writer, job->features, job->beats, job->beat_count));
    note_rate(pipeline, job->rate);
    pipeline->report->recordings++;
    pipeline->report->seconds += (double)job->stored_count / pipeline->options->rate;
    return VG_OK;
}

vg_status vg__emit(void *context, void *argument)
{
    vg__pipeline *pipeline = context;
    const vg__job *job = argument;
    if (job->record) {
        pipeline->report->records++;
        VG_TRY(vg__record_set_add(&pipeline->records, job->record, false));
    }
    if (job->kind == VG__JOB_RECORDING) return emit_recording(pipeline, job);
    if (job->kind == VG__JOB_EXCLUSION) return emit_exclusion(pipeline, job);
    emit_warning(pipeline->report, job->text);
    return VG_OK;
}
