/* Headers of EDF, EDF+, BDF and BDF+, after the specifications (edfplus.info; BDF differs in its first byte
 * and in samples of 24 bits), what they share with GDF's, and the times of discontinuous files. */
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "datasets/import/formats/edf.h"

static const int64_t MAX_RECORDS = 1000000000, MAX_SAMPLES = 100000000;

/* ---- Reading ----------------------------------------------------------------------------------------- */

/* By itself, not through the stream: that would read more than is asked for, and throw it away again. */
vg_status vg__edf_read(const vg__edf *e, int64_t offset, unsigned char *bytes, int64_t count)
{
    for (int64_t done = 0; done < count;) {
        ssize_t got = pread(fileno(e->file), bytes + done, (size_t)(count - done), offset + done);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0)
            return vg_fail(VG_ERR_IO, "%s: byte %lld: cannot be read: %s", e->path, (long long)offset,
                           got < 0 ? strerror(errno) : "the file ends there");
        done += got;
    }
    return VG_OK;
}

vg_status vg__edf_read_header(vg__edf *e)
{
    if (e->size < e->header_bytes)
        return vg_fail(VG_ERR_FORMAT, "%s: ends at byte %lld, inside its header of %lld", e->path,
                       (long long)e->size, (long long)e->header_bytes);
    unsigned char *whole = realloc(e->header, (size_t)e->header_bytes);
    e->channel = calloc((size_t)e->channels, sizeof *e->channel);
    if (whole) e->header = whole;
    if (!whole || !e->channel)
        return vg_fail(VG_ERR_MEMORY, "%s: no memory for %d channels", e->path, e->channels);
    return vg__edf_read(e, 0, e->header, e->header_bytes);
}

vg_status vg__edf_place_channel(vg__edf *e, vg__edf_channel *c)
{
    int width = vg__edf_width(c->type);
    if (width == 0)
        return vg_fail(VG_ERR_UNSUPPORTED,
                       "%s: channel \"%s\" stores its samples as type %d, which is not known", e->path,
                       c->label, (int)c->type);
    if (c->samples < 0 || c->samples > MAX_SAMPLES)
        return vg_fail(VG_ERR_FORMAT,
                       "%s: channel \"%s\": %lld is not a possible number of samples in a data record",
                       e->path, c->label, (long long)c->samples);
    c->start = e->record_bytes;
    e->record_bytes += c->samples * width;
    return VG_OK;
}

void vg__edf_field(const unsigned char *at, int width, char text[VG__EDF_TEXT])
{
    int start = 0;
    while (start < width && isspace(at[start])) start++;
    while (width > start && (isspace(at[width - 1]) || !at[width - 1])) width--;
    memcpy(text, at + start, (size_t)(width - start));
    text[width - start] = 0;
}

static vg_status field_number(const vg__edf *e, int64_t offset, int width, const char *name, double *number)
{
    char text[VG__EDF_TEXT], *end;
    vg__edf_field(e->header + offset, width, text);
    *number = strtod(text, &end);
    if (end == text || *end || !isfinite(*number))
        return vg_fail(VG_ERR_FORMAT, "%s: byte %lld: \"%s\" is not a number (%s)", e->path,
                       (long long)offset, text, name);
    return VG_OK;
}

static vg_status field_count(const vg__edf *e, int64_t offset, int width, const char *name, double low,
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

static vg_status read_channels(vg__edf *e, vg__edf_type type)
{
    /* Behind the fixed part each field stands for all channels in a row; these are the fields' widths summed
     * up. */
    const int64_t base = VG__EDF_FIXED, n = e->channels;
    for (int64_t i = 0; i < n; i++) {
        vg__edf_channel *c = &e->channel[i];
        c->type = type;
        vg__edf_field(e->header + base + 16 * i, 16, c->label);
        vg__edf_field(e->header + base + 96 * n + 8 * i, 8, c->units);
        c->annotations = strcmp(c->label, type == VG__EDF_INT16 ? "EDF Annotations" : "BDF Annotations") == 0;
        /* The ranges of an annotations channel mean nothing. */
        if (!c->annotations) {
            VG_TRY(field_number(e, base + 104 * n + 8 * i, 8, "physical minimum", &c->physical_min));
            VG_TRY(field_number(e, base + 112 * n + 8 * i, 8, "physical maximum", &c->physical_max));
            VG_TRY(field_number(e, base + 120 * n + 8 * i, 8, "digital minimum", &c->digital_min));
            VG_TRY(field_number(e, base + 128 * n + 8 * i, 8, "digital maximum", &c->digital_max));
        }
        VG_TRY(field_count(e, base + 216 * n + 8 * i, 8, "number of samples in a data record", 1,
                           (double)MAX_SAMPLES, &c->samples));
        VG_TRY(vg__edf_place_channel(e, c));
    }
    return VG_OK;
}

vg_status vg__edf_header(vg__edf *e)
{
    char reserved[VG__EDF_TEXT];
    int64_t count = 0;
    vg__edf_field(e->header + 192, 44, reserved);
    e->discontinuous = strncmp(reserved, "EDF+D", 5) == 0 || strncmp(reserved, "BDF+D", 5) == 0;
    VG_TRY(field_count(e, 252, 4, "number of channels", 1, VG__EDF_MAX_CHANNELS, &count));
    e->channels = (int)count;
    VG_TRY(field_count(e, 184, 8, "size of the header", 0, 1e8, &e->header_bytes));
    if (e->header_bytes != VG__EDF_FIXED + count * VG__EDF_CHANNEL)
        return vg_fail(VG_ERR_FORMAT, "%s: byte 184: a header of %lld bytes, where %lld channels need %lld",
                       e->path, (long long)e->header_bytes, (long long)count,
                       (long long)(VG__EDF_FIXED + count * VG__EDF_CHANNEL));
    VG_TRY(field_count(e, 236, 8, "number of data records", -1, (double)MAX_RECORDS, &e->records));
    VG_TRY(field_number(e, 244, 8, "duration of a data record", &e->duration));
    VG_TRY(vg__edf_read_header(e));
    return read_channels(e, e->header[0] == 0xff ? VG__EDF_INT24 : VG__EDF_INT16);
}

/* ---- Opening ----------------------------------------------------------------------------------------- */

static vg_status check_size(vg__pipeline *pipeline, vg__edf *e, bool more_may_follow)
{
    int64_t held = e->size - e->header_bytes, whole = held / e->record_bytes;
    if (e->records < 0) {
        vg__pipeline_warn(pipeline,
                          "%s: the header leaves the number of data records open; the file holds %lld",
                          e->path, (long long)whole);
        e->records = whole;
        return VG_OK;
    }
    if (e->records == whole && (more_may_follow || held == whole * e->record_bytes)) return VG_OK;
    if (e->records < whole && more_may_follow) return VG_OK;
    double promised = (double)e->header_bytes + (double)e->records * (double)e->record_bytes;
    return vg_fail(
        VG_ERR_FORMAT,
        "%s: the header promises %lld data records of %lld bytes behind %lld bytes of header, %.0f bytes in "
        "all, but the file has %lld (%lld whole records): %s",
        e->path, (long long)e->records, (long long)e->record_bytes, (long long)e->header_bytes, promised,
        (long long)e->size, (long long)whole,
        (double)e->size < promised ? "it is cut short or the count is wrong" : "the count is wrong");
}

vg_status vg__edf_open(vg__pipeline *pipeline, const char *path, vg__edf *e)
{
    struct stat info;
    *e = (vg__edf){.path = path};
    e->file = fopen(path, "rb");
    if (!e->file)
        return vg_fail(errno == ENOENT ? VG_ERR_NOT_FOUND : VG_ERR_IO, "%s: cannot be opened: %s", path,
                       strerror(errno));
    if (fstat(fileno(e->file), &info) != 0 || !S_ISREG(info.st_mode))
        return vg_fail(VG_ERR_IO, "%s: is not a file", path);
    e->size = info.st_size;
    if (e->size < VG__EDF_FIXED)
        return vg_fail(VG_ERR_FORMAT, "%s: %lld bytes are too few for an EDF header of 256", path,
                       (long long)e->size);
    e->header = malloc(VG__EDF_FIXED);
    if (!e->header) return vg_fail(VG_ERR_MEMORY, "%s: no memory for a header", path);
    VG_TRY(vg__edf_read(e, 0, e->header, VG__EDF_FIXED));
    bool gdf = memcmp(e->header, "GDF ", 4) == 0;
    if (gdf)
        VG_TRY(vg__gdf_header(e));
    else if (memcmp(e->header, "0       ", 8) == 0 || memcmp(e->header, "\377BIOSEMI", 8) == 0)
        VG_TRY(vg__edf_header(e));
    else
        return vg_fail(VG_ERR_FORMAT, "%s: begins neither as EDF nor as BDF or GDF does", path);
    if (!(e->duration > 0) || !isfinite(e->duration))
        return vg_fail(VG_ERR_FORMAT, "%s: byte 244: data records of %g s hold no signal", path, e->duration);
    if (e->record_bytes == 0) return vg_fail(VG_ERR_FORMAT, "%s: its data records are empty", path);
    VG_TRY(check_size(pipeline, e, gdf));
    return e->discontinuous ? vg__edf_read_times(e) : VG_OK;
}

void vg__edf_close(vg__edf *e)
{
    if (e->file) fclose(e->file);
    free(e->header);
    free(e->channel);
    free(e->times);
    *e = (vg__edf){0};
}

/* ---- Times of records -------------------------------------------------------------------------------- */

/* "+12.5\x14\x14": the time that a record's first annotation gives; false when it is none. */
static bool record_time(const unsigned char *bytes, int64_t count, double *seconds)
{
    char text[64], *end;
    int64_t length = 0;
    while (length < count && bytes[length] != 0x14 && length < (int64_t)sizeof text - 1) length++;
    if (length + 1 >= count || bytes[length] != 0x14 || bytes[length + 1] != 0x14) return false;
    memcpy(text, bytes, (size_t)length);
    text[length] = 0;
    if (text[0] != '+' && text[0] != '-') return false;
    *seconds = strtod(text, &end);
    return end > text + 1 && !*end && isfinite(*seconds);
}

vg_status vg__edf_read_times(vg__edf *e)
{
    const vg__edf_channel *c = NULL;
    for (int i = e->channels - 1; i >= 0; i--)
        if (e->channel[i].annotations) c = &e->channel[i];
    if (!c)
        return vg_fail(
            VG_ERR_FORMAT,
            "%s: says that it is discontinuous, but has no annotations that tell when its records begin",
            e->path);
    vg_status status = VG_OK;
    int64_t bytes = c->samples * vg__edf_width(c->type);
    unsigned char *annotations = malloc((size_t)bytes);
    e->times = malloc((size_t)(e->records + 1) * sizeof *e->times);
    if (!annotations || !e->times) {
        status = vg_fail(VG_ERR_MEMORY, "%s: no memory for the times of its records", e->path);
        goto out;
    }
    for (int64_t r = 0; r < e->records; r++) {
        int64_t offset = e->header_bytes + r * e->record_bytes + c->start;
        VG_TRY_OUT(vg__edf_read(e, offset, annotations, bytes));
        if (!record_time(annotations, bytes, &e->times[r])) {
            status = vg_fail(VG_ERR_FORMAT, "%s: byte %lld: data record %lld does not say when it begins",
                             e->path, (long long)offset, (long long)r + 1);
            goto out;
        }
        /* Times are written with few decimals, so half a sample of 100 Hz is let pass. */
        if (r > 0 && e->times[r] - e->times[r - 1] < e->duration - 0.005) {
            status = vg_fail(
                VG_ERR_FORMAT,
                "%s: byte %lld: data record %lld begins at %g s, before the one that began at %g s ended",
                e->path, (long long)offset, (long long)r + 1, e->times[r], e->times[r - 1]);
            goto out;
        }
    }
    for (int64_t r = e->records - 1; r >= 0; r--) e->times[r] -= e->times[0];
out:
    free(annotations);
    return status;
}
