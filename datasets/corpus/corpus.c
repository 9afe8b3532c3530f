#include "datasets/corpus/corpus.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "datasets/corpus/own.h"

vg_corpus_options vg_corpus_options_default(void)
{
    return (vg_corpus_options){.seconds = 10, .flat_below = 0.001, .clipped_share = 0.05};
}

static vg_status check_options(const vg_corpus_options *options)
{
    if (!(options->seconds > 0 && options->seconds <= 86400))
        return vg_fail(VG_ERR_CONFIG, "a segment of %g s cannot be; give between 0 and 86400",
                       options->seconds);
    if (!(options->stride >= 0 && options->stride <= 86400))
        return vg_fail(VG_ERR_CONFIG, "a stride of %g s cannot be; give between 0 (no overlap) and 86400",
                       options->stride);
    if (!(options->flat_below >= 0 && isfinite(options->flat_below)))
        return vg_fail(VG_ERR_CONFIG,
                       "flat_below is %g; give a standard deviation, or 0 to keep flat segments",
                       options->flat_below);
    if (!(options->clipped_share >= 0 && options->clipped_share <= 1))
        return vg_fail(VG_ERR_CONFIG, "clipped_share is %g; give between 0 and 1 (1 keeps clipped segments)",
                       options->clipped_share);
    return VG_OK;
}

/* A length in samples; the product must be whole, or segments of two rates would differ in time. */
static vg_status whole_samples(double seconds, double rate, const char *name, int64_t *out)
{
    double samples = seconds * rate;
    if (fabs(samples - nearbyint(samples)) > 1e-6 * samples || samples < 1)
        return vg_fail(VG_ERR_CONFIG,
                       "%s of %g s at %g Hz is %g samples; choose one that is a whole number of them", name,
                       seconds, rate, samples);
    *out = llround(samples);
    return VG_OK;
}

static vg_status refuse_twice(const char *const *paths, int count)
{
    for (int i = 0; i < count; i++) {
        struct stat a, b;
        if (stat(paths[i], &a) != 0) continue; /* the reader will say so */
        for (int j = 0; j < i; j++)
            if (stat(paths[j], &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino)
                return vg_fail(VG_ERR_CONFIG, "%s and %s are the same store; name it once", paths[j],
                               paths[i]);
    }
    return VG_OK;
}

static vg_status open_stores(vg_corpus *corpus, const char *const *paths, int count)
{
    struct vg__corpus_own *own = corpus->own;
    own->stores = calloc((size_t)count, sizeof *own->stores);
    if (!own->stores) return vg_fail(VG_ERR_MEMORY, "a corpus of %d stores", count);
    for (int i = 0; i < count; i++) {
        VG_TRY(vg_store_open(paths[i], &own->stores[i]));
        corpus->store_count = own->store_count = i + 1;
    }
    return VG_OK;
}

/* Appends a source's name to the list unless it is there; a list that is too long ends in dots. */
static void join_source(char *list, size_t size, const char *name)
{
    size_t length = strlen(name), used = strlen(list);
    for (const char *at = list; (at = strstr(at, name)) != NULL; at++)
        if ((at == list || at[-1] == ' ') && (at[length] == 0 || at[length] == ',')) return;
    const char *dots = ", ...";
    if (used >= strlen(dots) && strcmp(list + used - strlen(dots), dots) == 0) return;
    if (used + 2 + length + strlen(dots) >= size)
        memcpy(list + used, dots, strlen(dots) + 1);
    else {
        memcpy(list + used, ", ", 2);
        memcpy(list + used + 2, name, length + 1);
    }
}

static vg_status take_lead(const char *lead, vg_preprocessing *out)
{
    out->lead_known = true;
    if (snprintf(out->lead, sizeof out->lead, "%s", lead ? lead : "") < (int)sizeof out->lead) return VG_OK;
    return vg_fail(VG_ERR_CONFIG, "the name of the lead is longer than %zu bytes: %.80s...",
                   sizeof out->lead - 1, lead);
}

/* All stores must have been preprocessed as the first one was. */
static vg_status agree(vg_corpus *corpus, const char *const *paths)
{
    const struct vg__corpus_own *own = corpus->own;
    vg_preprocessing *first = &corpus->preprocessing;
    for (int i = 0; i < own->store_count; i++) {
        const vg_store_info *info = vg_store_get_info(own->stores[i]);
        vg_preprocessing one;
        vg_status status = vg_preprocessing_from_store(info, &one);
        if (status != VG_OK) return vg_context(status, "%s", paths[i]);
        one.seconds = corpus->options.seconds;
        one.stride = corpus->options.stride;
        VG_TRY(take_lead(corpus->options.lead, &one));
        if (i == 0) *first = one;
        VG_TRY(vg_preprocessing_check(first, paths[0], &one, paths[i]));
        if (i == 0) continue;
        join_source(first->sources, sizeof first->sources, info->source);
        first->synthetic |= info->synthetic;
        if (strcmp(first->resampling, one.resampling) != 0) memcpy(first->resampling, "mixed", 6);
        if (strcmp(first->polarity, one.polarity) != 0) memcpy(first->polarity, "mixed", 6);
    }
    corpus->rate = first->rate;
    return VG_OK;
}

vg_status vg_corpus_create(const char *const *paths, int path_count, const vg_corpus_options *options,
                           vg_corpus **out)
{
    vg_status status = VG_OK;
    *out = NULL;
    if (path_count < 1) return vg_fail(VG_ERR_CONFIG, "no store is named; give at least one");
    VG_TRY(check_options(options));
    VG_TRY(refuse_twice(paths, path_count));
    vg_corpus *corpus = calloc(1, sizeof *corpus);
    if (corpus) corpus->own = calloc(1, sizeof *corpus->own);
    if (!corpus || !corpus->own) {
        free(corpus);
        return vg_fail(VG_ERR_MEMORY, "a corpus");
    }
    corpus->options = *options;
    corpus->options.lead = NULL;
    if (corpus->options.stride == 0) corpus->options.stride = options->seconds;
    if (options->lead) {
        corpus->options.lead = corpus->own->lead = strdup(options->lead);
        if (!corpus->own->lead) {
            status = vg_fail(VG_ERR_MEMORY, "a corpus");
            goto out;
        }
    }
    int64_t stride;
    VG_TRY_OUT(open_stores(corpus, paths, path_count));
    VG_TRY_OUT(agree(corpus, paths));
    VG_TRY_OUT(whole_samples(options->seconds, corpus->rate, "a segment", &corpus->segment_length));
    VG_TRY_OUT(whole_samples(corpus->options.stride, corpus->rate, "a stride", &stride));
    VG_TRY_OUT(vg__corpus_load(corpus, paths));
    VG_TRY_OUT(vg__corpus_cut(corpus));
    vg__corpus_samples_at_random(corpus);
    VG_TRY_OUT(vg_corpus_normalize(corpus, VG_NORMALIZE_NONE, NULL, 0, NULL));
out:
    if (status != VG_OK)
        vg_corpus_destroy(corpus);
    else
        *out = corpus;
    return status;
}

void vg_corpus_destroy(vg_corpus *corpus)
{
    if (!corpus) return;
    struct vg__corpus_own *own = corpus->own;
    for (int i = 0; i < own->store_count; i++) vg_store_close(own->stores[i]);
    for (int64_t i = 0; corpus->subjects && i < corpus->subject_count; i++) free(corpus->subjects[i]);
    for (int i = 0; corpus->rating_names && i < corpus->rating_count; i++) free(corpus->rating_names[i]);
    free(own->stores);
    free(own->lead);
    free(own->ratings);
    free(own->mean);
    free(own->spread);
    free(own);
    free(corpus->subjects);
    free(corpus->rating_names);
    free(corpus->segments);
    free(corpus->recordings);
    vg__corpus_free_samples(corpus);
    free(corpus);
}

void vg_corpus_segment(const vg_corpus *corpus, int64_t segment, float *out)
{
    VG_ASSERT(segment >= 0 && segment < corpus->segment_count);
    const vg_segment *which = &corpus->segments[segment];
    const float *samples = corpus->signal + which->start;
    double mean = which->mean, scale = which->scale;
    for (int64_t t = 0; t < corpus->segment_length; t++) out[t] = (float)((samples[t] - mean) * scale);
}

/* FNV-1a over words of 8 bytes, with the high bits brought down, which its product leaves out. */
static uint64_t mix(uint64_t hash, uint64_t word)
{
    hash = (hash ^ word) * 1099511628211u;
    return hash ^ hash >> 32;
}

uint64_t vg_corpus_fingerprint(const vg_corpus *corpus)
{
    uint64_t hash = mix(14695981039346656037u, (uint64_t)corpus->segment_length);
    for (int64_t r = 0; r < corpus->recording_count; r++) {
        const vg_corpus_recording *recording = &corpus->recordings[r];
        hash = mix(mix(hash, recording->fingerprint), (uint64_t)recording->length);
        for (const char *c = corpus->subjects[recording->subject]; *c; c++) hash = mix(hash, (uint64_t)*c);
        for (int i = 0; i < corpus->rating_count; i++) {
            uint64_t bits;
            memcpy(&bits, &recording->ratings[i], sizeof bits);
            hash = mix(hash, bits);
        }
    }
    /* Where each would start if recordings stood end to end, as they do in memory and in no mapped file. */
    int64_t before = 0;
    for (int64_t r = 0; r < corpus->recording_count; r++) {
        const vg_corpus_recording *recording = &corpus->recordings[r];
        const vg_segment *segments = corpus->segments + recording->first_segment;
        for (int64_t s = 0; s < recording->segment_count; s++)
            hash = mix(hash, (uint64_t)(before + segments[s].start - recording->offset));
        before += recording->length;
    }
    return hash;
}
