#include <string.h>

#include "datasets/store/reader_own.h"

const char *vg_store_path(const vg_store *store)
{
    return store->path;
}

const vg_store_info *vg_store_get_info(const vg_store *store)
{
    return &store->info;
}

int64_t vg_store_recording_count(const vg_store *store)
{
    return store->recording_count;
}

const vg_recording *vg_store_recording(const vg_store *store, int64_t index)
{
    VG_ASSERT(index >= 0 && index < store->recording_count);
    return &store->recordings[index];
}

int64_t vg_store_exclusion_count(const vg_store *store)
{
    return store->exclusion_count;
}

const vg_exclusion *vg_store_exclusion(const vg_store *store, int64_t index)
{
    VG_ASSERT(index >= 0 && index < store->exclusion_count);
    return &store->exclusions[index];
}

const char *vg_exclusion_kind_word(vg_exclusion_kind kind)
{
    static const char *const words[] = {
#define VG_EXCLUSION_WORD(name, word) word,
        VG_EXCLUSION_KINDS(VG_EXCLUSION_WORD)
#undef VG_EXCLUSION_WORD
    };
    VG_ASSERT((int)kind >= 0 && kind < VG_EXCLUSION_KIND_COUNT);
    return words[kind];
}

int vg_store_rating_count(const vg_store *store)
{
    return store->rating_count;
}

const char *vg_store_rating_name(const vg_store *store, int column)
{
    VG_ASSERT(column >= 0 && column < store->rating_count);
    return store->rating_names.text + (size_t)column * store->rating_names.step;
}

const double *vg_store_ratings(const vg_store *store, int64_t index)
{
    VG_ASSERT(index >= 0 && index < store->recording_count);
    return store->ratings + index * store->rating_count;
}

int vg_store_feature_count(const vg_store *store)
{
    return store->feature_count;
}

const char *vg_store_feature_name(const vg_store *store, int column)
{
    VG_ASSERT(column >= 0 && column < store->feature_count);
    return store->feature_names.text + (size_t)column * store->feature_names.step;
}

const double *vg_store_features(const vg_store *store, int64_t index)
{
    VG_ASSERT(index >= 0 && index < store->recording_count);
    return store->features ? store->features + index * store->feature_count : NULL;
}

bool vg_store_has_beats(const vg_store *store)
{
    return store->has_beats;
}

const double *vg_store_beats(const vg_store *store, int64_t index, int64_t *count)
{
    VG_ASSERT(index >= 0 && index < store->recording_count);
    *count = 0;
    if (!store->has_beats) return NULL;
    int64_t start = index ? store->beat_end[index - 1] : 0;
    *count = store->beat_end[index] - start;
    return store->beats + start;
}

int64_t vg_store_sample_count(const vg_store *store)
{
    return store->samples;
}

const char *vg_store_note(const vg_store *store, const char *key)
{
    for (int i = 0; i < store->note_count; i++)
        if (strcmp(store->notes[i].key, key) == 0) return store->notes[i].value;
    return NULL;
}

int vg_store_note_count(const vg_store *store)
{
    return store->note_count;
}

const char *vg_store_note_key(const vg_store *store, int index)
{
    VG_ASSERT(index >= 0 && index < store->note_count);
    return store->notes[index].key;
}
