#include "datasets/corpus/own.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/log.h"

/* ---- Equal keys become equal numbers ----------------------------------------------------------------- */

struct keyed {
    const char *key;
    int64_t index;
};

static int by_key(const void *left, const void *right)
{
    const struct keyed *a = left, *b = right;
    int order = strcmp(a->key, b->key);
    return order ? order : (a->index > b->index) - (a->index < b->index);
}

/* numbers[i] of every key, counted from 0 in the order in which keys first appear; *count of them. */
static vg_status number_keys(char *const *keys, int64_t n, int32_t *numbers, int64_t *count)
{
    struct keyed *sorted = calloc((size_t)n, sizeof *sorted);
    int64_t *first = calloc((size_t)n, sizeof *first); /* the earliest index with the same key */
    if (!sorted || !first) {
        free(sorted);
        free(first);
        return vg_fail(VG_ERR_MEMORY, "a table of %" PRId64 " recordings", n);
    }
    for (int64_t i = 0; i < n; i++) sorted[i] = (struct keyed){keys[i], i};
    qsort(sorted, (size_t)n, sizeof *sorted, by_key);
    for (int64_t i = 0; i < n; i++) {
        bool same = i > 0 && strcmp(sorted[i].key, sorted[i - 1].key) == 0;
        first[sorted[i].index] = same ? first[sorted[i - 1].index] : sorted[i].index;
    }
    *count = 0;
    for (int64_t i = 0; i < n; i++) numbers[i] = first[i] == i ? (int32_t)(*count)++ : numbers[first[i]];
    free(sorted);
    free(first);
    return VG_OK;
}

/* ---- Recordings -------------------------------------------------------------------------------------- */

static bool wanted(const vg_corpus *corpus, const vg_recording *recording)
{
    return !corpus->options.lead || strcmp(recording->lead, corpus->options.lead) == 0;
}

/* "source:subject", or "source:#file session trial" of an unknown one: two leads of an unknown person are
 * still one person. Without a file name the recording stands alone. */
static char *subject_key(const vg_store_info *info, const vg_recording *recording, int store, int64_t index)
{
    const char *file = recording->source;
    size_t size = strlen(info->source) + strlen(recording->subject) + strlen(file) +
                  strlen(recording->session) + strlen(recording->trial) + 64;
    char *key = malloc(size);
    if (!key) return NULL;
    if (recording->subject[0])
        snprintf(key, size, "%s:%s", info->source, recording->subject);
    else if (file[0])
        snprintf(key, size, "%s:#%s%s%s%s%s", info->source, file, recording->session[0] ? " " : "",
                 recording->session, recording->trial[0] ? " " : "", recording->trial);
    else
        snprintf(key, size, "%s:#%d.%" PRId64, info->source, store, index);
    return key;
}

/* What tells trials apart. The separator cannot be confused with text that people write. */
static char *trial_key(const char *subject, const vg_recording *recording, int store, int64_t index)
{
    size_t size = strlen(subject) + strlen(recording->session) + strlen(recording->trial) +
                  strlen(recording->source) + 64;
    char *key = malloc(size);
    if (!key) return NULL;
    if (recording->source[0] || recording->trial[0])
        snprintf(key, size, "%s\x1f%s\x1f%s\x1f%s", subject, recording->session, recording->trial,
                 recording->source);
    else
        snprintf(key, size, "%s\x1f%d\x1f%" PRId64, subject, store, index);
    return key;
}

static vg_status number_people(vg_corpus *corpus, char **subject_keys, char **trial_keys)
{
    vg_status status = VG_OK;
    int64_t n = corpus->recording_count;
    int32_t *numbers = calloc((size_t)n, sizeof *numbers);
    if (!numbers) return vg_fail(VG_ERR_MEMORY, "a table of %" PRId64 " recordings", n);
    VG_TRY_OUT(number_keys(trial_keys, n, numbers, &corpus->trial_count));
    for (int64_t i = 0; i < n; i++) corpus->recordings[i].trial = numbers[i];
    int64_t subjects;
    VG_TRY_OUT(number_keys(subject_keys, n, numbers, &subjects));
    for (int64_t i = 0; i < n; i++) corpus->recordings[i].subject = numbers[i];
    corpus->subjects = calloc((size_t)subjects, sizeof *corpus->subjects);
    if (!corpus->subjects) {
        status = vg_fail(VG_ERR_MEMORY, "names of %" PRId64 " subjects", subjects);
        goto out;
    }
    corpus->subject_count = subjects;
    for (int64_t i = 0; i < n; i++) {
        char **name = &corpus->subjects[numbers[i]];
        if (*name) continue;
        *name = subject_keys[i]; /* moves */
        subject_keys[i] = NULL;
    }
out:
    free(numbers);
    return status;
}

/* ---- Ratings ----------------------------------------------------------------------------------------- */

static int find_rating(const vg_corpus *corpus, const char *name)
{
    for (int i = 0; i < corpus->rating_count; i++)
        if (strcmp(corpus->rating_names[i], name) == 0) return i;
    return -1;
}

/* The union of the stores' rating names, in order of appearance. */
static vg_status collect_ratings(vg_corpus *corpus)
{
    const struct vg__corpus_own *own = corpus->own;
    size_t most = 1;
    for (int s = 0; s < own->store_count; s++) most += (size_t)vg_store_rating_count(own->stores[s]);
    corpus->rating_names = calloc(most, sizeof *corpus->rating_names);
    if (!corpus->rating_names) return vg_fail(VG_ERR_MEMORY, "names of ratings");
    for (int s = 0; s < own->store_count; s++)
        for (int r = 0; r < vg_store_rating_count(own->stores[s]); r++) {
            const char *name = vg_store_rating_name(own->stores[s], r);
            if (find_rating(corpus, name) >= 0) continue;
            corpus->rating_names[corpus->rating_count] = strdup(name);
            if (!corpus->rating_names[corpus->rating_count])
                return vg_fail(VG_ERR_MEMORY, "names of ratings");
            corpus->rating_count++;
        }
    return VG_OK;
}

static vg_status fill_ratings(vg_corpus *corpus, const int64_t *index_in_store)
{
    struct vg__corpus_own *own = corpus->own;
    size_t count = (size_t)corpus->rating_count;
    own->ratings = calloc((size_t)corpus->recording_count * count + 1, sizeof *own->ratings);
    if (!own->ratings)
        return vg_fail(VG_ERR_MEMORY, "ratings of %" PRId64 " recordings", corpus->recording_count);
    for (int64_t i = 0; i < corpus->recording_count; i++) {
        vg_corpus_recording *recording = &corpus->recordings[i];
        const vg_store *store = own->stores[recording->store];
        double *row = own->ratings + (size_t)i * count;
        const double *from = vg_store_ratings(store, index_in_store[i]);
        recording->ratings = row;
        for (size_t r = 0; r < count; r++) row[r] = NAN;
        for (int r = 0; r < vg_store_rating_count(store); r++)
            row[find_rating(corpus, vg_store_rating_name(store, r))] = from[r];
    }
    return VG_OK;
}

/* ---- Copies ----------------------------------------------------------------------------------------- */

struct print {
    uint64_t fingerprint;
    int64_t recording;
};

static int by_fingerprint(const void *left, const void *right)
{
    const struct print *a = left, *b = right;
    if (a->fingerprint != b->fingerprint) return a->fingerprint < b->fingerprint ? -1 : 1;
    return (a->recording > b->recording) - (a->recording < b->recording);
}

/* Equal samples in two trials end up on both sides of a split; only the user can tell which copy is right. */
static vg_status warn_of_copies(const vg_corpus *corpus, const char *const *paths)
{
    int64_t n = corpus->recording_count, copies = 0, a = 0, b = 0;
    VG_ASSERT(n >= 0);
    struct print *prints = calloc((size_t)n, sizeof *prints);
    if (!prints) return vg_fail(VG_ERR_MEMORY, "a table of %" PRId64 " recordings", n);
    for (int64_t i = 0; i < n; i++) prints[i] = (struct print){corpus->recordings[i].fingerprint, i};
    qsort(prints, (size_t)n, sizeof *prints, by_fingerprint);
    for (int64_t i = 1; i < n; i++) {
        const vg_corpus_recording *one = &corpus->recordings[prints[i - 1].recording];
        const vg_corpus_recording *two = &corpus->recordings[prints[i].recording];
        if (one->fingerprint != two->fingerprint || one->length != two->length || one->trial == two->trial)
            continue;
        if (!copies++) {
            a = prints[i - 1].recording;
            b = prints[i].recording;
        }
    }
    free(prints);
    if (copies)
        vg_warn("%" PRId64
                " recordings have the very samples of another trial, the first being %s in %s and %s in "
                "%s: folds over them leak",
                copies, corpus->recordings[a].source, paths[corpus->recordings[a].store],
                corpus->recordings[b].source, paths[corpus->recordings[b].store]);
    return VG_OK;
}

/* ---- All of it --------------------------------------------------------------------------------------- */

/* Takes the wanted recordings' places and names; *index_in_store, subject and trial keys of each. */
static vg_status list_recordings(vg_corpus *corpus, int64_t *index_in_store, char **subject_keys,
                                 char **trial_keys)
{
    const struct vg__corpus_own *own = corpus->own;
    for (int s = 0; s < own->store_count; s++)
        for (int64_t i = 0; i < vg_store_recording_count(own->stores[s]); i++) {
            const vg_recording *from = vg_store_recording(own->stores[s], i);
            if (!wanted(corpus, from)) {
                corpus->dropped.other_lead++;
                continue;
            }
            int64_t at = corpus->recording_count++;
            index_in_store[at] = i;
            corpus->recordings[at] = (vg_corpus_recording){.store = s,
                                                           .offset = corpus->sample_count,
                                                           .length = from->length,
                                                           .session = from->session,
                                                           .trial_name = from->trial,
                                                           .stimulus = from->stimulus,
                                                           .lead = from->lead,
                                                           .source = from->source,
                                                           .fingerprint = from->fingerprint};
            corpus->sample_count += from->length;
            subject_keys[at] = subject_key(vg_store_get_info(own->stores[s]), from, s, i);
            if (!subject_keys[at]) return vg_fail(VG_ERR_MEMORY, "the name of a subject");
            trial_keys[at] = trial_key(subject_keys[at], from, s, i);
            if (!trial_keys[at]) return vg_fail(VG_ERR_MEMORY, "the name of a trial");
        }
    if (corpus->recording_count) return VG_OK;
    return vg_fail(VG_ERR_DATA, "no recording has the lead '%s'; the first there is has '%s'",
                   corpus->options.lead, vg_store_recording(own->stores[0], 0)->lead);
}

vg_status vg__corpus_load(vg_corpus *corpus, const char *const *paths)
{
    vg_status status = VG_OK;
    const struct vg__corpus_own *own = corpus->own;
    int64_t most = 0;
    for (int s = 0; s < own->store_count; s++) most += vg_store_recording_count(own->stores[s]);
    if (most > INT32_MAX) return vg_fail(VG_ERR_UNSUPPORTED, "%" PRId64 " recordings in one corpus", most);
    int64_t *index_in_store = calloc((size_t)most, sizeof *index_in_store);
    char **subject_keys = calloc((size_t)most, sizeof *subject_keys);
    char **trial_keys = calloc((size_t)most, sizeof *trial_keys);
    corpus->recordings = calloc((size_t)most, sizeof *corpus->recordings);
    if (!index_in_store || !subject_keys || !trial_keys || !corpus->recordings) {
        status = vg_fail(VG_ERR_MEMORY, "a table of %" PRId64 " recordings", most);
        goto out;
    }
    VG_TRY_OUT(list_recordings(corpus, index_in_store, subject_keys, trial_keys));
    VG_TRY_OUT(number_people(corpus, subject_keys, trial_keys));
    VG_TRY_OUT(collect_ratings(corpus));
    VG_TRY_OUT(fill_ratings(corpus, index_in_store));
    VG_TRY_OUT(vg__corpus_load_samples(corpus, index_in_store));
    VG_TRY_OUT(warn_of_copies(corpus, paths));
out:
    for (int64_t i = 0; subject_keys && i < most; i++) free(subject_keys[i]);
    for (int64_t i = 0; trial_keys && i < most; i++) free(trial_keys[i]);
    free(trial_keys);
    free(subject_keys);
    free(index_in_store);
    return status;
}
