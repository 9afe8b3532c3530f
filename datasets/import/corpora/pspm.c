/* The PsPM sets (Psychophysiological Modelling, Zenodo): one MAT file a recording.
 *
 *   PREFIX_spike_01.mat
 *     infos.duration        s
 *     data                  a cell vector, one channel an element:
 *       .header.chantype    (older files: channeltype) "ecg", "hb" (times of heart beats), "scr", "resp" ...
 *       .header.sr          Hz; it varies
 *       .header.units       of the channel
 *       .data               a vector, at times lying on its side, at times empty
 *   PREFIX_cogent_01.mat    triggers only: passed over
 *
 * As PsPM's documentation and the published sets have it; nobody has run this on all of them yet. Taken are
 * the channels of type ecg; several in a file are the leads "ecg", "ecg 2" ... The subject is the file's name
 * without
 * "_spike"; whether PREFIX_spike_01 of two experiments are one person is not in the files, and the option
 * pattern or subjects can say it. A unit that is none of voltage ("unknown") needs the option units. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "core/log.h"
#include "datasets/import/pipeline/files.h"
#include "datasets/import/mat/files.h"

typedef struct pspm {
    vg__pipeline *pipeline;
    const char *path;
    char subject[128], types[256];
    double duration; /* s, NaN when the file does not say */
    int found;       /* channels of type ecg */
    bool beats, fatal;
} pspm;

static const char *text_of(const vg__mat_value *value)
{
    return value && value->kind == VG__MAT_TEXT ? value->text : NULL;
}

static vg_status add_ecg(pspm *p, const vg__mat_value *channel, const vg__mat_value *header)
{
    char reason[256], words[VG__MAT_WORDS], lead[32] = "ecg";
    const vg__mat_value *data = vg__mat_field(channel, "data");
    const char *units = text_of(vg__mat_field(header, "units"));
    const double rate = vg__mat_number(vg__mat_field(header, "sr"));
    if (p->found > 1) snprintf(lead, sizeof lead, "ecg %d", p->found);
    if (!vg__pipeline_wants_lead(p->pipeline, lead, p->found - 1)) return VG_OK;
    if (data && data->kind == VG__MAT_NUMBERS && data->count == 0)
        return vg__mat_exclude(p->pipeline, VG_EXCLUSION_NOTHING, p->path, p->subject, channel,
                               "its ECG channel is empty");
    if (!data || data->kind != VG__MAT_NUMBERS || (data->rows != 1 && data->columns != 1)) {
        snprintf(reason, sizeof reason, "its data are %s where one row or column of numbers is expected",
                 vg__mat_describe(data, words));
        return vg__mat_exclude(p->pipeline, VG_EXCLUSION_UNREAD, p->path, p->subject, channel, reason);
    }
    if (!(rate > 0)) {
        snprintf(reason, sizeof reason, "header.sr is %s where the sampling rate in Hz is expected",
                 vg__mat_describe(vg__mat_field(header, "sr"), words));
        return vg__mat_exclude(p->pipeline, VG_EXCLUSION_UNREAD, p->path, p->subject, channel, reason);
    }
    if (fabs((double)data->count / rate - p->duration) > 0.01 * p->duration + 1)
        vg__pipeline_warn(p->pipeline, "%s: %s lasts %g s, but infos.duration says %g", p->path,
                          channel->path, (double)data->count / rate, p->duration);
    vg__mat_value column = *data; /* upright */
    column.rows = data->count;
    column.columns = 1;
    vg__raw raw = {.file = p->path,
                   .record = p->subject,
                   .subject = p->subject,
                   .lead = lead,
                   .rate = rate,
                   .units = units ? units : ""};
    return vg__mat_add_column(p->pipeline, &column, 0, 0, raw);
}

static vg_status visit_channel(void *context, int64_t index, const vg__mat_value *channel)
{
    pspm *p = context;
    (void)index;
    const vg__mat_value *header = vg__mat_field(channel, "header");
    const char *type = text_of(vg__mat_field(header, "chantype"));
    if (!type) type = text_of(vg__mat_field(header, "channeltype"));
    if (!type) type = "of no type";
    size_t used = strlen(p->types);
    snprintf(p->types + used, sizeof p->types - used, "%s%s", used ? ", " : "", type);
    p->beats = p->beats || strcasecmp(type, "hb") == 0;
    if (strcasecmp(type, "ecg") != 0) return VG_OK;
    p->found++;
    vg_status status = add_ecg(p, channel, header);
    p->fatal = status != VG_OK;
    return status;
}

/* The file's name without its ending and "_spike". */
static void name_subject(pspm *p)
{
    vg__file_stem(p->path, p->subject, sizeof p->subject);
    char *spike = strstr(p->subject, "_spike");
    if (spike) memmove(spike, spike + 6, strlen(spike + 6) + 1);
}

static vg_status read_file(vg__pipeline *pipeline, void *context, const char *path, vg__mat *mat)
{
    vg_status status = VG_OK;
    pspm *p = context;
    vg__mat_value infos = {.kind = VG__MAT_OTHER};
    *p = (pspm){.pipeline = pipeline, .path = path, .duration = NAN};
    name_subject(p);
    if (!vg__mat_has(mat, "data"))
        return vg__pipeline_exclude(pipeline, VG_EXCLUSION_UNREAD, path, p->subject, NAN,
                                    "no file of PsPM: it has no variable data, but %.300s",
                                    vg__mat_names(mat));
    if (vg__mat_has(mat, "infos")) {
        status = vg__mat_load(mat, "infos", &infos);
        if (status == VG_OK) p->duration = vg__mat_number(vg__mat_field(&infos, "duration"));
    }
    if (status == VG_OK) status = vg__mat_each(mat, "data", "", visit_channel, p);
    vg__mat_free(&infos);
    if (p->fatal) return status;
    if (status != VG_OK) return vg__pipeline_reject(pipeline, status, path);
    if (p->found > 0) return VG_OK;
    return vg__pipeline_exclude(pipeline, VG_EXCLUSION_NOTHING, path, p->subject, p->duration,
                                "no ECG channel: %s%s",
                                p->beats ? "it holds times of heart beats and no signal; "
                                           "its channels are "
                                         : "its channels are ",
                                p->types[0] ? p->types : "none");
}

static vg_status import_pspm(vg__pipeline *pipeline, const char *const *sources, int count)
{
    vg_status status = VG_OK;
    vg__files files = {0};
    pspm p;
    VG_TRY_OUT(vg__pipeline_note(
        pipeline, "unverified",
        "the importer follows the documentation of PsPM and was not tried on all of the published sets"));
    VG_TRY_OUT(vg__files_find(sources, count, ".mat", &files));
    for (int64_t i = 0; i < files.count; i++) {
        if (strstr(vg__file_name(files.path[i]), "_cogent_")) {
            vg_debug("%s: holds triggers only: passed over", files.path[i]);
            continue;
        }
        VG_TRY_OUT(vg__mat_read_file(pipeline, files.path[i], read_file, &p));
    }
out:
    vg__files_free(&files);
    return status;
}

extern const vg__importer vg__importer_pspm;
const vg__importer vg__importer_pspm = {
    .name = "pspm",
    .reads = "PsPM: *_spike_*.mat, the channels of type ecg",
    .version = "1",
    /* clang-format off */
    .help = "The option map says nothing here: the channels of type ecg are taken. --pattern or --subjects tells who is who,\n"
            "--units the unit where a file says \"unknown\".\n"
            "\n"
            "  vagus data import pspm PsPM/ --out pspm.h5 --pattern 'PsPM_spike_{subject}.mat'\n",
    /* clang-format on */
    .import = import_pspm,
};
