/* EDF, EDF+ (continuous) and BDF, written from the specifications of the formats (edfplus.info; BDF differs
 * in its first byte and in samples of 24 bits).
 *
 * Why not edflib: it refuses files that say EDF+ but hold no annotations (the data set eegmat among them),
 * and it gives a number where the user needs to know which size or field is wrong. */
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "datasets/import/files.h"
#include "datasets/import/pipeline.h"

enum { FIXED_BYTES = 256, CHANNEL_BYTES = 256, MAX_CHANNELS = 4096, TEXT = 88 };
static const int64_t MAX_FILE_BYTES = (int64_t)1 << 34;

typedef struct channel {
    char label[TEXT], units[TEXT];
    double physical_min, physical_max, digital_min, digital_max;
    int64_t samples; /* per data record */
    int64_t start;   /* bytes from the data record's begin */
} channel;

typedef struct edf {
    const char *path;
    const unsigned char *bytes;
    int64_t size, header_bytes, records, record_bytes;
    double duration; /* of a data record, in seconds */
    int width;       /* bytes of a sample: 2 or 3 */
    int channels;
    channel *channel;
} edf;

/* A field of the header without the blanks around it. */
static void field_text(const unsigned char *at, int width, char text[TEXT])
{
    int start = 0;
    while (start < width && isspace(at[start])) start++;
    while (width > start && (isspace(at[width - 1]) || !at[width - 1])) width--;
    memcpy(text, at + start, (size_t)(width - start));
    text[width - start] = 0;
}

static vg_status field_number(const edf *e, int64_t offset, int width, const char *name, double *number)
{
    char text[TEXT], *end;
    field_text(e->bytes + offset, width, text);
    *number = strtod(text, &end);
    if (end == text || *end || !isfinite(*number))
        return vg_fail(VG_ERR_FORMAT, "%s: byte %lld: \"%s\" is not a number (%s)", e->path,
                       (long long)offset, text, name);
    return VG_OK;
}

static vg_status field_count(const edf *e, int64_t offset, int width, const char *name, double low,
                             double high, int64_t *count)
{
    double number;
    VG_TRY(field_number(e, offset, width, name, &number));
    if (number != floor(number) || number < low || number > high)
        return vg_fail(VG_ERR_FORMAT, "%s: byte %lld: %g is not a possible %s", e->path, (long long)offset,
                       number, name);
    *count = (int64_t)number;
    return VG_OK;
}

static vg_status read_channels(edf *e)
{
    /* Behind the fixed part each field stands for all channels in a row; these are the fields' widths summed
     * up. */
    const int64_t base = FIXED_BYTES, n = e->channels;
    for (int64_t i = 0; i < n; i++) {
        channel *c = &e->channel[i];
        field_text(e->bytes + base + 16 * i, 16, c->label);
        field_text(e->bytes + base + 96 * n + 8 * i, 8, c->units);
        VG_TRY(field_number(e, base + 104 * n + 8 * i, 8, "physical minimum", &c->physical_min));
        VG_TRY(field_number(e, base + 112 * n + 8 * i, 8, "physical maximum", &c->physical_max));
        VG_TRY(field_number(e, base + 120 * n + 8 * i, 8, "digital minimum", &c->digital_min));
        VG_TRY(field_number(e, base + 128 * n + 8 * i, 8, "digital maximum", &c->digital_max));
        VG_TRY(field_count(e, base + 216 * n + 8 * i, 8, "number of samples in a data record", 1, 1e8,
                           &c->samples));
        c->start = e->record_bytes;
        e->record_bytes += c->samples * e->width;
    }
    return VG_OK;
}

static vg_status check_size(vg__pipeline *pipeline, edf *e)
{
    int64_t held = e->size - e->header_bytes, whole = held / e->record_bytes;
    if (e->records < 0) {
        vg__pipeline_warn(pipeline,
                          "%s: the header leaves the number of data records open; the file holds %lld",
                          e->path, (long long)whole);
        e->records = whole;
        return VG_OK;
    }
    if (held == e->records * e->record_bytes) return VG_OK;
    return vg_fail(
        VG_ERR_FORMAT,
        "%s: the header promises %lld data records of %lld bytes behind %lld bytes of header, %lld bytes in "
        "all, but the file has %lld (%lld whole records): %s",
        e->path, (long long)e->records, (long long)e->record_bytes, (long long)e->header_bytes,
        (long long)(e->header_bytes + e->records * e->record_bytes), (long long)e->size, (long long)whole,
        held < e->records * e->record_bytes ? "it is cut short or the count is wrong" : "the count is wrong");
}

static vg_status read_header(vg__pipeline *pipeline, edf *e)
{
    char reserved[TEXT];
    int64_t count = 0;
    if (e->size < FIXED_BYTES)
        return vg_fail(VG_ERR_FORMAT, "%s: %lld bytes are too few for an EDF header of 256", e->path,
                       (long long)e->size);
    if (memcmp(e->bytes, "0       ", 8) == 0)
        e->width = 2;
    else if (memcmp(e->bytes,
                    "\xff"
                    "BIOSEMI",
                    8) == 0)
        e->width = 3;
    else
        return vg_fail(VG_ERR_FORMAT, "%s: begins neither as EDF nor as BDF does", e->path);
    field_text(e->bytes + 192, 44, reserved);
    if (strncmp(reserved, "EDF+D", 5) == 0 || strncmp(reserved, "BDF+D", 5) == 0)
        return vg_fail(VG_ERR_UNSUPPORTED,
                       "%s: is discontinuous (%.5s); only continuous recordings can be imported", e->path,
                       reserved);
    VG_TRY(field_count(e, 252, 4, "number of channels", 1, MAX_CHANNELS, &count));
    e->channels = (int)count;
    VG_TRY(field_count(e, 184, 8, "size of the header", 0, 1e8, &e->header_bytes));
    if (e->header_bytes != FIXED_BYTES + count * CHANNEL_BYTES)
        return vg_fail(VG_ERR_FORMAT, "%s: byte 184: a header of %lld bytes, where %lld channels need %lld",
                       e->path, (long long)e->header_bytes, (long long)count,
                       (long long)(FIXED_BYTES + count * CHANNEL_BYTES));
    if (e->size < e->header_bytes)
        return vg_fail(VG_ERR_FORMAT, "%s: ends at byte %lld, inside its header of %lld", e->path,
                       (long long)e->size, (long long)e->header_bytes);
    VG_TRY(field_count(e, 236, 8, "number of data records", -1, 1e9, &e->records));
    VG_TRY(field_number(e, 244, 8, "duration of a data record", &e->duration));
    if (!(e->duration > 0))
        return vg_fail(VG_ERR_FORMAT, "%s: byte 244: data records of %g s hold no signal", e->path,
                       e->duration);
    e->channel = calloc((size_t)count, sizeof *e->channel);
    if (!e->channel)
        return vg_fail(VG_ERR_MEMORY, "%s: no memory for %lld channels", e->path, (long long)count);
    VG_TRY(read_channels(e));
    return check_size(pipeline, e);
}

static int32_t read_sample(const unsigned char *b, int width)
{
    uint32_t value = (uint32_t)b[0] | (uint32_t)b[1] << 8 | (width == 3 ? (uint32_t)b[2] << 16 : 0);
    uint32_t sign = width == 3 ? 0x800000u : 0x8000u;
    return (int32_t)(value ^ sign) - (int32_t)sign;
}

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

static bool wanted(const vg__pipeline *pipeline, const channel *c, int ecg_index)
{
    const char *leads = vg__pipeline_options(pipeline)->leads;
    if (strcmp(leads, "all") == 0 || strcmp(leads, "first") == 0)
        return names_ecg(c->label) && vg__pipeline_wants_lead(pipeline, c->label, ecg_index);
    return vg__pipeline_wants_lead(pipeline, c->label, 0) ||
           vg__pipeline_wants_lead(pipeline, lead_name(c->label), 0);
}

static vg_status check_scale(const edf *e, const channel *c)
{
    if (c->digital_max > c->digital_min && c->physical_max != c->physical_min) return VG_OK;
    return vg_fail(
        VG_ERR_FORMAT, "%s: channel \"%s\" maps the digital range %g..%g to %g..%g %s, which is no scale",
        e->path, c->label, c->digital_min, c->digital_max, c->physical_min, c->physical_max, c->units);
}

static vg_status add_channel(vg__pipeline *pipeline, const edf *e, const channel *c)
{
    char stem[VG__FIELD_SIZE];
    int64_t count = e->records * c->samples, i = 0;
    double *x = malloc((size_t)(count + 1) * sizeof *x);
    if (!x) return vg_fail(VG_ERR_MEMORY, "%s: no memory for %lld samples", e->path, (long long)count);
    double scale = (c->physical_max - c->physical_min) / (c->digital_max - c->digital_min);
    for (int64_t r = 0; r < e->records; r++) {
        const unsigned char *at = e->bytes + e->header_bytes + r * e->record_bytes + c->start;
        for (int64_t k = 0; k < c->samples; k++, at += e->width)
            x[i++] = c->physical_min + (read_sample(at, e->width) - c->digital_min) * scale;
    }
    vg__file_stem(e->path, stem, sizeof stem);
    vg__raw raw = {.file = e->path,
                   .record = stem,
                   .lead = lead_name(c->label),
                   .rate = (double)c->samples / e->duration,
                   .units = c->units,
                   .samples = x,
                   .count = count};
    vg_status status = vg__pipeline_add(pipeline, &raw);
    free(x);
    return status;
}

/* Every wanted channel of a file whose header is in order. */
static vg_status import_channels(vg__pipeline *pipeline, const edf *e)
{
    char labels[512] = "";
    int ecg = 0, taken = 0;
    for (int i = 0; i < e->channels; i++) {
        const channel *c = &e->channel[i];
        size_t used = strlen(labels);
        snprintf(labels + used, sizeof labels - used, "%s%s", i ? ", " : "", c->label);
        bool take = wanted(pipeline, c, ecg);
        ecg += names_ecg(c->label);
        if (!take) continue;
        taken++;
        vg_status status = check_scale(e, c);
        if (status != VG_OK)
            VG_TRY(vg__pipeline_reject(pipeline, status, e->path));
        else
            VG_TRY(add_channel(pipeline, e, c));
    }
    if (taken > 0) return VG_OK;
    return vg__pipeline_exclude(pipeline, VG_ERR_DATA, e->path, "", (double)e->records * e->duration,
                                "no ECG channel: leads=%s finds none among %s",
                                vg__pipeline_options(pipeline)->leads, labels);
}

static vg_status import_edf(vg__pipeline *pipeline, const char *const *sources, int count)
{
    vg_status status = VG_OK;
    vg__files files = {0};
    char *bytes = NULL;
    edf e = {0};
    VG_TRY_OUT(vg__files_find(sources, count, ".edf .bdf .rec", &files));
    for (int64_t i = 0; i < files.count; i++) {
        e = (edf){.path = files.path[i]};
        status = vg__file_read(e.path, MAX_FILE_BYTES, &bytes, &e.size);
        e.bytes = (const unsigned char *)bytes;
        if (status == VG_OK) status = read_header(pipeline, &e);
        if (status == VG_OK)
            VG_TRY_OUT(import_channels(pipeline, &e));
        else
            VG_TRY_OUT(vg__pipeline_reject(pipeline, status, e.path));
        free(e.channel);
        free(bytes);
        e.channel = NULL;
        bytes = NULL;
    }
out:
    free(e.channel);
    free(bytes);
    vg__files_free(&files);
    return status;
}

extern const vg__importer vg__importer_edf;
const vg__importer vg__importer_edf = {
    .name = "edf",
    .reads =
        "EDF, EDF+ (continuous) and BDF: the channels whose label says ECG or EKG, or those that are named",
    .version = "1",
    .import = import_edf,
};
