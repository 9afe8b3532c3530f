/* AMIGOS (Miranda-Correa et al.): one MAT file a participant, of the pre-processed or of the original data.
 *
 *   Data_Preprocessed_P01.mat   128 Hz
 *     joined_data             1 x 20 cell of [n x 17]: columns 1-14 EEG, 15 ECG of the right arm, 16 of the
 * left, 17 GSR labels_selfassessment   1 x 20 cell of [1 x 12] VideoIDs                1 x 20 cell of texts
 *   Data_Original_P01.mat       256 Hz
 *     ECG_DATA                1 x 20 cell of [n x C]: column 1 a time stamp in ms, 2 and 3 the leads, then
 *                             accelerometer
 *     and the same two tables where the file has them
 *
 * Columns, ratings, rates and the known holes are those of the data set's published description and of public
 * loaders; nobody has run this on the real files yet. Doubtful are
 *   the unit       nowhere stated; taken as mV, which the option units overrules;
 *   the leads      of the original files: right before left, as in the pre-processed ones (one loader has it
 *                  the other way round, in both). The option leads counts the left one as the first, since
 * the paper used it; the order      of the seven basic emotions among the ratings.
 *
 * Trials 1 to 16 are the short videos, 17 to 20 the long ones. Participants 8, 24 and 28 have no long ones
 * (empty cells: written down as left out), 32 has no ratings for them (kept without ratings). The first 5 s
 * of a trial stand before the video; they are kept, as loaders in use keep them, unless `baseline` is false.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "datasets/import/pipeline/files.h"
#include "datasets/import/mat/files.h"

static const char *const RATINGS[] = {"arousal",     "valence", "dominance", "liking",
                                      "familiarity", "neutral", "disgust",   "happiness",
                                      "surprise",    "anger",   "fear",      "sadness"};
enum { RATING_COUNT = sizeof RATINGS / sizeof *RATINGS, COLUMNS = 17, ORIGINAL_COLUMNS = 3 };
static const double BASELINE_S = 5;

typedef enum version { UNKNOWN, PREPROCESSED, ORIGINAL } version;

/* The layout of a version, and what is known when a trial comes. */
typedef struct amigos {
    vg__pipeline *pipeline;
    const char *path;
    char subject[32];
    version version, first; /* of this file; of the first file that had one */
    vg__mat_value labels, videos;
    bool fatal; /* the status that a visit returned ends the import */
} amigos;

static const struct {
    const char *variable;
    double rate;
    int64_t right, left; /* columns from 0 */
} LAYOUT[] = {[PREPROCESSED] = {"joined_data", 128, 14, 15}, [ORIGINAL] = {"ECG_DATA", 256, 1, 2}};

/* The ratings of a trial: false, with a warning, when the file has none that can be used. */
static bool read_ratings(const amigos *a, int64_t trial, double ratings[RATING_COUNT])
{
    char text[VG__MAT_WORDS];
    const vg__mat_value *cell = trial < a->labels.children ? &a->labels.child[trial] : NULL;
    bool good = cell && cell->kind == VG__MAT_NUMBERS && cell->count == RATING_COUNT;
    for (int i = 0; i < RATING_COUNT; i++) ratings[i] = good ? cell->numbers[i] : NAN;
    if (!good)
        vg__pipeline_warn(a->pipeline, "%s: trial %lld has no ratings: labels_selfassessment{%lld} is %s",
                          a->path, (long long)trial + 1, (long long)trial + 1, vg__mat_describe(cell, text));
    return good;
}

/* The rate of an original trial: what the description says unless its time stamps tell another. */
static double original_rate(const amigos *a, const vg__mat_value *trial, double nominal)
{
    int64_t gaps = 0;
    double rate = vg__mat_rate_of(trial, 0, &gaps);
    if (gaps > 0)
        vg__pipeline_warn(a->pipeline, "%s: %s: %lld gaps in the time stamps are closed up", a->path,
                          trial->path, (long long)gaps);
    if (rate > 0 && fabs(rate - nominal) <= 0.02 * nominal) return nominal;
    vg__pipeline_warn(a->pipeline, "%s: %s: the time stamps tell %g Hz, not %g; %s", a->path, trial->path,
                      rate, nominal, rate > 0 ? "they are followed" : "they are not followed");
    return rate > 0 ? rate : nominal;
}

static vg_status add_trial(amigos *a, int64_t index, const vg__mat_value *trial)
{
    char reason[256], text[VG__MAT_WORDS], name[32], record[96];
    const bool original = a->version == ORIGINAL;
    const int64_t right = LAYOUT[a->version].right, left = LAYOUT[a->version].left;
    double ratings[RATING_COUNT], rate = LAYOUT[a->version].rate;
    snprintf(name, sizeof name, "%lld", (long long)index + 1);
    snprintf(record, sizeof record, "%s_%s", a->subject, name);
    if (trial->kind == VG__MAT_NUMBERS && trial->count == 0) {
        snprintf(reason, sizeof reason, "trial %s is empty: %s", name,
                 index >= 16 ? "no recording of this long video" : "no recording of this video");
        return vg__mat_exclude(a->pipeline, VG_EXCLUSION_NOTHING, a->path, a->subject, trial, reason);
    }
    if (trial->kind != VG__MAT_NUMBERS || trial->rank != 2 ||
        (original ? trial->columns < ORIGINAL_COLUMNS : trial->columns != COLUMNS)) {
        snprintf(reason, sizeof reason, "trial %s is %s where %d columns of numbers are expected", name,
                 vg__mat_describe(trial, text), original ? ORIGINAL_COLUMNS : COLUMNS);
        return vg__mat_exclude(a->pipeline, VG_EXCLUSION_UNREAD, a->path, a->subject, trial, reason);
    }
    bool rated = read_ratings(a, index, ratings);
    const vg__mat_value *video = index < a->videos.children ? &a->videos.child[index] : NULL;
    if (original) rate = original_rate(a, trial, rate);
    vg__raw raw = {.file = a->path,
                   .record = record,
                   .subject = a->subject,
                   .trial = name,
                   .stimulus = video && video->kind == VG__MAT_TEXT ? video->text : "",
                   .rate = rate,
                   .units = "mV",
                   .ratings = rated ? ratings : NULL};
    int64_t from = vg__pipeline_options(a->pipeline)->baseline ? 0 : (int64_t)(BASELINE_S * rate);
    if (vg__pipeline_wants_lead(a->pipeline, "left arm", 0)) {
        raw.lead = "left arm";
        VG_TRY(vg__mat_add_column(a->pipeline, trial, left, from, raw));
    }
    if (!vg__pipeline_wants_lead(a->pipeline, "right arm", 1)) return VG_OK;
    raw.lead = "right arm";
    return vg__mat_add_column(a->pipeline, trial, right, from, raw);
}

static vg_status visit_trial(void *context, int64_t index, const vg__mat_value *trial)
{
    amigos *a = context;
    vg_status status = add_trial(a, index, trial);
    a->fatal = status != VG_OK;
    return status;
}

/* A table beside the trials, a cell array; without it the trials are imported and a warning is left. */
static vg_status load_table(amigos *a, vg__mat *mat, const char *name, vg__mat_value *table)
{
    char text[VG__MAT_WORDS];
    vg_status status = vg__mat_load(mat, name, table);
    if (status == VG_ERR_MEMORY) return status;
    if (status != VG_OK)
        vg__pipeline_warn(a->pipeline, "%s", vg_cause());
    else if (table->kind != VG__MAT_CELL)
        vg__pipeline_warn(a->pipeline, "%s: %s is %s where a cell array is expected; it is not used", a->path,
                          name, vg__mat_describe(table, text));
    if (status != VG_OK || table->kind != VG__MAT_CELL) vg__mat_free(table);
    return VG_OK;
}

static vg_status read_file(vg__pipeline *pipeline, void *context, const char *path, vg__mat *mat)
{
    vg_status status = VG_OK;
    amigos *a = context;
    a->path = path;
    a->fatal = false;
    int number = vg__mat_number_behind(vg__file_name(path), 'P');
    if (number >= 0)
        snprintf(a->subject, sizeof a->subject, "P%02d", number);
    else
        vg__file_stem(path, a->subject, sizeof a->subject);
    a->version = vg__mat_has(mat, LAYOUT[PREPROCESSED].variable) ? PREPROCESSED
                 : vg__mat_has(mat, LAYOUT[ORIGINAL].variable)   ? ORIGINAL
                                                                 : UNKNOWN;
    if (a->version == UNKNOWN)
        return vg__pipeline_exclude(pipeline, VG_EXCLUSION_UNREAD, path, a->subject, NAN,
                                    "no file of AMIGOS: it has neither joined_data nor ECG_DATA, but %.300s",
                                    vg__mat_names(mat));
    if (a->first == UNKNOWN) a->first = a->version;
    if (a->version != a->first)
        return vg__pipeline_exclude(
            pipeline, VG_EXCLUSION_UNREAD, path, a->subject, NAN,
            "pre-processed and original files hold the same trials; only those of the "
            "first kind met are imported, which was %s",
            LAYOUT[a->first].variable);
    VG_TRY_OUT(load_table(a, mat, "labels_selfassessment", &a->labels));
    VG_TRY_OUT(load_table(a, mat, "VideoIDs", &a->videos));
    status = vg__mat_each(mat, LAYOUT[a->version].variable, "", visit_trial, a);
    if (status != VG_OK && !a->fatal) status = vg__pipeline_reject(pipeline, status, path);
out:
    vg__mat_free(&a->labels);
    vg__mat_free(&a->videos);
    return status;
}

/* What the head of this file says, for those who only have the store. */
static vg_status leave_notes(vg__pipeline *pipeline)
{
    const vg_import_options *options = vg__pipeline_options(pipeline);
    if (!*options->units)
        VG_TRY(vg__pipeline_note(pipeline, "assumed", "the samples are in mV, which the files do not state"));
    VG_TRY(vg__pipeline_note(pipeline, "baseline",
                             options->baseline ? "the 5 s before each video were kept"
                                               : "the 5 s before each video were cut off"));
    return vg__pipeline_note(
        pipeline, "unverified",
        "the importer follows the description of AMIGOS and was not tried on its real files; in doubt are "
        "which lead is whose arm's and the order of the ratings neutral to sadness");
}

static vg_status import_amigos(vg__pipeline *pipeline, const char *const *sources, int count)
{
    amigos a = {.pipeline = pipeline};
    VG_TRY(leave_notes(pipeline));
    return vg__mat_read_files(pipeline, sources, count, read_file, &a);
}

extern const vg__importer vg__importer_amigos;
const vg__importer vg__importer_amigos = {
    .name = "amigos",
    .reads = "AMIGOS: Data_Preprocessed_Pxx.mat or Data_Original_Pxx.mat, ECG of both arms, 12 ratings",
    .version = "1",
    .rating_names = RATINGS,
    .rating_count = RATING_COUNT,
    .set = "amigos",
    .licence = "end-user licence agreement of AMIGOS; must not be passed on",
    .citation =
        "Miranda-Correa JA, Abadi MK, Sebe N, Patras I. AMIGOS: A Dataset for Affect, Personality and Mood "
        "Research on Individuals and Groups. IEEE Trans. Affective Computing 12(2):479-493 (2021), "
        "doi 10.1109/TAFFC.2018.2884461",
    /* clang-format off */
    .help = "The option map says nothing here: the files are of known layout. The source is a folder or files; leads are\n"
            "\"left arm\" (the first) and \"right arm\", trials 1 to 20 in the file's order. --units tells the unit if it is not\n"
            "mV; --baseline=false cuts the 5 s before each video.\n"
            "\n"
            "  vagus data import amigos AMIGOS/ --out amigos.h5\n",
    /* clang-format on */
    .import = import_amigos,
};
