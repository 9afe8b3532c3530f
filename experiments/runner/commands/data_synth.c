/* vagus data synth */
#include <errno.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "datasets/synthetic.h"
#include "experiments/runner/commands/data.h"
#include "experiments/runner/commands/words.h"

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

vg_status vg_data_synth(int argc, char **argv)
{
    vg_words list = {.count = argc, .words = argv};
    vg_synthetic_options options = vg_synthetic_default_options();
    const char *out = NULL;
    bool overwrite = false;
    while (vg_words_next(&list)) {
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
            VG_TRY(vg_words_take(&list));
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
