/* CASE, the data set of continuously annotated signals of emotion (Sharma, Castellini, van den Broek,
 * Albu-Schaeffer, Schwenker: Scientific Data 6:196, 2019): thirty people, eight videos, and what they felt,
 * told by joystick. Of its folder data/interpolated physiological/sub_N.csv   1000 Hz: daqtime, ecg (mV),
 * ..., video annotations/sub_N.csv     20 Hz: jstime, valence, arousal, video each run of rows with the same
 * number of video is a recording: stimulus = the video, trial = which run it was. The ratings are the means
 * of valence and arousal (0.5 to 9.5) over all annotations of that video; the videos 10 (start), 11 (blue
 * screen) and 12 (end) carry none.
 *
 * Written from the data set's description and not tried on its real files: that the ECG is in millivolt, that
 * times are in milliseconds and the numbers 10 to 12 are from there. Times are checked against 1000 Hz. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "datasets/import/pipeline/files.h"
#include "datasets/import/pipeline/pipeline.h"
#include "datasets/import/formats/sheet.h"

enum { VIDEOS = 13, FIRST_UNRATED = 10 };
static const double RATE = 1000;

typedef struct subject {
    const char *path;
    char name[64];
    vg__sheet sheet;
    double ratings[VIDEOS][2]; /* valence, arousal */
    double *x;                 /* [count], of the run at hand */
    int64_t count, capacity;
    int video, run;
    double first, last; /* times of the run, as the file has them */
} subject;

/* The path of the annotations that belong to the signals: the same name in the other folder. */
static vg_status annotations_of(const char *path, char *other, size_t size)
{
    static const char folder[] = "physiological/";
    const char *name = vg__file_name(path);
    size_t before = (size_t)(name - path), length = strlen(folder);
    if (before < length || strncmp(name - length, folder, length) != 0)
        return vg_fail(VG_ERR_FORMAT,
                       "%s: lies in no folder \"physiological\", so its annotations cannot be found", path);
    if (snprintf(other, size, "%.*sannotations/%s", (int)(before - length), path, name) >= (int)size)
        return vg_fail(VG_ERR_FORMAT, "%s: the path is too long", path);
    return VG_OK;
}

static vg_status video_of(const vg__sheet *s, int column, int *video)
{
    double number;
    VG_TRY(vg__sheet_value(s, column, &number));
    if (!(number >= 0 && number < VIDEOS) || number != floor(number))
        return vg_fail(VG_ERR_FORMAT, "%s: line %lld, column %d: %g is not the number of a video (0 to %d)",
                       s->path, (long long)s->number, column + 1, number, VIDEOS - 1);
    *video = (int)number;
    return VG_OK;
}

/* The means over each video. */
static vg_status read_ratings(subject *p, const char *path)
{
    double sum[VIDEOS][2] = {{0}};
    int64_t count[VIDEOS] = {0};
    int column[2], video_column, video = 0;
    bool more = true;
    vg__sheet *s = &p->sheet;
    vg_status status = vg__sheet_open(path, 0, s);
    if (status != VG_OK) goto out;
    VG_TRY_OUT(vg__sheet_find(s, "valence", &column[0]));
    VG_TRY_OUT(vg__sheet_find(s, "arousal", &column[1]));
    VG_TRY_OUT(vg__sheet_find(s, "video", &video_column));
    for (;;) {
        double value[2];
        VG_TRY_OUT(vg__sheet_next(s, &more));
        if (!more) break;
        VG_TRY_OUT(video_of(s, video_column, &video));
        for (int k = 0; k < 2; k++) VG_TRY_OUT(vg__sheet_value(s, column[k], &value[k]));
        if (!isfinite(value[0]) || !isfinite(value[1])) continue;
        for (int k = 0; k < 2; k++) sum[video][k] += value[k];
        count[video]++;
    }
    for (int v = 0; v < VIDEOS; v++)
        for (int k = 0; k < 2; k++)
            p->ratings[v][k] = v < FIRST_UNRATED && count[v] > 0 ? sum[v][k] / (double)count[v] : NAN;
out:
    vg__sheet_close(s);
    return status;
}

/* Hands over the run at hand, if there is one, and forgets it. */
static vg_status end_run(vg__pipeline *pipeline, subject *p)
{
    if (p->count == 0) return VG_OK;
    char trial[16], stimulus[16];
    snprintf(trial, sizeof trial, "%d", p->run);
    snprintf(stimulus, sizeof stimulus, "%d", p->video);
    /* Milliseconds by the description; seconds would be as good. */
    double step = p->count > 1 ? (p->last - p->first) / (double)(p->count - 1) : 1;
    vg_status status;
    if (fabs(step - 1) < 0.01 || fabs(step - 0.001) < 1e-5) {
        vg__raw raw = {.file = p->path,
                       .record = p->name,
                       .subject = p->name,
                       .trial = trial,
                       .stimulus = stimulus,
                       .lead = "ecg",
                       .rate = RATE,
                       .units = "mV",
                       .samples = p->x,
                       .count = p->count,
                       .ratings = p->ratings[p->video]};
        status = vg__pipeline_add(pipeline, &raw);
    } else {
        status = vg__pipeline_exclude(
            pipeline, VG_EXCLUSION_SIGNAL, p->path, p->name, (double)p->count / RATE,
            "video %d: its times are %g apart in the mean, not the millisecond of 1000 Hz", p->video, step);
    }
    p->count = 0;
    return status;
}

static vg_status keep(subject *p, double value)
{
    if (p->count == p->capacity) {
        int64_t capacity = p->capacity ? 2 * p->capacity : 65536;
        double *grown = realloc(p->x, (size_t)capacity * sizeof *grown);
        if (!grown)
            return vg_fail(VG_ERR_MEMORY, "%s: no memory for %lld samples", p->path, (long long)capacity);
        p->x = grown;
        p->capacity = capacity;
    }
    p->x[p->count++] = value;
    return VG_OK;
}

/* Runs that end before an error stand in the store: what was read is good. */
static vg_status read_signals(vg__pipeline *pipeline, subject *p)
{
    vg__sheet *s = &p->sheet;
    int time, ecg, video_column, video = 0;
    bool more = true;
    vg_status status = vg__sheet_open(p->path, 0, s);
    if (status == VG_OK) status = vg__sheet_find(s, "daqtime", &time);
    if (status == VG_OK) status = vg__sheet_find(s, "ecg", &ecg);
    if (status == VG_OK) status = vg__sheet_find(s, "video", &video_column);
    while (status == VG_OK) {
        double at, value;
        status = vg__sheet_next(s, &more);
        if (status != VG_OK || !more) break;
        status = video_of(s, video_column, &video);
        if (status == VG_OK) status = vg__sheet_time(s, time, &at);
        if (status == VG_OK) status = vg__sheet_value(s, ecg, &value);
        if (status != VG_OK) break;
        if (p->count > 0 && video != p->video) VG_TRY(end_run(pipeline, p));
        if (p->count == 0) {
            p->run++;
            p->video = video;
            p->first = at;
        }
        p->last = at;
        VG_TRY(keep(p, value));
    }
    if (status != VG_OK) return vg__pipeline_reject(pipeline, status, p->path);
    return end_run(pipeline, p);
}

static vg_status import_subject(vg__pipeline *pipeline, subject *p)
{
    char annotations[4096];
    vg__file_stem(p->path, p->name, sizeof p->name);
    vg_status status = annotations_of(p->path, annotations, sizeof annotations);
    if (status == VG_OK) status = read_ratings(p, annotations);
    if (status != VG_OK) return vg__pipeline_reject(pipeline, status, p->path);
    status = read_signals(pipeline, p);
    vg__sheet_close(&p->sheet);
    return status;
}

static vg_status import_case(vg__pipeline *pipeline, const char *const *sources, int count)
{
    vg_status status = VG_OK;
    vg__files files = {0};
    subject *p = malloc(sizeof *p);
    if (!p) return vg_fail(VG_ERR_MEMORY, "no memory to read text");
    VG_TRY_OUT(vg__files_find(sources, count, ".csv", &files));
    int64_t found = 0;
    VG_TRY_OUT(vg__pipeline_note(
        pipeline, "unverified",
        "the importer follows the description of CASE and was not tried on its real files; that the ECG is "
        "in mV and which videos carry no ratings is from there"));
    vg__pipeline_warn(
        pipeline,
        "the importer of CASE was written from the data set's description and not tried on its real "
        "files: compare a few recordings with them before you rely on it");
    for (int64_t i = 0; i < files.count; i++) {
        const char *name = vg__file_name(files.path[i]);
        bool signals = name - files.path[i] >= 14 && strncmp(name - 14, "physiological/", 14) == 0;
        /* A folder is searched: its annotations come with their signals, and what else it holds is passed by.
         */
        if (!signals && files.count > count) continue;
        memset(p, 0, sizeof *p);
        p->path = files.path[i];
        found++;
        status = import_subject(pipeline, p);
        free(p->x);
        if (status != VG_OK) goto out;
    }
    if (found == 0)
        status = vg_fail(
            VG_ERR_NOT_FOUND,
            "%s: holds no folder \"physiological\" with sub_N.csv; give the data set's data/interpolated",
            sources[0]);
out:
    vg__files_free(&files);
    free(p);
    return status;
}

static const char *const RATINGS[] = {"valence", "arousal"};

extern const vg__importer vg__importer_case;
const vg__importer vg__importer_case = {
    .name = "case",
    .reads =
        "the CASE data set (its folder data/interpolated): a recording a subject and video, mean valence and "
        "arousal",
    .version = "1",
    .rating_names = RATINGS,
    .rating_count = 2,
    .set = "case",
    .licence = "CC BY 4.0",
    .citation =
        "Sharma K, Castellini C, van den Broek EL, Albu-Schaeffer A, Schwenker F. A dataset of continuous "
        "affect annotations and physiological signals for emotion analysis. Scientific Data 6:196 (2019).",
    /* clang-format off */
    .help = "The option map says nothing here: the files are of known layout. The source is the folder data/interpolated, or\n"
            "files of its folder physiological, beside which annotations must lie.\n"
            "\n"
            "  vagus data import case data/interpolated/ --out case.h5\n",
    /* clang-format on */
    .import = import_case,
};
