#include "datasets/store/put.h"

#include <stdlib.h>
#include <string.h>

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

bool vg__store_put_text(hid_t object, const char *name, const char *text)
{
    hid_t type = text_type(strlen(text));
    if (type < 0) return false;
    bool written = write_attribute(object, name, type, type, text);
    H5Tclose(type);
    return written;
}

bool vg__store_put_real(hid_t object, const char *name, double value)
{
    return write_attribute(object, name, H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, &value);
}

bool vg__store_put_whole(hid_t object, const char *name, int64_t value)
{
    return write_attribute(object, name, H5T_STD_I64LE, H5T_NATIVE_INT64, &value);
}

/* A dataset of one or two dimensions in a single compressed and checksummed chunk (or several of at most
 * 4096 rows). Empty ones are contiguous, since a chunk cannot be empty. */
bool vg__store_put_table(hid_t group, const char *name, hid_t file_type, hid_t memory_type, int rank,
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
bool vg__store_put_texts(hid_t group, const char *name, const void *first, size_t step, size_t count)
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
        written = vg__store_put_table(group, name, type, type, 1, &(hsize_t){(hsize_t)count}, packed);
    }
    if (type >= 0) H5Tclose(type);
    free(packed);
    return written;
}
