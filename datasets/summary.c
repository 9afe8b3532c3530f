#include "datasets/summary.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/text.h"
#include "datasets/tally.h"

enum { SHOWN = 12, COLUMN = 15, WIDTH = 100, NOTE = 600 };

/* Something counted by name. */
typedef struct tally {
    const char *name;
    size_t length;          /* of the name that counts */
    int64_t count, unknown; /* how many, and how many of them have no length */
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
            list[kept - 1].unknown += list[i].unknown;
            list[kept - 1].seconds += list[i].seconds;
        } else {
            list[kept++] = list[i];
        }
    }
    qsort(list, (size_t)kept, sizeof *list, by_count);
    return kept;
}

static const char *plural(int64_t count)
{
    return count == 1 ? "" : "s";
}

static vg_status add_subjects(const vg_store *store, tally *list, vg_text *text)
{
    int64_t n = vg_store_recording_count(store), known = 0, unknown = 0;
    double hours = (double)vg_store_sample_count(store) / vg_store_get_info(store)->rate / 3600;
    const char *people = vg_store_note(store, "people");
    vg__records records;
    VG_TRY(vg__records_count(store, &records));
    for (int64_t i = 0; i < n; i++) {
        const vg_recording *r = vg_store_recording(store, i);
        if (*r->subject)
            list[known++] = (tally){.name = r->subject, .length = strlen(r->subject), .count = 1};
        else
            unknown++;
    }
    vg_text_add(text, "subjects       %lld", (long long)add_up(list, known));
    if (unknown)
        vg_text_add(text, ", and %lld recording%s of unknown subjects", (long long)unknown, plural(unknown));
    if (people && strncmp(people, "known", 5) != 0) vg_text_add(text, "; %s", people);
    vg_text_add(text, "\nrecordings     %lld, %.2f hours", (long long)n, hours);
    if (records.count != n)
        vg_text_add(text, " of leads, from %lld record%s, %.2f hours", (long long)records.count,
                    plural(records.count), records.seconds / 3600);
    vg_text_add(text, "\n");
    return VG_OK;
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

static void add_preprocessing(const vg_store *store, vg_text *text)
{
    const vg_store_info *info = vg_store_get_info(store);
    double lowest, top;
    vg__band_top(store, &lowest, &top);
    vg_text_add(text, "rate           %g Hz (recorded at ", info->rate);
    if (*info->original_rates)
        vg__rates_add(info->original_rates, text);
    else
        vg_text_add(text, "an unknown rate");
    vg_text_add(text, "), in %s\nfilter         ", info->units);
    if (strcmp(info->filter, "none") == 0)
        vg_text_add(text, "none");
    else if (info->filter_low > 0 && info->filter_high > 0)
        vg_text_add(text, "%s band-pass %g-%g Hz", info->filter, info->filter_low, top);
    else if (info->filter_low > 0)
        vg_text_add(text, "%s high-pass %g Hz", info->filter, info->filter_low);
    else
        vg_text_add(text, "%s low-pass %g Hz", info->filter, top);
    if (info->filter_order > 0) vg_text_add(text, ", order %d", info->filter_order);
    if (info->filter_zero_phase) vg_text_add(text, ", zero phase");
    if (info->notch > 0) vg_text_add(text, ", notch at %g Hz", info->notch);
    if (top > info->rate / 2)
        vg_text_add(text, "; at %g Hz nothing above %g Hz is left", info->rate, info->rate / 2);
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
        values[given++] = value + 0.0; /* -0 as 0 */
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
            vg_text_add(text, "%s %g in %lld recording%s", i ? "," : "", values[i], (long long)(end - i),
                        plural(end - i));
        }
    }
    if (given < n) vg_text_add(text, "%s missing in %lld", given ? "," : "", (long long)(n - given));
    vg_text_add(text, "\n");
}

static const char *times(int64_t count, char text[32])
{
    if (count == 1)
        snprintf(text, 32, "once");
    else
        snprintf(text, 32, "%lld times", (long long)count);
    return text;
}

/* Reasons are counted up to their first colon: what follows are the numbers of one case. */
static void add_exclusions(const vg_store *store, int64_t most, tally *list, vg_text *text)
{
    int64_t n = vg_store_exclusion_count(store);
    for (int64_t i = 0; i < n; i++) {
        const vg_exclusion *e = vg_store_exclusion(store, i);
        list[i] = (tally){.name = e->reason,
                          .length = strcspn(e->reason, ":"),
                          .count = 1,
                          .unknown = !isfinite(e->seconds),
                          .seconds = isfinite(e->seconds) ? e->seconds : 0};
    }
    int64_t kinds = add_up(list, n);
    if (n == 0) vg_text_add(text, "left out       nothing\n");
    for (int64_t i = 0; i < kinds && i < SHOWN; i++) {
        vg_text_add(text, "left out       %.*s: %s, ", (int)list[i].length, list[i].name,
                    times(list[i].count, (char[32]){0}));
        if (list[i].unknown == list[i].count)
            vg_text_add(text, "of unknown length\n");
        else
            vg_text_add(text, "%s%.1f minutes\n", list[i].unknown ? "at least " : "", list[i].seconds / 60);
    }
    if (kinds > SHOWN)
        vg_text_add(text, "left out       for %lld more reason%s\n", (long long)(kinds - SHOWN),
                    plural(kinds - SHOWN));
    vg__exclusions_list(store, most, text);
}

/* In lines of their own; of a long one the beginning, unless all is wanted. */
static vg_status add_note(const vg_store *store, int index, bool all, vg_text *text)
{
    const char *key = vg_store_note_key(store, index), *note = vg_store_note(store, key);
    vg_text line = {0};
    char *whole;
    size_t length = strlen(note), shown = all || length <= NOTE ? length : NOTE;
    while (shown < length && note[shown] != ' ') shown++;
    vg_text_add(&line, "%s: ", key);
    vg_text_append(&line, note, shown);
    if (shown < length) vg_text_add(&line, " ... (--all shows the rest)");
    VG_TRY(vg_text_take(&line, &whole));
    vg_text_add(text, "%-*s", COLUMN, "note");
    vg__wrap(whole, COLUMN, COLUMN, WIDTH, text);
    vg_text_add(text, "\n");
    free(whole);
    return VG_OK;
}

vg_status vg_store_summarise(const vg_store *store, int64_t most, char **out)
{
    const vg_store_info *info = vg_store_get_info(store);
    vg_status status = VG_OK;
    int64_t recordings = vg_store_recording_count(store), exclusions = vg_store_exclusion_count(store),
            longest = recordings > exclusions ? recordings : exclusions;
    tally *list = malloc((size_t)(longest + 1) * sizeof *list);
    double *values = malloc((size_t)(longest + 1) * sizeof *values);
    vg_text text = {0};
    *out = NULL;
    if (!list || !values) {
        status = vg_fail(VG_ERR_MEMORY, "%s: no memory to summarise it", vg_store_path(store));
        goto out;
    }
    vg_text_add(
        &text, "store          %s\nsource         %s%s (importer %s)\n", vg_store_path(store), info->source,
        info->synthetic ? ", SYNTHETIC: made by a program, not recorded from a person" : "", info->importer);
    vg_text_add(&text, "licence        %s\ncitation       %s\n",
                *info->licence ? info->licence : "not stated",
                *info->citation ? info->citation : "not stated");
    VG_TRY_OUT(add_subjects(store, list, &text));
    add_leads(store, list, &text);
    add_preprocessing(store, &text);
    for (int c = 0; c < vg_store_rating_count(store); c++) add_rating(store, c, values, &text);
    for (int i = 0; i < vg_store_note_count(store); i++)
        if (strcmp(vg_store_note_key(store, i), "people") != 0) /* stands beside the subjects */
            VG_TRY_OUT(add_note(store, i, most == 0, &text));
    add_exclusions(store, most, list, &text);
    status = vg_text_take(&text, out);
out:
    vg_text_free(&text);
    free(list);
    free(values);
    return status;
}
