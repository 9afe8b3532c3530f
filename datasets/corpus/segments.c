#include "datasets/corpus/own.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

/* Mean and sum of squared differences of a segment, in two passes; false when a sample is missing. */
static bool measure(const float *samples, int64_t n, double *mean, double *spread)
{
    double sum = 0, squares = 0;
    for (int64_t i = 0; i < n; i++) sum += samples[i];
    if (!isfinite(sum)) return false;
    *mean = sum / (double)n;
    for (int64_t i = 0; i < n; i++) {
        double difference = samples[i] - *mean;
        squares += difference * difference;
    }
    *spread = squares;
    return isfinite(squares);
}

/* The share of samples in runs of three or more equal ones at the largest or smallest value. A saturated
 * amplifier draws such plateaus; the peak of a quantised but healthy wave is three samples wide now and then,
 * far below any sensible share. */
static double clipped_share(const float *samples, int64_t n)
{
    float low = samples[0], high = samples[0];
    for (int64_t i = 1; i < n; i++) {
        if (samples[i] < low) low = samples[i];
        if (samples[i] > high) high = samples[i];
    }
    int64_t clipped = 0;
    for (int64_t i = 0; i < n;) {
        int64_t end = i + 1;
        while (end < n && samples[end] == samples[i]) end++;
        if (end - i >= 3 && (samples[i] == low || samples[i] == high)) clipped += end - i;
        i = end;
    }
    return (double)clipped / (double)n;
}

/* Adds the window at `start` to the segments, or to the count of a reason. */
static void take_window(vg_corpus *corpus, int64_t recording, int64_t start)
{
    const vg_corpus_options *options = &corpus->options;
    const vg_corpus_recording *from = &corpus->recordings[recording];
    const float *samples = corpus->signal + start;
    int64_t n = corpus->segment_length, at = corpus->segment_count;
    double mean, spread;
    if (!measure(samples, n, &mean, &spread)) {
        corpus->dropped.nan++;
    } else if (sqrt(spread / (double)n) < options->flat_below) {
        corpus->dropped.flat++;
    } else if (options->clipped_share < 1 && clipped_share(samples, n) > options->clipped_share) {
        corpus->dropped.clipped++;
    } else {
        corpus->own->mean[at] = mean;
        corpus->own->spread[at] = spread;
        corpus->segments[at] = (vg_segment){.start = start,
                                            .recording = (int32_t)recording,
                                            .subject = from->subject,
                                            .trial = from->trial,
                                            .number = (uint32_t)at,
                                            .label = NAN,
                                            .scale = 1};
        corpus->segment_count++;
    }
}

vg_status vg__corpus_cut(vg_corpus *corpus)
{
    int64_t length = corpus->segment_length, stride = llround(corpus->options.stride * corpus->rate),
            most = 0;
    for (int64_t i = 0; i < corpus->recording_count; i++) {
        const vg_corpus_recording *recording = &corpus->recordings[i];
        if (recording->length >= length)
            most += (recording->length - length) / stride + 1;
        else
            corpus->dropped.short_recordings++;
    }
    if (most > UINT32_MAX) return vg_fail(VG_ERR_UNSUPPORTED, "%" PRId64 " segments in one corpus", most);
    struct vg__corpus_own *own = corpus->own;
    corpus->segments = calloc((size_t)most + 1, sizeof *corpus->segments);
    own->mean = calloc((size_t)most + 1, sizeof *own->mean);
    own->spread = calloc((size_t)most + 1, sizeof *own->spread);
    if (!corpus->segments || !own->mean || !own->spread)
        return vg_fail(VG_ERR_MEMORY, "a table of %" PRId64 " segments", most);
    for (int64_t i = 0; i < corpus->recording_count; i++) {
        vg_corpus_recording *recording = &corpus->recordings[i];
        recording->first_segment = corpus->segment_count;
        for (int64_t start = 0; start + length <= recording->length; start += stride)
            take_window(corpus, i, recording->offset + start);
        recording->segment_count = corpus->segment_count - recording->first_segment;
    }
    if (corpus->segment_count) return VG_OK;
    const vg_corpus_dropped *dropped = &corpus->dropped;
    return vg_fail(VG_ERR_DATA,
                   "no segment of %g s is left of %" PRId64 " recordings: %" PRId64
                   " windows hold NaN, %" PRId64 " are flat (below %g), %" PRId64 " are clipped, %" PRId64
                   " recordings are shorter",
                   corpus->options.seconds, corpus->recording_count, dropped->nan, dropped->flat,
                   corpus->options.flat_below, dropped->clipped, dropped->short_recordings);
}
