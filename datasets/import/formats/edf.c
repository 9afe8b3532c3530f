/* EDF, EDF+, BDF, BDF+ and GDF: the channels that are ECG, one recording each. Annotations are no signal; the
 * records of a discontinuous file (EDF+D) stand at their own times, with gaps between.
 *
 * Why not edflib: it refuses files that say EDF+ but hold no annotations (the data set eegmat among them),
 * and it gives a number where the user needs to know which size or field is wrong. */
#include "datasets/import/formats/edf.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "datasets/import/pipeline/files.h"

/* A file whose gaps are longer than this many times what it holds is refused, so that a few bytes cannot ask
 * for any amount of memory. */
enum { MOST_GAP = 64 };

/* Bytes: asking the kernel costs about as much as copying a short record. */
enum { SHORT_RECORD = 1 << 13, RUN_BYTES = 1 << 16 };

static bool names_ecg(const char *label)
{
    for (; *label; label++)
        if (strncasecmp(label, "ECG", 3) == 0 || strncasecmp(label, "EKG", 3) == 0) return true;
    return false;
}

/* "ECG II" is the lead II of type ECG, as EDF+ writes labels. */
static const char *lead_name(const char *label)
{
    bool typed = (strncasecmp(label, "ECG ", 4) == 0 || strncasecmp(label, "EKG ", 4) == 0) && label[4];
    return typed ? label + 4 : label;
}

static bool wanted(const vg__pipeline *pipeline, const vg__edf_channel *c, int ecg_index)
{
    const char *leads = vg__pipeline_options(pipeline)->leads;
    if (c->annotations || c->samples == 0) return false;
    if (strcmp(leads, "all") == 0 || strcmp(leads, "first") == 0)
        return names_ecg(c->label) && vg__pipeline_wants_lead(pipeline, c->label, ecg_index);
    return vg__pipeline_wants_lead(pipeline, c->label, 0) ||
           vg__pipeline_wants_lead(pipeline, lead_name(c->label), 0);
}

static vg_status check_scale(const vg__edf *e, const vg__edf_channel *c)
{
    double range = c->digital_max - c->digital_min, height = c->physical_max - c->physical_min;
    if (range > 0 && isfinite(range) && height != 0 && isfinite(height)) return VG_OK;
    return vg_fail(
        VG_ERR_FORMAT, "%s: channel \"%s\" maps the digital range %g..%g to %g..%g %s, which is no scale",
        e->path, c->label, c->digital_min, c->digital_max, c->physical_min, c->physical_max, c->units);
}

/* How many samples the channel spans, with its gaps. */
static vg_status span(const vg__edf *e, const vg__edf_channel *c, int64_t *count)
{
    const int64_t held = e->records * c->samples;
    *count = held;
    if (!e->times || e->records == 0) return VG_OK;
    double seconds = e->times[e->records - 1] + e->duration, rate = (double)c->samples / e->duration;
    if (!(seconds * rate <= (double)held * MOST_GAP))
        return vg_fail(
            VG_ERR_FORMAT,
            "%s: its %lld data records hold %g s of %g s from first to last; cut it into files without "
            "such gaps",
            e->path, (long long)e->records, (double)e->records * e->duration, seconds);
    *count = (int64_t)llround(e->times[e->records - 1] * rate) + c->samples;
    return VG_OK;
}

/* The whole channel in physical units into x[count], which is NaN where there is a gap. */
static vg_status read_channel(const vg__edf *e, const vg__edf_channel *c, int64_t count, double *x)
{
    const int width = vg__edf_width(c->type);
    const double scale = (c->physical_max - c->physical_min) / (c->digital_max - c->digital_min),
                 rate = (double)c->samples / e->duration;
    /* Of short data records many are read at once, whole; of long ones the channel alone. */
    const bool whole = e->record_bytes <= SHORT_RECORD;
    const int64_t run = whole ? RUN_BYTES / e->record_bytes : 1, skip = whole ? 0 : c->start;
    unsigned char *bytes = malloc((size_t)(whole ? run * e->record_bytes : c->samples * width));
    if (!bytes) return vg_fail(VG_ERR_MEMORY, "%s: no memory for a data record", e->path);
    vg_status status = VG_OK;
    int64_t end = 0; /* of what was written */
    for (int64_t r = 0; r < e->records; r++) {
        if (r % run == 0) {
            const int64_t records = run < e->records - r ? run : e->records - r;
            VG_TRY_OUT(vg__edf_read(e, e->header_bytes + r * e->record_bytes + skip, bytes,
                                    whole ? records * e->record_bytes : c->samples * width));
        }
        int64_t at = e->times ? llround(e->times[r] * rate) : end;
        if (at < end) at = end; /* rounding, and the little that a time may be early */
        for (; end < at && end < count; end++) x[end] = NAN;
        const int64_t taken = c->samples < count - end ? c->samples : count - end;
        vg__edf_samples(c->type, bytes + r % run * e->record_bytes + c->start - skip, taken, x + end);
        for (const int64_t stop = end + taken; end < stop; end++)
            x[end] = c->physical_min + (x[end] - c->digital_min) * scale;
    }
    for (; end < count; end++) x[end] = NAN;
out:
    free(bytes);
    return status;
}

static vg_status add_channel(vg__pipeline *pipeline, const vg__edf *e, const vg__edf_channel *c)
{
    char stem[VG__FIELD_SIZE];
    int64_t count;
    double *x = NULL;
    vg_status status = check_scale(e, c);
    if (status == VG_OK) status = span(e, c, &count);
    if (status != VG_OK) return vg__pipeline_reject(pipeline, status, e->path);
    x = malloc((size_t)(count + 1) * sizeof *x);
    if (!x) return vg_fail(VG_ERR_MEMORY, "%s: no memory for %lld samples", e->path, (long long)count);
    status = read_channel(e, c, count, x);
    if (status != VG_OK) {
        free(x);
        return vg__pipeline_reject(pipeline, status, e->path);
    }
    vg__file_stem(e->path, stem, sizeof stem);
    vg__raw raw = {.file = e->path,
                   .record = stem,
                   .lead = lead_name(c->label),
                   .rate = (double)c->samples / e->duration,
                   .units = c->units,
                   .samples = x,
                   .count = count};
    status = vg__pipeline_add(pipeline, &raw);
    free(x);
    return status;
}

/* Every wanted channel of a file whose header is in order. */
static vg_status import_channels(vg__pipeline *pipeline, const vg__edf *e)
{
    char labels[512] = "";
    int ecg = 0, taken = 0;
    for (int i = 0; i < e->channels; i++) {
        const vg__edf_channel *c = &e->channel[i];
        size_t used = strlen(labels);
        snprintf(labels + used, sizeof labels - used, "%s%s", i ? ", " : "", c->label);
        bool take = wanted(pipeline, c, ecg);
        ecg += !c->annotations && names_ecg(c->label);
        if (!take) continue;
        taken++;
        VG_TRY(add_channel(pipeline, e, c));
    }
    if (taken > 0) return VG_OK;
    return vg__pipeline_exclude(pipeline, VG_EXCLUSION_NOTHING, e->path, "", (double)e->records * e->duration,
                                "no ECG channel: leads=%s finds none among %s",
                                vg__pipeline_options(pipeline)->leads, labels);
}

static vg_status import_edf(vg__pipeline *pipeline, const char *const *sources, int count)
{
    vg_status status = VG_OK;
    vg__files files = {0};
    VG_TRY_OUT(vg__files_find(sources, count, ".edf .bdf .gdf .rec", &files));
    for (int64_t i = 0; i < files.count; i++) {
        vg__edf e;
        status = vg__edf_open(pipeline, files.path[i], &e);
        status = status == VG_OK ? import_channels(pipeline, &e)
                                 : vg__pipeline_reject(pipeline, status, files.path[i]);
        vg__edf_close(&e);
        if (status != VG_OK) goto out;
    }
out:
    vg__files_free(&files);
    return status;
}

extern const vg__importer vg__importer_edf;
const vg__importer vg__importer_edf = {
    .name = "edf",
    .reads =
        "EDF, EDF+, BDF, BDF+ and GDF: the channels whose label says ECG or EKG, or those that are named",
    .version = "2",
    /* clang-format off */
    .help = "The option map says nothing here: the header tells rate, units and leads. --leads takes labels of\n"
            "channels, whole or without \"ECG\"; else those whose label says ECG or EKG are taken.\n"
            "\n"
            "  vagus data import edf eegmat/ --out eegmat.h5 --pattern 'Subject{subject}_{trial}.edf'\n",
    /* clang-format on */
    .import = import_edf,
};
