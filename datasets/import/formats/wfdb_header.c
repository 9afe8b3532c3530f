/* The header of a WFDB record, after header(5). */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "datasets/import/pipeline/files.h"
#include "datasets/import/formats/wfdb.h"

enum { MAX_HEADER_BYTES = 16 << 20 };
static const int64_t MAX_FRAMES = (int64_t)1 << 33, MAX_SKIP = (int64_t)1 << 40;

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

static vg_status no_memory(const vg__wfdb_header *h)
{
    return vg_fail(VG_ERR_MEMORY, "%s: no memory for a header", h->path);
}

/* "name/segments": the number behind the stroke. */
static vg_status read_segment_count(vg__wfdb_header *h, char *word, int line)
{
    int64_t integer;
    char *stroke = strchr(word, '/');
    if (!stroke) return VG_OK;
    const char *p = stroke + 1;
    if (!take_integer(&p, &integer) || *p || integer < 1 || integer > VG__WFDB_MAX_SEGMENTS)
        return vg_fail(VG_ERR_FORMAT,
                       "%s: line %d: \"%s\" is not a record and its number of segments (1 to %d)", h->path,
                       line, word, VG__WFDB_MAX_SEGMENTS);
    *stroke = 0;
    h->segments = (int)integer;
    h->segment = calloc((size_t)integer, sizeof *h->segment);
    return h->segment ? VG_OK : no_memory(h);
}

/* "name[/segments] signals [rate[/counter][(base)] [samples ...]" */
static vg_status read_record_line(vg__wfdb_header *h, const char *p, int line)
{
    char word[256];
    int64_t integer;
    double number;
    if (!take_word(&p, word, sizeof word))
        return vg_fail(VG_ERR_FORMAT, "%s: line %d: no record name", h->path, line);
    VG_TRY(read_segment_count(h, word, line));
    snprintf(h->record, sizeof h->record, "%.127s", word);
    p += strspn(p, " \t");
    if (!take_integer(&p, &integer) || integer < 0)
        return vg_fail(VG_ERR_FORMAT, "%s: line %d: no number of signals behind the record name", h->path,
                       line);
    if (integer == 0) return vg_fail(VG_ERR_FORMAT, "%s: line %d: the record has no signals", h->path, line);
    if (integer > VG__WFDB_MAX_SIGNALS)
        return vg_fail(VG_ERR_FORMAT, "%s: line %d: %lld signals, more than the %d allowed", h->path, line,
                       (long long)integer, VG__WFDB_MAX_SIGNALS);
    h->signals = (int)integer;
    if (!h->segment) {
        h->signal = calloc((size_t)integer, sizeof *h->signal);
        if (!h->signal) return no_memory(h);
    }
    h->rate = 250; /* what the format prescribes for a header that does not say */
    if (!take_word(&p, word, sizeof word)) return VG_OK;
    const char *rate = word;
    if (!take_number(&rate, &number) || !(number > 0) || (*rate && !strchr("/(", *rate)))
        return vg_fail(VG_ERR_FORMAT, "%s: line %d: \"%s\" is not a sampling rate", h->path, line, word);
    h->rate = number;
    if (!take_word(&p, word, sizeof word)) return VG_OK;
    const char *samples = word;
    if (!take_integer(&samples, &integer) || *samples || integer < 0 || integer > MAX_FRAMES)
        return vg_fail(VG_ERR_FORMAT, "%s: line %d: \"%s\" is not a number of samples", h->path, line, word);
    h->frames = integer;
    return VG_OK;
}

/* "212", "16+24", "212x4:3+24": samples per frame, skew, byte offset. */
static vg_status read_format(const vg__wfdb_header *h, vg__wfdb_signal *s, const char *word)
{
    const char *p = word;
    int64_t format, extra;
    if (!take_integer(&p, &format) || (*p && !strchr("x:+", *p)))
        return vg_fail(VG_ERR_FORMAT, "%s: line %d: \"%s\" is not a signal format", h->path, s->line, word);
    if (format != 0 && (format < 0 || format > 1000 || !vg__wfdb_known_format((int)format)))
        return vg_fail(
            VG_ERR_UNSUPPORTED,
            "%s: line %d: signal format %lld is not known (8, 16, 24, 32, 61, 80, 160, 212, 310, 311, "
            "508, 516 and 524 can be read)",
            h->path, s->line, (long long)format);
    s->format = (int)format;
    while (*p) {
        char kind = *p++;
        if (!take_integer(&p, &extra) || extra < 0 || extra > MAX_SKIP || (*p && !strchr("x:+", *p)))
            return vg_fail(VG_ERR_FORMAT, "%s: line %d: \"%s\" is not a signal format", h->path, s->line,
                           word);
        if (kind == 'x' && (extra < 1 || extra > VG__WFDB_MAX_PER_FRAME))
            return vg_fail(VG_ERR_FORMAT, "%s: line %d: \"%s\": %lld samples in a frame cannot be", h->path,
                           s->line, word, (long long)extra);
        if (kind == '+')
            s->skip = extra;
        else if (kind == 'x')
            s->per_frame = (int)extra;
        else
            s->skew = extra;
    }
    return VG_OK;
}

/* "200", "200(1024)", "200(1024)/mV". */
static vg_status read_gain(const vg__wfdb_header *h, vg__wfdb_signal *s, const char *word, bool *has_baseline)
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
static vg_status read_signal_line(const vg__wfdb_header *h, vg__wfdb_signal *s, const char *p)
{
    char word[256];
    bool has_baseline = false;
    strcpy(s->units, "mV");
    s->gain = 200;
    s->per_frame = 1;
    if (!take_word(&p, s->file, sizeof s->file))
        return vg_fail(VG_ERR_FORMAT, "%s: line %d: no signal file", h->path, s->line);
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
        if (column == 1) {
            if (!has_baseline) s->baseline = integer;
            s->initial = integer; /* unless the next word says otherwise */
        } else if (column == 2) {
            s->has_initial = true;
            s->initial = integer;
        } else if (column == 3) {
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

/* "record samples" */
static vg_status read_segment_line(const vg__wfdb_header *h, vg__wfdb_segment *s, const char *p)
{
    p += strspn(p, " \t");
    size_t length = strcspn(p, " \t");
    if (length == 0 || length >= sizeof s->record)
        return vg_fail(VG_ERR_FORMAT, "%s: line %d: no name of a segment", h->path, s->line);
    memcpy(s->record, p, length);
    p += length;
    if (!take_integer(&p, &s->frames) || p[strspn(p, " \t")] || s->frames < 0 || s->frames > MAX_FRAMES)
        return vg_fail(VG_ERR_FORMAT, "%s: line %d: no number of samples behind the segment \"%s\"", h->path,
                       s->line, s->record);
    return VG_OK;
}

static vg_status read_lines(vg__wfdb_header *h, char *text)
{
    int line = 0, found = 0, wanted = 0;
    for (char *p = text, *next; *p && (found == 0 || found <= wanted); p = next) {
        size_t length = strcspn(p, "\r\n");
        next = p + length;
        next += *next == '\r';
        next += *next == '\n';
        p[length] = 0;
        line++;
        const char *start = p + strspn(p, " \t");
        if (*start == '#' || !*start) continue;
        if (found == 0) {
            VG_TRY(read_record_line(h, p, line));
            wanted = h->segment ? h->segments : h->signals;
        } else if (h->segment) {
            h->segment[found - 1].line = line;
            VG_TRY(read_segment_line(h, &h->segment[found - 1], p));
        } else {
            h->signal[found - 1].line = line;
            VG_TRY(read_signal_line(h, &h->signal[found - 1], p));
        }
        found++;
    }
    if (found == 0) return vg_fail(VG_ERR_FORMAT, "%s: holds no record line", h->path);
    if (found <= wanted)
        return vg_fail(VG_ERR_FORMAT, "%s: line %d: the header ends after %d of its %d %s", h->path, line,
                       found - 1, wanted, h->segment ? "segments" : "signals");
    return VG_OK;
}

vg_status vg__wfdb_header_read(const char *path, vg__wfdb_header *h)
{
    char *text = NULL;
    int64_t size;
    memset(h, 0, sizeof *h);
    if (strlen(path) >= sizeof h->path) return vg_fail(VG_ERR_IO, "%s: the path is too long", path);
    strcpy(h->path, path);
    VG_TRY(vg__file_read(path, MAX_HEADER_BYTES, &text, &size));
    vg_status status = memchr(text, 0, (size_t)size)
                           ? vg_fail(VG_ERR_FORMAT, "%s: is not a text file, so not a WFDB header", path)
                           : read_lines(h, text);
    free(text);
    return status;
}

void vg__wfdb_header_free(vg__wfdb_header *h)
{
    vg__wfdb_unload(h);
    free(h->signal);
    free(h->segment);
    h->signal = NULL;
    h->segment = NULL;
}

vg_status vg__wfdb_beside(const vg__wfdb_header *h, int line, const char *name, const char *ending,
                          char *path, size_t size)
{
    if (strchr(name, '/') || strcmp(name, "..") == 0)
        return vg_fail(VG_ERR_FORMAT, "%s: line %d: the file \"%s\" is not in the header's own folder",
                       h->path, line, name);
    int folder = (int)(vg__file_name(h->path) - h->path);
    if (snprintf(path, size, "%.*s%s%s", folder, h->path, name, ending) >= (int)size)
        return vg_fail(VG_ERR_FORMAT, "%s: line %d: the file's path is too long", h->path, line);
    return VG_OK;
}
