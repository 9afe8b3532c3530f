/* The preprocessing of a store as a paragraph for a paper's section on methods. Every statement comes from
 * the store's attributes and tables; what is not known there is said not to be known. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/text.h"
#include "datasets/summary.h"

enum { LINE = 100, LEADS = 4 };

static int by_text(const void *left, const void *right)
{
    return strcmp(*(const char *const *)left, *(const char *const *)right);
}

/* The distinct, non-empty texts among n, in order, at the front of the list; returns how many. */
static int64_t distinct(const char **texts, int64_t n)
{
    int64_t kept = 0;
    qsort(texts, (size_t)n, sizeof *texts, by_text);
    for (int64_t i = 0; i < n; i++)
        if (*texts[i] && (kept == 0 || strcmp(texts[kept - 1], texts[i]) != 0)) texts[kept++] = texts[i];
    return kept;
}

static void say_what(const vg_store *store, const char **texts, vg_text *out)
{
    const vg_store_info *info = vg_store_get_info(store);
    int64_t n = vg_store_recording_count(store);
    for (int64_t i = 0; i < n; i++) texts[i] = vg_store_recording(store, i)->subject;
    int64_t subjects = distinct(texts, n);
    vg_text_add(out, "%s ECG of %s", info->synthetic ? "Synthetic (not recorded)" : "We used", info->source);
    if (*info->citation) vg_text_add(out, " (%s)", info->citation);
    vg_text_add(out, ": %lld recordings", (long long)n);
    if (subjects) vg_text_add(out, " of %lld subject%s", (long long)subjects, subjects == 1 ? "" : "s");
    vg_text_add(out, ", %.2f hours", (double)vg_store_sample_count(store) / info->rate / 3600);
    for (int64_t i = 0; i < n; i++) texts[i] = vg_store_recording(store, i)->lead;
    int64_t leads = distinct(texts, n);
    for (int64_t i = 0; i < leads && i < LEADS; i++)
        vg_text_add(out, "%s%s", i == 0 ? (leads == 1 ? ", lead " : ", leads ") : ", ", texts[i]);
    if (leads > LEADS) vg_text_add(out, " and %lld more", (long long)(leads - LEADS));
    vg_text_add(out, ". ");
}

static void say_rates(const char *rates, vg_text *out)
{
    if (!*rates) {
        vg_text_add(out, "at a rate that is not recorded");
        return;
    }
    vg_text_add(out, "at ");
    for (const char *p = rates; *p;) {
        size_t length = strcspn(p, " ");
        vg_text_add(out, "%.*s", (int)length, p);
        p += length;
        while (*p == ' ') p++;
        vg_text_add(out, "%s", !*p ? " Hz" : strchr(p, ' ') ? ", " : " and ");
    }
}

static void say_filter(const vg_store_info *info, vg_text *out)
{
    if (strcmp(info->filter, "none") == 0) {
        vg_text_add(out, "They were not filtered");
    } else {
        bool butterworth = strcmp(info->filter, "butterworth") == 0;
        const char *zero = info->filter_zero_phase ? "zero-phase " : "",
                   *kind = butterworth ? "Butterworth" : info->filter;
        if (info->filter_low > 0 && info->filter_high > 0)
            vg_text_add(out, "They were band-pass filtered from %g to %g Hz with a %s%s filter",
                        info->filter_low, info->filter_high, zero, kind);
        else if (info->filter_low > 0)
            vg_text_add(out, "They were high-pass filtered at %g Hz with a %s%s filter", info->filter_low,
                        zero, kind);
        else
            vg_text_add(out, "They were low-pass filtered at %g Hz with a %s%s filter", info->filter_high,
                        zero, kind);
        if (info->filter_order > 0)
            vg_text_add(out, " (order %d of the low-pass prototype%s)", info->filter_order,
                        info->filter_zero_phase
                            ? ", second-order sections run forwards and backwards, so that an edge lies at "
                              "-6 dB"
                            : "");
    }
    if (info->notch > 0)
        vg_text_add(out, ", with a notch at %g Hz", info->notch);
    else if (strcmp(info->filter, "none") != 0)
        vg_text_add(out, ", without a notch");
}

static void say_excluded(const vg_store *store, vg_text *out)
{
    int64_t records = 0, blanked = 0;
    double lost = 0, gone = 0;
    for (int64_t i = 0; i < vg_store_exclusion_count(store); i++) {
        const vg_exclusion *e = vg_store_exclusion(store, i);
        bool windows = strncmp(e->reason, "windows blanked", 15) == 0;
        double seconds = isfinite(e->seconds) ? e->seconds : 0;
        blanked += windows;
        records += !windows;
        gone += windows ? seconds : 0;
        lost += windows ? 0 : seconds;
    }
    const char *selection = vg_store_note(store, "selection"), *kept = vg_store_note(store, "kept");
    if (selection) vg_text_add(out, "Kept were %s. ", selection);
    if (records)
        vg_text_add(out, "%lld recording%s left out (%.1f minutes). ", (long long)records,
                    records == 1 ? " was" : "s were", lost / 60);
    else
        vg_text_add(out, "No recording was left out. ");
    if (blanked)
        vg_text_add(out, "Bad stretches in %lld recordings (%.1f minutes) became gaps. ", (long long)blanked,
                    gone / 60);
    if (kept) vg_text_add(out, "Kept in spite of their quality: %s. ", kept);
}

/* Breaks lines at blanks. */
static void wrap(const char *text, vg_text *out)
{
    size_t column = 0;
    for (const char *p = text; *p;) {
        size_t length = strcspn(p, " ");
        if (column > 0 && column + 1 + length > LINE) {
            vg_text_add(out, "\n");
            column = 0;
        }
        if (column > 0) vg_text_add(out, " ");
        vg_text_append(out, p, length);
        column += length + (column > 0);
        p += length;
        while (*p == ' ') p++;
    }
    vg_text_add(out, "\n");
}

vg_status vg_store_methods(const vg_store *store, char **out)
{
    const vg_store_info *info = vg_store_get_info(store);
    vg_text text = {0}, wrapped = {0};
    char *line = NULL;
    *out = NULL;
    const char **texts = malloc((size_t)(vg_store_recording_count(store) + 1) * sizeof *texts);
    if (!texts) return vg_fail(VG_ERR_MEMORY, "%s: no memory to describe it", vg_store_path(store));
    say_what(store, texts, &text);
    free(texts);
    vg_text_add(&text, "The signals were %s ", info->synthetic ? "made" : "recorded");
    say_rates(info->original_rates, &text);
    vg_text_add(&text, ". ");
    say_filter(info, &text);
    if (strcmp(info->resampling, "none") == 0 || !*info->resampling)
        vg_text_add(&text, ", and not resampled (%g Hz). ", info->rate);
    else
        vg_text_add(&text, ", and resampled to %g Hz (%s). ", info->rate, info->resampling);
    if (vg_store_note(store, "filter_limited"))
        vg_text_add(&text, "For recordings too slow for it the upper edge gave way: %s. ",
                    vg_store_note(store, "filter_limited"));
    vg_text_add(&text, "Polarity: %s. ", *info->polarity ? info->polarity : "not recorded");
    say_excluded(store, &text);
    vg_text_add(&text,
                "Samples are kept in %s, not normalised; normalisation and its scope, the length of segments "
                "and their overlap are the experiment's and stand in its config.yaml. Importer: %s.",
                info->units, *info->importer ? info->importer : "unknown");
    VG_TRY(vg_text_take(&text, &line));
    wrap(line, &wrapped);
    free(line);
    return vg_text_take(&wrapped, out);
}
