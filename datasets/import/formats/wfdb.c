/* WFDB: a text header (.hea) and signal files of every format, those packed with FLAC too, also inside MAT
 * version 4 containers (format 16 behind a header of 24 bytes); records of several segments become one
 * recording a lead, with gaps where a segment is missing or lacks the signal.
 *
 * Why not libbiosig, which reads WFDB too: its errors name neither the header's line nor the sizes expected
 * and found, and in a trial with version 2.5.0 a record whose signal file was cut short ended in a
 * segmentation fault. */
#include "datasets/import/formats/wfdb.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "datasets/import/formats/leads.h"
#include "datasets/import/pipeline/files.h"
#include "datasets/import/pipeline/pipeline.h"

/* A record whose signals are missing for longer than this many times what they hold is refused, so that a
 * header's few bytes cannot ask for any amount of memory. */
enum { MOST_GAP = 64 };

static bool is_gap(const vg__wfdb_segment *segment)
{
    return strcmp(segment->record, "~") == 0;
}

static void lead_name(const vg__wfdb_header *h, int signal, char *name, size_t size)
{
    snprintf(name, size, "%s", h->signal[signal].description);
    if (!*name) snprintf(name, size, "signal %d", signal + 1);
}

/* ---- An ordinary record ------------------------------------------------------------------------------ */

/* Warns of what the header says otherwise than the samples. Converters write a checksum of 0 for "none": all
 * of the 2017 Challenge's files do, and in 22 of 400 the first sample differs too, so it is compared only
 * where a checksum vouches for the header. */
static void compare(vg__pipeline *pipeline, const vg__wfdb_header *h, int signal, const vg__wfdb_sums *sums)
{
    const vg__wfdb_signal *s = &h->signal[signal];
    char lead[128];
    lead_name(h, signal, lead, sizeof lead);
    bool summed = s->has_checksum && s->checksum != 0 && h->frames > 0;
    if (summed && sums->checksum != (unsigned)s->checksum)
        vg__pipeline_warn(pipeline,
                          "%s: line %d: the samples of %s add up to checksum %u, the header says %d", h->path,
                          s->line, lead, sums->checksum, s->checksum);
    if (summed && s->has_initial && s->format != 8 && sums->first != s->initial)
        vg__pipeline_warn(pipeline, "%s: line %d: %s begins with the value %lld, the header says %lld",
                          h->path, s->line, lead, (long long)sums->first, (long long)s->initial);
    if (!s->calibrated)
        vg__pipeline_warn(pipeline, "%s: line %d: %s is not calibrated; 200 units per mV are assumed",
                          h->path, s->line, lead);
}

static vg_status read_signal(vg__pipeline *pipeline, vg__wfdb_header *h, int signal, int64_t frames,
                             double *x)
{
    vg__wfdb_sums sums;
    VG_TRY(vg__wfdb_read(h, signal, frames, x, &sums));
    if (frames > 0) compare(pipeline, h, signal, &sums);
    return VG_OK;
}

static vg_status allocate(const vg__wfdb_header *h, int64_t count, double **x)
{
    *x = malloc((size_t)(count + 1) * sizeof **x);
    if (*x) return VG_OK;
    return vg_fail(VG_ERR_MEMORY, "%s: no memory for %lld samples", h->path, (long long)count);
}

static vg_status hand_over(vg__pipeline *pipeline, const vg__wfdb_header *h, const vg__wfdb_signal *s,
                           const char *lead, int64_t count, double *x)
{
    vg__raw raw = {.file = h->path,
                   .record = h->record,
                   .lead = lead,
                   .rate = h->rate * s->per_frame,
                   .units = s->units,
                   .samples = x,
                   .count = count};
    return vg__pipeline_add(pipeline, &raw);
}

/* A record whose files were checked. */
static vg_status import_signals(vg__pipeline *pipeline, vg__wfdb_header *h, int64_t frames)
{
    vg__leads leads = {0};
    for (int i = 0; i < h->signals; i++) {
        const vg__wfdb_signal *s = &h->signal[i];
        char lead[128];
        double *x;
        if (s->format == 0 || !vg__leads_take(pipeline, &leads, s->description, i)) continue;
        lead_name(h, i, lead, sizeof lead);
        VG_TRY(allocate(h, frames * s->per_frame, &x));
        vg_status status = read_signal(pipeline, h, i, frames, x);
        if (status == VG_OK)
            status = hand_over(pipeline, h, s, lead, frames * s->per_frame, x);
        else
            status = vg__pipeline_reject(pipeline, status, h->path);
        free(x);
        VG_TRY(status);
    }
    return vg__leads_check(pipeline, &leads, h->path, "", (double)frames / h->rate);
}

/* ---- A record of several segments -------------------------------------------------------------------- */

typedef struct segmented {
    vg__wfdb_header list; /* which signals there are: the layout segment, or the first that is no gap */
    bool variable;        /* the segments hold signals of their own choice, found by their names */
    int64_t frames;       /* with gaps */
} segmented;

/* The segment's own header; the caller frees it, also after an error. */
static vg_status read_segment(const vg__wfdb_header *h, const vg__wfdb_segment *segment, vg__wfdb_header *own)
{
    char path[4096];
    memset(own, 0, sizeof *own);
    VG_TRY(vg__wfdb_beside(h, segment->line, segment->record, ".hea", path, sizeof path));
    vg_status status = vg__wfdb_header_read(path, own);
    if (status != VG_OK) return vg_context(status, "%s: line %d: the segment", h->path, segment->line);
    if (own->segment)
        return vg_fail(VG_ERR_FORMAT, "%s: line %d: the segment \"%s\" consists of segments itself", h->path,
                       segment->line, segment->record);
    if (own->rate != h->rate)
        return vg_fail(VG_ERR_FORMAT, "%s: line %d: the segment \"%s\" has %g frames a second, the record %g",
                       h->path, segment->line, segment->record, own->rate, h->rate);
    if (own->frames > 0 && segment->frames > 0 && own->frames != segment->frames)
        return vg_fail(VG_ERR_FORMAT, "%s: line %d: the segment \"%s\" has %lld samples, not %lld", h->path,
                       segment->line, segment->record, (long long)own->frames, (long long)segment->frames);
    if (own->frames == 0) own->frames = segment->frames;
    return VG_OK;
}

/* Which of a segment's signals is the list's `signal`; -1: none. */
static int find_signal(const segmented *r, const vg__wfdb_header *own, int signal)
{
    if (!r->variable) return signal < own->signals ? signal : -1;
    for (int i = 0; i < own->signals; i++)
        if (strcmp(own->signal[i].description, r->list.signal[signal].description) == 0)
            return own->signal[i].format == 0 ? -1 : i;
    return -1;
}

/* A segment's files, and that its signals fit the list: adds the frames that each signal has to held[]. */
static vg_status check_segment(const vg__wfdb_header *h, const segmented *r, const vg__wfdb_segment *segment,
                               int64_t *held)
{
    vg__wfdb_header own;
    int64_t frames;
    vg_status status = read_segment(h, segment, &own);
    if (status != VG_OK) goto out;
    if (!r->variable && own.signals != r->list.signals) {
        status =
            vg_fail(VG_ERR_FORMAT, "%s: line %d: the segment \"%s\" has %d signals, the first one has %d",
                    h->path, segment->line, segment->record, own.signals, r->list.signals);
        goto out;
    }
    VG_TRY_OUT(vg__wfdb_check(&own, &frames));
    for (int i = 0; i < r->list.signals; i++) {
        const vg__wfdb_signal *listed = &r->list.signal[i];
        int at = find_signal(r, &own, i);
        if (at < 0 || own.signal[at].format == 0) continue;
        held[i] += frames;
        /* The layout's own lines say nothing certain about the segments but the signals' names. */
        if (!r->variable && own.signal[at].per_frame != listed->per_frame) {
            status = vg_fail(VG_ERR_FORMAT,
                             "%s: line %d: in the segment \"%s\" signal %d is sampled at another rate",
                             h->path, segment->line, segment->record, i + 1);
            goto out;
        }
    }
out:
    vg__wfdb_header_free(&own);
    return status;
}

/* Reads the list of signals and adds up the frames. */
static vg_status open_segments(vg__pipeline *pipeline, const vg__wfdb_header *h, segmented *r)
{
    int first = 0;
    while (first < h->segments && is_gap(&h->segment[first])) first++;
    if (first == h->segments) return vg_fail(VG_ERR_FORMAT, "%s: the record consists of gaps alone", h->path);
    r->variable = first == 0 && h->segment[0].frames == 0;
    VG_TRY(read_segment(h, &h->segment[first], &r->list));
    for (int i = 0; i < h->segments; i++) r->frames += h->segment[i].frames;
    if (h->frames > 0 && h->frames != r->frames)
        vg__pipeline_warn(pipeline, "%s: its segments have %lld samples in all, the header says %lld",
                          h->path, (long long)r->frames, (long long)h->frames);
    return VG_OK;
}

/* One lead over all segments into x[frames * per_frame]; *like is how a segment describes it. */
static vg_status read_over(vg__pipeline *pipeline, const vg__wfdb_header *h, const segmented *r, int signal,
                           double **x, vg__wfdb_signal *like)
{
    vg_status status = VG_OK;
    vg__wfdb_header own = {0};
    int64_t at = 0;
    like->per_frame = 0;
    for (int k = 0; k < h->segments; k++) {
        const vg__wfdb_segment *segment = &h->segment[k];
        if (segment->frames == 0) continue;
        int there = -1;
        if (!is_gap(segment)) {
            VG_TRY_OUT(read_segment(h, segment, &own));
            there = find_signal(r, &own, signal);
        }
        if (there >= 0 && own.signal[there].format != 0) {
            const vg__wfdb_signal *s = &own.signal[there];
            if (like->per_frame == 0) {
                *like = *s;
                VG_TRY_OUT(allocate(h, r->frames * s->per_frame, x));
                for (int64_t i = 0; i < r->frames * s->per_frame; i++) (*x)[i] = NAN;
            }
            if (s->per_frame != like->per_frame || strcmp(s->units, like->units) != 0) {
                status = vg_fail(VG_ERR_FORMAT,
                                 "%s: line %d: in the segment \"%s\" %s has %d samples a frame in %s, before "
                                 "it had %d in %s",
                                 h->path, segment->line, segment->record, s->description, s->per_frame,
                                 s->units, like->per_frame, like->units);
                goto out;
            }
            VG_TRY_OUT(read_signal(pipeline, &own, there, segment->frames, *x + at * s->per_frame));
        }
        at += segment->frames;
        vg__wfdb_header_free(&own);
    }
out:
    vg__wfdb_header_free(&own);
    return status;
}

static vg_status import_lead(vg__pipeline *pipeline, const vg__wfdb_header *h, const segmented *r, int signal,
                             int64_t held)
{
    vg__wfdb_signal like;
    double *x = NULL;
    char lead[128];
    lead_name(&r->list, signal, lead, sizeof lead);
    if (held == 0) return VG_OK; /* listed, but in no segment */
    if (r->frames / MOST_GAP > held)
        return vg__pipeline_exclude(
            pipeline, VG_EXCLUSION_SIGNAL, h->path, "", (double)held / h->rate,
            "%s is missing for all but %lld of %lld samples; import the segments that "
            "hold it by themselves",
            lead, (long long)held, (long long)r->frames);
    vg_status status = read_over(pipeline, h, r, signal, &x, &like);
    if (status != VG_OK)
        status = vg__pipeline_reject(pipeline, status, h->path);
    else
        status = hand_over(pipeline, h, &like, lead, r->frames * like.per_frame, x);
    free(x);
    return status;
}

/* *checked: the record is in order, so an error that follows is not about it. */
static vg_status import_segments(vg__pipeline *pipeline, const vg__wfdb_header *h, bool *checked)
{
    vg_status status = VG_OK;
    segmented r = {0};
    vg__leads leads = {0};
    int64_t *held = calloc(VG__WFDB_MAX_SIGNALS, sizeof *held);
    if (!held) return vg_fail(VG_ERR_MEMORY, "%s: no memory for its signals", h->path);
    VG_TRY_OUT(open_segments(pipeline, h, &r));
    for (int k = 0; k < h->segments; k++)
        if (!is_gap(&h->segment[k]) && h->segment[k].frames > 0)
            VG_TRY_OUT(check_segment(h, &r, &h->segment[k], held));
    *checked = true;
    for (int i = 0; i < r.list.signals; i++)
        if (vg__leads_take(pipeline, &leads, r.list.signal[i].description, i))
            VG_TRY_OUT(import_lead(pipeline, h, &r, i, held[i]));
    status = vg__leads_check(pipeline, &leads, h->path, "", (double)r.frames / h->rate);
out:
    vg__wfdb_header_free(&r.list);
    free(held);
    return status;
}

/* ---- The importer ------------------------------------------------------------------------------------ */

static vg_status import_record(vg__pipeline *pipeline, const char *path)
{
    vg__wfdb_header *h = malloc(sizeof *h);
    int64_t frames;
    bool checked = false;
    if (!h) return vg_fail(VG_ERR_MEMORY, "no memory for a header");
    vg_status status = vg__wfdb_header_read(path, h);
    if (status == VG_OK && h->segment) {
        status = import_segments(pipeline, h, &checked);
    } else if (status == VG_OK) {
        status = vg__wfdb_check(h, &frames);
        checked = status == VG_OK;
        if (checked) status = import_signals(pipeline, h, frames);
    }
    if (status != VG_OK && !checked) status = vg__pipeline_reject(pipeline, status, path);
    vg__wfdb_header_free(h);
    free(h);
    return status;
}

static int by_name(const void *left, const void *right)
{
    return strcmp(*(char *const *)left, *(char *const *)right);
}

/* The headers among `files` that are segments of others among them, sorted: they come with their record. */
static vg_status find_segments(const vg__files *files, vg__files *parts)
{
    vg_status status = VG_OK;
    vg__wfdb_header *h = calloc(1, sizeof *h);
    if (!h) return vg_fail(VG_ERR_MEMORY, "no memory for a header");
    for (int64_t i = 0; i < files->count; i++) {
        bool read = vg__wfdb_header_read(files->path[i], h) == VG_OK;
        for (int k = 0; read && k < h->segments; k++) {
            char path[4096];
            if (is_gap(&h->segment[k]) ||
                vg__wfdb_beside(h, 0, h->segment[k].record, ".hea", path, sizeof path))
                continue;
            VG_TRY_OUT(vg__files_keep(parts, path));
        }
        vg__wfdb_header_free(h);
    }
    if (parts->count) qsort(parts->path, (size_t)parts->count, sizeof *parts->path, by_name);
out:
    vg__wfdb_header_free(h);
    free(h);
    return status;
}

static vg_status import_wfdb(vg__pipeline *pipeline, const char *const *sources, int count)
{
    vg_status status = VG_OK;
    vg__files files = {0}, parts = {0};
    VG_TRY_OUT(vg__files_find(sources, count, ".hea", &files));
    if (files.count > 1) VG_TRY_OUT(find_segments(&files, &parts));
    for (int64_t i = 0; i < files.count; i++) {
        bool part = parts.count &&
                    bsearch(&files.path[i], parts.path, (size_t)parts.count, sizeof *parts.path, by_name);
        if (!part) VG_TRY_OUT(import_record(pipeline, files.path[i]));
    }
out:
    vg__files_free(&files);
    vg__files_free(&parts);
    return status;
}

extern const vg__importer vg__importer_wfdb;
const vg__importer vg__importer_wfdb = {
    .name = "wfdb",
    .reads = "WFDB records: .hea with signal files of every format, FLAC too, also in MAT version 4 files; "
             "records of several segments",
    .version = "2",
    /* clang-format off */
    .help = "The option map says nothing here: the header tells rate, units and leads. --leads takes the header's\n"
            "descriptions of the signals.\n"
            "\n"
            "  vagus data import wfdb mitdb/ --out mitdb.h5 --leads MLII\n",
    /* clang-format on */
    .import = import_wfdb,
};
