#include "datasets/store.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <hdf5.h>

#include "datasets/store_hdf5.h"
#include "datasets/store_layout.h"

/* The text columns of a table as packed rows, each closed by a NUL. */
struct column {
    char *text;
    size_t step;
};

#define COUNT_ONE(field) +1
enum { RECORDING_TEXTS = 0 VG_RECORDING_TEXTS(COUNT_ONE), EXCLUSION_TEXTS = 0 VG_EXCLUSION_TEXTS(COUNT_ONE) };

struct vg_store {
    char *path;
    hid_t file, signal;
    int64_t samples;
    vg_store_info info;
    vg_recording *recordings;
    int64_t recording_count;
    struct column recording_texts[RECORDING_TEXTS];
    vg_exclusion *exclusions;
    int64_t exclusion_count;
    struct column exclusion_texts[EXCLUSION_TEXTS];
    struct column rating_names;
    int rating_count;
    double *ratings;
    struct column feature_names;
    int feature_count;
    double *features;
    bool has_beats;
    int64_t *beat_end;
    double *beats;
    struct note {
        char *key, *value;
    } * notes;
    int note_count;
};

/* A file is called truncated or damaged in one place, so that every message has the same way out. */
#define DAMAGED "the file is damaged or was not written by vagus; import it again"

/* ---- Attributes -------------------------------------------------------------------------------------- */

/* Opens the attribute when it is a scalar of this class. */
static vg_status open_attribute(const vg_store *store, hid_t object, const char *name, H5T_class_t class,
                                hid_t *attribute, size_t *size)
{
    *attribute = -1;
    htri_t exists = H5Aexists(object, name);
    if (exists < 0) return vg__hdf5_fail(VG_ERR_FORMAT, "%s: attribute %s: " DAMAGED, store->path, name);
    if (!exists) return vg_fail(VG_ERR_FORMAT, "%s: attribute %s is missing: " DAMAGED, store->path, name);
    hid_t space = -1, type = -1;
    vg_status status = VG_OK;
    if ((*attribute = H5Aopen(object, name, H5P_DEFAULT)) < 0 || (space = H5Aget_space(*attribute)) < 0 ||
        (type = H5Aget_type(*attribute)) < 0) {
        status = vg__hdf5_fail(VG_ERR_FORMAT, "%s: attribute %s: " DAMAGED, store->path, name);
        goto out;
    }
    *size = H5Tget_size(type);
    if (H5Sget_simple_extent_type(space) != H5S_SCALAR || H5Tget_class(type) != class)
        status = vg_fail(VG_ERR_FORMAT, "%s: attribute %s is not a single %s", store->path, name,
                         class == H5T_STRING  ? "text"
                         : class == H5T_FLOAT ? "real number"
                                              : "whole number");
    else if (class == H5T_STRING && (H5Tis_variable_str(type) != 0 || *size > VG_STORE_MAX_TEXT))
        status = vg_fail(VG_ERR_FORMAT, "%s: attribute %s is not a fixed-length text of up to %d bytes",
                         store->path, name, VG_STORE_MAX_TEXT);
out:
    if (type >= 0) H5Tclose(type);
    if (space >= 0) H5Sclose(space);
    if (status != VG_OK && *attribute >= 0) H5Aclose(*attribute);
    return status;
}

static vg_status read_text(const vg_store *store, hid_t object, const char *name, char **out)
{
    hid_t attribute, type = -1;
    size_t size = 0;
    vg_status status = VG_OK;
    VG_TRY(open_attribute(store, object, name, H5T_STRING, &attribute, &size));
    char *text = calloc(size + 1, 1);
    if (!text) {
        status = vg_fail(VG_ERR_MEMORY, "%s: attribute %s", store->path, name);
        goto out;
    }
    /* The character set of the memory type must be the file's; ASCII written by others is fine too. */
    type = H5Aget_type(attribute);
    if (type < 0 || H5Aread(attribute, type, text) < 0)
        status = vg__hdf5_fail(VG_ERR_FORMAT, "%s: attribute %s: " DAMAGED, store->path, name);
out:
    if (type >= 0) H5Tclose(type);
    H5Aclose(attribute);
    if (status != VG_OK)
        free(text);
    else
        *out = text;
    return status;
}

static vg_status read_real(const vg_store *store, const char *name, double *out)
{
    hid_t attribute;
    size_t size;
    vg_status status = VG_OK;
    VG_TRY(open_attribute(store, store->file, name, H5T_FLOAT, &attribute, &size));
    if (H5Aread(attribute, H5T_NATIVE_DOUBLE, out) < 0)
        status = vg__hdf5_fail(VG_ERR_FORMAT, "%s: attribute %s: " DAMAGED, store->path, name);
    H5Aclose(attribute);
    return status;
}

static vg_status read_whole(const vg_store *store, const char *name, int64_t low, int64_t high, int64_t *out)
{
    hid_t attribute;
    size_t size;
    vg_status status = VG_OK;
    VG_TRY(open_attribute(store, store->file, name, H5T_INTEGER, &attribute, &size));
    if (H5Aread(attribute, H5T_NATIVE_INT64, out) < 0)
        status = vg__hdf5_fail(VG_ERR_FORMAT, "%s: attribute %s: " DAMAGED, store->path, name);
    else if (*out < low || *out > high)
        status = vg_fail(VG_ERR_FORMAT, "%s: attribute %s is %" PRId64 ", outside %" PRId64 " .. %" PRId64,
                         store->path, name, *out, low, high);
    H5Aclose(attribute);
    return status;
}

static vg_status read_info(vg_store *store)
{
    int64_t whole;
    char *text;
#define READ_TEXT(field)                                                                                     \
    VG_TRY(read_text(store, store->file, #field, &text));                                                    \
    store->info.field = text;
#define READ_REAL(field) VG_TRY(read_real(store, #field, &store->info.field));
#define READ_FLAG(field)                                                                                     \
    VG_TRY(read_whole(store, #field, 0, 1, &whole));                                                         \
    store->info.field = whole;
    VG_STORE_TEXTS(READ_TEXT)
    VG_STORE_REALS(READ_REAL)
    VG_STORE_FLAGS(READ_FLAG)
#undef READ_TEXT
#undef READ_REAL
#undef READ_FLAG
    VG_TRY(read_whole(store, "filter_order", 0, 1000, &whole));
    store->info.filter_order = (int)whole;
    return vg__store_info_check(&store->info, store->path) == VG_OK ? VG_OK : VG_ERR_FORMAT;
}

/* ---- Datasets ---------------------------------------------------------------------------------------- */

/* Opens "group/name" when it has this rank and class, and its claimed size is one the file can hold. Deflate
 * shrinks by a factor of 1032 at most, so a claim beyond 1100 times the stored bytes is a lie (or a dataset
 * whose chunks were never written) and would only cost memory. */
static vg_status open_dataset(const vg_store *store, const char *name, int rank, H5T_class_t class,
                              hid_t *dataset, hsize_t *dims, size_t *element)
{
    hid_t space = -1, type = -1;
    vg_status status = VG_OK;
    *dataset = H5Dopen2(store->file, name, H5P_DEFAULT);
    if (*dataset < 0 || (space = H5Dget_space(*dataset)) < 0 || (type = H5Dget_type(*dataset)) < 0) {
        status = vg__hdf5_fail(VG_ERR_FORMAT, "%s: dataset /%s: " DAMAGED, store->path, name);
        goto out;
    }
    *element = H5Tget_size(type);
    if (H5Sget_simple_extent_ndims(space) != rank || H5Sget_simple_extent_dims(space, dims, NULL) != rank ||
        H5Tget_class(type) != class || (class == H5T_STRING && H5Tis_variable_str(type) != 0) || !*element ||
        *element > VG_STORE_MAX_TEXT) {
        status = vg_fail(VG_ERR_FORMAT, "%s: dataset /%s is not %d-dimensional or not of %s", store->path,
                         name, rank,
                         class == H5T_STRING  ? "fixed-length texts"
                         : class == H5T_FLOAT ? "real numbers"
                                              : "whole numbers");
        goto out;
    }
    hsize_t stored = H5Dget_storage_size(*dataset),
            limit = stored > INT64_MAX / 2048 ? INT64_MAX : stored * 1100;
    hsize_t count = rank == 2 && dims[1] ? dims[1] : 1;
    if (count > limit && dims[0]) count = 0; /* falls into the refusal below */
    if (dims[0] && (rank == 1 || dims[1]) && (!count || dims[0] > limit / *element / count))
        status = vg_fail(VG_ERR_FORMAT,
                         "%s: dataset /%s claims %llu rows but only %llu bytes are stored: " DAMAGED,
                         store->path, name, (unsigned long long)dims[0], (unsigned long long)stored);
out:
    if (type >= 0) H5Tclose(type);
    if (space >= 0) H5Sclose(space);
    if (status != VG_OK && *dataset >= 0) H5Dclose(*dataset);
    return status;
}

/* A numeric column of exactly `rows` entries into `out`. */
static vg_status read_numbers(const vg_store *store, const char *name, H5T_class_t class, hid_t memory_type,
                              int64_t rows, void *out)
{
    hid_t dataset;
    hsize_t dims[1];
    size_t element;
    vg_status status = VG_OK;
    VG_TRY(open_dataset(store, name, 1, class, &dataset, dims, &element));
    if (dims[0] != (hsize_t)rows)
        status = vg_fail(VG_ERR_FORMAT, "%s: dataset /%s has %llu rows, its table has %" PRId64, store->path,
                         name, (unsigned long long)dims[0], rows);
    else if (rows && H5Dread(dataset, memory_type, H5S_ALL, H5S_ALL, H5P_DEFAULT, out) < 0)
        status = vg__hdf5_fail(VG_ERR_FORMAT, "%s: dataset /%s: " DAMAGED, store->path, name);
    H5Dclose(dataset);
    return status;
}

/* A text column; *rows < 0 takes the number of rows from the file, otherwise it must fit. */
static vg_status read_texts(const vg_store *store, const char *name, int64_t *rows, struct column *column)
{
    hid_t dataset, type = -1;
    hsize_t dims[1];
    size_t width;
    char *packed = NULL;
    vg_status status = VG_OK;
    VG_TRY(open_dataset(store, name, 1, H5T_STRING, &dataset, dims, &width));
    if (*rows >= 0 && dims[0] != (hsize_t)*rows) {
        status = vg_fail(VG_ERR_FORMAT, "%s: dataset /%s has %llu rows, its table has %" PRId64, store->path,
                         name, (unsigned long long)dims[0], *rows);
        goto out;
    }
    size_t count = (size_t)dims[0];
    *column = (struct column){calloc(count ? count : 1, width + 1), width + 1};
    packed = malloc(count ? count * width : 1);
    if (!packed || !column->text) {
        status = vg_fail(VG_ERR_MEMORY, "%s: dataset /%s", store->path, name);
        goto out;
    }
    type = H5Dget_type(dataset);
    if (count && (type < 0 || H5Dread(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, packed) < 0)) {
        status = vg__hdf5_fail(VG_ERR_FORMAT, "%s: dataset /%s: " DAMAGED, store->path, name);
        goto out;
    }
    for (size_t i = 0; i < count; i++) memcpy(column->text + i * column->step, packed + i * width, width);
    *rows = (int64_t)count;
out:
    free(packed);
    if (type >= 0) H5Tclose(type);
    H5Dclose(dataset);
    return status;
}

/* The number of rows of a numeric column. */
static vg_status count_rows(const vg_store *store, const char *name, H5T_class_t class, int64_t *rows)
{
    hid_t dataset;
    hsize_t dims[1];
    size_t element;
    VG_TRY(open_dataset(store, name, 1, class, &dataset, dims, &element));
    H5Dclose(dataset);
    *rows = (int64_t)dims[0];
    return VG_OK;
}

/* ---- Tables ------------------------------------------------------------------------------------------ */

static vg_status open_signal(vg_store *store)
{
    hsize_t dims[1];
    size_t element;
    hid_t dataset;
    VG_TRY(open_dataset(store, "signal", 1, H5T_FLOAT, &dataset, dims, &element));
    store->signal = dataset;
    store->samples = (int64_t)dims[0];
    return VG_OK;
}

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
                           " samples; samples %" PRId64 " to %" PRId64 " are free: " DAMAGED,
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
    VG_TRY(count_rows(store, "recordings/offset", H5T_INTEGER, &n));
    if (!n || !store->samples)
        return vg_fail(VG_ERR_DATA,
                       "%s: the store is empty: no recordings; see its exclusions for the reasons",
                       store->path);
    if (n > store->samples)
        return vg_fail(VG_ERR_FORMAT, "%s: %" PRId64 " recordings in %" PRId64 " samples: " DAMAGED,
                       store->path, n, store->samples);
    store->recordings = calloc((size_t)n, sizeof *store->recordings);
    numbers = calloc((size_t)n, sizeof *numbers);
    if (!store->recordings || !numbers) {
        status = vg_fail(VG_ERR_MEMORY, "%s: a table of %" PRId64 " recordings", store->path, n);
        goto out;
    }
    store->recording_count = n;
    VG_TRY_OUT(read_numbers(store, "recordings/offset", H5T_INTEGER, H5T_NATIVE_INT64, n, numbers));
    for (int64_t i = 0; i < n; i++) store->recordings[i].offset = numbers[i];
    VG_TRY_OUT(read_numbers(store, "recordings/length", H5T_INTEGER, H5T_NATIVE_INT64, n, numbers));
    for (int64_t i = 0; i < n; i++) store->recordings[i].length = numbers[i];
    VG_TRY_OUT(read_numbers(store, "recordings/fingerprint", H5T_INTEGER, H5T_NATIVE_UINT64, n, numbers));
    for (int64_t i = 0; i < n; i++) memcpy(&store->recordings[i].fingerprint, &numbers[i], sizeof numbers[i]);
    int column = 0;
#define READ_COLUMN(field)                                                                                   \
    VG_TRY_OUT(read_texts(store, "recordings/" #field, &n, &store->recording_texts[column]));                \
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
static vg_status read_columns(vg_store *store, const char *group, struct column *names, int *columns,
                              double **values)
{
    int64_t count = -1, n = store->recording_count;
    hid_t dataset;
    hsize_t dims[2];
    size_t element;
    char path[32];
    vg_status status = VG_OK;
    snprintf(path, sizeof path, "%s/names", group);
    VG_TRY(read_texts(store, path, &count, names));
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
    VG_TRY(open_dataset(store, path, 2, H5T_FLOAT, &dataset, dims, &element));
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
        status = vg__hdf5_fail(VG_ERR_FORMAT, "%s: dataset /%s: " DAMAGED, store->path, path);
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
                           "%s: /beats/end: row %" PRId64 " is %" PRId64 " of %" PRId64 ": " DAMAGED,
                           store->path, i, store->beat_end[i], total);
        for (; k < store->beat_end[i]; k++) {
            double at = store->beats[k];
            if (!(at > last && at <= (double)store->recordings[i].length))
                return vg_fail(VG_ERR_FORMAT,
                               "%s: /beats/position: row %" PRId64 " is %g, which cannot be: " DAMAGED,
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
    htri_t features = H5Lexists(store->file, "features", H5P_DEFAULT),
           beats = H5Lexists(store->file, "beats", H5P_DEFAULT);
    if (features < 0 || beats < 0)
        return vg__hdf5_fail(VG_ERR_FORMAT, "%s: its list of groups: " DAMAGED, store->path);
    if (features)
        VG_TRY(
            read_columns(store, "features", &store->feature_names, &store->feature_count, &store->features));
    if (!beats) return VG_OK;
    VG_TRY(count_rows(store, "beats/position", H5T_FLOAT, &total));
    store->beat_end = calloc((size_t)n, sizeof *store->beat_end);
    store->beats = calloc((size_t)total + 1, sizeof *store->beats);
    if (!store->beat_end || !store->beats)
        return vg_fail(VG_ERR_MEMORY, "%s: a table of %" PRId64 " beats", store->path, total);
    VG_TRY(read_numbers(store, "beats/end", H5T_INTEGER, H5T_NATIVE_INT64, n, store->beat_end));
    VG_TRY(read_numbers(store, "beats/position", H5T_FLOAT, H5T_NATIVE_DOUBLE, total, store->beats));
    store->has_beats = true;
    return check_beats(store, total);
}

static vg_status read_exclusions(vg_store *store)
{
    int64_t n = -1;
    double *seconds = NULL;
    vg_status status = VG_OK;
    VG_TRY(count_rows(store, "exclusions/seconds", H5T_FLOAT, &n));
    store->exclusions = calloc(n ? (size_t)n : 1, sizeof *store->exclusions);
    seconds = calloc(n ? (size_t)n : 1, sizeof *seconds);
    if (!store->exclusions || !seconds) {
        status = vg_fail(VG_ERR_MEMORY, "%s: a table of %" PRId64 " exclusions", store->path, n);
        goto out;
    }
    store->exclusion_count = n;
    VG_TRY_OUT(read_numbers(store, "exclusions/seconds", H5T_FLOAT, H5T_NATIVE_DOUBLE, n, seconds));
    for (int64_t i = 0; i < n; i++) store->exclusions[i].seconds = seconds[i];
    int column = 0;
#define READ_COLUMN(field)                                                                                   \
    VG_TRY_OUT(read_texts(store, "exclusions/" #field, &n, &store->exclusion_texts[column]));                \
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
        return vg__hdf5_fail(VG_ERR_FORMAT, "%s: note %d has no usable key: " DAMAGED, store->path, index);
    char *value;
    VG_TRY(read_text(store, group, key, &value));
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
    hid_t group = H5Gopen2(store->file, "notes", H5P_DEFAULT);
    if (group < 0 || H5Oget_info2(group, &about, H5O_INFO_NUM_ATTRS) < 0 || about.num_attrs > 10000) {
        status = vg__hdf5_fail(VG_ERR_FORMAT, "%s: group /notes: " DAMAGED, store->path);
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

/* ---- Opening ----------------------------------------------------------------------------------------- */

static vg_status open_file(vg_store *store)
{
    struct stat found;
    if (stat(store->path, &found) != 0)
        return vg_fail(VG_ERR_IO, "%s: cannot be opened: %s", store->path, strerror(errno));
    if (!S_ISREG(found.st_mode)) return vg_fail(VG_ERR_IO, "%s: is not a file", store->path);
    hid_t access_list = H5Pcreate(H5P_FILE_ACCESS);
    if (access_list >= 0) {
        /* A finished store never changes, and locking fails on some network file systems. */
        H5Pset_file_locking(access_list, false, true);
        store->file = H5Fopen(store->path, H5F_ACC_RDONLY, access_list);
        H5Pclose(access_list);
    }
    if (store->file >= 0) return VG_OK;
    return vg__hdf5_fail(VG_ERR_FORMAT,
                         "%s: cannot be read as HDF5 (%lld bytes): truncated, damaged or of another format",
                         store->path, (long long)found.st_size);
}

static vg_status check_format(const vg_store *store)
{
    char *format = NULL;
    int64_t version;
    htri_t exists = H5Aexists(store->file, "format");
    if (exists <= 0)
        return vg_fail(
            VG_ERR_FORMAT,
            "%s: an HDF5 file, but not a store (no attribute format); make one with 'vagus data import'",
            store->path);
    VG_TRY(read_text(store, store->file, "format", &format));
    bool known = strcmp(format, VG_STORE_FORMAT) == 0;
    if (!known)
        vg_fail(VG_ERR_FORMAT, "%s: its format is '%s', not '%s'", store->path, format, VG_STORE_FORMAT);
    free(format);
    if (!known) return VG_ERR_FORMAT;
    VG_TRY(read_whole(store, "version", INT64_MIN, INT64_MAX, &version));
    if (version != VG_STORE_VERSION)
        return vg_fail(VG_ERR_UNSUPPORTED,
                       "%s: store version %" PRId64 ", and this program reads version %d; import it again",
                       store->path, version, VG_STORE_VERSION);
    return VG_OK;
}

static vg_status read_everything(vg_store *store)
{
    VG_TRY(open_file(store));
    VG_TRY(check_format(store));
    VG_TRY(read_info(store));
    VG_TRY(open_signal(store));
    VG_TRY(read_recordings(store));
    VG_TRY(read_ratings(store));
    VG_TRY(read_exclusions(store));
    VG_TRY(read_measures(store));
    return read_notes(store);
}

vg_status vg_store_open(const char *path, vg_store **out)
{
    *out = NULL;
    vg_store *store = calloc(1, sizeof *store);
    if (store) store->path = strdup(path);
    if (!store || !store->path) {
        free(store);
        return vg_fail(VG_ERR_MEMORY, "the store %s", path);
    }
    store->file = store->signal = -1;
    vg__hdf5_enter();
    vg_status status = read_everything(store);
    vg__hdf5_leave();
    if (status != VG_OK)
        vg_store_close(store);
    else
        *out = store;
    return status;
}

void vg_store_close(vg_store *store)
{
    if (!store) return;
    vg__hdf5_enter();
    if (store->signal >= 0) H5Dclose(store->signal);
    if (store->file >= 0) H5Fclose(store->file);
    vg__hdf5_leave();
#define FREE_FIELD(field) free((char *)store->info.field);
    VG_STORE_TEXTS(FREE_FIELD)
#undef FREE_FIELD
    for (int i = 0; i < RECORDING_TEXTS; i++) free(store->recording_texts[i].text);
    for (int i = 0; i < EXCLUSION_TEXTS; i++) free(store->exclusion_texts[i].text);
    for (int i = 0; i < store->note_count; i++) {
        free(store->notes[i].key);
        free(store->notes[i].value);
    }
    free(store->notes);
    free(store->feature_names.text);
    free(store->features);
    free(store->beat_end);
    free(store->beats);
    free(store->rating_names.text);
    free(store->ratings);
    free(store->recordings);
    free(store->exclusions);
    free(store->path);
    free(store);
}

/* ---- Access ------------------------------------------------------------------------------------------ */

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

static vg_status read_signal(vg_store *store, int64_t offset, int64_t count, float *out)
{
    vg_status status = VG_OK;
    hsize_t start = (hsize_t)offset, length = (hsize_t)count;
    hid_t file_space = -1, memory_space = -1;
    vg__hdf5_enter();
    if ((file_space = H5Dget_space(store->signal)) < 0 ||
        (memory_space = H5Screate_simple(1, &length, NULL)) < 0 ||
        H5Sselect_hyperslab(file_space, H5S_SELECT_SET, &start, NULL, &length, NULL) < 0 ||
        H5Dread(store->signal, H5T_NATIVE_FLOAT, memory_space, file_space, H5P_DEFAULT, out) < 0)
        status =
            vg__hdf5_fail(VG_ERR_FORMAT, "%s: dataset /signal, samples %" PRId64 " to %" PRId64 ": " DAMAGED,
                          store->path, offset, offset + count);
    if (memory_space >= 0) H5Sclose(memory_space);
    if (file_space >= 0) H5Sclose(file_space);
    vg__hdf5_leave();
    return status;
}

vg_status vg_store_read(vg_store *store, int64_t index, int64_t start, int64_t count, float *out)
{
    if (index < 0 || index >= store->recording_count)
        return vg_fail(VG_ERR_SHAPE, "%s: there is no recording %" PRId64 " among %" PRId64, store->path,
                       index, store->recording_count);
    const vg_recording *recording = &store->recordings[index];
    if (start < 0 || count < 0 || count > recording->length || start > recording->length - count)
        return vg_fail(VG_ERR_SHAPE,
                       "%s: recording %" PRId64 " has %" PRId64 " samples; %" PRId64 " from %" PRId64
                       " were asked for",
                       store->path, index, recording->length, count, start);
    if (!count) return VG_OK;
    return read_signal(store, recording->offset + start, count, out);
}

vg_status vg_store_read_all(vg_store *store, float *out)
{
    return read_signal(store, 0, store->samples, out);
}

vg_status vg_store_verify(vg_store *store)
{
    vg_status status = VG_OK;
    int64_t longest = 0;
    for (int64_t i = 0; i < store->recording_count; i++)
        if (store->recordings[i].length > longest) longest = store->recordings[i].length;
    float *samples = malloc((size_t)longest * sizeof *samples);
    if (!samples)
        return vg_fail(VG_ERR_MEMORY, "%s: a recording of %" PRId64 " samples", store->path, longest);
    for (int64_t i = 0; i < store->recording_count; i++) {
        const vg_recording *recording = &store->recordings[i];
        VG_TRY_OUT(read_signal(store, recording->offset, recording->length, samples));
        if (vg_fingerprint(samples, recording->length) == recording->fingerprint) continue;
        status =
            vg_fail(VG_ERR_FORMAT, "%s: recording %" PRId64 " (%s) does not have its fingerprint: " DAMAGED,
                    store->path, i, recording->source);
        goto out;
    }
out:
    free(samples);
    return status;
}
