/* The preprocessing of a store as a paragraph for a paper's section on methods. Every statement comes from
 * the store's attributes and tables; what is not known there is said not to be known. */
#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/text.h"
#include "datasets/summary.h"
#include "datasets/tally.h"

enum { LINE = 100, LEADS = 12 };

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

/* Stores of before there was a note on people: everybody is called as the file. */
static bool named_by_file(const vg_store *store)
{
    for (int64_t i = 0; i < vg_store_recording_count(store); i++) {
        const vg_recording *r = vg_store_recording(store, i);
        const char *file = vg__source_name(r->source);
        size_t length = strlen(r->subject);
        if (!length || strncmp(r->subject, file, length) != 0 || (file[length] && file[length] != '.'))
            return false;
    }
    return true;
}

static void say_people(const vg_store *store, const char **texts, vg_text *out)
{
    int64_t n = vg_store_recording_count(store), nameless = 0;
    const char *note = vg_store_note(store, "people");
    for (int64_t i = 0; i < n; i++) {
        texts[i] = vg_store_recording(store, i)->subject;
        nameless += !*texts[i];
    }
    int64_t people = distinct(texts, n);
    bool unknown = note ? strncmp(note, "unknown", 7) == 0
                        : !vg_store_get_info(store)->synthetic && (people == 0 || named_by_file(store));
    if (unknown) {
        vg_text_add(out, ". Who was recorded is not known: each record was taken as one person. ");
        return;
    }
    vg_text_add(out, ", of %lld %s", (long long)people, people == 1 ? "person" : "people");
    if (note && strncmp(note, "known", 5) != 0)
        vg_text_add(out, " as far as they are known (a record without a name was taken as one person)");
    else if (nameless)
        vg_text_add(out, " and, in %lld signal%s, of people who are not known", (long long)nameless,
                    nameless == 1 ? "" : "s");
    vg_text_add(out, ". ");
}

static void say_leads(const vg_store *store, const vg__records *records, const char **texts, vg_text *out)
{
    int64_t n = vg_store_recording_count(store);
    for (int64_t i = 0; i < n; i++) texts[i] = vg_store_recording(store, i)->lead;
    int64_t leads = distinct(texts, n);
    vg_text_add(out, "%lld record%s", (long long)records->count, records->count == 1 ? "" : "s");
    if (records->fewest == records->most)
        vg_text_add(out, " x %lld lead%s", (long long)records->most, records->most == 1 ? "" : "s");
    else
        vg_text_add(out, " of %lld to %lld leads, %lld signals in all", (long long)records->fewest,
                    (long long)records->most, (long long)n);
    for (int64_t i = 0; i < leads && i < LEADS; i++) vg_text_add(out, "%s%s", i == 0 ? " (" : ", ", texts[i]);
    if (leads > LEADS) vg_text_add(out, " and %lld more", (long long)(leads - LEADS));
    vg_text_add(out, "%s, ", leads ? ")" : "");
    vg__time_add(records->seconds, out);
    vg_text_add(out, " of recording");
}

static void say_what(const vg_store *store, const vg__records *records, const char **texts, vg_text *out)
{
    const vg_store_info *info = vg_store_get_info(store);
    vg_text_add(out, "%s ECG of %s", info->synthetic ? "Synthetic (not recorded)" : "We used", info->source);
    if (*info->citation) vg_text_add(out, " (%s)", info->citation);
    vg_text_add(out, ": ");
    say_leads(store, records, texts, out);
    say_people(store, texts, out);
}

/* "0.8 to 50 Hz", and where the recordings' rates left room for less. */
static void say_band(const vg_store *store, vg_text *out)
{
    const vg_store_info *info = vg_store_get_info(store);
    double lowest, highest;
    vg__band_top(store, &lowest, &highest);
    if (info->filter_low > 0 && info->filter_high > 0)
        vg_text_add(out, "They were band-pass filtered from %g to %g Hz", info->filter_low, highest);
    else if (info->filter_low > 0)
        vg_text_add(out, "They were high-pass filtered at %g Hz", info->filter_low);
    else
        vg_text_add(out, "They were low-pass filtered at %g Hz", highest);
    if (lowest < highest)
        vg_text_add(out, ", those recorded too slowly for it to no less than %g Hz (%g of their rate),",
                    lowest, VG__BAND_LIMIT);
}

static void say_filter(const vg_store *store, vg_text *out)
{
    const vg_store_info *info = vg_store_get_info(store);
    if (strcmp(info->filter, "none") == 0) {
        vg_text_add(out, "They were not filtered");
    } else {
        bool butterworth = strcmp(info->filter, "butterworth") == 0;
        say_band(store, out);
        vg_text_add(out, " with a %s%s filter", info->filter_zero_phase ? "zero-phase " : "",
                    butterworth ? "Butterworth" : info->filter);
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

static void say_resampling(const vg_store *store, vg_text *out)
{
    const vg_store_info *info = vg_store_get_info(store);
    double lowest, highest;
    vg__band_top(store, &lowest, &highest);
    if (strcmp(info->resampling, "none") == 0 || !*info->resampling) {
        vg_text_add(out, ", and not resampled (%g Hz). ", info->rate);
        return;
    }
    vg_text_add(out, ", and resampled to %g Hz (%s)", info->rate, info->resampling);
    if (strcmp(info->filter, "none") == 0 || info->filter_high == 0 || highest > info->rate / 2)
        vg_text_add(out, ", which leaves nothing above %g Hz", info->rate / 2);
    vg_text_add(out, ". ");
}

static void say_number(int64_t count, const char *one, const char *many, vg_text *out)
{
    vg_text_add(out, "%lld %s", (long long)count, count == 1 ? one : many);
}

/* Reasons by how often they occur, up to their first colon. */
static void say_reasons(const vg_store *store, vg_exclusion_kind kind, vg_text *out)
{
    enum { KINDS = 6 };
    const char *reason[KINDS];
    int64_t count[KINDS], kinds = 0, others = 0;
    for (int64_t i = 0; i < vg_store_exclusion_count(store); i++) {
        const vg_exclusion *e = vg_store_exclusion(store, i);
        size_t length = strcspn(e->reason, ":");
        int64_t k = 0;
        if (e->kind != kind) continue;
        while (k < kinds && (strncmp(reason[k], e->reason, length) != 0 || strcspn(reason[k], ":") != length))
            k++;
        if (k < kinds) {
            count[k]++;
        } else if (kinds < KINDS) {
            reason[kinds] = e->reason;
            count[kinds++] = 1;
        } else {
            others++;
        }
    }
    for (int64_t k = 0; k < kinds; k++)
        vg_text_add(out, "%s%.*s (%lld)", k ? ", " : ": ", (int)strcspn(reason[k], ":"), reason[k],
                    (long long)count[k]);
    if (others) vg_text_add(out, ", other reasons (%lld)", (long long)others);
}

/* A lead that was left out is a record that was left out only where all records have one lead each. */
static vg_status say_signals(const vg_store *store, const vg__records *records, vg_text *out)
{
    int64_t n = vg_store_exclusion_count(store), lines = 0, unknown = 0;
    double seconds = 0;
    const char **sources = malloc((size_t)(n + 1) * sizeof *sources);
    if (!sources) return vg_fail(VG_ERR_MEMORY, "%s: no memory to describe it", vg_store_path(store));
    for (int64_t i = 0; i < n; i++) {
        const vg_exclusion *e = vg_store_exclusion(store, i);
        if (e->kind != VG_EXCLUSION_SIGNAL) continue;
        sources[lines++] = e->source;
        if (isfinite(e->seconds))
            seconds += e->seconds;
        else
            unknown++;
    }
    bool whole = records->most == 1 && distinct(sources, lines) == lines;
    free(sources);
    if (lines == 0) return VG_OK;
    if (whole)
        say_number(lines, "record was", "records were", out);
    else
        say_number(lines, "signal (a lead of a record) was", "signals (a lead of a record each) were", out);
    vg_text_add(out, " left out (");
    if (unknown < lines) {
        vg_text_add(out, "%s", unknown ? "at least " : "");
        vg__time_add(seconds, out);
    }
    if (unknown)
        vg_text_add(out, "%sthe length of %lld is not known", unknown < lines ? "; " : "",
                    (long long)unknown);
    vg_text_add(out, ")");
    say_reasons(store, VG_EXCLUSION_SIGNAL, out);
    vg_text_add(out, ". ");
    return VG_OK;
}

static void say_kept(const char *kept, vg_text *out)
{
    int64_t count = 1;
    for (const char *c = kept; (c = strstr(c, "; ")); c++) count++;
    if (count <= 3)
        vg_text_add(out, "Kept in spite of their length or quality: %s. ", kept);
    else
        vg_text_add(out, "In spite of their length or quality %s%lld signals were kept. ",
                    strlen(kept) > 3000 ? "at least " : "", (long long)count);
}

static vg_status say_excluded(const vg_store *store, const vg__records *records, vg_text *out)
{
    int64_t count[VG_EXCLUSION_KIND_COUNT] = {0}, n = vg_store_exclusion_count(store);
    double gone = 0;
    for (int64_t i = 0; i < n; i++) {
        const vg_exclusion *e = vg_store_exclusion(store, i);
        count[e->kind]++;
        if (e->kind == VG_EXCLUSION_WINDOWS && isfinite(e->seconds)) gone += e->seconds;
    }
    const char *selection = vg_store_note(store, "selection"), *kept = vg_store_note(store, "kept"),
               *bridged = vg_store_note(store, "bridged");
    if (selection) vg_text_add(out, "Kept were %s. ", selection);
    if (n == count[VG_EXCLUSION_WINDOWS]) vg_text_add(out, "No record was left out. ");
    VG_TRY(say_signals(store, records, out));
    if (count[VG_EXCLUSION_NOTHING]) {
        say_number(count[VG_EXCLUSION_NOTHING], "file or trial holds", "files or trials hold", out);
        vg_text_add(out, " no ECG. ");
    }
    if (count[VG_EXCLUSION_LEADS]) {
        say_number(count[VG_EXCLUSION_LEADS], "file holds", "files hold", out);
        vg_text_add(out, " ECG of other leads than those asked for. ");
    }
    if (count[VG_EXCLUSION_UNREAD]) {
        say_number(count[VG_EXCLUSION_UNREAD], "file or part of one", "files or parts of files", out);
        vg_text_add(out, " could not be used");
        say_reasons(store, VG_EXCLUSION_UNREAD, out);
        vg_text_add(out, ". ");
    }
    if (count[VG_EXCLUSION_WINDOWS]) {
        vg_text_add(out, "Bad stretches of ");
        say_number(count[VG_EXCLUSION_WINDOWS], "signal", "signals", out);
        vg_text_add(out, " (");
        vg__time_add(gone, out);
        vg_text_add(out, " in all) became gaps. ");
    }
    if (kept) say_kept(kept, out);
    if (bridged) vg_text_add(out, "Bridged were %.*s. ", (int)strcspn(bridged, ":"), bridged);
    return VG_OK;
}

/* What no file says and an importer took for granted. */
static void say_assumptions(const vg_store *store, vg_text *out)
{
    const char *baseline = vg_store_note(store, "baseline"), *assumed = vg_store_note(store, "assumed"),
               *unverified = vg_store_note(store, "unverified");
    if (baseline && *baseline) vg_text_add(out, "%c%s. ", toupper((unsigned char)*baseline), baseline + 1);
    if (assumed) vg_text_add(out, "Assumed was that %s. ", assumed);
    if (unverified) vg_text_add(out, "Not verified: %s. ", unverified);
}

static vg_status compose(const vg_store *store, const char **texts, vg_text *text)
{
    const vg_store_info *info = vg_store_get_info(store);
    const char *unit = vg_store_note(store, "unit");
    vg__records records;
    VG_TRY(vg__records_count(store, &records));
    say_what(store, &records, texts, text);
    vg_text_add(text, "The signals were %s at ", info->synthetic ? "made" : "recorded");
    if (*info->original_rates)
        vg__rates_add(info->original_rates, text);
    else
        vg_text_add(text, "a rate that is not recorded");
    vg_text_add(text, ". ");
    say_filter(store, text);
    say_resampling(store, text);
    vg_text_add(text, "Polarity: %s. ", *info->polarity ? info->polarity : "not recorded");
    VG_TRY(say_excluded(store, &records, text));
    say_assumptions(store, text);
    vg_text_add(text, "Samples are kept in %s", info->units);
    if (unit) vg_text_add(text, " (unit of the source: %s)", unit);
    vg_text_add(text,
                ", not normalised; normalisation and its scope, the length of segments and their overlap are "
                "the experiment's and stand in its config.yaml. Importer: %s.",
                *info->importer ? info->importer : "unknown");
    return VG_OK;
}

vg_status vg_store_methods(const vg_store *store, char **out)
{
    vg_text text = {0}, wrapped = {0};
    char *line = NULL;
    *out = NULL;
    const char **texts = malloc((size_t)(vg_store_recording_count(store) + 1) * sizeof *texts);
    if (!texts) return vg_fail(VG_ERR_MEMORY, "%s: no memory to describe it", vg_store_path(store));
    vg_status status = compose(store, texts, &text);
    free(texts);
    if (status != VG_OK) {
        vg_text_free(&text);
        return status;
    }
    VG_TRY(vg_text_take(&text, &line));
    vg__wrap(line, 0, 0, LINE, &wrapped);
    vg_text_add(&wrapped, "\n");
    free(line);
    return vg_text_take(&wrapped, out);
}
