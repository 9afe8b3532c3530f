/* A user's own text files: a column for each lead, a row for each sample. The help text at the end tells what
 * the option map takes. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "datasets/import/pipeline/files.h"
#include "datasets/import/formats/leads.h"
#include "datasets/import/formats/mapping.h"
#include "datasets/import/pipeline/pipeline.h"
#include "datasets/import/formats/sheet.h"
#include "datasets/import/formats/times.h"

/* A file whose gaps are longer than this many times what it holds is refused, so that a few bytes cannot ask
 * for any amount of memory. */
enum { MOST_GAP = 64 };

typedef struct mapping {
    char signal[VG__MAP_VALUE], time[VG__MAP_VALUE], time_units[VG__MAP_VALUE], rate[VG__MAP_VALUE],
        units[VG__MAP_VALUE], scale[VG__MAP_VALUE], leads[VG__MAP_VALUE], delimiter[VG__MAP_VALUE];
    vg__map_words signals, names;    /* of `signal` and `leads` */
    double given_rate, factor, tick; /* 0: not given; `tick` is one unit of the time in seconds */
    char separator;
} mapping;

typedef struct reading {
    const mapping *map;
    vg__sheet sheet;
    int columns, column[VG__MAP_WORDS]; /* of the leads */
    int time;                           /* -1: none */
    int64_t rows, capacity;
    double *times, *values; /* [rows], [rows][columns] */
    double tick;            /* one unit of the time in seconds */
    double rate, longest;   /* steps longer than this many seconds are gaps */
} reading;

/* What columns of times are called. */
static const char *const TIMES[] = {"time", "t", "timestamp", "elapsed time", "seconds", "datetime", NULL};

/* Standard leads, as they are written; those that begin with "a" in any letters. */
static const char *const LEADS[] = {"I",  "II",  "III", "aVR", "aVL",  "aVF",   "V1",
                                    "V2", "V3",  "V4",  "V5",  "V6",   "V7",    "V8",
                                    "V9", "V3R", "V4R", "MLI", "MLII", "MLIII", NULL};

/* ---- The mapping ------------------------------------------------------------------------------------- */

/* One unit of time in seconds; 0 for what is none. */
static double tick_of(const char *unit)
{
    static const struct {
        const char *word;
        double seconds;
    } ticks[] = {{"s", 1}, {"sec", 1}, {"seconds", 1}, {"ms", 1e-3}, {"us", 1e-6}, {"ns", 1e-9}, {"min", 60}};
    for (size_t i = 0; i < sizeof ticks / sizeof *ticks; i++)
        if (strcmp(unit, ticks[i].word) == 0) return ticks[i].seconds;
    return 0;
}

static vg_status read_choices(mapping *m)
{
    static const struct {
        const char *word;
        char sign;
    } signs[] = {{"comma", ','}, {"semicolon", ';'}, {"tab", '\t'}, {"space", ' '}};
    m->separator = m->delimiter[0] && !m->delimiter[1] ? m->delimiter[0] : 0;
    for (size_t i = 0; i < sizeof signs / sizeof *signs; i++)
        if (strcmp(m->delimiter, signs[i].word) == 0) m->separator = signs[i].sign;
    if (*m->delimiter && !m->separator)
        return vg_fail(VG_ERR_CONFIG,
                       "the option map: delimiter=%s is none of comma, semicolon, tab, space, or a sign",
                       m->delimiter);
    m->tick = tick_of(m->time_units);
    if (*m->time_units && m->tick == 0)
        return vg_fail(VG_ERR_CONFIG, "the option map: time_units=%s is none of s, ms, us and ns",
                       m->time_units);
    return VG_OK;
}

static vg_status read_mapping(const char *text, mapping *m)
{
    const vg__map_key keys[] = {{"signal", m->signal},         {"time", m->time},
                                {"time_units", m->time_units}, {"rate", m->rate},
                                {"units", m->units},           {"scale", m->scale},
                                {"leads", m->leads},           {"delimiter", m->delimiter}};
    VG_TRY(vg__map_read("csv", text, keys, sizeof keys / sizeof *keys));
    VG_TRY(vg__map_split("signal", m->signal, &m->signals));
    VG_TRY(vg__map_split("leads", m->leads, &m->names));
    VG_TRY(vg__map_positive("rate", m->rate, 0, &m->given_rate));
    VG_TRY(vg__map_positive("scale", m->scale, 1, &m->factor));
    if (m->names.count > 0 && m->signals.count > 0 && m->names.count != m->signals.count)
        return vg_fail(VG_ERR_CONFIG, "the option map names %d leads, but %d columns", m->names.count,
                       m->signals.count);
    return read_choices(m);
}

/* ---- Which columns ----------------------------------------------------------------------------------- */

/* Whether a column is called a time, and what one is in seconds where that stands behind it ("time_ms"). */
static bool is_time(const vg__sheet *s, int column, double *tick)
{
    *tick = tick_of(s->unit[column]);
    for (const char *const *word = TIMES; s->named && *word; word++) {
        const char *name = s->name[column];
        const size_t length = strlen(*word);
        if (strncasecmp(name, *word, length) != 0) continue;
        if (name[length] == 0) return true;
        if (name[length] != '_' || tick_of(name + length + 1) == 0) continue;
        *tick = tick_of(name + length + 1);
        return true;
    }
    return false;
}

static vg_status find_time(reading *r, vg__missing *missing)
{
    double tick;
    r->time = -1;
    r->tick = 0;
    if (*r->map->time) {
        VG_TRY(vg__sheet_find(&r->sheet, r->map->time, &r->time));
        (void)is_time(&r->sheet, r->time, &r->tick);
    }
    for (int i = r->sheet.columns - 1; !*r->map->time && r->map->given_rate == 0 && i >= 0; i--)
        if (is_time(&r->sheet, i, &tick)) {
            r->time = i;
            r->tick = tick;
        }
    if (r->map->tick > 0) r->tick = r->map->tick;
    if (r->tick == 0) r->tick = 1;
    if (r->time < 0 && r->map->given_rate == 0)
        vg__missing_add(missing, "its sampling rate (or its times: time=NAME)", "rate=250");
    return VG_OK;
}

static bool says_lead(const char *name)
{
    if (strncasecmp(name, "lead ", 5) == 0 || strncasecmp(name, "lead_", 5) == 0) name += 5;
    for (const char *const *lead = LEADS; *lead; lead++)
        if (**lead == 'a' ? strcasecmp(name, *lead) == 0 : strcmp(name, *lead) == 0) return true;
    for (; *name; name++)
        if (strncasecmp(name, "ECG", 3) == 0 || strncasecmp(name, "EKG", 3) == 0) return true;
    return false;
}

static vg_status find_signals(reading *r, vg__missing *missing)
{
    const vg__sheet *s = &r->sheet;
    double tick;
    r->columns = 0;
    for (int i = 0; i < r->map->signals.count; i++)
        VG_TRY(vg__sheet_find(s, r->map->signals.word[i], &r->column[r->columns++]));
    if (r->columns > 0) return VG_OK;
    for (int i = 0; s->named && i < s->columns && r->columns < VG__MAP_WORDS; i++)
        if (i != r->time && says_lead(s->name[i])) r->column[r->columns++] = i;
    if (r->columns > 0) return VG_OK;
    for (int i = 0; i < s->columns && r->columns < 2; i++)
        if (i != r->time && !is_time(s, i, &tick)) r->column[r->columns++] = i;
    if (r->columns == 1) return VG_OK;
    r->columns = 0;
    char what[256] = "";
    snprintf(what, sizeof what, "which of its %d columns are ECG", s->columns);
    for (int i = 0; s->named && i < s->columns; i++) {
        const size_t used = strlen(what);
        snprintf(what + used, sizeof what - used - 2, "%s%s", i ? ", " : " (", s->name[i]);
    }
    if (s->named) strcat(what, ")");
    vg__missing_add(missing, what, s->named ? "signal=NAME" : "signal=2|3");
    return VG_OK;
}

/* Of the columns that are taken, or, where those are not known, of any. */
static void find_units(const reading *r, const vg_import_options *options, vg__missing *missing)
{
    bool told = *r->map->units || *options->units, any = false;
    for (int i = 0; i < r->sheet.columns; i++) any = any || (i != r->time && *r->sheet.unit[i]);
    for (int i = 0; !told && i < r->columns; i++)
        if (!*r->sheet.unit[r->column[i]]) any = false;
    if (!told && !any) vg__missing_add(missing, "the unit of its samples (also --units mV)", "units=mV");
}

/* ---- Rows -------------------------------------------------------------------------------------------- */

static vg_status grow(reading *r)
{
    if (r->rows < r->capacity) return VG_OK;
    int64_t capacity = r->capacity ? 2 * r->capacity : 4096;
    double *values = realloc(r->values, (size_t)(capacity * r->columns) * sizeof *values);
    if (values) r->values = values;
    double *times = r->time >= 0 ? realloc(r->times, (size_t)capacity * sizeof *times) : r->times;
    if (times) r->times = times;
    if (!values || (r->time >= 0 && !times))
        return vg_fail(VG_ERR_MEMORY, "%s: no memory for %lld rows", r->sheet.path, (long long)capacity);
    r->capacity = capacity;
    return VG_OK;
}

static vg_status read_row(reading *r)
{
    vg__sheet *s = &r->sheet;
    VG_TRY(grow(r));
    if (r->time >= 0) {
        double time, tick = s->cells > r->time && strchr(s->cell[r->time], ':') ? 1 : r->tick;
        VG_TRY(vg__sheet_time(s, r->time, &time));
        time *= tick;
        if (!isfinite(time) || (r->rows > 0 && time < r->times[r->rows - 1])) {
            char name[VG__SHEET_NAME];
            return vg_fail(VG_ERR_FORMAT,
                           "%s: line %lld, column %d (%s): the time %g s lies before the last, %g s", s->path,
                           (long long)s->number, r->time + 1, vg__sheet_column(s, r->time, name), time,
                           r->rows > 0 ? r->times[r->rows - 1] : 0);
        }
        r->times[r->rows] = time;
    }
    for (int i = 0; i < r->columns; i++)
        VG_TRY(vg__sheet_value(s, r->column[i], &r->values[r->rows * r->columns + i]));
    r->rows++;
    return VG_OK;
}

/* How many samples are missing before row i. */
static double gap_before(const reading *r, int64_t i)
{
    if (r->time < 0 || i == 0) return 0;
    double step = r->times[i] - r->times[i - 1];
    return step > r->longest ? fmax(0, round(step * r->rate) - 1) : 0;
}

/* ---- Handing over ------------------------------------------------------------------------------------ */

static vg_status count_samples(const reading *r, int64_t *count)
{
    double gaps = 0;
    for (int64_t i = 0; i < r->rows; i++) gaps += gap_before(r, i);
    if (!(gaps <= (double)r->rows * MOST_GAP))
        return vg_fail(
            VG_ERR_FORMAT,
            "%s: its %lld rows stand so far apart that %.0f samples are missing; cut it into files "
            "without such gaps, or give the unit of its times (time_units=ms in the option map)",
            r->sheet.path, (long long)r->rows, gaps);
    *count = r->rows + (int64_t)gaps;
    return VG_OK;
}

static vg_status add_lead(vg__pipeline *pipeline, const reading *r, int lead, int64_t count, double *x)
{
    const vg__sheet *s = &r->sheet;
    const mapping *map = r->map;
    char stem[128], name[VG__SHEET_NAME];
    const int column = r->column[lead];
    int64_t at = 0;
    for (int64_t i = 0; i < r->rows; i++) {
        for (int64_t gap = (int64_t)gap_before(r, i); gap > 0 && at < count; gap--) x[at++] = NAN;
        if (at < count) x[at++] = r->values[i * r->columns + lead] * map->factor;
    }
    vg__file_stem(s->path, stem, sizeof stem);
    vg__raw raw = {.file = s->path,
                   .record = stem,
                   .lead =
                       lead < map->names.count ? map->names.word[lead] : vg__sheet_column(s, column, name),
                   .rate = r->rate,
                   .units = *map->units ? map->units : s->unit[column],
                   .samples = x,
                   .count = at};
    return vg__pipeline_add(pipeline, &raw);
}

/* *read: the file is in order, so an error that follows is not about it. */
static vg_status import_file(vg__pipeline *pipeline, reading *r, const char *path, bool *read)
{
    bool more = true;
    int64_t count = 0;
    VG_TRY(vg__sheet_open(path, r->map->separator, &r->sheet));
    vg__missing missing = {0};
    VG_TRY(find_time(r, &missing));
    VG_TRY(find_signals(r, &missing));
    find_units(r, vg__pipeline_options(pipeline), &missing);
    VG_TRY(vg__missing_check(&missing, path));
    if (r->map->names.count > 0 && r->map->names.count != r->columns)
        return vg_fail(VG_ERR_FORMAT, "%s: the option map names %d leads, but %d columns are taken", path,
                       r->map->names.count, r->columns);
    for (;;) {
        VG_TRY(vg__sheet_next(&r->sheet, &more));
        if (!more) break;
        VG_TRY(read_row(r));
    }
    r->rate = r->map->given_rate;
    if (r->time >= 0 && (r->rate == 0 || r->rows > 1))
        VG_TRY(vg__times_rate(path, r->times, r->rows, &r->rate, &r->longest));
    VG_TRY(count_samples(r, &count));
    double *x = malloc((size_t)(count + 1) * sizeof *x);
    if (!x) return vg_fail(VG_ERR_MEMORY, "%s: no memory for %lld samples", path, (long long)count);
    *read = true;
    vg_status status = VG_OK;
    vg__leads leads = {0};
    for (int i = 0; i < r->columns; i++) {
        char name[VG__SHEET_NAME];
        const char *lead =
            i < r->map->names.count ? r->map->names.word[i] : vg__sheet_column(&r->sheet, r->column[i], name);
        if (vg__leads_take(pipeline, &leads, lead, i)) VG_TRY_OUT(add_lead(pipeline, r, i, count, x));
    }
    status = vg__leads_check(pipeline, &leads, path, "", (double)count / r->rate);
out:
    free(x);
    return status;
}

static vg_status import_csv(vg__pipeline *pipeline, const char *const *sources, int count)
{
    vg_status status = VG_OK;
    vg__files files = {0};
    mapping *map = malloc(sizeof *map);
    reading *r = malloc(sizeof *r);
    if (!map || !r) {
        status = vg_fail(VG_ERR_MEMORY, "no memory to read text");
        goto out;
    }
    VG_TRY_OUT(read_mapping(vg__pipeline_options(pipeline)->map, map));
    VG_TRY_OUT(vg__files_find(sources, count, ".csv .tsv .txt", &files));
    const vg_import_options *options = vg__pipeline_options(pipeline);
    for (int64_t i = 0; i < files.count; i++) {
        bool read = false;
        /* Tables that lie among the recordings. */
        if (strcmp(files.path[i], options->labels) == 0 || strcmp(files.path[i], options->subjects) == 0)
            continue;
        memset(r, 0, sizeof *r);
        r->map = map;
        status = import_file(pipeline, r, files.path[i], &read);
        if (status != VG_OK && !read) status = vg__pipeline_reject(pipeline, status, files.path[i]);
        vg__sheet_close(&r->sheet);
        free(r->times);
        free(r->values);
        if (status != VG_OK) goto out;
    }
out:
    vg__files_free(&files);
    free(map);
    free(r);
    return status;
}

extern const vg__importer vg__importer_csv;
const vg__importer vg__importer_csv = {
    .name = "csv",
    .reads = "text files with a column for each lead; the option map tells which, and the rate or a column "
             "of times",
    .version = "1",
    /* clang-format off */
    .help = "--map KEY=VALUE,... tells what the columns are; what it leaves out is found out where it can be.\n"
            "  signal=ecg|2       columns of the leads, by name or by number from 1; else those called ECG, EKG or as\n"
            "                     a standard lead (I, aVR, V1, MLII), else the only column that is not the time\n"
            "  time=t             column of times, from which the rate follows; else one called time, t or timestamp,\n"
            "                     unless the rate is given\n"
            "  time_units=ms      what the times count: s (unless the column's name says it), ms, us or ns;\n"
            "                     1:02:03.5 and 2026-11-23T08:56:14.5Z are seconds in any case\n"
            "  rate=250           Hz; beside time=, the times only tell where samples are missing\n"
            "  units=mV           of the samples: V, mV or uV; else what the file says: \"ecg [mV]\", \"ecg_mV\", or a line\n"
            "                     of units below the names\n"
            "  scale=0.001        what one number is in that unit; else 1\n"
            "  leads=I|II         names of the leads; else the columns' names\n"
            "  delimiter=tab      comma, semicolon, tab, space or a sign; else found out from the first line\n"
            "A step in time of more than 1.5 samples is a gap, unless the times are coarser than that throughout. Times\n"
            "that go back are an error.\n"
            "\n"
            "  vagus data import csv recordings/ --out own.h5 --map 'signal=chest|arm,rate=250,units=uV,leads=I|II'\n",
    /* clang-format on */
    .import = import_csv,
};
