/* The tables of an open store: recordings, ratings, exclusions, what was measured, notes. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "datasets/store/hdf5.h"
#include "datasets/store/reader_own.h"

/* Recordings stand in the order of their offsets and do not overlap: two recordings that shared samples could
 * end up on both sides of a split. */
static vg_status check_offsets(const vg_store *store)
{
    int64_t end = 0;
    for (int64_t i = 0; i < store->recording_count; i++) {
        const vg_recording *recording = &store->recordings[i];
        if (recording->length <= 0 || recording->offset < end ||
            recording->offset > store->samples - recording->length)
            return vg_fail(VG_ERR_FORMAT,
                           "%s: recording %" PRId64 " (%s) stands at offset %" PRId64 " with %" PRId64
                           " samples; samples %" PRId64 " to %" PRId64 " are free: " VG__STORE_DAMAGED,
                           store->path, i, recording->source, recording->offset, recording->length, end,
                           store->samples);
        end = recording->offset + recording->length;
    }
    return VG_OK;
}

static vg_status read_recordings(vg_store *store)
{
    int64_t n, *numbers = NULL;
    vg_status status = VG_OK;
    VG_TRY(vg__store_get_rows(store, "recordings/offset", H5T_INTEGER, &n));
    if (!n || !store->samples)
        return vg_fail(VG_ERR_DATA,
                       "%s: the store is empty: no recordings; see its exclusions for the reasons",
                       store->path);
    if (n > store->samples)
        return vg_fail(VG_ERR_FORMAT, "%s: %" PRId64 " recordings in %" PRId64 " samples: " VG__STORE_DAMAGED,
                       store->path, n, store->samples);
    store->recordings = calloc((size_t)n, sizeof *store->recordings);
    numbers = calloc((size_t)n, sizeof *numbers);
    if (!store->recordings || !numbers) {
        status = vg_fail(VG_ERR_MEMORY, "%s: a table of %" PRId64 " recordings", store->path, n);
        goto out;
    }
    store->recording_count = n;
    VG_TRY_OUT(vg__store_get_numbers(store, "recordings/offset", H5T_INTEGER, H5T_NATIVE_INT64, n, numbers));
    for (int64_t i = 0; i < n; i++) store->recordings[i].offset = numbers[i];
    VG_TRY_OUT(vg__store_get_numbers(store, "recordings/length", H5T_INTEGER, H5T_NATIVE_INT64, n, numbers));
    for (int64_t i = 0; i < n; i++) store->recordings[i].length = numbers[i];
    VG_TRY_OUT(
        vg__store_get_numbers(store, "recordings/fingerprint", H5T_INTEGER, H5T_NATIVE_UINT64, n, numbers));
    for (int64_t i = 0; i < n; i++) memcpy(&store->recordings[i].fingerprint, &numbers[i], sizeof numbers[i]);
    int column = 0;
#define READ_COLUMN(field)                                                                                   \
    VG_TRY_OUT(vg__store_get_texts(store, "recordings/" #field, &n, &store->recording_texts[column]));       \
    for (int64_t i = 0; i < n; i++)                                                                          \
        store->recordings[i].field =                                                                         \
            store->recording_texts[column].text + (size_t)i * store->recording_texts[column].step;           \
    column++;
    VG_RECORDING_TEXTS(READ_COLUMN)
#undef READ_COLUMN
    status = check_offsets(store);
out:
    free(numbers);
    return status;
}

/* A table of numbers by recording with a column for each name: /ratings or /features. */
static vg_status read_columns(vg_store *store, const char *group, struct vg__store_column *names,
                              int *columns, double **values)
{
    int64_t count = -1, n = store->recording_count;
    hid_t dataset;
    hsize_t dims[2];
    size_t element;
    char path[32];
    vg_status status = VG_OK;
    snprintf(path, sizeof path, "%s/names", group);
    VG_TRY(vg__store_get_texts(store, path, &count, names));
    if (count > VG_STORE_MAX_RATINGS)
        return vg_fail(VG_ERR_FORMAT, "%s: %" PRId64 " %s; a store holds up to %d", store->path, count, group,
                       VG_STORE_MAX_RATINGS);
    for (int64_t i = 0; i < count; i++)
        for (int64_t j = 0; j < i; j++)
            if (strcmp(names->text + (size_t)i * names->step, names->text + (size_t)j * names->step) == 0)
                return vg_fail(VG_ERR_FORMAT, "%s: /%s names %s twice", store->path, group,
                               names->text + (size_t)i * names->step);
    *columns = (int)count;
    snprintf(path, sizeof path, "%s/values", group);
    VG_TRY(vg__store_open_dataset(store, path, 2, H5T_FLOAT, &dataset, dims, &element));
    if (dims[0] != (hsize_t)n || dims[1] != (hsize_t)count) {
        status = vg_fail(
            VG_ERR_FORMAT, "%s: dataset /%s is %llu x %llu for %" PRId64 " recordings and %" PRId64 " names",
            store->path, path, (unsigned long long)dims[0], (unsigned long long)dims[1], n, count);
        goto out;
    }
    *values = calloc((size_t)n * (size_t)count + 1, sizeof **values);
    if (!*values) {
        status = vg_fail(VG_ERR_MEMORY, "%s: dataset /%s", store->path, path);
        goto out;
    }
    if (count && H5Dread(dataset, H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, *values) < 0) {
        status = vg__hdf5_fail(VG_ERR_FORMAT, "%s: dataset /%s: " VG__STORE_DAMAGED, store->path, path);
        goto out;
    }
    for (int64_t i = 0; i < n * count && status == VG_OK; i++)
        if (isinf((*values)[i]))
            status = vg_fail(VG_ERR_FORMAT, "%s: /%s: row %" PRId64 " is infinite in column %s", store->path,
                             path, i / count, names->text + (size_t)(i % count) * names->step);
out:
    H5Dclose(dataset);
    return status;
}

static vg_status read_ratings(vg_store *store)
{
    return read_columns(store, "ratings", &store->rating_names, &store->rating_count, &store->ratings);
}

/* Beats rise within their recording and lie inside it. */
static vg_status check_beats(const vg_store *store, int64_t total)
{
    int64_t k = 0;
    for (int64_t i = 0; i < store->recording_count; i++) {
        double last = -1;
        if (store->beat_end[i] < k || store->beat_end[i] > total)
            return vg_fail(VG_ERR_FORMAT,
                           "%s: /beats/end: row %" PRId64 " is %" PRId64 " of %" PRId64
                           ": " VG__STORE_DAMAGED,
                           store->path, i, store->beat_end[i], total);
        for (; k < store->beat_end[i]; k++) {
            double at = store->beats[k];
            if (!(at > last && at <= (double)store->recordings[i].length))
                return vg_fail(VG_ERR_FORMAT,
                               "%s: /beats/position: row %" PRId64
                               " is %g, which cannot be: " VG__STORE_DAMAGED,
                               store->path, k, at);
            last = at;
        }
    }
    return VG_OK;
}

/* What was measured at import; stores from before that do not have it. */
static vg_status read_measures(vg_store *store)
{
    int64_t total, n = store->recording_count;
    htri_t features = H5Lexists(store->hdf5, "features", H5P_DEFAULT),
           beats = H5Lexists(store->hdf5, "beats", H5P_DEFAULT);
    if (features < 0 || beats < 0)
        return vg__hdf5_fail(VG_ERR_FORMAT, "%s: its list of groups: " VG__STORE_DAMAGED, store->path);
    if (features)
        VG_TRY(
            read_columns(store, "features", &store->feature_names, &store->feature_count, &store->features));
    if (!beats) return VG_OK;
    VG_TRY(vg__store_get_rows(store, "beats/position", H5T_FLOAT, &total));
    store->beat_end = calloc((size_t)n, sizeof *store->beat_end);
    store->beats = calloc((size_t)total + 1, sizeof *store->beats);
    if (!store->beat_end || !store->beats)
        return vg_fail(VG_ERR_MEMORY, "%s: a table of %" PRId64 " beats", store->path, total);
    VG_TRY(vg__store_get_numbers(store, "beats/end", H5T_INTEGER, H5T_NATIVE_INT64, n, store->beat_end));
    VG_TRY(vg__store_get_numbers(store, "beats/position", H5T_FLOAT, H5T_NATIVE_DOUBLE, total, store->beats));
    store->has_beats = true;
    return check_beats(store, total);
}

/* The words of the kinds, as numbers. */
static vg_status read_kinds(vg_store *store, int64_t n)
{
    static const char *const at = "exclusions/kind";
    struct vg__store_column words = {0};
    vg_status status = vg__store_get_texts(store, at, &n, &words);
    for (int64_t i = 0; status == VG_OK && i < n; i++) {
        const char *word = words.text + (size_t)i * words.step;
        int kind = 0;
        while (kind < VG_EXCLUSION_KIND_COUNT && strcmp(word, vg_exclusion_kind_word(kind)) != 0) kind++;
        store->exclusions[i].kind = kind;
        if (kind == VG_EXCLUSION_KIND_COUNT)
            status = vg_fail(VG_ERR_FORMAT, "%s: %s: \"%.40s\" is none of the known: " VG__STORE_DAMAGED,
                             store->path, at, word);
    }
    free(words.text);
    return status;
}

static vg_status read_exclusions(vg_store *store)
{
    int64_t n = -1;
    double *seconds = NULL;
    vg_status status = VG_OK;
    VG_TRY(vg__store_get_rows(store, "exclusions/seconds", H5T_FLOAT, &n));
    store->exclusions = calloc(n ? (size_t)n : 1, sizeof *store->exclusions);
    seconds = calloc(n ? (size_t)n : 1, sizeof *seconds);
    if (!store->exclusions || !seconds) {
        status = vg_fail(VG_ERR_MEMORY, "%s: a table of %" PRId64 " exclusions", store->path, n);
        goto out;
    }
    store->exclusion_count = n;
    VG_TRY_OUT(vg__store_get_numbers(store, "exclusions/seconds", H5T_FLOAT, H5T_NATIVE_DOUBLE, n, seconds));
    for (int64_t i = 0; i < n; i++) store->exclusions[i].seconds = seconds[i];
    VG_TRY_OUT(read_kinds(store, n));
    int column = 0;
#define READ_COLUMN(field)                                                                                   \
    VG_TRY_OUT(vg__store_get_texts(store, "exclusions/" #field, &n, &store->exclusion_texts[column]));       \
    for (int64_t i = 0; i < n; i++)                                                                          \
        store->exclusions[i].field =                                                                         \
            store->exclusion_texts[column].text + (size_t)i * store->exclusion_texts[column].step;           \
    column++;
    VG_EXCLUSION_TEXTS(READ_COLUMN)
#undef READ_COLUMN
out:
    free(seconds);
    return status;
}

static vg_status read_note(vg_store *store, hid_t group, int index)
{
    char key[256];
    ssize_t length = H5Aget_name_by_idx(group, ".", H5_INDEX_NAME, H5_ITER_INC, (hsize_t)index, key,
                                        sizeof key, H5P_DEFAULT);
    if (length < 0 || (size_t)length >= sizeof key)
        return vg__hdf5_fail(VG_ERR_FORMAT, "%s: note %d has no usable key: " VG__STORE_DAMAGED, store->path,
                             index);
    char *value;
    VG_TRY(vg__store_get_text(store, group, key, &value));
    store->notes[index].value = value;
    store->notes[index].key = strdup(key);
    store->note_count = index + 1;
    if (!store->notes[index].key) return vg_fail(VG_ERR_MEMORY, "%s: note %s", store->path, key);
    return VG_OK;
}

static vg_status read_notes(vg_store *store)
{
    vg_status status = VG_OK;
    H5O_info_t about;
    hid_t group = H5Gopen2(store->hdf5, "notes", H5P_DEFAULT);
    if (group < 0 || H5Oget_info2(group, &about, H5O_INFO_NUM_ATTRS) < 0 || about.num_attrs > 10000) {
        status = vg__hdf5_fail(VG_ERR_FORMAT, "%s: group /notes: " VG__STORE_DAMAGED, store->path);
        goto out;
    }
    store->notes = calloc((size_t)about.num_attrs + 1, sizeof *store->notes);
    if (!store->notes) {
        status = vg_fail(VG_ERR_MEMORY, "%s: %d notes", store->path, (int)about.num_attrs);
        goto out;
    }
    for (int i = 0; i < (int)about.num_attrs; i++) VG_TRY_OUT(read_note(store, group, i));
out:
    if (group >= 0) H5Gclose(group);
    return status;
}

vg_status vg__store_read_tables(vg_store *store)
{
    VG_TRY(read_recordings(store));
    VG_TRY(read_ratings(store));
    VG_TRY(read_exclusions(store));
    VG_TRY(read_measures(store));
    return read_notes(store);
}
