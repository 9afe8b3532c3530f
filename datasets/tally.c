#include "datasets/tally.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static int compare_records(const vg_recording *a, const vg_recording *b)
{
    int order = strcmp(a->source, b->source);
    if (!order) order = strcmp(a->subject, b->subject);
    if (!order) order = strcmp(a->session, b->session);
    if (!order) order = strcmp(a->trial, b->trial);
    return order ? order : strcmp(a->stimulus, b->stimulus);
}

static int by_record(const void *left, const void *right)
{
    const vg_recording *a = *(const vg_recording *const *)left, *b = *(const vg_recording *const *)right;
    int order = compare_records(a, b);
    return order ? order : strcmp(a->lead, b->lead);
}

vg_status vg__records_count(const vg_store *store, vg__records *records)
{
    int64_t n = vg_store_recording_count(store);
    double rate = vg_store_get_info(store)->rate;
    const vg_recording **list = malloc((size_t)(n + 1) * sizeof *list);
    if (!list) return vg_fail(VG_ERR_MEMORY, "%s: no memory to count its records", vg_store_path(store));
    for (int64_t i = 0; i < n; i++) list[i] = vg_store_recording(store, i);
    qsort(list, (size_t)n, sizeof *list, by_record);
    *records = (vg__records){.fewest = INT64_MAX};
    for (int64_t i = 0; i < n;) {
        int64_t first = i, leads = 0, most = 0, longest = 0;
        while (i < n && compare_records(list[first], list[i]) == 0) {
            int64_t same = i, length = 0;
            for (; i < n && by_record(&list[same], &list[i]) == 0; i++) length += list[i]->length;
            leads++;
            most = i - same > most ? i - same : most;
            longest = length > longest ? length : longest;
        }
        records->count += most;
        records->seconds += (double)longest / rate;
        if (leads < records->fewest) records->fewest = leads;
        if (leads > records->most) records->most = leads;
    }
    free(list);
    return VG_OK;
}

const char *vg__source_name(const char *source)
{
    const char *slash = strrchr(source, '/');
    return slash && slash[1] ? slash + 1 : source;
}

void vg__exclusions_list(const vg_store *store, int64_t most, vg_text *out)
{
    int64_t n = vg_store_exclusion_count(store), shown = most > 0 && most < n ? most : n;
    for (int64_t i = 0; i < shown; i++) {
        const vg_exclusion *e = vg_store_exclusion(store, i);
        vg_text_add(out, "  %-28s ", vg__source_name(e->source));
        if (isfinite(e->seconds))
            vg_text_add(out, "%7.0f s  ", e->seconds);
        else
            vg_text_add(out, "%7s    ", "?");
        vg_text_add(out, "%s\n", e->reason);
    }
    if (shown < n) vg_text_add(out, "  ... and %lld more; --all lists them\n", (long long)(n - shown));
}

void vg__time_add(double seconds, vg_text *out)
{
    if (seconds >= 3600)
        vg_text_add(out, "%.2f hours", seconds / 3600);
    else if (seconds >= 60)
        vg_text_add(out, "%.1f minutes", seconds / 60);
    else
        vg_text_add(out, "%.3g s", seconds);
}

void vg__rates_add(const char *rates, vg_text *out)
{
    for (const char *p = rates; *p;) {
        size_t length = strcspn(p, " ");
        vg_text_append(out, p, length);
        p += length;
        while (*p == ' ') p++;
        vg_text_add(out, "%s", !*p ? " Hz" : strchr(p, ' ') ? ", " : " and ");
    }
}

void vg__band_top(const vg_store *store, double *lowest, double *highest)
{
    const vg_store_info *info = vg_store_get_info(store);
    *lowest = *highest = info->filter_high;
    if (!vg_store_note(store, "filter_limited")) return;
    *highest = 0;
    for (const char *p = info->original_rates; *p;) {
        char *end;
        double limit = VG__BAND_LIMIT * strtod(p, &end),
               edge = limit < info->filter_high ? limit : info->filter_high;
        if (end == p) break;
        if (edge < *lowest) *lowest = edge;
        if (edge > *highest) *highest = edge;
        p = end;
    }
    if (*highest == 0) *highest = info->filter_high;
}

void vg__wrap(const char *text, size_t column, size_t indent, size_t width, vg_text *out)
{
    bool first = true; /* word of a line */
    for (const char *p = text; *p;) {
        size_t length = strcspn(p, " ");
        if (!first && column + 1 + length > width) {
            vg_text_add(out, "\n%*s", (int)indent, "");
            column = indent;
            first = true;
        }
        if (!first) vg_text_add(out, " ");
        vg_text_append(out, p, length);
        column += length + !first;
        first = false;
        p += length;
        while (*p == ' ') p++;
    }
}
