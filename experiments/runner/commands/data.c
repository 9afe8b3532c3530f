/* vagus data import | synth | info */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/text.h"
#include "datasets/import/importer.h"
#include "datasets/store.h"
#include "datasets/summary.h"
#include "datasets/synthetic.h"
#include "experiments/runner/commands/command.h"

/* Walks over arguments: "--name value", "--name=value", "--flag", or a word. */
typedef struct argument_list {
    int count, next;
    char **words;
    char name[64];     /* of the option just read, without dashes; "" for a word */
    const char *value; /* its value, NULL for a flag or before take_value(); the word itself */
} argument_list;

static bool next_argument(argument_list *list)
{
    if (list->next == list->count) return false;
    const char *word = list->words[list->next++];
    list->name[0] = 0;
    list->value = word;
    if (strncmp(word, "--", 2)) return true;
    const char *equals = strchr(word, '=');
    size_t length = equals ? (size_t)(equals - word - 2) : strlen(word + 2);
    snprintf(list->name, sizeof list->name, "%.*s", (int)length, word + 2);
    list->value = equals ? equals + 1 : NULL;
    return true;
}

static vg_status take_value(argument_list *list)
{
    if (list->value) return VG_OK;
    if (list->next == list->count) return vg_fail(VG_ERR_CONFIG, "--%s needs a value", list->name);
    list->value = list->words[list->next++];
    return VG_OK;
}

/* ---- import ----------------------------------------------------------------------------------------------
 */

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

static void print_import_report(const vg_import_report *report, const char *out, bool done)
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

static vg_status data_import(int argc, char **argv)
{
    argument_list list = {.count = argc, .words = argv};
    vg_import_options options = vg_import_default_options();
    const char *format = NULL, *out = NULL;
    int sources = 0;
    bool overwrite = false;
    while (next_argument(&list)) {
        if (!strcmp(list.name, "help")) {
            print_import_help();
            return VG_OK;
        } else if (!strcmp(list.name, "overwrite")) {
            overwrite = true;
        } else if (!strcmp(list.name, "out")) {
            VG_TRY(take_value(&list));
            out = list.value;
        } else if (list.name[0]) {
            if (!list.value && is_flag(list.name))
                list.value = "true";
            else
                VG_TRY(take_value(&list));
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
    vg_import_report report;
    vg_status status =
        vg_import(format, (const char *const *)argv, sources, &options, out, overwrite, &report);
    print_import_report(&report, out, status == VG_OK);
    vg_import_report_free(&report);
    return status;
}

/* ---- synth -----------------------------------------------------------------------------------------------
 */

static const struct {
    const char *name;
    size_t offset;
    bool is_count;
    double low, high;
    const char *help;
} synthetic_options[] = {
#define COUNT(name, low, high, help)                                                                         \
    {                                                                                                        \
#name, offsetof(vg_synthetic_options, name), true, low, high, help                                   \
    }
#define NUMBER(name, low, high, help)                                                                        \
    {                                                                                                        \
#name, offsetof(vg_synthetic_options, name), false, low, high, help                                  \
    }
    COUNT(subjects, 1, 100000, "simulated subjects"),
    COUNT(recordings, 1, 1000, "of each subject, alternately calm and aroused"),
    NUMBER(seconds, 1, 1e6, "length of a recording"),
    NUMBER(rate, 50, 10000, "samples a second"),
    NUMBER(effect, 0, 10, "what the label changes: 1 is 15 beats a minute and half the variability"),
    NUMBER(noise_mv, 0, 10, "standard deviation of the noise, mV"),
    NUMBER(wander_mv, 0, 10, "amplitude of the baseline wander, mV"),
#undef COUNT
#undef NUMBER
};
enum { SYNTHETIC_OPTIONS = sizeof synthetic_options / sizeof *synthetic_options };

static vg_status set_synthetic(vg_synthetic_options *options, const char *name, const char *value)
{
    char *end;
    errno = 0;
    if (!strcmp(name, "seed")) {
        options->seed = strtoull(value, &end, 10);
        if (*end || end == value || errno || *value == '-')
            return vg_fail(VG_ERR_CONFIG, "--seed: '%s' is no whole number", value);
        return VG_OK;
    }
    for (int i = 0; i < SYNTHETIC_OPTIONS; i++) {
        char dashed[64];
        snprintf(dashed, sizeof dashed, "%s", synthetic_options[i].name);
        for (char *c = dashed; *c; c++)
            if (*c == '_') *c = '-';
        if (strcmp(name, synthetic_options[i].name) && strcmp(name, dashed)) continue;
        double number = strtod(value, &end);
        bool inside = !*end && end != value && number >= synthetic_options[i].low &&
                      number <= synthetic_options[i].high;
        if (!inside || (synthetic_options[i].is_count && number != floor(number)))
            return vg_fail(VG_ERR_CONFIG, "--%s: '%s' is not a %snumber from %g to %g", name, value,
                           synthetic_options[i].is_count ? "whole " : "", synthetic_options[i].low,
                           synthetic_options[i].high);
        char *field = (char *)options + synthetic_options[i].offset;
        int whole = (int)number;
        if (synthetic_options[i].is_count)
            memcpy(field, &whole, sizeof whole);
        else
            memcpy(field, &number, sizeof number);
        return VG_OK;
    }
    return vg_fail(VG_ERR_CONFIG, "data synth: unknown option '--%s'; 'vagus data synth --help' lists them",
                   name);
}

static void print_synthetic_help(void)
{
    printf("vagus data synth --out STORE [--overwrite] [options]\n\nWrites SYNTHETIC ECG: a model of the "
           "heart beat, good for "
           "trying the program, no person's recording.\n\noptions\n  --seed X         everything drawn "
           "depends on it\n");
    for (int i = 0; i < SYNTHETIC_OPTIONS; i++) {
        char text[64];
        snprintf(text, sizeof text, "--%s X", synthetic_options[i].name);
        for (char *c = text; *c; c++)
            if (*c == '_') *c = '-';
        printf("  %-16s %s\n", text, synthetic_options[i].help);
    }
    printf("  --no-label       without the rating synthetic_arousal\n");
}

static vg_status data_synth(int argc, char **argv)
{
    argument_list list = {.count = argc, .words = argv};
    vg_synthetic_options options = vg_synthetic_default_options();
    const char *out = NULL;
    bool overwrite = false;
    while (next_argument(&list)) {
        if (!strcmp(list.name, "help")) {
            print_synthetic_help();
            return VG_OK;
        } else if (!strcmp(list.name, "overwrite")) {
            overwrite = true;
        } else if (!strcmp(list.name, "no-label")) {
            options.label = false;
        } else if (!list.name[0]) {
            return vg_fail(VG_ERR_CONFIG, "data synth: '%s' is no option; the store's name goes after --out",
                           list.value);
        } else {
            VG_TRY(take_value(&list));
            if (!strcmp(list.name, "out"))
                out = list.value;
            else
                VG_TRY(set_synthetic(&options, list.name, list.value));
        }
    }
    if (!out) return vg_fail(VG_ERR_CONFIG, "data synth needs --out STORE");
    VG_TRY(vg_synthetic_write(&options, out, overwrite));
    printf("%s: SYNTHETIC ECG, %d subjects, %.2f h\n", out, options.subjects,
           options.subjects * options.recordings * options.seconds / 3600);
    return VG_OK;
}

/* ---- info ------------------------------------------------------------------------------------------------
 */

static vg_status data_info(int argc, char **argv)
{
    if (argc == 0 || !strcmp(argv[0], "--help")) {
        printf("vagus data info STORE...\n\nSubjects, hours, rates, preprocessing, ratings and what was left "
               "out.\n");
        return argc ? VG_OK : vg_fail(VG_ERR_CONFIG, "data info: which store?");
    }
    for (int i = 0; i < argc; i++) {
        vg_store *store;
        char *text;
        VG_TRY(vg_store_open(argv[i], &store));
        vg_status status = vg_store_summarise(store, &text);
        vg_store_close(store);
        VG_TRY(status);
        printf("%s%s", i ? "\n" : "", text);
        free(text);
    }
    return VG_OK;
}

vg_status vg_command_data(int argc, char **argv)
{
    static const struct {
        const char *name, *summary;
        vg_command_function run;
    } parts[] = {
        {"import", "recordings of a format into a store", data_import},
        {"synth", "synthetic ECG into a store", data_synth},
        {"info", "what a store holds", data_info},
    };
    enum { PARTS = sizeof parts / sizeof *parts };
    const char *name = argc ? argv[0] : "";
    for (int i = 0; i < PARTS; i++)
        if (!strcmp(name, parts[i].name)) return parts[i].run(argc - 1, argv + 1);
    bool help = !strcmp(name, "--help");
    for (int i = 0; i < PARTS; i++)
        fprintf(help ? stdout : stderr, "  vagus data %-10s %s\n", parts[i].name, parts[i].summary);
    return help ? VG_OK : vg_fail(VG_ERR_CONFIG, "data: there is no part '%s'", name);
}
