#include "datasets/import/formats/hdf5_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "datasets/store/hdf5.h"

vg_status vg__hdf5_part_fail(const char *path, const char *what)
{
    char words[512];
    return vg_fail(VG_ERR_FORMAT, "%s: %s: %s", path, what, vg__hdf5_words(words, sizeof words));
}

int64_t vg__hdf5_length(hid_t dataset)
{
    hid_t space = H5Dget_space(dataset);
    hsize_t n = 0;
    int rank = space >= 0 ? H5Sget_simple_extent_ndims(space) : -1;
    if (rank == 1) H5Sget_simple_extent_dims(space, &n, NULL);
    if (space >= 0) H5Sclose(space);
    return rank == 1 ? (int64_t)n : -1;
}

/* Whether the bits of a number lie in its bytes: HDF5 1.10 reads beyond those if a damaged type says so.
 * Types that are no numbers have no bits. */
static bool is_sound(hid_t type)
{
    const H5T_class_t kind = H5Tget_class(type);
    if (kind != H5T_INTEGER && kind != H5T_FLOAT) return true;
    const size_t bits = 8 * H5Tget_size(type), used = H5Tget_precision(type);
    const int offset = H5Tget_offset(type);
    if (used == 0 || used > bits || offset < 0 || (size_t)offset > bits - used) return false;
    size_t sign, exponent, exponent_bits, mantissa, mantissa_bits;
    if (kind == H5T_INTEGER) return true;
    if (H5Tget_fields(type, &sign, &exponent, &exponent_bits, &mantissa, &mantissa_bits) < 0) return false;
    return sign < used && exponent <= used && exponent_bits <= used - exponent && mantissa <= used &&
           mantissa_bits <= used - mantissa;
}

/* How many bytes the elements of a dataset take, and how many one of its chunks does. In floating point: a
 * damaged file's extents overflow. */
static double bytes_claimed(hid_t dataset, hid_t type, hid_t made, double *chunk)
{
    hsize_t extent[H5S_MAX_RANK], chunk_extent[H5S_MAX_RANK];
    hid_t space = H5Dget_space(dataset);
    const double size = (double)H5Tget_size(type);
    int rank = H5Sget_simple_extent_dims(space, extent, NULL);
    double all = size;
    for (int i = 0; i < rank; i++) all *= (double)extent[i];
    *chunk = 0;
    if (H5Pget_layout(made) == H5D_CHUNKED) {
        rank = H5Pget_chunk(made, H5S_MAX_RANK, chunk_extent);
        *chunk = size;
        for (int i = 0; i < rank; i++) *chunk *= (double)chunk_extent[i];
    }
    H5Sclose(space);
    return all;
}

vg_status vg__hdf5_check(const char *path, const char *name, hid_t file, hid_t dataset)
{
    enum { PACKED = 1100 }; /* DEFLATE packs at most 1032 times */
    hid_t made = H5Dget_create_plist(dataset), type = H5Dget_type(dataset);
    double chunk, all = bytes_claimed(dataset, type, made, &chunk);
    const bool sound = is_sound(type);
    hsize_t stored = H5Dget_storage_size(dataset), whole = 0;
    bool elsewhere = H5Pget_layout(made) == H5D_VIRTUAL || H5Pget_external_count(made) > 0;
    H5Pclose(made);
    H5Tclose(type);
    if (!sound)
        return vg_fail(VG_ERR_FORMAT, "%s: %s: its numbers have bits beyond their bytes: it is damaged", path,
                       name);
    if (elsewhere) return VG_OK;
    if (H5Fget_filesize(file, &whole) < 0 || stored > whole)
        return vg_fail(VG_ERR_FORMAT,
                       "%s: %s should take %.0f bytes of this file, which has %.0f: it is damaged", path,
                       name, (double)stored, (double)whole);
    double room = PACKED * (double)stored;
    if (!(all <= room) || !(chunk <= room + (1 << 20)))
        return vg_fail(
            VG_ERR_FORMAT,
            "%s: %s should have %.0f bytes in chunks of %.0f, but only %.0f are stored: it is damaged, or "
            "was never written",
            path, name, all, chunk, (double)stored);
    return VG_OK;
}

/* One text per element of raw[count], whose elements are `size` bytes, or pointers when `variable`. */
static vg_status copy_texts(const char *path, const char *raw, int64_t count, size_t size, bool variable,
                            char **out)
{
    for (int64_t i = 0; i < count; i++) {
        const char *text = raw + (size_t)i * size;
        if (variable) {
            memcpy(&text, raw + (size_t)i * sizeof text, sizeof text);
            if (!text) text = "";
        }
        out[i] = variable ? strdup(text) : strndup(text, size);
        if (!out[i]) return vg_fail(VG_ERR_MEMORY, "%s: no memory for texts", path);
    }
    return VG_OK;
}

static vg_status read_texts(const char *path, const char *name, hid_t dataset, hid_t type, int64_t count,
                            char **out)
{
    vg_status status = VG_OK;
    bool variable = H5Tis_variable_str(type) > 0;
    size_t size = variable ? sizeof(char *) : H5Tget_size(type);
    char *raw = NULL;
    hid_t memory = H5Tcopy(H5T_C_S1), space = H5Dget_space(dataset);
    if (size == 0 || size > 65536) {
        status = vg_fail(VG_ERR_FORMAT, "%s: %s: texts of %zu bytes", path, name, size);
        goto out;
    }
    raw = calloc((size_t)count + 1, size);
    if (!raw) {
        status = vg_fail(VG_ERR_MEMORY, "%s: %s: no memory for %lld texts", path, name, (long long)count);
        goto out;
    }
    H5Tset_size(memory, variable ? H5T_VARIABLE : size);
    H5Tset_strpad(memory, H5T_STR_NULLPAD);
    H5Tset_cset(memory, H5Tget_cset(type));
    if (H5Dread(dataset, memory, H5S_ALL, H5S_ALL, H5P_DEFAULT, raw) < 0) {
        status = vg__hdf5_part_fail(path, name);
        goto out;
    }
    status = copy_texts(path, raw, count, size, variable, out);
out:
    if (raw && variable)
        H5Dvlen_reclaim(memory, space, H5P_DEFAULT, raw); /* those read before an error, too */
    free(raw);
    H5Sclose(space);
    H5Tclose(memory);
    return status;
}

static vg_status read_numbers(const char *path, const char *name, hid_t dataset, int64_t count, char **out)
{
    vg_status status = VG_OK;
    long long *numbers = malloc((size_t)(count + 1) * sizeof *numbers);
    if (!numbers) return vg_fail(VG_ERR_MEMORY, "%s: %s: no memory", path, name);
    if (H5Dread(dataset, H5T_NATIVE_LLONG, H5S_ALL, H5S_ALL, H5P_DEFAULT, numbers) < 0) {
        status = vg__hdf5_part_fail(path, name);
        goto out;
    }
    for (int64_t i = 0; i < count; i++) {
        char text[32];
        snprintf(text, sizeof text, "%lld", numbers[i]);
        out[i] = strdup(text);
        if (!out[i]) {
            status = vg_fail(VG_ERR_MEMORY, "%s: %s: no memory", path, name);
            goto out;
        }
    }
out:
    free(numbers);
    return status;
}

vg_status vg__hdf5_table(const char *path, hid_t file, const char *name, int64_t count, char ***out)
{
    vg_status status = VG_OK;
    hid_t type = -1, dataset = H5Dopen2(file, name, H5P_DEFAULT);
    *out = NULL;
    if (dataset < 0) return vg__hdf5_part_fail(path, name);
    int64_t length = vg__hdf5_length(dataset);
    if (length != count) {
        status = vg_fail(VG_ERR_FORMAT, "%s: %s has %lld entries for %lld recordings", path, name,
                         (long long)length, (long long)count);
        goto out;
    }
    VG_TRY_OUT(vg__hdf5_check(path, name, file, dataset));
    *out = calloc((size_t)count + 1, sizeof **out);
    if (!*out) {
        status = vg_fail(VG_ERR_MEMORY, "%s: %s: no memory", path, name);
        goto out;
    }
    type = H5Dget_type(dataset);
    H5T_class_t kind = H5Tget_class(type);
    if (kind == H5T_STRING)
        status = read_texts(path, name, dataset, type, count, *out);
    else if (kind == H5T_INTEGER)
        status = read_numbers(path, name, dataset, count, *out);
    else
        status = vg_fail(VG_ERR_FORMAT, "%s: %s holds neither texts nor whole numbers", path, name);
out:
    if (type >= 0) H5Tclose(type);
    H5Dclose(dataset);
    return status;
}

static hid_t open_attribute(hid_t file, hid_t signal, const char *name)
{
    if (H5Aexists(file, name) > 0) return H5Aopen(file, name, H5P_DEFAULT);
    if (H5Aexists(signal, name) > 0) return H5Aopen(signal, name, H5P_DEFAULT);
    return -1;
}

static bool attribute_number(hid_t file, hid_t signal, const char *name, double *number)
{
    hid_t attribute = open_attribute(file, signal, name);
    if (attribute < 0) return false;
    hid_t space = H5Aget_space(attribute), type = H5Aget_type(attribute);
    bool good = H5Sget_simple_extent_npoints(space) == 1 && is_sound(type) &&
                H5Aread(attribute, H5T_NATIVE_DOUBLE, number) >= 0;
    H5Tclose(type);
    H5Sclose(space);
    H5Aclose(attribute);
    return good;
}

static bool attribute_text(hid_t file, hid_t signal, const char *name, char *text, size_t size)
{
    hid_t attribute = open_attribute(file, signal, name);
    if (attribute < 0) return false;
    hid_t type = H5Aget_type(attribute), memory = H5Tcopy(H5T_C_S1), space = H5Aget_space(attribute);
    bool good = H5Tget_class(type) == H5T_STRING && H5Sget_simple_extent_npoints(space) == 1;
    H5Tset_cset(memory, H5Tget_cset(type));
    if (good && H5Tis_variable_str(type) > 0) {
        char *pointer = NULL;
        H5Tset_size(memory, H5T_VARIABLE);
        good = H5Aread(attribute, memory, &pointer) >= 0 && pointer;
        if (good) snprintf(text, size, "%s", pointer);
        if (pointer) H5Dvlen_reclaim(memory, space, H5P_DEFAULT, &pointer);
    } else if (good) {
        H5Tset_size(memory, size - 1);
        H5Tset_strpad(memory, H5T_STR_NULLPAD);
        memset(text, 0, size);
        good = H5Tget_size(type) < size && H5Aread(attribute, memory, text) >= 0;
    }
    H5Sclose(space);
    H5Tclose(memory);
    H5Tclose(type);
    H5Aclose(attribute);
    return good;
}

/* ---- Datasets of one value ----------------------------------------------------------------------------- */

/* Opens a dataset of at most `most` elements, and tells how many it has; -1 when there is none. */
static hid_t open_small(const char *path, hid_t file, const char *name, int64_t most, int64_t *count)
{
    if (H5Lexists(file, name, H5P_DEFAULT) <= 0) return -1;
    hid_t dataset = H5Dopen2(file, name, H5P_DEFAULT);
    if (dataset < 0) return -1;
    hid_t space = H5Dget_space(dataset);
    *count = space >= 0 ? H5Sget_simple_extent_npoints(space) : -1;
    if (space >= 0) H5Sclose(space);
    if (*count >= 1 && *count <= most && vg__hdf5_check(path, name, file, dataset) == VG_OK) return dataset;
    H5Dclose(dataset);
    return -1;
}

bool vg__hdf5_number(const char *path, hid_t file, hid_t signal, const char *name, double *number)
{
    int64_t count;
    if (attribute_number(file, signal, name, number)) return true;
    hid_t dataset = open_small(path, file, name, 1, &count);
    if (dataset < 0) return false;
    hid_t type = H5Dget_type(dataset);
    const H5T_class_t kind = H5Tget_class(type);
    bool good = (kind == H5T_INTEGER || kind == H5T_FLOAT) &&
                H5Dread(dataset, H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, number) >= 0;
    H5Tclose(type);
    H5Dclose(dataset);
    return good;
}

/* MATLAB's characters, numbers of UTF-16, as UTF-8; those beyond its first plane are no unit's. */
static bool read_characters(hid_t dataset, int64_t count, char *text, size_t size)
{
    unsigned short units[64];
    size_t used = 0;
    if (H5Aexists(dataset, "MATLAB_class") <= 0 ||
        H5Dread(dataset, H5T_NATIVE_USHORT, H5S_ALL, H5S_ALL, H5P_DEFAULT, units) < 0)
        return false;
    for (int64_t i = 0; i < count && used + 3 < size; i++) {
        const unsigned c = units[i];
        if (c < 0x80) {
            text[used++] = (char)c;
        } else if (c < 0x800) {
            text[used++] = (char)(0xc0 | c >> 6);
            text[used++] = (char)(0x80 | (c & 0x3f));
        } else {
            text[used++] = (char)(0xe0 | c >> 12);
            text[used++] = (char)(0x80 | (c >> 6 & 0x3f));
            text[used++] = (char)(0x80 | (c & 0x3f));
        }
    }
    text[used] = 0;
    return true;
}

bool vg__hdf5_text(const char *path, hid_t file, hid_t signal, const char *name, char *text, size_t size)
{
    int64_t count;
    if (attribute_text(file, signal, name, text, size)) return true;
    hid_t dataset = open_small(path, file, name, 64, &count);
    if (dataset < 0) return false;
    hid_t type = H5Dget_type(dataset);
    const H5T_class_t kind = H5Tget_class(type);
    bool good = false;
    if (kind == H5T_STRING && count == 1) {
        char *word = NULL;
        good = read_texts(path, name, dataset, type, 1, &word) == VG_OK;
        if (good) snprintf(text, size, "%s", word);
        free(word);
    } else if (kind == H5T_INTEGER && H5Tget_size(type) == 2) {
        good = read_characters(dataset, count, text, size);
    }
    H5Tclose(type);
    H5Dclose(dataset);
    return good;
}
