/* ASCERTAIN (Subramanian et al.): one MAT file a participant and film.
 *
 *   ASCERTAIN_Raw/ECGData/Movie_P01/ECG_Clip1.mat ... Movie_P58/ECG_Clip36.mat
 *     Data_ECG              [n x C]: column 1 the time in ms; the two leads are columns 2 and 3 when C < 6,
 * else 5 and 6 ASCERTAIN_Features/Dt_SelfReports.mat Ratings               [5 x 58 x 36]: arousal 0..6,
 * valence -3..3, engagement, liking, familiarity
 *
 * As public loaders have it; nobody has run this on the real files yet. The rate is nominally 256 Hz and is
 * taken from the times. Doubtful are which lead is whose (one loader calls the first the right arm's, the
 * second the left's) and the unit, which is stated nowhere: taken as mV, which the option units overrules.
 *
 * The source is the data set's folder, or one in it: files of other names are passed over. The ratings are
 * looked for among what was found, then beside it and up to four folders above, there also in
 * ASCERTAIN_Features. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "datasets/import/pipeline/files.h"
#include "datasets/import/mat/files.h"

static const char *const RATINGS[] = {"arousal", "valence", "engagement", "liking", "familiarity"};
enum { RATING_COUNT = sizeof RATINGS / sizeof *RATINGS, WIDE = 6, PATH_SIZE = 4096, FOLDERS_UP = 4 };
static const char REPORTS[] = "Dt_SelfReports.mat";

typedef struct ascertain {
    vg__mat_value ratings;
} ascertain;

/* The number of the folder that the file lies in, "Movie_P07": 7. */
static int participant_of(const char *path)
{
    char folder[PATH_SIZE];
    snprintf(folder, sizeof folder, "%.*s", (int)(vg__file_name(path) - path), path);
    size_t length = strlen(folder);
    if (length > 0) folder[length - 1] = 0;
    return vg__mat_number_behind(vg__file_name(folder), 'P');
}

static bool is_clip(const char *path)
{
    const char *name = vg__file_name(path);
    return strncasecmp(name, "ECG_Clip", 8) == 0 && vg__mat_number_behind(name, name[7]) >= 0;
}

static void look_up(const vg__mat_value *table, int person, int clip, double ratings[RATING_COUNT])
{
    bool inside = table->rank == 3 && table->dims[0] == RATING_COUNT && person >= 1 &&
                  person <= table->dims[1] && clip >= 1 && clip <= table->dims[2];
    for (int i = 0; i < RATING_COUNT; i++)
        ratings[i] =
            inside ? table->numbers[i + RATING_COUNT * ((person - 1) + table->dims[1] * (clip - 1))] : NAN;
}

static vg_status add_clip(vg__pipeline *pipeline, const ascertain *a, const char *path,
                          const vg__mat_value *x)
{
    char subject[32], trial[32], record[96], text[VG__MAT_WORDS];
    double ratings[RATING_COUNT];
    int64_t gaps = 0, first = x->columns < WIDE ? 1 : 4;
    const char *name = vg__file_name(path);
    int person = participant_of(path), clip = vg__mat_number_behind(name, name[7]);
    snprintf(subject, sizeof subject, "P%02d", person);
    snprintf(trial, sizeof trial, "%d", clip);
    snprintf(record, sizeof record, "%s_%s", subject, trial);
    if (person < 0)
        return vg__pipeline_exclude(pipeline, VG_EXCLUSION_UNREAD, path, "", NAN,
                                    "its folder is not called Movie_Pxx, so whose it is stays unknown");
    if (x->kind != VG__MAT_NUMBERS || x->rank != 2 || x->columns < 3)
        return vg__pipeline_exclude(
            pipeline, VG_EXCLUSION_UNREAD, path, subject, NAN,
            "Data_ECG is %s where a time and two leads, [n x 3] or more, are expected",
            vg__mat_describe(x, text));
    double rate = vg__mat_rate_of(x, 0, &gaps);
    if (rate == 0)
        return vg__pipeline_exclude(pipeline, VG_EXCLUSION_UNREAD, path, subject, NAN,
                                    "the times in column 1 of Data_ECG do not rise, so the rate is unknown");
    if (gaps > 0)
        vg__pipeline_warn(pipeline, "%s: %lld gaps in the times are closed up", path, (long long)gaps);
    look_up(&a->ratings, person, clip, ratings);
    for (int lead = 0; lead < 2; lead++) {
        const char *lead_name = lead == 0 ? "left arm" : "right arm";
        vg__raw raw = {.file = path,
                       .record = record,
                       .subject = subject,
                       .trial = trial,
                       .stimulus = trial,
                       .lead = lead_name,
                       .rate = rate,
                       .units = "mV",
                       .ratings = ratings};
        if (vg__pipeline_wants_lead(pipeline, lead_name, lead))
            VG_TRY(vg__mat_add_column(pipeline, x, first + 1 - lead, 0, raw));
    }
    return VG_OK;
}

static vg_status read_clip(vg__pipeline *pipeline, void *context, const char *path, vg__mat *mat)
{
    vg__mat_value x;
    vg_status status = vg__mat_load(mat, "Data_ECG", &x);
    status =
        status == VG_OK ? add_clip(pipeline, context, path, &x) : vg__pipeline_reject(pipeline, status, path);
    vg__mat_free(&x);
    return status;
}

/* ---- The ratings ----------------------------------------------------------------------------------- */

static vg_status read_reports(vg__pipeline *pipeline, void *context, const char *path, vg__mat *mat)
{
    char text[VG__MAT_WORDS];
    ascertain *a = context;
    vg_status status = vg__mat_load(mat, "Ratings", &a->ratings);
    if (status != VG_OK) return vg__pipeline_reject(pipeline, status, path);
    if (a->ratings.kind == VG__MAT_NUMBERS && a->ratings.rank == 3 && a->ratings.dims[0] == RATING_COUNT)
        return VG_OK;
    vg__pipeline_warn(pipeline, "%s: Ratings is %s where [5 x 58 x 36] is expected; it is not used", path,
                      vg__mat_describe(&a->ratings, text));
    vg__mat_free(&a->ratings);
    return VG_OK;
}

static bool exists(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISREG(info.st_mode);
}

/* The file of ratings near a clip. */
static bool find_reports(const char *clip, char path[PATH_SIZE])
{
    char folder[PATH_SIZE - 64];
    if (snprintf(folder, sizeof folder, "%.*s", (int)(vg__file_name(clip) - clip), clip) >=
        (int)sizeof folder)
        return false;
    for (int up = 0; up <= FOLDERS_UP; up++) {
        snprintf(path, PATH_SIZE, "%s%s", folder, REPORTS);
        if (exists(path)) return true;
        snprintf(path, PATH_SIZE, "%sASCERTAIN_Features/%s", folder, REPORTS);
        if (exists(path)) return true;
        if (strlen(folder) + 4 > sizeof folder) return false;
        strcat(folder, "../");
    }
    return false;
}

static vg_status load_reports(vg__pipeline *pipeline, ascertain *a, const vg__files *files)
{
    char near[PATH_SIZE];
    const char *path = NULL, *clip = NULL;
    for (int64_t i = 0; i < files->count; i++) {
        if (!path && strcasecmp(vg__file_name(files->path[i]), REPORTS) == 0) path = files->path[i];
        if (!clip && is_clip(files->path[i])) clip = files->path[i];
    }
    if (!path && clip && find_reports(clip, near)) path = near;
    if (path) return vg__mat_read_file(pipeline, path, read_reports, a);
    vg__pipeline_warn(pipeline, "no %s was found among the sources or near them, so there are no ratings",
                      REPORTS);
    return VG_OK;
}

/* What the head of this file says, for those who only have the store. */
static vg_status leave_notes(vg__pipeline *pipeline)
{
    if (!*vg__pipeline_options(pipeline)->units)
        VG_TRY(vg__pipeline_note(pipeline, "assumed", "the samples are in mV, which the files do not state"));
    return vg__pipeline_note(pipeline, "unverified",
                             "the importer follows public loaders of ASCERTAIN and was not tried on its real "
                             "files; in doubt is which lead is whose arm's");
}

static vg_status import_ascertain(vg__pipeline *pipeline, const char *const *sources, int count)
{
    vg_status status = VG_OK;
    vg__files files = {0};
    ascertain a = {.ratings = {.kind = VG__MAT_OTHER}};
    int64_t clips = 0;
    VG_TRY_OUT(leave_notes(pipeline));
    VG_TRY_OUT(vg__files_find(sources, count, ".mat", &files));
    VG_TRY_OUT(load_reports(pipeline, &a, &files));
    for (int64_t i = 0; i < files.count; i++) {
        if (!is_clip(files.path[i])) continue;
        clips++;
        VG_TRY_OUT(vg__mat_read_file(pipeline, files.path[i], read_clip, &a));
    }
    if (clips == 0)
        status = vg_fail(VG_ERR_NOT_FOUND,
                         "%s: no file ECG_ClipN.mat of ASCERTAIN is there; they lie in "
                         "ASCERTAIN_Raw/ECGData/Movie_Pxx",
                         sources[0]);
out:
    vg__mat_free(&a.ratings);
    vg__files_free(&files);
    return status;
}

extern const vg__importer vg__importer_ascertain;
const vg__importer vg__importer_ascertain = {
    .name = "ascertain",
    .reads = "ASCERTAIN: ECGData/Movie_Pxx/ECG_ClipN.mat with Dt_SelfReports.mat, two leads, 5 ratings",
    .version = "1",
    .rating_names = RATINGS,
    .rating_count = RATING_COUNT,
    .set = "ascertain",
    .licence = "ASCERTAIN's terms of use; must not be passed on",
    .citation =
        "Subramanian R, Wache J, Abadi MK, Vieriu RL, Winkler S, Sebe N. ASCERTAIN: Emotion and Personality "
        "Recognition Using Commercial Sensors. IEEE Trans. Affective Computing 9(2):147-160 (2018), doi "
        "10.1109/TAFFC.2016.2625250",
    /* clang-format off */
    .help = "The option map says nothing here: the files are of known layout. The source is the data set's folder, or one in\n"
            "it; the ratings are looked for in it and up to four folders above. --units tells the unit if it is not mV.\n"
            "\n"
            "  vagus data import ascertain ASCERTAIN_Raw/ECGData/ --out ascertain.h5\n",
    /* clang-format on */
    .import = import_ascertain,
};
