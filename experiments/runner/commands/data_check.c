/* vagus data check: is this ECG, and a usable one? Of stores, or of recordings in any format, which are
 * imported for it without being changed or left out, into a file that is gone before the command ends. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/file.h"
#include "core/signals.h"
#include "datasets/check/check.h"
#include "datasets/import/importer.h"
#include "experiments/runner/commands/data.h"
#include "experiments/runner/commands/words.h"

enum { SHOWN = 40 };

typedef struct wish {
    const char *format; /* NULL: the sources are stores */
    const char *const *sources;
    int count;
    const char *html;
    bool json, all;
    vg_import_options import;
    double min_quality;
} wish;

static void print_help(void)
{
    printf(
        "vagus data check STORE... [options]\n"
        "vagus data check FORMAT SOURCE... [options of data import] [options]\n\n"
        "A line for each recording, the worst first: beats, heart rate, quality index (0 to 1), share of "
        "bad\n"
        "windows, direction of the QRS, verdict and reason; which recordings are upside down; and where the\n"
        "recorder's filter changed between recordings of one person.\n\n"
        "  --html PAGE.html     a page with strips of the worst and of typical recordings\n"
        "  --json               everything as JSON instead of the table\n"
        "  --all                every recording, not only the first %d lines, and all that was left out at "
        "import\n"
        "  --min-quality X      unusable below this index (%g)\n",
        SHOWN, vg_import_default_options().min_quality);
}

static bool is_format(const char *word)
{
    const char *name;
    for (int i = 0; (name = vg_import_format(i, NULL)); i++)
        if (!strcmp(name, word)) return true;
    return false;
}

/* A store of the sources as they are: no filter, nothing left out for its quality. */
static vg_status import_sources(const wish *request, vg_store **store)
{
    const char *place = getenv("TMPDIR");
    char folder[4096], path[4200];
    vg_import_report report;
    vg_import_options options = request->import;
    options.order = 0;
    options.min_seconds = 0;
    options.keep = "all";
    options.drop_bad = options.flip = false;
    *store = NULL;
    snprintf(folder, sizeof folder, "%s/vagus-check-XXXXXX", place && *place ? place : "/tmp");
    if (!mkdtemp(folder))
        return vg_fail(VG_ERR_IO, "%s: cannot be made for a temporary store; TMPDIR names another place",
                       folder);
    snprintf(path, sizeof path, "%s/check.h5", folder);
    vg_status status = vg_signals_install();
    report = (vg_import_report){0};
    if (status == VG_OK)
        status = vg_import(request->format, request->sources, request->count, &options, path, false, &report);
    vg_signals_uninstall();
    if (status == VG_OK) status = vg_store_open(path, store);
    /* The open store outlives its name, so nothing is left behind however the command ends. */
    unlink(path);
    rmdir(folder);
    vg_import_report_free(&report);
    return status;
}

static vg_status show(const wish *request, const vg_check *check)
{
    char *text;
    if (request->html) {
        VG_TRY(vg_check_page(check, &text));
        vg_status status = vg_file_write(request->html, text, strlen(text));
        free(text);
        VG_TRY(status);
    }
    if (request->json) {
        vg_json_writer json = vg_json_writer_make(true);
        vg_check_put(check, &json);
        VG_TRY(vg_json_print(&json));
    } else {
        vg_text table = {0};
        vg_check_print(check, request->all ? 0 : SHOWN, &table);
        VG_TRY(vg_text_take(&table, &text));
        fputs(text, stdout);
        free(text);
    }
    if (request->html) fprintf(stderr, "vagus: wrote %s\n", request->html);
    return VG_OK;
}

static vg_status run(const wish *request)
{
    vg_status status = VG_OK;
    int opened = 0, count = request->format ? 1 : request->count;
    vg_check *check = NULL;
    vg_store **stores = calloc((size_t)count, sizeof *stores);
    if (!stores) return vg_fail(VG_ERR_MEMORY, "no memory for %d stores", count);
    for (; opened < count; opened++) {
        if (request->format)
            VG_TRY_OUT(import_sources(request, &stores[opened]));
        else
            VG_TRY_OUT(vg_store_open(request->sources[opened], &stores[opened]));
    }
    VG_TRY_OUT(vg_check_create(stores, count, request->min_quality, &check));
    status = show(request, check);
out:
    vg_check_destroy(check);
    for (int i = 0; i < opened; i++) vg_store_close(stores[i]);
    free(stores);
    return status;
}

vg_status vg_data_check(int argc, char **argv)
{
    vg_words list = {.count = argc, .words = argv};
    wish request = {.import = vg_import_default_options()};
    request.import.rate = 250; /* fine enough for strips; quality is measured before */
    int sources = 0;
    while (vg_words_next(&list)) {
        if (!strcmp(list.name, "help")) {
            print_help();
            return VG_OK;
        } else if (!strcmp(list.name, "json")) {
            request.json = true;
        } else if (!strcmp(list.name, "all")) {
            request.all = true;
        } else if (!strcmp(list.name, "html")) {
            VG_TRY(vg_words_take(&list));
            request.html = list.value;
        } else if (list.name[0]) {
            VG_TRY(vg_data_take_option(&list));
            VG_TRY(vg_import_set(&request.import, list.name, list.value));
        } else if (!request.format && !sources && is_format(list.value)) {
            request.format = list.value;
        } else {
            argv[sources++] = (char *)list.value; /* never ahead of what was read */
        }
    }
    if (!sources)
        return vg_fail(VG_ERR_CONFIG,
                       "data check: which store? Or a format and its sources; 'vagus data check "
                       "--help' shows how it is called");
    request.sources = (const char *const *)argv;
    request.count = sources;
    request.min_quality = request.import.min_quality;
    return run(&request);
}
