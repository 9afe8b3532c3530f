/* HDF5 arrays, those of MATLAB 7.3 too. In one of two layouts: ragged, a row of samples and offsets that tell
 * where each recording begins; or a block of recordings, samples and leads. Beside them optional tables of
 * the recordings' names and subjects. The help text at the end tells what the option map takes. Each
 * recording is read by itself, so memory holds one at a time. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "datasets/import/formats/hdf5_parts.h"
#include "datasets/import/formats/hdf5_signal.h"
#include "datasets/import/formats/leads.h"
#include "datasets/import/formats/mapping.h"
#include "datasets/import/pipeline/files.h"
#include "datasets/import/pipeline/pipeline.h"
#include "datasets/store/hdf5.h"

enum { WORD = VG__MAP_VALUE };

typedef struct mapping {
    char signal[WORD], axes[WORD], offsets[WORD], records[WORD], subjects[WORD], rate[WORD], units[WORD],
        scale[WORD], leads[WORD];
} mapping;

typedef struct source {
    const char *path;
    char label[VG__FILE_LABEL]; /* tells the file from others */
    bool alone;                 /* there are no others */
    mapping map;
    hid_t file;
    vg__hdf5_signal signal;
    char **records, **subjects; /* NULL when the file has none */
    double rate, scale;
    char units[WORD];
    char lead[VG__HDF5_LEADS][64];
} source;

/* ---- The mapping ----------------------------------------------------------------------------------- */

static vg_status read_map(const char *text, mapping *map)
{
    const vg__map_key keys[] = {
        {"signal", map->signal},   {"axes", map->axes},         {"offsets", map->offsets},
        {"records", map->records}, {"subjects", map->subjects}, {"rate", map->rate},
        {"units", map->units},     {"scale", map->scale},       {"leads", map->leads}};
    return vg__map_read("hdf5", text, keys, sizeof keys / sizeof *keys);
}

/* ---- Reading, between vg__hdf5_enter() and vg__hdf5_leave() ------------------------------------------ */

/* A table that may be absent unless it was asked for. */
static vg_status read_table(const source *s, const char *asked, const char *standard, char ***out)
{
    if (!*asked && H5Lexists(s->file, standard, H5P_DEFAULT) <= 0) return VG_OK;
    return vg__hdf5_table(s->path, s->file, *asked ? asked : standard, s->signal.count, out);
}

static vg_status open_signal(source *s)
{
    static const char *const standard[] = {"ecg", "tracings", "signal", "val"};
    for (size_t i = 0; !*s->map.signal && i < sizeof standard / sizeof *standard; i++)
        if (H5Lexists(s->file, standard[i], H5P_DEFAULT) > 0) strcpy(s->map.signal, standard[i]);
    if (!*s->map.signal)
        return vg_fail(VG_ERR_FORMAT,
                       "%s: holds no dataset named ecg, tracings, signal or val; the option map can name it "
                       "(signal=...)",
                       s->path);
    return vg__hdf5_signal_open(s->path, s->file, s->map.signal, s->map.axes,
                                *s->map.offsets ? s->map.offsets : "offsets", &s->signal);
}

/* Names of the leads from "I|II|V1"; numbers where it says nothing about a block of several. */
static vg_status name_leads(source *s)
{
    int named = 0;
    const int leads = s->signal.leads;
    for (const char *p = s->map.leads; *p && named < VG__HDF5_LEADS; named++) {
        size_t length = strcspn(p, "|");
        snprintf(s->lead[named], sizeof s->lead[named], "%.*s", (int)length, p);
        p += length + (p[length] == '|');
    }
    if (named > 0 && named != leads)
        return vg_fail(VG_ERR_CONFIG, "%s: the option map names %d leads, but %s has %d", s->path, named,
                       s->map.signal, leads);
    for (int i = 0; named == 0 && leads > 1 && i < leads; i++)
        snprintf(s->lead[i], sizeof s->lead[i], "lead %d", i + 1);
    return VG_OK;
}

static vg_status read_rate_and_units(source *s, const vg_import_options *options)
{
    vg__missing missing = {0};
    const char *rate = *s->map.rate ? s->map.rate : "fs", *units = *s->map.units ? s->map.units : "units";
    char *end;
    s->rate = strtod(rate, &end);
    const bool is_number = end != rate && !*end;
    if (!is_number && !vg__hdf5_number(s->path, s->file, s->signal.dataset, rate, &s->rate)) {
        char what[WORD + 128];
        snprintf(what, sizeof what, "its sampling rate (no attribute \"%s\", nor a dataset of one number)",
                 rate);
        vg__missing_add(&missing, what, "rate=400");
        s->rate = 1;
    }
    if (!(s->rate > 0) || !isfinite(s->rate))
        return vg_fail(VG_ERR_FORMAT, "%s: a sampling rate of %g Hz cannot be", s->path, s->rate);
    if (!vg__hdf5_text(s->path, s->file, s->signal.dataset, units, s->units, sizeof s->units))
        snprintf(s->units, sizeof s->units, "%s", *s->map.units ? units : "");
    if (!*s->units && !*options->units)
        vg__missing_add(&missing, "the unit of its samples (also --units mV)", "units=mV");
    VG_TRY(vg__missing_check(&missing, s->path));
    s->scale = 1;
    if (*s->map.scale) {
        s->scale = strtod(s->map.scale, &end);
        if (*end || !isfinite(s->scale) || s->scale == 0)
            return vg_fail(VG_ERR_CONFIG, "the option map: scale=%s is not a factor", s->map.scale);
    }
    return VG_OK;
}

static vg_status open_source(source *s, const vg_import_options *options)
{
    s->file = H5Fopen(s->path, H5F_ACC_RDONLY, H5P_DEFAULT);
    if (s->file < 0) return vg__hdf5_part_fail(s->path, "cannot be opened as HDF5");
    VG_TRY(open_signal(s));
    VG_TRY(name_leads(s));
    VG_TRY(read_rate_and_units(s, options));
    VG_TRY(read_table(s, s->map.records, "records", &s->records));
    return read_table(s, s->map.subjects, "subjects", &s->subjects);
}

/* ---- Handing over, outside of the lock ----------------------------------------------------------------- */

/* Cuts the zeros at the two ends of a padded recording. */
static double *cut_padding(double *x, int64_t *count)
{
    while (*count > 0 && x[*count - 1] == 0) --*count;
    while (*count > 0 && *x == 0) {
        x++;
        --*count;
    }
    return x;
}

static vg_status add_recording(vg__pipeline *pipeline, const source *s, int64_t i, int lead)
{
    const vg__hdf5_signal *signal = &s->signal;
    int64_t count = vg__hdf5_signal_length(signal, i);
    char number[32], stem[128], owned[VG__FIELD_SIZE], place[4400];
    double *x = malloc((size_t)(count + 1) * sizeof *x), *start = x;
    if (!x) return vg_fail(VG_ERR_MEMORY, "%s: no memory for %lld samples", s->path, (long long)count);
    vg__file_stem(s->path, stem, sizeof stem);
    snprintf(number, sizeof number, "%lld", (long long)i);
    const char *name = s->records ? s->records[i] : signal->many ? number : stem;
    /* Cut, two could become one. */
    const bool fits = strlen(s->label) + 1 + strlen(name) < VG__FIELD_SIZE;
    snprintf(owned, sizeof owned, "%s:%s", s->label, fits ? name : number);
    const char *record = s->records || !signal->many || s->alone ? name : owned;
    snprintf(place, sizeof place, signal->many ? "%s:%s" : "%s", s->path, name);

    vg__hdf5_enter();
    vg_status status = vg__hdf5_signal_read(signal, i, lead, x);
    vg__hdf5_leave();
    if (status != VG_OK) {
        free(x);
        return vg__pipeline_reject(pipeline, status, place);
    }
    for (int64_t k = 0; k < count; k++) x[k] *= s->scale;
    if (signal->many && !signal->offsets) start = cut_padding(x, &count);
    /* An unknown subject stays unknown, except where only its place ties the leads of one record together,
     * and apart from those of the same name in other files. */
    const char *subject = s->subjects ? s->subjects[i] : "";
    if (!*subject && signal->leads > 1) subject = signal->many ? owned : s->label;
    vg__raw raw = {.file = place,
                   .record = record,
                   .subject = subject,
                   .lead = s->lead[lead],
                   .rate = s->rate,
                   .units = s->units,
                   .samples = start,
                   .count = count};
    status = vg__pipeline_add(pipeline, &raw);
    free(x);
    return status;
}

static void close_source(source *s)
{
    const int64_t count = s->signal.count;
    vg__hdf5_enter();
    vg__hdf5_signal_close(&s->signal);
    if (s->file >= 0) H5Fclose(s->file);
    vg__hdf5_leave();
    for (int64_t i = 0; i < count; i++) {
        if (s->records) free(s->records[i]);
        if (s->subjects) free(s->subjects[i]);
    }
    free(s->records);
    free(s->subjects);
}

/* Recordings that could as well be leads: nothing in the file speaks for either. */
static void doubt_axes(vg__pipeline *pipeline, const source *s)
{
    const vg__hdf5_signal *signal = &s->signal;
    if (*s->map.axes || signal->rank != 2 || !signal->many || s->records || s->subjects) return;
    if (signal->count < 2 || signal->count > 16) return;
    vg__pipeline_warn(pipeline,
                      "%s: %s is taken as %lld recordings of unknown people, of %lld samples each; if they "
                      "are leads of one, say axes=leads|samples in the option map",
                      s->path, s->map.signal, (long long)signal->count, (long long)signal->samples);
}

static vg_status import_source(vg__pipeline *pipeline, source *s)
{
    vg__hdf5_enter();
    vg_status status = open_source(s, vg__pipeline_options(pipeline));
    vg__hdf5_leave();
    if (status == VG_ERR_CONFIG) return status;
    if (status != VG_OK) return vg__pipeline_reject(pipeline, status, s->path);
    doubt_axes(pipeline, s);
    vg__leads leads = {0};
    for (int lead = 0; lead < s->signal.leads; lead++)
        (void)vg__leads_take(pipeline, &leads, s->lead[lead], lead);
    VG_TRY(vg__leads_check(pipeline, &leads, s->path, "", NAN));
    for (int64_t i = 0; i < s->signal.count; i++)
        for (int lead = 0; lead < s->signal.leads; lead++)
            if (vg__pipeline_wants_lead(pipeline, s->lead[lead], lead))
                VG_TRY(add_recording(pipeline, s, i, lead));
    return VG_OK;
}

static vg_status import_hdf5(vg__pipeline *pipeline, const char *const *sources, int count)
{
    vg_status status = VG_OK;
    vg__files files = {0};
    mapping map;
    source *s = malloc(sizeof *s);
    if (!s) return vg_fail(VG_ERR_MEMORY, "no memory to read HDF5");
    VG_TRY_OUT(read_map(vg__pipeline_options(pipeline)->map, &map));
    VG_TRY_OUT(vg__files_find(sources, count, ".h5 .hdf5 .hdf .mat", &files));
    for (int64_t i = 0; i < files.count; i++) {
        *s = (source){.path = files.path[i],
                      .alone = files.count == 1,
                      .map = map,
                      .file = -1,
                      .signal = {.dataset = -1}};
        vg__files_label(&files, i, s->label);
        status = import_source(pipeline, s);
        close_source(s);
        if (status != VG_OK) goto out;
    }
out:
    vg__files_free(&files);
    free(s);
    return status;
}

extern const vg__importer vg__importer_hdf5;
const vg__importer vg__importer_hdf5 = {
    .name = "hdf5",
    .reads = "HDF5 arrays, those of MATLAB 7.3 too: one long signal with offsets, or blocks of recordings, "
             "samples and leads",
    .version = "2",
    .file_is_set = true,
    /* clang-format off */
    .help = "--map KEY=VALUE,... tells which dataset is what; one in a group is GROUP/NAME.\n"
            "  signal=ecg         the samples; else ecg, tracings, signal or val\n"
            "  axes=samples|leads which dimension is what, in the order of h5py's shape, or of MATLAB's size() in files\n"
            "                     of MATLAB 7.3: samples, leads and recordings. Else recordings|samples and\n"
            "                     recordings|samples|leads; one dimension is cut up by offsets; two of MATLAB's are\n"
            "                     samples, along the longer side, and leads\n"
            "  offsets=offsets    recording i is signal[offsets[i]] up to signal[offsets[i + 1]]; for one dimension\n"
            "  records=exam_id    their names, texts or whole numbers; else records if there is one, else 0, 1, ...\n"
            "                     (FILE:0, FILE:1, ... where several files are imported)\n"
            "  subjects=patient   whose they are, \"\" for unknown; else subjects if there is one\n"
            "  rate=fs            Hz, or the attribute or dataset that has it; else fs\n"
            "  units=mV           V, mV or uV, or the attribute or dataset that says it; else units\n"
            "  scale=0.1          what one number is in that unit; else 1\n"
            "  leads=I|II|V1      names of the leads\n"
            "Zeros at the two ends of a block's recordings are padding and cut off.\n"
            "\n"
            "  vagus data import hdf5 exams_part0.hdf5 --out code15.h5 \\\n"
            "      --map 'records=exam_id,rate=400,units=mV,scale=0.1,leads=I|II|III|AVR|AVL|AVF|V1|V2|V3|V4|V5|V6'\n",
    /* clang-format on */
    .import = import_hdf5,
};
