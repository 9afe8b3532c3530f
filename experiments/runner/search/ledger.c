#include "experiments/runner/search/ledger.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "core/file.h"
#include "core/json.h"
#include "core/log.h"

enum { LEDGER_LIMIT = 1 << 30 };

vg_status vg__trial_init(const vg_sweep *sweep, int64_t number, vg_trial *trial)
{
    *trial = (vg_trial){.number = number, .metric = NAN};
    trial->values = calloc((size_t)sweep->space.count + 1, sizeof *trial->values);
    if (!trial->values) return vg_fail(VG_ERR_MEMORY, "no memory for trial %lld", (long long)number);
    return VG_OK;
}

void vg__trial_free(vg_trial *trial)
{
    free(trial->values);
    free(trial->cause);
    memset(trial, 0, sizeof *trial);
}

int64_t vg__ledger_before(const vg_ledger *ledger, int64_t number)
{
    int64_t low = 0, high = ledger->count;
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        if (ledger->trials[middle].number < number)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

const vg_trial *vg__ledger_find(const vg_ledger *ledger, int64_t number)
{
    int64_t at = vg__ledger_before(ledger, number);
    return at < ledger->count && ledger->trials[at].number == number ? &ledger->trials[at] : NULL;
}

bool vg__trial_better(const vg_sweep *sweep, const vg_trial *a, const vg_trial *b)
{
    if (a->failed != b->failed) return b->failed;
    if (!a->failed && a->metric != b->metric)
        return sweep->maximize ? a->metric > b->metric : a->metric < b->metric;
    return a->number < b->number;
}

const vg_trial *vg__ledger_best(const vg_ledger *ledger)
{
    const vg_trial *best = NULL;
    for (int64_t i = 0; i < ledger->count; i++) {
        const vg_trial *trial = &ledger->trials[i];
        if (!trial->failed && (!best || vg__trial_better(ledger->sweep, trial, best))) best = trial;
    }
    return best;
}

/* Puts a trial in its place, or in that of its failed predecessor. Takes its memory, also on failure. */
static vg_status insert(vg_ledger *ledger, vg_trial *trial)
{
    int64_t at = vg__ledger_before(ledger, trial->number);
    if (at < ledger->count && ledger->trials[at].number == trial->number) {
        vg__trial_free(&ledger->trials[at]);
        ledger->trials[at] = *trial;
        memset(trial, 0, sizeof *trial);
        return VG_OK;
    }
    vg_trial *grown = realloc(ledger->trials, ((size_t)ledger->count + 1) * sizeof *grown);
    if (!grown) {
        vg__trial_free(trial);
        return vg_fail(VG_ERR_MEMORY, "no memory for trial %lld", (long long)ledger->count);
    }
    ledger->trials = grown;
    memmove(grown + at + 1, grown + at, (size_t)(ledger->count - at) * sizeof *grown);
    grown[at] = *trial;
    memset(trial, 0, sizeof *trial);
    ledger->count++;
    return VG_OK;
}

/* ---- Reading -------------------------------------------------------------------------------------- */

static vg_status status_named(const char *name)
{
#define NAMED(code, number, text)                                                                            \
    if (strcmp(name, #code) == 0) return VG_##code;
    VG_STATUS_MAP(NAMED)
#undef NAMED
    return VG_ERR_DATA; /* of a later version: a failure like any other */
}

static vg_status read_trial(const vg_ledger *ledger, const vg_json *line, const char *name, vg_trial *trial)
{
    const vg_sweep *sweep = ledger->sweep;
    const vg_json_value *values, *value;
    const char *state, *metric, *cause, *outcome;
    VG_TRY(vg_json_get_string(line, NULL, "state", &state));
    VG_TRY(vg_json_get_string(line, NULL, "metric", &metric));
    VG_TRY(vg_json_get_double(line, NULL, "value", &trial->metric));
    VG_TRY(vg_json_get_double(line, NULL, "seconds", &trial->seconds));
    VG_TRY(vg_json_get(line, NULL, "parameters", VG_JSON_OBJECT, &values));
    trial->failed = strcmp(state, "failed") == 0;
    if (!trial->failed && (strcmp(state, "finished") != 0 || !isfinite(trial->metric)))
        return vg_fail(VG_ERR_FORMAT, "%s: a trial is 'failed', or 'finished' with a value", name);
    if (trial->failed) {
        VG_TRY(vg_json_get_string(line, NULL, "status", &outcome));
        VG_TRY(vg_json_get_string(line, NULL, "cause", &cause));
        trial->outcome = status_named(outcome);
        if (!(trial->cause = strdup(cause))) return vg_fail(VG_ERR_MEMORY, "no memory to read %s", name);
    }
    if (strcmp(metric, sweep->metric) != 0)
        return vg_fail(VG_ERR_CONFIG,
                       "%s: this trial was judged by %s and %s asks for %s: choose another output_dir", name,
                       metric, sweep->path, sweep->metric);
    for (int i = 0; i < sweep->space.count; i++) {
        const char *key = sweep->space.parameters[i].key;
        const char *text = (value = vg_json_find(values, key)) ? vg_json_text(value) : NULL;
        if (!text || strlen(text) >= VG_SEARCH_VALUE_LENGTH)
            return vg_fail(VG_ERR_CONFIG,
                           "%s: this trial has no %s: %s was changed since; choose another output_dir", name,
                           key, sweep->path);
        memcpy(trial->values[i], text, strlen(text) + 1);
    }
    if (vg_json_count(values) != (size_t)sweep->space.count)
        return vg_fail(VG_ERR_CONFIG,
                       "%s: this trial has %zu parameters and %s has %d: choose another output_dir", name,
                       vg_json_count(values), sweep->path, sweep->space.count);
    return VG_OK;
}

static vg_status read_line(vg_ledger *ledger, const char *text, size_t length, const char *name)
{
    vg_json *line = NULL;
    vg_trial trial = {0};
    int64_t number = -1;
    vg_status status = VG_OK;
    VG_TRY_OUT(vg_json_parse(text, length, name, &line));
    VG_TRY_OUT(vg_json_get_int(line, NULL, "trial", &number));
    if (number < 0 || number > INT32_MAX) {
        status = vg_fail(VG_ERR_FORMAT, "%s: %lld is no number of a trial", name, (long long)number);
        goto out;
    }
    const vg_trial *earlier = vg__ledger_find(ledger, number);
    if (earlier && !earlier->failed) {
        status = vg_fail(VG_ERR_FORMAT, "%s: trial %lld stands in the ledger twice: remove one of the lines",
                         name, (long long)number);
        goto out;
    }
    VG_TRY_OUT(vg__trial_init(ledger->sweep, number, &trial));
    VG_TRY_OUT(read_trial(ledger, line, name, &trial));
    status = insert(ledger, &trial);
out:
    vg__trial_free(&trial);
    vg_json_destroy(line);
    return status;
}

/* Are these the values the sweep would try under that number? Since they are a function of the sweep file, a
 * difference means that the file was changed. */
static vg_status check_values(const vg_ledger *ledger, const vg_trial *trial)
{
    const vg_sweep *sweep = ledger->sweep;
    vg_trial now = {0};
    vg_status status = VG_OK;
    if (trial->number >= sweep->method->limit(sweep))
        return vg_fail(
            VG_ERR_CONFIG, "%s: holds a trial %lld and the grid of %s has %lld: choose another output_dir",
            ledger->path, (long long)trial->number, sweep->path, (long long)sweep->method->limit(sweep));
    VG_TRY(vg__trial_init(sweep, trial->number, &now));
    VG_TRY_OUT(sweep->method->next(sweep, ledger->trials, vg__ledger_before(ledger, trial->number),
                                   trial->number, now.values));
    for (int i = 0; i < sweep->space.count; i++) {
        if (strcmp(now.values[i], trial->values[i]) == 0) continue;
        status = vg_fail(VG_ERR_CONFIG,
                         "%s: trial %lld was run with %s=%s, but %s gives it %s now: the sweep was changed "
                         "since; choose another output_dir",
                         ledger->path, (long long)trial->number, sweep->space.parameters[i].key,
                         trial->values[i], sweep->path, now.values[i]);
        goto out;
    }
out:
    vg__trial_free(&now);
    return status;
}

static vg_status read_all(vg_ledger *ledger)
{
    char *bytes = NULL, name[64];
    size_t size = 0;
    int number = 1;
    vg_status status = VG_OK;
    VG_TRY_OUT(vg_file_read(ledger->path, LEDGER_LIMIT, &bytes, &size));
    size_t whole = size;
    while (whole && bytes[whole - 1] != '\n') whole--;
    if (whole < size) {
        vg_warn("%s: the last line was cut off and is dropped; its trial runs again", ledger->path);
        if (ftruncate(ledger->lock, (off_t)whole) != 0) {
            status = vg_fail(VG_ERR_IO, "cannot drop the unfinished last line of %s: %s", ledger->path,
                             strerror(errno));
            goto out;
        }
    }
    for (size_t at = 0; at < whole; number++) {
        size_t length = (size_t)((char *)memchr(bytes + at, '\n', whole - at) - (bytes + at));
        snprintf(name, sizeof name, "trials.jsonl:%d", number);
        status = read_line(ledger, bytes + at, length, name);
        if (status != VG_OK) {
            vg_context(status, "%s", ledger->sweep->output_dir);
            goto out;
        }
        at += length + 1;
    }
    for (int64_t i = 0; i < ledger->count; i++) VG_TRY_OUT(check_values(ledger, &ledger->trials[i]));
out:
    free(bytes);
    return status;
}

vg_status vg__ledger_open(const vg_sweep *sweep, vg_ledger *ledger)
{
    *ledger = (vg_ledger){.sweep = sweep, .lock = -1};
    VG_TRY(vg_folder_make(sweep->output_dir));
    VG_TRY(vg_path_join(sweep->output_dir, "trials.jsonl", &ledger->path));
    ledger->lock = open(ledger->path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (ledger->lock < 0) return vg_fail(VG_ERR_IO, "cannot open %s: %s", ledger->path, strerror(errno));
    if (flock(ledger->lock, LOCK_EX | LOCK_NB) != 0)
        return errno == EWOULDBLOCK
                   ? vg_fail(VG_ERR_CONFIG, "%s is in use: another process runs this sweep", ledger->path)
                   : vg_fail(VG_ERR_IO, "cannot lock %s: %s", ledger->path, strerror(errno));
    return read_all(ledger);
}

void vg__ledger_close(vg_ledger *ledger)
{
    for (int64_t i = 0; i < ledger->count; i++) vg__trial_free(&ledger->trials[i]);
    free(ledger->trials);
    free(ledger->path);
    if (ledger->lock >= 0) close(ledger->lock);
    *ledger = (vg_ledger){.lock = -1};
}

/* ---- Writing -------------------------------------------------------------------------------------- */

vg_status vg__ledger_add(vg_ledger *ledger, vg_trial *trial)
{
    const vg_sweep *sweep = ledger->sweep;
    vg_json_writer json = vg_json_writer_make(false);
    vg_json_begin_object(&json, NULL);
    vg_json_put_int(&json, "trial", trial->number);
    vg_json_put_string(&json, "state", trial->failed ? "failed" : "finished");
    vg_json_put_string(&json, "metric", sweep->metric);
    vg_json_put_double(&json, "value", trial->failed ? NAN : trial->metric);
    vg_json_put_double(&json, "seconds", trial->seconds);
    vg_json_begin_object(&json, "parameters");
    for (int i = 0; i < sweep->space.count; i++)
        vg_json_put_string(&json, sweep->space.parameters[i].key, trial->values[i]);
    vg_json_end(&json);
    if (trial->failed) {
        vg_json_put_string(&json, "status", vg_status_name(trial->outcome));
        vg_json_put_string(&json, "cause", trial->cause);
    }
    vg_json_end(&json);
    vg_status status = vg_json_append(&json, ledger->path);
    if (status == VG_OK && fsync(ledger->lock) != 0)
        status = vg_fail(VG_ERR_IO, "cannot bring %s to the disk: %s", ledger->path, strerror(errno));
    if (status == VG_OK) return insert(ledger, trial);
    vg__trial_free(trial);
    return status;
}
