/* vagus predict: of stores, or of recordings in any format, which are imported for it as the model's contract
 * has it, into a file that is gone before the command ends. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/file.h"
#include "core/log.h"
#include "core/progress.h"
#include "core/signals.h"
#include "experiments/runner/commands/data.h"
#include "experiments/runner/evaluation/prediction/answer.h"
#include "experiments/runner/evaluation/prediction/recipe.h"

enum { MOST_IMPORT_OPTIONS = 64, SHOWN_EXCLUSIONS = 10 };

typedef struct request {
    const char *model, *out;
    const char *const *inputs;
    int count;
    bool overwrite, help;
    vg_answer_rows rows;
    vg_wish wish;
    const char *format; /* of recordings to import; NULL: the inputs are stores */
    struct {
        char name[64];
        const char *value;
    } import[MOST_IMPORT_OPTIONS];
    int import_count;
} request;

/* ---- The words ----------------------------------------------------------------------------------------- */

static void print_help(void)
{
    const char *key;
    printf("vagus predict --model DIR STORE... [--out CSV] [key=value ...]\n"
           "vagus predict --model DIR --import FORMAT SOURCE... [options of data import] ...\n"
           "\n"
           "What a fine-tuned model answers to every usable segment of stores. Each checkpoint says\n"
           "how its data were prepared (rate, band, unit, segment, lead, normalisation), and data\n"
           "prepared otherwise are refused with each difference and the 'vagus data import' command\n"
           "that honours it.\n"
           "\n"
           "  --model DIR     the run directory of a fold (RUN/METHOD/fold-NNN: the weights that its\n"
           "                  test used), a checkpoint in it, or RUN/METHOD, or RUN with one method:\n"
           "                  the folds' models answer together, by the mean of their probabilities\n"
           "  --import FORMAT the inputs are recordings, files or folders ('vagus data import --help'\n"
           "                  lists the formats): imported as the model wants them, with the importer's\n"
           "                  options behind this one, into a temporary store beside --out, or in TMPDIR\n"
           "  --out CSV       written beside and renamed when complete; without it, standard output\n"
           "  --overwrite     --out may be there\n"
           "  --per segment   a line a segment (default)\n"
           "  --per recording a line a recording, with the mean of its segments\n"
           "\n"
           "Columns: store, recording, lead, subject, session, trial, stimulus, start_s (or segments:\n"
           "how many), label (where the store has the rating), probability (of class 1), answer (1\n"
           "above 0.5). Segments with missing samples, flat or clipped ones have no line; how many is\n"
           "said. A fold's test segments have the probabilities of its predictions.csv; with\n"
           "evaluation.prior=training those of its predictions.json.\n"
           "\n"
           "keys\n");
    for (int i = 0; (key = vg_wish_key(i)); i++) {
        const vg_schema_field *field = vg_schema_find(&vg_experiment_schema, key);
        const bool batch = !strcmp(key, "train.micro_batch");
        const bool own = !strncmp(key, "data.", 5) && strcmp(key, "data.memory_gib");
        printf("  %-22s %s%s%s\n", key, field->allowed, *field->allowed ? "  " : "",
               batch ? "Computed at once; fewer save memory" : field->help);
        if (own || batch || !strcmp(key, "evaluation.prior"))
            printf("  %-22s default: %s\n", "", batch ? "32" : "as the model was trained or judged");
    }
}

static vg_status take_rows(const char *text, vg_answer_rows *out)
{
    *out = VG_ROWS_SEGMENT;
    if (!strcmp(text, "segment")) return VG_OK;
    *out = VG_ROWS_RECORDING;
    if (!strcmp(text, "recording")) return VG_OK;
    return vg_fail(VG_ERR_CONFIG, "predict: --per '%s' cannot be; segment or recording", text);
}

static vg_status take_import_option(vg_words *list, request *r)
{
    if (!r->format)
        return vg_fail(
            VG_ERR_CONFIG,
            "predict: unknown option '--%s' (options of data import stand behind --import FORMAT); "
            "'vagus predict --help' lists them",
            list->name);
    if (r->import_count == MOST_IMPORT_OPTIONS)
        return vg_fail(VG_ERR_CONFIG, "predict: more than %d options for the import", MOST_IMPORT_OPTIONS);
    VG_TRY(vg_data_take_option(list));
    snprintf(r->import[r->import_count].name, sizeof r->import->name, "%s", list->name);
    r->import[r->import_count++].value = list->value;
    return VG_OK;
}

static vg_status take_word(vg_words *list, request *r)
{
    if (!strcmp(list->name, "help")) {
        r->help = true;
    } else if (!strcmp(list->name, "overwrite")) {
        r->overwrite = true;
    } else if (!strcmp(list->name, "model")) {
        VG_TRY(vg_words_take(list));
        r->model = list->value;
    } else if (!strcmp(list->name, "out")) {
        VG_TRY(vg_words_take(list));
        r->out = strcmp(list->value, "-") ? list->value : NULL;
    } else if (!strcmp(list->name, "per")) {
        VG_TRY(vg_words_take(list));
        return take_rows(list->value, &r->rows);
    } else if (!strcmp(list->name, "import")) {
        VG_TRY(vg_words_take(list));
        r->format = list->value;
    } else {
        return take_import_option(list, r);
    }
    return VG_OK;
}

static vg_status parse(int argc, char **argv, request *r)
{
    vg_words list = {.count = argc, .words = argv};
    while (vg_words_next(&list)) {
        if (list.name[0])
            VG_TRY(take_word(&list, r));
        else if (!strcmp(list.value, "-h"))
            r->help = true;
        else if (strchr(list.value, '=') && !vg_path_exists(list.value))
            VG_TRY(vg_wish_set(&r->wish, list.value));
        else
            argv[r->count++] = (char *)list.value; /* never ahead of what was read */
    }
    r->inputs = (const char *const *)argv;
    if (r->help || (r->model && r->count)) return VG_OK;
    return vg_fail(VG_ERR_CONFIG, "predict: %s 'vagus predict --help' shows how it is called",
                   r->model ? "which stores?" : "--model names a fine-tuned run.");
}

/* ---- Where the table goes ------------------------------------------------------------------------------ */

static bool same_file(const char *a, const char *b)
{
    struct stat one, two;
    return stat(a, &one) == 0 && stat(b, &two) == 0 && one.st_dev == two.st_dev && one.st_ino == two.st_ino;
}

/* Asked before anything is computed. */
static vg_status check_out(const request *r)
{
    struct stat info;
    vg_file_writer *trial;
    if (!r->out) return VG_OK;
    if (stat(r->out, &info) == 0 && !S_ISREG(info.st_mode))
        return vg_fail(VG_ERR_CONFIG,
                       "%s is no file that could be written anew; without --out the table goes to standard "
                       "output",
                       r->out);
    for (int i = 0; i < r->count; i++)
        if (same_file(r->out, r->inputs[i]))
            return vg_fail(VG_ERR_CONFIG, "%s is an input; choose another --out", r->out);
    if (!r->overwrite && vg_path_exists(r->out))
        return vg_fail(VG_ERR_IO, "%s is there already; --overwrite replaces it, or choose another --out",
                       r->out);
    VG_TRY(vg_file_writer_open(r->out, &trial));
    vg_file_writer_abandon(trial);
    return VG_OK;
}

/* ---- Recordings that are no store ---------------------------------------------------------------------- */

typedef struct temporary {
    char *folder, *store;
} temporary;

static void remove_temporary(temporary *t)
{
    if (t->folder && vg_folder_remove(t->folder) != VG_OK) vg_warn("%s", vg_cause());
    free(t->folder);
    free(t->store);
    *t = (temporary){0};
}

static vg_status make_temporary(const request *r, temporary *out)
{
    const char *place = getenv("TMPDIR");
    char *folder;
    if (r->out)
        VG_TRY(vg_path_folder(r->out, &folder));
    else
        VG_TRY(vg_path_join("", place && *place ? place : "/tmp", &folder));
    vg_status status = vg_path_join(folder, ".vagus-predict-XXXXXX", &out->folder);
    free(folder);
    VG_TRY(status);
    if (!mkdtemp(out->folder)) {
        status = vg_fail(VG_ERR_IO,
                         "%s: cannot be made for a temporary store; --out or TMPDIR names another "
                         "place",
                         out->folder);
        free(out->folder);
        out->folder = NULL;
        return status;
    }
    return vg_path_join(out->folder, "import.h5", &out->store);
}

/* The store is gone afterwards, so what it would tell later is told now. */
static void tell_import(const temporary *t, const vg_import_report *report)
{
    vg_store *store;
    const int64_t kept =
        report->warnings < VG_IMPORT_MAX_WARNINGS ? report->warnings : VG_IMPORT_MAX_WARNINGS;
    for (int64_t i = 0; i < kept; i++) vg_warn("%s", report->warning[i]);
    if (!report->excluded || vg_store_open(t->store, &store) != VG_OK) return;
    const int64_t count = vg_store_exclusion_count(store);
    for (int64_t i = 0; i < count && i < SHOWN_EXCLUSIONS; i++) {
        const vg_exclusion *one = vg_store_exclusion(store, i);
        vg_warn("left out: %s: %s", one->source, one->reason);
    }
    if (count > SHOWN_EXCLUSIONS) vg_warn("and %" PRId64 " more were left out", count - SHOWN_EXCLUSIONS);
    vg_store_close(store);
}

static vg_status import(const request *r, const vg_preprocessing *contract, temporary *t)
{
    vg_import_options options = vg_import_default_options();
    vg_import_report report;
    vg_place place;
    VG_TRY(vg_place_find(&place));
    if (place.size > 1)
        return vg_fail(VG_ERR_CONFIG, "predict: --import is for one rank; import into a store first, and "
                                      "several ranks share the work on it");
    vg_status status = vg_recipe_options(contract, &options);
    if (status != VG_OK) return vg_context(status, "no import gives data for this model");
    for (int i = 0; i < r->import_count; i++)
        VG_TRY(vg_import_set(&options, r->import[i].name, r->import[i].value));
    VG_TRY(make_temporary(r, t));
    status = vg_import(r->format, r->inputs, r->count, &options, t->store, false, &report);
    if (status == VG_OK) tell_import(t, &report);
    vg_import_report_free(&report);
    return status;
}

/* ---- All of it ----------------------------------------------------------------------------------------- */

static void to_console(vg_log_level level, const char *line, void *context)
{
    char text[2100];
    (void)context;
    if (level < VG_LOG_WARN && vg_console_has_progress()) return;
    snprintf(text, sizeof text, "%s%s",
             level == VG_LOG_ERROR  ? "vagus: error: "
             : level == VG_LOG_WARN ? "vagus: warning: "
                                    : "",
             line);
    vg_console_line(text);
}

static vg_status answer(request *r, const vg_fitted_list *models, const char *const *stores, int count,
                        const char *const *names)
{
    vg_machine machine;
    vg_answers answers = {0};
    int64_t positive = 0;
    VG_TRY(vg_machine_make(&r->wish.experiment, &machine));
    const bool writes = vg_machine_writes(&machine);
    if (writes) vg_log_set_sink(to_console, NULL);
    vg_machine_describe(&machine);
    vg_status status = vg_answers_make(models, &r->wish, stores, count, &machine, &answers);
    if (status == VG_OK && writes) {
        status = vg_answers_write(&answers, r->rows, names, r->out);
        for (int64_t i = 0; status == VG_OK && i < answers.corpus->segment_count; i++)
            positive += answers.probability[i] > 0.5;
        if (status == VG_OK)
            vg_info("%s%s%" PRId64 " segments, class 1 answered for %" PRId64 " of them",
                    r->out ? r->out : "", r->out ? ": " : "", answers.corpus->segment_count, positive);
    }
    vg_answers_free(&answers);
    if (writes) vg_log_set_sink(NULL, NULL);
    vg_machine_free(&machine, status);
    return status;
}

static vg_status run(request *r)
{
    vg_fitted_list models;
    temporary made = {0};
    vg_status status;
    VG_TRY(check_out(r));
    VG_TRY(vg_fitted_find(r->model, &models));
    const vg_fitted *first = &models.items[0];
    const char *const *stores = r->inputs;
    const int count = r->format ? 1 : r->count;
    VG_TRY_OUT(vg_wish_follow(&r->wish, first));
    if (r->format) {
        VG_TRY_OUT(import(r, &first->contract, &made));
        stores = (const char *const *)&made.store;
    }
    const char *const *names = r->format ? &r->format : stores;
    for (int i = 0; i < count; i++) VG_TRY_OUT(vg_wish_check(&r->wish, first, stores[i], names[i]));
    status = answer(r, &models, stores, count, names);
out:
    remove_temporary(&made);
    vg_fitted_free(&models);
    return status;
}

vg_status vg_command_predict(int argc, char **argv)
{
    request r = {0};
    VG_TRY(vg_wish_init(&r.wish));
    vg_status status = parse(argc, argv, &r);
    if (status == VG_OK && r.help) {
        print_help();
    } else if (status == VG_OK) {
        status = vg_signals_install();
        if (status == VG_OK) status = run(&r);
        vg_signals_uninstall();
    }
    vg_wish_free(&r.wish);
    return status;
}
