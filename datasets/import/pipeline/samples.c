/* The order of the steps, and why:
 *   1. Millivolt, so that the amplitude means something. Short gaps are bridged then, if that is asked for:
 *      everything later sees a signal without them.
 *   2. Quality, by the raw samples, before anything is smoothed away: a clipped or constant stretch is exact
 * only there. Its filters and the band-pass run side by side, which takes the time of one.
 *   3. Band-pass at the recording's own rate, where its edges are farthest from half the rate, and before the
 *      resampler, so that baseline and mains are gone when it meets the ends and gaps.
 *   4. Resampling.
 *   5. Bad windows become gaps (NaN) at the end: blanked earlier they would cut the signal into runs whose
 * ends the filter must guess.
 * The first is done while the samples are copied (pipeline.c); the others here, on any thread. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "datasets/import/pipeline/own.h"
#include "datasets/signal/filter.h"
#include "datasets/signal/leads.h"
#include "datasets/signal/resample.h"

/* How many millivolt one unit is; 0 for a unit that is none of voltage. */
double vg__millivolt_per(const char *units)
{
    static const struct {
        const char *name;
        double scale;
    } known[] = {{"V", 1e3},      {"mV", 1},    {"uV", 1e-3},  {"\xc2\xb5V", 1e-3}, {"\xce\xbcV", 1e-3},
                 {"\xb5V", 1e-3}, {"nV", 1e-6}, {"volt", 1e3}, {"millivolt", 1},    {"microvolt", 1e-3},
                 {"mv", 1},       {"MV", 1},    {"uv", 1e-3},  {"UV", 1e-3},        {"v", 1e3}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(units, known[i].name) == 0) return known[i].scale;
    return 0;
}

int64_t vg__samples_bytes(int64_t count)
{
    /* At most four arrays of doubles at once: the samples and what three filters make of them. What is made
     * of these is made in pieces, but for the result, and two of them are gone by then. */
    return 4 * count * (int64_t)sizeof(double) + (int64_t)sizeof(vg__job);
}

bool vg__samples_upside_down(const vg__job *job)
{
    return job->quality.polarity < 0 && !vg_lead_points_down(job->lead);
}

/* The filters of a recording and what they make of it: those that the quality is measured by, and the
 * band-pass of the options, if there is one. */
enum { BAND = VG_QUALITY_FILTERS, MOST_FILTERS };
typedef struct filtered {
    vg_filter filter[MOST_FILTERS];
    double *out[MOST_FILTERS]; /* [count]; NULL: not wanted, or not needed any more */
    bool later;                /* the band-pass is run over the samples in place */
} filtered;

static void free_outs(filtered *all, int count)
{
    for (int i = 0; i < count; i++) {
        free(all->out[i]);
        all->out[i] = NULL;
    }
}

/* The band-pass of the options. The upper edge gives way to the recording's rate: at most 0.45 of it. */
static vg_status design_band(vg__job *job, vg_filter *filter, bool *wanted)
{
    const vg_import_options *options = job->options;
    double high = options->high;
    *wanted = options->order > 0 && (options->low > 0 || high > 0);
    if (!*wanted) return VG_OK;
    if (high > VG__HIGHEST_EDGE * job->rate) high = job->limit = VG__HIGHEST_EDGE * job->rate;
    vg_filter_kind kind = options->low == 0 ? VG_FILTER_LOWPASS
                          : high == 0       ? VG_FILTER_HIGHPASS
                                            : VG_FILTER_BANDPASS;
    return vg_filter_design(kind, options->order, options->low, high, job->rate, filter);
}

/* Whether one recording takes so much memory that time must be given for it. */
static bool is_long(const vg__job *job)
{
    return vg__samples_bytes(job->count) > VG__BYTES_IN_FLIGHT;
}

/* Runs all filters over the samples in one go. Of a long recording only the first: the second takes its room
 * later, and the band-pass that of the samples. */
static vg_status run_filters(vg__job *job, filtered *all)
{
    const vg_filter *filters[MOST_FILTERS];
    int64_t lost[MOST_FILTERS];
    bool band;
    VG_TRY(vg_quality_filters(job->rate, all->filter));
    VG_TRY(design_band(job, &all->filter[BAND], &band));
    all->later = band && is_long(job);
    const int count = is_long(job) ? 1 : BAND + band;
    for (int i = 0; i < count; i++) {
        filters[i] = &all->filter[i];
        all->out[i] = malloc((size_t)job->count * sizeof **all->out);
        if (!all->out[i])
            return vg_fail(VG_ERR_MEMORY, "%s: no memory to filter %lld samples", job->file,
                           (long long)job->count);
    }
    vg_filter_zero_phase_each(filters, count, job->samples, job->count, all->out, lost);
    return VG_OK;
}

enum { DROPPED_FOR = VG_QUALITY_FLAT | VG_QUALITY_WEAK | VG_QUALITY_STRONG };

/* Turns bad windows of the resampled signal into gaps; returns how many. */
static int64_t blank_windows(const uint8_t *flags, int64_t windows, double seconds, double rate, float *y,
                             int64_t n)
{
    int64_t dropped = 0;
    for (int64_t w = 0; w < windows; w++) {
        if (!(flags[w] & DROPPED_FOR)) continue;
        dropped++;
        int64_t from = (int64_t)floor((double)w * seconds * rate),
                to = (int64_t)ceil((double)(w + 1) * seconds * rate);
        for (int64_t i = from; i < to && i < n; i++) y[i] = NAN;
    }
    return dropped;
}

/* Why windows were blanked, "2 flat, 1 below 0.05 mV", and what was bridged. */
static void describe_windows(const vg__job *job, char *text, size_t size)
{
    const vg_quality *q = &job->quality;
    const struct {
        int64_t count;
        const char *name;
    } kinds[] = {{q->flat, "flat"}, {q->weak, "below 0.05 mV"}, {q->strong, "above 20 mV"}};
    size_t used = 0;
    text[0] = 0;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (kinds[i].count == 0) continue;
        used += (size_t)snprintf(text + used, size - used, "%s%lld %s", used ? ", " : "",
                                 (long long)kinds[i].count, kinds[i].name);
    }
    if (job->bridged)
        snprintf(text + used, size - used, "; %lld gaps of up to %g ms bridged", (long long)job->bridged,
                 job->options->bridge);
}

/* Whether a recording of this quality is usable, or to be kept nevertheless; writes the reason if not. */
static bool usable(vg__job *job)
{
    char why[VG__LINE_SIZE / 4];
    vg_verdict verdict = vg_quality_judge(&job->quality, job->options->min_quality, why, sizeof why);
    if (verdict == VG_VERDICT_GOOD || verdict == VG_VERDICT_UPSIDE_DOWN) return true;
    size_t used = strlen(job->overruled), said = strlen(why);
    if (job->bridged)
        snprintf(why + said, sizeof why - said, " (after %lld gaps were bridged)", (long long)job->bridged);
    if (job->keep)
        snprintf(job->overruled + used, sizeof job->overruled - used, "%s%s", used ? ", " : "", why);
    else
        snprintf(job->text, sizeof job->text, "no usable ECG: %s: %s", vg_verdict_word(verdict), why);
    return job->keep;
}

/* The row of the table of features, and the beats at the store's rate. `peaks` are the recording's own. */
static vg_status measure(vg__job *job, vg_rpeaks *peaks)
{
    vg_hrv hrv;
    VG_TRY(vg_hrv_measure(peaks->position, peaks->count, job->rate, &hrv));
    vg_features_pack(&hrv, &job->quality, job->features);
    job->beats = peaks->position;
    peaks->position = NULL;
    for (int64_t i = 0; i < peaks->count; i++) {
        double at = job->beats[i] * job->options->rate / job->rate;
        if (at <= (double)job->stored_count) job->beats[job->beat_count++] = at;
    }
    return VG_OK;
}

/* Resamples and blanks a recording that was found usable. An error of kind DATA excludes it. */
static vg_status process(vg__job *job, const filtered *all, const uint8_t *flags, double window_s)
{
    vg_status status = VG_OK;
    const vg_import_options *options = job->options;
    const double *x = all->out[BAND] ? all->out[BAND] : job->samples;
    int64_t n = vg_resample_length(job->count, job->rate, options->rate);
    double *wide = malloc((size_t)(n + 1) * sizeof *wide);
    float *stored = malloc((size_t)(n + 1) * sizeof *stored);
    if (!wide || !stored) {
        status = vg_fail(VG_ERR_MEMORY, "%s: no memory for %lld samples", job->file, (long long)n);
        goto out;
    }
    if (all->later) VG_TRY_OUT(vg_filter_zero_phase(&all->filter[BAND], job->samples, job->count, NULL));
    if (all->out[BAND]) {
        VG_TRY_OUT(vg_filter_fits(&all->filter[BAND], job->samples, job->count));
        free(job->samples);
        job->samples = NULL;
    }
    VG_TRY_OUT(vg_resample(x, job->count, job->rate, options->rate, wide));
    double sign = options->flip && vg__samples_upside_down(job) ? -1 : 1;
    for (int64_t i = 0; i < n; i++) stored[i] = (float)(sign * wide[i]);
    if (options->drop_bad && !job->overruled[0]) {
        job->dropped = blank_windows(flags, job->quality.windows, window_s, options->rate, stored, n);
        job->dropped_seconds = (double)job->dropped * window_s;
        describe_windows(job, job->windows, sizeof job->windows);
    }
    job->stored = stored;
    job->stored_count = n;
    stored = NULL;
out:
    free(wide);
    free(stored);
    return status;
}

/* Puts straight lines over the runs of missing samples between two that are there, up to the option's length.
 */
static void bridge_gaps(vg__job *job)
{
    double *x = job->samples;
    const int64_t longest = (int64_t)floor(job->options->bridge / 1000 * job->rate * (1 + 1e-9));
    int64_t last = -1; /* that is there */
    for (int64_t i = 0; longest > 0 && i < job->count; i++) {
        if (isnan(x[i])) continue;
        const int64_t missing = i - last - 1;
        if (last >= 0 && missing > 0 && missing <= longest) {
            for (int64_t k = 1; k <= missing; k++)
                x[last + k] = x[last] + (x[i] - x[last]) * (double)k / (double)(missing + 1);
            job->bridged++;
            job->bridged_samples += missing;
        }
        last = i;
    }
}

static vg_status judge_and_process(vg__job *job)
{
    vg_status status = VG_OK;
    vg_rpeaks peaks = {0};
    filtered all = {0};
    vg_quality_options options = vg_quality_default_options();
    int64_t windows = (int64_t)(job->seconds / options.window_s) + 1;
    uint8_t *flags = calloc((size_t)windows + 1, 1);
    if (!flags)
        return vg_fail(VG_ERR_MEMORY, "%s: no memory for %lld windows", job->file, (long long)windows);
    bridge_gaps(job);
    VG_TRY_OUT(run_filters(job, &all));
    VG_TRY_OUT(vg_quality_measure_filtered(job->samples, all.out, job->count, job->rate, &options, flags,
                                           &job->quality, &peaks));
    free_outs(&all, VG_QUALITY_FILTERS);
    if (!usable(job)) {
        job->status = VG_ERR_DATA;
        goto out;
    }
    status = process(job, &all, flags, options.window_s);
    if (status == VG_OK) status = measure(job, &peaks);
    if (status == VG_ERR_DATA) {
        job->status = status;
        snprintf(job->text, sizeof job->text, "%s", vg_cause());
        status = VG_OK;
    }
out:
    free_outs(&all, MOST_FILTERS);
    vg_rpeaks_free(&peaks);
    free(flags);
    return status;
}

void vg__samples_work(vg__job *job)
{
    job->failed = judge_and_process(job);
    if (job->failed != VG_OK) snprintf(job->text, sizeof job->text, "%s", vg_cause());
    free(job->samples);
    job->samples = NULL;
}
