#include <stdlib.h>
#include <string.h>

#include "datasets/store/hdf5.h"
#include "datasets/store/put.h"
#include "datasets/store/writer_own.h"

static bool write_recordings(const vg_store_writer *writer, hid_t group)
{
    const vg_recording *recordings = writer->recordings;
    int64_t n = writer->recording_count;
    hsize_t dims = (hsize_t)n;
    int64_t *column = malloc((size_t)n * sizeof *column);
    if (!column) return false;
    for (int64_t i = 0; i < n; i++) column[i] = recordings[i].offset;
    bool written = vg__store_put_table(group, "offset", H5T_STD_I64LE, H5T_NATIVE_INT64, 1, &dims, column);
    for (int64_t i = 0; i < n; i++) column[i] = recordings[i].length;
    written =
        written && vg__store_put_table(group, "length", H5T_STD_I64LE, H5T_NATIVE_INT64, 1, &dims, column);
    for (int64_t i = 0; i < n; i++) memcpy(&column[i], &recordings[i].fingerprint, sizeof column[i]);
    written = written &&
              vg__store_put_table(group, "fingerprint", H5T_STD_U64LE, H5T_NATIVE_UINT64, 1, &dims, column);
    free(column);
#define WRITE_COLUMN(field)                                                                                  \
    written =                                                                                                \
        written && vg__store_put_texts(group, #field, &recordings[0].field, sizeof *recordings, (size_t)n);
    VG_RECORDING_TEXTS(WRITE_COLUMN)
#undef WRITE_COLUMN
    return written;
}

static bool write_ratings(const vg_store_writer *writer, hid_t group)
{
    hsize_t dims[2] = {(hsize_t)writer->recording_count, (hsize_t)writer->rating_count};
    return vg__store_put_texts(group, "names", writer->rating_names, sizeof(char *),
                               (size_t)writer->rating_count) &&
           vg__store_put_table(group, "values", H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, 2, dims, writer->ratings);
}

static bool write_features(const vg_store_writer *writer, hid_t group)
{
    hsize_t dims[2] = {(hsize_t)writer->recording_count, (hsize_t)writer->feature_count};
    return vg__store_put_texts(group, "names", writer->feature_names, sizeof(char *),
                               (size_t)writer->feature_count) &&
           vg__store_put_table(group, "values", H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, 2, dims, writer->features);
}

static bool write_beats(const vg_store_writer *writer, hid_t group)
{
    hsize_t recordings = (hsize_t)writer->recording_count, beats = (hsize_t)writer->beat_count;
    return vg__store_put_table(group, "end", H5T_STD_I64LE, H5T_NATIVE_INT64, 1, &recordings,
                               writer->beat_end) &&
           vg__store_put_table(group, "position", H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, 1, &beats,
                               writer->beats);
}

static bool write_exclusions(const vg_store_writer *writer, hid_t group)
{
    const vg_exclusion *exclusions = writer->exclusions;
    int64_t n = writer->exclusion_count;
    double *seconds = malloc((size_t)(n + 1) * sizeof *seconds);
    const char **kinds = malloc((size_t)(n + 1) * sizeof *kinds);
    bool written = seconds && kinds;
    for (int64_t i = 0; written && i < n; i++) {
        seconds[i] = exclusions[i].seconds;
        kinds[i] = vg_exclusion_kind_word(exclusions[i].kind);
    }
    written = written && vg__store_put_table(group, "seconds", H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, 1,
                                             &(hsize_t){(hsize_t)n}, seconds);
    written = written && vg__store_put_texts(group, "kind", kinds, sizeof *kinds, (size_t)n);
    free(seconds);
    free(kinds);
    static const vg_exclusion none = {.source = "", .subject = "", .reason = ""};
    const vg_exclusion *first = n ? exclusions : &none;
#define WRITE_COLUMN(field)                                                                                  \
    written = written && vg__store_put_texts(group, #field, &first->field, sizeof *first, (size_t)n);
    VG_EXCLUSION_TEXTS(WRITE_COLUMN)
#undef WRITE_COLUMN
    return written;
}

static bool write_notes(const vg_store_writer *writer, hid_t group)
{
    for (int i = 0; i < writer->note_count; i++)
        if (!vg__store_put_text(group, writer->notes[i].key, writer->notes[i].value)) return false;
    return true;
}

static bool write_info(const vg_store_writer *writer)
{
    const vg_store_info *info = &writer->info;
    hid_t root = writer->hdf5;
    bool written = vg__store_put_text(root, "format", VG_STORE_FORMAT) &&
                   vg__store_put_whole(root, "version", VG_STORE_VERSION) &&
                   vg__store_put_whole(root, "filter_order", info->filter_order);
#define WRITE_TEXT(field) written = written && vg__store_put_text(root, #field, info->field);
#define WRITE_REAL(field) written = written && vg__store_put_real(root, #field, info->field);
#define WRITE_FLAG(field) written = written && vg__store_put_whole(root, #field, info->field);
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
        group = H5Gcreate2(writer->hdf5, name, H5P_DEFAULT, properties, H5P_DEFAULT);
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

vg_status vg__store_write_tables(const vg_store_writer *writer)
{
    VG_TRY(write_group(writer, "recordings", write_recordings));
    VG_TRY(write_group(writer, "ratings", write_ratings));
    VG_TRY(write_group(writer, "exclusions", write_exclusions));
    if (writer->measures) {
        VG_TRY(write_group(writer, "features", write_features));
        VG_TRY(write_group(writer, "beats", write_beats));
    }
    VG_TRY(write_group(writer, "notes", write_notes));
    if (!write_info(writer))
        return vg__hdf5_fail(VG_ERR_IO, "%s: the attributes could not be written to %s; is the disk full?",
                             writer->path, writer->temporary);
    return VG_OK;
}
