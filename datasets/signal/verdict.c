/* From figures to a word and a sentence. */
#include <math.h>
#include <stdbool.h>
#include <stdio.h>

#include "datasets/signal/quality.h"

/* Gaussian noise has a kurtosis of 3 (and so has ventricular flutter, whose beats are alike); a spike train
 * such as an ECG between 0.8 and 40 Hz of 5 and more. Mains that carries more power than the body does is an
 * open input. */
static const double NOISE_KURTOSIS = 4.5, UNLIKE = 0.6, MAINS_SHARE = 0.5, SLOWEST_BPM = 25,
                    FASTEST_BPM = 240;

const char *vg_verdict_word(vg_verdict verdict)
{
    static const char *const words[] = {
#define WORD(name, word) word,
        VG_VERDICT_MAP(WORD)
#undef WORD
    };
    return words[verdict];
}

/* The kind that most of the unusable windows are of. */
static vg_verdict commonest(const vg_quality *q)
{
    if (q->flat >= q->weak && q->flat >= q->strong) return VG_VERDICT_FLAT;
    return q->weak >= q->strong ? VG_VERDICT_WEAK : VG_VERDICT_STRONG;
}

static vg_verdict judge_windows(const vg_quality *q, char *sentence, size_t size)
{
    long long windows = q->windows;
    vg_verdict verdict = commonest(q);
    if (verdict == VG_VERDICT_FLAT)
        snprintf(sentence, size, "it does not move: %lld of %lld windows hold a flat stretch",
                 (long long)q->flat, windows);
    else if (verdict == VG_VERDICT_WEAK)
        snprintf(sentence, size,
                 "there is next to no signal: %lld of %lld windows stay below 0.05 mV; is the unit right?",
                 (long long)q->weak, windows);
    else
        snprintf(sentence, size,
                 "no heart is that strong: %lld of %lld windows exceed 20 mV; is the unit right?",
                 (long long)q->strong, windows);
    return verdict;
}

/* Whether missing samples are what makes it unusable: they lie in most windows, and the beats would do, or
 * nothing was left to find beats in (filters drop what is between gaps close together). */
static bool is_perforated(const vg_quality *q, double min_index)
{
    const bool beats_do = q->match * q->agreement >= min_index && q->index < min_index &&
                          q->mean_bpm >= SLOWEST_BPM && q->mean_bpm <= FASTEST_BPM;
    return 2 * q->nan > q->windows && (beats_do || q->beats < 4);
}

static vg_verdict judge_unusable(const vg_quality *q, double min_index, char *sentence, size_t size)
{
    if (is_perforated(q, min_index)) {
        snprintf(
            sentence, size,
            "%lld of %lld windows hold a missing sample, %.2g %% of all samples; the import option bridge "
            "fills short gaps",
            (long long)q->nan, (long long)q->windows, 100 * q->nan_share);
        return VG_VERDICT_MISSING;
    }
    if (q->mains_share > MAINS_SHARE) {
        snprintf(sentence, size, "the lead looks disconnected: %.0f %% of the power is mains",
                 100 * q->mains_share);
        return VG_VERDICT_DISCONNECTED;
    }
    if (q->kurtosis < NOISE_KURTOSIS && q->match < UNLIKE) {
        snprintf(sentence, size,
                 "the lead looks disconnected: noise without heart beats (kurtosis %.1f, and two detectors "
                 "agree on %.0f %% of the beats)",
                 q->kurtosis, 100 * q->agreement);
        return VG_VERDICT_DISCONNECTED;
    }
    if (!(q->mean_bpm >= SLOWEST_BPM && q->mean_bpm <= FASTEST_BPM)) {
        snprintf(sentence, size, "no heart beat was found (%lld peaks, at no possible heart rate)",
                 (long long)q->beats);
        return VG_VERDICT_NO_BEATS;
    }
    if (2 * q->clipped > q->windows) {
        snprintf(sentence, size, "the recorder ran into its limits in %lld of %lld windows",
                 (long long)q->clipped, (long long)q->windows);
        return VG_VERDICT_CLIPPED;
    }
    snprintf(
        sentence, size,
        "signal quality %.2f is below %.2f: beats are %.0f %% alike, detectors agree on %.0f %% of them, "
        "%lld of %lld windows are bad",
        q->index, min_index, 100 * q->match, 100 * q->agreement, (long long)q->bad, (long long)q->windows);
    return VG_VERDICT_NOISY;
}

vg_verdict vg_quality_judge(const vg_quality *q, double min_index, char *sentence, size_t size)
{
    if (q->nan_share >= 1 || (q->windows > 0 && q->nan == q->windows && q->nan_share > 0.5)) {
        snprintf(sentence, size,
                 q->nan_share >= 1 ? "none of its samples is a number" : "%.0f %% of its samples are missing",
                 100 * q->nan_share);
        return VG_VERDICT_MISSING;
    }
    if (q->windows > 0 && q->unusable == q->windows) return judge_windows(q, sentence, size);
    /* Mains alone repeats itself so well that it passes for beats, but not for good ones. */
    bool mains = min_index > 0 && q->mains_share > MAINS_SHARE && q->index < UNLIKE;
    if (mains || !(q->index >= min_index)) return judge_unusable(q, min_index, sentence, size);
    if (q->polarity < 0) {
        snprintf(
            sentence, size,
            "QRS and T wave point down: exchanged electrodes, unless the lead is known to look like that");
        return VG_VERDICT_UPSIDE_DOWN;
    }
    snprintf(sentence, size, "signal quality %.2f", q->index);
    return VG_VERDICT_GOOD;
}
