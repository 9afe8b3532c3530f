/* WFDB: a text header (.hea) and signal files, formats 16 and 212, also inside MAT version 4 containers
 * (which are format 16 behind a header of 24 bytes). Written from the documents header(5) and signal(5) of
 * the WFDB library.
 *
 * Why not libbiosig, which reads WFDB too: its errors name neither the header's line nor the sizes expected
 * and found, and in a trial with version 2.5.0 a record whose signal file was cut short ended in a
 * segmentation fault.
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "datasets/import/files.h"
#include "datasets/import/pipeline.h"

enum {
    MAX_SIGNALS = 256,
    MAX_HEADER_BYTES = 1 << 20,
    MAT_HEADER = 20, /* five 32-bit integers before the variable's name */
};
static const int64_t MAX_SIGNAL_BYTES = (int64_t)1 << 34, MAX_SAMPLES = (int64_t)1 << 33;

/* A signal as its line in the header describes it. */
typedef struct signal_line {
    char file[256], units[32], description[96];
    int format, line;
    int64_t skip; /* bytes before the samples */
    double gain;  /* units of the converter per physical unit */
    int64_t baseline;
    bool calibrated, has_checksum;
    int checksum;
} signal_line;

typedef struct header {
    const char *path;
    char record[128];
    int signals;
    double rate;
    int64_t samples; /* 0: not stated */
    signal_line signal[MAX_SIGNALS];
} header;

/* ---- The header ------------------------------------------------------------------------------------- */

/* A number at *p, *p moved behind it; false when there is none. */
static bool take_number(const char **p, double *number)
{
    char *end;
    *number = strtod(*p, &end);
    if (end == *p || !isfinite(*number)) return false;
    *p = end;
    return true;
}

static bool take_integer(const char **p, int64_t *integer)
{
    char *end;
    errno = 0;
    long long value = strtoll(*p, &end, 10);
    if (end == *p || errno) return false;
    *integer = value;
    *p = end;
    return true;
}

/* The next word of the line into `word`; false at the end of the line or when it does not fit. */
static bool take_word(const char **p, char *word, size_t size)
{
    *p += strspn(*p, " \t");
    size_t length = strcspn(*p, " \t");
    if (length == 0 || length >= size) return false;
    memcpy(word, *p, length);
    word[length] = 0;
    *p += length;
    return true;
}

/* "name[/segments] signals [rate[/counter][(base)]] [samples ...]" */
static vg_status read_record_line(header *h, const char *p, int line)
{
    char word[256];
    int64_t integer;
    double number;
    if (!take_word(&p, word, sizeof word))
        return vg_fail(VG_ERR_FORMAT, "%s: line %d: no record name", h->path, line);
    if (strchr(word, '/'))
        return vg_fail(
            VG_ERR_UNSUPPORTED,
            "%s: line %d: \"%s\" is a record of several segments; import the segments' own records", h->path,
            line, word);
    snprintf(h->record, sizeof h->record, "%.127s", word);
    p += strspn(p, " \t");
    if (!take_integer(&p, &integer) || integer < 0)
        return vg_fail(VG_ERR_FORMAT, "%s: line %d: no number of signals behind the record name", h->path,
                       line);
    if (integer == 0) return vg_fail(VG_ERR_FORMAT, "%s: line %d: the record has no signals", h->path, line);
    if (integer > MAX_SIGNALS)
        return vg_fail(VG_ERR_FORMAT, "%s: line %d: %lld signals, more than the %d allowed", h->path, line,
                       (long long)integer, MAX_SIGNALS);
    h->signals = (int)integer;
    h->rate = 250; /* what the format prescribes for a header that does not say */
    if (!take_word(&p, word, sizeof word)) return VG_OK;
    const char *rate = word;
    if (!take_number(&rate, &number) || !(number > 0) || (*rate && !strchr("/(", *rate)))
        return vg_fail(VG_ERR_FORMAT, "%s: line %d: \"%s\" is not a sampling rate", h->path, line, word);
    h->rate = number;
    if (!take_word(&p, word, sizeof word)) return VG_OK;
    const char *samples = word;
    if (!take_integer(&samples, &integer) || *samples || integer < 0 || integer > MAX_SAMPLES)
        return vg_fail(VG_ERR_FORMAT, "%s: line %d: \"%s\" is not a number of samples", h->path, line, word);
    h->samples = integer;
    return VG_OK;
}

/* "212", "16+24": samples per frame (x) and skew (:) other than none are refused. */
static vg_status read_format(const header *h, signal_line *s, const char *word)
{
    const char *p = word;
    int64_t format, extra;
    if (!take_integer(&p, &format) || (*p && !strchr("x:+", *p)))
        return vg_fail(VG_ERR_FORMAT, "%s: line %d: \"%s\" is not a signal format", h->path, s->line, word);
    if (format != 16 && format != 212)
        return vg_fail(VG_ERR_UNSUPPORTED,
                       "%s: line %d: signal format %lld is not supported (16 and 212 are)", h->path, s->line,
                       (long long)format);
    s->format = (int)format;
    while (*p) {
        char kind = *p++;
        if (!take_integer(&p, &extra) || extra < 0 || (*p && !strchr("x:+", *p)))
            return vg_fail(VG_ERR_FORMAT, "%s: line %d: \"%s\" is not a signal format", h->path, s->line,
                           word);
        if (kind == '+')
            s->skip = extra;
        else if (extra != (kind == 'x'))
            return vg_fail(VG_ERR_UNSUPPORTED, "%s: line %d: \"%s\": %s is not supported", h->path, s->line,
                           word, kind == 'x' ? "more than one sample per frame" : "skew between signals");
    }
    return VG_OK;
}

/* "200", "200(1024)", "200(1024)/mV". */
static vg_status read_gain(const header *h, signal_line *s, const char *word, bool *has_baseline)
{
    const char *p = word;
    bool good = take_number(&p, &s->gain);
    if (good && *p == '(') {
        p++;
        good = take_integer(&p, &s->baseline) && *p++ == ')';
        *has_baseline = good;
    }
    if (good && *p == '/') {
        good = p[1] && strlen(p + 1) < sizeof s->units;
        if (good) strcpy(s->units, p + 1);
        p += strlen(p);
    }
    if (!good || *p)
        return vg_fail(VG_ERR_FORMAT,
                       "%s: line %d: \"%s\" is not a gain (number, then (baseline), then /units)", h->path,
                       s->line, word);
    s->calibrated = s->gain != 0;
    if (!s->calibrated) s->gain = 200; /* the format's own default */
    return VG_OK;
}

/* "file format [gain [bits [zero [first [checksum [block [description]]]]]]]" */
static vg_status read_signal_line(const header *h, signal_line *s, const char *p)
{
    char word[256];
    bool has_baseline = false;
    strcpy(s->units, "mV");
    s->gain = 200;
    if (!take_word(&p, s->file, sizeof s->file))
        return vg_fail(VG_ERR_FORMAT, "%s: line %d: no signal file", h->path, s->line);
    if (strchr(s->file, '/') || strcmp(s->file, "..") == 0)
        return vg_fail(VG_ERR_FORMAT, "%s: line %d: the signal file \"%s\" is not in the header's own folder",
                       h->path, s->line, s->file);
    if (!take_word(&p, word, sizeof word))
        return vg_fail(VG_ERR_FORMAT, "%s: line %d: no format behind the signal file", h->path, s->line);
    VG_TRY(read_format(h, s, word));
    if (!take_word(&p, word, sizeof word)) return VG_OK;
    VG_TRY(read_gain(h, s, word, &has_baseline));
    for (int column = 0; column < 5; column++) {
        int64_t integer;
        const char *digits = word;
        if (!take_word(&p, word, sizeof word)) return VG_OK;
        if (!take_integer(&digits, &integer) || *digits)
            return vg_fail(VG_ERR_FORMAT, "%s: line %d: \"%s\" is not a whole number", h->path, s->line,
                           word);
        if (column == 1 && !has_baseline) s->baseline = integer;
        if (column == 3) {
            s->has_checksum = true;
            s->checksum = (int)(integer & 0xffff);
        }
    }
    p += strspn(p, " \t");
    size_t length = strlen(p);
    while (length > 0 && strchr(" \t", p[length - 1])) length--;
    snprintf(s->description, sizeof s->description, "%.*s", (int)length, p);
    return VG_OK;
}

static vg_status read_header(const char *path, header *h)
{
    vg_status status = VG_OK;
    char *text = NULL;
    int64_t size;
    int line = 0, found = 0;
    memset(h, 0, sizeof *h);
    h->path = path;
    VG_TRY(vg__file_read(path, MAX_HEADER_BYTES, &text, &size));
    if (memchr(text, 0, (size_t)size)) {
        status = vg_fail(VG_ERR_FORMAT, "%s: is not a text file, so not a WFDB header", path);
        goto out;
    }
    for (char *p = text, *next; *p && (found == 0 || found <= h->signals); p = next) {
        size_t length = strcspn(p, "\r\n");
        next = p + length;
        next += *next == '\r';
        next += *next == '\n';
        p[length] = 0;
        line++;
        if (p[0] == '#' || !p[strspn(p, " \t")]) continue;
        if (found == 0) {
            VG_TRY_OUT(read_record_line(h, p, line));
        } else {
            h->signal[found - 1].line = line;
            VG_TRY_OUT(read_signal_line(h, &h->signal[found - 1], p));
        }
        found++;
    }
    if (found == 0)
        status = vg_fail(VG_ERR_FORMAT, "%s: holds no record line", path);
    else if (found <= h->signals)
        status = vg_fail(VG_ERR_FORMAT, "%s: line %d: the header ends after %d of its %d signals", path, line,
                         found - 1, h->signals);
out:
    free(text);
    return status;
}

/* ---- The signals ------------------------------------------------------------------------------------- */

static int32_t read_le32(const unsigned char *b)
{
    return (int32_t)((uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24);
}

/* A MAT file that WFDB points into must be what it is taken for: a little-endian matrix of 16-bit integers.
 */
static vg_status check_mat(const header *h, const signal_line *s, const char *path, const char *bytes,
                           int64_t size)
{
    size_t length = strlen(s->file);
    if (s->skip < MAT_HEADER || length < 4 || strcmp(s->file + length - 4, ".mat") != 0) return VG_OK;
    const unsigned char *b = (const unsigned char *)bytes;
    if (size < MAT_HEADER)
        return vg_fail(VG_ERR_FORMAT, "%s: %lld bytes are too few for a MAT file", path, (long long)size);
    int32_t type = read_le32(b), rows = read_le32(b + 4), columns = read_le32(b + 8),
            name = read_le32(b + 16);
    if (type != 30 || read_le32(b + 12) != 0 || name < 1 || MAT_HEADER + (int64_t)name != s->skip)
        return vg_fail(
            VG_ERR_FORMAT,
            "%s: is not a MAT version 4 matrix of 16-bit integers that begins at byte %lld, as %s says (type "
            "%d, name of %d bytes)",
            path, (long long)s->skip, h->path, type, name);
    if (h->samples > 0 && !((rows == h->signals && columns == h->samples) ||
                            (h->signals == 1 && columns == 1 && rows == h->samples)))
        return vg_fail(VG_ERR_FORMAT, "%s: a matrix of %d x %d, where %s says %d signals of %lld samples",
                       path, rows, columns, h->path, h->signals, (long long)h->samples);
    return VG_OK;
}

/* Sample `index` of the file (signals interleaved) as the converter gave it. */
static int raw_sample(const unsigned char *b, int format, int64_t index)
{
    if (format == 16) {
        int value = b[2 * index] | b[2 * index + 1] << 8;
        return value >= 0x8000 ? value - 0x10000 : value;
    }
    /* 212: two samples of 12 bits in three bytes; the middle byte holds the high four bits of both. */
    const unsigned char *pair = b + index / 2 * 3;
    int value = index % 2 == 0 ? pair[0] | (pair[1] & 0x0f) << 8 : pair[2] | (pair[1] & 0xf0) << 4;
    return value >= 0x800 ? value - 0x1000 : value;
}

static int64_t bytes_needed(int format, int64_t samples)
{
    return format == 16 ? 2 * samples : samples / 2 * 3 + (samples % 2 ? 2 : 0);
}

static int64_t samples_in(int format, int64_t bytes)
{
    return format == 16 ? bytes / 2 : bytes / 3 * 2 + (bytes % 3 == 2);
}

/* One signal of a group into physical units; warns about a checksum that does not fit. */
static vg_status add_signal(vg__pipeline *pipeline, const header *h, int number, const unsigned char *samples,
                            int channel, int channels, int64_t count)
{
    const signal_line *s = &h->signal[number];
    double *x = malloc((size_t)(count + 1) * sizeof *x);
    char lead[128];
    if (!x) return vg_fail(VG_ERR_MEMORY, "%s: no memory for %lld samples", h->path, (long long)count);
    int missing = s->format == 16 ? -0x8000 : -0x800;
    uint32_t sum = 0;
    for (int64_t i = 0; i < count; i++) {
        int value = raw_sample(samples, s->format, i * channels + channel);
        sum += (uint32_t)value;
        x[i] = value == missing ? NAN : (value - (double)s->baseline) / s->gain;
    }
    snprintf(lead, sizeof lead, "%s", s->description);
    if (!*lead) snprintf(lead, sizeof lead, "signal %d", number + 1);
    /* Converters write a checksum of 0 for "none" (all of the 2017 Challenge's files do). */
    if (s->has_checksum && s->checksum != 0 && h->samples > 0 && (sum & 0xffff) != (uint32_t)s->checksum)
        vg__pipeline_warn(pipeline,
                          "%s: line %d: the samples of %s add up to checksum %u, the header says %d", h->path,
                          s->line, lead, sum & 0xffff, s->checksum);
    if (!s->calibrated)
        vg__pipeline_warn(pipeline, "%s: line %d: %s is not calibrated; 200 units per mV are assumed",
                          h->path, s->line, lead);
    vg__raw raw = {.file = h->path,
                   .record = h->record,
                   .lead = lead,
                   .rate = h->rate,
                   .units = s->units,
                   .samples = x,
                   .count = count};
    vg_status status = vg__pipeline_add(pipeline, &raw);
    free(x);
    return status;
}

/* The bytes of the file that `s` names, beside the header, after every check of its size. */
static vg_status load_group(const header *h, const signal_line *s, int channels, char **bytes, int64_t *count)
{
    char path[4096];
    int64_t size;
    int folder = (int)(vg__file_name(h->path) - h->path);
    if (snprintf(path, sizeof path, "%.*s%s", folder, h->path, s->file) >= (int)sizeof path)
        return vg_fail(VG_ERR_FORMAT, "%s: line %d: the signal file's path is too long", h->path, s->line);
    vg_status status = vg__file_read(path, MAX_SIGNAL_BYTES, bytes, &size);
    if (status != VG_OK) return vg_context(status, "%s: line %d: the signal file", h->path, s->line);
    VG_TRY(check_mat(h, s, path, *bytes, size));
    int64_t held = size > s->skip ? samples_in(s->format, size - s->skip) / channels : 0;
    *count = h->samples > 0 ? h->samples : held;
    if (h->samples > 0 && held < h->samples)
        return vg_fail(VG_ERR_FORMAT,
                       "%s: holds %lld samples of each signal (%lld bytes), but %s promises %lld (%lld "
                       "bytes): the file is "
                       "cut short",
                       path, (long long)held, (long long)size, h->path, (long long)h->samples,
                       (long long)(s->skip + bytes_needed(s->format, h->samples * channels)));
    return VG_OK;
}

/* How many signals from `first` on are interleaved in the same file; they must have one format. */
static vg_status count_channels(const header *h, int first, int *channels)
{
    const signal_line *s = &h->signal[first];
    int k = 1;
    for (; first + k < h->signals && strcmp(s[k].file, s->file) == 0; k++)
        if (s[k].format != s->format || s[k].skip != s->skip)
            return vg_fail(VG_ERR_FORMAT, "%s: line %d: the signals in %s differ in format", h->path,
                           s[k].line, s->file);
    *channels = k;
    return VG_OK;
}

/* Reads every signal file of the record, and with `store` hands the signals that are wanted over. Called
 * twice, so that a record is checked to its end before its first signal is stored. */
static vg_status visit_signals(vg__pipeline *pipeline, const header *h, bool store)
{
    vg_status status = VG_OK;
    char *bytes = NULL;
    for (int first = 0, channels = 1; first < h->signals; first += channels) {
        const signal_line *s = &h->signal[first];
        int64_t count;
        VG_TRY_OUT(count_channels(h, first, &channels));
        VG_TRY_OUT(load_group(h, s, channels, &bytes, &count));
        const unsigned char *samples = (const unsigned char *)bytes + s->skip;
        for (int k = 0; store && k < channels; k++)
            if (vg__pipeline_wants_lead(pipeline, s[k].description, first + k))
                VG_TRY_OUT(add_signal(pipeline, h, first + k, samples, k, channels, count));
        free(bytes);
        bytes = NULL;
    }
out:
    free(bytes);
    return status;
}

static vg_status import_wfdb(vg__pipeline *pipeline, const char *const *sources, int count)
{
    vg_status status = VG_OK;
    vg__files files = {0};
    header *h = malloc(sizeof *h);
    if (!h) return vg_fail(VG_ERR_MEMORY, "no memory for a header");
    VG_TRY_OUT(vg__files_find(sources, count, ".hea", &files));
    for (int64_t i = 0; i < files.count; i++) {
        status = read_header(files.path[i], h);
        if (status == VG_OK) status = visit_signals(pipeline, h, false);
        if (status == VG_OK)
            VG_TRY_OUT(visit_signals(pipeline, h, true));
        else
            VG_TRY_OUT(vg__pipeline_reject(pipeline, status, files.path[i]));
    }
out:
    vg__files_free(&files);
    free(h);
    return status;
}

extern const vg__importer vg__importer_wfdb;
const vg__importer vg__importer_wfdb = {
    .name = "wfdb",
    .reads = "WFDB records: .hea with signal files of format 16 or 212, also in MAT version 4 files",
    .version = "1",
    .import = import_wfdb,
};
