/* vagus data import */
#include <inttypes.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>

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
        snprintf(text, sizeof text, "--%s%s", name, flag ? "" : " X");
        for (char *c = text; *c; c++)
            if (*c == '_') *c = '-';
        printf("  %-16s %s%s%s%s\n", text, help, *standard ? " (" : "", standard, *standard ? ")" : "");
    }
}

bool vg_data_is_flag(const char *wanted)
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

void vg_data_print_report(const vg_import_report *report, const char *out, bool done)
{
    int64_t kept = report->warnings < VG_IMPORT_MAX_WARNINGS ? report->warnings : VG_IMPORT_MAX_WARNINGS;
    for (int64_t i = 0; i < kept; i++) fprintf(stderr, "vagus: warning: %s\n", report->warning[i]);
    if (kept < report->warnings)
        fprintf(stderr, "vagus: and %" PRId64 " more warnings\n", report->warnings - kept);
    if (!done) return;
    printf("%s: %" PRId64 " recordings, %.2f h; %" PRId64 " of %" PRId64 " records left out, %" PRId64
           " windows of 10 s blanked, %" PRId64 " upside down\n",
           out, report->recordings, report->seconds / 3600, report->excluded, report->records,
           report->windows_dropped, report->upside_down);
    if (report->excluded) printf("'vagus data info %s' tells why\n", out);
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
            print_import_help();
            return VG_OK;
        } else if (!strcmp(list.name, "overwrite")) {
            overwrite = true;
        } else if (!strcmp(list.name, "out")) {
            VG_TRY(vg_words_take(&list));
            out = list.value;
        } else if (list.name[0]) {
            if (!list.value && vg_data_is_flag(list.name))
                list.value = "true";
            else
                VG_TRY(vg_words_take(&list));
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
    vg_import_report report;
    vg_status status =
        vg_import(format, (const char *const *)argv, sources, &options, out, overwrite, &report);
    vg_data_print_report(&report, out, status == VG_OK);
    vg_import_report_free(&report);
    return status;
}
