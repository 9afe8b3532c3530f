/* vagus data import */
#include <inttypes.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>

#include "core/signals.h"
#include "datasets/import/importer.h"
#include "experiments/runner/commands/data.h"
#include "experiments/runner/commands/words.h"

static void print_import_help(void)
{
    const char *name, *standard, *help, *reads;
    bool flag;
    printf("vagus data import FORMAT SOURCE... --out STORE [--overwrite] [options]\n\nformats\n");
    for (int i = 0; (name = vg_import_format(i, &reads)); i++) printf("  %-12s %s\n", name, reads);
    printf("\noptions\n");
    for (int i = 0; vg_import_option(i, &name, &standard, &help, &flag); i++) {
        char text[64];
        snprintf(text, sizeof text, "--%s%s%s", flag ? "[no-]" : "", name, flag ? "" : " X");
        for (char *c = text; *c; c++)
            if (*c == '_') *c = '-';
        printf("  %-16s %s%s%s%s\n", text, help, *standard ? " (" : "", standard, *standard ? ")" : "");
    }
    printf("\n--no-NAME is --NAME=false. In brackets is what holds unless you say otherwise.\n");
}

static bool is_flag(const char *wanted)
{
    const char *name, *standard, *help;
    bool flag;
    for (int i = 0; vg_import_option(i, &name, &standard, &help, &flag); i++) {
        if (strlen(name) != strlen(wanted)) continue;
        bool same = true;
        for (size_t k = 0; name[k]; k++)
            same = same && (name[k] == wanted[k] || (name[k] == '_' && wanted[k] == '-'));
        if (same) return flag;
    }
    return false;
}

vg_status vg_data_take_option(vg_words *list)
{
    if (strncmp(list->name, "no-", 3) == 0 && is_flag(list->name + 3)) {
        if (list->value)
            return vg_fail(VG_ERR_CONFIG, "--%s takes no value; --%s=true or --%s=false", list->name,
                           list->name + 3, list->name + 3);
        memmove(list->name, list->name + 3, strlen(list->name + 3) + 1);
        list->value = "false";
    }
    if (list->value || !is_flag(list->name)) return vg_words_take(list);
    const char *next = list->next < list->count ? list->words[list->next] : "";
    list->value = "true";
    if (strcmp(next, "true") != 0 && strcmp(next, "false") != 0) return VG_OK;
    list->next++;
    list->value = next;
    return VG_OK;
}

static const char *plural(int64_t count)
{
    return count == 1 ? "" : "s";
}

/* A recording is one lead; leads recorded together are one record, and what gave no lead is neither. */
static void print_report(const vg_import_report *report, const char *out)
{
    printf("%s: %" PRId64 " recording%s (one a lead) of %" PRId64 " record%s, %.2f h; %" PRId64 " of %" PRId64
           " leads left out, %" PRId64 " of %" PRId64 " records left out wholly; %" PRId64
           " window%s of 10 s blanked, %" PRId64 " gap%s bridged, %" PRId64 " upside down\n",
           out, report->recordings, plural(report->recordings), report->trials_used,
           plural(report->trials_used), report->seconds / 3600, report->excluded - report->unread,
           report->records, report->trials - report->trials_used, report->trials, report->windows_dropped,
           plural(report->windows_dropped), report->bridged, plural(report->bridged), report->upside_down);
    if (report->unread)
        printf("no lead was had from %" PRId64 " other file%s or part%s of them\n", report->unread,
               plural(report->unread), plural(report->unread));
    if (report->excluded) printf("'vagus data info %s' tells why\n", out);
}

vg_status vg_data_run_import(const char *format, const char *const *sources, int count,
                             const vg_import_options *options, const char *out, bool overwrite)
{
    vg_import_report report;
    VG_TRY(vg_signals_install());
    vg_status status = vg_import(format, sources, count, options, out, overwrite, &report);
    vg_signals_uninstall();
    int64_t kept = report.warnings < VG_IMPORT_MAX_WARNINGS ? report.warnings : VG_IMPORT_MAX_WARNINGS;
    for (int64_t i = 0; i < kept; i++) fprintf(stderr, "vagus: warning: %s\n", report.warning[i]);
    if (kept < report.warnings)
        fprintf(stderr, "vagus: and %" PRId64 " more warnings\n", report.warnings - kept);
    if (status == VG_OK) print_report(&report, out);
    vg_import_report_free(&report);
    return status;
}

vg_status vg_data_import(int argc, char **argv)
{
    vg_words list = {.count = argc, .words = argv};
    vg_import_options options = vg_import_default_options();
    const char *format = NULL, *out = NULL;
    int sources = 0;
    bool overwrite = false;
    while (vg_words_next(&list)) {
        if (!strcmp(list.name, "help")) {
            const char *about = format ? vg_importer_help(format) : NULL;
            if (about)
                printf("vagus data import %s SOURCE... --out STORE [options]\n\n%s\n"
                       "'vagus data import --help' lists the options.\n",
                       format, about);
            else
                print_import_help();
            return VG_OK;
        } else if (!strcmp(list.name, "overwrite")) {
            overwrite = true;
        } else if (!strcmp(list.name, "out")) {
            VG_TRY(vg_words_take(&list));
            out = list.value;
        } else if (list.name[0]) {
            VG_TRY(vg_data_take_option(&list));
            VG_TRY(vg_import_set(&options, list.name, list.value));
        } else if (!format) {
            format = list.value;
        } else {
            argv[sources++] = (char *)list.value; /* never ahead of what was read */
        }
    }
    if (!format || !sources || !out)
        return vg_fail(VG_ERR_CONFIG,
                       "data import needs a format, at least one source and --out STORE; 'vagus data import "
                       "--help' lists the formats");
    /* Arrays of a recording come and go; kept, they need not be brought in and cleared page by page each
     * time. */
    mallopt(M_MMAP_THRESHOLD, 32 << 20);
    mallopt(M_TRIM_THRESHOLD, 64 << 20);
    return vg_data_run_import(format, (const char *const *)argv, sources, &options, out, overwrite);
}
