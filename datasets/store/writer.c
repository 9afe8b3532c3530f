#include "datasets/store/store.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "datasets/store/writer_own.h"

/* ---- Memory ---------------------------------------------------------------------------------------- */

/* A copy of `text` ("" for NULL) into *out; what `*out` held before is freed. */
static vg_status replace_text(const char **out, const char *text)
{
    char *copy = strdup(text ? text : "");
    if (!copy) return vg_fail(VG_ERR_MEMORY, "a text of a store");
    free((char *)*out);
    *out = copy;
    return VG_OK;
}

static vg_status check_text(const vg_store_writer *writer, const char *text, const char *field)
{
    if (!text || strlen(text) <= VG_STORE_MAX_TEXT) return VG_OK;
    return vg_fail(VG_ERR_CONFIG, "%s: a recording's %s is %zu bytes long, more than %d", writer->path, field,
                   strlen(text), VG_STORE_MAX_TEXT);
}

vg_status vg__store_grow(void **items, int64_t count, int64_t *capacity, size_t size)
{
    if (count < *capacity) return VG_OK;
    int64_t wanted = *capacity ? 2 * *capacity : 64;
    void *grown = realloc(*items, (size_t)wanted * size);
    if (!grown) return vg_fail(VG_ERR_MEMORY, "a table of %lld rows", (long long)wanted);
    *items = grown;
    *capacity = wanted;
    return VG_OK;
}

static void free_recording(vg_recording *recording)
{
#define FREE_FIELD(field) free((char *)recording->field);
    VG_RECORDING_TEXTS(FREE_FIELD)
#undef FREE_FIELD
}

static void free_exclusion(vg_exclusion *exclusion)
{
#define FREE_FIELD(field) free((char *)exclusion->field);
    VG_EXCLUSION_TEXTS(FREE_FIELD)
#undef FREE_FIELD
}

static void free_info(vg_store_info *info)
{
#define FREE_FIELD(field) free((char *)info->field);
    VG_STORE_TEXTS(FREE_FIELD)
#undef FREE_FIELD
}

static void free_writer(vg_store_writer *writer)
{
    for (int i = 0; writer->rating_names && i < writer->rating_count; i++) free(writer->rating_names[i]);
    for (int64_t i = 0; i < writer->recording_count; i++) free_recording(&writer->recordings[i]);
    for (int64_t i = 0; i < writer->exclusion_count; i++) free_exclusion(&writer->exclusions[i]);
    for (int i = 0; i < writer->note_count; i++) {
        free(writer->notes[i].key);
        free(writer->notes[i].value);
    }
    for (int i = 0; writer->feature_names && i < writer->feature_count; i++) free(writer->feature_names[i]);
    free_info(&writer->info);
    free(writer->beat_end);
    free(writer->beats);
    free(writer->features);
    free(writer->feature_names);
    free(writer->notes);
    free(writer->exclusions);
    free(writer->recordings);
    free(writer->ratings);
    free(writer->rating_names);
    free(writer->waiting);
    free(writer->temporary);
    free(writer->path);
    free(writer);
}

vg_status vg__store_copy_names(const vg_store_writer *writer, const char *what, const char *const *names,
                               int count, char ***copies, int *copied)
{
    if (count < 0 || count > VG_STORE_MAX_RATINGS)
        return vg_fail(VG_ERR_CONFIG, "%s: %d %ss; a store holds up to %d", writer->path, count, what,
                       VG_STORE_MAX_RATINGS);
    *copies = calloc((size_t)count + 1, sizeof **copies);
    if (!*copies) return vg_fail(VG_ERR_MEMORY, "names of %d %ss", count, what);
    for (int i = 0; i < count; i++) {
        if (!names[i] || !names[i][0] || strlen(names[i]) > VG_STORE_MAX_TEXT)
            return vg_fail(VG_ERR_CONFIG, "%s: %s %d has no usable name", writer->path, what, i);
        for (int j = 0; j < i; j++)
            if (strcmp(names[i], names[j]) == 0)
                return vg_fail(VG_ERR_CONFIG, "%s: the %s %s is named twice", writer->path, what, names[i]);
        (*copies)[i] = strdup(names[i]);
        if (!(*copies)[i]) return vg_fail(VG_ERR_MEMORY, "the name of a %s", what);
        *copied = i + 1;
    }
    return VG_OK;
}

vg_status vg_store_writer_create(const char *path, bool overwrite, const char *const *rating_names,
                                 int rating_count, vg_store_writer **out)
{
    vg_status status = VG_OK;
    *out = NULL;
    vg_store_writer *writer = calloc(1, sizeof *writer);
    if (!writer) return vg_fail(VG_ERR_MEMORY, "the writer of %s", path);
    writer->hdf5 = writer->descriptor = -1;
    writer->overwrite = overwrite;
    writer->path = strdup(path);
    if (!writer->path) {
        status = vg_fail(VG_ERR_MEMORY, "the writer of %s", path);
        goto out;
    }
    VG_TRY_OUT(vg__store_copy_names(writer, "rating", rating_names, rating_count, &writer->rating_names,
                                    &writer->rating_count));
    status = vg__store_file_create(writer);
out:
    if (status != VG_OK)
        vg_store_writer_abandon(writer);
    else
        *out = writer;
    return status;
}

/* ---- Filling ----------------------------------------------------------------------------------------- */

vg_status vg_store_writer_describe(vg_store_writer *writer, const vg_store_info *info)
{
    VG_TRY(vg__store_info_check(info, writer->path));
    vg_store_info copy = *info;
    vg_status status = VG_OK;
#define FORGET(field) copy.field = NULL;
    VG_STORE_TEXTS(FORGET)
#undef FORGET
#define COPY(field) VG_TRY_OUT(replace_text(&copy.field, info->field));
    VG_STORE_TEXTS(COPY)
#undef COPY
    free_info(&writer->info);
    writer->info = copy;
    writer->described = true;
    return VG_OK;
out:
    free_info(&copy);
    return status;
}

vg_status vg_store_writer_note(vg_store_writer *writer, const char *key, const char *value)
{
    const char *allowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_";
    if (!key[0] || strlen(key) > 255 || key[strspn(key, allowed)])
        return vg_fail(VG_ERR_CONFIG, "%s: '%s' is no key for a note: letters, digits and _ only",
                       writer->path, key);
    if (strlen(value) > VG_STORE_MAX_TEXT)
        return vg_fail(VG_ERR_CONFIG, "%s: the note %s is %zu bytes long, more than %d", writer->path, key,
                       strlen(value), VG_STORE_MAX_TEXT);
    char *new_value = strdup(value), *new_key = strdup(key);
    struct note *grown = NULL;
    for (int i = 0; new_value && i < writer->note_count; i++) {
        if (strcmp(writer->notes[i].key, key) != 0) continue;
        free(writer->notes[i].value);
        writer->notes[i].value = new_value;
        free(new_key);
        return VG_OK;
    }
    if (new_value && new_key)
        grown = realloc(writer->notes, ((size_t)writer->note_count + 1) * sizeof *grown);
    if (!grown) {
        free(new_value);
        free(new_key);
        return vg_fail(VG_ERR_MEMORY, "a note of %s", writer->path);
    }
    writer->notes = grown;
    writer->notes[writer->note_count++] = (struct note){new_key, new_value};
    return VG_OK;
}

static vg_status check_samples(const vg_store_writer *writer, const vg_recording *recording,
                               const float *samples)
{
    const char *source = recording->source ? recording->source : "?";
    if (recording->length <= 0 || recording->length > INT64_MAX / 8 - writer->samples)
        return vg_fail(VG_ERR_DATA, "%s: the recording from %s has %lld samples", writer->path, source,
                       (long long)recording->length);
    int infinite = 0; /* of all at once, which takes vector instructions; the place only when there is one */
    for (int64_t i = 0; i < recording->length; i++) infinite |= fabsf(samples[i]) > FLT_MAX;
    for (int64_t i = 0; infinite && i < recording->length; i++)
        if (isinf(samples[i]))
            return vg_fail(VG_ERR_DATA, "%s: sample %lld of the recording from %s is infinite", writer->path,
                           (long long)i, source);
    return VG_OK;
}

/* Grows the table of ratings together with the recordings; both have the same capacity. */
static vg_status reserve_recording(vg_store_writer *writer)
{
    int64_t before = writer->recording_capacity;
    VG_TRY(vg__store_grow((void **)&writer->recordings, writer->recording_count, &writer->recording_capacity,
                          sizeof *writer->recordings));
    if (writer->recording_capacity == before || !writer->rating_count) return VG_OK;
    double *grown = realloc(writer->ratings, (size_t)writer->recording_capacity *
                                                 (size_t)writer->rating_count * sizeof *grown);
    if (!grown) {
        writer->recording_capacity = before;
        return vg_fail(VG_ERR_MEMORY, "ratings of %s", writer->path);
    }
    writer->ratings = grown;
    return VG_OK;
}

vg_status vg_store_writer_add(vg_store_writer *writer, const vg_recording *recording, const float *samples,
                              const double *ratings)
{
    vg_status status = VG_OK;
    VG_TRY(check_samples(writer, recording, samples));
    for (int i = 0; ratings && i < writer->rating_count; i++)
        if (isinf(ratings[i]))
            return vg_fail(VG_ERR_DATA, "%s: the rating %s of the recording from %s is infinite",
                           writer->path, writer->rating_names[i],
                           recording->source ? recording->source : "?");
#define CHECK(field) VG_TRY(check_text(writer, recording->field, #field));
    VG_RECORDING_TEXTS(CHECK)
#undef CHECK
    VG_TRY(reserve_recording(writer));
    vg_recording copy = {.offset = writer->samples,
                         .length = recording->length,
                         .fingerprint = vg_fingerprint(samples, recording->length)};
#define COPY(field) VG_TRY_OUT(replace_text(&copy.field, recording->field));
    VG_RECORDING_TEXTS(COPY)
#undef COPY
    VG_TRY_OUT(vg__store_file_append(writer, samples, recording->length));
    for (int i = 0; i < writer->rating_count; i++)
        writer->ratings[writer->recording_count * writer->rating_count + i] = ratings ? ratings[i] : NAN;
    writer->recordings[writer->recording_count++] = copy;
    return VG_OK;
out:
    free_recording(&copy);
    return status;
}

vg_status vg_store_writer_exclude(vg_store_writer *writer, const vg_exclusion *exclusion)
{
    vg_status status = VG_OK;
#define CHECK(field) VG_TRY(check_text(writer, exclusion->field, "exclusion's " #field));
    VG_EXCLUSION_TEXTS(CHECK)
#undef CHECK
    VG_TRY(vg__store_grow((void **)&writer->exclusions, writer->exclusion_count, &writer->exclusion_capacity,
                          sizeof *writer->exclusions));
    vg_exclusion copy = {.kind = exclusion->kind, .seconds = exclusion->seconds};
#define COPY(field) VG_TRY_OUT(replace_text(&copy.field, exclusion->field));
    VG_EXCLUSION_TEXTS(COPY)
#undef COPY
    writer->exclusions[writer->exclusion_count++] = copy;
    return VG_OK;
out:
    free_exclusion(&copy);
    return status;
}

int64_t vg_store_writer_count(const vg_store_writer *writer)
{
    return writer->recording_count;
}

/* ---- The end ----------------------------------------------------------------------------------------- */

vg_status vg_store_writer_finish(vg_store_writer *writer)
{
    vg_status status = VG_OK;
    VG_ASSERT(writer->described);
    if (!writer->recording_count) {
        status =
            vg_fail(VG_ERR_DATA, "%s: not written, since there is no recording to put in (%lld excluded)",
                    writer->path, (long long)writer->exclusion_count);
        goto out;
    }
    if (writer->measures) VG_TRY_OUT(vg__store_complete_measures(writer));
    VG_TRY_OUT(vg__store_file_finish(writer));
    free_writer(writer);
    return VG_OK;
out:
    vg_store_writer_abandon(writer);
    return status;
}

void vg_store_writer_abandon(vg_store_writer *writer)
{
    if (!writer) return;
    vg__store_file_discard(writer);
    free_writer(writer);
}
