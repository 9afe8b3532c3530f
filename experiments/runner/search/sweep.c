#include "experiments/runner/search/sweep.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/file.h"
#include "core/signals.h"
#include "core/text.h"
#include "core/yaml.h"
#include "experiments/runner/search/ledger.h"

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

/* ---- best.yaml ------------------------------------------------------------------------------------ */

/* The base's path as it will still be found from another folder. */
static vg_status absolute(const char *path, char **out)
{
    *out = realpath(path, NULL);
    return *out ? VG_OK : vg_fail(VG_ERR_IO, "cannot find %s any more", path);
}

/* Writes the best trial as an experiment that extends the base: `vagus pretrain best.yaml` repeats it. */
static vg_status write_best(const vg_ledger *ledger)
{
    const vg_sweep *sweep = ledger->sweep;
    const vg_trial *best = vg__ledger_best(ledger);
    vg_status status = VG_OK;
    vg_yaml *yaml = NULL;
    vg_text text = {0}, line = {0};
    char *base = NULL, *body = NULL, *path = NULL, number[VG_DOUBLE_TEXT];
    if (!best) return VG_OK;
    VG_TRY_OUT(absolute(sweep->experiment, &base));
    VG_TRY_OUT(vg_yaml_create(&yaml));
    for (int i = 0; i < sweep->space.count; i++) {
        vg_text_free(&line);
        line = (vg_text){0};
        vg_text_add(&line, "%s=%s", sweep->space.parameters[i].key, best->values[i]);
        VG_TRY_OUT(line.failed ? vg_fail(VG_ERR_MEMORY, "no memory to write the best configuration")
                               : vg_yaml_override(yaml, line.data));
    }
    VG_TRY_OUT(vg_yaml_print(vg_yaml_root(yaml), &body));
    vg_text_add(&text,
                "# The best trial so far: %lld, with %s = %s. Repeat it with\n#     vagus %s THIS_FILE "
                "output_dir=NEW_FOLDER\nextends: ",
                (long long)best->number, sweep->metric, vg_double_text(best->metric, number), sweep->command);
    vg_yaml_print_scalar(&text, base);
    vg_text_add(&text, "\n%s", body);
    if (text.failed) {
        status = vg_fail(VG_ERR_MEMORY, "no memory to write the best configuration");
        goto out;
    }
    VG_TRY_OUT(vg_path_join(sweep->output_dir, "best.yaml", &path));
    VG_TRY_OUT(vg_file_write(path, text.data, text.length));
out:
    vg_yaml_destroy(yaml);
    vg_text_free(&text);
    vg_text_free(&line);
    free(base);
    free(body);
    free(path);
    return status;
}

/* ---- What the user sees --------------------------------------------------------------------------- */

/* What the table sorts by: smaller first. */
typedef struct row {
    bool failed;
    double cost;
    const vg_trial *trial;
} row;

static int best_first(const void *left, const void *right)
{
    const row *a = left, *b = right;
    if (a->failed != b->failed) return a->failed ? 1 : -1;
    if (!a->failed && a->cost != b->cost) return a->cost < b->cost ? -1 : 1;
    return a->trial->number < b->trial->number ? -1 : 1;
}

static void print_number(char *text, size_t size, double value)
{
    snprintf(text, size, "%.6g", value);
}

/* What is the same in every trial is in the sweep file and not worth a column. */
static bool varies(const vg_search_parameter *parameter)
{
    return parameter->distribution != VG_DISTRIBUTION_CONSTANT;
}

/* Columns: rank, trial, metric, seconds, then a parameter each, wide enough for what stands in them. */
static vg_status print_table(const vg_ledger *ledger, FILE *out)
{
    const vg_sweep *sweep = ledger->sweep;
    int count = sweep->space.count, metric_width = (int)strlen(sweep->metric);
    row *rows = calloc((size_t)ledger->count + 1, sizeof *rows);
    int *widths = calloc((size_t)count + 1, sizeof *widths);
    char number[64];
    if (!rows || !widths) {
        free(rows);
        free(widths);
        return vg_fail(VG_ERR_MEMORY, "no memory for the table of %lld trials", (long long)ledger->count);
    }
    for (int64_t t = 0; t < ledger->count; t++) {
        const vg_trial *trial = &ledger->trials[t];
        rows[t] = (row){trial->failed, sweep->maximize ? -trial->metric : trial->metric, trial};
    }
    qsort(rows, (size_t)ledger->count, sizeof *rows, best_first);
    if (metric_width < 12) metric_width = 12;
    for (int i = 0; i < count; i++) {
        widths[i] = (int)strlen(sweep->space.parameters[i].key);
        for (int64_t t = 0; t < ledger->count; t++) {
            int width = (int)strlen(ledger->trials[t].values[i]);
            if (width > widths[i]) widths[i] = width;
        }
    }
    fprintf(out, "\n%5s  %5s  %*s  %8s", "rank", "trial", metric_width, sweep->metric, "seconds");
    for (int i = 0; i < count; i++)
        if (varies(&sweep->space.parameters[i]))
            fprintf(out, "  %*s", widths[i], sweep->space.parameters[i].key);
    fputc('\n', out);
    for (int64_t t = 0; t < ledger->count; t++) {
        const vg_trial *trial = rows[t].trial;
        if (trial->failed)
            fprintf(out, "%5s  %5lld  %*s", "-", (long long)trial->number, metric_width, "failed");
        else {
            print_number(number, sizeof number, trial->metric);
            fprintf(out, "%5lld  %5lld  %*s", (long long)t + 1, (long long)trial->number, metric_width,
                    number);
        }
        fprintf(out, "  %8.1f", trial->seconds);
        for (int i = 0; i < count; i++)
            if (varies(&sweep->space.parameters[i])) fprintf(out, "  %*s", widths[i], trial->values[i]);
        fputc('\n', out);
    }
    for (int64_t t = 0; t < ledger->count; t++)
        if (rows[t].failed)
            fprintf(out, "trial %lld failed: %s\n", (long long)rows[t].trial->number, rows[t].trial->cause);
    const vg_trial *best = vg__ledger_best(ledger);
    if (best) {
        print_number(number, sizeof number, best->metric);
        fprintf(out, "best: trial %lld, %s %s: %s/best.yaml\n", (long long)best->number, sweep->metric,
                number, sweep->output_dir);
    }
    fflush(out);
    free(rows);
    free(widths);
    return VG_OK;
}

static void print_start(const vg_sweep *sweep, const vg_trial *trial, int64_t total, FILE *out)
{
    if (!out) return;
    fprintf(out, "trial %lld (%lld of %lld):", (long long)trial->number, (long long)trial->number + 1,
            (long long)total);
    for (int i = 0; i < sweep->space.count; i++)
        if (varies(&sweep->space.parameters[i]))
            fprintf(out, " %s=%s", sweep->space.parameters[i].key, trial->values[i]);
    fputc('\n', out);
    fflush(out);
}

static void print_end(const vg_ledger *ledger, const vg_trial *trial, FILE *out)
{
    if (!out) return;
    const vg_sweep *sweep = ledger->sweep;
    const vg_trial *best = vg__ledger_best(ledger);
    char metric[64], record[64];
    if (trial->failed) {
        fprintf(out, "trial %lld failed after %.1f s: %s\n", (long long)trial->number, trial->seconds,
                trial->cause);
    } else {
        print_number(metric, sizeof metric, trial->metric);
        print_number(record, sizeof record, best->metric);
        fprintf(out, "trial %lld: %s %s in %.1f s (best %s, trial %lld)\n", (long long)trial->number,
                sweep->metric, metric, trial->seconds, record, (long long)best->number);
    }
    fflush(out);
}

/* ---- Running -------------------------------------------------------------------------------------- */

/* Runs one trial and enters it into the ledger. `first_failure` gets the status of the first that failed. */
static vg_status run_trial(vg_ledger *ledger, int64_t number, int64_t total, const char **keys,
                           const char **values, vg_trial_run run, void *context, FILE *out,
                           vg_status *first_failure)
{
    const vg_sweep *sweep = ledger->sweep;
    vg_trial trial = {0};
    char name[32], *folder = NULL;
    vg_status status = VG_OK, outcome;
    VG_TRY_OUT(vg__trial_init(sweep, number, &trial));
    VG_TRY_OUT(
        sweep->method->next(sweep, ledger->trials, vg__ledger_before(ledger, number), number, trial.values));
    snprintf(name, sizeof name, "trial-%04lld", (long long)number);
    VG_TRY_OUT(vg_path_join(sweep->output_dir, name, &folder));
    for (int i = 0; i < sweep->space.count; i++) {
        keys[i] = sweep->space.parameters[i].key;
        values[i] = trial.values[i];
    }
    print_start(sweep, &trial, total, out);
    double start = now();
    outcome = run(context, (int)number, keys, values, sweep->space.count, folder, &trial.metric);
    trial.seconds = now() - start;
    if (outcome == VG_ERR_PREEMPTED) {
        status = outcome;
        goto out;
    }
    if (outcome == VG_OK && !isfinite(trial.metric))
        outcome = vg_fail(VG_ERR_NUMERIC, "%s is %g, which cannot be compared", sweep->metric, trial.metric);
    if (outcome != VG_OK) {
        trial.failed = true;
        trial.outcome = outcome;
        VG_TRY_OUT(vg_text_copy(vg_cause(), &trial.cause));
        if (*first_failure == VG_OK) *first_failure = outcome;
    }
    VG_TRY_OUT(vg__ledger_add(ledger, &trial));
    print_end(ledger, vg__ledger_find(ledger, number), out);
    status = write_best(ledger);
out:
    vg__trial_free(&trial);
    free(folder);
    return status;
}

/* A trial that diverged would diverge again; one without its data, or on a full disk, may do better now. */
static bool worth_repeating(const vg_trial *over)
{
    return over->failed && over->outcome != VG_ERR_NUMERIC;
}

vg_status vg_sweep_run(const vg_sweep *sweep, vg_trial_run run, void *context, FILE *out)
{
    vg_ledger ledger;
    vg_status status = VG_OK, first_failure = VG_OK;
    int64_t total = vg_sweep_trial_count(sweep);
    const char **keys = calloc((size_t)sweep->space.count + 1, sizeof *keys);
    const char **values = calloc((size_t)sweep->space.count + 1, sizeof *values);
    VG_TRY_OUT(vg__ledger_open(sweep, &ledger));
    if (!keys || !values) {
        status = vg_fail(VG_ERR_MEMORY, "no memory for the sweep %s", sweep->path);
        goto out;
    }
    if (ledger.count && out)
        fprintf(out, "%s: %lld trials are in %s already\n", sweep->name, (long long)ledger.count,
                ledger.path);
    for (int64_t number = 0; number < total; number++) {
        const vg_trial *over = vg__ledger_find(&ledger, number);
        if (over && !worth_repeating(over)) continue;
        if (vg_stop_requested()) {
            status =
                vg_fail(VG_ERR_PREEMPTED, "stopped on request before trial %lld; the same command goes on",
                        (long long)number);
            goto out;
        }
        VG_TRY_OUT(run_trial(&ledger, number, total, keys, values, run, context, out, &first_failure));
    }
    VG_TRY_OUT(write_best(&ledger)); /* a process killed after its last line had not written it yet */
    if (out) VG_TRY_OUT(print_table(&ledger, out));
    if (!vg__ledger_best(&ledger))
        status = vg_fail(first_failure != VG_OK ? first_failure : VG_ERR_DATA,
                         "every trial of %s failed, the first with: %s", sweep->path, ledger.trials[0].cause);
out:
    vg__ledger_close(&ledger);
    free(keys);
    free(values);
    return status;
}
