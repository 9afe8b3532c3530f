/* The signal files of an ordinary WFDB record. Signals that stand one after another in the header and name
 * the same file are stored in it frame by frame; in a frame each has per_frame samples. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "datasets/import/formats/wfdb.h"
#include "datasets/import/pipeline/files.h"

enum { MAT_HEADER = 20 /* five 32-bit integers before the variable's name */ };
static const int64_t MAX_FILE_BYTES = (int64_t)1 << 34;

/* The signals of one file: [first, first + count), and what a frame has of all of them. */
typedef struct group {
    int first, count;
    int64_t per_frame;
} group;

static vg_status find_group(const vg__wfdb_header *h, int first, group *g)
{
    const vg__wfdb_signal *s = &h->signal[first];
    *g = (group){.first = first};
    for (int k = first; k < h->signals && strcmp(h->signal[k].file, s->file) == 0; k++) {
        const vg__wfdb_signal *other = &h->signal[k];
        if (other->format != s->format || other->skip != s->skip)
            return vg_fail(VG_ERR_FORMAT, "%s: line %d: the signals in %s differ in format", h->path,
                           other->line, s->file);
        g->count++;
        g->per_frame += other->per_frame;
    }
    return VG_OK;
}

static int32_t read_le32(const unsigned char *b)
{
    return (int32_t)((uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24);
}

/* A MAT file that WFDB points into must be what it is taken for: a little-endian matrix of 16-bit integers.
 */
static vg_status check_mat(const vg__wfdb_header *h, const vg__wfdb_signal *s, const char *path)
{
    size_t length = strlen(s->file);
    if (s->skip < MAT_HEADER || length < 4 || strcmp(s->file + length - 4, ".mat") != 0) return VG_OK;
    unsigned char b[MAT_HEADER];
    FILE *file = fopen(path, "rb");
    size_t got = file ? fread(b, 1, sizeof b, file) : 0;
    if (file) fclose(file);
    if (got < sizeof b) return vg_fail(VG_ERR_FORMAT, "%s: %zu bytes are too few for a MAT file", path, got);
    int32_t type = read_le32(b), rows = read_le32(b + 4), columns = read_le32(b + 8),
            name = read_le32(b + 16);
    if (type != 30 || read_le32(b + 12) != 0 || name < 1 || MAT_HEADER + (int64_t)name != s->skip)
        return vg_fail(
            VG_ERR_FORMAT,
            "%s: is not a MAT version 4 matrix of 16-bit integers that begins at byte %lld, as %s says (type "
            "%d, name of %d bytes)",
            path, (long long)s->skip, h->path, type, name);
    if (h->frames > 0 && !((rows == h->signals && columns == h->frames) ||
                           (h->signals == 1 && columns == 1 && rows == h->frames)))
        return vg_fail(VG_ERR_FORMAT, "%s: a matrix of %d x %d, where %s says %d signals of %lld samples",
                       path, rows, columns, h->path, h->signals, (long long)h->frames);
    return VG_OK;
}

/* A FLAC file has one channel for each signal, and all have the same rate. */
static vg_status check_flac(const vg__wfdb_header *h, const group *g, const char *path, int64_t size,
                            int64_t *held)
{
    const vg__wfdb_signal *s = &h->signal[g->first];
    vg__flac_info info;
    for (int k = g->first; k < g->first + g->count; k++)
        if (h->signal[k].per_frame != s->per_frame)
            return vg_fail(VG_ERR_FORMAT,
                           "%s: line %d: the signals of the FLAC file %s differ in samples a frame", h->path,
                           h->signal[k].line, s->file);
    VG_TRY(vg__flac_read_info(path, size, &info));
    if (info.channels != g->count || info.bits > vg__wfdb_flac_bits(s->format))
        return vg_fail(VG_ERR_FORMAT,
                       "%s: has %d channels of %d bits, where %s says %d signals of format %d, which has %d "
                       "bits",
                       path, info.channels, info.bits, h->path, g->count, s->format,
                       vg__wfdb_flac_bits(s->format));
    if (info.samples == 0 && h->frames == 0)
        return vg_fail(VG_ERR_FORMAT, "%s: says as little as %s how many samples there are", path, h->path);
    *held = info.samples > s->skip ? (info.samples - s->skip) / s->per_frame : 0;
    if (info.samples == 0 && h->frames <= (info.most_samples - s->skip) / s->per_frame) *held = h->frames;
    if (*held < h->frames)
        return vg_fail(VG_ERR_FORMAT, "%s: holds %lld samples of each signal, but %s promises %lld", path,
                       (long long)(*held * s->per_frame), h->path, (long long)(h->frames * s->per_frame));
    return VG_OK;
}

/* The frames that a group's file holds, after every check of its size. */
static vg_status check_group(const vg__wfdb_header *h, const group *g, int64_t *held)
{
    const vg__wfdb_signal *s = &h->signal[g->first];
    char path[4096];
    struct stat info;
    VG_TRY(vg__wfdb_beside(h, s->line, s->file, "", path, sizeof path));
    if (stat(path, &info) != 0)
        return vg_fail(errno == ENOENT ? VG_ERR_NOT_FOUND : VG_ERR_IO,
                       "%s: line %d: the signal file: %s: cannot be opened: %s", h->path, s->line, path,
                       strerror(errno));
    if (!S_ISREG(info.st_mode))
        return vg_fail(VG_ERR_IO, "%s: line %d: the signal file: %s: is not a file", h->path, s->line, path);
    int64_t size = info.st_size;
    if (vg__wfdb_flac_bits(s->format)) return check_flac(h, g, path, size, held);
    VG_TRY(check_mat(h, s, path));
    *held = size > s->skip ? vg__wfdb_samples(s->format, size - s->skip) / g->per_frame : 0;
    if (h->frames > 0 && *held < h->frames)
        return vg_fail(VG_ERR_FORMAT,
                       "%s: holds %lld samples of each signal (%lld bytes), but %s promises %lld (%lld "
                       "bytes): the file is cut short",
                       path, (long long)*held, (long long)size, h->path, (long long)h->frames,
                       (long long)(s->skip + vg__wfdb_bytes(s->format, h->frames * g->per_frame)));
    return VG_OK;
}

vg_status vg__wfdb_check(const vg__wfdb_header *h, int64_t *frames)
{
    group g;
    bool known = false;
    *frames = h->frames;
    for (int first = 0; first < h->signals; first += g.count) {
        int64_t held;
        VG_TRY(find_group(h, first, &g));
        if (h->signal[first].format == 0) continue;
        VG_TRY(check_group(h, &g, &held));
        if (h->frames == 0 && (!known || held < *frames)) *frames = held;
        known = true;
    }
    return VG_OK;
}

/* Which group a signal belongs to, and at which sample of a frame it begins. */
static vg_status place_of(const vg__wfdb_header *h, int signal, group *g, int64_t *offset)
{
    int first = 0;
    VG_TRY(find_group(h, 0, g));
    while (signal >= first + g->count) {
        first += g->count;
        VG_TRY(find_group(h, first, g));
    }
    *offset = 0;
    for (int k = g->first; k < signal; k++) *offset += h->signal[k].per_frame;
    return VG_OK;
}

/* The group's file in h->bytes, or unpacked in h->flac, and that it still holds what was found before. */
static vg_status load(vg__wfdb_header *h, const group *g, int64_t frames)
{
    const vg__wfdb_signal *s = &h->signal[g->first];
    char path[4096];
    int64_t size;
    if (h->loaded == g->first + 1) return VG_OK;
    vg__wfdb_unload(h);
    VG_TRY(vg__wfdb_beside(h, s->line, s->file, "", path, sizeof path));
    if (vg__wfdb_flac_bits(s->format)) {
        VG_TRY(vg__flac_read(path, g->count, s->skip, frames * s->per_frame, &h->flac));
        h->loaded = g->first + 1;
        return VG_OK;
    }
    vg_status status = vg__file_read(path, MAX_FILE_BYTES, &h->bytes, &size);
    if (status != VG_OK) return vg_context(status, "%s: line %d: the signal file", h->path, s->line);
    int64_t held = size > s->skip ? vg__wfdb_samples(s->format, size - s->skip) / g->per_frame : 0;
    if (held < frames)
        return vg_fail(VG_ERR_IO, "%s: became shorter while it was read (%lld bytes now)", path,
                       (long long)size);
    h->loaded = g->first + 1;
    return VG_OK;
}

void vg__wfdb_unload(vg__wfdb_header *h)
{
    free(h->bytes);
    vg__flac_free(&h->flac);
    h->bytes = NULL;
    h->loaded = 0;
}

/* A signal's samples of `frames` frames from `frame` on, as they are stored, into out[frames * per_frame]. */
static void decode(const vg__wfdb_header *h, const vg__wfdb_signal *s, const group *g, int64_t offset,
                   int64_t frame, int64_t frames, int32_t *out)
{
    const int64_t first = frame * g->per_frame + offset, each = s->per_frame;
    if (vg__wfdb_flac_bits(s->format)) {
        vg__flac_samples(&h->flac, (int)(offset / each), frame * each, frames * each, out);
        return;
    }
    const unsigned char *bytes = (const unsigned char *)h->bytes + s->skip;
    if (each == g->per_frame)
        vg__wfdb_decode(s->format, bytes, first, 1, frames * each, out, 1);
    else if (each < frames)
        for (int64_t k = 0; k < each; k++)
            vg__wfdb_decode(s->format, bytes, first + k, g->per_frame, frames, out + k, each);
    else
        for (int64_t k = 0; k < frames; k++)
            vg__wfdb_decode(s->format, bytes, first + k * g->per_frame, 1, each, out + k * each, 1);
}

/* Stored values into physical units, and their sum. Missing ones come last, since most blocks have none and
 * only a loop without a choice becomes vectors. */
static unsigned scale(const vg__wfdb_signal *s, const int32_t *values, int64_t count, double *out)
{
    const int32_t missing = (int32_t)vg__wfdb_missing(s->format);
    const double baseline = (double)s->baseline, gain = s->gain;
    unsigned sum = 0, gaps = 0;
    for (int64_t i = 0; i < count; i++) {
        sum += (unsigned)values[i];
        gaps += values[i] == missing;
    }
    for (int64_t i = 0; i < count; i++) out[i] = ((double)values[i] - baseline) / gain;
    for (int64_t i = 0; i < count && gaps > 0; i++)
        if (values[i] == missing) out[i] = NAN;
    return sum;
}

/* The same for format 8, whose values are differences; none is missing, and what is not possible wraps round.
 */
static unsigned scale_sums(const vg__wfdb_signal *s, const int32_t *values, int64_t count, uint64_t *value,
                           double *out)
{
    unsigned sum = 0;
    for (int64_t i = 0; i < count; i++) {
        *value += (uint64_t)values[i];
        sum += (unsigned)*value;
        out[i] = ((double)(int64_t)*value - (double)s->baseline) / s->gain;
    }
    return sum;
}

vg_status vg__wfdb_read(vg__wfdb_header *h, int signal, int64_t frames, double *out, vg__wfdb_sums *sums)
{
    /* At most so many samples at once: they stay in the processor's first cache. */
    enum { BLOCK = 2048, MOST = VG__WFDB_MAX_PER_FRAME > BLOCK ? VG__WFDB_MAX_PER_FRAME : BLOCK };
    int32_t values[MOST];
    double physical[MOST];
    const vg__wfdb_signal *s = &h->signal[signal];
    group g;
    int64_t offset;
    VG_TRY(place_of(h, signal, &g, &offset));
    VG_TRY(load(h, &g, frames));
    const int64_t each = s->per_frame, count = frames * each,
                  lead_in = s->skew < frames ? s->skew * each : count;
    uint64_t value = (uint64_t)s->initial; /* of format 8 */
    *sums = (vg__wfdb_sums){0};
    for (int64_t frame = 0, step; frame < frames; frame += step) {
        const int64_t at = frame * each - lead_in;
        step = each < BLOCK ? BLOCK / each : 1;
        if (step > frames - frame) step = frames - frame;
        decode(h, s, &g, offset, frame, step, values);
        /* Samples before the record's first are summed up, but not kept. */
        double *x = at < 0 ? physical : out + at;
        uint64_t before = value;
        sums->checksum +=
            s->format == 8 ? scale_sums(s, values, step * each, &value, x) : scale(s, values, step * each, x);
        if (frame == 0) sums->first = s->format == 8 ? (int64_t)(before + (uint64_t)values[0]) : values[0];
        if (at < 0 && at + step * each > 0)
            memcpy(out, physical - at, (size_t)(at + step * each) * sizeof *out);
    }
    for (int64_t i = count - lead_in; i < count; i++) out[i] = NAN;
    sums->checksum &= 0xffff;
    return VG_OK;
}
