#include "datasets/store.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <hdf5.h>

#include "core/file.h"
#include "core/log.h"
#include "datasets/store_hdf5.h"
#include "datasets/store_layout.h"

/* The signal goes to the file as it comes; the tables are small and wait in memory for the end. */
struct vg_store_writer {
    char *path, *temporary;
    bool overwrite;
    bool created; /* the temporary file is there and ours to remove */
    hid_t file, signal;
    int64_t samples;
    char **rating_names;
    int rating_count;
    double *ratings; /* [recording_count, rating_count] */
    vg_recording *recordings;
    int64_t recording_count, recording_capacity;
    vg_exclusion *exclusions;
    int64_t exclusion_count, exclusion_capacity;
    char **feature_names;
    int feature_count;
    bool measures;                             /* there are tables of features and beats */
    double *features;                          /* [recording_count, feature_count] */
    double *beats;                             /* of all recordings one after another */
    int64_t *beat_end;                         /* [recording_count]: where the beats of each recording end */
    int64_t measured_count, measured_capacity; /* rows of the two above */
    int64_t beat_count, beat_capacity;
    vg_store_info info; /* its strings are the writer's own */
    bool described;
    struct note {
        char *key, *value;
    } * notes;
    int note_count;
};

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

/* Room for one more element: *items grows by doubling. */
static vg_status grow(void **items, int64_t count, int64_t *capacity, size_t size)
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
    free(writer->temporary);
    free(writer->path);
    free(writer);
}

/* ---- Single items into the file; all of them run under the lock -------------------------------------- */

/* A fixed-length UTF-8 type wide enough for `width` bytes; HDF5 knows no strings of length 0. */
static hid_t text_type(size_t width)
{
    hid_t type = H5Tcopy(H5T_C_S1);
    if (type < 0) return type;
    if (H5Tset_size(type, width ? width : 1) < 0 || H5Tset_cset(type, H5T_CSET_UTF8) < 0 ||
        H5Tset_strpad(type, H5T_STR_NULLPAD) < 0) {
        H5Tclose(type);
        return -1;
    }
    return type;
}

static bool write_attribute(hid_t object, const char *name, hid_t file_type, hid_t memory_type,
                            const void *value)
{
    bool written = false;
    hid_t space = H5Screate(H5S_SCALAR);
    hid_t attribute = H5Acreate2(object, name, file_type, space, H5P_DEFAULT, H5P_DEFAULT);
    if (attribute >= 0) written = H5Awrite(attribute, memory_type, value) >= 0;
    if (attribute >= 0 && H5Aclose(attribute) < 0) written = false;
    if (space >= 0) H5Sclose(space);
    return written;
}

static bool write_text_attribute(hid_t object, const char *name, const char *text)
{
    hid_t type = text_type(strlen(text));
    if (type < 0) return false;
    bool written = write_attribute(object, name, type, type, text);
    H5Tclose(type);
    return written;
}

static bool write_real_attribute(hid_t object, const char *name, double value)
{
    return write_attribute(object, name, H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, &value);
}

static bool write_whole_attribute(hid_t object, const char *name, int64_t value)
{
    return write_attribute(object, name, H5T_STD_I64LE, H5T_NATIVE_INT64, &value);
}

/* A dataset of one or two dimensions in a single compressed and checksummed chunk (or several of at most
 * 4096 rows). Empty ones are contiguous, since a chunk cannot be empty. */
static bool write_table(hid_t group, const char *name, hid_t file_type, hid_t memory_type, int rank,
                        const hsize_t *dims, const void *values)
{
    bool written = false;
    hid_t space = H5Screate_simple(rank, dims, NULL), properties = H5Pcreate(H5P_DATASET_CREATE), table = -1;
    if (space < 0 || properties < 0 || H5Pset_obj_track_times(properties, false) < 0) goto out;
    bool empty = dims[0] == 0 || (rank == 2 && dims[1] == 0);
    if (!empty) {
        hsize_t chunk[2] = {dims[0] < 4096 ? dims[0] : 4096, rank == 2 ? dims[1] : 1};
        if (H5Pset_chunk(properties, rank, chunk) < 0 || H5Pset_shuffle(properties) < 0 ||
            H5Pset_deflate(properties, 1) < 0 || H5Pset_fletcher32(properties) < 0)
            goto out;
    }
    table = H5Dcreate2(group, name, file_type, space, H5P_DEFAULT, properties, H5P_DEFAULT);
    if (table < 0) goto out;
    written = empty || H5Dwrite(table, memory_type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) >= 0;
out:
    if (table >= 0 && H5Dclose(table) < 0) written = false;
    if (properties >= 0) H5Pclose(properties);
    if (space >= 0) H5Sclose(space);
    return written;
}

/* A column of `count` texts: entry i is the `const char *` at `first` + i * `step` bytes. */
static bool write_texts(hid_t group, const char *name, const void *first, size_t step, size_t count)
{
    size_t width = 1;
    for (size_t i = 0; i < count; i++) {
        const char *text = *(const char *const *)((const char *)first + i * step);
        if (strlen(text) > width) width = strlen(text);
    }
    char *packed = calloc(count ? count : 1, width);
    hid_t type = text_type(width);
    bool written = false;
    if (packed && type >= 0) {
        for (size_t i = 0; i < count; i++) {
            const char *text = *(const char *const *)((const char *)first + i * step);
            memcpy(packed + i * width, text, strlen(text));
        }
        written = write_table(group, name, type, type, 1, &(hsize_t){(hsize_t)count}, packed);
    }
    if (type >= 0) H5Tclose(type);
    free(packed);
    return written;
}

/* ---- The tables -------------------------------------------------------------------------------------- */

static bool write_recordings(const vg_store_writer *writer, hid_t group)
{
    const vg_recording *recordings = writer->recordings;
    int64_t n = writer->recording_count;
    hsize_t dims = (hsize_t)n;
    int64_t *column = malloc((size_t)n * sizeof *column);
    if (!column) return false;
    for (int64_t i = 0; i < n; i++) column[i] = recordings[i].offset;
    bool written = write_table(group, "offset", H5T_STD_I64LE, H5T_NATIVE_INT64, 1, &dims, column);
    for (int64_t i = 0; i < n; i++) column[i] = recordings[i].length;
    written = written && write_table(group, "length", H5T_STD_I64LE, H5T_NATIVE_INT64, 1, &dims, column);
    for (int64_t i = 0; i < n; i++) memcpy(&column[i], &recordings[i].fingerprint, sizeof column[i]);
    written =
        written && write_table(group, "fingerprint", H5T_STD_U64LE, H5T_NATIVE_UINT64, 1, &dims, column);
    free(column);
#define WRITE_COLUMN(field)                                                                                  \
    written = written && write_texts(group, #field, &recordings[0].field, sizeof *recordings, (size_t)n);
    VG_RECORDING_TEXTS(WRITE_COLUMN)
#undef WRITE_COLUMN
    return written;
}

static bool write_ratings(const vg_store_writer *writer, hid_t group)
{
    hsize_t dims[2] = {(hsize_t)writer->recording_count, (hsize_t)writer->rating_count};
    return write_texts(group, "names", writer->rating_names, sizeof(char *), (size_t)writer->rating_count) &&
           write_table(group, "values", H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, 2, dims, writer->ratings);
}

static bool write_features(const vg_store_writer *writer, hid_t group)
{
    hsize_t dims[2] = {(hsize_t)writer->recording_count, (hsize_t)writer->feature_count};
    return write_texts(group, "names", writer->feature_names, sizeof(char *),
                       (size_t)writer->feature_count) &&
           write_table(group, "values", H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, 2, dims, writer->features);
}

static bool write_beats(const vg_store_writer *writer, hid_t group)
{
    hsize_t recordings = (hsize_t)writer->recording_count, beats = (hsize_t)writer->beat_count;
    return write_table(group, "end", H5T_STD_I64LE, H5T_NATIVE_INT64, 1, &recordings, writer->beat_end) &&
           write_table(group, "position", H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, 1, &beats, writer->beats);
}

static bool write_exclusions(const vg_store_writer *writer, hid_t group)
{
    const vg_exclusion *exclusions = writer->exclusions;
    int64_t n = writer->exclusion_count;
    double *seconds = malloc((n ? (size_t)n : 1) * sizeof *seconds);
    if (!seconds) return false;
    for (int64_t i = 0; i < n; i++) seconds[i] = exclusions[i].seconds;
    bool written =
        write_table(group, "seconds", H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, 1, &(hsize_t){(hsize_t)n}, seconds);
    free(seconds);
    static const vg_exclusion none = {"", "", "", 0};
    const vg_exclusion *first = n ? exclusions : &none;
#define WRITE_COLUMN(field)                                                                                  \
    written = written && write_texts(group, #field, &first->field, sizeof *first, (size_t)n);
    VG_EXCLUSION_TEXTS(WRITE_COLUMN)
#undef WRITE_COLUMN
    return written;
}

static bool write_notes(const vg_store_writer *writer, hid_t group)
{
    for (int i = 0; i < writer->note_count; i++)
        if (!write_text_attribute(group, writer->notes[i].key, writer->notes[i].value)) return false;
    return true;
}

static bool write_info(const vg_store_writer *writer)
{
    const vg_store_info *info = &writer->info;
    hid_t root = writer->file;
    bool written = write_text_attribute(root, "format", VG_STORE_FORMAT) &&
                   write_whole_attribute(root, "version", VG_STORE_VERSION) &&
                   write_whole_attribute(root, "filter_order", info->filter_order);
#define WRITE_TEXT(field) written = written && write_text_attribute(root, #field, info->field);
#define WRITE_REAL(field) written = written && write_real_attribute(root, #field, info->field);
#define WRITE_FLAG(field) written = written && write_whole_attribute(root, #field, info->field);
    VG_STORE_TEXTS(WRITE_TEXT)
    VG_STORE_REALS(WRITE_REAL)
    VG_STORE_FLAGS(WRITE_FLAG)
#undef WRITE_TEXT
#undef WRITE_REAL
#undef WRITE_FLAG
    return written;
}

static vg_status write_group(const vg_store_writer *writer, const char *name,
                             bool (*write)(const vg_store_writer *, hid_t))
{
    hid_t properties = H5Pcreate(H5P_GROUP_CREATE), group = -1;
    if (properties >= 0 && H5Pset_obj_track_times(properties, false) >= 0)
        group = H5Gcreate2(writer->file, name, H5P_DEFAULT, properties, H5P_DEFAULT);
    bool written = group >= 0 && write(writer, group);
    if (properties >= 0) H5Pclose(properties);
    if (!written) {
        vg_status status =
            vg__hdf5_fail(VG_ERR_IO, "%s: the table /%s could not be written to %s; is the disk full?",
                          writer->path, name, writer->temporary);
        if (group >= 0) H5Gclose(group);
        return status;
    }
    H5Gclose(group);
    return VG_OK;
}

/* ---- Opening and closing the file -------------------------------------------------------------------- */

static vg_status create_signal(vg_store_writer *writer)
{
    vg_status status = VG_OK;
    hid_t properties = H5Pcreate(H5P_DATASET_CREATE);
    hid_t space = H5Screate_simple(1, &(hsize_t){0}, &(hsize_t){H5S_UNLIMITED});
    if (properties < 0 || space < 0 || H5Pset_obj_track_times(properties, false) < 0 ||
        H5Pset_chunk(properties, 1, &(hsize_t){VG_STORE_CHUNK}) < 0 || H5Pset_shuffle(properties) < 0 ||
        H5Pset_deflate(properties, 1) < 0 || H5Pset_fletcher32(properties) < 0 ||
        (writer->signal = H5Dcreate2(writer->file, "signal", H5T_IEEE_F32LE, space, H5P_DEFAULT, properties,
                                     H5P_DEFAULT)) < 0)
        status = vg__hdf5_fail(VG_ERR_IO, "%s: the dataset /signal could not be created", writer->temporary);
    if (space >= 0) H5Sclose(space);
    if (properties >= 0) H5Pclose(properties);
    return status;
}

/* The format of HDF5 1.10 rather than the oldest one: every piece of metadata in it carries a checksum, so a
 * damaged file is noticed. No times are kept in it: the same recordings make the same bytes. HDF5's own file
 * locking is off: a store is never written in place, and the locks fail on some network file systems. */
static vg_status create_file(vg_store_writer *writer)
{
    hid_t access_list = H5Pcreate(H5P_FILE_ACCESS), properties = H5Pcreate(H5P_FILE_CREATE);
    vg_status status = VG_OK;
    if (access_list < 0 || properties < 0 || H5Pset_obj_track_times(properties, false) < 0 ||
        H5Pset_libver_bounds(access_list, H5F_LIBVER_V110, H5F_LIBVER_V110) < 0 ||
        H5Pset_file_locking(access_list, false, true) < 0 ||
        (writer->file = H5Fcreate(writer->temporary, H5F_ACC_EXCL, properties, access_list)) < 0)
        status = vg__hdf5_fail(VG_ERR_IO, "%s: cannot be created", writer->temporary);
    if (properties >= 0) H5Pclose(properties);
    if (access_list >= 0) H5Pclose(access_list);
    if (status != VG_OK) return status;
    writer->created = true;
    return create_signal(writer);
}

/* Closes what is open. Returns whether HDF5 could write out everything. */
static bool close_file(vg_store_writer *writer)
{
    bool written = true;
    if (writer->signal >= 0 && H5Dclose(writer->signal) < 0) written = false;
    if (writer->file >= 0 && H5Fclose(writer->file) < 0) written = false;
    writer->signal = writer->file = -1;
    return written;
}

static vg_status refuse_existing(const vg_store_writer *writer)
{
    struct stat found;
    if (lstat(writer->path, &found) != 0) return VG_OK;
    if (S_ISDIR(found.st_mode))
        return vg_fail(VG_ERR_IO, "%s: is a folder; name a file for the store", writer->path);
    if (writer->overwrite) return VG_OK;
    return vg_fail(VG_ERR_IO, "%s: exists already; remove it, choose another name or ask to overwrite it",
                   writer->path);
}

/* "PATH.part-PID-NUMBER": beside the store, so that the rename stays inside one file system; the number keeps
 * two writers of one process apart. */
static char *temporary_name(const char *path)
{
    static pthread_mutex_t counting = PTHREAD_MUTEX_INITIALIZER;
    static unsigned counter;
    pthread_mutex_lock(&counting);
    unsigned number = counter++;
    pthread_mutex_unlock(&counting);
    size_t size = strlen(path) + 48;
    char *name = malloc(size);
    if (name) snprintf(name, size, "%s.part-%ld-%u", path, (long)getpid(), number);
    return name;
}

/* Copies distinct names of columns; `what` is "rating" or "feature". *copied counts those that were. */
static vg_status copy_names(const vg_store_writer *writer, const char *what, const char *const *names,
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
    writer->file = writer->signal = -1;
    writer->overwrite = overwrite;
    writer->path = strdup(path);
    writer->temporary = temporary_name(path);
    if (!writer->path || !writer->temporary) {
        status = vg_fail(VG_ERR_MEMORY, "the writer of %s", path);
        goto out;
    }
    VG_TRY_OUT(refuse_existing(writer));
    VG_TRY_OUT(copy_names(writer, "rating", rating_names, rating_count, &writer->rating_names,
                          &writer->rating_count));
    vg__hdf5_enter();
    status = create_file(writer);
    vg__hdf5_leave();
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

static vg_status append_samples(vg_store_writer *writer, const float *samples, int64_t count)
{
    vg_status status = VG_OK;
    hsize_t start = (hsize_t)writer->samples, length = (hsize_t)count, total = start + length;
    hid_t file_space = -1, memory_space = -1;
    if (H5Dset_extent(writer->signal, &total) < 0 || (file_space = H5Dget_space(writer->signal)) < 0 ||
        (memory_space = H5Screate_simple(1, &length, NULL)) < 0 ||
        H5Sselect_hyperslab(file_space, H5S_SELECT_SET, &start, NULL, &length, NULL) < 0 ||
        H5Dwrite(writer->signal, H5T_NATIVE_FLOAT, memory_space, file_space, H5P_DEFAULT, samples) < 0)
        status = vg__hdf5_fail(VG_ERR_IO, "%s: %lld samples could not be written to %s; is the disk full?",
                               writer->path, (long long)count, writer->temporary);
    if (memory_space >= 0) H5Sclose(memory_space);
    if (file_space >= 0) H5Sclose(file_space);
    return status;
}

static vg_status check_samples(const vg_store_writer *writer, const vg_recording *recording,
                               const float *samples)
{
    const char *source = recording->source ? recording->source : "?";
    if (recording->length <= 0 || recording->length > INT64_MAX / 8 - writer->samples)
        return vg_fail(VG_ERR_DATA, "%s: the recording from %s has %lld samples", writer->path, source,
                       (long long)recording->length);
    for (int64_t i = 0; i < recording->length; i++)
        if (isinf(samples[i]))
            return vg_fail(VG_ERR_DATA, "%s: sample %lld of the recording from %s is infinite", writer->path,
                           (long long)i, source);
    return VG_OK;
}

/* Grows the table of ratings together with the recordings; both have the same capacity. */
static vg_status reserve_recording(vg_store_writer *writer)
{
    int64_t before = writer->recording_capacity;
    VG_TRY(grow((void **)&writer->recordings, writer->recording_count, &writer->recording_capacity,
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
    vg__hdf5_enter();
    status = append_samples(writer, samples, recording->length);
    vg__hdf5_leave();
    if (status != VG_OK) goto out;
    for (int i = 0; i < writer->rating_count; i++)
        writer->ratings[writer->recording_count * writer->rating_count + i] = ratings ? ratings[i] : NAN;
    writer->recordings[writer->recording_count++] = copy;
    writer->samples += recording->length;
    return VG_OK;
out:
    free_recording(&copy);
    return status;
}

vg_status vg_store_writer_features(vg_store_writer *writer, const char *const *names, int count)
{
    VG_ASSERT(!writer->measures && writer->recording_count == 0);
    VG_TRY(copy_names(writer, "feature", names, count, &writer->feature_names, &writer->feature_count));
    writer->measures = true;
    return VG_OK;
}

/* Rows for every recording so far: those that were not measured have NaN and no beats. */
static vg_status reserve_measures(vg_store_writer *writer)
{
    int64_t n = writer->recording_count, before = writer->measured_capacity;
    if (n <= before) return VG_OK;
    int64_t wanted = writer->recording_capacity;
    int64_t *ends = realloc(writer->beat_end, (size_t)wanted * sizeof *ends);
    if (ends) writer->beat_end = ends;
    double *features =
        realloc(writer->features, (size_t)wanted * (size_t)(writer->feature_count + 1) * sizeof *features);
    if (features) writer->features = features;
    if (!ends || !features) return vg_fail(VG_ERR_MEMORY, "measures of %lld recordings", (long long)n);
    writer->measured_capacity = wanted;
    return VG_OK;
}

/* Fills the rows up to, and not with, recording `end`. */
static void fill_measures(vg_store_writer *writer, int64_t end)
{
    for (; writer->measured_count < end; writer->measured_count++) {
        int64_t row = writer->measured_count;
        writer->beat_end[row] = writer->beat_count;
        for (int i = 0; i < writer->feature_count; i++)
            writer->features[row * writer->feature_count + i] = NAN;
    }
}

vg_status vg_store_writer_measured(vg_store_writer *writer, const double *features, const double *beats,
                                   int64_t beat_count)
{
    int64_t row = writer->recording_count - 1;
    VG_ASSERT(writer->measures && row >= 0 && writer->measured_count <= row);
    const vg_recording *recording = &writer->recordings[row];
    for (int i = 0; i < writer->feature_count; i++)
        if (isinf(features[i]))
            return vg_fail(VG_ERR_DATA, "%s: the feature %s of the recording from %s is infinite",
                           writer->path, writer->feature_names[i], recording->source);
    for (int64_t i = 0; i < beat_count; i++)
        if (!(beats[i] >= 0 && beats[i] <= (double)recording->length && (i == 0 || beats[i] > beats[i - 1])))
            return vg_fail(VG_ERR_DATA,
                           "%s: beat %lld of the recording from %s stands at sample %g of %lld, or before "
                           "the beat ahead of it",
                           writer->path, (long long)i, recording->source, beats[i],
                           (long long)recording->length);
    VG_TRY(reserve_measures(writer));
    fill_measures(writer, row);
    while (writer->beat_capacity < writer->beat_count + beat_count)
        VG_TRY(grow((void **)&writer->beats, writer->beat_capacity, &writer->beat_capacity,
                    sizeof *writer->beats));
    if (beat_count) memcpy(writer->beats + writer->beat_count, beats, (size_t)beat_count * sizeof *beats);
    writer->beat_count += beat_count;
    writer->beat_end[row] = writer->beat_count;
    memcpy(writer->features + row * writer->feature_count, features,
           (size_t)writer->feature_count * sizeof *features);
    writer->measured_count = row + 1;
    return VG_OK;
}

vg_status vg_store_writer_exclude(vg_store_writer *writer, const vg_exclusion *exclusion)
{
    vg_status status = VG_OK;
#define CHECK(field) VG_TRY(check_text(writer, exclusion->field, "exclusion's " #field));
    VG_EXCLUSION_TEXTS(CHECK)
#undef CHECK
    VG_TRY(grow((void **)&writer->exclusions, writer->exclusion_count, &writer->exclusion_capacity,
                sizeof *writer->exclusions));
    vg_exclusion copy = {.seconds = exclusion->seconds};
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

static vg_status write_tables(vg_store_writer *writer)
{
    VG_TRY(write_group(writer, "recordings", write_recordings));
    VG_TRY(write_group(writer, "ratings", write_ratings));
    VG_TRY(write_group(writer, "exclusions", write_exclusions));
    if (writer->measures) {
        VG_TRY(reserve_measures(writer));
        fill_measures(writer, writer->recording_count);
        VG_TRY(write_group(writer, "features", write_features));
        VG_TRY(write_group(writer, "beats", write_beats));
    }
    VG_TRY(write_group(writer, "notes", write_notes));
    if (!write_info(writer))
        return vg__hdf5_fail(VG_ERR_IO, "%s: the attributes could not be written to %s; is the disk full?",
                             writer->path, writer->temporary);
    if (!close_file(writer))
        return vg__hdf5_fail(VG_ERR_IO, "%s: %s could not be closed; is the disk full?", writer->path,
                             writer->temporary);
    return VG_OK;
}

static vg_status sync_file(const char *path)
{
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0)
        return vg_fail(VG_ERR_IO, "%s: cannot be opened to sync it: %s", path, strerror(errno));
    int failed = fsync(descriptor), reason = errno;
    close(descriptor);
    if (failed) return vg_fail(VG_ERR_IO, "%s: could not be synced to disk: %s", path, strerror(reason));
    return VG_OK;
}

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
    vg__hdf5_enter();
    status = write_tables(writer);
    vg__hdf5_leave();
    if (status != VG_OK) goto out;
    VG_TRY_OUT(sync_file(writer->temporary));
    VG_TRY_OUT(refuse_existing(writer));
    VG_TRY_OUT(vg_path_rename(writer->temporary, writer->path));
    free_writer(writer);
    return VG_OK;
out:
    vg_store_writer_abandon(writer);
    return status;
}

void vg_store_writer_abandon(vg_store_writer *writer)
{
    if (!writer) return;
    /* HDF5 does not let go of a file that it cannot finish (a full disk), so the space is given back first.
     */
    if (writer->created && truncate(writer->temporary, 0) != 0)
        vg_debug("%s: could not be emptied: %s", writer->temporary, strerror(errno));
    if (writer->created) unlink(writer->temporary);
    vg__hdf5_enter();
    close_file(writer);
    vg__hdf5_leave();
    free_writer(writer);
}
