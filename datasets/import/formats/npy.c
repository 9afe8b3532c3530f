/* NumPy arrays (.npy, versions 1 to 3), after NumPy's description of the format. One lead of one recording is
 * read at a time, in C or Fortran order, from little- or big-endian numbers. The help text at the end tells
 * what the option map takes. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "datasets/import/pipeline/files.h"
#include "datasets/import/formats/leads.h"
#include "datasets/import/formats/mapping.h"
#include "datasets/import/formats/npy.h"
#include "datasets/import/pipeline/pipeline.h"

enum {
    BUFFER = 1 << 16,
    SAMPLES = VG__AXIS_SAMPLES,
    LEADS = VG__AXIS_LEADS,
    RECORDINGS = VG__AXIS_RECORDINGS
};
static const int64_t MAX_LEADS = 256;

typedef struct mapping {
    char axes[VG__MAP_VALUE], rate[VG__MAP_VALUE], units[VG__MAP_VALUE], scale[VG__MAP_VALUE],
        leads[VG__MAP_VALUE];
    vg__map_words names;
    double hz, factor;
} mapping;

typedef struct array {
    const char *path;
    char label[VG__FILE_LABEL]; /* tells the file from others */
    bool alone;                 /* there are no others */
    FILE *file;
    vg__npy npy;
    int64_t extent[3], stride[3]; /* of samples, leads, recordings; strides in bytes */
} array;

static vg_status read_mapping(const vg_import_options *options, mapping *m)
{
    const vg__map_key keys[] = {
        {"axes", m->axes}, {"rate", m->rate}, {"units", m->units}, {"scale", m->scale}, {"leads", m->leads}};
    VG_TRY(vg__map_read("npy", options->map, keys, sizeof keys / sizeof *keys));
    VG_TRY(vg__map_split("leads", m->leads, &m->names));
    VG_TRY(vg__map_positive("rate", m->rate, 0, &m->hz));
    VG_TRY(vg__map_positive("scale", m->scale, 1, &m->factor));
    vg__missing missing = {0};
    if (m->hz == 0) vg__missing_add(&missing, "their sampling rate", "rate=250");
    if (!*m->units && !*options->units)
        vg__missing_add(&missing, "the unit of their samples (also --units mV)", "units=mV");
    return vg__missing_check(&missing, "NumPy arrays") == VG_OK ? VG_OK : VG_ERR_CONFIG;
}

/* Which axis of the array is which. */
static vg_status assign_axes(array *a, const mapping *m)
{
    int which[VG__AXES] = {RECORDINGS, SAMPLES, LEADS};
    const int rank = a->npy.rank;
    if (rank == 1) which[0] = SAMPLES;
    if (!*m->axes && rank == 2)
        return vg_fail(
            VG_ERR_CONFIG,
            "%s: has %lld x %lld numbers, and nothing tells what they are; say axes=samples|leads, "
            "leads|samples or recordings|samples in the option map",
            a->path, (long long)a->npy.shape[0], (long long)a->npy.shape[1]);
    if (*m->axes) VG_TRY(vg__map_axes(a->path, m->axes, rank, which));
    for (int k = 0; k < 3; k++) {
        a->extent[k] = 1;
        a->stride[k] = 0;
    }
    for (int i = 0; i < rank; i++) {
        a->extent[which[i]] = a->npy.shape[i];
        a->stride[which[i]] = a->npy.stride[i];
    }
    if (a->extent[LEADS] > MAX_LEADS)
        return vg_fail(VG_ERR_FORMAT, "%s: %lld leads cannot be; are the axes %s in the right order?",
                       a->path, (long long)a->extent[LEADS],
                       *m->axes ? m->axes : "(recordings|samples|leads)");
    if (m->names.count > 0 && m->names.count != a->extent[LEADS])
        return vg_fail(VG_ERR_FORMAT, "%s: the option map names %d leads, the array has %lld", a->path,
                       m->names.count, (long long)a->extent[LEADS]);
    return VG_OK;
}

static vg_status open_array(array *a, const mapping *m, vg__pipeline *pipeline)
{
    struct stat info;
    size_t length = strlen(a->path);
    if (length > 4 && strcasecmp(a->path + length - 4, ".npz") == 0)
        return vg_fail(
            VG_ERR_UNSUPPORTED,
            "%s: is a ZIP file of arrays; unpack it (\"unzip\", or numpy.load and numpy.save) and import "
            "the .npy files in it",
            a->path);
    a->file = fopen(a->path, "rb");
    if (!a->file)
        return vg_fail(errno == ENOENT ? VG_ERR_NOT_FOUND : VG_ERR_IO, "%s: cannot be opened: %s", a->path,
                       strerror(errno));
    if (fstat(fileno(a->file), &info) != 0 || !S_ISREG(info.st_mode))
        return vg_fail(VG_ERR_IO, "%s: is not a file", a->path);
    VG_TRY(vg__npy_header(a->path, a->file, info.st_size, &a->npy));
    if (info.st_size > a->npy.offset + a->npy.bytes)
        vg__pipeline_warn(pipeline, "%s: %lld bytes stand behind the array, and are not read", a->path,
                          (long long)(info.st_size - a->npy.offset - a->npy.bytes));
    return assign_axes(a, m);
}

/* One lead of one recording into x[extent[SAMPLES]]. */
static vg_status read_lead(const array *a, int64_t recording, int64_t lead, double factor,
                           unsigned char *buffer, double *x)
{
    const int64_t count = a->extent[SAMPLES], stride = a->stride[SAMPLES], width = a->npy.width,
                  begin = a->npy.offset + recording * a->stride[RECORDINGS] + lead * a->stride[LEADS];
    /* As many samples at once as the buffer spans; samples far apart are read one by one. */
    const int64_t most = stride <= BUFFER - width ? (BUFFER - width) / stride + 1 : 1;
    for (int64_t i = 0; i < count; i += most) {
        int64_t here = count - i < most ? count - i : most, bytes = (here - 1) * stride + width;
        if (fseeko(a->file, begin + i * stride, SEEK_SET) != 0 ||
            fread(buffer, 1, (size_t)bytes, a->file) != (size_t)bytes)
            return vg_fail(VG_ERR_IO, "%s: byte %lld: cannot be read: %s", a->path,
                           (long long)(begin + i * stride),
                           ferror(a->file) ? strerror(errno) : "the file ends there");
        for (int64_t k = 0; k < here; k++) x[i + k] = factor * vg__npy_value(&a->npy, buffer + k * stride);
    }
    return VG_OK;
}

/* The name of a lead: the option's, else a number where there are several. */
static void lead_name(const array *a, const mapping *m, int64_t l, char name[VG__MAP_VALUE])
{
    name[0] = 0;
    if (m->names.count > 0)
        snprintf(name, VG__MAP_VALUE, "%s", m->names.word[l]);
    else if (a->stride[LEADS] > 0)
        snprintf(name, VG__MAP_VALUE, "lead %lld", (long long)l + 1);
}

static vg_status check_leads(vg__pipeline *pipeline, const array *a, const mapping *m)
{
    vg__leads leads = {0};
    char name[VG__MAP_VALUE];
    for (int64_t l = 0; l < a->extent[LEADS]; l++) {
        lead_name(a, m, l, name);
        (void)vg__leads_take(pipeline, &leads, name, (int)l);
    }
    const double samples = (double)a->extent[SAMPLES] * (double)a->extent[RECORDINGS];
    return vg__leads_check(pipeline, &leads, a->path, "", samples / m->hz);
}

static vg_status import_leads(vg__pipeline *pipeline, const array *a, const mapping *m, double *x,
                              unsigned char *buffer)
{
    const bool many = a->stride[RECORDINGS] > 0, leads = a->stride[LEADS] > 0;
    char stem[128], number[32], place[4400], owned[VG__FILE_LABEL + 32], lead[VG__MAP_VALUE];
    vg__file_stem(a->path, stem, sizeof stem);
    for (int64_t r = 0; r < a->extent[RECORDINGS]; r++) {
        for (int64_t l = 0; l < a->extent[LEADS]; l++) {
            lead_name(a, m, l, lead);
            if (!vg__pipeline_wants_lead(pipeline, lead, (int)l)) continue;
            snprintf(number, sizeof number, "%lld", (long long)r);
            snprintf(place, sizeof place, many ? "%.4300s:%s" : "%.4300s", a->path, number);
            snprintf(owned, sizeof owned, "%s:%s", a->label, number);
            const char *record = !many ? stem : a->alone ? number : owned;
            VG_TRY(read_lead(a, r, l, m->factor, buffer, x));
            /* Whose a recording of many is, is unknown. Its place ties its leads together, and not those of
             * the same number in another file to them. */
            vg__raw raw = {.file = place,
                           .record = record,
                           .subject = !many   ? stem
                                      : leads ? owned
                                              : "",
                           .lead = lead,
                           .rate = m->hz,
                           .units = m->units,
                           .samples = x,
                           .count = a->extent[SAMPLES]};
            VG_TRY(vg__pipeline_add(pipeline, &raw));
        }
    }
    return VG_OK;
}

static vg_status import_array(vg__pipeline *pipeline, array *a, const mapping *m, unsigned char *buffer)
{
    vg_status status = open_array(a, m, pipeline);
    if (status == VG_ERR_CONFIG) return status;
    if (status != VG_OK) return vg__pipeline_reject(pipeline, status, a->path);
    double *x = malloc((size_t)(a->extent[SAMPLES] + 1) * sizeof *x);
    if (!x)
        return vg_fail(VG_ERR_MEMORY, "%s: no memory for %lld samples", a->path,
                       (long long)a->extent[SAMPLES]);
    status = import_leads(pipeline, a, m, x, buffer);
    free(x);
    return status == VG_OK ? check_leads(pipeline, a, m) : status;
}

static vg_status import_npy(vg__pipeline *pipeline, const char *const *sources, int count)
{
    vg_status status = VG_OK;
    vg__files files = {0};
    mapping *m = malloc(sizeof *m);
    unsigned char *buffer = malloc(BUFFER);
    if (!m || !buffer) {
        status = vg_fail(VG_ERR_MEMORY, "no memory to read arrays");
        goto out;
    }
    VG_TRY_OUT(read_mapping(vg__pipeline_options(pipeline), m));
    VG_TRY_OUT(vg__files_find(sources, count, ".npy .npz", &files));
    for (int64_t i = 0; i < files.count; i++) {
        array a = {.path = files.path[i], .alone = files.count == 1};
        vg__files_label(&files, i, a.label);
        status = import_array(pipeline, &a, m, buffer);
        if (a.file) fclose(a.file);
        if (status != VG_OK) goto out;
    }
out:
    vg__files_free(&files);
    free(m);
    free(buffer);
    return status;
}

extern const vg__importer vg__importer_npy;
const vg__importer vg__importer_npy = {
    .name = "npy",
    .reads = "NumPy arrays of one to three axes: samples, leads, recordings, as the option map says",
    .version = "1",
    /* clang-format off */
    .help = "--map KEY=VALUE,... tells what the array does not; rate is needed, and units here or as --units.\n"
            "  axes=samples|leads which dimension is what, in the order of the array's shape: samples, leads and\n"
            "                     recordings; may be left out for one (samples) and three (recordings|samples|leads)\n"
            "  rate=250           Hz\n"
            "  units=mV           of the samples: V, mV or uV\n"
            "  scale=0.001        what one number is in that unit; else 1\n"
            "  leads=I|II         names of the leads\n"
            "The recordings of an array are numbered from 0, and of unknown people; in tables of labels and subjects they\n"
            "are 0, 1, ..., or FILE:0, FILE:1, ... where several files are imported (FILE without its ending).\n"
            "\n"
            "  vagus data import npy ecg.npy --out own.h5 --map 'axes=recordings|leads|samples,rate=500,units=mV'\n",
    /* clang-format on */
    .import = import_npy,
};
