/* DREAMER (Katsigiannis & Ramzan): one file, DREAMER.mat, one variable.
 *
 *   DREAMER.Data            1 x 23 cell of structs, one a participant:
 *     .Age, .Gender         texts; not kept, since a store has no column for them
 *     .EEG                  skipped unread
 *     .ECG.baseline         18 x 1 cell of [m x 2], 256 Hz, 61 s each: before each film
 *     .ECG.stimuli          18 x 1 cell of [m x 2]: during it
 *     .ScoreValence, .ScoreArousal, .ScoreDominance    18 x 1, 1 to 5
 *
 * As the data set's published description and public loaders have it; nobody has run this on the real file
 * yet. Doubtful are the leads   unnamed, so they are called "1" and "2"; the unit    stated nowhere. A public
 * script limits its thresholds to 1800..2500, so these are the recorder's own counts. Taken as Shimmer2's: 12
 * bits over 3 V behind a gain of 175, 0.0042 mV each (the gain is remembered, not seen). With the option
 * units the numbers are that unit themselves.
 *
 * The recordings before the films are trials "baseline 1" ... without ratings; `baseline` false leaves them
 * out. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "datasets/import/mat/files.h"

static const char *const RATINGS[] = {"valence", "arousal", "dominance"};
static const char *const SCORES[] = {"ScoreValence", "ScoreArousal", "ScoreDominance"};
enum { RATING_COUNT = sizeof RATINGS / sizeof *RATINGS, LEADS = 2 };
static const double RATE = 256, COUNT_MV = 3000.0 / 4095 / 175;

typedef struct dreamer {
    vg__pipeline *pipeline;
    const char *path;
    char subject[32];
    const vg__mat_value *score[RATING_COUNT]; /* of the participant at hand; NULL when not usable */
    bool fatal;
} dreamer;

static vg_status add_recording(const dreamer *d, const vg__mat_value *x, int64_t film, bool baseline)
{
    char trial[48], stimulus[32], record[96], reason[256], text[VG__MAT_WORDS];
    double ratings[RATING_COUNT];
    snprintf(stimulus, sizeof stimulus, "%lld", (long long)film + 1);
    snprintf(trial, sizeof trial, "%s%s", baseline ? "baseline " : "", stimulus);
    snprintf(record, sizeof record, "%s_%s", d->subject, trial);
    if (x->kind == VG__MAT_NUMBERS && x->count == 0) {
        snprintf(reason, sizeof reason, "trial %s is empty", trial);
        return vg__mat_exclude(d->pipeline, VG_EXCLUSION_NOTHING, d->path, d->subject, x, reason);
    }
    if (x->kind != VG__MAT_NUMBERS || x->columns != LEADS) {
        snprintf(reason, sizeof reason, "trial %s is %s where two columns of numbers are expected", trial,
                 vg__mat_describe(x, text));
        return vg__mat_exclude(d->pipeline, VG_EXCLUSION_UNREAD, d->path, d->subject, x, reason);
    }
    for (int i = 0; i < RATING_COUNT; i++)
        ratings[i] = d->score[i] && film < d->score[i]->count ? d->score[i]->numbers[film] : NAN;
    vg_status status = VG_OK;
    const double scale = *vg__pipeline_options(d->pipeline)->units ? 1 : COUNT_MV;
    vg__mat_value column = *x;
    column.columns = 1;
    column.numbers = malloc((size_t)x->rows * sizeof *column.numbers);
    if (!column.numbers)
        return vg_fail(VG_ERR_MEMORY, "%s: no memory for %lld samples", d->path, (long long)x->rows);
    for (int lead = 0; lead < LEADS && status == VG_OK; lead++) {
        const char *name = lead == 0 ? "1" : "2";
        vg__raw raw = {.file = d->path,
                       .record = record,
                       .subject = d->subject,
                       .trial = trial,
                       .stimulus = baseline ? "" : stimulus,
                       .lead = name,
                       .rate = RATE,
                       .units = "mV",
                       .ratings = baseline ? NULL : ratings};
        if (!vg__pipeline_wants_lead(d->pipeline, name, lead)) continue;
        for (int64_t i = 0; i < x->rows; i++) column.numbers[i] = scale * x->numbers[lead * x->rows + i];
        status = vg__mat_add_column(d->pipeline, &column, 0, 0, raw);
    }
    free(column.numbers);
    return status;
}

static vg_status add_cells(const dreamer *d, const vg__mat_value *person, const vg__mat_value *cells,
                           const char *what)
{
    char reason[256], text[VG__MAT_WORDS];
    if (!cells || cells->kind != VG__MAT_CELL) {
        snprintf(reason, sizeof reason, "ECG.%s is %s where a cell array is expected", what,
                 vg__mat_describe(cells, text));
        return vg__mat_exclude(d->pipeline, VG_EXCLUSION_UNREAD, d->path, d->subject, person, reason);
    }
    for (int64_t i = 0; i < cells->children; i++)
        VG_TRY(add_recording(d, &cells->child[i], i, what[0] == 'b'));
    return VG_OK;
}

static vg_status add_person(dreamer *d, int64_t index, const vg__mat_value *person)
{
    char text[VG__MAT_WORDS];
    snprintf(d->subject, sizeof d->subject, "S%02lld", (long long)index + 1);
    for (int i = 0; i < RATING_COUNT; i++) {
        const vg__mat_value *score = vg__mat_field(person, SCORES[i]);
        d->score[i] = score && score->kind == VG__MAT_NUMBERS && score->count > 0 ? score : NULL;
        if (!d->score[i])
            vg__pipeline_warn(d->pipeline, "%s: %s.%s is %s: no rating of %s for this participant", d->path,
                              person->path, SCORES[i], vg__mat_describe(score, text), RATINGS[i]);
    }
    const vg__mat_value *ecg = vg__mat_field(person, "ECG");
    if (vg__pipeline_options(d->pipeline)->baseline)
        VG_TRY(add_cells(d, person, vg__mat_field(ecg, "baseline"), "baseline"));
    return add_cells(d, person, vg__mat_field(ecg, "stimuli"), "stimuli");
}

static vg_status visit_person(void *context, int64_t index, const vg__mat_value *person)
{
    dreamer *d = context;
    vg_status status = add_person(d, index, person);
    d->fatal = status != VG_OK;
    return status;
}

static vg_status read_file(vg__pipeline *pipeline, void *context, const char *path, vg__mat *mat)
{
    dreamer *d = context;
    d->path = path;
    d->fatal = false;
    if (!vg__mat_has(mat, "DREAMER"))
        return vg__pipeline_exclude(pipeline, VG_EXCLUSION_UNREAD, path, "", NAN,
                                    "not DREAMER.mat: it has no variable DREAMER, but %.300s",
                                    vg__mat_names(mat));
    vg_status status = vg__mat_each(mat, "DREAMER.Data", "EEG", visit_person, d);
    return status != VG_OK && !d->fatal ? vg__pipeline_reject(pipeline, status, path) : status;
}

/* What the head of this file says, for those who only have the store. */
static vg_status leave_notes(vg__pipeline *pipeline)
{
    char text[160];
    const vg_import_options *options = vg__pipeline_options(pipeline);
    snprintf(
        text, sizeof text,
        "a count of the recorder is %.4f mV (12 bits over 3 V behind a gain of 175), which the file does "
        "not state",
        COUNT_MV);
    if (!*options->units) VG_TRY(vg__pipeline_note(pipeline, "assumed", text));
    VG_TRY(vg__pipeline_note(pipeline, "baseline",
                             options->baseline
                                 ? "the recordings before the films were kept, as trials without ratings"
                                 : "the recordings before the films were left out"));
    return vg__pipeline_note(pipeline, "unverified",
                             "the importer follows the description of DREAMER and was not tried on its real "
                             "file; the leads 1 and 2 have no names there");
}

static vg_status import_dreamer(vg__pipeline *pipeline, const char *const *sources, int count)
{
    dreamer d = {.pipeline = pipeline};
    VG_TRY(leave_notes(pipeline));
    return vg__mat_read_files(pipeline, sources, count, read_file, &d);
}

extern const vg__importer vg__importer_dreamer;
const vg__importer vg__importer_dreamer = {
    .name = "dreamer",
    .reads = "DREAMER: DREAMER.mat, two leads, films and the minute before each, 3 ratings",
    .version = "1",
    .file_is_set = true,
    .rating_names = RATINGS,
    .rating_count = RATING_COUNT,
    .set = "dreamer",
    .licence = "DREAMER's terms of use; academic research, must not be passed on",
    .citation =
        "Katsigiannis S, Ramzan N. DREAMER: A Database for Emotion Recognition Through EEG and ECG Signals "
        "From Wireless Low-cost Off-the-Shelf Devices. IEEE J. Biomedical and Health Informatics "
        "22(1):98-107 (2018), doi 10.1109/JBHI.2017.2688239",
    /* clang-format off */
    .help = "The option map says nothing here: the file is of known layout. Leads are \"1\" and \"2\". --units says that the\n"
            "numbers are of that unit and no counts; --baseline=false leaves out the minute before each film.\n"
            "\n"
            "  vagus data import dreamer DREAMER.mat --out dreamer.h5\n",
    /* clang-format on */
    .import = import_dreamer,
};
