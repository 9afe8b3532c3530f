#include "datasets/check/check.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "datasets/signal/leads.h"
#include "datasets/signal/numbers.h"

static const double GAP_FAR_DB = 12, GAP_ABOVE_DB = 6, SAME_UPPER_DB = 3;

bool vg_verdict_usable(vg_verdict verdict)
{
    return verdict == VG_VERDICT_GOOD || verdict == VG_VERDICT_UPSIDE_DOWN;
}

/* Where our features stand among the store's columns; false when one is missing. */
static bool find_columns(const vg_store *store, int column[VG_FEATURE_COUNT])
{
    for (int k = 0; k < VG_FEATURE_COUNT; k++) {
        column[k] = -1;
        for (int c = 0; c < vg_store_feature_count(store); c++)
            if (strcmp(vg_store_feature_name(store, c), vg_feature_names()[k]) == 0) column[k] = c;
        if (column[k] < 0) return false;
    }
    return true;
}

/* What was kept at import; false when the recording was not measured then. */
static bool take_features(const vg_store *store, const int *column, vg_check_line *line)
{
    double values[VG_FEATURE_COUNT];
    bool any = false;
    for (int k = 0; k < VG_FEATURE_COUNT; k++) {
        values[k] = vg_store_features(store, line->recording)[column[k]];
        any = any || !isnan(values[k]);
    }
    if (any) vg_features_unpack(values, &line->hrv, &line->quality);
    return any;
}

static vg_status measure_samples(vg_store *store, vg_check_line *line)
{
    vg_status status = VG_OK;
    vg_rpeaks peaks = {0};
    double rate = vg_store_get_info(store)->rate;
    int64_t n = vg_store_recording(store, line->recording)->length;
    vg_quality_options options = vg_quality_default_options();
    float *samples = malloc((size_t)n * sizeof *samples);
    double *x = malloc((size_t)n * sizeof *x);
    line->measured_now = true;
    if (!samples || !x) {
        status =
            vg_fail(VG_ERR_MEMORY, "%s: no memory to check %lld samples", vg_store_path(store), (long long)n);
        goto out;
    }
    VG_TRY_OUT(vg_store_read(store, line->recording, 0, n, samples));
    for (int64_t i = 0; i < n; i++) x[i] = (double)samples[i];
    status = vg_quality_measure_beats(x, n, rate, &options, &line->quality, &peaks);
    if (status == VG_ERR_DATA) status = VG_OK; /* nothing long enough to be filtered: no beats then */
    if (status == VG_OK) status = vg_hrv_measure(peaks.position, peaks.count, rate, &line->hrv);
out:
    vg_rpeaks_free(&peaks);
    free(samples);
    free(x);
    return status;
}

static void judge(const vg_check *check, vg_check_line *line)
{
    line->verdict = vg_quality_judge(&line->quality, check->min_quality, line->why, sizeof line->why);
    if (line->verdict != VG_VERDICT_UPSIDE_DOWN || !vg_lead_points_down(line->lead)) return;
    line->verdict = VG_VERDICT_GOOD;
    snprintf(line->why, sizeof line->why, "signal quality %.2f; it points down, as %s does",
             line->quality.index, line->lead);
}

static vg_status check_store(vg_check *check, int index)
{
    vg_store *store = check->stores[index];
    const vg_store_info *info = vg_store_get_info(store);
    int column[VG_FEATURE_COUNT];
    bool measured = find_columns(store, column);
    if (info->rate < 60)
        return vg_fail(VG_ERR_DATA, "%s: sampled at %g Hz; an ECG needs 60 Hz to be checked",
                       vg_store_path(store), info->rate);
    for (int64_t i = 0; i < vg_store_recording_count(store); i++) {
        const vg_recording *r = vg_store_recording(store, i);
        const char *slash = strrchr(r->source, '/');
        vg_check_line *line = &check->line[check->count];
        *line = (vg_check_line){.store = index,
                                .recording = i,
                                .subject = r->subject,
                                .session = r->session,
                                .trial = r->trial,
                                .lead = r->lead,
                                .file = slash ? slash + 1 : r->source,
                                .seconds = (double)r->length / info->rate};
        if (!measured || !take_features(store, column, line)) VG_TRY(measure_samples(store, line));
        judge(check, line);
        check->count++;
    }
    return VG_OK;
}

/* Unusable ones, then upside down, then good; within these by the index. */
static int by_badness(const void *left, const void *right)
{
    const vg_check_line *a = left, *b = right;
    int class_a = a->verdict == VG_VERDICT_GOOD ? 2 : a->verdict == VG_VERDICT_UPSIDE_DOWN,
        class_b = b->verdict == VG_VERDICT_GOOD ? 2 : b->verdict == VG_VERDICT_UPSIDE_DOWN;
    double qa = a->quality.index, qb = b->quality.index;
    if (class_a != class_b) return class_a - class_b;
    if (qa != qb) return (qa > qb) - (qa < qb);
    if (a->store != b->store) return a->store - b->store;
    return (a->recording > b->recording) - (a->recording < b->recording);
}

/* ---- Changes of the recorder's filter ---------------------------------------------------------------- */

/* A recording among those of its person and lead. */
typedef struct place {
    const vg_check_line *line;
    double level; /* of the band above 50 Hz that is compared; NaN: leave it out */
    bool far;
} place;

static int by_person(const void *left, const void *right)
{
    const place *a = left, *b = right;
    int order = a->line->store - b->line->store;
    if (!order) order = strcmp(a->line->subject, b->line->subject);
    if (!order) order = strcmp(a->line->lead, b->line->lead);
    if (!order) order = a->far - b->far;
    if (!order) order = (a->level > b->level) - (a->level < b->level);
    if (!order) order = (a->line->recording > b->line->recording) - (a->line->recording < b->line->recording);
    return order;
}

static bool same_person(const place *a, const place *b)
{
    return a->line->store == b->line->store && a->far == b->far &&
           strcmp(a->line->subject, b->line->subject) == 0 && strcmp(a->line->lead, b->line->lead) == 0;
}

static double median_upper(const place *places, int64_t n, double *work)
{
    for (int64_t i = 0; i < n; i++) work[i] = places[i].line->quality.upper_db;
    return vg__select(work, n, n / 2);
}

/* Looks at the widest gap among the n recordings of one person, which stand in the order of their level. */
static bool find_gap(const place *places, int64_t n, double *work, vg_check_change *change)
{
    int64_t at = 0;
    double widest = 0;
    for (int64_t i = 1; i < n; i++) {
        if (places[i].level - places[i - 1].level <= widest) continue;
        widest = places[i].level - places[i - 1].level;
        at = i;
    }
    if (at == 0 || widest < (places[0].far ? GAP_FAR_DB : GAP_ABOVE_DB)) return false;
    double low = median_upper(places, at, work), high = median_upper(places + at, n - at, work);
    if (!(fabs(high - low) <= SAME_UPPER_DB)) return false;
    *change = (vg_check_change){.subject = places[0].line->subject,
                                .lead = places[0].line->lead,
                                .count = n,
                                .low = at,
                                .decibels = widest};
    return true;
}

/* Usable recordings of known people and leads, whose spectrum was measured before any filter of ours. */
static bool comparable(const vg_check *check, const vg_check_line *line)
{
    const vg_store_info *info = vg_store_get_info(check->stores[line->store]);
    bool filtered = strcmp(info->filter, "none") != 0 && info->filter_high > 0;
    return *line->subject && *line->lead && vg_verdict_usable(line->verdict) &&
           !(line->measured_now && filtered) && isfinite(line->quality.upper_db);
}

static vg_status find_changes(vg_check *check)
{
    vg_status status = VG_OK;
    int64_t n = 0, room = check->count + 1;
    place *places = malloc((size_t)room * sizeof *places);
    double *work = malloc((size_t)room * sizeof *work);
    check->order = malloc((size_t)room * sizeof *check->order);
    check->change = malloc((size_t)room * sizeof *check->change);
    if (!places || !work || !check->order || !check->change) {
        status = vg_fail(VG_ERR_MEMORY, "no memory to compare %lld recordings", (long long)check->count);
        goto out;
    }
    for (int64_t i = 0; i < check->count; i++) {
        const vg_check_line *line = &check->line[i];
        bool far = isfinite(line->quality.far_db);
        double level = far ? line->quality.far_db : line->quality.above_db;
        if (comparable(check, line) && isfinite(level)) places[n++] = (place){line, level, far};
    }
    qsort(places, (size_t)n, sizeof *places, by_person);
    for (int64_t i = 0; i < n; i++) check->order[i] = places[i].line - check->line;
    for (int64_t i = 0, end; i < n; i = end) {
        for (end = i + 1; end < n && same_person(&places[i], &places[end]);) end++;
        vg_check_change *change = &check->change[check->change_count];
        if (!find_gap(places + i, end - i, work, change)) continue;
        change->first = i;
        check->change_count++;
    }
out:
    free(places);
    free(work);
    return status;
}

/* ---- All of it ----------------------------------------------------------------------------------------- */

vg_status vg_check_create(vg_store *const *stores, int count, double min_quality, vg_check **out)
{
    vg_status status = VG_OK;
    int64_t recordings = 0;
    *out = NULL;
    for (int i = 0; i < count; i++) recordings += vg_store_recording_count(stores[i]);
    vg_check *check = calloc(1, sizeof *check);
    if (check) {
        *check = (vg_check){.stores = stores, .store_count = count, .min_quality = min_quality};
        check->line = malloc((size_t)(recordings + 1) * sizeof *check->line);
    }
    if (!check || !check->line) {
        status = vg_fail(VG_ERR_MEMORY, "no memory to check %lld recordings", (long long)recordings);
        goto out;
    }
    for (int i = 0; i < count; i++) {
        VG_TRY_OUT(vg_store_verify(stores[i])); /* strips are read in parts, which nothing vouches for */
        VG_TRY_OUT(check_store(check, i));
    }
    qsort(check->line, (size_t)check->count, sizeof *check->line, by_badness);
    status = find_changes(check);
out:
    if (status != VG_OK)
        vg_check_destroy(check);
    else
        *out = check;
    return status;
}

void vg_check_destroy(vg_check *check)
{
    if (!check) return;
    free(check->line);
    free(check->order);
    free(check->change);
    free(check);
}

int64_t vg_check_count(const vg_check *check, vg_verdict verdict)
{
    int64_t count = 0;
    for (int64_t i = 0; i < check->count; i++) count += check->line[i].verdict == verdict;
    return count;
}

double vg_check_usable_seconds(const vg_check *check)
{
    double seconds = 0;
    for (int64_t i = 0; i < check->count; i++)
        if (vg_verdict_usable(check->line[i].verdict)) seconds += check->line[i].seconds;
    return seconds;
}
