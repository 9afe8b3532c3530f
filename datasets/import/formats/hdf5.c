/* HDF5 arrays in two layouts:
 *   ragged  signal [samples] and offsets [n + 1]: recording i is signal[offsets[i] .. offsets[i + 1])
 *   block   signal [n][samples] or [n][samples][leads]; zeros at the two ends of a recording are padding and
 * cut off beside optional tables of n entries (texts or whole numbers): records, subjects.
 *
 * Which dataset is which is told by the option `map`, "key=value,...":
 *   signal=ecg         default: ecg, else tracings, else signal
 *   offsets=offsets    ragged only
 *   records=records    names; default: records if there is one, else numbers from 0
 *   subjects=subjects  default: subjects if there is one; "" is an unknown subject
 *   rate=fs            an attribute of the file or the signal, or a number in Hz; default: fs
 *   units=units        an attribute, or a unit; default: units. The option `units` overrules it
 *   scale=1            what one stored unit is of `units`: CODE-15 is "units=mV,scale=0.1"
 *   leads=I|II|V1      names of the leads of a block, or of the one lead
 * Each recording is read by itself, so memory holds one at a time. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "datasets/import/formats/hdf5_parts.h"
#include "datasets/import/formats/mapping.h"
#include "datasets/import/pipeline/files.h"
#include "datasets/import/pipeline/pipeline.h"
#include "datasets/store/hdf5.h"

enum { WORD = VG__MAP_VALUE, MAX_LEADS = 256 };
static const int64_t MAX_RECORDINGS = 100000000, MAX_SAMPLES = (int64_t)1 << 31;

typedef struct mapping {
    char signal[WORD], offsets[WORD], records[WORD], subjects[WORD], rate[WORD], units[WORD], scale[WORD],
        leads[WORD];
} mapping;

typedef struct source {
    const char *path;
    mapping map;
    hid_t file, signal;
    int rank;
    hsize_t extent[3];
    int64_t count; /* recordings */
    int64_t *offsets;
    char **records, **subjects; /* NULL when the file has none */
    double rate, scale;
    char units[WORD];
    char lead[MAX_LEADS][64];
    int leads;
} source;

/* ---- The mapping ----------------------------------------------------------------------------------- */

static vg_status read_map(const char *text, mapping *map)
{
    const vg__map_key keys[] = {{"signal", map->signal},   {"offsets", map->offsets},
                                {"records", map->records}, {"subjects", map->subjects},
                                {"rate", map->rate},       {"units", map->units},
                                {"scale", map->scale},     {"leads", map->leads}};
    return vg__map_read("hdf5", text, keys, sizeof keys / sizeof *keys);
}

/* ---- Reading, between vg__hdf5_enter() and vg__hdf5_leave() ------------------------------------------ */

/* A table that may be absent unless it was asked for. */
static vg_status read_table(const source *s, const char *asked, const char *standard, char ***out)
{
    if (!*asked && H5Lexists(s->file, standard, H5P_DEFAULT) <= 0) return VG_OK;
    return vg__hdf5_table(s->path, s->file, *asked ? asked : standard, s->count, out);
}

static vg_status open_signal(source *s)
{
    static const char *const standard[] = {"ecg", "tracings", "signal"};
    for (size_t i = 0; !*s->map.signal && i < sizeof standard / sizeof *standard; i++)
        if (H5Lexists(s->file, standard[i], H5P_DEFAULT) > 0) strcpy(s->map.signal, standard[i]);
    if (!*s->map.signal)
        return vg_fail(
            VG_ERR_FORMAT,
            "%s: holds no dataset named ecg, tracings or signal; the option map can name it (signal=...)",
            s->path);
    s->signal = H5Dopen2(s->file, s->map.signal, H5P_DEFAULT);
    if (s->signal < 0) return vg__hdf5_part_fail(s->path, s->map.signal);
    hid_t space = H5Dget_space(s->signal), type = H5Dget_type(s->signal);
    H5T_class_t kind = H5Tget_class(type);
    s->rank = H5Sget_simple_extent_ndims(space);
    if (s->rank >= 1 && s->rank <= 3) H5Sget_simple_extent_dims(space, s->extent, NULL);
    H5Tclose(type);
    H5Sclose(space);
    if (kind != H5T_INTEGER && kind != H5T_FLOAT)
        return vg_fail(VG_ERR_FORMAT, "%s: %s does not hold numbers", s->path, s->map.signal);
    if (s->rank < 1 || s->rank > 3)
        return vg_fail(
            VG_ERR_FORMAT,
            "%s: %s has %d dimensions; [samples] with offsets, [n][samples] and [n][samples][leads] can be "
            "read",
            s->path, s->map.signal, s->rank);
    return vg__hdf5_check(s->path, s->map.signal, s->file, s->signal);
}

/* Offsets must rise and stay inside the signal. */
static vg_status check_offsets(const source *s, const char *name)
{
    int64_t samples = (int64_t)s->extent[0];
    for (int64_t i = 0; i <= s->count; i++) {
        int64_t low = i > 0 ? s->offsets[i - 1] : 0;
        if (s->offsets[i] < low)
            return vg_fail(VG_ERR_FORMAT, "%s: %s[%lld] is %lld, below %lld: offsets cannot fall", s->path,
                           name, (long long)i, (long long)s->offsets[i], (long long)low);
        if (s->offsets[i] > samples)
            return vg_fail(VG_ERR_FORMAT, "%s: %s[%lld] is %lld, but %s has only %lld samples", s->path, name,
                           (long long)i, (long long)s->offsets[i], s->map.signal, (long long)samples);
        if (s->offsets[i] - low > MAX_SAMPLES)
            return vg_fail(VG_ERR_FORMAT, "%s: %s[%lld]: a recording of %lld samples is too long", s->path,
                           name, (long long)i, (long long)(s->offsets[i] - low));
    }
    return VG_OK;
}

static vg_status read_offsets(source *s)
{
    vg_status status = VG_OK;
    const char *name = *s->map.offsets ? s->map.offsets : "offsets";
    hid_t dataset = H5Dopen2(s->file, name, H5P_DEFAULT);
    if (dataset < 0)
        return vg_fail(
            VG_ERR_FORMAT,
            "%s: %s has one dimension, so the dataset \"%s\" must tell where each recording begins; it is "
            "missing (the option map can name it)",
            s->path, s->map.signal, name);
    int64_t length = vg__hdf5_length(dataset);
    if (length < 2 || length > MAX_RECORDINGS) {
        status =
            vg_fail(VG_ERR_FORMAT, "%s: %s has %lld entries; one more than there are recordings is needed",
                    s->path, name, (long long)length);
        goto out;
    }
    VG_TRY_OUT(vg__hdf5_check(s->path, name, s->file, dataset));
    s->count = length - 1;
    s->offsets = malloc((size_t)length * sizeof *s->offsets);
    if (!s->offsets) {
        status = vg_fail(VG_ERR_MEMORY, "%s: %s: no memory", s->path, name);
        goto out;
    }
    if (H5Dread(dataset, H5T_NATIVE_INT64, H5S_ALL, H5S_ALL, H5P_DEFAULT, s->offsets) < 0) {
        status = vg__hdf5_part_fail(s->path, name);
        goto out;
    }
    status = check_offsets(s, name);
out:
    H5Dclose(dataset);
    return status;
}

static vg_status check_block(source *s)
{
    const hsize_t count = s->extent[0], samples = s->extent[1], leads = s->rank == 3 ? s->extent[2] : 1;
    if (leads < 1 || leads > MAX_LEADS)
        return vg_fail(VG_ERR_FORMAT, "%s: %s has %llu leads", s->path, s->map.signal,
                       (unsigned long long)leads);
    if (count < 1 || count > (hsize_t)MAX_RECORDINGS || samples < 1 ||
        samples > (hsize_t)MAX_SAMPLES / MAX_LEADS)
        return vg_fail(VG_ERR_FORMAT, "%s: %s is a block of %llu recordings of %llu samples, which cannot be",
                       s->path, s->map.signal, (unsigned long long)count, (unsigned long long)samples);
    s->count = (int64_t)count;
    s->leads = (int)leads;
    return VG_OK;
}

/* Names of the leads from "I|II|V1"; numbers where it says nothing about a block of several. */
static vg_status name_leads(source *s)
{
    int named = 0;
    for (const char *p = s->map.leads; *p && named < MAX_LEADS; named++) {
        size_t length = strcspn(p, "|");
        snprintf(s->lead[named], sizeof s->lead[named], "%.*s", (int)length, p);
        p += length + (p[length] == '|');
    }
    if (named > 0 && named != s->leads)
        return vg_fail(VG_ERR_CONFIG, "%s: the option map names %d leads, but %s has %d", s->path, named,
                       s->map.signal, s->leads);
    for (int i = 0; named == 0 && s->leads > 1 && i < s->leads; i++)
        snprintf(s->lead[i], sizeof s->lead[i], "lead %d", i + 1);
    return VG_OK;
}

static vg_status read_rate_and_units(source *s)
{
    const char *rate = *s->map.rate ? s->map.rate : "fs", *units = *s->map.units ? s->map.units : "units";
    char *end;
    s->rate = strtod(rate, &end);
    if ((end == rate || *end) && !vg__hdf5_attribute_number(s->file, s->signal, rate, &s->rate))
        return vg_fail(
            VG_ERR_FORMAT,
            "%s: no attribute \"%s\" tells the sampling rate; the option map can (rate=400, or rate=NAME)",
            s->path, rate);
    if (!(s->rate > 0) || !isfinite(s->rate))
        return vg_fail(VG_ERR_FORMAT, "%s: a sampling rate of %g Hz cannot be", s->path, s->rate);
    if (!vg__hdf5_attribute_text(s->file, s->signal, units, s->units, sizeof s->units))
        snprintf(s->units, sizeof s->units, "%s", *s->map.units ? units : "");
    s->scale = 1;
    if (*s->map.scale) {
        s->scale = strtod(s->map.scale, &end);
        if (*end || !isfinite(s->scale) || s->scale == 0)
            return vg_fail(VG_ERR_CONFIG, "the option map: scale=%s is not a factor", s->map.scale);
    }
    return VG_OK;
}

static vg_status open_source(source *s)
{
    s->file = H5Fopen(s->path, H5F_ACC_RDONLY, H5P_DEFAULT);
    if (s->file < 0) return vg__hdf5_part_fail(s->path, "cannot be opened as HDF5");
    VG_TRY(open_signal(s));
    s->leads = 1;
    VG_TRY(s->rank == 1 ? read_offsets(s) : check_block(s));
    VG_TRY(name_leads(s));
    VG_TRY(read_rate_and_units(s));
    VG_TRY(read_table(s, s->map.records, "records", &s->records));
    return read_table(s, s->map.subjects, "subjects", &s->subjects);
}

/* Samples [count] of recording i and one lead. */
static vg_status read_samples(const source *s, int64_t i, int lead, int64_t count, double *x)
{
    hsize_t start[3] = {(hsize_t)i, 0, (hsize_t)lead}, size[3] = {1, (hsize_t)count, 1},
            flat = (hsize_t)count;
    if (s->rank == 1) {
        start[0] = (hsize_t)s->offsets[i];
        size[0] = (hsize_t)count;
    }
    hid_t space = H5Dget_space(s->signal), memory = H5Screate_simple(1, &flat, NULL);
    bool good = H5Sselect_hyperslab(space, H5S_SELECT_SET, start, NULL, size, NULL) >= 0 &&
                H5Dread(s->signal, H5T_NATIVE_DOUBLE, memory, space, H5P_DEFAULT, x) >= 0;
    vg_status status = VG_OK;
    if (!good) {
        char what[WORD + 64];
        snprintf(what, sizeof what, "%s, recording %lld", s->map.signal, (long long)i);
        status = vg__hdf5_part_fail(s->path, what);
    }
    H5Sclose(memory);
    H5Sclose(space);
    return status;
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
    int64_t count = s->rank == 1 ? s->offsets[i + 1] - s->offsets[i] : (int64_t)s->extent[1];
    char number[32], place[4400];
    double *x = malloc((size_t)(count + 1) * sizeof *x), *start = x;
    if (!x) return vg_fail(VG_ERR_MEMORY, "%s: no memory for %lld samples", s->path, (long long)count);
    snprintf(number, sizeof number, "%lld", (long long)i);
    const char *record = s->records ? s->records[i] : number;
    snprintf(place, sizeof place, "%s:%s", s->path, record);

    vg__hdf5_enter();
    vg_status status = read_samples(s, i, lead, count, x);
    vg__hdf5_leave();
    if (status != VG_OK) {
        free(x);
        return vg__pipeline_reject(pipeline, status, place);
    }
    for (int64_t k = 0; k < count; k++) x[k] *= s->scale;
    if (s->rank > 1) start = cut_padding(x, &count);
    /* An unknown subject stays unknown, except where only its name ties the leads of one record together. */
    const char *subject = s->subjects ? s->subjects[i] : "";
    if (!*subject && s->leads > 1) subject = record;
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
    vg__hdf5_enter();
    if (s->signal >= 0) H5Dclose(s->signal);
    if (s->file >= 0) H5Fclose(s->file);
    vg__hdf5_leave();
    for (int64_t i = 0; i < s->count; i++) {
        if (s->records) free(s->records[i]);
        if (s->subjects) free(s->subjects[i]);
    }
    free(s->records);
    free(s->subjects);
    free(s->offsets);
}

static vg_status import_source(vg__pipeline *pipeline, source *s)
{
    vg__hdf5_enter();
    vg_status status = open_source(s);
    vg__hdf5_leave();
    if (status == VG_ERR_CONFIG) return status;
    if (status != VG_OK) return vg__pipeline_reject(pipeline, status, s->path);
    for (int64_t i = 0; i < s->count; i++)
        for (int lead = 0; lead < s->leads; lead++)
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
    VG_TRY_OUT(vg__files_find(sources, count, ".h5 .hdf5 .hdf", &files));
    for (int64_t i = 0; i < files.count; i++) {
        *s = (source){.path = files.path[i], .map = map, .file = -1, .signal = -1};
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
    .reads = "HDF5 arrays: one long signal with offsets, or blocks [n][samples] and [n][samples][leads]",
    .version = "1",
    .file_is_set = true,
    .import = import_hdf5,
};
