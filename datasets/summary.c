#include "datasets/summary.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/text.h"

enum { SHOWN = 12 };

/* Something counted by name. */
typedef struct tally {
    const char *name;
    size_t length; /* of the name that counts */
    int64_t count;
    double seconds;
} tally;

static int by_name(const void *left, const void *right)
{
    const tally *a = left, *b = right;
    int order = strncmp(a->name, b->name, a->length < b->length ? a->length : b->length);
    return order ? order : (a->length > b->length) - (a->length < b->length);
}

static int by_count(const void *left, const void *right)
{
    const tally *a = left, *b = right;
    return a->count != b->count ? (a->count < b->count) - (a->count > b->count) : by_name(left, right);
}

/* Adds equal names up; returns how many different ones are left, the most frequent first. */
static int64_t add_up(tally *list, int64_t n)
{
    int64_t kept = 0;
    qsort(list, (size_t)n, sizeof *list, by_name);
    for (int64_t i = 0; i < n; i++) {
        if (kept > 0 && by_name(&list[kept - 1], &list[i]) == 0) {
            list[kept - 1].count += list[i].count;
            list[kept - 1].seconds += list[i].seconds;
        } else {
            list[kept++] = list[i];
        }
    }
    qsort(list, (size_t)kept, sizeof *list, by_count);
    return kept;
}

static void add_subjects(const vg_store *store, tally *list, vg_text *text)
{
    int64_t n = vg_store_recording_count(store), known = 0, unknown = 0;
    double rate = vg_store_get_info(store)->rate;
    for (int64_t i = 0; i < n; i++) {
        const vg_recording *r = vg_store_recording(store, i);
        if (*r->subject)
            list[known++] = (tally){.name = r->subject, .length = strlen(r->subject), .count = 1};
        else
            unknown++;
    }
    vg_text_add(text, "subjects       %lld", (long long)add_up(list, known));
    if (unknown) vg_text_add(text, ", and %lld recordings of unknown subjects", (long long)unknown);
    vg_text_add(text, "\nrecordings     %lld, %.2f hours\n", (long long)n,
                (double)vg_store_sample_count(store) / rate / 3600);
}

static void add_leads(const vg_store *store, tally *list, vg_text *text)
{
    int64_t n = vg_store_recording_count(store);
    double rate = vg_store_get_info(store)->rate;
    for (int64_t i = 0; i < n; i++) {
        const vg_recording *r = vg_store_recording(store, i);
        const char *lead = *r->lead ? r->lead : "unknown";
        list[i] =
            (tally){.name = lead, .length = strlen(lead), .count = 1, .seconds = (double)r->length / rate};
    }
    int64_t kinds = add_up(list, n);
    vg_text_add(text, "leads         ");
    for (int64_t i = 0; i < kinds && i < SHOWN; i++)
        vg_text_add(text, "%s %s (%lld, %.2f h)", i ? "," : "", list[i].name, (long long)list[i].count,
                    list[i].seconds / 3600);
    if (kinds > SHOWN) vg_text_add(text, " and %lld more", (long long)(kinds - SHOWN));
    vg_text_add(text, "\n");
}

static void add_preprocessing(const vg_store_info *info, vg_text *text)
{
    vg_text_add(text, "rate           %g Hz (recorded at %s Hz), in %s\n", info->rate,
                *info->original_rates ? info->original_rates : "unknown", info->units);
    vg_text_add(text, "filter         ");
    if (strcmp(info->filter, "none") == 0)
        vg_text_add(text, "none");
    else if (info->filter_low > 0 && info->filter_high > 0)
        vg_text_add(text, "%s band-pass %g-%g Hz", info->filter, info->filter_low, info->filter_high);
    else if (info->filter_low > 0)
        vg_text_add(text, "%s high-pass %g Hz", info->filter, info->filter_low);
    else
        vg_text_add(text, "%s low-pass %g Hz", info->filter, info->filter_high);
    if (info->filter_order > 0) vg_text_add(text, ", order %d", info->filter_order);
    if (info->filter_zero_phase) vg_text_add(text, ", zero phase");
    if (info->notch > 0) vg_text_add(text, ", notch at %g Hz", info->notch);
    vg_text_add(
        text, "\nresampling     %s\npolarity       %s\nnormalisation  none; it is the experiment's choice\n",
        info->resampling, info->polarity);
}

static int by_value(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

/* Counts of each value while there are few of them, else their range and mean. */
static void add_rating(const vg_store *store, int column, double *values, vg_text *text)
{
    int64_t n = vg_store_recording_count(store), given = 0, kinds = 0;
    double sum = 0;
    for (int64_t i = 0; i < n; i++) {
        double value = vg_store_ratings(store, i)[column];
        if (isnan(value)) continue;
        values[given++] = value;
        sum += value;
    }
    qsort(values, (size_t)given, sizeof *values, by_value);
    for (int64_t i = 0; i < given; i++) kinds += i == 0 || values[i] != values[i - 1];
    vg_text_add(text, "rating         %s:", vg_store_rating_name(store, column));
    if (kinds > SHOWN) {
        vg_text_add(text, " %g to %g, mean %.4g, in %lld recordings", values[0], values[given - 1],
                    sum / (double)given, (long long)given);
    } else {
        for (int64_t i = 0, end; i < given; i = end) {
            for (end = i; end < given && values[end] == values[i];) end++;
            vg_text_add(text, "%s %g in %lld recordings", i ? "," : "", values[i], (long long)(end - i));
        }
    }
    if (given < n) vg_text_add(text, "%s missing in %lld", given ? "," : "", (long long)(n - given));
    vg_text_add(text, "\n");
}

/* Reasons are counted up to their first colon: what follows are the numbers of one case. */
static void add_exclusions(const vg_store *store, tally *list, vg_text *text)
{
    int64_t n = vg_store_exclusion_count(store);
    for (int64_t i = 0; i < n; i++) {
        const vg_exclusion *e = vg_store_exclusion(store, i);
        list[i] = (tally){.name = e->reason,
                          .length = strcspn(e->reason, ":"),
                          .count = 1,
                          .seconds = isnan(e->seconds) ? 0 : e->seconds};
    }
    int64_t kinds = add_up(list, n);
    if (n == 0) vg_text_add(text, "left out       nothing\n");
    for (int64_t i = 0; i < kinds && i < SHOWN; i++)
        vg_text_add(text, "left out       %.*s: %lld times, %.1f minutes\n", (int)list[i].length,
                    list[i].name, (long long)list[i].count, list[i].seconds / 60);
    if (kinds > SHOWN)
        vg_text_add(text, "left out       for %lld more reasons\n", (long long)(kinds - SHOWN));
}

vg_status vg_store_summarise(const vg_store *store, char **out)
{
    const vg_store_info *info = vg_store_get_info(store);
    int64_t recordings = vg_store_recording_count(store), exclusions = vg_store_exclusion_count(store);
    int64_t most = recordings > exclusions ? recordings : exclusions;
    tally *list = malloc((size_t)(most + 1) * sizeof *list);
    double *values = malloc((size_t)(most + 1) * sizeof *values);
    vg_text text = {0};
    *out = NULL;
    if (!list || !values) {
        free(list);
        free(values);
        return vg_fail(VG_ERR_MEMORY, "%s: no memory to summarise it", vg_store_path(store));
    }
    vg_text_add(
        &text, "store          %s\nsource         %s%s (importer %s)\n", vg_store_path(store), info->source,
        info->synthetic ? ", SYNTHETIC: made by a program, not recorded from a person" : "", info->importer);
    vg_text_add(&text, "licence        %s\ncitation       %s\n",
                *info->licence ? info->licence : "not stated",
                *info->citation ? info->citation : "not stated");
    add_subjects(store, list, &text);
    add_leads(store, list, &text);
    add_preprocessing(info, &text);
    for (int c = 0; c < vg_store_rating_count(store); c++) add_rating(store, c, values, &text);
    for (int i = 0; i < vg_store_note_count(store); i++) {
        const char *key = vg_store_note_key(store, i);
        const char *note = vg_store_note(store, key);
        vg_text_add(&text, "note           %s: %.100s%s\n", key, note, strlen(note) > 100 ? "..." : "");
    }
    add_exclusions(store, list, &text);
    free(list);
    free(values);
    return vg_text_take(&text, out);
}
