#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "datasets/store/hdf5.h"
#include "datasets/store/reader_own.h"

/* ---- Attributes -------------------------------------------------------------------------------------- */

/* Opens the attribute when it is a scalar of this class. */
static vg_status open_attribute(const vg_store *store, hid_t object, const char *name, H5T_class_t class,
                                hid_t *attribute, size_t *size)
{
    *attribute = -1;
    htri_t exists = H5Aexists(object, name);
    if (exists < 0)
        return vg__hdf5_fail(VG_ERR_FORMAT, "%s: attribute %s: " VG__STORE_DAMAGED, store->path, name);
    if (!exists)
        return vg_fail(VG_ERR_FORMAT, "%s: attribute %s is missing: " VG__STORE_DAMAGED, store->path, name);
    hid_t space = -1, type = -1;
    vg_status status = VG_OK;
    if ((*attribute = H5Aopen(object, name, H5P_DEFAULT)) < 0 || (space = H5Aget_space(*attribute)) < 0 ||
        (type = H5Aget_type(*attribute)) < 0) {
        status = vg__hdf5_fail(VG_ERR_FORMAT, "%s: attribute %s: " VG__STORE_DAMAGED, store->path, name);
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

vg_status vg__store_get_text(const vg_store *store, hid_t object, const char *name, char **out)
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
        status = vg__hdf5_fail(VG_ERR_FORMAT, "%s: attribute %s: " VG__STORE_DAMAGED, store->path, name);
out:
    if (type >= 0) H5Tclose(type);
    H5Aclose(attribute);
    if (status != VG_OK)
        free(text);
    else
        *out = text;
    return status;
}

vg_status vg__store_get_real(const vg_store *store, const char *name, double *out)
{
    hid_t attribute;
    size_t size;
    vg_status status = VG_OK;
    VG_TRY(open_attribute(store, store->hdf5, name, H5T_FLOAT, &attribute, &size));
    if (H5Aread(attribute, H5T_NATIVE_DOUBLE, out) < 0)
        status = vg__hdf5_fail(VG_ERR_FORMAT, "%s: attribute %s: " VG__STORE_DAMAGED, store->path, name);
    H5Aclose(attribute);
    return status;
}

vg_status vg__store_get_whole(const vg_store *store, const char *name, int64_t low, int64_t high,
                              int64_t *out)
{
    hid_t attribute;
    size_t size;
    vg_status status = VG_OK;
    VG_TRY(open_attribute(store, store->hdf5, name, H5T_INTEGER, &attribute, &size));
    if (H5Aread(attribute, H5T_NATIVE_INT64, out) < 0)
        status = vg__hdf5_fail(VG_ERR_FORMAT, "%s: attribute %s: " VG__STORE_DAMAGED, store->path, name);
    else if (*out < low || *out > high)
        status = vg_fail(VG_ERR_FORMAT, "%s: attribute %s is %" PRId64 ", outside %" PRId64 " .. %" PRId64,
                         store->path, name, *out, low, high);
    H5Aclose(attribute);
    return status;
}

/* ---- Datasets ---------------------------------------------------------------------------------------- */

/* Opens "group/name" when it has this rank and class, and its claimed size is one the file can hold. Deflate
 * shrinks by a factor of 1032 at most, so a claim beyond 1100 times the stored bytes is a lie (or a dataset
 * whose chunks were never written) and would only cost memory. */
vg_status vg__store_open_dataset(const vg_store *store, const char *name, int rank, H5T_class_t class,
                                 hid_t *dataset, hsize_t *dims, size_t *element)
{
    hid_t space = -1, type = -1;
    vg_status status = VG_OK;
    *dataset = H5Dopen2(store->hdf5, name, H5P_DEFAULT);
    if (*dataset < 0 || (space = H5Dget_space(*dataset)) < 0 || (type = H5Dget_type(*dataset)) < 0) {
        status = vg__hdf5_fail(VG_ERR_FORMAT, "%s: dataset /%s: " VG__STORE_DAMAGED, store->path, name);
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
        status =
            vg_fail(VG_ERR_FORMAT,
                    "%s: dataset /%s claims %llu rows but only %llu bytes are stored: " VG__STORE_DAMAGED,
                    store->path, name, (unsigned long long)dims[0], (unsigned long long)stored);
out:
    if (type >= 0) H5Tclose(type);
    if (space >= 0) H5Sclose(space);
    if (status != VG_OK && *dataset >= 0) H5Dclose(*dataset);
    return status;
}

/* A numeric column of exactly `rows` entries into `out`. */
vg_status vg__store_get_numbers(const vg_store *store, const char *name, H5T_class_t class, hid_t memory_type,
                                int64_t rows, void *out)
{
    hid_t dataset;
    hsize_t dims[1];
    size_t element;
    vg_status status = VG_OK;
    VG_TRY(vg__store_open_dataset(store, name, 1, class, &dataset, dims, &element));
    if (dims[0] != (hsize_t)rows)
        status = vg_fail(VG_ERR_FORMAT, "%s: dataset /%s has %llu rows, its table has %" PRId64, store->path,
                         name, (unsigned long long)dims[0], rows);
    else if (rows && H5Dread(dataset, memory_type, H5S_ALL, H5S_ALL, H5P_DEFAULT, out) < 0)
        status = vg__hdf5_fail(VG_ERR_FORMAT, "%s: dataset /%s: " VG__STORE_DAMAGED, store->path, name);
    H5Dclose(dataset);
    return status;
}

/* A text column; *rows < 0 takes the number of rows from the file, otherwise it must fit. */
vg_status vg__store_get_texts(const vg_store *store, const char *name, int64_t *rows,
                              struct vg__store_column *column)
{
    hid_t dataset, type = -1;
    hsize_t dims[1];
    size_t width;
    char *packed = NULL;
    vg_status status = VG_OK;
    VG_TRY(vg__store_open_dataset(store, name, 1, H5T_STRING, &dataset, dims, &width));
    if (*rows >= 0 && dims[0] != (hsize_t)*rows) {
        status = vg_fail(VG_ERR_FORMAT, "%s: dataset /%s has %llu rows, its table has %" PRId64, store->path,
                         name, (unsigned long long)dims[0], *rows);
        goto out;
    }
    size_t count = (size_t)dims[0];
    *column = (struct vg__store_column){calloc(count ? count : 1, width + 1), width + 1};
    packed = malloc(count ? count * width : 1);
    if (!packed || !column->text) {
        status = vg_fail(VG_ERR_MEMORY, "%s: dataset /%s", store->path, name);
        goto out;
    }
    type = H5Dget_type(dataset);
    if (count && (type < 0 || H5Dread(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, packed) < 0)) {
        status = vg__hdf5_fail(VG_ERR_FORMAT, "%s: dataset /%s: " VG__STORE_DAMAGED, store->path, name);
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
vg_status vg__store_get_rows(const vg_store *store, const char *name, H5T_class_t class, int64_t *rows)
{
    hid_t dataset;
    hsize_t dims[1];
    size_t element;
    VG_TRY(vg__store_open_dataset(store, name, 1, class, &dataset, dims, &element));
    H5Dclose(dataset);
    *rows = (int64_t)dims[0];
    return VG_OK;
}
