/* vagus data fetch */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/file.h"
#include "core/log.h"
#include "core/progress.h"
#include "core/signals.h"
#include "core/text.h"
#include "datasets/catalogue/fetch.h"
#include "experiments/runner/commands/data.h"
#include "experiments/runner/commands/words.h"

static void print_fetch_help(void)
{
    vg_download_options standard = vg_download_default_options();
    printf(
        "vagus data fetch NAME [options]\n\n"
        "Downloads a data set of the catalogue ('vagus data list'), checks every file against the published\n"
        "checksums and imports it. What is complete is not fetched again; an interrupted download goes "
        "on.\n\n"
        "  --to FOLDER      where the files go (data/NAME)\n"
        "  --from FOLDER    files that you have: nothing is fetched, they are imported as the catalogue "
        "says\n"
        "  --only PATTERNS  only files of these names ('Subject0* Subject1*'), for a part of the set\n"
        "  --mirror URL     another server that holds the same folders (or VAGUS_MIRROR), also "
        "file:///FOLDER;\n"
        "                   PhysioNet's own copy: https://physionet-open.s3.amazonaws.com\n"
        "  --no-import      only download\n"
        "  --out STORE      the store (the folder's name and .h5)\n"
        "  --overwrite      replace the store\n"
        "  --at-once N      files at once, 1 to 16 (%d)\n"
        "  --attempts N     without a new byte, before a file is given up (%d)\n"
        "  --pause S        seconds before the second attempt; doubles (%g)\n"
        "  --silence S      seconds without a byte after which a connection is given up (%g)\n"
        "  and the options of 'vagus data import', which go before those of the catalogue\n\n"
        "Proxies are taken from https_proxy, http_proxy and no_proxy.\n",
        standard.at_once, standard.attempts, standard.pause, standard.silence);
}

static void line_sink(vg_log_level level, const char *line, void *context)
{
    (void)context;
    char text[2048];
    if (level < VG_LOG_INFO || vg_console_has_progress()) return;
    snprintf(text, sizeof text, "%s%s",
             level == VG_LOG_WARN    ? "vagus: warning: "
             : level == VG_LOG_ERROR ? "vagus: error: "
                                     : "",
             line);
    vg_console_line(text);
}

typedef struct request {
    const char *name, *to, *from, *out;
    bool import, overwrite;
    vg_fetch_options fetch;
    int option_count; /* of the importer, given on the command line */
    const char **option, **value;
} request;

static vg_status take_number(vg_words *list, double low, double high, double *out)
{
    char *end;
    VG_TRY(vg_words_take(list));
    double value = strtod(list->value, &end);
    if (*end || end == list->value || !(value >= low && value <= high))
        return vg_fail(VG_ERR_CONFIG, "--%s: '%s' is no number from %g to %g", list->name, list->value, low,
                       high);
    *out = value;
    return VG_OK;
}

static vg_status read_option(vg_words *list, request *r)
{
    const struct {
        const char *name, **value;
    } texts[] = {{"to", &r->to},
                 {"from", &r->from},
                 {"only", &r->fetch.only},
                 {"mirror", &r->fetch.mirror},
                 {"out", &r->out}};
    double number = 0;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (!strcmp(list->name, texts[i].name)) {
            VG_TRY(vg_words_take(list));
            *texts[i].value = list->value;
            return VG_OK;
        }
    if (!strcmp(list->name, "no-import")) {
        r->import = false;
    } else if (!strcmp(list->name, "overwrite")) {
        r->overwrite = true;
    } else if (!strcmp(list->name, "at-once")) {
        VG_TRY(take_number(list, 1, 16, &number));
        r->fetch.download.at_once = (int)number;
    } else if (!strcmp(list->name, "attempts")) {
        VG_TRY(take_number(list, 1, 1000, &number));
        r->fetch.download.attempts = (int)number;
    } else if (!strcmp(list->name, "pause")) {
        VG_TRY(take_number(list, 0, 3600, &r->fetch.download.pause));
    } else if (!strcmp(list->name, "silence")) {
        VG_TRY(take_number(list, 1, 3600, &r->fetch.download.silence));
    } else {
        vg_import_options trial = vg_import_default_options();
        VG_TRY(vg_data_take_option(list));
        VG_TRY(vg_import_set(&trial, list->name, list->value));
        char *name;
        VG_TRY(vg_text_copy(list->name, &name));
        r->option[r->option_count] = name;
        r->value[r->option_count++] = list->value;
    }
    return VG_OK;
}

static vg_status import(const request *r, const vg_dataset *set, const char *folder, const char *out)
{
    vg_dataset_plan plan;
    VG_TRY(vg_dataset_plan_make(set, folder, &plan));
    vg_status status = VG_OK;
    for (int i = 0; i < r->option_count && status == VG_OK; i++)
        status = vg_import_set(&plan.options, r->option[i], r->value[i]);
    if (status == VG_OK)
        status = vg_data_run_import(set->importer, &folder, 1, &plan.options, out, r->overwrite);
    vg_dataset_plan_free(&plan);
    if (status != VG_OK) return status;
    printf("Labels: %s\nLicence: %s\nCite: %s\n", set->labels, set->licence, set->citation);
    return VG_OK;
}

static vg_status fetch(request *r, const vg_dataset *set, const char *folder)
{
    vg_download_report report;
    const char *mirror = getenv("VAGUS_MIRROR");
    if (!r->fetch.mirror && mirror && *mirror) r->fetch.mirror = mirror;
    vg_log_set_sink(line_sink, NULL);
    VG_TRY(vg_signals_install());
    vg_status status = vg_dataset_fetch(set, folder, &r->fetch, &report);
    vg_signals_uninstall();
    vg_log_set_sink(NULL, NULL);
    if (status == VG_ERR_IO && set->base) {
        char cause[2048];
        snprintf(cause, sizeof cause, "%s", vg_cause());
        return vg_fail(status, "%s. With files that you have: vagus data fetch %s --from FOLDER", cause,
                       set->name);
    }
    VG_TRY(status);
    printf("%s: %" PRId64 " files fetched (%.1f MB), %" PRId64 " were there; all have their checksums\n",
           folder, report.fetched, (double)report.bytes / 1e6, report.present);
    return VG_OK;
}

/* A store is called as its folder is, so "." and "x/.." are looked up; what has no name is called as the set.
 */
static vg_status name_store(const request *r, const char *folder, char **out)
{
    const char *slash = strrchr(folder, '/'), *name = slash ? slash + 1 : folder;
    vg_text text = {0};
    char *whole = !*name || !strcmp(name, ".") || !strcmp(name, "..") ? realpath(folder, NULL) : NULL;
    const bool root = whole ? !strcmp(whole, "/") : !*name;
    vg_text_add(&text, "%s.h5", root ? r->name : whole ? whole : folder);
    free(whole);
    return vg_text_take(&text, out);
}

/* "data/NAME", and "FOLDER.h5" for the folder without slashes at its end. */
static vg_status choose_places(const request *r, char **folder, char **out)
{
    vg_text text = {0};
    if (r->to || r->from)
        vg_text_add(&text, "%s", r->from ? r->from : r->to);
    else
        vg_text_add(&text, "data/%s", r->name);
    while (text.length > 1 && text.data[text.length - 1] == '/') text.data[--text.length] = 0;
    VG_TRY(vg_text_take(&text, folder));
    if (!r->out) return name_store(r, *folder, out);
    vg_text_add(&text, "%s", r->out);
    return vg_text_take(&text, out);
}

vg_status vg_data_fetch(int argc, char **argv)
{
    vg_words list = {.count = argc, .words = argv};
    request r = {.import = true, .fetch.download = vg_download_default_options()};
    const vg_dataset *set;
    char *folder = NULL, *out = NULL;
    vg_status status = VG_OK;
    r.option = calloc((size_t)argc + 1, sizeof *r.option);
    r.value = calloc((size_t)argc + 1, sizeof *r.value);
    if (!r.option || !r.value) {
        status = vg_fail(VG_ERR_MEMORY, "no memory for the command line");
        goto out;
    }
    while (vg_words_next(&list)) {
        if (!strcmp(list.name, "help")) {
            print_fetch_help();
            goto out;
        } else if (list.name[0]) {
            VG_TRY_OUT(read_option(&list, &r));
        } else if (!r.name) {
            r.name = list.value;
        } else {
            status = vg_fail(VG_ERR_CONFIG, "data fetch takes one name; '%s' is a second", list.value);
            goto out;
        }
    }
    if (!r.name || (r.to && r.from)) {
        status = vg_fail(VG_ERR_CONFIG, "data fetch needs %s; 'vagus data fetch --help' tells more",
                         r.name ? "--to or --from, not both" : "a name, and 'vagus data list' shows them");
        goto out;
    }
    VG_TRY_OUT(vg_dataset_find(r.name, &set));
    VG_TRY_OUT(choose_places(&r, &folder, &out));
    if (r.import && !r.overwrite && vg_path_exists(out)) {
        status = vg_fail(
            VG_ERR_CONFIG,
            "%s exists; --overwrite replaces it, --out names another, --no-import only downloads", out);
        goto out;
    }
    if (!r.from) VG_TRY_OUT(fetch(&r, set, folder));
    if (r.import)
        status = import(&r, set, folder, out);
    else
        printf("To import it: vagus data fetch %s --from %s --out %s\n", r.name, folder, out);
out:
    for (int i = 0; i < r.option_count; i++) free((char *)r.option[i]);
    free(r.option);
    free(r.value);
    free(folder);
    free(out);
    return status;
}
